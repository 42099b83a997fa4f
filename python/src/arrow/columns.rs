//! Columns of a record batch as rows of logits, labels and weights.
//!
//! ```text
//! fixed-size list        the values, where they lie
//! list, large list       the values from the first offset to the last, if all rows are as long
//! a null, another type   refused, with row and column
//! ```

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, LargeListArray, ListArray,
    OffsetSizeTrait, PrimitiveArray, RecordBatch,
};
use arrow_buffer::{ArrowNativeType, OffsetBuffer};
use arrow_schema::DataType;
use pyo3::prelude::*;

use crate::array::Number;
use crate::error::{wrong, wrong_type};

/// A type of number as arrow calls it.
pub(super) trait Value: Number + ArrowNativeType {
    type Arrow: ArrowPrimitiveType<Native = Self>;
}
impl Value for half::f16 {
    type Arrow = Float16Type;
}
impl Value for f32 {
    type Arrow = Float32Type;
}
impl Value for f64 {
    type Arrow = Float64Type;
}

/// The column of a name; where it is missing, those there are.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        wrong(format!("there is no column {name}: there are {}", names.join(", ")))
    })
}

/// Lists of one length, one for each row.
pub(super) struct Lists {
    values: ArrayRef,
    pub(super) classes: usize,
    rows: usize,
    of: DataType,
}

impl Lists {
    /// `first` is the number of the first row, for messages; `classes` the length that rows before had, if there were any.
    /// None where there are no rows.
    pub(super) fn of(
        batch: &RecordBatch,
        name: &str,
        first: usize,
        classes: Option<usize>,
    ) -> PyResult<Option<Self>> {
        let column = column(batch, name)?;
        let of = column.data_type().clone();
        let rows = column.len();
        let is_list =
            matches!(of, DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_));
        if rows == 0 && is_list {
            return Ok(None);
        }
        let null = (column.null_count() > 0).then(|| (0..rows).find(|&row| column.is_null(row)));
        if let Some(Some(row)) = null {
            return Err(wrong(format!("row {}: {name} is null", first + row)));
        }
        let lengths_differ = |row: usize, got: usize, expected: usize| {
            wrong(format!("row {}: {name} has length {got}, expected {expected}", first + row))
        };
        let (values, length) = if !is_list {
            return Err(wrong_type(format!(
                "column {name} is of type {of}: it must be lists of float16, float32 or float64"
            )));
        } else if let Some(lists) = column.as_fixed_size_list_opt() {
            (lists.values().clone(), lists.value_length() as usize)
        } else if let Some(lists) = column.as_list_opt::<i32>() {
            let classes = classes.unwrap_or(lists.value_length(0) as usize);
            (between(lists.values(), lists.offsets(), classes, lengths_differ)?, classes)
        } else {
            let lists = column.as_list::<i64>();
            let classes = classes.unwrap_or(lists.value_length(0) as usize);
            (between(lists.values(), lists.offsets(), classes, lengths_differ)?, classes)
        };
        let classes = classes.unwrap_or(length);
        if classes != length {
            return Err(lengths_differ(0, length, classes));
        }
        if values.null_count() > 0
            && let Some(i) = (0..values.len()).find(|&i| values.is_null(i))
        {
            let (row, class) = (first + i / classes, i % classes);
            return Err(wrong(format!("row {row}: entry {class} of {name} is null")));
        }
        Ok(Some(Lists { values, classes, rows, of }))
    }

    /// The numbers, of whichever type they are: `None` if they are of another.
    pub(super) fn numbers<T: Value>(&self) -> Option<&[T]> {
        Some(self.values.as_primitive_opt::<T::Arrow>()?.values())
    }

    /// Other numbers in lists of the same kind.
    pub(super) fn alike<T: Value>(&self, numbers: Vec<T>) -> PyResult<ArrayRef> {
        let values = Arc::new(PrimitiveArray::<T::Arrow>::from_iter_values(numbers));
        let lengths = std::iter::repeat_n(self.classes, self.rows);
        let made: Result<ArrayRef, _> = match &self.of {
            DataType::FixedSizeList(field, size) => {
                FixedSizeListArray::try_new(field.clone(), *size, values, None)
                    .map(|x| Arc::new(x) as _)
            }
            DataType::List(field) => {
                ListArray::try_new(field.clone(), OffsetBuffer::from_lengths(lengths), values, None)
                    .map(|x| Arc::new(x) as _)
            }
            DataType::LargeList(field) => LargeListArray::try_new(
                field.clone(),
                OffsetBuffer::from_lengths(lengths),
                values,
                None,
            )
            .map(|x| Arc::new(x) as _),
            other => return Err(wrong_type(format!("{other} is no list"))),
        };
        made.map_err(|error| wrong(error.to_string()))
    }

    pub(super) fn type_is_wrong(&self, name: &str) -> PyErr {
        let of = self.values.data_type();
        wrong_type(format!(
            "column {name} has lists of {of}: float16, float32 and float64 are supported"
        ))
    }
}

/// The values of all lists, which must be of one length: then they lie without gaps.
fn between<O: OffsetSizeTrait>(
    values: &ArrayRef,
    offsets: &OffsetBuffer<O>,
    expected: usize,
    lengths_differ: impl Fn(usize, usize, usize) -> PyErr,
) -> PyResult<ArrayRef> {
    let length = |pair: &[O]| pair[1].as_usize() - pair[0].as_usize();
    let lengths = offsets.windows(2).map(length);
    if let Some((row, got)) = lengths.enumerate().find(|&(_, got)| got != expected) {
        return Err(lengths_differ(row, got, expected));
    }
    let (from, to) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    Ok(values.slice(from, to - from))
}

/// A number for each row, none of them null.
fn numbers<T: ArrowPrimitiveType, N>(
    column: &ArrayRef,
    of: impl Fn(T::Native) -> N,
) -> Option<Vec<N>> {
    Some(column.as_primitive_opt::<T>()?.values().iter().map(|&value| of(value)).collect())
}

fn without_null<'a>(batch: &'a RecordBatch, name: &str, first: usize) -> PyResult<&'a ArrayRef> {
    let column = column(batch, name)?;
    match (0..column.len()).find(|&row| column.null_count() > 0 && column.is_null(row)) {
        Some(row) => Err(wrong(format!("row {}: {name} is null", first + row))),
        None => Ok(column),
    }
}

pub(super) fn labels(batch: &RecordBatch, name: &str, first: usize) -> PyResult<Vec<i64>> {
    let column = without_null(batch, name, first)?;
    // Those from 2^63 up become negative, which no class is.
    numbers::<Int64Type, _>(column, |x| x)
        .or_else(|| numbers::<Int32Type, _>(column, i64::from))
        .or_else(|| numbers::<Int16Type, _>(column, i64::from))
        .or_else(|| numbers::<Int8Type, _>(column, i64::from))
        .or_else(|| numbers::<UInt64Type, _>(column, |x| x as i64))
        .or_else(|| numbers::<UInt32Type, _>(column, i64::from))
        .or_else(|| numbers::<UInt16Type, _>(column, i64::from))
        .or_else(|| numbers::<UInt8Type, _>(column, i64::from))
        .ok_or_else(|| {
            let of = column.data_type();
            wrong_type(format!(
                "column {name} is of type {of}: it must be integers, the numbers of the classes from 0"
            ))
        })
}

pub(super) fn weights(batch: &RecordBatch, name: &str, first: usize) -> PyResult<Vec<f64>> {
    let column = without_null(batch, name, first)?;
    numbers::<Float64Type, _>(column, |x| x)
        .or_else(|| numbers::<Float32Type, _>(column, f64::from))
        .ok_or_else(|| {
            let of = column.data_type();
            wrong_type(format!("column {name} is of type {of}: it must be float32 or float64"))
        })
}
