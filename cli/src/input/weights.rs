//! How much each row counts.

use std::path::Path;

use super::InputError;
use super::column::{Beside, Cell, Column};

/// Reads a weight for every row: a finite number from 0 up.
pub(crate) fn read_weights(path: &Path, beside: &Beside) -> Result<Vec<f64>, InputError> {
    let column = Column::open(path, "weights", beside)?;
    if column.width() > 1 {
        let error = InputError::new(format!("{} columns: weights have one", column.width()));
        return Err(error.within(&path.display().to_string()));
    }
    let first = column.first_line();
    let has_header = first.is_some_and(|cells| cells[0].parse::<f64>().is_err());
    let mut weights = Vec::new();
    column.read(has_header, |cell| {
        let weight = match cell {
            Cell::Number(number) => number,
            Cell::Text(text) => text.parse().map_err(|_| {
                let shown: String = text.chars().take(40).collect();
                InputError::new(format!("weight '{}' is not a number", shown.escape_debug()))
            })?,
        };
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(InputError::new(format!("weight {weight} is not allowed: from 0 up")));
        }
        weights.push(weight);
        Ok(())
    })?;
    Ok(weights)
}
