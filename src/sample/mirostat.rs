//! Mirostat v2: a filter that steers itself to a surprise.
//!
//! ```text
//! keep tokens with −log2 p_i ≤ μ, the largest at least;  draw;  μ ← μ − η (−log2 p − target)
//! ```

use crate::element::Element;
use crate::error::Error;
use crate::sample::params::Method;
use crate::sample::{Context, Draw, Sampler, prepare, view};

/// The state of Mirostat v2: a target for the surprise of the tokens drawn, in bits, and how far the filter is open.
///
/// # Example
/// ```
/// use softargmax::{Context, Mirostat, Sampler, SamplingParams};
///
/// let mut sampler = Sampler::new(SamplingParams::default())?;
/// let mut mirostat = Mirostat::new(5.0, 0.1)?;
/// let draw = sampler.sample_mirostat(&mut mirostat, &[1.0f32, 5.0, 7.0, 10.0], &Context::default())?;
/// assert!(mirostat.mu() > 10.0 && draw.token == 3); // less of a surprise than asked for, so it opens
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Basu, Ramachandran, Keskar & Varshney 2021 (arXiv:2007.14966), algorithm 2; μ starts at twice the target.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mirostat {
    target: f64,
    rate: f64,
    mu: f64,
}

impl Mirostat {
    /// A target surprise in bits (τ in the paper; 5 is usual) and a learning rate (η; 0.1).
    ///
    /// # Errors
    /// [`Error::Parameter`] for a target or a rate that is negative, infinite or NaN.
    pub fn new(target: f64, rate: f64) -> Result<Self, Error> {
        for (what, got) in [("target", target), ("rate", rate)] {
            if !(0.0..f64::INFINITY).contains(&got) {
                return Err(Error::Parameter { what, got, allowed: "0 or positive, and finite" });
            }
        }
        Ok(Mirostat { target, rate, mu: 2.0 * target })
    }

    /// μ, the surprise above which tokens are not kept, in bits.
    pub fn mu(&self) -> f64 {
        self.mu
    }
}

impl<T: Element> Sampler<T> {
    /// A draw under Mirostat v2, after the temperature and the filters of this sampler (usually none); moves μ by what was drawn.
    /// The surprise is that of the distribution before μ cut it, and `log_prob` that of the one drawn from.
    pub fn sample_mirostat(
        &mut self,
        mirostat: &mut Mirostat,
        logits: &[T],
        context: &Context<'_>,
    ) -> Result<Draw, Error> {
        let Sampler { params, space, .. } = self;
        let mut prepared = prepare(params, space, logits, context)?;
        let total = view(space, logits, prepared).total() as f64;
        // In bits, beside the largest.
        let log_total = libm::log2(total) - prepared.scale.largest();
        let least = log_total - mirostat.mu;
        let row = match prepared.is_direct {
            true => T::as_real(logits).unwrap_or(&space.staged),
            false => &space.staged,
        };
        space.work.narrow(row, &mut prepared.kept, prepared.scale, least);
        let distribution = view(space, logits, prepared);
        let Context { stream, position, .. } = *context;
        let token = distribution.draw(Method::Inverse, params.seed, stream, position);
        let weight = distribution.weight(token) as f64;
        let surprise = libm::log2(total) - libm::log2(weight);
        mirostat.mu -= mirostat.rate * (surprise - mirostat.target);
        Ok(distribution.describe(token))
    }
}
