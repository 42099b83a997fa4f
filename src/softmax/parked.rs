//! Softmax of rows whose weights are parked in memory of our own.
//!
//! ```text
//! weights to where the cache has them, from one of its lines on · their sum · quotients to the result, each line of it once
//! ```
//!
//! In `row.rs` they are parked in the result: its lines are written twice, by vectors that straddle two of them, and where the
//! result is larger than caches are, its memory is read before it is written, for nothing.

use crate::aligned::{aligned, unaligned};
use crate::element::Real;
use crate::simd::{Kernel, Simd, Stream};
use crate::softmax::plan::{BLOCK, Temperings};
use crate::softmax::product::Multiplier;
use crate::softmax::row::{LANES, Space, find_peak, quotients, weigh};

/// How large a result is: of parts of it, the whole.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Size {
    Small,
    /// Of 8 MiB: it leaves no cache of one core in peace.
    Large,
    /// Of 16 MiB: with what it is made from, it is as large as the last cache of many machines, where none of it would be when
    /// it is read.
    Huge,
}

impl Size {
    /// That of so many numbers.
    pub(crate) fn of<T>(numbers: usize) -> Self {
        match numbers.saturating_mul(size_of::<T>()) >> 23 {
            0 => Size::Small,
            1 => Size::Large,
            _ => Size::Huge,
        }
    }
}

/// Numbers from which a row is long: its weights would take the room of a cache from it, which is a larger one where the result
/// has no place there.
const LONG: usize = 8 * BLOCK;
const LONG_OF_HUGE: usize = 32 * LONG;

/// Rows up to this long have the next one's maximum looked for before they are divided by their sum: a tenth faster. Longer ones
/// gain nothing.
const LOOKED_AHEAD: usize = 512;

/// Bytes from which a row goes past the cache: what its ends cost is more than what shorter ones gain.
const SHORT: usize = 7 << 10;

/// Whether the weights of such rows are parked here.
pub(super) fn are_parked(classes: usize, size: Size) -> bool {
    classes < if size == Size::Huge { LONG_OF_HUGE } else { LONG }
}

/// Softmax of all rows of `out`, read from `rows` or in place; past the cache where this is part of a large result.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "rows and all that is known of them")]
pub(super) fn softmax<S: Simd, R: Real>(
    simd: S,
    rows: Option<&[R]>,
    out: &mut [R],
    classes: usize,
    temperings: &Temperings<R>,
    space: &mut Space<R>,
    ahead: usize,
    size: Size,
) {
    let mut parked = Vec::new();
    let parked = aligned(&mut parked, classes, classes);
    let past = size >= Size::Large && classes * size_of::<R>() >= SHORT;
    let stream = past.then(|| Stream::new(simd));
    let count = out.len() / classes;
    let mut known = None;
    let mut out = out;
    for i in 0..count {
        let (now, later) = std::mem::take(&mut out).split_at_mut(classes);
        let row = rows.map_or(&*now, |rows| &rows[i * classes..(i + 1) * classes]);
        let peak = known.take().unwrap_or_else(|| find_peak(simd, row));
        let (tempering, ahead) = (temperings.of_row(i), if i + 1 < count { ahead } else { 0 });
        if past {
            // What the ends of two rows share is written as ever, and what comes behind would wait for it.
            simd.prefetch_write(now.as_ptr().wrapping_add(classes - 1 + ahead));
        }
        let sum = weigh(simd, peak, Some(row), parked, &tempering, space, ahead, 0);
        if classes <= LOOKED_AHEAD && i + 1 < count {
            let behind = rows.map_or(&*later, |rows| &rows[(i + 1) * classes..]);
            known = Some(find_peak(simd, &behind[..classes]));
        }
        match sum {
            Some(sum) => {
                let by = Multiplier::inverse(sum);
                let ahead = if past { 0 } else { ahead };
                simd.call(Send { weights: parked, by, stream: stream.as_ref(), out: now, ahead });
            }
            None => now.copy_from_slice(parked),
        }
        out = later;
    }
}

/// The third sweep: weights to probabilities.
struct Send<'a, 'b, R: Real, S: Simd> {
    weights: &'a [R],
    by: Multiplier<R>,
    /// Past the cache.
    stream: Option<&'a Stream<'b, S>>,
    out: &'b mut [R],
    /// How many numbers further on to fetch what will be written.
    ahead: usize,
}

impl<R: Real, T: Simd> Kernel for Send<'_, '_, R, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Send { weights, by, stream, out, ahead } = self;
        // In a short row the ends cost more than they bring.
        let lead = if out.len() < BLOCK / 4 { 0 } else { unaligned(out) };
        let ((first, weights), (to, out)) = (weights.split_at(lead), out.split_at_mut(lead));
        if !first.is_empty() {
            R::put(simd, &quotients(&R::padded(simd, first), &by), to);
        }
        let ((chunks, last), (outs, to)) = (weights.as_chunks::<LANES>(), out.as_chunks_mut());
        match stream {
            Some(stream) => {
                for (chunk, out) in chunks.iter().zip(outs) {
                    simd.one_by_one();
                    R::stream(stream, &quotients(chunk, &by), out);
                }
            }
            None => {
                for (chunk, out) in chunks.iter().zip(outs) {
                    simd.one_by_one();
                    simd.prefetch_write(out.as_ptr().wrapping_add(ahead));
                    *out = quotients(chunk, &by);
                }
            }
        }
        if !last.is_empty() {
            R::put(simd, &quotients(&R::padded(simd, last), &by), to);
        }
    }
}
