//! Packed teachers. Few bytes have a right checksum by chance, so they are also tried with checksums made right: what is
//! wrong then is wrong in the records themselves.
//!
//! ```text
//! any bytes → refused, or rows of a teacher that has a loss        the same in one piece and as a pipe gives them
//! ```

// Not all of them is used here.
#[allow(dead_code)]
#[path = "../../cli/src/teacher/format.rs"]
mod format;
#[allow(dead_code)]
#[path = "../../cli/src/teacher/reader.rs"]
mod reader;

use std::io::{Cursor, Read};

use reader::Reader;
use softargmax::{DistillationOptions, Rows, Temperature, truncated_distillation};

use crate::Trickle;

/// Reads `bytes` in every way; a panic is a finding.
pub fn check(bytes: &[u8]) {
    check_as_they_are(bytes);
    check_as_they_are(&with_right_checksums(bytes));
}

fn check_as_they_are(bytes: &[u8]) {
    let whole = read(Box::new(Cursor::new(bytes.to_vec())), Some(bytes.len() as u64), 1000);
    let trickled = read(Box::new(Trickle(Cursor::new(bytes.to_vec()), 0)), None, 3);
    assert_eq!(whole, trickled, "the result depends on how the bytes came");
}

/// log Z of every row at twice the smallest temperature; `None` where something was refused.
fn read(input: Box<dyn Read>, size: Option<u64>, most: usize) -> Option<Vec<u64>> {
    let mut reader = Reader::from_reader("fuzz.sat".to_owned(), input, size).ok()?;
    let (mut all, mut rows) = (Vec::new(), 0);
    loop {
        let there = reader.available().ok()?.min(most);
        if there == 0 {
            break;
        }
        let teacher = reader.take(there).ok()?;
        assert_eq!((teacher.rows(), teacher.classes()), (there, reader.header.classes));
        let tau = Temperature::new(2.0 * reader.header.temperatures[0].tau()).expect("positive");
        let statistics = teacher.statistics(tau);
        // A block of rows must not be told from another: a refused row refuses the file.
        all.extend(statistics.ok()?.iter().map(|of| of.log_z.to_bits()));
        if teacher.classes() < 1000 {
            let zeros = vec![0.0; there * teacher.classes()];
            let student = Rows::new(&zeros, teacher.classes()).expect("rows");
            let options = DistillationOptions::default();
            if let Ok(loss) = truncated_distillation(student, &teacher, tau, &options) {
                assert!(loss.values.iter().all(|loss| !loss.is_nan()));
            }
        }
        rows += there as u64;
    }
    assert_eq!(rows, reader.header.rows);
    Some(all)
}

/// The bytes as header and blocks, each followed by its checksum.
fn with_right_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let magic = b"\x93TEACHER\x01\x00";
    let len = bytes.len().min(magic.len());
    bytes[..len].copy_from_slice(&magic[..len]);
    let Some(grid) = bytes.get(12).map(|grid| usize::from(*grid % 4) + 1) else { return bytes };
    bytes[12] = grid as u8;
    let end = 40 + 8 * grid;
    if bytes.len() < end + 4 {
        return bytes;
    }
    let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
    bytes[end..end + 4].copy_from_slice(&checksum);
    let Ok(header) = format::Header::parse(&bytes[..end + 4]) else { return bytes };
    let (mut at, mut block) = (end + 4, 0);
    loop {
        let size = header.rows_of(block) * header.record();
        if size == 0 || bytes.len() < at + size + 4 {
            return bytes;
        }
        let checksum = format::checksum(block, &bytes[at..at + size]);
        bytes[at + size..at + size + 4].copy_from_slice(&checksum);
        (at, block) = (at + size + 4, block + 1);
    }
}
