//! What a contrastive loss is of vectors that are spread evenly over the sphere: the level it can reach, and the level
//! of pairs that have nothing to do with each other.
//!
//! ```text
//! E = mean of exp(x·y/τ) over the sphere = ₀F₁(; D/2; κ²/4) = 1 + Σ_n z^n/((D/2)_n n!)      κ = 1/τ, z = κ²/4
//! floor = ln(1 + K·E·e^−κ)                    unrelated = ln(1 + K·E)
//! ```
//!
//! All terms of the series are positive, and up to κ = 700 their sum is a f64. Beyond, `I_ν` is expanded in 1/r, r =
//! √(ν² + κ²), ν = D/2 − 1: Debye's expansion, whose first term left out is below 1e-12 there. The floor needs κ − ln E,
//! in which the two large parts are subtracted on paper: r − κ = ν²/(r + κ).

use crate::double::Double;
use crate::error::Error;
use crate::exp::{exp, ln_sum};
use crate::temperature::Temperature;

/// From here on the series is left for the expansion.
const LARGE: f64 = 700.0;

/// `ln E exp(x·y/τ)` of two vectors that are spread evenly over the unit sphere of `width` dimensions, each by itself: `ln
/// ₀F₁(; D/2; 1/(2τ)²)`, about `1/(2Dτ²)` where that is small.
///
/// # Accuracy
/// Within 1e-13 of itself for τ ≥ 1/700, below within 1e-12 of 1/τ.
///
/// # Special values
/// 0 at τ = ∞; ∞ at τ = 0.
///
/// # Errors
/// [`Error::NoClasses`] for 0 dimensions.
///
/// # Example
/// ```
/// let ln = softargmax::sphere_log_mean_exp(128, "0.07".parse()?)?;
/// assert!((ln.exp() - 2.2086518151005983).abs() < 1e-13);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// The normaliser of the von Mises–Fisher distribution: Mardia & Jupp 2000, "Directional statistics", eq. 9.3.4.
pub fn sphere_log_mean_exp(width: usize, tau: Temperature) -> Result<f64, Error> {
    Ok(Sphere::new(width)?.log_mean_exp(tau.scale()))
}

/// The contrastive loss of a query that is its positive, with `negatives` others spread evenly over the sphere: `ln(1 +
/// K·e^(−1/τ)·E exp(x·y/τ))`.
///
/// About the least that can be reached where there are many more vectors than dimensions. Of few, an arrangement that
/// is no chance can be a little below; what nothing can be below is
/// [`normface_lower_bound`](crate::normface_lower_bound), which is reached up to one vector more than dimensions.
///
/// # Accuracy
/// Within 1e-12/τ of itself.
///
/// # Special values
/// No negatives have the floor 0. At τ = ∞ it is ln(1 + K), at τ = 0 it is 0 (in one dimension, where half of all
/// vectors coincide, ln(1 + K/2)).
///
/// # Errors
/// [`Error::NoClasses`] for 0 dimensions.
///
/// # Example
/// ```
/// use softargmax::{normface_lower_bound, sphere_floor};
///
/// // MoCo's 65536 negatives in 128 dimensions, at its τ = 0.07 and at 0.2:
/// assert!((sphere_floor(65536, 128, "0.07".parse()?)? - 0.086588875888247293).abs() < 1e-14);
/// assert!((sphere_floor(65536, 128, "0.2".parse()?)? - 6.18998987505).abs() < 1e-11);
/// // If there were 65536 dimensions, it could be lower.
/// assert!((normface_lower_bound(65537, 1.0 / 0.07)? - 0.040126916823864991).abs() < 1e-14);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang & Isola 2020, "Understanding contrastive representation learning through alignment and uniformity on the
/// hypersphere", theorem 1: aligned and uniform is the limit of the minimum.
#[allow(clippy::excessive_precision)] // of the example
pub fn sphere_floor(negatives: usize, width: usize, tau: Temperature) -> Result<f64, Error> {
    let sphere = Sphere::new(width)?;
    if negatives == 0 {
        return Ok(0.0);
    }
    Ok(ln_one_plus(negatives as f64 * exp(-sphere.gap(tau.scale()))))
}

/// The contrastive loss of a query whose positive is at right angles, as is usual for vectors that have nothing to do
/// with each other, among `negatives` spread evenly over the sphere: `ln(1 + K·E exp(x·y/τ))`.
///
/// Below about τ = 1/√D it is above ln(1 + K): a loss of that is better than chance there.
///
/// # Accuracy
/// As [`sphere_floor`].
///
/// # Special values
/// No negatives: 0. At τ = ∞ it is ln(1 + K), at τ = 0 it is ∞.
///
/// # Errors
/// [`Error::NoClasses`] for 0 dimensions.
///
/// # Example
/// ```
/// let level = softargmax::sphere_unrelated_level(65536, 128, "0.07".parse()?)?;
/// assert!((level - 11.882744088543737).abs() < 1e-13); // ln(1 + K) is 11.09
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// As [`sphere_floor`], with the positive at right angles.
pub fn sphere_unrelated_level(
    negatives: usize,
    width: usize,
    tau: Temperature,
) -> Result<f64, Error> {
    let sphere = Sphere::new(width)?;
    if negatives == 0 {
        return Ok(0.0);
    }
    let odds = libm::log(negatives as f64) + sphere.log_mean_exp(tau.scale());
    // ln(1 + e^x) = x + ln(1 + e^−x)
    Ok(odds + ln_one_plus(exp(-odds)))
}

/// The least [`uniformity`](crate::uniformity) of many vectors of `width` dimensions: `ln E e^(−2‖x − y‖²)` of two that are
/// spread evenly over the sphere, −4 + [`sphere_log_mean_exp`] at τ = 1/4.
///
/// # Accuracy
/// Within 1e-14.
///
/// # Special values
/// It goes to −4 with the dimensions.
///
/// # Errors
/// [`Error::NoClasses`] for 0 dimensions.
///
/// # Example
/// ```
/// assert!((softargmax::sphere_uniformity(64)? + 3.87523558968).abs() < 1e-11);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang & Isola 2020, section 4.1.2 (t = 2) and proposition 1.
pub fn sphere_uniformity(width: usize) -> Result<f64, Error> {
    // ‖x − y‖² = 2 − 2 x·y
    Ok(Sphere::new(width)?.log_mean_exp(4.0) - 4.0)
}

/// The scale s = 1/τ at which [`sphere_floor`] is `loss`. A smaller scale (a higher temperature) cannot get so low.
///
/// # Accuracy
/// Within 1e-11 of itself, but near `loss` = ln(1 + K), where it becomes 0, of 1.
///
/// # Special values
/// A loss of ln(1 + K) takes the scale 0, a loss of 0 an infinite one. In two dimensions the scale for a small loss is
/// soon beyond f64, and infinite.
///
/// # Errors
/// [`Error::NoClasses`] for 0 dimensions or 0 negatives, whose floor is 0 at every scale; [`Error::Parameter`] for a loss
/// that is NaN, negative or above ln(1 + K), or in one dimension not above ln(1 + K/2).
///
/// # Example
/// ```
/// use softargmax::{Temperature, sphere_floor, sphere_scale_for_floor};
///
/// let scale = sphere_scale_for_floor(65536, 128, 0.1)?;
/// assert!((sphere_floor(65536, 128, Temperature::from_scale(scale)?)? - 0.1).abs() < 1e-12);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// [`sphere_floor`], solved for the scale by bisection; the floor falls as the scale rises.
pub fn sphere_scale_for_floor(negatives: usize, width: usize, loss: f64) -> Result<f64, Error> {
    let sphere = Sphere::new(width)?;
    if negatives == 0 {
        return Err(Error::NoClasses);
    }
    let ln_negatives = libm::log(negatives as f64);
    let most = libm::log1p(negatives as f64);
    let above = if width == 1 { libm::log1p(negatives as f64 / 2.0) } else { -1.0 };
    if !(loss >= 0.0 && loss <= most && loss > above) {
        let allowed = "above what the floor is at scale inf, to ln(1 + negatives)";
        return Err(Error::Parameter { what: "loss", got: loss, allowed });
    }
    if loss == 0.0 {
        return Ok(f64::INFINITY);
    }
    let gap = ln_negatives - libm::log(libm::expm1(loss));
    if gap <= 0.0 {
        return Ok(0.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while sphere.gap(high) < gap {
        (low, high) = (high, 2.0 * high);
        if high == f64::INFINITY {
            return Ok(high);
        }
    }
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return Ok(middle);
        }
        if sphere.gap(middle) < gap {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// ln(1 + x) for x ≥ 0.
fn ln_one_plus(x: f64) -> f64 {
    ln_sum(1.0, Double::from(x)).hi
}

/// The unit sphere in so many dimensions.
struct Sphere {
    half: f64,
}

impl Sphere {
    fn new(width: usize) -> Result<Self, Error> {
        if width == 0 { Err(Error::NoClasses) } else { Ok(Sphere { half: width as f64 / 2.0 }) }
    }

    /// ln E e^(κ x·y).
    fn log_mean_exp(&self, scale: f64) -> f64 {
        if scale < LARGE {
            return libm::log1p(self.series(scale));
        }
        if scale == f64::INFINITY { scale } else { scale - self.expanded_gap(scale) }
    }

    /// κ − ln E: from 0 up.
    fn gap(&self, scale: f64) -> f64 {
        if scale < LARGE {
            return scale - libm::log1p(self.series(scale));
        }
        self.expanded_gap(scale)
    }

    /// E − 1.
    fn series(&self, scale: f64) -> f64 {
        let z = scale * scale / 4.0;
        let (mut term, mut sum, mut n) = (1.0, 0.0, 0.0);
        loop {
            term *= z / ((n + 1.0) * (self.half + n));
            sum += term;
            n += 1.0;
            // Past the largest term each is less than half of the one before, soon enough.
            if term <= sum * 1e-18 || term == 0.0 {
                return sum;
            }
        }
    }

    fn expanded_gap(&self, scale: f64) -> f64 {
        let nu = self.half - 1.0;
        if scale == f64::INFINITY {
            // On a sphere of two points half of all pairs coincide.
            return if nu < 0.0 { std::f64::consts::LN_2 } else { scale };
        }
        let r = nu.hypot(scale);
        let p = (nu / r) * (nu / r);
        let first = (3.0 - 5.0 * p) / 24.0;
        let second = (81.0 + p * (-462.0 + p * 385.0)) / 1152.0;
        let third = (30375.0 + p * (-369_603.0 + p * (765_765.0 - p * 425_425.0))) / 414_720.0;
        let tail = (first + (second + third / r) / r) / r;
        let ln = libm::lgamma(self.half)
            + nu * libm::log(2.0 / (nu + r))
            + nu * (nu / (r + scale))
            + libm::log1p(tail);
        libm::log(std::f64::consts::TAU * r) / 2.0 - ln
    }
}
