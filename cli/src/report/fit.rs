//! What `fit` shows: the temperature, whether it matters, and what it does for rows it was not fitted on.

use std::io::{self, Write};
use std::path::Path;

use softargmax::{Calibrator, Candidate, Group, GroupsFit, Outcome};

use super::table::{Table, print as print_lines};
use super::text::{loss, p_value_text, signed, tau};
use crate::args::{Content, Rule};
use crate::error::CliError;
use crate::eval::figures::Figures;
use crate::fit::fitting::Fitted;
use crate::fit::measure::{Difference, HeldOut};
use crate::fit::model::{GroupTemperatures, Model};
use crate::input::TopK;
use crate::labelled::Labelled;

/// A p-value below this is not put down to chance.
const LEVEL: f64 = 0.05;
/// More groups than this are a table that nobody reads.
const GROUPS: usize = 20;

/// What is spoken of.
pub(crate) struct Subject<'a> {
    pub(crate) labelled: &'a Labelled,
    pub(crate) labels: &'a Path,
    pub(crate) fitted: &'a Fitted,
    pub(crate) rule: Rule,
    /// Where the fit is saved, if it is.
    pub(crate) save: Option<&'a Path>,
    /// Whether rows were to be held out; a part of them alone may have no fit.
    pub(crate) is_split: bool,
    pub(crate) heldout: Option<&'a HeldOut>,
}

pub(crate) fn print(subject: &Subject) -> Result<(), CliError> {
    let Subject { fitted, heldout, .. } = *subject;
    let model = match &fitted.model {
        Ok(model) => model,
        Err(outcome) => return print_lines(|out| no_model_words(out, subject, *outcome)),
    };
    print_lines(|out| fitted_words(out, subject, model))?;
    if let Some((_, candidates)) = &fitted.selection {
        print_candidates(candidates)?;
    }
    if let (Model::Groups(groups), Some(fit)) = (model, &fitted.groups) {
        print_groups(groups, fit)?;
    }
    match heldout {
        Some(heldout) => print_heldout(heldout, model)?,
        None => print_lines(|out| {
            let why = match subject.is_split {
                true => "a part of these rows alone has no fit",
                false => "no rows were held out",
            };
            writeln!(out, "{why}: what this does for new rows was not measured")
        })?,
    }
    print_use(subject, model)
}

fn fitted_words(out: &mut dyn Write, subject: &Subject, model: &Model) -> io::Result<()> {
    let Subject { fitted, rule, .. } = *subject;
    let fit = &fitted.temperature;
    if let Some((reason, _)) = &fitted.selection {
        writeln!(out, "model {}: {reason}", model.name())?;
    }
    writeln!(
        out,
        "{}, fitted on {} rows of {} classes",
        described(fitted, model),
        fit.rows,
        fit.classes
    )?;
    if rule == Rule::EceGrid {
        writeln!(out, "it has the least ECE of 0.1, 0.2, …, 10 on these rows, not the least NLL")?;
    } else if let (Some(p_value), Some(tau)) = (fitted.sureness.p_value, model.temperature()) {
        let (direction, effect) = match tau.tau() > 1.0 {
            true => ("overconfident", "less sure"),
            false => ("underconfident", "surer"),
        };
        let p = p_value_text(p_value);
        if p_value < LEVEL {
            writeln!(
                out,
                "the model is {direction}: dividing its logits by the temperature makes it {effect} \
                 and the labels likelier; that it needs none, τ = 1, is ruled out (p {p})"
            )?;
        } else {
            writeln!(
                out,
                "that the model needs none, τ = 1, is not ruled out (p {p}): it may stay as it is"
            )?;
        }
    }
    Ok(())
}

/// The model in a phrase, with how sure it is.
fn described(fitted: &Fitted, model: &Model) -> String {
    let interval = fitted.sureness.interval.map_or(String::new(), |[low, high]| {
        format!(" (95 % interval {} to {})", tau(low), tau(high))
    });
    let number = model.temperature().map_or(String::new(), |t| tau(t.tau()));
    let range = |numbers: &[f64]| {
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{} to {}", signed(least, loss), signed(most, loss))
    };
    match model {
        Model::Plain(Calibrator::Identity) => "the logits as they are".to_owned(),
        Model::Plain(Calibrator::Ensemble(ensemble)) => {
            let [tempered, plain, uniform] = ensemble.shares().map(share);
            format!(
                "{tempered} of temperature {number}, {plain} of temperature 1, {uniform} of uniform"
            )
        }
        Model::Plain(Calibrator::Affine(affine)) if !number.is_empty() => {
            format!("temperature {number}{interval} and a bias per class, {}", range(affine.bias()))
        }
        Model::Plain(Calibrator::Affine(affine)) => format!(
            "a scale per class, {}, and a bias per class, {}",
            range(affine.scale()),
            range(affine.bias())
        ),
        Model::Plain(_) => format!("temperature {number}{interval}"),
        Model::Groups(groups) => {
            let count = groups.names.len();
            format!("a temperature for each of {count} groups, about {number}{interval}")
        }
    }
}

/// How the models compared, where the choice was left open.
fn print_candidates(candidates: &[Candidate]) -> Result<(), CliError> {
    print_lines(|out| writeln!(out, "\non rows they were not fitted on, by cross-validation"))?;
    let mut table = Table::new(["model", "NLL", "above the best", "std. error", "accuracy"]);
    for candidate in candidates {
        // What two equal models differ by are roundings.
        let seen = |x: f64| loss(if x.abs() > 1e-12 * candidate.nll { x } else { 0.0 });
        table.row([
            candidate.model.name().to_owned(),
            loss(candidate.nll),
            seen(candidate.difference),
            seen(candidate.difference_std_error),
            share(candidate.accuracy),
        ]);
    }
    table.print()
}

/// The groups with the most rows, at most [`GROUPS`] of them.
fn print_groups(groups: &GroupTemperatures, fit: &GroupsFit) -> Result<(), CliError> {
    print_lines(|out| writeln!(out))?;
    let mut table = Table::new(["group", "rows", "temperature", "95 % interval", "alone"]);
    let mut shown: Vec<&Group> = fit.groups.iter().collect();
    shown.sort_by_key(|group| std::cmp::Reverse(group.alone.rows));
    for group in shown.iter().take(GROUPS) {
        let found = group.temperature.tau();
        let end = |side: f64| tau(found * libm::exp(side * 1.96 * group.log_deviation));
        let alone = group.alone.estimate.as_ref();
        table.row([
            groups.names[group.id].clone(),
            group.alone.rows.to_string(),
            tau(found),
            format!("{} to {}", end(-1.0), end(1.0)),
            alone.map_or("none".to_owned(), |alone| tau(alone.temperature.tau())),
        ]);
    }
    table.print()?;
    let (all, deviation) = (fit.groups.len(), fit.deviation);
    print_lines(|out| {
        if all > GROUPS {
            writeln!(out, "the {GROUPS} largest of {all} groups; --json has all")?;
        }
        if deviation == 0.0 {
            writeln!(out, "the groups differ no more than chance would have it")
        } else {
            let factor = tau(libm::exp(deviation));
            writeln!(out, "the groups' temperatures differ by a factor of about {factor}")
        }
    })
}

/// How to use what was fitted.
fn print_use(subject: &Subject, model: &Model) -> Result<(), CliError> {
    let mut file = quoted(subject.labelled.name());
    if let Some(TopK { ids, classes, rest, .. }) = &subject.labelled.read_by.top_k {
        let (ids, rest) = (quoted(&ids.to_string_lossy()), rest.name());
        file += &format!(" --ids {ids} --vocabulary {classes} --rest {rest}");
    }
    let is_logits = subject.labelled.reading().content != Content::Probabilities;
    let line = match (model, subject.save) {
        (Model::Plain(Calibrator::Identity), _) => return Ok(()),
        (Model::Plain(Calibrator::Temperature(tau)), None) if is_logits => {
            format!("softargmax apply {file} -t {tau} -o probabilities.npy")
        }
        (_, save) => {
            let name = save.map_or("fit.json".into(), |path| quoted(&path.to_string_lossy()));
            let groups = if matches!(model, Model::Groups(_)) { " --groups FILE" } else { "" };
            let first = if save.is_none() { "add --save fit.json, and then " } else { "" };
            format!("{first}softargmax apply {file} --fit {name}{groups} -o probabilities.npy")
        }
    };
    print_lines(|out| writeln!(out, "to use it: {line}"))
}

/// A file name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    match name {
        "standard input" => "-".to_owned(),
        name if name.chars().all(is_plain) => name.to_owned(),
        name => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

fn no_model_words(out: &mut dyn Write, subject: &Subject, outcome: Outcome) -> io::Result<()> {
    let Subject { labelled, labels, fitted, .. } = *subject;
    let fit = &fitted.temperature;
    let (name, labels) = (labelled.name(), labels.display());
    let rows = fit.rows;
    let words = match outcome {
        Outcome::Separable => format!(
            "the label has the largest logit in all {rows} rows, so that a lower temperature \
             always fits better, down to 0\nare these rows that the model was trained on? take others, or \
             more of them, or say with --prior 0.5 what is thought of the temperature before"
        ),
        Outcome::NoSignal => format!(
            "the labels' logits are not above the mean of their rows, so that a higher temperature \
             always fits better, up to inf\nare the rows of {name} and {labels} in the same order, \
             and the logits' sign right?"
        ),
        Outcome::ConstantLogits => {
            "the logits of every row are all equal, so that all temperatures are the same"
                .to_owned()
        }
        Outcome::InfiniteNll => {
            let shown: Vec<String> =
                fit.infinite_rows.iter().take(8).map(|&row| labelled.place(row)).collect();
            let more = if fit.infinite > shown.len() as u64 { ", …" } else { "" };
            let count = match fit.infinite {
                1 => "1 row has a label".to_owned(),
                count => format!("{count} rows have a label"),
            };
            format!(
                "{count} that the model rules out: its logit is -inf, and the NLL infinite at \
                 every temperature\n{name}: {}{more}\nleave these rows out, or of probabilities, add \
                 --epsilon 1e-9",
                shown.join(", ")
            )
        }
        Outcome::NoRows => {
            format!("no row of {labels} has a label that is not ignored, and a weight")
        }
        _ => "the best temperature is not within what f64 can hold".to_owned(),
    };
    writeln!(out, "no temperature fits best: {words}")
}

fn print_heldout(heldout: &HeldOut, model: &Model) -> Result<(), CliError> {
    let HeldOut { rows, fitted_rows, before, after, difference, .. } = heldout;
    let how = match (heldout.method, heldout.temperatures.as_slice()) {
        ("folds", []) => format!("each by the fit of about {fitted_rows} others"),
        ("folds", all) => {
            let least = all.iter().copied().fold(f64::INFINITY, f64::min);
            let most = all.iter().copied().fold(0.0, f64::max);
            format!(
                "each by the fit of about {fitted_rows} others: temperatures {} to {}",
                tau(least),
                tau(most)
            )
        }
        (_, [one]) => format!("by the fit of {fitted_rows} others: temperature {}", tau(*one)),
        _ => format!("by the fit of {fitted_rows} others"),
    };
    print_lines(|out| writeln!(out, "\n{rows} rows that were not fitted on, {how}"))?;
    let mut table = Table::new(["", "before", "after", "difference", "95 % interval"]);
    let mut line = |name: &str,
                    of: fn(&Figures) -> f64,
                    change: Option<Difference>,
                    write: fn(f64) -> String| {
        if of(before).is_nan() {
            return;
        }
        let change = change.map_or(Default::default(), |change| match change {
            Difference { interval: [0.0, 0.0], .. } => ["none".to_owned(), String::new()],
            Difference { value, interval: [low, high] } => {
                let interval = format!("{} to {}", signed(low, write), signed(high, write));
                // A difference of percentages is in points.
                [signed(value, write), interval].map(|text| text.replace(" %", ""))
            }
        });
        let cells = [name.to_owned(), write(of(before)), write(of(after))];
        table.row(cells.into_iter().chain(change));
    };
    line("NLL", |f| f.nll, Some(difference.nll), loss);
    line("Brier score", |f| f.brier, Some(difference.brier), loss);
    line("accuracy", |f| f.accuracy, difference.accuracy, share);
    line("mean confidence", |f| f.confidence, None, share);
    line("ECE, 15 bins", |f| f.ece, difference.ece, share);
    line("its noise floor", |f| f.ece_null_mean, None, share);
    table.print()?;
    print_lines(|out| writeln!(out, "{}", verdict(heldout, model)))
}

/// What may be said of rows that were not fitted on.
fn verdict(heldout: &HeldOut, model: &Model) -> String {
    let Difference { value, interval: [low, high] } = heldout.difference.nll;
    let size = loss(value.abs());
    let nll = if high < 0.0 {
        format!("it makes them likelier, by {size} nats a row")
    } else if low > 0.0 {
        format!("it makes them less likely, by {size} nats a row: leave the model as it is")
    } else if low == 0.0 && high == 0.0 {
        "it changes nothing".to_owned()
    } else {
        "whether it makes them likelier cannot be told from so few".to_owned()
    };
    let after = &heldout.after;
    let p = p_value_text(after.ece_p_value);
    let ece = if after.ece_p_value.is_nan() {
        String::new()
    } else if after.ece_p_value < LEVEL {
        let more = match model {
            Model::Plain(Calibrator::Temperature(_)) => ", and --model auto tries more",
            _ => "",
        };
        format!("; noise does not explain what is left of the ECE (p {p}){more}")
    } else {
        format!("; what is left of the ECE may be noise (p {p})")
    };
    format!("{nll}{ece}")
}

/// A percentage with two decimals, as papers print the ECE; exact 0 and 100 bare.
pub(super) fn share(x: f64) -> String {
    let hundred = x * 100.0;
    if !hundred.is_finite() || hundred == 0.0 || hundred == 100.0 {
        return format!("{hundred} %").to_lowercase();
    }
    format!("{hundred:.2} %")
}
