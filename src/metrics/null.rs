//! What a perfectly calibrated model would show: labels drawn from its own probabilities, measured as the real ones.
//!
//! ```text
//! of some rows:  D = Σ w (p − Y),  Y = 1 with probability p        what a bin's gap is made of
//! D = base + what the rows add whose Y is the less likely one      surprises, few where the model is confident
//! rows by the size of their chance q of a surprise, within a factor of 2: the next candidate is a geometric skip away
//! ```
//!
//! That costs as much as there are surprises, not rows. Where their variance is more than that of 64 rows of the
//! largest weight, D is drawn as a normal number: its mean and variance are exact, its skewness is at most 1/8 and
//! its steps an eighth of its deviation, which changes the mean of |D| by less than 1 in 1000.

use crate::exact_sum::ExactSum;
use crate::metrics::score::Score;
use crate::random::Random;

/// How often, and with which seed, chance is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// How many times labels, or rows, are drawn anew.
    pub replicates: u32,
    /// The seed: the same one gives the same bits.
    pub seed: u64,
}

impl Default for Resampling {
    /// 1000 replicates, seed 0.
    fn default() -> Self {
        Resampling { replicates: 1000, seed: 0 }
    }
}

/// What a measure of miscalibration shows where there is none: its distribution when the labels are drawn from the
/// model's own probabilities, with rows and weights as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Null {
    /// The mean: the noise floor.
    pub mean: f64,
    /// What 95 % of the replicates do not exceed.
    pub quantile_95: f64,
    /// How often chance shows as much as was observed, (1 + number of such replicates) / (1 + replicates).
    pub p_value: f64,
    /// How many replicates this comes from; without any, the rest is NaN.
    pub replicates: u32,
}

impl Null {
    pub(super) const NONE: Null =
        Null { mean: f64::NAN, quantile_95: f64::NAN, p_value: f64::NAN, replicates: 0 };

    /// From what was observed, and the replicates in any order.
    pub(super) fn of(observed: f64, replicates: &mut [f64]) -> Null {
        if replicates.is_empty() || observed.is_nan() {
            return Null::NONE;
        }
        replicates.sort_by(f64::total_cmp);
        let count = replicates.len() as f64;
        // With few rows many replicates are the observation itself, added up in another order.
        let as_much = observed * (1.0 - 1e-9);
        let extreme = replicates.iter().filter(|&&value| value >= as_much).count() as f64;
        Null {
            mean: replicates.iter().sum::<f64>() / count,
            quantile_95: replicates[(0.95 * count).ceil() as usize - 1],
            p_value: (1.0 + extreme) / (1.0 + count),
            replicates: replicates.len() as u32,
        }
    }
}

/// D of some rows, ready to be drawn.
pub(super) enum Chance {
    /// As a normal number.
    Normal { deviation: f64 },
    /// Row by row.
    Exact { base: f64, levels: Vec<Level> },
}

/// Rows whose chance of a surprise is at most `bound`, and more than half of it except in the last level.
pub(super) struct Level {
    bound: f64,
    /// ln(1 − `bound`).
    log_rest: f64,
    rows: Vec<Surprise>,
}

struct Surprise {
    probability: f64,
    change: f64,
}

/// From here on D is as good as normal: its variance, in squares of the largest weight.
const NORMAL_FROM: f64 = 64.0;

/// Chances from 2^-1 to 2^-24; the last level takes all that are smaller, candidates for one in 16 million.
const LEVELS: usize = 24;

impl Chance {
    pub(super) fn of(scores: &[Score]) -> Chance {
        let largest = scores.iter().fold(0.0, |largest: f64, score| largest.max(score.weight));
        let variance: f64 = scores.iter().map(variance).sum();
        if variance >= NORMAL_FROM * largest * largest {
            return Chance::Normal { deviation: variance.sqrt() };
        }
        Chance::exact(scores)
    }

    pub(super) fn exact(scores: &[Score]) -> Chance {
        let mut base = ExactSum::ZERO;
        let mut levels: Vec<Level> = (0..LEVELS)
            .map(|k| 0.5f64.powi(k as i32 + 1))
            .map(|bound| Level { bound, log_rest: libm::log1p(-bound), rows: Vec::new() })
            .collect();
        for &Score { confidence, doubt, weight, .. } in scores {
            let (expected, probability, change) = if doubt <= 0.5 {
                (-doubt, doubt, weight)
            } else {
                (confidence, confidence, -weight)
            };
            base.add(weight * expected);
            if probability > 0.0 {
                let level = levels.iter().rposition(|level| probability <= level.bound);
                levels[level.unwrap_or(0)].rows.push(Surprise { probability, change });
            }
        }
        levels.retain(|level| !level.rows.is_empty());
        Chance::Exact { base: base.value(), levels }
    }

    pub(super) fn draw(&self, random: &mut Random) -> f64 {
        match self {
            Chance::Normal { deviation } => deviation * random.normal(),
            Chance::Exact { base, levels } => {
                levels.iter().fold(*base, |sum, level| sum + level.draw(random))
            }
        }
    }
}

impl Level {
    fn draw(&self, random: &mut Random) -> f64 {
        let (mut sum, mut next) = (0.0, 0);
        loop {
            // 1 − unit is in (0, 1]; the conversion saturates.
            let skip = libm::log(1.0 - random.unit()) / self.log_rest;
            next += skip as usize;
            let Some(row) = self.rows.get(next) else { return sum };
            if random.unit() * self.bound < row.probability {
                sum += row.change;
            }
            next += 1;
        }
    }
}

/// What a row adds to the variance of D.
pub(super) fn variance(score: &Score) -> f64 {
    (score.weight * score.weight) * (score.confidence * score.doubt)
}
