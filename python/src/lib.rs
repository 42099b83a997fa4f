//! The extension module of the Python package `softargmax`.
//!
//! ```text
//! arguments → array.rs, axis.rs, temperature.rs → views → work.rs: without Python's lock → the library
//! ```
//!
//! Everything here parses and calls; what is computed is computed by the library.

#![forbid(unsafe_code)]

mod array;
mod axis;
mod error;
mod softmax;
mod temperature;
mod work;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _softargmax {
    #[pymodule_export]
    use crate::error::SoftargmaxError;
    #[pymodule_export]
    use crate::softmax::{log_softmax, softmax};
    #[pymodule_export]
    use crate::temperature::PyTemperature;
    #[pymodule_export]
    use crate::work::{get_num_threads, set_num_threads};
}
