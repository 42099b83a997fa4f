//! Encodes Parquet and Arrow IPC: one column, a list of as many numbers as there are classes.
//!
//! ```text
//! numbers → whole rows → batch of rows → the published writer, into memory → target, as soon as it is done with a group
//! ```

use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float16Array, Float32Array, Float64Array, RecordBatch,
};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{Encoder, Rows, Target, decoded};
use crate::error::CliError;
use crate::input::Dtype;

/// Bytes of numbers in a batch.
const BATCH: usize = 1 << 20;
/// Numbers in a row group of Parquet: 16 MiB of f32, which are in memory until it is written.
const GROUP: usize = 1 << 22;

/// The published writers, each into a buffer.
pub(super) trait Writer {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), CliError>;
    fn close(&mut self) -> Result<(), CliError>;
    /// What is ready to go.
    fn buffer(&mut self) -> &mut Vec<u8>;
}

/// Numbers on their way into a table.
pub(super) struct Table<W> {
    writer: W,
    schema: SchemaRef,
    item: Arc<Field>,
    dtype: Dtype,
    classes: usize,
    waiting: Vec<u8>,
}

impl<W: Writer> Table<W> {
    fn new(
        rows: &Rows,
        writer: impl FnOnce(SchemaRef) -> Result<W, CliError>,
    ) -> Result<Self, CliError> {
        let classes = rows.shape.last().copied().unwrap_or(1);
        let dtype = match rows.dtype {
            Dtype::F16 => DataType::Float16,
            Dtype::F32 => DataType::Float32,
            Dtype::F64 => DataType::Float64,
        };
        // The name that other writers give the items of a list.
        let item = Arc::new(Field::new("item", dtype, true));
        let list = DataType::FixedSizeList(Arc::clone(&item), length(classes)?);
        let schema = Arc::new(Schema::new(vec![Field::new(rows.name, list, false)]));
        let writer = writer(Arc::clone(&schema))?;
        Ok(Self { writer, schema, item, dtype: rows.dtype, classes, waiting: Vec::new() })
    }

    /// Gives the writer the rows that are whole.
    fn flush(&mut self, target: &mut Target) -> Result<(), CliError> {
        let row_size = self.classes * self.dtype.size();
        let whole = self.waiting.len() / row_size * row_size;
        if whole > 0 {
            let bytes = &self.waiting[..whole];
            let numbers: ArrayRef = match self.dtype {
                Dtype::F16 => Arc::new(Float16Array::from(decoded::<half::f16>(bytes))),
                Dtype::F32 => Arc::new(Float32Array::from(decoded::<f32>(bytes))),
                Dtype::F64 => Arc::new(Float64Array::from(decoded::<f64>(bytes))),
            };
            let length = length(self.classes)?;
            let item = Arc::clone(&self.item);
            let lists = FixedSizeListArray::try_new(item, length, numbers, None);
            let lists: ArrayRef = Arc::new(lists.map_err(CliError::internal)?);
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![lists]);
            self.writer.write(&batch.map_err(CliError::internal)?)?;
            self.waiting.drain(..whole);
        }
        self.send(target)
    }

    fn send(&mut self, target: &mut Target) -> Result<(), CliError> {
        let buffer = self.writer.buffer();
        let written = target.write(buffer);
        buffer.clear();
        written
    }
}

impl<W: Writer> Encoder for Table<W> {
    fn encode(&mut self, numbers: &[u8], target: &mut Target) -> Result<(), CliError> {
        self.waiting.extend_from_slice(numbers);
        if self.waiting.len() >= BATCH { self.flush(target) } else { Ok(()) }
    }

    fn finish(&mut self, _rows: u64, target: &mut Target) -> Result<(), CliError> {
        self.flush(target)?;
        self.writer.close()?;
        self.send(target)
    }
}

fn length(classes: usize) -> Result<i32, CliError> {
    i32::try_from(classes).map_err(CliError::internal)
}

pub(super) fn parquet(rows: &Rows) -> Result<Table<ArrowWriter<Vec<u8>>>, CliError> {
    let classes = rows.shape.last().copied().unwrap_or(1);
    let properties = WriterProperties::builder()
        // Floats of a softmax have few bits in common: a dictionary of them is tried in vain.
        .set_dictionary_enabled(false)
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some((GROUP / classes).max(1)))
        .build();
    Table::new(rows, |schema| {
        ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(CliError::internal)
    })
}

impl Writer for ArrowWriter<Vec<u8>> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        ArrowWriter::write(self, batch).map_err(CliError::internal)
    }

    fn close(&mut self) -> Result<(), CliError> {
        self.finish().map(drop).map_err(CliError::internal)
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        self.inner_mut()
    }
}

pub(super) fn file(rows: &Rows) -> Result<Table<FileWriter<Vec<u8>>>, CliError> {
    Table::new(rows, |schema| FileWriter::try_new(Vec::new(), &schema).map_err(CliError::internal))
}

impl Writer for FileWriter<Vec<u8>> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        FileWriter::write(self, batch).map_err(CliError::internal)
    }

    fn close(&mut self) -> Result<(), CliError> {
        self.finish().map_err(CliError::internal)
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}

pub(super) fn stream(rows: &Rows) -> Result<Table<StreamWriter<Vec<u8>>>, CliError> {
    Table::new(rows, |schema| {
        StreamWriter::try_new(Vec::new(), &schema).map_err(CliError::internal)
    })
}

impl Writer for StreamWriter<Vec<u8>> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        StreamWriter::write(self, batch).map_err(CliError::internal)
    }

    fn close(&mut self) -> Result<(), CliError> {
        self.finish().map_err(CliError::internal)
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}
