//! Kept sets against an oracle: sort everything, work in plain f64, one filter after the other.

use softargmax::{Order, Sampler, SamplingParams};

use crate::sample::{NOWHERE, combinations, row};

/// The order in which filters rank: larger logits first, then smaller ids.
fn kept(logits: &[f32], params: &SamplingParams) -> Vec<u32> {
    let mut tokens: Vec<(f64, u32)> = (0..).zip(logits).map(|(i, &x)| (f64::from(x), i)).collect();
    tokens.retain(|token| token.0 > f64::NEG_INFINITY);
    tokens.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let finite: Vec<f64> = tokens.iter().map(|token| token.0).collect();
    let max = tokens[0].0;
    let tau = match params.order {
        Order::TemperatureLast => 1.0,
        _ => params.temperature.tau(),
    };
    let weight = |x: f64| ((x - max) / tau).exp();
    let min_p = |tokens: &mut Vec<(f64, u32)>| {
        let largest = tokens.iter().map(|token| weight(token.0)).fold(0.0, f64::max);
        if params.min_p > 0.0 {
            tokens.retain(|token| weight(token.0) >= params.min_p * largest);
        }
    };
    // The fewest that reach a share of the mass, in the order they stand in.
    let share = |tokens: &mut Vec<(f64, u32)>, p: f64| {
        let total: f64 = tokens.iter().map(|token| weight(token.0)).sum();
        let mut sum = 0.0;
        let enough = tokens.iter().position(|token| {
            sum += weight(token.0);
            sum >= p * total
        });
        tokens.truncate(enough.map_or(tokens.len(), |last| last + 1));
    };
    if params.order == Order::MinPFirst {
        min_p(&mut tokens);
    }
    if params.top_n_sigma > 0.0 {
        let n = finite.len() as f64;
        let mean = finite.iter().sum::<f64>() / n;
        let variance = finite.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        tokens.retain(|token| token.0 >= max - params.top_n_sigma * variance.sqrt());
    }
    if params.top_k > 0 {
        tokens.truncate(params.top_k);
    }
    if params.typical_p < 1.0 {
        let total: f64 = tokens.iter().map(|token| weight(token.0)).sum();
        let surprise = |x: f64| total.ln() - (x - max) / tau;
        let entropy: f64 =
            tokens.iter().map(|token| weight(token.0) / total * surprise(token.0)).sum();
        let distance = |token: &(f64, u32)| (surprise(token.0) - entropy).abs();
        tokens.sort_by(|a, b| {
            distance(a).total_cmp(&distance(b)).then(b.0.total_cmp(&a.0)).then(a.1.cmp(&b.1))
        });
        share(&mut tokens, params.typical_p);
        tokens.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    }
    if params.top_p < 1.0 {
        share(&mut tokens, params.top_p);
    }
    if params.order != Order::MinPFirst {
        min_p(&mut tokens);
    }
    // What weighs less than half of 2^-34 of the largest cannot be drawn.
    let tau = params.temperature.tau();
    tokens.retain(|token| (token.0 - max) / tau * std::f64::consts::LOG2_E >= -34.999);
    let mut ids: Vec<u32> = tokens.into_iter().map(|token| token.1).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn what_is_kept_is_what_a_sort_keeps() {
    for classes in [1, 2, 10, 300, 50257, 128_256, 262_144] {
        for (seed, deviation, grid) in [(5, 3.0, None), (6, 3.0, Some(0.5)), (7, 1.0, None)] {
            let logits = row(seed, classes, deviation, grid);
            for params in combinations() {
                let mut sampler = Sampler::new(params.clone()).unwrap();
                let support = sampler.distribution(&logits, &NOWHERE).unwrap().support();
                let want = kept(&logits, &params);
                assert!(
                    support == want,
                    "{classes} {grid:?} {params:?}: {} {}",
                    support.len(),
                    want.len()
                );
            }
        }
    }
}

#[test]
fn filters_that_keep_much_of_a_row() {
    let logits = row(8, 60_000, 1.0, None);
    for (top_k, top_p, min_p) in [
        (10_000, 1.0, 0.0),
        (10_000, 0.95, 0.0),
        (0, 0.999, 0.0),
        (30_000, 0.5, 0.02),
        (59_999, 1.0, 0.0),
    ] {
        for order in [Order::TemperatureFirst, Order::MinPFirst, Order::TemperatureLast] {
            let params =
                SamplingParams { top_k, top_p, min_p, order, ..crate::sample::tempered(1.7) };
            let mut sampler = Sampler::new(params.clone()).unwrap();
            let support = sampler.distribution(&logits, &NOWHERE).unwrap().support();
            assert!(support == kept(&logits, &params), "{params:?}");
        }
    }
}

/// The sixteen of each 512 that top-p looks at first tell another story than the rest of the row, or nothing.
#[test]
fn top_p_where_its_sample_misleads() {
    let plain = row(9, 40_000, 1.0, None);
    for (seen, other) in [(-4.0, 0.0), (4.0, 0.0), (f32::NEG_INFINITY, 0.0), (0.0, -9.0)] {
        let is_seen = |i: usize| i / 16 % 32 == i / 512 * 7 % 32;
        let moved = |(i, x): (usize, &f32)| x + if is_seen(i) { seen } else { other };
        let mut logits: Vec<f32> = plain.iter().enumerate().map(moved).collect();
        logits[0] = 1.0;
        for (top_p, temperature) in [(0.5, 1.0), (0.95, 0.8), (0.999, 30.0), (0.05, 1.3)] {
            let params = SamplingParams { top_p, ..crate::sample::tempered(temperature) };
            let mut sampler = Sampler::new(params.clone()).unwrap();
            let support = sampler.distribution(&logits, &NOWHERE).unwrap().support();
            assert!(support == kept(&logits, &params), "{seen} {other} {params:?}");
        }
    }
}
