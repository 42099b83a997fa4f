//! Draws pinned: the same on every instruction set, number of threads and batch. A change here is a breaking one.

use softargmax::{
    Context, Element, Method, Rows, Sampler, SamplingParams, Verifier, gumbel_softmax, sample_rows,
};

use crate::sample::{NOWHERE, at, combinations, row, tau, tempered};
use crate::support::number::on_every_isa;
use crate::support::random::fingerprint;

fn draws<T: Element>(logits: &[T], params: SamplingParams) -> impl Iterator<Item = u64> + use<T> {
    let mut sampler = Sampler::new(params).unwrap();
    let mut words: Vec<u64> = Vec::new();
    for position in 0..5 {
        let draw = sampler.sample(logits, &at(position)).unwrap();
        let logs = [draw.raw_log_prob, draw.tempered_log_prob, draw.log_prob];
        words.extend([u64::from(draw.token), draw.kept as u64]);
        words.extend(logs.map(f64::to_bits));
    }
    words.extend(sampler.distribution(logits, &NOWHERE).unwrap().weights());
    words.into_iter()
}

#[test]
fn the_same_draws_on_every_instruction_set() {
    let logits = row(1, 3000, 3.0, None);
    let wide: Vec<f64> = logits.iter().map(|&x| f64::from(x) * 1.1).collect();
    let (target, draft) = (row(2, 300, 2.0, None), row(3, 300, 2.0, None));
    let all = || {
        let mut words: Vec<u64> = Vec::new();
        for params in combinations() {
            words.extend(draws(&logits, params.clone()));
            words.extend(draws(&wide, SamplingParams { method: Method::Gumbel, ..params }));
        }
        let mut verifier = Verifier::new(tempered(1.0)).unwrap();
        let mut sampler = Sampler::new(tempered(1.0)).unwrap();
        for position in 0..20 {
            let token = sampler.token(&draft, &at(position)).unwrap();
            let verdict = verifier.verify(&target, &draft, token, &at(position)).unwrap();
            words.push(u64::from(verdict.token));
            let mut some = [0; 5];
            sampler.sample_without_replacement(&draft, &at(position), &mut some).unwrap();
            words.extend(some.map(u64::from));
            let relaxed = gumbel_softmax(&draft, tau(0.5), 4, 5, position).unwrap();
            words.extend(relaxed.relaxed.iter().map(|y| u64::from(y.to_bits())));
        }
        fingerprint(words.into_iter())
    };
    on_every_isa(|isa| {
        let got = all();
        assert_eq!(got, PINNED, "{isa:?}: {got:#x}");
    });
}

const PINNED: u64 = 0x44a5_415e_82be_acea;

#[test]
fn first_draws_of_a_known_row() {
    let mut tokens = [0; 16];
    let mut sampler = Sampler::new(SamplingParams { seed: 42, ..tempered(2.0) }).unwrap();
    sampler.sample_n(&[1.0f32, 2.0, 3.0, 4.0], &NOWHERE, &mut tokens).unwrap();
    assert_eq!(tokens, FIRST);
    for (position, token) in (0..).zip(tokens) {
        assert_eq!(sampler.token(&[1.0, 2.0, 3.0, 4.0], &at(position)).unwrap(), token);
    }
}

const FIRST: [u32; 16] = [1, 0, 1, 3, 3, 2, 0, 3, 2, 3, 0, 3, 2, 2, 2, 2];

#[test]
fn a_batch_is_its_rows() {
    let (rows, classes) = (40, 5000);
    let logits = row(4, rows * classes, 3.0, Some(0.25));
    let contexts: Vec<Context<'_>> =
        (0..rows as u64).map(|stream| Context { stream, ..at(stream / 7) }).collect();
    let params: Vec<SamplingParams> = combinations().into_iter().cycle().take(rows).collect();
    let batch = || sample_rows(Rows::new(&logits, classes).unwrap(), &params, &contexts).unwrap();
    #[cfg(feature = "rayon")]
    let in_threads =
        |n: usize| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(batch);
    #[cfg(not(feature = "rayon"))]
    let in_threads = |_: usize| batch();
    let one = in_threads(1);
    for threads in [2, 3] {
        assert_eq!(in_threads(threads), one);
    }
    for (i, row) in logits.chunks(classes).enumerate() {
        let mut sampler = Sampler::new(params[i].clone()).unwrap();
        assert_eq!(sampler.sample(row, &contexts[i]).unwrap(), one[i]);
    }
    let same = sample_rows(Rows::new(&logits, classes).unwrap(), &params[..2], &contexts);
    assert!(same.is_err());
}
