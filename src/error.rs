//! The one error of this crate: what was wrong, where, and what is allowed.

use std::fmt;

/// Why a call was refused. Messages are lower case without a full stop, so that a caller can put
/// its own place in front: `logits.npy: 7 logits do not fill rows of 3 classes`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A temperature that is NaN or negative.
    Temperature {
        /// The value given.
        got: f64,
    },
    /// A scale s = 1/τ that is NaN or negative.
    Scale {
        /// The value given.
        got: f64,
    },
    /// A log-scale ln(1/τ) that is NaN.
    LogScale,
    /// A text that does not name a temperature.
    TemperatureText {
        /// The text given.
        text: String,
    },
    /// Rows of no classes have no distribution.
    NoClasses,
    /// A question about the mean of rows, of which there are none.
    NoRows,
    /// A buffer whose length is not a multiple of the number of classes.
    Ragged {
        /// How many numbers there are.
        len: usize,
        /// How many classes a row has.
        classes: usize,
    },
    /// Two arguments whose sizes do not belong together.
    Shape {
        /// Which argument.
        what: &'static str,
        /// The length it must have.
        expected: usize,
        /// The length it has.
        got: usize,
    },
    /// A row without a distribution where one is needed: it holds a NaN, or every entry is −∞.
    Row {
        /// The row, counted from 0.
        row: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A label that is no class.
    Label {
        /// The row, counted from 0.
        row: usize,
        /// The label it has.
        label: i64,
        /// How many classes there are; labels run from 0 to one less.
        classes: usize,
    },
    /// A logit that is NaN where a token is to be drawn.
    LogitNan {
        /// The row, counted from 0.
        row: usize,
        /// The class, counted from 0.
        class: usize,
    },
    /// A row of which every token is masked: by the mask, or by logits of −∞.
    AllMasked {
        /// The row, counted from 0.
        row: usize,
    },
    /// A token that is none of the classes.
    Token {
        /// Where it was given: `"history"`, `"logit_bias"`, `"token"`.
        what: &'static str,
        /// The token given.
        token: u32,
        /// How many classes there are; tokens run from 0 to one less.
        classes: usize,
    },
    /// A weight of a row that is negative, infinite or NaN.
    Weight {
        /// The row, counted from 0.
        row: usize,
        /// The weight it has.
        got: f64,
    },
    /// A weight of a class that is negative, infinite or NaN.
    ClassWeight {
        /// The class, counted from 0.
        class: usize,
        /// The weight it has.
        got: f64,
    },
    /// A number that is outside of what it may be.
    Parameter {
        /// Which number.
        what: &'static str,
        /// The value given.
        got: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// A width of a prior that is not positive and finite.
    Prior {
        /// The value given.
        got: f64,
    },
    /// A number of bins that is 0, or too large.
    Bins {
        /// The number given.
        got: usize,
        /// The largest that is allowed.
        most: usize,
    },
    /// Sums that do not belong together.
    Merge {
        /// In what they differ.
        what: &'static str,
    },
    /// A target that no distribution can have, such as a negative entropy.
    Target {
        /// What was asked for: `"entropy"`, `"perplexity"` or `"max probability"`.
        what: &'static str,
        /// The value asked for.
        got: f64,
    },
    /// What a truncated teacher cannot give.
    Truncated {
        /// What was asked for.
        what: &'static str,
    },
    /// An axis that the array does not have.
    Axis {
        /// The axis asked for.
        axis: usize,
        /// How many axes there are.
        ndim: usize,
    },
    /// Not a refusal: the call was stopped by an [`Interrupt`](crate::Interrupt).
    Interrupted,
}

impl Error {
    /// An error about a row alone, as one of a batch.
    pub(crate) fn in_row(self, row: usize) -> Error {
        match self {
            Error::LogitNan { class, .. } => Error::LogitNan { row, class },
            Error::AllMasked { .. } => Error::AllMasked { row },
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Temperature { got } => {
                write!(f, "temperature {got} is not allowed: it must be 0, positive or inf")
            }
            Error::Scale { got } => {
                write!(f, "scale {got} is not allowed: 1/temperature must be 0, positive or inf")
            }
            Error::LogScale => write!(f, "log scale NaN is not allowed: it must be a number"),
            Error::TemperatureText { text } => write!(
                f,
                "'{text}' is not a temperature: it must be a decimal number from 0 up, a fraction like 1/3, or inf"
            ),
            Error::NoClasses => write!(f, "rows of 0 classes have no distribution"),
            Error::NoRows => write!(f, "0 rows have no mean"),
            Error::Ragged { len, classes } => {
                write!(f, "{len} numbers do not fill rows of {classes} classes")
            }
            Error::Shape { what, expected, got } => {
                write!(f, "{what} has length {got}, expected {expected}")
            }
            Error::Row { row, reason } => write!(f, "row {row}: {reason}"),
            Error::Label { row, label, classes } => write!(
                f,
                "row {row}: label {label} is not a class: there are {classes}, counted from 0"
            ),
            Error::LogitNan { row, class } => {
                write!(f, "row {row}: logit {class} is NaN: logits must be numbers or infinite")
            }
            Error::AllMasked { row } => write!(
                f,
                "row {row}: every token is masked: at least one must be allowed and above -inf"
            ),
            Error::Token { what, token, classes } => write!(
                f,
                "{what}: token {token} is not a class: there are {classes}, counted from 0"
            ),
            Error::Weight { row, got } => {
                write!(f, "row {row}: weight {got} is not allowed: it must be 0 or positive")
            }
            Error::ClassWeight { class, got } => {
                write!(f, "class {class}: weight {got} is not allowed: it must be 0 or positive")
            }
            Error::Parameter { what, got, allowed } => {
                write!(f, "{what} {got} is not allowed: it must be {allowed}")
            }
            Error::Prior { got } => {
                write!(f, "prior width {got} is not allowed: it must be positive and finite")
            }
            Error::Bins { got, most } => {
                write!(f, "{got} bins are not allowed: there must be 1 to {most}")
            }
            Error::Merge { what } => write!(f, "two scans differ in their {what}"),
            Error::Target { what, got } => {
                write!(f, "no distribution has {what} {got}")
            }
            Error::Truncated { what } => {
                write!(f, "{what} need every logit of the teacher, and this one is truncated")
            }
            Error::Axis { axis, ndim } => {
                write!(f, "axis {axis} does not exist: the array has {ndim} axes")
            }
            Error::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {}
