//! What is typed after `report`.

use std::path::PathBuf;

use clap::Args;

use super::LabelledArgs;

/// Show a model's calibration before and after a temperature, as a page or as text.
///
/// The temperature is fitted on one half of the rows, drawn at random, and everything shown is measured on
/// the other: reliability with a band of what chance does, the negative log-likelihood and the calibration
/// error against temperature, risk against coverage, every figure with its interval or noise floor, and
/// what it all means in words.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax report logits.npy --labels labels.npy
  softargmax report logits.npy --labels labels.npy -o report.html
  softargmax report logits.npy --labels labels.npy -o report.html --svg .")]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) data: LabelledArgs,

    /// Write the page to this file (`-`: standard output): one file that needs no network
    ///
    /// Without it the report is printed as text.
    #[arg(short, long, value_name = "FILE.html")]
    pub(crate) output: Option<PathBuf>,

    /// Write the pictures into this folder, for light and dark pages
    #[arg(long, value_name = "FOLDER")]
    pub(crate) svg: Option<PathBuf>,

    /// The seed that deals the rows into halves, and of everything else drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}
