//! The normalised softmax of features and class weights, against that of their cosines.

use softargmax::{
    Denominator, Error, Labels, Margin, NormalisedLoss, Reduction, Temperature, Vectors, info_nce,
    moco, normalised_linear_softmax, normalised_softmax, normface_lower_bound,
};

use crate::contrastive::gradients::check;
use crate::contrastive::margins::MARGINS;
use crate::contrastive::{all_close, close, noise, options, rows, tau};

fn loss(
    features: &[f64],
    weights: &[f64],
    width: usize,
    labels: &[i64],
    margin: Margin,
    tau: Temperature,
    reduction: Reduction,
) -> NormalisedLoss<f64> {
    let (features, weights) = (rows(features, width), rows(weights, width));
    let labels = Labels::with_ignored(labels, weights.rows(), -1).unwrap();
    normalised_linear_softmax(features, weights, labels, margin, tau, reduction).unwrap()
}

fn cosines(features: &[f64], weights: &[f64], width: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut all = Vec::new();
    for f in features.chunks_exact(width) {
        let of = weights.chunks_exact(width).map(|w| dot(f, w) / (dot(f, f) * dot(w, w)).sqrt());
        all.extend(of);
    }
    all
}

/// Several blocks of rows, tiles of columns and stripes, and one of each.
#[test]
fn it_is_the_loss_of_the_cosines() {
    for (n, classes, width) in [(6, 19, 4), (300, 1100, 7), (1, 600, 3), (530, 2, 5)] {
        let (features, weights) = (noise(41, n * width), noise(42, classes * width));
        let labels: Vec<i64> =
            (0..n).map(|i| if i % 5 == 3 { -1 } else { (i * 7 % classes) as i64 }).collect();
        let all = cosines(&features, &weights, width);
        for margin in MARGINS {
            for (t, reduction) in [(0.1, Reduction::PerRow), (1.0 / 64.0, Reduction::Mean)] {
                let got = loss(&features, &weights, width, &labels, margin, tau(t), reduction);
                let labels = Labels::with_ignored(&labels, classes, -1).unwrap();
                let want =
                    normalised_softmax(rows(&all, classes), labels, margin, tau(t), reduction);
                let want = want.unwrap();
                all_close(&got.values, &want.values, 1e-12);
                all_close(&got.tau, &want.tau, 1e-11);
                let scale: Vec<f64> = want.tau.iter().map(|g| -t * t * g).collect();
                all_close(&got.scale, &scale, 1e-11);
                // A gradient goes over the sphere, and so does not change the length.
                for (g, f) in got.features.chunks_exact(width).zip(features.chunks_exact(width)) {
                    let along: f64 = g.iter().zip(f).map(|(g, f)| g * f).sum();
                    assert!(along.abs() < 1e-11, "{along}");
                }
                // What the rows' gradients in cosines say about one feature.
                let u = &features[..width];
                let length = u.iter().map(|x| x * x).sum::<f64>().sqrt();
                let mut along = vec![0.0; width];
                for (g, w) in want.logits[..classes].iter().zip(weights.chunks_exact(width)) {
                    let size = w.iter().map(|x| x * x).sum::<f64>().sqrt();
                    along.iter_mut().zip(w).for_each(|(a, w)| *a += g * w / size);
                }
                let dot: f64 = along.iter().zip(u).map(|(a, u)| a * u / length).sum();
                let by_hand: Vec<f64> =
                    along.iter().zip(u).map(|(a, u)| (a - dot * u / length) / length).collect();
                all_close(&got.features[..width], &by_hand, 1e-10);
            }
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let (n, classes, width) = (6, 8, 3);
    let (features, weights) = (noise(43, n * width), noise(44, classes * width));
    // A class with three rows, and classes with none.
    let labels = [3, 0, 3, -1, 7, 3];
    for margin in MARGINS {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            for scale in [1.0, 8.0] {
                let of = |features: &[f64], weights: &[f64], scale: f64| {
                    let tau = Temperature::from_scale(scale).unwrap();
                    loss(features, weights, width, &labels, margin, tau, reduction)
                };
                let got = of(&features, &weights, scale);
                let value = |f: &[f64], w: &[f64], s: f64| of(f, w, s).value();
                check("features", &features, &got.features, &|f| value(f, &weights, scale));
                check("weights", &weights, &got.weights, &|w| value(&features, w, scale));
                check("scale", &[scale], &[got.scale_sum()], &|s| value(&features, &weights, s[0]));
                close(got.tau_sum(), -scale * scale * got.scale_sum(), 1e-12);
            }
        }
    }
}

#[test]
fn in_f32_and_for_any_number_of_threads() {
    let (n, classes, width) = (300, 1100, 16);
    let (features, weights) = (noise(45, n * width), noise(46, classes * width));
    let labels: Vec<i64> = (0..n as i64).map(|i| i * 3).collect();
    let want = loss(
        &features,
        &weights,
        width,
        &labels,
        Margin::Cosine(0.35),
        tau(1.0 / 64.0),
        Reduction::Mean,
    );
    let narrow = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let (features, weights) = (narrow(&features), narrow(&weights));
    let labels = Labels::new(&labels, classes).unwrap();
    let of = || {
        let (features, weights) = (rows(&features, width), rows(&weights, width));
        let (margin, tau) = (Margin::Cosine(0.35), tau(1.0 / 64.0));
        normalised_linear_softmax(features, weights, labels, margin, tau, Reduction::Mean).unwrap()
    };
    let got = of();
    close(got.value(), want.value(), 2f64.powi(-22) * 128.0);
    all_close(&wide(&got.features), &want.features, 1e-5);
    all_close(&wide(&got.weights), &want.weights, 1e-5);
    #[cfg(feature = "rayon")]
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(of) == got, "{threads} threads");
    }
}

#[test]
fn a_simplex_reaches_the_floor_and_tiny_losses_stay() {
    let n = 30;
    let corners: Vec<f64> =
        (0..n * n).map(|i| f64::from(i % n == i / n) - 1.0 / n as f64).collect();
    let labels: Vec<i64> = (0..n as i64).collect();
    for t in [1.0, 0.1, 1.0 / 30.0] {
        let got = loss(&corners, &corners, n, &labels, Margin::None, tau(t), Reduction::Mean);
        close(got.value(), normface_lower_bound(n, 1.0 / t).unwrap(), 1e-12);
    }
    // 1023 classes straight away: the golden value of the research notes at τ = 0.01.
    let weights = [vec![1.0, 0.0], [-1.0, 0.0].repeat(1023)].concat();
    let got = loss(&[2.0, 0.0], &weights, 2, &[0], Margin::None, tau(0.01), Reduction::Mean);
    close(got.value(), 1.4157261468516825e-84, 1e-13);
    close(got.scale_sum(), -2.0 * 1.4157261468516825e-84, 1e-13);
}

/// Where a block's tiles are too many to be kept, the similarities are computed twice: 256 rows take that way here, and
/// 128 do not.
#[test]
fn kept_or_computed_again() {
    let (n, k, width) = (256, 33_000, 3);
    let (x, y, z) = (noise(47, n * width), noise(48, n * width), noise(49, k * width));
    let sum = options(Vectors::Normalise, Denominator::WithPositive, Reduction::Sum);
    let of = |from: usize, to: usize| {
        let range = from * width..to * width;
        let (x, y) = (rows(&x[range.clone()], width), rows(&y[range], width));
        info_nce(x, y, rows(&z, width), tau(0.07), &sum).unwrap()
    };
    let (all, left, right) = (of(0, 256), of(0, 128), of(128, 256));
    close(all.value(), left.value() + right.value(), 1e-13);
    all_close(&all.queries, &[left.queries, right.queries].concat(), 1e-12);
    let both = left.negatives.iter().zip(&right.negatives).map(|(a, b)| a + b);
    all_close(&all.negatives, &both.collect::<Vec<_>>(), 1e-12);
    let mut queue = softargmax::Queue::new(k, width, Vectors::Normalise).unwrap();
    queue.push(rows(&z, width)).unwrap();
    let want = moco(rows(&x, width), rows(&y, width), &queue, tau(0.07), &sum).unwrap();
    all_close(&all.queries, &want.queries, 1e-12);
    close(all.tau_sum(), want.tau_sum(), 1e-12);
}

#[test]
fn special_values_and_refusals() {
    let (features, weights) = ([3.0, 4.0], [1.0, 0.0, 0.0, 2.0, -1.0, 0.0]);
    let (none, mean) = (Margin::None, Reduction::Mean);
    let flat = loss(&features, &weights, 2, &[1], none, Temperature::INFINITE, mean);
    close(flat.value(), 3f64.ln(), 1e-15);
    assert!(flat.features.iter().chain(&flat.weights).all(|&g| g == 0.0));
    // The mean of the cosines less the label's: (0.6 + 0.8 − 0.6)/3 − 0.8.
    close(flat.scale_sum(), 0.8 / 3.0 - 0.8, 1e-14);
    let one = loss(&features, &weights[..2], 2, &[0], none, tau(0.1), mean);
    assert_eq!((one.value(), one.scale_sum()), (0.0, 0.0));
    assert!(one.features.iter().chain(&one.weights).all(|&g| g == 0.0));
    let ignored = loss(&features, &weights, 2, &[-1], none, tau(0.1), Reduction::Sum);
    assert_eq!(ignored.value(), 0.0);
    assert!(ignored.features.iter().chain(&ignored.weights).all(|&g| g == 0.0));

    let of = |f: &[f64], width, w: &[f64], labels, margin, tau| {
        normalised_linear_softmax(rows(f, width), rows(w, 2), labels, margin, tau, mean)
            .unwrap_err()
    };
    let labels = Labels::new(&[1], 3).unwrap();
    let bad = [1.0, 0.0, 0.0, 0.0, -1.0, 0.0];
    assert!(matches!(of(&features, 2, &bad, labels, none, tau(0.1)), Error::Row { row: 1, .. }));
    assert!(matches!(
        of(&[f64::NAN, 1.0], 2, &weights, labels, none, tau(0.1)),
        Error::Row { row: 0, .. }
    ));
    let zero = of(&features, 2, &weights, labels, none, Temperature::ZERO);
    assert!(matches!(zero, Error::Parameter { what: "temperature", .. }));
    let margin = of(&features, 2, &weights, labels, Margin::Angle(4.0), tau(0.1));
    assert!(matches!(margin, Error::Parameter { what: "margin", .. }));
    let width = of(&[1.0; 3], 3, &weights, labels, none, tau(0.1));
    assert!(matches!(width, Error::Shape { .. }));
    let fewer = Labels::new(&[1], 2).unwrap();
    assert!(matches!(of(&features, 2, &weights, fewer, none, tau(0.1)), Error::Shape { .. }));
    let more = Labels::new(&[1, 1], 3).unwrap();
    assert!(matches!(of(&features, 2, &weights, more, none, tau(0.1)), Error::Shape { .. }));
    let ignored = Labels::with_ignored(&[-1], 3, -1).unwrap();
    assert_eq!(of(&features, 2, &weights, ignored, none, tau(0.1)), Error::NoRows);
}
