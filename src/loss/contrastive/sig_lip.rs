//! SigLIP's loss: every pair by itself is to be told a pair that belongs together, or one that does not.
//!
//! ```text
//! x = s/τ + bias
//! pairs that belong together: softplus(−x)       all others: softplus(x)       dL/dx = −σ(−x), σ(x)
//! softplus(x) = max(x, 0) + ln(1 + e),  σ(x) = (1 or e)/(1 + e),  e = exp(−|x|)
//! ```
//!
//! Three products: the similarities, and those of σ with the keys and with the queries.

use crate::compiled::Runs;
use crate::double::{Double, power_of_two};
use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::exp::{exp, ln_sum};
use crate::loss::contrastive::both::Side;
use crate::loss::contrastive::sweep::Sweep;
use crate::loss::contrastive::vectors::{Prepared, same_rows, same_width};
use crate::loss::contrastive::{ContrastiveOptions, Denominator, reduced, whole};
use crate::loss::exact_sum;
use crate::loss::weigh::{Factor, LANES, above_zero};
use crate::rows::Rows;
use crate::simd::{Kernel, Simd};
use crate::temperature::Temperature;

/// SigLIP's loss, and its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct SigLipLoss<T> {
    /// One number; with [`Reduction::PerRow`](crate::Reduction::PerRow) one for each query: the sum over its pairs.
    pub values: Vec<f64>,
    /// `[rows]`: what each query gives to the gradient with respect to τ.
    pub tau: Vec<f64>,
    /// `[rows]`: what each query gives to the gradient with respect to the bias.
    pub bias: Vec<f64>,
    /// `[rows, width]`: the gradient with respect to the queries.
    pub queries: Vec<T>,
    /// `[rows, width]`: the gradient with respect to the keys.
    pub keys: Vec<T>,
}

impl<T> SigLipLoss<T> {
    /// The loss as one number; with [`Reduction::PerRow`](crate::Reduction::PerRow) the sum.
    pub fn value(&self) -> f64 {
        exact_sum(&self.values)
    }

    /// The gradient with respect to τ, in that number: the sum over the rows, rounded once.
    pub fn tau_sum(&self) -> f64 {
        exact_sum(&self.tau)
    }

    /// The gradient with respect to the bias, in that number.
    pub fn bias_sum(&self) -> f64 {
        exact_sum(&self.bias)
    }
}

/// SigLIP's pairwise sigmoid loss: for each query, over all keys, `softplus(−(q·k₊/τ + bias)) + Σ_{j≠+}
/// softplus(q·k_j/τ + bias)`; the mean is over the queries, not over the pairs, as in the paper.
///
/// With bias = −ln(Z·m/n) it is noise-contrastive estimation with m negatives, and n and Z of instance discrimination.
///
/// # Shapes
/// `queries` and `keys` are `[rows, width]`; key i belongs to query i and to no other.
///
/// # Accuracy
/// As [`info_nce`](crate::info_nce); in f32 within 2^-22·max(1, 2/τ, |bias|) of the loss, and a pair that does not belong
/// together and whose loss is below 2^-125 adds nothing.
///
/// # Special values
/// At τ = ∞ only the bias counts.
///
/// # Errors
/// As [`info_nce`](crate::info_nce); and [`Error::Parameter`] for a bias that is not finite, and for
/// [`Denominator::NegativesOnly`]: there is no denominator.
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Rows, sig_lip};
///
/// // As SigLIP begins: scale 10, bias −10, and nothing learnt.
/// let (images, texts) = ([1.0, 0.0], [0.0, 1.0]);
/// let (images, texts) = (Rows::one(&images)?, Rows::one(&texts)?);
/// let loss = sig_lip(images, texts, "0.1".parse()?, -10.0, &ContrastiveOptions::default())?;
/// assert!((loss.value() - 10.000045398899218).abs() < 1e-14);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Zhai et al. 2023, "Sigmoid loss for language image pre-training", eq. 2 and algorithm 1.
pub fn sig_lip<T: Element>(
    queries: Rows<'_, T>,
    keys: Rows<'_, T>,
    tau: Temperature,
    bias: f64,
    options: &ContrastiveOptions,
) -> Result<SigLipLoss<T>, Error> {
    above_zero::<T::Real>(tau)?;
    same_width("a key", queries, keys)?;
    same_rows("keys", queries, keys)?;
    if !T::Real::of_f64(bias).to_f64().is_finite() {
        let allowed = "finite, in the type of the vectors too";
        return Err(Error::Parameter { what: "bias", got: bias, allowed });
    }
    if options.denominator == Denominator::NegativesOnly {
        let what = "positives left out of the denominator:";
        return Err(Error::Parameter { what, got: 1.0, allowed: "0 in a loss without one" });
    }
    let whole = whole(options.reduction, queries.rows())?;
    let queries = Prepared::new(queries, options.vectors)?;
    let keys = Prepared::new(keys, options.vectors)?;
    let factor = Factor::<T::Real>::new(tau);
    let scale = factor.scale;
    let unit = Factor::<T::Real>::new(Temperature::ONE);
    let itself = |row| [Some(row), None];
    let positives: Vec<(f64, f64, f64)> = (0..queries.rows)
        .map(|row| {
            let s = queries.dot(row, &keys, row);
            let (softplus, sigmoid) = one_pair(-(scale * s + bias));
            (s, softplus, sigmoid)
        })
        .collect();
    let each = |_, _, row: &mut [[T::Real; LANES]], pairs: &mut Pairs| {
        pairs.add(T::Real::run(Sigmoids { row, scale, bias, unit: &unit }));
    };
    let finish = |of: &Prepared<'_, T::Real>,
                  others: &Prepared<'_, T::Real>,
                  row: usize,
                  sum: &mut [f64],
                  out: &mut [T]| {
        let (_, _, sigmoid) = positives[row];
        for (sum, y) in sum.iter_mut().zip(others.row(row)) {
            *sum = whole * scale * (*sum - sigmoid * y.to_f64());
        }
        of.write_gradient(row, sum, out);
    };
    let mut of_queries = vec![T::of_f64(0.0); queries.data.len()];
    let mut of_keys = vec![T::of_f64(0.0); keys.data.len()];
    let sweep = Sweep { rows: &queries, columns: &keys, factor: &factor, without: &itself };
    let pairs = sweep.fold(
        &each,
        |all, more| all.add(more),
        Side {
            out: &mut of_queries,
            finish: |row, sum: &mut [f64], out: &mut [T]| finish(&queries, &keys, row, sum, out),
        },
        Side {
            out: &mut of_keys,
            finish: |row, sum: &mut [f64], out: &mut [T]| finish(&keys, &queries, row, sum, out),
        },
    );
    let mut loss = SigLipLoss {
        values: Vec::with_capacity(pairs.len()),
        tau: Vec::with_capacity(pairs.len()),
        bias: Vec::with_capacity(pairs.len()),
        queries: of_queries,
        keys: of_keys,
    };
    for (pairs, (s, softplus, sigmoid)) in pairs.iter().zip(positives) {
        loss.values.push(whole * (pairs.loss + softplus));
        loss.tau.push(-scale * (scale * whole * (pairs.pull - sigmoid * s)));
        loss.bias.push(whole * (pairs.sigmoids - sigmoid));
    }
    loss.values = reduced(loss.values, options.reduction);
    Ok(loss)
}

/// softplus(x) and σ(x).
pub(super) fn one_pair(x: f64) -> (f64, f64) {
    let e = exp(-x.abs());
    let softplus = x.max(0.0) + ln_sum(1.0, Double::from(e)).hi;
    (softplus, if x > 0.0 { 1.0 } else { e } / (1.0 + e))
}

/// Sums over the pairs of a row that do not belong together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pairs {
    /// Σ softplus(x).
    pub(super) loss: f64,
    /// Σ σ(x).
    pub(super) sigmoids: f64,
    /// Σ σ(x)·s.
    pub(super) pull: f64,
}

impl Pairs {
    pub(super) fn add(&mut self, more: Pairs) {
        self.loss += more.loss;
        self.sigmoids += more.sigmoids;
        self.pull += more.pull;
    }
}

/// The sums of a row, and σ in place of its similarities.
pub(crate) struct Sigmoids<'a, R> {
    pub(super) row: &'a mut [[R; LANES]],
    pub(super) scale: f64,
    pub(super) bias: f64,
    pub(super) unit: &'a Factor<R>,
}

/// Chunks that are added up in the type of the row before they go into an f64.
const CHUNKS: usize = 8;

impl<R: Real> Kernel for Sigmoids<'_, R> {
    type Output = Pairs;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Pairs {
        let Sigmoids { row, scale, bias, unit } = self;
        let (scale, bias, two) = (R::of_f64(scale), R::of_f64(bias), R::ONE + R::ONE);
        let (mut losses, mut sigmoids, mut pulls) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for chunks in row.chunks_mut(CHUNKS) {
            let (mut loss, mut sum, mut pull) =
                ([R::ZERO; LANES], [R::ZERO; LANES], [R::ZERO; LANES]);
            for chunk in chunks {
                let mut to = [R::ZERO; LANES];
                let (mut next_loss, mut next_sum, mut next_pull) = (loss, sum, pull);
                for i in 0..LANES {
                    // Where there is no entry, s is 0 and what comes of it counts 0 times.
                    let is_there = chunk[i] > R::NEG_INFINITY;
                    let there = if is_there { R::ONE } else { R::ZERO };
                    let s = if is_there { chunk[i] } else { R::ZERO };
                    let x = s.mul_add(scale, bias);
                    let (above, below) = if x > R::ZERO { (x, -x) } else { (R::ZERO, x) };
                    let e = unit.weight(below);
                    // Of 1/((1 + e)·(2 + e)) come both quotients.
                    let (one, two) = (R::ONE + e, two + e);
                    let inverse = R::ONE / (one * two);
                    let numerator = if x > R::ZERO { there } else { there * e };
                    let sigmoid = numerator * (two * inverse);
                    let ln = ln_1p(e * (one * inverse));
                    next_loss[i] = there.mul_add(above + ln, loss[i]);
                    next_sum[i] = sum[i] + sigmoid;
                    next_pull[i] = sigmoid.mul_add(s, pull[i]);
                    to[i] = sigmoid;
                }
                *chunk = to;
                (loss, sum, pull) = (next_loss, next_sum, next_pull);
            }
            for i in 0..LANES {
                losses[i] += loss[i].to_f64();
                sigmoids[i] += sum[i].to_f64();
                pulls[i] += pull[i].to_f64();
            }
        }
        let total = |lanes: [f64; LANES]| lanes.iter().sum();
        Pairs { loss: total(losses), sigmoids: total(sigmoids), pull: total(pulls) }
    }
}

/// ln(1 + e) for e in [0, 1], of t = e/(2 + e) ≤ 1/3: 2 atanh(t), in powers of t² ≤ 1/9, of which 16 leave 2^-54 and
/// 8 leave 2^-29.
#[inline(always)]
fn ln_1p<R: Real>(t: R) -> R {
    let terms = if R::IN_DOUBLE { 8 } else { 4 };
    // Of less nothing is seen of the square, and powers of it would be subnormal.
    let seen = if t > R::of_f64(power_of_two(-31)) { t } else { R::ZERO };
    let square = seen * seen;
    let fourth = square * square;
    let (mut even, mut odd) = (R::ZERO, R::ZERO);
    for n in (0..terms).rev() {
        even = even.mul_add(fourth, R::of_f64(1.0 / f64::from(4 * n + 1)));
        odd = odd.mul_add(fourth, R::of_f64(1.0 / f64::from(4 * n + 3)));
    }
    (t + t) * odd.mul_add(square, even)
}
