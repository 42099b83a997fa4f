//! Rows of few classes, sixteen at a time, one in each lane, as in `softmax/few.rs`; the formulas are those of `row.rs`.
//!
//! Sums go class after class in f32, whose totals are f64; in f64 in the order of `row.rs`, with its bits.

use super::inverse;
use crate::element::Real;
use crate::exp::{Shift, ln_sum_in_f64, weight};
use crate::loss::distribution::FARTHEST;
use crate::simd::{Kernel, Simd};
use crate::softmax::few::{Multipliers, PerRow, Plans, Shifts};
use crate::softmax::plan::Temperings;
use crate::softmax::product::Multiplier;
use crate::softmax::row::LANES;
use crate::softmax::turn::{Ahead, Column, Gather, Scatter};

/// Sixteen rows on their way.
pub(super) struct Group<R: Real> {
    /// Of each class the logits, which become weights and gradients; weights times x − m; and in f64 what weighs less than the
    /// maximum. In one piece: memory that is asked for is felt where there is one row.
    columns: Vec<Column<R>>,
    classes: usize,
    lanes: PerRow<R>,
    sums: Sums<R>,
    /// The label's logit and weight.
    label: Column<R>,
    label_weight: Column<R>,
    /// 1/τ, and what the gradient is multiplied by.
    inverse: Column<f64>,
    factor: Column<f64>,
    /// The label as a number, −1 where a row does not count; and how much it does.
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
    pub(super) fn new(temperings: &Temperings<'_, R>, classes: usize) -> Self {
        let (zero, zeros) = (Column::of(R::ZERO), Column::of(0.0));
        let kinds = if R::IN_DOUBLE { 3 } else { 2 };
        let mut group = Group {
            columns: vec![zero; kinds * classes],
            classes,
            lanes: PerRow::new(temperings),
            sums: Sums { top: zero, maxima: zero, rest: zeros, first: zeros },
            label: zero,
            label_weight: zero,
            inverse: zeros,
            factor: zeros,
            labels: zero,
            weight: zeros,
            multipliers: Multipliers::ZERO,
            of_label: zero,
            ordinary: [false; LANES],
            losses: zeros,
            taus: zeros,
        };
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
}

/// Up to sixteen rows for each group, whose labels and factors are there; the gradients of the ordinary ones go to `out`. All
/// groups go a step at a time.
#[inline(always)]
pub(super) fn of_rows<S: Simd, R: Real>(
    simd: S,
    groups: &mut [Group<R>],
    rows: &[R],
    out: &mut [R],
) {
    let (count, classes) = (groups.len(), groups[0].classes);
    let size = LANES * classes;
    for (Group { columns, lanes, .. }, rows) in groups.iter_mut().zip(rows.chunks(size)) {
        let columns = &mut columns[..classes];
        simd.call(Gather { rows, columns, max: &mut lanes.max });
    }
    for Group { lanes, .. } in &mut *groups {
        simd.call(Plans { lanes });
    }
    for (group, rows) in groups.iter_mut().zip(rows.chunks(size)) {
        simd.call(Weigh { group, ahead: Ahead::of(rows, count) });
        if R::IN_DOUBLE {
            let (_, moments) = group.columns.split_at_mut(classes);
            let (moments, others) = moments.split_at_mut(classes);
            simd.call(AddUp { columns: others, sums: &mut group.sums.rest });
            simd.call(AddUp { columns: moments, sums: &mut group.sums.first });
        } else {
            simd.call(AddInPairs { group });
        }
    }
    for group in &mut *groups {
        simd.call(Finish { group });
    }
    for (group, out) in groups.iter_mut().zip(out.chunks_mut(size)) {
        simd.call(Multiply { group, ahead: Ahead::of(out, count) });
        let columns = &group.columns[..classes];
        simd.call(Scatter { columns, which: &group.ordinary, out });
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
    labels: Column<R>,
}

/// The class that is weighed next, and what was found at the labels.
#[derive(Clone, Copy)]
struct AtLabel<R> {
    class: R,
    logit: Column<R>,
    weight: Column<R>,
}

impl<R: Real> AtLabel<R> {
    /// Where there is no label, the maximum: the loss, which does not count, is a number.
    #[inline(always)]
    fn new(max: Column<R>) -> Self {
        AtLabel { class: R::ZERO, logit: max, weight: Column::of(R::ZERO) }
    }
}

/// The weight of an entry; that, if it is less than the one of the maximum, which is `top`; times x − m; and 1 if it is not less.
#[inline(always)]
pub(super) fn of_entry<R: Real>(x: R, shift: &Shift<R>, max: R, top: R) -> [R; 4] {
    let w = weight(x, shift);
    let w = if x > shift.floor { w } else { R::ZERO };
    // Below the floor there is no weight, and the distance may be infinite.
    let distance = (if x > shift.floor { x } else { shift.floor }) - max;
    let (other, count) = if w < top { (w, R::ZERO) } else { (R::ZERO, R::ONE) };
    [w, other, w * distance, count]
}

impl<R: Real> Weights<R> {
    #[inline(always)]
    fn new(group: &Group<R>) -> Self {
        let (shifts, max) = (group.lanes.shifts(), group.lanes.max);
        let mut top = Column::of(R::ZERO);
        for i in 0..LANES {
            top[i] = weight(max[i], &shifts.of(i));
        }
        Weights { shifts, max, top, labels: group.labels }
    }

    #[inline(always)]
    fn of_class(
        &self,
        column: &Column<R>,
        sums: &mut Sums<R>,
        label: &mut AtLabel<R>,
    ) -> OfClass<R> {
        let AtLabel { class, mut logit, weight: mut of_label } = *label;
        let (mut weights, mut others) = (Column::of(R::ZERO), Column::of(R::ZERO));
        let (mut moments, mut maxima) = (Column::of(R::ZERO), sums.maxima);
        for i in 0..LANES {
            let (x, shift) = (column[i], self.shifts.of(i));
            let [w, other, moment, count] = of_entry(x, &shift, self.max[i], self.top[i]);
            (weights[i], others[i], moments[i]) = (w, other, moment);
            maxima[i] = sums.maxima[i] + count;
            logit[i] = if self.labels[i] == class { x } else { label.logit[i] };
            of_label[i] = if self.labels[i] == class { w } else { label.weight[i] };
        }
        sums.maxima = maxima;
        *label = AtLabel { class: class + R::ONE, logit, weight: of_label };
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
        let (mut sums, mut label) = (weights.sums(), AtLabel::new(weights.max));
        let (columns, moments) = group.columns.split_at_mut(group.classes);
        let (moments, others) = moments.split_at_mut(group.classes);
        for (class, (column, moments)) in columns.iter_mut().zip(moments).enumerate() {
            simd.one_by_one();
            ahead.read(simd, class);
            let of = weights.of_class(column, &mut sums, &mut label);
            (*column, *moments) = (of.weights, of.moments);
            if let Some(others) = others.get_mut(class) {
                *others = of.others;
            }
        }
        group.sums = sums;
        (group.label, group.label_weight) = (label.logit, label.weight);
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

/// Sums of f32, which f64 holds: two classes together, then to the totals.
struct AddInPairs<'a, R: Real> {
    group: &'a mut Group<R>,
}

impl<R: Real> Kernel for AddInPairs<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Group { columns, classes, sums, .. } = self.group;
        let (columns, moments) = columns.split_at(*classes);
        let Sums { top, mut rest, mut first, .. } = *sums;
        let other = |w: R, i: usize| (if w < top[i] { w } else { R::ZERO }).to_f64();
        let ((pairs, odd), (moments, odd_moments)) =
            (columns.as_chunks::<2>(), moments.as_chunks::<2>());
        for ([a, b], [m, n]) in pairs.iter().zip(moments) {
            simd.one_by_one();
            let (mut rests, mut firsts) = (rest, first);
            for i in 0..LANES {
                rests[i] = rest[i] + (other(a[i], i) + other(b[i], i));
                firsts[i] = first[i] + (m[i].to_f64() + n[i].to_f64());
            }
            (rest, first) = (rests, firsts);
        }
        for (a, m) in odd.iter().zip(odd_moments) {
            for i in 0..LANES {
                rest[i] += other(a[i], i);
                first[i] += m[i].to_f64();
            }
        }
        (sums.rest, sums.first) = (rest, first);
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
        let classes = group.classes as f64;
        let zeros = Column::of(0.0);
        let (mut rests, mut gaps, mut scales) = (zeros, zeros, zeros);
        for i in 0..LANES {
            let (inverse, factor) = (group.inverse[i], group.factor[i]);
            let lane = Lane::new::<R>(
                [top[i].to_f64(), maxima[i].to_f64()],
                [sum[i], first[i]],
                [
                    group.lanes.max[i].to_f64(),
                    group.label[i].to_f64(),
                    group.label_weight[i].to_f64(),
                ],
                inverse,
                factor,
            );
            group.of_label[i] = R::of_f64(lane.of_label);
            group.taus[i] = lane.slope * factor * inverse;
            (rests[i], gaps[i], scales[i]) = (lane.rest, lane.gap, lane.scale);
        }
        for i in 0..LANES {
            let loss = ln_sum_in_f64(maxima[i].to_f64(), rests[i]) + gaps[i];
            group.losses[i] = group.weight[i] * loss;
        }
        for i in 0..LANES {
            let fits = fits::<R>(rests[i], gaps[i], scales[i], maxima[i].to_f64(), classes);
            group.ordinary[i] = fits & group.lanes.ordinary[i];
            let most = group.factor[i] * group.inverse[i];
            group.multipliers.set(i, Multiplier::new(scales[i], most));
        }
    }
}

/// What comes of the sums over a row.
pub(super) struct Lane {
    /// What the others weigh, in weights of the maximum, and how far the label is below it.
    pub(super) rest: f64,
    pub(super) gap: f64,
    /// What a weight is to be multiplied by, the gradient in the label's logit, and τ times that in τ over the factor.
    pub(super) scale: f64,
    pub(super) of_label: f64,
    pub(super) slope: f64,
}

impl Lane {
    /// From the weight of the maximum and how many have it, the sums, and the logits of maximum and label, with its weight.
    #[inline(always)]
    pub(super) fn new<R: Real>(
        [unit, maxima]: [f64; 2],
        [sum, first]: [f64; 2],
        [max, label, weight]: [f64; 3],
        inverse: f64,
        factor: f64,
    ) -> Self {
        let rest = sum / unit;
        let z = maxima + rest;
        let d = z * unit;
        let over_d = if R::IN_DOUBLE { 0.0 } else { 1.0 / d };
        let gap = (max - label) * inverse;
        let others = 1.0 - over::<R>(weight, d, over_d);
        let missed = if weight < unit { others } else { ((maxima - 1.0) + rest) / z };
        Lane {
            rest,
            gap,
            scale: over::<R>(factor * inverse, d, over_d),
            of_label: 0.0 - missed * (factor * inverse),
            slope: -(over::<R>(first, d, over_d) * inverse) - gap,
        }
    }
}

/// Whether nothing of the rest is lost, and nothing leaves the range of the type.
#[inline(always)]
pub(super) fn fits<R: Real>(rest: f64, gap: f64, scale: f64, maxima: f64, classes: f64) -> bool {
    let all_there = (rest > 0.0) | (maxima == classes);
    let is_held = (scale >= R::HOLDS.start) & (scale < R::HOLDS.end);
    all_there & is_held & (gap < FARTHEST)
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
        let Group { columns, classes, multipliers, labels, of_label, .. } = group;
        let by = *multipliers;
        let (labels, of_label, mut class) = (*labels, *of_label, R::ZERO);
        for (place, column) in columns[..*classes].iter_mut().enumerate() {
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
