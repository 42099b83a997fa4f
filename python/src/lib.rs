//! The extension module of the Python package `softargmax`.
//!
//! ```text
//! arguments → array.rs, axis.rs, temperature.rs → views → work.rs: without Python's lock → the library
//! ```
//!
//! Everything here parses and calls; what is computed is computed by the library.

#![forbid(unsafe_code)]

mod arguments;
mod array;
mod arrow;
mod axis;
mod calibrator;
mod error;
mod fit;
mod gradient;
mod groups;
mod labelled;
mod logsumexp;
mod loss;
mod metrics;
mod report;
mod rows;
mod sample;
mod softmax;
mod solve;
mod statistics;
mod temperature;
mod work;

use pyo3::prelude::pymodule;

#[pymodule(gil_used = true)]
mod _softargmax {
    use pyo3::prelude::*;

    /// What is public is said once, by the package.
    #[pymodule_init]
    fn without_all(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.delattr("__all__")
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // Python's name for it
    const __version__: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    const FIRST_QUESTION: &str = crate::arrow::FIRST_QUESTION;
    #[pymodule_export]
    use crate::arrow::{apply, fit, merge, partial_stats, take_answers};
    #[pymodule_export]
    use crate::calibrator::{PyCalibrator, PyCandidate, fit_calibrator};
    #[pymodule_export]
    use crate::error::SoftargmaxError;
    #[pymodule_export]
    use crate::fit::{PyTemperatureFit, fit_temperature};
    #[pymodule_export]
    use crate::gradient::{Gradient, log_softmax_vjp, logsumexp_vjp, softmax_vjp};
    #[pymodule_export]
    use crate::groups::{PyGroup, PyGroupsFit, fit_groups};
    #[pymodule_export]
    use crate::logsumexp::logsumexp;
    #[pymodule_export]
    use crate::loss::{
        PyContrastiveLoss, PyDecoupledLoss, PyLoss, PyQueue, PySigLipLoss, PyVectorsLoss,
        adacos_dynamic_scale, adacos_fixed_scale, clip, cosine_temperature, cross_entropy,
        cyclic_temperature, decoupled_distillation, distillation, exponential_temperature,
        gumbel_softmax_temperature, info_nce, info_nce_fixed, info_nce_in_batch,
        linear_temperature, moco, momentum_update, normalised_softmax, normface_lower_bound,
        normface_scale_for_loss, normface_scale_for_probability, nt_xent, sig_lip, sup_con,
    };
    #[pymodule_export]
    use crate::metrics::{
        Band, Bin, BinFree, BrierParts, CalibrationError, ClasswiseError, Differences, Evaluation,
        Interval, Mean, Null, RiskCoverage, RiskPoint, Scores, Step, Summary, brier_parts,
        calibration_error, classwise_calibration_error, consistency_band, coverage_at_risk,
        evaluate, isotonic, kolmogorov_smirnov, paired_bootstrap, risk_coverage, scores,
        smooth_calibration_error, summarise,
    };
    #[pymodule_export]
    use crate::report::{CalibrationPanel, CalibrationReport, calibration_report};
    #[pymodule_export]
    use crate::sample::{log_prob, probabilities, sample};
    #[pymodule_export]
    use crate::softmax::{log_softmax, softmax};
    #[pymodule_export]
    use crate::solve::{Solution, solve_temperature, solve_temperature_per_row};
    #[pymodule_export]
    use crate::statistics::{Statistics, entropy, expected_index, perplexity, statistics};
    #[pymodule_export]
    use crate::temperature::PyTemperature;
    #[pymodule_export]
    use crate::work::{get_num_threads, set_num_threads};
}
