//! Encodes JSON lines: `{"probabilities": [0.9, 0.1]}`, every number as the shortest text that reads back to the same
//! bits. What JSON has no word for is one of the texts "nan", "inf" and "-inf".

use super::csv::push_shortest;
use super::{Encoder, Rows, Target, widened};
use crate::error::CliError;
use crate::input::Dtype;

pub(super) struct Jsonl {
    name: String,
    dtype: Dtype,
    classes: usize,
    /// The class that comes next.
    class: usize,
    text: String,
}

impl Jsonl {
    pub(super) fn new(rows: &Rows) -> Self {
        let classes = rows.shape.last().copied().unwrap_or(1);
        let (name, dtype) = (rows.name.to_owned(), rows.dtype);
        Self { name, dtype, classes, class: 0, text: String::new() }
    }
}

impl Encoder for Jsonl {
    fn encode(&mut self, numbers: &[u8], target: &mut Target) -> Result<(), CliError> {
        let Self { name, dtype, classes, class, text } = self;
        text.clear();
        for number in widened(numbers, *dtype) {
            match *class {
                0 => text.extend(["{\"", name, "\": ["]),
                _ => text.push_str(", "),
            }
            let quote = if number.is_finite() { "" } else { "\"" };
            text.push_str(quote);
            push_shortest(number, *dtype, text);
            text.push_str(quote);
            *class += 1;
            if class == classes {
                text.push_str("]}\n");
                *class = 0;
            }
        }
        target.write(text.as_bytes())
    }

    fn finish(&mut self, _rows: u64, _target: &mut Target) -> Result<(), CliError> {
        Ok(())
    }
}
