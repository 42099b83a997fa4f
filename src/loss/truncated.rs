//! Distillation from a truncated teacher: the classes it kept each by itself, all others as one.
//!
//! ```text
//! P = (p_i of the head, Σ_tail p)      Q = (q_i of the head, Σ_tail q)      both of all classes, at T
//! soft = T²·D(P, Q)                    a divergence of k + 1 classes: never negative, at most that of all classes
//! dz_i = T·errors_i of the head;  dz_j = T·error_tail·q_j/Σ_tail q: within the tail the student keeps its own shape
//! ```
//!
//! A class of the two is (m − x)/T below the largest, the tail as the mean of its weights is, with how many they are
//! left out: it is the same on both sides, and at a large T all there is else is small beside it.

use super::cross_entropy::Out;
use super::distillation::{
    DistillationOptions, Factor, MASKS_DIFFER, OF_TEACHER, leave_out_ignored, weight,
};
use super::distribution::{Distribution, Inverse, sums};
use super::divergence::{Divergence, Ratios, is_at_the_limit, of_distributions};
use super::hard::Hard;
use super::tail::{Kept, KeptRow, Knots, ln_count};
use super::teacher::{FAR, TruncatedTeacher};
use super::{Loss, Shares, checked_weights, refuse_zero, refused};
use crate::element::Element;
use crate::error::Error;
use crate::parallel::Job;
use crate::rows::Rows;
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{Tempering, Temperings};
use crate::temperature::{Temperature, Temperatures};

/// Distillation from a truncated teacher, `T²·KL(P ‖ Q)` where P and Q have the classes that the teacher kept and all
/// others as one, and its gradients in the student's logits and in T; on request another
/// [`Divergence`](crate::Divergence), and a part with hard labels.
///
/// It is no more than [`distillation`](crate::distillation) from the full teacher (data processing: to take classes together
/// hides differences), and equal to it where all classes are kept, or where the student shares the tail's mass as the teacher
/// does. The gradient in the logits of the head is that of the full loss.
///
/// # Shapes
/// `student` is `[rows, classes]`, with as many of both as the teacher; `tau` is one [`Temperature`], or a slice of one per row.
///
/// # Accuracy
/// As [`distillation`](crate::distillation), at the temperatures of the teacher's grid and at ∞. Between them the tail's
/// mass is interpolated, and with it the loss; [`statistics`](TruncatedTeacher::statistics) bounds how far off it is. The
/// gradient in T is that of the interpolated loss.
///
/// # Special values
/// At T = ∞ the loss with T² is its limit `½ Σ_b w_b (δ_b − δ̄)²`, where δ is student less teacher (of the tail: of its
/// means) and w how much of all classes it is. A class that is masked in both is not there. One that only the teacher
/// masks has p = 0; one of the tail that only the student masks is not told from the others.
///
/// # Errors
/// As [`distillation`](crate::distillation); [`Error::Parameter`] also for a temperature below the smallest that the teacher
/// was truncated for, and [`Error::Truncated`] for z-scores, which need all of a teacher's logits.
///
/// # Example
/// ```
/// use softargmax::{
///     DistillationOptions, Rows, Temperature, TruncatedTeacher, distillation, truncated_distillation,
/// };
///
/// let (student, teacher) = ([1.0f64, 5.0, 7.0, 10.0], [2.0, 8.0, 6.0, 3.0]);
/// let (student, teacher) = (Rows::one(&student)?, Rows::one(&teacher)?);
/// let (tau, options) = (Temperature::new(4.0)?, DistillationOptions::default());
/// let kept = TruncatedTeacher::from_logits(teacher, 2, &[Temperature::ONE, tau])?;
/// let some = truncated_distillation(student, &kept, tau, &options)?;
/// let all = distillation(student, teacher, tau, &options)?;
/// assert!(some.value() <= all.value());
/// assert!((some.logits[1] - all.logits[1]).abs() < 1e-14); // class 1 was kept
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Hinton, Vinyals & Dean 2015, section 2; Cover & Thomas 2006, theorem 2.7.1 (log-sum inequality), for the bound.
pub fn truncated_distillation<'a, T: Element>(
    student: Rows<'_, T>,
    teacher: &TruncatedTeacher,
    tau: impl Into<Temperatures<'a>>,
    options: &DistillationOptions<'_>,
) -> Result<Loss<T>, Error> {
    let (rows, classes) = (student.rows(), student.classes());
    let taus = tau.into().checked(rows)?;
    let same = |what, expected, got| {
        if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
    };
    same("teacher", rows, teacher.rows())?;
    same("classes of the teacher", classes, teacher.classes())?;
    if options.standardise.is_some() {
        return Err(Error::Truncated { what: "z-scores" });
    }
    weight("soft weight", options.soft_weight)?;
    let mut weights = checked_weights(options.row_weights, rows)?;
    if let Some(hard) = options.hard {
        weight("hard weight", hard.weight)?;
        leave_out_ignored(&mut weights, hard.labels, classes)?;
    }
    refuse_zero(taus, &weights)?;
    teacher.check_temperatures(taus, |row| weights[row] > 0.0)?;
    let masses = weights.clone();
    let shares = Shares::new(weights, options.reduction, &masses)?;
    let mut losses = vec![0.0; rows];
    let mut loss = Loss {
        values: Vec::new(),
        logits: vec![T::of_f64(0.0); rows * classes],
        tau: vec![0.0; rows],
    };
    let parts = teacher.parts();
    T::run(EachRow {
        student,
        kept: Kept::of(parts),
        knots: &Knots::new(&parts.temperatures),
        taus,
        weights: &shares.weights,
        first: 0,
        options,
        out: Out { losses: &mut losses, logits: &mut loss.logits, tau: &mut loss.tau },
        divisor: shares.divisor,
    });
    if let Some(row) = losses.iter().position(|loss| loss.is_nan()) {
        let reason = why(student, Kept::of(parts).row(row), row);
        return Err(Error::Row { row, reason });
    }
    loss.values = shares.reduce(losses, options.reduction);
    Ok(loss)
}

/// Why a row has no loss.
fn why<T: Element>(student: Rows<'_, T>, kept: KeptRow<'_>, row: usize) -> &'static str {
    if let Some(reason) = refused(student, row) {
        return reason;
    }
    if !kept.top().is_finite() {
        return OF_TEACHER;
    }
    let classes = student.classes();
    let entries = &student.as_slice()[row * classes..(row + 1) * classes];
    let masked = |x: f64| x == f64::NEG_INFINITY;
    let of_head = |&id: &u32| masked(entries[id as usize].to_f64());
    let is_same = kept.ids.iter().zip(kept.logits).all(|(id, &v)| of_head(id) == masked(v));
    let there = entries.iter().filter(|x| !masked(x.to_f64())).count();
    let of_teacher = kept.logits.iter().filter(|v| !masked(**v)).count() + kept.count as usize;
    if is_same && there == of_teacher { FAR } else { MASKS_DIFFER }
}

pub(crate) struct EachRow<'a, T> {
    student: Rows<'a, T>,
    kept: Kept<'a>,
    knots: &'a Knots,
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
    /// The student's logits, with −∞ for the head.
    others: Scratch<f64>,
    of_others: Distribution,
    /// Logits of the k + 1.
    logits: Scratch<f64>,
    teacher: Distribution,
    student: Distribution,
    ratios: Ratios,
    of_buckets: Scratch<f64>,
    /// For every class.
    errors: Scratch<f64>,
}

/// One side's tail.
#[derive(Clone, Copy)]
struct Rest {
    count: f64,
    ln_count: f64,
    excess: f64,
    drift: f64,
    /// The mean logit, less that of the origin.
    mean: f64,
}

const NOTHING: Rest =
    Rest { count: 0.0, ln_count: 0.0, excess: f64::NEG_INFINITY, drift: 0.0, mean: 0.0 };

/// Fills the k + 1 of one side: the head's gaps are in the distribution already. `false` where there is none.
#[inline(always)]
fn fill<S: Simd>(simd: S, of: &mut Distribution, logits: &mut Vec<f64>, rest: &Rest) -> bool {
    let gaps = std::mem::take(&mut of.gaps);
    logits.clear();
    logits.extend(gaps.iter().map(|gap| -gap));
    logits.push(rest.excess + rest.ln_count);
    let top = logits.iter().fold(f64::NEG_INFINITY, |top, &l| if l > top { l } else { top });
    let filled = of.fill(simd, logits, &Tempering::new(Temperature::ONE));
    // From below the largest of the k + 1 to below the largest logit, with the tail as its mean.
    of.gaps = gaps;
    of.gaps.push(-rest.excess);
    of.log_normaliser += top;
    filled
}

/// The student's tail: its own distribution is left in `of_others`. `None` where there is no distribution.
#[inline(always)]
fn rest_of<S: Simd>(
    simd: S,
    max: f64,
    tempering: &Tempering<f64>,
    space: &mut Space,
) -> Option<Rest> {
    let Space { others, of_others, .. } = space;
    let top = others.iter().fold(f64::NEG_INFINITY, |top, &x| if x > top { x } else { top });
    if top == f64::NEG_INFINITY {
        of_others.p.clear();
        of_others.p.resize(others.len(), 0.0);
        return Some(NOTHING);
    }
    if !of_others.fill(simd, others, tempering) || of_others.is_beyond {
        return None;
    }
    let Distribution { p, gaps, .. } = &*of_others;
    let [count, drift, total] = sums!(p in p, gap in gaps, x in others => {
        if gap < f64::INFINITY { [1.0, p * gap, x - top] } else { [0.0; 3] }
    });
    let ln_count = ln_count(count as u32);
    let excess = of_others.log_mean_weight(count);
    let gap = Inverse::new(tempering).gap(max, top)?;
    let mean = top + total / count;
    Some(Rest { count, ln_count, excess: excess - gap, drift: drift + gap, mean })
}

/// A kernel of f64, so that it is one for all types of logits.
struct Soft<'a> {
    student: &'a [f64],
    teacher: (KeptRow<'a>, &'a Knots),
    at: (Temperature, &'a Tempering<f64>),
    options: &'a DistillationOptions<'a>,
    space: &'a mut Space,
}

impl Kernel for Soft<'_> {
    type Output = Option<(f64, f64)>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let Soft { student, teacher, at, options, space } = self;
        soft(simd, student, teacher, at, options, space)
    }
}

/// The soft part of a row and its derivative in T; its gradient in the student's logits is left in the errors. `None`
/// where there is none.
#[inline(always)]
fn soft<S: Simd>(
    simd: S,
    student: &[f64],
    (kept, knots): (KeptRow<'_>, &Knots),
    (tau, tempering): (Temperature, &Tempering<f64>),
    options: &DistillationOptions<'_>,
    space: &mut Space,
) -> Option<(f64, f64)> {
    let max = student.iter().fold(f64::NEG_INFINITY, |max, &x| if x > max { x } else { max });
    if !max.is_finite() || student.iter().any(|x| x.is_nan()) {
        return None;
    }
    let inverse = Inverse::new(tempering);
    let head = kept.ids.len();
    space.others.clear();
    space.others.extend_from_slice(student);
    kept.ids.iter().for_each(|&id| space.others[id as usize] = f64::NEG_INFINITY);
    let of_student = rest_of(simd, max, tempering, space)?;
    let of_teacher = kept.tail(knots, tau).map_or(NOTHING, |tail| Rest {
        count: tail.count,
        ln_count: ln_count(kept.count),
        excess: tail.excess,
        drift: tail.drift,
        mean: kept.plain_mean(),
    });
    let Space { of_others, logits, teacher: p, student: q, ratios, of_buckets, errors, .. } = space;
    let top = kept.top();
    p.gaps.clear();
    q.gaps.clear();
    for (&id, &v) in kept.ids.iter().zip(kept.logits) {
        p.gaps.push(inverse.gap(top, v)?);
        q.gaps.push(inverse.gap(max, student[id as usize])?);
    }
    if !(fill(simd, p, logits, &of_teacher) && fill(simd, q, logits, &of_student)) {
        return None;
    }
    if of_teacher.count > 0.0 && of_student.count > 0.0 {
        // Where as many are masked, exactly 0.
        q.gaps[head] -= of_student.ln_count - of_teacher.ln_count;
    }
    let drifts = [of_teacher.drift, of_student.drift];
    let is_limit = is_at_the_limit(p, q) && drifts.iter().all(|drift| *drift < 1e-17);
    let (loss, slope) = match options.factor {
        Factor::TauSquared if is_limit => {
            let differences = |i: usize| {
                let masked = |x: f64| x == f64::NEG_INFINITY;
                if i == head {
                    let same = of_teacher.count == of_student.count;
                    let apart = (of_student.mean - top) - of_teacher.mean;
                    return same.then_some((of_student.count, apart));
                }
                let (z, v) = (student[kept.ids[i] as usize], kept.logits[i]);
                let count = if masked(z) { 0.0 } else { 1.0 };
                (masked(z) == masked(v)).then_some((count, z - v))
            };
            (of_limit(options.divergence, head + 1, differences, of_buckets)?, 0.0)
        }
        factor => {
            ratios.fill(p, q);
            // From here on a gap is what it changes by with T.
            for (of, rest) in [(&mut *p, &of_teacher), (&mut *q, &of_student)] {
                if rest.count > 0.0 {
                    of.gaps[head] = rest.drift;
                }
            }
            let (loss, slope) = of_distributions(options.divergence, p, q, ratios, of_buckets);
            if loss.is_nan() {
                return None;
            }
            match factor {
                Factor::TauSquared => {
                    let tau = tau.tau();
                    of_buckets.iter_mut().for_each(|error| *error *= tau);
                    (tau * (tau * loss), tau * (2.0 * loss + slope))
                }
                Factor::One => {
                    of_buckets.iter_mut().for_each(|error| *error = inverse.times(*error));
                    (loss, inverse.times(slope))
                }
            }
        }
    };
    errors.clear();
    errors.extend(of_others.p.iter().map(|share| of_buckets[head] * share));
    for (&id, &error) in kept.ids.iter().zip(of_buckets.iter()) {
        errors[id as usize] = error;
    }
    Some((loss, slope))
}

/// The limit of T²·divergence for T → ∞, from how many classes each of the buckets has and how far apart its means
/// are; `None` where the masks differ. `errors` gets the gradient in the student's means.
#[inline(always)]
fn of_limit(
    divergence: Divergence,
    buckets: usize,
    of: impl Fn(usize) -> Option<(f64, f64)>,
    errors: &mut Vec<f64>,
) -> Option<f64> {
    if (0..buckets).any(|i| of(i).is_none()) {
        return None;
    }
    // Of a masked class, the difference of two −∞ counts nothing.
    let of = |i: usize| of(i).filter(|(count, _)| *count > 0.0).unwrap_or((0.0, 0.0));
    let (counts, apart): (Vec<f64>, Vec<f64>) = (0..buckets).map(of).unzip();
    let [all, sum] = sums!(n in &counts, d in &apart => [n, n * d]);
    let mean = sum / all;
    let part = if divergence == Divergence::JensenShannon { 0.25 } else { 1.0 };
    errors.clear();
    errors.extend(counts.iter().zip(&apart).map(|(n, d)| part * n * (d - mean) / all));
    let [squares] = sums!(n in &counts, d in &apart => [n * (d - mean) * (d - mean)]);
    Some(part * squares / (2.0 * all))
}

impl<T: Element> Kernel for EachRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let EachRow { student, kept, knots, taus, weights, first, options, out, divisor } = self;
        let (classes, temperings) = (student.classes(), Temperings::<f64>::new(taus));
        let (mut space, mut hard) = (Space::default(), Hard::default());
        let mut z = Scratch::new();
        for (i, row) in student.iter().enumerate() {
            if weights[i] == 0.0 {
                continue;
            }
            z.clear();
            z.extend(row.iter().map(|x| x.to_f64()));
            let (at, tempering) = (taus.of_row(i), &temperings.of_row(i));
            let (student, teacher, space) = (&z, (kept.row(i), knots), &mut space);
            let soft = simd.call(Soft { student, teacher, at: (at, tempering), options, space });
            let (mut loss, slope) = soft.unwrap_or((f64::NAN, f64::NAN));
            let factor = weights[i] / divisor;
            loss *= options.soft_weight;
            for error in &mut space.errors {
                *error *= options.soft_weight;
            }
            if let Some(part) = options.hard
                && let Some(label) = part.labels.of_row(first + i)
            {
                loss += hard.add(simd, &z, (label, part.weight), loss, &mut space.errors);
            }
            if !loss.is_nan() {
                let out = &mut out.logits[i * classes..(i + 1) * classes];
                for (out, error) in out.iter_mut().zip(&space.errors) {
                    *out = T::of_f64(error * factor + 0.0);
                }
            }
            out.losses[i] = weights[i] * loss;
            out.tau[i] = options.soft_weight * slope * factor;
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
        let EachRow { student, kept, knots, taus, weights, first, options, out, divisor } = self;
        let (out, out_right) = out.split_at(row, student.classes());
        let (student, student_right) = student.split_at(row);
        let (kept, kept_right) = kept.split_at(row);
        let (taus, taus_right) = taus.split_at(row);
        let (weights, weights_right) = weights.split_at(row);
        (
            EachRow { student, kept, knots, taus, weights, first, options, out, divisor },
            EachRow {
                student: student_right,
                kept: kept_right,
                knots,
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
