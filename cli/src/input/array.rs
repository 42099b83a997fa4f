//! Reads the rows of an array whose numbers lie one after the other, in order, without seeking unless it is asked to
//! leave rows out: what .npy, .npz and .safetensors have in common.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use zerocopy::IntoBytes;

use super::block::{Block, with_block};
use super::header::Stored;
use super::layout::{Layout, Panel, Scatter};
use super::{Dtype, InputError, Number, Reader};

/// Numbers decoded at a time.
const CHUNK: usize = 32 * 1024;

/// An array that is about to be read.
pub(super) struct Array {
    /// Stands before the first number.
    pub(super) input: Box<dyn Read>,
    /// The same open file, whose position the input shares, if there is one to set.
    pub(super) file: Option<File>,
    pub(super) stored: Stored,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
    /// Where the numbers begin.
    pub(super) start: u64,
    /// How many bytes are there for them, if that is known.
    pub(super) room: Option<u64>,
    /// Whether nothing must follow them.
    pub(super) is_alone: bool,
    /// What to do about a wrong number of bytes.
    pub(super) remedy: &'static str,
}

pub(super) struct ArrayReader {
    input: Box<dyn Read>,
    file: Option<File>,
    stored: Stored,
    layout: Layout,
    panel: Panel,
    next_row: u64,
    /// Where the numbers begin, and where they must end.
    data: std::ops::Range<u64>,
    is_alone: bool,
    remedy: &'static str,
    bytes: Vec<u8>,
}

impl Array {
    /// `layout` says what the rows of a shape are.
    pub(super) fn read(
        self,
        layout: impl FnOnce(Vec<usize>) -> Result<Layout, InputError>,
    ) -> Result<ArrayReader, InputError> {
        let layout = layout(self.shape)?;
        let panel = layout.panel(self.fortran)?;
        let size = layout.rows() * layout.classes() as u64 * self.stored.size() as u64;
        if let Some(room) = self.room
            && room != size
        {
            let word = if room < size { "is cut short" } else { "is too long" };
            return Err(InputError::new(format!(
                "{word}: shape {:?} needs {size} bytes behind the header, and there are {room}",
                layout.shape(),
            ))
            .hint(self.remedy));
        }
        Ok(ArrayReader {
            input: self.input,
            file: self.file,
            stored: self.stored,
            layout,
            panel,
            next_row: 0,
            data: self.start..self.start.saturating_add(size),
            is_alone: self.is_alone,
            remedy: self.remedy,
            bytes: Vec::new(),
        })
    }
}

impl Reader for ArrayReader {
    fn dtype(&self) -> Option<Dtype> {
        Some(self.stored.dtype())
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn rows(&self) -> Option<u64> {
        Some(self.layout.rows())
    }

    /// Goes past rows that are not interleaved.
    fn skip_rows(&mut self, rows: u64) -> Result<u64, InputError> {
        let Some(file) = self.file.as_mut().filter(|_| self.panel.steps.is_none()) else {
            return Ok(0);
        };
        let rows = rows.min(self.layout.rows() - self.next_row);
        self.next_row += rows;
        let row_size = (self.layout.classes() * self.stored.size()) as u64;
        let place = SeekFrom::Start(self.data.start + self.next_row * row_size);
        file.seek(place).map_err(|e| InputError::io(&e))?;
        Ok(rows)
    }

    /// Reads up to `max_rows` rows, but at least a panel; 0 at the end.
    fn next_block(&mut self, block: Block, max_rows: usize) -> Result<usize, InputError> {
        with_block!(block, numbers => self.next_rows(numbers, max_rows))
    }
}

impl ArrayReader {
    fn next_rows<T: Number>(
        &mut self,
        block: &mut Vec<T>,
        max_rows: usize,
    ) -> Result<usize, InputError> {
        let left = self.layout.rows() - self.next_row;
        if left == 0 {
            block.clear();
            return self.expect_end().map(|()| 0);
        }
        let panels = (max_rows / self.panel.rows).max(1) as u64;
        let rows = (panels * self.panel.rows as u64).min(left) as usize;
        let numbers = rows * self.layout.classes();
        block.truncate(numbers);
        block.reserve_exact(numbers - block.len());
        block.resize(numbers, T::default());
        self.fill(block)?;
        self.next_row += rows as u64;
        Ok(rows)
    }

    /// Fills whole panels with what comes next.
    fn fill<T: Number>(&mut self, block: &mut [T]) -> Result<(), InputError> {
        if let Some(mut scatter) = self.panel.steps.take() {
            let filled = self.transpose(block, &mut scatter);
            self.panel.steps = Some(scatter);
            return filled;
        }
        for (chunk, out) in block.chunks_mut(CHUNK).enumerate() {
            self.decode(chunk * CHUNK, out)?;
        }
        Ok(())
    }

    fn transpose<T: Number>(
        &mut self,
        block: &mut [T],
        scatter: &mut Scatter,
    ) -> Result<(), InputError> {
        let mut values: Vec<T> = Vec::new();
        let panel_len = self.panel.rows * self.layout.classes();
        for (index, panel) in block.chunks_mut(panel_len).enumerate() {
            for done in (0..panel_len).step_by(CHUNK) {
                values.resize(CHUNK.min(panel_len - done), T::default());
                self.decode(index * panel_len + done, &mut values)?;
                scatter.place(&values, panel);
            }
        }
        Ok(())
    }

    /// Decodes the next numbers, which are those from `start` of the block.
    fn decode<T: Number>(&mut self, start: usize, out: &mut [T]) -> Result<(), InputError> {
        if self.stored.is_as_in_memory::<T>() {
            let bytes = out.as_mut_bytes();
            let got = read_up_to(&mut self.input, bytes)?;
            return if got < bytes.len() { Err(self.cut_short(start, got)) } else { Ok(()) };
        }
        self.bytes.resize(out.len() * self.stored.size(), 0);
        let got = read_up_to(&mut self.input, &mut self.bytes)?;
        if got < self.bytes.len() {
            return Err(self.cut_short(start, got));
        }
        self.stored.decode(&self.bytes, out).map_err(|(at, value)| {
            let error = InputError::new(format!("{value} has no exact {}", T::DTYPE))
                .hint("round it yourself: np.save(path, x.astype(np.float64))");
            error.at(self.place(start + at))
        })
    }

    /// The row of a number, counted in storage order from the beginning of the block.
    fn place(&self, number: usize) -> String {
        if self.panel.rows == 1 {
            return self.layout.place(self.next_row + (number / self.layout.classes()) as u64);
        }
        format!("number {number} of the rows from {} on", self.layout.place(self.next_row))
    }

    fn cut_short(&self, start: usize, got: usize) -> InputError {
        let size = self.stored.size() as u64;
        let before = self.next_row * self.layout.classes() as u64 + start as u64;
        InputError::new(format!(
            "is cut short: shape {:?} needs {} bytes behind the header, and there are {}",
            self.layout.shape(),
            self.data.end - self.data.start,
            before * size + got as u64
        ))
        .at(self.place(start + got / self.stored.size()))
    }

    /// Of a file, the size was compared at the beginning; a stream may go on, and what is packed is compared with
    /// its checksum here.
    fn expect_end(&mut self) -> Result<(), InputError> {
        if !self.is_alone {
            return Ok(());
        }
        let mut more = self.input.by_ref().take(1);
        match io::copy(&mut more, &mut io::sink()) {
            Ok(0) => Ok(()),
            Ok(_) => Err(InputError::new(format!(
                "is too long: more follows the {} bytes that shape {:?} needs",
                self.data.end - self.data.start,
                self.layout.shape()
            ))
            .hint(self.remedy)),
            Err(e) => Err(InputError::io(&e)),
        }
    }
}

/// Fills `bytes`, as far as there are some.
fn read_up_to(input: &mut dyn Read, bytes: &mut [u8]) -> Result<usize, InputError> {
    let mut got = 0;
    while got < bytes.len() {
        match input.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(InputError::io(&e)),
        }
    }
    Ok(got)
}
