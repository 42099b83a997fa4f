//! Writes docs/accuracy.md: the error of every function over the whole oracle grid.
//!
//! `cargo bench --bench accuracy -- --write FILE` writes it, `-- --check FILE` says whether it is up to date. Either way
//! it fails where an error is above its bound. The same text comes out on every machine.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write;
use std::process::ExitCode;
use support::bounds::{Function, bound};
use support::grid::{self, Share, points};
use support::measure::{Reached, over};

/// Rows as long as a vocabulary take most of the time.
const SHARE: Share = Share { short: 1, middle: 1, long: 40 };
/// f16 and bf16 are f32 and one rounding.
const SHARE_OF_HALF: Share = Share { short: 1, middle: 8, long: 1000 };

fn main() -> ExitCode {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let reached = reached();
    let text = document(&reached);
    println!("{text}");
    let mut failed = false;
    for worst in reached.iter().filter(|r| !(r.max <= r.bound())) {
        eprintln!(
            "{} {:?}: {} ULP, above its bound of {}",
            worst.function.name(),
            worst.dtype,
            worst.max,
            worst.bound()
        );
        failed = true;
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["--write", path] => std::fs::write(path, text).unwrap_or_else(|e| panic!("{path}: {e}")),
        ["--check", path] => {
            let there = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
            if there != text {
                eprintln!("{path} is not what was measured now: run `make accuracy`");
                failed = true;
            }
        }
        _ => {
            eprintln!("usage: cargo bench --bench accuracy [-- --write FILE | --check FILE]");
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn reached() -> Vec<Reached> {
    let mut all = over::<f32>(&points(SHARE));
    all.extend(over::<f64>(&points(SHARE)));
    all.extend(over::<half::f16>(&points(SHARE_OF_HALF)));
    all.extend(over::<half::bf16>(&points(SHARE_OF_HALF)));
    all
}

fn document(reached: &[Reached]) -> String {
    let mut text = String::new();
    let rows = points(SHARE).len();
    let entries: usize = points(SHARE).iter().map(|point| point.classes).sum();
    text += "# Accuracy\n\n";
    text += "Written by `make accuracy`; do not edit. The tests assert the bounds (`tests/bounds/mod.rs`) over a thinner\n\
             grid, `make accuracy` over all of it. The result has the same bits on every machine, so this file has too.\n\n";
    text += "Errors are in ULP: units in the last place of the correctly rounded result (of the smallest subnormal below\n\
             the normal numbers), against an oracle of about 28 digits, which is itself held against mpmath at 50 digits.\n";
    for function in Function::ALL {
        if let Some(size) = function.relative_to() {
            let _ = writeln!(text, "The unit for `{}` is that of {size}.", function.name());
        }
    }
    text += "Statistics are f64 for every type of logits, and so are their units; what lies below 2^-1022 where τ is 1\n\
             counts as nothing in a moment.\n\n";
    text += "| function | logits | largest | mean | bound | largest at |\n|---|---|---:|---:|---:|---|\n";
    for function in Function::ALL {
        for worst in reached.iter().filter(|r| r.function == function) {
            let _ = writeln!(
                text,
                "| {} | {} | {:.3} | {:.3} | {} | {} |",
                function.name(),
                format!("{:?}", worst.dtype).to_lowercase(),
                worst.max,
                worst.mean,
                bound(function, worst.dtype),
                worst.at
            );
        }
    }
    text += "\nm is the largest logit. The mean is over entries that do not round to 0.\n\n## The grid\n\n";
    text += &grid::description();
    let _ = writeln!(
        text,
        "\nThe rows of 128256 and 152064 classes are one in {} of all, the others all: {rows} rows with {entries} entries\n\
         for f32 and for f64, fewer for f16 and bf16; less those whose logits would leave the range of the type.",
        SHARE.long
    );
    text
}
