//! Choosing the temperature: the τ under which labels are most likely, and how sure that is.
//!
//! ```text
//! row.rs          one row: its loss and the derivatives of that
//! scan.rs         exact sums of those over rows, mergeable
//! solver.rs       sums at one temperature → the next temperature to ask about → the answer
//! profile.rs      sums at several temperatures → the answer, without another look
//! temperature.rs  fit_temperature: rows in memory, by way of the solver
//!
//! above one temperature:
//! affine.rs       a scale and biases: BCTS, vector scaling          tiles.rs, newton.rs: how
//! ets.rs          a mixture of temperatures
//! groups.rs       a temperature for each group of rows, partially pooled
//! calibrator.rs   the models by name, and their use
//! select.rs       which of them
//! ```

mod affine;
pub(crate) mod block;
mod calibrator;
mod depth;
mod estimate;
mod ets;
mod few;
mod groups;
mod newton;
mod profile;
mod row;
mod scan;
mod select;
mod solver;
mod temperature;
mod tiles;

pub use affine::{Affine, AffineFit, fit_bcts, fit_vector};
pub use calibrator::{Calibrator, Model};
pub use estimate::{Estimate, Outcome, Prior, TemperatureFit};
pub use ets::{Ensemble, EnsembleFit, fit_ets};
pub use groups::{Group, GroupsFit, fit_groups};
pub use scan::Scan;
pub use select::{Candidate, Selection, select};
pub use solver::TemperatureSolver;
pub use temperature::{FitOptions, fit_temperature};
