//! Normalised softmax: logits are cosines times a scale s = 1/τ, and the label's cosine may be made smaller by a
//! margin.
//!
//! ```text
//! loss = softplus(ln Σ_{j≠y} exp(s·cos_j) − s·t(cos_y))        the label is never in the sum
//! t(c) = c                                                     NormFace
//!        c − m                                                 CosFace
//!        cos(θ + m),  cos θ = c                                ArcFace
//! floor: ln(1 + (n − 1)·exp(−s·n/(n − 1)))                     n classes as far apart as can be
//! ```

use crate::compiled::Runs;
use crate::double::Double;
use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::exp::{exp_double, ln_sum};
use crate::loss::weigh::{Factor, LANES, LogSum, Weigh, above_zero};
use crate::loss::{Loss, Reduction, exact_sum};
use crate::rows::{Labels, Rows};
use crate::temperature::Temperature;

/// What is done to the cosine of the label before it is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Margin {
    /// Nothing: NormFace.
    #[default]
    None,
    /// `cos θ − m`: CosFace; m is 0.35 or 0.4 where s is 64.
    Cosine(f64),
    /// `cos(θ + m)`: ArcFace; m is 0.5 where s is 64. Beyond θ = π − m, where that would rise again, it is `cos θ −
    /// m·sin m`, as in the authors' code.
    Angle(f64),
}

impl Margin {
    /// The cosine after the margin, and its slope in the cosine.
    pub(super) fn of(self, cosine: f64) -> (f64, f64) {
        match self {
            Margin::None => (cosine, 1.0),
            Margin::Cosine(m) => (cosine - m, 1.0),
            Margin::Angle(m) => {
                let (sin_m, cos_m) = (libm::sin(m), libm::cos(m));
                if cosine <= -cos_m {
                    return (cosine - m * sin_m, 1.0);
                }
                // At θ = 0 the slope is infinite; half the digits of an f64 from there it is this.
                const LEAST: f64 = 1.0 / (1u64 << 26) as f64;
                let sine = ((1.0 - cosine) * (1.0 + cosine)).max(0.0).sqrt();
                (cosine * cos_m - sine * sin_m, cos_m + sin_m * cosine / sine.max(LEAST))
            }
        }
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        match self {
            Margin::Cosine(m) if !m.is_finite() => {
                Err(Error::Parameter { what: "margin", got: m, allowed: "finite" })
            }
            Margin::Angle(m) if !(0.0..=std::f64::consts::PI).contains(&m) => {
                Err(Error::Parameter { what: "margin", got: m, allowed: "an angle from 0 to pi" })
            }
            margin => Ok(margin),
        }
    }
}

/// The normalised softmax loss of rows of cosines, with a margin at the label (from features and class weights:
/// [`normalised_linear_softmax`](crate::normalised_linear_softmax)):
/// `−ln( exp(s·t) / (exp(s·t) + Σ_{j≠y} exp(s·cos_j)) )`, t = cos_y after the [`Margin`], s = 1/τ.
///
/// # Shapes
/// `cosines` is `[rows, classes]`, each from −1 to 1. The gradients are those of the loss as `reduction` puts it
/// together: in the cosines (`logits`), and for each row in τ; in the scale they are −τ² times those.
///
/// # Accuracy
/// In f64 within 1e-14 of the loss, however small it is: a row that leaves 1e-84 over has that loss. In f32 the
/// rounding of the cosines decides, 2^-24/τ of the loss.
///
/// # Special values
/// A label that is ignored makes its row 0. At τ = ∞ the loss is ln(classes) and all gradients are 0.
/// At `cos θ = 1` the slope of [`Margin::Angle`] is infinite, and 2^26·sin m is used.
///
/// # Errors
/// [`Error::Shape`] when there is not one label per row, or other classes than columns; [`Error::Parameter`] at τ = 0
/// (and to 1e-300, f32 1e-36) and for a margin that is not finite, or no angle; [`Error::Row`] for a row with a
/// number that is no cosine (beyond 1 by more than 2^-9, or NaN); [`Error::NoRows`] where a mean of no rows is asked
/// for.
///
/// # Example
/// ```
/// use softargmax::{Labels, Margin, Reduction, Rows, Temperature, normalised_softmax};
///
/// let cosines = Rows::new(&[0.9, 0.1, -0.2], 3)?;
/// let (labels, tau) = (Labels::new(&[0], 3)?, Temperature::from_scale(64.0)?);
/// let loss = normalised_softmax(cosines, labels, Margin::Cosine(0.35), tau, Reduction::Mean)?;
/// // exp(−64·(0.9 − 0.35 − 0.1)) + exp(−64·(0.9 − 0.35 + 0.2))
/// assert!((loss.value() / 3.1068402517950864e-13 - 1.0).abs() < 1e-12);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang et al. 2017, "NormFace", eq. 6; Wang et al. 2018, "CosFace", eq. 4; Deng et al. 2019, "ArcFace", eq. 3.
pub fn normalised_softmax<T: Element>(
    cosines: Rows<'_, T>,
    labels: Labels<'_>,
    margin: Margin,
    tau: Temperature,
    reduction: Reduction,
) -> Result<Loss<T>, Error> {
    let classes = checked(cosines, labels, tau)?;
    let margin = margin.checked()?;
    let counted = labels.iter().flatten().count();
    let whole = match reduction {
        Reduction::PerRow | Reduction::Sum => 1.0,
        Reduction::Mean | Reduction::WeightedMean if counted == 0 => return Err(Error::NoRows),
        Reduction::Mean | Reduction::WeightedMean => 1.0 / counted as f64,
    };
    let factor = Factor::<T::Real>::new(tau);
    let scale = factor.scale;
    let mut row_of_lanes = Lanes::<T::Real>::new(classes);
    let mut logits = vec![T::of_f64(0.0); cosines.as_slice().len()];
    let (mut values, mut taus) = (vec![0.0; cosines.rows()], vec![0.0; cosines.rows()]);
    for (row, (entries, out)) in cosines.iter().zip(logits.chunks_exact_mut(classes)).enumerate() {
        let Some(label) = labels.of_row(row) else { continue };
        let lanes = row_of_lanes.read(entries, Some(label));
        let mut weights = lanes.to_vec();
        let others = T::Real::run(Weigh::<_, true> { row: &mut weights, factor: &factor });
        let (target, slope) = margin.of(entries[label].to_f64());
        let share = others.share(target, &factor);
        values[row] = whole * share.loss;
        taus[row] = -whole * scale * scale * share.rest * others.mean_from(target);
        if others.is_empty() {
            continue;
        }
        let pull = whole * scale * share.rest / others.sum;
        for (to, weight) in out.iter_mut().zip(weights.as_flattened()) {
            *to = T::of_f64(pull * weight.to_f64());
        }
        out[label] = T::of_f64(-whole * scale * share.rest * slope);
    }
    let values = if reduction == Reduction::PerRow { values } else { vec![exact_sum(&values)] };
    Ok(Loss { values, logits, tau: taus })
}

/// Whether cosines, labels and temperature go together; the number of classes.
fn checked<T: Element>(
    cosines: Rows<'_, T>,
    labels: Labels<'_>,
    tau: Temperature,
) -> Result<usize, Error> {
    let (rows, classes) = (cosines.rows(), cosines.classes());
    if labels.rows() != rows {
        return Err(Error::Shape { what: "labels", expected: rows, got: labels.rows() });
    }
    if labels.classes() != classes {
        let got = labels.classes();
        return Err(Error::Shape { what: "classes of the labels", expected: classes, got });
    }
    above_zero::<T::Real>(tau)?;
    // bf16 rounds to 2^-9 of the number.
    let is_cosine = |x: &T| x.to_f64().abs() <= 1.0 + 1.0 / 512.0;
    match cosines.iter().position(|row| !row.iter().all(is_cosine)) {
        Some(row) => {
            Err(Error::Row { row, reason: "an entry is no cosine: it is NaN or beyond 1" })
        }
        None => Ok(classes),
    }
}

/// A row in whole chunks of lanes, filled up with −∞.
struct Lanes<R> {
    chunks: Vec<[R; LANES]>,
    classes: usize,
}

impl<R: Real> Lanes<R> {
    fn new(classes: usize) -> Self {
        Lanes { chunks: vec![[R::NEG_INFINITY; LANES]; classes.div_ceil(LANES)], classes }
    }

    /// The entries of a row, one of them left out.
    fn read<T: Element<Real = R>>(&mut self, row: &[T], without: Option<usize>) -> &[[R; LANES]] {
        let entries = &mut self.chunks.as_flattened_mut()[..self.classes];
        T::read(row, entries);
        if let Some(class) = without {
            entries[class] = R::NEG_INFINITY;
        }
        &self.chunks
    }
}

/// The least that a normalised softmax loss over `classes` balanced classes can be at a scale s = 1/τ:
/// `ln(1 + (n − 1)·exp(−s·n/(n − 1)))`.
///
/// It is reached where the classes are the corners of a simplex, which takes n − 1 dimensions; with fewer, the loss
/// stays above. It holds as it is for a contrastive loss within a batch of n.
///
/// # Accuracy
/// Within 1e-15 of itself, however small.
///
/// # Special values
/// One class has the floor 0. At s = 0 it is ln n, at s = ∞ it is 0.
///
/// # Errors
/// [`Error::NoClasses`], and [`Error::Scale`] for a scale that is NaN or negative.
///
/// # Example
/// ```
/// use softargmax::normface_lower_bound;
///
/// // Without a scale, the 10575 identities of CASIA-WebFace cannot be learnt:
/// assert_eq!(normface_lower_bound(10575, 1.0)?, 8.266315928710399);
/// assert!((normface_lower_bound(10575, 30.0)? / 9.866717439280531e-10 - 1.0).abs() < 1e-15);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang et al. 2017, "NormFace", proposition 2.
pub fn normface_lower_bound(classes: usize, scale: f64) -> Result<f64, Error> {
    if !(scale >= 0.0) {
        return Err(Error::Scale { got: scale });
    }
    let (n, others) = match classes {
        0 => return Err(Error::NoClasses),
        1 => return Ok(0.0),
        n => (n as f64, (n - 1) as f64),
    };
    if scale == f64::INFINITY {
        return Ok(0.0);
    }
    // s·n/(n − 1) = s + s/(n − 1), and s itself may be large.
    let exponent = Double::from(-scale).times(Double::from(n).over(Double::from(others)));
    Ok(ln_sum(1.0, Double::from(others).times(Double::from(exp_double(exponent)))).hi)
}

/// The scale s = 1/τ at which [`normface_lower_bound`] is `loss`: `(n − 1)/n · ln((n − 1)/(exp(loss) − 1))`.
///
/// A smaller scale cannot get so low.
///
/// # Accuracy
/// Within 1e-14 of itself, but near `loss` = ln n, where it becomes 0, of 1.
///
/// # Special values
/// A loss of 0 takes an infinite scale, ln n none (0).
///
/// # Errors
/// [`Error::NoClasses`] for fewer than two classes, whose floor is 0 at every scale; [`Error::Parameter`] for a loss
/// that is NaN, negative or above ln n, which is no floor.
///
/// # Example
/// ```
/// use softargmax::{normface_lower_bound, normface_scale_for_loss};
///
/// let scale = normface_scale_for_loss(65537, 0.1)?;
/// assert!((1.0 / scale - 0.0749).abs() < 1e-4); // the largest τ that can reach 0.1
/// assert!((normface_lower_bound(65537, scale)? - 0.1).abs() < 1e-14);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// [`normface_lower_bound`], solved for the scale.
pub fn normface_scale_for_loss(classes: usize, loss: f64) -> Result<f64, Error> {
    if classes < 2 {
        return Err(Error::NoClasses);
    }
    let (n, others) = (classes as f64, (classes - 1) as f64);
    let most = libm::log(n);
    if !(0.0..=most).contains(&loss) {
        let allowed = "0 to the logarithm of the classes";
        return Err(Error::Parameter { what: "loss", got: loss, allowed });
    }
    if loss == most {
        return Ok(0.0);
    }
    Ok((others / n * (libm::log(others) - libm::log(libm::expm1(loss)))).max(0.0))
}

/// The least scale s = 1/τ at which every row of `classes` balanced classes can have its label at the probability P:
/// `(n − 1)/n · ln((n − 1)·P/(1 − P))`.
///
/// # Accuracy
/// Within 1e-14 of itself, but near P = 1/n, where it becomes 0, of 1.
///
/// # Special values
/// P = 1 takes an infinite scale, P = 1/n none (0).
///
/// # Errors
/// [`Error::NoClasses`] for fewer than two classes; [`Error::Parameter`] for a probability that is NaN, below 1/n or
/// above 1.
///
/// # Example
/// ```
/// use softargmax::normface_scale_for_probability;
///
/// let scale = normface_scale_for_probability(10575, 0.999)?;
/// assert!((scale - 16.17137886242121).abs() < 1e-13);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang et al. 2018, "CosFace", section 3.3 (the bound on s).
pub fn normface_scale_for_probability(classes: usize, probability: f64) -> Result<f64, Error> {
    if classes < 2 {
        return Err(Error::NoClasses);
    }
    let (n, others) = (classes as f64, (classes - 1) as f64);
    if !(1.0 / n..=1.0).contains(&probability) {
        let allowed = "1/classes to 1";
        return Err(Error::Parameter { what: "probability", got: probability, allowed });
    }
    if probability == 1.0 / n {
        return Ok(0.0);
    }
    let odds = libm::log(others) + libm::log(probability) - libm::log1p(-probability);
    Ok((others / n * odds).max(0.0))
}

/// The fixed scale of AdaCos, `√2·ln(n − 1)`: where the probability of the label at θ = π/4 changes fastest, if all
/// other classes are at right angles.
///
/// A heuristic: nothing says that a model learns best there. (1/τ = 15.68 at n − 1 = 65536, the τ = 0.064 next to
/// MoCo's 0.07.)
///
/// # Accuracy
/// Within 2 units in the last place.
///
/// # Special values
/// Two classes have the scale 0: they do not need one.
///
/// # Errors
/// [`Error::NoClasses`] for fewer than two classes.
///
/// # Example
/// ```
/// assert!((softargmax::adacos_fixed_scale(65537)? - 15.684130295496755).abs() < 1e-14);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Zhang et al. 2019, "AdaCos", eq. 10.
pub fn adacos_fixed_scale(classes: usize) -> Result<f64, Error> {
    if classes < 2 {
        return Err(Error::NoClasses);
    }
    Ok(std::f64::consts::SQRT_2 * libm::log((classes - 1) as f64))
}

/// The next scale of dynamic AdaCos from a batch and the last one: `ln(B) / cos(min(π/4, θ))`, where B is the mean
/// over the rows of `Σ_{j≠y} exp(s·cos_j)` and θ the median angle to the label.
///
/// The logarithm of B is computed without B, which overflows from s = 710 on. Of an even number of rows the
/// lower of the two middle angles is taken, as in the authors' code. Rows whose label is ignored do not count.
///
/// # Shapes
/// `cosines` is `[rows, classes]`; `scale` is that of the step before, at first [`adacos_fixed_scale`].
///
/// # Accuracy
/// Within 1e-14 (f64).
///
/// # Special values
/// One class has no others: B is 0, and the scale would be −∞; that is refused. A B below 1 would make the scale
/// negative; it is 0.
///
/// # Errors
/// [`Error::Scale`] for a scale that is NaN, negative or infinite; [`Error::NoClasses`] for one class;
/// [`Error::NoRows`]; and as [`normalised_softmax`] for labels and cosines.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, adacos_dynamic_scale};
///
/// let cosines = Rows::new(&[0.5, 0.0, 0.0], 3)?;
/// // ln 2/cos(π/4): the label at 60° counts as if it were at 45°.
/// let scale = adacos_dynamic_scale(cosines, Labels::new(&[0], 3)?, 10.0)?;
/// assert!((scale - 0.9802581434685472).abs() < 1e-15);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Zhang et al. 2019, "AdaCos", eq. 15 and algorithm 1.
pub fn adacos_dynamic_scale<T: Element>(
    cosines: Rows<'_, T>,
    labels: Labels<'_>,
    scale: f64,
) -> Result<f64, Error> {
    if !(0.0..f64::INFINITY).contains(&scale) {
        return Err(Error::Scale { got: scale });
    }
    let factor = Factor::<T::Real>::new(Temperature::from_scale(scale)?);
    let classes = checked(cosines, labels, Temperature::ONE)?;
    if classes < 2 {
        return Err(Error::NoClasses);
    }
    let mut row_of_lanes = Lanes::<T::Real>::new(classes);
    let (mut all, mut targets) = (LogSum::EMPTY, Vec::new());
    for (entries, label) in cosines.iter().zip(labels.iter()) {
        let Some(label) = label else { continue };
        let mut lanes = row_of_lanes.read(entries, Some(label)).to_vec();
        all.add(T::Real::run(Weigh::<_, false> { row: &mut lanes, factor: &factor }), scale);
        targets.push(entries[label].to_f64());
    }
    if targets.is_empty() {
        return Err(Error::NoRows);
    }
    // The lower median of the angles is the upper one of the cosines.
    let middle = targets.len() / 2;
    let (_, &mut cosine, _) = targets.select_nth_unstable_by(middle, f64::total_cmp);
    let log_b = all.ln_over(0.0, &factor) - libm::log(targets.len() as f64);
    // cos(min(π/4, θ)) is the larger of the cosines.
    Ok((log_b / cosine.clamp(std::f64::consts::FRAC_1_SQRT_2, 1.0)).max(0.0))
}
