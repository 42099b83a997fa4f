//! Logits with what their rows should have been, gone through as often as needed.
//!
//! ```text
//! open:  header of the logits → labels, weights, groups, held in memory → counts compared
//!        the logits: held if they fit, else read again from the file at every pass
//! pass:  block of rows → logits → visitor, together with their labels and weights
//! ```
//!
//! f16 and f32 are worked in as f32, everything else as f64; so are logits with labels that are shares.

mod ahead;
mod block;
mod content;

use std::path::{Path, PathBuf};

use softargmax::Error;

use crate::args::{Content, LabelledArgs};
use crate::error::CliError;
use crate::input::{
    Beside, Dtype, Groups, IGNORED, LabelOptions, Labels, Layout, Place, ReadOptions, Source,
    read_class_names, read_weights,
};
use block::Numbers;
pub(crate) use block::{Block, Keep};
use content::Looks;
pub(crate) use content::Reading;

/// Logits of at most this many bytes are held in memory: 256 MiB.
const HELD: usize = 1 << 28;
/// The same where they can be read only once, or all are needed at a time: 1 GiB.
const HELD_AT_MOST: usize = 1 << 30;
/// Numbers read at a time: with three such blocks under way, much of them is still in the cache when it is used.
const BLOCK: usize = 1 << 19;

/// Rows of logits with their labels.
pub(crate) struct Labelled {
    name: String,
    path: PathBuf,
    layout: Layout,
    classes: usize,
    dtype: Dtype,
    pub(crate) read_by: ReadOptions,
    reading: Reading,
    pub(crate) labels: Labels,
    /// One for every row.
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) groups: Option<Groups>,
    held: Option<Numbers>,
    /// Known once all rows were seen.
    looks: Option<Looks>,
}

impl Labelled {
    /// Opens what the arguments name. With `all_at_once`, everything is held or refused.
    pub(crate) fn open(
        args: &LabelledArgs,
        groups: Option<&Path>,
        all_at_once: bool,
    ) -> Result<Self, CliError> {
        let must_hold = all_at_once || Place::of(&args.logits).is_read_once();
        Self::open_within(if must_hold { HELD_AT_MOST } else { HELD }, args, groups, all_at_once)
    }

    /// The same, with at most so many bytes of logits in memory.
    pub(crate) fn open_within(
        limit: usize,
        args: &LabelledArgs,
        groups: Option<&Path>,
        all_at_once: bool,
    ) -> Result<Self, CliError> {
        if args.epsilon.is_some() && args.input != Content::Probabilities {
            return Err(CliError::refused("--epsilon is for --input probabilities")
                .hint("of logits, none is exactly 0"));
        }
        let epsilon = args.epsilon.unwrap_or(0.0);
        if !(0.0..=0.5).contains(&epsilon) {
            return Err(CliError::refused(format!("--epsilon {epsilon} is not between 0 and 0.5")));
        }
        let top_k = args.top_k.top_k(args.input == Content::LogProbabilities)?;
        if top_k.is_some() && args.input == Content::Probabilities {
            return Err(CliError::refused("--ids is not for --input probabilities").hint(
                "take their logarithms: --rest even wants those, --rest mask has use for them",
            ));
        }
        // Of some log-probabilities the reader sees what they sum to; of all classes they may not sum to 1.
        let content = if top_k.is_some() { Content::Logits } else { args.input };
        let read_by = ReadOptions { top_k, ..ReadOptions::default() };
        let source = Source::open(&args.logits, &read_by)?;
        let (layout, classes) = (source.layout().clone(), source.classes());
        let beside = Beside { logits: &args.logits, shape: layout.shape(), classes };
        let names = match &args.classes {
            Some(path) => Some(read_class_names(path, classes)?),
            None => source.class_names().map(<[String]>::to_vec),
        };
        let options = LabelOptions { ignored: args.ignore_label, names: names.as_deref() };
        let labels = Labels::read(&args.labels, &options, &beside)?;
        let weights = args.weights.as_deref().map(|path| read_weights(path, &beside));
        let weights = weights.transpose()?;
        let rows = match &labels {
            Labels::Classes(classes) => classes.len(),
            Labels::Shares(shares) => shares.len() / classes,
        };
        let of_groups = groups;
        let groups = groups.map(|path| Groups::read(path, "groups", Some(rows), &[], &beside));
        let groups = groups.transpose()?;

        let is_narrow = matches!(source.dtype(), Dtype::F16 | Dtype::F32);
        let is_plain = content == Content::Logits && matches!(labels, Labels::Classes(_));
        let reading = Reading { content, epsilon, tolerance: source.tolerance() };
        let mut labelled = Labelled {
            name: source.name().to_owned(),
            path: args.logits.clone(),
            layout,
            classes,
            dtype: if is_narrow && is_plain { Dtype::F32 } else { Dtype::F64 },
            read_by,
            reading,
            labels,
            weights,
            groups,
            held: None,
            looks: None,
        };
        let beside = [
            (args.weights.as_deref(), labelled.weights.as_ref().map(Vec::len), "weights"),
            (of_groups, labelled.groups.as_ref().map(|g| g.of_rows.len()), "groups"),
        ];
        for (path, count, what) in beside {
            if let (Some(path), Some(count)) = (path, count)
                && count != rows
            {
                let [labels, path] =
                    [&args.labels, path].map(|path| Place::name_beside(path, &args.logits));
                return Err(CliError::refused(format!(
                    "{path} has {count} {what}, and {labels} has {rows} labels"
                ))
                .hint("one for every row of logits, in the same order"));
            }
        }
        if let Some(count) = source.rows() {
            labelled.expect_rows(count, &args.labels)?;
        }
        labelled.hold(source, limit, all_at_once, &args.labels)?;
        Ok(labelled)
    }

    /// What the logits are called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// What the numbers are, and how they become logits.
    pub(crate) fn reading(&self) -> Reading {
        self.reading
    }

    /// How many rows there are, ignored ones among them.
    pub(crate) fn rows(&self) -> usize {
        match &self.labels {
            Labels::Classes(classes) => classes.len(),
            Labels::Shares(shares) => shares.len() / self.classes,
        }
    }

    /// Whether a row has a label and a weight.
    pub(crate) fn counts(&self, row: usize) -> bool {
        let is_weighty = self.weights.as_ref().is_none_or(|weights| weights[row] > 0.0);
        match &self.labels {
            Labels::Classes(classes) => classes[row] != IGNORED && is_weighty,
            Labels::Shares(_) => is_weighty,
        }
    }

    /// The name of a row: `row 17`.
    pub(crate) fn place(&self, row: u64) -> String {
        self.layout.place(row)
    }

    /// All rows as one block, if they are held in memory.
    pub(crate) fn all(&self) -> Option<Block<'_>> {
        self.held.as_ref().map(|numbers| self.block(numbers, 0))
    }

    /// Shows every row to `visit`, in order, a block at a time. What the library refuses, it refuses of a
    /// row of the block; here it becomes the row of the file.
    pub(crate) fn pass(
        &mut self,
        mut visit: impl FnMut(Block) -> Result<(), Error>,
    ) -> Result<(), CliError> {
        if let Some(numbers) = &self.held {
            return visit(self.block(numbers, 0)).map_err(|error| self.refuse(0, error));
        }
        self.read_ahead(visit)
    }

    /// Warns where the numbers look as if they were something else than was said; at the end of a run.
    pub(crate) fn note_looks(&self) {
        let is_plain = self.reading.content == Content::Logits && self.read_by.top_k.is_none();
        let Some(looks) = self.looks.filter(|_| is_plain) else { return };
        // A single class is 1, always, and of 0 rows nothing is known.
        if self.rows() == 0 || self.classes == 1 {
            return;
        }
        let name = &self.name;
        if looks.probabilities {
            anstream::eprintln!(
                "warning: {name}: every row lies between 0 and 1 and sums to 1: these look like \
                 probabilities, and were read as logits\nhint: add --input probabilities"
            );
        } else if looks.log_probabilities {
            anstream::eprintln!(
                "note: {name}: these look like log-probabilities; as logits they mean the same"
            );
        }
    }

    fn block<'a>(&'a self, numbers: &'a Numbers, first: usize) -> Block<'a> {
        let rows = numbers.len() / self.classes;
        Block {
            first,
            classes: self.classes,
            numbers,
            labels: &self.labels,
            weights: self.weights.as_deref().map(|weights| &weights[first..first + rows]),
            groups: self.groups.as_ref().map(|groups| &groups.of_rows[first..first + rows]),
            group_names: self.groups.as_ref().map_or(&[], |groups| &groups.names),
            rows,
        }
    }

    /// Reads the logits into memory, as far as there is room for them.
    fn hold(
        &mut self,
        mut source: Source,
        limit: usize,
        all_at_once: bool,
        labels: &Path,
    ) -> Result<(), CliError> {
        let size = self.rows().saturating_mul(self.classes).saturating_mul(self.dtype.size());
        let too_large = |name: &str| {
            CliError::refused(format!(
                "{name}: more than the {limit} bytes that are held in memory"
            ))
        };
        if size > limit {
            return match (all_at_once, Place::of(&self.path).is_read_once()) {
                (true, _) => Err(too_large(&self.name)
                    .hint("take some of the rows: the answer will hardly differ")),
                (_, true) => Err(too_large(&self.name).hint("save it as a file and name that")),
                // CSV has its rows counted in the first pass.
                (false, false) => Ok(()),
            };
        }
        let mut all = Numbers::with_capacity(self.dtype, self.rows() * self.classes);
        let mut block = Numbers::with_capacity(self.dtype, 0);
        let mut looks = Looks::UNKNOWN;
        let max_rows = (BLOCK / self.classes).max(1);
        let mut rows = 0;
        loop {
            let read = self.next_block(&mut source, &mut block, rows, max_rows, &mut looks)?;
            if read == 0 {
                break;
            }
            rows += read;
            // Beyond the last label there is nothing to hold, only to count.
            if rows <= self.rows() {
                all.append(&block);
            }
        }
        source.note_guesses();
        self.expect_rows(rows as u64, labels)?;
        // Written out, numbers have no type: they get that of a file of numbers that has the same.
        let is_plain =
            self.reading.content == Content::Logits && matches!(self.labels, Labels::Classes(_));
        self.held = Some(if source.is_text() && is_plain { all.narrowed() } else { all });
        self.looks = Some(looks);
        Ok(())
    }

    /// Reads the next rows; `first` is the number of the first of them.
    fn next_block(
        &self,
        source: &mut Source,
        numbers: &mut Numbers,
        first: usize,
        max_rows: usize,
        looks: &mut Looks,
    ) -> Result<usize, CliError> {
        let Reading { content, tolerance, .. } = self.reading;
        let rows = match numbers {
            Numbers::F32(block) => {
                let rows = source.next_block(block, max_rows)?;
                looks.see(block, self.classes, tolerance);
                rows
            }
            Numbers::F64(block) => {
                let rows = source.next_block(block, max_rows)?;
                if content == Content::Logits {
                    looks.see(block, self.classes, tolerance);
                }
                let read = self.reading.to_logits(block, self.classes);
                read.map_err(|(at, reason)| {
                    self.refused(first + at, &reason).hint("--input says what the numbers are")
                })?;
                rows
            }
        };
        Ok(rows)
    }

    fn expect_rows(&self, count: u64, labels: &Path) -> Result<(), CliError> {
        if count == self.rows() as u64 {
            return Ok(());
        }
        let labels = Place::name_beside(labels, &self.path);
        let (name, rows) = (&self.name, self.rows());
        let s = |count| if count == 1 { "" } else { "s" };
        Err(CliError::refused(format!(
            "{name} has {count} row{} of logits, and {labels} has {rows} label{}",
            s(count),
            s(rows as u64)
        ))
        .hint("one label for every row, in the same order"))
    }

    /// What the library refused, with the row of the file in place of that of a block.
    pub(crate) fn refuse(&self, first: usize, error: Error) -> CliError {
        match error {
            Error::Row { row, reason } => self
                .refused(first + row, reason)
                .hint("leave the row out, or give it the label that --ignore-label names"),
            error => CliError::refused(format!("{}: {error}", self.name)),
        }
    }

    fn refused(&self, row: usize, reason: &str) -> CliError {
        let place = self.layout.place(row as u64);
        CliError::refused(format!("{}: {place}: {reason}", self.name))
    }

    fn changed(&self) -> CliError {
        CliError::refused(format!(
            "{}: it has not the {} rows of {} classes that it needs: one for every label",
            self.name,
            self.rows(),
            self.classes
        ))
        .hint("count its lines; and nothing must write to it meanwhile")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TopKArgs;
    use softargmax::{Scan, Temperature};

    /// Rows of three classes whose numbers are in no order, a label for each, and a weight.
    fn files(folder: &Path, rows: usize) -> LabelledArgs {
        let number = |i: usize| (i * 7919 % 1009) as f64 / 100.0 - 5.0;
        let line = |row: usize| {
            format!("{},{},{}\n", number(3 * row), number(3 * row + 1), number(3 * row + 2))
        };
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        LabelledArgs {
            logits: write("logits.csv", (0..rows).map(line).collect()),
            labels: write(
                "labels.csv",
                (0..rows).map(|row| format!("{}\n", row % 4 - row % 4 / 3)).collect(),
            ),
            input: Content::Logits,
            epsilon: None,
            weights: Some(write(
                "weights.csv",
                (0..rows).map(|row| format!("{}\n", row % 5)).collect(),
            )),
            ignore_label: Some(0),
            classes: None,
            top_k: TopKArgs::default(),
        }
    }

    #[test]
    fn a_file_that_is_not_held_gives_the_same_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        // More than one block.
        let rows = BLOCK / 3 + 1000;
        let args = files(folder.path(), rows);
        let keep = |row: usize| !row.is_multiple_of(7);
        let scan = |limit| {
            let mut labelled = Labelled::open_within(limit, &args, None, false).expect("opens");
            let mut scan = Scan::new(3, &[Temperature::ONE]);
            let mut scores = Vec::new();
            let mut blocks = 0;
            labelled
                .pass(|block| {
                    blocks += 1;
                    scores.extend(block.scores(&keep, Temperature::ONE.into())?);
                    block.add_to(&mut scan, &keep)
                })
                .expect("passes");
            assert_eq!(labelled.all().is_some(), limit > 0);
            assert_eq!(blocks, if limit > 0 { 1 } else { 2 });
            (scan, scores)
        };
        let ((held, held_scores), (streamed, streamed_scores)) = (scan(HELD), scan(0));
        assert!(held == streamed && held_scores == streamed_scores);
        let counting = (0..rows).filter(|row| keep(*row) && row % 5 > 0 && row % 4 > 0).count();
        assert_eq!((held.rows(), held_scores.len()), (counting as u64, counting));
    }

    #[test]
    fn a_file_that_is_not_held_is_counted_as_it_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let args = files(folder.path(), 100);
        for (labels, word) in [(99, "99 rows"), (101, "101 rows")] {
            std::fs::write(&args.labels, "1\n".repeat(labels)).expect("written");
            std::fs::write(args.weights.as_ref().expect("weights"), "1\n".repeat(labels))
                .expect("written");
            let mut labelled = Labelled::open_within(0, &args, None, false).expect("opens");
            let error = labelled.pass(|_| Ok(())).expect_err("refused").to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    /// Whichever side stops first, the other does too, and what comes first in the file is what is said.
    #[test]
    fn reading_ahead_stops_when_either_side_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = 9 * (BLOCK / 3);
        let args = files(folder.path(), rows);
        let mut labelled = Labelled::open_within(0, &args, None, false).expect("opens");
        let mut seen = 0;
        let refused = labelled.pass(|block| {
            seen += 1;
            let reason = "enough";
            if block.first > 0 { Err(Error::Row { row: 1, reason }) } else { Ok(()) }
        });
        let error = refused.expect_err("refused").to_string();
        assert!(seen == 2 && error.contains(&format!("row {}: enough", BLOCK / 3 + 1)), "{error}");

        // A line that is no number, in a block that is read while an earlier one is worked on.
        let text = std::fs::read_to_string(&args.logits).expect("read");
        let cut = text.lines().take(5 * (BLOCK / 3)).map(|line| line.len() + 1).sum();
        std::fs::write(&args.logits, format!("{}x,1,2\n", &text[..cut])).expect("written");
        let mut rows = 0;
        let refused = labelled.pass(|block| {
            rows += block.rows;
            Ok(())
        });
        let error = refused.expect_err("refused").to_string();
        assert!(rows == 5 * (BLOCK / 3) && error.contains(&format!("row {rows}")), "{error}");
    }

    /// Of rows sorted by what they need, the first ones know nothing of the last.
    #[test]
    fn a_sample_is_from_all_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = 1 << 17;
        let mut args = files(folder.path(), rows);
        // 64 classes: the sample has as many rows as the file. 256: a quarter of them.
        for classes in [64, 256] {
            let scale = |row: usize| (1 + 3 * (row >= rows / 2) as usize) as f32;
            let number = |i: usize| {
                let (row, class) = (i / classes, i % classes);
                if class == 0 { 4.0 * scale(row) } else { 0.0 }
            };
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            let header = format!(
                "{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {classes}), }}\n"
            );
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            (0..rows * classes).for_each(|i| bytes.extend(number(i).to_le_bytes()));
            args.logits = folder.path().join("logits.npy");
            std::fs::write(&args.logits, bytes).expect("written");
            let label = |row: usize| format!("{}\n", row * 7919 % 1009 % 2);
            std::fs::write(&args.labels, (0..rows).map(label).collect::<String>())
                .expect("written");
            (args.weights, args.ignore_label) = (None, None);
            let labelled = Labelled::open_within(0, &args, None, false).expect("opens");
            let near = labelled.fit_sample(None).expect("a fit");
            let near = near.estimate.expect("a temperature").temperature.tau();
            let held = Labelled::open(&args, None, false).expect("opens");
            let fit = held.all().expect("held").fit(&|_| true, None).expect("fits");
            let tau = fit.estimate.expect("a temperature").temperature.tau();
            assert!((near / tau - 1.0).abs() < 0.04, "{near} {tau}");
        }
    }
}
