//! `softargmax sweep`: what temperature does to a few logits, or to a whole file.

pub(crate) mod distribution;
pub(crate) mod summary;
pub(crate) mod temperatures;

use std::path::Path;

use serde::Serialize;
use softargmax::Temperature;

use crate::args::{Logits, SweepArgs};
use crate::error::CliError;
use crate::json;
use crate::output::Target;
use crate::report::chart::{self, Axis};
use crate::report::sweep as report;

use distribution::Distribution;
use summary::Summary;

const SCHEMA: &str = "softargmax.sweep/1";

pub(crate) fn run(args: &SweepArgs) -> Result<(), CliError> {
    let temperatures = args.temperatures.expand(args.steps)?;
    let logits = Logits::from_words(&args.logits)?;
    let plot = args.plot.as_deref().map(Target::open).transpose()?;
    let plot = plot.map(|target| Plot { target, axis: Axis::around(&temperatures) });
    match logits {
        Logits::Numbers(logits) => numbers(&logits, &temperatures, plot, args.json),
        Logits::File(path) => file(&path, &temperatures, plot, args.json),
    }
}

/// What `--plot` asks for.
struct Plot {
    target: Target,
    axis: Axis,
}

/// What `--json` prints for numbers.
#[derive(Serialize)]
struct NumbersDocument<'a> {
    schema: &'static str,
    #[serde(serialize_with = "json::reals")]
    logits: &'a [f64],
    rows: &'a [Distribution],
}

fn numbers(
    logits: &[f64],
    temperatures: &[Temperature],
    plot: Option<Plot>,
    as_json: bool,
) -> Result<(), CliError> {
    if logits.iter().all(|&x| x == f64::NEG_INFINITY) {
        return Err(CliError::refused("every logit is -inf: no distribution exists"));
    }
    let rows = distribution::sweep(logits, temperatures)?;
    if let Some(Plot { target, axis }) = plot {
        if logits.iter().any(|x| x.is_nan()) {
            return Err(CliError::refused("a nan among the logits leaves nothing to plot"));
        }
        let curve = distribution::sweep(logits, &axis.samples(chart::SAMPLES))?;
        report::chart_of_logits(logits, axis, &curve, &rows).write(target)?;
    }
    if as_json {
        return json::print(&NumbersDocument { schema: SCHEMA, logits, rows: &rows });
    }
    report::print_distributions(logits, &rows)
}

/// What `--json` prints for a file.
#[derive(Serialize)]
struct FileDocument<'a> {
    schema: &'static str,
    file: &'a str,
    /// How many rows the file has.
    count: u64,
    classes: usize,
    rows: &'a [Summary],
}

fn file(
    path: &Path,
    temperatures: &[Temperature],
    plot: Option<Plot>,
    as_json: bool,
) -> Result<(), CliError> {
    // The curve goes along in the one pass: a pipe can be read only once.
    let mut all = temperatures.to_vec();
    if let Some(plot) = &plot {
        all.extend(plot.axis.samples(chart::SAMPLES_OF_FILE));
    }
    let summary::Sweep { file, count, classes, rows } = summary::sweep(path, &all)?;
    let (rows, curve) = rows.split_at(temperatures.len());
    if let Some(Plot { target, axis }) = plot {
        report::chart_of_file(&file, classes, axis, curve, rows).write(target)?;
    }
    if as_json {
        let file = file.as_str();
        return json::print(&FileDocument { schema: SCHEMA, file, count, classes, rows });
    }
    report::print_summaries(&file, count, classes, rows)
}
