//! Rows of few classes: sixteen of them at a time, one in each lane.
//!
//! A row of ten numbers does not fill a vector, and its maximum, shift and sum cost as much as those of
//! a thousand. Here the lanes are rows and the loop runs over the classes: the same steps as in
//! `row.rs`, nothing left to add up across lanes.
//!
//! ```text
//! transpose 16 rows · m per lane · n and the floor per lane · weights and their sum, class after class
//! · weights times 1/S per lane · transpose back
//! ```
//!
//! Which way a row goes depends on its length alone, so its bits do not depend on how many rows there
//! are: a group that is not full is filled up with zeros, and one of a row or two is left to `alone.rs`. Rows that are not ordinary (NaN, infinities,
//! a shift beyond 2^16, an extreme τ) go to `row.rs` one by one.

use std::ops::RangeInclusive;

use crate::double::Double;
use crate::element::Real;
use crate::exp::{Shift, weight};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{ROUND, Tempering, Temperings, round};
use crate::softmax::product::Multiplier;
use crate::softmax::row::{self, LANES, Lanes, Space};
use crate::softmax::turn::{Ahead, Column, Gather, Scatter};

/// Rows up to this long are done here, and their sums are made class after class.
pub(crate) const FEW: usize = 32;

/// Whether softmax of rows that are longer is done here as well, with the sums of `row.rs`, whose bits they are: where most lanes
/// of the last group have a row, and up to the length where the rows themselves are as fast.
#[inline(always)]
pub(crate) fn are_some(rows: usize, classes: usize) -> bool {
    classes <= 4 * FEW && (rows >= 4 * LANES || rows % LANES > LANES / 2)
}

/// From so many groups on, four go side by side where there are so many classes, and two otherwise: with fewer classes the work
/// is elsewhere, with more they take the room of a cache from each other.
const MANY: usize = 16;
const FOURS: RangeInclusive<usize> = 4..=16;

/// How many rows of a type that must be converted are taken together.
pub(crate) const BATCH: usize = 64;

/// Softmax of all rows of `out`, read from `rows` or in place; the first has the temperature of `first`.
#[inline(always)]
pub(crate) fn softmax<S: Simd, R: Real>(
    simd: S,
    rows: Option<&[R]>,
    out: &mut [R],
    classes: usize,
    temperings: &Temperings<R>,
    first: usize,
    space: &mut Space<R>,
) {
    let groups = out.len().div_ceil(LANES * classes);
    if classes > FEW {
        let mut columns = vec![Column::of(R::ZERO); classes];
        side_by_side::<_, _, 1>(simd, rows, out, &mut columns, temperings, first, space);
    } else if !R::IN_DOUBLE && groups >= MANY && FOURS.contains(&classes) {
        let mut columns = [Column::of(R::ZERO); 4 * FEW];
        let columns = &mut columns[..4 * classes];
        side_by_side::<_, _, 4>(simd, rows, out, columns, temperings, first, space);
    } else if groups >= 2 {
        let mut columns = [Column::of(R::ZERO); 2 * FEW];
        let columns = &mut columns[..2 * classes];
        side_by_side::<_, _, 2>(simd, rows, out, columns, temperings, first, space);
    } else {
        let mut columns = [Column::of(R::ZERO); FEW];
        let columns = &mut columns[..classes];
        side_by_side::<_, _, 1>(simd, rows, out, columns, temperings, first, space);
    }
}

/// Sixteen rows on their way.
struct Group<'a, R: Real> {
    columns: &'a mut [Column<R>],
    lanes: PerRow<R>,
}

/// N groups a step at a time: each waits for its own numbers most of the time, and not for those of the other.
///
/// Not inlined: a row or two by themselves would pay for its stack.
#[inline(never)]
fn side_by_side<S: Simd, R: Real, const N: usize>(
    simd: S,
    rows: Option<&[R]>,
    out: &mut [R],
    columns: &mut [Column<R>],
    temperings: &Temperings<R>,
    first: usize,
    space: &mut Space<R>,
) {
    let classes = columns.len() / N;
    let size = LANES * classes;
    let mut columns = columns.chunks_exact_mut(classes);
    let mut groups: [Group<R>; N] = std::array::from_fn(|_| Group {
        columns: columns.next().expect("columns for each group"),
        lanes: PerRow::new(temperings),
    });
    for (k, out) in out.chunks_mut(N * size).enumerate() {
        let (start, first) = (k * N * size, first + k * N * LANES);
        let rows = rows.map(|rows| &rows[start..start + out.len()]);
        let groups = &mut groups[..out.len().div_ceil(size)];
        for (g, rows) in rows.unwrap_or(out).chunks(size).enumerate() {
            let Group { columns, lanes } = &mut groups[g];
            lanes.temper_rows(temperings, first + g * LANES, rows.len() / classes);
            simd.call(Gather { rows, columns, max: &mut lanes.max });
        }
        for Group { lanes, .. } in &mut *groups {
            simd.call(Plans { lanes });
        }
        for (g, out) in out.chunks(size).enumerate() {
            let Group { columns, lanes } = &mut groups[g];
            let rows = rows.map_or(out, |rows| &rows[g * size..g * size + out.len()]);
            weigh(simd, columns, lanes, Some(Ahead::of(rows, N)));
        }
        for Group { lanes, .. } in &mut *groups {
            simd.call(Invert { lanes });
        }
        for (g, out) in out.chunks(size).enumerate() {
            let Group { columns, lanes } = &mut groups[g];
            simd.call(Multiply { columns, by: &lanes.inverse, ahead: Ahead::of(out, N) });
        }
        for (g, out) in out.chunks_mut(size).enumerate() {
            let Group { columns, lanes } = &groups[g];
            let which = &lanes.ordinary;
            if simd.call(Scatter { columns, which, out }) {
                continue;
            }
            for (i, out) in out.chunks_exact_mut(classes).enumerate() {
                if !which[i] {
                    let row = rows.map(|rows| &rows[g * size + i * classes..][..classes]);
                    let tempering = temperings.of_row(first + g * LANES + i);
                    row::softmax(simd, row, out, &tempering, space, 0);
                }
            }
        }
    }
}

/// What there is of each row.
pub(crate) struct PerRow<R: Real> {
    c: Column<f64>,
    depth: Column<R>,
    factor: Column<R>,
    factor_low: Column<R>,
    pub(crate) max: Column<R>,
    round: Column<R>,
    floor: Column<R>,
    /// Whether a row is done here.
    pub(crate) ordinary: [bool; LANES],
    /// The sum of the weights in two parts, and 1 over it.
    pub(crate) total: Column<f64>,
    pub(crate) correction: Column<f64>,
    pub(crate) inverse: Multipliers<R>,
}

/// The shift of each row, as columns: a list of shifts would be taken apart again before it goes to the lanes.
#[derive(Clone, Copy)]
pub(crate) struct Shifts<R> {
    factor: Column<R>,
    factor_low: Column<R>,
    round: Column<R>,
    floor: Column<R>,
}

impl<R: Real> Shifts<R> {
    #[inline(always)]
    pub(crate) fn of(&self, i: usize) -> Shift<R> {
        Shift {
            factor: self.factor[i],
            factor_low: self.factor_low[i],
            round: self.round[i],
            floor: self.floor[i],
        }
    }
}

impl<R: Real> PerRow<R> {
    /// The shift of each row.
    #[inline(always)]
    pub(crate) fn shifts(&self) -> Shifts<R> {
        let PerRow { factor, factor_low, round, floor, .. } = *self;
        Shifts { factor, factor_low, round, floor }
    }

    /// The exponents of the weights of the maxima, m·c − n.
    #[inline(always)]
    pub(crate) fn exponents(&self) -> Column<f64> {
        let shifts = self.shifts();
        let mut exponents = Column::of(0.0);
        for (i, exponent) in exponents.iter_mut().enumerate() {
            *exponent = max_exponent(self.max[i], &shifts.of(i), self.c[i]);
        }
        exponents
    }

    /// With the temperature of all rows, where it is one.
    pub(crate) fn new(temperings: &Temperings<'_, R>) -> Self {
        let (zero, zeros) = (Column::of(R::ZERO), Column::of(0.0));
        let mut lanes = PerRow {
            c: zeros,
            depth: zero,
            factor: zero,
            factor_low: zero,
            max: zero,
            round: zero,
            floor: zero,
            ordinary: [false; LANES],
            total: zeros,
            correction: zeros,
            inverse: Multipliers::of_inverses(),
        };
        if let Some(tempering) = temperings.one() {
            (0..LANES).for_each(|i| lanes.temper(i, tempering));
        }
        lanes
    }

    /// The temperatures of the rows of a group, where each has its own.
    #[inline(always)]
    pub(crate) fn temper_rows(
        &mut self,
        temperings: &Temperings<'_, R>,
        first: usize,
        rows: usize,
    ) {
        if temperings.one().is_none() {
            for i in 0..rows {
                self.temper(i, &temperings.of_row(first + i));
            }
        }
    }

    #[inline(always)]
    fn temper(&mut self, i: usize, tempering: &Tempering<R>) {
        match tempering {
            Tempering::Finite(base) if base.exponent() == 0 => {
                (self.c[i], self.factor[i], self.factor_low[i]) = base.factors();
                self.depth[i] = base.depth;
            }
            // A product that is no number marks the row as not ordinary.
            _ => self.c[i] = f64::NAN,
        }
    }
}

/// The exponent of the weight of the maximum, m·c − n.
#[inline(always)]
pub(crate) fn max_exponent<R: Real>(max: R, shift: &Shift<R>, c: f64) -> f64 {
    let (max, bias) = (max.to_f64(), R::ROUND + f64::from(R::BIAS));
    let exponent = max.mul_add(c, shift.round.to_f64() - bias);
    // c of f64 has a second part; that of f32 is in one.
    if R::IN_DOUBLE { max.mul_add(shift.factor_low.to_f64(), exponent) } else { exponent }
}

/// The shift and the floor of each row.
pub(crate) struct Plans<'a, R: Real> {
    pub(crate) lanes: &'a mut PerRow<R>,
}

impl<R: Real> Kernel for Plans<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let lanes = self.lanes;
        for i in 0..LANES {
            let product = lanes.max[i].to_f64() * lanes.c[i];
            lanes.round[i] = round(product + ROUND);
            lanes.floor[i] = lanes.max[i] - lanes.depth[i];
        }
        // In a loop of its own: bytes are other lanes.
        for i in 0..LANES {
            lanes.ordinary[i] = (lanes.max[i].to_f64() * lanes.c[i]).abs() < 65536.0;
        }
    }
}

/// The weights of sixteen rows, in place, and their sums: class after class, or as `row.rs` has them, class j to the virtual lane
/// j mod 16.
#[inline(always)]
pub(crate) fn weigh<S: Simd, R: Real>(
    simd: S,
    columns: &mut [Column<R>],
    lanes: &mut PerRow<R>,
    ahead: Option<Ahead<R>>,
) {
    if columns.len() <= FEW {
        simd.call(Weigh { columns, lanes, ahead, first: 0 });
        simd.call(AddUp { columns, lanes });
    } else {
        weigh_as_rows(simd, columns, lanes, ahead);
    }
}

#[inline(always)]
fn weigh_as_rows<S: Simd, R: Real>(
    simd: S,
    columns: &mut [Column<R>],
    lanes: &mut PerRow<R>,
    ahead: Option<Ahead<R>>,
) {
    let mut sums = [Lanes::ZERO; LANES];
    for (k, columns) in columns.chunks_mut(2 * LANES).enumerate() {
        simd.call(Weigh { columns, lanes, ahead, first: k * 2 * LANES });
        simd.call(AddUpAsRows { columns, sums: &mut sums });
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        let (left, right) = sums.split_at_mut(width);
        for (left, right) in left.iter_mut().zip(right) {
            simd.one_by_one();
            for i in 0..LANES {
                let (a, b) = (left.total[i], right.total[i]);
                let (a, b) = ((a, left.correction[i]), (b, right.correction[i]));
                (left.total[i], left.correction[i]) = R::join(a, b);
            }
        }
    }
    (lanes.total.0, lanes.correction.0) = (sums[0].total, sums[0].correction);
}

/// Up to thirty-two classes to the virtual lanes, in pairs where there are pairs of whole chunks.
struct AddUpAsRows<'a, R> {
    columns: &'a [Column<R>],
    sums: &'a mut [Lanes; LANES],
}

impl<R: Real> Kernel for AddUpAsRows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddUpAsRows { columns, sums } = self;
        let (chunks, _) = columns.as_chunks::<LANES>();
        if let [first, second] = chunks {
            for ((first, second), sum) in first.iter().zip(second).zip(sums) {
                simd.one_by_one();
                R::accumulate(&[*first, *second], &mut sum.total, &mut sum.correction);
            }
            return;
        }
        for (k, column) in columns.iter().enumerate() {
            simd.one_by_one();
            let sum = &mut sums[k % LANES];
            R::accumulate(std::slice::from_ref(column), &mut sum.total, &mut sum.correction);
        }
    }
}

/// The weights, in place.
struct Weigh<'a, R: Real> {
    columns: &'a mut [Column<R>],
    lanes: &'a PerRow<R>,
    ahead: Option<Ahead<R>>,
    /// Which of the classes is the first.
    first: usize,
}

impl<R: Real> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shifts = self.lanes.shifts();
        for (class, column) in self.columns.iter_mut().enumerate() {
            simd.one_by_one();
            if let Some(ahead) = self.ahead {
                ahead.read(simd, self.first + class);
            }
            let mut weights = *column;
            for i in 0..LANES {
                weights[i] = weight(column[i], &shifts.of(i));
            }
            *column = weights;
        }
    }
}

/// The sums of the weights, class after class.
struct AddUp<'a, R: Real> {
    columns: &'a [Column<R>],
    lanes: &'a mut PerRow<R>,
}

impl<R: Real> Kernel for AddUp<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (mut total, mut correction) = (Column::of(0.0), Column::of(0.0));
        R::accumulate(self.columns, &mut total, &mut correction);
        (self.lanes.total, self.lanes.correction) = (total, correction);
    }
}

/// 1 over the sum of each row, in two parts.
pub(crate) struct Invert<'a, R: Real> {
    pub(crate) lanes: &'a mut PerRow<R>,
}

impl<R: Real> Kernel for Invert<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let lanes = self.lanes;
        for i in 0..LANES {
            let sum = Double { hi: lanes.total[i], lo: lanes.correction[i] };
            let Multiplier { high, low, .. } = Multiplier::inverse(sum);
            (lanes.inverse.high[i], lanes.inverse.low[i]) = (high, low);
        }
    }
}

/// A number for each row.
#[derive(Clone, Copy)]
pub(crate) struct Multipliers<R: Real> {
    high: Column<R>,
    low: Column<R>,
    least: Column<R>,
    lift: Column<R::Bits>,
}

impl<R: Real> Multipliers<R> {
    pub(crate) const ZERO: Self = {
        let zero = Column::of(R::ZERO);
        Multipliers { high: zero, low: zero, least: zero, lift: Column::of(R::NO_BITS) }
    };

    /// Of numbers that are to come, inverses of sums, which have all else in common.
    #[inline(always)]
    fn of_inverses() -> Self {
        let Multiplier { least, lift, .. } = Multiplier::inverse(Double::ONE);
        Multipliers { least: Column::of(least), lift: Column::of(lift), ..Self::ZERO }
    }

    /// What they do not have in common, and back.
    #[cfg(feature = "ndarray")]
    #[inline(always)]
    pub(crate) fn parts(&self) -> [Column<R>; 2] {
        [self.high, self.low]
    }

    #[cfg(feature = "ndarray")]
    #[inline(always)]
    pub(crate) fn of_parts([high, low]: [Column<R>; 2]) -> Self {
        Multipliers { high, low, ..Self::of_inverses() }
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, i: usize, to: Multiplier<R>) {
        let Multiplier { high, low, least, lift } = to;
        (self.high[i], self.low[i], self.least[i], self.lift[i]) = (high, low, least, lift);
    }

    #[inline(always)]
    pub(crate) fn of(&self, i: usize) -> Multiplier<R> {
        let Multipliers { high, low, least, lift } = self;
        Multiplier { high: high[i], low: low[i], least: least[i], lift: lift[i] }
    }

    #[inline(always)]
    pub(crate) fn times(&self, column: &Column<R>) -> Column<R> {
        let mut product = *column;
        for i in 0..LANES {
            product[i] = self.of(i).times(column[i]);
        }
        product
    }
}

/// Weights times a number for each row.
pub(crate) struct Multiply<'a, R: Real> {
    pub(crate) columns: &'a mut [Column<R>],
    pub(crate) by: &'a Multipliers<R>,
    pub(crate) ahead: Ahead<R>,
}

impl<R: Real> Kernel for Multiply<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let by = *self.by;
        for (class, column) in self.columns.iter_mut().enumerate() {
            simd.one_by_one();
            self.ahead.write(simd, class);
            *column = by.times(column);
        }
    }
}
