//! What `sample` shows: the distribution that is drawn from, and what a check found.

use super::bars::Bars;
use super::table::{Table, print};
use super::text::{figure, p_value_text, percent, short, signed, significant, tau};
use crate::error::CliError;
use crate::sample::check::{FittedTemperature, Verdict};
use crate::sample::distribution::Distribution;

/// Classes that are shown one by one.
const SHOWN: usize = 10;

/// The most probable classes, and what is left for the others. `place` says which row it is, if there are several.
pub(crate) fn print_distribution(
    distribution: &Distribution,
    words: Option<&[String]>,
    place: Option<&str>,
) -> Result<(), CliError> {
    let Distribution { settings, classes, entries } = distribution;
    let kept = entries.len();
    print(|out| {
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        writeln!(out, "{place}{settings}: {kept} of {classes} classes can be drawn")
    })?;
    let mut headings = vec!["class", "", "logit", "at temperature 1", "drawn with"];
    if words.is_some() {
        headings.insert(1, "word");
    }
    let mut table = Table::new(headings);
    let shown = &entries[..entries.len().min(SHOWN)];
    let full = shown.first().map_or(1.0, |entry| entry.probability);
    let bars = Bars::for_locale();
    for entry in shown {
        let mut cells = vec![entry.token.to_string()];
        cells.extend(words.map(|words| words[entry.token as usize].escape_debug().to_string()));
        cells.extend([
            bars.draw(&[entry.probability], full),
            short(entry.logit),
            figure(entry.raw_probability),
            figure(entry.probability),
        ]);
        table.row(cells);
    }
    table.print()?;
    let others = entries.len() - shown.len();
    if others == 0 {
        return Ok(());
    }
    let tail: f64 = entries[shown.len()..].iter().map(|entry| entry.probability).sum();
    print(|out| writeln!(out, "the other {others}, together: {}", figure(tail)))
}

/// The tests, one a line, and what they come to.
pub(crate) fn print_check(
    observed: &str,
    rows: usize,
    classes: usize,
    settings: &str,
    verdict: &Verdict,
) -> Result<(), CliError> {
    let Verdict { draws, impossible, chi_square, tails, beyond, .. } = verdict;
    let of = if rows == 1 { String::new() } else { format!(" of {rows} rows") };
    print(|out| writeln!(out, "{observed}: {draws} draws{of} from {classes} classes, {settings}"))?;
    let mut table = Table::new(["test", "drawn", "expected", "sigma", "p"]);
    let p = |p: f64| p_value_text(p).trim_start_matches("= ").to_owned();
    let none = String::new;
    let never: u64 = impossible.iter().map(|one| one.drawn).sum();
    table.row(["impossible classes".into(), never.to_string(), "0".into(), none(), none()]);
    let statistic = significant(chi_square.statistic, 4);
    let name = format!("χ² = {statistic}, {} degrees of freedom", chi_square.degrees);
    table.row([name, none(), none(), none(), p(chi_square.p_value)]);
    for tail in tails {
        let name = match tail.from_rank {
            Some(rank) => format!("tail beyond rank {rank}"),
            None => format!("tail of {} of the mass", percent(tail.mass)),
        };
        let z = signed(tail.z, |z| significant(z, 2));
        table.row([
            name,
            tail.drawn.to_string(),
            significant(tail.expected, 3),
            z,
            p(tail.p_value),
        ]);
    }
    if let Some(beyond) = beyond.filter(|beyond| beyond.mass > 0.0) {
        let name = format!("beyond rank {}, the last one drawn", beyond.ranks);
        table.row([name, "0".into(), significant(beyond.expected, 3), none(), p(beyond.p_value)]);
    }
    let name = format!("likelihood, beside {} others", verdict.alternatives_tried);
    table.row([name, none(), none(), none(), p(verdict.alternatives_p_value)]);
    table.print()?;
    print(|out| {
        if let Some(FittedTemperature { fitted, interval: [low, high], .. }) = verdict.temperature {
            let [fitted, low, high] = [fitted, low, high].map(tau);
            writeln!(
                out,
                "the draws are likeliest at temperature {fitted} (95 % interval {low} to {high})"
            )?;
        }
        if verdict.passed {
            return writeln!(
                out,
                "passed: nothing speaks against this distribution (p {} over all tests)",
                p_value_text(verdict.p_value)
            );
        }
        writeln!(out, "failed: they are not from this distribution")?;
        verdict.findings.iter().try_for_each(|finding| writeln!(out, "- {finding}"))
    })
}
