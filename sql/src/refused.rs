//! What a function does not take: an argument of another type, or a row.

use std::borrow::Cow;
use std::fmt;

use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};

use crate::logits::Number;

/// Why a function stopped, and what to do about it on a second line.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Refused {
    function: Cow<'static, str>,
    reason: String,
    hint: String,
    is_of_row: bool,
}

impl Refused {
    /// An argument that no row can mend.
    pub(crate) fn argument(
        function: &'static str,
        reason: impl fmt::Display,
        hint: impl fmt::Display,
    ) -> Self {
        let (reason, hint) = (reason.to_string(), hint.to_string());
        Refused { function: Cow::Borrowed(function), reason, hint, is_of_row: false }
    }

    /// A row, which others may follow that are right.
    pub(crate) fn row(
        function: &'static str,
        reason: impl fmt::Display,
        hint: impl fmt::Display,
    ) -> Self {
        Refused { is_of_row: true, ..Refused::argument(function, reason, hint) }
    }

    /// Which function it was.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// What was wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether one row is to blame, so that looking for it makes sense.
    pub fn is_of_row(&self) -> bool {
        self.is_of_row
    }

    /// The refusal that an error of a query comes from, if it comes from one.
    pub fn within(error: &DataFusionError) -> Option<&Refused> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref::<Refused>() {
                return Some(refused);
            }
            cause = error.source();
        }
        None
    }

    /// The refusal that the words of an error tell of, if they do: over a wire nothing else is left of it.
    pub fn from_words(words: &str) -> Option<Refused> {
        let (_, rest) = words.split_once(MARK)?;
        serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()
    }
}

/// What a refusal begins with in debugging output.
const MARK: &str = "Refused ";

/// In a form that [`Refused::from_words`] reads.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        write!(f, "{MARK}{text}")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nhint: {}", self.function, self.reason, self.hint)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for DataFusionError {
    fn from(refused: Refused) -> Self {
        DataFusionError::External(Box::new(refused))
    }
}

/// How rows are left out that no function takes.
pub(crate) const LEAVE_OUT: &str = "where is_valid(logits, label) leaves such rows out, where not is_valid(logits, label) shows them";

/// Numbers of a row that are shown.
const SHOWN: usize = 8;

/// A row as a message shows it.
pub(crate) fn shown<T: Number>(row: &[T], null: Option<usize>) -> String {
    let number = |(at, x): (usize, &T)| match null == Some(at) {
        true => "NULL".to_owned(),
        false => x.real().to_string(),
    };
    let numbers: Vec<String> = row.iter().enumerate().take(SHOWN).map(number).collect();
    let more =
        if row.len() > SHOWN { format!(", … {} numbers", row.len()) } else { String::new() };
    format!("[{}{more}]", numbers.join(", "))
}

/// What is wrong with a row of logits, if anything: as the library says it, without the number of the row.
pub(crate) fn wrong<T: Number>(row: &[T], may_be_infinite: bool) -> Option<String> {
    if let Some(class) = row.iter().position(|x| x.real().is_nan()) {
        return Some(format!("logit {class} is NaN"));
    }
    if row.iter().all(|x| x.real() == f64::NEG_INFINITY) {
        return Some("every logit is -inf: no distribution exists".to_owned());
    }
    let at = row.iter().position(|x| x.real() == f64::INFINITY);
    at.filter(|_| !may_be_infinite).map(|class| format!("logit {class} is inf"))
}
