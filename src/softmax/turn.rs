//! Sixteen rows to columns, one row in each lane, and back: in registers, and the memory of later rows is asked for.

use std::array::from_fn;

use crate::element::Real;
use crate::simd::{Kernel, Simd, put};
use crate::softmax::row::{AHEAD, LANES};

/// One class of sixteen rows.
pub(crate) type Column<R> = [R; LANES];

/// Rows and columns that are exchanged in registers.
const TILE: usize = 8;

/// The first classes of the tiles of a row: the last one may overlap with the one before. None of a row that is shorter
/// than a tile.
#[inline(always)]
fn tiles(classes: usize) -> impl Iterator<Item = usize> {
    let last = classes.checked_sub(TILE);
    last.into_iter().flat_map(move |last| (0..last).step_by(TILE).chain([last]))
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
            let whole = whole_rows(classes);
            let mut ends = [[R::ZERO; TILE]; ENDS];
            let rest = rows[whole * classes..].chunks_exact(classes);
            for (end, row) in ends.iter_mut().zip(rest) {
                for (to, &from) in end.iter_mut().zip(row) {
                    *to = from;
                }
            }
            for half in 0..LANES / TILE {
                let tiles = from_fn(|i| match half * TILE + i {
                    row if row < whole => tile_of(&rows[row * classes..]),
                    row => &ends[row - whole],
                });
                let turned = R::transpose(simd, tiles);
                for (column, turned) in columns.iter_mut().zip(&turned) {
                    column[half * TILE..(half + 1) * TILE].copy_from_slice(turned);
                }
            }
            return;
        }
        for half in 0..LANES / TILE {
            // All of one length: what is looked for beyond the end of one is looked for once.
            let rows: [&[R]; TILE] = from_fn(|i| &rows[(half * TILE + i) * classes..][..classes]);
            for first in tiles(classes) {
                let turned = R::transpose(simd, from_fn(|i| tile_of(&rows[i][first..])));
                for (column, turned) in columns[first..first + TILE].iter_mut().zip(&turned) {
                    column[half * TILE..(half + 1) * TILE].copy_from_slice(turned);
                }
            }
        }
    }
}

/// Column j, lane i to entry j of row i, of `which` rows.
pub(crate) struct Scatter<'a, R> {
    pub(crate) columns: &'a [Column<R>],
    pub(crate) which: &'a [bool; LANES],
    pub(crate) out: &'a mut [R],
}

impl<R: Real> Kernel for Scatter<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Scatter { columns, which, out } = self;
        for line in ahead(out) {
            simd.prefetch_write(line);
        }
        let classes = columns.len();
        if out.len() < LANES * classes || classes == 1 || which.contains(&false) {
            for (i, out) in out.chunks_exact_mut(classes).enumerate().filter(|&(i, _)| which[i]) {
                for (to, column) in out.iter_mut().zip(columns) {
                    *to = column[i];
                }
            }
            return;
        }
        if classes < TILE {
            let whole = whole_rows(classes);
            for half in 0..LANES / TILE {
                let tiles = from_fn(|j| tile_of(&columns[j.min(classes - 1)][half * TILE..]));
                let turned = R::transpose(simd, tiles);
                for (i, turned) in turned.iter().enumerate() {
                    let row = half * TILE + i;
                    let out = &mut out[row * classes..];
                    if row < whole {
                        // What is beyond the row is written over by the next one.
                        out[..TILE].copy_from_slice(turned);
                    } else {
                        put(turned, &mut out[..classes]);
                    }
                }
            }
            return;
        }
        let mut rest = out;
        for half in 0..LANES / TILE {
            let mut rows: [&mut [R]; TILE] =
                from_fn(|_| rest.split_off_mut(..classes).expect("sixteen rows"));
            for first in tiles(classes) {
                let columns = &columns[first..first + TILE];
                let turned = R::transpose(simd, from_fn(|j| tile_of(&columns[j][half * TILE..])));
                for (row, turned) in rows.iter_mut().zip(&turned) {
                    row[first..first + TILE].copy_from_slice(turned);
                }
            }
        }
    }
}

/// How many rows of sixteen that are shorter than a tile begin a tile's length before the end of all, and how many at most
/// do not.
#[inline(always)]
fn whole_rows(classes: usize) -> usize {
    LANES + 1 - TILE.div_ceil(classes)
}
const ENDS: usize = TILE / 2 - 1;

/// The first numbers of what is long enough.
#[inline(always)]
fn tile_of<R>(numbers: &[R]) -> &[R; TILE] {
    let (tiles, _) = numbers.as_chunks();
    &tiles[0]
}
