//! Results to a file or a stream, a block of rows at a time.
//!
//! An array goes out in the layout it came in, row-major, whatever the axis that was normalised. An
//! output that does not say how many rows it will have (from CSV) has the count filled in at the end;
//! on a stream it is held back in a temporary file for that.

mod csv;
mod interrupt;
mod npy;
mod target;

use std::ffi::OsStr;
use std::path::Path;

use crate::error::CliError;
use crate::input::{Dtype, Layout, Number, Source, is_stream};
pub(crate) use csv::field;
pub(crate) use npy::integers_header;
pub(crate) use target::Target;

/// Numbers encoded at a time.
const CHUNK: usize = 32 * 1024;

/// A file format, with what has to be known to write it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Npy,
    Csv { delimiter: u8 },
}

impl Format {
    /// What the name of a file says; standard output says .npy.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        if is_stream(path) {
            return Some(Format::Npy);
        }
        match path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
            "npy" => Some(Format::Npy),
            "csv" => Some(Format::Csv { delimiter: b',' }),
            "tsv" => Some(Format::Csv { delimiter: b'\t' }),
            _ => None,
        }
    }
}

/// An output under way. Dropped before it is finished, a file leaves nothing behind.
pub(crate) struct Sink {
    target: Target,
    encoder: Encoder,
    dtype: Dtype,
    layout: Layout,
    rows: u64,
    is_open_ended: bool,
}

enum Encoder {
    Npy(Vec<u8>),
    Csv(csv::Lines, String),
}

impl Sink {
    /// Begins an output of the rows of `source`, in its layout and with its header.
    pub(crate) fn create(
        path: &Path,
        format: Format,
        dtype: Dtype,
        source: &Source,
    ) -> Result<Self, CliError> {
        let layout = source.layout().clone();
        let shape = layout.shape();
        let is_open_ended = source.rows().is_none();
        let refused = |why: &str, hint: &str| {
            let path = path.display();
            Err(CliError::refused(format!("{path}: cannot be written: {why}")).hint(hint))
        };
        if matches!(format, Format::Csv { .. }) && shape.len() > 2 {
            return refused(&format!("CSV has 2 axes, not {}", shape.len()), "write it as .npy");
        }
        let mut target = Target::open(path)?;
        let encoder = match format {
            Format::Npy if target.is_terminal() => {
                return refused(".npy is not for terminals", "add --format csv, or -o FILE.npy");
            }
            Format::Npy => {
                if is_open_ended {
                    target = target.into_patchable()?;
                }
                target.write(&npy::header(dtype, shape))?;
                Encoder::Npy(Vec::new())
            }
            Format::Csv { delimiter } => {
                let lines = csv::Lines::new(delimiter, shape.last().copied().unwrap_or(1));
                if let Some(names) = source.class_names() {
                    target.write(lines.header(names).as_bytes())?;
                }
                Encoder::Csv(lines, String::new())
            }
        };
        Ok(Self { target, encoder, dtype, layout, rows: 0, is_open_ended })
    }

    /// Writes the next rows, as many at a time as [`Source::next_block`] gave.
    pub(crate) fn write_block<T: Number>(&mut self, block: &[T]) -> Result<(), CliError> {
        let (classes, inner) = (self.layout.classes(), self.layout.inner());
        self.rows += (block.len() / classes) as u64;
        if inner == 1 {
            return block.chunks(CHUNK).try_for_each(|numbers| self.write(numbers));
        }
        let mut numbers = Vec::with_capacity(CHUNK);
        for panel in block.chunks(inner * classes) {
            for (class, row) in
                (0..classes).flat_map(|class| (0..inner).map(move |row| (class, row)))
            {
                numbers.push(panel[row * classes + class]);
                if numbers.len() == CHUNK {
                    self.write(&numbers)?;
                    numbers.clear();
                }
            }
        }
        self.write(&numbers)
    }

    fn write<T: Number>(&mut self, numbers: &[T]) -> Result<(), CliError> {
        match &mut self.encoder {
            Encoder::Npy(bytes) => {
                bytes.clear();
                npy::encode(numbers, self.dtype, bytes);
                self.target.write(bytes)
            }
            Encoder::Csv(lines, text) => {
                text.clear();
                lines.encode(numbers, self.dtype, text);
                self.target.write(text.as_bytes())
            }
        }
    }

    /// Puts the output in its place.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        if self.is_open_ended && matches!(self.encoder, Encoder::Npy(_)) {
            let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
            let shape = [rows, self.layout.classes()];
            self.target.patch(&npy::header(self.dtype, &shape))?;
        }
        self.target.finish()
    }
}
