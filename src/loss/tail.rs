//! What a truncated teacher kept of some rows, and the mass of a row's tail at a temperature. The idea is in `teacher.rs`.

use super::teacher::TruncatedParts;
use crate::double::Double;
use crate::exp::ln_sum;
use crate::temperature::Temperature;

/// 1/T of the grid, descending, and at last 0.
pub(super) struct Knots {
    pub(super) taus: Vec<f64>,
    pub(super) betas: Vec<f64>,
}

impl Knots {
    pub(super) fn new(temperatures: &[Temperature]) -> Self {
        let betas = temperatures.iter().map(|tau| tau.scale()).chain([0.0]);
        Knots { taus: temperatures.iter().map(|tau| tau.tau()).collect(), betas: betas.collect() }
    }
}

/// What is kept of some rows.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    k: usize,
    grid: usize,
    ids: &'a [u32],
    logits: &'a [f64],
    counts: &'a [u32],
    log_weights: &'a [f64],
    means: &'a [f64],
}

/// What is kept of a row.
#[derive(Clone, Copy)]
pub(super) struct KeptRow<'a> {
    pub(super) ids: &'a [u32],
    pub(super) logits: &'a [f64],
    pub(super) count: u32,
    pub(super) log_weights: &'a [f64],
    pub(super) means: &'a [f64],
}

impl<'a> Kept<'a> {
    pub(super) fn of(parts: &'a TruncatedParts) -> Self {
        Kept {
            k: parts.k,
            grid: parts.temperatures.len(),
            ids: &parts.ids,
            logits: &parts.logits,
            counts: &parts.tail_counts,
            log_weights: &parts.tail_log_weights,
            means: &parts.tail_means,
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> KeptRow<'a> {
        let Kept { k, grid, .. } = *self;
        KeptRow {
            ids: &self.ids[row * k..(row + 1) * k],
            logits: &self.logits[row * k..(row + 1) * k],
            count: self.counts[row],
            log_weights: &self.log_weights[row * grid..(row + 1) * grid],
            means: &self.means[row * (grid + 1)..(row + 1) * (grid + 1)],
        }
    }

    pub(super) fn split_at(self, row: usize) -> (Self, Self) {
        let Kept { k, grid, .. } = self;
        let (ids, ids_right) = self.ids.split_at(row * k);
        let (logits, logits_right) = self.logits.split_at(row * k);
        let (counts, counts_right) = self.counts.split_at(row);
        let (log_weights, log_weights_right) = self.log_weights.split_at(row * grid);
        let (means, means_right) = self.means.split_at(row * (grid + 1));
        let right = Kept {
            ids: ids_right,
            logits: logits_right,
            counts: counts_right,
            log_weights: log_weights_right,
            means: means_right,
            ..self
        };
        (Kept { ids, logits, counts, log_weights, means, ..self }, right)
    }
}

/// The tail of a row at a temperature.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    pub(super) count: f64,
    /// A: the logarithm of the mean weight.
    pub(super) excess: f64,
    /// The mean of (v − v_j)/T over the tail at T: −β A'.
    pub(super) drift: f64,
    /// What the excess is within.
    pub(super) error: f64,
}

#[inline(always)]
pub(super) fn ln_count(count: u32) -> f64 {
    ln_sum(f64::from(count.max(1)), Double::ZERO).hi
}

impl KeptRow<'_> {
    #[inline(always)]
    pub(super) fn top(&self) -> f64 {
        self.logits.iter().fold(f64::NEG_INFINITY, |top, &v| if v > top { v } else { top })
    }

    /// The mean of v_j − v over the tail at T = ∞.
    #[inline(always)]
    pub(super) fn plain_mean(&self) -> f64 {
        self.means[self.log_weights.len()]
    }

    /// The tail at a temperature that is not below the grid; `None` where there is none.
    #[inline(always)]
    pub(super) fn tail(&self, knots: &Knots, tau: Temperature) -> Option<Tail> {
        if self.count == 0 {
            return None;
        }
        let (count, beta) = (f64::from(self.count), tau.scale());
        let grid = self.log_weights.len();
        let excess = |knot: usize| if knot == grid { 0.0 } else { self.log_weights[knot] };
        // The last knot of a temperature that is not above this one; ∞ is that of T = ∞.
        let above = knots.taus.partition_point(|&knot| knot <= tau.tau());
        if tau.is_infinite() {
            return Some(Tail { count, excess: 0.0, drift: 0.0, error: 0.0 });
        }
        let cold = above.saturating_sub(1);
        if knots.taus[cold] == tau.tau() {
            let drift = -knots.betas[cold] * self.means[cold];
            return Some(Tail { count, excess: excess(cold), drift, error: 0.0 });
        }
        let (warm, from) = (cold + 1, knots.betas[cold + 1]);
        let h = knots.betas[cold] - from;
        let s = (beta - from) / h;
        let (start, rise) = (excess(warm), excess(cold) - excess(warm));
        let (of_warm, of_cold) = (h * self.means[warm], h * self.means[cold]);
        let square = 3.0 * rise - 2.0 * of_warm - of_cold;
        let cube = of_warm + of_cold - 2.0 * rise;
        let value = s * (of_warm + s * (square + s * cube));
        let slope = of_warm + s * (2.0 * square + 3.0 * s * cube);
        let upper = s * rise;
        let lower = (s * of_warm).max(rise - (1.0 - s) * of_cold);
        Some(Tail {
            count,
            excess: start + value,
            drift: -beta * (slope / h),
            error: (upper - value).max(value - lower).max(0.0),
        })
    }
}
