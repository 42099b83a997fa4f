//! Every block of docs/scale.md that asks in SQL, and the examples of the help: run as a reader would.
//!
//! With SOFTARGMAX_UPDATE=1 what came out is written into the blocks instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the set is made that the page speaks of.
const MADE: &str = "cargo run --release -p softargmax-sql --example logs -- 20000 logs";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scale.md")
}

/// What a command prints, on either stream; it must succeed.
fn run(command: &str, folder: &Path) -> String {
    if command == MADE {
        crate::logs::write(20000, &folder.join("logs")).unwrap();
        return String::new();
    }
    let script = command.replace("softargmax sql", "softargmax-sql");
    let programs = Path::new(env!("CARGO_BIN_EXE_softargmax-sql")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command}: {printed}");
    printed
}

#[cfg(unix)]
#[test]
fn every_block_prints_what_the_page_says() {
    let text = fs::read_to_string(page()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut made = String::new();
    let mut blocks = 0;
    for (at, part) in text.split("```").enumerate() {
        let (before, after) = if at == 0 { ("", part) } else { ("```", part) };
        made.push_str(before);
        let Some(block) = after.strip_prefix("console sql\n").filter(|_| at % 2 == 1) else {
            made.push_str(after);
            continue;
        };
        made.push_str("console sql\n");
        for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            made.push_str(&format!("$ {command}\n{}", run(command, folder.path())));
        }
        blocks += 1;
    }
    assert!(blocks > 3);
    if std::env::var_os("SOFTARGMAX_UPDATE").is_some() {
        fs::write(page(), made).unwrap();
    } else {
        assert!(made == text, "docs/scale.md is stale; it would be:\n{made}");
    }
}

#[cfg(unix)]
#[test]
fn every_example_of_the_help_runs() {
    let folder = tempfile::tempdir().unwrap();
    crate::logs::write(400, &folder.path().join("logs")).unwrap();
    fs::copy(folder.path().join("logs/part0.parquet"), folder.path().join("logs.parquet")).unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_softargmax-sql")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let examples: Vec<&str> = examples.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        run(example.trim(), folder.path());
    }
    assert!(folder.path().join("probabilities.parquet").exists());
}
