//! `softargmax sample`: draws from the rows of a file, the distribution they come from, and checks of draws.
//!
//! ```text
//! what was typed → Settings (settings.rs) → a row at a time (rows.rs) → draws (here) → Writer (writer.rs)
//!                                                                    → Distribution (distribution.rs)
//! all rows, with somebody's draws → check/
//! ```

pub(crate) mod check;
pub(crate) mod distribution;
mod rows;
mod settings;
mod writer;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use softargmax::{Draw, SamplingParams};

use crate::args::{Logits, SampleArgs};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{json, report};
use distribution::Engine;
use rows::LogitRows;
use settings::Settings;
use writer::{Form, Shape, Writer};

const SCHEMA: &str = "softargmax.sample/1";
/// Draws that are held at once.
const CHUNK: usize = 4096;
/// Exit code: the draws are not from that distribution.
const FAILED: u8 = 4;

pub(crate) fn run(args: &SampleArgs) -> Result<ExitCode, CliError> {
    let mut rows = LogitRows::open(Logits::from_words(&args.logits)?)?;
    let classes = rows.classes();
    let settings = Settings::from_args(&args.parameters, &args.chance, classes)?;
    let words =
        args.names.as_deref().map(|path| crate::input::read_words(path, classes)).transpose()?;
    if let Some(observed) = &args.check {
        return check(args, &mut rows, &settings, observed, words.as_deref());
    }
    if args.distribution {
        show(args, &mut rows, &settings, words.as_deref())?;
    } else {
        draw(args, &mut rows, &settings, words)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What JSON begins with.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// Null of numbers that were typed.
    file: Option<&'a str>,
    classes: usize,
    parameters: &'a SamplingParams,
    stream: u64,
    position: u64,
    without_replacement: bool,
}

/// What JSON says of a row.
#[derive(Serialize)]
struct Row {
    row: usize,
    /// How many classes could be drawn.
    kept: usize,
}

/// What JSON says of a draw.
#[derive(Serialize)]
struct Details<'a> {
    token: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    word: Option<&'a str>,
    /// Of softmax(logits) as they were read.
    #[serde(serialize_with = "json::real")]
    raw_log_prob: f64,
    /// Of softmax(logits/τ), after bias, penalties and mask.
    #[serde(serialize_with = "json::real")]
    tempered_log_prob: f64,
    /// Of the distribution that was drawn from.
    #[serde(serialize_with = "json::real")]
    log_prob: f64,
}

impl<'a> Details<'a> {
    fn new(draw: &Draw, word: Option<&'a str>) -> Self {
        let Draw { token, raw_log_prob, tempered_log_prob, log_prob, .. } = *draw;
        Self { token, word, raw_log_prob, tempered_log_prob, log_prob }
    }
}

fn document<'a>(args: &SampleArgs, rows: &'a LogitRows, settings: &'a Settings) -> Document<'a> {
    Document {
        schema: SCHEMA,
        file: rows.name(),
        classes: rows.classes(),
        parameters: &settings.params,
        stream: args.chance.stream,
        position: args.chance.position,
        without_replacement: args.without_replacement,
    }
}

fn draw(
    args: &SampleArgs,
    rows: &mut LogitRows,
    settings: &Settings,
    words: Option<Vec<String>>,
) -> Result<(), CliError> {
    let form = form(args)?;
    if form == Form::Npy && words.is_some() {
        return Err(CliError::refused(".npy files have no words")
            .hint("name the output .csv, or leave out --names"));
    }
    let (stream, position) = (args.chance.stream, args.chance.position);
    let is_shown = form != Form::Json && args.output.is_none() && std::io::stdout().is_terminal();
    let draws = usize::try_from(args.draws.unwrap_or(1)).map_err(CliError::refused)?;
    let classes = rows.classes();
    if args.without_replacement && draws > classes {
        let reason = format!("{draws} different draws, and there are {classes} classes");
        return Err(rows
            .refused(None, reason)
            .hint("leave out --without-replacement, or draw less often"));
    }
    let shape = Shape {
        rows: rows.shape(),
        is_open_ended: rows.is_open_ended(),
        is_single: rows.is_single(),
        draws: args.draws.map(|_| draws),
    };
    let mut engine = Engine::new(settings).map_err(CliError::refused)?;
    if is_shown && rows.is_single() {
        rows.peek(|rows, logits| {
            let distribution = engine.distribution(logits).map_err(|e| rows.explain(None, e))?;
            report::sample::print_distribution(&distribution, words.as_deref(), None)
        })?;
    }
    let document = document(args, rows, settings);
    let mut writer = Writer::open(args.output.as_deref(), form, shape, "draws", &document)?;
    let mut progress = Progress::new(rows.count());
    // Without replacement they belong together.
    let chunk = if args.without_replacement { draws } else { CHUNK.min(draws) };
    let mut tokens = vec![0; chunk];
    let mut known: HashMap<u32, Draw> = HashMap::new();
    rows.for_each(|rows, row, logits| {
        let stream = stream.wrapping_add(row as u64);
        known.clear();
        let mut done = 0;
        while done < draws {
            let tokens = &mut tokens[..chunk.min(draws - done)];
            let position = position.saturating_add(done as u64);
            let drawn = match args.without_replacement {
                true => engine.draw_without_replacement(logits, stream, position, tokens),
                false => engine.draw(logits, stream, position, tokens),
            };
            drawn.map_err(|error| rows.explain(Some(row), error))?;
            if form == Form::Json {
                let kept = engine.describe(logits, tokens, &mut known);
                let kept = kept.map_err(|error| rows.explain(Some(row), error))?;
                if done == 0 {
                    writer.begin_row(&Row { row, kept })?;
                }
            } else if done == 0 {
                writer.begin_row(&())?;
            }
            for token in &*tokens {
                let word = words.as_ref().map(|words| words[*token as usize].as_str());
                let details = known.get(token).map(|draw| Details::new(draw, word));
                writer.draw(*token, word, &details)?;
            }
            done += tokens.len();
        }
        writer.end_row()?;
        progress.advance(1);
        Ok(())
    })?;
    writer.finish()
}

fn form(args: &SampleArgs) -> Result<Form, CliError> {
    match &args.output {
        _ if args.json => Ok(Form::Json),
        None => Ok(Form::Text { delimiter: b',' }),
        Some(path) => Form::of(path).ok_or_else(|| {
            CliError::refused(format!("{}: the name does not say which format", path.display()))
                .hint("name it .npy, .csv, .tsv or .json")
        }),
    }
}

/// Shows the distribution of every row.
fn show(
    args: &SampleArgs,
    rows: &mut LogitRows,
    settings: &Settings,
    words: Option<&[String]>,
) -> Result<(), CliError> {
    let mut engine = Engine::new(settings).map_err(CliError::refused)?;
    let mut writer = None;
    if args.json {
        let shape =
            Shape { rows: rows.shape(), is_open_ended: true, is_single: false, draws: None };
        let document = document(args, rows, settings);
        writer = Some(Writer::open(None, Form::Json, shape, "distribution", &document)?);
    }
    rows.for_each(|rows, row, logits| {
        let distribution = engine.distribution(logits).map_err(|e| rows.explain(Some(row), e))?;
        let Some(writer) = &mut writer else {
            let place = (!rows.is_single()).then(|| format!("row {row}"));
            return report::sample::print_distribution(&distribution, words, place.as_deref());
        };
        writer.begin_row(&Row { row, kept: distribution.entries.len() })?;
        for entry in &distribution.entries {
            let word = words.map(|words| words[entry.token as usize].as_str());
            writer.draw(entry.token, word, &distribution::Worded { entry, word })?;
        }
        writer.end_row()
    })?;
    writer.map_or(Ok(()), Writer::finish)
}

/// What `--check --json` prints.
#[derive(Serialize)]
struct CheckDocument<'a> {
    schema: &'static str,
    file: Option<&'a str>,
    observed: String,
    rows: usize,
    classes: usize,
    parameters: &'a SamplingParams,
    #[serde(flatten)]
    verdict: &'a check::Verdict,
}

/// Tests somebody's draws.
fn check(
    args: &SampleArgs,
    rows: &mut LogitRows,
    settings: &Settings,
    observed: &Path,
    words: Option<&[String]>,
) -> Result<ExitCode, CliError> {
    if !(args.level > 0.0 && args.level < 1.0) {
        return Err(CliError::refused(format!(
            "--level {} is not allowed: between 0 and 1",
            args.level
        )));
    }
    let (classes, logits) = (rows.classes(), rows.collect()?);
    // Of text, the shape is known now.
    let shape = if rows.is_open_ended() { vec![logits.len() / classes] } else { rows.shape() };
    let counted = check::count(observed, logits, classes, &shape)?;
    let explain = |row: usize, error| rows.explain(Some(row), error);
    let verdict = check::verdict(&counted, settings, args.level, words, explain)?;
    let observed = observed.display().to_string();
    if args.json {
        json::print(&CheckDocument {
            schema: "softargmax.sample-check/1",
            file: rows.name(),
            observed,
            rows: counted.len(),
            classes,
            parameters: &settings.params,
            verdict: &verdict,
        })?;
    } else {
        let claimed = settings.to_string();
        report::sample::print_check(&observed, counted.len(), classes, &claimed, &verdict)?;
    }
    Ok(if verdict.passed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
