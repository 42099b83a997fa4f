//! The models between logits and honest probabilities, under one name each, from the simplest on.

use crate::element::Element;
use crate::error::Error;
use crate::fit::affine::{Affine, fit_bcts, fit_vector};
use crate::fit::estimate::Outcome;
use crate::fit::ets::{Ensemble, fit_ets};
use crate::fit::temperature::{FitOptions, fit_temperature};
use crate::rows::{Labels, Rows, RowsMut};
use crate::softmax::{log_softmax_in_place, log_softmax_rows};
use crate::temperature::Temperature;

/// A kind of calibration; the order is that of simplicity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Model {
    /// The logits as they are: nothing is fitted.
    Identity,
    /// One temperature: [`fit_temperature`].
    Temperature,
    /// A mixture of temperatures: [`fit_ets`].
    Ets,
    /// A temperature and a bias for each class: [`fit_bcts`].
    Bcts,
    /// A scale and a bias for each class: [`fit_vector`].
    Vector,
}

impl Model {
    /// Every model, the simplest first.
    pub const ALL: [Model; 5] =
        [Model::Identity, Model::Temperature, Model::Ets, Model::Bcts, Model::Vector];

    /// Its name as on the command line: `"identity"`, `"temperature"`, `"ets"`, `"bcts"` or `"vector"`.
    pub fn name(self) -> &'static str {
        match self {
            Model::Identity => "identity",
            Model::Temperature => "temperature",
            Model::Ets => "ets",
            Model::Bcts => "bcts",
            Model::Vector => "vector",
        }
    }

    /// Fits it: a calibrator where that [converged](Outcome::Converged).
    ///
    /// # Shapes, accuracy, special values, errors
    /// As the function of the model. The identity converges whatever the rows are, and does not look at them.
    ///
    /// # Example
    /// ```
    /// use softargmax::{Labels, Model, Rows};
    ///
    /// let logits = [2.0f32, 0.0, 0.0, 1.0, 3.0, 2.0, 0.0, 2.5];
    /// let (rows, labels) = (Rows::new(&logits, 2)?, Labels::new(&[0, 1, 1, 1], 2)?);
    /// let (_, calibrator) = Model::Temperature.fit(rows, labels, None)?;
    /// let log_p = calibrator.unwrap().log_probabilities(rows)?;
    /// assert!((log_p[0].exp() + log_p[1].exp() - 1.0).abs() < 1e-15);
    /// # Ok::<(), softargmax::Error>(())
    /// ```
    pub fn fit<T: Element>(
        self,
        logits: Rows<'_, T>,
        labels: Labels<'_>,
        weights: Option<&[f64]>,
    ) -> Result<(Outcome, Option<Calibrator>), Error> {
        Ok(match self {
            Model::Identity => (Outcome::Converged, Some(Calibrator::Identity)),
            Model::Temperature => {
                let options = FitOptions { weights, ..FitOptions::default() };
                let fit = fit_temperature(logits, labels, &options)?;
                (fit.outcome, fit.estimate.map(|e| Calibrator::Temperature(e.temperature)))
            }
            Model::Ets => {
                let fit = fit_ets(logits, labels, weights)?;
                (fit.outcome, fit.ensemble.map(Calibrator::Ensemble))
            }
            Model::Bcts => {
                let fit = fit_bcts(logits, labels, weights)?;
                (fit.outcome, fit.affine.map(Calibrator::Affine))
            }
            Model::Vector => {
                let fit = fit_vector(logits, labels, weights)?;
                (fit.outcome, fit.affine.map(Calibrator::Affine))
            }
        })
    }
}

/// A fitted model: from logits to log-probabilities.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Calibrator {
    /// log softmax(z).
    Identity,
    /// log softmax(z/τ).
    Temperature(Temperature),
    /// ln (ω₁ softmax(z/τ) + ω₂ softmax(z) + ω₃/K).
    Ensemble(Ensemble),
    /// log softmax(s z + b).
    Affine(Affine),
}

impl Calibrator {
    /// ln p of every row, in nats.
    ///
    /// # Shapes
    /// `[rows, classes]` to `[rows, classes]`.
    ///
    /// # Accuracy, special values
    /// Computed in f64, as [`log_softmax`](crate::log_softmax), [`Ensemble::log_probabilities`] and
    /// [`Affine::apply`] are.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another number of classes than a fitted scale or bias is for.
    pub fn log_probabilities<T: Element>(&self, logits: Rows<'_, T>) -> Result<Vec<f64>, Error> {
        let classes = logits.classes();
        let wide = || logits.as_slice().iter().map(|z| z.to_f64()).collect::<Vec<_>>();
        match self {
            Calibrator::Identity => {
                log_softmax_rows(Rows::new(&wide(), classes)?, Temperature::ONE)
            }
            Calibrator::Temperature(tau) => log_softmax_rows(Rows::new(&wide(), classes)?, *tau),
            Calibrator::Ensemble(ensemble) => Ok(ensemble.log_probabilities(logits)),
            Calibrator::Affine(affine) => {
                let mut out = affine.apply(logits)?;
                log_softmax_in_place(RowsMut::new(&mut out, classes)?, Temperature::ONE)?;
                Ok(out)
            }
        }
    }
}
