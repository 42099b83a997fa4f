//! softmax(x/τ) in f32 by this crate and by published ones, on one thread, in one process.
//!
//! Every contestant runs in every round, in turn, every other round backwards: who comes after one that
//! fills the caches and frees its memory pays for it. A round's ratio is taken within the round, so that a
//! machine that slows down slows all of them. Printed: nanoseconds per element (minimum and median),
//! and the median and the quartiles of the ratio to ours. Answers are compared before anything is
//! timed. The peers do not take τ: they get the logits scaled by 1/τ first, in the same call.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml [-- --json FILE]

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Tensor};
use rten_simd::SimdOp;
use softargmax::{Isa, Rows, Temperature, softmax_into};

const TAU: f32 = 0.07;
const SHAPES: [(usize, usize); 7] = [
    (4096, 1000),
    (50_000, 1000),
    (64, 128_256),
    (1_000_000, 10),
    (1, 128_256),
    (1, 8192),
    (1, 1000),
];
const ROUNDS: usize = 41;
/// Elements a contestant computes in a round, at least.
const WORK: usize = 4 << 20;

type Contestant<'a> = (&'static str, Box<dyn FnMut() -> f32 + 'a>);

fn main() {
    let json = std::env::args().skip_while(|arg| arg != "--json").nth(1);
    let mut results = Vec::new();
    for (rows, classes) in SHAPES {
        results.push(shape(rows, classes));
    }
    if let Some(path) = json {
        let report = serde_json::json!({
            "bench": "softmax(x/0.07), f32, one thread",
            "machine": machine(),
            "compiler": said("rustc", &["--version"]),
            "commit": said("git", &["rev-parse", "--short", "HEAD"]),
            "isa": Isa::current().name(),
            "rounds": ROUNDS,
            "shapes": results,
        });
        std::fs::write(path, format!("{report:#}\n")).expect("the report is written");
    }
}

fn shape(rows: usize, classes: usize) -> serde_json::Value {
    let n = rows * classes;
    let logits = normal(n);
    let tensor = Tensor::from_slice(&logits, (rows, classes), &Device::Cpu).unwrap();
    let tau = Temperature::new(f64::from(TAU)).unwrap();
    let (mut copied, mut ours, mut rten) = (vec![0f32; n], vec![0f32; n], vec![0f32; n]);

    softmax_into(Rows::new(&logits, classes).unwrap(), tau, &mut ours).unwrap();
    scale_then_rten(&logits, &mut rten, classes);
    let theirs = candle(&tensor).flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for ((a, b), c) in ours.iter().zip(&rten).zip(&theirs) {
        assert!(
            (a - b).abs() <= 1e-4 * a + 1e-30 && (a - c).abs() <= 1e-4 * a + 1e-30,
            "{a} {b} {c}"
        );
    }

    let mut contestants: Vec<Contestant> = vec![
        (
            "softargmax",
            Box::new(|| {
                softmax_into(Rows::new(&logits, classes).unwrap(), tau, &mut ours).unwrap();
                ours[0]
            }),
        ),
        (
            "copy",
            Box::new(|| {
                copied.copy_from_slice(&logits);
                copied[0]
            }),
        ),
        (
            "rten-vecmath",
            Box::new(|| {
                scale_then_rten(&logits, &mut rten, classes);
                rten[0]
            }),
        ),
        (
            "candle-nn",
            Box::new(|| {
                black_box(candle(&tensor));
                0.0
            }),
        ),
    ];
    let repeats = (WORK / n).max(1);
    let mut times = vec![Vec::with_capacity(ROUNDS); contestants.len()];
    for round in 0..=ROUNDS {
        let mut order: Vec<_> = contestants.iter_mut().zip(&mut times).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for ((_, run), times) in order {
            let start = Instant::now();
            for _ in 0..repeats {
                black_box(run());
            }
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e9 / (repeats * n) as f64);
            }
        }
    }
    println!("[{rows}, {classes}]");
    let mut report = Vec::new();
    for ((name, _), own) in contestants.iter().zip(&times) {
        let mut ratios: Vec<f64> = own.iter().zip(&times[0]).map(|(t, ours)| t / ours).collect();
        let mut sorted = own.clone();
        sorted.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        let (min, median) = (sorted[0], sorted[ROUNDS / 2]);
        let [low, middle, high] = [ROUNDS / 4, ROUNDS / 2, 3 * ROUNDS / 4].map(|i| ratios[i]);
        println!(
            "  {name:14} {min:7.3} ns/element at best, {median:7.3} median ({:5.2} Gelement/s); {middle:6.2} x ours ({low:.2}..{high:.2})",
            1.0 / median
        );
        report.push(serde_json::json!({
            "name": name, "min_ns": min, "median_ns": median,
            "ratio_to_ours": { "median": middle, "quartiles": [low, high] },
        }));
    }
    serde_json::json!({ "rows": rows, "classes": classes, "contestants": report })
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

fn scale_then_rten(logits: &[f32], out: &mut [f32], classes: usize) {
    let scale = 1.0 / TAU;
    for (row, out) in logits.chunks_exact(classes).zip(out.chunks_exact_mut(classes)) {
        for (to, from) in out.iter_mut().zip(row) {
            *to = from * scale;
        }
        rten_vecmath::Softmax::new_mut(out).dispatch();
    }
}

fn candle(logits: &Tensor) -> Tensor {
    candle_nn::ops::softmax_last_dim(&(logits * f64::from(1.0 / TAU)).unwrap()).unwrap()
}

/// Sums of twelve uniforms, seeded.
fn normal(n: usize) -> Vec<f32> {
    let mut state = 7u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..n).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}
