//! A column of weights: how much each row counts, from 0 up.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;

use crate::refused::Refused;

/// What leaves out the rows that are refused for their weight.
pub(crate) const LEAVE_OUT: &str =
    "give a number from 0 up, 0 for a row that does not count: coalesce(weight, 0)";

/// Whether a column can hold weights.
pub(crate) fn check(function: &'static str, got: &DataType) -> Result<(), Refused> {
    if got.is_numeric() || got.is_null() {
        return Ok(());
    }
    let reason = format!("weight is of the type {got}: it must be a number from 0 up");
    Err(Refused::argument(function, reason, "cast it: cast(weight as double)"))
}

/// The weights; NULLs stay.
pub(crate) fn weights(function: &'static str, column: &ArrayRef) -> Result<Float64Array> {
    check(function, column.data_type())?;
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let column = cast_with_options(column, &DataType::Float64, &strict)?;
    Ok(column.as_primitive::<Float64Type>().clone())
}

/// The weight of a row, or what is wrong with it.
pub(crate) fn of_row(weights: &Float64Array, row: usize) -> Result<f64, String> {
    if weights.is_null(row) {
        return Err("the weight is NULL".to_owned());
    }
    let weight = weights.value(row);
    let is_weight = weight >= 0.0 && weight.is_finite();
    if is_weight { Ok(weight) } else { Err(format!("weight {weight} is not from 0 up")) }
}
