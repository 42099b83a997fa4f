//! What is read by its path: archives, and what stands beside the rows. In a file of this process's own, written anew for
//! every input.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use crate::input::{
    Beside, Groups, InputError, LabelOptions, Labels, ReadOptions, Rest, Source, TopK, read_weights,
};
use crate::{read, same};

/// The file, with these bytes.
fn written(bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("softargmax-fuzz-{}", std::process::id()));
    fs::write(&path, bytes).expect("written");
    path
}

/// Any bytes behind the magic of an archive, and archives that are whole but for what the bytes change.
pub fn check_npz(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    if choice == 0 {
        return check_archive(&[b"PK\x03\x04", rest].concat());
    }
    // The first of the rest are numbers, then come a place and what is changed there, three bytes each.
    let (numbers, changes) = rest.split_at(rest.len().min(usize::from(choice % 8) * 8));
    let shape = format!("({}, 2)", numbers.len() / 8);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let array = [
        b"\x93NUMPY\x01\x00",
        &(header.len() as u16 + 1).to_le_bytes()[..],
        header.as_bytes(),
        b"\n",
        numbers,
    ];
    let members = [("logits.npy", array.concat()), ("labels.npy", numbers.to_vec())];
    let mut archive = zipped(&members, choice & 64 != 0);
    for change in changes.chunks_exact(3) {
        let at = usize::from(change[0]) | usize::from(change[1]) << 8;
        let at = at % archive.len();
        archive[at] ^= change[2];
    }
    check_archive(&archive);
}

fn check_archive(archive: &[u8]) {
    let path = written(archive);
    let open = || Source::open(&path, &ReadOptions::default());
    agree(open().and_then(|x| read::<f32>(x, 1)), open().and_then(|x| read::<f32>(x, 1000)));
}

fn zipped(members: &[(&str, Vec<u8>)], deflate: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut out);
    for (name, bytes) in members {
        let method = if deflate { CompressionMethod::DEFLATE } else { CompressionMethod::STORE };
        let entry = archive.new_file(name).compression_method(method).start();
        let (mut entry, config) = entry.expect("a member");
        let descriptor = if deflate {
            let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
            writer.write_all(bytes).expect("written");
            let (deflater, descriptor) = writer.finish().expect("finished");
            deflater.finish().expect("finished");
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(bytes).expect("written");
            writer.finish().expect("finished").1
        };
        entry.finish(descriptor).expect("finished");
    }
    archive.finish().expect("finished");
    out
}

const CLASSES: usize = 3;

/// Labels, weights and groups of any bytes, behind a first line that is one; and rows of some classes only.
pub fn check_beside(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let starts = [
        "",
        "1\n",
        "label,weight\n1,2.5\n",
        "0.5,0.25,0.25\n",
        "{\"label\": 2, \"weight\": 0.5, \"group\": \"a\"}\n",
        "{\"labels\": [0.5, 0.5, 0]}\n",
        "{\"x\": [-1, -2.5], \"ids\": [3, 0]}\n",
    ];
    let path = written(&[starts[usize::from(choice) % starts.len()].as_bytes(), rest].concat());
    for shape in [&[2, CLASSES][..], &[0, CLASSES]] {
        let beside = Beside { logits: &path, shape, classes: CLASSES };
        check_cells(&path, &beside);
        check_cells(Path::new(":label"), &beside);
    }
    for rest in [Rest::Mask, Rest::Even] {
        let top_k = TopK { ids: ":ids".into(), classes: 5, rest, are_log_probabilities: false };
        let options = ReadOptions { top_k: Some(top_k), ..ReadOptions::default() };
        let open = || Source::open(Path::new(&format!("{}:x", path.display())), &options);
        let (one, all) = (open().and_then(|x| read(x, 1)), open().and_then(|x| read(x, 1000)));
        if let (Ok(rows), Rest::Even) = (&one, rest) {
            for row in rows.chunks_exact(5) {
                let sum: f64 = row.iter().map(|x: &f64| x.exp()).sum();
                assert!(sum.is_nan() || sum < 1.02, "{row:?}");
            }
        }
        agree(one, all);
    }
}

fn check_cells(path: &Path, beside: &Beside) {
    let names = ["a", "1", "c"].map(str::to_owned);
    for names in [None, Some(&names[..])] {
        let options = LabelOptions { ignored: Some(7), names };
        match Labels::read(path, &options, beside) {
            Ok(Labels::Classes(classes)) => {
                assert!(classes.iter().all(|class| (-1..CLASSES as i64).contains(class)));
            }
            Ok(Labels::Shares(shares)) => {
                assert!(shares.len().is_multiple_of(CLASSES));
                for row in shares.chunks_exact(CLASSES) {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{row:?}");
                }
            }
            Err(_) => {}
        }
    }
    if let Ok(weights) = read_weights(path, beside) {
        assert!(weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0));
    }
    for rows in [None, Some(2)] {
        if let Ok(groups) = Groups::read(path, "groups", rows, &["a".to_owned()], beside) {
            let used = |group| groups.of_rows.contains(&group);
            assert!(groups.of_rows.iter().all(|&group| group < groups.names.len()));
            assert!((0..groups.names.len()).all(used));
        }
    }
}

/// However many rows are asked for at a time.
fn agree<T: crate::input::Number>(
    one: Result<Vec<T>, InputError>,
    all: Result<Vec<T>, InputError>,
) {
    match (one, all) {
        (Ok(one), Ok(all)) => {
            let wide = |numbers: Vec<T>| numbers.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
            assert!(same(&wide(one), &wide(all)));
        }
        (Err(_), Err(_)) => {}
        _ => panic!("the result depends on the blocks"),
    }
}
