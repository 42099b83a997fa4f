//! A file with something for every row of the logits: a label, a weight, a group, or a share per class.
//!
//! ```text
//! .npy   [rows], [rows, 1], or the shape of the logits without its last axis: one cell a row
//!        [rows, classes], where that is asked for: a cell for every class
//! text   a line for every row, of one column or `classes` columns
//! ```
//!
//! Of draws there may be any number a row: any number of columns, or entries along a last axis.
//!
//! Cells are handed over one by one, so that nothing is held that the caller does not keep.

use std::io;
use std::path::Path;

use super::csv::Fields;
use super::npy;
use super::{Dtype, Format, InputError, Layout, MAX_NUMBERS, is_stream};

/// Cells decoded at a time.
const BLOCK: usize = 1 << 16;

/// The logits that the cells belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside<'a> {
    /// The shape of a .npy file; [rows, classes] of CSV, where rows may not be known yet.
    pub(crate) shape: &'a [usize],
    pub(crate) classes: usize,
}

/// How many cells a row may have.
#[derive(Clone, Copy)]
enum Width<'a> {
    OneOrAll(&'a Beside<'a>),
    /// Beside rows of this shape, which the classes have been taken from.
    Any(&'a [usize]),
}

impl Width<'_> {
    /// The most columns that a line of text may have.
    fn most(&self) -> usize {
        match self {
            Width::OneOrAll(beside) => beside.classes,
            Width::Any(_) => MAX_NUMBERS,
        }
    }

    fn refuse(&self, found: &str, what: &str) -> InputError {
        match self {
            Width::OneOrAll(beside) => too_wide(found, what, beside),
            Width::Any(_) => {
                InputError::new(format!("{found}: at most {MAX_NUMBERS} {what} a row"))
            }
        }
    }
}

/// One value of a file, as it stands there.
pub(super) enum Cell<'a> {
    Number(f64),
    Text(&'a str),
}

/// An open file of cells.
pub(super) struct Column {
    name: String,
    width: usize,
    cells: Cells,
}

enum Cells {
    Npy(npy::Reader),
    Text {
        fields: Box<Fields>,
        /// The cells of the first line, and which line it is.
        first: Vec<String>,
        line: u64,
    },
}

impl Column {
    /// Opens a file of labels, weights or groups, whichever `what` says.
    pub(super) fn open(path: &Path, what: &str, beside: &Beside) -> Result<Self, InputError> {
        Self::open_of(path, what, Width::OneOrAll(beside))
    }

    /// Opens a file of any number of cells for every row; the rows have this shape.
    pub(super) fn open_any(path: &Path, what: &str, rows: &[usize]) -> Result<Self, InputError> {
        Self::open_of(path, what, Width::Any(rows))
    }

    fn open_of(path: &Path, what: &str, width: Width) -> Result<Self, InputError> {
        if is_stream(path) {
            return Err(InputError::new(format!("{what} cannot come from standard input"))
                .hint("name a file; the logits may come from standard input"));
        }
        let (name, file, size) = super::open(path)?;
        Self::from_input(&name, Box::new(file), size, what, width).map_err(|e| e.within(&name))
    }

    fn from_input(
        name: &str,
        input: Box<dyn io::Read>,
        size: Option<u64>,
        what: &str,
        allowed: Width,
    ) -> Result<Self, InputError> {
        let (cells, width) = match Format::tell(name, input, None, &format!("of {what}"))? {
            Format::Npy(input) => {
                let reader = npy::Reader::new(input, size, |shape| layout(shape, what, allowed))?;
                let width = reader.layout().classes();
                (Cells::Npy(reader), width)
            }
            Format::Text(input, delimiter) => {
                let mut fields = Fields::new(input, delimiter);
                let mut first = Vec::new();
                while fields.advance()? {
                    first.push(fields.text().trim().to_owned());
                    if fields.ends_record {
                        break;
                    }
                    if first.len() > allowed.most() {
                        return Err(allowed.refuse("line 1 has more columns than that", what));
                    }
                }
                let (line, width) = (fields.line, first.len());
                if width == 0 {
                    return Err(InputError::new("has no rows: every line is blank"));
                }
                if let Width::OneOrAll(beside) = allowed
                    && width != 1
                    && width != beside.classes
                {
                    return Err(allowed.refuse(&format!("line {line} has {width} columns"), what));
                }
                (Cells::Text { fields: Box::new(fields), first, line }, width)
            }
        };
        Ok(Self { name: name.to_owned(), width, cells })
    }

    /// How many cells a row has.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The type of the numbers; `None` for text.
    pub(super) fn dtype(&self) -> Option<Dtype> {
        match &self.cells {
            Cells::Npy(reader) => Some(reader.dtype()),
            Cells::Text { .. } => None,
        }
    }

    /// The cells of the first line of a text, which may be a header.
    pub(super) fn first_line(&self) -> Option<&[String]> {
        match &self.cells {
            Cells::Npy(_) => None,
            Cells::Text { first, .. } => Some(first),
        }
    }

    /// Gives `each` all cells in order, less those of the first line if that is a header, and says how
    /// many rows there were. What `each` refuses is told with its place.
    pub(super) fn read(
        self,
        has_header: bool,
        mut each: impl FnMut(Cell) -> Result<(), InputError>,
    ) -> Result<u64, InputError> {
        let name = self.name;
        let read = match self.cells {
            Cells::Npy(reader) => read_npy(reader, &mut each),
            Cells::Text { fields, first, line } => {
                let first = (!has_header).then_some(first.as_slice());
                read_text(*fields, first, line, self.width, &mut each)
            }
        };
        read.map_err(|error| error.within(&name))
    }
}

fn read_npy(
    mut reader: npy::Reader,
    each: &mut impl FnMut(Cell) -> Result<(), InputError>,
) -> Result<u64, InputError> {
    let width = reader.layout().classes();
    let mut block: Vec<f64> = Vec::new();
    let mut rows = 0;
    loop {
        let read = reader.next_block(&mut block, (BLOCK / width).max(1))?;
        if read == 0 {
            return Ok(rows);
        }
        for (at, &number) in block.iter().enumerate() {
            let row = rows + (at / width) as u64;
            each(Cell::Number(number)).map_err(|error| error.at(reader.layout().place(row)))?;
        }
        rows += read as u64;
    }
}

fn read_text(
    mut fields: Fields,
    first: Option<&[String]>,
    first_line: u64,
    width: usize,
    each: &mut impl FnMut(Cell) -> Result<(), InputError>,
) -> Result<u64, InputError> {
    let mut rows = 0;
    if let Some(first) = first {
        for cell in first {
            each(Cell::Text(cell)).map_err(|e| e.at(format!("row 0 (line {first_line})")))?;
        }
        rows += 1;
    }
    let mut column = 0;
    while fields.advance()? {
        let place = |fields: &Fields| format!("row {rows} (line {})", fields.line);
        column += 1;
        if column <= width {
            each(Cell::Text(fields.text().trim())).map_err(|e| e.at(place(&fields)))?;
        }
        if fields.ends_record {
            if column != width {
                let columns = if column == 1 { "column" } else { "columns" };
                return Err(InputError::new(format!(
                    "{column} {columns}, where the first line has {width}"
                ))
                .at(place(&fields))
                .hint("every line needs the same number of fields"));
            }
            column = 0;
            rows += 1;
        }
    }
    Ok(rows)
}

/// How the cells lie in an array of this shape.
fn layout(mut shape: Vec<usize>, what: &str, allowed: Width) -> Result<Layout, InputError> {
    let beside = match allowed {
        Width::OneOrAll(beside) => beside,
        Width::Any(rows) => {
            if shape == rows || shape.len() == 1 {
                shape.push(1);
            }
            return Layout::new(shape, -1);
        }
    };
    let is_wide = shape.len() > 1
        && shape.len() == beside.shape.len()
        && shape.last() == Some(&beside.classes);
    match shape.len() {
        2 if shape[1] == 1 => {}
        _ if is_wide => {}
        1 => shape.push(1),
        // [batch, position] beside logits of shape [batch, position, classes].
        axes if axes + 1 == beside.shape.len() => shape.push(1),
        _ => return Err(too_wide(&format!("the shape is {shape:?}"), what, beside)),
    }
    Layout::new(shape, -1)
}

fn too_wide(found: &str, what: &str, beside: &Beside) -> InputError {
    let classes = beside.classes;
    let also = match what {
        "labels" => format!(" or, of {classes} classes, {classes} shares"),
        _ => String::new(),
    };
    InputError::new(format!("{found}: {what} have one column{also}"))
        .hint("keep that column only, one line or entry for every row of logits")
}
