//! Arrays of numpy's, read where they lie.
//!
//! ```text
//! an aligned native array of f32, f64, f16, bf16, of any strides     itself
//! integers, bool                                                     a copy in f64
//! another byte order, unaligned; lists, numbers, tensors             a copy, by numpy
//! masked, complex, long double, object, text                         refused, with what to do
//! ```
//!
//! A subclass is read as the plain array it is, and results are plain arrays.

use std::ffi::c_int;

use half::{bf16, f16};
use numpy::npyffi::NPY_TYPES;
use numpy::{
    PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyString};

use crate::error::{wrong, wrong_type};

/// A number that both the library and numpy know.
pub(crate) trait Number: softargmax::Element + numpy::Element + Copy {
    const NEG_INFINITY: Self;

    /// One rounding.
    fn from_f64(value: f64) -> Self;
    fn into_f64(self) -> f64;
}

macro_rules! number {
    ($type:ident, $from:expr, $into:expr) => {
        impl Number for $type {
            const NEG_INFINITY: Self = $type::NEG_INFINITY;

            fn from_f64(value: f64) -> Self {
                $from(value)
            }
            fn into_f64(self) -> f64 {
                $into(self)
            }
        }
    };
}
number!(f32, |value| value as f32, f64::from);
number!(f64, |value| value, |value| value);
number!(f16, f16::from_f64, f64::from);
number!(bf16, bf16::from_f64, f64::from);

/// An array of one of the four types. `for_each_type!` leads from here to generic code.
pub(crate) enum Array<'py> {
    F32(Bound<'py, PyArrayDyn<f32>>),
    F64(Bound<'py, PyArrayDyn<f64>>),
    F16(Bound<'py, PyArrayDyn<f16>>),
    Bf16(Bound<'py, PyArrayDyn<bf16>>),
}

/// `for_each_type!(array, x => f(x))`: `x` is the `Bound<PyArrayDyn<T>>` inside, whatever `T` is.
macro_rules! for_each_type {
    ($array:expr, $x:ident => $body:expr) => {
        match $array {
            $crate::array::Array::F32($x) => $body,
            $crate::array::Array::F64($x) => $body,
            $crate::array::Array::F16($x) => $body,
            $crate::array::Array::Bf16($x) => $body,
        }
    };
}
pub(crate) use for_each_type;

impl<'py> Array<'py> {
    /// `object` as an array; `name` is the argument's, for messages.
    pub(crate) fn of(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        if object.is_exact_instance_of::<PyUntypedArray>()
            && let Some(array) = Array::as_it_is(object)
        {
            return Ok(array);
        }
        Array::converted(object, name)
    }

    fn as_it_is(object: &Bound<'py, PyAny>) -> Option<Self> {
        // numpy compares types that differ slowly: only what has the number of one is compared with it.
        let number = object.cast::<PyUntypedArray>().ok()?.dtype().num();
        let is = |type_: NPY_TYPES| number == type_ as c_int;
        let array = if is(NPY_TYPES::NPY_FLOAT) {
            Array::F32(object.cast().ok()?.clone())
        } else if is(NPY_TYPES::NPY_DOUBLE) {
            Array::F64(object.cast().ok()?.clone())
        } else if is(NPY_TYPES::NPY_HALF) {
            Array::F16(object.cast().ok()?.clone())
        } else if is_bfloat16(object) {
            // Only now: without ml_dtypes, numpy has no such type to compare with.
            Array::Bf16(object.cast().ok()?.clone())
        } else {
            return None;
        };
        array.untyped().is_aligned().then_some(array)
    }

    fn converted(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        let py = object.py();
        let numpy = py.import(intern!(py, "numpy"))?;
        if object.is_instance(&numpy.getattr(intern!(py, "ma"))?.getattr("MaskedArray")?)? {
            return Err(wrong_type(format!(
                "{name} is a masked array: pass {name}.data, and where=~{name}.mask"
            )));
        }
        let array = numpy.call_method1(intern!(py, "asarray"), (object,))?;
        if let Some(array) = Array::as_it_is(&array) {
            return Ok(array);
        }
        let dtype = array.getattr(intern!(py, "dtype"))?;
        let kind: String = dtype.getattr(intern!(py, "kind"))?.extract()?;
        let bytes: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
        let to = match (kind.as_str(), bytes) {
            ("b" | "i" | "u", _) => PyString::new(py, "f8").into_any(),
            ("f", 2 | 4 | 8) => dtype.call_method1(intern!(py, "newbyteorder"), ("=",))?,
            _ if is_bfloat16(&array) => dtype,
            _ => {
                let dtype = dtype.str()?;
                return Err(wrong_type(match kind.as_str() {
                    "O" => format!("{name} holds Python objects: convert it, {name}.astype(float)"),
                    _ => format!(
                        "{name} has dtype {dtype}: float16, bfloat16, float32, float64, integers and bool are supported"
                    ),
                }));
            }
        };
        let copy = array.call_method1(intern!(py, "astype"), (to,))?;
        Array::as_it_is(&copy)
            .ok_or_else(|| wrong(format!("{name}: numpy made no aligned copy of it")))
    }

    pub(crate) fn untyped(&self) -> &Bound<'py, PyUntypedArray> {
        for_each_type!(self, x => x.as_untyped())
    }
}

fn is_bfloat16(array: &Bound<'_, PyAny>) -> bool {
    let py = array.py();
    let name = array
        .getattr(intern!(py, "dtype"))
        .and_then(|dtype| dtype.getattr(intern!(py, "name")))
        .and_then(|name| Ok(name.cast_into::<PyString>()?));
    name.is_ok_and(|name| name == "bfloat16")
}

/// The array for reading, unless another thread is writing into it through this package.
pub(crate) fn read<'py, T: numpy::Element>(
    array: &Bound<'py, PyArrayDyn<T>>,
    name: &str,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    array.try_readonly().map_err(|_| wrong(format!("{name} is being written by another call")))
}

/// The array as numbers in C order, `read(..)?.as_slice()?`; a copy only where they lie otherwise.
pub(crate) fn in_c_order<'py, T: numpy::Element>(
    array: &Bound<'py, PyArrayDyn<T>>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    if array.is_c_contiguous() {
        return Ok(array.clone());
    }
    Ok(array.call_method1(intern!(array.py(), "copy"), ("C",))?.cast_into()?)
}

/// `object` as an array of exactly this type, of any strides: for what belongs to an array that is already known.
/// What numpy would not call a conversion within one kind is refused.
pub(crate) fn of_type<'py, T: numpy::Element>(
    object: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let py = object.py();
    if object.is_exact_instance_of::<PyUntypedArray>()
        && let Ok(array) = object.cast::<PyArrayDyn<T>>()
        && array.is_aligned()
    {
        return Ok(array.clone());
    }
    let array = Array::of(object, name)?;
    let array = array.untyped();
    let to = T::get_dtype(py);
    let copy = array.call_method1(intern!(py, "astype"), (&to,)).map_err(|_| {
        wrong_type(format!("{name} has dtype {}, which does not become {to}", array.dtype()))
    })?;
    Ok(copy.cast_into()?)
}

/// Labels: one integer for each of `rows` rows.
pub(crate) fn labels<'py>(
    object: &Bound<'py, PyAny>,
    name: &str,
    rows: usize,
) -> PyResult<Bound<'py, PyArrayDyn<i64>>> {
    let py = object.py();
    let array = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (object,))?;
    let dtype = array.getattr(intern!(py, "dtype"))?;
    let kind: String = dtype.getattr(intern!(py, "kind"))?.extract()?;
    if kind != "i" && kind != "u" {
        return Err(wrong_type(format!("{name} has dtype {}: it must be integers", dtype.str()?)));
    }
    let shape: Vec<usize> = array.getattr(intern!(py, "shape"))?.extract()?;
    if shape != [rows] {
        return Err(wrong(format!("{name} has shape {shape:?}, expected [{rows}]")));
    }
    // Labels of uint64 from 2^63 up become negative, which no class is.
    let array = array.call_method(
        intern!(py, "astype"),
        ("i8",),
        Some(&[("order", "C")].into_py_dict(py)?),
    )?;
    Ok(array.cast_into()?)
}
