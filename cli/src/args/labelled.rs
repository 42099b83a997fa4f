//! What `fit`, `eval` and `report` have in common: logits, and what their rows should have been.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::TopKArgs;

/// Logits with their labels.
#[derive(Args, Debug)]
pub(crate) struct LabelledArgs {
    /// The logits, a row each: .npy, .npz, .safetensors, Parquet, Arrow, CSV or JSON lines (`-`: standard input)
    ///
    /// FILE:COLUMN names the column or array, FILE:logit_* a column for every class. A folder, or a pattern in
    /// quotes ('logs/*.parquet'), is its files in name order. See docs/formats.md.
    ///
    /// Up to 256 MiB are held in memory, as f32 where that has all numbers of a text or is what the file has, else
    /// as f64. More is read again for every pass. Standard input may hold up to 1 GiB.
    #[arg(value_name = "LOGITS")]
    pub(crate) logits: PathBuf,

    /// The labels: a file of any format, one for every row of logits, or :COLUMN of the file of the logits
    ///
    /// A label is the class, counted from 0, or its name where --classes or the header of a CSV file of
    /// logits names the classes. A column for every class gives shares that sum to 1 (soft labels).
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: PathBuf,

    /// What the numbers are
    ///
    /// log-probabilities are used as they are, ln p of probabilities, and both are checked to sum to 1.
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Content::Logits)]
    pub(crate) input: Content,

    /// The least probability: p becomes max(p, E), over the new sum
    ///
    /// Without it a probability of 0 is impossible at every temperature, and a row whose label has it
    /// leaves no temperature to fit.
    #[arg(long, value_name = "E", allow_hyphen_values = true)]
    pub(crate) epsilon: Option<f64>,

    /// A weight for every row: a file of any format, or :COLUMN of the file of the logits
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// Leave out rows with this label
    #[arg(long, value_name = "LABEL", allow_negative_numbers = true)]
    pub(crate) ignore_label: Option<i64>,

    /// The names of the classes, one a line, in the order of the columns
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) top_k: TopKArgs,
}

/// What the numbers of a file are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Content {
    Logits,
    LogProbabilities,
    Probabilities,
}
