//! Cross-entropy: the research file's values, its definition term by term, gradients, masks, ignored rows, refusals.

use super::{always_the_same, check_gradients, drawn, exactly, near, refused_row, rows, tau};
use crate::support::fixtures::Dtype;
use crate::support::number::Number;
use softargmax::{
    CrossEntropyOptions, Error, Labels, Loss, LossMut, Reduction, Rows, Temperature, Truth,
    cross_entropy, cross_entropy_into, log_softmax_rows, log_softmax_vjp,
};

const PLAIN: CrossEntropyOptions<'static> = CrossEntropyOptions {
    smoothing: 0.0,
    class_weights: None,
    row_weights: None,
    reduction: Reduction::Mean,
};

/// A positive at similarity 1 before negatives at −1: the loss of MoCo at its best. From mpmath, 40 digits.
const POSITIVE_BEFORE: [(usize, &str, f64); 9] = [
    (1023, "1", 4.9376917342716852),
    (1024, "1", 4.9386617708362389),
    (1023, "0.5", 2.9824899083474128),
    (1023, "0.2", 0.045397872225934261),
    (1023, "0.1", 2.1085579327448043e-6),
    (1023, "0.07", 3.9944948443973564e-10), // f32, and 1 − p, give 0
    (1024, "0.07", 3.9983995314389974e-10),
    (1023, "0.01", 1.4157261468516825e-84),
    (0, "0.07", 0.0),
];

fn positive_before<T: Number>() {
    for (negatives, text, want) in POSITIVE_BEFORE {
        let mut similarities = vec![T::of(-1.0); negatives + 1];
        similarities[0] = T::of(1.0);
        let labels = Labels::new(&[0], negatives + 1).unwrap();
        let logits = Rows::one(&similarities).unwrap();
        let loss = cross_entropy(logits, labels, exactly(text), &PLAIN).unwrap();
        near(loss.value(), want, if T::DTYPE == Dtype::F64 { 1e-14 } else { OF_F32 });
    }
}

/// The documented bound of f32, f16 and bf16: two units in the last place of f32.
const OF_F32: f64 = 1.0 / (1u32 << 22) as f64;

#[test]
fn a_positive_before_its_negatives() {
    // ±1 are themselves in every type.
    positive_before::<f32>();
    positive_before::<f64>();
    #[cfg(feature = "half")]
    positive_before::<half::f16>();
    #[cfg(feature = "half")]
    positive_before::<half::bf16>();
}

#[test]
fn the_gradient_of_a_confident_row_is_what_is_left_over() {
    // d/ds of ln(1 + n e^(−2s)) is −2r with r = 1 − p; dτ is −s² of that.
    let mut similarities = vec![-1.0; 1024];
    similarities[0] = 1.0;
    let labels = Labels::new(&[0], 1024).unwrap();
    let tau = exactly("0.07");
    let loss = cross_entropy(Rows::one(&similarities).unwrap(), labels, tau, &PLAIN).unwrap();
    let left_over = 3.9944948435995580e-10; // 1 − e^−L
    near(loss.logits[0], -left_over / 0.07, 2e-15);
    near(loss.logits[1], left_over / 1023.0 / 0.07, 2e-15);
    near(loss.tau_sum(), 2.0 * left_over / 0.0049, 2e-15);
}

#[test]
fn labels_smoothing_and_weights_of_classes() {
    // By mpmath; the first is in the research file.
    let logits = rows(&[1.0, 5.0, 7.0, 10.0], 4);
    let label = cross_entropy(logits, Labels::new(&[3], 4).unwrap(), tau(1.0), &PLAIN).unwrap();
    near(label.value(), 0.0551020358269917687, 1e-14);
    let target = [0.125, 0.5, 0.25, 0.125];
    let class_weights = [1.0, 2.0, 0.5, 3.0];
    for (t, plain, weighted) in [
        (0.25, 17.375006146254618921, 24.625009987663755747),
        (1.0, 4.3988520358269917687, 6.2457908082188616241),
        (4.0, 1.7088073635418288862, 2.5512260282554719400),
    ] {
        let options = CrossEntropyOptions { smoothing: 0.25, ..PLAIN };
        let of = |options| cross_entropy(logits, rows(&target, 4), tau(t), &options).unwrap();
        near(of(options).value(), plain, 1e-14);
        let options = CrossEntropyOptions { class_weights: Some(&class_weights), ..options };
        near(of(options).value(), weighted, 1e-14);
    }
}

#[test]
fn as_log_softmax_and_its_gradient_have_it() {
    let (logits, classes) = (drawn(1, 40 * 7), 7);
    let labels: Vec<i64> = (0..40).map(|row| row * 5 % 7).collect();
    let labels = Labels::new(&labels, classes).unwrap();
    let options = CrossEntropyOptions { reduction: Reduction::PerRow, ..PLAIN };
    for t in [0.05, 1.0, 30.0] {
        let loss = cross_entropy(rows(&logits, classes), labels, tau(t), &options).unwrap();
        let log_p = log_softmax_rows(rows(&logits, classes), tau(t)).unwrap();
        let mut cotangents = vec![0.0; logits.len()];
        for (row, label) in labels.iter().enumerate() {
            let at = row * classes + label.unwrap();
            near(loss.values[row], -log_p[at], 1e-14);
            cotangents[at] = -1.0;
        }
        let (logits, cotangents) = (rows(&logits, classes), rows(&cotangents, classes));
        let gradient = log_softmax_vjp(logits, cotangents, tau(t)).unwrap();
        for (got, want) in loss.logits.iter().zip(&gradient.logits) {
            near(*got, *want, 1e-14);
        }
        for (got, want) in loss.tau.iter().zip(&gradient.tau) {
            assert!((got - want).abs() <= 1e-13 * want.abs().max(1.0 / t), "{got:e}, {want:e}");
        }
    }
}

/// −ln p straight from its definition.
fn by_definition(logits: &[f64], target: &[f64], t: f64) -> f64 {
    let max = logits.iter().fold(f64::NEG_INFINITY, |max: f64, &x| max.max(x));
    let sum: f64 = logits.iter().map(|x| ((x - max) / t).exp()).sum();
    let terms = logits.iter().zip(target).filter(|(_, q)| **q > 0.0);
    terms.map(|(x, q)| q * (sum.ln() - (x - max) / t)).sum()
}

#[test]
fn reductions_as_their_names_say() {
    let (logits, classes) = (drawn(2, 6 * 3), 3);
    let labels = [0, -100, 2, 1, 1, 0];
    let labels = Labels::with_ignored(&labels, classes, -100).unwrap();
    let (class_weights, row_weights) = ([0.5, 1.0, 4.0], [1.0, 1.0, 2.0, 0.0, 0.25, 1.0]);
    let options = CrossEntropyOptions {
        smoothing: 0.1,
        class_weights: Some(&class_weights),
        row_weights: Some(&row_weights),
        reduction: Reduction::PerRow,
    };
    let of = |reduction| {
        let options = CrossEntropyOptions { reduction, ..options };
        cross_entropy(rows(&logits, classes), labels, tau(0.7), &options).unwrap()
    };
    let per_row = of(Reduction::PerRow);
    let (mut total, mut mass) = (0.0, 0.0);
    for (row, label) in labels.iter().enumerate() {
        let (row_weight, logits) = (row_weights[row], &logits[row * 3..row * 3 + 3]);
        let mut target = [0.0; 3];
        if let Some(label) = label {
            for class in 0..3 {
                let smoothed = if class == label { 0.9 } else { 0.0 } + 0.1 / 3.0;
                target[class] = row_weight * class_weights[class] * smoothed;
            }
            mass += row_weight * class_weights[label];
        }
        let want = by_definition(logits, &target, 0.7);
        near(per_row.values[row], want, 1e-13);
        total += want;
    }
    for row in [1, 3] {
        assert_eq!((per_row.values[row], per_row.tau[row]), (0.0, 0.0));
        assert_eq!(per_row.logits[row * 3..row * 3 + 3], [0.0; 3]);
    }
    for (reduction, divisor) in
        [(Reduction::Sum, 1.0), (Reduction::Mean, 4.0), (Reduction::WeightedMean, mass)]
    {
        let loss = of(reduction);
        assert_eq!(loss.values.len(), 1);
        near(loss.value(), total / divisor, 1e-13);
        near(loss.tau_sum(), per_row.tau_sum() / divisor, 1e-14);
        for (got, want) in loss.logits.iter().zip(&per_row.logits) {
            near(*got, want / divisor, 1e-14);
        }
    }
}

#[test]
fn gradients_against_finite_differences() {
    let (logits, classes) = (drawn(3, 4 * 6), 6);
    let labels = [5, 0, -1, 2];
    let labels = Labels::with_ignored(&labels, classes, -1).unwrap();
    let shares: Vec<f64> = drawn(4, 24).iter().map(|x| x * x).collect();
    let (class_weights, row_weights) = ([0.5, 1.0, 4.0, 0.0, 1.0, 2.0], [1.0, 3.0, 1.0, 0.25]);
    for t in [0.3, 1.0, 4.0, 50.0] {
        let taus = [tau(t), tau(2.0 * t), tau(t), tau(0.7 * t)];
        for reduction in [Reduction::PerRow, Reduction::Mean, Reduction::WeightedMean] {
            for smoothing in [0.0, 0.2, 1.0] {
                let weighted = CrossEntropyOptions {
                    smoothing,
                    class_weights: Some(&class_weights),
                    row_weights: Some(&row_weights),
                    reduction,
                };
                for options in [weighted, CrossEntropyOptions { smoothing, reduction, ..PLAIN }] {
                    let truths: [Truth<f64>; 2] = [labels.into(), rows(&shares, classes).into()];
                    for truth in truths {
                        check_gradients(&logits, &taus, |logits, taus| {
                            cross_entropy(rows(logits, classes), truth, taus, &options).unwrap()
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn masked_classes_are_not_there() {
    let (open, masked) = ([0.5, -1.0, 2.0], [0.5, f64::NEG_INFINITY, -1.0, 2.0]);
    let options = CrossEntropyOptions { smoothing: 0.3, ..PLAIN };
    let open = cross_entropy(rows(&open, 3), Labels::new(&[2], 3).unwrap(), tau(0.6), &options);
    let of = |label: i64, options: &CrossEntropyOptions<'_>| {
        let labels = [label];
        let labels = Labels::new(&labels, 4).unwrap();
        cross_entropy(rows(&masked, 4), labels, tau(0.6), options).unwrap()
    };
    let (open, masked) = (open.unwrap(), of(3, &options));
    assert_eq!((masked.value(), masked.tau_sum()), (open.value(), open.tau_sum()));
    assert_eq!(masked.logits[1], 0.0);
    assert_eq!([masked.logits[0], masked.logits[2], masked.logits[3]], open.logits[..]);
    // A label behind a mask: infinite, and the others are pushed down as in the limit.
    let behind = of(1, &PLAIN);
    assert_eq!((behind.value(), behind.tau_sum()), (f64::INFINITY, f64::NEG_INFINITY));
    near(behind.logits.iter().sum(), 1.0 / 0.6, 1e-14);
    assert_eq!(behind.logits[1], 0.0);
}

#[test]
fn at_the_limits_of_the_temperature() {
    let logits = [1.0, f64::NEG_INFINITY, 3.0, 2.0];
    let labels = Labels::new(&[2], 4).unwrap();
    let hot = cross_entropy(rows(&logits, 4), labels, Temperature::INFINITE, &PLAIN).unwrap();
    assert_eq!((hot.value(), hot.tau_sum()), (1.0986122886681098, 0.0)); // ln 3
    assert_eq!(hot.logits, [0.0; 4]);
    let cold = cross_entropy(rows(&logits, 4), labels, Temperature::ZERO, &PLAIN);
    refused_row(cold, 0, "temperature 0");
    // Between them nothing overflows.
    for t in [1e-300, 1e-30, 1e30, 1e300] {
        let loss = cross_entropy(rows(&logits, 4), labels, tau(t), &PLAIN).unwrap();
        let want = if t < 1.0 { 0.0 } else { 1.0986122886681098 };
        assert_eq!(loss.value(), want);
        assert!(loss.logits.iter().chain(&loss.tau).all(|g| g.is_finite()));
        // Logits of that size are those above.
        let large: Vec<f64> = logits.iter().map(|x| x * t).collect();
        let loss = cross_entropy(rows(&large, 4), labels, tau(t), &PLAIN).unwrap();
        near(loss.value(), 0.40760596444438013, 1e-14); // ln(1 + e^-1 + e^-2)
    }
    let far = [f64::MAX, -f64::MAX];
    let loss = cross_entropy(rows(&far, 2), Labels::new(&[1], 2).unwrap(), tau(1.0), &PLAIN);
    refused_row(loss, 0, "beyond the range");
    let loss = cross_entropy(rows(&far, 2), Labels::new(&[0], 2).unwrap(), tau(1.0), &PLAIN);
    assert_eq!(loss.unwrap().value(), 0.0);
    let loss = cross_entropy(rows(&far, 2), Labels::new(&[1], 2).unwrap(), tau(f64::MAX), &PLAIN);
    near(loss.unwrap().value(), 2.1269280110429727, 1e-14); // ln(1 + e^2)
}

/// Rows of f32 against the same numbers in f64, whose own bounds are tested above.
#[test]
fn f32_is_as_near_as_its_bounds_say() {
    let mut worst = [0.0f64; 3];
    for classes in [2, 3, 10, 32, 33, 100, 1000, 2065] {
        let count = 37;
        for (k, text) in ["0.01", "0.07", "0.3", "1", "20", "1e6"].iter().enumerate() {
            let mut logits = drawn((classes + k) as u64, count * classes);
            for (i, row) in logits.chunks_exact_mut(classes).enumerate() {
                let offset = [0.0, 1000.0, -1e6][i % 3];
                match i % 5 {
                    1 => row[i % classes] += 256.0, // far above the others
                    2 => row[0] = row[classes - 1], // maybe a tie
                    3 if classes > 2 => row[1] = f64::NEG_INFINITY,
                    _ => {}
                }
                row.iter_mut().for_each(|x| *x = f64::from((*x + offset) as f32));
            }
            // The mask and the far one are labels, too.
            let labels: Vec<i64> = (0..count as i64)
                .map(|i| if i % 5 == 1 { i % classes as i64 } else { (7 * i) % classes as i64 })
                .collect();
            let labels = Labels::new(&labels, classes).unwrap();
            let narrow: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
            let options = CrossEntropyOptions { reduction: Reduction::PerRow, ..PLAIN };
            let taus = vec![exactly(text); count];
            let wide = cross_entropy(rows(&logits, classes), labels, &taus[..], &options).unwrap();
            let narrow = Rows::new(&narrow, classes).unwrap();
            let one = cross_entropy(narrow, labels, exactly(text), &options).unwrap();
            let narrow = cross_entropy(narrow, labels, &taus[..], &options).unwrap();
            assert_eq!(one, narrow);
            for i in 0..count {
                let (want, got) = (wide.values[i], narrow.values[i]);
                if want.is_infinite() {
                    assert_eq!((want, wide.tau[i]), (got, narrow.tau[i]));
                    continue;
                }
                let tau = exactly(text).tau();
                worst[0] = worst[0].max((got - want).abs() / want.max(f64::MIN_POSITIVE));
                let row = i * classes..(i + 1) * classes;
                // Σ |e| (m − x)/τ², what is allowed for dτ in units of its own.
                let max = logits[row.clone()].iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
                let size: f64 = row
                    .clone()
                    .filter(|&k| logits[k] > f64::NEG_INFINITY)
                    .map(|k| wide.logits[k].abs() * (max - logits[k]) / tau)
                    .sum();
                let error = (narrow.tau[i] - wide.tau[i]).abs();
                worst[1] = worst[1].max(if error == 0.0 { 0.0 } else { error / size });
                for k in row {
                    let (want, got) = (wide.logits[k], f64::from(narrow.logits[k]));
                    // Below 2^-187 of the largest it is 0 in f32.
                    let least = 2f64.powi(-187) / tau;
                    let unit = (want.abs() * 2f64.powi(-23)).max(f64::from(f32::from_bits(1)));
                    worst[2] = worst[2].max(((got - want).abs() - least) / unit);
                }
            }
        }
    }
    let [loss, slope, gradient] = worst;
    eprintln!("loss 2^{:.2}, dτ 2^{:.2}, dx {gradient:.2} ULP", loss.log2(), slope.log2());
    assert!(loss <= OF_F32 && slope <= 2.0 * OF_F32 && gradient <= 2.5, "{worst:?}");
}

#[test]
fn buffers_of_another_size_are_refused_and_old_numbers_overwritten() {
    let labels = Labels::with_ignored(&[0, -1], 2, -1).unwrap();
    let logits = [1.0, 2.0, 3.0, 4.0];
    let of = |d_logits: &mut [f64], d_tau: &mut [f64]| {
        let gradient = LossMut { logits: d_logits, tau: d_tau };
        cross_entropy_into(rows(&logits, 2), labels, tau(1.0), &PLAIN, gradient)
    };
    let (mut d_logits, mut d_tau) = ([9.0; 4], [9.0; 2]);
    let values = of(&mut d_logits, &mut d_tau).unwrap();
    let fresh = cross_entropy(rows(&logits, 2), labels, tau(1.0), &PLAIN).unwrap();
    assert_eq!(
        (&values, &d_logits[..], &d_tau[..]),
        (&fresh.values, &fresh.logits[..], &fresh.tau[..])
    );
    for (len, taus) in [(3, 2), (4, 1)] {
        let error = of(&mut d_logits[..len], &mut d_tau[..taus]).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
}

#[test]
fn what_is_refused() {
    let labels = Labels::with_ignored(&[0, -1, 1], 2, -1).unwrap();
    let of = |logits: &[f64], options: &CrossEntropyOptions<'_>| {
        cross_entropy(rows(logits, 2), labels, tau(1.0), options)
    };
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    refused_row(of(&[1.0, 2.0, 0.0, 0.0, nan, 1.0], &PLAIN), 2, "NaN");
    refused_row(of(&[1.0, 2.0, 0.0, 0.0, inf, 1.0], &PLAIN), 2, "+inf");
    refused_row(of(&[1.0, 2.0, 0.0, 0.0, -inf, -inf], &PLAIN), 2, "no distribution");
    // A row that does not count is not looked at.
    let good = [1.0, 2.0, nan, nan, 1.0, 1.0];
    assert_eq!(of(&good, &PLAIN).unwrap().logits[2..4], [0.0; 2]);
    let options = CrossEntropyOptions { row_weights: Some(&[1.0, 1.0, 0.0]), ..PLAIN };
    let of_first = of(&[1.0, 2.0, 0.0, 0.0, nan, 1.0], &options).unwrap();
    near(of_first.value(), 1.3132616875182228, 1e-14); // ln(1 + e)
    let refused = |options: CrossEntropyOptions<'_>| of(&good, &options).unwrap_err();
    for smoothing in [-0.1, 1.1, nan] {
        let error = refused(CrossEntropyOptions { smoothing, ..PLAIN });
        assert!(matches!(error, Error::Parameter { what: "smoothing", .. }), "{error}");
    }
    let options = CrossEntropyOptions { row_weights: Some(&[1.0, 1.0, -1.0]), ..PLAIN };
    assert_eq!(refused(options), Error::Weight { row: 2, got: -1.0 });
    let options = CrossEntropyOptions { class_weights: Some(&[1.0, inf]), ..PLAIN };
    assert_eq!(refused(options), Error::ClassWeight { class: 1, got: inf });
    let options = CrossEntropyOptions { class_weights: Some(&[1.0]), ..PLAIN };
    assert!(matches!(refused(options), Error::Shape { what: "class weights", .. }));
    let options = CrossEntropyOptions { row_weights: Some(&[0.0; 3]), ..PLAIN };
    assert_eq!(refused(options), Error::NoRows);
    let shares = [0.5, 0.5, -0.1, 1.1, nan, 1.0];
    let soft = cross_entropy(rows(&[0.0; 6], 2), rows(&shares, 2), tau(1.0), &PLAIN);
    refused_row(soft, 1, "target");
    let taus = [tau(1.0), Temperature::ZERO, tau(1.0)]; // of the ignored row
    assert!(cross_entropy(rows(&good, 2), labels, &taus[..], &PLAIN).is_ok());
    let taus = [tau(1.0); 2];
    let error = cross_entropy(rows(&good, 2), labels, &taus[..], &PLAIN).unwrap_err();
    assert!(matches!(error, Error::Shape { what: "temperatures", .. }));
    // The first of several, wherever the rows were split.
    let mut many = drawn(3, 40_000 * 10);
    for row in [30_001, 30_005, 39_999] {
        many[row * 10 + 3] = f64::NAN;
    }
    let labels = vec![4; 40_000];
    let labels = Labels::new(&labels, 10).unwrap();
    refused_row(cross_entropy(rows(&many, 10), labels, tau(1.0), &PLAIN), 30_001, "NaN");
    // The sum of no rows is 0.
    let none = CrossEntropyOptions { reduction: Reduction::Sum, ..PLAIN };
    let none = cross_entropy(rows(&[], 2), Labels::new(&[], 2).unwrap(), tau(1.0), &none).unwrap();
    assert_eq!(none.value(), 0.0);
}

fn everywhere<T: Number>() {
    for (rows, classes) in [(700, 257), (3000, 60), (2, 100_003)] {
        let logits: Vec<T> = drawn(6, rows * classes).iter().map(|&x| T::of(x)).collect();
        let labels: Vec<i64> = (0..rows).map(|row| (row * 31 % classes) as i64 - 1).collect();
        let labels = Labels::with_ignored(&labels, classes, -1).unwrap();
        let taus: Vec<Temperature> = (0..rows).map(|row| tau(0.05 * (row + 1) as f64)).collect();
        let options = CrossEntropyOptions { smoothing: 0.1, ..PLAIN };
        always_the_same(|| {
            let logits = Rows::new(&logits, classes).unwrap();
            bits(&cross_entropy(logits, labels, &taus, &options).unwrap())
        });
    }
}

fn bits<T: Number>(loss: &Loss<T>) -> Vec<u64> {
    let numbers = loss.values.iter().chain(&loss.tau).map(|x| x.to_bits());
    numbers.chain(loss.logits.iter().map(|x| x.bits())).collect()
}

#[test]
fn the_same_bits_everywhere() {
    everywhere::<f32>();
    everywhere::<f64>();
    #[cfg(feature = "half")]
    everywhere::<half::f16>();
    #[cfg(feature = "half")]
    everywhere::<half::bf16>();
}

/// Rows in lanes: with masks, ties, zeros of both signs, far from 0, all but certain, and ignored.
fn alone_and_together<T: Number>() {
    let per_row = CrossEntropyOptions { reduction: Reduction::PerRow, ..PLAIN };
    for classes in [1, 2, 3, 7, 8, 10, 15, 16, 17, 24, 31, 32] {
        let rows = 16 * 5 + 5;
        let mut logits = drawn(classes as u64, rows * classes);
        for (row, logits) in logits.chunks_exact_mut(classes).enumerate() {
            match row % 9 {
                1 => logits[row % classes] += 40.0,
                2 => logits.iter_mut().skip(1).step_by(3).for_each(|x| *x = f64::NEG_INFINITY),
                3 => logits.iter_mut().step_by(2).for_each(|x| *x = 2.5),
                4 => logits.iter_mut().for_each(|x| *x += 3e4),
                5 => logits.iter_mut().enumerate().for_each(|(i, x)| *x = [0.0, -0.0][i % 2]),
                6 => logits.iter_mut().for_each(|x| *x *= 100.0),
                _ => {}
            }
        }
        let logits: Vec<T> = logits.iter().map(|&x| T::of(x)).collect();
        // Of a masked class the loss is infinite: also that in all rows alike.
        let labels: Vec<i64> = (0..rows).map(|row| (row * 5 % (classes + 1)) as i64 - 1).collect();
        let weights: Vec<f64> = (0..classes).map(|class| (class % 4) as f64 * 0.37).collect();
        let one = Temperature::new(0.07).unwrap();
        let taus: Vec<Temperature> = (0..rows).map(|row| tau(0.02 * (row + 1) as f64)).collect();
        for (each, class_weights) in [(false, None), (true, None), (false, Some(&weights[..]))] {
            let options = CrossEntropyOptions { class_weights, ..per_row };
            let of = |first: usize, end: usize| {
                let logits = Rows::new(&logits[first * classes..end * classes], classes).unwrap();
                let labels = Labels::with_ignored(&labels[first..end], classes, -1).unwrap();
                if each {
                    cross_entropy(logits, labels, &taus[first..end], &options).unwrap()
                } else {
                    cross_entropy(logits, labels, one, &options).unwrap()
                }
            };
            let together = of(0, rows);
            always_the_same(|| bits(&of(0, rows)));
            for row in 0..rows {
                let alone = of(row, row + 1);
                let span = row * classes..(row + 1) * classes;
                let same = Loss {
                    values: vec![together.values[row]],
                    logits: together.logits[span].to_vec(),
                    tau: vec![together.tau[row]],
                };
                assert_eq!(bits(&alone), bits(&same), "{classes} classes, row {row}");
            }
            // The sum is that of the rows, however they are put together.
            let options = CrossEntropyOptions { reduction: Reduction::Sum, ..options };
            let all = Rows::new(&logits, classes).unwrap();
            let labels = Labels::with_ignored(&labels, classes, -1).unwrap();
            let sum = if each {
                cross_entropy(all, labels, &taus, &options).unwrap()
            } else {
                cross_entropy(all, labels, one, &options).unwrap()
            };
            assert_eq!(sum.value().to_bits(), together.value().to_bits(), "{classes} classes");
        }
    }
}

#[test]
fn a_row_among_others_has_the_bits_of_one_alone() {
    alone_and_together::<f32>();
    alone_and_together::<f64>();
    #[cfg(feature = "half")]
    alone_and_together::<half::f16>();
    #[cfg(feature = "half")]
    alone_and_together::<half::bf16>();
}
