//! Real logits with labels from `../shared/logits`, where that is there; it is not part of the project.

use std::path::Path;

/// One folder: `logits.npy`, widened to f64, and `labels.npy`.
pub struct Set {
    pub logits: Vec<f64>,
    pub classes: usize,
    pub labels: Vec<i64>,
}

/// `None`, with a word on stderr, where the folder is absent.
pub fn set(name: &str) -> Option<Set> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/logits").join(name);
    if !folder.exists() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    let (kind, shape, bytes) = npy(&folder.join("logits.npy"));
    let logits = match kind.as_str() {
        "<f4" => of_chunks(&bytes, |b: [u8; 4]| f64::from(f32::from_le_bytes(b))),
        "<f8" => of_chunks(&bytes, f64::from_le_bytes),
        other => panic!("logits of type {other}"),
    };
    let (kind, rows, bytes) = npy(&folder.join("labels.npy"));
    assert_eq!(kind, "<i8");
    let labels = of_chunks(&bytes, i64::from_le_bytes);
    assert_eq!((shape[0], rows[0]), (labels.len(), labels.len()));
    assert_eq!(logits.len(), labels.len() * shape[1]);
    Some(Set { logits, classes: shape[1], labels })
}

fn of_chunks<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| read(chunk)).collect()
}

/// Type, shape and the numbers of a .npy file of version 1.0, as NumPy writes it.
fn npy(path: &Path) -> (String, Vec<usize>, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"), "{}", path.display());
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).expect("a header of text");
    assert!(header.contains("'fortran_order': False"), "{header}");
    let after = |key| header.split_once(key).unwrap_or_else(|| panic!("no {key} in {header}")).1;
    let kind = after("'descr': '").split('\'').next().unwrap_or_default().to_owned();
    let shape = after("'shape': (").split(')').next().unwrap_or_default();
    let shape = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    (kind, shape, bytes[start..].to_vec())
}
