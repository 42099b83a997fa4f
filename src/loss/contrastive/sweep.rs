//! All similarities of rows and columns, a tile at a time: never more than 64 × 512 of them are there at once.
//!
//! ```text
//! sum:   S = X·Yᵀ (a tile)   running max, Σ w, Σ w·(s − max) per row        and with MEAN also Σ_j w_j·y_j = W·Y
//! pull:  S again             G_ij = f_i·exp((s − m_i)/τ) + f_j·exp((s − m_j)/τ)      dX += G·Y
//! ```
//!
//! Products are in the type of the vectors, within a tile; what goes from tile to tile is f64. A block of rows goes
//! over the columns in order, and blocks are independent, so the bits do not depend on threads.

use crate::element::Real;
use crate::loss::contrastive::vectors::Prepared;
use crate::loss::weigh::{Factor, LANES, LogSum, Pull, Term, Weigh};
use crate::simd::dispatch;
use crate::simd::gemm::{Matrix, multiply};

/// Rows of a tile.
const ROWS: usize = 64;
/// Columns of a tile: 128 KiB of f32, a part of the second-level cache.
const COLUMNS: usize = 512;

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

    fn of_row(&self, row: usize) -> Term<R> {
        Term { max: self.maxima.as_flattened()[row], factor: self.factors.as_flattened()[row] }
    }

    fn of_columns(&self, first: usize, chunks: usize) -> (&[[R; LANES]], &[[R; LANES]]) {
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
        own: Option<&Terms<R>>,
        of_columns: &Terms<R>,
        out: &mut [T],
        finish: &(impl Fn(usize, &mut [f64], &mut [T]) + Sync),
    ) {
        let mut nothing = vec![(); self.rows.rows];
        let each = |row, at, tile: &mut [[R; LANES]], _: &mut ()| {
            let own = own.map(|terms| terms.of_row(row));
            let columns = of_columns.of_columns(at, tile.len());
            dispatch(Pull { row: tile, own, columns, factor: self.factor });
        };
        self.fold(&mut nothing, &each, out, &|row, (), sum, out| finish(row, sum, out));
    }

    /// `each(row, first column, similarities, its part of a)` makes G of a tile's row; then as [`pull`](Sweep::pull).
    pub(super) fn fold<A: Send, T: Send>(
        &self,
        a: &mut [A],
        each: &(impl Fn(usize, usize, &mut [[R; LANES]], &mut A) + Sync),
        out: &mut [T],
        finish: &(impl Fn(usize, &A, &mut [f64], &mut [T]) + Sync),
    ) {
        let width = self.rows.width;
        self.blocks(a, out, width, &|space, first, a, out| {
            space.sums.fill(0.0);
            self.tiles(space, first, a.len(), &mut |space, at, columns| {
                let chunks = columns.div_ceil(LANES);
                let rows = space.tile.chunks_exact_mut(COLUMNS).zip(a.iter_mut());
                for (i, (row, a)) in rows.enumerate() {
                    let (row, _) = row[..chunks * LANES].as_chunks_mut::<LANES>();
                    each(first + i, at, row, a);
                }
                self.multiply_tile(space, a.len(), at, columns);
                add(&mut space.sums, &space.product, 1.0);
            });
            let sums = space.sums.chunks_exact_mut(width);
            for (i, (sum, out)) in sums.zip(out.chunks_exact_mut(width)).enumerate() {
                finish(first + i, &a[i], sum, out);
            }
        });
    }

    fn sum_block<const MEAN: bool>(&self, space: &mut Space<R>, first: usize, sums: &mut [LogSum]) {
        space.sums.fill(0.0);
        let width = self.rows.width;
        let scale = self.factor.scale;
        self.tiles(space, first, sums.len(), &mut |space, at, columns| {
            let chunks = columns.div_ceil(LANES);
            let mut factors = [(1.0, 1.0); ROWS];
            for ((row, sum), factors) in
                space.tile.chunks_exact_mut(COLUMNS).zip(sums.iter_mut()).zip(&mut factors)
            {
                let (row, _) = row[..chunks * LANES].as_chunks_mut::<LANES>();
                let more = dispatch(Weigh::<_, MEAN> { row, factor: self.factor });
                *factors = sum.add(more, scale);
            }
            if MEAN {
                self.multiply_tile(space, sums.len(), at, columns);
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
    fn multiply_tile(&self, space: &mut Space<R>, rows: usize, at: usize, columns: usize) {
        let width = self.rows.width;
        let tile = Matrix::new(&space.tile, rows, columns, COLUMNS);
        let others = Matrix::new(&self.columns.data[at * width..], columns, width, width);
        multiply(tile, others, &mut space.product, width);
    }

    /// `with(space, first column, columns)` for each tile of a block of rows, the tile filled up with −∞.
    fn tiles(
        &self,
        space: &mut Space<R>,
        first: usize,
        rows: usize,
        with: &mut dyn FnMut(&mut Space<R>, usize, usize),
    ) {
        let width = self.rows.width;
        let block = Matrix::new(&self.rows.data[first * width..], rows, width, width);
        for at in (0..self.columns.rows).step_by(COLUMNS) {
            let columns = COLUMNS.min(self.columns.rows - at);
            let others = Matrix::new(&self.columns.data[at * width..], columns, width, width);
            multiply(block, others.transposed(), &mut space.tile, COLUMNS);
            for (i, row) in space.tile.chunks_exact_mut(COLUMNS).take(rows).enumerate() {
                row[columns..].fill(R::NEG_INFINITY);
                for column in (self.without)(first + i).into_iter().flatten() {
                    if let Some(column) = column.checked_sub(at).filter(|&column| column < columns)
                    {
                        row[column] = R::NEG_INFINITY;
                    }
                }
            }
            with(space, at, columns);
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
        self.split(0, a, b, width, with);
    }

    fn split<A: Send, B: Send>(
        &self,
        first: usize,
        a: &mut [A],
        b: &mut [B],
        width: usize,
        with: &(impl Fn(&mut Space<R>, usize, &mut [A], &mut [B]) + Sync),
    ) {
        if a.is_empty() {
            return;
        }
        #[cfg(feature = "rayon")]
        if a.len() > ROWS && rayon::current_num_threads() > 1 {
            // On the boundary of a block, so that a block is the same whoever computes it.
            let middle = a.len().div_ceil(ROWS) / 2 * ROWS;
            let ((a, a_right), (b, b_right)) =
                (a.split_at_mut(middle), b.split_at_mut(middle * width));
            rayon::join(
                || self.split(first, a, b, width, with),
                || self.split(first + middle, a_right, b_right, width, with),
            );
            return;
        }
        let numbers = ROWS.min(a.len()) * self.rows.width;
        let tile = vec![R::NEG_INFINITY; ROWS.min(a.len()) * COLUMNS];
        let mut space = Space { tile, product: vec![R::ZERO; numbers], sums: vec![0.0; numbers] };
        for (i, (a, b)) in a.chunks_mut(ROWS).zip(b.chunks_mut(ROWS * width)).enumerate() {
            with(&mut space, first + i * ROWS, a, b);
        }
    }
}

fn add<R: Real>(sums: &mut [f64], more: &[R], factor: f64) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += factor * more.to_f64();
    }
}
