//! `softargmax solve`: the temperature that gives an entropy, a perplexity or a max probability.

pub(crate) mod answer;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use softargmax::{Error, Rows, Statistics, Target, Temperature};

use crate::args::{Logits, SolveArgs};
use crate::error::CliError;
use crate::input::{ReadOptions, Source};
use crate::{json, report};
use answer::{Answer, Goal};

/// Temperatures are tried on all rows again and again, so they are held in memory: at most this many
/// numbers, 1 GiB.
const LIMIT: usize = 1 << 27;
/// Numbers read at a time.
const BLOCK: usize = 1 << 20;

/// Exit code: no temperature gives what was asked for.
const OUT_OF_REACH: u8 = 3;

pub(crate) fn run(args: &SolveArgs) -> Result<ExitCode, CliError> {
    let target = args.goal.target().ok_or_else(|| CliError::internal("no target was given"))?;
    let goal = Goal::from(target);
    let table = match Logits::from_words(&args.logits)? {
        Logits::Numbers(logits) => Table { file: None, classes: logits.len(), logits },
        Logits::File(path) => Table::read(&path)?,
    };
    let answers = if args.per_row { table.per_row(target)? } else { vec![table.mean(target)?] };
    let result = match answers.as_slice() {
        [answer] if !args.per_row => Answers::Mean(answer),
        rows => Answers::PerRow { rows },
    };
    if args.json {
        let (count, classes) = (table.count(), table.classes);
        json::print(&Document {
            schema: "softargmax.solve/1",
            target: goal,
            count,
            classes,
            result,
        })?;
    } else {
        match result {
            Answers::Mean(answer) => report::solve::print_mean(&table.subject(), goal, answer)?,
            Answers::PerRow { rows } => report::solve::print_rows(goal, rows)?,
        }
    }
    let all_in_reach = answers.iter().all(|answer| answer.attained.is_some());
    Ok(if all_in_reach { ExitCode::SUCCESS } else { ExitCode::from(OUT_OF_REACH) })
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    target: Goal,
    /// How many rows there are.
    count: usize,
    classes: usize,
    #[serde(flatten)]
    result: Answers<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answers<'a> {
    Mean(&'a Answer),
    PerRow { rows: &'a [Answer] },
}

/// Rows of logits, and the file they came from if they did.
struct Table {
    file: Option<String>,
    logits: Vec<f64>,
    classes: usize,
}

impl Table {
    fn read(path: &Path) -> Result<Self, CliError> {
        let mut source = Source::open(path, &ReadOptions::default())?;
        let (file, classes) = (source.name().to_owned(), source.classes());
        let mut table = Table { file: Some(file), logits: Vec::new(), classes };
        let mut block = Vec::new();
        while source.next_block::<f64>(&mut block, (BLOCK / classes).max(1))? > 0 {
            if table.logits.len() + block.len() > LIMIT {
                let refused =
                    table.refused(format!("more than the {LIMIT} numbers that are allowed"));
                return Err(refused.hint("take some of the rows: the answer will hardly differ"));
            }
            table.logits.extend_from_slice(&block);
        }
        source.note_guesses();
        if table.logits.is_empty() {
            return Err(table.refused("no rows, so there is no mean"));
        }
        Ok(table)
    }

    fn count(&self) -> usize {
        self.logits.len() / self.classes
    }

    /// How a sentence speaks of what the quantity belongs to.
    fn subject(&self) -> String {
        match (&self.file, self.count()) {
            (None, _) => "of these logits".to_owned(),
            (Some(file), 1) => format!("of the row in {file}"),
            (Some(file), count) => format!("over the {count} rows of {file}"),
        }
    }

    fn rows(&self) -> Result<Rows<'_, f64>, CliError> {
        Rows::new(&self.logits, self.classes).map_err(|error| self.explain(error))
    }

    fn statistics(&self, temperature: Temperature) -> Result<Vec<Statistics>, CliError> {
        softargmax::statistics(self.rows()?, temperature).map_err(|error| self.explain(error))
    }

    /// One temperature for the mean of the rows.
    fn mean(&self, target: Target) -> Result<Answer, CliError> {
        let solution = softargmax::solve_temperature(self.rows()?, target);
        let solution = solution.map_err(|error| self.explain(error))?;
        let zero = self.statistics(Temperature::ZERO)?;
        let infinite = self.statistics(Temperature::INFINITE)?;
        Answer::new(solution, Goal::from(target).quantity, &zero, &infinite)
    }

    /// One temperature for each row.
    fn per_row(&self, target: Target) -> Result<Vec<Answer>, CliError> {
        let solutions = softargmax::solve_temperature_per_row(self.rows()?, target);
        let solutions = solutions.map_err(|error| self.explain(error))?;
        let zero = self.statistics(Temperature::ZERO)?;
        let infinite = self.statistics(Temperature::INFINITE)?;
        let limits = zero.chunks(1).zip(infinite.chunks(1));
        let answer = |(solution, (zero, infinite)): (_, (&[_], &[_]))| {
            Answer::new(solution, Goal::from(target).quantity, zero, infinite)
        };
        solutions.into_iter().zip(limits).map(answer).collect()
    }

    /// What the library refused, said of what the user gave.
    fn explain(&self, error: Error) -> CliError {
        match (&self.file, error) {
            (None, Error::Row { reason, .. }) => {
                CliError::refused(format!("these logits have no distribution: {reason}"))
            }
            (_, error @ Error::Row { .. }) => self.refused(error),
            (_, error) => CliError::refused(error),
        }
    }

    fn refused(&self, message: impl fmt::Display) -> CliError {
        match &self.file {
            Some(file) => CliError::refused(format!("{file}: {message}")),
            None => CliError::refused(message),
        }
    }
}
