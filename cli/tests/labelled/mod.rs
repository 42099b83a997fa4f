//! Logits with labels to run the program on, and what is looked at in its answers.

use std::path::Path;

use serde_json::Value;

use crate::files::{Folder, softargmax};

/// A folder with the digits: 897 rows of 10 classes.
pub(crate) fn digits() -> Folder {
    let folder = Folder::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits");
    for name in ["logits.npy", "labels.npy"] {
        std::fs::copy(from.join(name), folder.path(name)).expect("copied");
    }
    folder
}

/// What a run that ends with this code prints, and what it says beside.
#[track_caller]
pub(crate) fn run(folder: &Folder, args: &[&str], code: i32) -> (String, String) {
    let output = softargmax(folder, args, b"");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (out, errors) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{errors}");
    (out, errors)
}

/// The document of a run with `--json`.
#[track_caller]
pub(crate) fn json(folder: &Folder, args: &[&str], code: i32) -> Value {
    let (out, _) = run(folder, &[args, &["--json"]].concat(), code);
    serde_json::from_str(&out).expect("JSON")
}

/// A run that must end with exit code 2, every one of `parts` in its message, and leave nothing behind.
#[track_caller]
pub(crate) fn refused(folder: &Folder, args: &[&str], parts: &[&str]) {
    let before = folder.names();
    let (out, message) = run(folder, args, 2);
    assert!(out.is_empty(), "{out}");
    for part in parts {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
    assert_eq!(folder.names(), before, "something was left behind");
}

#[track_caller]
pub(crate) fn close(got: &Value, expected: f64, relative: f64) {
    let number = got.as_f64().unwrap_or_else(|| panic!("{got} is no number"));
    assert!((number - expected).abs() <= relative * expected.abs(), "{got}, not {expected}");
}
