//! The functions of the library against the oracle.

use super::bounds::{Function, bound};
use super::fixtures::Dtype;
use super::grid::Point;
use super::number::Number;
use super::oracle::{self, Row, Stats};
use super::real::Real;
use super::ulp::{self, Format, ulp_error_in};
use softargmax::{Rows, Statistics, Temperature, log_softmax, log_sum_exp, softmax, statistics};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The errors of one function on one row, in ULP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Errors {
    pub max: f64,
    pub sum: f64,
    pub count: u64,
}

impl Errors {
    fn add(&mut self, error: f64) {
        // NaN would be lost in a maximum.
        let error = if error.is_nan() { f64::INFINITY } else { error };
        self.max = self.max.max(error);
        self.sum += error;
        self.count += 1;
    }
}

/// The errors of every function on one row, in the order of [`Function::ALL`].
pub type RowErrors = [Errors; Function::ALL.len()];

/// Fails where one of them is above its bound.
pub fn assert_within(errors: &RowErrors, dtype: Dtype, what: &dyn std::fmt::Display) {
    for (function, errors) in Function::ALL.into_iter().zip(errors) {
        let (name, allowed) = (function.name(), bound(function, dtype));
        assert!(errors.max <= allowed, "{name} {dtype:?}: {} ULP, {what}", errors.max);
    }
}

/// Every function on one row at one temperature.
pub fn measure<T: Number>(logits: &[T], tau: &str) -> RowErrors {
    let wide: Vec<f64> = logits.iter().map(|x| x.widen()).collect();
    against(logits, tau, &oracle::row(&wide, tau))
}

/// Every function on one row, against results that are known.
pub fn against<T: Number>(logits: &[T], tau: &str, exact: &Row) -> RowErrors {
    let wide: Vec<f64> = logits.iter().map(|x| x.widen()).collect();
    let temperature = tau.parse::<Temperature>().expect("a temperature");
    let p = softmax(logits, temperature).expect("a row");
    let log_p = log_softmax(logits, temperature).expect("a row");
    let log_z = log_sum_exp(logits, temperature).expect("a row");
    let rows = Rows::one(logits).expect("a row");
    let all = statistics(rows, temperature).expect("a row");
    let sizes = Sizes::new(&wide, Real::parse(tau).expect("a number"), exact);
    let mut errors = RowErrors::default();
    for (function, errors) in Function::ALL.into_iter().zip(&mut errors) {
        match function {
            Function::Softmax => entries::<T>(errors, &p, &exact.softmax),
            Function::LogSoftmax => entries::<T>(errors, &log_p, &exact.log_softmax),
            Function::LogSumExp => {
                let (want, size) = (exact.stats.log_sum_exp, sizes.log_sum_exp);
                errors.add(error_of_size(T::FORMAT, log_z.widen(), want, size));
            }
            _ => {
                let (got, want, size) = field(function, &all[0], &exact.stats, &sizes);
                errors.add(error_of_size(ulp::F64, got, want, size));
            }
        }
    }
    assert_eq!(all[0].arg_max, exact.stats.arg_max, "arg_max at τ = {tau}");
    errors
}

/// One field of the statistics: got, wanted, and the size the error is relative to.
fn field(function: Function, got: &Statistics, want: &Stats, sizes: &Sizes) -> (f64, Real, Real) {
    match function {
        Function::StatisticsLogSumExp => (got.log_sum_exp, want.log_sum_exp, sizes.log_sum_exp),
        Function::Mean => (got.mean, want.mean, sizes.mean),
        Function::Variance => (got.variance, want.variance, sizes.variance),
        Function::ThirdMoment => (got.third_moment, want.third_moment, sizes.third_moment),
        Function::Entropy => (got.entropy, want.entropy, Real::ZERO),
        Function::Perplexity => (got.perplexity, want.perplexity, Real::ZERO),
        Function::MaxProbability => (got.max_probability, want.max_probability, Real::ZERO),
        Function::ExpectedIndex => (got.expected_index, want.expected_index, Real::ZERO),
        _ => unreachable!("{function:?} is no field"),
    }
}

/// Entry by entry. What should be exactly 0 or −∞ must be, but does not flatter the mean.
fn entries<T: Number>(errors: &mut Errors, got: &[T], want: &[Real]) {
    assert_eq!(got.len(), want.len());
    for (got, &want) in got.iter().zip(want) {
        let error = ulp_error_in(T::FORMAT, got.widen(), want);
        let rounds_to_zero = want.exp < T::FORMAT.min_exp - T::FORMAT.precision;
        if error > 0.0 || (want.is_finite() && !want.is_zero() && !rounds_to_zero) {
            errors.add(error);
        }
    }
}

/// The error in ULP of the larger of what is wanted and `size`.
fn error_of_size(format: Format, got: f64, want: Real, size: Real) -> f64 {
    let own = ulp_error_in(format, got, want);
    let size = size.abs();
    // Where the terms themselves are beyond f64, what their difference is cannot be told.
    if !got.is_nan() && size.is_finite() && size.to_f64() == f64::INFINITY {
        return 0.0;
    }
    if !(got.is_finite() && size.is_finite() && (size - want.abs()).hi > 0.0) {
        return own;
    }
    // In reals: the distance may be below the smallest double, and the unit may be it.
    ((Real::from(got) - want).abs() / Real::from(ulp::unit(format, size))).to_f64()
}

/// What an error is relative to where the result may cancel.
struct Sizes {
    log_sum_exp: Real,
    mean: Real,
    variance: Real,
    third_moment: Real,
}

impl Sizes {
    fn new(logits: &[f64], tau: Real, exact: &Row) -> Sizes {
        let stats = &exact.stats;
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !max.is_finite() || !tau.is_finite() || tau.is_zero() {
            let of_max = if max.is_finite() { Real::from(max) } else { Real::ZERO };
            let third_moment = cubes(logits, exact);
            return Sizes {
                log_sum_exp: Real::ZERO,
                mean: of_max,
                variance: Real::ZERO,
                third_moment,
            };
        }
        let max = Real::from(max);
        let tempered = max / tau;
        // What is too little to be a number when τ is 1 counts as nothing at any τ.
        let least = Real::ONE.scaled(ulp::F64.min_exp);
        Sizes {
            log_sum_exp: larger(tempered.abs(), stats.log_sum_exp - tempered),
            mean: larger(max.abs(), stats.mean.abs()),
            variance: tau * tau * least,
            third_moment: larger(cubes(logits, exact), tau * tau * tau * least),
        }
    }
}

/// Σ p |x − E[x]|³.
fn cubes(logits: &[f64], exact: &Row) -> Real {
    let mean = exact.stats.mean;
    if !mean.is_finite() {
        return Real::ZERO;
    }
    let present = logits.iter().zip(&exact.softmax).filter(|(_, p)| !p.is_zero());
    present
        .map(|(&x, &p)| {
            let deviation = Real::from(x) - mean;
            p * (deviation * deviation * deviation).abs()
        })
        .sum()
}

fn larger(a: Real, b: Real) -> Real {
    if (b - a).hi > 0.0 { b } else { a }
}

/// What a function reached over a set of rows in one type.
#[derive(Clone, Debug)]
pub struct Reached {
    pub function: Function,
    pub dtype: Dtype,
    pub max: f64,
    pub mean: f64,
    /// Where the largest error was seen first.
    pub at: Point,
}

impl Reached {
    pub fn bound(&self) -> f64 {
        bound(self.function, self.dtype)
    }
}

/// Holds every function against the oracle on these rows, on all cores; the result does not depend on their number.
pub fn over<T: Number>(points: &[Point]) -> Vec<Reached> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(vec![None; points.len()]));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                // From the end, where the long rows are.
                while let Some(i) =
                    points.len().checked_sub(1 + next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Some(logits) = points[i].logits::<T>() {
                        let errors = measure(&logits, points[i].tau);
                        rows.lock().expect("no thread panicked")[i] = Some(errors);
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().expect("no thread panicked");
    let reached = |(f, function): (usize, Function)| {
        let mut all = Errors::default();
        let mut at = points[0];
        for (row, point) in rows.iter().zip(points) {
            let Some(row) = row else { continue };
            if row[f].max > all.max {
                (all.max, at) = (row[f].max, *point);
            }
            all.sum += row[f].sum;
            all.count += row[f].count;
        }
        let mean = all.sum / all.count as f64;
        Reached { function, dtype: T::DTYPE, max: all.max, mean, at }
    };
    Function::ALL.into_iter().enumerate().map(reached).collect()
}
