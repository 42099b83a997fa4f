//! A race instead of an inverse: every token draws a time, the first one wins.
//!
//! ```text
//! E_i = −ln u_i,  u_i uniform in (0, 1)       the time of token i is E_i / w_i
//! P(i wins) = w_i / W                         ln w_i − ln E_i is ln w_i with Gumbel noise, so this is Gumbel-max
//! ```
//!
//! u_i is (k + ½)/2^64 for 64 random bits k: E reaches from 2^-65 to 45, both tails sound. Near u = 1 the logarithm is that of
//! what is missing, not of a rounded 1. u_i is a function of the seed, the place and the token's id alone.
//!
//! Departure: E ≥ 1 − u, so a token that is behind with 1 − u needs no logarithm.

use crate::element::Element;
use crate::random::{Purpose, Random};
use crate::sample::draw::Distribution;

/// −ln((k + ½)/2^64).
pub(super) fn exponential(bits: u64) -> f64 {
    const ULP: f64 = 1.0 / 18446744073709551616.0;
    if bits < 1 << 63 {
        -libm::log((bits as f64 + 0.5) * ULP)
    } else {
        -libm::log1p(-((!bits) as f64 + 0.5) * ULP)
    }
}

impl<T: Element> Distribution<'_, T> {
    /// The winner of the race at a place.
    pub(super) fn race(&self, seed: u64, stream: u64, position: u64) -> u32 {
        let place = Random::at(seed, Purpose::Gumbel, stream, position);
        let (mut first, mut winner) = (f64::INFINITY, 0);
        self.each_weighed(|from, weights| {
            for (i, &weight) in weights.iter().enumerate() {
                if weight == 0 {
                    continue;
                }
                let token = (from + i) as u64;
                let bits = place.nth(token);
                let weight = weight as f64;
                let missing = (!bits) as f64 * (1.0 / 18446744073709551616.0);
                if missing > first * weight {
                    continue;
                }
                let time = exponential(bits) / weight;
                if time < first {
                    (first, winner) = (time, token as u32);
                }
            }
        });
        winner
    }
}

#[cfg(test)]
mod tests {
    use super::exponential;

    #[test]
    fn both_tails_are_there() {
        assert_eq!(exponential(0), 65.0 * std::f64::consts::LN_2);
        assert_eq!(exponential(!0), 2f64.powi(-65));
        // Where the two forms meet they agree.
        assert_eq!(exponential((1 << 63) - 1), exponential(1 << 63));
        let half = exponential(1 << 63);
        assert!((half - std::f64::consts::LN_2).abs() < 2e-16, "{half}");
    }
}
