//! One row's prediction against its label, in one pass over the row.
//!
//! ```text
//! m = max x,  u_i = exp((x_i − m)/τ)
//! Z = count of maxima + Σ u_i of the others                  as in softmax/rest.rs
//! confidence = 1/Z       doubt = (Z − 1)/Z                    Z − 1 is known better than Z
//! −ln p_y    = (m − x_y)/τ + ln Z                             two numbers of one sign
//! Brier      = (1 − p_y)² + Σ_{k≠y} p_k²                      with 1 − p_y = doubt where y is a maximum
//! ```
//!
//! Nothing is taken from 1 that is near it: a confident row keeps the digits of what it leaves over in all four.

use crate::double::{Double, ldexp, power_of_two, two_sum};
use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::exp::{exp, ln_sum, weight};
use crate::parallel::Job;
use crate::rows::{Labels, Rows};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::in_real;
use crate::softmax::plan::{BLOCK, Base2, Plan, Tempering, Temperings};
use crate::softmax::row::{LANES, Peak, find_peak, share, sum_of_lanes};
use crate::temperature::Temperatures;

/// One row's prediction at a temperature, against its label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// −ln p of the label, in nats.
    pub nll: f64,
    /// Σ_k (p_k − 1[k = label])², from 0 to 2; not divided by the number of classes.
    pub brier: f64,
    /// max p.
    pub confidence: f64,
    /// 1 − max p, with digits of its own: 4e-10 where the confidence is 0.9999999996.
    pub doubt: f64,
    /// Whether the label is the first of the largest logits.
    pub correct: bool,
    /// How much the row counts: positive, 1 without weights.
    pub weight: f64,
}

impl Score {
    const NONE: Score = Score {
        nll: f64::NAN,
        brier: f64::NAN,
        confidence: f64::NAN,
        doubt: f64::NAN,
        correct: false,
        weight: 1.0,
    };
}

/// The [`Score`] of every row under `p_i = exp(x_i/τ) / Σ_j exp(x_j/τ)`: −ln p of the label, Brier score,
/// confidence, and whether the label is the arg max.
///
/// # Shapes
/// `[rows, classes]` and `[rows]` labels to one score for each row that counts: rows whose label is ignored, or
/// whose weight is 0, are left out and not looked at. `tau` is one [`Temperature`](crate::Temperature), or a slice
/// of one per row; `weights`, where given, is one per row.
///
/// # Accuracy
/// Computed in f64, whatever the type of the logits. Relative errors are within 4 units in the last place for rows
/// of up to 152064 classes, also where the row is confident: a `doubt` of 4e-10, its square in `brier` and the `nll` of
/// such a row have all their digits. `confidence + doubt` is 1 to a rounding. The same bits everywhere.
///
/// # Special values
/// A label at −∞ has `nll` = ∞. At τ = 0, τ = ∞ and with logits of +∞ the scores are those of the limit, in which
/// the mass is shared equally; `correct` is decided by the logits, at every τ the same.
///
/// # Errors
/// [`Error::Row`] for a row with a NaN, or of nothing but −∞; [`Error::Weight`] for a weight that is negative or
/// not finite; [`Error::Shape`] when labels, weights or temperatures are not one per row, or labels were made for
/// another number of classes.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, Temperature, scores, summarise};
///
/// let logits = [2.0, 0.0, 0.0, 22.0f32];
/// let scores = scores(Rows::new(&logits, 2)?, Labels::new(&[1, 1], 2)?, None, Temperature::ONE)?;
/// assert_eq!((scores[0].correct, scores[1].correct), (false, true));
/// assert_eq!(scores[1].nll, 2.789468092479868e-10); // not 0
/// assert_eq!(summarise(&scores).accuracy.value, 0.5);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Good 1952 for the logarithmic score; Brier 1950, p. 1, for the other.
pub fn scores<'a, T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
    tau: impl Into<Temperatures<'a>>,
) -> Result<Vec<Score>, Error> {
    let rows = logits.rows();
    let taus = tau.into().checked(rows)?;
    let counts = Counting::new(rows, logits.classes(), labels, weights)?;
    let mut out = vec![Score::NONE; rows];
    T::run(EachRow { logits, labels, taus, out: &mut out });
    for (row, score) in out.iter_mut().enumerate() {
        let Some(weight) = counts.weight(row) else { continue };
        if score.confidence.is_nan() {
            return Err(without_distribution(logits, row));
        }
        score.weight = weight;
    }
    let mut row = 0..;
    out.retain(|_| row.next().is_some_and(|row| counts.weight(row).is_some()));
    Ok(out)
}

/// Which rows count, and how much.
#[derive(Clone, Copy)]
pub(super) struct Counting<'a> {
    labels: Labels<'a>,
    weights: Option<&'a [f64]>,
}

impl<'a> Counting<'a> {
    /// Checks that there is a label and, where there are weights, a weight for every row.
    pub(super) fn new(
        rows: usize,
        classes: usize,
        labels: Labels<'a>,
        weights: Option<&'a [f64]>,
    ) -> Result<Self, Error> {
        let same = |what, expected, got| {
            if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
        };
        same("labels", rows, labels.rows())?;
        same("classes of the labels", classes, labels.classes())?;
        let weights_given = weights.unwrap_or(&[]);
        same("weights", rows, weights.map_or(rows, |weights| weights.len()))?;
        let refused = |weight: &f64| !(*weight >= 0.0 && *weight < f64::INFINITY);
        match weights_given.iter().position(refused) {
            Some(row) => Err(Error::Weight { row, got: weights_given[row] }),
            None => Ok(Counting { labels, weights }),
        }
    }

    /// The weight of a row; `None` where it does not count.
    pub(super) fn weight(&self, row: usize) -> Option<f64> {
        let weight = self.weights.map_or(1.0, |weights| weights[row]);
        (weight > 0.0 && self.labels.of_row(row).is_some()).then_some(weight)
    }
}

/// Why a row could not be scored.
pub(super) fn without_distribution<T: Element>(logits: Rows<'_, T>, row: usize) -> Error {
    let classes = logits.classes();
    let entries = &logits.as_slice()[row * classes..(row + 1) * classes];
    let reason = if entries.iter().any(|x| x.to_f64().is_nan()) {
        "it holds a NaN"
    } else {
        "every entry is -inf: it has no distribution"
    };
    Error::Row { row, reason }
}

pub(crate) struct EachRow<'a, T> {
    logits: Rows<'a, T>,
    labels: Labels<'a>,
    taus: Temperatures<'a>,
    out: &'a mut [Score],
}

impl<T: Element> Kernel for EachRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let EachRow { logits, labels, taus, out } = self;
        let temperings = Temperings::<f64>::new(taus);
        let (mut in_f32, mut in_f64, mut space) = (Scratch::new(), Scratch::new(), Vec::new());
        for (i, (row, out)) in logits.iter().zip(out).enumerate() {
            let Some(label) = labels.of_row(i) else { continue };
            let row = in_real(row, &mut in_f32);
            let wide = in_f64.of(row.len());
            wide.iter_mut().zip(row).for_each(|(wide, x)| *wide = x.to_f64());
            *out = of_row(simd, wide, label, &temperings.of_row(i), &mut space);
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
        let (labels, labels_right) = self.labels.split_at(row);
        let (taus, taus_right) = self.taus.split_at(row);
        let (out, out_right) = self.out.split_at_mut(row);
        (
            EachRow { logits, labels, taus, out },
            EachRow {
                logits: logits_right,
                labels: labels_right,
                taus: taus_right,
                out: out_right,
            },
        )
    }
}

#[inline(always)]
fn of_row<S: Simd>(
    simd: S,
    row: &[f64],
    label: usize,
    tempering: &Tempering<f64>,
    space: &mut Vec<f64>,
) -> Score {
    let (max, uniform) = match (find_peak(simd, row), tempering) {
        (Peak::None { .. }, _) => return Score::NONE,
        (Peak::Finite(max), Tempering::Finite(base)) => {
            return of_weights(simd, row, max, label, base, space);
        }
        (Peak::Finite(max), Tempering::ArgMax) => (max, false),
        (Peak::Finite(max), Tempering::Uniform) => (max, true),
        (Peak::Infinite, tempering) => (f64::INFINITY, matches!(tempering, Tempering::Uniform)),
    };
    // A share is a maximum of a row of maxima.
    let shared = share(row, uniform);
    let correct = is_first_max(row, label, max);
    if shared.has(row[label]) {
        put_together(shared.count, Double::ZERO, 0.0, Label::Maximum, correct)
    } else {
        put_together(shared.count, Double::ZERO, 0.0, Label::Below(f64::INFINITY), correct)
    }
}

#[inline(always)]
fn is_first_max(row: &[f64], label: usize, max: f64) -> bool {
    row[label] == max && row[..label].iter().all(|&x| x < max)
}

/// Where the label lies.
enum Label {
    /// Among the maxima.
    Maximum,
    /// So far below them, in units of τ.
    Below(f64),
}

/// `rest` and `squares` are sums over what is below the maximum, of u and u².
#[inline(always)]
fn put_together(maxima: f64, rest: Double, squares: f64, label: Label, correct: bool) -> Score {
    let log = ln_sum(maxima, rest).hi;
    let total = maxima + rest.hi;
    let beyond_one = (maxima - 1.0) + rest.hi;
    let doubt = beyond_one / total;
    // From one of the two, so that rows of one doubt have one confidence.
    let confidence = if doubt < 0.5 { 1.0 - doubt } else { 1.0 / total };
    let (nll, missed, others) = match label {
        Label::Maximum => (log, doubt, squares + (maxima - 1.0)),
        Label::Below(gap) => {
            let nll = gap + log;
            let p = exp(-nll);
            (nll, 1.0 - p, squares - (p * total) * (p * total) + maxima)
        }
    };
    let brier = missed * missed + others / total / total;
    Score { nll, brier, confidence, doubt, correct, weight: 1.0 }
}

#[inline(always)]
fn of_weights<S: Simd>(
    simd: S,
    row: &[f64],
    max: f64,
    label: usize,
    base: &Base2<f64>,
    space: &mut Vec<f64>,
) -> Score {
    let plan = Plan::new(max, base);
    let (mut maxima, mut rest, mut squares) = (0.0, Double::ZERO, Double::ZERO);
    for block in row.chunks(BLOCK) {
        let block = plan.staged(block, space);
        let mut sums = Sums { maxima: [0.0; LANES], rest: [0.0; LANES], squares: [0.0; LANES] };
        simd.call(Weigh { block, plan: &plan, sums: &mut sums });
        maxima += sum_of_lanes(sums.maxima);
        rest = rest.plus(Double::from(sum_of_lanes(sums.rest)));
        squares = squares.plus(Double::from(sum_of_lanes(sums.squares)));
    }
    let unit = Double::from(plan.max_weight());
    // The bias goes last: the quotient of a small rest is not subnormal before.
    let rest = rest.over(unit).ldexp(-<f64 as Real>::BIAS);
    let correct = is_first_max(row, label, max);
    let label =
        if row[label] == max { Label::Maximum } else { Label::Below(gap(max, row[label], base)) };
    put_together(maxima, rest, squares.hi / (unit.hi * unit.hi), label, correct)
}

/// (max − x)/τ, rounded once or twice; ∞ for an x of −∞.
#[inline(always)]
fn gap(max: f64, x: f64, base: &Base2<f64>) -> f64 {
    if x == f64::NEG_INFINITY {
        return f64::INFINITY;
    }
    // Brought down where the difference, or its product with 1/τ without its exponent, would overflow.
    let down = if max.abs().max(x.abs()) >= power_of_two(900) { -4 } else { 0 };
    let (hi, lo) = two_sum(ldexp(max, down), -ldexp(x, down));
    let gap = Double { hi, lo }.times(base.inverse);
    ldexp(gap.hi, base.inverse_exponent - down)
}

/// Sums over the weights of a block: how many are the maximum, and of the others the sum and that of their
/// squares.
struct Sums {
    maxima: [f64; LANES],
    rest: [f64; LANES],
    squares: [f64; LANES],
}

struct Weigh<'a> {
    block: &'a [f64],
    plan: &'a Plan<f64>,
    sums: &'a mut Sums,
}

impl Kernel for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Weigh { block, plan, sums } = self;
        let (chunks, tail) = block.as_chunks::<LANES>();
        for chunk in chunks {
            add_chunk(chunk, plan, sums);
        }
        if !tail.is_empty() {
            let mut last = [f64::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            add_chunk(&last, plan, sums);
        }
    }
}

#[inline(always)]
fn add_chunk(chunk: &[f64; LANES], plan: &Plan<f64>, sums: &mut Sums) {
    // Their bias would send the squares of the weights out of range.
    let unbias = power_of_two(-<f64 as Real>::BIAS);
    let (shift, max) = (plan.shift, plan.max);
    let Sums { mut maxima, mut rest, mut squares } = *sums;
    for i in 0..LANES {
        let x = chunk[i];
        let w = weight(x, &shift);
        let w = if (x > shift.floor) & (x < max) { w } else { 0.0 };
        maxima[i] += if x < max { 0.0 } else { 1.0 };
        rest[i] += w;
        let small = w * unbias;
        squares[i] = small.mul_add(small, squares[i]);
    }
    *sums = Sums { maxima, rest, squares };
}
