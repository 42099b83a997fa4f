//! `scan` and `merge`: rows that are never in one place.

use std::path::PathBuf;

use clap::Args;
use softargmax::{Prior, Temperature};

use super::LabelledArgs;
use super::fit::prior;

/// Sum up rows in one pass, for `merge` to find the temperature.
///
/// For rows in many files or on many machines: scan each, keep the small summaries (some 100 KB at most, whatever
/// the rows and classes), and merge them. The sums are exact, so the answer has the same bits however the
/// rows were split up, and in whatever order the summaries come.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax scan logits.npy --labels labels.npy -o scan.json
  softargmax scan logits.npy --labels labels.npy --around 1.67 --tally 1.67 -o around.json")]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    pub(crate) data: LabelledArgs,

    /// Sums at five temperatures within a quarter of this one, in place of 33 from 2^-8 to 2^8
    ///
    /// The temperature of a first merge, told to a second round of scans, gives it to some twelve digits
    /// instead of seven, and costs less.
    #[arg(long, value_name = "TAU", allow_hyphen_values = true)]
    pub(crate) around: Option<Temperature>,

    /// Sum up the metrics at this temperature too: NLL, Brier score, accuracy, ECE
    #[arg(long, value_name = "TAU", allow_hyphen_values = true)]
    pub(crate) tally: Option<Temperature>,

    /// Where the summary goes (`-`: standard output)
    #[arg(short, long, value_name = "FILE.json")]
    pub(crate) output: PathBuf,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

/// Find the temperature from the summaries of `scan`.
///
/// The summaries must be at the same temperatures and of as many classes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax merge scan.json scan2.json
  softargmax merge scan*.json -o all.json --json

Exit codes: 0 a temperature · 2 refused · 3 no temperature fits best")]
pub(crate) struct MergeArgs {
    /// What `scan` or `merge` wrote
    #[arg(required = true, value_name = "FILE.json")]
    pub(crate) scans: Vec<PathBuf>,

    /// Write them as one summary, which can be merged again
    #[arg(short, long, value_name = "FILE.json")]
    pub(crate) output: Option<PathBuf>,

    /// What is thought of the temperature before: ln τ is within SIGMA of that of TAU with probability 0.68
    #[arg(long, value_name = "SIGMA[@TAU]", value_parser = prior)]
    pub(crate) prior: Option<Prior>,

    /// Print one JSON object, schema softargmax.merge/1
    #[arg(long)]
    pub(crate) json: bool,
}
