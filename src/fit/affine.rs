//! A scale and a bias for each class: bias-corrected temperature scaling, and vector scaling.
//!
//! ```text
//! z_k → s_k z_k + b_k         temperature: one s = 1/τ, no b · BCTS: one s, K b · vector: K s, K b
//! least   Σ w nll + Σ_k (b_k² + δ_k²)/(2·3²)         δ_k = (s_k − mean s) · the RMS spread of a row's logits
//! ```
//!
//! The second sum is a normal prior, which weighs as much as half a row that is undecided between two classes. Both
//! b and δ are what a class may gain over the others, in nats, at an ordinary logit: ±6 covers odds of 400 to 1. The
//! prior is there for three things:
//!
//! 1. A class that never occurs would get b → −∞. With the prior it gets about what would explain its absence.
//! 2. A number added to all b changes nothing. The least Σ b² has Σ b = 0.
//! 3. Rows that classes' biases and scales can tell apart without error would have no end. What the prior leaves free,
//!    one scale for all, has none only if temperature alone separates the rows: that is an outcome, by name.
//!
//! Everything is convex in s and b; `newton.rs` finds the least, `tiles.rs` is one pass.

use crate::element::Element;
use crate::error::Error;
use crate::fit::estimate::{Outcome, TemperatureFit};
use crate::fit::newton::{Convex, End, minimise, solve};
use crate::fit::temperature::{FitOptions, fit_temperature};
use crate::fit::tiles::{Classwise, Pass, Sums, Tiles};
use crate::rows::{Labels, Rows};
use crate::temperature::Temperature;

/// 1/σ² of the prior, σ = 3 nats.
const PRECISION: f64 = 1.0 / 9.0;

/// Nats of all rows together that a fit may lie above its least value.
const TOLERANCE: f64 = 1e-13;

/// Nats per row that are forgiven where rounding ends the search before that.
const FORGIVEN: f64 = 1e-9;

/// Logits to calibrated logits: `z_k → scale_k · z_k + bias_k`.
///
/// # Example
/// ```
/// use softargmax::{Affine, Rows};
///
/// let affine = Affine::new(2, vec![0.5], vec![0.0, 1.0])?;
/// let rows = Rows::new(&[4.0f32, 0.0, f32::NEG_INFINITY, 2.0], 2)?;
/// assert_eq!(affine.apply(rows)?, [2.0, 1.0, f64::NEG_INFINITY, 2.0]);
/// # Ok::<(), softargmax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    classes: usize,
    scale: Vec<f64>,
    bias: Vec<f64>,
}

impl Affine {
    /// Of `classes` classes: a scale for all or one for each, and no bias or one for each.
    ///
    /// # Errors
    /// [`Error::NoClasses`] for none, [`Error::Shape`] for other numbers of scales or biases,
    /// [`Error::Target`] for one that is not finite.
    pub fn new(classes: usize, scale: Vec<f64>, bias: Vec<f64>) -> Result<Affine, Error> {
        if classes == 0 {
            return Err(Error::NoClasses);
        }
        let shaped = |what, got, few| {
            let fits = got == few || got == classes;
            if fits { Ok(()) } else { Err(Error::Shape { what, expected: classes, got }) }
        };
        shaped("scale", scale.len(), 1)?;
        shaped("bias", bias.len(), 0)?;
        let finite = |what, values: &[f64]| match values.iter().find(|x| !x.is_finite()) {
            Some(&got) => Err(Error::Target { what, got }),
            None => Ok(()),
        };
        finite("scale", &scale)?;
        finite("bias", &bias)?;
        Ok(Affine { classes, scale, bias })
    }

    /// How many classes a row has.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What multiplies the logits, 1/τ: one number for all classes, or one for each.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// What is then added to them: nothing, or a number for each class, with the sum 0 where it was fitted.
    pub fn bias(&self) -> &[f64] {
        &self.bias
    }

    /// τ = 1/scale, where there is one scale and it is not negative.
    pub fn temperature(&self) -> Option<Temperature> {
        let [scale] = self.scale[..] else { return None };
        Temperature::from_scale(scale).ok()
    }

    /// `scale_k · z_k + bias_k` for every row: logits, to be taken at τ = 1.
    ///
    /// # Shapes
    /// `[rows, classes]` to `[rows, classes]`.
    ///
    /// # Accuracy
    /// One rounding of f64.
    ///
    /// # Special values
    /// −∞ is a mask and stays −∞, whatever the scale. Other logits are what f64 makes of them: a NaN stays one.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another number of classes.
    pub fn apply<T: Element>(&self, logits: Rows<'_, T>) -> Result<Vec<f64>, Error> {
        if logits.classes() != self.classes {
            let (expected, got) = (self.classes, logits.classes());
            return Err(Error::Shape { what: "a row of logits", expected, got });
        }
        let scale = |k: usize| if self.scale.len() == 1 { self.scale[0] } else { self.scale[k] };
        let bias = |k: usize| if self.bias.is_empty() { 0.0 } else { self.bias[k] };
        let parameters: Vec<_> = (0..self.classes).map(|k| (scale(k), bias(k))).collect();
        let mut out = Vec::with_capacity(logits.as_slice().len());
        for row in logits.iter() {
            out.extend(row.iter().zip(&parameters).map(|(z, &(scale, bias))| {
                let z = z.to_f64();
                if z == f64::NEG_INFINITY { z } else { z.mul_add(scale, bias) }
            }));
        }
        Ok(out)
    }
}

/// The answer of [`fit_bcts`] and [`fit_vector`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AffineFit {
    /// How it ended; [`Outcome::NoSignal`] where the best common scale is not above 0, [`Outcome::OutOfRange`]
    /// where rows are so many orders of magnitude apart that f64 does not tell which scales are best.
    pub outcome: Outcome,
    /// Scales and biases, where it [converged](Outcome::Converged).
    pub affine: Option<Affine>,
    /// The standard error of the one scale, from the curvature of likelihood and prior; `None` where every class
    /// has its own.
    pub scale_std_error: Option<f64>,
    /// The mean negative log-likelihood under it, in nats; NaN where it did not converge.
    pub nll: f64,
    /// By how many nats per row what is made least may lie above the least.
    pub tolerance: f64,
    /// What temperature alone makes of the same rows.
    pub temperature: TemperatureFit,
}

/// One scale for all logits and a bias for each class that make the labels most likely: `z → z/τ + b` with the least
/// `Σ_i w_i (ln Σ_k exp(z_ik/τ + b_k) − z_iy/τ − b_y) + Σ_k b_k²/18`, bias-corrected temperature scaling.
///
/// It mends what temperature cannot: logits that lean to some classes, as those of language models for label
/// words do, or rows whose classes occur in other shares than those the model was trained on. With many classes and
/// few rows it costs more than it brings: [`select`](crate::select) tells. A weight of 2 is the row twice.
///
/// # Shapes
/// `logits` is `[rows, classes]`, `labels` and `weights` `[rows]`. The rows are copied, in f64.
///
/// # Accuracy
/// The sum is least to 1e-13 nats over all rows, up to rounding. The same bits for any number of threads.
///
/// # Special values
/// −∞ is a mask, and ignored rows or rows of weight 0 do not count. There are no scales and biases where labels have
/// the largest logit of their rows throughout, where all logits are equal, where a label is masked, or where the
/// best τ is negative or infinite: the [`Outcome`] says so.
///
/// # Errors
/// As [`Scan::add`](crate::Scan::add).
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, fit_bcts};
///
/// // Class 0 always leads by far, and is right half of the time: where it leads by more.
/// let logits = [3.0f32, 0.0, 3.5, 0.0, 5.0, 0.0, 5.5, 0.0, 3.2, 0.0, 5.2, 0.0];
/// let labels = Labels::new(&[1, 1, 0, 0, 0, 1], 2)?;
/// let fit = fit_bcts(Rows::new(&logits, 2)?, labels, None)?;
/// let bias = fit.affine.unwrap().bias().to_vec();
/// assert!(bias[0] < -0.5 && (bias[0] + bias[1]).abs() < 1e-9);
/// assert!(fit.nll < fit.temperature.estimate.unwrap().nll);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Alexandari, Kundaje & Shrikumar, "Maximum likelihood with bias-corrected calibration is hard-to-beat at label
/// shift adaptation", ICML 2020, section 2; the prior is ours.
pub fn fit_bcts<T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
) -> Result<AffineFit, Error> {
    fit(logits, labels, weights, Shape::OneScale)
}

/// A scale and a bias for each class that make the labels most likely: `z_k → s_k z_k + b_k`, vector scaling, with the
/// least `Σ_i w_i nll_i + Σ_k (b_k² + δ_k²)/18`, where `δ_k = (s_k − mean s) · u` and u is the root mean square
/// over rows of the standard deviation of a row's logits.
///
/// The prior on b is on what is added to a logit that is the mean of all logits; so adding a number to all logits
/// changes the biases, and no probability. Scales may be negative, their mean may not. Unlike all models of one
/// scale, this one sees what is added to all logits of *one* row.
///
/// # Shapes, accuracy, special values, errors
/// As [`fit_bcts`].
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, fit_vector};
///
/// let logits = [2.0f32, 0.0, 0.0, 1.0, 3.0, 2.0, 0.0, 2.5, 1.0, 1.5, 2.0, 0.5];
/// let labels = Labels::new(&[0, 1, 0, 1, 0, 1], 2)?;
/// let fit = fit_vector(Rows::new(&logits, 2)?, labels, None)?;
/// assert_eq!(fit.affine.unwrap().scale().len(), 2);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Guo, Pleiss, Sun & Weinberger, ICML 2017, section 4.2; the prior is ours.
pub fn fit_vector<T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
) -> Result<AffineFit, Error> {
    fit(logits, labels, weights, Shape::ScaleEach)
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    OneScale,
    ScaleEach,
}

fn fit<T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
    shape: Shape,
) -> Result<AffineFit, Error> {
    let temperature =
        fit_temperature(logits, labels, &FitOptions { weights, ..FitOptions::default() })?;
    let scale = temperature.estimate.as_ref().map(|estimate| estimate.temperature.scale());
    let nothing = |outcome, temperature| AffineFit {
        outcome,
        affine: None,
        scale_std_error: None,
        nll: f64::NAN,
        tolerance: f64::NAN,
        temperature,
    };
    // Without signal temperature ends at τ = ∞, but with biases the logits may have something to say.
    if !matches!(temperature.outcome, Outcome::Converged | Outcome::NoSignal) {
        return Ok(nothing(temperature.outcome, temperature));
    }
    let Some(tiles) = Tiles::new(logits, labels, weights) else {
        return Ok(nothing(Outcome::ConstantLogits, temperature));
    };
    let classes = tiles.classes();
    let scales = if shape == Shape::OneScale { 1 } else { classes };
    let posterior = Posterior { tiles: &tiles, scales };
    let mut start = vec![0.0; scales + classes];
    start[..scales].fill(tiles.units.alpha_of(scale.unwrap_or(0.0)));
    let minimum = minimise(&posterior, start, TOLERANCE);
    let tolerance = minimum.gap / tiles.weight;
    if minimum.end == End::Iterations && !(tolerance <= FORGIVEN) {
        return Ok(nothing(Outcome::OutOfRange, temperature));
    }
    let (alpha, bias) = minimum.x.split_at(scales);
    // Also where the labels have the least logits throughout: on the way to −∞ the loss ends to fall.
    if !(alpha.iter().sum::<f64>() > 0.0) {
        return Ok(nothing(Outcome::NoSignal, temperature));
    }
    let nll = posterior.sum(&minimum.x, Pass::Gradient).value / tiles.weight;
    let scale: Vec<f64> = alpha.iter().map(|&alpha| tiles.units.scale_of(alpha)).collect();
    let offset = |k: usize| tiles.units.offset(if scales == 1 { 0.0 } else { alpha[k] });
    let mut bias: Vec<f64> = bias.iter().enumerate().map(|(k, b)| b + offset(k)).collect();
    let mean = bias.iter().sum::<f64>() / classes as f64;
    bias.iter_mut().for_each(|b| *b -= mean);
    let std_error = (shape == Shape::OneScale).then(|| posterior.scale_deviation(&minimum.x));
    Ok(AffineFit {
        outcome: Outcome::Converged,
        affine: Some(Affine::new(classes, scale, bias)?),
        scale_std_error: std_error.map(|deviation| tiles.units.scale_of(deviation)),
        nll,
        tolerance,
        temperature,
    })
}

/// What is least: a function of the scales (one or K, on x of the tiles) and then the K biases.
struct Posterior<'a> {
    tiles: &'a Tiles,
    scales: usize,
}

impl Posterior<'_> {
    fn sum(&self, at: &[f64], pass: Pass<'_>) -> Sums {
        let (alpha, bias) = at.split_at(self.scales);
        let every = self.for_every_class(alpha);
        self.tiles.sum(Classwise { alpha: &every, bias }, pass)
    }

    fn for_every_class(&self, alpha: &[f64]) -> Vec<f64> {
        if alpha.len() == 1 { vec![alpha[0]; self.tiles.classes()] } else { alpha.to_vec() }
    }

    /// Sums over rows, class by class, to one entry for each parameter.
    fn store(&self, sums: &Sums, out: &mut [f64]) {
        let (alpha, bias) = out.split_at_mut(self.scales);
        bias.copy_from_slice(&sums.bias);
        if alpha.len() == 1 {
            alpha[0] = sums.alpha.iter().sum();
        } else {
            alpha.copy_from_slice(&sums.alpha);
        }
    }

    /// Adds the prior's matrix times `x`.
    fn add_prior(&self, x: &[f64], out: &mut [f64]) {
        let (alpha, bias) = x.split_at(self.scales);
        let mean = alpha.iter().sum::<f64>() / alpha.len() as f64;
        let pulls = alpha.iter().map(|a| a - mean).chain(bias.iter().copied());
        for (out, pull) in out.iter_mut().zip(pulls) {
            *out += PRECISION * pull;
        }
    }

    fn prior(&self, x: &[f64]) -> f64 {
        let mut pulls = vec![0.0; x.len()];
        self.add_prior(x, &mut pulls);
        pulls.iter().zip(x).map(|(pull, x)| pull * x).sum::<f64>() / 2.0
    }

    /// √ of the scale's entry in the inverse Hessian. The error of that entry is quadratic in the residual's.
    fn scale_deviation(&self, at: &[f64]) -> f64 {
        let mut unit = vec![0.0; at.len()];
        unit[0] = 1.0;
        let mut diagonal = vec![0.0; at.len()];
        self.diagonal(at, &mut diagonal);
        solve(self, at, &diagonal, &unit, 1e-4).x[0].sqrt()
    }
}

impl Convex for Posterior<'_> {
    fn gradient(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let sums = self.sum(x, Pass::Gradient);
        self.store(&sums, gradient);
        self.add_prior(x, gradient);
        sums.value + self.prior(x)
    }

    fn diagonal(&self, x: &[f64], diagonal: &mut [f64]) {
        self.store(&self.sum(x, Pass::Diagonal), diagonal);
        let (scales, biases) = diagonal.split_at_mut(self.scales);
        // It only has to be near, and must not be 0 where a class is masked or all rows are certain.
        scales.iter_mut().for_each(|d| *d += PRECISION);
        biases.iter_mut().for_each(|d| *d += PRECISION);
    }

    fn curve(&self, x: &[f64], direction: &[f64], product: &mut [f64]) {
        let (alpha, bias) = direction.split_at(self.scales);
        let every = self.for_every_class(alpha);
        let by = Classwise { alpha: &every, bias };
        self.store(&self.sum(x, Pass::Curve(by)), product);
        self.add_prior(direction, product);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Random};

    /// Rows of a random kind, some masked, with weights.
    fn tiles(rows: usize, classes: usize) -> Tiles {
        let mut random = Random::new(5, Purpose::Folds, classes as u64);
        let mut logits: Vec<f64> =
            (0..rows * classes).map(|_| 3.0 * random.normal() + 1.0).collect();
        let labels: Vec<i64> = (0..rows).map(|_| random.below(classes as u64) as i64).collect();
        for row in (0..rows).step_by(3) {
            let masked = (labels[row] as usize + 1) % classes;
            logits[row * classes + masked] = f64::NEG_INFINITY;
        }
        let weights: Vec<f64> = (0..rows).map(|_| (4.0 * random.unit()).floor() / 2.0).collect();
        let rows = Rows::new(&logits, classes).unwrap();
        Tiles::new(rows, Labels::new(&labels, classes).unwrap(), Some(&weights)).unwrap()
    }

    /// Gradients against differences of values, products against differences of gradients, in every direction.
    #[test]
    fn derivatives_are_those_of_the_value() {
        for (rows, classes, one_scale) in
            [(3, 2, true), (40, 2, false), (33, 5, true), (50, 7, false), (3000, 40, false)]
        {
            let tiles = tiles(rows, classes);
            let posterior =
                Posterior { tiles: &tiles, scales: if one_scale { 1 } else { classes } };
            let len = posterior.scales + classes;
            let mut random = Random::new(6, Purpose::Folds, 0);
            let x: Vec<f64> = (0..len).map(|_| random.normal()).collect();
            let at = |x: &[f64]| {
                let mut gradient = vec![0.0; len];
                (posterior.gradient(x, &mut gradient), gradient)
            };
            let (mut diagonal, mut product) = (vec![0.0; len], vec![0.0; len]);
            posterior.diagonal(&x, &mut diagonal);
            for k in 0..len {
                let step = 1e-4;
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x[k] += by;
                    at(&x)
                };
                let ((up, up_gradient), (down, down_gradient)) = (moved(step), moved(-step));
                let size = tiles.weight;
                let slope = (up - down) / (2.0 * step);
                assert!((at(&x).1[k] - slope).abs() < 1e-7 * size, "{classes} {k}: {slope}");
                let mut unit = vec![0.0; len];
                unit[k] = 1.0;
                posterior.curve(&x, &unit, &mut product);
                for j in 0..len {
                    let curve = (up_gradient[j] - down_gradient[j]) / (2.0 * step);
                    assert!((product[j] - curve).abs() < 1e-7 * size, "{classes} {k} {j}: {curve}");
                }
                if !one_scale || k > 0 {
                    assert!((diagonal[k] - product[k]).abs() < 0.2 + 1e-9 * size, "{k}");
                }
            }
        }
    }

    #[test]
    fn parameters_are_checked() {
        assert_eq!(Affine::new(0, vec![1.0], vec![]), Err(Error::NoClasses));
        assert_eq!(
            Affine::new(3, vec![1.0, 2.0], vec![]),
            Err(Error::Shape { what: "scale", expected: 3, got: 2 })
        );
        assert!(Affine::new(3, vec![1.0], vec![0.0]).is_err());
        assert!(Affine::new(2, vec![f64::INFINITY], vec![]).is_err());
        assert!(Affine::new(2, vec![1.0], vec![0.0, f64::NAN]).is_err());
        let affine = Affine::new(2, vec![0.0], vec![]).unwrap();
        assert!(affine.temperature().unwrap().is_infinite());
        assert!(affine.apply(Rows::new(&[0.0f32; 3], 3).unwrap()).is_err());
        // A mask stays one, also at a scale of 0.
        let row = [f64::NEG_INFINITY, 3.0];
        let out = affine.apply(Rows::one(&row).unwrap()).unwrap();
        assert_eq!(out, [f64::NEG_INFINITY, 0.0]);
    }
}
