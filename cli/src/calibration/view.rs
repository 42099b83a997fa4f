//! What a report shows, all of it worked out: the page, the pictures and the text only draw it.

use softargmax::{
    Band, BinFree, BrierParts, CalibrationError, Differences, Estimate, Outcome, RiskCoverage,
    Step, Summary, Temperature,
};

/// A model's calibration, before and after one temperature.
pub(crate) struct Calibration {
    /// The files, as they were named.
    pub(crate) logits: String,
    pub(crate) labels: String,
    pub(crate) classes: usize,
    /// Whether `apply` takes the file of logits as it is.
    pub(crate) is_appliable: bool,
    pub(crate) split: Split,
    /// How the fit on the one part ended, and what it found if it did.
    pub(crate) outcome: Outcome,
    pub(crate) estimate: Option<Estimate>,
    /// On the other part, at τ = 1.
    pub(crate) before: Panel,
    /// On the other part, at the temperature found.
    pub(crate) after: Option<After>,
    /// On the other part, from low temperatures to high.
    pub(crate) profile: Vec<Point>,
}

/// Which rows were used for what.
pub(crate) struct Split {
    /// Rows that τ was fitted on.
    pub(crate) fitted: usize,
    /// Rows that everything on the page was measured on.
    pub(crate) held_out: usize,
    /// Rows without a class.
    pub(crate) ignored: usize,
    pub(crate) seed: u64,
    /// Classes that no row of the fit has.
    pub(crate) unseen: usize,
    /// How much of the fit's rows the model gets right.
    pub(crate) fitted_accuracy: f64,
}

/// Everything that is said of the rows at one temperature.
pub(crate) struct Panel {
    pub(crate) temperature: Temperature,
    pub(crate) summary: Summary,
    /// 15 bins of equal width, and as many of equal mass.
    pub(crate) ece: CalibrationError,
    pub(crate) equal_mass: CalibrationError,
    pub(crate) smooth: BinFree,
    pub(crate) kolmogorov_smirnov: BinFree,
    pub(crate) brier: BrierParts,
    pub(crate) steps: Vec<Step>,
    pub(crate) band: Band,
    /// Shares of the rows in bins of confidence, all of the same width.
    pub(crate) histogram: Vec<f64>,
    pub(crate) risk: RiskCoverage,
}

/// What the temperature made of it.
pub(crate) struct After {
    pub(crate) panel: Panel,
    /// After minus before.
    pub(crate) differences: Differences,
}

/// The rows at one of many temperatures.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) tau: f64,
    pub(crate) nll: f64,
    pub(crate) ece: f64,
    /// What 95 % of perfectly calibrated models of this size stay below.
    pub(crate) floor: f64,
}

/// Which of the two a picture is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    Before,
    After,
}

impl Moment {
    /// Its name, in sentences and as the class of what has its colour.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::After => "after",
        }
    }
}

impl Calibration {
    /// What is shown, in order: both, or only the one there is.
    pub(crate) fn panels(&self) -> impl Iterator<Item = (Moment, &Panel)> {
        let after = self.after.as_ref().map(|after| (Moment::After, &after.panel));
        std::iter::once((Moment::Before, &self.before)).chain(after)
    }
}
