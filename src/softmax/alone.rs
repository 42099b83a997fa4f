//! A row of few classes by itself: classes in the lanes, where `few.rs` and `few_log.rs` have rows.
//!
//! The steps are theirs, number by number, and the sums are made class after class: so the bits are theirs too, and a row's
//! do not depend on the rows beside it. One row in sixteen lanes would pay for the fifteen others.

use crate::double::Double;
use crate::element::Real;
use crate::exp::weight;
use crate::simd::{Kernel, Simd};
use crate::softmax::few::{FEW, max_exponent};
use crate::softmax::few_log::{LogSum, log_p};
use crate::softmax::plan::{Base2, Plan, Tempering};
use crate::softmax::product::Multiplier;
use crate::softmax::row::LANES;

/// Up to so many rows are faster by themselves than a group of sixteen that is all but empty.
const ALONE: usize = 2;

/// How many of so many rows go sixteen at a time.
#[inline(always)]
pub(crate) fn together(rows: usize) -> usize {
    let last = rows % LANES;
    if last <= ALONE { rows - last } else { rows }
}

/// The entries of a row, filled up with −∞, and what they are computed with.
struct Lanes<'a, R> {
    entries: [R; FEW],
    plan: Plan<R>,
    base: &'a Base2<R>,
}

impl<'a, R: Real> Lanes<'a, R> {
    /// Nothing where the row is not ordinary.
    #[inline(always)]
    fn new<S: Simd>(simd: S, row: &[R], tempering: &'a Tempering<R>) -> Option<Self> {
        let Tempering::Finite(base) = tempering else { return None };
        let entries = R::padded(simd, row);
        // Of a row without a finite maximum it is staged.
        let plan = Plan::new(largest(entries), base);
        (!plan.is_staged() & !has_nan(entries)).then_some(Lanes { entries, plan, base })
    }

    /// Those of the entries, and of what they are filled up with, which count for nothing.
    #[inline(always)]
    fn weights(&self) -> [R; FEW] {
        let mut weights = [R::ZERO; FEW];
        for (weight_, &x) in weights.iter_mut().zip(&self.entries) {
            *weight_ = weight(x, &self.plan.shift);
        }
        weights
    }
}

/// The largest entry, where none is NaN.
#[inline(always)]
fn largest<R: Real>(mut entries: [R; FEW]) -> R {
    let mut width = FEW;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            let (a, b) = (entries[i], entries[i + width]);
            entries[i] = if a > b { a } else { b };
        }
    }
    entries[0]
}

/// Looked for beside the maximum, which waits for each of its steps.
#[inline(always)]
fn has_nan<R: Real>(entries: [R; FEW]) -> bool {
    let mut bits = [R::NO_BITS; FEW];
    for (bits, x) in bits.iter_mut().zip(entries) {
        *bits = x.nan_bits();
    }
    let mut width = FEW;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            bits[i] = bits[i] | bits[i + width];
        }
    }
    bits[0] != R::NO_BITS
}

/// Class after class, as a lane of sixteen adds them.
#[inline(always)]
fn sum<R: Real>(weights: &[R]) -> Double {
    let (mut total, mut correction) = ([0.0], [0.0]);
    R::accumulate(weights.as_chunks::<1>().0, &mut total, &mut correction);
    Double { hi: total[0], lo: correction[0] }
}

/// Softmax of a row, or of what `out` holds, or its logarithms; false, and nothing is done, where the row is not ordinary.
pub(crate) struct Map<'a, R, const LOG: bool> {
    pub(crate) row: Option<&'a [R]>,
    pub(crate) out: &'a mut [R],
    pub(crate) tempering: &'a Tempering<R>,
}

impl<R: Real, const LOG: bool> Kernel for Map<'_, R, LOG> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Map { row, out, tempering } = self;
        let Some(lanes) = Lanes::new(simd, row.unwrap_or(out), tempering) else { return false };
        if LOG { lanes.log_p(simd, out) } else { lanes.p(simd, out) }
    }
}

impl<R: Real> Lanes<'_, R> {
    #[inline(always)]
    fn p<S: Simd>(&self, simd: S, out: &mut [R]) -> bool {
        let mut p = self.weights();
        let by = Multiplier::inverse(sum(&p[..out.len()]));
        for p in &mut p {
            *p = by.times(*p);
        }
        R::put(simd, &p, out);
        true
    }

    #[inline(always)]
    fn log_p<S: Simd>(&self, simd: S, out: &mut [R]) -> bool {
        let logs = self.log_sum(out.len());
        if !logs.is_ordinary {
            return false;
        }
        let (max, inverse) = (self.plan.max.to_f64(), self.base.whole_inverse());
        let mut logs_p = self.entries;
        for log in &mut logs_p {
            *log = log_p(*log, max, inverse, logs.log_normaliser);
        }
        R::put(simd, &logs_p, out);
        true
    }

    #[inline(always)]
    fn log_sum(&self, classes: usize) -> LogSum {
        let (shift, max) = (self.plan.shift, self.plan.max);
        let mut others = self.weights();
        let mut maxima = 0;
        for (other, &x) in others.iter_mut().zip(&self.entries) {
            let keeps = (x > shift.floor) & (x < max);
            *other = if keeps { *other } else { R::ZERO };
            maxima += usize::from(!(x < max));
        }
        let rest = sum(&others[..classes]);
        let exponent = max_exponent(max, &shift, self.base.factors().0);
        LogSum::new::<R>(max, maxima as f64, rest, exponent, self.base.whole_inverse(), classes)
    }
}

/// log Z of a row; nothing where the row is not ordinary.
pub(crate) struct LogSumExp<'a, R> {
    pub(crate) row: &'a [R],
    pub(crate) tempering: &'a Tempering<R>,
}

impl<R: Real> Kernel for LogSumExp<'_, R> {
    type Output = Option<f64>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<f64> {
        let LogSumExp { row, tempering } = self;
        let logs = Lanes::new(simd, row, tempering)?.log_sum(row.len());
        logs.log_z::<R>()
    }
}
