//! KL(teacher ‖ student) of a row in one sweep, where no ratio of the two is extreme: all but a few rows.
//!
//! ```text
//! v, z the logits, V, Z what they are counted from: the means, or the maxima of a row with most of its mass in one place
//! w = exp((v − max)/τ),  S = Σ w,  p = w/S
//! d = (v − z)/τ + c                     c guessed: (Z − V)/τ.  ln(p/q) is d + ln(1 + Λ) for all entries, where
//! Λ = Σ w (e^−d − 1)/S                  is what the guess is wrong by, since the q add up to 1
//! KL = Σ w (e^−d − 1 + d)/S − (Λ − ln(1 + Λ))           terms from 0 up; the second is what the guess cost
//! q − p = w ((e^−d − 1) − Λ)/(S (1 + Λ))
//! τ dKL/dτ = Σ (q − p)(Z − z)/τ + cov_p((V − v)/τ, d)   no sum of it depends on V or Z
//! ```
//!
//! The student's own weights are not needed. Where the guess cost more than half of the first sum, it is made good and
//! the sweep is done again.

use super::divergence::{NEAR, excess};
use super::frame::{Frame, padded};
use crate::double::Double;
use crate::element::{Element, Real};
use crate::exp::weight_above_floor_for_sums;
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::in_real;
use crate::softmax::plan::{BLOCK, Tempering};

/// Entries computed at a time.
const EIGHT: usize = 8;
const SUMS: usize = 7;
type Sums = [[f64; EIGHT]; SUMS];

/// A row's divergence, with what its gradient is made of; the buffers serve row after row.
pub(super) struct Forward<R: Real> {
    /// w and w (e^−d − 1), up to whole eights.
    weights: Scratch<f64>,
    errors: Scratch<f64>,
    /// What q − p is of those.
    of_weights: f64,
    of_errors: f64,
    /// Rows that are not numbers of R themselves.
    wide: [Scratch<R>; 2],
}

struct Fill<'a, R: Real> {
    forward: &'a mut Forward<R>,
    rows: [&'a [R]; 2],
    tempering: &'a Tempering<f64>,
    ahead: usize,
}

impl<R: Real> Kernel for Fill<'_, R> {
    type Output = Option<(f64, f64)>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<(f64, f64)> {
        let Fill { forward, rows, tempering, ahead } = self;
        forward.of_numbers(simd, rows, tempering, ahead)
    }
}

impl<R: Real> Forward<R> {
    pub(super) fn new() -> Self {
        let (of_weights, of_errors) = (0.0, 0.0);
        let (weights, errors) = (Scratch::new(), Scratch::new());
        let wide = [Scratch::new(), Scratch::new()];
        Forward { weights, errors, of_weights, of_errors, wide }
    }

    /// KL and τ dKL/dτ; `None` where the row wants to be computed in another way, or has none of them. So many numbers
    /// further on lies what will be asked for next, or 0.
    #[inline(always)]
    pub(super) fn fill<S: Simd, T: Element<Real = R>>(
        &mut self,
        simd: S,
        rows: [&[T]; 2],
        tempering: &Tempering<f64>,
        ahead: usize,
    ) -> Option<(f64, f64)> {
        if let [Some(teacher), Some(student)] = rows.map(T::as_real) {
            return simd.call(Fill { forward: self, rows: [teacher, student], tempering, ahead });
        }
        let mut wide = std::mem::replace(&mut self.wide, [Scratch::new(), Scratch::new()]);
        let [teacher, student] = &mut wide;
        let rows = [in_real(rows[0], teacher), in_real(rows[1], student)];
        let found = simd.call(Fill { forward: self, rows, tempering, ahead: 0 });
        self.wide = wide;
        found
    }

    #[inline(always)]
    fn of_numbers<S: Simd>(
        &mut self,
        simd: S,
        rows: [&[R]; 2],
        tempering: &Tempering<f64>,
        ahead: usize,
    ) -> Option<(f64, f64)> {
        let mut frame = Frame::new(simd, rows, tempering)?;
        let mut again = true;
        loop {
            let sums = self.sweep(simd, rows, &frame, ahead);
            let mass = sums[0];
            let [lost, excess_of_all, of_teacher, with_d, of_errors, of_student] =
                [1, 2, 3, 4, 5, 6].map(|n| sums[n] / mass);
            let correction = libm::log1p(lost);
            let cost =
                if correction.abs() <= NEAR { excess(-correction) } else { lost - correction };
            if again && (cost > 0.5 * excess_of_all || lost < -0.5) {
                frame.c += correction;
                again = false;
                continue;
            }
            if !(lost >= -0.5) {
                return None;
            }
            let loss = excess_of_all - cost;
            let all = 1.0 + lost;
            self.of_errors = 1.0 / (mass * all);
            self.of_weights = self.of_errors * lost;
            let covariance = with_d - of_teacher * (excess_of_all - lost);
            let slope = (of_errors - lost * of_student) / all + covariance;
            return Some((if loss > 0.0 { loss } else { 0.0 }, slope * frame.inverse));
        }
    }

    #[inline(always)]
    fn sweep<S: Simd>(
        &mut self,
        simd: S,
        [v, z]: [&[R]; 2],
        frame: &Frame,
        ahead: usize,
    ) -> [f64; SUMS] {
        let mut totals = [Double::ZERO; SUMS];
        let ((v, v_tail), (z, z_tail)) = (v.as_chunks(), z.as_chunks());
        let size = BLOCK / EIGHT;
        let whole = (v.len() + usize::from(!v_tail.is_empty())) * EIGHT;
        let (weights, errors) = (self.weights.of(whole), self.errors.of(whole));
        let (weights, last_weights) = weights.as_chunks_mut().0.split_at_mut(v.len());
        let (errors, last_errors) = errors.as_chunks_mut().0.split_at_mut(v.len());
        let blocks = v.chunks(size).zip(z.chunks(size));
        let outs = weights.chunks_mut(size).zip(errors.chunks_mut(size));
        for ((teacher, student), (weights, errors)) in blocks.zip(outs) {
            let block = Block { teacher, student, weights, errors, frame, ahead };
            let sums = if frame.is_masked {
                simd.call(Sweep::<R, true>(block))
            } else {
                simd.call(Sweep::<R, false>(block))
            };
            add(&mut totals, &sums);
        }
        if !v_tail.is_empty() {
            let (teacher, student) = (&[padded(v_tail)], &[padded(z_tail)]);
            let (weights, errors) = (last_weights, last_errors);
            let block = Block { teacher, student, weights, errors, frame, ahead: 0 };
            add(&mut totals, &simd.call(Sweep::<R, true>(block)));
        }
        totals.map(|total| total.hi)
    }

    /// Writes τ times the gradient in the student's logits, q − p, times a factor.
    #[inline(always)]
    pub(super) fn write<S: Simd, T: Element>(
        &mut self,
        simd: S,
        out: &mut [T],
        factor: f64,
        ahead: usize,
    ) {
        let Forward { weights, errors, of_weights, of_errors, .. } = self;
        let (of_weights, of_errors) = (*of_weights * factor, *of_errors * factor);
        let whole = out.len().next_multiple_of(EIGHT);
        let (weights, errors) = (weights.of(whole), errors.of(whole));
        let (weights, errors) = (weights.as_chunks().0, errors.as_chunks().0);
        simd.call(Write { weights, errors, out, of_weights, of_errors, ahead });
    }
}

/// One lane after the other, so that it does not matter in which ones nothing is.
#[inline(always)]
fn add(totals: &mut [Double; SUMS], sums: &Sums) {
    for (total, lanes) in totals.iter_mut().zip(sums) {
        let mut sum = 0.0;
        for lane in lanes {
            sum += lane;
        }
        *total = total.plus(Double::from(sum));
    }
}

struct Block<'a, R> {
    teacher: &'a [[R; EIGHT]],
    student: &'a [[R; EIGHT]],
    weights: &'a mut [[f64; EIGHT]],
    errors: &'a mut [[f64; EIGHT]],
    frame: &'a Frame,
    ahead: usize,
}

/// The sweep over a block in which no entry is masked, or some are in both.
struct Sweep<'a, R, const MASKED: bool>(Block<'a, R>);

impl<R: Real, const MASKED: bool> Kernel for Sweep<'_, R, MASKED> {
    type Output = Sums;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Sums {
        let Block { teacher, student, weights, errors, frame, ahead } = self.0;
        let (frame, mut all) = (*frame, [[0.0; EIGHT]; SUMS]);
        let outs = weights.iter_mut().zip(errors);
        for ((v, z), (weight, error)) in teacher.iter().zip(student).zip(outs) {
            simd.prefetch_read(v.as_ptr().wrapping_add(ahead));
            simd.prefetch_read(z.as_ptr().wrapping_add(ahead));
            let (mut next, mut weights, mut errors) = (all, [0.0; EIGHT], [0.0; EIGHT]);
            for i in 0..EIGHT {
                let (v, z) = (v[i].to_f64(), z[i].to_f64());
                let is_there = !MASKED | (v > f64::NEG_INFINITY);
                let (v, z) = if is_there { (v, z) } else { (frame.from[0], frame.from[1]) };
                let w = weight_above_floor_for_sums(v, &frame.shift);
                let w = if is_there { w } else { 0.0 };
                let d = f64::mul_add((v - z) + frame.between, frame.inverse, frame.c);
                let excess = excess_of(d);
                let (b, a) = (frame.from[0] - v, frame.from[1] - z);
                let (error, with_b) = (w * (excess - d), w * b);
                (weights[i], errors[i]) = (w, error);
                next[0][i] = all[0][i] + w;
                next[1][i] = all[1][i] + error;
                next[2][i] = f64::mul_add(w, excess, all[2][i]);
                next[3][i] = all[3][i] + with_b;
                next[4][i] = f64::mul_add(with_b, d, all[4][i]);
                next[5][i] = f64::mul_add(error, a, all[5][i]);
                next[6][i] = f64::mul_add(w, a, all[6][i]);
            }
            (all, *weight, *error) = (next, weights, errors);
        }
        all
    }
}

/// (e^−s − 1 + s)/s² on |s| ≤ 0.349, relative error 2^-51.74. From `python fixtures/exp_coefficients.py`.
const EXCESS: [f64; 10] = [
    0.5,
    f64::from_bits(0xbfc5555555555549), // -0.166666666666666324
    f64::from_bits(0x3fa55555555542e0), // 0.0416666666666338781
    f64::from_bits(0xbf8111111111609e), // -0.00833333333336866086
    f64::from_bits(0x3f56c16c17779e69), // 0.00138888889147805784
    f64::from_bits(0xbf2a01a017f91c89), // -0.000198412697488079931
    f64::from_bits(0x3efa019bb6b9f66c), // 0.0000248015234505155803
    f64::from_bits(0xbec71de7ba056bdc), // -2.75573934531207281e-6
    f64::from_bits(0x3e9288fe2693b58e), // 2.76194930550301136e-7
    f64::from_bits(0xbe5ae70604945ff8), // -2.50548455637871962e-8
];

/// e^−d − 1 + d, where e^−d = 2^k e^−s: to a few units of itself, also near 0, where k is 0 and all but the first term is
/// nothing.
#[inline(always)]
fn excess_of(d: f64) -> f64 {
    let round = <f64 as Real>::ROUND + 1023.0;
    let rounded = f64::mul_add(d, -Double::LOG2_E.hi, round);
    let power = f64::from_bits(rounded.to_bits() << 52);
    let s = f64::mul_add(rounded - round, Double::LN_2.hi, d);
    // Even and odd powers in turns: they wait for each other half as long.
    let square = s * s;
    let (mut even, mut odd) = (EXCESS[8], EXCESS[9]);
    for k in (0..4).rev() {
        even = f64::mul_add(even, square, EXCESS[2 * k]);
        odd = f64::mul_add(odd, square, EXCESS[2 * k + 1]);
    }
    let near = square * f64::mul_add(odd, s, even);
    f64::mul_add(power, near, f64::mul_add(-power, s, (power - 1.0) + d))
}

/// The gradient.
struct Write<'a, T> {
    weights: &'a [[f64; EIGHT]],
    errors: &'a [[f64; EIGHT]],
    out: &'a mut [T],
    of_weights: f64,
    of_errors: f64,
    ahead: usize,
}

impl<T: Element> Kernel for Write<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Write { weights, errors, out, of_weights, of_errors, ahead } = self;
        let (chunks, tail) = out.as_chunks_mut::<EIGHT>();
        let (weights, last_weights) = weights.split_at(chunks.len());
        let (errors, last_errors) = errors.split_at(chunks.len());
        for ((out, weights), errors) in chunks.iter_mut().zip(weights).zip(errors) {
            simd.prefetch_write(out.as_ptr().wrapping_add(ahead));
            *out = combined(weights, errors, of_weights, of_errors);
        }
        for (weights, errors) in last_weights.iter().zip(last_errors) {
            let last: [T; EIGHT] = combined(weights, errors, of_weights, of_errors);
            tail.copy_from_slice(&last[..tail.len()]);
        }
    }
}

#[inline(always)]
fn combined<T: Element>(
    weights: &[f64; EIGHT],
    errors: &[f64; EIGHT],
    of_weights: f64,
    of_errors: f64,
) -> [T; EIGHT] {
    let mut out = [T::of_f64(0.0); EIGHT];
    for i in 0..EIGHT {
        let error = f64::mul_add(errors[i], of_errors, -(weights[i] * of_weights));
        out[i] = T::of_f64(error + 0.0); // not −0
    }
    out
}
