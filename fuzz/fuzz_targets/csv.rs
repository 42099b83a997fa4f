#![no_main]
//! The CSV reader on any bytes; the first byte chooses the delimiter.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let delimiter = b",\t;"[usize::from(choice) % 3];
    softargmax_fuzz::check("fuzz.csv", rest, -1, delimiter);
});
