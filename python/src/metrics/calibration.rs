//! Calibration errors, each beside what chance alone would show.

use pyo3::prelude::*;
use softargmax::{Binning, Resampling};

use super::score::Scores;
use super::{drawn, shown};
use crate::arguments::choice;
use crate::array::{Array, for_each_type};
use crate::error::wrong;
use crate::labelled::Labelled;
use crate::temperature::Temperatures;
use crate::work;

/// What a measure of miscalibration shows where there is none: its distribution when labels are drawn from the model's own
/// probabilities.
///
/// Attributes
/// ----------
/// mean : float
///     The mean: the noise floor.
/// quantile_95 : float
///     What 95 % of the replicates do not exceed.
/// p_value : float
///     How often chance shows as much as was observed.
/// replicates : int
///     How many replicates this comes from; without any, the rest is NaN.
#[pyclass(frozen, get_all, from_py_object, module = "softargmax.metrics")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Null {
    pub(super) mean: f64,
    pub(super) quantile_95: f64,
    pub(super) p_value: f64,
    pub(super) replicates: u32,
}

shown!(Null(mean, quantile_95, p_value, replicates));

impl From<softargmax::Null> for Null {
    fn from(null: softargmax::Null) -> Self {
        let softargmax::Null { mean, quantile_95, p_value, replicates, .. } = null;
        Null { mean, quantile_95, p_value, replicates }
    }
}

/// A calibration error that needs no bins, and its noise floor.
///
/// Attributes
/// ----------
/// value : float
///     The error; 0 is calibrated.
/// null : Null
///     What a calibrated model with these confidences would show.
#[pyclass(frozen, get_all, from_py_object, module = "softargmax.metrics")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct BinFree {
    pub(super) value: f64,
    pub(super) null: Null,
}

shown!(BinFree(value, null));

impl From<softargmax::BinFree> for BinFree {
    fn from(softargmax::BinFree { value, null, .. }: softargmax::BinFree) -> Self {
        BinFree { value, null: null.into() }
    }
}

/// The rows of a bin of confidences.
///
/// Attributes
/// ----------
/// lower, upper : float
///     Its edges; bins are closed on the right, the first has 0 too. Of equal mass: the least and the largest confidence.
/// rows : int
///     How many rows are in it.
/// weight : float
///     Their weight.
/// confidence, accuracy : float
///     Their means.
#[pyclass(frozen, get_all, from_py_object, module = "softargmax.metrics")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bin {
    lower: f64,
    upper: f64,
    rows: u64,
    weight: f64,
    confidence: f64,
    accuracy: f64,
}

shown!(Bin(lower, upper, rows, weight, confidence, accuracy));

impl From<&softargmax::Bin> for Bin {
    fn from(bin: &softargmax::Bin) -> Self {
        let softargmax::Bin { lower, upper, rows, weight, confidence, accuracy, .. } = *bin;
        Bin { lower, upper, rows, weight, confidence, accuracy }
    }
}

/// The calibration error over bins, and its noise floor.
///
/// Attributes
/// ----------
/// ece : float
///     Σ_b W_b/W |confidence_b − accuracy_b|.
/// max : float
///     The largest gap of a bin (MCE).
/// debiased : float
///     The root of the mean square gap, less what noise adds to it.
/// bins : list of Bin
///     Those that have rows.
/// null : Null
///     What `ece` of a perfectly calibrated model would be.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct CalibrationError {
    ece: f64,
    max: f64,
    debiased: f64,
    bins: Vec<Bin>,
    null: Null,
}

shown!(CalibrationError(ece, max, debiased, null));

impl From<softargmax::CalibrationError> for CalibrationError {
    fn from(error: softargmax::CalibrationError) -> Self {
        let softargmax::CalibrationError { ece, max, debiased, bins, null, .. } = error;
        let bins = bins.iter().map(Bin::from).collect();
        CalibrationError { ece, max, debiased, bins, null: null.into() }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    EqualWidth,
    EqualMass,
}

choice!(Binned(Kind) "binning": "equal_width" => Kind::EqualWidth, "equal_mass" => Kind::EqualMass);

/// The expected calibration error of the top label, ECE = Σ_b W_b/W |confidence_b − accuracy_b|, beside what chance alone
/// would show.
///
/// Parameters
/// ----------
/// scores : Scores
/// bins : int
///     How many there are, from 1 up.
/// binning : {"equal_width", "equal_mass"}
///     Guo's, or as many rows in each.
/// replicates : int
///     How many times labels are drawn anew for the noise floor; 0 for none.
/// seed : int
///     The same one gives the same bits.
///
/// Returns
/// -------
/// CalibrationError
///
/// Raises
/// ------
/// SoftargmaxError
///     For no bins.
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// An ECE says little without its null: a perfectly calibrated model like ResNet-20 on CIFAR-100 has an ECE of 7.5 % on 200
/// rows.
///
/// References
/// ----------
/// Guo et al. 2017, section 2, eq. 3; Kumar, Liang & Ma 2019, section 4, for `debiased`; Vaicenavicius et al. 2019, section
/// 5, for the null.
///
/// Examples
/// --------
/// Of 100 rows of confidence 0.9, 70 are right.
///
/// >>> import numpy as np
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[np.log(9), 0.0]] * 100, [0] * 70 + [1] * 30)
/// >>> error = metrics.calibration_error(scores)
/// >>> round(error.ece, 12), error.null.p_value < 0.01
/// (0.2, True)
#[pyfunction]
#[pyo3(signature = (scores, bins=15, *, binning=Binned(Kind::EqualWidth), replicates=1000, seed=0))]
#[pyo3(text_signature = "(scores, bins=15, *, binning=\"equal_width\", replicates=1000, seed=0)")]
pub(crate) fn calibration_error(
    py: Python<'_>,
    scores: &Scores,
    bins: usize,
    binning: Binned,
    replicates: u32,
    seed: u64,
) -> PyResult<CalibrationError> {
    if bins == 0 {
        return Err(wrong("0 bins hold no rows: there must be 1 or more"));
    }
    let binning = match binning.0 {
        Kind::EqualWidth => Binning::EqualWidth(bins),
        Kind::EqualMass => Binning::EqualMass(bins),
    };
    let resampling = Resampling { replicates, seed };
    let of = || Ok(softargmax::calibration_error(&scores.0, binning, &resampling));
    Ok(work::run(py, drawn(scores.0.len(), replicates), of)?.into())
}

/// The calibration error of every class's probability.
///
/// Attributes
/// ----------
/// ece : float
///     The mean over the classes.
/// per_class : list of float
///     That of every class.
/// null : Null
///     What `ece` of a perfectly calibrated model would be.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct ClasswiseError {
    ece: f64,
    per_class: Vec<f64>,
    null: Null,
}

shown!(ClasswiseError(ece, null));

/// The classwise calibration error, 1/K Σ_k Σ_b |Σ w (p_k − 1[k = label])| / W, over bins of one width, beside what chance
/// alone would show.
///
/// Parameters
/// ----------
/// logits, labels, temperature, weights, ignored, where
///     As in `scores`.
/// bins : int
///     For each class, from 1 to 4096.
/// replicates, seed
///     As in `calibration_error`; of many rows or classes there are fewer replicates, see ``null.replicates``.
///
/// Returns
/// -------
/// ClasswiseError
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `scores`; for no bins, or more than 4096.
///
/// Notes
/// -----
/// All NaN for no rows.
///
/// References
/// ----------
/// Kull et al. 2019, section 2, eq. 4.
///
/// Examples
/// --------
/// p = (1/2, 1/2) for labels that are always the first.
///
/// >>> from softargmax import metrics
/// >>> metrics.classwise_calibration_error([[0.0, 0.0]] * 30, [0] * 30).per_class
/// [0.5, 0.5]
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
pub(crate) fn classwise_calibration_error(
    logits: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    temperature: Temperatures<'_>,
    weights: Option<&Bound<'_, PyAny>>,
    ignored: Option<i64>,
    r#where: Option<&Bound<'_, PyAny>>,
    bins: usize,
    replicates: u32,
    seed: u64,
) -> PyResult<ClasswiseError> {
    let py = logits.py();
    let labelled = Labelled { labels, weights, ignored, mask: r#where };
    let resampling = Resampling { replicates, seed };
    let error = for_each_type!(&Array::of(logits, "logits")?, x => {
        labelled.with_labels(x, |rows, labels, weights| {
            let (n, classes) = (rows.rows(), rows.classes());
            let taus = temperature.for_rows(&[n, classes], 1)?;
            let of = || {
                let taus = taus.as_library();
                softargmax::classwise_calibration_error(rows, labels, weights, taus, bins, &resampling)
            };
            work::run(py, drawn(n * classes, replicates), of)
        })?
    });
    let softargmax::ClasswiseError { ece, per_class, null, .. } = error;
    Ok(ClasswiseError { ece, per_class, null: null.into() })
}

/// The smooth calibration error (smECE) of the top label: residuals smoothed by a kernel whose width is the error itself.
///
/// Parameters
/// ----------
/// scores : Scores
/// replicates, seed
///     As in `calibration_error`.
///
/// Returns
/// -------
/// BinFree
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// Within 2e-3 of itself where it is above 0.002, within 1/4096 below. 0 where no residual is left. All NaN for no
/// rows, or scores that no row has.
///
/// References
/// ----------
/// Błasiok & Nakkiran 2024, "Smooth ECE", ICLR.
///
/// Examples
/// --------
/// Confidence 3/4 in every row, and right in one of two.
///
/// >>> import numpy as np
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[0.0, np.log(3)]] * 2, [0, 1])
/// >>> round(metrics.smooth_calibration_error(scores).value, 12)
/// 0.25
#[pyfunction]
#[pyo3(signature = (scores, *, replicates=1000, seed=0))]
pub(crate) fn smooth_calibration_error(
    py: Python<'_>,
    scores: &Scores,
    replicates: u32,
    seed: u64,
) -> PyResult<BinFree> {
    let resampling = Resampling { replicates, seed };
    let of = || Ok(softargmax::smooth_calibration_error(&scores.0, &resampling));
    Ok(work::run(py, drawn(scores.0.len(), replicates), of)?.into())
}

/// The Kolmogorov–Smirnov calibration error of the top label,
/// max_c |Σ_{confidence ≤ c} w (correct − confidence)| / Σ w.
///
/// Parameters
/// ----------
/// scores : Scores
/// replicates, seed
///     As in `calibration_error`.
///
/// Returns
/// -------
/// BinFree
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// Rows of one confidence count as one step. All NaN for no rows, or scores that no row has.
///
/// References
/// ----------
/// Gupta et al. 2021, "Calibration of neural networks using splines", ICLR, section 3.1.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[0.0, np.log(3)]] * 2, [0, 1])
/// >>> error = metrics.kolmogorov_smirnov(scores)
/// >>> round(error.value, 12), error.null.p_value > 0.9  # two rows say nothing
/// (0.25, True)
#[pyfunction]
#[pyo3(signature = (scores, *, replicates=1000, seed=0))]
pub(crate) fn kolmogorov_smirnov(
    py: Python<'_>,
    scores: &Scores,
    replicates: u32,
    seed: u64,
) -> PyResult<BinFree> {
    let resampling = Resampling { replicates, seed };
    let of = || Ok(softargmax::kolmogorov_smirnov(&scores.0, &resampling));
    Ok(work::run(py, drawn(scores.0.len(), replicates), of)?.into())
}
