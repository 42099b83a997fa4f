//! The Brier score of the top label, taken apart.
//!
//! ```text
//! mean (p − c)²  =  miscalibration − discrimination + uncertainty        c: 1 where the top label is right
//!
//! f: the isotonic regression of c on p       a: the accuracy
//! miscalibration = mean (p − c)² − mean (f − c)²      what recalibration, keeping the order, would gain
//! discrimination = mean (a − c)² − mean (f − c)²      what is gained over always saying a
//! uncertainty    = a (1 − a)                          what always saying a costs
//! ```
//!
//! Not as differences of means, in which small parts would drown: within a step of f the mean of c is f, so
//! discrimination is mean (f − a)², and miscalibration is mean (p − f)² + 2 mean (p − f)(f − c).

use crate::metrics::isotonic::steps;
use crate::metrics::ranked::{ranked, ties, weight, weight_of};
use crate::metrics::score::Score;

/// What [`brier_parts`] tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrierParts {
    /// What is lost because confidences are not what they say: 0 is calibrated.
    pub miscalibration: f64,
    /// What is won because confidences tell rows apart: 0 is uninformative.
    pub discrimination: f64,
    /// What always saying the accuracy would cost: accuracy · (1 − accuracy).
    pub uncertainty: f64,
}

/// The CORP decomposition of the top label's Brier score:
/// `mean (confidence − correct)² = miscalibration − discrimination + uncertainty`, weighted.
///
/// # Shapes
/// Any number of scores to three numbers, none negative.
///
/// # Accuracy
/// A few roundings of f64 of the largest part. The order of the scores does not show.
///
/// # Special values
/// All NaN for no rows, or scores that no row has.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, Temperature, brier_parts, scores};
///
/// // Confidence 3/4 in every row, and right in half of them.
/// let logits = [0.0, 3f64.ln(), 0.0, 3f64.ln()];
/// let scores = scores(Rows::new(&logits, 2)?, Labels::new(&[0, 1], 2)?, None, Temperature::ONE)?;
/// let parts = brier_parts(&scores);
/// assert!((parts.miscalibration - 1.0 / 16.0).abs() < 1e-15);
/// assert_eq!((parts.discrimination, parts.uncertainty), (0.0, 0.25));
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Dimitriadis, Gneiting & Jordan 2021, "Stable reliability diagrams for probabilistic classifiers", PNAS 118(8),
/// equation 3 (there MCB, DSC and UNC).
pub fn brier_parts(scores: &[Score]) -> BrierParts {
    let nan = f64::NAN;
    let Some(rows) = ranked(scores) else {
        return BrierParts { miscalibration: nan, discrimination: nan, uncertainty: nan };
    };
    let steps = steps(&rows);
    let total = weight(&rows);
    let accuracy = weight_of(&rows, true) / total;
    let discrimination: f64 =
        steps.iter().map(|step| step.weight * (step.accuracy - accuracy).powi(2)).sum();
    let mut miscalibration = 0.0;
    let mut steps = steps.iter();
    let mut step = steps.next();
    for tie in ties(&rows) {
        let p = tie[0].confidence;
        while step.is_some_and(|step| step.upper < p) {
            step = steps.next();
        }
        let Some(step) = step else { break };
        let (weight, f) = (weight(tie), step.accuracy);
        // (p − f)² + 2 (p − f)(f − c), with the mean of c over the tie.
        let c = weight_of(tie, true) / weight;
        miscalibration += weight * (p - f) * ((p - f) + 2.0 * (f - c));
    }
    BrierParts {
        // Isotonic f is the best, so this is not negative but for a rounding.
        miscalibration: (miscalibration / total).max(0.0),
        discrimination: discrimination / total,
        uncertainty: accuracy * (1.0 - accuracy),
    }
}
