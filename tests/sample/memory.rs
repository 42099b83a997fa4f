//! No draw allocates once a sampler has seen such a row: counted at the allocator.

use softargmax::{Context, Element, Method, Mirostat, Sampler, SamplingParams, Verifier};

use crate::allocator::times_taken;
use crate::sample::{NOWHERE, combinations, row, tempered};

fn draws<T: Element>(rows: &[Vec<T>], params: SamplingParams) {
    let mask = vec![!0 - 2; rows[0].len().div_ceil(64)];
    let context = Context { mask: Some(&mask), history: &[3, 4, 3], ..NOWHERE };
    let mut sampler = Sampler::new(params.clone()).unwrap();
    let mut verifier = Verifier::new(params.clone()).unwrap();
    let mut mirostat = Mirostat::new(3.0, 0.1).unwrap();
    let mut some = [0; 8];
    let mut once = |position: u64| {
        for row in rows {
            for context in [&Context { position, ..context }, &Context { position, ..NOWHERE }] {
                sampler.token(row, context).unwrap();
                sampler.sample(row, context).unwrap();
                sampler.sample_n(row, context, &mut some).unwrap();
                let _ = sampler.sample_without_replacement(row, context, &mut some);
                sampler.sample_mirostat(&mut mirostat, row, context).unwrap();
                let token = sampler.token(row, context).unwrap();
                verifier.verify(row, row, token, context).unwrap();
            }
        }
    };
    once(0); // warm
    let times = times_taken(|| (1..4).for_each(&mut once));
    assert_eq!(times, 0, "{params:?}");
}

#[test]
fn no_draw_allocates() {
    let rows: Vec<Vec<f32>> = (0..2).map(|seed| row(seed, 9000, 2.0, Some(0.25))).collect();
    let wide: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    for params in combinations() {
        let penalised = SamplingParams { repetition_penalty: 1.2, ..params };
        draws(&rows, penalised.clone());
        draws(&wide, SamplingParams { method: Method::Gumbel, ..penalised });
    }
    draws(&wide, tempered(1e-300));
    #[cfg(feature = "half")]
    {
        let to_half = |row: &Vec<f32>| row.iter().map(|&x| half::bf16::from_f32(x)).collect();
        draws(&rows.iter().map(to_half).collect::<Vec<Vec<half::bf16>>>(), tempered(0.8));
    }
    assert!(times_taken(|| drop(std::hint::black_box(vec![1]))) > 0, "the counter counts");
}
