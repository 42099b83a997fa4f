//! `softargmax report`: a model's calibration before and after a temperature, as a page, as pictures or as
//! text.
//!
//! ```text
//! rows → two halves, at random → τ fitted on the first → everything shown is measured on the second
//! ```

use std::path::Path;

use softargmax::{Error, Score, Temperature, TemperatureFit, Temperatures};
use softargmax_report::calibration::{
    Calibration, Caller, FEWEST_ROWS, LabelledRows, PICTURES, Question, measure, page, pictures,
};

use crate::apply;
use crate::args::{Content, ReportArgs};
use crate::error::CliError;
use crate::input::{Labels, is_stream};
use crate::labelled::{Block, Labelled};
use crate::output::Target;
use crate::report::calibration as shown;

pub(crate) fn run(args: &ReportArgs) -> Result<(), CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| report(args)),
        None => report(args),
    }
}

fn report(args: &ReportArgs) -> Result<(), CliError> {
    // Whether there is anywhere to write to is known before any work is done.
    let file = args.output.as_deref().map(Target::open).transpose()?;
    let pictures = args.svg.as_deref().map(PictureFiles::open).transpose()?;
    let labelled = Labelled::open(&args.data, None, true)?;
    let calibration = calibration(&labelled, args)?;
    if let Some(files) = pictures {
        files.write(&calibration)?;
    }
    match file {
        Some(mut target) => {
            target.write(page(&calibration).as_bytes())?;
            target.finish()?;
            // What goes to standard output stays alone there.
            if !args.output.as_deref().is_some_and(is_stream) {
                shown::print_headline(&calibration)?;
            }
        }
        None => shown::print(&calibration)?,
    }
    labelled.note_looks();
    Ok(())
}

fn calibration(labelled: &Labelled, args: &ReportArgs) -> Result<Calibration, CliError> {
    let block = labelled.all().ok_or_else(|| CliError::internal("the rows are not in memory"))?;
    let name = labelled.name();
    let counted = (0..labelled.rows()).filter(|&row| labelled.counts(row)).count();
    if counted < FEWEST_ROWS {
        return Err(CliError::refused(format!(
            "{name}: {counted} rows with a label and a weight are too few"
        ))
        .hint("a report needs two to fit on and two to measure"));
    }
    // A page has no words for --ids.
    let is_appliable = args.data.input != Content::Probabilities && args.data.top_k.ids.is_none();
    let question = Question {
        name: name.to_owned(),
        source: format!("{name}, labels {}", args.data.labels.display()),
        caller: Caller::Program { is_appliable },
        seed: args.seed,
    };
    measure(&Rows { labelled, block }, question)
}

/// The rows of a file, all of them in memory.
struct Rows<'a> {
    labelled: &'a Labelled,
    block: Block<'a>,
}

impl LabelledRows for Rows<'_> {
    type Refusal = CliError;

    fn rows(&self) -> usize {
        self.labelled.rows()
    }

    fn classes(&self) -> usize {
        self.labelled.classes()
    }

    fn counts(&self, row: usize) -> bool {
        self.labelled.counts(row)
    }

    fn class(&self, row: usize) -> Option<usize> {
        let Labels::Classes(classes) = &self.labelled.labels else { return None };
        usize::try_from(classes[row]).ok().filter(|&class| class < self.classes())
    }

    fn fit(&self, keep: &dyn Fn(usize) -> bool) -> Result<TemperatureFit, CliError> {
        self.block.fit(keep, None).map_err(|error| self.refuse(error))
    }

    fn scores(
        &self,
        keep: &dyn Fn(usize) -> bool,
        tau: Temperature,
    ) -> Result<Vec<Score>, CliError> {
        let scores = self.block.scores(keep, Temperatures::One(tau));
        scores.map_err(|error| self.refuse(error))
    }

    fn refuse(&self, error: Error) -> CliError {
        self.labelled.refuse(0, error)
    }
}

/// Where the pictures go; those that there turns out to be no picture for are not written.
struct PictureFiles(Vec<(&'static str, Target)>);

impl PictureFiles {
    fn open(folder: &Path) -> Result<Self, CliError> {
        let open =
            |&name: &&'static str| Ok((name, Target::open(&folder.join(format!("{name}.svg")))?));
        PICTURES.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    fn write(self, calibration: &Calibration) -> Result<(), CliError> {
        let drawn = pictures(calibration);
        for (name, mut target) in self.0 {
            if let Some(picture) = drawn.iter().find(|picture| picture.name == name) {
                target.write(picture.file().as_bytes())?;
                target.finish()?;
            }
        }
        Ok(())
    }
}
