//! Temperatures of groups, drawn to that of all.

use softargmax::{Labels, Outcome, Rows, fit_groups};

use crate::ladder::{Set, near};
use crate::support::random::Random;

#[test]
fn groups_are_drawn_to_the_pool_as_far_as_they_are_unsure() {
    // Group 9: many rows at τ = 1/2; 3: many at τ = 2; 4: ten rows at 2; 5: one row; 6: three that are right.
    let parts = [
        (9, Set::drawn(18, 4000, 2.0, &[0.0; 4])),
        (3, Set::drawn(19, 4000, 0.5, &[0.0; 4])),
        (4, Set::drawn(20, 10, 0.5, &[0.0; 4])),
        (5, Set { logits: vec![0.0, 1.0, 2.0, 0.0], classes: 4, labels: vec![1] }),
        (6, Set { logits: [9.0, 0.0, 0.0, 0.0].repeat(3), classes: 4, labels: vec![0; 3] }),
        (7, Set { logits: vec![f64::NAN; 4], classes: 4, labels: vec![-1] }),
    ];
    let mut set = Set { logits: Vec::new(), classes: 4, labels: Vec::new() };
    let mut groups = Vec::new();
    for (id, part) in &parts {
        groups.extend(part.labels.iter().map(|_| *id));
        set.logits.extend_from_slice(&part.logits);
        set.labels.extend_from_slice(&part.labels);
    }
    let fit = fit_groups(set.rows(), set.labels(), None, &groups).unwrap();
    let ids: Vec<usize> = fit.groups.iter().map(|group| group.id).collect();
    assert_eq!(ids, [3, 4, 5, 6, 7, 9]);
    assert!((0.3..1.5).contains(&fit.deviation), "{}", fit.deviation);
    let pool = fit.pool.estimate.unwrap().temperature;
    let of = |id| fit.groups.iter().find(|group| group.id == id).unwrap();
    let log_distance = |id| (of(id).temperature.tau() / pool.tau()).ln();
    // The large ones are what they are, to their errors.
    for (id, tau) in [(9, 0.5), (3, 2.0)] {
        near((of(id).temperature.tau() / tau).ln(), 0.0, 4.0 * of(id).log_deviation);
        assert!(of(id).log_deviation < 0.03);
        let alone = of(id).alone.estimate.unwrap().temperature.tau();
        near(of(id).temperature.tau() / alone, 1.0, 0.01);
    }
    // The small ones are between their own and that of all, and less sure.
    assert!(
        log_distance(5).abs() < 0.5 * fit.deviation && of(5).log_deviation > 0.5 * fit.deviation
    );
    assert_eq!(of(6).alone.outcome, Outcome::Separable);
    assert!(log_distance(6) < 0.0 && log_distance(6) > -2.0 * fit.deviation);
    let alone = (of(4).alone.estimate.unwrap().temperature.tau() / pool.tau()).ln();
    assert!(log_distance(4) / alone < 1.0 && log_distance(4) / alone > 0.0);
    // Of one that was not there, or had no labels, nothing is known.
    assert_eq!(fit.temperature(1), Some(pool));
    assert_eq!((of(7).temperature, of(7).alone.outcome), (pool, Outcome::NoRows));
    near(of(7).log_deviation, fit.deviation, 0.01);
}

#[test]
fn groups_of_one_kind_have_one_temperature() {
    let (mut differing, mut spread) = (0, 0.0);
    for seed in 0..20 {
        let set = Set::drawn(100 + seed, 2000, 0.7, &[0.0; 4]);
        let groups: Vec<usize> = (0..2000).map(|row| row % 20).collect();
        let fit = fit_groups(set.rows(), set.labels(), None, &groups).unwrap();
        differing += usize::from(fit.deviation > 0.0);
        spread += fit.deviation / 20.0;
        if fit.deviation == 0.0 {
            let pool = fit.pool.estimate.unwrap();
            assert!(fit.groups.iter().all(|group| group.temperature == pool.temperature));
            let relative = pool.std_error / pool.temperature.tau();
            near(fit.groups[0].log_deviation, relative, 1e-12);
        }
    }
    // By chance about half of them seem to differ, by little beside the groups' own errors of 0.13.
    assert!((3..=17).contains(&differing), "{differing}");
    assert!(spread < 0.05, "{spread}");
    // σ is found again where there is one.
    let (mut random, mut found) = (Random::new(4), 0.0);
    for repetition in 0..10 {
        let mut set = Set { logits: Vec::new(), classes: 4, labels: Vec::new() };
        for group in 0..40 {
            let scale = 0.7 * (0.4 * random.normal()).exp();
            let part = Set::drawn(1000 * (repetition + 1) + group, 60, scale, &[0.0; 4]);
            set.logits.extend(part.logits);
            set.labels.extend(part.labels);
        }
        let groups: Vec<usize> = (0..2400).map(|row| row / 60).collect();
        found += fit_groups(set.rows(), set.labels(), None, &groups).unwrap().deviation / 10.0;
    }
    near(found, 0.4, 0.07);
}

#[test]
fn groups_without_a_pool_are_none() {
    let logits = [2.0, 0.0, 0.0, 1.0];
    let labels = Labels::new(&[0, 1], 2).unwrap();
    let fit = fit_groups(Rows::new(&logits, 2).unwrap(), labels, None, &[0, 1]).unwrap();
    assert_eq!(fit.pool.outcome, Outcome::Separable);
    assert!(fit.groups.is_empty() && fit.temperature(0).is_none() && fit.deviation.is_nan());
}
