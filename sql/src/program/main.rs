#![forbid(unsafe_code)]
//! The program `softargmax-sql`: one query over files, with the functions of softmax with temperature.
//!
//! ```text
//! query → its files become tables → plan → batches → output, beside its target until the end
//! refused for a row → file after file is looked through for it, and the place named
//! ```

mod args;

use std::io::Read;
use std::process::ExitCode;

use clap::Parser;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use softargmax_sql::{FileTables, Output, Refused, SqlError, locate, register_all};

use args::CommandLine;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match start(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn start(line: &CommandLine) -> Result<(), SqlError> {
    let query = match line.query.as_str() {
        "-" => {
            let mut query = String::new();
            let read = std::io::stdin().read_to_string(&mut query);
            read.map_err(|error| {
                SqlError::refused(format!("standard input: cannot be read: {error}"))
            })?;
            query
        }
        query => query.to_owned(),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = line.threads {
        runtime.worker_threads(usize::from(threads));
    }
    let runtime = runtime.enable_all().build().map_err(SqlError::internal)?;
    runtime.block_on(run(line, &query))
}

async fn run(line: &CommandLine, query: &str) -> Result<(), SqlError> {
    let mut config = SessionConfig::new();
    if let Some(threads) = line.threads {
        config = config.with_target_partitions(usize::from(threads));
    }
    let context = SessionContext::new_with_config(config);
    register_all(&context);
    if query.trim().is_empty() {
        return Err(SqlError::refused("there is no query").hint("softargmax-sql --help shows some"));
    }
    FileTables::register(&context, query).await?;
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(query, read_only).await.map_err(|error| {
        let is_other = error.strip_backtrace().contains("not supported: ");
        let error = SqlError::from(error);
        if is_other { error.hint("ask with select; -o FILE writes what it gives") } else { error }
    })?;
    let mut batches = match frame.execute_stream().await {
        Ok(batches) => batches,
        Err(error) => return Err(placed(&context, query, error).await),
    };
    let mut output = Output::open(line.output.as_deref(), line.format, batches.schema())?;
    while let Some(batch) = batches.next().await {
        match batch {
            Ok(batch) => output.write(&batch)?,
            Err(error) => return Err(placed(&context, query, error).await),
        }
    }
    output.finish()
}

/// The error, with the file and the row it is about, where there is such a place.
async fn placed(context: &SessionContext, query: &str, error: DataFusionError) -> SqlError {
    let refused = Refused::within(&error).cloned();
    let is_of_data = match &refused {
        Some(refused) => refused.is_of_row(),
        None => {
            !matches!(error.find_root(), DataFusionError::Plan(_) | DataFusionError::Internal(_))
        }
    };
    if !is_of_data {
        return error.into();
    }
    match locate(context, query, refused.as_ref()).await {
        Some(place) => {
            let hint = place.hint(refused.as_ref()).to_owned();
            SqlError::refused(place).hint(hint)
        }
        None => error.into(),
    }
}
