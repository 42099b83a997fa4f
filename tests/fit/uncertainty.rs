//! How sure a fit is: its intervals cover, its test of τ = 1 has its level, and a prior holds few rows back.

use softargmax::{FitOptions, Labels, Prior, Rows, Scan, Temperature, fit_temperature};

use crate::fit::{Drawn, converged, drawn, fit};
use crate::support::random::Random;
use crate::support::shared::{self, Set};

/// The share of seeded samples whose 95 % interval holds the true temperature.
fn coverage(samples: usize, rows: usize, classes: usize, tau: f64) -> (f64, f64) {
    let mut random = Random::new(7);
    let (mut covered, mut rejected) = (0, 0);
    for _ in 0..samples {
        let Drawn { logits, labels } = drawn(&mut random, rows, classes, tau);
        let found = converged(&fit(&logits, classes, &labels));
        covered += usize::from(found.interval[0] <= tau && tau <= found.interval[1]);
        rejected += usize::from(found.p_value < 0.05);
    }
    (covered as f64 / samples as f64, rejected as f64 / samples as f64)
}

#[test]
fn intervals_cover_and_the_test_of_one_has_its_level() {
    // 2000 samples: 95 % is met within a standard error of 0.5 %.
    for (classes, tau) in [(10, 1.7), (3, 0.6)] {
        let (covered, _) = coverage(2000, 500, classes, tau);
        eprintln!("coverage at n = 500, {classes} classes, τ = {tau}: {covered}");
        assert!((0.93..=0.97).contains(&covered), "{classes} classes, τ = {tau}: {covered}");
    }
    let (covered, rejected) = coverage(2000, 500, 10, 1.0);
    assert!((0.93..=0.97).contains(&covered), "{covered}");
    assert!((0.03..=0.07).contains(&rejected), "τ = 1 rejected in {rejected} of samples");
}

/// The rows of a set that are asked for.
fn taken(set: &Set, rows: &[usize]) -> Set {
    let classes = set.classes;
    let logits = rows.iter().flat_map(|i| set.logits[i * classes..][..classes].to_vec()).collect();
    Set { logits, classes, labels: rows.iter().map(|&i| set.labels[i]).collect() }
}

#[test]
fn a_prior_keeps_small_samples_from_exploding() {
    let Some(set) = shared::set("cifar100-resnet20") else { return };
    let held_out = taken(&set, &(0..set.labels.len()).step_by(10).collect::<Vec<_>>());
    let nll = |tau: Temperature| {
        let mut scan = Scan::new(set.classes, &[tau]);
        let logits = Rows::new(&held_out.logits, set.classes).expect("rows");
        let labels = Labels::new(&held_out.labels, set.classes).expect("labels");
        scan.add(logits, labels, None).expect("sums");
        scan.nll().next().expect("one")
    };
    let at_one = nll(Temperature::ONE);
    let mut random = Random::new(8);
    let (mut plain, mut prior, mut without) = (Vec::new(), Vec::new(), 0);
    for _ in 0..1000 {
        let pick = |_| (random.unit() * set.labels.len() as f64) as usize;
        let few = taken(&set, &(0..20).map(pick).collect::<Vec<_>>());
        let logits = Rows::new(&few.logits, set.classes).expect("rows");
        let labels = Labels::new(&few.labels, set.classes).expect("labels");
        let fit = |prior| {
            fit_temperature(logits, labels, &FitOptions { weights: None, prior }).expect("a fit")
        };
        match fit(None).estimate {
            Some(found) => plain.push(nll(found.temperature) - at_one),
            None => without += 1,
        }
        prior.push(nll(converged(&fit(Some(Prior::default()))).temperature) - at_one);
    }
    let mean = |harms: &[f64]| harms.iter().sum::<f64>() / harms.len() as f64;
    let worst = |harms: &[f64]| harms.iter().copied().fold(f64::MIN, f64::max);
    eprintln!(
        "n = 20, 1000 samples: NLL on other rows less that at τ = 1, mean and worst: plain {:+.3} {:+.3} \
         ({without} samples without an answer), prior {:+.3} {:+.3}",
        mean(&plain),
        worst(&plain),
        mean(&prior),
        worst(&prior)
    );
    assert!(worst(&prior) < 0.75, "the prior costs up to {}", worst(&prior));
    assert!(worst(&plain) > 1.0, "plain costs only up to {}", worst(&plain));
    assert!(mean(&prior) < mean(&plain));
}

#[test]
fn a_prior_gives_an_answer_where_rows_alone_do_not() {
    let options = FitOptions { weights: None, prior: Some(Prior::default()) };
    let tau = |logits: &[f64], labels: &[i64]| {
        let rows = Rows::new(logits, 2).expect("rows");
        let labels = Labels::new(labels, 2).expect("labels");
        let fit = fit_temperature(rows, labels, &options).expect("a fit");
        converged(&fit).temperature.tau()
    };
    let separable = tau(&[2.0, 1.0, 0.0, 3.0], &[0, 1]);
    assert!((0.3..1.0).contains(&separable), "{separable}");
    let inverted = tau(&[2.0, 1.0, 0.0, 3.0], &[1, 0]);
    assert!((1.0..4.0).contains(&inverted), "{inverted}");
    assert_eq!(tau(&[2.0, 2.0], &[1]), 1.0);
    // With many rows it does not show.
    let Drawn { logits, labels } = drawn(&mut Random::new(9), 20_000, 2, 3.0);
    let alone = converged(&fit(&logits, 2, &labels));
    let both = tau(&logits, &labels);
    assert!((both - alone.temperature.tau()).abs() < 0.2 * alone.std_error);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Prior::new(Temperature::ONE, bad).is_err());
    }
    assert!(Prior::new(Temperature::ZERO, 0.5).is_err());
}
