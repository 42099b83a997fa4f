//! A model's calibration before and after one temperature: measured, told in words, drawn, put on a page.
//!
//! ```text
//! rows → two halves, at random → τ fitted on the first → everything shown is measured on the second
//! ```
//!
//! Pictures are 360 units wide, about what a phone has, so that the same letters can be read there
//! and in a column of a desktop's page.

pub mod curves;
mod measure;
mod page;
mod reliability;
mod risk;
mod table;
mod view;
mod words;

use crate::picture::Picture;

pub use measure::{FEWEST_ROWS, LabelledRows, Question, measure};
pub use page::page;
pub use table::{Cell, Line, lines};
pub use view::{After, Calibration, Caller, Moment, Panel, Point, Split};
pub use words::{Words, words};

/// What all pictures are called that there may be.
pub const PICTURES: [&str; 5] = [
    "reliability-before",
    "reliability-after",
    "nll-by-temperature",
    "ece-by-temperature",
    "risk-coverage",
];

/// Every picture, in the order of the page.
pub fn pictures(calibration: &Calibration) -> Vec<Picture> {
    let reliability = calibration.panels().map(|(moment, panel)| reliability::draw(moment, panel));
    reliability.chain(curves::draw(calibration)).chain([risk::draw(calibration)]).collect()
}
