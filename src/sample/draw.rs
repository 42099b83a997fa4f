//! The distribution of one row, and tokens out of it.
//!
//! ```text
//! a token for each integer n < W:   the block whose sum first exceeds n, then the token in it
//! a draw:                           n uniform below W, without bias
//! ```

use crate::compiled::Runs;
use crate::element::{Element, Real};
use crate::error::Error;
use crate::exp::ln_sum_in_f64;
use crate::random::{Purpose, Random};
use crate::sample::filters::{Candidate, Kept};
use crate::sample::log_prob;
use crate::sample::params::Method;
use crate::sample::weights::{BLOCK, Count, Cut, Expand, Scale};

/// A token and how likely it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Draw {
    /// The token: the class that was drawn, counted from 0.
    pub token: u32,
    /// ln of its probability under softmax(x), the logits as given, in nats.
    pub raw_log_prob: f64,
    /// ln of its probability under softmax(x/τ), bias, penalties and mask applied, before any filter, in nats.
    pub tempered_log_prob: f64,
    /// ln of the probability with which it was drawn, w/W, in nats.
    pub log_prob: f64,
    /// How many tokens could have been drawn.
    pub kept: usize,
}

/// What a sampler draws from, for one row: a weight for every token, all integers.
///
/// `P(i) = weight(i) / total()`, exactly; a token that is not kept, and one whose weight rounds to 0, cannot be drawn. Made
/// by [`Sampler::distribution`](crate::Sampler::distribution).
#[derive(Clone, Copy, Debug)]
pub struct Distribution<'a, T: Element> {
    pub(super) logits: &'a [T],
    /// As weighed: bias, penalties and mask applied.
    pub(super) row: &'a [T::Real],
    pub(super) maxima: &'a [T::Real],
    pub(super) sums: &'a [u64],
    pub(super) list: &'a [Candidate<T::Real>],
    pub(super) kept: Kept<T::Real>,
    pub(super) row_scale: Scale<T::Real>,
    pub(super) scale: Scale<T::Real>,
}

impl<T: Element> Distribution<'_, T> {
    /// W, the sum of all weights: at least 2^34, since the largest weighs that, or in f32 up to twice as much.
    pub fn total(&self) -> u64 {
        match self.kept {
            Kept::Row(_) => *self.sums.last().expect("a row is not empty"),
            Kept::List => self.list.last().expect("something is kept").weight,
        }
    }

    /// How many tokens can be drawn.
    pub fn kept(&self) -> usize {
        match self.kept {
            Kept::List => self.list.len(),
            Kept::Row(cut) => {
                let mut count = 0;
                for (b, (block, &max)) in self.row.chunks(BLOCK).zip(self.maxima).enumerate() {
                    if max >= cut.value {
                        cut.parts(b * BLOCK, block, |_, block, at_least| {
                            count += T::Real::run(Count { block, at_least });
                        });
                    }
                }
                count
            }
        }
    }

    /// The weight of a token; 0 for one that cannot be drawn, or is no class.
    pub fn weight(&self, token: u32) -> u64 {
        match self.kept {
            Kept::Row(cut) => match self.row.get(token as usize) {
                Some(&x) if cut.keeps(x, token as usize) => self.scale.weight(x),
                _ => 0,
            },
            Kept::List => match self.list.binary_search_by_key(&token, |c| c.id) {
                Ok(i) => self.list[i].weight - if i > 0 { self.list[i - 1].weight } else { 0 },
                Err(_) => 0,
            },
        }
    }

    /// The weights of all tokens.
    pub fn weights(&self) -> Vec<u64> {
        let mut all = vec![0; self.row.len()];
        self.each_weighed(|from, weights| all[from..from + weights.len()].copy_from_slice(weights));
        all
    }

    /// The probabilities of all tokens: weights over their sum, each rounded once.
    pub fn probabilities(&self) -> Vec<f64> {
        let total = self.total() as f64;
        self.weights().into_iter().map(|weight| weight as f64 / total).collect()
    }

    /// The tokens that can be drawn, in order.
    pub fn support(&self) -> Vec<u32> {
        let weights = self.weights();
        (0..).zip(weights).filter(|&(_, weight)| weight > 0).map(|(token, _)| token).collect()
    }

    /// ln(w/W) of a token, in nats; −∞ for one that cannot be drawn.
    pub fn log_prob(&self, token: u32) -> f64 {
        let weight = self.weight(token);
        if weight == 0 {
            return f64::NEG_INFINITY;
        }
        // ln W/w = ln(1 + the others/w): a confident token keeps what the others leave it.
        0.0 - ln_sum_in_f64(1.0, (self.total() - weight) as f64 / weight as f64)
    }

    /// The token in whose share the integer `n` lies: shares are `weight(i)` long and follow each other by rising id.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `n` is not below [`total`](Distribution::total).
    pub fn token_at(&self, n: u64) -> Result<u32, Error> {
        if n < self.total() {
            return Ok(self.at(n));
        }
        Err(Error::Parameter { what: "n", got: n as f64, allowed: "below the sum of the weights" })
    }

    /// The token of a random word: `token_at(⌊word·W / 2^64⌋)`. Over all words, each token comes with its probability to
    /// within 2^-64.
    pub fn token_with(&self, word: u64) -> u32 {
        self.at(((u128::from(word) * u128::from(self.total())) >> 64) as u64)
    }

    pub(super) fn at(&self, n: u64) -> u32 {
        self.locate(n).0
    }

    /// The token in whose share `n` lies, where that begins and how long it is.
    pub(super) fn locate(&self, n: u64) -> (u32, u64, u64) {
        let Kept::Row(cut) = self.kept else {
            let i = self.list.partition_point(|c| c.weight <= n);
            let before = if i > 0 { self.list[i - 1].weight } else { 0 };
            return (self.list[i].id, before, self.list[i].weight - before);
        };
        let b = self.sums.partition_point(|&sum| sum <= n);
        let mut weights = [0; BLOCK];
        let len = BLOCK.min(self.row.len() - b * BLOCK);
        expand(self.row, &self.scale, cut, b, &mut weights[..len]);
        let mut before = if b > 0 { self.sums[b - 1] } else { 0 };
        for (i, &weight) in weights[..len].iter().enumerate() {
            if n - before < weight {
                return ((b * BLOCK + i) as u32, before, weight);
            }
            before += weight;
        }
        unreachable!("a block's sum is that of its weights")
    }

    /// A draw: what a method makes of the random numbers at a place.
    pub(super) fn draw(&self, method: Method, seed: u64, stream: u64, position: u64) -> u32 {
        match method {
            Method::Inverse => {
                self.at(Random::at(seed, Purpose::Sample, stream, position).below(self.total()))
            }
            Method::Gumbel => self.race(seed, stream, position),
        }
    }

    /// Calls `of` with each block of a row that has weight: where it begins, and its weights.
    pub(super) fn each_weighed(&self, mut of: impl FnMut(usize, &[u64])) {
        let Kept::Row(cut) = self.kept else {
            let mut before = 0;
            for c in self.list {
                of(c.id as usize, &[c.weight - before]);
                before = c.weight;
            }
            return;
        };
        let mut weights = [0; BLOCK];
        let mut before = 0;
        for (b, &sum) in self.sums.iter().enumerate() {
            if sum > before {
                let len = BLOCK.min(self.row.len() - b * BLOCK);
                expand(self.row, &self.scale, cut, b, &mut weights[..len]);
                of(b * BLOCK, &weights[..len]);
            }
            before = sum;
        }
    }

    /// All there is to say about a token that was drawn.
    pub fn describe(&self, token: u32) -> Draw {
        Draw {
            token,
            raw_log_prob: log_prob::raw(self.logits, token as usize),
            tempered_log_prob: log_prob::tempered(self.row, token as usize, self.row_scale),
            log_prob: self.log_prob(token),
            kept: self.kept(),
        }
    }
}

/// The weights of block `b` of a row.
pub(super) fn expand<R: Real>(
    row: &[R],
    scale: &Scale<R>,
    cut: Cut<R>,
    b: usize,
    weights: &mut [u64],
) {
    let from = b * BLOCK;
    cut.parts(from, &row[from..from + weights.len()], |at, block, at_least| {
        let weights = &mut weights[at - from..at - from + block.len()];
        R::run(Expand { block, scale, at_least, weights });
    });
}
