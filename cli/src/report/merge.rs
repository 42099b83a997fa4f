//! What `merge` shows.

use std::io::{self, Write};

use softargmax::Outcome;

use super::fit::share;
use super::table::{Table, print as print_lines};
use super::text::{loss, p_value_text, tau};
use crate::error::CliError;
use crate::scan::merge::{Document, Metrics};

pub(crate) fn print(document: &Document, outcome: Outcome) -> Result<(), CliError> {
    print_lines(|out| words(out, document, outcome))?;
    document.tally.as_ref().map_or(Ok(()), print_metrics)
}

fn words(out: &mut dyn Write, document: &Document, outcome: Outcome) -> io::Result<()> {
    let Document { scans, rows, classes, .. } = document;
    let scans = if *scans == 1 { "1 scan".to_owned() } else { format!("{scans} scans") };
    let of = format!("{rows} rows of {classes} classes in {scans}");
    if let (Some(temperature), Some([low, high])) = (document.temperature, document.interval) {
        let number = tau(temperature.tau());
        writeln!(
            out,
            "temperature {number} (95 % interval {} to {}), from {of}",
            tau(low),
            tau(high)
        )?;
        if let Some(after) = document.nll_after {
            let before = document.nll_before;
            let before = if before.is_nan() { "not scanned".to_owned() } else { loss(before) };
            writeln!(
                out,
                "the mean NLL of these rows is {before} at τ = 1 and {} at this temperature",
                loss(after)
            )?;
        }
        if let Some(p) = document.p_value_tau_is_one.filter(|p| !p.is_nan()) {
            writeln!(
                out,
                "were τ = 1 right, a difference as large would have p {}",
                p_value_text(p)
            )?;
        }
        if let Some(tolerance) = document.tolerance.filter(|tolerance| *tolerance > 1e-9) {
            writeln!(
                out,
                "it is within a factor of 1 ± {tolerance:.0e} of the best; scan --around {number} for more digits"
            )?;
        }
        return Ok(());
    }
    let why = match outcome {
        Outcome::OutOfRange => {
            "the best one is not between those that were scanned: scan --around another".to_owned()
        }
        Outcome::Separable => "the label has the largest logit in every row, so that a lower \
                               temperature always fits better, down to 0"
            .to_owned(),
        Outcome::NoSignal => "the labels' logits are not above the mean of their rows, so that a \
                              higher temperature always fits better, up to inf"
            .to_owned(),
        Outcome::ConstantLogits => {
            "the logits of every row are all equal, so that all temperatures are the same"
                .to_owned()
        }
        Outcome::InfiniteNll => format!(
            "the NLL is infinite at every temperature: {} rows have a label whose logit is -inf",
            document.infinite
        ),
        _ => "no row has a label and a weight".to_owned(),
    };
    writeln!(out, "no temperature fits best, of {of}: {why}")
}

fn print_metrics(metrics: &Metrics) -> Result<(), CliError> {
    print_lines(|out| writeln!(out, "\nat temperature {}", metrics.temperature))?;
    let mut table = Table::new(["", "value", "std. error", "noise floor", "p"]);
    let (none, share, loss) = (String::new, share, loss);
    let Metrics { nll, nll_std_error, brier, brier_std_error, .. } = *metrics;
    table.row(["NLL".to_owned(), loss(nll), loss(nll_std_error), none(), none()]);
    table.row(["Brier score".to_owned(), loss(brier), loss(brier_std_error), none(), none()]);
    let (accuracy, error) = (metrics.accuracy, metrics.accuracy_std_error);
    table.row(["accuracy".to_owned(), share(accuracy), share(error), none(), none()]);
    let p = p_value_text(metrics.ece_p_value).trim_start_matches("= ").to_owned();
    let floor = share(metrics.ece_null_mean);
    table.row(["ECE, 15 bins of equal width".to_owned(), share(metrics.ece), none(), floor, p]);
    table.print()
}
