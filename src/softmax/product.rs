//! Weights times a number: 1/S, or what makes them a gradient.
//!
//! ```text
//! a = w·h + w·l              h + l: the number, times 2^lift, so that no step meets a subnormal number
//! b = w·h + 2^(lift − 126)   rounded to the steps of the subnormal numbers (lift − 1022 in f64)
//! p = a·2^-lift or b·2^-lift − 2^-126, the larger one: of bits, both are subtractions of integers
//! ```
//!
//! Products that are subnormal cost some machines a hundred cycles each, and at a small τ every row has some.
//!
//! Where p is a normal number, a + 2^(lift − 126) ≤ 2a: less one exponent, its bits are no more than those of a. Where p is
//! subnormal, p = f·2^-126, those of b are f·2^23, and those of a are (2f − 1)·2^23 at most.

use crate::double::{Double, power_of_two};
use crate::element::Real;

/// A number above 0 that weights are multiplied by, in two parts of the type, and lifted.
#[derive(Clone, Copy)]
pub(crate) struct Multiplier<R: Real> {
    pub(crate) high: R,
    pub(crate) low: R,
    /// The least normal number, lifted.
    pub(crate) least: R,
    /// The lift, as a difference of bits.
    pub(crate) lift: R::Bits,
}

impl<R: Real> Multiplier<R> {
    /// 1 over a sum of weights: rounded once, where it is used.
    #[inline(always)]
    pub(crate) fn inverse(sum: Double) -> Self {
        // Lifted from the start: a step less that waits.
        let power = power_of_two(R::HIGHEST);
        let inverse = power / sum.hi;
        let remainder = f64::mul_add(-sum.hi, inverse, power) - sum.lo * inverse;
        // Of f64, 2^-HIGHEST is no normal number.
        let half = power_of_two(R::HIGHEST / -2);
        let remainder = (remainder * half) * (inverse * (half * 0.5));
        Self::in_two(Double { hi: inverse, lo: remainder }, R::HIGHEST)
    }

    /// A number, where no product with a weight is above `most`.
    #[inline(always)]
    pub(crate) fn new(number: f64, most: f64) -> Self {
        let exponent = ((most.to_bits() >> 52) as i32 & 0x7ff) - 1023;
        let lift = R::HIGHEST - 1 - exponent;
        let lift = if lift < R::HIGHEST { lift } else { R::HIGHEST };
        Self::lifted(Double::from(number), if lift > 0 { lift } else { 0 })
    }

    #[inline(always)]
    fn lifted(number: Double, lift: i32) -> Self {
        let power = power_of_two(lift);
        Self::in_two(Double { hi: number.hi * power, lo: number.lo * power }, lift)
    }

    /// Of a number that is lifted.
    #[inline(always)]
    fn in_two(number: Double, lift: i32) -> Self {
        let Double { hi, lo } = number;
        // The second part is to be half a unit at most: where a product is subnormal it is left out. Of f32 it is so anyway.
        let high = R::of_f64(if R::IN_DOUBLE { hi + lo } else { hi });
        Multiplier {
            high,
            low: R::of_f64((hi - high.to_f64()) + lo),
            least: R::of_f64(power_of_two(lift + 1 - R::HIGHEST)),
            lift: R::exponent_bits(lift),
        }
    }

    #[inline(always)]
    pub(crate) fn times(&self, weight: R) -> R {
        let product = weight.mul_add(self.high, weight * self.low);
        let rounded = weight.mul_add(self.high, self.least);
        R::lowered(product, rounded, self.lift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the largest probability through all subnormal ones to 0: beside the product in f64, and where it is subnormal
    /// the bits of the two products that are not lifted.
    #[test]
    fn products_are_rounded_once() {
        for lift in [0, 1, 60, 126, 127] {
            let most = power_of_two(126 - lift);
            for (exponent, step) in (-190..=0).flat_map(|k| (0..64).map(move |step| (k, step))) {
                let weight = (1.0 + f64::from(step) / 64.0) * power_of_two(exponent + 63);
                let number = power_of_two(-64) * most / 1.7;
                let got = Multiplier::new(number, most).times(weight as f32);
                let want = weight * number;
                if want >= f64::from(f32::MIN_POSITIVE) {
                    let off = (f64::from(got) - want).abs();
                    assert!(off <= 0.5001 * power_of_two(-23) * want, "{got:e} {want:e}");
                } else {
                    let (weight, high) = (weight as f32, number as f32);
                    let low = (number - f64::from(high)) as f32;
                    assert_eq!(got, weight.mul_add(high, weight * low), "{want:e}");
                }
            }
        }
    }

    #[test]
    fn nothing_weighs_nothing() {
        assert_eq!(Multiplier::<f32>::new(1e-20, 1.0).times(0.0).to_bits(), 0);
        assert_eq!(Multiplier::<f64>::new(1e-20, 1.0).times(0.0).to_bits(), 0);
        assert_eq!(Multiplier::<f32>::inverse(Double::from(1e20)).times(1e20), 1.0);
        assert_eq!(Multiplier::<f64>::inverse(Double::from(1e170)).times(1e170), 1.0);
        assert_eq!(Multiplier::<f64>::inverse(Double::from(1e150)).times(1e-170), 1e-320);
    }
}
