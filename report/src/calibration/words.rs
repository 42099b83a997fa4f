//! What the figures mean, in sentences: the finding, what to do, and what to beware of.
//!
//! Nothing is called an improvement that the interval of the difference on held-out rows does not
//! bear out, and no error is called one that noise explains.

use softargmax::{Estimate, Outcome};

use super::view::{After, Calibration, Caller};
use crate::text::{loss, p_value_text, percent, points, signed, significant, tau};

/// The report in words, from the most important to the least.
pub struct Words {
    /// The finding.
    pub headline: String,
    /// What bears it, in sentences.
    pub findings: Vec<String>,
    /// What applies the temperature, where one is advised.
    pub command: Option<String>,
    /// What to bear in mind.
    pub caveats: Vec<String>,
}

/// Fewer rows than this give intervals too wide for most decisions.
const FEW_ROWS: usize = 1000;
/// A classifier this good on the rows of the fit has probably seen them before.
const SUSPICIOUS_ACCURACY: f64 = 0.995;
/// What is rarer than this is not put down to chance.
const LEVEL: f64 = 0.05;
/// Two standard deviations.
const Z_95: f64 = 1.96;

/// The words of a report.
pub fn words(calibration: &Calibration) -> Words {
    let mut findings = vec![sureness(calibration)];
    let mut command = None;
    match (&calibration.estimate, &calibration.after) {
        (Some(estimate), Some(after)) => {
            findings.push(effect(calibration, estimate, after));
            findings.push(remainder(calibration, after));
            let is_advised =
                matches!(verdict(estimate, after), Verdict::Helps | Verdict::ProbablyHelps);
            let tau = tau(estimate.temperature.tau());
            command = match calibration.caller {
                _ if !is_advised => None,
                Caller::Program { is_appliable: false } => None,
                Caller::Program { .. } => {
                    let logits = quoted(&calibration.name);
                    Some(format!("softargmax apply {logits} -t {tau} -o probabilities.npy"))
                }
                Caller::Python => {
                    Some(format!("softargmax.softmax(logits, axis=-1, temperature={tau})"))
                }
            };
        }
        _ => {
            findings.push(no_temperature(calibration.outcome).to_owned());
            findings.push(error_at_one(calibration));
        }
    }
    Words { headline: headline(calibration), findings, command, caveats: caveats(calibration) }
}

/// Which way a model errs, where more than noise says so.
fn direction(calibration: &Calibration) -> Option<&'static str> {
    let gap = calibration.before.summary.overconfidence;
    if gap.value.abs() <= Z_95 * gap.std_error || gap.value.is_nan() {
        return None;
    }
    Some(if gap.value > 0.0 { "overconfident" } else { "underconfident" })
}

/// What held-out rows say of the temperature.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Verdict {
    /// It makes them likelier, beyond noise.
    Helps,
    /// It makes them likelier, and the fitting rows rule τ = 1 out, but these alone do not.
    ProbablyHelps,
    /// Nobody can tell.
    NoDifference,
    /// It makes them less likely, beyond noise.
    Harms,
}

fn verdict(estimate: &Estimate, after: &After) -> Verdict {
    let change = after.differences.nll;
    match change {
        change if change.high < 0.0 => Verdict::Helps,
        change if change.low > 0.0 => Verdict::Harms,
        change if change.value < 0.0 && estimate.p_value < LEVEL => Verdict::ProbablyHelps,
        _ => Verdict::NoDifference,
    }
}

fn headline(calibration: &Calibration) -> String {
    let gap = points(calibration.before.summary.overconfidence.value.abs());
    let found = match direction(calibration) {
        Some(direction) => format!("{} by {gap} points", capital(direction)),
        None => "Confidence and accuracy agree within noise".to_owned(),
    };
    let advice = match (&calibration.estimate, &calibration.after) {
        (Some(estimate), Some(after)) => {
            let tau = tau(estimate.temperature.tau());
            match verdict(estimate, after) {
                Verdict::Helps => format!("dividing the logits by {tau} helps"),
                Verdict::ProbablyHelps => format!("dividing the logits by {tau} probably helps"),
                Verdict::NoDifference => "no temperature is clearly better than 1".to_owned(),
                Verdict::Harms => "a temperature makes it worse".to_owned(),
            }
        }
        _ => "no temperature can be told".to_owned(),
    };
    format!("{found}: {advice}")
}

fn sureness(calibration: &Calibration) -> String {
    let summary = &calibration.before.summary;
    let (sure, right) = (percent(summary.confidence.value), percent(summary.accuracy.value));
    let gap = summary.overconfidence;
    let low = signed(gap.value - Z_95 * gap.std_error, points);
    let high = signed(gap.value + Z_95 * gap.std_error, points);
    let verdict = match direction(calibration) {
        Some(direction) => format!("it is {direction} by {} points", points(gap.value.abs())),
        None => {
            format!("the difference of {} points is not more than noise", signed(gap.value, points))
        }
    };
    format!(
        "On average the model is {sure} sure of its answer, and {right} of its answers are right: \
         {verdict} (95 % interval {low} to {high})."
    )
}

fn effect(calibration: &Calibration, estimate: &Estimate, after: &After) -> String {
    let [low, high] = estimate.interval.map(|tau| significant(tau, 3));
    let found = tau(estimate.temperature.tau());
    let difference = after.differences.nll;
    let [from, to] = [&calibration.before, &after.panel].map(|panel| loss(panel.summary.nll.value));
    let interval = format!("{} to {}", signed(difference.low, loss), signed(difference.high, loss));
    let test = match estimate.p_value {
        p if p < LEVEL => format!("τ = 1 is ruled out (p {})", p_value_text(p)),
        p => format!("τ = 1 is not ruled out (p {})", p_value_text(p)),
    };
    let fitted = format!(
        "The best temperature of the fitting rows is τ = {found} (95 % interval {low} to {high}); \
         {test}."
    );
    let result = match verdict(estimate, after) {
        Verdict::Helps => format!(
            "On the held-out rows it lowers the NLL from {from} to {to} (95 % interval of the \
             change {interval})."
        ),
        Verdict::Harms => format!(
            "On the held-out rows it raises the NLL from {from} to {to} (95 % interval of the \
             change {interval}): do not use it."
        ),
        Verdict::ProbablyHelps | Verdict::NoDifference => format!(
            "On the held-out rows the NLL goes from {from} to {to}, a change that chance could \
             make on so many rows (95 % interval {interval})."
        ),
    };
    format!("{fitted} {result} It changes how sure the model is, never which class it picks.")
}

/// Whether what is left of the ECE asks for more than a temperature.
fn remainder(calibration: &Calibration, after: &After) -> String {
    let error = &after.panel.ece;
    let (ece, typical, limit) =
        (percent(error.ece), percent(error.null.mean), percent(error.null.quantile_95));
    let noise = format!(
        "a perfectly calibrated model shows {typical} on this many rows, and more than {limit} \
         one time in twenty"
    );
    if error.null.p_value > LEVEL {
        format!(
            "The ECE that remains, {ece}, is within noise: {noise}. It shows nothing that is left \
             to mend."
        )
    } else {
        let richer = match calibration.caller {
            Caller::Program { .. } => "softargmax fit --model auto",
            Caller::Python => "softargmax.fit_calibrator",
        };
        format!(
            "The ECE that remains, {ece}, is more than noise: {noise}. One temperature is not \
             enough; a bias per class ({richer}) or one temperature per group may be."
        )
    }
}

fn error_at_one(calibration: &Calibration) -> String {
    let error = &calibration.before.ece;
    let verdict = if error.null.p_value > LEVEL { "within" } else { "above" };
    let (ece, limit) = (percent(error.ece), percent(error.null.quantile_95));
    format!(
        "At τ = 1 the ECE is {ece}, {verdict} the noise floor: calibrated models of this size \
         stay below {limit} nineteen times in twenty."
    )
}

fn no_temperature(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Converged => "A temperature was found.",
        Outcome::Separable => {
            "No temperature is best: in every fitting row the label has the largest logit, so the \
             NLL falls all the way to τ = 0. Fit on rows that the model gets wrong, too."
        }
        Outcome::NoSignal => {
            "No temperature is best: the logits of the labels are not above the mean of their \
             rows, so the NLL falls all the way to τ = ∞. Check that the labels belong to these \
             logits, and the sign of the logits."
        }
        Outcome::ConstantLogits => "All temperatures are the same: every row has equal logits.",
        Outcome::InfiniteNll => {
            "The NLL is infinite at every temperature: the label of some fitting row has a logit \
             of −∞."
        }
        Outcome::NoRows => "There are no rows to fit on.",
        _ => "No temperature was found.",
    }
}

fn caveats(calibration: &Calibration) -> Vec<String> {
    let split = &calibration.split;
    let mut caveats = Vec::new();
    if split.held_out < FEW_ROWS || split.fitted < FEW_ROWS {
        caveats.push(format!(
            "{} rows to fit and {} to measure are few: trust the intervals, not the digits.",
            split.fitted, split.held_out
        ));
    }
    if split.unseen > 0 {
        let classes = if split.unseen == 1 { "class does" } else { "classes do" };
        caveats.push(format!(
            "{} of {} {classes} not occur among the labels of the fitting rows; nothing is known \
             of the model's confidence there.",
            split.unseen, calibration.classes
        ));
    }
    let tau = calibration.estimate.as_ref().map(|estimate| estimate.temperature.tau());
    if split.fitted_accuracy >= SUSPICIOUS_ACCURACY
        && (split.fitted >= FEW_ROWS || tau.is_some_and(|tau| tau < 1.0))
    {
        caveats.push(format!(
            "{} of the fitting rows are right, as in rows that the model was trained on. On those \
             a temperature comes out too low: use rows that it has never seen.",
            percent(split.fitted_accuracy)
        ));
    }
    if split.ignored > 0 {
        caveats.push(format!("{} rows without a class were left out.", split.ignored));
    }
    if calibration.before.summary.nll.value.is_infinite() {
        caveats.push(
            "Some held-out label has a probability of exactly 0, so the mean NLL is infinite."
                .to_owned(),
        );
    }
    if calibration.estimate.is_some() {
        let fit = match calibration.caller {
            Caller::Program { .. } => "softargmax fit",
            Caller::Python => "softargmax.fit_temperature",
        };
        caveats.push(format!(
            "The temperature here comes from half of the rows, so that the other half can judge \
             it. {fit} takes all of them for the one to use."
        ));
    }
    caveats.push(
        "All of this holds for rows like these. Other data need a fit of their own.".to_owned(),
    );
    caveats
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A file name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%".contains(c);
    if name == "standard input" {
        return "-".to_owned();
    }
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}
