//! What the numbers of a file are, and how they become logits.
//!
//! ```text
//! logits              as they are
//! log-probabilities   as they are: softmax at τ = 1 gives the probabilities back. Σ exp must be near 1.
//! probabilities       ln p. Each from 0 up, and Σ p near 1. 0 becomes −∞, or with ε: p ← max(p, ε)
//! ```
//!
//! How near, [`tolerance`](crate::input::tolerance) says. What is left over is divided away by softmax.

use crate::args::Content;
use crate::input::Number;

/// How one file's numbers become logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) content: Content,
    /// The least probability; 0 for none.
    pub(crate) epsilon: f64,
    /// How far from 1 a sum of probabilities may be.
    pub(crate) tolerance: f64,
}

/// What every row so far would have passed for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    pub(super) probabilities: bool,
    pub(super) log_probabilities: bool,
}

impl Looks {
    /// Before the first row anything is possible.
    pub(super) const UNKNOWN: Looks = Looks { probabilities: true, log_probabilities: true };

    /// Looks at rows that are said to be logits. Most files are told by their first row.
    pub(super) fn see<T: Number>(&mut self, block: &[T], classes: usize, tolerance: f64) {
        for row in block.chunks_exact(classes) {
            if !self.probabilities && !self.log_probabilities {
                return;
            }
            let numbers = || row.iter().map(|x| x.to_f64());
            self.probabilities &= numbers().all(|p| (0.0..=1.0).contains(&p))
                && is_near_one(numbers().sum(), tolerance);
            self.log_probabilities &= numbers().all(|x| x <= 0.0)
                && is_near_one(numbers().map(f64::exp).sum(), tolerance);
        }
    }
}

impl Reading {
    /// Turns rows into logits. Fails with the number of a row that is not what it is said to be, and why.
    pub(crate) fn to_logits(
        self,
        block: &mut [f64],
        classes: usize,
    ) -> Result<(), (usize, String)> {
        for (at, row) in block.chunks_exact_mut(classes).enumerate() {
            // A NaN is refused where logits are, and all else that is not.
            if row.iter().any(|x| x.is_nan()) {
                continue;
            }
            let wrong = match self.content {
                Content::Logits => None,
                Content::LogProbabilities => self.check_logarithms(row),
                Content::Probabilities => self.take_logarithms(row),
            };
            if let Some(reason) = wrong {
                return Err((at, reason));
            }
        }
        Ok(())
    }

    fn check_logarithms(&self, row: &[f64]) -> Option<String> {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        (!is_near_one(sum, self.tolerance)).then(|| {
            format!("these are no log-probabilities: their exp sums to {sum:.6}, not to 1")
        })
    }

    fn take_logarithms(&self, row: &mut [f64]) -> Option<String> {
        if let Some(p) = row.iter().find(|&&p| p < 0.0) {
            return Some(format!("{p} is no probability"));
        }
        let sum: f64 = row.iter().sum();
        if !is_near_one(sum, self.tolerance) {
            return Some(format!("these are no probabilities: they sum to {sum:.6}, not to 1"));
        }
        row.iter_mut().for_each(|p| *p = libm::log(p.max(self.epsilon)));
        None
    }
}

fn is_near_one(sum: f64, tolerance: f64) -> bool {
    (sum - 1.0).abs() <= tolerance
}
