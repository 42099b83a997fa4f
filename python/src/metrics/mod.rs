//! How good probabilities are against labels; `softargmax.metrics` in Python.
//!
//! ```text
//! logits, labels, τ → Scores: a row's NLL, Brier score, confidence, correctness      one pass
//! Scores → everything else, without Python's lock
//! ```

mod calibration;
mod curves;
mod difference;
mod evaluation;
mod score;

pub(crate) use calibration::{
    Bin, BinFree, CalibrationError, ClasswiseError, Null, calibration_error,
    classwise_calibration_error, kolmogorov_smirnov, smooth_calibration_error,
};
pub(crate) use curves::{
    Band, BrierParts, RiskCoverage, RiskPoint, Step, brier_parts, consistency_band,
    coverage_at_risk, isotonic, risk_coverage,
};
pub(crate) use difference::{Differences, Interval, paired_bootstrap};
pub(crate) use evaluation::{Evaluation, evaluate};
pub(crate) use score::{Mean, Scores, Summary, scores, summarise};

/// `__repr__` of a result: its name, and the fields given.
macro_rules! shown {
    ($class:ident($($field:ident),+)) => {
        #[pyo3::pymethods]
        impl $class {
            fn __repr__(&self) -> String {
                let fields = [$(format!(concat!(stringify!($field), "={:?}"), self.$field)),+];
                format!(concat!(stringify!($class), "({})"), fields.join(", "))
            }
        }
    };
}
use shown;

/// How many numbers the replicates of so many rows go through, for `work::run`.
fn drawn(rows: usize, replicates: u32) -> usize {
    rows.saturating_mul(replicates as usize)
}
