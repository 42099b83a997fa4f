//! Log-probabilities of one token before any filter, in f64 and without room of their own.
//!
//! ```text
//! log p_i = (x_i − m)/τ − ln(k + Σ_{x_j < m} exp((x_j − m)/τ)),  k = how often m is there
//! ```
//!
//! These are not the integer weights: what has been rounded away there counts here.

use crate::compiled::Runs;
use crate::element::Real;
use crate::element::private::Element;
use crate::exp::ln_sum_in_f64;
use crate::sample::weights::{BLOCK, Peaks, Scale, exp2};
use crate::simd::{Kernel, Simd, dispatch};
use crate::softmax::row::{LANES, sum_of_lanes};
use crate::temperature::Temperature;

/// Calls `of` with each block of a row in the type it is computed in.
fn each_block<T: Element>(row: &[T], mut of: impl FnMut(&[T::Real])) {
    if let Some(row) = T::as_real(row) {
        return row.chunks(BLOCK).for_each(of);
    }
    let mut wide = [T::Real::ZERO; BLOCK];
    for block in row.chunks(BLOCK) {
        T::read(block, &mut wide[..block.len()]);
        of(&wide[..block.len()]);
    }
}

/// log softmax(x) of one token, in nats, for a row without NaN that is not all −∞.
pub(super) fn raw<T: Element>(row: &[T], token: usize) -> f64 {
    let mut max = T::Real::NEG_INFINITY;
    each_block(row, |block| {
        let mut of_block = [max];
        T::Real::run(Peaks { row: block, maxima: &mut of_block });
        max = if of_block[0] > max { of_block[0] } else { max };
    });
    let (peak, max) = (max, max.to_f64());
    if max == f64::INFINITY {
        let shared = row.iter().filter(|x| x.to_f64() == max).count();
        return share(row[token].to_f64() == max, shared as f64);
    }
    of_scale(row, token, Scale::of_logarithms(peak, Temperature::ONE, 0))
}

/// log softmax(x/τ) of one token of a row that is weighed by `scale`.
pub(super) fn tempered<R: Real>(row: &[R], token: usize, scale: Scale<R>) -> f64 {
    if scale.factor == 0.0 {
        let shared = row.iter().filter(|&&x| x >= scale.least).count();
        return share(row[token] >= scale.least, shared as f64);
    }
    of_scale(row, token, scale)
}

fn share(has_part: bool, count: f64) -> f64 {
    if has_part { 0.0 - ln_sum_in_f64(count, 0.0) } else { f64::NEG_INFINITY }
}

fn of_scale<T: Element>(row: &[T], token: usize, scale: Scale<T::Real>) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut maxima = 0.0;
    each_block(row, |block| {
        maxima += T::Real::run(Rest { block, scale, lanes: &mut lanes });
    });
    let of_token = (row[token].to_f64() - scale.max) * scale.factor;
    // A factor of 0 would be NaN on −∞.
    let distance = if of_token == 0.0 { 0.0 } else { of_token * std::f64::consts::LN_2 };
    distance - dispatch(LogOfSum { count: maxima, rest: sum_of_lanes(lanes) })
}

/// ln(count + rest), where the machine's multiply-add is known: a call for each takes longer than all else.
struct LogOfSum {
    count: f64,
    rest: f64,
}

impl Kernel for LogOfSum {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        ln_sum_in_f64(self.count, self.rest)
    }
}

/// Adds up a block without its maxima, and counts those.
pub(crate) struct Rest<'a, R> {
    block: &'a [R],
    scale: Scale<R>,
    lanes: &'a mut [f64; LANES],
}

impl<R: Real> Kernel for Rest<'_, R> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let Rest { block, scale, lanes } = self;
        let (mut sums, mut maxima) = (*lanes, [0.0; LANES]);
        let (chunks, tail) = block.as_chunks::<LANES>();
        for chunk in chunks {
            (sums, maxima) = rest_of_chunk(chunk, sums, maxima, scale);
        }
        if !tail.is_empty() {
            let mut last = [R::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            (sums, maxima) = rest_of_chunk(&last, sums, maxima, scale);
        }
        *lanes = sums;
        sum_of_lanes(maxima)
    }
}

#[inline(always)]
fn rest_of_chunk<R: Real>(
    chunk: &[R; LANES],
    sums: [f64; LANES],
    maxima: [f64; LANES],
    scale: Scale<R>,
) -> ([f64; LANES], [f64; LANES]) {
    let (mut next, mut counted) = (sums, maxima);
    for i in 0..LANES {
        let t = scale.exponent(chunk[i]);
        // Below 2^-300 nothing shows beside the maximum, and −∞ is no exponent.
        let weight = exp2(if t >= -300.0 { t } else { -300.0 });
        next[i] = sums[i] + if (-299.0..0.0).contains(&t) { weight } else { 0.0 };
        counted[i] = maxima[i] + if t < 0.0 { 0.0 } else { 1.0 };
    }
    (next, counted)
}
