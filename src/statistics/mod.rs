//! What a distribution looks like, without writing it: log Z, moments, entropy, the maximum.
//!
//! ```text
//! m = max x                                    one sweep
//! per block of 1024, in f64, from one reading of the row:
//!     w_i = exp((x_i − m)/τ),  d_i = x_i − m, in units of a power of two
//!     Σ w_i (maxima apart)  Σ w_i d_i  Σ w_i i     while the block is cached, and then about its own mean
//!     Σ w_i (d_i − μ)²      Σ w_i (d_i − μ)³
//! blocks are put together about the row's μ    nothing is squared before its mean is gone
//! H = L − E[d]/τ,  L = ln Σ w                  two numbers of one sign: a confident row keeps its digits
//! ```

mod sums;

use crate::double::{Double, ldexp};
use crate::element::{Element, private::Element as _};
use crate::error::Error;
use crate::exp::{exp_double, ln_sum, weight};
use crate::parallel::Job;
use crate::rows::Rows;
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::in_real;
use crate::softmax::log::log_partition;
use crate::softmax::plan::{BLOCK, Base2, Plan, Tempering, Temperings};
use crate::softmax::row::{LANES, Peak, find_peak};
use crate::temperature::{Temperature, Temperatures};
use sums::{AddUpBy, AddUpRest, Centre, Count, Share, Units, Weigh};

/// What [`statistics`] tells about one row; logarithms in nats, moments in units of the logits.
///
/// With p = softmax(x/τ). Entries of −∞ have p = 0 and count for nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// log Z = ln Σ exp(x_i/τ).
    pub log_sum_exp: f64,
    /// `E[x] = Σ p_i x_i`.
    pub mean: f64,
    /// `Var[x] = Σ p_i (x_i − E[x])²`, which is `dE[x]/dβ`, where β = 1/τ.
    pub variance: f64,
    /// `Σ p_i (x_i − E[x])³`.
    pub third_moment: f64,
    /// H = −Σ p_i ln p_i.
    pub entropy: f64,
    /// exp(H): how many equally likely classes would be as uncertain.
    pub perplexity: f64,
    /// max p_i.
    pub max_probability: f64,
    /// The first index of the largest logit; `None` where the row has no distribution.
    pub arg_max: Option<usize>,
    /// Σ p_i · i, i from 0.
    pub expected_index: f64,
}

impl Statistics {
    const NONE: Statistics = Statistics {
        log_sum_exp: f64::NAN,
        mean: f64::NAN,
        variance: f64::NAN,
        third_moment: f64::NAN,
        entropy: f64::NAN,
        perplexity: f64::NAN,
        max_probability: f64::NAN,
        arg_max: None,
        expected_index: f64::NAN,
    };
}

/// log Z, moments of the logits, entropy, perplexity, maximum and expected index of every row under
/// `p_i = exp(x_i/τ) / Σ_j exp(x_j/τ)`, in one pass and without storing p.
///
/// # Shapes
/// `[rows, classes]` to `[rows]`; `tau` is one [`Temperature`], or a slice of one per row.
///
/// # Accuracy
/// Everything is computed in f64, whatever the type of the logits; the bounds are in
/// docs/accuracy.md. Entropy and variance keep their relative accuracy in confident rows, and the
/// moments under a common offset of the logits as far as the logits themselves have the digits. The
/// third moment may cancel, and is accurate relative to `Σ p_i |x_i − E[x]|³`. The same bits everywhere.
///
/// # Special values
/// A row with a NaN, or of nothing but −∞, is NaN throughout (log Z of the latter is −∞) and has no
/// arg max. At τ = 0 and τ = ∞ the statistics are those of the limit, and log Z is as in
/// [`log_sum_exp`](crate::log_sum_exp). With entries of +∞ the mean is ∞, variance and third moment
/// are NaN.
///
/// # Errors
/// [`Error::Shape`] when there are temperatures per row, but not one for each.
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, statistics};
///
/// let s = &statistics(Rows::one(&[0.0f32, 0.0, 0.0, 0.0])?, Temperature::ONE)?[0];
/// assert_eq!((s.perplexity, s.max_probability), (4.0, 0.25));
/// assert_eq!((s.arg_max, s.expected_index, s.variance), (Some(0), 1.5, 0.0));
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Shannon 1948 for the entropy; moments of parts about a common mean as in Pébay, Sandia report
/// SAND2008-6212, 2008, section 2.
pub fn statistics<'a, T: Element>(
    logits: Rows<'_, T>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<Vec<Statistics>, Error> {
    let taus = tau.into().checked(logits.rows())?;
    let mut out = vec![Statistics::NONE; logits.rows()];
    T::run(EachRow { logits, taus, out: &mut out });
    Ok(out)
}

/// `Σ_i p_i · i` of one row, i from 0: the index that softmax expects, which vision papers call
/// soft-argmax.
///
/// # Shapes
/// `logits` is one row of any length but 0; the result is one number.
///
/// # Accuracy, special values
/// As [`statistics`].
///
/// # Errors
/// [`Error::NoClasses`] when `logits` is empty.
///
/// # Example
/// ```
/// use softargmax::{Temperature, expected_index};
///
/// assert_eq!(expected_index(&[0.0, 3.0, 3.0, 0.0], Temperature::ONE)?, 1.5);
/// assert_eq!(expected_index(&[0.0, 3.0, 2.9, 0.0], Temperature::ZERO)?, 1.0);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Luvizon, Tabia & Picard, Computers & Graphics 85, 2019, eq. 2.
pub fn expected_index<T: Element>(logits: &[T], tau: Temperature) -> Result<f64, Error> {
    Ok(statistics(Rows::one(logits)?, tau)?[0].expected_index)
}

pub(crate) struct EachRow<'a, T> {
    logits: Rows<'a, T>,
    taus: Temperatures<'a>,
    out: &'a mut [Statistics],
}

impl<T: Element> Kernel for EachRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let EachRow { logits, taus, out } = self;
        let temperings = Temperings::<f64>::new(taus);
        let (mut in_f32, mut in_f64) = (Scratch::new(), Scratch::new());
        let wide = in_f64.of(logits.classes());
        let mut space = Space::default();
        for (i, (row, out)) in logits.iter().zip(out).enumerate() {
            for (wide, x) in wide.iter_mut().zip(in_real(row, &mut in_f32)) {
                *wide = x.to_f64();
            }
            let (row, tempering) = (&*wide, &temperings.of_row(i));
            *out = simd.call(OfRow { row, tempering, space: &mut space });
        }
    }
}

impl<T: Element> Job for EachRow<'_, T> {
    fn rows(&self) -> usize {
        self.out.len()
    }

    fn row_len(&self) -> usize {
        self.logits.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (logits, logits_right) = self.logits.split_at(row);
        let (taus, taus_right) = self.taus.split_at(row);
        let (out, out_right) = self.out.split_at_mut(row);
        (
            EachRow { logits, taus, out },
            EachRow { logits: logits_right, taus: taus_right, out: out_right },
        )
    }
}

/// Buffers that serve row after row.
#[derive(Default)]
struct Space {
    staged: Vec<f64>,
    scaled: Vec<f64>,
    weights: Vec<f64>,
    parts: Vec<Part>,
}

/// A kernel of f64, so that it is one for all types of logits.
struct OfRow<'a> {
    row: &'a [f64],
    tempering: &'a Tempering<f64>,
    space: &'a mut Space,
}

impl Kernel for OfRow<'_> {
    type Output = Statistics;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Statistics {
        let OfRow { row, tempering, space } = self;
        of_row(simd, row, tempering, space)
    }
}

#[inline(always)]
fn of_row<S: Simd>(
    simd: S,
    row: &[f64],
    tempering: &Tempering<f64>,
    space: &mut Space,
) -> Statistics {
    match (find_peak(simd, row), tempering) {
        (Peak::None { nan: true }, _) => Statistics::NONE,
        (Peak::None { nan: false }, _) => {
            Statistics { log_sum_exp: f64::NEG_INFINITY, ..Statistics::NONE }
        }
        (Peak::Finite(max), Tempering::Finite(base)) => of_weights(simd, row, max, base, space),
        (peak, tempering) => {
            let max = if let Peak::Finite(max) = peak { max } else { f64::INFINITY };
            let from = if let Tempering::Uniform = tempering { f64::NEG_INFINITY } else { max };
            let log_sum_exp = match tempering {
                Tempering::ArgMax if max != 0.0 => max * f64::INFINITY,
                Tempering::Finite(_) => f64::INFINITY,
                _ => f64::NAN,
            };
            in_the_limit(simd, row, from, max, log_sum_exp, space)
        }
    }
}

#[inline(always)]
fn first_of(row: &[f64], max: f64) -> Option<usize> {
    for (i, chunk) in row.chunks(LANES).enumerate() {
        let mut is_here = false;
        for &x in chunk {
            is_here |= x == max;
        }
        if is_here {
            return chunk.iter().position(|&x| x == max).map(|at| i * LANES + at);
        }
    }
    None
}

/// Mass shared equally by the entries from `from` on. `log_sum_exp` is NaN where it is the log of their number.
#[inline(always)]
fn in_the_limit<S: Simd>(
    simd: S,
    row: &[f64],
    from: f64,
    max: f64,
    log_sum_exp: f64,
    space: &mut Space,
) -> Statistics {
    let Space { scaled, weights, .. } = space;
    weights.resize(row.len().min(BLOCK).next_multiple_of(LANES), 0.0);
    // About the largest, in units of the largest: no power overflows before it is put together.
    let units = &Units::of_largest(simd, row, max);
    let (mut count, mut distance, mut index) = (0.0, Double::ZERO, Double::ZERO);
    let mut arg_max = None;
    for (i, block) in row.chunks(BLOCK).enumerate() {
        let weights = &mut weights[..block.len().next_multiple_of(LANES)];
        let shares = simd.call(Share { block, from, weights });
        if shares == 0.0 {
            continue;
        }
        arg_max = arg_max.or_else(|| first_of(block, max).map(|at| i * BLOCK + at));
        let values = units.values(block, block, scaled);
        let [distances, indices] = simd.call(AddUpBy { values, weights, units });
        let before = Double::from((i * BLOCK) as f64).times(Double::from(shares));
        count += shares;
        distance = distance.plus(distances.sum());
        index = index.plus(indices.sum()).plus(before);
    }
    let mean = distance.hi / count;
    let (mut second, mut third) = (Double::ZERO, Double::ZERO);
    for block in row.chunks(BLOCK) {
        let weights = &mut weights[..block.len().next_multiple_of(LANES)];
        if simd.call(Share { block, from, weights }) == 0.0 {
            continue;
        }
        let values = units.values(block, block, scaled);
        let [squares, cubes] = simd.call(Centre { values, weights, units, mean });
        (second, third) = (second.plus(squares.sum()), third.plus(cubes.sum()));
    }
    let log_count = ln_sum(count, Double::ZERO);
    Statistics {
        log_sum_exp: if log_sum_exp.is_nan() { log_count.hi } else { log_sum_exp },
        mean: if max == f64::INFINITY { max } else { units.value_at(max, mean) },
        variance: ldexp(second.hi / count, 2 * units.exponent),
        third_moment: ldexp(third.hi / count, 3 * units.exponent),
        entropy: log_count.hi,
        perplexity: count,
        max_probability: 1.0 / count,
        arg_max,
        expected_index: index.hi / count,
    }
}

/// Weight, mean and central moments of a part of a row, of the distances from its maximum.
#[derive(Clone, Copy)]
struct Part {
    weight: f64,
    mean: f64,
    second: f64,
    third: f64,
}

/// Second and third moments of the whole, whose mean is `mean`, from those of its parts about their own.
#[inline(always)]
fn about(mean: f64, parts: &[Part]) -> (f64, f64) {
    let (mut second, mut third) = (Double::ZERO, Double::ZERO);
    for part in parts {
        let shift = part.mean - mean;
        let square = part.weight * shift * shift;
        second = second.plus(Double::from(part.second)).plus(Double::from(square));
        third = third.plus(Double::from(part.third));
        third = third.plus(Double::from(3.0 * shift * part.second + square * shift));
    }
    (second.hi, third.hi)
}

#[inline(always)]
fn of_weights<S: Simd>(
    simd: S,
    row: &[f64],
    max: f64,
    base: &Base2<f64>,
    space: &mut Space,
) -> Statistics {
    let Space { staged, scaled, weights, parts } = space;
    weights.resize(row.len().min(BLOCK).next_multiple_of(LANES), 0.0);
    let mut arg_max = None;
    parts.clear();
    let plan = Plan::new(max, base);
    let max_weight = weight(plan.max, &plan.shift);
    let units = Units::new(simd, row, max, &plan, base);
    let (mut maxima, mut rest, mut distance, mut index) =
        (0.0, Double::ZERO, Double::ZERO, Double::ZERO);
    for (i, original) in row.chunks(BLOCK).enumerate() {
        let block = plan.staged(original, staged);
        let values = units.values(original, block, scaled);
        let weights = &mut weights[..block.len().next_multiple_of(LANES)];
        let (plan, units) = (&plan, &units);
        simd.call(Weigh { block, weights, plan });
        let block_maxima = simd.call(Count { block, max: plan.max });
        if block_maxima > 0.0 && arg_max.is_none() {
            // Of the row itself: what is staged may be as large as the maximum without being it.
            arg_max = first_of(original, max).map(|at| i * BLOCK + at);
        }
        let block_rest = simd.call(AddUpRest { block, weights, max: plan.max }).sum();
        let [distances, indices] = simd.call(AddUpBy { values, weights, units });
        let block_distance = distances.sum();
        let block_weight =
            block_rest.plus(Double::from(block_maxima).times(Double::from(max_weight)));
        maxima += block_maxima;
        rest = rest.plus(block_rest);
        distance = distance.plus(block_distance);
        let before = Double::from((i * BLOCK) as f64).times(block_weight);
        index = index.plus(indices.sum()).plus(before);
        if block_weight.hi > 0.0 {
            let mean = block_distance.hi / block_weight.hi;
            let [second, third] = simd.call(Centre { values, weights, units, mean });
            let (second, third) = (second.sum().hi, third.sum().hi);
            parts.push(Part { weight: block_weight.hi, mean, second, third });
        }
    }
    let log_normaliser = plan.log_normaliser(maxima, rest);
    let total = rest.plus(Double::from(maxima).times(Double::from(max_weight)));
    let mean = distance.hi / total.hi;
    let (second, third) = about(mean, parts);
    // Multiplied before it is divided: the quotient may be subnormal, and then has few digits.
    let energy = distance.hi * base.inverse.hi / total.hi;
    let unit = units.exponent;
    let energy = ldexp(energy, base.inverse_exponent + unit);
    let entropy = log_normaliser.plus(Double::from(-energy));
    Statistics {
        log_sum_exp: log_partition(max, base, log_normaliser),
        mean: units.value_at(max, mean),
        variance: ldexp(second / total.hi, 2 * unit),
        third_moment: ldexp(third / total.hi, 3 * unit),
        entropy: entropy.hi,
        perplexity: exp_double(entropy),
        max_probability: exp_double(Double { hi: -log_normaliser.hi, lo: -log_normaliser.lo }),
        arg_max,
        expected_index: index.hi / total.hi,
    }
}
