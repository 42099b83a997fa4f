//! The number types that logits are read as and results are written as.

use std::fmt;

use half::f16;
use zerocopy::{FromBytes, IntoBytes};

use super::block::Block;

/// A floating-point type of a file, or of the memory it is read into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dtype {
    F16,
    F32,
    F64,
}

impl Dtype {
    /// Bytes per number.
    pub(crate) fn size(self) -> usize {
        match self {
            Dtype::F16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F16 => "f16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        })
    }
}

/// A number in memory. Every one is exactly an f64, through which it becomes another type.
pub(crate) trait Number:
    Copy + Default + Send + Sync + FromBytes + IntoBytes + 'static
{
    const DTYPE: Dtype;
    /// The same value, or `None` where this type does not have it. A NaN stays a NaN.
    fn exactly(value: f64) -> Option<Self>;
    /// The nearest value, rounded once, ties to even.
    fn nearest(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn is_nan(self) -> bool;
    /// Reads `out.len()` numbers that are of this type already.
    fn decode(bytes: &[u8], is_big_endian: bool, out: &mut [Self]);
    /// Appends `numbers` as they are, little-endian.
    fn encode(numbers: &[Self], bytes: &mut Vec<u8>);
    /// The same buffer, for who cannot be generic.
    fn block(numbers: &mut Vec<Self>) -> Block<'_>;
}

macro_rules! number {
    ($number:ty, $dtype:ident, $nearest:expr, $to_f64:expr) => {
        impl Number for $number {
            const DTYPE: Dtype = Dtype::$dtype;
            #[inline]
            fn exactly(value: f64) -> Option<Self> {
                let near = Self::nearest(value);
                (near.to_f64() == value || value.is_nan()).then_some(near)
            }
            #[inline]
            fn nearest(value: f64) -> Self {
                $nearest(value)
            }
            #[inline]
            fn to_f64(self) -> f64 {
                $to_f64(self)
            }
            #[inline]
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            fn decode(bytes: &[u8], is_big_endian: bool, out: &mut [Self]) {
                let (numbers, _) = bytes.as_chunks();
                for (&number, out) in numbers.iter().zip(out) {
                    *out = match is_big_endian {
                        true => Self::from_be_bytes(number),
                        false => Self::from_le_bytes(number),
                    };
                }
            }
            fn encode(numbers: &[Self], bytes: &mut Vec<u8>) {
                bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            }
            fn block(numbers: &mut Vec<Self>) -> Block<'_> {
                Block::$dtype(numbers)
            }
        }
    };
}

number!(f64, F64, |value| value, |number| number);
number!(f32, F32, |value| value as f32, f64::from);
number!(f16, F16, nearest_f16, |number: f16| f64::from(number.to_f32()));

/// By way of f32 rounded to odd, whose last bit remembers what was cut off, so that the second
/// rounding is the only one. (`f16::from_f64` rounds twice: 1 + 2⁻¹¹ + 2⁻⁴⁰ comes out as 1.)
#[inline]
fn nearest_f16(value: f64) -> f16 {
    let near = value as f32;
    let cut = f64::from(near) - value;
    let is_even = near.to_bits() & 1 == 0;
    // An infinite or NaN `near` is past what f16 holds, too.
    f16::from_f32(match near.is_finite() && is_even {
        true if cut > 0.0 => near.next_down(),
        true if cut < 0.0 => near.next_up(),
        _ => near,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_is_rounded_once() {
        let half_ulp = 2f64.powi(-11);
        let cases = [
            (1.0 + half_ulp, 1.0),                                   // a tie goes to even
            (1.0 + half_ulp + 2f64.powi(-40), 1.0 + 2.0 * half_ulp), // just above a tie goes up
            (1.0 + 3.0 * half_ulp - 2f64.powi(-40), 1.0 + 2.0 * half_ulp),
            (65519.99999, 65504.0),
            (65520.0, f64::INFINITY),
            (2f64.powi(-25), 0.0),
            (2f64.powi(-25) + 2f64.powi(-60), 2f64.powi(-24)),
            (1e300, f64::INFINITY),
            (5e-324, 0.0),
        ];
        for (value, expected) in cases {
            assert_eq!(f16::nearest(value).to_f64(), expected, "{value:e}");
            assert_eq!(f16::nearest(-value).to_f64(), -expected, "-{value:e}");
        }
        assert!(f16::nearest(f64::NAN).is_nan());
    }

    #[test]
    fn every_f16_survives() {
        for bits in 0..=u16::MAX {
            let number = f16::from_bits(bits);
            let back = f16::exactly(number.to_f64()).expect("exact");
            assert!(back.to_bits() == bits || back.is_nan() && number.is_nan());
        }
    }

    #[test]
    fn what_does_not_fit_is_not_exact() {
        assert_eq!(f32::exactly(0.1), None);
        assert_eq!(f32::exactly(1e300), None);
        assert_eq!(f32::exactly(0.1f32.into()), Some(0.1));
        assert_eq!(f16::exactly(65536.0), None);
        assert!(f32::exactly(f64::NAN).is_some_and(f32::is_nan));
    }
}
