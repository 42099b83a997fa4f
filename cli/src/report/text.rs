//! Numbers as short text. `--json` is where all their digits are.

/// A result: four decimals where those show it, three digits where they do not. An exact whole
/// number stands bare, so that 1 is told from 1.0000, which is only near it.
pub(super) fn figure(x: f64) -> String {
    let size = x.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !x.is_finite() || (x.fract() == 0.0 && size < 1e6) {
        format!("{x}").to_lowercase()
    } else if (1e-3..1e6).contains(&size) {
        format!("{x:.4}")
    } else {
        format!("{x:.2e}")
    }
}

/// A logit that somebody typed: in full where that is short, to four digits otherwise.
pub(super) fn short(x: f64) -> String {
    let plain = format!("{x}").to_lowercase();
    if plain.len() <= 8 || !x.is_finite() {
        return plain;
    }
    let rounded: f64 = format!("{x:.3e}").parse().unwrap_or(x);
    let (plain, exponential) = (format!("{rounded}"), format!("{rounded:e}"));
    if plain.len() <= exponential.len() + 1 { plain } else { exponential }
}

/// A value that may lie a rounding error beside a short one: to twelve digits.
pub(super) fn rounded(x: f64) -> String {
    let rounded: f64 = format!("{x:.11e}").parse().unwrap_or(x);
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_values_are_told_from_near_ones() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (1.0 - 1e-13, "1.0000"),
            (8.194012623989748e-40, "8.19e-40"),
            (0.0471179128098403, "0.0471"),
            (1234.5, "1234.5000"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (x, text) in cases {
            assert_eq!(figure(x), text);
        }
    }

    #[test]
    fn a_rounding_error_is_left_out() {
        assert_eq!(rounded(3.9999999999999996), "4");
        assert_eq!(rounded(4f64.ln()), "1.38629436112");
    }

    #[test]
    fn a_logit_is_shortened_only_when_it_is_long() {
        let cases = [
            (10.0, "10"),
            (-2.125, "-2.125"),
            (1e300, "1e300"),
            (0.123456789012, "0.1235"),
            (-1234567.25, "-1235000"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (x, text) in cases {
            assert_eq!(short(x), text);
        }
    }
}
