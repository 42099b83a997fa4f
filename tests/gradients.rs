//! Gradients: against finite differences, against 31 digits, at the limits, and bit by bit across machines.

use crate::support::number::on_every_isa;
use crate::support::oracle;
use crate::support::real::Real;
use crate::support::ulp::{self, Float};
use softargmax::{
    Element, Error, Gradient, GradientMut, Rows, Temperature, Temperatures, log_softmax,
    log_softmax_vjp, log_softmax_vjp_into, log_sum_exp, log_sum_exp_vjp, log_sum_exp_vjp_into,
    softmax, softmax_vjp, softmax_vjp_into,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Softmax,
    LogSoftmax,
    LogSumExp,
}
use Function::{LogSoftmax, LogSumExp, Softmax};

const ALL: [Function; 3] = [Softmax, LogSoftmax, LogSumExp];

/// The library's gradient; log_sum_exp takes the first cotangent of each row.
fn vjp<'a, T: Element>(
    function: Function,
    x: &[T],
    g: &[T],
    classes: usize,
    tau: impl Into<Temperatures<'a>>,
) -> Gradient<T> {
    let (rows, cotangents) = (Rows::new(x, classes).unwrap(), Rows::new(g, classes).unwrap());
    match function {
        Softmax => softmax_vjp(rows, cotangents, tau),
        LogSoftmax => log_softmax_vjp(rows, cotangents, tau),
        LogSumExp => {
            let firsts: Vec<T> = g.chunks_exact(classes).map(|g| g[0]).collect();
            log_sum_exp_vjp(rows, &firsts, tau)
        }
    }
    .unwrap()
}

fn tau(value: f64) -> Temperature {
    Temperature::new(value).unwrap()
}

/// Numbers in (−1, 1) that look random and are the same everywhere.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn many(&mut self, n: usize, size: f64) -> Vec<f64> {
        (0..n).map(|_| self.next() * size).collect()
    }
}

const LENGTHS: [usize; 10] = [1, 2, 3, 7, 8, 9, 16, 33, 63, 65];

#[test]
fn finite_differences_agree() {
    /// Σ g·f(x).
    fn value(function: Function, x: &[f64], g: &[f64], tau: Temperature) -> f64 {
        let dot = |f: Vec<f64>| f.iter().zip(g).map(|(f, g)| f * g).sum::<f64>();
        match function {
            Softmax => dot(softmax(x, tau).unwrap()),
            LogSoftmax => dot(log_softmax(x, tau).unwrap()),
            LogSumExp => g[0] * log_sum_exp(x, tau).unwrap(),
        }
    }
    let mut noise = Noise(1);
    for function in ALL {
        for n in LENGTHS {
            for t in [0.3, 1.0, 4.0] {
                let (x, g) = (noise.many(n, 2.0 * t), noise.many(n, 1.0));
                let gradient = vjp(function, &x, &g, n, tau(t));
                let check = |what: &str, got: f64, h: f64, f: &dyn Fn(f64) -> f64| {
                    // Central differences of the fourth order: h⁴ and 2^-52/h are both small.
                    let slope = (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h);
                    let size = g.iter().fold(1.0, |s, g| s + g.abs()) / t;
                    assert!(
                        (got - slope).abs() < 1e-8 * size,
                        "{function:?} {n} {t} {what}: {got} {slope}"
                    );
                };
                for i in 0..n {
                    check("dx", gradient.logits[i], 1e-3 * t, &|h| {
                        let mut moved = x.clone();
                        moved[i] += h;
                        value(function, &moved, &g, tau(t))
                    });
                }
                check("dtau", gradient.tau[0], 1e-3 * t, &|h| value(function, &x, &g, tau(t + h)));
                check("dscale", gradient.scale[0] / t / t, 1e-3 / t, &|h| {
                    value(function, &x, &g, Temperature::from_scale(1.0 / t + h).unwrap()) / t / t
                });
            }
        }
    }
}

/// The formulas in 31 digits, and what an error is to be measured by.
struct Exact {
    dx: Vec<(Real, Real)>,
    scale: (Real, Real),
    p: Vec<Real>,
    /// What a probability that was left out can count for, in dx and in ds.
    reach: [Real; 2],
}

fn exact(function: Function, x: &[f64], g: &[f64], tau: f64) -> Exact {
    let p = oracle::row_f64(x, tau).softmax;
    let s = Real::ONE / Real::from(tau);
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let real = |g: f64| Real::from(g);
    let here: Vec<usize> = (0..x.len()).filter(|&i| x[i] != f64::NEG_INFINITY).collect();
    let sum = |f: &dyn Fn(usize) -> Real| here.iter().map(|&i| f(i)).sum::<Real>();
    let y = |i: usize| real(x[i]) - real(top);
    let mean = sum(&|i| p[i] * y(i));
    let far =
        here.iter().fold(Real::ZERO, |far, &i| if (y(i) + far).hi < 0.0 { -y(i) } else { far });
    let (mut dx, scale);
    let mut reach = [Real::ZERO; 2];
    dx = vec![(Real::ZERO, Real::ZERO); x.len()];
    match function {
        Softmax => {
            // From a cotangent that is as good as the mean in a confident row, so that nothing cancels.
            let k = x.iter().position(|&x| x == top).unwrap();
            let from = real(g[k]);
            let shift = sum(&|i| p[i] * (real(g[i]) - from));
            let d = |i: usize| real(g[i]) - from - shift;
            let spread = sum(&|i| p[i] * d(i).abs());
            for &i in &here {
                dx[i] = (s * p[i] * d(i), s * p[i] * (d(i).abs() + spread));
            }
            for &i in &here {
                let terms = [s * d(i).abs(), d(i).abs() * (y(i) - mean).abs()];
                for (reach, term) in reach.iter_mut().zip(terms) {
                    *reach = if (term - *reach).hi > 0.0 { term } else { *reach };
                }
            }
            scale = (
                sum(&|i| p[i] * d(i) * (y(i) - mean)),
                sum(&|i| p[i] * d(i).abs() * (y(i) - mean).abs()),
            );
        }
        LogSoftmax => {
            let total = sum(&|i| real(g[i]));
            let size = sum(&|i| real(g[i]).abs());
            reach = [s * size, size * far];
            for &i in &here {
                dx[i] = (s * (real(g[i]) - p[i] * total), s * (real(g[i]).abs() + p[i] * size));
            }
            scale = (
                sum(&|i| real(g[i]) * (y(i) - mean)),
                sum(&|i| real(g[i]).abs() * (y(i).abs() + mean.abs())),
            );
        }
        LogSumExp => {
            let g = real(g[0]);
            reach[1] = g.abs() * far;
            for &i in &here {
                dx[i] = (s * g * p[i], s * (g * p[i]).abs());
            }
            scale = (g * (real(top) + mean), g.abs() * (real(top).abs() + mean.abs()));
        }
    }
    Exact { dx, scale, p, reach }
}

/// The unit of the last place at `size`, which may lie beyond the largest number.
fn unit(format: ulp::Format, size: Real) -> Real {
    let exponent = if size.is_zero() { format.min_exp } else { size.exp.max(format.min_exp) };
    Real::ONE.scaled(exponent - (format.precision - 1))
}

/// The largest errors found, in units of the last place of `T` at the sizes of `Exact`.
#[derive(Default, Debug)]
struct Worst {
    dx: f64,
    scale: f64,
    tau: f64,
}

impl Worst {
    fn take<T: Float>(&mut self, exact: &Exact, got: &Gradient<T>, tau: f64, what: &str) {
        let (smallest, none) = if T::FORMAT == ulp::F32 { (1e-56, -187) } else { (0.0, -1080) };
        for (i, (got, (want, size))) in got.logits.iter().zip(&exact.dx).enumerate() {
            let left_out = exact.p[i] * exact.reach[0].scaled(none + T::FORMAT.precision);
            let unit = unit(T::FORMAT, *size + left_out);
            let error = ((Real::from(got.widen()) - *want).abs() / unit).to_f64();
            // Overflow, and probabilities that softmax itself rounds to 0.
            let lost = got.widen() == 0.0 && exact.p[i].to_f64() <= smallest;
            let error = if got.widen().is_infinite() || lost { 0.0 } else { error };
            assert!(
                error < 100.0,
                "{what}: dx[{i}] is {error} units off: {:e} for {:e}",
                got.widen(),
                want.to_f64()
            );
            self.dx = self.dx.max(error);
        }
        let square: Real = Real::ONE / Real::from(tau) / Real::from(tau);
        let (want, size) = exact.scale;
        let size = size + exact.reach[1].scaled(none + T::FORMAT.precision);
        for (name, got, want, size, worst) in [
            ("ds", got.scale[0], want, size, &mut self.scale),
            ("dtau", got.tau[0], -(want * square), size * square, &mut self.tau),
        ] {
            if got.is_infinite() {
                assert!(size.to_f64() > 1e307, "{what}: {name} {got}");
                continue;
            }
            // ds and dτ are f64: the unit of T's precision, down to the last of f64.
            let unit = unit(ulp::F64, size).scaled(53 - T::FORMAT.precision);
            let error = ((Real::from(got) - want).abs() / unit).to_f64();
            assert!(
                error < 100.0,
                "{what}: {name} is {error} units off: {got:e} for {:e}",
                want.to_f64()
            );
            *worst = worst.max(error);
        }
    }
}

fn measure<T: Element + Float>(function: Function, of: fn(f64) -> T, taus: &[f64]) -> Worst {
    let mut noise = Noise(7);
    let mut worst = Worst::default();
    for &t in taus {
        for n in LENGTHS.into_iter().chain([1000, 3000]) {
            for (spread, offset) in [
                (0.01, 0.0),
                (1.0, 0.0),
                (1.0, 1e3),
                (5.0, -1e8),
                (30.0, 1e8),
                (300.0, 0.0),
                (0.0, 3.0),
            ] {
                for kind in 0..4 {
                    let x: Vec<T> =
                        noise.many(n, spread * t).iter().map(|x| of(x + offset * t)).collect();
                    let mut x = x;
                    let g: Vec<T> = match kind {
                        0 => noise.many(n, 1.0),
                        1 => noise.many(n, 1e-3).iter().map(|g| g + 100.0).collect(),
                        2 => (0..n).map(|i| if i == n / 2 { -1.0 } else { 0.0 }).collect(),
                        _ => noise.many(n, 1e5).iter().map(|g| g * g * g).collect(),
                    }
                    .into_iter()
                    .map(of)
                    .collect();
                    if kind == 3 && n > 2 {
                        x[n / 3] = of(f64::NEG_INFINITY);
                    }
                    let (x64, g64): (Vec<f64>, Vec<f64>) =
                        x.iter().zip(&g).map(|(x, g)| (x.widen(), g.widen())).unzip();
                    let exact = exact(function, &x64, &g64, t);
                    let got = vjp(function, &x, &g, n, tau(t));
                    worst.take(
                        &exact,
                        &got,
                        t,
                        &format!("{function:?} n {n} tau {t:e} spread {spread} offset {offset:e} kind {kind}"),
                    );
                }
            }
        }
    }
    worst
}

#[test]
fn errors_stay_within_the_promise() {
    for function in ALL {
        let f32 = measure(function, |x| x as f32, &[1e-30, 0.07, 1.0, 30.0, 1e28]);
        let f64 = measure(function, |x| x, &[1e-300, 1e-30, 0.07, 1.0, 30.0, 1e200]);
        for (dtype, worst, bound) in [("f32", f32, 3.0), ("f64", f64, 5.0)] {
            println!("{function:?} {dtype}: {worst:.2?}");
            assert!(
                worst.dx.max(worst.scale).max(worst.tau) <= bound,
                "{function:?} {dtype}: {worst:?}"
            );
        }
    }
}

/// Rows where p_max is 1 − 4e-10 or closer to 1: every entry relative to itself.
#[test]
fn confident_rows_keep_their_digits() {
    for gap in [21.64, 60.0, 100.0] {
        let x = [1.0, gap + 1.0, 0.5];
        for g in [[0.0, -1.0, 0.0], [0.25, 0.25, 0.75], [1e3, 1e3, 1.0001e3]] {
            for function in [Softmax, LogSoftmax] {
                let want = exact(function, &x, &g, 1.0);
                let got = vjp(function, &x, &g, 3, Temperature::ONE);
                let x32 = x.map(|x| x as f32);
                let g32 = g.map(|g| g as f32);
                let want32 = exact(function, &x32.map(f64::from), &g32.map(f64::from), 1.0);
                let got32 = vjp(function, &x32, &g32, 3, Temperature::ONE);
                for i in 0..3 {
                    let (want, want32) = (want.dx[i].0.to_f64(), want32.dx[i].0.to_f64());
                    assert!(
                        (got.logits[i] - want).abs() <= 2e-15 * want.abs(),
                        "{function:?} {gap} {i}: {:e} {want:e}",
                        got.logits[i]
                    );
                    let got32 = f64::from(got32.logits[i]);
                    assert!(
                        (got32 - want32).abs() <= 4e-7 * want32.abs() + 1e-45,
                        "{function:?} {gap} {i}: {got32:e} {want32:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_masked_entry_is_not_there() {
    let none = f64::NEG_INFINITY;
    for function in ALL {
        for t in [1e-300, 0.5, 1.0, 1e300, f64::INFINITY] {
            for bad in [0.0, 1.0, -7.0, f64::INFINITY, f64::NAN] {
                let x: [f64; 4] = [1.0, none, 2.0, none];
                let g = [0.5, bad, 2.0, bad];
                let got = vjp(function, &x, &g, 4, tau(t));
                let without = vjp(function, &[1.0, 2.0], &[0.5, 2.0], 2, tau(t));
                let kept = [without.logits[0], 0.0f64, without.logits[1], 0.0];
                for (got, want) in got.logits.iter().zip(kept) {
                    assert_eq!(
                        got.to_bits(),
                        want.to_bits(),
                        "{function:?} {t} {bad}: {got} {want}"
                    );
                }
                assert_eq!(got.scale, without.scale);
                assert_eq!(got.tau, without.tau);
                assert!(got.tau[0].is_finite() || t == 1e-300);
            }
        }
    }
    // Cotangents of log_sum_exp stand for the row, and still a mask is 0.
    for bad in [f64::INFINITY, f64::NAN] {
        let got =
            log_sum_exp_vjp(Rows::one(&[1.0, none]).unwrap(), &[bad], Temperature::ONE).unwrap();
        assert_eq!(got.logits[0].to_bits(), bad.to_bits());
        assert_eq!(got.logits[1].to_bits(), 0);
    }
    // A finite entry so low that its probability is 0 still has its own log-probability.
    let got = vjp(LogSoftmax, &[0.0, -1e5], &[0.0, 1.0], 2, Temperature::ONE);
    assert_eq!((got.logits, got.scale), (vec![-1.0, 1.0], vec![-1e5]));
}

#[test]
fn a_row_without_a_distribution_is_nan_alone() {
    let none = f32::NEG_INFINITY;
    let x = [1.0, 2.0, f32::NAN, 0.0, none, none, 3.0, 1.0];
    for function in ALL {
        for t in [0.0, 1.0, f64::INFINITY] {
            let got = vjp(function, &x, &[1.0; 8], 2, tau(t));
            for row in 0..4 {
                let bad = row == 1 || row == 2;
                assert!(got.logits[2 * row..2 * row + 2].iter().all(|d| d.is_nan() == bad));
                assert_eq!((got.tau[row].is_nan(), got.scale[row].is_nan()), (bad, bad));
            }
        }
    }
}

#[test]
fn limits() {
    let (x, g) = ([1.0, 4.0, 4.0, f64::NEG_INFINITY], [1.0, 2.0, 5.0, 1.0]);
    for function in ALL {
        let zero = vjp(function, &x, &g, 4, Temperature::ZERO);
        assert_eq!((zero.logits, zero.tau, zero.scale), (vec![0.0; 4], vec![0.0], vec![0.0]));
        let infinite = vjp(function, &[1.0, f64::INFINITY, 2.0], &[1.0, 2.0, 3.0], 3, tau(2.0));
        assert_eq!(
            (infinite.logits, infinite.tau, infinite.scale),
            (vec![0.0; 3], vec![0.0], vec![0.0])
        );
        let uniform = vjp(function, &x, &g, 4, Temperature::INFINITE);
        assert_eq!((uniform.logits, uniform.tau), (vec![0.0; 4], vec![0.0]));
        // E[x] = 3, E[g] = 8/3.
        let want = match function {
            Softmax => ((1.0 - 8.0 / 3.0) * -2.0 + (2.0 - 8.0 / 3.0) + (5.0 - 8.0 / 3.0)) / 3.0,
            LogSoftmax => -2.0 + 2.0 + 5.0,
            LogSumExp => 3.0,
        };
        assert!((uniform.scale[0] - want).abs() < 1e-15, "{function:?} {}", uniform.scale[0]);
        // Far from the limits, but with 1/τ² beyond the range.
        for t in [1e-300, 1e300, 5e-324, f64::MAX] {
            let got = vjp(function, &x, &g, 4, tau(t));
            assert!(
                got.logits.iter().chain(&got.tau).chain(&got.scale).all(|d| !d.is_nan()),
                "{function:?} {t}: {got:?}"
            );
        }
        let cold = vjp(function, &[1.0, 0.0], &[3.0, 3.0], 2, tau(1e-300));
        if function == Softmax {
            assert_eq!((cold.logits, cold.tau, cold.scale), (vec![0.0; 2], vec![0.0], vec![0.0]));
        }
    }
}

#[test]
fn scaling_logits_and_temperature_together_keeps_the_bits() {
    let mut noise = Noise(3);
    let (x, g) = (noise.many(100, 3.0), noise.many(100, 1.0));
    for function in ALL {
        let plain = vjp(function, &x, &g, 100, tau(0.7));
        for k in [-60, -1, 3, 200] {
            let factor = 2f64.powi(k);
            let scaled: Vec<f64> = x.iter().map(|x| x * factor).collect();
            let got = vjp(function, &scaled, &g, 100, tau(0.7 * factor));
            assert!(
                got.logits
                    .iter()
                    .zip(&plain.logits)
                    .all(|(a, b)| (a * factor).to_bits() == b.to_bits())
            );
            assert_eq!(got.scale[0] / factor, plain.scale[0]);
            assert_eq!(got.tau[0] * factor, plain.tau[0]);
        }
    }
}

/// All bits of a gradient, as f64 for the logits too.
fn bits<T: Float>(gradient: &Gradient<T>) -> Vec<u64> {
    let logits = gradient.logits.iter().map(|d| d.widen());
    logits
        .chain(gradient.tau.iter().copied())
        .chain(gradient.scale.iter().copied())
        .map(f64::to_bits)
        .collect()
}

fn same_bits_everywhere<T: Element + Float>(of: fn(f64) -> T) {
    let mut noise = Noise(11);
    for classes in [1, 2, 7, 8, 9, 33, 1000, 1025, 152_064] {
        let rows = if classes > 10_000 { 2 } else { 200 };
        let x: Vec<T> = noise.many(rows * classes, 9.0).into_iter().map(of).collect();
        let g: Vec<T> = noise.many(rows * classes, 1.0).into_iter().map(of).collect();
        let taus: Vec<Temperature> =
            (0..rows).map(|i| tau(0.05 * 1.1f64.powi(i as i32 % 40))).collect();
        for function in ALL {
            let all = vjp(function, &x, &g, classes, &taus);
            on_every_isa(|isa| {
                assert!(
                    bits(&vjp(function, &x, &g, classes, &taus)) == bits(&all),
                    "{function:?} {classes} {isa:?}"
                );
            });
            // Each row by itself, at its own temperature and another alignment.
            for row in [0, rows / 2, rows - 1] {
                let (from, to) = (row * classes, (row + 1) * classes);
                let alone = vjp(function, &x[from..to], &g[from..to], classes, taus[row]);
                let same = alone
                    .logits
                    .iter()
                    .zip(&all.logits[from..to])
                    .all(|(a, b)| a.widen().to_bits() == b.widen().to_bits());
                assert!(same, "{function:?} {classes} row {row}");
                assert_eq!(alone.tau[0].to_bits(), all.tau[row].to_bits());
                assert_eq!(alone.scale[0].to_bits(), all.scale[row].to_bits());
            }
        }
    }
}

#[test]
fn the_same_bits_on_every_machine_and_in_every_batch() {
    same_bits_everywhere(|x| x as f32);
    same_bits_everywhere(|x| x);
}

#[cfg(feature = "rayon")]
#[test]
fn the_same_bits_for_any_number_of_threads() {
    let mut noise = Noise(13);
    let (rows, classes) = (701, 1000);
    let x: Vec<f32> = noise.many(rows * classes, 9.0).into_iter().map(|x| x as f32).collect();
    let g: Vec<f32> = noise.many(rows * classes, 1.0).into_iter().map(|x| x as f32).collect();
    for function in ALL {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            bits(&pool.install(|| vjp(function, &x, &g, classes, tau(0.3))))
        };
        let one = run(1);
        assert!(run(2) == one && run(3) == one && run(7) == one, "{function:?}");
    }
}

#[cfg(feature = "half")]
#[test]
fn halves_are_computed_in_f32_and_rounded_once() {
    same_bits_everywhere(half::f16::from_f64);
    fn check<T: Element + Float>(of: fn(f32) -> T) {
        let mut noise = Noise(5);
        let x: Vec<T> = noise.many(60, 4.0).into_iter().map(|x| of(x as f32)).collect();
        let g: Vec<T> = noise.many(60, 1.0).into_iter().map(|x| of(x as f32)).collect();
        let wide = |v: &[T]| v.iter().map(|v| v.widen() as f32).collect::<Vec<f32>>();
        for function in ALL {
            let got = vjp(function, &x, &g, 20, tau(0.6));
            let want = vjp(function, &wide(&x), &wide(&g), 20, tau(0.6));
            assert!(got.logits.iter().zip(&want.logits).all(|(a, &b)| a.widen() == of(b).widen()));
            assert_eq!((got.tau, got.scale), (want.tau, want.scale));
        }
    }
    check(half::f16::from_f32);
    check(half::bf16::from_f32);
}

#[test]
fn one_temperature_for_all_rows_is_the_sum() {
    let (x, g) = ([1.0, 2.0, 3.0, 1.0, 0.0, 5.0], [1.0, 0.0, 0.5, -1.0, 2.0, 0.0]);
    let gradient = vjp(Softmax, &x, &g, 2, tau(1.5));
    assert_eq!(gradient.tau_sum(), gradient.tau.iter().sum::<f64>());
    assert!((gradient.scale_sum() + gradient.tau_sum() * 2.25).abs() < 1e-15);
    let many = Gradient::<f32> {
        logits: vec![],
        tau: vec![1e16, 1.0, -1e16, 1.0],
        scale: vec![f64::INFINITY, 1.0],
    };
    assert_eq!((many.tau_sum(), many.scale_sum()), (2.0, f64::INFINITY));
}

#[test]
fn the_forms_agree_and_refuse_what_does_not_fit() {
    let (x, g) = ([1.0f32, 2.0, 3.0, 4.0], [1.0, 0.0, 0.5, 2.0]);
    let (rows, cotangents) = (Rows::new(&x, 2).unwrap(), Rows::new(&g, 2).unwrap());
    let want = softmax_vjp(rows, cotangents, tau(2.0)).unwrap();
    let (mut d, mut t, mut s) = ([9.0; 4], [9.0; 2], [9.0; 2]);
    softmax_vjp_into(
        rows,
        cotangents,
        tau(2.0),
        GradientMut { logits: &mut d, tau: Some(&mut t), scale: Some(&mut s) },
    )
    .unwrap();
    assert_eq!((&d[..], &t[..], &s[..]), (&want.logits[..], &want.tau[..], &want.scale[..]));

    let shape = |what, expected, got| Err(Error::Shape { what, expected, got });
    let mut short = [0.0; 3];
    assert_eq!(
        log_softmax_vjp_into(
            rows,
            cotangents,
            tau(1.0),
            GradientMut { logits: &mut short, tau: None, scale: None }
        ),
        shape("the gradient of the logits", 4, 3)
    );
    let mut one = [0.0; 1];
    assert_eq!(
        log_sum_exp_vjp_into(
            rows,
            &[1.0, 1.0],
            tau(1.0),
            GradientMut { logits: &mut d, tau: Some(&mut one), scale: None }
        ),
        shape("the gradient of tau", 2, 1)
    );
    let wide = Rows::new(&g, 4).unwrap();
    assert_eq!(softmax_vjp(rows, wide, tau(1.0)).map(|_| ()), shape("a row of cotangents", 2, 4));
    let few = Rows::new(&g[..2], 2).unwrap();
    assert_eq!(softmax_vjp(rows, few, tau(1.0)).map(|_| ()), shape("cotangents", 4, 2));
    assert_eq!(log_sum_exp_vjp(rows, &g, tau(1.0)).map(|_| ()), shape("cotangents", 2, 4));
    assert_eq!(
        softmax_vjp(rows, cotangents, &[tau(1.0)][..]).map(|_| ()),
        shape("temperatures", 2, 1)
    );
    let empty: [f32; 0] = [];
    let none = Rows::new(&empty, 3).unwrap();
    assert_eq!(softmax_vjp(none, none, tau(1.0)).unwrap().tau.len(), 0);
}
