//! Losses of logits: cross-entropy and distillation.

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use softargmax::{
    CrossEntropyOptions, DecoupledOptions, DistillationOptions, HardLabels, Reduction, Truth,
};

use super::result::{PyDecoupledLoss, PyLoss};
use super::{
    Classes, Compared, Matrix, Multiplied, Numbers, Reduced, Standardised, holds_integers,
};
use crate::array::{Array, Number, for_each_type};
use crate::error::wrong;
use crate::temperature::Temperatures;
use crate::work;

/// Cross-entropy −Σ_i c_i q_i ln p_i with p = softmax(x/τ), and its gradients in the logits and in τ.
///
/// Parameters
/// ----------
/// logits : array_like
///     ``[rows, classes]``.
/// truth : array_like
///     Integers, one label for each row; or distributions ``[rows, classes]``, taken as they are, whatever their sum.
/// tau : float, str, Fraction, Decimal, Temperature or array_like of them
///     τ above 0, one number or one for each row.
/// smoothing : float
///     ε in [0, 1]: the part of every target that is spread evenly over the classes that are not masked.
/// class_weights : array_like, optional
///     c, ``[classes]``: how much −ln p of each class counts.
/// row_weights : array_like, optional
///     ``[rows]``: how much each row counts; a row of weight 0 is not looked at.
/// reduction : {"mean", "sum", "weighted_mean", "per_row"}
///     "mean" divides by the number of rows that count, "weighted_mean" by the sum of their weights times Σ c·target: with
///     labels and class weights this is PyTorch's mean.
/// ignored : int, optional
///     The label of rows that are left out (-100 in PyTorch).
///
/// Returns
/// -------
/// Loss
///     Its ``logits`` are (A p_i − c_i q_i)/τ with A = Σ c q, its ``tau`` Σ_i (A p_i − c_i q_i)(m − x_i)/τ² with m = max x.
///
/// Raises
/// ------
/// SoftargmaxError
///     For a row with a NaN, an entry of +∞ or nothing but −∞, τ = 0, targets and weights that are negative or
///     not finite, a label that is no class, a mean of no rows, and shapes that do not belong together.
///
/// Notes
/// -----
/// Computed in float64, whatever the type of the logits: the loss of a row, also of a confident one, within 1e-14 of
/// itself. A masked entry (−∞) gets gradient 0; where the target is on it, the loss is ∞. At τ = ∞ the loss is A ln n.
///
/// References
/// ----------
/// Hinton, Vinyals & Dean 2015, eq. 1 and 2; Szegedy et al. 2016, section 7, for smoothing.
///
/// Examples
/// --------
/// >>> import numpy as np, softargmax
/// >>> similarities = np.full((1, 1024), -1.0)
/// >>> similarities[0, 0] = 1.0
/// >>> softargmax.cross_entropy(similarities, [0], "0.07").value
/// 3.994494844397357e-10
#[pyfunction]
#[pyo3(signature = (
    logits, truth, tau=Temperatures::default(), *, smoothing=0.0, class_weights=None, row_weights=None,
    reduction=Reduced(Reduction::Mean), ignored=None,
))]
#[pyo3(text_signature = "(logits, truth, tau=1.0, *, smoothing=0.0, class_weights=None, \
                         row_weights=None, reduction=\"mean\", ignored=None)")]
#[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
pub(crate) fn cross_entropy(
    logits: &Bound<'_, PyAny>,
    truth: &Bound<'_, PyAny>,
    tau: Temperatures<'_>,
    smoothing: f64,
    class_weights: Option<&Bound<'_, PyAny>>,
    row_weights: Option<&Bound<'_, PyAny>>,
    reduction: Reduced,
    ignored: Option<i64>,
) -> PyResult<PyLoss> {
    fn of<T: Number>(
        logits: &Bound<'_, PyArrayDyn<T>>,
        truth: &Bound<'_, PyAny>,
        tau: Temperatures<'_>,
        options: &CrossEntropyOptions<'_>,
        ignored: Option<i64>,
    ) -> PyResult<PyLoss> {
        let py = logits.py();
        let logits = Matrix::of(logits, "logits")?;
        let (n, classes) = (logits.rows, logits.columns);
        let (taus, rows) = (tau.for_rows(&[n, classes], 1)?, logits.rows()?);
        let run = |truth: Truth<'_, T>| {
            let of = || softargmax::cross_entropy(rows, truth, taus.as_library(), options);
            work::run(py, n * classes, of)
        };
        let loss = if holds_integers(truth)? {
            run(Classes::of(truth, "truth", n, ignored)?.labels(classes)?.into())
        } else {
            run(Matrix::from(truth, "truth")?.rows()?.into())
        };
        PyLoss::new(py, loss?, n, classes)
    }
    let class_weights = Numbers::of(class_weights, "class_weights")?;
    let row_weights = Numbers::of(row_weights, "row_weights")?;
    let options = CrossEntropyOptions {
        smoothing,
        class_weights: class_weights.slice()?,
        row_weights: row_weights.slice()?,
        reduction: reduction.0,
    };
    for_each_type!(&Array::of(logits, "logits")?, x => of(x, truth, tau, &options, ignored))
}

/// Distillation T²·KL(p ‖ q), p = softmax(teacher/T), q = softmax(student/T), and its gradients in the student's logits and in T.
///
/// Parameters
/// ----------
/// student, teacher : array_like
///     Logits, ``[rows, classes]``. The teacher gets no gradient.
/// tau : float, str, Fraction, Decimal, Temperature or array_like of them
///     T above 0, one number or one for each row.
/// divergence : {"teacher_to_student", "student_to_teacher", "jensen_shannon"}
///     KL(p ‖ q), Hinton's; KL(q ‖ p), MiniLLM's; or ½ KL(p ‖ m) + ½ KL(q ‖ m) with m halfway between them.
/// factor : {"tau_squared", "one"}
///     What the divergence is multiplied by: T², which keeps gradients of one size, or 1.
/// standardise : {"population", "sample"}, optional
///     Makes the logits of both z-scores before they are divided by T, with the deviation of ddof 0 or 1.
/// soft_weight : float
///     What the soft part is multiplied by. A mixture α, 1 − α has it here and in `hard_weight`.
/// hard_labels : array_like of int, optional
///     One for each row: the cross-entropy of the student with them, at τ = 1, is added.
/// hard_weight : float, optional
///     What that is multiplied by; goes with `hard_labels`.
/// row_weights : array_like, optional
///     ``[rows]``: how much each row counts; a row of weight 0 is not looked at.
/// reduction : {"mean", "sum", "weighted_mean", "per_row"}
///     "mean" divides by the number of rows that count (PyTorch's batchmean).
/// ignored : int, optional
///     The label in `hard_labels` of rows that are left out of the whole loss.
///
/// Returns
/// -------
/// Loss
///     Its ``logits`` are the gradient in the student's: T(q − p).
///
/// Raises
/// ------
/// SoftargmaxError
///     For a row with a NaN, an entry of +∞ or nothing but −∞, T = 0, masks that make the divergence infinite, weights
///     that are negative or not finite, and shapes that do not belong together.
///
/// Notes
/// -----
/// Computed in float64; a small divergence keeps its digits, also at a large T. At T = ∞ the loss with T² is its limit,
/// Σ (z_i − v_i)²/2n of centred logits.
///
/// References
/// ----------
/// Hinton, Vinyals & Dean 2015, sections 2 and 2.1; Sun et al. 2024 (arXiv:2403.01427) for z-scores.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.distillation([[1.0, 5.0, 7.0, 10.0]], [[2.0, 8.0, 6.0, 3.0]], 4).value
/// 7.127269006375439
#[pyfunction]
#[pyo3(signature = (
    student, teacher, tau, *, divergence=Compared(Default::default()), factor=Multiplied(Default::default()),
    standardise=None, soft_weight=1.0, hard_labels=None, hard_weight=None, row_weights=None,
    reduction=Reduced(Reduction::Mean), ignored=None,
))]
#[pyo3(text_signature = "(student, teacher, tau, *, divergence=\"teacher_to_student\", \
                         factor=\"tau_squared\", standardise=None, soft_weight=1.0, hard_labels=None, \
                         hard_weight=None, row_weights=None, reduction=\"mean\", ignored=None)")]
#[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
pub(crate) fn distillation(
    student: &Bound<'_, PyAny>,
    teacher: &Bound<'_, PyAny>,
    tau: Temperatures<'_>,
    divergence: Compared,
    factor: Multiplied,
    standardise: Option<Standardised>,
    soft_weight: f64,
    hard_labels: Option<&Bound<'_, PyAny>>,
    hard_weight: Option<f64>,
    row_weights: Option<&Bound<'_, PyAny>>,
    reduction: Reduced,
    ignored: Option<i64>,
) -> PyResult<PyLoss> {
    fn of<T: Number>(
        student: &Bound<'_, PyArrayDyn<T>>,
        teacher: &Bound<'_, PyAny>,
        tau: Temperatures<'_>,
        hard: Option<(&Bound<'_, PyAny>, f64)>,
        ignored: Option<i64>,
        options: DistillationOptions<'_>,
    ) -> PyResult<PyLoss> {
        let py = student.py();
        let student = Matrix::of(student, "student")?;
        let (n, classes) = (student.rows, student.columns);
        let taus = tau.for_rows(&[n, classes], 1)?;
        let teacher = Matrix::from(teacher, "teacher")?;
        let (z, v) = (student.rows()?, teacher.rows()?);
        let labels = hard.map(|(labels, _)| Classes::of(labels, "hard_labels", n, ignored));
        let labels = labels.transpose()?;
        let hard = match (&labels, hard) {
            (Some(labels), Some((_, weight))) => {
                Some(HardLabels { labels: labels.labels(classes)?, weight })
            }
            _ => None,
        };
        let options = DistillationOptions { hard, ..options };
        let of = || softargmax::distillation(z, v, taus.as_library(), &options);
        PyLoss::new(py, work::run(py, n * classes, of)?, n, classes)
    }
    let hard = match (hard_labels, hard_weight) {
        (Some(labels), Some(weight)) => Some((labels, weight)),
        (None, None) => None,
        _ => return Err(wrong("hard_labels and hard_weight go together: give both, or neither")),
    };
    let row_weights = Numbers::of(row_weights, "row_weights")?;
    let options = DistillationOptions {
        divergence: divergence.0,
        factor: factor.0,
        standardise: standardise.map(|deviation| deviation.0),
        soft_weight,
        hard: None,
        row_weights: row_weights.slice()?,
        reduction: reduction.0,
    };
    for_each_type!(&Array::of(student, "student")?, x => of(x, teacher, tau, hard, ignored, options))
}

/// Decoupled distillation T²(α·TCKD + β·NCKD), the target against the rest and the rest among itself, with its gradients.
///
/// Parameters
/// ----------
/// student, teacher : array_like
///     Logits, ``[rows, classes]``. The teacher gets no gradient.
/// labels : array_like of int
///     The target of each row.
/// tau : float, str, Fraction, Decimal, Temperature or array_like of them
///     T above 0, one number or one for each row.
/// target_weight, rest_weight : float
///     α and β.
/// row_weights : array_like, optional
///     ``[rows]``: how much each row counts; a row of weight 0 is not looked at.
/// reduction : {"mean", "sum", "weighted_mean", "per_row"}
///     "mean" divides by the number of rows that count.
/// ignored : int, optional
///     The label of rows that are left out.
///
/// Returns
/// -------
/// DecoupledLoss
///     TCKD is KL of (p_t, 1 − p_t), NCKD that of the other classes among themselves, both teacher ‖ student.
///
/// Raises
/// ------
/// SoftargmaxError
///     As `distillation`; and where the target is masked or the only class.
///
/// Notes
/// -----
/// As `distillation`. With α = 1 and β = 1 − p_t of the teacher it is that loss.
///
/// References
/// ----------
/// Zhao et al. 2022 (arXiv:2203.08679), eq. 6 and 7.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> loss = softargmax.decoupled_distillation([[1.0, 5.0, 7.0, 10.0]], [[2.0, 8.0, 6.0, 3.0]], [3], 4)
/// >>> loss.target, loss.rest
/// (array([5.63978868]), array([1.72040341]))
#[pyfunction]
#[pyo3(signature = (
    student, teacher, labels, tau, *, target_weight=1.0, rest_weight=8.0, row_weights=None,
    reduction=Reduced(Reduction::Mean), ignored=None,
))]
#[pyo3(text_signature = "(student, teacher, labels, tau, *, target_weight=1.0, rest_weight=8.0, \
                         row_weights=None, reduction=\"mean\", ignored=None)")]
#[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
pub(crate) fn decoupled_distillation(
    student: &Bound<'_, PyAny>,
    teacher: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    tau: Temperatures<'_>,
    target_weight: f64,
    rest_weight: f64,
    row_weights: Option<&Bound<'_, PyAny>>,
    reduction: Reduced,
    ignored: Option<i64>,
) -> PyResult<PyDecoupledLoss> {
    fn of<T: Number>(
        student: &Bound<'_, PyArrayDyn<T>>,
        teacher: &Bound<'_, PyAny>,
        labels: &Bound<'_, PyAny>,
        tau: Temperatures<'_>,
        ignored: Option<i64>,
        options: &DecoupledOptions<'_>,
    ) -> PyResult<PyDecoupledLoss> {
        let py = student.py();
        let student = Matrix::of(student, "student")?;
        let (n, classes) = (student.rows, student.columns);
        let taus = tau.for_rows(&[n, classes], 1)?;
        let teacher = Matrix::from(teacher, "teacher")?;
        let (z, v) = (student.rows()?, teacher.rows()?);
        let labels = Classes::of(labels, "labels", n, ignored)?;
        let labels = labels.labels(classes)?;
        let of = || softargmax::decoupled_distillation(z, v, labels, taus.as_library(), options);
        PyDecoupledLoss::new(py, work::run(py, n * classes, of)?, n, classes)
    }
    let row_weights = Numbers::of(row_weights, "row_weights")?;
    let reduction = reduction.0;
    let options = DecoupledOptions {
        target_weight,
        rest_weight,
        row_weights: row_weights.slice()?,
        reduction,
    };
    for_each_type!(&Array::of(student, "student")?, x => of(x, teacher, labels, tau, ignored, &options))
}
