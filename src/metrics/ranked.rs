//! Scores in order of confidence: what every curve over the confidence begins with.
//!
//! ```text
//! by confidence, then by doubt     equal rows in one order too, so that no sum depends on the order of the input
//! ties(rows)                       rows of one confidence, together
//! ```

use crate::metrics::score::Score;

/// The scores that weigh something, least confident first. `None` where there are none, where one is what no row
/// has (a caller can write such a score, and it must not come out as a number), and where the weights add up to ∞.
pub(super) fn ranked(scores: &[Score]) -> Option<Vec<Score>> {
    let is_possible = |score: &Score| {
        (0.0..=1.0).contains(&score.confidence)
            && (0.0..=1.0).contains(&score.doubt)
            && (score.confidence + score.doubt - 1.0).abs() <= 1e-6
            && (0.0..f64::INFINITY).contains(&score.weight)
    };
    if !scores.iter().all(is_possible) {
        return None;
    }
    let mut rows: Vec<Score> = scores.iter().filter(|score| score.weight > 0.0).copied().collect();
    rows.sort_unstable_by(|a, b| {
        (a.confidence.total_cmp(&b.confidence))
            .then_with(|| b.doubt.total_cmp(&a.doubt))
            .then_with(|| a.correct.cmp(&b.correct))
            .then_with(|| a.weight.total_cmp(&b.weight))
    });
    if rows.is_empty() || weight(&rows) == f64::INFINITY { None } else { Some(rows) }
}

/// The rows of each confidence.
pub(super) fn ties(rows: &[Score]) -> impl Iterator<Item = &[Score]> {
    rows.chunk_by(|a, b| a.confidence == b.confidence)
}

/// Σ w.
pub(super) fn weight(rows: &[Score]) -> f64 {
    rows.iter().map(|row| row.weight).sum()
}

/// Σ w over the rows that are correct, or over those that are not.
pub(super) fn weight_of(rows: &[Score], correct: bool) -> f64 {
    // From 0.0: the empty sum of f64 is -0.0.
    rows.iter().filter(|row| row.correct == correct).fold(0.0, |sum, row| sum + row.weight)
}

/// w (correct − p), with the digits of the doubt.
pub(super) fn residual(row: &Score) -> f64 {
    row.weight * if row.correct { row.doubt } else { -row.confidence }
}
