//! Calibration error without bins or bandwidth: the largest gap between two cumulative curves.
//!
//! ```text
//! rows in order of confidence;  S_k = Σ_{i ≤ k} w_i (correct_i − p_i) / Σ w
//! KS = max_k |S_k|,  k at the end of a confidence: rows of equal confidence have no order
//! ```

use crate::interrupt::heed;
use crate::metrics::null::{Null, Resampling};
use crate::metrics::ranked::{residual, ties, weight};
use crate::metrics::redraw::Redraw;
use crate::metrics::score::Score;
use crate::random::{Purpose, Random};

/// A calibration error that needs no bins, and what chance alone would show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinFree {
    /// The error; 0 is calibrated.
    pub value: f64,
    /// What a calibrated model with these confidences would show.
    pub null: Null,
}

impl BinFree {
    pub(crate) fn nan() -> BinFree {
        BinFree { value: f64::NAN, null: Null::NONE }
    }
}

/// The largest |sum| along the way.
fn largest(steps: impl Iterator<Item = f64>) -> f64 {
    let mut sum = 0.0;
    steps.fold(0.0, |most: f64, step| {
        sum += step;
        most.max(f64::abs(sum))
    })
}

/// The Kolmogorov–Smirnov calibration error of the top label:
/// `max_c |Σ_{confidence ≤ c} w (correct − confidence)| / Σ w`.
///
/// # Shapes
/// Any number of scores to one number from 0 to 1.
///
/// # Accuracy
/// The value to a few roundings of f64. The null draws labels; of more than 2048 rows in groups of neighbours, between
/// whose ends a gap is not seen, so that its figures are low by up to 1 % of themselves. The order of the scores does
/// not show.
///
/// # Special values
/// Rows of one confidence count as one step. All NaN for no rows, or scores that no row has.
///
/// # Example
/// ```
/// use softargmax::{Labels, Resampling, Rows, Temperature, kolmogorov_smirnov, scores};
///
/// // Confidence 3/4 in every row, and right in one of two.
/// let logits = [0.0, 3f64.ln(), 0.0, 3f64.ln()];
/// let scores = scores(Rows::new(&logits, 2)?, Labels::new(&[0, 1], 2)?, None, Temperature::ONE)?;
/// let ks = kolmogorov_smirnov(&scores, &Resampling::default());
/// assert!((ks.value - 0.25).abs() < 1e-15);
/// assert!(ks.null.p_value > 0.9); // two rows say nothing
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Gupta et al. 2021, "Calibration of neural networks using splines", ICLR, section 3.1.
pub fn kolmogorov_smirnov(scores: &[Score], options: &Resampling) -> BinFree {
    let Some(redraw) = Redraw::new(scores, 1.0 / 512.0) else { return BinFree::nan() };
    let total = weight(&redraw.rows);
    let of_tie = |tie: &[Score]| tie.iter().map(residual).sum();
    let value = largest(ties(&redraw.rows).map(of_tie)) / total;
    let mut replicates: Vec<f64> = (0..options.replicates)
        .map(|replicate| {
            heed();
            let mut random = Random::new(options.seed, Purpose::KolmogorovNull, replicate.into());
            let steps = redraw.groups.iter().map(|group| group.residual(&mut random));
            largest(steps) / total
        })
        .collect();
    BinFree { value, null: Null::of(value, &mut replicates) }
}
