//! AVX2 and AVX-512: the calls of kernels compiled for them, and the instructions that the compiler does not find by itself.

mod sums;
mod turns;

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _CMP_GE_OQ, _MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch, _mm_sfence, _mm256_add_epi32,
    _mm256_blendv_ps, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpgt_epi32, _mm256_loadu_pd,
    _mm256_loadu_ps, _mm256_maskload_ps, _mm256_movemask_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setr_epi32, _mm256_storeu_ps, _mm256_stream_pd, _mm256_stream_ps, _mm512_cmp_ps_mask,
    _mm512_loadu_ps, _mm512_mask_loadu_ps, _mm512_mask_storeu_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

#[cfg(feature = "half")]
use ::half::f16;
#[cfg(feature = "half")]
use std::arch::x86_64::{
    _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128, _mm_storeu_si128, _mm256_cvtph_ps, _mm256_cvtps_ph,
};

use super::{Isa, Kernel, Level, Simd};
use turns::{
    columns, columns_double, columns_of_eights, columns_of_sixteen, transpose, transpose_double,
};

/// Proof of AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Proof of AVX-512 F, BW, DQ and VL, AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx2 {
    #[inline(always)]
    pub(super) fn of(isa: Isa) -> Self {
        assert!(isa.0 == Level::Avx2);
        Avx2(())
    }
}

impl Avx512 {
    #[inline(always)]
    pub(super) fn of(isa: Isa) -> Self {
        assert!(isa.0 == Level::Avx512);
        Avx512(())
    }
}

/// What is the same with both: AVX2 is a part of what AVX-512 asks for.
macro_rules! alike {
    () => {
        #[inline(always)]
        fn prefetch_read<T>(self, address: *const T) {
            prefetch::<_MM_HINT_T0, T>(address);
        }

        #[inline(always)]
        fn prefetch_write<T>(self, address: *const T) {
            prefetch::<_MM_HINT_ET0, T>(address);
        }

        #[inline(always)]
        fn one_by_one(self) {
            one_by_one();
        }

        #[inline(always)]
        #[expect(unsafe_code, reason = "calling a function of another instruction set")]
        fn transpose(self, rows: [&[f32; 8]; 8]) -> [[f32; 8]; 8] {
            // SAFETY: `self` is the proof that the machine has AVX2.
            unsafe { transpose(rows) }
        }

        #[inline(always)]
        #[expect(unsafe_code, reason = "calling a function of another instruction set")]
        fn transpose_double(self, rows: [&[f64; 8]; 8]) -> [[f64; 8]; 8] {
            // SAFETY: `self` is the proof that the machine has AVX2.
            unsafe { transpose_double(rows) }
        }

        #[inline(always)]
        #[expect(unsafe_code, reason = "calling a function of another instruction set")]
        fn stream(self, numbers: &[f32; 16], to: &mut [f32; 16]) {
            // SAFETY: `self` is the proof that the machine has AVX.
            unsafe { stream(numbers, to) }
        }

        #[inline(always)]
        #[expect(unsafe_code, reason = "calling a function of another instruction set")]
        fn stream_double(self, numbers: &[f64; 16], to: &mut [f64; 16]) {
            // SAFETY: `self` is the proof that the machine has AVX.
            unsafe { stream_double(numbers, to) }
        }

        #[inline(always)]
        fn end_stream(self) {
            end_stream();
        }

        #[cfg(feature = "half")]
        #[inline(always)]
        #[expect(unsafe_code, reason = "calling a function of another instruction set")]
        fn widen(self, from: &[f16; 8]) -> [f32; 8] {
            // SAFETY: `self` is the proof that the machine has F16C.
            unsafe { widen(from) }
        }

        #[cfg(feature = "half")]
        #[inline(always)]
        #[expect(unsafe_code, reason = "calling a function of another instruction set")]
        fn narrow(self, from: &[f32; 8]) -> [f16; 8] {
            // SAFETY: `self` is the proof that the machine has F16C.
            unsafe { narrow(from) }
        }
    };
}

impl Simd for Avx2 {
    // Not inlined: see the top of this file. (On a function with target features, rustc 1.95 takes
    // the attribute for a wish of each call, and forgets it.)
    #[inline(never)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` was made from an `Isa` of Level::Avx2, which only `Isa::available`
        // makes, after it found AVX2, FMA and F16C on this machine.
        unsafe { avx2(self, kernel) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn at_least(self, numbers: &[f32; 16], from: f32) -> u32 {
        // SAFETY: `self` is the proof that the machine has AVX2.
        unsafe { at_least(numbers, from) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn padded(self, from: &[f32]) -> [f32; 16] {
        // SAFETY: `self` is the proof that the machine has AVX2.
        unsafe { padded_of_eights(from) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn columns(self, rows: [&[f32; 4]; 16]) -> [[f32; 16]; 4] {
        // SAFETY: `self` is the proof that the machine has AVX2.
        unsafe { columns(rows) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn columns_double(self, rows: [&[f64; 4]; 16]) -> [[f64; 16]; 4] {
        // SAFETY: `self` is the proof that the machine has AVX2.
        unsafe { columns_double(rows) }
    }

    alike!();
}

impl Simd for Avx512 {
    // Not inlined: see the top of this file. (On a function with target features, rustc 1.95 takes
    // the attribute for a wish of each call, and forgets it.)
    #[inline(never)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` was made from an `Isa` of Level::Avx512, which only `Isa::available`
        // makes, after it found all the features named below on this machine.
        unsafe { avx512(self, kernel) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn at_least(self, numbers: &[f32; 16], from: f32) -> u32 {
        // SAFETY: `self` is the proof that the machine has AVX-512 F.
        unsafe { at_least_of_sixteen(numbers, from) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn padded(self, from: &[f32]) -> [f32; 16] {
        // SAFETY: `self` is the proof that the machine has AVX-512 F.
        unsafe { padded_by_mask(from) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn add_pairs(self, pairs: &[[[f32; 16]; 2]], total: &mut [f64; 16]) {
        debug_assert!(pairs.as_flattened().as_flattened().iter().all(|x| x.is_sign_positive()));
        if pairs.len() < sums::MANY {
            return super::add_pairs(pairs, total);
        }
        // SAFETY: `self` is the proof that the machine has AVX-512 F.
        unsafe { sums::add_pairs(pairs, total) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn put(self, numbers: &[f32; 16], to: &mut [f32]) {
        // SAFETY: `self` is the proof that the machine has AVX-512 F.
        unsafe { put_by_mask(numbers, to) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn columns(self, rows: [&[f32; 4]; 16]) -> [[f32; 16]; 4] {
        // SAFETY: `self` is the proof that the machine has AVX-512 DQ.
        unsafe { columns_of_sixteen(rows) }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calling a function of another instruction set")]
    fn columns_double(self, rows: [&[f64; 4]; 16]) -> [[f64; 16]; 4] {
        // SAFETY: `self` is the proof that the machine has AVX-512 DQ.
        unsafe { columns_of_eights(rows) }
    }

    alike!();
}

#[inline(always)]
#[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
fn prefetch<const HINT: i32, T>(address: *const T) {
    // SAFETY: PREFETCHh and PREFETCHW are part of SSE and ignored where unknown; they read nothing
    // the program can see, and an address that is not mapped is not an error.
    unsafe { _mm_prefetch::<HINT>(address.cast()) }
}

/// Past the cache; where `to` does not begin with a line of it, as ever.
#[inline]
#[target_feature(enable = "avx")]
#[expect(unsafe_code, reason = "the intrinsics take pointers")]
fn stream(numbers: &[f32; 16], to: &mut [f32; 16]) {
    if to.as_ptr().align_offset(64) != 0 {
        *to = *numbers;
        return;
    }
    let (from, to) = (numbers.as_ptr(), to.as_mut_ptr());
    // SAFETY: both are sixteen numbers, and `to` lies at a multiple of 32 bytes, as it must. Nobody reads it before `end_stream`:
    // `Stream` has borrowed it.
    unsafe {
        _mm256_stream_ps(to, _mm256_loadu_ps(from));
        _mm256_stream_ps(to.add(8), _mm256_loadu_ps(from.add(8)));
    }
}

#[inline]
#[target_feature(enable = "avx")]
#[expect(unsafe_code, reason = "the intrinsics take pointers")]
fn stream_double(numbers: &[f64; 16], to: &mut [f64; 16]) {
    if to.as_ptr().align_offset(64) != 0 {
        *to = *numbers;
        return;
    }
    let (from, to) = (numbers.as_ptr(), to.as_mut_ptr());
    // SAFETY: as above.
    unsafe {
        _mm256_stream_pd(to, _mm256_loadu_pd(from));
        _mm256_stream_pd(to.add(4), _mm256_loadu_pd(from.add(4)));
        _mm256_stream_pd(to.add(8), _mm256_loadu_pd(from.add(8)));
        _mm256_stream_pd(to.add(12), _mm256_loadu_pd(from.add(12)));
    }
}

#[inline(always)]
#[expect(unsafe_code, reason = "the intrinsic is unsafe by its signature")]
fn end_stream() {
    // SAFETY: SFENCE is part of SSE, and does nothing but to order stores.
    unsafe { _mm_sfence() }
}

#[inline(always)]
#[expect(unsafe_code, reason = "an instruction, if it were one")]
fn one_by_one() {
    // SAFETY: there is nothing in it, and it touches nothing. No loop around it becomes lanes.
    unsafe { asm!("", options(nomem, nostack, preserves_flags)) }
}

#[inline]
#[target_feature(enable = "avx")]
#[expect(unsafe_code, reason = "loads take pointers")]
fn at_least(numbers: &[f32; 16], from: f32) -> u32 {
    let (halves, _) = numbers.as_chunks::<8>();
    let bits = |half: &[f32; 8]| {
        // SAFETY: the pointer is that of an array of eight, which may be loaded at any alignment.
        let half = unsafe { _mm256_loadu_ps(half.as_ptr()) };
        let is = _mm256_cmp_ps::<_CMP_GE_OQ>(half, _mm256_set1_ps(from));
        _mm256_movemask_ps(is).cast_unsigned()
    };
    bits(&halves[0]) | bits(&halves[1]) << 8
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads take pointers")]
fn at_least_of_sixteen(numbers: &[f32; 16], from: f32) -> u32 {
    // SAFETY: the pointer is that of an array of sixteen, which may be loaded at any alignment.
    let numbers = unsafe { _mm512_loadu_ps(numbers.as_ptr()) };
    u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(numbers, _mm512_set1_ps(from)))
}

/// All bits for those of eight numbers that are before `len`.
#[inline]
#[target_feature(enable = "avx2")]
fn mask_of_eight(len: usize, first: usize) -> __m256i {
    let places = _mm256_add_epi32(
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
        _mm256_set1_epi32(first as i32),
    );
    _mm256_cmpgt_epi32(_mm256_set1_epi32(len.min(32) as i32), places)
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
fn padded_of_eights(from: &[f32]) -> [f32; 16] {
    let mut to = [0.0; 16];
    for first in [0, 8] {
        let mask = mask_of_eight(from.len(), first);
        // SAFETY: what lies beyond `from` is masked, and not loaded; `to` has room for both.
        unsafe {
            let some = _mm256_maskload_ps(from.as_ptr().wrapping_add(first), mask);
            let nothing = _mm256_set1_ps(f32::NEG_INFINITY);
            let whole = _mm256_blendv_ps(nothing, some, _mm256_castsi256_ps(mask));
            _mm256_storeu_ps(to.as_mut_ptr().add(first), whole);
        }
    }
    to
}

/// Bits for so many of sixteen numbers.
#[inline(always)]
fn mask(len: usize) -> u16 {
    u16::MAX.checked_shr(16_u32.saturating_sub(len as u32)).unwrap_or(0)
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
fn padded_by_mask(from: &[f32]) -> [f32; 16] {
    let (nothing, mut to) = (_mm512_set1_ps(f32::NEG_INFINITY), [0.0; 16]);
    // SAFETY: the bits of the mask are no more than `from` has numbers, and no others are loaded; `to` has room for sixteen.
    unsafe {
        let numbers = _mm512_mask_loadu_ps(nothing, mask(from.len()), from.as_ptr());
        _mm512_storeu_ps(to.as_mut_ptr(), numbers);
    }
    to
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
fn put_by_mask(numbers: &[f32; 16], to: &mut [f32]) {
    // SAFETY: the bits of the mask are no more than `to` has places, and no others are stored to.
    unsafe {
        let numbers = _mm512_loadu_ps(numbers.as_ptr());
        _mm512_mask_storeu_ps(to.as_mut_ptr(), mask(to.len()), numbers);
    }
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx,f16c")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
fn widen(from: &[f16; 8]) -> [f32; 8] {
    let mut to = [0.0; 8];
    // SAFETY: the pointers are those of arrays of sixteen and of 32 bytes, at any alignment; an f16 is its bits.
    unsafe {
        let from = _mm_loadu_si128(from.as_ptr().cast());
        _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(from));
    }
    to
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx,f16c")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
fn narrow(from: &[f32; 8]) -> [f16; 8] {
    let mut to = [f16::ZERO; 8];
    // SAFETY: the pointers are those of arrays of 32 and of sixteen bytes, at any alignment; an f16 is its bits.
    unsafe {
        let rounded = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(from.as_ptr()));
        _mm_storeu_si128(to.as_mut_ptr().cast(), rounded);
    }
    to
}

#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn avx512<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}
