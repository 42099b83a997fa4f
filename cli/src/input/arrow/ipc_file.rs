//! Arrow IPC, the file: its directory says where each batch is.
//!
//! A file looks like a stream between its magic and its directory, but not every writer makes it one (polars does not),
//! so that a file on a pipe may be refused. Places and lengths are compared with the size of the file before memory
//! is asked for.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer};

use super::{Batches, Chosen, contained, damaged};
use crate::input::InputError;
use crate::input::format::Opened;
use crate::input::wanted::Wanted;

pub(super) fn open(path: &Path, wanted: &Wanted) -> Result<Opened, InputError> {
    let mut bytes = Bytes::open(path)?;
    let size = bytes.size;
    let tail = bytes.read(size.saturating_sub(10), 10)?;
    let tail = tail.as_slice().try_into().map_err(damaged)?;
    let length = read_footer_length(tail).map_err(|_| damaged("it has no directory at its end"))?;
    let start = (size - 10).checked_sub(length as u64);
    let start = start.ok_or_else(|| damaged("its directory is larger than the file"))?;
    let footer = bytes.read(start, length as u64)?;
    let (mut blocks, chosen) = contained(|| {
        let footer = root_as_footer(&footer).map_err(damaged)?;
        let schema = footer.schema().ok_or_else(|| damaged("it has no schema"))?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err(InputError::new("was written by a machine of the other byte order"));
        }
        let schema = Arc::new(fb_to_schema(schema));
        let chosen = Chosen::of(&schema, wanted)?;
        let mut decoder = FileDecoder::new(schema, footer.version());
        for block in footer.dictionaries().into_iter().flatten() {
            decoder.read_dictionary(block, &bytes.block(block)?).map_err(damaged)?;
        }
        let batches = footer.recordBatches().into_iter().flatten().copied().collect();
        let columns = chosen.columns.clone();
        Ok((Blocks { bytes, decoder, batches, next: 0, columns }, chosen))
    })?;
    // Lists of any length: the first says how many classes there are.
    let mut first = None;
    while chosen.classes.is_none() && first.is_none() {
        match blocks.advance().map_err(|e| e.at_row(0))? {
            Some(batch) => first = Some(batch).filter(|batch| batch.num_rows() > 0),
            None => break,
        }
    }
    chosen.opened(Box::new(blocks), first, None, wanted, "Arrow IPC")
}

/// A file whose size is known.
struct Bytes {
    file: File,
    size: u64,
}

impl Bytes {
    fn open(path: &Path) -> Result<Self, InputError> {
        let file = File::open(path).map_err(|e| InputError::io(&e))?;
        let size = file.metadata().map_err(|e| InputError::io(&e))?.len();
        Ok(Self { file, size })
    }

    fn read(&mut self, start: u64, length: u64) -> Result<Vec<u8>, InputError> {
        if start.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(damaged("a part of it is not within the file"));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        self.file.seek(SeekFrom::Start(start)).map_err(|e| InputError::io(&e))?;
        let read = self.file.by_ref().take(length).read_to_end(&mut bytes);
        match read.map_err(|e| InputError::io(&e))? as u64 == length {
            true => Ok(bytes),
            false => Err(damaged("it was cut short while it was read")),
        }
    }

    fn block(&mut self, block: &Block) -> Result<Buffer, InputError> {
        let start = u64::try_from(block.offset()).map_err(damaged)?;
        let head = u64::try_from(block.metaDataLength()).map_err(damaged)?;
        let body = u64::try_from(block.bodyLength()).map_err(damaged)?;
        let length = head.checked_add(body).ok_or_else(|| damaged("a batch is too long"))?;
        self.read(start, length).map(Buffer::from_vec)
    }
}

struct Blocks {
    bytes: Bytes,
    decoder: FileDecoder,
    batches: Vec<Block>,
    next: usize,
    columns: Vec<usize>,
}

impl Batches for Blocks {
    fn advance(&mut self) -> Result<Option<RecordBatch>, InputError> {
        while let Some(block) = self.batches.get(self.next) {
            self.next += 1;
            let (bytes, decoder) = (&mut self.bytes, &self.decoder);
            let batch = contained(|| {
                decoder.read_record_batch(block, &bytes.block(block)?).map_err(damaged)
            });
            let batch = batch.map_err(|e| e.at(format!("batch {}", self.next - 1)))?;
            if let Some(batch) = batch {
                return batch.project(&self.columns).map(Some).map_err(damaged);
            }
        }
        Ok(None)
    }
}
