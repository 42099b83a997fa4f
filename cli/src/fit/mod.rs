//! `softargmax fit`: the temperature, or a richer model, that fits labels best, and how sure that is.
//!
//! ```text
//! all rows → the model that is printed and saved
//! some rows → the same model again → figures on the others: what it does for new rows
//! ```

pub(crate) mod applied;
pub(crate) mod document;
pub(crate) mod fitting;
pub(crate) mod measure;
pub(crate) mod model;
pub(crate) mod saved;
mod search;

use std::process::ExitCode;

use crate::args::{FitArgs, ModelChoice, Rule};
use crate::error::CliError;
use crate::input::Labels;
use crate::labelled::{Keep, Labelled};
use crate::output::Target;
use crate::report::fit as report;
use crate::{apply, json};
use document::Document;
use fitting::{Fitted, Fitting};
use measure::{Method, Plan};
use model::Model;

/// Of fewer rows none are held out unless that is asked for: half of them could not tell a better temperature from
/// a worse one, and half of them would be missed in the fit.
const ENOUGH_TO_HOLD_OUT: usize = 40;

/// Exit code: no temperature fits best.
const NO_TEMPERATURE: u8 = 3;

pub(crate) fn run(args: &FitArgs) -> Result<ExitCode, CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| fit(args)),
        None => fit(args),
    }
}

fn fit(args: &FitArgs) -> Result<ExitCode, CliError> {
    check(args)?;
    let save = args.save.as_deref().map(Target::open).transpose()?;
    let is_grouped = args.groups.is_some();
    let fitting = Fitting {
        choice: args.model,
        rule: args.rule,
        prior: args.prior,
        seed: args.seed,
        is_grouped,
    };
    let needs_all = fitting.needs_all() || args.folds.is_some();
    let mut labelled = Labelled::open(&args.data, args.groups.as_deref(), needs_all)?;
    if matches!(labelled.labels, Labels::Shares(_))
        && (args.model != ModelChoice::Temperature || is_grouped)
    {
        return Err(CliError::refused("shares of classes are fitted by one temperature only")
            .hint("give one label for every row, or leave out --model and --groups"));
    }
    let method = method(args, &labelled);
    let plan = method.and_then(|method| Plan::new(&labelled, method, args.seed));
    let is_asked = args.folds.is_some() || args.holdout.is_some();
    let count = (0..labelled.rows()).filter(|&row| labelled.counts(row)).count();
    if plan.is_none() && method.is_some() && is_asked && count > 0 {
        let labels = args.data.labels.display();
        return Err(CliError::refused(format!(
            "{labels}: {count} rows with a label and a weight are too few to keep some apart"
        ))
        .hint("--holdout 0 fits all rows and measures on none"));
    }

    let (fitted, models) = fit_whole_and_parts(&mut labelled, &fitting, plan.as_ref())?;
    let heldout = match (&plan, &fitted.model, models) {
        (Some(plan), Ok(_), Some(models)) => {
            let models: Vec<&Model> = models.iter().collect();
            Some(plan.measure(&mut labelled, &models)?)
        }
        _ => None,
    };
    let rule = match args.rule {
        Rule::Nll => "nll",
        Rule::EceGrid => "ece-grid",
    };
    let document = Document::new(&labelled, &fitted, rule, heldout.as_ref());
    if args.json {
        json::print(&document)?;
    } else {
        let subject = report::Subject {
            labelled: &labelled,
            labels: &args.data.labels,
            fitted: &fitted,
            rule: args.rule,
            save: args.save.as_deref(),
            is_split: plan.is_some(),
            heldout: heldout.as_ref(),
        };
        report::print(&subject)?;
    }
    if let (Some(mut save), Ok(_)) = (save, &fitted.model) {
        let mut text = serde_json::to_vec_pretty(&document).map_err(CliError::internal)?;
        text.push(b'\n');
        save.write(&text)?;
        save.finish()?;
    }
    labelled.note_looks();
    note_training_rows(&labelled, &fitted);
    Ok(if fitted.model.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(NO_TEMPERATURE) })
}

/// Refuses what does not go together, before any file is opened.
fn check(args: &FitArgs) -> Result<(), CliError> {
    if let Some(share) = args.holdout
        && !(0.0..1.0).contains(&share)
    {
        return Err(CliError::refused(format!("--holdout {share} is not from 0 up to 1"))
            .hint("--holdout 0.5 keeps half of the rows apart, --holdout 0 none"));
    }
    let is_plain = args.model == ModelChoice::Temperature && args.groups.is_none();
    if args.rule == Rule::EceGrid && (!is_plain || args.prior.is_some()) {
        return Err(CliError::refused("--rule ece-grid chooses one temperature, by nothing else")
            .hint("leave out --model, --groups and --prior"));
    }
    if args.groups.is_some() && args.model != ModelChoice::Temperature {
        return Err(CliError::refused("--groups is for --model temperature: one for every group"));
    }
    if args.prior.is_some() && !is_plain {
        return Err(CliError::refused("--prior is for one temperature")
            .hint("leave out --model and --groups, which have priors of their own"));
    }
    Ok(())
}

/// How rows are to be kept apart, if they are.
fn method(args: &FitArgs, labelled: &Labelled) -> Option<Method> {
    let default = || {
        let count = (0..labelled.rows()).filter(|&row| labelled.counts(row));
        if count.take(ENOUGH_TO_HOLD_OUT).count() < ENOUGH_TO_HOLD_OUT { 0.0 } else { 0.5 }
    };
    match args.folds {
        Some(parts) => Some(Method::Folds(parts)),
        None => match args.holdout.unwrap_or_else(default) {
            0.0 => None,
            share => Some(Method::Holdout(share)),
        },
    }
}

/// The fit of all rows, and those for each part that is measured; `None` where one of them has no model.
fn fit_whole_and_parts(
    labelled: &mut Labelled,
    fitting: &Fitting,
    plan: Option<&Plan>,
) -> Result<(Fitted, Option<Vec<Model>>), CliError> {
    let all = |_: usize| true;
    let parts = plan.map(|plan| (plan, plan.parts())).into_iter();
    let parts: Vec<_> = parts
        .flat_map(|(plan, parts)| {
            parts.map(move |part| move |row: usize| plan.is_fitted_for(part, row))
        })
        .collect();
    let mut keeps: Vec<Keep> = vec![&all];
    keeps.extend(parts.iter().map(|keep| keep as Keep));
    let mut fits = fitting.fit_each(labelled, &keeps)?.into_iter();
    let whole = fits.next().ok_or_else(|| CliError::internal("nothing was fitted"))?;
    Ok((whole, fits.map(|fit| fit.model.ok()).collect()))
}

/// Rows that a model was trained on are nearly all right, and it may be less sure of them than it could.
fn note_training_rows(labelled: &Labelled, fitted: &Fitted) {
    let fit = &fitted.temperature;
    let is_below_one =
        fit.estimate.as_ref().is_some_and(|e| e.interval[1] < 1.0 && e.p_value < 1e-3);
    let is_suspicious = fit.accuracy >= 0.999 || fit.accuracy >= 0.99 && is_below_one;
    if fit.rows >= 100 && is_suspicious {
        let share = fit.accuracy * 100.0;
        anstream::eprintln!(
            "warning: {}: the model gets {share:.2} % of these rows right: was it trained \
             on them?\nhint: fit on rows that it has not seen: of training rows the temperature comes \
             out too low",
            labelled.name()
        );
    }
}
