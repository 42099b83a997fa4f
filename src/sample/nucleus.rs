//! Sums over a row that a filter needs: where about a mass is reached, for top-p, and moments, for top-nσ.
//!
//! ```text
//! a sample of the row     the largest of each block, for themselves, and 16 of the others, for sixteen each
//! bucket of a logit       (m − x)·const, 1024 of them over the sample
//! mass of a bucket        about Σ exp((x − m)/τ)
//! ```
//!
//! The sample guides and decides nothing: what it says is where to look, and what is found there is summed exactly. Should
//! it be wrong, the look widens.

use crate::element::Real;
use crate::exp::{power_for_sums, rounded_for_sums};
use crate::sample::weights::{BLOCK, Cut, Scale};
use crate::simd::{Kernel, Simd, dispatch};
use crate::softmax::row::{LANES, sum_of_lanes};

const BUCKETS: usize = 1024;
/// As in `weights.rs`, for f32.
const ROUND: f32 = 12_582_912.0;

/// What a sample says about the mass of a row.
#[derive(Debug, Default)]
pub(super) struct Guide {
    /// The distances of the sample to the largest logit, ∞ for what is not kept, and their weights and buckets.
    distances: Vec<f32>,
    weights: Vec<f32>,
    buckets: Vec<u32>,
    masses: Vec<f64>,
    total: f64,
    max: f64,
    /// Buckets for each unit of the logits; 0 where there is one bucket.
    fineness: f64,
}

impl Guide {
    /// Looks at what a cut keeps.
    pub(super) fn look<R: Real>(&mut self, row: &[R], maxima: &[R], scale: Scale<R>, cut: Cut<R>) {
        let others = maxima.len() * LANES;
        let Guide { distances, weights, buckets, masses, .. } = self;
        distances.resize(others + maxima.len(), 0.0);
        weights.resize(distances.len(), 0.0);
        buckets.resize(distances.len(), 0);
        let furthest = R::run(Measure { row, maxima, max: R::of_f64(scale.max), cut, distances });
        self.max = scale.max;
        self.fineness =
            if furthest > 0.0 { (BUCKETS - 1) as f64 / f64::from(furthest) } else { 0.0 };
        let (factor, fineness) = (scale.factor as f32, self.fineness as f32);
        dispatch(Place { distances, factor, fineness, weights, buckets });
        masses.clear();
        masses.resize(BUCKETS, 0.0);
        let alike = (BLOCK / LANES) as f64;
        for (&weight, &bucket) in weights[..others].iter().zip(&*buckets) {
            masses[bucket as usize] += f64::from(weight) * alike;
        }
        for (&weight, &bucket) in weights[others..].iter().zip(&buckets[others..]) {
            masses[bucket as usize] += f64::from(weight);
        }
        // One after the other, each would wait for the one before.
        let mut lanes = [0.0; LANES];
        for chunk in masses.as_chunks::<LANES>().0 {
            lanes.iter_mut().zip(chunk).for_each(|(lane, mass)| *lane += mass);
        }
        self.total = sum_of_lanes(lanes);
    }

    /// The bucket with which a share of the mass is reached, from the top.
    pub(super) fn reaching(&self, share: f64) -> usize {
        self.below(0, share)
    }

    /// The bucket with which a share of the mass is reached, from a bucket down.
    pub(super) fn below(&self, bucket: usize, share: f64) -> usize {
        let mut missing = share * self.total;
        let reached = self.masses[bucket..].iter().position(|mass| {
            missing -= mass;
            missing <= 0.0
        });
        reached.map_or(BUCKETS - 1, |steps| bucket + steps)
    }

    /// The same from a bucket up; none where the top comes first.
    pub(super) fn above(&self, bucket: usize, share: f64) -> Option<usize> {
        let mut missing = share * self.total;
        self.masses[..=bucket].iter().rposition(|mass| {
            missing -= mass;
            missing <= 0.0
        })
    }

    /// The logit where a bucket ends, below; that of the cut for the last bucket.
    pub(super) fn end<R: Real>(&self, bucket: usize, cut: Cut<R>) -> R {
        if bucket + 1 >= BUCKETS || self.fineness == 0.0 {
            return cut.value;
        }
        let end = R::of_f64(self.max - (bucket as f64 + 0.5) / self.fineness);
        if end > cut.value { end } else { cut.value }
    }
}

/// Takes the sample; the largest distance in it. What else it takes of a block are sixteen neighbours, elsewhere in the next
/// block.
pub(crate) struct Measure<'a, R> {
    row: &'a [R],
    maxima: &'a [R],
    max: R,
    cut: Cut<R>,
    distances: &'a mut [f32],
}

impl<R: Real> Kernel for Measure<'_, R> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f32 {
        let Measure { row, maxima, max, cut, distances } = self;
        let (others, largest) = distances.split_at_mut(maxima.len() * LANES);
        let (others, _) = others.as_chunks_mut::<LANES>();
        let mut furthest = [0.0; LANES];
        for ((out, block), (b, &below)) in
            others.iter_mut().zip(row.chunks(BLOCK)).zip(maxima.iter().enumerate())
        {
            let (chunks, _) = block.as_chunks::<LANES>();
            match chunks.get(b * 7 % (BLOCK / LANES)) {
                Some(chunk) => (*out, furthest) = measured(chunk, max, cut.value, below, furthest),
                None => *out = [f32::INFINITY; LANES],
            }
        }
        for (out, &x) in largest.iter_mut().zip(maxima) {
            *out = if x >= cut.value { (max - x).to_f64() as f32 } else { f32::INFINITY };
        }
        let of_largest = largest.iter().filter(|&&d| d < f32::INFINITY);
        furthest.iter().chain(of_largest).fold(0.0, |m, &d| if d > m { d } else { m })
    }
}

#[inline(always)]
fn measured<R: Real>(
    chunk: &[R; LANES],
    max: R,
    least: R,
    below: R,
    furthest: [f32; LANES],
) -> ([f32; LANES], [f32; LANES]) {
    let (mut distances, mut further) = ([f32::INFINITY; LANES], furthest);
    for i in 0..LANES {
        let distance = (max - chunk[i]).to_f64() as f32;
        let is_kept = (chunk[i] >= least) & (chunk[i] < below) & (distance < f32::INFINITY);
        distances[i] = if is_kept { distance } else { f32::INFINITY };
        further[i] = if is_kept & (distance > furthest[i]) { distance } else { furthest[i] };
    }
    (distances, further)
}

/// About the weights of the sample, and their buckets.
struct Place<'a> {
    distances: &'a [f32],
    factor: f32,
    fineness: f32,
    weights: &'a mut [f32],
    buckets: &'a mut [u32],
}

impl Kernel for Place<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Place { distances, factor, fineness, weights, buckets } = self;
        for ((&distance, weight), bucket) in distances.iter().zip(weights).zip(buckets) {
            let is_kept = distance < f32::INFINITY;
            let distance = if is_kept { distance } else { 0.0 };
            let z = distance * -factor;
            let (rounded, r) = rounded_for_sums(if z > -60.0 { z } else { -60.0 });
            *weight = if is_kept { power_for_sums(rounded, r) } else { 0.0 };
            *bucket = (distance * fineness + ROUND).to_bits() & (BUCKETS - 1) as u32;
        }
    }
}

/// The standard deviation of the finite logits, around their mean, in logits.
pub(super) fn deviation<R: Real>(row: &[R], max: f64) -> f64 {
    let mut sums = [[0.0; LANES]; 3];
    R::run(Moments { row, max: R::of_f64(max), sums: &mut sums });
    let [count, sum, squares] = sums.map(sum_of_lanes);
    let mean = sum / count;
    // Rounding can make a variance of nothing negative.
    (squares / count - mean * mean).max(0.0).sqrt()
}

/// How many logits are finite, and the sums of their distances to the largest and of the squares: in the type of the row
/// within a block, where each lane has a few of them only, and in f64 from there.
pub(crate) struct Moments<'a, R> {
    row: &'a [R],
    max: R,
    sums: &'a mut [[f64; LANES]; 3],
}

impl<R: Real> Kernel for Moments<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Moments { row, max, sums } = self;
        for block in row.chunks(BLOCK) {
            let (chunks, tail) = block.as_chunks::<LANES>();
            let [sum, squares] = simd.call(MomentsOfAll { chunks, max });
            let mut of_block = [[R::of_f64(chunks.len() as f64); LANES], sum, squares];
            // With an infinity among them, or a sum beyond all numbers.
            if !sum.iter().all(|&sum| sum <= -R::LOWEST) {
                of_block = [[R::ZERO; LANES]; 3];
                simd.call(MomentsOfFinite { chunks, max, sums: &mut of_block });
            }
            if !tail.is_empty() {
                let mut last = [R::NEG_INFINITY; LANES];
                last[..tail.len()].copy_from_slice(tail);
                simd.call(MomentsOfFinite { chunks: &[last], max, sums: &mut of_block });
            }
            for (sums, of_block) in sums.iter_mut().zip(&of_block) {
                for (sum, part) in sums.iter_mut().zip(of_block) {
                    *sum += part.to_f64();
                }
            }
        }
    }
}

/// The sums of a block in which every logit is finite.
struct MomentsOfAll<'a, R: Real> {
    chunks: &'a [[R; LANES]],
    max: R,
}

impl<R: Real> Kernel for MomentsOfAll<'_, R> {
    type Output = [[R; LANES]; 2];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [[R; LANES]; 2] {
        let (mut sum, mut squares) = ([R::ZERO; LANES], [R::ZERO; LANES]);
        for chunk in self.chunks {
            let (mut next_sum, mut next_squares) = (sum, squares);
            for i in 0..LANES {
                let distance = self.max - chunk[i];
                next_sum[i] = sum[i] + distance;
                next_squares[i] = distance.mul_add(distance, squares[i]);
            }
            (sum, squares) = (next_sum, next_squares);
        }
        [sum, squares]
    }
}

/// The same of the finite ones among them, and how many there are.
struct MomentsOfFinite<'a, R: Real> {
    chunks: &'a [[R; LANES]],
    max: R,
    sums: &'a mut [[R; LANES]; 3],
}

impl<R: Real> Kernel for MomentsOfFinite<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let [mut count, mut sum, mut squares] = *self.sums;
        for chunk in self.chunks {
            let (mut next_count, mut next_sum, mut next_squares) = (count, sum, squares);
            for i in 0..LANES {
                let is_finite = chunk[i] >= R::LOWEST;
                let distance = if is_finite { self.max - chunk[i] } else { R::ZERO };
                next_count[i] = count[i] + if is_finite { R::ONE } else { R::ZERO };
                next_sum[i] = sum[i] + distance;
                next_squares[i] = distance.mul_add(distance, squares[i]);
            }
            (count, sum, squares) = (next_count, next_sum, next_squares);
        }
        *self.sums = [count, sum, squares];
    }
}
