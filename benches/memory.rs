//! How much memory contrastive losses take beside inputs and gradients, at full size: `make memory`.
//!
//! ```text
//! the most bytes at once during a call, counted at the allocator, less the gradients it returns
//! ```
//!
//! It fails (exit code 1) where that is not under 256 MiB. CLIP's 4.4·10^12 operations take a minute.
//!
//!     cargo bench --bench memory [-- --json FILE]

#![allow(unsafe_code)] // an allocator is

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicIsize, Ordering};

use serde_json::{Value, json};
use softargmax::{
    ContrastiveLoss, ContrastiveOptions, Queue, Rows, Temperature, Vectors, clip, moco,
};

/// Bytes that are taken, and the most there were.
static TAKEN: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size() as isize;
        let now = TAKEN.fetch_add(size, Ordering::Relaxed) + size;
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as promised to this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as promised to this function.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ALLOWED: isize = 256 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let tau = Temperature::new(0.07).expect("a temperature");
    let mut results = Vec::new();
    for vectors in [Vectors::Normalise, Vectors::Unit] {
        let options = ContrastiveOptions { vectors, ..Default::default() };
        let (b, k, d) = (1024, 65536, 128);
        let (x, y) = (vectors_of(1, b, d), vectors_of(2, b, d));
        let mut queue = Queue::new(k, d, vectors).expect("a queue");
        queue.push(Rows::new(&vectors_of(3, k, d), d).expect("rows")).expect("keys");
        results.push(measured("moco", vectors, (b, k, d), || {
            moco(rows(&x, d), rows(&y, d), &queue, tau, &options).expect("a loss")
        }));
        let (b, d) = (32768, 512);
        let (x, y) = (vectors_of(4, b, d), vectors_of(5, b, d));
        results.push(measured("clip", vectors, (b, b, d), || {
            clip(rows(&x, d), rows(&y, d), tau, &options).expect("a loss")
        }));
    }
    let passed = results.iter().all(|result| result["passed"] == json!(true));
    if let Some(at) = arguments.iter().position(|a| a == "--json") {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let report = json!({"command": "make memory", "threads": threads, "allowed": ALLOWED, "losses": results});
        let report = serde_json::to_string_pretty(&report).expect("a document") + "\n";
        let path = arguments.get(at + 1).expect("--json takes a file");
        std::fs::write(path, report).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measured(
    loss: &str,
    vectors: Vectors,
    (rows, columns, width): (usize, usize, usize),
    work: impl FnOnce() -> ContrastiveLoss<f32>,
) -> Value {
    let before = TAKEN.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let found = work();
    let gradients = 4 * (found.queries.len() + found.keys.len()) + 8 * found.tau.len();
    let bytes = MOST.load(Ordering::Relaxed) - before - gradients as isize;
    let passed = bytes < ALLOWED;
    let similarities = 4 * rows * columns;
    println!(
        "{loss} {rows} x {columns} x {width}, {vectors:?}: {:.1} MiB beside {:.1} MiB of gradients; the similarities \
         would be {:.0} MiB",
        bytes as f64 / 1048576.0,
        gradients as f64 / 1048576.0,
        similarities as f64 / 1048576.0,
    );
    json!({
        "loss": loss, "vectors": format!("{vectors:?}"), "rows": rows, "columns": columns, "width": width,
        "working_bytes": bytes, "gradient_bytes": gradients, "similarity_bytes": similarities, "passed": passed,
    })
}

fn rows(data: &[f32], width: usize) -> Rows<'_, f32> {
    Rows::new(data, width).expect("rows")
}

/// Unit vectors whose numbers come from a linear congruential generator.
fn vectors_of(seed: u64, rows: usize, width: usize) -> Vec<f32> {
    let mut state = seed;
    let mut data: Vec<f32> = (0..rows * width)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect();
    for row in data.chunks_exact_mut(width) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    data
}
