//! `softargmax teacher`: a teacher's logits to a compact file, that file checked, and what other ways to store one would cost.
//!
//! ```text
//! pack:    block of logits → the k likeliest of each row and the mass of the rest → records → file
//! verify:  every checksum, every row; beside the logits, how far off what is read from the file is
//! audit:   at one T, the loss and gradient that each convention gives, less the true ones
//! ```

mod audit;
mod convention;
mod format;
mod in_step;
mod pack;
mod reader;
mod verify;

use serde::Serialize;
use softargmax::Temperature;

pub(crate) use audit::Audit;
pub(crate) use in_step::InStep;
pub(crate) use reader::Reader;
pub(crate) use verify::Against;

use crate::args::TeacherVerb;
use crate::error::CliError;
use crate::json;

pub(crate) fn run(verb: &TeacherVerb) -> Result<(), CliError> {
    match verb {
        TeacherVerb::Pack(args) => pack::run(args),
        TeacherVerb::Verify(args) => verify::run(args),
        TeacherVerb::Audit(args) => audit::run(args),
    }
}

/// What a packed teacher is, in every document.
#[derive(Serialize)]
pub(crate) struct Shape {
    pub(crate) rows: u64,
    pub(crate) classes: usize,
    pub(crate) top_k: usize,
    pub(crate) dtype: &'static str,
    pub(crate) source_dtype: String,
    pub(crate) bytes: u64,
    pub(crate) bytes_per_row: usize,
    #[serde(serialize_with = "temperatures")]
    pub(crate) temperatures: Vec<Temperature>,
}

impl Shape {
    fn of(header: &format::Header) -> Self {
        Shape {
            rows: header.rows,
            classes: header.classes,
            top_k: header.k,
            dtype: header.stored.name(),
            source_dtype: header.source.to_string(),
            bytes: header.total().unwrap_or(u64::MAX),
            bytes_per_row: header.record(),
            temperatures: header.temperatures.clone(),
        }
    }
}

fn temperatures<S: serde::Serializer>(taus: &[Temperature], s: S) -> Result<S::Ok, S::Error> {
    json::reals(&taus.iter().map(|tau| tau.tau()).collect::<Vec<_>>(), s)
}

/// The probability of all classes that are not kept, over the rows, at a temperature.
#[derive(Clone, Serialize)]
pub(crate) struct TailMass {
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    #[serde(serialize_with = "json::measured")]
    pub(crate) mean: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) largest: f64,
    #[serde(skip)]
    sum: f64,
    #[serde(skip)]
    rows: f64,
}

impl TailMass {
    fn at(temperatures: &[Temperature]) -> Vec<TailMass> {
        let new = |&temperature| TailMass {
            temperature,
            mean: f64::NAN,
            largest: f64::NAN,
            sum: 0.0,
            rows: 0.0,
        };
        temperatures.iter().map(new).collect()
    }

    fn add(
        all: &mut [TailMass],
        teacher: &softargmax::TruncatedTeacher,
    ) -> Result<(), softargmax::Error> {
        for mass in all {
            for at in teacher.statistics(mass.temperature)? {
                (mass.sum, mass.rows) = (mass.sum + at.tail, mass.rows + 1.0);
                mass.largest = mass.largest.max(at.tail);
            }
            mass.mean = mass.sum / mass.rows;
        }
        Ok(())
    }
}
