//! Rows of few classes, sixteen at a time, one in each lane, as in `softmax/few.rs`; the formulas are those of `row.rs`.

use super::{OfRow, inverse};
use crate::element::Real;
use crate::exp::{ln_sum_in_f64, weight};
use crate::loss::distribution::FARTHEST;
use crate::simd::{Kernel, Simd};
use crate::softmax::few::{Column, Gather, Multipliers, Multiply, Peaks, PerRow, Plans, Scatter};
use crate::softmax::plan::Temperings;
use crate::softmax::product::Multiplier;
use crate::softmax::row::LANES;

/// Sixteen rows on their way.
pub(super) struct Group<R: Real> {
    columns: Vec<Column<R>>,
    /// What weighs less than the maximum, and weights times x − m: apart from the weights, so that each sum is a
    /// loop of its own.
    others: Vec<Column<R>>,
    moments: Vec<Column<R>>,
    lanes: PerRow<R>,
    top: Column<R>,
    maxima: Column<R>,
    rest: [f64; LANES],
    first: [f64; LANES],
    /// 1/τ, and what the gradient is multiplied by.
    pub(super) inverse: [f64; LANES],
    pub(super) factor: [f64; LANES],
    /// The label, its logit and its weight.
    pub(super) labels: [usize; LANES],
    label: Column<R>,
    label_weight: Column<R>,
    /// What weights are multiplied by to become gradients.
    multipliers: Multipliers<R>,
    pub(super) ordinary: [bool; LANES],
    losses: [f64; LANES],
    slopes: [f64; LANES],
    /// The gradient in the label's logit.
    of_label: [f64; LANES],
}

impl<R: Real> Group<R> {
    pub(super) fn new(temperings: &Temperings<'_, R>, classes: usize) -> Box<Self> {
        let (zero, zeros) = ([R::ZERO; LANES], [0.0; LANES]);
        let mut group = Box::new(Group {
            columns: vec![zero; classes],
            others: vec![zero; classes],
            moments: vec![zero; classes],
            lanes: PerRow::new(temperings),
            top: zero,
            maxima: zero,
            rest: zeros,
            first: zeros,
            inverse: zeros,
            factor: zeros,
            label: zero,
            label_weight: zero,
            multipliers: Multipliers::ZERO,
            ordinary: [false; LANES],
            losses: zeros,
            slopes: zeros,
            of_label: zeros,
            labels: [0; LANES],
        });
        if let Some(tempering) = temperings.one() {
            group.inverse = [inverse(tempering); LANES];
        }
        group
    }

    /// The temperatures of rows, where each has its own.
    #[inline(always)]
    pub(super) fn temper(&mut self, temperings: &Temperings<'_, R>, start: usize, end: usize) {
        self.lanes.temper_rows(temperings, start, end - start);
        if temperings.one().is_none() {
            for i in start..end {
                self.inverse[i - start] = inverse(&temperings.of_row(i));
            }
        }
    }

    /// Up to sixteen rows, whose labels and factors are there; the gradients of the ordinary ones go to `out`.
    #[inline(always)]
    pub(super) fn of_rows<S: Simd>(&mut self, simd: S, rows: &[R], classes: usize, out: &mut [R]) {
        simd.call(Gather { rows, columns: &mut self.columns });
        for (i, row) in rows.chunks_exact(classes).enumerate() {
            self.label[i] = row[self.labels[i]];
        }
        simd.call(Peaks { columns: &self.columns, lanes: &mut self.lanes });
        simd.call(Plans { lanes: &mut self.lanes });
        simd.call(Weigh { group: self });
        for i in 0..LANES {
            self.label_weight[i] = self.columns[self.labels[i]][i];
        }
        simd.call(AddUp { group: self });
        simd.call(Finish { group: self });
        simd.call(Multiply { columns: &mut self.columns, by: &self.multipliers });
        simd.call(Scatter { columns: &self.columns, which: &self.ordinary, out });
        for (i, out) in out.chunks_exact_mut(classes).enumerate() {
            if self.ordinary[i] {
                out[self.labels[i]] = R::of_f64(self.of_label[i]);
            }
        }
    }

    #[inline(always)]
    pub(super) fn answer(&self, i: usize) -> OfRow {
        OfRow { loss: self.losses[i], slope: self.slopes[i] }
    }
}

/// The weights, in place, and what the sums are made of.
struct Weigh<'a, R: Real> {
    group: &'a mut Group<R>,
}

impl<R: Real> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weigh { group } = self;
        let (shifts, max) = (group.lanes.shifts(), group.lanes.max);
        let mut top = [R::ZERO; LANES];
        for i in 0..LANES {
            top[i] = weight(max[i], &shifts[i]);
        }
        let mut maxima = [R::ZERO; LANES];
        let columns = group.columns.iter_mut();
        for ((column, others), moments) in columns.zip(&mut group.others).zip(&mut group.moments) {
            simd.one_by_one();
            let (mut weights, mut below) = ([R::ZERO; LANES], [R::ZERO; LANES]);
            let (mut moment, mut count) = ([R::ZERO; LANES], maxima);
            for i in 0..LANES {
                let (x, floor) = (column[i], shifts[i].floor);
                let w = weight(x, &shifts[i]);
                let w = if x > floor { w } else { R::ZERO };
                weights[i] = w;
                below[i] = if w < top[i] { w } else { R::ZERO };
                count[i] = maxima[i] + if w < top[i] { R::ZERO } else { R::ONE };
                moment[i] = w * ((if x > floor { x } else { floor }) - max[i]);
            }
            (*column, *others, *moments, maxima) = (weights, below, moment, count);
        }
        (group.top, group.maxima) = (top, maxima);
    }
}

struct AddUp<'a, R: Real> {
    group: &'a mut Group<R>,
}

impl<R: Real> Kernel for AddUp<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let AddUp { group } = self;
        let mut correction = [0.0; LANES];
        (group.rest, group.first) = ([0.0; LANES], [0.0; LANES]);
        R::accumulate(&group.others, &mut group.rest, &mut correction);
        R::accumulate(&group.moments, &mut group.first, &mut correction);
    }
}

/// The losses and slopes of the rows, and what their weights are to be multiplied by.
struct Finish<'a, R: Real> {
    group: &'a mut Group<R>,
}

impl<R: Real> Kernel for Finish<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Finish { group } = self;
        let classes = group.columns.len() as f64;
        let (mut rests, mut gaps, mut scales) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let (unit, of_label) = (group.top[i].to_f64(), group.label_weight[i].to_f64());
            let (maxima, rest) = (group.maxima[i].to_f64(), group.rest[i] / unit);
            let (inverse, factor) = (group.inverse[i], group.factor[i]);
            let (z, over_z) = (maxima + rest, 1.0 / ((maxima + rest) * unit));
            let gap = (group.lanes.max[i].to_f64() - group.label[i].to_f64()) * inverse;
            let others = 1.0 - of_label * over_z;
            let missed = if of_label < unit { others } else { ((maxima - 1.0) + rest) / z };
            group.of_label[i] = 0.0 - missed * (factor * inverse);
            group.slopes[i] = -(group.first[i] * over_z * inverse) - gap;
            (rests[i], gaps[i], scales[i]) = (rest, gap, over_z * (factor * inverse));
        }
        for i in 0..LANES {
            group.losses[i] = ln_sum_in_f64(group.maxima[i].to_f64(), rests[i]) + gaps[i];
        }
        for i in 0..LANES {
            let all_there = (rests[i] > 0.0) | (group.maxima[i].to_f64() == classes);
            let is_held = (scales[i] >= R::HOLDS.start) & (scales[i] < R::HOLDS.end);
            let fits = all_there & is_held & (gaps[i] < FARTHEST);
            group.ordinary[i] = fits & (group.lanes.ordinary[i] != R::NO_BITS);
            let most = group.factor[i] * group.inverse[i];
            group.multipliers.set(i, Multiplier::new(scales[i], most));
        }
    }
}
