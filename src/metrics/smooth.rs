//! Calibration error with a kernel in place of bins, and no bandwidth to choose.
//!
//! ```text
//! r(t) = Σ w_i K_σ(t, p_i) (correct_i − p_i) / Σ w      K_σ: Gaussian, reflected at 0 and at 1
//! smECE_σ = ∫ |r(t)| dt over [0, 1]                      falls as σ grows
//! smECE = smECE_σ* = σ*                                  the one σ at which the two are equal
//! ```
//!
//! On a mesh, in time that does not grow with the rows but for one pass:
//!
//! ```text
//! residuals → nodes:  each to its two neighbours, in proportion      4097 nodes, spacing h = 1/4096
//! coarser meshes:     (½, 1, ½) and every other node, which is where the rows would have gone themselves
//! smECE_σ:            the coarsest mesh with h ≤ σ/8; weights of the kernel up to 5σ; trapezoidal rule
//! σ*:                 at most Σ |residual of a node|, by false position in ln σ
//! ```
//!
//! Sharing a residual between two nodes spreads it, in the mean over places by a variance of h²/6: the kernel has so
//! much less. What the mesh leaves is then below 2e-3 of σ* where h ≤ σ*/8 (6e-4 was the most that `tests/curves` met),
//! and below h where σ* is so small that no mesh has that.

use crate::interrupt::heed;
use crate::metrics::kolmogorov::BinFree;
use crate::metrics::null::{Null, Resampling};
use crate::metrics::ranked::{residual, weight};
use crate::metrics::redraw::Redraw;
use crate::metrics::score::Score;
use crate::random::{Purpose, Random};

/// The cells of the finest mesh, and of the coarsest.
const FINEST: usize = 4096;
const COARSEST: usize = 64;
/// How many cells a bandwidth has at least, on all meshes but the finest.
const CELLS: f64 = 8.0;
/// The bandwidth up to which the finest mesh does not smooth at all: √(1/6) of a cell.
const WITHIN_A_NODE: f64 = 0.408248290463863 / FINEST as f64;
/// Where the kernel is cut off, in bandwidths: 6e-7 of it is beyond.
const REACH: f64 = 5.0;

/// The smooth calibration error of the top label: `∫ |Σ w K_σ(t, confidence) (correct − confidence)| dt / Σ w` at
/// the bandwidth σ of a reflected Gaussian kernel K at which it equals σ.
///
/// # Shapes
/// Any number of scores to one number from 0 to 1.
///
/// # Accuracy
/// Within 2e-3 of itself where it is above 0.002, within 1/4096 below. A null's replicates are computed in the same
/// way, so this is not what tells them apart. The order of the scores does not show.
///
/// # Special values
/// 0 where no residual is left, as with confidences of exactly 1 that are right. All NaN for no rows, or scores that no
/// row has.
///
/// # Example
/// ```
/// use softargmax::{Labels, Resampling, Rows, Temperature, scores, smooth_calibration_error};
///
/// // Confidence 3/4 in every row, and right in one of two.
/// let logits = [0.0, 3f64.ln(), 0.0, 3f64.ln()];
/// let scores = scores(Rows::new(&logits, 2)?, Labels::new(&[0, 1], 2)?, None, Temperature::ONE)?;
/// let smooth = smooth_calibration_error(&scores, &Resampling::default());
/// assert!((smooth.value - 0.25).abs() < 1e-12);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Błasiok & Nakkiran 2023, "Smooth ECE: principled reliability diagrams via kernel smoothing", ICLR 2024, definition
/// of smECE in section 3 (the reflected kernel, as there, not their plots' kernel in the logit).
pub fn smooth_calibration_error(scores: &[Score], options: &Resampling) -> BinFree {
    // A group no wider than a cell: the rows of one are at one place.
    let Some(redraw) = Redraw::new(scores, 1.0 / FINEST as f64) else { return BinFree::nan() };
    let total = weight(&redraw.rows);
    let mut mesh = Mesh::new();
    for row in &redraw.rows {
        mesh.add(row.confidence, residual(row));
    }
    let value = mesh.fixed_point(total);
    let mut replicates: Vec<f64> = (0..options.replicates)
        .map(|replicate| {
            heed();
            let mut random = Random::new(options.seed, Purpose::SmoothNull, replicate.into());
            mesh.clear();
            for group in &redraw.groups {
                mesh.add(group.expected / group.weight, group.residual(&mut random));
            }
            mesh.fixed_point(total)
        })
        .collect();
    BinFree { value, null: Null::of(value, &mut replicates) }
}

/// Residuals at the nodes of meshes of 4096, 2048, … 64 cells, and room to work in.
struct Mesh {
    levels: Vec<Vec<f64>>,
    extended: Vec<f64>,
    kernel: Vec<f64>,
    smoothed: Vec<f64>,
}

impl Mesh {
    fn new() -> Mesh {
        let cells = std::iter::successors(Some(FINEST), |&cells| Some(cells / 2));
        let levels = cells.take_while(|&cells| cells >= COARSEST).map(|cells| vec![0.0; cells + 1]);
        Mesh {
            levels: levels.collect(),
            extended: Vec::new(),
            kernel: Vec::new(),
            smoothed: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.levels[0].fill(0.0);
    }

    fn add(&mut self, at: f64, residual: f64) {
        let place = at * FINEST as f64;
        let cell = (place as usize).min(FINEST - 1);
        let part = place - cell as f64;
        self.levels[0][cell] += residual * (1.0 - part);
        self.levels[0][cell + 1] += residual * part;
    }

    fn coarsen(&mut self) {
        for i in 1..self.levels.len() {
            let (finer, coarser) = self.levels.split_at_mut(i);
            let finer = &finer[i - 1];
            for (k, node) in coarser[0].iter_mut().enumerate() {
                let left = if k > 0 { finer[2 * k - 1] } else { 0.0 };
                let right = finer.get(2 * k + 1).unwrap_or(&0.0);
                *node = finer[2 * k] + 0.5 * (left + right);
            }
        }
    }

    /// The σ that smECE_σ equals, where all rows weigh `total`.
    fn fixed_point(&mut self, total: f64) -> f64 {
        self.levels[0].iter_mut().for_each(|residual| *residual /= total);
        self.coarsen();
        let least = self.levels[0].iter().sum::<f64>().abs();
        let most: f64 = self.levels[0].iter().map(|residual| residual.abs()).sum();
        // Residuals of one sign, which no σ makes cancel, and a σ at which the kernel is within one node.
        if !(most - least > 1e-12 * most && most > WITHIN_A_NODE) {
            return most;
        }
        // ln (smECE_σ/σ) falls with ln σ, by 1 where residuals are of one sign and by 3/2 where they are noise.
        let (mut low, mut at_low) = (libm::log(WITHIN_A_NODE), libm::log(most / WITHIN_A_NODE));
        let (mut high, mut at_high) = (libm::log(most), libm::log(self.error(most) / most));
        let mut before = 0.0;
        loop {
            let middle = low + (high - low) * (at_low / (at_low - at_high));
            let sigma = libm::exp(middle);
            let at_middle = libm::log(self.error(sigma) / sigma);
            // Also where rounding has made an end of it.
            if !(at_middle.abs() > 1e-10 && low < middle && middle < high) {
                return sigma;
            }
            // An end that stays twice is taken for half as far off, or it might stay for ever (the "Illinois" rule,
            // Dowell & Jarratt 1971).
            let stays = if at_middle * before > 0.0 { 0.5 } else { 1.0 };
            if at_middle > 0.0 {
                (low, at_low, at_high) = (middle, at_middle, stays * at_high);
            } else {
                (high, at_high, at_low) = (middle, at_middle, stays * at_low);
            }
            before = at_middle;
        }
    }

    /// smECE_σ.
    fn error(&mut self, sigma: f64) -> f64 {
        let enough = |level: &&Vec<f64>| (level.len() - 1) as f64 * sigma >= CELLS;
        let residuals = self.levels.iter().rev().find(enough).unwrap_or(&self.levels[0]);
        let cells = residuals.len() - 1;
        let variance = (sigma * cells as f64).powi(2) - 1.0 / 6.0; // in cells
        self.kernel.clear();
        self.kernel.push(1.0);
        if variance > 0.0 {
            let reach = (REACH * variance.sqrt()).ceil() as usize;
            let weight = |k| libm::exp(-0.5 * (k * k) as f64 / variance);
            self.kernel.extend((1..=reach).map(weight));
        }
        let sum = self.kernel[0] + 2.0 * self.kernel[1..].iter().sum::<f64>();
        self.kernel.iter_mut().for_each(|weight| *weight /= sum);

        // The residuals and their images in the mirrors at the first and the last node; what lies on a mirror
        // lies on its image.
        let reach = self.kernel.len() - 1;
        let image = |k: isize| {
            let folded = k.rem_euclid(2 * cells as isize) as usize;
            let node = folded.min(2 * cells - folded);
            if node == 0 || node == cells { 2.0 * residuals[node] } else { residuals[node] }
        };
        self.extended.clear();
        self.extended.extend((-(reach as isize)..0).map(image));
        self.extended.push(2.0 * residuals[0]);
        self.extended.extend_from_slice(&residuals[1..cells]);
        self.extended.extend((cells as isize..=(cells + reach) as isize).map(image));

        self.smoothed.clear();
        let center = &self.extended[reach..=reach + cells];
        self.smoothed.extend(center.iter().map(|residual| residual * self.kernel[0]));
        for (k, weight) in self.kernel.iter().enumerate().skip(1) {
            let left = &self.extended[reach - k..=reach - k + cells];
            let right = &self.extended[reach + k..=reach + k + cells];
            for ((sum, left), right) in self.smoothed.iter_mut().zip(left).zip(right) {
                *sum += weight * (left + right);
            }
        }
        // As the trapezoidal rule does it also where r changes its sign: right in the mean over where that is.
        let ends = self.smoothed[0].abs() + self.smoothed[cells].abs();
        self.smoothed.iter().map(|sum| sum.abs()).sum::<f64>() - 0.5 * ends
    }
}
