//! The first look at the rows of a teacher and a student: what their entries are counted from, and whether `forward.rs` is
//! for them.

use crate::double::Double;
use crate::element::Real;
use crate::exp::Shift;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{Plan, Tempering};
use crate::softmax::row::{LANES, sum_of_lanes};

/// What is left to other ways of computing: ratios beyond e^±32, where their logarithms have too few bits after the point,
/// and a teacher's mass that is beyond e^-600.
const FARTHEST_RATIO: f64 = 32.0;
const LIGHTEST: f64 = 600.0;
/// Rows that are flatter than this may be at the limit of large τ.
const FLATTEST: f64 = 1e-10;
/// Scales 1/τ at which no product of a few of the terms leaves the range of f64.
const USUAL: std::ops::Range<f64> = 1e-30..1e30;

/// What all entries of a row share.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// V and Z.
    pub(super) from: [f64; 2],
    pub(super) shift: Shift<f64>,
    pub(super) inverse: f64,
    /// Z − V.
    pub(super) between: f64,
    /// How the guess was made good, 0 at first.
    pub(super) c: f64,
    /// Whether entries are masked, in both.
    pub(super) is_masked: bool,
}

impl Frame {
    /// `None` where `forward.rs` is not for the rows, or they have no divergence.
    #[inline(always)]
    pub(super) fn new<S: Simd, R: Real>(
        simd: S,
        [v, z]: [&[R]; 2],
        tempering: &Tempering<f64>,
    ) -> Option<Self> {
        let Tempering::Finite(base) = tempering else { return None };
        let ((teacher, v_tail), (student, z_tail)) = (v.as_chunks(), z.as_chunks());
        let (mut seen, mut count) = (Seen::none(), (teacher.len() * LANES) as f64);
        simd.call(Look::<R, false> { teacher, student, seen: &mut seen });
        if total(seen.sums[0]) == f64::NEG_INFINITY {
            (seen, count) = (Seen::none(), 0.0);
            simd.call(Look::<R, true> { teacher, student, seen: &mut seen });
        }
        if !v_tail.is_empty() {
            let (teacher, student) = (&[padded(v_tail)], &[padded(z_tail)]);
            simd.call(Look::<R, true> { teacher, student, seen: &mut seen });
        }
        count += total(seen.count);
        let [sum_v, sum_z] = seen.sums.map(total);
        if !(sum_v.is_finite() & sum_z.is_finite()) {
            return None;
        }
        let [high_v, high_z, high_d] = seen.highest.map(highest);
        let [low_v, low_d] = seen.lowest.map(|lanes| -highest(lanes.map(|x| -x)));
        let (inverse, plan) = (base.nearest_inverse(), Plan::new(high_v, base));
        let means = [sum_v / count, sum_z / count];
        // e^((max − mean)/τ) against the count: its logarithm to the next integer will do.
        let log_count = Double::LN_2.hi * f64::from((count.to_bits() >> 52) as i32 - 1023);
        let is_sharp = (high_v - means[0]) * inverse >= log_count;
        let from = if is_sharp { [high_v, high_z] } else { means };
        let between = from[1] - from[0];
        let spread = (high_v - low_v) * inverse;
        let is_usual = USUAL.contains(&inverse)
            & !plan.is_staged()
            & (spread <= LIGHTEST)
            & (spread.max((high_d - low_d) * inverse) >= FLATTEST)
            & ((high_d + between) * inverse <= FARTHEST_RATIO)
            & ((low_d + between) * inverse >= -FARTHEST_RATIO);
        let is_masked = count < v.len() as f64;
        is_usual.then_some(Frame { from, shift: plan.shift, inverse, between, c: 0.0, is_masked })
    }
}

/// The rest of a row, made whole with masked entries.
#[inline(always)]
pub(super) fn padded<R: Real, const N: usize>(tail: &[R]) -> [R; N] {
    let mut whole = [R::NEG_INFINITY; N];
    whole[..tail.len()].copy_from_slice(tail);
    whole
}

#[inline(always)]
fn total<R: Real>(lanes: [R; LANES]) -> f64 {
    sum_of_lanes(lanes.map(|x| x.to_f64()))
}

#[inline(always)]
fn highest<R: Real>(mut lanes: [R; LANES]) -> f64 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = if lanes[i + width] > lanes[i] { lanes[i + width] } else { lanes[i] };
        }
    }
    lanes[0].to_f64()
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

/// Of chunks in which no entry is masked, or some are in both.
struct Look<'a, R, const MASKED: bool> {
    teacher: &'a [[R; LANES]],
    student: &'a [[R; LANES]],
    seen: &'a mut Seen<R>,
}

impl<R: Real, const MASKED: bool> Kernel for Look<'_, R, MASKED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Look { teacher, student, seen } = self;
        let Seen { highest: [mut high_v, mut high_z, mut high_d], .. } = *seen;
        let Seen {
            lowest: [mut low_v, mut low_d], sums: [mut sum_v, mut sum_z], mut count, ..
        } = *seen;
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
}
