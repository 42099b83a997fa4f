//! The bytes of a truncated teacher: docs/teacher-format.md.
//!
//! ```text
//! header: magic · version · types · rows, classes, k, rows of a block · temperatures · CRC-32
//! block:  row records, all of one size · CRC-32 of the block's number and the records
//! record: origin · count of the tail · ids · logits less the origin · log mean weights · means
//! ```
//!
//! Everything is little-endian. A stream can be read in order, and a file's row is where its number says.

use half::{bf16, f16};
use softargmax::{Temperature, TruncatedParts};

use crate::error::CliError;
use crate::input::{Dtype, MAX_NUMBERS, Number};

pub(super) const MAGIC: &[u8; 8] = b"\x93TEACHER";
const VERSION: u16 = 1;
/// Before the temperatures.
const FIXED: usize = 40;
const CRC: usize = 4;
/// More temperatures than this are no small grid.
pub(super) const MAX_TEMPERATURES: usize = 64;
/// A block of more bytes is none of ours; one row of the longest is half of it.
const MAX_BLOCK: usize = 1 << 29;
/// Bytes that a block is meant to have.
const BLOCK: usize = 1 << 20;

/// The type that logits are stored in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stored {
    F16,
    Bf16,
    F32,
}

impl Stored {
    const ALL: [(Stored, u8, &'static str); 3] =
        [(Stored::F16, 1, "f16"), (Stored::Bf16, 2, "bf16"), (Stored::F32, 3, "f32")];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(stored, ..)| *stored == self).map_or("", |(.., name)| name)
    }

    fn size(self) -> usize {
        if self == Stored::F32 { 4 } else { 2 }
    }

    /// Whether it has every number of a type.
    pub(super) fn holds(self, dtype: Dtype) -> bool {
        match self {
            Stored::F16 => dtype == Dtype::F16,
            Stored::Bf16 => false,
            Stored::F32 => dtype != Dtype::F64,
        }
    }

    /// How far the nearest number of the type is from x at most, with a little to spare.
    pub(super) fn half_ulp(self, x: f64) -> f64 {
        let (relative, least) = match self {
            Stored::F16 => (2f64.powi(-11), 2f64.powi(-25)),
            Stored::Bf16 => (2f64.powi(-8), 2f64.powi(-134)),
            Stored::F32 => (2f64.powi(-24), 2f64.powi(-150)),
        };
        (x.abs() * relative).max(least) * 1.001
    }

    fn encode(self, x: f64, bytes: &mut Vec<u8>) {
        match self {
            Stored::F16 => bytes.extend(f16::nearest(x).to_le_bytes()),
            Stored::Bf16 => bytes.extend(bf16::from_f64(x).to_le_bytes()),
            Stored::F32 => bytes.extend((x as f32).to_le_bytes()),
        }
    }

    fn decode(self, field: &mut Fields) -> Option<f64> {
        Some(match self {
            Stored::F16 => f16::from_le_bytes(field.take()?).to_f64(),
            Stored::Bf16 => bf16::from_le_bytes(field.take()?).to_f64(),
            Stored::F32 => f32::from_le_bytes(field.take()?).into(),
        })
    }

    /// The nearest number of the type.
    fn nearest(self, x: f64) -> f64 {
        match self {
            Stored::F16 => f16::nearest(x).to_f64(),
            Stored::Bf16 => bf16::from_f64(x).to_f64(),
            Stored::F32 => (x as f32).into(),
        }
    }
}

/// What stands before the rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) stored: Stored,
    /// The type that the teacher's logits came in.
    pub(crate) source: Dtype,
    pub(crate) rows: u64,
    pub(crate) classes: usize,
    pub(crate) k: usize,
    /// How many rows every block but the last has.
    pub(super) block_rows: usize,
    pub(crate) temperatures: Vec<Temperature>,
}

impl Header {
    /// With as many rows to a block as make about a megabyte.
    pub(super) fn with_blocks(mut self) -> Self {
        self.block_rows = (BLOCK / self.record()).clamp(1, 1 << 16);
        self
    }

    pub(super) fn size(&self) -> usize {
        FIXED + 8 * self.temperatures.len() + CRC
    }

    fn id_size(&self) -> usize {
        if self.classes <= 1 << 16 { 2 } else { 4 }
    }

    /// Bytes of a row.
    pub(crate) fn record(&self) -> usize {
        let grid = self.temperatures.len();
        8 + 4 + self.k * (self.id_size() + self.stored.size()) + 8 * grid + 8 * (grid + 1)
    }

    /// How many rows a block has.
    pub(super) fn rows_of(&self, block: u64) -> usize {
        let before = block.saturating_mul(self.block_rows as u64);
        self.rows.saturating_sub(before).min(self.block_rows as u64) as usize
    }

    pub(super) fn blocks(&self) -> u64 {
        self.rows.div_ceil(self.block_rows as u64)
    }

    /// Where a row begins.
    pub(super) fn offset(&self, row: u64) -> u64 {
        let block = row / self.block_rows as u64;
        (self.size() as u64)
            .saturating_add(row.saturating_mul(self.record() as u64))
            .saturating_add(block.saturating_mul(CRC as u64))
    }

    /// The size of the file; `None` where there is no such file.
    pub(super) fn total(&self) -> Option<u64> {
        let rows = self.rows.checked_mul(self.record() as u64)?;
        rows.checked_add(self.blocks().checked_mul(CRC as u64)?)?.checked_add(self.size() as u64)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        let stored = Stored::ALL.iter().find(|(stored, ..)| *stored == self.stored);
        let source = match self.source {
            Dtype::F16 => 1,
            Dtype::F32 => 3,
            Dtype::F64 => 4,
        };
        let grid = self.temperatures.len() as u8;
        bytes.extend([stored.map_or(0, |(_, code, _)| *code), source, grid, self.id_size() as u8]);
        bytes.extend([0; 2]);
        bytes.extend(self.rows.to_le_bytes());
        for number in [self.classes, self.k, self.block_rows, 0] {
            bytes.extend((number as u32).to_le_bytes());
        }
        bytes.extend(self.temperatures.iter().flat_map(|tau| tau.tau().to_le_bytes()));
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// How many bytes there are in all, from those before the temperatures: magic and version are checked first, so
    /// that another file, or one of tomorrow, is called what it is.
    pub(super) fn size_of(fixed: &[u8; FIXED]) -> Result<usize, CliError> {
        if fixed[..8] != *MAGIC {
            return Err(CliError::refused(
                "is not a packed teacher: it does not begin with \\x93TEACHER",
            )
            .hint("make one of logits: softargmax teacher pack LOGITS -o FILE"));
        }
        let version = u16::from_le_bytes([fixed[8], fixed[9]]);
        if version != VERSION {
            return Err(CliError::refused(format!(
                "is version {version} of the format: this program knows version {VERSION}"
            ))
            .hint("pack the logits again, or take a newer softargmax"));
        }
        let grid = usize::from(fixed[12]);
        if !(1..=MAX_TEMPERATURES).contains(&grid) {
            return Err(damaged(format!("its header speaks of {grid} temperatures")));
        }
        Ok(FIXED + 8 * grid + CRC)
    }

    /// The whole header, with its checksum.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CliError> {
        let (content, checksum) = bytes.split_at(bytes.len() - CRC);
        if crc32fast::hash(content).to_le_bytes() != checksum {
            return Err(damaged("the checksum of its header (bytes 0 on) is wrong".to_owned()));
        }
        // From here on only a program that writes wrong headers can be at fault.
        let header = Self::fields(content)
            .ok_or_else(|| damaged("its header has no meaning in version 1".to_owned()))?;
        let Header { classes, k, block_rows, .. } = header;
        if classes == 0 || classes > MAX_NUMBERS {
            return Err(damaged(format!("it has {classes} classes, not 1 to {MAX_NUMBERS}")));
        }
        if k == 0 || k > classes {
            return Err(damaged(format!("it keeps {k} of {classes} classes")));
        }
        if block_rows == 0 || block_rows.checked_mul(header.record()).is_none_or(|n| n > MAX_BLOCK)
        {
            return Err(damaged(format!("it has blocks of {block_rows} rows")));
        }
        let taus = header.temperatures.iter().map(|tau| tau.tau());
        if !taus.clone().is_sorted_by(|a, b| a < b)
            || taus.clone().any(|tau| !(tau > 0.0 && tau < f64::INFINITY))
        {
            return Err(damaged("its temperatures do not ascend from above 0".to_owned()));
        }
        match header.total() {
            Some(_) => Ok(header),
            None => Err(damaged(format!("it has {} rows, more than any file", header.rows))),
        }
    }

    fn fields(content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content.get(10..)?);
        let [stored, source, grid, id_size] = fields.take()?;
        let (stored, ..) = *Stored::ALL.iter().find(|(_, code, _)| *code == stored)?;
        let source = match source {
            1 => Dtype::F16,
            3 => Dtype::F32,
            4 => Dtype::F64,
            _ => return None,
        };
        let reserved: [u8; 2] = fields.take()?;
        let rows = u64::from_le_bytes(fields.take()?);
        let mut number = || Some(u32::from_le_bytes(fields.take()?) as usize);
        let (classes, k, block_rows, zero) = (number()?, number()?, number()?, number()?);
        let mut temperatures = Vec::with_capacity(grid.into());
        for _ in 0..grid {
            temperatures.push(Temperature::new(f64::from_le_bytes(fields.take()?)).ok()?);
        }
        let header = Header { stored, source, rows, classes, k, block_rows, temperatures };
        let is_known = reserved == [0; 2] && zero == 0 && usize::from(id_size) == header.id_size();
        is_known.then_some(header)
    }

    /// Appends the records of some rows; fails with the number of a row and what of it the type cannot hold.
    pub(super) fn encode_rows(
        &self,
        parts: &TruncatedParts,
        bytes: &mut Vec<u8>,
    ) -> Result<(), (usize, f64)> {
        let (k, grid) = (self.k, self.temperatures.len());
        for row in 0..parts.tail_counts.len() {
            let logits = &parts.logits[row * k..(row + 1) * k];
            let origin = if self.stored.holds(self.source) {
                0.0
            } else {
                logits.iter().fold(f64::NEG_INFINITY, |top, &v| top.max(v))
            };
            bytes.extend(origin.to_le_bytes());
            bytes.extend(parts.tail_counts[row].to_le_bytes());
            for &id in &parts.ids[row * k..(row + 1) * k] {
                match self.id_size() {
                    2 => bytes.extend((id as u16).to_le_bytes()),
                    _ => bytes.extend(id.to_le_bytes()),
                }
            }
            for &v in logits {
                let less = v - origin;
                if v.is_finite() && !self.stored.nearest(less).is_finite() {
                    return Err((row, less));
                }
                self.stored.encode(less, bytes);
            }
            let weights = &parts.tail_log_weights[row * grid..(row + 1) * grid];
            let means = &parts.tail_means[row * (grid + 1)..(row + 1) * (grid + 1)];
            bytes.extend(weights.iter().chain(means).flat_map(|x| x.to_le_bytes()));
        }
        Ok(())
    }

    /// The rows of some records.
    pub(super) fn decode_rows(&self, bytes: &[u8]) -> Option<TruncatedParts> {
        let rows = bytes.len() / self.record();
        let (k, grid) = (self.k, self.temperatures.len());
        let mut parts = TruncatedParts {
            classes: self.classes,
            k,
            temperatures: self.temperatures.clone(),
            ids: Vec::with_capacity(rows * k),
            logits: Vec::with_capacity(rows * k),
            tail_counts: Vec::with_capacity(rows),
            tail_log_weights: Vec::with_capacity(rows * grid),
            tail_means: Vec::with_capacity(rows * (grid + 1)),
        };
        let mut fields = Fields(bytes);
        for _ in 0..rows {
            let origin = f64::from_le_bytes(fields.take()?);
            parts.tail_counts.push(u32::from_le_bytes(fields.take()?));
            for _ in 0..k {
                parts.ids.push(match self.id_size() {
                    2 => u16::from_le_bytes(fields.take()?).into(),
                    _ => u32::from_le_bytes(fields.take()?),
                });
            }
            for _ in 0..k {
                parts.logits.push(origin + self.stored.decode(&mut fields)?);
            }
            for _ in 0..grid {
                parts.tail_log_weights.push(f64::from_le_bytes(fields.take()?));
            }
            for _ in 0..=grid {
                parts.tail_means.push(f64::from_le_bytes(fields.take()?));
            }
        }
        Some(parts)
    }
}

/// The checksum of a block.
pub(super) fn checksum(block: u64, records: &[u8]) -> [u8; CRC] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block.to_le_bytes());
    hasher.update(records);
    hasher.finalize().to_le_bytes()
}

pub(super) fn damaged(reason: String) -> CliError {
    CliError::refused(format!("is damaged: {reason}"))
        .hint("copy it again from where it is whole, or pack the logits again")
}

/// Bytes, taken from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }
}
