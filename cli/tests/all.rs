//! The program from outside, in one program of tests but for sql.rs: as one for each file, every one compiled what they share anew.
//!
//!     cargo test --package softargmax-cli --test all            or of one file: --test all fit::

mod apply;
mod bad_input;
mod contrast;
mod distill;
mod eval;
mod files;
mod fit;
mod formats;
mod fuzz;
mod help;
mod hints;
mod labelled;
mod readme;
mod report;
mod same_bits;
mod sample;
mod saved_fit;
mod scan;
mod solve;
mod sweep;
#[cfg(feature = "arrow")]
mod tables;
mod teacher;
mod top_k;
