//! Drawing a token from softmax(x/τ), exactly, after filters.
//!
//! ```text
//! adjust.rs    bias, penalties, mask: a copy of the row where there are any
//! weights.rs   logits to integers, the distribution; single.rs: those of f32; search.rs: the least logit that weighs anything
//! filters.rs   what is kept: a cut in the order of the logits, or a list; nucleus.rs: where top-p looks
//! draw.rs      an integer below the sum to a token; log-probabilities of it in log_prob.rs
//! ```
//!
//! A draw is a function of the row, the parameters, and (seed, stream, position): no draw depends on the one before, on rows
//! beside it or on threads. See docs/sampling.md.

mod adjust;
pub(crate) mod batch;
mod draw;
pub(crate) mod filters;
mod gumbel;
pub(crate) mod log_prob;
mod mirostat;
pub(crate) mod nucleus;
mod params;
mod relaxed;
mod search;
mod single;
mod speculative;
pub(crate) mod weights;
mod without;

pub use batch::sample_rows;
pub use draw::{Distribution, Draw};
pub use mirostat::Mirostat;
pub use params::{Method, Order, SamplingParams};
pub use relaxed::{Relaxed, gumbel_softmax};
pub use speculative::{Verdict, Verifier};

use crate::element::{Element, Real};
use crate::error::Error;
use filters::{Kept, Work};
use weights::Scale;

/// What belongs to one draw and not to the sampler: where it is, what may be drawn, what was there.
///
/// The random numbers of a draw are a function of the seed, `stream` and `position` alone. Give every sequence a stream and
/// every token of it a position, and each token can be drawn again by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// The sequence, such as a request or a row.
    pub stream: u64,
    /// The token in the sequence, below 2^56.
    pub position: u64,
    /// One bit for each token, token i at bit i mod 64 of word i / 64; only tokens with the bit set may be drawn. As many
    /// words as it takes.
    pub mask: Option<&'a [u64]>,
    /// The tokens that the penalties are for, in any order.
    pub history: &'a [u32],
}

/// A sampler: parameters, checked once, and room to work in, so that no draw allocates once the longest row has been seen.
///
/// # Special values
/// | input | draws |
/// | --- | --- |
/// | τ = 0 | one of the maximal logits, all with the same probability (with top-k 1 the one of the smallest id) |
/// | τ = ∞ | any token that is kept and not −∞, all with the same probability |
/// | any other τ | as it is: 1e-30 is not clamped |
/// | −∞ | never drawn |
/// | +∞ entries | one of them, at any τ < ∞ |
/// | a NaN | [`Error::LogitNan`] with its class, masked or not |
/// | nothing but −∞ or masked | [`Error::AllMasked`] |
///
/// # Errors
/// What every method refuses: [`Error::NoClasses`] for an empty row, [`Error::LogitNan`], [`Error::AllMasked`],
/// [`Error::Shape`] for a mask of another length, [`Error::Token`] for a token in the history or the bias that is no class,
/// [`Error::Parameter`] for a position of 2^56 or more, or a row of 2^29 classes or more.
///
/// # Example
/// ```
/// use softargmax::{Context, Sampler, SamplingParams};
///
/// let mut sampler = Sampler::new(SamplingParams { top_k: 2, seed: 7, ..Default::default() })?;
/// let logits = [2.0f32, 1.0, 0.5, 1.0];
/// let tokens: Vec<u32> = (0..8)
///     .map(|position| sampler.token(&logits, &Context { position, ..Default::default() }))
///     .collect::<Result<_, _>>()?;
/// assert!(tokens.iter().all(|&token| token < 2)); // of the two equal logits the smaller id is kept
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// The weights are this project's (docs/sampling.md); Lemire, ACM TOMACS 29(1), 2019 for the integer; Salmon et al., SC
/// 2011, for the generator.
#[derive(Debug)]
pub struct Sampler<T: Element> {
    params: SamplingParams,
    space: Space<T::Real>,
    /// The shares already drawn, where there is no replacement.
    taken: Vec<(u64, u64)>,
}

/// Where rows are changed and filtered.
#[derive(Debug)]
struct Space<R> {
    staged: Vec<R>,
    seen: Vec<u32>,
    work: Work<R>,
}

impl<R: Real> Space<R> {
    fn new() -> Self {
        Space { staged: Vec::new(), seen: Vec::new(), work: Work::new() }
    }
}

impl<T: Element> Sampler<T> {
    /// A sampler of these parameters.
    ///
    /// # Errors
    /// As [`SamplingParams::validate`].
    pub fn new(params: SamplingParams) -> Result<Self, Error> {
        params.validate()?;
        Ok(Sampler { params, space: Space::new(), taken: Vec::new() })
    }

    /// The parameters.
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// What this sampler draws from, given a row: to ask it for probabilities, or for many draws.
    pub fn distribution<'a>(
        &'a mut self,
        logits: &'a [T],
        context: &Context<'_>,
    ) -> Result<Distribution<'a, T>, Error> {
        distribution(&self.params, &mut self.space, logits, context)
    }

    /// Draws a token, and says how likely it was. The log-probabilities take up to two more sweeps over the row; where they are not
    /// wanted, [`token`](Sampler::token) gives the same token without them.
    pub fn sample(&mut self, logits: &[T], context: &Context<'_>) -> Result<Draw, Error> {
        let (seed, method) = (self.params.seed, self.params.method);
        let distribution = self.distribution(logits, context)?;
        Ok(distribution.describe(distribution.draw(method, seed, context.stream, context.position)))
    }

    /// Draws a token.
    pub fn token(&mut self, logits: &[T], context: &Context<'_>) -> Result<u32, Error> {
        let (seed, method) = (self.params.seed, self.params.method);
        let distribution = self.distribution(logits, context)?;
        Ok(distribution.draw(method, seed, context.stream, context.position))
    }

    /// Draws with a random word of the caller's, uniform among all of 64 bits: [`Distribution::token_with`].
    pub fn sample_with(
        &mut self,
        logits: &[T],
        context: &Context<'_>,
        word: u64,
    ) -> Result<Draw, Error> {
        let distribution = self.distribution(logits, context)?;
        Ok(distribution.describe(distribution.token_with(word)))
    }

    /// Fills `tokens` with independent draws from one row, for little more than one of them: those of
    /// [`token`](Sampler::token) at the positions from `context.position` up.
    pub fn sample_n(
        &mut self,
        logits: &[T],
        context: &Context<'_>,
        tokens: &mut [u32],
    ) -> Result<(), Error> {
        let (seed, method) = (self.params.seed, self.params.method);
        let last = context.position.saturating_add(tokens.len().saturating_sub(1) as u64);
        let distribution = self.distribution(logits, context)?;
        position_in_range(last)?;
        for (position, token) in (context.position..).zip(tokens) {
            *token = distribution.draw(method, seed, context.stream, position);
        }
        Ok(())
    }
}

fn position_in_range(position: u64) -> Result<(), Error> {
    if position < 1 << 56 {
        return Ok(());
    }
    let (what, allowed) = ("position", "below 2^56");
    Err(Error::Parameter { what, got: position as f64, allowed })
}

/// A row that has been filtered and weighed; the numbers lie in the space.
#[derive(Clone, Copy)]
struct Prepared<R> {
    /// Whether the row is read where it lies.
    is_direct: bool,
    /// Of the row, and of the weights.
    row_scale: Scale<R>,
    scale: Scale<R>,
    kept: Kept<R>,
}

fn distribution<'a, T: Element>(
    params: &SamplingParams,
    space: &'a mut Space<T::Real>,
    logits: &'a [T],
    context: &Context<'_>,
) -> Result<Distribution<'a, T>, Error> {
    let prepared = prepare(params, space, logits, context)?;
    Ok(view(space, logits, prepared))
}

fn view<'a, T: Element>(
    space: &'a Space<T::Real>,
    logits: &'a [T],
    prepared: Prepared<T::Real>,
) -> Distribution<'a, T> {
    let Prepared { is_direct, row_scale, scale, kept } = prepared;
    let row = if is_direct { T::as_real(logits).unwrap_or(&space.staged) } else { &space.staged };
    let Work { maxima, sums, list, .. } = &space.work;
    Distribution { logits, row, maxima, sums, list, kept, row_scale, scale }
}

fn prepare<T: Element>(
    params: &SamplingParams,
    space: &mut Space<T::Real>,
    logits: &[T],
    context: &Context<'_>,
) -> Result<Prepared<T::Real>, Error> {
    if logits.is_empty() {
        return Err(Error::NoClasses);
    }
    if logits.len() >= 1 << 29 {
        let (what, allowed) = ("number of classes", "below 2^29");
        return Err(Error::Parameter { what, got: logits.len() as f64, allowed });
    }
    position_in_range(context.position)?;
    adjust::check(params, context, logits.len())?;
    let Space { staged, seen, work } = space;
    let tau = params.temperature;

    let mut direct = T::as_real(logits);
    if direct.is_none() || adjust::is_needed(params, context) {
        staged.resize(logits.len(), T::Real::ZERO);
        T::read(logits, staged);
        adjust::apply::<T>(staged, params, context, seen);
        direct = None;
    }
    let refused = |is_nan| match is_nan {
        true => {
            let is_nan = |x: &T| x.to_f64().is_nan();
            // Without one in the logits it came about: +∞ and a bias of −∞.
            let class = logits.iter().position(is_nan).unwrap_or(0);
            Error::LogitNan { row: 0, class }
        }
        false => Error::AllMasked { row: 0 },
    };
    let mut max = work.peaks(direct.unwrap_or(staged)).map_err(refused)?;
    let mut exponent = 0;
    if let Some(needed) = adjust::scale_exponent(max, tau) {
        if let Some(row) = direct.take() {
            staged.clear();
            staged.extend_from_slice(row);
        }
        adjust::rescale(staged, max, tau, needed);
        max = work.peaks(staged).map_err(refused)?;
        exponent = needed;
    }
    let is_direct = direct.is_some();
    let row = direct.unwrap_or(staged);
    let row_scale = Scale::new(max, tau, exponent);
    let (kept, scale) = work.settle(row, params, row_scale, exponent);
    Ok(Prepared { is_direct, row_scale, scale, kept })
}
