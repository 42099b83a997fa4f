//! Losses of vectors among themselves, and of pairs by themselves.

use std::collections::BTreeMap;

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use softargmax::{ContrastiveOptions, Labels, Reduction, Temperature};

use super::contrastive::{options, size};
use super::result::{PySigLipLoss, PyVectorsLoss};
use super::{Classes, Matrix, Reduced, Summed, Taken};
use crate::array::{Array, Number, for_each_type};
use crate::error::refused;
use crate::temperature::Tau;
use crate::work;

/// Supervised contrastive loss −1/|P| Σ_{p in P} ln(exp(z_i·z_p/τ)/Σ_{j≠i} exp(z_i·z_j/τ)), P all others of z_i's class.
///
/// Parameters
/// ----------
/// vectors : array_like
///     ``[rows, width]``.
/// labels : array_like of int
///     One for each vector; any integers.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ, at least 1e-300 (float32 and shorter types: 1e-36).
/// taken : {"normalise", "unit", "as_given"}
///     What the vectors are: anything, which the loss divides by their lengths; of length 1, which is checked; or anything,
///     with dot products as similarities.
/// reduction : {"mean", "sum", "per_row"}
///     What becomes of the losses of the rows.
/// ignored : int, optional
///     The label of vectors that are nobody's positive, but negatives of all.
///
/// Returns
/// -------
/// VectorsLoss
///     Gradients in ``vectors`` and ``tau``; ``anchors`` says how many have a positive, and count.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// Notes
/// -----
/// As `info_nce`, where a class has two vectors, in which case it is NT-Xent. With more the loss cannot fall below
/// ln |P|. There is no factor τ/τ_base as in the authors' code.
///
/// References
/// ----------
/// Khosla et al. 2020, "Supervised contrastive learning", eq. 2 (L_out).
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> loss = softargmax.sup_con([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 0, 1], 1.0)
/// >>> loss.value, loss.anchors
/// (0.31326168751822286, 2)
#[pyfunction]
#[pyo3(signature = (
    vectors, labels, tau, *, taken=Taken(Default::default()), reduction=Reduced(Reduction::Mean), ignored=None,
))]
#[pyo3(
    text_signature = "(vectors, labels, tau, *, taken=\"normalise\", reduction=\"mean\", ignored=None)"
)]
pub(crate) fn sup_con(
    vectors: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    tau: Tau,
    taken: Taken,
    reduction: Reduced,
    ignored: Option<i64>,
) -> PyResult<PyVectorsLoss> {
    fn of<T: Number>(
        vectors: &Bound<'_, PyArrayDyn<T>>,
        labels: &Bound<'_, PyAny>,
        tau: Temperature,
        options: &ContrastiveOptions,
        ignored: Option<i64>,
    ) -> PyResult<PyVectorsLoss> {
        let py = vectors.py();
        let vectors = Matrix::of(vectors, "vectors")?;
        let (n, width, rows) = (vectors.rows, vectors.columns, vectors.rows()?);
        let labels = Classes::of(labels, "labels", n, ignored)?;
        let labels = numbered(labels.array.as_slice()?, ignored);
        let labels = Labels::with_ignored(&labels, n.max(1), -1).map_err(refused)?;
        let loss =
            work::run(py, size(&vectors, n), || softargmax::sup_con(rows, labels, tau, options))?;
        PyVectorsLoss::new(py, loss, n, width)
    }
    let options = options(taken, Summed(Default::default()), reduction);
    for_each_type!(&Array::of(vectors, "vectors")?, x => of(x, labels, tau.0, &options, ignored))
}

/// Labels as numbers from 0 up, in the order in which they appear: the library has a place for each class up to the
/// largest. −1 is none.
fn numbered(labels: &[i64], ignored: Option<i64>) -> Vec<i64> {
    let mut numbers = BTreeMap::new();
    let number = |&label: &i64| {
        let next = numbers.len() as i64;
        if Some(label) == ignored { -1 } else { *numbers.entry(label).or_insert(next) }
    };
    labels.iter().map(number).collect()
}

/// SigLIP's loss softplus(−(q·k₊/τ + b)) + Σ_{j≠+} softplus(q·k_j/τ + b): every pair by itself.
///
/// Parameters
/// ----------
/// queries, keys : array_like
///     ``[rows, width]``; key i belongs to query i and to no other.
/// tau : float, str, Fraction, Decimal or Temperature
///     τ, at least 1e-300 (float32 and shorter types: 1e-36).
/// bias : float
///     b; SigLIP begins with −10, and τ = 0.1.
/// vectors : {"normalise", "unit", "as_given"}
///     What they are: anything, which the loss divides by their lengths; of length 1, which is checked; or anything,
///     with dot products as similarities.
/// reduction : {"mean", "sum", "per_row"}
///     What becomes of the losses of the rows.
///
/// Returns
/// -------
/// SigLipLoss
///     Gradients in ``queries``, ``keys``, ``tau`` and ``bias``.
///
/// Raises
/// ------
/// SoftargmaxError
///     For widths or numbers of rows that differ; a vector that holds a NaN or an infinity, is 0 where it is to be
///     normalised, or is not of length 1 where that was promised; τ too small; a mean of no rows.
///
/// Notes
/// -----
/// As `info_nce`. The mean is over the queries, not over the pairs, as in the paper. At τ = ∞ only the bias counts.
///
/// References
/// ----------
/// Zhai et al. 2023, "Sigmoid loss for language image pre-training", eq. 2 and algorithm 1.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.sig_lip([[1.0, 0.0]], [[0.0, 1.0]], "0.1", -10.0).value
/// 10.000045398899218
#[pyfunction]
#[pyo3(signature = (
    queries, keys, tau, bias, *, vectors=Taken(Default::default()), reduction=Reduced(Reduction::Mean),
))]
#[pyo3(text_signature = "(queries, keys, tau, bias, *, vectors=\"normalise\", reduction=\"mean\")")]
pub(crate) fn sig_lip(
    queries: &Bound<'_, PyAny>,
    keys: &Bound<'_, PyAny>,
    tau: Tau,
    bias: f64,
    vectors: Taken,
    reduction: Reduced,
) -> PyResult<PySigLipLoss> {
    fn of<T: Number>(
        queries: &Bound<'_, PyArrayDyn<T>>,
        keys: &Bound<'_, PyAny>,
        (tau, bias): (Temperature, f64),
        options: &ContrastiveOptions,
    ) -> PyResult<PySigLipLoss> {
        let py = queries.py();
        let queries = Matrix::of(queries, "queries")?;
        let keys = Matrix::from(keys, "keys")?;
        let (q, k) = (queries.rows()?, keys.rows()?);
        let loss = work::run(py, size(&queries, keys.rows), || {
            softargmax::sig_lip(q, k, tau, bias, options)
        })?;
        PySigLipLoss::new(py, loss, queries.rows, queries.columns)
    }
    let options = options(vectors, Summed(Default::default()), reduction);
    for_each_type!(&Array::of(queries, "queries")?, x => of(x, keys, (tau.0, bias), &options))
}
