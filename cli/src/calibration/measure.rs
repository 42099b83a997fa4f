//! From rows to what the report shows of them.

use softargmax::{
    Binning, Error, Resampling, Score, Temperature, Temperatures, brier_parts, calibration_error,
    consistency_band, isotonic, kolmogorov_smirnov, paired_bootstrap, risk_coverage,
    smooth_calibration_error, summarise,
};

use super::view::{After, Calibration, Panel, Point, Split};
use crate::args::{Content, ReportArgs};
use crate::error::CliError;
use crate::fit::split::Split as Dealt;
use crate::input::Labels;
use crate::labelled::Labelled;

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

/// Fits a temperature on one half of the rows and measures the other, before and after.
pub(super) fn measure(labelled: &Labelled, args: &ReportArgs) -> Result<Calibration, CliError> {
    let seed = args.seed;
    let block = labelled.all().ok_or_else(|| CliError::internal("the rows are not in memory"))?;
    let counts = |row: usize| labelled.counts(row);
    let counted = (0..labelled.rows()).filter(|&row| counts(row)).count();
    if counted < 4 {
        let name = labelled.name();
        return Err(CliError::refused(format!(
            "{name}: {counted} rows with a label and a weight are too few"
        ))
        .hint("a report needs two to fit on and two to measure"));
    }
    let dealt = Dealt::holding_out(0.5, seed, labelled.rows(), counts);
    let refuse = |error: Error| labelled.refuse(0, error);
    let is_fitted = |row: usize| dealt.part(row) == 0;
    let is_held_out = |row: usize| dealt.part(row) == 1;

    let fit = block.fit(&is_fitted, None).map_err(refuse)?;
    let scores = |tau: Temperature| block.scores(&is_held_out, Temperatures::One(tau));
    let resampling = Resampling { seed, ..Resampling::default() };
    let scores_before = scores(Temperature::ONE).map_err(refuse)?;
    let after = fit.estimate.map(|estimate| {
        let scores_after = scores(estimate.temperature)?;
        let differences = paired_bootstrap(&scores_before, &scores_after, 0.95, &resampling)?;
        Ok(After { panel: panel(estimate.temperature, &scores_after, &resampling), differences })
    });
    let found = fit.estimate.map_or(1.0, |estimate| estimate.temperature.tau());
    let profile = temperatures(found, scores_before.len() * block.classes)
        .map(|tau| Ok(point(tau, &scores(tau)?, seed)))
        .collect::<Result<_, _>>();
    Ok(Calibration {
        logits: labelled.name().to_owned(),
        labels: args.data.labels.display().to_string(),
        classes: labelled.classes(),
        is_appliable: args.data.input != Content::Probabilities,
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
        after: after.transpose().map_err(refuse)?,
        profile: profile.map_err(refuse)?,
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
fn unseen(labelled: &Labelled, is_fitted: &dyn Fn(usize) -> bool) -> usize {
    // Shares usually leave no class without any.
    let Labels::Classes(labels) = &labelled.labels else { return 0 };
    let mut seen = vec![false; labelled.classes()];
    for (row, &label) in labels.iter().enumerate() {
        if let Some(class) = usize::try_from(label).ok().and_then(|label| seen.get_mut(label)) {
            *class |= labelled.counts(row) && is_fitted(row);
        }
    }
    seen.into_iter().filter(|seen| !seen).count()
}
