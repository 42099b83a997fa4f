//! Any array as rows of classes, for the functions that only read.
//!
//! ```text
//! C order, the axis last, no mask     the array itself
//! anything else                       a copy in rows, with −∞ where the mask hides
//! ```

use ndarray::{ArrayViewD, CowArray, IxDyn, Zip};
use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;

use crate::array::{Number, read};
use crate::axis::{Axes, Laned};
use crate::error::{refused, wrong, wrong_type};
use crate::work;

/// `where=`, in the shape and order of the rows.
pub(crate) fn mask_of<'py, T: Number>(
    mask: &Bound<'py, PyAny>,
    x: &Bound<'py, PyArrayDyn<T>>,
    axes: &Axes,
) -> PyResult<Bound<'py, PyArrayDyn<bool>>> {
    let py = mask.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    let mask = numpy.call_method1(intern!(py, "asarray"), (mask,))?;
    let dtype = mask.getattr(intern!(py, "dtype"))?;
    if dtype.getattr(intern!(py, "kind"))?.ne("b")? {
        return Err(wrong_type(format!("where has dtype {}: it must be bool", dtype.str()?)));
    }
    let given: Vec<usize> = mask.getattr(intern!(py, "shape"))?.extract()?;
    let mask =
        numpy.call_method1(intern!(py, "broadcast_to"), (mask, x.shape())).map_err(|_| {
            wrong(format!("where has shape {given:?}, which does not fit {:?}", x.shape()))
        })?;
    Ok(Laned::of(mask.cast::<PyArrayDyn<bool>>()?, axes)?.array)
}

/// The array as rows one after the other, `axis` last; a copy only where they do not lie so.
pub(crate) fn in_rows<T: Number>(array: ArrayViewD<'_, T>, axis: usize) -> CowArray<'_, T, IxDyn> {
    let mut order: Vec<usize> = (0..array.ndim()).filter(|&i| i != axis).collect();
    order.push(axis);
    let array = array.permuted_axes(order);
    if array.is_standard_layout() {
        array.into()
    } else {
        array.as_standard_layout().into_owned().into()
    }
}

/// The length of the axis, which must not be 0.
pub(crate) fn classes_of(dims: &[usize], axis: usize) -> PyResult<usize> {
    match dims[axis] {
        0 => Err(refused(softargmax::Error::NoClasses)),
        classes => Ok(classes),
    }
}

/// Calls `read_rows(rows, classes)` with the array as rows.
pub(crate) fn with_rows<T: Number, R>(
    laned: &Laned<'_, T>,
    mask: Option<&Bound<'_, PyArrayDyn<bool>>>,
    read_rows: impl FnOnce(&[T], usize) -> PyResult<R>,
) -> PyResult<R> {
    let py = laned.array.py();
    let classes = classes_of(laned.dims(), laned.axis)?;
    let array = read(&laned.array, "x")?;
    if mask.is_none() && laned.is_rows() {
        // Without a view of so many axes: of ten numbers it takes as long to make as the result.
        return read_rows(array.as_slice()?, classes);
    }
    let array = array.as_array();
    let mask = mask.map(|mask| read(mask, "where")).transpose()?;
    let mask = mask.as_ref().map(|mask| mask.as_array());
    let axis = laned.axis;
    let rows = work::run(py, array.len(), || {
        let mut rows = in_rows(array, axis);
        if let Some(mask) = mask {
            let mut order: Vec<usize> = (0..mask.ndim()).filter(|&i| i != axis).collect();
            order.push(axis);
            let mut hidden = rows.into_owned();
            Zip::from(&mut hidden).and(&mask.permuted_axes(order)).for_each(|x, &seen| {
                if !seen {
                    *x = T::NEG_INFINITY;
                }
            });
            rows = hidden.into();
        }
        Ok(rows)
    })?;
    read_rows(rows.as_slice().expect("standard layout"), classes)
}
