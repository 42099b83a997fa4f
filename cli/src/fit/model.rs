//! What was fitted, and what it makes of rows.

use std::path::Path;

use softargmax::{Calibrator, Error, Score, Temperature, Temperatures};

use crate::error::CliError;
use crate::input::Groups;
use crate::labelled::{Block, Keep};

/// How logits become probabilities.
#[derive(Clone, Debug)]
pub(crate) enum Model {
    /// The same for every row.
    Plain(Calibrator),
    /// A temperature for every group.
    Groups(GroupTemperatures),
}

/// A temperature for every group of rows, and one for groups that were not there.
#[derive(Clone, Debug)]
pub(crate) struct GroupTemperatures {
    pub(crate) names: Vec<String>,
    pub(crate) temperatures: Vec<Temperature>,
    pub(crate) common: Temperature,
}

impl GroupTemperatures {
    /// The same, with the groups in the order of some rows; also which of those were not fitted on.
    pub(crate) fn ordered_as<'a>(&self, groups: &'a Groups) -> (Self, Vec<&'a str>) {
        let known = |name: &String| self.names.iter().position(|other| other == name);
        let places: Vec<Option<usize>> = groups.names.iter().map(known).collect();
        let temperature =
            |place: &Option<usize>| place.map_or(self.common, |i| self.temperatures[i]);
        let unknown = groups.names.iter().zip(&places).filter(|(_, place)| place.is_none());
        let unknown = unknown.map(|(name, _)| name.as_str()).collect();
        let temperatures = places.iter().map(temperature).collect();
        (Self { names: groups.names.clone(), temperatures, common: self.common }, unknown)
    }
}

impl Model {
    /// The logits as they are.
    pub(crate) const IDENTITY: Model = Model::Plain(Calibrator::Identity);

    /// One temperature.
    pub(crate) fn temperature_of(tau: Temperature) -> Self {
        Model::Plain(Calibrator::Temperature(tau))
    }

    /// Its name, in JSON and on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Model::Plain(Calibrator::Identity) => "identity",
            Model::Plain(Calibrator::Temperature(_)) => "temperature",
            Model::Plain(Calibrator::Ensemble(_)) => "ets",
            Model::Plain(Calibrator::Affine(affine)) if affine.scale().len() == 1 => "bcts",
            // The library has no model that this program does not know.
            Model::Plain(_) => "vector",
            Model::Groups(_) => "groups",
        }
    }

    /// The one temperature, or that of all groups together, where there is one.
    pub(crate) fn temperature(&self) -> Option<Temperature> {
        match self {
            Model::Plain(Calibrator::Identity) => Some(Temperature::ONE),
            Model::Plain(Calibrator::Temperature(tau)) => Some(*tau),
            Model::Plain(Calibrator::Ensemble(ensemble)) => Some(ensemble.temperature()),
            Model::Plain(Calibrator::Affine(affine)) => affine.temperature(),
            Model::Plain(_) => None,
            Model::Groups(groups) => Some(groups.common),
        }
    }

    /// The same, with its groups in the order of the rows that it is used for. Of groups that were not
    /// fitted, whose rows get the common temperature, it warns.
    pub(crate) fn for_rows(self, path: &Path, groups: Option<&Groups>) -> Result<Self, CliError> {
        let name = path.display();
        match (self, groups) {
            (Model::Groups(model), Some(groups)) => {
                let (model, unknown) = model.ordered_as(groups);
                if let [first, ..] = unknown.as_slice() {
                    let count = unknown.len();
                    let words =
                        if count == 1 { "1 group is" } else { &format!("{count} groups are") };
                    anstream::eprintln!(
                        "warning: {name}: {words} not in it and got its common temperature {}; \
                         the first is '{first}'",
                        model.common
                    );
                }
                Ok(Model::Groups(model))
            }
            (Model::Groups(_), None) => {
                Err(CliError::refused(format!("{name} has a temperature for every group"))
                    .hint("--groups FILE says which group each row belongs to"))
            }
            (Model::Plain(_), Some(_)) => {
                Err(CliError::refused(format!("{name} has no groups")).hint("leave out --groups"))
            }
            (model, None) => Ok(model),
        }
    }

    /// A score for every row that counts and is to be kept.
    pub(crate) fn scores(&self, block: &Block, keep: Keep) -> Result<Vec<Score>, Error> {
        match self {
            Model::Plain(Calibrator::Identity) => {
                block.scores(keep, Temperatures::One(Temperature::ONE))
            }
            Model::Plain(Calibrator::Temperature(tau)) => {
                block.scores(keep, Temperatures::One(*tau))
            }
            Model::Plain(calibrator) => block.scores_by(keep, calibrator),
            Model::Groups(groups) => {
                let of_group = |&group: &usize| groups.temperatures[group];
                let of_rows = block.groups.unwrap_or_default().iter().map(of_group);
                block.scores(keep, Temperatures::PerRow(&of_rows.collect::<Vec<_>>()))
            }
        }
    }
}
