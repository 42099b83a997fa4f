//! The inverse question: which temperature gives this entropy, perplexity or largest probability?

use pyo3::prelude::*;
use softargmax::{Rows, Target};

use crate::array::{Array, Number, for_each_type};
use crate::axis::{Axes, Laned};
use crate::error::{refused, wrong};
use crate::rows::{mask_of, with_rows};
use crate::temperature::PyTemperature;
use crate::work::{self, PASSES};

/// The answer of `solve_temperature`. Out of reach is a name, never a clipped number.
///
/// Attributes
/// ----------
/// outcome : str
///     ``"found"``; ``"below reach"`` or ``"above reach"``, where no temperature gives the target; ``"any"``, where
///     every one does.
/// temperature : Temperature or None
///     The temperature, if it was found.
/// attained : float
///     What the rows have at that temperature, in the quantity asked for; otherwise the end of what they can
///     have, on the target's side.
/// iterations : int
///     How often the statistics of the rows were taken after the two limits.
#[pyclass(frozen, get_all, module = "softargmax")]
pub(crate) struct Solution {
    outcome: &'static str,
    temperature: Option<PyTemperature>,
    attained: f64,
    iterations: u32,
}

impl TryFrom<softargmax::Solution> for Solution {
    type Error = PyErr;

    fn try_from(solution: softargmax::Solution) -> PyResult<Self> {
        let without =
            |outcome, attained| Solution { outcome, temperature: None, attained, iterations: 0 };
        Ok(match solution {
            softargmax::Solution::Found { temperature, attained, iterations } => Solution {
                outcome: "found",
                temperature: Some(PyTemperature(temperature)),
                attained,
                iterations,
            },
            softargmax::Solution::BelowReach { lowest } => without("below reach", lowest),
            softargmax::Solution::AboveReach { highest } => without("above reach", highest),
            softargmax::Solution::Any { value } => without("any", value),
            _ => return Err(wrong("an outcome that this package does not know")),
        })
    }
}

#[pymethods]
impl Solution {
    /// The double nearest to the temperature; NaN if there is none.
    #[getter]
    fn tau(&self) -> f64 {
        self.temperature.map_or(f64::NAN, |temperature| temperature.0.tau())
    }

    fn __repr__(&self) -> String {
        let Solution { outcome, attained, .. } = self;
        match self.temperature {
            Some(PyTemperature(tau)) => {
                format!("Solution({outcome}, temperature={tau}, attained={attained:?})")
            }
            None => format!("Solution({outcome}, attained={attained:?})"),
        }
    }
}

/// What is asked for, by name.
struct Targets {
    entropy: Option<f64>,
    perplexity: Option<f64>,
    max_probability: Option<f64>,
}

impl Targets {
    fn one(self) -> PyResult<Target> {
        match (self.entropy, self.perplexity, self.max_probability) {
            (Some(entropy), None, None) => Ok(Target::Entropy(entropy)),
            (None, Some(perplexity), None) => Ok(Target::Perplexity(perplexity)),
            (None, None, Some(p)) => Ok(Target::MaxProbability(p)),
            _ => Err(wrong("one of entropy, perplexity and max_probability must be given")),
        }
    }
}

fn together<T: Number>(
    laned: &Laned<'_, T>,
    mask: Option<&Bound<'_, numpy::PyArrayDyn<bool>>>,
    target: Target,
) -> PyResult<softargmax::Solution> {
    with_rows(laned, mask, |rows, classes| {
        let rows = Rows::new(rows, classes).map_err(refused)?;
        work::run(laned.array.py(), rows.as_slice().len().saturating_mul(PASSES), || {
            softargmax::solve_temperature(rows, target)
        })
    })
}

fn each<T: Number>(
    laned: &Laned<'_, T>,
    mask: Option<&Bound<'_, numpy::PyArrayDyn<bool>>>,
    target: Target,
) -> PyResult<Vec<softargmax::Solution>> {
    with_rows(laned, mask, |rows, classes| {
        work::run(laned.array.py(), rows.len().saturating_mul(PASSES), || {
            softargmax::solve_temperature_per_row(Rows::new(rows, classes)?, target)
        })
    })
}

/// The temperature at which rows have, in the mean, a given entropy, perplexity or largest probability:
/// mean_r H(softmax(x_r/τ)) = target, solved for τ.
///
/// Parameters
/// ----------
/// x : array_like
///     Logits, as in `softmax`.
/// axis : int or tuple of ints, optional
///     The axis or axes that sum to 1: the last by default; None is the whole array.
/// entropy : float, optional
///     In nats, from 0 up. One of the three must be given.
/// perplexity : float, optional
///     From 1 up; over several rows that of their mean entropy.
/// max_probability : float, optional
///     Above 0 and up to 1; over several rows the mean of their largest.
/// where : array_like of bool, optional
///     As in `softmax`.
///
/// Returns
/// -------
/// Solution
///
/// Raises
/// ------
/// SoftargmaxError
///     For a row with a NaN, an entry of +∞, or nothing but −∞; for a target that no distribution has; for no rows.
///
/// Notes
/// -----
/// The quantity, taken at the returned temperature, differs from the target by a few roundings of
/// float64. A target that only a limit has gives τ = 0 or τ = ∞.
///
/// References
/// ----------
/// The search for a perplexity is that of van der Maaten & Hinton 2008, section 2, there by bisection.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.solve_temperature([1.0, 5.0, 7.0, 10.0], perplexity=2.0)
/// Solution(found, temperature=1.92158..., attained=2.0)
/// >>> softargmax.solve_temperature([1.0, 5.0, 7.0, 10.0], perplexity=5.0)
/// Solution(above reach, attained=4.0)
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::One(-1), *, entropy=None, perplexity=None, max_probability=None, r#where=None))]
#[pyo3(
    text_signature = "(x, axis=-1, *, entropy=None, perplexity=None, max_probability=None, where=None)"
)]
pub(crate) fn solve_temperature(
    x: &Bound<'_, PyAny>,
    axis: Axes,
    entropy: Option<f64>,
    perplexity: Option<f64>,
    max_probability: Option<f64>,
    r#where: Option<Bound<'_, PyAny>>,
) -> PyResult<Solution> {
    let target = Targets { entropy, perplexity, max_probability }.one()?;
    for_each_type!(&Array::of(x, "x")?, x => {
        let laned = Laned::of(x, &axis)?;
        let mask = r#where.map(|mask| mask_of(&mask, x, &axis)).transpose()?;
        together(&laned, mask.as_ref(), target)?.try_into()
    })
}

/// `solve_temperature` for each row by itself.
///
/// Parameters
/// ----------
/// x, axis, entropy, perplexity, max_probability, where
///     As in `solve_temperature`.
///
/// Returns
/// -------
/// list of Solution
///     One for each row, in C order.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `solve_temperature`.
///
/// Notes
/// -----
/// Rows of which none reaches the target have an ``outcome`` that says so, each by itself.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> answers = softargmax.solve_temperature_per_row([[0.0, 1.0], [0.0, 2.0]], max_probability=0.75)
/// >>> answers[1].tau / answers[0].tau
/// 2.0
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::One(-1), *, entropy=None, perplexity=None, max_probability=None, r#where=None))]
#[pyo3(
    text_signature = "(x, axis=-1, *, entropy=None, perplexity=None, max_probability=None, where=None)"
)]
pub(crate) fn solve_temperature_per_row(
    x: &Bound<'_, PyAny>,
    axis: Axes,
    entropy: Option<f64>,
    perplexity: Option<f64>,
    max_probability: Option<f64>,
    r#where: Option<Bound<'_, PyAny>>,
) -> PyResult<Vec<Solution>> {
    let target = Targets { entropy, perplexity, max_probability }.one()?;
    let all = for_each_type!(&Array::of(x, "x")?, x => {
        let laned = Laned::of(x, &axis)?;
        let mask = r#where.map(|mask| mask_of(&mask, x, &axis)).transpose()?;
        each(&laned, mask.as_ref(), target)?
    });
    all.into_iter().map(Solution::try_from).collect()
}
