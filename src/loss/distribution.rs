//! A row's distribution at a temperature, entry by entry, with what a loss needs beside the probabilities.
//!
//! ```text
//! gap_i = (m − x_i)/τ                          m = max x; at τ = ∞ 0
//! w_i   = exp(−gap_i),  Z = count of maxima + Σ w of the others        as in softmax/rest.rs
//! p_i   = w_i/Z
//! 1−p_i : of a maximum (Z − 1)/Z, where Z − 1 is known better than Z
//! −ln p_i = gap_i + ln Z                       two numbers of one sign
//! ```
//!
//! Nothing is taken from 1 that is near it.

use crate::double::{Double, power_of_two};
use crate::element::{Element, Real};
use crate::exp::{ln_sum, weight};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
pub(super) use crate::softmax::plan::BLOCK;
use crate::softmax::plan::{Base2, Plan, Tempering};
use crate::softmax::row::{LANES, Peak, find_peak, sum_of_lanes};

/// Gaps of finite logits that are beyond this in units of τ are this; a loss that would show them is refused.
pub(super) const FARTHEST: f64 = 1e307;

/// A row at a temperature; its buffers serve row after row.
#[derive(Default)]
pub(super) struct Distribution {
    pub(super) p: Scratch<f64>,
    /// (m − x)/τ, ∞ for a masked entry.
    pub(super) gaps: Scratch<f64>,
    /// ln Z, from 0 up.
    pub(super) log_normaliser: f64,
    /// 1 − p of a maximum.
    doubt: f64,
    /// Whether a logit lies so far below the largest that its distance is not known.
    pub(super) is_beyond: bool,
    space: Vec<f64>,
}

impl Distribution {
    /// Takes in a row; `false` where it has no distribution, or none with gradients: with a NaN, an entry of +∞,
    /// nothing but −∞, or at τ = 0.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &mut self,
        simd: S,
        row: &[f64],
        tempering: &Tempering<f64>,
    ) -> bool {
        simd.call(Fill { distribution: self, row, tempering })
    }

    #[inline(always)]
    fn fill_evenly(&mut self, row: &[f64]) {
        let there = |x: f64| x > f64::NEG_INFINITY;
        let count = row.iter().filter(|&&x| there(x)).count() as f64;
        for ((&x, p), gap) in row.iter().zip(&mut self.p).zip(&mut self.gaps) {
            (*p, *gap) = if there(x) { (1.0 / count, 0.0) } else { (0.0, f64::INFINITY) };
        }
        self.log_normaliser = ln_sum(count, Double::ZERO).hi;
        self.doubt = (count - 1.0) / count;
        self.is_beyond = false;
    }

    #[inline(always)]
    fn fill_weights<S: Simd>(&mut self, simd: S, row: &[f64], max: f64, base: &Base2<f64>) {
        let plan = Plan::new(max, base);
        let (mut maxima, mut rest) = (0.0, Double::ZERO);
        for (block, out) in row.chunks(BLOCK).zip(self.p.chunks_mut(BLOCK)) {
            let block = plan.staged(block, &mut self.space);
            let mut sums = Sums { maxima: [0.0; LANES], rest: [0.0; LANES] };
            simd.call(Weigh { block, out, plan: &plan, sums: &mut sums });
            maxima += sum_of_lanes(sums.maxima);
            rest = rest.plus(Double::from(sum_of_lanes(sums.rest)));
        }
        // The bias goes last: the quotient of a small rest is not subnormal before.
        let unit = plan.max_weight();
        let rest = rest.over(Double::from(unit)).ldexp(-<f64 as Real>::BIAS);
        let normaliser = maxima + rest.hi;
        self.log_normaliser = ln_sum(maxima, rest).hi;
        self.doubt = ((maxima - 1.0) + rest.hi) / normaliser;
        // Weights are biased; the quotient is rounded before it is brought down, which rounds only subnormals.
        let (factor, unbias) = (1.0 / (unit * normaliser), power_of_two(-<f64 as Real>::BIAS));
        for p in &mut self.p {
            *p = *p * factor * unbias;
        }
        // A quarter of the logits where their difference would overflow, and the result four times as large.
        let large = max.abs() >= power_of_two(1000);
        let (down, up) = if large { (0.25, 4.0) } else { (1.0, 1.0) };
        let inverse = Inverse::of(base);
        let mut is_beyond = false;
        for (&x, gap) in row.iter().zip(&mut self.gaps) {
            let far = inverse.times(max * down - x * down) * up;
            // A difference that overflowed after all is capped like others of its kind.
            let capped = if far < FARTHEST { far } else { FARTHEST };
            let of_x = if x == f64::NEG_INFINITY { f64::INFINITY } else { capped };
            is_beyond |= of_x == FARTHEST;
            *gap = of_x;
        }
        self.is_beyond = is_beyond;
    }

    /// −ln p_i; ∞ for a masked entry.
    #[inline(always)]
    pub(super) fn surprise(&self, i: usize) -> f64 {
        self.gaps[i] + self.log_normaliser
    }

    /// 1 − p of an entry.
    #[inline(always)]
    pub(super) fn missed(&self, p: f64, gap: f64) -> f64 {
        if gap == 0.0 { self.doubt } else { 1.0 - p }
    }

    /// ln of the mean of exp(−gap) over the entries that are not masked, of which there are `count`; accurate also where
    /// all of them are near 1.
    #[inline(always)]
    pub(super) fn log_mean_weight(&self, count: f64) -> f64 {
        if self.gaps.iter().any(|gap| *gap > 0.5 && *gap < f64::INFINITY) {
            return self.log_normaliser - ln_sum(count, Double::ZERO).hi;
        }
        let [lost] = sums!(gap in &self.gaps => [if gap == f64::INFINITY { 0.0 } else { libm::expm1(-gap) }]);
        libm::log1p(lost / count)
    }
}

/// Several sums over the entries of columns of one length: `sums!(x in a, y in b => [x * y, y])` is [Σ a_i b_i, Σ b_i]. In
/// lanes, block by block with a correction: one order on every machine.
///
/// A macro and not a function of a closure, which would be compiled without the instruction set of the kernel around it.
macro_rules! sums {
    ($($x:ident in $column:expr),+ => $terms:expr) => {{
        use crate::loss::distribution::{BLOCK, Totals, eight};
        $(let $x: &[f64] = $column;)+
        let len = 0usize$(.max($x.len()))+;
        let mut totals = Totals::new();
        for start in (0..len).step_by(BLOCK) {
            let end = (start + BLOCK).min(len);
            for at in (start..end).step_by(8) {
                $(let $x = eight($x, at, end);)+
                let mut terms = totals.none();
                for i in 0..8 {
                    $(let $x = $x[i];)+
                    crate::loss::distribution::put(&mut terms, i, $terms);
                }
                totals.add(terms, end - at);
            }
            totals.end_block();
        }
        totals.sums()
    }};
}
pub(super) use sums;

/// Sums on their way, those of a block in lanes.
pub(super) struct Totals<const N: usize> {
    totals: [Double; N],
    lanes: [[f64; 8]; N],
}

impl<const N: usize> Totals<N> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Totals { totals: [Double::ZERO; N], lanes: [[0.0; 8]; N] }
    }

    #[inline(always)]
    pub(super) fn none(&self) -> [[f64; 8]; N] {
        [[0.0; 8]; N]
    }

    /// Adds the terms of eight entries, of which so many are there.
    #[inline(always)]
    pub(super) fn add(&mut self, mut terms: [[f64; 8]; N], there: usize) {
        if there < 8 {
            for terms in &mut terms {
                terms[there..].fill(0.0);
            }
        }
        let before = self.lanes;
        for n in 0..N {
            for lane in 0..8 {
                self.lanes[n][lane] = before[n][lane] + terms[n][lane];
            }
        }
    }

    #[inline(always)]
    pub(super) fn end_block(&mut self) {
        // Where they are several, hidden from the compiler: it would lay the lanes of all sums out for these few additions, and
        // take them apart for all others.
        let lanes = if N > 1 { std::hint::black_box(self.lanes) } else { self.lanes };
        for (total, lanes) in self.totals.iter_mut().zip(lanes) {
            let mut sum = 0.0;
            for lane in lanes {
                sum += lane;
            }
            *total = with(*total, sum);
        }
        self.lanes = [[0.0; 8]; N];
    }

    #[inline(always)]
    pub(super) fn sums(&self) -> [f64; N] {
        let mut sums = [0.0; N];
        for (sum, total) in sums.iter_mut().zip(&self.totals) {
            *sum = total.hi;
        }
        sums
    }
}

/// The terms of one entry among those of eight.
#[inline(always)]
pub(super) fn put<const N: usize>(terms: &mut [[f64; 8]; N], i: usize, of_entry: [f64; N]) {
    for n in 0..N {
        terms[n][i] = of_entry[n];
    }
}

#[inline(always)]
fn with(total: Double, more: f64) -> Double {
    // A correction to ∞ would be NaN.
    let plain = total.hi + more;
    if plain.is_finite() { total.plus(Double::from(more)) } else { Double::from(plain) }
}

/// Eight entries; 0 from `end` on.
#[inline(always)]
pub(super) fn eight(column: &[f64], at: usize, end: usize) -> [f64; 8] {
    let column = &column[at..end];
    if let Some(eight) = column.first_chunk() {
        return *eight;
    }
    let mut eight = [0.0; 8];
    eight[..column.len()].copy_from_slice(column);
    eight
}

/// A row in f64.
#[inline(always)]
pub(super) fn widen<T: Element>(row: &[T], out: &mut Scratch<f64>) {
    out.resize(row.len(), 0.0);
    for (out, x) in out.iter_mut().zip(row) {
        *out = x.to_f64();
    }
}

/// 1/τ in two factors, either of which is in range where their product is not.
#[derive(Clone, Copy)]
pub(super) struct Inverse {
    first: f64,
    last: f64,
}

impl Inverse {
    /// Of a τ that is not 0.
    pub(super) fn new(tempering: &Tempering<f64>) -> Self {
        match tempering {
            Tempering::Finite(base) => Inverse::of(base),
            _ => Inverse { first: 0.0, last: 0.0 },
        }
    }

    fn of(base: &Base2<f64>) -> Self {
        let half = base.inverse_exponent / 2;
        let last = power_of_two(base.inverse_exponent - half);
        Inverse { first: base.inverse.hi * power_of_two(half), last }
    }

    #[inline(always)]
    pub(super) fn times(self, x: f64) -> f64 {
        x * self.first * self.last
    }

    /// (max − x)/τ, ∞ where x is masked; `None` where it is farther than can be known.
    #[inline(always)]
    pub(super) fn gap(self, max: f64, x: f64) -> Option<f64> {
        if x == f64::NEG_INFINITY {
            return Some(f64::INFINITY);
        }
        // Quarters where the difference would overflow.
        let large = max.abs() >= power_of_two(1000);
        let (down, up) = if large { (0.25, 4.0) } else { (1.0, 1.0) };
        let far = self.times(max * down - x * down) * up;
        (far < FARTHEST).then_some(far)
    }
}

/// A kernel because a dozen places call it, in each of the losses for each type: it would be compiled in all of them.
struct Fill<'a> {
    distribution: &'a mut Distribution,
    row: &'a [f64],
    tempering: &'a Tempering<f64>,
}

impl Kernel for Fill<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Fill { distribution, row, tempering } = self;
        let Peak::Finite(max) = find_peak(simd, row) else { return false };
        distribution.p.resize(row.len(), 0.0);
        distribution.gaps.resize(row.len(), 0.0);
        match tempering {
            Tempering::ArgMax => return false,
            Tempering::Uniform => distribution.fill_evenly(row),
            Tempering::Finite(base) => distribution.fill_weights(simd, row, max, base),
        }
        true
    }
}

struct Sums {
    maxima: [f64; LANES],
    rest: [f64; LANES],
}

/// The weights of a block, written and added up: those of the maxima only counted.
struct Weigh<'a> {
    block: &'a [f64],
    out: &'a mut [f64],
    plan: &'a Plan<f64>,
    sums: &'a mut Sums,
}

impl Kernel for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Weigh { block, out, plan, sums } = self;
        let (chunks, tail) = block.as_chunks::<LANES>();
        let (outs, out_tail) = out.as_chunks_mut::<LANES>();
        for (chunk, out) in chunks.iter().zip(outs) {
            *out = weighed(chunk, plan, sums);
        }
        if !tail.is_empty() {
            let mut last = [f64::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            out_tail.copy_from_slice(&weighed(&last, plan, sums)[..tail.len()]);
        }
    }
}

#[inline(always)]
fn weighed(chunk: &[f64; LANES], plan: &Plan<f64>, sums: &mut Sums) -> [f64; LANES] {
    let (shift, max) = (plan.shift, plan.max);
    let Sums { mut maxima, mut rest } = *sums;
    let mut out = [0.0; LANES];
    for i in 0..LANES {
        let x = chunk[i];
        let w = weight(x, &shift);
        let w = if x > shift.floor { w } else { 0.0 };
        out[i] = w;
        maxima[i] += if x < max { 0.0 } else { 1.0 };
        rest[i] += if x < max { w } else { 0.0 };
    }
    *sums = Sums { maxima, rest };
    out
}
