//! Tokens without replacement: each draw takes its token, and its weight, out of the distribution.

use crate::element::Element;
use crate::error::Error;
use crate::random::{Purpose, Random};
use crate::sample::{Context, Sampler, distribution};

impl<T: Element> Sampler<T> {
    /// Fills `tokens` with different tokens of one row, in the order in which they are drawn: each with probability weight /
    /// sum among those not drawn before, exactly.
    ///
    /// # Errors
    /// [`Error::Parameter`] when more tokens are asked for than can be drawn; the others as [`Sampler`].
    ///
    /// # Example
    /// ```
    /// use softargmax::{Context, Sampler, SamplingParams};
    ///
    /// let mut sampler = Sampler::new(SamplingParams::default())?;
    /// let mut tokens = [0; 3];
    /// sampler.sample_without_replacement(&[0.0, 1.0, f64::NEG_INFINITY, 2.0], &Context::default(), &mut tokens)?;
    /// tokens.sort();
    /// assert_eq!(tokens, [0, 1, 3]);
    /// # Ok::<(), softargmax::Error>(())
    /// ```
    ///
    /// # Source
    /// Successive sampling (Plackett–Luce); its tokens are distributed as the k largest of Gumbel top-k: Kool, van Hoof &
    /// Welling 2019 (arXiv:1903.06059), section 2.
    pub fn sample_without_replacement(
        &mut self,
        logits: &[T],
        context: &Context<'_>,
        tokens: &mut [u32],
    ) -> Result<(), Error> {
        let Sampler { params, space, taken } = self;
        let all = distribution(params, space, logits, context)?;
        if tokens.len() > all.kept() {
            let (what, got) = ("number of tokens", tokens.len() as f64);
            let allowed = "no more than can be drawn";
            return Err(Error::Parameter { what, got, allowed });
        }
        let Context { stream, position, .. } = *context;
        let mut random = Random::at(params.seed, Purpose::WithoutReplacement, stream, position);
        taken.clear();
        let mut left = all.total();
        for token in tokens {
            // Among what is left; the shares already taken, in order, are stepped over.
            let mut n = random.below(left);
            let place = taken.iter().take_while(|&&(start, share)| {
                let is_before = start <= n;
                n += if is_before { share } else { 0 };
                is_before
            });
            let place = place.count();
            let (drawn, start, share) = all.locate(n);
            *token = drawn;
            taken.insert(place, (start, share));
            left -= share;
        }
        Ok(())
    }
}
