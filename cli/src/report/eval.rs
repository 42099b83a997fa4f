//! What `eval` shows: everything at one temperature, or the most important at each of several.

use super::fit::share;
use super::table::{Table, print as print_lines};
use super::text::{loss, p_value_text, signed, tau};
use crate::error::CliError;
use crate::eval::figures::Figures;
use crate::eval::{HELD_SCORES, Measures, OfScores, WithNull};
use crate::labelled::Labelled;

pub(crate) fn print(labelled: &Labelled, bins: u32, measures: &[Measures]) -> Result<(), CliError> {
    let rows = measures.first().map_or(0, |measures| measures.figures.rows);
    let (name, classes) = (labelled.name(), labelled.classes());
    let at = match measures {
        [one] => format!(", {}", called(one)),
        _ => String::new(),
    };
    print_lines(|out| writeln!(out, "{name}: {rows} labelled rows of {classes} classes{at}"))?;
    match measures {
        [one] => print_one(bins, one),
        several => print_several(bins, several),
    }
}

fn called(measures: &Measures) -> String {
    match measures.temperature {
        Some(temperature) if measures.model == "temperature" => {
            format!("temperature {temperature}")
        }
        _ => format!("fit of {}", measures.model),
    }
}

fn print_one(bins: u32, measures: &Measures) -> Result<(), CliError> {
    let Figures {
        nll,
        nll_std_error,
        brier,
        brier_std_error,
        accuracy,
        accuracy_std_error,
        confidence,
        overconfidence,
        overconfidence_std_error,
        ece,
        ece_null_mean,
        ece_null_quantile_95,
        ece_p_value,
        ece_debiased,
        mce,
        ..
    } = measures.figures;
    let mut table = Table::new(["", "value", "std. error", "noise floor", "95 % of noise", "p"]);
    let mut row = |name: &str, cells: [String; 5]| {
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    let none = String::new;
    let mean = |value: f64, error: f64, write: fn(f64) -> String| {
        [write(value), write(error), none(), none(), none()]
    };
    let plain = |value: String| [value, none(), none(), none(), none()];
    let noisy = |with: WithNull| {
        let p = p_value_text(with.p_value);
        let p = p.trim_start_matches("= ").to_owned();
        [share(with.value), none(), share(with.null_mean), share(with.null_quantile_95), p]
    };
    let width = WithNull {
        value: ece,
        null_mean: ece_null_mean,
        null_quantile_95: ece_null_quantile_95,
        p_value: ece_p_value,
    };
    row("NLL", mean(nll, nll_std_error, loss));
    row("Brier score", mean(brier, brier_std_error, loss));
    row("accuracy", mean(accuracy, accuracy_std_error, share));
    row("mean confidence", plain(share(confidence)));
    let gap =
        [signed(overconfidence, share), share(overconfidence_std_error), none(), none(), none()];
    row("confidence − accuracy", gap);
    row(&format!("ECE, {bins} bins of equal width"), noisy(width));
    row("the same, debiased", plain(share(ece_debiased)));
    row("largest gap of a bin (MCE)", plain(share(mce)));
    let OfScores { ece_equal_mass, smooth_ece, kolmogorov_smirnov, .. } = measures.of_scores;
    let noisy_ones = [
        (format!("ECE, {bins} bins of equal mass"), ece_equal_mass),
        (format!("classwise ECE, {bins} bins"), measures.classwise_ece),
        ("smooth ECE".to_owned(), smooth_ece),
        ("KS calibration error".to_owned(), kolmogorov_smirnov),
    ];
    for (name, value) in &noisy_ones {
        if let Some(value) = value {
            row(name, noisy(*value));
        }
    }
    let OfScores { miscalibration, discrimination, uncertainty, aurc, excess_aurc, .. } =
        measures.of_scores;
    type Line = (&'static str, Option<f64>, fn(f64) -> String);
    let plain_ones: [Line; 5] = [
        ("miscalibration (CORP)", miscalibration, loss),
        ("discrimination", discrimination, loss),
        ("uncertainty", uncertainty, loss),
        ("risk–coverage area (AURC)", aurc, share),
        ("the same, in excess", excess_aurc, share),
    ];
    for (name, value, write) in plain_ones {
        if let Some(value) = value {
            row(name, plain(write(value)));
        }
    }
    table.print()?;
    if aurc.is_none() {
        print_lines(|out| {
            writeln!(
                out,
                "of more than {HELD_SCORES} rows: bins of equal mass, smooth ECE, KS, CORP and AURC need \
                 all scores at once and were left out"
            )
        })?;
    }
    Ok(())
}

fn print_several(bins: u32, several: &[Measures]) -> Result<(), CliError> {
    let ece = format!("ECE, {bins} bins");
    let headings =
        ["temperature", "NLL", "±", "Brier", "±", "accuracy", "confidence", &ece, "floor", "p"];
    let mut table = Table::new(headings);
    for Measures { temperature, model, figures, .. } in several {
        let name = temperature.map_or((*model).to_owned(), |t| tau(t.tau()));
        table.row([
            name,
            loss(figures.nll),
            loss(figures.nll_std_error),
            loss(figures.brier),
            loss(figures.brier_std_error),
            share(figures.accuracy),
            share(figures.confidence),
            share(figures.ece),
            share(figures.ece_null_mean),
            p_value_text(figures.ece_p_value).trim_start_matches("= ").to_owned(),
        ]);
    }
    table.print()?;
    print_lines(|out| {
        writeln!(
            out,
            "± is the standard error; floor is the ECE of a calibrated model on as many rows, and p \
             how often it shows as much"
        )
    })
}
