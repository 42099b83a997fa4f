//! What `fit`, `eval` and `report` have in common: logits, and what their rows should have been.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Logits with their labels.
#[derive(Args, Debug)]
pub(crate) struct LabelledArgs {
    /// The .npy or .csv file of logits, a row each (`-`: standard input)
    ///
    /// A file of up to 256 MiB is held in memory, as f32 if it is f16 or f32, else as f64. A larger one
    /// is read again for every pass. Standard input may hold up to 1 GiB.
    #[arg(value_name = "LOGITS")]
    pub(crate) logits: PathBuf,

    /// The labels: .npy of any integer type, or text, one for every row of logits
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

    /// A weight for every row: .npy, or text with a number a line
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// Leave out rows with this label
    #[arg(long, value_name = "LABEL", allow_negative_numbers = true)]
    pub(crate) ignore_label: Option<i64>,

    /// The names of the classes, one a line, in the order of the columns
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
}

/// What the numbers of a file are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Content {
    Logits,
    LogProbabilities,
    Probabilities,
}
