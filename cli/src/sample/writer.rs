//! Draws on their way out: as lines, as CSV, as .npy or as JSON, never more than a buffer of them at a time.
//!
//! ```text
//! lines, CSV   one row of logits: a draw a line · several: a line for each, with commas between its draws
//! .npy         int64, in the shape of the logits with the draws of a row in place of its classes
//! JSON         {…, "rows": [{"row": 0, "kept": 23, "draws": [{"token": 4, …}, …]}, …]}
//! ```

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::error::CliError;
use crate::output::{Format, Target, field, integers_header};

/// Bytes that go out together.
const BUFFER: usize = 64 * 1024;

/// Where the draws go, and as what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Text { delimiter: u8 },
    Npy,
    Json,
}

impl Form {
    /// Of a file, what its name says.
    pub(super) fn of(path: &Path) -> Option<Self> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            return Some(Form::Json);
        }
        match Format::of(path)? {
            Format::Npy => Some(Form::Npy),
            Format::Csv { delimiter } => Some(Form::Text { delimiter }),
            _ => None,
        }
    }
}

/// What the rows of draws look like.
pub(super) struct Shape {
    /// The shape of the logits without their classes, as far as it is known: of CSV, rows are counted at the end.
    pub(super) rows: Vec<usize>,
    pub(super) is_open_ended: bool,
    /// Whether there is one row and no other.
    pub(super) is_single: bool,
    /// How many draws of each row; `None` for one that needs no axis of its own.
    pub(super) draws: Option<usize>,
}

impl Shape {
    fn axes(&self, rows: usize) -> Vec<usize> {
        let mut axes = if self.is_open_ended { vec![rows] } else { self.rows.clone() };
        axes.extend(self.draws);
        // A number on its own has no axes, and a file of draws has one.
        if axes.is_empty() { vec![1] } else { axes }
    }
}

pub(super) struct Writer {
    target: Target,
    form: Form,
    shape: Shape,
    /// What JSON calls what a row has.
    items: &'static str,
    buffer: Vec<u8>,
    rows: usize,
    /// Draws of the row so far.
    drawn: u64,
}

impl Writer {
    /// `document` is what a JSON object begins with.
    pub(super) fn open(
        path: Option<&Path>,
        form: Form,
        shape: Shape,
        items: &'static str,
        document: &impl Serialize,
    ) -> Result<Self, CliError> {
        let mut target = Target::open(path.unwrap_or(Path::new("-")))?;
        let mut buffer = Vec::with_capacity(BUFFER);
        match form {
            Form::Text { .. } => {}
            Form::Npy if target.is_terminal() => {
                return Err(CliError::refused(".npy is not for terminals")
                    .hint("name a file: -o draws.npy"));
            }
            Form::Npy => {
                if shape.is_open_ended {
                    target = target.into_patchable()?;
                }
                buffer.extend(integers_header(&shape.axes(0)));
            }
            Form::Json => {
                // Whole or not at all, also where it is printed.
                target = target.into_patchable()?;
                serde_json::to_writer(&mut buffer, document).map_err(CliError::internal)?;
                // The object stays open for its rows.
                buffer.pop();
                buffer.extend(b",\"rows\":[");
            }
        }
        Ok(Self { target, form, shape, items, buffer, rows: 0, drawn: 0 })
    }

    /// Begins the next row; `about` is what JSON says of it.
    pub(super) fn begin_row(&mut self, about: &impl Serialize) -> Result<(), CliError> {
        if self.form == Form::Json {
            if self.rows > 0 {
                self.buffer.push(b',');
            }
            serde_json::to_writer(&mut self.buffer, about).map_err(CliError::internal)?;
            self.buffer.pop();
            self.buffer.extend(format!(",\"{}\":[", self.items).as_bytes());
        }
        self.drawn = 0;
        Ok(())
    }

    /// The next draw of the row, as its word if it has one; `details` is what JSON says of it.
    pub(super) fn draw(
        &mut self,
        token: u32,
        word: Option<&str>,
        details: &impl Serialize,
    ) -> Result<(), CliError> {
        let is_first = self.drawn == 0;
        self.drawn += 1;
        match self.form {
            Form::Text { delimiter } => {
                if !is_first {
                    self.buffer.push(if self.shape.is_single { b'\n' } else { delimiter });
                }
                // Writing to a Vec cannot fail.
                match word {
                    None => _ = write!(self.buffer, "{token}"),
                    Some(word) if self.shape.is_single => self.buffer.extend(word.as_bytes()),
                    Some(word) => self.buffer.extend(field(word, delimiter).as_bytes()),
                }
            }
            Form::Npy => self.buffer.extend(i64::from(token).to_le_bytes()),
            Form::Json => {
                if !is_first {
                    self.buffer.push(b',');
                }
                serde_json::to_writer(&mut self.buffer, details).map_err(CliError::internal)?;
            }
        }
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    pub(super) fn end_row(&mut self) -> Result<(), CliError> {
        self.rows += 1;
        match self.form {
            Form::Text { .. } => self.buffer.push(b'\n'),
            Form::Npy => {}
            Form::Json => self.buffer.extend(b"]}"),
        }
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CliError> {
        self.target.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Puts the output in its place.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        if self.form == Form::Json {
            self.buffer.extend(b"]}\n");
        }
        self.flush()?;
        if self.form == Form::Npy && self.shape.is_open_ended {
            self.target.patch(&integers_header(&self.shape.axes(self.rows)))?;
        }
        self.target.finish()
    }
}
