//! The number types of a row, and what the kernels ask of the two they compute in.

use std::borrow::Borrow;

use crate::compiled::{AxisKernels, Kernels};
use crate::double::two_sum;
use crate::simd::{Simd, Stream, padded, put};

/// A type of logits: f32, f64, and with the feature `half` f16 and bf16.
///
/// f16 and bf16 are computed in f32 and rounded once at the end. Sealed: no other type can have it.
pub trait Element: Copy + Send + Sync + std::fmt::Debug + 'static + private::Element {}

impl Element for f32 {}
impl Element for f64 {}
#[cfg(feature = "half")]
impl Element for half::f16 {}
#[cfg(feature = "half")]
impl Element for half::bf16 {}

/// Numbers that are converted together: of 16 bits, a line of the cache.
pub(crate) const LINE: usize = 32;

pub(crate) mod private {
    use super::{LINE, Real};
    use crate::compiled::Jobs;
    use crate::simd::Simd;

    /// How a type is read and written by the kernels.
    pub trait Element: Copy + Send + Sync + 'static + Jobs<Self> {
        /// The type it is computed in.
        type Real: Real;

        /// One rounding, whatever the type.
        fn of_f64(value: f64) -> Self;
        fn to_f64(self) -> f64;

        /// Converts a slice exactly; both have the same length.
        fn read(from: &[Self], to: &mut [Self::Real]);
        /// Rounds a slice; both have the same length.
        fn write(from: &[Self::Real], to: &mut [Self]);

        /// The numbers themselves, where they need no conversion.
        fn as_real(values: &[Self]) -> Option<&[Self::Real]>;
        fn as_real_mut(values: &mut [Self]) -> Option<&mut [Self::Real]>;

        /// As [`read`](Element::read) and [`write`](Element::write), as a step of a sweep; of no NaN.
        #[inline(always)]
        #[expect(private_bounds, reason = "sealed: nobody else calls it")]
        fn widen<S: Simd>(_: S, from: &[Self; LINE]) -> [Self::Real; LINE] {
            from.map(|x| Self::Real::of_f64(x.to_f64()))
        }
        #[inline(always)]
        #[expect(private_bounds, reason = "sealed: nobody else calls it")]
        fn narrow<S: Simd>(_: S, from: &[Self::Real; LINE]) -> [Self; LINE] {
            from.map(|x| Self::of_f64(x.to_f64()))
        }
    }
}

/// What a kernel computes in: f32 or f64.
///
/// Every method is one or two instructions on each lane; names of constants as in `exp.rs`.
pub trait Real:
    private::Element<Real = Self>
    + crate::simd::gemm::Gemm
    + AxisKernels<Self>
    + Kernels<Self>
    + crate::scratch::Keep
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    /// A mask as wide as a number.
    type Bits: Copy + PartialEq + Send + Sync + std::ops::BitOr<Output = Self::Bits>;
    const NO_BITS: Self::Bits;
    const ZERO: Self;
    const ONE: Self;
    const NEG_INFINITY: Self;
    const NAN: Self;
    /// The lowest finite number.
    const LOWEST: Self;
    /// 1.5 · 2^(mantissa bits): adding it rounds to an integer, which is left in the low bits.
    const ROUND: f64;
    /// Weights are kept as 2^BIAS times themselves, so that none is subnormal before the last step.
    const BIAS: i32;
    /// The exponent of the largest power of two.
    const HIGHEST: i32;
    /// A weight below 2^-DEPTH of the largest is as good as 0.
    const DEPTH: f64;
    /// log2(e)/τ up to 2^±REACH is used as it is; beyond, the logits are scaled first. The second part of
    /// its pair is 2^-25 of it in f32, and must keep all its bits.
    const REACH: i32;
    /// Factors of weights that keep all their bits, also those of the second part of their pair.
    const HOLDS: std::ops::Range<f64>;
    /// Whether logarithms need more than f64 inside.
    const IN_DOUBLE: bool;
    /// Coefficients of 2^r = 1 + r (c_0 + r (c_1 + …)).
    const EXP2: &'static [Self];

    /// The numbers themselves, where they are f32.
    fn as_single(values: &[Self]) -> Option<&[f32]>;
    /// All bits, or none.
    fn bits_if(condition: bool) -> Self::Bits;
    /// All bits for a NaN, none for a number.
    fn nan_bits(self) -> Self::Bits;
    /// The next number up.
    fn next_up(self) -> Self;
    /// The place of a number among all of the type, 0 for 0, and the number at a place.
    fn ordinal(self) -> i64;
    fn of_ordinal(place: i64) -> Self;
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `self · 2^k`, where the low bits of `rounded` hold k.
    fn times_power(self, rounded: Self) -> Self;
    /// What an exponent is of the bits of a number.
    fn exponent_bits(exponent: i32) -> Self::Bits;
    /// As `softmax/product.rs` has it: the larger one of a product, and of what is one exponent higher.
    fn lowered(product: Self, rounded: Self, lift: Self::Bits) -> Self;
    /// Adds to running totals and their corrections, lane by lane; the f64 total of f32 weights needs none.
    fn accumulate<const N: usize>(
        sums: &[impl Borrow<[Self; N]>],
        total: &mut [f64; N],
        correction: &mut [f64; N],
    );
    /// The same of weights, which are not negative.
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn add_up<S: Simd>(
        simd: S,
        weights: &[[Self; 16]],
        total: &mut [f64; 16],
        correction: &mut [f64; 16],
    );
    /// The sum of two totals and their corrections.
    fn join(a: (f64, f64), b: (f64, f64)) -> (f64, f64);
    /// Eight rows to eight columns.
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn transpose<S: Simd>(simd: S, rows: [&[Self; 8]; 8]) -> [[Self; 8]; 8];
    /// Sixteen rows of four to four columns.
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn columns<S: Simd>(simd: S, rows: [&[Self; 4]; 16]) -> [[Self; 16]; 4];
    /// As [`Simd::padded`] and [`Simd::put`].
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn padded<S: Simd>(simd: S, from: &[Self]) -> [Self; 16];
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn put<S: Simd>(simd: S, numbers: &[Self; 16], to: &mut [Self]);
    /// Sends numbers off.
    #[expect(private_bounds, private_interfaces, reason = "sealed: nobody else calls it")]
    fn stream<'a, S: Simd>(by: &Stream<'a, S>, numbers: &[Self; 16], to: &'a mut [Self; 16]);
    /// Which of sixteen numbers are at least so large: a bit for each, that of the first one lowest.
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn at_least<S: Simd>(simd: S, numbers: &[Self; 16], from: Self) -> u32;
}

/// 2^r = 1 + r (c_0 + r (c_1 + …)) on |r| ≤ 0.504, relative error 2^-27.98.
/// From `python fixtures/exp_coefficients.py`, like those of f64 below.
const EXP2_F32: [f32; 6] = [
    f32::from_bits(0x3f317218), // 0.693147182464599609
    f32::from_bits(0x3e75fdec), // 0.240226447582244873
    f32::from_bits(0x3d6357b7), // 0.0555035732686519623
    f32::from_bits(0x3c1d9849), // 0.00961882714182138443
    f32::from_bits(0x3aaf88a5), // 0.00133921636734157801
    f32::from_bits(0x391fdd2a), // 0.000152458116644993424
];

/// The same for f64, relative error 2^-57.25.
const EXP2_F64: [f64; 11] = [
    f64::from_bits(0x3fe62e42fefa39ef), // 0.693147180559945286
    f64::from_bits(0x3fcebfbdff82c5a6), // 0.24022650695910136
    f64::from_bits(0x3fac6b08d704a113), // 0.055504108664822159
    f64::from_bits(0x3f83b2ab6fb9fc38), // 0.00961812910759195228
    f64::from_bits(0x3f55d87fe78a4759), // 0.00133335581464107665
    f64::from_bits(0x3f24309130fe74ea), // 0.000154035304601153015
    f64::from_bits(0x3eeffcbfc492d37a), // 0.0000152527337767634031
    f64::from_bits(0x3eb62bfc4c79c31c), // 1.32154336709658574e-6
    f64::from_bits(0x3e7b5255e974db34), // 1.01780978635550528e-7
    f64::from_bits(0x3e3e6207b2df3fe4), // 7.07407714173420082e-9
    f64::from_bits(0x3dfe91d4ddc11c2d), // 4.44847018383293257e-10
];

macro_rules! real {
    ($real:ty, bits: $bits:ty, signed: $signed:ty, round: $round:expr, shift: $shift:expr, bias: $bias:expr, highest: $highest:expr,
     depth: $depth:expr, reach: $reach:expr, holds: $holds:expr, exp2: $exp2:expr, compensated: $compensated:expr,
     single: $single:expr, transpose: $transpose:expr, columns: $columns:expr, at_least: $at_least:expr,
     padded: $padded:expr, put: $put:expr, stream: $stream:expr,
     add_up: $add_up:expr) => {
        impl Real for $real {
            type Bits = $bits;
            const NO_BITS: $bits = 0;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = <$real>::NEG_INFINITY;
            const NAN: Self = <$real>::NAN;
            const LOWEST: Self = <$real>::MIN;
            const ROUND: f64 = $round;
            const BIAS: i32 = $bias;
            const HIGHEST: i32 = $highest;
            const DEPTH: f64 = $depth;
            const REACH: i32 = $reach;
            const HOLDS: std::ops::Range<f64> = $holds;
            const IN_DOUBLE: bool = $compensated;
            const EXP2: &'static [Self] = $exp2;

            #[inline(always)]
            fn as_single(values: &[Self]) -> Option<&[f32]> {
                ($single)(values)
            }
            #[inline(always)]
            fn bits_if(condition: bool) -> $bits {
                if condition { !0 } else { 0 }
            }
            #[inline(always)]
            fn nan_bits(self) -> $bits {
                Self::bits_if(self.is_nan())
            }
            #[inline(always)]
            fn next_up(self) -> Self {
                <$real>::next_up(self)
            }
            fn ordinal(self) -> i64 {
                let place = self.abs().to_bits() as i64;
                if self < 0.0 { -place } else { place }
            }
            fn of_ordinal(place: i64) -> Self {
                let size = <$real>::from_bits(place.unsigned_abs() as $bits);
                if place < 0 { -size } else { size }
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                <$real>::mul_add(self, factor, term)
            }
            #[inline(always)]
            fn times_power(self, rounded: Self) -> Self {
                <$real>::from_bits(self.to_bits().wrapping_add(rounded.to_bits() << $shift))
            }
            #[inline(always)]
            fn exponent_bits(exponent: i32) -> $bits {
                (exponent as $bits) << $shift
            }
            #[inline(always)]
            fn lowered(product: Self, rounded: Self, lift: $bits) -> Self {
                let product = product.to_bits().wrapping_sub(lift) as $signed;
                let rounded = rounded.to_bits().wrapping_sub(lift).wrapping_sub(1 << $shift);
                let rounded = rounded as $signed;
                Self::from_bits(if product > rounded { product } else { rounded } as $bits)
            }
            #[inline(always)]
            fn accumulate<const N: usize>(
                sums: &[impl Borrow<[Self; N]>],
                total: &mut [f64; N],
                correction: &mut [f64; N],
            ) {
                let (mut high, mut low) = (*total, *correction);
                // Two at a time: the totals are added to half as often, and wait for themselves.
                let (pairs, odd) = sums.as_chunks::<2>();
                for [a, b] in pairs {
                    let (a, b) = (a.borrow(), b.borrow());
                    let (mut next, mut next_low) = (high, low);
                    for i in 0..N {
                        let pair = a[i] as f64 + b[i] as f64;
                        next[i] = high[i] + pair;
                        if $compensated {
                            let (_, lost) = two_sum(a[i] as f64, b[i] as f64);
                            next_low[i] = low[i] + (lost + two_sum(high[i], pair).1);
                        }
                    }
                    (high, low) = (next, next_low);
                }
                for sum in odd {
                    let sum = sum.borrow();
                    for i in 0..N {
                        (high[i], low[i]) = Self::join((high[i], low[i]), (sum[i] as f64, 0.0));
                    }
                }
                (*total, *correction) = (high, low);
            }
            #[inline(always)]
            #[expect(private_bounds, reason = "sealed: nobody else calls it")]
            fn add_up<S: Simd>(
                simd: S,
                weights: &[[Self; 16]],
                total: &mut [f64; 16],
                correction: &mut [f64; 16],
            ) {
                $add_up(simd, weights, total, correction)
            }
            #[inline(always)]
            fn join(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
                if $compensated {
                    let (sum, lost) = two_sum(a.0, b.0);
                    (sum, a.1 + b.1 + lost)
                } else {
                    (a.0 + b.0, 0.0)
                }
            }
            #[inline(always)]
            #[expect(private_bounds, reason = "sealed: nobody else calls it")]
            fn transpose<S: Simd>(simd: S, rows: [&[Self; 8]; 8]) -> [[Self; 8]; 8] {
                $transpose(simd, rows)
            }
            #[inline(always)]
            #[expect(private_bounds, reason = "sealed: nobody else calls it")]
            fn columns<S: Simd>(simd: S, rows: [&[Self; 4]; 16]) -> [[Self; 16]; 4] {
                $columns(simd, rows)
            }
            #[inline(always)]
            #[expect(private_bounds, reason = "sealed: nobody else calls it")]
            fn padded<S: Simd>(simd: S, from: &[Self]) -> [Self; 16] {
                $padded(simd, from)
            }
            #[inline(always)]
            #[expect(private_bounds, reason = "sealed: nobody else calls it")]
            fn put<S: Simd>(simd: S, numbers: &[Self; 16], to: &mut [Self]) {
                $put(simd, numbers, to)
            }
            #[inline(always)]
            #[expect(private_bounds, private_interfaces, reason = "sealed: nobody else calls it")]
            fn stream<'a, S: Simd>(
                by: &Stream<'a, S>,
                numbers: &[Self; 16],
                to: &'a mut [Self; 16],
            ) {
                $stream(by, numbers, to)
            }
            #[inline(always)]
            #[expect(private_bounds, reason = "sealed: nobody else calls it")]
            fn at_least<S: Simd>(simd: S, numbers: &[Self; 16], from: Self) -> u32 {
                $at_least(simd, numbers, from)
            }
        }

        impl private::Element for $real {
            type Real = $real;

            #[inline(always)]
            fn of_f64(value: f64) -> Self {
                value as $real
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn read(from: &[Self], to: &mut [$real]) {
                to.copy_from_slice(from)
            }
            #[inline(always)]
            fn write(from: &[$real], to: &mut [Self]) {
                to.copy_from_slice(from)
            }
            #[inline(always)]
            fn as_real(values: &[Self]) -> Option<&[$real]> {
                Some(values)
            }
            #[inline(always)]
            fn as_real_mut(values: &mut [Self]) -> Option<&mut [$real]> {
                Some(values)
            }
        }
    };
}

real!(f32, bits: u32, signed: i32, round: 12582912.0, shift: 23, bias: 64, highest: 127, depth: 187.0, reach: 75,
    holds: 1e-34..1e38, exp2: &EXP2_F32, compensated: false, single: Some, transpose: S::transpose, columns: S::columns, at_least: S::at_least,
    padded: S::padded, put: S::put, stream: Stream::single, add_up: add_up);
real!(f64, bits: u64, signed: i64, round: 6755399441055744.0, shift: 52, bias: 512, highest: 1023, depth: 1531.0, reach: 900,
holds: 1e-300..1e300, exp2: &EXP2_F64, compensated: true, single: |_| None, transpose: S::transpose_double, columns: S::columns_double, at_least: |_, numbers: &[f64; 16], from: f64| {
    (0..16).fold(0, |bits, i| bits | u32::from(numbers[i] >= from) << i)
}, padded: |_, from| padded(from, f64::NEG_INFINITY), put: |_, numbers, to| put(numbers, to), stream: Stream::double,
add_up: |_, weights: &[[f64; 16]], total, correction| f64::accumulate(weights, total, correction));

/// Pairs as the machine does them best, and what is left.
#[inline(always)]
fn add_up<S: Simd>(
    simd: S,
    weights: &[[f32; 16]],
    total: &mut [f64; 16],
    correction: &mut [f64; 16],
) {
    let (pairs, odd) = weights.as_chunks();
    simd.add_pairs(pairs, total);
    f32::accumulate(odd, total, correction);
}

#[cfg(feature = "half")]
use crate::simd::dispatch;
#[cfg(feature = "half")]
use crate::simd::half::{Narrow, Widen, rounded};

#[cfg(feature = "half")]
macro_rules! half {
    ($half:ty { $($step:item)* }) => {
        impl private::Element for $half {
            type Real = f32;
            $($step)*

            #[inline(always)]
            fn of_f64(value: f64) -> Self {
                <$half>::from_f64(value)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                <$half>::to_f64(self)
            }
            fn read(from: &[Self], to: &mut [f32]) {
                dispatch(Widen { from, to })
            }
            fn write(from: &[f32], to: &mut [Self]) {
                dispatch(Narrow { from, to })
            }
            #[inline(always)]
            fn as_real(_: &[Self]) -> Option<&[f32]> {
                None
            }
            #[inline(always)]
            fn as_real_mut(_: &mut [Self]) -> Option<&mut [f32]> {
                None
            }
        }
    };
}

#[cfg(feature = "half")]
half!(half::f16 {
    #[inline(always)]
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn widen<S: Simd>(simd: S, from: &[Self; LINE]) -> [f32; LINE] {
        let mut to = [0.0; LINE];
        for (from, to) in from.as_chunks().0.iter().zip(to.as_chunks_mut().0) {
            *to = simd.widen(from);
        }
        to
    }

    #[inline(always)]
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn narrow<S: Simd>(simd: S, from: &[f32; LINE]) -> [Self; LINE] {
        let mut to = [half::f16::ZERO; LINE];
        for (from, to) in from.as_chunks().0.iter().zip(to.as_chunks_mut().0) {
            *to = simd.narrow(from);
        }
        to
    }
});
#[cfg(feature = "half")]
half!(half::bf16 {
    #[inline(always)]
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn widen<S: Simd>(_: S, from: &[Self; LINE]) -> [f32; LINE] {
        let mut to = [0.0; LINE];
        for (from, to) in from.iter().zip(&mut to) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
        to
    }

    #[inline(always)]
    #[expect(private_bounds, reason = "sealed: nobody else calls it")]
    fn narrow<S: Simd>(_: S, from: &[f32; LINE]) -> [Self; LINE] {
        let mut to = [half::bf16::ZERO; LINE];
        for (from, to) in from.iter().zip(&mut to) {
            *to = half::bf16::from_bits((rounded(from.to_bits()) >> 16) as u16);
        }
        to
    }
});
