//! Sixteen rows to columns, one row in each lane, and back: in registers, and the memory of later rows is asked for.

use std::array::from_fn;

use crate::element::Real;
use crate::simd::{Kernel, Simd, eights, put_eights};
use crate::softmax::row::{AHEAD, LANES};

/// One class of sixteen rows.
pub(crate) type Column<R> = [R; LANES];

/// Rows and columns that are exchanged in registers.
const TILE: usize = 8;

/// The first class of the next tile of a row that is no shorter than one; the last one may overlap with the one before.
#[inline(always)]
fn next_tile(first: usize, classes: usize) -> Option<usize> {
    let last = classes - TILE;
    (first < last).then(|| if first + TILE < last { first + TILE } else { last })
}

/// The lines of the cache that are to be asked for when some numbers are at hand.
#[inline(always)]
fn ahead<R>(numbers: &[R]) -> impl Iterator<Item = *const u8> {
    let first = numbers.as_ptr().cast::<u8>().wrapping_add(AHEAD);
    (0..size_of_val(numbers)).step_by(64).map(move |at| first.wrapping_add(at))
}

/// Entry j of row i to column j, lane i. Lanes beyond the rows keep what they had, which is harmless.
pub(crate) struct Gather<'a, R> {
    pub(crate) rows: &'a [R],
    pub(crate) columns: &'a mut [Column<R>],
}

impl<R: Real> Kernel for Gather<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Gather { rows, columns } = self;
        for line in ahead(rows) {
            simd.prefetch_read(line);
        }
        let classes = columns.len();
        if rows.len() < LANES * classes || classes == 1 {
            for (i, row) in rows.chunks_exact(classes).enumerate() {
                for (&entry, column) in row.iter().zip(&mut *columns) {
                    column[i] = entry;
                }
            }
            return;
        }
        if classes < TILE {
            // Of the second eight, the ends: what begins with a row would go beyond the last one.
            let starts = R::transpose(simd, eights(rows, classes));
            let ends = R::transpose(simd, eights(&rows[9 * classes - TILE..], classes));
            let ends = &ends[TILE - classes..];
            for ((column, start), end) in columns.iter_mut().zip(&starts).zip(ends) {
                column[..TILE].copy_from_slice(start);
                column[TILE..].copy_from_slice(end);
            }
            return;
        }
        for half in 0..LANES / TILE {
            let rows = &rows[half * TILE * classes..];
            let mut tile = Some(0);
            while let Some(first) = tile {
                simd.one_by_one();
                let turned = R::transpose(simd, eights(&rows[first..], classes));
                for (column, turned) in columns[first..first + TILE].iter_mut().zip(&turned) {
                    column[half * TILE..(half + 1) * TILE].copy_from_slice(turned);
                }
                tile = next_tile(first, classes);
            }
        }
    }
}

/// Column j, lane i to entry j of row i, of `which` rows; whether these are all.
pub(crate) struct Scatter<'a, R> {
    pub(crate) columns: &'a [Column<R>],
    pub(crate) which: &'a [bool; LANES],
    pub(crate) out: &'a mut [R],
}

impl<R: Real> Kernel for Scatter<'_, R> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Scatter { columns, which, out } = self;
        for line in ahead(out) {
            simd.prefetch_write(line);
        }
        let classes = columns.len();
        let all = which.iter().fold(true, |all, &row| all & row);
        if out.len() < LANES * classes || classes == 1 || !all {
            for (i, out) in out.chunks_exact_mut(classes).enumerate().filter(|&(i, _)| which[i]) {
                for (to, column) in out.iter_mut().zip(columns) {
                    *to = column[i];
                }
            }
            return all;
        }
        if classes < TILE {
            let first = R::transpose(simd, from_fn(|j| tile_of(&columns[j.min(classes - 1)])));
            let second =
                R::transpose(simd, from_fn(|j| tile_of(&columns[j.min(classes - 1)][TILE..])));
            // What is beyond the last row of the first eight is written over, and that of the second left behind.
            put_eights(&first, out, classes);
            let mut rest = [R::ZERO; TILE * TILE];
            put_eights(&second, &mut rest, classes);
            let (_, out) = out.split_at_mut(TILE * classes);
            for (out, rest) in out.as_chunks_mut().0.iter_mut().zip(rest.as_chunks::<TILE>().0) {
                *out = *rest;
            }
            return true;
        }
        for half in 0..LANES / TILE {
            let out = &mut out[half * TILE * classes..];
            let mut tile = Some(0);
            while let Some(first) = tile {
                simd.one_by_one();
                let columns = &columns[first..first + TILE];
                let turned = R::transpose(simd, from_fn(|j| tile_of(&columns[j][half * TILE..])));
                put_eights(&turned, &mut out[first..], classes);
                tile = next_tile(first, classes);
            }
        }
        true
    }
}

/// The first numbers of what is long enough.
#[inline(always)]
fn tile_of<R>(numbers: &[R]) -> &[R; TILE] {
    let (tiles, _) = numbers.as_chunks();
    &tiles[0]
}
