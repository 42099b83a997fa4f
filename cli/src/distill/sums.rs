//! Sums over the rows, and the means they give.

use serde::Serialize;
use softargmax::{
    DecoupledLoss, DistillationOptions, Divergence, Error, Reduction, Rows, Temperature,
};

use super::teacher::{Block, Targets};
use crate::json;

/// The losses at the temperature asked for. Null is what needs labels, or every logit of the teacher.
#[derive(Serialize)]
pub(crate) struct Losses {
    /// T²·KL(teacher ‖ student).
    #[serde(serialize_with = "json::real")]
    pub(crate) teacher_to_student: f64,
    /// T²·KL(student ‖ teacher); infinite where the teacher masks a class.
    #[serde(serialize_with = "json::real")]
    pub(crate) student_to_teacher: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) jensen_shannon: f64,
    /// With the labels, at τ = 1.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) cross_entropy: Option<f64>,
    #[serde(serialize_with = "json::real")]
    pub(crate) alpha: f64,
    /// alpha·cross_entropy + (1 − alpha)·teacher_to_student.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) mixture: Option<f64>,
    /// T²·TCKD: the label against the rest.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) decoupled_target: Option<f64>,
    /// T²·NCKD: the rest among itself.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) decoupled_rest: Option<f64>,
    /// decoupled_target + 8·decoupled_rest.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) decoupled: Option<f64>,
}

/// The teacher and the gradient at a temperature.
#[derive(Serialize)]
pub(crate) struct At {
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    /// Of the teacher, in nats.
    #[serde(serialize_with = "json::real")]
    pub(crate) entropy: f64,
    /// exp(entropy).
    #[serde(serialize_with = "json::real")]
    pub(crate) effective_classes: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) max_probability: f64,
    /// T²·KL(teacher ‖ student).
    #[serde(serialize_with = "json::real")]
    pub(crate) loss: f64,
    /// Σ |T(q − p)| of a row.
    #[serde(serialize_with = "json::real")]
    pub(crate) gradient: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) gradient_without_t_squared: f64,
    /// Of the label, or without labels of the teacher's likeliest class. Null where there is no gradient.
    #[serde(serialize_with = "json::measured")]
    pub(crate) target_share: f64,
    /// Of the teacher's likeliest class but that; 0 where a packed teacher does not keep it.
    #[serde(serialize_with = "json::measured")]
    pub(crate) second_share: f64,
    #[serde(serialize_with = "json::measured")]
    pub(crate) rest_share: f64,
}

/// A sum that keeps what each addition rounds away.
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        let (large, small) = if self.sum.abs() >= x.abs() { (self.sum, x) } else { (x, self.sum) };
        // Of an infinite sum nothing is lost.
        self.lost += if sum.is_finite() { (large - sum) + small } else { 0.0 };
        self.sum = sum;
    }

    fn value(self) -> f64 {
        self.sum + self.lost
    }

    fn mean(self, rows: u64) -> f64 {
        self.value() / rows as f64
    }
}

#[derive(Default)]
pub(super) struct LossSums {
    soft: [Sum; 3],
    hard: Option<Sum>,
    decoupled: Option<[Sum; 3]>,
}

const DIVERGENCES: [Divergence; 3] =
    [Divergence::TeacherToStudent, Divergence::StudentToTeacher, Divergence::JensenShannon];

fn options(divergence: Divergence, weights: &[f64]) -> DistillationOptions<'_> {
    DistillationOptions {
        divergence,
        row_weights: Some(weights),
        reduction: Reduction::PerRow,
        ..DistillationOptions::default()
    }
}

impl LossSums {
    pub(super) fn add(
        &mut self,
        teacher: &Block,
        student: Rows<'_, f64>,
        tau: Temperature,
        weights: &[f64],
    ) -> Result<(), Error> {
        for (sum, divergence) in self.soft.iter_mut().zip(DIVERGENCES) {
            match teacher.loss(student, tau, &options(divergence, weights)) {
                Ok(loss) => loss.values.iter().for_each(|&loss| sum.add(loss)),
                // The other way was finite: it is a class that only the teacher masks.
                Err(Error::Row { .. }) if divergence == Divergence::StudentToTeacher => {
                    sum.add(f64::INFINITY);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn add_hard(&mut self, losses: &[f64]) {
        let sum = self.hard.get_or_insert_default();
        losses.iter().for_each(|&loss| sum.add(loss));
    }

    pub(super) fn add_decoupled(&mut self, parts: &DecoupledLoss<f64>) {
        let [target, rest, whole] = self.decoupled.get_or_insert_default();
        parts.target.iter().for_each(|&x| target.add(x));
        parts.rest.iter().for_each(|&x| rest.add(x));
        parts.loss.values.iter().for_each(|&x| whole.add(x));
    }

    pub(super) fn means(&self, rows: u64, alpha: f64) -> Losses {
        let [teacher_to_student, student_to_teacher, jensen_shannon] =
            self.soft.map(|sum| sum.mean(rows));
        let cross_entropy = self.hard.map(|sum| sum.mean(rows));
        // 0 of an infinite loss is nothing.
        let part = |share: f64, loss: f64| if share > 0.0 { share * loss } else { 0.0 };
        let mixture =
            cross_entropy.map(|hard| part(alpha, hard) + part(1.0 - alpha, teacher_to_student));
        let decoupled = self.decoupled.map(|sums| sums.map(|sum| sum.mean(rows)));
        Losses {
            teacher_to_student,
            student_to_teacher,
            jensen_shannon,
            cross_entropy,
            alpha,
            mixture,
            decoupled_target: decoupled.map(|[target, ..]| target),
            decoupled_rest: decoupled.map(|[_, rest, _]| rest),
            decoupled: decoupled.map(|[.., whole]| whole),
        }
    }
}

pub(super) struct AtSums {
    tau: Temperature,
    entropy: Sum,
    max_probability: Sum,
    loss: Sum,
    gradient: Sum,
    target: Sum,
    second: Sum,
}

impl AtSums {
    pub(super) fn new(tau: Temperature) -> Self {
        let [entropy, max_probability, loss, gradient, target, second] = Default::default();
        AtSums { tau, entropy, max_probability, loss, gradient, target, second }
    }

    pub(super) fn add(
        &mut self,
        teacher: &Block,
        student: Rows<'_, f64>,
        weights: &[f64],
        targets: &[Targets],
    ) -> Result<(), Error> {
        let classes = student.classes();
        let options = options(Divergence::TeacherToStudent, weights);
        let loss = teacher.loss(student, self.tau, &options)?;
        let softness = teacher.softness(classes, self.tau)?;
        for (row, gradient) in loss.logits.chunks_exact(classes).enumerate() {
            if weights[row] == 0.0 {
                continue;
            }
            self.entropy.add(softness[row].entropy);
            self.max_probability.add(softness[row].max_probability);
            self.loss.add(loss.values[row]);
            self.gradient.add(gradient.iter().map(|g| g.abs()).sum());
            self.target.add(gradient[targets[row].first].abs());
            self.second.add(targets[row].second.map_or(0.0, |second| gradient[second].abs()));
        }
        Ok(())
    }

    pub(super) fn means(&self, rows: u64) -> At {
        let (entropy, gradient) = (self.entropy.mean(rows), self.gradient.mean(rows));
        let share = |sum: Sum| sum.value() / self.gradient.value();
        let (target_share, second_share) = (share(self.target), share(self.second));
        let square = self.tau.tau() * self.tau.tau();
        At {
            temperature: self.tau,
            entropy,
            effective_classes: libm::exp(entropy),
            max_probability: self.max_probability.mean(rows),
            loss: self.loss.mean(rows),
            gradient,
            gradient_without_t_squared: gradient / square,
            target_share,
            second_share,
            // What two roundings leave of nothing is nothing.
            rest_share: (1.0 - target_share - second_share).max(0.0),
        }
    }
}
