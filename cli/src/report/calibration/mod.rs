//! What `report` shows: one page, the pictures on it as files, or a text for the terminal.
//!
//! ```text
//! Calibration ─┬─ words: what it means ──────┬─ page: one file of HTML
//!              ├─ table: every figure ───────┼─ terminal
//!              └─ reliability, curves, risk ─┴─ files of SVG
//! ```
//!
//! Pictures are 360 units wide, about what a phone has, so that the same letters can be read there
//! and in a column of a desktop's page.

pub(super) mod curves;
pub(super) mod page;
pub(super) mod picture;
mod reliability;
mod risk;
mod table;
pub(super) mod terminal;
mod words;

use crate::calibration::view::Calibration;

pub(crate) use page::page;
pub(crate) use picture::Picture;
pub(crate) use terminal::{print, print_headline};

/// What all pictures are called that there may be.
pub(crate) const PICTURES: [&str; 5] = [
    "reliability-before",
    "reliability-after",
    "nll-by-temperature",
    "ece-by-temperature",
    "risk-coverage",
];

/// Every picture, in the order of the page.
pub(crate) fn pictures(calibration: &Calibration) -> Vec<Picture> {
    let reliability = calibration.panels().map(|(moment, panel)| reliability::draw(moment, panel));
    reliability.chain(curves::draw(calibration)).chain([risk::draw(calibration)]).collect()
}
