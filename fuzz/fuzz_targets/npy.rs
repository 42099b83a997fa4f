#![no_main]
//! The .npy reader on whatever follows the magic bytes; the first byte chooses the axis.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&axis, rest)) = bytes.split_first() else { return };
    let file = [b"\x93NUMPY", rest].concat();
    softargmax_fuzz::check("fuzz.npy", &file, isize::from(axis as i8), b',');
});
