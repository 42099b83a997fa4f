//! Softmax of long rows past the cache, where the result is larger than caches are.
//!
//! ```text
//! weights parked in memory of our own, which stays in the cache · their sum · quotients straight to the result
//! ```
//!
//! In `row.rs` they are parked in the result: its memory is read before it is written, for nothing. Shorter rows gained nothing
//! in paired runs, also where they begin with a line of the cache.

use crate::element::Real;
use crate::simd::{Kernel, Simd, Stream};
use crate::softmax::plan::{BLOCK, Tempering, Temperings};
use crate::softmax::product::Multiplier;
use crate::softmax::row::{LANES, Normalise, Space, find_peak, quotients, unaligned, weigh};

/// A result of so many bytes leaves no cache of one core in peace: nor would any of it be there when it is read.
const STREAMED: usize = 1 << 23;

/// Numbers from which a row is long.
const LONG: usize = 8 * BLOCK;

/// Whether a result of so many numbers is so large.
pub(crate) fn is_large<T>(numbers: usize) -> bool {
    numbers.saturating_mul(size_of::<T>()) >= STREAMED
}

/// Whether rows that go to a large result are long.
pub(super) fn are_long(classes: usize) -> bool {
    classes >= LONG
}

/// Softmax of all rows.
#[inline(always)]
pub(super) fn softmax<S: Simd, R: Real>(
    simd: S,
    rows: &[R],
    out: &mut [R],
    classes: usize,
    temperings: &Temperings<R>,
    space: &mut Space<R>,
    ahead: usize,
) {
    let mut parked = vec![R::ZERO; classes];
    let stream = Stream::new(simd);
    let last = rows.len() / classes - 1;
    let rows = rows.chunks_exact(classes).zip(out.chunks_exact_mut(classes)).enumerate();
    for (i, (row, out)) in rows {
        let ahead = if i < last { ahead } else { 0 };
        of_row(simd, &stream, row, out, &mut parked, &temperings.of_row(i), space, ahead);
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a row and all that is known of it")]
fn of_row<'b, S: Simd, R: Real>(
    simd: S,
    stream: &Stream<'b, S>,
    row: &[R],
    out: &'b mut [R],
    parked: &mut [R],
    tempering: &Tempering<R>,
    space: &mut Space<R>,
    ahead: usize,
) {
    let peak = find_peak(simd, row);
    let Some(sum) = weigh(simd, peak, Some(row), parked, tempering, space, ahead, 0) else {
        return out.copy_from_slice(parked);
    };
    let by = Multiplier::inverse(sum);
    let (lead, out) = out.split_at_mut(unaligned(out));
    let (chunks, tail) = out.as_chunks_mut::<LANES>();
    let (lead_weights, weights) = parked.split_at(lead.len());
    let (weights, tail_weights) = weights.as_chunks::<LANES>();
    for (ends, weights) in [(lead, lead_weights), (tail, tail_weights)] {
        ends.copy_from_slice(weights);
        simd.call(Normalise { out: ends, by });
    }
    simd.call(Send { weights, by, stream, out: chunks });
}

/// The third sweep: weights to probabilities, past the cache.
struct Send<'a, 'b, R: Real, S: Simd> {
    weights: &'a [[R; LANES]],
    by: Multiplier<R>,
    stream: &'a Stream<'b, S>,
    out: &'b mut [[R; LANES]],
}

impl<R: Real, T: Simd> Kernel for Send<'_, '_, R, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Send { weights, by, stream, out } = self;
        for (weights, out) in weights.iter().zip(out) {
            simd.one_by_one();
            R::stream(stream, &quotients(weights, &by), out);
        }
    }
}
