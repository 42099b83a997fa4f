//! From rows to what the report shows of them.

use softargmax::{
    Binning, Error, Resampling, Score, Temperature, TemperatureFit, brier_parts, calibration_error,
    consistency_band, isotonic, kolmogorov_smirnov, paired_bootstrap, risk_coverage,
    smooth_calibration_error, summarise,
};

use super::view::{After, Calibration, Caller, Panel, Point, Split};
use crate::split::Split as Dealt;

/// Bins of the ECE.
const BINS: usize = 15;
/// Bars of the histogram.
const BARS: usize = 40;
/// Places of the band along the confidences there are.
const PLACES: usize = 121;
/// Temperatures of the curves, and how many numbers are gone through for them where that makes them fewer.
const TEMPERATURES: usize = 49;
const FEWEST_TEMPERATURES: usize = 17;
const NUMBERS: usize = 1 << 30;
/// How often labels are drawn anew for the noise floor at every temperature of the curve.
const REPLICATES: u32 = 200;
/// The curves reach this factor beyond τ = 1 and the temperature found.
const BEYOND: f64 = 3.0;

/// A report of fewer rows is to be refused: it needs two to fit on and two to measure.
pub const FEWEST_ROWS: usize = 4;

/// Logits with labels, of which some rows at a time are fitted or scored.
pub trait LabelledRows {
    /// How a refusal is told.
    type Refusal;

    /// How many rows there are.
    fn rows(&self) -> usize;

    /// How many classes a row has.
    fn classes(&self) -> usize;

    /// Whether a row has a label and a weight.
    fn counts(&self, row: usize) -> bool;

    /// The class of a row; `None` where it has none, or shares of several.
    fn class(&self, row: usize) -> Option<usize>;

    /// The temperature of the rows to be kept.
    fn fit(&self, keep: &dyn Fn(usize) -> bool) -> Result<TemperatureFit, Self::Refusal>;

    /// The scores of those of the rows to be kept that count, at a temperature.
    fn scores(
        &self,
        keep: &dyn Fn(usize) -> bool,
        tau: Temperature,
    ) -> Result<Vec<Score>, Self::Refusal>;

    /// Tells what the library refuses.
    fn refuse(&self, error: Error) -> Self::Refusal;
}

/// What a report is of, beside the rows.
pub struct Question {
    /// What the logits are called.
    pub name: String,
    /// The same, and where the labels are from.
    pub source: String,
    /// Who asks.
    pub caller: Caller,
    /// Of the split, and of what is drawn anew.
    pub seed: u64,
}

/// Fits a temperature on one half of the rows and measures the other, before and after.
pub fn measure<L: LabelledRows>(
    labelled: &L,
    question: Question,
) -> Result<Calibration, L::Refusal> {
    let Question { name, source, caller, seed } = question;
    let counts = |row: usize| labelled.counts(row);
    let counted = (0..labelled.rows()).filter(|&row| counts(row)).count();
    let dealt = Dealt::holding_out(0.5, seed, labelled.rows(), counts);
    let is_fitted = |row: usize| dealt.part(row) == 0;
    let is_held_out = |row: usize| dealt.part(row) == 1;

    let fit = labelled.fit(&is_fitted)?;
    let scores = |tau: Temperature| labelled.scores(&is_held_out, tau);
    let resampling = Resampling { seed, ..Resampling::default() };
    let scores_before = scores(Temperature::ONE)?;
    let after = fit.estimate.map(|estimate| {
        let scores_after = scores(estimate.temperature)?;
        let differences = paired_bootstrap(&scores_before, &scores_after, 0.95, &resampling)
            .map_err(|error| labelled.refuse(error))?;
        Ok(After { panel: panel(estimate.temperature, &scores_after, &resampling), differences })
    });
    let found = fit.estimate.map_or(1.0, |estimate| estimate.temperature.tau());
    let profile = temperatures(found, scores_before.len() * labelled.classes())
        .map(|tau| Ok(point(tau, &scores(tau)?, seed)))
        .collect::<Result<_, _>>();
    Ok(Calibration {
        name,
        source,
        caller,
        classes: labelled.classes(),
        split: Split {
            fitted: counted - scores_before.len(),
            held_out: scores_before.len(),
            ignored: labelled.rows() - counted,
            seed,
            unseen: unseen(labelled, &is_fitted),
            fitted_accuracy: fit.accuracy,
        },
        outcome: fit.outcome,
        estimate: fit.estimate,
        before: panel(Temperature::ONE, &scores_before, &resampling),
        after: after.transpose()?,
        profile: profile?,
    })
}

fn panel(temperature: Temperature, scores: &[Score], resampling: &Resampling) -> Panel {
    let confidences =
        || scores.iter().filter(|score| score.weight > 0.0).map(|score| score.confidence);
    let (low, high) = (confidences().fold(1.0, f64::min), confidences().fold(0.0, f64::max));
    // The ends are places themselves: beyond them there is no band.
    let at = |i: usize| {
        if i == PLACES - 1 { high } else { low + (high - low) * i as f64 / (PLACES - 1) as f64 }
    };
    let at: Vec<f64> = (0..PLACES).map(at).collect();
    Panel {
        temperature,
        summary: summarise(scores),
        ece: calibration_error(scores, Binning::EqualWidth(BINS), resampling),
        equal_mass: calibration_error(scores, Binning::EqualMass(BINS), resampling),
        smooth: smooth_calibration_error(scores, resampling),
        kolmogorov_smirnov: kolmogorov_smirnov(scores, resampling),
        brier: brier_parts(scores),
        steps: isotonic(scores),
        band: consistency_band(scores, &at, 0.95, resampling),
        histogram: histogram(scores),
        risk: risk_coverage(scores),
    }
}

/// Shares of the rows in bins of one width, each with its upper edge, as those of the ECE.
fn histogram(scores: &[Score]) -> Vec<f64> {
    let mut shares = vec![0.0; BARS];
    let total: f64 = scores.iter().map(|score| score.weight).sum();
    for score in scores {
        let bar = (score.confidence * BARS as f64).ceil() as usize;
        shares[bar.clamp(1, BARS) - 1] += score.weight / total;
    }
    shares
}

/// Evenly on a log axis, around 1 and the temperature found.
fn temperatures(found: f64, numbers: usize) -> impl Iterator<Item = Temperature> {
    let (low, high) = (found.min(1.0) / BEYOND, found.max(1.0) * BEYOND);
    let count = (NUMBERS / numbers.max(1)).clamp(FEWEST_TEMPERATURES, TEMPERATURES);
    let along = move |i| {
        libm::exp(
            libm::log(low) + (libm::log(high) - libm::log(low)) * i as f64 / (count - 1) as f64,
        )
    };
    (0..count).filter_map(move |i| Temperature::new(along(i)).ok())
}

fn point(tau: Temperature, scores: &[Score], seed: u64) -> Point {
    let resampling = Resampling { replicates: REPLICATES, seed };
    let error = calibration_error(scores, Binning::EqualWidth(BINS), &resampling);
    Point {
        tau: tau.tau(),
        nll: summarise(scores).nll.value,
        ece: error.ece,
        floor: error.null.quantile_95,
    }
}

/// How many classes no row of the fit is labelled with.
fn unseen<L: LabelledRows>(labelled: &L, is_fitted: &dyn Fn(usize) -> bool) -> usize {
    let mut seen = vec![false; labelled.classes()];
    let mut are_classes = false;
    for row in 0..labelled.rows() {
        if let Some(class) = labelled.class(row) {
            are_classes = true;
            seen[class] |= labelled.counts(row) && is_fitted(row);
        }
    }
    // Shares usually leave no class without any.
    if are_classes { seen.into_iter().filter(|seen| !seen).count() } else { 0 }
}
