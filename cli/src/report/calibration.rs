//! The report as text: both diagrams side by side, the figures, and the words.
//!
//! A character is about twice as high as wide, so a square takes twice as many columns as lines.

use std::fmt::Write as _;

use softargmax::{Band, Step};
use softargmax_report::calibration::{Calibration, Cell, Panel, lines, words};

use super::bars::Bars;
use super::table::{Table, print as print_to_stdout};
use super::text::{percent, tau};
use crate::error::CliError;

const COLUMNS: usize = 32;
const LINES: usize = 16;
/// Before each line of a diagram: `0.5 ┤`.
const MARGIN: usize = 5;

/// The characters of a diagram.
struct Characters {
    line: char,
    band: char,
    diagonal: char,
    axis: char,
}

const UNICODE: Characters = Characters { line: '●', band: '░', diagonal: '·', axis: '┤' };
const ASCII: Characters = Characters { line: 'o', band: ':', diagonal: '.', axis: '|' };

/// Prints it to standard output.
pub(crate) fn print(calibration: &Calibration) -> Result<(), CliError> {
    let words = words(calibration);
    let bars = Bars::for_locale();
    let diagrams: Vec<Vec<String>> =
        calibration.panels().map(|(_, panel)| diagram(panel, &bars)).collect();
    print_to_stdout(|out| {
        writeln!(out, "{}\n", words.headline)?;
        for i in 0..diagrams.iter().map(Vec::len).max().unwrap_or(0) {
            let line: Vec<String> = diagrams
                .iter()
                .map(|lines| format!("{:<width$}", lines[i], width = MARGIN + COLUMNS))
                .collect();
            writeln!(out, "{}", line.join("   ").trim_end())?;
        }
        writeln!(out)
    })?;
    table(calibration)?;
    print_to_stdout(|out| {
        for sentence in words.findings.iter().chain(&words.caveats) {
            writeln!(out, "\n{}", filled(sentence, 80))?;
        }
        if let Some(command) = &words.command {
            writeln!(out, "\n  {command}")?;
        }
        Ok(())
    })
}

/// Prints the finding alone, where the rest went to a file.
pub(crate) fn print_headline(calibration: &Calibration) -> Result<(), CliError> {
    print_to_stdout(|out| writeln!(out, "{}", words(calibration).headline))
}

/// The lines of one diagram, its histogram below it.
fn diagram(panel: &Panel, bars: &Bars) -> Vec<String> {
    let characters = if bars.are_ascii() { &ASCII } else { &UNICODE };
    let columns: Vec<[char; LINES]> = (0..COLUMNS).map(|i| column(panel, i, characters)).collect();
    let ascii = bars.are_ascii();
    let tau = tau(panel.temperature.tau());
    let title = if ascii { format!("tau = {tau}") } else { format!("τ = {tau}") };
    let mut lines = vec![format!(
        "{:MARGIN$}{title}: {} sure, {} right",
        "",
        percent(panel.summary.confidence.value),
        percent(panel.summary.accuracy.value)
    )];
    for i in 0..LINES {
        let label = match i {
            0 => "1",
            i if i == LINES / 2 => "0.5",
            i if i == LINES - 1 => "0",
            _ => "",
        };
        lines.push(format!(
            "{label:>3} {}{}",
            characters.axis,
            columns.iter().map(|column| column[i]).collect::<String>()
        ));
    }
    let full = coarse(&panel.histogram).into_iter().fold(0.0, f64::max);
    lines.push(format!("{:MARGIN$}{}", "", bars.draw(&coarse(&panel.histogram), full)));
    let mut axis = String::new();
    let _ = write!(
        axis,
        "{:MARGIN$}0{:>half$}{:>rest$}",
        "",
        "0.5",
        "1",
        half = COLUMNS / 2,
        rest = COLUMNS - COLUMNS / 2 - 1
    );
    lines.push(axis);
    lines
}

/// One column of a diagram, from top to bottom.
fn column(panel: &Panel, i: usize, characters: &Characters) -> [char; LINES] {
    let mut column = [' '; LINES];
    let confidence = (i as f64 + 0.5) / COLUMNS as f64;
    match band_at(&panel.band, confidence) {
        Some((lower, upper)) => column[line_of(upper)..=line_of(lower)].fill(characters.band),
        None => column[line_of(confidence)] = characters.diagonal,
    }
    if let Some(share) = share_at(&panel.steps, confidence, 0.5 / COLUMNS as f64) {
        column[line_of(share)] = characters.line;
    }
    column
}

/// The histogram, one bar per column.
fn coarse(shares: &[f64]) -> Vec<f64> {
    let mut columns = vec![0.0; COLUMNS];
    for (i, share) in shares.iter().enumerate() {
        columns[(i * COLUMNS / shares.len()).min(COLUMNS - 1)] += share;
    }
    columns
}

/// Which line a share stands in; 1 is on top.
fn line_of(share: f64) -> usize {
    LINES - 1 - ((share * LINES as f64) as usize).min(LINES - 1)
}

/// The line's share at a confidence, straight between steps; a column that holds a step's end counts as
/// within.
fn share_at(steps: &[Step], confidence: f64, reach: f64) -> Option<f64> {
    let (first, last) = (steps.first()?, steps.last()?);
    if confidence + reach < first.lower || confidence - reach > last.upper {
        return None;
    }
    let after = steps.partition_point(|step| step.upper < confidence);
    match (after.checked_sub(1).map(|i| &steps[i]), steps.get(after)) {
        (Some(before), Some(step)) if confidence < step.lower => {
            let along = (confidence - before.upper) / (step.lower - before.upper);
            Some(before.accuracy + along * (step.accuracy - before.accuracy))
        }
        (_, Some(step)) => Some(step.accuracy),
        (before, None) => before.map(|step| step.accuracy),
    }
}

/// The band at the confidence nearest to this one, where there is one near.
fn band_at(band: &Band, confidence: f64) -> Option<(f64, f64)> {
    let distance = |i: &usize| (band.at[*i] - confidence).abs();
    // Beyond the confidences there are, the band has no place.
    let places = (0..band.at.len()).filter(|&i| band.lower[i].is_finite());
    let nearest = places.min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    (distance(&nearest) <= 1.0 / COLUMNS as f64).then(|| (band.lower[nearest], band.upper[nearest]))
}

fn table(calibration: &Calibration) -> Result<(), CliError> {
    let taus: Vec<String> = calibration
        .panels()
        .map(|(_, panel)| format!("τ = {}", tau(panel.temperature.tau())))
        .collect();
    let headings = ["figure"].into_iter().chain(taus.iter().flat_map(|tau| [tau.as_str(), ""]));
    let mut table = Table::new(
        headings.chain(calibration.after.as_ref().map(|_| ["change", ""]).into_iter().flatten()),
    );
    for line in lines(calibration) {
        let cells = [Some(line.before), line.after, line.change].into_iter().flatten();
        table.row(
            [line.name.to_owned()]
                .into_iter()
                .chain(cells.flat_map(|Cell { value, trust }| [value, trust])),
        );
    }
    table.print()
}

/// Broken into lines of at most so many characters.
pub(super) fn filled(text: &str, width: usize) -> String {
    let (mut filled, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            filled.push('\n');
            column = 0;
        } else if column > 0 {
            filled.push(' ');
            column += 1;
        }
        filled += word;
        column += length;
    }
    filled
}
