//! Sums of f64 without a rounding: the same bits in any order, and however the terms were split up.
//!
//! ```text
//! a sum = Σ chunk[k] · 2^(32k − 1074)          one long integer, in digits of 32 bits with room for carries
//! adding x: its 53 bits go to the two chunks at its exponent, the second of which takes more than its 32
//! ```
//!
//! Only the end rounds, once. Idea: Kulisch 1981; a small accumulator with late carries as in Neal,
//! "Fast exact summation using small and large superaccumulators", arXiv:1505.05571, section 3.

use crate::double::{ldexp, power_of_two};
use crate::simd::{Kernel, Simd};

/// Bits of the smallest subnormal to the largest number, 64 bits of room for 2^64 terms, and the sign.
const CHUNKS: usize = 69;

/// Carries may wait for this many additions: each adds less than 2^53 to a chunk of 63 bits.
const CARRY_AFTER: u32 = 1 << 9;

/// A running sum of f64; see the module.
#[derive(Clone, Debug)]
pub(crate) struct ExactSum {
    chunks: [i64; CHUNKS],
    waiting: u32,
    /// The sum of the terms that are not finite; NaN and infinities add up as they do in f64.
    special: f64,
}

impl ExactSum {
    pub(crate) const ZERO: ExactSum = ExactSum { chunks: [0; CHUNKS], waiting: 0, special: 0.0 };

    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let bits = x.to_bits();
        let exponent = (bits >> 52) as usize & 0x7ff;
        if exponent == 0x7ff {
            self.special += x;
            return;
        }
        let hidden = u64::from(exponent != 0) << 52;
        let mantissa = (bits & ((1 << 52) - 1)) | hidden;
        let position = exponent.max(1) - 1; // in units of 2^-1074
        let digits = u128::from(mantissa) << (position % 32);
        // −1 for a negative number: all bits turned around, and one more, is −digit.
        let sign = (bits as i64) >> 63;
        let at = position / 32;
        self.chunks[at] += (i64::from(digits as u32) ^ sign) - sign;
        self.chunks[at + 1] += ((digits >> 32) as i64 ^ sign) - sign;
        self.waiting += 1;
        if self.waiting == CARRY_AFTER {
            self.carry();
        }
    }

    /// Adds `count` times 1.
    pub(crate) fn add_ones(&mut self, count: u32) {
        self.add(f64::from(count));
    }

    #[cfg(feature = "serde")]
    pub(crate) fn is_zero(&self) -> bool {
        *self == ExactSum::ZERO
    }

    pub(crate) fn merge(&mut self, other: &ExactSum) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        for (chunk, more) in self.chunks.iter_mut().zip(other.chunks) {
            *chunk += more;
        }
        self.special += other.special;
        self.carry();
    }

    /// Brings every chunk but the last into 0..2^32: the one form that a value has.
    fn carry(&mut self) {
        self.waiting = 0;
        // Most chunks are 0, and of no interest unless something is carried there.
        let Some(first) = self.chunks.iter().position(|&chunk| chunk != 0) else { return };
        let mut carry = 0;
        for chunk in &mut self.chunks[first..CHUNKS - 1] {
            let digit = *chunk + carry;
            carry = digit >> 32;
            *chunk = digit & 0xffff_ffff;
        }
        self.chunks[CHUNKS - 1] += carry;
    }

    /// The sum, rounded once to the nearest.
    pub(crate) fn value(&self) -> f64 {
        if self.special != 0.0 {
            return self.special; // infinite or NaN
        }
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.chunks[CHUNKS - 1] < 0;
        if negative {
            sum.chunks.iter_mut().for_each(|chunk| *chunk = -*chunk);
            sum.carry();
        }
        let Some(top) = sum.chunks.iter().rposition(|&chunk| chunk != 0) else { return 0.0 };
        let first = top.saturating_sub(2);
        let digits = sum.chunks[first..=top].iter().rev();
        let digits = digits.fold(0u128, |all, &chunk| all << 32 | chunk as u128);
        // What lies below can only decide a tie; a bit at the very end does that.
        let sticky = sum.chunks[..first].iter().any(|&chunk| chunk != 0);
        let value = ldexp((digits | u128::from(sticky)) as f64, 32 * first as i32 - 1074);
        if negative { -value } else { value }
    }
}

/// Terms that are added together.
pub(crate) const TOGETHER: usize = 16;

/// Parts that a term is split into.
const PARTS: usize = 3;

/// Parts may wait for this many additions: of all lanes they are 2^9.
const GATHER_AFTER: u32 = 1 << 5;

/// A running sum that takes sixteen terms at a time.
///
/// A term below 2^12 is split, exactly, into multiples of 2^-30, 2^-74 and 2^-118, each with so few bits that 2^9 of them
/// are added up in an f64 without a rounding, in any order. What is left over, and a larger term, is added by itself.
#[derive(Clone, Debug)]
pub(crate) struct SumOfMany {
    parts: [[f64; TOGETHER]; PARTS],
    waiting: u32,
    sum: ExactSum,
}

impl SumOfMany {
    pub(crate) const ZERO: SumOfMany =
        SumOfMany { parts: [[0.0; TOGETHER]; PARTS], waiting: 0, sum: ExactSum::ZERO };

    #[inline(always)]
    pub(crate) fn add(&mut self, x: f64) {
        self.sum.add(x);
    }

    #[inline(always)]
    pub(crate) fn add_all<S: Simd>(&mut self, simd: S, terms: &[f64; TOGETHER]) {
        let mut left = [0.0; TOGETHER];
        if simd.call(Split { terms, parts: &mut self.parts, left: &mut left }) {
            left.iter().filter(|&&x| x != 0.0).for_each(|&x| self.sum.add(x));
        }
        self.waiting += 1;
        if self.waiting == GATHER_AFTER {
            self.gather();
        }
    }

    fn gather(&mut self) {
        self.parts.iter().for_each(|parts| self.sum.add(parts.iter().sum()));
        (self.parts, self.waiting) = ([[0.0; TOGETHER]; PARTS], 0);
    }

    pub(crate) fn sum(mut self) -> ExactSum {
        if self.waiting > 0 {
            self.gather();
        }
        self.sum
    }
}

/// Adds the parts of terms; whether there is something left over.
struct Split<'a> {
    terms: &'a [f64; TOGETHER],
    parts: &'a mut [[f64; TOGETHER]; PARTS],
    left: &'a mut [f64; TOGETHER],
}

impl Kernel for Split<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        /// What a term must be below.
        const MOST: f64 = 4096.0;
        let terms = self.terms;
        let mut rest = *terms;
        for (rest, x) in rest.iter_mut().zip(terms) {
            *rest = if x.abs() < MOST { *x } else { 0.0 };
        }
        for (parts, exponent) in self.parts.iter_mut().zip([-30, -74, -118]) {
            // Adding it, and taking it away, rounds to multiples of 2^exponent.
            let round = 1.5 * power_of_two(exponent + 52);
            let (mut sums, mut less) = (*parts, rest);
            for i in 0..TOGETHER {
                let part = (rest[i] + round) - round;
                sums[i] = parts[i] + part;
                less[i] = rest[i] - part;
            }
            (*parts, rest) = (sums, less);
        }
        let mut left = *terms;
        for i in 0..TOGETHER {
            left[i] = if terms[i].abs() < MOST { rest[i] } else { terms[i] };
        }
        *self.left = left;
        // All bits but the sign, halving the lanes: one by one each would be taken out of its vector.
        let mut any = left.map(|left| left.to_bits() << 1);
        let mut width = TOGETHER;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                any[i] |= any[i + width];
            }
        }
        any[0] != 0
    }
}

/// Equal in value, whatever has still to be carried.
impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        let carried = |sum: &ExactSum| {
            let mut sum = sum.clone();
            sum.carry();
            // Beside what is not finite, the rest says nothing.
            if sum.special == 0.0 { (sum.chunks, 0) } else { ([0; CHUNKS], sum.special.to_bits()) }
        };
        carried(self) == carried(other)
    }
}

impl Default for ExactSum {
    fn default() -> Self {
        ExactSum::ZERO
    }
}

/// As the number of its first chunk that is not 0 and the chunks from there, carried; what is not finite as a
/// number beyond all chunks.
#[cfg(feature = "serde")]
mod serial {
    use super::{CHUNKS, ExactSum};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// By their numbers; one more is NaN.
    const SPECIAL: [f64; 2] = [f64::INFINITY, f64::NEG_INFINITY];

    impl Serialize for ExactSum {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            if self.special != 0.0 {
                let kind = SPECIAL.iter().position(|special| *special == self.special);
                return (CHUNKS + 1 + kind.unwrap_or(SPECIAL.len()), &[] as &[i64]).serialize(to);
            }
            let mut sum = self.clone();
            sum.carry();
            let is_set = |&chunk: &i64| chunk != 0;
            let first = sum.chunks.iter().position(is_set).unwrap_or(0);
            let end = sum.chunks.iter().rposition(is_set).map_or(first, |last| last + 1);
            (first, &sum.chunks[first..end]).serialize(to)
        }
    }

    impl<'de> Deserialize<'de> for ExactSum {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let (first, chunks) = <(usize, Vec<i64>)>::deserialize(from)?;
            if chunks.is_empty() && (CHUNKS + 1..=CHUNKS + 3).contains(&first) {
                let special = SPECIAL.get(first - CHUNKS - 1).copied().unwrap_or(f64::NAN);
                return Ok(ExactSum { special, ..ExactSum::ZERO });
            }
            let end = first.checked_add(chunks.len()).filter(|&end| end <= CHUNKS);
            let end = end.ok_or_else(|| D::Error::custom("a sum is longer than any can be"))?;
            // Far above what 64 bits of terms can carry, far below an overflow.
            let sound = |chunk: &i64| (-1 << 40..=1 << 40).contains(chunk);
            if !chunks.iter().all(sound) {
                return Err(D::Error::custom("a sum has a digit that is too large"));
            }
            let mut sum = ExactSum::ZERO;
            sum.chunks[first..end].copy_from_slice(&chunks);
            sum.carry();
            Ok(sum)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(terms: &[f64]) -> f64 {
        let mut sum = ExactSum::ZERO;
        terms.iter().for_each(|&x| sum.add(x));
        sum.value()
    }

    #[test]
    fn one_term_comes_back() {
        for x in [1.0, -1.0, 0.1, 5e-324, -5e-324, 1e-310, f64::MAX, f64::MIN, 1e300, 2.5e-17] {
            assert_eq!(sum(&[x]), x);
        }
        assert_eq!(sum(&[]), 0.0);
    }

    #[test]
    fn what_f64_would_lose_is_kept() {
        assert_eq!(sum(&[1e308, 1.0, 5e-324, -1e308, -1.0]), 5e-324);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[1.0, f64::EPSILON / 2.0]), 1.0); // a tie, to even
        assert_eq!(sum(&[1.0, f64::EPSILON / 2.0, 5e-324]), 1.0 + f64::EPSILON);
        assert_eq!(sum(&[-1.0, -f64::EPSILON / 2.0, -5e-324]), -1.0 - f64::EPSILON);
        assert!(sum(&[1.0, f64::NAN]).is_nan());
        assert_eq!(sum(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert!(sum(&[f64::NEG_INFINITY, f64::INFINITY]).is_nan());
    }

    #[test]
    fn order_and_split_do_not_matter() {
        let terms: Vec<f64> =
            (0..1000u64).map(|i| ((i * 7919 % 1000) as f64 - 499.3).powi(5) * 1e-7).collect();
        let whole = sum(&terms);
        for parts in [1, 3, 7] {
            let mut merged = ExactSum::ZERO;
            for part in terms.chunks(terms.len() / parts + 1).rev() {
                let mut of_part = ExactSum::ZERO;
                part.iter().rev().for_each(|&x| of_part.add(x));
                merged.merge(&of_part);
            }
            assert_eq!(merged.value(), whole);
            let mut whole = ExactSum::ZERO;
            terms.iter().for_each(|&x| whole.add(x));
            whole.carry();
            assert_eq!(merged.chunks, whole.chunks);
        }
    }

    #[test]
    fn terms_together_are_terms_one_by_one() {
        struct Add<'a>(&'a [[f64; TOGETHER]]);
        impl Kernel for Add<'_> {
            type Output = ExactSum;
            fn run<S: Simd>(self, simd: S) -> ExactSum {
                let mut sum = SumOfMany::ZERO;
                self.0.iter().for_each(|terms| sum.add_all(simd, terms));
                sum.sum()
            }
        }
        // Of all sizes, among them 0, what has bits left over at either end, and more than wait at once.
        let term = |i: u64| {
            let size = ldexp((i * 7919 % 10007) as f64 / 10007.0, (i * 31 % 190) as i32 - 170);
            [size, -size, 4095.9, -4096.0, size * 1e-300][(i % 23 % 5) as usize]
        };
        let mut terms: Vec<f64> = (0..16 * 1500).map(term).collect();
        for special in [0.0, 5e-324, f64::MAX, f64::INFINITY, f64::NAN] {
            terms[16 * 700 + 3] = special;
            let mut want = ExactSum::ZERO;
            terms.iter().for_each(|&x| want.add(x));
            let got = crate::simd::dispatch(Add(terms.as_chunks().0));
            assert_eq!(got.value().to_bits(), want.value().to_bits(), "{special}");
        }
    }
}
