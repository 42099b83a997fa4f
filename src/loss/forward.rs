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
use crate::double::Double;
use crate::element::{Element, Real};
use crate::exp::{Shift, weight_above_floor};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{BLOCK, Plan, Tempering};
use crate::softmax::row::{LANES, sum_of_lanes};

/// What is left to other ways of computing: ratios beyond e^±32, where d has too few bits after the point, and a teacher's
/// mass that is beyond e^-600.
const FARTHEST_RATIO: f64 = 32.0;
const LIGHTEST: f64 = 600.0;
/// Rows that are flatter than this may be at the limit of large τ.
const FLATTEST: f64 = 1e-10;
/// Scales at which no product of a few of the terms leaves the range of f64.
const USUAL: std::ops::Range<f64> = 1e-30..1e30;

/// Entries computed at a time.
const EIGHT: usize = 8;
const SUMS: usize = 7;
type Sums = [[f64; EIGHT]; SUMS];

/// A row's divergence, with what its gradient is made of; the buffers serve row after row.
pub(super) struct Forward<R> {
    /// w and w (e^−d − 1), up to whole eights.
    weights: Vec<[f64; EIGHT]>,
    errors: Vec<[f64; EIGHT]>,
    /// What q − p is of those.
    of_weights: f64,
    of_errors: f64,
    /// Rows that are not numbers of R themselves.
    rows: [Vec<R>; 2],
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

/// What all entries of a row share.
#[derive(Clone, Copy)]
struct Frame {
    /// V and Z.
    from: [f64; 2],
    shift: Shift<f64>,
    inverse: f64,
    /// Z − V.
    between: f64,
    /// How the guess was made good.
    c: f64,
}

impl<R: Real> Forward<R> {
    pub(super) fn new() -> Self {
        let (of_weights, of_errors) = (0.0, 0.0);
        let rows = [Vec::new(), Vec::new()];
        Forward { weights: Vec::new(), errors: Vec::new(), of_weights, of_errors, rows }
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
        let mut wide = std::mem::take(&mut self.rows);
        for (wide, row) in wide.iter_mut().zip(rows) {
            wide.resize(row.len(), R::ZERO);
            T::read(row, wide);
        }
        let rows = [&wide[0][..], &wide[1][..]];
        let found = simd.call(Fill { forward: self, rows, tempering, ahead: 0 });
        self.rows = wide;
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
        let (mut frame, masked) = frame(simd, rows, tempering)?;
        let len = rows[0].len().div_ceil(EIGHT);
        self.weights.resize(len, [0.0; EIGHT]);
        self.errors.resize(len, [0.0; EIGHT]);
        let mut again = true;
        loop {
            let sums = self.sweep(simd, rows, &frame, masked, ahead);
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
        masked: bool,
        ahead: usize,
    ) -> [f64; SUMS] {
        let mut totals = [Double::ZERO; SUMS];
        let ((v, v_tail), (z, z_tail)) = (v.as_chunks(), z.as_chunks());
        let size = BLOCK / EIGHT;
        let (weights, last_weights) = self.weights.split_at_mut(v.len());
        let (errors, last_errors) = self.errors.split_at_mut(v.len());
        let blocks = v.chunks(size).zip(z.chunks(size));
        let outs = weights.chunks_mut(size).zip(errors.chunks_mut(size));
        for ((teacher, student), (weights, errors)) in blocks.zip(outs) {
            let mut sums = [[0.0; EIGHT]; SUMS];
            let sweep = Sweep { teacher, student, weights, errors, frame, sums: &mut sums, ahead };
            if masked {
                simd.call(Masked(sweep))
            } else {
                simd.call(sweep)
            }
            add(&mut totals, &sums);
        }
        if !v_tail.is_empty() {
            let (teacher, student) = (&[padded(v_tail)], &[padded(z_tail)]);
            let (weights, errors) = (last_weights, last_errors);
            let mut sums = [[0.0; EIGHT]; SUMS];
            simd.call(Masked(Sweep {
                teacher,
                student,
                weights,
                errors,
                frame,
                sums: &mut sums,
                ahead: 0,
            }));
            add(&mut totals, &sums);
        }
        totals.map(|total| total.hi)
    }

    /// Writes the gradient of the divergence in the student's logits times τ, q − p, times a factor.
    #[inline(always)]
    pub(super) fn write<S: Simd, T: Element>(&self, simd: S, out: &mut [T], factor: f64) {
        let Forward { weights, errors, of_weights, of_errors, .. } = self;
        let (weights, errors) = (weights.as_flattened(), errors.as_flattened());
        let (of_weights, of_errors) = (of_weights * factor, of_errors * factor);
        simd.call(Write { weights, errors, out, of_weights, of_errors });
    }
}

#[inline(always)]
fn add(totals: &mut [Double; SUMS], sums: &Sums) {
    for (total, &lanes) in totals.iter_mut().zip(sums) {
        *total = total.plus(Double::from(sum_of_lanes(lanes)));
    }
}

/// The rest of a row, made whole with masked entries.
#[inline(always)]
fn padded<R: Real, const N: usize>(tail: &[R]) -> [R; N] {
    let mut whole = [R::NEG_INFINITY; N];
    whole[..tail.len()].copy_from_slice(tail);
    whole
}

/// The first look at a row: from where its entries are counted and whether there are masked ones; `None` where this file
/// is not for it.
#[inline(always)]
fn frame<S: Simd, R: Real>(
    simd: S,
    [v, z]: [&[R]; 2],
    tempering: &Tempering<f64>,
) -> Option<(Frame, bool)> {
    let Tempering::Finite(base) = tempering else { return None };
    let ((teacher, v_tail), (student, z_tail)) = (v.as_chunks(), z.as_chunks());
    let mut seen = Seen::none();
    simd.call(Look { teacher, student, seen: &mut seen });
    let mut count = (teacher.len() * LANES) as f64;
    let sums = [seen.sums[0], seen.sums[1]].map(total);
    let masked = sums[0] == f64::NEG_INFINITY;
    if masked {
        (seen, count) = (Seen::none(), 0.0);
        simd.call(LookAtMasked(Look { teacher, student, seen: &mut seen }));
    }
    if !v_tail.is_empty() {
        let (teacher, student) = (&[padded(v_tail)], &[padded(z_tail)]);
        simd.call(LookAtMasked(Look { teacher, student, seen: &mut seen }));
    }
    let [high_v, high_z, high_d] = seen.highest.map(|lanes| highest(lanes).to_f64());
    let [low_v, low_d] = seen.lowest.map(|lanes| -highest(lanes.map(|x| -x)).to_f64());
    count += total(seen.count);
    let [sum_v, sum_z] = seen.sums.map(total);
    if !(sum_v.is_finite() & sum_z.is_finite()) {
        return None;
    }
    let inverse = base.nearest_inverse();
    let plan = Plan::new(high_v, base);
    let spread = (high_v - low_v) * inverse;
    let means = [sum_v / count, sum_z / count];
    // e^((max − mean)/τ) against the count; its logarithm to the next integer will do.
    let log_count = Double::LN_2.hi * f64::from((count.to_bits() >> 52) as i32 - 1023);
    let is_sharp = (high_v - means[0]) * inverse >= log_count;
    let from = if is_sharp { [high_v, high_z] } else { means };
    let between = from[1] - from[0];
    let is_usual = USUAL.contains(&inverse)
        & !plan.is_staged()
        & (spread <= LIGHTEST)
        & (spread.max((high_d - low_d) * inverse) >= FLATTEST)
        & ((high_d + between) * inverse <= FARTHEST_RATIO)
        & ((low_d + between) * inverse >= -FARTHEST_RATIO);
    is_usual.then_some((Frame { from, shift: plan.shift, inverse, between, c: 0.0 }, masked))
}

#[inline(always)]
fn total<R: Real>(lanes: [R; LANES]) -> f64 {
    sum_of_lanes(lanes.map(|x| x.to_f64()))
}

#[inline(always)]
fn highest<R: Real>(mut lanes: [R; LANES]) -> R {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = if lanes[i + width] > lanes[i] { lanes[i + width] } else { lanes[i] };
        }
    }
    lanes[0]
}

#[derive(Clone, Copy)]
struct Seen<R> {
    /// Of v, z and v − z.
    highest: [[R; LANES]; 3],
    /// Of v and v − z.
    lowest: [[R; LANES]; 2],
    /// Of v and z: not finite with an entry that is not.
    sums: [[R; LANES]; 2],
    /// How many entries are not masked, where that was asked.
    count: [R; LANES],
}

impl<R: Real> Seen<R> {
    #[inline(always)]
    fn none() -> Self {
        Seen {
            highest: [[R::NEG_INFINITY; LANES]; 3],
            lowest: [[-R::NEG_INFINITY; LANES]; 2],
            sums: [[R::ZERO; LANES]; 2],
            count: [R::ZERO; LANES],
        }
    }
}

struct Look<'a, R> {
    teacher: &'a [[R; LANES]],
    student: &'a [[R; LANES]],
    seen: &'a mut Seen<R>,
}

/// The same of a row in which entries are masked in both.
struct LookAtMasked<'a, R>(Look<'a, R>);

impl<R: Real> Kernel for Look<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        look::<R, false>(self);
    }
}

impl<R: Real> Kernel for LookAtMasked<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        look::<R, true>(self.0);
    }
}

#[inline(always)]
fn look<R: Real, const MASKED: bool>(of: Look<'_, R>) {
    let Look { teacher, student, seen } = of;
    let Seen { highest: [mut high_v, mut high_z, mut high_d], .. } = *seen;
    let Seen { lowest: [mut low_v, mut low_d], sums: [mut sum_v, mut sum_z], mut count, .. } =
        *seen;
    for (v, z) in teacher.iter().zip(student) {
        // New arrays, as in `row.rs`.
        let (mut v_up, mut z_up, mut d_up, mut v_down, mut d_down) =
            (high_v, high_z, high_d, low_v, low_d);
        let (mut v_sum, mut z_sum, mut counted) = (sum_v, sum_z, count);
        for i in 0..LANES {
            let (v, z) = (v[i], z[i]);
            let is_there = !MASKED | (v > R::NEG_INFINITY) | (z > R::NEG_INFINITY);
            let d = v - z;
            v_up[i] = if v > high_v[i] { v } else { high_v[i] };
            z_up[i] = if z > high_z[i] { z } else { high_z[i] };
            d_up[i] = if d > high_d[i] { d } else { high_d[i] };
            let low = if v < low_v[i] { v } else { low_v[i] };
            v_down[i] = if is_there { low } else { low_v[i] };
            d_down[i] = if d < low_d[i] { d } else { low_d[i] };
            v_sum[i] = sum_v[i] + if is_there { v } else { R::ZERO };
            z_sum[i] = sum_z[i] + if is_there { z } else { R::ZERO };
            if MASKED {
                counted[i] = count[i] + if is_there { R::ONE } else { R::ZERO };
            }
        }
        (high_v, high_z, high_d, low_v, low_d) = (v_up, z_up, d_up, v_down, d_down);
        (sum_v, sum_z, count) = (v_sum, z_sum, counted);
    }
    let (highest, lowest, sums) = ([high_v, high_z, high_d], [low_v, low_d], [sum_v, sum_z]);
    *seen = Seen { highest, lowest, sums, count };
}

/// The sweep over a block.
struct Sweep<'a, R> {
    teacher: &'a [[R; EIGHT]],
    student: &'a [[R; EIGHT]],
    weights: &'a mut [[f64; EIGHT]],
    errors: &'a mut [[f64; EIGHT]],
    frame: &'a Frame,
    sums: &'a mut Sums,
    ahead: usize,
}

/// The same where entries are masked, in both.
struct Masked<'a, R>(Sweep<'a, R>);

impl<R: Real> Kernel for Sweep<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        sweep::<S, R, false>(simd, self);
    }
}

impl<R: Real> Kernel for Masked<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        sweep::<S, R, true>(simd, self.0);
    }
}

#[inline(always)]
fn sweep<S: Simd, R: Real, const MASKED: bool>(simd: S, of: Sweep<'_, R>) {
    let Sweep { teacher, student, weights, errors, frame, sums, ahead } = of;
    let (frame, mut all) = (*frame, *sums);
    let outs = weights.iter_mut().zip(errors);
    for ((v, z), (weight, error)) in teacher.iter().zip(student).zip(outs) {
        simd.prefetch_read(v.as_ptr().wrapping_add(ahead));
        simd.prefetch_read(z.as_ptr().wrapping_add(ahead));
        let (mut next, mut weights, mut errors) = (all, [0.0; EIGHT], [0.0; EIGHT]);
        for i in 0..EIGHT {
            let (v, z) = (v[i].to_f64(), z[i].to_f64());
            let is_there = !MASKED | (v > f64::NEG_INFINITY);
            let (v, z) = if is_there { (v, z) } else { (frame.from[0], frame.from[1]) };
            let w = weight_above_floor(v, &frame.shift);
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
    *sums = all;
}

/// (e^−s − 1 + s)/s² on |s| ≤ 0.349, relative error 2^-58.14. From `python fixtures/exp_coefficients.py`.
const EXCESS: [f64; 11] = [
    0.5,
    f64::from_bits(0xbfc5555555555557), // -0.166666666666666713
    f64::from_bits(0x3fa5555555555550), // 0.0416666666666666297
    f64::from_bits(0xbf8111111110fff9), // -0.00833333333332574207
    f64::from_bits(0x3f56c16c16c19ae8), // 0.00138888888889148777
    f64::from_bits(0xbf2a01a01ac62b10), // -0.000198412698761828588
    f64::from_bits(0x3efa01a01917af15), // 0.0000248015872496418575
    f64::from_bits(0xbec71de00ae9b2dd), // -2.75572536816700255e-6
    f64::from_bits(0x3e927e50ef609cc5), // 2.75573469268224003e-7
    f64::from_bits(0xbe5af510b1927b63), // -2.51059289786523383e-8
    f64::from_bits(0x3e21f1cfd1ad4941), // 2.08902374341304192e-9
];

/// e^−d − 1 + d, where e^−d = 2^k e^−s: to a few units of itself, also near 0, where k is 0 and all but the first term is
/// nothing.
#[inline(always)]
fn excess_of(d: f64) -> f64 {
    let round = <f64 as Real>::ROUND + 1023.0;
    let rounded = f64::mul_add(d, -Double::LOG2_E.hi, round);
    let power = f64::from_bits(rounded.to_bits() << 52);
    let s = f64::mul_add(rounded - round, Double::LN_2.hi, d);
    let mut series = EXCESS[EXCESS.len() - 1];
    for &coefficient in EXCESS.iter().rev().skip(1) {
        series = f64::mul_add(series, s, coefficient);
    }
    let rest = f64::mul_add(-power, s, (power - 1.0) + d);
    f64::mul_add(power, s * s * series, rest)
}

/// The gradient.
struct Write<'a, T> {
    weights: &'a [f64],
    errors: &'a [f64],
    out: &'a mut [T],
    of_weights: f64,
    of_errors: f64,
}

impl<T: Element> Kernel for Write<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Write { weights, errors, out, of_weights, of_errors } = self;
        for ((out, weight), error) in out.iter_mut().zip(weights).zip(errors) {
            *out = T::of_f64(f64::mul_add(*error, of_errors, -(weight * of_weights)) + 0.0);
        }
    }
}
