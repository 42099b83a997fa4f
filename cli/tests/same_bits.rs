//! The rows of fixtures/same_bits.json from files of four formats. SQL, Ballista and Python's engines are held to the same
//! file: sql/tests/sql/same_bits.rs, cluster/tests/cluster.rs, python/tests/test_engines.py.
#![cfg(feature = "arrow")]

use std::path::Path;

use serde_json::Value;

use crate::files::{Folder, f32_npy, npy};
use crate::labelled::{digits, json, run};
use crate::tables::{List, Rows, ipc, jsonl, parquet};

/// The digits four times: as they are, and by factors that are exact.
fn rows() -> Rows {
    let folder = digits();
    let data = |name: &str| {
        let bytes = folder.read(name);
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        bytes[start..].to_vec()
    };
    let logits = data("logits.npy");
    let logits: Vec<f32> =
        logits.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let labels = data("labels.npy");
    let labels: Vec<i64> =
        labels.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
    let scaled = [1.0, 0.5, 0.25, 2.0].into_iter();
    let logits = scaled.flat_map(|factor| logits.iter().map(move |x| x * factor)).collect();
    Rows { classes: 10, logits, labels: labels.repeat(4) }
}

#[track_caller]
fn assert_same(got: &Value, want: &Value, what: &str) {
    for (name, want) in want.as_object().expect("an object") {
        assert_eq!(got[name], *want, "{what}: {name}");
    }
}

#[test]
fn four_formats_have_the_bits_that_all_engines_have() {
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/same_bits.json");
    let pinned = std::fs::read(pinned).expect("the fixture");
    let pinned: Value = serde_json::from_slice(&pinned).expect("JSON");
    let (folder, rows) = (Folder::new(), rows());
    let count = rows.labels.len();
    folder.write("x.npy", &f32_npy(&format!("({count}, 10)"), &rows.logits));
    let labels: Vec<u8> = rows.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    folder.write("y.npy", &npy("'<i8'", false, &format!("({count},)"), &labels));
    folder.write("x.parquet", &parquet(&rows, List::Fixed, 500));
    folder.write("x.arrow", &ipc(&rows, List::Any, true, None));
    folder.write("x.jsonl", &jsonl(&rows, false));
    for name in ["x.npy", "x.parquet", "x.arrow", "x.jsonl"] {
        let labels = if name == "x.npy" { "y.npy" } else { ":label" };
        let fit = json(&folder, &["fit", name, "--labels", labels, "--holdout", "0"], 0);
        assert_same(&fit, &pinned["fit"], name);
        run(&folder, &["scan", name, "--labels", labels, "-o", "scan.json"], 0);
        assert_same(&json(&folder, &["merge", "scan.json"], 0), &pinned["scan"], name);
        std::fs::remove_file(folder.path("scan.json")).expect("removed");
    }
}
