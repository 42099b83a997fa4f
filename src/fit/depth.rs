//! How far a row's logits lie below its maximum in the mean: what decides between the two limits of τ.

use crate::double::power_of_two;
use crate::element::Real;
use crate::fit::row::{BLOCK, Gap, LANES_F32};
use crate::simd::{Kernel, Simd};

/// Chunks whose depths are added up in the type of the row.
const GROUP: usize = 8;

/// A quarter of the mean of m − x over what is not masked: what the two limits of τ turn on.
#[inline(always)]
pub(super) fn mean_depth<S: Simd, R: Real>(simd: S, row: &[R], max: R) -> Gap {
    let mut sums = Depths { sum: [0.0; LANES_F32], masked: [0.0; LANES_F32] };
    // So far down that sums of the largest numbers do not overflow.
    let down = power_of_two(if R::IN_DOUBLE { -30 } else { -6 });
    for block in row.chunks(BLOCK) {
        simd.call(AddDepths { block, max, down: R::of_f64(down), sums: &mut sums });
    }
    let masked: f64 = sums.masked.iter().sum();
    let sum = sums.sum.iter().fold(0.0, |sum, lane| sum + lane);
    Gap::of_quarter(sum / (row.len() as f64 - masked) * (0.25 / down))
}

struct Depths {
    sum: [f64; LANES_F32],
    masked: [f64; LANES_F32],
}

struct AddDepths<'a, R> {
    block: &'a [R],
    max: R,
    down: R,
    sums: &'a mut Depths,
}

impl<R: Real> Kernel for AddDepths<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let AddDepths { block, max, down, sums } = self;
        let (chunks, tail) = block.as_chunks::<LANES_F32>();
        let zeros = [[R::ZERO; LANES_F32]; 2];
        for group in chunks.chunks(GROUP) {
            let mut partial = zeros;
            for chunk in group {
                partial = with_depths(partial, chunk, max, down);
            }
            add_depths(sums, &partial);
        }
        if !tail.is_empty() {
            let mut last = [max; LANES_F32];
            last[..tail.len()].copy_from_slice(tail);
            add_depths(sums, &with_depths(zeros, &last, max, down));
        }
    }
}

#[inline(always)]
fn with_depths<R: Real>(
    partial: [[R; LANES_F32]; 2],
    chunk: &[R; LANES_F32],
    max: R,
    down: R,
) -> [[R; LANES_F32]; 2] {
    let [mut sum, mut masked] = partial;
    let top = max * down;
    for i in 0..LANES_F32 {
        let here = chunk[i] > R::NEG_INFINITY;
        let x = if here { chunk[i] } else { max };
        sum[i] = partial[0][i] + (top - x * down);
        masked[i] = partial[1][i] + if here { R::ZERO } else { R::ONE };
    }
    [sum, masked]
}

#[inline(always)]
fn add_depths<R: Real>(sums: &mut Depths, partial: &[[R; LANES_F32]; 2]) {
    let (mut sum, mut masked) = (sums.sum, sums.masked);
    for i in 0..LANES_F32 {
        sum[i] = sums.sum[i] + partial[0][i].to_f64();
        masked[i] = sums.masked[i] + partial[1][i].to_f64();
    }
    (sums.sum, sums.masked) = (sum, masked);
}
