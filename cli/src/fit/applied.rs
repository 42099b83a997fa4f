//! A saved fit at work on the blocks of `apply`.

use std::path::{Path, PathBuf};

use softargmax::{Error, Rows, RowsMut, Temperature, log_softmax_in_place};

use super::model::Model;
use super::saved::Saved;
use crate::args::Content;
use crate::error::CliError;
use crate::input::{Beside, Groups, Number, Place, Source};
use crate::labelled::Reading;

/// A fit, for the rows of one source.
pub(crate) struct Applied {
    model: Model,
    reading: Reading,
    /// The file of groups, and the group of every row.
    groups: Option<(PathBuf, Vec<usize>)>,
}

impl Applied {
    /// Reads a saved fit and, where it has a temperature for every group, the groups of the rows.
    pub(crate) fn open(
        path: &Path,
        groups: Option<&Path>,
        source: &Source,
    ) -> Result<Self, CliError> {
        let saved = Saved::read(path)?;
        saved.check(path, source.name(), source.classes())?;
        let groups = groups.map(|file| {
            let (logits, layout) = (source.path(), source.layout());
            let beside = Beside { logits, shape: layout.shape(), classes: layout.classes() };
            let rows = source.rows().and_then(|rows| usize::try_from(rows).ok());
            let known: &[String] = match &saved.model {
                Model::Groups(model) => &model.names,
                Model::Plain(_) => &[],
            };
            Groups::read(file, "groups", rows, known, &beside).map(|groups| (file, groups))
        });
        let groups = groups.transpose()?;
        let model = saved.model.for_rows(path, groups.as_ref().map(|(_, groups)| groups))?;
        let tolerance = source.tolerance();
        let applied = Self {
            model,
            reading: Reading { content: saved.input, epsilon: saved.epsilon, tolerance },
            groups: groups.map(|(file, groups)| (file.to_owned(), groups.of_rows)),
        };
        if let Some(rows) = source.rows() {
            applied.expect_rows(source, rows)?;
        }
        Ok(applied)
    }

    /// The temperature, if it is all there is to the fit.
    pub(crate) fn temperature(&self) -> Option<Temperature> {
        let is_plain = matches!(self.model.name(), "identity" | "temperature")
            && self.reading.content != Content::Probabilities;
        if is_plain { self.model.temperature() } else { None }
    }

    /// Refuses groups that are not one for each of so many rows.
    pub(crate) fn expect_rows(&self, source: &Source, rows: u64) -> Result<(), CliError> {
        match &self.groups {
            Some((path, groups)) if groups.len() as u64 != rows => {
                let path = Place::name_beside(path, source.path());
                let (name, count) = (source.name(), groups.len());
                Err(CliError::refused(format!(
                    "{name} has {rows} rows of logits, and {path} has {count} groups"
                ))
                .hint("one group for every row, in the same order"))
            }
            _ => Ok(()),
        }
    }

    /// Turns what the fit was for into logits; `first` is the row that the block begins with.
    pub(crate) fn to_logits<T: Number>(
        &self,
        source: &Source,
        block: &mut [T],
        first: u64,
    ) -> Result<(), CliError> {
        let end = first + (block.len() / source.classes()) as u64;
        if self.groups.as_ref().is_some_and(|(_, groups)| end > groups.len() as u64) {
            // A stream, whose rows are not counted yet.
            return self.expect_rows(source, end);
        }
        if self.reading.content != Content::Probabilities {
            return Ok(());
        }
        let mut logits: Vec<f64> = block.iter().map(|x| x.to_f64()).collect();
        let read = self.reading.to_logits(&mut logits, source.classes());
        read.map_err(|(at, reason)| {
            let place = source.layout().place(first + at as u64);
            CliError::refused(format!("{}: {place}: {reason}", source.name()))
                .hint("the fit is of probabilities, and so must these be")
        })?;
        block.iter_mut().zip(&logits).for_each(|(to, &from)| *to = T::nearest(from));
        Ok(())
    }

    /// Logits to probabilities, or their logarithms, of rows that [`Applied::to_logits`] has seen.
    pub(crate) fn transform<T: Number>(
        &self,
        block: &mut [T],
        classes: usize,
        first: u64,
        log: bool,
    ) -> Result<(), Error> {
        let mut wide: Vec<f64> = block.iter().map(|x| x.to_f64()).collect();
        match &self.model {
            Model::Plain(calibrator) => {
                wide = calibrator.log_probabilities(Rows::new(&wide, classes)?)?;
            }
            Model::Groups(model) => {
                let groups = self.groups.iter().flat_map(|(_, groups)| &groups[first as usize..]);
                let of_rows = groups.take(wide.len() / classes);
                let temperatures = of_rows.map(|&group| model.temperatures[group]);
                let temperatures: Vec<Temperature> = temperatures.collect();
                log_softmax_in_place(RowsMut::new(&mut wide, classes)?, &temperatures)?;
            }
        }
        let out = |l: f64| if log { l } else { libm::exp(l) };
        block.iter_mut().zip(&wide).for_each(|(to, &l)| *to = T::nearest(out(l)));
        Ok(())
    }
}
