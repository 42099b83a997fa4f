//! The tools the other tests rely on, tested themselves: the arithmetic, the ruler, and the oracle against the table of
//! cases, which mpmath worked out. Nothing here calls the library.

use crate::support::fixtures::{Case, Dtype, cases, cases_of};
use crate::support::oracle;
use crate::support::real::Real;
use crate::support::ulp::{self, ulp_error, ulp_error_in, ulp_error_real};

/// A number that the test itself wrote down.
fn real(text: &str) -> Real {
    Real::parse(text).unwrap_or_else(|| panic!("{text} is no number"))
}

/// Fails unless `got` is within `tolerance` of `want`, relative to the larger of `want` and `size`.
fn close(got: Real, want: Real, size: Real, tolerance: f64, what: &str) {
    if want.is_nan() || got.is_nan() {
        assert!(want.is_nan() && got.is_nan(), "{what}: got {got:?}, want {want:?}");
        return;
    }
    if !(want.is_finite() && got.is_finite()) {
        assert!(got == want, "{what}: got {got:?}, want {want:?}");
        return;
    }
    // "0" in the table may stand for anything below 1e-400.
    let allowed = [want.abs(), size.abs()]
        .into_iter()
        .fold(Real::ZERO, |a, b| if (b - a).hi > 0.0 { b } else { a });
    let slack = Real::from(tolerance) * allowed + real("1e-399");
    assert!(((got - want).abs() - slack).hi <= 0.0, "{what}: got {got:?}, want {want:?}");
}

mod arithmetic {
    use super::*;

    /// Values from mpmath, 32 digits; 30 of them must come out.
    #[test]
    fn elementary_functions_keep_30_digits() {
        let table: [(Real, &str); 16] = [
            (Real::ONE.exp(), "2.7182818284590452353602874713527"),
            (real("-700").exp(), "9.8596765437597708567053729478495e-305"),
            (real("0.3466").exp(), "1.4142509118505286470985838282147"),
            (real("-1000000").exp(), "3.2968314780885585789689079691077e-434295"),
            (real("0.4").exp_m1(), "0.49182469764127031782485295283722"),
            (real("1e-20").exp_m1(), "1.000000000000000000005e-20"),
            (real("-0.3").exp_m1(), "-0.25918177931828213393312622068218"),
            (real("5").exp_m1(), "147.41315910257660342111558004055"),
            (real("10").ln(), "2.3025850929940456840179914546844"),
            (real("0.7").ln(), "-0.35667494393873237891263871124118"),
            (real("1e-500").ln(), "-1151.2925464970228420089957273422"),
            (real("0.0001").ln_1p(), "0.000099995000333308335333166680951131"),
            (real("1e-13").ln_1p(), "9.9999999999995000000000000333333e-14"),
            (real("152063").ln_1p(), "11.932056763842207403002768381856"),
            (real("3e-300").ln_1p(), "3e-300"),
            (real("0.41").ln_1p(), "0.34358970439007691018021299732597"),
        ];
        for (got, want) in table {
            // Halfway into the exponent's 1e6 the argument's own last bit shows.
            let tolerance = if want.contains("e-434") { 1e-25 } else { 1e-29 };
            close(got, real(want), Real::ZERO, tolerance, want);
        }
    }

    #[test]
    fn exp_ends_at_zero_and_infinity() {
        assert!(real("-1e608").exp().is_zero());
        assert!(Real::NEG_INFINITY.exp().is_zero());
        assert_eq!(real("1e608").exp(), Real::INFINITY);
        assert_eq!(real("-1e608").exp_m1(), -Real::ONE);
        assert!(Real::NAN.exp().is_nan() && Real::NAN.ln_1p().is_nan());
    }

    #[test]
    fn text_is_read_beyond_a_double() {
        let (hi, lo) = real("0.1").pair();
        assert_eq!(hi, 0.1);
        // 0.1 − the double 0.1, whose expansion is 0.1000000000000000055511151231257827…
        assert!((lo + 5.551115123125783e-18).abs() < 1e-33, "{lo:e}");
        assert_eq!(real("4.9406564584124654e-324").to_f64(), 5e-324);
        assert_eq!(real("-2.5").pair(), (-2.5, 0.0));
        assert_eq!(real("1e609").to_f64(), f64::INFINITY);
        assert_eq!(real("1e-609").to_f64(), 0.0);
        let text = "123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(real(text).to_f64(), text.parse::<f64>().unwrap());
        for wrong in ["", "-", ".", "1e", "1,5", "one"] {
            assert!(Real::parse(wrong).is_none(), "{wrong:?} was read");
        }
    }

    #[test]
    fn doubles_survive_the_round_trip() {
        for x in [
            0.0,
            1.0,
            -1.0,
            5e-324,
            -1.2e-310,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            0.1,
            2.0_f64.powi(-600),
        ] {
            assert_eq!(Real::from(x).to_f64(), x);
        }
        assert_eq!(Real::from(f64::INFINITY), Real::INFINITY);
    }

    #[test]
    fn subnormal_doubles_are_rounded_once() {
        let (step, speck) = (f64::EPSILON, 2.0_f64.powi(-60));
        // 2^51 + 0.5 and a little more, or 2^51 + 1.5 and a little less, in units of the smallest subnormal.
        let units = |hi: f64, lo: f64| Real::new(hi, lo, -1023).to_f64().to_bits() - (1 << 51);
        assert_eq!(units(1.0 + step, speck), 1);
        assert_eq!(units(1.0 + step, 0.0), 0);
        assert_eq!(units(1.0 + 3.0 * step, -speck), 1);
        assert_eq!(units(1.0 + 3.0 * step, 0.0), 2);
    }

    #[test]
    fn a_sum_keeps_what_the_larger_part_hides() {
        let tiny = Real::ONE.scaled(-70);
        assert_eq!((real("1") + tiny) - real("1"), tiny);
        assert_eq!(Real::from(1e308) + Real::from(1e308), Real::from(1e308).scaled(1));
        assert_eq!(real("1") + real("1e-300"), Real::ONE);
        assert!((real("0.3") - real("0.3")).is_zero());
    }
}

mod ruler {
    use super::*;

    const TINY_32: f32 = f32::from_bits(1);
    const TINY_64: f64 = f64::from_bits(1);

    #[test]
    fn at_zero_the_unit_is_the_smallest_subnormal() {
        assert_eq!(ulp_error(0.0_f32, 0.0, 0.0), 0.0);
        assert_eq!(ulp_error(-0.0_f32, 0.0, 0.0), 0.0);
        assert_eq!(ulp_error(TINY_32, 0.0, 0.0), 1.0);
        assert_eq!(ulp_error(-3.0 * TINY_64, 0.0, 0.0), 3.0);
        assert_eq!(ulp_error_in(ulp::F16, 2.0_f64.powi(-24), Real::ZERO), 1.0);
        assert_eq!(ulp_error_in(ulp::BF16, 2.0_f64.powi(-133), Real::ZERO), 1.0);
        assert_eq!(ulp_error(1.0_f64, 0.0, 0.0), f64::INFINITY);
    }

    #[test]
    fn subnormals_share_one_unit() {
        let unit = f64::from(TINY_32);
        assert_eq!(ulp_error(0.0_f32, 0.5 * unit, 0.0), 0.5);
        assert_eq!(ulp_error(TINY_32, 1.25 * unit, 0.0), 0.25);
        assert_eq!(ulp_error(7.0 * TINY_32, 9.0 * unit, 0.0), 2.0);
        assert_eq!(ulp_error(f32::MIN_POSITIVE, f64::from(f32::MIN_POSITIVE) - unit, 0.0), 1.0);
        assert_eq!(
            ulp_error(f32::MIN_POSITIVE.next_down(), f64::from(f32::MIN_POSITIVE), 0.0),
            1.0
        );
        assert_eq!(ulp_error(0.0_f32, 1e-200, 0.0), 1e-200 / unit);
        // A pair cannot hold a quarter of the smallest double, a real can.
        let quarter = Real::from(TINY_64).scaled(-2);
        assert_eq!(ulp_error_real(0.0_f64, quarter), 0.25);
        assert_eq!(ulp_error_real(TINY_64, quarter), 0.75);
        assert_eq!(ulp_error_real(3.0 * TINY_64, Real::from(3.0 * TINY_64) + quarter), 0.25);
    }

    #[test]
    fn the_unit_changes_at_a_power_of_two() {
        let (up, down) = (2.0_f64.powi(-23), 2.0_f64.powi(-24));
        assert_eq!(ulp_error(1.0_f32 + f32::EPSILON, 1.0, 0.0), 1.0);
        // One step down from 1 is half a unit of 1.
        assert_eq!(ulp_error(1.0_f32.next_down(), 1.0, 0.0), 0.5);
        // Above: 1 + half a step, still in the binade of 1.
        assert_eq!(ulp_error(1.0_f32, 1.0 + up / 2.0, 0.0), 0.5);
        // Below, far enough to round to a number of the lower binade.
        assert_eq!(ulp_error(1.0_f32, 1.0 - down, 0.0), 1.0);
        assert_eq!(ulp_error(1.0_f32, 1.0 - 0.75 * down, 0.0), 0.75);
        // Below, near enough (ties included) to round to 1: the unit is that of 1.
        assert_eq!(ulp_error(1.0_f32, 1.0 - 0.5 * down, 0.0), 0.25);
        assert_eq!(ulp_error(1.0_f32.next_down(), 1.0 - 0.25 * down, 0.0), 0.375);
        assert_eq!(ulp_error(-1.0_f32.next_down(), -1.0 + 0.25 * down, 0.0), 0.375);
    }

    #[test]
    fn the_low_part_counts() {
        let unit = f64::EPSILON;
        assert_eq!(ulp_error(1.0_f64, 1.0, unit / 4.0), 0.25);
        assert_eq!(ulp_error(1.5_f64, 1.5, -unit / 8.0), 0.125);
        assert_eq!(ulp_error(1.0_f64 + unit, 1.0, unit / 4.0), 0.75);
        // Just below 1, closer than any double: the unit is that of 1.
        assert_eq!(ulp_error(1.0_f64, 1.0, -unit / 16.0), 0.0625);
        assert_eq!(ulp_error(1.0_f64.next_down(), 1.0, -unit / 16.0), 0.4375);
        // A hair below the tie of f32 with 2 it rounds down, and the unit is the lower one.
        let tie = 2.0 - 2.0_f64.powi(-24);
        assert_eq!(ulp_error(2.0_f32, tie, 0.0), 0.25);
        assert_eq!(ulp_error(2.0_f32, tie, -2.0_f64.powi(-60)), 0.5 + 2.0_f64.powi(-37));
        // One eighth of a unit of f32 as well.
        assert_eq!(ulp_error(1.0_f32, 1.0, 2.0_f64.powi(-26)), 0.125);
    }

    #[test]
    fn near_max_infinity_stands_for_the_next_number() {
        let (max, unit) = (f64::from(f32::MAX), 2.0_f64.powi(104));
        assert_eq!(ulp_error(f32::MAX, max, 0.0), 0.0);
        assert_eq!(ulp_error(f32::INFINITY, max, 0.0), 1.0);
        assert_eq!(ulp_error(f32::MAX, max + 0.25 * unit, 0.0), 0.25);
        assert_eq!(ulp_error(f32::INFINITY, max + 0.25 * unit, 0.0), 0.75);
        // From half a unit past MAX on, infinity is the correctly rounded result.
        assert_eq!(ulp_error(f32::INFINITY, max + 0.5 * unit, 0.0), 0.0);
        assert_eq!(ulp_error(f32::MAX, max + 0.5 * unit, 0.0), 0.5);
        assert_eq!(ulp_error(f32::NEG_INFINITY, -1e300, 0.0), 0.0);
        assert_eq!(ulp_error_real(f64::NEG_INFINITY, real("-1e608")), 0.0);
        assert!(ulp_error_real(f64::MIN, real("-1e608")) > 1e300);
        assert!(ulp_error(f32::INFINITY, -1e300, 0.0) > 1e200);
        assert!(ulp_error(f32::INFINITY, 1.0, 0.0) > 1e30);
        assert_eq!(ulp_error_real(f64::INFINITY, Real::from(f64::MAX)), 1.0);
        assert_eq!(ulp_error_in(ulp::F16, f64::INFINITY, Real::from(65504.0)), 1.0);
        assert_eq!(ulp_error_in(ulp::F16, f64::INFINITY, Real::from(65520.0)), 0.0);
        assert_eq!(ulp_error_in(ulp::F16, 65504.0, Real::from(65519.0)), 15.0 / 32.0);
    }

    #[test]
    fn infinities_and_nan_must_match() {
        let infinity = f64::INFINITY;
        assert_eq!(ulp_error(f32::INFINITY, infinity, 0.0), 0.0);
        assert_eq!(ulp_error(f32::NEG_INFINITY, -infinity, 0.0), 0.0);
        assert_eq!(ulp_error(f32::NEG_INFINITY, infinity, 0.0), infinity);
        assert_eq!(ulp_error(f64::MAX, infinity, 0.0), infinity);
        assert_eq!(ulp_error(f64::NAN, f64::NAN, 0.0), 0.0);
        assert_eq!(ulp_error(f64::NAN, 1.0, 0.0), infinity);
        assert_eq!(ulp_error(f32::NAN, infinity, 0.0), infinity);
        assert_eq!(ulp_error(1.0_f32, f64::NAN, 0.0), infinity);
        assert_eq!(ulp_error(f32::INFINITY, f64::NAN, 0.0), infinity);
    }

    #[test]
    fn narrow_formats_have_their_own_unit() {
        assert_eq!(ulp::unit(ulp::F64, Real::ONE), f64::EPSILON);
        assert_eq!(ulp::unit(ulp::F32, Real::ONE), f64::from(f32::EPSILON));
        assert_eq!(ulp::unit(ulp::F16, Real::ONE), 2.0_f64.powi(-10));
        assert_eq!(ulp::unit(ulp::BF16, Real::ONE), 2.0_f64.powi(-7));
        assert_eq!(ulp_error_in(ulp::BF16, 1.0, real("1.00390625")), 0.5);
        assert_eq!(ulp_error_in(ulp::F16, 2.0_f64.powi(-14), Real::from(1023.5).scaled(-24)), 0.5);
    }

    /// Rounding a number to a type never measures more than half a unit, and the neighbours lie one unit apart.
    #[test]
    fn a_correctly_rounded_result_measures_at_most_half() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let want = f64::from_bits(bits ^ bits >> 29);
            if !want.is_finite() {
                continue;
            }
            let got = want as f32;
            assert!(ulp_error(got, want, 0.0) <= 0.5, "{want:e} as f32");
            assert_eq!(ulp_error(want, want, 0.0), 0.0);
            assert_eq!(
                ulp_error(want.next_up(), want, 0.0),
                if want < 0.0 && is_power_of_two(want) { 0.5 } else { 1.0 }
            );
        }
    }

    /// Is the step towards zero half the unit?
    fn is_power_of_two(x: f64) -> bool {
        x.to_bits() << 12 == 0 && x.is_normal() && x.abs() > f64::MIN_POSITIVE
    }

    #[cfg(feature = "half")]
    #[test]
    fn half_types_are_widened() {
        assert_eq!(ulp_error(half::f16::from_f32(1.0), 1.0, 2.0_f64.powi(-11)), 0.5);
        assert_eq!(ulp_error(half::bf16::from_f32(-1.0), -1.0, -2.0_f64.powi(-8)), 0.5);
        assert_eq!(ulp_error(half::f16::INFINITY, f64::INFINITY, 0.0), 0.0);
        assert_eq!(ulp_error(half::bf16::NAN, f64::NAN, 0.0), 0.0);
    }
}

mod oracle_itself {
    use super::*;

    const TOLERANCE: f64 = 1e-24;

    #[test]
    fn agrees_with_the_table() {
        let cases = cases();
        assert!(cases.len() > 200, "only {} cases", cases.len());
        for case in &cases {
            check(case);
        }
    }

    #[test]
    fn the_table_keeps_its_word() {
        for (dtype, format) in [
            (Dtype::F32, ulp::F32),
            (Dtype::F64, ulp::F64),
            (Dtype::F16, ulp::F16),
            (Dtype::Bf16, ulp::BF16),
        ] {
            let cases = cases_of(dtype);
            assert!(cases.len() >= 10, "only {} cases of {dtype:?}", cases.len());
            for case in cases {
                for x in case.logits.iter().filter(|x| x.is_finite()) {
                    let steps = x / ulp::unit(format, Real::from(*x));
                    assert!(
                        steps.fract() == 0.0 && steps.abs() < 2.0_f64.powi(format.precision),
                        "{}: {x:e} as {dtype:?}",
                        case.name
                    );
                }
                let one_tenth = case.name.ends_with("_decimal");
                assert_eq!(
                    dtype == Dtype::F64 && !case.tau_is_double(),
                    one_tenth,
                    "{}: tau",
                    case.name
                );
            }
        }
    }

    fn check(case: &Case) {
        let name = &case.name;
        let got = oracle::row(&case.logits, &case.tau_text);
        let zero = Real::ZERO;
        for (i, &want) in case.softmax.iter().enumerate() {
            close(got.softmax[i], want, zero, TOLERANCE, &format!("{name}: softmax[{i}]"));
            close(
                got.log_softmax[i],
                case.log_softmax[i],
                zero,
                TOLERANCE,
                &format!("{name}: log_softmax[{i}]"),
            );
        }
        let stats = got.stats;
        let top = case.arg_max.map_or(zero, |i| Real::from(case.logits[i]));
        // Where two terms cancel, digits count relative to the terms.
        let shifted = if case.tau.is_zero() || !top.is_finite() { zero } else { top / case.tau };
        let cubes: Real = case
            .logits
            .iter()
            .zip(&case.softmax)
            .filter(|(_, p)| !p.is_zero() && case.mean.is_finite())
            .map(|(&x, &p)| {
                p * (Real::from(x) - case.mean).abs()
                    * (Real::from(x) - case.mean)
                    * (Real::from(x) - case.mean)
            })
            .map(Real::abs)
            .sum();
        for (what, got, want, size) in [
            ("log_sum_exp", stats.log_sum_exp, case.log_sum_exp, shifted),
            ("entropy", stats.entropy, case.entropy, zero),
            ("perplexity", stats.perplexity, case.perplexity, zero),
            ("max_probability", stats.max_probability, case.max_probability, zero),
            ("mean", stats.mean, case.mean, top),
            ("variance", stats.variance, case.variance, zero),
            ("third_moment", stats.third_moment, case.third_moment, cubes),
            ("expected_index", stats.expected_index, case.expected_index, zero),
        ] {
            close(got, want, size, TOLERANCE, &format!("{name}: {what}"));
        }
        assert_eq!(stats.arg_max, case.arg_max, "{name}: arg_max");
    }

    /// A long row has no entry in the table, so it is held against what must be true of any.
    #[test]
    fn long_rows_obey_their_laws() {
        for (classes, tau) in [(1000, "0.07"), (152_064, "0.7")] {
            let logits: Vec<f64> =
                (0..classes).map(|i| f64::from((i as f32 * 0.37).sin() * 9.0 + 100.0)).collect();
            let row = oracle::row(&logits, tau);
            let total: Real = row.softmax.iter().copied().sum();
            close(total, Real::ONE, Real::ZERO, 1e-26, "sum of probabilities");
            for (p, log_p) in row.softmax.iter().zip(&row.log_softmax).step_by(97) {
                close(p.ln(), *log_p, Real::ONE, 1e-27, "ln p");
            }
            let entropy: Real =
                row.softmax.iter().zip(&row.log_softmax).map(|(&p, &l)| -(p * l)).sum();
            close(row.stats.entropy, entropy, Real::ZERO, 1e-26, "entropy");
        }
        let flat = oracle::row(&vec![-7.25; 152_064], "1e-30");
        close(flat.softmax[17], Real::ONE / Real::from(152_064.0), Real::ZERO, 1e-29, "uniform");
        close(
            flat.stats.perplexity,
            Real::from(152_064.0),
            Real::ZERO,
            1e-28,
            "perplexity of a uniform row",
        );
    }

    #[test]
    fn a_temperature_as_a_double_is_that_double() {
        let decimal = oracle::row(&[0.0, 1.0], "0.1");
        let double = oracle::row_f64(&[0.0, 1.0], 0.1);
        let ratio = (double.softmax[0] / decimal.softmax[0] - Real::ONE).to_f64();
        // exp(−1/0.1000000000000000055…) is larger by 10 · 5.55e-17.
        assert!((ratio - 5.55e-16).abs() < 1e-18, "{ratio:e}");
    }
}
