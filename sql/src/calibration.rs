//! `calibration`: how good the probabilities of many rows are, in one pass.

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};
use softargmax::{Resampling, Tally, Temperature, scores};

use crate::functions::check;
use crate::logits::{Number, list_type, with_number};
use crate::refused::Refused;
use crate::tau;
use crate::temperature_fit::{number, refuse_distinct, state_field, structure};
use crate::waiting::{Columns, Handed, Waiting};

const NAME: &str = "calibration";

/// `calibration(logits, label [, tau [, weight]])`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Calibration {
    signature: Signature,
}

impl Calibration {
    pub(crate) fn new() -> Self {
        Calibration { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Calibration {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        check(NAME, (&["logits", "label", "tau", "weight"], 2), types)?;
        Ok(DataType::Struct(answer_fields()))
    }

    fn accumulator(&self, call: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(NAME, &call)?;
        // Known before any row is read, as a rule.
        let literal = call.exprs.get(2).and_then(|tau| tau.downcast_ref::<Literal>());
        literal.map(|tau| tau::of_all(NAME, tau.value())).transpose()?;
        let list = list_type(NAME, call.expr_fields[0].data_type())?;
        Ok(with_number!(&list, T => {
            Box::new(Sums { waiting: Waiting::<T>::new(NAME), tallied: None, temperature: None })
        }))
    }

    fn state_fields(&self, call: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(state_field(call.name))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The document between the stages, as in the summaries of `softargmax scan`.
#[derive(Debug, Deserialize, Serialize)]
struct Tallied {
    temperature: Temperature,
    tally: Box<Tally>,
}

/// The sums of one group.
#[derive(Debug)]
struct Sums<T> {
    waiting: Waiting<T>,
    /// That of every row so far.
    temperature: Option<Temperature>,
    /// Made with the first rows: 770 kilobytes.
    tallied: Option<Tallied>,
}

fn take_in<T: Number>(
    tallied: &mut Option<Tallied>,
    temperature: Temperature,
    (logits, labels, weights): Handed<'_, T>,
) -> Result<()> {
    let scores = scores(logits, labels, weights, temperature)
        .map_err(|error| DataFusionError::External(error.into()))?;
    let new = || Tallied { temperature, tally: Box::default() };
    tallied.get_or_insert_with(new).tally.add(&scores);
    Ok(())
}

fn two(first: Temperature, second: Temperature) -> DataFusionError {
    let reason = format!("tau changes from {first} to {second} within a group");
    Refused::argument(NAME, reason, "group by tau, or give one number").into()
}

impl<T: Number> Sums<T> {
    fn all(&mut self) -> Result<Option<&Tallied>> {
        let temperature = self.temperature.unwrap_or(Temperature::ONE);
        let tallied = &mut self.tallied;
        self.waiting.pass(|rows| take_in(tallied, temperature, rows))?;
        Ok(self.tallied.as_ref())
    }
}

impl<T: Number> Accumulator for Sums<T> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let taus = match columns.get(2) {
            Some(taus) => tau::given(NAME, taus)?,
            None => vec![Temperature::ONE],
        };
        for tau in taus {
            let ours = *self.temperature.get_or_insert(tau);
            if ours != tau {
                return Err(two(ours, tau));
            }
        }
        let temperature = self.temperature.unwrap_or(Temperature::ONE);
        let tallied = &mut self.tallied;
        let weights = columns.get(3);
        let columns = Columns { logits: &columns[0], labels: &columns[1], weights };
        self.waiting.add(columns, |rows| take_in(tallied, temperature, rows))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let text = self.all()?.map(serde_json::to_vec).transpose();
        let text = text.map_err(|error| DataFusionError::External(error.into()))?;
        Ok(vec![ScalarValue::Binary(text)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for text in states[0].as_binary::<i32>().iter().flatten() {
            let theirs: Tallied = serde_json::from_slice(text)
                .map_err(|error| DataFusionError::External(error.into()))?;
            match &mut self.tallied {
                None => self.tallied = Some(theirs),
                Some(ours) if ours.temperature == theirs.temperature => {
                    ours.tally.merge(&theirs.tally);
                }
                Some(ours) => return Err(two(ours.temperature, theirs.temperature)),
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        answer(self.all()?)
    }

    fn size(&self) -> usize {
        // 271 bins of five sums of 71 words.
        let of_tally = self.tallied.as_ref().map_or(0, |_| 271 * 5 * 71 * size_of::<u64>());
        size_of_val(self) + self.waiting.size() + of_tally
    }
}

fn answer_fields() -> Fields {
    let number = |name| Field::new(name, DataType::Float64, true);
    let mut fields = vec![number("temperature"), Field::new("rows", DataType::UInt64, true)];
    fields.extend(NUMBERS.map(number));
    Fields::from(fields)
}

const NUMBERS: [&str; 11] = [
    "nll",
    "nll_std_error",
    "brier",
    "brier_std_error",
    "accuracy",
    "accuracy_std_error",
    "confidence",
    "overconfidence",
    "ece",
    "ece_null_mean",
    "ece_p_value",
];

/// The struct, named as the tally in the JSON of `softargmax merge`.
fn answer(tallied: Option<&Tallied>) -> Result<ScalarValue> {
    let Some(Tallied { temperature, tally }) = tallied else {
        let mut nothing = vec![number(None), ScalarValue::from(0u64)];
        nothing.extend(NUMBERS.map(|_| number(None)));
        return structure(answer_fields(), &nothing);
    };
    let summary = tally.summary();
    let error = tally.calibration_error(&Resampling::default());
    let mut values = vec![number(Some(temperature.tau())), ScalarValue::from(summary.rows)];
    values.extend(
        [
            summary.nll.value,
            summary.nll.std_error,
            summary.brier.value,
            summary.brier.std_error,
            summary.accuracy.value,
            summary.accuracy.std_error,
            summary.confidence.value,
            summary.overconfidence.value,
            error.ece,
            error.null.mean,
            error.null.p_value,
        ]
        .map(|value| number(Some(value))),
    );
    structure(answer_fields(), &values)
}
