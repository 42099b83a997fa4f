//! Logits as z-scores, `(z_i − mean)/deviation`, and the way back for a gradient.
//!
//! ```text
//! σ² = Σ (z_i − mean)²/D       D = n, or n − 1: both are in use, and not the same
//! dz_i = (g_i − mean g − z'_i Σ g z'/D)/σ
//! ```

use super::distribution::sums;

/// By which standard deviation logits are divided. The formula of the paper has the first, its authors' code and
/// torchdistill the second (PyTorch's default).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// Of the population, ddof = 0: `√(Σ (z − mean)²/n)`.
    Population,
    /// Of a sample, ddof = 1: `√(Σ (z − mean)²/(n − 1))`.
    Sample,
}

/// A standardised row; its buffer serves row after row. Masked entries stay −∞ and are not counted.
#[derive(Default)]
pub(super) struct Standardised {
    pub(super) logits: Vec<f64>,
    count: f64,
    /// D.
    divisor: f64,
    /// 1/σ.
    inverse: f64,
}

impl Standardised {
    /// `false` where there is no deviation to divide by: logits all the same, one class, or not numbers.
    #[inline(always)]
    pub(super) fn fill(&mut self, row: &[f64], deviation: Deviation) -> bool {
        let there = |x: f64| x != f64::NEG_INFINITY;
        self.count = row.iter().filter(|&&x| there(x)).count() as f64;
        self.divisor = match deviation {
            Deviation::Population => self.count,
            Deviation::Sample => self.count - 1.0,
        };
        // In units of the largest distance from the first: no square of it overflows or is lost.
        let Some(&origin) = row.iter().find(|&&x| there(x)) else { return false };
        let distance = |x: f64| if there(x) { x - origin } else { 0.0 };
        let unit = row.iter().fold(0.0f64, |unit, &x| unit.max(distance(x).abs()));
        if !(unit > 0.0 && unit < f64::INFINITY) || row.iter().any(|x| x.is_nan()) {
            return false;
        }
        let of = |i: usize| distance(row[i]) / unit;
        let mean = sums(row.len(), |i| [of(i)])[0] / self.count;
        let square = |i: usize| if there(row[i]) { (of(i) - mean) * (of(i) - mean) } else { 0.0 };
        let deviation = (sums(row.len(), |i| [square(i)])[0] / self.divisor).sqrt();
        self.inverse = 1.0 / deviation / unit;
        self.logits.clear();
        self.logits.extend(
            (0..row.len()).map(|i| {
                if there(row[i]) { (of(i) - mean) / deviation } else { f64::NEG_INFINITY }
            }),
        );
        self.inverse > 0.0 && self.inverse < f64::INFINITY
    }

    /// From the gradient in the standardised logits to that in the logits, in place.
    #[inline(always)]
    pub(super) fn back(&self, gradient: &mut [f64]) {
        let there = |i: usize| self.logits[i] != f64::NEG_INFINITY;
        let [sum, product] = sums(gradient.len(), |i| {
            if there(i) { [gradient[i], gradient[i] * self.logits[i]] } else { [0.0, 0.0] }
        });
        let (mean, product) = (sum / self.count, product / self.divisor);
        for (i, g) in gradient.iter_mut().enumerate() {
            *g = if there(i) { (*g - mean - self.logits[i] * product) * self.inverse } else { 0.0 };
        }
    }
}
