//! The teacher of `distill`, logits or packed, as rows that come in step with the student's.

use std::path::Path;

use softargmax::{
    DistillationOptions, Error, Loss, Rows, Temperature, TruncatedTeacher, distillation,
    statistics, truncated_distillation,
};

use crate::error::CliError;
use crate::teacher::{InStep, Reader};

pub(super) enum Teacher {
    Logits(Box<InStep>),
    Packed(Box<Reader>),
}

/// Some rows of it.
pub(super) enum Block {
    Logits(Vec<f64>),
    Packed(TruncatedTeacher),
}

/// How soft a row is.
pub(super) struct Softness {
    pub(super) entropy: f64,
    pub(super) max_probability: f64,
}

/// The two classes of a row whose gradients are told from the rest.
#[derive(Clone, Copy)]
pub(super) struct Targets {
    pub(super) first: usize,
    /// The teacher's likeliest other class, if that is known.
    pub(super) second: Option<usize>,
}

impl Teacher {
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        if Reader::is_one(path) {
            Ok(Teacher::Packed(Box::new(Reader::open(path)?)))
        } else {
            InStep::open(path).map(|logits| Teacher::Logits(Box::new(logits)))
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Teacher::Logits(logits) => logits.source.name(),
            Teacher::Packed(packed) => packed.name(),
        }
    }

    /// How many classes are kept, if not all are there.
    pub(super) fn top_k(&self) -> Option<usize> {
        match self {
            Teacher::Logits(_) => None,
            Teacher::Packed(packed) => Some(packed.header.k),
        }
    }

    /// The least temperature that it can be used at.
    pub(super) fn least(&self) -> f64 {
        match self {
            Teacher::Logits(_) => 0.0,
            Teacher::Packed(packed) => packed.header.temperatures[0].tau(),
        }
    }

    pub(super) fn expect_shape(&self, student: &InStep) -> Result<(), CliError> {
        let (classes, rows) = match self {
            Teacher::Logits(logits) => (logits.classes(), logits.source.rows()),
            Teacher::Packed(packed) => (packed.header.classes, Some(packed.header.rows)),
        };
        let (name, of_student) = (student.source.name(), student.classes());
        if classes != of_student {
            let teacher = self.name();
            return Err(CliError::refused(format!(
                "{name} has {of_student} classes, and {teacher} has {classes}"
            ))
            .hint("student and teacher must have the same classes in the same order"));
        }
        match (student.source.rows(), rows) {
            (Some(of_student), Some(rows)) if of_student != rows => {
                let teacher = self.name();
                Err(CliError::refused(format!(
                    "{name} has {of_student} rows, and {teacher} has {rows}"
                ))
                .hint("student and teacher must have the same rows in the same order"))
            }
            _ => Ok(()),
        }
    }

    /// One of the two has ended after so many rows.
    pub(super) fn other_rows(
        &self,
        student: &InStep,
        rows: usize,
        is_student_longer: bool,
    ) -> CliError {
        let (of_student, of_teacher) = (student.source.name(), self.name());
        let (shorter, longer) =
            if is_student_longer { (of_teacher, of_student) } else { (of_student, of_teacher) };
        CliError::refused(format!("{shorter} has {rows} rows, and {longer} has more"))
            .hint("student and teacher must have the same rows in the same order")
    }

    pub(super) fn available(&mut self) -> Result<usize, CliError> {
        match self {
            Teacher::Logits(logits) => logits.available(),
            Teacher::Packed(packed) => packed.available(),
        }
    }

    pub(super) fn take(&mut self, rows: usize) -> Result<Block, CliError> {
        match self {
            Teacher::Logits(logits) => Ok(Block::Logits(logits.take(rows).to_vec())),
            Teacher::Packed(packed) => packed.take(rows).map(Block::Packed),
        }
    }

    /// What the library refused of the rows that were taken last: of the file that it is in.
    pub(super) fn refuse(&self, student: &InStep, rows: usize, error: Error) -> CliError {
        match (self, &error) {
            (Teacher::Logits(logits), Error::Row { reason, .. })
                if reason.starts_with("the teacher") =>
            {
                logits.refuse(rows, error)
            }
            _ => student.refuse(rows, error),
        }
    }
}

impl Block {
    /// All logits, if they are all there.
    pub(super) fn full(&self, classes: usize) -> Option<Result<Rows<'_, f64>, Error>> {
        match self {
            Block::Logits(logits) => Some(Rows::new(logits, classes)),
            Block::Packed(_) => None,
        }
    }

    pub(super) fn loss(
        &self,
        student: Rows<'_, f64>,
        tau: Temperature,
        options: &DistillationOptions<'_>,
    ) -> Result<Loss<f64>, Error> {
        match self {
            Block::Logits(logits) => {
                distillation(student, Rows::new(logits, student.classes())?, tau, options)
            }
            Block::Packed(packed) => truncated_distillation(student, packed, tau, options),
        }
    }

    pub(super) fn softness(
        &self,
        classes: usize,
        tau: Temperature,
    ) -> Result<Vec<Softness>, Error> {
        match self {
            Block::Logits(logits) => {
                let all = statistics(Rows::new(logits, classes)?, tau)?.into_iter();
                let of = all.map(|of| Softness {
                    entropy: of.entropy,
                    max_probability: of.max_probability,
                });
                Ok(of.collect())
            }
            Block::Packed(packed) => {
                let all = packed.statistics(tau)?.into_iter();
                let of = all.map(|of| Softness {
                    entropy: of.entropy,
                    max_probability: of.max_probability,
                });
                Ok(of.collect())
            }
        }
    }

    /// The label, without labels the teacher's likeliest class; and the likeliest but that. Of equal ones the first.
    pub(super) fn targets(
        &self,
        classes: usize,
        labels: Option<&[i64]>,
        weights: &[f64],
    ) -> Vec<Targets> {
        let none = Targets { first: 0, second: None };
        let of_row = |row: usize, candidates: &mut dyn Iterator<Item = (usize, f64)>| {
            let label = labels.map(|labels| labels[row] as usize);
            let mut best: [Option<(usize, f64)>; 2] = [None; 2];
            for (class, v) in candidates.filter(|(class, _)| Some(*class) != label) {
                if best[0].is_none_or(|(_, top)| v > top) {
                    best = [Some((class, v)), best[0]];
                } else if best[1].is_none_or(|(_, top)| v > top) {
                    best[1] = Some((class, v));
                }
            }
            let [one, other] = best.map(|best| best.map(|(class, _)| class));
            match label {
                Some(first) => Targets { first, second: one },
                None => Targets { first: one.unwrap_or(0), second: other },
            }
        };
        let rows = 0..weights.len();
        let each = rows.map(|row| match self {
            _ if weights[row] == 0.0 => none,
            Block::Logits(logits) => {
                let row_logits = &logits[row * classes..(row + 1) * classes];
                of_row(row, &mut row_logits.iter().copied().enumerate())
            }
            Block::Packed(packed) => {
                let (parts, k) = (packed.parts(), packed.parts().k);
                let ids = parts.ids[row * k..(row + 1) * k].iter().map(|&id| id as usize);
                of_row(row, &mut ids.zip(parts.logits[row * k..(row + 1) * k].iter().copied()))
            }
        });
        each.collect()
    }
}
