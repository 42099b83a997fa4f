//! `softargmax teacher audit`: each convention's loss and gradient at a temperature, beside those of the full teacher.

use rayon::prelude::*;
use serde::Serialize;
use softargmax::{Rows, Temperature, TruncatedTeacher, log_softmax_rows};

use super::convention::{Convention, Outcome, Row};
use super::{InStep, Reader};
use crate::apply;
use crate::args::AuditArgs;
use crate::error::CliError;
use crate::json;
use crate::progress::Progress;
use crate::report::teacher as report;

/// Without a wish, so many classes are kept.
const TOP_K: usize = 50;

pub(super) fn run(args: &AuditArgs) -> Result<(), CliError> {
    let tau = args.temperature;
    if tau.is_zero() || tau.is_infinite() {
        return Err(CliError::refused(format!(
            "-T {tau}: the conventions are told apart between 0 and inf"
        ))
        .hint("give the temperature of the distillation, such as -T 4"));
    }
    let audit = match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| audit(args)),
        None => audit(args),
    }?;
    if args.json { json::print(&audit) } else { report::print_audit(&audit) }
}

/// What `--json` prints. All are means over the rows.
#[derive(Serialize)]
pub(crate) struct Audit {
    schema: &'static str,
    pub(crate) teacher: String,
    /// Whether the classes that were not kept are one.
    pub(crate) packed: bool,
    /// Null for one that knows nothing.
    pub(crate) student: Option<String>,
    pub(crate) rows: u64,
    pub(crate) classes: usize,
    pub(crate) top_k: usize,
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    #[serde(serialize_with = "json::real")]
    pub(crate) loss: f64,
    /// Σ |gradient|.
    #[serde(serialize_with = "json::real")]
    pub(crate) gradient: f64,
    /// The probability of the classes that are not kept.
    #[serde(serialize_with = "json::real")]
    pub(crate) tail: f64,
    pub(crate) conventions: Vec<Line>,
}

/// One convention; all but its name null where it needs probabilities at T = 1 that are not known.
#[derive(Serialize)]
pub(crate) struct Line {
    #[serde(serialize_with = "name")]
    pub(crate) convention: Convention,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) tail: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) loss: Option<f64>,
    /// Of the loss, less the true one.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) difference: Option<f64>,
    /// Σ |gradient − the true one|.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) gradient_error: Option<f64>,
    /// The same as a share of the true one's Σ; null where that is 0.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) relative_gradient_error: Option<f64>,
}

fn name<S: serde::Serializer>(convention: &Convention, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(convention.name())
}

/// The teacher, of either kind.
enum Teacher {
    Logits(Box<InStep>, usize),
    Packed(Box<Reader>),
}

impl Teacher {
    fn open(args: &AuditArgs) -> Result<Self, CliError> {
        if !Reader::is_one(&args.teacher) {
            let logits = InStep::open(&args.teacher)?;
            let classes = logits.classes();
            let k = args.top_k.map_or(TOP_K.min(classes), |k| k as usize);
            if k > classes {
                let name = logits.source.name();
                return Err(CliError::refused(format!(
                    "--top-k {k}: {name} has {classes} classes"
                )));
            }
            return Ok(Teacher::Logits(Box::new(logits), k));
        }
        let packed = Reader::open(&args.teacher)?;
        let (name, kept) = (packed.name(), packed.header.k);
        if let Some(k) = args.top_k.filter(|k| *k as usize != kept) {
            return Err(CliError::refused(format!("--top-k {k}: {name} keeps {kept} classes"))
                .hint("leave it out, or audit the logits"));
        }
        let least = packed.header.temperatures[0];
        if args.temperature.tau() < least.tau() {
            let tau = args.temperature;
            return Err(CliError::refused(format!(
                "-T {tau}: {name} is for temperatures from {least} up"
            ))
            .hint("pack the logits with a smaller one among --temperatures"));
        }
        Ok(Teacher::Packed(Box::new(packed)))
    }

    fn name(&self) -> &str {
        match self {
            Teacher::Logits(logits, _) => logits.source.name(),
            Teacher::Packed(packed) => packed.name(),
        }
    }

    fn classes(&self) -> usize {
        match self {
            Teacher::Logits(logits, _) => logits.classes(),
            Teacher::Packed(packed) => packed.header.classes,
        }
    }

    fn available(&mut self) -> Result<usize, CliError> {
        match self {
            Teacher::Logits(logits, _) => logits.available(),
            Teacher::Packed(packed) => packed.available(),
        }
    }
}

/// Sums over the rows.
#[derive(Default)]
struct Sums {
    loss: f64,
    gradient: f64,
    tail: f64,
    outcomes: [[f64; 3]; Convention::ALL.len()],
}

/// What one row gives.
struct Of {
    loss: f64,
    gradient: f64,
    tail: f64,
    outcomes: [Option<Outcome>; Convention::ALL.len()],
}

fn audit(args: &AuditArgs) -> Result<Audit, CliError> {
    InStep::expect_one_stream(&[Some(&args.teacher), args.student.as_deref()])?;
    let mut teacher = Teacher::open(args)?;
    let classes = teacher.classes();
    let mut student = args.student.as_deref().map(InStep::open).transpose()?;
    if let Some(student) = &student {
        let (name, got) = (student.source.name(), student.classes());
        if got != classes {
            let teacher = teacher.name();
            return Err(CliError::refused(format!(
                "{name} has {got} classes, and {teacher} has {classes}"
            ))
            .hint("student and teacher must have the same classes in the same order"));
        }
    }
    let tau = args.temperature;
    let is_one_known = match &teacher {
        Teacher::Logits(..) => true,
        Teacher::Packed(packed) => packed.header.temperatures[0].tau() <= 1.0,
    };
    let mut sums = Sums::default();
    let mut progress = Progress::new(None);
    let mut done = 0u64;
    loop {
        let most = ((1 << 18) / classes).max(1);
        let mut rows = teacher.available()?.min(most);
        if let Some(student) = &mut student {
            let there = student.available()?;
            if (rows == 0) != (there == 0) {
                let (a, b) = (teacher.name(), student.source.name());
                let (longer, shorter) = if rows == 0 { (b, a) } else { (a, b) };
                return Err(CliError::refused(format!(
                    "{longer} has more rows than {shorter}, which ends after row {}",
                    done as i64 - 1
                ))
                .hint("student and teacher must have the same rows in the same order"));
            }
            rows = rows.min(there);
        }
        if rows == 0 {
            break;
        }
        let q = match &mut student {
            Some(student) => {
                let numbers = student.take(rows).to_vec();
                let logits = Rows::new(&numbers, classes).map_err(CliError::internal)?;
                check(logits, |error| student.refuse(rows, error))?;
                log_softmax_rows(logits, tau).map_err(CliError::internal)?
            }
            None => vec![-libm::log(classes as f64); rows * classes],
        };
        let of = match &mut teacher {
            Teacher::Logits(logits, k) => of_logits(logits, *k, rows, tau, &q)?,
            Teacher::Packed(packed) => of_packed(packed, rows, tau, is_one_known, &q)?,
        };
        for (row, of) in of.into_iter().enumerate() {
            if !of.loss.is_finite() {
                return Err(CliError::refused(format!(
                    "{}: row {}: the student masks a class that the teacher does not: the loss is infinite",
                    teacher.name(),
                    done + row as u64
                )));
            }
            sums.add(&of);
        }
        done += rows as u64;
        progress.advance(rows as u64);
    }
    drop(progress);
    if done == 0 {
        return Err(CliError::refused(format!("{}: has no rows", teacher.name())));
    }
    let k = match &teacher {
        Teacher::Logits(_, k) => *k,
        Teacher::Packed(packed) => packed.header.k,
    };
    Ok(sums.finish(&teacher, student.as_ref(), done, (classes, k), tau, is_one_known))
}

/// Refuses rows that have no distribution.
fn check(
    logits: Rows<'_, f64>,
    refuse: impl FnOnce(softargmax::Error) -> CliError,
) -> Result<(), CliError> {
    let is_wrong = |row: &[f64]| {
        row.iter().any(|x| x.is_nan() || *x == f64::INFINITY)
            || row.iter().all(|x| *x == f64::NEG_INFINITY)
    };
    match logits.iter().position(is_wrong) {
        Some(row) => {
            let reason = "it holds a NaN or +inf, or nothing but -inf";
            Err(refuse(softargmax::Error::Row { row, reason }))
        }
        None => Ok(()),
    }
}

fn of_logits(
    logits: &mut InStep,
    k: usize,
    rows: usize,
    tau: Temperature,
    q: &[f64],
) -> Result<Vec<Of>, CliError> {
    let classes = logits.classes();
    let numbers = logits.take(rows).to_vec();
    let full = Rows::new(&numbers, classes).map_err(CliError::internal)?;
    // For which classes it keeps; the sums are not looked at.
    let kept = TruncatedTeacher::from_logits(full, k, &[tau]);
    let kept = kept.map_err(|error| logits.refuse(rows, error))?;
    let p = log_softmax_rows(full, tau).map_err(CliError::internal)?;
    let one = log_softmax_rows(full, Temperature::ONE).map_err(CliError::internal)?;
    let of_row = |row: usize| {
        let at = row * classes..(row + 1) * classes;
        let mut is_head = vec![false; classes];
        kept.parts().ids[row * k..(row + 1) * k].iter().for_each(|&id| is_head[id as usize] = true);
        let others = f64::from(kept.parts().tail_counts[row]);
        let (p, one, q) = (&p[at.clone()], &one[at.clone()], &q[at]);
        let is_head = &is_head;
        of(&Row { tau: tau.tau(), p, one: Some(one), q, is_head, others, entries: others })
    };
    Ok((0..rows).into_par_iter().map(of_row).collect())
}

fn of_packed(
    packed: &mut Reader,
    rows: usize,
    tau: Temperature,
    is_one_known: bool,
    q: &[f64],
) -> Result<Vec<Of>, CliError> {
    let teacher = packed.take(rows)?;
    let (parts, classes) = (teacher.parts(), teacher.classes());
    let at = |tau: Temperature| {
        let statistics = teacher.statistics(tau);
        statistics.map_err(|error| CliError::refused(format!("{}: {error}", packed.name())))
    };
    let (now, one) = (at(tau)?, if is_one_known { Some(at(Temperature::ONE)?) } else { None });
    let of_row = |row: usize| {
        let (ids, logits) = (&parts.ids[row * parts.k..], &parts.logits[row * parts.k..]);
        let (ids, logits) = (&ids[..parts.k], &logits[..parts.k]);
        let in_logs = |scale: f64, log_z: f64, tail: f64| -> Vec<f64> {
            logits.iter().map(|v| v * scale - log_z).chain([libm::log(tail)]).collect()
        };
        let p = in_logs(tau.scale(), now[row].log_z, now[row].tail);
        let one = one.as_ref().map(|one| in_logs(1.0, one[row].log_z, one[row].tail));
        let mut rest = q[row * classes..(row + 1) * classes].to_vec();
        let mut of_student: Vec<f64> = ids
            .iter()
            .map(|&id| std::mem::replace(&mut rest[id as usize], f64::NEG_INFINITY))
            .collect();
        of_student.push(libm::log(rest.iter().map(|l| libm::exp(*l)).sum()));
        let mut is_head = vec![true; parts.k];
        is_head.push(false);
        let (one, q, is_head) = (one.as_deref(), &of_student, &is_head);
        let others = f64::from(parts.tail_counts[row]);
        of(&Row { tau: tau.tau(), p: &p, one, q, is_head, others, entries: 1.0 })
    };
    Ok((0..rows).into_par_iter().map(of_row).collect())
}

fn of(row: &Row) -> Of {
    let (loss, gradient) = row.truth();
    let outcomes = Convention::ALL.map(|convention| row.outcome(convention));
    let tail = row.p.iter().zip(row.is_head).filter(|(_, is_head)| !**is_head);
    Of { loss, gradient, tail: tail.map(|(l, _)| libm::exp(*l)).sum(), outcomes }
}

impl Sums {
    fn add(&mut self, of: &Of) {
        self.loss += of.loss;
        self.gradient += of.gradient;
        self.tail += of.tail;
        for (sums, outcome) in self.outcomes.iter_mut().zip(of.outcomes) {
            if let Some(Outcome { loss, gradient_error, tail }) = outcome {
                for (sum, x) in sums.iter_mut().zip([loss, gradient_error, tail]) {
                    *sum += x;
                }
            }
        }
    }

    fn finish(
        self,
        teacher: &Teacher,
        student: Option<&InStep>,
        rows: u64,
        (classes, top_k): (usize, usize),
        temperature: Temperature,
        is_one_known: bool,
    ) -> Audit {
        let mean = |sum: f64| sum / rows as f64;
        let line = |(convention, [loss, error, tail]): (Convention, [f64; 3])| {
            use Convention::{ProbabilitiesOfOne, TailEven, TailOfOne};
            let needs_one = matches!(convention, ProbabilitiesOfOne | TailEven | TailOfOne);
            let known = |x: f64| (is_one_known || !needs_one).then_some(x);
            Line {
                convention,
                tail: known(mean(tail)),
                loss: known(mean(loss)),
                difference: known(mean(loss) - mean(self.loss)),
                gradient_error: known(mean(error)),
                relative_gradient_error: known(error / self.gradient)
                    .filter(|_| self.gradient > 0.0),
            }
        };
        Audit {
            schema: "softargmax.teacher.audit/1",
            teacher: teacher.name().to_owned(),
            packed: matches!(teacher, Teacher::Packed(_)),
            student: student.map(|student| student.source.name().to_owned()),
            rows,
            classes,
            top_k,
            temperature,
            loss: mean(self.loss),
            gradient: mean(self.gradient),
            tail: mean(self.tail),
            conventions: Convention::ALL.into_iter().zip(self.outcomes).map(line).collect(),
        }
    }
}
