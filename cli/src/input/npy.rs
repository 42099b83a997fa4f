//! Reads the rows of a .npy file, in order, without seeking unless it is asked to leave rows out.
//!
//! ```text
//! "\x93NUMPY" · version · header length · header (a Python dict: descr, fortran_order, shape) · numbers
//! ```
//!
//! The header is read by our own few lines. The published reader, `npyz` 0.9, allocates as many bytes as
//! the header length claims (up to 4 GiB, before it has read one), does not tell a file that is cut
//! short from one that is too long, and brings a grammar compiler and big integers for a dictionary of
//! three keys.
//!
//! The layout is specified in NumPy's `numpy/lib/format.py` (NEP 1).

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::header::{Header, Stored};
use super::layout::{Layout, Panel, Scatter};
use super::{Dtype, InputError, Number};

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Numbers decoded at a time.
const CHUNK: usize = 32 * 1024;

/// NumPy itself refuses to read more than 10 000 unless told to.
const MAX_HEADER: usize = 64 * 1024;

pub(super) struct Reader {
    input: Box<dyn Read>,
    stored: Stored,
    layout: Layout,
    panel: Panel,
    next_row: u64,
    /// Where the numbers begin, and where they must end.
    data: std::ops::Range<u64>,
    bytes: Vec<u8>,
}

impl Reader {
    /// `input` stands behind the magic bytes; `size` counts the whole file, if that is known; `layout`
    /// says what the rows of a shape are.
    pub(super) fn new(
        mut input: Box<dyn Read>,
        size: Option<u64>,
        layout: impl FnOnce(Vec<usize>) -> Result<Layout, InputError>,
    ) -> Result<Self, InputError> {
        let (header, start) = read_header(&mut input)?;
        let layout = layout(header.shape)?;
        let panel = layout.panel(header.fortran)?;
        let numbers = layout.rows() * layout.classes() as u64;
        let data = start..start + numbers * header.stored.size() as u64;
        if let Some(size) = size
            && size != data.end
        {
            let word = if size < data.end { "is cut short" } else { "is too long" };
            return Err(InputError::new(format!(
                "{word}: shape {:?} needs {} bytes behind the header, and there are {}",
                layout.shape(),
                data.end - data.start,
                size.saturating_sub(start)
            ))
            .hint("write it again with np.save, one array to a file"));
        }
        Ok(Self {
            input,
            stored: header.stored,
            layout,
            panel,
            next_row: 0,
            data,
            bytes: Vec::new(),
        })
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.stored.dtype()
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads up to `max_rows` rows, but at least a panel; 0 at the end.
    pub(super) fn next_block<T: Number>(
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

    /// Goes past rows that are not interleaved, in `file`, which is the input; says whether it did.
    pub(super) fn skip_rows(
        &mut self,
        rows: u64,
        file: &mut impl Seek,
    ) -> Result<bool, InputError> {
        if self.panel.steps.is_some() {
            return Ok(false);
        }
        self.next_row += rows.min(self.layout.rows() - self.next_row);
        let row_size = (self.layout.classes() * self.stored.size()) as u64;
        let place = SeekFrom::Start(self.data.start + self.next_row * row_size);
        file.seek(place).map_err(|e| InputError::io(&e))?;
        Ok(true)
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
        self.bytes.resize(out.len() * self.stored.size(), 0);
        let mut got = 0;
        while got < self.bytes.len() {
            match self.input.read(&mut self.bytes[got..]) {
                Ok(0) => return Err(self.cut_short(start, got)),
                Ok(n) => got += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(InputError::io(&e)),
            }
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

    /// Only a stream can fail here: of a file, the size was compared at the beginning.
    fn expect_end(&mut self) -> Result<(), InputError> {
        let mut more = self.input.by_ref().take(1);
        match io::copy(&mut more, &mut io::sink()) {
            Ok(0) => Ok(()),
            Ok(_) => Err(InputError::new(format!(
                "is too long: more follows the {} bytes that shape {:?} needs",
                self.data.end - self.data.start,
                self.layout.shape()
            ))
            .hint("write it again with np.save, one array to a file")),
            Err(e) => Err(InputError::io(&e)),
        }
    }
}

/// Reads from behind the magic bytes to the first number; also says at which byte that is.
fn read_header(input: &mut dyn Read) -> Result<(Header, u64), InputError> {
    let mut read = |bytes: &mut [u8]| {
        input.read_exact(bytes).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => {
                InputError::new("is cut short: the file ends in its header")
            }
            _ => InputError::io(&e),
        })
    };
    let mut version = [0; 2];
    read(&mut version)?;
    let (length, prefix) = match version {
        [1, 0] => {
            let mut length = [0; 2];
            read(&mut length)?;
            (usize::from(u16::from_le_bytes(length)), 10)
        }
        [2 | 3, 0] => {
            let mut length = [0; 4];
            read(&mut length)?;
            (usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX), 12)
        }
        [major, minor] => {
            return Err(InputError::new(format!(
                "is .npy version {major}.{minor}: only 1.0, 2.0 and 3.0 are known"
            )));
        }
    };
    if length > MAX_HEADER {
        return Err(InputError::new(format!(
            "has a header of {length} bytes: at most {MAX_HEADER} are read"
        )));
    }
    let mut text = vec![0; length];
    read(&mut text)?;
    Ok((Header::parse(&text)?, (prefix + length) as u64))
}
