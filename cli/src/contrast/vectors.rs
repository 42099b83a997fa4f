//! Vectors from files: held, or a block at a time; checked as they come.

use std::path::{Path, PathBuf};

use softargmax::{ContrastCurve, Error, Rows, Vectors};

use crate::error::CliError;
use crate::input::{Beside, Groups, Layout, Place, ReadOptions, Source};

/// The most numbers held of one file: 1 GiB.
const LIMIT: usize = 1 << 27;
/// Numbers read at a time: 8 MiB.
const BLOCK: usize = 1 << 20;

/// All vectors of a file.
pub(super) struct Held {
    path: PathBuf,
    pub(super) name: String,
    pub(super) numbers: Vec<f64>,
    pub(super) width: usize,
    /// For the places of labels beside it.
    shape: Vec<usize>,
}

impl Held {
    pub(super) fn read(path: &Path, how: Vectors) -> Result<Self, CliError> {
        let mut source = Source::open(path, &ReadOptions::default())?;
        let (name, width) = (source.name().to_owned(), source.classes());
        let (mut numbers, mut block, mut rows) = (Vec::new(), Vec::new(), 0);
        while source.next_block::<f64>(&mut block, (BLOCK / width).max(1))? > 0 {
            if numbers.len() + block.len() > LIMIT {
                return Err(CliError::refused(format!(
                    "{name}: more than the {LIMIT} numbers that are held in memory"
                ))
                .hint("take some of the pairs: the figures will hardly differ"));
            }
            let vectors = Rows::new(&block, width).map_err(CliError::internal)?;
            // At no temperature at all, the vectors are only checked.
            let checked = ContrastCurve::new(vectors, vectors, &[], how);
            checked.map_err(|error| refuse(&name, source.layout(), rows, error))?;
            numbers.extend_from_slice(&block);
            rows += vectors.rows();
        }
        source.note_guesses();
        if numbers.is_empty() {
            return Err(CliError::refused(format!("{name}: no rows, so there is no loss")));
        }
        let mut shape = source.layout().shape().to_vec();
        if source.rows().is_none() {
            shape = vec![rows, width];
        }
        Ok(Held { path: path.to_owned(), name, numbers, width, shape })
    }

    pub(super) fn rows(&self) -> Result<Rows<'_, f64>, CliError> {
        Rows::new(&self.numbers, self.width).map_err(CliError::internal)
    }

    pub(super) fn count(&self) -> usize {
        self.numbers.len() / self.width
    }

    /// One class for each vector, counted in the order they come in; the names of `known` come first.
    pub(super) fn labels(&self, path: &Path) -> Result<Classes, CliError> {
        let beside = Beside { logits: &self.path, shape: &self.shape, classes: self.width };
        let classes = Classes::read(path, self.count(), &beside)?;
        expect(path, classes.of_rows.len(), &self.name, self.count())?;
        Ok(classes)
    }
}

/// Classes of rows, and their names.
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    pub(super) of_rows: Vec<i64>,
}

impl Classes {
    pub(super) fn read(path: &Path, rows: usize, beside: &Beside) -> Result<Self, CliError> {
        let groups = Groups::read(path, "labels of vectors", Some(rows), &[], beside)?;
        let of_rows = groups.of_rows.iter().map(|&group| group as i64).collect();
        Ok(Classes { names: groups.names, of_rows })
    }

    /// The same classes under the numbers that `others` gives their names; new names get new numbers.
    pub(super) fn numbered_as(&self, others: &Classes) -> Vec<i64> {
        let number = |(i, name): (usize, &String)| {
            let known = others.names.iter().position(|other| other == name);
            known.unwrap_or(others.names.len() + i) as i64
        };
        let numbers: Vec<i64> = self.names.iter().enumerate().map(number).collect();
        self.of_rows.iter().map(|&class| numbers[class as usize]).collect()
    }
}

/// Negatives that are gone through in blocks.
pub(super) struct Negatives<'a> {
    pub(super) path: &'a Path,
    pub(super) count: usize,
    pub(super) labels: Option<Vec<i64>>,
}

impl Negatives<'_> {
    /// Shows every block to `visit`, with the number of its first row.
    pub(super) fn pass(
        &self,
        width: usize,
        mut visit: impl FnMut(Rows<'_, f64>, usize) -> Result<(), Error>,
    ) -> Result<(), CliError> {
        let mut source = Source::open(self.path, &ReadOptions::default())?;
        // Blocks on the boundaries of the library's own, so that they do not show in the last bits.
        let most = (BLOCK / width).max(1);
        let most = if most > 512 { most / 512 * 512 } else { most };
        let (mut block, mut rows) = (Vec::new(), 0);
        while source.next_block::<f64>(&mut block, most)? > 0 {
            let vectors = Rows::new(&block, width).map_err(CliError::internal)?;
            if rows + vectors.rows() > self.count {
                break;
            }
            let visited = visit(vectors, rows);
            visited.map_err(|error| refuse(source.name(), source.layout(), rows, error))?;
            rows += vectors.rows();
        }
        if rows != self.count {
            let (name, count) = (source.name(), self.count);
            return Err(CliError::refused(format!("{name}: it no longer has {count} rows"))
                .hint("nothing must write to it meanwhile"));
        }
        Ok(())
    }
}

/// How many vectors a file has, and of what width; `-` cannot be gone through again.
pub(super) fn measure(path: &Path) -> Result<(usize, Layout), CliError> {
    if Place::of(path).is_read_once() {
        let name = path.display();
        return Err(CliError::refused(format!("{name}: negatives are gone through twice"))
            .hint("save them as a file and name that"));
    }
    let mut source = Source::open(path, &ReadOptions::default())?;
    let width = source.classes();
    let count = match source.rows() {
        Some(rows) => rows as usize,
        None => {
            let (mut block, mut rows) = (Vec::new(), 0);
            loop {
                match source.next_block::<f64>(&mut block, (BLOCK / width).max(1))? {
                    0 => break rows,
                    read => rows += read,
                }
            }
        }
    };
    source.note_guesses();
    Ok((count, source.layout().clone()))
}

/// The file must have one thing for every row.
pub(super) fn expect(path: &Path, got: usize, of: &str, rows: usize) -> Result<(), CliError> {
    if got == rows {
        return Ok(());
    }
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let path = path.display();
    Err(CliError::refused(format!(
        "{path} has {got} label{}, and {of} has {rows} row{}",
        s(got),
        s(rows)
    ))
    .hint("one for every row, in the same order"))
}

/// What the library refused of a block that begins with row `first` of a file.
fn refuse(name: &str, layout: &Layout, first: usize, error: Error) -> CliError {
    match error {
        Error::Row { row, reason } => {
            let place = layout.place((first + row) as u64);
            let refused = CliError::refused(format!("{name}: {place}: {reason}"));
            match reason {
                "its length is not 1" => {
                    refused.hint("--normalise divides vectors by their lengths")
                }
                _ => refused.hint("leave the row out, and what belongs to it in the other files"),
            }
        }
        error => CliError::refused(format!("{name}: {error}")),
    }
}
