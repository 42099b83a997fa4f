//! Reads the rows of a CSV file.
//!
//! Fields are split by `csv-core`, so quotes, CRLF, blank lines and a byte order mark are as in the `csv`
//! crate; that one holds a whole record at a time, which for a file of one long line is the whole
//! file. A field is what `f64` parses, among it `nan`, `inf` and `-inf`, with blanks around it allowed.
//!
//! The first line is a header if no field of it is a number. (So a header of class names 0, 1, 2, …
//! reads as a row of logits: the file alone cannot tell.)

use std::io::{ErrorKind, Read};

use csv_core::ReadFieldResult;

use super::block::{Block, with_block};
use super::table::{Described, Kind, choose};
use super::wanted::Wanted;
use super::{Dtype, InputError, Layout, Number};

/// The most classes of a row. The first row is held twice, to count the classes before they are
/// asked for.
const MAX_CLASSES: usize = 1 << 22;

/// The longest field, in bytes. The exact decimal of an f64 has at most 1075 digits.
const MAX_FIELD: usize = 4096;

/// The most memory for the names of a header, in bytes.
const MAX_NAMES: usize = 1 << 25;

pub(super) struct Reader {
    fields: Fields,
    layout: Layout,
    /// How many fields a line has.
    columns: usize,
    /// Where each of them goes in a row, unless all do, in their order.
    kept: Option<Vec<Option<usize>>>,
    header: Option<Vec<String>>,
    /// The first row, which was read to count the classes.
    first: Option<Vec<f64>>,
    next_row: u64,
}

impl Reader {
    pub(super) fn new(
        input: Box<dyn Read>,
        delimiter: u8,
        wanted: &Wanted,
    ) -> Result<Self, InputError> {
        let mut fields = Fields::new(input, delimiter);
        let mut numbers = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let mut names_size = 0;
        let mut first_text = None;
        let mut column = 0;
        while fields.advance()? {
            match fields.number() {
                Some(number) => numbers.push(number),
                None if numbers.is_empty() => {
                    let name = fields.text().trim().to_owned();
                    names_size += name.len() + size_of::<String>();
                    names.push(name);
                }
                None => {}
            }
            if fields.number().is_none() && first_text.is_none() {
                first_text = Some(fields.not_a_number(0, column));
            }
            column += 1;
            if column > MAX_CLASSES || names_size > MAX_NAMES {
                return Err(InputError::new(format!(
                    "line {} is too long: at most {MAX_CLASSES} columns are read",
                    fields.line
                ))
                .hint("save it as .npy, or check the delimiter and the line ends"));
            }
            if fields.ends_record {
                break;
            }
        }
        if column == 0 {
            return Err(InputError::new("has no rows: every line is blank"));
        }
        if let Some(error) = first_text
            && !numbers.is_empty()
        {
            return Err(error);
        }
        let is_header = numbers.is_empty();
        let mut header = is_header.then_some(names);
        let mut kept = None;
        if wanted.column.is_some() {
            let names = header.as_deref().ok_or_else(no_names)?;
            let described = names.iter().map(|name| described(name)).collect::<Vec<_>>();
            let chosen = choose(&described, wanted)?;
            let mut places = vec![None; column];
            chosen.iter().enumerate().for_each(|(at, &column)| places[column] = Some(at));
            kept = Some(places);
            header = Some(chosen.iter().map(|&column| names[column].clone()).collect());
        }
        let classes = header.as_ref().map_or(column, Vec::len);
        Ok(Self {
            fields,
            layout: wanted.layout_of_table([0, classes], "CSV")?,
            columns: column,
            kept,
            header,
            first: (!is_header).then_some(numbers),
            next_row: 0,
        })
    }

    /// Reads up to `max_rows` rows; 0 at the end.
    fn next_rows<T: Number>(
        &mut self,
        block: &mut Vec<T>,
        max_rows: usize,
    ) -> Result<usize, InputError> {
        let classes = self.layout.classes();
        block.clear();
        let mut rows = 0;
        if let Some(first) = self.first.take() {
            for (column, &number) in first.iter().enumerate() {
                block.push(self.exactly(number, column)?);
            }
            self.next_row += 1;
            rows += 1;
        }
        while rows < max_rows.max(1) {
            if !self.next_row(block, classes)? {
                break;
            }
            self.next_row += 1;
            rows += 1;
        }
        if self.next_row == 0 {
            // A header alone is more likely no CSV at all, or one with another delimiter.
            return Err(InputError::new("has no rows: there is no number in its only line")
                .hint("a line of numbers is needed; is the delimiter another one?"));
        }
        Ok(rows)
    }

    /// Appends one row; false at the end.
    fn next_row<T: Number>(
        &mut self,
        block: &mut Vec<T>,
        classes: usize,
    ) -> Result<bool, InputError> {
        let start = block.len();
        let mut column = 0;
        while self.fields.advance()? {
            if column == 0 {
                block.resize(start + classes, T::default());
            }
            let place = match &self.kept {
                Some(places) => places.get(column).copied().flatten(),
                None => (column < classes).then_some(column),
            };
            if let Some(place) = place {
                let number = self.fields.number();
                let number = number.ok_or_else(|| self.fields.not_a_number(self.next_row, column));
                block[start + place] = self.exactly(number?, column)?;
            }
            column += 1;
            if self.fields.ends_record {
                return if column == self.columns { Ok(true) } else { Err(self.ragged(column)) };
            }
        }
        // The fields of a record always end with one that ends it.
        Ok(false)
    }

    fn exactly<T: Number>(&self, number: f64, column: usize) -> Result<T, InputError> {
        T::exactly(number).ok_or_else(|| {
            InputError::new(format!("{number:?} has no exact {}", T::DTYPE))
                .at(self.fields.place(self.next_row, column))
        })
    }

    fn ragged(&self, found: usize) -> InputError {
        let classes = self.columns;
        let first = if self.header.is_some() { "the header" } else { "the first row" };
        let columns = if found == 1 { "column" } else { "columns" };
        InputError::new(format!("{found} {columns}, where {first} has {classes}"))
            .at(format!("row {} (line {})", self.next_row, self.fields.line))
            .hint("every line needs the same number of fields")
    }
}

impl super::Reader for Reader {
    fn dtype(&self) -> Option<Dtype> {
        None
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn rows(&self) -> Option<u64> {
        None
    }

    fn class_names(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    fn note(&self) -> Option<String> {
        let is_guessed = self.header.is_some() && self.kept.is_none();
        is_guessed.then(|| "line 1 has no number in it and is taken for a header".to_owned())
    }

    fn next_block(&mut self, block: Block, max_rows: usize) -> Result<usize, InputError> {
        with_block!(block, numbers => self.next_rows(numbers, max_rows))
    }
}

/// Of a header, only the names are known.
fn described(name: &str) -> Described {
    Described { name: name.to_owned(), kind: Kind::Float, dtype: String::new() }
}

/// Which column of a header has this name.
pub(super) fn named(header: &[String], name: &str) -> Result<usize, InputError> {
    if header.iter().all(|cell| cell.parse::<f64>().is_ok()) {
        return Err(no_names());
    }
    header.iter().position(|cell| cell == name).ok_or_else(|| {
        let there = header.iter().take(40).cloned().collect::<Vec<_>>().join(", ");
        InputError::new(format!("has no column '{name}'")).hint(format!("there are {there}"))
    })
}

fn no_names() -> InputError {
    InputError::new("has no header line, so its columns have no names")
        .hint("give it one, or keep the columns in files of their own")
}

/// The fields of a stream, one at a time, in bounded memory.
pub(super) struct Fields {
    input: Box<dyn Read>,
    core: csv_core::Reader,
    buffer: Vec<u8>,
    /// What of the buffer is yet to be split.
    unread: std::ops::Range<usize>,
    field: Vec<u8>,
    field_len: usize,
    /// Whether this field is the last of its record.
    pub(super) ends_record: bool,
    /// The line on which this field's record begins, counted from 1.
    pub(super) line: u64,
}

impl Fields {
    pub(super) fn new(input: Box<dyn Read>, delimiter: u8) -> Self {
        Self {
            input,
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            buffer: vec![0; 64 * 1024],
            unread: 0..0,
            field: vec![0; MAX_FIELD],
            field_len: 0,
            ends_record: true,
            line: 1,
        }
    }

    /// Goes to the next field; false at the end. A line of nothing but blanks is no record.
    pub(super) fn advance(&mut self) -> Result<bool, InputError> {
        loop {
            let begins_record = self.ends_record;
            if !self.split()? {
                return Ok(false);
            }
            let is_blank_line =
                begins_record && self.ends_record && self.raw().trim_ascii().is_empty();
            if !is_blank_line {
                return Ok(true);
            }
        }
    }

    fn split(&mut self) -> Result<bool, InputError> {
        let begins_record = self.ends_record;
        self.field_len = 0;
        let mut at_end = false;
        loop {
            if self.unread.is_empty() && !at_end {
                let len = self.refill()?;
                self.unread = 0..len;
                at_end = len == 0;
            }
            let (result, used, written) = self
                .core
                .read_field(&self.buffer[self.unread.clone()], &mut self.field[self.field_len..]);
            let last_used = self.unread.start + used;
            self.unread.start = last_used;
            self.field_len += written;
            match result {
                ReadFieldResult::InputEmpty => {}
                ReadFieldResult::OutputFull => {
                    return Err(InputError::new(format!("a field of more than {MAX_FIELD} bytes"))
                        .at(format!("line {}", self.core.line()))
                        .hint("is a quote not closed, or the delimiter another one?"));
                }
                ReadFieldResult::Field { record_end } => {
                    self.ends_record = record_end;
                    if begins_record {
                        // The line feed that ends this record, if it does, is counted already.
                        let ended = record_end && used > 0 && self.buffer[last_used - 1] == b'\n';
                        self.line = self.core.line() - u64::from(ended);
                    }
                    return Ok(true);
                }
                ReadFieldResult::End => return Ok(false),
            }
        }
    }

    /// Reads more, and says how many bytes: 0 at the end of the input.
    fn refill(&mut self) -> Result<usize, InputError> {
        loop {
            match self.input.read(&mut self.buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(InputError::io(&e)),
                Ok(len) => return Ok(len),
            }
        }
    }

    fn raw(&self) -> &[u8] {
        &self.field[..self.field_len]
    }

    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.raw())
    }

    pub(super) fn number(&self) -> Option<f64> {
        // Not line feeds: one in a field comes from a quote that was not closed.
        str::from_utf8(self.raw()).ok()?.trim_matches([' ', '\t']).parse().ok()
    }

    fn place(&self, row: u64, column: usize) -> String {
        format!("row {row} (line {}), column {column}", self.line)
    }

    fn not_a_number(&self, row: u64, column: usize) -> InputError {
        let text = self.text();
        let text = text.trim();
        let error = if text.is_empty() {
            InputError::new("nothing between the delimiters")
                .hint("write nan for a number that is missing, -inf for a class that is ruled out")
        } else {
            let shown: String = text.chars().take(40).collect();
            let more = if shown.len() < text.len() { "…" } else { "" };
            InputError::new(format!("'{}{more}' is not a number", shown.escape_debug()))
                .hint("keep the columns of logits only; is the delimiter another one?")
        };
        error.at(self.place(row, column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Reader as _;

    fn read_with(text: &[u8], delimiter: u8, max_rows: usize) -> Result<Vec<Vec<f64>>, String> {
        let input = Box::new(std::io::Cursor::new(text.to_vec()));
        let wanted = Wanted::rows(-1, None);
        let mut reader = Reader::new(input, delimiter, &wanted).map_err(|e| e.to_string())?;
        let mut rows = Vec::new();
        let mut block = Vec::<f64>::new();
        loop {
            let count =
                reader.next_block(f64::block(&mut block), max_rows).map_err(|e| e.to_string())?;
            if count == 0 {
                return Ok(rows);
            }
            rows.extend(block.chunks(reader.layout().classes()).map(<[f64]>::to_vec));
        }
    }

    fn read(text: &str) -> Result<Vec<Vec<f64>>, String> {
        let one = read_with(text.as_bytes(), b',', 1);
        assert_eq!(one, read_with(text.as_bytes(), b',', 1000), "{text:?}");
        one
    }

    #[test]
    fn rows_of_numbers() {
        let expected = vec![vec![1.0, -2.5], vec![3e10, f64::NEG_INFINITY]];
        for text in [
            "1,-2.5\n3e10,-inf\n",
            "1,-2.5\n3e10,-inf",
            "\u{feff}1,-2.5\r\n3e10,-inf\r\n",
            "a,b\n\n 1 ,\"-2.5\"\n   \n\n3e10,-Infinity\n\n",
            "\"the, first\",\n1,-2.5\n+3e10,-inf",
        ] {
            assert_eq!(read(text).as_ref(), Ok(&expected), "{text:?}");
        }
        assert_eq!(read_with(b"1;2\n", b';', 1), Ok(vec![vec![1.0, 2.0]]));
    }

    #[test]
    fn what_is_wrong_is_named_by_row_line_and_column() {
        for (text, expected) in [
            ("a,b\n1,2\n3,x\n", "row 1 (line 3), column 1: 'x' is not a number"),
            ("a,b\r\n1,2\r\n3,x\r\n", "row 1 (line 3), column 1: 'x' is not a number"),
            ("1,2\n\n\n3\n", "row 1 (line 4): 1 column, where the first row has 2"),
            ("a,b\n1,2\n3,4,5\n", "row 1 (line 3): 3 columns, where the header has 2"),
            ("1,2\n3,\n", "row 1 (line 2), column 1: nothing between the delimiters"),
            ("1,x\n", "row 0 (line 1), column 1: 'x' is not a number"),
            ("x,1\n", "row 0 (line 1), column 0: 'x' is not a number"),
            ("a,b\n", "has no rows: there is no number in its only line"),
            ("\n \n", "has no rows: every line is blank"),
        ] {
            assert_eq!(read(text), Err(expected.to_owned()), "{text:?}");
        }
        let long = format!("1,{}\n", "1".repeat(MAX_FIELD + 1));
        assert!(read(&long).is_err_and(|e| e.contains("more than 4096 bytes")));
    }

    #[test]
    fn a_row_may_be_long_but_not_endless() {
        let row = "1,".repeat(MAX_CLASSES - 1) + "1\n";
        assert_eq!(read_with(row.as_bytes(), b',', 1).map(|rows| rows[0].len()), Ok(MAX_CLASSES));
        let error = read_with(("1,".to_owned() + &row).as_bytes(), b',', 1);
        assert!(error.is_err_and(|e| e.contains("line 1 is too long")));
        let error = read_with("name,".repeat(MAX_CLASSES).as_bytes(), b',', 1);
        assert!(error.is_err_and(|e| e.contains("line 1 is too long")));
    }
}
