//! Rows of a packed teacher, a block at a time; whatever the bytes are, they are refused or sound.
//!
//! ```text
//! header → size of the file compared → block: bytes, checksum → records → TruncatedTeacher, which checks each row
//! ```
//!
//! Memory grows with the bytes that come, never with what a header claims.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use softargmax::{Error, TruncatedTeacher};

use super::format::{Header, MAGIC, checksum, damaged};
use crate::error::CliError;

/// An open file of a packed teacher.
pub(crate) struct Reader {
    name: String,
    input: Box<dyn Read>,
    pub(crate) header: Header,
    /// The number of the block that is read next.
    block: u64,
    /// The records of the block at hand, and how many of its rows are done.
    records: Vec<u8>,
    done: usize,
    /// How many rows are done in all.
    row: u64,
}

impl Reader {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        if crate::input::is_stream(path) {
            let stdin = Box::new(io::stdin().lock());
            return Self::from_reader("standard input".to_owned(), stdin, None);
        }
        let name = path.display().to_string();
        let unread = |e: io::Error| CliError::refused(format!("{name}: cannot be read: {e}"));
        let file = File::open(path).map_err(unread)?;
        let metadata = file.metadata().map_err(unread)?;
        let size = metadata.is_file().then_some(metadata.len());
        Self::from_reader(name, Box::new(io::BufReader::new(file)), size)
    }

    /// Whether a file begins as a packed teacher does. Of a stream, which cannot be asked, it is not.
    pub(crate) fn is_one(path: &Path) -> bool {
        let mut start = [0; MAGIC.len()];
        let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        is_file
            && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
            && start == *MAGIC
    }

    /// Reads `input`, of `size` bytes if that is known.
    pub(crate) fn from_reader(
        name: String,
        mut input: Box<dyn Read>,
        size: Option<u64>,
    ) -> Result<Self, CliError> {
        let header = read_header(&mut input, size).map_err(|error| error.within(&name))?;
        let (records, block, done, row) = Default::default();
        Ok(Self { name, input, header, block, records, done, row })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many rows are at hand, after the next block was read where there were none; 0 at the end.
    pub(crate) fn available(&mut self) -> Result<usize, CliError> {
        if self.records.len() == self.done * self.header.record() {
            self.read_block().map_err(|error| error.within(&self.name))?;
        }
        Ok(self.records.len() / self.header.record() - self.done)
    }

    /// The next rows, of those at hand.
    pub(crate) fn take(&mut self, rows: usize) -> Result<TruncatedTeacher, CliError> {
        let record = self.header.record();
        let bytes = self.records.get(self.done * record..(self.done + rows) * record);
        let parts = bytes.and_then(|bytes| self.header.decode_rows(bytes));
        let parts = parts.ok_or_else(|| CliError::internal("more rows than are at hand"))?;
        let first = self.row;
        (self.done, self.row) = (self.done + rows, self.row + rows as u64);
        TruncatedTeacher::from_parts(parts).map_err(|error| match error {
            Error::Row { row, reason } => {
                let row = first + row as u64;
                let byte = self.header.offset(row);
                let reason = format!("row {row} (byte {byte}): {reason}");
                CliError::refused(format!("{}: {reason}", self.name)).hint(
                    "its checksum is right: whatever wrote it was wrong; pack the logits again",
                )
            }
            error => CliError::refused(format!("{}: {error}", self.name)),
        })
    }

    /// Reads the next block, or sees that nothing follows the last.
    fn read_block(&mut self) -> Result<(), CliError> {
        let (header, block) = (&self.header, self.block);
        (self.done, self.block) = (0, block.saturating_add(1));
        self.records.clear();
        let rows = header.rows_of(block);
        let first = block.saturating_mul(header.block_rows as u64);
        if rows == 0 {
            let more = io::copy(&mut self.input.by_ref().take(1), &mut io::sink());
            return match more.map_err(unread)? {
                0 => Ok(()),
                _ => Err(too_long(&self.header, None)),
            };
        }
        let size = rows * header.record();
        let mut bytes = Vec::new();
        let wanted = size as u64 + 4;
        self.input.by_ref().take(wanted).read_to_end(&mut bytes).map_err(unread)?;
        if (bytes.len() as u64) < wanted {
            let row = first + (bytes.len() / header.record()) as u64;
            let end = header.offset(first) + bytes.len() as u64;
            return Err(cut_short(header, &format!("row {row} (byte {end})")));
        }
        if checksum(block, &bytes[..size]) != bytes[size..] {
            let (last, at) = (first + rows as u64 - 1, header.offset(first));
            return Err(damaged(format!(
                "the checksum of block {block}, rows {first} to {last} (byte {at} on), is wrong"
            )));
        }
        bytes.truncate(size);
        self.records = bytes;
        Ok(())
    }
}

fn read_header(input: &mut dyn Read, size: Option<u64>) -> Result<Header, CliError> {
    let mut fixed = [0; 40];
    let mut bytes = Vec::new();
    input.take(fixed.len() as u64).read_to_end(&mut bytes).map_err(unread)?;
    let ends = "is cut short: the file ends in its header";
    if bytes.is_empty() {
        return Err(CliError::refused("is empty").hint("pack the logits again"));
    }
    let len = bytes.len();
    fixed[..len].copy_from_slice(&bytes);
    if len < fixed.len() && MAGIC.starts_with(&bytes[..len.min(MAGIC.len())]) {
        return Err(CliError::refused(ends).hint("pack the logits again"));
    }
    let header = Header::size_of(&fixed)?;
    input.take((header - len) as u64).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() < header {
        return Err(CliError::refused(ends).hint("pack the logits again"));
    }
    let header = Header::parse(&bytes)?;
    match (size, header.total()) {
        (Some(size), Some(total)) if size < total => {
            Err(cut_short(&header, &format!("byte {size}")))
        }
        (Some(size), Some(total)) if size > total => Err(too_long(&header, Some(size))),
        _ => Ok(header),
    }
}

fn cut_short(header: &Header, at: &str) -> CliError {
    let (rows, total) = (header.rows, header.total().unwrap_or(u64::MAX));
    CliError::refused(format!("is cut short: {rows} rows need {total} bytes, and it ends at {at}"))
        .hint("copy it again from where it is whole, or pack the logits again")
}

fn too_long(header: &Header, size: Option<u64>) -> CliError {
    let (rows, total) = (header.rows, header.total().unwrap_or(u64::MAX));
    let got = size.map_or("more follows".to_owned(), |size| format!("there are {size}"));
    CliError::refused(format!("is too long: {rows} rows need {total} bytes, and {got}"))
        .hint("one teacher to a file: pack the logits again")
}

fn unread(error: io::Error) -> CliError {
    CliError::refused(format!("cannot be read: {error}"))
}
