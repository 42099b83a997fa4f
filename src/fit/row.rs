//! What one row adds to a fit at a temperature: its loss, and the derivatives of that in ln β.
//!
//! ```text
//! d_i = x_i − m,  w_i = exp(β d_i)                     m = max x, β = 1/τ
//! S_n = Σ w_i (β d_i)^n,  n = 0 … 3, 4 or 6            in lanes
//! loss    = ln S_0 + β (m − x_y)                       −ln p_y
//! slope   = S_1/S_0 + β (m − x_y)                      β · d loss/dβ
//! v, third, … sixth = cumulants of β d under p         β^n · d^n loss/dβ^n
//! ```
//!
//! 1. Everything comes from z = c (x − m), c = β log2 e: weights are 2^z, and powers of z have no unit. Entries that
//!    have a weight lie within some thousand of 0, so that no power overflows and the variance loses two digits at
//!    most. That c is rounded to the type is another β, by 2^-53 of it, in f32 by 2^-24.
//! 2. The maxima are left out of S_0 and counted, as in `softmax/row.rs`: a confident row keeps its loss. That is
//!    done where a row is taken in: their distance is −∞, which weighs nothing.
//! 3. f32 rows can be summed in f32, a group at a time, for a step that is only to come near, and with a
//!    fourth moment comes nearer. What is reported comes from f64 weights, whatever the type.

use crate::aligned::{aligned, unaligned};
use crate::double::{Double, ldexp, power_of_two};
use crate::element::Real;
use crate::exp::{ln_sum_in_f64, power_for_sums, rounded_for_sums};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{Base2, Tempering};
use crate::softmax::row::sum_of_lanes;
use crate::temperature::Temperature;

/// Virtual lanes: two registers of AVX2 for each of the sums, in either type.
pub(super) const LANES_F32: usize = 16;
const LANES_F64: usize = 8;

/// Numbers whose sums are in the type of the weights.
pub(super) const BLOCK: usize = 512;

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
    /// The derivatives up to the fourth, by weights in the type of the row; no loss.
    Draft,
    /// The loss and its derivatives up to the third, in f64.
    Full,
    /// The same up to the sixth, for a temperature so near the answer that it needs no other.
    Deep,
    /// Only the loss, in f64.
    Loss,
}

impl Depth {
    /// The highest power of z among its moments.
    #[inline(always)]
    fn powers(self) -> usize {
        match self {
            Depth::Loss => 0,
            Depth::Full => 3,
            Depth::Draft => OF_DRAFT,
            Depth::Deep => 6,
        }
    }
}

/// The loss of a row and its derivatives in ln β, as far as they are asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct OfRow {
    pub(super) loss: f64,
    pub(super) slope: f64,
    pub(super) variance: f64,
    pub(super) third: f64,
    pub(super) fourth: f64,
    pub(super) fifth: f64,
    pub(super) sixth: f64,
}

/// Weights times powers of z, from the 0th.
pub(super) type Moments<T> = [T; 7];

/// Sums of the weights, and of them times powers of z up to `POWERS`: 0, 3, 4 or 6. Of a draft the numbers are logits,
/// else distances from the maximum. The chain of operations from a number to its last moment is longer than what a
/// processor looks ahead, so it is cut in two: the beginning of one weight beside the end of the one before.
struct AddUp<'a, R, const N: usize, const POWERS: usize> {
    numbers: &'a [R],
    /// Of a draft.
    max: &'a [R; N],
    factor: R,
    sums: &'a mut Moments<[R; N]>,
    /// How many numbers further on to fetch from memory meanwhile, or 0.
    ahead: usize,
}

/// The powers of a draft.
const OF_DRAFT: usize = 4;

impl<R: Real, const N: usize, const POWERS: usize> Kernel for AddUp<'_, R, N, POWERS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddUp { numbers, max, factor, sums, ahead } = self;
        let max = *max;
        let Some((first, rest)) = numbers.as_chunks::<N>().0.split_first() else { return };
        let mut all = [[R::ZERO; N]; 7];
        let mut next = begun::<R, N, POWERS>(first, &max, factor);
        for chunk in rest {
            simd.prefetch_read(chunk.as_ptr().wrapping_add(ahead));
            let now = next;
            next = begun::<R, N, POWERS>(chunk, &max, factor);
            all = added_up::<R, N, POWERS>(&all, &now);
        }
        *sums = added_up::<R, N, POWERS>(&all, &next);
    }
}

/// z, of what weighs nothing the deepest that has a weight; its integer and what is left.
#[inline(always)]
fn begun<R: Real, const N: usize, const POWERS: usize>(
    chunk: &[R; N],
    max: &[R; N],
    factor: R,
) -> [[R; N]; 3] {
    let deepest = R::of_f64(-R::DEPTH);
    let [mut all, mut rounded, mut rest] = [[R::ZERO; N]; 3];
    for i in 0..N {
        let distance = if POWERS == OF_DRAFT { chunk[i] - max[i] } else { chunk[i] };
        let z = distance * factor;
        all[i] = if z > deepest { z } else { deepest };
        (rounded[i], rest[i]) = rounded_for_sums(all[i]);
    }
    [all, rounded, rest]
}

#[inline(always)]
fn added_up<R: Real, const N: usize, const POWERS: usize>(
    sums: &Moments<[R; N]>,
    begun: &[[R; N]; 3],
) -> Moments<[R; N]> {
    let [z, rounded, rest] = begun;
    let [mut zeroth, mut first, mut second, mut third, mut fourth, mut fifth, mut sixth] = *sums;
    for i in 0..N {
        let weight = power_for_sums(rounded[i], rest[i]);
        zeroth[i] = sums[0][i] + weight;
        if POWERS > 0 {
            let once = weight * z[i];
            let twice = once * z[i];
            first[i] = sums[1][i] + once;
            second[i] = sums[2][i] + twice;
            if POWERS == 3 {
                third[i] = twice.mul_add(z[i], sums[3][i]);
            } else {
                let thrice = twice * z[i];
                third[i] = sums[3][i] + thrice;
                if POWERS == OF_DRAFT {
                    fourth[i] = thrice.mul_add(z[i], sums[4][i]);
                } else {
                    let four_times = thrice * z[i];
                    fourth[i] = sums[4][i] + four_times;
                    let five_times = four_times * z[i];
                    fifth[i] = sums[5][i] + five_times;
                    sixth[i] = five_times.mul_add(z[i], sums[6][i]);
                }
            }
        }
    }
    [zeroth, first, second, third, fourth, fifth, sixth]
}

/// The sums over some numbers, apart from what is before and after.
#[inline(always)]
pub(super) fn moments<S: Simd, R: Real, const N: usize>(
    simd: S,
    numbers: &[R],
    max: &[R; N],
    factor: R,
    depth: Depth,
    ahead: usize,
) -> Moments<[R; N]> {
    let mut sums = [[R::ZERO; N]; 7];
    let to = &mut sums;
    match depth {
        Depth::Loss => simd.call(AddUp::<R, N, 0> { numbers, max, factor, sums: to, ahead }),
        Depth::Full => simd.call(AddUp::<R, N, 3> { numbers, max, factor, sums: to, ahead }),
        Depth::Deep => simd.call(AddUp::<R, N, 6> { numbers, max, factor, sums: to, ahead }),
        Depth::Draft => {
            simd.call(AddUp::<R, N, OF_DRAFT> { numbers, max, factor, sums: to, ahead })
        }
    }
    sums
}

#[inline(always)]
fn add_to_lanes<R: Real, const N: usize>(
    lanes: &mut Moments<[f64; N]>,
    more: &Moments<[R; N]>,
    powers: usize,
) {
    for k in 0..=powers {
        for i in 0..N {
            lanes[k][i] += more[k][i].to_f64();
        }
    }
}

/// Distances from the maximum in f64, −∞ at the maxima and beyond the end; how many maxima each lane has met.
struct Widen<'a, R> {
    row: &'a [R],
    max: R,
    out: &'a mut [[f64; LANES_F32]],
    maxima: &'a mut [f64; LANES_F32],
    ahead: usize,
}

impl<R: Real> Kernel for Widen<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Widen { row, max, out, maxima, ahead } = self;
        let (chunks, tail) = row.as_chunks::<LANES_F32>();
        let (outs, last_out) = out.split_at_mut(chunks.len());
        let max = max.to_f64();
        let mut met = *maxima;
        for (chunk, out) in chunks.iter().zip(outs) {
            simd.prefetch_read(chunk.as_ptr().wrapping_add(ahead));
            (*out, met) = widened(chunk, max, met);
        }
        if let Some(out) = last_out.first_mut() {
            let mut last = [R::NEG_INFINITY; LANES_F32];
            last[..tail.len()].copy_from_slice(tail);
            (*out, met) = widened(&last, max, met);
        }
        *maxima = met;
    }
}

#[inline(always)]
fn widened<R: Real, const N: usize>(
    chunk: &[R; N],
    max: f64,
    met: [f64; N],
) -> ([f64; N], [f64; N]) {
    let (mut wide, mut now_met) = ([0.0; N], met);
    for i in 0..N {
        let x = chunk[i].to_f64();
        let is_below = x < max;
        wide[i] = if is_below { x - max } else { f64::NEG_INFINITY };
        now_met[i] = met[i] + if is_below { 0.0 } else { 1.0 };
    }
    (wide, now_met)
}

/// A row on its way to the sums.
pub(super) struct Space<R> {
    staged: Vec<R>,
    staged_in_f64: Vec<f64>,
    wide: Wide,
}

/// A row as the questions that are answered in f64 want it.
#[derive(Default)]
struct Wide {
    distances: Vec<f64>,
    /// How many of them there are.
    len: usize,
    maxima: f64,
}

impl Wide {
    #[inline(always)]
    fn fill<S: Simd, R: Real>(&mut self, simd: S, row: &[R], max: R, ahead: usize) {
        self.len = row.len().next_multiple_of(LANES_F32);
        let out = aligned(&mut self.distances, self.len, self.len).as_chunks_mut().0;
        let mut maxima = [0.0; LANES_F32];
        simd.call(Widen { row, max, out, maxima: &mut maxima, ahead });
        self.maxima = sum_of_lanes(maxima);
    }

    fn distances(&self) -> &[f64] {
        &self.distances[unaligned(&self.distances)..][..self.len]
    }
}

impl<R: Real> Space<R> {
    pub(super) fn new() -> Self {
        Space { staged: Vec::new(), staged_in_f64: Vec::new(), wide: Wide::default() }
    }

    /// Takes in a row for questions that are answered in f64.
    #[inline(always)]
    pub(super) fn widen<S: Simd>(&mut self, simd: S, row: &[R], max: R, ahead: usize) {
        self.wide.fill(simd, row, max, ahead);
    }
}

/// (x − m) · 2^exponent, for temperatures whose factor the type does not have. A mask stays one.
fn stage<R: Real, W: Real>(row: &[R], max: R, exponent: i32, out: &mut Vec<W>) {
    let half = exponent / 2;
    let scale = [power_of_two(half), power_of_two(exponent - half)];
    let max = max.to_f64();
    let scaled = |x: f64| x * scale[0] * scale[1];
    out.clear();
    out.extend(row.iter().map(|x| {
        let x = x.to_f64();
        // The difference of two large numbers may overflow before it is scaled down, small ones after it.
        W::of_f64(if exponent < 0 { scaled(x) - scaled(max) } else { scaled(x - max) })
    }));
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
        let base = &node.draft;
        let (row, max) = match base.exponent() {
            0 => (logits, max),
            exponent => {
                stage(logits, max, exponent, &mut space.staged);
                (&space.staged[..], R::ZERO)
            }
        };
        let (_, factor, _) = base.factors();
        let max = &[max; LANES_F32];
        let mut sums = [[0.0; LANES_F32]; 7];
        let (whole, tail) = row.split_at(row.len() - row.len() % LANES_F32);
        for block in whole.chunks(BLOCK) {
            let of_block = moments(simd, block, max, factor, depth, ahead);
            add_to_lanes::<R, LANES_F32>(&mut sums, &of_block, depth.powers());
        }
        if !tail.is_empty() {
            let mut last = [R::NEG_INFINITY; LANES_F32];
            last[..tail.len()].copy_from_slice(tail);
            let of_block = moments(simd, &last, max, factor, depth, 0);
            add_to_lanes::<R, LANES_F32>(&mut sums, &of_block, depth.powers());
        }
        return put_together(0.0, sums.map(sum_of_lanes), R::BIAS, gap.times(base), depth);
    }
    let base = &node.precise;
    let mut staged = Wide::default();
    let wide = match base.exponent() {
        0 => &space.wide,
        exponent => {
            stage(logits, max, exponent, &mut space.staged_in_f64);
            staged.fill(simd, &space.staged_in_f64, 0.0, 0);
            &staged
        }
    };
    let (factor, ..) = base.factors();
    let mut sums = [[0.0; LANES_F64]; 7];
    for block in wide.distances().chunks(BLOCK) {
        let of_block = moments(simd, block, &[0.0; LANES_F64], factor, depth, 0);
        add_to_lanes::<f64, LANES_F64>(&mut sums, &of_block, depth.powers());
    }
    put_together(wide.maxima, sums.map(sum_of_lanes), <f64 as Real>::BIAS, gap.times(base), depth)
}

/// What the sums of a row say. They are 2^`bias` times themselves, without the `maxima`, whose weight is 1.
#[inline(always)]
pub(super) fn put_together(
    maxima: f64,
    sums: Moments<f64>,
    bias: i32,
    gap: f64,
    depth: Depth,
) -> OfRow {
    let [rest, first, second, third, fourth, fifth, sixth] = sums;
    let mut of_row = OfRow::default();
    if depth != Depth::Draft {
        of_row.loss = ln_sum_in_f64(maxima, rest * power_of_two(-bias)) + gap;
    }
    if depth != Depth::Loss {
        let ln_2 = Double::LN_2.hi;
        let scale = ln_2 / maxima.mul_add(power_of_two(bias), rest);
        let first = first * scale;
        let second = second * scale * ln_2;
        let third = third * scale * (ln_2 * ln_2);
        of_row.slope = first + gap;
        of_row.variance = second - first * first;
        of_row.third = third - 3.0 * first * second + 2.0 * first * first * first;
        let square = first * first;
        let fourth = fourth * scale * (ln_2 * ln_2 * ln_2);
        if matches!(depth, Depth::Draft | Depth::Deep) {
            of_row.fourth = fourth - 4.0 * first * third - 3.0 * second * second
                + 12.0 * square * second
                - 6.0 * square * square;
        }
        if depth == Depth::Deep {
            // Of the moments about the mean, which are small, unlike those about the maximum.
            let fifth = fifth * scale * (ln_2 * ln_2 * ln_2 * ln_2);
            let sixth = sixth * scale * (ln_2 * ln_2 * ln_2 * ln_2 * ln_2);
            let [v, k, m, q] = [of_row.variance, of_row.third, first, of_row.fourth];
            let fourth_about_mean = q + 3.0 * v * v;
            let fifth_about_mean = fifth - 5.0 * m * fourth + 10.0 * square * third
                - 10.0 * m * square * second
                + 4.0 * m * square * square;
            let sixth_about_mean = sixth - 6.0 * m * fifth + 15.0 * square * fourth
                - 20.0 * m * square * third
                + 15.0 * square * square * second
                - 5.0 * square * square * square;
            of_row.fifth = fifth_about_mean - 10.0 * v * k;
            of_row.sixth =
                sixth_about_mean - 15.0 * v * fourth_about_mean - 10.0 * k * k + 30.0 * v * v * v;
        }
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
    pub(super) fn times<R: Copy>(self, base: &Base2<R>) -> f64 {
        ldexp(self.quarter * base.inverse.hi, base.inverse_exponent + 2)
    }
}
