//! `softargmax distill`: a student's losses against a teacher, how soft the teacher is, and where the gradient goes.
//!
//! ```text
//! student, teacher: rows of both at hand, together → losses at T → at every temperature statistics and gradient → sums
//! ```
//!
//! One pass, in blocks: neither file is held. The sums go on row by row, so that blocks and threads cannot be seen.

mod sums;
mod teacher;

use std::path::Path;

use serde::Serialize;
use softargmax::{
    CrossEntropyOptions, DecoupledOptions, Reduction, Rows, Temperature, cross_entropy,
    decoupled_distillation,
};

use crate::apply;
use crate::args::DistillArgs;
use crate::error::CliError;
use crate::input::{Beside, IGNORED, LabelOptions, Labels};
use crate::json;
use crate::output::Target;
use crate::progress::Progress;
use crate::report::chart::{self, Axis};
use crate::report::distill as report;
use crate::teacher::InStep;
pub(crate) use sums::{At, Losses};
use sums::{AtSums, LossSums};
use teacher::Teacher;

/// The temperatures of the second table, unless others are asked for.
const TEMPERATURES: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0];
/// Numbers of the student that are worked on together.
const BLOCK: usize = 1 << 18;

pub(crate) fn run(args: &DistillArgs) -> Result<(), CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| distill(args)),
        None => distill(args),
    }
}

/// What `--json` prints. All losses and gradients are means over the rows, with T² where nothing else is said.
#[derive(Serialize)]
pub(crate) struct Document {
    schema: &'static str,
    pub(crate) student: String,
    pub(crate) teacher: String,
    /// How many classes a packed teacher keeps; null for one of logits.
    pub(crate) top_k: Option<usize>,
    pub(crate) labels: Option<String>,
    /// Those that count.
    pub(crate) rows: u64,
    pub(crate) ignored: u64,
    pub(crate) classes: usize,
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    pub(crate) losses: Losses,
    pub(crate) at: Vec<At>,
}

fn distill(args: &DistillArgs) -> Result<(), CliError> {
    if !(0.0..=1.0).contains(&args.alpha) {
        return Err(CliError::refused(format!("--alpha {} is not between 0 and 1", args.alpha)));
    }
    InStep::expect_one_stream(&[Some(&args.student), Some(&args.teacher), args.labels.as_deref()])?;
    let plot = args.plot.as_deref().map(Target::open).transpose()?;
    let mut student = InStep::open(&args.student)?;
    let mut teacher = Teacher::open(&args.teacher)?;
    teacher.expect_shape(&student)?;
    let labels =
        args.labels.as_deref().map(|path| read_labels(path, args, &student)).transpose()?;
    if let (Some(path), Some(labels), Some(rows)) = (&args.labels, &labels, student.source.rows()) {
        expect_labels(path, labels.len() as u64, rows, student.source.name())?;
    }
    let temperatures = temperatures(args, &teacher)?;
    let axis = Axis::around(&temperatures);
    let mut all = temperatures.clone();
    if plot.is_some() {
        let least = teacher.least();
        all.extend(
            axis.samples(chart::SAMPLES_OF_FILE).into_iter().filter(|tau| tau.tau() >= least),
        );
    }
    let mut pass = Pass {
        tau: args.temperature,
        losses: LossSums::default(),
        at: all.iter().map(|&tau| AtSums::new(tau)).collect(),
        ignored: 0,
        done: 0,
    };
    let mut progress = Progress::new(student.source.rows());
    loop {
        let (of_student, of_teacher) = (student.available()?, teacher.available()?);
        if (of_student == 0) != (of_teacher == 0) {
            return Err(teacher.other_rows(&student, pass.done, of_student > 0));
        }
        let rows = of_student.min(of_teacher).min((BLOCK / student.classes()).max(1));
        if rows == 0 {
            break;
        }
        let labels = match &labels {
            Some(labels) => Some(labels.get(pass.done..pass.done + rows).ok_or_else(|| {
                let path = args.labels.as_deref().unwrap_or(Path::new("labels"));
                let (count, name) = (labels.len(), student.source.name());
                CliError::refused(format!(
                    "{} has {count} labels, and {name} has more rows",
                    path.display()
                ))
                .hint("one label for every row, in the same order")
            })?),
            None => None,
        };
        pass.add(&mut student, &mut teacher, labels, rows)?;
        progress.advance(rows as u64);
    }
    drop(progress);
    if let (Some(path), Some(labels)) = (&args.labels, &labels) {
        expect_labels(path, labels.len() as u64, pass.done as u64, student.source.name())?;
    }
    let rows = pass.done as u64 - pass.ignored;
    if rows == 0 {
        return Err(CliError::refused(format!("{}: no row counts", student.source.name()))
            .hint("a loss needs a row, and with --ignore-label one with another label"));
    }
    let mut at: Vec<At> = pass.at.iter().map(|sums| sums.means(rows)).collect();
    let curve = at.split_off(temperatures.len());
    let document = Document {
        schema: "softargmax.distill/1",
        student: student.source.name().to_owned(),
        teacher: teacher.name().to_owned(),
        top_k: teacher.top_k(),
        labels: args.labels.as_ref().map(|path| path.display().to_string()),
        rows,
        ignored: pass.ignored,
        classes: student.classes(),
        temperature: args.temperature,
        losses: pass.losses.means(rows, args.alpha),
        at,
    };
    if let Some(target) = plot {
        report::chart(&document, axis, &curve).write(target)?;
    }
    student.source.note_guesses();
    if args.json { json::print(&document) } else { report::print(&document) }
}

/// A label for every row, [`IGNORED`] for those that are left out.
fn read_labels(path: &Path, args: &DistillArgs, student: &InStep) -> Result<Vec<i64>, CliError> {
    let layout = student.source.layout();
    let beside =
        Beside { logits: student.source.path(), shape: layout.shape(), classes: layout.classes() };
    let names = student.source.class_names();
    let options = LabelOptions { ignored: args.ignore_label, names };
    match Labels::read(path, &options, &beside)? {
        Labels::Classes(classes) => Ok(classes),
        Labels::Shares(_) => Err(CliError::refused(format!(
            "{}: these are shares of classes, not labels",
            path.display()
        ))
        .hint(
            "one class for every row; shares are a teacher: give ln of them as TEACHER, with -T 1",
        )),
    }
}

fn expect_labels(path: &Path, labels: u64, rows: u64, name: &str) -> Result<(), CliError> {
    if labels == rows {
        return Ok(());
    }
    let s = |count| if count == 1 { "" } else { "s" };
    Err(CliError::refused(format!(
        "{name} has {rows} row{}, and {} has {labels} label{}",
        s(rows),
        path.display(),
        s(labels)
    ))
    .hint("one label for every row, in the same order"))
}

/// Those asked for, or a list with T in it; none of them below what a packed teacher can be used at.
fn temperatures(args: &DistillArgs, teacher: &Teacher) -> Result<Vec<Temperature>, CliError> {
    let (tau, least) = (args.temperature, teacher.least());
    let refuse = |flag: &str, tau: Temperature| {
        if tau.is_zero() {
            return Err(CliError::refused(format!("{flag} 0: there the loss has no gradient"))
                .hint("a temperature of distillation is above 0, mostly above 1"));
        }
        if tau.tau() < least {
            let name = teacher.name();
            return Err(CliError::refused(format!(
                "{flag} {tau}: {name} is for temperatures from {least} up"
            ))
            .hint("pack the logits again with a smaller one among --temperatures"));
        }
        Ok(())
    };
    refuse("-T", tau)?;
    if let Some(list) = &args.temperatures {
        let temperatures = list.expand(None)?;
        temperatures.iter().try_for_each(|&tau| refuse("--temperatures", tau))?;
        return Ok(temperatures);
    }
    let all = TEMPERATURES.into_iter().filter(|t| *t >= least && *t != tau.tau());
    let mut all: Vec<Temperature> =
        all.map(Temperature::new).collect::<Result<_, _>>().map_err(CliError::internal)?;
    all.push(tau);
    all.sort_by(|a, b| a.tau().total_cmp(&b.tau()));
    Ok(all)
}

/// What is summed up on the way through both files.
struct Pass {
    tau: Temperature,
    losses: LossSums,
    at: Vec<AtSums>,
    ignored: u64,
    done: usize,
}

impl Pass {
    fn add(
        &mut self,
        student: &mut InStep,
        teacher: &mut Teacher,
        labels: Option<&[i64]>,
        rows: usize,
    ) -> Result<(), CliError> {
        let classes = student.classes();
        let numbers = student.take(rows).to_vec();
        let logits = Rows::new(&numbers, classes).map_err(CliError::internal)?;
        let block = teacher.take(rows)?;
        let weights: Vec<f64> = match labels {
            Some(labels) => labels.iter().map(|l| f64::from(u8::from(*l != IGNORED))).collect(),
            None => vec![1.0; rows],
        };
        self.ignored += weights.iter().filter(|weight| **weight == 0.0).count() as u64;
        let refuse = |error| teacher.refuse(student, rows, error);
        self.losses.add(&block, logits, self.tau, &weights).map_err(refuse)?;
        if let Some(labels) = labels {
            let labels = softargmax::Labels::with_ignored(labels, classes, IGNORED);
            let labels = labels.map_err(CliError::internal)?;
            let reduction = Reduction::PerRow;
            let options = CrossEntropyOptions { reduction, ..Default::default() };
            let hard = cross_entropy(logits, labels, Temperature::ONE, &options).map_err(refuse)?;
            self.losses.add_hard(&hard.values);
            // Its parts need the teacher's probability of every label.
            if let Some(full) = block.full(classes) {
                let full = full.map_err(CliError::internal)?;
                let options = DecoupledOptions { reduction, ..Default::default() };
                let parts = decoupled_distillation(logits, full, labels, self.tau, &options);
                self.losses.add_decoupled(&parts.map_err(refuse)?);
            }
        }
        let targets = block.targets(classes, labels, &weights);
        for at in &mut self.at {
            at.add(&block, logits, &weights, &targets).map_err(refuse)?;
        }
        self.done += rows;
        Ok(())
    }
}
