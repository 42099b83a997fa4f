//! Reads the rows of Parquet and of Arrow IPC: batch by batch, of the columns that are wanted.
//!
//! ```text
//! schema → which columns, how many classes → batches, in order → numbers in the type asked for, or texts
//! ```
//!
//! Logits are a list, of fixed or any length (which must be the same in every row), or a column for every class. A null
//! is refused. The published readers are trusted with the format, not with the bytes: a panic in them is a file
//! that is damaged, and no memory is asked for that the file could not fill.

mod cells;
mod ipc;
mod ipc_file;
mod parquet;

use std::cell::Cell;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::PathBuf;
use std::sync::Once;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};

use super::block::{Block, with_block};
use super::format::Opened;
use super::table::{Described, Kind, choose};
use super::wanted::Wanted;
use super::{Dtype, InputError, Layout, Number, Reader, Texts};

/// Where batches come from, the wanted columns alone in them.
trait Batches {
    /// The next rows; `None` at the end.
    fn advance(&mut self) -> Result<Option<RecordBatch>, InputError>;
}

/// Opens what begins with one of the two magics, or the mark of a stream.
pub(super) fn open(
    start: Vec<u8>,
    input: Box<dyn Read>,
    path: Option<PathBuf>,
    wanted: &Wanted,
) -> Result<Opened, InputError> {
    if start.starts_with(b"PAR1") {
        let path = path.ok_or_else(|| {
            InputError::new("is Parquet, whose directory is at its end")
                .hint("save it as a file; a stream may be Arrow, .npy, CSV or JSON lines")
        })?;
        return parquet::open(path, wanted);
    }
    if let Some(path) = path.filter(|_| start.starts_with(b"ARROW1")) {
        return ipc_file::open(&path, wanted);
    }
    ipc::open(Box::new(Cursor::new(start).chain(input)), wanted)
}

/// The columns that are wanted.
struct Chosen {
    columns: Vec<usize>,
    names: Vec<String>,
    kind: Kind,
    dtype: Dtype,
    /// Known from the schema, of lists of fixed length and of columns.
    classes: Option<usize>,
}

impl Chosen {
    fn of(schema: &Schema, wanted: &Wanted) -> Result<Self, InputError> {
        let describe = |field: &arrow_schema::FieldRef| Described {
            name: field.name().clone(),
            kind: kind(field.data_type()),
            dtype: field.data_type().to_string(),
        };
        let described: Vec<Described> = schema.fields().iter().map(describe).collect();
        let columns = choose(&described, wanted)?;
        let names = columns.iter().map(|&at| described[at].name.clone()).collect();
        let kind = described[columns[0]].kind;
        let types = columns.iter().map(|&at| number_type(schema.field(at).data_type()));
        let widest = types.map(dtype).max_by_key(|dtype| dtype.size());
        let classes = match (kind, schema.field(columns[0]).data_type()) {
            (Kind::List, DataType::FixedSizeList(_, len)) => usize::try_from(*len).ok(),
            (Kind::List, _) => None,
            _ => Some(columns.len()),
        };
        Ok(Self { columns, names, kind, dtype: widest.unwrap_or(Dtype::F64), classes })
    }

    /// Puts rows or texts together; `first` is a batch that was read already, `before` any that is given back.
    fn opened(
        self,
        batches: Box<dyn Batches>,
        first: Option<RecordBatch>,
        rows: Option<u64>,
        wanted: &Wanted,
        what: &str,
    ) -> Result<Opened, InputError> {
        if self.kind == Kind::Text {
            return Ok(Opened::Texts(Box::new(Column { batches, batch: first, at: 0, row: 0 })));
        }
        let of_first = |batch: &RecordBatch| cells::list_len(batch.column(0));
        let classes = self.classes.or_else(|| first.as_ref().and_then(of_first));
        let classes = classes.ok_or_else(|| {
            InputError::new("has no rows, and so does not say how many classes there are")
        })?;
        let height = rows.map_or(0, |rows| usize::try_from(rows).unwrap_or(usize::MAX));
        let layout = wanted.layout_of_table([height, classes], what)?;
        let names = (self.kind != Kind::List).then_some(self.names);
        let (is_list, dtype) = (self.kind == Kind::List, self.dtype);
        Ok(Opened::Rows(Box::new(Table {
            batches,
            batch: first,
            at: 0,
            row: 0,
            is_list,
            names,
            layout,
            dtype,
            rows,
        })))
    }
}

fn kind(of: &DataType) -> Kind {
    match of {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float,
        DataType::Boolean => Kind::Whole,
        of if of.is_integer() => Kind::Whole,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Dictionary(_, of) if kind(of) == Kind::Text => Kind::Text,
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)
            if matches!(kind(field.data_type()), Kind::Float | Kind::Whole) =>
        {
            Kind::List
        }
        _ => Kind::Other,
    }
}

/// That of the numbers in a list.
fn number_type(of: &DataType) -> &DataType {
    match of {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            field.data_type()
        }
        of => of,
    }
}

fn dtype(of: &DataType) -> Dtype {
    match of {
        DataType::Float16 => Dtype::F16,
        DataType::Float32 => Dtype::F32,
        _ => Dtype::F64,
    }
}

/// Rows of numbers.
struct Table {
    batches: Box<dyn Batches>,
    batch: Option<RecordBatch>,
    /// How many rows of the batch are done, and how many of all.
    at: usize,
    row: u64,
    is_list: bool,
    names: Option<Vec<String>>,
    layout: Layout,
    dtype: Dtype,
    rows: Option<u64>,
}

impl Table {
    /// Goes to the next batch where this one is done; false at the end.
    fn has_rows(&mut self) -> Result<bool, InputError> {
        while self.batch.as_ref().is_none_or(|batch| self.at == batch.num_rows()) {
            let next = self.batches.advance().map_err(|e| e.at_row(self.row))?;
            (self.batch, self.at) = (next, 0);
            if self.batch.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn next_rows<T: Number>(
        &mut self,
        block: &mut Vec<T>,
        max_rows: usize,
    ) -> Result<usize, InputError> {
        let (classes, max_rows) = (self.layout.classes(), max_rows.max(1));
        block.clear();
        let mut rows = 0;
        while rows < max_rows && self.has_rows()? {
            let Some(batch) = &self.batch else { break };
            let taken = (max_rows - rows).min(batch.num_rows() - self.at);
            let range = self.at..self.at + taken;
            let read = match self.is_list {
                true => cells::of_lists(batch.column(0), range, classes, block),
                false => cells::of_columns(batch.columns(), range, block),
            };
            read.map_err(|(at, error)| error.at(format!("row {}", self.row + at as u64)))?;
            (self.at, self.row, rows) = (self.at + taken, self.row + taken as u64, rows + taken);
        }
        match self.rows {
            Some(rows) if self.row > rows || block.is_empty() && self.row < rows => {
                Err(InputError::new(format!(
                    "is damaged: {} rows of the {rows} that it says it has",
                    self.row
                )))
            }
            _ => Ok(rows),
        }
    }
}

impl Reader for Table {
    fn dtype(&self) -> Option<Dtype> {
        Some(self.dtype)
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn rows(&self) -> Option<u64> {
        self.rows
    }

    fn class_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Rows of a batch that was decoded anyway.
    fn skip_rows(&mut self, rows: u64) -> Result<u64, InputError> {
        if !self.has_rows()? {
            return Ok(0);
        }
        let left = self.batch.as_ref().map_or(0, |batch| batch.num_rows() - self.at);
        let skipped = left.min(usize::try_from(rows).unwrap_or(usize::MAX));
        (self.at, self.row) = (self.at + skipped, self.row + skipped as u64);
        Ok(skipped as u64)
    }

    fn next_block(&mut self, block: Block, max_rows: usize) -> Result<usize, InputError> {
        with_block!(block, numbers => self.next_rows(numbers, max_rows))
    }
}

/// A text for every row.
struct Column {
    batches: Box<dyn Batches>,
    batch: Option<RecordBatch>,
    at: usize,
    row: u64,
}

impl Texts for Column {
    fn advance(&mut self) -> Result<Option<String>, InputError> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.at < batch.num_rows()) {
                let text = cells::text(batch.column(0), self.at);
                (self.at, self.row) = (self.at + 1, self.row + 1);
                let null = || InputError::new("null, where a text belongs").at(self.place());
                return text.map(Some).ok_or_else(null);
            }
            let next = self.batches.advance().map_err(|e| e.at_row(self.row))?;
            (self.batch, self.at) = (next, 0);
            if self.batch.is_none() {
                return Ok(None);
            }
        }
    }

    fn place(&self) -> String {
        format!("row {}", self.row.saturating_sub(1))
    }
}

thread_local! {
    /// Whether a panic of this thread is somebody's damaged file.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Does what may panic on damaged bytes, and says then that they are.
fn contained<T>(work: impl FnOnce() -> Result<T, InputError>) -> Result<T, InputError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let otherwise = take_hook();
        set_hook(Box::new(move |panic| {
            if !CONTAINED.get() {
                otherwise(panic);
            }
        }));
    });
    CONTAINED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(false);
    done.unwrap_or_else(|_| Err(damaged("its parts contradict each other")))
}

fn damaged(reason: impl std::fmt::Display) -> InputError {
    InputError::new(format!("is damaged: {reason}")).hint("copy or write it again")
}
