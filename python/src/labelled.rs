//! Logits with a label for each row: what fits and measures take.
//!
//! ```text
//! logits [rows, classes], labels [rows] or distributions [rows, classes], weights [rows], a mask → views
//! ```

use numpy::{PyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use softargmax::{Labels, Rows, Truth};

use crate::arguments::{Classes, Matrix, Numbers};
use crate::array::Number;
use crate::axis::{Axes, Laned};
use crate::error::{refused, wrong};
use crate::rows::{mask_of, with_rows};

/// What is said of the rows, as Python has it.
#[derive(Clone, Copy)]
pub(crate) struct Labelled<'a, 'py> {
    pub(crate) labels: &'a Bound<'py, PyAny>,
    pub(crate) weights: Option<&'a Bound<'py, PyAny>>,
    pub(crate) ignored: Option<i64>,
    pub(crate) mask: Option<&'a Bound<'py, PyAny>>,
}

impl<'py> Labelled<'_, 'py> {
    /// Calls `job(rows, truth, weights)`.
    pub(crate) fn with_truth<T: Number, R>(
        &self,
        logits: &Bound<'py, PyArrayDyn<T>>,
        job: impl FnOnce(Rows<'_, T>, Truth<'_, T>, Option<&[f64]>) -> PyResult<R>,
    ) -> PyResult<R> {
        let labels = numpy_array(self.labels)?;
        if labels.ndim() < 2 {
            return self
                .with_labels(logits, |rows, labels, weights| job(rows, labels.into(), weights));
        }
        if self.ignored.is_some() {
            return Err(wrong("ignored is a label, and labels are distributions: leave it out"));
        }
        let shares = Matrix::from(&labels, "labels")?;
        let shape = [shares.rows, shares.columns];
        if shape != logits.shape() {
            let expected = logits.shape();
            return Err(wrong(format!(
                "labels has shape {shape:?}, expected {expected:?} or a row's label for each"
            )));
        }
        self.with_rows(logits, |rows, weights| job(rows, shares.rows()?.into(), weights))
    }

    /// Calls `job(rows, labels, weights)`; distributions are refused.
    pub(crate) fn with_labels<T: Number, R>(
        &self,
        logits: &Bound<'py, PyArrayDyn<T>>,
        job: impl FnOnce(Rows<'_, T>, Labels<'_>, Option<&[f64]>) -> PyResult<R>,
    ) -> PyResult<R> {
        let n = logits.shape().first().copied().unwrap_or(0);
        self.with_rows(logits, |rows, weights| {
            let labels = Classes::of(self.labels, "labels", n, self.ignored)?;
            job(rows, labels.labels(rows.classes())?, weights)
        })
    }

    fn with_rows<T: Number, R>(
        &self,
        logits: &Bound<'py, PyArrayDyn<T>>,
        job: impl FnOnce(Rows<'_, T>, Option<&[f64]>) -> PyResult<R>,
    ) -> PyResult<R> {
        if logits.ndim() != 2 {
            let shape = logits.shape();
            return Err(wrong(format!("logits has shape {shape:?}: it must have two axes")));
        }
        let axes = Axes::One(-1);
        let mask = self.mask.map(|mask| mask_of(mask, logits, &axes)).transpose()?;
        let weights = Numbers::of(self.weights, "weights")?;
        let (rows, given) = (logits.shape()[0], weights.slice()?.map(<[f64]>::len));
        if given.is_some_and(|given| given != rows) {
            return Err(wrong(format!(
                "weights has shape {:?}, expected [{rows}]",
                given.as_slice()
            )));
        }
        with_rows(&Laned::of(logits, &axes)?, mask.as_ref(), |rows, classes| {
            job(Rows::new(rows, classes).map_err(refused)?, weights.slice()?)
        })
    }
}

fn numpy_array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = object.py();
    let array = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (object,))?;
    Ok(array.cast_into()?)
}
