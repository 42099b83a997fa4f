//! Sums over a row that a filter needs: the weights by the size of the logit, for top-p, and moments, for top-nσ.
//!
//! ```text
//! bucket of a logit = rint(−t·1023/35)        falls as the logit rises: 1024 of them over all that has weight
//! mass of a bucket  = Σ w                     integers, so exact
//! the crossing one:   where the mass from the top first reaches p·W; only its tokens are looked at one by one
//! ```

use crate::element::Real;
use crate::sample::weights::{BLOCK, Cut, ROUND, Scale, smallest};
use crate::simd::{Kernel, Simd, dispatch};
use crate::softmax::row::{LANES, sum_of_lanes};

const BUCKETS: usize = 1024;
/// Buckets for each power of two.
const FINENESS: f64 = (BUCKETS - 1) as f64 / 35.0;

/// Room for the masses of the buckets.
#[derive(Debug, Default)]
pub(super) struct Nucleus {
    /// Followed by one for each lane, for logits that are not kept: neighbours that add to one place wait for each other.
    masses: Vec<f64>,
}

/// What lies around the place where a mass is reached.
pub(super) struct Crossing<R> {
    /// The logits of the crossing bucket: from here up, and below there if it is not the first bucket.
    pub(super) from: R,
    pub(super) below: Option<R>,
    /// What is still missing when the buckets above are taken.
    pub(super) missing: u64,
}

/// The bucket of an exponent from −35 to 0, as a number whose low bits it is.
#[inline(always)]
fn bucket(exponent: f64) -> u64 {
    (exponent * -FINENESS + ROUND).to_bits() & 0xffff
}

impl Nucleus {
    /// Where the mass of what a cut keeps, from the largest down, reaches what `share` makes of the whole.
    pub(super) fn crossing<R: Real>(
        &mut self,
        row: &[R],
        maxima: &[R],
        scale: Scale,
        cut: Cut<R>,
        share: impl Fn(u64) -> u64,
    ) -> Crossing<R> {
        let masses = &mut self.masses;
        masses.clear();
        masses.resize(BUCKETS + LANES, 0.0);
        let (mut weights, mut buckets) = ([0.0; BLOCK], [0u64; BLOCK]);
        for (b, (block, &max)) in row.chunks(BLOCK).zip(maxima).enumerate() {
            if max < cut.value {
                continue;
            }
            cut.parts(b * BLOCK, block, |_, part, at_least| {
                let (weights, buckets) = (&mut weights[..part.len()], &mut buckets[..part.len()]);
                dispatch(Place { part, scale, at_least, weights, buckets });
                for (&weight, &bucket) in weights.iter().zip(&*buckets) {
                    masses[bucket as usize] += weight;
                }
            });
        }
        let total: u64 = masses[..BUCKETS].iter().map(|&mass| mass as u64).sum();
        let mut missing = share(total);
        let mut crossing = 0;
        // The last bucket that has a mass reaches the total.
        while masses[crossing] < missing as f64 {
            missing -= masses[crossing] as u64;
            crossing += 1;
        }
        let edge = |last: usize| {
            if scale.factor == 0.0 {
                return cut.value;
            }
            smallest(R::of_f64(scale.max), |x| {
                let exponent = scale.exponent(x);
                exponent > -36.0 && bucket(exponent) as usize <= last
            })
        };
        Crossing {
            from: edge(crossing),
            below: (crossing > 0).then(|| edge(crossing - 1)),
            missing,
        }
    }
}

/// Weights and buckets of a part of a block.
struct Place<'a, R> {
    part: &'a [R],
    scale: Scale,
    at_least: R,
    weights: &'a mut [f64],
    buckets: &'a mut [u64],
}

impl<R: Real> Kernel for Place<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Place { part, scale, at_least, weights, buckets } = self;
        for ((&x, weight), (i, out)) in part.iter().zip(weights).zip(buckets.iter_mut().enumerate())
        {
            *weight = scale.weight_if(x, at_least);
            let unkept = (BUCKETS + i % LANES) as u64;
            *out = if x >= at_least { bucket(scale.exponent(x)) } else { unkept };
        }
    }
}

/// The standard deviation of the finite logits, around their mean, in logits.
pub(super) fn deviation<R: Real>(row: &[R], max: f64) -> f64 {
    let [count, sum, squares] = dispatch(Moments { row, max });
    let mean = sum / count;
    // Rounding can make a variance of nothing negative.
    (squares / count - mean * mean).max(0.0).sqrt()
}

/// How many logits are finite, and the sums of their distances to the largest and of the squares.
struct Moments<'a, R> {
    row: &'a [R],
    max: f64,
}

impl<R: Real> Kernel for Moments<'_, R> {
    type Output = [f64; 3];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [f64; 3] {
        let (mut count, mut sum, mut squares) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let (chunks, tail) = self.row.as_chunks::<LANES>();
        for chunk in chunks {
            (count, sum, squares) = moments_of_chunk(chunk, count, sum, squares, self.max);
        }
        if !tail.is_empty() {
            let mut last = [R::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            (count, sum, squares) = moments_of_chunk(&last, count, sum, squares, self.max);
        }
        [sum_of_lanes(count), sum_of_lanes(sum), sum_of_lanes(squares)]
    }
}

type Sums = [f64; LANES];

#[inline(always)]
fn moments_of_chunk<R: Real>(
    chunk: &[R; LANES],
    count: Sums,
    sum: Sums,
    squares: Sums,
    max: f64,
) -> (Sums, Sums, Sums) {
    let (mut next_count, mut next_sum, mut next_squares) = (count, sum, squares);
    for i in 0..LANES {
        let is_finite = chunk[i] >= R::LOWEST;
        let distance = if is_finite { max - chunk[i].to_f64() } else { 0.0 };
        next_count[i] = count[i] + if is_finite { 1.0 } else { 0.0 };
        next_sum[i] = sum[i] + distance;
        next_squares[i] = distance.mul_add(distance, squares[i]);
    }
    (next_count, next_sum, next_squares)
}
