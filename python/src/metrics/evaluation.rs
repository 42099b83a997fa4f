//! Every figure at once, as the program's `eval` has them.

use pyo3::prelude::*;
use softargmax::{Binning, Resampling};

use super::calibration::BinFree;
use super::{drawn, score};
use crate::array::{Array, for_each_type};
use crate::error::wrong;
use crate::labelled::Labelled;
use crate::temperature::Temperatures;
use crate::work;

/// How good probabilities are: what ``softargmax eval --json`` prints, under the same names. What is not known is NaN.
///
/// Attributes
/// ----------
/// rows, ignored, classes : int
///     How many rows counted, how many did not, and the classes of a row.
/// nll, nll_std_error : float
///     The mean negative log-likelihood, in nats, and its standard error.
/// brier, brier_std_error : float
///     The mean Brier score, Σ_k (p_k − 1[k = label])², not divided by the number of classes.
/// accuracy, accuracy_std_error : float
///     The share of rows whose label is the arg max.
/// confidence : float
///     The mean of the largest probability.
/// overconfidence, overconfidence_std_error : float
///     Confidence less accuracy.
/// ece : float
///     Over bins of equal width, closed on the right.
/// ece_null_mean, ece_null_quantile_95, ece_p_value : float
///     What a perfectly calibrated model would show on these rows: the noise floor, what 95 % of such models stay below, and
///     how often chance shows as much.
/// ece_debiased, mce : float
///     The root of the mean square gap less its noise; the largest gap.
/// classwise_ece, ece_equal_mass, kolmogorov_smirnov, smooth_ece : BinFree
///     Other calibration errors, each with its noise floor.
/// miscalibration, discrimination, uncertainty : float
///     The parts of the Brier score of the top label.
/// aurc, excess_aurc : float
///     The area under the risk–coverage curve, and how much of it is due to the order of the rows.
#[pyclass(frozen, get_all, module = "softargmax")]
pub(crate) struct Evaluation {
    rows: u64,
    ignored: u64,
    classes: usize,
    nll: f64,
    nll_std_error: f64,
    brier: f64,
    brier_std_error: f64,
    accuracy: f64,
    accuracy_std_error: f64,
    confidence: f64,
    overconfidence: f64,
    overconfidence_std_error: f64,
    ece: f64,
    ece_null_mean: f64,
    ece_null_quantile_95: f64,
    ece_p_value: f64,
    ece_debiased: f64,
    mce: f64,
    classwise_ece: BinFree,
    ece_equal_mass: BinFree,
    kolmogorov_smirnov: BinFree,
    smooth_ece: BinFree,
    miscalibration: f64,
    discrimination: f64,
    uncertainty: f64,
    aurc: f64,
    excess_aurc: f64,
}

#[pymethods]
impl Evaluation {
    fn __repr__(&self) -> String {
        let Evaluation { rows, nll, brier, accuracy, ece, ece_p_value, .. } = self;
        format!(
            "Evaluation(rows={rows}, nll={nll:?}, brier={brier:?}, accuracy={accuracy:?}, ece={ece:?}, \
             ece_p_value={ece_p_value:?}, ...)"
        )
    }
}

/// How good probabilities are, p_i = exp(x_i/τ) / Σ_j exp(x_j/τ), against labels: NLL, Brier score and accuracy with standard
/// errors, calibration errors with their noise floors, risk–coverage.
///
/// Parameters
/// ----------
/// logits, labels, temperature, weights, ignored, where
///     As in `softargmax.metrics.scores`.
/// bins : int
///     For the calibration errors that have them, from 1 to 4096.
/// replicates : int
///     How many times labels are drawn anew for the noise floors; 0 for none.
/// seed : int
///     The same one gives the same bits.
///
/// Returns
/// -------
/// Evaluation
///
/// Raises
/// ------
/// SoftargmaxError
///     As `softargmax.metrics.scores`, and for rows of which none has a label and a weight.
///
/// Notes
/// -----
/// Each figure by itself is in `softargmax.metrics`, with its source.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> logits, labels = [[4.0, 0.0]] * 40, [0, 0, 0, 1] * 10
/// >>> before = softargmax.evaluate(logits, labels)
/// >>> round(before.nll, 4), before.accuracy, round(before.ece, 4), before.ece_p_value < 0.01
/// (1.0181, 0.75, 0.232, True)
/// >>> tau = softargmax.fit_temperature(logits, labels).temperature
/// >>> after = softargmax.evaluate(logits, labels, temperature=tau)
/// >>> round(after.nll, 4), after.accuracy, after.ece < 1e-12
/// (0.5623, 0.75, True)
#[pyfunction]
#[pyo3(signature = (
    logits, labels, *, temperature=Temperatures::default(), weights=None, ignored=None, r#where=None, bins=15,
    replicates=1000, seed=0,
))]
#[pyo3(
    text_signature = "(logits, labels, *, temperature=1.0, weights=None, ignored=None, where=None, bins=15, \
                      replicates=1000, seed=0)"
)]
#[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
pub(crate) fn evaluate(
    logits: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    temperature: Temperatures<'_>,
    weights: Option<&Bound<'_, PyAny>>,
    ignored: Option<i64>,
    r#where: Option<&Bound<'_, PyAny>>,
    bins: usize,
    replicates: u32,
    seed: u64,
) -> PyResult<Evaluation> {
    let py = logits.py();
    let labelled = Labelled { labels, weights, ignored, mask: r#where };
    let resampling = Resampling { replicates, seed };
    let (all, classes, scores, classwise) = for_each_type!(&Array::of(logits, "logits")?, x => {
        labelled.with_labels(x, |rows, labels, weights| {
            let (n, classes) = (rows.rows(), rows.classes());
            let taus = temperature.for_rows(&[n, classes], 1)?;
            let scores = score::of_rows(py, rows, labels, weights, &taus)?;
            let of = || {
                let taus = taus.as_library();
                softargmax::classwise_calibration_error(rows, labels, weights, taus, bins, &resampling)
            };
            Ok((n, classes, scores, work::run(py, drawn(n * classes, replicates), of)?))
        })?
    });
    if scores.is_empty() {
        return Err(wrong("no row has a label and a weight: there is nothing to measure"));
    }
    work::run(py, drawn(scores.len(), replicates), || {
        let summary = softargmax::summarise(&scores);
        let error = |binning| softargmax::calibration_error(&scores, binning, &resampling);
        let (width, mass) = (error(Binning::EqualWidth(bins)), error(Binning::EqualMass(bins)));
        let parts = softargmax::brier_parts(&scores);
        let risk = softargmax::risk_coverage(&scores);
        let kolmogorov_smirnov = softargmax::kolmogorov_smirnov(&scores, &resampling);
        let smooth = softargmax::smooth_calibration_error(&scores, &resampling);
        Ok(Evaluation {
            rows: summary.rows,
            ignored: (all - scores.len()) as u64,
            classes,
            nll: summary.nll.value,
            nll_std_error: summary.nll.std_error,
            brier: summary.brier.value,
            brier_std_error: summary.brier.std_error,
            accuracy: summary.accuracy.value,
            accuracy_std_error: summary.accuracy.std_error,
            confidence: summary.confidence.value,
            overconfidence: summary.overconfidence.value,
            overconfidence_std_error: summary.overconfidence.std_error,
            ece: width.ece,
            ece_null_mean: width.null.mean,
            ece_null_quantile_95: width.null.quantile_95,
            ece_p_value: width.null.p_value,
            ece_debiased: width.debiased,
            mce: width.max,
            classwise_ece: BinFree { value: classwise.ece, null: classwise.null.into() },
            ece_equal_mass: BinFree { value: mass.ece, null: mass.null.into() },
            kolmogorov_smirnov: kolmogorov_smirnov.into(),
            smooth_ece: smooth.into(),
            miscalibration: parts.miscalibration,
            discrimination: parts.discrimination,
            uncertainty: parts.uncertainty,
            aurc: risk.aurc,
            excess_aurc: risk.excess_aurc,
        })
    })
}
