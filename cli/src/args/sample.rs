//! What is typed after `sample`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use softargmax::Temperature;

/// Draw from softmax(logits/τ), or check somebody else's draws.
///
/// Probabilities are whole numbers over their sum, and a draw has exactly the probability that --distribution
/// and --json report. Draw k of row r depends on that row, the seed, stream + r and position + k alone.
///
/// Filters run in this order: top-nσ, top-k, typical, top-p, min-p, each on what those before it left.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax sample 1 5 7 10 -t 2 -n 10
  softargmax sample logits.npy -t 0.8 --top-p 0.95 --seed 1 -n 1000 -o draws.npy
  softargmax sample logits.csv -t 0.7 --top-k 2 --distribution
  softargmax sample 1 5 7 10 --check draws.csv

Exit codes: 0 drawn, or the check passed · 2 refused · 4 the draws checked are not from that distribution")]
pub(crate) struct SampleArgs {
    /// Logits, or one file of them, a row each, in any format; FILE:COLUMN names a column (`-`: standard input)
    ///
    /// What reads as a number is a number: write ./1 for a file called 1.
    #[arg(required = true, value_name = "LOGITS", allow_negative_numbers = true)]
    pub(crate) logits: Vec<OsString>,

    #[command(flatten)]
    pub(crate) parameters: ParameterArgs,

    #[command(flatten)]
    pub(crate) chance: ChanceArgs,

    /// How many draws of each row [default: 1]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) draws: Option<u64>,

    /// Draw no class of a row twice
    #[arg(long)]
    pub(crate) without_replacement: bool,

    /// The words of the classes, one a line: printed in place of their numbers
    #[arg(long, value_name = "FILE")]
    pub(crate) names: Option<PathBuf>,

    /// Where the draws go: .npy, .csv, .tsv or .json (`-`: standard output, .npy) [default: printed]
    ///
    /// As text a line for each draw, or, of a file of several rows, a line for each row.
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) output: Option<PathBuf>,

    /// Show the distribution that would be drawn from, and draw nothing
    ///
    /// Where a terminal reads, it is also shown above the draws of a single row.
    #[arg(long, conflicts_with_all = ["draws", "output", "check", "without_replacement"])]
    pub(crate) distribution: bool,

    /// Test whether these draws are from this distribution: .npy, or text of whole numbers
    ///
    /// Of one row of logits all numbers are draws of it; of several, the file has a line for each row. They are
    /// counted beside what is expected (χ² with pooled cells, the tails, what was never drawn) and compared with
    /// what usual mistakes would have drawn. Logits are held in memory, at most 33554432 numbers.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["draws", "output", "without_replacement"])]
    pub(crate) check: Option<PathBuf>,

    /// How improbable draws must be for --check to fail, over all its tests
    #[arg(
        long,
        value_name = "P",
        default_value_t = 0.001,
        requires = "check",
        allow_hyphen_values = true
    )]
    pub(crate) level: f64,

    /// Print one JSON object, schema softargmax.sample/1 (with --check: softargmax.sample-check/1)
    #[arg(long)]
    pub(crate) json: bool,
}

/// What distribution is drawn from.
#[derive(Args, Debug)]
pub(crate) struct ParameterArgs {
    /// The temperature: a decimal number from 0 (the largest logit) up, or `inf` [default: 1]
    #[arg(short, long, value_name = "TAU", allow_hyphen_values = true)]
    pub(crate) temperature: Option<Temperature>,

    /// The defaults and the order of an engine; what is typed beside it takes precedence
    #[arg(long, value_enum, value_name = "PRESET")]
    pub(crate) preset: Option<Preset>,

    /// Keep the K largest; 0 for all
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,

    /// Keep the fewest most probable that together have at least P; 1 for all
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    pub(crate) top_p: Option<f64>,

    /// Keep what is at least P times as probable as the most probable; 0 for all
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    pub(crate) min_p: Option<f64>,

    /// Keep logits no more than N standard deviations below the largest; 0 for all
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) top_n_sigma: Option<f64>,

    /// Keep the classes whose surprise is nearest to the entropy, and that together have at least P
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    pub(crate) typical: Option<f64>,

    /// Whether the filters see the tempered distribution or the one at temperature 1, and whether min-p comes first
    ///
    /// top-k and top-nσ keep the same either way.
    #[arg(long, value_enum, value_name = "ORDER")]
    pub(crate) order: Option<TemperatureOrder>,

    /// Which classes may be drawn: a 1 or a 0 for each, .npy or text
    #[arg(long, value_name = "FILE")]
    pub(crate) mask: Option<PathBuf>,

    /// Add VALUE to the logit of a class; -inf rules it out
    #[arg(long, value_name = "ID=VALUE", value_parser = bias, allow_hyphen_values = true)]
    pub(crate) bias: Vec<(usize, f64)>,

    /// The classes before, for the penalties: 5,7,5 or a file of them
    ///
    /// The same for every row.
    #[arg(long, value_name = "LIST|FILE")]
    pub(crate) history: Option<OsString>,

    /// Divide positive logits of classes in the history by R, multiply negative ones
    #[arg(long, value_name = "R", allow_hyphen_values = true, requires = "history")]
    pub(crate) repetition_penalty: Option<f64>,

    /// Take A from the logits of classes in the history
    #[arg(long, value_name = "A", allow_hyphen_values = true, requires = "history")]
    pub(crate) presence_penalty: Option<f64>,

    /// Take A from them for every time that they are there
    #[arg(long, value_name = "A", allow_hyphen_values = true, requires = "history")]
    pub(crate) frequency_penalty: Option<f64>,
}

/// What chance depends on.
#[derive(Args, Debug)]
pub(crate) struct ChanceArgs {
    /// The seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// The stream of the first row; row r has stream N + r
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) stream: u64,

    /// The position of the first draw; draw k has position N + k
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) position: u64,

    /// How a class is found: one number for all, or one for each class
    ///
    /// Both draw from the same distribution. With gumbel a class keeps its luck when logits change.
    #[arg(long, value_enum, value_name = "METHOD", default_value_t = Method::Inverse)]
    pub(crate) method: Method,
}

/// What `--preset` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Preset {
    Hf,
    LlamaCpp,
    Vllm,
    Greedy,
}

/// What `--order` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum TemperatureOrder {
    TemperatureFirst,
    MinPFirst,
    TemperatureLast,
}

/// What `--method` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Method {
    Inverse,
    Gumbel,
}

/// 17=-2.5
fn bias(text: &str) -> Result<(usize, f64), String> {
    let (id, value) = text.split_once('=').ok_or("it must be a class and a number: 17=-2.5")?;
    let id =
        id.trim().parse().map_err(|_| format!("'{id}' is not a class: they are counted from 0"))?;
    let number: f64 = value.trim().parse().map_err(|_| format!("'{value}' is not a number"))?;
    Ok((id, number))
}
