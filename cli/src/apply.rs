//! `softargmax apply`: a file of logits to a file of probabilities.
//!
//! ```text
//! read a block of rows → note NaN rows, refuse rows without a distribution → softmax in place → write
//! ```
//!
//! One block is all that is held in memory. Where the output has the type of the input, that type is
//! worked in; otherwise f64 is, into which every input widens exactly, and results are rounded once. A fit
//! that is more than a temperature is applied in f64, by way of log-probabilities.

use half::f16;
use serde::Serialize;
use softargmax::{Element, RowsMut, Temperature, log_softmax_in_place, softmax_in_place};

use crate::args::{self, ApplyArgs};
use crate::error::CliError;
use crate::fit::applied::Applied as Fit;
use crate::input::{Dtype, Number, ReadOptions, Source, is_stream};
use crate::json;
use crate::output::{Format, Sink};
use crate::progress::Progress;

/// Numbers in a block: enough that every thread has work, few enough to stay in a cache.
const BLOCK: usize = 1 << 20;

pub(crate) fn run(args: &ApplyArgs) -> Result<(), CliError> {
    let is_to_stdout = is_stream(&args.output);
    if args.json && is_to_stdout {
        return Err(CliError::refused("standard output cannot take both the result and --json")
            .hint("name a file: -o probs.npy"));
    }
    let delimiter = args.delimiter.map(delimiter).transpose()?;
    let format = format(args, delimiter)?;
    let options = ReadOptions { axis: args.axis, delimiter, top_k: args.top_k.top_k(false)? };
    let mut source = Source::open(&args.logits, &options)?;
    let dtype = args.dtype.map_or(source.dtype(), Dtype::from);
    let by = By::of(args, &source)?;
    let name = if args.log { "log_probabilities" } else { "probabilities" };
    let mut sink = Sink::create(&args.output, format, name, dtype, &source)?;

    let job = Job { by, log: args.log, threads: threads(args.threads)? };
    let is_plain = matches!(job.by, By::Temperature(_));
    let done = match (is_plain && dtype == source.dtype(), dtype) {
        (true, Dtype::F16) => job.stream::<f16>(&mut source, &mut sink)?,
        (true, Dtype::F32) => job.stream::<f32>(&mut source, &mut sink)?,
        _ => job.stream::<f64>(&mut source, &mut sink)?,
    };
    if let By::Fit(fit) = &job.by {
        fit.expect_rows(&source, done.rows)?;
    }
    sink.finish()?;

    source.note_guesses();
    if let Some(first) = done.first_nan_row {
        let rows =
            if done.nan_rows == 1 { "1 row has" } else { &format!("{} rows have", done.nan_rows) };
        anstream::eprintln!(
            "warning: {}: {rows} a nan and came out as nan; the first is {}",
            source.name(),
            source.layout().place(first)
        );
    }
    if args.json {
        json::print(&Document {
            schema: "softargmax.apply/1",
            rows: done.rows,
            classes: source.classes(),
            dtype: dtype.to_string(),
            temperature: job.by.temperature(),
            output: args.output.display().to_string(),
            log: args.log,
            nan_rows: done.nan_rows,
        })?;
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    schema: &'static str,
    rows: u64,
    classes: usize,
    dtype: String,
    /// Null where it is not all there is to a fit.
    #[serde(serialize_with = "json::optional_temperature")]
    temperature: Option<Temperature>,
    output: String,
    log: bool,
    nan_rows: u64,
}

/// What makes probabilities of logits.
enum By {
    Temperature(Temperature),
    Fit(Box<Fit>),
}

impl By {
    /// Reads the fit, if it is one. One that is only a temperature is taken as that.
    fn of(args: &ApplyArgs, source: &Source) -> Result<Self, CliError> {
        match (args.temperature, &args.fit) {
            (Some(temperature), _) => Ok(By::Temperature(temperature)),
            (None, Some(path)) => {
                let fit = Fit::open(path, args.groups.as_deref(), source)?;
                Ok(fit.temperature().map_or_else(|| By::Fit(Box::new(fit)), By::Temperature))
            }
            (None, None) => Err(CliError::internal("neither a temperature nor a fit")),
        }
    }

    fn temperature(&self) -> Option<Temperature> {
        match self {
            By::Temperature(temperature) => Some(*temperature),
            By::Fit(_) => None,
        }
    }
}

/// What is done to every block.
struct Job {
    by: By,
    log: bool,
    /// `None` for as many as there are.
    threads: Option<rayon::ThreadPool>,
}

/// What was done.
#[derive(Default)]
struct Done {
    rows: u64,
    nan_rows: u64,
    first_nan_row: Option<u64>,
}

impl Job {
    /// The whole of `source`, worked in T.
    fn stream<T: Number + Element>(
        &self,
        source: &mut Source,
        sink: &mut Sink,
    ) -> Result<Done, CliError> {
        let classes = source.classes();
        let max_rows = BLOCK / classes;
        let mut progress = Progress::new(source.rows());
        let mut done = Done::default();
        let mut block: Vec<T> = Vec::new();
        loop {
            let rows = source.next_block(&mut block, max_rows)? as u64;
            if rows == 0 {
                return Ok(done);
            }
            if let By::Fit(fit) = &self.by {
                fit.to_logits(source, &mut block, done.rows)?;
            }
            for (row, logits) in (done.rows..).zip(block.chunks(classes)) {
                if logits.iter().fold(false, |nan, x| nan | Number::is_nan(*x)) {
                    done.nan_rows += 1;
                    done.first_nan_row.get_or_insert(row);
                } else if logits.iter().all(|x| Number::to_f64(*x) == f64::NEG_INFINITY) {
                    return Err(no_distribution(source, row));
                }
            }
            self.transform(&mut block, classes, done.rows)?;
            sink.write_block(&block)?;
            done.rows += rows;
            progress.advance(rows);
        }
    }

    /// Logits to probabilities, or their logarithms; `first` is the row of the source that the block begins with.
    fn transform<T: Number + Element>(
        &self,
        block: &mut [T],
        classes: usize,
        first: u64,
    ) -> Result<(), CliError> {
        // The reader gives whole rows, so nothing is left that could be wrong.
        let mut work = || match &self.by {
            By::Temperature(temperature) => {
                let rows = RowsMut::new(block, classes)?;
                match self.log {
                    true => log_softmax_in_place(rows, *temperature),
                    false => softmax_in_place(rows, *temperature),
                }
            }
            By::Fit(fit) => fit.transform(block, classes, first, self.log),
        };
        let done = match &self.threads {
            Some(pool) => pool.install(work),
            None => work(),
        };
        done.map_err(CliError::internal)
    }
}

fn no_distribution(source: &Source, row: u64) -> CliError {
    let place = source.layout().place(row);
    CliError::refused(format!(
        "{}: {place}: every entry is -inf, so it has no distribution",
        source.name()
    ))
    .hint("leave the row out, or leave at least one class unmasked")
}

impl From<args::Dtype> for Dtype {
    fn from(dtype: args::Dtype) -> Self {
        match dtype {
            args::Dtype::F16 => Dtype::F16,
            args::Dtype::F32 => Dtype::F32,
            args::Dtype::F64 => Dtype::F64,
        }
    }
}

fn format(args: &ApplyArgs, delimiter: Option<u8>) -> Result<Format, CliError> {
    let named = Format::of(&args.output);
    let format = match (args.format, named) {
        (Some(args::Format::Npy), _) => Format::Npy,
        (Some(args::Format::Csv), Some(Format::Csv { delimiter })) => Format::Csv { delimiter },
        (Some(args::Format::Csv), _) => Format::Csv { delimiter: b',' },
        (Some(args::Format::Safetensors), _) => Format::Safetensors,
        (Some(args::Format::Jsonl), _) => Format::Jsonl,
        (Some(args::Format::Parquet), _) => Format::Parquet,
        (Some(args::Format::Arrow), _) => Format::Arrow,
        (Some(args::Format::ArrowStream), _) => Format::ArrowStream,
        (None, Some(named)) => named,
        (None, None) => {
            let path = args.output.display();
            return Err(CliError::refused(format!("{path}: the name does not say which format"))
                .hint("name it .npy, .safetensors, .parquet, .arrow, .jsonl, .csv or .tsv, or add --format"));
        }
    };
    Ok(match (format, delimiter) {
        (Format::Csv { .. }, Some(delimiter)) => Format::Csv { delimiter },
        _ => format,
    })
}

/// A delimiter that cannot be part of a number, a quote or a line end.
fn delimiter(character: char) -> Result<u8, CliError> {
    match character {
        ',' | '\t' | ';' | '|' | ':' | ' ' => Ok(character as u8),
        _ => Err(CliError::refused(format!("{character:?} cannot separate numbers"))
            .hint("--delimiter is one of , ; | : a space or a tab")),
    }
}

/// Threads of our own, where a number of them was asked for.
pub(crate) fn threads(count: Option<u16>) -> Result<Option<rayon::ThreadPool>, CliError> {
    let build = |count| rayon::ThreadPoolBuilder::new().num_threads(usize::from(count)).build();
    let pool = count.map(build).transpose();
    pool.map_err(|e| CliError::refused(format!("cannot start so many threads: {e}")))
}
