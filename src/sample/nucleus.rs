//! Sums over a row that a filter needs.

use crate::element::Real;
use crate::simd::{Kernel, Simd, dispatch};
use crate::softmax::row::{LANES, sum_of_lanes};

/// Room for what top-p adds up.
#[derive(Debug, Default)]
pub(super) struct Nucleus {}

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
