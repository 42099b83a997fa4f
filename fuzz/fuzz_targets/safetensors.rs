#![no_main]
//! The .safetensors reader. The first byte chooses, and with it the axis:
//!
//! ```text
//! 0, 1    any bytes as the header, whose length is wrong or right
//! other   a header of two tensors of any type, shape and place, wrong now and then; any bytes as their numbers
//! ```

use libfuzzer_sys::fuzz_target;

const TYPES: [&str; 9] = ["F16", "BF16", "F32", "F64", "I8", "I16", "I32", "I64", "U8"];
const SIZES: [usize; 9] = [2, 2, 4, 8, 1, 2, 4, 8, 1];

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let (header, numbers) = match (choice, rest) {
        (0 | 1, _) => {
            let end = rest.iter().rposition(|&byte| byte == b'}').map_or(rest.len(), |at| at + 1);
            rest.split_at(end)
        }
        (_, [of, rows, classes, begin, off, numbers @ ..]) => {
            let [at, rows, classes, begin] =
                [of, rows, classes, begin].map(|&byte| usize::from(byte % 32));
            let (dtype, size) = (TYPES[at % TYPES.len()], SIZES[at % TYPES.len()]);
            // Mostly right.
            let end = begin + rows * classes * size + usize::from(off.saturating_sub(200));
            let header = format!(
                "{{\"ids\":{{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[0,0]}},\
                  \"logits\":{{\"dtype\":\"{dtype}\",\"shape\":[{rows},{classes}],\"data_offsets\":[{begin},{end}]}}}}"
            );
            return check(choice, header.as_bytes(), numbers);
        }
        _ => return,
    };
    check(choice, header, numbers);
});

fn check(choice: u8, header: &[u8], numbers: &[u8]) {
    let length = header.len() as u64 * if choice == 0 { 3 } else { 1 };
    let file = [&length.to_le_bytes(), header, numbers].concat();
    softargmax_fuzz::check("fuzz.safetensors", &file, isize::from(choice % 4) - 2, b',');
}
