//! The models above one temperature, and the choice between them.

use numpy::npyffi::NPY_ORDER::NPY_CORDER;
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use softargmax::{Calibrator, Error, Model, Outcome, Rows, RowsMut, Temperature};

use crate::arguments::choice;
use crate::array::{Array, Number, for_each_type};
use crate::axis::{Axes, Laned};
use crate::error::wrong;
use crate::labelled::Labelled;
use crate::rows::with_rows;
use crate::temperature::PyTemperature;
use crate::work::{self, PASSES};

/// How a model did on rows that it was not fitted on.
///
/// Attributes
/// ----------
/// model : str
///     Its name.
/// outcome : str
///     ``"converged"``, or how the fit ended on the first fold for which it did not; the figures are then NaN.
/// nll, std_error : float
///     The mean negative log-likelihood, in nats, and its standard error.
/// difference, difference_std_error : float
///     By how much it is above that of the best model, by the rows' differences.
/// accuracy : float
///     The share of rows whose label has the largest probability.
#[pyclass(frozen, get_all, from_py_object, module = "softargmax", name = "Candidate")]
#[derive(Clone, Debug)]
pub(crate) struct PyCandidate {
    model: &'static str,
    outcome: &'static str,
    nll: f64,
    std_error: f64,
    difference: f64,
    difference_std_error: f64,
    accuracy: f64,
}

#[pymethods]
impl PyCandidate {
    fn __repr__(&self) -> String {
        let PyCandidate { model, outcome, nll, std_error, .. } = self;
        format!("Candidate({model}, {outcome}, nll={nll:?}, std_error={std_error:?})")
    }
}

impl From<softargmax::Candidate> for PyCandidate {
    fn from(candidate: softargmax::Candidate) -> Self {
        PyCandidate {
            model: candidate.model.name(),
            outcome: candidate.outcome.name(),
            nll: candidate.nll,
            std_error: candidate.std_error,
            difference: candidate.difference,
            difference_std_error: candidate.difference_std_error,
            accuracy: candidate.accuracy,
        }
    }
}

/// A fitted model from logits to probabilities: what `fit_calibrator` gives.
///
/// Attributes
/// ----------
/// model : str or None
///     ``"identity"``, ``"temperature"``, ``"ets"``, ``"bcts"`` or ``"vector"``; None where none could be fitted.
/// outcome : str
///     ``"converged"``, or why there is none, as `TemperatureFit` has it.
/// temperature : Temperature or None
///     Its one temperature, where it has one.
/// scale, bias : ndarray or None
///     Of "bcts" and "vector": the logits become scale·z + bias.
/// shares : tuple of float or None
///     Of "ets": how much of the temperature, of 1, and of uniform.
/// reason : str or None
///     Of "auto": why this model, in a sentence.
/// candidates : list of Candidate
///     Of "auto": how all of them did on rows they were not fitted on.
#[pyclass(frozen, module = "softargmax", name = "Calibrator")]
pub(crate) struct PyCalibrator {
    model: Option<Model>,
    outcome: Outcome,
    calibrator: Option<Calibrator>,
    reason: Option<String>,
    candidates: Vec<PyCandidate>,
}

impl PyCalibrator {
    fn apply<'py>(
        &self,
        logits: &Bound<'py, PyAny>,
        finish: fn(RowsMut<'_, f64>) -> Result<(), Error>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = logits.py();
        let Some(calibrator) = &self.calibrator else {
            let outcome = self.outcome.name();
            return Err(wrong(format!("no model was fitted ({outcome}): there is none to apply")));
        };
        for_each_type!(&Array::of(logits, "logits")?, x => {
            let shape = x.shape().to_vec();
            let laned = Laned::of(two_axes(x)?, &Axes::One(-1))?;
            let p = with_rows(&laned, None, |rows, classes| {
                work::run(py, rows.len(), || {
                    let mut p = calibrator.log_probabilities(Rows::new(rows, classes)?)?;
                    finish(RowsMut::new(&mut p, classes)?)?;
                    Ok(p)
                })
            })?;
            let p = PyArray1::from_vec(py, p).reshape_with_order(shape, NPY_CORDER)?;
            Ok(p.into_any())
        })
    }

    fn of_affine<'py>(
        &self,
        py: Python<'py>,
        of: fn(&softargmax::Affine) -> &[f64],
    ) -> Option<Bound<'py, PyArray1<f64>>> {
        match &self.calibrator {
            Some(Calibrator::Affine(affine)) => Some(PyArray1::from_slice(py, of(affine))),
            _ => None,
        }
    }
}

fn two_axes<'a, 'py, T: Number>(
    logits: &'a Bound<'py, PyArrayDyn<T>>,
) -> PyResult<&'a Bound<'py, PyArrayDyn<T>>> {
    match logits.ndim() {
        2 => Ok(logits),
        _ => Err(wrong(format!("logits has shape {:?}: it must have two axes", logits.shape()))),
    }
}

#[pymethods]
impl PyCalibrator {
    #[getter]
    fn model(&self) -> Option<&'static str> {
        self.model.filter(|_| self.calibrator.is_some()).map(Model::name)
    }

    #[getter]
    fn outcome(&self) -> &'static str {
        self.outcome.name()
    }

    #[getter]
    fn temperature(&self) -> Option<PyTemperature> {
        let temperature = match self.calibrator.as_ref()? {
            Calibrator::Identity => Some(Temperature::ONE),
            Calibrator::Temperature(tau) => Some(*tau),
            Calibrator::Ensemble(ensemble) => Some(ensemble.temperature()),
            Calibrator::Affine(affine) => affine.temperature(),
            _ => None,
        };
        temperature.map(PyTemperature)
    }

    #[getter]
    fn scale<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f64>>> {
        self.of_affine(py, softargmax::Affine::scale)
    }

    #[getter]
    fn bias<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f64>>> {
        self.of_affine(py, softargmax::Affine::bias)
    }

    #[getter]
    fn shares(&self) -> Option<(f64, f64, f64)> {
        match &self.calibrator {
            Some(Calibrator::Ensemble(ensemble)) => Some(ensemble.shares().into()),
            _ => None,
        }
    }

    #[getter]
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    #[getter]
    fn candidates(&self) -> Vec<PyCandidate> {
        self.candidates.clone()
    }

    /// ln p of every row, ``[rows, classes]`` in float64.
    fn log_probabilities<'py>(&self, logits: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.apply(logits, |_| Ok(()))
    }

    /// p of every row, ``[rows, classes]`` in float64.
    fn probabilities<'py>(&self, logits: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.apply(logits, |log_p| softargmax::softmax_in_place(log_p, Temperature::ONE))
    }

    fn __repr__(&self) -> String {
        match (self.model(), self.temperature()) {
            (None, _) => format!("Calibrator(none, {})", self.outcome.name()),
            (Some(model), None) => format!("Calibrator({model})"),
            (Some(model), Some(tau)) => format!("Calibrator({model}, temperature={})", tau.0),
        }
    }
}

choice!(Wanted(Option<Model>) "model":
    "auto" => None,
    "identity" => Some(Model::Identity),
    "temperature" => Some(Model::Temperature),
    "ets" => Some(Model::Ets),
    "bcts" => Some(Model::Bcts),
    "vector" => Some(Model::Vector)
);

/// A model from logits to probabilities, fitted to labels: z/τ, a mixture of temperatures, z·s + b, or what is best of these
/// on rows it has not seen.
///
/// Parameters
/// ----------
/// logits : array_like
///     ``[rows, classes]``. Of probabilities, their logarithms are logits.
/// labels : array_like of int
///     One for each row.
/// model : {"auto", "identity", "temperature", "ets", "bcts", "vector"}
///     Nothing; one temperature; a mixture of it with τ = 1 and uniform; one scale and a bias for each class; a scale and a bias
///     for each class. "auto" takes the simplest whose held-out NLL is within one standard error of the best.
/// weights : array_like, optional
///     ``[rows]``: how much each row counts, from 0 up.
/// ignored : int, optional
///     The label of rows that are left out (-100 in PyTorch).
/// where : array_like of bool, optional
///     Entries that take part, broadcast to the logits; the others are masked.
/// folds : int
///     Of "auto", from 2 up.
/// seed : int
///     Of "auto": how rows are dealt to folds.
///
/// Returns
/// -------
/// Calibrator
///     Where the model has no best parameters its ``outcome`` says why.
///
/// Raises
/// ------
/// SoftargmaxError
///     As `fit_temperature`.
///
/// Notes
/// -----
/// Of "temperature", `fit_temperature` tells more. Ctrl-C stops a fit.
///
/// References
/// ----------
/// Alexandari, Kundaje & Shrikumar 2020 for bcts; Guo et al. 2017, section 4.2, for vector scaling; Zhang, Kailkhura & Han
/// 2020 for ets; Breiman, Friedman, Olshen & Stone 1984, section 3.4.3, for the rule of one standard error.
///
/// Examples
/// --------
/// The first class leads by 3 or more, but is right only where it leads by 4.
///
/// >>> import softargmax
/// >>> logits = [[3.0 if i % 2 == 0 else 5.0, 0.0] for i in range(200)]
/// >>> labels = [int((i % 2 == 0) != (i % 14 < 2)) for i in range(200)]
/// >>> chosen = softargmax.fit_calibrator(logits, labels)
/// >>> print(chosen.model, "because", chosen.reason)
/// bcts because a bias per class lowers the held-out nll by ...
/// >>> chosen.probabilities([[3.0, 0.0], [5.0, 0.0]]).round(2)
/// array([[0.16, 0.84],
///        [0.84, 0.16]])
#[pyfunction]
#[pyo3(signature = (logits, labels, model=Wanted(None), *, weights=None, ignored=None, r#where=None, folds=5, seed=0))]
#[pyo3(
    text_signature = "(logits, labels, model=\"auto\", *, weights=None, ignored=None, where=None, folds=5, seed=0)"
)]
#[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
pub(crate) fn fit_calibrator(
    logits: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    model: Wanted,
    weights: Option<&Bound<'_, PyAny>>,
    ignored: Option<i64>,
    r#where: Option<&Bound<'_, PyAny>>,
    folds: usize,
    seed: u64,
) -> PyResult<PyCalibrator> {
    let py = logits.py();
    let labelled = Labelled { labels, weights, ignored, mask: r#where };
    for_each_type!(&Array::of(logits, "logits")?, x => {
        labelled.with_labels(x, |rows, labels, weights| {
            let numbers = rows.as_slice().len().saturating_mul(PASSES);
            if let Some(model) = model.0 {
                let fit = || model.fit(rows, labels, weights);
                let (outcome, calibrator) = work::run(py, numbers, fit)?;
                let (reason, candidates) = (None, Vec::new());
                return Ok(PyCalibrator { model: Some(model), outcome, calibrator, reason, candidates });
            }
            let select = || softargmax::select(rows, labels, weights, &Model::ALL, folds, seed);
            let chosen = work::run(py, numbers.saturating_mul(folds), select)?;
            let failed = chosen.candidates.first().map_or(Outcome::NoRows, |first| first.outcome);
            Ok(PyCalibrator {
                model: chosen.model,
                outcome: if chosen.calibrator.is_some() { Outcome::Converged } else { failed },
                calibrator: chosen.calibrator,
                reason: Some(chosen.reason),
                candidates: chosen.candidates.into_iter().map(PyCandidate::from).collect(),
            })
        })
    })
}
