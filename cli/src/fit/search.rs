//! The temperatures of sets of rows of one file, all of them from the same passes.
//!
//! ```text
//! held in memory:   each by itself, in the library
//! a file:           a sample → some 3 % from the answer → a draft, then all sums: two passes
//! many rows:        a sample → a part → so near that one pass has everything
//! ```

use softargmax::{Error, Prior, Scan, TemperatureFit, TemperatureSolver};

use crate::error::CliError;
use crate::labelled::{Block, Keep, Labelled};

/// Standard deviations by which a part of a file may be off: one fit of a hundred takes another pass.
const DEVIATIONS: f64 = 2.5;

/// The temperature of the rows of each `keeps`.
pub(super) fn temperatures(
    labelled: &mut Labelled,
    keeps: &[Keep],
    prior: Option<Prior>,
) -> Result<Vec<TemperatureFit>, CliError> {
    if let Some(block) = labelled.all() {
        let fits = keeps.iter().map(|keep| block.fit(*keep, prior));
        return fits.collect::<Result<_, _>>().map_err(|error| labelled.refuse(0, error));
    }
    let mut solvers = started(labelled, keeps, prior);
    loop {
        let mut scans: Vec<_> = solvers.iter().map(TemperatureSolver::next_scan).collect();
        if scans.iter().all(Option::is_none) {
            return Ok(solvers.into_iter().map(TemperatureSolver::fit).collect());
        }
        labelled.pass(|block| add_to_each(&mut scans, &block, keeps))?;
        for (solver, scan) in solvers.iter_mut().zip(&scans) {
            scan.iter().for_each(|scan| solver.take(scan));
        }
    }
}

/// A search for each of `keeps`, begun as near the answer as some of the rows tell.
fn started(labelled: &Labelled, keeps: &[Keep], prior: Option<Prior>) -> Vec<TemperatureSolver> {
    let new = || TemperatureSolver::new(labelled.classes(), prior);
    let sample = labelled.fit_sample(prior);
    let start = sample.as_ref().and_then(|fit| Some(fit.estimate?.temperature));
    let by_sample = || start.map_or(new(), |tau| new().starting_at(tau));
    let by_part = |every| {
        let mut scans: Vec<_> = keeps.iter().map(|_| by_sample().next_scan()).collect();
        let visit = |block: Block| add_to_each(&mut scans, &block, keeps);
        // What is wrong with a row is said by whoever goes through all of them.
        labelled.pass_over_part(every, visit).ok()?;
        let near = |scan: &Option<_>| {
            let mut solver = by_sample();
            solver.take(scan.as_ref()?);
            let tau = solver.next_scan()?.temperatures().next()?;
            Some(new().starting_near(tau))
        };
        scans.iter().map(near).collect()
    };
    let part = sample.as_ref().and_then(|fit| part_that_is_enough(fit, labelled.rows()));
    part.and_then(by_part)
        .unwrap_or_else(|| keeps.iter().map(|_| by_sample().loss_at_one_first()).collect())
}

/// Adds the rows of a block to every scan that is wanted, each those that are to be kept for it.
fn add_to_each(scans: &mut [Option<Scan>], block: &Block, keeps: &[Keep]) -> Result<(), Error> {
    let mut asked = scans.iter_mut().zip(keeps);
    asked.try_for_each(|(scan, keep)| match scan {
        Some(scan) => block.add_to(scan, *keep),
        None => Ok(()),
    })
}

/// One of how many blocks is enough for a temperature so near that of all `rows` that one pass over them will do, by
/// the standard error of a sample. `None` where that would take more than half of them.
fn part_that_is_enough(sample: &TemperatureFit, rows: usize) -> Option<usize> {
    let estimate = sample.estimate.as_ref()?;
    let relative = estimate.robust_std_error / estimate.temperature.tau();
    let of_all = relative * (sample.rows as f64 / rows as f64).sqrt();
    // One of k has √(k − 1) times the standard error of all, as its distance from what all say.
    let is_enough =
        |every: &usize| DEVIATIONS * of_all * ((every - 1) as f64).sqrt() < TemperatureSolver::NEAR;
    [16, 8, 4, 2].into_iter().find(is_enough)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Content, LabelledArgs, TopKArgs};

    /// Rows enough that half of them are near enough, and then rows that are sorted, so that they are not.
    #[test]
    fn many_rows_are_gone_through_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (rows, classes) = (1 << 18, 32);
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        for is_sorted in [false, true] {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            let header = format!(
                "{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {classes}), }}\n"
            );
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            let mut labels = String::new();
            for row in 0..rows {
                let label = row % 10;
                labels.push_str(&format!("{label}\n"));
                // The first half of every run knows more than the second.
                let lift = if is_sorted && row / (rows / 128) % 2 == 1 { 2.8 } else { 3.0 };
                for class in 0..classes {
                    let x = 8.0 * uniform() + if class == label { lift } else { 0.0 };
                    bytes.extend(x.to_le_bytes());
                }
            }
            let write = |name: &str, bytes: &[u8]| {
                let path = folder.path().join(name);
                std::fs::write(&path, bytes).expect("written");
                path
            };
            let args = LabelledArgs {
                logits: write("logits.npy", &bytes),
                labels: write("labels.csv", labels.as_bytes()),
                input: Content::Logits,
                epsilon: None,
                weights: None,
                ignore_label: None,
                classes: None,
                top_k: TopKArgs::default(),
            };
            let keeps: [Keep; 2] = [&|_| true, &|row| row % 3 > 0];
            let mut streamed = Labelled::open_within(0, &args, None, false).expect("opens");
            let sample = streamed.fit_sample(None).expect("a fit");
            assert_eq!(part_that_is_enough(&sample, rows), Some(2));
            let got = temperatures(&mut streamed, &keeps, None).expect("fits");
            let mut held = Labelled::open(&args, None, false).expect("opens");
            let wanted = temperatures(&mut held, &keeps, None).expect("fits");
            for (got, wanted) in got.iter().zip(&wanted) {
                assert_eq!(got.passes, 1 + u32::from(is_sorted));
                assert_eq!((got.rows, got.accuracy), (wanted.rows, wanted.accuracy));
                let tau = |fit: &TemperatureFit| fit.estimate.expect("one").temperature.tau();
                let error = tau(got) / tau(wanted) - 1.0;
                assert!(error.abs() < 1e-12, "{error:e}");
                assert!((got.nll_before / wanted.nll_before - 1.0).abs() < 1e-14);
            }
        }
    }
}
