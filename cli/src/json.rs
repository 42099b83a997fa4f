//! Numbers in JSON, and one object on standard output.
//!
//! Finite numbers are printed with the fewest digits that read back to the same bits. JSON has no
//! word for the others, so they become one of the texts "nan", "inf" and "-inf".

use std::io::Write;

use serde::{Serialize, Serializer};
use softargmax::Temperature;

use crate::error::CliError;

/// A number; serde_json on its own would print null for what is not finite.
struct Real(f64);

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            x if x.is_finite() => serializer.serialize_f64(x),
            x if x.is_nan() => serializer.serialize_str("nan"),
            x => serializer.serialize_str(if x > 0.0 { "inf" } else { "-inf" }),
        }
    }
}

/// For `#[serde(serialize_with)]`: a number.
pub(crate) fn real<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Real(*x).serialize(serializer)
}

/// For `#[serde(serialize_with)]`: a number, or null where it is NaN: there was nothing to measure.
pub(crate) fn measured<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    (!x.is_nan()).then_some(Real(*x)).serialize(serializer)
}

/// For `#[serde(serialize_with)]`: a number, or null where there is none.
pub(crate) fn optional_real<S: Serializer>(x: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
    x.map(Real).serialize(s)
}

/// For `#[serde(serialize_with)]`: several numbers, or null where there are none.
pub(crate) fn optional_reals<S: Serializer, X: AsRef<[f64]>>(
    x: &Option<X>,
    s: S,
) -> Result<S::Ok, S::Error> {
    match x {
        Some(x) => reals(x.as_ref(), s),
        None => s.serialize_none(),
    }
}

/// For `#[serde(serialize_with)]`: a temperature, or null where there is none.
pub(crate) fn optional_temperature<S: Serializer>(
    temperature: &Option<Temperature>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match temperature {
        Some(temperature) => self::temperature(temperature, serializer),
        None => serializer.serialize_none(),
    }
}

/// For `#[serde(serialize_with)]`: several numbers.
pub(crate) fn reals<S: Serializer>(x: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(x.iter().map(|&x| Real(x)))
}

/// For `#[serde(serialize_with)]`: a temperature, a number or "inf".
pub(crate) fn temperature<S: Serializer>(
    temperature: &Temperature,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Real(temperature.tau()).serialize(serializer)
}

/// Prints a document as one line.
pub(crate) fn print(document: &impl Serialize) -> Result<(), CliError> {
    let mut text = serde_json::to_vec(document).map_err(CliError::internal)?;
    text.push(b'\n');
    std::io::stdout().lock().write_all(&text).map_err(CliError::stdout)
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn finite_numbers_keep_their_bits_and_others_their_names() {
        let text = |x| serde_json::to_string(&Real(x)).expect("serialises");
        for x in [0.1, 8.194012623989748e-40, 5e-324, f64::MAX, -0.0, 1.0 / 3.0] {
            let back: f64 = serde_json::from_str(&text(x)).expect("reads");
            assert_eq!(back.to_bits(), x.to_bits(), "{x:e}");
        }
        assert_eq!(text(f64::NAN), r#""nan""#);
        assert_eq!(text(f64::INFINITY), r#""inf""#);
        assert_eq!(text(f64::NEG_INFINITY), r#""-inf""#);
    }
}
