//! Before against after: how sure a difference is, when the rows had been others of the same kind.
//!
//! ```text
//! unit = a row; of more than 4096 rows, those that fell into one of 4096 groups, at random
//! sums of a unit: w · w Δnll · w Δbrier · w Δcorrect · Σ w (p − correct) in each ECE bin, before and after
//! replicate: as many units as there are, drawn with replacement; sums added; the differences from them
//! interval: quantiles of the replicates
//! ```
//!
//! Before and after are of the same rows and are drawn together: what a row has in common in both cancels.
//!
//! Groups do not change the answer: for a mean, the variance of the bootstrap is Σ_units (Σ_rows w (x − mean))² / W²,
//! and the products of different rows have mean 0 over random groupings. The 4096 squares that are left leave 2 % of
//! noise in the variance and 1 % in a width, less than 1000 replicates leave in their quantiles.

use crate::error::Error;
use crate::interrupt::heed;
use crate::metrics::calibration::place_by_width;
use crate::metrics::null::Resampling;
use crate::metrics::score::Score;
use crate::random::{Purpose, Random};

/// A number and where it lies with some probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The number.
    pub value: f64,
    /// Below this with probability (1 − level)/2.
    pub low: f64,
    /// Above this with probability (1 − level)/2.
    pub high: f64,
}

/// After minus before, on the same rows: [`paired_bootstrap`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Differences {
    /// Of the mean NLL: negative is better.
    pub nll: Interval,
    /// Of the mean Brier score: negative is better.
    pub brier: Interval,
    /// Of the accuracy: positive is better.
    pub accuracy: Interval,
    /// Of the ECE in 15 bins of equal width: negative is better.
    pub ece: Interval,
}

const UNITS: usize = 4096;
const BINS: usize = 15;

/// What is added up over rows.
#[derive(Clone, Copy, Debug)]
struct Sums {
    weight: f64,
    nll: f64,
    brier: f64,
    accuracy: f64,
    gaps_before: [f64; BINS],
    gaps_after: [f64; BINS],
}

impl Sums {
    const ZERO: Sums = Sums {
        weight: 0.0,
        nll: 0.0,
        brier: 0.0,
        accuracy: 0.0,
        gaps_before: [0.0; BINS],
        gaps_after: [0.0; BINS],
    };

    fn add_row(&mut self, before: &Score, after: &Score) {
        let weight = after.weight;
        let correct = |score: &Score| if score.correct { 1.0 } else { 0.0 };
        let gap =
            |score: &Score| weight * if score.correct { -score.doubt } else { score.confidence };
        self.weight += weight;
        self.nll += weight * (after.nll - before.nll);
        self.brier += weight * (after.brier - before.brier);
        self.accuracy += weight * (correct(after) - correct(before));
        self.gaps_before[place_by_width(before.confidence, BINS)] += gap(before);
        self.gaps_after[place_by_width(after.confidence, BINS)] += gap(after);
    }

    fn add(&mut self, other: &Sums) {
        self.weight += other.weight;
        self.nll += other.nll;
        self.brier += other.brier;
        self.accuracy += other.accuracy;
        for (sum, gap) in self.gaps_before.iter_mut().zip(&other.gaps_before) {
            *sum += gap;
        }
        for (sum, gap) in self.gaps_after.iter_mut().zip(&other.gaps_after) {
            *sum += gap;
        }
    }

    /// NLL, Brier, accuracy, ECE.
    fn differences(&self) -> [f64; 4] {
        let ece = |gaps: &[f64]| gaps.iter().map(|gap| gap.abs()).sum::<f64>();
        let ece = ece(&self.gaps_after) - ece(&self.gaps_before);
        // A finite sum over weights that add up to ∞ is not 0.
        let weight = if self.weight.is_finite() { self.weight } else { f64::NAN };
        [self.nll, self.brier, self.accuracy, ece].map(|sum| sum / weight)
    }
}

/// The differences that a change of the model makes to its metrics, after − before, with the interval that a paired
/// bootstrap of the rows gives each.
///
/// The rows must not be those on which the change was fitted: on them it looks better than it is.
///
/// # Shapes
/// Two scores of each row, in one order; to four intervals.
///
/// # Accuracy
/// The values to a few roundings of f64 of the larger mean. The bounds are order statistics of the replicates,
/// noisy as such: from another seed of 1000 replicates they come some 5 % of the width away. With fewer than
/// 2/(1 − level) replicates they are the least and the largest seen. Of more than 4096 rows, random groups of rows are
/// drawn together, which moves the bounds less than the seed does.
///
/// # Special values
/// An NLL that is infinite in one of the two makes the difference infinite, and a bound too where enough replicates
/// have the row; one that is infinite both before and after leaves no difference, and value and bounds are NaN. All
/// NaN for no rows; NaN bounds for no replicates, and for a level that is not between 0 and 1.
///
/// # Errors
/// [`Error::Shape`] for different numbers of rows; [`Error::Row`] for a row whose weight differs, or is not a number
/// from 0 up.
///
/// # Example
/// ```
/// use softargmax::{Labels, Resampling, Rows, Temperature, paired_bootstrap, scores};
///
/// // Sure in every row, and right in three of four.
/// let logits = [0.0, 5.0].repeat(100);
/// let labels: Vec<i64> = (0..100).map(|row| i64::from(row % 4 != 0)).collect();
/// let [before, after] = [1.0, 4.5].map(|tau| {
///     let (logits, labels) = (Rows::new(&logits, 2)?, Labels::new(&labels, 2)?);
///     scores(logits, labels, None, Temperature::new(tau)?)
/// });
/// let differences = paired_bootstrap(&before?, &after?, 0.95, &Resampling::default())?;
/// assert!(differences.nll.high < 0.0); // better, and not by chance
/// assert_eq!(differences.accuracy.value, 0.0); // temperature moves no decision
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Efron & Tibshirani 1993, "An introduction to the bootstrap", section 13.3 (percentiles).
pub fn paired_bootstrap(
    before: &[Score],
    after: &[Score],
    level: f64,
    options: &Resampling,
) -> Result<Differences, Error> {
    if before.len() != after.len() {
        let (expected, got) = (before.len(), after.len());
        return Err(Error::Shape { what: "after", expected, got });
    }
    let units = units(before, after, options.seed)?;
    let mut all = Sums::ZERO;
    units.iter().for_each(|unit| all.add(unit));
    let mut replicates: [Vec<f64>; 4] = Default::default();
    if !units.is_empty() {
        for replicate in 0..options.replicates {
            heed();
            let mut random = Random::new(options.seed, Purpose::Bootstrap, replicate.into());
            let mut sums = Sums::ZERO;
            for _ in 0..units.len() {
                sums.add(&units[random.below(units.len() as u64) as usize]);
            }
            for (replicates, value) in replicates.iter_mut().zip(sums.differences()) {
                replicates.push(value);
            }
        }
    }
    let values = all.differences();
    let [nll, brier, accuracy, ece] = std::array::from_fn(|i| {
        // The sums of the replicates are of other rows: a value that is no number leaves no interval.
        let [low, high] = match values[i].is_nan() {
            true => [f64::NAN; 2],
            false => central(&mut replicates[i], level),
        };
        Interval { value: values[i], low, high }
    });
    Ok(Differences { nll, brier, accuracy, ece })
}

/// What is drawn: rows, or random groups of them.
fn units(before: &[Score], after: &[Score], seed: u64) -> Result<Vec<Sums>, Error> {
    let rows = before.iter().zip(after).enumerate();
    let mut units = Vec::with_capacity(before.len().min(UNITS));
    let grouped = before.len() > UNITS;
    let mut random = Random::new(seed, Purpose::Bootstrap, u64::MAX);
    if grouped {
        units.resize(UNITS, Sums::ZERO);
    }
    for (row, (before, after)) in rows {
        if before.weight != after.weight || !(0.0..f64::INFINITY).contains(&after.weight) {
            let reason = "its weights before and after are not one number from 0 up";
            return Err(Error::Row { row, reason });
        }
        let unit = if grouped {
            &mut units[random.below(UNITS as u64) as usize]
        } else {
            units.push(Sums::ZERO);
            units.last_mut().expect("just pushed")
        };
        // Without weight, not even an infinite NLL counts.
        if after.weight > 0.0 {
            unit.add_row(before, after);
        }
    }
    Ok(units)
}

/// Between which two of the values the middle `level` of their distribution lies: the k-th smallest and the k-th
/// largest, k = (n + 1)(1 − level)/2, so that one more value would be beyond either with probability (1 − level)/2.
/// NaN where a value is, or there is none, or the level is not between 0 and 1.
pub(crate) fn central(values: &mut [f64], level: f64) -> [f64; 2] {
    let inside = level > 0.0 && level < 1.0;
    if values.is_empty() || !inside || values.iter().any(|value| value.is_nan()) {
        return [f64::NAN; 2];
    }
    let n = values.len();
    let k = ((n + 1) as f64 * (1.0 - level) / 2.0) as usize;
    let k = k.clamp(1, n.div_ceil(2)) - 1;
    let low = *values.select_nth_unstable_by(k, f64::total_cmp).1;
    let high = *values.select_nth_unstable_by(n - 1 - k, f64::total_cmp).1;
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn central_values_are_counted_from_both_ends() {
        let mut values: Vec<f64> = (1..=999).map(f64::from).rev().collect();
        assert_eq!(central(&mut values, 0.95), [25.0, 975.0]);
        assert_eq!(central(&mut values, 0.5), [250.0, 750.0]);
        assert_eq!(central(&mut values, 1e-300), [500.0, 500.0]);
        assert_eq!(central(&mut values, 0.9999), [1.0, 999.0]);
        assert_eq!(central(&mut [3.0], 0.95), [3.0, 3.0]);
        assert_eq!(central(&mut [3.0, 1.0], 0.1), [1.0, 3.0]);
        for level in [0.0, 1.0, -1.0, 2.0, f64::NAN] {
            assert!(central(&mut values, level)[0].is_nan(), "{level}");
        }
        assert!(central(&mut [], 0.95)[0].is_nan());
        assert!(central(&mut [1.0, f64::NAN, 2.0], 0.95)[1].is_nan());
        let infinite = [f64::INFINITY, 0.0, f64::NEG_INFINITY];
        assert_eq!(central(&mut infinite.clone(), 0.95), [f64::NEG_INFINITY, f64::INFINITY]);
    }
}
