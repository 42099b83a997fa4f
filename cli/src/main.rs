#![forbid(unsafe_code)]
//! The program `softargmax`: softmax with temperature on the command line.
//!
//! Each verb has a file of its own that turns its arguments into printed output or a [`CliError`].
//! Data goes to standard output, words about it to standard error.

mod apply;
mod args;
mod calibration;
mod contrast;
mod distill;
mod docs;
mod error;
mod eval;
mod fit;
mod input;
mod json;
mod labelled;
mod output;
mod progress;
mod report;
mod sample;
mod scan;
mod solve;
mod sql;
mod sweep;
mod teacher;

use std::process::ExitCode;

use args::{CommandLine, Verb};
use error::CliError;

fn main() -> ExitCode {
    run(CommandLine::from_process().verb).unwrap_or_else(|error| {
        if let Some(text) = error.report() {
            anstream::eprintln!("{text}");
        }
        error.exit_code()
    })
}

fn run(verb: Verb) -> Result<ExitCode, CliError> {
    match verb {
        Verb::Sweep(args) => sweep::run(&args)?,
        Verb::Apply(args) => apply::run(&args)?,
        Verb::Solve(args) => return solve::run(&args),
        Verb::Sample(args) => return sample::run(&args),
        Verb::Fit(args) => return fit::run(&args),
        Verb::Eval(args) => eval::run(&args)?,
        Verb::Report(args) => calibration::run(&args)?,
        Verb::Scan(args) => scan::run(&args)?,
        Verb::Merge(args) => return scan::merge::run(&args),
        Verb::Distill(args) => distill::run(&args)?,
        Verb::Teacher(args) => teacher::run(&args.verb)?,
        Verb::Contrast(args) => contrast::run(&args)?,
        Verb::Sql(_) => return sql::run(),
        Verb::Completions(args) => docs::completions(args.shell)?,
        Verb::HelpMarkdown => docs::help_markdown()?,
    }
    Ok(ExitCode::SUCCESS)
}
