//! softmax, log_softmax and log_sum_exp over rows: the public functions.

pub(crate) mod alone;
pub(crate) mod batch;
mod converted;
pub(crate) mod few;
mod few_log;
pub(crate) mod log;
pub(crate) mod long;
pub(crate) mod parked;
mod passing;
pub(crate) mod plan;
pub(crate) mod product;
mod rest;
pub(crate) mod row;
pub(crate) mod turn;

use crate::compiled::Runs;
use crate::element::Element;
use crate::error::Error;
use crate::rows::{Rows, RowsMut};
use crate::temperature::{Temperature, Temperatures};
use alone::OneRow;
use batch::{Function, LogSumExp, Map};
use parked::Size;

/// `p_i = exp(x_i/τ) / Σ_j exp(x_j/τ)` of one row.
///
/// # Shapes
/// `logits` is one row of any length but 0; the result is as long.
///
/// # Accuracy
/// At most 2.5 ULP of the exact value in f32 and f64, for every temperature and offset of the test
/// grid (docs/accuracy.md has what is reached). The result has the same bits on every machine.
/// f16 and bf16 are computed in f32 and rounded once.
///
/// # Special values
/// An entry of −∞ gets exactly 0. A NaN makes the row NaN, and so does a row of nothing but −∞. Entries
/// of +∞ share the mass equally, as do the maximal entries at τ = 0; at τ = ∞ all entries that are not −∞
/// share it. Finite logits of any size are right: nothing overflows, and subnormal results are kept.
///
/// # Errors
/// [`Error::NoClasses`] when `logits` is empty.
///
/// # Example
/// ```
/// use softargmax::{Temperature, softmax};
///
/// let p = softmax(&[1.0, 5.0, 7.0, 10.0], Temperature::new(10.0)?)?;
/// assert_eq!(p, [0.14763314666550595, 0.2202427743860977, 0.26900513210002774, 0.3631189468483686]);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Bridle 1990; with temperature, Hinton, Vinyals & Dean 2015, eq. 1. The kernel is explained in
/// docs/numerics.md.
pub fn softmax<T: Element>(logits: &[T], tau: Temperature) -> Result<Vec<T>, Error> {
    softmax_rows(Rows::one(logits)?, tau)
}

/// [`softmax`] of every row, into a new buffer.
///
/// # Shapes
/// `[rows, classes]` to `[rows, classes]`; `tau` is one [`Temperature`], or a slice of one per row.
///
/// # Accuracy, special values
/// As [`softmax`]; a row's result does not depend on the rows beside it, nor on the number of threads.
///
/// # Errors
/// [`Error::Shape`] when there are temperatures per row, but not one for each.
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, softmax_rows};
///
/// let logits = [0.0f32, 1.0, /* next row */ 2.0, 2.0];
/// let taus = [Temperature::ZERO, Temperature::ONE];
/// let p = softmax_rows(Rows::new(&logits, 2)?, &taus[..])?;
/// assert_eq!(p, [0.0, 1.0, 0.5, 0.5]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn softmax_rows<'a, T: Element>(
    logits: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<Vec<T>, Error> {
    into_new(Function::Softmax, logits, tau.into())
}

/// [`softmax`] of every row, into a given buffer.
///
/// # Shapes, accuracy, special values
/// As [`softmax_rows`].
///
/// # Errors
/// [`Error::Shape`] when `out` has another length than the logits, or `tau` another number of rows.
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, softmax_into};
///
/// let mut p = [0.0f32; 4];
/// softmax_into(Rows::new(&[3e38, -3e38, 0.0, 0.0], 2)?, Temperature::new(1e38)?, &mut p)?;
/// assert_eq!(p, [0.99752736, 0.002472623, 0.5, 0.5]); // softmax([3, -3]): nothing overflows
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn softmax_into<'a, T: Element>(
    logits: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
    out: &mut [T],
) -> Result<(), Error> {
    into(Function::Softmax, logits, tau.into(), out)
}

/// [`softmax`] of every row, in place.
///
/// # Shapes, accuracy, special values
/// As [`softmax_rows`], and the same bits.
///
/// # Errors
/// [`Error::Shape`] when there are temperatures per row, but not one for each.
///
/// # Example
/// ```
/// use softargmax::{RowsMut, Temperature, softmax_in_place};
///
/// let mut row = [1.0f64, 1.0, f64::NEG_INFINITY];
/// softmax_in_place(RowsMut::one(&mut row)?, Temperature::ONE)?;
/// assert_eq!(row, [0.5, 0.5, 0.0]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn softmax_in_place<'a, T: Element>(
    logits: RowsMut<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<(), Error> {
    in_place(Function::Softmax, logits, tau.into())
}

/// `log p_i = x_i/τ − ln Σ_j exp(x_j/τ)` of one row, in nats.
///
/// # Shapes
/// `logits` is one row of any length but 0; the result is as long.
///
/// # Accuracy
/// At most 4 ULP of the exact value in f32 and f64 (docs/accuracy.md has what is reached), also where
/// p is close to 1: −log p of 1 − 4e-10 is 4e-10, not 0.
///
/// # Special values
/// An entry of −∞ gives −∞. A NaN makes the row NaN, and so does a row of nothing but −∞. At τ = 0 the k
/// maximal entries get −ln k and all others −∞, as do k entries of +∞ at any τ below ∞; at τ = ∞ the k
/// entries that are not −∞ get −ln k.
///
/// # Errors
/// [`Error::NoClasses`] when `logits` is empty.
///
/// # Example
/// ```
/// use softargmax::{Temperature, log_softmax};
///
/// let log_p = log_softmax(&[21.64f32, 0.0], Temperature::ONE)?;
/// assert_eq!(log_p, [-3.998229e-10, -21.64]);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Blanchard, Higham & Higham, IMA J. Numer. Anal. 41(4), 2021, for the shift; the log1p of what the
/// maximum leaves over is their eq. 1.5 without its cancellation.
pub fn log_softmax<T: Element>(logits: &[T], tau: Temperature) -> Result<Vec<T>, Error> {
    log_softmax_rows(Rows::one(logits)?, tau)
}

/// [`log_softmax`] of every row, into a new buffer; shapes and errors as [`softmax_rows`].
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, log_softmax_rows};
///
/// let log_p = log_softmax_rows(Rows::new(&[0.0, 0.0, 7.0, 7.0], 2)?, Temperature::ONE)?;
/// assert_eq!(log_p, [-std::f64::consts::LN_2; 4]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_softmax_rows<'a, T: Element>(
    logits: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<Vec<T>, Error> {
    into_new(Function::LogSoftmax, logits, tau.into())
}

/// [`log_softmax`] of every row, into a given buffer; shapes and errors as [`softmax_into`].
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, log_softmax_into};
///
/// let mut log_p = [0.0f32; 2];
/// log_softmax_into(Rows::one(&[5.0, 5.0])?, Temperature::ONE, &mut log_p)?;
/// assert_eq!(log_p, [-std::f32::consts::LN_2; 2]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_softmax_into<'a, T: Element>(
    logits: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
    out: &mut [T],
) -> Result<(), Error> {
    into(Function::LogSoftmax, logits, tau.into(), out)
}

/// [`log_softmax`] of every row, in place; shapes and errors as [`softmax_in_place`].
///
/// # Example
/// ```
/// use softargmax::{RowsMut, Temperature, log_softmax_in_place};
///
/// let mut row = [3.0, f64::NEG_INFINITY];
/// log_softmax_in_place(RowsMut::one(&mut row)?, Temperature::ONE)?;
/// assert_eq!(row, [0.0, f64::NEG_INFINITY]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_softmax_in_place<'a, T: Element>(
    logits: RowsMut<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<(), Error> {
    in_place(Function::LogSoftmax, logits, tau.into())
}

/// `log Z = ln Σ_i exp(x_i/τ)` of one row, in nats.
///
/// # Shapes
/// `logits` is one row of any length but 0; the result is one number.
///
/// # Accuracy
/// At most 4 units in the last place of the larger of |m/τ| and log Z − m/τ, where m is the
/// largest logit; where the two cancel, log Z itself has fewer digits.
///
/// # Special values
/// A NaN gives NaN, a row of nothing but −∞ gives −∞, an entry of +∞ gives +∞ (unless τ = ∞). At τ = 0 it
/// is ±∞ with the sign of the largest logit, or ln of the number of maximal entries if that is 0; at
/// τ = ∞ it is ln of the number of entries that are not −∞.
///
/// # Errors
/// [`Error::NoClasses`] when `logits` is empty.
///
/// # Example
/// ```
/// use softargmax::{Temperature, log_sum_exp};
///
/// assert_eq!(log_sum_exp(&[1000.0, 1000.0], Temperature::ONE)?, 1000.0 + std::f64::consts::LN_2);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Blanchard, Higham & Higham, IMA J. Numer. Anal. 41(4), 2021, Algorithm 4.1.
pub fn log_sum_exp<T: Element>(logits: &[T], tau: Temperature) -> Result<T, Error> {
    Ok(log_sum_exp_rows(Rows::one(logits)?, tau)?[0])
}

/// [`log_sum_exp`] of every row.
///
/// # Shapes
/// `[rows, classes]` to `[rows]`.
///
/// # Errors
/// [`Error::Shape`] when there are temperatures per row, but not one for each.
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, log_sum_exp_rows};
///
/// let log_z = log_sum_exp_rows(Rows::new(&[0.0f32, f32::NEG_INFINITY, 2.0, 2.0], 2)?, Temperature::ONE)?;
/// assert_eq!(log_z, [0.0, 2.0 + std::f32::consts::LN_2]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_sum_exp_rows<'a, T: Element>(
    logits: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<Vec<T>, Error> {
    let taus = tau.into().checked(logits.rows())?;
    let mut out = vec![T::of_f64(0.0); logits.rows()];
    long::run::<T, _>(LogSumExp { logits, taus, out: &mut out });
    Ok(out)
}

fn into_new<T: Element>(
    function: Function,
    logits: Rows<'_, T>,
    taus: Temperatures<'_>,
) -> Result<Vec<T>, Error> {
    let taus = taus.checked(logits.rows())?;
    let mut out = vec![T::of_f64(0.0); logits.as_slice().len()];
    let classes = logits.classes();
    map(function, Some(logits), taus, &mut out, classes);
    Ok(out)
}

fn into<T: Element>(
    function: Function,
    logits: Rows<'_, T>,
    taus: Temperatures<'_>,
    out: &mut [T],
) -> Result<(), Error> {
    let taus = taus.checked(logits.rows())?;
    logits.same_size("out", out.len())?;
    let classes = logits.classes();
    map(function, Some(logits), taus, out, classes);
    Ok(())
}

fn in_place<T: Element>(
    function: Function,
    logits: RowsMut<'_, T>,
    taus: Temperatures<'_>,
) -> Result<(), Error> {
    let taus = taus.checked(logits.rows())?;
    let classes = logits.classes();
    map(function, None, taus, logits.into_slice(), classes);
    Ok(())
}

/// All rows. One short row takes a way of its own, since in its time any other is felt.
#[inline]
fn map<T: Element>(
    function: Function,
    logits: Option<Rows<'_, T>>,
    taus: Temperatures<'_>,
    out: &mut [T],
    classes: usize,
) {
    if out.len() == classes
        && classes <= few::FEW
        && let Some(out) = T::as_real_mut(out)
    {
        let (row, tau) = (logits.and_then(|row| T::as_real(row.as_slice())), taus.of_row(0));
        let done = match function {
            Function::Softmax => T::Real::run(OneRow::<_, false> { row, out, tau }),
            Function::LogSoftmax => T::Real::run(OneRow::<_, true> { row, out, tau }),
        };
        if done {
            return;
        }
    }
    let size = Size::of::<T>(out.len());
    long::run::<T, _>(Map { function, logits, taus, out, classes, size });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_scale() {
        for log_scale in [-1e9, -1400.0, -745.0, 745.0, 1400.0, 1e9] {
            let tau = Temperature::from_log_scale(log_scale).unwrap();
            for logits in [[0.0, 5e-324, 0.0], [1e308, -1e308, 1e308], [1.0, 2.0, 2.0]] {
                for p in [softmax(&logits, tau), softmax(&[logits, logits].concat(), tau)] {
                    let total: f64 = p.unwrap().iter().sum();
                    assert!((total - 1.0).abs() < 1e-15, "{log_scale}, {logits:?}");
                }
                let log_p = log_softmax(&logits, tau).unwrap();
                assert!(log_p.iter().all(|p| *p <= 0.0), "{log_scale}, {logits:?}: {log_p:?}");
                crate::statistics(Rows::one(&logits).unwrap(), tau).unwrap();
            }
        }
    }
}
