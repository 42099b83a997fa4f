//! What must hold of any row at any temperature, whatever the numbers are.

use crate::support::bounds::{Function, bound};
use crate::support::measure::{assert_within, measure};
use crate::support::number::Number;
use crate::support::random::Random;
use crate::support::real::Real;
use crate::support::ulp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use softargmax::{
    Rows, Statistics, Temperature, log_softmax, log_softmax_rows, log_sum_exp, softmax,
    softmax_rows, statistics,
};

/// The same rows on every run: a failure is then a change of the code, and nothing else.
fn seeded() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(21), ..Default::default() }
}

fn tau(value: f64) -> Temperature {
    Temperature::new(value).expect("not negative, not NaN")
}

fn allowed<T: Number>(function: Function) -> f64 {
    bound(function, T::DTYPE)
}

/// The distance between two results in units in the last place of the larger one.
fn ulps_between<T: Number>(a: T, b: T) -> f64 {
    let (a, b) = (a.widen(), b.widen());
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    (a - b).abs() / ulp::unit(T::FORMAT, Real::from(a.abs().max(b.abs())))
}

fn bits<T: Number>(row: &[T]) -> Vec<u64> {
    row.iter().map(|x| x.bits()).collect()
}

/// Logits of an ordinary kind, up to ±64 in steps of 2^-10, so that much can be done to them exactly.
fn grid_logits() -> impl Strategy<Value = Vec<f64>> {
    let entry = (-65536_i32..=65536).prop_map(|j| f64::from(j) / 1024.0);
    prop_oneof![4 => vec(entry.clone(), 1..70), 1 => vec(entry, 1000..1100)]
}

/// Temperatures from 1e-3 to 1e3, in equal ratios.
fn temperatures() -> impl Strategy<Value = f64> {
    (-3.0..3.0_f64).prop_map(|power| 10f64.powf(power))
}

fn of<T: Number>(logits: &[f64]) -> Vec<T> {
    logits.iter().map(|&x| T::of(x)).collect()
}

/// Calls a generic check for f32 and f64.
macro_rules! both {
    ($check:ident($($argument:expr),*)) => {
        $check::<f32>($($argument),*)?;
        $check::<f64>($($argument),*)?;
    };
}

fn sums_to_one<T: Number>(logits: &[f64], t: f64) -> Result<(), TestCaseError> {
    let p = softmax(&of::<T>(logits), tau(t)).unwrap();
    let sum: Real = p.iter().map(|p| Real::from(p.widen())).sum();
    // Each entry is off by so many ULP of itself, and an ULP is at most 2^(1 − precision) of a number.
    let epsilon = 2f64.powi(1 - T::FORMAT.precision);
    let allowed = allowed::<T>(Function::Softmax) * epsilon;
    let off = (sum - Real::ONE).abs().to_f64();
    prop_assert!(off <= allowed, "{off:e}, allowed {allowed:e}");
    prop_assert!(p.iter().all(|p| (0.0..=1.0).contains(&p.widen())));
    Ok(())
}

fn a_shift_changes_nothing<T: Number>(
    logits: &[f64],
    shift: f64,
    t: f64,
) -> Result<(), TestCaseError> {
    let shifted: Vec<f64> = logits.iter().map(|x| x + shift).collect();
    for (function, call) in both_functions::<T>() {
        let (a, b) = (call(&of(logits), tau(t)), call(&of(&shifted), tau(t)));
        for (a, b) in a.iter().zip(&b) {
            let off = ulps_between(*a, *b);
            prop_assert!(off <= 2.0 * allowed::<T>(function), "{function:?}: {a:?} and {b:?}");
        }
    }
    Ok(())
}

type Call<T> = fn(&[T], Temperature) -> Vec<T>;

fn both_functions<T: Number>() -> [(Function, Call<T>); 2] {
    [
        (Function::Softmax, |row, tau| softmax(row, tau).unwrap()),
        (Function::LogSoftmax, |row, tau| log_softmax(row, tau).unwrap()),
    ]
}

fn order_does_not_matter<T: Number>(
    logits: &[f64],
    turn: usize,
    t: f64,
) -> Result<(), TestCaseError> {
    let n = logits.len();
    let place = |i: usize| (n - 1) - (i + turn) % n;
    let moved: Vec<f64> = (0..n).map(|i| logits[place(i)]).collect();
    for (function, call) in both_functions::<T>() {
        let (a, b) = (call(&of(logits), tau(t)), call(&of(&moved), tau(t)));
        for i in 0..n {
            let off = ulps_between(a[place(i)], b[i]);
            prop_assert!(off <= 2.0 * allowed::<T>(function), "{function:?}[{i}]: {off}");
        }
    }
    let a = log_sum_exp(&of::<T>(logits), tau(t)).unwrap();
    let b = log_sum_exp(&of::<T>(&moved), tau(t)).unwrap();
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max) / t;
    let unit = ulp::unit(T::FORMAT, Real::from(largest.abs().max(a.widen() - largest)));
    let off = (a.widen() - b.widen()).abs() / unit;
    prop_assert!(off <= 2.0 * allowed::<T>(Function::LogSumExp), "log_sum_exp: {off}");
    Ok(())
}

/// Equal logits get equal bits wherever they stand, and a larger logit never gets less than the error allows.
fn ties_and_order<T: Number>(logits: &[f64], t: f64) -> Result<(), TestCaseError> {
    for (function, call) in both_functions::<T>() {
        let results = call(&of(logits), tau(t));
        let mut pairs: Vec<(f64, T)> = logits.iter().copied().zip(results).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in pairs.windows(2) {
            let [(x, a), (y, b)] = [pair[0], pair[1]];
            if x == y {
                prop_assert!(a.bits() == b.bits(), "{function:?} of {x}: {a:?}, {b:?}");
            } else {
                let off = if a.widen() > b.widen() { ulps_between(a, b) } else { 0.0 };
                prop_assert!(
                    off <= 2.0 * allowed::<T>(function),
                    "{function:?}: {x} < {y}: {a:?}, {b:?}"
                );
            }
        }
    }
    Ok(())
}

fn logarithms_agree<T: Number>(logits: &[f64], t: f64) -> Result<(), TestCaseError> {
    let p = softmax(&of::<T>(logits), tau(t)).unwrap();
    let log_p = log_softmax(&of::<T>(logits), tau(t)).unwrap();
    for (p, log_p) in p.iter().zip(&log_p) {
        // An error in log p is a relative one in p.
        let log = Real::from(log_p.widen());
        let log_unit = ulp::unit(T::FORMAT, log);
        let of_log = (allowed::<T>(Function::LogSoftmax) * log_unit).exp_m1() * p.widen();
        let of_p = allowed::<T>(Function::Softmax) * ulp::unit(T::FORMAT, Real::from(p.widen()));
        let off = (log.exp() - Real::from(p.widen())).abs().to_f64();
        prop_assert!(off <= of_p + 1.01 * of_log, "exp({log_p:?}) and {p:?}");
    }
    Ok(())
}

/// softmax(x·2^k, τ·2^k) has the bits of softmax(x, τ), also where τ leaves the range the kernel works in.
fn a_power_of_two_changes_nothing<T: Number>(
    logits: &[f64],
    k: i32,
    t: f64,
) -> Result<(), TestCaseError> {
    // In two steps: 2^k may be no number where the product is one.
    let times = |x: f64, k: i32| x * 2f64.powi(k / 2) * 2f64.powi(k - k / 2);
    let scaled: Vec<f64> = logits.iter().map(|&x| times(x, k)).collect();
    let (row, scaled) = (of::<T>(logits), of::<T>(&scaled));
    for (x, y) in row.iter().zip(&scaled) {
        assert_eq!(y.widen(), times(x.widen(), k), "the test must scale exactly");
    }
    let (before, after) = (tau(t), tau(times(t, k)));
    for (function, call) in both_functions::<T>() {
        prop_assert_eq!(bits(&call(&row, before)), bits(&call(&scaled, after)), "{:?}", function);
    }
    let log_z =
        [(&row, before), (&scaled, after)].map(|(row, t)| log_sum_exp(row, t).unwrap().bits());
    prop_assert_eq!(log_z[0], log_z[1], "log_sum_exp");
    let [a, b]: [Statistics; 2] = [(&row, before), (&scaled, after)]
        .map(|(row, t)| statistics(Rows::one(row).unwrap(), t).unwrap()[0]);
    let of_no_dimension = |s: &Statistics| {
        [s.log_sum_exp, s.entropy, s.perplexity, s.max_probability, s.expected_index]
            .map(f64::to_bits)
    };
    prop_assert_eq!(of_no_dimension(&a), of_no_dimension(&b), "{:?} {:?}", a, b);
    prop_assert_eq!(times(a.mean, k), b.mean);
    prop_assert_eq!(a.arg_max, b.arg_max);
    // Only what is subnormal has fewer bits.
    for (a, b, k) in [(a.variance, b.variance, 2 * k), (a.third_moment, b.third_moment, 3 * k)] {
        if k.abs() < 600 && a.is_normal() && b.is_normal() {
            prop_assert_eq!(times(a, k), b);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn rows_sum_to_one(logits in grid_logits(), t in temperatures()) {
        both!(sums_to_one(&logits, t));
    }

    #[test]
    fn shift_invariance(logits in grid_logits(), shift in -4096..4096_i32, t in temperatures()) {
        both!(a_shift_changes_nothing(&logits, f64::from(shift), t));
    }

    #[test]
    fn permutation(logits in grid_logits(), turn in 0..1000_usize, t in temperatures()) {
        both!(order_does_not_matter(&logits, turn, t));
    }

    #[test]
    fn equal_and_larger_logits(logits in grid_logits(), t in temperatures()) {
        both!(ties_and_order(&logits, t));
    }

    #[test]
    fn many_ties(logits in vec((-3..=3_i32).prop_map(f64::from), 1..200), t in temperatures()) {
        both!(ties_and_order(&logits, t));
        both!(sums_to_one(&logits, t));
    }

    #[test]
    fn exp_of_the_logarithm(logits in grid_logits(), t in temperatures()) {
        both!(logarithms_agree(&logits, t));
    }

    #[test]
    fn powers_of_two(
        logits in grid_logits(), small in -60..=60_i32, k32 in -139..=121_i32, k64 in -1000..=1017_i32,
        t in temperatures(),
    ) {
        both!(a_power_of_two_changes_nothing(&logits, small, t));
        a_power_of_two_changes_nothing::<f32>(&logits, k32, t)?;
        a_power_of_two_changes_nothing::<f64>(&logits, k64, t)?;
    }

    /// Logits of 20000 to 60000 τ use all the bits that the kernel's factor has.
    #[test]
    fn powers_of_two_far_from_zero(
        mut logits in grid_logits(), k32 in 60..=105_i32, negative in any::<bool>(), m in 1.0..2.0_f64,
    ) {
        for x in &mut logits {
            *x = (x.abs() * 0.25 + 20000.0).round() + if negative { -62000.0 } else { 0.0 };
        }
        a_power_of_two_changes_nothing::<f32>(&logits, k32, m)?;
        a_power_of_two_changes_nothing::<f32>(&logits, -k32, m)?;
        a_power_of_two_changes_nothing::<f64>(&logits, 9 * k32, m)?;
        a_power_of_two_changes_nothing::<f64>(&logits, -9 * k32, m)?;
    }

    #[test]
    fn a_mask_is_exactly_zero_and_changes_nothing_else(
        logits in grid_logits(), t in temperatures(), seed in any::<u64>(),
    ) {
        both!(masked(&logits, t, seed));
    }
}

/// The kernel's factor has a second part, which must not lose bits where τ is large: one entry in 50000 would show it.
#[test]
fn powers_of_two_up_to_where_the_factor_is_small() {
    let mut random = Random::new(9);
    for _ in 0..100 {
        let t = 1.0 + random.unit();
        let row: Vec<f32> =
            (0..2000).map(|_| ((30000.0 + 20.0 * random.unit()) * t) as f32).collect();
        let want = bits(&softmax(&row, tau(t)).unwrap());
        for k in [60, 70, 74, 75, 76, 90, 99, 100, 101, 110] {
            let power = 2f64.powi(k);
            let scaled: Vec<f32> = row.iter().map(|&x| (f64::from(x) * power) as f32).collect();
            let got = bits(&softmax(&scaled, tau(t * power)).unwrap());
            assert!(got == want, "τ = {t} · 2^{k}");
        }
    }
}

/// Masked entries get 0 and −∞; the others what they get with the masked ones left out.
fn masked<T: Number>(logits: &[f64], t: f64, seed: u64) -> Result<(), TestCaseError> {
    let mut random = Random::new(seed);
    let is_masked: Vec<bool> = logits.iter().map(|_| random.below(2) == 0).collect();
    let kept: Vec<f64> =
        logits.iter().zip(&is_masked).filter(|(_, m)| !**m).map(|(x, _)| *x).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let row: Vec<f64> = logits
        .iter()
        .zip(&is_masked)
        .map(|(&x, &m)| if m { f64::NEG_INFINITY } else { x })
        .collect();
    for (function, call) in both_functions::<T>() {
        let (all, kept) = (call(&of(&row), tau(t)), call(&of(&kept), tau(t)));
        let mut kept = kept.iter();
        for (&got, &masked) in all.iter().zip(&is_masked) {
            if masked {
                let want = if function == Function::Softmax { 0.0 } else { f64::NEG_INFINITY };
                prop_assert_eq!(got.bits(), T::of(want).bits());
            } else {
                let off = ulps_between(got, *kept.next().unwrap());
                prop_assert!(off <= 2.0 * allowed::<T>(function), "{function:?}: {off}");
            }
        }
    }
    Ok(())
}

/// Any bits at all, the numbers where kinds of numbers meet, or ordinary ones.
fn any_number<T: Number>(random: &mut Random) -> T {
    let special = [
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        T::MAX,
        -T::MAX,
        ulp::smallest::<T>(),
        -ulp::smallest::<T>(),
        1.0,
    ];
    match random.below(8) {
        0 => T::from_bits(random.bits()),
        1 => T::of(special[random.below(special.len())]),
        _ => T::of(random.normal() * 2f64.powi(random.below(60) as i32 - 30)),
    }
}

fn any_temperature(random: &mut Random) -> f64 {
    let special = [0.0, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), 1.0];
    match random.below(6) {
        0 => special[random.below(special.len())],
        1 => random.normal().abs(),
        _ => f64::from_bits(random.bits() & (u64::MAX >> 1)),
    }
}

/// No panic on any bits, and results of the kind that the table of special values names.
fn any_bits<T: Number>(rows: usize) {
    let mut random = Random::new(T::DTYPE as u64);
    for _ in 0..rows {
        let n = 1 + random.below(70);
        let row: Vec<T> = if random.below(4) == 0 {
            (0..n).map(|_| T::from_bits(random.bits())).collect()
        } else {
            (0..n).map(|_| any_number(&mut random)).collect()
        };
        let t = any_temperature(&mut random);
        let Ok(temperature) = Temperature::new(t) else {
            assert!(t.is_nan());
            continue;
        };
        let p = softmax(&row, temperature).unwrap();
        let log_p = log_softmax(&row, temperature).unwrap();
        let log_z = log_sum_exp(&row, temperature).unwrap().widen();
        let s = statistics(Rows::one(&row).unwrap(), temperature).unwrap()[0];
        let what = format!("softmax({row:?}, {t:e}) = {p:?}, {log_p:?}, {log_z}, {s:?}");
        let wide: Vec<f64> = row.iter().map(|x| x.widen()).collect();
        let none = wide.iter().all(|&x| x == f64::NEG_INFINITY);
        if none || wide.iter().any(|x| x.is_nan()) {
            assert!(p.iter().chain(&log_p).all(|p| p.widen().is_nan()), "{what}");
            assert!(s.arg_max.is_none() && s.entropy.is_nan(), "{what}");
            let want = if none { log_z == f64::NEG_INFINITY } else { log_z.is_nan() };
            assert!(want, "{what}");
            continue;
        }
        assert!(!log_z.is_nan() && s.arg_max.is_some(), "{what}");
        let sum: Real = p.iter().map(|p| Real::from(p.widen())).sum();
        let epsilon = 2f64.powi(1 - T::FORMAT.precision);
        // Halves may round half a smallest subnormal away from every entry.
        let lost = n as f64 * ulp::smallest::<T>();
        let off = (sum - Real::ONE).abs().to_f64();
        assert!(off <= 3.0 * epsilon + lost, "{off}: {what}");
        for ((p, log_p), x) in p.iter().zip(&log_p).zip(&wide) {
            assert!((0.0..=1.0).contains(&p.widen()) && log_p.widen() <= 0.0, "{what}");
            if *x == f64::NEG_INFINITY {
                assert!(p.widen() == 0.0 && log_p.widen() == f64::NEG_INFINITY, "{what}");
            }
        }
        let n = n as f64;
        assert!((0.0..=n.ln() * 1.0000001).contains(&s.entropy), "{what}");
        assert!((1.0..=n * 1.0000001).contains(&s.perplexity), "{what}");
        assert!((0.9999999 / n..=1.0).contains(&s.max_probability), "{what}");
        assert!((0.0..n).contains(&s.expected_index), "{what}");
        if wide.iter().all(|x| *x != f64::INFINITY) {
            assert!(s.mean.is_finite() && s.variance >= 0.0, "{what}");
            assert!(!s.third_moment.is_nan() || s.variance == f64::INFINITY, "{what}");
        }
    }
}

#[test]
fn any_bits_are_answered_by_the_table() {
    any_bits::<f32>(20_000);
    any_bits::<f64>(20_000);
    #[cfg(feature = "half")]
    {
        any_bits::<half::f16>(20_000);
        any_bits::<half::bf16>(20_000);
    }
}

/// The bounds hold for any bits too, not on the grid alone.
fn any_bits_within_bounds<T: Number>(rows: usize) {
    let mut random = Random::new(1 + T::DTYPE as u64);
    for _ in 0..rows {
        let row: Vec<T> = (0..1 + random.below(40)).map(|_| any_number(&mut random)).collect();
        let t = any_temperature(&mut random);
        if t.is_nan() {
            continue;
        }
        // As text, which for the oracle and the library means the same decimal number.
        let text = if t.is_finite() { format!("{t:e}") } else { "inf".to_owned() };
        assert_within(&measure(&row, &text), T::DTYPE, &format!("{row:?} at τ = {text}"));
    }
}

#[test]
fn any_bits_are_within_bounds() {
    any_bits_within_bounds::<f32>(20_000);
    any_bits_within_bounds::<f64>(20_000);
    #[cfg(feature = "half")]
    {
        any_bits_within_bounds::<half::f16>(5_000);
        any_bits_within_bounds::<half::bf16>(5_000);
    }
}

type OfRows<T> = fn(Rows<'_, T>, Temperature) -> Vec<T>;

/// A NaN of any payload makes its row NaN, and no other.
fn nan_stays_in_its_row<T: Number>() {
    let mut random = Random::new(5);
    let quiet = T::of(f64::NAN).bits();
    for classes in [1, 2, 15, 16, 17, 33, 127, 1025] {
        let rows = 20;
        let clean: Vec<T> = (0..rows * classes).map(|_| T::of(random.normal())).collect();
        for _ in 0..20 {
            let mut dirty = clean.clone();
            let (row, place) = (random.below(rows), random.below(classes));
            // Payloads are the low bits; a NaN stays one whatever they are.
            let sign = random.bits() & 1 == 1;
            let nan = T::from_bits(quiet | (random.bits() % 64));
            dirty[row * classes + place] = if sign { negative(nan) } else { nan };
            let t = tau([0.0, 0.07, 1.0, 1e30, f64::INFINITY][random.below(5)]);
            let calls: [OfRows<T>; 2] = [
                |rows, t| softmax_rows(rows, t).unwrap(),
                |rows, t| log_softmax_rows(rows, t).unwrap(),
            ];
            for call in calls {
                let want = call(Rows::new(&clean, classes).unwrap(), t);
                let got = call(Rows::new(&dirty, classes).unwrap(), t);
                for (i, (got, want)) in got.chunks(classes).zip(want.chunks(classes)).enumerate() {
                    if i == row {
                        assert!(got.iter().all(|p| p.widen().is_nan()), "{got:?}");
                    } else {
                        assert_eq!(bits(got), bits(want), "row {i}, NaN in row {row}");
                    }
                }
            }
        }
    }
}

fn negative<T: Number>(nan: T) -> T {
    T::from_bits(nan.bits() | 1 << (8 * std::mem::size_of::<T>() - 1))
}

#[test]
fn a_nan_poisons_its_row_alone() {
    nan_stays_in_its_row::<f32>();
    nan_stays_in_its_row::<f64>();
    #[cfg(feature = "half")]
    {
        nan_stays_in_its_row::<half::f16>();
        nan_stays_in_its_row::<half::bf16>();
    }
}

/// At small and at large τ the results run into those of the limits.
#[test]
fn the_limits_are_reached() {
    let row = [0.0, 1.0, 1.0, f64::NEG_INFINITY, -5.0];
    for t in [0.0, 5e-324, 1e-300, 1e-6] {
        assert_eq!(softmax(&row, tau(t)).unwrap(), [0.0, 0.5, 0.5, 0.0, 0.0], "{t}");
    }
    for t in [1e20, 1e300, f64::MAX, f64::INFINITY] {
        assert_eq!(softmax(&row, tau(t)).unwrap(), [0.25, 0.25, 0.25, 0.0, 0.25], "{t}");
    }
}

/// A row said many times over, so often that it is computed in parts.
fn repeated<T: Number>() {
    let times = 301;
    let mut random = Random::new(17);
    let row: Vec<T> = (0..997).map(|_| T::of(random.normal())).collect();
    let long = row.repeat(times);
    for t in [0.07, 1.0, 30.0] {
        let tau = tau(t);
        let wide: Vec<f64> = row.iter().map(|x| x.widen()).collect();
        let (p, log_p) = (softmax(&wide, tau).unwrap(), log_softmax(&wide, tau).unwrap());
        let (long_p, long_log_p) = (softmax(&long, tau).unwrap(), log_softmax(&long, tau).unwrap());
        for i in 0..long.len() {
            let (p, log_p) = (p[i % 997] / times as f64, log_p[i % 997] - (times as f64).ln());
            for (function, got, want) in
                [(Function::Softmax, long_p[i], p), (Function::LogSoftmax, long_log_p[i], log_p)]
            {
                // What is wanted is itself off by the bound, in f64.
                let off = (got.widen() - want).abs() / ulp::unit(T::FORMAT, Real::from(want.abs()));
                let bound = allowed::<T>(function) + allowed::<f64>(function) + 1.0;
                assert!(off <= bound, "{function:?} of {:?}, τ = {t}: {off} ULP", T::DTYPE);
            }
        }
        let log_z = log_sum_exp(&wide, tau).unwrap() + (times as f64).ln();
        let off = (log_sum_exp(&long, tau).unwrap().widen() - log_z).abs();
        assert!(off <= 8.0 * ulp::unit(T::FORMAT, Real::from(log_z)), "{:?}, τ = {t}", T::DTYPE);
    }
}

#[test]
fn a_row_said_many_times_over_shares_its_mass() {
    repeated::<f32>();
    repeated::<f64>();
}
