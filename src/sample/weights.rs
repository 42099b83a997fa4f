//! Weights that are integers: what a token's share of the distribution is, exactly.
//!
//! ```text
//! t_i = (x_i − m)·c,  c = log2(e)/τ
//! w_i = rint(2^t_i · 2^34)                    0 where t_i < −34.999
//! W   = Σ w_i                                 exact in any order
//! P(i) = w_i / W                              as a fraction of integers
//! ```
//!
//! The largest logit weighs 2^34. Logits in f32 are weighed in f32 (`single.rs`), unless their temperature is extreme, and
//! the largest up to twice as much; others here, in f64: 2^t is a polynomial good to 2^-39, so that w_i is within 0.52 of
//! exp((x_i − m)/τ)·2^34. Rows are gone through in blocks of 512: the first sweep leaves the largest logit of each, and a
//! block whose largest weighs nothing is not looked at again. A block's sum is exact in f64, and in the two u32 of
//! `single.rs`; the blocks' u64 carry on to 2^29 classes.

use crate::double::{Double, ldexp};
use crate::element::Real;
use crate::sample::search::smallest;
use crate::sample::single::{self, Room, Single};
use crate::simd::{Kernel, Simd};
use crate::softmax::row::{LANES, WIDE, raised, sum_of_lanes};
use crate::temperature::Temperature;

/// Logits looked at together: 2 KiB of f32.
pub(super) const BLOCK: usize = 512;
/// The weight of the largest logit is 2^34.
pub(super) const RESOLUTION: u64 = 34;
/// What weighs less than this power of two of the largest weighs nothing. Half a unit is 2^-35; the little more keeps the
/// polynomial's own error out of the decision.
const NOTHING: f64 = -34.999;
/// 1.5 · 2^52: adding it rounds to an integer, which is left in the low bits.
pub(super) const ROUND: f64 = 6755399441055744.0;
/// 2^52: between it and 2^53 the f64 are the integers, so that adding it and taking it off rounds to one.
const INTEGER: f64 = 4503599627370496.0;

/// 2^r = 1 + r (c_0 + r (c_1 + …)) on |r| ≤ 0.504, relative error 2^-39.88; from `python fixtures/exp_coefficients.py`.
const EXP2: [f64; 8] = [
    f64::from_bits(0x3fe62e42fef84570), // 0.693147180545720332
    f64::from_bits(0x3fcebfbdff8d796a), // 0.240226506978568566
    f64::from_bits(0x3fac6b08dd8f04fc), // 0.0555041094262467005
    f64::from_bits(0x3f83b2ab60dd43a0), // 0.00961812867504524549
    f64::from_bits(0x3f55d8742b3c3feb), // 0.00133334488504388104
    f64::from_bits(0x3f2430a6e6ef303b), // 0.000154037832059807301
    f64::from_bits(0x3ef00de8a5c2cfa1), // 0.0000153106033031338408
    f64::from_bits(0x3eb6205d5bfc8b98), // 1.31883767546449715e-6
];

/// 2^(t + n), t up to 0 and above −900.
#[inline(always)]
fn exp2_plus<const N: u64>(t: f64) -> f64 {
    let round = ROUND + N as f64;
    let rounded = t + round;
    let r = t - (rounded - round);
    // Estrin's scheme: the terms wait for each other half as long as in Horner's, and vectors wait less.
    let (square, c) = (r * r, &EXP2);
    let low = c[3].mul_add(r, c[2]).mul_add(square, c[1].mul_add(r, c[0]));
    let high = c[7].mul_add(r, c[6]).mul_add(square, c[5].mul_add(r, c[4]));
    let p = high.mul_add(square * square, low).mul_add(r, 1.0);
    f64::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 52))
}

/// 2^t, t up to 0 and above −900: within 2^-39 of itself.
#[inline(always)]
pub(super) fn exp2(t: f64) -> f64 {
    exp2_plus::<0>(t)
}

/// How a logit becomes a weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale<R> {
    pub(super) max: f64,
    /// log2(e)/τ; 0 for the two limits, where all that are kept weigh the same.
    pub(super) factor: f64,
    /// The smallest number that weighs anything: at τ = 0 the largest logit, at τ = ∞ the smallest finite one.
    pub(super) least: R,
    /// The same in f32, where that is enough.
    single: Option<Single>,
}

impl<R: Real> Scale<R> {
    /// The scale of a temperature for logits that were multiplied by 2^`staged` already.
    pub(super) fn new(max: R, tau: Temperature, staged: i32) -> Self {
        Scale::of_logarithms(max, tau, staged).of_max(max)
    }

    /// The same for logarithms alone: no weights are to be made with it.
    pub(super) fn of_logarithms(max: R, tau: Temperature, staged: i32) -> Self {
        let factor = if tau.is_zero() || tau.is_infinite() {
            0.0
        } else {
            let (inverse, exponent) = tau.inverse();
            // Above 2^1000 two different f32 are always further apart than any weight reaches.
            let exponent = (exponent - staged).min(1000);
            ldexp(Double::LOG2_E.times(inverse).hi, exponent)
        };
        let least = if tau.is_zero() { max } else { R::LOWEST };
        Scale { max: max.to_f64(), factor, least, single: None }
    }

    /// The same temperature, where another logit is the largest.
    pub(super) fn of_max(self, max: R) -> Self {
        let mut scale = Scale { max: max.to_f64(), ..self };
        if self.factor > 0.0 {
            let guess = scale.max + NOTHING / scale.factor;
            scale.least = smallest(max, guess, |x| scale.exponent(x) >= NOTHING);
            if !R::IN_DOUBLE {
                scale.single = Single::new(scale.max, scale.factor);
            }
        } else if self.least > R::LOWEST {
            scale.least = max; // τ = 0
        }
        scale
    }

    /// The exponent of a logit's weight, 0 for the largest.
    #[inline(always)]
    pub(super) fn exponent(&self, x: R) -> f64 {
        (x.to_f64() - self.max) * self.factor
    }

    /// The weight of a logit, an integer; 0 below `at_least`. In f64.
    #[inline(always)]
    fn weight_if(&self, x: R, at_least: R) -> f64 {
        // −40 weighs nothing.
        let t = if x >= at_least { self.exponent(x) } else { -40.0 };
        (exp2_plus::<RESOLUTION>(t) + INTEGER) - INTEGER
    }

    /// The exponent of the largest weight: 34, or with f32 up to 35.
    pub(super) fn largest(&self) -> f64 {
        self.single.map_or(RESOLUTION as f64, |single| single.largest)
    }

    /// The weight of one logit that is kept.
    #[inline(always)]
    pub(super) fn weight(&self, x: R) -> u64 {
        match self.single {
            Some(single) => single.integer(x.to_f64() as f32, self.least.to_f64() as f32),
            None => self.weight_if(x, self.least) as u64,
        }
    }

    /// A part of a row and what of it is kept, for the kernels of f32, if they are enough.
    #[inline(always)]
    fn in_single<'a>(&self, part: &'a [R], at_least: R) -> Option<(Single, &'a [f32], f32)> {
        let at_least = if at_least > self.least { at_least } else { self.least };
        Some((self.single?, R::as_single(part)?, at_least.to_f64() as f32))
    }
}

/// What a row keeps: all that come before a place in the order of falling logits and rising ids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut<R> {
    pub(super) value: R,
    /// Of the logits equal to `value`, those up to this id.
    pub(super) last: usize,
}

impl<R: Real> Cut<R> {
    /// Everything but −∞.
    pub(super) const NONE: Self = Cut { value: R::LOWEST, last: usize::MAX };

    pub(super) fn at_least(value: R) -> Self {
        Cut { value, last: usize::MAX }
    }

    #[inline(always)]
    pub(super) fn keeps(&self, x: R, id: usize) -> bool {
        (x > self.value) | ((x == self.value) & (id <= self.last))
    }

    /// What both keep.
    pub(super) fn and(self, other: Self) -> Self {
        if other.value > self.value {
            other
        } else if self.value > other.value {
            self
        } else {
            Cut { value: self.value, last: self.last.min(other.last) }
        }
    }

    /// The smallest that is kept among ids from `from` up, if all of them are on one side of `last`.
    #[inline(always)]
    pub(super) fn within(&self, from: usize, to: usize) -> Option<R> {
        if to <= self.last.saturating_add(1) {
            Some(self.value)
        } else if from > self.last {
            Some(self.value.next_up())
        } else {
            None
        }
    }

    /// Calls `of` with the one or two parts of a block in which one number is the smallest that is kept.
    #[inline(always)]
    pub(super) fn parts(&self, from: usize, block: &[R], mut of: impl FnMut(usize, &[R], R)) {
        match self.within(from, from + block.len()) {
            Some(at_least) => of(from, block, at_least),
            None => {
                let (left, right) = block.split_at(self.last + 1 - from);
                of(from, left, self.value);
                of(self.last + 1, right, self.value.next_up());
            }
        }
    }
}

/// The first sweep: the largest logit of each block. Gives whether there is a NaN.
pub(crate) struct Peaks<'a, R> {
    pub(super) row: &'a [R],
    pub(super) maxima: &'a mut [R],
}

impl<R: Real> Kernel for Peaks<'_, R> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Peaks { row, maxima } = self;
        let mut nan = [R::NO_BITS; WIDE];
        let mut lanes = [[R::NEG_INFINITY; WIDE]; TOGETHER];
        for (blocks, maxima) in row.chunks(TOGETHER * BLOCK).zip(maxima.chunks_mut(TOGETHER)) {
            simd.call(Raise { blocks, lanes: &mut lanes, nan: &mut nan });
            simd.call(Largest { lanes: &lanes, maxima });
        }
        nan.iter().any(|&bits| bits != R::NO_BITS)
    }
}

/// Blocks to a call.
const TOGETHER: usize = 8;

/// The largest of each block, lane by lane. What becomes of the lanes is not done here: one look at a single lane, and the
/// compiler keeps them all as single numbers.
struct Raise<'a, R: Real> {
    blocks: &'a [R],
    lanes: &'a mut [[R; WIDE]; TOGETHER],
    nan: &'a mut [R::Bits; WIDE],
}

impl<R: Real> Kernel for Raise<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let mut nan = *self.nan;
        for (block, lanes) in self.blocks.chunks(BLOCK).zip(self.lanes) {
            let mut best = [R::NEG_INFINITY; WIDE];
            let (chunks, tail) = block.as_chunks::<WIDE>();
            for chunk in chunks {
                (best, nan) = raised(chunk, best, nan);
            }
            if !tail.is_empty() {
                let mut last = [R::NEG_INFINITY; WIDE];
                last[..tail.len()].copy_from_slice(tail);
                (best, nan) = raised(&last, best, nan);
            }
            *lanes = best;
        }
        *self.nan = nan;
    }
}

/// The largest of the lanes of each block, by halves: one after the other, each would wait for the one before.
struct Largest<'a, R> {
    lanes: &'a [[R; WIDE]; TOGETHER],
    maxima: &'a mut [R],
}

impl<R: Real> Kernel for Largest<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (max, lanes) in self.maxima.iter_mut().zip(self.lanes) {
            let (mut best, mut width) = (*lanes, WIDE);
            while width > 1 {
                width /= 2;
                for i in 0..width {
                    best[i] = if best[i + width] > best[i] { best[i + width] } else { best[i] };
                }
            }
            *max = best[0];
        }
    }
}

/// The second sweep: the sum of all weights up to the end of each block.
pub(crate) struct Weigh<'a, R> {
    pub(super) row: &'a [R],
    pub(super) maxima: &'a [R],
    pub(super) scale: Scale<R>,
    pub(super) cut: Cut<R>,
    pub(super) sums: &'a mut [u64],
}

impl<R: Real> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weigh { row, maxima, scale, cut, sums } = self;
        let (mut total, mut room) = (0, Room::new(cut.value > scale.least));
        for (b, (block, (max, sum))) in row.chunks(BLOCK).zip(maxima.iter().zip(sums)).enumerate() {
            if *max >= cut.value {
                cut.parts(b * BLOCK, block, |_, part, at_least| {
                    total += sum_of_part(simd, part, *max, &scale, at_least, &mut room);
                });
            }
            *sum = total;
        }
    }
}

/// The sum of the weights of a part of a block; no logit is above `max`.
#[inline(always)]
fn sum_of_part<S: Simd, R: Real>(
    simd: S,
    part: &[R],
    max: R,
    scale: &Scale<R>,
    at_least: R,
    room: &mut Room,
) -> u64 {
    match scale.in_single(part, at_least) {
        Some((single, logits, at_least)) => {
            let part = single::Part { logits, max: max.to_f64() as f32 };
            single::sum(simd, part, &single, at_least, room)
        }
        None => simd.call(Part { part, scale, at_least }) as u64,
    }
}

/// The second sweep where there is a pivot: the sum of all weights, and for each block the sum from the pivot up.
pub(crate) struct Split<'a, R> {
    pub(super) row: &'a [R],
    pub(super) maxima: &'a [R],
    pub(super) scale: Scale<R>,
    pub(super) cut: Cut<R>,
    pub(super) pivot: R,
    pub(super) sums: &'a mut [u64],
}

impl<R: Real> Kernel for Split<'_, R> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        let Split { row, maxima, scale, cut, pivot, sums } = self;
        let (mut total, mut room) = (0, Room::new(false));
        for (b, (block, (max, sum))) in row.chunks(BLOCK).zip(maxima.iter().zip(sums)).enumerate() {
            *sum = 0;
            if *max >= cut.value {
                cut.parts(b * BLOCK, block, |_, part, at_least| {
                    let pivot = if pivot > at_least { pivot } else { at_least };
                    let (all, above) = if *max >= pivot {
                        split_part(simd, part, *max, &scale, at_least, pivot, &mut room)
                    } else {
                        (sum_of_part(simd, part, *max, &scale, at_least, &mut room), 0)
                    };
                    total += all;
                    *sum += above;
                });
            }
        }
        total
    }
}

#[inline(always)]
fn split_part<S: Simd, R: Real>(
    simd: S,
    part: &[R],
    max: R,
    scale: &Scale<R>,
    at_least: R,
    pivot: R,
    room: &mut Room,
) -> (u64, u64) {
    match scale.in_single(part, at_least) {
        Some((single, logits, at_least)) => {
            let part = single::Part { logits, max: max.to_f64() as f32 };
            let pivot = pivot.to_f64() as f32;
            let pivot = if pivot > at_least { pivot } else { at_least };
            single::split(simd, part, &single, at_least, pivot, room)
        }
        None => {
            let all = simd.call(Part { part, scale, at_least });
            (all as u64, simd.call(Part { part, scale, at_least: pivot }) as u64)
        }
    }
}

/// The sum of the weights of a part of a block in f64, exactly.
struct Part<'a, R> {
    part: &'a [R],
    scale: &'a Scale<R>,
    at_least: R,
}

impl<R: Real> Kernel for Part<'_, R> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let Part { part, scale, at_least } = self;
        let mut lanes = [0.0; LANES];
        let (chunks, tail) = part.as_chunks::<LANES>();
        for chunk in chunks {
            lanes = added(lanes, chunk, scale, at_least);
        }
        if !tail.is_empty() {
            let mut last = [R::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            lanes = added(lanes, &last, scale, at_least);
        }
        sum_of_lanes(lanes)
    }
}

#[inline(always)]
fn added<R: Real>(
    lanes: [f64; LANES],
    chunk: &[R; LANES],
    scale: &Scale<R>,
    at_least: R,
) -> [f64; LANES] {
    let mut next = lanes;
    for i in 0..LANES {
        next[i] = lanes[i] + scale.weight_if(chunk[i], at_least);
    }
    next
}

/// The weights of a part of a row, one by one.
pub(crate) struct Expand<'a, R> {
    pub(super) block: &'a [R],
    pub(super) scale: &'a Scale<R>,
    pub(super) at_least: R,
    pub(super) weights: &'a mut [u64],
}

impl<R: Real> Kernel for Expand<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Expand { block, scale, at_least, weights } = self;
        if let Some((single, part, at_least)) = scale.in_single(block, at_least) {
            return simd.call(single::Expand { part, single, at_least, weights });
        }
        for (weight, &x) in weights.iter_mut().zip(block) {
            *weight = scale.weight_if(x, at_least) as u64;
        }
    }
}

/// How many logits of a part of a row are kept.
pub(crate) struct Count<'a, R> {
    pub(super) block: &'a [R],
    pub(super) at_least: R,
}

impl<R: Real> Kernel for Count<'_, R> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        let mut count = 0u32; // of a block
        for &x in self.block {
            count += u32::from(x >= self.at_least);
        }
        count as usize
    }
}
