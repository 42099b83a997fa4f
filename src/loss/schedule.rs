//! Temperatures as plain functions of the training step.
//!
//! ```text
//! t = step/steps, at most 1
//! linear       τ0 + (τ1 − τ0)·t
//! cosine       τ1 + (τ0 − τ1)·(1 + cos πt)/2              once from τ0 to τ1
//! cyclic       τ− + (τ+ − τ−)·(1 + cos(2π step/period))/2 from τ+ to τ− and back, again and again
//! exponential  τ0·(τ1/τ0)^t
//! Gumbel       max(least, e^(−rate·step))
//! ```
//!
//! The constant schedule is a [`Temperature`] itself.

use crate::error::Error;
use crate::temperature::Temperature;

/// How far `step` is on the way through `steps`; there from the first step on where there are none.
fn part(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { step as f64 / steps as f64 }
}

fn finite(what: &'static str, tau: Temperature) -> Result<f64, Error> {
    if tau.tau() < f64::INFINITY {
        Ok(tau.tau())
    } else {
        Err(Error::Parameter { what, got: tau.tau(), allowed: "finite" })
    }
}

/// a·(1 − t) + b·t, exactly a and b at the ends and never beyond them.
fn between(a: f64, b: f64, t: f64) -> f64 {
    (a * (1.0 - t) + b * t).clamp(a.min(b), a.max(b))
}

/// `τ = from + (to − from)·step/steps`, and `to` from step `steps` on. (DINO warms its teacher's up so.)
///
/// # Errors
/// [`Error::Parameter`] where one of the temperatures is infinite.
///
/// # Example
/// ```
/// use softargmax::{Temperature, linear_temperature};
///
/// let (from, to) = (Temperature::new(1.0)?, Temperature::new(0.5)?);
/// assert_eq!(linear_temperature(from, to, 15, 30)?.tau(), 0.75);
/// assert_eq!(linear_temperature(from, to, 99, 30)?, to);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Caron et al. 2021, section 3.1, for the teacher's temperature.
pub fn linear_temperature(
    from: Temperature,
    to: Temperature,
    step: u64,
    steps: u64,
) -> Result<Temperature, Error> {
    let (a, b) = (finite("first temperature", from)?, finite("last temperature", to)?);
    at(from, to, part(step, steps), |t| between(a, b, t))
}

/// The ends are the temperatures given, to all of their digits.
fn at(
    from: Temperature,
    to: Temperature,
    t: f64,
    of: impl Fn(f64) -> f64,
) -> Result<Temperature, Error> {
    if t == 0.0 {
        Ok(from)
    } else if t == 1.0 {
        Ok(to)
    } else {
        Temperature::new(of(t))
    }
}

/// `τ = to + (from − to)·(1 + cos(π·step/steps))/2`: slow at both ends, and `to` from step `steps` on.
///
/// # Errors
/// [`Error::Parameter`] where one of the temperatures is infinite.
///
/// # Example
/// ```
/// use softargmax::{Temperature, cosine_temperature};
///
/// let (from, to) = (Temperature::new(1.0)?, Temperature::new(0.5)?);
/// assert_eq!(cosine_temperature(from, to, 50, 100)?.tau(), 0.75);
/// assert_eq!(cosine_temperature(from, to, 100, 100)?, to);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Loshchilov & Hutter 2017, eq. 5, for the shape.
pub fn cosine_temperature(
    from: Temperature,
    to: Temperature,
    step: u64,
    steps: u64,
) -> Result<Temperature, Error> {
    let (a, b) = (finite("first temperature", from)?, finite("last temperature", to)?);
    // (1 − cos πt)/2 = sin²(πt/2), which keeps the digits of a small t.
    let towards = |t: f64| libm::sin(std::f64::consts::FRAC_PI_2 * t).powi(2);
    at(from, to, part(step, steps), |t| between(a, b, towards(t)))
}

/// `τ = low + (high − low)·(1 + cos(2π·step/period))/2`: from `high` down to `low` and back, every `period` steps.
///
/// # Errors
/// [`Error::Parameter`] where one of the temperatures is infinite, or the period is 0.
///
/// # Example
/// ```
/// use softargmax::{Temperature, cyclic_temperature};
///
/// let (low, high) = (Temperature::new(0.1)?, Temperature::new(1.0)?);
/// assert_eq!(cyclic_temperature(low, high, 0, 400)?, high);
/// assert_eq!(cyclic_temperature(low, high, 200, 400)?, low);
/// assert_eq!(cyclic_temperature(low, high, 500, 400)?.tau(), 0.55);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Kukleva et al. 2023 (arXiv:2303.13664), with low = 0.1 and high = 1.
pub fn cyclic_temperature(
    low: Temperature,
    high: Temperature,
    step: u64,
    period: u64,
) -> Result<Temperature, Error> {
    if period == 0 {
        return Err(Error::Parameter { what: "period", got: 0.0, allowed: "1 or more" });
    }
    // There and back are mirror images: 2·step of the way there, in whole steps.
    let within = step % period;
    let twice = u128::from(within.min(period - within)) * 2;
    let (a, b) = (finite("high temperature", high)?, finite("low temperature", low)?);
    let t = twice as f64 / period as f64;
    let towards = |t: f64| libm::sin(std::f64::consts::FRAC_PI_2 * t).powi(2);
    at(high, low, t, |t| between(a, b, towards(t)))
}

/// `τ = from·(to/from)^(step/steps)`: by the same factor every step, and `to` from step `steps` on.
///
/// # Errors
/// [`Error::Parameter`] where one of the temperatures is 0 or infinite.
///
/// # Example
/// ```
/// use softargmax::{Temperature, exponential_temperature};
///
/// let (from, to) = (Temperature::new(4.0)?, Temperature::new(0.25)?);
/// assert_eq!(exponential_temperature(from, to, 1, 2)?.tau(), 1.0);
/// assert!((exponential_temperature(from, to, 1, 4)?.tau() - 2.0).abs() < 1e-15);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// The geometric cooling of Kirkpatrick, Gelatt & Vecchi 1983.
pub fn exponential_temperature(
    from: Temperature,
    to: Temperature,
    step: u64,
    steps: u64,
) -> Result<Temperature, Error> {
    let positive = |what, tau: Temperature| {
        let value = finite(what, tau)?;
        let zero = Error::Parameter { what, got: value, allowed: "positive" };
        if value > 0.0 { Ok(value) } else { Err(zero) }
    };
    let (a, b) = (positive("first temperature", from)?, positive("last temperature", to)?);
    // Two powers, so that no quotient of far temperatures overflows.
    let power = |t: f64| libm::pow(a, 1.0 - t) * libm::pow(b, t);
    at(from, to, part(step, steps), |t| power(t).clamp(a.min(b), a.max(b)))
}

/// `τ = max(least, e^(−rate·step))`, the annealing of the Gumbel-softmax: from 1 down to `least`.
///
/// The paper has least = 0.5 and rates of 1e-5 and 1e-4, and takes a new τ only every 500 or 1000 steps: hand it
/// the step of the last change.
///
/// # Errors
/// [`Error::Parameter`] where `rate` is negative, infinite or NaN.
///
/// # Example
/// ```
/// use softargmax::{Temperature, gumbel_softmax_temperature};
///
/// let least = Temperature::new(0.5)?;
/// assert_eq!(gumbel_softmax_temperature(1e-4, least, 0)?.tau(), 1.0);
/// assert_eq!(gumbel_softmax_temperature(1e-4, least, 1000)?.tau(), 0.9048374180359595); // e^-0.1
/// assert_eq!(gumbel_softmax_temperature(1e-4, least, 1_000_000)?, least);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Jang, Gu & Poole 2017 (arXiv:1611.01144), section 4.
pub fn gumbel_softmax_temperature(
    rate: f64,
    least: Temperature,
    step: u64,
) -> Result<Temperature, Error> {
    if !(0.0..f64::INFINITY).contains(&rate) {
        let (what, allowed) = ("rate", "0 or positive, and finite");
        return Err(Error::Parameter { what, got: rate, allowed });
    }
    let tau = libm::exp(-rate * step as f64);
    if tau > least.tau() { Temperature::new(tau) } else { Ok(least) }
}
