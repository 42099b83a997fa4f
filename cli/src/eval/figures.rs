//! The measures that `fit` and `eval` report of some rows.

use serde::Serialize;
use softargmax::{
    Binning, CalibrationError, Resampling, Score, Summary, calibration_error, summarise,
};

use crate::json;

/// Means over rows with their standard errors, and the calibration error with its noise floor. What is
/// not known is NaN.
#[derive(Clone, Serialize)]
pub(crate) struct Figures {
    /// How many rows these are.
    pub(crate) rows: u64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) nll: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) nll_std_error: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) brier: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) brier_std_error: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) accuracy: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) accuracy_std_error: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) confidence: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) overconfidence: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) overconfidence_std_error: f64,
    /// Over bins of equal width, right-closed.
    #[serde(serialize_with = "json::measured")]
    pub(crate) ece: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) ece_null_mean: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) ece_null_quantile_95: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) ece_p_value: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) ece_debiased: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) mce: f64,
}

impl Figures {
    /// Of rows whose labels are shares: a prediction is not right or wrong then.
    pub(crate) fn of_shares(scores: &[Score]) -> Self {
        let Summary { rows, nll, brier, confidence, .. } = summarise(scores);
        let unknown = f64::NAN;
        Self {
            rows,
            nll: nll.value,
            nll_std_error: nll.std_error,
            brier: brier.value,
            brier_std_error: brier.std_error,
            accuracy: unknown,
            accuracy_std_error: unknown,
            confidence: confidence.value,
            overconfidence: unknown,
            overconfidence_std_error: unknown,
            ece: unknown,
            ece_null_mean: unknown,
            ece_null_quantile_95: unknown,
            ece_p_value: unknown,
            ece_debiased: unknown,
            mce: unknown,
        }
    }

    pub(crate) fn of(scores: &[Score], bins: usize, resampling: &Resampling) -> Self {
        let error = calibration_error(scores, Binning::EqualWidth(bins), resampling);
        Self::new(summarise(scores), error)
    }

    pub(crate) fn new(summary: Summary, error: CalibrationError) -> Self {
        let Summary { rows, nll, brier, accuracy, confidence, overconfidence, .. } = summary;
        let CalibrationError { ece, max, debiased, null, .. } = error;
        Self {
            rows,
            nll: nll.value,
            nll_std_error: nll.std_error,
            brier: brier.value,
            brier_std_error: brier.std_error,
            accuracy: accuracy.value,
            accuracy_std_error: accuracy.std_error,
            confidence: confidence.value,
            overconfidence: overconfidence.value,
            overconfidence_std_error: overconfidence.std_error,
            ece,
            ece_null_mean: null.mean,
            ece_null_quantile_95: null.quantile_95,
            ece_p_value: null.p_value,
            ece_debiased: debiased,
            mce: max,
        }
    }
}
