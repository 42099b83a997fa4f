//! How probable a count or a sum of squares is that is as large: the tails of the Poisson and χ² distributions.
//!
//! ```text
//! Q(a, x) = Γ(a, x) / Γ(a)      P(χ² with k degrees ≥ x) = Q(k/2, x/2)      P(Poisson(λ) ≤ n) = Q(n + 1, λ)
//! ```
//!
//! Below x = a + 1 by the series of 1 − Q, above it by the continued fraction, in whichever nothing cancels.
//!
//! Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 1964, 6.5.29, 6.5.31, 26.4.19 and 26.4.21.

use libm::{exp, lgamma, log};

/// The probability that χ² with this many degrees of freedom is at least `x`; 1 where there are none.
pub(super) fn chi_square_at_least(x: f64, degrees: u64) -> f64 {
    if degrees == 0 { 1.0 } else { gamma(degrees as f64 / 2.0, x / 2.0)[1] }
}

/// The probability that a Poisson variable of this mean is at most `count`.
pub(super) fn poisson_at_most(count: u64, mean: f64) -> f64 {
    gamma(count as f64 + 1.0, mean)[1]
}

/// The probability that a Poisson variable of this mean is at least `count`.
pub(super) fn poisson_at_least(count: u64, mean: f64) -> f64 {
    if count == 0 { 1.0 } else { gamma(count as f64, mean)[0] }
}

/// The lower and the upper part of Γ(a), a > 0, as shares that sum to 1.
fn gamma(a: f64, x: f64) -> [f64; 2] {
    if x <= 0.0 {
        return [0.0, 1.0];
    }
    if x == f64::INFINITY {
        return [1.0, 0.0];
    }
    let front = exp(a * log(x) - x - lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * f64::EPSILON / 4.0 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        let lower = (front * sum).min(1.0);
        return [lower, 1.0 - lower];
    }
    // Lentz's way through 1/(x+1−a − 1·(1−a)/(x+3−a − 2·(2−a)/(x+5−a − …))).
    const TINY: f64 = f64::MIN_POSITIVE / f64::EPSILON;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let (mut fraction, mut n) = (d, 0.0);
    loop {
        n += 1.0;
        let numerator = n * (a - n);
        b += 2.0;
        let nonzero = |x: f64| if x.abs() < TINY { TINY } else { x };
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
        // Neighbours of 1 that the product hops between: it has converged all the same.
        if n > 1e6 {
            break;
        }
    }
    let upper = (front * fraction).min(1.0);
    [1.0 - upper, upper]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(got: f64, exact: f64, relative: f64) {
        assert!((got - exact).abs() <= relative * exact, "{got:e}, not {exact:e}");
    }

    /// Exact values from mpmath at 50 digits: gammainc(k/2, x/2, inf, regularized=True).
    #[test]
    fn tails_of_chi_square() {
        for (x, degrees, exact) in [
            (3.84, 1, 0.050043521248705106),
            (0.01, 1, 0.920344325445942),
            (1.0, 2, 0.6065306597126334),
            (18.3, 10, 0.05010906141146245),
            (250.0, 10, 5.427833960969281e-48),
            (99.0, 100, 0.5094721987983741),
            (150.0, 100, 0.0009039320423540091),
            (1000.0, 999, 0.48513148927490146),
            (20500.0, 20000, 0.006517863488342559),
            (19000.0, 20000, 0.9999998137545348),
            (260000.0, 262143, 0.9984954975321574),
        ] {
            close(chi_square_at_least(x, degrees), exact, 1e-13 + 1e-15 * degrees as f64 * 20.0);
        }
        assert_eq!(chi_square_at_least(5.0, 0), 1.0);
        assert_eq!(chi_square_at_least(f64::INFINITY, 3), 0.0);
    }

    /// Exact values from mpmath: sums of exp(−λ)·λ^n/n!.
    #[test]
    fn tails_of_poisson() {
        for (count, mean, at_most, at_least) in [
            (0, 3.0, 0.049787068367863944, 1.0),
            (1, 0.1, 0.9953211598395555, 0.09516258196404043),
            (12, 25.0, 0.0031441216080975876, 0.998584027025919),
            (31, 55.0, 0.00030943010339383096, 0.9998318318153361),
            (55, 55.0, 0.535779064076527, 0.5179328595505799),
            (90, 55.0, 0.999994477399823, 9.276734086601589e-06),
            (1000, 1100.0, 0.0011752305681365554, 0.99894067674607),
        ] {
            close(poisson_at_most(count, mean), at_most, 1e-12);
            close(poisson_at_least(count, mean), at_least, 1e-12);
        }
        assert_eq!((poisson_at_most(0, 0.0), poisson_at_least(0, 3.0)), (1.0, 1.0));
    }
}
