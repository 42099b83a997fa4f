//! Which group each row belongs to: a data set, a tenant, a language.

use std::collections::HashMap;
use std::path::Path;

use super::InputError;
use super::column::{Beside, Cell, Column};

/// The rows' groups, and what they are called, in the order of their first rows.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) names: Vec<String>,
    pub(crate) of_rows: Vec<usize>,
}

impl Groups {
    /// Reads a group (a label, whichever `what` says) for every one of `rows` rows: any text or whole number. As a group may have any
    /// name, the first line is taken for a header where there is one line too many; where the number of
    /// rows is not known, if it is none of the `known` names.
    pub(crate) fn read(
        path: &Path,
        what: &str,
        rows: Option<usize>,
        known: &[String],
        beside: &Beside,
    ) -> Result<Self, InputError> {
        let column = Column::open(path, what, beside)?;
        let refused = |error: InputError| error.within(&path.display().to_string());
        if column.width() > 1 {
            let width = column.width();
            return Err(refused(InputError::new(format!("{width} columns: {what} have one"))));
        }
        let is_text = column.first_line().is_some();
        let mut cells: Vec<usize> = Vec::new();
        let mut indices: HashMap<String, usize> = HashMap::new();
        let mut names: Vec<String> = Vec::new();
        column.read(false, |cell| {
            let text = match cell {
                Cell::Number(number) if number.fract() != 0.0 => {
                    return Err(InputError::new(format!(
                        "{number} is no whole number, as {what} are"
                    )));
                }
                Cell::Number(number) => number.to_string(),
                Cell::Text("") => {
                    return Err(InputError::new(format!("nothing, where {what} are expected")));
                }
                Cell::Text(text) => text.to_owned(),
            };
            let index = *indices.entry(text).or_insert_with_key(|text| {
                names.push(text.clone());
                names.len() - 1
            });
            cells.push(index);
            Ok(())
        })?;
        let has_header = match rows {
            Some(rows) => cells.len() == rows + 1,
            None => names.first().is_some_and(|name| !known.contains(name)),
        };
        if is_text && has_header {
            let header = cells.remove(0);
            if !cells.contains(&header) {
                names.remove(header);
                cells.iter_mut().for_each(|index| *index -= 1);
            }
        }
        Ok(Self { names, of_rows: cells })
    }
}
