//! Logits from a file or a stream, a block of rows at a time.
//!
//! ```text
//! place    FILE[:COLUMN], a folder, a pattern → files, and which column is meant
//! format   first bytes → the format's own file here
//! Reader   what each of them gives: rows of numbers · shards: several files as one
//! top_k    rows of some classes as rows of all
//! column   the same of labels, weights, groups, which may be texts
//! ```
//!
//! Numbers arrive in the type asked for, exactly or not at all. No more than [`MAX_NUMBERS`] of them
//! are held at once, whatever a header claims, so that a file may be larger than memory.

mod array;
#[cfg(feature = "arrow")]
mod arrow;
mod block;
mod column;
mod csv;
mod dtype;
mod format;
mod groups;
mod header;
mod jsonl;
mod labels;
mod layout;
mod npy;
mod npz;
mod place;
mod safetensors;
mod shards;
mod table;
mod tokens;
mod top_k;
mod wanted;
mod weights;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(crate) use column::Beside;
pub(crate) use dtype::{Dtype, Number};
pub(crate) use groups::Groups;
pub(crate) use labels::{IGNORED, LabelOptions, Labels, read_class_names};
pub(crate) use layout::Layout;
pub(crate) use place::Place;
pub(crate) use tokens::{read_mask, read_tokens, read_words};
pub(crate) use top_k::{Rest, TopK};
pub(crate) use weights::read_weights;

use crate::error::CliError;
use block::Block;
use format::{Input, Opened};
use wanted::Wanted;

/// The most numbers that are held in memory at once: 128 MiB of f64. It bounds the length of a row,
/// and what can be transposed (Fortran order, another axis than the last).
pub(crate) const MAX_NUMBERS: usize = 1 << 24;

/// How many bytes of an input are looked at to tell its format.
const MAGIC_LEN: usize = 16;

/// How to read.
#[derive(Clone, Debug)]
pub(crate) struct ReadOptions {
    /// The axis whose entries are the classes; negative counts from the end.
    pub(crate) axis: isize,
    /// What separates the fields of CSV; without it a tab in a .tsv file, else a comma.
    pub(crate) delimiter: Option<u8>,
    /// Where a row has the numbers of some classes only.
    pub(crate) top_k: Option<TopK>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { axis: -1, delimiter: None, top_k: None }
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
    Place::of(path).is_stream()
}

/// An open input, as the file of its format reads it.
trait Reader {
    /// The narrowest type that has every number; `None` where they are texts.
    fn dtype(&self) -> Option<Dtype>;

    /// How the rows lie. Where [`Reader::rows`] does not know them, it has 0.
    fn layout(&self) -> &Layout;

    /// How many rows there are, if that is known before they are read.
    fn rows(&self) -> Option<u64>;

    /// What the classes are called, where they are columns.
    fn class_names(&self) -> Option<&[String]> {
        None
    }

    /// What was guessed, to be said at the end of a run.
    fn note(&self) -> Option<String> {
        None
    }

    /// Leaves out up to so many of the next rows without making numbers of them, and says how many: 0 at the end, and
    /// where that cannot be done.
    fn skip_rows(&mut self, _rows: u64) -> Result<u64, InputError> {
        Ok(0)
    }

    /// See [`Source::next_block`].
    fn next_block(&mut self, block: Block, max_rows: usize) -> Result<usize, InputError>;
}

/// A text for every row.
trait Texts {
    /// The next one; `None` at the end.
    fn advance(&mut self) -> Result<Option<String>, InputError>;

    /// The row of the last one.
    fn place(&self) -> String;
}

/// An open file of logits, or several as one.
pub(crate) struct Source {
    /// As it was named.
    path: PathBuf,
    name: String,
    reader: Box<dyn Reader>,
}

impl Source {
    /// Opens a file, several, or standard input for `-`, and reads as far as the first numbers.
    pub(crate) fn open(path: &Path, options: &ReadOptions) -> Result<Self, InputError> {
        let place = Place::of(path);
        let name = path.display().to_string();
        let wanted = Wanted::rows(options.axis, options.delimiter);
        let mut source = if place.is_stream() {
            let wanted = wanted.named(place.column);
            let (name, stdin) = ("standard input".to_owned(), Box::new(io::stdin().lock()));
            Self::of_input(Input { name, input: stdin, file: None, size: None }, &wanted)?
        } else {
            let reader = rows_of(place, wanted).map_err(|error| error.within(&name))?;
            Self { path: path.to_owned(), name, reader }
        };
        if let Some(top_k) = &options.top_k {
            let spread = top_k::Spread::new(source.reader, &source.name, top_k, path);
            source.reader = Box::new(spread.map_err(|error| error.within(&source.name))?);
        }
        Ok(source)
    }

    /// Reads `input`, of `size` bytes if that is known. The name is for messages, and its extension
    /// helps to tell the format.
    ///
    /// For the fuzz targets, which have no files.
    #[allow(dead_code)]
    pub(crate) fn from_reader(
        name: String,
        input: Box<dyn Read>,
        size: Option<u64>,
        options: &ReadOptions,
    ) -> Result<Self, InputError> {
        let wanted = Wanted::rows(options.axis, options.delimiter);
        Self::of_input(Input { name, input, file: None, size }, &wanted)
    }

    fn of_input(input: Input, wanted: &Wanted) -> Result<Self, InputError> {
        let name = input.name.clone();
        match rows(input, wanted) {
            Ok(reader) => Ok(Self { path: "-".into(), name, reader }),
            Err(error) => Err(error.within(&name)),
        }
    }

    /// Says on stderr what was guessed about the input, if anything: a note at the end of a run.
    pub(crate) fn note_guesses(&self) {
        if let Some(note) = self.reader.note() {
            eprintln!("note: {}: {note}", self.name);
        }
    }

    /// What the input is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The input as it was named, a column of which `:label` is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The narrowest type that has every number of the input; f64 for integers and texts.
    pub(crate) fn dtype(&self) -> Dtype {
        self.reader.dtype().unwrap_or(Dtype::F64)
    }

    /// Whether its numbers are written out, and so are of no type.
    pub(crate) fn is_text(&self) -> bool {
        self.reader.dtype().is_none()
    }

    /// How far from 1 the sum of a row of probabilities may be.
    pub(crate) fn tolerance(&self) -> f64 {
        tolerance(self.reader.dtype())
    }

    /// How many entries a row has; at least 1.
    pub(crate) fn classes(&self) -> usize {
        self.layout().classes()
    }

    /// How many rows there are, if that is known before they are read.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.reader.rows()
    }

    /// How the rows lie in the input. Where [`Source::rows`] does not know them, it has 0.
    pub(crate) fn layout(&self) -> &Layout {
        self.reader.layout()
    }

    /// The names of the columns, where every class has one with a name.
    pub(crate) fn class_names(&self) -> Option<&[String]> {
        self.reader.class_names()
    }

    /// Leaves out up to so many of the next rows without making numbers of them, and says how many: 0 at the end, and
    /// where they would have to be read.
    pub(crate) fn skip_rows(&mut self, rows: usize) -> Result<usize, InputError> {
        let skipped = self.reader.skip_rows(rows as u64).map_err(|error| error.within(&self.name));
        skipped.map(|rows| rows as usize)
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
        let read = self.reader.next_block(T::block(block), max_rows);
        read.map_err(|error| error.within(&self.name))
    }
}

/// Rows of one file or of several.
fn rows_of(place: Place, wanted: Wanted) -> Result<Box<dyn Reader>, InputError> {
    let files = place.files()?;
    let wanted = wanted.named(place.column);
    match files.as_slice() {
        [file] => rows(Input::open(file)?, &wanted),
        _ => {
            let open = move |file: &PathBuf| rows(Input::open(file)?, &wanted);
            Ok(Box::new(shards::Shards::new(files, Box::new(open))?))
        }
    }
}

/// Rows of logits, in whichever format.
fn rows(input: Input, wanted: &Wanted) -> Result<Box<dyn Reader>, InputError> {
    match format::open(input, wanted)? {
        Opened::Rows(reader) => Ok(reader),
        Opened::Csv(input, delimiter) => Ok(Box::new(csv::Reader::new(input, delimiter, wanted)?)),
        // Only cells may be texts.
        Opened::Texts(_) => Err(InputError::new("is a text for every row, where numbers belong")),
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

    /// The same error of what this row is in; those before it were read.
    #[cfg(feature = "arrow")]
    fn at_row(self, row: u64) -> Self {
        let place = match self.place.as_str() {
            "" => format!("row {row}"),
            place => format!("row {row} ({place})"),
        };
        self.at(place)
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same error in a file of this name; of several files, the one that was named first.
    fn within(mut self, name: &str) -> Self {
        if self.name.is_empty() {
            name.clone_into(&mut self.name);
        }
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
