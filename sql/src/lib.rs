//! Softmax with temperature in SQL: functions of [DataFusion](datafusion).
//!
//! ```text
//! logits.rs, label.rs, tau.rs, weight.rs      arguments, as the library takes them
//! functions.rs                     of a row:   softmax, log_softmax, log_sum_exp, entropy, nll, sample, is_valid
//! waiting.rs                       rows of a group, until they are worth a pass
//! temperature_fit.rs               of rows:    temperature_fit, temperature_fit_near, temperature_scan
//! calibration.rs                               calibration
//! output.rs, json.rs, cells.rs     what a query gives, to a file or the eye; stopped.rs: why it gives nothing
//! files.rs, locate.rs, broken.rs   tables that are named by a path; where a refused row lies; where one cannot be read
//! ```
//!
//! What goes between the stages of a plan are the library's exact sums, so τ, its error and every count have the same
//! bits for any number of partitions, files, threads and machines: those of `softargmax scan` and `merge`, or, of
//! `temperature_fit_near` with what `temperature_fit` has found, those of `softargmax fit`.
//!
//! | function | gives |
//! | --- | --- |
//! | `softmax(logits [, tau])`, `log_softmax(…)` | a list of the type of `logits` |
//! | `log_sum_exp(logits [, tau])` | a number of the type of `logits` |
//! | `entropy(logits [, tau])`, `nll(logits, label [, tau])` | nats, in f64 |
//! | `sample(logits, tau, seed, position [, stream])` | a class, drawn as `softargmax sample` draws it |
//! | `is_valid(logits [, label])` | whether the functions take this row |
//! | `temperature_fit(logits, label [, weight])` | a struct: temperature, std_error, interval, outcome, rows, … |
//! | `temperature_fit_near(logits, label, tau [, weight])` | the same, to the last digits, from a tau near it |
//! | `temperature_scan(logits, label [, weight])` | the text that `softargmax scan` writes and `softargmax merge` reads |
//! | `calibration(logits, label [, tau [, weight]])` | a struct: nll, brier, accuracy, ece, each with its error or null level |
//!
//! `logits` is a list, fixed-size list or large list of f16, f32 or f64 (integers are read as f64), `label` an integer
//! that counts classes from 0. `tau` is a number, which means itself, or a text, which means what it says: `'0.1'` is one
//! tenth, `'1/3'` a third. Without it τ = 1. `weight` is a number from 0 up; a row that weighs 0 does not count.
//!
//! # Special values
//! In functions of a row a NULL gives NULL. Aggregates refuse it, as they refuse a row of another width: what was left out
//! by accident cannot be seen in a temperature. A NULL or NaN within a list, a row of nothing but −∞ and a label
//! that is no class are refused by every function but `is_valid`; −∞ is a mask.
//!
//! # Example
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use datafusion::prelude::SessionContext;
//!
//! let context = SessionContext::new();
//! softargmax_sql::register_all(&context);
//! let rows = context.sql("select softmax([1, 5, 7, 10], '0.1')[4] as p").await?.collect().await?;
//! let p = rows[0].column(0).as_any().downcast_ref::<datafusion::arrow::array::Float64Array>().unwrap();
//! assert_eq!(p.value(0), 0.9999999999999064);
//! # Ok::<(), datafusion::error::DataFusionError>(())
//! # }).unwrap();
//! ```

#![forbid(unsafe_code)]

mod broken;
mod calibration;
mod cells;
mod files;
mod functions;
mod json;
mod label;
mod locate;
mod logits;
mod output;
mod refused;
mod stopped;
mod tau;
mod temperature_fit;
mod waiting;
mod weight;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

pub use files::FileTables;
pub use locate::{Place, locate};
pub use output::{Format, Output};
pub use refused::Refused;
pub use stopped::SqlError;

/// The functions of one row, for whoever keeps a registry of their own.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    functions::all().map(|function| Arc::new(ScalarUDF::new_from_impl(function))).collect()
}

/// The functions of many rows.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(AggregateUDF::new_from_impl(temperature_fit::TemperatureFit::fit())),
        Arc::new(AggregateUDF::new_from_impl(temperature_fit::TemperatureFit::near())),
        Arc::new(AggregateUDF::new_from_impl(temperature_fit::TemperatureFit::scan())),
        Arc::new(AggregateUDF::new_from_impl(calibration::Calibration::new())),
    ]
}

/// Makes all functions known to a session.
pub fn register_all(context: &SessionContext) {
    for function in scalar_functions() {
        context.register_udf(function.as_ref().clone());
    }
    for function in aggregate_functions() {
        context.register_udaf(function.as_ref().clone());
    }
}
