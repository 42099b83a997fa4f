//! Which format an input is in, and how it is opened.
//!
//! The first bytes say it, not the name:
//!
//! ```text
//! \x93NUMPY  .npy        PK  a zip archive: .npz      length {  .safetensors      { or [  JSON lines
//! PAR1       Parquet     ARROW1  Arrow IPC, the file  \xff\xff\xff\xff  the same, a stream
//! else       CSV
//! ```

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::wanted::Wanted;
use super::{InputError, MAGIC_LEN, Reader, Texts, jsonl, npy, npz, safetensors};

/// An input that nobody has looked into.
pub(super) struct Input {
    /// What messages call it; its extension may help.
    pub(super) name: String,
    pub(super) input: Box<dyn Read>,
    /// Its path and the same open file, whose position the input shares, where it is a file.
    pub(super) file: Option<(PathBuf, File)>,
    /// Its length in bytes, where that cannot change by itself.
    pub(super) size: Option<u64>,
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Self, InputError> {
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| {
            let metadata = file.metadata()?;
            let is_file = metadata.is_file();
            let same = if is_file { Some((path.to_owned(), file.try_clone()?)) } else { None };
            Ok((file, same, is_file.then_some(metadata.len())))
        });
        match opened {
            Ok((input, file, size)) => Ok(Self { name, input: Box::new(input), file, size }),
            Err(e) => Err(InputError::io(&e).within(&name)),
        }
    }
}

/// What an input turned out to be.
pub(super) enum Opened {
    Rows(Box<dyn Reader>),
    /// One for every row, where they may be texts.
    Texts(Box<dyn Texts>),
    /// The whole of it, and what separates its fields.
    Csv(Box<dyn Read>, u8),
}

/// Reads as far as the first numbers.
pub(super) fn open(input: Input, wanted: &Wanted) -> Result<Opened, InputError> {
    let Input { name, mut input, file, size } = input;
    let mut start = Vec::new();
    let peeked = input.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut start);
    peeked.map_err(|e| InputError::io(&e))?;
    if start.is_empty() {
        let hint = format!("it needs at least one row of {}", wanted.what);
        return Err(InputError::new("is empty").hint(hint));
    }
    let extension = Path::new(&name).extension().and_then(OsStr::to_str).unwrap_or_default();
    let is_named = |name: &str| extension.eq_ignore_ascii_case(name);
    let whole = |start: Vec<u8>, input| Box::new(Cursor::new(start).chain(input));
    let same = |file: Option<(PathBuf, File)>| file.map(|(_, file)| file);
    let layout = |shape| wanted.layout(shape);

    if start.starts_with(npy::MAGIC) {
        if let Some(name) = &wanted.column {
            return Err(InputError::new(format!("is one array, and has none called '{name}'"))
                .hint("name the file alone"));
        }
        let input = whole(start.split_off(npy::MAGIC.len()), input);
        let array = npy::open(input, size, same(file))?.read(layout)?;
        return Ok(Opened::Rows(Box::new(array)));
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        let file = same(file).ok_or_else(|| {
            InputError::new("is a zip archive, such as .npz, whose directory is at its end")
                .hint("save it as a file, or save one array: np.save('logits.npy', x)")
        })?;
        return Ok(Opened::Rows(Box::new(npz::open(file, wanted)?.read(layout)?)));
    }
    if start.first_chunk().is_some_and(safetensors::is_begun) {
        let input = whole(start, input);
        let tensor = safetensors::open(input, size, same(file), wanted)?;
        return Ok(Opened::Rows(Box::new(tensor.read(layout)?)));
    }
    if start.starts_with(b"PAR1") || start.starts_with(b"ARROW1") || start.starts_with(&[0xff; 4]) {
        return arrow(start, input, file, wanted);
    }
    if let Some(refused) = foreign(&start, &is_named) {
        return Err(refused);
    }
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'[')) {
        let opened = jsonl::Opened::new(whole(start, input), wanted)?;
        return Ok(match opened.is_scalar() && !wanted.is_rows() {
            true => Opened::Texts(Box::new(opened.into_texts())),
            false => Opened::Rows(Box::new(opened.into_rows(wanted)?)),
        });
    }
    let delimiter = if is_named("tsv") { b'\t' } else { b',' };
    Ok(Opened::Csv(whole(start, input), wanted.delimiter.unwrap_or(delimiter)))
}

#[cfg(feature = "arrow")]
fn arrow(
    start: Vec<u8>,
    input: Box<dyn Read>,
    file: Option<(PathBuf, File)>,
    wanted: &Wanted,
) -> Result<Opened, InputError> {
    super::arrow::open(start, input, file.map(|(path, _)| path), wanted)
}

#[cfg(not(feature = "arrow"))]
fn arrow(
    _start: Vec<u8>,
    _input: Box<dyn Read>,
    _file: Option<(PathBuf, File)>,
    _wanted: &Wanted,
) -> Result<Opened, InputError> {
    Err(InputError::new("is Parquet or Arrow, which this program was built without")
        .hint("cargo install softargmax-cli, with its default features"))
}

/// What is known and not read, with the line that helps.
fn foreign(start: &[u8], is_named: &dyn Fn(&str) -> bool) -> Option<InputError> {
    if let [0x80, 2..=5, ..] = start {
        return Some(pickle("a Python pickle"));
    }
    if start.starts_with(b"\x89HDF\r\n") {
        return Some(InputError::new("is HDF5, which is not read").hint(
            "python -c \"import h5py, numpy as np; np.save('logits.npy', h5py.File('FILE')['logits'][:])\"",
        ));
    }
    if start.starts_with(&[0x1f, 0x8b]) || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Some(
            InputError::new("is compressed").hint("zcat FILE | softargmax … -; of zstd, zstdcat"),
        );
    }
    // What begins otherwise can be CSV by any other name.
    for (extension, begins, remedy) in [
        ("npy", "\\x93NUMPY", "write it with np.save, or name it .csv if it is text"),
        ("npz", "PK", "write it with np.savez"),
        ("safetensors", "a length and {", "write it with safetensors.numpy.save_file"),
        ("parquet", "PAR1", "write it again"),
        ("arrow", "ARROW1", "write it again"),
    ] {
        if is_named(extension) {
            let reason = format!("is not a .{extension} file: it does not begin with {begins}");
            return Some(InputError::new(reason).hint(remedy));
        }
    }
    None
}

/// A pickle runs code when it is read; Python itself has to turn it into something else.
pub(super) fn pickle(what: &str) -> InputError {
    InputError::new(format!("is {what}, which can run anything when it is read")).hint(
        "python -c \"import torch, numpy as np; x = torch.load('FILE', weights_only=True); \
         np.save('logits.npy', x.float().numpy())\"",
    )
}
