//! Which row of a file cannot be read: readers tell the file alone, if that.
//!
//! ```text
//! JSON lines   line after line, by itself: parsed, then taken for a row of the table
//! CSV          row after row
//! Parquet      row group after row group
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use datafusion::arrow::csv::ReaderBuilder as CsvBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;
use datafusion::arrow::json::reader::infer_json_schema_from_iterator;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::files::{IS_IT_WHOLE, format_of};

/// The first row of a file that cannot be read as one of a table of these columns, why, and what to do; without columns, the
/// first that does not go together with those before. `None` where there is no such row, or the file is of another format.
pub(crate) fn row(file: &str, columns: Option<&SchemaRef>) -> Option<(u64, String, &'static str)> {
    let (found, hint) = match (format_of(file)?, columns) {
        ((_, "json", None), Some(columns)) => (of_another_type(file, columns), MEND),
        ((_, "json", None), None) => (not_like_those_before(file), MEND),
        ((_, "csv", None), columns) => (not_of_the_fields(file, columns), MEND),
        ((_, "parquet", None), _) => (row_group(file), IS_IT_WHOLE),
        _ => return None,
    };
    found.map(|(row, why)| (row, why, hint))
}

const MEND: &str = "mend the line or leave it out";

/// The lines of a file that are not blank, and the number of each, from 1.
fn lines(file: &str) -> Option<impl Iterator<Item = (u64, Vec<u8>)>> {
    let lines = BufReader::new(File::open(file).ok()?).split(b'\n');
    let numbered = (1..).zip(lines.map_while(Result::ok));
    Some(numbered.filter(|(_, text)| !text.trim_ascii().is_empty()))
}

/// Why a line is no JSON, if it is none.
fn no_json(line: u64, text: &[u8]) -> Option<String> {
    let error = serde_json::from_slice::<IgnoredAny>(text).err()?;
    let (why, at) = (error.to_string(), error.column());
    let why = why.split(" at line").next().unwrap_or_default();
    Some(format!("line {line} is no JSON: {why} (byte {at})"))
}

fn said(error: &ArrowError) -> String {
    let text = error.to_string();
    text.strip_prefix("Json error: ").unwrap_or(&text).to_owned()
}

fn of_another_type(file: &str, columns: &SchemaRef) -> Option<(u64, String)> {
    let mut rows = (0..).zip(lines(file)?);
    rows.find_map(|(row, (line, text))| {
        let wrong = || {
            let mut one = ReaderBuilder::new(Arc::clone(columns)).build_decoder().ok()?;
            let error = one.decode(&text).and_then(|_| one.flush()).err()?;
            Some(format!("line {line} is not like the others: {}", said(&error)))
        };
        no_json(line, &text).or_else(wrong).map(|why| (row, why))
    })
}

fn not_like_those_before(file: &str) -> Option<(u64, String)> {
    let (mut rows, mut last) = (0u64, 0);
    let mut broken = None;
    let values = lines(file)?.map_while(|(line, text)| {
        broken = no_json(line, &text);
        (rows, last) = (rows + 1, line);
        serde_json::from_slice::<Value>(&text).ok().map(Ok)
    });
    let read = infer_json_schema_from_iterator(values);
    let other = || read.err().map(|e| format!("line {last} is not like the others: {}", said(&e)));
    broken.or_else(other).map(|why| (rows.saturating_sub(1), why))
}

fn not_of_the_fields(file: &str, columns: Option<&SchemaRef>) -> Option<(u64, String)> {
    let open = || File::open(file).ok();
    let columns = match columns {
        Some(columns) => Arc::clone(columns),
        None => {
            let header = Format::default().with_header(true).infer_schema(open()?, Some(0)).ok()?.0;
            let text = |field: &Arc<Field>| Field::new(field.name(), DataType::Utf8, true);
            Arc::new(Schema::new(header.fields().iter().map(text).collect::<Vec<_>>()))
        }
    };
    let rows = CsvBuilder::new(columns).with_header(true).with_batch_size(1).build(open()?).ok()?;
    (0..).zip(rows).find_map(|(row, read)| {
        let text = read.err()?.to_string();
        Some((row, text.split_once(": ").map_or(&text[..], |(_, said)| said).to_owned()))
    })
}

fn row_group(file: &str) -> Option<(u64, String)> {
    let open = || ParquetRecordBatchReaderBuilder::try_new(File::open(file).ok()?).ok();
    let groups: Vec<i64> =
        open()?.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    let mut first = 0;
    for (at, rows) in groups.into_iter().enumerate() {
        let rows = u64::try_from(rows).ok()?;
        let error = match open()?.with_row_groups(vec![at]).build() {
            Ok(mut batches) => batches.find_map(Result::err).map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error {
            let last = first + rows.saturating_sub(1);
            let why = error.replace('\n', " ");
            return Some((first, format!("row group {at}, to row {last}, cannot be read: {why}")));
        }
        first += rows;
    }
    None
}

/// The columns with lists of numbers in place of lists of other things where the first list of a file of JSON lines has a
/// number: of numbers with a text among them the engine makes texts. "NaN" is read, any other text is refused in its row.
pub(crate) fn with_lists_of_numbers(file: &str, columns: SchemaRef) -> SchemaRef {
    let is_of_others = |field: &Field| match field.data_type() {
        DataType::List(item) => !item.data_type().is_numeric(),
        _ => false,
    };
    if !columns.fields().iter().any(|field| is_of_others(field)) {
        return columns;
    }
    let has_number = |name: &str| {
        let list = lines(file)?.find_map(|(_, text)| {
            let mut row = serde_json::from_slice::<Value>(&text).ok()?;
            match row.get_mut(name)?.take() {
                Value::Array(items) if !items.is_empty() => Some(items),
                _ => None,
            }
        });
        list.map(|items| items.iter().any(Value::is_number))
    };
    let changed = columns.fields().iter().map(|field| {
        if is_of_others(field) && has_number(field.name()) == Some(true) {
            let of = DataType::new_list(DataType::Float64, true);
            Arc::new(Field::new(field.name(), of, field.is_nullable()))
        } else {
            Arc::clone(field)
        }
    });
    Arc::new(Schema::new_with_metadata(changed.collect::<Vec<_>>(), columns.metadata().clone()))
}
