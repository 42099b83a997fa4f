//! A file gone through without being held: the next blocks are read while one is worked on.
//!
//! ```text
//! reader:   empty buffer → decode the next rows into it → filled        a thread of its own
//! visitor:  filled, in order → visit → empty again                      the calling thread, and rayon's
//! sample:   runs of rows from all over the file, the same ones in every format; a part: longer ones
//! ```
//!
//! No more than [`AHEAD`] buffers go round, so that memory is bounded whichever of the two is slower. Each gives up
//! when the other is gone: a channel that nobody holds the other end of is an error, not a wait. What is wrong
//! with a block is said after the blocks before it were visited, as if both were done in turn.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use softargmax::{Error, Prior, TemperatureFit, TemperatureSolver};

use super::block::Numbers;
use super::content::Looks;
use super::{BLOCK, Block, Labelled};
use crate::error::CliError;
use crate::input::Source;
use crate::progress::Progress;

/// Buffers: one that is worked on, one that waits, one that is read into.
const AHEAD: usize = 3;
/// Numbers in a sample, at least one row: 32 MiB of f32. A file that is not held has eight times as many.
const SAMPLE: usize = 1 << 23;
/// Places that a sample or a part is taken from; of rows that are sorted by class, one run would know one class.
const RUNS: usize = 64;

/// Rows of a file: the first `length` of every `stride`.
#[derive(Clone, Copy)]
struct Runs {
    length: usize,
    stride: usize,
}

impl Labelled {
    /// Shows every row of the file to `visit`: see [`Labelled::pass`].
    pub(super) fn read_ahead(
        &mut self,
        visit: impl FnMut(Block) -> Result<(), Error>,
    ) -> Result<(), CliError> {
        let rows = self.rows().max(1);
        let looks = self.read_runs(Runs { length: rows, stride: rows }, visit)?;
        self.looks.get_or_insert(looks);
        Ok(())
    }

    /// Shows one of every so many rows to `visit`, the same ones in every format. The runs are long, since a disk
    /// reads on behind each of them.
    pub(crate) fn pass_over_part(
        &self,
        every: usize,
        visit: impl FnMut(Block) -> Result<(), Error>,
    ) -> Result<(), CliError> {
        let stride = (self.rows() / RUNS).max(1);
        self.read_runs(Runs { length: stride.div_ceil(every), stride }, visit).map(drop)
    }

    /// Rows of a block.
    fn block_rows(&self) -> usize {
        (BLOCK / self.classes).max(1)
    }

    fn read_runs(
        &self,
        runs: Runs,
        mut visit: impl FnMut(Block) -> Result<(), Error>,
    ) -> Result<Looks, CliError> {
        thread::scope(|scope| {
            let (fill, filled) = sync_channel(AHEAD);
            let (give_back, empty) = sync_channel(AHEAD);
            for _ in 0..AHEAD {
                give_back
                    .send(Numbers::with_capacity(self.dtype, 0))
                    .map_err(CliError::internal)?;
            }
            let reader = scope.spawn(move || self.fill(runs, &empty, &fill));
            let wanted = self.rows().div_ceil(runs.stride).saturating_mul(runs.length);
            let mut progress = Progress::new(Some(wanted.min(self.rows()) as u64));
            for (first, numbers) in filled {
                let block = self.block(&numbers, first);
                let rows = block.rows as u64;
                visit(block).map_err(|error| self.refuse(first, error))?;
                progress.advance(rows);
                // Nobody takes it where the file has ended.
                _ = give_back.send(numbers);
            }
            reader.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Reads the file to its end, or until nobody wants more; each block goes out with the number of its first row.
    fn fill(
        &self,
        runs: Runs,
        empty: &Receiver<Numbers>,
        fill: &SyncSender<(usize, Numbers)>,
    ) -> Result<Looks, CliError> {
        let mut source = self.open_again()?;
        let mut looks = Looks::UNKNOWN;
        let mut first = 0;
        for mut numbers in empty {
            // A block may end before its run, where a file of several does.
            let max_rows = self.block_rows().min(runs.length - first % runs.stride);
            let rows = self.next_block(&mut source, &mut numbers, first, max_rows, &mut looks)?;
            if rows == 0 {
                break;
            }
            if first + rows > self.rows() {
                return Err(self.changed());
            }
            if fill.send((first, numbers)).is_err() {
                return Ok(looks);
            }
            first += rows;
            if first % runs.stride >= runs.length {
                let next = first.next_multiple_of(runs.stride).min(self.rows());
                self.skip_to(next, &mut first, &mut source)?;
            }
        }
        if first == self.rows() { Ok(looks) } else { Err(self.changed()) }
    }

    /// Goes on to the row `next` of the file, from the row `at`.
    fn skip_to(&self, next: usize, at: &mut usize, source: &mut Source) -> Result<(), CliError> {
        let mut between = Numbers::with_capacity(self.dtype, 0);
        let mut looks = Looks::UNKNOWN;
        while *at < next {
            // What cannot be sought in is read, so that the rows are the same in every format.
            let read = match source.skip_rows(next - *at)? {
                0 => {
                    let most = (next - *at).min(self.block_rows());
                    self.next_block(source, &mut between, *at, most, &mut looks)?
                }
                skipped => skipped,
            };
            if read == 0 {
                return Err(self.changed());
            }
            *at += read;
        }
        Ok(())
    }

    /// What a sample of the rows gives: where to begin with all. `None` also because of rows that are refused:
    /// whoever goes through the file will meet the first of those.
    pub(crate) fn fit_sample(&self, prior: Option<Prior>) -> Option<TemperatureFit> {
        let sample = self.sample().ok()?;
        let mut solver = TemperatureSolver::new(self.classes, prior);
        while let Some(mut scan) = solver.next_scan() {
            for (first, numbers) in &sample {
                self.block(numbers, *first).add_to(&mut scan, &|_| true).ok()?;
            }
            solver.take(&scan);
        }
        Some(solver.fit())
    }

    /// Runs of rows, each with the number of its first.
    fn sample(&self) -> Result<Vec<(usize, Numbers)>, CliError> {
        let wanted = (SAMPLE / self.classes).clamp(1, self.rows().max(1));
        let count = RUNS.min(wanted);
        let length = wanted.div_ceil(count);
        let runs = Runs { length, stride: (self.rows() / count).max(length) };
        let mut sample = Vec::with_capacity(count);
        self.read_runs(runs, |block| {
            sample.push((block.first, block.numbers.clone()));
            Ok(())
        })?;
        Ok(sample)
    }

    fn open_again(&self) -> Result<Source, CliError> {
        let source = Source::open(&self.path, &self.read_by)?;
        if source.classes() == self.classes { Ok(source) } else { Err(self.changed()) }
    }
}
