//! Reports as the program and the Python package show them: what is measured, the words, pictures and pages.
//!
//! ```text
//! labelled rows → calibration::measure → Calibration ─┬─ words: what it means ──────┬─ page: one file of HTML
//!                                                     ├─ table: every figure ───────┼─ the program's terminal
//!                                                     └─ reliability, curves, risk ─┴─ files of SVG
//! ```
//!
//! A package of its own because two others draw the same, and no user of the library should have to compile a
//! picture. It is their common part, not an interface for others: it changes with them.

pub mod calibration;
pub mod markup;
pub mod pen;
pub mod picture;
pub mod split;
pub mod text;
