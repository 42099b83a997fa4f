//! The class of every row, or how it is shared among the classes.
//!
//! A label is a whole number from 0, in any dtype that holds whole numbers, or a name where the names of
//! the classes are known. Names come first: a list of names that are numbers (1, 2, 3, …) is honoured.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::column::{Beside, Cell, Column};
use super::{InputError, tolerance};

/// What the label of a row that is left out becomes.
pub(crate) const IGNORED: i64 = -1;

/// The most shares that are held: 1 GiB.
const MAX_SHARES: usize = 1 << 27;

/// Names of classes in a message.
const SHOWN: usize = 10;

/// What is known about the labels.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LabelOptions<'a> {
    /// Rows with this label are left out.
    pub(crate) ignored: Option<i64>,
    /// The names of the classes, in the order of the columns.
    pub(crate) names: Option<&'a [String]>,
}

/// What the rows should have been.
#[derive(Debug)]
pub(crate) enum Labels {
    /// A class each; [`IGNORED`] for none.
    Classes(Vec<i64>),
    /// For every row a share for every class, summing to 1.
    Shares(Vec<f64>),
}

impl Labels {
    /// Reads the labels of logits with `beside.classes` classes.
    pub(crate) fn read(
        path: &Path,
        options: &LabelOptions,
        beside: &Beside,
    ) -> Result<Self, InputError> {
        let column = Column::open(path, "labels", beside)?;
        if column.width() > 1 {
            return read_shares(column).map(Labels::Shares);
        }
        let names = Names::new(options.names);
        let first = column.first_line().map(|cells| cells[0].as_str());
        let has_header = first.is_some_and(|cell| {
            whole(cell).is_none() && names.class(cell).is_none() && cell.parse::<f64>().is_err()
        });
        let mut classes = Vec::new();
        column.read(has_header, |cell| {
            let label = match cell {
                Cell::Number(number) => whole_number(number)
                    .ok_or_else(|| InputError::new(format!("label {number} is no whole number")))?,
                Cell::Text(text) => names.label(text)?,
            };
            classes.push(match Some(label) == options.ignored {
                true => IGNORED,
                false => checked(label, beside.classes)?,
            });
            Ok(())
        })?;
        Ok(Labels::Classes(classes))
    }
}

/// The names of the classes, a line each.
pub(crate) fn read_class_names(path: &Path, classes: usize) -> Result<Vec<String>, InputError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|e| InputError::io(&e).within(&name))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<String> = lines.map(str::to_owned).collect();
    let refused = |reason: String| Err(InputError::new(reason).within(&name));
    if names.len() != classes {
        return refused(format!("names {} classes, and the logits have {classes}", names.len()));
    }
    let mut seen = HashMap::new();
    for (class, name) in names.iter().enumerate() {
        if let Some(before) = seen.insert(name, class) {
            return refused(format!("classes {before} and {class} are both called '{name}'"));
        }
    }
    Ok(names)
}

struct Names<'a> {
    names: &'a [String],
    classes: HashMap<&'a str, i64>,
    /// Whether a number may be the name of a class and so is no index.
    are_numbers: bool,
}

impl<'a> Names<'a> {
    fn new(names: Option<&'a [String]>) -> Self {
        let names = names.unwrap_or_default();
        let classes = names.iter().map(String::as_str).zip(0..).collect();
        Self { names, classes, are_numbers: names.iter().any(|name| whole(name).is_some()) }
    }

    fn class(&self, text: &str) -> Option<i64> {
        self.classes.get(text).copied()
    }

    fn label(&self, text: &str) -> Result<i64, InputError> {
        let index = if self.are_numbers { None } else { whole(text) };
        if let Some(label) = self.class(text).or(index) {
            return Ok(label);
        }
        let shown: String = text.chars().take(40).collect();
        let shown = shown.escape_debug();
        Err(if text.is_empty() {
            InputError::new("no label")
                .hint("write a number for rows without a class, and name it by --ignore-label")
        } else if text.parse::<f64>().is_ok() {
            InputError::new(format!("label {shown} is no whole number"))
        } else if self.classes.is_empty() {
            InputError::new(format!("label '{shown}' is a name, and the classes have none"))
                .hint("--classes FILE names them, one a line in the order of the logits' columns")
        } else {
            let some = self.names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            let more = if self.names.len() > SHOWN { ", …" } else { "" };
            InputError::new(format!("label '{shown}' is not the name of a class"))
                .hint(format!("they are {some}{more}; --classes FILE gives them other names"))
        })
    }
}

/// A label in a text: also 3.0, as other programs write it.
pub(super) fn whole(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| text.parse().ok().and_then(whole_number))
}

/// A float that is a whole number, as far as f64 can tell one from the next.
pub(super) fn whole_number(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= 2f64.powi(53)).then_some(number as i64)
}

fn checked(label: i64, classes: usize) -> Result<i64, InputError> {
    if usize::try_from(label).is_ok_and(|class| class < classes) {
        return Ok(label);
    }
    let counted = if classes == 1 { "there is 1" } else { &format!("there are {classes}") };
    let error = InputError::new(format!("label {label} is not a class: {counted}, counted from 0"));
    Err(if label < 0 {
        error.hint(format!("--ignore-label {label} leaves out the rows that have it"))
    } else if label as usize == classes {
        error.hint("do the labels count from 1? name the classes 1, 2, … with --classes FILE")
    } else {
        error.hint("are these the labels of other logits?")
    })
}

fn read_shares(column: Column) -> Result<Vec<f64>, InputError> {
    let width = column.width();
    let first = column.first_line();
    let has_header =
        first.is_some_and(|cells| cells.iter().all(|cell| cell.parse::<f64>().is_err()));
    let tolerance = tolerance(column.dtype());
    let mut shares: Vec<f64> = Vec::new();
    column.read(has_header, |cell| {
        let share = match cell {
            Cell::Number(number) => number,
            Cell::Text(text) => {
                let not_a_number = || {
                    let shown: String = text.chars().take(40).collect();
                    InputError::new(format!("share '{}' is not a number", shown.escape_debug()))
                };
                text.parse().map_err(|_| not_a_number())?
            }
        };
        if !(share >= 0.0 && share.is_finite()) {
            return Err(InputError::new(format!("share {share} is not allowed: from 0 to 1")));
        }
        shares.push(share);
        if shares.len() > MAX_SHARES {
            return Err(InputError::new(format!("more than {MAX_SHARES} shares"))
                .hint("take some of the rows, or one label for each"));
        }
        if shares.len().is_multiple_of(width) {
            let row = shares.len() - width;
            let row = &mut shares[row..];
            let sum: f64 = row.iter().sum();
            if !((sum - 1.0).abs() <= tolerance) {
                return Err(InputError::new(format!("the shares sum to {sum}, not to 1"))
                    .hint("labels of several columns share each row among the classes"));
            }
            // What rounding left over belongs to all.
            row.iter_mut().for_each(|share| *share /= sum);
        }
        Ok(())
    })?;
    Ok(shares)
}
