//! Numbers from mpmath with 40 digits, of the formulas in the papers.

#![allow(clippy::excessive_precision)] // as they were computed

use softargmax::{
    ContrastiveOptions, Denominator, Queue, Reduction, Rows, Temperature, Vectors,
    adacos_fixed_scale, clip, info_nce, info_nce_in_batch, moco, normface_lower_bound,
    normface_scale_for_loss, normface_scale_for_probability, nt_xent, sig_lip,
};

use crate::contrastive::{close, options, rows, tau};

/// One query at its positive, and `negatives` straight away from it.
fn opposed(negatives: usize, tau: &str) -> f64 {
    let (query, away) = ([1.0, 0.0], [-1.0, 0.0].repeat(negatives));
    let (query, away) = (rows(&query, 2), rows(&away, 2));
    let options = ContrastiveOptions::default();
    info_nce(query, query, away, tau.parse().unwrap(), &options).unwrap().value()
}

#[test]
fn info_nce_of_opposed_negatives() {
    for (negatives, tau, want) in [
        (1023, "1", 4.9376917342716852),
        (1024, "1", 4.9386617708362389),
        (1023, "0.07", 3.9944948443973564e-10),
        (1024, "0.07", 3.9983995314389974e-10),
        (1023, "0.1", 2.1085579327448043e-6),
        (1023, "0.2", 0.045397872225934261),
        (1023, "0.5", 2.9824899083474128),
        (1023, "0.01", 1.4157261468516825e-84),
    ] {
        close(opposed(negatives, tau), want, 1e-14);
    }
}

/// The same without the positive in the denominator: ln K − 2/τ, below 0 from τ = 0.288 down.
#[test]
fn decoupled_of_opposed_negatives() {
    let (query, away) = ([1.0, 0.0], [-1.0, 0.0].repeat(1023));
    let (query, away) = (rows(&query, 2), rows(&away, 2));
    let only = options(Vectors::Unit, Denominator::NegativesOnly, Reduction::Mean);
    for (tau, want) in
        [("1", 4.930494765951625), ("0.07", -21.640933805476945), ("0.01", -193.06950523404837)]
    {
        let loss = info_nce(query, query, away, tau.parse().unwrap(), &only).unwrap();
        close(loss.value(), want, 1e-14);
        // Linear in 1/τ: the gradient is 2/τ², and the whole of −2/τ·q.
        let t: f64 = tau.parse().unwrap();
        close(loss.tau_sum(), 2.0 / (t * t), 1e-14);
        close(loss.queries[0], -2.0 / t, 1e-14);
    }
}

#[test]
fn moco_of_opposed_negatives_in_f32_too() {
    let mut queue = Queue::new(1023, 2, Vectors::Unit).unwrap();
    queue.push(rows(&[-1f32, 0.0].repeat(1023), 2)).unwrap();
    let query = [1f32, 0.0];
    for (tau, want) in [
        ("1", 4.9376917342716852),
        ("0.07", 3.9944948443973564e-10),
        ("0.01", 1.4157261468516825e-84),
    ] {
        let unit = options(Vectors::Unit, Denominator::WithPositive, Reduction::Mean);
        let query = rows(&query, 2);
        let loss = moco(query, query, &queue, tau.parse().unwrap(), &unit).unwrap();
        // These similarities are exact in f32, and the rest is f64.
        close(loss.value(), want, 1e-14);
    }
}

/// dq = (1 − p₊)/τ·(k₋ − k₊), dk₊ = −(1 − p₊)/τ·q, dτ = 2·(1 − p₊)/τ², where 1 − p₊ is the loss.
#[test]
fn the_gradients_of_a_tiny_loss_are_not_0() {
    let (query, away) = ([1.0, 0.0], [-1.0, 0.0].repeat(1023));
    let (query, away) = (rows(&query, 2), rows(&away, 2));
    let unit = options(Vectors::Unit, Denominator::WithPositive, Reduction::Mean);
    let loss = info_nce(query, query, away, "0.01".parse().unwrap(), &unit).unwrap();
    let rest = 1.4157261468516825e-84;
    close(loss.queries[0], -200.0 * rest, 1e-14);
    close(loss.keys[0], -100.0 * rest, 1e-14);
    close(loss.negatives[0], 100.0 * rest / 1023.0, 1e-14);
    close(loss.tau_sum(), 2e4 * rest, 1e-14);
}

#[test]
fn normface_floors() {
    for (classes, scale, want) in [
        (10, 1.0, 1.376934920450193),
        (100, 1.0, 3.612377305906993),
        (1000, 1.0, 5.908473802943959),
        (10575, 1.0, 8.266315928710399),
        (1281167, 1.0, 13.06328249992938),
        (10575, 30.0, 9.866717439280531e-10),
        (1000, 64.0, 1.502781973598259e-25),
        (1025, 1.0, 5.933148884795731),
        (1025, 1.0 / 0.07, 6.3080814320863e-4),
        (65537, 1.0 / 0.07, 0.040126916823864991),
    ] {
        // The last two are given in 14 digits, or for a scale that is no f64.
        close(normface_lower_bound(classes, scale).unwrap(), want, 1e-14);
        if scale == 1.0 {
            close(normface_scale_for_loss(classes, want).unwrap(), scale, 1e-11);
        }
    }
    // Unrelated to all: ln(K + 1).
    close(normface_lower_bound(65537, 0.0).unwrap(), 11.090370147631773, 1e-15);
    assert_eq!(normface_lower_bound(1, 1.0).unwrap(), 0.0);
    close(normface_lower_bound(8, 0.0).unwrap(), 8f64.ln(), 1e-15);
    assert_eq!(normface_lower_bound(8, f64::INFINITY).unwrap(), 0.0);
}

#[test]
fn scales_for_a_loss_or_a_probability() {
    close(normface_scale_for_probability(10575, 0.999).unwrap(), 16.17137886242121, 1e-14);
    close(normface_scale_for_probability(1000, 0.9999).unwrap(), 16.10087815047878, 1e-14);
    // The largest τ that can reach a loss, of the research notes, in the digits they give.
    for (n, loss, tau) in [
        (256, 0.1, 0.1288),
        (4096, 0.1, 0.0946),
        (65536, 0.1, 0.0749),
        (256, 0.01, 0.0990),
        (4096, 0.01, 0.0774),
        (65536, 0.01, 0.0637),
    ] {
        let scale = normface_scale_for_loss(n, loss).unwrap();
        assert!((1.0 / scale - tau).abs() <= 0.5001e-4, "{n} {loss}: {}", 1.0 / scale);
        close(normface_lower_bound(n, scale).unwrap(), loss, 1e-13);
    }
    assert_eq!(normface_scale_for_loss(10, 0.0).unwrap(), f64::INFINITY);
    assert_eq!(normface_scale_for_probability(10, 1.0).unwrap(), f64::INFINITY);
    assert_eq!(normface_scale_for_probability(10, 0.1).unwrap(), 0.0);
}

#[test]
fn adacos_scales() {
    for (classes, want) in [
        (10, 3.1073447968483729),
        (100, 6.4984808127901611),
        (1000, 9.7676262799499684),
        (10575, 13.104319861346114),
        (85742, 16.064174047646332),
        (1281167, 19.888482946161824),
        (65537, 15.684130295496755),
    ] {
        close(adacos_fixed_scale(classes).unwrap(), want, 4.5e-16);
    }
    // The temperatures the research notes give, in their digits.
    close(1.0 / adacos_fixed_scale(1000).unwrap(), 0.10238, 1e-4);
    close(1.0 / adacos_fixed_scale(10575).unwrap(), 0.07631, 1e-4);
    close(1.0 / adacos_fixed_scale(1281167).unwrap(), 0.05028, 1e-4);
    close(1.0 / adacos_fixed_scale(65537).unwrap(), 0.06376, 1e-4);
    close(1.0 / adacos_fixed_scale(4097).unwrap(), 0.08501, 1e-4);
    close(1.0 / adacos_fixed_scale(1025).unwrap(), 0.10201, 1e-4);
}

/// SigLIP at its beginning, on pairs at right angles: B = 32768 in the formula, and here for 64.
#[test]
fn sig_lip_at_its_beginning() {
    let (n, one) = (64, 128);
    let images: Vec<f64> = (0..n * one).map(|i| f64::from(i % one == i / one)).collect();
    let texts: Vec<f64> = (0..n * one).map(|i| f64::from(i % one == i / one + n)).collect();
    let options = ContrastiveOptions::default();
    let loss = sig_lip(rows(&images, one), rows(&texts, one), tau(0.1), -10.0, &options).unwrap();
    // 10 + ln(1 + e^−10) + 63·ln(1 + e^−10), since all similarities are 0; with 32767 it is 11.4876311295382.
    let pair = (-10f64).exp().ln_1p();
    close(loss.value(), 10.0 + 64.0 * pair, 1e-14);
    close(10.0 + 32768.0 * pair, 11.4876311295382, 1e-14);
    let loss = sig_lip(rows(&images, one), rows(&texts, one), tau(0.1), 0.0, &options).unwrap();
    close(loss.value(), 64.0 * 2f64.ln(), 1e-14);
    close(32768.0 * 2f64.ln(), 22713.05, 1e-6);
}

/// Corners of a simplex reach the floor, in every loss within a batch.
#[test]
fn the_floor_is_reached_by_a_simplex() {
    let n = 40;
    // e_i − 1/n, normalised by the loss.
    let corners: Vec<f64> =
        (0..n * n).map(|i| f64::from(i % n == i / n) - 1.0 / n as f64).collect();
    let corners = rows(&corners, n);
    let options = ContrastiveOptions::default();
    for t in [1.0, 0.2, 0.07, 0.02] {
        let floor = normface_lower_bound(n, 1.0 / t).unwrap();
        let of_batch = info_nce_in_batch(corners, corners, tau(t), &options).unwrap();
        let of_clip = clip(corners, corners, tau(t), &options).unwrap();
        close(of_batch.value(), floor, 1e-12);
        close(of_clip.value(), floor, 1e-12);
    }
}

#[test]
fn limits_in_the_temperature() {
    let (queries, keys) = ([1.0, 0.0, 0.6, 0.8], [0.8, 0.6, 0.0, 1.0]);
    let (queries, keys) = (rows(&queries, 2), rows(&keys, 2));
    let options = ContrastiveOptions::default();
    let loss = info_nce_in_batch(queries, keys, Temperature::INFINITE, &options).unwrap();
    close(loss.value(), 2f64.ln(), 1e-15);
    assert!(loss.queries.iter().chain(&loss.keys).chain(&loss.tau).all(|&g| g == 0.0));
    let views = nt_xent(queries, keys, Temperature::INFINITE, &options).unwrap();
    close(views.value(), 3f64.ln(), 1e-15);
    // τ·L → max(0, max_j s_j − s₊): query 1 = (1, 0) is nearer to another key than to its own.
    let (first, second) = ([1.0, 0.0], [0.0, 1.0, 1.0, 0.0]);
    for t in [1e-3, 1e-30, 1e-300] {
        let (first, own) = (rows(&first, 2), [0.0, 1.0]);
        let loss = info_nce(first, rows(&own, 2), rows(&second, 2), tau(t), &options).unwrap();
        close(loss.value() * t, 1.0, 1e-12);
        assert!(loss.queries.iter().chain(&loss.negatives).all(|g: &f64| g.is_finite()));
    }
}

#[test]
fn the_empty_queue_and_no_rows() {
    let query = [0.6f32, 0.8];
    let query = rows(&query, 2);
    let queue = Queue::new(0, 2, Vectors::Normalise).unwrap();
    let loss = moco(query, query, &queue, tau(0.07), &ContrastiveOptions::default()).unwrap();
    assert_eq!((loss.value(), loss.tau_sum()), (0.0, 0.0));
    assert!(loss.queries.iter().chain(&loss.keys).all(|&g| g == 0.0));
    let none = Rows::<f32>::new(&[], 2).unwrap();
    let sum = options(Vectors::Normalise, Denominator::WithPositive, Reduction::Sum);
    let loss = info_nce(none, none, query, tau(0.07), &sum).unwrap();
    assert_eq!(loss.value(), 0.0);
    assert_eq!(loss.negatives, [0.0; 2]);
}
