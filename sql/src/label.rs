//! A column of labels.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;

use crate::refused::Refused;

/// Whether a column can hold labels.
pub(crate) fn check(function: &'static str, got: &DataType) -> Result<(), Refused> {
    if got.is_integer() || got.is_null() {
        return Ok(());
    }
    let hint = match got {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            "say which class each name is: case label when 'cat' then 0 when 'dog' then 1 end"
        }
        _ => "cast it: cast(label as bigint)",
    };
    let reason =
        format!("label is of the type {got}: it must be an integer, classes counted from 0");
    Err(Refused::argument(function, reason, hint))
}

/// The labels; NULLs stay.
pub(crate) fn labels(function: &'static str, column: &ArrayRef) -> Result<Int64Array> {
    check(function, column.data_type())?;
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(column, &DataType::Int64, &strict)?.as_primitive::<Int64Type>().clone())
}

/// The label of a row, if it has one.
pub(crate) fn of_row(labels: &Int64Array, row: usize) -> Option<i64> {
    labels.is_valid(row).then(|| labels.value(row))
}

/// What is wrong with a label, if anything.
pub(crate) fn wrong(label: i64, classes: usize) -> Option<String> {
    let is_class = usize::try_from(label).is_ok_and(|class| class < classes);
    (!is_class)
        .then(|| format!("label {label} is not a class: there are {classes}, counted from 0"))
}
