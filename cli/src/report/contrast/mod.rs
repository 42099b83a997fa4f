//! What `contrast` shows: a text for the terminal, a page, or the curve as a file.
//!
//! ```text
//! Contrast ─┬─ words: what it means ──────┬─ page: one file of HTML
//!           ├─ lines: every figure ───────┼─ terminal
//!           └─ curve: loss against τ ─────┴─ file of SVG
//! ```

mod curve;
mod lines;
mod page;
mod terminal;
mod words;

use crate::contrast::view::{Contrast, Level};
use crate::error::CliError;
use softargmax_report::picture::Picture;

pub(crate) use page::page;
pub(crate) use terminal::{print, print_headline};

/// The loss against τ.
pub(crate) fn picture(contrast: &Contrast) -> Result<Picture, CliError> {
    curve::draw(contrast).ok_or_else(|| CliError::internal("a curve of one temperature"))
}

/// The points of the curve that an axis has a place for, from low temperatures to high; none where they are one.
fn drawn(contrast: &Contrast) -> Vec<&Level> {
    let mut levels: Vec<&Level> =
        contrast.curve.iter().filter(|level| !level.tau().is_infinite()).collect();
    levels.sort_by(|a, b| a.tau().tau().total_cmp(&b.tau().tau()));
    levels.dedup_by(|a, b| a.tau() == b.tau());
    if levels.len() < 2 { Vec::new() } else { levels }
}

/// The highest loss that is drawn: at low temperatures it leaves every picture.
fn top(contrast: &Contrast) -> f64 {
    let chance = (contrast.negatives as f64).ln_1p();
    let here = contrast.here.point.loss * 1.1;
    if here < 3.0 * chance { here.max(1.15 * chance) } else { 1.15 * chance }
}
