//! Rows of which the likeliest classes alone are stored, as rows of all classes.
//!
//! ```text
//! v_1 … v_k    logits or log-probabilities        id_1 … id_k    the classes they are of; −1 for none
//! mask         x_id = v, and −∞ for the others: they do not exist
//! even         x_id = v, and ln((1 − Σ exp v)/others) for each of the others: what is left over, shared evenly
//! ```
//!
//! Nothing that comes after need know of it: a label that is none of the k is a class like any other, with the
//! probability that the policy gives to it.

use std::path::{Path, PathBuf};

use super::block::{Block, with_block};
use super::wanted::Wanted;
use super::{Dtype, InputError, Layout, Number, Place, Reader, rows_of, tolerance};

/// What the classes have whose numbers are not stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// No probability.
    Mask,
    /// What the others leave over, in equal parts. The numbers are log-probabilities.
    Even,
}

impl Rest {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rest::Mask => "mask",
            Rest::Even => "even",
        }
    }
}

/// How rows of some classes become rows of all.
#[derive(Clone, Debug)]
pub(crate) struct TopK {
    /// Where the ids are.
    pub(crate) ids: PathBuf,
    /// How many classes there are.
    pub(crate) classes: usize,
    pub(crate) rest: Rest,
    /// Whether the numbers are said to be log-probabilities, which is checked then.
    pub(crate) are_log_probabilities: bool,
}

/// The numbers of some classes beside their ids.
pub(super) struct Spread {
    numbers: Box<dyn Reader>,
    ids: Box<dyn Reader>,
    name: String,
    ids_name: String,
    rest: Rest,
    are_log_probabilities: bool,
    layout: Layout,
    /// How many of a row are stored.
    k: usize,
    /// How many rows are done.
    row: u64,
    /// For every class, the row that had it last, counted from 1.
    seen: Vec<u64>,
    some_numbers: Vec<f64>,
    /// Ids that were read and not used yet: files may end in other rows than those of the numbers.
    some_ids: Vec<f64>,
}

impl Spread {
    /// `name` is what messages call the numbers, `logits` the path they are from.
    pub(super) fn new(
        numbers: Box<dyn Reader>,
        name: &str,
        options: &TopK,
        logits: &Path,
    ) -> Result<Self, InputError> {
        let place = Place::of(&options.ids).beside(logits);
        if place.is_stream() {
            return Err(InputError::new("ids cannot come from standard input").hint(
                "name a file; the logits may come from standard input where the ids do not",
            ));
        }
        let ids_name = place.name();
        let ids = rows_of(place, Wanted::rows(-1, None).called("ids"));
        let ids = ids.map_err(|error| error.within(&ids_name))?;
        let (k, ids_of_a_row) = (numbers.layout().classes(), ids.layout().classes());
        let one_each = "every row has an id for each of its numbers";
        if ids_of_a_row != k {
            let reason = format!("rows of {ids_of_a_row} ids, and {name} has rows of {k} numbers");
            return Err(InputError::new(reason).within(&ids_name).hint(one_each));
        }
        if let (Some(rows), Some(rows_of_ids)) = (numbers.rows(), ids.rows())
            && rows != rows_of_ids
        {
            let reason = format!("{rows_of_ids} rows of ids, and {name} has {rows} rows");
            return Err(InputError::new(reason).within(&ids_name).hint(one_each));
        }
        Ok(Self {
            layout: numbers.layout().of_classes(options.classes)?,
            numbers,
            ids,
            name: name.to_owned(),
            ids_name,
            rest: options.rest,
            are_log_probabilities: options.are_log_probabilities || options.rest == Rest::Even,
            k,
            row: 0,
            seen: vec![0; options.classes],
            some_numbers: Vec::new(),
            some_ids: Vec::new(),
        })
    }

    fn next_rows<T: Number>(
        &mut self,
        block: &mut Vec<T>,
        max_rows: usize,
    ) -> Result<usize, InputError> {
        let rows = self.numbers.next_block(f64::block(&mut self.some_numbers), max_rows)?;
        self.read_ids(rows)?;
        let (classes, k) = (self.layout.classes(), self.k);
        block.clear();
        block.resize(rows * classes, T::default());
        let (numbers, ids) = (std::mem::take(&mut self.some_numbers), &self.some_ids[..rows * k]);
        let stored = numbers.chunks_exact(k).zip(ids.chunks_exact(k));
        for ((numbers, ids), out) in stored.zip(block.chunks_exact_mut(classes)) {
            self.row += 1;
            let rest = self
                .rest(numbers, ids)
                .map_err(|e| e.at(self.layout.place(self.row - 1)).within(&self.name))?;
            let exactly = |x: f64| {
                let inexact = || InputError::new(format!("{x:?} has no exact {}", T::DTYPE));
                T::exactly(x).ok_or_else(inexact)
            };
            out.fill(exactly(rest)?);
            for (&number, &id) in numbers.iter().zip(ids).filter(|(_, id)| **id != -1.0) {
                let class = class(id, &mut self.seen, self.row).map_err(|e| {
                    e.at(self.ids.layout().place(self.row - 1)).within(&self.ids_name)
                })?;
                out[class] = exactly(number)?;
            }
        }
        self.some_numbers = numbers;
        self.some_ids.drain(..rows * k);
        Ok(rows)
    }

    /// Sees to it that there are ids for so many rows; of none, that there are no more ids either.
    fn read_ids(&mut self, rows: usize) -> Result<(), InputError> {
        let wrong = |reason: String, ids_name: &str| {
            let hint = "every row has an id for each of its numbers";
            Err(InputError::new(reason).within(ids_name).hint(hint))
        };
        let mut more = Vec::new();
        while self.some_ids.len() < rows * self.k || rows == 0 {
            let missing = rows.saturating_sub(self.some_ids.len() / self.k);
            let read = self.ids.next_block(f64::block(&mut more), missing.max(1));
            let read = read.map_err(|error| error.within(&self.ids_name))?;
            self.some_ids.append(&mut more);
            match (rows, read + self.some_ids.len()) {
                (0, 0) => return Ok(()),
                (0, _) => {
                    let reason = format!("more rows of ids than the {} of {}", self.row, self.name);
                    return wrong(reason, &self.ids_name);
                }
                _ if read == 0 => {
                    let done = self.row + (self.some_ids.len() / self.k) as u64;
                    let reason = format!("{done} rows of ids, and {} has more", self.name);
                    return wrong(reason, &self.ids_name);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The logit of each class that is not stored.
    fn rest(&self, numbers: &[f64], ids: &[f64]) -> Result<f64, InputError> {
        if !self.are_log_probabilities {
            return Ok(f64::NEG_INFINITY);
        }
        let there = || numbers.iter().zip(ids).filter(|(_, id)| **id != -1.0).map(|(x, _)| *x);
        let sum: f64 = there().map(libm::exp).sum();
        if sum > 1.0 + tolerance(self.numbers.dtype()) {
            let reason =
                format!("these are no log-probabilities: their exp sums to {sum:.6}, beyond 1");
            return Err(InputError::new(reason)
                .hint("of logits it is not known what is left over: --rest mask"));
        }
        let others = self.layout.classes() - there().count().min(self.layout.classes());
        Ok(match self.rest {
            Rest::Mask => f64::NEG_INFINITY,
            // The roundings of whoever wrote them may leave less than nothing; of a NaN all is NaN, as ever.
            Rest::Even if sum >= 1.0 || others == 0 => f64::NEG_INFINITY,
            Rest::Even => libm::log((1.0 - sum) / others as f64),
        })
    }
}

/// The class that an id means, if it is the first of the row to mean it.
fn class(id: f64, seen: &mut [u64], row: u64) -> Result<usize, InputError> {
    // A float that is no whole number, or none of these, is not the same once it has been one.
    let class = id as usize;
    if class as f64 != id || class >= seen.len() {
        let reason = format!("id {id} is not of a vocabulary of {}, counted from 0", seen.len());
        return Err(InputError::new(reason)
            .hint("--vocabulary says how many classes there are; -1 stands for no class"));
    }
    if seen[class] == row {
        return Err(InputError::new(format!("id {id} twice")).hint("a class has one number"));
    }
    seen[class] = row;
    Ok(class)
}

impl Reader for Spread {
    /// What is left over is f64, whatever the numbers are.
    fn dtype(&self) -> Option<Dtype> {
        match self.rest {
            Rest::Mask => self.numbers.dtype(),
            Rest::Even => Some(Dtype::F64),
        }
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn rows(&self) -> Option<u64> {
        self.numbers.rows()
    }

    fn note(&self) -> Option<String> {
        self.numbers.note()
    }

    fn next_block(&mut self, block: Block, max_rows: usize) -> Result<usize, InputError> {
        with_block!(block, numbers => self.next_rows(numbers, max_rows))
    }
}
