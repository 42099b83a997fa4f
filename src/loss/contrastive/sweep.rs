//! All similarities of rows and columns, a tile at a time: a thread never holds more than 1024 × 1024 of them.
//!
//! ```text
//! sum:   S = X·Yᵀ (a tile)   running max, Σ w, Σ w·(s − max) per row        and with MEAN also Σ_j w_j·y_j = W·Y
//! pull:  S again             G_ij = f_i·exp((s − m_i)/τ) + f_j·exp((s − m_j)/τ)      dX += G·Y
//! ```
//!
//! Products are in the type of the vectors, within a tile; what goes from tile to tile is f64. A block of rows goes
//! over the columns in order, and rows are independent, so the bits do not depend on threads. `both.rs` has the losses
//! whose columns get gradients too.

use crate::element::Real;
use crate::interrupt::heed;
use crate::loss::contrastive::vectors::Prepared;
use crate::loss::weigh::{ColumnTerms, Factor, LANES, LogSum, Pull, Term, Weigh};
use crate::parallel;
use crate::simd::gemm::{Matrix, multiply};

/// Rows of a tile, at most. The products take a copy of the columns for each block of rows, which few rows do not pay for.
pub(super) const ROWS: usize = 1024;
/// The same where there would be no block for each thread; results do not depend on it.
const FEW_ROWS: usize = 64;
/// Columns of a tile: what goes from tile to tile is f64, and with fewer columns there would be more of it.
pub(super) const COLUMNS: usize = 1024;

/// Columns that are not in a row's sum: itself, its positive.
pub(super) type Without = [Option<usize>; 2];

/// Rows against columns.
pub(super) struct Sweep<'a, R: Real> {
    pub(super) rows: &'a Prepared<'a, R>,
    pub(super) columns: &'a Prepared<'a, R>,
    pub(super) factor: &'a Factor<R>,
    /// Of each row.
    pub(super) without: &'a (dyn Fn(usize) -> Without + Sync),
}

/// The terms of all rows, or of all columns, in the form the kernels take them.
pub(super) struct Terms<R> {
    maxima: Vec<[R; LANES]>,
    factors: Vec<[R; LANES]>,
}

impl<R: Real> Terms<R> {
    /// `factors` multiply exp((s − max)/τ) of the sums.
    pub(super) fn new(sums: &[LogSum], factors: impl Iterator<Item = f64>) -> Self {
        let chunks = sums.len().div_ceil(LANES);
        let (mut maxima, mut all) =
            (vec![[R::ZERO; LANES]; chunks], vec![[R::ZERO; LANES]; chunks]);
        for (to, sum) in maxima.as_flattened_mut().iter_mut().zip(sums) {
            *to = if sum.is_empty() { R::ZERO } else { R::of_f64(sum.max) };
        }
        for (to, factor) in all.as_flattened_mut().iter_mut().zip(factors) {
            *to = R::of_f64(factor);
        }
        Terms { maxima, factors: all }
    }

    pub(super) fn of_row(&self, row: usize) -> Term<R> {
        Term { max: self.maxima.as_flattened()[row], factor: self.factors.as_flattened()[row] }
    }

    pub(super) fn of_columns(&self, first: usize, chunks: usize) -> ColumnTerms<'_, R> {
        let range = first / LANES..first / LANES + chunks;
        (&self.maxima[range.clone()], &self.factors[range])
    }
}

/// What a thread works in.
struct Space<R> {
    tile: Vec<R>,
    product: Vec<R>,
    /// `[ROWS, width]`.
    sums: Vec<f64>,
}

impl<R: Real> Sweep<'_, R> {
    /// The sum of each row.
    pub(super) fn sums(&self) -> Vec<LogSum> {
        let mut sums = vec![LogSum::EMPTY; self.rows.rows];
        let mut nothing = vec![(); self.rows.rows];
        self.blocks(&mut sums, &mut nothing, 1, &|space, first, sums, _| {
            self.sum_block::<false>(space, first, sums);
        });
        sums
    }

    /// The sum of each row, and `finish(row, sum, Σ_j w_j·y_j, its part of out)`, where w_j = exp((s_j − max)/τ).
    pub(super) fn sums_and_means<T: Send>(
        &self,
        out: &mut [T],
        finish: &(impl Fn(usize, LogSum, &mut [f64], &mut [T]) + Sync),
    ) -> Vec<LogSum> {
        let mut sums = vec![LogSum::EMPTY; self.rows.rows];
        let width = self.rows.width;
        self.blocks(&mut sums, out, width, &|space, first, sums, out| {
            self.sum_block::<true>(space, first, sums);
            let means = space.sums.chunks_exact_mut(width);
            for (i, (mean, out)) in means.zip(out.chunks_exact_mut(width)).enumerate() {
                finish(first + i, sums[i], mean, out);
            }
        });
        sums
    }

    /// Σ_j G_ij·y_j of each row to `finish(row, it, its part of out)`, of the terms of rows and columns.
    pub(super) fn pull<T: Send>(
        &self,
        own: &Terms<R>,
        of_columns: &Terms<R>,
        out: &mut [T],
        finish: &(impl Fn(usize, &mut [f64], &mut [T]) + Sync),
    ) {
        let width = self.rows.width;
        let mut nothing = vec![(); self.rows.rows];
        self.blocks(&mut nothing, out, width, &|space, first, nothing, out| {
            space.sums.fill(0.0);
            let rows = nothing.len();
            self.tiles(space, first, rows, &mut |space, at, columns| {
                for (i, row) in rows_of(&mut space.tile, rows, columns).enumerate() {
                    let own = own.of_row(first + i);
                    let columns = Some(of_columns.of_columns(at, row.len()));
                    R::run(Pull { row, own, columns, factor: self.factor });
                }
                self.multiply_tile(&space.tile, &mut space.product, rows, at, columns);
                add(&mut space.sums, &space.product[..rows * width], 1.0);
            });
            let sums = space.sums.chunks_exact_mut(width);
            for (i, (sum, out)) in sums.zip(out.chunks_exact_mut(width)).enumerate() {
                finish(first + i, sum, out);
            }
        });
    }

    fn sum_block<const MEAN: bool>(&self, space: &mut Space<R>, first: usize, sums: &mut [LogSum]) {
        space.sums.fill(0.0);
        let width = self.rows.width;
        let scale = self.factor.scale;
        self.tiles(space, first, sums.len(), &mut |space, at, columns| {
            let mut factors = [(1.0, 1.0); ROWS];
            let rows = rows_of(&mut space.tile, sums.len(), columns);
            for ((row, sum), factors) in rows.zip(sums.iter_mut()).zip(&mut factors) {
                let factor = self.factor;
                let more = if MEAN {
                    R::run(Weigh::<_, true> { row, factor })
                } else {
                    R::run(Weigh::<_, false> { row, factor })
                };
                *factors = sum.add(more, scale);
            }
            if MEAN {
                self.multiply_tile(&space.tile, &mut space.product, sums.len(), at, columns);
                let of_rows = space.sums.chunks_exact_mut(width);
                let of_rows = of_rows.zip(space.product.chunks_exact(width)).zip(factors);
                for ((sums, product), (here, there)) in of_rows.take(sums.len()) {
                    if here != 1.0 {
                        sums.iter_mut().for_each(|sum| *sum *= here);
                    }
                    add(sums, product, there);
                }
            }
        });
    }

    /// product ← tile·Y.
    pub(super) fn multiply_tile(
        &self,
        tile: &[R],
        product: &mut [R],
        rows: usize,
        at: usize,
        columns: usize,
    ) {
        let width = self.rows.width;
        let tile = Matrix::new(tile, rows, columns, COLUMNS);
        let others = Matrix::new(&self.columns.data[at * width..], columns, width, width);
        multiply(tile, others, product, width);
    }

    /// `with(space, first column, columns)` for each tile of a block of rows.
    fn tiles(
        &self,
        space: &mut Space<R>,
        first: usize,
        rows: usize,
        with: &mut dyn FnMut(&mut Space<R>, usize, usize),
    ) {
        for at in (0..self.columns.rows).step_by(COLUMNS) {
            heed();
            let columns = COLUMNS.min(self.columns.rows - at);
            self.tile(&mut space.tile, first, rows, at, columns);
            with(space, at, columns);
        }
    }

    /// tile ← X·Yᵀ, −∞ where there is no entry.
    pub(super) fn tile(
        &self,
        tile: &mut [R],
        first: usize,
        rows: usize,
        at: usize,
        columns: usize,
    ) {
        let width = self.rows.width;
        let block = Matrix::new(&self.rows.data[first * width..], rows, width, width);
        let others = Matrix::new(&self.columns.data[at * width..], columns, width, width);
        multiply(block, others.transposed(), tile, COLUMNS);
        for (i, row) in tile.chunks_exact_mut(COLUMNS).take(rows).enumerate() {
            row[columns..columns.next_multiple_of(LANES)].fill(R::NEG_INFINITY);
            for column in (self.without)(first + i).into_iter().flatten() {
                if let Some(column) = column.checked_sub(at).filter(|&column| column < columns) {
                    row[column] = R::NEG_INFINITY;
                }
            }
        }
    }

    /// `with(space, first row, a, b)` for each block of rows, over threads; `b` has `width` numbers per row.
    fn blocks<A: Send, B: Send>(
        &self,
        a: &mut [A],
        b: &mut [B],
        width: usize,
        with: &(impl Fn(&mut Space<R>, usize, &mut [A], &mut [B]) + Sync),
    ) {
        self.split(0, (a, b), width, rows_of_a_block(self.rows.rows), with);
    }

    fn split<A: Send, B: Send>(
        &self,
        first: usize,
        (a, b): (&mut [A], &mut [B]),
        width: usize,
        block: usize,
        with: &(impl Fn(&mut Space<R>, usize, &mut [A], &mut [B]) + Sync),
    ) {
        if a.is_empty() {
            return;
        }
        if a.len() > block && parallel::threads() > 1 {
            let middle = a.len().div_ceil(block) / 2 * block;
            let (a, a_right) = a.split_at_mut(middle);
            let (b, b_right) = b.split_at_mut(middle * width);
            parallel::join(
                || self.split(first, (a, b), width, block, with),
                || self.split(first + middle, (a_right, b_right), width, block, with),
            );
            return;
        }
        let rows = block.min(a.len());
        let numbers = rows * self.rows.width;
        let tile = vec![R::ZERO; rows * COLUMNS];
        let mut space = Space { tile, product: vec![R::ZERO; numbers], sums: vec![0.0; numbers] };
        for (i, (a, b)) in a.chunks_mut(block).zip(b.chunks_mut(block * width)).enumerate() {
            with(&mut space, first + i * block, a, b);
        }
    }
}

/// As many as there can be if every thread is to have some.
fn rows_of_a_block(rows: usize) -> usize {
    // The power of two that is no more than a thread's share.
    ((rows / parallel::threads()).clamp(FEW_ROWS, ROWS) + 1).next_power_of_two() / 2
}

/// The rows of a tile, in whole chunks.
pub(super) fn rows_of<R>(
    tile: &mut [R],
    rows: usize,
    columns: usize,
) -> impl Iterator<Item = &mut [[R; LANES]]> {
    let chunks = columns.div_ceil(LANES);
    tile.chunks_exact_mut(COLUMNS).take(rows).map(move |row| &mut row.as_chunks_mut().0[..chunks])
}

pub(super) fn add<R: Real>(sums: &mut [f64], more: &[R], factor: f64) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += factor * more.to_f64();
    }
}
