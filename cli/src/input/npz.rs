//! Begins to read an array of a .npz file: a zip archive of .npy files, as they are or deflated.
//!
//! An array is read in order and never held, so that it may be larger than memory, whatever it unpacks to; its size
//! and checksum are compared at its end. The directory comes from `rawzip`.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::array::Array;
use super::table::choose_array;
use super::wanted::Wanted;
use super::{InputError, npy};

/// What the directory says of a member.
struct Member {
    name: String,
    method: CompressionMethod,
    place: rawzip::ZipArchiveEntryWayfinder,
    crc: u32,
    size: u64,
}

pub(super) fn open(file: File, wanted: &Wanted) -> Result<Array, InputError> {
    let broken = |e: rawzip::Error| {
        InputError::new(format!("is no whole zip archive: {e}"))
            .hint("write it again: np.savez('logits.npz', logits=x)")
    };
    let again = file.try_clone().map_err(|e| InputError::io(&e))?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(again, &mut buffer).map_err(broken)?;
    let mut members = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        members.push(Member {
            name: name.strip_suffix(".npy").unwrap_or(&name).to_owned(),
            method: entry.compression_method(),
            place: entry.wayfinder(),
            crc: entry.crc32(),
            size: entry.uncompressed_size_hint(),
        });
    }
    if members.iter().any(|member| member.name.ends_with("data.pkl")) {
        return Err(super::format::pickle("what torch.save wrote"));
    }
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let name = choose_array(&names, wanted)?;
    let of_name = || members.iter().filter(|member| member.name == name);
    let (Some(member), 1) = (of_name().next(), of_name().count()) else {
        return Err(InputError::new(format!("has the array '{name}' twice")));
    };
    let within = |e: InputError| e.at(format!("array '{name}'"));
    let entry = archive.get_entry(member.place).map_err(broken).map_err(within)?;
    let (start, end) = entry.compressed_data_range();
    let mut packed = file;
    packed.seek(SeekFrom::Start(start)).map_err(|e| InputError::io(&e))?;
    let packed = packed.take(end.saturating_sub(start));
    let unpacked: Box<dyn Read> = match member.method {
        CompressionMethod::STORE => Box::new(packed),
        CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(BufReader::new(packed))),
        other => {
            return Err(within(InputError::new(format!("packed by method {}", other.as_u16())))
                .hint("np.savez and np.savez_compressed write what is read"));
        }
    };
    let mut checked = Checked {
        input: unpacked.take(member.size.saturating_add(1)),
        crc: member.crc,
        size: member.size,
        hasher: crc32fast::Hasher::new(),
        seen: 0,
    };
    let mut magic = [0; npy::MAGIC.len()];
    if checked.read_exact(&mut magic).is_err() || magic != *npy::MAGIC {
        return Err(within(InputError::new(
            "is not a .npy file: it does not begin with \\x93NUMPY",
        ))
        .hint("np.savez(path, logits=x) writes what is read"));
    }
    npy::open(Box::new(checked), Some(member.size), None).map_err(within)
}

/// Compares length and checksum when the end is reached.
struct Checked {
    input: Take<Box<dyn Read>>,
    crc: u32,
    size: u64,
    hasher: crc32fast::Hasher,
    seen: u64,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.seen += read as u64;
        let is_wrong = self.seen > self.size
            || read == 0
                && !buffer.is_empty()
                && (self.seen < self.size || self.hasher.clone().finalize() != self.crc);
        match is_wrong {
            true => Err(std::io::Error::other("its size or checksum is another in the directory")),
            false => Ok(read),
        }
    }
}
