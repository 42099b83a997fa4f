//! What `distill` shows.

use super::bars::Bars;
use super::chart::{Axis, Chart, Series};
use super::table::{Table, print as print_lines};
use super::text::{figure, loss, percent, rounded, tau};
use crate::distill::{At, Document, Losses};
use crate::error::CliError;

pub(crate) fn print(document: &Document) -> Result<(), CliError> {
    let Document { student, teacher, rows, ignored, classes, temperature, .. } = document;
    let kept = document.top_k.map_or(String::new(), |k| {
        format!(" (packed: {k} classes of each row, the others as one)")
    });
    let left_out = if *ignored > 0 { format!(", {ignored} left out") } else { String::new() };
    print_lines(|out| {
        writeln!(out, "{student} against {teacher}{kept}")?;
        writeln!(
            out,
            "{rows} rows of {classes} classes{left_out}; losses at T = {temperature}, with T²"
        )
    })?;
    print_losses(&document.losses)?;
    print_lines(|out| writeln!(out))?;
    print_temperatures(document)
}

fn print_losses(losses: &Losses) -> Result<(), CliError> {
    let mut table = Table::new(["loss", "mean"]);
    let mut row = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            table.row([name.to_owned(), loss(value)]);
        }
    };
    let Losses { alpha, .. } = losses;
    row("KL(teacher ‖ student)", Some(losses.teacher_to_student));
    row("KL(student ‖ teacher)", Some(losses.student_to_teacher));
    row("Jensen–Shannon", Some(losses.jensen_shannon));
    row("cross-entropy with the labels, τ = 1", losses.cross_entropy);
    let (hard, soft) = (rounded(*alpha), rounded(1.0 - alpha));
    row(&format!("{hard} of that + {soft} of KL(teacher ‖ student)"), losses.mixture);
    row("decoupled: label against the rest (TCKD)", losses.decoupled_target);
    row("decoupled: the rest among itself (NCKD)", losses.decoupled_rest);
    row("TCKD + 8·NCKD", losses.decoupled);
    table.print()
}

fn print_temperatures(document: &Document) -> Result<(), CliError> {
    let target = if document.labels.is_some() { "label" } else { "likeliest" };
    let mut table = Table::new([
        "T",
        "entropy",
        "effective classes",
        "max p",
        "loss",
        "gradient",
        "without T²",
        "",
        target,
        "runner-up",
        "rest",
    ]);
    let bars = Bars::for_locale();
    for at in &document.at {
        let shares = [at.target_share, at.second_share, at.rest_share];
        // Without a gradient there is nothing to share.
        let share = |x: f64| if x.is_nan() { "none".to_owned() } else { percent(x) };
        table.row(
            [
                tau(at.temperature.tau()),
                figure(at.entropy),
                figure(at.effective_classes),
                figure(at.max_probability),
                loss(at.loss),
                loss(at.gradient),
                loss(at.gradient_without_t_squared),
                bars.draw(&shares, 1.0),
            ]
            .into_iter()
            .chain(shares.map(share)),
        );
    }
    table.print()
}

/// How soft the teacher is, and where the gradient goes, against T.
pub(crate) fn chart(document: &Document, axis: Axis, curve: &[At]) -> Chart {
    let most = if document.classes > 1 { (document.classes as f64).ln() } else { 1.0 };
    type Line = (String, Box<dyn Fn(&At) -> f64>);
    let target = if document.labels.is_some() { "label" } else { "likeliest" };
    let lines: [Line; 5] = [
        (format!("entropy / ln {}", document.classes), Box::new(move |at| at.entropy / most)),
        ("max probability".to_owned(), Box::new(|at| at.max_probability)),
        (format!("gradient: {target}"), Box::new(|at| at.target_share)),
        ("gradient: runner-up".to_owned(), Box::new(|at| at.second_share)),
        ("gradient: rest".to_owned(), Box::new(|at| at.rest_share)),
    ];
    let along = |rows: &[At], of: &dyn Fn(&At) -> f64| {
        let points = rows.iter().map(|at| (at.temperature, of(at)));
        points.filter(|(_, value)| value.is_finite()).collect::<Vec<_>>()
    };
    let mut series: Vec<Series> = lines
        .into_iter()
        .map(|(label, of)| Series {
            label: Some(label),
            curve: along(curve, &of),
            marks: along(&document.at, &of),
        })
        .collect();
    // As they stand at the right end.
    let end = |series: &Series| series.curve.last().map_or(0.0, |(_, value)| *value);
    series.sort_by(|a, b| end(b).total_cmp(&end(a)));
    Chart { title: "Distillation against temperature".into(), labelled: "mean of", axis, series }
}
