//! 2^r, e^x and ln: the elementary functions everything rests on, as polynomials.
//!
//! Their own, not the C library's, so that they give the same bits on every machine and run on lanes.
//!
//! ```text
//! weight(x):  z = x·c + (1.5·2^23 + bias − n)     round to an integer k, kept in the low bits of z
//!             r = x·c − k                         |r| ≤ 1/2, two fused multiply-adds, c in two parts
//!             2^r by a polynomial; k added to its exponent bits
//! ```
//!
//! `c = log2(e)/τ`, and `n = rint(max·c)`: a row is shifted by an integer, so that the shift costs no
//! rounding, whatever the logits' offset. The order of the additions is the point: `x·c` is never
//! rounded by itself.

use crate::double::{Double, power_of_two};
use crate::element::Real;

/// A row's shift and a temperature's factor, in the form the kernel takes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift<R> {
    /// log2(e)/τ, in two parts.
    pub(crate) factor: R,
    pub(crate) factor_low: R,
    /// What rounds to an integer, less the row's shift, plus the bias of the exponent.
    pub(crate) round: R,
    /// Entries below this one weigh nothing and are computed as if they were here.
    pub(crate) floor: R,
}

/// 2^r for |r| ≤ 1/2, by Horner's rule: within 0.6 units in the last place.
#[inline(always)]
fn exp2<R: Real>(r: R) -> R {
    let mut p = R::EXP2[R::EXP2.len() - 1];
    for &coefficient in R::EXP2.iter().rev().skip(1) {
        p = p.mul_add(r, coefficient);
    }
    p.mul_add(r, R::ONE)
}

/// The same in two chains, of the even and the odd powers, which wait for themselves half as long: faster in f64, with
/// other last bits.
#[inline(always)]
fn exp2_in_two<R: Real>(r: R) -> R {
    let square = r * r;
    // Downwards, in turns: the next coefficient belongs to the chain that the last one did not.
    let [.., before, last] = R::EXP2 else { return R::NAN };
    let (mut chain, mut other) = (*last, *before);
    for &coefficient in R::EXP2.iter().rev().skip(2) {
        (chain, other) = (other, chain.mul_add(square, coefficient));
    }
    // 1 + r² c_1 + … and r (c_0 + …).
    other.mul_add(r, chain.mul_add(square, R::ONE))
}

/// 2^(x·c − n + bias). A NaN comes out as the floor: the caller has looked for them.
#[inline(always)]
pub(crate) fn weight<R: Real>(x: R, shift: &Shift<R>) -> R {
    let (r, rounded) = reduced(x, shift);
    exp2(r).times_power(rounded)
}

/// The same for what is not below the floor; of anything else comes some number or a NaN.
#[inline(always)]
pub(crate) fn weight_above_floor<R: Real>(x: R, shift: &Shift<R>) -> R {
    let (r, rounded) = reduced_above_floor(x, shift);
    exp2(r).times_power(rounded)
}

/// [`weight`] for sums over many rows, which do not see a last bit.
#[inline(always)]
pub(crate) fn weight_for_sums<R: Real>(x: R, shift: &Shift<R>) -> R {
    let (r, rounded) = reduced(x, shift);
    exp2_in_two(r).times_power(rounded)
}

/// The same for what is not below the floor.
#[inline(always)]
pub(crate) fn weight_above_floor_for_sums<R: Real>(x: R, shift: &Shift<R>) -> R {
    let (r, rounded) = reduced_above_floor(x, shift);
    exp2_in_two(r).times_power(rounded)
}

/// A z of 0 or less as an integer, in the low bits of the first number, and r: for sums where a row's shift is the
/// maximum itself, z = c (x − m), and costs no bit.
#[inline(always)]
pub(crate) fn rounded_for_sums<R: Real>(z: R) -> (R, R) {
    let round = R::of_f64(R::ROUND + f64::from(R::BIAS));
    let rounded = z + round;
    (rounded, z - (rounded - round))
}

/// 2^(z + bias) from those.
#[inline(always)]
pub(crate) fn power_for_sums<R: Real>(rounded: R, r: R) -> R {
    exp2_in_two(r).times_power(rounded)
}

/// x·c as r and an integer in the low bits.
#[inline(always)]
fn reduced<R: Real>(x: R, shift: &Shift<R>) -> (R, R) {
    reduced_above_floor(if x > shift.floor { x } else { shift.floor }, shift)
}

#[inline(always)]
fn reduced_above_floor<R: Real>(x: R, shift: &Shift<R>) -> (R, R) {
    let rounded = x.mul_add(shift.factor, shift.round);
    let r = x.mul_add(shift.factor, -(rounded - shift.round));
    (x.mul_add(shift.factor_low, r), rounded)
}

/// e^x for f64, within 1 ULP where the result is normal; 0 and ∞ beyond the range.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    exp_double(Double::from(x))
}

/// e^(hi + lo).
#[inline(always)]
pub(crate) fn exp_double(x: Double) -> f64 {
    if x.hi.is_nan() || x.hi > 710.0 {
        return x.hi * f64::INFINITY;
    }
    if x.hi < -746.0 {
        return 0.0;
    }
    let k = (x.hi * Double::LOG2_E.hi).round_ties_even();
    let r = x.hi.mul_add(Double::LOG2_E.hi, -k);
    let r = r + x.hi.mul_add(Double::LOG2_E.lo, x.lo * Double::LOG2_E.hi);
    crate::double::ldexp(exp2(r), k as i32)
}

/// 2^r for |r| ≤ 1/2 in f64.
#[inline(always)]
pub(crate) fn exp2_reduced(r: f64) -> f64 {
    exp2(r)
}

/// ln(`count` + `rest`) for `count` ≥ 1 and `rest` ≥ 0, to about 2^-60 of itself.
///
/// With one maximum, `count` is 1 and this is log1p: relative accuracy down to the smallest `rest`.
///
/// ```text
/// v = 2^j · f, f in [√½, √2)      ln v = j ln 2 + 2 atanh(s),  s = (f − 1)/(f + 1),  |s| ≤ 0.172
/// ```
#[inline(always)]
pub(crate) fn ln_sum(count: f64, rest: Double) -> Double {
    let sum = Double::from(count).plus(rest);
    // No returns on the way: lanes go it together, also those of rows that have no answer.
    let is_sum = (sum.hi >= 1.0) & (sum.hi < f64::INFINITY);
    // So far that 2^-j is a normal number.
    let (down, lifted) = if sum.hi >= power_of_two(1000) { (-64, 64) } else { (0, 0) };
    let size = if is_sum { sum.hi * power_of_two(down) } else { 1.0 };
    let mut exponent = ((size.to_bits() >> 52) as i32) - 1023;
    if size * power_of_two(-exponent) >= std::f64::consts::SQRT_2 {
        exponent += 1;
    }
    let scale = power_of_two(down) * power_of_two(-exponent);
    let f = Double { hi: sum.hi * scale, lo: sum.lo * scale };
    // The sum has rounded `rest` away; the numerator must not.
    let (near, far) = (Double::from(count - 1.0).plus(rest), f.plus(Double::from(-1.0)));
    let f_minus_one = near.or(far, exponent == 0);
    let s = f_minus_one.over(f.plus(Double::ONE));
    // 2 atanh(s) = 2s + 2s³ (1/3 + s²/5 + s⁴/7 + …); the series is 1/100 of the whole at most, so f64
    // is enough for it. s² ≤ 0.0295: 13 terms leave 2^-70.
    let square = s.hi * s.hi;
    let mut series = 0.0;
    for n in (0..13).rev() {
        series = f64::mul_add(series, square, 1.0 / f64::from(2 * n + 3));
    }
    let tail = 2.0 * s.hi * square * series;
    let log = Double::LN_2
        .times(Double::from(f64::from(exponent + lifted)))
        .plus(Double { hi: 2.0 * s.hi, lo: 2.0 * s.lo })
        .plus(Double::from(tail));
    // ln(1 + y) = y; below the normal numbers the division would lose it.
    let log = rest.or(log, (count == 1.0) & (rest.hi < 1e-33));
    log.or(Double::from(sum.hi), is_sum)
}

/// (atanh(s)/s − 1)/s² = 1/3 + s²/5 + s⁴/7 + … from s² ≤ 0.06, twelve terms: 2^-59 of atanh is left out at most. In two
/// chains: the terms wait for each other less.
#[inline(always)]
pub(crate) fn atanh_series(square: f64) -> f64 {
    let fourth = square * square;
    let (mut even, mut odd) = (0.0, 0.0);
    for n in (0..6).rev() {
        even = f64::mul_add(even, fourth, 1.0 / f64::from(4 * n + 3));
        odd = f64::mul_add(odd, fourth, 1.0 / f64::from(4 * n + 5));
    }
    f64::mul_add(odd, square, even)
}

/// The same in f64, within 2 ULP: for sums over many rows, a row at a time.
#[inline(always)]
pub(crate) fn ln_sum_in_f64(count: f64, rest: f64) -> f64 {
    let sum = count + rest;
    if !(sum < f64::INFINITY) {
        return sum;
    }
    let mut exponent = ((sum.to_bits() >> 52) as i32) - 1023;
    if sum * power_of_two(-exponent) >= std::f64::consts::SQRT_2 {
        exponent += 1;
    }
    let scale = power_of_two(-exponent);
    let f_minus_one = if exponent == 0 { (count - 1.0) + rest } else { sum * scale - 1.0 };
    let s = f_minus_one / (f_minus_one + 2.0);
    let square = s * s;
    let series = atanh_series(square);
    let exponent = f64::from(exponent);
    let low = f64::mul_add(2.0 * s * square, series, exponent * Double::LN_2.lo);
    let log = exponent * Double::LN_2.hi + (2.0 * s + low);
    // ln(1 + y) = y; below the normal numbers the division would lose it.
    if (count == 1.0) & (rest < 1e-17) { rest } else { log }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_of_known_sums() {
        for (count, rest, want) in [
            (1.0, 0.0, 0.0),
            (1.0, 5e-324, 5e-324),
            (1.0, 3.99e-10, 3.989999999203995e-10),
            (1.0, 1.0, std::f64::consts::LN_2),
            (2.0, 0.0, std::f64::consts::LN_2),
            (3.0, 0.0, 1.0986122886681098),
            (10.0, 0.0, std::f64::consts::LN_10),
            (1.0, 0.41421356237309515, 0.34657359027997275),
            (152064.0, 0.5, 11.932060051926028),
        ] {
            let got = ln_sum(count, Double::from(rest)).hi;
            assert!((got - want).abs() <= want * 2.3e-16, "ln({count} + {rest}) = {got:e}");
            let got = ln_sum_in_f64(count, rest);
            assert!((got - want).abs() <= want * 4.5e-16, "ln({count} + {rest}) = {got:e}");
        }
        assert_eq!(ln_sum(1.0, Double::from(1e308)).hi, 709.1962086421661);
    }

    #[test]
    fn exp_of_known_numbers() {
        for (x, want) in [
            (0.0, 1.0),
            (1.0, std::f64::consts::E),
            (-1.0, 0.36787944117144233),
            (100.0, 2.6881171418161356e43),
            (-700.0, 9.85967654375977e-305),
            (709.7, 1.6549840276802644e308),
            (-745.0, 5e-324),
            (-800.0, 0.0),
            (800.0, f64::INFINITY),
        ] {
            let got = exp(x);
            assert!(got == want || (got / want - 1.0).abs() < 2.3e-16, "exp({x}) = {got:e}");
        }
        assert!(exp(f64::NAN).is_nan());
    }
}
