//! Encodes .safetensors: one tensor, whose name says what it is.
//!
//! The header has the same length whatever the number of rows, so that it can be written before that is known, and
//! again afterwards: the format allows blanks behind it.

use super::{Encoder, Rows, Target};
use crate::error::CliError;
use crate::input::Dtype;

/// Room for the digits of the first axis, and of where the numbers end.
const GROWTH: usize = 2 * 20;

/// The numbers start on a multiple of this, for those who map files into memory.
const ALIGNMENT: usize = 64;

pub(super) struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    is_open_ended: bool,
}

impl Tensor {
    pub(super) fn begin(rows: &Rows, target: &mut Target) -> Result<Self, CliError> {
        let tensor = Self {
            name: rows.name.to_owned(),
            dtype: rows.dtype,
            shape: rows.shape.to_vec(),
            is_open_ended: rows.is_open_ended,
        };
        target.write(&tensor.header())?;
        Ok(tensor)
    }

    fn header(&self) -> Vec<u8> {
        let Self { name, dtype, shape, .. } = self;
        let dtype_name = dtype.to_string().to_uppercase();
        let end = shape.iter().fold(dtype.size() as u128, |size, &axis| size * axis as u128);
        let mut text = format!(
            "{{\"{name}\":{{\"dtype\":\"{dtype_name}\",\"shape\":{shape:?},\"data_offsets\":[0,{end}]}}}}"
        );
        let digits = shape[0].to_string().len() + end.to_string().len();
        text.extend(std::iter::repeat_n(' ', GROWTH.saturating_sub(digits)));
        text.extend(std::iter::repeat_n(' ', ALIGNMENT - (8 + text.len()) % ALIGNMENT));
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    }
}

impl Encoder for Tensor {
    fn encode(&mut self, numbers: &[u8], target: &mut Target) -> Result<(), CliError> {
        target.write(numbers)
    }

    fn finish(&mut self, rows: u64, target: &mut Target) -> Result<(), CliError> {
        if !self.is_open_ended {
            return Ok(());
        }
        self.shape[0] = usize::try_from(rows).unwrap_or(usize::MAX);
        target.patch(&self.header())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_rows_leaves_the_length_of_the_header_alone() {
        let header = |rows| {
            let (name, shape) = ("probabilities".to_owned(), vec![rows, 10]);
            Tensor { name, dtype: Dtype::F32, shape, is_open_ended: true }.header()
        };
        let text = String::from_utf8(header(3)[8..].to_vec()).expect("UTF-8");
        assert_eq!(
            text.trim_end(),
            r#"{"probabilities":{"dtype":"F32","shape":[3, 10],"data_offsets":[0,120]}}"#
        );
        for rows in [0, 1, 999_999, 1 << 50] {
            let bytes = header(rows);
            assert_eq!((bytes.len(), bytes.len() % ALIGNMENT), (header(3).len(), 0));
            assert_eq!(
                u64::from_le_bytes(bytes[..8].try_into().expect("8")),
                bytes.len() as u64 - 8
            );
        }
    }
}
