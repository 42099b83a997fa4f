//! Shape-checked views of `[rows, classes]`: whoever holds one need not check again.

use crate::error::Error;

/// Rows of `classes` numbers each, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    data: &'a [T],
    classes: usize,
}

/// The class of every row, each checked to be one.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    data: &'a [i64],
    classes: usize,
    ignored: Option<i64>,
}

/// Rows of `classes` numbers each that may be written.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    data: &'a mut [T],
    classes: usize,
}

/// Labels that are looked at together.
const LABELS: usize = 256;

fn check(len: usize, classes: usize) -> Result<(), Error> {
    if classes == 0 {
        return Err(Error::NoClasses);
    }
    if !len.is_multiple_of(classes) {
        return Err(Error::Ragged { len, classes });
    }
    Ok(())
}

impl<'a, T> Rows<'a, T> {
    /// A view of `data` as rows of `classes` numbers; no numbers are zero rows.
    ///
    /// # Errors
    /// [`Error::NoClasses`] when `classes` is 0, [`Error::Ragged`] when the rows do not come out even.
    pub fn new(data: &'a [T], classes: usize) -> Result<Self, Error> {
        check(data.len(), classes)?;
        Ok(Rows { data, classes })
    }

    /// All of `data` as one row.
    ///
    /// # Errors
    /// [`Error::NoClasses`] when `data` is empty.
    pub fn one(data: &'a [T]) -> Result<Self, Error> {
        Rows::new(data, data.len())
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.data.len() / self.classes
    }

    /// How many classes a row has; never 0.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The numbers, row after row.
    pub fn as_slice(&self) -> &'a [T] {
        self.data
    }

    /// The rows in order.
    pub fn iter(&self) -> std::slice::ChunksExact<'a, T> {
        self.data.chunks_exact(self.classes)
    }

    /// The first so many rows, and the others; all and none, where there are fewer.
    pub fn split_at(self, rows: usize) -> (Self, Self) {
        let (left, right) = self.data.split_at(rows.min(self.rows()) * self.classes);
        (Rows { data: left, classes: self.classes }, Rows { data: right, classes: self.classes })
    }

    /// `got` numbers must be as many as this view has.
    pub(crate) fn same_size(&self, what: &'static str, got: usize) -> Result<(), Error> {
        let expected = self.data.len();
        if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
    }
}

impl<'a, T> RowsMut<'a, T> {
    /// A view of `data` as rows of `classes` numbers; no numbers are zero rows.
    ///
    /// # Errors
    /// [`Error::NoClasses`] when `classes` is 0, [`Error::Ragged`] when the rows do not come out even.
    pub fn new(data: &'a mut [T], classes: usize) -> Result<Self, Error> {
        check(data.len(), classes)?;
        Ok(RowsMut { data, classes })
    }

    /// All of `data` as one row.
    ///
    /// # Errors
    /// [`Error::NoClasses`] when `data` is empty.
    pub fn one(data: &'a mut [T]) -> Result<Self, Error> {
        let classes = data.len();
        RowsMut::new(data, classes)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.data.len() / self.classes
    }

    /// How many classes a row has; never 0.
    pub fn classes(&self) -> usize {
        self.classes
    }

    pub(crate) fn into_slice(self) -> &'a mut [T] {
        self.data
    }
}

impl<'a> Labels<'a> {
    /// A view of `labels`, each from 0 to `classes` − 1.
    ///
    /// # Errors
    /// [`Error::Label`] for the first that is not, [`Error::NoClasses`] when `classes` is 0.
    ///
    /// # Example
    /// ```
    /// use softargmax::{Error, Labels};
    ///
    /// assert_eq!(Labels::new(&[2, 0, 1], 3)?.rows(), 3);
    /// let error = Labels::new(&[2, 3], 3).unwrap_err();
    /// assert_eq!(error, Error::Label { row: 1, label: 3, classes: 3 });
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(labels: &'a [i64], classes: usize) -> Result<Self, Error> {
        Labels::checked(labels, classes, None)
    }

    /// The same, where rows labelled `ignored` (-100 in PyTorch) have no class and are left out.
    ///
    /// # Errors
    /// As [`new`](Labels::new).
    pub fn with_ignored(labels: &'a [i64], classes: usize, ignored: i64) -> Result<Self, Error> {
        Labels::checked(labels, classes, Some(ignored))
    }

    fn checked(data: &'a [i64], classes: usize, ignored: Option<i64>) -> Result<Self, Error> {
        if classes == 0 {
            return Err(Error::NoClasses);
        }
        let last = i64::try_from(classes).unwrap_or(i64::MAX).wrapping_sub(1);
        // The sign of what is below 0 or above the last class: without a branch, several labels go together.
        let sign = |label: i64| label | last.wrapping_sub(label);
        let wrong = |&label: &i64| sign(label) < 0 && Some(label) != ignored;
        for (block, labels) in data.chunks(LABELS).enumerate() {
            let signs = labels.iter().fold(0, |signs, &label| signs | sign(label));
            if signs < 0
                && let Some(row) = labels.iter().position(wrong)
            {
                let (row, label) = (block * LABELS + row, labels[row]);
                return Err(Error::Label { row, label, classes });
            }
        }
        Ok(Labels { data, classes, ignored })
    }

    /// How many rows there are, ignored ones counted.
    pub fn rows(&self) -> usize {
        self.data.len()
    }

    /// How many classes there are; never 0.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The classes in order; `None` for a row that is ignored.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<usize>> + use<'a> {
        let ignored = self.ignored;
        self.data.iter().map(move |&label| (Some(label) != ignored).then_some(label as usize))
    }

    /// The class of a row; `None` where it is ignored.
    pub(crate) fn of_row(&self, row: usize) -> Option<usize> {
        let label = self.data[row];
        (Some(label) != self.ignored).then_some(label as usize)
    }

    /// Whether any row may be ignored.
    pub(crate) fn may_ignore(&self) -> bool {
        self.ignored.is_some()
    }

    /// The classes of rows from `start` on; −1 where a row is ignored, and beyond the last.
    #[inline(always)]
    pub(crate) fn of_rows<const N: usize>(&self, start: usize) -> [i32; N] {
        let rows = &self.data[start..];
        let mut labels = [-1; N];
        if let Some(rows) = rows.first_chunk::<N>() {
            for i in 0..N {
                labels[i] = rows[i] as i32;
            }
        } else {
            for (label, &row) in labels.iter_mut().zip(rows) {
                *label = row as i32;
            }
        }
        if let Some(ignored) = self.ignored {
            for (label, &row) in labels.iter_mut().zip(rows) {
                *label = if row == ignored { -1 } else { *label };
            }
        }
        labels
    }

    /// The labels of the first so many rows, and of the others; all and none, where there are fewer.
    pub fn split_at(self, rows: usize) -> (Self, Self) {
        let (left, right) = self.data.split_at(rows.min(self.data.len()));
        (Labels { data: left, ..self }, Labels { data: right, ..self })
    }
}

/// What is known about each row's class: a label, or a distribution over the classes.
///
/// A distribution is as a teacher gives it, or label smoothing: entries from 0 up with the sum 1.
#[derive(Clone, Copy, Debug)]
pub enum Truth<'a, T> {
    /// One class for each row.
    Labels(Labels<'a>),
    /// A share for every class, `[rows, classes]`.
    Distributions(Rows<'a, T>),
}

impl<'a, T> From<Labels<'a>> for Truth<'a, T> {
    fn from(labels: Labels<'a>) -> Self {
        Truth::Labels(labels)
    }
}

impl<'a, T> From<Rows<'a, T>> for Truth<'a, T> {
    fn from(distributions: Rows<'a, T>) -> Self {
        Truth::Distributions(distributions)
    }
}

impl<T> Truth<'_, T> {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Truth::Labels(labels) => labels.rows(),
            Truth::Distributions(rows) => rows.rows(),
        }
    }

    pub(crate) fn classes(&self) -> usize {
        match self {
            Truth::Labels(labels) => labels.classes(),
            Truth::Distributions(rows) => rows.classes(),
        }
    }

    /// What is known of the first so many rows, and of the others; all and none, where there are fewer.
    pub fn split_at(self, rows: usize) -> (Self, Self) {
        match self {
            Truth::Labels(labels) => {
                let (left, right) = labels.split_at(rows);
                (Truth::Labels(left), Truth::Labels(right))
            }
            Truth::Distributions(all) => {
                let (left, right) = all.split_at(rows);
                (Truth::Distributions(left), Truth::Distributions(right))
            }
        }
    }
}
