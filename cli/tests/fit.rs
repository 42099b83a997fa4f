//! `softargmax fit` as its users meet it.

use std::path::{Path, PathBuf};

use crate::files::{Folder, f64_npy, npy, softargmax};
use crate::labelled::{self, close, digits, refused, run};
use serde_json::Value;

/// No temperature fits best.
const NO_TEMPERATURE: i32 = 3;

/// Rows of two classes whose first logit is 4 and whose second is 0: τ is 4/ln(right/wrong).
fn pairs(right: usize, wrong: usize) -> Folder {
    let rows = right + wrong;
    let folder = Folder::with("x.npy", &f64_npy(&format!("({rows}, 2)"), &[4.0, 0.0].repeat(rows)));
    let labels = "0\n".repeat(right) + &"1\n".repeat(wrong);
    folder.write("y.csv", labels.as_bytes());
    folder
}

/// The document of a fit.
#[track_caller]
fn json(folder: &Folder, args: &[&str], code: i32) -> Value {
    labelled::json(folder, &[&["fit"], args].concat(), code)
}

#[test]
fn the_temperature_of_the_digits() {
    let folder = digits();
    let fit = json(&folder, &["logits.npy", "--labels", "labels.npy"], 0);
    assert_eq!(fit["schema"], "softargmax.fit/1");
    assert_eq!((&fit["model"], &fit["outcome"]), (&"temperature".into(), &"converged".into()));
    assert_eq!((&fit["rows"], &fit["classes"]), (&897.into(), &10.into()));
    // The README of the digits.
    close(&fit["temperature"], 2.2961, 2e-5);
    close(&fit["nll_before"], 0.13328, 4e-5);
    close(&fit["nll_after"], 0.08681, 6e-5);
    close(&fit["accuracy"], 0.9688, 6e-5);
    let [low, high] =
        [&fit["interval"][0], &fit["interval"][1]].map(|x| x.as_f64().expect("a number"));
    assert!(low < 2.2961 && 2.2961 < high && low > 1.0);
    assert!(fit["p_value_tau_is_one"].as_f64().expect("a number") < 1e-6);
    assert!((2..=5).contains(&fit["passes"].as_u64().expect("a number")));

    let held = &fit["heldout"];
    assert_eq!((&held["method"], &held["seed"]), (&"holdout".into(), &0.into()));
    assert_eq!((&held["fitted_rows"], &held["rows"]), (&449.into(), &448.into()));
    assert!(held["temperatures"][0] != fit["temperature"], "measured on rows that were fitted on");
    assert_eq!(held["before"]["accuracy"], held["after"]["accuracy"]);
    let nll = &held["difference"]["nll"];
    let difference =
        held["after"]["nll"].as_f64().expect("nll") - held["before"]["nll"].as_f64().expect("nll");
    close(&nll["value"], difference, 1e-12);
    assert!(nll["interval"][1].as_f64().expect("a number") < 0.0);
}

/// What is said to be held out must be: measured by hand on the same rows, and with the figures of `eval`.
#[test]
fn what_is_held_out_was_not_fitted_on() {
    let folder = digits();
    let all = json(&folder, &["logits.npy", "--labels", "labels.npy", "--holdout", "0"], 0);
    assert!(all["heldout"].is_null());
    let half = json(&folder, &["logits.npy", "--labels", "labels.npy"], 0);
    assert_eq!(all["temperature"], half["temperature"], "the split must not touch it");

    // Two halves of the rows, one by seed 0 and one by another, are fitted differently.
    let other = json(&folder, &["logits.npy", "--labels", "labels.npy", "--seed", "1"], 0);
    assert_ne!(half["heldout"]["temperatures"], other["heldout"]["temperatures"]);

    let folds = json(&folder, &["logits.npy", "--labels", "labels.npy", "--folds", "5"], 0);
    let held = &folds["heldout"];
    assert_eq!(held["temperatures"].as_array().expect("five").len(), 5);
    // Every row is measured once, so that before is the whole file at τ = 1.
    assert_eq!(held["rows"], 897);
    close(&held["before"]["nll"], all["nll_before"].as_f64().expect("nll"), 1e-12);
    // Cross-fitted is worse than fitted on the very rows, by less than a temperature gains.
    let [after, fitted, before] = [&held["after"]["nll"], &all["nll_after"], &all["nll_before"]]
        .map(|x| x.as_f64().expect("nll"));
    assert!(fitted < after && after < before, "{fitted} {after} {before}");
}

#[test]
fn the_words_of_a_fit() {
    let folder = digits();
    let (words, notes) = run(&folder, &["fit", "logits.npy", "--labels", "labels.npy"], 0);
    assert_eq!(notes, "");
    insta::assert_snapshot!(words);
}

#[test]
fn few_rows_are_all_fitted_on() {
    let folder = pairs(30, 9);
    let fit = json(&folder, &["x.npy", "--labels", "y.csv"], 0);
    assert!(fit["heldout"].is_null());
    close(&fit["temperature"], 4.0 / (30f64 / 9.0).ln(), 1e-12);
    let (words, _) = run(&folder, &["fit", "x.npy", "--labels", "y.csv"], 0);
    assert!(words.contains("no rows were held out") && !words.contains("likelier, by"), "{words}");
    assert!(!json(&pairs(30, 10), &["x.npy", "--labels", "y.csv"], 0)["heldout"].is_null());
    // A part that has no fit of its own leaves nothing to measure, not a wrong figure.
    let folder = pairs(60, 1);
    let fit = json(&folder, &["x.npy", "--labels", "y.csv"], 0);
    assert!(fit["heldout"].is_null());
    let (words, _) = run(&folder, &["fit", "x.npy", "--labels", "y.csv"], 0);
    assert!(words.contains("a part of these rows alone has no fit"), "{words}");
}

#[test]
fn labels_in_any_form_give_the_same() {
    let folder = digits();
    let fit = |labels: &str, more: &[&str]| {
        let args = [&["logits.npy", "--labels", labels, "--holdout", "0"], more].concat();
        json(&folder, &args, 0)["temperature"].as_f64().expect("τ")
    };
    let expected = fit("labels.npy", &[]);
    let bytes = folder.read("labels.npy");
    let labels = bytes[bytes.len() - 897 * 8..].chunks(8);
    let labels: Vec<i64> = labels.map(|b| i64::from_le_bytes(b.try_into().expect("8"))).collect();
    let bytes_of = |of: fn(i64) -> Vec<u8>| labels.iter().flat_map(|&y| of(y)).collect::<Vec<u8>>();
    let text =
        |of: &dyn Fn(i64) -> String| labels.iter().map(|&y| of(y) + "\n").collect::<String>();
    let names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

    folder.write("u1.npy", &npy("'|u1'", false, "(897,)", &bytes_of(|y| vec![y as u8])));
    folder.write(
        "column.npy",
        &npy("'>i4'", false, "(897, 1)", &bytes_of(|y| (y as i32).to_be_bytes().into())),
    );
    folder.write(
        "float.npy",
        &npy("'<f8'", false, "(897,)", &bytes_of(|y| (y as f64).to_le_bytes().into())),
    );
    let one_hot = |y: i64| (0..10).flat_map(move |k| (f64::from(u8::from(k == y))).to_le_bytes());
    let shares: Vec<u8> = labels.iter().flat_map(|&y| one_hot(y)).collect();
    folder.write("hot.npy", &npy("'<f8'", false, "(897, 10)", &shares));
    folder.write("plain.csv", text(&|y| y.to_string()).as_bytes());
    folder.write("header.csv", ("label\n".to_owned() + &text(&|y| format!("{y}.0"))).as_bytes());
    folder.write(
        "names.tsv",
        ("label\n".to_owned() + &text(&|y| names[y as usize].into())).as_bytes(),
    );
    folder.write("names.txt", (names.join("\n") + "\n").as_bytes());
    folder.write("from-1.csv", text(&|y| (y + 1).to_string()).as_bytes());
    folder.write("from-1.txt", b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");

    for labels in ["u1.npy", "column.npy", "float.npy", "plain.csv", "header.csv"] {
        assert_eq!(fit(labels, &[]), expected, "{labels}");
    }
    assert_eq!(fit("names.tsv", &["--classes", "names.txt"]), expected);
    assert_eq!(fit("from-1.csv", &["--classes", "from-1.txt"]), expected);
    // Shares are worked on in f64, and cross another path.
    let hot = fit("hot.npy", &[]);
    assert!((hot - expected).abs() < 1e-12 * expected, "{hot} {expected}");

    let args = ["fit", "logits.npy", "--labels", "names.tsv"];
    refused(&folder, &args, &["names.tsv: row 0 (line 2): label '", "is a name", "--classes FILE"]);
    let args = ["fit", "logits.npy", "--labels", "from-1.csv"];
    refused(&folder, &args, &["label 10 is not a class: there are 10", "count from 1"]);
    folder.write("nine.txt", names[..9].join("\n").as_bytes());
    let args = ["fit", "logits.npy", "--labels", "names.tsv", "--classes", "nine.txt"];
    refused(&folder, &args, &["nine.txt: names 9 classes, and the logits have 10"]);
}

#[test]
fn the_header_of_the_logits_names_the_classes() {
    let folder = Folder::with("x.csv", b"cat,dog\n4,0\n4,0\n4,0\n4,0\n");
    folder.write("y.csv", b"cat\ncat\ndog\ncat\n");
    let fit = json(&folder, &["x.csv", "--labels", "y.csv"], 0);
    close(&fit["temperature"], 4.0 / 3f64.ln(), 1e-12);
    folder.write("y.csv", b"label\ncat\ncow\ndog\ncat\n");
    refused(
        &folder,
        &["fit", "x.csv", "--labels", "y.csv"],
        &["y.csv: row 1 (line 3): label 'cow'"],
    );
}

#[test]
fn rows_of_several_axes_have_labels_of_all_but_the_last() {
    let numbers: Vec<f64> = [4.0, 0.0].repeat(6);
    let folder = Folder::with("x.npy", &f64_npy("(2, 3, 2)", &numbers));
    folder.write("y.npy", &f64_npy("(2, 3)", &[0.0, 0.0, 1.0, 0.0, 1.0, 0.0]));
    let fit = json(&folder, &["x.npy", "--labels", "y.npy"], 0);
    close(&fit["temperature"], 4.0 / 2f64.ln(), 1e-12);
    folder.write("y.npy", &f64_npy("(2, 3)", &[0.0, 0.0, 1.0, 0.0, 1.0, 2.0]));
    let parts = ["y.npy: row 5 [1, 2, :]: label 2 is not a class"];
    refused(&folder, &["fit", "x.npy", "--labels", "y.npy"], &parts);
    folder.write("y.npy", &f64_npy("(3, 2, 1)", &[0.0; 6]));
    refused(&folder, &["fit", "x.npy", "--labels", "y.npy"], &["y.npy: the shape is [3, 2, 1]"]);
}

#[test]
fn weights_and_ignored_rows() {
    let folder = pairs(6, 2);
    folder.write("w.csv", b"weight\n1\n1\n1\n0\n0\n0\n0.5\n0\n");
    let args = ["x.npy", "--labels", "y.csv", "--weights", "w.csv"];
    let fit = json(&folder, &args, 0);
    close(&fit["temperature"], 4.0 / 6f64.ln(), 1e-12);
    assert_eq!((&fit["rows"], &fit["ignored"]), (&4.into(), &4.into()));

    folder.write("y.csv", b"0\n0\n0\n-100\n-100\n-100\n1\n-100\n");
    let args = ["x.npy", "--labels", "y.csv", "--ignore-label", "-100"];
    let fit = json(&folder, &args, 0);
    close(&fit["temperature"], 4.0 / 3f64.ln(), 1e-12);
    assert_eq!((&fit["rows"], &fit["ignored"]), (&4.into(), &4.into()));
    refused(
        &folder,
        &["fit", "x.npy", "--labels", "y.csv"],
        &["row 3 (line 4): label -100", "--ignore-label -100"],
    );
    // A row that is left out may hold anything.
    let mut numbers = [4.0, 0.0].repeat(8);
    numbers[6] = f64::NAN;
    folder.write("x.npy", &f64_npy("(8, 2)", &numbers));
    assert_eq!(json(&folder, &args, 0)["temperature"], fit["temperature"]);

    for (weights, reason) in [
        ("1\n1\n-1\n1\n1\n1\n1\n1\n", "w.csv: row 2 (line 3): weight -1 is not allowed"),
        ("1\n1\nnan\n1\n1\n1\n1\n1\n", "weight NaN is not allowed"),
        ("1\n1\nx\n1\n1\n1\n1\n1\n", "weight 'x' is not a number"),
        ("1\n1\n", "w.csv has 2 weights, and y.csv has 8 labels"),
    ] {
        folder.write("w.csv", weights.as_bytes());
        let args =
            ["fit", "x.npy", "--labels", "y.csv", "--ignore-label", "-100", "--weights", "w.csv"];
        refused(&folder, &args, &[reason]);
    }
}

#[test]
fn probabilities_are_logits_after_a_logarithm() {
    let folder = Folder::new();
    let p: f64 = 4f64.exp() / (4f64.exp() + 1.0);
    folder.write("p.npy", &f64_npy("(4, 2)", &[p, 1.0 - p].repeat(4)));
    folder.write("l.npy", &f64_npy("(4, 2)", &[p.ln(), (1.0 - p).ln()].repeat(4)));
    folder.write("y.csv", b"0\n0\n0\n1\n");
    let expected = 4.0 / 3f64.ln();
    for (file, kind) in
        [("p.npy", "probabilities"), ("l.npy", "log-probabilities"), ("l.npy", "logits")]
    {
        let fit = json(&folder, &[file, "--labels", "y.csv", "--input", kind], 0);
        close(&fit["temperature"], expected, 1e-12);
    }
    let (_, notes) = run(&folder, &["fit", "p.npy", "--labels", "y.csv"], 0);
    assert!(notes.contains("warning: p.npy") && notes.contains("--input probabilities"), "{notes}");
    let (_, notes) = run(&folder, &["fit", "l.npy", "--labels", "y.csv"], 0);
    assert!(notes.starts_with("note: l.npy") && !notes.contains("warning"), "{notes}");

    for (numbers, kind, reason) in [
        (
            [0.5, 0.5, 0.7, 0.2],
            "probabilities",
            "x.npy: row 1: these are no probabilities: they sum to 0.9",
        ),
        ([0.5, 0.5, 1.2, -0.2], "probabilities", "x.npy: row 1: -0.2 is no probability"),
        (
            [0.5f64.ln(), 0.5f64.ln(), 0.0, 0.0],
            "log-probabilities",
            "x.npy: row 1: these are no log-prob",
        ),
        ([0.5, 0.5, f64::NAN, 0.5], "probabilities", "x.npy: row 1: it holds a NaN"),
    ] {
        folder.write("x.npy", &f64_npy("(2, 2)", &numbers));
        folder.write("y.csv", b"0\n1\n");
        refused(&folder, &["fit", "x.npy", "--labels", "y.csv", "--input", kind], &[reason]);
    }
}

/// A probability of 0 rules its label out at every temperature, unless ε says otherwise.
#[test]
fn an_impossible_label_has_no_fit() {
    let folder = Folder::with("p.csv", b"0.9,0.1\n0.9,0.1\n0.9,0.1\n1,0\n0,1\n1,0\n");
    folder.write("y.csv", b"0\n0\n1\n1\n1\n0\n");
    let args = ["p.csv", "--labels", "y.csv", "--input", "probabilities"];
    let fit = json(&folder, &args, NO_TEMPERATURE);
    assert_eq!(fit["outcome"], "infinite_nll");
    assert!(fit["temperature"].is_null() && fit["interval"].is_null() && fit["heldout"].is_null());
    assert_eq!((&fit["infinite"], &fit["infinite_rows"][0]), (&1.into(), &3.into()));
    assert_eq!(fit["nll_before"], "inf");
    let (words, _) = run(&folder, &[&["fit"], &args[..]].concat(), NO_TEMPERATURE);
    assert!(words.contains("p.csv: row 3\n") && words.contains("--epsilon"), "{words}");

    let fit = json(&folder, &[&args[..], &["--epsilon", "1e-6"]].concat(), 0);
    assert!(fit["temperature"].as_f64().expect("τ") > 1.0);
    refused(
        &folder,
        &["fit", "p.csv", "--labels", "y.csv", "--epsilon", "0.1"],
        &["--epsilon is for"],
    );
}

#[test]
fn no_temperature_is_said_by_name() {
    let cases: [(&str, &str, &str, &str); 5] = [
        ("4,0\n5,1\n0,3\n", "0\n0\n1\n", "separable", "largest logit in all 3 rows"),
        ("4,0\n5,1\n0,3\n", "1\n1\n0\n", "no_signal", "not above the mean"),
        ("4,4\n5,5\n1,1\n", "1\n1\n0\n", "constant_logits", "all equal"),
        ("4,0\n", "0\n", "separable", "largest logit in all 1 rows"),
        ("4,0\n5,1\n0,3\n", "-1\n-1\n-1\n", "no_rows", "no row of y.csv has a label"),
    ];
    for (logits, labels, outcome, words) in cases {
        let folder = Folder::with("x.csv", logits.as_bytes());
        folder.write("y.csv", labels.as_bytes());
        let args = ["x.csv", "--labels", "y.csv", "--ignore-label", "-1", "--save", "fit.json"];
        let fit = json(&folder, &args, NO_TEMPERATURE);
        assert_eq!(fit["outcome"], outcome);
        for field in ["model", "temperature", "std_error", "interval", "nll_after", "heldout"] {
            assert!(fit[field].is_null(), "{outcome}: {field} is {}", fit[field]);
        }
        assert_eq!(folder.names(), ["x.csv", "y.csv"], "no fit is no file");
        let (said, _) = run(&folder, &[&["fit"], &args[..]].concat(), NO_TEMPERATURE);
        assert!(said.starts_with("no temperature fits best: ") && said.contains(words), "{said}");
    }
}

#[test]
fn a_prior_ends_what_has_no_end() {
    let folder = Folder::with("x.csv", b"4,0\n5,1\n0,3\n");
    folder.write("y.csv", b"0\n0\n1\n");
    let fit = |prior: &str| {
        let fit = json(&folder, &["x.csv", "--labels", "y.csv", "--prior", prior], 0);
        fit["temperature"].as_f64().expect("τ")
    };
    let (weak, strong, elsewhere) = (fit("1"), fit("0.1"), fit("0.01@2.5"));
    assert!(weak < strong && strong < 1.0 && strong > 0.9, "{weak} {strong}");
    assert!((elsewhere - 2.5).abs() < 0.01, "{elsewhere}");
    for bad in ["0", "-1", "nan", "x", "1@0", "1@x", "1@inf"] {
        refused(&folder, &["fit", "x.csv", "--labels", "y.csv", "--prior", bad], &["--prior"]);
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let folder = pairs(30, 10);
    let fit = |more: &[&'static str]| [&["fit", "x.npy", "--labels", "y.csv"], more].concat();
    refused(&folder, &fit(&["--holdout", "1"]), &["--holdout 1 is not from 0 up to 1"]);
    refused(&folder, &fit(&["--holdout", "nan"]), &["--holdout"]);
    refused(&folder, &fit(&["--holdout", "0.5", "--folds", "5"]), &["--folds"]);
    refused(&folder, &fit(&["--folds", "1"]), &["--folds"]);
    refused(&folder, &fit(&["--folds", "41"]), &["40 rows with a label and a weight are too few"]);
    refused(&folder, &fit(&["--rule", "ece-grid", "--prior", "1"]), &["--rule ece-grid"]);
    refused(&folder, &fit(&["--rule", "ece-grid", "--model", "auto"]), &["--rule ece-grid"]);
    refused(
        &folder,
        &fit(&["--model", "bcts", "--prior", "1"]),
        &["--prior is for one temperature"],
    );
    refused(&folder, &fit(&["--model", "bcts", "--groups", "y.csv"]), &["--groups"]);
    refused(&folder, &fit(&["--labels", "-"]), &["--labels"]);
    refused(&folder, &["fit", "x.npy"], &["--labels"]);
    refused(&folder, &["fit", "none.npy", "--labels", "y.csv"], &["none.npy: cannot be read"]);
    refused(&folder, &["fit", "x.npy", "--labels", "none.csv"], &["none.csv: cannot be read"]);
    refused(&folder, &fit(&["--save", "no/such.json"]), &["no/such.json"]);
    refused(
        &folder,
        &["fit", "x.npy", "--labels", "-"],
        &["labels cannot come from standard input"],
    );

    folder.write("short.csv", b"0\n1\n");
    let args = ["fit", "x.npy", "--labels", "short.csv"];
    refused(&folder, &args, &["x.npy has 40 rows of logits, and short.csv has 2 labels"]);
    folder.write("half.csv", "0\n0.5\n".repeat(20).as_bytes());
    let args = ["fit", "x.npy", "--labels", "half.csv"];
    refused(&folder, &args, &["half.csv: row 1 (line 2): label 0.5 is no whole number"]);
    folder.write("wide.csv", "0,1,0\n".repeat(40).as_bytes());
    let args = ["fit", "x.npy", "--labels", "wide.csv"];
    refused(&folder, &args, &["wide.csv: line 1 has", "labels have one column"]);
    folder.write("shares.csv", ("0.5,0.5\n".repeat(39) + "0.5,0.1\n").as_bytes());
    let args = ["fit", "x.npy", "--labels", "shares.csv"];
    refused(&folder, &args, &["shares.csv: row 39 (line 40): the shares sum to 0.6"]);
    let mut numbers = [4.0, 0.0].repeat(40);
    numbers[2 * 17] = f64::NAN;
    folder.write("x.npy", &f64_npy("(40, 2)", &numbers));
    refused(&folder, &fit(&[]), &["x.npy: row 17: it holds a NaN"]);
    numbers[34..36].fill(f64::NEG_INFINITY);
    folder.write("x.npy", &f64_npy("(40, 2)", &numbers));
    refused(&folder, &fit(&[]), &["x.npy: row 17: "]);
}

#[test]
fn logits_may_come_from_standard_input() {
    let folder = digits();
    let args = ["fit", "-", "--labels", "labels.npy", "--json"];
    let output = softargmax(&folder, &args, &folder.read("logits.npy"));
    assert!(output.status.success());
    let streamed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let fit = json(&folder, &["logits.npy", "--labels", "labels.npy"], 0);
    assert_eq!(streamed["logits"], "standard input");
    for field in ["temperature", "std_error", "heldout"] {
        assert_eq!(streamed[field], fit[field]);
    }
}

#[test]
fn threads_and_runs_give_the_same_bits() {
    let folder = digits();
    let args = ["fit", "logits.npy", "--labels", "labels.npy", "--model", "auto", "--json"];
    let (one, _) = run(&folder, &[&args[..], &["--threads", "1"]].concat(), 0);
    for threads in ["2", "3"] {
        assert!(run(&folder, &[&args[..], &["--threads", threads]].concat(), 0).0 == one);
    }
}

#[test]
fn rows_that_were_trained_on_are_suspected() {
    let folder = pairs(2000, 1);
    let (_, notes) = run(&folder, &["fit", "x.npy", "--labels", "y.csv"], 0);
    assert!(notes.contains("warning: x.npy") && notes.contains("trained on"), "{notes}");
    let (_, notes) = run(&pairs(1900, 100), &["fit", "x.npy", "--labels", "y.csv"], 0);
    assert_eq!(notes, "");
}

fn real(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/logits").join(name);
    if !path.is_dir() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn fit_real(name: &str, more: &[&str]) -> Option<Value> {
    let path = real(name)?;
    let file = |name: &str| path.join(name).to_str().expect("UTF-8").to_owned();
    let (logits, labels) = (file("logits.npy"), file("labels.npy"));
    let args = [&[logits.as_str(), "--labels", &labels], more].concat();
    Some(json(&Folder::new(), &args, 0))
}

/// τ*, its standard error and the NLL at it, as an independent implementation found them; the last τ as it is in
/// 64-bit mantissas, where the table that came with the logits has 1.08914299699.
#[test]
fn real_logits_have_the_temperatures_that_are_known() {
    for (name, tau, std_error, nll) in [
        ("cifar10-resnet20", 1.67013039379, 0.025258, 0.232427463937),
        ("cifar100-resnet20", 1.44025010654, 0.011319, 1.122005312220),
        ("pathmnist-resnet50", 3.93269662251, 0.069545, 0.295200079654),
        ("agnews-gpt2", 1.35688750926, 0.023970, 1.104444649311),
        ("sst2-gpt2-4shot", 2.65306228760, 0.209860, 0.645586570239),
        ("cifar10-resnet50-focal-val", 1.06258412653, 0.021429, 0.161516980718),
        ("cifar10-resnet50-focal-test", 1.08914298700, 0.014895, 0.173682021012),
    ] {
        let Some(fit) = fit_real(name, &["--holdout", "0"]) else { return };
        close(&fit["temperature"], tau, 1e-11);
        close(&fit["std_error"], std_error, 4e-5);
        close(&fit["nll_after"], nll, 1e-11);
        assert!(fit["passes"].as_u64().expect("a number") <= 5, "{name}");
    }
}

/// Mukhoti et al., NeurIPS 2020, ResNet-50 with FLSD-53 on CIFAR-10: T = 1.1.
#[test]
fn the_rule_of_a_paper_gives_its_temperature() {
    let Some(fit) =
        fit_real("cifar10-resnet50-focal-val", &["--rule", "ece-grid", "--holdout", "0"])
    else {
        return;
    };
    assert_eq!((&fit["temperature"], &fit["rule"]), (&1.1.into(), &"ece-grid".into()));
    assert!(fit["std_error"].is_null() && fit["p_value_tau_is_one"].is_null());
}

#[test]
fn auto_takes_a_bias_where_it_is_needed_and_only_there() {
    let Some(fit) = fit_real("sst2-gpt2-4shot", &["--model", "auto"]) else { return };
    assert_eq!(fit["model"], "bcts");
    assert!(fit["heldout"]["after"]["accuracy"].as_f64().expect("a share") > 0.8);
    assert!(fit["reason"].as_str().expect("words").contains("bias"));
    let Some(fit) = fit_real("cifar100-resnet20", &["--model", "auto", "--holdout", "0"]) else {
        return;
    };
    assert_eq!(fit["model"], "temperature");
}
