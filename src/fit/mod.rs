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
mod block;
mod calibrator;
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

use crate::rows::{Labels, Rows};

/// What is known about each row's class: a label, or a distribution over the classes.
///
/// A distribution is as a teacher gives it, or label smoothing: entries from 0 up with the sum 1.
#[derive(Clone, Copy, Debug)]
pub enum Truth<'a, T> {
    /// One class for each row.
    Labels(Labels<'a>),
    /// A share for every class, `[rows, classes]`.
    Distributions(Rows<'a, T>),
}

impl<'a, T> From<Labels<'a>> for Truth<'a, T> {
    fn from(labels: Labels<'a>) -> Self {
        Truth::Labels(labels)
    }
}

impl<'a, T> From<Rows<'a, T>> for Truth<'a, T> {
    fn from(distributions: Rows<'a, T>) -> Self {
        Truth::Distributions(distributions)
    }
}

impl<T> Truth<'_, T> {
    fn rows(&self) -> usize {
        match self {
            Truth::Labels(labels) => labels.rows(),
            Truth::Distributions(rows) => rows.rows(),
        }
    }

    fn classes(&self) -> usize {
        match self {
            Truth::Labels(labels) => labels.classes(),
            Truth::Distributions(rows) => rows.classes(),
        }
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        match self {
            Truth::Labels(labels) => {
                let (left, right) = labels.split_at(row);
                (Truth::Labels(left), Truth::Labels(right))
            }
            Truth::Distributions(rows) => {
                let (left, right) = rows.split_at(row);
                (Truth::Distributions(left), Truth::Distributions(right))
            }
        }
    }
}
