//! logsumexp, with SciPy's factors.
//!
//! ```text
//! without b     the library's log_sum_exp
//! with b        ln |Σ b_i exp(x_i/τ)| = ln |exp(P) − exp(N)|, where P and N are the logsumexp of x_i/τ + ln |b_i|
//!               over the positive and the negative factors, in f64
//! ```

use ndarray::Axis;
use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use softargmax::{Rows, Temperature};

use crate::array::{Array, Number, for_each_type, of_type, read};
use crate::axis::{Axes, Laned, shaped};
use crate::error::wrong;
use crate::rows::{in_rows, mask_of, with_rows};
use crate::temperature::{Taus, Temperatures};
use crate::work;

struct Call<'py> {
    axes: Axes,
    temperature: Temperatures<'py>,
    mask: Option<Bound<'py, PyAny>>,
    factors: Option<Bound<'py, PyAny>>,
    shape: Shape<'py>,
}

/// What is wanted of the result.
struct Shape<'py> {
    keepdims: bool,
    sign: bool,
    out: Option<Bound<'py, PyAny>>,
}

impl<'py> Shape<'py> {
    fn of<T: Number>(
        self,
        laned: &Laned<'py, T>,
        log_z: Vec<T>,
        sign: impl FnOnce(&[T]) -> Vec<T>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = laned.array.py();
        let shape = laned.reduced(self.keepdims);
        let sign = self.sign.then(|| sign(&log_z));
        let log_z = shaped(py, log_z, &shape, self.out.as_ref())?;
        match sign {
            None => Ok(log_z),
            Some(sign) => {
                Ok(PyTuple::new(py, [log_z, shaped(py, sign, &shape, None)?])?.into_any())
            }
        }
    }
}

impl<'py> Call<'py> {
    fn of(self, a: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = a.py();
        match self.factors.as_ref().filter(|b| !b.is_none()) {
            None => for_each_type!(&Array::of(a, "a")?, a => self.plain(a)),
            Some(b) => {
                let numpy = py.import(intern!(py, "numpy"))?;
                let (a, b) = (Array::of(a, "a")?, Array::of(b, "b")?);
                let type_ =
                    numpy.call_method1(intern!(py, "result_type"), (a.untyped(), b.untyped()))?;
                let both = (a.untyped(), b.untyped());
                let [a, b]: [Bound<'_, PyAny>; 2] = numpy
                    .call_method1(intern!(py, "broadcast_arrays"), both)
                    .map_err(|_| {
                        let (a, b) = (both.0.shape(), both.1.shape());
                        wrong(format!("b has shape {b:?}, which does not fit {a:?}"))
                    })?
                    .extract()?;
                let a = a.call_method1(intern!(py, "astype"), (type_,))?;
                for_each_type!(&Array::of(&a, "a")?, a => self.with_factors(a, &b))
            }
        }
    }

    fn plain<T: Number>(self, a: &Bound<'py, PyArrayDyn<T>>) -> PyResult<Bound<'py, PyAny>> {
        let py = a.py();
        let laned = Laned::of(a, &self.axes)?;
        let taus = self.temperature.for_rows(laned.dims(), laned.axis)?;
        let mask = self.mask.map(|mask| mask_of(&mask, a, &self.axes)).transpose()?;
        let log_z = match (&mask, &taus) {
            (None, &Taus::One(tau)) if !laned.is_rows() => {
                let array = read(&laned.array, "a")?;
                let (array, axis) = (array.as_array(), Axis(laned.axis));
                let log_z =
                    work::run(py, array.len(), || softargmax::log_sum_exp_axis(&array, axis, tau))?;
                log_z.into_raw_vec_and_offset().0
            }
            _ => with_rows(&laned, mask.as_ref(), |rows, classes| {
                work::run(py, rows.len(), || {
                    softargmax::log_sum_exp_rows(Rows::new(rows, classes)?, taus.as_library())
                })
            })?,
        };
        self.shape.of(&laned, log_z, |log_z| log_z.iter().map(|x| sign_of_sum(*x)).collect())
    }

    fn with_factors<T: Number>(
        self,
        a: &Bound<'py, PyArrayDyn<T>>,
        b: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = a.py();
        let laned = Laned::of(a, &self.axes)?;
        let b = Laned::of(&of_type::<f64>(b, "b")?, &self.axes)?;
        let taus = self.temperature.for_rows(laned.dims(), laned.axis)?;
        let mask = self.mask.map(|mask| mask_of(&mask, a, &self.axes)).transpose()?;
        let b = read(&b.array, "b")?;
        let b = in_rows(b.as_array(), laned.axis);
        let b = b.as_slice().expect("standard layout");
        let with_sign = self.shape.sign;
        let (log_z, signs): (Vec<T>, Vec<T>) =
            with_rows(&laned, mask.as_ref(), |rows, classes| {
                let rows = rows.chunks(classes).zip(b.chunks(classes)).enumerate();
                let each = rows.map(|(i, (row, b))| {
                    let tau = match &taus {
                        Taus::One(tau) => *tau,
                        Taus::PerRow(taus) => taus[i],
                    };
                    let (log, sign) = of_row(row, b, tau)?;
                    // As in SciPy, the logarithm of a negative sum is NaN, unless its sign is asked for.
                    let log = if sign < 0.0 && !with_sign { f64::NAN } else { log };
                    Ok((T::from_f64(log), T::from_f64(sign)))
                });
                let sums: Vec<_> = work::run(py, b.len(), || each.collect())?;
                Ok(sums.into_iter().unzip())
            })?;
        self.shape.of(&laned, log_z, |_| signs)
    }
}

/// The sign of a sum of exponentials, from its logarithm: NaN, 0 for an empty one, or 1.
fn sign_of_sum<T: Number>(log_z: T) -> T {
    let log_z = log_z.into_f64();
    T::from_f64(match log_z {
        f64::NEG_INFINITY => 0.0,
        _ if log_z.is_nan() => f64::NAN,
        _ => 1.0,
    })
}

/// ln |Σ b_i exp(x_i/τ)| and the sign of the sum. A factor of 0 counts for nothing, whatever its x.
fn of_row<T: Number>(
    row: &[T],
    factors: &[f64],
    tau: Temperature,
) -> Result<(f64, f64), softargmax::Error> {
    if tau.is_zero() || tau.is_infinite() {
        return Err(softargmax::Error::Parameter {
            what: "with b, the temperature",
            got: tau.tau(),
            allowed: "positive and finite",
        });
    }
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    for (x, &factor) in row.iter().zip(factors) {
        let term = x.into_f64() / tau.tau() + libm::log(factor.abs());
        if factor > 0.0 {
            positive.push(term);
        } else if factor < 0.0 {
            negative.push(term);
        } else if factor.is_nan() {
            return Ok((f64::NAN, f64::NAN));
        }
    }
    let sum = |terms: &[f64]| match terms {
        [] => Ok(f64::NEG_INFINITY),
        terms => softargmax::log_sum_exp(terms, Temperature::ONE),
    };
    let (positive, negative) = (sum(&positive)?, sum(&negative)?);
    let (large, small) = (positive.max(negative), positive.min(negative));
    let sign = match positive.partial_cmp(&negative) {
        None => return Ok((f64::NAN, f64::NAN)),
        Some(order) => f64::from(order as i8),
    };
    Ok(if positive == negative && positive == f64::INFINITY {
        (f64::NAN, f64::NAN)
    } else if small == f64::NEG_INFINITY || positive == negative {
        (if positive == negative { f64::NEG_INFINITY } else { large }, sign)
    } else {
        // ln(1 − e^d), each form where it keeps its digits.
        let d = small - large;
        let rest = if d > -std::f64::consts::LN_2 {
            libm::log(-libm::expm1(d))
        } else {
            libm::log1p(-libm::exp(d))
        };
        (large + rest, sign)
    })
}

/// log Z = ln Σ_i exp(x_i/τ), or with factors ln Σ_i b_i exp(x_i/τ), in nats.
///
/// With ``temperature`` left out, arguments and default of ``axis`` are those of
/// `scipy.special.logsumexp`.
///
/// Parameters
/// ----------
/// a : array_like
///     Logits, as in `softmax`.
/// axis : int or tuple of ints, optional
///     The axis or axes to sum over. The default, None, is the whole array, as in SciPy.
/// b : array_like, optional
///     Factors, which may be negative or 0; broadcast with `a`. With them the temperature must be
///     positive and finite.
/// keepdims : bool, optional
///     Whether the axis stays, with the length 1.
/// return_sign : bool, optional
///     Whether to return the sign of the sum too. Without it the logarithm of a negative sum is NaN.
/// temperature, where
///     As in `softmax`; a hidden entry counts for nothing.
/// out : ndarray, optional
///     Where the result goes.
///
/// Returns
/// -------
/// number or ndarray, or a tuple of it and the sign
///     One number for each row, in the type of `a`; with `b` in the common type of the two.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `softmax`. Also for an axis of length 0, where SciPy gives −∞.
///
/// Notes
/// -----
/// At most 4 units in the last place of the larger of |m/τ| and log Z − m/τ, where m is the largest
/// logit. With `b` the terms x_i/τ + ln |b_i| are rounded in float64 first. A row of nothing but −∞ gives −∞.
///
/// References
/// ----------
/// Blanchard, Higham & Higham, IMA J. Numer. Anal. 41(4), 2021, Algorithm 4.1.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> float(softargmax.logsumexp([1000.0, 1000.0]))
/// 1000.6931471805599
/// >>> softargmax.logsumexp([0.0, 1.0], b=[1, -1], return_sign=True)
/// (np.float64(0.5413248546129181), np.float64(-1.0))
#[pyfunction]
#[pyo3(signature = (a, axis=Axes::All, b=None, keepdims=false, return_sign=false, *, temperature=Temperatures::default(), out=None, r#where=None))]
#[pyo3(
    text_signature = "(a, axis=None, b=None, keepdims=False, return_sign=False, *, temperature=1.0, out=None, where=None)"
)]
#[allow(clippy::too_many_arguments)] // SciPy's, and three of ours
pub(crate) fn logsumexp<'py>(
    a: &Bound<'py, PyAny>,
    axis: Axes,
    b: Option<Bound<'py, PyAny>>,
    keepdims: bool,
    return_sign: bool,
    temperature: Temperatures<'py>,
    out: Option<Bound<'py, PyAny>>,
    r#where: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let shape = Shape { keepdims, sign: return_sign, out };
    Call { axes: axis, temperature, mask: r#where, factors: b, shape }.of(a)
}
