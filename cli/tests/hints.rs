//! Files that are nearly right: what is said of them leads to the remedy.
#![cfg(feature = "arrow")]

use std::fs;

use crate::files::{Folder, f32_npy, npy};
use crate::labelled::{json, refused};
use crate::tables::{List, Rows, ipc, labels_with_null};

#[test]
fn labels_in_an_array_of_texts() {
    let folder = Folder::with("x.npy", &f32_npy("(2, 2)", &[1.0, 0.0, 0.0, 1.0]));
    let names: Vec<u8> = "catdog".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    folder.write("y.npy", &npy("'<U3'", false, "(2,)", &names));
    refused(
        &folder,
        &["fit", "x.npy", "--labels", "y.npy"],
        &["y.npy: has dtype '<U3': text", "\nhint: ", "np.savetxt('labels.txt'", "--classes FILE"],
    );
}

#[test]
fn a_label_that_is_null() {
    let rows = Rows::new(100, 3);
    let folder = Folder::with("x.parquet", &labels_with_null(&rows, 70));
    refused(
        &folder,
        &["fit", "x.parquet", "--labels", ":label"],
        &[
            "x.parquet:label: row 70: null, where a number belongs",
            "\nhint: leave the row out",
            "--ignore-label",
        ],
    );
}

/// In batches of 77 rows, of which the last cannot be decompressed.
#[test]
fn a_batch_that_is_damaged() {
    let rows = Rows::new(200, 3);
    for is_file in [true, false] {
        let mut bytes = ipc(&rows, List::Any, is_file, Some("zstd"));
        let frames: Vec<usize> = (bytes.len() * 4 / 5..bytes.len() - 4)
            .filter(|&at| bytes[at..at + 4] == [0x28, 0xb5, 0x2f, 0xfd])
            .collect();
        assert!(!frames.is_empty());
        frames.iter().for_each(|&at| bytes[at..at + 4].fill(0xff));
        let folder = Folder::with("x.arrow", &bytes);
        let args = ["fit", "x.arrow", "--labels", ":label"];
        refused(
            &folder,
            &args,
            &["x.arrow:label: row 154", ": is damaged: ", "\nhint: copy or write it again"],
        );
    }
}

#[test]
fn shards_of_csv() {
    let rows = Rows::new(90, 3);
    let folder = Folder::with("whole.csv", &crate::tables::csv(&rows));
    fs::create_dir(folder.path("logs")).expect("a folder");
    for (name, range) in [("a", 0..40), ("b", 40..41), ("c", 41..90)] {
        folder.write(&format!("logs/{name}.csv"), &crate::tables::csv(&rows.slice(range)));
    }
    let lines: String = rows.labels.iter().map(|label| format!("{label}\n")).collect();
    folder.write("labels.csv", lines.as_bytes());
    let fit = |logits: &str| {
        let logits = format!("{logits}:logit_*");
        let document = json(&folder, &["fit", &logits, "--labels", "labels.csv"], 0);
        ["temperature", "std_error", "nll_after", "rows"].map(|name| document[name].clone())
    };
    let expected = fit("whole.csv");
    assert_eq!((fit("logs"), fit("logs/*.csv")), (expected.clone(), expected));
    let args = ["fit", "logs:logit_*", "--labels", ":label"];
    refused(&folder, &args, &["labels in several files must not be CSV", "\nhint: join them"]);

    // Every shard has a header; a line is counted in its own.
    folder.write("logs/b.csv", b"logit_0,label,logit_1,logit_2\n1,0,2,3\n1,0,x,3\n");
    let args = ["fit", "logs:logit_*", "--labels", "labels.csv"];
    refused(&folder, &args, &["logs/b.csv: ", "line 3", "'x'"]);
}
