//! The figures, the curve and the suggestions as text.

use super::super::bars::Bars;
use super::super::calibration::filled;
use super::super::table::{Table, print as print_to_stdout};
use super::super::text::significant;
use super::lines::{cells, headings, lines, marks, note};
use super::words::words;
use super::{drawn, top};
use crate::contrast::view::{Contrast, Level, WARNING};
use crate::error::CliError;

const COLUMNS: usize = 64;
const LINES: usize = 12;
/// How wide a sentence may be.
const WIDTH: usize = 90;

/// The characters of the chart.
struct Characters {
    loss: char,
    floor: char,
    unrelated: char,
    axis: char,
}

const UNICODE: Characters = Characters { loss: '●', floor: '─', unrelated: '┄', axis: '┤' };
const ASCII: Characters = Characters { loss: 'o', floor: '_', unrelated: '-', axis: '|' };

/// Prints it to standard output.
pub(crate) fn print(contrast: &Contrast) -> Result<(), CliError> {
    let words = words(contrast);
    let bars = Bars::for_locale();
    let characters = if bars.are_ascii() { ASCII } else { UNICODE };
    print_to_stdout(|out| {
        writeln!(out, "{}\n\nat τ = {}", words.source, contrast.here.tau())?;
        for line in lines(contrast) {
            let text = format!("  {:<20}{:>9}  {}", line.name, line.value, line.meaning);
            writeln!(out, "{}", text.trim_end())?;
        }
        for line in chart(contrast, &characters) {
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)
    })?;
    let first = ["", "suggested by"].into_iter();
    let mut table = Table::new(first.chain(headings(contrast)));
    for mark in marks(contrast) {
        let first = [mark.letter.to_string(), mark.name].into_iter();
        table.row(first.chain(cells(contrast, mark.level)));
    }
    table.print()?;
    print_to_stdout(|out| {
        for note in contrast.suggestions.iter().filter_map(|of| note(contrast, of)) {
            writeln!(out, "{note}")?;
        }
        for sentence in words.findings.iter().map(String::as_str).chain([WARNING]) {
            writeln!(out, "\n{}", filled(sentence, WIDTH))?;
        }
        Ok(())
    })
}

/// The line that matters, where a page has the rest.
pub(crate) fn print_headline(contrast: &Contrast) -> Result<(), CliError> {
    print_to_stdout(|out| writeln!(out, "{}", words(contrast).headline))
}

/// The loss against τ, from the floor to chance; nothing where there is no curve.
fn chart(contrast: &Contrast, characters: &Characters) -> Vec<String> {
    let levels = drawn(contrast);
    let [first, .., last] = levels.as_slice() else { return Vec::new() };
    let (from, to) = (first.tau().tau().ln(), last.tau().tau().ln());
    let high = top(contrast);
    let mut grid = vec![vec![' '; COLUMNS]; LINES];
    let mut draw = |of: &dyn Fn(&Level) -> f64, character: char| {
        for column in 0..COLUMNS {
            let x = from + (to - from) * column as f64 / (COLUMNS - 1) as f64;
            let share = between(&levels, x, of) / high;
            let line = ((1.0 - share) * (LINES - 1) as f64).round() as usize;
            // Above the top there is no line.
            let row = grid.get_mut(line).filter(|_| share <= 1.0);
            row.into_iter().for_each(|row| row[column] = character);
        }
    };
    // What is drawn last is on top.
    draw(&|level| contrast.floor(level), characters.floor);
    draw(&|level| level.unrelated, characters.unrelated);
    draw(&|level| level.point.loss, characters.loss);
    let axis = characters.axis;
    let mut chart = vec![format!(
        "\n  loss {}  floor {}  unrelated pairs {}",
        characters.loss, characters.floor, characters.unrelated
    )];
    for (line, row) in grid.iter().enumerate() {
        let value = high * (1.0 - line as f64 / (LINES - 1) as f64);
        let row: String = row.iter().collect();
        let label =
            if line % 3 == 0 || line == LINES - 1 { significant(value, 2) } else { String::new() };
        chart.push(format!("  {label:>5} {axis} {row}"));
    }
    // Letters below the places of their temperatures; of two at one place, both, side by side.
    let mut letters = vec![' '; COLUMNS + 8];
    let mut marks = marks(contrast);
    marks.sort_by(|a, b| a.level.tau().tau().total_cmp(&b.level.tau().tau()));
    for mark in marks {
        let share = (mark.level.tau().tau().ln() - from) / (to - from);
        if (0.0..=1.0).contains(&share) {
            let wanted = (share * (COLUMNS - 1) as f64).round() as usize;
            if let Some(place) = (wanted..letters.len()).find(|&place| letters[place] == ' ') {
                letters[place] = mark.letter;
            }
        }
    }
    let indent = " ".repeat(10);
    chart.push(format!("{indent}{}", letters.iter().collect::<String>()));
    let ends = [first.tau().to_string(), last.tau().to_string()];
    let middle = "τ, log scale";
    let room = COLUMNS.saturating_sub(ends[0].len() + ends[1].len());
    chart.push(format!("{indent}{}{middle:^room$}{}", ends[0], ends[1]));
    chart
}

/// A quantity of the curve at ln τ = `x`, straight between its points.
fn between(levels: &[&Level], x: f64, of: &dyn Fn(&Level) -> f64) -> f64 {
    let place = |level: &Level| level.tau().tau().ln();
    let after = levels.partition_point(|level| place(level) < x).clamp(1, levels.len() - 1);
    let (left, right) = (levels[after - 1], levels[after]);
    let share = ((x - place(left)) / (place(right) - place(left))).clamp(0.0, 1.0);
    of(left) + share * (of(right) - of(left))
}
