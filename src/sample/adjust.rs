//! What changes logits before any filter: bias, penalties, the mask; and rows that need another scale.
//!
//! ```text
//! x += bias                                   of the tokens named
//! x  = x / r if x > 0 else x·r                of the tokens in the history, once each
//! x −= presence + count · frequency
//! x  = −∞                                     where the mask has no bit
//! ```
//!
//! A row that none of this concerns is read where it lies. Any other is copied first: the caller's is never written.

use crate::double::{ldexp, power_of_two};
use crate::element::private::Element as _;
use crate::element::{Element, Real};
use crate::error::Error;
use crate::sample::Context;
use crate::sample::params::SamplingParams;
use crate::temperature::Temperature;

/// Whether logits of this request are changed at all.
pub(super) fn is_needed(params: &SamplingParams, context: &Context<'_>) -> bool {
    let penalised = params.repetition_penalty != 1.0
        || params.presence_penalty != 0.0
        || params.frequency_penalty != 0.0;
    context.mask.is_some()
        || !params.logit_bias.is_empty()
        || (penalised && !context.history.is_empty())
}

/// Whether a context fits a row of so many classes.
pub(super) fn check(
    params: &SamplingParams,
    context: &Context<'_>,
    classes: usize,
) -> Result<(), Error> {
    if let Some(mask) = context.mask {
        let expected = classes.div_ceil(64);
        if mask.len() != expected {
            return Err(Error::Shape { what: "mask", expected, got: mask.len() });
        }
    }
    let known = |what, token: u32| match (token as usize) < classes {
        true => Ok(()),
        false => Err(Error::Token { what, token, classes }),
    };
    params.logit_bias.iter().try_for_each(|&(token, _)| known("logit_bias", token))?;
    context.history.iter().try_for_each(|&token| known("history", token))
}

/// Changes a copy of the row. `seen` is room for the history, sorted.
pub(super) fn apply<T: Element>(
    row: &mut [T::Real],
    params: &SamplingParams,
    context: &Context<'_>,
    seen: &mut Vec<u32>,
) {
    let of = T::Real::of_f64;
    for &(token, bias) in &params.logit_bias {
        let x = &mut row[token as usize];
        *x = of(x.to_f64() + bias);
    }
    seen.clear();
    seen.extend_from_slice(context.history);
    seen.sort_unstable();
    for same in seen.chunk_by(|a, b| a == b) {
        let x = &mut row[same[0] as usize];
        let factor = params.repetition_penalty;
        let scaled = if x.to_f64() > 0.0 { x.to_f64() / factor } else { x.to_f64() * factor };
        let times = same.len() as f64;
        *x = of(scaled - (params.presence_penalty + times * params.frequency_penalty));
    }
    if let Some(mask) = context.mask {
        for (&word, part) in mask.iter().zip(row.chunks_mut(64)) {
            if word == !0 {
                continue;
            }
            for (i, x) in part.iter_mut().enumerate() {
                // A NaN stays: it is refused, masked or not.
                let hidden = word >> i & 1 == 0 && *x >= T::Real::NEG_INFINITY;
                *x = if hidden { T::Real::NEG_INFINITY } else { *x };
            }
        }
    }
}

/// Whether a row must be rescaled to be weighed: the exponent q such that what is weighed are logits · 2^q.
pub(super) fn scale_exponent<R: Real>(max: R, tau: Temperature) -> Option<i32> {
    if max.to_f64() == f64::INFINITY {
        return Some(0);
    }
    // Single precision, and 1/τ up to 2^1000, fit into the range of f64 together.
    let far = R::IN_DOUBLE && !tau.is_zero() && !tau.is_infinite() && tau.inverse().1.abs() > 900;
    far.then(|| tau.inverse().1)
}

/// Brings a row with entries of +∞, or of an extreme temperature, into range.
///
/// Entries of +∞ share the mass: they become 0 and the others −∞; at τ = ∞ those count as well, after them.
pub(super) fn rescale<R: Real>(row: &mut [R], max: R, tau: Temperature, exponent: i32) {
    if max.to_f64() == f64::INFINITY {
        let others = if tau.is_infinite() { R::of_f64(-1e6) } else { R::NEG_INFINITY };
        for x in row {
            let is_masked = *x == R::NEG_INFINITY;
            *x = if *x == max {
                R::ZERO
            } else if is_masked {
                *x
            } else {
                others
            };
        }
        return;
    }
    if exponent > 0 {
        // Distances first: the largest logit times this would overflow.
        let half = exponent / 2;
        let (a, b) = (power_of_two(half), power_of_two(exponent - half));
        for x in row {
            *x = R::of_f64((x.to_f64() - max.to_f64()) * a * b);
        }
    } else {
        for x in row {
            *x = R::of_f64(ldexp(x.to_f64(), exponent));
        }
    }
}
