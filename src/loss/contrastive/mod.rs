//! Contrastive losses: a query is to be nearer to its positive than to negatives.
//!
//! ```text
//! one row:   loss = softplus(ln Σ_{j in negatives} exp(s_j/τ) − s₊/τ)    s: similarities, the positive not in the sum
//!            dL/ds_j = (1 − p₊)·w_j/(τ·Σw)     dL/ds₊ = −(1 − p₊)/τ     dL/d(1/τ) = (1 − p₊)·(E_w[s] − s₊)
//! ```
//!
//! The losses differ in which similarities are in the sum, and their names say so:
//!
//! | loss | a row's denominator |
//! | --- | --- |
//! | [`info_nce`] | its positive and the negatives given, the same for all rows |
//! | [`moco`], [`info_nce_fixed`] | its positive and a [`Queue`], or other negatives that get no gradient |
//! | [`info_nce_in_batch`] | all keys of the batch |
//! | [`clip`] | all keys of the batch, and for a key all queries; the mean of both |
//! | [`nt_xent`] | the other 2N − 1 views |
//! | [`sup_con`] | all other vectors, every positive among them |
//! | [`sig_lip`] | none: every pair by itself |
//! | [`MemoryBank::softmax`] | all entries of the bank, which get no gradient |
//! | [`MemoryBank::nce`] | none: the own entry and drawn ones, each by itself |
//! | [`normalised_linear_softmax`] | all classes, the label's after its margin |
//!
//! With [`Denominator::NegativesOnly`] the positive is left out of the first five: decoupled contrastive loss.
//! `sweep.rs` and `both.rs` go over the similarities in tiles, so that memory does not grow with rows × columns; where a
//! block of tiles is not enough for the gradients, they are computed again.

mod bank;
mod both;
mod classes;
pub(crate) mod curve;
mod geometry;
mod info_nce;
mod pairs;
mod queue;
mod search;
pub(crate) mod sig_lip;
mod sphere;
mod sweep;
mod symmetric;
mod vectors;

pub use bank::MemoryBank;
pub use classes::{NormalisedLoss, normalised_linear_softmax};
pub use curve::{ContrastCurve, CurvePoint, Nearest};
pub use geometry::{alignment, tolerance, uniformity};
pub use info_nce::{info_nce, info_nce_fixed, info_nce_in_batch, moco};
pub use pairs::{VectorsLoss, nt_xent, sup_con};
pub use queue::{Queue, momentum_update};
pub use search::{curve_at_perplexity, curve_optimum};
pub use sig_lip::{SigLipLoss, sig_lip};
pub use sphere::{
    sphere_floor, sphere_log_mean_exp, sphere_scale_for_floor, sphere_uniformity,
    sphere_unrelated_level,
};
pub use symmetric::{LogScale, clip};
pub use vectors::Vectors;

use crate::element::Real;
use crate::error::Error;
use crate::loss::weigh::{Factor, LogSum, Share};
use crate::loss::{Reduction, exact_sum};

/// Whether a row's positive is in its denominator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denominator {
    /// It is: the loss is −ln of a probability, and at least 0.
    #[default]
    WithPositive,
    /// It is not: decoupled contrastive loss (Yeh et al. 2022, "Decoupled contrastive learning", eq. 5, all weights
    /// 1), which can be negative.
    NegativesOnly,
}

/// How a contrastive loss takes its vectors and gives its losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContrastiveOptions {
    /// What the vectors are; by default they are normalised.
    pub vectors: Vectors,
    /// Whether the positive is in the denominator; by default it is.
    pub denominator: Denominator,
    /// What becomes of the rows' losses; by default their mean.
    pub reduction: Reduction,
}

/// A contrastive loss of queries and keys, and its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastiveLoss<T> {
    /// One number; with [`Reduction::PerRow`] one for each query.
    pub values: Vec<f64>,
    /// `[rows]`: what each row gives to the gradient with respect to τ.
    pub tau: Vec<f64>,
    /// `[rows, width]`: the gradient with respect to the queries.
    pub queries: Vec<T>,
    /// `[rows, width]`: the gradient with respect to the keys, each the positive of a query.
    pub keys: Vec<T>,
    /// `[negatives, width]`: the gradient with respect to negatives that are no keys; empty where they get none.
    pub negatives: Vec<T>,
}

impl<T> ContrastiveLoss<T> {
    /// The loss as one number; with [`Reduction::PerRow`] the sum.
    pub fn value(&self) -> f64 {
        exact_sum(&self.values)
    }

    /// The gradient with respect to τ, in that number: the sum over the rows, rounded once.
    pub fn tau_sum(&self) -> f64 {
        exact_sum(&self.tau)
    }
}

/// What a row's loss is multiplied by, of so many that count.
fn whole(reduction: Reduction, rows: usize) -> Result<f64, Error> {
    match reduction {
        Reduction::PerRow | Reduction::Sum => Ok(1.0),
        Reduction::Mean | Reduction::WeightedMean if rows == 0 => Err(Error::NoRows),
        Reduction::Mean | Reduction::WeightedMean => Ok(1.0 / rows as f64),
    }
}

/// The losses of rows, already multiplied, as the reduction has them.
fn reduced(losses: Vec<f64>, reduction: Reduction) -> Vec<f64> {
    if reduction == Reduction::PerRow { losses } else { vec![exact_sum(&losses)] }
}

/// A row, from the sum of its negatives.
#[derive(Clone, Copy)]
struct Row {
    loss: f64,
    /// dL/ds of a negative is this times exp((s − max)/τ), in units of 1/τ.
    pull: f64,
    /// −dL/ds₊ in units of 1/τ.
    push: f64,
    tau: f64,
}

impl Row {
    /// One that does not count.
    const NOTHING: Row = Row { loss: 0.0, pull: 0.0, push: 0.0, tau: 0.0 };

    /// `whole` multiplies everything.
    fn new<R: Real>(
        sum: &LogSum,
        positive: f64,
        factor: &Factor<R>,
        denominator: Denominator,
        whole: f64,
    ) -> Row {
        let share = match denominator {
            Denominator::WithPositive => sum.share(positive, factor),
            Denominator::NegativesOnly => Share { loss: sum.ln_over(positive, factor), rest: 1.0 },
        };
        let scale = factor.scale;
        let push = whole * share.rest;
        let pull = if sum.is_empty() { 0.0 } else { push / sum.sum };
        let tau = -scale * (scale * push * sum.mean_from(positive));
        Row { loss: whole * share.loss, pull, push, tau }
    }
}

/// Without its positive, a denominator must have something else.
fn denominator_of(negatives: usize, denominator: Denominator) -> Result<(), Error> {
    if negatives == 0 && denominator == Denominator::NegativesOnly {
        let what = "number of negatives";
        return Err(Error::Parameter {
            what,
            got: 0.0,
            allowed: "at least 1 without the positive",
        });
    }
    Ok(())
}
