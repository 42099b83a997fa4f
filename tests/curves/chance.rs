//! What labels drawn from the model show: nulls and bands.

use crate::curves::{NO_CHANCE, drawn, near, off, score};
use crate::support::random::Random;
use softargmax::{
    BinFree, Resampling, Score, consistency_band, isotonic, kolmogorov_smirnov,
    smooth_calibration_error,
};

#[test]
fn smooth_error_measures_a_shift() {
    let mut random = Random::new(8);
    let rows: Vec<(f64, f64)> =
        (0..20_000).map(|_| (0.3 + 0.5 * random.unit(), random.unit())).collect();
    let mut before = 0.0;
    for shift in [0.0, 0.02, 0.05, 0.1, 0.2] {
        let scores: Vec<Score> = (rows.iter())
            .map(|&(confidence, u)| score(confidence, u < confidence + shift, 1.0))
            .collect();
        let smooth = smooth_calibration_error(&scores, &Resampling { replicates: 200, seed: 1 });
        assert!(smooth.value > before, "{shift}: {smooth:?}");
        before = smooth.value;
        if shift == 0.0 {
            assert!(smooth.null.p_value > 0.05, "{smooth:?}");
            assert!(smooth.value < 2.0 * smooth.null.mean, "{smooth:?}");
        } else {
            // Three standard errors of the mean residual.
            assert!(near(smooth.value, shift, 3.0 * 0.5 / 20_000f64.sqrt()), "{shift}: {smooth:?}");
            assert!(smooth.null.p_value < 0.03, "{smooth:?}");
        }
    }
}

/// Means and 95 % quantiles of a value, over labels drawn row by row.
fn null_of(scores: &[Score], rounds: u32, of: impl Fn(&[Score]) -> f64) -> (f64, f64) {
    let mut random = Random::new(99);
    let mut values: Vec<f64> = (0..rounds)
        .map(|_| {
            let mut drawn = scores.to_vec();
            drawn.iter_mut().for_each(|s| s.correct = random.unit() < s.confidence);
            of(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    (values.iter().sum::<f64>() / f64::from(rounds), values[rounds as usize * 95 / 100])
}

/// Groups of rows, normal numbers and skips give what drawing every row gives: few rows and many, almost all certain
/// or of every confidence, in ties of 200, and with weights over four orders of magnitude.
#[test]
fn nulls_are_those_of_labels_drawn_row_by_row() {
    let mut random = Random::new(9);
    for (rows, certain, grid, spread, rounds) in [
        (300, 1.0, None, 0, 600),
        (40_000, 1.0, Some(256.0), 0, 200),
        (12_000, 12.0, None, 0, 400),
        (12_000, 1.0, None, 4, 400),
        (200_000, 1.0, None, 0, 100),
    ] {
        let scores: Vec<Score> = (0..rows)
            .map(|_| {
                let confidence = 1.0 - 0.8 * random.unit().powf(certain);
                let confidence = grid.map_or(confidence, |n: f64| (confidence * n).round() / n);
                let weight = 10f64.powf(f64::from(spread) * random.unit());
                score(confidence, true, weight)
            })
            .collect();
        let options = Resampling { replicates: 1000, seed: 5 };
        let check = |of: fn(&[Score], &Resampling) -> BinFree, relative_deviation: f64| {
            let null = of(&scores, &options).null;
            let (mean, quantile) = null_of(&scores, rounds, |s| of(s, &NO_CHANCE).value);
            println!("{rows} {certain} {spread}: {} {mean}", null.mean);
            println!("    95 %: {} {quantile}", null.quantile_95);
            // Four standard errors of the two simulations together; a quantile has twice that of the mean.
            let allowed = 4.0 * relative_deviation * (1.0 / f64::from(rounds) + 1e-3).sqrt();
            assert!(off(null.mean, mean) < allowed, "{} {mean}", null.mean);
            assert!(off(null.quantile_95, quantile) < 2.0 * allowed);
            assert_eq!(null.replicates, 1000);
        };
        check(kolmogorov_smirnov, 0.43);
        check(smooth_calibration_error, 0.22);
    }
}

/// Labels drawn from the model: p-values below 0.1 in a tenth of the cases.
#[test]
fn p_values_are_uniform_where_the_model_is_right() {
    let mut random = Random::new(10);
    let options = Resampling { replicates: 99, seed: 0 };
    let mut small = [0; 2];
    let rounds = 400;
    for _ in 0..rounds {
        let scores = drawn(&mut random, 150, 0.0);
        small[0] += usize::from(kolmogorov_smirnov(&scores, &options).null.p_value <= 0.1);
        small[1] += usize::from(smooth_calibration_error(&scores, &options).null.p_value <= 0.1);
    }
    for small in small {
        assert!((16..=64).contains(&small), "{small} of {rounds}"); // 40 ± 4 · 6
    }
}

/// The band holds the isotonic curve of labels drawn from the model about as often as it says.
#[test]
fn the_band_covers() {
    let mut random = Random::new(11);
    let at: Vec<f64> = (6..20).map(|k| f64::from(k) / 20.0).collect();
    for (rows, rounds) in [(300, 300), (6000, 100)] {
        let scores = drawn(&mut random, rows, 0.0);
        for level in [0.9, 0.5] {
            let options = Resampling { replicates: 999, seed: 3 };
            let band = consistency_band(&scores, &at, level, &options);
            let mut inside = 0;
            for _ in 0..rounds {
                let mut scores = scores.clone();
                scores.iter_mut().for_each(|s| s.correct = random.unit() < s.confidence);
                let steps = isotonic(&scores);
                for (i, &p) in at.iter().enumerate() {
                    let k = steps.partition_point(|step| step.upper < p);
                    let value = if steps[k].lower <= p {
                        steps[k].accuracy
                    } else {
                        let (a, b) = (steps[k - 1], steps[k]);
                        let part = (p - a.upper) / (b.lower - a.upper);
                        a.accuracy + part * (b.accuracy - a.accuracy)
                    };
                    inside += usize::from(band.lower[i] <= value && value <= band.upper[i]);
                }
            }
            let covered = inside as f64 / (rounds * at.len()) as f64;
            println!("{rows} rows: {covered} of {level}");
            // A curve of few rows has few values: some lie on a bound, inside by either.
            let allowed = if rows == 300 { -0.02..0.08 } else { -0.03..0.03 };
            assert!(allowed.contains(&(covered - level)), "{rows} rows: {covered} of {level}");
        }
    }
}

/// Rows in groups give the band of rows one by one: here from the isotonic curves of whole samples.
#[test]
fn the_band_of_many_rows_is_that_of_rows_one_by_one() {
    let mut random = Random::new(12);
    let scores = drawn(&mut random, 40_000, 0.0);
    let at = [0.27, 0.3, 0.5, 0.75, 0.9, 0.99, 0.997];
    let options = Resampling { replicates: 999, seed: 1 };
    let band = consistency_band(&scores, &at, 0.9, &options);
    let other = consistency_band(&scores, &at, 0.9, &Resampling { seed: 2, ..options });
    let mut curves: Vec<Vec<f64>> = vec![Vec::new(); at.len()];
    for _ in 0..599 {
        let mut scores = scores.clone();
        scores.iter_mut().for_each(|s| s.correct = random.unit() < s.confidence);
        let steps = isotonic(&scores);
        for (values, &p) in curves.iter_mut().zip(&at) {
            values.push(steps[steps.partition_point(|step| step.upper < p)].accuracy);
        }
    }
    for (i, values) in curves.iter_mut().enumerate() {
        values.sort_by(f64::total_cmp);
        let (low, high) = (values[29], values[569]);
        let width = high - low;
        println!(
            "{}: {} {low}, {} {high}; {} {}",
            at[i], band.lower[i], band.upper[i], other.lower[i], other.upper[i]
        );
        assert!(near(band.lower[i], low, 0.2 * width), "{}", at[i]);
        assert!(near(band.upper[i], high, 0.2 * width), "{}", at[i]);
        assert!(low < at[i] && at[i] < high);
    }
}

/// 100 rows at 0.4 and 100 at 0.8: halfway the curve is the mean of the two, whose deviation is 0.0316.
#[test]
fn between_confidences_the_band_is_that_of_a_line() {
    let scores = [vec![score(0.4, true, 1.0); 100], vec![score(0.8, true, 1.0); 100]].concat();
    let options = Resampling { replicates: 1999, seed: 1 };
    let band = consistency_band(&scores, &[0.6, 0.4, 0.3, 0.9], 0.9, &options);
    assert!(near(band.lower[0], 0.6 - 1.645 * 0.0316, 0.01), "{band:?}");
    assert!(near(band.upper[0], 0.6 + 1.645 * 0.0316, 0.01), "{band:?}");
    assert!(near(band.upper[1] - band.lower[1], 2.0 * 1.645 * 0.049, 0.02), "{band:?}");
    assert!(band.lower[2].is_nan() && band.upper[3].is_nan());
}
