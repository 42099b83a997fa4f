//! SigLIP's loss: every pair by itself is to be told a pair that belongs together, or one that does not.
//!
//! ```text
//! x = s/τ + bias
//! pairs that belong together: softplus(−x)       all others: softplus(x)       dL/dx = −σ(−x), σ(x)
//! softplus(x) = max(x, 0) + ln(1 + e),  σ(x) = (1 or e)/(1 + e),  e = exp(−|x|)
//! ```
//!
//! Beside its polynomials in f64, whatever the type of the vectors.

use crate::double::Double;
use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::exp::{exp, ln_sum};
use crate::loss::contrastive::sweep::Sweep;
use crate::loss::contrastive::vectors::{Prepared, same_rows, same_width};
use crate::loss::contrastive::{ContrastiveOptions, Denominator, reduced, whole};
use crate::loss::exact_sum;
use crate::loss::weigh::{Factor, LANES, above_zero};
use crate::rows::Rows;
use crate::simd::{Kernel, Simd, dispatch};
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
/// As [`info_nce`](crate::info_nce).
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
    if !bias.is_finite() {
        return Err(Error::Parameter { what: "bias", got: bias, allowed: "finite" });
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
    let unit = Factor::<f64>::new(Temperature::ONE);
    let itself = |row| [Some(row), None];
    let positive = |row| {
        let s = queries.dot(row, &keys, row);
        (s, one_pair(-(scale * s + bias)))
    };
    let half = |rows: &Prepared<'_, T::Real>, columns: &Prepared<'_, T::Real>| {
        let sweep = Sweep { rows, columns, factor: &factor, without: &itself };
        let mut pairs = vec![Pairs::default(); rows.rows];
        let mut gradient = vec![T::of_f64(0.0); rows.data.len()];
        let each = |_, _, row: &mut [[T::Real; LANES]], pairs: &mut Pairs| {
            pairs.add(dispatch(Sigmoids { row, scale, bias, unit: &unit }));
        };
        sweep.fold(&mut pairs, &each, &mut gradient, &|row, _, sum, out| {
            let (_, (_, sigmoid)) = positive(row);
            for (sum, y) in sum.iter_mut().zip(columns.row(row)) {
                *sum = whole * scale * (*sum - sigmoid * y.to_f64());
            }
            rows.write_gradient(row, sum, out);
        });
        (pairs, gradient)
    };
    let (pairs, of_queries) = half(&queries, &keys);
    let (_, of_keys) = half(&keys, &queries);
    let mut loss = SigLipLoss {
        values: Vec::with_capacity(pairs.len()),
        tau: Vec::with_capacity(pairs.len()),
        bias: Vec::with_capacity(pairs.len()),
        queries: of_queries,
        keys: of_keys,
    };
    for (row, pairs) in pairs.iter().enumerate() {
        let (s, (softplus, sigmoid)) = positive(row);
        loss.values.push(whole * (pairs.loss + softplus));
        loss.tau.push(-scale * (scale * whole * (pairs.pull - sigmoid * s)));
        loss.bias.push(whole * (pairs.sigmoids - sigmoid));
    }
    loss.values = reduced(loss.values, options.reduction);
    Ok(loss)
}

/// softplus(x) and σ(x).
fn one_pair(x: f64) -> (f64, f64) {
    let e = exp(-x.abs());
    let softplus = x.max(0.0) + ln_sum(1.0, Double::from(e)).hi;
    (softplus, if x > 0.0 { 1.0 } else { e } / (1.0 + e))
}

/// Sums over the pairs of a row that do not belong together.
#[derive(Clone, Copy, Default)]
struct Pairs {
    /// Σ softplus(x).
    loss: f64,
    /// Σ σ(x).
    sigmoids: f64,
    /// Σ σ(x)·s.
    pull: f64,
}

impl Pairs {
    fn add(&mut self, more: Pairs) {
        self.loss += more.loss;
        self.sigmoids += more.sigmoids;
        self.pull += more.pull;
    }
}

/// The sums of a row, and σ in place of its similarities.
struct Sigmoids<'a, R> {
    row: &'a mut [[R; LANES]],
    scale: f64,
    bias: f64,
    unit: &'a Factor<f64>,
}

impl<R: Real> Kernel for Sigmoids<'_, R> {
    type Output = Pairs;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Pairs {
        let Sigmoids { row, scale, bias, unit } = self;
        let (mut losses, mut sigmoids, mut pulls) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for chunk in row {
            let mut to = [R::ZERO; LANES];
            let (mut loss, mut sum, mut pull) = (losses, sigmoids, pulls);
            for i in 0..LANES {
                // Where there is no entry, s is 0 and what comes of it counts 0 times.
                let there = if chunk[i] > R::NEG_INFINITY { 1.0 } else { 0.0 };
                let s = if chunk[i] > R::NEG_INFINITY { chunk[i].to_f64() } else { 0.0 };
                let x = f64::mul_add(s, scale, bias);
                let (above, below) = if x > 0.0 { (x, -x) } else { (0.0, x) };
                let e = unit.weight(below);
                let sigmoid = if x > 0.0 { there } else { there * e } / (1.0 + e);
                loss[i] = f64::mul_add(there, above + ln_1p(e), losses[i]);
                sum[i] = sigmoids[i] + sigmoid;
                pull[i] = f64::mul_add(sigmoid, s, pulls[i]);
                to[i] = R::of_f64(sigmoid);
            }
            *chunk = to;
            (losses, sigmoids, pulls) = (loss, sum, pull);
        }
        let total = |lanes: [f64; LANES]| lanes.iter().sum();
        Pairs { loss: total(losses), sigmoids: total(sigmoids), pull: total(pulls) }
    }
}

/// ln(1 + e) for e in [0, 1], within 2 units in the last place: 2 atanh(t), t = e/(2 + e) ≤ 1/3, in powers of t² ≤ 1/9;
/// 16 of them leave 2^-54.
#[inline(always)]
fn ln_1p(e: f64) -> f64 {
    let t = e / (2.0 + e);
    let square = t * t;
    let fourth = square * square;
    let (mut even, mut odd) = (0.0, 0.0);
    for n in (0..8).rev() {
        even = f64::mul_add(even, fourth, 1.0 / f64::from(4 * n + 1));
        odd = f64::mul_add(odd, fourth, 1.0 / f64::from(4 * n + 3));
    }
    2.0 * t * f64::mul_add(odd, square, even)
}
