//! Rows of few classes: sixteen of them at a time, one in each lane, as in `softmax/few.rs`.
//!
//! ```text
//! transpose 16 rows · m and NaN per lane · for each temperature: n and the floor per lane · weights, class after
//! class · their sums with powers of the distance · loss and derivatives per lane
//! ```
//!
//! A row of ten numbers costs as much as its lane, and the logarithms and divisions at its end are vectors too.
//! Which way a row goes depends on its length and itself, never on its neighbours, so its bits do not either.

use crate::double::power_of_two;
use crate::element::Real;
use crate::exp::{Shift, exp2_reduced, ln_sum_in_f64, weight_for_sums};
use crate::fit::row::{Depth, Gap, OfRow};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::Base2;

/// Rows up to this long are done here: their columns and weights stay in the first-level cache.
pub(super) const FEW: usize = 128;

/// How many rows are taken together: the lanes of f32. In f64 they are two halves.
pub(super) const ROWS: usize = 16;
const HALF: usize = ROWS / 2;

/// Rows of a type, class after class, and room for their weights.
pub(super) struct Columns<R, const W: usize> {
    entries: Vec<[R; W]>,
    weights: Vec<[R; W]>,
    pub(super) max: [R; W],
}

impl<R: Real, const W: usize> Columns<R, W> {
    fn new(classes: usize) -> Self {
        let zeros = vec![[R::ZERO; W]; classes];
        Columns { entries: zeros.clone(), weights: zeros, max: [R::NEG_INFINITY; W] }
    }
}

/// Sixteen rows on their way.
pub(super) struct Together<R> {
    columns: Columns<R, ROWS>,
    halves: [Columns<f64, HALF>; 2],
}

impl<R: Real> Together<R> {
    pub(super) fn new(classes: usize) -> Self {
        let half = || Columns::new(classes);
        Together { columns: Columns::new(classes), halves: [half(), half()] }
    }

    /// Takes in rows and finds their maxima: NaN where a row holds one.
    pub(super) fn fill<S: Simd>(&mut self, simd: S, rows: &[&[R]; ROWS]) -> [R; ROWS] {
        simd.call(Transpose { rows, columns: &mut self.columns });
        self.columns.max
    }

    /// A quarter of the mean distance of what is not masked below the maximum.
    pub(super) fn mean_depths<S: Simd>(&self, simd: S) -> [Gap; ROWS] {
        let mut depths = [0.0; ROWS];
        simd.call(Depths { columns: &self.columns, depths: &mut depths });
        depths.map(Gap::of_quarter)
    }

    /// Takes in the same rows for questions that are answered in f64.
    pub(super) fn widen<S: Simd>(&mut self, simd: S) {
        simd.call(Widen { columns: &self.columns, halves: &mut self.halves });
    }

    /// The sums at a temperature; `None` for a row that is not ordinary there.
    pub(super) fn of_rows<S: Simd>(
        &mut self,
        simd: S,
        gaps: &[Gap; ROWS],
        draft: &Base2<R>,
        precise: &Base2<f64>,
        depth: Depth,
    ) -> [Option<OfRow>; ROWS] {
        let mut answers = [None; ROWS];
        match depth {
            Depth::Draft => {
                let (columns, answers) = (&mut self.columns, &mut answers);
                of_lanes::<S, R, ROWS, true>(simd, columns, gaps, draft, false, answers);
            }
            _ => {
                let (gaps, _) = gaps.as_chunks::<HALF>();
                let (answers, _) = answers.as_chunks_mut::<HALF>();
                for ((half, gaps), answers) in self.halves.iter_mut().zip(gaps).zip(answers) {
                    if depth == Depth::Loss {
                        of_lanes::<S, f64, HALF, false>(simd, half, gaps, precise, true, answers);
                    } else {
                        of_lanes::<S, f64, HALF, true>(simd, half, gaps, precise, true, answers);
                    }
                }
            }
        }
        answers
    }
}

#[inline(always)]
fn of_lanes<S: Simd, R: Real, const W: usize, const MOMENTS: bool>(
    simd: S,
    columns: &mut Columns<R, W>,
    gaps: &[Gap; W],
    base: &Base2<R>,
    loss: bool,
    answers: &mut [Option<OfRow>; W],
) {
    if base.exponent() != 0 {
        return;
    }
    let mut lanes = Lanes::new();
    simd.call(Plans { max: &columns.max, base, lanes: &mut lanes });
    simd.call(Weigh { columns, base, lanes: &mut lanes });
    let unit = R::of_f64(power_of_two(base.inverse_exponent));
    simd.call(AddUp::<R, W, MOMENTS> { columns, unit, lanes: &mut lanes });
    let mut of_rows = [OfRow::default(); W];
    simd.call(Finish { gaps, base, lanes: &lanes, loss, moments: MOMENTS, of_rows: &mut of_rows });
    for i in 0..W {
        answers[i] = lanes.ordinary[i].then_some(of_rows[i]);
    }
}

/// What there is of each row at a temperature.
struct Lanes<R, const W: usize> {
    round: [R; W],
    floor: [R; W],
    /// The exponent of the largest weight.
    max_exponent: [f64; W],
    ordinary: [bool; W],
    maxima: [R; W],
    /// Weights times powers of the distance, from the 0th.
    powers: [[R; W]; 4],
}

impl<R: Real, const W: usize> Lanes<R, W> {
    #[inline(always)]
    fn new() -> Self {
        let zero = [R::ZERO; W];
        Lanes {
            round: zero,
            floor: zero,
            max_exponent: [0.0; W],
            ordinary: [false; W],
            maxima: zero,
            powers: [zero; 4],
        }
    }
}

struct Transpose<'a, R> {
    rows: &'a [&'a [R]; ROWS],
    columns: &'a mut Columns<R, ROWS>,
}

impl<R: Real> Kernel for Transpose<'_, R> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::eq_op, reason = "a NaN is what differs from itself")]
    fn run<S: Simd>(self, _: S) {
        let Columns { entries, max, .. } = self.columns;
        // Of one length, so that no entry is looked for beyond its row.
        let rows = self.rows.map(|row| &row[..entries.len()]);
        let mut best = [R::NEG_INFINITY; ROWS];
        for (class, column) in entries.iter_mut().enumerate() {
            let (mut entry, mut larger) = ([R::ZERO; ROWS], best);
            for i in 0..ROWS {
                entry[i] = rows[i][class];
            }
            for i in 0..ROWS {
                // A NaN on either side fails the comparison: it enters, and stays.
                let keep = (best[i] >= entry[i]) | (best[i] != best[i]);
                larger[i] = if keep { best[i] } else { entry[i] };
            }
            (*column, best) = (entry, larger);
        }
        *max = best;
    }
}

struct Widen<'a, R> {
    columns: &'a Columns<R, ROWS>,
    halves: &'a mut [Columns<f64, HALF>; 2],
}

impl<R: Real> Kernel for Widen<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (h, half) in self.halves.iter_mut().enumerate() {
            let widened = |lanes: &[R; ROWS]| {
                let mut wide = [0.0; HALF];
                for i in 0..HALF {
                    wide[i] = lanes[h * HALF + i].to_f64();
                }
                wide
            };
            for (column, wide) in self.columns.entries.iter().zip(&mut half.entries) {
                *wide = widened(column);
            }
            half.max = widened(&self.columns.max);
        }
    }
}

struct Depths<'a, R> {
    columns: &'a Columns<R, ROWS>,
    depths: &'a mut [f64; ROWS],
}

impl<R: Real> Kernel for Depths<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        // As in `row.rs`: so far down that no sum overflows.
        let down = power_of_two(if R::IN_DOUBLE { -30 } else { -10 });
        let factor = R::of_f64(down);
        let Columns { entries, max, .. } = self.columns;
        let (mut sum, mut count) = ([R::ZERO; ROWS], [R::ZERO; ROWS]);
        for column in entries {
            let (mut more, mut here) = (sum, count);
            for i in 0..ROWS {
                let counts = column[i] > R::NEG_INFINITY;
                let x = if counts { column[i] } else { max[i] };
                more[i] = sum[i] + (max[i] * factor - x * factor);
                here[i] = count[i] + if counts { R::ONE } else { R::ZERO };
            }
            (sum, count) = (more, here);
        }
        for i in 0..ROWS {
            self.depths[i] = sum[i].to_f64() / count[i].to_f64() * (0.25 / down);
        }
    }
}

/// The shift and the floor of each row.
struct Plans<'a, R, const W: usize> {
    max: &'a [R; W],
    base: &'a Base2<R>,
    lanes: &'a mut Lanes<R, W>,
}

impl<R: Real, const W: usize> Kernel for Plans<'_, R, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        /// 1.5 · 2^52: adding and taking it away rounds to an integer, ties to even.
        const ROUND: f64 = 6755399441055744.0;
        let Plans { max, base, lanes } = self;
        let c = base.c();
        for i in 0..W {
            let max = max[i].to_f64();
            let product = max * c.hi;
            let n = (product + ROUND) - ROUND;
            lanes.round[i] = R::of_f64(R::ROUND + f64::from(R::BIAS) - n);
            lanes.floor[i] = R::of_f64((n - R::DEPTH) / c.hi);
            lanes.max_exponent[i] = max.mul_add(c.lo, max.mul_add(c.hi, -n));
            lanes.ordinary[i] = product.abs() < 65536.0;
        }
    }
}

/// The weights of what is below the maximum, and how often that is met.
struct Weigh<'a, R, const W: usize> {
    columns: &'a mut Columns<R, W>,
    base: &'a Base2<R>,
    lanes: &'a mut Lanes<R, W>,
}

impl<R: Real, const W: usize> Kernel for Weigh<'_, R, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Weigh { columns, base, lanes } = self;
        let Columns { entries, weights, max } = columns;
        let (round, floor, max) = (lanes.round, lanes.floor, *max);
        let (_, factor, factor_low) = base.factors();
        let mut maxima = [R::ZERO; W];
        for (column, out) in entries.iter().zip(weights) {
            let (mut w, mut count) = ([R::ZERO; W], maxima);
            for i in 0..W {
                let x = column[i];
                let shift = Shift { factor, factor_low, round: round[i], floor: floor[i] };
                let full = weight_for_sums(x, &shift);
                // Far below the floor the shift's bits are no exponent any more.
                w[i] = if (x > floor[i]) & (x < max[i]) { full } else { R::ZERO };
                count[i] = maxima[i] + if x < max[i] { R::ZERO } else { R::ONE };
            }
            (*out, maxima) = (w, count);
        }
        lanes.maxima = maxima;
    }
}

/// Sums of the weights, with `MOMENTS` also times powers of the distance.
struct AddUp<'a, R, const W: usize, const MOMENTS: bool> {
    columns: &'a Columns<R, W>,
    unit: R,
    lanes: &'a mut Lanes<R, W>,
}

impl<R: Real, const W: usize, const MOMENTS: bool> Kernel for AddUp<'_, R, W, MOMENTS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let AddUp { columns, unit, lanes } = self;
        let Columns { entries, weights, max } = columns;
        let (floor, max) = (lanes.floor, *max);
        let mut sums = [[R::ZERO; W]; 4];
        for (column, weights) in entries.iter().zip(weights) {
            let [mut zeroth, mut first, mut second, mut third] = sums;
            for i in 0..W {
                let w = weights[i];
                zeroth[i] = sums[0][i] + w;
                if MOMENTS {
                    let x = if column[i] > floor[i] { column[i] } else { floor[i] };
                    let d = (x - max[i]) * unit;
                    let once = w * d;
                    let twice = once * d;
                    first[i] = sums[1][i] + once;
                    second[i] = sums[2][i] + twice;
                    third[i] = twice.mul_add(d, sums[3][i]);
                }
            }
            sums = [zeroth, first, second, third];
        }
        lanes.powers = sums;
    }
}

/// What `row.rs` makes of the sums of one row, of all lanes.
struct Finish<'a, R, const W: usize> {
    gaps: &'a [Gap; W],
    base: &'a Base2<R>,
    lanes: &'a Lanes<R, W>,
    loss: bool,
    moments: bool,
    of_rows: &'a mut [OfRow; W],
}

impl<R: Real, const W: usize> Kernel for Finish<'_, R, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Finish { gaps, base, lanes, loss, moments, of_rows } = self;
        let inverse = base.inverse.hi;
        let to_gap = 4.0 * inverse * power_of_two(base.inverse_exponent);
        let (bias, unbias) = (power_of_two(R::BIAS), power_of_two(-R::BIAS));
        let (mut rest, mut max_weight, mut gap) = ([0.0; W], [0.0; W], [0.0; W]);
        for i in 0..W {
            rest[i] = lanes.powers[0][i].to_f64();
            max_weight[i] = exp2_reduced(lanes.max_exponent[i]);
            gap[i] = gaps[i].quarter() * to_gap;
        }
        if loss {
            for i in 0..W {
                let rest = rest[i] / max_weight[i] * unbias;
                of_rows[i].loss = ln_sum_in_f64(lanes.maxima[i].to_f64(), rest) + gap[i];
            }
        }
        if moments {
            for i in 0..W {
                let total = rest[i] + lanes.maxima[i].to_f64() * max_weight[i] * bias;
                let scale = inverse / total;
                let first = lanes.powers[1][i].to_f64() * scale;
                let second = lanes.powers[2][i].to_f64() * scale * inverse;
                let third = lanes.powers[3][i].to_f64() * scale * (inverse * inverse);
                of_rows[i].slope = first + gap[i];
                of_rows[i].variance = second - first * first;
                of_rows[i].third = third - 3.0 * first * second + 2.0 * first * first * first;
            }
        }
    }
}
