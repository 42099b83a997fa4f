//! What temperature does to a whole file: one pass, every temperature on each block of rows.

use std::path::Path;

use serde::Serialize;
use softargmax::{Rows, Statistics, Temperature};

use crate::error::CliError;
use crate::input::{ReadOptions, Source};
use crate::json;
use crate::progress::Progress;

/// A block of at most this many numbers (8 MiB of f64) is in memory at a time.
const BLOCK: usize = 1 << 20;

/// A file seen at several temperatures.
pub(crate) struct Sweep {
    pub(crate) file: String,
    pub(crate) count: u64,
    pub(crate) classes: usize,
    /// One per temperature, in the order given.
    pub(crate) rows: Vec<Summary>,
}

/// Means over the rows at one temperature.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    /// In nats.
    #[serde(serialize_with = "json::real")]
    pub(crate) mean_entropy: f64,
    /// exp(mean entropy): the geometric mean of the rows' perplexities.
    #[serde(serialize_with = "json::real")]
    pub(crate) perplexity: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) mean_max_probability: f64,
    pub(crate) rows_above_0_5: u64,
    pub(crate) rows_above_0_9: u64,
    pub(crate) rows_above_0_99: u64,
}

/// Sums over the rows seen so far. They are added one by one in the order of the file, so that the
/// result does not depend on the size of a block.
#[derive(Clone, Copy, Default)]
struct Tally {
    entropy: f64,
    max_probability: f64,
    above: [u64; 3],
}

impl Tally {
    fn add(&mut self, row: &Statistics) {
        self.entropy += row.entropy;
        self.max_probability += row.max_probability;
        for (count, threshold) in self.above.iter_mut().zip([0.5, 0.9, 0.99]) {
            *count += u64::from(row.max_probability > threshold);
        }
    }

    fn summary(&self, temperature: Temperature, count: u64) -> Summary {
        let mean_entropy = self.entropy / count as f64;
        let [rows_above_0_5, rows_above_0_9, rows_above_0_99] = self.above;
        Summary {
            temperature,
            mean_entropy,
            perplexity: mean_entropy.exp(),
            mean_max_probability: self.max_probability / count as f64,
            rows_above_0_5,
            rows_above_0_9,
            rows_above_0_99,
        }
    }
}

/// Reads the file once. A row without a distribution is refused.
pub(crate) fn sweep(path: &Path, temperatures: &[Temperature]) -> Result<Sweep, CliError> {
    let mut source = Source::open(path, &ReadOptions::default())?;
    let (file, classes) = (source.name().to_string(), source.classes());
    let mut tallies = vec![Tally::default(); temperatures.len()];
    let mut progress = Progress::new(source.rows());
    let mut block = Vec::new();
    let mut count = 0;
    loop {
        let read = source.next_block::<f64>(&mut block, (BLOCK / classes).max(1))?;
        if read == 0 {
            break;
        }
        check_rows(&source, &block, count)?;
        let rows = Rows::new(&block, classes).map_err(CliError::internal)?;
        for (tally, &temperature) in tallies.iter_mut().zip(temperatures) {
            let statistics = softargmax::statistics(rows, temperature);
            statistics.map_err(CliError::internal)?.iter().for_each(|row| tally.add(row));
        }
        count += read as u64;
        progress.advance(read as u64);
    }
    source.note_guesses();
    if count == 0 {
        return Err(CliError::refused(format!("{file}: no rows, so there are no means")));
    }
    let summary = |(tally, &temperature): (&Tally, _)| tally.summary(temperature, count);
    Ok(Sweep {
        count,
        classes,
        rows: tallies.iter().zip(temperatures).map(summary).collect(),
        file,
    })
}

/// Refuses a row that has no distribution: one would turn every mean into NaN.
fn check_rows(source: &Source, block: &[f64], before: u64) -> Result<(), CliError> {
    for (row, logits) in (before..).zip(block.chunks_exact(source.classes())) {
        let reason = if logits.iter().any(|x| x.is_nan()) {
            "it holds a nan"
        } else if logits.iter().all(|&x| x == f64::NEG_INFINITY) {
            "every entry is -inf"
        } else {
            continue;
        };
        let (name, place) = (source.name(), source.layout().place(row));
        let refused =
            CliError::refused(format!("{name}: {place}: {reason}, so it has no distribution"));
        return Err(refused.hint("leave the row out: it has no part in a mean"));
    }
    Ok(())
}
