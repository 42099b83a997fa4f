//! Functions of one row of logits.
//!
//! ```text
//! a NULL among the arguments: NULL;  a row that has no distribution: refused, with the row
//! rows of one length, one after the other: one call of the library
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float64Array, GenericListArray,
    Int64Array, OffsetSizeTrait, PrimitiveArray, UInt64Array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, FieldRef, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use softargmax::{
    Context, Labels, Rows, RowsMut, Sampler, SamplingParams, Temperature, Temperatures,
    log_softmax_in_place, log_sum_exp_rows, scores, softmax_in_place, statistics,
};

use crate::label;
use crate::logits::{Lists, Number, list_type, number_type, with_number};
use crate::refused::{LEAVE_OUT, Refused, shown, wrong};
use crate::tau;
use crate::weight;

/// A function of a row.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowFunction {
    kind: Kind,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Softmax,
    LogSoftmax,
    LogSumExp,
    Entropy,
    Nll,
    Sample,
    IsValid,
}

/// One of each.
pub(crate) fn all() -> impl Iterator<Item = RowFunction> {
    use Kind::{Entropy, IsValid, LogSoftmax, LogSumExp, Nll, Sample, Softmax};
    let kinds = [Softmax, LogSoftmax, LogSumExp, Entropy, Nll, Sample, IsValid];
    // Arguments are checked by `return_type`, which can say what is wrong with them.
    let signature = || Signature::variadic_any(Volatility::Immutable);
    kinds.into_iter().map(move |kind| RowFunction { kind, signature: signature() })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Softmax => "softmax",
            Kind::LogSoftmax => "log_softmax",
            Kind::LogSumExp => "log_sum_exp",
            Kind::Entropy => "entropy",
            Kind::Nll => "nll",
            Kind::Sample => "sample",
            Kind::IsValid => "is_valid",
        }
    }

    /// What it is called with, and how many of these must be there.
    fn arguments(self) -> (&'static [&'static str], usize) {
        match self {
            Kind::Nll => (&["logits", "label", "tau"], 2),
            Kind::Sample => (&["logits", "tau", "seed", "position", "stream"], 4),
            Kind::IsValid => (&["logits", "label"], 1),
            _ => (&["logits", "tau"], 1),
        }
    }

    fn place(self, argument: &str) -> Option<usize> {
        self.arguments().0.iter().position(|&name| name == argument)
    }
}

/// The arguments of a call, checked by type.
pub(crate) fn check(
    function: &'static str,
    (names, least): (&[&str], usize),
    types: &[DataType],
) -> Result<(), Refused> {
    if types.len() < least || types.len() > names.len() {
        let (must, may) = names.split_at(least);
        let may = may.iter().map(|name| format!(" [, {name}]")).collect::<String>();
        let call = format!("{function}({}{may})", must.join(", "));
        let reason = format!("{} arguments were given", types.len());
        return Err(Refused::argument(function, reason, format_args!("call it as {call}")));
    }
    for (name, got) in names.iter().zip(types) {
        match *name {
            "logits" => list_type(function, got).map(|_| ())?,
            "label" => label::check(function, got)?,
            "tau" => tau::check(function, got)?,
            "weight" => weight::check(function, got)?,
            // The difference of a u64 and a number is such a decimal.
            _ if got.is_integer() || got.is_null() || matches!(got, DataType::Decimal128(_, 0)) => {
            }
            _ => {
                let reason =
                    format!("{name} is of the type {got}: it must be an integer from 0 up");
                return Err(Refused::argument(function, reason, "cast it to bigint"));
            }
        }
    }
    Ok(())
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        check(self.kind.name(), self.kind.arguments(), types)?;
        let list = list_type(self.kind.name(), &types[0])?;
        Ok(match self.kind {
            Kind::Softmax | Kind::LogSoftmax => list,
            Kind::LogSumExp => number_type(&list).cloned().unwrap_or(DataType::Float64),
            Kind::Entropy | Kind::Nll => DataType::Float64,
            Kind::Sample => DataType::Int64,
            Kind::IsValid => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let function = self.kind.name();
        let columns = ColumnarValue::values_to_arrays(&call.args)?;
        let types: Vec<DataType> =
            columns.iter().map(|column| column.data_type().clone()).collect();
        let returned = self.return_type(&types)?;
        let list = list_type(function, &types[0])?;
        let answer = with_number!(&list, T => {
            self.of_rows::<T>(Lists::new(function, &columns[0])?, &columns, &call.args, &list)?
        });
        debug_assert_eq!(answer.data_type(), &returned);
        Ok(ColumnarValue::Array(answer))
    }
}

impl RowFunction {
    fn of_rows<T: Number>(
        &self,
        logits: Lists<T>,
        columns: &[ArrayRef],
        given: &[ColumnarValue],
        list: &DataType,
    ) -> Result<ArrayRef> {
        let kind = self.kind;
        let column = |name: &str| kind.place(name).and_then(|at| columns.get(at));
        let labels =
            column("label").map(|column| label::labels(kind.name(), column)).transpose()?;
        if kind == Kind::IsValid {
            let rows = 0..logits.rows.len();
            let valid = rows.map(|row| Some(is_valid(&logits, labels.as_ref(), row)));
            return Ok(Arc::new(valid.collect::<BooleanArray>()));
        }
        let taus = match kind.place("tau").and_then(|at| given.get(at).zip(columns.get(at))) {
            None => Taus::One(Temperature::ONE),
            // Where it is NULL, no row is wanted.
            Some((ColumnarValue::Scalar(tau), _)) => {
                Taus::One(tau::of_all(kind.name(), tau)?.unwrap_or(Temperature::ONE))
            }
            Some((_, column)) => {
                let taus = tau::temperatures(kind.name(), column)?.into_iter();
                Taus::PerRow(taus.map(|tau| tau.unwrap_or(Temperature::ONE)).collect())
            }
        };
        let wanted = |row: usize| columns.iter().all(|column| column.is_valid(row));
        let may_be_infinite = kind != Kind::Nll;
        for row in (0..logits.rows.len()).filter(|&row| wanted(row)) {
            let numbers = logits.row(row).unwrap_or_default();
            let refused = |reason: String| {
                let reason = format!(
                    "{reason} in the row of logits {}",
                    shown(numbers, logits.null_in(row))
                );
                Refused::row(kind.name(), reason, LEAVE_OUT)
            };
            if numbers.is_empty() {
                return Err(refused("there are no classes".to_owned()).into());
            }
            if let Some(class) = logits.null_in(row) {
                return Err(refused(format!("logit {class} is NULL")).into());
            }
            // All of it masked: the logarithm of an empty sum is −∞, but nothing else exists.
            let is_refused = |reason: &String| kind != Kind::LogSumExp || reason.ends_with("NaN");
            if let Some(reason) = wrong(numbers, may_be_infinite).filter(is_refused) {
                return Err(refused(reason).into());
            }
            let label = labels.as_ref().map(|labels| labels.value(row));
            if let Some(reason) = label.and_then(|label| label::wrong(label, numbers.len())) {
                return Err(refused(reason).into());
            }
        }
        let runs = Runs { logits: &logits, taus: &taus, wanted: &wanted };
        match kind {
            Kind::Softmax => runs.lists(list, |rows, taus| softmax_in_place(rows, taus)),
            Kind::LogSoftmax => runs.lists(list, |rows, taus| log_softmax_in_place(rows, taus)),
            Kind::LogSumExp => {
                let sums = runs.numbers(|_, rows, taus| log_sum_exp_rows(rows, taus))?;
                Ok(Arc::new(sums.into_iter().collect::<PrimitiveArray<T::Arrow>>()))
            }
            Kind::Entropy => {
                let entropies = runs.numbers(|_, rows, taus| {
                    Ok(statistics(rows, taus)?.iter().map(|of_row| of_row.entropy).collect())
                })?;
                Ok(Arc::new(entropies.into_iter().collect::<Float64Array>()))
            }
            Kind::Nll => {
                let labels = labels.unwrap_or_else(|| Int64Array::new_null(logits.rows.len()));
                let losses = runs.numbers(|first, rows, taus| {
                    let labels = &labels.values()[first..first + rows.rows()];
                    let labels = Labels::new(labels, rows.classes())?;
                    Ok(scores(rows, labels, None, taus)?.iter().map(|score| score.nll).collect())
                })?;
                Ok(Arc::new(losses.into_iter().collect::<Float64Array>()))
            }
            Kind::Sample => sample(&logits, &taus, &columns[2..], &wanted),
            Kind::IsValid => {
                Err(DataFusionError::Internal("is_valid has no temperature".to_owned()))
            }
        }
    }
}

enum Taus {
    One(Temperature),
    PerRow(Vec<Temperature>),
}

impl Taus {
    fn of_rows(&self, first: usize, count: usize) -> Temperatures<'_> {
        match self {
            Taus::One(tau) => Temperatures::One(*tau),
            Taus::PerRow(taus) => Temperatures::PerRow(&taus[first..first + count]),
        }
    }

    fn of_row(&self, row: usize) -> Temperature {
        match self {
            Taus::One(tau) => *tau,
            Taus::PerRow(taus) => taus[row],
        }
    }
}

/// A column in stretches that the library takes in one call.
struct Runs<'a, T: Number> {
    logits: &'a Lists<T>,
    taus: &'a Taus,
    wanted: &'a dyn Fn(usize) -> bool,
}

type OfRun<'a, T> = (usize, usize, usize, &'a [T]);

impl<T: Number> Runs<'_, T> {
    /// First row, how many, classes, numbers; for a NULL no rows.
    fn each(&self, mut visit: impl FnMut(OfRun<'_, T>) -> Result<()>) -> Result<()> {
        let mut first = 0;
        while first < self.logits.rows.len() {
            let (count, classes) = self.logits.run(first, self.wanted);
            let start = self.logits.rows[first].as_ref().map_or(0, |range| range.start);
            visit((first, count, classes, &self.logits.values[start..][..count * classes]))?;
            first += count.max(1);
        }
        Ok(())
    }

    /// A number for each row.
    fn numbers<N>(
        &self,
        of: impl Fn(usize, Rows<'_, T>, Temperatures<'_>) -> Result<Vec<N>, softargmax::Error>,
    ) -> Result<Vec<Option<N>>> {
        let mut out = Vec::with_capacity(self.logits.rows.len());
        self.each(|(first, count, classes, numbers)| {
            if count == 0 {
                out.push(None);
                return Ok(());
            }
            let rows = Rows::new(numbers, classes).map_err(external)?;
            let of_rows = of(first, rows, self.taus.of_rows(first, count)).map_err(external)?;
            out.extend(of_rows.into_iter().map(Some));
            Ok(())
        })?;
        Ok(out)
    }

    /// A list for each row, of the type of the logits.
    fn lists(
        &self,
        list: &DataType,
        of: impl Fn(RowsMut<'_, T>, Temperatures<'_>) -> Result<(), softargmax::Error>,
    ) -> Result<ArrayRef> {
        let of_null = if let DataType::FixedSizeList(_, size) = list { *size as usize } else { 0 };
        let mut out: Vec<T> = Vec::with_capacity(self.logits.values.len());
        let mut lengths = Vec::with_capacity(self.logits.rows.len());
        let mut valid = Vec::with_capacity(self.logits.rows.len());
        self.each(|(first, count, classes, numbers)| {
            let start = out.len();
            if count == 0 {
                out.resize(start + of_null, T::default());
                lengths.push(0);
                valid.push(false);
                return Ok(());
            }
            out.extend_from_slice(numbers);
            let rows = RowsMut::new(&mut out[start..], classes).map_err(external)?;
            of(rows, self.taus.of_rows(first, count)).map_err(external)?;
            lengths.resize(lengths.len() + count, classes);
            valid.resize(valid.len() + count, true);
            Ok(())
        })?;
        let values: ArrayRef = Arc::new(PrimitiveArray::<T::Arrow>::from_iter_values(out));
        let nulls = Some(NullBuffer::from(valid));
        Ok(match list {
            DataType::FixedSizeList(field, size) => {
                Arc::new(FixedSizeListArray::try_new(Arc::clone(field), *size, values, nulls)?)
            }
            DataType::LargeList(field) => list_array::<i64>(field, lengths, values, nulls)?,
            DataType::List(field) => list_array::<i32>(field, lengths, values, nulls)?,
            _ => return Err(DataFusionError::Internal(format!("{list} is no list"))),
        })
    }
}

fn list_array<O: OffsetSizeTrait>(
    field: &FieldRef,
    lengths: Vec<usize>,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(GenericListArray::<O>::try_new(Arc::clone(field), offsets, values, nulls)?))
}

/// Drawn from the logits as f64, as the program does, so that both draw the same.
fn sample<T: Number>(
    logits: &Lists<T>,
    taus: &Taus,
    places: &[ArrayRef],
    wanted: &dyn Fn(usize) -> bool,
) -> Result<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |column: &ArrayRef| -> Result<UInt64Array> {
        let column = cast_with_options(column, &DataType::UInt64, &strict)?;
        Ok(column.as_primitive::<UInt64Type>().clone())
    };
    let places: Vec<UInt64Array> = places.iter().map(cast).collect::<Result<_>>()?;
    let mut sampler: Option<Sampler<f64>> = None;
    let mut numbers: Vec<f64> = Vec::new();
    let mut tokens = Vec::with_capacity(logits.rows.len());
    for row in 0..logits.rows.len() {
        if !wanted(row) {
            tokens.push(None);
            continue;
        }
        let (temperature, seed) = (taus.of_row(row), places[0].value(row));
        let stream = places.get(2).map_or(0, |streams| streams.value(row));
        let is_ours = |sampler: &Sampler<f64>| {
            let params = sampler.params();
            params.seed == seed && params.temperature == temperature
        };
        let sampler = match &mut sampler {
            Some(same) if is_ours(same) => same,
            other => {
                let params = SamplingParams { temperature, seed, ..SamplingParams::default() };
                other.insert(Sampler::new(params).map_err(external)?)
            }
        };
        numbers.clear();
        numbers.extend(logits.row(row).unwrap_or_default().iter().map(|x| x.real()));
        let context = Context { stream, position: places[1].value(row), ..Context::default() };
        let token = sampler.token(&numbers, &context).map_err(|error| {
            let reason = format!("{error} for the row of logits {}", shown(&numbers, None));
            Refused::row("sample", reason, "position is below 2^56")
        })?;
        tokens.push(Some(i64::from(token)));
    }
    Ok(Arc::new(Int64Array::from(tokens)))
}

/// Whether every function takes this row.
fn is_valid<T: Number>(logits: &Lists<T>, labels: Option<&Int64Array>, row: usize) -> bool {
    let numbers = logits.row(row).unwrap_or_default();
    let is_label = |labels: &Int64Array| {
        label::of_row(labels, row).is_some_and(|label| label::wrong(label, numbers.len()).is_none())
    };
    !numbers.is_empty()
        && logits.null_in(row).is_none()
        && wrong(numbers, false).is_none()
        && labels.is_none_or(is_label)
}

/// An error of the library that checks before it should have made impossible.
fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataFusionError {
    DataFusionError::External(error.into())
}
