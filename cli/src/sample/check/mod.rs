//! `softargmax sample --check`: are these draws from that distribution, and if not, from which?
//!
//! ```text
//! impossible   a class of probability 0 was drawn: that alone decides
//! χ²           counts of the common classes (ranked.rs)
//! tails        counts of the rare ones, and what was never drawn
//! likelihood   what usual mistakes would have drawn (alternatives.rs), and other temperatures (likelihood.rs)
//! failed       a draw is impossible, or the least p of all tests, times their number, is below the level
//! ```
//!
//! What is found is also said in words, the most telling first.

mod alternatives;
mod chance;
mod findings;
mod likelihood;
mod ranked;

use std::path::Path;

use libm::exp;
use rayon::prelude::*;
use serde::Serialize;
use softargmax::Error;

use super::distribution::Engine;
use super::settings::Settings;
use crate::error::CliError;
use crate::input::read_tokens;
use crate::json;
use alternatives::Alternative;
use ranked::{Beyond, ChiSquare, Outlier, Ranked, Sums, Tail};

/// Alternatives that are told.
const SHOWN: usize = 10;

/// A row of logits, and how often each class was drawn from it.
pub(crate) struct Counted {
    pub(crate) logits: Vec<f64>,
    /// In order of the classes, those that were drawn.
    pub(crate) counts: Vec<(usize, u64)>,
    pub(crate) draws: u64,
}

/// What the draws say. What does not exist is null.
#[derive(Serialize)]
pub(crate) struct Verdict {
    pub(crate) draws: u64,
    pub(crate) passed: bool,
    /// The least p of all tests times their number; 0 where the impossible was drawn.
    pub(crate) p_value: f64,
    pub(crate) level: f64,
    pub(crate) findings: Vec<String>,
    pub(crate) impossible: Vec<Impossible>,
    pub(crate) rarest: Option<Rare>,
    pub(crate) chi_square: ChiSquare,
    pub(crate) tails: Vec<Tail>,
    pub(crate) beyond: Option<Beyond>,
    /// How many other distributions the draws were compared with, and the p-value of the best of them.
    pub(crate) alternatives_tried: usize,
    pub(crate) alternatives_p_value: f64,
    pub(crate) temperature: Option<FittedTemperature>,
    /// How much likelier the draws are under those, in nats: the likeliest first, at most ten.
    pub(crate) alternatives: Vec<Gain>,
    #[serde(skip)]
    pub(crate) outlier: Option<Outlier>,
}

/// A class that was drawn and cannot be.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Impossible {
    pub(crate) row: usize,
    pub(crate) token: usize,
    pub(crate) drawn: u64,
    pub(crate) reason: &'static str,
}

/// A class of a probability that is rounded to 0, and was drawn.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rare {
    pub(crate) row: usize,
    pub(crate) token: usize,
    pub(crate) probability: f64,
    /// At most this is how probable it is that anything is drawn that is as improbable.
    pub(crate) p_value: f64,
}

/// The temperature under which the draws are likeliest.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct FittedTemperature {
    pub(crate) fitted: f64,
    /// 95 %, as far as the draws are many.
    pub(crate) interval: [f64; 2],
    /// How much likelier than at the temperature claimed, in nats.
    pub(crate) gain: f64,
}

/// How much likelier the draws are if something else was done.
#[derive(Debug, Serialize)]
pub(crate) struct Gain {
    pub(crate) what: String,
    /// In nats; "inf" where only this makes them possible, "-inf" where it makes them impossible.
    #[serde(serialize_with = "json::real")]
    pub(crate) nats: f64,
    #[serde(skip)]
    pub(crate) log_likelihood: f64,
    /// Whether it is one of many temperatures tried, and so next to the right one at best.
    #[serde(skip)]
    pub(crate) is_grid: bool,
}

impl Gain {
    fn new(what: String, log_likelihood: f64, claimed: f64, is_grid: bool) -> Self {
        let impossible = log_likelihood == f64::NEG_INFINITY;
        let nats = if impossible { log_likelihood } else { log_likelihood - claimed };
        Gain { what, nats, log_likelihood, is_grid }
    }
}

/// Reads the draws beside `logits` of `classes`, whose rows have this shape.
pub(crate) fn count(
    path: &Path,
    logits: Vec<f64>,
    classes: usize,
    shape: &[usize],
) -> Result<Vec<Counted>, CliError> {
    let rows = logits.len() / classes;
    let mut drawn: Vec<Vec<usize>> = vec![Vec::new(); rows];
    let mut surplus = false;
    let [lines, _] = read_tokens(path, "draws", shape, classes, |row, class| {
        let row = if rows == 1 { 0 } else { row };
        match drawn.get_mut(row) {
            Some(row) => row.push(class),
            None => surplus = true,
        }
    })?;
    let name = path.display();
    if surplus || (rows > 1 && lines != rows) {
        return Err(CliError::refused(format!(
            "{name}: {lines} rows of draws, and {rows} of logits"
        ))
        .hint("a line of draws for every row of logits, in the same order"));
    }
    if drawn.iter().all(Vec::is_empty) {
        return Err(CliError::refused(format!("{name}: no draws, so there is nothing to check")));
    }
    let counted = |(logits, mut drawn): (&[f64], Vec<usize>)| {
        drawn.sort_unstable();
        let counts =
            drawn.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect();
        Counted { logits: logits.to_vec(), counts, draws: drawn.len() as u64 }
    };
    Ok(logits.chunks_exact(classes).zip(drawn).map(counted).collect())
}

/// Tests the draws of these rows against the distribution that is claimed.
pub(crate) fn verdict(
    rows: &[Counted],
    claimed: &Settings,
    level: f64,
    words: Option<&[String]>,
    explain: impl Fn(usize, Error) -> CliError,
) -> Result<Verdict, CliError> {
    let mut engine = Engine::new(claimed).map_err(CliError::refused)?;
    let probabilities = rows
        .iter()
        .enumerate()
        .map(|(at, row)| engine.probabilities(&row.logits).map_err(|error| explain(at, error)));
    let mut probabilities: Vec<Vec<f64>> = probabilities.collect::<Result<_, _>>()?;
    let (impossible, rare) =
        impossible(rows, &probabilities, claimed).map_err(CliError::internal)?;
    // What others did not round away counts as what it is.
    for &Rare { row, token, probability, .. } in &rare {
        probabilities[row][token] = probability;
    }
    let rarest = rare.into_iter().min_by(|a, b| a.probability.total_cmp(&b.probability));
    let mut sums = Sums::default();
    for (row, p) in rows.iter().zip(&probabilities) {
        sums.add(&Ranked::new(p, &row.counts));
    }
    let (chi_square, outlier) = sums.chi_square();
    let (tails, beyond) = (sums.tails(), sums.beyond());

    let claimed_likelihood: f64 = rows
        .iter()
        .zip(&probabilities)
        .map(|(row, p)| likelihood::log_likelihood(p, &row.counts))
        .sum();
    let mut gains = temperature_gains(rows, &probabilities, claimed, claimed_likelihood)?;
    let alternatives = alternatives::of(claimed, rows.first().map_or(0, |row| row.logits.len()));
    gains.extend(named_gains(rows, &alternatives, claimed_likelihood)?);
    let most = gains.iter().map(|gain| gain.nats).fold(f64::NEG_INFINITY, f64::max);
    let likelihood_p = (gains.len() as f64 * exp(-most)).min(1.0);

    let tau = claimed.temperature().tau();
    let mut temperature = None;
    if tau > 0.0
        && tau.is_finite()
        && let Some(factor) = likelihood::fit(rows, &probabilities)?
    {
        let mut log_likelihood = 0.0;
        for (row, p) in rows.iter().zip(&probabilities) {
            log_likelihood += likelihood::log_likelihoods_at(p, &row.counts, &[factor.best])?[0];
        }
        let [fitted, low, high] =
            [factor.best, factor.interval[0], factor.interval[1]].map(|f| f * tau);
        let gain = log_likelihood - claimed_likelihood;
        temperature = Some(FittedTemperature { fitted, interval: [low, high], gain });
    }

    let tests = [chi_square.p_value, likelihood_p].into_iter();
    let tests = tests
        .chain(tails.iter().map(|tail| tail.p_value))
        .chain(beyond.map(|beyond| beyond.p_value));
    let tests = tests.chain(rarest.map(|rarest| rarest.p_value));
    let (number, least) = tests.fold((0.0, 1.0f64), |(n, least), p| (n + 1.0, least.min(p)));
    let p_value = if impossible.is_empty() { (number * least).min(1.0) } else { 0.0 };

    gains.sort_by(|a, b| b.log_likelihood.total_cmp(&a.log_likelihood));
    let mut verdict = Verdict {
        draws: rows.iter().map(|row| row.draws).sum(),
        passed: p_value >= level,
        p_value,
        level,
        findings: Vec::new(),
        impossible,
        rarest,
        chi_square,
        tails,
        beyond,
        alternatives_tried: gains.len(),
        alternatives_p_value: likelihood_p,
        temperature,
        alternatives: gains,
        outlier,
    };
    if !verdict.passed {
        verdict.findings = findings::of(&verdict, tau, number, words);
    }
    verdict.alternatives.truncate(SHOWN);
    Ok(verdict)
}

/// Draws of classes that have no probability, and why they have none; and those that have one, so small that it is
/// rounded to 0.
fn impossible(
    rows: &[Counted],
    probabilities: &[Vec<f64>],
    claimed: &Settings,
) -> Result<(Vec<Impossible>, Vec<Rare>), Error> {
    let mut unfiltered = claimed.clone();
    unfiltered.drop_filters();
    let mut unfiltered = Engine::new(&unfiltered)?;
    let filters = claimed.filters();
    let mut engines =
        filters.iter().map(|(_, alone)| Engine::new(alone)).collect::<Result<Vec<_>, _>>()?;
    let draws: u64 = rows.iter().map(|row| row.draws).sum();
    let mut found = Vec::new();
    let mut rare = Vec::new();
    for (at, (row, p)) in rows.iter().zip(probabilities).enumerate() {
        let never: Vec<_> = row.counts.iter().filter(|&&(token, _)| p[token] == 0.0).collect();
        if never.is_empty() {
            continue;
        }
        let before_filters = unfiltered.probabilities(&row.logits)?;
        let each = engines.iter_mut().map(|engine| engine.probabilities(&row.logits));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        for &&(token, drawn) in &never {
            let reason = if row.logits[token] == f64::NEG_INFINITY {
                "its logit is -inf"
            } else if claimed.is_ruled_out(token) {
                "it is masked"
            } else if before_filters[token] > 0.0 {
                let culprit = filters.iter().zip(&each).find(|(_, alone)| alone[token] == 0.0);
                culprit.map_or("the filters leave it out", |(&(why, _), _)| why)
            } else {
                let probability = exp(unfiltered.tempered_log_prob(&row.logits, token)?);
                if probability > 0.0 {
                    // Of all draws and classes, one that is as improbable.
                    let p_value = (draws as f64 * row.logits.len() as f64 * probability).min(1.0);
                    rare.push(Rare { row: at, token, probability, p_value });
                    continue;
                }
                "it has no probability at this temperature"
            };
            found.push(Impossible { row: at, token, drawn, reason });
        }
    }
    Ok((found, rare))
}

/// The gains of other temperatures on the same support.
fn temperature_gains(
    rows: &[Counted],
    probabilities: &[Vec<f64>],
    claimed: &Settings,
    claimed_likelihood: f64,
) -> Result<Vec<Gain>, CliError> {
    let tau = claimed.temperature().tau();
    if tau == 0.0 || tau.is_infinite() || claimed_likelihood == f64::NEG_INFINITY {
        return Ok(Vec::new());
    }
    let factors = likelihood::factors();
    let mut sums = vec![0.0; factors.len()];
    for (row, p) in rows.iter().zip(probabilities).filter(|(row, _)| row.draws > 0) {
        let of_row = likelihood::log_likelihoods_at(p, &row.counts, &factors)?;
        sums.iter_mut().zip(of_row).for_each(|(sum, x)| *sum += x);
    }
    let gain = |(factor, sum): (f64, f64)| {
        Gain::new(format!("temperature {}", tau * factor), sum, claimed_likelihood, true)
    };
    Ok(factors.into_iter().zip(sums).map(gain).collect())
}

/// The gains of usual mistakes. One that leaves some row without a distribution explains nothing.
fn named_gains(
    rows: &[Counted],
    alternatives: &[Alternative],
    claimed_likelihood: f64,
) -> Result<Vec<Gain>, CliError> {
    let gain = |Alternative { what, settings }: &Alternative| {
        let mut engine = Engine::new(settings).map_err(CliError::internal)?;
        let mut sum = 0.0;
        for row in rows.iter().filter(|row| row.draws > 0) {
            let Ok(q) = engine.probabilities(&row.logits) else {
                sum = f64::NEG_INFINITY;
                break;
            };
            sum += likelihood::log_likelihood(&q, &row.counts);
            if sum == f64::NEG_INFINITY {
                break;
            }
        }
        Ok(Gain::new(what.clone(), sum, claimed_likelihood, false))
    };
    alternatives.par_iter().map(gain).collect()
}
