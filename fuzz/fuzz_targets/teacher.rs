#![no_main]
//! The reader of packed teachers, on any bytes and on files that are whole but for what the bytes change.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| softargmax_fuzz::check_teacher(bytes));
