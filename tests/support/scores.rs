//! Scores for the tests of metrics: made by hand, and drawn so that the model behind them is calibrated.

use softargmax::{Resampling, Rows, Score, Temperature, softmax_rows};

use super::random::Random;

pub fn tau(value: f64) -> Temperature {
    Temperature::new(value).expect("not negative, not NaN")
}

pub const NO_CHANCE: Resampling = Resampling { replicates: 0, seed: 0 };

/// A score of which only confidence and correctness matter.
pub fn score(confidence: f64, correct: bool) -> Score {
    let doubt = 1.0 - confidence;
    Score { nll: 0.0, brier: 0.0, confidence, doubt, correct, weight: 1.0 }
}

/// Confidences of every size, 0 and 1 among them, with labels that a calibrated model would have.
pub fn rows_of_all_kinds() -> Vec<Score> {
    let mut random = Random::new(3);
    (0..1000)
        .map(|i| {
            let confidence = if i % 7 == 0 { f64::from(i % 2) } else { random.unit() };
            score(confidence, random.unit() < confidence)
        })
        .collect()
}

/// Labels drawn from the scores' own confidences: the model becomes a calibrated one.
pub fn calibrated(scores: &[Score], random: &mut Random) -> Vec<Score> {
    let drawn = |score: &Score| Score { correct: random.unit() < score.confidence, ..*score };
    scores.iter().map(drawn).collect()
}

/// Logits of `rows` rows and labels drawn from them at τ = 1, by inversion.
pub fn drawn(rows: usize, classes: usize, seed: u64) -> (Vec<f64>, Vec<i64>) {
    let mut random = Random::new(seed);
    let logits: Vec<f64> = (0..rows * classes).map(|_| 2.0 * random.normal()).collect();
    let labels = labels_of(&logits, classes, &mut random);
    (logits, labels)
}

pub fn labels_of(logits: &[f64], classes: usize, random: &mut Random) -> Vec<i64> {
    let p = softmax_rows(Rows::new(logits, classes).unwrap(), Temperature::ONE).unwrap();
    p.chunks(classes)
        .map(|p| {
            let mut left = random.unit();
            let mut below = |p: &f64| {
                left -= p;
                left >= 0.0
            };
            p.iter().take_while(|p| below(p)).count().min(classes - 1) as i64
        })
        .collect()
}
