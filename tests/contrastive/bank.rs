//! The memory bank: its softmax, its estimate of it, and what becomes of its entries.

use softargmax::{
    ContrastiveOptions, Denominator, Error, Labels, MemoryBank, Reduction, Rows, Temperature,
    Vectors, info_nce,
};

use crate::contrastive::gradients::check;
use crate::contrastive::{all_close, close, noise, options, rows, tau};

fn bank(entries: &[f64], width: usize) -> MemoryBank<f64> {
    MemoryBank::from_vectors(rows(entries, width), 7).unwrap()
}

/// −ln h₊ − m·ln(1 − h) where the only entry is the positive and all of the noise.
#[test]
fn one_entry_is_its_own_noise() {
    let (v, images, m) = ([0.6, 0.8], Labels::new(&[0], 1).unwrap(), 5);
    for (t, log_z) in [(0.07, 3.0), (1.0, -2.0), (0.01, 100.0)] {
        let mut bank = bank(&[1.0, 0.0], 2);
        bank.set_log_z(Some(log_z)).unwrap();
        let options = ContrastiveOptions::default();
        let loss = bank.nce(rows(&v, 2), images, tau(t), m, &options).unwrap();
        let x: f64 = 0.6 / t - (log_z + 5f64.ln());
        let h = 1.0 / (1.0 + (-x).exp());
        let want = (-x).exp().ln_1p() + 5.0 * x.exp().ln_1p();
        close(loss.value(), want, 1e-14);
        close(loss.tau_sum(), -0.6 / (t * t) * (5.0 * h - 1.0 / (1.0 + x.exp())), 1e-13);
        assert_eq!(bank.log_z(), Some(log_z));
    }
}

/// Σ_j n/m of what is drawn is the sum over the bank, and its spread that of m draws.
#[test]
fn the_noise_is_uniform_over_the_bank() {
    let (n, width, m) = (11, 3, 20_000);
    let (entries, v) = (noise(31, n * width), noise(32, width));
    let options = ContrastiveOptions::default();
    let (images, t) = (Labels::new(&[4], n).unwrap(), 0.3);
    let mut bank = bank(&entries, width);
    bank.set_log_z(Some(2.0)).unwrap();
    let bias = -(2.0 + (m as f64 / n as f64).ln());
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let x: Vec<f64> = bank
        .entries()
        .iter()
        .map(|e| e.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>() / length / t + bias)
        .collect();
    let each: Vec<f64> = x.iter().map(|x| x.exp().ln_1p()).collect();
    let mean = each.iter().sum::<f64>() / n as f64;
    let deviation = (each.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
    let mut values = Vec::new();
    for _ in 0..20 {
        let value = bank.nce(rows(&v, width), images, tau(t), m, &options).unwrap().value();
        let drawn = (value - (-x[4]).exp().ln_1p()) / m as f64;
        assert!((drawn - mean).abs() < 5.0 * deviation / (m as f64).sqrt(), "{drawn} {mean}");
        values.push(value);
    }
    // Every batch draws its own.
    assert!(values.windows(2).all(|pair| pair[0] != pair[1]));
}

/// On the sphere Z is n·₀F₁(; D/2; 1/(4τ²)), and the bias −ln(Z·m/n) = −9.110148457684 at D = 128, τ = 0.07, m = 4096.
/// (Research notes, from mpmath.)
#[test]
fn the_constant_is_estimated_from_the_first_batch_and_stays() {
    let (n, width, m) = (20_000, 128, 4096);
    let mut bank = MemoryBank::<f32>::new(n, width, 3).unwrap();
    let vectors: Vec<f32> = noise(33, 32 * width).iter().map(|&x| x as f32).collect();
    let images: Vec<i64> = (0..32).collect();
    let images = Labels::new(&images, n).unwrap();
    let options = ContrastiveOptions::default();
    assert_eq!(bank.log_z(), None);
    bank.nce(rows(&vectors, width), images, tau(0.07), m, &options).unwrap();
    let log_z = bank.log_z().unwrap();
    let bias = -(log_z + (m as f64 / n as f64).ln());
    // exp(s/τ) has a relative variance of about exp(1/(τ²·D)) − 1 = 3.9 here, and 131072 were drawn.
    assert!((bias + 9.110148457684).abs() < 5.0 * (3.9f64 / 131072.0).sqrt(), "{bias}");
    bank.nce(rows(&vectors, width), images, tau(0.5), m, &options).unwrap();
    assert_eq!(bank.log_z(), Some(log_z));
    bank.set_log_z(None).unwrap();
    bank.nce(rows(&vectors, width), images, tau(0.5), m, &options).unwrap();
    assert_ne!(bank.log_z(), Some(log_z));
}

#[test]
fn gradients_agree_with_finite_differences() {
    let (n, width, m) = (9, 3, 30);
    let (entries, v) = (noise(34, n * width), noise(35, 4 * width));
    let images = [3, 0, -1, 8];
    let images = Labels::with_ignored(&images, n, -1).unwrap();
    for vectors in [Vectors::Normalise, Vectors::AsGiven] {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let options = options(vectors, Denominator::WithPositive, reduction);
            for log_z in [None, Some(1.5)] {
                let mut bank = bank(&entries, width);
                bank.set_log_z(log_z).unwrap();
                if log_z.is_none() {
                    // Z is a constant for the gradients, so it must be one for the differences.
                    bank.nce(rows(&v, width), images, tau(0.3), m, &options).unwrap();
                }
                // A clone draws the same noise.
                let loss = |v: &[f64], t: f64| {
                    bank.clone().nce(rows(v, width), images, tau(t), m, &options).unwrap()
                };
                let got = loss(&v, 0.3);
                assert_eq!(got.anchors, 3);
                check("vectors", &v, &got.vectors, &|v| loss(v, 0.3).value());
                check("tau", &[0.3], &[got.tau_sum()], &|t| loss(&v, t[0]).value());
            }
            let bank = bank(&entries, width);
            let loss =
                |v: &[f64], t: f64| bank.softmax(rows(v, width), images, tau(t), &options).unwrap();
            let got = loss(&v, 0.3);
            check("vectors", &v, &got.vectors, &|v| loss(v, 0.3).value());
            check("tau", &[0.3], &[got.tau_sum()], &|t| loss(&v, t[0]).value());
        }
    }
}

#[test]
fn its_softmax_is_info_nce_with_all_other_entries() {
    let (n, width) = (40, 5);
    let (entries, v) = (noise(36, n * width), noise(37, width));
    let options = ContrastiveOptions::default();
    for image in [0, 17, 39] {
        let label = [image as i64];
        let images = Labels::new(&label, n).unwrap();
        let got =
            bank(&entries, width).softmax(rows(&v, width), images, tau(0.07), &options).unwrap();
        let (before, rest) = entries.split_at(image * width);
        let (own, after) = rest.split_at(width);
        let others = [before, after].concat();
        let want =
            info_nce(rows(&v, width), rows(own, width), rows(&others, width), tau(0.07), &options)
                .unwrap();
        close(got.value(), want.value(), 1e-13);
        all_close(&got.vectors, &want.queries, 1e-12);
        close(got.tau_sum(), want.tau_sum(), 1e-12);
    }
}

#[test]
fn entries_move_and_stay_on_the_sphere() {
    let mut bank = bank(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0], 2);
    let images = Labels::with_ignored(&[1, -1, 2], 3, -1).unwrap();
    bank.update(rows(&[5.0, 0.0, 0.0, 1.0, 0.0, 2.0], 2), images, 0.5).unwrap();
    let half = 0.5f64.sqrt();
    all_close(bank.entries().as_slice(), &[1.0, 0.0, half, half, half, half], 1e-15);
    // Twice in a batch is two moves: μ = 0 leaves the last.
    let images = Labels::new(&[0, 0], 3).unwrap();
    bank.update(rows(&[0.0, 1.0, -1.0, 0.0], 2), images, 0.0).unwrap();
    assert_eq!(bank.entries().iter().next().unwrap(), [-1.0, 0.0]);
    let before = bank.clone();
    bank.update(rows(&[0.0, 1.0, 0.6, 0.8], 2), images, 1.0).unwrap();
    all_close(bank.entries().as_slice(), before.entries().as_slice(), 1e-15);
    // The second cancels: the first has not moved either.
    let before = bank.clone();
    let images = Labels::new(&[1, 0], 3).unwrap();
    let error = bank.update(rows(&[0.0, 1.0, 1.0, 0.0], 2), images, 0.5).unwrap_err();
    assert!(matches!(error, Error::Row { row: 1, .. }), "{error}");
    assert!(bank == before);
}

#[test]
fn a_new_bank_is_uniform_on_the_sphere_and_its_seed_decides() {
    let (n, width) = (4000, 8);
    let bank = MemoryBank::<f64>::new(n, width, 5).unwrap();
    let mut sum = vec![0.0; width];
    for entry in bank.entries().iter() {
        close(entry.iter().map(|x| x * x).sum(), 1.0, 1e-14);
        sum.iter_mut().zip(entry).for_each(|(sum, x)| *sum += x);
    }
    // Each coordinate has mean 0 and variance 1/width.
    let most = 5.0 * (n as f64 / width as f64).sqrt();
    assert!(sum.iter().all(|sum| sum.abs() < most), "{sum:?}");
    assert!(bank == MemoryBank::new(n, width, 5).unwrap());
    assert!(bank != MemoryBank::new(n, width, 6).unwrap());
}

#[cfg(feature = "rayon")]
#[test]
fn the_bits_do_not_depend_on_threads() {
    let (n, width, count) = (700, 12, 50);
    let v: Vec<f32> = noise(38, count * width).iter().map(|&x| x as f32).collect();
    let images: Vec<i64> = (0..count as i64).map(|i| i * 13).collect();
    let images = Labels::new(&images, n).unwrap();
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut bank = MemoryBank::new(n, width, 5).unwrap();
            let options = ContrastiveOptions::default();
            let estimate = bank.nce(rows(&v, width), images, tau(0.07), 600, &options).unwrap();
            (estimate, bank.softmax(rows(&v, width), images, tau(0.07), &options).unwrap(), bank)
        })
    };
    let one = of(1);
    for threads in [2, 5] {
        assert!(of(threads) == one, "{threads} threads");
    }
}

#[test]
fn special_values_and_refusals() {
    let entries = [1.0, 0.0, 0.0, 1.0];
    let mut bank = bank(&entries, 2);
    let images = Labels::new(&[0, 1], 2).unwrap();
    let (fine, o) = ([0.6, 0.8, 1.0, 0.0], ContrastiveOptions::default());
    let loss = bank.softmax(rows(&fine, 2), images, Temperature::INFINITE, &o).unwrap();
    close(loss.value(), 2f64.ln(), 1e-15);
    assert!(loss.vectors.iter().all(|&g| g == 0.0));
    let before = bank.clone();
    let unit = options(Vectors::Unit, Denominator::WithPositive, Reduction::Mean);
    let only = options(Vectors::Normalise, Denominator::NegativesOnly, Reduction::Mean);
    let mut nce = |v: &[f64], images, t: Temperature, m, o: &ContrastiveOptions| {
        let error = bank.nce(rows(v, 2), images, t, m, o).unwrap_err();
        assert!(bank == before, "{error}");
        error
    };
    let short = Labels::new(&[0], 2).unwrap();
    let other = Labels::new(&[0, 1], 3).unwrap();
    let none = Labels::with_ignored(&[-1, -1], 2, -1).unwrap();
    let bad = [0.6, 0.8, f64::NAN, 0.0];
    assert!(matches!(nce(&bad, images, tau(0.1), 4, &o), Error::Row { row: 1, .. }));
    assert!(matches!(nce(&[1.0, 0.0, 2.0, 0.0], images, tau(0.1), 4, &unit), Error::Row { .. }));
    assert!(matches!(nce(&fine, short, tau(0.1), 4, &o), Error::Shape { .. }));
    assert!(matches!(nce(&fine, other, tau(0.1), 4, &o), Error::Shape { .. }));
    assert!(matches!(nce(&fine, images, Temperature::ZERO, 4, &o), Error::Parameter { .. }));
    assert!(matches!(nce(&fine, images, tau(0.1), 0, &o), Error::Parameter { .. }));
    assert!(matches!(nce(&fine, images, tau(0.1), 4, &only), Error::Parameter { .. }));
    assert_eq!(nce(&fine, none, tau(0.1), 4, &o), Error::NoRows);
    // No vector counts, and nothing is learnt about Z.
    let sum = options(Vectors::Normalise, Denominator::WithPositive, Reduction::Sum);
    let loss = bank.nce(rows(&fine, 2), none, tau(0.1), 4, &sum).unwrap();
    assert_eq!((loss.value(), loss.anchors, bank.log_z()), (0.0, 0, None));
    for z in [f64::NAN, f64::INFINITY] {
        assert!(matches!(bank.set_log_z(Some(z)), Err(Error::Parameter { .. })));
    }
    let mut single = MemoryBank::from_vectors(rows(&[1f32, 0.0], 2), 0).unwrap();
    single.set_log_z(Some(1e40)).unwrap();
    let own = Labels::new(&[0], 1).unwrap();
    let error = single.nce(rows(&[1f32, 0.0], 2), own, tau(0.1), 4, &o).unwrap_err();
    assert!(matches!(error, Error::Parameter { what: "ln Z", .. }), "{error}");
    for momentum in [f64::NAN, -0.1, 1.1] {
        let error = bank.update(rows(&fine, 2), images, momentum).unwrap_err();
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
    let three = [1.0; 3];
    assert!(matches!(bank.update(rows(&three, 3), short, 0.5), Err(Error::Shape { .. })));
    let single = crate::contrastive::bank::bank(&[1.0, 0.0], 2);
    let error = single.softmax(rows(&fine[..2], 2), Labels::new(&[0], 1).unwrap(), tau(0.1), &only);
    assert!(matches!(error, Err(Error::Parameter { .. })));
    let alone = single.softmax(rows(&fine[..2], 2), Labels::new(&[0], 1).unwrap(), tau(0.1), &o);
    assert_eq!(alone.unwrap().value(), 0.0);
    assert_eq!(MemoryBank::<f32>::new(0, 2, 0).unwrap_err(), Error::NoClasses);
    assert_eq!(MemoryBank::<f32>::new(2, 0, 0).unwrap_err(), Error::NoClasses);
    let nothing = Rows::<f64>::new(&[], 2).unwrap();
    assert_eq!(MemoryBank::from_vectors(nothing, 0).unwrap_err(), Error::NoClasses);
    let zero = MemoryBank::from_vectors(rows(&[1.0, 0.0, 0.0, 0.0], 2), 0);
    assert!(matches!(zero, Err(Error::Row { row: 1, .. })));
}
