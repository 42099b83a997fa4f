//! Tokens drawn from rows of logits, and what they are drawn from.
//!
//! ```text
//! logits [V] or [B, V], keywords → parameters.rs: one sampler's or one for each row → rows over threads → the library
//! ```

mod parameters;

use std::ops::Range;

use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use softargmax::{Error, Method, Sampler};

use crate::arguments::choice;
use crate::array::{Array, Number, for_each_type, in_c_order, read};
use crate::axis::shaped;
use crate::error::{refused, wrong};
use crate::work;
use parameters::{By, Contexts, Naturals, Parameters, tokens_of};

/// Which distribution a probability is of.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Raw,
    Tempered,
    Drawn,
}
choice!(Which(Of) "of": "drawn" => Of::Drawn, "tempered" => Of::Tempered, "raw" => Of::Raw);

/// Logits as they are given, and what is asked of their rows.
struct Batch<'a, T: Number> {
    logits: &'a [T],
    shape: &'a [usize],
    parameters: &'a Parameters,
    contexts: &'a Contexts,
}

/// A row that is refused, and why.
type Refusal = (usize, Error);

/// Elements of a task, as in the library.
const TASK: usize = 64 * 1024;

/// Elements between two looks at the signals: some hundredths of a second.
const AT_ONCE: usize = 1 << 24;

/// A draw that needs no more than a look at a block costs about as much as so many logits.
const OF_A_DRAW: usize = 256;

impl<T: Number> Batch<'_, T> {
    fn classes(&self) -> usize {
        self.shape[self.shape.len() - 1]
    }

    fn rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }

    /// Calls `fill(sampler, row, results of that row)` for each row, on threads where that is worth it; `each` results a row.
    fn fill<R: Send + Copy + Default>(
        &self,
        py: Python<'_>,
        each: usize,
        cost: usize,
        fill: impl Fn(&mut Sampler<T>, usize, &mut [R]) -> Result<(), Error> + Sync,
    ) -> PyResult<Vec<R>> {
        let (rows, cost) = (self.rows(), cost.saturating_add(self.classes()));
        let mut results = vec![R::default(); rows * each];
        let at_once = (AT_ONCE / cost).max(1);
        let mut first = 0;
        while first < rows {
            let last = rows.min(first.saturating_add(at_once));
            let part = &mut results[first * each..last * each];
            let one = work::run_short(py, (last - first).saturating_mul(cost), || {
                Ok(self.fill_part(first..last, (each, cost), part, &fill))
            })?;
            if let Some(refusal) = one {
                return Err(self.refuse(refusal));
            }
            first = last;
            py.check_signals()?;
        }
        Ok(results)
    }

    /// The first row that is refused, if there is one.
    fn fill_part<R: Send>(
        &self,
        rows: Range<usize>,
        (each, cost): (usize, usize),
        results: &mut [R],
        fill: &(impl Fn(&mut Sampler<T>, usize, &mut [R]) -> Result<(), Error> + Sync),
    ) -> Option<Refusal> {
        if rows.len() > 1 && rows.len().saturating_mul(cost) >= 2 * TASK {
            let middle = rows.start + rows.len() / 2;
            let (left, right) = results.split_at_mut((middle - rows.start) * each);
            let (left, right) = rayon::join(
                || self.fill_part(rows.start..middle, (each, cost), left, fill),
                || self.fill_part(middle..rows.end, (each, cost), right, fill),
            );
            return left.or(right);
        }
        let mut sampler = None;
        let from = rows.start;
        for row in rows {
            let made = match sampler.take() {
                Some(sampler) if self.parameters.are_one() => Ok(sampler),
                _ => Sampler::new(self.parameters.of_row(row).clone()),
            };
            let results = &mut results[(row - from) * each..][..each];
            match made.and_then(|made| fill(sampler.insert(made), row, results)) {
                Ok(()) => {}
                Err(error) => return Some((row, error)),
            }
        }
        None
    }

    fn row(&self, row: usize) -> &[T] {
        &self.logits[row * self.classes()..(row + 1) * self.classes()]
    }

    /// The library's text, with the row's number in the batch.
    fn refuse(&self, (row, error): Refusal) -> PyErr {
        match error {
            Error::LogitNan { class, .. } => refused(Error::LogitNan { row, class }),
            Error::AllMasked { .. } => refused(Error::AllMasked { row }),
            other if self.shape.len() == 2 => wrong(format!("row {row}: {other}")),
            other => refused(other),
        }
    }
}

/// The shape of logits: one row, or a batch of them.
fn shape_of<T: Number>(logits: &Bound<'_, PyArrayDyn<T>>) -> PyResult<Vec<usize>> {
    match logits.shape() {
        [0] | [_, 0] => Err(refused(Error::NoClasses)),
        shape @ ([_] | [_, _]) => Ok(shape.to_vec()),
        shape => Err(wrong(format!("logits has shape {shape:?}: it must have one axis or two"))),
    }
}

/// The arguments that the three functions share.
struct Given<'py> {
    mask: Option<Bound<'py, PyAny>>,
    history: Option<Bound<'py, PyAny>>,
    parameters: Option<Bound<'py, PyDict>>,
}

/// The arguments, checked, of logits of one type.
struct Asked<'py, T: Number> {
    logits: PyReadonlyArrayDyn<'py, T>,
    shape: Vec<usize>,
    parameters: Parameters,
    contexts: Contexts,
}

impl<'py, T: Number> Asked<'py, T> {
    fn of(logits: &Bound<'py, PyArrayDyn<T>>, given: &Given<'py>) -> PyResult<Self> {
        let shape = shape_of(logits)?;
        let parameters = Parameters::of(given.parameters.as_ref(), &shape)?;
        let contexts = Contexts::of(given.mask.as_ref(), given.history.as_ref(), &shape)?;
        let logits = read(&in_c_order(logits)?, "logits")?;
        Ok(Asked { logits, shape, parameters, contexts })
    }

    fn batch(&self) -> PyResult<Batch<'_, T>> {
        let Asked { logits, shape, parameters, contexts } = self;
        Ok(Batch { logits: logits.as_slice()?, shape, parameters, contexts })
    }

    /// The shape of one number for each row.
    fn outer(&self) -> &[usize] {
        &self.shape[..self.shape.len() - 1]
    }
}

/// How tokens are drawn.
struct Drawing<'py> {
    n: Option<usize>,
    replace: bool,
    method: Method,
    seed: Naturals<'py>,
    stream: Naturals<'py>,
    position: Naturals<'py>,
}

fn drawn<'py, T: Number>(
    logits: &Bound<'py, PyArrayDyn<T>>,
    given: &Given<'py>,
    how: &Drawing<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut asked = Asked::of(logits, given)?;
    let seeds = how.seed.of_rows("seed", &asked.shape)?;
    let streams = how.stream.of_rows("stream", &asked.shape)?;
    let positions = how.position.of_rows("position", &asked.shape)?;
    asked.parameters.draw_by(how.method, &seeds);
    asked.contexts.draw_at(streams, positions);
    let batch = asked.batch()?;
    let (each, replace) = (how.n.unwrap_or(1), how.replace);
    let of_a_draw = match how.method {
        Method::Inverse => OF_A_DRAW,
        Method::Gumbel => batch.classes(),
    };
    let fill = |sampler: &mut Sampler<T>, row: usize, tokens: &mut [i64]| {
        let mut drawn = vec![0; tokens.len()];
        let (logits, context) = (batch.row(row), batch.contexts.of_row(row));
        if replace {
            sampler.sample_n(logits, &context, &mut drawn)?;
        } else {
            sampler.sample_without_replacement(logits, &context, &mut drawn)?;
        }
        tokens.iter_mut().zip(drawn).for_each(|(to, token)| *to = i64::from(token));
        Ok(())
    };
    let tokens = batch.fill(logits.py(), each, each.saturating_mul(of_a_draw), fill)?;
    let shape: Vec<usize> = asked.outer().iter().copied().chain(how.n).collect();
    shaped(logits.py(), tokens, &shape, None)
}

fn log_probs<'py, T: Number>(
    logits: &Bound<'py, PyArrayDyn<T>>,
    given: &Given<'py>,
    (tokens, shape): (&[u32], &[usize]),
    of: Of,
) -> PyResult<Bound<'py, PyAny>> {
    let asked = Asked::of(logits, given)?;
    let outer = asked.outer();
    if !shape.starts_with(outer) || shape.len() > outer.len() + 1 {
        let expected = match *outer {
            [rows] => format!("[{rows}] or [{rows}, n]"),
            _ => "[] or [n]".to_string(),
        };
        return Err(wrong(format!("tokens has shape {shape:?}, expected {expected}")));
    }
    let batch = asked.batch()?;
    let classes = batch.classes();
    let each = shape.get(outer.len()).copied().unwrap_or(1);
    let fill = |sampler: &mut Sampler<T>, row: usize, log_probs: &mut [f64]| {
        let distribution = sampler.distribution(batch.row(row), &batch.contexts.of_row(row))?;
        for (to, &token) in log_probs.iter_mut().zip(&tokens[row * each..]) {
            if token as usize >= classes {
                return Err(Error::Token { what: "tokens", token, classes });
            }
            *to = match of {
                Of::Drawn => distribution.log_prob(token),
                Of::Tempered => distribution.describe(token).tempered_log_prob,
                Of::Raw => distribution.describe(token).raw_log_prob,
            };
        }
        Ok(())
    };
    let of_one = if matches!(of, Of::Drawn) { 1 } else { 4 * classes };
    let log_probs = batch.fill(logits.py(), each, each.saturating_mul(of_one), fill)?;
    shaped(logits.py(), log_probs, shape, None)
}

fn all_probabilities<'py, T: Number>(
    logits: &Bound<'py, PyArrayDyn<T>>,
    given: &Given<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let asked = Asked::of(logits, given)?;
    let batch = asked.batch()?;
    let fill = |sampler: &mut Sampler<T>, row: usize, probabilities: &mut [f64]| {
        let distribution = sampler.distribution(batch.row(row), &batch.contexts.of_row(row))?;
        probabilities.copy_from_slice(&distribution.probabilities());
        Ok(())
    };
    let probabilities = batch.fill(logits.py(), batch.classes(), 0, fill)?;
    shaped(logits.py(), probabilities, &asked.shape, None)
}

/// Tokens drawn from softmax(x/τ) after filters: token i with the probability w_i/W, w_i = rint(2^34·exp((x_i − m)/τ)), exactly.
///
/// Parameters
/// ----------
/// logits : array_like
///     ``[V]``, or ``[B, V]`` for a row of each of B sequences.
/// n : int, optional
///     How many tokens of each row, at the positions from `position` up. Without it one, and no axis for it.
/// seed : int or array_like of ints
///     The seed, from 0 to 2^64 - 1; in an array, as all that follows, one for each row.
/// stream : int or array_like of ints
///     The sequence. One number is that of row 0, and row r has it plus r.
/// position : int or array_like of ints
///     The token's place in its sequence, below 2^56.
/// where : array_like of bool, optional
///     ``[V]`` or ``[B, V]``: only tokens where it is True may be drawn.
/// history : array_like of ints, optional
///     ``[T]``, or for each row a list: the tokens that the penalties are for, as transformers' ``input_ids``.
/// replace : bool
///     False draws `n` tokens that differ, in the order drawn.
/// method : {"inverse", "gumbel"}
///     How: "gumbel" gives each token a random number by its id, so that filters and small changes of the logits leave most
///     draws as they were, and takes longer. The distribution is the same.
/// **parameters
///     Each a number for all rows or an array or list of one for each; None is as if it were not there.
///
///     - ``preset`` {"greedy", "hf", "llama_cpp", "vllm"}: the defaults of an engine; what is given beside it takes precedence.
///     - ``temperature`` τ, as everywhere in this package. 0: the largest logits in equal shares.
///     - ``top_k``: how many of the largest; 0 is all.
///     - ``top_p``: the fewest of the largest with this mass; 1 is all, 0 the largest alone.
///     - ``min_p``: at least this part of the largest probability; 0 is all.
///     - ``typical_p``: the fewest of mass p whose surprise is nearest to the entropy; 1 is all.
///     - ``top_n_sigma``: logits so many standard deviations below the largest; 0 is all.
///     - ``repetition_penalty``: divides positive logits of tokens in the history, and multiplies others; 1 is none.
///     - ``presence_penalty``, ``frequency_penalty``: subtracted from logits of tokens in the history: once, and each time.
///     - ``logit_bias``: a dict from token to what is added to its logit; -inf forbids it.
///     - ``order`` {"temperature_first", "min_p_first", "temperature_last"}: when the temperature is applied, as in
///       transformers, vLLM, llama.cpp.
///
/// Returns
/// -------
/// int64 or ndarray of int64
///     ``[]`` or ``[n]``; for a batch ``[B]`` or ``[B, n]``.
///
/// Raises
/// ------
/// SoftargmaxError
///     For a logit that is NaN, hidden or not; a row that has nothing left to draw; a parameter that is not what it may be; a
///     token that is no class; more tokens without replacement than there are.
/// TypeError
///     For a parameter that does not exist.
///
/// Notes
/// -----
/// A draw is a function of its row, the parameters, and (seed, stream, position): the same in Rust and in the program, on every
/// machine, whatever is drawn beside it and on how many threads. The same place gives the same token again: count `position` up.
/// Float16 and bfloat16 are computed in float32. What the parameters do, in which order: docs/sampling.md.
///
/// References
/// ----------
/// Lemire, ACM TOMACS 29(1), 2019 for the integer; Salmon et al., SC 2011 for the generator.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.sample([1.0, 2.0, 3.0, 4.0], 8, temperature=2, seed=42)
/// array([1, 0, 1, 3, 3, 2, 0, 3])
/// >>> softargmax.sample([[1.0, 5.0, 7.0], [3.0, 3.0, 0.0]], temperature=[0.5, 0], top_p=0.9, seed=1)
/// array([2, 1])
#[pyfunction]
#[pyo3(signature = (
    logits, n=None, *, seed=Naturals::Zero, stream=Naturals::Zero, position=Naturals::Zero, r#where=None, history=None, replace=true,
    method=By(Method::Inverse), **parameters
))]
#[pyo3(
    text_signature = "(logits, n=None, *, seed=0, stream=0, position=0, where=None, history=None, \
                         replace=True, method=\"inverse\", **parameters)"
)]
#[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
pub(crate) fn sample<'py>(
    logits: &Bound<'py, PyAny>,
    n: Option<usize>,
    seed: Naturals<'py>,
    stream: Naturals<'py>,
    position: Naturals<'py>,
    r#where: Option<Bound<'py, PyAny>>,
    history: Option<Bound<'py, PyAny>>,
    replace: bool,
    method: By,
    parameters: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let given = Given { mask: r#where, history, parameters };
    let how = Drawing { n, replace, method: method.0, seed, stream, position };
    for_each_type!(&Array::of(logits, "logits")?, x => drawn(x, &given, &how))
}

/// The logarithm of the probability with which `sample` draws a token, ln(w/W), in nats.
///
/// Parameters
/// ----------
/// logits, where, history, **parameters
///     As in `sample`.
/// tokens : array_like of ints
///     ``[]`` or ``[n]``, for a batch ``[B]`` or ``[B, n]``: what `sample` gives.
/// of : {"drawn", "tempered", "raw"}
///     Of which distribution: that which is drawn from, filters and all; softmax(x/τ) with bias, penalties and mask but no filter;
///     softmax(x) of the logits as they are. Training on samples needs the first.
///
/// Returns
/// -------
/// float64 or ndarray of float64
///     In the shape of `tokens`; −∞ for a token that cannot be drawn.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `sample`; for a token that is no class.
///
/// Notes
/// -----
/// The probability of a confident token keeps its digits: 1 − 4e-10 has the logarithm −4e-10, to the width of W.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> logits = [1.0, 5.0, 7.0, 10.0, 9.0]
/// >>> float(softargmax.log_prob(logits, 2, temperature=2, top_p=0.95))
/// -2.1041306054196878
/// >>> float(softargmax.log_prob(logits, 2, temperature=2, top_p=0.95, of="raw"))
/// -3.3538404369564474
#[pyfunction]
#[pyo3(signature = (logits, tokens, *, of=Which(Of::Drawn), r#where=None, history=None, **parameters))]
#[pyo3(
    text_signature = "(logits, tokens, *, of=\"drawn\", where=None, history=None, **parameters)"
)]
pub(crate) fn log_prob<'py>(
    logits: &Bound<'py, PyAny>,
    tokens: &Bound<'py, PyAny>,
    of: Which,
    r#where: Option<Bound<'py, PyAny>>,
    history: Option<Bound<'py, PyAny>>,
    parameters: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let given = Given { mask: r#where, history, parameters };
    let (tokens, shape) = tokens_of("tokens", tokens)?;
    let tokens = (tokens.as_slice(), shape.as_slice());
    for_each_type!(&Array::of(logits, "logits")?, x => log_probs(x, &given, tokens, of.0))
}

/// The probabilities with which `sample` draws each token, w_i/W: exactly those, each rounded once.
///
/// Parameters
/// ----------
/// logits, where, history, **parameters
///     As in `sample`.
///
/// Returns
/// -------
/// ndarray of float64
///     In the shape of `logits`; 0 for a token that cannot be drawn.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `sample`.
///
/// Notes
/// -----
/// Weights are integers: a token below 2^-35 of the largest has none. `softmax` has no such limit, and no filters.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> softargmax.probabilities([1.0, 5.0, 7.0, 10.0, 9.0], temperature=2, top_p=0.95).round(4)
/// array([0.    , 0.    , 0.122 , 0.5465, 0.3315])
#[pyfunction]
#[pyo3(signature = (logits, *, r#where=None, history=None, **parameters))]
#[pyo3(text_signature = "(logits, *, where=None, history=None, **parameters)")]
pub(crate) fn probabilities<'py>(
    logits: &Bound<'py, PyAny>,
    r#where: Option<Bound<'py, PyAny>>,
    history: Option<Bound<'py, PyAny>>,
    parameters: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let given = Given { mask: r#where, history, parameters };
    for_each_type!(&Array::of(logits, "logits")?, x => all_probabilities(x, &given))
}
