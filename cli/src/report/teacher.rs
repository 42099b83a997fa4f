//! What `teacher` shows.

use super::table::{Table, print as print_lines};
use super::text::{figure, loss, percent, signed, tau};
use crate::error::CliError;
use crate::teacher::{Against, Audit, Shape, TailMass};

pub(crate) fn print_pack(output: &str, shape: &Shape, tail: &[TailMass]) -> Result<(), CliError> {
    print_lines(|out| writeln!(out, "{output}: {}", described(shape)))?;
    print_tail(tail)
}

fn described(shape: &Shape) -> String {
    let Shape { rows, classes, top_k, dtype, source_dtype, bytes, bytes_per_row, .. } = shape;
    let s = if *rows == 1 { "" } else { "s" };
    format!(
        "{rows} row{s} of {classes} classes, the {top_k} likeliest of each as {dtype} (from \
         {source_dtype}); {bytes} bytes, {bytes_per_row} a row"
    )
}

fn print_tail(tail: &[TailMass]) -> Result<(), CliError> {
    let mut table = Table::new(["temperature", "mass of the others: mean", "largest"]);
    for TailMass { temperature, mean, largest, .. } in tail {
        table.row([temperature.to_string(), figure(*mean), figure(*largest)]);
    }
    table.print()
}

pub(crate) fn print_verify(
    file: &str,
    shape: &Shape,
    blocks: u64,
    tail: &[TailMass],
    against: Option<&Against>,
) -> Result<(), CliError> {
    let s = if blocks == 1 { "" } else { "s" };
    print_lines(|out| {
        writeln!(out, "{file}: sound, {blocks} block{s}")?;
        writeln!(out, "{}", described(shape))
    })?;
    let Some(against) = against else { return print_tail(tail) };
    print_lines(|out| {
        writeln!(
            out,
            "against {}: the same classes, their logits within {}; the largest errors",
            against.logits,
            figure(against.logit_error)
        )
    })?;
    let mut table = Table::new([
        "temperature",
        "",
        "log Z",
        "interpolation at most",
        "probability",
        "mass of the others",
    ]);
    for at in &against.at {
        table.row([
            tau(at.temperature.tau()),
            (if at.on_grid { "stored" } else { "between" }).to_owned(),
            figure(at.log_z_error),
            figure(at.log_z_bound),
            figure(at.probability_error),
            figure(at.tail_error),
        ]);
    }
    table.print()
}

pub(crate) fn print_audit(audit: &Audit) -> Result<(), CliError> {
    let Audit { teacher, rows, classes, top_k, temperature, .. } = audit;
    let student = audit.student.as_deref().unwrap_or("a student that knows nothing");
    print_lines(|out| {
        writeln!(
            out,
            "{teacher}: {rows} rows of {classes} classes, the {top_k} likeliest kept; T = \
             {temperature}, against {student}"
        )?;
        let of = if audit.packed { ", the others as one class" } else { "" };
        writeln!(
            out,
            "the truth{of}: loss {}, gradient {}; the others have {} of the mass",
            loss(audit.loss),
            loss(audit.gradient),
            percent(audit.tail)
        )
    })?;
    let mut table =
        Table::new(["convention", "the others have", "loss", "off by", "gradient off by"]);
    let unknown = || "unknown".to_owned();
    for line in &audit.conventions {
        table.row([
            line.convention.words().to_owned(),
            line.tail.map_or_else(unknown, percent),
            line.loss.map_or_else(unknown, loss),
            line.difference.map_or_else(unknown, |x| signed(x, loss)),
            match (line.relative_gradient_error, line.gradient_error) {
                (Some(share), _) => percent(share),
                (None, Some(error)) => loss(error),
                (None, None) => unknown(),
            },
        ]);
    }
    table.print()
}
