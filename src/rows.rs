//! Shape-checked views of `[rows, classes]`: whoever holds one need not check again.

use crate::error::Error;

/// Rows of `classes` numbers each, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    data: &'a [T],
    classes: usize,
}

/// Rows of `classes` numbers each that may be written.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    data: &'a mut [T],
    classes: usize,
}

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

    pub(crate) fn split_at(self, row: usize) -> (Self, Self) {
        let (left, right) = self.data.split_at(row * self.classes);
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
