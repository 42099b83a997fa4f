//! Ensemble temperature scaling: a mixture of the distributions at τ, at 1 and at ∞.
//!
//! ```text
//! p = ω₁ softmax(z/τ) + ω₂ softmax(z) + ω₃ uniform,   ω ≥ 0, Σ ω = 1
//! τ: the temperature that is best alone;   ω: greatest L(ω) = Σ w ln (Fω)_i,  F_ij = p_j of row i's label
//! s_ij = F_ij/(Fω)_i,   g = Σ w s,   A = Σ w s sᵀ         gradient and Hessian of L; Aω = g
//! next ω: greatest 2 gᵀω' − ω'ᵀAω'/2 on the simplex, one of its seven faces; then halved until L rises
//! end:    max g_j − Σ w  bounds what L can still rise by
//! ```
//!
//! L is concave, so where it ends is the best. EM, which the ω are often found by, creeps where an ω goes to 0. Newton
//! creeps where an ω of 0 ought to be tiny, for the sake of a row that is all but impossible without it: it doubles at
//! each step. There the best share is looked for by its order of magnitude.

use crate::double::power_of_two;
use crate::element::Element;
use crate::error::Error;
use crate::fit::estimate::{Outcome, TemperatureFit};
use crate::fit::temperature::{FitOptions, fit_temperature};
use crate::interrupt::heed;
use crate::metrics::scores;
use crate::rows::{Labels, Rows};
use crate::softmax::log_softmax_rows;
use crate::temperature::Temperature;

/// Nats per row that a fit may lie above its least value.
const TOLERANCE: f64 = 1e-12;

/// Shares that are said to sum to 1 may miss it by this much.
const SUM_TOLERANCE: f64 = 1e-9;

const MAX_STEPS: u32 = 100;
const MAX_HALVINGS: i32 = 60;

/// ln of the least share that is looked at.
const MIN_LOG_SHARE: f64 = -700.0;

/// `p = ω₁ softmax(z/τ) + ω₂ softmax(z) + ω₃/K`: does not change which class is largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ensemble {
    temperature: Temperature,
    shares: [f64; 3],
}

impl Ensemble {
    /// Of τ, and the shares of τ, of 1 and of the uniform distribution.
    ///
    /// # Errors
    /// [`Error::Target`] for a share that is negative or NaN, or shares whose sum is not 1.
    pub fn new(temperature: Temperature, shares: [f64; 3]) -> Result<Ensemble, Error> {
        if let Some(&got) = shares.iter().find(|share| !(**share >= 0.0)) {
            return Err(Error::Target { what: "a share of", got });
        }
        let got: f64 = shares.iter().sum();
        if !((got - 1.0).abs() <= SUM_TOLERANCE) {
            return Err(Error::Target { what: "shares with the sum", got });
        }
        Ok(Ensemble { temperature, shares: shares.map(|share| share / got) })
    }

    /// τ.
    pub fn temperature(&self) -> Temperature {
        self.temperature
    }

    /// The shares of τ, of 1 and of the uniform distribution; their sum is 1.
    pub fn shares(&self) -> [f64; 3] {
        self.shares
    }

    /// ln p of every row.
    ///
    /// # Shapes
    /// `[rows, classes]` to `[rows, classes]`.
    ///
    /// # Accuracy
    /// Some units in the last place of f64, also where p is close to 1: ln(1 − 4e-10) is −4e-10.
    ///
    /// # Special values
    /// As [`log_softmax`](crate::log_softmax); the uniform distribution is over the entries that are not −∞.
    ///
    /// # Example
    /// ```
    /// use softargmax::{Ensemble, Rows, Temperature};
    ///
    /// let ensemble = Ensemble::new(Temperature::ONE, [0.5, 0.0, 0.5])?;
    /// let log_p = ensemble.log_probabilities(Rows::one(&[f32::INFINITY, 0.0, 0.0, 0.0])?);
    /// assert_eq!(log_p[0], 0.625f64.ln()); // half of 1 and half of a quarter
    /// # Ok::<(), softargmax::Error>(())
    /// ```
    pub fn log_probabilities<T: Element>(&self, logits: Rows<'_, T>) -> Vec<f64> {
        let classes = logits.classes();
        let mut out = Vec::with_capacity(logits.as_slice().len());
        for block in logits.as_slice().chunks((BLOCK / classes).max(1) * classes) {
            heed();
            let wide: Vec<f64> = block.iter().map(|z| z.to_f64()).collect();
            let tempered = |tau| {
                let rows = Rows::new(&wide, classes).expect("whole rows");
                log_softmax_rows(rows, tau).expect("one temperature for all")
            };
            let [a, b, c] =
                [self.temperature, Temperature::ONE, Temperature::INFINITE].map(tempered);
            out.extend(a.iter().zip(&b).zip(&c).map(|((&a, &b), &c)| self.mixed([a, b, c])));
        }
        out
    }

    /// ln Σ ω e^l.
    fn mixed(&self, logs: [f64; 3]) -> f64 {
        let parts = || self.shares.iter().zip(logs).filter(|(share, _)| **share > 0.0);
        let less_one = parts().map(|(share, log)| share * libm::expm1(log)).sum::<f64>();
        if less_one > -0.5 || less_one.is_nan() {
            return libm::log1p(less_one);
        }
        let max = parts().fold(f64::NEG_INFINITY, |max, (_, log)| max.max(log));
        if max == f64::NEG_INFINITY {
            return max;
        }
        max + libm::log(parts().map(|(share, log)| share * libm::exp(log - max)).sum())
    }
}

/// Numbers that are worked on together.
const BLOCK: usize = 1 << 16;

/// The answer of [`fit_ets`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EnsembleFit {
    /// How it ended: as the fit of the temperature did.
    pub outcome: Outcome,
    /// The mixture, where that converged.
    pub ensemble: Option<Ensemble>,
    /// The mean negative log-likelihood under it, in nats; NaN where it did not converge.
    pub nll: f64,
    /// By how many nats per row this may lie above what the best shares give.
    pub tolerance: f64,
    /// What temperature alone makes of the same rows.
    pub temperature: TemperatureFit,
}

/// The mixture `ω₁ softmax(z/τ) + ω₂ softmax(z) + ω₃/K` under which the labels are most likely, at the τ that is best
/// alone: ensemble temperature scaling.
///
/// # Shapes
/// `logits` is `[rows, classes]`, `labels` and `weights` `[rows]`.
///
/// # Accuracy
/// The mean loss is within 1e-12 nats of the least over all shares; where rounding ends the search earlier, which takes
/// a share near 0, `tolerance` says how near it is. The same bits for any number of threads.
///
/// # Special values
/// −∞ is a mask; the uniform distribution is over the others. Where there is no best temperature there is no mixture,
/// and the [`Outcome`] says why.
///
/// # Errors
/// As [`Scan::add`](crate::Scan::add).
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, fit_ets};
///
/// // Mostly sure and right, once sure and wrong: some mass belongs everywhere.
/// let mut logits = [0.0f32, 9.0].repeat(20);
/// logits.extend([0.0, 0.5].repeat(4));
/// let mut labels = vec![1i64; 24];
/// (labels[3], labels[23]) = (0, 0);
/// let fit = fit_ets(Rows::new(&logits, 2)?, Labels::new(&labels, 2)?, None)?;
/// assert!(fit.nll < fit.temperature.estimate.unwrap().nll);
/// assert!(fit.ensemble.unwrap().shares()[2] > 0.05);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Zhang, Kailkhura & Han, "Mix-n-match: ensemble and compositional methods for uncertainty calibration", ICML
/// 2020, section 3.1. The steps: Wang, J. R. Stat. Soc. B 69(2), 2007, eq. 11, for mixtures.
pub fn fit_ets<T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
) -> Result<EnsembleFit, Error> {
    let temperature =
        fit_temperature(logits, labels, &FitOptions { weights, ..FitOptions::default() })?;
    let Some(tau) = temperature.estimate.as_ref().map(|estimate| estimate.temperature) else {
        let (nll, tolerance) = (f64::NAN, f64::NAN);
        let outcome = temperature.outcome;
        return Ok(EnsembleFit { outcome, ensemble: None, nll, tolerance, temperature });
    };
    let at = |tau: Temperature| scores(logits, labels, weights, tau);
    let (own, plain, uniform) = (at(tau)?, at(Temperature::ONE)?, at(Temperature::INFINITE)?);
    let rows = own.iter().zip(&plain).zip(&uniform).map(|((a, b), c)| Row {
        p: [a.nll, b.nll, c.nll].map(|nll| libm::exp(-nll)),
        weight: a.weight,
    });
    let found = most_likely(&rows.collect::<Vec<_>>());
    Ok(EnsembleFit {
        outcome: Outcome::Converged,
        ensemble: Some(Ensemble::new(tau, found.shares)?),
        nll: found.nll,
        tolerance: found.gap,
        temperature,
    })
}

/// What the three give to a row's label.
struct Row {
    p: [f64; 3],
    weight: f64,
}

struct Mixture {
    shares: [f64; 3],
    nll: f64,
    gap: f64,
}

fn most_likely(rows: &[Row]) -> Mixture {
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let mut at = Point::new(rows, [1.0 / 3.0; 3], total);
    for _ in 0..MAX_STEPS {
        if at.gap <= TOLERANCE {
            break;
        }
        // Where some row is nearly impossible without a component, L is no parabola.
        let next = if at.gap > 1.0 { at.to_corner(rows, total) } else { at.stepped(rows, total) };
        match next.or_else(|| at.to_corner(rows, total)) {
            Some(next) => at = next,
            None => break,
        }
    }
    Mixture { shares: at.shares, nll: -at.likelihood / total, gap: at.gap }
}

/// Shares, and what L is like there.
struct Point {
    shares: [f64; 3],
    likelihood: f64,
    gradient: [f64; 3],
    curvature: [[f64; 3]; 3],
    /// What L may rise by, for each unit of weight.
    gap: f64,
}

impl Point {
    fn new(rows: &[Row], shares: [f64; 3], total: f64) -> Point {
        heed();
        let (mut likelihood, mut gradient, mut curvature) = (0.0, [0.0; 3], [[0.0; 3]; 3]);
        for row in rows {
            let p = row.p[0] * shares[0] + row.p[1] * shares[1] + row.p[2] * shares[2];
            likelihood += row.weight * libm::log(p);
            let s = row.p.map(|of| of / p);
            for j in 0..3 {
                gradient[j] += row.weight * s[j];
                for k in 0..3 {
                    curvature[j][k] += row.weight * s[j] * s[k];
                }
            }
        }
        let gap = gradient.iter().fold(0.0, |gap: f64, g| gap.max(g / total - 1.0));
        Point { shares, likelihood, gradient, curvature, gap }
    }

    /// Whether `next` is better; at the end L is flat to the last bit, while the gap still shrinks.
    fn is_worse_than(&self, next: &Point, least_rise: f64) -> bool {
        let rise = next.likelihood - self.likelihood;
        let closer = rise >= -1e-13 * self.likelihood.abs() && next.gap <= self.gap / 2.0;
        closer || (rise > 0.0 && rise >= least_rise)
    }

    /// A Newton step, halved until L rises.
    fn stepped(&self, rows: &[Row], total: f64) -> Option<Point> {
        let best = on_simplex(&self.shares, &self.gradient, &self.curvature);
        let step = [0, 1, 2].map(|j| best[j] - self.shares[j]);
        let slope: f64 = (0..3).map(|j| self.gradient[j] * step[j]).sum();
        (0..MAX_HALVINGS).find_map(|halvings| {
            let length = power_of_two(-halvings);
            // A full step ends on the face, not beside it.
            let moved = [0, 1, 2].map(|j| self.shares[j] + length * step[j]);
            let next = Point::new(rows, if halvings == 0 { best } else { moved }, total);
            self.is_worse_than(&next, 1e-4 * length * slope).then_some(next)
        })
    }

    /// The best share to move to the component that L wants most, whatever its order of magnitude.
    fn to_corner(&self, rows: &[Row], total: f64) -> Option<Point> {
        let at = |share: f64| {
            let mut shares = self.shares.map(|other| other * (1.0 - share));
            shares[self.wanted()] += share;
            Point::new(rows, shares, total)
        };
        let (mut low, mut high) = (MIN_LOG_SHARE, 0.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            let there = at(libm::exp(middle));
            // The slope towards the corner, from there: it falls as the share grows.
            if there.gradient[self.wanted()] > total { low = middle } else { high = middle }
        }
        let next = at(libm::exp(low));
        self.is_worse_than(&next, 0.0).then_some(next)
    }

    fn wanted(&self) -> usize {
        (0..3).fold(0, |best, j| if self.gradient[j] > self.gradient[best] { j } else { best })
    }
}

/// The greatest gᵀ(ω' − ω) − (ω' − ω)ᵀA(ω' − ω)/2 with ω' ≥ 0, Σ ω' = 1: the best of the corners, and of the
/// stationary points of the edges and of the whole that lie inside. As Aω = g, it is stationary where 2g − Aω' is the
/// same for all.
fn on_simplex(from: &[f64; 3], g: &[f64; 3], a: &[[f64; 3]; 3]) -> [f64; 3] {
    let value = |to: &[f64; 3]| {
        let d = [0, 1, 2].map(|j| to[j] - from[j]);
        let of =
            |j: usize| d[j] * (g[j] - (a[j][0] * d[0] + a[j][1] * d[1] + a[j][2] * d[2]) / 2.0);
        of(0) + of(1) + of(2)
    };
    // From corner k, along e_j − e_k: slope and curvatures.
    let slope = |j: usize, k: usize| 2.0 * (g[j] - g[k]) - (a[j][k] - a[k][k]);
    let curve = |i: usize, j: usize, k: usize| a[i][j] - a[i][k] - a[j][k] + a[k][k];
    let mut candidates = vec![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for (j, k) in [(0, 1), (0, 2), (1, 2)] {
        let t = slope(j, k) / curve(j, j, k);
        let mut edge = [0.0; 3];
        (edge[j], edge[k]) = (t, 1.0 - t);
        candidates.push(edge);
    }
    let (aa, ab, bb) = (curve(0, 0, 2), curve(0, 1, 2), curve(1, 1, 2));
    let determinant = aa * bb - ab * ab;
    let s = (slope(0, 2) * bb - slope(1, 2) * ab) / determinant;
    let t = (slope(1, 2) * aa - slope(0, 2) * ab) / determinant;
    candidates.push([s, t, 1.0 - s - t]);
    // What is no number, where components are alike, fails the comparison.
    candidates.retain(|w| w.iter().all(|&w| (0.0..=1.0).contains(&w)));
    let better = |best: [f64; 3], w: [f64; 3]| if value(&w) > value(&best) { w } else { best };
    candidates.into_iter().reduce(better).expect("the corners are inside")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Random};

    /// Against EM, which is slow but cannot go wrong, and against all points of a grid.
    #[test]
    fn shares_are_the_most_likely() {
        for seed in 0..40 {
            let mut random = Random::new(seed, Purpose::Folds, 0);
            // Some components alike, some useless, some rows impossible under two of them.
            let rows: Vec<Row> = (0..3 + random.below(60))
                .map(|_| {
                    let (a, b) = (random.unit(), random.unit());
                    let b = if seed % 4 == 0 { a } else { b };
                    let zero = seed % 3 == 0 && random.below(8) == 0;
                    let p = if zero { [0.0, 0.0, 0.1] } else { [a, b, 0.1 + 0.3 * random.unit()] };
                    Row { p, weight: 1.0 + random.below(3) as f64 }
                })
                .collect();
            let found = most_likely(&rows);
            assert!(found.gap < 1e-9, "{seed}: {}", found.gap);
            let total: f64 = rows.iter().map(|row| row.weight).sum();
            let nll = |shares: &[f64; 3]| -Point::new(&rows, *shares, total).likelihood / total;
            assert!((nll(&found.shares) - found.nll).abs() < 1e-12);
            let mut em = [1.0 / 3.0; 3];
            for _ in 0..2000 {
                let Point { gradient, .. } = Point::new(&rows, em, total);
                em = [0, 1, 2].map(|j| em[j] * gradient[j] / total);
            }
            assert!(found.nll <= nll(&em) + 1e-12, "{seed}: {} {}", found.nll, nll(&em));
            assert!(found.nll >= nll(&em) - 0.02);
            for i in 0..=20 {
                for j in 0..=20 - i {
                    let shares = [i, j, 20 - i - j].map(|k| f64::from(k) / 20.0);
                    assert!(found.nll <= nll(&shares) + 1e-12, "{seed}: {shares:?}");
                }
            }
        }
    }

    #[test]
    fn logarithms_keep_what_a_sure_row_leaves_over() {
        let ensemble = Ensemble::new(Temperature::ONE, [0.25, 0.75, 0.0]).unwrap();
        let sure = ensemble.log_probabilities(Rows::one(&[30.0f64, 0.0]).unwrap());
        // −ln(1 + e^-30)
        assert!((sure[0] / -9.357622968839737e-14 - 1.0).abs() < 1e-14, "{}", sure[0]);
        let ensemble = Ensemble::new(Temperature::ONE, [0.0, 1.0, 0.0]).unwrap();
        let row = [1000.0, 0.0, f64::NEG_INFINITY];
        assert_eq!(
            ensemble.log_probabilities(Rows::one(&row).unwrap()),
            [0.0, -1000.0, f64::NEG_INFINITY]
        );
        assert!(ensemble.log_probabilities(Rows::one(&[f32::NAN, 0.0]).unwrap())[1].is_nan());
    }

    #[test]
    fn shares_are_checked() {
        for shares in [[0.5, 0.5, 0.5], [1.5, -0.5, 0.0], [f64::NAN, 0.5, 0.5], [0.0; 3]] {
            assert!(Ensemble::new(Temperature::ONE, shares).is_err(), "{shares:?}");
        }
    }
}
