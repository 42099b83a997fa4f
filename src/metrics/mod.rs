//! How good probabilities are, against labels: scoring rules, calibration, and what chance alone would show.
//!
//! ```text
//! scores(logits, labels, τ)    one Score per row: NLL, Brier, confidence, correct        one pass
//! all the rest                 works on the scores, whatever the number of classes was
//! ```
//!
//! Every estimate of a calibration error is positive also for a model that is perfectly calibrated, so each comes with
//! a [`Null`]: what such a model would show with as many rows.

mod bootstrap;
mod brier;
mod calibration;
mod classwise;
mod isotonic;
mod kolmogorov;
mod null;
mod ranked;
mod redraw;
pub(crate) mod score;
mod selective;
mod smooth;
mod summary;
mod tally;

pub use bootstrap::{Differences, Interval, paired_bootstrap};
pub use brier::{BrierParts, brier_parts};
pub use calibration::{Bin, Binning, CalibrationError, calibration_error};
pub use classwise::{ClasswiseError, classwise_calibration_error};
pub use isotonic::{Band, Step, consistency_band, isotonic};
pub use kolmogorov::{BinFree, kolmogorov_smirnov};
pub use null::{Null, Resampling};
pub use score::{Score, scores};
pub use selective::{RiskCoverage, RiskPoint, coverage_at_risk, risk_coverage};
pub use smooth::smooth_calibration_error;
pub use summary::{Mean, Summary, summarise};
pub use tally::Tally;
