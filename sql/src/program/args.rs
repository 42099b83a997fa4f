//! What was typed.

use std::path::PathBuf;

use clap::Parser;
use softargmax_sql::Format;

/// Softmax with temperature in SQL: queries over Parquet, Arrow, CSV and JSON files.
///
/// A table is named by where it lies: a file, a folder or a glob in quotes. Functions beside those of SQL:
/// softmax(logits, tau), log_softmax, log_sum_exp, entropy, nll(logits, label, tau), sample(logits, tau, seed, position),
/// is_valid(logits, label); of many rows temperature_fit(logits, label, weight), temperature_fit_near(logits, label, tau,
/// weight), temperature_scan(logits, label, weight) and calibration(logits, label, tau, weight), also by group. tau and
/// weight are 1 where they are left out.
#[derive(Debug, Parser)]
#[command(
    name = "softargmax-sql",
    version,
    after_help = "\
Examples:
  softargmax-sql \"select model, temperature_fit(logits, label) from 'logs/*.parquet' group by model\"
  softargmax-sql \"select nll(logits, label) as loss from 'logs.parquet' order by loss desc limit 9\"
  softargmax-sql \"select softmax(logits, '1.8') as p from 'logs.parquet'\" -o probabilities.parquet

Exit codes: 0 done · 1 internal error · 2 refused: bad input or usage"
)]
pub(crate) struct CommandLine {
    /// One query; `-` reads it from standard input
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,

    /// How rows are printed, or written [default: by the name of FILE, else table]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Where rows go, beside the target first and renamed at the end (`-`: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// How many parts of the work run at a time; what is fitted has the same bits for any number [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}
