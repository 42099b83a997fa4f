//! Rows as text: what a struct holds in columns of its own.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

/// The names of the columns.
pub(crate) fn names(batch: &RecordBatch) -> Vec<String> {
    let mut names = Vec::new();
    for field in batch.schema().fields() {
        // The whole call is no name for each of its answers.
        let is_call = field.name().contains('(');
        match field.data_type() {
            DataType::Struct(inner) => names.extend(inner.iter().map(|inner| match is_call {
                true => inner.name().clone(),
                false => format!("{}.{}", field.name(), inner.name()),
            })),
            _ => names.push(field.name().clone()),
        }
    }
    names
}

/// The rows, a text for every column.
pub(crate) fn rows(batch: &RecordBatch) -> Result<Vec<Vec<String>>, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for column in batch.columns() {
        match column.data_type() {
            DataType::Struct(_) => columns.extend(column.as_struct().columns().iter().cloned()),
            _ => columns.push(column.clone()),
        }
    }
    let options = FormatOptions::new().with_null("");
    let formatters = columns.iter().map(|column| ArrayFormatter::try_new(column, &options));
    let formatters = formatters.collect::<Result<Vec<_>, _>>()?;
    let text = |row: usize| formatters.iter().map(move |column| column.value(row).try_to_string());
    (0..batch.num_rows()).map(|row| text(row).collect()).collect()
}

/// Characters of a line that is still looked over.
const WIDE: usize = 120;

/// Columns beside one another, or where they are wide, rows one below the other.
pub(crate) fn table(names: &[String], rows: &[Vec<String>]) -> String {
    let length = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| length(&row[column]));
        cells.chain([length(&names[column])]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let pad = |text: &str, width: usize| " ".repeat(width - length(text));
    let mut out = String::new();
    if widths.iter().map(|width| width + 2).sum::<usize>() <= WIDE {
        for row in std::iter::once(names).chain(rows.iter().map(Vec::as_slice)) {
            let mut line = String::new();
            for (text, &width) in row.iter().zip(&widths) {
                line.push_str(text);
                line.push_str(&pad(text, width + 2));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        return out;
    }
    let widest = names.iter().map(|name| length(name)).max().unwrap_or(0);
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for (name, text) in names.iter().zip(row) {
            let line = format!("{name}{}  {text}", pad(name, widest));
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

/// A line of CSV.
pub(crate) fn csv(cells: &[String]) -> String {
    let quoted = |text: &String| match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.clone(),
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}
