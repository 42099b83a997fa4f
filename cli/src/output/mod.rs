//! Results to a file or a stream, a block of rows at a time.
//!
//! An array goes out in the layout it came in, row-major, whatever the axis that was normalised. An
//! output that does not say how many rows it will have (from CSV) has the count filled in at the end;
//! on a stream it is held back in a temporary file for that.

#[cfg(feature = "arrow")]
mod arrow;
mod csv;
mod interrupt;
mod jsonl;
mod npy;
mod safetensors;
mod target;

use std::ffi::OsStr;
use std::path::Path;

use crate::error::CliError;
use crate::input::{Dtype, Layout, Number, Source, is_stream};
pub(crate) use csv::field;
pub(crate) use npy::integers_header;
pub(crate) use target::Target;

/// Numbers encoded at a time.
const CHUNK: usize = 32 * 1024;

/// A file format, with what has to be known to write it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Npy,
    Csv {
        delimiter: u8,
    },
    Safetensors,
    Jsonl,
    Parquet,
    /// Arrow IPC, the file.
    Arrow,
    /// The same as a stream.
    ArrowStream,
}

impl Format {
    /// What the name of a file says; standard output says .npy.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        if is_stream(path) {
            return Some(Format::Npy);
        }
        match path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
            "npy" => Some(Format::Npy),
            "csv" => Some(Format::Csv { delimiter: b',' }),
            "tsv" => Some(Format::Csv { delimiter: b'\t' }),
            "safetensors" => Some(Format::Safetensors),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "parquet" => Some(Format::Parquet),
            "arrow" | "feather" => Some(Format::Arrow),
            "arrows" => Some(Format::ArrowStream),
            _ => None,
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Format::Csv { .. } | Format::Jsonl)
    }

    /// What it is called where it cannot be written; of a table only, not of arrays.
    fn table(self) -> Option<&'static str> {
        match self {
            Format::Npy | Format::Safetensors => None,
            Format::Csv { .. } => Some("CSV"),
            Format::Jsonl => Some("JSON lines"),
            Format::Parquet => Some("Parquet"),
            Format::Arrow | Format::ArrowStream => Some("Arrow"),
        }
    }
}

/// What is written: rows of numbers of a type, under a name where the format has names.
#[derive(Debug)]
struct Rows<'a> {
    name: &'a str,
    dtype: Dtype,
    /// Of the whole; the first axis is 0 where it is not known yet.
    shape: &'a [usize],
    /// The names of the columns, where the input had some.
    classes: Option<&'a [String]>,
    is_open_ended: bool,
}

/// Makes the bytes of a format.
trait Encoder {
    /// Writes the next numbers, which are little-endian and need not be whole rows.
    fn encode(&mut self, numbers: &[u8], target: &mut Target) -> Result<(), CliError>;

    /// Writes what stands behind the last of so many rows, and what had to wait for their count.
    fn finish(&mut self, rows: u64, target: &mut Target) -> Result<(), CliError>;
}

/// An output under way. Dropped before it is finished, a file leaves nothing behind.
pub(crate) struct Sink {
    target: Target,
    encoder: Box<dyn Encoder>,
    dtype: Dtype,
    layout: Layout,
    rows: u64,
    bytes: Vec<u8>,
}

impl Sink {
    /// Begins an output of the rows of `source`, in its layout and with its header, which are `name`.
    pub(crate) fn create(
        path: &Path,
        format: Format,
        name: &str,
        dtype: Dtype,
        source: &Source,
    ) -> Result<Self, CliError> {
        let layout = source.layout().clone();
        let refused = |why: &str, hint: &str| {
            let path = path.display();
            Err(CliError::refused(format!("{path}: cannot be written: {why}")).hint(hint))
        };
        if let Some(table) = format.table()
            && layout.shape().len() > 2
        {
            let axes = layout.shape().len();
            return refused(&format!("{table} has 2 axes, not {axes}"), "write it as .npy");
        }
        let mut target = Target::open(path)?;
        if target.is_terminal() && !format.is_text() {
            let name = format.table().unwrap_or(".npy");
            return refused(
                &format!("{name} is not for terminals"),
                "add --format csv, or -o FILE.npy",
            );
        }
        let rows = Rows {
            name,
            dtype,
            shape: layout.shape(),
            classes: source.class_names(),
            is_open_ended: source.rows().is_none(),
        };
        if rows.is_open_ended && format.table().is_none() {
            target = target.into_patchable()?;
        }
        let encoder: Box<dyn Encoder> = match format {
            Format::Npy => Box::new(npy::Array::begin(&rows, &mut target)?),
            Format::Safetensors => Box::new(safetensors::Tensor::begin(&rows, &mut target)?),
            Format::Csv { delimiter } => Box::new(csv::Csv::begin(&rows, delimiter, &mut target)?),
            Format::Jsonl => Box::new(jsonl::Jsonl::new(&rows)),
            #[cfg(feature = "arrow")]
            Format::Parquet => Box::new(arrow::parquet(&rows)?),
            #[cfg(feature = "arrow")]
            Format::Arrow => Box::new(arrow::file(&rows)?),
            #[cfg(feature = "arrow")]
            Format::ArrowStream => Box::new(arrow::stream(&rows)?),
            #[cfg(not(feature = "arrow"))]
            Format::Parquet | Format::Arrow | Format::ArrowStream => {
                return refused(
                    "this program was built without Parquet and Arrow",
                    "cargo install softargmax-cli, with its default features",
                );
            }
        };
        Ok(Self { target, encoder, dtype, layout, rows: 0, bytes: Vec::new() })
    }

    /// Writes the next rows, as many at a time as [`Source::next_block`] gave.
    pub(crate) fn write_block<T: Number>(&mut self, block: &[T]) -> Result<(), CliError> {
        let (classes, inner) = (self.layout.classes(), self.layout.inner());
        self.rows += (block.len() / classes) as u64;
        if inner == 1 {
            return block.chunks(CHUNK).try_for_each(|numbers| self.write(numbers));
        }
        let mut numbers = Vec::with_capacity(CHUNK);
        for panel in block.chunks(inner * classes) {
            for (class, row) in
                (0..classes).flat_map(|class| (0..inner).map(move |row| (class, row)))
            {
                numbers.push(panel[row * classes + class]);
                if numbers.len() == CHUNK {
                    self.write(&numbers)?;
                    numbers.clear();
                }
            }
        }
        self.write(&numbers)
    }

    fn write<T: Number>(&mut self, numbers: &[T]) -> Result<(), CliError> {
        self.bytes.clear();
        npy::encode(numbers, self.dtype, &mut self.bytes);
        self.encoder.encode(&self.bytes, &mut self.target)
    }

    /// Puts the output in its place.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.encoder.finish(self.rows, &mut self.target)?;
        self.target.finish()
    }
}

/// The numbers that these bytes are.
fn decoded<T: Number>(bytes: &[u8]) -> Vec<T> {
    let mut numbers = vec![T::default(); bytes.len() / T::DTYPE.size()];
    T::decode(bytes, false, &mut numbers);
    numbers
}

/// The same, wide enough for any type.
fn widened(bytes: &[u8], dtype: Dtype) -> Vec<f64> {
    match dtype {
        Dtype::F16 => decoded::<half::f16>(bytes).iter().map(|x| x.to_f64()).collect(),
        Dtype::F32 => decoded::<f32>(bytes).into_iter().map(f64::from).collect(),
        Dtype::F64 => decoded(bytes),
    }
}
