//! Bad input: refused, with the row and what is wrong with it.

use softargmax::{
    ContrastiveOptions, Denominator, Error, Labels, Queue, Reduction, Rows, Temperature, Vectors,
    clip, info_nce, info_nce_fixed, info_nce_in_batch, moco, momentum_update, nt_xent, sig_lip,
    sup_con,
};

use crate::contrastive::{options, rows, tau};

const FINE: [f64; 6] = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8];

/// The error of every loss that takes pairs.
fn errors(
    x: Rows<'_, f64>,
    y: Rows<'_, f64>,
    tau: Temperature,
    o: &ContrastiveOptions,
) -> Vec<Error> {
    let queue = Queue::new(4, x.classes(), o.vectors).unwrap();
    vec![
        info_nce(x, y, x, tau, o).unwrap_err(),
        moco(x, y, &queue, tau, o).unwrap_err(),
        info_nce_in_batch(x, y, tau, o).unwrap_err(),
        clip(x, y, tau, o).unwrap_err(),
        nt_xent(x, y, tau, o).unwrap_err(),
        sig_lip(x, y, tau, 0.0, o).unwrap_err(),
    ]
}

#[test]
fn a_row_that_is_no_vector_is_named() {
    for (vectors, bad) in [
        (Vectors::Normalise, [f64::NAN, 1.0]),
        (Vectors::Normalise, [1.0, f64::INFINITY]),
        (Vectors::Normalise, [0.0, 0.0]),
        (Vectors::Normalise, [1.7e308, 1.7e308]),
        (Vectors::Unit, [0.6, 0.9]),
        (Vectors::Unit, [0.0, 0.0]),
        (Vectors::Unit, [0.0, f64::NAN]),
        (Vectors::AsGiven, [f64::NAN, 1.0]),
        (Vectors::AsGiven, [f64::NEG_INFINITY, 1.0]),
        (Vectors::AsGiven, [1e200, 1.0]),
    ] {
        let mut wrong = FINE;
        wrong[2..4].copy_from_slice(&bad);
        let (fine, wrong) = (rows(&FINE, 2), rows(&wrong, 2));
        let options = options(vectors, Denominator::WithPositive, Reduction::Mean);
        let both =
            [errors(wrong, fine, tau(0.1), &options), errors(fine, wrong, tau(0.1), &options)];
        let labels = Labels::new(&[0, 0, 0], 1).unwrap();
        let more = [
            info_nce(fine, fine, wrong, tau(0.1), &options).unwrap_err(),
            sup_con(wrong, labels, tau(0.1), &options).unwrap_err(),
            Queue::new(3, 2, vectors).unwrap().push(wrong).unwrap_err(),
        ];
        for error in both.concat().iter().chain(&more) {
            assert!(matches!(error, Error::Row { row: 1, .. }), "{bad:?}: {error}");
        }
    }
}

#[test]
fn nearly_unit_vectors_pass_as_such() {
    let nearly = [0.6f32, 0.8, 0.60001, 0.79999];
    let unit = options(Vectors::Unit, Denominator::WithPositive, Reduction::Mean);
    assert!(info_nce_in_batch(rows(&nearly, 2), rows(&nearly, 2), tau(0.1), &unit).is_ok());
}

#[test]
fn sizes_that_do_not_belong_together() {
    let (two, three) = (rows(&FINE, 2), rows(&FINE, 3));
    let options = ContrastiveOptions::default();
    let fewer = rows(&FINE[..4], 2);
    for error in errors(two, three, tau(0.1), &options)
        .into_iter()
        .chain(errors(two, fewer, tau(0.1), &options))
        .chain([info_nce(two, two, three, tau(0.1), &options).unwrap_err()])
        .chain([Queue::new(3, 3, Vectors::Normalise).unwrap().push(two).unwrap_err()])
        .chain([momentum_update(&mut [0.0], &[0.0, 1.0], 0.5).unwrap_err()])
        .chain([sup_con(two, Labels::new(&[0], 1).unwrap(), tau(0.1), &options).unwrap_err()])
    {
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
    let queue = Queue::new(3, 3, Vectors::Normalise).unwrap();
    assert!(matches!(moco(two, two, &queue, tau(0.1), &options), Err(Error::Shape { .. })));
    assert_eq!(Queue::<f32>::new(3, 0, Vectors::Unit).unwrap_err(), Error::NoClasses);
}

#[test]
fn a_loss_has_no_temperature_0_and_a_mean_needs_rows() {
    let (fine, none) = (rows(&FINE, 2), Rows::<f64>::new(&[], 2).unwrap());
    let options = ContrastiveOptions::default();
    for error in errors(fine, fine, Temperature::ZERO, &options) {
        assert!(matches!(error, Error::Parameter { what: "temperature", .. }), "{error}");
    }
    for error in errors(fine, fine, tau(1e-301), &options) {
        assert!(matches!(error, Error::Parameter { what: "temperature", .. }), "{error}");
    }
    // The smallest that f32 takes: nothing is NaN.
    let single = FINE.map(|x| x as f32);
    let backwards = [0.8f32, 0.6, 1.0, 0.0, 0.0, 1.0];
    let (x, y) = (rows(&single, 2), rows(&backwards, 2));
    assert!(clip(x, y, tau(1e-37), &options).is_err());
    let loss = clip(x, y, tau(1e-36), &options).unwrap();
    assert!(loss.queries.iter().chain(&loss.keys).all(|g| g.is_finite()));
    assert!(loss.value() > 1e35 && loss.value() < 1e37 && loss.tau_sum() < -1e71);
    for error in errors(none, none, tau(0.1), &options) {
        assert_eq!(error, Error::NoRows);
    }
}

#[test]
fn an_anchor_without_a_positive_does_not_count_and_alone_they_have_no_mean() {
    let options = ContrastiveOptions::default();
    let alone = Labels::new(&[0, 1, 2], 3).unwrap();
    assert_eq!(sup_con(rows(&FINE, 2), alone, tau(0.1), &options).unwrap_err(), Error::NoRows);
    let sum =
        crate::contrastive::options(Vectors::Normalise, Denominator::WithPositive, Reduction::Sum);
    let loss = sup_con(rows(&FINE, 2), alone, tau(0.1), &sum).unwrap();
    assert_eq!((loss.value(), loss.anchors), (0.0, 0));
    assert_eq!(loss.vectors, [0.0; 6]);
}

#[test]
fn without_the_positive_there_must_be_a_negative() {
    let only = options(Vectors::Normalise, Denominator::NegativesOnly, Reduction::Mean);
    let (one, none) = (rows(&FINE[..2], 2), Rows::new(&[], 2).unwrap());
    let queue = Queue::new(4, 2, Vectors::Normalise).unwrap();
    let labels = Labels::new(&[0], 1).unwrap();
    for error in [
        info_nce(one, one, none, tau(0.1), &only).unwrap_err(),
        moco(one, one, &queue, tau(0.1), &only).unwrap_err(),
        info_nce_in_batch(one, one, tau(0.1), &only).unwrap_err(),
        clip(one, one, tau(0.1), &only).unwrap_err(),
        nt_xent(one, one, tau(0.1), &only).unwrap_err(),
        // These two have no such form.
        sig_lip(one, one, tau(0.1), 0.0, &only).unwrap_err(),
        sup_con(one, labels, tau(0.1), &only).unwrap_err(),
        sig_lip(one, one, tau(0.1), f64::NAN, &ContrastiveOptions::default()).unwrap_err(),
        sig_lip(rows(&[1f32], 1), rows(&[1f32], 1), tau(0.1), 1e39, &ContrastiveOptions::default())
            .unwrap_err(),
        momentum_update(&mut [0.0], &[0.0], 1.5).unwrap_err(),
        momentum_update(&mut [0.0], &[0.0], f64::NAN).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
}

/// Duplicate keys are as many negatives, and a duplicate of the positive is one.
#[test]
fn duplicate_keys_count_each() {
    let same = [0.6, 0.8].repeat(9);
    let loss = clip(rows(&same, 2), rows(&same, 2), tau(0.01), &ContrastiveOptions::default());
    let loss = loss.unwrap();
    crate::contrastive::close(loss.value(), 9f64.ln(), 1e-14);
    assert!(loss.queries.iter().chain(&loss.tau).all(|g| g.abs() < 1e-12));
}

/// A failed push leaves the queue as it was.
#[test]
fn a_queue_is_not_half_pushed() {
    let mut queue = Queue::new(3, 2, Vectors::Normalise).unwrap();
    queue.push(rows(&[3.0, 4.0], 2)).unwrap();
    assert!(queue.push(rows(&[1.0, 0.0, f64::NAN, 0.0], 2)).is_err());
    assert_eq!(queue.oldest_first().collect::<Vec<_>>(), [&[0.6, 0.8]]);
}

#[test]
fn fixed_negatives_were_normalised_before() {
    let (fine, long) = (rows(&FINE, 2), [3.0, 4.0]);
    let long = rows(&long, 2);
    let of = |negatives, vectors| {
        let options = options(vectors, Denominator::WithPositive, Reduction::Mean);
        info_nce_fixed(fine, fine, negatives, tau(0.1), &options)
    };
    for vectors in [Vectors::Normalise, Vectors::Unit] {
        assert!(of(fine, vectors).is_ok());
        assert!(matches!(of(long, vectors), Err(Error::Row { row: 0, .. })));
    }
    assert!(of(long, Vectors::AsGiven).is_ok());
}
