//! The fitted temperature: against a plain f64 search, the published optima, its limits, and itself in other splits.

mod starts;
mod uncertainty;

use crate::support::number::on_every_isa;
use crate::support::random::Random;
use crate::support::shared::{self, Set};
use softargmax::{
    Error, Estimate, FitOptions, Labels, Outcome, Rows, Scan, Temperature, TemperatureFit, Truth,
    fit_temperature,
};

/// Folder, τ*, its standard error, NLL at τ = 1 and at τ*: from the README beside the logits. That of the last is
/// printed there as 1.08914299699; in 64-bit mantissas (NumPy's longdouble) it is 1.08914298699603.
const SETS: [(&str, f64, f64, f64, f64); 7] = [
    ("cifar10-resnet20", 1.67013039379, 0.025258, 0.281522136959, 0.232427463937),
    ("cifar100-resnet20", 1.44025010654, 0.011319, 1.225255335666, 1.122005312220),
    ("pathmnist-resnet50", 3.93269662251, 0.069545, 0.693861362508, 0.295200079654),
    ("agnews-gpt2", 1.35688750926, 0.023970, 1.128189707827, 1.104444649311),
    ("sst2-gpt2-4shot", 2.65306228760, 0.209860, 0.743952329039, 0.645586570239),
    ("cifar10-resnet50-focal-val", 1.06258412653, 0.021429, 0.162380699094, 0.161516980718),
    ("cifar10-resnet50-focal-test", 1.08914298700, 0.014895, 0.175509131818, 0.173682021012),
];

fn fit(logits: &[f64], classes: usize, labels: &[i64]) -> TemperatureFit {
    let rows = Rows::new(logits, classes).expect("rows");
    let labels = Labels::new(labels, classes).expect("labels");
    fit_temperature(rows, labels, &FitOptions::default()).expect("a fit")
}

fn converged(fit: &TemperatureFit) -> Estimate {
    assert_eq!(fit.outcome, Outcome::Converged);
    fit.estimate.expect("an estimate")
}

/// β* and Σ v by bisection on plain sums, with the standard library's exponential.
fn reference(set: &Set) -> (f64, f64) {
    let sums = |beta: f64| {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for (row, &label) in set.logits.chunks(set.classes).zip(&set.labels) {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weigh = |x: f64| ((x - max) * beta).exp();
            let total: f64 = row.iter().map(|&x| weigh(x)).sum();
            let mean = row.iter().map(|&x| weigh(x) * (x - max)).sum::<f64>() / total;
            let square = |x: f64| (x - max - mean) * (x - max - mean);
            curvature += row.iter().map(|&x| weigh(x) * square(x)).sum::<f64>() / total;
            slope += mean - (row[label as usize] - max);
        }
        (slope, curvature)
    };
    let mut beta = 1.0;
    for _ in 0..30 {
        let (slope, curvature) = sums(beta);
        beta = (beta - slope / curvature).clamp(beta / 2.0, beta * 2.0);
    }
    (beta, sums(beta).1)
}

#[test]
fn real_logits_give_their_optimum() {
    for (name, tau, std_error, before, after) in SETS {
        let Some(set) = shared::set(name) else { return };
        let fit = fit(&set.logits, set.classes, &set.labels);
        let found = converged(&fit);
        let got = found.temperature.tau();
        assert!((got / tau - 1.0).abs() < 1e-11, "{name}: {got}");
        assert!((found.std_error / std_error - 1.0).abs() < 5e-5, "{name}: {}", found.std_error);
        assert!((fit.nll_before - before).abs() < 1e-12, "{name}: {}", fit.nll_before);
        assert!((found.nll - after).abs() < 1e-12, "{name}: {}", found.nll);
        assert!(fit.passes <= 5, "{name}: {} passes", fit.passes);

        let (beta, curvature) = reference(&set);
        assert!((got * beta - 1.0).abs() < 1e-12, "{name}: {got} and {}", 1.0 / beta);
        let expected = got * got / curvature.sqrt();
        assert!((found.std_error / expected - 1.0).abs() < 1e-8, "{name}: {}", found.std_error);

        // The logits came as f32, all but one set: as such they give the same.
        if set.logits.iter().all(|&x| f64::from(x as f32) == x) {
            let narrow: Vec<f32> = set.logits.iter().map(|&x| x as f32).collect();
            let rows = Rows::new(&narrow, set.classes).expect("rows");
            let labels = Labels::new(&set.labels, set.classes).expect("labels");
            let fit = fit_temperature(rows, labels, &FitOptions::default()).expect("a fit");
            let narrow = converged(&fit).temperature.tau();
            assert!((narrow / got - 1.0).abs() < 1e-12, "{name}: {narrow} from f32");
        }
    }
}

#[test]
fn a_scan_alone_gives_nearly_the_same() {
    for (name, tau, std_error, before, after) in SETS {
        let Some(set) = shared::set(name) else { return };
        let rows = Rows::new(&set.logits, set.classes).expect("rows");
        let labels = Labels::new(&set.labels, set.classes).expect("labels");
        let near = Temperature::new(tau * 1.07).expect("a temperature");
        for (mut scan, bound) in [
            (Scan::over_octaves(set.classes, -4, 4), 2e-7),
            (Scan::around(set.classes, near), 1e-11),
        ] {
            scan.add(rows, labels, None).expect("rows");
            let fit = TemperatureFit::from_scan(&scan, None);
            let found = converged(&fit);
            let error = (found.temperature.tau() / tau - 1.0).abs();
            assert!(error < bound, "{name}: {error:e}");
            assert!(error < 10.0 * found.tolerance + 1e-11, "{name}: {error:e}, told {found:?}");
            assert!((found.std_error / std_error - 1.0).abs() < 5e-5, "{name}: {found:?}");
            assert!((found.nll - after).abs() < 1e-8, "{name}: {}", found.nll);
            if bound > 1e-8 {
                assert!((fit.nll_before - before).abs() < 1e-12, "{name}: {}", fit.nll_before);
            } else {
                // Not asked at τ = 1, nothing is said of it, unless it lies between.
                assert_eq!(fit.nll_before.is_nan(), found.p_value.is_nan(), "{name}");
            }
            let exact = converged(&self::fit(&set.logits, set.classes, &set.labels));
            let robust = found.robust_std_error / exact.robust_std_error - 1.0;
            assert!(robust.abs() < 0.01, "{name}: {robust:e}");
        }
    }
}

#[test]
fn a_scan_may_be_at_any_temperatures() {
    let rows = Rows::new(&[3.0, 2.0, -4.0, 1.0, 2.5, 0.0, 4.0, 1.0, 1.0], 3).expect("rows");
    let labels = Labels::new(&[1, 1, 0], 3).expect("labels");
    let tau = |fit: &TemperatureFit| converged(fit).temperature.tau();
    let expected =
        tau(&fit_temperature(rows, labels, &FitOptions::default()).expect("a temperature"));
    let of = |taus: &[f64]| {
        let taus: Vec<_> = taus.iter().map(|&t| Temperature::new(t).expect("one")).collect();
        let mut scan = Scan::new(3, &taus);
        scan.add(rows, labels, None).expect("sums");
        TemperatureFit::from_scan(&scan, None)
    };
    // In any order, repeated, with limits among them.
    let near = [1.1, 0.9, 1.1, 1.0, f64::INFINITY, 0.0, 1.2].map(|factor| factor * expected);
    assert!((tau(&of(&near)) / expected - 1.0).abs() < 1e-9);
    // Of two, the width of the stretch is what is told.
    let two = of(&[0.9 * expected, 1.1 * expected]);
    assert!((tau(&two) / expected - 1.0).abs() < converged(&two).tolerance);
    for none in [&[][..], &[expected], &[2.0 * expected, 3.0 * expected]] {
        assert_eq!(of(none).outcome, Outcome::OutOfRange);
    }
}

/// Seeded logits whose labels are drawn from their own softmax at `tau`.
struct Drawn {
    logits: Vec<f64>,
    labels: Vec<i64>,
}

fn drawn(random: &mut Random, rows: usize, classes: usize, tau: f64) -> Drawn {
    let logits: Vec<f64> = (0..rows * classes).map(|_| 2.0 * random.normal()).collect();
    let draw = |row: &[f64]| {
        let weights: Vec<f64> = row.iter().map(|x| (x / tau).exp()).collect();
        let mut left = random.unit() * weights.iter().sum::<f64>();
        let past = |w: &f64| {
            left -= w;
            left < 0.0
        };
        weights.iter().position(past).unwrap_or(classes - 1) as i64
    };
    let labels = logits.chunks(classes).map(draw).collect();
    Drawn { logits, labels }
}

#[test]
fn scale_and_shift() {
    let Drawn { logits, labels } = drawn(&mut Random::new(1), 2000, 7, 1.5);
    let tau = converged(&fit(&logits, 7, &labels)).temperature.tau();
    for scale in [1e6, 1e-6, 1e150, 1e-150, 1e300, 1e-300] {
        let scaled: Vec<f64> = logits.iter().map(|x| x * scale).collect();
        let fit = fit(&scaled, 7, &labels);
        let got = converged(&fit).temperature.tau();
        assert!((got / scale / tau - 1.0).abs() < 1e-12, "{scale:e}: {got:e}");
        assert!(fit.passes <= 6, "{scale:e}: {} passes", fit.passes);
    }
    // Powers of two change no bit.
    let doubled: Vec<f64> = logits.iter().map(|x| x * 1024.0).collect();
    let got = converged(&fit(&doubled, 7, &labels)).temperature.tau();
    assert!((got / 1024.0 / tau - 1.0).abs() < 1e-14, "{got}");
    // Shifted as far as the sums are exact: multiples of 2^-20.
    let coarse: Vec<f64> = logits.iter().map(|x| (x * 1048576.0).round() / 1048576.0).collect();
    let unshifted = converged(&fit(&coarse, 7, &labels)).temperature.tau();
    for shift in [1e4, -1e7] {
        let shifted: Vec<f64> = coarse.iter().map(|x| x + shift).collect();
        let got = converged(&fit(&shifted, 7, &labels)).temperature.tau();
        assert!((got / unshifted - 1.0).abs() < 1e-13, "{shift:e}: {got}");
    }
    // In f32 the shift rounds the logits by up to 5e-4, at random; τ moves by less than that.
    let narrow: Vec<f32> = logits.iter().map(|x| (x + 1e4) as f32).collect();
    let rounded: Vec<f64> = narrow.iter().map(|&x| f64::from(x)).collect();
    let labels_of = Labels::new(&labels, 7).expect("labels");
    let rows = Rows::new(&narrow, 7).expect("rows");
    let got = fit_temperature(rows, labels_of, &FitOptions::default()).expect("a fit");
    let got = converged(&got).temperature.tau();
    assert!((got / tau - 1.0).abs() < 5e-4, "{got}");
    let exact = converged(&fit(&rounded, 7, &labels)).temperature.tau();
    assert!((got / exact - 1.0).abs() < 1e-12, "{got} and {exact}");
}

#[test]
fn every_degenerate_input_has_its_name() {
    use Outcome::*;
    const NEVER: f64 = f64::NEG_INFINITY;
    type Case<'a> = (&'a str, &'a [f64], &'a [i64], Outcome);
    let cases: [Case; 13] = [
        ("separable", &[2.0, 1.0, 0.0, 3.0, 1.0, 5.0], &[0, 1, 1], Separable),
        ("separable with a tie", &[2.0, 1.0, 3.0, 3.0], &[0, 1], Separable),
        ("all labels wrong", &[2.0, 1.0, 0.0, 3.0], &[1, 0], NoSignal),
        ("no information", &[2.0, 1.0, 1.0, 2.0], &[0, 0], NoSignal),
        ("constant logits", &[5.0, 5.0, -1.0, -1.0], &[0, 1], ConstantLogits),
        ("constant beside a mask", &[5.0, NEVER, 1.0, 1.0], &[0, 1], ConstantLogits),
        ("one row, right", &[2.0, 1.0], &[0], Separable),
        ("one row, wrong", &[2.0, 1.0], &[1], NoSignal),
        ("a masked true logit", &[2.0, NEVER, 0.0, 1.0], &[1, 1], InfiniteNll),
        ("a masked other logit", &[2.0, NEVER, 0.0, 1.0], &[0, 1], Separable),
        ("no rows", &[], &[], NoRows),
        ("one sure mistake", &[1e300, 0.0, 0.0, 1e300, 1e300, 0.0], &[0, 1, 1], Converged),
        ("extremes", &[1e299, -1e299, -1e299, 1e299, 1e299, 9e298], &[0, 1, 1], Converged),
    ];
    for (what, logits, labels, outcome) in cases {
        let got = fit(logits, 2, labels);
        assert_eq!(got.outcome, outcome, "{what}: {got:?}");
        assert_eq!(got.estimate.is_some(), outcome == Converged, "{what}");
        // From a scan the names are the same, wherever it is.
        let mut scan = Scan::over_octaves(2, -3, 3);
        let rows = Rows::new(logits, 2).expect("rows");
        scan.add(rows, Labels::new(labels, 2).expect("labels"), None).expect("sums");
        let named = TemperatureFit::from_scan(&scan, None).outcome;
        let far = logits.iter().any(|&x| x.abs() > 1e10);
        assert_eq!(named, if far && outcome == Converged { OutOfRange } else { outcome }, "{what}");
    }
    // Three classes: one row can have a temperature, one class need not occur.
    assert_eq!(fit(&[3.0, 2.0, -4.0], 3, &[1]).outcome, Converged);
    let without_class_two = fit(&[3.0, 2.0, -4.0, 1.0, 2.5, 0.0, 4.0, 1.0, 1.0], 3, &[1, 1, 0]);
    assert_eq!(without_class_two.outcome, Converged);

    let infinite = fit(&[2.0, NEVER, 0.0, 1.0, NEVER, 0.0], 2, &[1, 1, 0]);
    assert_eq!((infinite.infinite, &infinite.infinite_rows[..]), (2, &[0, 2][..]));
    assert_eq!(infinite.nll_before, f64::INFINITY);
}

fn refused<'a>(logits: &'a [f64], truth: Truth<'a, f64>, weights: Option<&'a [f64]>) -> Error {
    let rows = Rows::new(logits, 2).expect("rows");
    let options = FitOptions { weights, prior: None };
    fit_temperature(rows, truth, &options).expect_err("refused")
}

#[test]
fn refusals_name_the_row() {
    const NAN: f64 = f64::NAN;
    let labels = [0, 1, 0];
    let sound = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    let labels = || Truth::Labels(Labels::new(&labels, 2).expect("labels"));
    let row = |error| match error {
        Error::Row { row, .. } | Error::Weight { row, .. } => row,
        other => panic!("{other:?}"),
    };
    assert_eq!(row(refused(&[1.0, 0.0, 0.0, 1.0, NAN, 1.0], labels(), None)), 2);
    assert_eq!(row(refused(&[1.0, 0.0, f64::INFINITY, 1.0, NAN, 1.0], labels(), None)), 1);
    let masked = [f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0, 1.0, 0.0, 1.0];
    assert_eq!(row(refused(&masked, labels(), None)), 0);
    for (bad, at) in [([1.0, -1.0, 1.0], 1), ([1.0, 1.0, NAN], 2), ([f64::INFINITY, 1.0, 1.0], 0)] {
        assert_eq!(row(refused(&sound, labels(), Some(&bad))), at);
    }
    for (bad, at) in [([1.0, 0.0, 0.5, 0.4, 0.0, 1.0], 1), ([1.5, -0.5, 0.5, 0.5, 0.0, 1.0], 0)] {
        let shares = Truth::Distributions(Rows::new(&bad, 2).expect("rows"));
        assert_eq!(row(refused(&sound, shares, None)), at);
    }
    let few = Labels::new(&[0, 1], 2).expect("labels");
    assert!(matches!(refused(&sound, few.into(), None), Error::Shape { expected: 3, got: 2, .. }));
    let others = Labels::new(&[0, 1, 2], 3).expect("labels");
    assert!(matches!(refused(&sound, others.into(), None), Error::Shape { .. }));
    assert!(matches!(refused(&sound, labels(), Some(&[1.0])), Error::Shape { .. }));
    assert_eq!(
        Labels::new(&[0, 7], 2).expect_err("refused"),
        Error::Label { row: 1, label: 7, classes: 2 }
    );
    // A later row's fault, found first by another thread, does not hide an earlier one's.
    let mut many = vec![1.0; 400_000];
    (many[7], many[399_999]) = (NAN, NAN);
    let labels = vec![0; 200_000];
    let labels = Labels::new(&labels, 2).expect("labels");
    assert_eq!(row(refused(&many, labels.into(), None)), 3);
}

#[test]
fn weights_are_repetitions_and_ignored_rows_are_absent() {
    let Drawn { logits, labels } = drawn(&mut Random::new(2), 300, 4, 2.0);
    let counts: Vec<usize> = (0..300).map(|i| [1, 0, 3][i % 3]).collect();
    let weights: Vec<f64> = counts.iter().map(|&n| n as f64).collect();
    let rows = Rows::new(&logits, 4).expect("rows");
    let options = FitOptions { weights: Some(&weights), prior: None };
    let weighted = fit_temperature(rows, Labels::new(&labels, 4).expect("labels"), &options);
    let weighted = weighted.expect("a fit");
    let (mut repeated, mut their_labels) = (Vec::new(), Vec::new());
    let mut marked = labels.clone();
    for (i, &count) in counts.iter().enumerate() {
        for _ in 0..count {
            repeated.extend_from_slice(&logits[i * 4..(i + 1) * 4]);
            their_labels.push(labels[i]);
        }
        if count == 0 {
            marked[i] = -100;
        }
    }
    let repeated = fit(&repeated, 4, &their_labels);
    let (a, b) = (converged(&weighted), converged(&repeated));
    assert!((a.temperature.tau() / b.temperature.tau() - 1.0).abs() < 1e-13);
    assert!((a.std_error / b.std_error - 1.0).abs() < 1e-12);
    assert!((a.nll / b.nll - 1.0).abs() < 1e-14);
    assert_eq!(weighted.rows, 200);
    // Weights are a design, so the interval is the robust one.
    let width = |e: &Estimate| (e.interval[1] / e.temperature.tau()).ln();
    assert!((width(&a) / (1.959964 * a.robust_std_error / a.temperature.tau()) - 1.0).abs() < 1e-6);
    assert!((width(&b) / (1.959964 * b.std_error / b.temperature.tau()) - 1.0).abs() < 1e-6);

    // Also where their sum is the number of rows.
    let uneven: Vec<f64> = (0..300).map(|i| [0.5, 1.5][i % 2]).collect();
    let options = FitOptions { weights: Some(&uneven), prior: None };
    let found = fit_temperature(rows, Labels::new(&labels, 4).expect("labels"), &options);
    let found = converged(&found.expect("a fit"));
    assert!(
        (width(&found) / (1.959964 * found.robust_std_error / found.temperature.tau()) - 1.0).abs()
            < 1e-6
    );

    let ones = vec![1.0; 300];
    let marked = Labels::with_ignored(&marked, 4, -100).expect("labels");
    let options = FitOptions { weights: Some(&ones), prior: None };
    let ignored = fit_temperature(rows, marked, &options).expect("a fit");
    let kept: Vec<usize> = (0..300).filter(|&i| counts[i] > 0).collect();
    let logits: Vec<f64> = kept.iter().flat_map(|&i| logits[i * 4..][..4].to_vec()).collect();
    let labels: Vec<i64> = kept.iter().map(|&i| labels[i]).collect();
    let absent = fit(&logits, 4, &labels);
    assert_eq!(ignored, absent);
}

#[test]
fn distributions_are_labels_where_they_are_sure() {
    let Drawn { logits, labels } = drawn(&mut Random::new(3), 200, 3, 1.3);
    let one_hot: Vec<f64> =
        labels.iter().flat_map(|&y| [0, 1, 2].map(|k| f64::from(u8::from(k == y)))).collect();
    let rows = Rows::new(&logits, 3).expect("rows");
    let shares = Rows::new(&one_hot, 3).expect("rows");
    let soft = fit_temperature(rows, shares, &FitOptions::default()).expect("a fit");
    assert_eq!(soft, fit(&logits, 3, &labels));
    // A teacher that is the model itself at τ = 2.5 is best met at 2.5.
    let tau = Temperature::new(2.5).expect("a temperature");
    let teacher = softargmax::softmax_rows(rows, tau).expect("probabilities");
    let teacher = Rows::new(&teacher, 3).expect("rows");
    let fit = fit_temperature(rows, teacher, &FitOptions::default()).expect("a fit");
    assert!((converged(&fit).temperature.tau() / 2.5 - 1.0).abs() < 1e-13);
}

#[test]
fn the_same_bits_however_the_rows_are_split() {
    let Drawn { logits, labels } = drawn(&mut Random::new(4), 40_000, 5, 1.7);
    let narrow: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
    let bounds = [0, 1, 17, 5_000, 5_001, 21_111, 39_990, 40_000];
    let shard = |scan: &mut Scan, from: usize, to: usize| {
        let rows = Rows::new(&narrow[from * 5..to * 5], 5).expect("rows");
        scan.add(rows, Labels::new(&labels[from..to], 5).expect("labels"), None).expect("sums");
    };
    let mut whole = Scan::over_octaves(5, -3, 3);
    shard(&mut whole, 0, 40_000);
    let expected = TemperatureFit::from_scan(&whole, None);
    for order in [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 2, 5, 1, 4]] {
        let mut merged = Scan::over_octaves(5, -3, 3);
        for i in order {
            let mut scan = Scan::over_octaves(5, -3, 3);
            shard(&mut scan, bounds[i], bounds[i + 1]);
            merged.merge(&scan).expect("alike");
        }
        assert_eq!(merged, whole);
        let fit = TemperatureFit::from_scan(&merged, None);
        let (got, expected) = (converged(&fit), converged(&expected));
        assert_eq!(got.temperature.tau().to_bits(), expected.temperature.tau().to_bits());
        assert_eq!(fit, self::TemperatureFit::from_scan(&whole, None));
    }
    let mut others = Scan::over_octaves(5, -3, 2);
    assert!(matches!(others.merge(&whole), Err(Error::Merge { .. })));
    assert!(matches!(Scan::over_octaves(4, -3, 3).merge(&whole), Err(Error::Merge { .. })));
    // Rows of infinite loss are named in the order of their numbers.
    let infinite = |logits: [f64; 4]| {
        let mut scan = Scan::new(2, &[]);
        let rows = Rows::new(&logits, 2).expect("rows");
        scan.add(rows, Labels::new(&[1, 1], 2).expect("labels"), None).expect("sums");
        scan
    };
    const NEVER: f64 = f64::NEG_INFINITY;
    let [second, first] = [[0.0, 1.0, 0.0, NEVER], [0.0, NEVER, 0.0, 1.0]].map(infinite);
    let [mut one, mut other] = [second.clone(), first.clone()];
    one.merge(&first).expect("alike");
    other.merge(&second).expect("alike");
    assert_eq!(one, other);
    assert_eq!(TemperatureFit::from_scan(&one, None).infinite_rows, [0, 1]);
    // A refused block leaves no trace.
    let before = others.clone();
    let bad = Rows::new(&[1.0, 2.0, 3.0, 4.0, f32::NAN], 5).expect("rows");
    others.add(bad, Labels::new(&[1], 5).expect("labels"), None).expect_err("refused");
    assert_eq!(others, before);
}

#[test]
fn the_same_bits_on_every_instruction_set_and_number_of_threads() {
    let Drawn { logits, labels } = drawn(&mut Random::new(5), 40_000, 5, 1.7);
    let narrow: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
    let labels = Labels::new(&labels, 5).expect("labels");
    let options = FitOptions::default();
    let both = || {
        let wide = fit_temperature(Rows::new(&logits, 5).expect("rows"), labels, &options);
        let narrow = fit_temperature(Rows::new(&narrow, 5).expect("rows"), labels, &options);
        (wide.expect("a fit"), narrow.expect("a fit"))
    };
    let expected = both();
    on_every_isa(|isa| assert_eq!(both(), expected, "{isa:?}"));
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        assert_eq!(pool.install(both), expected, "{threads} threads");
    }
}

#[cfg(feature = "half")]
#[test]
fn half_precision_is_its_own_numbers() {
    use half::{bf16, f16};
    let Drawn { logits, labels } = drawn(&mut Random::new(10), 1000, 6, 1.4);
    let labels_of = Labels::new(&labels, 6).expect("labels");
    let small: Vec<f16> = logits.iter().map(|&x| f16::from_f64(x)).collect();
    let brief: Vec<bf16> = logits.iter().map(|&x| bf16::from_f64(x)).collect();
    let rows = Rows::new(&small, 6).expect("rows");
    let small_fit = fit_temperature(rows, labels_of, &FitOptions::default()).expect("a fit");
    let wide: Vec<f64> = small.iter().map(|x| x.to_f64()).collect();
    let wide_fit = fit(&wide, 6, &labels);
    let tau = |fit: &TemperatureFit| converged(fit).temperature.tau();
    assert!((tau(&small_fit) / tau(&wide_fit) - 1.0).abs() < 1e-12);
    let rows = Rows::new(&brief, 6).expect("rows");
    let brief_fit = fit_temperature(rows, labels_of, &FitOptions::default()).expect("a fit");
    assert!((tau(&brief_fit) / tau(&wide_fit) - 1.0).abs() < 0.02);
}

/// Also where there are so many rows that a sample of them is taken first.
#[test]
fn too_few_labels_are_refused() {
    let logits = vec![0.5f32; 140_000];
    let (rows, labels) = (Rows::new(&logits, 2).unwrap(), Labels::new(&[0; 9], 2).unwrap());
    let refused = fit_temperature(rows, labels, &FitOptions::default());
    assert!(matches!(refused, Err(Error::Shape { .. })), "{refused:?}");
}
