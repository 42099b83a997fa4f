//! Which model is chosen, and what the models gain on rows they have not seen.

use softargmax::{Calibrator, Model, Outcome, fit_temperature, select};

use crate::ladder::{BCTS, Set, affine, near};

/// Figures of the research: half of the rows to fit, the other half to try, what is gained over temperature.
#[test]
fn gains_on_real_logits() {
    for (name, of_bcts, of_vector, within) in [
        ("sst2-gpt2-4shot", 0.385, 0.386, 0.03),
        ("agnews-gpt2", 0.367, 0.374, 0.02),
        ("pathmnist-resnet50", 0.080, 0.127, 0.01),
        ("cifar10-resnet20", -0.002, 0.001, 0.005),
        ("cifar100-resnet20", -0.008, -0.017, 0.010),
    ] {
        let Some(set) = Set::shared(name) else { return };
        let rows = set.labels.len();
        let (even, odd) = (set.taken((0..rows).step_by(2)), set.taken((1..rows).step_by(2)));
        let tried = |model| {
            let (a, b) = (even.tried_on(&odd, model), odd.tried_on(&even, model));
            ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0)
        };
        let (plain, before) = tried(Model::Temperature);
        let (bcts, after) = tried(Model::Bcts);
        near(plain - bcts, of_bcts, within);
        near(plain - tried(Model::Vector).0, of_vector, within);
        if name == "sst2-gpt2-4shot" {
            assert!(before < 0.51 && after > 0.87, "{before} {after}");
        }
        // A mixture that contains the temperature costs next to nothing on new rows.
        assert!(tried(Model::Ets).0 < plain + 3e-4);
    }
}

#[test]
fn selection_on_real_logits() {
    let Some(set) = Set::shared("sst2-gpt2-4shot") else { return };
    let selection = set.select(5);
    assert_eq!(selection.model, Some(Model::Bcts), "{}", selection.reason);
    let chosen = selection.candidates.iter().find(|c| c.model == Model::Bcts).unwrap();
    assert!(chosen.accuracy > 0.87 && chosen.nll < 0.29, "{chosen:?}");
    assert!(
        selection.reason.starts_with("a bias per class lowers the held-out nll by 0.3")
            && selection.reason.contains("the classes' shares differ from what the logits say"),
        "{}",
        selection.reason
    );
    assert_eq!(selection.calibrator, Some(Calibrator::Affine(affine(&set.fit(BCTS)).clone())));

    let set = Set::shared("cifar100-resnet20").unwrap();
    let selection = set.select(5);
    assert_eq!(selection.model, Some(Model::Temperature), "{}", selection.reason);
    let plain = fit_temperature(set.rows(), set.labels(), &Default::default()).unwrap();
    let tau = plain.estimate.unwrap().temperature;
    assert_eq!(selection.calibrator, Some(Calibrator::Temperature(tau)));
}

#[test]
fn honest_logits_are_left_alone() {
    for (model, scale, bias) in [
        (Model::Identity, 1.0, [0.0; 5]),
        (Model::Temperature, 0.7, [0.0; 5]),
        (Model::Bcts, 0.7, [0.0, 0.0, 0.0, 0.0, 1.5]),
    ] {
        // The rule goes wrong where chance moves a mean by more than its standard error in favour of what has more
        // to fit: of 240 sets once or twice.
        let chosen = (0..12).map(|seed| Set::drawn(700 + seed, 1000, scale, &bias).select(5).model);
        let right = chosen.filter(|&chosen| chosen == Some(model)).count();
        assert!(right >= 11, "{model:?}: {right}");
    }
    let selection = Set::drawn(7, 1000, 1.0, &[0.0; 5]).select(5);
    assert_eq!(selection.calibrator, Some(Calibrator::Identity));
    assert_eq!(selection.candidates.len(), 5);
    // Where classes want other scales, only one model has them.
    let mut set = Set::drawn(10, 2000, 0.7, &[0.0; 3]);
    set.logits.iter_mut().step_by(3).for_each(|z| *z *= 4.0);
    let selection = set.select(5);
    assert_eq!(selection.model, Some(Model::Vector), "{}", selection.reason);
    // On most rows right as it is, on some without any meaning: a mixture with the uniform distribution.
    let mut set = Set::drawn(11, 4000, 2.0, &[0.0; 4]);
    set.labels.iter_mut().step_by(10).enumerate().for_each(|(i, label)| *label = i as i64 % 4);
    let set = set.map(|z| 2.0 * z);
    let selection = set.select(5);
    assert_eq!(selection.model, Some(Model::Ets), "{}", selection.reason);
    let Some(Calibrator::Ensemble(ensemble)) = selection.calibrator else { panic!() };
    near(ensemble.shares()[2], 0.1, 0.02);
}

#[test]
fn few_rows_and_many_classes_can_be_selected_on() {
    let of = |logits: &[f64], labels: &[i64]| {
        let classes = logits.len() / labels.len().max(1);
        Set { logits: logits.to_vec(), classes: classes.max(1), labels: labels.to_vec() }
    };
    let two = of(&[2.0, 0.0, 0.0, 1.0], &[0, 1]).select(5);
    assert_eq!((two.model, two.folds), (Some(Model::Identity), 2));
    assert_eq!(two.candidates[1].outcome, Outcome::Separable);
    assert!(two.candidates[1].nll.is_nan());
    assert!(
        two.reason.contains("temperature has no fit on all folds (separable)"),
        "{}",
        two.reason
    );
    for (rows, labels) in [(&[2.0, 0.0][..], &[0][..]), (&[], &[])] {
        let few = of(rows, labels).select(5);
        assert_eq!(few.model, Some(Model::Identity));
        assert!(few.reason.ends_with("rows are too few to compare models"), "{}", few.reason);
    }
    let set = of(&[2.0, 0.0, 0.0, 1.0], &[0, 1]);
    let none = select(set.rows(), set.labels(), None, &[Model::Bcts], 2, 0).unwrap();
    assert_eq!((none.model, none.calibrator), (None, None));
    // More classes than rows of most: every fold misses some.
    let many = Set::drawn(17, 600, 0.6, &[0.0; 200]).select(4);
    assert_eq!(many.model, Some(Model::Temperature), "{}", many.reason);
    assert!(many.candidates.iter().all(|candidate| candidate.nll.is_finite()));
}
