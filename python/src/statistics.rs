//! Entropy, expected index and the rest of what a distribution looks like.

use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;
use softargmax::Rows;

use crate::array::{Array, for_each_type};
use crate::axis::{Axes, Laned, shaped};
use crate::rows::{mask_of, with_rows};
use crate::temperature::Temperatures;
use crate::work;

/// The arguments that these functions share.
struct Call<'py> {
    axes: Axes,
    temperature: Temperatures<'py>,
    mask: Option<Bound<'py, PyAny>>,
    keepdims: bool,
}

impl<'py> Call<'py> {
    /// The statistics of every row, and the shape that one number for each of them has.
    fn of(self, x: &Bound<'py, PyAny>) -> PyResult<(Vec<softargmax::Statistics>, Vec<usize>)> {
        let py = x.py();
        let mut all = Vec::new();
        let shape = for_each_type!(&Array::of(x, "x")?, x => {
            let laned = Laned::of(x, &self.axes)?;
            let mask = self.mask.map(|mask| mask_of(&mask, x, &self.axes)).transpose()?;
            let taus = self.temperature.for_rows(laned.dims(), laned.axis)?;
            with_rows(&laned, mask.as_ref(), |rows, classes| {
                all = work::run(py, rows.len(), || {
                    softargmax::statistics(Rows::new(rows, classes)?, taus.as_library())
                })?;
                Ok(())
            })?;
            laned.reduced(self.keepdims)
        });
        Ok((all, shape))
    }

    fn one(
        self,
        x: &Bound<'py, PyAny>,
        out: Option<Bound<'py, PyAny>>,
        pick: fn(&softargmax::Statistics) -> f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (all, shape) = self.of(x)?;
        shaped(x.py(), all.iter().map(pick).collect(), &shape, out.as_ref())
    }
}

/// What `statistics` tells: for each row one number, in arrays of one shape; logarithms in nats, moments in
/// units of the logits, all in float64.
///
/// With p = softmax(x/τ). Entries of −∞ have p = 0 and count for nothing.
///
/// Attributes
/// ----------
/// log_sum_exp
///     log Z = ln Σ exp(x_i/τ).
/// mean
///     E[x] = Σ p_i x_i.
/// variance
///     Var[x] = Σ p_i (x_i − E[x])².
/// third_moment
///     Σ p_i (x_i − E[x])³.
/// entropy
///     H = −Σ p_i ln p_i.
/// perplexity
///     exp(H): how many equally likely classes would be as uncertain.
/// max_probability
///     The largest p_i.
/// arg_max
///     The first index of the largest logit, int64; −1 where the row has no distribution.
/// expected_index
///     Σ p_i · i, i from 0.
#[pyclass(frozen, module = "softargmax")]
pub(crate) struct Statistics {
    /// A part for each of `NUMBERS`, of the shape of the rows: of one row, to make nine arrays takes longer than what they say.
    numbers: Py<PyArrayDyn<f64>>,
    #[pyo3(get)]
    arg_max: Py<PyAny>,
}

const NUMBERS: [fn(&softargmax::Statistics) -> f64; 8] = [
    |s| s.log_sum_exp,
    |s| s.mean,
    |s| s.variance,
    |s| s.third_moment,
    |s| s.entropy,
    |s| s.perplexity,
    |s| s.max_probability,
    |s| s.expected_index,
];

impl Statistics {
    fn part<'py>(&self, py: Python<'py>, i: usize) -> PyResult<Bound<'py, PyAny>> {
        self.numbers.bind(py).get_item(i)
    }
}

#[pymethods]
impl Statistics {
    #[getter]
    fn log_sum_exp<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 0)
    }

    #[getter]
    fn mean<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 1)
    }

    #[getter]
    fn variance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 2)
    }

    #[getter]
    fn third_moment<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 3)
    }

    #[getter]
    fn entropy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 4)
    }

    #[getter]
    fn perplexity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 5)
    }

    #[getter]
    fn max_probability<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 6)
    }

    #[getter]
    fn expected_index<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, 7)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "Statistics(entropy={}, perplexity={}, max_probability={}, arg_max={}, ...)",
            self.entropy(py)?.str()?,
            self.perplexity(py)?.str()?,
            self.max_probability(py)?.str()?,
            self.arg_max.bind(py).str()?
        ))
    }
}

/// log Z, moments, entropy, perplexity, maximum and expected index under p_i = exp(x_i/τ) / Σ_j exp(x_j/τ), in
/// one pass and without storing p.
///
/// Parameters
/// ----------
/// x : array_like
///     Logits, as in `softmax`.
/// axis : int or tuple of ints, optional
///     The axis or axes that sum to 1: the last by default; None is the whole array.
/// temperature, where
///     As in `softmax`.
/// keepdims : bool, optional
///     Whether the axis stays, with the length 1.
///
/// Returns
/// -------
/// Statistics
///     Arrays of the shape of `x` without the axis, in float64.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `softmax`.
///
/// Notes
/// -----
/// Everything is computed in float64. Entropy and variance keep their relative accuracy in confident
/// rows. A row with a NaN, or of nothing but −∞, is NaN throughout, and its arg_max is −1. At τ = 0 and
/// τ = ∞ the statistics are those of the limit.
///
/// References
/// ----------
/// Shannon 1948 for the entropy; moments of parts as in Pébay, Sandia report SAND2008-6212, 2008.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> s = softargmax.statistics([0.0, 0.0, 0.0, 0.0])
/// >>> float(s.perplexity), float(s.max_probability), float(s.expected_index)
/// (4.0, 0.25, 1.5)
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::One(-1), *, temperature=Temperatures::default(), r#where=None, keepdims=false))]
#[pyo3(text_signature = "(x, axis=-1, *, temperature=1.0, where=None, keepdims=False)")]
pub(crate) fn statistics<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    r#where: Option<Bound<'py, PyAny>>,
    keepdims: bool,
) -> PyResult<Statistics> {
    let py = x.py();
    let (all, shape) = Call { axes: axis, temperature, mask: r#where, keepdims }.of(x)?;
    let arg_max = all.iter().map(|s| s.arg_max.map_or(-1, |i| i as i64)).collect();
    let dims: Vec<usize> = std::iter::once(NUMBERS.len()).chain(shape.iter().copied()).collect();
    let numbers = PyArrayDyn::<f64>::zeros(py, dims, false);
    let of_rows = NUMBERS.iter().flat_map(|of| all.iter().map(of));
    numbers.readwrite().as_slice_mut()?.iter_mut().zip(of_rows).for_each(|(to, of)| *to = of);
    Ok(Statistics {
        numbers: numbers.unbind(),
        arg_max: shaped::<i64>(py, arg_max, &shape, None)?.unbind(),
    })
}

/// Entropy of softmax with temperature, H = −Σ p_i ln p_i, in nats.
///
/// `x` are logits, not probabilities.
///
/// Parameters
/// ----------
/// x, axis, temperature, where, keepdims
///     As in `statistics`; the axis is the last by default.
/// out : ndarray of float64, optional
///     Where the result goes.
///
/// Returns
/// -------
/// float64 or ndarray of float64
///     One number for each row.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `softmax`.
///
/// Notes
/// -----
/// Computed from logits, a confident row keeps its relative accuracy: its entropy is small, not 0.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> float(softargmax.entropy([1.0, 5.0, 7.0, 10.0], temperature="0.1"))
/// 2.900863130176811e-12
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::One(-1), *, temperature=Temperatures::default(), out=None, r#where=None, keepdims=false))]
#[pyo3(text_signature = "(x, axis=-1, *, temperature=1.0, out=None, where=None, keepdims=False)")]
pub(crate) fn entropy<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    out: Option<Bound<'py, PyAny>>,
    r#where: Option<Bound<'py, PyAny>>,
    keepdims: bool,
) -> PyResult<Bound<'py, PyAny>> {
    Call { axes: axis, temperature, mask: r#where, keepdims }.one(x, out, |s| s.entropy)
}

/// Perplexity of softmax with temperature, exp(H): how many equally likely classes would be as uncertain.
///
/// Parameters
/// ----------
/// x, axis, temperature, out, where, keepdims
///     As in `entropy`.
///
/// Returns
/// -------
/// float64 or ndarray of float64
///     One number for each row, from 1 to the number of classes.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `entropy`.
///
/// Notes
/// -----
/// At τ = 0 the number of largest entries, at τ = ∞ that of entries above −∞; NaN for a row without a distribution.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> float(softargmax.perplexity([3.0, 3.0, 3.0]))
/// 3.0
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::One(-1), *, temperature=Temperatures::default(), out=None, r#where=None, keepdims=false))]
#[pyo3(text_signature = "(x, axis=-1, *, temperature=1.0, out=None, where=None, keepdims=False)")]
pub(crate) fn perplexity<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    out: Option<Bound<'py, PyAny>>,
    r#where: Option<Bound<'py, PyAny>>,
    keepdims: bool,
) -> PyResult<Bound<'py, PyAny>> {
    Call { axes: axis, temperature, mask: r#where, keepdims }.one(x, out, |s| s.perplexity)
}

/// Σ p_i · i, i from 0: the index that softmax expects, which vision papers call soft-argmax.
///
/// Parameters
/// ----------
/// x, axis, temperature, out, where, keepdims
///     As in `entropy`. Of several axes, the index is that into them flattened in C order.
///
/// Returns
/// -------
/// float64 or ndarray of float64
///     One number for each row.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `entropy`.
///
/// Notes
/// -----
/// At τ = 0 the mean index of the largest entries; NaN for a row without a distribution.
///
/// References
/// ----------
/// Luvizon, Tabia & Picard, Computers & Graphics 85, 2019, eq. 2.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> float(softargmax.expected_index([0.0, 3.0, 3.0, 0.0]))
/// 1.5
/// >>> float(softargmax.expected_index([0.0, 3.0, 2.9, 0.0], temperature=0))
/// 1.0
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::One(-1), *, temperature=Temperatures::default(), out=None, r#where=None, keepdims=false))]
#[pyo3(text_signature = "(x, axis=-1, *, temperature=1.0, out=None, where=None, keepdims=False)")]
pub(crate) fn expected_index<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    temperature: Temperatures<'py>,
    out: Option<Bound<'py, PyAny>>,
    r#where: Option<Bound<'py, PyAny>>,
    keepdims: bool,
) -> PyResult<Bound<'py, PyAny>> {
    Call { axes: axis, temperature, mask: r#where, keepdims }.one(x, out, |s| s.expected_index)
}
