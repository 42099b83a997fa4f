//! Fitting: rows to a model, or to the reason why there is none.

use softargmax::{
    Binning, Calibrator, Candidate, Error, GroupsFit, Outcome, Prior, Resampling, Temperature,
    TemperatureFit, Temperatures, calibration_error, summarise,
};

use super::model::{GroupTemperatures, Model};
use super::search::temperatures;
use crate::args::{ModelChoice, Rule};
use crate::error::CliError;
use crate::labelled::{Block, Keep, Labelled};

/// Folds by which `auto` compares models.
const FOLDS: usize = 5;
/// Two standard deviations: Φ⁻¹(0.975).
const Z_95: f64 = 1.959963984540054;

/// What is to be fitted, and how.
pub(crate) struct Fitting {
    pub(crate) choice: ModelChoice,
    pub(crate) rule: Rule,
    pub(crate) prior: Option<Prior>,
    pub(crate) seed: u64,
    /// Whether there is to be a temperature for every group.
    pub(crate) is_grouped: bool,
}

/// What came of it.
pub(crate) struct Fitted {
    /// The model, or why there is none.
    pub(crate) model: Result<Model, Outcome>,
    /// What temperature alone makes of the rows; it knows how many rows there are.
    pub(crate) temperature: TemperatureFit,
    /// The mean negative log-likelihood by the model, on the rows fitted on.
    pub(crate) nll: Option<f64>,
    /// How sure its temperature is, where it has one.
    pub(crate) sureness: Sureness,
    /// How the models compared, and why this one was chosen, where that was left open.
    pub(crate) selection: Option<(String, Vec<Candidate>)>,
    pub(crate) groups: Option<GroupsFit>,
}

/// The uncertainty of a temperature, as far as it is known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sureness {
    pub(crate) std_error: Option<f64>,
    pub(crate) robust_std_error: Option<f64>,
    pub(crate) interval: Option<[f64; 2]>,
    /// How likely rows that need no temperature are to look like these.
    pub(crate) p_value: Option<f64>,
}

impl Sureness {
    fn of(fit: &TemperatureFit) -> Self {
        fit.estimate.as_ref().map_or(Self::default(), |estimate| Self {
            std_error: Some(estimate.std_error),
            robust_std_error: Some(estimate.robust_std_error),
            interval: Some(estimate.interval),
            p_value: Some(estimate.p_value),
        })
    }

    /// By the standard error of the scale 1/τ; the interval is even on a log axis.
    fn of_scale(tau: Temperature, scale_std_error: f64) -> Self {
        let tau = tau.tau();
        let relative = scale_std_error * tau;
        let end = |side: f64| tau * libm::exp(side * Z_95 * relative);
        let interval = Some([end(-1.0), end(1.0)]);
        Self { std_error: Some(relative * tau), interval, ..Self::default() }
    }
}

impl Fitting {
    /// Whether all rows have to be in memory.
    pub(crate) fn needs_all(&self) -> bool {
        self.choice != ModelChoice::Temperature || self.rule != Rule::Nll || self.is_grouped
    }

    /// One fit for each of several sets of rows.
    pub(crate) fn fit_each(
        &self,
        labelled: &mut Labelled,
        keeps: &[Keep],
    ) -> Result<Vec<Fitted>, CliError> {
        let temperatures = temperatures(labelled, keeps, self.prior)?;
        let fit = |(temperature, keep): (TemperatureFit, &Keep)| {
            let fitted = match labelled.all() {
                Some(block) if self.needs_all() => self.fit(&block, temperature, *keep),
                _ => Ok(Fitted::by_temperature(temperature)),
            };
            fitted.map_err(|error| labelled.refuse(0, error))
        };
        temperatures.into_iter().zip(keeps).map(fit).collect()
    }

    /// The model of one set of rows, whose temperature is known.
    fn fit(&self, block: &Block, temperature: TemperatureFit, keep: Keep) -> Result<Fitted, Error> {
        let mut fitted = Fitted::by_temperature(temperature);
        // Under these every model fails alike.
        let outcome = fitted.temperature.outcome;
        if matches!(outcome, Outcome::NoRows | Outcome::InfiniteNll) {
            return Ok(fitted);
        }
        if self.rule == Rule::EceGrid {
            fitted.model = ece_grid(block, keep)?.ok_or(Outcome::NoRows);
            fitted.sureness = Sureness::default();
        } else if self.is_grouped {
            let fit = block.fit_groups(keep)?;
            // Without a common temperature there is none for any group.
            if fitted.model.is_ok() {
                fitted.model = grouped(block, &fit).ok_or(outcome);
            }
            fitted.groups = Some(fit);
        } else {
            self.fit_plain(block, keep, &mut fitted)?;
        }
        if let Ok(model) = &fitted.model {
            fitted.nll = Some(summarise(&model.scores(block, keep)?).nll.value);
        }
        Ok(fitted)
    }

    fn fit_plain(&self, block: &Block, keep: Keep, fitted: &mut Fitted) -> Result<(), Error> {
        let kind = match self.choice {
            ModelChoice::Temperature => return Ok(()),
            ModelChoice::Bcts => softargmax::Model::Bcts,
            ModelChoice::Vector => softargmax::Model::Vector,
            ModelChoice::Ets => softargmax::Model::Ets,
            ModelChoice::Auto => {
                let selection = block.select(keep, FOLDS, self.seed)?;
                fitted.selection = Some((selection.reason, selection.candidates));
                match (selection.model, selection.calibrator) {
                    (Some(softargmax::Model::Bcts), _) => softargmax::Model::Bcts,
                    (Some(softargmax::Model::Temperature), Some(_)) => return Ok(()),
                    (_, calibrator) => {
                        let outcome = fitted.temperature.outcome;
                        fitted.model = calibrator.map(Model::Plain).ok_or(outcome);
                        fitted.sureness = Sureness::default();
                        return Ok(());
                    }
                }
            }
        };
        fitted.sureness = Sureness::default();
        if kind == softargmax::Model::Bcts {
            let fit = block.fit_bcts(keep)?;
            if let (Some(tau), Some(error)) =
                (fit.affine.as_ref().and_then(softargmax::Affine::temperature), fit.scale_std_error)
            {
                fitted.sureness = Sureness::of_scale(tau, error);
            }
            let model = fit.affine.map(|affine| Model::Plain(Calibrator::Affine(affine)));
            fitted.model = model.ok_or(fit.outcome);
        } else {
            let (outcome, calibrator) = block.fit_model(keep, kind)?;
            fitted.model = calibrator.map(Model::Plain).ok_or(outcome);
        }
        Ok(())
    }
}

impl Fitted {
    fn by_temperature(temperature: TemperatureFit) -> Self {
        let estimate = temperature.estimate.as_ref().ok_or(temperature.outcome);
        Fitted {
            model: estimate.map(|estimate| Model::temperature_of(estimate.temperature)),
            nll: estimate.ok().map(|estimate| estimate.nll),
            sureness: Sureness::of(&temperature),
            selection: None,
            groups: None,
            temperature,
        }
    }
}

/// What was fitted, in the order in which the rows' groups are numbered.
fn grouped(block: &Block, fit: &GroupsFit) -> Option<Model> {
    let common = fit.pool.estimate.as_ref()?.temperature;
    let temperature = |group| fit.temperature(group);
    let names = block.group_names.to_vec();
    let temperatures = (0..names.len()).map(temperature).collect::<Option<Vec<_>>>()?;
    Some(Model::Groups(GroupTemperatures { names, temperatures, common }))
}

/// The one of 0.1, 0.2, …, 10 with the least ECE of 15 bins; the lowest of several.
fn ece_grid(block: &Block, keep: Keep) -> Result<Option<Model>, Error> {
    let without_null = Resampling { replicates: 0, ..Resampling::default() };
    let mut best: Option<(f64, Temperature)> = None;
    for tenth in 1..=100 {
        let tau: Temperature = format!("{}.{}", tenth / 10, tenth % 10).parse()?;
        let scores = block.scores(keep, Temperatures::One(tau))?;
        let ece = calibration_error(&scores, Binning::EqualWidth(15), &without_null).ece;
        if best.is_none_or(|(least, _)| ece < least) {
            best = Some((ece, tau));
        }
    }
    Ok(best.map(|(_, tau)| Model::temperature_of(tau)))
}
