//! Losses, each with its value and its gradients, in its inputs and in τ, computed together.
//!
//! ```text
//! cross_entropy   −Σ_i q_i ln p_i                      p = softmax(x/τ)
//! distillation    T²·D(softmax(teacher/T), softmax(student/T))
//! truncated       the same from a teacher of which only the likeliest classes were kept
//! schedule        τ as a function of the step
//! ```
//!
//! What several rows give is put together as [`Reduction`] says: a factor that multiplies every row's loss, and so
//! its gradients. Sums are f64, whatever the type of the logits, and a confident row keeps the digits of
//! what it leaves over.

pub(crate) mod cross_entropy;
pub(crate) mod decoupled;
pub(crate) mod distillation;
mod distribution;
mod divergence;
mod forward;
mod frame;
mod hard;
mod labelled;
mod schedule;
mod standardised;
mod tail;
pub(crate) mod teacher;
pub(crate) mod truncated;

pub(crate) mod contrastive;
mod normface;
pub(crate) mod weigh;

use crate::element::Element;
use crate::error::Error;
use crate::exact_sum::ExactSum;
use crate::rows::Rows;
use crate::temperature::Temperatures;

pub use cross_entropy::{CrossEntropyOptions, cross_entropy, cross_entropy_into};
pub use decoupled::{DecoupledLoss, DecoupledOptions, decoupled_distillation};
pub use distillation::{DistillationOptions, Factor, HardLabels, distillation, distillation_into};
pub use divergence::Divergence;
pub use schedule::{
    cosine_temperature, cyclic_temperature, exponential_temperature, gumbel_softmax_temperature,
    linear_temperature,
};
pub use standardised::Deviation;
pub use teacher::{TruncatedParts, TruncatedStatistics, TruncatedTeacher};
pub use truncated::truncated_distillation;

pub use contrastive::{
    ContrastCurve, CurvePoint, Nearest, alignment, curve_at_perplexity, curve_optimum,
    sphere_floor, sphere_log_mean_exp, sphere_scale_for_floor, sphere_uniformity,
    sphere_unrelated_level, tolerance, uniformity,
};
pub use contrastive::{
    ContrastiveLoss, ContrastiveOptions, Denominator, LogScale, MemoryBank, NormalisedLoss, Queue,
    SigLipLoss, Vectors, VectorsLoss, clip, info_nce, info_nce_fixed, info_nce_in_batch, moco,
    momentum_update, normalised_linear_softmax, nt_xent, sig_lip, sup_con,
};
pub use normface::{
    Margin, adacos_dynamic_scale, adacos_fixed_scale, normalised_softmax, normface_lower_bound,
    normface_scale_for_loss, normface_scale_for_probability,
};

/// How the losses of rows become the loss, and with it what the gradients are gradients of.
///
/// Rows that do not count (an ignored label, a weight of 0) are in no sum and in no count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Each row's loss by itself; a row's gradients are those of its own loss. (PyTorch's `none`.)
    PerRow,
    /// The sum over the rows.
    Sum,
    /// The sum over the rows, divided by how many of them count. (PyTorch's `batchmean`.)
    #[default]
    Mean,
    /// The sum over the rows, divided by the sum of their weights. (PyTorch's `mean` of a cross-entropy with class
    /// weights.) Without weights it is the mean.
    WeightedMean,
}

/// The loss of rows, and its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss<T> {
    /// One number; with [`Reduction::PerRow`] one for each row, 0 where it does not count.
    pub values: Vec<f64>,
    /// `[rows, classes]`: the gradient with respect to the logits; 0 in a row that does not count.
    pub logits: Vec<T>,
    /// `[rows]`: the gradient with respect to the temperature of each row.
    pub tau: Vec<f64>,
}

/// Where the gradients of a [`Loss`] are to be written.
#[derive(Debug)]
pub struct LossMut<'a, T> {
    /// `[rows, classes]`: with respect to the logits.
    pub logits: &'a mut [T],
    /// `[rows]`: with respect to the temperature of each row.
    pub tau: &'a mut [f64],
}

impl<T: Element> LossMut<'_, T> {
    fn check(&self, logits: Rows<'_, T>) -> Result<(), Error> {
        logits.same_size("the gradient of the logits", self.logits.len())?;
        let (what, expected, got) = ("the gradient of tau", logits.rows(), self.tau.len());
        if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
    }
}

impl<T: Element> Loss<T> {
    fn zeros(rows: usize, classes: usize) -> Self {
        let logits = vec![T::of_f64(0.0); rows * classes];
        Loss { values: Vec::new(), logits, tau: vec![0.0; rows] }
    }

    fn as_mut(&mut self) -> LossMut<'_, T> {
        LossMut { logits: &mut self.logits, tau: &mut self.tau }
    }
}

impl<T> Loss<T> {
    /// The loss as one number; with [`Reduction::PerRow`] the sum.
    pub fn value(&self) -> f64 {
        exact_sum(&self.values)
    }

    /// The gradient with respect to one τ of all rows: the sum over them, rounded once.
    pub fn tau_sum(&self) -> f64 {
        exact_sum(&self.tau)
    }
}

/// The sum, rounded once.
fn exact_sum(values: &[f64]) -> f64 {
    let mut sum = ExactSum::ZERO;
    values.iter().for_each(|&value| sum.add(value));
    sum.value()
}

/// Which rows count and how much of each row's loss is in the whole.
struct Shares {
    /// Of each row; 0 where it does not count.
    weights: Vec<f64>,
    /// What the sum over the rows is divided by.
    divisor: f64,
}

impl Shares {
    /// `weights` are one per row, 0 where it does not count; `masses` is what the weighted mean divides by.
    fn new(weights: Vec<f64>, reduction: Reduction, masses: &[f64]) -> Result<Self, Error> {
        let divisor = match reduction {
            Reduction::PerRow | Reduction::Sum => 1.0,
            Reduction::Mean => weights.iter().filter(|&&weight| weight > 0.0).count() as f64,
            Reduction::WeightedMean => exact_sum(masses),
        };
        if divisor > 0.0 { Ok(Shares { weights, divisor }) } else { Err(Error::NoRows) }
    }

    /// The losses of rows, already times their weights, as the reduction has them.
    fn reduce(&self, losses: Vec<f64>, reduction: Reduction) -> Vec<f64> {
        if reduction == Reduction::PerRow {
            return losses;
        }
        vec![exact_sum(&losses) / self.divisor]
    }
}

/// Row weights, checked, or 1 for every row.
fn checked_weights(weights: Option<&[f64]>, rows: usize) -> Result<Vec<f64>, Error> {
    check_weights(weights, rows)?;
    Ok(weights.map_or_else(|| vec![1.0; rows], <[f64]>::to_vec))
}

/// One for each row, from 0 up.
fn check_weights(weights: Option<&[f64]>, rows: usize) -> Result<(), Error> {
    let Some(weights) = weights else { return Ok(()) };
    if weights.len() != rows {
        return Err(Error::Shape { what: "weights", expected: rows, got: weights.len() });
    }
    let refused = |weight: &f64| !(*weight >= 0.0 && *weight < f64::INFINITY);
    match weights.iter().position(refused) {
        Some(row) => Err(Error::Weight { row, got: weights[row] }),
        None => Ok(()),
    }
}

/// At τ = 0 a loss is 0 or ∞ and its gradient has no limit: refused for the first row that counts.
fn refuse_zero(taus: Temperatures<'_>, weights: &[f64]) -> Result<(), Error> {
    refuse_zero_where(taus, weights.len(), |row| weights[row] > 0.0)
}

fn refuse_zero_where(
    taus: Temperatures<'_>,
    rows: usize,
    counts: impl Fn(usize) -> bool,
) -> Result<(), Error> {
    if let Temperatures::One(tau) = taus
        && !tau.is_zero()
    {
        return Ok(());
    }
    let mut counting = (0..rows).filter(|&row| counts(row));
    match counting.find(|&row| taus.of_row(row).is_zero()) {
        Some(row) => Err(Error::Row { row, reason: "at temperature 0 the loss has no gradient" }),
        None => Ok(()),
    }
}

/// Why a row of logits has no loss with gradients, if it has none.
fn refused<T: Element>(logits: Rows<'_, T>, row: usize) -> Option<&'static str> {
    let classes = logits.classes();
    let entries = &logits.as_slice()[row * classes..(row + 1) * classes];
    let any = |is: fn(f64) -> bool| entries.iter().any(|x| is(x.to_f64()));
    if any(f64::is_nan) {
        Some("it holds a NaN")
    } else if any(|x| x == f64::INFINITY) {
        Some("an entry is +inf: the loss has no gradient there")
    } else if !any(|x| x > f64::NEG_INFINITY) {
        Some("every entry is -inf: it has no distribution")
    } else {
        None
    }
}
