//! Record batches of any engine: sums of their rows, from which a temperature is worked out, and its application.
//!
//! ```text
//! a batch, a stream of them, or an iterable of either → one partial: a record batch of one row, column "scan"
//! "scan"       {"schema":"softargmax.scan/1","scan":…,"tally":null}, the file of the program's scan and merge
//! a question   {"schema":"softargmax.question/1","scans":[…]}, what was answered so far: the worker goes through the
//!              solver's steps again, and so asks of its rows what the solver would
//! ```

mod columns;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3_arrow::input::AnyRecordBatch;
use pyo3_arrow::{PyRecordBatch, PyTable};
use serde::{Deserialize, Serialize};
use softargmax::{Error, Labels, Rows, Scan, TemperatureFit, TemperatureSolver};

use crate::error::{refused, wrong, wrong_type};
use crate::fit::PyTemperatureFit;
use crate::temperature::Tau;
use crate::work;
use columns::{Lists, Value, column, labels, weights};

/// As the program's scan: temperatures from 2^-8 to 2^8.
const OCTAVES: [i32; 2] = [-8, 8];
const SCAN: &str = "softargmax.scan/1";
const QUESTION: &str = "softargmax.question/1";
/// A question with no answers before it.
pub(crate) const FIRST_QUESTION: &str = r#"{"schema":"softargmax.question/1","scans":[]}"#;

/// What is in a cell of "scan". The program's may have metrics with it, which are not for a fit.
#[derive(Deserialize, Serialize)]
struct Summary<S> {
    schema: String,
    scan: S,
    tally: Option<serde_json::Value>,
}

#[derive(Deserialize, Serialize)]
struct Question {
    schema: String,
    scans: Vec<Scan>,
}

impl Question {
    fn read(text: &str) -> PyResult<Self> {
        match serde_json::from_str::<Question>(text) {
            Ok(question) if question.schema == QUESTION => Ok(question),
            Ok(question) => {
                Err(wrong(format!("the question's schema is {}, not {QUESTION}", question.schema)))
            }
            Err(error) => Err(wrong(format!("this is no question: {error}"))),
        }
    }

    /// A solver of rows of so many classes that has been given these answers.
    fn solver(&self, classes: usize) -> PyResult<TemperatureSolver> {
        let mut solver = TemperatureSolver::new(classes, None);
        for scan in &self.scans {
            let asked = solver.next_scan();
            if asked.is_none_or(|asked| !asked.temperatures().eq(scan.temperatures())) {
                return Err(wrong("these partials answer another question"));
            }
            solver.take(scan);
        }
        Ok(solver)
    }
}

/// Calls `take` with every batch: of an object of arrow's, or of an iterable of them.
fn each_batch(
    object: &Bound<'_, PyAny>,
    name: &str,
    take: &mut dyn FnMut(RecordBatch) -> PyResult<()>,
) -> PyResult<()> {
    let py = object.py();
    if is_arrows(object)? {
        for batch in object.extract::<AnyRecordBatch>()?.into_reader()? {
            take(batch.map_err(|error| wrong(format!("{name}: {error}")))?)?;
            py.check_signals()?;
        }
        return Ok(());
    }
    let is_text = object.is_instance_of::<PyString>() || object.is_instance_of::<PyDict>();
    let Some(batches) = object.try_iter().ok().filter(|_| !is_text) else {
        let type_ = object.get_type().name()?;
        return Err(wrong_type(format!(
            "{name} is a {type_}: it must have __arrow_c_array__ or __arrow_c_stream__, or be an iterable of such"
        )));
    };
    for batch in batches {
        each_batch(&batch?, name, take)?;
    }
    Ok(())
}

fn is_arrows(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    Ok(object.hasattr(intern!(py, "__arrow_c_array__"))?
        || object.hasattr(intern!(py, "__arrow_c_stream__"))?)
}

/// The row that an error names, counted from the first of all.
fn in_all(error: Error, first: usize) -> Error {
    match error {
        Error::Row { row, reason } => Error::Row { row: first + row, reason },
        Error::Label { row, label, classes } => Error::Label { row: first + row, label, classes },
        Error::Weight { row, got } => Error::Weight { row: first + row, got },
        other => other,
    }
}

/// Names of columns, and what is to be summed up.
struct Asked<'a> {
    logits: &'a str,
    label: &'a str,
    weight: Option<&'a str>,
    ignored: Option<i64>,
    question: Option<Question>,
}

impl Asked<'_> {
    fn empty(&self, classes: usize) -> PyResult<Scan> {
        match &self.question {
            None => Ok(Scan::over_octaves(classes, OCTAVES[0], OCTAVES[1])),
            Some(question) => question
                .solver(classes)?
                .next_scan()
                .ok_or_else(|| wrong("this question has been answered already")),
        }
    }

    /// Adds a batch to the sums; `first` is how many rows there were before.
    fn add(
        &self,
        py: Python<'_>,
        batch: &RecordBatch,
        scan: &mut Option<Scan>,
        first: usize,
    ) -> PyResult<()> {
        let labels = labels(batch, self.label, first)?;
        let weights = self.weight.map(|name| weights(batch, name, first)).transpose()?;
        let classes = scan.as_ref().map(Scan::classes);
        let Some(lists) = Lists::of(batch, self.logits, first, classes)? else { return Ok(()) };
        if scan.is_none() {
            *scan = Some(self.empty(lists.classes)?);
        }
        let Some(scan) = scan else { return Ok(()) };
        let job = Block { scan, lists: &lists, labels: &labels, weights: weights.as_deref() };
        if let Some(logits) = lists.numbers::<f32>() {
            job.add(py, self.ignored, first, logits)
        } else if let Some(logits) = lists.numbers::<f64>() {
            job.add(py, self.ignored, first, logits)
        } else if let Some(logits) = lists.numbers::<half::f16>() {
            job.add(py, self.ignored, first, logits)
        } else {
            Err(lists.type_is_wrong(self.logits))
        }
    }
}

/// Rows of one batch, and the sums that they go to.
struct Block<'a> {
    scan: &'a mut Scan,
    lists: &'a Lists,
    labels: &'a [i64],
    weights: Option<&'a [f64]>,
}

impl Block<'_> {
    fn add<T: Value>(
        self,
        py: Python<'_>,
        ignored: Option<i64>,
        first: usize,
        logits: &[T],
    ) -> PyResult<()> {
        let Block { scan, lists: Lists { classes, .. }, labels, weights } = self;
        work::run(py, logits.len(), || {
            let labels = match ignored {
                None => Labels::new(labels, *classes),
                Some(ignored) => Labels::with_ignored(labels, *classes, ignored),
            };
            labels
                .and_then(|labels| scan.add(Rows::new(logits, *classes)?, labels, weights))
                .map_err(|error| in_all(error, first))
        })
    }
}

/// One row with the scan; none, where no rows were seen.
fn partial(scan: Option<Scan>) -> PyResult<PyRecordBatch> {
    let summary = scan.map(|scan| Summary { schema: SCAN.to_owned(), scan, tally: None });
    let text = summary.as_ref().map(serde_json::to_string).transpose();
    let text = text.map_err(|error| wrong(error.to_string()))?;
    let schema = Arc::new(Schema::new(vec![Field::new("scan", DataType::Utf8, false)]));
    let column = StringArray::from_iter_values(text);
    let batch = RecordBatch::try_new(schema, vec![Arc::new(column)]);
    Ok(PyRecordBatch::new(batch.map_err(|error| wrong(error.to_string()))?))
}

/// The scans of all partials as one.
fn merged(partials: &Bound<'_, PyAny>) -> PyResult<Option<Scan>> {
    let mut all: Option<Scan> = None;
    let mut seen = 0;
    each_batch(partials, "partials", &mut |batch| {
        let texts = column(&batch, "scan")?;
        let text = |row: usize| {
            texts
                .as_string_opt::<i32>()
                .map(|texts| texts.value(row))
                .or_else(|| texts.as_string_opt::<i64>().map(|texts| texts.value(row)))
                .or_else(|| texts.as_string_view_opt().map(|texts| texts.value(row)))
        };
        for row in 0..texts.len() {
            let place = seen + row;
            if texts.is_null(row) {
                return Err(wrong(format!("partial {place} is null")));
            }
            let text = text(row).ok_or_else(|| {
                wrong_type(format!("column scan is of type {}: it must be text", texts.data_type()))
            })?;
            let summary: Summary<Scan> = serde_json::from_str(text)
                .map_err(|error| wrong(format!("partial {place} is not a scan: {error}")))?;
            if summary.schema != SCAN {
                let schema = summary.schema;
                return Err(wrong(format!("partial {place}: its schema is {schema}, not {SCAN}")));
            }
            match &mut all {
                None => all = Some(summary.scan),
                Some(all) => all
                    .merge(&summary.scan)
                    .map_err(|error| wrong(format!("partial {place}: {error}")))?,
            }
        }
        seen += texts.len();
        Ok(())
    })?;
    Ok(all)
}

/// The answer as Python sees it.
fn answer(fit: TemperatureFit, ignored: u64) -> PyTemperatureFit {
    let rows = fit.rows + ignored;
    PyTemperatureFit::new(fit, rows as usize)
}

/// Sums over rows of logits with labels, Σ w·loss and its derivatives at temperatures: what is needed of them to choose one.
///
/// Partials of other rows are merged in any order and without a rounding: no split of the rows shows in a fit.
///
/// Parameters
/// ----------
/// batches
///     A record batch, a table or a stream of any library that has the Arrow PyCapsule interface, or an iterable of them.
/// logits, label : str
///     The columns: fixed-size, variable or large lists of float16, float32 or float64, all of one length; and integers from 0.
/// weight : str, optional
///     A column of floats, from 0 up: how much a row counts.
/// ignored : int, optional
///     The label of rows that are left out.
/// question : str, optional
///     What `fit_temperature` asks. Without it, the sums are at 33 temperatures from 1/256 to 256, for `fit`.
///
/// Returns
/// -------
/// RecordBatch
///     One row with the text column ``scan``, of some 1 to 90 KB however many rows there were; no row, where there were none. It
///     has ``__arrow_c_array__``: ``pyarrow.record_batch(partial)``, ``polars.DataFrame(partial)``.
///
/// Raises
/// ------
/// SoftargmaxError
///     For a null, a NaN or +∞, a row of nothing but −∞ or of another length, a label that is no class, a negative weight, each
///     with its row, counted over all batches; for a column that does not exist, with those that do.
/// TypeError
///     For a column of another type.
///
/// Examples
/// --------
/// >>> import pyarrow, softargmax.arrow as sa
/// >>> batch = pyarrow.record_batch({"logits": [[4.0, 0.0]] * 4, "label": [0, 0, 1, 0]})
/// >>> sa.fit([sa.partial_stats(batch[:1]), sa.partial_stats(batch[1:])]).tau
/// 3.6409...
#[pyfunction]
#[pyo3(signature = (batches, *, logits="logits", label="label", weight=None, ignored=None, question=None))]
pub(crate) fn partial_stats(
    batches: &Bound<'_, PyAny>,
    logits: &str,
    label: &str,
    weight: Option<&str>,
    ignored: Option<i64>,
    question: Option<&str>,
) -> PyResult<PyRecordBatch> {
    let question = question.map(Question::read).transpose()?;
    let asked = Asked { logits, label, weight, ignored, question };
    let (mut scan, mut first) = (None, 0);
    each_batch(batches, "batches", &mut |batch| {
        asked.add(batches.py(), &batch, &mut scan, first)?;
        first += batch.num_rows();
        Ok(())
    })?;
    partial(scan)
}

/// Partials as one: the sum of their sums.
///
/// Parameters
/// ----------
/// partials
///     What `partial_stats` gives, as rows of a table, a stream, or an iterable of them: the column ``scan``.
///
/// Returns
/// -------
/// RecordBatch
///     As that of `partial_stats`.
///
/// Raises
/// ------
/// SoftargmaxError
///     For partials of rows of another length, or of other temperatures.
#[pyfunction]
pub(crate) fn merge(partials: &Bound<'_, PyAny>) -> PyResult<PyRecordBatch> {
    partial(merged(partials)?)
}

/// The temperature under which labels are most likely, τ* = argmin Σ w (ln Σ_j exp(x_j/τ) − x_y/τ), from one pass over the rows.
///
/// Parameters
/// ----------
/// partials
///     As in `merge`, made without a question. The files of the program's ``scan``, as texts in a column ``scan``, do as well.
///
/// Returns
/// -------
/// TemperatureFit
///     Its ``tolerance`` says how near: some seven digits, far within the standard error. `fit_temperature` has all digits.
///     The same bits as ``softargmax merge``, however the rows were split.
///
/// Raises
/// ------
/// SoftargmaxError
///     For partials that do not belong together, that are of a question, or that are none.
#[pyfunction]
pub(crate) fn fit(partials: &Bound<'_, PyAny>) -> PyResult<PyTemperatureFit> {
    let scan = merged(partials)?.unwrap_or_else(|| Scan::over_octaves(0, OCTAVES[0], OCTAVES[1]));
    Ok(answer(TemperatureFit::from_scan(&scan, None), scan.ignored()))
}

/// The next question after the answers of all rows to this one; the fit, where there is none.
#[pyfunction]
pub(crate) fn take_answers<'py>(
    question: &str,
    partials: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = partials.py();
    let mut question = Question::read(question)?;
    let Some(scan) = merged(partials)? else {
        return match question.scans.is_empty() {
            true => Ok(Bound::new(py, fit(partials)?)?.into_any()),
            false => Err(wrong("there were rows before, and now there are none")),
        };
    };
    let (classes, ignored) = (scan.classes(), scan.ignored());
    question.scans.push(scan);
    let solver = question.solver(classes)?;
    if solver.next_scan().is_none() {
        return Ok(Bound::new(py, answer(solver.fit(), ignored))?.into_any());
    }
    let text = serde_json::to_string(&question).map_err(|error| wrong(error.to_string()))?;
    Ok(PyString::new(py, &text).into_any())
}

fn applied<T: Value>(
    py: Python<'_>,
    lists: &Lists,
    logits: &[T],
    (tau, log): (softargmax::Temperature, bool),
    first: usize,
) -> PyResult<arrow_array::ArrayRef> {
    let mut out = vec![T::from_f64(0.0); logits.len()];
    work::run(py, logits.len(), || {
        let rows = Rows::new(logits, lists.classes)?;
        match log {
            false => softargmax::softmax_into(rows, tau, &mut out),
            true => softargmax::log_softmax_into(rows, tau, &mut out),
        }
    })?;
    // A row without a distribution is NaN throughout.
    let nothing = out.chunks_exact(lists.classes).position(|row| row[0].into_f64().is_nan());
    if let Some(row) = nothing {
        let reason = "it holds a NaN, or nothing above -inf";
        return Err(refused(Error::Row { row: first + row, reason }));
    }
    lists.alike(out)
}

/// A batch with one column more, softmax(x/τ) of its logits.
///
/// Parameters
/// ----------
/// batch
///     A record batch, or a table or stream, of any library that has the Arrow PyCapsule interface.
/// temperature : float, str, Fraction, Decimal or Temperature
///     τ, as in `softargmax.softmax`; that of a fit is ``fit.temperature``.
/// logits, output : str
///     The column of logits, lists as in `partial_stats`, and the name of the new one, which is of the same type.
/// log : bool
///     Whether it is log softmax(x/τ).
///
/// Returns
/// -------
/// RecordBatch or Table
///     A record batch for a batch, a table for all else; it has ``__arrow_c_array__`` or ``__arrow_c_stream__``.
///
/// Raises
/// ------
/// SoftargmaxError, TypeError
///     As `partial_stats`; for a row that holds a NaN or nothing above −∞; where there is such a column already.
///
/// Examples
/// --------
/// >>> import pyarrow, softargmax.arrow as sa
/// >>> batch = pyarrow.record_batch({"logits": pyarrow.array([[0.0, 2.0]])})
/// >>> pyarrow.record_batch(sa.apply(batch, "inf"))["probabilities"].to_pylist()
/// [[0.5, 0.5]]
#[pyfunction]
#[pyo3(signature = (batch, temperature, *, logits="logits", output="probabilities", log=false))]
pub(crate) fn apply<'py>(
    batch: &Bound<'py, PyAny>,
    temperature: Tau,
    logits: &str,
    output: &str,
    log: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = batch.py();
    let how = (temperature.0, log);
    let (mut all, mut first) = (Vec::new(), 0);
    if !is_arrows(batch)? {
        let type_ = batch.get_type().name()?;
        return Err(wrong_type(format!(
            "batch is a {type_}: it must have __arrow_c_array__ or __arrow_c_stream__"
        )));
    }
    let given: AnyRecordBatch = batch.extract()?;
    let is_one = matches!(given, AnyRecordBatch::RecordBatch(_));
    let reader = given.into_reader()?;
    let before = reader.schema();
    if before.column_with_name(output).is_some() {
        return Err(wrong(format!("there is a column {output} already: name another, output=")));
    }
    let like = before.field_with_name(logits).map(|field| field.data_type().clone());
    let field = Field::new(output, like.unwrap_or(DataType::Null), false);
    let mut fields: Vec<_> = before.fields().iter().cloned().collect();
    fields.push(Arc::new(field));
    let schema = Arc::new(Schema::new_with_metadata(fields, before.metadata().clone()));
    for batch in reader {
        let batch = batch.map_err(|error| wrong(format!("batch: {error}")))?;
        let column = match Lists::of(&batch, logits, first, None)? {
            None => arrow_array::new_empty_array(column(&batch, logits)?.data_type()),
            Some(lists) => {
                if let Some(x) = lists.numbers::<f32>() {
                    applied(py, &lists, x, how, first)?
                } else if let Some(x) = lists.numbers::<f64>() {
                    applied(py, &lists, x, how, first)?
                } else if let Some(x) = lists.numbers::<half::f16>() {
                    applied(py, &lists, x, how, first)?
                } else {
                    return Err(lists.type_is_wrong(logits));
                }
            }
        };
        first += batch.num_rows();
        let columns = batch.columns().iter().cloned().chain([column]).collect();
        let made = RecordBatch::try_new(schema.clone(), columns);
        all.push(made.map_err(|error| wrong(error.to_string()))?);
        py.check_signals()?;
    }
    match (is_one, all.pop()) {
        (true, Some(one)) => Ok(PyRecordBatch::new(one).into_pyobject(py)?.into_any()),
        (_, last) => {
            all.extend(last);
            Ok(PyTable::try_new(all, schema)?.into_pyobject(py)?.into_any())
        }
    }
}
