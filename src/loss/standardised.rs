//! Logits as z-scores, `(z_i − mean)/deviation`, and the way back for a gradient.
//!
//! ```text
//! σ² = Σ (z_i − mean)²/D       D = n, or n − 1: both are in use, and not the same
//! dz_i = (g_i − mean g − z'_i Σ g z'/D)/σ
//! ```

use super::distribution::sums;
use crate::scratch::Scratch;

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
    pub(super) logits: Scratch<f64>,
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
        self.count = row.iter().filter(|&&x| there(x)).count() as f64;
        self.divisor = match deviation {
            Deviation::Population => self.count,
            Deviation::Sample => self.count - 1.0,
        };
        // In units of the largest distance from the first: no square of it overflows or is lost.
        let Some(&origin) = row.iter().find(|&&x| there(x)) else { return false };
        let (mut unit, mut is_nan) = (0.0f64, false);
        for &x in row {
            let far = distance(x, origin).abs();
            unit = if far > unit { far } else { unit };
            is_nan |= x.is_nan();
        }
        if !(unit > 0.0 && unit < f64::INFINITY) || is_nan {
            return false;
        }
        let [sum] = sums!(x in row => [distance(x, origin) / unit]);
        let mean = sum / self.count;
        let [squares] = sums!(x in row => {
            let centred = distance(x, origin) / unit - mean;
            [if there(x) { centred * centred } else { 0.0 }]
        });
        let deviation = (squares / self.divisor).sqrt();
        self.inverse = 1.0 / deviation / unit;
        self.logits.resize(row.len(), 0.0);
        for (to, &x) in self.logits.iter_mut().zip(row) {
            let scaled = (distance(x, origin) / unit - mean) / deviation;
            *to = if there(x) { scaled } else { f64::NEG_INFINITY };
        }
        self.inverse > 0.0 && self.inverse < f64::INFINITY
    }

    /// From the gradient in the standardised logits to that in the logits, in place.
    #[inline(always)]
    pub(super) fn back(&self, gradient: &mut [f64]) {
        let [sum, product] = sums!(g in gradient, z in &self.logits => {
            let moment = g * z;
            if there(z) { [g, moment] } else { [0.0, 0.0] }
        });
        let (mean, product) = (sum / self.count, product / self.divisor);
        for (g, &z) in gradient.iter_mut().zip(&self.logits) {
            let back = (*g - mean - z * product) * self.inverse;
            *g = if there(z) { back } else { 0.0 };
        }
    }
}

#[inline(always)]
fn there(x: f64) -> bool {
    x != f64::NEG_INFINITY
}

/// How far an entry is from the first, 0 where it is masked.
#[inline(always)]
fn distance(x: f64, origin: f64) -> f64 {
    if there(x) { x - origin } else { 0.0 }
}
