//! The distribution of a few logits at one temperature, and how far it is from the two limits.
//!
//! Both distances are total variation, ½ Σ |p_i − q_i|, and both are sums in which nothing cancels,
//! so that they stay accurate where they are tiny: the one to arg max at a low temperature, the one
//! to uniform at a high one.

use serde::Serialize;
use softargmax::{Rows, Temperature};

use crate::error::CliError;
use crate::json;

/// One row of the table.
#[derive(Serialize)]
pub(crate) struct Distribution {
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    #[serde(serialize_with = "json::reals")]
    pub(crate) probabilities: Vec<f64>,
    /// In nats.
    #[serde(serialize_with = "json::real")]
    pub(crate) entropy: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) perplexity: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) max_probability: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) distance_to_argmax: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) distance_to_uniform: f64,
}

/// The distribution at every temperature, in the order given.
pub(crate) fn sweep(
    logits: &[f64],
    temperatures: &[Temperature],
) -> Result<Vec<Distribution>, CliError> {
    temperatures.iter().map(|&temperature| Distribution::at(logits, temperature)).collect()
}

impl Distribution {
    fn at(logits: &[f64], temperature: Temperature) -> Result<Self, CliError> {
        let probabilities = softargmax::softmax(logits, temperature).map_err(CliError::refused)?;
        let rows = Rows::new(logits, logits.len()).map_err(CliError::refused)?;
        let statistics = softargmax::statistics(rows, temperature).map_err(CliError::refused)?;
        let [statistics] = statistics.as_slice() else {
            return Err(CliError::internal("one row of logits did not give one of statistics"));
        };
        Ok(Self {
            temperature,
            entropy: statistics.entropy,
            perplexity: statistics.perplexity,
            // Of the numbers printed beside it, so that it is one of them to the last bit.
            max_probability: maximum(&probabilities),
            distance_to_argmax: distance_to_argmax(logits, &probabilities),
            distance_to_uniform: distance_to_uniform(logits, &probabilities, temperature.tau()),
            probabilities,
        })
    }
}

/// The largest of some numbers; NaN if there is one.
fn maximum(numbers: &[f64]) -> f64 {
    let larger = |max: f64, &x: &f64| if max.is_nan() || x <= max { max } else { x };
    numbers.iter().fold(f64::NEG_INFINITY, larger)
}

/// The distance to the mass shared equally by the maximal entries.
///
/// What those lack is what the others have, so half the sum of all differences is the sum of the
/// others: no 1 − p is taken.
fn distance_to_argmax(logits: &[f64], probabilities: &[f64]) -> f64 {
    let max = maximum(logits);
    // `!(x >= max)` lets a NaN through, and with it the answer is NaN.
    logits.iter().zip(probabilities).filter(|&(&x, _)| !(x >= max)).map(|(_, &p)| p).sum()
}

/// The distance to the mass shared equally by the n entries that are not masked.
///
/// p_i − 1/n would cancel at a high temperature. With e_i = exp((x_i − max)/τ) − 1, which `exp_m1`
/// keeps accurate however small, it is (e_i − mean e) / Σ (1 + e_j), and the differences on top are
/// as large as the spread of the e_i.
fn distance_to_uniform(logits: &[f64], probabilities: &[f64], tau: f64) -> f64 {
    let max = maximum(logits);
    let unmasked = || logits.iter().zip(probabilities).filter(|&(&x, _)| x != f64::NEG_INFINITY);
    let n = unmasked().count() as f64;
    if tau == 0.0 || tau == f64::INFINITY || !max.is_finite() {
        // At the limits the probabilities are 0, 1/n or 1/ties, and nothing is lost.
        return unmasked().map(|(_, &p)| (p - 1.0 / n).abs()).sum::<f64>() / 2.0;
    }
    // Halves, since the distance of two logits may overflow.
    let excess = |x: f64| ((x / 2.0 - max / 2.0) / tau * 2.0).exp_m1();
    let total: f64 = unmasked().map(|(&x, _)| excess(x)).sum();
    let deviations: f64 = unmasked().map(|(&x, _)| (excess(x) - total / n).abs()).sum();
    deviations / (n + total) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(logits: &[f64], tau: &str) -> Distribution {
        let temperature = tau.parse().expect("a temperature");
        Distribution::at(logits, temperature).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn close(got: f64, exact: f64) {
        assert!((got - exact).abs() <= 4.0 * f64::EPSILON * exact.abs(), "{got:e}, not {exact:e}");
    }

    /// Exact values from mpmath at 50 digits.
    #[test]
    fn tiny_distances_keep_their_relative_accuracy() {
        let logits = [1.0, 5.0, 7.0, 10.0];
        close(at(&logits, "0.1").distance_to_argmax, 9.357_622_988_126_797e-14);
        close(at(&logits, "10000").distance_to_uniform, 1.374_978_090_340_425e-4);
        close(at(&logits, "1e12").distance_to_uniform, 1.374_999_999_999_781_3e-12);
        close(at(&logits, "1").distance_to_uniform, 0.696_388_577_485_584_6);
        close(at(&[1.7e308, -1.7e308], "1e308").distance_to_uniform, 0.467_704_535_301_549_5);
    }

    #[test]
    fn ties_share_the_mass_and_masks_are_left_out() {
        let row = at(&[3.0, 1.0, 3.0, f64::NEG_INFINITY], "0");
        assert_eq!(row.probabilities, [0.5, 0.0, 0.5, 0.0]);
        assert_eq!(row.distance_to_argmax, 0.0);
        close(row.distance_to_uniform, 1.0 / 3.0);
        close(at(&[3.0, 1.0, 3.0, f64::NEG_INFINITY], "1e-300").distance_to_uniform, 1.0 / 3.0);

        let row = at(&[3.0, 1.0, 3.0, f64::NEG_INFINITY], "inf");
        assert_eq!(row.distance_to_uniform, 0.0);
        close(row.distance_to_argmax, 1.0 / 3.0);
    }

    #[test]
    fn a_nan_makes_everything_nan() {
        let row = at(&[1.0, f64::NAN, 2.0], "1");
        assert!(row.distance_to_argmax.is_nan() && row.distance_to_uniform.is_nan());
        assert!(row.entropy.is_nan() && row.probabilities.iter().all(|p| p.is_nan()));
    }
}
