//! A fit read back from the file that `fit --save` wrote.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use softargmax::{Affine, Calibrator, Ensemble, Temperature};

use super::document::SCHEMA;
use super::model::{GroupTemperatures, Model};
use crate::args::Content;
use crate::error::CliError;

/// Models have a few numbers a class; a file of more bytes is none of ours.
const MAX_BYTES: u64 = 1 << 28;

/// A model, and what it is for.
pub(crate) struct Saved {
    pub(crate) model: Model,
    pub(crate) classes: usize,
    pub(crate) input: Content,
    pub(crate) epsilon: f64,
}

/// What of the document it takes to apply it.
#[derive(Deserialize)]
struct Stored {
    schema: String,
    input: Content,
    epsilon: f64,
    model: Option<String>,
    outcome: String,
    temperature: Option<serde_json::Value>,
    classes: usize,
    scale: Option<Vec<f64>>,
    bias: Option<Vec<f64>>,
    shares: Option<[f64; 3]>,
    groups: Option<Vec<Group>>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    temperature: serde_json::Value,
}

impl Saved {
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display();
        let refused = |reason: String| CliError::refused(format!("{name}: {reason}"));
        let size = fs::metadata(path).map_err(|e| refused(format!("cannot be read: {e}")))?.len();
        if size > MAX_BYTES {
            return Err(refused(format!("{size} bytes are too many for a fit")));
        }
        let text = fs::read(path).map_err(|e| refused(format!("cannot be read: {e}")))?;
        let hint = "write it with softargmax fit LOGITS --labels LABELS --save FILE.json";
        let stored: Stored = serde_json::from_slice(&text)
            .map_err(|e| refused(format!("is not a saved fit: {e}")).hint(hint))?;
        if stored.schema != SCHEMA {
            let schema = &stored.schema;
            return Err(refused(format!("has schema {schema}, not {SCHEMA}")).hint(hint));
        }
        let Some(model) = &stored.model else {
            let outcome = &stored.outcome;
            return Err(refused(format!("no model was fitted: {outcome}")));
        };
        let model = stored.model(model).map_err(|reason| refused(reason).hint(hint))?;
        let Stored { classes, input, epsilon, .. } = stored;
        if !(0.0..=0.5).contains(&epsilon) {
            return Err(refused(format!("epsilon {epsilon} is not between 0 and 0.5")));
        }
        Ok(Self { model, classes, input, epsilon })
    }

    /// Refuses rows that are not as those fitted on.
    pub(crate) fn check(&self, path: &Path, name: &str, classes: usize) -> Result<(), CliError> {
        if classes == self.classes {
            return Ok(());
        }
        let (path, expected) = (path.display(), self.classes);
        Err(CliError::refused(format!(
            "{name} has rows of {classes} classes, and {path} is a fit of {expected}"
        )))
    }
}

impl Stored {
    fn model(&self, model: &str) -> Result<Model, String> {
        let error = |e: softargmax::Error| e.to_string();
        let missing = |what: &str| format!("a fit of {model} needs its {what}");
        let tau = || {
            let tau = self.temperature.as_ref().ok_or_else(|| missing("temperature"))?;
            temperature(tau)
        };
        let affine = || {
            let scale = self.scale.clone().ok_or_else(|| missing("scale"))?;
            let bias = self.bias.clone().ok_or_else(|| missing("bias"))?;
            Affine::new(self.classes, scale, bias).map_err(error)
        };
        Ok(match model {
            "identity" => Model::IDENTITY,
            "temperature" => Model::temperature_of(tau()?),
            "ets" => {
                let shares = self.shares.ok_or_else(|| missing("shares"))?;
                let ensemble = Ensemble::new(tau()?, shares).map_err(error)?;
                Model::Plain(Calibrator::Ensemble(ensemble))
            }
            "bcts" | "vector" => Model::Plain(Calibrator::Affine(affine()?)),
            "groups" => {
                let groups = self.groups.as_ref().ok_or_else(|| missing("groups"))?;
                let temperatures = groups.iter().map(|group| temperature(&group.temperature));
                Model::Groups(GroupTemperatures {
                    names: groups.iter().map(|group| group.name.clone()).collect(),
                    temperatures: temperatures.collect::<Result<_, _>>()?,
                    common: tau()?,
                })
            }
            other => return Err(format!("model {other} is not known")),
        })
    }
}

/// A number or "inf"; as text it means exactly what is written.
fn temperature(value: &serde_json::Value) -> Result<Temperature, String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().map_err(|e: softargmax::Error| e.to_string())
}
