//! Contrastive and normalised losses: golden values, gradients against finite differences, identities, memory, bad
//! input.

mod bank;
mod classes;
mod curve;
mod golden;
mod gradients;
mod identities;
mod margins;
mod memory;
mod refusals;
mod sphere;

use crate::support::random::Random;
use softargmax::{ContrastiveOptions, Denominator, Reduction, Rows, Temperature, Vectors};

fn tau(value: f64) -> Temperature {
    Temperature::new(value).unwrap()
}

fn rows<T>(data: &[T], width: usize) -> Rows<'_, T> {
    Rows::new(data, width).unwrap()
}

/// Numbers in (−1, 1) that are the same everywhere.
fn noise(seed: u64, n: usize) -> Vec<f64> {
    let mut random = Random::new(seed);
    (0..n).map(|_| random.symmetric()).collect()
}

fn options(vectors: Vectors, denominator: Denominator, reduction: Reduction) -> ContrastiveOptions {
    ContrastiveOptions { vectors, denominator, reduction }
}

/// Within `tolerance` of `want`, relatively.
#[track_caller]
fn close(got: f64, want: f64, tolerance: f64) {
    assert!(got == want || (got / want - 1.0).abs() <= tolerance, "{got:e} is not {want:e}");
}

/// Within `tolerance` of the largest number that is wanted.
#[track_caller]
fn all_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(1e-300, |most: f64, w| most.max(w.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * most, "{i}: {g:e} is not {w:e}");
    }
}
