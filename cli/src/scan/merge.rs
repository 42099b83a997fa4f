//! `softargmax merge`: the summaries of `scan` to a temperature.

use std::process::ExitCode;

use serde::Serialize;
use softargmax::{Estimate, Outcome, Resampling, Temperature, TemperatureFit};

use super::file::{Summary, Tallied};
use crate::args::MergeArgs;
use crate::error::CliError;
use crate::json;
use crate::output::Target;
use crate::report::merge as report;

/// Exit code: no temperature fits best.
const NO_TEMPERATURE: u8 = 3;

pub(crate) fn run(args: &MergeArgs) -> Result<ExitCode, CliError> {
    let target = args.output.as_deref().map(Target::open).transpose()?;
    let (all, repeated) = merged(args)?;
    let fit = TemperatureFit::from_scan(&all.scan, args.prior);
    let document = Document::new(args.scans.len(), &fit, all.tally.as_ref());
    if args.json {
        json::print(&document)?;
    } else {
        report::print(&document, fit.outcome)?;
    }
    if let Some(target) = target {
        all.write(target)?;
    }
    for (first, second) in repeated {
        anstream::eprintln!(
            "warning: {second} holds the same sums as {first}: were these rows counted twice?"
        );
    }
    let is_found = fit.outcome == Outcome::Converged;
    Ok(if is_found { ExitCode::SUCCESS } else { ExitCode::from(NO_TEMPERATURE) })
}

/// All of them as one, and the names of those that are the same.
fn merged(args: &MergeArgs) -> Result<(Summary, Vec<(String, String)>), CliError> {
    let mut all: Option<Summary> = None;
    // Only sums that a scan is told by are kept: the summaries themselves may be thousands.
    let mut seen: Vec<(u64, Vec<u64>, String)> = Vec::new();
    let mut repeated = Vec::new();
    for path in &args.scans {
        let summary = Summary::read(path)?;
        let name = path.display().to_string();
        let sums: Vec<u64> = summary.scan.nll().map(f64::to_bits).collect();
        let rows = summary.scan.rows();
        match seen.iter().find(|(r, s, _)| rows > 0 && (*r, s) == (rows, &sums)) {
            Some((_, _, first)) => repeated.push((first.clone(), name.clone())),
            None => seen.push((rows, sums, name.clone())),
        }
        match &mut all {
            None => all = Some(summary),
            Some(all) => all.merge(&summary).map_err(|reason| {
                let first = args.scans[0].display();
                CliError::refused(format!("{name}: does not go with {first}: {reason}"))
                    .hint("scan all rows with the same options")
            })?,
        }
    }
    let all = all.ok_or_else(|| CliError::internal("nothing to merge"))?;
    Ok((all, repeated))
}

/// What `--json` prints. What does not exist is null.
#[derive(Serialize)]
pub(crate) struct Document {
    schema: &'static str,
    pub(crate) scans: usize,
    outcome: &'static str,
    #[serde(serialize_with = "json::optional_temperature")]
    pub(crate) temperature: Option<Temperature>,
    #[serde(serialize_with = "json::optional_real")]
    std_error: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    robust_std_error: Option<f64>,
    #[serde(serialize_with = "json::optional_reals")]
    pub(crate) interval: Option<[f64; 2]>,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) p_value_tau_is_one: Option<f64>,
    /// How far the temperature may be from that of a fit, relatively.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) tolerance: Option<f64>,
    /// Also null, as the p-value is, where τ = 1 was not scanned.
    #[serde(serialize_with = "json::measured")]
    pub(crate) nll_before: f64,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) nll_after: Option<f64>,
    #[serde(serialize_with = "json::measured")]
    accuracy: f64,
    pub(crate) rows: u64,
    pub(crate) classes: usize,
    passes: u32,
    pub(crate) infinite: u64,
    pub(crate) tally: Option<Metrics>,
}

/// The metrics at the temperature of the tally.
#[derive(Serialize)]
pub(crate) struct Metrics {
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    #[serde(serialize_with = "json::real")]
    pub(crate) nll: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) nll_std_error: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) brier: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) brier_std_error: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) accuracy: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) accuracy_std_error: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) ece: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) ece_null_mean: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) ece_p_value: f64,
}

impl Metrics {
    fn of(tallied: &Tallied) -> Self {
        let summary = tallied.tally.summary();
        let error = tallied.tally.calibration_error(&Resampling::default());
        Metrics {
            temperature: tallied.temperature,
            nll: summary.nll.value,
            nll_std_error: summary.nll.std_error,
            brier: summary.brier.value,
            brier_std_error: summary.brier.std_error,
            accuracy: summary.accuracy.value,
            accuracy_std_error: summary.accuracy.std_error,
            ece: error.ece,
            ece_null_mean: error.null.mean,
            ece_p_value: error.null.p_value,
        }
    }
}

impl Document {
    fn new(scans: usize, fit: &TemperatureFit, tally: Option<&Tallied>) -> Self {
        let of = |get: fn(&Estimate) -> f64| fit.estimate.as_ref().map(get);
        Document {
            schema: "softargmax.merge/1",
            scans,
            outcome: fit.outcome.name(),
            temperature: fit.estimate.as_ref().map(|found| found.temperature),
            std_error: of(|found| found.std_error),
            robust_std_error: of(|found| found.robust_std_error),
            interval: fit.estimate.as_ref().map(|found| found.interval),
            p_value_tau_is_one: of(|found| found.p_value).filter(|_| !fit.nll_before.is_nan()),
            tolerance: of(|found| found.tolerance),
            nll_before: fit.nll_before,
            nll_after: of(|found| found.nll),
            accuracy: fit.accuracy,
            rows: fit.rows,
            classes: fit.classes,
            passes: fit.passes,
            infinite: fit.infinite,
            tally: tally.map(Metrics::of),
        }
    }
}
