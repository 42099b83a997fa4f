//! Sums of f32 in f64 without conversions, of which machines do one at a time.

use std::arch::x86_64::{
    __m512d, __m512i, _mm512_add_pd, _mm512_and_si512, _mm512_castsi512_pd, _mm512_loadu_pd,
    _mm512_loadu_si512, _mm512_mul_epu32, _mm512_mul_pd, _mm512_permutex2var_pd, _mm512_set1_epi64,
    _mm512_set1_pd, _mm512_setr_epi64, _mm512_srli_epi64, _mm512_storeu_pd,
};
use std::hint::black_box;

use crate::double::power_of_two;

/// The bits of an f32 that is not negative, 29 places higher, are those of an f64: the same number times 2^(127 − 1023).
const SCALE: i32 = 127 - 1023;

/// Fewer pairs are added up as they are: to take totals apart and put them together again costs as much as that saves.
pub(super) const MANY: usize = 8;

/// As [`Simd::add_pairs`](crate::simd::Simd::add_pairs) says. What is added up are numbers times 2^SCALE, the even ones and the
/// odd ones by themselves, which are the halves of words of 64 bits. No sum is rounded otherwise for it: below its normal numbers,
/// where f64 has fewer digits, it has all those of a subnormal f32 and of sums of them.
#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
pub(super) fn add_pairs(pairs: &[[[f32; 16]; 2]], total: &mut [f64; 16]) {
    let (down, up) = (_mm512_set1_pd(power_of_two(SCALE)), _mm512_set1_pd(power_of_two(-SCALE)));
    // SAFETY: the pointers are those of sixteen numbers, of which each takes eight.
    let (low, high) =
        unsafe { (_mm512_loadu_pd(total.as_ptr()), _mm512_loadu_pd(total.as_ptr().add(8))) };
    let evens = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    let odds = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    let mut even = _mm512_mul_pd(_mm512_permutex2var_pd(low, evens, high), down);
    let mut odd = _mm512_mul_pd(_mm512_permutex2var_pd(low, odds, high), down);
    // A product, which is one instruction; a compiler that knew the factor would make two of it.
    let places = _mm512_set1_epi64(black_box(1 << 29));
    let upper = _mm512_set1_epi64(0xffff_ffff_0000_0000_u64.cast_signed());
    for [a, b] in pairs {
        // SAFETY: each pointer is that of sixteen numbers of 32 bits, at any alignment.
        let (a, b): (__m512i, __m512i) = unsafe {
            (_mm512_loadu_si512(a.as_ptr().cast()), _mm512_loadu_si512(b.as_ptr().cast()))
        };
        let evens = |x| _mm512_castsi512_pd(_mm512_mul_epu32(x, places));
        let odds = |x| _mm512_castsi512_pd(_mm512_srli_epi64::<3>(_mm512_and_si512(x, upper)));
        even = _mm512_add_pd(even, _mm512_add_pd(evens(a), evens(b)));
        odd = _mm512_add_pd(odd, _mm512_add_pd(odds(a), odds(b)));
    }
    let halves: [__m512d; 2] = [
        _mm512_permutex2var_pd(even, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), odd),
        _mm512_permutex2var_pd(even, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), odd),
    ];
    for (half, to) in halves.into_iter().zip(total.as_chunks_mut::<8>().0) {
        // SAFETY: the pointer is that of eight numbers.
        unsafe { _mm512_storeu_pd(to.as_mut_ptr(), _mm512_mul_pd(half, up)) }
    }
}
