//! What losses give back.

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;

use crate::array::Number;

pub(super) fn matrix<T: Number>(
    py: Python<'_>,
    numbers: Vec<T>,
    rows: usize,
    columns: usize,
) -> PyResult<Py<PyAny>> {
    Ok(PyArray1::from_vec(py, numbers).reshape([rows, columns])?.into_any().unbind())
}

fn list(py: Python<'_>, numbers: Vec<f64>) -> Py<PyArray1<f64>> {
    PyArray1::from_vec(py, numbers).unbind()
}

/// A loss of logits or cosines, and its gradients.
///
/// Attributes
/// ----------
/// value : float
///     The loss as one number, in nats; with ``reduction="per_row"`` the sum.
/// values : ndarray
///     ``[1]``; with ``reduction="per_row"`` ``[rows]``, 0 where a row does not count.
/// logits : ndarray
///     ``[rows, classes]``, in the type of the logits: the gradient in them; 0 in a row that does not count.
/// tau : ndarray
///     ``[rows]``: the gradient in the temperature of each row.
/// tau_sum : float
///     The gradient in one temperature of all rows: the sum of `tau`, rounded once.
#[pyclass(frozen, get_all, module = "softargmax", name = "Loss")]
pub(crate) struct PyLoss {
    value: f64,
    values: Py<PyArray1<f64>>,
    logits: Py<PyAny>,
    tau: Py<PyArray1<f64>>,
    tau_sum: f64,
}

impl PyLoss {
    pub(super) fn new<T: Number>(
        py: Python<'_>,
        loss: softargmax::Loss<T>,
        rows: usize,
        columns: usize,
    ) -> PyResult<Self> {
        Ok(PyLoss {
            value: loss.value(),
            tau_sum: loss.tau_sum(),
            values: list(py, loss.values),
            logits: matrix(py, loss.logits, rows, columns)?,
            tau: list(py, loss.tau),
        })
    }
}

#[pymethods]
impl PyLoss {
    fn __repr__(&self) -> String {
        format!("Loss(value={:?}, tau_sum={:?})", self.value, self.tau_sum)
    }
}

/// A decoupled distillation loss, and its two parts.
///
/// Attributes
/// ----------
/// loss : Loss
///     The loss and its gradients.
/// target, rest : ndarray
///     ``[rows]``: T²·TCKD and T²·NCKD of each row, without weights; 0 where it does not count.
#[pyclass(frozen, get_all, module = "softargmax", name = "DecoupledLoss")]
pub(crate) struct PyDecoupledLoss {
    loss: Py<PyLoss>,
    target: Py<PyArray1<f64>>,
    rest: Py<PyArray1<f64>>,
}

impl PyDecoupledLoss {
    pub(super) fn new<T: Number>(
        py: Python<'_>,
        all: softargmax::DecoupledLoss<T>,
        rows: usize,
        columns: usize,
    ) -> PyResult<Self> {
        Ok(PyDecoupledLoss {
            loss: Py::new(py, PyLoss::new(py, all.loss, rows, columns)?)?,
            target: list(py, all.target),
            rest: list(py, all.rest),
        })
    }
}

#[pymethods]
impl PyDecoupledLoss {
    fn __repr__(&self) -> String {
        format!("DecoupledLoss(loss={})", self.loss.get().__repr__())
    }
}

/// A contrastive loss of queries and keys, and its gradients.
///
/// Attributes
/// ----------
/// value : float
///     The loss as one number, in nats; with ``reduction="per_row"`` the sum.
/// values : ndarray
///     ``[1]``; with ``reduction="per_row"`` one for each query.
/// tau : ndarray
///     What each row gives to the gradient in τ.
/// tau_sum : float
///     The gradient in τ: their sum, rounded once.
/// queries, keys : ndarray
///     ``[rows, width]``: the gradients in the queries and in the keys, each the positive of a query.
/// negatives : ndarray or None
///     ``[negatives, width]``: the gradient in negatives that are no keys; None where they get none.
#[pyclass(frozen, get_all, module = "softargmax", name = "ContrastiveLoss")]
pub(crate) struct PyContrastiveLoss {
    value: f64,
    values: Py<PyArray1<f64>>,
    tau: Py<PyArray1<f64>>,
    tau_sum: f64,
    queries: Py<PyAny>,
    keys: Py<PyAny>,
    negatives: Option<Py<PyAny>>,
}

impl PyContrastiveLoss {
    /// `negatives` are how many get a gradient.
    pub(super) fn new<T: Number>(
        py: Python<'_>,
        loss: softargmax::ContrastiveLoss<T>,
        (rows, width): (usize, usize),
        negatives: Option<usize>,
    ) -> PyResult<Self> {
        Ok(PyContrastiveLoss {
            value: loss.value(),
            tau_sum: loss.tau_sum(),
            values: list(py, loss.values),
            tau: list(py, loss.tau),
            queries: matrix(py, loss.queries, rows, width)?,
            keys: matrix(py, loss.keys, rows, width)?,
            negatives: negatives.map(|n| matrix(py, loss.negatives, n, width)).transpose()?,
        })
    }
}

#[pymethods]
impl PyContrastiveLoss {
    fn __repr__(&self) -> String {
        format!("ContrastiveLoss(value={:?}, tau_sum={:?})", self.value, self.tau_sum)
    }
}

/// A loss of vectors among themselves, and its gradients.
///
/// Attributes
/// ----------
/// value : float
///     The loss as one number, in nats; with ``reduction="per_row"`` the sum.
/// values : ndarray
///     ``[1]``; with ``reduction="per_row"`` one for each vector, 0 where it does not count.
/// tau : ndarray
///     What each row gives to the gradient in τ.
/// tau_sum : float
///     The gradient in τ: their sum, rounded once.
/// vectors : ndarray
///     ``[rows, width]``: the gradient in the vectors.
/// anchors : int
///     How many vectors count: those with a positive.
#[pyclass(frozen, get_all, module = "softargmax", name = "VectorsLoss")]
pub(crate) struct PyVectorsLoss {
    value: f64,
    values: Py<PyArray1<f64>>,
    tau: Py<PyArray1<f64>>,
    tau_sum: f64,
    vectors: Py<PyAny>,
    anchors: usize,
}

impl PyVectorsLoss {
    pub(super) fn new<T: Number>(
        py: Python<'_>,
        loss: softargmax::VectorsLoss<T>,
        rows: usize,
        width: usize,
    ) -> PyResult<Self> {
        Ok(PyVectorsLoss {
            value: loss.value(),
            tau_sum: loss.tau_sum(),
            values: list(py, loss.values),
            tau: list(py, loss.tau),
            vectors: matrix(py, loss.vectors, rows, width)?,
            anchors: loss.anchors,
        })
    }
}

#[pymethods]
impl PyVectorsLoss {
    fn __repr__(&self) -> String {
        format!("VectorsLoss(value={:?}, tau_sum={:?})", self.value, self.tau_sum)
    }
}

/// SigLIP's loss, and its gradients.
///
/// Attributes
/// ----------
/// value : float
///     The loss as one number, in nats; with ``reduction="per_row"`` the sum.
/// values : ndarray
///     ``[1]``; with ``reduction="per_row"`` one for each query: the sum over its pairs.
/// tau, bias : ndarray
///     ``[rows]``: what each query gives to the gradients in τ and in the bias.
/// tau_sum, bias_sum : float
///     The gradients in τ and in the bias: their sums, rounded once.
/// queries, keys : ndarray
///     ``[rows, width]``: the gradients in the queries and in the keys.
#[pyclass(frozen, get_all, module = "softargmax", name = "SigLipLoss")]
pub(crate) struct PySigLipLoss {
    value: f64,
    values: Py<PyArray1<f64>>,
    tau: Py<PyArray1<f64>>,
    tau_sum: f64,
    bias: Py<PyArray1<f64>>,
    bias_sum: f64,
    queries: Py<PyAny>,
    keys: Py<PyAny>,
}

impl PySigLipLoss {
    pub(super) fn new<T: Number>(
        py: Python<'_>,
        loss: softargmax::SigLipLoss<T>,
        rows: usize,
        width: usize,
    ) -> PyResult<Self> {
        Ok(PySigLipLoss {
            value: loss.value(),
            tau_sum: loss.tau_sum(),
            bias_sum: loss.bias_sum(),
            values: list(py, loss.values),
            tau: list(py, loss.tau),
            bias: list(py, loss.bias),
            queries: matrix(py, loss.queries, rows, width)?,
            keys: matrix(py, loss.keys, rows, width)?,
        })
    }
}

#[pymethods]
impl PySigLipLoss {
    fn __repr__(&self) -> String {
        format!(
            "SigLipLoss(value={:?}, tau_sum={:?}, bias_sum={:?})",
            self.value, self.tau_sum, self.bias_sum
        )
    }
}
