//! What is typed after `contrast`.

use std::path::PathBuf;

use clap::Args;
use softargmax::Temperature;

use crate::sweep::temperatures::TemperatureList;

/// Say what a contrastive loss can reach at a temperature, and which to try.
///
/// Takes the vectors of queries and of their keys, row by row, as a model gave them. The loss (InfoNCE) of a
/// query is −ln of the probability exp(q·k/τ)/Σ exp(q·k/τ) of its own key: among the other keys, or with
/// --negatives among those. It is shown beside the least it can be at this τ, number of negatives and
/// dimensions, and what vectors that have nothing to do with each other would give; against τ; and with what
/// the gradient's weight on the negatives is spread over.
///
/// Everything is computed in f64, in one pass over all similarities for all temperatures and a second one at
/// those suggested. Suggestions are heuristics: no rule knows at which temperature a model learns best.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax contrast queries.npy keys.npy -t 0.07
  softargmax contrast queries.npy keys.npy --labels labels.csv -t 0.07 -o contrast.html
  softargmax contrast queries.csv keys.csv --negatives queue.csv --normalise -t 0.2 --json")]
pub(crate) struct ContrastArgs {
    /// The queries, a vector a row, in any format; FILE:COLUMN names a column (`-`: standard input)
    ///
    /// Queries and keys are held in memory: each file may hold 134217728 numbers (1 GiB of f64).
    #[arg(value_name = "QUERIES")]
    pub(crate) queries: PathBuf,

    /// Their keys: row i is the positive of query i
    #[arg(value_name = "KEYS")]
    pub(crate) keys: PathBuf,

    /// Negatives of all queries, such as a queue; without them, the keys of the other queries
    ///
    /// Read in blocks, twice, so the file may be larger than memory.
    #[arg(long, value_name = "FILE")]
    pub(crate) negatives: Option<PathBuf>,

    /// The class of every pair: a file of any format, a name or number a row, or :COLUMN of the queries' file
    ///
    /// Adds how near vectors of one class are, and how much of the gradient pushes them apart.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,

    /// The class of every negative in --negatives
    #[arg(long, value_name = "FILE", requires = "negatives", requires = "labels")]
    pub(crate) negative_labels: Option<PathBuf>,

    /// The temperature: a decimal number above 0, taken to mean exactly what is written, or `inf`
    #[arg(short, long, value_name = "TAU", allow_hyphen_values = true)]
    pub(crate) temperature: Temperature,

    /// The temperatures of the curve, between which suggestions are looked for
    #[arg(long, value_name = "LIST", default_value = "0.01..1", allow_hyphen_values = true)]
    pub(crate) temperatures: TemperatureList,

    /// How many temperatures a range has, both ends counted [default: 49]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) steps: Option<u32>,

    /// Divide every vector by its length
    ///
    /// Without it, vectors must have length 1, to 2^-10, and others are refused.
    #[arg(long)]
    pub(crate) normalise: bool,

    /// Suggest the temperature at which the loss can get down to this, in nats
    #[arg(long, value_name = "NATS", default_value_t = 0.01, allow_negative_numbers = true)]
    pub(crate) floor: f64,

    /// Suggest the temperature at which so many negatives count [default: a tenth of them]
    ///
    /// Counted by exp of the mean entropy of the gradient's shares.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) effective: Option<f64>,

    /// The seed that deals the queries into halves: one chooses a temperature, the other judges it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Write the page to this file (`-`: standard output): one file that needs no network
    #[arg(short, long, value_name = "FILE.html", conflicts_with = "json")]
    pub(crate) output: Option<PathBuf>,

    /// Draw the loss against temperature: a picture for light and dark pages
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print one JSON object, schema softargmax.contrast/1
    #[arg(long)]
    pub(crate) json: bool,
}
