//! Normalised softmax from features and class weights, without the logits ever being there.
//!
//! ```text
//! cos_ic = f_i·w_c/(|f_i||w_c|)      loss_i = softplus(ln Σ_{c≠y} exp(s·cos_ic) − s·t(cos_iy)),   s = 1/τ
//! G_ic = s·(1 − p_iy)·(share of c among the others), and −s·(1 − p_iy)·t'(cos_iy) at the label
//! dF = G·W, dW = Gᵀ·F: three products; then through the lengths
//! ```

use std::cell::Cell;

use crate::element::{Element, Real};
use crate::error::Error;
use crate::loss::contrastive::both::Side;
use crate::loss::contrastive::sweep::Sweep;
use crate::loss::contrastive::vectors::{Prepared, same_width};
use crate::loss::contrastive::{Denominator, Row, Vectors, reduced, whole};
use crate::loss::normface::Margin;
use crate::loss::weigh::{Factor, LogSum, above_zero};
use crate::loss::{Reduction, exact_sum};
use crate::rows::{Labels, Rows};
use crate::temperature::Temperature;

/// A normalised softmax loss, and its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalisedLoss<T> {
    /// One number; with [`Reduction::PerRow`] one for each row, 0 where its label is ignored.
    pub values: Vec<f64>,
    /// `[rows]`: what each row gives to the gradient with respect to τ.
    pub tau: Vec<f64>,
    /// `[rows]`: the same with respect to the scale s = 1/τ.
    pub scale: Vec<f64>,
    /// `[rows, width]`: the gradient with respect to the features, as they were given.
    pub features: Vec<T>,
    /// `[classes, width]`: the gradient with respect to the class weights, as they were given.
    pub weights: Vec<T>,
}

impl<T> NormalisedLoss<T> {
    /// The loss as one number; with [`Reduction::PerRow`] the sum.
    pub fn value(&self) -> f64 {
        exact_sum(&self.values)
    }

    /// The gradient with respect to τ, in that number: the sum over the rows, rounded once.
    pub fn tau_sum(&self) -> f64 {
        exact_sum(&self.tau)
    }

    /// The gradient with respect to the scale, in that number.
    pub fn scale_sum(&self) -> f64 {
        exact_sum(&self.scale)
    }
}

/// The normalised softmax loss of features and class weights, which it divides by their lengths: that of
/// [`normalised_softmax`](crate::normalised_softmax) where `cosines` are `f_i·w_c/(|f_i||w_c|)`, with the gradients in
/// features, weights and scale, through the lengths.
///
/// # Shapes
/// `features` is `[rows, width]`, `weights` `[classes, width]`, one label per row.
///
/// # Accuracy
/// As [`normalised_softmax`](crate::normalised_softmax) of the cosines, which are rounded to the type; the gradients
/// in f32 are within 1e-5 of the largest. The same bits for any number of threads. Never are all the cosines there:
/// beside inputs and gradients, [`info_nce`](crate::info_nce) says how much is.
///
/// # Special values
/// A row whose label is ignored gives nothing. At τ = ∞ the loss is ln(classes), the gradients of the vectors are 0, and
/// that of the scale is not. One class has the loss 0.
///
/// # Errors
/// [`Error::Shape`] when the widths differ, when there is not one label per row, or other classes than weights;
/// [`Error::Row`] for a row, counted in its own argument, that has no direction; [`Error::Parameter`] for a margin and
/// a temperature as in [`normalised_softmax`](crate::normalised_softmax); [`Error::NoRows`] for the mean of no rows.
///
/// # Example
/// ```
/// use softargmax::{Labels, Margin, Reduction, Rows, Temperature, normalised_linear_softmax};
///
/// let (features, weights) = ([3.0, 4.0], [2.0, 0.0, 0.0, 1.0, -1.0, 0.0]);
/// let (features, weights) = (Rows::new(&features, 2)?, Rows::new(&weights, 2)?);
/// let (labels, tau) = (Labels::new(&[1], 3)?, Temperature::from_scale(10.0)?);
/// let loss =
///     normalised_linear_softmax(features, weights, labels, Margin::None, tau, Reduction::Mean)?;
/// // The cosines are 0.6, 0.8 and −0.6.
/// assert!((loss.value() - ((-2f64).exp() + (-14f64).exp()).ln_1p()).abs() < 1e-15);
/// // The label is the nearest, so that a larger scale makes the loss smaller.
/// assert!(loss.scale_sum() < 0.0);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang et al. 2017, "NormFace", eq. 4 and 6; Wang et al. 2018, "CosFace", eq. 4; Deng et al. 2019, "ArcFace", eq. 3.
pub fn normalised_linear_softmax<T: Element>(
    features: Rows<'_, T>,
    weights: Rows<'_, T>,
    labels: Labels<'_>,
    margin: Margin,
    tau: Temperature,
    reduction: Reduction,
) -> Result<NormalisedLoss<T>, Error> {
    above_zero::<T::Real>(tau)?;
    same_width("a class weight", features, weights)?;
    labels_of(labels, features.rows(), weights.rows())?;
    let margin = margin.checked()?;
    let whole = whole(reduction, labels.iter().flatten().count())?;
    let features = Prepared::new(features, Vectors::Normalise)?;
    let weights = Prepared::new(weights, Vectors::Normalise)?;
    let factor = Factor::<T::Real>::new(tau);
    // A row, the slope of its margin, and its gradient in the scale.
    let rows = vec![Cell::new((Row::NOTHING, 0.0, 0.0)); features.rows];
    let of_row = |row: usize, sum: &LogSum| {
        let Some(label) = labels.of_row(row) else { return 0.0 };
        let (target, slope) = margin.of(features.dot(row, &weights, label));
        let found = Row::new(sum, target, &factor, Denominator::WithPositive, whole);
        rows[row].set((found, slope, found.push * sum.mean_from(target)));
        factor.scale * found.pull
    };
    // −dL/dcos_iy of a row.
    let push = |row: usize| {
        let (row, slope, _) = rows[row].get();
        factor.scale * row.push * slope
    };
    let members = Members::new(labels);
    let mut of_features = vec![T::of_f64(0.0); features.data.len()];
    let mut of_weights = vec![T::of_f64(0.0); weights.data.len()];
    let without = |row| [labels.of_row(row), None];
    let sweep = Sweep { rows: &features, columns: &weights, factor: &factor, without: &without };
    sweep.sums_and_pull(
        &of_row,
        Side {
            out: &mut of_features,
            finish: |row, sum: &mut [f64], out: &mut [T]| {
                if let Some(label) = labels.of_row(row) {
                    less(sum, push(row), weights.row(label));
                }
                features.write_gradient(row, sum, out);
            },
        },
        Side {
            out: &mut of_weights,
            finish: |class, sum: &mut [f64], out: &mut [T]| {
                for &row in members.of(class) {
                    less(sum, push(row), features.row(row));
                }
                weights.write_gradient(class, sum, out);
            },
        },
    );
    let of = |part: fn((Row, f64, f64)) -> f64| rows.iter().map(|row| part(row.get())).collect();
    Ok(NormalisedLoss {
        values: reduced(of(|(row, _, _)| row.loss), reduction),
        tau: of(|(row, _, _)| row.tau),
        scale: of(|(_, _, scale)| scale),
        features: of_features,
        weights: of_weights,
    })
}

/// Whether there is one label for each of `rows`, and `classes` there are.
pub(super) fn labels_of(labels: Labels<'_>, rows: usize, classes: usize) -> Result<(), Error> {
    if labels.rows() != rows {
        return Err(Error::Shape { what: "labels", expected: rows, got: labels.rows() });
    }
    if labels.classes() != classes {
        let got = labels.classes();
        return Err(Error::Shape { what: "classes of the labels", expected: classes, got });
    }
    Ok(())
}

fn less<R: Real>(sum: &mut [f64], push: f64, vector: &[R]) {
    sum.iter_mut().zip(vector).for_each(|(sum, v)| *sum -= push * v.to_f64());
}

/// The rows of each class, in order.
struct Members {
    rows: Vec<usize>,
    /// Where those of a class begin, and after the last one the end.
    starts: Vec<usize>,
}

impl Members {
    fn new(labels: Labels<'_>) -> Self {
        let mut starts = vec![0; labels.classes() + 1];
        labels.iter().flatten().for_each(|label| starts[label + 1] += 1);
        for class in 0..labels.classes() {
            starts[class + 1] += starts[class];
        }
        let (mut next, mut rows) = (starts.clone(), vec![0; starts[labels.classes()]]);
        for (row, label) in labels.iter().enumerate() {
            if let Some(label) = label {
                rows[next[label]] = row;
                next[label] += 1;
            }
        }
        Members { rows, starts }
    }

    fn of(&self, class: usize) -> &[usize] {
        &self.rows[self.starts[class]..self.starts[class + 1]]
    }
}
