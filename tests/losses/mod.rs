//! Cross-entropy and distillation at a temperature: golden values, definitions, gradients against finite differences,
//! identities, limits, refusals, and the same bits everywhere.

#![allow(clippy::excessive_precision, reason = "expected values are as mpmath gives them")]

mod cross_entropy;
mod decoupled;
mod distillation;
mod schedule;
mod truncated;

use crate::support::number::on_every_isa;
use crate::support::random::Random;
use softargmax::{Error, Loss, Rows, Temperature};

fn tau(value: f64) -> Temperature {
    Temperature::new(value).unwrap()
}

/// What a text says, to all of its digits.
fn exactly(text: &str) -> Temperature {
    text.parse().unwrap()
}

#[track_caller]
fn near(got: f64, want: f64, relative: f64) {
    assert!((got - want).abs() <= relative * want.abs(), "{got:e}, wanted {want:e}");
}

fn rows(logits: &[f64], classes: usize) -> Rows<'_, f64> {
    Rows::new(logits, classes).unwrap()
}

fn drawn(seed: u64, len: usize) -> Vec<f64> {
    let mut random = Random::new(seed);
    (0..len).map(|_| 3.0 * random.normal()).collect()
}

/// The derivative, by four values around `x`: the error is h⁴/30 of the fifth derivative.
fn derivative(x: f64, h: f64, of: impl Fn(f64) -> f64) -> f64 {
    let outer = of(x - 2.0 * h) - of(x + 2.0 * h);
    (outer + 8.0 * (of(x + h) - of(x - h))) / (12.0 * h)
}

/// All gradients of a loss of logits and of temperatures, one per row, to 1e-8 of the largest.
#[track_caller]
fn check_gradients(
    logits: &[f64],
    taus: &[Temperature],
    of: impl Fn(&[f64], &[Temperature]) -> Loss<f64>,
) {
    let loss = of(logits, taus);
    let largest = |gradient: &[f64]| gradient.iter().fold(0.0f64, |max, g| max.max(g.abs()));
    let allowed = 1e-8 * largest(&loss.logits).max(1e-3);
    for i in 0..logits.len() {
        let want = derivative(logits[i], 1e-3, |x| {
            let mut logits = logits.to_vec();
            logits[i] = x;
            of(&logits, taus).value()
        });
        let got = loss.logits[i];
        assert!((got - want).abs() <= allowed, "logit {i}: {got:e}, wanted {want:e}");
    }
    let allowed = 1e-8 * largest(&loss.tau).max(1e-3);
    for i in 0..taus.len() {
        let want = derivative(taus[i].tau(), 1e-3 * taus[i].tau(), |t| {
            let mut taus = taus.to_vec();
            taus[i] = tau(t);
            of(logits, &taus).value()
        });
        let got = loss.tau[i];
        assert!((got - want).abs() <= allowed, "τ {i}: {got:e}, wanted {want:e}");
    }
}

/// What is computed on every instruction set and on one, two and three threads: always the same.
fn always_the_same<R: PartialEq + Send>(of: impl Fn() -> R + Sync) {
    let first = of();
    on_every_isa(|isa| assert!(of() == first, "{isa:?}"));
    for threads in 1..=3 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(&of) == first, "{threads} threads");
    }
}

#[track_caller]
fn refused_row<R: std::fmt::Debug>(result: Result<R, Error>, row: usize, says: &str) {
    match result.unwrap_err() {
        Error::Row { row: got, reason } => {
            assert_eq!(got, row, "{reason}");
            assert!(reason.contains(says), "{reason}");
        }
        other => panic!("{other}"),
    }
}
