//! Which model: the simplest one that is as good on rows it has not seen as any other, as far as can be told.
//!
//! ```text
//! deal the rows to F folds, by a seeded shuffle
//! for each model and fold:  fit on the other folds, nll of the fold's rows       every row once, unseen
//! best      the least mean nll
//! choose    the first, in order of simplicity, with  mean(nll − nll of best) ≤ its standard error
//! ```
//!
//! The differences are of the same rows, and so are far less noisy than the means themselves. A model that has
//! no fit on some fold's rows (all of them right, say) is out, by the name of its outcome.

use crate::element::Element;
use crate::error::Error;
use crate::fit::calibrator::{Calibrator, Model};
use crate::fit::estimate::Outcome;
use crate::fit::temperature::{FitOptions, fit_temperature};
use crate::metrics::scores;
use crate::random::{Purpose, Random};
use crate::rows::{Labels, Rows};
use crate::temperature::Temperature;

/// How a model did on rows that it was not fitted on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The model.
    pub model: Model,
    /// [`Outcome::Converged`], or how the fit ended on the first fold for which it did not; the figures are then
    /// NaN.
    pub outcome: Outcome,
    /// The mean negative log-likelihood, in nats.
    pub nll: f64,
    /// Its standard error.
    pub std_error: f64,
    /// By how much it is above that of the best model; 0 for the best.
    pub difference: f64,
    /// The standard error of this difference, by the rows' differences.
    pub difference_std_error: f64,
    /// The share of rows whose label has the largest probability.
    pub accuracy: f64,
}

/// The answer of [`select`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// The model chosen; `None` where no candidate could be fitted.
    pub model: Option<Model>,
    /// It, fitted on all rows.
    pub calibrator: Option<Calibrator>,
    /// Why, in a sentence.
    pub reason: String,
    /// All candidates, the simplest first.
    pub candidates: Vec<Candidate>,
    /// How many folds there were; not more than rows.
    pub folds: usize,
}

/// Chooses a model by its negative log-likelihood on rows it was not fitted on: the simplest that is within one
/// standard error of the best.
///
/// # Shapes
/// `logits` is `[rows, classes]`, `labels` and `weights` `[rows]`.
///
/// # Accuracy
/// The same answer for the same `seed` on every machine and any number of threads. Another seed deals the rows
/// differently; where that changes the model, the models are as good as each other.
///
/// # Special values
/// Ignored rows and rows of weight 0 do not count. With fewer than two rows nothing can be compared: the simplest of
/// the candidates is then chosen, and fitted where it can be. More folds than rows mean one row in each.
///
/// # Errors
/// As [`Scan::add`](crate::Scan::add); [`Error::Row`] for a label whose logit is −∞, under which all models fail alike;
/// [`Error::Shape`] for fewer than two folds or no candidates.
///
/// # Example
/// ```
/// use softargmax::{Labels, Model, Rows, select};
///
/// // Class 0 leads by 3 or more, but is right only where it leads by 4.
/// let mut logits = Vec::new();
/// let mut labels = Vec::new();
/// for i in 0..200 {
///     logits.extend([if i % 2 == 0 { 3.0f32 } else { 5.0 }, 0.0]);
///     labels.push(i64::from((i % 2 == 0) != (i % 14 < 2)));
/// }
/// let (rows, labels) = (Rows::new(&logits, 2)?, Labels::new(&labels, 2)?);
/// let selection = select(rows, labels, None, &Model::ALL, 5, 0)?;
/// assert_eq!(selection.model, Some(Model::Bcts));
/// assert!(selection.reason.starts_with("a bias per class lowers the held-out nll by "));
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Breiman, Friedman, Olshen & Stone 1984, section 3.4.3, for the rule of one standard error.
pub fn select<T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
    candidates: &[Model],
    folds: usize,
    seed: u64,
) -> Result<Selection, Error> {
    for (what, expected, got) in [("folds", 2, folds), ("candidates", 1, candidates.len())] {
        if got < expected {
            return Err(Error::Shape { what, expected, got });
        }
    }
    // Whatever is wrong with a row is said here, with its place among all.
    let plain = fit_temperature(logits, labels, &FitOptions { weights, ..FitOptions::default() })?;
    if let Some(&row) = plain.infinite_rows.first() {
        let reason = "its label has a logit of -inf: every model calls it impossible";
        return Err(Error::Row { row: row as usize, reason });
    }
    let mut models = candidates.to_vec();
    models.sort();
    models.dedup();
    let data = Data { logits, labels, weights };
    let mut rows: Vec<usize> = (0..logits.rows()).filter(|&row| data.counts(row)).collect();
    Random::new(seed, Purpose::Folds, 0).shuffle(&mut rows);
    let folds = folds.min(rows.len());
    if folds < 2 {
        let reason = format!("{} rows are too few to compare models", rows.len());
        let candidates = models.iter().map(|&model| Candidate::without(model, Outcome::NoRows));
        let candidates = candidates.collect();
        let (_, calibrator) = models[0].fit(logits, labels, weights)?;
        return Ok(Selection { model: Some(models[0]), calibrator, reason, candidates, folds });
    }
    let trials = models.iter().map(|&model| data.trial(model, &rows, folds));
    let trials = trials.collect::<Result<Vec<Trial>, Error>>()?;
    let compared = Compared::new(&trials);
    let candidates = trials.iter().map(|trial| compared.candidate(trial)).collect();
    let chosen = compared.choose();
    let reason = compared.reason(chosen);
    let calibrator = match chosen {
        Some(trial) => trial.model.fit(logits, labels, weights)?.1,
        None => None,
    };
    let model = chosen.map(|trial| trial.model);
    Ok(Selection { model, calibrator, reason, candidates, folds })
}

#[derive(Clone, Copy)]
struct Data<'a, T> {
    logits: Rows<'a, T>,
    labels: Labels<'a>,
    weights: Option<&'a [f64]>,
}

/// Some rows, copied.
struct Part<T> {
    logits: Vec<T>,
    labels: Vec<i64>,
    weights: Option<Vec<f64>>,
}

impl<T: Element> Data<'_, T> {
    fn counts(&self, row: usize) -> bool {
        self.labels.of_row(row).is_some() && self.weights.is_none_or(|weights| weights[row] > 0.0)
    }

    fn part(&self, rows: impl Iterator<Item = usize> + Clone) -> Part<T> {
        let classes = self.logits.classes();
        let logits = |row| &self.logits.as_slice()[row * classes..(row + 1) * classes];
        let label = |row| self.labels.of_row(row).expect("rows that count have a label") as i64;
        Part {
            logits: rows.clone().flat_map(logits).copied().collect(),
            labels: rows.clone().map(label).collect(),
            weights: self.weights.map(|weights| rows.map(|row| weights[row]).collect()),
        }
    }

    /// Every row's loss under a fit on the folds it is not in. Row `i` of `rows` is in fold `i` modulo `folds`.
    fn trial(&self, model: Model, rows: &[usize], folds: usize) -> Result<Trial, Error> {
        let classes = self.logits.classes();
        let mut trial = Trial { model, outcome: Outcome::Converged, rows: Vec::new() };
        for fold in 0..folds {
            let others = rows.iter().enumerate().filter(|(i, _)| i % folds != fold);
            let seen = self.part(others.map(|(_, &row)| row));
            let unseen = self.part(rows.iter().skip(fold).step_by(folds).copied());
            let labels = Labels::new(&seen.labels, classes)?;
            let seen_logits = Rows::new(&seen.logits, classes)?;
            let (outcome, calibrator) = model.fit(seen_logits, labels, seen.weights.as_deref())?;
            let Some(calibrator) = calibrator else {
                return Ok(Trial { outcome, rows: Vec::new(), ..trial });
            };
            let log_p = calibrator.log_probabilities(Rows::new(&unseen.logits, classes)?)?;
            let labels = Labels::new(&unseen.labels, classes)?;
            let weights = unseen.weights.as_deref();
            // Log-probabilities are logits.
            let of_rows = scores(Rows::new(&log_p, classes)?, labels, weights, Temperature::ONE)?;
            trial.rows.extend(of_rows.iter().map(|score| Unseen {
                nll: score.nll,
                correct: score.correct,
                weight: score.weight,
            }));
        }
        Ok(trial)
    }
}

/// A row under a fit that has not seen it.
struct Unseen {
    nll: f64,
    correct: bool,
    weight: f64,
}

/// A model, and all rows in the order of the folds; no rows where it could not be fitted.
struct Trial {
    model: Model,
    outcome: Outcome,
    rows: Vec<Unseen>,
}

impl Trial {
    fn nll(&self) -> (f64, f64) {
        mean(self.rows.iter().map(|row| (row.nll, row.weight)))
    }

    /// By how much this one's losses are above those of `other`.
    fn above(&self, other: &Trial) -> (f64, f64) {
        let pairs = self.rows.iter().zip(&other.rows);
        mean(pairs.map(|(row, other)| (row.nll - other.nll, row.weight)))
    }
}

/// A weighted mean and its standard error.
fn mean(values: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let total: f64 = values.clone().map(|(_, weight)| weight).sum();
    let mean = values.clone().map(|(value, weight)| weight * value).sum::<f64>() / total;
    let square = |(value, weight): (f64, f64)| (weight * (value - mean)).powi(2);
    let squares: f64 = values.map(square).sum();
    (mean, (squares * count / (count - 1.0)).sqrt() / total)
}

impl Candidate {
    fn without(model: Model, outcome: Outcome) -> Candidate {
        Candidate {
            model,
            outcome,
            nll: f64::NAN,
            std_error: f64::NAN,
            difference: f64::NAN,
            difference_std_error: f64::NAN,
            accuracy: f64::NAN,
        }
    }
}

/// Trials on the same rows, the simplest model first.
struct Compared<'a> {
    trials: &'a [Trial],
    best: Option<&'a Trial>,
}

impl<'a> Compared<'a> {
    fn new(trials: &'a [Trial]) -> Self {
        let fitted = trials.iter().filter(|trial| trial.outcome == Outcome::Converged);
        let best = fitted.min_by(|a, b| a.nll().0.total_cmp(&b.nll().0));
        Compared { trials, best }
    }

    fn fitted(&self) -> impl Iterator<Item = &'a Trial> {
        self.trials.iter().filter(|trial| trial.outcome == Outcome::Converged)
    }

    fn candidate(&self, trial: &Trial) -> Candidate {
        let Some(best) = self.best.filter(|_| trial.outcome == Outcome::Converged) else {
            return Candidate::without(trial.model, trial.outcome);
        };
        let (nll, std_error) = trial.nll();
        let (difference, difference_std_error) = trial.above(best);
        let correct = |row: &Unseen| (f64::from(u8::from(row.correct)), row.weight);
        let (accuracy, _) = mean(trial.rows.iter().map(correct));
        let (model, outcome) = (trial.model, trial.outcome);
        Candidate { model, outcome, nll, std_error, difference, difference_std_error, accuracy }
    }

    fn choose(&self) -> Option<&'a Trial> {
        let best = self.best?;
        self.fitted().find(|trial| {
            let (difference, error) = trial.above(best);
            difference <= error
        })
    }

    fn reason(&self, chosen: Option<&Trial>) -> String {
        let (Some(chosen), Some(best)) = (chosen, self.best) else {
            let ends = self.trials.iter();
            let ends: Vec<_> =
                ends.map(|t| format!("{}: {}", t.model.name(), t.outcome.name())).collect();
            return format!("no model could be fitted ({})", ends.join(", "));
        };
        // The best of those that are simpler is what a model has to be better than.
        let simpler = self.fitted().take_while(|trial| trial.model != chosen.model);
        let simpler = simpler.min_by(|a, b| a.nll().0.total_cmp(&b.nll().0));
        let mut reason = match simpler {
            Some(simpler) => {
                let gained = shown(simpler.above(chosen));
                let (what, why) = meaning(chosen.model);
                let of = simpler.model.name();
                format!("{what} lowers the held-out nll by {gained} nats beside {of}: {why}")
            }
            None => format!("{} is the simplest model that could be fitted", chosen.model.name()),
        };
        if best.model != chosen.model {
            let (short, name) = (shown(chosen.above(best)), best.model.name());
            reason += &format!("; {name} would lower it by {short} more, no more than chance may");
        } else if simpler.is_none() && self.fitted().count() > 1 {
            reason += ", and none is better on rows it has not seen";
        }
        for trial in self.trials.iter().filter(|trial| trial.outcome != Outcome::Converged) {
            let (name, outcome) = (trial.model.name(), trial.outcome.name());
            reason += &format!("; {name} has no fit on all folds ({outcome})");
        }
        reason
    }
}

/// What a model adds, and what it means that this helps.
fn meaning(model: Model) -> (&'static str, &'static str) {
    match model {
        Model::Identity => ("leaving the logits alone", "they are honest as they are"),
        Model::Temperature => {
            ("a temperature", "the logits are too sure, or not sure enough, throughout")
        }
        Model::Ets => {
            ("a mixture of temperatures", "the logits are too sure on some rows and not on others")
        }
        Model::Bcts => ("a bias per class", "the classes' shares differ from what the logits say"),
        Model::Vector => {
            ("a scale and a bias per class", "the logits are surer of some classes than of others")
        }
    }
}

/// `0.384 ± 0.021`: to two digits of the standard error.
fn shown((value, error): (f64, f64)) -> String {
    let digits =
        if error > 0.0 && error.is_finite() { 1.0 - libm::floor(libm::log10(error)) } else { 4.0 };
    let digits = digits.clamp(2.0, 12.0) as usize;
    format!("{value:.digits$} ± {error:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(model: Model, nll: &[f64]) -> Trial {
        let rows = nll.iter().map(|&nll| Unseen { nll, correct: true, weight: 1.0 });
        Trial { model, outcome: Outcome::Converged, rows: rows.collect() }
    }

    fn chosen(trials: &[Trial]) -> Option<Model> {
        Compared::new(trials).choose().map(|trial| trial.model)
    }

    #[test]
    fn the_simplest_within_one_standard_error() {
        let plain = [1.0, 3.0, 2.0, 5.0];
        let moved = |by: [f64; 4]| [0, 1, 2, 3].map(|i| plain[i] - by[i]);
        // Better by the same on every row: sure, however little it is.
        let trials = [trial(Model::Identity, &plain), trial(Model::Temperature, &moved([1e-3; 4]))];
        assert_eq!(chosen(&trials), Some(Model::Temperature));
        // Better in the mean by less than the standard error, which is 0.1·√(4/3/4)·…: not sure.
        let noisy = moved([0.2, -0.1, 0.1, 0.0]);
        let trials = [trial(Model::Identity, &plain), trial(Model::Temperature, &noisy)];
        assert_eq!(chosen(&trials), Some(Model::Identity));
        let (difference, error) = trials[0].above(&trials[1]);
        assert!((difference - 0.05).abs() < 1e-15);
        assert!((error - (0.05f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15, "{error}");
        // One that has no fit is out, however good the others are.
        let none = Trial { outcome: Outcome::Separable, ..trial(Model::Identity, &[]) };
        assert_eq!(chosen(&[none, trial(Model::Bcts, &plain)]), Some(Model::Bcts));
        let none = Trial { outcome: Outcome::Separable, ..trial(Model::Bcts, &[]) };
        let compared = [none];
        assert_eq!(chosen(&compared), None);
        let reason = Compared::new(&compared).reason(None);
        assert_eq!(reason, "no model could be fitted (bcts: separable)");
        // An infinite loss is never as good.
        let lost = trial(Model::Identity, &[f64::INFINITY, 0.0, 0.0, 0.0]);
        assert_eq!(chosen(&[lost, trial(Model::Vector, &plain)]), Some(Model::Vector));
    }

    #[test]
    fn means_are_weighted() {
        let (value, error) = mean([(1.0, 1.0), (4.0, 2.0)].into_iter());
        assert_eq!(value, 3.0);
        assert!((error - (8.0f64 * 2.0).sqrt() / 3.0).abs() < 1e-15);
        assert_eq!(shown((0.38412, 0.0213)), "0.384 ± 0.021");
        assert_eq!(shown((0.0, 0.0)), "0.0000 ± 0.0000");
    }
}
