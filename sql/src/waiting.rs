//! Labelled rows of one group that wait until they are worth a pass: many groups have few rows in each batch.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use softargmax::{Labels, Rows};

use crate::label;
use crate::logits::{Lists, Number};
use crate::refused::{LEAVE_OUT, Refused, shown, wrong};
use crate::weight;

/// Numbers that are worth it: a pass at 33 temperatures takes a hundred times as long as to make its sums.
const ENOUGH: usize = 1 << 15;

/// The columns of an aggregate.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) logits: &'a ArrayRef,
    pub(crate) labels: &'a ArrayRef,
    /// Where all rows weigh the same, there is none.
    pub(crate) weights: Option<&'a ArrayRef>,
}

/// Rows that are handed over, with their labels and, where they have some, their weights.
pub(crate) type Handed<'a, T> = (Rows<'a, T>, Labels<'a>, Option<&'a [f64]>);

/// Rows of one width, each with a label, all checked.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    function: &'static str,
    logits: Vec<T>,
    labels: Vec<i64>,
    /// One for every label, or none at all.
    weights: Vec<f64>,
    /// Of every row there has been; 0 before the first.
    classes: usize,
}

impl<T: Number> Waiting<T> {
    pub(crate) fn new(function: &'static str) -> Self {
        let (logits, labels, weights) = Default::default();
        Waiting { function, logits, labels, weights, classes: 0 }
    }

    /// After rows of this width, or before the first.
    pub(crate) fn of_width(function: &'static str, classes: Option<usize>) -> Self {
        Waiting { classes: classes.unwrap_or(0), ..Waiting::new(function) }
    }

    /// How many classes every row has, once there was one.
    pub(crate) fn width(&self) -> Option<usize> {
        (self.classes > 0).then_some(self.classes)
    }

    /// Checks the columns, and gives `pass` the rows, whenever there are enough.
    pub(crate) fn add(
        &mut self,
        columns: Columns,
        mut pass: impl FnMut(Handed<'_, T>) -> Result<()>,
    ) -> Result<()> {
        let logits = Lists::<T>::new(self.function, columns.logits)?;
        let labels = label::labels(self.function, columns.labels)?;
        let weights = columns.weights.map(|column| weight::weights(self.function, column));
        let weights = weights.transpose()?;
        for row in 0..logits.rows.len() {
            let label = label::of_row(&labels, row);
            let Some(numbers) = logits.row(row) else {
                let label = label.map_or_else(|| "NULL".to_owned(), |label| label.to_string());
                return Err(self.refused(format!("logits are NULL in the row of label {label}")));
            };
            if self.classes != 0 && numbers.len() != self.classes {
                let (classes, row) = (self.classes, shown(numbers, logits.null_in(row)));
                let reason =
                    format!("{} logits among rows of {classes} in the row {row}", numbers.len());
                let hint = format!(
                    "where array_length(logits) = {classes} leaves other rows out; rows of one width belong together"
                );
                return Err(Refused::row(self.function, reason, hint).into());
            }
            let reason = match label {
                _ if numbers.is_empty() => Some("there are no classes".to_owned()),
                None => Some("the label is NULL".to_owned()),
                Some(label) => logits
                    .null_in(row)
                    .map(|class| format!("logit {class} is NULL"))
                    .or_else(|| wrong(numbers, false))
                    .or_else(|| label::wrong(label, numbers.len())),
            };
            if let Some(reason) = reason {
                let row = shown(numbers, logits.null_in(row));
                return Err(self.refused(format!("{reason} in the row of logits {row}")));
            }
            if let Some(weights) = &weights {
                let weight = weight::of_row(weights, row).map_err(|reason| {
                    let reason = format!("{reason} in the row of logits {}", shown(numbers, None));
                    Refused::row(self.function, reason, weight::LEAVE_OUT)
                })?;
                self.weights.push(weight);
            }
            self.classes = numbers.len();
            self.logits.extend_from_slice(numbers);
            self.labels.push(label.unwrap_or_default());
            if self.logits.len() >= ENOUGH {
                self.pass(&mut pass)?;
            }
        }
        Ok(())
    }

    /// Gives `pass` the rows that wait, if there are any.
    pub(crate) fn pass(&mut self, mut pass: impl FnMut(Handed<'_, T>) -> Result<()>) -> Result<()> {
        if !self.labels.is_empty() {
            let rows =
                Rows::new(&self.logits, self.classes).map_err(|e| self.refused(e.to_string()))?;
            let labels =
                Labels::new(&self.labels, self.classes).map_err(|e| self.refused(e.to_string()))?;
            let weights = (!self.weights.is_empty()).then_some(&self.weights[..]);
            pass((rows, labels, weights))?;
            self.logits.clear();
            self.labels.clear();
            self.weights.clear();
        }
        Ok(())
    }

    fn refused(&self, reason: String) -> datafusion::error::DataFusionError {
        Refused::row(self.function, reason, LEAVE_OUT).into()
    }

    /// Bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let of_labels = (self.labels.capacity() + self.weights.capacity()) * size_of::<i64>();
        self.logits.capacity() * size_of::<T>() + of_labels
    }
}
