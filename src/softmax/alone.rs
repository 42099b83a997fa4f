//! A row of few classes by itself: classes in the lanes, where `few.rs` and `few_log.rs` have rows.
//!
//! The steps are theirs, number by number, and the sums are made class after class: so the bits are theirs too, and a row's
//! do not depend on the rows beside it. One row in sixteen lanes would pay for the fifteen others.

use crate::double::Double;
use crate::element::Real;
use crate::exp::weight;
use crate::simd::{Kernel, Simd};
use crate::softmax::few::max_exponent;
use crate::softmax::few_log::{LogSum, log_p};
use crate::softmax::plan::{Base2, Plan, Tempering};
use crate::softmax::product::Multiplier;
use crate::softmax::row::LANES;
use crate::temperature::Temperature;

/// Up to so many rows are faster by themselves than a group of sixteen that is all but empty.
pub(crate) const ALONE: usize = 2;

/// How many of so many rows go sixteen at a time.
#[inline(always)]
pub(crate) fn together(rows: usize) -> usize {
    let last = rows % LANES;
    if last <= ALONE { rows - last } else { rows }
}

/// The entries of a row, filled up with −∞, and what they are computed with. N vectors of sixteen.
pub(crate) struct Lanes<'a, R, const N: usize> {
    pub(crate) entries: [[R; LANES]; N],
    classes: usize,
    pub(crate) plan: Plan<R>,
    pub(crate) base: &'a Base2<R>,
}

impl<'a, R: Real, const N: usize> Lanes<'a, R, N> {
    /// Nothing where the row is not ordinary.
    #[inline(always)]
    pub(crate) fn new<S: Simd>(simd: S, row: &[R], tempering: &'a Tempering<R>) -> Option<Self> {
        let Tempering::Finite(base) = tempering else { return None };
        let mut entries = [[R::NEG_INFINITY; LANES]; N];
        for (entries, row) in entries.iter_mut().zip(row.chunks(LANES)) {
            *entries = R::padded(simd, row);
        }
        // Of a row without a finite maximum it is staged.
        let plan = Plan::new(largest(&entries), base);
        let is_ordinary = !plan.is_staged() & !has_nan(&entries);
        is_ordinary.then_some(Lanes { entries, classes: row.len(), plan, base })
    }

    /// Those of the entries, and of what they are filled up with, which count for nothing.
    #[inline(always)]
    fn weights(&self) -> [[R; LANES]; N] {
        let mut weights = [[R::ZERO; LANES]; N];
        for (weights, entries) in weights.iter_mut().zip(&self.entries) {
            for (weight_, &x) in weights.iter_mut().zip(entries) {
                *weight_ = weight(x, &self.plan.shift);
            }
        }
        weights
    }

    /// Class after class, as a lane of sixteen adds them.
    #[inline(always)]
    fn sum(&self, weights: &[[R; LANES]; N]) -> Double {
        let weights = &weights.as_flattened()[..self.classes];
        let (mut total, mut correction) = ([0.0], [0.0]);
        R::accumulate(weights.as_chunks::<1>().0, &mut total, &mut correction);
        Double { hi: total[0], lo: correction[0] }
    }

    /// Softmax, or its logarithms; whether there are any.
    #[inline(always)]
    fn map<S: Simd, const LOG: bool>(&self, simd: S, out: &mut [R]) -> bool {
        let mut all = self.entries;
        if LOG {
            let logs = self.log_sum();
            if !logs.is_ordinary {
                return false;
            }
            let (max, inverse) = (self.plan.max.to_f64(), self.base.whole_inverse());
            for log in all.as_flattened_mut() {
                *log = log_p(*log, max, inverse, logs.log_normaliser);
            }
        } else {
            all = self.weights();
            let by = Multiplier::inverse(self.sum(&all));
            for p in all.as_flattened_mut() {
                *p = by.times(*p);
            }
        }
        for (numbers, out) in all.iter().zip(out.chunks_mut(LANES)) {
            R::put(simd, numbers, out);
        }
        true
    }

    #[inline(always)]
    fn log_sum(&self) -> LogSum {
        let (shift, max) = (self.plan.shift, self.plan.max);
        let mut others = self.weights();
        let mut maxima = 0;
        for (other, &x) in others.as_flattened_mut().iter_mut().zip(self.entries.as_flattened()) {
            let keeps = (x > shift.floor) & (x < max);
            *other = if keeps { *other } else { R::ZERO };
            maxima += usize::from(!(x < max));
        }
        let rest = self.sum(&others);
        let exponent = max_exponent(max, &shift, self.base.factors().0);
        let inverse = self.base.whole_inverse();
        LogSum::new::<R>(max, maxima as f64, rest, exponent, inverse, self.classes)
    }
}

/// The largest entry, where none is NaN.
#[inline(always)]
fn largest<R: Real, const N: usize>(entries: &[[R; LANES]; N]) -> R {
    let mut largest = entries[0];
    for entries in &entries[1..] {
        for i in 0..LANES {
            largest[i] = if entries[i] > largest[i] { entries[i] } else { largest[i] };
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            let (a, b) = (largest[i], largest[i + width]);
            largest[i] = if a > b { a } else { b };
        }
    }
    largest[0]
}

/// Looked for beside the maximum, which waits for each of its steps.
#[inline(always)]
fn has_nan<R: Real, const N: usize>(entries: &[[R; LANES]; N]) -> bool {
    let mut bits = [R::NO_BITS; LANES];
    for entries in entries {
        for i in 0..LANES {
            bits[i] = bits[i] | entries[i].nan_bits();
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            bits[i] = bits[i] | bits[i + width];
        }
    }
    bits[0] != R::NO_BITS
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
        let row = row.unwrap_or(out);
        if row.len() <= LANES {
            Lanes::<R, 1>::new(simd, row, tempering).is_some_and(|l| l.map::<S, LOG>(simd, out))
        } else {
            Lanes::<R, 2>::new(simd, row, tempering).is_some_and(|l| l.map::<S, LOG>(simd, out))
        }
    }
}

/// The same of a call for one row, without the way that many rows take.
pub(crate) struct OneRow<'a, R, const LOG: bool> {
    pub(crate) row: Option<&'a [R]>,
    pub(crate) out: &'a mut [R],
    pub(crate) tau: Temperature,
}

impl<R: Real, const LOG: bool> Kernel for OneRow<'_, R, LOG> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let OneRow { row, out, tau } = self;
        Map::<_, LOG> { row, out, tempering: &Tempering::new(tau) }.run(simd)
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
        let logs = if row.len() <= LANES {
            Lanes::<R, 1>::new(simd, row, tempering)?.log_sum()
        } else {
            Lanes::<R, 2>::new(simd, row, tempering)?.log_sum()
        };
        logs.log_z::<R>()
    }
}
