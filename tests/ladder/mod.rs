//! The models above one temperature: against their definition, against real logits, and at their edges.

mod groups;
mod selection;

use crate::support::number::on_every_isa;
use crate::support::random::Random;
use crate::support::shared;
use softargmax::{
    Affine, AffineFit, Calibrator, Error, Labels, Model, Outcome, Rows, Selection, Temperature,
    fit_bcts, fit_ets, fit_groups, fit_vector, scores, select, softmax, summarise,
};

/// Labelled rows.
#[derive(Clone)]
struct Set {
    logits: Vec<f64>,
    classes: usize,
    labels: Vec<i64>,
}

impl Set {
    fn rows(&self) -> Rows<'_, f64> {
        Rows::new(&self.logits, self.classes).unwrap()
    }

    fn labels(&self) -> Labels<'_> {
        Labels::with_ignored(&self.labels, self.classes, -1).unwrap()
    }

    fn shared(name: &str) -> Option<Set> {
        let shared::Set { logits, classes, labels } = shared::set(name)?;
        Some(Set { logits, classes, labels })
    }

    fn taken(&self, rows: impl Iterator<Item = usize> + Clone) -> Set {
        let row = |i: usize| self.logits[i * self.classes..(i + 1) * self.classes].to_vec();
        Set {
            logits: rows.clone().flat_map(row).collect(),
            classes: self.classes,
            labels: rows.map(|i| self.labels[i]).collect(),
        }
    }

    fn map(&self, of: impl Fn(f64) -> f64) -> Set {
        Set { logits: self.logits.iter().map(|&z| of(z)).collect(), ..self.clone() }
    }

    /// Logits of spread 3, and labels drawn from softmax(scale·z + bias).
    fn drawn(seed: u64, rows: usize, scale: f64, bias: &[f64]) -> Set {
        let (mut random, classes) = (Random::new(seed), bias.len());
        let mut set = Set { logits: Vec::new(), classes, labels: Vec::new() };
        for _ in 0..rows {
            let row: Vec<f64> = (0..classes).map(|_| 3.0 * random.normal()).collect();
            let tempered: Vec<f64> = row.iter().zip(bias).map(|(z, b)| scale * z + b).collect();
            set.labels.push(draw(&mut random, &softmax(&tempered, Temperature::ONE).unwrap()));
            set.logits.extend(row);
        }
        set
    }

    fn fit(&self, fit: Fit) -> AffineFit {
        fit(self.rows(), self.labels(), None).unwrap()
    }

    fn select(&self, folds: usize) -> Selection {
        select(self.rows(), self.labels(), None, &Model::ALL, folds, 0).unwrap()
    }

    /// Mean loss and accuracy of `model`, fitted on these rows, on others.
    fn tried_on(&self, other: &Set, model: Model) -> (f64, f64) {
        let (_, calibrator) = model.fit(self.rows(), self.labels(), None).unwrap();
        let log_p = calibrator.unwrap().log_probabilities(other.rows()).unwrap();
        let log_p = Rows::new(&log_p, self.classes).unwrap();
        let summary = summarise(&scores(log_p, other.labels(), None, Temperature::ONE).unwrap());
        (summary.nll.value, summary.accuracy.value)
    }
}

type Fit = for<'a> fn(Rows<'a, f64>, Labels<'a>, Option<&[f64]>) -> Result<AffineFit, Error>;

const BCTS: Fit = |logits, labels, weights| fit_bcts(logits, labels, weights);
const VECTOR: Fit = |logits, labels, weights| fit_vector(logits, labels, weights);

fn draw(random: &mut Random, p: &[f64]) -> i64 {
    let mut left = random.unit();
    let past = |p: &f64| {
        left -= p;
        left < 0.0
    };
    p.iter().position(past).unwrap_or(p.len() - 1) as i64
}

fn near(got: f64, want: f64, within: f64) {
    assert!((got - want).abs() <= within, "{got}, not {want} ± {within}");
}

fn all_near(got: &[f64], want: &[f64], within: f64) {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).for_each(|(&got, &want)| near(got, want, within));
}

fn affine(fit: &AffineFit) -> &Affine {
    assert_eq!(fit.outcome, Outcome::Converged);
    fit.affine.as_ref().unwrap()
}

/// The gradient of what a fit is documented to make least, term by term, in the scales and in the biases.
fn gradient(set: &Set, affine: &Affine) -> Vec<f64> {
    let classes = set.classes;
    let rows = set.labels.len() as f64;
    let scale = |k: usize| affine.scale()[k % affine.scale().len()];
    let finite = |row: &[f64]| row.iter().copied().filter(|z| z.is_finite()).collect::<Vec<_>>();
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (mut centre, mut square) = (0.0, 0.0);
    let mut slopes = vec![0.0; 2 * classes];
    for (row, &label) in set.rows().iter().zip(&set.labels) {
        let some = finite(row);
        centre += mean(&some) / rows;
        let squares: Vec<f64> = some.iter().map(|z| (z - mean(&some)).powi(2)).collect();
        square += mean(&squares) / rows;
        let weights: Vec<f64> =
            row.iter().enumerate().map(|(k, z)| (scale(k) * z + affine.bias()[k]).exp()).collect();
        let total: f64 = weights.iter().sum();
        for k in (0..classes).filter(|&k| row[k].is_finite()) {
            let slope = weights[k] / total - f64::from(u8::from(label as usize == k));
            slopes[k] += slope * row[k];
            slopes[classes + k] += slope;
        }
    }
    let spread = square.sqrt();
    if affine.scale().len() == 1 {
        let whole: f64 = slopes[..classes].iter().sum();
        let biases = slopes[classes..].iter().zip(affine.bias()).map(|(slope, b)| slope + b / 9.0);
        return std::iter::once(whole / spread).chain(biases).collect();
    }
    // The prior is on b + s·centre, with the sum 0; the slope in s is taken at that held fixed.
    let at_centre: Vec<f64> = (0..classes).map(|k| affine.bias()[k] + scale(k) * centre).collect();
    let (average, common) = (mean(&at_centre), mean(affine.scale()));
    let mut all = Vec::new();
    for k in 0..classes {
        let slope = slopes[k] - centre * slopes[classes + k];
        all.push(slope / spread + (scale(k) - common) * spread / 9.0);
        all.push(slopes[classes + k] + (at_centre[k] - average) / 9.0);
    }
    all
}

#[test]
fn fits_are_where_their_definition_is_least() {
    let mut sets = vec![
        Set::drawn(1, 400, 0.5, &[0.0, 1.0]),
        Set::drawn(2, 300, 0.7, &[0.0, 1.0, -2.0, 0.5, 0.0]),
        Set::drawn(3, 1000, 2.0, &[1.0; 33]),
        Set::drawn(4, 7, 0.3, &[0.0, 0.0, 1.0]),
    ];
    // With masks, and a common offset.
    let mut masked = sets[1].map(|z| z + 5.0);
    for row in (0..300).step_by(2) {
        masked.logits[row * 5 + (masked.labels[row] as usize + 2) % 5] = f64::NEG_INFINITY;
    }
    sets.push(masked);
    for set in &sets {
        for fit in [BCTS, VECTOR] {
            let fit = set.fit(fit);
            for slope in gradient(set, affine(&fit)) {
                near(slope, 0.0, 1e-6 * set.labels.len() as f64);
            }
            assert!(fit.tolerance < 1e-12, "{}", fit.tolerance);
            near(affine(&fit).bias().iter().sum(), 0.0, 1e-9);
            let log_p = Calibrator::Affine(affine(&fit).clone()).log_probabilities(set.rows());
            let log_p = log_p.unwrap();
            let log_p = Rows::new(&log_p, set.classes).unwrap();
            let scores = scores(log_p, set.labels(), None, Temperature::ONE).unwrap();
            near(fit.nll, summarise(&scores).nll.value, 1e-12);
        }
    }
}

#[test]
fn what_labels_were_drawn_from_is_found_again() {
    let bias = [0.5, -1.0, 0.0, 0.5];
    let set = Set::drawn(5, 20_000, 0.6, &bias);
    let fit = set.fit(BCTS);
    let error = fit.scale_std_error.unwrap();
    assert!((0.003..0.01).contains(&error), "{error}");
    near(affine(&fit).scale()[0], 0.6, 4.0 * error);
    all_near(affine(&fit).bias(), &bias, 0.12);
    all_near(affine(&set.fit(VECTOR)).scale(), &[0.6; 4], 0.05);
    // Without a prior on the scale, its error is that of the temperature where there is no bias to find.
    let set = Set::drawn(6, 5000, 0.6, &[0.0; 4]);
    let fit = set.fit(BCTS);
    let estimate = fit.temperature.estimate.unwrap();
    let relative = estimate.std_error / estimate.temperature.tau();
    near(fit.scale_std_error.unwrap() / affine(&fit).scale()[0] / relative, 1.0, 0.02);
}

#[test]
fn units_and_offsets_of_the_logits_do_not_matter() {
    let set = Set::drawn(12, 500, 0.6, &[0.0, 1.0, -1.0]);
    for fit in [BCTS, VECTOR] {
        let plain = set.fit(fit);
        let plain = affine(&plain);
        for power in [-6, 6, -30, 30, -300, 300] {
            let by = 10f64.powi(power);
            let other = set.map(|z| z * by).fit(fit);
            all_near(affine(&other).bias(), plain.bias(), 1e-9);
            let back: Vec<f64> = affine(&other).scale().iter().map(|scale| scale * by).collect();
            all_near(&back, plain.scale(), 1e-9);
        }
        // A power of two leaves the bits as they are.
        let other = set.map(|z| z * 1048576.0).fit(fit);
        assert_eq!(affine(&other).bias(), plain.bias());
        let scale: Vec<f64> = plain.scale().iter().map(|scale| scale / 1048576.0).collect();
        assert_eq!(affine(&other).scale(), scale);
        let other = set.map(|z| z + 1e4).fit(fit);
        all_near(affine(&other).scale(), plain.scale(), 1e-7);
        near(other.nll, set.fit(fit).nll, 1e-9);
    }
    // Rounded to f32, the logits have seven digits, and so has the answer.
    let narrow: Vec<f32> = set.logits.iter().map(|&z| z as f32).collect();
    let narrow = fit_bcts(Rows::new(&narrow, 3).unwrap(), set.labels(), None).unwrap();
    all_near(affine(&narrow).bias(), affine(&set.fit(BCTS)).bias(), 1e-5);
}

#[test]
fn the_same_bits_for_any_threads_and_instruction_set() {
    let set = Set::drawn(13, 3000, 0.6, &[0.0; 60]);
    let groups: Vec<usize> = (0..3000).map(|row| row % 7).collect();
    let answers = || {
        let groups = fit_groups(set.rows(), set.labels(), None, &groups).unwrap();
        let ets = fit_ets(set.rows(), set.labels(), None).unwrap();
        (set.fit(BCTS), set.fit(VECTOR), ets, groups.groups, set.taken(0..500).select(3).candidates)
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let one = pool(1).install(answers);
    assert_eq!(one.0.outcome, Outcome::Converged);
    assert!(one == pool(3).install(answers));
    let small = set.taken(0..300);
    let of_small = || (small.fit(BCTS), small.fit(VECTOR));
    let first = of_small();
    on_every_isa(|isa| assert!(of_small() == first, "{isa:?}"));
}

#[test]
fn a_weight_of_two_is_the_row_twice() {
    let set = Set::drawn(14, 300, 0.6, &[0.0, 1.0, 0.0]);
    let weights: Vec<f64> = (0..300).map(|row| f64::from(row % 3)).collect();
    let twice = (0..300).flat_map(|row| std::iter::repeat_n(row, row % 3)).collect::<Vec<_>>();
    let twice = set.taken(twice.into_iter());
    // A row that does not count may hold anything.
    let mut weighed = set.clone();
    weighed.labels.push(-1);
    weighed.logits.extend([f64::NAN, 1.0, f64::INFINITY]);
    let weights = [weights, vec![1.0]].concat();
    for fit in [BCTS, VECTOR] {
        let by_weight = fit(weighed.rows(), weighed.labels(), Some(&weights)).unwrap();
        let by_rows = twice.fit(fit);
        all_near(affine(&by_weight).bias(), affine(&by_rows).bias(), 1e-9);
        all_near(affine(&by_weight).scale(), affine(&by_rows).scale(), 1e-9);
        near(by_weight.nll, by_rows.nll, 1e-12);
    }
    let by_weight = fit_ets(weighed.rows(), weighed.labels(), Some(&weights)).unwrap();
    near(by_weight.nll, fit_ets(twice.rows(), twice.labels(), None).unwrap().nll, 1e-12);
    let groups = |set: &Set| set.labels.iter().map(|_| 3).collect::<Vec<_>>();
    let by_weight = fit_groups(weighed.rows(), weighed.labels(), Some(&weights), &groups(&weighed));
    assert_eq!(by_weight.unwrap().deviation, 0.0);
    let chosen = |seed| {
        let rows = (weighed.rows(), weighed.labels(), Some(&weights[..]));
        select(rows.0, rows.1, rows.2, &[Model::Vector, Model::Identity], 4, seed).unwrap()
    };
    assert_eq!(chosen(3), chosen(3));
    assert!(
        chosen(3).candidates[1].nll != chosen(4).candidates[1].nll,
        "folds are dealt by the seed"
    );
}

#[test]
fn classes_that_never_occur_and_masks_keep_biases_finite() {
    let mut set = Set::drawn(15, 400, 0.6, &[0.0, 0.0, 0.0, -1e3]);
    for fit in [BCTS, VECTOR] {
        let found = set.fit(fit);
        let bias = affine(&found).bias();
        assert!(bias[3] < -2.5 && bias[3] > -15.0, "{bias:?}");
        assert!(bias[..3].iter().all(|b| b - bias[3] > 2.5), "{bias:?}");
    }
    // A class that is masked everywhere says nothing, and is told nothing.
    set.logits.iter_mut().skip(3).step_by(4).for_each(|z| *z = f64::NEG_INFINITY);
    let found = set.fit(BCTS);
    near(affine(&found).bias()[3], 0.0, 1e-9);
    let three: Vec<f64> = set.logits.iter().copied().filter(|z| z.is_finite()).collect();
    let three = Set { logits: three, classes: 3, labels: set.labels.clone() };
    all_near(&affine(&found).bias()[..3], affine(&three.fit(BCTS)).bias(), 1e-9);
    near(
        affine(&set.fit(VECTOR)).scale()[3],
        affine(&set.fit(VECTOR)).scale()[..3].iter().sum::<f64>() / 3.0,
        1e-6,
    );
    let ets = fit_ets(set.rows(), set.labels(), None).unwrap().ensemble.unwrap();
    let log_p = ets.log_probabilities(set.rows());
    for row in log_p.chunks_exact(4) {
        assert_eq!(row[3], f64::NEG_INFINITY);
        near(row.iter().map(|l| l.exp()).sum(), 1.0, 1e-14);
    }
}

#[test]
fn rows_without_a_best_scale_say_so() {
    let outcome = |logits: &[f64], labels: &[i64]| {
        let set = Set {
            logits: logits.to_vec(),
            classes: logits.len() / labels.len(),
            labels: labels.to_vec(),
        };
        let (bcts, vector) = (set.fit(BCTS), set.fit(VECTOR));
        assert_eq!(bcts.outcome, vector.outcome);
        assert_eq!(bcts.affine.is_some(), bcts.outcome == Outcome::Converged);
        let model = |model: Model| model.fit(set.rows(), set.labels(), None).unwrap();
        assert_eq!(model(Model::Vector), (vector.outcome, vector.affine.map(Calibrator::Affine)));
        bcts.outcome
    };
    assert_eq!(outcome(&[2.0, 0.0, 0.0, 1.0], &[0, 1]), Outcome::Separable);
    assert_eq!(outcome(&[2.0, 0.0], &[0]), Outcome::Separable);
    assert_eq!(outcome(&[2.0, 0.0], &[1]), Outcome::NoSignal);
    assert_eq!(outcome(&[2.0, 0.0, 1.0, 0.0, 3.0, 1.0], &[1, 0]), Outcome::NoSignal);
    assert_eq!(outcome(&[2.0, 2.0, -1.0, -1.0], &[1, 0]), Outcome::ConstantLogits);
    assert_eq!(outcome(&[7.0, 8.0, 9.0], &[0, 0, 0]), Outcome::ConstantLogits);
    assert_eq!(outcome(&[f64::NEG_INFINITY, 0.0, 1.0, 0.0], &[0, 0]), Outcome::InfiniteNll);
    assert_eq!(outcome(&[1.0, 2.0, 3.0, 4.0], &[-1, -1]), Outcome::NoRows);
    // Separated by a bias, but not by a scale: the prior holds both.
    assert_eq!(
        outcome(&[3.0, 0.0, 4.0, 0.0, 5.0, 0.0, 6.0, 0.0], &[1, 1, 0, 0]),
        Outcome::Converged
    );
    // Class 0 leads by more where it is wrong, but where it leads little it is right: temperature finds no signal,
    // and with a bias the sign stays wrong.
    assert_eq!(
        outcome(&[1.0, 0.0, 1.5, 0.0, 5.0, 0.0, 6.0, 0.0], &[0, 0, 1, 1]),
        Outcome::NoSignal
    );
    // Class 0 always leads and is mostly wrong, less so where it leads by more.
    assert_eq!(
        outcome(&[4.0, 0.0, 4.5, 0.0, 5.0, 0.0, 6.0, 0.0, 6.5, 0.0], &[1, 1, 1, 1, 0]),
        Outcome::Converged
    );
}

/// Rows that f64 cannot hold side by side are said to be so, or fitted: never answered with what is not the least.
#[test]
fn rows_of_all_magnitudes_end_by_name() {
    let (mut random, mut out_of_range) = (Random::new(21), 0);
    for case in 0..400 {
        let (classes, rows) = (2 + random.below(4), 3 + random.below(12));
        let reach = [20.0, 5.0][case % 2];
        let set = Set {
            logits: (0..rows * classes).map(|_| (reach * random.normal()).exp()).collect(),
            classes,
            labels: (0..rows).map(|_| random.below(classes) as i64).collect(),
        };
        let weights: Vec<f64> = (0..rows).map(|_| (5.0 * random.normal()).exp()).collect();
        for fit in [BCTS, VECTOR] {
            let fit = fit(set.rows(), set.labels(), Some(&weights)).unwrap();
            out_of_range += usize::from(fit.outcome == Outcome::OutOfRange);
            assert_eq!(fit.affine.is_some(), fit.outcome == Outcome::Converged);
            assert!(fit.affine.is_none() || fit.tolerance < 2e-9, "{}", fit.tolerance);
        }
        let ets = fit_ets(set.rows(), set.labels(), Some(&weights)).unwrap();
        assert!(ets.ensemble.is_none() || ets.tolerance < 1e-6, "{}", ets.tolerance);
    }
    assert!((1..400).contains(&out_of_range), "{out_of_range}");
}

#[test]
fn a_wrong_row_is_named() {
    let mut set = Set::drawn(16, 50, 0.6, &[0.0; 3]);
    let all = |set: &Set| {
        let groups = vec![0; set.labels.len()];
        [
            fit_bcts(set.rows(), set.labels(), None).err(),
            fit_vector(set.rows(), set.labels(), None).err(),
            fit_ets(set.rows(), set.labels(), None).err(),
            fit_groups(set.rows(), set.labels(), None, &groups).err(),
            select(set.rows(), set.labels(), None, &[Model::Identity], 5, 0).err(),
        ]
    };
    assert!(all(&set).iter().all(Option::is_none));
    for wrong in [f64::NAN, f64::INFINITY] {
        let mut set = set.clone();
        set.logits[31 * 3 + 1] = wrong;
        for error in all(&set) {
            assert!(matches!(error, Some(Error::Row { row: 31, .. })), "{error:?}");
        }
    }
    let short = Labels::new(&set.labels[1..], 3).unwrap();
    assert!(matches!(fit_bcts(set.rows(), short, None), Err(Error::Shape { .. })));
    assert!(matches!(
        fit_groups(set.rows(), set.labels(), None, &[0; 3]),
        Err(Error::Shape { .. })
    ));
    let weights = [vec![1.0; 20], vec![-1.0; 30]].concat();
    assert_eq!(
        fit_vector(set.rows(), set.labels(), Some(&weights)).unwrap_err(),
        Error::Weight { row: 20, got: -1.0 }
    );
    // To a label that is masked, every model gives the loss ∞: there is nothing to choose by.
    set.logits[7 * 3 + set.labels[7] as usize] = f64::NEG_INFINITY;
    let error = select(set.rows(), set.labels(), None, &Model::ALL, 5, 0).unwrap_err();
    assert!(matches!(error, Error::Row { row: 7, .. }), "{error:?}");
    for (candidates, folds) in [(&Model::ALL[..], 1), (&[], 5)] {
        let error = select(set.rows(), set.labels(), None, candidates, folds, 0).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error:?}");
    }
}
