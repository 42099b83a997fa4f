//! Losses of one set of vectors among themselves: NT-Xent and SupCon.
//!
//! ```text
//! z·z' is symmetric, so  dz_i = Σ_j (G_ij + G_ji) z_j  is one pull with the terms of rows and of columns
//! one positive:          out of the sum                                 loss = softplus(ln Σ − s₊/τ)
//! several:               in the sum; P = all of the class but i         loss = ln Σ − mean_P s/τ
//!                        Σ_{p in P} z_p = (sum of the class) − z_i      never a pair at a time
//! ```

use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::loss::contrastive::sweep::{Sweep, Terms};
use crate::loss::contrastive::vectors::{Prepared, same_rows, same_width};
use crate::loss::contrastive::{
    ContrastiveLoss, ContrastiveOptions, Denominator, Row, denominator_of, reduced, whole,
};
use crate::loss::exact_sum;
use crate::loss::weigh::{Factor, LogSum, above_zero};
use crate::rows::{Labels, Rows};
use crate::temperature::Temperature;

/// A loss of vectors among themselves, and its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorsLoss<T> {
    /// One number; with [`Reduction::PerRow`](crate::Reduction::PerRow) one for each vector, 0 where it does not count.
    pub values: Vec<f64>,
    /// `[rows]`: what each row gives to the gradient with respect to τ.
    pub tau: Vec<f64>,
    /// `[rows, width]`: the gradient with respect to the vectors.
    pub vectors: Vec<T>,
    /// How many vectors count: those with a positive.
    pub anchors: usize,
}

impl<T> VectorsLoss<T> {
    /// The loss as one number; with [`Reduction::PerRow`](crate::Reduction::PerRow) the sum.
    pub fn value(&self) -> f64 {
        exact_sum(&self.values)
    }

    /// The gradient with respect to τ, in that number: the sum over the rows, rounded once.
    pub fn tau_sum(&self) -> f64 {
        exact_sum(&self.tau)
    }
}

/// The normalised temperature-scaled cross-entropy of SimCLR: each of 2N views is to find the other view of its image
/// among the 2N − 1 views that are not itself. The mean is over the 2N views, as in the paper; the authors'
/// TensorFlow code has twice that.
///
/// # Shapes
/// `first` and `second` are `[N, width]`: two views of N images. `values` and `tau` are of the 2N views, all first
/// ones before all second ones.
///
/// # Accuracy, special values
/// As [`info_nce`](crate::info_nce), with K = 2N − 2; one image has no negatives, and a loss of 0. Memory grows with
/// N·width only, for a copy of the views.
///
/// # Errors
/// As [`info_nce`](crate::info_nce).
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Rows, nt_xent};
///
/// let views = Rows::new(&[1.0, 0.0, 0.0, 1.0], 2)?;
/// let loss = nt_xent(views, views, "0.5".parse()?, &ContrastiveOptions::default())?;
/// // Two views at 90°: ln(1 + 2·exp(−1/0.5))
/// assert!((loss.value() - (2.0 * (-2f64).exp()).ln_1p()).abs() < 1e-15);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Chen et al. 2020, "A simple framework for contrastive learning of visual representations", eq. 1 and algorithm 1.
pub fn nt_xent<T: Element>(
    first: Rows<'_, T>,
    second: Rows<'_, T>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> Result<ContrastiveLoss<T>, Error> {
    above_zero::<T::Real>(tau)?;
    same_width("a second view", first, second)?;
    same_rows("second views", first, second)?;
    let n = first.rows();
    denominator_of((2 * n).saturating_sub(2), options.denominator)?;
    // An error's row is counted in its own argument.
    Prepared::new(second, options.vectors)?;
    let both = [first.as_slice(), second.as_slice()].concat();
    let views = Rows::new(&both, first.classes())?;
    let classes: Vec<Class> = (0..2 * n).map(|row| Class::Pair((row + n) % (2 * n))).collect();
    let among = Among::new(views, &classes, tau, options)?;
    let mut loss = among.loss(&[], options);
    let keys = loss.vectors.split_off(n * first.classes());
    Ok(ContrastiveLoss {
        values: loss.values,
        tau: loss.tau,
        queries: loss.vectors,
        keys,
        negatives: Vec::new(),
    })
}

/// Supervised contrastive loss, with the mean over positives outside of the logarithm (`L_out`): for a vector i with
/// positives P, all others of its class, `−1/|P| Σ_{p in P} ln( exp(z_i·z_p/τ) / Σ_{j≠i} exp(z_i·z_j/τ) )`. All
/// positives are in the denominator. There is no factor τ/τ_base as in the authors' code.
///
/// A vector without a positive (alone in its class, or its label ignored) has no loss and does not count in the mean,
/// but is a negative of the others; `anchors` says how many count.
///
/// # Shapes
/// `vectors` is `[rows, width]`, one label each.
///
/// # Accuracy, special values
/// As [`info_nce`](crate::info_nce), where a class has two vectors, in which case it is NT-Xent. With more the loss
/// cannot fall below ln |P|, and its error is 1e-15/τ.
///
/// # Errors
/// As [`info_nce`](crate::info_nce); [`Error::Shape`] when there is not one label per vector; [`Error::NoRows`] for
/// the mean where no vector has a positive; [`Error::Parameter`] for [`Denominator::NegativesOnly`], which this loss
/// does not have.
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Labels, Rows, Temperature, sup_con};
///
/// let vectors = Rows::new(&[1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 2)?;
/// let labels = Labels::new(&[0, 0, 1], 2)?;
/// let loss = sup_con(vectors, labels, Temperature::ONE, &ContrastiveOptions::default())?;
/// assert_eq!(loss.anchors, 2); // the last has no positive
/// assert!((loss.value() - (-1f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Khosla et al. 2020, "Supervised contrastive learning", eq. 2.
pub fn sup_con<T: Element>(
    vectors: Rows<'_, T>,
    labels: Labels<'_>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> Result<VectorsLoss<T>, Error> {
    above_zero::<T::Real>(tau)?;
    if labels.rows() != vectors.rows() {
        let (expected, got) = (vectors.rows(), labels.rows());
        return Err(Error::Shape { what: "labels", expected, got });
    }
    if options.denominator == Denominator::NegativesOnly {
        let what = "positives left out of the denominator:";
        return Err(Error::Parameter { what, got: 1.0, allowed: "0 in the supervised loss" });
    }
    let mut members = vec![(0usize, 0usize); labels.classes()];
    for (row, label) in labels.iter().enumerate() {
        if let Some(class) = label {
            // How many, and the sum of their places, from which one of two tells the other.
            members[class] = (members[class].0 + 1, members[class].1 + row);
        }
    }
    let class_of = |(row, label): (usize, Option<usize>)| match label {
        Some(class) => match members[class] {
            (1, _) => Class::Alone,
            (2, places) => Class::Pair(places - row),
            (count, _) => Class::Many { class, count },
        },
        None => Class::Alone,
    };
    let classes: Vec<Class> = labels.iter().enumerate().map(class_of).collect();
    let among = Among::new(vectors, &classes, tau, options)?;
    let width = vectors.classes();
    // Sums only of the classes that need one; where there are many classes, most are small.
    let many = members.iter().any(|&(count, _)| count > 2);
    let mut sums = vec![0.0; if many { labels.classes() * width } else { 0 }];
    for (row, class) in classes.iter().enumerate() {
        if let &Class::Many { class, .. } = class {
            let sum = &mut sums[class * width..(class + 1) * width];
            sum.iter_mut().zip(among.vectors.row(row)).for_each(|(sum, z)| *sum += z.to_f64());
        }
    }
    Ok(among.loss(&sums, options))
}

/// The positives of a vector.
#[derive(Clone, Copy)]
enum Class {
    /// It has none.
    Alone,
    /// One.
    Pair(usize),
    /// All others of the class, of which there are `count` with itself.
    Many { class: usize, count: usize },
}

/// Vectors among themselves, ready.
struct Among<'a, R: Real> {
    vectors: Prepared<'a, R>,
    classes: &'a [Class],
    factor: Factor<R>,
    whole: f64,
    anchors: usize,
}

impl<'a, R: Real> Among<'a, R> {
    fn new<T: Element<Real = R>>(
        vectors: Rows<'a, T>,
        classes: &'a [Class],
        tau: Temperature,
        options: &ContrastiveOptions,
    ) -> Result<Self, Error> {
        let vectors = Prepared::new(vectors, options.vectors)?;
        let anchors = classes.iter().filter(|class| !matches!(class, Class::Alone)).count();
        let whole = whole(options.reduction, anchors)?;
        Ok(Among { vectors, classes, factor: Factor::new(tau), whole, anchors })
    }

    /// The loss, given the sum of the vectors of each class of more than two.
    fn loss<T: Element<Real = R>>(
        &self,
        class_sums: &[f64],
        options: &ContrastiveOptions,
    ) -> VectorsLoss<T> {
        let Among { vectors, classes, factor, whole, anchors } = self;
        let (scale, width) = (factor.scale, vectors.width);
        let without = |row: usize| match classes[row] {
            Class::Pair(positive) => [Some(row), Some(positive)],
            _ => [Some(row), None],
        };
        let sweep = Sweep { rows: vectors, columns: vectors, factor, without: &without };
        let sums = sweep.sums();
        // Σ_{p in P} z_p, of a class of more than two.
        let others = |row: usize, class: usize| {
            let sum = &class_sums[class * width..(class + 1) * width];
            sum.iter().zip(vectors.row(row)).map(|(sum, z)| sum - z.to_f64())
        };
        let of_row = |(row, sum): (usize, &LogSum)| match classes[row] {
            Class::Alone => Row::NOTHING,
            Class::Pair(positive) => {
                let positive = vectors.dot(row, vectors, positive);
                Row::new(sum, positive, factor, options.denominator, *whole)
            }
            Class::Many { class, count } => {
                let dot = others(row, class).zip(vectors.row(row)).map(|(p, z)| p * z.to_f64());
                let mean = dot.sum::<f64>() / (count - 1) as f64;
                // All positives are in the sum already, and none is added.
                Row::new(sum, mean, factor, Denominator::NegativesOnly, *whole)
            }
        };
        let rows: Vec<Row> = sums.iter().enumerate().map(of_row).collect();
        let terms = Terms::new(&sums, rows.iter().map(|row| scale * row.pull));
        let mut gradient = vec![T::of_f64(0.0); vectors.data.len()];
        sweep.pull(&terms, &terms, &mut gradient, &|row, sum, out| {
            match classes[row] {
                Class::Alone => {}
                Class::Pair(positive) => {
                    let push = scale * (rows[row].push + rows[positive].push);
                    let positive = vectors.row(positive);
                    sum.iter_mut().zip(positive).for_each(|(sum, z)| *sum -= push * z.to_f64());
                }
                Class::Many { class, count } => {
                    let push = 2.0 * scale * rows[row].push / (count - 1) as f64;
                    sum.iter_mut().zip(others(row, class)).for_each(|(sum, z)| *sum -= push * z);
                }
            }
            vectors.write_gradient(row, sum, out);
        });
        VectorsLoss {
            values: reduced(rows.iter().map(|row| row.loss).collect(), options.reduction),
            tau: rows.iter().map(|row| row.tau).collect(),
            vectors: gradient,
            anchors: *anchors,
        }
    }
}
