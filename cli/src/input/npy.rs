//! Begins to read a .npy file.
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

use std::fs::File;
use std::io::{ErrorKind, Read};

use super::InputError;
use super::array::Array;
use super::header::Header;

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// NumPy itself refuses to read more than 10 000 unless told to.
const MAX_HEADER: usize = 64 * 1024;

/// `input` stands behind the magic bytes; `size` counts the whole file, if that is known; `file` is the same open
/// file, where there is one that rows can be left out of.
pub(super) fn open(
    mut input: Box<dyn Read>,
    size: Option<u64>,
    file: Option<File>,
) -> Result<Array, InputError> {
    let (header, start) = read_header(&mut input)?;
    Ok(Array {
        input,
        file,
        stored: header.stored,
        fortran: header.fortran,
        shape: header.shape,
        start,
        room: size.map(|size| size.saturating_sub(start)),
        is_alone: true,
        remedy: "write it again with np.save, one array to a file",
    })
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
