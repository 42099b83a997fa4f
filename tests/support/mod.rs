//! What integration tests share: exact expected values, a ruler to hold results against them, and the grid they are
//! held against it on. Only `measure`, `number` and `scores` call the library, so that nothing in the others can be wrong
//! with it.
#![allow(dead_code)] // every test takes a part of it
#![allow(unreachable_pub)] // `pub` here means: for the tests

#[path = "../bounds/mod.rs"]
pub mod bounds;
pub mod fixtures;
pub mod grid;
pub mod measure;
pub mod number;
pub mod oracle;
pub mod random;
pub mod real;
pub mod scores;
pub mod shared;
pub mod ulp;
