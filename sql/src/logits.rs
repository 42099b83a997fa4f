//! A column of lists as rows of logits.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, OffsetSizeTrait,
};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    ArrowNativeType, DataType, Field, Float16Type, Float32Type, Float64Type,
};
use datafusion::error::Result;

use crate::refused::Refused;

/// A type that logits are stored in.
pub(crate) trait Number:
    softargmax::Element + ArrowNativeType + Default + PartialOrd + Into<f64>
{
    type Arrow: ArrowPrimitiveType<Native = Self>;

    fn real(self) -> f64 {
        self.into()
    }
}

impl Number for half::f16 {
    type Arrow = Float16Type;
}

impl Number for f32 {
    type Arrow = Float32Type;
}

impl Number for f64 {
    type Arrow = Float64Type;
}

/// Runs the body with `$T` as the type of a list's numbers, as [`list_type`] gave it.
macro_rules! with_number {
    ($list:expr, $T:ident => $body:expr) => {
        match $crate::logits::number_type($list) {
            Some(datafusion::arrow::datatypes::DataType::Float16) => {
                type $T = half::f16;
                $body
            }
            Some(datafusion::arrow::datatypes::DataType::Float32) => {
                type $T = f32;
                $body
            }
            _ => {
                type $T = f64;
                $body
            }
        }
    };
}
pub(crate) use with_number;

/// The type of the numbers in lists of such a type.
pub(crate) fn number_type(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type())
        }
        DataType::ListView(field) | DataType::LargeListView(field) => Some(field.data_type()),
        _ => None,
    }
}

/// The type that a column of logits is read as: its own, or of f64 where it holds integers.
pub(crate) fn list_type(function: &'static str, got: &DataType) -> Result<DataType, Refused> {
    let refused = |hint: &str| {
        let reason = format!("logits are of the type {got}: they must be lists of f16, f32 or f64");
        Refused::argument(function, reason, hint)
    };
    let of = match number_type(got) {
        Some(DataType::Float16 | DataType::Float32 | DataType::Float64) => None,
        // Nothing but NULLs, or nothing at all.
        Some(DataType::Null) => Some(DataType::Float64),
        Some(integer) if integer.is_integer() => Some(DataType::Float64),
        Some(_) => return Err(refused("cast them: arrow_cast(logits, 'List(Float64)')")),
        None if got.is_numeric() => {
            return Err(refused("one column for each class becomes a list as [class0, class1, …]"));
        }
        None => return Err(refused("give the column that holds a list for each row")),
    };
    let field = |field: &Arc<Field>| match &of {
        Some(of) => Arc::new(Field::new(field.name(), of.clone(), true)),
        None => Arc::clone(field),
    };
    Ok(match got {
        DataType::LargeList(inner) | DataType::LargeListView(inner) => {
            DataType::LargeList(field(inner))
        }
        DataType::FixedSizeList(inner, size) => DataType::FixedSizeList(field(inner), *size),
        DataType::List(inner) | DataType::ListView(inner) => DataType::List(field(inner)),
        _ => return Err(refused("give the column that holds a list for each row")),
    })
}

/// Rows of logits: the numbers of all lists, and where each row's are; `None` for a NULL.
pub(crate) struct Lists<T: Number> {
    pub(crate) values: ScalarBuffer<T>,
    pub(crate) rows: Vec<Option<Range<usize>>>,
    /// Rows with a NULL among their numbers.
    with_null: Vec<(usize, usize)>,
}

impl<T: Number> Lists<T> {
    /// The rows of a column that [`list_type`] accepts.
    pub(crate) fn new(function: &'static str, column: &ArrayRef) -> Result<Self> {
        let wanted = list_type(function, column.data_type())?;
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let column = if &wanted == column.data_type() {
            Arc::clone(column)
        } else {
            cast_with_options(column, &wanted, &strict)?
        };
        let (values, ranges): (&ArrayRef, Vec<Range<usize>>) = match &wanted {
            DataType::FixedSizeList(..) => {
                let lists: &FixedSizeListArray = column.as_fixed_size_list();
                let size = lists.value_length() as usize;
                (lists.values(), (0..lists.len()).map(|row| row * size..(row + 1) * size).collect())
            }
            DataType::LargeList(_) => offsets::<i64>(&column),
            _ => offsets::<i32>(&column),
        };
        let rows = ranges.into_iter().enumerate();
        let rows = rows.map(|(row, range)| column.is_valid(row).then_some(range));
        let rows: Vec<Option<Range<usize>>> = rows.collect();
        let mut with_null = Vec::new();
        if let Some(nulls) = values.nulls().filter(|nulls| nulls.null_count() > 0) {
            for (row, range) in rows.iter().enumerate() {
                let mut classes = range.clone().unwrap_or(0..0);
                let first = classes.start;
                if let Some(at) = classes.find(|&at| nulls.is_null(at)) {
                    with_null.push((row, at - first));
                }
            }
        }
        let values = values.as_primitive::<T::Arrow>().values().clone();
        Ok(Lists { values, rows, with_null })
    }

    /// The numbers of a row; `None` for a NULL.
    pub(crate) fn row(&self, row: usize) -> Option<&[T]> {
        self.rows[row].clone().map(|range| &self.values[range])
    }

    /// The place of a NULL in this row, if there is one.
    pub(crate) fn null_in(&self, row: usize) -> Option<usize> {
        let at = self.with_null.binary_search_by_key(&row, |&(row, _)| row).ok()?;
        Some(self.with_null[at].1)
    }

    /// From `first` on the rows of one length that lie one after the other without a NULL: how many, and how long.
    pub(crate) fn run(&self, first: usize, is_wanted: impl Fn(usize) -> bool) -> (usize, usize) {
        let Some(start) = self.rows[first].clone().filter(|_| is_wanted(first)) else {
            return (0, 0);
        };
        let classes = start.len();
        let goes_on = |(row, next): &(usize, usize)| {
            is_wanted(*row) && self.rows[*row].as_ref() == Some(&(*next..*next + classes))
        };
        let ends = (first + 1..self.rows.len()).zip((start.end..).step_by(classes.max(1)));
        (1 + ends.take_while(goes_on).count(), classes)
    }
}

fn offsets<O: OffsetSizeTrait>(column: &ArrayRef) -> (&ArrayRef, Vec<Range<usize>>) {
    let lists = column.as_list::<O>();
    let ends = lists.value_offsets().windows(2);
    (lists.values(), ends.map(|pair| pair[0].as_usize()..pair[1].as_usize()).collect())
}
