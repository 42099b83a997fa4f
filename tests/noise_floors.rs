//! What chance alone shows: the nulls of calibration errors against labels drawn one by one.

use crate::support::random::Random;
use crate::support::scores::{NO_CHANCE, calibrated, drawn, labels_of, score, tau};
use crate::support::shared;
use softargmax::{
    Binning, Labels, Resampling, Rows, Score, calibration_error, classwise_calibration_error,
    scores,
};

#[test]
fn noise_floors_of_real_sets() {
    for (name, rows, binning, mean) in [
        ("cifar10-resnet20", 200, Binning::EqualWidth(15), 0.040),
        ("cifar10-resnet20", 200, Binning::EqualMass(15), 0.030),
        ("cifar10-resnet20", 1000, Binning::EqualWidth(15), 0.017),
        ("cifar10-resnet20", 10_000, Binning::EqualWidth(15), 0.005),
        ("cifar10-resnet20", 10_000, Binning::EqualMass(15), 0.004),
        ("cifar100-resnet20", 200, Binning::EqualWidth(15), 0.075),
        ("cifar100-resnet20", 1000, Binning::EqualWidth(15), 0.035),
        ("cifar100-resnet20", 10_000, Binning::EqualWidth(15), 0.011),
    ] {
        let Some(set) = shared::set(name) else { continue };
        let logits = Rows::new(&set.logits[..rows * set.classes], set.classes).unwrap();
        let labels = Labels::new(&set.labels[..rows], set.classes).unwrap();
        // At the temperature that calibrates, near enough.
        let at = tau(if set.classes == 10 { 1.67 } else { 1.44 });
        let scores = scores(logits, labels, None, at).unwrap();
        let null = calibration_error(&scores, binning, &Resampling::default()).null;
        println!("{name}, {rows} rows, {binning:?}: {null:?}");
        // Figures of other subsets, to two digits.
        assert!((null.mean - mean).abs() < 0.0006 + 0.08 * mean, "{name} {rows}: {}", null.mean);
    }
}

/// The floor is that of the confidences, whatever the labels are: not one of labels drawn again.
#[test]
fn the_noise_floor_does_not_see_the_labels() {
    let mut random = Random::new(8);
    let scores: Vec<_> = (0..500).map(|_| score(0.5 + random.unit() / 2.0, true)).collect();
    let null_with = |correct: fn(usize) -> bool| {
        let told = scores.iter().enumerate();
        let scores: Vec<_> = told.map(|(i, s)| Score { correct: correct(i), ..*s }).collect();
        calibration_error(&scores, Binning::EqualWidth(15), &Resampling::default()).null
    };
    let (right, wrong, half) =
        (null_with(|_| true), null_with(|_| false), null_with(|i| i % 2 == 0));
    assert_eq!((right.mean, right.quantile_95), (wrong.mean, wrong.quantile_95));
    assert_eq!(right.mean, half.mean);
    // Every label is right: drawn from the labels, there would be no chance at all.
    assert!(right.mean > 0.02, "{right:?}");
    assert_eq!(wrong.p_value, 1.0 / 1001.0);
}

/// Mean and quantile of the null against labels drawn one by one, where the bins are drawn as normal numbers, and
/// where they are drawn by their surprises.
#[test]
fn the_noise_floor_is_that_of_labels_drawn_one_by_one() {
    for (rows, power, weighted) in [
        (2000, 0, false),
        (30, 1, false),
        (300, 1, true),
        (2000, 1, false),
        (2000, 12, true),
        (2000, 40, false),
    ] {
        let mut random = Random::new(rows);
        let scores: Vec<_> = (0..rows)
            .map(|_| {
                // The more power, the more confident.
                let doubt = 0.7 * random.unit().powi(power);
                let weight = if weighted { 1.0 + random.below(3) as f64 } else { 1.0 };
                Score { doubt, weight, ..score(1.0 - doubt, true) }
            })
            .collect();
        let options = Resampling { replicates: 2000, seed: 1 };
        let null = calibration_error(&scores, Binning::EqualWidth(15), &options).null;
        let mut direct: Vec<f64> = (0..2000)
            .map(|_| {
                let drawn = calibrated(&scores, &mut random);
                calibration_error(&drawn, Binning::EqualWidth(15), &NO_CHANCE).ece
            })
            .collect();
        direct.sort_by(f64::total_cmp);
        let mean = direct.iter().sum::<f64>() / 2000.0;
        let square = direct.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2000.0;
        let error = (2.0 * square / 2000.0).sqrt();
        println!(
            "{rows} {power}: {} and {mean}, {error}; {} and {}",
            null.mean, null.quantile_95, direct[1899]
        );
        assert!((null.mean - mean).abs() < 4.0 * error, "{} and {mean}", null.mean);
        // The standard error of a 95 % quantile of a bell is 2.1 times that of the mean.
        let quantiles = null.quantile_95 - direct[1899];
        assert!(quantiles.abs() < 4.0 * 2.1 * error, "{} and {}", null.quantile_95, direct[1899]);
    }
}

/// A calibrated model is found miscalibrated as often as the p-value says.
#[test]
fn p_values_of_a_calibrated_model_are_uniform() {
    let mut random = Random::new(12);
    let scores: Vec<_> =
        (0..400).map(|_| score(1.0 - 0.8 * random.unit() * random.unit(), true)).collect();
    for binning in [Binning::EqualWidth(15), Binning::EqualMass(10)] {
        let trials = 500;
        let mut below = [0; 4];
        for seed in 0..trials {
            let drawn = calibrated(&scores, &mut random);
            let options = Resampling { replicates: 199, seed };
            let p = calibration_error(&drawn, binning, &options).null.p_value;
            for (count, level) in below.iter_mut().zip([0.05, 0.25, 0.5, 0.9]) {
                *count += u32::from(p <= level);
            }
        }
        for (count, level) in below.iter().zip([0.05, 0.25, 0.5, 0.9f64]) {
            let expected = level * trials as f64;
            let deviation = (expected * (1.0 - level)).sqrt();
            let off = (f64::from(*count) - expected).abs();
            assert!(off < 4.0 * deviation, "{binning:?}: p ≤ {level} in {count} of {trials}");
        }
    }
}

/// The null against labels drawn one by one, and p-values that are uniform, also with two classes, whose gaps are
/// each other's opposite.
#[test]
fn the_classwise_floor_is_that_of_labels_drawn_one_by_one() {
    for (rows, classes) in [(50, 2), (300, 2), (200, 10)] {
        let (logits, _) = drawn(rows, classes, 21);
        let view = Rows::new(&logits, classes).unwrap();
        let mut random = Random::new(22);
        let mut below = [0.0; 2];
        let mut means = [0.0; 2];
        let mut square = 0.0;
        let trials = 600;
        for seed in 0..trials {
            let labels = labels_of(&logits, classes, &mut random);
            let labels = Labels::new(&labels, classes).unwrap();
            let options = Resampling { replicates: 199, seed };
            let got =
                classwise_calibration_error(view, labels, None, tau(1.0), 15, &options).unwrap();
            means[0] += got.ece / trials as f64;
            means[1] += got.null.mean / trials as f64;
            square += got.ece * got.ece / trials as f64;
            below[0] += f64::from(u8::from(got.null.p_value <= 0.1));
            below[1] += f64::from(u8::from(got.null.p_value <= 0.5));
            assert_eq!(got.null.replicates, 199);
        }
        let error = ((square - means[0] * means[0]) / trials as f64).sqrt();
        println!("{rows} x {classes}: {means:?} ± {error}, {below:?}");
        assert!((means[0] - means[1]).abs() < 4.0 * error);
        assert!((below[0] - 60.0).abs() < 4.0 * 7.4 && (below[1] - 300.0).abs() < 4.0 * 12.3);
    }
}

/// Many rows are drawn less often, and the answer says so.
#[test]
fn replicates_of_the_classwise_floor_are_bounded() {
    for (rows, want) in [(10_000, 1000), (20_000, 500), (200_000, 99)] {
        let (logits, labels) = drawn(rows, 2, 1);
        let labels = Labels::new(&labels, 2).unwrap();
        let logits = Rows::new(&logits, 2).unwrap();
        let chance = Resampling::default();
        let got = classwise_calibration_error(logits, labels, None, tau(1.0), 15, &chance).unwrap();
        assert_eq!(got.null.replicates, want);
    }
}

/// Nearly certain and always right: an error of 1e-13 that chance explains. It would be found significant if the
/// gap were the difference of two sums near 1.
#[test]
fn certain_rows_have_an_error_with_digits() {
    let rows: Vec<_> =
        (1..=500).map(|i| Score { doubt: f64::from(i) * 4e-16, ..score(1.0, true) }).collect();
    let got = calibration_error(&rows, Binning::EqualWidth(15), &Resampling::default());
    assert!((got.ece - 250.5 * 4e-16).abs() < 1e-27, "{}", got.ece);
    assert_eq!(got.null.p_value, 1.0);
    assert!((got.null.mean / got.ece - 1.0).abs() < 1e-9);
}
