//! Before against after.

use crate::curves::{NO_CHANCE, drawn, mean, near, off, score, total, value};
use crate::support::random::Random;
use softargmax::{Differences, Error, Interval, Resampling, Score, paired_bootstrap};

/// Rows before and after a change that lowers every confidence a little, and some decisions.
pub(crate) fn pairs(random: &mut Random, rows: usize) -> (Vec<Score>, Vec<Score>) {
    let before = drawn(random, rows, -0.1);
    let after = before.iter().map(|before| {
        let correct = before.correct || random.unit() < 0.05;
        score(before.confidence * (0.85 + 0.1 * random.unit()), correct, before.weight)
    });
    (before.clone(), after.collect())
}

fn all(differences: &Differences) -> [Interval; 4] {
    [differences.nll, differences.brier, differences.accuracy, differences.ece]
}

fn ece(scores: &[Score]) -> f64 {
    let mut gaps = [0.0; 15];
    for score in scores {
        let bin = (score.confidence * 15.0).ceil() as usize;
        gaps[bin.max(1) - 1] += score.weight * (score.confidence - value(score.correct));
    }
    gaps.iter().map(|gap| gap.abs()).sum::<f64>() / total(scores)
}

/// With rows by themselves and in groups; the interval of a mean is value ± 1.96 standard errors.
#[test]
fn bootstrap_of_a_mean_is_the_normal_interval() {
    let mut random = Random::new(20);
    for rows in [2000, 4096, 4097, 50_000] {
        let (mut before, mut after) = pairs(&mut random, rows);
        for weighted in [false, true] {
            for (before, after) in before.iter_mut().zip(&mut after) {
                before.weight = if weighted { 0.2 + random.unit() } else { 1.0 };
                after.weight = before.weight;
            }
            let options = Resampling { replicates: 4000, seed: 2 };
            let got = paired_bootstrap(&before, &after, 0.95, &options).unwrap();
            let of: [fn(&Score) -> f64; 3] = [|s| s.nll, |s| s.brier, |s| value(s.correct)];
            for (interval, of) in all(&got).into_iter().zip(of) {
                let want = mean(&after, of) - mean(&before, of);
                assert!(near(interval.value, want, 1e-13), "{interval:?} {want}");
                let squares = before.iter().zip(&after);
                let squares = squares.map(|(b, a)| (b.weight * (of(a) - of(b) - want)).powi(2));
                let width = 2.0 * 1.959964 * squares.sum::<f64>().sqrt() / total(&before);
                assert!(off(interval.high - interval.low, width) < 0.1, "{interval:?} {width}");
                assert!(near(interval.high + interval.low, 2.0 * want, 0.1 * width));
            }
            assert!(near(got.ece.value, ece(&after) - ece(&before), 1e-13));
            assert!(got.ece.low < got.ece.value && got.ece.value < got.ece.high);
        }
    }
}

/// The ECE is no mean: groups against a bootstrap of the single rows.
#[test]
fn bootstrap_of_groups_is_that_of_rows() {
    let mut random = Random::new(21);
    let (before, after) = pairs(&mut random, 12_000);
    let options = Resampling { replicates: 2000, seed: 3 };
    let got = paired_bootstrap(&before, &after, 0.9, &options).unwrap().ece;
    let mut values: Vec<f64> = (0..2000)
        .map(|_| {
            let rows: Vec<usize> = (0..before.len()).map(|_| random.below(before.len())).collect();
            let pick = |from: &[Score]| rows.iter().map(|&row| from[row]).collect::<Vec<_>>();
            ece(&pick(&after)) - ece(&pick(&before))
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[99], values[1899]);
    println!("{got:?} {low} {high}");
    let width = high - low;
    assert!(near(got.low, low, 0.1 * width) && near(got.high, high, 0.1 * width));
}

/// Of 300 samples, 95 % intervals hold the true difference in about 95 %.
#[test]
fn bootstrap_intervals_cover_the_true_difference() {
    let mut random = Random::new(22);
    let (before, after) = pairs(&mut random, 1_000_000);
    let truth = [|s: &Score| s.nll, |s: &Score| s.brier, |s: &Score| value(s.correct)]
        .map(|of| mean(&after, of) - mean(&before, of));
    let mut covered = [0; 3];
    for seed in 0..300 {
        let (before, after) = pairs(&mut random, 400);
        let options = Resampling { replicates: 499, seed };
        let got = paired_bootstrap(&before, &after, 0.95, &options).unwrap();
        for ((covered, interval), truth) in covered.iter_mut().zip(all(&got)).zip(truth) {
            *covered += usize::from(interval.low <= truth && truth <= interval.high);
        }
    }
    for covered in covered {
        assert!((271..=297).contains(&covered), "{covered} of 300"); // 285 ± 3.7 standard errors
    }
}

#[test]
fn bootstrap_of_infinite_losses_and_of_what_does_not_belong_together() {
    let mut random = Random::new(23);
    let (before, mut after) = pairs(&mut random, 100);
    let options = Resampling::default();
    let run = |before: &[Score], after: &[Score]| paired_bootstrap(before, after, 0.95, &options);
    let finite = run(&before, &after).unwrap();

    // One row in 100: in 63 % of the replicates.
    after[7].nll = f64::INFINITY;
    let got = run(&before, &after).unwrap();
    assert_eq!((got.nll.value, got.nll.high), (f64::INFINITY, f64::INFINITY));
    assert!(got.nll.low.is_finite());
    assert_eq!((got.brier, got.accuracy, got.ece), (finite.brier, finite.accuracy, finite.ece));
    let got = run(&after, &before).unwrap().nll;
    assert_eq!((got.value, got.low), (f64::NEG_INFINITY, f64::NEG_INFINITY));
    // The same row in both: there is no difference to speak of.
    let got = run(&after, &after).unwrap();
    assert!(got.nll.value.is_nan() && got.nll.low.is_nan() && got.nll.high.is_nan());
    assert_eq!((got.brier.low, got.brier.high), (0.0, 0.0));
    // Without weight it does not count.
    let mut weightless = before.clone();
    weightless[7].weight = 0.0;
    after[7].weight = 0.0;
    assert!(run(&weightless, &after).unwrap().nll.high.is_finite());

    let error = run(&before, &after).unwrap_err();
    assert!(matches!(error, Error::Row { row: 7, .. }), "{error}");
    let error = run(&before, &before[1..]).unwrap_err();
    assert_eq!(error, Error::Shape { what: "after", expected: 100, got: 99 });
    let mut odd = before.clone();
    odd[3].weight = f64::NAN;
    assert!(matches!(run(&odd, &odd), Err(Error::Row { row: 3, .. })));
    for level in [0.0, 1.0, -0.5, f64::NAN] {
        let got = paired_bootstrap(&before, &before, level, &options).unwrap().brier;
        assert!(got.value == 0.0 && got.low.is_nan() && got.high.is_nan(), "{level}");
    }
    for got in
        all(&run(&[], &[]).unwrap()).iter().chain(&all(&run(&after[7..8], &after[7..8]).unwrap()))
    {
        assert!(got.value.is_nan() && got.low.is_nan());
    }
    assert!(paired_bootstrap(&before, &before, 0.9, &NO_CHANCE).unwrap().ece.low.is_nan());
}
