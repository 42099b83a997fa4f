//! Rows of few classes, sixteen at a time, one in each lane, as in `softmax/few.rs`; the formulas are those of `row.rs`.
//!
//! Sums go class after class in f32, whose totals are f64; in f64 in the order of `row.rs`, with its bits.

use super::inverse;
use crate::element::Real;
use crate::exp::{ln_sum_in_f64, weight};
use crate::loss::distribution::FARTHEST;
use crate::simd::{Kernel, Simd};
use crate::softmax::few::{Multipliers, PerRow, Plans, Shifts};
use crate::softmax::plan::Temperings;
use crate::softmax::product::Multiplier;
use crate::softmax::row::LANES;
use crate::softmax::turn::{Ahead, Column, Gather, Scatter};

/// Sixteen rows on their way.
pub(super) struct Group<R: Real> {
    columns: Vec<Column<R>>,
    /// In f64 what weighs less than the maximum, and weights times x − m.
    others: Vec<Column<R>>,
    moments: Vec<Column<R>>,
    lanes: PerRow<R>,
    sums: Sums<R>,
    /// The label's logit and weight.
    label: Column<R>,
    label_weight: Column<R>,
    /// 1/τ, and what the gradient is multiplied by.
    inverse: Column<f64>,
    factor: Column<f64>,
    /// The label, also as a number, −1 where a row does not count; and how much it does.
    at: [usize; LANES],
    labels: Column<R>,
    weight: Column<f64>,
    /// What weights are multiplied by to become gradients, and the gradient in the label's logit.
    multipliers: Multipliers<R>,
    of_label: Column<R>,
    pub(super) ordinary: [bool; LANES],
    /// The loss, times its weight, and the gradient in τ.
    pub(super) losses: Column<f64>,
    pub(super) taus: Column<f64>,
}

/// Over the weights of a row.
#[derive(Clone, Copy)]
struct Sums<R: Real> {
    /// What the maximum weighs, and how many weigh as much.
    top: Column<R>,
    maxima: Column<R>,
    /// What the others weigh, and all weights times x − m.
    rest: Column<f64>,
    first: Column<f64>,
}

impl<R: Real> Group<R> {
    pub(super) fn new(temperings: &Temperings<'_, R>, classes: usize) -> Box<Self> {
        let (zero, zeros) = (Column::of(R::ZERO), Column::of(0.0));
        let in_double = if R::IN_DOUBLE { classes } else { 0 };
        let mut group = Box::new(Group {
            columns: vec![zero; classes],
            others: vec![zero; in_double],
            moments: vec![zero; in_double],
            lanes: PerRow::new(temperings),
            sums: Sums { top: zero, maxima: zero, rest: zeros, first: zeros },
            label: zero,
            label_weight: zero,
            inverse: zeros,
            factor: zeros,
            at: [0; LANES],
            labels: zero,
            weight: zeros,
            multipliers: Multipliers::ZERO,
            of_label: zero,
            ordinary: [false; LANES],
            losses: zeros,
            taus: zeros,
        });
        if let Some(tempering) = temperings.one() {
            group.inverse = Column::of(inverse(tempering));
        }
        group
    }

    /// The labels of rows, −1 for none, what each row counts, and what its gradient is multiplied by.
    #[inline(always)]
    pub(super) fn count(
        &mut self,
        labels: &[i32; LANES],
        weights: &[f64; LANES],
        factors: &[f64; LANES],
    ) {
        for i in 0..LANES {
            // What does not count goes along, with a factor of 0.
            let counts = (labels[i] >= 0) & (weights[i] > 0.0);
            self.at[i] = if counts { labels[i] as usize } else { 0 };
            self.labels[i] = R::of_f64(if counts { f64::from(labels[i]) } else { -1.0 });
            self.weight[i] = if counts { weights[i] } else { 0.0 };
            self.factor[i] = if counts { factors[i] } else { 0.0 };
        }
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
    pub(super) fn of_rows<S: Simd>(&mut self, simd: S, rows: &[R], out: &mut [R]) {
        simd.call(Gather { rows, columns: &mut self.columns, max: &mut self.lanes.max });
        simd.call(Plans { lanes: &mut self.lanes });
        for i in 0..LANES {
            self.label[i] = self.columns[self.at[i]][i];
        }
        let ahead = Ahead::of(rows, 1);
        if R::IN_DOUBLE {
            simd.call(Weigh { group: self, ahead });
            simd.call(AddUp { columns: &mut self.others, sums: &mut self.sums.rest });
            simd.call(AddUp { columns: &mut self.moments, sums: &mut self.sums.first });
        } else {
            simd.call(WeighAndAdd { group: self, ahead });
        }
        for i in 0..LANES {
            self.label_weight[i] = self.columns[self.at[i]][i];
        }
        simd.call(Finish { group: self });
        simd.call(Multiply { group: self, ahead: Ahead::of(out, 1) });
        simd.call(Scatter { columns: &self.columns, which: &self.ordinary, out });
    }
}

/// What is asked of a class.
#[derive(Clone, Copy)]
struct OfClass<R> {
    weights: Column<R>,
    /// 0 at the maxima.
    others: Column<R>,
    moments: Column<R>,
}

/// What there is of the rows to weigh a class.
struct Weights<R> {
    shifts: Shifts<R>,
    max: Column<R>,
    top: Column<R>,
}

impl<R: Real> Weights<R> {
    #[inline(always)]
    fn new(group: &Group<R>) -> Self {
        let (shifts, max) = (group.lanes.shifts(), group.lanes.max);
        let mut top = Column::of(R::ZERO);
        for i in 0..LANES {
            top[i] = weight(max[i], &shifts.of(i));
        }
        Weights { shifts, max, top }
    }

    #[inline(always)]
    fn of_class(&self, column: &Column<R>, sums: &mut Sums<R>) -> OfClass<R> {
        let (mut weights, mut others) = (Column::of(R::ZERO), Column::of(R::ZERO));
        let (mut moments, mut maxima) = (Column::of(R::ZERO), sums.maxima);
        for i in 0..LANES {
            let (x, shift) = (column[i], self.shifts.of(i));
            let floor = shift.floor;
            let w = weight(x, &shift);
            let w = if x > floor { w } else { R::ZERO };
            weights[i] = w;
            others[i] = if w < self.top[i] { w } else { R::ZERO };
            maxima[i] = sums.maxima[i] + if w < self.top[i] { R::ZERO } else { R::ONE };
            moments[i] = w * ((if x > floor { x } else { floor }) - self.max[i]);
        }
        sums.maxima = maxima;
        OfClass { weights, others, moments }
    }

    #[inline(always)]
    fn sums(&self) -> Sums<R> {
        let (zero, zeros) = (Column::of(R::ZERO), Column::of(0.0));
        Sums { top: self.top, maxima: zero, rest: zeros, first: zeros }
    }
}

/// The weights, in place, and what the sums are made of.
struct Weigh<'a, R: Real> {
    group: &'a mut Group<R>,
    ahead: Ahead<R>,
}

impl<R: Real> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weigh { group, ahead } = self;
        let weights = Weights::new(group);
        let mut sums = weights.sums();
        let columns = group.columns.iter_mut().zip(&mut group.others).zip(&mut group.moments);
        for (class, ((column, others), moments)) in columns.enumerate() {
            simd.one_by_one();
            ahead.read(simd, class);
            let of = weights.of_class(column, &mut sums);
            (*column, *others, *moments) = (of.weights, of.others, of.moments);
        }
        group.sums = sums;
    }
}

/// Sums of f64 as the lanes of `row.rs` are added up: class j with j + 16, then with j + 8, and so on.
struct AddUp<'a, R> {
    columns: &'a mut [Column<R>],
    sums: &'a mut Column<f64>,
}

impl<R: Real> Kernel for AddUp<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddUp { columns, sums } = self;
        let (mut width, mut rest) = (LANES, columns);
        while width > 0 {
            let (left, right) = rest.split_at_mut(width.min(rest.len()));
            for (a, b) in left.iter_mut().zip(right) {
                simd.one_by_one();
                let mut sum = *a;
                for i in 0..LANES {
                    sum[i] = a[i] + b[i];
                }
                *a = sum;
            }
            (rest, width) = (left, width / 2);
        }
        **sums = rest[0].map(|sum| sum.to_f64());
    }
}

/// The weights, in place, and their sums, which f64 holds: two classes together, then to the totals.
struct WeighAndAdd<'a, R: Real> {
    group: &'a mut Group<R>,
    ahead: Ahead<R>,
}

impl<R: Real> Kernel for WeighAndAdd<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let WeighAndAdd { group, ahead } = self;
        let weights = Weights::new(group);
        let mut sums = weights.sums();
        let (pairs, odd) = group.columns.as_chunks_mut::<2>();
        for (pair, [one, two]) in pairs.iter_mut().enumerate() {
            simd.one_by_one();
            ahead.read(simd, 2 * pair);
            ahead.read(simd, 2 * pair + 1);
            let a = weights.of_class(one, &mut sums);
            let b = weights.of_class(two, &mut sums);
            let (mut rest, mut first) = (sums.rest, sums.first);
            for i in 0..LANES {
                rest[i] = sums.rest[i] + (a.others[i].to_f64() + b.others[i].to_f64());
                first[i] = sums.first[i] + (a.moments[i].to_f64() + b.moments[i].to_f64());
            }
            (*one, *two) = (a.weights, b.weights);
            (sums.rest, sums.first) = (rest, first);
        }
        for column in odd {
            let a = weights.of_class(column, &mut sums);
            for i in 0..LANES {
                sums.rest[i] += a.others[i].to_f64();
                sums.first[i] += a.moments[i].to_f64();
            }
            *column = a.weights;
        }
        group.sums = sums;
    }
}

/// x/d, in f32 as x times 1/d.
#[inline(always)]
fn over<R: Real>(x: f64, d: f64, inverse: f64) -> f64 {
    if R::IN_DOUBLE { x / d } else { x * inverse }
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
        let Sums { top, maxima, rest: sum, first } = &group.sums;
        let classes = group.columns.len() as f64;
        let (mut rests, mut gaps, mut scales) = (Column::of(0.0), Column::of(0.0), Column::of(0.0));
        for i in 0..LANES {
            let (unit, weight) = (top[i].to_f64(), group.label_weight[i].to_f64());
            let (maxima, rest) = (maxima[i].to_f64(), sum[i] / unit);
            let (inverse, factor) = (group.inverse[i], group.factor[i]);
            let z = maxima + rest;
            let d = z * unit;
            let over_d = if R::IN_DOUBLE { 0.0 } else { 1.0 / d };
            let gap = (group.lanes.max[i].to_f64() - group.label[i].to_f64()) * inverse;
            let others = 1.0 - over::<R>(weight, d, over_d);
            let missed = if weight < unit { others } else { ((maxima - 1.0) + rest) / z };
            group.of_label[i] = R::of_f64(0.0 - missed * (factor * inverse));
            let slope = -(over::<R>(first[i], d, over_d) * inverse) - gap;
            group.taus[i] = slope * factor * inverse;
            (rests[i], gaps[i], scales[i]) = (rest, gap, over::<R>(factor * inverse, d, over_d));
        }
        for i in 0..LANES {
            let loss = ln_sum_in_f64(maxima[i].to_f64(), rests[i]) + gaps[i];
            group.losses[i] = group.weight[i] * loss;
        }
        for i in 0..LANES {
            let all_there = (rests[i] > 0.0) | (maxima[i].to_f64() == classes);
            let is_held = (scales[i] >= R::HOLDS.start) & (scales[i] < R::HOLDS.end);
            let fits = all_there & is_held & (gaps[i] < FARTHEST);
            group.ordinary[i] = fits & group.lanes.ordinary[i];
            let most = group.factor[i] * group.inverse[i];
            group.multipliers.set(i, Multiplier::new(scales[i], most));
        }
    }
}

/// Weights to gradients, in place.
struct Multiply<'a, R: Real> {
    group: &'a mut Group<R>,
    ahead: Ahead<R>,
}

impl<R: Real> Kernel for Multiply<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Multiply { group, ahead } = self;
        let Group { columns, multipliers, labels, of_label, .. } = group;
        let by = *multipliers;
        let (labels, of_label, mut class) = (*labels, *of_label, R::ZERO);
        for (place, column) in columns.iter_mut().enumerate() {
            simd.one_by_one();
            ahead.write(simd, place);
            let mut gradient = *column;
            for i in 0..LANES {
                let product = by.of(i).times(column[i]);
                gradient[i] = if labels[i] == class { of_label[i] } else { product };
            }
            *column = gradient;
            class = class + R::ONE;
        }
    }
}
