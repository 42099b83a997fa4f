//! The fuzz targets include the readers' files from outside the workspace: a crate that is missing there shows here.

use std::fs;
use std::path::{Path, PathBuf};

/// The sources in a folder and those below, less those of the feature `arrow`, which fuzzing does without.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true if path.ends_with("arrow") => {}
            true => sources(&path, into),
            false => into.push(path),
        }
    }
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).expect("a manifest");
    let (_, after) = text.split_once("\n[dependencies]\n").expect("dependencies");
    let lines = after.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned());
    names.filter(|name| !name.starts_with([' ', '#'])).collect()
}

#[test]
fn the_fuzz_targets_have_every_crate_of_the_readers() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![here.join("src/error.rs")];
    sources(&here.join("src/input"), &mut files);
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a source");
        // What only tests use is not included.
        text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
    };
    let texts: Vec<String> = files.iter().map(read).collect();
    let there = dependencies(&here.join("../fuzz/Cargo.toml"));
    let is_used = |name: &str| texts.iter().any(|text| text.contains(&format!("{name}::")));
    let mut used = dependencies(&here.join("Cargo.toml"));
    used.retain(|name| is_used(&name.replace('-', "_")));
    assert!(used.iter().any(|name| name == "zerocopy"), "{used:?}");
    for name in used {
        assert!(there.contains(&name), "fuzz/Cargo.toml lacks {name}, which the readers use");
    }
}
