//! Logits of several files, row by row together: each gives the rows it has at hand, and none more than all have.

use std::path::Path;

use softargmax::Error;

use crate::error::CliError;
use crate::input::{ReadOptions, Source, is_stream};

/// Numbers read at a time.
const BLOCK: usize = 1 << 19;

/// A file of logits, some rows of which are at hand.
pub(crate) struct InStep {
    pub(crate) source: Source,
    block: Vec<f64>,
    /// How many rows of the block are done.
    done: usize,
    /// How many rows of the file are done.
    row: u64,
}

impl InStep {
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        let source = Source::open(path, &ReadOptions::default())?;
        Ok(Self { source, block: Vec::new(), done: 0, row: 0 })
    }

    /// Of several inputs only one can be standard input.
    pub(crate) fn expect_one_stream(paths: &[Option<&Path>]) -> Result<(), CliError> {
        if paths.iter().flatten().filter(|path| is_stream(path)).count() > 1 {
            return Err(CliError::refused("standard input can be read once, and two inputs are -")
                .hint("save one of them as a file and name that"));
        }
        Ok(())
    }

    pub(crate) fn classes(&self) -> usize {
        self.source.classes()
    }

    /// How many rows are at hand, after more were read where there were none; 0 at the end.
    pub(crate) fn available(&mut self) -> Result<usize, CliError> {
        let classes = self.classes();
        if self.block.len() == self.done * classes {
            self.done = 0;
            self.source.next_block(&mut self.block, (BLOCK / classes).max(1))?;
        }
        Ok(self.block.len() / classes - self.done)
    }

    /// The next rows, of those at hand.
    pub(crate) fn take(&mut self, rows: usize) -> &[f64] {
        let classes = self.classes();
        let first = self.done * classes;
        (self.done, self.row) = (self.done + rows, self.row + rows as u64);
        &self.block[first..first + rows * classes]
    }

    /// The name of one of the `rows` rows that were taken last.
    pub(crate) fn place(&self, rows: usize, row: usize) -> String {
        self.source.layout().place(self.row - rows as u64 + row as u64)
    }

    /// What the library refused of rows that were taken last, `rows` of them, with the row of the file.
    pub(crate) fn refuse(&self, rows: usize, error: Error) -> CliError {
        let name = self.source.name();
        match error {
            Error::Row { row, reason } => {
                let place = self.place(rows, row);
                CliError::refused(format!("{name}: {place}: {reason}"))
                    .hint("leave the row out, in every file")
            }
            error => CliError::refused(format!("{name}: {error}")),
        }
    }
}
