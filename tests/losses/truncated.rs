//! Distillation from a truncated teacher: values from mpmath, the full loss where nothing is missing, bounds, gradients,
//! temperatures beside the grid, limits, refusals.

use super::{always_the_same, check_gradients, derivative, drawn, near, refused_row, rows, tau};
use crate::support::number::Number;
use softargmax::{
    Deviation, DistillationOptions, Divergence, Error, Factor, HardLabels, Labels, Loss, Reduction,
    Rows, Temperature, TruncatedParts, TruncatedTeacher, distillation, log_sum_exp, softmax,
    statistics, truncated_distillation,
};

const STUDENT: [f64; 4] = [1.0, 5.0, 7.0, 10.0];
const TEACHER: [f64; 4] = [2.0, 8.0, 6.0, 3.0];

const DIVERGENCES: [Divergence; 3] =
    [Divergence::TeacherToStudent, Divergence::StudentToTeacher, Divergence::JensenShannon];

type Options<'a> = DistillationOptions<'a>;

fn grid(taus: &[f64]) -> Vec<Temperature> {
    taus.iter().map(|&t| tau(t)).collect()
}

fn kept(teacher: &[f64], classes: usize, k: usize, taus: &[f64]) -> TruncatedTeacher {
    TruncatedTeacher::from_logits(rows(teacher, classes), k, &grid(taus)).unwrap()
}

fn of(student: &[f64], teacher: &TruncatedTeacher, t: f64, options: &Options<'_>) -> Loss<f64> {
    truncated_distillation(rows(student, teacher.classes()), teacher, tau(t), options).unwrap()
}

/// T² times KL(teacher ‖ student), KL(student ‖ teacher), Jensen–Shannon of k + 1 classes, for k = 1, 2; from mpmath, 40 digits.
const TABLE: [(f64, [[f64; 3]; 2]); 5] = [
    (
        1.0,
        [
            [4.0381885607302685257, 2.0182047738554454299, 0.47700201833008127368],
            [4.3691115773941199247, 4.4370495362921761784, 0.60161775932373679457],
        ],
    ),
    (
        2.0,
        [
            [4.9408801398088225492, 3.2891128882362715463, 0.8843095944769111881],
            [5.920095731262335373, 5.8178516958445019026, 1.2188484464150235668],
        ],
    ),
    (
        4.0,
        [
            [4.5024010452774201182, 3.6408482118297945182, 0.97969424333408166689],
            [5.5862915135560733103, 5.2861142245296931221, 1.3029845745928096962],
        ],
    ),
    (
        20.0,
        [
            [3.1118905313348486157, 2.9779825171294272482, 0.7601997629716642613],
            [3.6219907193991734105, 3.5208418541152461134, 0.89167043168803180544],
        ],
    ),
    (
        1e9,
        [
            [2.6666666756296296301, 2.6666666732592592533, 0.66666666861111111008],
            [3.0000000122500000069, 3.0000000102500000052, 0.75000000281250000114],
        ],
    ),
];

#[test]
fn the_table() {
    for (t, wants) in TABLE {
        for (k, wants) in (1..).zip(wants) {
            let teacher = kept(&TEACHER, 4, k, &[1.0, t.max(2.0)]);
            for (divergence, want) in DIVERGENCES.into_iter().zip(wants) {
                let options = Options { divergence, ..Options::default() };
                near(of(&STUDENT, &teacher, t, &options).value(), want, 1e-14);
                let options = Options { factor: Factor::One, ..options };
                near(of(&STUDENT, &teacher, t, &options).value(), want / (t * t), 1e-14);
            }
        }
    }
}

#[test]
fn where_nothing_is_missing_it_is_distillation() {
    let (student, teacher) = (drawn(21, 6 * 40), drawn(22, 6 * 40));
    let labels = Labels::with_ignored(&[3, 0, -1, 39, 7, 11], 40, -1).unwrap();
    for divergence in DIVERGENCES {
        for factor in [Factor::TauSquared, Factor::One] {
            let hard = Some(HardLabels { labels, weight: 0.3 });
            let options = Options { divergence, factor, hard, ..Options::default() };
            let all = kept(&teacher, 40, 40, &[0.25]);
            for t in [0.25, 1.0, 4.0, 300.0, 1e9, 1e20, f64::INFINITY] {
                let (t, student) = (tau(t), rows(&student, 40));
                let got = truncated_distillation(student, &all, t, &options).unwrap();
                let want = distillation(student, rows(&teacher, 40), t, &options).unwrap();
                near(got.value(), want.value(), 1e-13);
                let size = want.logits.iter().fold(0.0f64, |max, g| max.max(g.abs()));
                for (got, want) in got.logits.iter().zip(&want.logits) {
                    assert!((got - want).abs() <= 1e-13 * size, "{got:e} {want:e} at {t}");
                }
                // The slope is 2L/T less what the divergence falls by, and may be small beside both.
                let size = 2.0 * want.value() / t.tau();
                for (got, want) in got.tau.iter().zip(&want.tau) {
                    assert!((got - want).abs() <= 1e-13 * want.abs().max(size), "{got:e} {want:e}");
                }
            }
        }
    }
}

#[test]
fn it_is_never_more_than_the_full_loss_and_its_head_has_the_same_gradient() {
    for seed in 0..30 {
        let (student, teacher) = (drawn(300 + seed, 25), drawn(400 + seed, 25));
        for k in [1, 2, 7, 20, 24] {
            let truncated = kept(&teacher, 25, k, &[0.5, 1.0, 4.0, 30.0]);
            for t in [0.5, 1.0, 4.0, 30.0, f64::INFINITY] {
                let mut before = f64::INFINITY;
                for divergence in DIVERGENCES {
                    let options = Options { divergence, ..Options::default() };
                    let (z, v) = (rows(&student, 25), rows(&teacher, 25));
                    let some = of(&student, &truncated, t, &options);
                    let all = distillation(z, v, tau(t), &options).unwrap();
                    assert!((0.0..=all.value() * (1.0 + 1e-12)).contains(&some.value()));
                    let total: f64 = some.logits.iter().sum();
                    assert!(total.abs() < 1e-12 * t.clamp(1.0, 1e3), "{total:e}");
                    if divergence == Divergence::TeacherToStudent {
                        before = some.value();
                        for &id in &truncated.parts().ids {
                            let (some, all) = (some.logits[id as usize], all.logits[id as usize]);
                            assert!((some - all).abs() <= 1e-13 * t.min(1e3), "{some:e} {all:e}");
                        }
                    }
                }
                // More classes say more.
                let more = kept(&teacher, 25, k + 1, &[0.5, 1.0, 4.0, 30.0]);
                let more = of(&student, &more, t, &Options::default()).value();
                assert!(before <= more * (1.0 + 1e-12), "{before} {more}");
            }
        }
    }
}

#[test]
fn gradients_against_finite_differences_also_beside_the_grid() {
    let (student, teacher) = (drawn(31, 4 * 6), drawn(32, 4 * 6));
    let labels = Labels::with_ignored(&[2, 0, -1, 5], 6, -1).unwrap();
    let teacher = kept(&teacher, 6, 2, &[0.4, 1.1, 3.3, 9.0]);
    for t in [0.6, 1.0, 4.0, 40.0] {
        let taus = [tau(t), tau(1.5 * t), tau(t), tau(0.8 * t)];
        for divergence in DIVERGENCES {
            for factor in [Factor::TauSquared, Factor::One] {
                for reduction in [Reduction::Sum, Reduction::Mean] {
                    let options = Options {
                        divergence,
                        factor,
                        soft_weight: 0.7,
                        hard: Some(HardLabels { labels, weight: 0.3 }),
                        row_weights: Some(&[1.0, 0.5, 1.0, 2.0]),
                        reduction,
                        standardise: None,
                    };
                    check_gradients(&student, &taus, |student, taus| {
                        truncated_distillation(rows(student, 6), &teacher, taus, &options).unwrap()
                    });
                }
            }
        }
    }
}

/// At a temperature of the grid the derivative in T is that of the true tail, which a teacher truncated for every one of
/// the temperatures around it has.
#[test]
fn on_the_grid_the_gradient_in_t_is_the_true_one() {
    let (student, teacher) = (drawn(33, 30), drawn(34, 30));
    for divergence in DIVERGENCES {
        let options = Options { divergence, ..Options::default() };
        for t in [0.7, 2.0, 8.0] {
            let at = |t: f64| of(&student, &kept(&teacher, 30, 3, &[t]), t, &options);
            let want = derivative(t, 1e-3 * t, |t| at(t).value());
            let got = of(&student, &kept(&teacher, 30, 3, &[0.5, t, 20.0]), t, &options).tau_sum();
            assert!((got - want).abs() <= 1e-8 * want.abs().max(0.1), "{got:e} {want:e}");
        }
    }
}

#[test]
fn statistics_are_those_of_the_full_teacher() {
    let teacher = drawn(35, 5 * 60);
    for k in [1, 10, 59, 60] {
        let truncated = kept(&teacher, 60, k, &[0.5, 1.0, 4.0]);
        for t in [0.5, 1.0, 4.0, f64::INFINITY] {
            let full = statistics(rows(&teacher, 60), tau(t)).unwrap();
            for (row, got) in truncated.statistics(tau(t)).unwrap().iter().enumerate() {
                let logits = &teacher[row * 60..(row + 1) * 60];
                near(got.log_z, log_sum_exp(logits, tau(t)).unwrap(), 1e-14);
                near(got.entropy, full[row].entropy, 1e-13);
                near(got.max_probability, full[row].max_probability, 1e-14);
                let p = softmax(logits, tau(t)).unwrap();
                let ids = &truncated.parts().ids[row * k..(row + 1) * k];
                let tail = (0..60).filter(|i| !ids.contains(&(*i as u32))).map(|i| p[i]).sum();
                near(got.tail, tail, 1e-13);
                assert_eq!(got.log_z_error, 0.0);
            }
        }
    }
}

/// Between two temperatures of the grid: within the bound, and four times as near where the grid is twice as fine.
#[test]
fn beside_the_grid_the_error_is_bounded_and_of_fourth_order() {
    let teacher = drawn(36, 20 * 200);
    let worst = |gaps: usize| {
        // Evenly in 1/T, from 1 to 1/4.
        let betas = (0..=gaps).map(|i| 1.0 - 0.75 * i as f64 / gaps as f64);
        let truncated = kept(&teacher, 200, 5, &betas.map(|b| 1.0 / b).collect::<Vec<_>>());
        let mut worst = 0.0f64;
        for i in 0..400 {
            let t = 1.0 / (0.251 + 0.748 * f64::from(i) / 399.0);
            for (row, got) in truncated.statistics(tau(t)).unwrap().iter().enumerate() {
                let logits = &teacher[row * 200..(row + 1) * 200];
                let error = (got.log_z - log_sum_exp(logits, tau(t)).unwrap()).abs();
                assert!(error <= got.log_z_error + 1e-13, "{error:e} > {:e}", got.log_z_error);
                worst = worst.max(error);
            }
        }
        worst
    };
    let [coarse, fine, finer] = [1, 2, 4].map(worst);
    assert!(
        coarse > 1e-3 && fine < coarse / 8.0 && finer < fine / 8.0,
        "{coarse:e} {fine:e} {finer:e}"
    );
    // And above the grid, down to 1/T = 0.
    let truncated = kept(&teacher, 200, 5, &[1.0, 4.0]);
    for t in [4.5, 8.0, 100.0, 1e6, 1e15] {
        for (row, got) in truncated.statistics(tau(t)).unwrap().iter().enumerate() {
            let want = log_sum_exp(&teacher[row * 200..(row + 1) * 200], tau(t)).unwrap();
            let error = (got.log_z - want).abs();
            assert!(error <= got.log_z_error + 1e-13 && error < 1e-2, "{error:e} at {t}");
        }
    }
}

#[test]
fn of_equal_logits_the_lower_classes_are_kept() {
    let row = [1.0, 3.0, -0.0, 0.0, 3.0, 0.0, 1.0, 0.0];
    for (k, ids) in [
        (1, &[1][..]),
        (2, &[1, 4]),
        (3, &[0, 1, 4]),
        (5, &[0, 1, 2, 4, 6]),
        (6, &[0, 1, 2, 3, 4, 6]),
    ] {
        let parts = kept(&row, 8, k, &[1.0]).parts().clone();
        assert_eq!(parts.ids, ids);
        assert_eq!(parts.logits, ids.iter().map(|&id| row[id as usize]).collect::<Vec<_>>());
        assert_eq!(parts.tail_counts, [8 - k as u32]);
    }
}

#[test]
fn at_the_limits_of_the_temperature() {
    let plain = Options::default();
    for (k, want) in [(1, 8.0 / 3.0), (2, 3.0), (3, 7.0), (4, 7.0)] {
        let teacher = kept(&TEACHER, 4, k, &[1.0, 2.0]);
        for divergence in DIVERGENCES {
            let part = if divergence == Divergence::JensenShannon { 0.25 } else { 1.0 };
            let options = Options { divergence, ..plain };
            let limit = of(&STUDENT, &teacher, f64::INFINITY, &options);
            near(limit.value(), part * want, 1e-15);
            assert_eq!(limit.tau, [0.0]);
            for (t, allowed) in [(1e12, 1e-11), (1e18, 1e-15), (1e300, 1e-15)] {
                let loss = of(&STUDENT, &teacher, t, &options);
                near(loss.value(), limit.value(), allowed);
                for (got, want) in loss.logits.iter().zip(&limit.logits) {
                    assert!((got - want).abs() <= 8.0 * allowed, "{got} {want}");
                }
            }
            let options = Options { factor: Factor::One, ..options };
            assert_eq!(of(&STUDENT, &teacher, f64::INFINITY, &options).value(), 0.0);
        }
    }
    let teacher = kept(&TEACHER, 4, 2, &[1.0, 2.0]);
    let student = rows(&STUDENT, 4);
    let zero = truncated_distillation(student, &teacher, Temperature::ZERO, &plain);
    refused_row(zero, 0, "temperature 0");
    let error = truncated_distillation(student, &teacher, tau(0.99), &plain).unwrap_err();
    assert!(matches!(error, Error::Parameter { what: "temperature", got: 0.99, .. }), "{error}");
    assert!(matches!(teacher.statistics(tau(0.5)), Err(Error::Parameter { .. })));
    // A cold grid of f64's own extent.
    let cold = kept(&TEACHER, 4, 2, &[1e-300]);
    let loss = of(&STUDENT, &cold, 1e-300, &plain);
    assert!(loss.value() >= 0.0 && loss.value() < 1e-297, "{:e}", loss.value());
    let error = TruncatedTeacher::from_logits(rows(&TEACHER, 4), 2, &grid(&[5e-324])).unwrap_err();
    assert!(matches!(error, Error::Row { row: 0, .. }), "{error}");
}

#[test]
fn a_tail_far_below_is_not_lost() {
    // p of the tail at T = 1 is e^-80 for the teacher, e^-50 for the student: log Z has none of it.
    let (student, teacher) = ([0.0, -50.0, -60.0], [0.0, -80.0, -81.0]);
    let truncated = kept(&teacher, 3, 1, &[1.0]);
    let tail = (-80f64).exp() + (-81f64).exp();
    near(truncated.statistics(tau(1.0)).unwrap()[0].tail, tail, 1e-14);
    // KL of (1 − t, t) and (1 − u, u) is t ln(t/u) − t + u but for squares.
    let u = (-50f64).exp() + (-60f64).exp();
    let want = tail * (tail / u).ln() - tail + u;
    near(of(&student, &truncated, 1.0, &Options::default()).value(), want, 1e-13);
}

#[test]
fn what_is_masked_and_what_is_refused() {
    let (none, plain) = (f64::NEG_INFINITY, Options::default());
    let (student, teacher) = ([1.0, none, 7.0, 10.0, 4.0], [2.0, none, 6.0, 3.0, 5.0]);
    for k in 1..=4 {
        let truncated = kept(&teacher, 5, k, &[1.0, 2.0]);
        let without = kept(&[2.0, 6.0, 3.0, 5.0], 4, k, &[1.0, 2.0]);
        for t in [1.0, 3.0, f64::INFINITY] {
            let got = of(&student, &truncated, t, &plain);
            let want = of(&[1.0, 7.0, 10.0, 4.0], &without, t, &plain);
            near(got.value(), want.value(), 1e-15);
            assert_eq!(got.logits[1], 0.0);
            near(got.tau_sum(), want.tau_sum(), 1e-14);
        }
    }
    // Fewer classes than are asked for: a mask is kept, as one.
    let all = kept(&teacher, 5, 5, &[1.0]);
    assert_eq!((all.parts().logits[1], all.parts().tail_counts[0]), (none, 0));
    let masked = |z: &[f64], t: f64| truncated_distillation(rows(z, 5), &all, tau(t), &plain);
    assert!(masked(&[1.0, 2.0, 7.0, 10.0, 4.0], 1.0).is_ok()); // only the teacher masks
    refused_row(masked(&[1.0, none, none, 10.0, 4.0], 1.0), 0, "masks a class");
    refused_row(masked(&[1.0, 2.0, 7.0, 10.0, 4.0], f64::INFINITY), 0, "masks a class");
    // The whole tail masked by the student, but not by the teacher.
    let one = kept(&teacher, 5, 1, &[1.0]);
    let alone = [none, none, 7.0, none, none];
    refused_row(
        truncated_distillation(rows(&alone, 5), &one, tau(1.0), &plain),
        0,
        "masks a class",
    );

    let refused = |logits: &[f64], says| {
        refused_row(TruncatedTeacher::from_logits(rows(logits, 2), 1, &grid(&[1.0])), 1, says);
    };
    refused(&[1.0, 2.0, f64::NAN, 2.0], "NaN");
    refused(&[1.0, 2.0, 1.0, f64::INFINITY], "+inf");
    refused(&[1.0, 2.0, none, none], "every entry is -inf");
    for (k, taus) in [
        (0, &[1.0][..]),
        (5, &[1.0]),
        (2, &[2.0, 1.0]),
        (2, &[1.0, 1.0]),
        (2, &[0.0]),
        (2, &[f64::INFINITY]),
    ] {
        let error = TruncatedTeacher::from_logits(rows(&TEACHER, 4), k, &grid(taus)).unwrap_err();
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
    assert!(TruncatedTeacher::from_logits(rows(&TEACHER, 4), 2, &[]).is_err());

    let two = kept(&TEACHER, 4, 2, &[1.0]);
    let nan = [1.0, f64::NAN, 2.0, 3.0];
    refused_row(truncated_distillation(rows(&nan, 4), &two, tau(1.0), &plain), 0, "NaN");
    for (student, classes) in [(&[1.0; 8][..], 4), (&[1.0; 3], 3)] {
        let error = truncated_distillation(rows(student, classes), &two, tau(1.0), &plain);
        assert!(matches!(error, Err(Error::Shape { .. })));
    }
    let scored = Options { standardise: Some(Deviation::Sample), ..plain };
    let error = truncated_distillation(rows(&STUDENT, 4), &two, tau(1.0), &scored).unwrap_err();
    assert!(error.to_string().contains("z-scores need every logit"), "{error}");
    // Padding is not looked at.
    let (student, teacher) = ([STUDENT, [f64::NAN; 4]].concat(), [TEACHER, [1.0; 4]].concat());
    let weights = [1.0, 0.0];
    let options = Options { row_weights: Some(&weights), ..plain };
    let padded = of(&student, &kept(&teacher, 4, 2, &[1.0]), 1.0, &options);
    assert_eq!(padded.value(), of(&STUDENT, &two, 1.0, &plain).value());
}

#[test]
fn parts_that_are_no_teacher_are_refused() {
    let teacher = drawn(37, 2 * 9);
    let good = kept(&teacher, 9, 3, &[1.0, 2.0]);
    assert_eq!(TruncatedTeacher::from_parts(good.parts().clone()).unwrap(), good);
    let with = |change: &dyn Fn(&mut TruncatedParts)| {
        let mut parts = good.parts().clone();
        change(&mut parts);
        TruncatedTeacher::from_parts(parts)
    };
    type Change<'a> = (&'a dyn Fn(&mut TruncatedParts), &'a str);
    let changes: [Change<'_>; 11] = [
        (&|p| p.ids[3] = p.ids[4], "do not ascend"),
        (&|p| p.ids.swap(4, 5), "do not ascend"),
        (&|p| p.ids[5] = 9, "does not exist"),
        (&|p| p.logits[4] = f64::NAN, "a logit is NaN"),
        (&|p| p.logits[4] = f64::INFINITY, "a logit is NaN or +inf"),
        (&|p| p.logits[3..].fill(f64::NEG_INFINITY), "every one is -inf"),
        (&|p| p.tail_counts[1] = 7, "more classes than are left"),
        (&|p| p.tail_log_weights[2] = f64::INFINITY, "not finite"),
        (&|p| p.tail_means[4] = f64::NAN, "not finite"),
        (&|p| p.tail_log_weights[3] += 3.0, "not those of any logits"),
        (&|p| p.tail_means[3] -= 10.0, "not those of any logits"),
    ];
    for (change, says) in changes {
        refused_row(with(change), 1, says);
    }
    assert!(matches!(with(&|p| p.ids.truncate(5)), Err(Error::Shape { what: "ids", .. })));
    assert_eq!(with(&|p| p.classes = 0).unwrap_err(), Error::NoClasses);
    assert!(matches!(with(&|p| p.classes = 1 << 33), Err(Error::Parameter { .. })));
}

fn everywhere<T: Number>() {
    let (rows, classes) = (1200, 131);
    let drawn =
        |seed| -> Vec<T> { super::drawn(seed, rows * classes).iter().map(|&x| T::of(x)).collect() };
    let (student, teacher) = (drawn(9), drawn(10));
    always_the_same(|| {
        let student = Rows::new(&student, classes).unwrap();
        let teacher = Rows::new(&teacher, classes).unwrap();
        let teacher = TruncatedTeacher::from_logits(teacher, 10, &grid(&[1.0, 2.0, 5.0])).unwrap();
        let options = Options::default();
        let loss = truncated_distillation(student, &teacher, tau(3.0), &options).unwrap();
        let numbers = loss.values.iter().chain(&loss.tau).map(|x| x.to_bits());
        let numbers = numbers.chain(loss.logits.iter().map(|x| x.bits())).collect::<Vec<_>>();
        (numbers, teacher)
    });
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
