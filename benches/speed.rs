//! How fast, beside a copy of the same size, on one thread: `make bench`.
//!
//! ```text
//! for each type and shape:   check the answers against the plain formula in f64
//!                            rounds: copy, softmax, log_softmax, log_sum_exp, cross_entropy with its gradients,
//!                            one after the other; of f16 and bf16 softmax, of f32 also distillation, softmax along
//!                            the first axis (feature ndarray), and everything on two threads beside one
//! ratio to the copy:         taken within a round, so that a machine that slows down slows both
//! ```
//!
//! The guard asks whether the kernels are still vectors, and fails the run (exit code 1) if not. It
//! compares with the portable kernel, as a user would, and with a chain of multiplications, each of
//! which waits for the one before: a clock that no vector unit can speed up. The portable kernel alone
//! would not do: where the target has no fused multiply-add it calls the C library for each, and scalar
//! code of AVX2 is faster than that as well.
//!
//!     cargo bench --bench speed [-- [--guard] [--threads N] [--json FILE]]

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde_json::{Value, json};
use softargmax::{
    Element, Isa, Labels, LossMut, Rows, Temperature, cross_entropy_into, distillation_into,
    log_softmax_into, log_sum_exp_rows, softmax_into,
};

const TAU: f64 = 0.07;
/// The first is a call with next to nothing to do.
const SHAPES: [(usize, usize); 7] = [
    (1, 10),
    (1, 1000),
    (4096, 1000),
    (50_000, 1000),
    (1, 128_256),
    (64, 128_256),
    (1_000_000, 10),
];
const HALF_SHAPES: [(usize, usize); 3] = [(4096, 1000), (50_000, 1000), (1, 128_256)];
#[cfg(feature = "rayon")]
const LARGE: [(usize, usize); 5] =
    [(4096, 1000), (50_000, 1000), (64, 128_256), (1_000_000, 10), (1, 2_000_000)];
/// Softmax along the first axis.
#[cfg(feature = "ndarray")]
const COLUMNS: (usize, usize) = (1000, 4096);
const DISTILLED: [(usize, usize); 3] = [(4096, 1000), (512, 32_000), (1, 32_000)];
const ROUNDS: usize = 21;
/// Elements a contestant computes in a round, at least.
const WORK: usize = 1 << 20;

/// The guard's shape, and what it asks of it.
const GUARDED: (usize, usize) = (64, 1000);
const TIMES_PORTABLE: f64 = 1.5;
/// Multiplications, one after the other, in which an element of softmax must be done. Measured with AVX2:
/// f32 0.6, f64 1.7; the same kernels with one scalar step in the loop over lanes: 3.0 and 4.9.
const CHAIN_F32: f64 = 1.2;
const CHAIN_F64: f64 = 3.0;
/// Rows with subnormal answers, beside rows without: about as long. Products that are subnormal would make it many times that
/// on processors of Intel.
const TIMES_NORMAL: f64 = 2.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1)).cloned()
    };
    let threads = value("--threads").map_or(1, |n| n.parse().expect("--threads takes a number"));
    limit_threads(threads);

    let guard = guard();
    let mut failed = guard["passed"] == json!(false);
    if !arguments.iter().any(|a| a == "--guard") {
        let mut results = Vec::new();
        for (rows, classes) in SHAPES {
            results.extend(shape::<f32>(rows, classes));
            results.extend(shape::<f64>(rows, classes));
        }
        for shape in HALF_SHAPES {
            results.extend(narrow("f16", shape, half::f16::from_f32));
            results.extend(narrow("bf16", shape, half::bf16::from_f32));
        }
        for shape in DISTILLED {
            results.extend(distillation_of(shape));
        }
        #[cfg(feature = "ndarray")]
        results.extend(columns(COLUMNS));
        #[cfg(feature = "rayon")]
        let beside_one: Vec<Value> = LARGE.into_iter().flat_map(two_threads).collect();
        #[cfg(not(feature = "rayon"))]
        let beside_one = Vec::new();
        if let Some(path) = value("--json") {
            let report = report(threads, &guard, &results, &beside_one);
            if let Err(error) = std::fs::write(&path, report) {
                eprintln!("{path}: {error}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(feature = "rayon")]
fn limit_threads(threads: usize) {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool");
}

#[cfg(not(feature = "rayon"))]
fn limit_threads(threads: usize) {
    assert_eq!(threads, 1, "threads need the feature rayon");
}

/// A type that is measured.
trait Number: Element + PartialEq {
    const NAME: &'static str;
    const EPSILON: f64;
    const SMALLEST: f64;
    fn of(value: f64) -> Self;
    fn to(self) -> f64;
}

macro_rules! number {
    ($type:ident) => {
        impl Number for $type {
            const NAME: &'static str = stringify!($type);
            const EPSILON: f64 = $type::EPSILON as f64;
            const SMALLEST: f64 = $type::MIN_POSITIVE as f64;
            fn of(value: f64) -> Self {
                value as $type
            }
            fn to(self) -> f64 {
                self as f64
            }
        }
    };
}

number!(f32);
number!(f64);

/// Sums of twelve uniforms, seeded: nearly normal.
fn normal<T: Number>(n: usize) -> Vec<T> {
    let mut state = 7u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    (0..n).map(|_| T::of((0..12).map(|_| uniform()).sum::<f64>() - 6.0)).collect()
}

fn tau() -> Temperature {
    Temperature::new(TAU).expect("a temperature")
}

fn view<T>(logits: &[T], classes: usize) -> Rows<'_, T> {
    Rows::new(logits, classes).expect("rows")
}

/// Stops the run where an answer is not that of the plain formula, up to a few units in the last place.
fn verify<T: Number>(logits: &[T], classes: usize) {
    let rows = view(logits, classes);
    let mut p = vec![T::of(0.0); logits.len()];
    let mut log_p = p.clone();
    softmax_into(rows, tau(), &mut p).expect("softmax");
    log_softmax_into(rows, tau(), &mut log_p).expect("log_softmax");
    let log_z = log_sum_exp_rows(rows, tau()).expect("log_sum_exp");
    for (i, row) in rows.iter().enumerate() {
        let max = row.iter().fold(f64::NEG_INFINITY, |m, x| m.max(x.to()));
        let sum: f64 = row.iter().map(|x| ((x.to() - max) / TAU).exp()).sum();
        let close = |what: &str, got: T, want: f64| {
            // The formula's own error in f64, at exponents of up to 150.
            let slack = (8.0 * T::EPSILON).max(1e-13);
            // A logarithm of the formula's loses digits near 0, so those are compared as if by 1.
            let scale = if what == "softmax" { want.abs() } else { want.abs().max(1.0) };
            let far = (got.to() - want).abs() > slack * scale + T::SMALLEST;
            assert!(!far, "{what} of row {i}: {got:?} is not {want:e}");
        };
        close("log_sum_exp", log_z[i], max / TAU + sum.ln());
        for (j, x) in row.iter().enumerate() {
            let z = (x.to() - max) / TAU;
            close("softmax", p[i * classes + j], z.exp() / sum);
            close("log_softmax", log_p[i * classes + j], z - sum.ln());
        }
    }
}

/// The times of one contestant, in nanoseconds per element, sorted.
struct Spread {
    min: f64,
    quartiles: [f64; 3],
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values[part * (values.len() - 1) / 4];
        Spread { min: values[0], quartiles: [at(1), at(2), at(3)] }
    }

    fn median(&self) -> f64 {
        self.quartiles[1]
    }
}

/// Runs everything once to warm up, then in every round each in its turn: nanoseconds per element.
fn interleaved(elements: usize, contestants: &mut [&mut dyn FnMut()]) -> Vec<Vec<f64>> {
    let repeats = WORK.div_ceil(elements);
    let mut times = vec![Vec::with_capacity(ROUNDS); contestants.len()];
    for round in 0..=ROUNDS {
        for (contestant, times) in contestants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..repeats {
                contestant();
            }
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e9 / (repeats * elements) as f64);
            }
        }
    }
    times
}

fn ratios(of: &[f64], to: &[f64]) -> Spread {
    Spread::of(of.iter().zip(to).map(|(a, b)| a / b).collect())
}

/// All functions at one shape, and the copy.
fn shape<T: Number>(rows: usize, classes: usize) -> Vec<Value> {
    let logits: Vec<T> = normal(rows * classes);
    verify(&logits, classes);
    let (tau, logits) = (tau(), &logits);
    let mut copied = logits.clone();
    let (mut p, mut log_p, mut d_logits) = (copied.clone(), copied.clone(), copied.clone());
    let labels: Vec<i64> = (0..rows).map(|i| (i * 7919 % classes) as i64).collect();
    let mut d_tau = vec![0.0; rows];
    let times = interleaved(
        rows * classes,
        &mut [
            &mut || black_box(&mut copied).copy_from_slice(black_box(logits)),
            &mut || softmax_into(view(black_box(logits), classes), tau, &mut p).expect("softmax"),
            &mut || {
                log_softmax_into(view(black_box(logits), classes), tau, &mut log_p)
                    .expect("log_softmax")
            },
            &mut || {
                black_box(
                    log_sum_exp_rows(view(black_box(logits), classes), tau).expect("log_sum_exp"),
                );
            },
            &mut || {
                let labels = Labels::new(&labels, classes).expect("labels");
                let (logits, options) = (view(black_box(logits), classes), Default::default());
                let to = LossMut { logits: &mut d_logits, tau: &mut d_tau };
                black_box(cross_entropy_into(logits, labels, tau, &options, to).expect("a loss"));
            },
        ],
    );
    let names = ["copy", "softmax", "log_softmax", "log_sum_exp", "cross_entropy"];
    results(T::NAME, (rows, classes), &names, &times)
}

/// Softmax in a type that is computed in f32, beside the copy.
fn narrow<T: Element>(name: &str, (rows, classes): (usize, usize), of: fn(f32) -> T) -> Vec<Value> {
    let logits: Vec<T> = normal::<f32>(rows * classes).into_iter().map(of).collect();
    let (mut copied, mut p) = (logits.clone(), logits.clone());
    let (tau, logits) = (tau(), &logits);
    let times = interleaved(
        rows * classes,
        &mut [&mut || black_box(&mut copied).copy_from_slice(black_box(logits)), &mut || {
            softmax_into(view(black_box(logits), classes), tau, &mut p).expect("softmax")
        }],
    );
    results(name, (rows, classes), &["copy", "softmax"], &times)
}

/// Distillation at T = 4 with its gradients, beside the copy of as many numbers.
fn distillation_of((rows, classes): (usize, usize)) -> Vec<Value> {
    let logits: Vec<f32> = normal(2 * rows * classes);
    let (student, teacher) = logits.split_at(rows * classes);
    let (mut copied, mut d_logits) = (student.to_vec(), student.to_vec());
    let mut d_tau = vec![0.0; rows];
    let times = interleaved(
        rows * classes,
        &mut [&mut || black_box(&mut copied).copy_from_slice(black_box(student)), &mut || {
            let (student, teacher) = (view(student, classes), view(teacher, classes));
            let four = Temperature::new(4.0).expect("a temperature");
            let (options, to) =
                (Default::default(), LossMut { logits: &mut d_logits, tau: &mut d_tau });
            black_box(distillation_into(student, teacher, four, &options, to).expect("a loss"));
        }],
    );
    results("f32", (rows, classes), &["copy", "distillation"], &times)
}

/// Softmax along the first axis of an array, beside the copy.
#[cfg(feature = "ndarray")]
fn columns((rows, classes): (usize, usize)) -> Vec<Value> {
    use ndarray::{Array2, Axis};
    let logits = Array2::from_shape_vec((rows, classes), normal::<f32>(rows * classes));
    let logits = &logits.expect("an array");
    let (mut copied, mut p) = (logits.clone(), logits.clone());
    let times = interleaved(
        rows * classes,
        &mut [&mut || black_box(&mut copied).assign(black_box(logits)), &mut || {
            softargmax::softmax_axis_into(black_box(logits), Axis(0), tau(), &mut p)
                .expect("softmax")
        }],
    );
    print!("axis 0 of ");
    let mut results = results("f32", (rows, classes), &["copy", "softmax"], &times);
    for result in &mut results {
        result["axis"] = json!(0);
    }
    results
}

/// To each thread a core of its own: the system may leave two that wait for each other on one.
#[cfg(feature = "rayon")]
fn pin(thread: usize) {
    if let Some(&core) = core_affinity::get_core_ids().unwrap_or_default().get(thread) {
        core_affinity::set_for_current(core);
    }
}

/// What writes to a buffer, on the threads of a pool.
#[cfg(feature = "rayon")]
type Timed<'a> = &'a mut (dyn FnMut(&mut [f32]) + Send);

/// Elements computed in a round by threads, at least: the first of them are those that woke the threads up.
#[cfg(feature = "rayon")]
const WORK_OF_THREADS: usize = 1 << 25;

/// How many times as fast two threads are as one.
#[cfg(feature = "rayon")]
fn two_threads((rows, classes): (usize, usize)) -> Vec<Value> {
    let logits: &Vec<f32> = &normal(rows * classes);
    let labels: &Vec<i64> = &(0..rows).map(|i| (i * 7919 % classes) as i64).collect();
    let [one, two] = [1, 2].map(|n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n);
        pool.start_handler(pin).build().expect("a pool of threads")
    });
    let (mut to, mut d_tau) = (logits.clone(), vec![0.0; rows]);
    let copy = |to: &mut [f32]| {
        let middle = to.len() / 2;
        let ((a, b), (from_a, from_b)) = (to.split_at_mut(middle), logits.split_at(middle));
        rayon::join(|| a.copy_from_slice(from_a), || b.copy_from_slice(from_b));
    };
    let softmax = |to: &mut [f32]| {
        softmax_into(view(logits, classes), tau(), to).expect("softmax");
    };
    let mut cross_entropy = |to: &mut [f32]| {
        let labels = Labels::new(labels, classes).expect("labels");
        let to = LossMut { logits: to, tau: &mut d_tau };
        let (logits, options) = (view(logits, classes), Default::default());
        black_box(cross_entropy_into(logits, labels, tau(), &options, to).expect("a loss"));
    };
    let functions: [(&str, Timed); 3] = [
        ("copy", &mut { copy }),
        ("softmax", &mut { softmax }),
        ("cross_entropy", &mut cross_entropy),
    ];
    let (mut results, repeats) = (Vec::new(), WORK_OF_THREADS.div_ceil(logits.len()));
    for (name, function) in functions {
        let (to, mut times) = (&mut to[..], [Vec::new(), Vec::new()]);
        for round in 0..=ROUNDS {
            for (pool, times) in [&one, &two].into_iter().zip(&mut times) {
                let start = Instant::now();
                pool.install(|| (0..repeats).for_each(|_| function(to)));
                if round > 0 {
                    times.push(start.elapsed().as_secs_f64());
                }
            }
        }
        let times_as_fast = ratios(&times[0], &times[1]);
        let ([low, median, high], shape) =
            (times_as_fast.quartiles, format!("[{rows}, {classes}]"));
        println!(
            "two threads {shape:14} {name:13} {median:.2} x as fast as one ({low:.2}..{high:.2})"
        );
        results.push(json!({
            "function": name, "dtype": "f32", "rows": rows, "classes": classes,
            "times_as_fast": { "median": rounded(median), "quartiles": [rounded(low), rounded(high)] },
        }));
    }
    results
}

/// Prints what was measured at one shape, and returns it.
fn results(
    dtype: &str,
    (rows, classes): (usize, usize),
    names: &[&str],
    times: &[Vec<f64>],
) -> Vec<Value> {
    println!("{dtype} [{rows}, {classes}]");
    let result = |(name, own): (&str, &Vec<f64>)| {
        let (spread, ratio) = (Spread::of(own.clone()), ratios(own, &times[0]));
        let ([low, median, high], per_second) = (ratio.quartiles, 1e9 / spread.median());
        println!(
            "  {name:13} {:8.3} ns/element ({:.3} at best) {:7.2} Gelement/s {median:7.2} x copy ({low:.2}..{high:.2})",
            spread.median(),
            spread.min,
            per_second / 1e9
        );
        json!({
            "function": name, "dtype": dtype, "rows": rows, "classes": classes,
            "ns_per_element": {
                "min": rounded(spread.min), "median": rounded(spread.median()),
                "quartiles": [rounded(spread.quartiles[0]), rounded(spread.quartiles[2])],
            },
            "elements_per_second": per_second.round(),
            "ratio_to_copy": { "median": rounded(median), "quartiles": [rounded(low), rounded(high)] },
        })
    };
    names.iter().copied().zip(times).map(result).collect()
}

fn rounded(value: f64) -> f64 {
    format!("{value:.4}").parse().expect("a number")
}

/// Whether f32 and f64 softmax still run on vectors.
fn guard() -> Value {
    let best = Isa::available()[0];
    let narrow = guard_of::<f32>(best, CHAIN_F32, 0.07);
    let wide = guard_of::<f64>(best, CHAIN_F64, 0.008);
    best.select();
    let passed = narrow["passed"] == json!(true) && wide["passed"] == json!(true);
    json!({ "isa": best.name(), "passed": passed, "f32": narrow, "f64": wide })
}

fn guard_of<T: Number>(best: Isa, chain_limit: f64, small: f64) -> Value {
    let portable = *Isa::available().last().expect("the portable one");
    let (rows, classes) = GUARDED;
    let logits: Vec<T> = normal(rows * classes);
    let (mut fast, mut slow, mut subnormal) = (logits.clone(), logits.clone(), logits.clone());
    let (tau, logits) = (Temperature::ONE, &logits);
    let small = Temperature::new(small).expect("a temperature");
    let mut link = 1.0f64;
    let times = interleaved(
        rows * classes,
        &mut [
            &mut || {
                best.select();
                softmax_into(view(black_box(logits), classes), tau, &mut fast).expect("softmax");
            },
            &mut || {
                portable.select();
                softmax_into(view(black_box(logits), classes), tau, &mut slow).expect("softmax");
            },
            &mut || {
                let factor = black_box(1.0f64);
                for _ in 0..rows * classes {
                    link *= factor;
                }
                link = black_box(link);
            },
            &mut || {
                best.select();
                softmax_into(view(black_box(logits), classes), small, &mut subnormal)
                    .expect("softmax");
            },
        ],
    );
    best.select();
    verify(logits, classes);
    assert!(fast == slow, "{} and portable do not give the same bits", best.name());
    let speedup = ratios(&times[1], &times[0]);
    let chain = ratios(&times[0], &times[2]);
    let beside_normal = ratios(&times[3], &times[0]);
    // Where the portable kernel is the best one, there is nothing to be faster than, and what its vectors
    // should reach (NEON) has not been measured.
    let is_faster = best == portable || speedup.median() >= TIMES_PORTABLE;
    let is_vector = best == portable || chain.median() <= chain_limit;
    let keeps_up = beside_normal.median() <= TIMES_NORMAL;
    println!(
        "guard {} [{rows}, {classes}] {}: {:.2} x as fast as portable (at least {TIMES_PORTABLE}), \
         {:.2} multiplications an element (at most {chain_limit}), {:.2} x as long with subnormal answers \
         (at most {TIMES_NORMAL}): {}",
        T::NAME,
        best.name(),
        speedup.median(),
        chain.median(),
        beside_normal.median(),
        match (is_faster && is_vector, keeps_up) {
            (true, true) => "vectors",
            (true, false) => "SLOW WHERE ANSWERS ARE SUBNORMAL",
            (false, _) => "NOT VECTORS",
        }
    );
    json!({
        "passed": is_faster && is_vector && keeps_up,
        "times_as_fast_as_portable": rounded(speedup.median()),
        "serial_multiplications_per_element": rounded(chain.median()),
        "times_as_long_with_subnormal_answers": rounded(beside_normal.median()),
    })
}

fn report(threads: usize, guard: &Value, results: &[Value], beside_one: &[Value]) -> String {
    let unknown = || String::from("unknown");
    // Virtual machines of several kinds have one name.
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |key: &str| {
        let line = info.lines().find(|line| line.split(':').next().map(str::trim) == Some(key));
        line.and_then(|line| line.split(':').nth(1)).map_or("unknown", str::trim)
    };
    let cpu = format!("{}, family {}, model {}", of("model name"), of("cpu family"), of("model"));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(unknown);
    let changed = output("git", &["status", "--porcelain", "--", "src", "Cargo.toml"]);
    let head = json!({
        "schema": "softargmax.speed/1",
        "command": "make bench",
        "machine": { "cpu": cpu, "cores": cores, "arch": std::env::consts::ARCH },
        "rustc": output("rustc", &["--version"]).unwrap_or_else(unknown),
        "commit": commit,
        "commit_is_exact": changed.is_some_and(|text| text.is_empty()),
        "isa": Isa::current().name(),
        "threads": threads,
        "temperature": TAU,
        "n": ROUNDS,
        "guard": guard,
    });
    // One result a line, so that a diff of two files can be read.
    let head = format!("{head:#}");
    let lines = |results: &[Value]| {
        let lines: Vec<String> = results.iter().map(|result| format!("    {result}")).collect();
        lines.join(",\n")
    };
    let (results, beside_one) = (lines(results), lines(beside_one));
    let head = head.trim_end().trim_end_matches('}').trim_end();
    format!(
        "{head},\n  \"results\": [\n{results}\n  ],\n  \"two_threads\": [\n{beside_one}\n  ]\n}}\n"
    )
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}
