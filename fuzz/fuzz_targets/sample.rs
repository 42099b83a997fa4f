#![no_main]
//! Any parameters on any logits: an error, or draws that are kept, unmasked, and of the distribution that is reported.

use libfuzzer_sys::fuzz_target;
use softargmax::{Context, Method, Mirostat, Order, Sampler, SamplingParams, Temperature, Verifier};

/// Numbers out of bytes; every byte is used for one thing.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> f64 {
        f64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Often a share of 1, sometimes anything.
    fn share(&mut self) -> f64 {
        match self.byte() {
            255 => self.number(),
            byte => f64::from(byte % 101) / 100.0,
        }
    }
}

fn check<T: softargmax::Element>(
    logits: &[T],
    params: &SamplingParams,
    context: &Context<'_>,
    is_allowed: impl Fn(u32) -> bool,
) {
    let Ok(mut sampler) = Sampler::new(params.clone()) else { return };
    let Ok(distribution) = sampler.distribution(logits, context) else {
        assert!(sampler.token(logits, context).is_err());
        return;
    };
    let (weights, total) = (distribution.weights(), distribution.total());
    assert_eq!(weights.iter().sum::<u64>(), total);
    assert!(total > 0);
    assert_eq!(weights.iter().filter(|&&weight| weight > 0).count(), distribution.kept());
    for (token, &weight) in (0..).zip(&weights) {
        assert!(weight == 0 || is_allowed(token));
        assert_eq!(weight, distribution.weight(token));
    }
    for n in [0, total / 2, total - 1] {
        let token = distribution.token_at(n).unwrap();
        assert!(weights[token as usize] > 0);
    }
    let kept = distribution.kept();
    let draw = sampler.sample(logits, context).unwrap();
    assert!(weights[draw.token as usize] > 0 && draw.kept == kept);
    assert!(draw.log_prob <= 0.0 && draw.tempered_log_prob <= 0.0 && draw.raw_log_prob <= 0.0);
    let mut some = [0; 3];
    let all_drawn = sampler.sample_without_replacement(logits, context, &mut some).is_ok();
    assert_eq!(all_drawn, kept >= 3);
    if all_drawn {
        assert!(some[0] != some[1] && some[1] != some[2] && some[0] != some[2]);
        assert!(some.iter().all(|&token| weights[token as usize] > 0));
    }
    let mut mirostat = Mirostat::new(3.0, 0.5).unwrap();
    for _ in 0..3 {
        let draw = sampler.sample_mirostat(&mut mirostat, logits, context).unwrap();
        assert!(weights[draw.token as usize] > 0);
    }
    let mut verifier = Verifier::new(params.clone()).unwrap();
    let reversed: Vec<T> = logits.iter().rev().copied().collect();
    if let Ok(verdict) = verifier.verify(logits, &reversed, draw.token, context) {
        assert!(weights[verdict.token as usize] > 0);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let temperature = match bytes.byte() {
        255 => bytes.number(),
        byte => [0.0, 1e-30, 0.5, 1.0, 1e4, f64::INFINITY, 5e-324, 1e308][usize::from(byte % 8)],
    };
    let Ok(temperature) = Temperature::new(temperature) else { return };
    let mut params = SamplingParams {
        temperature,
        top_k: usize::from(bytes.byte()),
        top_p: bytes.share(),
        min_p: bytes.share(),
        typical_p: bytes.share(),
        top_n_sigma: bytes.share() * 4.0,
        repetition_penalty: bytes.share() * 2.0,
        presence_penalty: bytes.share(),
        frequency_penalty: bytes.share(),
        ..Default::default()
    };
    let kind = bytes.byte();
    params.order =
        [Order::TemperatureFirst, Order::MinPFirst, Order::TemperatureLast][usize::from(kind % 3)];
    params.method = if kind & 64 == 0 { Method::Inverse } else { Method::Gumbel };
    let history = [u32::from(bytes.byte()), u32::from(bytes.byte())];
    let history = &history[..usize::from(kind >> 4 & 3).min(2)];
    if kind & 128 != 0 {
        params.logit_bias = vec![(u32::from(bytes.byte()), bytes.number())];
    }
    let mask: Vec<u64> = vec![u64::from(bytes.byte()) * 0x0101_0101_0101_0101; 64];
    let is_masked = kind & 8 != 0;
    let mut logits: Vec<f64> = Vec::new();
    while !bytes.0.is_empty() && logits.len() < 2000 {
        match bytes.byte() {
            255 => logits.push(bytes.number()),
            254 => logits.push(f64::NEG_INFINITY),
            253 => {
                // A run of one value.
                let (x, n) = (f64::from(bytes.byte()) / 8.0, usize::from(bytes.byte()));
                logits.extend(std::iter::repeat_n(x, n));
            }
            byte => logits.push(f64::from(byte) / 8.0 - 16.0),
        }
    }
    let words = logits.len().div_ceil(64);
    let context = Context {
        stream: 1,
        position: 2,
        mask: is_masked.then(|| &mask[..words.min(64)]),
        history,
    };
    let is_allowed = |token: u32| {
        !is_masked || mask[token as usize / 64] >> (token % 64) & 1 == 1
    };
    check(&logits, &params, &context, is_allowed);
    let narrow: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
    check(&narrow, &params, &context, is_allowed);
});
