//! The rows that are drawn from, one at a time: numbers that were typed, or a file that is read once.

use softargmax::Error;

use crate::args::Logits;
use crate::error::CliError;
use crate::input::{ReadOptions, Source};

/// Numbers read at a time.
const BLOCK: usize = 1 << 18;
/// Where all rows are needed at once: 256 MiB, and a check holds five times as much beside them.
const LIMIT: usize = 1 << 25;

/// Rows of logits and where they come from.
pub(super) struct LogitRows {
    /// `None` of numbers that were typed.
    source: Option<Source>,
    block: Vec<f64>,
    classes: usize,
    /// The row that the block begins with, and how many are in it.
    first: usize,
    in_block: usize,
    is_single: bool,
}

impl LogitRows {
    pub(super) fn open(logits: Logits) -> Result<Self, CliError> {
        match logits {
            Logits::Numbers(block) => {
                let classes = block.len();
                Ok(Self { source: None, block, classes, first: 0, in_block: 1, is_single: true })
            }
            Logits::File(path) => {
                let mut source = Source::open(&path, &ReadOptions::default())?;
                let classes = source.classes();
                let mut rows = Self {
                    is_single: source.rows() == Some(1),
                    source: None,
                    block: Vec::new(),
                    classes,
                    first: 0,
                    in_block: 0,
                };
                rows.in_block = source.next_block(&mut rows.block, (BLOCK / classes).max(1))?;
                // How many lines a text has shows at its end: one that has had a single row may have more.
                if source.rows().is_none() && rows.in_block == 1 {
                    let mut second: Vec<f64> = Vec::new();
                    rows.in_block += source.next_block(&mut second, 1)?;
                    rows.block.extend(second);
                    rows.is_single = rows.in_block == 1;
                }
                rows.source = Some(source);
                Ok(rows)
            }
        }
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// Whether there is one row and no other.
    pub(super) fn is_single(&self) -> bool {
        self.is_single
    }

    /// The shape without the classes; of text it has no rows yet.
    pub(super) fn shape(&self) -> Vec<usize> {
        let shape = self.source.as_ref().map_or(&[][..], |source| source.layout().shape());
        shape.split_last().map_or_else(Vec::new, |(_, rows)| rows.to_vec())
    }

    /// Whether the number of rows shows only at the end.
    pub(super) fn is_open_ended(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.rows().is_none())
    }

    /// How many rows there are, if that is known before the end.
    pub(super) fn count(&self) -> Option<u64> {
        self.source.as_ref().map_or(Some(1), Source::rows)
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.source.as_ref().map(Source::name)
    }

    /// Shows `look` the first row, which stays.
    pub(super) fn peek(
        &self,
        look: impl FnOnce(&Self, &[f64]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        self.block.chunks_exact(self.classes).next().map_or(Ok(()), |logits| look(self, logits))
    }

    /// Gives `each` the rows in order, with their numbers.
    pub(super) fn for_each(
        &mut self,
        mut each: impl FnMut(&Self, usize, &[f64]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        loop {
            let block = std::mem::take(&mut self.block);
            for (row, logits) in (self.first..).zip(block.chunks_exact(self.classes)) {
                each(self, row, logits)?;
            }
            self.block = block;
            self.first += self.in_block;
            let Some(source) = &mut self.source else { return Ok(()) };
            self.in_block = source.next_block(&mut self.block, (BLOCK / self.classes).max(1))?;
            if self.in_block == 0 {
                source.note_guesses();
                return Ok(());
            }
        }
    }

    /// All of them, row after row.
    pub(super) fn collect(&mut self) -> Result<Vec<f64>, CliError> {
        let mut all = Vec::new();
        self.for_each(|rows, _, logits| {
            if all.len() + logits.len() > LIMIT {
                let error =
                    rows.refused(None, format!("more than the {LIMIT} numbers that are allowed"));
                return Err(error.hint("check some of the rows, with their draws"));
            }
            all.extend_from_slice(logits);
            Ok(())
        })?;
        Ok(all)
    }

    /// Why nothing can be drawn from a row.
    pub(super) fn explain(&self, row: Option<usize>, error: Error) -> CliError {
        match error {
            Error::LogitNan { class, .. } => {
                let refused =
                    self.refused(row, format!("class {class} is nan, so there is no distribution"));
                refused.hint("leave the row out, or put -inf for a class that cannot be drawn")
            }
            Error::AllMasked { .. } => {
                let reason =
                    "every class is masked or has a logit of -inf, so that none can be drawn";
                self.refused(row, reason).hint("leave at least one class unmasked")
            }
            error => self.refused(row, error),
        }
    }

    /// What is wrong with a row, or with all of them.
    pub(super) fn refused(&self, row: Option<usize>, reason: impl std::fmt::Display) -> CliError {
        match (&self.source, row) {
            (None, _) => CliError::refused(format!("these logits: {reason}")),
            (Some(source), None) => CliError::refused(format!("{}: {reason}", source.name())),
            (Some(source), Some(row)) => {
                let place = source.layout().place(row as u64);
                CliError::refused(format!("{}: {place}: {reason}", source.name()))
            }
        }
    }
}
