//! Similarities into weights: the sum of a row, and its gradients, sixteen lanes at a time.
//!
//! ```text
//! sum:   m = max s      w_j = exp((s_j − m)/τ)      Σ w_j and Σ w_j (s_j − m), so that nothing overflows
//! pull:  g_j = f·exp((s_j − m)/τ)                   of the row, of the columns, or both added
//! ```
//!
//! An entry of −∞ is not there: it weighs 0. Rows are filled up with them to whole chunks of lanes. No entry is NaN
//! or +∞; whoever calls has seen to that.

use crate::double::{Double, ldexp, two_sum};
use crate::element::Real;
use crate::error::Error;
use crate::exp::{Shift, exp, exp_double, ln_sum, weight_for_sums};
use crate::simd::{Kernel, Simd};
use crate::temperature::Temperature;

/// A contrastive or a normalised loss is infinite at τ = 0, or 0 without a gradient; and its gradients have a factor
/// of 1/τ, which the type must hold.
pub(crate) fn above_zero<R: Real>(tau: Temperature) -> Result<(), Error> {
    let (least, allowed) = if R::IN_DOUBLE {
        (1e-300, "at least 1e-300 in this loss")
    } else {
        (1e-36, "at least 1e-36 in this loss of f32")
    };
    if tau.tau() < least {
        return Err(Error::Parameter { what: "temperature", got: tau.tau(), allowed });
    }
    Ok(())
}

/// Lanes of a chunk.
pub(crate) const LANES: usize = 16;

/// Chunks that are added up in the type of the row before they go into an f64.
const CHUNKS: usize = 8;

/// A temperature above 0 as the kernels take it.
#[derive(Clone, Copy)]
pub(crate) struct Factor<R> {
    shift: Shift<R>,
    /// 1/τ, the nearest f64.
    pub(crate) scale: f64,
    tau: Temperature,
}

impl<R: Real> Factor<R> {
    /// Of a temperature that is not 0.
    pub(crate) fn new(tau: Temperature) -> Self {
        let (inverse, exponent) = tau.inverse();
        // Differences of the type are 0 or so far apart that a larger factor would change nothing; and the type holds
        // it.
        let (most, smallest) = if R::IN_DOUBLE { (1e300, -1021.0) } else { (1e37, -125.0) };
        let c = Double::LOG2_E.times(inverse).ldexp(exponent);
        let c = if c.hi < most { c } else { Double::from(most) };
        let factor = R::of_f64(c.hi);
        let low = R::of_f64((c.hi - factor.to_f64()) + c.lo);
        let floor = R::of_f64((smallest / c.hi).max(-most));
        let shift = Shift { factor, factor_low: low, round: R::of_f64(R::ROUND), floor };
        Factor { shift, scale: tau.scale(), tau }
    }

    /// exp(d/τ) for d ≤ 0, and 0 where that is below the normal numbers.
    #[inline(always)]
    pub(crate) fn weight(&self, d: R) -> R {
        let w = weight_for_sums(d, &self.shift);
        if d > self.shift.floor { w } else { R::ZERO }
    }
}

impl<R> Factor<R> {
    /// exp((a − b)/τ) for a ≤ b, and 0 where there is no a.
    pub(crate) fn weight_of_gap(&self, a: f64, b: f64) -> f64 {
        if a == b || a == f64::NEG_INFINITY {
            return f64::from(u8::from(a > f64::NEG_INFINITY));
        }
        exp(self.scale * (a - b))
    }
}

/// Σ_j exp(s_j/τ) = `sum`·exp(`max`/τ), and `first` = Σ_j exp((s_j − max)/τ)·(s_j − max).
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSum {
    pub(crate) max: f64,
    pub(crate) sum: f64,
    pub(crate) first: f64,
}

/// −ln of what one entry has of the sum: `softplus(x)` where exp(x) = (the others)/(this one).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) loss: f64,
    /// 1 − p, relatively accurate.
    pub(crate) rest: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        LogSum::EMPTY
    }
}

impl LogSum {
    /// Of nothing.
    pub(crate) const EMPTY: LogSum = LogSum { max: f64::NEG_INFINITY, sum: 0.0, first: 0.0 };

    pub(crate) fn is_empty(&self) -> bool {
        self.sum == 0.0
    }

    /// Adds more; the factor by which what was there must be multiplied, and that of what comes.
    pub(crate) fn add(&mut self, more: LogSum, scale: f64) -> (f64, f64) {
        if more.is_empty() {
            return (1.0, 0.0);
        }
        if self.is_empty() {
            *self = more;
            return (0.0, 1.0);
        }
        let max = self.max.max(more.max);
        // One of the two is the maximum, and the other one's factor is all there is to compute.
        let factor = |of: f64| if of == max { 1.0 } else { exp(scale * (of - max)) };
        let (here, there) = (factor(self.max), factor(more.max));
        let moved = |sum: &LogSum, factor: f64| factor * (sum.first + sum.sum * (sum.max - max));
        let first = moved(self, here) + moved(&more, there);
        *self = LogSum { max, sum: self.sum * here + more.sum * there, first };
        (here, there)
    }

    /// The mean of s − `from` under the weights.
    pub(crate) fn mean_from(&self, from: f64) -> f64 {
        if self.is_empty() { 0.0 } else { (self.max - from) + self.first / self.sum }
    }

    /// ln of the sum, less `from`/τ.
    pub(crate) fn ln_over<R: Real>(&self, from: f64, factor: &Factor<R>) -> f64 {
        let ln =
            if self.sum >= 1.0 { ln_sum(self.sum, Double::ZERO).hi } else { libm::log(self.sum) };
        factor.gap(self.max, from).hi + ln
    }

    /// What `positive`, which is not in this sum, has of it and itself.
    pub(crate) fn share<R: Real>(&self, positive: f64, factor: &Factor<R>) -> Share {
        if self.is_empty() {
            return Share { loss: 0.0, rest: 0.0 };
        }
        let odds = exp_double(factor.gap(self.max, positive)) * self.sum;
        if odds < 1.0 {
            return Share { loss: ln_sum(1.0, Double::from(odds)).hi, rest: odds / (1.0 + odds) };
        }
        // ln(1 + e^x) = x + ln(1 + e^−x)
        let x = self.ln_over(positive, factor);
        let loss = x + ln_sum(1.0, Double::from(1.0 / odds)).hi;
        Share { loss, rest: 1.0 / (1.0 + 1.0 / odds) }
    }
}

impl<R> Factor<R> {
    /// (a − b)/τ in two parts.
    fn gap(&self, a: f64, b: f64) -> Double {
        let (hi, lo) = two_sum(a, -b);
        let (inverse, exponent) = self.tau.inverse();
        let product = inverse.times(Double { hi, lo });
        Double { hi: ldexp(product.hi, exponent), lo: ldexp(product.lo, exponent) }
    }
}

/// The sum of a row; with `KEEP`, its weights exp((s_j − max)/τ) in place of the entries.
pub(crate) struct Weigh<'a, R, const KEEP: bool> {
    pub(crate) row: &'a mut [[R; LANES]],
    pub(crate) factor: &'a Factor<R>,
}

impl<R: Real, const KEEP: bool> Kernel for Weigh<'_, R, KEEP> {
    type Output = LogSum;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> LogSum {
        let Weigh { row, factor } = self;
        // The next row of a tile begins another page, where the machine does not look by itself.
        let ahead = row.len() * LANES;
        let mut maxima = [R::NEG_INFINITY; LANES];
        for chunk in row.iter() {
            let mut next = maxima;
            for i in 0..LANES {
                next[i] = if chunk[i] > maxima[i] { chunk[i] } else { maxima[i] };
            }
            maxima = next;
        }
        let max = maxima.iter().fold(R::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        if max == R::NEG_INFINITY {
            if KEEP {
                row.iter_mut().for_each(|chunk| *chunk = [R::ZERO; LANES]);
            }
            return LogSum::EMPTY;
        }
        let (mut sums, mut firsts) = ([0.0; LANES], [0.0; LANES]);
        for chunks in row.chunks_mut(CHUNKS) {
            let (mut sum, mut first) = ([R::ZERO; LANES], [R::ZERO; LANES]);
            for chunk in chunks {
                simd.prefetch_read(chunk.as_ptr().wrapping_add(ahead));
                let (mut next, mut next_first, mut weights) = (sum, first, [R::ZERO; LANES]);
                for i in 0..LANES {
                    let d = chunk[i] - max;
                    let w = factor.weight(d);
                    let d = if d > factor.shift.floor { d } else { R::ZERO };
                    weights[i] = w;
                    next[i] = sum[i] + w;
                    next_first[i] = w.mul_add(d, first[i]);
                }
                if KEEP {
                    *chunk = weights;
                }
                (sum, first) = (next, next_first);
            }
            for i in 0..LANES {
                sums[i] += sum[i].to_f64();
                firsts[i] += first[i].to_f64();
            }
        }
        let total = |lanes: [f64; LANES]| lanes.iter().sum();
        LogSum { max: max.to_f64(), sum: total(sums), first: total(firsts) }
    }
}

/// What is to become of a row's or a column's entries: `factor`·exp((s − `max`)/τ).
#[derive(Clone, Copy)]
pub(crate) struct Term<R> {
    pub(crate) max: R,
    pub(crate) factor: R,
}

/// Maxima and factors of columns, in chunks like those of a row.
pub(crate) type ColumnTerms<'a, R> = (&'a [[R; LANES]], &'a [[R; LANES]]);

/// The gradient of a row's entries, in their place.
pub(crate) struct Pull<'a, R> {
    pub(crate) row: &'a mut [[R; LANES]],
    pub(crate) own: Term<R>,
    /// Of the columns, where they pull as well.
    pub(crate) columns: Option<ColumnTerms<'a, R>>,
    pub(crate) factor: &'a Factor<R>,
}

impl<R: Real> Kernel for Pull<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Pull { row, own, columns, factor } = self;
        let Some((maxima, factors)) = columns else {
            for chunk in row {
                let mut pulled = [R::ZERO; LANES];
                for i in 0..LANES {
                    pulled[i] = own.factor * factor.weight(less(chunk[i] - own.max));
                }
                *chunk = pulled;
            }
            return;
        };
        for ((chunk, max), column) in row.iter_mut().zip(maxima).zip(factors) {
            let mut pulled = [R::ZERO; LANES];
            for i in 0..LANES {
                let of_row = own.factor * factor.weight(less(chunk[i] - own.max));
                pulled[i] = column[i].mul_add(factor.weight(less(chunk[i] - max[i])), of_row);
            }
            *chunk = pulled;
        }
    }
}

/// A row times a number.
pub(crate) struct Times<'a, R> {
    pub(crate) row: &'a mut [[R; LANES]],
    pub(crate) by: R,
}

impl<R: Real> Kernel for Times<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for chunk in self.row {
            for x in chunk {
                *x = *x * self.by;
            }
        }
    }
}

/// The sums of columns over the rows of a tile.
pub(crate) struct ColumnSums<R> {
    pub(crate) maxima: Vec<[R; LANES]>,
    pub(crate) sums: Vec<[f64; LANES]>,
    pub(crate) firsts: Vec<[f64; LANES]>,
}

impl<R: Real> ColumnSums<R> {
    pub(crate) fn new(chunks: usize) -> Self {
        ColumnSums {
            maxima: vec![[R::ZERO; LANES]; chunks],
            sums: vec![[0.0; LANES]; chunks],
            firsts: vec![[0.0; LANES]; chunks],
        }
    }

    /// Of one column.
    pub(crate) fn of(&self, column: usize) -> LogSum {
        LogSum {
            max: self.maxima.as_flattened()[column].to_f64(),
            sum: self.sums.as_flattened()[column],
            first: self.firsts.as_flattened()[column],
        }
    }
}

/// Fills [`ColumnSums`] of the first `chunks` chunks of rows that begin every `stride` chunks.
pub(crate) struct WeighColumns<'a, R> {
    pub(crate) tile: &'a [[R; LANES]],
    pub(crate) stride: usize,
    pub(crate) chunks: usize,
    pub(crate) factor: &'a Factor<R>,
    pub(crate) to: &'a mut ColumnSums<R>,
}

impl<R: Real> Kernel for WeighColumns<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let WeighColumns { tile, stride, chunks, factor, to } = self;
        let maxima = &mut to.maxima[..chunks];
        maxima.fill([R::NEG_INFINITY; LANES]);
        for row in tile.chunks(stride) {
            for (max, chunk) in maxima.iter_mut().zip(row) {
                let mut next = *max;
                for i in 0..LANES {
                    next[i] = if chunk[i] > max[i] { chunk[i] } else { max[i] };
                }
                *max = next;
            }
        }
        to.sums[..chunks].fill([0.0; LANES]);
        to.firsts[..chunks].fill([0.0; LANES]);
        // As many rows as a row has chunks in one go, in the type of the row.
        for rows in tile.chunks(stride * CHUNKS) {
            for (k, max) in maxima.iter().enumerate() {
                let mut from = [R::ZERO; LANES];
                for i in 0..LANES {
                    // In a column without entries all are -inf.
                    from[i] = if max[i] > R::NEG_INFINITY { max[i] } else { R::ZERO };
                }
                let (mut sum, mut first) = ([R::ZERO; LANES], [R::ZERO; LANES]);
                for row in rows.chunks(stride) {
                    let chunk = row[k];
                    let (mut next, mut next_first) = (sum, first);
                    for i in 0..LANES {
                        let d = chunk[i] - from[i];
                        let w = factor.weight(d);
                        let d = if d > factor.shift.floor { d } else { R::ZERO };
                        next[i] = sum[i] + w;
                        next_first[i] = w.mul_add(d, first[i]);
                    }
                    (sum, first) = (next, next_first);
                }
                for i in 0..LANES {
                    to.sums[k][i] += sum[i].to_f64();
                    to.firsts[k][i] += first[i].to_f64();
                }
            }
        }
    }
}

/// Adds to numbers that are held in two parts, whose sum loses nothing that is seen (Knuth's two-sum).
pub(crate) struct AddInTwo<'a, R> {
    pub(crate) high: &'a mut [R],
    pub(crate) low: &'a mut [R],
    pub(crate) more: &'a [R],
}

impl<R: Real> Kernel for AddInTwo<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for ((high, low), &more) in self.high.iter_mut().zip(self.low).zip(self.more) {
            let sum = *high + more;
            let taken = sum - *high;
            *low = *low + ((*high - (sum - taken)) + (more - taken));
            *high = sum;
        }
    }
}

/// No more than 0: beyond its own maximum a column or a row has factor 0 or a rounding of the similarity.
#[inline(always)]
fn less<R: Real>(d: R) -> R {
    if d < R::ZERO { d } else { R::ZERO }
}
