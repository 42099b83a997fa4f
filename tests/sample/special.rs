//! What a value means: limits, infinities, NaN, nothing left; errors with their names and numbers.

use softargmax::{Context, Error, Order, Rows, Sampler, SamplingParams, Temperature, sample_rows};

use crate::sample::{NOWHERE, at, row, tau, tempered};

const INF: f32 = f32::INFINITY;

fn p(params: &SamplingParams, logits: &[f32]) -> Vec<f64> {
    let mut sampler = Sampler::new(params.clone()).unwrap();
    sampler.distribution(logits, &NOWHERE).unwrap().probabilities()
}

#[test]
fn temperatures_mean_what_they_are() {
    let logits = [1.0, 3.0, 3.0, -INF, 2.0];
    for t in [0.0, 1e-300, 1e-30, 1e-4] {
        assert_eq!(p(&tempered(t), &logits), [0.0, 0.5, 0.5, 0.0, 0.0], "{t}");
    }
    assert_eq!(p(&tempered(f64::INFINITY), &logits), [0.25, 0.25, 0.25, 0.0, 0.25]);
    let hot = p(&tempered(1e4), &logits);
    assert!(hot[3] == 0.0 && (hot[1] / hot[0] - (2e-4f64).exp()).abs() < 1.5e-7); // f32
    let wide = logits.map(f64::from);
    let mut sampler = Sampler::new(tempered(1e4)).unwrap();
    let hot = sampler.distribution(&wide, &NOWHERE).unwrap().probabilities();
    assert!(hot[3] == 0.0 && (hot[1] / hot[0] - (2e-4f64).exp()).abs() < 1e-9);
    // Tiny temperatures are honoured, not clamped.
    let close = [0.0f32, 1e-30];
    let cold = p(&tempered(1e-30), &close);
    assert!((cold[1] / cold[0] - 1f64.exp()).abs() < 1e-6, "{cold:?}");
    for (t, step) in [(5e-324, 5e-324), (1e-310, 2e-310), (1e308, 1e308)] {
        let mut sampler = Sampler::new(tempered(t)).unwrap();
        let logits = [-step, 0.0, step];
        let p = sampler.distribution(&logits, &NOWHERE).unwrap().probabilities();
        let want = (step / t).exp();
        assert!((p[2] / p[1] / want - 1.0).abs() < 1e-8 && p[0] > 0.0, "{t}: {p:?}");
    }
}

#[test]
fn scaling_logits_and_temperature_together_changes_nothing() {
    let logits: Vec<f64> = row(1, 700, 3.0, None).iter().map(|&x| f64::from(x)).collect();
    let weights = |k: i32| {
        let logits: Vec<f64> = logits.iter().map(|x| x * 2f64.powi(k)).collect();
        let mut sampler = Sampler::new(tempered(0.7 * 2f64.powi(k))).unwrap();
        sampler.distribution(&logits, &NOWHERE).unwrap().weights()
    };
    for k in [-1000, -500, -3, 5, 400, 1000] {
        assert_eq!(weights(k), weights(0), "{k}");
    }
}

#[test]
fn infinities() {
    let logits = [1.0, INF, -INF, INF, 0.0];
    for t in [0.0, 1e-30, 1.0, 1e4] {
        assert_eq!(p(&tempered(t), &logits), [0.0, 0.5, 0.0, 0.5, 0.0], "{t}");
    }
    assert_eq!(p(&tempered(f64::INFINITY), &logits), [0.25, 0.25, 0.0, 0.25, 0.25]);
    let first = SamplingParams { top_k: 1, ..tempered(f64::INFINITY) };
    assert_eq!(p(&first, &logits), [0.0, 1.0, 0.0, 0.0, 0.0]);
    let mut sampler = Sampler::new(tempered(1.0)).unwrap();
    let draw = sampler.sample(&logits, &NOWHERE).unwrap();
    assert_eq!((draw.raw_log_prob, draw.log_prob), (-2f64.ln(), -2f64.ln()));
    // The widest finite row, at a temperature as wide.
    let wide = p(&tempered(3e38), &[3e38, -3e38]);
    assert!((wide[1] / wide[0] - (-2f64).exp()).abs() < 1e-6);
}

#[test]
fn nothing_to_draw_from_is_an_error() {
    let mut sampler = Sampler::<f32>::new(SamplingParams::default()).unwrap();
    assert_eq!(sampler.token(&[], &NOWHERE), Err(Error::NoClasses));
    assert_eq!(sampler.token(&[-INF; 3], &NOWHERE), Err(Error::AllMasked { row: 0 }));
    let masked = Context { mask: Some(&[0b010]), ..NOWHERE };
    assert_eq!(sampler.token(&[1.0, -INF, 2.0], &masked), Err(Error::AllMasked { row: 0 }));
    assert_eq!(sampler.token(&[1.0, 5.0, 2.0], &masked), Ok(1));
    for i in [0, 1, 31, 32, 299] {
        let mut logits = vec![0.0; 300];
        logits[i] = f32::NAN;
        assert_eq!(sampler.token(&logits, &NOWHERE), Err(Error::LogitNan { row: 0, class: i }));
    }
    let error = sampler.token(&[f32::NAN, 5.0], &Context { mask: Some(&[0b10]), ..NOWHERE });
    assert_eq!(error, Err(Error::LogitNan { row: 0, class: 0 }));
    let short = Context { mask: Some(&[]), ..NOWHERE };
    assert_eq!(
        sampler.token(&[1.0], &short),
        Err(Error::Shape { what: "mask", expected: 1, got: 0 })
    );
    let history = Context { history: &[1, 9], ..NOWHERE };
    let error = sampler.token(&[1.0, 2.0], &history).unwrap_err();
    assert_eq!(error.to_string(), "history: token 9 is not a class: there are 2, counted from 0");
    let bias = SamplingParams { logit_bias: vec![(2, 1.0)], ..Default::default() };
    assert!(Sampler::new(bias).unwrap().token(&[1.0f32, 2.0], &NOWHERE).is_err());
    // In a batch the first such row is named.
    let logits = [0.0, 1.0, -INF, -INF, f32::NAN, 0.0];
    let error = sample_rows(Rows::new(&logits, 2).unwrap(), &[tempered(1.0)], &[NOWHERE; 3]);
    assert_eq!(error, Err(Error::AllMasked { row: 1 }));
}

/// Found by fuzzing: of what is kept, the largest has the full weight, even where typical left the largest of all out.
#[test]
fn the_cold_after_typical_leaves_something() {
    let logits: Vec<f32> = [3.0].into_iter().chain((0..200).map(|i| i as f32 / 1000.0)).collect();
    for temperature in [Temperature::ZERO, tau(1e-30), tau(1e-3)] {
        let order = Order::TemperatureLast;
        let params = SamplingParams { temperature, typical_p: 0.2, order, ..Default::default() };
        let mut sampler = Sampler::new(params).unwrap();
        let distribution = sampler.distribution(&logits, &NOWHERE).unwrap();
        assert!(distribution.weight(0) == 0 && distribution.total() >= 1 << 34);
        let draw = distribution.describe(distribution.token_with(7));
        assert!(draw.tempered_log_prob < -1000.0 && draw.log_prob <= 0.0, "{draw:?}");
    }
}

/// Found by fuzzing: where products underflow, a search number by number never ended.
#[test]
fn underflowing_exponents_do_not_hang() {
    for temperature in [1e270, 1e300, 1e308] {
        let params = SamplingParams { min_p: 1.0, top_p: 0.5, ..tempered(temperature) };
        assert_eq!(p(&params, &[0.0, 0.0, -1e-40]).len(), 3);
        let mut sampler = Sampler::new(params).unwrap();
        assert!(sampler.token(&[0.0f64, -1e-300, 0.0], &NOWHERE).is_ok());
    }
}

#[test]
fn a_mask_is_never_broken() {
    let logits = row(3, 1000, 3.0, None);
    let mask: Vec<u64> =
        (0..16u64).map(|i| 0x0f0f_1234_8000_0001u64.rotate_left(i as u32)).collect();
    let mut sampler = Sampler::new(tempered(5.0)).unwrap();
    for position in 0..2000 {
        let context = Context { mask: Some(&mask), ..at(position) };
        let token = sampler.token(&logits, &context).unwrap() as usize;
        assert!(mask[token / 64] >> (token % 64) & 1 == 1 && logits[token] > -INF);
    }
}

#[test]
fn the_ends_of_every_parameter() {
    let logits = [1.0, 3.0, 3.0, -INF, 2.0];
    let of = |params: SamplingParams| {
        let mut sampler = Sampler::new(params).unwrap();
        sampler.distribution(&logits, &NOWHERE).unwrap().support()
    };
    let base = SamplingParams::default;
    assert_eq!(of(SamplingParams { top_p: 0.0, ..base() }), [1]);
    assert_eq!(of(SamplingParams { top_p: 1.0, ..base() }), [0, 1, 2, 4]);
    assert_eq!(of(SamplingParams { top_p: 5e-324, ..base() }), [1]);
    assert_eq!(of(SamplingParams { typical_p: 0.0, ..base() }), [1]);
    assert_eq!(of(SamplingParams { min_p: 1.0, ..base() }), [1, 2]);
    assert_eq!(of(SamplingParams { top_k: 1, ..base() }), [1]);
    assert_eq!(of(SamplingParams { top_k: usize::MAX, ..base() }), [0, 1, 2, 4]);
    assert_eq!(of(SamplingParams { top_k: 3, top_p: 0.0, min_p: 1.0, ..base() }), [1]);
    assert_eq!(of(SamplingParams { top_n_sigma: 1e-9, ..base() }), [1, 2]);
    assert_eq!(of(SamplingParams::greedy()), [1]);
    for order in [Order::TemperatureFirst, Order::MinPFirst, Order::TemperatureLast] {
        for temperature in [Temperature::ZERO, Temperature::INFINITE, tau(1e-30)] {
            let all = SamplingParams {
                temperature,
                top_k: 3,
                top_p: 0.5,
                min_p: 0.1,
                typical_p: 0.9,
                top_n_sigma: 1.0,
                order,
                ..base()
            };
            assert!(of(all.clone()).iter().all(|&token| token == 1 || token == 2), "{all:?}");
        }
    }
    for one in [base(), SamplingParams::greedy(), SamplingParams::hf(), SamplingParams::llama_cpp()]
    {
        assert_eq!(p(&one, &[-7.0]), [1.0]);
    }
}

#[test]
fn parameters_out_of_range_are_refused_by_name() {
    let base = SamplingParams::default;
    let nan = f64::NAN;
    for (params, name) in [
        (SamplingParams { top_p: 1.1, ..base() }, "top_p 1.1"),
        (SamplingParams { top_p: nan, ..base() }, "top_p NaN"),
        (SamplingParams { min_p: -0.1, ..base() }, "min_p -0.1"),
        (SamplingParams { typical_p: 2.0, ..base() }, "typical_p 2"),
        (SamplingParams { top_n_sigma: -1.0, ..base() }, "top_n_sigma -1"),
        (SamplingParams { repetition_penalty: 0.0, ..base() }, "repetition_penalty 0"),
        (SamplingParams { presence_penalty: f64::INFINITY, ..base() }, "presence_penalty inf"),
        (SamplingParams { frequency_penalty: nan, ..base() }, "frequency_penalty NaN"),
        (SamplingParams { logit_bias: vec![(0, f64::INFINITY)], ..base() }, "logit_bias inf"),
    ] {
        let error = Sampler::<f32>::new(params).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name} is not allowed")), "{error}");
    }
}
