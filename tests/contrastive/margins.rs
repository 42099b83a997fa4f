//! The normalised softmax with its margins, and the scale of AdaCos that follows the batch.

use softargmax::{
    Error, Labels, Margin, Reduction, Rows, Temperature, adacos_dynamic_scale, adacos_fixed_scale,
    normalised_softmax, normface_lower_bound,
};

use crate::contrastive::{all_close, close, noise, rows, tau};

pub(crate) const MARGINS: [Margin; 5] = [
    Margin::None,
    Margin::Cosine(0.35),
    Margin::Angle(0.5),
    Margin::Angle(0.0),
    Margin::Angle(2.5), // most cosines are beyond π − m
];

#[test]
fn gradients_agree_with_finite_differences() {
    let (n, classes) = (6, 19);
    let cosines: Vec<f64> = noise(1, n * classes).iter().map(|x| 0.9 * x).collect();
    let labels = [3, 0, 18, -1, 7, 7];
    let labels = Labels::with_ignored(&labels, classes, -1).unwrap();
    for margin in MARGINS {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            for t in [0.2, 1.0] {
                let loss = |x: &[f64], t: f64| {
                    normalised_softmax(rows(x, classes), labels, margin, tau(t), reduction).unwrap()
                };
                let got = loss(&cosines, t);
                let slope = |f: &dyn Fn(f64) -> f64| {
                    let h = 1e-4;
                    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
                };
                for i in 0..cosines.len() {
                    let want = slope(&|h| {
                        let mut moved = cosines.clone();
                        moved[i] += h;
                        loss(&moved, t).value()
                    });
                    assert!((got.logits[i] - want).abs() < 1e-8 / t, "{margin:?} {i} {want}");
                }
                let want = slope(&|h| loss(&cosines, t + h).value());
                assert!((got.tau_sum() - want).abs() < 1e-8 / t, "{margin:?} tau {want}");
            }
        }
    }
}

#[test]
fn the_margin_is_in_the_cosine_or_in_the_angle() {
    let (cosines, labels) = ([0.5, 0.1, -0.3], [0]);
    let labels = Labels::new(&labels, 3).unwrap();
    let of = |margin| {
        let loss = normalised_softmax(rows(&cosines, 3), labels, margin, tau(0.1), Reduction::Sum);
        loss.unwrap().value()
    };
    let want = |target: f64| ((1.0 - 10.0 * target).exp() + (-3.0 - 10.0 * target).exp()).ln_1p();
    close(of(Margin::None), want(0.5), 1e-13);
    close(of(Margin::Cosine(0.35)), want(0.15), 1e-13);
    close(of(Margin::Angle(0.5)), want((0.5f64.acos() + 0.5).cos()), 1e-13);
    let beyond = 0.5 - 2.5 * 2.5f64.sin();
    close(of(Margin::Angle(2.5)), want(beyond), 1e-13);
}

#[test]
fn confident_rows_keep_their_loss() {
    let cosines = [1.0, -1.0, -1.0];
    let labels = Labels::new(&[0], 3).unwrap();
    let loss =
        normalised_softmax(rows(&cosines, 3), labels, Margin::None, tau(0.01), Reduction::Mean);
    let loss = loss.unwrap();
    let want = 2.0 * (-200f64).exp();
    close(loss.value(), want, 1e-13);
    all_close(&loss.logits, &[-100.0 * want, 50.0 * want, 50.0 * want], 1e-13);
    close(loss.tau_sum(), want * 2.0 / 1e-4, 1e-13);
    // At cos θ = 1 the slope of the angle is infinite, and the gradient is not.
    let angle = Margin::Angle(0.5);
    let loss = normalised_softmax(rows(&cosines, 3), labels, angle, tau(0.1), Reduction::Mean);
    assert!(loss.unwrap().logits.iter().all(|g| g.is_finite()));
}

#[test]
fn a_simplex_reaches_the_floor() {
    let n = 30;
    let cosines: Vec<f64> =
        (0..n * n).map(|i| if i % n == i / n { 1.0 } else { -1.0 / (n - 1) as f64 }).collect();
    let labels: Vec<i64> = (0..n as i64).collect();
    let labels = Labels::new(&labels, n).unwrap();
    for t in [1.0, 0.1, 1.0 / 30.0] {
        let loss =
            normalised_softmax(rows(&cosines, n), labels, Margin::None, tau(t), Reduction::Mean);
        close(loss.unwrap().value(), normface_lower_bound(n, 1.0 / t).unwrap(), 1e-13);
    }
}

#[test]
fn the_dynamic_scale_follows_the_batch() {
    let (n, classes, scale) = (7, 12, 9.0);
    let cosines = noise(2, n * classes);
    let labels: Vec<i64> = (0..n as i64).collect();
    let given = Labels::new(&labels, classes).unwrap();
    let mut b = 0.0;
    let mut angles: Vec<f64> = Vec::new();
    for (i, row) in cosines.chunks_exact(classes).enumerate() {
        angles.push(row[i].acos());
        b += (0..classes).filter(|&j| j != i).map(|j| (scale * row[j]).exp()).sum::<f64>();
    }
    angles.sort_by(f64::total_cmp);
    let want = (b / n as f64).ln() / angles[3].min(std::f64::consts::FRAC_PI_4).cos();
    let got = adacos_dynamic_scale(rows(&cosines, classes), given, scale).unwrap();
    close(got, want, 1e-14);
    // Where the sum itself would overflow, the scale does not.
    let got = adacos_dynamic_scale(rows(&[1.0, 1.0], 2), Labels::new(&[0], 2).unwrap(), 1e4);
    close(got.unwrap(), 1e4, 1e-14);
    // Others at right angles, the label at 45° or nearer by the rule: ln(C − 1)·√2, the fixed scale.
    let flat = [vec![0.5], vec![0.0; 99]].concat();
    let got = adacos_dynamic_scale(rows(&flat, 100), Labels::new(&[0], 100).unwrap(), 5.0).unwrap();
    close(got, adacos_fixed_scale(100).unwrap(), 1e-15);
    // Of two angles the smaller.
    let two = [0.9, 0.0, 0.0, 0.8];
    let got = adacos_dynamic_scale(rows(&two, 2), Labels::new(&[0, 1], 2).unwrap(), 3.0).unwrap();
    assert_eq!(got, 0.0); // ln 1
}

#[test]
fn one_class_and_no_temperature() {
    let one = Labels::new(&[0], 1).unwrap();
    let loss = normalised_softmax(rows(&[0.3], 1), one, Margin::None, tau(0.1), Reduction::Mean);
    assert_eq!((loss.as_ref().unwrap().value(), &loss.unwrap().logits[..]), (0.0, &[0.0][..]));
    let labels = Labels::new(&[0], 4).unwrap();
    let cosines = [0.3, 0.1, -1.0, 0.0];
    let of =
        |tau| normalised_softmax(rows(&cosines, 4), labels, Margin::None, tau, Reduction::Mean);
    let loss = of(Temperature::INFINITE).unwrap();
    close(loss.value(), 4f64.ln(), 1e-15);
    assert!(loss.logits.iter().all(|&g| g == 0.0));
    assert!(matches!(of(Temperature::ZERO), Err(Error::Parameter { .. })));
}

#[test]
fn refusals() {
    let labels = Labels::new(&[0, 1], 2).unwrap();
    let of = |cosines: &[f64], labels, margin| {
        normalised_softmax(rows(cosines, 2), labels, margin, tau(0.1), Reduction::Mean)
    };
    for bad in [f64::NAN, 1.1, f64::INFINITY, -2.0] {
        let error = of(&[0.1, 0.2, 0.0, bad], labels, Margin::None).unwrap_err();
        assert!(matches!(error, Error::Row { row: 1, .. }), "{error:?}");
        assert!(adacos_dynamic_scale(rows(&[0.1, 0.2, 0.0, bad], 2), labels, 1.0).is_err());
    }
    let right = [0.1; 4];
    for margin in [
        Margin::Cosine(f64::NAN),
        Margin::Cosine(f64::INFINITY),
        Margin::Angle(-0.1),
        Margin::Angle(3.2),
        Margin::Angle(f64::NAN),
    ] {
        assert!(matches!(of(&right, labels, margin), Err(Error::Parameter { .. })), "{margin:?}");
    }
    let short = Labels::new(&[0], 2).unwrap();
    assert!(matches!(of(&right, short, Margin::None), Err(Error::Shape { .. })));
    let other = Labels::new(&[0, 1], 3).unwrap();
    assert!(matches!(of(&right, other, Margin::None), Err(Error::Shape { .. })));
    let ignored = Labels::with_ignored(&[-1, -1], 2, -1).unwrap();
    assert_eq!(of(&right, ignored, Margin::None).unwrap_err(), Error::NoRows);
    assert_eq!(adacos_dynamic_scale(rows(&right, 2), ignored, 1.0).unwrap_err(), Error::NoRows);
    for scale in [f64::NAN, -1.0, f64::INFINITY] {
        assert!(matches!(
            adacos_dynamic_scale(rows(&right, 2), labels, scale),
            Err(Error::Scale { .. })
        ));
    }
    for (classes, scale) in [(0, 1.0), (5, f64::NAN), (5, -1.0)] {
        assert!(normface_lower_bound(classes, scale).is_err());
    }
    for loss in [f64::NAN, -0.1, 3.0, f64::INFINITY] {
        assert!(softargmax::normface_scale_for_loss(10, loss).is_err(), "{loss}");
    }
    for p in [f64::NAN, 0.0, 0.09, 1.01] {
        assert!(softargmax::normface_scale_for_probability(10, p).is_err(), "{p}");
    }
    assert_eq!(adacos_fixed_scale(1).unwrap_err(), Error::NoClasses);
    assert!(Rows::<f64>::new(&[], 0).is_err());
}
