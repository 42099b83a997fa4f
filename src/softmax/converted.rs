//! Softmax of a row whose type is computed in another, f16 and bf16: the conversion is done by the way, in the first sweep of
//! `row.rs` and in its last.

use crate::element::{Element, Real};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::Tempering;
use crate::softmax::product::Multiplier;
use crate::softmax::row::{Peak, Peaks, Space, WIDE, of_lanes, raised, weigh};

/// Softmax of a row into `out`, which holds the row itself where `row` is `None`; `wide` and `p` are as long, in the type that
/// is computed in.
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
    let by = Multiplier::inverse(sum);
    let ((chunks, tail), (lines, out_tail)) = (p.as_chunks(), out.as_chunks_mut());
    simd.call(NormaliseAndWrite::<T> { chunks, by, lines, ahead });
    let (mut last, mut to) = ([T::Real::ZERO; WIDE], [[T::of_f64(0.0); WIDE]]);
    last[..tail.len()].copy_from_slice(tail);
    simd.call(NormaliseAndWrite { chunks: &[last], by, lines: &mut to, ahead: 0 });
    out_tail.copy_from_slice(&to[0][..tail.len()]);
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
    let (lines, tail) = row.as_chunks::<WIDE>();
    let (tos, tail_to) = to.as_chunks_mut();
    simd.call(ReadAndRaise { lines, to: tos, peaks: &mut peaks, ahead });
    if !tail.is_empty() {
        let (mut last, mut to) = ([T::of_f64(f64::NEG_INFINITY); WIDE], [[T::Real::ZERO; WIDE]]);
        last[..tail.len()].copy_from_slice(tail);
        simd.call(ReadAndRaise { lines: &[last], to: &mut to, peaks: &mut peaks, ahead: 0 });
        tail_to.copy_from_slice(&to[0][..tail.len()]);
    }
    of_lanes(peaks)
}

/// The first sweep.
struct ReadAndRaise<'a, T: Element> {
    lines: &'a [[T; WIDE]],
    to: &'a mut [[T::Real; WIDE]],
    peaks: &'a mut Peaks<T::Real>,
    /// How many numbers further on to fetch from memory meanwhile.
    ahead: usize,
}

impl<T: Element> Kernel for ReadAndRaise<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Peaks { mut best, mut nan } = *self.peaks;
        for (line, to) in self.lines.iter().zip(self.to) {
            simd.prefetch_read(line.as_ptr().wrapping_add(self.ahead));
            let chunk = T::widen(simd, line);
            *to = chunk;
            (best, nan) = raised(&chunk, best, nan);
        }
        *self.peaks = Peaks { best, nan };
    }
}

/// The last sweep.
struct NormaliseAndWrite<'a, T: Element> {
    chunks: &'a [[T::Real; WIDE]],
    by: Multiplier<T::Real>,
    lines: &'a mut [[T; WIDE]],
    ahead: usize,
}

impl<T: Element> Kernel for NormaliseAndWrite<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let NormaliseAndWrite { chunks, by, lines, ahead } = self;
        for (chunk, line) in chunks.iter().zip(lines) {
            simd.prefetch_write(line.as_ptr().wrapping_add(ahead));
            let mut p = [T::Real::ZERO; WIDE];
            for i in 0..WIDE {
                p[i] = by.times(chunk[i]);
            }
            *line = T::narrow(simd, &p);
        }
    }
}
