//! Gradients of softmax, log_softmax and logsumexp.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use softargmax::{GradientMut, Rows};

use crate::array::{Array, Number, for_each_type, in_c_order, of_type, read};
use crate::axis::{Axes, Laned, shaped};
use crate::error::wrong;
use crate::rows::{in_rows, mask_of, with_rows};
use crate::temperature::Temperatures;
use crate::work;

#[derive(Clone, Copy)]
enum Function {
    Softmax,
    LogSoftmax,
    LogSumExp,
}

/// The gradients with respect to logits, temperature and scale.
///
/// Attributes
/// ----------
/// logits : ndarray
///     In the shape and type of the logits.
/// tau : float64 or ndarray of float64
///     With respect to the temperature of each row. Where one temperature serves all rows, its gradient is
///     the sum.
/// scale : float64 or ndarray of float64
///     With respect to the scale 1/τ of each row. To ln(1/τ), CLIP's log-scale, it is 1/τ times that.
#[pyclass(frozen, get_all, module = "softargmax")]
pub(crate) struct Gradient {
    logits: Py<PyAny>,
    tau: Py<PyAny>,
    scale: Py<PyAny>,
}

#[pymethods]
impl Gradient {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "Gradient(logits={}, tau={}, scale={})",
            self.logits.bind(py).str()?,
            self.tau.bind(py).str()?,
            self.scale.bind(py).str()?
        ))
    }
}

/// The arguments that these functions share.
struct Call<'py> {
    function: Function,
    axes: Axes,
    temperature: Temperatures<'py>,
    mask: Option<Bound<'py, PyAny>>,
}

impl<'py> Call<'py> {
    fn of(self, x: &Bound<'py, PyAny>, cotangent: &Bound<'py, PyAny>) -> PyResult<Gradient> {
        for_each_type!(&Array::of(x, "x")?, x => self.of_type(x, cotangent))
    }

    fn of_type<T: Number>(
        self,
        x: &Bound<'py, PyArrayDyn<T>>,
        cotangent: &Bound<'py, PyAny>,
    ) -> PyResult<Gradient> {
        let py = x.py();
        let laned = Laned::of(x, &self.axes)?;
        let taus = self.temperature.for_rows(laned.dims(), laned.axis)?;
        let mask = self.mask.map(|mask| mask_of(&mask, x, &self.axes)).transpose()?;
        let shape = laned.reduced(false);
        let expected = if let Function::LogSumExp = self.function { &shape } else { x.shape() };
        let cotangent = of_type::<T>(cotangent, "cotangent")?;
        if cotangent.shape() != expected {
            let given = cotangent.shape();
            return Err(wrong(format!("cotangent has shape {given:?}, expected {expected:?}")));
        }
        let cotangent = match self.function {
            Function::LogSumExp => in_c_order(&cotangent)?,
            _ => Laned::of(&cotangent, &self.axes)?.array,
        };
        let cotangent = read(&cotangent, "cotangent")?;
        let cotangent = match self.function {
            Function::LogSumExp => cotangent.as_array().into(),
            _ => in_rows(cotangent.as_array(), laned.axis),
        };
        let cotangent = cotangent.as_slice().expect("standard layout");
        let mut logits = vec![T::from_f64(0.0); x.len()];
        let of_rows = with_rows(&laned, mask.as_ref(), |rows, classes| {
            let number = rows.len() / classes;
            let (mut tau, mut scale) = (vec![0.0; number], vec![0.0; number]);
            work::run(py, rows.len(), || {
                let rows = Rows::new(rows, classes)?;
                let taus = taus.as_library();
                let into = GradientMut {
                    logits: &mut logits,
                    tau: Some(&mut tau),
                    scale: Some(&mut scale),
                };
                let cotangents = || Rows::new(cotangent, classes);
                match self.function {
                    Function::Softmax => {
                        softargmax::softmax_vjp_into(rows, cotangents()?, taus, into)
                    }
                    Function::LogSoftmax => {
                        softargmax::log_softmax_vjp_into(rows, cotangents()?, taus, into)
                    }
                    Function::LogSumExp => {
                        softargmax::log_sum_exp_vjp_into(rows, cotangent, taus, into)
                    }
                }
            })?;
            Ok((classes, tau, scale))
        })?;
        let (classes, tau, scale) = of_rows;
        Ok(Gradient {
            logits: laned.of_rows(logits, classes)?.into_any().unbind(),
            tau: shaped(py, tau, &shape, None)?.unbind(),
            scale: shaped(py, scale, &shape, None)?.unbind(),
        })
    }
}

/// Gradient of `softmax`: dx_i = s·p_i·(g_i − Σ_j p_j g_j), ds = Σ_i p_i (g_i − Σ_j p_j g_j) x_i, dτ = −s²·ds, where s = 1/τ.
///
/// Parameters
/// ----------
/// x : array_like
///     The logits that `softmax` was called with.
/// cotangent : array_like
///     g, the gradient with respect to its result, of the same shape.
/// axis, temperature, where
///     As in `softmax`.
///
/// Returns
/// -------
/// Gradient
///     With respect to the logits, to the temperature and to the scale 1/τ.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `softmax`.
///
/// Notes
/// -----
/// Nothing need be saved from the forward pass. Masked entries get 0, never NaN; at τ = 0 all gradients are 0.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.softmax_vjp([0.0, 2.0], [1.0, 0.0], temperature=2.0)
/// Gradient(logits=[ 0.09830597 -0.09830597], tau=0.09830596662074093, scale=-0.3932238664829637)
#[pyfunction]
#[pyo3(signature = (x, cotangent, axis=Axes::All, *, temperature=Temperatures::default(), r#where=None))]
#[pyo3(text_signature = "(x, cotangent, axis=None, *, temperature=1.0, where=None)")]
pub(crate) fn softmax_vjp<'py>(
    x: &Bound<'py, PyAny>,
    cotangent: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    r#where: Option<Bound<'py, PyAny>>,
) -> PyResult<Gradient> {
    Call { function: Function::Softmax, axes: axis, temperature, mask: r#where }.of(x, cotangent)
}

/// Gradient of `log_softmax`: dx_i = s·(g_i − p_i Σ_j g_j), ds = Σ_i g_i (x_i − Σ_j p_j x_j), dτ = −s²·ds, where s = 1/τ.
///
/// Parameters
/// ----------
/// x, cotangent, axis, temperature, where
///     As in `softmax_vjp`.
///
/// Returns
/// -------
/// Gradient
///     As `softmax_vjp`.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `softmax_vjp`.
///
/// Notes
/// -----
/// A masked entry, −∞, gets 0, and its cotangent counts for nothing: the gradient is that of the row without it.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.log_softmax_vjp([0.0, 0.0], [1.0, 0.0]).logits
/// array([ 0.5, -0.5])
#[pyfunction]
#[pyo3(signature = (x, cotangent, axis=Axes::All, *, temperature=Temperatures::default(), r#where=None))]
#[pyo3(text_signature = "(x, cotangent, axis=None, *, temperature=1.0, where=None)")]
pub(crate) fn log_softmax_vjp<'py>(
    x: &Bound<'py, PyAny>,
    cotangent: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    r#where: Option<Bound<'py, PyAny>>,
) -> PyResult<Gradient> {
    Call { function: Function::LogSoftmax, axes: axis, temperature, mask: r#where }.of(x, cotangent)
}

/// Gradient of `logsumexp`: dx_i = s·g·p_i, ds = g·Σ_i p_i x_i, dτ = −s²·ds, where s = 1/τ.
///
/// Parameters
/// ----------
/// x, axis, temperature, where
///     As in `softmax_vjp`.
/// cotangent : array_like
///     g, one number for each row.
///
/// Returns
/// -------
/// Gradient
///     As `softmax_vjp`.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `softmax_vjp`.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.logsumexp_vjp([1.0, 1.0], 1.0, temperature=0.5).logits
/// array([1., 1.])
#[pyfunction]
#[pyo3(signature = (x, cotangent, axis=Axes::All, *, temperature=Temperatures::default(), r#where=None))]
#[pyo3(text_signature = "(x, cotangent, axis=None, *, temperature=1.0, where=None)")]
pub(crate) fn logsumexp_vjp<'py>(
    x: &Bound<'py, PyAny>,
    cotangent: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    r#where: Option<Bound<'py, PyAny>>,
) -> PyResult<Gradient> {
    Call { function: Function::LogSumExp, axes: axis, temperature, mask: r#where }.of(x, cotangent)
}
