//! What is drawn, and how it is printed and written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Folder, floats, json, npy, read_npy, refusal, text, tokens};

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
    assert!(message.contains("number of tokens 3"), "{message}");
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
