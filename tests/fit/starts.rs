//! Where a search begins: that saves passes, and cannot be seen in the answer.

use super::{Drawn, SETS, converged, drawn};
use crate::support::random::Random;
use crate::support::shared::{self, Set};
use softargmax::{
    FitOptions, Labels, Outcome, Prior, Rows, Temperature, TemperatureFit, TemperatureSolver,
    fit_temperature,
};

#[test]
fn a_start_saves_passes_and_changes_nothing_else() {
    let Drawn { logits, labels } = drawn(&mut Random::new(6), 3000, 6, 3.0);
    let (rows, labels) = (Rows::new(&logits, 6).expect("rows"), Labels::new(&labels, 6));
    let labels = labels.expect("labels");
    let solve = |mut solver: TemperatureSolver| {
        while let Some(mut scan) = solver.next_scan() {
            scan.add(rows, labels, None).expect("sums");
            solver.take(&scan);
        }
        solver.fit()
    };
    let plain = solve(TemperatureSolver::new(6, None));
    let tau = converged(&plain).temperature;
    for (factor, passes) in [(1.0, 2), (1.001, 2), (0.97, 2), (30.0, 5), (1e-3, 7), (1e200, 7)] {
        let start = Temperature::new(tau.tau() * factor).expect("a temperature");
        let started = solve(TemperatureSolver::new(6, None).starting_at(start));
        let (got, wanted) = (converged(&started), converged(&plain));
        assert!((got.temperature.tau() / tau.tau() - 1.0).abs() < 1e-13, "{factor}: {got:?}");
        assert!((got.nll / wanted.nll - 1.0).abs() < 1e-14, "{factor}");
        assert!((started.nll_before / plain.nll_before - 1.0).abs() < 1e-14, "{factor}");
        assert!(started.passes <= passes, "{factor}: {} passes", started.passes);

        let solver = TemperatureSolver::new(6, None).starting_at(start).loss_at_one_first();
        let asked: Vec<_> = solver.next_scan().expect("a scan").temperatures().collect();
        assert_eq!((asked.len(), asked[1]), (2, Temperature::ONE), "{factor}");
        assert_eq!(solve(solver), started, "{factor}");
    }
    // A draft at τ = 1 is that temperature once, and its loss comes with a later pass.
    let at_one = TemperatureSolver::new(6, None).starting_at(Temperature::ONE);
    let solver = at_one.clone().loss_at_one_first();
    assert_eq!(solver.next_scan().expect("a scan").temperatures().count(), 1);
    assert_eq!(solve(solver), solve(at_one));
}

fn without_passes(mut fit: TemperatureFit) -> TemperatureFit {
    fit.passes = 0;
    fit
}

/// The last pass is at a temperature that the rows alone decide, so that where a search begins cannot be seen in its end.
#[test]
fn every_start_comes_to_the_same_bits() {
    let Drawn { logits, labels } = drawn(&mut Random::new(13), 9000, 5, 1.9);
    let drawn = Set { logits, labels, classes: 5 };
    let sets = SETS.iter().filter_map(|(name, ..)| shared::set(name)).chain([drawn]);
    for set in sets {
        let rows = Rows::new(&set.logits, set.classes).expect("rows");
        let labels = Labels::new(&set.labels, set.classes).expect("labels");
        let narrow: Vec<f32> = set.logits.iter().map(|&x| x as f32).collect();
        let narrow = Rows::new(&narrow, set.classes).expect("rows");
        let solve = |mut solver: TemperatureSolver, in_f64: bool| {
            while let Some(mut scan) = solver.next_scan() {
                let added = match in_f64 {
                    true => scan.add(rows, labels, None),
                    false => scan.add(narrow, labels, None),
                };
                added.expect("sums");
                solver.take(&scan);
            }
            without_passes(solver.fit())
        };
        for in_f64 in [true, false] {
            let new = || TemperatureSolver::new(set.classes, None);
            let expected = solve(new(), in_f64);
            let tau = converged(&expected).temperature.tau();
            let at = |factor: f64| Temperature::new(tau * factor).expect("a temperature");
            for factor in [1e-3, 0.5, 0.93, 0.97, 0.99, 0.999, 1.0, 1.001, 1.02, 1.05, 1.3, 40.0] {
                let got = solve(new().starting_at(at(factor)), in_f64);
                assert_eq!(got, expected, "{factor}");
            }
            for off in [-1e-6, -1e-8, 0.0, 1e-8, 1e-6] {
                assert_eq!(solve(new().starting_near(at(1.0 + off)), in_f64), expected, "{off}");
            }
            let options = FitOptions::default();
            let of_sample = match in_f64 {
                true => fit_temperature(rows, labels, &options),
                false => fit_temperature(narrow, labels, &options),
            };
            assert_eq!(without_passes(of_sample.expect("a fit")), expected);
        }
    }
}

/// Deep sums say of the whole neighbourhood what others say of one temperature: with rows of few and of many classes,
/// of either type, with weights, with a prior.
#[test]
fn a_start_that_is_near_needs_one_pass() {
    for (classes, prior, is_weighted) in
        [(6, None, false), (6, Some(Prior::default()), true), (300, None, true)]
    {
        let Drawn { logits, labels } = drawn(&mut Random::new(12), 4000, classes, 1.6);
        let narrow: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
        let labels = Labels::new(&labels, classes).expect("labels");
        let weights: Vec<f64> = (0..4000).map(|row| f64::from(row % 3)).collect();
        let weights = is_weighted.then_some(&weights[..]);
        let solve = |mut solver: TemperatureSolver, in_f64: bool| {
            while let Some(mut scan) = solver.next_scan() {
                let added = if in_f64 {
                    scan.add(Rows::new(&logits, classes).expect("rows"), labels, weights)
                } else {
                    scan.add(Rows::new(&narrow, classes).expect("rows"), labels, weights)
                };
                added.expect("sums");
                solver.take(&scan);
            }
            solver.fit()
        };
        for in_f64 in [true, false] {
            let new = || TemperatureSolver::new(classes, prior);
            let plain = solve(new(), in_f64);
            let best = converged(&plain).temperature.tau();
            let off = TemperatureSolver::NEAR;
            for (factor, passes) in
                [(1.0, 1), (1.0 + 0.98 * off, 1), (1.0 - 0.98 * off, 1), (1.02, 2), (0.98, 2)]
            {
                let start = Temperature::new(best * factor).expect("a temperature");
                let near = solve(new().starting_near(start), in_f64);
                assert_eq!(near.passes, passes, "{classes} {factor}");
                let (got, wanted) = (converged(&near), converged(&plain));
                let same = |what: &str, got: f64, wanted: f64, tolerance: f64| {
                    let error = (got / wanted - 1.0).abs();
                    assert!(error < tolerance, "{classes} {factor}: {what} {error:e}");
                };
                same("τ", got.temperature.tau(), best, 1e-12);
                same("its error", got.std_error, wanted.std_error, 1e-9);
                same("its robust error", got.robust_std_error, wanted.robust_std_error, 1e-6);
                same("the loss", got.nll, wanted.nll, 1e-14);
                same("that before", near.nll_before, plain.nll_before, 1e-14);
                assert!(got.tolerance < 3e-13, "{}", got.tolerance);
            }
        }
    }
}

/// A near start does not ask what decides between the ends without a temperature; the pass after it does.
#[test]
fn a_near_start_comes_to_the_same_named_end() {
    let all_won = [2.0f32, 0.0, 1.0, 3.0, 0.5, 0.0];
    let equal = [1.0f32; 6];
    let wrong = [0.0f32, 2.0, 3.0, 1.0, 0.0, 0.5];
    let masked = [f32::NEG_INFINITY, 0.0, 1.0, 3.0, 0.5, 0.0];
    for (logits, outcome) in [
        (all_won, Outcome::Separable),
        (equal, Outcome::ConstantLogits),
        (wrong, Outcome::NoSignal),
        (masked, Outcome::InfiniteNll),
    ] {
        let start = Temperature::new(0.7).expect("a temperature");
        let mut solver = TemperatureSolver::new(2, None).starting_near(start);
        while let Some(mut scan) = solver.next_scan() {
            let labels = Labels::new(&[0, 1, 0], 2).expect("labels");
            scan.add(Rows::new(&logits, 2).expect("rows"), labels, None).expect("sums");
            solver.take(&scan);
        }
        let fit = solver.fit();
        assert_eq!((fit.outcome, fit.estimate), (outcome, None));
    }
}
