//! Weights of f32 logits, computed in f32: half as wide as f64, and as exact as a weight needs.
//!
//! ```text
//! n = ⌊m·c⌋                                   the row's shift
//! e = 2^(x·c − n + 34)                        the weight that softmax works with (`exp.rs`), times a power of two
//! w = rint(e) = h·2^17 + l                    e + 1.5·2^40 has h in its low bits, the rest + 1.5·2^23 has l
//! Σ w = 2^17 Σ h + Σ l                        in u32, exactly, with the other bits: known, and taken off at the end
//! ```
//!
//! Where no weight of a block reaches 2^21 there is no h, and e + 1.5·2^23 is enough. Where a filter keeps little, a block is
//! squeezed first to the eights that have any of it.
//!
//! So the largest weighs 2^34 or up to twice that. The logits must have |m·c| < 2^16 and c within 2^±75; where they have
//! not, `weights.rs` computes in f64.

use crate::double::power_of_two;
use crate::element::Real;
use crate::exp::{Shift, weight_above_floor};
use crate::sample::weights::{BLOCK, RESOLUTION};
use crate::simd::{Kernel, Simd};
use crate::softmax::row::LANES;

/// 1.5 · 2^23: adding it rounds to an integer, which is left in the low bits; and 2^17 times it.
const ROUND: f32 = 12_582_912.0;
const HIGH: f32 = ROUND * 131_072.0;

/// A row's shift and a temperature's factor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Single {
    shift: Shift<f32>,
    /// Logits below it weigh less than 2^21: there is no h to be told from l.
    heavy: f32,
    /// The exponent of the largest weight, from 34 up to 35.
    pub(super) largest: f64,
}

impl Single {
    /// None where f32 is not enough.
    pub(super) fn new(max: f64, factor: f64) -> Option<Single> {
        let product = max * factor;
        let reach = power_of_two(f32::REACH);
        if !(1.0 / reach..=reach).contains(&factor) || product.abs() >= 65536.0 {
            return None;
        }
        let (n, high) = (product.floor(), factor as f32);
        let shift = Shift {
            factor: high,
            factor_low: (factor - f64::from(high)) as f32,
            round: (f32::ROUND + RESOLUTION as f64 - n) as f32,
            // Whatever is looked at weighs half a unit or more.
            floor: f32::NEG_INFINITY,
        };
        let heavy = ((n - RESOLUTION as f64 + 20.0) / factor) as f32;
        Some(Single { shift, heavy, largest: RESOLUTION as f64 + (product - n) })
    }

    /// The weight of a logit, an integer; 0 below `at_least`.
    #[inline(always)]
    pub(super) fn integer(&self, x: f32, at_least: f32) -> u64 {
        let (high, low) =
            parts(if x >= at_least { weight_above_floor(x, &self.shift) } else { 0.0 });
        whole(high, low, 1)
    }
}

/// The two parts of a weight, rounded to an integer, in the low bits of two numbers.
#[inline(always)]
fn parts(weight: f32) -> (u32, u32) {
    let high = weight + HIGH;
    // ROUND − h·2^17 is exact, and ROUND a multiple of HIGH's last bit: one rounding, the one that is wanted.
    let low = weight + ((HIGH + ROUND) - high);
    (high.to_bits(), low.to_bits())
}

/// A sum of weights out of the sums of their parts' bits.
#[inline(always)]
fn whole(high: u32, low: u32, count: u32) -> u64 {
    let high = high.wrapping_sub(count.wrapping_mul(HIGH.to_bits()));
    let low = low.wrapping_sub(count.wrapping_mul(ROUND.to_bits()));
    ((i64::from(high.cast_signed()) << 17) + i64::from(low.cast_signed())).cast_unsigned()
}

/// Room for a block between two sweeps.
pub(super) struct Room {
    weights: [f32; BLOCK],
    /// What is left of its logits; the last step may write beyond, and take nothing.
    squeezed: [f32; BLOCK + HALF],
    /// Whether so little of the blocks is kept that it is worth looking for first.
    is_sparse: bool,
}

impl Room {
    pub(super) fn new(is_sparse: bool) -> Self {
        Room { weights: [0.0; BLOCK], squeezed: [0.0; BLOCK + HALF], is_sparse }
    }
}

/// Logits that stay together where a block is squeezed.
const HALF: usize = LANES / 2;

/// A part of a block: its logits, none above `max`.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) logits: &'a [f32],
    pub(super) max: f32,
}

/// The sum of the weights of a part of a block, from a logit up.
#[inline(always)]
pub(super) fn sum<S: Simd>(
    simd: S,
    part: Part<'_>,
    single: &Single,
    at_least: f32,
    room: &mut Room,
) -> u64 {
    let Room { weights, squeezed, is_sparse } = room;
    let mut part = part;
    if *is_sparse {
        let len = simd.call(Squeeze { logits: part.logits, at_least, squeezed });
        *is_sparse = len <= part.logits.len() / 2;
        part.logits = &squeezed[..len];
    }
    let weights = &mut weights[..part.logits.len()];
    simd.call(Park { logits: part.logits, shift: &single.shift, weights });
    sum_parked(simd, part, single, at_least, weights)
}

/// The same of all of the part, and that from a pivot up.
#[inline(always)]
pub(super) fn split<S: Simd>(
    simd: S,
    part: Part<'_>,
    single: &Single,
    at_least: f32,
    pivot: f32,
    room: &mut Room,
) -> (u64, u64) {
    let weights = &mut room.weights[..part.logits.len()];
    simd.call(Park { logits: part.logits, shift: &single.shift, weights });
    let all = sum_parked(simd, part, single, at_least, weights);
    (all, sum_parked(simd, part, single, pivot, weights))
}

#[inline(always)]
fn sum_parked<S: Simd>(
    simd: S,
    part: Part<'_>,
    single: &Single,
    at_least: f32,
    weights: &[f32],
) -> u64 {
    let Part { logits, max } = part;
    if max < single.heavy {
        simd.call(AddUp::<false> { logits, at_least, weights })
    } else {
        simd.call(AddUp::<true> { logits, at_least, weights })
    }
}

/// The eights of a part of a block in which something is kept, one behind the other; how many logits that are.
struct Squeeze<'a> {
    logits: &'a [f32],
    at_least: f32,
    squeezed: &'a mut [f32; BLOCK + HALF],
}

impl Kernel for Squeeze<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let Squeeze { logits, at_least, squeezed } = self;
        let (chunks, tail) = logits.as_chunks::<LANES>();
        let mut len = 0;
        for chunk in chunks {
            len = squeeze(simd, chunk, at_least, squeezed, len);
        }
        if !tail.is_empty() {
            let mut last = [f32::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            len = squeeze(simd, &last, at_least, squeezed, len);
        }
        len
    }
}

#[inline(always)]
fn squeeze<S: Simd>(
    simd: S,
    chunk: &[f32; LANES],
    at_least: f32,
    squeezed: &mut [f32; BLOCK + HALF],
    mut len: usize,
) -> usize {
    let kept = simd.at_least(chunk, at_least);
    let (halves, _) = chunk.as_chunks::<HALF>();
    // Written in any case, and kept by moving on: there is nothing to foretell.
    for (half, kept) in halves.iter().zip([kept & 0xff, kept >> HALF]) {
        squeezed[len..len + HALF].copy_from_slice(half);
        len += if kept != 0 { HALF } else { 0 };
    }
    len
}

/// Weights, not yet rounded to integers, and of logits that weigh nothing any number or a NaN. Sums are a sweep of their own:
/// in this one they would wait, and the next weights with them.
struct Park<'a> {
    logits: &'a [f32],
    shift: &'a Shift<f32>,
    weights: &'a mut [f32],
}

impl Kernel for Park<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Park { logits, shift, weights } = self;
        let shift = *shift;
        let (chunks, tail) = logits.as_chunks::<LANES>();
        let (outs, out_tail) = weights.as_chunks_mut::<LANES>();
        for (chunk, out) in chunks.iter().zip(outs) {
            let mut weights = [0.0; LANES];
            for i in 0..LANES {
                weights[i] = weight_above_floor(chunk[i], &shift);
            }
            *out = weights;
        }
        for (&x, out) in tail.iter().zip(out_tail) {
            *out = weight_above_floor(x, &shift);
        }
    }
}

/// The sum of the weights of the logits from one up, each rounded to an integer; of light ones, without the high parts. There
/// are no lanes here: the order of whole numbers is free.
struct AddUp<'a, const HEAVY: bool> {
    logits: &'a [f32],
    at_least: f32,
    weights: &'a [f32],
}

impl<const HEAVY: bool> Kernel for AddUp<'_, HEAVY> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> u64 {
        let AddUp { logits, at_least, weights } = self;
        let count = logits.len() as u32;
        let (mut high, mut low) = (0u32, 0u32);
        for (&x, &weight) in logits.iter().zip(weights) {
            let weight = if x >= at_least { weight } else { 0.0 };
            if HEAVY {
                let (h, l) = parts(weight);
                high = high.wrapping_add(h);
                low = low.wrapping_add(l);
            } else {
                low = low.wrapping_add((weight + ROUND).to_bits());
            }
        }
        let high = if HEAVY { high } else { HIGH.to_bits().wrapping_mul(count) };
        whole(high, low, count)
    }
}

/// The weights of a part of a row, one by one.
pub(super) struct Expand<'a> {
    pub(super) part: &'a [f32],
    pub(super) single: Single,
    pub(super) at_least: f32,
    pub(super) weights: &'a mut [u64],
}

impl Kernel for Expand<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Expand { part, single, at_least, weights } = self;
        debug_assert!(part.len() <= BLOCK);
        for (weight, &x) in weights.iter_mut().zip(part) {
            *weight = single.integer(x, at_least);
        }
    }
}
