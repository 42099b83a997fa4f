//! f16 and bf16 to f32 and back, a slice at a time: exactly, and with one rounding.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::{Kernel, Simd};

/// Numbers of 16 bits to f32; both slices have the same length.
pub(crate) struct Widen<'a, H> {
    pub(crate) from: &'a [H],
    pub(crate) to: &'a mut [f32],
}

/// f32 to numbers of 16 bits, to the nearest, ties to even; both slices have the same length.
pub(crate) struct Narrow<'a, H> {
    pub(crate) from: &'a [f32],
    pub(crate) to: &'a mut [H],
}

impl Kernel for Widen<'_, f16> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Widen { from, to } = self;
        assert_eq!(from.len(), to.len());
        let (chunks, tail) = from.as_chunks();
        let (tos, tail_to) = to.as_chunks_mut();
        for (chunk, to) in chunks.iter().zip(tos) {
            *to = simd.widen(chunk);
        }
        tail.convert_to_f32_slice(tail_to);
    }
}

impl Kernel for Narrow<'_, f16> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Narrow { from, to } = self;
        assert_eq!(from.len(), to.len());
        let (chunks, tail) = from.as_chunks();
        let (tos, tail_to) = to.as_chunks_mut();
        for (chunk, to) in chunks.iter().zip(tos) {
            *to = simd.narrow(chunk);
        }
        tail_to.convert_from_f32_slice(tail);
    }
}

impl Kernel for Widen<'_, bf16> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Widen { from, to } = self;
        assert_eq!(from.len(), to.len());
        for (to, from) in to.iter_mut().zip(from) {
            let bits = u32::from(from.to_bits()) << 16;
            // A NaN comes out quiet.
            let quiet = if is_nan(bits) { QUIET } else { 0 };
            *to = f32::from_bits(bits | quiet);
        }
    }
}

impl Kernel for Narrow<'_, bf16> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Narrow { from, to } = self;
        assert_eq!(from.len(), to.len());
        for (to, from) in to.iter_mut().zip(from) {
            let bits = from.to_bits();
            let nearest = if is_nan(bits) { bits | QUIET } else { rounded(bits) };
            *to = bf16::from_bits((nearest >> 16) as u16);
        }
    }
}

/// The bits of an f32 that is a number, of which the upper half are those of the nearest bf16, ties to even: half a unit up, less
/// one where the last bit that stays is even. A carry goes on into the exponent.
#[inline(always)]
pub(crate) fn rounded(bits: u32) -> u32 {
    bits.wrapping_add(0x7fff + (bits >> 16 & 1))
}

/// The bits of an f32 that is infinite, and the one that makes a NaN quiet.
const INFINITY: i32 = 0x7f80_0000;
const QUIET: u32 = 0x0040_0000;

/// With a sign, as AVX2 compares integers.
#[inline(always)]
fn is_nan(bits: u32) -> bool {
    (bits & 0x7fff_ffff) as i32 > INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, dispatch};

    /// What the crate `half` gives, on every instruction set: of all numbers of 16 bits, and of f32 on, beside and
    /// between them.
    #[test]
    fn conversions_are_those_of_half() {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        let mut wide: Vec<f32> = Vec::new();
        for top in 0..=u16::MAX {
            for low in [0, 1, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff] {
                wide.push(f32::from_bits(u32::from(top) << 16 | low));
            }
        }
        for isa in Isa::available() {
            isa.select();
            macro_rules! check {
                ($half:ty) => {
                    let from: Vec<$half> =
                        all.iter().map(|&bits| <$half>::from_bits(bits)).collect();
                    let mut to = vec![0.0; from.len()];
                    dispatch(Widen { from: &from, to: &mut to });
                    for (from, to) in from.iter().zip(&to) {
                        assert_eq!(to.to_bits(), from.to_f32().to_bits(), "{isa:?} {from:?}");
                    }
                    let mut to = vec![<$half>::ZERO; wide.len()];
                    dispatch(Narrow { from: &wide, to: &mut to });
                    for (&from, to) in wide.iter().zip(&to) {
                        let want = <$half>::from_f32(from);
                        assert_eq!(to.to_bits(), want.to_bits(), "{isa:?} {from:e}");
                    }
                };
            }
            check!(f16);
            check!(bf16);
        }
        Isa::available()[0].select();
    }
}
