//! Weights of f32 logits, computed in f32: half as wide as f64, and as exact as a weight needs.
//!
//! ```text
//! n = ⌊m·c⌋                                   the row's shift
//! e = 2^(x·c − n + 34)                        the weight that softmax works with (`exp.rs`), times a power of two
//! w = rint(e) = h·2^17 + l                    e + 1.5·2^40 has h in its low bits, the rest + 1.5·2^23 has l
//! Σ w = 2^17 Σ h + Σ l                        in u32, exactly, with the other bits: known, and taken off at the end
//! ```
//!
//! So the largest weighs 2^34 or up to twice that. The logits must have |m·c| < 2^16 and c within 2^±75; where they have
//! not, `weights.rs` computes in f64.

use crate::double::power_of_two;
use crate::element::Real;
use crate::exp::{Shift, weight};
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
            // Six powers of two below anything that is rounded up to 1.
            floor: ((n - RESOLUTION as f64 - 6.0) / factor) as f32,
        };
        Some(Single { shift, largest: RESOLUTION as f64 + (product - n) })
    }

    /// The weight of a logit, an integer; 0 below `at_least`.
    #[inline(always)]
    pub(super) fn integer(&self, x: f32, at_least: f32) -> u64 {
        let (high, low) = parts(if x >= at_least { weight(x, &self.shift) } else { 0.0 });
        whole(high, low, 1)
    }
}

/// The two parts of a weight, rounded to an integer, in the low bits of two numbers.
#[inline(always)]
fn parts(weight: f32) -> (u32, u32) {
    let high = weight + HIGH;
    let low = (weight - (high - HIGH)) + ROUND;
    (high.to_bits(), low.to_bits())
}

/// A sum of weights out of the sums of their parts' bits.
#[inline(always)]
fn whole(high: u32, low: u32, count: u32) -> u64 {
    let high = high.wrapping_sub(count.wrapping_mul(HIGH.to_bits()));
    let low = low.wrapping_sub(count.wrapping_mul(ROUND.to_bits()));
    ((i64::from(high.cast_signed()) << 17) + i64::from(low.cast_signed())).cast_unsigned()
}

/// Room for the weights of a block between two sweeps.
pub(super) type Parked = [f32; BLOCK];

/// The sum of the weights of a block or a part of it, from a logit up.
#[inline(always)]
pub(super) fn sum<S: Simd>(
    simd: S,
    part: &[f32],
    single: &Single,
    at_least: f32,
    parked: &mut Parked,
) -> u64 {
    let weights = &mut parked[..part.len()];
    simd.call(Park { part, shift: &single.shift, weights });
    simd.call(AddUp { part, at_least, weights })
}

/// The same, and that from a pivot up.
#[inline(always)]
pub(super) fn split<S: Simd>(
    simd: S,
    part: &[f32],
    single: &Single,
    at_least: f32,
    pivot: f32,
    parked: &mut Parked,
) -> (u64, u64) {
    let all = sum(simd, part, single, at_least, parked);
    (all, simd.call(AddUp { part, at_least: pivot, weights: &parked[..part.len()] }))
}

/// Weights, not yet rounded to integers. Sums are a sweep of their own: in this one they would wait, and the next weights
/// with them.
struct Park<'a> {
    part: &'a [f32],
    shift: &'a Shift<f32>,
    weights: &'a mut [f32],
}

impl Kernel for Park<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Park { part, shift, weights } = self;
        let shift = *shift;
        let (chunks, tail) = part.as_chunks::<LANES>();
        let (outs, out_tail) = weights.as_chunks_mut::<LANES>();
        for (chunk, out) in chunks.iter().zip(outs) {
            let mut weights = [0.0; LANES];
            for i in 0..LANES {
                weights[i] = weight(chunk[i], &shift);
            }
            *out = weights;
        }
        for (&x, out) in tail.iter().zip(out_tail) {
            *out = weight(x, &shift);
        }
    }
}

/// The sum of the weights of the logits from one up, each rounded to an integer. There are no lanes here: the order of
/// whole numbers is free.
struct AddUp<'a> {
    part: &'a [f32],
    at_least: f32,
    weights: &'a [f32],
}

impl Kernel for AddUp<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> u64 {
        let AddUp { part, at_least, weights } = self;
        let (mut high, mut low) = (0u32, 0u32);
        for (&x, &weight) in part.iter().zip(weights) {
            let (h, l) = parts(if x >= at_least { weight } else { 0.0 });
            high = high.wrapping_add(h);
            low = low.wrapping_add(l);
        }
        whole(high, low, part.len() as u32)
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
