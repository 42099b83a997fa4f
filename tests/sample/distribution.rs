//! Weights against the formula, and the log-probabilities of a draw.

use softargmax::{Context, Sampler, SamplingParams, log_softmax};

use crate::sample::{NOWHERE, row, tau, tempered};

#[test]
fn weights_are_the_formula_rounded() {
    for t in [0.05, 0.8, 1.0, 3.0, 100.0] {
        let logits: Vec<f64> = row(1, 20_000, 3.0, None).iter().map(|&x| f64::from(x)).collect();
        let max = logits.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
        let mut sampler = Sampler::new(tempered(t)).unwrap();
        let distribution = sampler.distribution(&logits, &NOWHERE).unwrap();
        let weights = distribution.weights();
        for (&x, &weight) in logits.iter().zip(&weights) {
            let want = ((x - max) / t).exp() * 2f64.powi(34);
            assert!((weight as f64 - want).abs() <= 0.53, "{x} {t}: {weight} {want}");
        }
        let sum: u64 = weights.iter().sum();
        let p = distribution.probabilities();
        for (token, (&weight, &p)) in (0..).zip(weights.iter().zip(&p)) {
            assert_eq!(distribution.weight(token), weight);
            assert_eq!(p, weight as f64 / sum as f64);
            let log_p = distribution.log_prob(token);
            assert!((log_p - p.ln()).abs() <= 4e-15 * log_p.abs().max(1.0) || weight == 0);
        }
    }
}

/// Of f32 rows the largest weighs 2^34 times 2 to the fraction of max/τ·log2(e).
#[test]
fn weights_of_single_precision_are_the_formula_rounded() {
    let mut worst = 0.0f64;
    for (t, shift) in
        [(0.05, 0.0), (0.8, 0.0), (0.8, 300.0), (1.0, -40.0), (3.0, 7.0), (100.0, 0.0)]
    {
        let logits: Vec<f32> = row(1, 20_000, 3.0, None).iter().map(|&x| x + shift).collect();
        let max = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        let mut sampler = Sampler::new(tempered(t)).unwrap();
        let distribution = sampler.distribution(&logits, &NOWHERE).unwrap();
        let turns = f64::from(max) / t * std::f64::consts::LOG2_E;
        let full = (34.0 + turns - turns.floor()).exp2();
        let mut sum = 0;
        for (token, &x) in (0..).zip(&logits) {
            let weight = distribution.weight(token);
            sum += weight;
            let want = (f64::from(x - max) / t).exp();
            let exact = ((f64::from(x) - f64::from(max)) / t).exp() * full;
            // What is below 2^-34.999 of the largest is left out, be it half a unit or more.
            let off = if want < 2f64.powf(-34.999) { 0.0 } else { (weight as f64 - exact).abs() };
            worst = worst.max((off - 0.5) / exact);
            assert!(off <= 0.5 + 1.2e-7 * exact, "{x} {t}: {weight} {exact}");
            assert!(weight == 0 || want > 2f64.powf(-35.0));
        }
        assert_eq!(sum, distribution.total());
        assert!(sum >= 1 << 34);
    }
    eprintln!("weights of f32 within half a unit and {worst:.3e} of themselves");
}

#[test]
fn a_draw_tells_three_log_probabilities_apart() {
    let logits: Vec<f64> = row(2, 3000, 3.0, None).iter().map(|&x| f64::from(x)).collect();
    let params = SamplingParams { top_k: 5, ..tempered(0.7) };
    let mut sampler = Sampler::new(params).unwrap();
    let raw = log_softmax(&logits, tau(1.0)).unwrap();
    let cool = log_softmax(&logits, tau(0.7)).unwrap();
    for position in 0..20 {
        let context = Context { position, ..NOWHERE };
        let draw = sampler.sample(&logits, &context).unwrap();
        let i = draw.token as usize;
        assert!((draw.raw_log_prob - raw[i]).abs() < 1e-11);
        assert!((draw.tempered_log_prob - cool[i]).abs() < 1e-11);
        assert!(draw.log_prob > draw.tempered_log_prob && draw.kept == 5);
        assert_eq!(draw.token, sampler.token(&logits, &context).unwrap());
        let distribution = sampler.distribution(&logits, &context).unwrap();
        assert_eq!(draw.log_prob, distribution.log_prob(draw.token));
    }
    // A confident token keeps what is left over, not 0.
    let mut sampler = Sampler::new(SamplingParams::default()).unwrap();
    let draw = sampler.sample(&[21.64f32, 0.0], &NOWHERE).unwrap();
    assert!((draw.raw_log_prob / -3.998229e-10 - 1.0).abs() < 1e-6);
    assert!((draw.log_prob / -3.998229e-10 - 1.0).abs() < 0.2); // 7 units of 2^-34
}

#[test]
fn changes_of_logits_are_what_they_say() {
    let logits = [1.0f64, -1.0, 2.0, 0.5];
    let params = SamplingParams {
        repetition_penalty: 2.0,
        presence_penalty: 0.25,
        frequency_penalty: 0.125,
        logit_bias: vec![(3, 1.5)],
        ..Default::default()
    };
    let context = Context { history: &[1, 2, 1], mask: Some(&[0b1111]), ..NOWHERE };
    let mut sampler = Sampler::new(params).unwrap();
    let p = sampler.distribution(&logits, &context).unwrap().probabilities();
    let want = [1.0, -2.0 - 0.5, 1.0 - 0.375, 2.0];
    let mut plain = Sampler::new(SamplingParams::default()).unwrap();
    assert_eq!(p, plain.distribution(&want, &NOWHERE).unwrap().probabilities());
}

#[test]
#[cfg(feature = "serde")]
fn parameters_are_read_under_the_names_people_know() {
    let json = r#"{"temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.05, "repetition_penalty": 1.1,
        "logit_bias": {"3": -1.5}, "seed": 9, "order": "temperature_last", "method": "gumbel"}"#;
    let params: SamplingParams = serde_json::from_str(json).unwrap();
    assert_eq!(params.temperature, "0.7".parse().unwrap());
    assert_eq!((params.top_k, params.seed, &params.logit_bias[..]), (20, 9, &[(3, -1.5)][..]));
    for temperature in ["0.7", "inf", "0", "1e-30"] {
        let params = SamplingParams { temperature: temperature.parse().unwrap(), ..params.clone() };
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<SamplingParams>(&text).unwrap(), params, "{text}");
    }
    let odd = SamplingParams {
        temperature: softargmax::Temperature::from_scale(10.001).unwrap(),
        ..params
    };
    let text = serde_json::to_string(&odd).unwrap();
    assert_eq!(serde_json::from_str::<SamplingParams>(&text).unwrap(), odd);
    assert!(serde_json::from_str::<SamplingParams>(r#"{"temprature": 1}"#).is_err());
    assert!(serde_json::from_str::<SamplingParams>(r#"{"temperature": -1}"#).is_err());
}
