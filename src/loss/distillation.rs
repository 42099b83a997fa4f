//! Distillation: what a student's logits lose against a teacher's, at a temperature.
//!
//! ```text
//! p, q = softmax(teacher/T), softmax(student/T)
//! soft = T²·D(p, q)                             divergence.rs; T² so that the gradient T(q − p) does not fade with T
//! loss = soft_weight · soft + hard_weight · cross-entropy of the student at τ = 1 with the label
//! d soft/dT = T(2D + T dD/dT)
//! ```
//!
//! Where T is so large that no logit is told from another any more, soft is its limit, worked out from the logits. Most rows
//! of KL(p ‖ q) go through `forward.rs`, in one sweep; what follows here is for all others.

use super::cross_entropy::Out;
use super::distribution::{Distribution, Inverse, widen};
use super::divergence::{Divergence, Ratios, is_at_the_limit, of_distributions, of_limit};
use super::forward::Forward;
use super::hard::Hard;
use super::standardised::{Deviation, Standardised};
use super::{Loss, LossMut, Reduction, Shares, checked_weights, refuse_zero, refused};
use crate::element::Element;
use crate::error::Error;
use crate::parallel::Job;
use crate::rows::{Labels, Rows};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::fetch_ahead;
use crate::softmax::plan::{Tempering, Temperings};
use crate::temperature::Temperatures;

/// What the divergence is multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Factor {
    /// T², as in Hinton et al.: gradients of one size at every T, and a limit for T → ∞.
    #[default]
    TauSquared,
    /// 1: the divergence itself, whose gradients fall with 1/T².
    One,
}

/// Labels beside a teacher. A row whose label is ignored is left out of the whole loss, not of this part alone.
#[derive(Clone, Copy, Debug)]
pub struct HardLabels<'a> {
    /// One for each row.
    pub labels: Labels<'a>,
    /// What their cross-entropy, at τ = 1, is multiplied by.
    pub weight: f64,
}

/// What a [`distillation`] loss is made of; by default T²·KL(teacher ‖ student), its mean over the rows.
#[derive(Clone, Copy, Debug)]
pub struct DistillationOptions<'a> {
    /// Which way teacher and student are compared.
    pub divergence: Divergence,
    /// What the divergence is multiplied by, for its temperature.
    pub factor: Factor,
    /// Whether the logits of both are made z-scores before they are divided by T, and with which deviation.
    pub standardise: Option<Deviation>,
    /// What the soft part is multiplied by, 1 by default. A mixture α, 1 − α has it here and in `hard`.
    pub soft_weight: f64,
    /// The hard part.
    pub hard: Option<HardLabels<'a>>,
    /// How much each row counts; a row of weight 0 is not looked at.
    pub row_weights: Option<&'a [f64]>,
    /// What becomes of the losses of the rows.
    pub reduction: Reduction,
}

impl Default for DistillationOptions<'_> {
    fn default() -> Self {
        DistillationOptions {
            divergence: Divergence::default(),
            factor: Factor::default(),
            standardise: None,
            soft_weight: 1.0,
            hard: None,
            row_weights: None,
            reduction: Reduction::default(),
        }
    }
}

/// Distillation `T²·KL(p ‖ q)` with p = softmax(teacher/T) and q = softmax(student/T), and its gradients in the student's
/// logits, `T(q − p)`, and in T; on request another [`Divergence`], z-scores, and a part with hard labels.
///
/// # Shapes
/// `student` and `teacher` are `[rows, classes]`; `tau` is one [`Temperature`](crate::Temperature), or a slice of one per row.
///
/// # Accuracy
/// Computed in f64, whatever the type of the logits; sums of terms of one sign, so that a small divergence keeps its
/// digits, also at a large T. The loss is within 1e-14 of itself where the logits' differences in units of T are exact;
/// an error δ of ln(p/q), from the rounding of those, moves it by as much as Σ p|ln(p/q)|·δ. Gradients are within 1e-14
/// of the sum of the sizes of their terms. The same bits on every machine, for any number of threads.
///
/// # Special values
/// At T = ∞ the loss with T² is its limit `Σ (z_i − v_i)²/2n` of centred logits (a quarter of it for Jensen–Shannon), with
/// gradient `(z_i − v_i)/n`, and 0 in T; that without is 0. A class that is masked (−∞) in both is not there. One that only the
/// teacher masks has p = 0, one that only the student masks has q = 0, which a KL divergence allows one way each.
/// Rows with an ignored label or of weight 0 are not looked at: padding teaches nothing.
///
/// # Errors
/// [`Error::Row`] for a row in which either holds a NaN, an entry of +∞ or nothing but −∞, at T = 0, where a mask makes
/// the divergence infinite (at T = ∞: where the masks differ), where logits are more than 1e307·T apart, or with logits
/// that are all the same and to be standardised; [`Error::Weight`] and [`Error::Parameter`] for weights that are negative
/// or not finite; [`Error::NoRows`] for the mean of no rows; [`Error::Shape`] for sizes that do not belong together.
///
/// # Example
/// ```
/// use softargmax::{DistillationOptions, HardLabels, Labels, Rows, Temperature, distillation};
///
/// let (student, teacher) = ([1.0, 5.0, 7.0, 10.0], [2.0, 8.0, 6.0, 3.0]);
/// let (student, teacher) = (Rows::one(&student)?, Rows::one(&teacher)?);
/// let tau = Temperature::new(4.0)?;
/// let soft = distillation(student, teacher, tau, &DistillationOptions::default())?;
/// assert!((soft.value() - 7.127269006375439).abs() < 1e-13);
///
/// // 0.9 · T²·KL + 0.1 · cross-entropy with the label 3
/// let hard = HardLabels { labels: Labels::new(&[3], 4)?, weight: 0.1 };
/// let options = DistillationOptions { soft_weight: 0.9, hard: Some(hard), ..Default::default() };
/// let mixed = distillation(student, teacher, tau, &options)?;
/// assert!((mixed.value() - (0.9 * 7.127269006375439 + 0.1 * 0.05510203582699177)).abs() < 1e-13);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Hinton, Vinyals & Dean 2015, sections 2 and 2.1; Sun et al. 2024 (arXiv:2403.01427) for z-scores.
pub fn distillation<'a, T: Element>(
    student: Rows<'_, T>,
    teacher: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
    options: &DistillationOptions<'_>,
) -> Result<Loss<T>, Error> {
    let mut loss = Loss::zeros(student.rows(), student.classes());
    loss.values = distillation_into(student, teacher, tau, options, loss.as_mut())?;
    Ok(loss)
}

/// [`distillation`], its gradients into given buffers: [`Loss::values`] are what it returns.
///
/// # Shapes, accuracy, special values
/// As [`distillation`].
///
/// # Errors
/// As [`distillation`], and [`Error::Shape`] when a buffer has the wrong length. After an error the buffers hold
/// nothing of use.
///
/// # Example
/// ```
/// use softargmax::{DistillationOptions, LossMut, Rows, Temperature, distillation_into};
///
/// let (mut d_logits, mut d_tau) = ([9.0f32; 2], [9.0; 1]);
/// let values = distillation_into(
///     Rows::one(&[1.0, 2.0])?,
///     Rows::one(&[3.0, 4.0])?,
///     Temperature::new(4.0)?,
///     &DistillationOptions::default(),
///     LossMut { logits: &mut d_logits, tau: &mut d_tau },
/// )?;
/// assert_eq!((values[0], d_logits, d_tau), (0.0, [0.0; 2], [0.0])); // of one distribution
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn distillation_into<'a, T: Element>(
    student: Rows<'_, T>,
    teacher: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
    options: &DistillationOptions<'_>,
    gradient: LossMut<'_, T>,
) -> Result<Vec<f64>, Error> {
    let (rows, classes) = (student.rows(), student.classes());
    gradient.check(student)?;
    let taus = tau.into().checked(rows)?;
    same_shape(student, teacher)?;
    weight("soft weight", options.soft_weight)?;
    let mut weights = checked_weights(options.row_weights, rows)?;
    if let Some(hard) = options.hard {
        weight("hard weight", hard.weight)?;
        leave_out_ignored(&mut weights, hard.labels, classes)?;
    }
    refuse_zero(taus, &weights)?;
    let masses = weights.clone();
    let shares = Shares::new(weights, options.reduction, &masses)?;
    let mut losses = vec![0.0; rows];
    let out = Out { losses: &mut losses, logits: gradient.logits, tau: gradient.tau };
    let (weights, divisor) = (&shares.weights[..], shares.divisor);
    T::run(EachRow { student, teacher, taus, weights, first: 0, options, out, divisor });
    if let Some(row) = losses.iter().position(|loss| loss.is_nan()) {
        return Err(Error::Row { row, reason: why(student, teacher, row, options) });
    }
    Ok(shares.reduce(losses, options.reduction))
}

pub(super) fn same_shape<T>(student: Rows<'_, T>, teacher: Rows<'_, T>) -> Result<(), Error> {
    let same = |what, expected, got| {
        if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
    };
    same("teacher", student.rows(), teacher.rows())?;
    same("classes of the teacher", student.classes(), teacher.classes())
}

pub(super) fn weight(what: &'static str, got: f64) -> Result<(), Error> {
    let allowed = "0 or positive, and finite";
    let right = (0.0..f64::INFINITY).contains(&got);
    if right { Ok(()) } else { Err(Error::Parameter { what, got, allowed }) }
}

pub(super) fn leave_out_ignored(
    weights: &mut [f64],
    labels: Labels<'_>,
    classes: usize,
) -> Result<(), Error> {
    let same = |what, expected, got| {
        if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
    };
    same("labels", weights.len(), labels.rows())?;
    same("classes of the labels", classes, labels.classes())?;
    for (weight, label) in weights.iter_mut().zip(labels.iter()) {
        *weight = if label.is_some() { *weight } else { 0.0 };
    }
    Ok(())
}

/// Why a row has no loss.
fn why<T: Element>(
    student: Rows<'_, T>,
    teacher: Rows<'_, T>,
    row: usize,
    options: &DistillationOptions<'_>,
) -> &'static str {
    if let Some(reason) = refused(student, row) {
        return reason;
    }
    if refused(teacher, row).is_some() {
        return OF_TEACHER;
    }
    let constant = |rows: Rows<'_, T>, deviation| {
        let row = rows.iter().nth(row).into_iter().flatten().map(|x| x.to_f64());
        !Standardised::default().fill(&row.collect::<Vec<f64>>(), deviation)
    };
    let standardise = options.standardise;
    if standardise.is_some_and(|of| constant(student, of) || constant(teacher, of)) {
        return "logits that are all the same have no z-scores";
    }
    masks(student, teacher, row)
}

/// What is left to be wrong with two rows of logits.
pub(super) fn masks<T: Element>(
    student: Rows<'_, T>,
    teacher: Rows<'_, T>,
    row: usize,
) -> &'static str {
    let masked = |rows: Rows<'_, T>| {
        let row = rows.iter().nth(row).into_iter().flatten();
        row.map(|x| x.to_f64() == f64::NEG_INFINITY).collect::<Vec<bool>>()
    };
    if masked(student) == masked(teacher) {
        "the temperature is too small for its logits"
    } else {
        MASKS_DIFFER
    }
}

pub(super) const MASKS_DIFFER: &str =
    "one of teacher and student masks a class that the other does not: the divergence is infinite";

pub(super) const OF_TEACHER: &str =
    "the teacher's logits hold a NaN, an entry of +inf, or nothing but -inf";

pub(crate) struct EachRow<'a, T> {
    student: Rows<'a, T>,
    teacher: Rows<'a, T>,
    taus: Temperatures<'a>,
    weights: &'a [f64],
    /// How many rows come before, in the labels.
    first: usize,
    options: &'a DistillationOptions<'a>,
    out: Out<'a, T>,
    divisor: f64,
}

/// Buffers that serve row after row.
#[derive(Default)]
struct Space {
    scores: [Standardised; 2],
    teacher: Distribution,
    student: Distribution,
    ratios: Ratios,
    errors: Scratch<f64>,
}

impl<T: Element> Kernel for EachRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let EachRow { student, teacher, taus, weights, first, options, out, divisor } = self;
        let (rows, classes, temperings) =
            (student.rows(), student.classes(), Temperings::<f64>::new(taus));
        let mut space = Space::default();
        let (mut forward, mut hard) = (Forward::new(), Hard::default());
        let (mut z, mut v) = (Scratch::new(), Scratch::new());
        let is_forward =
            options.divergence == Divergence::TeacherToStudent && options.standardise.is_none();
        for (i, (of_student, of_teacher)) in student.iter().zip(teacher.iter()).enumerate() {
            let to = &mut out.logits[i * classes..(i + 1) * classes];
            if weights[i] == 0.0 {
                to.fill(T::of_f64(0.0));
                out.tau[i] = 0.0;
                continue;
            }
            let (tau, tempering) = (taus.of_row(i).tau(), temperings.of_row(i));
            let factor = weights[i] / divisor;
            let ahead = if i + 1 < rows { fetch_ahead::<T>(classes) } else { 0 };
            let mut swept = None;
            if is_forward {
                swept = forward.fill(simd, [of_teacher, of_student], &tempering, ahead);
            }
            let is_done = swept.is_some() && options.hard.is_none();
            if !is_done {
                widen(of_student, &mut z);
            }
            let (mut loss, slope) = match swept {
                Some(soft) => {
                    let inverse = Inverse::new(&tempering);
                    let scale = match options.factor {
                        Factor::TauSquared => tau * options.soft_weight,
                        Factor::One => inverse.times(options.soft_weight),
                    };
                    if is_done {
                        forward.write(simd, to, scale * factor, ahead);
                    } else {
                        space.errors.resize(classes, 0.0);
                        forward.write(simd, &mut space.errors, scale, 0);
                    }
                    with_factor(options.factor, soft, tau, inverse)
                }
                None => {
                    widen(of_teacher, &mut v);
                    let (teacher, student, tempering, space) = (&v, &z, &tempering, &mut space);
                    let of_row = Soft { teacher, student, tau, tempering, options, space };
                    let soft = simd.call(of_row);
                    for error in &mut space.errors {
                        *error *= options.soft_weight;
                    }
                    soft
                }
            };
            loss *= options.soft_weight;
            if let Some(part) = options.hard
                && let Some(label) = part.labels.of_row(first + i)
            {
                loss += hard.add(simd, &z, (label, part.weight), loss, &mut space.errors);
            }
            if !is_done && !loss.is_nan() {
                for (out, error) in to.iter_mut().zip(&space.errors) {
                    *out = T::of_f64(error * factor + 0.0);
                }
            }
            out.losses[i] = weights[i] * loss;
            out.tau[i] = options.soft_weight * slope * factor;
        }
    }
}

/// The loss and its derivative in τ of a divergence D and τ dD/dτ.
#[inline(always)]
fn with_factor(
    factor: Factor,
    (divergence, slope): (f64, f64),
    tau: f64,
    inverse: Inverse,
) -> (f64, f64) {
    match factor {
        Factor::TauSquared => (tau * (tau * divergence), tau * (2.0 * divergence + slope)),
        Factor::One => (divergence, inverse.times(slope)),
    }
}

/// A kernel of f64, so that it is one for all types of logits.
struct Soft<'a> {
    teacher: &'a [f64],
    student: &'a [f64],
    tau: f64,
    tempering: &'a Tempering<f64>,
    options: &'a DistillationOptions<'a>,
    space: &'a mut Space,
}

impl Kernel for Soft<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f64, f64) {
        let Soft { teacher, student, tau, tempering, options, space } = self;
        soft(simd, teacher, student, (tau, tempering), options, space)
    }
}

/// The soft part of a row and its derivative in T; its gradient in the student's logits is left in the errors. NaN
/// where there is none.
#[inline(always)]
fn soft<S: Simd>(
    simd: S,
    teacher: &[f64],
    student: &[f64],
    (tau, tempering): (f64, &Tempering<f64>),
    options: &DistillationOptions<'_>,
    space: &mut Space,
) -> (f64, f64) {
    let Space { scores: [of_teacher, of_student], teacher: p, student: q, ratios, errors } = space;
    let (mut v, mut z) = (teacher, student);
    if let Some(deviation) = options.standardise {
        if !(of_teacher.fill(teacher, deviation) && of_student.fill(student, deviation)) {
            return (f64::NAN, f64::NAN);
        }
        (v, z) = (&of_teacher.logits, &of_student.logits);
    }
    let filled = p.fill(simd, v, tempering) && q.fill(simd, z, tempering);
    if !filled || p.is_beyond || q.is_beyond {
        return (f64::NAN, f64::NAN);
    }
    let (loss, slope) = match options.factor {
        Factor::TauSquared if is_at_the_limit(p, q) => {
            (of_limit(options.divergence, v, z, errors), 0.0)
        }
        factor => {
            ratios.fill(p, q);
            let of_both = of_distributions(options.divergence, p, q, ratios, errors);
            let inverse = Inverse::new(tempering);
            for error in errors.iter_mut() {
                *error = match factor {
                    Factor::TauSquared => *error * tau,
                    Factor::One => inverse.times(*error),
                };
            }
            with_factor(factor, of_both, tau, inverse)
        }
    };
    if options.standardise.is_some() {
        of_student.back(errors);
    }
    (loss, slope)
}

impl<T: Element> Job for EachRow<'_, T> {
    fn rows(&self) -> usize {
        self.student.rows()
    }

    fn row_len(&self) -> usize {
        self.student.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let EachRow { student, teacher, taus, weights, first, options, out, divisor } = self;
        let (out, out_right) = out.split_at(row, student.classes());
        let (student, student_right) = student.split_at(row);
        let (teacher, teacher_right) = teacher.split_at(row);
        let (taus, taus_right) = taus.split_at(row);
        let (weights, weights_right) = weights.split_at(row);
        (
            EachRow { student, teacher, taus, weights, first, options, out, divisor },
            EachRow {
                student: student_right,
                teacher: teacher_right,
                taus: taus_right,
                weights: weights_right,
                first: first + row,
                options,
                out: out_right,
                divisor,
            },
        )
    }
}
