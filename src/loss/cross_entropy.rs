//! Cross-entropy at a temperature: labels or distributions, smoothed, with weights of classes and rows.
//!
//! ```text
//! q   = (1 − ε) · target + ε · Σ target / n       over the n classes that are not masked
//! a_i = class weight · q_i,  A = Σ a
//! L   = Σ a_i (gap_i + ln Z) = A ln Z + Σ a_i gap_i              gap_i = (m − x_i)/τ, as in distribution.rs
//! e_i = A p_i − a_i = p_i (A − a_i) − a_i (1 − p_i)              no difference of numbers near each other
//! dx_i = e_i/τ        dτ = Σ e_i gap_i / τ
//! ```
//!
//! A row is swept for its maximum, for its weights and their sum, and for what a loss makes of them: in f64. Rows with a
//! label and nothing else in their target have a faster way, `labelled/`.

use super::distribution::{Distribution, FARTHEST, Inverse, sums, widen};
use super::labelled::{Labelled, ROWS, Space};
use super::{Loss, LossMut, Reduction, check_weights, refuse_zero_where, refused};
use crate::element::Element;
use crate::error::Error;
use crate::exact_sum::{ExactSum, SumOfMany};
use crate::parallel::{Job, Join};
use crate::rows::{Rows, Truth};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::Temperings;
use crate::temperature::Temperatures;

/// What a [`cross_entropy`] is made of beside logits and labels; by default the plain one, its mean over the rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropyOptions<'a> {
    /// ε in [0, 1]: the part of every target that is spread evenly over the classes that are not masked.
    pub smoothing: f64,
    /// How much −ln p of each class counts (PyTorch's `weight`).
    pub class_weights: Option<&'a [f64]>,
    /// How much each row counts; a row of weight 0 is not looked at.
    pub row_weights: Option<&'a [f64]>,
    /// What becomes of the losses of the rows.
    pub reduction: Reduction,
}

/// Cross-entropy `−Σ_i c_i q_i ln p_i` with p = softmax(x/τ), and its gradients `dx_i = (A p_i − c_i q_i)/τ` and
/// `dτ = Σ_i (A p_i − c_i q_i)(m − x_i)/τ²`, where q is the target, c are class weights, A = Σ c q and m is the largest logit.
///
/// The target of a [label](crate::Labels) y is 1 at y. Smoothed by ε it is `(1 − ε)·target + ε/n` over the n classes
/// that are not masked. [`Reduction::WeightedMean`] divides by Σ over rows of the row's weight times Σ c·target
/// *before* smoothing: with labels and class weights this is PyTorch's mean.
///
/// # Shapes
/// `logits` are `[rows, classes]`; `truth` is [`Labels`](crate::Labels), one for each row, or a distribution for each row in
/// [`Rows`]; `tau` is one [`Temperature`](crate::Temperature), or a slice of one per row. Distributions are taken as they are,
/// whatever their sum.
///
/// # Accuracy
/// With f64 logits the loss of a row, also of a confident one, is within 1e-14 of itself, dx_i within 1e-14 of
/// `c_i q_i (1 − p_i) + p_i Σ_{j≠i} c_j q_j` over τ, dτ within 1e-14 of `Σ |A p_i − c_i q_i| (m − x_i)/τ²`.
///
/// With f32, f16 and bf16 logits, rows with a label and without smoothing are computed in f32, with sums in f64: the loss
/// within 2^-22 of itself, down to the smallest, dx_i within 2.5 units in the last place (f16 and bf16: rounded once
/// more), and 0 for a probability below 2^-187; dτ within 2^-21 of the sum above. Measured: 2^-23.2, 1.35, 2^-23.0. (The
/// logits' own rounding counts for more: an f32 near x moves ln p by up to x/τ · 2^-24.) Smoothed rows and
/// distributions are computed in f64, as above. The same bits on every machine, for any number of threads.
///
/// # Special values
/// A masked entry (−∞) is not there and gets gradient 0. Where the target is on it, the loss is ∞, dτ is −∞, and the other
/// entries get the gradient of the limit. At τ = ∞ the loss is A ln n, and all gradients are 0. A row with an ignored label or
/// of weight 0 is not looked at; its loss and gradients are 0.
///
/// # Errors
/// [`Error::Row`] for a row with a NaN, an entry of +∞ or nothing but −∞, at τ = 0 (where the gradient has no limit),
/// with a target that is negative, infinite or NaN, or one on a class further than 1e307·τ below the largest;
/// [`Error::Weight`] and [`Error::ClassWeight`] for a weight that is negative or not finite; [`Error::Parameter`] for a
/// smoothing outside [0, 1]; [`Error::NoRows`] for the mean of no rows; [`Error::Shape`] for sizes that do not belong
/// together.
///
/// # Example
/// ```
/// use softargmax::{CrossEntropyOptions, Labels, Rows, Temperature, cross_entropy};
///
/// // MoCo's first numbers: the positive at similarity 1, 1023 negatives at −1, τ = 0.07.
/// let mut similarities = vec![-1.0; 1024];
/// similarities[0] = 1.0;
/// let tau: Temperature = "0.07".parse()?;
/// let loss = cross_entropy(
///     Rows::one(&similarities)?,
///     Labels::new(&[0], 1024)?,
///     tau,
///     &CrossEntropyOptions::default(),
/// )?;
/// assert!((loss.value() / 3.9944948443973564e-10 - 1.0).abs() < 1e-14); // not 0
/// assert!(loss.tau_sum() > 0.0); // a warmer τ would raise it
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Hinton, Vinyals & Dean 2015, eq. 1 and 2; Szegedy et al. 2016, section 7, for smoothing.
pub fn cross_entropy<'a, 't, T: Element>(
    logits: Rows<'_, T>,
    truth: impl Into<Truth<'t, T>>,
    tau: impl Into<Temperatures<'a>>,
    options: &CrossEntropyOptions<'_>,
) -> Result<Loss<T>, Error> {
    let mut loss = Loss::zeros(logits.rows(), logits.classes());
    loss.values = cross_entropy_into(logits, truth, tau, options, loss.as_mut())?;
    Ok(loss)
}

/// [`cross_entropy`], its gradients into given buffers: [`Loss::values`] are what it returns.
///
/// # Shapes, accuracy, special values
/// As [`cross_entropy`].
///
/// # Errors
/// As [`cross_entropy`], and [`Error::Shape`] when a buffer has the wrong length. After an error the buffers hold
/// nothing of use.
///
/// # Example
/// ```
/// use softargmax::{CrossEntropyOptions, Labels, LossMut, Rows, Temperature, cross_entropy_into};
///
/// let (mut d_logits, mut d_tau) = ([0.0f32; 2], [0.0; 1]);
/// let values = cross_entropy_into(
///     Rows::one(&[3.0, 3.0])?,
///     Labels::new(&[0], 2)?,
///     Temperature::ONE,
///     &CrossEntropyOptions::default(),
///     LossMut { logits: &mut d_logits, tau: &mut d_tau },
/// )?;
/// assert_eq!((values[0], d_logits, d_tau), (std::f64::consts::LN_2, [-0.5, 0.5], [0.0]));
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn cross_entropy_into<'a, 't, T: Element>(
    logits: Rows<'_, T>,
    truth: impl Into<Truth<'t, T>>,
    tau: impl Into<Temperatures<'a>>,
    options: &CrossEntropyOptions<'_>,
    gradient: LossMut<'_, T>,
) -> Result<Vec<f64>, Error> {
    let (rows, classes) = (logits.rows(), logits.classes());
    gradient.check(logits)?;
    let truth = Target { truth: truth.into(), classes: options.class_weights };
    let taus = tau.into().checked(rows)?;
    truth.check(rows, classes)?;
    let smoothing = options.smoothing;
    if !(0.0..=1.0).contains(&smoothing) {
        let (what, allowed) = ("smoothing", "from 0 to 1");
        return Err(Error::Parameter { what, got: smoothing, allowed });
    }
    check_weights(options.row_weights, rows)?;
    let weights = Weights { of_rows: options.row_weights, truth: truth.truth };
    let divisor = truth.divisor(&weights, options.reduction)?;
    refuse_zero_where(taus, rows, |row| weights.of_row(row) > 0.0)?;
    if !(divisor > 0.0) {
        return Err(Error::NoRows);
    }
    let is_one = options.reduction != Reduction::PerRow;
    let mut values = vec![0.0; if is_one { 0 } else { rows }];
    let losses = T::run(EachRow {
        logits,
        weights,
        taus,
        gradient,
        losses: (!is_one).then_some(&mut values[..]),
        classes: options.class_weights,
        smoothing,
        divisor,
        first: 0,
    });
    if let Some(row) = losses.refused {
        let reason = refused(logits, row).unwrap_or("its loss is beyond the range of f64");
        return Err(Error::Row { row, reason });
    }
    if is_one {
        values.push(losses.sum.value() / divisor);
    }
    Ok(values)
}

/// How much each row counts: 0 where its label is ignored.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, T> {
    pub(super) of_rows: Option<&'a [f64]>,
    truth: Truth<'a, T>,
}

impl<T: Element> Weights<'_, T> {
    #[inline(always)]
    fn of_row(&self, row: usize) -> f64 {
        match self.truth {
            Truth::Labels(labels) if labels.of_row(row).is_none() => 0.0,
            _ => self.of_rows.map_or(1.0, |weights| weights[row]),
        }
    }

    /// How many rows count.
    fn count(&self, rows: usize) -> usize {
        match (self.of_rows, self.truth) {
            (None, Truth::Labels(labels)) if labels.may_ignore() => labels.iter().flatten().count(),
            (None, _) => rows,
            (Some(_), _) => (0..rows).filter(|&row| self.of_row(row) > 0.0).count(),
        }
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (truth, truth_right) = self.truth.split_at(row);
        let (weights, weights_right) = self.of_rows.map(|weights| weights.split_at(row)).unzip();
        (
            Weights { of_rows: weights, truth },
            Weights { of_rows: weights_right, truth: truth_right },
        )
    }
}

/// What is true, with the weights of the classes.
#[derive(Clone, Copy)]
struct Target<'a, 't, T> {
    truth: Truth<'t, T>,
    classes: Option<&'a [f64]>,
}

impl<T: Element> Target<'_, '_, T> {
    fn check(&self, rows: usize, classes: usize) -> Result<(), Error> {
        let same = |what, expected, got| {
            if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
        };
        match self.truth {
            Truth::Labels(labels) => {
                same("labels", rows, labels.rows())?;
                same("classes of the labels", classes, labels.classes())?;
            }
            Truth::Distributions(all) => {
                same("distributions", rows, all.rows())?;
                same("classes of the distributions", classes, all.classes())?;
            }
        }
        let Some(weights) = self.classes else { return Ok(()) };
        same("class weights", classes, weights.len())?;
        let refused = |weight: &f64| !(*weight >= 0.0 && *weight < f64::INFINITY);
        match weights.iter().position(refused) {
            Some(class) => Err(Error::ClassWeight { class, got: weights[class] }),
            None => Ok(()),
        }
    }

    fn of_class(&self, class: usize) -> f64 {
        self.classes.map_or(1.0, |weights| weights[class])
    }

    #[inline(always)]
    fn weigh(&self, target: &mut [f64]) {
        if let Some(weights) = self.classes {
            for (q, weight) in target.iter_mut().zip(weights) {
                *q *= weight;
            }
        }
    }

    /// What the sum over the rows is divided by; checks the distributions of those that count.
    fn divisor(&self, weights: &Weights<'_, T>, reduction: Reduction) -> Result<f64, Error> {
        let rows = self.truth.rows();
        let all_alike = self.classes.is_none() && weights.of_rows.is_none();
        let is_weighted = reduction == Reduction::WeightedMean;
        // Of each row its weight times Σ c·target.
        let mut masses = ExactSum::ZERO;
        match self.truth {
            Truth::Labels(_) if !is_weighted => {}
            Truth::Labels(_) if all_alike => masses.add(weights.count(rows) as f64),
            Truth::Labels(labels) => {
                for (row, label) in labels.iter().enumerate() {
                    let weight = |label| weights.of_row(row) * self.of_class(label);
                    masses.add(label.map_or(0.0, weight));
                }
            }
            Truth::Distributions(all) => {
                let mut target = Scratch::new();
                for (row, shares) in all.iter().enumerate() {
                    let weight = weights.of_row(row);
                    if weight == 0.0 {
                        continue;
                    }
                    widen(shares, &mut target);
                    let mut is_right = true;
                    for q in &target {
                        is_right &= (0.0..f64::INFINITY).contains(q);
                    }
                    if !is_right {
                        let reason = "a target is negative, infinite or NaN";
                        return Err(Error::Row { row, reason });
                    }
                    if is_weighted {
                        self.weigh(&mut target);
                        let [total] = sums!(a in &target => [a]);
                        masses.add(weight * total);
                    }
                }
            }
        }
        Ok(match reduction {
            Reduction::PerRow | Reduction::Sum => 1.0,
            Reduction::Mean => weights.count(rows) as f64,
            Reduction::WeightedMean => masses.value(),
        })
    }
}

/// Where a row's loss and gradients go.
pub(super) struct Out<'a, T> {
    pub(super) losses: &'a mut [f64],
    pub(super) logits: &'a mut [T],
    pub(super) tau: &'a mut [f64],
}

impl<'a, T> Out<'a, T> {
    pub(super) fn split_at(self, row: usize, classes: usize) -> (Self, Self) {
        let (losses, losses_right) = self.losses.split_at_mut(row);
        let (logits, logits_right) = self.logits.split_at_mut(row * classes);
        let (tau, tau_right) = self.tau.split_at_mut(row);
        (
            Out { losses, logits, tau },
            Out { losses: losses_right, logits: logits_right, tau: tau_right },
        )
    }
}

/// The losses of rows, as far as they are one number.
pub(crate) struct Losses {
    sum: ExactSum,
    /// The first row that has none.
    refused: Option<usize>,
}

impl Join for Losses {
    fn join(mut self, right: Self) -> Self {
        self.sum.merge(&right.sum);
        Losses { sum: self.sum, refused: self.refused.or(right.refused) }
    }
}

pub(crate) struct EachRow<'a, T> {
    logits: Rows<'a, T>,
    weights: Weights<'a, T>,
    taus: Temperatures<'a>,
    gradient: LossMut<'a, T>,
    /// Of each row, where that is asked for: of short rows, memory for what nobody asks for is felt.
    losses: Option<&'a mut [f64]>,
    classes: Option<&'a [f64]>,
    smoothing: f64,
    divisor: f64,
    /// The number of the first row.
    first: usize,
}

impl<T: Element> Kernel for EachRow<'_, T> {
    type Output = Losses;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Losses {
        let EachRow { logits, weights, taus, gradient: mut out, losses: mut each, .. } = self;
        let EachRow { classes: class_weights, smoothing, divisor, first, .. } = self;
        let truth = weights.truth;
        let mut labelled = match truth {
            Truth::Labels(labels) if smoothing == 0.0 => {
                let (temperings, space) = (Temperings::new(taus), Space::new());
                let row_weights = weights.of_rows;
                Some(Labelled {
                    logits,
                    labels,
                    temperings,
                    row_weights,
                    class_weights,
                    divisor,
                    space,
                })
            }
            _ => None,
        };
        let (classes, temperings) = (logits.classes(), Temperings::<f64>::new(taus));
        let mut distribution = Distribution::default();
        let (mut row, mut target, mut errors) = (Scratch::new(), Scratch::new(), Scratch::new());
        let (mut sum, mut refused) = (SumOfMany::ZERO, None);
        for start in (0..logits.rows()).step_by(ROWS) {
            let end = (start + ROWS).min(logits.rows());
            let mut losses = [0.0; ROWS];
            let done = match &mut labelled {
                Some(labelled) => labelled.rows(simd, start, end, &mut losses, &mut out),
                None => Some([false; ROWS]),
            };
            let left = if done.is_some() { start..end } else { end..end };
            for i in left.filter(|i| !done.is_some_and(|done| done[i - start])) {
                let logits = &logits.as_slice()[i * classes..(i + 1) * classes];
                let out_logits = &mut out.logits[i * classes..(i + 1) * classes];
                let weight = weights.of_row(i);
                losses[i - start] = 0.0;
                if weight == 0.0 {
                    out_logits.fill(T::of_f64(0.0));
                    out.tau[i] = 0.0;
                    continue;
                }
                let tempering = temperings.of_row(i);
                widen(logits, &mut row);
                if !distribution.fill(simd, &row, &tempering) {
                    refused = refused.or(Some(first + i));
                    continue;
                }
                match truth {
                    Truth::Labels(labels) => {
                        target.clear();
                        target.resize(classes, 0.0);
                        if let Some(label) = labels.of_row(i) {
                            target[label] = 1.0;
                        }
                    }
                    Truth::Distributions(all) => {
                        widen(&all.as_slice()[i * classes..(i + 1) * classes], &mut target);
                    }
                }
                smooth(&mut target, smoothing, &distribution);
                Target { truth, classes: class_weights }.weigh(&mut target);
                let factor = weight / divisor;
                let inverse = Inverse::new(&tempering);
                let (loss, slope) = of_row(&distribution, &target, &mut errors);
                for (out, error) in out_logits.iter_mut().zip(&errors) {
                    *out = T::of_f64(inverse.times(error * factor));
                }
                losses[i - start] = weight * loss;
                out.tau[i] = inverse.times(slope * factor);
                if losses[i - start].is_nan() {
                    refused = refused.or(Some(first + i));
                }
            }
            if let Some(each) = &mut each {
                each[start..end].copy_from_slice(&losses[..end - start]);
            } else {
                let (together, rest) = losses[..end - start].as_chunks();
                together.iter().for_each(|losses| sum.add_all(simd, losses));
                rest.iter().for_each(|&loss| sum.add(loss));
            }
        }
        Losses { sum: sum.sum(), refused }
    }
}

impl<T: Element> Job for EachRow<'_, T> {
    fn rows(&self) -> usize {
        self.logits.rows()
    }

    fn row_len(&self) -> usize {
        self.logits.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (weights, weights_right) = self.weights.split_at(row);
        let LossMut { logits: out, tau } = self.gradient;
        let (losses, losses_right) = self.losses.map(|losses| losses.split_at_mut(row)).unzip();
        let (out, out_right) = out.split_at_mut(row * self.logits.classes());
        let (tau, tau_right) = tau.split_at_mut(row);
        let (logits, logits_right) = self.logits.split_at(row);
        let (taus, taus_right) = self.taus.split_at(row);
        let EachRow { classes, smoothing, divisor, first, .. } = self;
        (
            EachRow {
                logits,
                weights,
                taus,
                gradient: LossMut { logits: out, tau },
                losses,
                classes,
                smoothing,
                divisor,
                first,
            },
            EachRow {
                logits: logits_right,
                weights: weights_right,
                taus: taus_right,
                gradient: LossMut { logits: out_right, tau: tau_right },
                losses: losses_right,
                classes,
                smoothing,
                divisor,
                first: first + row,
            },
        )
    }
}

/// Moves a part of the target onto all classes that are not masked.
#[inline(always)]
fn smooth(target: &mut [f64], smoothing: f64, distribution: &Distribution) {
    if smoothing == 0.0 {
        return;
    }
    let gaps = &distribution.gaps;
    let [total, count] = sums!(q in target, gap in gaps => [q, there(gap)]);
    let even = smoothing * total / count;
    for (q, &gap) in target.iter_mut().zip(gaps) {
        *q = (1.0 - smoothing) * *q + even * there(gap);
    }
}

/// 1 where an entry is not masked, 0 where it is.
#[inline(always)]
fn there(gap: f64) -> f64 {
    if gap == f64::INFINITY { 0.0 } else { 1.0 }
}

/// The cross-entropy of a distribution with weights a, and τ times its derivative in τ; `errors` gets A p_i − a_i.
#[inline(always)]
pub(super) fn of_row(
    distribution: &Distribution,
    target: &[f64],
    errors: &mut Vec<f64>,
) -> (f64, f64) {
    let [total] = sums!(a in target => [a]);
    let Distribution { p, gaps, .. } = distribution;
    errors.resize(target.len(), 0.0);
    for (((e, &p), &a), &gap) in errors.iter_mut().zip(p).zip(target).zip(gaps) {
        *e = p * (total - a) - a * distribution.missed(p, gap);
    }
    let [far, slope] = sums!(a in target, gap in gaps, e in errors => {
        // 0 · ∞ is 0: what is masked and not asked for.
        let gap_known = if gap == FARTHEST { f64::NAN } else { gap };
        let (weighted, moment) = (a * gap_known, e * gap);
        [if a > 0.0 { weighted } else { 0.0 }, if e == 0.0 { 0.0 } else { moment }]
    });
    for (e, &gap) in errors.iter_mut().zip(gaps) {
        *e = if gap == f64::INFINITY { 0.0 } else { *e + 0.0 };
    }
    (total * distribution.log_normaliser + far, slope)
}
