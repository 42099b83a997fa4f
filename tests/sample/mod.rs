//! Drawing tokens: the proof, the oracle of the filters, statistics, pinned draws, special values, memory.

mod distribution;
mod golden;
mod memory;
mod oracle;
mod proof;
mod special;
mod statistics;

use crate::support::random::Random;
use softargmax::{Context, SamplingParams, Temperature};

const NOWHERE: Context<'static> = Context { stream: 0, position: 0, mask: None, history: &[] };

fn at(position: u64) -> Context<'static> {
    Context { position, ..NOWHERE }
}

fn tau(value: f64) -> Temperature {
    Temperature::new(value).unwrap()
}

fn tempered(value: f64) -> SamplingParams {
    SamplingParams { temperature: tau(value), ..Default::default() }
}

/// Logits with a spread of `deviation`, some of them −∞; on a grid where there should be ties.
fn row(seed: u64, classes: usize, deviation: f64, grid: Option<f64>) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut one = || {
        let x = random.normal() * deviation;
        let x = grid.map_or(x, |step| (x / step).round() * step);
        if random.below(17) == 0 { f32::NEG_INFINITY } else { x as f32 }
    };
    let mut row: Vec<f32> = (0..classes).map(|_| one()).collect();
    row[0] = 1.0; // one that is there, whatever the others are
    row
}

/// Parameters with every combination of the five filters, in every order.
fn combinations() -> Vec<SamplingParams> {
    use softargmax::Order::{MinPFirst, TemperatureFirst, TemperatureLast};
    let mut all = Vec::new();
    for order in [TemperatureFirst, MinPFirst, TemperatureLast] {
        for bits in 0..32 {
            let has = |bit: u32| bits >> bit & 1 == 1;
            all.push(SamplingParams {
                temperature: tau(0.8),
                top_k: if has(0) { 40 } else { 0 },
                top_p: if has(1) { 0.9 } else { 1.0 },
                min_p: if has(2) { 0.03 } else { 0.0 },
                typical_p: if has(3) { 0.7 } else { 1.0 },
                top_n_sigma: if has(4) { 2.5 } else { 0.0 },
                order,
                ..Default::default()
            });
        }
    }
    all
}
