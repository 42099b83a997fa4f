//! Logarithms of rows of few classes: sixteen of them at a time, as in `few.rs`.
//!
//! ```text
//! weights per lane, those of the maxima counted · rest = their sum over the weight of the maximum
//! L = ln(count + rest) per lane · log p = (x − m)/τ − L, class after class · log Z = m/τ + L
//! ```
//!
//! Logarithms of f32 rows, and of what is computed in f32, need no more than f64; those of f64 rows are in double-double, as
//! in `log.rs`. Rows whose rest is lost below the floor, or whose log Z all but cancels in f64, go there one by one, like
//! those that `few.rs` sends to `row.rs`.

use crate::double::{Double, power_of_two, two_sum};
use crate::element::Real;
use crate::exp::{exp2_reduced, ln_sum, ln_sum_in_f64, weight};
use crate::simd::{Kernel, Simd};
use crate::softmax::few::{FEW, PerRow, Plans};
use crate::softmax::log;
use crate::softmax::plan::{Tempering, Temperings};
use crate::softmax::row::{LANES, Space};
use crate::softmax::turn::{Ahead, Column, Gather, Scatter};

/// From a maximum this large on, the distance of an entry may overflow.
const FARTHEST: f64 = power_of_two(900);

/// Sixteen rows on their way.
pub(crate) struct Group<R: Real> {
    columns: [Column<R>; FEW],
    /// Weights, without those of the maxima.
    others: [Column<R>; FEW],
    lanes: PerRow<R>,
    inverse: Doubles,
    maxima: Column<R>,
    log_normaliser: Doubles,
    log_partition: Column<f64>,
    ordinary: [bool; LANES],
}

/// A number for each row; of f32 rows the second parts are 0.
#[derive(Clone, Copy)]
struct Doubles {
    hi: Column<f64>,
    lo: Column<f64>,
}

impl Doubles {
    const ZERO: Self = Doubles { hi: Column::of(0.0), lo: Column::of(0.0) };

    #[inline(always)]
    fn of(&self, i: usize) -> Double {
        Double { hi: self.hi[i], lo: self.lo[i] }
    }

    #[inline(always)]
    fn set(&mut self, i: usize, value: Double) {
        (self.hi[i], self.lo[i]) = (value.hi, value.lo);
    }
}

impl<R: Real> Group<R> {
    /// With the temperature of all rows, where it is one.
    pub(crate) fn new(temperings: &Temperings<'_, R>) -> Self {
        let (zero, zeros) = (Column::of(R::ZERO), Column::of(0.0));
        let mut group = Group {
            columns: [zero; FEW],
            others: [zero; FEW],
            lanes: PerRow::new(temperings),
            inverse: Doubles::ZERO,
            maxima: zero,
            log_normaliser: Doubles::ZERO,
            log_partition: zeros,
            ordinary: [false; LANES],
        };
        if let Some(Tempering::Finite(base)) = temperings.one() {
            (0..LANES).for_each(|i| group.inverse.set(i, base.whole_inverse()));
        }
        group
    }

    /// Takes in up to sixteen rows, of which the first has the temperature of `first`.
    #[inline(always)]
    fn fill<S: Simd>(
        &mut self,
        simd: S,
        rows: &[R],
        classes: usize,
        temperings: &Temperings<R>,
        first: usize,
    ) {
        let count = rows.len() / classes;
        self.lanes.temper_rows(temperings, first, count);
        if temperings.one().is_none() {
            for i in 0..count {
                if let Tempering::Finite(base) = &temperings.of_row(first + i) {
                    self.inverse.set(i, base.whole_inverse());
                }
            }
        }
        let columns = &mut self.columns[..classes];
        simd.call(Gather { rows, columns, max: &mut self.lanes.max });
        simd.call(Plans { lanes: &mut self.lanes });
        simd.call(Weigh { group: self, classes, ahead: Ahead::of(rows, 1) });
        simd.call(Finish { group: self, classes });
    }
}

/// Log-softmax of all rows of `out`, read from `rows` or in place; the first has the temperature of `first`.
#[inline(always)]
pub(crate) fn log_softmax<S: Simd, R: Real>(
    simd: S,
    rows: Option<&[R]>,
    out: &mut [R],
    classes: usize,
    temperings: &Temperings<R>,
    first: usize,
    space: &mut Space<R>,
) {
    let mut group = Group::new(temperings);
    for (k, out) in out.chunks_mut(LANES * classes).enumerate() {
        let (start, first) = (k * LANES * classes, first + k * LANES);
        let rows = rows.map(|rows| &rows[start..start + out.len()]);
        group.fill(simd, rows.unwrap_or(out), classes, temperings, first);
        simd.call(Subtract { group: &mut group, classes, ahead: Ahead::of(out, 1) });
        let columns = &group.columns[..classes];
        simd.call(Scatter { columns, which: &group.ordinary, out });
        for (i, out) in out.chunks_exact_mut(classes).enumerate() {
            if !group.ordinary[i] {
                let row = rows.map(|rows| &rows[i * classes..(i + 1) * classes]);
                log::log_softmax(simd, row, out, &temperings.of_row(first + i), space, 0);
            }
        }
    }
}

/// log Z of the rows, one for each place in `out`; the first has the temperature of `first`.
#[inline(always)]
pub(crate) fn log_sum_exp<S: Simd, R: Real>(
    simd: S,
    group: &mut Group<R>,
    rows: &[R],
    temperings: &Temperings<R>,
    first: usize,
    space: &mut Space<R>,
    out: &mut [f64],
) {
    let classes = rows.len() / out.len();
    for (k, (rows, out)) in rows.chunks(LANES * classes).zip(out.chunks_mut(LANES)).enumerate() {
        let first = first + k * LANES;
        group.fill(simd, rows, classes, temperings, first);
        for (i, (row, out)) in rows.chunks_exact(classes).zip(out).enumerate() {
            let log_z = group.log_partition[i];
            let has_digits = log::has_digits::<R>(log_z, group.log_normaliser.hi[i]);
            *out = if group.ordinary[i] && has_digits {
                log_z
            } else {
                log::log_sum_exp(simd, row, &temperings.of_row(first + i), space, 0)
            };
        }
    }
}

struct Weigh<'a, R: Real> {
    group: &'a mut Group<R>,
    classes: usize,
    ahead: Ahead<R>,
}

impl<R: Real> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weigh { group, classes, ahead } = self;
        let (shifts, max) = (group.lanes.shifts(), group.lanes.max);
        let mut maxima = Column::of(R::ZERO);
        let columns = group.columns[..classes].iter().zip(&mut group.others);
        for (class, (column, others)) in columns.enumerate() {
            simd.one_by_one();
            ahead.read(simd, class);
            let (mut below, mut count) = (Column::of(R::ZERO), maxima);
            for i in 0..LANES {
                let x = column[i];
                let shift = shifts.of(i);
                let w = weight(x, &shift);
                below[i] = if (x > shift.floor) & (x < max[i]) { w } else { R::ZERO };
                count[i] = maxima[i] + if x < max[i] { R::ZERO } else { R::ONE };
            }
            (*others, maxima) = (below, count);
        }
        group.maxima = maxima;
    }
}

/// The logarithms of the rows.
struct Finish<'a, R: Real> {
    group: &'a mut Group<R>,
    classes: usize,
}

impl<R: Real> Kernel for Finish<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Finish { group, classes } = self;
        let (mut rest, mut correction) = ([0.0; LANES], [0.0; LANES]);
        R::accumulate(&group.others[..classes], &mut rest, &mut correction);
        let exponents = group.lanes.exponents();
        let (mut logs, mut shares) = (Doubles::ZERO, Doubles::ZERO);
        for (i, &exponent) in exponents.iter().enumerate() {
            let rest = Double { hi: rest[i], lo: correction[i] };
            shares.set(i, share::<R>(rest, exponent));
        }
        for i in 0..LANES {
            logs.set(i, log_normaliser::<R>(group.maxima[i].to_f64(), shares.of(i)));
        }
        for (i, &rest) in rest.iter().enumerate() {
            let (max, maxima) = (group.lanes.max[i].to_f64(), group.maxima[i].to_f64());
            let is_ordinary = group.lanes.ordinary[i];
            group.ordinary[i] = is_ordinary & is_held(rest, maxima, max, classes);
            group.log_partition[i] = log_partition::<R>(max, group.inverse.of(i), logs.of(i));
        }
        group.log_normaliser = logs;
    }
}

/// The sum of the weights below the maximum, over that of the maximum, which is 2^exponent.
#[inline(always)]
fn share<R: Real>(rest: Double, exponent: f64) -> Double {
    let (unit, bias) = (exp2_reduced(exponent), power_of_two(-R::BIAS));
    if R::IN_DOUBLE {
        let share = rest.over(Double::from(unit));
        Double { hi: share.hi * bias, lo: share.lo * bias }
    } else {
        Double::from(rest.hi / unit * bias)
    }
}

/// L.
#[inline(always)]
fn log_normaliser<R: Real>(maxima: f64, share: Double) -> Double {
    if R::IN_DOUBLE { ln_sum(maxima, share) } else { Double::from(ln_sum_in_f64(maxima, share.hi)) }
}

/// m/τ + L.
#[inline(always)]
fn log_partition<R: Real>(max: f64, inverse: Double, log_normaliser: Double) -> f64 {
    if R::IN_DOUBLE {
        inverse.times(Double::from(max)).plus(log_normaliser).hi
    } else {
        max * inverse.hi + log_normaliser.hi
    }
}

/// Whether nothing of the rest is lost, and no distance overflows.
#[inline(always)]
fn is_held(rest: f64, maxima: f64, max: f64, classes: usize) -> bool {
    ((rest > 0.0) | (maxima == classes as f64)) & (max.abs() < FARTHEST)
}

/// The logarithms of one row.
pub(crate) struct LogSum {
    pub(crate) log_normaliser: Double,
    log_partition: f64,
    pub(crate) is_ordinary: bool,
}

impl LogSum {
    /// From the maximum, how many there are of it, the sum of the other weights, the exponent of its own, and 1/τ.
    #[inline(always)]
    pub(crate) fn new<R: Real>(
        max: R,
        maxima: f64,
        rest: Double,
        exponent: f64,
        inverse: Double,
        classes: usize,
    ) -> LogSum {
        let max = max.to_f64();
        let log_normaliser = log_normaliser::<R>(maxima, share::<R>(rest, exponent));
        LogSum {
            log_normaliser,
            log_partition: log_partition::<R>(max, inverse, log_normaliser),
            is_ordinary: is_held(rest.hi, maxima, max, classes),
        }
    }

    #[inline(always)]
    pub(crate) fn log_z<R: Real>(&self) -> Option<f64> {
        let is_held =
            self.is_ordinary && log::has_digits::<R>(self.log_partition, self.log_normaliser.hi);
        is_held.then_some(self.log_partition)
    }
}

/// Logits to log-probabilities.
struct Subtract<'a, R: Real> {
    group: &'a mut Group<R>,
    classes: usize,
    ahead: Ahead<R>,
}

impl<R: Real> Kernel for Subtract<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Subtract { group, classes, ahead } = self;
        let (max, inverse, logs) = (group.lanes.max, group.inverse, group.log_normaliser);
        for (class, column) in group.columns[..classes].iter_mut().enumerate() {
            simd.one_by_one();
            ahead.write(simd, class);
            let mut log = *column;
            for i in 0..LANES {
                log[i] = log_p(column[i], max[i].to_f64(), inverse.of(i), logs.of(i));
            }
            *column = log;
        }
    }
}

/// (x − m)/τ − L.
#[inline(always)]
pub(crate) fn log_p<R: Real>(x: R, max: f64, inverse: Double, log_normaliser: Double) -> R {
    let x = x.to_f64();
    R::of_f64(if R::IN_DOUBLE {
        in_double(x, max, inverse, log_normaliser)
    } else {
        (x - max) * inverse.hi - log_normaliser.hi
    })
}

/// The same in double-double, as in `log.rs`.
#[inline(always)]
fn in_double(x: f64, max: f64, inverse: Double, log_normaliser: Double) -> f64 {
    let distance = x - max;
    let distance_low = (x - distance) - max;
    let scaled = distance * inverse.hi;
    let scaled_low = distance.mul_add(inverse.hi, -scaled)
        + distance_low.mul_add(inverse.hi, distance * inverse.lo);
    let (log, lost) = two_sum(scaled, -log_normaliser.hi);
    let low = lost + (scaled_low - log_normaliser.lo);
    if log.abs() < f64::INFINITY { log + low + 0.0 } else { log }
}
