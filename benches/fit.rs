//! Fits of a file in memory, one for every line of standard input: the time of each on a line of output.
//!
//! `benches/fit_peers.py` runs it beside other calibrators, in turns, so that a machine that slows down slows all.
//!
//!     cargo bench --bench fit -- LOGITS.npy LABELS.npy        f32 and int64, as NumPy writes them

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use softargmax::{FitOptions, Labels, Rows, fit_temperature};

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let [logits, labels] = &files[..] else {
        eprintln!("nothing to fit: give LOGITS.npy and LABELS.npy; `make bench-fit` does");
        return ExitCode::SUCCESS; // `cargo bench` runs every benchmark, without arguments
    };
    let logits: Vec<f32> = numbers(logits, f32::from_le_bytes);
    let labels: Vec<i64> = numbers(labels, i64::from_le_bytes);
    let classes = logits.len() / labels.len();
    let rows = Rows::new(&logits, classes).expect("rows");
    let labels = Labels::new(&labels, classes).expect("labels");
    for line in std::io::stdin().lock().lines() {
        line.expect("a line");
        let start = Instant::now();
        let fit = fit_temperature(rows, labels, &FitOptions::default()).expect("a fit");
        let seconds = start.elapsed().as_secs_f64();
        // What a fit cannot be faster than: looking at every number once.
        let start = Instant::now();
        let sum = logits.as_chunks::<64>().0.iter().fold([0.0f32; 64], |mut sum, chunk| {
            for (sum, x) in sum.iter_mut().zip(chunk) {
                *sum += x;
            }
            sum
        });
        std::hint::black_box(sum);
        let read = start.elapsed().as_secs_f64();
        let tau = fit.estimate.expect("an estimate").temperature.tau();
        println!("{}", json!({"seconds": seconds, "read": read, "tau": tau, "passes": fit.passes}));
        std::io::stdout().flush().expect("flushed");
    }
    ExitCode::SUCCESS
}

/// The numbers of a .npy file of version 1.0.
fn numbers<const N: usize, T>(path: &str, read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].as_chunks().0.iter().map(|&chunk| read(chunk)).collect()
}
