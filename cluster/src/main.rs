#![forbid(unsafe_code)]
//! The program `softargmax-cluster`: the functions of `softargmax-sql` on Ballista, DataFusion's distributed engine.
//!
//! ```text
//! client    query → plan → scheduler                          client.rs
//! scheduler plan → stages → a task for each part of the files  nodes.rs
//! executor  task → exact sums of its rows → next stage         nodes.rs
//! ```
//!
//! The sums merge to the same bits in any order, so a task that is run twice, elsewhere or later changes nothing but time.

mod args;
mod client;
mod log;
mod nodes;

use std::process::ExitCode;

use clap::Parser;
use softargmax_sql::SqlError;

use args::{CommandLine, Verb};

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let is_node = matches!(line.verb, Verb::Scheduler(_) | Verb::Executor(_));
    log::start(line.verbose, is_node);
    match run(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(line: &CommandLine) -> Result<(), SqlError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(SqlError::internal)?.block_on(async {
        match &line.verb {
            Verb::Scheduler(args) => nodes::scheduler(args).await,
            Verb::Executor(args) => nodes::executor(args).await,
            Verb::Fit(args) => client::fit(args).await,
            Verb::Apply(args) => client::apply(args).await,
        }
    })
}
