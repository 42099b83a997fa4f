//! Logits from a file or a stream, a block of rows at a time.
//!
//! The format is told by the first bytes: what begins like a .npy file is one, everything else is CSV.
//! Numbers arrive in the type asked for, exactly or not at all. No more than [`MAX_NUMBERS`] of them
//! are held at once, whatever a header claims, so that a file may be larger than memory.

mod column;
mod csv;
mod dtype;
mod groups;
mod header;
mod labels;
mod layout;
mod npy;
mod tokens;
mod weights;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

pub(crate) use column::Beside;
pub(crate) use dtype::{Dtype, Number};
pub(crate) use groups::Groups;
pub(crate) use labels::{IGNORED, LabelOptions, Labels, read_class_names};
pub(crate) use layout::Layout;
pub(crate) use tokens::{read_mask, read_tokens, read_words};
pub(crate) use weights::read_weights;

use crate::error::CliError;

/// The most numbers that are held in memory at once: 128 MiB of f64. It bounds the length of a row,
/// and what can be transposed (Fortran order, another axis than the last).
pub(crate) const MAX_NUMBERS: usize = 1 << 24;

/// How to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOptions {
    /// The axis whose entries are the classes; negative counts from the end.
    pub(crate) axis: isize,
    /// What separates the fields of CSV; without it a tab in a .tsv file, else a comma.
    pub(crate) delimiter: Option<u8>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { axis: -1, delimiter: None }
    }
}

/// How far from 1 the sum of probabilities may be for the roundings of whoever wrote them: f16 has three
/// digits, and so may a text (no dtype).
pub(crate) fn tolerance(dtype: Option<Dtype>) -> f64 {
    match dtype {
        None | Some(Dtype::F16) => 1e-2,
        Some(Dtype::F32 | Dtype::F64) => 1e-3,
    }
}

/// Whether a path means standard input or output.
pub(crate) fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Opens a file; also says what messages call it, and its size where that cannot change by itself.
fn open(path: &Path) -> Result<(String, File, Option<u64>), InputError> {
    let name = path.display().to_string();
    let opened = File::open(path).and_then(|file| {
        let metadata = file.metadata()?;
        Ok((file, metadata.is_file().then_some(metadata.len())))
    });
    match opened {
        Ok((file, size)) => Ok((name, file, size)),
        Err(e) => Err(InputError::io(&e).within(&name)),
    }
}

/// An open file of logits.
pub(crate) struct Source {
    name: String,
    reader: Reader,
    /// The same open file, whose position the reader shares, if there is one to set.
    file: Option<File>,
}

enum Reader {
    Npy(npy::Reader),
    Csv(Box<csv::Reader>),
}

impl Source {
    /// Opens a file, or standard input for `-`, and reads as far as the first numbers.
    pub(crate) fn open(path: &Path, options: &ReadOptions) -> Result<Self, InputError> {
        if is_stream(path) {
            let stdin = Box::new(io::stdin().lock());
            return Self::from_reader("standard input".to_owned(), stdin, None, options);
        }
        let (name, file, size) = open(path)?;
        let same = if size.is_some() { file.try_clone().ok() } else { None };
        let source = Self::from_reader(name, Box::new(file), size, options)?;
        Ok(Self { file: same, ..source })
    }

    /// Says on stderr that the first line was not taken for numbers, if so: a note at the end of a run.
    pub(crate) fn note_header(&self) {
        if self.header().is_some() {
            let name = self.name();
            eprintln!("note: {name}: line 1 has no number in it and is taken for a header");
        }
    }

    /// Reads `input`, of `size` bytes if that is known. The name is for messages, and its extension
    /// helps to tell the format.
    pub(crate) fn from_reader(
        name: String,
        input: Box<dyn Read>,
        size: Option<u64>,
        options: &ReadOptions,
    ) -> Result<Self, InputError> {
        match Reader::new(&name, input, size, options) {
            Ok(reader) => Ok(Self { name, reader, file: None }),
            Err(error) => Err(error.within(&name)),
        }
    }

    /// What the input is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The narrowest type that has every number of the input; f64 for integers and CSV.
    pub(crate) fn dtype(&self) -> Dtype {
        match &self.reader {
            Reader::Npy(npy) => npy.dtype(),
            Reader::Csv(_) => Dtype::F64,
        }
    }

    /// How far from 1 the sum of a row of probabilities may be.
    pub(crate) fn tolerance(&self) -> f64 {
        match &self.reader {
            Reader::Npy(npy) => tolerance(Some(npy.dtype())),
            Reader::Csv(_) => tolerance(None),
        }
    }

    /// How many entries a row has; at least 1.
    pub(crate) fn classes(&self) -> usize {
        self.layout().classes()
    }

    /// How many rows there are, if that is known before they are read.
    pub(crate) fn rows(&self) -> Option<u64> {
        match &self.reader {
            Reader::Npy(npy) => Some(npy.layout().rows()),
            Reader::Csv(_) => None,
        }
    }

    /// How the rows lie in the input. Where [`Source::rows`] does not know them, it has 0.
    pub(crate) fn layout(&self) -> &Layout {
        match &self.reader {
            Reader::Npy(npy) => npy.layout(),
            Reader::Csv(csv) => csv.layout(),
        }
    }

    /// The names in the header line of a CSV file, if it has one.
    pub(crate) fn header(&self) -> Option<&[String]> {
        match &self.reader {
            Reader::Npy(_) => None,
            Reader::Csv(csv) => csv.header(),
        }
    }

    /// Leaves out the next rows, or as many as are left; `false`, and nothing was done, where they would have to be
    /// read: of streams, CSV and interleaved rows.
    pub(crate) fn skip_rows(&mut self, rows: usize) -> Result<bool, InputError> {
        match (&mut self.reader, &mut self.file) {
            (Reader::Npy(npy), Some(file)) => {
                npy.skip_rows(rows as u64, file).map_err(|error| error.within(&self.name))
            }
            _ => Ok(false),
        }
    }

    /// Replaces what is in `block` by the next rows, one after the other, and says how many there
    /// are: 0 at the end, which is also where a stream that goes on too long is found out.
    ///
    /// There are at most `max_rows`, except that interleaved rows (see [`Layout`]) come together.
    /// Fails where a number does not fit T exactly.
    pub(crate) fn next_block<T: Number>(
        &mut self,
        block: &mut Vec<T>,
        max_rows: usize,
    ) -> Result<usize, InputError> {
        let read = match &mut self.reader {
            Reader::Npy(npy) => npy.next_block(block, max_rows),
            Reader::Csv(csv) => csv.next_block(block, max_rows),
        };
        read.map_err(|error| error.within(&self.name))
    }
}

impl Reader {
    fn new(
        name: &str,
        input: Box<dyn Read>,
        size: Option<u64>,
        options: &ReadOptions,
    ) -> Result<Self, InputError> {
        match Format::tell(name, input, options.delimiter, "of logits")? {
            Format::Npy(input) => {
                let layout = |shape| Layout::new(shape, options.axis);
                npy::Reader::new(input, size, layout).map(Reader::Npy)
            }
            Format::Text(input, delimiter) => {
                let csv = csv::Reader::new(input, delimiter, options.axis)?;
                Ok(Reader::Csv(Box::new(csv)))
            }
        }
    }
}

/// What the first bytes of an input say it is.
enum Format {
    /// What stands behind the magic bytes.
    Npy(Box<dyn Read>),
    /// The whole of it, and what separates its fields.
    Text(Box<dyn Read>, u8),
}

impl Format {
    /// `what` belongs in its rows: "of logits".
    fn tell(
        name: &str,
        mut input: Box<dyn Read>,
        delimiter: Option<u8>,
        what: &str,
    ) -> Result<Self, InputError> {
        let mut start = Vec::new();
        let magic_len = npy::MAGIC.len();
        let peeked = input.by_ref().take(magic_len as u64).read_to_end(&mut start);
        peeked.map_err(|e| InputError::io(&e))?;
        let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default();
        if start.is_empty() {
            let hint = format!("it needs at least one row {what}");
            return Err(InputError::new("is empty").hint(hint));
        }
        if start == npy::MAGIC {
            return Ok(Format::Npy(input));
        }
        if start.starts_with(b"PK\x03\x04") {
            return Err(InputError::new("is a zip archive, such as .npz")
                .hint("save one array: np.save('logits.npy', np.load(path)['logits'])"));
        }
        if extension.eq_ignore_ascii_case("npy") {
            return Err(InputError::new("is not a .npy file: it does not begin with \\x93NUMPY")
                .hint("write it with np.save, or name it .csv if it is text"));
        }
        let tab = extension.eq_ignore_ascii_case("tsv");
        let delimiter = delimiter.unwrap_or(if tab { b'\t' } else { b',' });
        Ok(Format::Text(Box::new(Cursor::new(start).chain(input)), delimiter))
    }
}

/// Why an input was refused: `logits.csv: row 17 (line 19), column 3: 'x' is not a number`. Rows and
/// columns are counted from 0, as everywhere in the library; lines from 1, as in editors.
#[derive(Debug)]
pub(crate) struct InputError {
    name: String,
    place: String,
    reason: String,
    hint: String,
}

impl InputError {
    /// An error in a file that is yet to be named.
    fn new(reason: impl Into<String>) -> Self {
        let (name, place, hint) = Default::default();
        Self { name, place, reason: reason.into(), hint }
    }

    fn io(error: &io::Error) -> Self {
        Self::new(format!("cannot be read: {error}"))
    }

    fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    fn within(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What the user can do about it.
    pub(crate) fn hint_line(&self) -> Option<&str> {
        (!self.hint.is_empty()).then_some(&self.hint)
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.name, &self.place] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for InputError {}

impl From<InputError> for CliError {
    fn from(error: InputError) -> Self {
        match error.hint_line() {
            Some(hint) => CliError::refused(&error).hint(hint),
            None => CliError::refused(&error),
        }
    }
}
