//! `softargmax contrast`: what a contrastive loss can reach at a temperature, which negatives it looks at, and which
//! temperatures some rules suggest.
//!
//! ```text
//! vectors → one pass at the curve's temperatures → suggestions → a second pass, at those → table, page, picture, JSON
//! ```

mod document;
mod measure;
mod vectors;
pub(crate) mod view;

use crate::apply;
use crate::args::ContrastArgs;
use crate::error::CliError;
use crate::input::is_stream;
use crate::json;
use crate::output::Target;
use crate::report::contrast as shown;

pub(crate) fn run(args: &ContrastArgs) -> Result<(), CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| contrast(args)),
        None => contrast(args),
    }
}

fn contrast(args: &ContrastArgs) -> Result<(), CliError> {
    // Whether there is anywhere to write to is known before any work is done.
    let page = args.output.as_deref().map(Target::open).transpose()?;
    let plot = args.plot.as_deref().map(Target::open).transpose()?;
    let contrast = measure::measure(args)?;
    if let Some(mut target) = plot {
        target.write(shown::picture(&contrast)?.file().as_bytes())?;
        target.finish()?;
    }
    if let Some(mut target) = page {
        target.write(shown::page(&contrast).as_bytes())?;
        target.finish()?;
        // What goes to standard output stays alone there.
        if !args.output.as_deref().is_some_and(is_stream) {
            shown::print_headline(&contrast)?;
        }
        return Ok(());
    }
    if args.json {
        return json::print(&document::Document::new(&contrast));
    }
    shown::print(&contrast)
}
