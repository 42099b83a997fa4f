//! Draws against the distribution they are said to be of, by chi-square; and samplers made wrong on purpose, which fail.

use softargmax::{Context, Method, Mirostat, Sampler, SamplingParams, Verifier, gumbel_softmax};

use crate::sample::{NOWHERE, at, row, tau, tempered};
use crate::support::random::Random;

/// How many standard deviations chi-square is above its mean; classes with fewer than 10 expected are one.
fn excess(counts: &[u64], p: &[f64]) -> f64 {
    let n = counts.iter().sum::<u64>() as f64;
    let (mut chi, mut cells, mut rare) = (0.0, 0, (0.0, 0.0));
    let mut add = |count: f64, expected: f64| {
        chi += (count - expected).powi(2) / expected;
        cells += 1;
    };
    for (&count, &p) in counts.iter().zip(p) {
        if p * n >= 10.0 {
            add(count as f64, p * n);
        } else {
            rare = (rare.0 + count as f64, rare.1 + p * n);
        }
    }
    if rare.1 >= 1.0 {
        add(rare.0, rare.1);
    } else {
        assert_eq!(rare.0, 0.0, "what cannot be drawn was");
    }
    let freedom = f64::from(cells - 1);
    (chi - freedom) / (2.0 * freedom).sqrt()
}

fn counted(classes: usize, tokens: impl IntoIterator<Item = u32>) -> Vec<u64> {
    let mut counts = vec![0; classes];
    tokens.into_iter().for_each(|token| counts[token as usize] += 1);
    counts
}

fn draws(params: SamplingParams, logits: &[f32], n: usize) -> (Vec<u64>, Vec<f64>) {
    let mut sampler = Sampler::new(params).unwrap();
    let mut tokens = vec![0; n];
    sampler.sample_n(logits, &NOWHERE, &mut tokens).unwrap();
    let p = sampler.distribution(logits, &NOWHERE).unwrap().probabilities();
    (counted(logits.len(), tokens), p)
}

#[test]
fn draws_pass_and_biased_ones_fail() {
    let logits = row(1, 1000, 2.0, None);
    for params in [
        tempered(1.0),
        SamplingParams { top_p: 0.9, ..tempered(1.3) },
        SamplingParams { min_p: 0.02, seed: 8, ..tempered(0.7) },
    ] {
        let (counts, p) = draws(params, &logits, 300_000);
        let excess = excess(&counts, &p);
        assert!(excess < 5.0, "{excess}");
    }
    let (mut fair, p) = draws(tempered(1.0), &logits, 300_000);
    // Mutants. One draw in 50 falls through to token 0; noise that is cut off below 0.999, as published; a 10-bit uniform.
    let mut random = Random::new(3);
    let first: u64 = fair.iter().sum::<u64>() / 50;
    fair[0] += first;
    assert!(excess(&fair, &p) > 20.0);
    let cut: Vec<u32> = (0..100_000)
        .map(|_| {
            let noisy = logits.iter().map(|&x| {
                let u = random.unit() * (0.999 - 1e-7) + 1e-7;
                f64::from(x) - (-u.ln()).ln()
            });
            let best = noisy.enumerate().fold((0, f64::MIN), |m, z| if z.1 > m.1 { z } else { m });
            best.0 as u32
        })
        .collect();
    assert!(excess(&counted(1000, cut), &p) > 20.0);
    let mut sampler = Sampler::new(tempered(1.0)).unwrap();
    let distribution = sampler.distribution(&logits, &NOWHERE).unwrap();
    let coarse = (0..300_000).map(|_| distribution.token_with(random.bits() >> 54 << 54));
    assert!(excess(&counted(1000, coarse), &p) > 20.0);
}

#[test]
fn the_tail_has_its_mass() {
    // 8192 tokens 18 to 20 nats below one: 5e-9 each, 5e-5 in all. With 24-bit uniforms most never come.
    let logits: Vec<f32> =
        (0..8193).map(|i| if i == 0 { 0.0 } else { -18.0 - i as f32 / 4096.0 }).collect();
    let exact: f64 = logits[1..].iter().map(|&x| f64::from(x).exp()).sum();
    let (counts, p) = draws(tempered(1.0), &logits, 4_000_000);
    let tail: f64 = p[1..].iter().sum();
    assert!((tail / (exact / (1.0 + exact)) - 1.0).abs() < 1e-3, "{tail} {exact}");
    let (seen, expected) = (counts[1..].iter().sum::<u64>() as f64, tail * 4e6);
    assert!((seen - expected).abs() < 5.0 * expected.sqrt(), "{seen} of {expected}");
}

#[test]
fn a_race_draws_from_the_same_distribution() {
    let logits = row(2, 300, 2.0, None);
    for params in [tempered(1.0), SamplingParams { top_k: 20, ..tempered(2.0) }] {
        let params = SamplingParams { method: Method::Gumbel, ..params };
        let (counts, p) = draws(params, &logits, 100_000);
        let excess = excess(&counts, &p);
        assert!(excess < 5.0, "{excess}");
    }
    // A token's noise is its own: a filter changes a draw only where it took the winner away.
    let mut all = Sampler::new(SamplingParams { method: Method::Gumbel, ..tempered(1.0) }).unwrap();
    let few = SamplingParams { method: Method::Gumbel, top_k: 50, ..tempered(1.0) };
    let mut few = Sampler::new(few).unwrap();
    let kept = few.distribution(&logits, &NOWHERE).unwrap().support();
    for position in 0..300 {
        let token = all.token(&logits, &at(position)).unwrap();
        if kept.contains(&token) {
            assert_eq!(few.token(&logits, &at(position)).unwrap(), token);
        }
    }
}

#[test]
fn pairs_without_replacement() {
    let logits = [0.0f32, 1.0, -0.5, 0.7];
    let mut sampler = Sampler::new(tempered(1.0)).unwrap();
    let p = sampler.distribution(&logits, &NOWHERE).unwrap().probabilities();
    let mut counts = vec![0; 16];
    for position in 0..60_000 {
        let mut pair = [0; 2];
        sampler.sample_without_replacement(&logits, &at(position), &mut pair).unwrap();
        counts[(pair[0] * 4 + pair[1]) as usize] += 1;
    }
    let want: Vec<f64> = (0..16)
        .map(|i| (i / 4, i % 4))
        .map(|(i, j)| if i == j { 0.0 } else { p[i] * p[j] / (1.0 - p[i]) })
        .collect();
    let excess = excess(&counts, &want);
    assert!(excess < 5.0, "{excess}");
    let mut all = [0; 4];
    sampler.sample_without_replacement(&logits, &NOWHERE, &mut all).unwrap();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    assert!(sampler.sample_without_replacement(&logits, &NOWHERE, &mut [0; 5]).is_err());
}

#[test]
fn verified_drafts_are_draws_from_the_target() {
    let (target, draft) = (row(4, 200, 2.0, None), row(5, 200, 2.0, None));
    let draft: Vec<f32> = target.iter().zip(&draft).map(|(x, y)| 0.7 * x + 0.3 * y).collect();
    for params in [tempered(1.0), SamplingParams { top_k: 30, top_p: 0.9, ..tempered(1.4) }] {
        let mut of_target = Sampler::new(params.clone()).unwrap();
        let mut of_draft = Sampler::new(params.clone()).unwrap();
        let mut verifier = Verifier::new(params).unwrap();
        let (mut counts, mut accepted) = (vec![0; 200], 0);
        for position in 0..60_000 {
            let token = of_draft.token(&draft, &at(position)).unwrap();
            let verdict = verifier.verify(&target, &draft, token, &at(position)).unwrap();
            counts[verdict.token as usize] += 1;
            accepted += u32::from(verdict.accepted);
            assert!(!verdict.accepted || verdict.token == token);
        }
        let p = of_target.distribution(&target, &NOWHERE).unwrap().probabilities();
        let q = of_draft.distribution(&draft, &NOWHERE).unwrap().probabilities();
        let above = excess(&counts, &p);
        assert!(above < 5.0, "{above}");
        let overlap: f64 = p.iter().zip(&q).map(|(p, q)| p.min(*q)).sum();
        let rate = f64::from(accepted) / 60_000.0;
        assert!((rate - overlap).abs() < 0.012, "{rate} {overlap}");
    }
    let mut verifier = Verifier::new(tempered(1.0)).unwrap();
    assert!(verifier.verify(&[0.0, 1.0], &[0.0, f32::NEG_INFINITY], 1, &NOWHERE).is_err());
    assert!(verifier.verify(&[0.0, 1.0], &[0.0, 1.0], 2, &NOWHERE).is_err());
    assert!(verifier.verify(&[0.0f32, 1.0], &[0.0], 0, &NOWHERE).is_err());
}

#[test]
fn mirostat_reaches_its_target() {
    let logits = row(6, 5000, 3.0, None);
    let mut sampler = Sampler::new(tempered(1.0)).unwrap();
    // Between the surprise of the likeliest token, 3.5 bits, and the entropy.
    for target in [4.0, 5.0] {
        let mut mirostat = Mirostat::new(target, 0.1).unwrap();
        let (mut sum, p) = (0.0, sampler.distribution(&logits, &NOWHERE).unwrap().probabilities());
        for position in 0..3000 {
            let draw = sampler.sample_mirostat(&mut mirostat, &logits, &at(position)).unwrap();
            sum -= p[draw.token as usize].log2();
        }
        assert!((sum / 3000.0 - target).abs() < 0.05, "{target}: {}", sum / 3000.0);
    }
    assert!(Mirostat::new(-1.0, 0.1).is_err() && Mirostat::new(1.0, f64::NAN).is_err());
}

#[test]
fn relaxed_samples() {
    let logits = [0.5f64, -1.0, 2.0, f64::NEG_INFINITY, 1.0];
    let mut sampler = Sampler::new(SamplingParams::default()).unwrap();
    let p = sampler.distribution(&logits, &NOWHERE).unwrap().probabilities();
    let of = |position, t| gumbel_softmax(&logits, tau(t), 1, 2, position).unwrap();
    let tokens = (0..50_000).map(|position| of(position, 0.5).token);
    assert!(excess(&counted(5, tokens), &p) < 5.0);
    for position in 0..50 {
        let sample = of(position, 0.5);
        let hard = of(position, 0.0);
        assert_eq!((hard.token, hard.relaxed), (sample.token, sample.straight_through()));
        assert_eq!(sample.relaxed[3], 0.0);
        // The gradient of y_0 against differences of it under the same noise.
        let gradient = sample.vjp(&[1.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        for i in [0, 1, 2, 4] {
            let moved = |step: f64| {
                let mut logits = logits;
                logits[i] += step;
                gumbel_softmax(&logits, tau(0.5), 1, 2, position).unwrap().relaxed[0]
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((gradient.logits[i] - difference).abs() < 1e-8);
        }
    }
    assert!(gumbel_softmax(&[f64::NAN], tau(1.0), 0, 0, 0).is_err());
    assert!(gumbel_softmax(&[f64::NEG_INFINITY], tau(1.0), 0, 0, 0).is_err());
    assert!(gumbel_softmax::<f32>(&[], tau(1.0), 0, 0, 0).is_err());
    let far = Context { position: 1 << 56, ..NOWHERE };
    assert!(sampler.token(&logits, &far).is_err());
}
