//! How much likelier the draws are under another distribution, and under another temperature.
//!
//! ```text
//! gain = Σ over draws  ln q(class) − ln p(class)        q: the other distribution, p: the one claimed
//! P(gain ≥ g | p) ≤ exp(−g)
//! ```
//!
//! The bound holds for any number of draws and rows, and asks for no approximation: the mean of exp(gain) under p is
//! at most 1 (Ville's and Markov's inequality; the test is that of Wasserman, Ramdas & Balakrishnan, PNAS 117(29),
//! 2020, section 1). It is what tells about rows of which a single class each was drawn.
//!
//! Another temperature on the same support is p^(τ/τ') over its sum, so that it needs no logits, whatever was done
//! to them before: the temperature of ln p that suits the draws is τ'/τ.

use libm::{exp, log};
use softargmax::{
    FitOptions, Rows, Statistics, Temperature, fit_temperature, log_sum_exp, statistics,
};

use super::Counted;
use crate::error::CliError;

/// The 97.5 % quantile of the normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;

/// Σ ln q(class) over the draws of a row; −∞ where one of them is impossible.
pub(super) fn log_likelihood(q: &[f64], counts: &[(usize, u64)]) -> f64 {
    counts.iter().map(|&(class, count)| count as f64 * log(q[class])).sum()
}

/// The same at other temperatures: for each τ'/τ in `factors`, Σ ln q(class).
pub(super) fn log_likelihoods_at(
    p: &[f64],
    counts: &[(usize, u64)],
    factors: &[f64],
) -> Result<Vec<f64>, CliError> {
    let kept: Vec<f64> = p.iter().filter(|&&p| p > 0.0).map(|&p| log(p)).collect();
    let at = |&factor: &f64| {
        let temperature = Temperature::new(factor).map_err(CliError::internal)?;
        let log_z = log_sum_exp(&kept, temperature).map_err(CliError::internal)?;
        let term = |&(class, count): &(usize, u64)| count as f64 * (log(p[class]) / factor - log_z);
        Ok(counts.iter().map(term).sum())
    };
    factors.iter().map(at).collect()
}

/// Factors to the temperature that double and halve their distance from 1: one is near every factor there may be.
pub(super) fn factors() -> Vec<f64> {
    (-2..=10).flat_map(|power| [1.0, -1.0].map(|sign| exp(sign * 2f64.powi(-power)))).collect()
}

/// The temperature, as a factor to the one claimed, under which the draws are likeliest, with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    pub(super) best: f64,
    pub(super) interval: [f64; 2],
}

/// Fits it; `None` where there is none (all draws of a row's largest, or all rows uniform), or a draw is impossible.
pub(super) fn fit(
    rows: &[Counted],
    probabilities: &[Vec<f64>],
) -> Result<Option<Factor>, CliError> {
    let drawn = || rows.iter().zip(probabilities).filter(|(row, _)| row.draws > 0);
    if drawn().any(|(row, p)| row.counts.iter().any(|&(class, _)| p[class] == 0.0)) {
        return Ok(None);
    }
    let support = |p: &Vec<f64>| p.iter().filter(|&&p| p > 0.0).count();
    let width = drawn().map(|(_, p)| support(p)).max().unwrap_or(0);
    if width == 0 {
        return Ok(None);
    }
    let (mut logits, mut shares, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (row, p) in drawn() {
        let mut counts = row.counts.iter().peekable();
        let start = logits.len();
        for (class, &p) in p.iter().enumerate().filter(|&(_, &p)| p > 0.0) {
            let count =
                counts.next_if(|&&(drawn, _)| drawn == class).map_or(0, |&(_, count)| count);
            logits.push(log(p));
            shares.push(count as f64 / row.draws as f64);
        }
        // Shorter supports are filled up with masks.
        logits.resize(start + width, f64::NEG_INFINITY);
        shares.resize(start + width, 0.0);
        weights.push(row.draws as f64);
    }
    let logits = Rows::new(&logits, width).map_err(CliError::internal)?;
    let shares = Rows::new(&shares, width).map_err(CliError::internal)?;
    let options = FitOptions { weights: Some(&weights), prior: None };
    let fit = fit_temperature(logits, shares, &options).map_err(CliError::internal)?;
    let Some(found) = fit.estimate else { return Ok(None) };
    // What every draw says of ln(factor): the variance of ln p / factor. (The fit itself has the error of labels that
    // were shares to begin with, and these are counts.)
    let best = found.temperature.tau();
    let of_rows = statistics(logits, found.temperature).map_err(CliError::internal)?;
    let variance = |(row, draws): (&Statistics, &f64)| draws * row.variance / (best * best);
    let information: f64 = of_rows.iter().zip(&weights).map(variance).sum();
    let reach = exp(Z_95 / information.sqrt());
    Ok(Some(Factor { best, interval: [best / reach, best * reach] }))
}
