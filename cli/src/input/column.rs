//! A file with something for every row of the logits: a label, a weight, a group, or a share per class.
//!
//! ```text
//! .npy   [rows], [rows, 1], or the shape of the logits without its last axis: one cell a row
//!        [rows, classes], where that is asked for: a cell for every class
//! text   a line for every row, of one column or `classes` columns
//! table  one column: numbers, texts, or lists of a cell for every class
//! ```
//!
//! Of draws there may be any number a row: any number of columns, or entries along a last axis.
//!
//! Cells are handed over one by one, so that nothing is held that the caller does not keep.

use std::path::{Path, PathBuf};

use super::csv::Fields;
use super::format::{Input, Opened, open};
use super::place::Place;
use super::shards::{Shards, TextShards};
use super::wanted::Wanted;
use super::{Dtype, InputError, Layout, MAX_NUMBERS, Number, Reader, Texts};

/// Cells decoded at a time.
const BLOCK: usize = 1 << 16;

/// The logits that the cells belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside<'a> {
    /// The file of the logits, which `:label` is a column of.
    pub(crate) logits: &'a Path,
    /// The shape of a .npy file; [rows, classes] of CSV, where rows may not be known yet.
    pub(crate) shape: &'a [usize],
    pub(crate) classes: usize,
}

/// How many cells a row may have.
#[derive(Clone, Debug)]
pub(super) enum Width {
    /// One, or one for each class, beside logits of this shape.
    OneOrAll { shape: Vec<usize>, classes: usize },
    /// Beside rows of this shape, which the classes have been taken from.
    Any(Vec<usize>),
}

impl Width {
    /// The most columns that a line of text may have.
    fn most(&self) -> usize {
        match self {
            Width::OneOrAll { classes, .. } => *classes,
            Width::Any(_) => MAX_NUMBERS,
        }
    }

    fn refuse(&self, found: &str, what: &str) -> InputError {
        match self {
            Width::OneOrAll { classes, .. } => too_wide(found, what, *classes),
            Width::Any(_) => {
                InputError::new(format!("{found}: at most {MAX_NUMBERS} {what} a row"))
            }
        }
    }

    /// How the cells lie in an array of this shape.
    pub(super) fn layout(&self, mut shape: Vec<usize>, what: &str) -> Result<Layout, InputError> {
        let (beside, classes) = match self {
            Width::OneOrAll { shape, classes } => (shape, classes),
            Width::Any(rows) => {
                if shape == *rows || shape.len() == 1 {
                    shape.push(1);
                }
                return Layout::new(shape, -1);
            }
        };
        let is_wide =
            shape.len() > 1 && shape.len() == beside.len() && shape.last() == Some(classes);
        match shape.len() {
            2 if shape[1] == 1 => {}
            _ if is_wide => {}
            1 => shape.push(1),
            // [batch, position] beside logits of shape [batch, position, classes].
            axes if axes + 1 == beside.len() => shape.push(1),
            _ => return Err(too_wide(&format!("the shape is {shape:?}"), what, *classes)),
        }
        Layout::new(shape, -1)
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
    Numbers(Box<dyn Reader>),
    Texts(Box<dyn Texts>),
    Csv {
        fields: Box<Fields>,
        /// The cells of the first line, and which line it is.
        first: Vec<String>,
        line: u64,
        /// The only column that is wanted, if the first line has its name.
        only: Option<usize>,
    },
}

impl Column {
    /// Opens a file of labels, weights or groups, whichever `what` says.
    pub(super) fn open(path: &Path, what: &str, beside: &Beside) -> Result<Self, InputError> {
        let width = Width::OneOrAll { shape: beside.shape.to_vec(), classes: beside.classes };
        Self::open_of(Place::of(path).beside(beside.logits), what, width)
    }

    /// Opens a file of any number of cells for every row; the rows have this shape.
    pub(super) fn open_any(path: &Path, what: &str, rows: &[usize]) -> Result<Self, InputError> {
        Self::open_of(Place::of(path), what, Width::Any(rows.to_vec()))
    }

    fn open_of(place: Place, what: &str, width: Width) -> Result<Self, InputError> {
        if place.is_stream() {
            return Err(InputError::new(format!("{what} cannot come from standard input"))
                .hint("name a file; the logits may come from standard input"));
        }
        let name = place.name();
        let files = place.files()?;
        let wanted = Wanted::cells(what, width.clone()).named(place.column);
        let opened = match files.as_slice() {
            [file] => Input::open(file).and_then(|input| open(input, &wanted)),
            _ => open_shards(files, &wanted),
        };
        let cells = opened.and_then(|opened| Self::of(opened, &wanted, &width));
        let (cells, width) = cells.map_err(|e| e.within(&name))?;
        Ok(Self { name, width, cells })
    }

    fn of(opened: Opened, wanted: &Wanted, allowed: &Width) -> Result<(Cells, usize), InputError> {
        let (input, delimiter) = match opened {
            Opened::Rows(reader) => {
                let width = reader.layout().classes();
                return Ok((Cells::Numbers(reader), width));
            }
            Opened::Texts(texts) => return Ok((Cells::Texts(texts), 1)),
            Opened::Csv(input, delimiter) => (input, delimiter),
        };
        let mut fields = Fields::new(input, delimiter);
        let mut first = Vec::new();
        while fields.advance()? {
            first.push(fields.text().trim().to_owned());
            if fields.ends_record {
                break;
            }
            if first.len() > allowed.most() && wanted.column.is_none() {
                return Err(allowed.refuse("line 1 has more columns than that", &wanted.what));
            }
            if first.len() > MAX_NUMBERS {
                return Err(InputError::new("line 1 is too long"));
            }
        }
        let (line, width) = (fields.line, first.len());
        if width == 0 {
            return Err(InputError::new("has no rows: every line is blank"));
        }
        let only = match &wanted.column {
            Some(name) => Some(super::csv::named(&first, name)?),
            None => None,
        };
        if let Width::OneOrAll { classes, .. } = allowed
            && width != 1
            && width != *classes
            && only.is_none()
        {
            return Err(allowed.refuse(&format!("line {line} has {width} columns"), &wanted.what));
        }
        let fields = Box::new(fields);
        let width = if only.is_some() { 1 } else { width };
        Ok((Cells::Csv { fields, first, line, only }, width))
    }

    /// How many cells a row has.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The type of the numbers; `None` for text.
    pub(super) fn dtype(&self) -> Option<Dtype> {
        match &self.cells {
            Cells::Numbers(reader) => reader.dtype(),
            Cells::Texts(_) | Cells::Csv { .. } => None,
        }
    }

    /// The cells of the first line of a text that may be a header.
    pub(super) fn first_line(&self) -> Option<&[String]> {
        match &self.cells {
            Cells::Csv { first, only: None, .. } => Some(first),
            _ => None,
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
            Cells::Numbers(reader) => read_numbers(reader, &mut each),
            Cells::Texts(texts) => read_texts(texts, &mut each),
            Cells::Csv { fields, first, line, only } => {
                let columns = Columns { count: first.len(), only };
                let first = (!has_header && only.is_none()).then_some(first.as_slice());
                read_csv(*fields, first, line, columns, &mut each)
            }
        };
        read.map_err(|error| error.within(&name))
    }
}

/// Several files of cells as one. Of CSV, each would need to be asked for its header.
fn open_shards(files: Vec<PathBuf>, wanted: &Wanted) -> Result<Opened, InputError> {
    let what = wanted.what.clone();
    let refused = move || {
        InputError::new(format!("{what} in several files must not be CSV"))
            .hint("join them into one, without their headers")
    };
    match open(Input::open(&files[0])?, wanted)
        .map_err(|e| e.within(&files[0].display().to_string()))?
    {
        Opened::Csv(..) => Err(refused()),
        Opened::Rows(_) => {
            let wanted = wanted.clone();
            let open = move |file: &PathBuf| match open(Input::open(file)?, &wanted)? {
                Opened::Rows(reader) => Ok(reader),
                Opened::Texts(_) => Err(InputError::new("texts, where the first file has numbers")),
                Opened::Csv(..) => Err(refused()),
            };
            Ok(Opened::Rows(Box::new(Shards::new(files, Box::new(open))?)))
        }
        Opened::Texts(first) => {
            let wanted = wanted.clone();
            let open = move |file: &PathBuf| match open(Input::open(file)?, &wanted)? {
                Opened::Texts(texts) => Ok(texts),
                Opened::Rows(_) => Err(InputError::new("numbers, where the first file has texts")),
                Opened::Csv(..) => Err(refused()),
            };
            Ok(Opened::Texts(Box::new(TextShards::new(files, first, Box::new(open)))))
        }
    }
}

fn read_texts(
    mut texts: Box<dyn Texts>,
    each: &mut impl FnMut(Cell) -> Result<(), InputError>,
) -> Result<u64, InputError> {
    let mut rows = 0;
    while let Some(text) = texts.advance()? {
        each(Cell::Text(text.trim())).map_err(|error| error.at(texts.place()))?;
        rows += 1;
    }
    Ok(rows)
}

fn read_numbers(
    mut reader: Box<dyn Reader>,
    each: &mut impl FnMut(Cell) -> Result<(), InputError>,
) -> Result<u64, InputError> {
    let width = reader.layout().classes();
    let mut block: Vec<f64> = Vec::new();
    let mut rows = 0;
    loop {
        let read = reader.next_block(f64::block(&mut block), (BLOCK / width).max(1))?;
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

/// Those of a line of CSV.
struct Columns {
    count: usize,
    only: Option<usize>,
}

fn read_csv(
    mut fields: Fields,
    first: Option<&[String]>,
    first_line: u64,
    columns: Columns,
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
        if column < columns.count && columns.only.is_none_or(|only| only == column) {
            each(Cell::Text(fields.text().trim())).map_err(|e| e.at(place(&fields)))?;
        }
        column += 1;
        if fields.ends_record {
            if column != columns.count {
                let s = if column == 1 { "column" } else { "columns" };
                return Err(InputError::new(format!(
                    "{column} {s}, where the first line has {}",
                    columns.count
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

fn too_wide(found: &str, what: &str, classes: usize) -> InputError {
    let also = match what {
        "labels" => format!(" or, of {classes} classes, {classes} shares"),
        _ => String::new(),
    };
    InputError::new(format!("{found}: {what} have one column{also}"))
        .hint("keep that column only, one line or entry for every row of logits")
}
