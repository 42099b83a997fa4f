//! The library's sampler with the settings it was made for: draws, and the distribution that they are from.

use std::collections::HashMap;

use serde::Serialize;
use softargmax::{Context, Draw, Error, Sampler, Temperature, log_softmax};

use super::settings::Settings;
use crate::json;

/// A class that can be drawn.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) token: u32,
    #[serde(serialize_with = "json::real")]
    pub(crate) logit: f64,
    /// Of softmax(logits).
    #[serde(serialize_with = "json::real")]
    pub(crate) raw_probability: f64,
    /// With which it is drawn.
    pub(crate) probability: f64,
}

/// The same with its word.
#[derive(Serialize)]
pub(super) struct Worded<'a> {
    #[serde(flatten)]
    pub(super) entry: &'a Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) word: Option<&'a str>,
}

/// What a row is drawn from.
#[derive(Debug)]
pub(crate) struct Distribution {
    /// In words.
    pub(crate) settings: String,
    pub(crate) classes: usize,
    /// The classes that can be drawn, the most probable first.
    pub(crate) entries: Vec<Entry>,
}

/// A sampler for one kind of distribution.
pub(crate) struct Engine<'a> {
    settings: &'a Settings,
    sampler: Sampler<f64>,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Result<Self, Error> {
        Ok(Self { settings, sampler: Sampler::new(settings.params.clone())? })
    }

    fn context(&self, stream: u64, position: u64) -> Context<'a> {
        let Settings { mask, history, .. } = self.settings;
        Context { mask: mask.as_deref(), history, stream, position }
    }

    /// Fills `tokens` with draws at this position and those behind it.
    pub(super) fn draw(
        &mut self,
        logits: &[f64],
        stream: u64,
        position: u64,
        tokens: &mut [u32],
    ) -> Result<(), Error> {
        self.sampler.sample_n(logits, &self.context(stream, position), tokens)
    }

    /// Fills `tokens` with different classes, in the order drawn.
    pub(super) fn draw_without_replacement(
        &mut self,
        logits: &[f64],
        stream: u64,
        position: u64,
        tokens: &mut [u32],
    ) -> Result<(), Error> {
        self.sampler.sample_without_replacement(logits, &self.context(stream, position), tokens)
    }

    /// Adds to `known` what there is to say about those tokens that are not in it; says how many can be drawn.
    pub(super) fn describe(
        &mut self,
        logits: &[f64],
        tokens: &[u32],
        known: &mut HashMap<u32, Draw>,
    ) -> Result<usize, Error> {
        let distribution = self.sampler.distribution(logits, &self.context(0, 0))?;
        for &token in tokens {
            known.entry(token).or_insert_with(|| distribution.describe(token));
        }
        Ok(distribution.kept())
    }

    /// The probability of every class.
    pub(crate) fn probabilities(&mut self, logits: &[f64]) -> Result<Vec<f64>, Error> {
        Ok(self.sampler.distribution(logits, &self.context(0, 0))?.probabilities())
    }

    /// ln of the probability of a class under the temperature alone, before any filter.
    pub(crate) fn tempered_log_prob(&mut self, logits: &[f64], class: usize) -> Result<f64, Error> {
        let distribution = self.sampler.distribution(logits, &self.context(0, 0))?;
        Ok(distribution.describe(class as u32).tempered_log_prob)
    }

    /// All classes that can be drawn.
    pub(super) fn distribution(&mut self, logits: &[f64]) -> Result<Distribution, Error> {
        let probabilities = self.probabilities(logits)?;
        let raw = log_softmax(logits, Temperature::ONE)?;
        let classes = logits.iter().zip(raw).zip(probabilities).enumerate();
        let entry = |(class, ((&logit, raw), probability)): (usize, ((&f64, f64), f64))| Entry {
            token: class as u32,
            logit,
            raw_probability: libm::exp(raw),
            probability,
        };
        let mut entries: Vec<Entry> =
            classes.map(entry).filter(|entry| entry.probability > 0.0).collect();
        entries.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Ok(Distribution { settings: self.settings.to_string(), classes: logits.len(), entries })
    }
}
