//! The ruler: how far a result lies from the real number it stands for, in units of the last place.
//!
//! The unit is that of the binade of the correctly rounded result; among the subnormals, and at zero, it is the smallest
//! subnormal. So a correctly rounded result never measures more than 0.5. The sign of zero is not looked at.
//! NaN is wanted exactly where NaN is got. An infinity stands where the number after MAX would: it measures 0 when the
//! wanted number rounds to it, and about as much as its finite neighbour when the wanted number is near MAX.

use super::real::{Real, scale};

/// A binary format: `precision` bits with the leading one, exponents `min_exp` to `max_exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub precision: i32,
    pub min_exp: i32,
    pub max_exp: i32,
}

pub const F64: Format = Format { precision: 53, min_exp: -1022, max_exp: 1023 };
pub const F32: Format = Format { precision: 24, min_exp: -126, max_exp: 127 };
pub const F16: Format = Format { precision: 11, min_exp: -14, max_exp: 15 };
pub const BF16: Format = Format { precision: 8, min_exp: -126, max_exp: 127 };

/// A floating-point type the ruler can be laid on.
pub trait Float: Copy {
    /// Its format.
    const FORMAT: Format;
    /// The same number as a double.
    fn widen(self) -> f64;
}

impl Float for f32 {
    const FORMAT: Format = F32;
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Float for f64 {
    const FORMAT: Format = F64;
    fn widen(self) -> f64 {
        self
    }
}

#[cfg(feature = "half")]
impl Float for half::f16 {
    const FORMAT: Format = F16;
    fn widen(self) -> f64 {
        self.to_f64()
    }
}

#[cfg(feature = "half")]
impl Float for half::bf16 {
    const FORMAT: Format = BF16;
    fn widen(self) -> f64 {
        self.to_f64()
    }
}

/// The distance from `got` to the real number `want_hi + want_lo`, in ULP of `T`.
pub fn ulp_error<T: Float>(got: T, want_hi: f64, want_lo: f64) -> f64 {
    ulp_error_real(got, Real::new(want_hi, want_lo, 0))
}

/// The distance from `got` to `want` in ULP of `T`; exact among the subnormals of f64 too, where a pair is not.
pub fn ulp_error_real<T: Float>(got: T, want: Real) -> f64 {
    ulp_error_in(T::FORMAT, got.widen(), want)
}

/// The distance from `got`, a number of `format` widened to a double, to `want`.
pub fn ulp_error_in(format: Format, got: f64, want: Real) -> f64 {
    if want.is_nan() || got.is_nan() {
        return if want.is_nan() && got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if !want.is_finite() {
        return if got == want.hi { 0.0 } else { f64::INFINITY };
    }
    let rounded_exp = rounded_exponent(format, want);
    let got = if got.is_infinite() {
        let same_sign = (got > 0.0) == (want.hi > 0.0);
        if rounded_exp > format.max_exp && same_sign {
            return 0.0;
        }
        Real { hi: got.signum(), lo: 0.0, exp: format.max_exp + 1 }
    } else {
        Real::from(got)
    };
    (got - want).abs().scaled(-unit_exponent(format, rounded_exp)).to_f64()
}

/// The unit of the last place at `want`, as a double; for turning an error in ULP back into a distance.
pub fn unit(format: Format, want: Real) -> f64 {
    scale(1.0, unit_exponent(format, rounded_exponent(format, want)))
}

/// log2 of the unit in the binade `exp`.
fn unit_exponent(format: Format, exp: i32) -> i32 {
    exp.clamp(format.min_exp, format.max_exp) - (format.precision - 1)
}

/// The exponent of `want` rounded to the format's precision; above `max_exp` when it rounds to infinity.
fn rounded_exponent(format: Format, want: Real) -> i32 {
    if want.is_zero() {
        return format.min_exp;
    }
    // From half a unit below the next power of two on, ties included, it rounds up into the next binade.
    // (hi = 1 with a negative lo lies in the binade below, but so near its end that it rounds up to 1 as well.)
    let to_next = (2.0 - want.hi.abs()) - want.lo * want.hi.signum();
    if to_next <= scale(1.0, -format.precision) { want.exp + 1 } else { want.exp }
}

/// The smallest subnormal of a type.
pub fn smallest<T: Float>() -> f64 {
    unit(T::FORMAT, Real::ZERO)
}
