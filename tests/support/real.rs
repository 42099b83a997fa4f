//! Real numbers for the oracle: a double-double (hi + lo, about 31 digits) times 2^exp.
//!
//! The exponent stands apart so that nothing overflows or sinks into the subnormals on the way: x/τ may be 1e608 and a
//! probability 1e-400, and both keep their digits. A finite number is normalised to hi in [1, 2); zero, infinities and
//! NaN sit in `hi` with `lo` = 0 and `exp` = 0.

use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// (hi + lo)·2^exp with |lo| at most half an ULP of hi.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Real {
    pub hi: f64,
    pub lo: f64,
    pub exp: i32,
}

/// ln 2 in three doubles; the third matters once it is multiplied by a large exponent.
const LN_2: [f64; 3] = [
    f64::from_bits(0x3fe6_2e42_fefa_39ef), // 6.931471805599453e-1
    f64::from_bits(0x3c7a_bc9e_3b39_803f), // 2.3190468138462996e-17
    f64::from_bits(0x3907_b57a_079a_1934), // 5.707708438416212e-34
];

/// 1/5!, 1/4!, 1/3!, 1/2!, 1/1! as double-doubles.
const TAYLOR: [(f64, f64); 5] = [
    (8.333333333333333e-3, 1.1564823173178714e-19),
    (4.1666666666666664e-2, 2.3129646346357427e-18),
    (1.6666666666666666e-1, 9.25185853854297e-18),
    (0.5, 0.0),
    (1.0, 0.0),
];

/// Beyond this an addend is below the last bit of a double-double.
const NO_OVERLAP: i32 = 220;

impl Real {
    pub const ZERO: Real = Real { hi: 0.0, lo: 0.0, exp: 0 };
    pub const ONE: Real = Real { hi: 1.0, lo: 0.0, exp: 0 };
    pub const INFINITY: Real = Real { hi: f64::INFINITY, lo: 0.0, exp: 0 };
    pub const NEG_INFINITY: Real = Real { hi: f64::NEG_INFINITY, lo: 0.0, exp: 0 };
    pub const NAN: Real = Real { hi: f64::NAN, lo: 0.0, exp: 0 };

    /// (hi + lo)·2^exp, normalised; |lo| must not exceed |hi|.
    #[inline]
    pub fn new(hi: f64, lo: f64, exp: i32) -> Real {
        let (sum, rest) = quick_two_sum(hi, lo);
        let e = (sum.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        if (-1000..=1000).contains(&e) {
            let factor = power_of_two(-e);
            return Real { hi: sum * factor, lo: rest * factor, exp: exp.saturating_add(e) };
        }
        Real::new_at_the_ends(hi, lo, exp)
    }

    /// `new` for what is zero, subnormal, huge or no number.
    #[cold]
    fn new_at_the_ends(hi: f64, lo: f64, exp: i32) -> Real {
        if hi == 0.0 {
            return Real::ZERO;
        }
        if !hi.is_finite() {
            return Real { hi, lo: 0.0, exp: 0 };
        }
        let e = exponent(hi);
        let (hi, lo) = quick_two_sum(scale(hi, -e), scale(lo, -e));
        let carry = exponent(hi);
        Real {
            hi: scale(hi, -carry),
            lo: scale(lo, -carry),
            exp: exp.saturating_add(e).saturating_add(carry),
        }
    }

    /// The same number as two doubles; beyond their range it is (±∞, 0), and below 2^-1022 the nearest double and 0.
    pub fn pair(self) -> (f64, f64) {
        if (-1022..=1023).contains(&self.exp) {
            return (scale(self.hi, self.exp), scale(self.lo, self.exp));
        }
        (self.to_f64(), 0.0)
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        let nearest_to_hi = scale(self.hi, self.exp);
        if self.exp >= -1022 || !self.is_finite() {
            return nearest_to_hi;
        }
        // Among the subnormals hi was rounded without a look at lo.
        let rest = self - Real::from(nearest_to_hi);
        let half_a_step = Real::ONE.scaled(-1075);
        match (rest.abs() - half_a_step).hi > 0.0 {
            true if rest.hi > 0.0 => nearest_to_hi.next_up(),
            true => nearest_to_hi.next_down(),
            false => nearest_to_hi,
        }
    }

    /// Is it a number, and not an infinity?
    pub fn is_finite(self) -> bool {
        self.hi.is_finite()
    }

    /// Is it NaN?
    pub fn is_nan(self) -> bool {
        self.hi.is_nan()
    }

    /// Is it zero?
    pub fn is_zero(self) -> bool {
        self.hi == 0.0
    }

    /// The distance from zero.
    pub fn abs(self) -> Real {
        if self.hi < 0.0 { -self } else { self }
    }

    /// self·2^k, exactly.
    pub fn scaled(self, k: i32) -> Real {
        if self.is_zero() || !self.is_finite() {
            return self;
        }
        Real { exp: self.exp.saturating_add(k), ..self }
    }

    /// Decimal text: "1.25e-400", "-3", "inf", "nan". None when it is no number.
    pub fn parse(text: &str) -> Option<Real> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let magnitude = match digits {
            "inf" => Real::INFINITY,
            "nan" => return Some(Real::NAN),
            _ => {
                let (mantissa, power) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
                let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
                let mut value = Real::ZERO;
                let all = || whole.chars().chain(fraction.chars());
                all().next()?;
                // Past 45 digits a double-double has no room; those only move the point.
                for d in all().take(45) {
                    value = value * Real::from(10.0) + Real::from(f64::from(d.to_digit(10)?));
                }
                let dropped = all().count().saturating_sub(45) as i32;
                value * power_of_ten(power.parse::<i32>().ok()? - fraction.len() as i32 + dropped)
            }
        };
        Some(if negative { -magnitude } else { magnitude })
    }

    /// e^self. Below 2^(−2^30) it is zero.
    pub fn exp(self) -> Real {
        if self.is_nan() {
            return self;
        }
        if self.exp > 29 || !self.is_finite() {
            return if self.hi > 0.0 { Real::INFINITY } else { Real::ZERO };
        }
        let (k, u) = self.reduced_expm1();
        (u + Real::ONE).scaled(k)
    }

    /// e^self − 1 with full relative accuracy near zero.
    pub fn exp_m1(self) -> Real {
        if self.is_nan() {
            return self;
        }
        if self.exp > 29 || !self.is_finite() {
            return if self.hi > 0.0 { Real::INFINITY } else { -Real::ONE };
        }
        // Without this, ln 2 − 2·(1 − …) would cancel between 0.35 and 0.5.
        if self.exp < -1 {
            return small_expm1(self);
        }
        let (k, u) = self.reduced_expm1();
        u.scaled(k) + (Real::ONE.scaled(k) - Real::ONE)
    }

    /// (k, e^r − 1) with self = k·ln 2 + r and |r| at most ln 2 / 2.
    fn reduced_expm1(self) -> (i32, Real) {
        let k = (self.to_f64() / LN_2[0]).round();
        let mut r = self;
        if k != 0.0 {
            for part in LN_2 {
                let (p, e) = two_prod(k, part);
                r = r - Real::new(p, e, 0);
            }
        }
        (k as i32, small_expm1(r))
    }

    /// ln(1 + self) for self ≥ 0, with full relative accuracy however small self is.
    pub fn ln_1p(self) -> Real {
        if self.is_nan() || self.is_zero() || self.hi == f64::INFINITY {
            return self;
        }
        assert!(self.hi > 0.0, "ln_1p of a negative number is not needed here");
        if self.exp < -40 {
            // s − s²/2 + s³/3; the next term is below 2^-120 of the first.
            let s = self;
            return s * (Real::ONE - s * (Real::from(0.5) - s / Real::from(3.0)));
        }
        if self.exp > 1000 {
            return self.ln();
        }
        // One Newton step from the double: z + ((1 + s)·e^(−z) − 1), written so that small s keeps its digits.
        let z = Real::from(self.to_f64().ln_1p());
        let step = (self - z.exp_m1()) / z.exp();
        z + step
    }

    /// The natural logarithm, for self > 0.
    pub fn ln(self) -> Real {
        assert!(self.hi > 0.0, "ln of {self:?}");
        // The mantissa in [0.7, 1.42], so that ln does not cancel against the exponent's part.
        let (m, k) = if self.hi > std::f64::consts::SQRT_2 {
            (self.scaled(-self.exp - 1), self.exp + 1)
        } else {
            (self.scaled(-self.exp), self.exp)
        };
        let d = m - Real::ONE;
        let z = Real::from(d.to_f64().ln_1p());
        let z = z + (d - z.exp_m1()) / z.exp();
        let mut result = z;
        for part in LN_2.iter().rev() {
            let (p, e) = two_prod(f64::from(k), *part);
            result = result + Real::new(p, e, 0);
        }
        result
    }
}

/// e^r − 1 for |r| up to 0.5: Taylor on x = r/512, then e^(2x) − 1 = u·(2 + u) nine times.
fn small_expm1(r: Real) -> Real {
    if r.exp < -110 {
        return r; // r²/2 is below the last bit
    }
    let x = r.scaled(-9).pair();
    // |x| is below 2^-10: from the sixth on, the terms need no more than a double.
    let tail = 1.0 / 720.0 + x.0 * (1.0 / 5040.0 + x.0 * (1.0 / 40320.0 + x.0 / 362_880.0));
    let mut sum = (tail, 0.0);
    for coefficient in TAYLOR {
        sum = dd_add(coefficient, dd_mul(sum, x));
    }
    let mut u = dd_mul(sum, x);
    for _ in 0..9 {
        u = dd_add((2.0 * u.0, 2.0 * u.1), dd_mul(u, u));
    }
    Real::new(u.0, u.1, 0)
}

/// 10^n.
fn power_of_ten(n: i32) -> Real {
    let (mut result, mut square, mut left) = (Real::ONE, Real::from(10.0), n.unsigned_abs());
    while left > 0 {
        if left & 1 == 1 {
            result = result * square;
        }
        square = square * square;
        left >>= 1;
    }
    if n < 0 { Real::ONE / result } else { result }
}

impl From<f64> for Real {
    fn from(x: f64) -> Real {
        Real::new(x, 0.0, 0)
    }
}

impl Neg for Real {
    type Output = Real;
    fn neg(self) -> Real {
        Real { hi: if self.is_zero() { 0.0 } else { -self.hi }, lo: -self.lo, exp: self.exp }
    }
}

impl Add for Real {
    type Output = Real;
    #[inline]
    fn add(self, other: Real) -> Real {
        if !(self.is_finite() && other.is_finite()) {
            return Real { hi: self.hi + other.hi, lo: 0.0, exp: 0 };
        }
        if self.is_zero() {
            return other;
        }
        if other.is_zero() {
            return self;
        }
        let (a, b) = if self.exp >= other.exp { (self, other) } else { (other, self) };
        let shift = a.exp.saturating_sub(b.exp);
        if shift > NO_OVERLAP {
            return a;
        }
        let factor = power_of_two(-shift);
        let (hi, lo) = dd_add((a.hi, a.lo), (b.hi * factor, b.lo * factor));
        Real::new(hi, lo, a.exp)
    }
}

impl Sub for Real {
    type Output = Real;
    #[inline]
    fn sub(self, other: Real) -> Real {
        self + -other
    }
}

impl Mul for Real {
    type Output = Real;
    #[inline]
    fn mul(self, other: Real) -> Real {
        if !(self.is_finite() && other.is_finite()) {
            return Real { hi: self.hi * other.hi, lo: 0.0, exp: 0 };
        }
        let (hi, lo) = dd_mul((self.hi, self.lo), (other.hi, other.lo));
        Real::new(hi, lo, self.exp.saturating_add(other.exp))
    }
}

impl Div for Real {
    type Output = Real;
    #[inline]
    fn div(self, other: Real) -> Real {
        if !(self.is_finite() && other.is_finite()) || other.is_zero() {
            return Real { hi: self.hi / other.hi, lo: 0.0, exp: 0 };
        }
        let (a, b) = ((self.hi, self.lo), (other.hi, other.lo));
        let q1 = a.0 / b.0;
        let r = dd_add(a, dd_mul(b, (-q1, 0.0)));
        let q2 = r.0 / b.0;
        let r = dd_add(r, dd_mul(b, (-q2, 0.0)));
        let q3 = r.0 / b.0;
        let (hi, lo) = dd_add(quick_two_sum(q1, q2), (q3, 0.0));
        Real::new(hi, lo, self.exp.saturating_sub(other.exp))
    }
}

impl Sum for Real {
    fn sum<I: Iterator<Item = Real>>(terms: I) -> Real {
        terms.fold(Real::ZERO, Add::add)
    }
}

/// a + b and its rounding error, for |a| ≥ |b|.
#[inline]
fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    (s, b - (s - a))
}

/// a + b and its rounding error (Knuth).
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// a·b and its rounding error (Dekker), for |a|, |b| well inside the range. A fused multiply-add would be shorter, but on
/// targets whose baseline lacks one it is a call, and this is the inner loop.
#[inline]
fn two_prod(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    let ((a_hi, a_lo), (b_hi, b_lo)) = (split(a), split(b));
    (p, ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo)
}

/// Two halves of 26 bits (Veltkamp).
#[inline]
fn split(a: f64) -> (f64, f64) {
    let t = 134_217_729.0 * a; // 2^27 + 1
    let hi = t - (t - a);
    (hi, a - hi)
}

/// Sum of double-doubles, accurate under cancellation too.
#[inline]
fn dd_add(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let (s, e) = two_sum(a.0, b.0);
    let (t, f) = two_sum(a.1, b.1);
    let (s, e) = quick_two_sum(s, e + t);
    quick_two_sum(s, e + f)
}

/// Product of double-doubles.
#[inline]
fn dd_mul(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let (p, e) = two_prod(a.0, b.0);
    quick_two_sum(p, e + (a.0 * b.1 + a.1 * b.0))
}

/// floor(log2 |x|) of a finite x other than zero.
#[inline]
pub fn exponent(x: f64) -> i32 {
    let biased = (x.to_bits() >> 52 & 0x7ff) as i32;
    if biased == 0 { exponent(x * power_of_two(64)) - 64 } else { biased - 1023 }
}

/// 2^k for k in −1022 … 1023.
#[inline]
fn power_of_two(k: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&k), "2^{k} is no normal double");
    f64::from_bits(((k + 1023) as u64) << 52)
}

/// x·2^k for any k, rounded once where the result is subnormal.
#[inline]
pub fn scale(x: f64, k: i32) -> f64 {
    if (-1022..=1023).contains(&k) {
        return x * power_of_two(k);
    }
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    // Bring x to [1, 2) first: then only the last of the steps can round.
    let e = exponent(x);
    let m = if e < -1000 {
        x * power_of_two(600) * power_of_two(-e - 600)
    } else {
        x * power_of_two(-e / 2) * power_of_two(-e + e / 2)
    };
    let target = e.saturating_add(k);
    match target {
        1024.. => m * f64::INFINITY,
        -1022.. => m * power_of_two(target),
        -1080.. => m * power_of_two(-1000) * power_of_two(target + 1000),
        _ => m * 0.0,
    }
}
