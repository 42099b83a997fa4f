//! Drawing tokens: every test of `src/sample/`.

use softargmax::{Context, Sampler, SamplingParams, Temperature};

#[test]
fn smoke() {
    let logits = [1.0f32, 5.0, 7.0, 10.0];
    for tau in [0.1, 1.0, 10.0] {
        let temperature = Temperature::new(tau).unwrap();
        let mut s = Sampler::new(SamplingParams { temperature, ..Default::default() }).unwrap();
        let d = s.distribution(&logits, &Context::default()).unwrap();
        eprintln!("{:?} {:?} {:?}", d.weights(), d.total(), d.probabilities());
        eprintln!("{:?}", s.sample(&logits, &Context::default()));
    }
    for p in [
        SamplingParams { top_k: 2, ..Default::default() },
        SamplingParams { top_p: 0.9, ..Default::default() },
        SamplingParams { min_p: 0.01, ..Default::default() },
        SamplingParams { typical_p: 0.5, ..Default::default() },
        SamplingParams { top_n_sigma: 1.0, ..Default::default() },
    ] {
        let mut s = Sampler::new(p).unwrap();
        let d = s.distribution(&logits, &Context::default()).unwrap();
        eprintln!("{:?}", d.probabilities());
    }
}
