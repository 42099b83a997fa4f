//! softmax, log_softmax and log_sum_exp over rows: the public functions and the jobs behind them.

mod few;
pub(crate) mod log;
pub(crate) mod plan;
pub(crate) mod row;

use crate::element::{Element, Real};
use crate::error::Error;
use crate::parallel::{self, Job};
use crate::rows::{Rows, RowsMut};
use crate::simd::{Kernel, Simd};
use crate::temperature::{Temperature, Temperatures};
use plan::Tempering;
use row::Space;

/// Rows up to this long have the next one fetched from memory while they are computed: a row's first
/// sweep would wait for it otherwise. Longer ones are streams that the machine fetches by itself.
const FETCH_AHEAD: usize = 256 * 1024;

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
    parallel::run(LogSumExp { logits, taus, out: &mut out });
    Ok(out)
}

#[derive(Clone, Copy)]
enum Function {
    Softmax,
    LogSoftmax,
}

fn into_new<T: Element>(
    function: Function,
    logits: Rows<'_, T>,
    taus: Temperatures<'_>,
) -> Result<Vec<T>, Error> {
    let taus = taus.checked(logits.rows())?;
    let mut out = vec![T::of_f64(0.0); logits.as_slice().len()];
    let classes = logits.classes();
    parallel::run(Map { function, logits: Some(logits), taus, out: &mut out, classes });
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
    parallel::run(Map { function, logits: Some(logits), taus, out, classes });
    Ok(())
}

fn in_place<T: Element>(
    function: Function,
    logits: RowsMut<'_, T>,
    taus: Temperatures<'_>,
) -> Result<(), Error> {
    let taus = taus.checked(logits.rows())?;
    let classes = logits.classes();
    parallel::run(Map { function, logits: None, taus, out: logits.into_slice(), classes });
    Ok(())
}

/// Rows to rows; without `logits`, in place.
struct Map<'a, T> {
    function: Function,
    logits: Option<Rows<'a, T>>,
    taus: Temperatures<'a>,
    out: &'a mut [T],
    classes: usize,
}

impl<T: Element> Kernel for Map<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Map { function, logits, taus, out, classes } = self;
        let temperings = Temperings::new(taus);
        let (mut scratch, mut space) = (Vec::new(), Space::new());
        let rows = out.len() / classes;
        if let (Function::Softmax, true) = (function, classes <= few::FEW) {
            return few_classes(simd, logits.map(|l| l.as_slice()), out, classes, &temperings);
        }
        for (i, out) in out.chunks_exact_mut(classes).enumerate() {
            let row = logits.map(|logits| &logits.as_slice()[i * classes..(i + 1) * classes]);
            let tempering = temperings.of_row(i);
            let next = if i + 1 < rows && classes <= FETCH_AHEAD { classes } else { 0 };
            if let Some(out) = T::as_real_mut(out) {
                let row = row.and_then(T::as_real);
                map(simd, function, row, out, &tempering, &mut space, next);
            } else {
                // f16, bf16: the row in f32, in place, and back.
                scratch.resize(classes, T::Real::ZERO);
                T::read(row.unwrap_or(out), &mut scratch);
                map(simd, function, None, &mut scratch, &tempering, &mut space, 0);
                T::write(&scratch, out);
            }
        }
    }
}

/// Softmax of short rows; those of f16 and bf16 by way of f32, many at a time.
#[inline(always)]
fn few_classes<S: Simd, T: Element>(
    simd: S,
    rows: Option<&[T]>,
    out: &mut [T],
    classes: usize,
    temperings: &Temperings<T::Real>,
) {
    let mut space = Space::new();
    if let Some(out) = T::as_real_mut(out) {
        let rows = rows.and_then(T::as_real);
        few::softmax(simd, rows, out, classes, temperings, 0, &mut space);
        return;
    }
    let mut wide = Vec::new();
    let batch = classes * few::BATCH;
    for (i, out) in out.chunks_mut(batch).enumerate() {
        wide.resize(out.len(), T::Real::ZERO);
        T::read(rows.map_or(&*out, |rows| &rows[i * batch..i * batch + out.len()]), &mut wide);
        few::softmax(simd, None, &mut wide, classes, temperings, i * few::BATCH, &mut space);
        T::write(&wide, out);
    }
}

#[inline(always)]
fn map<S: Simd, R: Real>(
    simd: S,
    function: Function,
    row: Option<&[R]>,
    out: &mut [R],
    tempering: &Tempering<R>,
    space: &mut Space<R>,
    ahead: usize,
) {
    match function {
        Function::Softmax => row::softmax(simd, row, out, tempering, space, ahead),
        Function::LogSoftmax => log::log_softmax(simd, row, out, tempering, space),
    }
}

/// A row in the type it is computed in, by way of `scratch` where that is another one.
#[inline(always)]
pub(crate) fn in_real<'a, T: Element>(
    row: &'a [T],
    scratch: &'a mut Vec<T::Real>,
) -> &'a [T::Real] {
    match T::as_real(row) {
        Some(row) => row,
        None => {
            scratch.resize(row.len(), T::Real::ZERO);
            T::read(row, scratch);
            scratch
        }
    }
}

/// The temperature of each row, made ready; once for all rows where it is one.
pub(crate) struct Temperings<'a, R> {
    taus: Temperatures<'a>,
    one: Option<Tempering<R>>,
}

impl<'a, R: Real> Temperings<'a, R> {
    pub(crate) fn new(taus: Temperatures<'a>) -> Self {
        let one = match taus {
            Temperatures::One(tau) => Some(Tempering::new(tau)),
            Temperatures::PerRow(_) => None,
        };
        Temperings { taus, one }
    }

    #[inline(always)]
    pub(crate) fn of_row(&self, row: usize) -> Tempering<R> {
        self.one.unwrap_or_else(|| Tempering::new(self.taus.of_row(row)))
    }
}

impl<T: Element> Job for Map<'_, T> {
    fn rows(&self) -> usize {
        self.out.len() / self.classes
    }

    fn row_len(&self) -> usize {
        self.classes
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let Map { function, logits, taus, out, classes } = self;
        let logits = logits.map(|logits| logits.split_at(row));
        let (taus, taus_right) = taus.split_at(row);
        let (out, out_right) = out.split_at_mut(row * classes);
        (
            Map { function, logits: logits.map(|l| l.0), taus, out, classes },
            Map {
                function,
                logits: logits.map(|l| l.1),
                taus: taus_right,
                out: out_right,
                classes,
            },
        )
    }
}

struct LogSumExp<'a, T> {
    logits: Rows<'a, T>,
    taus: Temperatures<'a>,
    out: &'a mut [T],
}

impl<T: Element> Kernel for LogSumExp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let LogSumExp { logits, taus, out } = self;
        let temperings = Temperings::new(taus);
        let (mut scratch, mut space) = (Vec::new(), Space::new());
        for (i, (row, out)) in logits.iter().zip(out).enumerate() {
            let row = in_real(row, &mut scratch);
            *out = T::of_f64(log::log_sum_exp(simd, row, &temperings.of_row(i), &mut space));
        }
    }
}

impl<T: Element> Job for LogSumExp<'_, T> {
    fn rows(&self) -> usize {
        self.out.len()
    }

    fn row_len(&self) -> usize {
        self.logits.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (logits, logits_right) = self.logits.split_at(row);
        let (taus, taus_right) = self.taus.split_at(row);
        let (out, out_right) = self.out.split_at_mut(row);
        (
            LogSumExp { logits, taus, out },
            LogSumExp { logits: logits_right, taus: taus_right, out: out_right },
        )
    }
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
