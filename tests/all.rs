//! All tests of the library in one program: as one for each file, every one of them compiled the kernels anew.
//!
//!     cargo test --all-features --test all            or of one file: --test all losses::

mod axis;
mod cases;
mod gradients;
mod interrupt;
mod properties;
mod readme;
mod stability;
mod support;

// What follows would find the same code without threads, and take as long once more.
#[cfg(feature = "rayon")]
mod accuracy;
#[cfg(feature = "rayon")]
mod allocator;
#[cfg(feature = "rayon")]
mod contrastive;
#[cfg(feature = "rayon")]
mod curves;
#[cfg(feature = "rayon")]
mod fit;
#[cfg(feature = "rayon")]
mod ladder;
#[cfg(feature = "rayon")]
mod losses;
#[cfg(feature = "rayon")]
mod metrics;
#[cfg(feature = "rayon")]
mod noise_floors;
#[cfg(feature = "rayon")]
mod oracle;
#[cfg(feature = "rayon")]
mod sample;
#[cfg(feature = "rayon")]
mod tally;
