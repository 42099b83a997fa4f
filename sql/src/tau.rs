//! The argument `tau`: a number means itself, a text what it says.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::scalar::ScalarValue;
use softargmax::Temperature;

use crate::refused::Refused;

/// Whether a column can hold temperatures.
pub(crate) fn check(function: &'static str, got: &DataType) -> Result<(), Refused> {
    if got.is_numeric() || got.is_null() || is_text(got) {
        return Ok(());
    }
    let reason =
        format!("tau is of the type {got}: it must be a number, or a text such as '0.1' or '1/3'");
    Err(Refused::argument(function, reason, "give a temperature from 0 up"))
}

fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The temperatures of a column; `None` for a NULL.
pub(crate) fn temperatures(
    function: &'static str,
    column: &ArrayRef,
) -> Result<Vec<Option<Temperature>>> {
    read(function, column, Refused::row)
}

/// The temperatures of a column, each of which must be there.
pub(crate) fn given(function: &'static str, column: &ArrayRef) -> Result<Vec<Temperature>> {
    let null = || Refused::row(function, "tau is NULL", HINT).into();
    temperatures(function, column)?.into_iter().map(|tau| tau.ok_or_else(null)).collect()
}

/// The temperature of all rows; if it is wrong, no row is to blame.
pub(crate) fn of_all(function: &'static str, tau: &ScalarValue) -> Result<Option<Temperature>> {
    Ok(read(function, &tau.to_array()?, Refused::argument)?[0])
}

const HINT: &str = "tau is 0 for arg max, 'inf' for the uniform distribution, or between them";

fn read(
    function: &'static str,
    column: &ArrayRef,
    refuse: fn(&'static str, softargmax::Error, &'static str) -> Refused,
) -> Result<Vec<Option<Temperature>>> {
    check(function, column.data_type())?;
    let refused = |error: softargmax::Error| refuse(function, error, HINT);
    // Decimals are exact as a text, too.
    let is_text = is_text(column.data_type()) || column.data_type().is_decimal();
    let read_as = if is_text { DataType::Utf8 } else { DataType::Float64 };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let column = cast_with_options(column, &read_as, &strict)?;
    let rows = 0..column.len();
    let of_row = |row: usize| -> Result<Option<Temperature>> {
        Ok(match column.is_null(row) {
            true => None,
            false if is_text => {
                Some(column.as_string::<i32>().value(row).parse().map_err(refused)?)
            }
            false => {
                let tau = column.as_primitive::<Float64Type>().value(row);
                Some(Temperature::new(tau).map_err(refused)?)
            }
        })
    };
    rows.map(of_row).collect()
}
