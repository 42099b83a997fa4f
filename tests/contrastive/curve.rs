//! The curve of a contrastive loss: as the losses one by one, and its distribution as computed naively.

use softargmax::{
    ContrastCurve, ContrastiveOptions, Denominator, Error, Nearest, Reduction, Temperature,
    Vectors, curve_at_perplexity, curve_optimum, info_nce, info_nce_in_batch,
};

use crate::contrastive::{close, noise, options, rows, tau};

fn taus() -> Vec<Temperature> {
    (0..25).map(|i| tau(0.01 * 100f64.powf(i as f64 / 24.0))).collect()
}

/// A little of `b` in `a`, so that positives are nearer than chance.
fn near(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + 0.7 * b).collect()
}

#[test]
fn the_curve_is_the_losses_one_by_one() {
    let (count, negatives, width) = (130, 1100, 17);
    let queries = noise(1, count * width);
    let keys = near(&queries, &noise(2, count * width));
    let others = noise(3, negatives * width);
    let (q, k, n) = (rows(&queries, width), rows(&keys, width), rows(&others, width));
    for how in [Vectors::Normalise, Vectors::AsGiven] {
        let options = options(how, Denominator::WithPositive, Reduction::Mean);
        let mut curve = ContrastCurve::new(q, k, &taus(), how).unwrap();
        curve.add(n, None).unwrap();
        let mut batch = ContrastCurve::new(q, k, &taus(), how).unwrap();
        batch.add_batch(k, 0).unwrap();
        for (place, tau) in taus().into_iter().enumerate() {
            let a = tau.scale();
            let of_negatives = info_nce(q, k, n, tau, &options).unwrap();
            let in_batch = info_nce_in_batch(q, k, tau, &options).unwrap();
            for (curve, loss) in [(&curve, of_negatives), (&batch, in_batch)] {
                let point = curve.points(|_| true).unwrap()[place];
                close(point.loss, loss.value(), 1e-12);
                // dL/dτ = −a²·dL/da
                let slope = -a * a * point.slope;
                assert!((slope - loss.tau_sum()).abs() <= 1e-10 * loss.tau_sum().abs().max(1e-12));
            }
        }
    }
}

#[test]
fn losses_that_are_tiny_keep_their_digits() {
    let away = [-1.0, 0.0].repeat(1023);
    let query = rows(&[1.0, 0.0], 2);
    let taus = [tau(1.0), "0.07".parse().unwrap(), "0.01".parse().unwrap()];
    let mut curve = ContrastCurve::new(query, query, &taus, Vectors::Unit).unwrap();
    curve.add(rows(&away, 2), None).unwrap();
    let points = curve.points(|_| true).unwrap();
    let wanted = [4.937691734271685, 3.9944948443973564e-10, 1.4157261468516825e-84];
    for (point, want) in points.iter().zip(wanted) {
        close(point.loss, want, 1e-13);
        close(point.perplexity(), 1023.0, 1e-12);
        close(point.inverse_concentration(), 1023.0, 1e-12);
        close(point.hardest, 1.0 / 1023.0, 1e-12);
    }
}

/// Every figure, from the similarities written out.
#[test]
fn the_distribution_over_negatives_is_the_naive_one() {
    let (count, negatives, width) = (70, 600, 6);
    let queries = noise(4, count * width);
    let keys = near(&queries, &noise(5, count * width));
    let others = noise(6, negatives * width);
    let labels: Vec<i64> = (0..count as i64).map(|i| i % 5).collect();
    let of_negatives: Vec<i64> = (0..negatives as i64).map(|i| i * 3 % 7).collect();
    let (q, k, n) = (rows(&queries, width), rows(&keys, width), rows(&others, width));
    let mut curve = ContrastCurve::new(q, k, &taus(), Vectors::AsGiven).unwrap();
    curve = curve.with_labels(&labels).unwrap();
    // In blocks, the last of them with the nearest.
    for (block, labels) in others.chunks(128 * width).zip(of_negatives.chunks(128)) {
        curve.add(rows(block, width), Some(labels)).unwrap();
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for (place, tau) in taus().into_iter().enumerate() {
        for i in [0, 1, 63, 64, 69] {
            let query = &queries[i * width..(i + 1) * width];
            let s: Vec<f64> = n.iter().map(|key| dot(query, key)).collect();
            let positive = dot(query, &keys[i * width..(i + 1) * width]);
            let max = s.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let w: Vec<f64> = s.iter().map(|s| ((s - max) / tau.tau()).exp()).collect();
            let sum: f64 = w.iter().sum();
            let r: Vec<f64> = w.iter().map(|w| w / sum).collect();
            let mean = |of: &dyn Fn(usize) -> f64| (0..r.len()).map(|j| r[j] * of(j)).sum::<f64>();
            let entropy = -r.iter().filter(|r| **r > 0.0).map(|r| r * r.ln()).sum::<f64>();
            let average = mean(&|j| s[j]);
            let variance = mean(&|j| (s[j] - average).powi(2));
            // With the positive among them.
            let p = 1.0 / (1.0 + sum * ((max - positive) / tau.tau()).exp());
            let whole = p * positive + (1.0 - p) * average;
            let spread =
                p * (positive - whole).powi(2) + (1.0 - p) * (variance + (average - whole).powi(2));
            let point = curve.point(i, place);
            let near = |got: f64, want: f64, unit: f64| {
                assert!((got - want).abs() <= 1e-12 * unit, "{i} {tau}: {got:e} {want:e}");
            };
            near(point.entropy, entropy, 1.0 / tau.tau());
            near(point.concentration, r.iter().map(|r| r * r).sum(), 1.0 / tau.tau());
            near(point.hardest, 1.0 / sum, 1.0);
            near(point.entropy_slope, variance / tau.tau().powi(2), 1.0 / tau.tau().powi(2));
            near(point.slope, whole - positive, 1.0);
            near(point.curvature, spread, 1.0);
            let same = mean(&|j| f64::from(u8::from(labels[i] == of_negatives[j])));
            near(point.same_label, same, 1.0 / tau.tau());
        }
    }
}

#[test]
fn blocks_and_threads_do_not_show() {
    let (count, width) = (700, 9);
    let queries: Vec<f32> = noise(7, count * width).iter().map(|&x| x as f32).collect();
    let keys: Vec<f32> = noise(8, count * width).iter().map(|&x| x as f32).collect();
    let (q, k) = (rows(&queries, width), rows(&keys, width));
    let labels: Vec<i64> = (0..count as i64).map(|i| i % 3).collect();
    let points = |block: usize, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let curve = ContrastCurve::new(q, k, &taus(), Vectors::Normalise).unwrap();
            let mut curve = curve.with_labels(&labels).unwrap();
            for (i, keys) in keys.chunks(block * width).enumerate() {
                curve.add_batch(rows(keys, width), i * block).unwrap();
            }
            curve.points(|row| row % 2 == 0).unwrap()
        })
    };
    let whole = points(count, 1);
    assert_eq!(whole, points(count, 3));
    assert_eq!(whole, points(512, 2));
    // Other blocks, other last bits.
    for (a, b) in whole.iter().zip(points(100, 1)) {
        close(a.loss, b.loss, 1e-5);
        close(a.same_label, b.same_label, 1e-4);
    }
}

#[test]
fn the_optimum_is_where_the_loss_is_lowest() {
    let (count, width) = (300, 8);
    let queries = noise(9, count * width);
    let keys = near(&queries, &noise(10, count * width));
    let (q, k) = (rows(&queries, width), rows(&keys, width));
    let grid: Vec<Temperature> =
        (0..49).map(|i| tau(0.01 * 100f64.powf(i as f64 / 48.0))).collect();
    let at = |taus: &[Temperature]| {
        let mut curve = ContrastCurve::new(q, k, taus, Vectors::Normalise).unwrap();
        curve.add_batch(k, 0).unwrap();
        curve.points(|_| true).unwrap()
    };
    let points = at(&grid);
    let best = curve_optimum(&points).expect("inside");
    // One step of Newton's method from there moves it by less than what is promised.
    let there = at(&[best])[0];
    let moved = there.slope / there.curvature / best.scale();
    assert!(moved.abs() < 1e-6, "{moved:e}");
    assert!(points.iter().all(|point| point.loss >= there.loss));
    let shuffled: Vec<_> = points.iter().rev().copied().collect();
    assert_eq!(curve_optimum(&shuffled), Some(best));

    for wanted in [2.0, 10.0, 100.0] {
        let tau = curve_at_perplexity(&points, wanted).expect("inside");
        close(at(&[tau])[0].perplexity(), wanted, 1e-5);
    }
    assert_eq!(curve_at_perplexity(&points, 299.5), None);
    assert_eq!(curve_at_perplexity(&points, 0.5), None);
    // Where the positive is always nearest, the loss falls all the way down.
    let mut curve = ContrastCurve::new(q, q, &grid, Vectors::Normalise).unwrap();
    curve.add_batch(q, 0).unwrap();
    assert_eq!(curve_optimum(&curve.points(|_| true).unwrap()), None);
}

#[test]
fn who_is_nearest_and_who_ties() {
    // The first is right, the second has its positive twice, the third has a nearer one.
    let queries = rows(&[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 2);
    let keys = rows(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0], 2);
    let mut curve = ContrastCurve::new(queries, keys, &[tau(0.1)], Vectors::Unit).unwrap();
    curve.add(rows(&[0.0, 1.0], 2), None).unwrap();
    assert_eq!(curve.nearest(), Nearest { positive: 1, ties: 1, negative: 1 });
}

#[test]
fn limits() {
    let (q, k) = (rows(&[1.0, 0.0], 2), rows(&[0.6, 0.8], 2));
    let infinite = [Temperature::INFINITE];
    let mut curve = ContrastCurve::new(q, k, &infinite, Vectors::Unit).unwrap();
    let empty = curve.points(|_| true).unwrap()[0];
    assert_eq!((empty.loss, empty.slope, empty.entropy), (0.0, 0.0, 0.0));
    curve.add(rows(&[-1.0, 0.0, 0.0, 1.0, 0.0, -1.0], 2), None).unwrap();
    let point = curve.points(|_| true).unwrap()[0];
    close(point.loss, 4f64.ln(), 1e-15);
    close(point.perplexity(), 3.0, 1e-15);
    assert!(point.same_label.is_nan());
    let options = ContrastiveOptions::default();
    let loss = info_nce(q, k, rows(&[-1.0, 0.0], 2), Temperature::INFINITE, &options).unwrap();
    close(loss.value(), 2f64.ln(), 1e-15);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (q, k) = (rows(&[1.0, 0.0, 0.0, 1.0], 2), rows(&[1.0, 0.0, 0.0, 1.0], 2));
    let one = [tau(0.1)];
    let new = |q, k, taus: &[Temperature], how| ContrastCurve::<f64>::new(q, k, taus, how).err();
    assert!(matches!(new(q, rows(&[1.0], 1), &one, Vectors::Unit), Some(Error::Shape { .. })));
    assert!(matches!(new(q, rows(&[1.0, 0.0], 2), &one, Vectors::Unit), Some(Error::Shape { .. })));
    let zero = [tau(0.1), Temperature::ZERO];
    assert!(matches!(new(q, k, &zero, Vectors::Unit), Some(Error::Parameter { .. })));
    let long = rows(&[1.0, 0.0, 0.0, 1.5], 2);
    assert!(matches!(new(long, k, &one, Vectors::Unit), Some(Error::Row { row: 1, .. })));
    assert!(new(long, k, &one, Vectors::Normalise).is_none());

    let mut curve = ContrastCurve::new(q, k, &one, Vectors::Unit).unwrap();
    assert!(matches!(curve.add(rows(&[1.0], 1), None), Err(Error::Shape { .. })));
    assert!(matches!(curve.add(rows(&[1.0, 0.0], 2), Some(&[])), Err(Error::Shape { .. })));
    assert!(matches!(curve.add(rows(&[f64::NAN, 0.0], 2), None), Err(Error::Row { row: 0, .. })));
    assert!(matches!(curve.add_batch(k, 1), Err(Error::Shape { .. })));
    assert_eq!(curve.points(|_| false), Err(Error::NoRows));
    // Nothing of that was added.
    assert_eq!(curve.points(|_| true).unwrap()[0].loss, 0.0);
    assert!(matches!(curve.with_labels(&[1]).err(), Some(Error::Shape { .. })));
}
