//! Classes that somebody drew, and the words that they stand for.

use std::fs;
use std::path::Path;

use super::InputError;
use super::column::{Cell, Column};
use super::labels::{whole, whole_number};

/// Reads draws, or whatever `what` calls them: classes, any number of them for every row, given to `each` in order as
/// row and class.
///
/// `rows` is the shape of the logits without their classes. Says how many rows and columns there were.
pub(crate) fn read_tokens(
    path: &Path,
    what: &str,
    rows: &[usize],
    classes: usize,
    mut each: impl FnMut(usize, usize),
) -> Result<[usize; 2], InputError> {
    let column = Column::open_any(path, what, rows)?;
    let width = column.width();
    let has_header = column
        .first_line()
        .is_some_and(|cells| cells.iter().all(|cell| cell.parse::<f64>().is_err()));
    let mut seen = 0;
    let rows = column.read(has_header, |cell| {
        let not_whole = |shown: &str| {
            let shown: String = shown.chars().take(40).collect();
            InputError::new(format!("'{}' is no whole number", shown.escape_debug()))
                .hint(format!("{what} are whole numbers, counted from 0"))
        };
        let token = match cell {
            Cell::Number(number) => {
                whole_number(number).ok_or_else(|| not_whole(&number.to_string()))?
            }
            Cell::Text(text) => whole(text).ok_or_else(|| not_whole(text))?,
        };
        let class = usize::try_from(token).ok().filter(|&class| class < classes);
        let class = class.ok_or_else(|| {
            let counted = if classes == 1 { "there is 1" } else { &format!("there are {classes}") };
            let error =
                InputError::new(format!("{token} is not a class: {counted}, counted from 0"));
            error.hint("do these belong to other logits?")
        })?;
        each(seen / width, class);
        seen += 1;
        Ok(())
    })?;
    Ok([rows as usize, width])
}

/// Which classes may be drawn, a bit for each, from a 1 or a 0 for each.
pub(crate) fn read_mask(path: &Path, classes: usize) -> Result<Vec<u64>, InputError> {
    let column = Column::open_any(path, "mask", &[])?;
    let mut bits = vec![0u64; classes.div_ceil(64)];
    let mut seen = 0;
    column.read(false, |cell| {
        let value = match cell {
            Cell::Number(number) => whole_number(number),
            Cell::Text(text) => whole(text),
        };
        match value {
            Some(bit @ (0 | 1)) if seen < classes => bits[seen / 64] |= (bit as u64) << (seen % 64),
            Some(0 | 1) => {}
            _ => {
                return Err(InputError::new(
                    "a mask is of 1 and 0, for what may be drawn and what may not",
                ));
            }
        }
        seen += 1;
        Ok(())
    })?;
    if seen != classes {
        let error =
            InputError::new(format!("{seen} entries, and the logits have {} classes", classes));
        return Err(error.hint("a 1 or a 0 for every class").within(&path.display().to_string()));
    }
    Ok(bits)
}

/// The words of the classes, a line each, as they stand there: blanks are part of a word, and two classes may have
/// the same.
pub(crate) fn read_words(path: &Path, classes: usize) -> Result<Vec<String>, InputError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|e| InputError::io(&e).within(&name))?;
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    if words.len() != classes {
        let (lines, verb) = match words.len() {
            1 => ("1 line".to_owned(), "names"),
            n => (format!("{n} lines"), "name"),
        };
        return Err(InputError::new(format!(
            "{lines} {verb} the classes, and the logits have {classes}"
        ))
        .hint("a word for every class, one a line, in the order of the columns")
        .within(&name));
    }
    Ok(words)
}
