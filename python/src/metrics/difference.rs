//! Before against after, on the same rows.

use pyo3::prelude::*;
use softargmax::Resampling;

use super::score::Scores;
use super::{drawn, shown};
use crate::work;

/// A number and where it lies with some probability.
///
/// Attributes
/// ----------
/// value : float
///     The number.
/// low, high : float
///     The ends of the interval.
#[pyclass(frozen, get_all, from_py_object, module = "softargmax.metrics")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    value: f64,
    low: f64,
    high: f64,
}

shown!(Interval(value, low, high));

impl From<softargmax::Interval> for Interval {
    fn from(softargmax::Interval { value, low, high, .. }: softargmax::Interval) -> Self {
        Interval { value, low, high }
    }
}

/// After minus before, each an `Interval`.
///
/// Attributes
/// ----------
/// nll
///     Of the mean NLL: negative is better.
/// brier
///     Of the mean Brier score: negative is better.
/// accuracy
///     Of the accuracy: positive is better.
/// ece
///     Of the ECE in 15 bins of equal width: negative is better.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct Differences {
    nll: Interval,
    brier: Interval,
    accuracy: Interval,
    ece: Interval,
}

shown!(Differences(nll, brier, accuracy, ece));

impl From<softargmax::Differences> for Differences {
    fn from(all: softargmax::Differences) -> Self {
        let softargmax::Differences { nll, brier, accuracy, ece, .. } = all;
        Differences {
            nll: nll.into(),
            brier: brier.into(),
            accuracy: accuracy.into(),
            ece: ece.into(),
        }
    }
}

/// The differences that a change of the model makes to its metrics, after − before, each with the interval that a paired
/// bootstrap of the rows gives it.
///
/// Parameters
/// ----------
/// before, after : Scores
///     Of the same rows.
/// level : float
///     The probability of the intervals, between 0 and 1.
/// replicates, seed
///     As in `calibration_error`.
///
/// Returns
/// -------
/// Differences
///
/// Raises
/// ------
/// SoftargmaxError
///     For scores of other numbers of rows, or of other weights.
///
/// References
/// ----------
/// Efron & Tibshirani 1993, section 13.3 (percentiles).
///
/// Examples
/// --------
/// Sure in every row, and right in three of four.
///
/// >>> from softargmax import metrics
/// >>> logits, labels = [[0.0, 5.0]] * 100, [0, 1, 1, 1] * 25
/// >>> before = metrics.scores(logits, labels)
/// >>> after = metrics.scores(logits, labels, temperature=4.5)
/// >>> difference = metrics.paired_bootstrap(before, after)
/// >>> difference.nll.high < 0, difference.accuracy.value  # better, and temperature moves no decision
/// (True, 0.0)
#[pyfunction]
#[pyo3(signature = (before, after, level=0.95, *, replicates=1000, seed=0))]
pub(crate) fn paired_bootstrap(
    py: Python<'_>,
    before: &Scores,
    after: &Scores,
    level: f64,
    replicates: u32,
    seed: u64,
) -> PyResult<Differences> {
    let resampling = Resampling { replicates, seed };
    let of = || softargmax::paired_bootstrap(&before.0, &after.0, level, &resampling);
    Ok(work::run(py, drawn(before.0.len(), replicates), of)?.into())
}
