//! Reliability and its band, risk against coverage, the Brier score taken apart.

use numpy::PyArray1;
use pyo3::prelude::*;
use softargmax::Resampling;

use super::score::Scores;
use super::{drawn, shown};
use crate::arguments::Numbers;
use crate::work;

/// A step of the reliability curve: confidences that have one accuracy.
///
/// Attributes
/// ----------
/// lower, upper : float
///     The least and the largest confidence.
/// accuracy : float
///     The accuracy of their rows.
/// weight : float
///     Their weight.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct Step {
    lower: f64,
    upper: f64,
    accuracy: f64,
    weight: f64,
}

shown!(Step(lower, upper, accuracy, weight));

/// The reliability curve of the top label: the nondecreasing function of the confidence that is nearest to correctness
/// (isotonic regression).
///
/// Parameters
/// ----------
/// scores : Scores
///
/// Returns
/// -------
/// list of Step
///     From low confidences to high.
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// Rows of one confidence are pooled first. No steps for no rows, and for scores that no row has.
///
/// References
/// ----------
/// Dimitriadis, Gneiting & Jordan 2021, PNAS 118(8).
///
/// Examples
/// --------
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]], [1, 0, 1])
/// >>> [(step.accuracy, step.weight) for step in metrics.isotonic(scores)]
/// [(0.5, 2.0), (1.0, 1.0)]
#[pyfunction]
pub(crate) fn isotonic(py: Python<'_>, scores: &Scores) -> PyResult<Vec<Step>> {
    let steps = work::run(py, scores.0.len(), || Ok(softargmax::isotonic(&scores.0)))?;
    let step = |step: softargmax::Step| {
        let softargmax::Step { lower, upper, accuracy, weight, .. } = step;
        Step { lower, upper, accuracy, weight }
    };
    Ok(steps.into_iter().map(step).collect())
}

/// Where the reliability curve lies if the model is calibrated, in arrays of one length.
///
/// Attributes
/// ----------
/// at
///     Confidences.
/// lower, upper
///     The bounds there; NaN where there is no curve.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct Band {
    at: Py<PyArray1<f64>>,
    lower: Py<PyArray1<f64>>,
    upper: Py<PyArray1<f64>>,
}

/// The consistency band: where `isotonic` lies at each place with probability `level`, if every label is drawn from its
/// row's confidence.
///
/// Parameters
/// ----------
/// scores : Scores
/// at : array_like
///     Confidences.
/// level : float
///     Between 0 and 1.
/// replicates, seed
///     As in `calibration_error`.
///
/// Returns
/// -------
/// Band
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`, and places that are no numbers.
///
/// Notes
/// -----
/// A bound is NaN where there is no curve: before the first and after the last confidence, and everywhere for no rows,
/// no replicates, and a level that is not between 0 and 1.
///
/// References
/// ----------
/// Dimitriadis, Gneiting & Jordan 2021, section "Uncertainty quantification"; Bröcker & Smith 2007.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[0.0, i / 50] for i in range(200)], [1] * 200)
/// >>> band = metrics.consistency_band(scores, [0.4, 0.75])
/// >>> bool(np.isnan(band.lower[0])), bool(0.5 < band.lower[1] < 0.75 < band.upper[1] < 0.9)
/// (True, True)
#[pyfunction]
#[pyo3(signature = (scores, at, level=0.95, *, replicates=1000, seed=0))]
pub(crate) fn consistency_band(
    py: Python<'_>,
    scores: &Scores,
    at: &Bound<'_, PyAny>,
    level: f64,
    replicates: u32,
    seed: u64,
) -> PyResult<Band> {
    let at = Numbers::of(Some(at), "at")?;
    let at = at.slice()?.unwrap_or_default();
    let resampling = Resampling { replicates, seed };
    let of = || Ok(softargmax::consistency_band(&scores.0, at, level, &resampling));
    let band = work::run(py, drawn(scores.0.len(), replicates), of)?;
    let array = |numbers| PyArray1::from_vec(py, numbers).unbind();
    Ok(Band { at: array(band.at), lower: array(band.lower), upper: array(band.upper) })
}

/// Answering down to some confidence.
///
/// Attributes
/// ----------
/// coverage : float
///     The share of rows answered, by weight.
/// risk : float
///     The share of those that are wrong.
/// threshold : float
///     The least confidence that is answered.
/// doubt : float
///     The largest doubt that is answered: the same threshold, also where confidences are 1 but for a rounding.
#[pyclass(frozen, get_all, from_py_object, module = "softargmax.metrics")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RiskPoint {
    coverage: f64,
    risk: f64,
    threshold: f64,
    doubt: f64,
}

shown!(RiskPoint(coverage, risk, threshold, doubt));

impl From<softargmax::RiskPoint> for RiskPoint {
    fn from(point: softargmax::RiskPoint) -> Self {
        let softargmax::RiskPoint { coverage, risk, threshold, doubt, .. } = point;
        RiskPoint { coverage, risk, threshold, doubt }
    }
}

/// What it would bring to answer only where the model is confident.
///
/// Attributes
/// ----------
/// points : list of RiskPoint
///     The curve, from the most confident rows to all of them: at most 512 points.
/// aurc : float
///     The area under the curve of all rows; smaller is better.
/// excess_aurc : float
///     How much of it is due to the order of the rows; 0 is best.
/// full_risk : float
///     The risk when everything is answered: 1 − accuracy.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct RiskCoverage {
    points: Vec<RiskPoint>,
    aurc: f64,
    excess_aurc: f64,
    full_risk: f64,
}

shown!(RiskCoverage(aurc, excess_aurc, full_risk));

impl From<softargmax::RiskCoverage> for RiskCoverage {
    fn from(curve: softargmax::RiskCoverage) -> Self {
        let softargmax::RiskCoverage { points, aurc, excess_aurc, full_risk, .. } = curve;
        let points = points.into_iter().map(RiskPoint::from).collect();
        RiskCoverage { points, aurc, excess_aurc, full_risk }
    }
}

/// The risk–coverage curve: the share of wrong answers among the most confident rows, for every share of rows.
///
/// Parameters
/// ----------
/// scores : Scores
///
/// Returns
/// -------
/// RiskCoverage
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// Rows of one confidence are one step, with a point at its end. No points, and NaN, for no rows or scores that no row
/// has.
///
/// References
/// ----------
/// Geifman, Uziel & El-Yaniv 2019, ICLR, section 4.
///
/// Examples
/// --------
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[0.0, 4.0], [0.0, 3.0], [0.0, 2.0], [0.0, 1.0]], [1, 0, 1, 1])
/// >>> [point.risk for point in metrics.risk_coverage(scores).points]
/// [0.0, 0.5, 0.3333333333333333, 0.25]
#[pyfunction]
pub(crate) fn risk_coverage(py: Python<'_>, scores: &Scores) -> PyResult<RiskCoverage> {
    Ok(work::run(py, scores.0.len(), || Ok(softargmax::risk_coverage(&scores.0)))?.into())
}

/// The largest coverage at which the risk is no more than `target`.
///
/// Parameters
/// ----------
/// scores : Scores
/// target : float
///     The risk that may be.
///
/// Returns
/// -------
/// RiskPoint or None
///     None where no threshold has so small a risk.
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// The threshold is chosen on these rows, so their risk is a little better than that of others.
///
/// References
/// ----------
/// Geifman & El-Yaniv 2017, NeurIPS, without its guarantee.
///
/// Examples
/// --------
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[0.0, 4.0], [0.0, 3.0], [0.0, 2.0], [0.0, 1.0]], [1, 1, 0, 0])
/// >>> metrics.coverage_at_risk(scores, 0.4).coverage
/// 0.75
#[pyfunction]
pub(crate) fn coverage_at_risk(
    py: Python<'_>,
    scores: &Scores,
    target: f64,
) -> PyResult<Option<RiskPoint>> {
    let of = || Ok(softargmax::coverage_at_risk(&scores.0, target));
    Ok(work::run(py, scores.0.len(), of)?.map(RiskPoint::from))
}

/// The Brier score of the top label, taken apart.
///
/// Attributes
/// ----------
/// miscalibration : float
///     What is lost because confidences are not what they say: 0 is calibrated.
/// discrimination : float
///     What is won because confidences tell rows apart: 0 is uninformative.
/// uncertainty : float
///     What always saying the accuracy would cost.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct BrierParts {
    miscalibration: f64,
    discrimination: f64,
    uncertainty: f64,
}

shown!(BrierParts(miscalibration, discrimination, uncertainty));

impl From<softargmax::BrierParts> for BrierParts {
    fn from(parts: softargmax::BrierParts) -> Self {
        let softargmax::BrierParts { miscalibration, discrimination, uncertainty, .. } = parts;
        BrierParts { miscalibration, discrimination, uncertainty }
    }
}

/// The CORP decomposition of the top label's Brier score,
/// mean (confidence − correct)² = miscalibration − discrimination + uncertainty.
///
/// Parameters
/// ----------
/// scores : Scores
///
/// Returns
/// -------
/// BrierParts
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// All NaN for no rows, or scores that no row has.
///
/// References
/// ----------
/// Dimitriadis, Gneiting & Jordan 2021, PNAS 118(8), eq. 3.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from softargmax import metrics
/// >>> parts = metrics.brier_parts(metrics.scores([[0.0, np.log(3)]] * 2, [0, 1]))
/// >>> round(parts.miscalibration, 12), parts.discrimination, parts.uncertainty
/// (0.0625, 0.0, 0.25)
#[pyfunction]
pub(crate) fn brier_parts(py: Python<'_>, scores: &Scores) -> PyResult<BrierParts> {
    Ok(work::run(py, scores.0.len(), || Ok(softargmax::brier_parts(&scores.0)))?.into())
}
