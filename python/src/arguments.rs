//! What functions of rows take beside the numbers: labels, weights, options.
//!
//! Options that are an enum in Rust are a text here, and a text that is none of them is refused with those that are.

use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use softargmax::{Labels, Rows};

use crate::array::{Number, in_c_order, labels, of_type, read};
use crate::error::{refused, wrong};

/// An argument that is one of several texts, each of which stands for a value.
macro_rules! choice {
    ($name:ident($value:ty) $argument:literal: $($text:literal => $of:expr),+) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) $value);

        impl pyo3::FromPyObject<'_, '_> for $name {
            type Error = pyo3::PyErr;

            fn extract(value: pyo3::Borrowed<'_, '_, pyo3::PyAny>) -> pyo3::PyResult<Self> {
                let text: pyo3::pybacked::PyBackedStr = pyo3::types::PyAnyMethods::extract(&*value)?;
                match &*text {
                    $($text => Ok($name($of)),)+
                    other => {
                        let known = [$($text),+].map(|text| format!("{text:?}")).join(", ");
                        Err($crate::error::wrong(format!(concat!($argument, " is {:?}: it must be one of {}"), other, known)))
                    }
                }
            }
        }
    };
}
pub(crate) use choice;

/// An array `[rows, columns]`, in C order.
pub(crate) struct Matrix<'py, T: Number> {
    array: PyReadonlyArrayDyn<'py, T>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<'py, T: Number> Matrix<'py, T> {
    pub(crate) fn of(array: &Bound<'py, PyArrayDyn<T>>, name: &str) -> PyResult<Self> {
        let &[rows, columns] = array.shape() else {
            let shape = array.shape();
            return Err(wrong(format!("{name} has shape {shape:?}: it must have two axes")));
        };
        Ok(Matrix { array: read(&in_c_order(array)?, name)?, rows, columns })
    }

    /// Of an array that must have this type.
    pub(crate) fn from(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        Matrix::of(&of_type(object, name)?, name)
    }

    pub(crate) fn rows(&self) -> PyResult<Rows<'_, T>> {
        Rows::new(self.array.as_slice()?, self.columns).map_err(refused)
    }
}

/// Integers, one for each row, and which of them says that a row has no class.
pub(crate) struct Classes<'py> {
    pub(crate) array: PyReadonlyArrayDyn<'py, i64>,
    ignored: Option<i64>,
}

impl<'py> Classes<'py> {
    pub(crate) fn of(
        object: &Bound<'py, PyAny>,
        name: &str,
        rows: usize,
        ignored: Option<i64>,
    ) -> PyResult<Self> {
        Ok(Classes { array: read(&labels(object, name, rows)?, name)?, ignored })
    }

    pub(crate) fn labels(&self, classes: usize) -> PyResult<Labels<'_>> {
        let labels = self.array.as_slice()?;
        match self.ignored {
            None => Labels::new(labels, classes),
            Some(ignored) => Labels::with_ignored(labels, classes, ignored),
        }
        .map_err(refused)
    }
}

/// Numbers in a row, of f64; whoever takes them looks at how many they are.
pub(crate) struct Numbers<'py>(Option<PyReadonlyArrayDyn<'py, f64>>);

impl<'py> Numbers<'py> {
    pub(crate) fn of(object: Option<&Bound<'py, PyAny>>, name: &str) -> PyResult<Self> {
        let Some(object) = object else { return Ok(Numbers(None)) };
        let array = of_type::<f64>(object, name)?;
        if array.ndim() != 1 {
            let shape = array.shape();
            return Err(wrong(format!("{name} has shape {shape:?}: it must have one axis")));
        }
        Ok(Numbers(Some(read(&in_c_order(&array)?, name)?)))
    }

    pub(crate) fn slice(&self) -> PyResult<Option<&[f64]>> {
        Ok(self.0.as_ref().map(|array| array.as_slice()).transpose()?)
    }
}

/// Whether an array holds integers: labels, and not distributions.
pub(crate) fn holds_integers(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    let array = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (object,))?;
    let kind: String =
        array.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "kind"))?.extract()?;
    Ok(kind == "i" || kind == "u")
}
