//! What one row adds to a fit at a temperature: its loss, and the derivatives of that in ln β.
//!
//! ```text
//! d_i = x_i − m,  w_i = exp(β d_i)                     m = max x, β = 1/τ
//! S_n = Σ w_i (β d_i)^n,  n = 0 … 3                    one sweep, in lanes
//! loss    = ln S_0 + β (m − x_y)                       −ln p_y
//! slope   = S_1/S_0 + β (m − x_y)                      β · d loss/dβ
//! v, k3   = variance and third cumulant of β d under p β² d², β³ d³
//! ```
//!
//! 1. Powers of distances from the maximum, in units of τ: the entries that have a weight lie within some
//!    hundred of it, so that no power overflows and the variance loses two digits at most.
//! 2. The maxima are left out of S_0 and counted, as in `softmax/row.rs`: a confident row keeps its loss.
//! 3. f32 rows can be summed in f32, a group at a time, for a step that is only to come near: 1e-8 of a
//!    slope for a third of the time. What is reported comes from f64 weights, whatever the type.

use crate::double::{ldexp, power_of_two};
use crate::element::Real;
use crate::exp::ln_sum_in_f64;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{BLOCK, Base2, Plan, Tempering};
use crate::softmax::row::{self, rest_of_block, sum_of_lanes};
use crate::temperature::Temperature;

/// Virtual lanes: two registers of AVX2 for each of the sums, in either type.
const LANES_F32: usize = 16;
const LANES_F64: usize = 8;

/// Chunks that are added up in the type of the weights before the sum goes on in f64.
const GROUP: usize = 8;

/// A temperature between the limits, ready for both types.
pub(super) struct Node<R> {
    pub(super) draft: Base2<R>,
    pub(super) precise: Base2<f64>,
}

impl<R: Real> Node<R> {
    /// `None` at the limits 0 and ∞.
    pub(super) fn new(tau: Temperature) -> Option<Self> {
        match (Tempering::new(tau), Tempering::new(tau)) {
            (Tempering::Finite(draft), Tempering::Finite(precise)) => Some(Node { draft, precise }),
            _ => None,
        }
    }
}

/// What is asked about a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Depth {
    /// The derivatives, by weights in the type of the row; no loss.
    Draft,
    /// Everything, in f64.
    Full,
    /// Only the loss, in f64.
    Loss,
}

/// The loss of a row and its derivatives in ln β, as far as they are asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct OfRow {
    pub(super) loss: f64,
    pub(super) slope: f64,
    pub(super) variance: f64,
    pub(super) third: f64,
}

/// The sums over a row, lane by lane: weights times powers of the distance, from the 0th.
struct Sums<const N: usize> {
    lanes: [[f64; N]; 4],
    maxima: f64,
}

impl<const N: usize> Sums<N> {
    const ZERO: Self = Sums { lanes: [[0.0; N]; 4], maxima: 0.0 };

    #[inline(always)]
    fn totals(self) -> Totals {
        Totals { maxima: self.maxima, powers: self.lanes.map(sum_of_lanes) }
    }
}

struct Totals {
    maxima: f64,
    powers: [f64; 4],
}

/// The second sweep over a block, of weights that [`Rest`] has parked: adds them up, with `MOMENTS` also times
/// powers of the distance.
struct AddUp<'a, R, const N: usize, const MOMENTS: bool> {
    block: &'a [R],
    weights: &'a [R],
    plan: &'a Plan<R>,
    unit: R,
    sums: &'a mut Sums<N>,
    /// How many numbers further on to fetch from memory meanwhile, or 0.
    ahead: usize,
}

impl<R: Real, const N: usize, const MOMENTS: bool> Kernel for AddUp<'_, R, N, MOMENTS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddUp { block, weights, plan, unit, sums, ahead } = self;
        let near = Near { floor: plan.shift.floor, max: plan.max, unit };
        let (chunks, tail) = block.as_chunks::<N>();
        let (weights, weights_tail) = weights.as_chunks::<N>();
        let mut lanes = sums.lanes;
        for (group, weights) in chunks.chunks(GROUP).zip(weights.chunks(GROUP)) {
            let mut partial = [[R::ZERO; N]; 4];
            for (chunk, weights) in group.iter().zip(weights) {
                simd.prefetch_read(chunk.as_ptr().wrapping_add(ahead));
                partial = with_chunk::<R, N, MOMENTS>(partial, chunk, weights, near);
            }
            lanes = with_partial::<R, N, MOMENTS>(lanes, partial);
        }
        if !tail.is_empty() {
            let (mut last, mut last_weights) = ([plan.max; N], [R::ZERO; N]);
            last[..tail.len()].copy_from_slice(tail);
            last_weights[..tail.len()].copy_from_slice(weights_tail);
            let zeros = [[R::ZERO; N]; 4];
            let partial = with_chunk::<R, N, MOMENTS>(zeros, &last, &last_weights, near);
            lanes = with_partial::<R, N, MOMENTS>(lanes, partial);
        }
        sums.lanes = lanes;
    }
}

/// Distances from the maximum; of what weighs nothing, that of the floor.
#[derive(Clone, Copy)]
struct Near<R> {
    floor: R,
    max: R,
    unit: R,
}

#[inline(always)]
fn with_chunk<R: Real, const N: usize, const MOMENTS: bool>(
    partial: [[R; N]; 4],
    chunk: &[R; N],
    weights: &[R; N],
    near: Near<R>,
) -> [[R; N]; 4] {
    let [mut zeroth, mut first, mut second, mut third] = partial;
    for i in 0..N {
        let w = weights[i];
        zeroth[i] = partial[0][i] + w;
        if MOMENTS {
            let x = if chunk[i] > near.floor { chunk[i] } else { near.floor };
            let d = (x - near.max) * near.unit;
            let once = w * d;
            let twice = once * d;
            first[i] = partial[1][i] + once;
            second[i] = partial[2][i] + twice;
            third[i] = twice.mul_add(d, partial[3][i]);
        }
    }
    [zeroth, first, second, third]
}

#[inline(always)]
fn with_partial<R: Real, const N: usize, const MOMENTS: bool>(
    lanes: [[f64; N]; 4],
    partial: [[R; N]; 4],
) -> [[f64; N]; 4] {
    let mut sums = lanes;
    for k in 0..if MOMENTS { 4 } else { 1 } {
        for i in 0..N {
            sums[k][i] = lanes[k][i] + partial[k][i].to_f64();
        }
    }
    sums
}

/// f32 to f64 in a sweep of its own; the compiler makes nothing of the two types in one loop.
struct Widen<'a, R> {
    row: &'a [R],
    out: &'a mut [f64],
    ahead: usize,
}

impl<R: Real> Kernel for Widen<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (chunks, tail) = self.row.as_chunks::<LANES_F32>();
        let (outs, out_tail) = self.out.as_chunks_mut::<LANES_F32>();
        for (chunk, out) in chunks.iter().zip(outs) {
            simd.prefetch_read(chunk.as_ptr().wrapping_add(self.ahead));
            let mut wide = [0.0; LANES_F32];
            for i in 0..LANES_F32 {
                wide[i] = chunk[i].to_f64();
            }
            *out = wide;
        }
        for (&x, out) in tail.iter().zip(out_tail) {
            *out = x.to_f64();
        }
    }
}

/// A row on its way to the sums.
pub(super) struct Space<R> {
    draft: row::Space<R>,
    precise: row::Space<f64>,
    wide: Vec<f64>,
}

impl<R: Real> Space<R> {
    pub(super) fn new() -> Self {
        Space { draft: row::Space::new(), precise: row::Space::new(), wide: Vec::new() }
    }

    /// Takes in a row for questions that are answered in f64.
    #[inline(always)]
    pub(super) fn widen<S: Simd>(&mut self, simd: S, row: &[R], ahead: usize) {
        self.wide.resize(row.len(), 0.0);
        simd.call(Widen { row, out: &mut self.wide, ahead });
    }
}

/// A row of finite maximum.
pub(super) struct Row<'a, R> {
    pub(super) logits: &'a [R],
    pub(super) max: R,
    /// m − x_y.
    pub(super) gap: Gap,
    /// How many numbers further on to fetch from memory meanwhile, or 0.
    pub(super) ahead: usize,
}

/// The sums of a row at a temperature. What is not a draft is worked out from the row that `space` has taken in.
#[inline(always)]
pub(super) fn of_row<S: Simd, R: Real>(
    simd: S,
    row: &Row<R>,
    node: &Node<R>,
    depth: Depth,
    space: &mut Space<R>,
) -> OfRow {
    let &Row { logits, max, gap, ahead } = row;
    if depth == Depth::Draft {
        let plan = Plan::new(max, &node.draft);
        let (unit, space) = (unit(&node.draft), &mut space.draft);
        let sums = weighed::<S, R, LANES_F32, true>(simd, logits, &plan, unit, space, ahead);
        return put_together(&plan, &node.draft, gap, sums, depth);
    }
    let plan = Plan::new(max.to_f64(), &node.precise);
    let (row, unit, space) = (&space.wide, unit(&node.precise), &mut space.precise);
    let sums = match depth {
        Depth::Loss => weighed::<S, f64, LANES_F64, false>(simd, row, &plan, unit, space, 0),
        _ => weighed::<S, f64, LANES_F64, true>(simd, row, &plan, unit, space, 0),
    };
    put_together(&plan, &node.precise, gap, sums, depth)
}

#[inline(always)]
fn weighed<S: Simd, R: Real, const N: usize, const MOMENTS: bool>(
    simd: S,
    row: &[R],
    plan: &Plan<R>,
    unit: f64,
    space: &mut row::Space<R>,
    ahead: usize,
) -> Totals {
    let unit = R::of_f64(unit);
    let mut sums = Sums::<N>::ZERO;
    for block in row.chunks(BLOCK) {
        let (block, weights, maxima) = rest_of_block(simd, block, plan, space);
        sums.maxima += maxima;
        let sums = &mut sums;
        simd.call(AddUp::<R, N, MOMENTS> { block, weights, plan, unit, sums, ahead });
    }
    sums.totals()
}

/// What makes distances of a staged row ones in units of 2^k, where 1/τ = inverse · 2^-k.
fn unit<R: Copy>(base: &Base2<R>) -> f64 {
    if base.exponent() == 0 { power_of_two(base.inverse_exponent) } else { 1.0 }
}

#[inline(always)]
fn put_together<R: Real>(
    plan: &Plan<R>,
    base: &Base2<R>,
    gap: Gap,
    sums: Totals,
    depth: Depth,
) -> OfRow {
    let Totals { maxima, powers: [rest, first, second, third] } = sums;
    let gap = gap.times(base);
    let max_weight = plan.max_weight();
    let mut of_row = OfRow::default();
    if depth != Depth::Draft {
        // The bias goes last: the quotient of a small rest is not subnormal before.
        let rest = rest / max_weight * power_of_two(-R::BIAS);
        of_row.loss = ln_sum_in_f64(maxima, rest) + gap;
    }
    if depth != Depth::Loss {
        let over_total = 1.0 / (rest + maxima * max_weight * power_of_two(R::BIAS));
        let inverse = base.inverse.hi;
        let first = first * over_total * inverse;
        let second = second * over_total * (inverse * inverse);
        let third = third * over_total * (inverse * inverse * inverse);
        of_row.slope = first + gap;
        of_row.variance = second - first * first;
        of_row.third = third - 3.0 * first * second + 2.0 * first * first * first;
    }
    of_row
}

/// The distance of the true logit below the maximum, m − x_y; a quarter of it, which is finite for any two f64.
#[derive(Clone, Copy)]
pub(super) struct Gap {
    quarter: f64,
}

impl Gap {
    pub(super) fn between(max: f64, truth: f64) -> Gap {
        // Quarters of numbers this small would lose bits, and need not be taken.
        if max.abs().max(truth.abs()) < power_of_two(1000) {
            Gap { quarter: (max - truth) * 0.25 }
        } else {
            Gap { quarter: max * 0.25 - truth * 0.25 }
        }
    }

    /// Σ q (m − x) over Σ q, for a distribution as the truth.
    pub(super) fn mean(max: f64, terms: impl Iterator<Item = (f64, f64)>) -> Gap {
        let (sum, weight) =
            terms.filter(|&(q, _)| q > 0.0).fold((0.0, 0.0), |(sum, weight), (q, x)| {
                (q.mul_add(Gap::between(max, x).quarter, sum), weight + q)
            });
        Gap { quarter: sum / weight }
    }

    pub(super) fn is_infinite(self) -> bool {
        self.quarter == f64::INFINITY
    }

    #[inline(always)]
    pub(super) fn of_quarter(quarter: f64) -> Gap {
        Gap { quarter }
    }

    /// A quarter of it, in the logits' own units.
    #[inline(always)]
    pub(super) fn quarter(self) -> f64 {
        self.quarter
    }

    /// In units of τ.
    #[inline(always)]
    fn times<R: Copy>(self, base: &Base2<R>) -> f64 {
        ldexp(self.quarter * base.inverse.hi, base.inverse_exponent + 2)
    }
}

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
    Gap { quarter: sum / (row.len() as f64 - masked) * (0.25 / down) }
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
