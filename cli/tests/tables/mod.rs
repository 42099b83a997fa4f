//! Rows of logits with labels, written in every format that is read.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::*;
use arrow_buffer::OffsetBuffer;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::Field;
use half::{bf16, f16};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::SerializedFileReader;

/// Logits that say something of their labels.
pub(crate) struct Rows {
    pub(crate) classes: usize,
    pub(crate) logits: Vec<f32>,
    pub(crate) labels: Vec<i64>,
}

impl Rows {
    pub(crate) fn new(rows: usize, classes: usize) -> Self {
        let label = |row: usize| row * 7919 % 1009 % classes;
        let logit = |i: usize| {
            let (row, class) = (i / classes, i % classes);
            let noise = (i.wrapping_mul(2_654_435_761) >> 7) % 4001;
            let bonus = if class == label(row) && row % 4 > 0 { 2.5 } else { 0.0 };
            noise as f32 / 777.7 - 2.5 + bonus
        };
        Self {
            classes,
            logits: (0..rows * classes).map(logit).collect(),
            labels: (0..rows).map(|row| label(row) as i64).collect(),
        }
    }

    pub(crate) fn slice(&self, rows: Range<usize>) -> Self {
        let numbers = rows.start * self.classes..rows.end * self.classes;
        Self {
            classes: self.classes,
            logits: self.logits[numbers].to_vec(),
            labels: self.labels[rows].to_vec(),
        }
    }
}

/// How the logits of a row lie in a table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    Fixed,
    Any,
    Large,
    Columns,
}

/// An array of lists that are all as long.
fn list(values: ArrayRef, classes: usize, list: List) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    let rows = values.len() / classes;
    match list {
        List::Fixed => Arc::new(FixedSizeListArray::new(item, classes as i32, values, None)),
        List::Large => {
            let offsets = OffsetBuffer::<i64>::from_lengths(vec![classes; rows]);
            Arc::new(LargeListArray::new(item, offsets, values, None))
        }
        _ => {
            let offsets = OffsetBuffer::<i32>::from_lengths(vec![classes; rows]);
            Arc::new(ListArray::new(item, offsets, values, None))
        }
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .expect("a batch")
}

/// A column that is not wanted, the logits, the labels.
fn table(rows: &Rows, how: List) -> RecordBatch {
    let count = rows.labels.len();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|i| i.to_string())));
    let labels: ArrayRef = Arc::new(Int64Array::from(rows.labels.clone()));
    let logits = Arc::new(Float32Array::from(rows.logits.clone()));
    let names: Vec<String> = (0..rows.classes).map(|class| format!("logit_{class}")).collect();
    let mut columns = vec![("id", ids)];
    match how {
        List::Columns => {
            for (class, name) in names.iter().enumerate() {
                let of_class = rows.logits.iter().skip(class).step_by(rows.classes).copied();
                columns.push((name, Arc::new(Float32Array::from_iter_values(of_class))));
            }
        }
        how => columns.push(("logits", list(logits, rows.classes, how))),
    }
    columns.push(("label", labels));
    batch(columns)
}

/// Row groups of so many rows.
fn write_parquet(batch: &RecordBatch, group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_compression(Compression::ZSTD(Default::default()))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("written");
    writer.into_inner().expect("closed")
}

pub(crate) fn parquet(rows: &Rows, how: List, group: usize) -> Vec<u8> {
    write_parquet(&table(rows, how), group)
}

/// In batches of 77 rows, as a file or a stream.
fn write_ipc(table: &RecordBatch, is_file: bool, codec: Option<&str>) -> Vec<u8> {
    let codec = codec.map(|codec| match codec {
        "lz4" => CompressionType::LZ4_FRAME,
        _ => CompressionType::ZSTD,
    });
    let options = IpcWriteOptions::default().try_with_compression(codec).expect("options");
    let schema = table.schema();
    let starts = (0..table.num_rows().max(1)).step_by(77);
    let batches = starts.map(|at| table.slice(at, 77.min(table.num_rows() - at)));
    if is_file {
        let mut writer =
            FileWriter::try_new_with_options(Vec::new(), &schema, options).expect("a writer");
        batches.for_each(|batch| writer.write(&batch).expect("written"));
        writer.finish().expect("finished");
        return writer.into_inner().expect("closed");
    }
    let mut writer =
        StreamWriter::try_new_with_options(Vec::new(), &schema, options).expect("a writer");
    batches.for_each(|batch| writer.write(&batch).expect("written"));
    writer.finish().expect("finished");
    writer.into_inner().expect("closed")
}

pub(crate) fn ipc(rows: &Rows, how: List, is_file: bool, codec: Option<&str>) -> Vec<u8> {
    write_ipc(&table(rows, how), is_file, codec)
}

/// What can be wrong with row 70.
#[derive(Clone, Copy)]
pub(crate) enum Wrong {
    Short,
    NullList,
    NullNumber,
}

fn wrong_table(rows: &Rows, wrong: Wrong) -> RecordBatch {
    let of_row = rows.logits.chunks(rows.classes).enumerate().map(|(row, logits)| {
        let mut logits: Vec<Option<f32>> = logits.iter().copied().map(Some).collect();
        match wrong {
            Wrong::NullList if row == 70 => return None,
            Wrong::NullNumber if row == 70 => logits[1] = None,
            Wrong::Short if row == 70 => logits.truncate(2),
            _ => {}
        }
        Some(logits)
    });
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(of_row));
    let labels: ArrayRef = Arc::new(Int64Array::from(rows.labels.clone()));
    batch(vec![("logits", lists), ("label", labels)])
}

pub(crate) fn wrong(rows: &Rows, wrong: Wrong, group: usize) -> Vec<u8> {
    write_parquet(&wrong_table(rows, wrong), group)
}

pub(crate) fn wrong_ipc(rows: &Rows, wrong: Wrong) -> Vec<u8> {
    write_ipc(&wrong_table(rows, wrong), true, None)
}

/// With a label that is not there.
pub(crate) fn labels_with_null(rows: &Rows, null: usize) -> Vec<u8> {
    let labels = rows.labels.iter().enumerate();
    let labels: Int64Array = labels.map(|(row, &label)| (row != null).then_some(label)).collect();
    let logits = Arc::new(Float32Array::from(rows.logits.clone()));
    let logits = list(logits, rows.classes, List::Any);
    write_parquet(&batch(vec![("logits", logits), ("label", Arc::new(labels))]), 64)
}

const ANIMALS: [&str; 3] = ["cat", "dog", "emu"];

/// Labels as texts, of which one may be missing; weights; groups, which repeat.
pub(crate) fn with_texts(rows: &Rows, null: Option<usize>) -> Vec<u8> {
    let count = rows.labels.len();
    let logits = Arc::new(Float32Array::from(rows.logits.clone()));
    let labels = rows.labels.iter().map(|label| label.to_string());
    let animals = rows
        .labels
        .iter()
        .enumerate()
        .map(|(row, &label)| Some(ANIMALS[label as usize]).filter(|_| Some(row) != null));
    let groups: DictionaryArray<types::Int8Type> =
        (0..count).map(|row| ["a", "b"][row % 2]).collect();
    let table = batch(vec![
        ("logits", list(logits, rows.classes, List::Fixed)),
        ("label", Arc::new(LargeStringArray::from_iter_values(labels))),
        ("animal", Arc::new(StringArray::from_iter(animals))),
        ("weight", Arc::new(UInt8Array::from_iter_values((0..count).map(|row| (row % 3) as u8)))),
        ("group", Arc::new(groups)),
    ]);
    write_parquet(&table, 50)
}

pub(crate) fn jsonl_with_texts(rows: &Rows) -> Vec<u8> {
    let logits = rows.logits.chunks(rows.classes).zip(&rows.labels).enumerate();
    let line = |(row, (logits, label)): (usize, (&[f32], &i64))| {
        let (animal, group) = (ANIMALS[*label as usize], ["a", "b"][row % 2]);
        let logits: Vec<f64> = logits.iter().map(|&x| x.into()).collect();
        format!(
            "{{\"group\": \"{group}\", \"label\": \"{label}\", \"animal\": \"{animal}\", \
             \"weight\": {}, \"logits\": {logits:?}}}\n",
            row % 3
        )
    };
    logits.map(line).collect::<String>().into_bytes()
}

/// Lists of ids, which may be 32 bits wide, beside lists of numbers.
pub(crate) fn top_k_parquet(ids: &[i64], numbers: &[f32], k: usize, labels: &[i64]) -> Vec<u8> {
    let ids = Arc::new(Int32Array::from_iter_values(ids.iter().map(|&id| id as i32)));
    let numbers = Arc::new(Float32Array::from(numbers.to_vec()));
    write_parquet(
        &batch(vec![
            ("ids", list(ids, k, List::Any)),
            ("top", list(numbers, k, List::Large)),
            ("label", Arc::new(Int64Array::from(labels.to_vec()))),
        ]),
        70,
    )
}

/// One column of lists of this type.
pub(crate) fn typed_parquet(numbers: &[f64], classes: usize, dtype: &str) -> Vec<u8> {
    let numbers = numbers.iter().copied();
    let values: ArrayRef = match dtype {
        "f16" => Arc::new(Float16Array::from_iter_values(numbers.map(f16::from_f64))),
        "f32" => Arc::new(Float32Array::from_iter_values(numbers.map(|x| x as f32))),
        "f64" => Arc::new(Float64Array::from_iter_values(numbers)),
        "i8" => Arc::new(Int8Array::from_iter_values(numbers.map(|x| x as i8))),
        "i64" => Arc::new(Int64Array::from_iter_values(numbers.map(|x| x as i64))),
        _ => Arc::new(UInt64Array::from_iter_values(numbers.map(|x| x as u64))),
    };
    write_parquet(&batch(vec![("x", list(values, classes, List::Any))]), 9)
}

/// Where the first page of the logits of a row group begins.
pub(crate) fn page_of_group(file: &[u8], group: usize) -> usize {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file.to_vec())).expect("Parquet");
    let group = reader.metadata().row_group(group);
    let column = (0..group.num_columns()).map(|at| group.column(at));
    let logits = column.max_by_key(|column| column.compressed_size()).expect("a column");
    logits.byte_range().0 as usize
}

pub(crate) fn npz(members: &[(&str, &[u8])], deflate: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut out);
    for (name, bytes) in members {
        let method = match deflate {
            true => rawzip::CompressionMethod::DEFLATE,
            false => rawzip::CompressionMethod::STORE,
        };
        let (mut entry, config) =
            archive.new_file(name).compression_method(method).start().expect("a member");
        let descriptor = if deflate {
            let deflater =
                flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
            let mut writer = config.wrap(deflater);
            writer.write_all(bytes).expect("written");
            let (deflater, descriptor) = writer.finish().expect("finished");
            deflater.finish().expect("finished");
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(bytes).expect("written");
            writer.finish().expect("finished").1
        };
        entry.finish(descriptor).expect("finished");
    }
    archive.finish().expect("finished");
    out
}

/// The same archive, in whose directory a checksum is another.
pub(crate) fn with_another_checksum(mut archive: Vec<u8>) -> Vec<u8> {
    let entry = archive.windows(4).rposition(|window| window == b"PK\x01\x02").expect("an entry");
    archive[entry + 16] ^= 1;
    archive
}

fn encoded(dtype: &str, number: f64) -> Vec<u8> {
    match dtype {
        "F16" => f16::from_f64(number).to_le_bytes().to_vec(),
        "BF16" => bf16::from_f64(number).to_le_bytes().to_vec(),
        "F32" => (number as f32).to_le_bytes().to_vec(),
        "F64" => number.to_le_bytes().to_vec(),
        "I8" => (number as i8).to_le_bytes().to_vec(),
        "I16" => (number as i16).to_le_bytes().to_vec(),
        "I32" => (number as i32).to_le_bytes().to_vec(),
        _ => (number as i64).to_le_bytes().to_vec(),
    }
}

/// A file of one tensor.
pub(crate) fn tensor(name: &str, dtype: &str, shape: &[usize], numbers: &[f64]) -> Vec<u8> {
    tensors(&[(name, dtype, shape, numbers)])
}

fn tensors(tensors: &[(&str, &str, &[usize], &[f64])]) -> Vec<u8> {
    let (mut data, mut header) = (Vec::new(), "{\"__metadata__\":{\"format\":\"np\"}".to_owned());
    for (name, dtype, shape, numbers) in tensors {
        let start = data.len();
        numbers.iter().for_each(|&number| data.extend(encoded(dtype, number)));
        header += &format!(
            ",\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{start},{}]}}",
            data.len()
        );
    }
    header += "}";
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

pub(crate) fn safetensors(rows: &Rows) -> Vec<u8> {
    let labels: Vec<f64> = rows.labels.iter().map(|&label| label as f64).collect();
    let logits: Vec<f64> = rows.logits.iter().map(|&x| x.into()).collect();
    let count = rows.labels.len();
    tensors(&[
        ("labels", "I64", &[count], &labels),
        ("logits", "F32", &[count, rows.classes], &logits),
        ("other", "F32", &[1], &[0.0]),
    ])
}

pub(crate) fn jsonl(rows: &Rows, is_wide: bool) -> Vec<u8> {
    let mut text = String::new();
    for (logits, label) in rows.logits.chunks(rows.classes).zip(&rows.labels) {
        let logits: Vec<f64> = logits.iter().map(|&x| x.into()).collect();
        text += &match is_wide {
            false => format!(
                "{{\"logits\": {logits:?}, \"id\": {{\"a\": [\"]\"]}}, \"label\": {label}}}\n"
            ),
            true => {
                let numbers = logits.iter().enumerate();
                let numbers = numbers.map(|(class, x)| format!("\"logit_{class}\": {x:?}, "));
                format!("{{{}\"label\": {label}}}\n", numbers.collect::<String>())
            }
        };
    }
    text.into_bytes()
}

/// With a header, and the labels in the middle.
pub(crate) fn csv(rows: &Rows) -> Vec<u8> {
    let header = (1..rows.classes).map(|class| format!(",logit_{class}")).collect::<String>();
    let mut text = format!("logit_0,label{header}\n");
    for (logits, label) in rows.logits.chunks(rows.classes).zip(&rows.labels) {
        text += &format!("{},{label}", f64::from(logits[0]));
        text.extend(logits[1..].iter().map(|&x| format!(",{}", f64::from(x))));
        text += "\n";
    }
    text.into_bytes()
}
