//! Every console block of the README and the guide: run as a reader would, its output compared.
//!
//! `make docs` runs this with SOFTARGMAX_UPDATE=1, which writes what came out into the blocks instead.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const PAGES: [&str; 6] = [
    "README.md",
    "docs/temperature.md",
    "docs/calibration.md",
    "docs/sampling.md",
    "docs/formats.md",
    "docs/scale.md",
];
/// How a page says `softargmax` where the program is not installed yet.
const FROM_SOURCE: &str = "cargo run --release -p softargmax-cli --";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A folder with the files that the pages speak of.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let digits = folder.path().join("examples/digits");
    fs::create_dir_all(&digits).expect("a folder");
    fs::create_dir(folder.path().join("docs")).expect("a folder");
    for file in ["logits.npy", "labels.npy", "queries.npy", "keys.npy"] {
        let from = repository().join("examples/digits").join(file);
        fs::copy(from, digits.join(file)).expect("copied");
    }
    folder
}

/// What a command prints, on either stream; it must succeed.
fn run(command: &str, folder: &Path) -> String {
    if let Some(target) = command.strip_prefix("make ") {
        // Not from inside the tests that it runs; but the command must be there.
        assert!(read("Makefile").contains(&format!("\n{target}: ")), "no such target: {command}");
        return String::new();
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_softargmax")).parent().expect("a folder");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let script = command.replace(FROM_SOURCE, "softargmax");
    assert!(!script.contains("cargo"), "nothing is compiled here: {command}");
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .expect("a shell");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{command}: {}\n{printed}", output.status);
    printed
}

/// The page with what its commands print now.
fn rendered(page: &str, folder: &Path) -> String {
    let mut lines = page.lines().peekable();
    let (mut result, mut fence) = (String::new(), None);
    while let Some(line) = lines.next() {
        result += line;
        result.push('\n');
        match (fence, line.strip_prefix("```")) {
            (None, Some(language)) => {
                // Whatever is in a language that can run is to be run by a test: Python by the package's own, what asks in
                // SQL or a cluster (sh) by those of the engine.
                let known = ["console", "rust", "python", "text", "console sql", "sh"];
                assert!(known.contains(&language), "a block of {language:?}");
                fence = Some(language);
            }
            (Some(_), Some(_)) => fence = None,
            (Some("console"), None) => {
                let mut command = line.strip_prefix("$ ").expect("a command").to_string();
                while command.ends_with('\\') {
                    let more = lines.next().expect("the rest of a command");
                    result += &format!("{more}\n");
                    command += &format!("\n{more}");
                }
                while lines
                    .next_if(|line| !line.starts_with("$ ") && !line.starts_with("```"))
                    .is_some()
                {}
                result += &run(&command, folder);
            }
            _ => {}
        }
    }
    assert!(fence.is_none(), "a block does not end");
    result
}

#[test]
fn every_block_prints_what_it_says() {
    for page in PAGES {
        let (folder, committed) = (folder(), read(page));
        let now = rendered(&committed, folder.path());
        if std::env::var_os("SOFTARGMAX_UPDATE").is_some() {
            fs::write(repository().join(page), now).expect("written");
            continue;
        }
        for (committed, now) in committed.lines().zip(now.lines()) {
            assert_eq!(committed, now, "{page}; `make docs` writes it anew");
        }
        assert_eq!(
            committed.lines().count(),
            now.lines().count(),
            "{page}; `make docs` writes it anew"
        );
    }
}

#[test]
fn the_picture_is_of_this_program() {
    let folder = folder();
    run(
        "softargmax sweep 1 5 7 10 --temperatures 0.1,1,10,100,10000 --plot docs/sweep.svg",
        folder.path(),
    );
    let now = fs::read_to_string(folder.path().join("docs/sweep.svg")).expect("a picture");
    assert!(read("docs/sweep.svg") == now, "docs/sweep.svg is stale: make docs");
}

#[test]
fn the_contrastive_picture_is_of_this_program() {
    let folder = folder();
    run(
        "softargmax contrast examples/digits/queries.npy examples/digits/keys.npy -t 0.07 --plot docs/contrast.svg",
        folder.path(),
    );
    let now = fs::read_to_string(folder.path().join("docs/contrast.svg")).expect("a picture");
    assert!(read("docs/contrast.svg") == now, "docs/contrast.svg is stale: make docs");
}

#[test]
fn the_pictures_of_the_digits_are_of_this_program() {
    let folder = folder();
    fs::create_dir(folder.path().join("docs/digits")).expect("a folder");
    run(
        "softargmax report examples/digits/logits.npy --labels examples/digits/labels.npy --svg docs/digits",
        folder.path(),
    );
    for entry in fs::read_dir(folder.path().join("docs/digits")).expect("listed") {
        let path = entry.expect("listed").path();
        let name = format!("docs/digits/{}", path.file_name().expect("a name").display());
        let now = fs::read_to_string(&path).expect("a picture");
        assert!(read(&name) == now, "{name} is stale: make docs");
    }
}

/// Pages name files; a file that has moved would leave a dead link.
#[test]
fn every_link_leads_somewhere() {
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/temperature.md",
        "docs/calibration.md",
        "docs/teacher-format.md",
        "docs/sampling.md",
        "docs/formats.md",
        "docs/scale.md",
        "examples/characters/README.md",
        "docs/numerics.md",
    ] {
        let text = read(page);
        let from = repository().join(page);
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = from.parent().expect("a folder").join(target);
            assert!(path.exists(), "{page}: {target} is not there");
        }
    }
}
