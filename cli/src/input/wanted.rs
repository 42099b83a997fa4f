//! What is looked for in a file, and how it may lie there.

use super::column::Width;
use super::{InputError, Layout};

/// Rows of numbers, or a cell or more beside every row of others.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// `logits`, `labels`: what messages call it, and its name where a file has several things.
    pub(super) what: String,
    /// The column or array, where one was named.
    pub(super) column: Option<String>,
    /// What separates the fields of CSV, where that was said.
    pub(super) delimiter: Option<u8>,
    lie: Lie,
}

#[derive(Clone, Debug)]
enum Lie {
    Rows { axis: isize },
    Cells(Width),
}

impl Wanted {
    /// Rows that are normalised along an axis.
    pub(super) fn rows(axis: isize, delimiter: Option<u8>) -> Self {
        Self { what: "logits".to_owned(), column: None, delimiter, lie: Lie::Rows { axis } }
    }

    pub(super) fn cells(what: &str, width: Width) -> Self {
        Self { what: what.to_owned(), column: None, delimiter: None, lie: Lie::Cells(width) }
    }

    /// What is called otherwise: `ids`.
    pub(super) fn called(self, what: &str) -> Self {
        Self { what: what.to_owned(), ..self }
    }

    /// The same in a column of this name, if one was named.
    pub(super) fn named(self, column: Option<String>) -> Self {
        Self { column, ..self }
    }

    pub(super) fn is_rows(&self) -> bool {
        matches!(self.lie, Lie::Rows { .. })
    }

    pub(super) fn axis(&self) -> isize {
        match self.lie {
            Lie::Rows { axis } => axis,
            Lie::Cells(_) => -1,
        }
    }

    /// What the rows of an array of this shape are.
    pub(super) fn layout(&self, shape: Vec<usize>) -> Result<Layout, InputError> {
        match &self.lie {
            Lie::Rows { axis } => Layout::new(shape, *axis),
            Lie::Cells(width) => width.layout(shape, &self.what),
        }
    }

    /// The same of a table, whose rows are its own: [rows, classes].
    pub(super) fn layout_of_table(
        &self,
        shape: [usize; 2],
        what: &str,
    ) -> Result<Layout, InputError> {
        let axis = self.axis();
        if axis != 1 && axis != -1 {
            return Err(InputError::new(format!("axis {axis} of {what} cannot be normalised"))
                .hint("a row is a line of the file; transpose it, or save it as .npy"));
        }
        self.layout(shape.to_vec())
    }
}
