//! What `contrast --json` prints.

use serde::Serialize;
use softargmax::Temperature;

use super::view::{Contrast, Level, Rule, Suggestion, WARNING};
use crate::json;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    schema: &'static str,
    queries: &'a str,
    keys: &'a str,
    negatives_file: Option<&'a str>,
    labels: Option<&'a str>,
    pairs: usize,
    /// Of each query.
    negatives: usize,
    dimensions: usize,
    #[serde(flatten)]
    here: At,
    #[serde(serialize_with = "json::real")]
    accuracy_at_1: f64,
    ties: usize,
    #[serde(serialize_with = "json::real")]
    alignment: f64,
    #[serde(serialize_with = "json::optional_real")]
    uniformity_queries: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    uniformity_keys: Option<f64>,
    #[serde(serialize_with = "json::real")]
    uniformity_limit: f64,
    #[serde(serialize_with = "json::optional_real")]
    tolerance: Option<f64>,
    curve: Vec<At>,
    suggestions: Vec<Suggested>,
    warning: &'static str,
}

/// The loss at a temperature.
#[derive(Serialize)]
struct At {
    #[serde(serialize_with = "json::temperature")]
    temperature: Temperature,
    #[serde(serialize_with = "json::real")]
    loss: f64,
    #[serde(serialize_with = "json::real")]
    floor_simplex: f64,
    #[serde(serialize_with = "json::real")]
    floor_sphere: f64,
    #[serde(serialize_with = "json::real")]
    unrelated: f64,
    /// dL/d(1/τ).
    #[serde(serialize_with = "json::real")]
    gradient_in_scale: f64,
    /// Of the gradient's shares over negatives, in nats.
    #[serde(serialize_with = "json::real")]
    entropy: f64,
    #[serde(serialize_with = "json::real")]
    effective_negatives: f64,
    #[serde(serialize_with = "json::real")]
    effective_negatives_by_square: f64,
    #[serde(serialize_with = "json::real")]
    nearest_share: f64,
    #[serde(serialize_with = "json::measured")]
    same_label_share: f64,
}

#[derive(Serialize)]
struct Suggested {
    rule: &'static str,
    /// What was aimed at, where the rule has something to aim at.
    #[serde(serialize_with = "json::optional_real")]
    target: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    at: Option<At>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    none: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out: Option<Judged>,
}

/// What queries say of a temperature that was chosen on others.
#[derive(Serialize)]
struct Judged {
    chosen_on: usize,
    measured_on: usize,
    #[serde(serialize_with = "json::real")]
    loss: f64,
    #[serde(serialize_with = "json::real")]
    loss_at_given: f64,
}

impl<'a> Document<'a> {
    pub(super) fn new(contrast: &'a Contrast) -> Self {
        Document {
            schema: "softargmax.contrast/1",
            queries: &contrast.queries,
            keys: &contrast.keys,
            negatives_file: contrast.negatives_file.as_deref(),
            labels: contrast.labels.as_deref(),
            pairs: contrast.pairs,
            negatives: contrast.negatives,
            dimensions: contrast.dimensions,
            here: At::of(&contrast.here),
            accuracy_at_1: contrast.nearest.positive as f64 / contrast.pairs as f64,
            ties: contrast.nearest.ties,
            alignment: contrast.alignment,
            uniformity_queries: contrast.uniformity.map(|[queries, _]| queries),
            uniformity_keys: contrast.uniformity.map(|[_, keys]| keys),
            uniformity_limit: contrast.uniformity_limit,
            tolerance: contrast.tolerance,
            curve: contrast.curve.iter().map(At::of).collect(),
            suggestions: contrast.suggestions.iter().map(Suggested::of).collect(),
            warning: WARNING,
        }
    }
}

impl At {
    fn of(level: &Level) -> Self {
        let point = &level.point;
        At {
            temperature: point.tau,
            loss: point.loss,
            floor_simplex: level.simplex,
            floor_sphere: level.sphere,
            unrelated: level.unrelated,
            gradient_in_scale: point.slope,
            entropy: point.entropy,
            effective_negatives: point.perplexity(),
            effective_negatives_by_square: point.inverse_concentration(),
            nearest_share: point.hardest,
            same_label_share: point.same_label,
        }
    }
}

impl Suggested {
    fn of(suggestion: &Suggestion) -> Self {
        let target = match suggestion.rule {
            Rule::HeldOut(_) | Rule::AdaCos => None,
            Rule::Effective(target) | Rule::Floor(target) => Some(target),
        };
        let held_out = match suggestion.rule {
            Rule::HeldOut(held_out) => held_out,
            _ => None,
        };
        Suggested {
            rule: suggestion.rule.name(),
            target,
            at: suggestion.outcome.as_ref().ok().map(At::of),
            none: suggestion.outcome.as_ref().err().cloned(),
            held_out: held_out.map(|judged| Judged {
                chosen_on: judged.chosen_on,
                measured_on: judged.measured_on,
                loss: judged.loss,
                loss_at_given: judged.loss_here,
            }),
        }
    }
}
