//! What `sweep` shows.

use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::bars::Bars;
use super::chart::{Axis, Chart, Series};
use super::table::{Table, print};
use super::text::{figure, short};
use crate::error::CliError;
use crate::sweep::distribution::Distribution;
use crate::sweep::summary::Summary;

/// More entries than this do not fit side by side.
const COLUMNS: usize = 8;
/// A picture with more bars than this is wider than what it illustrates.
const BARS: usize = 40;

pub(crate) fn print_distributions(logits: &[f64], rows: &[Distribution]) -> Result<(), CliError> {
    let shown = largest(logits, COLUMNS);
    let headings: Vec<String> = shown.iter().map(|&i| short(logits[i])).collect();
    let mut table = Table::new(
        ["temperature", ""].into_iter().chain(headings.iter().map(String::as_str)).chain([
            "entropy",
            "perplexity",
            "to arg max",
            "to uniform",
        ]),
    );
    let bars = Bars::for_locale();
    let colour = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    // One scale for all rows, so that a flat distribution looks flat beside a sharp one.
    let full = rows.iter().map(|row| row.max_probability).fold(0.0, f64::max);
    for row in rows {
        let picked: Vec<f64> = shown.iter().map(|&i| row.probabilities[i]).collect();
        let drawn = if logits.len() <= BARS { &row.probabilities } else { &picked };
        let picture = bars.draw(drawn, full);
        let figures =
            [row.entropy, row.perplexity, row.distance_to_argmax, row.distance_to_uniform];
        table.row(
            [row.temperature.to_string(), format!("{colour}{picture}{colour:#}")]
                .into_iter()
                .chain(picked.into_iter().chain(figures).map(figure)),
        );
    }
    table.print()?;
    if shown.len() < logits.len() {
        let (shown, all) = (shown.len(), logits.len());
        print(|out| writeln!(out, "the {shown} largest of {all} entries; --json has all"))?;
    }
    Ok(())
}

/// Which entries have the largest logits, at most `count`, in the order typed.
fn largest(logits: &[f64], count: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..logits.len()).collect();
    indices.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    indices.truncate(count);
    indices.sort_unstable();
    indices
}

pub(crate) fn print_summaries(
    file: &str,
    count: u64,
    classes: usize,
    rows: &[Summary],
) -> Result<(), CliError> {
    print(|out| writeln!(out, "{file}: {count} rows of {classes} classes; p is a row's largest"))?;
    let mut table = Table::new([
        "temperature",
        "mean entropy",
        "perplexity",
        "mean p",
        "rows p > 0.5",
        "p > 0.9",
        "p > 0.99",
    ]);
    let share = |above: u64| format!("{above} ({:.1}%)", above as f64 / count as f64 * 100.0);
    for row in rows {
        table.row([
            row.temperature.to_string(),
            figure(row.mean_entropy),
            figure(row.perplexity),
            figure(row.mean_max_probability),
            share(row.rows_above_0_5),
            share(row.rows_above_0_9),
            share(row.rows_above_0_99),
        ]);
    }
    table.print()
}

/// One line per logit, the largest on top; equal logits share a label.
pub(crate) fn chart_of_logits(
    logits: &[f64],
    axis: Axis,
    curve: &[Distribution],
    rows: &[Distribution],
) -> Chart {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let probabilities = |rows: &[Distribution], i: usize| {
        rows.iter().map(|row| (row.temperature, row.probabilities[i])).collect()
    };
    let line = |(rank, &i): (usize, &usize)| {
        let ties = order.iter().filter(|&&j| logits[j] == logits[i]).count();
        let is_first = rank == 0 || logits[order[rank - 1]] != logits[i];
        let label = match ties {
            1 => short(logits[i]),
            ties => format!("{} ×{ties}", short(logits[i])),
        };
        Series {
            label: is_first.then_some(label),
            curve: probabilities(curve, i),
            marks: probabilities(rows, i),
        }
    };
    let series = order.iter().enumerate().map(line).collect();
    Chart { title: "Probability against temperature".into(), labelled: "logit", axis, series }
}

/// Mean max probability, and mean entropy as a share of its largest value ln(classes).
pub(crate) fn chart_of_file(
    file: &str,
    classes: usize,
    axis: Axis,
    curve: &[Summary],
    rows: &[Summary],
) -> Chart {
    // One class has no entropy, and so no share of it.
    let most = if classes > 1 { (classes as f64).ln() } else { 1.0 };
    let entropy = |row: &Summary| (row.temperature, row.mean_entropy / most);
    let max_probability = |row: &Summary| (row.temperature, row.mean_max_probability);
    // At the right end, the high temperatures, entropy is on top.
    let series = vec![
        Series {
            label: Some(format!("entropy / ln {classes}")),
            curve: curve.iter().map(entropy).collect(),
            marks: rows.iter().map(entropy).collect(),
        },
        Series {
            label: Some("max probability".to_owned()),
            curve: curve.iter().map(max_probability).collect(),
            marks: rows.iter().map(max_probability).collect(),
        },
    ];
    // What the folders are called is of no interest in a picture.
    let name = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
    Chart { title: format!("{name} against temperature"), labelled: "mean of", axis, series }
}
