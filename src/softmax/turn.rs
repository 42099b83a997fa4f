//! Sixteen rows to columns, one row in each lane, and back: in registers, and the memory of later rows is asked for.

use std::array::from_fn;

use crate::aligned::Aligned;
use crate::element::Real;
use crate::simd::{Kernel, Simd, put_eights, tile};
use crate::softmax::row::{AHEAD, LANES};

/// A number for each of sixteen rows: one class of them, most often.
pub(crate) type Column<T> = Aligned<[T; LANES]>;

/// Rows and columns that are exchanged in registers.
const TILE: usize = 8;
/// Columns of a tile on the way there: quarters of a vector are loaded to their places, where half the shuffles are saved.
const NARROW: usize = 4;

/// The first class of the next tile of a row that is no shorter than one; the last one may overlap with the one before.
#[inline(always)]
fn next_tile(first: usize, classes: usize, width: usize) -> Option<usize> {
    let last = classes - width;
    (first < last).then(|| if first + width < last { first + width } else { last })
}

/// Memory that is asked for while rows are computed, a part with each class: at once it would be waited for.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<R>(*const R);

impl<R> Ahead<R> {
    /// As much as sixteen rows take, so many times as much further on, or what is far enough.
    #[inline(always)]
    pub(crate) fn of(rows: &[R], groups: usize) -> Self {
        let distance = (groups * rows.len()).max(AHEAD / size_of::<R>());
        Ahead(rows.as_ptr().wrapping_add(distance))
    }

    /// The part of a class, to be read.
    #[inline(always)]
    pub(crate) fn read<S: Simd>(self, simd: S, class: usize) {
        self.lines(class).for_each(|line| simd.prefetch_read(line));
    }

    /// The same, to be written.
    #[inline(always)]
    pub(crate) fn write<S: Simd>(self, simd: S, class: usize) {
        self.lines(class).for_each(|line| simd.prefetch_write(line));
    }

    #[inline(always)]
    fn lines(self, class: usize) -> impl Iterator<Item = *const R> {
        let line = 64 / size_of::<R>();
        (0..LANES).step_by(line).map(move |k| self.0.wrapping_add(class * LANES + k))
    }
}

/// Entry j of row i to column j, lane i, and the maximum of each row, NaN where it holds one. Lanes beyond the rows keep what they
/// had, which is harmless.
pub(crate) struct Gather<'a, R> {
    pub(crate) rows: &'a [R],
    pub(crate) columns: &'a mut [Column<R>],
    pub(crate) max: &'a mut Column<R>,
}

impl<R: Real> Kernel for Gather<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Gather { rows, columns, max } = self;
        let classes = columns.len();
        if rows.len() < LANES * classes || classes == 1 {
            for (i, row) in rows.chunks_exact(classes).enumerate() {
                for (&entry, column) in row.iter().zip(&mut *columns) {
                    column[i] = entry;
                }
            }
        } else if classes < NARROW {
            // Of the second eight, the ends: what begins with a row would go beyond the last one.
            let starts = tile::<_, NARROW, TILE>(rows, classes);
            let ends = tile::<_, NARROW, TILE>(&rows[9 * classes - NARROW..], classes);
            let turned = from_fn(|i| if i < TILE { starts[i] } else { ends[i - TILE] });
            let turned = R::columns(simd, turned);
            for (j, column) in columns.iter_mut().enumerate() {
                column[..TILE].copy_from_slice(&turned[j][..TILE]);
                column[TILE..].copy_from_slice(&turned[j + NARROW - classes][TILE..]);
            }
        } else {
            let mut next = Some(0);
            while let Some(first) = next {
                simd.one_by_one();
                let turned = R::columns(simd, tile(&rows[first..], classes));
                for (column, turned) in columns[first..first + NARROW].iter_mut().zip(turned) {
                    *column = Aligned(turned);
                }
                next = next_tile(first, classes, NARROW);
            }
        }
        let mut peaks = Peaks::<R>::NONE;
        let (pairs, odd) = columns.as_chunks::<2>();
        for [a, b] in pairs {
            simd.one_by_one();
            peaks = peaks.raised([a, b]);
        }
        for column in odd {
            peaks = peaks.raised([column, column]);
        }
        *max = peaks.of_rows();
    }
}

/// The maxima of rows, in two chains, which wait for themselves half as long, and where there was a NaN.
struct Peaks<R: Real> {
    best: [Column<R>; 2],
    nan: Column<R::Bits>,
}

impl<R: Real> Peaks<R> {
    const NONE: Self =
        Peaks { best: [Column::of(R::NEG_INFINITY); 2], nan: Column::of(R::NO_BITS) };

    /// With two columns more.
    #[inline(always)]
    #[expect(clippy::eq_op, reason = "a NaN is what differs from itself")]
    fn raised(self, [a, b]: [&Column<R>; 2]) -> Self {
        // New arrays: assigned in place, the maximum becomes a masked store.
        let Peaks { best, nan } = self;
        let (mut larger, mut seen) = (best, nan);
        for i in 0..LANES {
            larger[0][i] = if a[i] > best[0][i] { a[i] } else { best[0][i] };
            larger[1][i] = if b[i] > best[1][i] { b[i] } else { best[1][i] };
            // One comparison: of two numbers, not of each with itself.
            seen[i] = nan[i] | R::bits_if((a[i] != a[i]) | (b[i] != b[i]));
        }
        Peaks { best: larger, nan: seen }
    }

    #[inline(always)]
    fn of_rows(self) -> Column<R> {
        let Peaks { best: [mut max, other], nan } = self;
        for i in 0..LANES {
            max[i] = if other[i] > max[i] { other[i] } else { max[i] };
            max[i] = if nan[i] == R::NO_BITS { max[i] } else { R::NAN };
        }
        max
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
            let first = R::transpose(simd, from_fn(|j| tile_of(&columns[j.min(classes - 1)][..])));
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
            let start = half * TILE * classes;
            let mut next = Some(0);
            while let Some(first) = next {
                simd.one_by_one();
                let columns = &columns[first..first + TILE];
                let turned = R::transpose(simd, from_fn(|j| tile_of(&columns[j][half * TILE..])));
                put_eights(&turned, &mut out[start + first..], classes);
                next = next_tile(first, classes, TILE);
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
