//! Memory that begins with a line of the cache: vectors that straddle two of them are read and written at half the speed, and a
//! stack or a buffer may begin anywhere, at another place in each run.

use std::borrow::Borrow;
use std::ops::{Deref, DerefMut};

use crate::element::{LINE, Real};

/// What begins with a line.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Aligned<A>(pub(crate) A);

impl<T: Copy, const N: usize> Aligned<[T; N]> {
    /// The same number N times.
    #[inline(always)]
    pub(crate) const fn of(number: T) -> Self {
        Aligned([number; N])
    }
}

impl<A> Deref for Aligned<A> {
    type Target = A;

    #[inline(always)]
    fn deref(&self) -> &A {
        &self.0
    }
}

impl<A> DerefMut for Aligned<A> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut A {
        &mut self.0
    }
}

impl<T, const N: usize> Borrow<[T; N]> for Aligned<[T; N]> {
    #[inline(always)]
    fn borrow(&self) -> &[T; N] {
        &self.0
    }
}

/// So many numbers that begin with a line, in space for as many as there may be.
#[inline(always)]
pub(crate) fn aligned<R: Real>(space: &mut Vec<R>, most: usize, len: usize) -> &mut [R] {
    space.resize(most + LINE, R::ZERO);
    let lead = unaligned(space);
    &mut space[lead..lead + len]
}

/// How many numbers lie before the first line.
#[inline(always)]
pub(crate) fn unaligned<R>(numbers: &[R]) -> usize {
    numbers.as_ptr().align_offset(64).min(numbers.len())
}

/// Whether to go backwards where one array is read and another one written in step: a load whose address ends in the twelve bits of
/// a store just before it may be taken for what that one wrote, and waits. Seen on Zen 4 where the one array begins some dozens
/// of bytes, and whole pages, behind the other.
#[inline(always)]
pub(crate) fn backwards<R>(from: &[R], to: &[R]) -> bool {
    let ahead = to.as_ptr().addr().wrapping_sub(from.as_ptr().addr()) % 4096;
    (32..512).contains(&ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_with_a_line_of_the_cache() {
        let mut space = Vec::new();
        for (most, len) in [(1, 1), (1000, 7), (1000, 1000)] {
            let numbers: &mut [f32] = aligned(&mut space, most, len);
            assert_eq!((numbers.len(), unaligned(numbers)), (len, 0));
            assert_eq!(numbers.as_ptr().addr() % 64, 0);
        }
        let column = [Aligned::<[f32; 8]>::of(1.5); 3];
        assert!(column.iter().all(|eight| unaligned(&eight[..]) == 0 && **eight == [1.5; 8]));
    }

    #[test]
    fn a_result_a_little_behind_its_row_is_gone_through_backwards() {
        let numbers = vec![0.0f32; 4096];
        let behind = |bytes: usize| backwards(&numbers[..8], &numbers[bytes / 4..][..8]);
        let places = [0, 16, 64, 508, 512, 2048, 4096, 4160, 8192];
        let want = [false, false, true, true, false, false, false, true, false];
        assert_eq!(places.map(behind), want);
        assert!(!backwards(&numbers[16..24], &numbers[..8]));
    }
}
