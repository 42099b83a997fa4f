//! What a report shows, all of it worked out: the page, the pictures and the text only draw it.

use softargmax::{
    Band, BinFree, BrierParts, CalibrationError, Differences, Estimate, Outcome, RiskCoverage,
    Step, Summary, Temperature,
};

/// A model's calibration, before and after one temperature.
pub struct Calibration {
    /// What the logits are called.
    pub name: String,
    /// The same, and where the labels are from.
    pub source: String,
    /// Who asked.
    pub caller: Caller,
    /// How many classes a row has.
    pub classes: usize,
    /// Which rows were used for what.
    pub split: Split,
    /// How the fit on the one part ended,
    pub outcome: Outcome,
    /// What the fit found.
    pub estimate: Option<Estimate>,
    /// On the other part, at τ = 1.
    pub before: Panel,
    /// On the other part, at the temperature found.
    pub after: Option<After>,
    /// On the other part, from low temperatures to high.
    pub profile: Vec<Point>,
}

/// Who asked for it: the words name what they can call.
pub enum Caller {
    /// The program; whether its `apply` takes the file of logits as it is.
    Program {
        /// See above.
        is_appliable: bool,
    },
    /// The Python package.
    Python,
}

/// Which rows were used for what.
pub struct Split {
    /// Rows that τ was fitted on.
    pub fitted: usize,
    /// Rows that everything on the page was measured on.
    pub held_out: usize,
    /// Rows without a class.
    pub ignored: usize,
    /// Of the split, and of what is drawn anew.
    pub seed: u64,
    /// Classes that no row of the fit has.
    pub unseen: usize,
    /// How much of the fit's rows the model gets right.
    pub fitted_accuracy: f64,
}

/// Everything that is said of the rows at one temperature.
pub struct Panel {
    /// This one.
    pub temperature: Temperature,
    /// Means with their standard errors.
    pub summary: Summary,
    /// 15 bins of equal width.
    pub ece: CalibrationError,
    /// As many of equal mass.
    pub equal_mass: CalibrationError,
    /// Smooth ECE.
    pub smooth: BinFree,
    /// The largest cumulative gap.
    pub kolmogorov_smirnov: BinFree,
    /// The Brier score of the top label, taken apart.
    pub brier: BrierParts,
    /// The reliability curve.
    pub steps: Vec<Step>,
    /// Where it lies if the model is calibrated.
    pub band: Band,
    /// Shares of the rows in bins of confidence, all of the same width.
    pub histogram: Vec<f64>,
    /// Risk against coverage.
    pub risk: RiskCoverage,
}

/// What the temperature made of it.
pub struct After {
    /// The rows at it.
    pub panel: Panel,
    /// After minus before.
    pub differences: Differences,
}

/// The rows at one of many temperatures.
#[derive(Clone, Copy)]
pub struct Point {
    /// The temperature.
    pub tau: f64,
    /// The mean negative log-likelihood, in nats.
    pub nll: f64,
    /// In 15 bins of equal width.
    pub ece: f64,
    /// What 95 % of perfectly calibrated models of this size stay below.
    pub floor: f64,
}

/// Which of the two a picture is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// At τ = 1.
    Before,
    /// At the temperature found.
    After,
}

impl Moment {
    /// Its name, in sentences and as the class of what has its colour.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::After => "after",
        }
    }
}

impl Calibration {
    /// What is shown, in order: both, or only the one there is.
    pub fn panels(&self) -> impl Iterator<Item = (Moment, &Panel)> {
        let after = self.after.as_ref().map(|after| (Moment::After, &after.panel));
        std::iter::once((Moment::Before, &self.before)).chain(after)
    }
}
