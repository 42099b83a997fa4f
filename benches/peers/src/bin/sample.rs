//! One token out of a row of f32 logits, by this crate and by published samplers, on one thread, in one process.
//!
//! Every contestant runs in every round, in turn; a round's ratio is taken within the round. Two kinds of rows: `peaked`, as
//! language models give them (most logits far below a few), and `flat`, normal with deviation 1, the worst case: hardly any
//! token can be left out. Beside them one softmax of the row, and reading it once. Before anything is timed, what each
//! contestant draws is held against our distribution.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml --bin sample [-- --json FILE]

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use llm_samplers::prelude::{
    Logits, SampleMinP, SampleRandDistrib, SampleTemperature, SampleTopK, SampleTopP, SamplerChain,
    SimpleSamplerResources,
};
use llm_samplers::types::Sampler as _;
use softargmax::{Context, Isa, Rows, Sampler, SamplingParams, Temperature, softmax_into};

const TAU: f32 = 0.8;
const ROUNDS: usize = 21;

type Contestant<'a> = (String, Box<dyn FnMut() -> u32 + 'a>);

fn main() {
    let json = std::env::args().skip_while(|arg| arg != "--json").nth(1);
    let mut results = Vec::new();
    for classes in [32000, 128_256, 262_144] {
        for kind in ["peaked", "flat"] {
            results.push(row(classes, kind));
        }
    }
    if let Some(path) = json {
        let report = serde_json::json!({
            "schema": "softargmax.bench-sample/1",
            "command": "make bench-sample",
            "bench": "one token at temperature 0.8, f32, one thread",
            "machine": machine(),
            "compiler": said("rustc", &["--version"]),
            "commit": said("git", &["rev-parse", "--short", "HEAD"]),
            "isa": Isa::current().name(),
            "rounds": ROUNDS,
            "rows": results,
        });
        std::fs::write(path, format!("{report:#}\n")).expect("the report is written");
    }
}

fn ours<'a>(logits: &'a [f32], params: SamplingParams) -> Box<dyn FnMut() -> u32 + 'a> {
    let temperature = "0.8".parse().expect("a temperature");
    let mut sampler = Sampler::new(SamplingParams { temperature, ..params }).expect("a sampler");
    let mut position = 0;
    Box::new(move || {
        position += 1;
        let context = Context { position, ..Context::default() };
        sampler.token(black_box(logits), &context).expect("a token")
    })
}

fn candle<'a>(logits: &'a Tensor, sampling: Sampling) -> Box<dyn FnMut() -> u32 + 'a> {
    let mut processor = LogitsProcessor::from_sampling(1, sampling);
    Box::new(move || processor.sample(black_box(logits)).expect("a token"))
}

fn llm<'a>(logits: &'a [f32], mut chain: SamplerChain) -> Box<dyn FnMut() -> u32 + 'a> {
    use rand_08::SeedableRng;
    let rng = rand_08::rngs::StdRng::seed_from_u64(1);
    let mut resources = SimpleSamplerResources::new(Some(Box::new(rng)), Some(Vec::new()));
    Box::new(move || {
        let mut logits = Logits::try_from_iter(black_box(logits).iter().copied()).expect("logits");
        chain.sample_token(&mut resources, &mut logits).expect("drawn").expect("a token")
    })
}

fn row(classes: usize, kind: &str) -> serde_json::Value {
    let logits = logits(classes, kind);
    let tensor = Tensor::from_slice(&logits, classes, &Device::Cpu).expect("a tensor");
    let temperature = f64::from(TAU);
    let tau = Temperature::new(temperature).expect("a temperature");
    let base = SamplingParams::default;
    let mut out = vec![0f32; classes];
    let chain = || SamplerChain::new() + SampleTemperature::new(TAU);
    let contestants: Vec<Contestant> = vec![
        (
            "softmax of the row".into(),
            Box::new(|| {
                let rows = Rows::one(black_box(&logits)).expect("a row");
                softmax_into(rows, tau, &mut out).expect("softmax");
                0
            }),
        ),
        (
            "reading the row".into(),
            Box::new(|| {
                let sums = black_box(&logits).as_chunks::<64>().0.iter().fold(
                    [0f32; 64],
                    |mut sums, chunk| {
                        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
                        sums
                    },
                );
                black_box(sums);
                0
            }),
        ),
        ("tau".into(), ours(&logits, base())),
        ("tau, top-k 50".into(), ours(&logits, SamplingParams { top_k: 50, ..base() })),
        ("tau, top-p 0.95".into(), ours(&logits, SamplingParams { top_p: 0.95, ..base() })),
        ("tau, min-p 0.05".into(), ours(&logits, SamplingParams { min_p: 0.05, ..base() })),
        ("tau, top-n-sigma 1".into(), ours(&logits, SamplingParams { top_n_sigma: 1.0, ..base() })),
        (
            "tau, all".into(),
            ours(&logits, SamplingParams { top_k: 50, top_p: 0.95, min_p: 0.05, ..base() }),
        ),
        ("candle tau".into(), candle(&tensor, Sampling::All { temperature })),
        ("candle tau, top-k 50".into(), candle(&tensor, Sampling::TopK { k: 50, temperature })),
        ("candle tau, top-p 0.95".into(), candle(&tensor, Sampling::TopP { p: 0.95, temperature })),
        (
            "candle tau, top-k 50, top-p 0.95".into(),
            candle(&tensor, Sampling::TopKThenTopP { k: 50, p: 0.95, temperature }),
        ),
        ("llm-samplers tau".into(), llm(&logits, chain() + SampleRandDistrib::new())),
        (
            "llm-samplers tau, top-k 50, top-p 0.95, min-p 0.05".into(),
            llm(
                &logits,
                chain()
                    + SampleTopK::new(50, 1)
                    + SampleTopP::new(0.95, 1)
                    + SampleMinP::new(0.05, 1)
                    + SampleRandDistrib::new(),
            ),
        ),
    ];
    let mut contestants = contestants;
    verify(&logits, &mut contestants);
    let mut times = vec![Vec::with_capacity(ROUNDS); contestants.len()];
    for round in 0..=ROUNDS {
        for ((_, run), times) in contestants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            black_box(run());
            let first = start.elapsed().as_secs_f64();
            // Short ones several times, so that the clock does not show.
            let repeats = (1e-3 / first).clamp(1.0, 20.0) as usize;
            let start = Instant::now();
            for _ in 0..repeats {
                black_box(run());
            }
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e6 / repeats as f64);
            }
        }
    }
    println!("{kind} row of {classes}");
    let mut report = Vec::new();
    for ((name, _), own) in contestants.iter().zip(&times) {
        let quartiles = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            [1, 2, 3].map(|i| (values[i * (ROUNDS - 1) / 4] * 1e3).round() / 1e3)
        };
        let spread = quartiles(own.clone());
        let to = |i: usize| quartiles(own.iter().zip(&times[i]).map(|(a, b)| a / b).collect());
        let (softmax, read) = (to(0), to(1));
        let ours = ours_of(name).and_then(|ours| contestants.iter().position(|c| c.0 == ours));
        let ours = ours.map(to);
        println!(
            "  {name:52} {:10.1} µs ({:.1}..{:.1}); {:7.2} softmaxes, {:6.1} times ours",
            spread[1],
            spread[0],
            spread[2],
            softmax[1],
            ours.map_or(1.0, |ours| ours[1])
        );
        let with_quartiles =
            |of: [f64; 3]| serde_json::json!({ "median": of[1], "quartiles": [of[0], of[2]] });
        let mut entry = serde_json::json!({
            "name": name,
            "microseconds": with_quartiles(spread),
            "ratio_to_softmax": with_quartiles(softmax),
            "ratio_to_reading": with_quartiles(read),
        });
        if let Some(ours) = ours {
            entry["ours"] = ours_of(name).into();
            entry["ratio_to_ours"] = with_quartiles(ours);
        }
        report.push(entry);
    }
    serde_json::json!({ "kind": kind, "classes": classes, "contestants": report })
}

/// What a contestant of another crate is held against: of ours, the one that does as much or more.
fn ours_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "candle tau" | "llm-samplers tau" => "tau",
        "candle tau, top-k 50" => "tau, top-k 50",
        "candle tau, top-p 0.95" => "tau, top-p 0.95",
        "candle tau, top-k 50, top-p 0.95"
        | "llm-samplers tau, top-k 50, top-p 0.95, min-p 0.05" => "tau, all",
        _ => return None,
    })
}

/// What the contestants draw must be of this probability on the average, within six standard errors; too few draws to tell a
/// small bias, enough to tell another temperature.
fn verify(logits: &[f32], contestants: &mut [Contestant]) {
    let params =
        SamplingParams { temperature: "0.8".parse().expect("a temperature"), ..Default::default() };
    let mut sampler = Sampler::new(params).expect("a sampler");
    let p = sampler.distribution(logits, &Context::default()).expect("weights").probabilities();
    let log = |p: f64| if p > 0.0 { p.ln() } else { -40.0 };
    let mean: f64 = p.iter().map(|&p| p * log(p)).sum();
    let variance: f64 = p.iter().map(|&p| p * (log(p) - mean).powi(2)).sum();
    for (name, run) in contestants {
        if ["tau", "candle tau", "llm-samplers tau"].contains(&name.as_str()) {
            let n = 300;
            let got = (0..n).map(|_| log(p[run() as usize])).sum::<f64>() / f64::from(n);
            let far = (got - mean).abs() > 6.0 * (variance / f64::from(n)).sqrt() + 1e-9;
            assert!(!far, "{name}: {got}, not {mean}");
        }
    }
}

/// `flat`: normal with deviation 1. `peaked`: deviation 2.5 around 0, and 40 tokens from 20 down.
fn logits(n: usize, kind: &str) -> Vec<f32> {
    let mut state = 7u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let deviation = if kind == "flat" { 1.0 } else { 2.5 };
    let mut logits: Vec<f32> =
        (0..n).map(|_| ((0..12).map(|_| uniform()).sum::<f32>() - 6.0) * deviation).collect();
    if kind == "peaked" {
        for rank in 0..40 {
            logits[(uniform() * n as f32) as usize % n] = 20.0 - 2.0 * (1.0 + rank as f32).ln();
        }
    }
    logits
}

/// The processor, where the system tells; virtual ones of several kinds have one name.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |key: &str| {
        let line = info.lines().find(|line| line.split(':').next().map(str::trim) == Some(key));
        line.and_then(|line| line.split(':').nth(1)).map_or("unknown", str::trim)
    };
    format!("{}, family {}, model {}", of("model name"), of("cpu family"), of("model"))
}

/// The first line that a command prints.
fn said(program: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or("unknown").to_owned()
}
