//! `softargmax report`: a model's calibration before and after a temperature, as a page, as pictures or as
//! text.
//!
//! ```text
//! rows → two halves, at random → τ fitted on the first → everything shown is measured on the second
//! ```

mod measure;
pub(crate) mod view;

use std::path::Path;

use crate::apply;
use crate::args::ReportArgs;
use crate::error::CliError;
use crate::input::is_stream;
use crate::labelled::Labelled;
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
    let page = args.output.as_deref().map(Target::open).transpose()?;
    let pictures = args.svg.as_deref().map(PictureFiles::open).transpose()?;
    let labelled = Labelled::open(&args.data, None, true)?;
    let calibration = measure::measure(&labelled, args)?;
    if let Some(files) = pictures {
        files.write(&calibration)?;
    }
    match page {
        Some(mut target) => {
            target.write(shown::page(&calibration).as_bytes())?;
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

/// Where the pictures go; those that there turns out to be no picture for are not written.
struct PictureFiles(Vec<(&'static str, Target)>);

impl PictureFiles {
    fn open(folder: &Path) -> Result<Self, CliError> {
        let open =
            |&name: &&'static str| Ok((name, Target::open(&folder.join(format!("{name}.svg")))?));
        shown::PICTURES.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    fn write(self, calibration: &view::Calibration) -> Result<(), CliError> {
        let pictures = shown::pictures(calibration);
        for (name, mut target) in self.0 {
            if let Some(picture) = pictures.iter().find(|picture| picture.name == name) {
                target.write(picture.file().as_bytes())?;
                target.finish()?;
            }
        }
        Ok(())
    }
}
