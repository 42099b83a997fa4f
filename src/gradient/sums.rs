//! Sums over a row, in f64 for every type.
//!
//! ```text
//! for each block:  8 virtual lanes, a register or two each, 16 terms deep (f64) or a block deep (f32)
//!                  lanes into running lanes, keeping what is rounded away
//! at the end:      lanes in pairs, halving their number
//! ```
//!
//! The order is the same on every machine.

use crate::double::{frexp, power_of_two, two_sum};
use crate::element::Real;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::BLOCK;

/// Virtual lanes of the sums: two vectors of AVX2 each, so that three sums stay in registers.
pub(super) const LANES: usize = 8;

/// How many terms a lane adds up before the sum goes on with a correction: for f32 a whole block, for f64, where
/// the roundings of equal terms would add up, 16.
pub(super) const fn depth<R: Real>() -> usize {
    if R::IN_DOUBLE { 16 } else { BLOCK / LANES }
}

/// Distances from the maximum: y = x·2^exponent − max·2^exponent, which overflows neither by itself nor when
/// multiplied by a weight.
#[derive(Clone, Copy)]
pub(super) struct Distance<R> {
    /// What an entry of −∞, or so low that y would be, is taken for; without a weight it does not count.
    lowest: R,
    factor: f64,
    pub(super) origin: f64,
    pub(super) exponent: i32,
}

impl<R: Real> Distance<R> {
    /// For entries with a weight at a scale near 2^`inverse_exponent`: they are no farther than some 2^11/s.
    pub(super) fn near(max: R, inverse_exponent: i32) -> Self {
        let exponent = match inverse_exponent {
            _ if !R::IN_DOUBLE => 0, // no f32 leaves the range of f64
            501.. => {
                // Distances near 1/s are lifted out of the subnormals; above, only maxima have a weight.
                let lifts = max == R::ZERO || frexp(max.to_f64()).1 + inverse_exponent <= 64;
                if lifts { inverse_exponent.min(1000) } else { 0 }
            }
            -450..=500 => -2,
            _ => -514,
        };
        Distance::with(max, exponent)
    }

    /// The same for entries at any distance, whose y are not multiplied by a weight.
    pub(super) fn far(max: R, inverse_exponent: i32) -> Self {
        let exponent = Self::near(max, inverse_exponent).exponent;
        Distance::with(max, exponent.min(0))
    }

    fn with(max: R, exponent: i32) -> Self {
        let factor = power_of_two(exponent);
        let lowest = match exponent {
            _ if !R::IN_DOUBLE => f64::from(f32::MIN),
            0.. => -power_of_two(1021 - exponent),
            _ => f64::MIN,
        };
        let lowest = R::of_f64(lowest);
        let top = if max > lowest { max } else { lowest };
        Distance { lowest, factor, origin: top.to_f64() * factor, exponent }
    }

    /// y; a finite number also where x is not.
    #[inline(always)]
    pub(super) fn of(&self, x: R) -> f64 {
        let x = if x > self.lowest { x } else { self.lowest };
        let x = if R::IN_DOUBLE { x.to_f64() * self.factor } else { x.to_f64() };
        x - self.origin
    }
}

/// N sums over the virtual lanes, with what rounding lost.
pub(super) struct Sums<const N: usize> {
    high: [[f64; LANES]; N],
    low: [[f64; LANES]; N],
}

impl<const N: usize> Sums<N> {
    pub(super) const ZERO: Self = Sums { high: [[0.0; LANES]; N], low: [[0.0; LANES]; N] };

    #[inline(always)]
    pub(super) fn add(&mut self, block: &[[f64; LANES]; N]) {
        for ((high, low), block) in self.high.iter_mut().zip(&mut self.low).zip(block) {
            for i in 0..LANES {
                let lost;
                (high[i], lost) = two_sum(high[i], block[i]);
                low[i] += lost;
            }
        }
    }

    /// The lanes added up, halving their number each time.
    pub(super) fn totals(mut self) -> [f64; N] {
        let mut totals = [0.0; N];
        for ((high, low), total) in self.high.iter_mut().zip(&mut self.low).zip(&mut totals) {
            let mut width = LANES;
            while width > 1 {
                width /= 2;
                for i in 0..width {
                    let lost;
                    (high[i], lost) = two_sum(high[i], high[i + width]);
                    low[i] += low[i + width] + lost;
                }
            }
            // After an overflow or a NaN the corrections are NaN, and the sum itself is right.
            *total = if high[0].is_finite() { high[0] + low[0] } else { high[0] };
        }
        totals
    }
}

/// Some entries of a row: their logits, weights and cotangents.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a, R> {
    pub(super) x: &'a [R],
    pub(super) w: &'a [R],
    pub(super) g: &'a [R],
}

impl<'a, R> Entries<'a, R> {
    fn range(&self, from: usize, to: usize) -> Self {
        Entries { x: &self.x[from..to], w: &self.w[from..to], g: &self.g[from..to] }
    }
}

/// What N sums take from each entry. An entry beyond the row comes as x = −∞, w = 0, g = 0, and adds nothing.
pub(super) trait Terms<R: Real, const N: usize>: Copy {
    fn add(&self, x: &[R; LANES], w: &[R; LANES], g: &[R; LANES], sums: &mut [[f64; LANES]; N]);
}

/// One sweep of sums over a block.
struct SumUp<'a, R, const N: usize, F> {
    entries: Entries<'a, R>,
    terms: F,
    sums: &'a mut Sums<N>,
}

impl<R: Real, const N: usize, F: Terms<R, N>> Kernel for SumUp<'_, R, N, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let SumUp { entries, terms, sums } = self;
        let (x, x_tail) = entries.x.as_chunks::<LANES>();
        let (w, w_tail) = entries.w.as_chunks::<LANES>();
        let (g, g_tail) = entries.g.as_chunks::<LANES>();
        let depth = depth::<R>();
        let mut block = [[0.0; LANES]; N];
        for ((x, w), g) in x.chunks(depth).zip(w.chunks(depth)).zip(g.chunks(depth)) {
            let mut group = [[0.0; LANES]; N];
            for ((x, w), g) in x.iter().zip(w).zip(g) {
                terms.add(x, w, g, &mut group);
            }
            if R::IN_DOUBLE {
                sums.add(&group);
            } else {
                block = group; // the only one
            }
        }
        if !x_tail.is_empty() {
            let x = filled(x_tail, R::NEG_INFINITY);
            terms.add(&x, &filled(w_tail, R::ZERO), &filled(g_tail, R::ZERO), &mut block);
        }
        sums.add(&block);
    }
}

#[inline(always)]
pub(super) fn filled<R: Real>(tail: &[R], with: R) -> [R; LANES] {
    let mut last = [with; LANES];
    last[..tail.len()].copy_from_slice(tail);
    last
}

/// The number, or 0. A function, so that the number is read before the choice: read in one of its arms, the choice
/// becomes a branch for each lane.
#[inline(always)]
pub(super) fn counting<R: Real>(counts: bool, number: R) -> R {
    if counts { number } else { R::ZERO }
}

/// Σ w and Σ w·y.
#[derive(Clone, Copy)]
pub(super) struct OfWeights<R>(pub(super) Distance<R>);

impl<R: Real> Terms<R, 2> for OfWeights<R> {
    #[inline(always)]
    fn add(&self, x: &[R; LANES], w: &[R; LANES], _: &[R; LANES], sums: &mut [[f64; LANES]; 2]) {
        for i in 0..LANES {
            let y = self.0.of(x[i]);
            sums[0][i] += w[i].to_f64();
            sums[1][i] += w[i].to_f64() * y;
        }
    }
}

/// Σ w, Σ w·y and Σ w·(g − c).
#[derive(Clone, Copy)]
pub(super) struct OfProducts<R> {
    pub(super) distance: Distance<R>,
    pub(super) center: f64,
}

impl<R: Real> Terms<R, 3> for OfProducts<R> {
    #[inline(always)]
    fn add(&self, x: &[R; LANES], w: &[R; LANES], g: &[R; LANES], sums: &mut [[f64; LANES]; 3]) {
        for i in 0..LANES {
            let y = self.distance.of(x[i]);
            sums[0][i] += w[i].to_f64();
            sums[1][i] += w[i].to_f64() * y;
            let difference = counting(w[i] > R::ZERO, g[i]).to_f64() - self.center;
            sums[2][i] += w[i].to_f64() * difference;
        }
    }
}

/// Σ w·(g − c).
#[derive(Clone, Copy)]
pub(super) struct OfDifferences(pub(super) f64);

impl<R: Real> Terms<R, 1> for OfDifferences {
    #[inline(always)]
    fn add(&self, _: &[R; LANES], w: &[R; LANES], g: &[R; LANES], sums: &mut [[f64; LANES]; 1]) {
        for i in 0..LANES {
            sums[0][i] += w[i].to_f64() * (counting(w[i] > R::ZERO, g[i]).to_f64() - self.0);
        }
    }
}

/// Σ g and Σ g·y over what is not masked.
#[derive(Clone, Copy)]
pub(super) struct OfCotangents<R>(pub(super) Distance<R>);

impl<R: Real> Terms<R, 2> for OfCotangents<R> {
    #[inline(always)]
    fn add(&self, x: &[R; LANES], _: &[R; LANES], g: &[R; LANES], sums: &mut [[f64; LANES]; 2]) {
        for i in 0..LANES {
            let g = counting(x[i] > R::NEG_INFINITY, g[i]).to_f64();
            sums[0][i] += g;
            sums[1][i] += g * self.0.of(x[i]);
        }
    }
}

/// Sums over a row without its entry `left_out`.
#[inline(always)]
pub(super) fn sum_others<S: Simd, R: Real, const N: usize, F: Terms<R, N>>(
    simd: S,
    entries: Entries<'_, R>,
    left_out: usize,
    terms: F,
) -> [f64; N] {
    let mut sums = Sums::ZERO;
    for (from, to) in [(0, left_out), (left_out + 1, entries.x.len())] {
        for start in (from..to).step_by(BLOCK) {
            let entries = entries.range(start, to.min(start + BLOCK));
            simd.call(SumUp { entries, terms, sums: &mut sums });
        }
    }
    sums.totals()
}
