//! What a fit answers: a temperature with its uncertainty, or why there is none.

use libm::{erfc, exp, log};

use crate::error::Error;
use crate::fit::scan::Scan;
use crate::temperature::Temperature;

/// How a fit ended. Only [`Converged`](Outcome::Converged) comes with a temperature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// There is one best temperature, and it was found.
    Converged,
    /// Every label has the largest logit of its row: the loss falls all the way to τ = 0.
    Separable,
    /// The logits of the labels are not above the mean of their rows, so the loss falls all the way to τ = ∞;
    /// they tell nothing about the labels, or their sign is wrong.
    NoSignal,
    /// Every row has equal logits: all temperatures are the same.
    ConstantLogits,
    /// Some label has a logit of −∞: the loss is infinite at every temperature.
    InfiniteNll,
    /// No row has a label and a weight.
    NoRows,
    /// The best temperature lies outside the range that a scan was over, or the best model outside that of f64.
    OutOfRange,
}

impl Outcome {
    /// Its name as in the program's JSON: `"converged"`, `"separable"`, `"no_signal"`, `"constant_logits"`,
    /// `"infinite_nll"`, `"no_rows"` or `"out_of_range"`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Converged => "converged",
            Outcome::Separable => "separable",
            Outcome::NoSignal => "no_signal",
            Outcome::ConstantLogits => "constant_logits",
            Outcome::InfiniteNll => "infinite_nll",
            Outcome::NoRows => "no_rows",
            Outcome::OutOfRange => "out_of_range",
        }
    }
}

/// A fitted temperature and what is known about it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// τ*, where the mean negative log-likelihood is least.
    pub temperature: Temperature,
    /// The standard error of τ* from the curvature of the likelihood (observed Fisher information), and of
    /// the prior where there is one.
    pub std_error: f64,
    /// The standard error of τ* that also holds where no temperature makes the model right: the sandwich
    /// √Σ(w g)² / Σ w v.
    pub robust_std_error: f64,
    /// A 95 % interval for τ*, τ*·exp(±1.96·SE/τ*): by `std_error`, with weights by `robust_std_error`.
    pub interval: [f64; 2],
    /// The mean negative log-likelihood at τ*, in nats.
    pub nll: f64,
    /// The probability of a difference from τ = 1 at least as large as this one, were τ = 1 right: by the
    /// likelihood ratio, 2 Σ (loss at 1 − loss at τ*) ~ χ²₁; with weights by (ln τ* / SE)², with the robust SE.
    pub p_value: f64,
    /// About how far τ* may be from the true minimum, relatively.
    pub tolerance: f64,
}

/// The answer of a fit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TemperatureFit {
    /// How it ended.
    pub outcome: Outcome,
    /// The temperature, where it [converged](Outcome::Converged).
    pub estimate: Option<Estimate>,
    /// The mean negative log-likelihood at τ = 1, in nats; NaN where there are no rows or a scan does not
    /// reach τ = 1.
    pub nll_before: f64,
    /// The share of rows whose label has the largest logit (ties counted as won), by weight.
    pub accuracy: f64,
    /// Rows that counted: not ignored, of a weight above 0.
    pub rows: u64,
    /// Classes of a row.
    pub classes: usize,
    /// How often all rows were gone through.
    pub passes: u32,
    /// How many rows have an infinite loss.
    pub infinite: u64,
    /// The first of them, counted from 0; of merged scans, each in its own.
    pub infinite_rows: Vec<u64>,
}

/// A normal prior on ln β, β = 1/τ: what is thought of τ before there are rows.
///
/// With few rows τ* can be anywhere, and one that is far off costs dearly on new rows. The prior weighs as much
/// as 1/(σ²·v) rows, where v is a row's variance of x/τ: with σ = 1/2 some ten rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// ln β of its middle.
    pub(super) center: f64,
    pub(super) sigma: f64,
}

impl Prior {
    /// Around τ = `tau`, within a factor e^±`sigma` with probability 0.68.
    ///
    /// # Errors
    /// [`Error::Temperature`] for a `tau` of 0 or ∞, [`Error::Prior`] for a `sigma` that is not positive and
    /// finite.
    pub fn new(tau: Temperature, sigma: f64) -> Result<Prior, Error> {
        if tau.is_zero() || tau.is_infinite() {
            return Err(Error::Temperature { got: tau.tau() });
        }
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Err(Error::Prior { got: sigma });
        }
        Ok(Prior { center: -log(tau.tau()), sigma })
    }
}

/// The prior for small samples: around τ = 1, σ = 0.5.
impl Default for Prior {
    fn default() -> Self {
        Prior { center: 0.0, sigma: 0.5 }
    }
}

/// The sums of a fit at the temperature it ended at.
pub(super) struct AtEnd {
    pub(super) beta: f64,
    pub(super) loss: f64,
    pub(super) variance: f64,
    pub(super) slope_squared: f64,
    /// 1/σ² of the prior's second derivative in ln β, or 0.
    pub(super) prior_curvature: f64,
    pub(super) tolerance: f64,
}

/// Two standard deviations: Φ⁻¹(0.975).
const Z_95: f64 = 1.959963984540054;

impl TemperatureFit {
    /// A fit that says what a scan has seen, but not yet how it ended.
    pub(super) fn of(scan: &Scan, outcome: Outcome, passes: u32) -> Self {
        TemperatureFit {
            outcome,
            estimate: None,
            nll_before: f64::NAN,
            accuracy: scan.accuracy(),
            rows: scan.rows(),
            classes: scan.classes,
            passes,
            infinite: scan.infinite,
            infinite_rows: scan.infinite_rows.clone(),
        }
    }

    /// Why these rows have no best temperature, if they have none, as far as the scan was asked.
    pub(super) fn named(scan: &Scan, prior: Option<Prior>) -> Option<Outcome> {
        let survey = &scan.survey;
        if scan.weight.value() == 0.0 {
            Some(Outcome::NoRows)
        } else if scan.infinite > 0 {
            Some(Outcome::InfiniteNll)
        } else if prior.is_some() || !scan.wants_survey() {
            None // a prior makes every loss grow on both sides
        } else if survey.constant_rows == scan.rows() {
            Some(Outcome::ConstantLogits)
        } else if survey.below_max.value() == 0.0 {
            Some(Outcome::Separable)
        } else if survey.below_mean.value() >= 0.0 {
            Some(Outcome::NoSignal)
        } else {
            None
        }
    }

    /// Ends it with a temperature. `loss_at_one` is Σ w loss at τ = 1, or NaN.
    pub(super) fn converge(&mut self, scan: &Scan, end: &AtEnd, loss_at_one: f64) {
        let AtEnd { beta, loss, variance, slope_squared, prior_curvature, tolerance } = *end;
        let Ok(temperature) = Temperature::from_scale(beta) else { return };
        let tau = temperature.tau();
        let weight = scan.weight.value();
        let curvature = variance + prior_curvature;
        let relative = 1.0 / curvature.sqrt();
        let robust = slope_squared.sqrt() / curvature;
        let is_weighted = weight != scan.rows() as f64 || weight != scan.weight_squared.value();
        let width = if is_weighted { robust } else { relative };
        let test = if is_weighted {
            let distance = log(tau) / robust;
            distance * distance
        } else {
            let ratio = 2.0 * (loss_at_one - loss);
            if ratio < 0.0 { 0.0 } else { ratio } // NaN stays: the loss at 1 is not known
        };
        self.outcome = Outcome::Converged;
        self.nll_before = loss_at_one / weight;
        self.estimate = Some(Estimate {
            temperature,
            std_error: tau * relative,
            robust_std_error: tau * robust,
            interval: [tau * exp(-Z_95 * width), tau * exp(Z_95 * width)],
            nll: loss / weight,
            p_value: erfc((test / 2.0).sqrt()),
            tolerance,
        });
    }
}
