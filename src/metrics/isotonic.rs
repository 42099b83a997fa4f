//! The reliability curve without bins: isotonic regression of correct on confidence, and where chance alone puts it.
//!
//! ```text
//! pool adjacent violators:  from the left, one block per confidence;
//!                           while the last block's accuracy is no higher than the one before: merge the two
//! band:                     labels drawn from the confidences, the curve again, quantiles at each place
//! ```
//!
//! Between two blocks the curve is a straight line, as in Dimitriadis, Gneiting & Jordan; before the first confidence
//! and after the last there is none.

use crate::interrupt::heed;
use crate::metrics::bootstrap::central;
use crate::metrics::null::Resampling;
use crate::metrics::ranked::{ranked, ties, weight, weight_of};
use crate::metrics::redraw::{Group, Redraw};
use crate::metrics::score::Score;
use crate::random::{Purpose, Random};

/// A stretch of confidences over which the calibrated confidence is the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The least confidence of its rows.
    pub lower: f64,
    /// The largest confidence of its rows.
    pub upper: f64,
    /// The share of its rows that are correct, by weight: what their confidence should have been.
    pub accuracy: f64,
    /// The weight of its rows.
    pub weight: f64,
}

/// Where the isotonic curve lies, with some probability, if the model is calibrated.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The confidences asked for.
    pub at: Vec<f64>,
    /// Below this with probability (1 − level)/2; NaN where there is no curve.
    pub lower: Vec<f64>,
    /// Above this with probability (1 − level)/2; NaN where there is no curve.
    pub upper: Vec<f64>,
}

/// Neighbours that became one.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Where the next one begins.
    end: usize,
    correct: f64,
    weight: f64,
}

impl Block {
    fn accuracy(&self) -> f64 {
        self.correct / self.weight
    }
}

/// Appends a block and merges as long as accuracy does not rise.
fn push(blocks: &mut Vec<Block>, mut last: Block) {
    while let Some(before) = blocks.pop_if(|before| before.accuracy() >= last.accuracy()) {
        last.correct += before.correct;
        last.weight += before.weight;
    }
    blocks.push(last);
}

/// The isotonic regression of correct on confidence: the non-decreasing function f with the least
/// `Σ w (f(confidence) − correct)²`, as its steps.
///
/// # Shapes
/// Any number of scores to at most as many steps, in order of confidence; the accuracies rise strictly.
///
/// # Accuracy
/// A few roundings of f64. The order of the scores does not show.
///
/// # Special values
/// Rows of one confidence are pooled first. Of no rows, or of weights that are all 0, there are no steps; nor of
/// scores that no row has, such as a NaN.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, Temperature, isotonic, scores};
///
/// let logits = Rows::new(&[0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0], 2)?;
/// let scores = scores(logits, Labels::new(&[0, 1, 0, 1], 2)?, None, Temperature::ONE)?;
/// let steps = isotonic(&scores);
/// // wrong; then right and wrong, which is no rise; then right.
/// assert_eq!(steps.iter().map(|step| step.accuracy).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Ayer et al. 1955 (pooling); as a reliability curve: Dimitriadis, Gneiting & Jordan 2021, "Stable reliability
/// diagrams for probabilistic classifiers", PNAS 118(8).
pub fn isotonic(scores: &[Score]) -> Vec<Step> {
    ranked(scores).map_or(Vec::new(), |rows| steps(&rows))
}

/// [`isotonic`] of ranked rows.
pub(super) fn steps(rows: &[Score]) -> Vec<Step> {
    let mut blocks = Vec::new();
    let mut end = 0;
    for tie in ties(rows) {
        end += tie.len();
        push(&mut blocks, Block { end, correct: weight_of(tie, true), weight: weight(tie) });
    }
    let mut first = 0;
    let step = |block: &Block| {
        let (lower, upper) = (rows[first].confidence, rows[block.end - 1].confidence);
        first = block.end;
        Step { lower, upper, accuracy: block.accuracy(), weight: block.weight }
    };
    blocks.iter().map(step).collect()
}

/// A place on the curve: so far from one group to the next.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: usize,
    part: f64,
}

impl Place {
    fn of(at: f64, groups: &[Group]) -> Option<Place> {
        let group = groups.partition_point(|group| group.lower <= at).checked_sub(1)?;
        let upper = groups[group].upper;
        if at <= upper {
            return Some(Place { group, part: 0.0 });
        }
        let next = groups.get(group + 1)?;
        Some(Place { group, part: (at - upper) / (next.lower - upper) })
    }

    fn value(&self, curve: &[f64]) -> f64 {
        let here = curve[self.group];
        if self.part == 0.0 { here } else { here + self.part * (curve[self.group + 1] - here) }
    }
}

/// The consistency band: where [`isotonic`] lies at each place with probability `level`, if every label is
/// drawn from its row's confidence.
///
/// Around the diagonal, that is; a curve that leaves the band there says more than chance does. Each place by
/// itself: over the whole width a calibrated curve leaves a 95 % band somewhere more often than once in 20.
///
/// # Shapes
/// As many bounds as places, in their order.
///
/// # Accuracy
/// Each confidence is drawn by itself up to 2048 rows; of more, neighbours are drawn together where this cannot be seen
/// (the bounds then move by less than from one seed to the next). The bounds are order statistics of the replicates:
/// with fewer than 2/(1 − level) of them they are the least and the largest seen.
///
/// # Special values
/// A bound is NaN where there is no curve: before the first and after the last confidence, and everywhere when
/// there are no rows, no replicates, or scores that no row has; and when the level is not between 0 and 1.
///
/// # Example
/// ```
/// use softargmax::{Labels, Resampling, Rows, Temperature, consistency_band, scores};
///
/// let logits: Vec<f64> = (0..200).flat_map(|i| [0.0, f64::from(i) / 50.0]).collect();
/// let labels = [1; 200];
/// let scores = scores(Rows::new(&logits, 2)?, Labels::new(&labels, 2)?, None, Temperature::ONE)?;
/// let band = consistency_band(&scores, &[0.4, 0.75], 0.95, &Resampling::default());
/// assert!(band.lower[0].is_nan());
/// assert!(band.lower[1] > 0.5 && band.lower[1] < 0.75 && band.upper[1] > 0.75 && band.upper[1] < 0.9);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Dimitriadis, Gneiting & Jordan 2021, section "Uncertainty quantification"; Bröcker & Smith 2007.
pub fn consistency_band(scores: &[Score], at: &[f64], level: f64, options: &Resampling) -> Band {
    let nan = vec![f64::NAN; at.len()];
    let mut band = Band { at: at.to_vec(), lower: nan.clone(), upper: nan };
    let Some(redraw) = Redraw::new(scores, 1.0 / 512.0) else { return band };
    let places: Vec<_> = at.iter().map(|&at| Place::of(at, &redraw.groups)).collect();
    let mut blocks = Vec::with_capacity(redraw.groups.len());
    let mut curve = vec![0.0; redraw.groups.len()];
    // All replicates of a place are needed at once. So many places at a time, and the same draws again for more.
    let replicates = options.replicates as usize;
    for first in (0..at.len()).step_by(PLACES) {
        let places = &places[first..at.len().min(first + PLACES)];
        let mut values = vec![f64::NAN; places.len() * replicates];
        for replicate in 0..replicates {
            heed();
            let mut random = Random::new(options.seed, Purpose::ConsistencyBand, replicate as u64);
            redraw_curve(&redraw, &mut random, &mut blocks, &mut curve);
            for (of_place, place) in values.chunks_exact_mut(replicates).zip(places) {
                if let Some(place) = place {
                    of_place[replicate] = place.value(&curve);
                }
            }
        }
        for (i, of_place) in values.chunks_exact_mut(replicates.max(1)).enumerate() {
            [band.lower[first + i], band.upper[first + i]] = central(of_place, level);
        }
    }
    band
}

const PLACES: usize = 4096;

/// The isotonic curve at each group, for labels drawn anew.
fn redraw_curve(redraw: &Redraw, random: &mut Random, blocks: &mut Vec<Block>, curve: &mut [f64]) {
    blocks.clear();
    for (i, group) in redraw.groups.iter().enumerate() {
        let correct = group.expected + group.residual(random);
        // The two may cancel to a rounding below 0 or above the weight.
        let correct = correct.clamp(0.0, group.weight);
        push(blocks, Block { end: i + 1, correct, weight: group.weight });
    }
    let mut first = 0;
    for block in blocks {
        curve[first..block.end].fill(block.accuracy());
        first = block.end;
    }
}
