//! What a sampler is told, as Python gives it: keywords, each one value for all rows or a value for each.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyTuple};
use softargmax::{Context, Method, Order, SamplingParams};

use crate::arguments::choice;
use crate::error::{refused, wrong, wrong_type};
use crate::temperature::{Taus, Temperatures};

choice!(Ordered(Order) "order":
    "temperature_first" => Order::TemperatureFirst,
    "min_p_first" => Order::MinPFirst,
    "temperature_last" => Order::TemperatureLast
);
choice!(By(Method) "method":
    "inverse" => Method::Inverse,
    "gumbel" => Method::Gumbel
);
choice!(Preset(fn() -> SamplingParams) "preset":
    "greedy" => SamplingParams::greedy,
    "hf" => SamplingParams::hf,
    "llama_cpp" => SamplingParams::llama_cpp,
    "vllm" => SamplingParams::vllm
);

/// The names that are known, for the message about one that is not.
const NAMES: [&str; 12] = [
    "preset",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "order",
];

/// Whether a value is of one row or has one of each: of lists, tuples and arrays with an axis, the values.
fn of_rows<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    let py = value.py();
    let listed = if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        value.clone()
    } else if let Some(axes) = value.getattr_opt(intern!(py, "ndim"))?
        && axes.extract::<usize>()? > 0
    {
        value.call_method0(intern!(py, "tolist"))?
    } else {
        return Ok(None);
    };
    listed.try_iter()?.collect::<PyResult<_>>().map(Some)
}

/// A value for each row, or one for all of them.
fn values<'py, V>(
    name: &str,
    value: &Bound<'py, PyAny>,
    shape: &[usize],
    one: impl Fn(&Bound<'py, PyAny>) -> PyResult<V>,
) -> PyResult<Vec<V>> {
    let Some(given) = of_rows(value)? else { return Ok(vec![one(value)?]) };
    match *shape {
        [rows, _] if rows == given.len() => given.iter().map(one).collect(),
        [rows, _] => Err(wrong(format!("{name} has length {}, expected {rows}", given.len()))),
        _ => Err(wrong(format!("{name} is a list: logits of one axis take one number"))),
    }
}

fn float(name: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    value.extract().map_err(|_| not_a(name, value, "a number"))
}

/// An integer from 0 up; of more than 64 bits none is meant.
fn natural(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    value.extract().map_err(|_| {
        let is_integer = value.is_instance_of::<PyInt>();
        match (is_integer, value.str()) {
            (true, Ok(value)) => {
                wrong(format!("{name} {value} is not allowed: it must be from 0 to 2^64 - 1"))
            }
            _ => not_a(name, value, "an integer"),
        }
    })
}

fn not_a(name: &str, value: &Bound<'_, PyAny>, what: &str) -> PyErr {
    match value.get_type().name() {
        Ok(type_) => wrong_type(format!("{name} is a {type_}: it must be {what}")),
        Err(error) => error,
    }
}

fn bias(value: &Bound<'_, PyAny>) -> PyResult<Vec<(u32, f64)>> {
    let name = "logit_bias";
    let Ok(value) = value.cast::<PyDict>() else {
        return Err(not_a(name, value, "a dict from token to bias"));
    };
    let pair = |(token, bias): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        Ok((tokens_of(name, &token)?.0[0], float(name, &bias)?))
    };
    value.iter().map(pair).collect()
}

/// The parameters of all rows: one, or one for each. They are valid.
pub(super) struct Parameters(Vec<SamplingParams>);

impl Parameters {
    pub(super) fn of(given: Option<&Bound<'_, PyDict>>, shape: &[usize]) -> PyResult<Self> {
        let mut all = vec![SamplingParams::default()];
        let Some(given) = given else { return Ok(Parameters(all)) };
        if let Some(preset) = given.get_item("preset")?
            && !preset.is_none()
        {
            all = vec![preset.extract::<Preset>()?.0()];
        }
        for (name, value) in given {
            let name: String = name.extract()?;
            if !NAMES.contains(&name.as_str()) {
                let known = NAMES.join(", ");
                return Err(wrong_type(format!("there is no parameter {name}: there are {known}")));
            }
            if !value.is_none() {
                set(&mut all, &name, &value, shape)?;
            }
        }
        match all.as_slice() {
            [one] => one.validate().map_err(refused)?,
            each => each.iter().enumerate().try_for_each(|(row, params)| {
                params.validate().map_err(|error| wrong(format!("row {row}: {error}")))
            })?,
        }
        Ok(Parameters(all))
    }

    pub(super) fn of_row(&self, row: usize) -> &SamplingParams {
        of_one_or_each(&self.0, row)
    }

    /// Whether all rows have the same.
    pub(super) fn are_one(&self) -> bool {
        self.0.len() == 1
    }

    pub(super) fn draw_by(&mut self, method: Method, seeds: &[u64]) {
        if seeds.len() != 1 {
            each(&mut self.0, seeds.len());
        }
        for (row, params) in self.0.iter_mut().enumerate() {
            params.method = method;
            params.seed = *of_one_or_each(seeds, row);
        }
    }
}

fn of_one_or_each<V>(values: &[V], row: usize) -> &V {
    if values.len() == 1 { &values[0] } else { &values[row] }
}

/// Gives the parameter to all, or to each its own.
fn set(
    all: &mut Vec<SamplingParams>,
    name: &str,
    value: &Bound<'_, PyAny>,
    shape: &[usize],
) -> PyResult<()> {
    match name {
        "preset" => {}
        "temperature" => {
            let taus: Temperatures<'_> = value.extract()?;
            let taus = match taus.for_rows(shape, shape.len() - 1)? {
                Taus::One(tau) => vec![tau],
                Taus::PerRow(taus) => taus,
            };
            give(all, taus, |params, tau| params.temperature = tau);
        }
        "order" => {
            let order = value.extract::<Ordered>()?.0;
            give(all, vec![order], |params, order| params.order = order);
        }
        "top_k" => {
            let ks = values(name, value, shape, |value| natural(name, value))?;
            // As many as there are tokens or more: all.
            let k = |k| usize::try_from(k).unwrap_or(usize::MAX);
            give(all, ks, |params, top_k| params.top_k = k(top_k));
        }
        "logit_bias" => {
            let biases = values(name, value, shape, bias)?;
            give(all, biases, |params, bias| params.logit_bias = bias);
        }
        _ => {
            let field: fn(&mut SamplingParams) -> &mut f64 = match name {
                "top_p" => |params| &mut params.top_p,
                "min_p" => |params| &mut params.min_p,
                "typical_p" => |params| &mut params.typical_p,
                "top_n_sigma" => |params| &mut params.top_n_sigma,
                "repetition_penalty" => |params| &mut params.repetition_penalty,
                "presence_penalty" => |params| &mut params.presence_penalty,
                _ => |params| &mut params.frequency_penalty,
            };
            let numbers = values(name, value, shape, |value| float(name, value))?;
            give(all, numbers, |params, number| *field(params) = number);
        }
    }
    Ok(())
}

fn give<V: Clone>(
    all: &mut Vec<SamplingParams>,
    values: Vec<V>,
    set: impl Fn(&mut SamplingParams, V),
) {
    if values.len() != 1 {
        each(all, values.len());
    }
    for (row, params) in all.iter_mut().enumerate() {
        set(params, of_one_or_each(&values, row).clone());
    }
}

/// Makes of one for all rows one for each.
fn each(all: &mut Vec<SamplingParams>, rows: usize) {
    if let [one] = all.as_slice() {
        *all = vec![one.clone(); rows];
    }
}

/// An argument of integers from 0 up, one for all rows or one for each.
pub(crate) enum Naturals<'py> {
    Zero,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Naturals<'py> {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Naturals::Given(value.to_owned()))
    }
}

impl Naturals<'_> {
    pub(super) fn of_rows(&self, name: &str, shape: &[usize]) -> PyResult<Vec<u64>> {
        match self {
            Naturals::Zero => Ok(vec![0]),
            Naturals::Given(value) => values(name, value, shape, |value| natural(name, value)),
        }
    }
}

/// Tokens, and the shape they are in.
pub(super) fn tokens_of(name: &str, given: &Bound<'_, PyAny>) -> PyResult<(Vec<u32>, Vec<usize>)> {
    let py = given.py();
    let array = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (given,))?;
    let shape: Vec<usize> = array.getattr(intern!(py, "shape"))?.extract()?;
    let dtype = array.getattr(intern!(py, "dtype"))?;
    let kind: String = dtype.getattr(intern!(py, "kind"))?.extract()?;
    // An empty list is one of floats to numpy.
    if kind != "i" && kind != "u" && !shape.contains(&0) {
        return Err(wrong_type(format!("{name} has dtype {}: it must be integers", dtype.str()?)));
    }
    // Those of uint64 from 2^63 up become negative, which no token is.
    let array = array.call_method1(intern!(py, "astype"), ("i8",))?;
    let array: numpy::PyReadonlyArrayDyn<'_, i64> = array.extract()?;
    let token = |&token: &i64| {
        u32::try_from(token).map_err(|_| {
            wrong(format!("{name}: token {token} is not a class: they are counted from 0"))
        })
    };
    Ok((array.as_array().iter().map(token).collect::<PyResult<_>>()?, shape))
}

/// Where the draws of each row are, what may be drawn, what was there.
pub(super) struct Contexts {
    streams: Vec<u64>,
    positions: Vec<u64>,
    /// Words of 64 tokens, of one row for all or of each.
    mask: Option<(Vec<u64>, bool)>,
    histories: Vec<Vec<u32>>,
    words: usize,
}

impl Contexts {
    pub(super) fn of(
        mask: Option<&Bound<'_, PyAny>>,
        history: Option<&Bound<'_, PyAny>>,
        shape: &[usize],
    ) -> PyResult<Self> {
        let words = shape[shape.len() - 1].div_ceil(64);
        let mask = mask.map(|mask| packed(mask, shape)).transpose()?;
        let histories = history.map_or(Ok(Vec::new()), |history| histories(history, shape))?;
        Ok(Contexts { streams: vec![0], positions: vec![0], mask, histories, words })
    }

    /// One stream is that of the first row, from which the others count up; one position is that of all.
    pub(super) fn draw_at(&mut self, streams: Vec<u64>, positions: Vec<u64>) {
        self.streams = streams;
        self.positions = positions;
    }

    pub(super) fn of_row(&self, row: usize) -> Context<'_> {
        let stream = match *self.streams {
            [first] => first.wrapping_add(row as u64),
            ref each => each[row],
        };
        let mask = self.mask.as_ref().map(|(words, is_of_each)| {
            let first = if *is_of_each { row * self.words } else { 0 };
            &words[first..first + self.words]
        });
        let history = self.histories.get(row).map_or(&[][..], |history| history);
        Context { stream, position: *of_one_or_each(&self.positions, row), mask, history }
    }
}

/// A mask of bool, for one row or for each, as bits.
fn packed(mask: &Bound<'_, PyAny>, shape: &[usize]) -> PyResult<(Vec<u64>, bool)> {
    let py = mask.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    let mask = numpy.call_method1(intern!(py, "asarray"), (mask,))?;
    let dtype = mask.getattr(intern!(py, "dtype"))?;
    if dtype.getattr(intern!(py, "kind"))?.ne("b")? {
        return Err(wrong_type(format!("where has dtype {}: it must be bool", dtype.str()?)));
    }
    let given: Vec<usize> = mask.getattr(intern!(py, "shape"))?.extract()?;
    let classes = shape[shape.len() - 1];
    if given != shape && given != [classes] {
        return Err(wrong(format!("where has shape {given:?}, which does not fit {shape:?}")));
    }
    let mask: numpy::PyReadonlyArrayDyn<'_, bool> = mask.extract()?;
    let mask = mask.as_array();
    let mut words = Vec::new();
    for row in mask.rows() {
        let from = words.len();
        words.resize(from + classes.div_ceil(64), 0);
        for (i, _) in row.iter().enumerate().filter(|(_, may)| **may) {
            words[from + i / 64] |= 1u64 << (i % 64);
        }
    }
    Ok((words, given.len() == 2))
}

/// The tokens that were there: of one row, or a list or a row of an array for each.
fn histories(history: &Bound<'_, PyAny>, shape: &[usize]) -> PyResult<Vec<Vec<u32>>> {
    let name = "history";
    let &[rows, _] = shape else {
        let (tokens, got) = tokens_of(name, history)?;
        return match got.len() {
            1 => Ok(vec![tokens]),
            _ => Err(wrong(format!("{name} has shape {got:?}: it must have one axis"))),
        };
    };
    let histories: Vec<Vec<u32>> =
        if history.is_instance_of::<PyList>() || history.is_instance_of::<PyTuple>() {
            let of_row = |history: PyResult<_>| Ok(tokens_of(name, &history?)?.0);
            history.try_iter()?.map(of_row).collect::<PyResult<_>>()?
        } else {
            let (tokens, got) = tokens_of(name, history)?;
            let [_, length] = *got else {
                return Err(wrong(format!("{name} has shape {got:?}: it must have two axes")));
            };
            (0..got[0]).map(|row| tokens[row * length..(row + 1) * length].to_vec()).collect()
        };
    match histories.len() == rows {
        true => Ok(histories),
        false => Err(wrong(format!("{name} has length {}, expected {rows}", histories.len()))),
    }
}
