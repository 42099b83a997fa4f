//! What it would bring to answer only where the model is confident: risk against coverage.
//!
//! ```text
//! rows, most confident first;  N_k = Σ_{i ≤ k} w_i,  E_k = Σ_{i ≤ k} w_i wrong_i,  W = N_n
//! coverage N_k/W  →  risk E_k/N_k
//! AURC = Σ_k w_k (E_k/N_k) / W        AURC*: the same with all correct rows first        E-AURC = AURC − AURC*
//! ```
//!
//! Rows are told apart by their confidence and, where that is 1 or rounds alike, by their doubt. Rows that are equal in
//! both have no order: the area is the mean over all orders, in which E grows evenly, and the curve has a point only
//! at their end, for no threshold stops within.

use crate::metrics::ranked::{ranked, weight, weight_of};
use crate::metrics::score::Score;

/// Answering down to some confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RiskPoint {
    /// The share of rows answered, by weight.
    pub coverage: f64,
    /// The share of those that are wrong.
    pub risk: f64,
    /// The least confidence that is answered.
    pub threshold: f64,
    /// The largest doubt that is answered: the same threshold, also where confidences are 1 but for a rounding.
    pub doubt: f64,
}

/// What [`risk_coverage`] tells.
#[derive(Clone, Debug, PartialEq)]
pub struct RiskCoverage {
    /// The curve, from the most confident rows to all of them: at most 512 points, evenly over the coverage.
    pub points: Vec<RiskPoint>,
    /// The area under the curve of all rows: the mean risk over coverages. Smaller is better.
    pub aurc: f64,
    /// How much of it is due to the order: the area less that of the best order, in which every correct row
    /// comes before every wrong one. 0 is best.
    pub excess_aurc: f64,
    /// The risk when everything is answered: 1 − accuracy.
    pub full_risk: f64,
}

/// How many points a curve has at most.
const POINTS: usize = 512;

/// Rows that no threshold tells apart.
#[derive(Clone, Copy, Debug)]
struct Tie {
    rows: usize,
    weight: f64,
    wrong: f64,
    threshold: f64,
    doubt: f64,
}

impl Tie {
    fn of(rows: &[Score]) -> Tie {
        let (weight, wrong) = (weight(rows), weight_of(rows, false));
        let (threshold, doubt) = (rows[0].confidence, rows[0].doubt);
        Tie { rows: rows.len(), weight, wrong, threshold, doubt }
    }
}

/// Most confident first.
fn descending(rows: &[Score]) -> impl Iterator<Item = Tie> {
    let alike = |a: &Score, b: &Score| a.confidence == b.confidence && a.doubt == b.doubt;
    rows.chunk_by(alike).rev().map(Tie::of)
}

/// Goes down the rows, adding up the area.
#[derive(Clone, Copy, Debug, Default)]
struct Descent {
    weight: f64,
    wrong: f64,
    area: f64,
}

impl Descent {
    fn answer(&mut self, tie: Tie) {
        // In the mean over their orders, each of m rows adds as much wrong as any other.
        let parts = tie.rows as f64;
        for k in 1..=tie.rows {
            let part = k as f64 / parts;
            let risk = (self.wrong + part * tie.wrong) / (self.weight + part * tie.weight);
            self.area += tie.weight / parts * risk;
        }
        self.weight += tie.weight;
        self.wrong += tie.wrong;
    }
}

/// The risk–coverage curve: the share of wrong answers among the most confident rows, for every share of rows.
///
/// # Shapes
/// Any number of scores to at most 512 points; the areas are of all rows.
///
/// # Accuracy
/// A few roundings of f64. The order of the scores does not show.
///
/// # Special values
/// Rows of one confidence and doubt are one step: the area is the mean over their orders (exactly so for equal weights;
/// unequal ones among them are replaced by their mean), the curve has a point at their end. No points and NaN for no
/// rows, or scores that no row has.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, Temperature, risk_coverage, scores};
///
/// let logits = Rows::new(&[0.0, 4.0, 0.0, 3.0, 0.0, 2.0, 0.0, 1.0], 2)?;
/// let scores = scores(logits, Labels::new(&[1, 0, 1, 1], 2)?, None, Temperature::ONE)?;
/// let curve = risk_coverage(&scores);
/// let risks: Vec<_> = curve.points.iter().map(|point| point.risk).collect();
/// assert_eq!(risks, [0.0, 0.5, 1.0 / 3.0, 0.25]);
/// assert_eq!(curve.aurc, (0.0 + 0.5 + 1.0 / 3.0 + 0.25) / 4.0);
/// assert_eq!(curve.excess_aurc, curve.aurc - 0.25 / 4.0); // the wrong one should have come last
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Geifman, Uziel & El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR
/// (arXiv:1805.08206), section 4; AURC* as the sum itself, not as its limit r + (1 − r) ln(1 − r).
pub fn risk_coverage(scores: &[Score]) -> RiskCoverage {
    let Some(rows) = ranked(scores) else {
        let nan = f64::NAN;
        return RiskCoverage { points: Vec::new(), aurc: nan, excess_aurc: nan, full_risk: nan };
    };
    let total = weight(&rows);
    let mut descent = Descent::default();
    let mut points: Vec<RiskPoint> = Vec::with_capacity(POINTS);
    for tie in descending(&rows) {
        descent.answer(tie);
        let point = descent.point(tie, total);
        // A point for every 1/511 of the coverage: the last one in it, and all before the first full 1/511.
        let cell = |coverage: f64| (coverage * (POINTS - 1) as f64).ceil();
        match points.last_mut() {
            Some(last) if cell(last.coverage) == cell(point.coverage) && rows.len() > POINTS => {
                *last = point;
            }
            _ => points.push(point),
        }
    }
    // What is correct of every tie first, then what is wrong: a perfect order stays as it was, to the bit.
    let mut best = Descent::default();
    let (correct, wrong): (Vec<Score>, Vec<Score>) = rows.iter().partition(|row| row.correct);
    descending(&correct).chain(descending(&wrong)).for_each(|tie| best.answer(tie));
    RiskCoverage {
        points,
        aurc: descent.area / total,
        // Not negative but for roundings, and for unequal weights within a tie.
        excess_aurc: ((descent.area - best.area) / total).max(0.0),
        full_risk: descent.wrong / total,
    }
}

impl Descent {
    fn point(&self, tie: Tie, total: f64) -> RiskPoint {
        let risk = self.wrong / self.weight;
        // The sums are not in the same order: the last coverage is 1 and not the next number.
        let coverage = (self.weight / total).min(1.0);
        RiskPoint { coverage, risk, threshold: tie.threshold, doubt: tie.doubt }
    }
}

/// The largest coverage at which the risk is no more than `target`, among all thresholds.
///
/// The threshold is chosen on these rows, so their risk is a little better than that of others: confirm it on rows that
/// were not used.
///
/// # Shapes
/// Any number of scores to one point of the curve, whole ties only.
///
/// # Accuracy
/// A few roundings of f64. The order of the scores does not show.
///
/// # Special values
/// `None` where no threshold has so small a risk: when the most confident rows are wrong, for no rows, scores that no
/// row has, and a target that is negative or NaN.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, Temperature, coverage_at_risk, scores};
///
/// let logits = Rows::new(&[0.0, 4.0, 0.0, 3.0, 0.0, 2.0, 0.0, 1.0], 2)?;
/// let scores = scores(logits, Labels::new(&[1, 1, 0, 0], 2)?, None, Temperature::ONE)?;
/// let point = coverage_at_risk(&scores, 0.4).expect("the first two are right");
/// assert_eq!((point.coverage, point.risk), (0.75, 1.0 / 3.0));
/// assert_eq!(coverage_at_risk(&scores[2..], 0.4), None);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Geifman & El-Yaniv 2017, "Selective classification for deep neural networks", NeurIPS, without its guarantee.
pub fn coverage_at_risk(scores: &[Score], target: f64) -> Option<RiskPoint> {
    let rows = ranked(scores)?;
    let total = weight(&rows);
    let mut descent = Descent::default();
    let points = descending(&rows).map(|tie| {
        descent.weight += tie.weight;
        descent.wrong += tie.wrong;
        descent.point(tie, total)
    });
    points.filter(|point| point.risk <= target).last()
}
