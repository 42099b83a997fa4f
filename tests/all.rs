//! All tests of the library in one program: as one for each file, every one of them compiled the kernels anew.
//!
//!     cargo test --all-features --test all            or of one file: --test all losses::

mod accuracy;
mod allocator;
mod axis;
mod cases;
mod contrastive;
mod curves;
mod fit;
mod gradients;
mod interrupt;
mod ladder;
mod losses;
mod metrics;
mod noise_floors;
mod oracle;
mod properties;
mod readme;
mod sample;
mod stability;
mod support;
mod tally;
