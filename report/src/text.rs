//! Numbers as short text. `--json` is where all their digits are.

/// A result: four decimals where those show it, three digits where they do not. An exact whole
/// number stands bare, so that 1 is told from 1.0000, which is only near it.
pub fn figure(x: f64) -> String {
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
pub fn short(x: f64) -> String {
    let plain = format!("{x}").to_lowercase();
    if plain.len() <= 8 || !x.is_finite() {
        return plain;
    }
    let rounded: f64 = format!("{x:.3e}").parse().unwrap_or(x);
    let (plain, exponential) = (format!("{rounded}"), format!("{rounded:e}"));
    if plain.len() <= exponential.len() + 1 { plain } else { exponential }
}

/// A value that may lie a rounding error beside a short one: to twelve digits.
pub fn rounded(x: f64) -> String {
    let rounded: f64 = format!("{x:.11e}").parse().unwrap_or(x);
    format!("{rounded}")
}

/// A number to so many digits, without an exponent where that is readable, trailing zeros kept.
pub fn significant(x: f64, digits: usize) -> String {
    if !x.is_finite() || x == 0.0 {
        return figure(x);
    }
    let exponential = format!("{x:.*e}", digits - 1);
    // What rounding made of the power of ten: 9.9996 has four digits before the point of 10.00.
    let power = exponential.split_once('e').and_then(|(_, power)| power.parse::<i32>().ok());
    match power {
        Some(power @ -5..=6) => format!("{x:.*}", (digits as i32 - 1 - power).max(0) as usize),
        _ => exponential,
    }
}

/// A temperature to four digits; a short one in full, so that 1 is told from 1.000.
pub fn tau(x: f64) -> String {
    let (plain, rounded) = (format!("{x}").to_lowercase(), significant(x, 4));
    if plain.len() <= rounded.len() { plain } else { rounded }
}

/// A mean of losses: four decimals, more digits only where those show nothing.
pub fn loss(x: f64) -> String {
    match x.abs() {
        size if size == 0.0 || !(5e-5..1e6).contains(&size) => figure(x),
        _ => format!("{x:.4}"),
    }
}

/// A share as a percentage: one decimal, two below one percent, exact 0 and 1 bare.
pub fn percent(share: f64) -> String {
    format!("{}\u{202f}%", points(share))
}

/// The number of a percentage.
pub fn points(share: f64) -> String {
    let hundred = share * 100.0;
    match hundred.abs() {
        size if size == 0.0 || size == 100.0 || !size.is_finite() => figure(hundred),
        size if size < 1.0 => format!("{hundred:.2}"),
        _ => format!("{hundred:.1}"),
    }
}

/// A difference with its sign, as typesetters write it.
pub fn signed(x: f64, write: fn(f64) -> String) -> String {
    let size = write(x.abs());
    // What is rounded to nothing has no sign.
    let is_nothing = size.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    match x {
        x if is_nothing || x.is_nan() => size,
        x if x < 0.0 => format!("−{size}"),
        _ => format!("+{size}"),
    }
}

/// A probability of chance, after "p".
pub fn p_value_text(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { format!("= {}", significant(p, 2)) }
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

    #[test]
    fn significant_digits_are_counted_after_rounding() {
        let cases =
            [(9.9996, "10.00"), (0.0123456, "0.01235"), (123456.0, "123456"), (2.0, "2.000")];
        for (x, text) in cases {
            assert_eq!(significant(x, 4), text);
        }
        assert_eq!(significant(1.5e-12, 3), "1.50e-12");
        assert_eq!(significant(f64::INFINITY, 3), "inf");
        assert_eq!(
            (tau(1.0), tau(1.5), tau(2.239_104)),
            ("1".into(), "1.5".into(), "2.239".into())
        );
    }

    #[test]
    fn percentages_keep_what_is_exact_bare() {
        let cases =
            [(0.0, "0"), (1.0, "100"), (0.99996, "100.0"), (0.0069, "0.69"), (0.155, "15.5")];
        for (share, text) in cases {
            assert_eq!(points(share), text);
        }
    }

    #[test]
    fn a_difference_has_a_sign_unless_nothing_is_left_of_it() {
        assert_eq!(signed(-0.0497, loss), "−0.0497");
        assert_eq!(signed(0.021, points), "+2.1");
        assert_eq!(signed(-1e-9, points), "0.00");
        assert_eq!(signed(f64::NAN, points), "nan");
    }

    #[test]
    fn a_loss_that_four_decimals_lose_keeps_its_digits() {
        let cases = [(0.0, "0"), (0.138_91, "0.1389"), (4e-10, "4.00e-10"), (f64::INFINITY, "inf")];
        for (x, text) in cases {
            assert_eq!(loss(x), text);
        }
    }
}
