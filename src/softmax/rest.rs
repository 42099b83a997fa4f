//! A row's weights without those of its maxima, for reductions that need log Z.
//!
//! ```text
//! Z = count·w(m) + rest                       ln Z keeps what a confident row leaves over
//! ```
//!
//! The sums are those of `row.rs`, in its lanes and parts; no weight is kept.

use crate::aligned::aligned;
use crate::double::Double;
use crate::element::{Real, private};
use crate::exp::{Shift, weight};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::in_real;
use crate::softmax::passing::Passing;
use crate::softmax::plan::{BLOCK, Plan};
use crate::softmax::row::{AddUp, LANES, LONG, Lanes, PART, Space, joined};

/// The second sweep of a reduction: the weights of a staged block, those of the maximum left out and
/// counted instead.
struct Rest<'a, R> {
    block: &'a [R],
    out: &'a mut [R],
    plan: &'a Plan<R>,
    /// How often each lane has met the maximum.
    maxima: &'a mut [R; LANES],
    /// How many numbers further on to fetch from memory meanwhile.
    ahead: usize,
}

impl<R: Real> Kernel for Rest<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rest { block, out, plan, maxima, ahead } = self;
        let (shift, max) = (plan.shift, plan.max);
        let (chunks, tail) = block.as_chunks::<LANES>();
        let (outs, out_tail) = out.as_chunks_mut::<LANES>();
        let mut count = *maxima;
        for (chunk, out) in chunks.iter().zip(outs) {
            simd.prefetch_read(chunk.as_ptr().wrapping_add(ahead));
            (*out, count) = rest_of_chunk(chunk, count, &shift, max);
        }
        if !tail.is_empty() {
            let mut last = R::padded(simd, tail);
            (last, count) = rest_of_chunk(&last, count, &shift, max);
            R::put(simd, &last, out_tail);
        }
        *maxima = count;
    }
}

#[inline(always)]
fn rest_of_chunk<R: Real>(
    chunk: &[R; LANES],
    count: [R; LANES],
    shift: &Shift<R>,
    max: R,
) -> ([R; LANES], [R; LANES]) {
    let (mut weights, mut counted) = ([R::ZERO; LANES], count);
    for i in 0..LANES {
        let x = chunk[i];
        let w = weight(x, shift);
        // Not by arithmetic: what weighs nothing adds exactly 0, also to a rest of 0.
        weights[i] = if (x > shift.floor) & (x < max) { w } else { R::ZERO };
        counted[i] = count[i] + if x < max { R::ZERO } else { R::ONE };
    }
    (weights, counted)
}

/// The count of maxima of a row, and the sum of the weights of all other entries; so many numbers further on lies the next row,
/// or 0.
#[inline(always)]
pub(crate) fn rest<S: Simd, R: Real>(
    simd: S,
    row: &[R],
    plan: &Plan<R>,
    space: &mut Space<R>,
    ahead: usize,
) -> (f64, Double) {
    if row.len() > LONG {
        return rest_of_parts(simd, row, plan, space);
    }
    rest_of_part(simd, row, plan, space, &mut Scratch::new(), ahead)
}

/// Not inlined: all other rows would pay for it.
#[inline(never)]
fn rest_of_parts<S: Simd, R: Real>(
    simd: S,
    row: &[R],
    plan: &Plan<R>,
    space: &mut Space<R>,
) -> (f64, Double) {
    let (mut maxima, mut sum) = (0.0, Double::ZERO);
    for part in row.chunks(PART) {
        let (maxima_of_part, of_part) =
            rest_of_part(simd, part, plan, space, &mut Scratch::new(), 0);
        maxima += maxima_of_part;
        sum = joined::<R>(sum, of_part);
    }
    (maxima, sum)
}

/// The same of a part of a row, which is converted by way of `wide` where it must be.
#[inline(always)]
pub(super) fn rest_of_part<S: Simd, T: private::Element>(
    simd: S,
    part: &[T],
    plan: &Plan<T::Real>,
    space: &mut Space<T::Real>,
    wide: &mut Scratch<T::Real>,
    ahead: usize,
) -> (f64, Double) {
    let mut lanes = Lanes::ZERO;
    let mut total = 0.0;
    let mut passing = Passing::new(plan, part.len());
    for block in part.chunks(BLOCK) {
        let block = in_real(block, wide);
        if passing.over(simd, block) {
            continue;
        }
        let (weights, maxima) = rest_of_block(simd, block, plan, space, ahead);
        simd.call(AddUp { weights, lanes: &mut lanes });
        total += maxima;
    }
    (total, lanes.sum::<T::Real>())
}

/// The weights of a block without those of the maximum, and how many entries are the maximum.
#[inline(always)]
fn rest_of_block<'a, S: Simd, R: Real>(
    simd: S,
    block: &[R],
    plan: &Plan<R>,
    space: &'a mut Space<R>,
    ahead: usize,
) -> (&'a [R], f64) {
    let Space { staged, weights } = space;
    let block = plan.staged(block, staged);
    let out = aligned(weights, BLOCK, block.len());
    let mut maxima = [R::ZERO; LANES];
    simd.call(Rest { block, out, plan, maxima: &mut maxima, ahead });
    (out, maxima.iter().map(|count| count.to_f64()).sum())
}
