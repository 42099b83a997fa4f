//! Distillation: the research file's table, three divergences, z-scores by either deviation, mixtures, gradients, limits.

use super::{always_the_same, check_gradients, drawn, near, refused_row, rows, tau};
use crate::support::number::Number;
use softargmax::{
    CrossEntropyOptions, Deviation, DistillationOptions, Divergence, Error, Factor, HardLabels,
    Labels, Loss, LossMut, Reduction, Rows, Temperature, cross_entropy, distillation,
    distillation_into, softmax,
};

const STUDENT: [f64; 4] = [1.0, 5.0, 7.0, 10.0];
const TEACHER: [f64; 4] = [2.0, 8.0, 6.0, 3.0];

const DIVERGENCES: [Divergence; 3] =
    [Divergence::TeacherToStudent, Divergence::StudentToTeacher, Divergence::JensenShannon];

type Options<'a> = DistillationOptions<'a>;

fn of(student: &[f64], teacher: &[f64], t: f64, options: &Options<'_>) -> Loss<f64> {
    distillation(rows(student, 4), rows(teacher, 4), tau(t), options).unwrap()
}

/// T² times KL(teacher ‖ student), KL(student ‖ teacher), Jensen–Shannon; from mpmath, 40 digits.
const TABLE: [(f64, [f64; 3]); 6] = [
    (1.0, [4.3839155498631857399, 4.7325022562256937908, 0.606718056321236782]),
    (2.0, [6.2883904783629561881, 7.1054890659736148166, 1.3423316926519129963]),
    (4.0, [7.1272690063754385263, 7.9902391802009391157, 1.7735872343558469635]),
    (20.0, [7.1348140261466213901, 7.4118867878409158581, 1.8131992132409623357]),
    (1e3, [7.0032391404314838635, 7.0092307879373871563, 1.7515566988126193852]),
    (1e9, [7.0000000032499999891, 7.0000000092499999808, 1.7500000015624999942]),
];

#[test]
fn the_table() {
    for (t, wants) in TABLE {
        for (divergence, want) in DIVERGENCES.into_iter().zip(wants) {
            let options = Options { divergence, ..Options::default() };
            near(of(&STUDENT, &TEACHER, t, &options).value(), want, 1e-14);
            let options = Options { factor: Factor::One, ..options };
            near(of(&STUDENT, &TEACHER, t, &options).value(), want / (t * t), 1e-14);
        }
    }
    // Small whole numbers are themselves in f32, and everything else is f64.
    let (student, teacher) = (STUDENT.map(|x| x as f32), TEACHER.map(|x| x as f32));
    let (student, teacher) = (Rows::one(&student).unwrap(), Rows::one(&teacher).unwrap());
    let loss = distillation(student, teacher, tau(4.0), &Options::default()).unwrap();
    near(loss.value(), TABLE[2].1[0], 1e-14);
}

#[test]
fn a_small_divergence_keeps_its_digits() {
    // The student is 2^-30 beside its teacher in one logit. From mpmath.
    let student = [2.0 + 2f64.powi(-30), 8.0, 6.0, 3.0];
    let near_ones = [
        (1.0, [9.3718705520582752649e-22, 9.371870554955084998e-22, 2.3429676383766700328e-22]),
        (4.0, [4.0906091229722661767e-20, 4.0906091232227900139e-20, 1.0226522807743820238e-20]),
    ];
    for (t, wants) in near_ones {
        for (divergence, want) in DIVERGENCES.into_iter().zip(wants) {
            let options = Options { divergence, ..Options::default() };
            // ln(p/q) is a difference of numbers near 1 in units of T: 2^-52 of them is 1e-6 of 2^-30.
            near(of(&student, &TEACHER, t, &options).value(), want, 4e-6);
        }
        // Forward, the logits' own differences are looked at.
        near(of(&student, &TEACHER, t, &Options::default()).value(), wants[0], 1e-14);
    }
    let loss = of(&TEACHER, &TEACHER, 4.0, &Options::default());
    assert_eq!((loss.value(), loss.tau_sum(), &loss.logits[..]), (0.0, 0.0, &[0.0; 4][..]));
    // Both are all but sure of one class, and the student's logits lie elsewhere. From mpmath.
    let (student, teacher) = ([1000.0, 801.0, 809.0], [0.0, -200.0, -190.0]);
    for (t, want) in [(1.0, 1.1214823730955478161e-83), (4.0, 1.1877728612249326721e-21)] {
        let (student, teacher) = (rows(&student, 3), rows(&teacher, 3));
        let loss = distillation(student, teacher, tau(t), &Options::default()).unwrap();
        near(loss.value(), want, 1e-14);
    }
}

/// KL(a ‖ b) has two ways to it, forward and, with the roles exchanged, in reverse, which share no code but the formula.
#[test]
fn forward_is_the_reverse_of_the_other() {
    let reverse = Options { divergence: Divergence::StudentToTeacher, ..Options::default() };
    for classes in [2, 7, 8, 9, 15, 16, 17, 24, 33, 1000, 1024, 1025, 2056] {
        let (noise, more) = (drawn(41, classes), drawn(42, classes));
        for (spread, apart, sharp) in [
            (1e-6, 1.0, 0.0),
            (0.3, 0.1, 0.0),
            (1.0, 1.0, 30.0),
            (2.0, 0.3, -300.0),
            (9.0, 9.0, 9.0),
        ] {
            let mut teacher: Vec<f64> = noise.iter().map(|x| x * spread).collect();
            teacher[classes / 2] += sharp;
            let mut student: Vec<f64> =
                teacher.iter().zip(&more).map(|(v, x)| v + x * apart).collect();
            for masked in [None, Some(0), Some(classes - 1)] {
                if let Some(masked) = masked
                    && classes > 2
                {
                    (teacher[masked], student[masked]) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
                }
                for t in [0.3, 1.0, 4.0, 1e4] {
                    let (v, z) = (rows(&teacher, classes), rows(&student, classes));
                    let got = distillation(z, v, tau(t), &Options::default()).unwrap();
                    let want = distillation(v, z, tau(t), &reverse).unwrap();
                    near(got.value(), want.value(), 1e-12);
                    let sizes = 2.0 * want.value() / t + want.tau_sum().abs();
                    let off = (got.tau_sum() - want.tau_sum()).abs();
                    assert!(off <= 1e-12 * sizes, "{classes} {t}: {off:e} of {sizes:e}");
                    let of = |logits: &[f64]| softmax(logits, tau(t)).unwrap();
                    for ((got, p), q) in got.logits.iter().zip(of(&teacher)).zip(of(&student)) {
                        // Ratios beyond e^±32 are taken from gaps, and these are rounded: up to 400 in units of T.
                        assert!((got - t * (q - p)).abs() <= 1e-13 * t * (q + p), "{got:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn buffers_of_another_size_are_refused_and_old_numbers_overwritten() {
    let (student, teacher) = ([STUDENT, STUDENT].concat(), [TEACHER, TEACHER].concat());
    let options = Options { row_weights: Some(&[1.0, 0.0]), ..Options::default() };
    let (student, teacher) = (rows(&student, 4), rows(&teacher, 4));
    let of = |logits: &mut [f64], d_tau: &mut [f64]| {
        distillation_into(student, teacher, tau(4.0), &options, LossMut { logits, tau: d_tau })
    };
    let (mut d_logits, mut d_tau) = ([9.0; 8], [9.0; 2]);
    let values = of(&mut d_logits, &mut d_tau).unwrap();
    let fresh = distillation(student, teacher, tau(4.0), &options).unwrap();
    assert_eq!(
        (&values, &d_logits[..], &d_tau[..]),
        (&fresh.values, &fresh.logits[..], &fresh.tau[..])
    );
    for (len, taus) in [(7, 2), (8, 1)] {
        let error = of(&mut d_logits[..len], &mut d_tau[..taus]).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
}

#[test]
fn the_gradient_is_t_times_the_difference() {
    // T(q − p), and KL/T² as its sum would have it: by softmax itself.
    for t in [1.0, 4.0, 30.0] {
        let p = softargmax::softmax(&TEACHER, tau(t)).unwrap();
        let q = softargmax::softmax(&STUDENT, tau(t)).unwrap();
        let loss = of(&STUDENT, &TEACHER, t, &Options::default());
        for i in 0..4 {
            let want = t * (q[i] - p[i]);
            assert!((loss.logits[i] - want).abs() <= 1e-14 * t, "{} {want}", loss.logits[i]);
        }
    }
}

#[test]
fn z_scores_by_either_deviation() {
    for (deviation, want) in
        [(Deviation::Population, 0.896742521965662651), (Deviation::Sample, 0.673127077687307195)]
    {
        let options = Options { standardise: Some(deviation), ..Options::default() };
        near(of(&STUDENT, &TEACHER, 2.0, &options).value(), want, 1e-14);
        // Offset and scale of either do not show.
        let other = STUDENT.map(|x| 3.0 * x - 17.0);
        near(of(&other, &TEACHER, 2.0, &options).value(), want, 1e-14);
        let other = TEACHER.map(|x| x * 2f64.powi(900));
        near(of(&STUDENT, &other, 2.0, &options).value(), want, 1e-14);
        // A masked class is not there.
        let (student, teacher) = (with_mask(&STUDENT), with_mask(&TEACHER));
        let (student, teacher) = (rows(&student, 5), rows(&teacher, 5));
        let masked = distillation(student, teacher, tau(2.0), &options).unwrap();
        near(masked.value(), want, 1e-14);
        assert_eq!(masked.logits[2], 0.0);
        let constant = distillation(rows(&[1.0; 4], 4), rows(&TEACHER, 4), tau(2.0), &options);
        refused_row(constant, 0, "z-scores");
        let one = distillation(rows(&[1.0], 1), rows(&[2.0], 1), tau(2.0), &options);
        refused_row(one, 0, "z-scores");
    }
}

fn with_mask(row: &[f64; 4]) -> [f64; 5] {
    [row[0], row[1], f64::NEG_INFINITY, row[2], row[3]]
}

#[test]
fn a_mixture_with_hard_labels() {
    let labels = Labels::new(&[3], 4).unwrap();
    let hard = HardLabels { labels, weight: 0.1 };
    let mixed = Options { soft_weight: 0.9, hard: Some(hard), ..Options::default() };
    let soft = of(&STUDENT, &TEACHER, 4.0, &Options::default());
    let plain = CrossEntropyOptions::default();
    let alone = cross_entropy(rows(&STUDENT, 4), labels, tau(1.0), &plain).unwrap();
    near(alone.value(), 0.0551020358269917687, 1e-14);
    let mixed = of(&STUDENT, &TEACHER, 4.0, &mixed);
    near(mixed.value(), 0.9 * soft.value() + 0.1 * alone.value(), 1e-14);
    near(mixed.tau_sum(), 0.9 * soft.tau_sum(), 1e-14); // the hard part does not know T
    for i in 0..4 {
        let want = 0.9 * soft.logits[i] + 0.1 * alone.logits[i];
        assert!((mixed.logits[i] - want).abs() <= 1e-15, "{} {want}", mixed.logits[i]);
    }
    // z-scores are for the soft part only.
    let standardise = Some(Deviation::Sample);
    let hard_alone =
        Options { soft_weight: 0.0, hard: Some(hard), standardise, ..Options::default() };
    let loss = of(&STUDENT, &TEACHER, 4.0, &hard_alone);
    near(loss.value(), 0.1 * alone.value(), 1e-15);
}

#[test]
fn padding_teaches_nothing() {
    let (student, teacher) = ([STUDENT, [f64::NAN; 4]].concat(), [TEACHER, [1.0; 4]].concat());
    let labels = Labels::with_ignored(&[3, -100], 4, -100).unwrap();
    let hard = Some(HardLabels { labels, weight: 0.0 });
    let options = Options { hard, ..Options::default() };
    let loss = of(&student, &teacher, 4.0, &options);
    near(loss.value(), TABLE[2].1[0], 1e-14); // the mean over one row, not two
    assert_eq!(loss.logits[4..], [0.0; 4]);
    let weighted = Options { hard: None, row_weights: Some(&[0.5, 0.0]), ..options };
    near(of(&student, &teacher, 4.0, &weighted).value(), 0.5 * TABLE[2].1[0], 1e-14);
    let weighted = Options { reduction: Reduction::WeightedMean, ..weighted };
    near(of(&student, &teacher, 4.0, &weighted).value(), TABLE[2].1[0], 1e-14);
}

#[test]
fn gradients_against_finite_differences() {
    let (student, teacher) = (drawn(7, 3 * 5), drawn(8, 3 * 5));
    let labels = Labels::with_ignored(&[4, -1, 0], 5, -1).unwrap();
    for t in [0.6, 1.0, 4.0, 40.0] {
        let taus = [tau(t), tau(1.5 * t), tau(0.8 * t)];
        for divergence in DIVERGENCES {
            for factor in [Factor::TauSquared, Factor::One] {
                for standardise in [None, Some(Deviation::Population), Some(Deviation::Sample)] {
                    for hard in [None, Some(HardLabels { labels, weight: 0.3 })] {
                        let options = Options {
                            divergence,
                            factor,
                            standardise,
                            hard,
                            soft_weight: 0.7,
                            row_weights: Some(&[1.0, 2.0, 0.5]),
                            reduction: Reduction::Mean,
                        };
                        check_gradients(&student, &taus, |student, taus| {
                            let (student, teacher) = (rows(student, 5), rows(&teacher, 5));
                            distillation(student, teacher, taus, &options).unwrap()
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn at_the_limits_of_the_temperature() {
    for divergence in DIVERGENCES {
        let options = Options { divergence, ..Options::default() };
        let part = if divergence == Divergence::JensenShannon { 0.25 } else { 1.0 };
        let infinite = Temperature::INFINITE;
        let logits = (rows(&STUDENT, 4), rows(&TEACHER, 4));
        let limit = distillation(logits.0, logits.1, infinite, &options).unwrap();
        assert_eq!((limit.value(), limit.tau_sum()), (7.0 * part, 0.0));
        // Centred differences are −2, −4, 0 and 6.
        let wants = [-0.5, -1.0, 0.0, 1.5];
        assert_eq!(limit.logits, wants.map(|want| want * part));
        // Reached from below, value and gradient alike; at 1e300 by the limit itself.
        for (t, allowed) in [(1e12, 1e-11), (1e18, 1e-15), (1e300, 1e-15)] {
            let loss = of(&STUDENT, &TEACHER, t, &options);
            near(loss.value(), 7.0 * part, allowed);
            for (got, want) in loss.logits.iter().zip(wants) {
                assert!((got - want * part).abs() <= 4.0 * allowed, "{got} {want}");
            }
        }
        let one = Options { factor: Factor::One, ..options };
        let loss = distillation(logits.0, logits.1, infinite, &one).unwrap();
        assert_eq!((loss.value(), loss.tau_sum(), &loss.logits[..]), (0.0, 0.0, &[0.0; 4][..]));
        let cold = distillation(logits.0, logits.1, Temperature::ZERO, &options);
        refused_row(cold, 0, "temperature 0");
        let cold = distillation(logits.0, logits.1, tau(5e-324), &options);
        refused_row(cold, 0, "too small");
        // Far below the logits: T times the distance of the other's choice, or less.
        for t in [1e-3, 1e-200, 1e-300] {
            let value = of(&STUDENT, &TEACHER, t, &options).value();
            match divergence {
                Divergence::TeacherToStudent => near(value, 5.0 * t, 1e-12),
                Divergence::StudentToTeacher => near(value, 5.0 * t, 1e-12),
                Divergence::JensenShannon => assert!(value <= t * t),
            }
        }
    }
}

#[test]
fn masks_one_way_and_the_other() {
    let none = f64::NEG_INFINITY;
    let (open, shut) = ([1.0, 2.0, 0.5, 1.0], [1.0, none, 0.5, 2.0]);
    let of = |student: &[f64; 4], teacher: &[f64; 4], divergence, t: f64| {
        let options = Options { divergence, ..Options::default() };
        distillation(rows(student, 4), rows(teacher, 4), tau(t), &options)
    };
    let [forward, reverse, js] = DIVERGENCES;
    // Masked in both: as if it were not there.
    let three = [[1.0, 0.5, 1.0], [1.0, 0.5, 2.0]];
    for divergence in DIVERGENCES {
        let options = Options { divergence, ..Options::default() };
        let (student, teacher) = (rows(&three[0], 3), rows(&three[1], 3));
        let want = distillation(student, teacher, tau(2.0), &options).unwrap();
        let got = of(&[1.0, none, 0.5, 1.0], &shut, divergence, 2.0).unwrap();
        assert_eq!((got.value(), got.tau_sum()), (want.value(), want.tau_sum()));
        assert_eq!(got.logits[1], 0.0);
        let limit = of(&[1.0, none, 0.5, 1.0], &shut, divergence, f64::INFINITY).unwrap();
        assert!(limit.value() > 0.0 && limit.logits[1] == 0.0);
    }
    refused_row(of(&shut, &open, forward, 2.0), 0, "masks a class");
    refused_row(of(&open, &shut, reverse, 2.0), 0, "masks a class");
    for (student, teacher, divergence) in
        [(open, shut, forward), (shut, open, reverse), (shut, open, js), (open, shut, js)]
    {
        let taus = [tau(2.0)];
        let unmasked: Vec<usize> = (0..4).filter(|&i| student[i] > none).collect();
        let logits: Vec<f64> = unmasked.iter().map(|&i| student[i]).collect();
        check_gradients(&logits, &taus, |logits, taus| {
            let mut student = student;
            unmasked.iter().zip(logits).for_each(|(&i, &x)| student[i] = x);
            let options = Options { divergence, ..Options::default() };
            let loss = distillation(rows(&student, 4), rows(&teacher, 4), taus, &options).unwrap();
            let logits = unmasked.iter().map(|&i| loss.logits[i]).collect();
            Loss { logits, ..loss }
        });
        refused_row(of(&student, &teacher, divergence, f64::INFINITY), 0, "masks a class");
        let standardise = Some(Deviation::Sample);
        let options = Options { divergence, standardise, ..Options::default() };
        let (student, teacher) = (rows(&student, 4), rows(&teacher, 4));
        let scored = distillation(student, teacher, tau(f64::INFINITY), &options);
        refused_row(scored, 0, "masks a class");
    }
}

#[test]
fn what_is_refused() {
    let (good, nan) = ([STUDENT, TEACHER].concat(), [TEACHER, [f64::NAN; 4]].concat());
    let of = |student: &[f64], teacher: &[f64], options: &Options<'_>| {
        distillation(rows(student, 4), rows(teacher, 4), tau(2.0), options)
    };
    let plain = Options::default();
    refused_row(of(&nan, &good, &plain), 1, "NaN");
    refused_row(of(&good, &nan, &plain), 1, "teacher");
    let infinite = [TEACHER, [f64::INFINITY, 0.0, 0.0, 0.0]].concat();
    refused_row(of(&infinite, &good, &plain), 1, "+inf");
    let standardise = Some(Deviation::Sample);
    let scored = Options { standardise, ..plain };
    refused_row(of(&nan, &good, &scored), 1, "NaN");
    refused_row(of(&infinite, &good, &scored), 1, "+inf");
    let error = of(&good, &TEACHER, &plain).unwrap_err();
    assert!(matches!(error, Error::Shape { what: "teacher", .. }), "{error}");
    for soft_weight in [-1.0, f64::NAN, f64::INFINITY] {
        let error = of(&good, &good, &Options { soft_weight, ..plain }).unwrap_err();
        assert!(matches!(error, Error::Parameter { what: "soft weight", .. }), "{error}");
    }
    let labels = Labels::new(&[1], 4).unwrap();
    let hard = Some(HardLabels { labels, weight: 1.0 });
    let error = of(&good, &good, &Options { hard, ..plain }).unwrap_err();
    assert!(matches!(error, Error::Shape { what: "labels", .. }), "{error}");
    let labels = Labels::with_ignored(&[-1, -1], 4, -1).unwrap();
    let hard = Some(HardLabels { labels, weight: 1.0 });
    assert_eq!(of(&good, &good, &Options { hard, ..plain }).unwrap_err(), Error::NoRows);
}

fn everywhere<T: Number>() {
    let (rows, classes) = (1200, 131);
    let drawn =
        |seed| -> Vec<T> { super::drawn(seed, rows * classes).iter().map(|&x| T::of(x)).collect() };
    let (student, teacher) = (drawn(9), drawn(10));
    let labels: Vec<i64> = (0..rows).map(|row| (row * 31 % classes) as i64 - 1).collect();
    let labels = Labels::with_ignored(&labels, classes, -1).unwrap();
    for divergence in DIVERGENCES {
        let options = Options {
            divergence,
            standardise: (divergence == Divergence::JensenShannon).then_some(Deviation::Sample),
            hard: Some(HardLabels { labels, weight: 0.5 }),
            ..Options::default()
        };
        always_the_same(|| {
            let student = Rows::new(&student, classes).unwrap();
            let teacher = Rows::new(&teacher, classes).unwrap();
            let loss = distillation(student, teacher, tau(4.0), &options).unwrap();
            bits(&loss)
        });
        let alone = Options { divergence, ..Options::default() };
        always_the_same(|| {
            let student = Rows::new(&student, classes).unwrap();
            let teacher = Rows::new(&teacher, classes).unwrap();
            bits(&distillation(student, teacher, tau(4.0), &alone).unwrap())
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
