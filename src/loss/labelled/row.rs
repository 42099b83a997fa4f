//! One row: its weights into the output, their sums, and the weights to the gradient.
//!
//! ```text
//! w_i  = exp((x_i − m)/τ)                         into the output, 0 where x is masked or far below
//! k    = how many weigh what the maximum weighs,  r = Σ w of the others,  d = Σ w_i (x_i − m)
//! L    = gap_y + ln(k + r)                        gap_y = (m − x_y)/τ
//! dx_i = w_i/(k + r)/τ,   dx_y = −(1 − p_y)/τ     1 − p_y = (k − 1 + r)/(k + r) where y is at the maximum
//! dτ   = (−d/(k + r)/τ − gap_y)/τ
//! ```

use super::OfRow;
use crate::element::Real;
use crate::exp::{Shift, ln_sum_in_f64, weight};
use crate::loss::distribution::FARTHEST;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{BLOCK, Plan, Tempering};
use crate::softmax::product::Multiplier;
use crate::softmax::row::{LANES, Lanes, Normalise, Peak, find_peak};

/// How a row is to be done.
#[derive(Clone, Copy)]
pub(super) struct How<'a, R> {
    pub(super) tempering: &'a Tempering<R>,
    /// What the gradient is multiplied by.
    pub(super) factor: f64,
    /// How many numbers further on the next row is to be fetched from memory meanwhile, or 0.
    pub(super) ahead: usize,
}

/// The loss of a row; its gradient goes to `out`. `None` where the row is not ordinary.
#[inline(always)]
pub(super) fn of_row<S: Simd, R: Real>(
    simd: S,
    row: &[R],
    label: usize,
    how: How<'_, R>,
    out: &mut [R],
    space: &mut Vec<R>,
) -> Option<OfRow> {
    let How { tempering, factor, ahead } = how;
    let (Peak::Finite(max), Tempering::Finite(base)) = (find_peak(simd, row), tempering) else {
        return None;
    };
    if base.exponent() != 0 {
        return None;
    }
    let plan = Plan::new(max, base);
    let top = weight(plan.max, &plan.shift);
    let mut sums = Sums { maxima: [R::ZERO; LANES], rest: Lanes::ZERO, first: Lanes::ZERO };
    for (block, out) in row.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let block = plan.staged(block, space);
        simd.call(Weigh { block, out, shift: &plan.shift, ahead });
        simd.call(AddOthers { weights: out, top, sums: &mut sums });
        simd.call(AddMoments { block, weights: out, plan: &plan, sums: &mut sums });
    }
    let (unit, gap) = (top.to_f64(), max.to_f64() - row[label].to_f64());
    let maxima = sums.maxima.iter().map(|count| count.to_f64()).sum::<f64>();
    let rest = sums.rest.sum::<R>().hi / unit;
    // Something too small for the type is left out of the loss.
    if rest == 0.0 && maxima < row.len() as f64 {
        return None;
    }
    let z = maxima + rest;
    let inverse = base.nearest_inverse();
    let gap = gap * inverse;
    // What a weight is to be multiplied by.
    let scale = factor * inverse / (z * unit);
    if !(gap < FARTHEST && R::HOLDS.contains(&scale)) {
        return None;
    }
    let by = Multiplier::new(scale, factor * inverse);
    let of_label = out[label];
    let missed = if of_label < top {
        1.0 - of_label.to_f64() / (unit * z)
    } else {
        ((maxima - 1.0) + rest) / z
    };
    simd.call(Normalise { out, by });
    out[label] = R::of_f64(-missed * (factor * inverse) + 0.0);
    let mean = sums.first.sum::<R>().hi / (unit * z) * inverse;
    Some(OfRow { loss: ln_sum_in_f64(maxima, rest) + gap, slope: -mean - gap })
}

/// The weights of a staged block, 0 where there is none.
struct Weigh<'a, R> {
    block: &'a [R],
    out: &'a mut [R],
    shift: &'a Shift<R>,
    ahead: usize,
}

impl<R: Real> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weigh { block, out, shift, ahead } = self;
        let shift = *shift;
        let (chunks, tail) = block.as_chunks::<LANES>();
        let (outs, out_tail) = out.as_chunks_mut::<LANES>();
        for (chunk, out) in chunks.iter().zip(outs) {
            simd.prefetch_read(chunk.as_ptr().wrapping_add(ahead));
            simd.prefetch_write(out.as_ptr().wrapping_add(ahead));
            *out = weighed(chunk, &shift);
        }
        if !tail.is_empty() {
            R::put(simd, &weighed(&R::padded(simd, tail), &shift), out_tail);
        }
    }
}

#[inline(always)]
fn weighed<R: Real>(chunk: &[R; LANES], shift: &Shift<R>) -> [R; LANES] {
    let mut weights = [R::ZERO; LANES];
    for i in 0..LANES {
        let w = weight(chunk[i], shift);
        weights[i] = if chunk[i] > shift.floor { w } else { R::ZERO };
    }
    weights
}

/// Sums over the weights of a row.
struct Sums<R> {
    /// How many weigh as much as the maximum.
    maxima: [R; LANES],
    /// What the others weigh.
    rest: Lanes,
    /// All weights times x − m.
    first: Lanes,
}

/// Adds the weights of a block that are not at the top, and counts those that are.
struct AddOthers<'a, R> {
    weights: &'a [R],
    top: R,
    sums: &'a mut Sums<R>,
}

impl<R: Real> Kernel for AddOthers<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddOthers { weights, top, sums } = self;
        let (pairs, tail) = weights.as_chunks::<PAIR>();
        let mut maxima = sums.maxima;
        let Lanes { mut total, mut correction } = sums.rest;
        for pair in pairs {
            let others = others(pair, top, &mut maxima);
            R::accumulate(&others, &mut total, &mut correction);
        }
        if !tail.is_empty() {
            let others = others(&weights_to_pair(simd, tail), top, &mut maxima);
            R::accumulate(&others, &mut total, &mut correction);
        }
        (sums.maxima, sums.rest) = (maxima, Lanes { total, correction });
    }
}

/// Two chunks: the sums are added to once for both.
const PAIR: usize = 2 * LANES;

/// The last numbers of a row, and −∞ up to a pair.
#[inline(always)]
fn to_pair<S: Simd, R: Real>(simd: S, tail: &[R]) -> [R; PAIR] {
    let (one, two) = tail.split_at(tail.len().min(LANES));
    let mut pair = [R::NEG_INFINITY; PAIR];
    pair[..LANES].copy_from_slice(&R::padded(simd, one));
    if !two.is_empty() {
        pair[LANES..].copy_from_slice(&R::padded(simd, two));
    }
    pair
}

/// Its last weights, and 0.
#[inline(always)]
fn weights_to_pair<S: Simd, R: Real>(simd: S, tail: &[R]) -> [R; PAIR] {
    let mut pair = to_pair(simd, tail);
    for weight in &mut pair {
        *weight = if *weight > R::ZERO { *weight } else { R::ZERO };
    }
    pair
}

#[inline(always)]
fn others<R: Real>(weights: &[R; PAIR], top: R, maxima: &mut [R; LANES]) -> [[R; LANES]; 2] {
    let (mut others, mut count) = ([[R::ZERO; LANES]; 2], *maxima);
    for i in 0..LANES {
        let (a, b) = (weights[i], weights[LANES + i]);
        others[0][i] = if a < top { a } else { R::ZERO };
        others[1][i] = if b < top { b } else { R::ZERO };
        let one = if a < top { R::ZERO } else { R::ONE };
        let two = if b < top { R::ZERO } else { R::ONE };
        count[i] = maxima[i] + (one + two);
    }
    *maxima = count;
    others
}

/// Adds the moments of a staged block.
struct AddMoments<'a, R> {
    block: &'a [R],
    weights: &'a [R],
    plan: &'a Plan<R>,
    sums: &'a mut Sums<R>,
}

impl<R: Real> Kernel for AddMoments<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddMoments { block, weights, plan, sums } = self;
        let (max, floor) = (plan.max, plan.shift.floor);
        let (blocks, tail) = block.as_chunks::<PAIR>();
        let (weights, weights_tail) = weights.as_chunks::<PAIR>();
        let Lanes { mut total, mut correction } = sums.first;
        for (block, weights) in blocks.iter().zip(weights) {
            R::accumulate(&moments(block, weights, max, floor), &mut total, &mut correction);
        }
        if !tail.is_empty() {
            let (x, w) = (to_pair(simd, tail), weights_to_pair(simd, weights_tail));
            R::accumulate(&moments(&x, &w, max, floor), &mut total, &mut correction);
        }
        sums.first = Lanes { total, correction };
    }
}

#[inline(always)]
fn moments<R: Real>(block: &[R; PAIR], weights: &[R; PAIR], max: R, floor: R) -> [[R; LANES]; 2] {
    let mut moments = [[R::ZERO; LANES]; 2];
    for half in 0..2 {
        for i in 0..LANES {
            let x = block[half * LANES + i];
            // Below the floor there is no weight, and the distance may be infinite.
            let x = if x > floor { x } else { floor };
            moments[half][i] = weights[half * LANES + i] * (x - max);
        }
    }
    moments
}
