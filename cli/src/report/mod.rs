//! What people see: tables and pictures. Nothing here computes a result.

mod axis;
mod bars;
pub(crate) mod chart;
mod labels;
mod palette;
pub(crate) mod solve;
pub(crate) mod sweep;
mod table;
mod text;
