//! `softargmax sql` hands over to `softargmax-sql`. A program of its own, in which nothing else is started while it writes one.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

/// A program that is being written cannot be run, and a process that is started meanwhile, by another test, holds the
/// file open for a moment as this one does: so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The program alone in a folder, and `path` where others are looked for.
fn softargmax(folder: &Path, path: &Path, arguments: &[&str]) -> Output {
    let program = folder.join("softargmax");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_softargmax"), &program).unwrap();
    }
    Command::new(program).args(arguments).env("PATH", path).output().unwrap()
}

/// A program that says what it was called with, and ends with a code of its own.
fn other(folder: &Path) {
    let path = folder.join("softargmax-sql");
    fs::write(&path, "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_follows_the_verb_goes_on_as_it_was_typed() {
    let _alone = ALONE.lock();
    let (own, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    other(path.path());
    let output =
        softargmax(own.path(), path.path(), &["sql", "select -1", "--format", "-inf", "-o", "-"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "<select -1><--format><-inf><-o><->");
    assert_eq!(output.status.code(), Some(7));
    // One that stands beside it comes first.
    other(own.path());
    let nowhere = tempfile::tempdir().unwrap();
    let output = softargmax(own.path(), nowhere.path(), &["sql", "select 1"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "<select 1>");
}

#[test]
fn where_it_is_not_installed_the_remedy_is_told() {
    let _alone = ALONE.lock();
    let (own, nowhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = softargmax(own.path(), nowhere.path(), &["sql", "select 1"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: softargmax-sql is not installed\n\
         hint: cargo install --path sql, in the repository, puts it beside softargmax\n"
    );
}
