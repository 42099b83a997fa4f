//! One row: its maximum, its shift, its weights and their sum. All other files build on these.
//!
//! ```text
//! m  = max x                                  one sweep, which also looks for NaN
//! n  = rint(m·c),  c = log2(e)/τ              the row's shift, an integer
//! w  = 2^(x·c − n)                            one sweep, parked in the output
//! S  = Σ w                                    in the same sweep
//! p  = w / S                                  one sweep, as `product.rs` says
//! ```
//!
//! Departures, and why:
//!
//! 1. Where |m·c| ≥ 2^16 the product has too few bits left for its fraction, and n is 0 after the row
//!    was *staged* as x − m. That subtraction is exact for every x with a weight (Sterbenz), and the
//!    others round to −∞ at worst.
//! 2. Where c itself would leave the range of the type (τ below 1e-22 in f32), rows are staged as
//!    x·2^q and c as c·2^-q. Both are exact, so softmax(x·2^k, τ·2^k) has the same bits.
//! 3. The sum runs in 16 virtual lanes of f64 (with a correction when the weights are f64): the order is
//!    the same on every machine, and what it rounds away cannot be seen in the result. Rows above 2^18
//!    numbers have such a sum for every 2^16 of them.

use crate::aligned::{aligned, backwards, unaligned};
use crate::double::Double;
use crate::element::{LINE, Real};
use crate::exp::{Shift, weight};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{BLOCK, Plan, Tempering};
use crate::softmax::product::Multiplier;

/// Virtual lanes of every kernel, whatever the machine's vectors: two of AVX2, one of AVX-512 in f32.
/// Sixteen keep two independent chains in flight and the accumulators in registers.
pub(crate) const LANES: usize = 16;

/// Rows that are longer than this have a sum for each part, and those of all parts are added up in their order: no bit shows
/// whether several threads have made them (`long.rs`).
pub(crate) const LONG: usize = 1 << 18;
/// Numbers of a part: with its weights, half of a second-level cache in f32.
pub(super) const PART: usize = 1 << 16;

/// What the first sweep finds.
#[derive(Clone, Copy)]
pub(crate) enum Peak<R> {
    /// A NaN somewhere, or nothing but −∞: the row has no distribution.
    None { nan: bool },
    /// +∞ somewhere.
    Infinite,
    /// The largest entry.
    Finite(R),
}

impl<R: PartialOrd> Peak<R> {
    /// That of two parts of a row.
    pub(super) fn higher(self, other: Self) -> Self {
        match (self, other) {
            (Peak::None { nan: true }, _) | (_, Peak::None { nan: true }) => {
                Peak::None { nan: true }
            }
            (Peak::None { nan: false }, peak) | (peak, Peak::None { nan: false }) => peak,
            (Peak::Infinite, _) | (_, Peak::Infinite) => Peak::Infinite,
            (Peak::Finite(a), Peak::Finite(b)) => Peak::Finite(if b > a { b } else { a }),
        }
    }
}

pub(crate) const WIDE: usize = LINE;

/// So many bytes ahead, at least, memory is asked for what is to be read and written soon: it comes in the time of what lies
/// between. Left to the machine, which sees rows pass by in fits and starts, rows of ten classes wait for it.
pub(crate) const AHEAD: usize = 2048;

/// The largest number and the NaN bits seen so far, lane by lane.
pub(super) struct Peaks<R: Real> {
    pub(super) best: [R; WIDE],
    pub(super) nan: [R::Bits; WIDE],
}

impl<R: Real> Peaks<R> {
    pub(super) const NONE: Self = Peaks { best: [R::NEG_INFINITY; WIDE], nan: [R::NO_BITS; WIDE] };
}

/// The first sweep.
struct Raise<'a, R: Real> {
    row: &'a [R],
    peaks: &'a mut Peaks<R>,
}

impl<R: Real> Kernel for Raise<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Peaks { mut best, mut nan } = *self.peaks;
        let (chunks, rest) = self.row.as_chunks::<WIDE>();
        for chunk in chunks {
            (best, nan) = raised(chunk, best, nan);
        }
        *self.peaks = Peaks { best, nan };
        let best = self.peaks.best.as_chunks_mut::<LANES>().0;
        let nan = self.peaks.nan.as_chunks_mut::<LANES>().0;
        for ((part, best), nan) in rest.chunks(LANES).zip(best).zip(nan) {
            simd.one_by_one();
            (*best, *nan) = raised(&R::padded(simd, part), *best, *nan);
        }
    }
}

/// With a chunk more.
#[inline(always)]
pub(crate) fn raised<R: Real, const N: usize>(
    chunk: &[R; N],
    best: [R; N],
    nan: [R::Bits; N],
) -> ([R; N], [R::Bits; N]) {
    // New arrays: assigned in place, the maximum becomes a masked store.
    let (mut larger, mut seen) = (best, nan);
    for i in 0..N {
        larger[i] = if chunk[i] > best[i] { chunk[i] } else { best[i] };
        seen[i] = nan[i] | chunk[i].nan_bits();
    }
    (larger, seen)
}

/// The maximum of a row and whether it holds a NaN, in one sweep.
#[inline(always)]
pub(crate) fn find_peak<S: Simd, R: Real>(simd: S, row: &[R]) -> Peak<R> {
    let mut peaks = Peaks::NONE;
    simd.call(Raise { row, peaks: &mut peaks });
    of_lanes(peaks)
}

#[inline(always)]
pub(super) fn of_lanes<R: Real>(peaks: Peaks<R>) -> Peak<R> {
    let Peaks { mut best, mut nan } = peaks;
    let mut width = WIDE;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            best[i] = if best[i + width] > best[i] { best[i + width] } else { best[i] };
            nan[i] = nan[i] | nan[i + width];
        }
    }
    let (max, nan) = (best[0], nan[0] != R::NO_BITS);
    if nan || max == R::NEG_INFINITY {
        Peak::None { nan }
    } else if max == -R::NEG_INFINITY {
        Peak::Infinite
    } else {
        Peak::Finite(max)
    }
}

/// Lanes added up, halving their number each time; a power of two.
#[inline(always)]
pub(crate) fn sum_of_lanes<const N: usize>(mut lanes: [f64; N]) -> f64 {
    let mut width = N;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// A sum over the virtual lanes.
pub(crate) struct Lanes {
    pub(crate) total: [f64; LANES],
    pub(crate) correction: [f64; LANES],
}

impl Lanes {
    pub(crate) const ZERO: Self = Lanes { total: [0.0; LANES], correction: [0.0; LANES] };

    /// The lanes added up, halving their number each time.
    #[inline(always)]
    pub(crate) fn sum<R: Real>(mut self) -> Double {
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                let left = (self.total[i], self.correction[i]);
                let right = (self.total[i + width], self.correction[i + width]);
                (self.total[i], self.correction[i]) = R::join(left, right);
            }
        }
        Double { hi: self.total[0], lo: self.correction[0] }
    }
}

/// The sums of two parts of a row.
#[inline(always)]
pub(super) fn joined<R: Real>(a: Double, b: Double) -> Double {
    let (hi, lo) = R::join((a.hi, a.lo), (b.hi, b.lo));
    Double { hi, lo }
}

/// The second sweep: writes the weights of a staged block to `out`.
struct Park<'a, R> {
    block: &'a [R],
    out: &'a mut [R],
    shift: &'a Shift<R>,
    /// How many numbers further on to fetch from memory meanwhile: a later row, or 0.
    ahead: usize,
    /// The same of what is written.
    write_ahead: usize,
}

impl<R: Real> Kernel for Park<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Park { block, out, shift, ahead, write_ahead } = self;
        // Where later rows are fetched meanwhile, memory is the faster the straighter it is gone through.
        let (shift, backwards) = (*shift, ahead == 0 && backwards(block, out));
        let (chunks, tail) = block.as_chunks::<LANES>();
        let (outs, out_tail) = out.as_chunks_mut::<LANES>();
        let each = chunks.iter().zip(outs);
        if backwards {
            for (chunk, out) in each.rev() {
                *out = weights(chunk, &shift);
            }
        } else {
            for (chunk, out) in each {
                simd.prefetch_read(chunk.as_ptr().wrapping_add(ahead));
                simd.prefetch_write(out.as_ptr().wrapping_add(write_ahead));
                *out = weights(chunk, &shift);
            }
        }
        if !tail.is_empty() {
            R::put(simd, &weights(&R::padded(simd, tail), &shift), out_tail);
        }
    }
}

#[inline(always)]
fn weights<R: Real>(chunk: &[R; LANES], shift: &Shift<R>) -> [R; LANES] {
    let mut weights = *chunk;
    for i in 0..LANES {
        weights[i] = weight(chunk[i], shift);
    }
    weights
}

/// Adds the weights of a block to the lanes of a row. A sweep of its own over what is in the
/// first-level cache: a sum in the sweep above would have to be in the type of the weights, where a
/// few large ones cost it its last bits, or make that sweep slower than the two are.
pub(super) struct AddUp<'a, R> {
    pub(super) weights: &'a [R],
    pub(super) lanes: &'a mut Lanes,
}

impl<R: Real> Kernel for AddUp<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Lanes { total, correction } = self.lanes;
        let (chunks, tail) = self.weights.as_chunks::<LANES>();
        R::add_up(simd, chunks, total, correction);
        if !tail.is_empty() {
            let mut last = R::padded(simd, tail);
            for weight in &mut last {
                *weight = if *weight > R::ZERO { *weight } else { R::ZERO };
            }
            R::accumulate(&[last], total, correction);
        }
    }
}

/// The third sweep: weights to probabilities, or to what else is a multiple of them.
pub(crate) struct Normalise<'a, R: Real> {
    pub(crate) out: &'a mut [R],
    pub(crate) by: Multiplier<R>,
}

impl<R: Real> Kernel for Normalise<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Normalise { out, by } = self;
        let (chunks, tail) = out.as_chunks_mut::<LANES>();
        for chunk in chunks {
            simd.one_by_one();
            *chunk = quotients(chunk, &by);
        }
        if !tail.is_empty() {
            R::put(simd, &quotients(&R::padded(simd, tail), &by), tail);
        }
    }
}

/// The third sweep of a chunk.
#[inline(always)]
pub(super) fn quotients<R: Real>(weights: &[R; LANES], by: &Multiplier<R>) -> [R; LANES] {
    let mut p = *weights;
    for i in 0..LANES {
        p[i] = by.times(weights[i]);
    }
    p
}

/// Blocks on their way: those of a row that must be staged, and weights that nobody asked for. Empty
/// until needed.
pub(crate) struct Space<R> {
    pub(super) staged: Vec<R>,
    pub(super) weights: Vec<R>,
}

impl<R> Space<R> {
    pub(crate) fn new() -> Self {
        Space { staged: Vec::new(), weights: Vec::new() }
    }
}

/// Softmax of a row into `out`, which holds the row itself where `row` is `None`.
#[inline(always)]
pub(crate) fn softmax<S: Simd, R: Real>(
    simd: S,
    row: Option<&[R]>,
    out: &mut [R],
    tempering: &Tempering<R>,
    space: &mut Space<R>,
    ahead: usize,
) {
    let peak = find_peak(simd, row.unwrap_or(out));
    if let Some(sum) = weigh(simd, peak, row, out, tempering, space, ahead, ahead) {
        normalise(simd, out, Multiplier::inverse(sum));
    }
}

/// The weights of a row in `out`, and their sum; none where the answer is there instead, which needs no weights.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a row and all that is known of it")]
pub(super) fn weigh<S: Simd, R: Real>(
    simd: S,
    peak: Peak<R>,
    row: Option<&[R]>,
    out: &mut [R],
    tempering: &Tempering<R>,
    space: &mut Space<R>,
    ahead: usize,
    write_ahead: usize,
) -> Option<Double> {
    let base = match (peak, tempering) {
        (Peak::None { .. }, _) => {
            out.fill(R::NAN);
            return None;
        }
        (Peak::Finite(max), Tempering::Finite(base)) => Some((max, base)),
        _ => None,
    };
    let Some((max, base)) = base else {
        if let Some(row) = row {
            out.copy_from_slice(row);
        }
        let shared = share(out, matches!(tempering, Tempering::Uniform));
        let mass = R::of_f64(1.0 / shared.count);
        out.iter_mut().for_each(|x| *x = if shared.has(*x) { mass } else { R::ZERO });
        return None;
    };
    let plan = Plan::new(max, base);
    Some(if out.len() > LONG {
        weigh_parts(simd, row, out, &plan, space)
    } else {
        weigh_part(simd, row, out, &plan, space, ahead, write_ahead)
    })
}

/// Not inlined: all other rows would pay for it.
#[inline(never)]
fn weigh_parts<S: Simd, R: Real>(
    simd: S,
    row: Option<&[R]>,
    out: &mut [R],
    plan: &Plan<R>,
    space: &mut Space<R>,
) -> Double {
    let mut sum = Double::ZERO;
    for (i, out) in out.chunks_mut(PART).enumerate() {
        let row = row.map(|row| &row[i * PART..][..out.len()]);
        sum = joined::<R>(sum, weigh_part(simd, row, out, plan, space, 0, 0));
    }
    sum
}

/// The weights of a part of a row in `out`, which holds the part itself where `row` is `None`, and their sum.
#[inline(always)]
pub(super) fn weigh_part<S: Simd, R: Real>(
    simd: S,
    row: Option<&[R]>,
    out: &mut [R],
    plan: &Plan<R>,
    space: &mut Space<R>,
    ahead: usize,
    write_ahead: usize,
) -> Double {
    let mut lanes = Lanes::ZERO;
    // In a short row a block more costs as much as it brings.
    let lead = if out.len() < 8 * BLOCK { 0 } else { unaligned(out) };
    let (mut start, mut added) = (0, 0);
    while start < out.len() {
        let end = out.len().min(if start < lead { lead } else { start + BLOCK });
        let part = &mut out[start..end];
        let block = match row {
            Some(row) => plan.staged(&row[start..end], &mut space.staged),
            None => plan.copied(part, &mut space.staged),
        };
        simd.call(Park { block, out: part, shift: &plan.shift, ahead, write_ahead });
        // By the column, in pairs of chunks, wherever the blocks begin: no bit depends on the alignment.
        let whole = if end == out.len() { end } else { end - end % (2 * LANES) };
        simd.call(AddUp { weights: &out[added..whole], lanes: &mut lanes });
        (start, added) = (end, whole);
    }
    lanes.sum::<R>()
}

/// The weights of a block, in memory of our own.
#[inline(always)]
pub(super) fn weigh_block<'a, S: Simd, R: Real>(
    simd: S,
    block: &[R],
    plan: &Plan<R>,
    space: &'a mut Space<R>,
) -> &'a mut [R] {
    let Space { staged, weights } = space;
    let block = plan.staged(block, staged);
    let weights = aligned(weights, BLOCK, block.len());
    simd.call(Park { block, out: weights, shift: &plan.shift, ahead: 0, write_ahead: 0 });
    weights
}

/// The third sweep.
#[inline(always)]
pub(super) fn normalise<S: Simd, R: Real>(simd: S, out: &mut [R], by: Multiplier<R>) {
    let lead = if out.len() < BLOCK / 4 { 0 } else { unaligned(out) };
    let (lead, out) = out.split_at_mut(lead);
    simd.call(Normalise { out: lead, by });
    simd.call(Normalise { out, by });
}

/// Which entries share the mass in a limit, and how many they are.
pub(crate) struct Shared<R> {
    from: R,
    pub(crate) count: f64,
}

impl<R: Real> Shared<R> {
    #[inline(always)]
    pub(crate) fn has(&self, x: R) -> bool {
        x >= self.from && x != R::NEG_INFINITY
    }
}

/// The maximal entries, or all that are not −∞ when `uniform`.
pub(crate) fn share<R: Real>(row: &[R], uniform: bool) -> Shared<R> {
    let from = if uniform {
        R::NEG_INFINITY
    } else {
        row.iter().fold(R::NEG_INFINITY, |m, &x| if x > m { x } else { m })
    };
    let mut shared = Shared { from, count: 0.0 };
    shared.count = row.iter().filter(|&&x| shared.has(x)).count() as f64;
    shared
}
