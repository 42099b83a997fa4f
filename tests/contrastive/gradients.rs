//! Gradients, τ among them, against central differences of the fourth order, to 1e-8.

use softargmax::{
    ContrastiveLoss, ContrastiveOptions, Denominator, Labels, Queue, Reduction, Temperature,
    Vectors, clip, info_nce, info_nce_fixed, info_nce_in_batch, moco, nt_xent, sig_lip, sup_con,
};

use crate::contrastive::{noise, options, rows, tau};

/// `got` is the gradient of `f` at `x`.
#[track_caller]
pub(crate) fn check(what: &str, x: &[f64], got: &[f64], f: &dyn Fn(&[f64]) -> f64) {
    assert_eq!(x.len(), got.len(), "{what}");
    let size = got.iter().fold(1.0, |size: f64, g| size.max(g.abs()));
    for i in 0..x.len() {
        let at = |h: f64| {
            let mut moved = x.to_vec();
            moved[i] += h;
            f(&moved)
        };
        let h = 1e-3 * x[i].abs().clamp(0.05, 1.0);
        let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        assert!((got[i] - slope).abs() < 1e-8 * size, "{what}[{i}]: {} {slope}", got[i]);
    }
}

/// What is asked of a loss: vectors longer and shorter than 1, and as they are.
fn all_options() -> Vec<ContrastiveOptions> {
    let mut all = Vec::new();
    for vectors in [Vectors::Normalise, Vectors::AsGiven] {
        for denominator in [Denominator::WithPositive, Denominator::NegativesOnly] {
            for reduction in [Reduction::Mean, Reduction::Sum] {
                all.push(options(vectors, denominator, reduction));
            }
        }
    }
    all
}

type OfPairs<'a> = &'a dyn Fn(&[f64], &[f64], Temperature) -> ContrastiveLoss<f64>;

/// The gradients of a loss of queries and keys.
fn of_pairs(what: &str, n: usize, width: usize, loss: OfPairs) {
    let (x, y) = (noise(1, n * width), noise(2, n * width));
    for t in [0.3, 1.0] {
        let got = loss(&x, &y, tau(t));
        check(&format!("{what} queries"), &x, &got.queries, &|x| loss(x, &y, tau(t)).value());
        check(&format!("{what} keys"), &y, &got.keys, &|y| loss(&x, y, tau(t)).value());
        check(&format!("{what} tau"), &[t], &[got.tau_sum()], &|t| loss(&x, &y, tau(t[0])).value());
    }
}

#[test]
fn of_info_nce() {
    let negatives = noise(3, 5 * 3);
    for options in all_options() {
        let loss = |x: &[f64], y: &[f64], z: &[f64], tau| {
            info_nce(rows(x, 3), rows(y, 3), rows(z, 3), tau, &options).unwrap()
        };
        of_pairs("info_nce", 4, 3, &|x, y, tau| loss(x, y, &negatives, tau));
        let (x, y) = (noise(1, 12), noise(2, 12));
        let got = loss(&x, &y, &negatives, tau(0.3)).negatives;
        check("negatives", &negatives, &got, &|z| loss(&x, &y, z, tau(0.3)).value());
        let mut queue = Queue::new(5, 3, options.vectors).unwrap();
        queue.push(rows(&negatives, 3)).unwrap();
        of_pairs("moco", 4, 3, &|x, y, tau| {
            moco(rows(x, 3), rows(y, 3), &queue, tau, &options).unwrap()
        });
        // Keys of somebody else's, as the queue holds them.
        let kept: Vec<f64> = queue.oldest_first().flatten().copied().collect();
        let moco = moco(rows(&x, 3), rows(&y, 3), &queue, tau(0.3), &options).unwrap();
        let fixed =
            info_nce_fixed(rows(&x, 3), rows(&y, 3), rows(&kept, 3), tau(0.3), &options).unwrap();
        assert_eq!(fixed, moco);
    }
}

#[test]
fn of_losses_within_a_batch() {
    for options in all_options() {
        of_pairs("in batch", 5, 3, &|x, y, tau| {
            info_nce_in_batch(rows(x, 3), rows(y, 3), tau, &options).unwrap()
        });
        of_pairs("clip", 5, 3, &|x, y, tau| clip(rows(x, 3), rows(y, 3), tau, &options).unwrap());
        of_pairs("nt_xent", 5, 3, &|x, y, tau| {
            nt_xent(rows(x, 3), rows(y, 3), tau, &options).unwrap()
        });
    }
}

#[test]
fn of_sup_con() {
    // A class of three, one of two, one alone, one ignored.
    let labels = [0, 1, 0, 2, 1, 0, -1];
    let labels = Labels::with_ignored(&labels, 3, -1).unwrap();
    for options in all_options() {
        if options.denominator == Denominator::NegativesOnly {
            continue;
        }
        let x = noise(4, 21);
        let loss = |x: &[f64], t: f64| sup_con(rows(x, 3), labels, tau(t), &options).unwrap();
        for t in [0.3, 1.0] {
            let got = loss(&x, t);
            assert_eq!(got.anchors, 5);
            check("vectors", &x, &got.vectors, &|x| loss(x, t).value());
            check("tau", &[t], &[got.tau_sum()], &|t| loss(&x, t[0]).value());
        }
    }
}

#[test]
fn of_sig_lip() {
    let (x, y) = (noise(5, 12), noise(6, 12));
    for options in all_options() {
        if options.denominator == Denominator::NegativesOnly {
            continue;
        }
        let loss = |x: &[f64], y: &[f64], t: f64, bias| {
            sig_lip(rows(x, 3), rows(y, 3), tau(t), bias, &options).unwrap()
        };
        let got = loss(&x, &y, 0.3, -2.0);
        check("queries", &x, &got.queries, &|x| loss(x, &y, 0.3, -2.0).value());
        check("keys", &y, &got.keys, &|y| loss(&x, y, 0.3, -2.0).value());
        check("tau", &[0.3], &[got.tau_sum()], &|t| loss(&x, &y, t[0], -2.0).value());
        check("bias", &[-2.0], &[got.bias_sum()], &|b| loss(&x, &y, 0.3, b[0]).value());
    }
}

/// More rows and columns than a tile has, in one direction of all inputs, and in f32 against f64.
#[test]
fn over_several_tiles() {
    let (n, width, k) = (130, 5, 1100);
    let (x, y, z) = (noise(7, n * width), noise(8, n * width), noise(9, k * width));
    let options = ContrastiveOptions::default();
    let at = |h: f64| {
        let moved = |of: &[f64], by: &[f64]| -> Vec<f64> {
            of.iter().zip(by.iter().cycle().skip(3)).map(|(a, b)| a + h * b).collect()
        };
        let (x, y, z) = (moved(&x, &y), moved(&y, &z), moved(&z, &x));
        info_nce(rows(&x, width), rows(&y, width), rows(&z, width), tau(0.07 + h * 0.1), &options)
            .unwrap()
    };
    let got = at(0.0);
    let along = |g: &[f64], by: &[f64]| -> f64 {
        g.iter().zip(by.iter().cycle().skip(3)).map(|(g, b)| g * b).sum()
    };
    let want = along(&got.queries, &y) + along(&got.keys, &z) + along(&got.negatives, &x);
    let want = want + got.tau_sum() * 0.1;
    let h = 1e-4;
    let value = |h: f64| at(h).value();
    let slope = (8.0 * (value(h) - value(-h)) - (value(2.0 * h) - value(-2.0 * h))) / (12.0 * h);
    assert!((want - slope).abs() < 1e-8 * want.abs(), "{want} {slope}");

    let narrow = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let (x, y, z) = (narrow(&x), narrow(&y), narrow(&z));
    let (x, y, z) = (rows(&x, width), rows(&y, width), rows(&z, width));
    let single = info_nce(x, y, z, tau(0.07), &options).unwrap();
    assert!((single.value() - got.value()).abs() < 2f64.powi(-22) * 2.0 / 0.07 * got.value());
    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    crate::contrastive::all_close(&wide(&single.queries), &got.queries, 1e-4);
    crate::contrastive::all_close(&wide(&single.negatives), &got.negatives, 1e-4);
}
