//! What is said of draws that somebody made.

use std::fs;

use serde_json::Value;

use super::{Folder, exits, json, npy, read_npy, refusal, text};

/// The draws checked are not from that distribution.
const FAILED: i32 = 4;

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

/// The fault of samplers whose sum ends below the random number: they fall back on the first class, rare as it is.
#[test]
fn a_rare_class_that_is_fallen_back_on_is_named() {
    let folder = Folder::new();
    let draws = folder.path("draws.csv");
    text(&[&LOGITS[..], &["-t", "0.8", "-n", "20000", "-o", &draws]].concat());
    let text = fs::read_to_string(&draws).expect("a file");
    let fallen = text.lines().enumerate().map(|(i, line)| if i % 500 == 0 { "0" } else { line });
    fs::write(&draws, fallen.collect::<Vec<_>>().join("\n")).expect("a file");
    let verdict = json(&[&LOGITS[..], &["-t", "0.8", "--check", &draws]].concat(), FAILED);
    let words = "most of all class 0: drawn 40 times where 0.";
    assert!(says(&verdict, words), "{}", verdict["findings"]);
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
