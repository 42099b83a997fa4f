//! What `fit --json` prints and `fit --save` writes: one document, which `apply` and `eval` read back.

use serde::Serialize;
use softargmax::{Calibrator, Candidate, Temperature};

use super::fitting::{Fitted, Sureness};
use super::measure::HeldOut;
use super::model::Model;
use crate::args::Content;
use crate::json;
use crate::labelled::Labelled;

pub(crate) const SCHEMA: &str = "softargmax.fit/1";

/// A fit. What does not exist is null.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    schema: &'static str,
    logits: &'a str,
    /// What the numbers of that file are: where the fit is applied, they must be the same.
    input: Content,
    epsilon: f64,
    model: Option<&'static str>,
    rule: &'static str,
    outcome: &'static str,
    /// Of groups, that of all rows together.
    #[serde(serialize_with = "json::optional_temperature")]
    temperature: Option<Temperature>,
    #[serde(serialize_with = "json::optional_real")]
    std_error: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    robust_std_error: Option<f64>,
    #[serde(serialize_with = "json::optional_reals")]
    interval: Option<[f64; 2]>,
    #[serde(serialize_with = "json::optional_real")]
    p_value_tau_is_one: Option<f64>,
    /// On the rows fitted on; what it is on others is under `heldout`.
    #[serde(serialize_with = "json::real")]
    nll_before: f64,
    #[serde(serialize_with = "json::optional_real")]
    nll_after: Option<f64>,
    /// The share of rows that the logits get right.
    #[serde(serialize_with = "json::real")]
    accuracy: f64,
    /// How many rows have a label and a weight, and how many have not.
    rows: u64,
    ignored: u64,
    classes: usize,
    passes: u32,
    /// Rows whose label has a logit of -inf: how many, and the first of them.
    infinite: u64,
    infinite_rows: &'a [u64],
    /// scale·z + bias, of bcts and vector.
    scale: Option<&'a [f64]>,
    bias: Option<&'a [f64]>,
    /// Of ets: how much of the temperature, of 1, and of uniform.
    shares: Option<[f64; 3]>,
    groups: Option<Vec<Group<'a>>>,
    /// The standard deviation of ln τ between groups.
    #[serde(serialize_with = "json::optional_real")]
    group_deviation: Option<f64>,
    /// Of auto: why this model, and how all of them compare on rows they were not fitted on.
    reason: Option<&'a str>,
    candidates: Option<Vec<Compared>>,
    heldout: Option<&'a HeldOut>,
}

/// The temperature of a group.
#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    rows: u64,
    #[serde(serialize_with = "json::temperature")]
    temperature: Temperature,
    /// The standard deviation of its logarithm.
    #[serde(serialize_with = "json::optional_real")]
    log_deviation: Option<f64>,
    /// What its rows say alone.
    #[serde(serialize_with = "json::optional_temperature")]
    alone: Option<Temperature>,
}

/// A model among others.
#[derive(Serialize)]
struct Compared {
    model: &'static str,
    outcome: &'static str,
    #[serde(serialize_with = "json::real")]
    nll: f64,
    #[serde(serialize_with = "json::real")]
    std_error: f64,
    #[serde(serialize_with = "json::real")]
    difference: f64,
    #[serde(serialize_with = "json::real")]
    difference_std_error: f64,
    #[serde(serialize_with = "json::real")]
    accuracy: f64,
}

impl From<&Candidate> for Compared {
    fn from(candidate: &Candidate) -> Self {
        Self {
            model: candidate.model.name(),
            outcome: candidate.outcome.name(),
            nll: candidate.nll,
            std_error: candidate.std_error,
            difference: candidate.difference,
            difference_std_error: candidate.difference_std_error,
            accuracy: candidate.accuracy,
        }
    }
}

impl<'a> Document<'a> {
    pub(crate) fn new(
        labelled: &'a Labelled,
        fitted: &'a Fitted,
        rule: &'static str,
        heldout: Option<&'a HeldOut>,
    ) -> Self {
        let fit = &fitted.temperature;
        let reading = labelled.reading();
        let model = fitted.model.as_ref().ok();
        let calibrator = match model {
            Some(Model::Plain(calibrator)) => Some(calibrator),
            _ => None,
        };
        let affine = match calibrator {
            Some(Calibrator::Affine(affine)) => Some(affine),
            _ => None,
        };
        let Sureness { std_error, robust_std_error, interval, p_value } = fitted.sureness;
        Self {
            schema: SCHEMA,
            logits: labelled.name(),
            input: reading.content,
            epsilon: reading.epsilon,
            model: model.map(Model::name),
            rule,
            outcome: fitted.model.as_ref().err().map_or("converged", |outcome| outcome.name()),
            temperature: model.and_then(Model::temperature),
            std_error,
            robust_std_error,
            interval,
            p_value_tau_is_one: p_value,
            nll_before: fit.nll_before,
            nll_after: fitted.nll,
            accuracy: fit.accuracy,
            rows: fit.rows,
            ignored: labelled.rows() as u64 - fit.rows,
            classes: labelled.classes(),
            passes: fit.passes,
            infinite: fit.infinite,
            infinite_rows: &fit.infinite_rows,
            scale: affine.map(|affine| affine.scale()),
            bias: affine.map(|affine| affine.bias()),
            shares: match calibrator {
                Some(Calibrator::Ensemble(ensemble)) => Some(ensemble.shares()),
                _ => None,
            },
            groups: groups(fitted),
            group_deviation: fitted.groups.as_ref().map(|fit| fit.deviation),
            reason: fitted.selection.as_ref().map(|(reason, _)| reason.as_str()),
            candidates: fitted
                .selection
                .as_ref()
                .map(|(_, candidates)| candidates.iter().map(Compared::from).collect()),
            heldout,
        }
    }
}

fn groups(fitted: &Fitted) -> Option<Vec<Group<'_>>> {
    let (Ok(Model::Groups(model)), Some(fit)) = (&fitted.model, &fitted.groups) else {
        return None;
    };
    let named = model.names.iter().zip(&model.temperatures).enumerate();
    let group = named.map(|(id, (name, &temperature))| {
        let found = fit.groups.iter().find(|group| group.id == id);
        Group {
            name,
            rows: found.map_or(0, |group| group.alone.rows),
            temperature,
            log_deviation: found.map(|group| group.log_deviation),
            alone: found.and_then(|g| g.alone.estimate.as_ref()).map(|alone| alone.temperature),
        }
    });
    Some(group.collect())
}
