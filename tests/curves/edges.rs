//! No rows, one confidence, certainty; and what must not show.

use crate::curves::bootstrap::pairs;
use crate::curves::{NO_CHANCE, drawn, near, score, small};
use crate::support::random::Random;
use softargmax::{
    Resampling, Score, Step, brier_parts, consistency_band, coverage_at_risk, isotonic,
    kolmogorov_smirnov, paired_bootstrap, risk_coverage, smooth_calibration_error,
};

#[test]
fn nothing_comes_of_nothing() {
    let mut odd = Vec::new();
    for (confidence, doubt, weight) in [
        (f64::NAN, 0.5, 1.0),
        (0.5, f64::NAN, 1.0),
        (1.5, -0.5, 1.0),
        (-0.1, 1.1, 1.0),
        (0.9, 0.5, 1.0),
        (0.5, 0.5, -1.0),
        (0.5, 0.5, f64::NAN),
        (0.5, 0.5, f64::INFINITY),
    ] {
        let one = Score { confidence, doubt, weight, ..score(0.5, true, 1.0) };
        odd.push(vec![score(0.5, true, 1.0), one]);
    }
    odd.push(Vec::new());
    odd.push(vec![score(0.5, true, 0.0); 3]);
    odd.push(vec![score(0.5, true, 1e308); 3]); // weights that add up to ∞
    let options = Resampling { replicates: 10, seed: 0 };
    for scores in &odd {
        assert_eq!(isotonic(scores), []);
        let parts = brier_parts(scores);
        assert!(parts.miscalibration.is_nan() && parts.discrimination.is_nan());
        assert!(parts.uncertainty.is_nan());
        for free in
            [kolmogorov_smirnov(scores, &options), smooth_calibration_error(scores, &options)]
        {
            assert!(free.value.is_nan() && free.null.mean.is_nan() && free.null.p_value.is_nan());
        }
        let curve = risk_coverage(scores);
        assert!(curve.points.is_empty() && curve.aurc.is_nan() && curve.excess_aurc.is_nan());
        assert!(curve.full_risk.is_nan());
        assert_eq!(coverage_at_risk(scores, 1.0), None);
        let band = consistency_band(scores, &[0.5], 0.9, &options);
        assert!(band.at == [0.5] && band.lower[0].is_nan() && band.upper[0].is_nan());
    }
}

#[test]
fn one_confidence_and_certainty() {
    let options = Resampling { replicates: 200, seed: 0 };
    for rows in [1, 2, 5000] {
        // Certain, and right.
        let scores = vec![score(1.0, true, 1.0); rows];
        let step = Step { lower: 1.0, upper: 1.0, accuracy: 1.0, weight: rows as f64 };
        assert_eq!(isotonic(&scores), [step]);
        let parts = brier_parts(&scores);
        assert_eq!([parts.miscalibration, parts.discrimination, parts.uncertainty], [0.0; 3]);
        for free in
            [kolmogorov_smirnov(&scores, &options), smooth_calibration_error(&scores, &options)]
        {
            assert_eq!((free.value, free.null.mean, free.null.p_value), (0.0, 0.0, 1.0));
        }
        let curve = risk_coverage(&scores);
        assert_eq!((curve.aurc, curve.excess_aurc, curve.full_risk), (0.0, 0.0, 0.0));
        assert_eq!(coverage_at_risk(&scores, 0.0).unwrap().coverage, 1.0);
        let band = consistency_band(&scores, &[1.0, 0.9], 0.9, &options);
        assert_eq!((band.lower[0], band.upper[0]), (1.0, 1.0));
        assert!(band.lower[1].is_nan() && band.upper[1].is_nan());

        // Certain, and wrong: no chance shows that.
        let scores = vec![score(1.0, false, 1.0); rows];
        for free in
            [kolmogorov_smirnov(&scores, &options), smooth_calibration_error(&scores, &options)]
        {
            assert_eq!((free.value, free.null.mean, free.null.p_value), (1.0, 0.0, 1.0 / 201.0));
        }
        let parts = brier_parts(&scores);
        let parts = [parts.miscalibration, parts.discrimination, parts.uncertainty];
        assert_eq!(parts, [1.0, 0.0, 0.0]);
        let curve = risk_coverage(&scores);
        assert_eq!((curve.aurc, curve.excess_aurc, curve.full_risk), (1.0, 0.0, 1.0));
        assert_eq!(coverage_at_risk(&scores, 0.99), None);

        // Confidence 0, which no arg max has, and right.
        let scores = vec![score(0.0, true, 1.0); rows];
        assert_eq!(kolmogorov_smirnov(&scores, &options).value, 1.0);
        assert!(near(smooth_calibration_error(&scores, &options).value, 1.0, 1e-12));

        // All of one confidence between, half of them right.
        let scores: Vec<Score> = (0..rows).map(|row| score(0.8, row % 2 == 0, 1.0)).collect();
        let accuracy = rows.div_ceil(2) as f64 / rows as f64;
        let gap = (0.8 - accuracy).abs();
        assert!(near(kolmogorov_smirnov(&scores, &options).value, gap, 1e-12));
        assert!(near(smooth_calibration_error(&scores, &options).value, gap, 1e-12));
        assert!(near(brier_parts(&scores).miscalibration, gap * gap, 1e-12));
        assert!(near(risk_coverage(&scores).aurc, 1.0 - accuracy, 1e-12));
    }
}

/// Every bit is the same in any order of the rows; only the bootstrap draws rows by their place.
#[test]
fn the_order_of_rows_does_not_show() {
    let mut random = Random::new(24);
    let options = Resampling { replicates: 50, seed: 4 };
    for rows in [50, 6000] {
        let mut scores = drawn(&mut random, rows, -0.05);
        scores.extend(small(&mut random, rows / 10, &[1.0, 0.3, 0.7]));
        let of = |scores: &[Score]| {
            let (curve, parts) = (risk_coverage(scores), brier_parts(scores));
            let free =
                [kolmogorov_smirnov(scores, &options), smooth_calibration_error(scores, &options)];
            let mut bits: Vec<u64> =
                [curve.aurc, curve.excess_aurc, parts.miscalibration, parts.discrimination]
                    .map(f64::to_bits)
                    .to_vec();
            bits.extend(
                free.iter().flat_map(|free| [free.value.to_bits(), free.null.mean.to_bits()]),
            );
            let band = consistency_band(scores, &[0.4, 0.8], 0.9, &options);
            bits.extend(band.lower.iter().chain(&band.upper).map(|bound| bound.to_bits()));
            bits.extend(isotonic(scores).iter().map(|step| step.accuracy.to_bits()));
            bits
        };
        let want = of(&scores);
        for _ in 0..3 {
            for i in (1..scores.len()).rev() {
                scores.swap(i, random.below(i + 1));
            }
            assert!(of(&scores) == want);
        }
    }
}

#[test]
fn weights_are_repetitions() {
    let mut random = Random::new(25);
    for _ in 0..100 {
        let scores = small(&mut random, 20, &[1.0, 2.0, 3.0]);
        let repeated: Vec<Score> = (scores.iter())
            .flat_map(|s| vec![Score { weight: 1.0, ..*s }; s.weight as usize])
            .collect();
        assert_eq!(isotonic(&scores), isotonic(&repeated));
        let ks = |scores: &[Score]| kolmogorov_smirnov(scores, &NO_CHANCE).value;
        let smooth = |scores: &[Score]| smooth_calibration_error(scores, &NO_CHANCE).value;
        assert!(near(ks(&scores), ks(&repeated), 1e-14));
        assert!(near(smooth(&scores), smooth(&repeated), 1e-8));
        let (a, b) = (brier_parts(&scores), brier_parts(&repeated));
        assert!(near(a.miscalibration, b.miscalibration, 1e-14));
        assert!(near(a.discrimination, b.discrimination, 1e-14));
    }
}

/// A factor in all weights changes nothing, as far as f64 goes.
#[test]
fn weights_are_relative() {
    let mut random = Random::new(27);
    let options = Resampling { replicates: 50, seed: 4 };
    let scores: Vec<Score> = (0..40_000)
        .map(|_| {
            let confidence = (1.0 + random.below(64) as f64) / 64.0; // ties: normal numbers
            score(confidence, random.unit() < confidence, 1.0)
        })
        .collect();
    let of = |factor: f64| {
        let scores: Vec<Score> = scores.iter().map(|s| Score { weight: factor, ..*s }).collect();
        let (curve, parts) = (risk_coverage(&scores), brier_parts(&scores));
        let free = [kolmogorov_smirnov, smooth_calibration_error].map(|of| of(&scores, &options));
        let band = consistency_band(&scores, &[0.5], 0.9, &options);
        let of = paired_bootstrap(&scores, &scores, 0.9, &options).unwrap();
        assert_eq!(of.nll.high, 0.0);
        let mut all = vec![curve.aurc, curve.excess_aurc, parts.miscalibration, band.lower[0]];
        all.extend(free.iter().flat_map(|free| [free.value, free.null.mean, free.null.p_value]));
        all
    };
    let want = of(1.0);
    for factor in [2f64.powi(-600), 2f64.powi(700), 3.7e-300, 1.1e290] {
        for (got, want) in of(factor).into_iter().zip(&want) {
            assert!(near(got, *want, 1e-9 * want), "{factor}: {got} {want}");
        }
    }
    let heavy = vec![score(0.5, true, 1e308); 3];
    let got = paired_bootstrap(&heavy, &heavy, 0.9, &options).unwrap();
    assert!(got.brier.value.is_nan() && got.brier.low.is_nan());
}

/// A changed draw is a change under Numerics.
#[test]
fn seeded_draws_are_pinned() {
    let mut random = Random::new(26);
    let (before, after) = pairs(&mut random, 6000);
    let options = Resampling { replicates: 100, seed: 7 };
    let band = consistency_band(&before, &[0.6], 0.9, &options);
    let got = [
        kolmogorov_smirnov(&before, &options).null.mean,
        smooth_calibration_error(&before, &options).null.mean,
        band.lower[0],
        paired_bootstrap(&before, &after, 0.9, &options).unwrap().ece.low,
    ];
    let want = [0.00680003024617805, 0.014815547021159654, 0.5555555555555556, -0.0863757407429003];
    assert_eq!(got, want);
}
