//! A row of few classes by itself: classes in the lanes, where `few.rs` has rows. The steps and the order of the sums are those
//! of f32 there, and so are the bits; of f64 they are those of `row.rs`.

use super::OfRow;
use super::few::{Lane, fits, of_entry};
use super::row::How;
use crate::element::Real;
use crate::exp::{ln_sum_in_f64, weight};
use crate::simd::{Kernel, Simd};
use crate::softmax::alone::Lanes;
use crate::softmax::product::Multiplier;
use crate::softmax::row::LANES;

/// The loss of a row; its gradient goes to `out`. `None` where the row is not ordinary.
pub(super) struct Row<'a, R> {
    pub(super) row: &'a [R],
    pub(super) label: usize,
    pub(super) how: How<'a, R>,
    pub(super) out: &'a mut [R],
}

impl<R: Real> Kernel for Row<'_, R> {
    type Output = Option<OfRow>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<OfRow> {
        if self.row.len() <= LANES {
            of_row::<S, R, 1>(simd, self)
        } else {
            of_row::<S, R, 2>(simd, self)
        }
    }
}

#[inline(always)]
fn of_row<S: Simd, R: Real, const N: usize>(simd: S, row: Row<'_, R>) -> Option<OfRow> {
    let Row { row, label, how, out } = row;
    let lanes = Lanes::<R, N>::new(simd, row, how.tempering)?;
    let (shift, max, inverse) = (lanes.plan.shift, lanes.plan.max, lanes.base.nearest_inverse());
    let top = weight(max, &shift);
    let (mut weights, mut others) = ([[R::ZERO; LANES]; N], [[R::ZERO; LANES]; N]);
    let (mut moments, mut counts) = ([[R::ZERO; LANES]; N], [R::ZERO; LANES]);
    for k in 0..N {
        for i in 0..LANES {
            let [w, other, moment, count] = of_entry(lanes.entries[k][i], &shift, max, top);
            (weights[k][i], others[k][i], moments[k][i]) = (w, other, moment);
            counts[i] = counts[i] + count;
        }
    }
    let maxima: f64 = counts.iter().map(|count| count.to_f64()).sum();
    let classes = row.len();
    let lane = Lane::new::<R>(
        [top.to_f64(), maxima],
        [in_pairs(&others, classes), in_pairs(&moments, classes)],
        [largest(row, max).to_f64(), row[label].to_f64(), weights.as_flattened()[label].to_f64()],
        inverse,
        how.factor,
    );
    if !fits::<R>(lane.rest, lane.gap, lane.scale, maxima, classes as f64) {
        return None;
    }
    let by = Multiplier::new(lane.scale, how.factor * inverse);
    for p in weights.as_flattened_mut() {
        *p = by.times(*p);
    }
    for (gradient, out) in weights.iter().zip(out.chunks_mut(LANES)) {
        R::put(simd, gradient, out);
    }
    out[label] = R::of_f64(lane.of_label);
    Some(OfRow { loss: ln_sum_in_f64(maxima, lane.rest) + lane.gap, slope: lane.slope })
}

/// Of maxima that are 0 and −0, the one that a lane of sixteen comes to: the sign of a gap is that of a slope of 0.
#[inline(always)]
fn largest<R: Real>(row: &[R], max: R) -> R {
    if max != R::ZERO {
        return max;
    }
    let (even, odd) = (row.iter().step_by(2), row.iter().skip(1).step_by(2));
    even.chain(odd).copied().find(|&x| x == max).unwrap_or(max)
}

/// Two classes together, then to the total.
#[inline(always)]
fn in_pairs<R: Real, const N: usize>(numbers: &[[R; LANES]; N], classes: usize) -> f64 {
    let (pairs, odd) = numbers.as_flattened()[..classes].as_chunks::<2>();
    let total = pairs.iter().fold(0.0, |total, [a, b]| total + (a.to_f64() + b.to_f64()));
    odd.iter().fold(total, |total, last| total + last.to_f64())
}
