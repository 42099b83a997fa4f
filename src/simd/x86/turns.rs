//! Rows to columns in registers: the shuffles of AVX2 and AVX-512.

use std::arch::x86_64::{
    __m256, __m256d, _mm_loadu_ps, _mm256_loadu_pd, _mm256_loadu_ps, _mm256_permute2f128_pd,
    _mm256_permute2f128_ps, _mm256_set_m128, _mm256_shuffle_ps, _mm256_storeu_pd, _mm256_storeu_ps,
    _mm256_unpackhi_pd, _mm256_unpackhi_ps, _mm256_unpacklo_pd, _mm256_unpacklo_ps,
    _mm512_castpd256_pd512, _mm512_castps256_ps512, _mm512_insertf32x8, _mm512_insertf64x4,
    _mm512_shuffle_ps, _mm512_storeu_pd, _mm512_storeu_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};

/// Eight rows to eight columns, in 24 shuffles: fours of rows, then halves of the registers.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
pub(super) fn transpose(rows: [&[f32; 8]; 8]) -> [[f32; 8]; 8] {
    // SAFETY: the pointer is that of an array of eight, which may be loaded at any alignment.
    let [a, b, c, d, e, f, g, h] = rows.map(|row| unsafe { _mm256_loadu_ps(row.as_ptr()) });
    let (upper, lower) = (fours([a, b, c, d]), fours([e, f, g, h]));
    let mut columns = [[0.0; 8]; 8];
    for k in 0..4 {
        let (a, b) = (upper[k], lower[k]);
        let first = _mm256_permute2f128_ps::<0x20>(a, b);
        let second = _mm256_permute2f128_ps::<0x31>(a, b);
        // SAFETY: each pointer is that of an array of eight, which may be stored to at any alignment.
        unsafe {
            _mm256_storeu_ps(columns[k].as_mut_ptr(), first);
            _mm256_storeu_ps(columns[k + 4].as_mut_ptr(), second);
        }
    }
    columns
}

/// The same of f64, four by four.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
pub(super) fn transpose_double(rows: [&[f64; 8]; 8]) -> [[f64; 8]; 8] {
    let mut columns = [[0.0; 8]; 8];
    for (i, j) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
        // SAFETY: the pointer is that of four numbers, which may be loaded at any alignment.
        let row = |k: usize| unsafe { _mm256_loadu_pd(rows[i + k][j..j + 4].as_ptr()) };
        let turned = fours_double([row(0), row(1), row(2), row(3)]);
        for (k, turned) in turned.into_iter().enumerate() {
            // SAFETY: the pointer is that of four numbers, which may be stored to at any alignment.
            unsafe { _mm256_storeu_pd(columns[j + k][i..i + 4].as_mut_ptr(), turned) }
        }
    }
    columns
}

/// Four rows of four to columns, in each half of the registers, in eight shuffles.
#[inline]
#[target_feature(enable = "avx2")]
fn fours(rows: [__m256; 4]) -> [__m256; 4] {
    let [a, b, c, d] = rows;
    let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (next_low, next_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    [
        _mm256_shuffle_ps::<0b01_00_01_00>(low, next_low),
        _mm256_shuffle_ps::<0b11_10_11_10>(low, next_low),
        _mm256_shuffle_ps::<0b01_00_01_00>(high, next_high),
        _mm256_shuffle_ps::<0b11_10_11_10>(high, next_high),
    ]
}

/// The same of f64, in the whole register: pairs of rows, then halves.
#[inline]
#[target_feature(enable = "avx2")]
fn fours_double(rows: [__m256d; 4]) -> [__m256d; 4] {
    let [a, b, c, d] = rows;
    let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    let (next_low, next_high) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
    [
        _mm256_permute2f128_pd::<0x20>(low, next_low),
        _mm256_permute2f128_pd::<0x20>(high, next_high),
        _mm256_permute2f128_pd::<0x31>(low, next_low),
        _mm256_permute2f128_pd::<0x31>(high, next_high),
    ]
}

/// Rows i and i + 4 of sixteen side by side: loaded to their places, so that no shuffle crosses a half.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads take pointers")]
fn side_by_side(rows: &[&[f32; 4]; 16], i: usize) -> __m256 {
    // SAFETY: the pointers are those of arrays of four, which may be loaded at any alignment.
    let [low, high] = [i, i + 4].map(|i| unsafe { _mm_loadu_ps(rows[i].as_ptr()) });
    _mm256_set_m128(high, low)
}

/// Sixteen rows of four to four columns.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "stores take pointers")]
pub(super) fn columns(rows: [&[f32; 4]; 16]) -> [[f32; 16]; 4] {
    let mut columns = [[0.0; 16]; 4];
    for half in [0, 8] {
        let row = |i: usize| side_by_side(&rows, half + i);
        let turned = fours([row(0), row(1), row(2), row(3)]);
        for (column, turned) in columns.iter_mut().zip(turned) {
            // SAFETY: the pointer is that of eight numbers, which may be stored to at any alignment.
            unsafe { _mm256_storeu_ps(column[half..half + 8].as_mut_ptr(), turned) }
        }
    }
    columns
}

/// The same of f64.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
pub(super) fn columns_double(rows: [&[f64; 4]; 16]) -> [[f64; 16]; 4] {
    let mut columns = [[0.0; 16]; 4];
    for i in [0, 4, 8, 12] {
        // SAFETY: the pointer is that of an array of four, which may be loaded at any alignment.
        let row = |k: usize| unsafe { _mm256_loadu_pd(rows[i + k].as_ptr()) };
        let turned = fours_double([row(0), row(1), row(2), row(3)]);
        for (column, turned) in columns.iter_mut().zip(turned) {
            // SAFETY: the pointer is that of four numbers, which may be stored to at any alignment.
            unsafe { _mm256_storeu_pd(column[i..i + 4].as_mut_ptr(), turned) }
        }
    }
    columns
}

/// Sixteen rows of four to four columns, in eight shuffles of whole registers.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
#[expect(unsafe_code, reason = "stores take pointers")]
pub(super) fn columns_of_sixteen(rows: [&[f32; 4]; 16]) -> [[f32; 16]; 4] {
    let row = |i: usize| {
        let [low, high] = [side_by_side(&rows, i), side_by_side(&rows, i + 8)];
        _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high)
    };
    let (a, b, c, d) = (row(0), row(1), row(2), row(3));
    let (low, high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let (next_low, next_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let turned = [
        _mm512_shuffle_ps::<0b01_00_01_00>(low, next_low),
        _mm512_shuffle_ps::<0b11_10_11_10>(low, next_low),
        _mm512_shuffle_ps::<0b01_00_01_00>(high, next_high),
        _mm512_shuffle_ps::<0b11_10_11_10>(high, next_high),
    ];
    let mut columns = [[0.0; 16]; 4];
    for (column, turned) in columns.iter_mut().zip(turned) {
        // SAFETY: the pointer is that of sixteen numbers, which may be stored to at any alignment.
        unsafe { _mm512_storeu_ps(column.as_mut_ptr(), turned) }
    }
    columns
}

/// The same of f64.
#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads and stores take pointers")]
pub(super) fn columns_of_eights(rows: [&[f64; 4]; 16]) -> [[f64; 16]; 4] {
    let mut columns = [[0.0; 16]; 4];
    for half in [0, 8] {
        // SAFETY: the pointer is that of an array of four, which may be loaded at any alignment.
        let row = |i: usize| unsafe { _mm256_loadu_pd(rows[half + i].as_ptr()) };
        let upper = fours_double([row(0), row(1), row(2), row(3)]);
        let lower = fours_double([row(4), row(5), row(6), row(7)]);
        for ((column, upper), lower) in columns.iter_mut().zip(upper).zip(lower) {
            let whole = _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(upper), lower);
            // SAFETY: the pointer is that of eight numbers, which may be stored to at any alignment.
            unsafe { _mm512_storeu_pd(column[half..half + 8].as_mut_ptr(), whole) }
        }
    }
    columns
}
