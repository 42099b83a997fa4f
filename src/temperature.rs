//! Temperature: τ in [0, ∞], checked once, with 1/τ kept to 31 digits.
//!
//! ```text
//! 1/τ = inverse · 2^exponent,  inverse a double-double with 1/2 < inverse < 2
//! ```
//!
//! A logit of 7 at τ = 0.1 has the exponent 70; the double nearest to 0.1 lies 5.6e-17 (relative)
//! beside one tenth, which shifts exp(70) by 18 ULP. So 1/τ is not a f64 here, and a text means what
//! it says. The separate exponent keeps 1/5e-324 and e^(±700) out of overflow.

use std::fmt;
use std::str::FromStr;

use crate::double::{Double, frexp, ldexp};
use crate::error::Error;

/// The temperature τ of a softmax, `p_i = exp(x_i/τ) / Σ_j exp(x_j/τ)`, in `[0, ∞]`.
///
/// τ → 0 gives arg max, τ → ∞ the uniform distribution; both limits are values of this type.
/// There is no clamping: 1e-300 is honoured, and so is 1e300.
///
/// A number means itself: `Temperature::new(0.1)` is the double nearest to one tenth. A text means
/// what it says: `"0.1".parse()` is one tenth exactly. The two differ by up to 25 ULP in
/// exp(100), and differ here.
///
/// # Example
///
/// ```
/// use softargmax::{Temperature, softmax};
///
/// let tau: Temperature = "0.1".parse()?;
/// assert_eq!(softmax(&[1.0, 5.0, 7.0, 10.0], tau)?[3], 0.9999999999999064);
/// assert_eq!(Temperature::from_scale(30.0)?.scale(), 30.0); // NormFace's s = 1/τ
/// assert!(Temperature::new(-1.0).is_err());
/// # Ok::<(), softargmax::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Temperature {
    /// The double nearest to τ; what is shown.
    tau: f64,
    /// 1/τ without its exponent; 0 for τ = ∞, ∞ for τ = 0.
    inverse: Double,
    exponent: i32,
}

/// A log-scale beyond ±1400 is one of the two limits: at e^1400 = 2^2020 the smallest gap between two f64,
/// 2^-1074, weighs nothing by far, and at e^-1400 the largest is lost by as much.
const LOG_SCALE_LIMIT: f64 = 1400.0;

impl Temperature {
    /// τ = 0: arg max, the mass shared equally by the maximal entries.
    pub const ZERO: Temperature =
        Temperature { tau: 0.0, inverse: Double { hi: f64::INFINITY, lo: 0.0 }, exponent: 0 };
    /// τ = 1: the plain softmax.
    pub const ONE: Temperature = Temperature { tau: 1.0, inverse: Double::ONE, exponent: 0 };
    /// τ = ∞: uniform over the entries that are not −∞.
    pub const INFINITE: Temperature =
        Temperature { tau: f64::INFINITY, inverse: Double::ZERO, exponent: 0 };

    /// The temperature τ, in logit units.
    ///
    /// # Errors
    /// [`Error::Temperature`] when `tau` is NaN or negative.
    pub fn new(tau: f64) -> Result<Temperature, Error> {
        if !(tau >= 0.0) {
            return Err(Error::Temperature { got: tau });
        }
        if tau == 0.0 {
            return Ok(Temperature::ZERO);
        }
        if tau == f64::INFINITY {
            return Ok(Temperature::INFINITE);
        }
        let (mantissa, exponent) = frexp(tau);
        let inverse = Double::ONE.over(Double::from(mantissa));
        Ok(Temperature { tau, inverse, exponent: -exponent })
    }

    /// The temperature 1/`scale`, where `scale` is the factor s on the logits (NormFace, ArcFace).
    ///
    /// # Errors
    /// [`Error::Scale`] when `scale` is NaN or negative.
    pub fn from_scale(scale: f64) -> Result<Temperature, Error> {
        if !(scale >= 0.0) {
            return Err(Error::Scale { got: scale });
        }
        if scale == 0.0 {
            return Ok(Temperature::INFINITE);
        }
        if scale == f64::INFINITY {
            return Ok(Temperature::ZERO);
        }
        let (mantissa, exponent) = frexp(scale);
        Ok(Temperature::of_inverse(Double::from(mantissa), exponent))
    }

    /// The temperature e^−`log_scale`, where `log_scale` = ln(1/τ) is what CLIP learns. Beyond ±1400, where
    /// no two f64 are told apart any more, it is τ = 0 or τ = ∞.
    ///
    /// # Errors
    /// [`Error::LogScale`] when `log_scale` is NaN.
    pub fn from_log_scale(log_scale: f64) -> Result<Temperature, Error> {
        if log_scale.is_nan() {
            return Err(Error::LogScale);
        }
        if log_scale.abs() > LOG_SCALE_LIMIT {
            return Ok(if log_scale > 0.0 { Temperature::ZERO } else { Temperature::INFINITE });
        }
        // e^l = 2^k · e^r with |r| ≤ ln(2)/2; e^r is the 64th power of a short Taylor series.
        let k = (log_scale * Double::LOG2_E.hi).round_ties_even();
        let r = Double::from(log_scale).plus(Double::LN_2.times(Double::from(-k)));
        let small = r.ldexp(-6);
        let mut power = Double::ONE;
        for n in (1..=13).rev() {
            power = Double::ONE.plus(power.times(small).over(Double::from(f64::from(n))));
        }
        for _ in 0..6 {
            power = power.times(power);
        }
        Ok(Temperature::of_inverse(power, k as i32))
    }

    fn of_inverse(inverse: Double, exponent: i32) -> Temperature {
        let (inverse, shift) = inverse.normalised();
        let tau = Double::ONE.over(inverse);
        Temperature { tau: ldexp(tau.hi, -exponent - shift), inverse, exponent: exponent + shift }
    }

    /// The double nearest to τ.
    pub fn tau(self) -> f64 {
        self.tau
    }

    /// The double nearest to the scale s = 1/τ.
    pub fn scale(self) -> f64 {
        ldexp(self.inverse.hi, self.exponent)
    }

    /// Whether this is the limit τ = 0.
    pub fn is_zero(self) -> bool {
        self.inverse.hi == f64::INFINITY
    }

    /// Whether this is the limit τ = ∞.
    pub fn is_infinite(self) -> bool {
        self.inverse.hi == 0.0
    }

    /// `(m, e)` with 1/τ = m · 2^e, for a temperature that is not a limit.
    #[inline]
    pub(crate) fn inverse(self) -> (Double, i32) {
        (self.inverse, self.exponent)
    }
}

impl PartialEq for Temperature {
    fn eq(&self, other: &Self) -> bool {
        self.inverse == other.inverse && self.exponent == other.exponent
    }
}

/// The shortest text that reads back to the same f64; `inf` for τ = ∞.
impl fmt::Display for Temperature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tau != 0.0 && !(1e-5..1e16).contains(&self.tau) && self.tau.is_finite() {
            write!(f, "{:e}", self.tau)
        } else {
            write!(f, "{}", self.tau)
        }
    }
}

/// A decimal number taken exactly, as far as its first 31 digits, or two of them as a fraction, `1/3`; `inf` and
/// `infinity` in any case.
///
/// # Errors
/// [`Error::Temperature`] for NaN and negative numbers, [`Error::TemperatureText`] for anything
/// else that is not a number, or one beyond the range of f64.
impl FromStr for Temperature {
    type Err = Error;

    fn from_str(text: &str) -> Result<Temperature, Error> {
        let refused = || Error::TemperatureText { text: text.to_owned() };
        let text_ = text.trim();
        if let Some((above, below)) = text_.split_once('/') {
            let (above, below) =
                decimal(above.trim()).zip(decimal(below.trim())).ok_or_else(refused)?;
            return quotient(above, below).ok_or_else(refused);
        }
        let nearest: f64 = text_.parse().map_err(|_| refused())?;
        if !(nearest >= 0.0) {
            return Err(Error::Temperature { got: nearest });
        }
        if !text_.contains(|c: char| c.is_ascii_digit()) {
            return Ok(Temperature::INFINITE); // the parser above knows only one such text that is ≥ 0
        }
        let one = Decimal { digits: 1, power: 0 };
        let mut temperature =
            decimal(text_).and_then(|above| quotient(above, one)).ok_or_else(refused)?;
        if (nearest == 0.0 && !temperature.is_zero()) || nearest == f64::INFINITY {
            return Err(refused());
        }
        temperature.tau = nearest;
        Ok(temperature)
    }
}

/// `digits` · 10^`power`, as it was written.
#[derive(Clone, Copy)]
struct Decimal {
    digits: u128,
    power: i64,
}

/// The first 31 digits of a number from 0 up, of any size.
fn decimal(text: &str) -> Option<Decimal> {
    let number = text.parse::<f64>().is_ok_and(|nearest| nearest >= 0.0);
    let (written, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
    if !number || !written.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mut digits, mut power, mut point) = (0u128, 0i64, false);
    for c in written.chars() {
        match c {
            '.' => point = true,
            '0'..='9' if digits < 10u128.pow(31) => {
                digits = digits * 10 + u128::from(c as u8 - b'0');
                power -= i64::from(point);
            }
            '0'..='9' => power += i64::from(!point),
            _ => {} // a sign
        }
    }
    if !exponent.is_empty() && digits != 0 {
        power = power.checked_add(exponent[1..].parse::<i64>().ok()?)?;
    }
    Some(Decimal { digits, power })
}

/// τ = above / below; nothing if it is not a limit, but not a f64 either.
fn quotient(above: Decimal, below: Decimal) -> Option<Temperature> {
    if below.digits == 0 {
        return None;
    }
    if above.digits == 0 {
        return Some(Temperature::ZERO);
    }
    let power = above.power.checked_sub(below.power)?;
    // Far beyond f64, whatever the digits are, and squaring further would take for ever.
    if power.unsigned_abs() > 1000 {
        return None;
    }
    let number = |digits: u128| {
        let high = (digits >> 64) as f64 * 2f64.powi(64);
        Double::from(high).plus(of_u64(digits as u64))
    };
    let (above, below) = (number(above.digits), number(below.digits));
    let (ten, twos) = power_of_ten(power.unsigned_abs());
    let (inverse, exponent) = if power < 0 {
        (below.times(ten).over(above), twos)
    } else {
        (below.over(above.times(ten)), -twos)
    };
    let temperature = Temperature::of_inverse(inverse, exponent);
    (temperature.tau > 0.0 && temperature.tau < f64::INFINITY).then_some(temperature)
}

fn of_u64(value: u64) -> Double {
    Double::from((value >> 32) as f64 * 4294967296.0)
        .plus(Double::from((value & 0xffff_ffff) as f64))
}

/// 10^`power` as `(m, e)`, m · 2^e with m in [1, 2): squarings, each good to 2^-104.
fn power_of_ten(mut power: u64) -> (Double, i32) {
    let (mut result, mut twos) = (Double::ONE, 0);
    let (mut base, mut base_twos) = Double::from(10.0).normalised();
    while power > 0 {
        if power & 1 == 1 {
            let (product, shift) = result.times(base).normalised();
            (result, twos) = (product, twos + base_twos + shift);
        }
        let (square, shift) = base.times(base).normalised();
        (base, base_twos) = (square, base_twos.saturating_mul(2).saturating_add(shift));
        power >>= 1;
    }
    (result, twos)
}

/// The temperatures of a set of rows: one for all, or one per row.
///
/// Made by `into()` from a [`Temperature`], or from a slice of them, one for each row.
#[derive(Clone, Copy, Debug)]
pub enum Temperatures<'a> {
    /// One temperature for every row.
    One(Temperature),
    /// One temperature for each row.
    PerRow(&'a [Temperature]),
}

impl From<Temperature> for Temperatures<'_> {
    fn from(tau: Temperature) -> Self {
        Temperatures::One(tau)
    }
}

impl<'a> From<&'a [Temperature]> for Temperatures<'a> {
    fn from(taus: &'a [Temperature]) -> Self {
        Temperatures::PerRow(taus)
    }
}

impl<'a> From<&'a Vec<Temperature>> for Temperatures<'a> {
    fn from(taus: &'a Vec<Temperature>) -> Self {
        Temperatures::PerRow(taus)
    }
}

impl<'a> Temperatures<'a> {
    #[inline]
    pub(crate) fn checked(self, rows: usize) -> Result<Self, Error> {
        match self {
            Temperatures::PerRow(taus) if taus.len() != rows => {
                Err(Error::Shape { what: "temperatures", expected: rows, got: taus.len() })
            }
            _ => Ok(self),
        }
    }

    pub(crate) fn split_at(self, row: usize) -> (Self, Self) {
        match self {
            Temperatures::One(_) => (self, self),
            Temperatures::PerRow(taus) => {
                let (left, right) = taus.split_at(row);
                (Temperatures::PerRow(left), Temperatures::PerRow(right))
            }
        }
    }

    #[inline(always)]
    pub(crate) fn of_row(&self, row: usize) -> Temperature {
        match self {
            Temperatures::One(tau) => *tau,
            Temperatures::PerRow(taus) => taus[row],
        }
    }
}

/// As τ, as the scale 1/τ or as the text of τ, whichever reads back to the same temperature.
#[cfg(feature = "serde")]
mod serial {
    use super::Temperature;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Written {
        Tau(f64),
        Scale(f64),
        Text(String),
    }

    impl Serialize for Temperature {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let is_it = |other: Result<Temperature, _>| other.as_ref() == Ok(self);
            let text = self.to_string();
            // JSON has no infinity.
            if self.is_infinite() || is_it(text.parse()) {
                Written::Text(text)
            } else if is_it(Temperature::from_scale(self.scale())) {
                Written::Scale(self.scale())
            } else {
                Written::Tau(self.tau())
            }
            .serialize(to)
        }
    }

    impl<'de> Deserialize<'de> for Temperature {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            match Written::deserialize(from)? {
                Written::Tau(tau) => Temperature::new(tau),
                Written::Scale(scale) => Temperature::from_scale(scale),
                Written::Text(text) => text.parse(),
            }
            .map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Temperature {
        text.parse().unwrap()
    }

    fn relative_difference(a: Temperature, b: Temperature) -> f64 {
        let minus = Double { hi: -b.inverse.hi, lo: -b.inverse.lo };
        let difference = a.inverse.plus(minus.ldexp(b.exponent - a.exponent));
        difference.hi / a.inverse.hi
    }

    #[test]
    fn a_text_means_what_it_says_and_a_number_itself() {
        let (number, text_) = (Temperature::new(0.1).unwrap(), text("0.1"));
        assert_eq!(number.tau(), text_.tau());
        // 0.1f64 = 0.1 (1 + 5.55e-17)
        let gap = relative_difference(text_, number);
        assert!((gap - 5.551115123125783e-17).abs() < 1e-28, "{gap:e}");
        assert_eq!(relative_difference(text_, Temperature::from_scale(10.0).unwrap()), 0.0);
    }

    #[test]
    fn spellings_of_one_value_agree_to_the_last_bit_that_matters() {
        for [a, b] in [
            ["0.07", "7e-2"],
            ["100", "1e2"],
            ["+1.50", "1.5"],
            ["1e-300", "0.1E-299"],
            ["0.00000000000000000000000000000000000000001e41", "1"],
            [
                "123456789012345678901234567890123456789",
                "1.23456789012345678901234567890123456789e38",
            ],
        ] {
            let gap = relative_difference(text(a), text(b));
            assert!(gap.abs() < 1e-29, "{a} {b}: {gap:e}");
        }
        for exact in ["1", "0.5", "3", "1024", "1e15", "0.0009765625"] {
            assert_eq!(
                relative_difference(text(exact), Temperature::new(exact.parse().unwrap()).unwrap()),
                0.0,
                "{exact}"
            );
        }
    }

    #[test]
    fn a_fraction_is_its_quotient() {
        for [fraction, decimal] in [
            ["1/10", "0.1"],
            ["7/100", "0.07"],
            ["3 / 0.5", "6"],
            ["1e-300/1e-301", "10"],
            ["2/3", "0.66666666666666666666666666666666666667"],
            ["1e500/4e501", "0.025"],
            ["0.5/1e-300", "5e299"],
        ] {
            let gap = relative_difference(text(fraction), text(decimal));
            assert!(gap.abs() < 1e-30, "{fraction}: {gap:e}");
            assert_eq!(text(fraction).tau(), text(decimal).tau(), "{fraction}");
        }
        assert!(text("0/3").is_zero());
        for bad in
            ["1/0", "inf/2", "2/inf", "1/3/5", "-1/3", "1/-3", "1/", "/3", "nan/1", "1e300/1e-300"]
        {
            assert!(
                matches!(bad.parse::<Temperature>(), Err(Error::TemperatureText { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn limits_and_refusals() {
        for zero in ["0", "-0", "0.000e7", "0e-400"] {
            assert!(text(zero).is_zero(), "{zero}");
        }
        assert!(Temperature::new(-0.0).unwrap().is_zero());
        for infinite in ["inf", "Infinity", "+inf"] {
            assert!(text(infinite).is_infinite(), "{infinite}");
        }
        for bad in ["nan", "-1", "-inf", "NaN", "-1e-300"] {
            assert!(matches!(bad.parse::<Temperature>(), Err(Error::Temperature { .. })), "{bad}");
        }
        for bad in ["", "x", "1.2.3", "1e400", "1e-400", "0x10", "1 2"] {
            assert!(
                matches!(bad.parse::<Temperature>(), Err(Error::TemperatureText { .. })),
                "{bad}"
            );
        }
        assert!(Temperature::new(f64::NAN).is_err());
        assert!(Temperature::from_scale(-1.0).is_err());
        assert!(Temperature::from_log_scale(f64::NAN).is_err());
        assert!(Temperature::from_scale(f64::INFINITY).unwrap().is_zero());
        assert!(Temperature::from_log_scale(f64::NEG_INFINITY).unwrap().is_infinite());
    }

    #[test]
    fn log_scale_is_an_exponential() {
        assert_eq!(Temperature::from_log_scale(0.0).unwrap(), Temperature::ONE);
        // e to 32 digits: 2.7182818284590452353602874713527
        let e = Temperature::from_log_scale(1.0).unwrap().inverse;
        assert_eq!(e.hi * 2.0, std::f64::consts::E);
        assert!((e.lo * 2.0 - 1.4456468917292502e-16).abs() < 2e-30, "{:e}", e.lo * 2.0);
        for l in [-1400.0, -700.0, -20.5, -1e-9, 2.6592, 4.6052, 700.0] {
            let product = Temperature::from_log_scale(l)
                .unwrap()
                .inverse
                .times(Temperature::from_log_scale(-l).unwrap().inverse);
            let (one, _) = product.normalised();
            assert!((one.hi - 1.0 + one.lo).abs() < 1e-28, "{l}: {one:?}");
        }
    }

    #[test]
    fn the_ends_of_f64_are_kept() {
        for tau in [5e-324, 1e-310, f64::MIN_POSITIVE, 1e-300, 1.0, 1e300, f64::MAX] {
            let t = Temperature::new(tau).unwrap();
            assert!(!t.is_zero() && !t.is_infinite());
            assert!(
                relative_difference(t, text(&format!("{tau:e}"))).abs() < 2e-16 || tau < 1e-309
            );
            assert_eq!(t.to_string().parse::<f64>().unwrap(), tau);
        }
        assert_eq!(Temperature::new(2.0).unwrap().scale(), 0.5);
    }
}
