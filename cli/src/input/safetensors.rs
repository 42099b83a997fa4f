//! Begins to read a tensor of a .safetensors file.
//!
//! ```text
//! length of the header, u64 · header: {"logits": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, …} · numbers
//! ```
//!
//! The published crate wants the whole file in memory or mapped, and to map is unsafe; read in order, it is a few
//! lines on top of `serde_json`. No claim of a header is believed before it was compared with the size of the file.
//!
//! The format: <https://huggingface.co/docs/safetensors>.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::array::Array;
use super::header::Stored;
use super::table::choose_array;
use super::wanted::Wanted;
use super::{InputError, MAGIC_LEN};

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    _metadata: Option<IgnoredAny>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Whether a file begins as one of these does.
pub(super) fn is_begun(start: &[u8; MAGIC_LEN]) -> bool {
    let (length, text) = start.split_at(8);
    let length = length.try_into().map_or(u64::MAX, u64::from_le_bytes);
    length <= MAX_HEADER && text[0] == b'{'
}

/// `size` counts the whole file, if that is known; `file` is the same open file, where there is one.
pub(super) fn open(
    mut input: Box<dyn Read>,
    size: Option<u64>,
    mut file: Option<File>,
    wanted: &Wanted,
) -> Result<Array, InputError> {
    let mut length = [0; 8];
    input.read_exact(&mut length).map_err(|_| cut_short("in its header"))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(InputError::new(format!(
            "has a header of {length} bytes: at most {MAX_HEADER} are read"
        )));
    }
    if size.is_some_and(|size| size < 8 + length) {
        return Err(cut_short("in its header"));
    }
    let mut text = Vec::new();
    input.by_ref().take(length).read_to_end(&mut text).map_err(|e| InputError::io(&e))?;
    if (text.len() as u64) < length {
        return Err(cut_short("in its header"));
    }
    let header: Header = serde_json::from_slice(&text)
        .map_err(|e| InputError::new(format!("has a broken header: {e}")).hint(REMEDY))?;
    let names: Vec<&str> = header.tensors.keys().map(String::as_str).collect();
    let name = choose_array(&names, wanted)?;
    let Tensor { dtype, shape, data_offsets: [begin, end] } = &header.tensors[name];
    let wrong = |reason: String| InputError::new(format!("tensor '{name}' {reason}"));
    let stored = Stored::of_tensor(dtype).ok_or_else(|| {
        wrong(format!("is {dtype}, which is not read"))
            .hint("save_file({name: x.to(torch.float32)}, path)")
    })?;
    let numbers =
        shape.iter().try_fold(stored.size() as u64, |n, &axis| n.checked_mul(axis as u64));
    let start = begin.checked_add(8 + length);
    let (Some(start), Some(room)) = (start, end.checked_sub(*begin)) else {
        return Err(wrong(format!("has no place: bytes {begin} to {end}")).hint(REMEDY));
    };
    if numbers != Some(room) {
        return Err(
            wrong(format!("of shape {shape:?} and type {dtype} has {room} bytes")).hint(REMEDY)
        );
    }
    let ends = header.tensors.values().map(|tensor| tensor.data_offsets[1]);
    let end = ends.max().and_then(|end| end.checked_add(8 + length));
    if size.is_some_and(|size| end.is_none_or(|end| end > size)) {
        return Err(cut_short("before the last tensor does"));
    }
    let skipped = match &mut file {
        Some(file) => file.seek(SeekFrom::Start(start)).map(|_| *begin),
        None => io::copy(&mut input.by_ref().take(*begin), &mut io::sink()),
    };
    if skipped.map_err(|e| InputError::io(&e))? < *begin {
        return Err(cut_short("before this tensor begins"));
    }
    // What was read ahead of the header has been used up by it.
    let shape = shape.clone();
    let (room, fortran, is_alone) = (Some(room), false, false);
    Ok(Array { input, file, stored, fortran, shape, start, room, is_alone, remedy: REMEDY })
}

const REMEDY: &str = "write it again with safetensors.numpy.save_file({'logits': x}, path)";

fn cut_short(place: &str) -> InputError {
    InputError::new(format!("is cut short: the file ends {place}"))
}
