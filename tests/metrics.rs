//! Scores, summaries and calibration errors: small cases by hand, real logits with known figures, and properties.

use crate::support::number::on_every_isa;
use crate::support::oracle;
use crate::support::random::Random;
use crate::support::real::Real;
use crate::support::scores::{NO_CHANCE, drawn, rows_of_all_kinds, score, tau};
use crate::support::shared;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use softargmax::{
    Binning, Labels, Resampling, Rows, Score, Temperature, calibration_error,
    classwise_calibration_error, scores, softmax_rows, summarise,
};

fn of_rows(rows: &[&[f64]], labels: &[i64], tau: Temperature) -> Vec<Score> {
    let classes = rows[0].len();
    let labels = Labels::new(labels, classes).unwrap();
    scores(Rows::new(&rows.concat(), classes).unwrap(), labels, None, tau).unwrap()
}

/// Relative distance in units of 2^-53.
fn off(got: f64, want: Real) -> f64 {
    if want.is_zero() {
        return got.abs();
    }
    ((Real::from(got) - want) / want).abs().to_f64() * 9007199254740992.0
}

#[test]
fn scores_against_the_oracle() {
    let mut random = Random::new(5);
    let mut worst = [0.0f64; 4];
    for classes in [1, 2, 3, 15, 16, 17, 100, 1000, 1025, 152_064] {
        for (spread, text) in [(1.0, "1"), (30.0, "1"), (3.0, "0.07"), (200.0, "1"), (1e4, "1000")]
        {
            for offset in [0.0, 1e4] {
                let row: Vec<f64> =
                    (0..classes).map(|_| random.normal() * spread + offset).collect();
                let oracle = oracle::row(&row, text);
                for label in [0, random.below(classes), oracle.stats.arg_max.unwrap()] {
                    let got = of_rows(&[&row], &[label as i64], text.parse().unwrap())[0];
                    let p = &oracle.softmax;
                    let brier = |k: usize| if k == label { Real::ONE - p[k] } else { p[k] };
                    let best = oracle.stats.arg_max.unwrap();
                    let others = || (0..classes).filter(|k| *k != best).map(|k| p[k]).sum::<Real>();
                    // 1 − p from the others where it is small.
                    let brier = (0..classes)
                        .map(|k| if k == label && k == best { others() } else { brier(k) })
                        .map(|x| x * x)
                        .sum::<Real>();
                    let wants = [-oracle.log_softmax[label], brier, p[best], others()];
                    let gots = [got.nll, got.brier, got.confidence, got.doubt];
                    for ((got, want), worst) in gots.iter().zip(wants).zip(&mut worst) {
                        // Where the oracle itself is subnormal there are no relative digits.
                        if want.is_zero() || want.exp > -1000 {
                            *worst = worst.max(off(*got, want));
                        }
                    }
                    assert_eq!(got.correct, label == best);
                }
            }
        }
    }
    println!("worst, in 2^-53: {worst:?}");
    assert!(worst.iter().all(|&worst| worst <= 8.0), "{worst:?}");
}

#[test]
fn special_rows() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let one = |row: &[f64], label: i64, tau| of_rows(&[row], &[label], tau)[0];
    let third = 1.0 / 3.0;
    let expected = |nll, brier, confidence, doubt, correct| Score {
        nll,
        brier,
        confidence,
        doubt,
        correct,
        weight: 1.0,
    };
    let ln = f64::ln;
    for (row, label, at, want) in [
        // One class: certain, and right.
        (&[7.0][..], 0, Temperature::ONE, expected(0.0, 0.0, 1.0, 0.0, true)),
        // The limits.
        (&[1.0, 3.0, 2.0], 1, Temperature::ZERO, expected(0.0, 0.0, 1.0, 0.0, true)),
        (&[1.0, 3.0, 2.0], 0, Temperature::ZERO, expected(inf, 2.0, 1.0, 0.0, false)),
        (&[3.0, 3.0, 2.0], 0, Temperature::ZERO, expected(ln(2.0), 0.5, 0.5, 0.5, true)),
        // Two maxima: the first is the prediction.
        (&[3.0, 3.0, 2.0], 1, Temperature::ZERO, expected(ln(2.0), 0.5, 0.5, 0.5, false)),
        (&[1.0, 3.0, 3.0], 0, Temperature::ZERO, expected(inf, 1.5, 0.5, 0.5, false)),
        (&[1.0, 3.0, -inf], 1, Temperature::INFINITE, expected(ln(2.0), 0.5, 0.5, 0.5, true)),
        (&[1.0, 3.0, -inf], 0, Temperature::INFINITE, expected(ln(2.0), 0.5, 0.5, 0.5, false)),
        (&[1.0, 3.0, -inf], 2, Temperature::INFINITE, expected(inf, 1.5, 0.5, 0.5, false)),
        // A mask as the label, and logits of +∞.
        (&[0.0, 0.0, -inf], 2, Temperature::ONE, expected(inf, 1.5, 0.5, 0.5, false)),
        (&[inf, 0.0, inf], 2, Temperature::ONE, expected(ln(2.0), 0.5, 0.5, 0.5, false)),
        (&[inf, 0.0, 1.0], 0, Temperature::ONE, expected(0.0, 0.0, 1.0, 0.0, true)),
        (&[inf, 0.0, 1.0], 1, Temperature::ONE, expected(inf, 2.0, 1.0, 0.0, false)),
        // Nothing overflows: these are 3 and −3 apart from their scale.
        (&[1.5e308, -1.5e308], 1, tau(1e308), expected(3.0486, 1.8148, 0.95257, 0.047426, false)),
        (&[1e-300, 0.0], 0, tau(1e-310), expected(0.0, 0.0, 1.0, 0.0, true)),
        (&[0.0, -800.0], 0, Temperature::ONE, expected(0.0, 0.0, 1.0, 0.0, true)),
        (&[0.0, -800.0], 1, Temperature::ONE, expected(800.0, 2.0, 1.0, 0.0, false)),
        (
            &[5.0, 5.0, 5.0],
            0,
            Temperature::ONE,
            expected(ln(3.0), 2.0 / 3.0, third, 1.0 - third, true),
        ),
    ] {
        let got = one(row, label, at);
        let near = |a: f64, b: f64| {
            a == b || (a - b).abs() <= if b.fract() == 0.0 { 0.0 } else { 1e-4 * b }
        };
        assert!(near(got.nll, want.nll), "{row:?} {label}: {got:?}");
        assert!(near(got.brier, want.brier), "{row:?} {label}: {got:?}");
        assert!(near(got.confidence, want.confidence), "{row:?} {label}: {got:?}");
        assert!(near(got.doubt, want.doubt), "{row:?} {label}: {got:?}");
        assert_eq!(got.correct, want.correct, "{row:?} {label}");
    }
    // Far beyond what 1 − p in f64 can tell.
    let got = one(&[0.0, -80.0], 0, Temperature::ONE);
    assert_eq!((got.confidence, got.doubt, got.nll), (1.0, got.nll, 1.8048513878454153e-35));
    assert_eq!(got.brier, 2.0 * got.doubt * got.doubt);

    let refused = |row: &[f64], at| {
        let rows = [&[0.0; 3], row].concat();
        let labels = Labels::new(&[0, 1], 3).unwrap();
        scores(Rows::new(&rows, 3).unwrap(), labels, None, at).unwrap_err().to_string()
    };
    for at in [Temperature::ONE, Temperature::ZERO, Temperature::INFINITE] {
        assert_eq!(refused(&[1.0, nan, 0.0], at), "row 1: it holds a NaN");
        let masked = "row 1: every entry is -inf: it has no distribution";
        assert_eq!(refused(&[-inf; 3], at), masked);
    }
}

#[test]
fn scores_have_the_same_bits_everywhere() {
    let mut random = Random::new(6);
    for (rows, classes) in [(20_000, 10), (150, 1000)] {
        let logits: Vec<f32> = (0..rows * classes).map(|_| 9.0 * random.normal() as f32).collect();
        let labels: Vec<i64> = (0..rows).map(|_| random.below(classes) as i64).collect();
        let labels = Labels::new(&labels, classes).unwrap();
        let view = Rows::new(&logits, classes).unwrap();
        let want = scores(view, labels, None, tau(0.7)).unwrap();
        let wide: Vec<f64> = logits.iter().map(|&x| x.into()).collect();
        let of_f64 = scores(Rows::new(&wide, classes).unwrap(), labels, None, tau(0.7)).unwrap();
        assert!(want == of_f64);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| scores(view, labels, None, tau(0.7)).unwrap()) == want);
        }
        on_every_isa(|isa| {
            assert!(scores(view, labels, None, tau(0.7)).unwrap() == want, "{isa:?}");
        });
    }
}

#[test]
fn rows_that_do_not_count_are_not_looked_at() {
    let logits = [f64::NAN, 0.0, 1.0, 0.0, 0.0, 1.0, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let rows = Rows::new(&logits, 2).unwrap();
    let labels = Labels::with_ignored(&[-100, 0, 0, 1], 2, -100).unwrap();
    let got = scores(rows, labels, Some(&[1.0, 2.0, 0.5, 0.0]), Temperature::ONE).unwrap();
    let told: Vec<_> = got.iter().map(|score| (score.correct, score.weight)).collect();
    assert_eq!(told, [(true, 2.0), (false, 0.5)]);

    let refused = |labels: Labels<'_>, weights: Option<&[f64]>| {
        scores(rows, labels, weights, Temperature::ONE).unwrap_err().to_string()
    };
    assert_eq!(refused(Labels::new(&[0; 3], 2).unwrap(), None), "labels has length 3, expected 4");
    assert_eq!(
        refused(Labels::new(&[0; 4], 3).unwrap(), None),
        "classes of the labels has length 3, expected 2"
    );
    assert_eq!(refused(labels, Some(&[1.0; 5])), "weights has length 5, expected 4");
    for bad in [f64::NAN, -1.0, f64::INFINITY] {
        let text = refused(labels, Some(&[1.0, 1.0, bad, 1.0]));
        assert!(text.starts_with(&format!("row 2: weight {bad} is not allowed")), "{text}");
    }
    assert!(scores(rows, labels, None, &[Temperature::ONE; 3][..]).is_err());
    assert_eq!(
        scores(
            Rows::<f32>::new(&[], 2).unwrap(),
            Labels::new(&[], 2).unwrap(),
            None,
            Temperature::ONE
        ),
        Ok(vec![])
    );
}

#[test]
fn a_summary_by_hand() {
    let rows = [score(0.9, true), score(0.6, false), score(0.6, true), score(0.5, false)];
    let got = summarise(&rows);
    assert_eq!(
        (got.rows, got.weight, got.accuracy.value, got.confidence.value),
        (4, 4.0, 0.5, 0.65)
    );
    // s² = 4 · ¼ / 3, SE = s/2.
    assert!((got.accuracy.std_error - (1.0f64 / 12.0).sqrt()).abs() < 1e-16);
    assert!((got.overconfidence.value - 0.15).abs() < 1e-16);
    let gaps = [-0.1, 0.6, -0.4, 0.5f64];
    let square: f64 = gaps.iter().map(|x| (x - 0.15) * (x - 0.15)).sum();
    assert!((got.overconfidence.std_error - (square / 12.0).sqrt()).abs() < 1e-15);

    // Weights: Σ w² (x − x̄)²/(1 − Σ w²/(Σ w)²) of 1, 0, 0 with weights 2, 1, 1, over Σ w.
    let weighted = [2.0, 1.0, 1.0].map(|weight| Score { weight, ..score(0.7, weight == 2.0) });
    let got = summarise(&weighted);
    assert_eq!((got.weight, got.accuracy.value), (4.0, 0.5));
    assert!((got.accuracy.std_error - (1.5f64 / (1.0 - 6.0 / 16.0)).sqrt() / 4.0).abs() < 1e-16);

    let none = summarise(&[]);
    assert_eq!((none.rows, none.weight), (0, 0.0));
    assert!(none.nll.value.is_nan() && none.nll.std_error.is_nan() && none.accuracy.value.is_nan());
    let one = summarise(&[score(1.0, true)]);
    assert_eq!((one.accuracy.value, one.overconfidence.value), (1.0, 0.0));
    assert!(one.accuracy.std_error.is_nan());
    let alike = summarise(&[score(0.7, true); 3]);
    assert_eq!(
        (alike.accuracy.value, alike.accuracy.std_error, alike.confidence.std_error),
        (1.0, 0.0, 0.0)
    );
    let infinite = summarise(&[Score { nll: f64::INFINITY, ..score(0.7, true) }, score(0.7, true)]);
    assert!(infinite.nll.value == f64::INFINITY && infinite.nll.std_error.is_nan());
    let tiny =
        summarise(&[true, false].map(|correct| Score { weight: 1e-200, ..score(0.7, correct) }));
    assert!(tiny.accuracy.value == 0.5 && tiny.accuracy.std_error.is_nan());
}

#[test]
fn calibration_error_by_hand() {
    // Four bins (0, .25] (.25, .5] (.5, .75] (.75, 1]: edges below, 0 and 1 inside, one bin empty.
    let rows = [
        score(0.0, false),
        score(0.25, true),
        score(0.5, false),
        score(0.5000000000000001, true),
        score(1.0, true),
        score(1.0, false),
    ];
    let got = calibration_error(&rows, Binning::EqualWidth(4), &NO_CHANCE);
    let told: Vec<_> =
        got.bins.iter().map(|b| (b.lower, b.upper, b.rows, b.confidence, b.accuracy)).collect();
    assert_eq!(
        told,
        [
            (0.0, 0.25, 2, 0.125, 0.5),
            (0.25, 0.5, 1, 0.5, 0.0),
            (0.5, 0.75, 1, 0.5000000000000001, 1.0),
            (0.75, 1.0, 2, 1.0, 0.5),
        ]
    );
    assert!((got.ece - (0.75 + 0.5 + 0.5 + 1.0) / 6.0).abs() < 1e-16);
    assert_eq!(got.max, 0.5);
    // Bins of one row add nothing; of the others gap² − a (1 − a)/(2 − 1) is below 0.
    assert_eq!(got.debiased, 0.0);
    assert!(got.null.mean.is_nan() && got.null.p_value.is_nan() && got.null.replicates == 0);

    // Five rows of 0.9, one right: 5/5 (0.7² − 0.16/4).
    let rows: Vec<_> = (0..5).map(|i| score(0.9, i == 0)).collect();
    let got = calibration_error(&rows, Binning::EqualWidth(15), &NO_CHANCE);
    assert!((got.debiased - 0.45f64.sqrt()).abs() < 1e-15 && (got.ece - 0.7).abs() < 1e-15);

    // Equal mass, two bins: the four ties stay together, with their middle in the second half.
    let mut rows: Vec<_> = (0..4).map(|i| score(0.8, i > 0)).collect();
    rows.extend([score(0.3, true), score(0.4, false), score(0.9, true)]);
    let got = calibration_error(&rows, Binning::EqualMass(2), &NO_CHANCE);
    let told: Vec<_> = got.bins.iter().map(|b| (b.lower, b.upper, b.rows)).collect();
    assert_eq!(told, [(0.3, 0.4, 2), (0.8, 0.9, 5)]);
    let distinct: Vec<_> = (0..100).map(|i| score(f64::from(i) / 100.0, true)).collect();
    let got = calibration_error(&distinct, Binning::EqualMass(7), &NO_CHANCE);
    let rows: Vec<_> = got.bins.iter().map(|bin| bin.rows).collect();
    assert_eq!(rows, [14, 15, 14, 14, 14, 15, 14]);

    for binning in [Binning::EqualWidth(15), Binning::EqualMass(15)] {
        let none = calibration_error(&[], binning, &Resampling::default());
        assert!(none.ece.is_nan() && none.max.is_nan() && none.debiased.is_nan());
        assert!(none.bins.is_empty() && none.null.mean.is_nan());
        let one = calibration_error(&[score(1.0, true)], binning, &Resampling::default());
        assert_eq!((one.ece, one.max, one.debiased), (0.0, 0.0, 0.0));
        assert_eq!((one.null.mean, one.null.quantile_95, one.null.p_value), (0.0, 0.0, 1.0));
    }
    for binning in [Binning::EqualWidth(0), Binning::EqualMass(0)] {
        let got = calibration_error(&rows_of_all_kinds(), binning, &Resampling::default());
        assert!(got.ece.is_nan() && got.debiased.is_nan() && got.null.p_value.is_nan());
    }
    for binning in [Binning::EqualWidth(usize::MAX), Binning::EqualMass(usize::MAX)] {
        let got = calibration_error(&rows_of_all_kinds(), binning, &Resampling::default());
        assert!(got.bins.len() <= 1000 && got.ece > 0.0);
    }
}

#[test]
fn edges_are_on_the_right_side_for_any_number_of_bins() {
    for bins in [1usize, 2, 3, 7, 10, 15, 49, 100, 1000] {
        for j in 1..=bins {
            let edge = j as f64 / bins as f64;
            let bin_of = |confidence: f64| {
                let got = calibration_error(
                    &[score(confidence, true)],
                    Binning::EqualWidth(bins),
                    &NO_CHANCE,
                );
                (got.bins[0].lower, got.bins[0].upper)
            };
            assert_eq!(bin_of(edge).1, edge, "{j}/{bins}");
            if j < bins {
                assert_eq!(bin_of(edge.next_up()).0, edge, "{j}/{bins}");
            }
        }
    }
}

#[test]
fn real_logits_have_their_known_figures() {
    for (name, at, nll, accuracy, ece, digit) in [
        ("cifar10-resnet20", "1", 0.281522136959, 0.9260, 0.03896, 1e-5),
        ("cifar10-resnet20", "1.67013039379", 0.232427463937, 0.9260, 0.00842, 1e-5),
        ("cifar100-resnet20", "1", 1.225255335666, 0.6883, 0.10339, 1e-5),
        ("cifar100-resnet20", "1.44025010654", 1.122005312220, 0.6883, 0.01680, 1e-5),
        ("pathmnist-resnet50", "1", 0.693861362508, 0.9075, 0.07166, 1e-5),
        ("agnews-gpt2", "1", 1.128189707827, 0.4153, 0.18439, 1e-5),
        ("sst2-gpt2-4shot", "1", 0.743952329039, 0.5030, 0.344, 1e-3),
        ("cifar10-resnet50-focal-val", "1", 0.162380699094, 0.9508, 0.01399, 1e-5),
        ("cifar10-resnet50-focal-test", "1", 0.175509131818, 0.9502, 0.015516, 1e-6),
        ("cifar10-resnet50-focal-test", "1.1", f64::NAN, 0.9502, 0.009528, 1e-6),
    ] {
        let Some(set) = shared::set(name) else { continue };
        let rows = Rows::new(&set.logits, set.classes).unwrap();
        let labels = Labels::new(&set.labels, set.classes).unwrap();
        let scores = scores(rows, labels, None, at.parse::<Temperature>().unwrap()).unwrap();
        let summary = summarise(&scores);
        let error = calibration_error(&scores, Binning::EqualWidth(15), &NO_CHANCE);
        println!("{name} at {at}: {} {} {}", summary.nll.value, summary.accuracy.value, error.ece);
        let off = (summary.nll.value - nll).abs();
        assert!(off < 6e-13 || nll.is_nan(), "{name}: NLL {}", summary.nll.value);
        assert!((summary.accuracy.value - accuracy).abs() <= 5e-5, "{name}");
        assert!((error.ece - ece).abs() <= digit / 2.0, "{name} at {at}: ECE {}", error.ece);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(4),
        ..Default::default()
    })]

    /// A weight of 3 is three rows, in everything that is no standard error.
    #[test]
    fn weights_are_repetitions(rows in vec((0u32..=20, any::<bool>(), 0usize..4), 1..40), bins in 1usize..20) {
        // Few values: ties, edges, 0 and 1.
        let scores: Vec<_> = rows
            .iter()
            .map(|&(c, correct, _)| Score { nll: f64::from(c), ..score(f64::from(c) / 20.0, correct) })
            .collect();
        let weighted: Vec<_> = scores
            .iter()
            .zip(&rows)
            .filter(|(_, row)| row.2 > 0)
            .map(|(score, row)| Score { weight: row.2 as f64, ..*score })
            .collect();
        let repeated: Vec<_> =
            scores.iter().zip(&rows).flat_map(|(score, row)| vec![*score; row.2]).collect();
        let (a, b) = (summarise(&weighted), summarise(&repeated));
        for (a, b) in [(a.nll, b.nll), (a.accuracy, b.accuracy), (a.overconfidence, b.overconfidence)] {
            prop_assert!(a.value == b.value || (a.value - b.value).abs() < 1e-15 || weighted.is_empty());
        }
        for binning in [Binning::EqualWidth(bins), Binning::EqualMass(bins)] {
            let a = calibration_error(&weighted, binning, &NO_CHANCE);
            let b = calibration_error(&repeated, binning, &NO_CHANCE);
            prop_assert!((a.ece - b.ece).abs() < 1e-15 || weighted.is_empty());
            prop_assert!((a.max - b.max).abs() < 1e-15 || weighted.is_empty());
            prop_assert_eq!(a.bins.len(), b.bins.len());
            for (a, b) in a.bins.iter().zip(&b.bins) {
                prop_assert_eq!((a.lower, a.upper, a.weight), (b.lower, b.upper, b.weight));
            }
        }
    }

    /// The order of the rows is nowhere to be seen, to the bit.
    #[test]
    fn order_does_not_matter(rows in vec((0.0..1.0f64, any::<bool>(), 0.1..2.0f64), 2..60), turn in 0usize..60) {
        let mut scores: Vec<_> = rows
            .iter()
            .map(|&(c, correct, weight)| {
                // Some on a grid: ties.
                let c = if weight > 1.0 { (c * 8.0).round() / 8.0 } else { c };
                Score { nll: -c.ln(), brier: c, weight, ..score(c, correct) }
            })
            .collect();
        let answers = |scores: &[Score]| {
            let options = Resampling { replicates: 10, seed: 2 };
            let by = |binning| format!("{:?}", calibration_error(scores, binning, &options));
            let widths = by(Binning::EqualWidth(15));
            format!("{:?}{widths}{}", summarise(scores), by(Binning::EqualMass(5)))
        };
        let before = answers(&scores);
        let turn = turn % scores.len();
        scores.rotate_left(turn);
        scores.swap(0, turn);
        prop_assert_eq!(before, answers(&scores));
    }
}

/// Classwise error by its definition, slowly.
fn classwise(set: &[(Vec<f64>, usize)], bins: usize) -> Vec<f64> {
    let classes = set[0].0.len();
    let of_class = |k: usize| {
        let gap = |b: usize| {
            let (low, high) = (b as f64 / bins as f64, (b + 1) as f64 / bins as f64);
            set.iter()
                .filter(|(p, _)| p[k] <= high && (p[k] > low || b == 0))
                .map(|(p, label)| p[k] - f64::from(u8::from(*label == k)))
                .sum::<f64>()
                .abs()
        };
        (0..bins).map(gap).sum::<f64>() / set.len() as f64
    };
    (0..classes).map(of_class).collect()
}

#[test]
fn classwise_error_is_its_definition() {
    for (rows, classes, bins) in [(1, 1, 1), (7, 3, 4), (500, 5, 15), (200, 40, 10)] {
        let (logits, labels) = drawn(rows, classes, 9);
        let view = Rows::new(&logits, classes).unwrap();
        let p = softmax_rows(view, tau(0.5)).unwrap();
        let rows_of = p.chunks(classes).map(<[f64]>::to_vec);
        let set: Vec<_> = rows_of.zip(labels.iter().map(|&label| label as usize)).collect();
        let want = classwise(&set, bins);
        let view_of_labels = Labels::new(&labels, classes).unwrap();
        let got =
            classwise_calibration_error(view, view_of_labels, None, tau(0.5), bins, &NO_CHANCE);
        let got = got.unwrap();
        assert!(got.per_class.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-14));
        let mean = want.iter().sum::<f64>() / classes as f64;
        assert!((got.ece - mean).abs() < 1e-14 && got.null.mean.is_nan());
        // Weights of 2, and rows that do not count, change nothing.
        let twice: Vec<f64> = logits.iter().chain(&logits).copied().collect();
        let labels_twice: Vec<i64> =
            labels.iter().copied().chain(labels.iter().map(|_| -1)).collect();
        let ignoring = Labels::with_ignored(&labels_twice, classes, -1).unwrap();
        let rows = Rows::new(&twice, classes).unwrap();
        let weights = vec![2.0; labels_twice.len()];
        let doubled =
            classwise_calibration_error(rows, ignoring, Some(&weights), tau(0.5), bins, &NO_CHANCE);
        let doubled = doubled.unwrap();
        assert!(doubled.per_class.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-14));
    }
}

#[test]
fn classwise_edges() {
    let call = |logits: &[f64], labels: &[i64], bins| {
        let labels = Labels::new(labels, 2).unwrap();
        let chance = Resampling::default();
        classwise_calibration_error(
            Rows::new(logits, 2).unwrap(),
            labels,
            None,
            tau(1.0),
            bins,
            &chance,
        )
    };
    let none = call(&[], &[], 15).unwrap();
    assert!(
        none.ece.is_nan() && none.null.mean.is_nan() && none.per_class.iter().all(|x| x.is_nan())
    );
    // Certain and right, without a doubt: no chance.
    let inf = f64::INFINITY;
    let certain = call(&[inf, 0.0, 0.0, -inf], &[0, 0], 15).unwrap();
    assert_eq!((certain.ece, certain.null.mean, certain.null.p_value), (0.0, 0.0, 1.0));
    let wrong = call(&[inf, 0.0, 0.0, -inf], &[1, 0], 15).unwrap();
    assert_eq!(
        (wrong.ece, wrong.per_class, wrong.null.p_value),
        (0.5, vec![0.5, 0.5], 1.0 / 1001.0)
    );
    for bins in [0, 4097, usize::MAX] {
        let text = call(&[0.0, 0.0], &[0], bins).unwrap_err().to_string();
        assert_eq!(text, format!("{bins} bins are not allowed: there must be 1 to 4096"));
    }
    let text = call(&[0.0, 0.0, f64::NAN, 0.0], &[0, 0], 15).unwrap_err().to_string();
    assert_eq!(text, "row 1: it holds a NaN");
}
