//! `softargmax sample` as its users meet it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The draws checked are not from that distribution.
const FAILED: i32 = 4;

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

#[test]
fn a_seed_is_a_sequence_of_draws() {
    let of = |seed: &str, more: &[&str]| {
        tokens(&[&["1", "5", "7", "10", "-t", "6", "--seed", seed], more].concat())
    };
    // Golden: a changed draw is a breaking change.
    let twenty = of("1", &["-n", "20"]);
    assert_eq!(twenty, [1, 2, 3, 0, 3, 3, 1, 3, 3, 3, 0, 3, 3, 3, 1, 2, 1, 2, 1, 2]);
    assert_eq!(of("1", &["-n", "4"]), twenty[..4]);
    assert_eq!(of("1", &["-n", "16", "--position", "4"]), twenty[4..]);
    assert_eq!(of("1", &[]), twenty[..1]);
    assert_ne!(of("2", &["-n", "20"]), twenty);
    assert_ne!(of("1", &["-n", "20", "--stream", "1"]), twenty);
    assert_ne!(of("1", &["-n", "20", "--method", "gumbel"]), twenty);
}

/// A row of a file has the stream of its number, and neither its neighbours nor the format matter.
#[test]
fn a_row_does_not_see_its_neighbours() {
    let folder = Folder::new();
    let csv = folder.write("logits.csv", "1,5,7,10\n0,0,0,0\n2,1,0,-inf\n");
    let rows = [1.0, 5.0, 7.0, 10.0, 0.0, 0.0, 0.0, 0.0, 2.0, 1.0, 0.0, f32::NEG_INFINITY];
    let binary = folder.write("logits.npy", npy("<f4", "(3, 4)", &floats(&rows)));
    let flags = ["-t", "2", "--seed", "7", "-n", "20"];
    let lines = text(&[&[csv.as_str()], &flags[..]].concat());
    assert_eq!(lines, text(&[&[binary.as_str()], &flags[..]].concat()));
    let alone = [["1", "5", "7", "10"], ["0", "0", "0", "0"], ["2", "1", "0", "-inf"]];
    assert_eq!(lines.lines().count(), 3);
    for (row, (line, logits)) in lines.lines().zip(alone).enumerate() {
        let stream = row.to_string();
        let single = tokens(&[&logits, &flags[..], &["--stream", &stream]].concat());
        let line: Vec<usize> =
            line.split(',').map(|token| token.parse().expect("a class")).collect();
        assert_eq!(line, single, "row {row}");
    }
    // A text of one row is one row.
    let single = folder.write("single.csv", "1,5,7,10\n");
    let numbers = tokens(&[&["1", "5", "7", "10"], &flags[..]].concat());
    assert_eq!(tokens(&[&[single.as_str()], &flags[..]].concat()), numbers);
}

#[test]
fn the_limits_of_temperature_are_drawn_from() {
    assert_eq!(tokens(&["1", "5", "-1", "-t", "0", "-n", "50"]), [1; 50]);
    assert_eq!(tokens(&["1", "5", "-1", "-t", "1e-30", "-n", "50"]), [1; 50]);
    assert_eq!(tokens(&["1", "5", "-1", "--preset", "greedy"]), [1]);
    // Ties share, masks stay out.
    let counts = |args: &[&str]| {
        let mut counts = BTreeMap::new();
        for token in tokens(&[args, &["-n", "3000"]].concat()) {
            *counts.entry(token).or_insert(0) += 1;
        }
        counts
    };
    let ties = counts(&["3", "1", "3", "-inf", "-t", "0"]);
    assert_eq!(ties.keys().copied().collect::<Vec<_>>(), [0, 2]);
    let uniform = counts(&["3", "1", "3", "-inf", "-t", "inf"]);
    assert_eq!(uniform.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    // Within five standard deviations.
    assert!(ties.values().all(|&n| (n - 1500i32).abs() < 137), "{ties:?}");
    assert!(uniform.values().all(|&n| (n - 1000i32).abs() < 130), "{uniform:?}");
}

#[test]
fn every_parameter_arrives() {
    let kept = |more: &[&str]| -> Vec<u64> {
        let logits = ["1", "5", "7", "10", "9.5"];
        let document = json(&[&logits, more, &["--distribution"]].concat(), 0);
        let entries = document["rows"][0]["distribution"].as_array().expect("entries");
        assert_eq!(document["rows"][0]["kept"], entries.len());
        let sum: f64 = entries.iter().map(|entry| entry["probability"].as_f64().expect("p")).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{more:?}: {sum}");
        entries.iter().map(|entry| entry["token"].as_u64().expect("a class")).collect()
    };
    assert_eq!(kept(&[]), [3, 4, 2, 1, 0]);
    assert_eq!(kept(&["--top-k", "2"]), [3, 4]);
    assert_eq!(kept(&["--top-k", "99"]), [3, 4, 2, 1, 0]);
    // 0.6 of the mass is 10's at 1, and 0.5 at 2.
    assert_eq!(kept(&["--top-p", "0.55"]), [3]);
    assert_eq!(kept(&["--top-p", "0.55", "-t", "2"]), [3, 4]);
    assert_eq!(kept(&["--top-p", "0.55", "-t", "2", "--order", "temperature-last"]), [3]);
    assert_eq!(kept(&["--min-p", "0.5"]), [3, 4]);
    assert_eq!(kept(&["--top-n-sigma", "1"]), [3, 4, 2]);
    assert_eq!(kept(&["--typical", "0.2"]).len(), 1);
    assert_eq!(kept(&["--bias", "3=-inf", "--bias", "0=9.6"]), [0, 4, 2, 1]);
    assert_eq!(kept(&["--preset", "llama-cpp"]), [3, 4]);
    assert_eq!(kept(&["--preset", "llama-cpp", "--top-p", "0.5"]), [3]);
    assert_eq!(kept(&["--preset", "hf"]), kept(&["--top-k", "50"]));
    let history = ["--history", "3,3,4"];
    assert_eq!(kept(&[&history[..], &["--repetition-penalty", "1.2"]].concat()), [3, 4, 2, 1, 0]);
    assert_eq!(kept(&[&history[..], &["--repetition-penalty", "2"]].concat()), [2, 1, 3, 4, 0]);
    assert_eq!(kept(&[&history[..], &["--presence-penalty", "4"]].concat()), [2, 3, 4, 1, 0]);
    assert_eq!(kept(&[&history[..], &["--frequency-penalty", "3"]].concat()), [2, 4, 1, 3, 0]);

    let folder = Folder::new();
    let mask = folder.write("mask.csv", "1\n1\n0\n0\n1\n");
    assert_eq!(kept(&["--mask", &mask]), [4, 1, 0]);
    let mask = folder.write("mask.npy", npy("|b1", "(5,)", &[0, 1, 0, 0, 1]));
    assert_eq!(kept(&["--mask", &mask]), [4, 1]);
    let ids = folder.write("history.csv", "3\n3\n4\n");
    assert_eq!(kept(&["--history", &ids, "--frequency-penalty", "3"]), [2, 4, 1, 3, 0]);
}

#[test]
fn json_has_three_log_probabilities() {
    let args = ["1", "5", "7", "10", "-t", "2", "--top-k", "2", "--seed", "3"];
    let document = json(&[&args[..], &["-n", "40"]].concat(), 0);
    assert_eq!(document["schema"], "softargmax.sample/1");
    assert_eq!(document["parameters"]["temperature"], 2.0);
    let row = &document["rows"][0];
    assert_eq!((&row["row"], &row["kept"]), (&0.into(), &2.into()));
    let draws = row["draws"].as_array().expect("draws");
    let drawn: Vec<usize> =
        draws.iter().map(|draw| draw["token"].as_u64().expect("a class") as usize).collect();
    assert_eq!(drawn, tokens(&[&args[..], &["-n", "40"]].concat()));
    assert!(drawn.contains(&2) && drawn.contains(&3), "{drawn:?}");
    let logits = [1.0f64, 5.0, 7.0, 10.0];
    let log_p = |token: usize, tau: f64, kept: &[usize]| {
        logits[token] / tau - kept.iter().map(|&i| (logits[i] / tau).exp()).sum::<f64>().ln()
    };
    for (draw, &token) in draws.iter().zip(&drawn) {
        for (name, expected) in [
            ("raw_log_prob", log_p(token, 1.0, &[0, 1, 2, 3])),
            ("tempered_log_prob", log_p(token, 2.0, &[0, 1, 2, 3])),
            ("log_prob", log_p(token, 2.0, &[2, 3])),
        ] {
            let got = draw[name].as_f64().expect("a number");
            // The weights are integers of 34 bits.
            assert!((got - expected).abs() < 1e-9, "{name}: {got}, not {expected}");
        }
    }
}

#[test]
fn words_stand_for_classes() {
    let folder = Folder::new();
    let names = folder.write("names.txt", "one\n two\nthree, four\n");
    let drawn = text(&["0", "0", "0", "-n", "40", "--names", &names]);
    let known = ["one", " two", "three, four"];
    assert_eq!(drawn.lines().count(), 40);
    assert!(drawn.lines().all(|line| known.contains(&line)), "{drawn}");
    let ids = tokens(&["0", "0", "0", "-n", "40"]);
    assert!(drawn.lines().zip(ids).all(|(word, id)| word == known[id]));
    // Of several rows, a word with a comma is in quotes.
    let logits = folder.write("logits.csv", "0,0,9\n0,0,9\n");
    let drawn = text(&[&logits, "-n", "3", "-t", "0", "--names", &names]);
    assert_eq!(drawn, "\"three, four\",\"three, four\",\"three, four\"\n".repeat(2));
    let document = json(&["0", "0", "9", "-t", "0", "--names", &names], 0);
    assert_eq!(document["rows"][0]["draws"][0]["word"], "three, four");
    assert!(
        refusal(&["0", "0", "--names", &names])
            .contains("3 lines name the classes, and the logits have 2")
    );
    assert!(refusal(&["0", "0", "0", "0", "--names", &names]).contains("3 lines"));
    let output = folder.path("draws.npy");
    assert!(refusal(&["0", "0", "0", "--names", &names, "-o", &output]).contains("no words"));
}

#[test]
fn files_take_many_draws() {
    let folder = Folder::new();
    let logits = folder.write("logits.csv", "1,5,7,10\n0,0,0,0\n");
    let flags = ["--seed", "5", "-t", "2", "-n", "10000"];
    let printed = text(&[&[logits.as_str()], &flags[..]].concat());
    let of = |name: &str| {
        let path = folder.path(name);
        assert_eq!(text(&[&[logits.as_str()], &flags[..], &["-o", &path]].concat()), "");
        path
    };
    assert_eq!(fs::read_to_string(of("draws.csv")).expect("a file"), printed);
    assert_eq!(fs::read_to_string(of("draws.tsv")).expect("a file"), printed.replace(',', "\t"));
    let (shape, numbers) = read_npy(&of("draws.npy"));
    assert_eq!(shape, "(2, 10000)");
    let expected: Vec<i64> = printed
        .split([',', '\n'])
        .filter(|t| !t.is_empty())
        .map(|t| t.parse().expect("a class"))
        .collect();
    assert_eq!(numbers, expected);
    let document = text(&[&[logits.as_str()], &flags[..], &["--json"]].concat());
    assert_eq!(fs::read_to_string(of("draws.json")).expect("a file"), document);

    // The shape is that of the logits, with the draws in place of the classes.
    let cube = folder.write("cube.npy", npy("<f4", "(2, 3, 4)", &floats(&[0.0; 24])));
    let shape = |logits: &[&str], more: &[&str]| {
        let path = folder.path("shape.npy");
        text(&[logits, more, &["-o", &path]].concat());
        let (shape, numbers) = read_npy(&path);
        (shape, numbers.len())
    };
    assert_eq!(shape(&[&cube], &[]), ("(2, 3)".to_owned(), 6));
    assert_eq!(shape(&[&cube], &["-n", "5"]), ("(2, 3, 5)".to_owned(), 30));
    assert_eq!(shape(&["1", "2"], &["-n", "5"]), ("(5,)".to_owned(), 5));
    assert_eq!(shape(&["1", "2"], &[]), ("(1,)".to_owned(), 1));
}

#[test]
fn without_replacement_every_class_comes_once() {
    let mut drawn = tokens(&["1", "5", "7", "10", "-t", "5", "--without-replacement", "-n", "4"]);
    drawn.sort_unstable();
    assert_eq!(drawn, [0, 1, 2, 3]);
    let message =
        refusal(&["1", "5", "7", "10", "--top-k", "2", "--without-replacement", "-n", "3"]);
    assert!(message.contains('2'), "{message}");
    // Refused before there is room made for them.
    let message = refusal(&["1", "5", "--without-replacement", "-n", "1000000000000"]);
    assert!(message.contains("and there are 2 classes"), "{message}");
}

#[test]
fn the_distribution_is_shown() {
    let table = text(&["1", "5", "7", "10", "-t", "2", "--top-p", "0.9", "--distribution"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "temperature 2, top-p 0.9: 2 of 4 classes can be drawn");
    assert!(lines[2].trim_start().starts_with("3 "), "{table}");
    assert_eq!(lines.len(), 4, "{table}");
    // Sixteen classes of equal mass: ten are shown, and the rest is summed up.
    let table = text(&[&["0"; 16][..], &["--distribution"]].concat());
    assert!(table.ends_with("the other 6, together: 0.3750\n"), "{table}");
    let folder = Folder::new();
    let logits = folder.write("logits.csv", "1,2\n2,1\n");
    let table = text(&[&logits, "--distribution"]);
    assert!(table.contains("row 0: temperature 1:") && table.contains("row 1:"), "{table}");
}

/// Draws of the program are what it says they are; `more` goes to the drawing, `claimed` to the check.
#[track_caller]
fn checked(folder: &Folder, logits: &[&str], drawn: &[&str], claimed: &[&str], code: i32) -> Value {
    let draws = folder.path("draws.csv");
    text(&[logits, drawn, &["-o", &draws]].concat());
    json(&[logits, claimed, &["--check", &draws]].concat(), code)
}

const LOGITS: [&str; 8] = ["1", "5", "7", "10", "9", "8.5", "6", "2"];

fn says(verdict: &Value, words: &str) -> bool {
    let findings = verdict["findings"].as_array().expect("findings");
    findings.iter().any(|finding| finding.as_str().expect("words").contains(words))
}

#[test]
fn draws_of_this_sampler_pass() {
    let folder = Folder::new();
    for (seed, flags) in [
        ("1", &[][..]),
        ("2", &["-t", "0.8", "--top-p", "0.95"]),
        ("3", &["-t", "3", "--top-k", "5", "--min-p", "0.01"]),
        ("4", &["-t", "0"]),
        ("5", &["-t", "inf"]),
        ("6", &["-t", "2", "--method", "gumbel"]),
    ] {
        let drawn = [flags, &["-n", "20000", "--seed", seed]].concat();
        let verdict = checked(&folder, &LOGITS, &drawn, flags, 0);
        assert_eq!(verdict["schema"], "softargmax.sample-check/1");
        assert_eq!((&verdict["passed"], &verdict["draws"]), (&true.into(), &20000.into()));
        assert!(verdict["findings"].as_array().expect("findings").is_empty(), "{flags:?}");
        assert!(verdict["p_value"].as_f64().expect("p") > 0.01, "{flags:?}: {verdict}");
    }
}

#[test]
fn a_mistake_is_found_and_named() {
    let folder = Folder::new();
    let n = ["-n", "20000", "--seed", "1"];
    let mask = folder.write("mask.csv", "1\n1\n1\n0\n1\n1\n1\n1\n");
    for (drawn, claimed, words) in [
        (&["-t", "0.9"][..], &["-t", "0.8"][..], "it looks like temperature 0.9 rather than 0.8"),
        (&["-t", "0.85"], &["-t", "0.8"], "it looks like temperature 0.8"),
        (&["-t", "0.8"], &["-t", "1.4"], "it looks like temperature 0.8 rather than 1.4"),
        (&[], &["-t", "2"], "the temperature had been left out"),
        (&["-t", "4"], &["-t", "2"], "the temperature had been applied twice"),
        (&["-t", "0.5"], &["-t", "2"], "the logits had been multiplied by the temperature"),
        (&["-t", "0"], &["-t", "1"], "the largest logit had always been taken"),
        (&["--top-p", "0.95"], &[], "top-p 0.95 had been applied"),
        (
            &["--top-p", "0.95"],
            &[],
            "nothing beyond rank 3 was drawn, where 904 draws were expected",
        ),
        (&[], &["--top-p", "0.95"], "top-p leaves it out"),
        (&[], &["--top-p", "0.95"], "top-p had been left out"),
        (
            &["-t", "3", "--top-p", "0.9"],
            &["-t", "3", "--top-p", "0.9", "--order", "temperature-last"],
            "the temperature had been applied before the filters",
        ),
        (&[], &["--mask", &mask], "class 3 was drawn"),
        (&[], &["--mask", &mask], "times, but it is masked"),
        (&[], &["--mask", &mask], "the mask had been left out"),
        (&[], &["--bias", "2=3"], "the bias had been left out"),
    ] {
        let verdict = checked(&folder, &LOGITS, &[drawn, &n].concat(), claimed, FAILED);
        assert_eq!(verdict["passed"], false);
        assert!(says(&verdict, words), "{drawn:?} as {claimed:?}: {}", verdict["findings"]);
    }
}

/// The fault of samplers that lose rare classes to a coarse random number: everything common is right.
#[test]
fn a_tail_that_is_too_thin_is_found() {
    let folder = Folder::new();
    let logits: Vec<String> = (0..1000).map(|i| format!("{}", -0.012 * f64::from(i))).collect();
    let logits: Vec<&str> = logits.iter().map(String::as_str).collect();
    let draws = folder.path("draws.csv");
    text(&[&logits[..], &["-n", "20000", "-o", &draws]].concat());
    let check = |code| json(&[&logits[..], &["--check", &draws]].concat(), code);
    assert_eq!(check(0)["passed"], true);
    // Two of three draws of the last classes become the first.
    let mut thinned = 0;
    let text = fs::read_to_string(&draws).expect("a file");
    let thin: String = text
        .lines()
        .map(|line| {
            let is_rare = line.parse::<u32>().expect("a class") >= 400;
            thinned += u32::from(is_rare);
            if is_rare && thinned % 3 > 0 { "0\n".to_owned() } else { format!("{line}\n") }
        })
        .collect();
    fs::write(&draws, thin).expect("a file");
    let verdict = check(FAILED);
    assert!(
        says(&verdict, "the tail beyond rank ") && says(&verdict, "sigma too rarely"),
        "{}",
        verdict["findings"]
    );
    assert!(says(&verdict, "most of all class 0: drawn"), "{}", verdict["findings"]);
}

/// One draw of each of many rows: no cell has five draws, and the temperature shows all the same.
#[test]
fn rows_of_a_single_draw_are_judged_together() {
    let folder = Folder::new();
    let rows: String = (0..500).map(|row| format!("{},{},0,-1\n", row % 7, row % 4)).collect();
    let logits = folder.write("logits.csv", rows);
    let draws = folder.path("draws.npy");
    text(&[&logits, "-t", "0.7", "--seed", "9", "-o", &draws]);
    assert_eq!(read_npy(&draws).0, "(500,)");
    let verdict = json(&[&logits, "-t", "0.7", "--check", &draws], 0);
    assert_eq!((&verdict["rows"], &verdict["draws"]), (&500.into(), &500.into()));
    let verdict = json(&[&logits, "-t", "2", "--check", &draws], FAILED);
    assert!(says(&verdict, "rather than 2"), "{}", verdict["findings"]);
    let interval = verdict["temperature"]["interval"].as_array().expect("an interval");
    let [low, high] = [&interval[0], &interval[1]].map(|end| end.as_f64().expect("τ"));
    assert!(low < 0.7 && 0.7 < high && high < 1.0, "{low} to {high}");
    // Draws of other rows.
    let lines: Vec<String> = read_npy(&draws).1.iter().skip(1).map(|t| format!("{t}\n")).collect();
    let short = folder.write("short.csv", lines.concat());
    assert!(
        refusal(&[&logits, "--check", &short]).contains("499 rows of draws, and 500 of logits")
    );
}

/// The weights of far classes are 0; a sampler that does not round them away may draw one.
#[test]
fn a_class_that_is_only_rounded_away_is_not_impossible() {
    let folder = Folder::new();
    // exp(-24.5) is 2.3e-11, below 2^-35.
    let likely = "0\n".repeat(999);
    let once = folder.write("once.csv", likely.clone() + "1\n");
    let verdict = json(&["0", "-24.5", "--check", &once], FAILED);
    assert!(says(&verdict, "class 1 was drawn, and its probability is 2.29e-11"), "{verdict}");
    assert!(verdict["impossible"].as_array().expect("a list").is_empty());
    // Of a million draws beside 400 such classes it may be.
    let flat = vec!["-24.5"; 400];
    let logits = [&["0"], &flat[..]].concat();
    let draws = npy("|u1", "(1000000, 1)", &[&[0; 999_999][..], &[7]].concat());
    let draws = folder.write("draws.npy", draws);
    let verdict = json(&[&logits[..], &["--check", &draws]].concat(), 0);
    assert_eq!(verdict["rarest"]["token"], 7);
    // Behind a filter it is no question of rounding.
    let verdict = json(&["0", "-5", "--top-k", "1", "--check", &once], FAILED);
    assert!(says(&verdict, "class 1 was drawn once, but top-k leaves it out"), "{verdict}");
}

#[test]
fn a_check_is_told_in_words() {
    let folder = Folder::new();
    let draws = folder.write("draws.csv", "3\n".repeat(80) + &"2\n".repeat(20));
    let report = text(&["1", "5", "7", "10", "-t", "2", "--check", &draws]);
    assert!(report.contains("draws.csv: 100 draws from 4 classes, temperature 2"), "{report}");
    assert!(report.contains("passed: nothing speaks against this distribution"), "{report}");
    let report = exits(&["1", "5", "7", "10", "-t", "0", "--check", &draws], FAILED);
    assert!(report.contains("failed: they are not from this distribution"), "{report}");
    assert!(report.contains("class 2 was drawn 20 times, but it has no probability"), "{report}");
    let names = folder.write("names.txt", "a\nb\nc\nd\n");
    let report =
        exits(&["1", "5", "7", "10", "-t", "0", "--check", &draws, "--names", &names], FAILED);
    assert!(report.contains("class 2 ('c') was drawn"), "{report}");
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let folder = Folder::new();
    let nan = folder.write("nan.csv", "1,2\n3,nan\n");
    let masked = folder.write("masked.csv", "1,2\n-inf,-inf\n");
    let empty = folder.write("empty.csv", "");
    let zeros = folder.write("zeros.csv", "0\n0\n");
    let halves = folder.write("halves.csv", "0.5\n1\n");
    let short = folder.write("short.csv", "1\n");
    let output = folder.path("draws.csv");
    let known = folder.files().len();
    let cases: [(&[&str], &[&str]); 22] = [
        (&["-inf", "-inf"], &["every class is masked"]),
        (&["1", "nan"], &["class 1 is nan"]),
        (&[&nan, "-o", &output], &["nan.csv: row 1: class 1 is nan"]),
        (&[&nan, "--json"], &["nan.csv: row 1: class 1 is nan"]),
        (&[&masked, "-o", &output], &["masked.csv: row 1: every class is masked"]),
        (&[&empty], &["empty.csv", "is empty"]),
        (&["missing.npy"], &["missing.npy"]),
        (&["1", "2", "--mask", &zeros], &["every class is masked"]),
        (&["1", "2", "--mask", &halves], &["halves.csv: row 0 (line 1)", "1 and 0"]),
        (&["1", "2", "--mask", &short], &["short.csv: 1 entries, and the logits have 2"]),
        (&["1", "2", "--bias", "2=1"], &["--bias: 2 is not a class: there are 2, counted from 0"]),
        (&["1", "2", "--bias", "x=1"], &["--bias"]),
        (&["1", "2", "--bias", "0=nan"], &["logit_bias"]),
        (
            &["1", "2", "--history", "0,5", "--presence-penalty", "1"],
            &["--history: 5 is not a class"],
        ),
        (&["1", "2", "--top-p", "1.5"], &["top_p 1.5", "from 0 to 1"]),
        (&["1", "2", "--min-p", "-0.1"], &["min_p -0.1"]),
        (&["1", "2", "-t", "-1"], &["temperature"]),
        (&["1", "2", "-t", "nan"], &["temperature"]),
        (&["1", "2", "-n", "0"], &["0"]),
        (&["1", "2", "-o", "draws.txt"], &["the name does not say which format"]),
        (&["1", "2", "-o", &output, "--json"], &["--json"]),
        (&["1", "2", "--position", "72057594037927936"], &["position"]),
    ];
    for (args, parts) in cases {
        let message = refusal(args);
        for part in parts {
            assert!(message.contains(part), "{args:?}: {message}");
        }
    }
    assert_eq!(folder.files().len(), known, "something half-written was left");
}

#[test]
fn draws_that_cannot_be_checked_are_refused() {
    let folder = Folder::new();
    let outside = folder.write("outside.csv", "token\n1\n0\n2\n");
    let negative = folder.write("negative.csv", "-1\n");
    let halves = folder.write("halves.csv", "1\n0.5\n");
    let words = folder.write("words.csv", "1\nthe\n");
    let ragged = folder.write("ragged.csv", "1,0\n1\n");
    let empty = folder.write("empty.csv", "");
    let header = folder.write("header.csv", "token\n");
    let none = folder.write("none.npy", npy("<i8", "(0,)", &[]));
    let good = folder.write("good.csv", "1\n");
    let cases: [(&[&str], &[&str]); 11] = [
        (&["--check", &outside], &["outside.csv: row 2 (line 4): 2 is not a class: there are 2"]),
        (&["--check", &negative], &["negative.csv: row 0 (line 1): -1 is not a class"]),
        (&["--check", &halves], &["halves.csv: row 1 (line 2): '0.5' is no whole number"]),
        (&["--check", &words], &["words.csv: row 1 (line 2): 'the' is no whole number"]),
        (&["--check", &ragged], &["ragged.csv: row 1 (line 2): 1 column"]),
        (&["--check", &empty], &["empty.csv: is empty"]),
        (&["--check", &header], &["header.csv: no draws"]),
        (&["--check", &none], &["none.npy: no draws"]),
        (&["--check", "missing.csv"], &["missing.csv"]),
        (&["--check", &good, "--level", "2"], &["--level 2"]),
        (&["--check", &good, "-n", "5"], &["--draws"]),
    ];
    for (more, parts) in cases {
        let message = refusal(&[&["1", "2"], more].concat());
        for part in parts {
            assert!(message.contains(part), "{more:?}: {message}");
        }
    }
    let nan = folder.write("nan.csv", "1,2\nnan,2\n");
    let draws = folder.write("draws.csv", "0\n0\n");
    assert!(refusal(&[&nan, "--check", &draws]).contains("nan.csv: row 1: class 0 is nan"));
}

/// Where a terminal reads, the distribution comes first. `script` (util-linux) is a terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_sees_the_distribution() {
    let program = Path::new(env!("CARGO_BIN_EXE_softargmax"));
    let line = format!("{} sample 1 5 7 10 -t 0 -n 3", program.display());
    let Ok(output) = Command::new("script").args(["-qec", &line, "/dev/null"]).output() else {
        eprintln!("skipped: there is no `script`");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("temperature 0: 1 of 4 classes can be drawn"), "{shown}");
    assert!(shown.ends_with("3\n3\n3\n"), "{shown}");
}
