//! Losses of vectors against vectors.

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use softargmax::{ContrastiveOptions, Reduction, Temperature};

use super::queue::PyQueue;
use super::result::PyContrastiveLoss;
use super::{Matrix, Reduced, Summed, Taken};
use crate::array::{Array, Number, for_each_type};
use crate::temperature::Tau;
use crate::work;

pub(super) fn options(
    vectors: Taken,
    denominator: Summed,
    reduction: Reduced,
) -> ContrastiveOptions {
    let (vectors, denominator, reduction) = (vectors.0, denominator.0, reduction.0);
    ContrastiveOptions { vectors, denominator, reduction }
}

/// How many numbers the work goes through, as if similarities were kept.
pub(super) fn size<T: Number>(rows: &Matrix<'_, T>, columns: usize) -> usize {
    rows.rows.saturating_mul(columns)
}

/// A loss of queries and their keys.
type OfPairs<T> = fn(
    softargmax::Rows<'_, T>,
    softargmax::Rows<'_, T>,
    Temperature,
    &ContrastiveOptions,
) -> Result<softargmax::ContrastiveLoss<T>, softargmax::Error>;

fn of_pairs<T: Number>(
    loss: OfPairs<T>,
    first: &Bound<'_, PyArrayDyn<T>>,
    (first_name, second_name): (&str, &str),
    second: &Bound<'_, PyAny>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> PyResult<PyContrastiveLoss> {
    let py = first.py();
    let first = Matrix::of(first, first_name)?;
    let second = Matrix::from(second, second_name)?;
    let (queries, keys) = (first.rows()?, second.rows()?);
    let loss = work::run(py, size(&first, second.rows), || loss(queries, keys, tau, options))?;
    PyContrastiveLoss::new(py, loss, (first.rows, first.columns), None)
}

/// InfoNCE −ln(exp(q·k₊/τ)/(exp(q·k₊/τ) + Σ_j exp(q·k_j/τ))) with negatives that are given, and its gradients.
///
/// Parameters
/// ----------
/// queries, positives : array_like
///     ``[rows, width]``.
/// negatives : array_like
///     ``[K, width]``, the same for all queries.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ, at least 1e-300 (float32 and shorter types: 1e-36).
/// vectors : {"normalise", "unit", "as_given"}
///     What they are: anything, which the loss divides by their lengths; of length 1, which is checked; or anything,
///     with dot products as similarities.
/// denominator : {"with_positive", "negatives_only"}
///     Whether a row's positive is in its denominator. Without it: decoupled contrastive loss, which can be negative.
/// reduction : {"mean", "sum", "per_row"}
///     What becomes of the losses of the rows.
///
/// Returns
/// -------
/// ContrastiveLoss
///     Gradients in queries, positives (``keys``), ``negatives`` and ``tau``.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// Notes
/// -----
/// A loss of 1e-84 is 1e-84. In float64 it is within 1e-14 of itself, in float32 within 2^-22·max(1, 2/τ). Memory does
/// not grow with rows·K. No negatives give a loss of 0; at τ = ∞ it is ln(1 + K).
///
/// References
/// ----------
/// van den Oord, Li & Vinyals 2018, eq. 4; He et al. 2020, eq. 1.
///
/// Examples
/// --------
/// >>> import numpy as np, softargmax
/// >>> query, negatives = np.array([[1.0, 0.0]]), np.tile([-1.0, 0.0], (1023, 1))
/// >>> print(f'{softargmax.info_nce(query, query, negatives, "0.07").value:.12e}')
/// 3.994494844397e-10
#[pyfunction]
#[pyo3(signature = (
    queries, positives, negatives, tau, *, vectors=Taken(Default::default()), denominator=Summed(Default::default()),
    reduction=Reduced(Reduction::Mean),
))]
#[pyo3(
    text_signature = "(queries, positives, negatives, tau, *, vectors=\"normalise\", denominator=\"with_positive\", \
                         reduction=\"mean\")"
)]
pub(crate) fn info_nce(
    queries: &Bound<'_, PyAny>,
    positives: &Bound<'_, PyAny>,
    negatives: &Bound<'_, PyAny>,
    tau: Tau,
    vectors: Taken,
    denominator: Summed,
    reduction: Reduced,
) -> PyResult<PyContrastiveLoss> {
    let options = options(vectors, denominator, reduction);
    let fixed = false;
    for_each_type!(&Array::of(queries, "queries")?, q => given(q, positives, negatives, tau.0, &options, fixed))
}

/// InfoNCE as `info_nce`, whose negatives are fixed and get no gradient: MoCo's loss on memory of one's own.
///
/// Parameters
/// ----------
/// queries, positives, negatives, tau, vectors, denominator, reduction
///     As in `info_nce`; but negatives must be of length 1, unless `vectors` is "as_given": fixed ones are normalised
///     once, when they are stored, not at every loss.
///
/// Returns
/// -------
/// ContrastiveLoss
///     Its ``negatives`` are None.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// References
/// ----------
/// He et al. 2020, eq. 1 and algorithm 1.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> queue = [[0.6, 0.8], [0.8, 0.6]]
/// >>> loss = softargmax.info_nce_fixed([[3.0, 4.0]], [[3.0, 4.0]], queue, "0.07")
/// >>> loss.negatives is None
/// True
#[pyfunction]
#[pyo3(signature = (
    queries, positives, negatives, tau, *, vectors=Taken(Default::default()), denominator=Summed(Default::default()),
    reduction=Reduced(Reduction::Mean),
))]
#[pyo3(
    text_signature = "(queries, positives, negatives, tau, *, vectors=\"normalise\", denominator=\"with_positive\", \
                         reduction=\"mean\")"
)]
pub(crate) fn info_nce_fixed(
    queries: &Bound<'_, PyAny>,
    positives: &Bound<'_, PyAny>,
    negatives: &Bound<'_, PyAny>,
    tau: Tau,
    vectors: Taken,
    denominator: Summed,
    reduction: Reduced,
) -> PyResult<PyContrastiveLoss> {
    let options = options(vectors, denominator, reduction);
    let fixed = true;
    for_each_type!(&Array::of(queries, "queries")?, q => given(q, positives, negatives, tau.0, &options, fixed))
}

fn given<T: Number>(
    queries: &Bound<'_, PyArrayDyn<T>>,
    positives: &Bound<'_, PyAny>,
    negatives: &Bound<'_, PyAny>,
    tau: Temperature,
    options: &ContrastiveOptions,
    fixed: bool,
) -> PyResult<PyContrastiveLoss> {
    let py = queries.py();
    let queries = Matrix::of(queries, "queries")?;
    let positives = Matrix::from(positives, "positives")?;
    let negatives = Matrix::from(negatives, "negatives")?;
    let (q, k, n) = (queries.rows()?, positives.rows()?, negatives.rows()?);
    let loss = if fixed { softargmax::info_nce_fixed } else { softargmax::info_nce };
    let loss = work::run(py, size(&queries, negatives.rows), || loss(q, k, n, tau, options))?;
    let negatives = (!fixed).then_some(negatives.rows);
    PyContrastiveLoss::new(py, loss, (queries.rows, queries.columns), negatives)
}

/// MoCo's loss: InfoNCE whose negatives are those of a `Queue`, which gets no gradient.
///
/// Parameters
/// ----------
/// queries, keys : array_like
///     ``[rows, width]``, of the type of the queue.
/// queue : Queue
///     It is not changed: push the keys afterwards.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ, at least 1e-300 (float32 and shorter types: 1e-36).
/// vectors : {"normalise", "unit", "as_given"}
///     What they are: anything, which the loss divides by their lengths; of length 1, which is checked; or anything,
///     with dot products as similarities.
/// denominator : {"with_positive", "negatives_only"}
///     Whether a row's positive is in its denominator. Without it: decoupled contrastive loss, which can be negative.
/// reduction : {"mean", "sum", "per_row"}
///     What becomes of the losses of the rows.
///
/// Returns
/// -------
/// ContrastiveLoss
///     Its ``negatives`` are None.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// Notes
/// -----
/// As `info_nce`. An empty queue gives a loss of 0.
///
/// References
/// ----------
/// He et al. 2020, algorithm 1 (τ = 0.07, K = 65536), which pushes after the loss, as here.
///
/// Examples
/// --------
/// >>> import numpy as np, softargmax
/// >>> queue = softargmax.Queue(65536, 2, dtype=np.float64)
/// >>> queries, keys = [[3.0, 4.0]], [[4.0, 3.0]]
/// >>> softargmax.moco(queries, keys, queue, "0.07").value
/// 0.0
/// >>> queue.push(keys)
/// >>> softargmax.moco(queries, keys, queue, "0.07").value  # the negative is the positive again: ln 2
/// 0.6931471805599453
#[pyfunction]
#[pyo3(signature = (
    queries, keys, queue, tau, *, vectors=Taken(Default::default()), denominator=Summed(Default::default()),
    reduction=Reduced(Reduction::Mean),
))]
#[pyo3(
    text_signature = "(queries, keys, queue, tau, *, vectors=\"normalise\", denominator=\"with_positive\", \
                         reduction=\"mean\")"
)]
pub(crate) fn moco(
    queries: &Bound<'_, PyAny>,
    keys: &Bound<'_, PyAny>,
    queue: &Bound<'_, PyQueue>,
    tau: Tau,
    vectors: Taken,
    denominator: Summed,
    reduction: Reduced,
) -> PyResult<PyContrastiveLoss> {
    queue.get().moco(queries, keys, tau.0, &options(vectors, denominator, reduction))
}

/// InfoNCE within a batch: a query's negatives are the keys of the other queries.
///
/// Parameters
/// ----------
/// queries, keys : array_like
///     ``[rows, width]``; key i is the positive of query i.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ, at least 1e-300 (float32 and shorter types: 1e-36).
/// vectors : {"normalise", "unit", "as_given"}
///     What they are: anything, which the loss divides by their lengths; of length 1, which is checked; or anything,
///     with dot products as similarities.
/// denominator : {"with_positive", "negatives_only"}
///     Whether a row's positive is in its denominator. Without it: decoupled contrastive loss, which can be negative.
/// reduction : {"mean", "sum", "per_row"}
///     What becomes of the losses of the rows.
///
/// Returns
/// -------
/// ContrastiveLoss
///     Gradients in ``queries``, ``keys`` and ``tau``.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// Notes
/// -----
/// As `info_nce`, with K = rows − 1. Memory grows with rows·width only.
///
/// References
/// ----------
/// Sohn 2016, eq. 7; van den Oord, Li & Vinyals 2018, eq. 4.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> corners = [[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
/// >>> loss = softargmax.info_nce_in_batch(corners, corners, 0.5)
/// >>> round(loss.value / softargmax.normface_lower_bound(4, 2.0), 12)  # no four pairs can do better
/// 1.0
#[pyfunction]
#[pyo3(signature = (
    queries, keys, tau, *, vectors=Taken(Default::default()), denominator=Summed(Default::default()),
    reduction=Reduced(Reduction::Mean),
))]
#[pyo3(
    text_signature = "(queries, keys, tau, *, vectors=\"normalise\", denominator=\"with_positive\", \
                         reduction=\"mean\")"
)]
pub(crate) fn info_nce_in_batch(
    queries: &Bound<'_, PyAny>,
    keys: &Bound<'_, PyAny>,
    tau: Tau,
    vectors: Taken,
    denominator: Summed,
    reduction: Reduced,
) -> PyResult<PyContrastiveLoss> {
    let options = options(vectors, denominator, reduction);
    for_each_type!(&Array::of(queries, "queries")?, x => {
        of_pairs(softargmax::info_nce_in_batch, x, ("queries", "keys"), keys, tau.0, &options)
    })
}

/// CLIP's symmetric loss: the mean of `info_nce_in_batch` and the same with queries and keys exchanged.
///
/// Parameters
/// ----------
/// queries, keys : array_like
///     ``[rows, width]``, images and texts; row i of one belongs to row i of the other.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ, at least 1e-300 (float32 and shorter types: 1e-36).
/// vectors : {"normalise", "unit", "as_given"}
///     What they are: anything, which the loss divides by their lengths; of length 1, which is checked; or anything,
///     with dot products as similarities.
/// denominator : {"with_positive", "negatives_only"}
///     Whether a row's positive is in its denominator. Without it: decoupled contrastive loss, which can be negative.
/// reduction : {"mean", "sum", "per_row"}
///     What becomes of the losses of the rows.
///
/// Returns
/// -------
/// ContrastiveLoss
///     A row's value is half of its loss as a query and half of its loss as a key.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// Notes
/// -----
/// As `info_nce`, with K = rows − 1. The gradient in a log-scale ln(1/τ) is −τ times that in τ.
///
/// References
/// ----------
/// Radford et al. 2021, figure 3.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> loss = softargmax.clip([[1.0, 0.0], [0.0, 1.0]], [[0.8, 0.6], [0.6, 0.8]], 0.07)
/// >>> loss.tau_sum > 0  # every positive is ahead: a colder τ would lower it
/// True
#[pyfunction]
#[pyo3(signature = (
    queries, keys, tau, *, vectors=Taken(Default::default()), denominator=Summed(Default::default()),
    reduction=Reduced(Reduction::Mean),
))]
#[pyo3(
    text_signature = "(queries, keys, tau, *, vectors=\"normalise\", denominator=\"with_positive\", \
                         reduction=\"mean\")"
)]
pub(crate) fn clip(
    queries: &Bound<'_, PyAny>,
    keys: &Bound<'_, PyAny>,
    tau: Tau,
    vectors: Taken,
    denominator: Summed,
    reduction: Reduced,
) -> PyResult<PyContrastiveLoss> {
    let options = options(vectors, denominator, reduction);
    for_each_type!(&Array::of(queries, "queries")?, x => {
        of_pairs(softargmax::clip, x, ("queries", "keys"), keys, tau.0, &options)
    })
}

/// NT-Xent, SimCLR's: each of 2N views is to find the other view of its image among the 2N − 1 that are not itself.
///
/// Parameters
/// ----------
/// first, second : array_like
///     ``[N, width]``: two views of N images.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ, at least 1e-300 (float32 and shorter types: 1e-36).
/// vectors : {"normalise", "unit", "as_given"}
///     What they are: anything, which the loss divides by their lengths; of length 1, which is checked; or anything,
///     with dot products as similarities.
/// denominator : {"with_positive", "negatives_only"}
///     Whether a row's positive is in its denominator. Without it: decoupled contrastive loss, which can be negative.
/// reduction : {"mean", "sum", "per_row"}
///     What becomes of the losses of the rows.
///
/// Returns
/// -------
/// ContrastiveLoss
///     ``values`` and ``tau`` are of the 2N views, all first ones before all second ones; ``queries`` and ``keys`` are
///     the gradients in the first and in the second ones.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// Notes
/// -----
/// As `info_nce`, with K = 2N − 2. The mean is over the 2N views, as in the paper; the authors' code has twice that.
///
/// References
/// ----------
/// Chen et al. 2020, "SimCLR", eq. 1 and algorithm 1.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> views = [[1.0, 0.0], [0.0, 1.0]]
/// >>> round(softargmax.nt_xent(views, views, 0.5).value, 12)  # ln(1 + 2·exp(-1/0.5))
/// 0.239544766222
#[pyfunction]
#[pyo3(signature = (
    first, second, tau, *, vectors=Taken(Default::default()), denominator=Summed(Default::default()),
    reduction=Reduced(Reduction::Mean),
))]
#[pyo3(
    text_signature = "(first, second, tau, *, vectors=\"normalise\", denominator=\"with_positive\", \
                         reduction=\"mean\")"
)]
pub(crate) fn nt_xent(
    first: &Bound<'_, PyAny>,
    second: &Bound<'_, PyAny>,
    tau: Tau,
    vectors: Taken,
    denominator: Summed,
    reduction: Reduced,
) -> PyResult<PyContrastiveLoss> {
    let options = options(vectors, denominator, reduction);
    for_each_type!(&Array::of(first, "first")?, x => {
        of_pairs(softargmax::nt_xent, x, ("first", "second"), second, tau.0, &options)
    })
}
