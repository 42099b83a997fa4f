//! Double-double arithmetic: a number as the unevaluated sum of two f64, good to about 2^-104.
//!
//! Used where one rounding of f64 would already show: 1/τ, the constants made of it once per call,
//! and the logarithm of a sum once per row. Never in an inner loop.
//! Algorithms: Dekker 1971; Joldeş, Muller & Popescu, ACM TOMS 44(2), 2017.

/// `hi + lo`, with `lo` no more than half a unit in the last place of `hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Double {
    pub(crate) hi: f64,
    pub(crate) lo: f64,
}

/// `a + b` and what rounding it lost, exactly, whichever of the two is larger.
#[inline(always)]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

#[inline(always)]
fn fast_two_sum(a: f64, b: f64) -> Double {
    let sum = a + b;
    Double { hi: sum, lo: b - (sum - a) }
}

impl Double {
    pub(crate) const ZERO: Double = Double { hi: 0.0, lo: 0.0 };
    pub(crate) const ONE: Double = Double { hi: 1.0, lo: 0.0 };
    /// log2(e) = 1.4426950408889634 + 2.0355273740931033e-17.
    pub(crate) const LOG2_E: Double =
        Double { hi: f64::from_bits(0x3ff71547652b82fe), lo: f64::from_bits(0x3c7777d0ffda0d24) };
    /// ln(2) = 0.6931471805599453 + 2.3190468138462996e-17.
    pub(crate) const LN_2: Double =
        Double { hi: f64::from_bits(0x3fe62e42fefa39ef), lo: f64::from_bits(0x3c7abc9e3b39803f) };

    #[inline(always)]
    pub(crate) fn from(value: f64) -> Double {
        Double { hi: value, lo: 0.0 }
    }

    /// This one where it is `right`, else the other.
    #[inline(always)]
    pub(crate) fn or(self, other: Double, right: bool) -> Double {
        Double {
            hi: if right { self.hi } else { other.hi },
            lo: if right { self.lo } else { other.lo },
        }
    }

    #[inline(always)]
    pub(crate) fn plus(self, other: Double) -> Double {
        let (hi, lo) = two_sum(self.hi, other.hi);
        let (tail, rest) = two_sum(self.lo, other.lo);
        let sum = fast_two_sum(hi, lo + tail);
        fast_two_sum(sum.hi, sum.lo + rest)
    }

    #[inline(always)]
    pub(crate) fn times(self, other: Double) -> Double {
        let hi = self.hi * other.hi;
        let lo = self.hi.mul_add(other.hi, -hi);
        fast_two_sum(hi, lo + self.hi.mul_add(other.lo, self.lo * other.hi))
    }

    #[inline(always)]
    pub(crate) fn over(self, other: Double) -> Double {
        let first = self.hi / other.hi;
        let rest = self.plus(other.times(Double::from(-first)));
        let second = rest.hi / other.hi;
        let rest = rest.plus(other.times(Double::from(-second)));
        fast_two_sum(first, second).plus(Double::from(rest.hi / other.hi))
    }

    /// Multiplies by 2^`exponent`, exactly as long as the result is a normal number.
    #[inline(always)]
    pub(crate) fn ldexp(self, exponent: i32) -> Double {
        Double { hi: ldexp(self.hi, exponent), lo: ldexp(self.lo, exponent) }
    }

    /// `(m, e)` with `self = m · 2^e` and `1 ≤ m.hi < 2`, for a positive finite number.
    pub(crate) fn normalised(self) -> (Double, i32) {
        let (_, exponent) = frexp(self.hi);
        (self.ldexp(-exponent), exponent)
    }
}

/// 2^`exponent` for `-1022 ..= 1023`.
#[inline(always)]
pub(crate) const fn power_of_two(exponent: i32) -> f64 {
    debug_assert!(-1022 <= exponent && exponent <= 1023);
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// `value · 2^exponent` with a single rounding, which happens only where the result is subnormal.
#[inline]
pub(crate) fn ldexp(value: f64, exponent: i32) -> f64 {
    let mut value = value;
    let mut exponent = exponent.clamp(-2200, 2200);
    while exponent > 1023 {
        value *= power_of_two(1023);
        exponent -= 1023;
    }
    // Going down, all steps but the last stay clear of the subnormals, so only one step rounds.
    while exponent < -1022 {
        if value.abs() >= power_of_two(-960) {
            value *= power_of_two(-60);
            exponent += 60;
        } else {
            return value * power_of_two(-1022) * power_of_two((exponent + 1022).max(-1022));
        }
    }
    value * power_of_two(exponent)
}

/// `(m, e)` with `value = m · 2^e` and `1 ≤ |m| < 2`, for a finite number other than 0.
pub(crate) fn frexp(value: f64) -> (f64, i32) {
    let (value, shift) =
        if value.abs() < f64::MIN_POSITIVE { (value * power_of_two(64), -64) } else { (value, 0) };
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    (
        value
            * power_of_two(-exponent.clamp(-1022, 1022))
            * if exponent == 1023 { 0.5 } else { 1.0 },
        exponent + shift,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenth_has_its_tail() {
        let tenth = Double::ONE.over(Double::from(10.0));
        assert_eq!(tenth.hi, 0.1);
        // 0.1 - fl(0.1) = -5.551115123125783e-18
        assert_eq!(tenth.lo, -5.551115123125783e-18);
        let back = tenth.times(Double::from(10.0));
        assert!((back.hi - 1.0 + back.lo).abs() < 1e-31);
    }

    #[test]
    fn the_two_constants_are_inverse() {
        let one = Double::LOG2_E.times(Double::LN_2);
        assert!((one.hi - 1.0 + one.lo).abs() < 1e-31, "{one:?}");
    }

    #[test]
    fn frexp_and_ldexp_undo_each_other() {
        for value in [1.0, -3.5, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e-310, 0.1] {
            let (m, e) = frexp(value);
            assert!((1.0..2.0).contains(&m.abs()), "{value}: {m}");
            assert_eq!(ldexp(m, e), value);
        }
        assert_eq!(ldexp(1.5, -1074), 1e-323); // 1.5 units: halfway, to even
        assert_eq!(ldexp(1.25, -1074), 5e-324);
        assert_eq!(ldexp(1.0, 5000), f64::INFINITY);
        assert_eq!(ldexp(f64::MAX, -2099), 0.0); // just below half of the smallest subnormal
        assert_eq!(ldexp(f64::MAX, -2098), 5e-324);
    }
}
