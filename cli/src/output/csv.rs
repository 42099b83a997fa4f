//! Encodes CSV: every number as the shortest text that reads back to the same bits.

use std::borrow::Cow;
use std::fmt::Write as _;

use half::f16;

use super::{Encoder, Rows, Target, widened};
use crate::error::CliError;
use crate::input::{Dtype, Number};

/// A text under way.
pub(super) struct Csv {
    lines: Lines,
    dtype: Dtype,
    text: String,
}

impl Csv {
    pub(super) fn begin(rows: &Rows, delimiter: u8, target: &mut Target) -> Result<Self, CliError> {
        let lines = Lines::new(delimiter, rows.shape.last().copied().unwrap_or(1));
        if let Some(names) = rows.classes {
            target.write(lines.header(names).as_bytes())?;
        }
        Ok(Self { lines, dtype: rows.dtype, text: String::new() })
    }
}

impl Encoder for Csv {
    fn encode(&mut self, numbers: &[u8], target: &mut Target) -> Result<(), CliError> {
        self.text.clear();
        self.lines.encode(&widened(numbers, self.dtype), self.dtype, &mut self.text);
        target.write(self.text.as_bytes())
    }

    fn finish(&mut self, _rows: u64, _target: &mut Target) -> Result<(), CliError> {
        Ok(())
    }
}

struct Lines {
    delimiter: u8,
    columns: usize,
    /// The column that comes next.
    column: usize,
}

impl Lines {
    fn new(delimiter: u8, columns: usize) -> Self {
        Self { delimiter, columns, column: 0 }
    }

    /// The header line of these names.
    fn header(&self, names: &[String]) -> String {
        let names: Vec<_> = names.iter().map(|name| field(name, self.delimiter)).collect();
        names.join(&char::from(self.delimiter).to_string()) + "\n"
    }

    /// Appends `numbers` to `text`, each as short as `dtype` allows.
    fn encode<T: Number>(&mut self, numbers: &[T], dtype: Dtype, text: &mut String) {
        for number in numbers {
            push_shortest(number.to_f64(), dtype, text);
            self.column += 1;
            let ends_line = self.column == self.columns;
            text.push(if ends_line { '\n' } else { self.delimiter.into() });
            if ends_line {
                self.column = 0;
            }
        }
    }
}

/// A text as a field, in quotes where it must be.
pub(crate) fn field(text: &str, delimiter: u8) -> Cow<'_, str> {
    let is_plain = !text.is_empty() && !text.contains([char::from(delimiter), '"', '\n', '\r']);
    if is_plain {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
}

/// The shortest decimal that reads back to the `dtype` nearest to `x`.
pub(super) fn push_shortest(x: f64, dtype: Dtype, text: &mut String) {
    if x.is_nan() {
        text.push_str("nan");
        return;
    }
    let start = text.len();
    // Debug is shortest, and goes over to an exponent where zeros would pile up.
    let written = match dtype {
        Dtype::F16 => write!(text, "{:?}", shortest_f16(f16::nearest(x))),
        Dtype::F32 => write!(text, "{:?}", f32::nearest(x)),
        Dtype::F64 => write!(text, "{x:?}"),
    };
    debug_assert!(written.is_ok(), "a String takes everything");
    if text[start..].ends_with(".0") {
        text.truncate(text.len() - 2);
    }
}

/// The f64 of fewest decimal digits that rounds to `x`; five are enough for 11 bits.
fn shortest_f16(x: f16) -> f64 {
    (0..5)
        .filter_map(|digits| format!("{:.digits$e}", x.to_f64()).parse().ok())
        .find(|&decimal| f16::nearest(decimal) == x)
        .unwrap_or(x.to_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortest(x: f64, dtype: Dtype) -> String {
        let mut text = String::new();
        push_shortest(x, dtype, &mut text);
        text
    }

    #[test]
    fn numbers_are_short() {
        for (x, dtype, expected) in [
            (1.0, Dtype::F64, "1"),
            (0.1, Dtype::F64, "0.1"),
            (8.194012623989748e-40, Dtype::F64, "8.194012623989748e-40"),
            (0.1f32.into(), Dtype::F32, "0.1"),
            (f16::nearest(0.1).to_f64(), Dtype::F16, "0.1"),
            (65504.0, Dtype::F16, "65500"),
            (5.960464477539063e-8, Dtype::F16, "6e-8"),
            (f64::NEG_INFINITY, Dtype::F32, "-inf"),
            (f64::NAN, Dtype::F16, "nan"),
            (-0.0, Dtype::F32, "-0"),
        ] {
            assert_eq!(shortest(x, dtype), expected);
        }
    }

    #[test]
    fn every_f16_reads_back() {
        for bits in 0..=u16::MAX {
            let x = f16::from_bits(bits);
            let back = shortest(x.to_f64(), Dtype::F16).parse().map(f16::nearest);
            assert!(back.is_ok_and(|y| y.to_bits() == bits || x.is_nan() && y.is_nan()), "{x}");
        }
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let names = ["cat", "a,b", "say \"hi\"", ""].map(str::to_owned);
        assert_eq!(Lines::new(b',', 4).header(&names), "cat,\"a,b\",\"say \"\"hi\"\"\",\"\"\n");
        assert_eq!(Lines::new(b'\t', 2).header(&names[..2]), "cat\ta,b\n");
    }

    #[test]
    fn lines_go_on_across_blocks() {
        let (mut lines, mut text) = (Lines::new(b';', 3), String::new());
        for block in [&[1.0, 2.0][..], &[3.0, 4.0], &[5.0, 6.0]] {
            lines.encode(block, Dtype::F64, &mut text);
        }
        assert_eq!(text, "1;2;3\n4;5;6\n");
    }
}
