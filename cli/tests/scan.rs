//! `softargmax scan` and `softargmax merge` as their users meet them.

use crate::files::{self, Folder, f64_npy};
use crate::labelled::{self, close, digits, refused, run};
use serde_json::Value;

/// No temperature fits best.
const NO_TEMPERATURE: i32 = 3;

/// Where the digits are cut in seven, one of them empty and one a single row.
const CUTS: [usize; 8] = [0, 1, 1, 130, 131, 500, 640, 897];

/// The document of a merge.
#[track_caller]
fn merge(folder: &Folder, args: &[&str], code: i32) -> Value {
    labelled::json(folder, &[&["merge"], args].concat(), code)
}

#[track_caller]
fn scan(folder: &Folder, args: &[&str]) {
    let (out, notes) = run(folder, &[&["scan"], args].concat(), 0);
    assert_eq!((out.as_str(), notes.as_str()), ("", ""));
}

/// Scans two columns of numbers with labels, into `name`.
#[track_caller]
fn scan_text(folder: &Folder, logits: &str, labels: &str, more: &[&str], name: &str) {
    folder.write("x.csv", logits.as_bytes());
    folder.write("y.csv", labels.as_bytes());
    scan(folder, &[&["x.csv", "--labels", "y.csv", "-o", name], more].concat());
}

/// The digits, whole and in seven parts, scanned with the same options into whole.json and part0.json to part6.json.
fn shards(more: &[&str]) -> (Folder, Vec<String>) {
    let folder = digits();
    let parse = |name: &str, size: usize| {
        let bytes = folder.read(name);
        bytes[bytes.len() - 897 * size..].to_vec()
    };
    let (logits, labels) = (parse("logits.npy", 40), parse("labels.npy", 8));
    let all = ["logits.npy", "--labels", "labels.npy", "-o", "whole.json"];
    scan(&folder, &[&all[..], more].concat());
    let mut names = Vec::new();
    for (i, cut) in CUTS.windows(2).enumerate() {
        let [from, to] = [cut[0], cut[1]];
        let (shape, name) = (format!("({}, 10)", to - from), format!("part{i}.json"));
        let logits = files::npy("'<f4'", false, &shape, &logits[from * 40..to * 40]);
        folder.write("x.npy", &logits);
        let labels =
            files::npy("'<i8'", false, &format!("({},)", to - from), &labels[from * 8..to * 8]);
        folder.write("y.npy", &labels);
        scan(&folder, &[&["x.npy", "--labels", "y.npy", "-o", &name], more].concat());
        names.push(name);
    }
    (folder, names)
}

/// The same document but for how many scans it is of.
#[track_caller]
fn assert_same(got: &Value, expected: &Value, scans: usize) {
    assert_eq!(got["scans"], scans);
    let mut got = got.clone();
    got["scans"] = expected["scans"].clone();
    // Numbers are printed so that they read back to the same bits: the same text is the same bits.
    assert_eq!(got.to_string(), expected.to_string());
}

#[test]
fn neither_the_parts_nor_their_order_can_be_seen() {
    for more in [&[][..], &["--tally", "2.3"], &["--around", "2.3", "--tally", "0.5"]] {
        let (folder, names) = shards(more);
        let whole = merge(&folder, &["whole.json"], 0);
        assert_eq!(whole["schema"], "softargmax.merge/1");
        assert_eq!((&whole["rows"], &whole["classes"]), (&897.into(), &10.into()));
        assert_eq!(whole["tally"].is_null(), more.is_empty());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let orders = [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 1, 5, 2, 4]];
        for order in orders {
            let order = order.map(|i| names[i]);
            let merged = merge(&folder, &[&order[..], &["-o", "all.json"]].concat(), 0);
            assert_same(&merged, &whole, 7);
            // What was merged is what one scan of all rows writes, to the byte.
            assert!(folder.read("all.json") == folder.read("whole.json"));
        }
        // Merged summaries merge again.
        merge(&folder, &[&names[4..], &["-o", "last.json"]].concat(), 0);
        let first = [names[3], names[2], names[0], names[1], "-o", "first.json"];
        merge(&folder, &first, 0);
        assert_same(&merge(&folder, &["last.json", "first.json"], 0), &whole, 2);
    }
}

#[test]
fn threads_cannot_be_seen() {
    let folder = digits();
    for (threads, name) in [("1", "one.json"), ("3", "three.json")] {
        let args = ["logits.npy", "--labels", "labels.npy", "--tally", "2", "--threads", threads];
        scan(&folder, &[&args[..], &["-o", name]].concat());
    }
    assert!(folder.read("one.json") == folder.read("three.json"));
}

/// The temperature of `fit`: to seven digits at first, to twelve around it.
#[test]
fn a_merge_finds_what_a_fit_finds() {
    let folder = digits();
    let data = ["logits.npy", "--labels", "labels.npy"];
    let fit_args = [&["fit"], &data[..], &["--holdout", "0"]].concat();
    let fit = labelled::json(&folder, &fit_args, 0);
    let expected = |field: &str| fit[field].as_f64().expect("a number");
    scan(&folder, &[&data[..], &["-o", "scan.json"]].concat());
    let first = merge(&folder, &["scan.json"], 0);
    close(&first["temperature"], expected("temperature"), 1e-6);
    close(&first["std_error"], expected("std_error"), 1e-4);
    close(&first["nll_before"], expected("nll_before"), 1e-13);
    close(&first["nll_after"], expected("nll_after"), 1e-9);
    close(&first["p_value_tau_is_one"], expected("p_value_tau_is_one"), 1e-4);
    assert_eq!(first["accuracy"], fit["accuracy"]);
    let (words, _) = run(&folder, &["merge", "scan.json"], 0);
    assert!(words.starts_with("temperature 2.296 (95 % interval 1."), "{words}");

    let tau = first["temperature"].to_string();
    scan(&folder, &[&data[..], &["--around", &tau, "-o", "around.json"]].concat());
    let second = merge(&folder, &["around.json"], 0);
    close(&second["temperature"], expected("temperature"), 1e-11);
    close(&second["nll_after"], expected("nll_after"), 1e-12);
    // τ = 1 is not among those temperatures, and nothing is said of it.
    assert!(second["nll_before"].is_null() && second["p_value_tau_is_one"].is_null());
    let (words, _) = run(&folder, &["merge", "around.json"], 0);
    assert!(words.contains("not scanned at τ = 1") && !words.contains("p <"), "{words}");
}

#[test]
fn a_tally_has_the_figures_of_eval() {
    let (folder, names) = shards(&["--tally", "1.9"]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tally = merge(&folder, &names, 0)["tally"].clone();
    assert_eq!(tally["temperature"], 1.9);
    let eval = ["eval", "logits.npy", "--labels", "labels.npy", "-t", "1.9"];
    let eval = labelled::json(&folder, &eval, 0);
    for field in ["nll", "brier", "accuracy", "ece"] {
        assert_eq!(tally[field].to_string(), eval[field].to_string(), "{field}");
        if field != "ece" {
            let error = format!("{field}_std_error");
            assert_eq!(tally[&error].to_string(), eval[&error].to_string(), "{error}");
        }
    }
    // Drawn in another way, to the accuracy of a thousand draws.
    close(&tally["ece_null_mean"], eval["ece_null_mean"].as_f64().expect("a floor"), 0.1);
}

#[test]
fn weights_and_ignored_rows_count_as_in_a_fit() {
    let folder = digits();
    let weights: String = (0..897).map(|row| format!("{}\n", row % 4)).collect();
    folder.write("w.csv", weights.as_bytes());
    let data =
        ["logits.npy", "--labels", "labels.npy", "--weights", "w.csv", "--ignore-label", "7"];
    let fit_args = [&["fit"], &data[..], &["--holdout", "0"]].concat();
    let fit = labelled::json(&folder, &fit_args, 0);
    scan(&folder, &[&data[..], &["-o", "scan.json"]].concat());
    let merged = merge(&folder, &["scan.json"], 0);
    assert_eq!(merged["rows"], fit["rows"]);
    close(&merged["temperature"], fit["temperature"].as_f64().expect("τ"), 1e-6);
    let args = [&["fit"], &data[..], &["--holdout", "0", "--prior", "0.01@3"]].concat();
    let fit = labelled::json(&folder, &args, 0);
    let merged = merge(&folder, &["scan.json", "--prior", "0.01@3"], 0);
    close(&merged["temperature"], fit["temperature"].as_f64().expect("τ"), 1e-6);
}

#[test]
fn the_same_scan_twice_is_noticed() {
    let (folder, _) = shards(&[]);
    let (_, notes) = run(&folder, &["merge", "part6.json", "whole.json", "whole.json"], 0);
    assert!(notes.starts_with("warning: whole.json holds the same sums as whole.json"), "{notes}");
    std::fs::copy(folder.path("part4.json"), folder.path("copy.json")).expect("copied");
    let (_, notes) = run(&folder, &["merge", "part4.json", "part5.json", "copy.json"], 0);
    assert!(notes.starts_with("warning: copy.json holds the same sums as part4.json"), "{notes}");
    // Parts without rows are alike, and no sign of anything.
    let (_, notes) = run(&folder, &["merge", "part1.json", "part1.json", "part4.json"], 0);
    assert_eq!(notes, "");
}

#[test]
fn no_temperature_is_said_by_name() {
    let cases = [
        ("4,0\n5,1\n0,3\n", "0\n0\n1\n", "separable", "largest logit in every row"),
        ("4,0\n5,1\n0,3\n", "1\n1\n0\n", "no_signal", "not above the mean"),
        ("4,4\n5,5\n1,1\n", "1\n1\n0\n", "constant_logits", "all equal"),
        ("4,0\n5,1\n-inf,3\n", "0\n1\n0\n", "infinite_nll", "1 rows have a label"),
        ("4,0\n5,1\n", "-1\n-1\n", "no_rows", "no row has a label"),
    ];
    for (logits, labels, outcome, words) in cases {
        let folder = Folder::new();
        scan_text(&folder, logits, labels, &["--ignore-label", "-1"], "scan.json");
        let merged = merge(&folder, &["scan.json"], NO_TEMPERATURE);
        assert_eq!(merged["outcome"], outcome);
        for field in ["temperature", "std_error", "interval", "p_value_tau_is_one", "nll_after"] {
            assert!(merged[field].is_null(), "{outcome}: {field}");
        }
        let (out, _) = run(&folder, &["merge", "scan.json"], NO_TEMPERATURE);
        assert!(out.starts_with("no temperature fits best") && out.contains(words), "{out}");
        // The summary is one all the same: other rows may bring a temperature.
        merge(&folder, &["scan.json", "-o", "all.json"], NO_TEMPERATURE);
        assert!(folder.read("all.json") == folder.read("scan.json"));
    }
    // Each alone is separable or without signal.
    let folder = Folder::new();
    scan_text(&folder, "4,0\n4,0\n4,0\n", "0\n0\n0\n", &[], "right.json");
    scan_text(&folder, "4,0\n", "1\n", &[], "wrong.json");
    let merged = merge(&folder, &["right.json", "wrong.json"], 0);
    close(&merged["temperature"], 4.0 / 3f64.ln(), 1e-6);
}

#[test]
fn a_temperature_outside_of_the_scan_is_not_guessed() {
    let folder = digits();
    for tau in ["0.01", "500", "1e-300", "1e300"] {
        let around = ["logits.npy", "--labels", "labels.npy", "--around", tau, "-o", "scan.json"];
        scan(&folder, &around);
        let merged = merge(&folder, &["scan.json"], NO_TEMPERATURE);
        assert_eq!(merged["outcome"], "out_of_range", "{tau}");
        assert!(merged["temperature"].is_null() && merged["interval"].is_null());
        let (words, _) = run(&folder, &["merge", "scan.json"], NO_TEMPERATURE);
        assert!(words.contains("--around another"), "{words}");
    }
}

#[test]
fn what_cannot_be_scanned_is_refused() {
    let folder = Folder::with("x.csv", b"1,2\n3,4\n5,7\n");
    folder.write("y.csv", b"0\n1\n1\n");
    let scan = |more: &[&'static str]| {
        [&["scan", "x.csv", "--labels", "y.csv", "-o", "scan.json"], more].concat()
    };
    for tau in ["0", "inf"] {
        refused(&folder, &scan(&["--around", tau]), &["--around ", "both sides", "hint: "]);
    }
    refused(&folder, &scan(&["--around", "-1"]), &["--around"]);
    refused(&folder, &scan(&["--around", "nan"]), &["--around"]);
    refused(&folder, &scan(&["--tally", "-1"]), &["--tally"]);
    refused(&folder, &["scan", "x.csv", "--labels", "y.csv"], &["--output"]);
    refused(&folder, &["scan", "x.csv", "-o", "scan.json"], &["--labels"]);
    let elsewhere = ["scan", "x.csv", "--labels", "y.csv", "-o", "nowhere/scan.json"];
    refused(&folder, &elsewhere, &["nowhere/scan.json"]);
    folder.write("y.csv", b"0\n1\n");
    refused(&folder, &scan(&[]), &["x.csv has 3 rows of logits, and y.csv has 2 labels"]);
    folder.write("y.csv", b"0\n1\n2\n");
    refused(&folder, &scan(&[]), &["y.csv: row 2 (line 3): label 2 is not a class"]);
    folder.write("y.csv", b"0\n1\n1\n");
    folder.write("x.csv", b"1,2\n3,4\nnan,7\n");
    refused(&folder, &scan(&[]), &["x.csv: row 2: "]);
    // What stood there before is whole.
    folder.write("scan.json", b"before");
    refused(&folder, &scan(&["--tally", "1"]), &["x.csv: row 2: "]);
    assert_eq!(folder.read("scan.json"), b"before");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let folder = Folder::new();
    scan_text(&folder, "4,0\n1,2\n0,1\n", "0\n0\n1\n", &[], "two.json");
    scan_text(&folder, "4,0,1\n1,2,0\n0,1,0\n", "0\n0\n1\n", &[], "three.json");
    scan_text(&folder, "4,0\n1,2\n0,1\n", "0\n0\n1\n", &["--around", "2"], "around.json");
    scan_text(&folder, "4,0\n1,2\n0,1\n", "0\n0\n1\n", &["--tally", "2"], "tally.json");
    scan_text(&folder, "4,0\n1,2\n0,1\n", "0\n0\n1\n", &["--tally", "3"], "tally3.json");
    for (first, second, reason) in [
        ("two.json", "three.json", "number of classes"),
        ("two.json", "around.json", "temperatures"),
        ("two.json", "tally.json", "one has a tally, the other has none"),
        ("tally.json", "two.json", "one has a tally, the other has none"),
        ("tally.json", "tally3.json", "one has a tally at 2, the other at 3"),
    ] {
        let place = format!("{second}: does not go with {first}: ");
        refused(&folder, &["merge", first, second], &[&place, reason, "hint: scan all rows"]);
        refused(&folder, &["merge", first, second, "-o", "all.json"], &[&place]);
    }
    refused(&folder, &["merge"], &["FILE.json"]);
    refused(&folder, &["merge", "nowhere.json"], &["nowhere.json: cannot be read"]);
    refused(&folder, &["merge", "two.json", "-o", "nowhere/all.json"], &["nowhere/all.json"]);
}

/// A file that is no scan, or was one before somebody wrote into it.
#[test]
fn what_is_no_scan_is_refused() {
    let (folder, _) = shards(&["--tally", "2"]);
    let whole: Value = serde_json::from_slice(&folder.read("whole.json")).expect("JSON");
    #[track_caller]
    fn refuse(folder: &Folder, text: &[u8], reason: &str) {
        folder.write("bad.json", text);
        for args in [&["merge", "bad.json"][..], &["merge", "whole.json", "bad.json"]] {
            refused(folder, args, &["bad.json: ", reason]);
        }
    }
    let text = whole.to_string();
    refuse(&folder, b"", "is not a scan");
    refuse(&folder, b"{}", "is not a scan");
    refuse(&folder, b"[1, 2]", "is not a scan");
    refuse(&folder, b"\x93NUMPY\x01\x00", "is not a scan");
    for share in [1, 2, 3] {
        refuse(&folder, &text.as_bytes()[..text.len() * share / 4], "is not a scan");
    }
    refuse(&folder, format!("{text} {{}}").as_bytes(), "is not a scan");
    refuse(&folder, "[".repeat(100_000).as_bytes(), "is not a scan");

    let altered = |pointer: &str, value: Value| {
        let mut altered = whole.clone();
        *altered.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
        altered.to_string().into_bytes()
    };
    refuse(&folder, &altered("/schema", "softargmax.scan/2".into()), "its schema is");
    // Digits of a sum are carried at 2^32; far more than that none has, and there are not many.
    let sum = "/scan/sums/0/loss";
    let digits = |first: i64| serde_json::json!([31, [first, 5]]);
    refuse(&folder, &altered(sum, digits((1 << 40) + 1)), "is not a scan");
    refuse(&folder, &altered(sum, digits(i64::MAX)), "is not a scan");
    refuse(&folder, &altered(sum, digits(i64::MIN)), "is not a scan");
    refuse(&folder, &altered(sum, serde_json::json!([usize::MAX, [5]])), "is not a scan");
    refuse(&folder, &altered(sum, serde_json::json!([60, vec![5; 100]])), "is not a scan");
    refuse(&folder, &altered(sum, "5".into()), "is not a scan");
    refuse(&folder, &altered("/scan/rows", (-1).into()), "is not a scan");
    refuse(&folder, &altered("/scan/sums/0/tau", serde_json::json!({"tau": -1})), "is not a scan");
    for bins in ["widths", "odds"] {
        let pointer = format!("/tally/tally/{bins}");
        let cells = whole.pointer(&pointer).and_then(Value::as_array).expect("bins").clone();
        for cells in [&cells[1..], &[], &[&cells[..1], &cells].concat()] {
            refuse(&folder, &altered(&pointer, cells.to_vec().into()), "bins, expected");
        }
    }
}

/// A summary on standard output is the same as in a file.
#[test]
fn a_scan_goes_down_a_pipe() {
    let folder = Folder::with("x.npy", &f64_npy("(2, 2)", &[4.0, 0.0, 4.0, 0.0]));
    folder.write("y.csv", b"0\n1\n");
    scan(&folder, &["x.npy", "--labels", "y.csv", "-o", "scan.json"]);
    let (out, _) = run(&folder, &["scan", "x.npy", "--labels", "y.csv", "-o", "-"], 0);
    assert!(out.as_bytes() == folder.read("scan.json"));
}
