//! What people see: tables and pictures. Nothing here computes a result.

mod axis;
mod bars;
pub(crate) mod calibration;
pub(crate) mod chart;
pub(crate) mod contrast;
pub(crate) mod distill;
pub(crate) mod eval;
pub(crate) mod fit;
mod labels;
pub(crate) mod merge;
mod palette;
pub(crate) mod sample;
pub(crate) mod solve;
pub(crate) mod sweep;
mod table;
pub(crate) mod teacher;

pub(crate) use softargmax_report::{pen, text};
