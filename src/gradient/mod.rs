//! Gradients: vector–Jacobian products of softmax, log_softmax and log_sum_exp.
//!
//! With p = softmax(x·s), s = 1/τ, cotangents g, and E the mean under p:
//!
//! ```text
//!                softmax                    log_softmax                log_sum_exp
//! dx_i           s·p_i·(g_i − E[g])         s·(g_i − p_i·Σ_j g_j)      s·g·p_i
//! ds             E[(g − E[g])·(x − E[x])]   Σ_i g_i·(x_i − E[x])       g·E[x]
//! dτ             −s²·ds                     −s²·ds                     −s²·ds
//! ```
//!
//! Nothing need be saved from the forward pass: p is computed again. This file has the public functions and their
//! job; row.rs computes a row, with the sums of sums.rs.

mod row;
mod sums;

use crate::double::two_sum;
use crate::element::Element;
use crate::error::Error;
use crate::parallel::Job;
use crate::rows::Rows;
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::in_real;
use crate::softmax::plan::Temperings;
use crate::temperature::Temperatures;
use row::vjp;

/// The gradients of rows: with respect to the logits, and for each row to its τ and its scale s = 1/τ.
///
/// Where one τ serves all rows, its gradient is the sum over them: [`tau_sum`](Gradient::tau_sum).
/// With respect to ln(1/τ), CLIP's log-scale, it is s times that of the scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient<T> {
    /// `[rows, classes]`, like the logits.
    pub logits: Vec<T>,
    /// `[rows]`: with respect to the temperature of each row.
    pub tau: Vec<f64>,
    /// `[rows]`: with respect to the scale 1/τ of each row.
    pub scale: Vec<f64>,
}

impl<T: Element> Gradient<T> {
    fn zeros(rows: usize, classes: usize) -> Self {
        Gradient {
            logits: vec![T::of_f64(0.0); rows * classes],
            tau: vec![0.0; rows],
            scale: vec![0.0; rows],
        }
    }

    fn as_mut(&mut self) -> GradientMut<'_, T> {
        GradientMut {
            logits: &mut self.logits,
            tau: Some(&mut self.tau),
            scale: Some(&mut self.scale),
        }
    }
}

impl<T> Gradient<T> {
    /// The gradient with respect to one τ of all rows: the rows added up in order, with one rounding.
    pub fn tau_sum(&self) -> f64 {
        sum_in_order(&self.tau)
    }

    /// The gradient with respect to one scale of all rows: the rows added up in order, with one rounding.
    pub fn scale_sum(&self) -> f64 {
        sum_in_order(&self.scale)
    }
}

fn sum_in_order(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0, 0.0);
    for &value in values {
        let low;
        (sum, low) = two_sum(sum, value);
        lost += low;
    }
    // After an overflow what was lost is NaN, and the sum itself is right.
    if sum.is_finite() { sum + lost } else { sum }
}

/// Where a [`Gradient`] is to be written; per-row gradients that are not wanted are `None`.
#[derive(Debug)]
pub struct GradientMut<'a, T> {
    /// `[rows, classes]`, like the logits.
    pub logits: &'a mut [T],
    /// `[rows]`: with respect to the temperature of each row.
    pub tau: Option<&'a mut [f64]>,
    /// `[rows]`: with respect to the scale 1/τ of each row.
    pub scale: Option<&'a mut [f64]>,
}

/// Gradient of [`softmax`](crate::softmax): `dx_i = s·p_i·(g_i − Σ_j p_j g_j)`, `ds = Σ_i p_i (g_i − Σ_j p_j g_j) x_i` and
/// `dτ = −s²·ds`, where g is the gradient with respect to the probabilities and s = 1/τ.
///
/// # Shapes
/// `logits` and `cotangents` (g) are `[rows, classes]`; `tau` is one [`Temperature`](crate::Temperature), or a slice of one per row.
///
/// # Accuracy
/// Within 3 units in the last place (f64: 5) of `s·p_i·(|g_i − G| + Σ_j p_j |g_j − G|)` with G = Σ p g, and ds and dτ within as
/// many of `Σ p |g − G| |x − E[x]|`, in the type of the logits, against 31 digits and for offsets of the logits up to
/// 1e8·τ: nothing is lost but what cancels in the formula itself. A confident row keeps its relative accuracy.
/// The same bits on every machine, for any number of threads. f16 and bf16 are computed in f32 and rounded
/// once.
///
/// # Special values
/// A masked entry (−∞) gets exactly 0 and its cotangent counts for nothing, even if it is infinite or NaN; so
/// does that of a probability below 2^-187 (f32) or 2^-1080 (f64). A row without a distribution (a NaN, or
/// nothing but −∞) is NaN throughout, no other row is. At τ = 0, and in a row with an entry of +∞, softmax is constant
/// around almost every point and all gradients are 0. At τ = ∞ (s = 0) dx and dτ are 0, and ds is the formula with
/// uniform p.
///
/// # Errors
/// [`Error::Shape`] when `cotangents` has another shape than the logits, or `tau` another number of rows.
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, softmax_vjp};
///
/// let logits = [0.0, 2.0];
/// let gradient = softmax_vjp(Rows::one(&logits)?, Rows::one(&[1.0, 0.0])?, Temperature::new(2.0)?)?;
/// // p_0 = 0.2689, and s·p_0·(1 − p_0) = 0.0983
/// assert_eq!(gradient.logits, [0.09830596662074093, -0.09830596662074091]);
/// assert_eq!(gradient.scale_sum(), -0.3932238664829637); // p_0 falls as the scale rises
/// assert_eq!(gradient.tau_sum(), 0.09830596662074093);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Bridle 1990 for the logits; for τ, the chain rule: ds is the covariance of g and x under p.
pub fn softmax_vjp<'a, T: Element>(
    logits: Rows<'_, T>,
    cotangents: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<Gradient<T>, Error> {
    let mut gradient = Gradient::zeros(logits.rows(), logits.classes());
    softmax_vjp_into(logits, cotangents, tau, gradient.as_mut())?;
    Ok(gradient)
}

/// [`softmax_vjp`], into given buffers; nothing is allocated per row.
///
/// # Shapes, accuracy, special values
/// As [`softmax_vjp`].
///
/// # Errors
/// As [`softmax_vjp`], and [`Error::Shape`] when a buffer has the wrong length.
///
/// # Example
/// ```
/// use softargmax::{GradientMut, Rows, Temperature, softmax_vjp_into};
///
/// let (logits, cotangents, mut d_logits) = ([1.0f32, 1.0], [0.0, 1.0], [0.0; 2]);
/// softmax_vjp_into(
///     Rows::one(&logits)?,
///     Rows::one(&cotangents)?,
///     Temperature::ONE,
///     GradientMut { logits: &mut d_logits, tau: None, scale: None },
/// )?;
/// assert_eq!(d_logits, [-0.25, 0.25]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn softmax_vjp_into<'a, T: Element>(
    logits: Rows<'_, T>,
    cotangents: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
    gradient: GradientMut<'_, T>,
) -> Result<(), Error> {
    same_shape(logits, cotangents)?;
    into(Function::Softmax, logits, cotangents.as_slice(), tau.into(), gradient)
}

/// Gradient of [`log_softmax`](crate::log_softmax): `dx_i = s·(g_i − p_i Σ_j g_j)`, `ds = Σ_i g_i (x_i − Σ_j p_j x_j)` and
/// `dτ = −s²·ds`, where g is the gradient with respect to the log-probabilities and s = 1/τ.
///
/// # Shapes
/// As [`softmax_vjp`].
///
/// # Accuracy
/// dx_i within 3 units in the last place (f64: 5) of `s·(|g_i| + p_i Σ_j |g_j|)`, ds and dτ within as many of `Σ |g| (|x − m| + |E[x] − m|)`
/// with m the largest logit, in the type of the logits. The maximum of a confident row keeps its relative
/// accuracy: for a cross-entropy (g is −1 at the label) the entry p − 1 is what the others leave over.
///
/// # Special values
/// As [`softmax_vjp`]. A masked entry (−∞) is not there: it gets 0, and its cotangent counts for nothing, so that the
/// gradient is that of the row without it. (Its log-probability is −∞ whatever the others do.)
///
/// # Errors
/// As [`softmax_vjp`].
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, log_softmax_vjp};
///
/// // Cross-entropy of a confident row with label 0: p_0 − 1 is -3.99e-10, and not 0.
/// let gradient = log_softmax_vjp(Rows::one(&[21.64, 0.0])?, Rows::one(&[-1.0, 0.0])?, Temperature::ONE)?;
/// assert_eq!(gradient.logits, [-3.9982266668879805e-10, 3.9982266668879805e-10]);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Hinton, Vinyals & Dean 2015, eq. 2, for the logits with temperature.
pub fn log_softmax_vjp<'a, T: Element>(
    logits: Rows<'_, T>,
    cotangents: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<Gradient<T>, Error> {
    let mut gradient = Gradient::zeros(logits.rows(), logits.classes());
    log_softmax_vjp_into(logits, cotangents, tau, gradient.as_mut())?;
    Ok(gradient)
}

/// [`log_softmax_vjp`], into given buffers; nothing is allocated per row.
///
/// # Shapes, accuracy, special values
/// As [`log_softmax_vjp`].
///
/// # Errors
/// As [`softmax_vjp_into`].
///
/// # Example
/// ```
/// use softargmax::{GradientMut, Rows, Temperature, log_softmax_vjp_into};
///
/// let (mut d_logits, mut d_tau) = ([0.0; 2], [0.0; 1]);
/// log_softmax_vjp_into(
///     Rows::one(&[3.0, 3.0])?,
///     Rows::one(&[1.0, 0.0])?,
///     Temperature::ONE,
///     GradientMut { logits: &mut d_logits, tau: Some(&mut d_tau), scale: None },
/// )?;
/// assert_eq!((d_logits, d_tau), ([0.5, -0.5], [0.0]));
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_softmax_vjp_into<'a, T: Element>(
    logits: Rows<'_, T>,
    cotangents: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
    gradient: GradientMut<'_, T>,
) -> Result<(), Error> {
    same_shape(logits, cotangents)?;
    into(Function::LogSoftmax, logits, cotangents.as_slice(), tau.into(), gradient)
}

/// Gradient of [`log_sum_exp`](crate::log_sum_exp): `dx_i = s·g·p_i`, `ds = g·Σ_i p_i x_i` and `dτ = −s²·ds`, where g is the
/// gradient with respect to log Z and s = 1/τ.
///
/// # Shapes
/// `logits` is `[rows, classes]`, `cotangents` (g) is `[rows]`; `tau` is one [`Temperature`](crate::Temperature), or a slice of one per row.
///
/// # Accuracy
/// dx within 3 units in the last place (f64: 5) in the type of the logits, ds and dτ within as many of
/// `|g|·(|m| + |E[x] − m|)` with m the largest logit.
///
/// # Special values
/// As [`softmax_vjp`]; a masked entry gets 0 also where g is infinite or NaN. At τ = 0, and in a row with an entry of
/// +∞, log Z is infinite and stays so: all gradients are 0.
///
/// # Errors
/// [`Error::Shape`] when there is not one cotangent for each row, or not one of several temperatures.
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, log_sum_exp_vjp};
///
/// let gradient = log_sum_exp_vjp(Rows::one(&[3.0, 5.0, 5.0, f64::NEG_INFINITY])?, &[2.0], Temperature::INFINITE)?;
/// assert_eq!(gradient.logits, [0.0; 4]); // at s = 0 no logit counts
/// assert_eq!(gradient.scale, [2.0 * 13.0 / 3.0]); // 2·E[x]
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// The gradient of log Z is p: Bridle 1990. With respect to s it is the mean energy of statistical mechanics.
pub fn log_sum_exp_vjp<'a, T: Element>(
    logits: Rows<'_, T>,
    cotangents: &[T],
    tau: impl Into<Temperatures<'a>>,
) -> Result<Gradient<T>, Error> {
    let mut gradient = Gradient::zeros(logits.rows(), logits.classes());
    log_sum_exp_vjp_into(logits, cotangents, tau, gradient.as_mut())?;
    Ok(gradient)
}

/// [`log_sum_exp_vjp`], into given buffers; nothing is allocated per row.
///
/// # Shapes, accuracy, special values
/// As [`log_sum_exp_vjp`].
///
/// # Errors
/// As [`log_sum_exp_vjp`], and [`Error::Shape`] when a buffer has the wrong length.
///
/// # Example
/// ```
/// use softargmax::{GradientMut, Rows, Temperature, log_sum_exp_vjp_into};
///
/// let mut d_logits = [0.0f32; 2];
/// log_sum_exp_vjp_into(
///     Rows::one(&[1.0, 1.0])?,
///     &[1.0],
///     Temperature::new(0.5)?,
///     GradientMut { logits: &mut d_logits, tau: None, scale: None },
/// )?;
/// assert_eq!(d_logits, [1.0, 1.0]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_sum_exp_vjp_into<'a, T: Element>(
    logits: Rows<'_, T>,
    cotangents: &[T],
    tau: impl Into<Temperatures<'a>>,
    gradient: GradientMut<'_, T>,
) -> Result<(), Error> {
    same_length("cotangents", logits.rows(), cotangents.len())?;
    into(Function::LogSumExp, logits, cotangents, tau.into(), gradient)
}

fn same_length(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}

fn same_shape<T>(logits: Rows<'_, T>, cotangents: Rows<'_, T>) -> Result<(), Error> {
    same_length("a row of cotangents", logits.classes(), cotangents.classes())?;
    logits.same_size("cotangents", cotangents.as_slice().len())
}

fn into<T: Element>(
    function: Function,
    logits: Rows<'_, T>,
    cotangents: &[T],
    taus: Temperatures<'_>,
    gradient: GradientMut<'_, T>,
) -> Result<(), Error> {
    let taus = taus.checked(logits.rows())?;
    let GradientMut { logits: out, tau, scale } = gradient;
    logits.same_size("the gradient of the logits", out.len())?;
    if let Some(tau) = &tau {
        same_length("the gradient of tau", logits.rows(), tau.len())?;
    }
    if let Some(scale) = &scale {
        same_length("the gradient of the scale", logits.rows(), scale.len())?;
    }
    T::run(Vjp { function, logits, cotangents, taus, out, tau, scale });
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Function {
    Softmax,
    LogSoftmax,
    LogSumExp,
}

impl Function {
    /// How many cotangents a row has.
    fn width(self, classes: usize) -> usize {
        if self == Function::LogSumExp { 1 } else { classes }
    }
}

pub(crate) struct Vjp<'a, T> {
    function: Function,
    logits: Rows<'a, T>,
    cotangents: &'a [T],
    taus: Temperatures<'a>,
    out: &'a mut [T],
    tau: Option<&'a mut [f64]>,
    scale: Option<&'a mut [f64]>,
}

impl<T: Element> Kernel for Vjp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Vjp { function, logits, cotangents, taus, out, mut tau, mut scale } = self;
        let temperings = Temperings::new(taus);
        let (mut x_space, mut g_space) = (Scratch::new(), Scratch::new());
        let (mut out_space, mut space) = (Scratch::new(), Vec::new());
        let classes = logits.classes();
        let cotangents = cotangents.chunks_exact(function.width(classes));
        for (i, ((row, g), out)) in
            logits.iter().zip(cotangents).zip(out.chunks_exact_mut(classes)).enumerate()
        {
            let tempering = temperings.of_row(i);
            let row = in_real(row, &mut x_space);
            let g = in_real(g, &mut g_space);
            let slope = match T::as_real_mut(out) {
                Some(out) => vjp(simd, function, row, g, &tempering, out, &mut space),
                None => {
                    let out_space = out_space.of(classes);
                    let slope = vjp(simd, function, row, g, &tempering, out_space, &mut space);
                    T::write(out_space, out);
                    slope
                }
            };
            if let Some(scale) = &mut scale {
                scale[i] = slope.scale();
            }
            if let Some(tau) = &mut tau {
                tau[i] = slope.tau(taus.of_row(i));
            }
        }
    }
}

impl<T: Element> Job for Vjp<'_, T> {
    fn rows(&self) -> usize {
        self.logits.rows()
    }

    fn row_len(&self) -> usize {
        self.logits.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let Vjp { function, logits, cotangents, taus, out, tau, scale } = self;
        let classes = logits.classes();
        let (logits, logits_right) = logits.split_at(row);
        let (cotangents, cotangents_right) = cotangents.split_at(row * function.width(classes));
        let (taus, taus_right) = taus.split_at(row);
        let (out, out_right) = out.split_at_mut(row * classes);
        let (tau, tau_right) = split_option(tau, row);
        let (scale, scale_right) = split_option(scale, row);
        (
            Vjp { function, logits, cotangents, taus, out, tau, scale },
            Vjp {
                function,
                logits: logits_right,
                cotangents: cotangents_right,
                taus: taus_right,
                out: out_right,
                tau: tau_right,
                scale: scale_right,
            },
        )
    }
}

fn split_option(values: Option<&mut [f64]>, at: usize) -> (Option<&mut [f64]>, Option<&mut [f64]>) {
    match values {
        Some(values) => {
            let (left, right) = values.split_at_mut(at);
            (Some(left), Some(right))
        }
        None => (None, None),
    }
}
