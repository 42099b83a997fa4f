//! A temperature for each group of rows. Groups are numbered in the order of their first rows, as the program does.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::array::{Array, for_each_type};
use crate::error::wrong;
use crate::fit::PyTemperatureFit;
use crate::labelled::Labelled;
use crate::temperature::PyTemperature;
use crate::work::{self, PASSES};

/// The temperature of one group of rows.
///
/// Attributes
/// ----------
/// temperature : Temperature
///     Drawn towards that of all rows.
/// log_deviation : float
///     The standard deviation of ln τ given the rows, the uncertainty of the common temperature included.
/// alone : TemperatureFit
///     What the rows of the group say alone.
#[pyclass(frozen, get_all, module = "softargmax", name = "Group")]
pub(crate) struct PyGroup {
    temperature: PyTemperature,
    log_deviation: f64,
    alone: Py<PyTemperatureFit>,
}

#[pymethods]
impl PyGroup {
    fn __repr__(&self) -> String {
        let PyGroup { temperature, log_deviation, .. } = self;
        format!("Group(temperature={}, log_deviation={log_deviation:?})", temperature.0)
    }
}

/// A temperature for each group of rows, and one for others: what `fit_groups` gives.
///
/// Attributes
/// ----------
/// pool : TemperatureFit
///     Of all rows together. Where it did not converge, there are no groups.
/// deviation : float
///     σ, the standard deviation of ln τ between groups: 0 where they differ no more than chance would have it, NaN without groups.
/// groups : dict
///     From each group's name to its `Group`, in the order of their first rows.
#[pyclass(frozen, module = "softargmax", name = "GroupsFit")]
pub(crate) struct PyGroupsFit {
    #[pyo3(get)]
    pool: Py<PyTemperatureFit>,
    #[pyo3(get)]
    deviation: f64,
    groups: Py<PyDict>,
}

#[pymethods]
impl PyGroupsFit {
    #[getter]
    fn groups<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.groups.bind(py).copy()
    }

    /// The temperature for rows of a group: of one that was not there, the common one. None where the fit did not converge.
    fn temperature(&self, group: &Bound<'_, PyAny>) -> PyResult<Option<PyTemperature>> {
        let py = group.py();
        match self.groups.bind(py).get_item(group)? {
            Some(found) => Ok(Some(found.cast::<PyGroup>()?.get().temperature)),
            None => Ok(self.pool.get().temperature),
        }
    }

    /// The temperatures for rows of these groups, one for each: what ``temperature=`` takes.
    fn temperatures(&self, groups: &Bound<'_, PyAny>) -> PyResult<Vec<PyTemperature>> {
        names(groups)?
            .iter()
            .map(|name| {
                self.temperature(&name)?.ok_or_else(|| {
                    let outcome = self.pool.get().outcome;
                    wrong(format!("no temperature was fitted ({outcome}): there is none to apply"))
                })
            })
            .collect()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let pool = self.pool.get();
        match pool.temperature {
            Some(PyTemperature(tau)) => format!(
                "GroupsFit({}, temperature={tau}, deviation={:?}, groups={})",
                pool.outcome,
                self.deviation,
                self.groups.bind(py).len()
            ),
            None => format!("GroupsFit({})", pool.outcome),
        }
    }
}

/// What rows' groups are called, in Python's own types: of numpy's 3 and of 3 the group is one.
fn names<'py>(groups: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let py = groups.py();
    let names = if groups.hasattr(intern!(py, "tolist"))? {
        groups.call_method0(intern!(py, "tolist"))?
    } else {
        py.get_type::<PyList>().call1((groups,))?
    };
    names.cast_into().map_err(|_| wrong("groups has no axis: it must have one name for each row"))
}

/// A temperature for each group of rows, drawn towards that of all: the most likely ln τ_g under ln τ_g ~ N(μ, σ²), where μ is
/// that of all rows together, and σ what the groups' differences show.
///
/// A group of many rows keeps its own temperature; one of few, or one whose rows alone have none (all right, a single row), gets
/// nearly that of all.
///
/// Parameters
/// ----------
/// logits : array_like
///     ``[rows, classes]``. Of probabilities, their logarithms are logits.
/// labels : array_like of int
///     One for each row.
/// groups : array_like
///     ``[rows]``: the group of each row, a number, a text or whatever a dict takes as a key.
/// weights : array_like, optional
///     ``[rows]``: how much each row counts, from 0 up.
/// ignored : int, optional
///     The label of rows that are left out (-100 in PyTorch). A group that is left out throughout gets the temperature of all.
/// where : array_like of bool, optional
///     Entries that take part, broadcast to the logits; the others are masked.
///
/// Returns
/// -------
/// GroupsFit
///     Where all rows together have no best temperature, the ``outcome`` of its ``pool`` says why, and there are no groups.
///
/// Raises
/// ------
/// SoftargmaxError
///     As `fit_temperature`; where there is not one group for each row, and for a group that is not equal to itself, as NaN.
///
/// Notes
/// -----
/// Each τ is as right as that of `fit_temperature`, given σ; σ to 1e-3 of itself, by a normal approximation of each group's
/// likelihood. Deviations are of ln τ, which has no unit. The same bits for any number of threads, and as the program's
/// ``fit --groups``.
///
/// References
/// ----------
/// Gelman et al., "Bayesian data analysis", 3rd ed. 2013, section 5.4; for σ Paule & Mandel, J. Res. Natl. Bur. Stand. 87(5), 1982.
///
/// Examples
/// --------
/// As sure as 4 each time: of the first group two rows of three are right, of the second nearly all, and of the third there is one.
///
/// >>> import softargmax
/// >>> logits, labels = [[4.0, 0.0]] * 81, [0, 0, 1] * 13 + [0] * 39 + [1] * 2 + [0]
/// >>> groups = ["night"] * 40 + ["day"] * 40 + ["dusk"]
/// >>> fit = softargmax.fit_groups(logits, labels, groups)
/// >>> {name: round(group.temperature.tau, 2) for name, group in fit.groups.items()}
/// {'night': 4.65, 'day': 1.45, 'dusk': 2.33}
/// >>> fit.temperature("dawn") == fit.pool.temperature
/// True
/// >>> softargmax.softmax([[4.0, 0.0]] * 2, axis=-1, temperature=fit.temperatures(["night", "day"])).round(2)
/// array([[0.7 , 0.3 ],
///        [0.94, 0.06]])
#[pyfunction]
#[pyo3(signature = (logits, labels, groups, *, weights=None, ignored=None, r#where=None))]
#[pyo3(text_signature = "(logits, labels, groups, *, weights=None, ignored=None, where=None)")]
pub(crate) fn fit_groups(
    logits: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    groups: &Bound<'_, PyAny>,
    weights: Option<&Bound<'_, PyAny>>,
    ignored: Option<i64>,
    r#where: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyGroupsFit> {
    let py = logits.py();
    let numbers = PyDict::new(py);
    let mut of_rows = Vec::new();
    for (row, name) in names(groups)?.iter().enumerate() {
        if name.ne(&name)? {
            return Err(wrong(format!("groups: {name} of row {row} is not equal to itself")));
        }
        let number = numbers.call_method1(intern!(py, "setdefault"), (name, numbers.len()))?;
        of_rows.push(number.extract::<usize>()?);
    }
    let labelled = Labelled { labels, weights, ignored, mask: r#where };
    let (fit, rows) = for_each_type!(&Array::of(logits, "logits")?, x => {
        labelled.with_labels(x, |rows, labels, weights| {
            let fit = || softargmax::fit_groups(rows, labels, weights, &of_rows);
            // Every pass over the rows is one of a search for σ.
            let numbers = rows.as_slice().len().saturating_mul(PASSES * PASSES);
            Ok((work::run(py, numbers, fit)?, rows.rows()))
        })?
    });
    let mut count = vec![0; numbers.len()];
    of_rows.iter().for_each(|&number| count[number] += 1);
    let found = PyDict::new(py);
    // Every group that occurs has one, by its number.
    for (name, group) in numbers.keys().iter().zip(fit.groups) {
        let alone = Py::new(py, PyTemperatureFit::new(group.alone, count[group.id]))?;
        let temperature = PyTemperature(group.temperature);
        found.set_item(name, PyGroup { temperature, log_deviation: group.log_deviation, alone })?;
    }
    Ok(PyGroupsFit {
        pool: Py::new(py, PyTemperatureFit::new(fit.pool, rows))?,
        deviation: fit.deviation,
        groups: found.unbind(),
    })
}
