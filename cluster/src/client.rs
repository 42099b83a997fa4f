//! The two that ask: `fit` and `apply`.
//!
//! ```text
//! fit      two queries, select temperature_fit(…) and, near what that finds, select temperature_fit_near(…), each in as
//!          many tasks as are asked for; asked again if an executor that held the answer died
//! apply    for every file a query of one task, copy (select …, softmax(…)) to …, several at a time; the file is
//!          renamed into the folder when it is whole
//! ```

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use futures::future::ready;
use softargmax_sql::{FileTables, Output, Refused, SqlError, locate, register_all};

use crate::args::{ApplyArgs, FitArgs, RowsArgs};
use crate::nodes::host_and_port;

/// How often a query is asked that failed for no fault of its rows.
const ATTEMPTS: usize = 3;

pub(crate) async fn fit(args: &FitArgs) -> Result<(), SqlError> {
    let columns = format!("{}, {}", name(&args.rows.logits), label(args)?);
    let weight = args.weight.as_ref().map_or(String::new(), |column| format!(", {}", name(column)));
    let mut answer = ask(args, &format!("temperature_fit({columns}{weight})")).await?;
    if !args.once
        && let Some(near) = near(args, &answer)?
    {
        answer = ask(args, &format!("temperature_fit_near({columns}, {near}{weight})")).await?;
    }
    let mut output = Output::open(None, Some(args.format), answer.schema())?;
    output.write(&answer)?;
    output.finish()
}

/// What an aggregate of the rows is, as `fit`; of every group, where there are groups.
async fn ask(args: &FitArgs, call: &str) -> Result<RecordBatch, SqlError> {
    let from = format!("from {}", text(&args.rows.files));
    let condition = args.condition.as_ref().map_or(String::new(), |rows| format!(" where {rows}"));
    let query = match &args.by {
        Some(by) => {
            let by = name(by);
            format!("select {by}, {call} as fit {from}{condition} group by {by} order by {by}")
        }
        None => format!("select {call} as fit {from}{condition}"),
    };
    let mut attempt = 1;
    loop {
        let context = remote(&args.rows, usize::from(args.tasks)).await?;
        let asked = async {
            FileTables::register(&context, &query).await?;
            context.sql(&query).await
        };
        let frame = asked.await.map_err(|error| {
            let is_of_names = Refused::within(&error)
                .is_some_and(|refused| refused.hint().contains("case label"));
            let error = SqlError::from(error);
            if is_of_names {
                error.hint("--classes FILE says which class each name is")
            } else {
                error
            }
        })?;
        let schema = std::sync::Arc::new(frame.schema().as_arrow().clone());
        match frame.collect().await {
            Ok(batches) => {
                let schema = batches.first().map_or(schema, |batch| batch.schema());
                return Ok(concat_batches(&schema, &batches).map_err(DataFusionError::from)?);
            }
            Err(error) if attempt < ATTEMPTS && !is_of_rows(&error) => {
                eprintln!("warning: asked again, because: {}", error.strip_backtrace());
                attempt += 1;
            }
            Err(error) => return Err(placed(&query, error).await),
        }
    }
}

/// The temperatures of an answer in SQL, as what lies near those of its rows; `None` where there are none.
fn near(args: &FitArgs, answer: &RecordBatch) -> Result<Option<String>, SqlError> {
    let fits = answer.column(answer.num_columns() - 1).as_struct();
    let taus = fits.column(1).as_primitive::<Float64Type>();
    if taus.null_count() == taus.len() {
        return Ok(None);
    }
    let Some(by) = &args.by else { return Ok(Some(format!("{:?}", taus.value(0)))) };
    let groups = cast(answer.column(0), &DataType::Utf8).map_err(DataFusionError::from)?;
    let groups = groups.as_string::<i32>();
    let (mut of_null, mut of_others) = ("null".to_owned(), String::new());
    for (group, tau) in groups.iter().zip(taus) {
        match (group, tau) {
            (Some(group), Some(tau)) => {
                of_others.push_str(&format!(" when {} then {tau:?}", text(group)));
            }
            (None, Some(tau)) => of_null = format!("{tau:?}"),
            (_, None) => {}
        }
    }
    // One that is never there, so that there is one.
    let of_others = format!("case cast({} as varchar){of_others} when null then 1.0 end", name(by));
    Ok(Some(format!("case when {} is null then {of_null} else {of_others} end", name(by))))
}

pub(crate) async fn apply(args: &ApplyArgs) -> Result<(), SqlError> {
    let tau: softargmax::Temperature = args.tau.parse().map_err(SqlError::refused)?;
    let files = FileTables::files(&SessionContext::new(), &args.rows.files).await?;
    let context = remote(&args.rows, 1).await?;
    let unwritten = |error| SqlError::refused(format!("{}: {error}", args.output.display()));
    std::fs::create_dir_all(&args.output).map_err(unwritten)?;
    let output = std::fs::canonicalize(&args.output).map_err(unwritten)?;
    let mut todo: Vec<(String, PathBuf)> = Vec::new();
    for file in files {
        let stem = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let target = output.join(format!("{stem}.parquet"));
        if std::fs::canonicalize(&file).is_ok_and(|file| file == target) {
            let reason = format!("{} lies in the folder for the new files", target.display());
            return Err(SqlError::refused(reason).hint("give another folder: -o DIR"));
        }
        if todo.iter().any(|(_, other)| *other == target) {
            let reason = format!("two files would become {}", target.display());
            return Err(SqlError::refused(reason).hint("apply to one folder at a time"));
        }
        todo.push((file, target));
    }
    let all = todo.len();
    todo.retain(|(_, target)| !target.exists());
    // Whatever the temperature was written as is what it is.
    let call = format!("softmax({}, {})", name(&args.rows.logits), text(args.tau.trim()));
    let work = todo.iter().map(|(file, target)| {
        let query = format!("select *, {call} as {} from {}", name(&args.name), text(file));
        one_file(&context, query, target)
    });
    let there = all - todo.len();
    // Once a file has failed no other is begun; those in flight are waited for, whose executors would write on.
    let failed = RefCell::new(None);
    futures::stream::iter(work)
        .take_while(|_| ready(failed.borrow().is_none()))
        .buffer_unordered(usize::from(args.tasks))
        .for_each(|done| {
            if let Err(error) = done {
                failed.borrow_mut().get_or_insert(error);
            }
            ready(())
        })
        .await;
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    println!(
        "{} files at temperature {tau} in {}, {there} of them were there",
        all,
        output.display()
    );
    Ok(())
}

/// Has one file written, beside its target first.
async fn one_file(context: &SessionContext, query: String, target: &Path) -> Result<(), SqlError> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let unwritten = |error| SqlError::refused(format!("{}: {error}", target.display()));
    // Gone in the end, whatever an executor that died has left in it.
    let beside =
        tempfile::Builder::new().prefix(".softargmax-").tempdir_in(folder).map_err(unwritten)?;
    let mut attempt = 1;
    loop {
        let part = beside.path().join(format!("{attempt}.parquet"));
        FileTables::register(context, &query).await?;
        let frame = context.sql(&query).await?;
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        match frame.write_parquet(&part.display().to_string(), options, None).await {
            Ok(_) => return std::fs::rename(&part, target).map_err(unwritten),
            Err(error) if attempt < ATTEMPTS && !is_of_rows(&error) => attempt += 1,
            Err(error) => return Err(placed(&query, error).await),
        }
    }
}

/// A session whose queries the cluster answers.
async fn remote(args: &RowsArgs, tasks: usize) -> Result<SessionContext, SqlError> {
    let (host, port) = host_and_port(&args.scheduler)?;
    let reached = tokio::net::TcpStream::connect((host.as_str(), port)).await;
    reached.map_err(|error| {
        SqlError::refused(format!("the scheduler at {host}:{port} cannot be reached: {error}"))
            .hint("start softargmax-cluster scheduler, and tell its address with --scheduler")
    })?;
    let config = SessionConfig::new_with_ballista().with_target_partitions(tasks);
    let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
    let context = SessionContext::remote_with_state(&format!("df://{host}:{port}"), state).await?;
    // After that: what the state had is replaced.
    register_all(&context);
    Ok(context)
}

/// Whether a function refused a row, which it would do again.
fn is_of_rows(error: &DataFusionError) -> bool {
    Refused::from_words(&error.to_string()).is_some()
}

/// The error, with the file and the row it is about, where this machine finds such a place.
async fn placed(query: &str, error: DataFusionError) -> SqlError {
    let refused = Refused::from_words(&error.to_string());
    let local = SessionContext::new();
    register_all(&local);
    let found = match FileTables::register(&local, query).await {
        Ok(()) => locate(&local, query, refused.as_ref()).await,
        Err(error) => return error.into(),
    };
    match (found, refused) {
        (Some(place), refused) => {
            let hint = place.hint(refused.as_ref()).to_owned();
            SqlError::refused(place).hint(hint)
        }
        (None, Some(refused)) => DataFusionError::from(refused).into(),
        (None, None) => error.into(),
    }
}

/// The label of a row in SQL. A name that no class has gives NULL, which is refused with its row.
fn label(args: &FitArgs) -> Result<String, SqlError> {
    let column = name(&args.label);
    let Some(path) = &args.classes else { return Ok(column) };
    let file = path.display();
    let names = std::fs::read_to_string(path)
        .map_err(|error| SqlError::refused(format!("{file}: cannot be read: {error}")))?;
    let names: Vec<&str> = names.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(twice) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        return Err(SqlError::refused(format!(
            "{file}: two classes are called '{}'",
            names[twice]
        )));
    }
    if names.is_empty() {
        return Err(SqlError::refused(format!("{file}: names no class")).hint("a name a line"));
    }
    let cases = names.iter().enumerate();
    let cases = cases.map(|(class, name)| format!(" when {} then {class}", text(name)));
    Ok(format!("case {column}{} end", cases.collect::<String>()))
}

/// A name of a column in SQL.
fn name(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// A text in SQL; a path in quotes is the name of a table.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
