//! What was asked of `solve`, and what came of it.

use std::fmt;

use serde::{Serialize, Serializer};
use softargmax::{Solution, Statistics, Target, Temperature};

use crate::error::CliError;
use crate::json;

/// What is aimed at.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Goal {
    pub(crate) quantity: Quantity,
    pub(crate) value: f64,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Quantity {
    Entropy,
    Perplexity,
    MaxProbability,
}

impl From<Target> for Goal {
    fn from(target: Target) -> Self {
        let (quantity, value) = match target {
            Target::Entropy(value) => (Quantity::Entropy, value),
            Target::Perplexity(value) => (Quantity::Perplexity, value),
            Target::MaxProbability(value) => (Quantity::MaxProbability, value),
        };
        Self { quantity, value }
    }
}

impl Quantity {
    /// Its value for several rows: the mean, and for perplexity exp of the mean entropy.
    pub(super) fn mean(self, rows: &[Statistics]) -> f64 {
        let mean =
            |of: fn(&Statistics) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
        match self {
            Quantity::Entropy => mean(|row| row.entropy),
            Quantity::Perplexity => mean(|row| row.entropy).exp(),
            Quantity::MaxProbability => mean(|row| row.max_probability),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::Entropy => "entropy",
            Quantity::Perplexity => "perplexity",
            Quantity::MaxProbability => "max probability",
        })
    }
}

/// How the search ended.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Found,
    BelowReach,
    AboveReach,
    /// Every temperature gives it, as where all logits are equal.
    Any,
}

/// The answer for one row, or for the mean of all. What does not exist is null.
#[derive(Serialize)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    #[serde(serialize_with = "optional")]
    pub(crate) temperature: Option<Temperature>,
    pub(crate) attained: Option<f64>,
    /// The values at the two limits of temperature, the lower one first.
    pub(crate) attainable: [f64; 2],
    iterations: Option<u32>,
}

fn optional<S: Serializer>(temperature: &Option<Temperature>, s: S) -> Result<S::Ok, S::Error> {
    match temperature {
        Some(temperature) => json::temperature(temperature, s),
        None => s.serialize_none(),
    }
}

impl Answer {
    /// Adds what the two limits give to what the library found.
    pub(super) fn new(
        solution: Solution,
        quantity: Quantity,
        zero: &[Statistics],
        infinite: &[Statistics],
    ) -> Result<Self, CliError> {
        let (cold, hot) = (quantity.mean(zero), quantity.mean(infinite));
        let [mut low, mut high] = [cold.min(hot), cold.max(hot)];
        let (mut temperature, mut attained, mut iterations) = (None, None, None);
        let outcome = match solution {
            Solution::Found { temperature: found, attained: value, iterations: count } => {
                (temperature, attained, iterations) = (Some(found), Some(value), Some(count));
                Outcome::Found
            }
            Solution::BelowReach { lowest } => {
                low = lowest;
                Outcome::BelowReach
            }
            Solution::AboveReach { highest } => {
                high = highest;
                Outcome::AboveReach
            }
            Solution::Any { value } => {
                attained = Some(value);
                Outcome::Any
            }
            _ => return Err(CliError::internal(format!("an unknown solution: {solution:?}"))),
        };
        Ok(Self { outcome, temperature, attained, attainable: [low, high], iterations })
    }
}
