//! Which axes are rows' own, and arrays brought to rows.

use ndarray::ArrayD;
use numpy::npyffi::NPY_ORDER::NPY_CORDER;
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::error::{wrong, wrong_type};

/// The argument `axis=`: None means all axes, as one row.
#[derive(Clone)]
pub(crate) enum Axes {
    All,
    One(isize),
    Many(Vec<isize>),
}

impl FromPyObject<'_, '_> for Axes {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if value.is_none() {
            Ok(Axes::All)
        } else if let Ok(axis) = value.extract() {
            Ok(Axes::One(axis))
        } else if value.is_instance_of::<PyTuple>() {
            Ok(Axes::Many(value.extract()?))
        } else {
            let type_ = value.get_type().name()?;
            Err(wrong_type(format!(
                "axis is a {type_}: it must be an int, a tuple of them, or None"
            )))
        }
    }
}

/// An axis counted from the front, where Python also counts from the end.
fn from_the_front(axis: isize, ndim: usize) -> PyResult<usize> {
    let counted = if axis < 0 { axis + ndim as isize } else { axis };
    if 0 <= counted && (counted as usize) < ndim {
        Ok(counted as usize)
    } else {
        Err(wrong(format!("axis {axis} does not exist: the array has {ndim} axes")))
    }
}

/// An array whose rows lie along one axis, and how to get back from there.
pub(crate) struct Laned<'py, T: numpy::Element> {
    pub(crate) array: Bound<'py, PyArrayDyn<T>>,
    pub(crate) axis: usize,
    joined: Option<Joined>,
    /// The shape of the original.
    shape: Vec<usize>,
}

/// Several axes made one, the last.
struct Joined {
    axes: Vec<usize>,
    /// The order of axes in which they come last.
    order: Vec<usize>,
}

impl<'py, T: numpy::Element> Laned<'py, T> {
    /// One axis stays where it is. Several are brought to the end and joined, which copies where numpy
    /// cannot do it with strides. Always in C order: numpy's "any" order would permute Fortran's arrays.
    pub(crate) fn of(array: &Bound<'py, PyArrayDyn<T>>, axes: &Axes) -> PyResult<Self> {
        let ndim = array.ndim();
        let shape = array.shape().to_vec();
        let mut axes: Vec<usize> = match axes {
            Axes::One(axis) => {
                let axis = from_the_front(*axis, ndim)?;
                return Ok(Laned { array: array.clone(), axis, joined: None, shape });
            }
            Axes::All if ndim == 1 => {
                return Ok(Laned { array: array.clone(), axis: 0, joined: None, shape });
            }
            Axes::All => (0..ndim).collect(),
            Axes::Many(axes) => {
                axes.iter().map(|&axis| from_the_front(axis, ndim)).collect::<PyResult<_>>()?
            }
        };
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(wrong(format!("axis {axes:?} names one twice")));
        }
        let rest = (0..ndim).filter(|i| !axes.contains(i));
        let order: Vec<usize> = rest.chain(axes.iter().copied()).collect();
        let outer = ndim - axes.len();
        let mut flat: Vec<usize> = order[..outer].iter().map(|&i| shape[i]).collect();
        flat.push(axes.iter().map(|&i| shape[i]).product());
        let array = array.permute(Some(order.clone()))?.reshape_with_order(flat, NPY_CORDER)?;
        Ok(Laned { array, axis: outer, joined: Some(Joined { axes, order }), shape })
    }

    pub(crate) fn dims(&self) -> &[usize] {
        self.array.shape()
    }

    pub(crate) fn is_itself(&self) -> bool {
        self.joined.is_none()
    }

    /// Whether its rows lie one after the other.
    pub(crate) fn is_rows(&self) -> bool {
        self.axis + 1 == self.array.ndim() && self.array.is_c_contiguous()
    }

    /// Something of the shape of `array`, in the original's shape.
    pub(crate) fn back<U: numpy::Element>(
        &self,
        array: Bound<'py, PyArrayDyn<U>>,
    ) -> PyResult<Bound<'py, PyArrayDyn<U>>> {
        let Some(Joined { order, .. }) = &self.joined else { return Ok(array) };
        let parts: Vec<usize> = order.iter().map(|&i| self.shape[i]).collect();
        array.reshape_with_order(parts, NPY_CORDER)?.permute(Some(inverse(order)))
    }

    /// The shape that numpy gives a reduction: one number for each row.
    pub(crate) fn reduced(&self, keepdims: bool) -> Vec<usize> {
        let mut shape = self.shape.clone();
        let axes: &[usize] =
            self.joined.as_ref().map_or(std::slice::from_ref(&self.axis), |joined| &joined.axes);
        for &axis in axes.iter().rev() {
            if keepdims {
                shape[axis] = 1;
            } else {
                shape.remove(axis);
            }
        }
        shape
    }

    /// Rows of `classes` in a buffer, in the original's shape: a view of it, where the axis was not the last.
    pub(crate) fn of_rows(
        &self,
        rows: Vec<T>,
        classes: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
        let mut order: Vec<usize> = (0..self.array.ndim()).filter(|&i| i != self.axis).collect();
        let mut shape: Vec<usize> = order.iter().map(|&i| self.dims()[i]).collect();
        shape.push(classes);
        order.push(self.axis);
        let array =
            PyArray1::from_vec(self.array.py(), rows).reshape_with_order(shape, NPY_CORDER)?;
        self.back(array.permute(Some(inverse(&order)))?)
    }
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
    inverse
}

/// One number for each row in the shape of a reduction, in `out` if there is one.
pub(crate) fn shaped<'py, T: numpy::Element>(
    py: Python<'py>,
    of_rows: Vec<T>,
    shape: &[usize],
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    if shape.is_empty() && out.is_none() {
        return PyArray1::from_slice(py, &of_rows).get_item(0);
    }
    let of_rows = ArrayD::from_shape_vec(shape, of_rows).expect("one number for each row");
    let array = PyArrayDyn::from_owned_array(py, of_rows);
    let Some(out) = out else { return number_if_0d(array) };
    let typed = out_of::<T>(out, shape)?;
    py.import(intern!(py, "numpy"))?
        .call_method1(intern!(py, "copyto"), (typed, array))
        .map_err(|_| wrong("out is read-only"))?;
    Ok(out.clone())
}

/// `out=`: an array of the result's type and shape.
pub(crate) fn out_of<'py, T: numpy::Element>(
    out: &Bound<'py, PyAny>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let py = out.py();
    let Ok(out) = out.cast::<PyArrayDyn<T>>() else {
        let got = match out.getattr(intern!(py, "dtype")) {
            Ok(dtype) => format!("has dtype {dtype}"),
            Err(_) => format!("is a {}", out.get_type().name()?),
        };
        return Err(wrong_type(format!("out {got}: it must be an array of {}", T::get_dtype(py))));
    };
    if out.shape() != shape {
        return Err(wrong(format!("out has shape {:?}, expected {shape:?}", out.shape())));
    }
    if !out.is_aligned() {
        return Err(wrong("out is not aligned in memory"));
    }
    Ok(out.clone())
}

/// numpy gives a number, not an array, where no axis is left.
pub(crate) fn number_if_0d<'py, T: numpy::Element>(
    array: Bound<'py, PyArrayDyn<T>>,
) -> PyResult<Bound<'py, PyAny>> {
    if array.ndim() > 0 {
        return Ok(array.into_any());
    }
    array.get_item(PyTuple::empty(array.py()))
}
