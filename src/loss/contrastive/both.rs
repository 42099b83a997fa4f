//! Gradients of rows and of columns from the same tiles.
//!
//! ```text
//! for each block of rows, in order; for each stripe of columns, on some thread; for each of its tiles:
//!     S = X·Yᵀ → G        dX_block += G·Y, a sum per stripe        dY_stripe += Gᵀ·X_block
//! then the sums of the stripes are added, in order, and the block's rows are finished
//! ```
//!
//! A stripe has its columns to itself, and the order of every addition is fixed, so the bits do not depend on threads.
//!
//! | G needs | products | what else is kept |
//! | --- | --- | --- |
//! | nothing but S ([`fold`](Sweep::fold)) | S, G·Y, Gᵀ·X | |
//! | the sums of its rows ([`sums_and_pull`](Sweep::sums_and_pull)) | S, G·Y, Gᵀ·X | the tiles of a block, if they fit; otherwise S is computed twice |
//! | the sums of rows and columns | [`sums_of_both`](Sweep::sums_of_both) first: S, S, G·Y, Gᵀ·X | |
//!
//! dY is added up in two parts of the vectors' type, of which the first lies in the gradients themselves: f64 sums of
//! f32 would take twice the memory of the second.

use std::sync::Mutex;

use crate::element::{Element, Real};
use crate::interrupt::heed;
use crate::loss::contrastive::sweep::{COLUMNS, ROWS, Sweep, add, rows_of};
use crate::loss::weigh::{
    AddInTwo, ColumnSums, LANES, LogSum, Pull, Term, Times, Weigh, WeighColumns,
};
use crate::parallel;
use crate::simd::gemm::{Matrix, multiply};

/// Stripes of columns, at most: what threads share.
const STRIPES: usize = 8;
/// Rows of a block, the fewest that are worth keeping tiles for.
const FEW_ROWS: usize = 256;
/// Numbers in the rows, from which on blocks are smaller.
const MANY: usize = 1 << 23;
/// The tiles of a block of rows are kept up to this many bytes.
const KEPT: usize = 64 << 20;

/// Gradients, and what makes one of a sum: `finish(row, sum, its part of out)`.
pub(super) struct Side<'a, T, F> {
    pub(super) out: &'a mut [T],
    pub(super) finish: F,
}

/// Columns next to each other, which are one thread's at a time.
struct Stripe<'a, R, A> {
    first: usize,
    columns: usize,
    /// `[columns, width]`: dY in two parts.
    high: &'a mut [R],
    low: &'a mut [R],
    /// What each row of the block has of this stripe.
    rows: Vec<A>,
    /// `[ROWS, width]`: dX of this stripe.
    sums: Vec<f64>,
    /// Tile after tile, the weights of the block, and the largest entry of each row of each tile.
    kept: Vec<R>,
    maxima: Vec<f64>,
}

/// What a thread works in.
struct Space<R> {
    tile: Vec<R>,
    product: Vec<R>,
}

impl<R: Real> Sweep<'_, R> {
    /// The sums of rows and of columns, of one product.
    pub(super) fn sums_of_both(&self) -> (Vec<LogSum>, Vec<LogSum>) {
        struct Sums<'a> {
            first: usize,
            columns: &'a mut [LogSum],
            rows: Vec<LogSum>,
        }
        let scale = self.factor.scale;
        let mut rows = vec![LogSum::EMPTY; self.rows.rows];
        let mut columns = vec![LogSum::EMPTY; self.columns.rows];
        let per = self.stripe();
        let mut stripes: Vec<Sums<'_>> = columns
            .chunks_mut(per)
            .enumerate()
            .map(|(i, columns)| Sums { first: i * per, columns, rows: vec![] })
            .collect();
        let spaces = Mutex::new(Vec::new());
        for (block, out) in rows.chunks_mut(self.block_rows()).enumerate() {
            let (first, count) = (block * self.block_rows(), out.len());
            self.each(&mut stripes, &spaces, &|space, stripe| {
                stripe.rows.clear();
                stripe.rows.resize(count, LogSum::EMPTY);
                let mut sums = ColumnSums::new(COLUMNS / LANES);
                for (i, of_columns) in stripe.columns.chunks_mut(COLUMNS).enumerate() {
                    let (at, columns) = (stripe.first + i * COLUMNS, of_columns.len());
                    self.tile(&mut space.tile, first, count, at, columns);
                    R::run(WeighColumns {
                        tile: space.tile[..count * COLUMNS].as_chunks().0,
                        stride: COLUMNS / LANES,
                        chunks: columns.div_ceil(LANES),
                        factor: self.factor,
                        to: &mut sums,
                    });
                    for (column, sum) in of_columns.iter_mut().enumerate() {
                        sum.add(sums.of(column), scale);
                    }
                    let of_rows = rows_of(&mut space.tile, count, columns);
                    for (row, sum) in of_rows.zip(&mut stripe.rows) {
                        sum.add(R::run(Weigh::<_, false> { row, factor: self.factor }), scale);
                    }
                }
            });
            for stripe in &stripes {
                for (sum, &more) in out.iter_mut().zip(&stripe.rows) {
                    sum.add(more, scale);
                }
            }
        }
        (rows, columns)
    }

    /// `each(row, first column, similarities, its part of a)` makes G of a tile's row; what it gathers is merged.
    pub(super) fn fold<A: Copy + Default + Send, T: Element<Real = R>, F, G>(
        &self,
        each: &(impl Fn(usize, usize, &mut [[R; LANES]], &mut A) + Sync),
        merge: impl Fn(&mut A, A),
        rows: Side<'_, T, F>,
        columns: Side<'_, T, G>,
    ) -> Vec<A>
    where
        F: FnMut(usize, &mut [f64], &mut [T]),
        G: FnMut(usize, &mut [f64], &mut [T]),
    {
        let mut gathered = vec![A::default(); self.rows.rows];
        let Side { out, mut finish } = rows;
        self.with_stripes(A::default(), columns, |stripes, spaces| {
            for (block, gathered) in gathered.chunks_mut(self.block_rows()).enumerate() {
                let (first, count) = (block * self.block_rows(), gathered.len());
                self.each(stripes, spaces, &|space, stripe| {
                    stripe.begin(count);
                    for at in (0..stripe.columns).step_by(COLUMNS) {
                        heed();
                        let columns = COLUMNS.min(stripe.columns - at);
                        let from = stripe.first + at;
                        self.tile(&mut space.tile, first, count, from, columns);
                        let rows = rows_of(&mut space.tile, count, columns);
                        for (i, (row, a)) in rows.zip(&mut stripe.rows).enumerate() {
                            each(first + i, from, row, a);
                        }
                        let Space { tile, product } = space;
                        self.give(tile, product, stripe, (first, count), (at, columns));
                    }
                });
                for stripe in &*stripes {
                    for (all, &more) in gathered.iter_mut().zip(&stripe.rows) {
                        merge(all, more);
                    }
                }
                self.finish_block(stripes, first, count, out, &mut finish);
            }
        });
        gathered
    }

    /// The sums of the rows, and with `factor(row, sum)`, which multiplies exp((s − max)/τ), the gradients.
    pub(super) fn sums_and_pull<T: Element<Real = R>, F, G>(
        &self,
        factor: &impl Fn(usize, &LogSum) -> f64,
        rows: Side<'_, T, F>,
        columns: Side<'_, T, G>,
    ) -> Vec<LogSum>
    where
        F: FnMut(usize, &mut [f64], &mut [T]),
        G: FnMut(usize, &mut [f64], &mut [T]),
    {
        let scale = self.factor.scale;
        let most = KEPT / (self.columns.rows.next_multiple_of(COLUMNS).max(1) * size_of::<R>());
        let kept = most >= FEW_ROWS.min(self.rows.rows);
        let block_rows = if kept { most.clamp(1, self.block_rows()) } else { self.block_rows() };
        let mut sums = vec![LogSum::EMPTY; self.rows.rows];
        let Side { out, mut finish } = rows;
        self.with_stripes(LogSum::EMPTY, columns, |stripes, spaces| {
            for (block, sums) in sums.chunks_mut(block_rows).enumerate() {
                let (first, count) = (block * block_rows, sums.len());
                self.each(stripes, spaces, &|space, stripe| {
                    stripe.begin(count);
                    self.weigh(space, stripe, (first, count), kept);
                });
                for stripe in &*stripes {
                    for (sum, &more) in sums.iter_mut().zip(&stripe.rows) {
                        sum.add(more, scale);
                    }
                }
                let terms: Vec<(f64, f64)> = sums
                    .iter()
                    .enumerate()
                    .map(|(i, sum)| (sum.max, factor(first + i, sum)))
                    .collect();
                self.each(stripes, spaces, &|space, stripe| {
                    self.pull_stripe(space, stripe, first, &terms, kept);
                });
                self.finish_block(stripes, first, count, out, &mut finish);
            }
        });
        sums
    }

    /// The rows' sums over a stripe, whose weights are `kept`.
    fn weigh(
        &self,
        space: &mut Space<R>,
        stripe: &mut Stripe<'_, R, LogSum>,
        (first, count): (usize, usize),
        kept: bool,
    ) {
        let Stripe { rows, kept: all, maxima, .. } = stripe;
        let tiles = stripe.columns.div_ceil(COLUMNS);
        if kept {
            all.resize(tiles * count * COLUMNS, R::ZERO);
            maxima.clear();
        }
        for at in (0..stripe.columns).step_by(COLUMNS) {
            heed();
            let columns = COLUMNS.min(stripe.columns - at);
            let from = stripe.first + at;
            let tile = if kept {
                &mut all[at * count..][..count * COLUMNS]
            } else {
                &mut space.tile[..count * COLUMNS]
            };
            self.tile(tile, first, count, from, columns);
            for (row, sum) in rows_of(tile, count, columns).zip(rows.iter_mut()) {
                let factor = self.factor;
                let more = if kept {
                    R::run(Weigh::<_, true> { row, factor })
                } else {
                    R::run(Weigh::<_, false> { row, factor })
                };
                if kept {
                    maxima.push(more.max);
                }
                sum.add(more, factor.scale);
            }
        }
    }

    /// What a stripe gives, of the maximum and factor of each row.
    fn pull_stripe(
        &self,
        space: &mut Space<R>,
        stripe: &mut Stripe<'_, R, LogSum>,
        first: usize,
        terms: &[(f64, f64)],
        kept: bool,
    ) {
        let count = terms.len();
        for at in (0..stripe.columns).step_by(COLUMNS) {
            heed();
            let columns = COLUMNS.min(stripe.columns - at);
            let Space { tile, product } = space;
            if kept {
                let mut all = std::mem::take(&mut stripe.kept);
                let tile = &mut all[at * count..][..count * COLUMNS];
                let maxima = &stripe.maxima[at / COLUMNS * count..];
                let rows = rows_of(tile, count, columns).zip(terms).zip(maxima);
                for ((row, &(max, factor)), &of_tile) in rows {
                    let by = R::of_f64(factor * self.factor.weight_of_gap(of_tile, max));
                    R::run(Times { row, by });
                }
                self.give(tile, product, stripe, (first, count), (at, columns));
                stripe.kept = all;
            } else {
                self.tile(tile, first, count, stripe.first + at, columns);
                for (row, &(max, factor)) in rows_of(tile, count, columns).zip(terms) {
                    // Nothing is pulled by a row without entries.
                    let max = if max > f64::NEG_INFINITY { max } else { 0.0 };
                    let own = Term { max: R::of_f64(max), factor: R::of_f64(factor) };
                    R::run(Pull { row, own, columns: None, factor: self.factor });
                }
                self.give(tile, product, stripe, (first, count), (at, columns));
            }
        }
    }

    /// dX += G·Y, dY += Gᵀ·X.
    fn give<A>(
        &self,
        tile: &[R],
        product: &mut [R],
        stripe: &mut Stripe<'_, R, A>,
        (first, count): (usize, usize),
        (at, columns): (usize, usize),
    ) {
        let width = self.rows.width;
        self.multiply_tile(tile, product, count, stripe.first + at, columns);
        add(&mut stripe.sums, &product[..count * width], 1.0);
        let block = Matrix::new(&self.rows.data[first * width..], count, width, width);
        let tile = Matrix::new(tile, count, columns, COLUMNS);
        multiply(tile.transposed(), block, product, width);
        let range = at * width..(at + columns) * width;
        R::run(AddInTwo {
            high: &mut stripe.high[range.clone()],
            low: &mut stripe.low[range],
            more: &product[..columns * width],
        });
    }

    /// Adds the stripes' parts of dX, and finishes the rows.
    fn finish_block<T, A>(
        &self,
        stripes: &[Stripe<'_, R, A>],
        first: usize,
        count: usize,
        out: &mut [T],
        finish: &mut impl FnMut(usize, &mut [f64], &mut [T]),
    ) {
        let width = self.rows.width;
        let mut sum = vec![0.0; width];
        for i in 0..count {
            sum.fill(0.0);
            for stripe in stripes {
                let more = &stripe.sums[i * width..(i + 1) * width];
                sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
            let row = first + i;
            finish(row, &mut sum, &mut out[row * width..(row + 1) * width]);
        }
    }

    /// Rows of a block: half of a tile's where vectors take so much memory that what threads and stripes hold should not.
    fn block_rows(&self) -> usize {
        if self.rows.rows.saturating_mul(self.rows.width) > MANY { ROWS / 2 } else { ROWS }
    }

    /// Columns of a stripe: whole tiles.
    fn stripe(&self) -> usize {
        self.columns.rows.div_ceil(COLUMNS).div_ceil(STRIPES).max(1) * COLUMNS
    }

    /// Lends stripes to `run`, and finishes the columns after it.
    fn with_stripes<A: Copy, T: Element<Real = R>>(
        &self,
        nothing: A,
        side: Side<'_, T, impl FnMut(usize, &mut [f64], &mut [T])>,
        run: impl FnOnce(&mut [Stripe<'_, R, A>], &Mutex<Vec<Space<R>>>),
    ) {
        let Side { out, mut finish } = side;
        let width = self.rows.width;
        let mut low = vec![R::ZERO; out.len()];
        // The first part lies in the gradients themselves, where they have its type.
        let mut owned = Vec::new();
        let high = match T::as_real_mut(out) {
            Some(high) => high,
            None => {
                owned.resize(low.len(), R::ZERO);
                &mut owned[..]
            }
        };
        high.fill(R::ZERO);
        let (per, rows) = (self.stripe(), self.block_rows().min(self.rows.rows));
        let mut stripes: Vec<Stripe<'_, R, A>> = high
            .chunks_mut(per * width)
            .zip(low.chunks_mut(per * width))
            .enumerate()
            .map(|(i, (high, low))| Stripe {
                first: i * per,
                columns: high.len() / width,
                high,
                low,
                rows: vec![nothing; rows],
                sums: vec![0.0; rows * width],
                kept: Vec::new(),
                maxima: Vec::new(),
            })
            .collect();
        run(&mut stripes, &Mutex::new(Vec::new()));
        drop(stripes);
        let mut sum = vec![0.0; width];
        for (row, (out, low)) in
            out.chunks_exact_mut(width).zip(low.chunks_exact(width)).enumerate()
        {
            for (i, (sum, low)) in sum.iter_mut().zip(low).enumerate() {
                let high = match owned.get(row * width + i) {
                    Some(high) => high.to_f64(),
                    None => out[i].to_f64(),
                };
                *sum = high + low.to_f64();
            }
            finish(row, &mut sum, out);
        }
    }

    /// `with(space, stripe)` for each, over threads.
    fn each<S: Send>(
        &self,
        stripes: &mut [S],
        spaces: &Mutex<Vec<Space<R>>>,
        with: &(impl Fn(&mut Space<R>, &mut S) + Sync),
    ) {
        if stripes.len() > 1 && parallel::threads() > 1 {
            let (left, right) = stripes.split_at_mut(stripes.len() / 2);
            parallel::join(|| self.each(left, spaces, with), || self.each(right, spaces, with));
            return;
        }
        let taken = spaces.lock().expect("nothing panics with it").pop();
        let mut space = taken.unwrap_or_else(|| {
            let rows = self.block_rows().min(self.rows.rows);
            let columns = COLUMNS.min(self.columns.rows);
            Space {
                tile: vec![R::ZERO; rows * COLUMNS],
                product: vec![R::ZERO; rows.max(columns) * self.rows.width],
            }
        });
        stripes.iter_mut().for_each(|stripe| with(&mut space, stripe));
        spaces.lock().expect("nothing panics with it").push(space);
    }
}

impl<R, A: Copy + Default> Stripe<'_, R, A> {
    /// Ready for the next block of rows.
    fn begin(&mut self, count: usize) {
        self.rows.truncate(count);
        self.rows.fill(A::default());
        self.sums.fill(0.0);
    }
}
