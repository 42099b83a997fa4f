#![no_main]
//! The reader of JSON lines, behind a first line that is one.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let first = [&b""[..], b"[1, -2.5]\n", b"{\"logits\": [1, NaN]}\n", b"{\"logit_0\": 1, \"logit_1\": 2}\n"];
    let text = [first[usize::from(choice) % 4], rest].concat();
    softargmax_fuzz::check("fuzz.jsonl", &text, -1, b',');
});
