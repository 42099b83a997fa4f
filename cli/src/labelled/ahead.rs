//! A file gone through without being held: the next blocks are read while one is worked on.
//!
//! ```text
//! reader:   empty buffer → decode the next rows into it → filled        a thread of its own
//! visitor:  filled, in order → visit → empty again                      the calling thread, and rayon's
//! sample:   runs of rows from all over the file, the same ones in every format
//! ```
//!
//! No more than [`AHEAD`] buffers go round, so that memory is bounded whichever of the two is slower. Each gives up
//! when the other is gone: a channel that nobody holds the other end of is an error, not a wait. What is wrong
//! with a block is said after the blocks before it were visited, as if both were done in turn.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use softargmax::{Error, Prior, Temperature, TemperatureSolver};

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
/// Places that a sample is taken from; of rows that are sorted by class, one run would know one class.
const RUNS: usize = 64;

impl Labelled {
    /// Shows every row of the file to `visit`: see [`Labelled::pass`].
    pub(super) fn read_ahead(
        &mut self,
        mut visit: impl FnMut(Block) -> Result<(), Error>,
    ) -> Result<(), CliError> {
        let labelled: &Labelled = self;
        let looks = thread::scope(|scope| {
            let (fill, filled) = sync_channel(AHEAD);
            let (give_back, empty) = sync_channel(AHEAD);
            for _ in 0..AHEAD {
                give_back
                    .send(Numbers::with_capacity(labelled.dtype, 0))
                    .map_err(CliError::internal)?;
            }
            let reader = scope.spawn(move || labelled.fill(&empty, &fill));
            let mut progress = Progress::new(Some(labelled.rows() as u64));
            for (first, numbers) in filled {
                let block = labelled.block(&numbers, first);
                let rows = block.rows as u64;
                visit(block).map_err(|error| labelled.refuse(first, error))?;
                progress.advance(rows);
                // Nobody takes it where the file has ended.
                _ = give_back.send(numbers);
            }
            reader.join().unwrap_or_else(|panic| resume_unwind(panic))
        })?;
        self.looks.get_or_insert(looks);
        Ok(())
    }

    /// Reads the file to its end, or until nobody wants more; each block goes out with the number of its first row.
    fn fill(
        &self,
        empty: &Receiver<Numbers>,
        fill: &SyncSender<(usize, Numbers)>,
    ) -> Result<Looks, CliError> {
        let mut source = self.open_again()?;
        let mut looks = Looks::UNKNOWN;
        let mut first = 0;
        for mut numbers in empty {
            let max_rows = (BLOCK / self.classes).max(1);
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
        }
        if first == self.rows() { Ok(looks) } else { Err(self.changed()) }
    }

    /// The temperature that a sample of the rows gives: where to begin with that of all. `None` where it gives none,
    /// also because of rows that are refused: whoever goes through the file will meet the first of those.
    pub(crate) fn near_temperature(&self, prior: Option<Prior>) -> Option<Temperature> {
        let sample = self.sample().ok()?;
        let mut solver = TemperatureSolver::new(self.classes, prior);
        while let Some(mut scan) = solver.next_scan() {
            for (first, numbers) in &sample {
                self.block(numbers, *first).add_to(&mut scan, &|_| true).ok()?;
            }
            solver.take(&scan);
        }
        solver.fit().estimate.map(|estimate| estimate.temperature)
    }

    /// Runs of rows, each with the number of its first.
    fn sample(&self) -> Result<Vec<(usize, Numbers)>, CliError> {
        let mut source = self.open_again()?;
        let wanted = (SAMPLE / self.classes).clamp(1, self.rows().max(1));
        let runs = RUNS.min(wanted);
        let (length, stride) = (wanted.div_ceil(runs), self.rows() / runs);
        let mut sample = Vec::with_capacity(runs);
        let (mut taken, mut next, mut looks) = (0, 0, Looks::UNKNOWN);
        let mut between = Numbers::with_capacity(self.dtype, 0);
        while taken < wanted {
            let start = sample.len() * stride;
            while next < start {
                // What cannot be sought in is read, so that the sample is the same rows in every format.
                let read = match source.skip_rows(start - next)? {
                    0 => {
                        let most = (start - next).min(BLOCK / self.classes).max(1);
                        self.next_block(&mut source, &mut between, next, most, &mut looks)?
                    }
                    skipped => skipped,
                };
                if read == 0 {
                    return Err(self.changed());
                }
                next += read;
            }
            let mut numbers = Numbers::with_capacity(self.dtype, 0);
            let rows = self.next_block(&mut source, &mut numbers, next, length, &mut looks)?;
            if rows == 0 {
                break;
            }
            if next + rows > self.rows() {
                return Err(self.changed());
            }
            sample.push((next, numbers));
            (taken, next) = (taken + rows, next + rows);
        }
        Ok(sample)
    }

    fn open_again(&self) -> Result<Source, CliError> {
        let source = Source::open(&self.path, &self.read_by)?;
        if source.classes() == self.classes { Ok(source) } else { Err(self.changed()) }
    }
}
