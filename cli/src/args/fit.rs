//! What is typed after `fit` and `eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use softargmax::{Prior, Temperature};

use super::LabelledArgs;
use crate::sweep::temperatures::TemperatureList;

/// Choose the temperature that fits labels best, and say how sure that is.
///
/// Minimises the mean negative log-likelihood of the labels over the temperature. Dividing logits by it
/// changes no decision, only how sure the probabilities are. The logits must come from rows that the model
/// was not trained on.
///
/// The temperature printed is fitted on all rows. What it does for new rows is measured apart: fitted on
/// some of the rows, measured on the others, never on the same.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax fit logits.npy --labels labels.npy
  softargmax fit logits.npy --labels labels.npy --model auto --folds 5 --save fit.json
  softargmax fit logits.jsonl --labels :label
  softargmax fit probs.csv --labels labels.csv --input probabilities --epsilon 1e-9 --json

Exit codes: 0 fitted · 2 refused · 3 no temperature fits best: why is said in words")]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) data: LabelledArgs,

    /// What is fitted
    ///
    /// temperature: one for all. bcts: and a bias for every class (bias-corrected temperature scaling). vector:
    /// a scale and a bias for every class. ets: a mixture of the probabilities at the temperature, at 1, and
    /// uniform (ensemble temperature scaling). auto: the simplest of these, and of none, whose
    /// cross-validated negative log-likelihood is within a standard error of the best.
    #[arg(long, value_enum, value_name = "MODEL", default_value_t = ModelChoice::Temperature)]
    pub(crate) model: ModelChoice,

    /// A temperature for every group: integers or names, one for every row of logits
    ///
    /// Each is drawn towards the common one, the more the less its rows say.
    #[arg(long, value_name = "FILE")]
    pub(crate) groups: Option<PathBuf>,

    /// The share of rows that is held out to measure on; 0 for none [default: 0.5, of fewer than 40 rows 0]
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, conflicts_with = "folds")]
    pub(crate) holdout: Option<f64>,

    /// Measure on all rows: those of each of N parts by what was fitted on the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) folds: Option<u32>,

    /// The seed that deals the rows into parts, and of everything else drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// What is thought of the temperature before there are rows, for few of them: 0.5 or 0.5@1
    ///
    /// A normal prior on ln τ of width SIGMA around TAU, or around 1.
    #[arg(long, value_name = "SIGMA[@TAU]", allow_hyphen_values = true, value_parser = prior)]
    pub(crate) prior: Option<Prior>,

    /// What is minimised
    ///
    /// ece-grid is for comparison with papers: the one of 0.1, 0.2, …, 10 with the least ECE of 15 bins
    /// (Mukhoti et al. 2020). It is coarse, noisy and has no standard error.
    #[arg(long, value_enum, value_name = "RULE", default_value_t = Rule::Nll)]
    pub(crate) rule: Rule,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Write what was fitted to a file that `apply --fit` and `eval --fit` read
    #[arg(long, value_name = "FILE.json")]
    pub(crate) save: Option<PathBuf>,

    /// Print one JSON object, schema softargmax.fit/1
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--model` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ModelChoice {
    Temperature,
    Bcts,
    Vector,
    Ets,
    Auto,
}

/// What `--rule` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Rule {
    Nll,
    EceGrid,
}

/// A width, and perhaps a middle.
pub(super) fn prior(text: &str) -> Result<Prior, String> {
    let (sigma, tau) = text.split_once('@').unwrap_or((text, "1"));
    let sigma: f64 = sigma.parse().map_err(|_| format!("'{sigma}' is not a number"))?;
    let tau: Temperature = tau.parse().map_err(|e: softargmax::Error| e.to_string())?;
    Prior::new(tau, sigma).map_err(|e| e.to_string())
}

/// Measure probabilities against labels, at one temperature or several.
///
/// Proper scores with their standard errors, and calibration errors with their noise floors: what a perfectly
/// calibrated model would show on as many rows, and how often it would show as much (p).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax eval logits.npy --labels labels.npy -t 1.8
  softargmax eval logits.npy --labels labels.npy -t 1,1.5,2 --json
  softargmax eval probs.csv --labels labels.csv --input probabilities -t 1")]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) data: LabelledArgs,

    /// Temperatures and ranges, with commas between: 1,1.5 or 0.5..2 (nine of them)
    #[arg(
        short,
        long = "temperature",
        value_name = "LIST",
        allow_hyphen_values = true,
        required_unless_present = "fit",
        conflicts_with = "fit"
    )]
    pub(crate) temperatures: Option<TemperatureList>,

    /// What `fit --save` wrote, in place of a temperature
    #[arg(long, value_name = "FILE.json")]
    pub(crate) fit: Option<PathBuf>,

    /// The groups of the rows, where the fit has a temperature for every group
    #[arg(long, value_name = "FILE", conflicts_with = "temperatures")]
    pub(crate) groups: Option<PathBuf>,

    /// How many bins of confidence the ECE has: of equal width, each with its upper edge
    #[arg(
        long,
        value_name = "N",
        default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(1..=4096)
    )]
    pub(crate) bins: u32,

    /// How often labels are drawn anew for the noise floors
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub(crate) replicates: u32,

    /// The seed of those draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print one JSON object, schema softargmax.eval/1
    #[arg(long)]
    pub(crate) json: bool,
}
