//! The normalised softmax of cosines, its floor and its scales.

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use softargmax::{Margin, Reduction};

use super::result::PyLoss;
use super::{Classes, Matrix, Reduced};
use crate::array::{Array, Number, for_each_type};
use crate::error::{refused, wrong};
use crate::temperature::Tau;
use crate::work;

/// Normalised softmax −ln(exp(s·t)/(exp(s·t) + Σ_{j≠y} exp(s·cos_j))), t = cos_y after a margin, s = 1/τ.
///
/// Without a margin it is NormFace's loss, with a cosine margin CosFace's, with an angle margin ArcFace's.
///
/// Parameters
/// ----------
/// cosines : array_like
///     ``[rows, classes]``, each from −1 to 1.
/// labels : array_like of int
///     One for each row.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ above 0; ``Temperature.from_scale(64)`` for a scale.
/// cosine_margin : float, optional
///     t = cos θ − m: CosFace; m is 0.35 or 0.4 where s is 64.
/// angle_margin : float, optional
///     t = cos(θ + m): ArcFace; m is 0.5 where s is 64. Beyond θ = π − m it is cos θ − m·sin m, as in the authors' code.
/// reduction : {"mean", "sum", "weighted_mean", "per_row"}
///     "mean" divides by the number of rows that count.
/// ignored : int, optional
///     The label of rows that are left out.
///
/// Returns
/// -------
/// Loss
///     Its ``logits`` are the gradient in the cosines. In the scale the gradient is −τ² times that in τ.
///
/// Raises
/// ------
/// SoftargmaxError
///     For a number that is no cosine, τ = 0, a margin that is not finite or no angle, a label that is no class.
///
/// Notes
/// -----
/// In float64 within 1e-14 of the loss, however small; in float32 the rounding of the cosines decides. At τ = ∞ the
/// loss is ln(classes). At θ = 0 the slope of the angle margin is infinite, and 2^26·sin m is used.
///
/// References
/// ----------
/// Wang et al. 2017, "NormFace", eq. 6; Wang et al. 2018, "CosFace", eq. 4; Deng et al. 2019, "ArcFace", eq. 3.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> tau = softargmax.Temperature.from_scale(64)
/// >>> softargmax.normalised_softmax([[0.75, 0.125, -0.25]], [0], tau, cosine_margin=0.25).value
/// 3.775134544350356e-11
#[pyfunction]
#[pyo3(signature = (
    cosines, labels, tau, *, cosine_margin=None, angle_margin=None, reduction=Reduced(Reduction::Mean), ignored=None,
))]
#[pyo3(text_signature = "(cosines, labels, tau, *, cosine_margin=None, angle_margin=None, \
                         reduction=\"mean\", ignored=None)")]
pub(crate) fn normalised_softmax(
    cosines: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    tau: Tau,
    cosine_margin: Option<f64>,
    angle_margin: Option<f64>,
    reduction: Reduced,
    ignored: Option<i64>,
) -> PyResult<PyLoss> {
    fn of<T: Number>(
        cosines: &Bound<'_, PyArrayDyn<T>>,
        labels: &Bound<'_, PyAny>,
        margin: Margin,
        (tau, reduction): (Tau, Reduction),
        ignored: Option<i64>,
    ) -> PyResult<PyLoss> {
        let py = cosines.py();
        let cosines = Matrix::of(cosines, "cosines")?;
        let (n, classes, rows) = (cosines.rows, cosines.columns, cosines.rows()?);
        let labels = Classes::of(labels, "labels", n, ignored)?;
        let labels = labels.labels(classes)?;
        let of = || softargmax::normalised_softmax(rows, labels, margin, tau.0, reduction);
        PyLoss::new(py, work::run(py, n * classes, of)?, n, classes)
    }
    let margin = match (cosine_margin, angle_margin) {
        (None, None) => Margin::None,
        (Some(m), None) => Margin::Cosine(m),
        (None, Some(m)) => Margin::Angle(m),
        _ => return Err(wrong("cosine_margin and angle_margin exclude each other: give one")),
    };
    let how = (tau, reduction.0);
    for_each_type!(&Array::of(cosines, "cosines")?, x => of(x, labels, margin, how, ignored))
}

/// The least that a normalised softmax loss over n balanced classes can be at a scale s: ln(1 + (n − 1)·exp(−s·n/(n − 1))).
///
/// Parameters
/// ----------
/// classes : int
///     n, from 1 up.
/// scale : float
///     s = 1/τ, from 0 up.
///
/// Returns
/// -------
/// float
///     Nats. Reached where the classes are the corners of a simplex, which takes n − 1 dimensions.
///
/// Raises
/// ------
/// SoftargmaxError
///     For no classes, and a scale that is NaN or negative.
///
/// Notes
/// -----
/// Within 1e-15 of itself, however small. One class has the floor 0; at s = 0 it is ln n, at s = ∞ it is 0.
///
/// References
/// ----------
/// Wang et al. 2017, "NormFace", proposition 2.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.normface_lower_bound(10575, 1)
/// 8.2663159287104
#[pyfunction]
pub(crate) fn normface_lower_bound(classes: usize, scale: f64) -> PyResult<f64> {
    softargmax::normface_lower_bound(classes, scale).map_err(refused)
}

/// The scale at which `normface_lower_bound` is a loss L: (n − 1)/n · ln((n − 1)/(exp(L) − 1)).
///
/// A smaller scale cannot get so low.
///
/// Parameters
/// ----------
/// classes : int
///     n, from 2 up.
/// loss : float
///     From 0 to ln n.
///
/// Returns
/// -------
/// float
///     s = 1/τ.
///
/// Raises
/// ------
/// SoftargmaxError
///     For fewer than two classes, whose floor is 0 at every scale, and a loss that is NaN, negative or above ln n.
///
/// Notes
/// -----
/// A loss of 0 takes an infinite scale, ln n none (0).
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> round(1 / softargmax.normface_scale_for_loss(65537, 0.1), 4)  # the largest τ that can reach 0.1
/// 0.0749
#[pyfunction]
pub(crate) fn normface_scale_for_loss(classes: usize, loss: f64) -> PyResult<f64> {
    softargmax::normface_scale_for_loss(classes, loss).map_err(refused)
}

/// The least scale at which every row can have its label at a probability P: (n − 1)/n · ln((n − 1)·P/(1 − P)).
///
/// Parameters
/// ----------
/// classes : int
///     n, from 2 up.
/// probability : float
///     P, from 1/n to 1.
///
/// Returns
/// -------
/// float
///     s = 1/τ.
///
/// Raises
/// ------
/// SoftargmaxError
///     For fewer than two classes, and a probability that is NaN, below 1/n or above 1.
///
/// Notes
/// -----
/// P = 1 takes an infinite scale, P = 1/n none (0).
///
/// References
/// ----------
/// Wang et al. 2018, "CosFace", section 3.3.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.normface_scale_for_probability(10575, 0.999)
/// 16.17137886242121
#[pyfunction]
pub(crate) fn normface_scale_for_probability(classes: usize, probability: f64) -> PyResult<f64> {
    softargmax::normface_scale_for_probability(classes, probability).map_err(refused)
}

/// The fixed scale of AdaCos, √2·ln(n − 1).
///
/// A heuristic: nothing says that a model learns best there.
///
/// Parameters
/// ----------
/// classes : int
///     n, from 2 up.
///
/// Returns
/// -------
/// float
///     s = 1/τ; 0 for two classes.
///
/// Raises
/// ------
/// SoftargmaxError
///     For fewer than two classes.
///
/// References
/// ----------
/// Zhang et al. 2019, "AdaCos", eq. 10.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.adacos_fixed_scale(65537)
/// 15.684130295496756
#[pyfunction]
pub(crate) fn adacos_fixed_scale(classes: usize) -> PyResult<f64> {
    softargmax::adacos_fixed_scale(classes).map_err(refused)
}

/// The next scale of dynamic AdaCos: ln(B)/cos(min(π/4, θ)), B the mean of Σ_{j≠y} exp(s·cos_j), θ the median angle to the label.
///
/// Parameters
/// ----------
/// cosines : array_like
///     ``[rows, classes]``.
/// labels : array_like of int
///     One for each row.
/// scale : float
///     s of the step before, at first `adacos_fixed_scale`.
/// ignored : int, optional
///     The label of rows that are left out.
///
/// Returns
/// -------
/// float
///     The scale of this step, at least 0.
///
/// Raises
/// ------
/// SoftargmaxError
///     For a scale that is NaN, negative or infinite, for one class, for no rows; as `normalised_softmax` for labels
///     and cosines.
///
/// Notes
/// -----
/// A B below 1 would make the scale negative; it is 0.
///
/// References
/// ----------
/// Zhang et al. 2019, "AdaCos", eq. 15 and algorithm 1.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.adacos_dynamic_scale([[0.5, 0.0, 0.0]], [0], 10.0)
/// 0.9802581434685471
#[pyfunction]
#[pyo3(signature = (cosines, labels, scale, *, ignored=None))]
pub(crate) fn adacos_dynamic_scale(
    cosines: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    scale: f64,
    ignored: Option<i64>,
) -> PyResult<f64> {
    fn of<T: Number>(
        cosines: &Bound<'_, PyArrayDyn<T>>,
        labels: &Bound<'_, PyAny>,
        scale: f64,
        ignored: Option<i64>,
    ) -> PyResult<f64> {
        let py = cosines.py();
        let cosines = Matrix::of(cosines, "cosines")?;
        let (n, classes, rows) = (cosines.rows, cosines.columns, cosines.rows()?);
        let labels = Classes::of(labels, "labels", n, ignored)?;
        let labels = labels.labels(classes)?;
        work::run(py, n * classes, || softargmax::adacos_dynamic_scale(rows, labels, scale))
    }
    for_each_type!(&Array::of(cosines, "cosines")?, x => of(x, labels, scale, ignored))
}
