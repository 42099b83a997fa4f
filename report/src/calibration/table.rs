//! Every figure before and after, with how sure it is: the same lines on the page and in the terminal.

use softargmax::{BinFree, CalibrationError, Interval, Mean, Null};

use super::view::{Calibration, Panel};
use crate::text::{loss, p_value_text, percent, points, signed};

/// One line: what it is, and what it was and became.
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// What that means, in a few words.
    pub meaning: &'static str,
    /// At τ = 1.
    pub before: Cell,
    /// At the temperature found.
    pub after: Option<Cell>,
    /// After less before.
    pub change: Option<Cell>,
}

/// A figure, and below it how far it may be trusted; empty where nothing is known of that.
#[derive(Default)]
pub struct Cell {
    /// The figure.
    pub value: String,
    /// How far it may be trusted.
    pub trust: String,
}

/// Every figure.
pub fn lines(calibration: &Calibration) -> Vec<Line> {
    let line = |name, meaning, of: &dyn Fn(&Panel) -> Cell, change: Option<Cell>| Line {
        name,
        meaning,
        before: of(&calibration.before),
        after: calibration.after.as_ref().map(|after| of(&after.panel)),
        change,
    };
    let differences = calibration.after.as_ref().map(|after| &after.differences);
    let plain = |value: String| Cell { value, trust: String::new() };
    vec![
        line(
            "NLL",
            "mean −ln p of the label, in nats",
            &|p| mean(&p.summary.nll, loss),
            differences.map(|d| change(&d.nll, loss)),
        ),
        line(
            "Brier score",
            "mean Σ (p − label)² over classes",
            &|p| mean(&p.summary.brier, loss),
            differences.map(|d| change(&d.brier, loss)),
        ),
        line(
            "Accuracy",
            "the arg max is the label",
            &|p| mean(&p.summary.accuracy, percent),
            differences.map(|d| change(&d.accuracy, points)),
        ),
        line(
            "Mean confidence",
            "mean largest probability",
            &|p| mean(&p.summary.confidence, percent),
            None,
        ),
        line(
            "Overconfidence",
            "mean confidence − accuracy, in points",
            &|p| {
                let Mean { value, std_error } = p.summary.overconfidence;
                Cell { value: signed(value, points), trust: uncertainty(std_error, points) }
            },
            None,
        ),
        line(
            "ECE",
            "15 bins of equal width",
            &|p| with_noise(&p.ece),
            differences.map(|d| change(&d.ece, points)),
        ),
        line(
            "ECE, equal mass",
            "15 bins of as many rows each",
            &|p| with_noise(&p.equal_mass),
            None,
        ),
        line(
            "Debiased error",
            "root mean square over bins, less what noise adds",
            &|p| plain(percent(p.ece.debiased)),
            None,
        ),
        line("Largest gap", "of a bin of equal width (MCE)", &|p| plain(percent(p.ece.max)), None),
        line("Smooth ECE", "no bins: a kernel of fitting width", &|p| bin_free(&p.smooth), None),
        line(
            "KS error",
            "no bins: largest cumulative gap",
            &|p| bin_free(&p.kolmogorov_smirnov),
            None,
        ),
        line(
            "Miscalibration",
            "of the Brier score of the top label (CORP)",
            &|p| plain(loss(p.brier.miscalibration)),
            None,
        ),
        line(
            "Discrimination",
            "the same score's part for telling right from wrong",
            &|p| plain(loss(p.brier.discrimination)),
            None,
        ),
        line("AURC", "area under risk–coverage", &|p| plain(percent(p.risk.aurc)), None),
    ]
}

fn mean(mean: &Mean, write: fn(f64) -> String) -> Cell {
    Cell { value: write(mean.value), trust: uncertainty(mean.std_error, write) }
}

/// A standard error, where there is one.
fn uncertainty(std_error: f64, write: fn(f64) -> String) -> String {
    if std_error.is_finite() { format!("± {}", write(std_error)) } else { String::new() }
}

fn change(difference: &Interval, write: fn(f64) -> String) -> Cell {
    let Interval { value, low, high } = *difference;
    if low == 0.0 && high == 0.0 {
        return Cell { value: "none".to_owned(), ..Cell::default() };
    }
    Cell {
        value: signed(value, write),
        trust: format!("{} to {}", signed(low, write), signed(high, write)),
    }
}

fn with_noise(error: &CalibrationError) -> Cell {
    Cell { value: percent(error.ece), trust: noise(&error.null) }
}

fn bin_free(error: &BinFree) -> Cell {
    Cell { value: percent(error.value), trust: noise(&error.null) }
}

/// What a calibrated model of this size shows on average, and how often it shows as much as this one.
fn noise(null: &Null) -> String {
    format!("noise {}, p {}", percent(null.mean), p_value_text(null.p_value))
}
