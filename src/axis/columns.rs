//! Softmax of lanes that are neighbours in memory: sixteen at a time, one in each lane of a vector, as `softmax/few.rs` does
//! rows.
//!
//! ```text
//! lines: a class of all lanes      peaks, and strips of sixteen lanes, class after class      shifts and weights as in few.rs
//! sums in the order of row.rs      weights times 1/S, strips to lines
//! ```
//!
//! Nothing is turned around, and the lines are read once and written once. They are copied into strips for the caches' sake:
//! lines whose distance is a power of two fall on the same few sets.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::transpose::lies_across;
use crate::aligned::Aligned;
use crate::compiled::Runs;
use crate::element::{Element, Real};
use crate::simd::{Kernel, Simd, Stream};
use crate::softmax::few::{Invert, Multipliers, PerRow, Plans, weigh};
use crate::softmax::plan::{Tempering, Temperings};
use crate::softmax::row::{self, LANES, Space};
use crate::softmax::turn::Column;
use crate::temperature::{Temperature, Temperatures};

/// Softmax of a panel whose lanes are neighbours, in a type that is computed as it is; whether it is one.
pub(super) fn softmax_of_lines<T: Element>(
    from: Option<ArrayView2<'_, T>>,
    to: &mut ArrayViewMut2<'_, T>,
    tau: Temperature,
    streams: bool,
    scratch: &mut Scratch<T::Real>,
) -> bool {
    // Of fewer lanes, most of a vector would be for nothing.
    if !lies_across(to.strides()) || to.nrows() < 8 {
        return false;
    }
    let from = match &from {
        Some(from) => match lines(from) {
            Some(lines) => Some(lines),
            None => return false,
        },
        None => None,
    };
    let streams = streams && aligned_alike(to) && to.as_ptr().align_offset(CACHE_LINE) == 0;
    let mut to = match lines_mut(to) {
        Some(lines) => lines,
        None => return false,
    };
    T::Real::run(Columns { from: from.as_deref(), to: &mut to, tau, streams, scratch });
    true
}

/// The classes of a panel, where each has its lanes side by side and the kernels take them as they are.
fn lines<'a, T: Element>(panel: &'a ArrayView2<'_, T>) -> Option<Vec<&'a [T::Real]>> {
    panel.columns().into_iter().map(|line| T::as_real(line.to_slice()?)).collect()
}

/// The same, to be written.
fn lines_mut<'a, T: Element>(
    panel: &'a mut ArrayViewMut2<'_, T>,
) -> Option<Vec<&'a mut [T::Real]>> {
    panel.columns_mut().into_iter().map(|line| T::as_real_mut(line.into_slice()?)).collect()
}

/// In bytes.
pub(super) const CACHE_LINE: usize = 64;

/// Whether the lanes are neighbours, and each line of them lies as the first one does in the lines of the cache.
pub(super) fn aligned_alike<T>(panel: &ArrayViewMut2<'_, T>) -> bool {
    lies_across(panel.strides())
        && (panel.strides()[1].unsigned_abs() * size_of::<T>()).is_multiple_of(CACHE_LINE)
}

/// Softmax of all lanes of some lines, read from `from` or in place.
pub(crate) struct Columns<'a, R: Real> {
    /// A class each, of one length.
    pub(super) from: Option<&'a [&'a [R]]>,
    pub(super) to: &'a mut [&'a mut [R]],
    pub(super) tau: Temperature,
    /// Whether to write past the cache; the lines begin where those of the cache do.
    pub(super) streams: bool,
    pub(super) scratch: &'a mut Scratch<R>,
}

/// The strips, and the maximum and 1 over the sum of each of their lanes.
pub(super) struct Scratch<R: Real> {
    columns: Vec<Column<R>>,
    peaks: Vec<Column<R>>,
    inverses: Vec<[Column<R>; 2]>,
}

impl<R: Real> Scratch<R> {
    pub(super) fn new() -> Self {
        Scratch { columns: Vec::new(), peaks: Vec::new(), inverses: Vec::new() }
    }
}

impl<R: Real> Kernel for Columns<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Columns { from, to, tau, streams, scratch } = self;
        let (classes, strips) = (to.len(), to[0].len().div_ceil(LANES));
        let Scratch { columns: scratch, peaks, inverses } = scratch;
        // One column more where they are even: strips whose distance is a power of two fall on the same few sets of the cache, too.
        let stride = classes | 1;
        scratch.resize(strips * stride, Column::of(R::ZERO));
        peaks.clear();
        peaks.resize(strips, Column::of(R::NEG_INFINITY));
        inverses.clear();
        match from {
            Some(lines) => simd.call(Read { lines, scratch, stride, peaks }),
            None => simd.call(Read { lines: to, scratch, stride, peaks }),
        }
        let temperings = Temperings::new(Temperatures::One(tau));
        let mut lanes = PerRow::new(&temperings);
        let mut others = Vec::new();
        for (strip, (columns, &max)) in scratch.chunks_exact_mut(stride).zip(&*peaks).enumerate() {
            let columns = &mut columns[..classes];
            lanes.max = max;
            simd.call(Plans { lanes: &mut lanes });
            let ordinary = lanes.ordinary;
            let first = strip * LANES;
            others.extend(
                (0..LANES)
                    .filter(|&i| !ordinary[i] && first + i < to[0].len())
                    .map(|i| (first + i, alone(simd, columns, i, &temperings.of_row(0)))),
            );
            weigh(simd, columns, &mut lanes, None);
            simd.call(Invert { lanes: &mut lanes });
            inverses.push(lanes.inverse.parts());
        }
        simd.call(Write { scratch, stride, by: inverses, lines: to, streams });
        for (lane, row) in others {
            to.iter_mut().zip(row).for_each(|(line, p)| line[lane] = p);
        }
    }
}

/// A lane that is not ordinary.
#[inline(always)]
fn alone<S: Simd, R: Real>(
    simd: S,
    columns: &[Column<R>],
    lane: usize,
    tempering: &Tempering<R>,
) -> Vec<R> {
    let mut row: Vec<R> = columns.iter().map(|column| column[lane]).collect();
    row::softmax(simd, None, &mut row, tempering, &mut Space::new(), 0);
    row
}

/// How many lines ahead memory is asked for: each lies in a page of its own, where no machine foresees it.
const AHEAD: usize = 4;

/// Lines to strips, and the maximum of each lane; NaN where it holds one.
struct Read<'a, L, R> {
    lines: &'a [L],
    scratch: &'a mut [Column<R>],
    stride: usize,
    peaks: &'a mut [Column<R>],
}

impl<L: AsRef<[R]>, R: Real> Kernel for Read<'_, L, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Read { lines, scratch, stride, peaks } = self;
        for (class, line) in lines.iter().enumerate() {
            let (chunks, tail) = line.as_ref().as_chunks::<LANES>();
            let ahead = lines[(class + AHEAD).min(lines.len() - 1)].as_ref().as_ptr();
            for (strip, (chunk, peak)) in chunks.iter().zip(&mut *peaks).enumerate() {
                simd.one_by_one();
                simd.prefetch_read(ahead.wrapping_add(strip * LANES));
                let chunk = Aligned(*chunk);
                scratch[strip * stride + class] = chunk;
                *peak = larger(peak, &chunk);
            }
            if !tail.is_empty() {
                let column = &mut scratch[chunks.len() * stride + class];
                column[..tail.len()].copy_from_slice(tail);
                peaks[chunks.len()] = larger(&peaks[chunks.len()], column);
            }
        }
    }
}

/// The larger one in each lane; a NaN on either side fails the comparison: it enters, and stays.
#[inline(always)]
#[expect(clippy::eq_op, reason = "a NaN is what differs from itself")]
fn larger<R: Real>(max: &Column<R>, column: &Column<R>) -> Column<R> {
    let mut larger = *max;
    for i in 0..LANES {
        let keep = (max[i] >= column[i]) | (max[i] != max[i]);
        larger[i] = if keep { max[i] } else { column[i] };
    }
    larger
}

/// Strips of weights to lines of probabilities.
struct Write<'a, 'b, R: Real> {
    scratch: &'a [Column<R>],
    stride: usize,
    by: &'a [[Column<R>; 2]],
    lines: &'a mut [&'b mut [R]],
    streams: bool,
}

impl<R: Real> Kernel for Write<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Write { scratch, stride, by, lines, streams } = self;
        let stream = streams.then(|| Stream::new(simd));
        let mut lines = lines.iter_mut();
        let mut class = 0;
        while let Some(line) = lines.next() {
            let ahead = lines.as_slice().get(AHEAD - 1).map_or(line.as_ptr(), |line| line.as_ptr());
            let (chunks, tail) = line.as_chunks_mut::<LANES>();
            let strips = chunks.len();
            for (strip, (chunk, &by)) in chunks.iter_mut().zip(by).enumerate() {
                simd.one_by_one();
                let p = Multipliers::of_parts(by).times(&scratch[strip * stride + class]);
                match &stream {
                    Some(stream) => R::stream(stream, &p, chunk),
                    None => {
                        simd.prefetch_write(ahead.wrapping_add(strip * LANES));
                        *chunk = *p;
                    }
                }
            }
            if !tail.is_empty() {
                let last = &scratch[strips * stride + class];
                let last = Multipliers::of_parts(by[strips]).times(last);
                tail.copy_from_slice(&last[..tail.len()]);
            }
            class += 1;
        }
    }
}
