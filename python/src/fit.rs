//! The temperature under which labels are most likely.

use pyo3::prelude::*;
use softargmax::{Estimate, FitOptions, Prior, Temperature};

use crate::array::{Array, for_each_type};
use crate::error::refused;
use crate::labelled::Labelled;
use crate::temperature::{PyTemperature, Tau};
use crate::work::{self, PASSES};

/// A fitted temperature, how sure it is, and how the fit ended. What is not known is NaN.
///
/// Attributes
/// ----------
/// outcome : str
///     ``"converged"``, or why there is no best temperature: ``"separable"`` (every label has the largest logit of its row),
///     ``"no_signal"`` (the logits of the labels are not above the mean of their rows), ``"constant_logits"``,
///     ``"infinite_nll"`` (some label has a logit of −∞), ``"no_rows"``, ``"out_of_range"``.
/// temperature : Temperature or None
///     τ*, if the fit converged: exact, and what ``temperature=`` takes.
/// tau : float
///     The double nearest to it.
/// std_error : float
///     The standard error of τ*, from the curvature of the likelihood.
/// robust_std_error : float
///     That which also holds where no temperature makes the model right (the sandwich).
/// interval : tuple of float
///     95 %: τ*·exp(±1.96·SE/τ*); by `robust_std_error` where there are weights.
/// p_value_tau_is_one : float
///     How likely rows that need no temperature are to look as much as if they did.
/// nll_before, nll_after : float
///     The mean negative log-likelihood at τ = 1 and at τ*, in nats, on the rows fitted on.
/// accuracy : float
///     The share of rows whose label has the largest logit (ties counted as won), by weight.
/// rows, ignored : int
///     How many rows counted, and how many did not.
/// classes : int
///     Classes of a row.
/// passes : int
///     How often all rows were gone through.
/// tolerance : float
///     About how far τ* may be from the true minimum, relatively.
/// infinite : int
///     How many rows have an infinite loss.
/// infinite_rows : list of int
///     The first of them.
#[pyclass(frozen, get_all, module = "softargmax", name = "TemperatureFit")]
pub(crate) struct PyTemperatureFit {
    pub(crate) outcome: &'static str,
    pub(crate) temperature: Option<PyTemperature>,
    std_error: f64,
    robust_std_error: f64,
    interval: (f64, f64),
    p_value_tau_is_one: f64,
    nll_before: f64,
    nll_after: f64,
    accuracy: f64,
    rows: u64,
    ignored: u64,
    classes: usize,
    passes: u32,
    tolerance: f64,
    infinite: u64,
    infinite_rows: Vec<u64>,
}

impl PyTemperatureFit {
    /// `rows`: how many there were, also those that do not count.
    pub(crate) fn new(fit: softargmax::TemperatureFit, rows: usize) -> Self {
        let found = |of: fn(&Estimate) -> f64| fit.estimate.as_ref().map_or(f64::NAN, of);
        PyTemperatureFit {
            outcome: fit.outcome.name(),
            temperature: fit.estimate.map(|estimate| PyTemperature(estimate.temperature)),
            std_error: found(|estimate| estimate.std_error),
            robust_std_error: found(|estimate| estimate.robust_std_error),
            interval: (
                found(|estimate| estimate.interval[0]),
                found(|estimate| estimate.interval[1]),
            ),
            p_value_tau_is_one: found(|estimate| estimate.p_value),
            nll_before: fit.nll_before,
            nll_after: found(|estimate| estimate.nll),
            accuracy: fit.accuracy,
            rows: fit.rows,
            ignored: rows as u64 - fit.rows,
            classes: fit.classes,
            passes: fit.passes,
            tolerance: found(|estimate| estimate.tolerance),
            infinite: fit.infinite,
            infinite_rows: fit.infinite_rows,
        }
    }
}

#[pymethods]
impl PyTemperatureFit {
    #[getter]
    fn tau(&self) -> f64 {
        self.temperature.map_or(f64::NAN, |temperature| temperature.0.tau())
    }

    fn __repr__(&self) -> String {
        let PyTemperatureFit { outcome, std_error, interval: (low, high), rows, .. } = self;
        match self.temperature {
            Some(PyTemperature(tau)) => format!(
                "TemperatureFit({outcome}, temperature={tau}, std_error={std_error:?}, \
                 interval=({low:?}, {high:?}), rows={rows})"
            ),
            None => format!("TemperatureFit({outcome}, rows={rows})"),
        }
    }
}

/// What is thought of τ before: a width, around 1 or around a temperature.
#[derive(FromPyObject)]
pub(crate) enum PriorArgument {
    Around(f64, Tau),
    AroundOne(f64),
}

impl PriorArgument {
    fn prior(self) -> PyResult<Prior> {
        let (sigma, tau) = match self {
            PriorArgument::AroundOne(sigma) => (sigma, Temperature::ONE),
            PriorArgument::Around(sigma, tau) => (sigma, tau.0),
        };
        Prior::new(tau, sigma).map_err(refused)
    }
}

/// The temperature under which the labels are most likely, with its uncertainty: τ* minimises
/// Σ_i w_i (ln Σ_j exp(x_ij/τ) − x_iy/τ).
///
/// Dividing a classifier's logits by τ* changes no decision, and makes its probabilities honest in the mean. Fit it on rows
/// that the classifier was not trained on.
///
/// Parameters
/// ----------
/// logits : array_like
///     ``[rows, classes]``; −∞ is a mask. Of probabilities, their logarithms are logits.
/// labels : array_like
///     Integers, one for each row; or distributions ``[rows, classes]``, each of sum 1.
/// weights : array_like, optional
///     ``[rows]``: how much each row counts, from 0 up.
/// prior : float or tuple, optional
///     For few rows: a normal prior on ln τ around 1, of this width (0.5 is a good one); or ``(width, tau)``, around another
///     temperature.
/// ignored : int, optional
///     The label of rows that are left out (-100 in PyTorch).
/// where : array_like of bool, optional
///     Entries that take part, broadcast to the logits; the others are masked.
///
/// Returns
/// -------
/// TemperatureFit
///     Where no temperature is best, or all are, its ``outcome`` says why and its ``temperature`` is None: nothing is clamped.
///
/// Raises
/// ------
/// SoftargmaxError
///     For a row with a NaN, +∞ or nothing but −∞, a label that is no class, a weight that is negative or not finite, and
///     shapes that do not belong together.
///
/// Notes
/// -----
/// τ* is right to 1e-12 of itself, with the same bits for any number of threads. Two to five passes are made; Ctrl-C stops
/// them.
///
/// References
/// ----------
/// Guo, Pleiss, Sun & Weinberger, ICML 2017, section 4.2. The robust standard error: White, Econometrica 50(1), 1982.
///
/// Examples
/// --------
/// Right three times of four, but as sure as 4 each time: exp(4/τ) must be 3 : 1.
///
/// >>> import softargmax
/// >>> fit = softargmax.fit_temperature([[4.0, 0.0]] * 4, [0, 0, 1, 0])
/// >>> fit.outcome, fit.tau
/// ('converged', 3.640956...)
/// >>> softargmax.softmax([4.0, 0.0], temperature=fit.temperature).round(4)
/// array([0.75, 0.25])
/// >>> softargmax.fit_temperature([[4.0, 0.0]] * 4, [0, 0, 0, 0])
/// TemperatureFit(separable, rows=4)
#[pyfunction]
#[pyo3(signature = (logits, labels, *, weights=None, prior=None, ignored=None, r#where=None))]
#[pyo3(text_signature = "(logits, labels, *, weights=None, prior=None, ignored=None, where=None)")]
pub(crate) fn fit_temperature(
    logits: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    weights: Option<&Bound<'_, PyAny>>,
    prior: Option<PriorArgument>,
    ignored: Option<i64>,
    r#where: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyTemperatureFit> {
    let py = logits.py();
    let prior = prior.map(PriorArgument::prior).transpose()?;
    let labelled = Labelled { labels, weights, ignored, mask: r#where };
    for_each_type!(&Array::of(logits, "logits")?, x => {
        labelled.with_truth(x, |rows, truth, weights| {
            let options = FitOptions { weights, prior };
            let fit = || softargmax::fit_temperature(rows, truth, &options);
            let found = work::run(py, rows.as_slice().len().saturating_mul(PASSES), fit)?;
            Ok(PyTemperatureFit::new(found, rows.rows()))
        })
    })
}
