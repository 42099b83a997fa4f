//! Expected calibration error: rows of like confidence put together, confidence against accuracy.
//!
//! ```text
//! gap of a bin = Σ w (p − correct),  W_b = Σ w                over its rows, p the confidence
//! ECE          = Σ_b |gap_b| / W                              Naeini et al. 2015, Guo et al. 2017
//! maximum      = max_b |gap_b| / W_b
//! debiased     = √max(0, Σ_b W_b/W ((gap_b/W_b)² − a_b (1 − a_b)/(n_b − 1)))      a_b the accuracy
//! ```
//!
//! The sums over a bin are exact, so that the order of the rows cannot be seen, and they can be put together.
//! A gap is added up from 1 − p where the row is correct: bins of nearly certain rows keep their digits.

use crate::exact_sum::ExactSum;
use crate::interrupt::heed;
use crate::metrics::null::{Chance, Null, Resampling, variance};
use crate::metrics::score::Score;
use crate::random::{Purpose, Random};

/// How confidences are put into bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// So many bins of one width, each with its upper edge and without its lower one; the first has 0 too.
    EqualWidth(usize),
    /// So many bins of one weight, as far as rows of one confidence, which stay together, allow: those whose middle
    /// lies in the j-th part of the total weight are in the j-th bin.
    EqualMass(usize),
}

/// What [`calibration_error`] tells about a bin; there are none without rows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bin {
    /// Its lower edge; with equal mass its smallest confidence.
    pub lower: f64,
    /// Its upper edge; with equal mass its largest confidence.
    pub upper: f64,
    /// How many rows it has.
    pub rows: u64,
    /// The sum of their weights.
    pub weight: f64,
    /// Their mean confidence.
    pub confidence: f64,
    /// The share of them that is correct.
    pub accuracy: f64,
}

/// The answer of [`calibration_error`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CalibrationError {
    /// The expected calibration error, from 0 to 1.
    pub ece: f64,
    /// The largest gap of a bin, also called MCE; of a bin with few rows it is mostly noise.
    pub max: f64,
    /// The root mean square of the gaps, less what chance adds to it; 0 where that is more than there is.
    pub debiased: f64,
    /// The bins that have rows, from low to high.
    pub bins: Vec<Bin>,
    /// What `ece` of a perfectly calibrated model would be.
    pub null: Null,
}

/// The expected calibration error of the top label, `Σ_b W_b/W |confidence_b − accuracy_b|`, beside what chance
/// alone would show.
///
/// An ECE says little without its [`Null`]: a perfectly calibrated model like ResNet-20 on CIFAR-100 has an ECE of
/// 7.5 % on 200 rows.
///
/// # Shapes
/// Any number of scores to one answer.
///
/// # Accuracy
/// Sums over a bin are exact and rounded once; no bit depends on the order of the rows. An edge is the f64 nearest
/// to j/bins, and a confidence on it belongs below. The null is a simulation; bins whose gap has the variance of
/// 64 rows or more are drawn as normal numbers, the others exactly.
///
/// # Special values
/// No scores, or no bins: everything is NaN. Confidences of exactly 0 and 1 are in the first and the last bin. A
/// bin of one row adds nothing to `debiased`. Weights so small or large (beyond 1e±140) that f64 does not hold their
/// squares give a `debiased` and a `null` of NaN.
///
/// # Errors
/// None.
///
/// # Example
/// ```
/// use softargmax::{Binning, Labels, Resampling, Rows, Temperature, calibration_error, scores};
///
/// // 100 rows of confidence 0.9, 70 of them correct.
/// let logits = [9f64.ln(), 0.0].repeat(100);
/// let labels: Vec<i64> = (0..100).map(|row| i64::from(row >= 70)).collect();
/// let scores = scores(Rows::new(&logits, 2)?, Labels::new(&labels, 2)?, None, Temperature::ONE)?;
/// let error = calibration_error(&scores, Binning::EqualWidth(15), &Resampling::default());
/// assert!((error.ece - 0.2).abs() < 1e-15);
/// assert!((error.null.mean - 0.0237).abs() < 0.002); // E|binomial(100, 0.9)/100 − 0.9|
/// assert!(error.null.p_value < 0.01);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Guo et al. 2017, section 2, eq. 3 (bins closed on the right); Kumar, Liang & Ma 2019, section 4, and Bröcker 2012
/// for `debiased`; the null as in Vaicenavicius et al. 2019, section 5.
pub fn calibration_error(
    scores: &[Score],
    binning: Binning,
    options: &Resampling,
) -> CalibrationError {
    let mut sorted = scores.to_vec();
    // What else a row has decides among equals, so that their sums do not depend on the order.
    sorted.sort_unstable_by(|a, b| {
        let confidence = a.confidence.total_cmp(&b.confidence);
        let doubt = b.doubt.total_cmp(&a.doubt);
        confidence.then(doubt).then(a.weight.total_cmp(&b.weight))
    });
    let places = match binning {
        Binning::EqualWidth(bins) => places_by_width(&sorted, bins),
        Binning::EqualMass(bins) => places_by_mass(&sorted, bins),
    };
    let mut rest = sorted.as_slice();
    let (mut cells, mut chances) = (Vec::new(), Vec::new());
    for places in places.chunk_by(|a, b| a == b) {
        let (rows, others) = rest.split_at(places.len());
        rest = others;
        let (lower, upper) = match binning {
            Binning::EqualWidth(bins) => (edge(places[0], bins), edge(places[0] + 1, bins)),
            Binning::EqualMass(_) => (rows[0].confidence, rows[rows.len() - 1].confidence),
        };
        let mut cell = Cell::default();
        rows.iter().for_each(|row| cell.add(row));
        cells.push((lower, upper, cell));
        chances.push(Chance::of(rows));
    }
    assess(cells.iter().map(|(lower, upper, cell)| (*lower, *upper, cell)), &chances, options)
}

/// The j-th edge of bins of one width.
pub(super) fn edge(j: usize, bins: usize) -> f64 {
    j as f64 / bins as f64
}

/// The bin of one width that holds p: edge(j) < p ≤ edge(j + 1).
#[inline(always)]
pub(super) fn place_by_width(p: f64, bins: usize) -> usize {
    // The product is off by a rounding at most, which matters on the edges only; the conversion saturates.
    let near = ((p * bins as f64) as usize).min(bins - 1);
    if near > 0 && p <= edge(near, bins) {
        near - 1
    } else if near + 1 < bins && p > edge(near + 1, bins) {
        near + 1
    } else {
        near
    }
}

fn places_by_width(sorted: &[Score], bins: usize) -> Vec<usize> {
    let sorted = if bins == 0 { &[] } else { sorted };
    sorted.iter().map(|score| place_by_width(score.confidence, bins)).collect()
}

fn places_by_mass(sorted: &[Score], bins: usize) -> Vec<usize> {
    let sorted = if bins == 0 { &[] } else { sorted };
    let total: f64 = sorted.iter().map(|score| score.weight).sum();
    let mut places = Vec::with_capacity(sorted.len());
    let mut before = 0.0;
    for ties in sorted.chunk_by(|a, b| (a.confidence, a.doubt) == (b.confidence, b.doubt)) {
        let weight: f64 = ties.iter().map(|score| score.weight).sum();
        let place = place_by_mass(before + weight / 2.0, total, bins);
        places.resize(places.len() + ties.len(), place);
        before += weight;
    }
    places
}

/// The bin of one mass for rows with so much weight before their middle.
pub(super) fn place_by_mass(middle: f64, total: f64, bins: usize) -> usize {
    ((middle * bins as f64 / total) as usize).min(bins - 1)
}

/// The sums over a bin.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Cell {
    rows: u64,
    weight: ExactSum,
    weight_squared: ExactSum,
    correct: ExactSum,
    /// Σ w (p − correct).
    gap: ExactSum,
    /// Σ w² p (1 − p): the variance of the gap in a calibrated model.
    variance: ExactSum,
}

impl Cell {
    pub(super) fn add(&mut self, score: &Score) {
        let Score { confidence, doubt, correct, weight, .. } = *score;
        self.rows += 1;
        self.weight.add(weight);
        self.weight_squared.add(weight * weight);
        self.correct.add(if correct { weight } else { 0.0 });
        self.gap.add(weight * if correct { -doubt } else { confidence });
        self.variance.add(variance(score));
    }

    pub(super) fn merge(&mut self, other: &Cell) {
        self.rows = self.rows.saturating_add(other.rows);
        for (sum, more) in [
            (&mut self.weight, &other.weight),
            (&mut self.weight_squared, &other.weight_squared),
            (&mut self.correct, &other.correct),
            (&mut self.gap, &other.gap),
            (&mut self.variance, &other.variance),
        ] {
            sum.merge(more);
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn weight(&self) -> f64 {
        self.weight.value()
    }

    pub(super) fn gap(&self) -> f64 {
        self.gap.value()
    }

    /// The gap of a calibrated model, known by its variance only.
    pub(super) fn chance(&self) -> Chance {
        Chance::Normal { deviation: self.variance.value().sqrt() }
    }

    pub(super) fn bin(&self, lower: f64, upper: f64) -> Bin {
        let weight = self.weight();
        // Put together exactly: rows of confidence 1 have a mean of 1, whatever their weights are.
        let mut confidence = self.correct.clone();
        confidence.merge(&self.gap);
        Bin {
            lower,
            upper,
            rows: self.rows,
            weight,
            confidence: confidence.value() / weight,
            accuracy: self.correct.value() / weight,
        }
    }
}

/// Below this the squares of the weights are subnormal, or soon will be.
pub(super) const SMALLEST_SQUARE: f64 = 1e-280;

/// Everything that follows from bins with their edges, and from their chances, which are in the same order.
pub(super) fn assess<'a>(
    cells: impl Iterator<Item = (f64, f64, &'a Cell)>,
    chances: &[Chance],
    options: &Resampling,
) -> CalibrationError {
    let (mut bins, mut gaps, mut squares) = (Vec::new(), Vec::new(), Vec::new());
    for (lower, upper, cell) in cells {
        bins.push(cell.bin(lower, upper));
        gaps.push(cell.gap().abs());
        squares.push(cell.weight_squared.value());
    }
    let total: f64 = bins.iter().map(|bin| bin.weight).sum();
    let ece = gaps.iter().sum::<f64>() / total;
    let (mut max, mut square) = (f64::NAN, 0.0);
    for ((bin, gap), squares) in bins.iter().zip(&gaps).zip(&squares) {
        let gap = gap / bin.weight;
        max = gap.max(max);
        // How many rows of one weight would be as good, less 1; exactly 0 for one row.
        let others = bin.weight * bin.weight / squares - 1.0;
        if others > 0.0 {
            let noise = bin.accuracy * (1.0 - bin.accuracy) / others;
            square += bin.weight / total * (gap * gap - noise);
        }
    }
    let all_squares: f64 = squares.iter().sum();
    if !(all_squares > SMALLEST_SQUARE && all_squares < f64::INFINITY) {
        return CalibrationError { ece, max, debiased: f64::NAN, bins, null: Null::NONE };
    }
    let mut replicates: Vec<f64> = (0..options.replicates)
        .map(|replicate| {
            heed();
            let mut random = Random::new(options.seed, Purpose::CalibrationNull, replicate.into());
            chances.iter().map(|chance| chance.draw(&mut random).abs()).sum::<f64>() / total
        })
        .collect();
    let null = Null::of(ece, &mut replicates);
    let debiased = if square <= 0.0 { 0.0 } else { square.sqrt() };
    CalibrationError { ece, max, debiased, bins, null }
}
