//! Labelled rows of one group that wait until they are worth a pass: many groups have few rows in each batch.

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use softargmax::{Labels, Rows};

use crate::label;
use crate::logits::{Lists, Number};
use crate::refused::{LEAVE_OUT, Refused, shown, wrong};

/// Numbers that are worth it: a pass at 33 temperatures takes a hundred times as long as to make its sums.
const ENOUGH: usize = 1 << 15;

/// Rows of one width, each with a label, all checked.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    function: &'static str,
    logits: Vec<T>,
    labels: Vec<i64>,
    /// Of every row there has been; 0 before the first.
    classes: usize,
}

impl<T: Number> Waiting<T> {
    pub(crate) fn new(function: &'static str) -> Self {
        Waiting { function, logits: Vec::new(), labels: Vec::new(), classes: 0 }
    }

    /// After rows of this width, or before the first.
    pub(crate) fn of_width(function: &'static str, classes: Option<usize>) -> Self {
        Waiting { classes: classes.unwrap_or(0), ..Waiting::new(function) }
    }

    /// How many classes every row has, once there was one.
    pub(crate) fn width(&self) -> Option<usize> {
        (self.classes > 0).then_some(self.classes)
    }

    /// Checks a column of logits and one of labels, and gives `pass` the rows, whenever there are enough.
    pub(crate) fn add(
        &mut self,
        logits: &ArrayRef,
        labels: &ArrayRef,
        mut pass: impl FnMut(Rows<'_, T>, Labels<'_>) -> Result<()>,
    ) -> Result<()> {
        let logits = Lists::<T>::new(self.function, logits)?;
        let labels = label::labels(self.function, labels)?;
        for row in 0..logits.rows.len() {
            let label = label::of_row(&labels, row);
            let Some(numbers) = logits.row(row) else {
                let label = label.map_or_else(|| "NULL".to_owned(), |label| label.to_string());
                return Err(self.refused(format!("logits are NULL in the row of label {label}")));
            };
            if self.classes != 0 && numbers.len() != self.classes {
                let (classes, row) = (self.classes, shown(numbers));
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
                let row = shown(numbers);
                return Err(self.refused(format!("{reason} in the row of logits {row}")));
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
    pub(crate) fn pass(
        &mut self,
        mut pass: impl FnMut(Rows<'_, T>, Labels<'_>) -> Result<()>,
    ) -> Result<()> {
        if !self.labels.is_empty() {
            let rows =
                Rows::new(&self.logits, self.classes).map_err(|e| self.refused(e.to_string()))?;
            let labels =
                Labels::new(&self.labels, self.classes).map_err(|e| self.refused(e.to_string()))?;
            pass(rows, labels)?;
            self.logits.clear();
            self.labels.clear();
        }
        Ok(())
    }

    fn refused(&self, reason: String) -> datafusion::error::DataFusionError {
        Refused::row(self.function, reason, LEAVE_OUT).into()
    }

    /// Bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.logits.capacity() * size_of::<T>() + self.labels.capacity() * size_of::<i64>()
    }
}
