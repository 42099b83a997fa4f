//! Whether a token that a draft model drew may stand, and what stands in for it: the target's distribution, exactly.
//!
//! ```text
//! p = w^p / W_p of the target, q = w^q / W_q of the draft, both under the same parameters
//! accept with probability min(1, p_i / q_i):     an integer below w^q_i·W_p is below w^p_i·W_q
//! else draw from max(0, p − q):                  an integer below Σ max(0, w^p_j·W_q − w^q_j·W_p)
//! ```
//!
//! All products are integers below 2^128, so that what is accepted and what stands in add up to p without a rounding.

use crate::element::Element;
use crate::error::Error;
use crate::random::{Purpose, Random};
use crate::sample::params::SamplingParams;
use crate::sample::{Context, Space, distribution};

/// What became of a draft's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the draft's token stands.
    pub accepted: bool,
    /// The token: the draft's, or the one in its place.
    pub token: u32,
}

/// Verifies tokens of a draft model against a target model, under parameters that hold for both.
///
/// A token drawn from the draft by a [`Sampler`](crate::Sampler) of the same parameters, and verified, is distributed as one
/// drawn from the target. Verify token after token; after one that was not accepted the rest of the draft is void.
///
/// # Example
/// ```
/// use softargmax::{Context, SamplingParams, Verifier};
///
/// let mut verifier = Verifier::new(SamplingParams::default())?;
/// let (target, draft) = ([0.0f32, f32::NEG_INFINITY], [0.0f32, 0.0]);
/// let verdict = verifier.verify(&target, &draft, 1, &Context::default())?;
/// assert_eq!((verdict.accepted, verdict.token), (false, 0)); // the target never says 1
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Leviathan, Kalman & Matias 2023 (arXiv:2211.17192), algorithm 1; Chen et al. 2023 (arXiv:2302.01318).
#[derive(Debug)]
pub struct Verifier<T: Element> {
    params: SamplingParams,
    target: Space<T::Real>,
    draft: Space<T::Real>,
    weights: Vec<u64>,
}

impl<T: Element> Verifier<T> {
    /// A verifier under these parameters.
    ///
    /// # Errors
    /// As [`SamplingParams::validate`].
    pub fn new(params: SamplingParams) -> Result<Self, Error> {
        params.validate()?;
        Ok(Verifier { params, target: Space::new(), draft: Space::new(), weights: Vec::new() })
    }

    /// Whether `token`, drawn from `draft`, may stand for one drawn from `target`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the rows differ in length, [`Error::Token`] when the token is no class,
    /// [`Error::Parameter`] when the draft cannot have drawn it under these parameters; the others as
    /// [`Sampler`](crate::Sampler).
    pub fn verify(
        &mut self,
        target: &[T],
        draft: &[T],
        token: u32,
        context: &Context<'_>,
    ) -> Result<Verdict, Error> {
        let classes = target.len();
        if draft.len() != classes {
            return Err(Error::Shape { what: "draft", expected: classes, got: draft.len() });
        }
        let p = distribution(&self.params, &mut self.target, target, context)?;
        let q = distribution(&self.params, &mut self.draft, draft, context)?;
        if token as usize >= classes {
            return Err(Error::Token { what: "token", token, classes });
        }
        let (p_total, q_total) = (u128::from(p.total()), u128::from(q.total()));
        let (p_of, q_of) = (u128::from(p.weight(token)), u128::from(q.weight(token)));
        if q_of == 0 {
            let allowed = "one that the draft can draw";
            return Err(Error::Parameter { what: "token", got: f64::from(token), allowed });
        }
        let Context { stream, position, .. } = *context;
        let mut random = Random::at(self.params.seed, Purpose::Verify, stream, position);
        if random.below_wide(q_of * p_total) < p_of * q_total {
            return Ok(Verdict { accepted: true, token });
        }
        self.weights.clear();
        self.weights.resize(classes, 0);
        let weights = &mut self.weights;
        q.each_weighed(|from, part| weights[from..from + part.len()].copy_from_slice(part));
        let left = |token: usize, weight: u64| {
            let (p, q) = (u128::from(weight) * q_total, u128::from(weights[token]) * p_total);
            p.saturating_sub(q)
        };
        let mut total = 0;
        p.each_weighed(|from, part| {
            for (i, &weight) in part.iter().enumerate() {
                total += left(from + i, weight);
            }
        });
        // Not 0: a token of which the draft has too much leaves some that it has too little of.
        let mut n = Some(random.below_wide(total));
        let mut instead = token;
        p.each_weighed(|from, part| {
            for (i, &weight) in part.iter().enumerate() {
                let Some(before) = n else { return };
                let share = left(from + i, weight);
                if before < share {
                    instead = (from + i) as u32;
                }
                n = before.checked_sub(share);
            }
        });
        Ok(Verdict { accepted: false, token: instead })
    }
}
