//! Parquet: row groups decoded ahead, by several threads, and handed over in order.
//!
//! ```text
//! directory at the end of the file → schema, rows of each group, sizes compared with that of the file
//! worker w of W: groups w, w + W, w + 2W, …, batch by batch into a channel of its own      decoded ahead: a few batches
//! reader:        group g from the channel of worker g mod W, until that says the group ends
//! ```
//!
//! Memory is bounded by the channels, not by the groups: a batch is decoded when there is room for it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};

use super::cells::list_len;
use super::{Batches, Chosen, contained, damaged};
use crate::input::InputError;
use crate::input::format::Opened;
use crate::input::wanted::Wanted;

/// Numbers in a batch.
const BATCH: usize = 1 << 17;
/// Rows in a batch of which it is not known how long they are.
const ROWS: usize = 1 << 12;
/// Batches that wait in a channel.
const AHEAD: usize = 2;
/// More threads than this decode no faster than rows are worked on.
const MOST_WORKERS: usize = 8;

pub(super) fn open(path: PathBuf, wanted: &Wanted) -> Result<Opened, InputError> {
    let file = File::open(&path).map_err(|e| InputError::io(&e))?;
    let size = file.metadata().map_err(|e| InputError::io(&e))?.len();
    let metadata =
        contained(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(damaged))?;
    let mut rows = 0u64;
    for (at, group) in metadata.metadata().row_groups().iter().enumerate() {
        let fits = |column: &parquet::file::metadata::ColumnChunkMetaData| {
            let (start, length) = column.byte_range();
            start.checked_add(length).is_some_and(|end| end <= size)
        };
        let count = u64::try_from(group.num_rows()).map_err(damaged)?;
        let sound = contained(|| Ok(group.columns().iter().all(fits)))?;
        if !sound {
            return Err(damaged(format!("row group {at} is not within the file")));
        }
        rows = rows.checked_add(count).ok_or_else(|| damaged("more rows than there can be"))?;
    }
    let mut chosen = Chosen::of(metadata.schema(), wanted)?;
    let file = Arc::new(Parquet { path, metadata, columns: chosen.columns.clone() });
    if chosen.classes.is_none() {
        let first = contained(|| file.decode(None, 1)?.next().transpose().map_err(damaged))
            .map_err(|e| e.at_row(0))?;
        chosen.classes = first.and_then(|row| list_len(row.column(0)));
    }
    // A projection keeps the order of the file; batches are put into that of the columns asked for.
    let mut sorted = chosen.columns.clone();
    sorted.sort();
    sorted.dedup();
    let order = chosen.columns.iter().filter_map(|at| sorted.binary_search(at).ok()).collect();
    let batch = chosen.classes.map_or(ROWS, |classes| (BATCH / classes.max(1)).max(1));
    let groups = Groups { file, order, batch, group: 0, workers: Vec::new() };
    chosen.opened(Box::new(groups), None, Some(rows), wanted, "Parquet")
}

/// A file whose directory was read.
struct Parquet {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    columns: Vec<usize>,
}

impl Parquet {
    /// The wanted columns of a row group, or of all, so many rows at a time.
    fn decode(
        &self,
        group: Option<usize>,
        batch: usize,
    ) -> Result<ParquetRecordBatchReader, InputError> {
        // Of its own: threads that share an open file share its position.
        let file = File::open(&self.path).map_err(|e| InputError::io(&e))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), self.columns.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(batch);
        let builder = match group {
            Some(group) => builder.with_row_groups(vec![group]),
            None => builder,
        };
        builder.build().map_err(damaged)
    }
}

/// What a worker sends: a batch, the end of a row group, or why there are no more.
type Sent = Result<Option<RecordBatch>, InputError>;

struct Groups {
    file: Arc<Parquet>,
    order: Vec<usize>,
    /// Rows in a batch.
    batch: usize,
    /// The group whose batches come next.
    group: usize,
    workers: Vec<Receiver<Sent>>,
}

impl Groups {
    /// Starts the workers, unless they are at work. They end with the groups, or when nobody listens.
    fn start(&mut self) -> Result<(), InputError> {
        let groups = self.file.metadata.metadata().num_row_groups();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = cores.min(MOST_WORKERS).min(groups);
        for first in self.workers.len()..count {
            let (send, receive) = sync_channel(AHEAD);
            let (file, batch) = (Arc::clone(&self.file), self.batch);
            let work = move || {
                for group in (first..groups).step_by(count) {
                    if !send_group(&file, group, batch, &send) {
                        return;
                    }
                }
            };
            let started = thread::Builder::new().name("parquet".to_owned()).spawn(work);
            started.map_err(|e| InputError::new(format!("cannot be read: no thread: {e}")))?;
            self.workers.push(receive);
        }
        Ok(())
    }
}

/// Sends the batches of a group and its end; `false` where there is nobody to go on for.
fn send_group(file: &Parquet, group: usize, batch: usize, send: &SyncSender<Sent>) -> bool {
    let within = |error: InputError| error.at(format!("row group {group}"));
    let mut batches = match contained(|| file.decode(Some(group), batch)) {
        Ok(batches) => batches,
        Err(error) => {
            _ = send.send(Err(within(error)));
            return false;
        }
    };
    loop {
        let next = contained(|| batches.next().transpose().map_err(damaged)).map_err(within);
        let (is_end, is_error) = (matches!(next, Ok(None)), next.is_err());
        if send.send(next).is_err() || is_error {
            return false;
        }
        if is_end {
            return true;
        }
    }
}

impl Batches for Groups {
    fn advance(&mut self) -> Result<Option<RecordBatch>, InputError> {
        self.start()?;
        while self.group < self.file.metadata.metadata().num_row_groups() {
            let worker = &self.workers[self.group % self.workers.len()];
            let sent = worker.recv().map_err(|_| damaged("it could not be decoded"))?;
            match sent? {
                Some(batch) => return batch.project(&self.order).map(Some).map_err(damaged),
                None => self.group += 1,
            }
        }
        Ok(None)
    }
}
