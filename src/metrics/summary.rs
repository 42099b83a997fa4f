//! Means over rows with their standard errors, from sums that can be put together.
//!
//! ```text
//! x̄  = Σ w x / Σ w
//! SE = √(Σ w² (x − x̄)² / (1 − Σ w² / (Σ w)²)) / Σ w          without weights s/√n, s² with n − 1
//! ```
//!
//! The sums are exact, so that neither the order of the rows nor how they were split up can be seen in a result.

use crate::exact_sum::ExactSum;
use crate::metrics::score::Score;

/// A weighted mean over rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Σ w x / Σ w.
    pub value: f64,
    /// Its standard error, rows taken as independent draws with given weights; NaN for fewer than two rows, and
    /// where the value is not finite.
    pub std_error: f64,
}

/// What [`summarise`] tells.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// How many rows there are.
    pub rows: u64,
    /// The sum of their weights.
    pub weight: f64,
    /// The mean of −ln p of the label.
    pub nll: Mean,
    /// The mean Brier score.
    pub brier: Mean,
    /// The share of rows whose label has the largest logit.
    pub accuracy: Mean,
    /// The mean of the largest probability.
    pub confidence: Mean,
    /// Confidence minus accuracy: positive where the model is overconfident.
    pub overconfidence: Mean,
}

/// The means of the scores, `Σ w x / Σ w`, each with its standard error.
///
/// # Shapes
/// Any number of scores to one summary.
///
/// # Accuracy
/// The sums are exact and rounded once: the means are within 2 units in the last place of those of the scores,
/// and no bit depends on the order of the rows.
///
/// # Special values
/// No scores: every mean is NaN. One score: standard errors are NaN, not 0. A label without probability makes the
/// mean NLL ∞, with a standard error of NaN. Standard errors are NaN also where weights are so small or large (beyond
/// 1e±140) that f64 does not hold their squares.
///
/// # Errors
/// None.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, Temperature, scores, summarise};
///
/// let logits = Rows::new(&[0.0, 0.0, 1.0, 3.0, 2.0, -1.0], 2)?;
/// let summary = summarise(&scores(logits, Labels::new(&[1, 1, 0], 2)?, None, Temperature::ONE)?);
/// assert_eq!((summary.rows, summary.accuracy.value), (3, 2.0 / 3.0));
/// assert_eq!(summary.accuracy.std_error, 1.0 / 3.0); // √(2/3 · 1/3 / (3 − 1))
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// The standard error of a ratio with given weights: Cochran, Sampling Techniques, 3rd ed. 1977, section 6.4.
pub fn summarise(scores: &[Score]) -> Summary {
    let mut sums = Sums::default();
    scores.iter().for_each(|score| sums.add(score));
    sums.summary()
}

/// Below this the squares of the weights are subnormal, or soon will be.
const SMALLEST_SQUARE: f64 = 1e-280;

/// Σ w, Σ w², and per quantity x: Σ w x, Σ w² x, Σ w² x².
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Sums {
    rows: u64,
    weight: ExactSum,
    weight_squared: ExactSum,
    /// NLL, Brier, correct, confidence, confidence − correct.
    of: [[ExactSum; 3]; 5],
}

impl Sums {
    pub(super) fn add(&mut self, score: &Score) {
        let Score { nll, brier, confidence, doubt, correct, weight } = *score;
        let overconfidence = if correct { -doubt } else { confidence };
        let square = weight * weight;
        self.rows += 1;
        self.weight.add(weight);
        self.weight_squared.add(square);
        let quantities = [nll, brier, f64::from(u8::from(correct)), confidence, overconfidence];
        for (sums, x) in self.of.iter_mut().zip(quantities) {
            sums[0].add(weight * x);
            sums[1].add(square * x);
            sums[2].add(square * x * x);
        }
    }

    pub(super) fn merge(&mut self, other: &Sums) {
        self.rows = self.rows.saturating_add(other.rows);
        self.weight.merge(&other.weight);
        self.weight_squared.merge(&other.weight_squared);
        for (sums, others) in self.of.iter_mut().flatten().zip(other.of.iter().flatten()) {
            sums.merge(others);
        }
    }

    pub(super) fn summary(&self) -> Summary {
        let (weight, square) = (self.weight.value(), self.weight_squared.value());
        // 1/(1 − Σ w²/(Σ w)²); of one row there is no variance, and 0/0 says so.
        let known = 1.0 - square / weight / weight;
        let [nll, brier, accuracy, confidence, overconfidence] = self.of.each_ref().map(|sums| {
            let [first, square_first, second] = sums.each_ref().map(ExactSum::value);
            let value = first / weight;
            let about_mean = second - 2.0 * value * square_first + value * value * square;
            // Where all x are one number, what roundings leave may be negative.
            let variance = about_mean.max(0.0) / known;
            let has_error = self.rows > 1 && value.is_finite() && square > SMALLEST_SQUARE;
            Mean { value, std_error: if has_error { variance.sqrt() / weight } else { f64::NAN } }
        });
        Summary { rows: self.rows, weight, nll, brier, accuracy, confidence, overconfidence }
    }
}
