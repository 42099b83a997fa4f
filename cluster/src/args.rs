//! What was typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use softargmax_sql::Format;

/// Softmax with temperature on many machines: choose τ for rows that no machine holds, and apply it.
///
/// One scheduler, any number of executors, and a client that asks. All of them see the files by the same paths. Nobody is
/// asked who they are: keep the ports inside a network that is trusted.
#[derive(Debug, Parser)]
#[command(
    name = "softargmax-cluster",
    version,
    after_help = "\
Examples:
  softargmax-cluster scheduler --bind 10.0.0.1
  softargmax-cluster executor --scheduler 10.0.0.1:50050 --bind 10.0.0.2
  softargmax-cluster fit '/data/logs/*.parquet' --scheduler 10.0.0.1:50050 --by model
  softargmax-cluster apply '/data/logs/*.parquet' --scheduler 10.0.0.1:50050 --tau 1.8 -o /data/probabilities

Exit codes: 0 done · 1 internal error · 2 refused: bad input, usage or surroundings"
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Print on standard error what goes on
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Scheduler(SchedulerArgs),
    Executor(ExecutorArgs),
    Fit(FitArgs),
    Apply(ApplyArgs),
}

/// Plan queries and hand their tasks to executors, until stopped.
#[derive(Args, Debug)]
pub(crate) struct SchedulerArgs {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) bind: String,

    /// The port to listen on; 0 for any that is free. It is printed
    #[arg(long, default_value_t = 50050)]
    pub(crate) port: u16,

    /// After how long without a word an executor is given up, and its tasks go to others
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) executor_timeout: u16,
}

/// Work for a scheduler, until stopped.
#[derive(Args, Debug)]
pub(crate) struct ExecutorArgs {
    /// The scheduler
    #[arg(long, default_value = "127.0.0.1:50050", value_name = "HOST:PORT")]
    pub(crate) scheduler: String,

    /// The address to listen on, by which the others reach this machine
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) bind: String,

    /// How many tasks run at a time [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) cores: Option<u16>,

    /// Where what goes between stages lies [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,

    /// How often the scheduler hears from this executor
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) heartbeat: u16,
}

/// Which rows, and who works on them.
#[derive(Args, Debug)]
pub(crate) struct RowsArgs {
    /// A file, a folder that ends in /, or a glob
    #[arg(value_name = "FILES")]
    pub(crate) files: String,

    /// The scheduler
    #[arg(long, default_value = "127.0.0.1:50050", value_name = "HOST:PORT")]
    pub(crate) scheduler: String,

    /// The column of logits: a list for each row
    #[arg(long, default_value = "logits", value_name = "COLUMN")]
    pub(crate) logits: String,
}

/// The temperature under which labels are most likely, with its error, in two passes.
///
/// The answer has the same bits for any number of executors, and if some of them die on the way: those of softargmax fit.
#[derive(Args, Debug)]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) rows: RowsArgs,

    /// The column of labels: classes counted from 0
    #[arg(long, default_value = "label", value_name = "COLUMN")]
    pub(crate) label: String,

    /// A file with the names of the classes, a line each in the order of the logits, where labels are names
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,

    /// How much each row counts: a column of numbers from 0 up [default: all alike]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) weight: Option<String>,

    /// A temperature for each value of this column
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: Option<String>,

    /// Only rows for which this holds, as in SQL
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,

    /// Only one pass: seven digits of the temperature, with the bits of softargmax scan and merge
    #[arg(long)]
    pub(crate) once: bool,

    /// Into how many tasks a pass is cut; twice the cores of all executors are good
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) tasks: u16,

    /// How the answer is printed
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
}

/// Probabilities at a temperature: for every file one of the same name, with its columns and the probabilities.
///
/// A file appears in the folder when it is whole. Those that are there already are left alone, so a run that was stopped
/// goes on where it was; rows stay in their order.
#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) rows: RowsArgs,

    /// The temperature: 1.8, 1/3, 0 or inf
    #[arg(short, long, value_name = "TAU", allow_hyphen_values = true)]
    pub(crate) tau: String,

    /// The folder for the new files
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// What the column of probabilities is called
    #[arg(long, default_value = "probabilities", value_name = "COLUMN")]
    pub(crate) name: String,

    /// How many files are worked on at a time
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) tasks: u16,
}
