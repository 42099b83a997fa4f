//! Values, each from its definition.

use crate::curves::{NO_CHANCE, drawn, mean, near, off, score, small, total, value};
use crate::support::random::Random;
use crate::support::shared;
use softargmax::{
    Labels, Rows, Score, Step, Temperature, brier_parts, coverage_at_risk, isotonic,
    kolmogorov_smirnov, risk_coverage, scores, smooth_calibration_error,
};

fn confidences(scores: &[Score]) -> Vec<f64> {
    let mut all: Vec<f64> =
        scores.iter().filter(|score| score.weight > 0.0).map(|score| score.confidence).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

fn curve_at(steps: &[Step], p: f64) -> f64 {
    steps.iter().find(|step| step.lower <= p && p <= step.upper).expect("on a step").accuracy
}

/// f(p) = max over a ≤ p of min over b ≥ p of the accuracy of the rows from a to b.
#[test]
fn isotonic_is_the_min_max_formula() {
    let mut random = Random::new(1);
    for round in 0..2000 {
        let scores = small(&mut random, 1 + round % 15, &[1.0, 2.0, 0.5, 0.0]);
        let steps = isotonic(&scores);
        let all = confidences(&scores);
        let accuracy = |a: f64, b: f64| {
            let rows: Vec<Score> = (scores.iter().copied())
                .filter(|score| a <= score.confidence && score.confidence <= b)
                .collect();
            mean(&rows, |score| value(score.correct))
        };
        for &p in &all {
            let least = |&a: &f64| {
                let ends = all.iter().filter(|&&b| b >= p);
                ends.map(|&b| accuracy(a, b)).fold(f64::INFINITY, f64::min)
            };
            let want = all.iter().filter(|&&a| a <= p).map(least).fold(f64::NEG_INFINITY, f64::max);
            assert!(near(curve_at(&steps, p), want, 1e-15), "{p}: {steps:?} {want}");
        }
        assert!(steps.is_sorted_by(|a, b| a.upper < b.lower && a.accuracy < b.accuracy));
        let weight: f64 = steps.iter().map(|step| step.weight).sum();
        assert_eq!(weight, total(&scores));
    }
}

#[test]
fn brier_parts_are_differences_of_means() {
    let mut random = Random::new(2);
    for round in 0..2000 {
        let scores = match round % 2 {
            0 => small(&mut random, 1 + round % 30, &[1.0, 2.0, 0.5, 0.0]),
            _ => drawn(&mut random, 1 + round, -0.1),
        };
        if total(&scores) == 0.0 {
            continue;
        }
        let steps = isotonic(&scores);
        let square = |f: &dyn Fn(&Score) -> f64| {
            let rows: Vec<Score> =
                scores.iter().copied().filter(|score| score.weight > 0.0).collect();
            mean(&rows, |score| (f(score) - value(score.correct)).powi(2))
        };
        let accuracy = mean(&scores, |score| value(score.correct));
        let whole = square(&|score| score.confidence);
        let calibrated = square(&|score| curve_at(&steps, score.confidence));
        let constant = square(&|_| accuracy);
        let parts = brier_parts(&scores);
        assert!(near(parts.miscalibration, whole - calibrated, 1e-13), "{parts:?}");
        assert!(near(parts.discrimination, constant - calibrated, 1e-13), "{parts:?}");
        assert!(near(parts.uncertainty, constant, 1e-13), "{parts:?}");
        let sum = parts.miscalibration - parts.discrimination + parts.uncertainty;
        assert!(near(sum, whole, 1e-12), "{parts:?} {whole}");
        let least = parts.miscalibration.min(parts.discrimination).min(parts.uncertainty);
        assert!(least >= 0.0, "{parts:?}");
    }
}

/// The miscalibration of rows that are almost all certain is not what is left of a difference of means.
#[test]
fn small_brier_parts_keep_their_digits() {
    let mut scores = vec![score(1.0, true, 1.0); 999];
    let sure = Score { confidence: 1.0 - 1e-9, doubt: 1e-9, ..score(1.0, true, 1.0) };
    scores.push(sure);
    let parts = brier_parts(&scores);
    assert!(near(parts.miscalibration / 1e-21, 1.0, 1e-6), "{parts:?}");
    assert_eq!((parts.discrimination, parts.uncertainty), (0.0, 0.0));
}

/// Mean over all orders of `rows` of Σ_k w_k (E_k/N_k), after `before` = (N, E).
fn mean_area(rows: &mut [Score], k: usize, before: (f64, f64)) -> f64 {
    if k == rows.len() {
        return 0.0;
    }
    let mut sum = 0.0;
    for i in k..rows.len() {
        rows.swap(k, i);
        let Score { weight, correct, .. } = rows[k];
        let (n, e) = (before.0 + weight, before.1 + weight * value(!correct));
        sum += weight * e / n + mean_area(rows, k + 1, (n, e));
        rows.swap(k, i);
    }
    sum / (rows.len() - k) as f64
}

#[test]
fn areas_are_the_mean_over_the_orders_of_ties() {
    let mut random = Random::new(3);
    for round in 0..500 {
        let mut scores = small(&mut random, 1 + round % 9, &[1.0]);
        // Most confident first, each tie in all its orders.
        scores.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let (mut area, mut before) = (0.0, (0.0, 0.0));
        for tie in scores.clone().chunk_by_mut(|a, b| a.confidence == b.confidence) {
            area += mean_area(tie, 0, before);
            before.0 += total(tie);
            before.1 += tie.iter().map(|score| value(!score.correct)).sum::<f64>();
        }
        let n = scores.len() as f64;
        let curve = risk_coverage(&scores);
        assert!(near(curve.aurc, area / n, 1e-14), "{} {}", curve.aurc, area / n);
        assert!(near(curve.full_risk, before.1 / n, 1e-15));
        let wrong = before.1 as usize;
        let best: f64 = (1..=wrong).map(|k| k as f64 / (scores.len() - wrong + k) as f64).sum();
        assert!(near(curve.excess_aurc, (area - best) / n, 1e-14));
    }
}

#[test]
fn areas_of_weighted_rows_are_their_sums() {
    let mut random = Random::new(4);
    for _ in 0..200 {
        let mut scores = drawn(&mut random, 50, -0.2);
        scores.iter_mut().for_each(|score| score.weight = 0.1 + random.unit());
        let curve = risk_coverage(&scores);
        scores.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let (mut n, mut e, mut area) = (0.0, 0.0, 0.0);
        for &Score { weight, correct, .. } in &scores {
            n += weight;
            e += weight * value(!correct);
            area += weight * e / n;
        }
        assert!(near(curve.aurc, area / n, 1e-14));
        assert!(curve.excess_aurc > 0.0 && curve.excess_aurc < curve.aurc);
        // As likely as it is: the best order has nothing in excess, to the bit.
        for (i, score) in scores.iter_mut().enumerate() {
            score.correct = i < 30;
        }
        assert_eq!(risk_coverage(&scores).excess_aurc, 0.0);
    }
}

#[test]
fn the_risk_curve_is_thinned_and_goes_to_the_end() {
    let mut random = Random::new(5);
    for rows in [1, 2, 500, 512, 513, 20_000] {
        let scores = drawn(&mut random, rows, -0.05);
        let curve = risk_coverage(&scores);
        assert!(curve.points.len() <= 512 && curve.points.len() >= rows.min(500));
        for point in &curve.points {
            let answered: Vec<Score> = (scores.iter().copied())
                .filter(|score| score.confidence >= point.threshold)
                .collect();
            assert!(near(point.risk, mean(&answered, |score| value(!score.correct)), 1e-14));
            assert!(near(point.coverage, answered.len() as f64 / rows as f64, 1e-14));
            assert!(answered.iter().all(|score| score.doubt <= point.doubt));
        }
        let last = curve.points[curve.points.len() - 1];
        assert_eq!((last.coverage, last.risk), (1.0, curve.full_risk));
        assert!(curve.points.is_sorted_by(|a, b| a.coverage < b.coverage));
        // The largest coverage among all thresholds, not among the points.
        for target in [0.0, 0.05, 0.2, 1.0] {
            let best = scores.iter().filter_map(|threshold| {
                let answered: Vec<Score> = (scores.iter().copied())
                    .filter(|score| score.confidence >= threshold.confidence)
                    .collect();
                let risk = mean(&answered, |score| value(!score.correct));
                (risk <= target).then_some(answered.len() as f64 / rows as f64)
            });
            let got = coverage_at_risk(&scores, target).map(|point| point.coverage);
            if rows <= 513 {
                let best = best.reduce(f64::max);
                assert!(near(got.unwrap_or(-1.0), best.unwrap_or(-1.0), 1e-14), "{got:?} {best:?}");
            }
        }
    }
}

/// Confidences that are all 1 in f64 are told apart by what they leave over.
#[test]
fn doubt_ranks_what_confidence_cannot() {
    let sure = |doubt, correct| Score { doubt, ..score(1.0, correct, 1.0) };
    let scores = [sure(1e-30, true), sure(1e-18, false), sure(1e-40, true), sure(1e-20, true)];
    let curve = risk_coverage(&scores);
    assert_eq!(
        curve.points.iter().map(|p| p.doubt).collect::<Vec<_>>(),
        [1e-40, 1e-30, 1e-20, 1e-18]
    );
    assert_eq!(curve.excess_aurc, 0.0);
    assert_eq!(coverage_at_risk(&scores, 0.0).unwrap().coverage, 0.75);
    // Of equal doubt they are one step.
    let curve = risk_coverage(&[sure(0.0, true), sure(0.0, false)]);
    assert_eq!(curve.points.len(), 1);
    assert_eq!(curve.aurc, 0.5 * (0.5 * (0.0 + 1.0) + 0.5));
}

#[test]
fn kolmogorov_smirnov_is_the_largest_gap() {
    let mut random = Random::new(6);
    for round in 0..1000 {
        let scores = match round % 2 {
            0 => small(&mut random, 1 + round % 30, &[1.0, 2.0, 0.5, 0.0]),
            _ => drawn(&mut random, 1 + round % 100, 0.1),
        };
        let gap = |c: f64| {
            let below = scores.iter().filter(|score| score.confidence <= c);
            let sum: f64 = below.map(|s| s.weight * (value(s.correct) - s.confidence)).sum();
            (sum / total(&scores)).abs()
        };
        let want = confidences(&scores).into_iter().map(gap).fold(f64::NAN, f64::max);
        let got = kolmogorov_smirnov(&scores, &NO_CHANCE);
        assert!(near(got.value, want, 1e-14) || got.value.is_nan() && want.is_nan());
        assert!(got.null.mean.is_nan() && got.null.replicates == 0);
    }
}

/// The definition of smECE without a mesh for the rows: every row's kernel, at many t.
fn smooth_slowly(scores: &[Score]) -> f64 {
    let error = |sigma: f64| {
        let points = ((40.0 / sigma) as usize).clamp(200, 40_000);
        let mirrors = if sigma < 0.1 { 1 } else { 8 };
        let r = |t: f64| {
            let of_row = |score: &Score| {
                let images = (-mirrors..=mirrors).flat_map(|k: i32| {
                    let shift = f64::from(2 * k);
                    [shift + score.confidence, shift - score.confidence]
                });
                let kernel: f64 = images.map(|at| (-0.5 * ((t - at) / sigma).powi(2)).exp()).sum();
                score.weight * kernel * (value(score.correct) - score.confidence)
            };
            let scale = sigma * (2.0 * std::f64::consts::PI).sqrt() * total(scores);
            (scores.iter().map(of_row).sum::<f64>() / scale).abs()
        };
        // The middle of each cell.
        let at = |i: usize| (i as f64 + 0.5) / points as f64;
        (0..points).map(|i| r(at(i))).sum::<f64>() / points as f64
    };
    let (mut low, mut high) = (1e-6, 1.0);
    for _ in 0..24 {
        let middle: f64 = 0.5 * (low + high);
        if error(middle) > middle { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[test]
fn smooth_error_is_its_definition() {
    let mut random = Random::new(7);
    let mut worst: f64 = 0.0;
    for round in 0..40 {
        // Of any confidence, or close to 1 or to 0; some on the mirrors.
        let rows = 1 + random.below(30);
        let power = [1.0, 1.0, 8.0, 40.0][round % 4];
        let scores: Vec<Score> = (0..rows)
            .map(|_| {
                let doubt = random.unit().powf(power) * random.unit();
                let doubt = if random.below(4) == 0 { 0.0 } else { doubt };
                let confidence = if round % 3 == 0 { doubt } else { 1.0 - doubt };
                let correct = random.unit() < confidence;
                score(confidence, correct, [1.0, 3.0][random.below(2)])
            })
            .collect();
        let got = smooth_calibration_error(&scores, &NO_CHANCE).value;
        let want = smooth_slowly(&scores);
        let off = (got - want).abs();
        println!("{rows} rows: {got:.6} {want:.6} {:.1e}", off / want);
        assert!(off <= if want > 0.002 { 1e-3 * want } else { 1.0 / 4096.0 }, "{got} {want}");
        worst = worst.max(if want > 0.002 { off / want } else { 0.0 });
    }
    println!("worst {worst:.1e}");
    assert!(worst > 1e-8, "the slow way cannot be so near: is it the same code?");
}

/// Real logits, against NumPy (smECE by direct summation over rows at 60/σ points) and scikit-learn 1.9.1 (isotonic).
#[test]
fn real_logits_have_their_known_figures() {
    for (name, tau, smooth, ks, parts, aurc) in [
        (
            "cifar10-resnet20",
            1.0,
            0.0382855,
            0.038237180,
            [0.005355268, 0.019140433, 0.068524000],
            0.009205917,
        ),
        (
            "cifar10-resnet20",
            1.67013039,
            0.0098858,
            0.003125088,
            [0.000767923, 0.019162159, 0.068524000],
            0.009348128,
        ),
        (
            "cifar100-resnet20",
            1.44025011,
            0.0189877,
            0.008647549,
            [0.001627233, 0.065912765, 0.214543110],
            0.110980644,
        ),
    ] {
        let Some(set) = shared::set(name) else { return };
        let logits = Rows::new(&set.logits, set.classes).unwrap();
        let labels = Labels::new(&set.labels, set.classes).unwrap();
        let scores = scores(logits, labels, None, Temperature::new(tau).unwrap()).unwrap();
        let got = smooth_calibration_error(&scores, &NO_CHANCE).value;
        assert!(off(got, smooth) < 5e-5, "{got}");
        assert!(near(kolmogorov_smirnov(&scores, &NO_CHANCE).value, ks, 1e-9));
        let got = brier_parts(&scores);
        assert!(near(got.miscalibration, parts[0], 1e-9));
        assert!(near(got.discrimination, parts[1], 1e-9));
        assert!(near(got.uncertainty, parts[2], 1e-9));
        // NumPy takes rows of one confidence in the order of the file.
        assert!(near(risk_coverage(&scores).aurc, aurc, 2e-8));
    }
}
