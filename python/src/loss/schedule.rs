//! Temperatures as functions of the training step.

use pyo3::prelude::*;
use softargmax::Temperature;

use crate::error::refused;
use crate::temperature::{PyTemperature, Tau};

fn given(tau: Result<Temperature, softargmax::Error>) -> PyResult<PyTemperature> {
    tau.map(PyTemperature).map_err(refused)
}

/// τ = from + (to − from)·step/steps, and `to` from step `steps` on.
///
/// Parameters
/// ----------
/// from_, to : float or Temperature
///     The first temperature and the last, which is taken from step `steps` on.
/// step, steps : int
///     From 0 up.
///
/// Returns
/// -------
/// Temperature
///
/// Raises
/// ------
/// SoftargmaxError
///     For an infinite temperature.
///
/// References
/// ----------
/// Caron et al. 2021, section 3.1, for the teacher's temperature.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.linear_temperature(1, 0.5, 15, 30).tau
/// 0.75
#[pyfunction]
pub(crate) fn linear_temperature(
    from_: Tau,
    to: Tau,
    step: u64,
    steps: u64,
) -> PyResult<PyTemperature> {
    given(softargmax::linear_temperature(from_.0, to.0, step, steps))
}

/// τ = to + (from − to)·(1 + cos(π·step/steps))/2: slow at both ends, and `to` from step `steps` on.
///
/// Parameters
/// ----------
/// from_, to : float or Temperature
///     The first temperature and the last, which is taken from step `steps` on.
/// step, steps : int
///     From 0 up.
///
/// Returns
/// -------
/// Temperature
///
/// Raises
/// ------
/// SoftargmaxError
///     For an infinite temperature.
///
/// References
/// ----------
/// Loshchilov & Hutter 2017, eq. 5, for the shape.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.cosine_temperature(1, 0.5, 50, 100).tau
/// 0.75
#[pyfunction]
pub(crate) fn cosine_temperature(
    from_: Tau,
    to: Tau,
    step: u64,
    steps: u64,
) -> PyResult<PyTemperature> {
    given(softargmax::cosine_temperature(from_.0, to.0, step, steps))
}

/// τ = from·(to/from)^(step/steps): by the same factor every step, and `to` from step `steps` on.
///
/// Parameters
/// ----------
/// from_, to : float or Temperature
///     The first temperature and the last, which is taken from step `steps` on.
/// step, steps : int
///     From 0 up.
///
/// Returns
/// -------
/// Temperature
///
/// Raises
/// ------
/// SoftargmaxError
///     For a temperature that is 0 or infinite.
///
/// References
/// ----------
/// The geometric cooling of Kirkpatrick, Gelatt & Vecchi 1983.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.exponential_temperature(4, 0.25, 1, 2).tau
/// 1.0
#[pyfunction]
pub(crate) fn exponential_temperature(
    from_: Tau,
    to: Tau,
    step: u64,
    steps: u64,
) -> PyResult<PyTemperature> {
    given(softargmax::exponential_temperature(from_.0, to.0, step, steps))
}

/// τ = low + (high − low)·(1 + cos(2π·step/period))/2: from `high` down to `low` and back, every `period` steps.
///
/// Parameters
/// ----------
/// low, high : float or Temperature
///     Finite.
/// step, period : int
///     The period is 1 or more.
///
/// Returns
/// -------
/// Temperature
///
/// Raises
/// ------
/// SoftargmaxError
///     For an infinite temperature, and a period of 0.
///
/// References
/// ----------
/// Kukleva et al. 2023 (arXiv:2303.13664), with low = 0.1 and high = 1.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.cyclic_temperature(0.1, 1, 500, 400).tau
/// 0.55
#[pyfunction]
pub(crate) fn cyclic_temperature(
    low: Tau,
    high: Tau,
    step: u64,
    period: u64,
) -> PyResult<PyTemperature> {
    given(softargmax::cyclic_temperature(low.0, high.0, step, period))
}

/// τ = max(least, e^(−rate·step)), the annealing of the Gumbel-softmax: from 1 down to `least`.
///
/// Parameters
/// ----------
/// rate : float
///     0 or positive.
/// least : float or Temperature
///     Where it ends.
/// step : int
///     From 0 up.
///
/// Returns
/// -------
/// Temperature
///
/// Raises
/// ------
/// SoftargmaxError
///     For a rate that is negative, infinite or NaN.
///
/// References
/// ----------
/// Jang, Gu & Poole 2017 (arXiv:1611.01144), section 4.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.gumbel_softmax_temperature(1e-4, 0.5, 1000).tau
/// 0.9048374180359595
#[pyfunction]
pub(crate) fn gumbel_softmax_temperature(
    rate: f64,
    least: Tau,
    step: u64,
) -> PyResult<PyTemperature> {
    given(softargmax::gumbel_softmax_temperature(rate, least.0, step))
}
