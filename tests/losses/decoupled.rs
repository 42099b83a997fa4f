//! Decoupled distillation: the research file's values, the sum it is taken from, gradients, limits, refusals.

use super::{always_the_same, check_gradients, drawn, near, refused_row, rows, tau};
use softargmax::{
    DecoupledLoss, DecoupledOptions, DistillationOptions, Error, Labels, Reduction, Temperature,
    decoupled_distillation, distillation, softmax,
};

const STUDENT: [f64; 4] = [1.0, 5.0, 7.0, 10.0];
const TEACHER: [f64; 4] = [2.0, 8.0, 6.0, 3.0];

fn of(
    student: &[f64],
    teacher: &[f64],
    label: i64,
    tau: Temperature,
    options: &DecoupledOptions<'_>,
) -> Result<DecoupledLoss<f64>, Error> {
    let classes = student.len();
    let labels = [label];
    let labels = Labels::new(&labels, classes).unwrap();
    decoupled_distillation(rows(student, classes), rows(teacher, classes), labels, tau, options)
}

#[test]
fn the_research_values() {
    let plain = DecoupledOptions::default();
    // The second line by mpmath: T far above the logits.
    for (t, target, rest) in [
        (4.0, 5.63978867996506818, 1.72040341473670506),
        (1e9, 6.0000000009999999893, 1.3333333355555555535),
    ] {
        let loss = of(&STUDENT, &TEACHER, 3, tau(t), &plain).unwrap();
        near(loss.target[0], target, 1e-14);
        near(loss.rest[0], rest, 1e-14);
        near(loss.loss.value(), target + 8.0 * rest, 1e-14);
    }
    let loss = of(&STUDENT, &TEACHER, 3, tau(4.0), &plain).unwrap();
    near(loss.loss.value(), 19.4030159978587087, 1e-14);
}

#[test]
fn its_parts_add_up_to_the_plain_divergence() {
    for seed in 0..20 {
        let (student, teacher) = (drawn(100 + seed, 9), drawn(200 + seed, 9));
        for t in [0.3, 1.0, 4.0, 100.0] {
            let t = tau(t);
            for label in [0, 4, 8] {
                let p = softmax(&teacher, t).unwrap();
                let others: f64 =
                    p.iter().enumerate().filter(|(i, _)| *i != label).map(|(_, p)| p).sum();
                let options =
                    DecoupledOptions { rest_weight: others, ..DecoupledOptions::default() };
                let parts = of(&student, &teacher, label as i64, t, &options).unwrap().loss;
                let plain = DistillationOptions::default();
                let whole = distillation(rows(&student, 9), rows(&teacher, 9), t, &plain).unwrap();
                near(parts.value(), whole.value(), 1e-13);
                for (part, whole) in parts.logits.iter().zip(&whole.logits) {
                    assert!((part - whole).abs() <= 1e-13 * t.tau().max(1.0), "{part} {whole}");
                }
            }
        }
    }
}

#[test]
fn gradients_against_finite_differences() {
    let (student, teacher) = (drawn(11, 4 * 5), drawn(12, 4 * 5));
    let labels = Labels::with_ignored(&[2, 0, -1, 4], 5, -1).unwrap();
    for t in [0.6, 1.0, 4.0, 40.0] {
        let taus = [tau(t), tau(1.5 * t), tau(t), tau(0.8 * t)];
        for (target_weight, rest_weight) in [(1.0, 8.0), (1.0, 0.0), (0.0, 1.0)] {
            for reduction in [Reduction::Sum, Reduction::Mean] {
                let options = DecoupledOptions {
                    target_weight,
                    rest_weight,
                    row_weights: Some(&[1.0, 0.5, 1.0, 2.0]),
                    reduction,
                };
                check_gradients(&student, &taus, |student, taus| {
                    let (student, teacher) = (rows(student, 5), rows(&teacher, 5));
                    decoupled_distillation(student, teacher, labels, taus, &options).unwrap().loss
                });
            }
        }
    }
}

#[test]
fn at_the_limits_of_the_temperature() {
    let plain = DecoupledOptions::default();
    let limit = of(&STUDENT, &TEACHER, 3, Temperature::INFINITE, &plain).unwrap();
    // ∆ = (3 − 16/3) − (10 − 13/3) = −8: 64·3/32; the others differ by −4/3, 5/3, −1/3 … of mean 0, squares 8 in all.
    near(limit.target[0], 6.0, 1e-15);
    near(limit.rest[0], 4.0 / 3.0, 1e-15);
    assert_eq!(limit.loss.tau, [0.0]);
    for (t, allowed) in [(1e12, 1e-11), (1e18, 1e-15), (1e300, 1e-15)] {
        let loss = of(&STUDENT, &TEACHER, 3, tau(t), &plain).unwrap();
        near(loss.loss.value(), limit.loss.value(), allowed);
        for (got, want) in loss.loss.logits.iter().zip(&limit.loss.logits) {
            assert!((got - want).abs() <= 8.0 * allowed, "{got} {want}");
        }
    }
    refused_row(of(&STUDENT, &TEACHER, 3, Temperature::ZERO, &plain), 0, "temperature 0");
    refused_row(of(&STUDENT, &TEACHER, 3, tau(5e-324), &plain), 0, "too small");
    let cold = of(&STUDENT, &TEACHER, 3, tau(1e-300), &plain).unwrap().loss;
    assert!(cold.value() >= 0.0 && cold.value() < 1e-297, "{:e}", cold.value());
    assert!(cold.logits.iter().chain(&cold.tau).all(|g| g.is_finite()));
}

#[test]
fn what_is_masked_and_what_is_refused() {
    let plain = DecoupledOptions::default();
    let none = f64::NEG_INFINITY;
    let (student, teacher) = ([1.0, none, 7.0, 10.0], [2.0, none, 6.0, 3.0]);
    for t in [tau(2.0), Temperature::INFINITE] {
        let got = of(&student, &teacher, 3, t, &plain).unwrap();
        let want = of(&[1.0, 7.0, 10.0], &[2.0, 6.0, 3.0], 2, t, &plain).unwrap();
        assert_eq!((&got.target, &got.rest), (&want.target, &want.rest));
        assert_eq!((got.loss.logits[1], got.loss.tau), (0.0, want.loss.tau));
        refused_row(of(&student, &TEACHER, 3, t, &plain), 0, "masks a class");
    }
    assert!(of(&STUDENT, &teacher, 3, tau(2.0), &plain).is_ok());
    refused_row(of(&STUDENT, &teacher, 3, Temperature::INFINITE, &plain), 0, "masks a class");
    refused_row(of(&student, &TEACHER, 1, tau(2.0), &plain), 0, "target is masked");
    refused_row(of(&[1.0], &[2.0], 0, tau(2.0), &plain), 0, "no class but the target");
    let nan = [1.0, f64::NAN, 7.0, 10.0];
    refused_row(of(&nan, &TEACHER, 3, tau(2.0), &plain), 0, "NaN");
    refused_row(of(&nan, &TEACHER, 1, tau(2.0), &plain), 0, "NaN");
    refused_row(of(&STUDENT, &nan, 3, tau(2.0), &plain), 0, "teacher");
    let error =
        of(&STUDENT, &TEACHER, 3, tau(2.0), &DecoupledOptions { rest_weight: -8.0, ..plain });
    assert!(matches!(error, Err(Error::Parameter { what: "rest weight", .. })));
}

#[test]
fn the_same_bits_everywhere() {
    let (student, teacher) = (drawn(13, 1500 * 120), drawn(14, 1500 * 120));
    let labels: Vec<i64> = (0..1500).map(|row| row * 7 % 120 - 1).collect();
    let labels = Labels::with_ignored(&labels, 120, -1).unwrap();
    always_the_same(|| {
        let (student, teacher) = (rows(&student, 120), rows(&teacher, 120));
        let plain = DecoupledOptions::default();
        decoupled_distillation(student, teacher, labels, tau(4.0), &plain).unwrap()
    });
}
