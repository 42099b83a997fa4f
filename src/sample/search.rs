//! The smallest number of which something holds.

use crate::element::Real;

/// The smallest number of the type from LOWEST to `max` for which a condition holds; it holds for `max`, and for all above one
/// for which it does. From a guess on in steps twice as long each time, since it may be 2^60 numbers away where products
/// underflow, and then by halving the numbers in between.
pub(super) fn smallest<R: Real>(max: R, guess: f64, holds: impl Fn(R) -> bool) -> R {
    let (lowest, highest) = (R::LOWEST.ordinal() - 1, max.ordinal());
    let is_held = |place: i64| place >= highest || place > lowest && holds(R::of_ordinal(place));
    let guess = R::of_f64(guess).ordinal().clamp(lowest, highest);
    let (mut below, mut from) = (guess, guess);
    let mut step = 1_i64;
    if is_held(guess) {
        while is_held(below) {
            from = below;
            below = below.saturating_sub(step).max(lowest);
            step = step.saturating_mul(2);
        }
    } else {
        while !is_held(from) {
            below = from;
            from = from.saturating_add(step).min(highest);
            step = step.saturating_mul(2);
        }
    }
    while below + 1 < from {
        let middle = below.midpoint(from);
        if holds(R::of_ordinal(middle)) {
            from = middle;
        } else {
            below = middle;
        }
    }
    R::of_ordinal(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_is_found_from_any_guess() {
        let guesses =
            [f64::NAN, f64::NEG_INFINITY, f64::INFINITY, -1e300, -3.0, -1e-300, 0.0, 2.5, 1e300];
        for max in [-1e38f32, -2.5, -0.0, 1e-40, 0.7, 3e38] {
            for least in [f32::MIN, -1e10, -2.6, -1e-40, 0.0, 0.5, 1e38].map(|x| x.min(max)) {
                for guess in guesses {
                    let got = smallest(max, guess, |x| x >= least);
                    assert_eq!(got.ordinal(), least.ordinal(), "{max}, {least}, {guess}");
                    let (max, least) = (f64::from(max), f64::from(least));
                    assert_eq!(smallest(max, guess, |x| x >= least), least);
                }
                assert_eq!(smallest(max, f64::from(least), |x| x == max), max);
            }
        }
    }
}
