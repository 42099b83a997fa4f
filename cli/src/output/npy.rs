//! Encodes .npy, byte for byte as `numpy.save` does.

use half::f16;

use super::{Encoder, Rows, Target};
use crate::error::CliError;
use crate::input::{Dtype, Number};

/// Digits of the first axis that NumPy leaves room for, so that an array can grow in place.
const GROWTH_AXIS_DIGITS: usize = 21;

/// NumPy starts the numbers on a multiple of this, for those who map files into memory.
const ALIGNMENT: usize = 64;

/// An array under way.
pub(super) struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    is_open_ended: bool,
}

impl Array {
    pub(super) fn begin(rows: &Rows, target: &mut Target) -> Result<Self, CliError> {
        target.write(&header(rows.dtype, rows.shape))?;
        let (shape, is_open_ended) = (rows.shape.to_vec(), rows.is_open_ended);
        Ok(Self { dtype: rows.dtype, shape, is_open_ended })
    }
}

impl Encoder for Array {
    fn encode(&mut self, numbers: &[u8], target: &mut Target) -> Result<(), CliError> {
        target.write(numbers)
    }

    fn finish(&mut self, rows: u64, target: &mut Target) -> Result<(), CliError> {
        if !self.is_open_ended {
            return Ok(());
        }
        self.shape[0] = usize::try_from(rows).unwrap_or(usize::MAX);
        target.patch(&header(self.dtype, &self.shape))
    }
}

/// Magic bytes, version 1.0 and header. Its length does not depend on the first axis of `shape`, so
/// that it can be written before that is known, and again afterwards.
pub(super) fn header(dtype: Dtype, shape: &[usize]) -> Vec<u8> {
    header_of(&format!("<f{}", dtype.size()), shape)
}

/// The same for little-endian int64.
pub(crate) fn integers_header(shape: &[usize]) -> Vec<u8> {
    header_of("<i8", shape)
}

fn header_of(descr: &str, shape: &[usize]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    // A tuple of one is (5,), of two (5, 4).
    let axes = if shape.len() == 1 { axes.trim_end() } else { axes.trim_end_matches(", ") };
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
    let first_digits = shape.first().map_or(GROWTH_AXIS_DIGITS, |axis| axis.to_string().len());
    dict.extend(std::iter::repeat_n(' ', GROWTH_AXIS_DIGITS.saturating_sub(first_digits)));
    // NumPy pads by a whole multiple where nothing is missing.
    let unpadded = 10 + dict.len() + 1;
    dict.extend(std::iter::repeat_n(' ', ALIGNMENT - unpadded % ALIGNMENT));
    dict.push('\n');

    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // At most 32 axes of 20 digits (NumPy 2: 64) are far below 65536 bytes.
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes
}

/// Appends `numbers` to `bytes` as little-endian `dtype`, each rounded once where it must be.
pub(super) fn encode<T: Number>(numbers: &[T], dtype: Dtype, bytes: &mut Vec<u8>) {
    if dtype == T::DTYPE {
        return T::encode(numbers, bytes);
    }
    let values = numbers.iter().map(|number| number.to_f64());
    match dtype {
        Dtype::F16 => bytes.extend(values.flat_map(|x| f16::nearest(x).to_le_bytes())),
        Dtype::F32 => bytes.extend(values.flat_map(|x| f32::nearest(x).to_le_bytes())),
        Dtype::F64 => bytes.extend(values.flat_map(f64::to_le_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_numpy() {
        // From numpy.save of NumPy 2.4: np.zeros(shape, dtype).
        let numpy = |dict: &str, spaces: usize| {
            let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
            bytes.extend(dict.as_bytes());
            bytes.extend(std::iter::repeat_n(b' ', spaces));
            bytes.push(b'\n');
            bytes
        };
        assert_eq!(
            header(Dtype::F32, &[3, 4]),
            numpy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", 58)
        );
        assert_eq!(
            header(Dtype::F16, &[5]),
            numpy("{'descr': '<f2', 'fortran_order': False, 'shape': (5,), }", 60)
        );
        assert_eq!(
            integers_header(&[3, 4]),
            numpy("{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }", 58)
        );
    }

    #[test]
    fn the_first_axis_leaves_the_length_alone() {
        let len = |rows| header(Dtype::F64, &[rows, 1000]).len();
        assert!([0, 9, 10, 1 << 40, usize::MAX].iter().all(|&rows| len(rows) == len(1)));
    }
}
