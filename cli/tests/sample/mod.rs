//! `softargmax sample` as its users meet it: draws, and checks of draws.

mod check;
mod draws;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn sample(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softargmax"));
    command.env_remove("LC_ALL").env_remove("LC_CTYPE").env("LANG", "C.UTF-8");
    command.arg("sample").args(args).output().expect("the program starts")
}

#[track_caller]
fn exits(args: &[&str], code: i32) -> String {
    let output = sample(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}{text}");
    text
}

#[track_caller]
fn text(args: &[&str]) -> String {
    exits(args, 0)
}

#[track_caller]
fn json(args: &[&str], code: i32) -> Value {
    serde_json::from_str(&exits(&[args, &["--json"]].concat(), code)).expect("JSON")
}

/// What is on standard error of a run that must be refused.
#[track_caller]
fn refusal(args: &[&str]) -> String {
    let output = sample(args);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(output.stdout.is_empty(), "{args:?} printed a result");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[track_caller]
fn tokens(args: &[&str]) -> Vec<usize> {
    text(args).lines().map(|line| line.parse().expect("a class")).collect()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), contents).expect("a file");
        self.path(name)
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.0.path())
            .expect("a folder")
            .map(|entry| entry.expect("listed").path())
            .collect()
    }
}

/// A .npy file of little-endian numbers.
fn npy(descr: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), numbers]
        .concat()
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The integers of a .npy file, and what its header says of their shape.
fn read_npy(path: &str) -> (String, Vec<i64>) {
    let bytes = fs::read(path).expect("a file");
    let (head, numbers) = bytes.split_at(128);
    let head = String::from_utf8_lossy(head);
    assert!(head.contains("'descr': '<i8', 'fortran_order': False"), "{head}");
    let shape =
        head.split("'shape': ").nth(1).and_then(|rest| rest.split(", }").next()).expect("a shape");
    let numbers =
        numbers.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("8 bytes")));
    (shape.to_owned(), numbers.collect())
}
