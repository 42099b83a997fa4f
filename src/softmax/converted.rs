//! Softmax of a row whose type is computed in another, f16 and bf16: the conversion is done by the way, in the first sweep of
//! `row.rs` and in its last.

use crate::element::{Element, Real};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::Tempering;
use crate::softmax::product::Multiplier;
use crate::softmax::row::{Peak, Peaks, Space, WIDE, of_lanes, raised, weigh};

/// Softmax of a row of at least a line into `out`, which holds the row itself where `row` is `None`; `wide` and `p` are as long,
/// in the type that is computed in.
#[inline(always)]
pub(super) fn softmax<S: Simd, T: Element>(
    simd: S,
    row: Option<&[T]>,
    out: &mut [T],
    [wide, p]: [&mut [T::Real]; 2],
    tempering: &Tempering<T::Real>,
    space: &mut Space<T::Real>,
    ahead: usize,
) {
    let peak = read_and_find_peak(simd, row.unwrap_or(out), wide, ahead);
    let Some(sum) = weigh(simd, peak, Some(wide), p, tempering, space, 0, 0) else {
        return T::write(p, out);
    };
    simd.call(NormaliseAndWrite { weights: p, by: Multiplier::inverse(sum), out, ahead });
}

/// Converts a row and finds its peak.
#[inline(always)]
fn read_and_find_peak<S: Simd, T: Element>(
    simd: S,
    row: &[T],
    to: &mut [T::Real],
    ahead: usize,
) -> Peak<T::Real> {
    let mut peaks = Peaks::NONE;
    simd.call(ReadAndRaise { row, to, peaks: &mut peaks, ahead });
    of_lanes(peaks)
}

/// The first sweep. The last line of a row that does not end with one overlaps with the one before, in both sweeps: what is done
/// twice comes out the same.
struct ReadAndRaise<'a, T: Element> {
    row: &'a [T],
    to: &'a mut [T::Real],
    peaks: &'a mut Peaks<T::Real>,
    /// How many numbers further on to fetch from memory meanwhile.
    ahead: usize,
}

impl<T: Element> Kernel for ReadAndRaise<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ReadAndRaise { row, to, peaks, ahead } = self;
        let Peaks { mut best, mut nan } = *peaks;
        let (lines, tos) = (row.as_chunks::<WIDE>().0, to.as_chunks_mut::<WIDE>().0);
        for (line, to) in lines.iter().zip(tos) {
            simd.prefetch_read(line.as_ptr().wrapping_add(ahead));
            let chunk = T::widen(simd, line);
            *to = chunk;
            (best, nan) = raised(&chunk, best, nan);
        }
        if let (Some(line), Some(to)) = (row.last_chunk(), to.last_chunk_mut()) {
            let chunk = T::widen(simd, line);
            *to = chunk;
            (best, nan) = raised(&chunk, best, nan);
        }
        *peaks = Peaks { best, nan };
    }
}

/// The last sweep.
struct NormaliseAndWrite<'a, T: Element> {
    weights: &'a [T::Real],
    by: Multiplier<T::Real>,
    out: &'a mut [T],
    ahead: usize,
}

impl<T: Element> Kernel for NormaliseAndWrite<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let NormaliseAndWrite { weights, by, out, ahead } = self;
        let (chunks, lines) = (weights.as_chunks().0, out.as_chunks_mut().0);
        for (chunk, line) in chunks.iter().zip(lines) {
            simd.prefetch_write(line.as_ptr().wrapping_add(ahead));
            *line = T::narrow(simd, &all_times(chunk, &by));
        }
        if let (Some(chunk), Some(line)) = (weights.last_chunk(), out.last_chunk_mut()) {
            *line = T::narrow(simd, &all_times(chunk, &by));
        }
    }
}

#[inline(always)]
fn all_times<R: Real>(weights: &[R; WIDE], by: &Multiplier<R>) -> [R; WIDE] {
    let mut p = *weights;
    for i in 0..WIDE {
        p[i] = by.times(weights[i]);
    }
    p
}
