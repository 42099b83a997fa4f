//! Cells of Arrow arrays as numbers and texts.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, OffsetSizeTrait};
use arrow_schema::DataType;
use half::f16;

use crate::input::{Dtype, InputError, Number};

/// What is wrong, and with which of the rows that were asked for.
type Wrong = (usize, InputError);

/// How long the first list is.
pub(super) fn list_len(array: &ArrayRef) -> Option<usize> {
    if array.is_empty() {
        return None;
    }
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value_length(0) as usize),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value_length(0) as usize),
        DataType::FixedSizeList(_, len) => Some(*len as usize),
        _ => None,
    }
}

/// Appends lists of `classes` numbers each.
pub(super) fn of_lists<T: Number>(
    array: &ArrayRef,
    rows: Range<usize>,
    classes: usize,
    out: &mut Vec<T>,
) -> Result<(), Wrong> {
    if array.null_count() > 0
        && let Some(row) = rows.clone().find(|&row| array.is_null(row))
    {
        return Err((row - rows.start, null("list of numbers")));
    }
    let (values, start) = match array.data_type() {
        DataType::FixedSizeList(_, _) => {
            let lists = array.as_fixed_size_list();
            (lists.values(), lists.value_offset(rows.start) as usize)
        }
        DataType::List(_) => of_offsets::<i32>(array, &rows, classes)?,
        _ => of_offsets::<i64>(array, &rows, classes)?,
    };
    let numbers = rows.len() * classes;
    let first = out.len();
    out.resize(first + numbers, T::default());
    let read = decode(values, start..start + numbers, &mut out[first..]);
    read.map_err(|(at, error)| (at / classes, error))
}

/// The values of lists of any length, and where those of the first row begin.
fn of_offsets<'a, O: OffsetSizeTrait>(
    array: &'a ArrayRef,
    rows: &Range<usize>,
    classes: usize,
) -> Result<(&'a ArrayRef, usize), Wrong> {
    let lists = array.as_list::<O>();
    let offsets = &lists.value_offsets()[rows.start..=rows.end];
    for (row, ends) in offsets.windows(2).enumerate() {
        let len = (ends[1] - ends[0]).as_usize();
        if len != classes {
            let reason = format!("{len} numbers, where the first row has {classes}");
            return Err((
                row,
                InputError::new(reason).hint("every row needs the same number of logits"),
            ));
        }
    }
    Ok((lists.values(), offsets[0].as_usize()))
}

/// Appends a number of each column for every row.
pub(super) fn of_columns<T: Number>(
    columns: &[ArrayRef],
    rows: Range<usize>,
    out: &mut Vec<T>,
) -> Result<(), Wrong> {
    let first = out.len();
    out.resize(first + rows.len() * columns.len(), T::default());
    let mut of_class = vec![T::default(); rows.len()];
    for (class, column) in columns.iter().enumerate() {
        decode(column, rows.clone(), &mut of_class)?;
        let places = out[first + class..].iter_mut().step_by(columns.len());
        places.zip(&of_class).for_each(|(to, &from)| *to = from);
    }
    Ok(())
}

/// Numbers of a flat array, in the type asked for, or the place of the first that cannot be.
fn decode<T: Number>(array: &ArrayRef, range: Range<usize>, out: &mut [T]) -> Result<(), Wrong> {
    if array.null_count() > 0
        && let Some(at) = range.clone().position(|at| array.is_null(at))
    {
        return Err((at, null("number")));
    }
    let some = |x: f64| Some(x);
    match array.data_type() {
        DataType::Float16 => floats::<Float16Type, T>(array, range, out, |x: f16| x.to_f64()),
        DataType::Float32 => floats::<Float32Type, T>(array, range, out, f64::from),
        DataType::Float64 => floats::<Float64Type, T>(array, range, out, |x| x),
        DataType::Int8 => numbers::<Int8Type, T>(array, range, out, |x| some(x.into())),
        DataType::Int16 => numbers::<Int16Type, T>(array, range, out, |x| some(x.into())),
        DataType::Int32 => numbers::<Int32Type, T>(array, range, out, |x| some(x.into())),
        DataType::UInt8 => numbers::<UInt8Type, T>(array, range, out, |x| some(x.into())),
        DataType::UInt16 => numbers::<UInt16Type, T>(array, range, out, |x| some(x.into())),
        DataType::UInt32 => numbers::<UInt32Type, T>(array, range, out, |x| some(x.into())),
        DataType::Int64 => numbers::<Int64Type, T>(array, range, out, |x| {
            Some(x as f64).filter(|&wide| wide as i128 == i128::from(x))
        }),
        DataType::UInt64 => numbers::<UInt64Type, T>(array, range, out, |x| {
            Some(x as f64).filter(|&wide| wide as i128 == i128::from(x))
        }),
        DataType::Boolean => {
            let bits = array.as_boolean();
            let numbers = range.map(|at| f64::from(u8::from(bits.value(at))));
            out.iter_mut().zip(numbers).for_each(|(to, from)| *to = T::nearest(from));
            Ok(())
        }
        other => Err((0, InputError::new(format!("{other}, where numbers belong")))),
    }
}

/// Floats that are of the type asked for go over as they are.
fn floats<A: ArrowPrimitiveType, T: Number>(
    array: &ArrayRef,
    range: Range<usize>,
    out: &mut [T],
    wide: impl Fn(A::Native) -> f64,
) -> Result<(), Wrong> {
    let stored = match size_of::<A::Native>() {
        2 => Dtype::F16,
        4 => Dtype::F32,
        _ => Dtype::F64,
    };
    if stored == T::DTYPE {
        let values = array
            .as_primitive::<A>()
            .values()
            .inner()
            .slice_with_length(range.start * stored.size(), range.len() * stored.size());
        // In memory, in the order of this machine.
        T::decode(values.as_slice(), cfg!(target_endian = "big"), out);
        return Ok(());
    }
    numbers::<A, T>(array, range, out, |x| Some(wide(x)))
}

fn numbers<A: ArrowPrimitiveType, T: Number>(
    array: &ArrayRef,
    range: Range<usize>,
    out: &mut [T],
    exactly: impl Fn(A::Native) -> Option<f64>,
) -> Result<(), Wrong> {
    let values = &array.as_primitive::<A>().values()[range];
    for (at, (&value, to)) in values.iter().zip(out).enumerate() {
        *to = exactly(value)
            .and_then(T::exactly)
            .ok_or_else(|| (at, InputError::new(format!("{value:?} has no exact {}", T::DTYPE))))?;
    }
    Ok(())
}

fn null(expected: &str) -> InputError {
    InputError::new(format!("null, where a {expected} belongs"))
        .hint("leave the row out, or write nan for a logit, for a label what --ignore-label names")
}

/// A text; `None` for null.
pub(super) fn text(array: &ArrayRef, at: usize) -> Option<String> {
    if array.is_null(at) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(at).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(at).to_owned(),
        DataType::Utf8View => array.as_string_view().value(at).to_owned(),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.keys().slice(at, 1);
            let key = whole(&key)?;
            return text(dictionary.values(), key).filter(|_| key < dictionary.values().len());
        }
        _ => return None,
    })
}

/// The only key of an array of keys.
fn whole(keys: &dyn Array) -> Option<usize> {
    Some(match keys.data_type() {
        DataType::Int8 => keys.as_primitive::<Int8Type>().value(0) as usize,
        DataType::Int16 => keys.as_primitive::<Int16Type>().value(0) as usize,
        DataType::Int32 => keys.as_primitive::<Int32Type>().value(0) as usize,
        DataType::Int64 => keys.as_primitive::<Int64Type>().value(0) as usize,
        DataType::UInt8 => keys.as_primitive::<UInt8Type>().value(0).into(),
        DataType::UInt16 => keys.as_primitive::<UInt16Type>().value(0).into(),
        DataType::UInt32 => keys.as_primitive::<UInt32Type>().value(0) as usize,
        DataType::UInt64 => keys.as_primitive::<UInt64Type>().value(0) as usize,
        _ => return None,
    })
}
