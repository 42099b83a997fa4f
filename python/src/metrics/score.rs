//! Rows against their labels, and the means of that.

use numpy::PyArray1;
use pyo3::prelude::*;
use softargmax::{Rows, Score};

use super::shown;
use crate::array::{Array, Number, for_each_type};
use crate::labelled::Labelled;
use crate::temperature::{Taus, Temperatures};
use crate::work;

/// What `scores` tells of every row that counts, in arrays of one length.
///
/// Attributes
/// ----------
/// nll
///     −ln p of the label, in nats.
/// brier
///     Σ_k (p_k − 1[k = label])², from 0 to 2; not divided by the number of classes.
/// confidence
///     max p.
/// doubt
///     1 − max p, with digits of its own: 4e-10 where the confidence is 0.9999999996.
/// correct
///     Whether the label is the first of the largest logits; bool.
/// weight
///     How much the row counts.
#[pyclass(frozen, module = "softargmax.metrics")]
pub(crate) struct Scores(pub(crate) Vec<Score>);

impl Scores {
    fn array(&self, py: Python<'_>, of: fn(&Score) -> f64) -> Py<PyArray1<f64>> {
        PyArray1::from_vec(py, self.0.iter().map(of).collect()).unbind()
    }
}

#[pymethods]
impl Scores {
    #[getter]
    fn nll(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.array(py, |score| score.nll)
    }

    #[getter]
    fn brier(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.array(py, |score| score.brier)
    }

    #[getter]
    fn confidence(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.array(py, |score| score.confidence)
    }

    #[getter]
    fn doubt(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.array(py, |score| score.doubt)
    }

    #[getter]
    fn correct(&self, py: Python<'_>) -> Py<PyArray1<bool>> {
        PyArray1::from_vec(py, self.0.iter().map(|score| score.correct).collect()).unbind()
    }

    #[getter]
    fn weight(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.array(py, |score| score.weight)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("Scores(rows={})", self.0.len())
    }
}

/// The scores of rows whose labels and weights are known.
pub(crate) fn of_rows<T: Number>(
    py: Python<'_>,
    logits: Rows<'_, T>,
    labels: softargmax::Labels<'_>,
    weights: Option<&[f64]>,
    taus: &Taus,
) -> PyResult<Vec<Score>> {
    let of = || softargmax::scores(logits, labels, weights, taus.as_library());
    work::run(py, logits.as_slice().len(), of)
}

/// Every row under p_i = exp(x_i/τ) / Σ_j exp(x_j/τ), against its label: −ln p, Brier score, confidence, and whether the
/// label is the arg max.
///
/// Parameters
/// ----------
/// logits : array_like
///     ``[rows, classes]``. Of probabilities, their logarithms are logits.
/// labels : array_like of int
///     One for each row.
/// temperature : float, str, Fraction, Decimal, Temperature or array_like of them
///     τ, one number or one for each row.
/// weights : array_like, optional
///     ``[rows]``: how much each row counts, from 0 up.
/// ignored : int, optional
///     The label of rows that are left out (-100 in PyTorch).
/// where : array_like of bool, optional
///     Entries that take part, broadcast to the logits; the others are masked.
///
/// Returns
/// -------
/// Scores
///     Of the rows that count: rows with the ignored label, or of weight 0, are left out.
///
/// Raises
/// ------
/// SoftargmaxError
///     For a row with a NaN, or of nothing but −∞, a weight that is negative or not finite, a label that is no class, and
///     shapes that do not belong together.
///
/// Notes
/// -----
/// Computed in float64 to 4 units in the last place, also where a row is confident. A label at −∞ has an nll of ∞.
///
/// References
/// ----------
/// Good 1952 for the logarithmic score; Brier 1950, p. 1, for the other.
///
/// Examples
/// --------
/// >>> from softargmax import metrics
/// >>> scores = metrics.scores([[2.0, 0.0], [0.0, 22.0]], [1, 1])
/// >>> scores.correct
/// array([False,  True])
/// >>> float(scores.nll[1])  # not 0
/// 2.789468092479868e-10
#[pyfunction]
#[pyo3(signature = (logits, labels, *, temperature=Temperatures::default(), weights=None, ignored=None, r#where=None))]
#[pyo3(
    text_signature = "(logits, labels, *, temperature=1.0, weights=None, ignored=None, where=None)"
)]
pub(crate) fn scores(
    logits: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    temperature: Temperatures<'_>,
    weights: Option<&Bound<'_, PyAny>>,
    ignored: Option<i64>,
    r#where: Option<&Bound<'_, PyAny>>,
) -> PyResult<Scores> {
    let py = logits.py();
    let labelled = Labelled { labels, weights, ignored, mask: r#where };
    for_each_type!(&Array::of(logits, "logits")?, x => {
        labelled.with_labels(x, |rows, labels, weights| {
            let taus = temperature.for_rows(&[rows.rows(), rows.classes()], 1)?;
            of_rows(py, rows, labels, weights, &taus).map(Scores)
        })
    })
}

/// A mean over rows, and how sure it is.
///
/// Attributes
/// ----------
/// value : float
///     The mean; NaN of no rows.
/// std_error : float
///     Its standard error; NaN of fewer than two rows.
#[pyclass(frozen, get_all, from_py_object, module = "softargmax.metrics")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    value: f64,
    std_error: f64,
}

shown!(Mean(value, std_error));

impl From<softargmax::Mean> for Mean {
    fn from(softargmax::Mean { value, std_error, .. }: softargmax::Mean) -> Self {
        Mean { value, std_error }
    }
}

/// Means over rows, each a `Mean`.
///
/// Attributes
/// ----------
/// rows : int
///     How many rows there are.
/// weight : float
///     The sum of their weights.
/// nll
///     The negative log-likelihood, in nats.
/// brier
///     The Brier score.
/// accuracy
///     The share of rows whose label is the arg max.
/// confidence
///     The largest probability.
/// overconfidence
///     Confidence less accuracy.
#[pyclass(frozen, get_all, module = "softargmax.metrics")]
pub(crate) struct Summary {
    rows: u64,
    weight: f64,
    nll: Mean,
    brier: Mean,
    accuracy: Mean,
    confidence: Mean,
    overconfidence: Mean,
}

impl From<softargmax::Summary> for Summary {
    fn from(all: softargmax::Summary) -> Self {
        Summary {
            rows: all.rows,
            weight: all.weight,
            nll: all.nll.into(),
            brier: all.brier.into(),
            accuracy: all.accuracy.into(),
            confidence: all.confidence.into(),
            overconfidence: all.overconfidence.into(),
        }
    }
}

#[pymethods]
impl Summary {
    fn __repr__(&self) -> String {
        let Summary { rows, nll, brier, accuracy, .. } = self;
        format!(
            "Summary(rows={rows}, nll={:?}, brier={:?}, accuracy={:?}, ...)",
            nll.value, brier.value, accuracy.value
        )
    }
}

/// Means of scores with their standard errors: x̄ = Σ w x / Σ w.
///
/// Parameters
/// ----------
/// scores : Scores
///
/// Returns
/// -------
/// Summary
///
/// Raises
/// ------
/// TypeError
///     For anything but `Scores`.
///
/// Notes
/// -----
/// Every mean of no scores is NaN, and so is the standard error of one. A label without probability makes the mean NLL
/// ∞.
///
/// Examples
/// --------
/// >>> from softargmax import metrics
/// >>> summary = metrics.summarise(metrics.scores([[0.0, 3.0], [0.0, 3.0]], [1, 0]))
/// >>> summary.accuracy
/// Mean(value=0.5, std_error=0.5)
#[pyfunction]
pub(crate) fn summarise(py: Python<'_>, scores: &Scores) -> PyResult<Summary> {
    Ok(work::run(py, scores.0.len(), || Ok(softargmax::summarise(&scores.0)))?.into())
}
