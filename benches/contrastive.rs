//! Contrastive losses with their gradients, one for every line of standard input: the time of each on a line of output,
//! and that of the bare products it cannot do without.
//!
//! `benches/contrastive_peers.py` runs it beside torch and jax, in turns, so that a machine that slows down slows all.
//!
//!     cargo bench --bench contrastive -- LOSS X.npy Y.npy [NEGATIVES.npy]        f32, as NumPy writes them
//!
//! LOSS is moco (NEGATIVES are its queue), in_batch, clip or sig_lip.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Instant;

use matrixmultiply::sgemm;
use serde_json::json;
use softargmax::{
    ContrastiveLoss, ContrastiveOptions, Error, Queue, Rows, Temperature, Vectors, clip,
    info_nce_in_batch, moco, sig_lip,
};

const TAU: f64 = 0.07;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let [loss, files @ ..] = &words[..] else {
        eprintln!("nothing to do: give LOSS X.npy Y.npy; `make bench-contrastive` does");
        return ExitCode::SUCCESS; // `cargo bench` runs every benchmark, without arguments
    };
    let files: Vec<(Vec<f32>, usize)> = files.iter().map(|path| numbers(path)).collect();
    let rows = |i: usize| Rows::new(&files[i].0, files[i].1).expect("rows");
    let (x, y) = (rows(0), rows(1));
    let tau = Temperature::new(TAU).expect("a temperature");
    // What is measured is the loss, not the length of vectors: torch and jax get unit vectors too.
    let options = ContrastiveOptions { vectors: Vectors::Unit, ..Default::default() };
    let queue = files.get(2).map(|(keys, width)| {
        let mut queue = Queue::new(keys.len() / width, *width, Vectors::Unit).expect("a queue");
        queue.push(rows(2)).expect("keys");
        queue
    });
    // Products of rows, columns and width, and how many of each kind a loss takes.
    let (columns, similarities, gradients) = match &loss[..] {
        "moco" => (queue.as_ref().expect("negatives").len(), 1, 1),
        "clip" => (y.rows(), 2, 2),
        _ => (y.rows(), 1, 2),
    };
    let keys = files.last().expect("two files").0.as_slice();
    for line in std::io::stdin().lock().lines() {
        line.expect("a line");
        let start = Instant::now();
        let (value, of_tau, gradients_of) = match &loss[..] {
            "moco" => of(moco(x, y, queue.as_ref().expect("a queue"), tau, &options)),
            "in_batch" => of(info_nce_in_batch(x, y, tau, &options)),
            "clip" => of(clip(x, y, tau, &options)),
            "sig_lip" => {
                let loss = sig_lip(x, y, tau, -10.0, &options).expect("a loss");
                (loss.value(), loss.tau_sum(), [loss.queries, loss.keys])
            }
            other => panic!("{other} is no loss"),
        };
        let seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        bare(x.as_slice(), keys, (x.rows(), columns, x.classes()), (similarities, gradients));
        let gemm = start.elapsed().as_secs_f64();
        let flops =
            2.0 * (similarities + gradients) as f64 * (x.rows() * columns * x.classes()) as f64;
        let norms = gradients_of.map(|g| norm(&g));
        println!(
            "{}",
            json!({"seconds": seconds, "gemm": gemm, "flops": flops, "value": value, "norms": norms, "tau": of_tau})
        );
        std::io::stdout().flush().expect("flushed");
    }
    ExitCode::SUCCESS
}

fn of(loss: Result<ContrastiveLoss<f32>, Error>) -> (f64, f64, [Vec<f32>; 2]) {
    let loss = loss.expect("a loss");
    (loss.value(), loss.tau_sum(), [loss.queries, loss.keys])
}

/// As many products `X·Yᵀ`, and of their likes with Y, each of 1024 rows and 4096 columns: what matrixmultiply can do at its
/// best size, when nobody asks for anything between.
fn bare(
    x: &[f32],
    y: &[f32],
    (rows, columns, width): (usize, usize, usize),
    (similarities, gradients): (usize, usize),
) {
    let (rows_at_once, columns_at_once) = (rows.min(1024), columns.min(4096));
    let mut s = vec![0.5f32; rows_at_once * columns_at_once];
    let mut g = vec![0.0f32; rows_at_once * width];
    for block in x.chunks(rows_at_once * width) {
        for panel in y.chunks(columns_at_once * width) {
            let (rows, columns) = (block.len() / width, panel.len() / width);
            let (m, n, k) = (rows, columns as isize, width as isize);
            for _ in 0..similarities {
                // SAFETY: block is [m, width], panel [columns, width], and s has room for [m, columns].
                #[allow(unsafe_code)]
                unsafe {
                    let (a, b, c) = (block.as_ptr(), panel.as_ptr(), s.as_mut_ptr());
                    sgemm(m, width, columns, 1.0, a, k, 1, b, 1, k, 0.0, c, n, 1);
                }
            }
            for _ in 0..gradients {
                // SAFETY: s is [m, columns], panel [columns, width], and g has room for [m, width].
                #[allow(unsafe_code)]
                unsafe {
                    let (a, b, c) = (s.as_ptr(), panel.as_ptr(), g.as_mut_ptr());
                    sgemm(m, columns, width, 1.0, a, n, 1, b, k, 1, 0.0, c, k, 1);
                }
            }
            std::hint::black_box(&g);
        }
    }
}

fn norm(gradient: &[f32]) -> f64 {
    gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt()
}

/// The numbers of a two-dimensional .npy file of version 1.0, and its columns.
fn numbers(path: &str) -> (Vec<f32>, usize) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..start]).into_owned();
    let shape = header.split('(').nth(1).and_then(|rest| rest.split(')').next()).expect("a shape");
    let width = shape.split(',').nth(1).and_then(|n| n.trim().parse().ok()).expect("two axes");
    (bytes[start..].as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect(), width)
}
