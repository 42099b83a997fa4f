//! Metrics of data that is never in one place: a state of fixed size that any part of the rows can be added to.
//!
//! ```text
//! means            exact sums over all rows                              as in summary.rs
//! ECE              exact sums over 15 bins of confidence of one width     as in calibration.rs
//! everything else  exact sums over 256 bins of ln(p/(1 − p)): steps of 1/8 from −12 to 20, the outer two open
//! ```
//!
//! Log-odds, because confidences crowd at 1: a quarter of them may lie above 0.9999. All sums are exact, so that
//! neither how the rows were split up nor the order in which the parts were merged changes a bit.

use crate::exp::exp;
use crate::metrics::calibration::{Bin, CalibrationError, Cell, assess, edge};
use crate::metrics::calibration::{place_by_mass, place_by_width};
use crate::metrics::null::Resampling;
use crate::metrics::score::Score;
use crate::metrics::summary::{Summary, Sums};

/// Bins of confidence of one width.
const WIDTHS: usize = 15;

/// Bins of log-odds, and where they begin.
const ODDS: usize = 256;
const PER_UNIT: f64 = 8.0;
const LOWEST: f64 = -12.0;

/// Scores, added up: what is needed for the metrics of any number of rows at one temperature.
///
/// Parts of the rows may be added anywhere and merged in any order: the result has the same bits. It is the
/// caller's to keep tallies of different temperatures apart. With the feature `serde` it can be written and read.
///
/// # Example
/// ```
/// use softargmax::{Labels, Resampling, Rows, Tally, Temperature, scores, summarise};
///
/// let logits: Vec<f64> = (0..60).map(|i| f64::from(i % 7)).collect();
/// let labels: Vec<i64> = (0..20).map(|i| i % 3).collect();
/// let (logits, labels) = (Rows::new(&logits, 3)?, Labels::new(&labels, 3)?);
/// let scores = scores(logits, labels, None, Temperature::ONE)?;
///
/// let (mut tally, mut other) = (Tally::default(), Tally::default());
/// tally.add(&scores[13..]);
/// other.add(&scores[..13]);
/// tally.merge(&other);
/// assert_eq!(tally.summary(), summarise(&scores));
/// # Ok::<(), softargmax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tally {
    sums: Sums,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "cells::<_, WIDTHS>"))]
    widths: Vec<Cell>,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "cells::<_, ODDS>"))]
    odds: Vec<Cell>,
}

/// So many cells and no other number, which would be read beyond its end.
#[cfg(feature = "serde")]
fn cells<'de, D: serde::Deserializer<'de>, const N: usize>(from: D) -> Result<Vec<Cell>, D::Error> {
    let cells: Vec<Cell> = serde::Deserialize::deserialize(from)?;
    match cells.len() {
        n if n == N => Ok(cells),
        n => Err(serde::de::Error::custom(format_args!("{n} bins, expected {N}"))),
    }
}

impl Default for Tally {
    /// No rows.
    fn default() -> Self {
        Tally {
            sums: Sums::default(),
            widths: vec![Cell::default(); WIDTHS],
            odds: vec![Cell::default(); ODDS],
        }
    }
}

/// The bin of log-odds; the conversion saturates, so that confidences of 0 and 1 are in the outer ones.
fn place_by_odds(score: &Score) -> usize {
    let odds = libm::log(score.confidence) - libm::log(score.doubt);
    (((odds - LOWEST) * PER_UNIT) as usize).min(ODDS - 1)
}

/// The confidence at the j-th edge of the bins of log-odds.
fn edge_by_odds(j: usize) -> f64 {
    match j {
        0 => 0.0,
        ODDS => 1.0,
        _ => 1.0 / (1.0 + exp(-(j as f64 / PER_UNIT + LOWEST))),
    }
}

impl Tally {
    /// Adds the scores of some rows.
    pub fn add(&mut self, scores: &[Score]) {
        for score in scores {
            self.sums.add(score);
            self.widths[place_by_width(score.confidence, WIDTHS)].add(score);
            self.odds[place_by_odds(score)].add(score);
        }
    }

    /// Adds what another tally has.
    pub fn merge(&mut self, other: &Tally) {
        self.sums.merge(&other.sums);
        let others = other.widths.iter().chain(&other.odds);
        for (cell, other) in self.widths.iter_mut().chain(&mut self.odds).zip(others) {
            if other.rows() > 0 {
                cell.merge(other);
            }
        }
    }

    /// The means with their standard errors: to the bit what [`summarise`](crate::summarise) says of all scores.
    pub fn summary(&self) -> Summary {
        self.sums.summary()
    }

    /// The calibration error with 15 bins of one width: to the bit what
    /// [`calibration_error`](crate::calibration_error) says of all scores, apart from the null, in which every bin is
    /// drawn as a normal number. With fewer than some hundred rows that is rough.
    pub fn calibration_error(&self, options: &Resampling) -> CalibrationError {
        let cells = self.widths.iter().enumerate().filter(|(_, cell)| cell.rows() > 0);
        let cells: Vec<_> =
            cells.map(|(j, cell)| (edge(j, WIDTHS), edge(j + 1, WIDTHS), cell)).collect();
        let chances: Vec<_> = cells.iter().map(|(_, _, cell)| cell.chance()).collect();
        assess(cells.into_iter(), &chances, options)
    }

    /// The same with bins of one mass, as far as the 256 bins of log-odds allow, which stay together. A bin's edges are
    /// those of log-odds.
    pub fn calibration_error_by_mass(&self, bins: usize, options: &Resampling) -> CalibrationError {
        let total: f64 = self.odds.iter().map(Cell::weight).sum();
        let (mut before, mut last) = (0.0, None);
        let mut cells: Vec<(f64, f64, Cell)> = Vec::new();
        for (j, cell) in self.odds.iter().enumerate() {
            if cell.rows() == 0 || bins == 0 {
                continue;
            }
            let place = place_by_mass(before + cell.weight() / 2.0, total, bins);
            before += cell.weight();
            match cells.last_mut() {
                Some((_, upper, all)) if last == Some(place) => {
                    *upper = edge_by_odds(j + 1);
                    all.merge(cell);
                }
                _ => cells.push((edge_by_odds(j), edge_by_odds(j + 1), cell.clone())),
            }
            last = Some(place);
        }
        let chances: Vec<_> = cells.iter().map(|(_, _, cell)| cell.chance()).collect();
        assess(cells.iter().map(|(lower, upper, cell)| (*lower, *upper, cell)), &chances, options)
    }

    /// The Kolmogorov–Smirnov calibration error, its maximum taken at the edges of log-odds only: at most what
    /// [`kolmogorov_smirnov`](crate::kolmogorov_smirnov) says, and less by no more than the share of the rows of the
    /// largest bin. NaN without rows.
    pub fn kolmogorov_smirnov(&self) -> f64 {
        let total: f64 = self.odds.iter().map(Cell::weight).sum();
        let (mut sum, mut largest) = (Cell::default(), 0.0f64);
        for cell in self.odds.iter().filter(|cell| cell.rows() > 0) {
            sum.merge(cell);
            largest = largest.max(sum.gap().abs());
        }
        if total > 0.0 { largest / total } else { f64::NAN }
    }

    /// Confidence against accuracy in the bins of log-odds that have rows: the points of a reliability diagram, and
    /// the histogram under it.
    pub fn reliability(&self) -> Vec<Bin> {
        let cells = self.odds.iter().enumerate().filter(|(_, cell)| cell.rows() > 0);
        cells.map(|(j, cell)| cell.bin(edge_by_odds(j), edge_by_odds(j + 1))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_lies_between_the_edges_of_its_bin() {
        for i in 0..=4000 {
            let odds = f64::from(i) * 0.0099 - 18.0;
            let (confidence, doubt) = (1.0 / (1.0 + exp(-odds)), 1.0 / (1.0 + exp(odds)));
            let score =
                Score { nll: 0.0, brier: 0.0, confidence, doubt, correct: true, weight: 1.0 };
            let place = place_by_odds(&score);
            let (lower, upper) = (edge_by_odds(place), edge_by_odds(place + 1));
            assert!(lower * (1.0 - 1e-15) <= confidence && confidence <= upper * (1.0 + 1e-15));
            for (confidence, doubt, want) in [(0.0, 1.0, 0), (1.0, 0.0, 255), (0.5, 0.5, 96)] {
                assert_eq!(place_by_odds(&Score { confidence, doubt, ..score }), want);
            }
        }
    }
}
