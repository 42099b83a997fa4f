//! Rows of which the likeliest classes alone are stored, as language models' APIs give them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::error::CliError;
use crate::input::TopK;

/// Which classes the numbers of a row are of.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TopKArgs {
    /// The classes that the numbers are of, where a row has not all: a file of any format, or :COLUMN of the file
    /// of the logits
    ///
    /// For the likeliest classes, as language models' APIs give them: as many ids in every row as numbers, counted
    /// from 0; -1 stands for no class. Every row is worked in as one of --vocabulary classes.
    #[arg(long, value_name = "FILE", requires_all = ["vocabulary", "rest"])]
    pub(crate) ids: Option<PathBuf>,

    /// How many classes there are, with those that --ids does not name
    #[arg(long, value_name = "N", requires = "ids", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) vocabulary: Option<u32>,

    /// What the classes have that --ids does not name
    ///
    /// mask: nothing, as if there were only the named ones; a label among the others is an infinite loss. even: what
    /// is left over of a probability of 1, in equal parts, tempered like everything else; the numbers must be
    /// log-probabilities.
    #[arg(long, value_enum, value_name = "POLICY", requires = "ids")]
    pub(crate) rest: Option<Rest>,
}

/// What `--rest` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Rest {
    Mask,
    Even,
}

impl TopKArgs {
    /// How the rows are read, if they are not of all classes.
    pub(crate) fn top_k(&self, are_log_probabilities: bool) -> Result<Option<TopK>, CliError> {
        let Some(ids) = &self.ids else { return Ok(None) };
        let (Some(classes), Some(rest)) = (self.vocabulary, self.rest) else {
            return Err(CliError::internal("ids without a vocabulary or a policy"));
        };
        let rest = match rest {
            Rest::Mask => crate::input::Rest::Mask,
            Rest::Even => crate::input::Rest::Even,
        };
        Ok(Some(TopK { ids: ids.clone(), classes: classes as usize, rest, are_log_probabilities }))
    }
}
