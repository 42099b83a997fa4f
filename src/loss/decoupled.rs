//! Decoupled distillation: the target against the rest, and the rest among itself, weighted apart.
//!
//! ```text
//! b = (p_t, 1 − p_t) of the teacher and of the student        p̂ = softmax over the classes other than the target
//! TCKD = KL(b_teacher ‖ b_student)    NCKD = KL(p̂_teacher ‖ p̂_student)
//! KL(p ‖ q) = TCKD + (1 − p_t)·NCKD                            what plain distillation weights them by
//! loss = T²(α·TCKD + β·NCKD)
//! ```
//!
//! The pair b is softmax of (u, 0), where u = (x_t − m)/T − ln Z of the others. The ratios of two such pairs hang on
//! D = u_teacher − u_student alone: their logarithms are D + c and c with c = ln(1 + p_t (e^−D − 1)), in which nothing
//! cancels at a large T.

use super::cross_entropy::Out;
use super::distillation::{OF_TEACHER, leave_out_ignored, masks, same_shape, weight};
use super::distribution::{Distribution, FARTHEST, Inverse, sums, widen};
use super::divergence::{
    Divergence, Ratios, difference, is_at_the_limit, of_distributions, of_limit, term, times,
};
use super::{Loss, Reduction, Shares, checked_weights, refuse_zero, refused};
use crate::element::Element;
use crate::error::Error;
use crate::parallel::Job;
use crate::rows::{Labels, Rows};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{Tempering, Temperings};
use crate::temperature::{Temperature, Temperatures};

/// What a [`decoupled_distillation`] is made of; by default with the weights of its authors, its mean over the rows.
#[derive(Clone, Copy, Debug)]
pub struct DecoupledOptions<'a> {
    /// α, of the target against the rest; 1 by default.
    pub target_weight: f64,
    /// β, of the rest among itself; 8 by default.
    pub rest_weight: f64,
    /// How much each row counts; a row of weight 0 is not looked at.
    pub row_weights: Option<&'a [f64]>,
    /// What becomes of the losses of the rows.
    pub reduction: Reduction,
}

impl Default for DecoupledOptions<'_> {
    fn default() -> Self {
        DecoupledOptions {
            target_weight: 1.0,
            rest_weight: 8.0,
            row_weights: None,
            reduction: Reduction::default(),
        }
    }
}

/// A decoupled distillation loss, and its two parts.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoupledLoss<T> {
    /// The loss and its gradients.
    pub loss: Loss<T>,
    /// `[rows]`: T²·TCKD of each row, without weights; 0 where it does not count.
    pub target: Vec<f64>,
    /// `[rows]`: T²·NCKD of each row, without weights; 0 where it does not count.
    pub rest: Vec<f64>,
}

/// Decoupled distillation `T²(α·TCKD + β·NCKD)` and its gradients in the student's logits and in T: TCKD is
/// KL of (p_t, 1 − p_t) for the target t, NCKD that of the other classes among themselves, both teacher ‖ student.
///
/// # Shapes
/// `student` and `teacher` are `[rows, classes]`, `labels` (the targets) one per row; `tau` is one
/// [`Temperature`], or a slice of one per row.
///
/// # Accuracy
/// As [`distillation`](crate::distillation). With α = 1 and β = 1 − p_t of the teacher it is that loss.
///
/// # Special values
/// At T = ∞ the limits of the two parts: with n classes and ∆ the target's logit less the mean of the others, teacher
/// less student, `∆²·(n − 1)/2n²`, and `Σ (z_i − v_i)²/2(n − 1)` of the others' centred logits; the gradient in T is 0. A
/// class that is masked (−∞) in both is not there; one that only the teacher masks has p = 0. Rows with an ignored label or
/// of weight 0 are not looked at.
///
/// # Errors
/// [`Error::Row`] for a row in which either holds a NaN, an entry of +∞ or nothing but −∞, at T = 0, where the target is
/// masked or the only class, where a mask makes the divergence infinite (at T = ∞: where the masks differ), or where logits
/// are more than 1e307·T apart; [`Error::Weight`] and [`Error::Parameter`] for weights that are negative or not finite;
/// [`Error::NoRows`] for the mean of no rows; [`Error::Shape`] for sizes that do not belong together.
///
/// # Example
/// ```
/// use softargmax::{DecoupledOptions, Labels, Rows, Temperature, decoupled_distillation};
///
/// let (student, teacher) = ([1.0, 5.0, 7.0, 10.0], [2.0, 8.0, 6.0, 3.0]);
/// let loss = decoupled_distillation(
///     Rows::one(&student)?,
///     Rows::one(&teacher)?,
///     Labels::new(&[3], 4)?,
///     Temperature::new(4.0)?,
///     &DecoupledOptions::default(),
/// )?;
/// assert!((loss.target[0] - 5.639788679965068).abs() < 1e-13);
/// assert!((loss.rest[0] - 1.720403414736705).abs() < 1e-13);
/// assert!((loss.loss.value() - 19.403015997858709).abs() < 1e-12); // 1 of the one and 8 of the other
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Zhao et al. 2022 (arXiv:2203.08679), eq. 6 and 7.
pub fn decoupled_distillation<'a, T: Element>(
    student: Rows<'_, T>,
    teacher: Rows<'_, T>,
    labels: Labels<'_>,
    tau: impl Into<Temperatures<'a>>,
    options: &DecoupledOptions<'_>,
) -> Result<DecoupledLoss<T>, Error> {
    let (rows, classes) = (student.rows(), student.classes());
    let taus = tau.into().checked(rows)?;
    same_shape(student, teacher)?;
    weight("target weight", options.target_weight)?;
    weight("rest weight", options.rest_weight)?;
    let mut weights = checked_weights(options.row_weights, rows)?;
    leave_out_ignored(&mut weights, labels, classes)?;
    refuse_zero(taus, &weights)?;
    let masses = weights.clone();
    let shares = Shares::new(weights, options.reduction, &masses)?;
    let (mut losses, mut target, mut rest) = (vec![0.0; rows], vec![0.0; rows], vec![0.0; rows]);
    let mut loss = Loss {
        values: Vec::new(),
        logits: vec![T::of_f64(0.0); rows * classes],
        tau: vec![0.0; rows],
    };
    T::run(EachRow {
        student,
        teacher,
        labels,
        taus,
        weights: &shares.weights,
        shape: Shape {
            alpha: options.target_weight,
            beta: options.rest_weight,
            divisor: shares.divisor,
        },
        out: Out { losses: &mut losses, logits: &mut loss.logits, tau: &mut loss.tau },
        target: &mut target,
        rest: &mut rest,
    });
    if let Some(row) = losses.iter().position(|loss| loss.is_nan()) {
        let label = labels.of_row(row).unwrap_or(0);
        return Err(Error::Row { row, reason: why(student, teacher, row, label) });
    }
    loss.values = shares.reduce(losses, options.reduction);
    Ok(DecoupledLoss { loss, target, rest })
}

/// Why a row has no loss.
fn why<T: Element>(
    student: Rows<'_, T>,
    teacher: Rows<'_, T>,
    row: usize,
    label: usize,
) -> &'static str {
    if let Some(reason) = refused(student, row) {
        return reason;
    }
    if refused(teacher, row).is_some() {
        return OF_TEACHER;
    }
    let classes = student.classes();
    let masked = |rows: Rows<'_, T>, class: usize| {
        rows.as_slice()[row * classes + class].to_f64() == f64::NEG_INFINITY
    };
    let is_alone = |rows| (0..classes).all(|class| class == label || masked(rows, class));
    if masked(student, label) || masked(teacher, label) {
        "the target is masked"
    } else if is_alone(student) || is_alone(teacher) {
        "there is no class but the target"
    } else {
        masks(student, teacher, row)
    }
}

#[derive(Clone, Copy)]
struct Shape {
    alpha: f64,
    beta: f64,
    divisor: f64,
}

pub(crate) struct EachRow<'a, T> {
    student: Rows<'a, T>,
    teacher: Rows<'a, T>,
    labels: Labels<'a>,
    taus: Temperatures<'a>,
    weights: &'a [f64],
    shape: Shape,
    out: Out<'a, T>,
    target: &'a mut [f64],
    rest: &'a mut [f64],
}

/// One of the two, split at the target.
#[derive(Default)]
struct Side {
    /// The logits, with −∞ for the target.
    others: Scratch<f64>,
    target: f64,
    of_others: Distribution,
    /// (x_t − m)/T.
    lead: f64,
    pair: Distribution,
    /// T du/dT.
    drift: f64,
}

impl Side {
    /// `false` where there is no distribution, no target, nothing beside it, or too far a way between them.
    #[inline(always)]
    fn fill<S: Simd, T: Element>(
        &mut self,
        simd: S,
        row: &[T],
        label: usize,
        tempering: &Tempering<f64>,
        plain: &Tempering<f64>,
    ) -> bool {
        widen(row, &mut self.others);
        self.target = std::mem::replace(&mut self.others[label], f64::NEG_INFINITY);
        if !self.target.is_finite() || !self.of_others.fill(simd, &self.others, tempering) {
            return false;
        }
        let max = self.others.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x));
        // Quarters, whose difference does not overflow.
        let lead = Inverse::new(tempering).times(self.target * 0.25 - max * 0.25) * 4.0;
        self.lead = lead;
        if !(lead.abs() < FARTHEST) || self.of_others.is_beyond {
            return false;
        }
        let Distribution { p, gaps, .. } = &self.of_others;
        let [mean] = sums!(p in p, gap in gaps => [times(p, gap)]);
        self.drift = -self.lead - mean;
        self.pair.fill(simd, &[self.lead - self.of_others.log_normaliser, 0.0], plain)
    }
}

/// Buffers that serve row after row.
#[derive(Default)]
struct Space {
    student: Side,
    teacher: Side,
    ratios: Ratios,
    errors: Scratch<f64>,
}

/// The two parts of a row, and what T times their derivatives in T are.
struct Parts {
    target: f64,
    rest: f64,
    /// T times the derivative in the student's u.
    error: f64,
    slopes: [f64; 2],
}

/// A kernel of f64, so that it is one for all types of logits.
struct Both<'a> {
    tau: f64,
    space: &'a mut Space,
}

impl Kernel for Both<'_> {
    type Output = Option<Parts>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Option<Parts> {
        parts(self.tau, self.space)
    }
}

/// T²·TCKD and T²·NCKD; the gradient of the latter in the student's logits is left in the errors. `None` where
/// a divergence is infinite.
#[inline(always)]
fn parts(tau: f64, space: &mut Space) -> Option<Parts> {
    let Space { student, teacher, ratios, errors } = space;
    let (p, q) = (&teacher.of_others, &student.of_others);
    if is_at_the_limit(p, q) && teacher.lead.abs() < 1e-17 && student.lead.abs() < 1e-17 {
        let rest = of_limit(Divergence::TeacherToStudent, &teacher.others, &student.others, errors);
        let [sum, count] = sums!(v in &teacher.others, z in &student.others, gap in &q.gaps => {
            if gap == f64::INFINITY { [0.0, 0.0] } else { [v - z, 1.0] }
        });
        let difference = (teacher.target - student.target) - sum / count;
        let variance = count / ((count + 1.0) * (count + 1.0));
        let error = -variance * difference;
        let target = -0.5 * error * difference;
        return (!rest.is_nan()).then_some(Parts { target, rest, error, slopes: [0.0; 2] });
    }
    ratios.fill(p, q);
    // ln Z of the two, less the same: as exact as the ratios.
    let apart = (teacher.lead - student.lead) + ratios.normalisers;
    let divergence = Divergence::TeacherToStudent;
    let (rest, of_rest) = of_distributions(divergence, p, q, ratios, errors);
    let (b, of_student) = (&teacher.pair.p, &student.pair.p);
    let [ratio, ratio_rest] = if apart.abs() <= 0.5 {
        let c = libm::log1p(b[0] * libm::expm1(-apart));
        [apart + c, c]
    } else {
        [0, 1].map(|i| student.pair.surprise(i) - teacher.pair.surprise(i))
    };
    let target = term(b[0], ratio, of_student[0]) + term(b[1], ratio_rest, of_student[1]);
    // Of two differences that are each other's negative, the one of the smaller numbers.
    let error = if b[0] < b[1] {
        difference(b[0], ratio, of_student[0])
    } else {
        -difference(b[1], ratio_rest, of_student[1])
    };
    let of_target = error * student.drift + b[0] * b[1] * apart * teacher.drift;
    for error in errors.iter_mut() {
        *error *= tau;
    }
    (!rest.is_nan()).then_some(Parts {
        target: tau * (tau * target),
        rest: tau * (tau * rest),
        error: tau * error,
        slopes: [tau * (2.0 * target + of_target), tau * (2.0 * rest + of_rest)],
    })
}

impl<T: Element> Kernel for EachRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let EachRow { student, teacher, labels, taus, weights, shape, out, target, rest } = self;
        let (classes, temperings) = (student.classes(), Temperings::<f64>::new(taus));
        let Shape { alpha, beta, divisor } = shape;
        let plain = Tempering::new(Temperature::ONE);
        let mut space = Space::default();
        for (i, (z, v)) in student.iter().zip(teacher.iter()).enumerate() {
            let (Some(label), true) = (labels.of_row(i), weights[i] > 0.0) else { continue };
            let tempering = temperings.of_row(i);
            out.losses[i] = f64::NAN;
            if !space.teacher.fill(simd, v, label, &tempering, &plain)
                || !space.student.fill(simd, z, label, &tempering, &plain)
            {
                continue;
            }
            let of_row = Both { tau: taus.of_row(i).tau(), space: &mut space };
            let Some(parts) = simd.call(of_row) else { continue };
            let factor = weights[i] / divisor;
            let shares = &space.student.of_others.p;
            let out_row = &mut out.logits[i * classes..(i + 1) * classes];
            for ((out, error), share) in out_row.iter_mut().zip(&space.errors).zip(shares) {
                let both = beta * error - alpha * parts.error * share;
                *out = T::of_f64(both * factor + 0.0);
            }
            out_row[label] = T::of_f64(alpha * parts.error * factor + 0.0);
            out.losses[i] = weights[i] * (alpha * parts.target + beta * parts.rest);
            out.tau[i] = (alpha * parts.slopes[0] + beta * parts.slopes[1]) * factor;
            (target[i], rest[i]) = (parts.target, parts.rest);
        }
    }
}

impl<T: Element> Job for EachRow<'_, T> {
    fn rows(&self) -> usize {
        self.student.rows()
    }

    fn row_len(&self) -> usize {
        self.student.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let EachRow { student, teacher, labels, taus, weights, shape, out, target, rest } = self;
        let (out, out_right) = out.split_at(row, student.classes());
        let (student, student_right) = student.split_at(row);
        let (teacher, teacher_right) = teacher.split_at(row);
        let (labels, labels_right) = labels.split_at(row);
        let (taus, taus_right) = taus.split_at(row);
        let (weights, weights_right) = weights.split_at(row);
        let (target, target_right) = target.split_at_mut(row);
        let (rest, rest_right) = rest.split_at_mut(row);
        (
            EachRow { student, teacher, labels, taus, weights, shape, out, target, rest },
            EachRow {
                student: student_right,
                teacher: teacher_right,
                labels: labels_right,
                taus: taus_right,
                weights: weights_right,
                shape,
                out: out_right,
                target: target_right,
                rest: rest_right,
            },
        )
    }
}
