//! Rows of few classes: sixteen of them at a time, one in each lane, as in `softmax/few.rs`.
//!
//! ```text
//! eight rows to columns · m and NaN per lane · for each temperature: z and weights, class after class · their sums
//! with powers of z · loss and derivatives per lane
//! ```
//!
//! A row of ten numbers costs as much as its lane, and the logarithms and divisions at its end are vectors too.
//! Which way a row goes depends on its length and itself, never on its neighbours, so its bits do not either.

use crate::double::power_of_two;
use crate::element::Real;
use crate::fit::row::{Depth, Gap, Moments, OfRow, moments, put_together};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::Base2;

/// Rows up to this long are done here: their columns and weights stay in the first-level cache.
pub(super) const FEW: usize = 128;

/// How many rows are taken together.
pub(super) const ROWS: usize = 2 * LANES;

/// They are done by halves: a register of f32, two of f64.
const LANES: usize = 8;

/// Bytes that are fetched from memory together.
const LINE: usize = 64;

/// Sixteen rows on their way.
pub(super) struct Together<R> {
    halves: [Half<R>; 2],
}

/// Eight of them, class after class.
struct Half<R> {
    columns: Vec<[R; LANES]>,
    max: [R; LANES],
    /// Distances from the maximum in f64, −∞ at the maxima, and how many of those there are.
    distances: Vec<[f64; LANES]>,
    maxima: [f64; LANES],
}

impl<R: Real> Together<R> {
    pub(super) fn new(classes: usize) -> Self {
        let half = || Half {
            columns: vec![[R::ZERO; LANES]; classes],
            max: [R::NEG_INFINITY; LANES],
            distances: vec![[0.0; LANES]; classes],
            maxima: [0.0; LANES],
        };
        Together { halves: [half(), half()] }
    }

    /// Takes in rows and finds their maxima: NaN where a row holds one.
    pub(super) fn fill<S: Simd>(&mut self, simd: S, rows: &[&[R]; ROWS]) -> [R; ROWS] {
        let mut maxima = [R::ZERO; ROWS];
        let of_halves = rows.as_chunks::<LANES>().0.iter().zip(maxima.as_chunks_mut::<LANES>().0);
        for (half, (rows, maxima)) in self.halves.iter_mut().zip(of_halves) {
            simd.call(Transpose { rows, half });
            *maxima = half.max;
        }
        maxima
    }

    /// A quarter of the mean distance of what is not masked below the maximum.
    pub(super) fn mean_depths<S: Simd>(&self, simd: S) -> [Gap; ROWS] {
        let mut depths = [0.0; ROWS];
        for (half, depths) in self.halves.iter().zip(depths.as_chunks_mut::<LANES>().0) {
            simd.call(Depths { half, depths });
        }
        depths.map(Gap::of_quarter)
    }

    /// Takes in the same rows for questions that are answered in f64.
    pub(super) fn widen<S: Simd>(&mut self, simd: S) {
        for half in &mut self.halves {
            simd.call(Widen { half });
        }
    }

    /// The sums at a temperature; `false`, and no answer, for one whose factor the type does not have.
    pub(super) fn of_rows<S: Simd>(
        &mut self,
        simd: S,
        gaps: &[Gap; ROWS],
        draft: &Base2<R>,
        precise: &Base2<f64>,
        depth: Depth,
        answers: &mut [OfRow; ROWS],
    ) -> bool {
        let is_draft = depth == Depth::Draft;
        if (if is_draft { draft.exponent() } else { precise.exponent() }) != 0 {
            return false;
        }
        let of_halves = gaps.as_chunks::<LANES>().0.iter().zip(answers.as_chunks_mut::<LANES>().0);
        for (half, (gaps, answers)) in self.halves.iter().zip(of_halves) {
            if is_draft {
                let (_, factor, _) = draft.factors();
                let (columns, max) = (half.columns.as_flattened(), &half.max);
                let sums = &moments(simd, columns, max, factor, depth, 0);
                let (maxima, bias, base) = (&[0.0; LANES], R::BIAS, draft);
                simd.call(Finish { sums, maxima, bias, gaps, base, depth, answers });
            } else {
                let (factor, ..) = precise.factors();
                let (distances, zeros) = (half.distances.as_flattened(), &[0.0; LANES]);
                let sums = &moments(simd, distances, zeros, factor, depth, 0);
                let (maxima, bias, base) = (&half.maxima, <f64 as Real>::BIAS, precise);
                simd.call(Finish { sums, maxima, bias, gaps, base, depth, answers });
            }
        }
        true
    }
}

struct Transpose<'a, R> {
    rows: &'a [&'a [R]; LANES],
    half: &'a mut Half<R>,
}

impl<R: Real> Kernel for Transpose<'_, R> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::eq_op, reason = "a NaN is what differs from itself")]
    fn run<S: Simd>(self, simd: S) {
        let Transpose { rows, half } = self;
        let Half { columns, max, .. } = half;
        // Of one length, so that no entry is looked for beyond its row.
        let rows = rows.map(|row| &row[..columns.len()]);
        let tiles = rows.map(|row| row.as_chunks::<LANES>().0);
        let (tiled, rest) = columns.as_chunks_mut::<LANES>();
        // The rows that are next lie behind all of these, most often: so many short streams no machine foresees.
        let next = rows[0].as_ptr().wrapping_add(ROWS * rows[0].len());
        let line = LINE / size_of::<R>();
        for (k, columns) in tiled.iter_mut().enumerate() {
            for number in (0..LANES * LANES).step_by(line) {
                simd.prefetch_read(next.wrapping_add(k * LANES * LANES + number));
            }
            *columns = R::transpose(simd, std::array::from_fn(|i| &tiles[i][k]));
        }
        let tiled = tiled.len() * LANES;
        for (k, column) in rest.iter_mut().enumerate() {
            *column = rows.map(|row| row[tiled + k]);
        }
        let mut best = [R::NEG_INFINITY; LANES];
        for column in columns {
            let mut larger = best;
            for i in 0..LANES {
                // A NaN on either side fails the comparison: it enters, and stays.
                let keep = (best[i] >= column[i]) | (best[i] != best[i]);
                larger[i] = if keep { best[i] } else { column[i] };
            }
            best = larger;
        }
        *max = best;
    }
}

struct Widen<'a, R> {
    half: &'a mut Half<R>,
}

impl<R: Real> Kernel for Widen<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Half { columns, max, distances, maxima } = self.half;
        let max = max.map(|max| max.to_f64());
        let mut met = [0.0; LANES];
        for (column, distances) in columns.iter().zip(distances) {
            let (mut wide, mut now_met) = ([0.0; LANES], met);
            for i in 0..LANES {
                let x = column[i].to_f64();
                let is_below = x < max[i];
                wide[i] = if is_below { x - max[i] } else { f64::NEG_INFINITY };
                now_met[i] = met[i] + if is_below { 0.0 } else { 1.0 };
            }
            (*distances, met) = (wide, now_met);
        }
        *maxima = met;
    }
}

struct Depths<'a, R> {
    half: &'a Half<R>,
    depths: &'a mut [f64; LANES],
}

impl<R: Real> Kernel for Depths<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        // As in `row.rs`: so far down that no sum overflows.
        let down = power_of_two(if R::IN_DOUBLE { -30 } else { -10 });
        let factor = R::of_f64(down);
        let Half { columns, max, .. } = self.half;
        let (mut sum, mut count) = ([R::ZERO; LANES], [R::ZERO; LANES]);
        for column in columns {
            let (mut more, mut here) = (sum, count);
            for i in 0..LANES {
                let counts = column[i] > R::NEG_INFINITY;
                let x = if counts { column[i] } else { max[i] };
                more[i] = sum[i] + (max[i] * factor - x * factor);
                here[i] = count[i] + if counts { R::ONE } else { R::ZERO };
            }
            (sum, count) = (more, here);
        }
        for i in 0..LANES {
            self.depths[i] = sum[i].to_f64() / count[i].to_f64() * (0.25 / down);
        }
    }
}

/// What `row.rs` makes of the sums of one row, of all lanes.
struct Finish<'a, R, const W: usize> {
    sums: &'a Moments<[R; W]>,
    maxima: &'a [f64; W],
    bias: i32,
    gaps: &'a [Gap; W],
    base: &'a Base2<R>,
    depth: Depth,
    answers: &'a mut [OfRow; W],
}

impl<R: Real, const W: usize> Kernel for Finish<'_, R, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Finish { sums, maxima, bias, gaps, base, depth, answers } = self;
        let to_gap = 4.0 * base.inverse.hi * power_of_two(base.inverse_exponent);
        for i in 0..W {
            let sums = sums.each_ref().map(|lanes| lanes[i].to_f64());
            answers[i] = put_together(maxima[i], sums, bias, gaps[i].quarter() * to_gap, depth);
        }
    }
}
