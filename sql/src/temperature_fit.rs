//! `temperature_fit` and `temperature_scan`: the temperature of many rows, or the sums it comes from, in one pass; and
//! `temperature_fit_near`: the same to the last digits, of a temperature near it.
//!
//! ```text
//! in every partition, for every group:   rows → Scan at 2^(k/2), k = −16 … 16     exact sums; near τ: as the last of a search
//! between the stages:                     Scan as text, as softargmax scan writes it
//! at the end:                             merge → τ                               as softargmax merge reads it off
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};
use softargmax::{Estimate, Outcome, Scan, Temperature, TemperatureSolver};

use crate::functions::check;
use crate::logits::{Number, list_type, with_number};
use crate::refused::Refused;
use crate::tau;
use crate::waiting::{Columns, Handed, Waiting};

/// What `softargmax scan` and `merge` write and read.
const SCHEMA: &str = "softargmax.scan/1";

/// What has a temperature among its arguments that may be NULL.
pub(crate) const NEAR: &str = "temperature_fit_near";

/// From 2^-8 to 2^8, as `softargmax scan`.
const OCTAVES: [i32; 2] = [-8, 8];

/// `temperature_fit(logits, label [, weight])`, `temperature_scan(…)` or `temperature_fit_near(logits, label, tau [, weight])`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct TemperatureFit {
    name: &'static str,
    answer: Answer,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Fit,
    Near,
    Scan,
}

impl Answer {
    /// The arguments' names, and how many there must be.
    fn arguments(self) -> (&'static [&'static str], usize) {
        match self {
            Answer::Near => (&["logits", "label", "tau", "weight"], 3),
            _ => (&["logits", "label", "weight"], 2),
        }
    }
}

impl TemperatureFit {
    pub(crate) fn fit() -> Self {
        Self::new("temperature_fit", Answer::Fit)
    }

    pub(crate) fn near() -> Self {
        Self::new(NEAR, Answer::Near)
    }

    pub(crate) fn scan() -> Self {
        Self::new("temperature_scan", Answer::Scan)
    }

    fn new(name: &'static str, answer: Answer) -> Self {
        TemperatureFit { name, answer, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for TemperatureFit {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        check(self.name, self.answer.arguments(), types)?;
        Ok(match self.answer {
            Answer::Fit | Answer::Near => DataType::Struct(answer_fields()),
            Answer::Scan => DataType::Utf8,
        })
    }

    fn accumulator(&self, call: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(self.name, &call)?;
        let list = list_type(self.name, call.expr_fields[0].data_type())?;
        Ok(with_number!(&list, T => {
            let waiting = Waiting::<T>::new(self.name);
            Box::new(Sums { answer: self.answer, waiting, near: None, scan: None })
        }))
    }

    fn state_fields(&self, call: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(state_field(call.name))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The one column that goes between stages.
pub(crate) fn state_field(name: &str) -> Vec<FieldRef> {
    vec![Arc::new(Field::new(format_state_name(name, "sums"), DataType::Binary, true))]
}

/// Rows counted once for each of their values would be another question.
pub(crate) fn refuse_distinct(function: &'static str, call: &AccumulatorArgs) -> Result<()> {
    if !call.is_distinct {
        return Ok(());
    }
    let hint = "take distinct rows in a subquery, if that is what is meant";
    Err(Refused::argument(function, "distinct has no meaning here", hint).into())
}

/// The document between the stages.
#[derive(Deserialize, Serialize)]
struct Summary<S> {
    schema: String,
    scan: S,
    /// Always null: what `calibration` is for.
    tally: Option<()>,
}

/// The sums of one group.
#[derive(Debug)]
struct Sums<T> {
    answer: Answer,
    waiting: Waiting<T>,
    /// The temperature of every row so far: NULL where none is known.
    near: Option<Option<Temperature>>,
    /// Made with the first rows: 90 kilobytes.
    scan: Option<Box<Scan>>,
}

impl<T: Number> Sums<T> {
    /// The sums, with all rows in them.
    fn all(&mut self) -> Result<Option<&Scan>> {
        let near = self.near.flatten();
        self.waiting.pass(|rows| take_in(&mut self.scan, near, rows))?;
        Ok(self.scan.as_deref())
    }

    /// Takes in the temperatures of some rows, which must all be the same.
    fn come_near(&mut self, taus: &ArrayRef) -> Result<()> {
        for tau in tau::temperatures(NEAR, taus)? {
            // Of the limits nothing is near.
            let tau = tau.filter(|tau| !tau.is_zero() && !tau.is_infinite());
            if *self.near.get_or_insert(tau) != tau {
                return Err(two_taus());
            }
        }
        Ok(())
    }

    fn text(&mut self) -> Result<Option<Vec<u8>>> {
        let write = |scan: &Scan| {
            let summary = Summary { schema: SCHEMA.to_owned(), scan, tally: None };
            serde_json::to_vec(&summary).map_err(|error| DataFusionError::External(error.into()))
        };
        self.all()?.map(write).transpose()
    }
}

fn two_taus() -> DataFusionError {
    Refused::argument(NEAR, "tau changes within a group", "group by tau, or give one number").into()
}

fn take_in<T: Number>(
    scan: &mut Option<Box<Scan>>,
    near: Option<Temperature>,
    (logits, labels, weights): Handed<'_, T>,
) -> Result<()> {
    let classes = logits.classes();
    let of_near = |tau| TemperatureSolver::new(classes, None).starting_near(tau).next_scan();
    let octaves = || Scan::over_octaves(classes, OCTAVES[0], OCTAVES[1]);
    let scan = scan.get_or_insert_with(|| Box::new(near.and_then(of_near).unwrap_or_else(octaves)));
    scan.add(logits, labels, weights).map_err(|error| DataFusionError::External(error.into()))
}

impl<T: Number> Accumulator for Sums<T> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        if self.answer == Answer::Near {
            self.come_near(&columns[2])?;
        }
        let (scan, near) = (&mut self.scan, self.near.flatten());
        let weights = columns.get(self.answer.arguments().1);
        let columns = Columns { logits: &columns[0], labels: &columns[1], weights };
        self.waiting.add(columns, |rows| take_in(scan, near, rows))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(self.text()?)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for text in states[0].as_binary::<i32>().iter().flatten() {
            let summary: Summary<Scan> = serde_json::from_slice(text)
                .map_err(|error| DataFusionError::External(error.into()))?;
            match &mut self.scan {
                None => self.scan = Some(Box::new(summary.scan)),
                Some(scan) => scan.merge(&summary.scan).map_err(|_| {
                    let (ours, theirs) = (scan.classes(), summary.scan.classes());
                    if ours == theirs {
                        return two_taus();
                    }
                    let reason = format!("rows of {ours} logits and rows of {theirs}");
                    let hint = "where array_length(logits) = … leaves rows out; rows of one width belong together";
                    Refused::row("temperature_fit", reason, hint).into()
                })?,
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.answer {
            Answer::Scan => {
                let text = self.text()?.map(String::from_utf8).transpose();
                let text = text.map_err(|error| DataFusionError::External(error.into()))?;
                Ok(ScalarValue::Utf8(text))
            }
            Answer::Fit | Answer::Near => answer(self.all()?),
        }
    }

    fn size(&self) -> usize {
        // Ten sums of 71 words at each temperature.
        let of_scan = |scan: &Scan| scan.temperatures().count() * 10 * 71 * size_of::<u64>();
        size_of_val(self) + self.waiting.size() + self.scan.as_deref().map_or(0, of_scan)
    }
}

fn answer_fields() -> Fields {
    let number = |name| Field::new(name, DataType::Float64, true);
    let count = |name| Field::new(name, DataType::UInt64, true);
    Fields::from(vec![
        Field::new("outcome", DataType::Utf8, true),
        number("temperature"),
        number("std_error"),
        number("robust_std_error"),
        Field::new("interval", DataType::new_list(DataType::Float64, true), true),
        number("p_value_tau_is_one"),
        number("tolerance"),
        number("nll_before"),
        number("nll_after"),
        number("accuracy"),
        count("rows"),
        count("classes"),
        count("infinite"),
    ])
}

/// The struct, named as in the JSON of `softargmax merge`. What does not exist is NULL.
fn answer(scan: Option<&Scan>) -> Result<ScalarValue> {
    let empty;
    let scan = match scan {
        Some(scan) => scan,
        None => {
            empty = Scan::over_octaves(0, OCTAVES[0], OCTAVES[1]);
            &empty
        }
    };
    let fit = fitted(scan);
    let of = |get: fn(&Estimate) -> f64| number(fit.estimate.as_ref().map(get));
    let interval = fit.estimate.as_ref().map(|found| found.interval.map(|end| number(Some(end))));
    let interval = match interval {
        Some(ends) => ScalarValue::List(ScalarValue::new_list_nullable(&ends, &DataType::Float64)),
        None => ScalarValue::new_null_list(DataType::Float64, true, 1),
    };
    let values = [
        ScalarValue::from(fit.outcome.name()),
        of(|found| found.temperature.tau()),
        of(|found| found.std_error),
        of(|found| found.robust_std_error),
        interval,
        of(|found| found.p_value),
        of(|found| found.tolerance),
        number(Some(fit.nll_before)),
        of(|found| found.nll),
        number(Some(fit.accuracy)),
        ScalarValue::from(fit.rows),
        ScalarValue::from((fit.classes > 0).then_some(fit.classes as u64)),
        ScalarValue::from(fit.infinite),
    ];
    structure(answer_fields(), &values)
}

/// What the sums say: those at 33 temperatures, or those near one.
fn fitted(scan: &Scan) -> softargmax::TemperatureFit {
    let mut fit = softargmax::TemperatureFit::from_scan(scan, None);
    let mut taus = scan.temperatures();
    // The second is τ = 1, for the loss there.
    if let (Some(near), _, None) = (taus.next(), taus.next(), taus.next()) {
        let mut search = TemperatureSolver::new(scan.classes(), None).starting_near(near);
        search.take(scan);
        if search.next_scan().is_none() {
            return search.fit();
        }
        // It would ask again, about another temperature.
        (fit.outcome, fit.estimate, fit.nll_before) = (Outcome::OutOfRange, None, f64::NAN);
    }
    fit
}

/// A number that does not exist is NULL.
pub(crate) fn number(value: Option<f64>) -> ScalarValue {
    ScalarValue::Float64(value.filter(|value| !value.is_nan()))
}

/// One struct of these values.
pub(crate) fn structure(fields: Fields, values: &[ScalarValue]) -> Result<ScalarValue> {
    let columns = values.iter().map(ScalarValue::to_array).collect::<Result<Vec<ArrayRef>>>()?;
    Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(fields, columns, None)?)))
}
