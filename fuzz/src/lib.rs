//! What the targets of readers check: whatever the bytes are, the reader does not panic, holds no more than it
//! says, and gives rows × classes numbers, the same ones in any blocks.
//!
//! ```text
//! cargo +nightly fuzz run npy -- -max_total_time=60 -malloc_limit_mb=200        a minute of each: make fuzz
//! ```

// Not all of them is used here.
#[allow(dead_code)]
#[path = "../../cli/src/error.rs"]
mod error;
mod files;
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/input/mod.rs"]
mod input;
mod teacher;

pub use files::{check_beside, check_npz};
pub use teacher::check as check_teacher;

use std::io::{Cursor, Read};

use half::f16;
use input::{InputError, MAX_NUMBERS, Number, ReadOptions, Source};

/// A reader that gives bytes in small and uneven pieces, as a pipe may.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 13 + 1;
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

/// Reads `bytes` in every way; a panic is a finding.
pub fn check(name: &str, bytes: &[u8], axis: isize, delimiter: u8) {
    let options = &ReadOptions { axis, delimiter: Some(delimiter), top_k: None };
    let file = || {
        let input = Box::new(Cursor::new(bytes.to_vec()));
        Source::from_reader(name.to_owned(), input, Some(bytes.len() as u64), options)
    };
    let stream = || {
        let input = Box::new(Trickle(Cursor::new(bytes.to_vec()), 0));
        Source::from_reader(name.to_owned(), input, None, options)
    };
    let one_by_one = file().and_then(|source| read::<f64>(source, 1));
    let in_blocks = file().and_then(|source| read::<f64>(source, 1000));
    let streamed = stream().and_then(|source| read::<f64>(source, 7));
    let numbers = match (one_by_one, in_blocks, streamed) {
        (Ok(one), Ok(blocks), Ok(streamed)) => {
            assert!(same(&one, &blocks) && same(&one, &streamed));
            one
        }
        (Err(_), Err(_), Err(_)) => return,
        _ => panic!("the result depends on how the bytes came"),
    };
    // Narrower types: the same numbers, or refused.
    if let Ok(narrow) = file().and_then(|source| read::<f32>(source, 3)) {
        let wide: Vec<f64> = narrow.iter().map(|x| x.to_f64()).collect();
        assert!(same(&numbers, &wide));
    }
    if let Ok(narrow) = file().and_then(|source| read::<f16>(source, 3)) {
        let wide: Vec<f64> = narrow.iter().map(|x| x.to_f64()).collect();
        assert!(same(&numbers, &wide));
    }
}

fn read<T: Number>(mut source: Source, max_rows: usize) -> Result<Vec<T>, InputError> {
    let classes = source.classes();
    assert!((1..=MAX_NUMBERS).contains(&classes));
    // Has no way to fail either.
    source.layout().place(source.rows().unwrap_or(0).saturating_sub(1));
    let (mut all, mut block, mut rows) = (Vec::new(), Vec::new(), 0);
    loop {
        let read = source.next_block::<T>(&mut block, max_rows)?;
        assert_eq!(block.len(), read * classes);
        assert!(block.capacity() <= MAX_NUMBERS);
        if read == 0 {
            break;
        }
        rows += read as u64;
        all.extend_from_slice(&block);
    }
    assert!(source.rows().is_none_or(|promised| promised == rows));
    assert_eq!(all.len() as u64, rows * classes as u64);
    Ok(all)
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y || x.is_nan() && y.is_nan())
}
