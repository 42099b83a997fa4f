//! What Python sees of an error: `SoftargmaxError`, a `ValueError`, with the library's text.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    softargmax,
    SoftargmaxError,
    PyValueError,
    "A value that is refused: what was wrong, where, and what is allowed."
);

/// A library error as an exception, for `map_err`.
pub(crate) fn refused(error: softargmax::Error) -> PyErr {
    wrong(error.to_string())
}

/// A value that this package refuses itself.
pub(crate) fn wrong(text: impl Into<String>) -> PyErr {
    SoftargmaxError::new_err(text.into())
}

/// An argument of a type that is refused.
pub(crate) fn wrong_type(text: impl Into<String>) -> PyErr {
    PyTypeError::new_err(text.into())
}
