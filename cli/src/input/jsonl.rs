//! Reads the rows of JSON lines: an array for every row, or an object that has them.
//!
//! ```text
//! [1.5, -2.25, 0]
//! {"id": 7, "logits": [1.5, -2.25, 0], "label": "cat"}
//! {"logit_0": 1.5, "logit_1": -2.25, "logit_2": 0}
//! ```
//!
//! The first line says which; see `table`. Numbers go from the text into the row, nothing else of a line is kept. JSON
//! has no NaN and no infinity: `NaN`, `Infinity` and `-Infinity`, as Python writes them, are read nevertheless, and so
//! are they as strings; a `null` is refused.

mod line;

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::block::{Block, with_block};
use super::table::{Described, Kind, choose};
use super::wanted::Wanted;
use super::{Dtype, InputError, Layout, Number, Reader, Texts};
use line::{Broken, Picked};

/// The longest line, in bytes: a row of the most numbers that are held, at sixteen bytes each.
const MAX_LINE: u64 = 1 << 28;

/// The lines of an input that are not blank.
struct Lines {
    input: BufReader<Box<dyn Read>>,
    text: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Goes to the next line; false at the end.
    fn advance(&mut self) -> Result<bool, InputError> {
        loop {
            self.text.clear();
            self.number += 1;
            let mut line = self.input.by_ref().take(MAX_LINE + 1);
            let read = line.read_until(b'\n', &mut self.text).map_err(|e| InputError::io(&e))?;
            if read == 0 {
                return Ok(false);
            }
            if read as u64 > MAX_LINE {
                return Err(InputError::new(format!("more than {MAX_LINE} bytes"))
                    .at(format!("line {}", self.number))
                    .hint("one JSON value a line: jq -c . file.json > file.jsonl"));
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

/// An open file whose first line was looked at.
pub(super) struct Opened {
    lines: Lines,
    /// The keys that are wanted; none where lines are arrays.
    keys: Vec<String>,
    /// What the first line has.
    kind: Kind,
    classes: usize,
}

impl Opened {
    pub(super) fn new(input: Box<dyn Read>, wanted: &Wanted) -> Result<Self, InputError> {
        let mut lines = Lines { input: BufReader::new(input), text: Vec::new(), number: 0 };
        if !lines.advance()? {
            return Err(InputError::new("has no rows: every line is blank"));
        }
        let place = format!("row 0 (line {})", lines.number);
        let first = line::value(&mut lines.text);
        let first = first.map_err(|e| e.refused().at(place.clone()))?;
        let object = match first {
            Value::Array(items) => {
                if let (Some(name), what) = (&wanted.column, &wanted.what) {
                    let error = InputError::new(format!("has no '{name}': its lines are arrays"));
                    return Err(error.hint(format!("{what} with a name are in objects")));
                }
                return Ok(Self {
                    lines,
                    keys: Vec::new(),
                    kind: Kind::List,
                    classes: items.len(),
                });
            }
            Value::Object(object) => object,
            _ => return Err(InputError::new("neither an array nor an object").at(place)),
        };
        let describe = |(name, value): (&String, &Value)| {
            let (kind, dtype) = match value {
                Value::Number(number) if number.is_f64() => (Kind::Float, "number"),
                Value::Number(_) => (Kind::Whole, "number"),
                Value::String(_) => (Kind::Text, "text"),
                // With a text among its numbers it is refused in its row.
                Value::Array(items)
                    if items.iter().all(is_numeric) || items.iter().any(Value::is_number) =>
                {
                    (Kind::List, "list")
                }
                Value::Array(_) => (Kind::Other, "list of other things"),
                Value::Null => (Kind::Other, "null"),
                Value::Bool(_) => (Kind::Other, "true or false"),
                Value::Object(_) => (Kind::Other, "object"),
            };
            Described { name: name.clone(), kind, dtype: dtype.to_owned() }
        };
        let columns: Vec<Described> = object.iter().map(describe).collect();
        let chosen = choose(&columns, wanted).map_err(|e| e.at(place))?;
        let kind = columns[chosen[0]].kind;
        let keys: Vec<String> = chosen.iter().map(|&at| columns[at].name.clone()).collect();
        let classes = match &object[&keys[0]] {
            Value::Array(items) => items.len(),
            _ => keys.len(),
        };
        Ok(Self { lines, keys, kind, classes })
    }

    /// Whether there is one text or number a line, which of labels may be either.
    pub(super) fn is_scalar(&self) -> bool {
        self.kind != Kind::List && self.keys.len() == 1
    }

    pub(super) fn into_rows(self, wanted: &Wanted) -> Result<Rows, InputError> {
        let layout = wanted.layout_of_table([0, self.classes], "JSON lines")?;
        let names = (self.kind != Kind::List).then(|| self.keys.clone());
        let picked = Picked::new(self.keys, self.kind == Kind::List);
        Ok(Rows { lines: self.lines, picked, names, layout, is_first: true, next_row: 0 })
    }

    pub(super) fn into_texts(self) -> Scalars {
        Scalars { lines: self.lines, key: self.keys, is_first: true, rows: 0 }
    }
}

fn is_numeric(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| line::infinite(text).is_some())
}

/// Rows of numbers.
pub(super) struct Rows {
    lines: Lines,
    picked: Picked,
    names: Option<Vec<String>>,
    layout: Layout,
    /// Whether the first line, which was read already, is still to come.
    is_first: bool,
    next_row: u64,
}

impl Rows {
    fn next_rows<T: Number>(
        &mut self,
        block: &mut Vec<T>,
        max_rows: usize,
    ) -> Result<usize, InputError> {
        block.clear();
        let mut rows = 0;
        while rows < max_rows.max(1) {
            if !std::mem::take(&mut self.is_first) && !self.lines.advance()? {
                break;
            }
            self.picked.read(&mut self.lines.text).map_err(|e| self.place(e))?;
            let (found, classes) = (self.picked.numbers.len(), self.layout.classes());
            if found != classes {
                let error =
                    InputError::new(format!("{found} numbers, where the first row has {classes}"));
                return Err(self.placed(error).hint("every row needs the same number of logits"));
            }
            for &number in &self.picked.numbers {
                block.push(T::exactly(number).ok_or_else(|| {
                    self.placed(InputError::new(format!("{number:?} has no exact {}", T::DTYPE)))
                })?);
            }
            self.next_row += 1;
            rows += 1;
        }
        Ok(rows)
    }

    fn place(&self, broken: Broken) -> InputError {
        self.placed(broken.refused())
    }

    fn placed(&self, error: InputError) -> InputError {
        error.at(format!("row {} (line {})", self.next_row, self.lines.number))
    }
}

impl Reader for Rows {
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
        self.names.as_deref()
    }

    fn next_block(&mut self, block: Block, max_rows: usize) -> Result<usize, InputError> {
        with_block!(block, numbers => self.next_rows(numbers, max_rows))
    }
}

/// A text or a number for every row.
pub(super) struct Scalars {
    lines: Lines,
    key: Vec<String>,
    is_first: bool,
    rows: u64,
}

impl Texts for Scalars {
    fn advance(&mut self) -> Result<Option<String>, InputError> {
        if !std::mem::take(&mut self.is_first) && !self.lines.advance()? {
            return Ok(None);
        }
        self.rows += 1;
        let cell = line::scalar(&mut self.lines.text, &self.key);
        cell.map(Some).map_err(|e| e.refused().at(self.place()))
    }

    fn place(&self) -> String {
        format!("row {} (line {})", self.rows.saturating_sub(1), self.lines.number)
    }
}
