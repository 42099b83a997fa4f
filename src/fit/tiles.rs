//! Labelled rows, laid out for many passes at a scale and a bias for each class.
//!
//! ```text
//! x = (z − centre)/unit       centre: the mean of all logits; unit: the RMS over rows of a row's spread
//! q_k = α_k x_k + b_k,  p = softmax(q)
//! loss       Σ w (max q − q_y + ln Σ exp(q − max q))
//! gradient   Σ w (p_k − [k = y])       in b_k;  the same times x_k in α_k
//! product    Σ w p_k (d_k − Σ_j p_j d_j),  d_k = δα_k x_k + δb_k;  the same times x_k
//! ```
//!
//! Sixteen rows are a tile, one row in each lane, class after class: the lanes are full however few classes there
//! are, a class's parameters are the same for all lanes, and nothing is added up across lanes but the sums over rows.
//!
//! 1. In units of their own spread all logits look alike: those times 1e6 take the same steps.
//! 2. A mask, −∞, has as good as no weight, and counts as x = 0 in all products, so that there is no 0·∞.
//! 3. Sums over tiles are halved down to a fixed size: the order of the additions is that of the tree, whoever
//!    walks it, and the bits do not depend on the number of threads.

use std::ops::Range;

use crate::double::{Double, frexp, power_of_two};
use crate::element::{Element, Real};
use crate::exp::{Shift, weight};
use crate::interrupt::heed;
use crate::parallel;
use crate::rows::{Labels, Rows};
use crate::simd::{Kernel, Simd, dispatch};
use crate::softmax::row::LANES;

/// One class of sixteen rows.
type Column = [f64; LANES];

/// A running sum over rows: sixteen lanes folded to four.
type Folded = [f64; 4];

/// Elements of a leaf of the tree.
const LEAF: usize = 64 * 1024;

/// e^x for x ≤ 0. What is below −700, or a mask, weighs e^−700: as good as 0, and still a normal number.
const EXPONENTIAL: Shift<f64> = Shift {
    factor: Double::LOG2_E.hi,
    factor_low: Double::LOG2_E.lo,
    round: <f64 as Real>::ROUND,
    floor: -700.0,
};

/// What turns logits into x = z·shrink/unit − centre/unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    /// A power of two that brings the largest logit near 1, so that its square is a number.
    shrink: f64,
    centre: f64,
    unit: f64,
}

impl Units {
    /// Of the rows that count; `None` where every one of them is constant.
    fn of<T: Element>(logits: Rows<'_, T>, counted: &[Counted]) -> Option<Units> {
        let rows =
            || counted.iter().map(|c| (c.weight, &logits.as_slice()[c.span(logits.classes())]));
        let largest =
            rows().fold(0.0, |m: f64, (_, row)| finite(row).fold(m, |m, z| m.max(z.abs())));
        let shrink = power_of_two(-frexp(largest.max(f64::MIN_POSITIVE)).1.clamp(-1000, 1000));
        let (mut total, mut centre, mut square) = (0.0, 0.0, 0.0);
        for (weight, row) in rows() {
            let count = finite(row).count() as f64;
            let mean = finite(row).map(|z| z * shrink).sum::<f64>() / count;
            let distance = |z: f64| z * shrink - mean;
            let variance = finite(row).map(|z| distance(z) * distance(z)).sum::<f64>() / count;
            total += weight;
            centre += weight * mean;
            square += weight * variance;
        }
        let unit = (square / total).sqrt();
        (unit > 0.0).then_some(Units { shrink, centre: centre / total, unit })
    }

    fn x(&self, z: f64) -> f64 {
        (z * self.shrink - self.centre) / self.unit
    }

    /// What multiplies x where `scale` multiplies the logits.
    pub(super) fn alpha_of(&self, scale: f64) -> f64 {
        scale / self.shrink * self.unit
    }

    /// What multiplies the logits where `alpha` multiplies x.
    pub(super) fn scale_of(&self, alpha: f64) -> f64 {
        alpha / self.unit * self.shrink
    }

    /// What is added to the scaled logit where b is added to α x, less b.
    pub(super) fn offset(&self, alpha: f64) -> f64 {
        -alpha * (self.centre / self.unit)
    }
}

fn finite<T: Element>(row: &[T]) -> impl Iterator<Item = f64> {
    row.iter().map(|z| z.to_f64()).filter(|z| z.is_finite())
}

/// A row that has a label and a weight.
struct Counted {
    row: usize,
    label: usize,
    weight: f64,
}

impl Counted {
    fn span(&self, classes: usize) -> Range<usize> {
        self.row * classes..(self.row + 1) * classes
    }
}

/// The parameters, class by class.
#[derive(Clone, Copy)]
pub(super) struct Classwise<'a> {
    pub(super) alpha: &'a [f64],
    pub(super) bias: &'a [f64],
}

/// A sum over all rows: a number, and two for each class (in b and in α).
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) value: f64,
    pub(super) bias: Vec<f64>,
    pub(super) alpha: Vec<f64>,
}

/// Which sum.
#[derive(Clone, Copy)]
pub(super) enum Pass<'a> {
    /// The loss, and its gradient.
    Gradient,
    /// Σ w p (1 − p), and the same times x².
    Diagonal,
    /// The Hessian times a direction.
    Curve(Classwise<'a>),
}

pub(super) struct Tiles {
    classes: usize,
    x: Vec<Column>,
    labels: Vec<[usize; LANES]>,
    weights: Vec<Column>,
    pub(super) units: Units,
    pub(super) weight: f64,
}

impl Tiles {
    /// A copy in f64 of the rows that count. They hold no NaN and no +∞, the logits of the labels are finite and
    /// the weights from 0 up: `fit_temperature` has refused others. `None` where nothing depends on the scale.
    pub(super) fn new<T: Element>(
        logits: Rows<'_, T>,
        labels: Labels<'_>,
        weights: Option<&[f64]>,
    ) -> Option<Tiles> {
        let classes = logits.classes();
        let counted: Vec<Counted> = labels
            .iter()
            .enumerate()
            .filter_map(|(row, label)| {
                let weight = weights.map_or(1.0, |weights| weights[row]);
                label.filter(|_| weight > 0.0).map(|label| Counted { row, label, weight })
            })
            .collect();
        let units = Units::of(logits, &counted)?;
        let count = counted.len().div_ceil(LANES);
        let mut tiles = Tiles {
            classes,
            x: vec![[0.0; LANES]; count * classes],
            labels: vec![[0; LANES]; count],
            weights: vec![[0.0; LANES]; count],
            units,
            weight: counted.iter().map(|c| c.weight).sum(),
        };
        for (i, row) in counted.iter().enumerate() {
            let (tile, lane) = (i / LANES, i % LANES);
            let columns = &mut tiles.x[tile * classes..(tile + 1) * classes];
            for (column, z) in columns.iter_mut().zip(&logits.as_slice()[row.span(classes)]) {
                let z = z.to_f64();
                column[lane] = if z == f64::NEG_INFINITY { z } else { units.x(z) };
            }
            tiles.labels[tile][lane] = row.label;
            tiles.weights[tile][lane] = row.weight;
        }
        Some(tiles)
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// The sum of `pass` over all rows.
    pub(super) fn sum(&self, at: Classwise<'_>, pass: Pass<'_>) -> Sums {
        heed();
        self.sum_of(0..self.labels.len(), at, pass)
    }

    fn sum_of(&self, range: Range<usize>, at: Classwise<'_>, pass: Pass<'_>) -> Sums {
        if range.len() <= 1 || range.len() * LANES * self.classes <= LEAF {
            return dispatch(Leaf { tiles: self, range, at, pass });
        }
        let middle = range.start + range.len() / 2;
        let left = || self.sum_of(range.start..middle, at, pass);
        let right = || self.sum_of(middle..range.end, at, pass);
        let (mut left, right) = parallel::join(left, right);
        left.value += right.value;
        for (sum, more) in left.bias.iter_mut().zip(&right.bias) {
            *sum += more;
        }
        for (sum, more) in left.alpha.iter_mut().zip(&right.alpha) {
            *sum += more;
        }
        left
    }
}

/// A pass over a few tiles.
struct Leaf<'a> {
    tiles: &'a Tiles,
    range: Range<usize>,
    at: Classwise<'a>,
    pass: Pass<'a>,
}

impl Kernel for Leaf<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Sums {
        let Leaf { tiles, range, at, pass } = self;
        let classes = tiles.classes;
        let mut p = vec![[0.0; LANES]; classes];
        let (mut bias, mut alpha) = (vec![[0.0; 4]; classes], vec![[0.0; 4]; classes]);
        let (mut value, mut at_labels) = (0.0, Vec::new());
        for tile in range {
            let x = &tiles.x[tile * classes..(tile + 1) * classes];
            let weights = &tiles.weights[tile];
            let labels = &tiles.labels[tile];
            let (max, sum) = simd.call(Forward { x, at, p: &mut p });
            let mut share = [0.0; LANES];
            for i in 0..LANES {
                share[i] = weights[i] / sum[i];
            }
            let (bias, alpha) = (&mut bias, &mut alpha);
            match pass {
                Pass::Gradient => {
                    for i in 0..LANES {
                        let (x, y, w) = (x[labels[i]][i], labels[i], weights[i]);
                        let loss = max[i] - x.mul_add(at.alpha[y], at.bias[y]) + libm::log(sum[i]);
                        value += w * loss;
                        at_labels.push((y, w, x));
                    }
                    simd.call(Moments { x, p: &p, share, bias, alpha });
                }
                Pass::Diagonal => simd.call(Spread { x, p: &p, sum, share, bias, alpha }),
                Pass::Curve(by) => simd.call(Turn { x, p: &p, sum, share, by, bias, alpha }),
            }
        }
        let total = |[a, b, c, d]: Folded| (a + b) + (c + d);
        let mut bias: Vec<f64> = bias.into_iter().map(total).collect();
        let mut alpha: Vec<f64> = alpha.into_iter().map(total).collect();
        for (y, w, x) in at_labels {
            bias[y] -= w;
            alpha[y] -= w * x;
        }
        Sums { value, bias, alpha }
    }
}

/// exp(q − max q) into `p`; the maxima, and the sums.
struct Forward<'a> {
    x: &'a [Column],
    at: Classwise<'a>,
    p: &'a mut [Column],
}

impl Kernel for Forward<'_> {
    type Output = (Column, Column);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        let Forward { x, at, p } = self;
        let mut max = [f64::NEG_INFINITY; LANES];
        for (((x, q), &a), &b) in x.iter().zip(&mut *p).zip(at.alpha).zip(at.bias) {
            let (mut tempered, mut larger) = ([0.0; LANES], max);
            for i in 0..LANES {
                let masked = x[i] == f64::NEG_INFINITY;
                tempered[i] = if masked { x[i] } else { x[i].mul_add(a, b) };
                larger[i] = if tempered[i] > max[i] { tempered[i] } else { max[i] };
            }
            (*q, max) = (tempered, larger);
        }
        let mut sum = [0.0; LANES];
        for q in p {
            let (mut weights, mut total) = ([0.0; LANES], sum);
            for i in 0..LANES {
                weights[i] = weight(q[i] - max[i], &EXPONENTIAL);
                total[i] += weights[i];
            }
            (*q, sum) = (weights, total);
        }
        (max, sum)
    }
}

/// x where it is a number, and 0 for a mask.
#[inline(always)]
fn unmasked(x: f64) -> f64 {
    if x == f64::NEG_INFINITY { 0.0 } else { x }
}

#[inline(always)]
fn fold(sum: &mut Folded, column: &Column) {
    let mut next = *sum;
    for i in 0..4 {
        next[i] += (column[i] + column[i + 4]) + (column[i + 8] + column[i + 12]);
    }
    *sum = next;
}

/// Σ w p and Σ w p x.
struct Moments<'a> {
    x: &'a [Column],
    p: &'a [Column],
    share: Column,
    bias: &'a mut [Folded],
    alpha: &'a mut [Folded],
}

impl Kernel for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Moments { x, p, share, bias, alpha } = self;
        for (((x, p), bias), alpha) in x.iter().zip(p).zip(bias).zip(alpha) {
            let (mut zeroth, mut first) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..LANES {
                zeroth[i] = p[i] * share[i];
                first[i] = zeroth[i] * unmasked(x[i]);
            }
            fold(bias, &zeroth);
            fold(alpha, &first);
        }
    }
}

/// Σ w p (1 − p) and Σ w p (1 − p) x².
struct Spread<'a> {
    x: &'a [Column],
    p: &'a [Column],
    sum: Column,
    share: Column,
    bias: &'a mut [Folded],
    alpha: &'a mut [Folded],
}

impl Kernel for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Spread { x, p, sum, share, bias, alpha } = self;
        for (((x, p), bias), alpha) in x.iter().zip(p).zip(bias).zip(alpha) {
            let (mut zeroth, mut second) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..LANES {
                let x = unmasked(x[i]);
                zeroth[i] = p[i] * share[i] * ((sum[i] - p[i]) / sum[i]);
                second[i] = zeroth[i] * x * x;
            }
            fold(bias, &zeroth);
            fold(alpha, &second);
        }
    }
}

/// Σ w p (d − E d) and Σ w p (d − E d) x.
struct Turn<'a> {
    x: &'a [Column],
    p: &'a [Column],
    sum: Column,
    share: Column,
    by: Classwise<'a>,
    bias: &'a mut [Folded],
    alpha: &'a mut [Folded],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Turn { x, p, sum, share, by, bias, alpha } = self;
        let mut mean = [0.0; LANES];
        for (((x, p), &a), &b) in x.iter().zip(p).zip(by.alpha).zip(by.bias) {
            let mut next = mean;
            for i in 0..LANES {
                next[i] += p[i] * unmasked(x[i]).mul_add(a, b);
            }
            mean = next;
        }
        for i in 0..LANES {
            mean[i] /= sum[i];
        }
        let parameters = by.alpha.iter().zip(by.bias);
        for ((((x, p), (&a, &b)), bias), alpha) in
            x.iter().zip(p).zip(parameters).zip(bias).zip(alpha)
        {
            let (mut zeroth, mut first) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..LANES {
                let x = unmasked(x[i]);
                zeroth[i] = p[i] * share[i] * (x.mul_add(a, b) - mean[i]);
                first[i] = zeroth[i] * x;
            }
            fold(bias, &zeroth);
            fold(alpha, &first);
        }
    }
}
