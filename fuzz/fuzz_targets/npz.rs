#![no_main]
//! The .npz reader, on any bytes and on archives that are whole but for what the bytes change.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| softargmax_fuzz::check_npz(bytes));
