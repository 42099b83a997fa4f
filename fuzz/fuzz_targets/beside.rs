#![no_main]
//! The readers of labels, weights, groups and ids of the likeliest classes, behind a first line that is one.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| softargmax_fuzz::check_beside(bytes));
