//! Curves over the confidence, what is made of them, and what chance does to them: against their definitions, written
//! out at full length.

mod bootstrap;
mod chance;
mod definitions;
mod edges;

use crate::support::random::Random;
use softargmax::{Resampling, Score};

const NO_CHANCE: Resampling = Resampling { replicates: 0, seed: 0 };

fn score(confidence: f64, correct: bool, weight: f64) -> Score {
    let doubt = 1.0 - confidence;
    let p = if correct { confidence } else { doubt / 3.0 };
    // As if three classes shared the doubt.
    let others = if correct { 3.0 * (doubt / 3.0).powi(2) } else { confidence.powi(2) };
    Score { nll: -p.ln(), brier: (1.0 - p).powi(2) + others, confidence, doubt, correct, weight }
}

/// Few confidences, so that there are ties; weights from a list, 0 among them.
fn small(random: &mut Random, rows: usize, weights: &[f64]) -> Vec<Score> {
    let row = |_| {
        let confidence = [0.0, 0.2, 0.25, 0.5, 0.7, 0.9, 1.0][random.below(7)];
        let weight = weights[random.below(weights.len())];
        score(confidence, random.unit() < 0.6, weight)
    };
    (0..rows).map(row).collect()
}

/// Rows of a model that is off by `shift`: confidences towards 1, correct with chance confidence + `shift`.
fn drawn(random: &mut Random, rows: usize, shift: f64) -> Vec<Score> {
    let row = |_| {
        let confidence = 0.25 + 0.75 * random.unit().sqrt();
        score(confidence, random.unit() < confidence + shift, 1.0)
    };
    (0..rows).map(row).collect()
}

fn total(scores: &[Score]) -> f64 {
    scores.iter().map(|score| score.weight).sum()
}

fn mean(scores: &[Score], of: impl Fn(&Score) -> f64) -> f64 {
    scores.iter().map(|score| score.weight * of(score)).sum::<f64>() / total(scores)
}

fn value(correct: bool) -> f64 {
    f64::from(u8::from(correct))
}

fn near(a: f64, b: f64, allowed: f64) -> bool {
    (a - b).abs() <= allowed
}

/// The relative distance.
fn off(got: f64, want: f64) -> f64 {
    (got / want - 1.0).abs()
}
