//! Lanes to rows and back, eight classes by eight lanes at a time where lanes are neighbours.
//!
//! ```text
//! memory, line after line: a class of all lanes      →      a row for each lane, all of its classes
//! ```
//!
//! Eight lines are read or written side by side, each in a page of its own. Fetching the next eight meanwhile gains
//! nothing: where lanes are a power of two they fall on the same few sets of a cache.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use crate::compiled::Runs;
use crate::element::{Element, Real};
use crate::simd::{Kernel, Simd};

/// Classes and lanes of a tile.
const SIDE: usize = 8;

/// Eight classes of all lanes to their places in the lanes' rows.
pub(crate) struct ToRows<'a, T> {
    lines: [&'a [T]; SIDE],
    rows: &'a mut [T],
    classes: usize,
    /// The first of the eight.
    class: usize,
}

impl<R: Real> Kernel for ToRows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ToRows { lines, rows, classes, class } = self;
        // Said once, so that nothing is looked for beyond its end in the loop.
        let tiles = rows.len() / (SIDE * classes);
        let lines = lines.map(|line| &line.as_chunks::<SIDE>().0[..tiles]);
        assert!(class + SIDE <= classes);
        for (lane, rows) in rows.chunks_exact_mut(SIDE * classes).enumerate().take(tiles) {
            let columns = R::transpose(simd, std::array::from_fn(|k| &lines[k][lane]));
            for (row, column) in rows.chunks_exact_mut(classes).zip(&columns) {
                row[class..class + SIDE].copy_from_slice(column);
            }
        }
    }
}

/// Eight classes from the lanes' rows to the lines where they are neighbours.
pub(crate) struct ToLanes<'a, T> {
    rows: &'a [T],
    classes: usize,
    class: usize,
    lines: [&'a mut [T]; SIDE],
}

impl<R: Real> Kernel for ToLanes<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ToLanes { rows, classes, class, lines } = self;
        let tiles = rows.len() / (SIDE * classes);
        let mut lines = lines.map(|line| &mut line.as_chunks_mut::<SIDE>().0[..tiles]);
        assert!(class + SIDE <= classes);
        for (lane, rows) in rows.chunks_exact(SIDE * classes).enumerate().take(tiles) {
            let zeros = [R::ZERO; SIDE];
            let mut tile = [&zeros; SIDE];
            for (to, row) in tile.iter_mut().zip(rows.chunks_exact(classes)) {
                *to = row[class..class + SIDE].first_chunk().expect("so long");
            }
            let columns = R::transpose(simd, tile);
            for (line, column) in lines.iter_mut().zip(&columns) {
                line[lane] = *column;
            }
        }
    }
}

/// Whether neighbours across the lanes are nearer to each other than neighbours within one.
pub(super) fn lies_across(strides: &[isize]) -> bool {
    strides[0].unsigned_abs() < strides[1].unsigned_abs()
}

/// Lanes to rows.
pub(super) fn gather<T: Element>(from: ArrayView2<'_, T>, rows: &mut [T]) {
    if !lies_across(from.strides()) {
        for (lane, row) in from.rows().into_iter().zip(rows.chunks_exact_mut(from.ncols())) {
            match lane.as_slice() {
                Some(lane) => row.copy_from_slice(lane),
                None => lane.iter().zip(row).for_each(|(&x, row)| *row = x),
            }
        }
        return;
    }
    let (lanes, classes) = from.dim();
    for (i, block) in from.axis_chunks_iter(Axis(1), SIDE).enumerate() {
        let class = i * SIDE;
        let mut done = 0;
        if let (Some(lines), Some(rows)) = (lines_of(&block), T::as_real_mut(rows)) {
            T::Real::run(ToRows { lines, rows, classes, class });
            done = lanes - lanes % SIDE;
        }
        for (k, line) in block.columns().into_iter().enumerate() {
            for lane in done..lanes {
                rows[lane * classes + class + k] = line[lane];
            }
        }
    }
}

/// Rows to lanes.
pub(super) fn scatter<T: Element>(rows: &[T], mut to: ArrayViewMut2<'_, T>) {
    let (lanes, classes) = to.dim();
    if !lies_across(to.strides()) {
        for (mut lane, row) in to.rows_mut().into_iter().zip(rows.chunks_exact(classes)) {
            match lane.as_slice_mut() {
                Some(lane) => lane.copy_from_slice(row),
                None => lane.iter_mut().zip(row).for_each(|(to, &x)| *to = x),
            }
        }
        return;
    }
    for (i, mut block) in to.axis_chunks_iter_mut(Axis(1), SIDE).enumerate() {
        let class = i * SIDE;
        let mut done = 0;
        if let (Some(lines), Some(rows)) = (lines_of_mut(&mut block), T::as_real(rows)) {
            T::Real::run(ToLanes { rows, classes, class, lines });
            done = lanes - lanes % SIDE;
        }
        for (k, mut line) in block.columns_mut().into_iter().enumerate() {
            for lane in done..lanes {
                line[lane] = rows[lane * classes + class + k];
            }
        }
    }
}

/// The eight classes of a block, where each has its lanes side by side and the kernels take them as they are.
fn lines_of<'a, T: Element>(block: &'a ArrayView2<'_, T>) -> Option<[&'a [T::Real]; SIDE]> {
    let mut lines: [&[T::Real]; SIDE] = Default::default();
    if block.ncols() < SIDE {
        return None;
    }
    for (to, line) in lines.iter_mut().zip(block.columns()) {
        *to = T::as_real(line.to_slice()?)?;
    }
    Some(lines)
}

/// The same, to be written.
fn lines_of_mut<'a, T: Element>(
    block: &'a mut ArrayViewMut2<'_, T>,
) -> Option<[&'a mut [T::Real]; SIDE]> {
    let mut lines: [&mut [T::Real]; SIDE] = Default::default();
    if block.ncols() < SIDE {
        return None;
    }
    for (to, line) in lines.iter_mut().zip(block.columns_mut()) {
        *to = T::as_real_mut(line.into_slice()?)?;
    }
    Some(lines)
}
