//! The help, the manual and the completions, which are made from the same records.

use std::path::Path;
use std::process::{Command, Output};

const VERBS: [&str; 14] = [
    "sweep",
    "apply",
    "solve",
    "sample",
    "fit",
    "eval",
    "report",
    "scan",
    "merge",
    "distill",
    "teacher",
    "contrast",
    "sql",
    "completions",
];
/// What has verbs of its own.
const PARTS: [[&str; 2]; 3] = [["teacher", "pack"], ["teacher", "verify"], ["teacher", "audit"]];

fn softargmax(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_softargmax")).args(args).output().expect("the program starts")
}

fn text(args: &[&str]) -> String {
    let output = softargmax(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The lines that the help of a verb, or of the whole program, gives as examples.
fn examples(verb: &[&str]) -> Vec<String> {
    let help = text(&[verb, &["--help"]].concat());
    let (_, examples) = help.split_once("Examples:\n").expect("examples");
    examples.lines().take_while(|line| !line.is_empty()).map(|line| line.trim().into()).collect()
}

#[test]
fn every_verb_is_in_the_list() {
    let help = text(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let mut names: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    names.retain(|&name| name != "help");
    assert_eq!(names, VERBS);
}

/// Through a shell, as a reader would copy them; where there is no POSIX shell, there is no test.
#[cfg(unix)]
#[test]
fn every_example_runs() {
    let programs = Path::new(env!("CARGO_BIN_EXE_softargmax")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", programs.display());
    let verbs = VERBS.iter().map(std::slice::from_ref);
    for verb in verbs.chain(PARTS.iter().map(|part| &part[..])).chain([&[][..]]) {
        let folder = tempfile::tempdir().expect("a folder");
        write_logits(folder.path());
        let examples = examples(verb);
        assert!(!examples.is_empty(), "{verb:?}");
        if verb == ["sql"] {
            continue; // Another package's: its own tests run its examples.
        }
        for example in examples {
            // Every part of a pipeline counts, and examples end up in scripts: `set -e`.
            let mut shell = Command::new("sh");
            shell.args(["-e", "-c", &example]).current_dir(folder.path()).env("PATH", &path);
            let output = shell.output().expect("a shell");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{example}: {errors}");
        }
    }
}

/// The files that the examples speak of: twelve rows of three logits, their labels, draws, a fit, two scans and a teacher;
/// twelve pairs of vectors and some negatives.
#[cfg(unix)]
fn write_logits(folder: &Path) {
    let npy = |header: &str| {
        // Padded so that the numbers begin at a multiple of 64 bytes.
        let header = format!("{header:<117}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat()
    };
    let mut logits = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 3), }");
    logits.extend(
        [1.0f32, 2.0, 4.0, 0.5, 0.0, -1.0].repeat(6).into_iter().flat_map(f32::to_le_bytes),
    );
    std::fs::write(folder.join("logits.npy"), logits).expect("a file");
    std::fs::write(folder.join("logits.csv"), "1,2,4\n0.5,0,-1\n".repeat(6)).expect("a file");
    std::fs::create_dir(folder.join("shards")).expect("a folder");
    std::fs::write(folder.join("probs.csv"), "0.1,0.2,0.7\n0.6,0.3,0.1\n".repeat(6))
        .expect("a file");
    std::fs::write(folder.join("draws.csv"), "3\n3\n2\n3\n").expect("a file");
    let labels = "2\n0\n2\n1\n1\n0\n2\n0\n0\n1\n2\n0\n";
    std::fs::write(folder.join("labels.csv"), labels).expect("a file");
    let rows = ["1, 2, 4", "0.5, 0, -1"].into_iter().cycle().zip(labels.lines());
    let line = |(row, label)| format!("{{\"logits\": [{row}], \"label\": {label}}}\n");
    let lines: String = rows.map(line).collect();
    for name in ["logits.jsonl", "shards/a.jsonl", "shards/b.jsonl"] {
        std::fs::write(folder.join(name), &lines).expect("a file");
    }
    let mut classes = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (12,), }");
    classes.extend(labels.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0'));
    std::fs::write(folder.join("labels.npy"), classes).expect("a file");
    let mut vectors = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 2), }");
    vectors.extend(
        [1.0f32, 0.0, 0.6, 0.8, 0.0, -1.0].repeat(4).into_iter().flat_map(f32::to_le_bytes),
    );
    for name in ["queries.npy", "keys.npy"] {
        std::fs::write(folder.join(name), &vectors).expect("a file");
    }
    for name in ["queries.csv", "keys.csv", "queue.csv"] {
        std::fs::write(folder.join(name), "3,4\n1,0\n0,-2\n5,12\n".repeat(3)).expect("a file");
    }
    let fit = ["fit", "logits.npy", "--labels", "labels.npy", "--save", "fit.json"];
    let mut program = Command::new(env!("CARGO_BIN_EXE_softargmax"));
    let output = program.args(fit).current_dir(folder).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::copy(folder.join("logits.npy"), folder.join("teacher.npy")).expect("copied");
    let pack = ["teacher", "pack", "teacher.npy", "-o", "teacher.sat", "--top-k", "2"];
    let mut program = Command::new(env!("CARGO_BIN_EXE_softargmax"));
    let output = program.args(pack).current_dir(folder).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["scan.json", "scan2.json"] {
        let scan = ["scan", "logits.npy", "--labels", "labels.npy", "-o", name];
        let mut program = Command::new(env!("CARGO_BIN_EXE_softargmax"));
        let output = program.args(scan).current_dir(folder).output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let committed = std::fs::read_to_string(path).expect("docs/cli.md");
    assert!(committed == text(&["help-markdown"]), "docs/cli.md is stale: make docs");
}

#[test]
fn every_shell_gets_completions_for_every_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = text(&["completions", shell]);
        for word in VERBS.iter().chain(&["temperatures", "perplexity"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("help-markdown"), "{shell} offers what is hidden");
    }
    assert_eq!(softargmax(&["completions", "tcsh"]).status.code(), Some(2));
}
