//! Temperatures as Python gives them: numbers, texts, fractions, arrays of them.

use numpy::{PyReadonlyArrayDyn, PyUntypedArray};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyFloat, PyInt, PyString, PyType};

use crate::error::{refused, wrong, wrong_type};

/// A temperature τ in [0, ∞], with 1/τ kept to 31 digits.
///
/// Every argument ``temperature=`` takes one, and anything that this class takes.
///
/// Parameters
/// ----------
/// value : float, int, str, fractions.Fraction, decimal.Decimal or Temperature
///     A float means itself: 0.1 is the double nearest to one tenth. A text, a fraction and a decimal
///     mean what they say: ``"0.1"``, ``"1/10"``, ``Fraction(1, 10)`` and ``Decimal("0.1")`` are one
///     tenth exactly.
///
/// Raises
/// ------
/// SoftargmaxError
///     For NaN, a negative value, or a text that is no number.
///
/// Examples
/// --------
/// >>> from softargmax import Temperature
/// >>> Temperature("0.07").tau
/// 0.07
/// >>> Temperature.from_scale(30.0)
/// Temperature('0.03333333333333333')
#[pyclass(frozen, from_py_object, module = "softargmax", name = "Temperature")]
#[derive(Clone, Copy)]
pub(crate) struct PyTemperature(pub(crate) softargmax::Temperature);

#[pymethods]
impl PyTemperature {
    #[new]
    fn new(value: Tau) -> Self {
        PyTemperature(value.0)
    }

    /// The temperature 1/scale, exactly, where scale is the factor s on the logits (NormFace, ArcFace).
    #[classmethod]
    fn from_scale(_: &Bound<'_, PyType>, scale: f64) -> PyResult<Self> {
        Ok(PyTemperature(softargmax::Temperature::from_scale(scale).map_err(refused)?))
    }

    /// The temperature exp(-log_scale), where log_scale is what CLIP learns.
    #[classmethod]
    fn from_log_scale(_: &Bound<'_, PyType>, log_scale: f64) -> PyResult<Self> {
        Ok(PyTemperature(softargmax::Temperature::from_log_scale(log_scale).map_err(refused)?))
    }

    /// The double nearest to τ.
    #[getter]
    fn tau(&self) -> f64 {
        self.0.tau()
    }

    /// The double nearest to 1/τ.
    #[getter]
    fn scale(&self) -> f64 {
        self.0.scale()
    }

    fn __float__(&self) -> f64 {
        self.0.tau()
    }

    fn __repr__(&self) -> String {
        format!("Temperature('{}')", self.0)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __copy__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: PyRef<'py, Self>, _memo: &Bound<'py, PyAny>) -> PyRef<'py, Self> {
        slf
    }

    /// As a number, a text or a scale, whichever gives the same again.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = slf.py();
        let this = slf.get().0;
        let is_it = |other: Result<softargmax::Temperature, _>| other.as_ref() == Ok(&this);
        let class = slf.get_type().into_any();
        let text = this.to_string();
        if is_it(softargmax::Temperature::new(this.tau())) {
            Ok((class, (this.tau(),).into_pyobject(py)?.into_any()))
        } else if is_it(text.parse()) {
            Ok((class, (text,).into_pyobject(py)?.into_any()))
        } else if is_it(softargmax::Temperature::from_scale(this.scale())) {
            let from_scale = class.getattr(intern!(py, "from_scale"))?;
            Ok((from_scale, (this.scale(),).into_pyobject(py)?.into_any()))
        } else {
            Err(wrong(format!(
                "temperature {this} is no double and no short decimal: pickle what it was made of"
            )))
        }
    }

    fn __hash__(&self) -> u64 {
        self.0.tau().to_bits()
    }
}

/// One temperature, as an argument.
pub(crate) struct Tau(pub(crate) softargmax::Temperature);

impl FromPyObject<'_, '_> for Tau {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        one(&value).map(Tau)
    }
}

fn one(value: &Bound<'_, PyAny>) -> PyResult<softargmax::Temperature> {
    let py = value.py();
    if let Ok(value) = value.cast::<PyFloat>() {
        softargmax::Temperature::new(value.extract()?).map_err(refused)
    } else if let Ok(value) = value.cast::<PyTemperature>() {
        Ok(value.get().0)
    } else if value.is_instance_of::<PyString>() || value.is_instance_of::<PyInt>() {
        exact(value)
    } else {
        let of = |module, name| value.is_instance(&py.import(module)?.getattr(name)?);
        if of(intern!(py, "decimal"), intern!(py, "Decimal"))?
            || of(intern!(py, "fractions"), intern!(py, "Fraction"))?
        {
            exact(value)
        } else if value.hasattr(intern!(py, "__float__"))?
            && !of(intern!(py, "numpy"), intern!(py, "longdouble"))?
        {
            // numpy's numbers, arrays of one.
            softargmax::Temperature::new(value.call_method0("__float__")?.extract()?)
                .map_err(refused)
        } else {
            let type_ = value.get_type().name()?;
            Err(wrong_type(format!(
                "temperature is a {type_}: it must be a number, a text, a Fraction, a Decimal, or an array of them"
            )))
        }
    }
}

/// As it is written.
fn exact(value: &Bound<'_, PyAny>) -> PyResult<softargmax::Temperature> {
    let text: PyBackedStr = value.str()?.extract()?;
    text.parse().map_err(refused)
}

/// The argument `temperature=`: one for all rows, or an array of them.
pub(crate) enum Temperatures<'py> {
    One(softargmax::Temperature),
    Array(Bound<'py, PyAny>),
}

impl Default for Temperatures<'_> {
    fn default() -> Self {
        Temperatures::One(softargmax::Temperature::ONE)
    }
}

impl<'py> FromPyObject<'_, 'py> for Temperatures<'py> {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_exact_instance_of::<PyFloat>() {
            return one(&value).map(Temperatures::One);
        }
        let py = value.py();
        let sequence = value.is_instance_of::<PyUntypedArray>()
            || value.is_instance_of::<pyo3::types::PyList>()
            || value.is_instance_of::<pyo3::types::PyTuple>();
        if !sequence {
            return one(&value).map(Temperatures::One);
        }
        let array =
            py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (&*value,))?;
        if array.getattr(intern!(py, "ndim"))?.extract::<usize>()? == 0 {
            return one(&array.call_method0(intern!(py, "item"))?).map(Temperatures::One);
        }
        Ok(Temperatures::Array(array))
    }
}

/// Temperatures laid out for rows.
pub(crate) enum Taus {
    One(softargmax::Temperature),
    PerRow(Vec<softargmax::Temperature>),
}

impl Taus {
    pub(crate) fn as_library(&self) -> softargmax::Temperatures<'_> {
        match self {
            Taus::One(tau) => (*tau).into(),
            Taus::PerRow(taus) => taus[..].into(),
        }
    }
}

impl Temperatures<'_> {
    /// One for each row of an array whose shape is `shape` without `axis`: broadcast to the shape that is left, or
    /// to all of it where the axis has the length 1, as `keepdims=True` leaves it.
    pub(crate) fn for_rows(self, shape: &[usize], axis: usize) -> PyResult<Taus> {
        let array = match self {
            Temperatures::One(tau) => return Ok(Taus::One(tau)),
            Temperatures::Array(array) => array,
        };
        let py = array.py();
        let numpy = py.import(intern!(py, "numpy"))?;
        let given: Vec<usize> = array.getattr(intern!(py, "shape"))?.extract()?;
        let array = if given.len() == shape.len() && given[axis] == 1 {
            numpy.call_method1(intern!(py, "squeeze"), (array, axis))?
        } else {
            array
        };
        let mut outer = shape.to_vec();
        outer.remove(axis);
        let array = numpy
            .call_method1(intern!(py, "broadcast_to"), (array, outer.clone()))
            .map_err(|_| {
                wrong(format!(
                    "temperature has shape {given:?}: it must be one number, or fit the rows {outer:?}"
                ))
            })?;
        let dtype = array.getattr(intern!(py, "dtype"))?;
        let numbers = dtype.getattr(intern!(py, "kind"))?;
        let bytes: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
        let taus = if numbers.eq("f")? && bytes <= 8 {
            let array = array.call_method1(intern!(py, "astype"), ("f8",))?;
            let array: PyReadonlyArrayDyn<'_, f64> = array.extract()?;
            array
                .as_array()
                .iter()
                .map(|&tau| softargmax::Temperature::new(tau).map_err(refused))
                .collect::<PyResult<_>>()?
        } else {
            array
                .call_method0(intern!(py, "ravel"))?
                .call_method0(intern!(py, "tolist"))?
                .try_iter()?
                .map(|tau| one(&tau?))
                .collect::<PyResult<_>>()?
        };
        Ok(Taus::PerRow(taus))
    }
}
