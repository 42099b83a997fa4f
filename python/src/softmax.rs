//! softmax, log_softmax and logsumexp of arrays.
//!
//! ```text
//! rows one after the other, no mask     straight from the array into the result
//! a mask                                a copy with −∞ under it is made in the result, which is computed in place
//! strides                               the library's panels, from the array into the result
//! a temperature per row and strides     a copy in rows
//! ```

use ndarray::{Axis, Zip};
use numpy::{
    PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArrayMethods,
};
use pyo3::intern;
use pyo3::prelude::*;
use softargmax::{Rows, RowsMut};

use crate::array::{Array, Number, for_each_type, read};
use crate::axis::{Axes, Laned, number_if_0d, out_of};
use crate::error::wrong;
use crate::rows::{classes_of, in_rows, mask_of};
use crate::temperature::{Taus, Temperatures};
use crate::work;

#[derive(Clone, Copy)]
enum Function {
    Softmax,
    LogSoftmax,
}

/// The arguments that softmax and log_softmax share.
struct Call<'py> {
    function: Function,
    axes: Axes,
    temperature: Temperatures<'py>,
    out: Option<Bound<'py, PyAny>>,
    mask: Option<Bound<'py, PyAny>>,
}

impl<'py> Call<'py> {
    fn of(self, x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        for_each_type!(&Array::of(x, "x")?, x => self.of_type(x))
    }

    fn of_type<T: Number>(self, x: &Bound<'py, PyArrayDyn<T>>) -> PyResult<Bound<'py, PyAny>> {
        let py = x.py();
        let laned = Laned::of(x, &self.axes)?;
        let classes = classes_of(laned.dims(), laned.axis)?;
        let work = Work {
            function: self.function,
            axis: laned.axis,
            classes,
            taus: self.temperature.for_rows(laned.dims(), laned.axis)?,
        };
        let mask = self.mask.map(|mask| mask_of(&mask, x, &self.axes)).transpose()?;
        let out = self.out.map(|out| out_of(&out, x.shape())).transpose()?;
        let result = match &out {
            Some(out) if laned.is_itself() && !overlaps_itself(out) => out.clone(),
            _ => {
                let fortran = laned.array.is_fortran_contiguous() && !laned.array.is_c_contiguous();
                PyArrayDyn::zeros(py, laned.dims(), fortran)
            }
        };
        work.run(py, &laned.array, &result, mask.as_ref())?;
        match out {
            None => number_if_0d(laned.back(result)?),
            Some(out) => {
                if !out.is(&result) {
                    let numpy = py.import(intern!(py, "numpy"))?;
                    numpy.call_method1(intern!(py, "copyto"), (&out, laned.back(result)?))?;
                }
                Ok(out.into_any())
            }
        }
    }
}

/// Whether one place of memory might be two entries: as_strided makes such arrays. Views of any other kind
/// have strides that each step over all that is inside.
fn overlaps_itself<T: numpy::Element>(array: &Bound<'_, PyArrayDyn<T>>) -> bool {
    let axes = array.shape().iter().zip(array.strides());
    let mut axes: Vec<(usize, usize)> =
        axes.filter(|(n, _)| **n > 1).map(|(&n, stride)| (stride.unsigned_abs(), n)).collect();
    axes.sort_unstable();
    let mut inside = size_of::<T>();
    axes.iter().any(|&(stride, n)| {
        let overlaps = stride < inside;
        inside += stride * (n - 1);
        overlaps
    })
}

/// What is to be done with every row.
struct Work {
    function: Function,
    axis: usize,
    classes: usize,
    taus: Taus,
}

fn write<'py, T: numpy::Element>(
    array: &Bound<'py, PyArrayDyn<T>>,
) -> PyResult<PyReadwriteArrayDyn<'py, T>> {
    array.try_readwrite().map_err(|error| match error {
        numpy::BorrowError::NotWriteable => wrong("out is read-only"),
        _ => wrong("out is in use by another call"),
    })
}

impl Work {
    fn run<T: Number>(
        &self,
        py: Python<'_>,
        from: &Bound<'_, PyArrayDyn<T>>,
        to: &Bound<'_, PyArrayDyn<T>>,
        mask: Option<&Bound<'_, PyArrayDyn<bool>>>,
    ) -> PyResult<()> {
        let mut out = write(to)?;
        let mut from_ = from.try_readonly().ok();
        let in_place = from.data() == to.data() && from.strides() == to.strides();
        if from_.is_none() && !in_place {
            // They share memory otherwise: as if they did not.
            drop(out);
            let copy = from.call_method0(intern!(py, "copy"))?.cast_into::<PyArrayDyn<T>>()?;
            from_ = Some(read(&copy, "x")?);
            out = write(to)?;
        }
        if let Some(mask) = mask {
            let mask = read(mask, "where")?;
            let (mask, from, mut to) =
                (mask.as_array(), from_.as_ref().map(|from| from.as_array()), out.as_array_mut());
            work::run(py, to.len(), || {
                let hidden = T::NEG_INFINITY;
                match from {
                    Some(from) => Zip::from(&mut to)
                        .and(&from)
                        .and(&mask)
                        .for_each(|to, &x, &seen| *to = if seen { x } else { hidden }),
                    None => Zip::from(&mut to).and(&mask).for_each(|to, &seen| {
                        if !seen {
                            *to = hidden
                        }
                    }),
                }
                Ok(())
            })?;
            from_ = None;
        }
        self.compute(py, from_.as_ref(), &mut out)
    }

    fn compute<T: Number>(
        &self,
        py: Python<'_>,
        from: Option<&PyReadonlyArrayDyn<'_, T>>,
        to: &mut PyReadwriteArrayDyn<'_, T>,
    ) -> PyResult<()> {
        let Work { axis, ref taus, .. } = *self;
        // Without views of so many axes: of ten numbers they take longer to make than the result.
        if axis + 1 == to.ndim()
            && to.is_c_contiguous()
            && from.is_none_or(|from| from.is_c_contiguous())
        {
            let from = from.map(|from| from.as_slice()).transpose()?;
            return self.in_rows(py, from, to.as_slice_mut()?);
        }
        let (from, mut to) = (from.map(|from| from.as_array()), to.as_array_mut());
        match taus {
            &Taus::One(tau) => work::run(py, to.len(), || match (self.function, from) {
                (Function::Softmax, Some(from)) => {
                    softargmax::softmax_axis_into(&from, Axis(axis), tau, &mut to)
                }
                (Function::LogSoftmax, Some(from)) => {
                    softargmax::log_softmax_axis_into(&from, Axis(axis), tau, &mut to)
                }
                (Function::Softmax, None) => {
                    softargmax::softmax_axis_in_place(&mut to, Axis(axis), tau)
                }
                (Function::LogSoftmax, None) => {
                    softargmax::log_softmax_axis_in_place(&mut to, Axis(axis), tau)
                }
            }),
            Taus::PerRow(_) => {
                let from = from.unwrap_or(to.view());
                let mut copy = in_rows(from, axis).into_owned();
                self.in_rows(py, None, copy.as_slice_mut().expect("standard layout"))?;
                let mut order: Vec<usize> = (0..to.ndim()).filter(|&i| i != axis).collect();
                order.push(axis);
                let mut to = to.permuted_axes(order);
                to.assign(&copy);
                Ok(())
            }
        }
    }

    fn in_rows<T: Number>(&self, py: Python<'_>, from: Option<&[T]>, to: &mut [T]) -> PyResult<()> {
        let Work { function, classes, ref taus, .. } = *self;
        work::run(py, to.len(), || {
            let taus = taus.as_library();
            match (function, from.map(|from| Rows::new(from, classes)).transpose()?) {
                (Function::Softmax, Some(rows)) => softargmax::softmax_into(rows, taus, to),
                (Function::LogSoftmax, Some(rows)) => softargmax::log_softmax_into(rows, taus, to),
                (Function::Softmax, None) => {
                    softargmax::softmax_in_place(RowsMut::new(to, classes)?, taus)
                }
                (Function::LogSoftmax, None) => {
                    softargmax::log_softmax_in_place(RowsMut::new(to, classes)?, taus)
                }
            }
        })
    }
}

/// Softmax with temperature, p_i = exp(x_i/τ) / Σ_j exp(x_j/τ).
///
/// With ``temperature`` left out, arguments and default of ``axis`` are those of
/// `scipy.special.softmax`.
///
/// Parameters
/// ----------
/// x : array_like
///     Logits: float16, bfloat16, float32 or float64 of any strides; integers and bool are taken as float64.
/// axis : int or tuple of ints, optional
///     The axis or axes that sum to 1. The default, None, is the whole array, as in SciPy; for rows of
///     classes say ``axis=-1``.
/// temperature : float, str, Fraction, Decimal, Temperature or array_like of them, optional
///     τ in [0, ∞]: one number, or one for each row, of the shape of `x` without the axis, or with it of
///     length 1. A text, a Fraction and a Decimal are taken exactly.
/// out : ndarray, optional
///     Where the result goes: an array of its shape and type, which may be `x` itself.
/// where : array_like of bool, optional
///     False hides an entry: its probability is 0. Broadcast to the shape of `x`.
///
/// Returns
/// -------
/// ndarray
///     Probabilities, in the shape and type of `x`.
///
/// Raises
/// ------
/// SoftargmaxError
///     A `ValueError`: for a temperature that is NaN or negative, an axis that `x` does not have, or
///     one of length 0, and for shapes that do not fit.
/// TypeError
///     For masked, complex and object arrays.
///
/// Notes
/// -----
/// At most 2.5 ULP from the exact value in float32 and float64, at every temperature; the half types are
/// computed in float32 and rounded once. The same bits on every machine, for any number of threads,
/// strides and batch. An entry of −∞ gets exactly 0; a NaN makes its row NaN, and so does a row of nothing
/// but −∞. Entries of +∞ share the mass, as do the largest at τ = 0. Finite logits never overflow.
///
/// References
/// ----------
/// Bridle 1990; with temperature, Hinton, Vinyals & Dean 2015, eq. 1.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.softmax([1.0, 5.0, 7.0, 10.0], temperature="0.1")
/// array([8.19401262e-40, 1.92874985e-22, 9.35762297e-14, 1.00000000e+00])
/// >>> softargmax.softmax([[1.0, 2.0], [2.0, 2.0]], axis=-1, temperature=[0, 1])
/// array([[0. , 1. ],
///        [0.5, 0.5]])
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::All, *, temperature=Temperatures::default(), out=None, r#where=None))]
#[pyo3(text_signature = "(x, axis=None, *, temperature=1.0, out=None, where=None)")]
pub(crate) fn softmax<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    out: Option<Bound<'py, PyAny>>,
    r#where: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    Call { function: Function::Softmax, axes: axis, temperature, out, mask: r#where }.of(x)
}

/// Logarithm of softmax with temperature, log p_i = x_i/τ − ln Σ_j exp(x_j/τ), in nats.
///
/// With ``temperature`` left out, arguments and default of ``axis`` are those of
/// `scipy.special.log_softmax`.
///
/// Parameters
/// ----------
/// x, axis, temperature, out
///     As in `softmax`.
/// where : array_like of bool, optional
///     False hides an entry: the logarithm of its probability is −∞.
///
/// Returns
/// -------
/// ndarray
///     Logarithms of the probabilities, in the shape and type of `x`.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `softmax`.
///
/// Notes
/// -----
/// At most 4 ULP from the exact value in float32 and float64, also where p is close to 1: of a
/// probability of 1 − 4e-10 the logarithm is −4e-10, not 0.
///
/// Examples
/// --------
/// >>> import numpy as np, softargmax
/// >>> softargmax.log_softmax(np.array([21.64, 0.0], dtype=np.float32))
/// array([-3.998229e-10, -2.164000e+01], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::All, *, temperature=Temperatures::default(), out=None, r#where=None))]
#[pyo3(text_signature = "(x, axis=None, *, temperature=1.0, out=None, where=None)")]
pub(crate) fn log_softmax<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    out: Option<Bound<'py, PyAny>>,
    r#where: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    Call { function: Function::LogSoftmax, axes: axis, temperature, out, mask: r#where }.of(x)
}
