//! What two losses must have in common, and what must not show in a result.

use softargmax::{
    ContrastiveOptions, Denominator, Labels, LogScale, Queue, Reduction, Vectors, clip, info_nce,
    info_nce_in_batch, moco, momentum_update, nt_xent, sig_lip, sup_con,
};

use crate::contrastive::{all_close, close, noise, options, rows, tau};
use crate::support::number::on_every_isa;

#[test]
fn sup_con_with_one_positive_is_nt_xent() {
    let (n, width) = (40, 6);
    let (x, y) = (noise(1, n * width), noise(2, n * width));
    let labels: Vec<i64> = (0..2 * n).map(|i| (i % n) as i64).collect();
    let both = [x.clone(), y.clone()].concat();
    for t in [0.01, 0.1, 0.5] {
        let options = ContrastiveOptions::default();
        let views = nt_xent(rows(&x, width), rows(&y, width), tau(t), &options).unwrap();
        let labels = Labels::new(&labels, n).unwrap();
        let labelled = sup_con(rows(&both, width), labels, tau(t), &options).unwrap();
        assert_eq!(labelled.anchors, 2 * n);
        assert_eq!(labelled.values, views.values);
        assert_eq!(labelled.tau, views.tau);
        assert_eq!(labelled.vectors, [views.queries, views.keys].concat());
    }
}

#[test]
fn clip_exchanged_is_clip_with_its_gradients_exchanged() {
    let (n, width) = (70, 6);
    let (x, y) = (noise(3, n * width), noise(4, n * width));
    let (x, y) = (rows(&x, width), rows(&y, width));
    let per_row = options(Vectors::Normalise, Denominator::WithPositive, Reduction::PerRow);
    let (one, other) = (clip(x, y, tau(0.07), &per_row), clip(y, x, tau(0.07), &per_row));
    let (one, other) = (one.unwrap(), other.unwrap());
    all_close(&one.values, &other.values, 1e-14);
    all_close(&one.tau, &other.tau, 1e-13);
    all_close(&one.queries, &other.keys, 1e-13);
    all_close(&one.keys, &other.queries, 1e-13);
    // And it is the mean of the two directions.
    let there = info_nce_in_batch(x, y, tau(0.07), &per_row).unwrap();
    let back = info_nce_in_batch(y, x, tau(0.07), &per_row).unwrap();
    let mean =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| 0.5 * (a + b)).collect::<Vec<_>>();
    all_close(&one.values, &mean(&there.values, &back.values), 1e-14);
    all_close(&one.tau, &mean(&there.tau, &back.tau), 1e-13);
    all_close(&one.queries, &mean(&there.queries, &back.keys), 1e-13);
    all_close(&one.keys, &mean(&there.keys, &back.queries), 1e-13);
}

/// −log h₊ − Σ log(1 − h_j), h = P/(P + m·P_n), P = exp(s/τ)/Z: instance discrimination's estimate.
#[test]
fn noise_contrastive_estimation_is_sig_lip_with_a_fixed_bias() {
    let (n, width, t) = (30, 8, 0.07);
    let (x, y) = (noise(5, n * width), noise(6, n * width));
    let (m, images, z) = ((n - 1) as f64, 50000.0, 3e4);
    let bias = -f64::ln(z * m / images);
    let unit = |v: &[f64]| -> Vec<f64> {
        let rows = v.chunks_exact(width);
        rows.flat_map(|v| {
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.iter().map(move |x| x / length).collect::<Vec<_>>()
        })
        .collect()
    };
    let (ux, uy) = (unit(&x), unit(&y));
    let mut want = 0.0;
    for i in 0..n {
        for j in 0..n {
            let s: f64 = (0..width).map(|d| ux[i * width + d] * uy[j * width + d]).sum();
            let p = (s / t).exp() / z;
            let h = p / (p + m / images);
            want -= if i == j { h.ln() } else { (1.0 - h).ln() } / n as f64;
        }
    }
    let options = ContrastiveOptions::default();
    let loss = sig_lip(rows(&x, width), rows(&y, width), tau(t), bias, &options).unwrap();
    close(loss.value(), want, 1e-12);
}

#[test]
fn decoupled_is_the_loss_without_the_positive() {
    let (n, width) = (9, 4);
    let (x, y) = (noise(7, n * width), noise(8, n * width));
    let (x, y) = (rows(&x, width), rows(&y, width));
    let of = |denominator| {
        let options = options(Vectors::Normalise, denominator, Reduction::PerRow);
        info_nce_in_batch(x, y, tau(0.2), &options).unwrap().values
    };
    let (full, decoupled) = (of(Denominator::WithPositive), of(Denominator::NegativesOnly));
    assert!(decoupled.iter().any(|&loss| loss < 0.0));
    for (full, decoupled) in full.iter().zip(decoupled) {
        close(*full, decoupled.exp().ln_1p(), 1e-13);
    }
}

#[test]
fn a_batch_is_info_nce_of_each_row_by_itself() {
    let (n, width) = (7, 4);
    let (x, y) = (noise(9, n * width), noise(10, n * width));
    let per_row = options(Vectors::Normalise, Denominator::WithPositive, Reduction::PerRow);
    let got = info_nce_in_batch(rows(&x, width), rows(&y, width), tau(0.07), &per_row).unwrap();
    for i in 0..n {
        let (before, rest) = y.split_at(i * width);
        let (own, after) = rest.split_at(width);
        let others = [before, after].concat();
        let query = &x[i * width..(i + 1) * width];
        let (query, own, others) = (rows(query, width), rows(own, width), rows(&others, width));
        let want = info_nce(query, own, others, tau(0.07), &per_row).unwrap();
        close(got.values[i], want.values[0], 1e-13);
        all_close(&got.queries[i * width..(i + 1) * width], &want.queries, 1e-12);
    }
}

#[test]
fn the_negatives_may_come_in_any_order() {
    let (k, width) = (1300, 5);
    let (x, y, z) = (noise(11, width), noise(12, width), noise(13, k * width));
    let backwards: Vec<f64> = z.chunks_exact(width).rev().flatten().copied().collect();
    let of = |z: &[f64]| {
        let options = ContrastiveOptions::default();
        info_nce(rows(&x, width), rows(&y, width), rows(z, width), tau(0.07), &options).unwrap()
    };
    let (one, other) = (of(&z), of(&backwards));
    close(one.value(), other.value(), 1e-14);
    all_close(&one.queries, &other.queries, 1e-13);
    let turned: Vec<f64> = other.negatives.chunks_exact(width).rev().flatten().copied().collect();
    all_close(&one.negatives, &turned, 1e-13);
}

#[cfg(feature = "rayon")]
#[test]
fn the_bits_do_not_depend_on_threads() {
    let (n, width) = (333, 20);
    let narrow = |seed| noise(seed, n * width).iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let (x, y) = (narrow(14), narrow(15));
    let labels: Vec<i64> = (0..n as i64).map(|i| i % 100).collect();
    let mut queue = Queue::new(3000, width, Vectors::Normalise).unwrap();
    queue
        .push(rows(&noise(21, 3000 * width).iter().map(|&x| x as f32).collect::<Vec<_>>(), width))
        .unwrap();
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let options = ContrastiveOptions::default();
            let (x, y) = (rows(&x, width), rows(&y, width));
            let labels = Labels::new(&labels, 100).unwrap();
            (
                info_nce(x, y, y, tau(0.07), &options).unwrap(),
                clip(x, y, tau(0.07), &options).unwrap(),
                nt_xent(x, y, tau(0.07), &options).unwrap(),
                sup_con(x, labels, tau(0.07), &options).unwrap(),
                sig_lip(x, y, tau(0.07), -5.0, &options).unwrap(),
                moco(x, y, &queue, tau(0.07), &options).unwrap(),
            )
        })
    };
    let one = of(1);
    for threads in [2, 3, 7] {
        assert!(of(threads) == one, "{threads} threads");
    }
}

/// On one machine the products of matrices are the same, and what is made of them is so on every instruction set.
#[test]
fn the_bits_do_not_depend_on_the_kernels_instruction_set() {
    let (n, width) = (70, 20);
    let narrow = |seed| noise(seed, n * width).iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let (x, y) = (narrow(22), narrow(23));
    let of_all = || {
        let options = ContrastiveOptions::default();
        let (x, y) = (rows(&x, width), rows(&y, width));
        (
            info_nce(x, y, y, tau(0.07), &options).unwrap(),
            clip(x, y, tau(0.07), &options).unwrap(),
            nt_xent(x, y, tau(0.07), &options).unwrap(),
            sig_lip(x, y, tau(0.07), -5.0, &options).unwrap(),
        )
    };
    let first = of_all();
    on_every_isa(|isa| assert!(of_all() == first, "{isa:?}"));
}

#[test]
fn a_queue_keeps_the_last_keys_whatever_the_batches() {
    for capacity in [1, 2, 5, 7] {
        for batch in [1, 2, 3, 5, 7, 9] {
            let mut queue = Queue::new(capacity, 2, Vectors::AsGiven).unwrap();
            let mut all: Vec<[f64; 2]> = Vec::new();
            for step in 0..6 {
                let keys: Vec<[f64; 2]> =
                    (0..batch).map(|i| [(step * batch + i) as f64, 1.0]).collect();
                queue.push(rows(keys.as_flattened(), 2)).unwrap();
                all.extend(keys);
                let last = &all[all.len().saturating_sub(capacity)..];
                assert_eq!(queue.len(), last.len());
                assert!(queue.oldest_first().eq(last.iter().map(|key| &key[..])));
            }
        }
    }
}

#[test]
fn a_queue_gives_what_its_keys_would() {
    let (n, width) = (6, 4);
    let (x, y, z) = (noise(16, n * width), noise(17, n * width), noise(18, 11 * width));
    let mut queue = Queue::new(8, width, Vectors::Normalise).unwrap();
    queue.push(rows(&z[..7 * width], width)).unwrap();
    queue.push(rows(&z[7 * width..], width)).unwrap();
    let options = ContrastiveOptions::default();
    let (x, y) = (rows(&x, width), rows(&y, width));
    let got = moco(x, y, &queue, tau(0.07), &options).unwrap();
    let want = info_nce(x, y, rows(&z[3 * width..], width), tau(0.07), &options).unwrap();
    close(got.value(), want.value(), 1e-14);
    all_close(&got.queries, &want.queries, 1e-13);
    assert!(got.negatives.is_empty());
}

#[test]
fn momentum_moves_between_two_encoders() {
    let mut key = [1f32, -2.0];
    momentum_update(&mut key, &[2.0, 2.0], 1.0).unwrap();
    assert_eq!(key, [1.0, -2.0]);
    momentum_update(&mut key, &[2.0, 2.0], 0.999).unwrap();
    assert_eq!(key, [1.001, -1.996]);
    momentum_update(&mut key, &[2.0, 2.0], 0.0).unwrap();
    assert_eq!(key, [2.0, 2.0]);
}

#[test]
fn a_learnt_scale_stays_within_its_bounds() {
    let mut scale = LogScale::CLIP;
    close(scale.temperature().tau(), 0.07, 1e-15);
    assert_eq!(scale.gradient(1.0), -scale.temperature().tau());
    scale.add(10.0);
    close(scale.temperature().tau(), 0.01, 1e-15);
    scale.add(f64::NAN);
    scale.add(f64::NEG_INFINITY);
    assert_eq!(scale.temperature().tau(), 1.0);
    assert_eq!(LogScale::new(9.0, 0.0, 1.0).unwrap().value(), 1.0);
    assert!(LogScale::new(f64::NAN, 0.0, 1.0).is_err());
    assert!(LogScale::new(0.0, 2.0, 1.0).is_err());
}

/// 16-bit vectors are computed in f32 and rounded once.
#[cfg(feature = "half")]
#[test]
fn half_vectors() {
    use half::bf16;
    let (n, width) = (20, 8);
    let narrow =
        |seed| noise(seed, n * width).iter().map(|&x| bf16::from_f64(x)).collect::<Vec<_>>();
    let (x, y) = (narrow(19), narrow(20));
    let wide = |v: &[bf16]| v.iter().map(|x| x.to_f32()).collect::<Vec<_>>();
    let (wx, wy) = (wide(&x), wide(&y));
    let options = ContrastiveOptions::default();
    let got: softargmax::ContrastiveLoss<bf16> =
        clip(rows(&x, width), rows(&y, width), tau(0.07), &options).unwrap();
    let want = clip(rows(&wx, width), rows(&wy, width), tau(0.07), &options).unwrap();
    assert_eq!(got.values, want.values);
    let distance = |(a, &b): (&bf16, &f32)| (a.to_f32() - b).abs() <= b.abs() / 256.0;
    assert!(got.queries.iter().zip(&want.queries).all(distance));
}
