//! What a model does for rows it was not fitted on.
//!
//! ```text
//! hold out: the rows fall into two parts; fit on the first, score the second at τ = 1 and by the fit
//! folds:    each part is scored by what was fitted on all the others; the scores go together
//! after − before, row by row: a paired bootstrap
//! ```

use serde::Serialize;
use softargmax::{Interval, Resampling, Score, Temperature, paired_bootstrap};
use softargmax_report::split::Split;

use super::model::Model;
use crate::error::CliError;
use crate::eval::figures::Figures;
use crate::input::Labels;
use crate::json;
use crate::labelled::Labelled;

/// Bins of the ECE.
const BINS: usize = 15;
/// Of more rows, a sample is scored: its figures have a thousandth of a standard deviation as their error.
const SCORED: usize = 1 << 20;

/// How rows are kept apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    Holdout(f64),
    Folds(u32),
}

/// Figures of rows that were not fitted on.
#[derive(Serialize)]
pub(crate) struct HeldOut {
    pub(crate) method: &'static str,
    /// How many rows a fit had, in the mean.
    pub(crate) fitted_rows: u64,
    /// How many rows were measured.
    pub(crate) rows: u64,
    pub(crate) seed: u64,
    /// What each fit found, where it was one temperature.
    #[serde(serialize_with = "json::reals")]
    pub(crate) temperatures: Vec<f64>,
    pub(crate) before: Figures,
    pub(crate) after: Figures,
    pub(crate) difference: Differences,
}

/// After minus before, with 95 % intervals.
#[derive(Serialize)]
pub(crate) struct Differences {
    pub(crate) nll: Difference,
    pub(crate) brier: Difference,
    /// Null where labels are shares.
    pub(crate) accuracy: Option<Difference>,
    pub(crate) ece: Option<Difference>,
}

#[derive(Clone, Copy, Serialize)]
pub(crate) struct Difference {
    #[serde(serialize_with = "json::measured")]
    pub(crate) value: f64,
    #[serde(serialize_with = "reals")]
    pub(crate) interval: [f64; 2],
}

fn reals<S: serde::Serializer>(interval: &[f64; 2], serializer: S) -> Result<S::Ok, S::Error> {
    json::reals(interval, serializer)
}

impl From<Interval> for Difference {
    fn from(Interval { value, low, high, .. }: Interval) -> Self {
        Self { value, interval: [low, high] }
    }
}

/// Which rows are fitted on and which are measured.
pub(crate) struct Plan {
    method: Method,
    seed: u64,
    split: Split,
    /// How many rows that count each part has.
    sizes: Vec<u64>,
}

impl Plan {
    /// Deals the rows; `None` where some part would have none, or there are fewer than two to measure.
    pub(crate) fn new(labelled: &Labelled, method: Method, seed: u64) -> Option<Self> {
        let (rows, counts) = (labelled.rows(), |row| labelled.counts(row));
        let split = match method {
            Method::Holdout(share) => Split::holding_out(share, seed, rows, counts),
            Method::Folds(parts) => Split::folds(parts, seed, rows, counts),
        };
        let mut sizes = vec![0; split.parts()];
        (0..rows).filter(|&row| counts(row)).for_each(|row| sizes[split.part(row)] += 1);
        let plan = Self { method, seed, split, sizes };
        let is_sound = plan.sizes.iter().all(|&size| size > 0) && plan.to_measure() > 1;
        is_sound.then_some(plan)
    }

    /// The parts that are measured, each by what is fitted on the others.
    pub(crate) fn parts(&self) -> std::ops::Range<usize> {
        let first = if matches!(self.method, Method::Holdout(_)) { 1 } else { 0 };
        first..self.sizes.len()
    }

    /// Whether a row is fitted on for the sake of a part.
    pub(crate) fn is_fitted_for(&self, part: usize, row: usize) -> bool {
        self.split.part(row) != part
    }

    fn to_measure(&self) -> u64 {
        self.sizes[self.parts()].iter().sum()
    }

    /// Scores every part at τ = 1, and by its model: one for each of [`Plan::parts`].
    pub(crate) fn measure(
        &self,
        labelled: &mut Labelled,
        models: &[&Model],
    ) -> Result<HeldOut, CliError> {
        let (seed, to_measure) = (self.seed, self.to_measure());
        let share = (SCORED as f64 / to_measure as f64).min(1.0);
        let sample = {
            let counts = |row| labelled.counts(row);
            Split::holding_out(share, seed.wrapping_add(1), labelled.rows(), counts)
        };
        let (mut before, mut after): (Vec<Score>, Vec<Score>) = Default::default();
        labelled.pass(|block| {
            for (part, model) in self.parts().zip(models) {
                let keep = |row: usize| {
                    self.split.part(row) == part && (share == 1.0 || sample.part(row) == 1)
                };
                before.extend(Model::IDENTITY.scores(&block, &keep)?);
                after.extend(model.scores(&block, &keep)?);
            }
            Ok(())
        })?;
        let resampling = Resampling { seed, ..Resampling::default() };
        let differences = paired_bootstrap(&before, &after, 0.95, &resampling);
        let differences = differences.map_err(CliError::internal)?;
        let parts = self.parts().len() as u64;
        let fitted_rows = self.sizes.iter().sum::<u64>() - to_measure / parts;
        let are_shares = matches!(labelled.labels, Labels::Shares(_));
        let figures = |scores: &[Score]| match are_shares {
            true => Figures::of_shares(scores),
            false => Figures::of(scores, BINS, &resampling),
        };
        let of_labels = |interval: Interval| (!are_shares).then(|| interval.into());
        let temperatures = models.iter().filter_map(|model| model.temperature());
        Ok(HeldOut {
            method: match self.method {
                Method::Holdout(_) => "holdout",
                Method::Folds(_) => "folds",
            },
            fitted_rows,
            rows: before.len() as u64,
            seed,
            temperatures: temperatures.map(Temperature::tau).collect(),
            before: figures(&before),
            after: figures(&after),
            difference: Differences {
                nll: differences.nll.into(),
                brier: differences.brier.into(),
                accuracy: of_labels(differences.accuracy),
                ece: of_labels(differences.ece),
            },
        })
    }
}
