//! The proof: every integer that is the first or the last of a class's share draws that class. With shares that are as long
//! as the weights, and follow each other, there is nothing else a draw could be: no statistics needed.

use softargmax::{Context, Element, Sampler, SamplingParams};

use crate::sample::{NOWHERE, combinations, row};

fn prove<T: Element>(logits: &[T], params: SamplingParams, context: &Context<'_>) {
    let mut sampler = Sampler::new(params.clone()).unwrap();
    let distribution = sampler.distribution(logits, context).unwrap();
    let weights = distribution.weights();
    let mut sum = 0;
    for (i, &weight) in weights.iter().enumerate() {
        if weight > 0 {
            let ends = [distribution.token_at(sum), distribution.token_at(sum + weight - 1)];
            assert_eq!(ends, [Ok(i as u32), Ok(i as u32)], "{params:?}");
        }
        sum += weight;
    }
    assert_eq!(sum, distribution.total(), "{params:?}");
    assert!(distribution.token_at(sum).is_err());
    assert_eq!(weights.iter().filter(|&&weight| weight > 0).count(), distribution.kept());
    // The words of a caller: the first and the last.
    assert_eq!(Ok(distribution.token_with(0)), distribution.token_at(0));
    assert_eq!(Ok(distribution.token_with(u64::MAX)), distribution.token_at(sum - 1));
}

#[test]
fn every_share_of_every_class_under_every_combination_of_filters() {
    for classes in [1, 2, 10, 50257, 128_256, 262_144] {
        for (seed, grid) in [(1, None), (2, Some(0.25))] {
            let logits = row(seed, classes, 3.0, grid);
            for params in combinations() {
                prove(&logits, params, &NOWHERE);
            }
        }
    }
}

#[test]
fn every_share_of_every_type_with_bias_penalties_and_mask() {
    let logits = row(3, 5000, 3.0, Some(0.5));
    let mask: Vec<u64> = (0..5000usize.div_ceil(64)).map(|i| !0 << (i % 7)).collect();
    let context = Context { mask: Some(&mask), history: &[7, 7, 300, 4999], ..NOWHERE };
    for params in combinations() {
        let params = SamplingParams {
            repetition_penalty: 1.3,
            presence_penalty: 0.5,
            frequency_penalty: 0.25,
            logit_bias: vec![(8, 20.0), (9, f64::NEG_INFINITY)],
            ..params
        };
        prove(&logits, params.clone(), &context);
        let wide: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect();
        prove(&wide, params.clone(), &context);
        #[cfg(feature = "half")]
        {
            let half: Vec<half::bf16> = logits.iter().map(|&x| half::bf16::from_f32(x)).collect();
            prove(&half, params.clone(), &context);
            let half: Vec<half::f16> = logits.iter().map(|&x| half::f16::from_f32(x)).collect();
            prove(&half, params, &context);
        }
    }
}
