//! `softargmax eval` as its users meet it.

use std::path::Path;

use crate::files::{Folder, f64_npy};
use crate::labelled::{self, close, digits, run};
use serde_json::Value;

#[track_caller]
fn json(folder: &Folder, args: &[&str]) -> Value {
    labelled::json(folder, &[&["eval"], args].concat(), 0)
}

#[track_caller]
fn refused(folder: &Folder, args: &[&str], parts: &[&str]) {
    labelled::refused(folder, &[&["eval"], args].concat(), parts);
}

#[test]
fn figures_that_can_be_worked_out_by_hand() {
    // p = (3/4, 1/4) four times, right three times: perfectly calibrated.
    let folder = Folder::with("x.npy", &f64_npy("(4, 2)", &[3f64.ln(), 0.0].repeat(4)));
    folder.write("y.csv", b"0\n0\n1\n0\n");
    let figures = json(&folder, &["x.npy", "--labels", "y.csv", "-t", "1"]);
    assert_eq!(figures["schema"], "softargmax.eval/1");
    assert_eq!((&figures["rows"], &figures["classes"]), (&4.into(), &2.into()));
    assert_eq!(figures["temperature"], 1.0);
    let nll = -(3.0 * 0.75f64.ln() + 0.25f64.ln()) / 4.0;
    close(&figures["nll"], nll, 1e-14);
    close(&figures["brier"], (3.0 * 2.0 * 0.0625 + 2.0 * 0.5625) / 4.0, 1e-14);
    assert_eq!(figures["accuracy"], 0.75);
    assert!(figures["ece"].as_f64().expect("ece") < 1e-15);
    assert!(figures["ece_null_mean"].as_f64().expect("a floor") > 0.05);
    assert!(figures["ece_p_value"].as_f64().expect("p") > 0.9);

    // p = (9/10, 1/10): 0.15 surer than right.
    let figures = json(&folder, &["x.npy", "--labels", "y.csv", "-t", "0.5"]);
    close(&figures["confidence"], 0.9, 1e-14);
    close(&figures["ece"], 0.15, 1e-13);
    close(&figures["overconfidence"], 0.15, 1e-13);
    close(&figures["kolmogorov_smirnov"]["value"], 0.15, 1e-13);
}

#[test]
fn several_temperatures_are_an_array_of_the_same() {
    let folder = digits();
    let data = ["logits.npy", "--labels", "labels.npy", "-t"];
    let several = json(&folder, &[&data[..], &["1,2.2961,inf"]].concat());
    let rows = several["temperatures"].as_array().expect("an array");
    assert_eq!(rows.len(), 3);
    let one = json(&folder, &[&data[..], &["2.2961"]].concat());
    for (field, value) in rows[1].as_object().expect("fields") {
        assert_eq!(&one[field], value, "{field}");
    }
    assert_eq!(rows[2]["temperature"], "inf");
    close(&rows[2]["nll"], 10f64.ln(), 1e-12);
    close(&rows[0]["nll"], 0.13328, 4e-5);
    close(&rows[1]["nll"], 0.08681, 6e-5);
    assert_eq!(rows[0]["accuracy"], rows[1]["accuracy"]);
    assert!(rows[1]["ece"].as_f64() < rows[0]["ece"].as_f64());
}

#[test]
fn the_tables() {
    let folder = digits();
    let data = ["logits.npy", "--labels", "labels.npy", "-t"];
    insta::assert_snapshot!("one", run(&folder, &[&["eval"], &data[..], &["1"]].concat(), 0).0);
    insta::assert_snapshot!(
        "several",
        run(&folder, &[&["eval"], &data[..], &["1,2,4"]].concat(), 0).0
    );
}

#[test]
fn a_certain_mistake_costs_infinitely_much() {
    let folder = Folder::with("x.csv", b"0,0\n0,-inf\n");
    folder.write("y.csv", b"0\n1\n");
    let figures = json(&folder, &["x.csv", "--labels", "y.csv", "-t", "1"]);
    assert_eq!(figures["nll"], "inf");
    close(&figures["brier"], (0.5 + 2.0) / 2.0, 1e-15);
    let (table, _) = run(&folder, &["eval", "x.csv", "--labels", "y.csv", "-t", "0,1"], 0);
    assert!(table.contains("inf"), "{table}");
}

#[test]
fn bins_replicates_and_seeds() {
    let folder = digits();
    let data = ["logits.npy", "--labels", "labels.npy", "-t", "1"];
    let with = |more: &[&str]| json(&folder, &[&data[..], more].concat());
    let plain = with(&[]);
    assert_eq!(
        plain,
        with(&["--bins", "15", "--replicates", "1000", "--seed", "0", "--threads", "1"])
    );
    let other = with(&["--seed", "1"]);
    assert_eq!(plain["ece"], other["ece"]);
    assert_ne!(plain["ece_null_mean"], other["ece_null_mean"]);
    let one = with(&["--bins", "1"]);
    close(&one["ece"], plain["overconfidence"].as_f64().expect("a gap").abs(), 1e-12);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = Folder::with("x.csv", b"1,2\n3,4\n");
    folder.write("y.csv", b"0\n1\n");
    let data = ["x.csv", "--labels", "y.csv"];
    let eval = |more: &[&'static str]| [&data[..], more].concat();
    refused(&folder, &eval(&[]), &["--temperature"]);
    refused(&folder, &eval(&["-t", "-1"]), &["--temperature"]);
    refused(&folder, &eval(&["-t", "nan"]), &["--temperature"]);
    refused(&folder, &eval(&["-t", "1", "--bins", "0"]), &["--bins"]);
    refused(&folder, &eval(&["-t", "1", "--groups", "y.csv"]), &["--groups"]);
    refused(&folder, &eval(&["-t", "1", "--fit", "fit.json"]), &["--fit"]);
    refused(&folder, &eval(&["--fit", "fit.json"]), &["fit.json: cannot be read"]);
    let ignored = eval(&["-t", "1", "--ignore-label", "0"]);
    assert_eq!(json(&folder, &ignored)["rows"], 1);
    folder.write("y.csv", b"0\n0\n");
    refused(&folder, &ignored, &["y.csv: no row has a label"]);
    folder.write("y.csv", b"0\n7\n");
    refused(&folder, &eval(&["-t", "1"]), &["y.csv: row 1 (line 2): label 7 is not a class"]);
    folder.write("y.csv", b"0.5,0.5\n0,1\n");
    refused(&folder, &eval(&["-t", "1"]), &["y.csv: shares of classes"]);
    folder.write("y.csv", b"0\n1\n");
    folder.write("x.csv", b"1,2\nnan,4\n");
    refused(&folder, &eval(&["-t", "1"]), &["x.csv: row 1: "]);
    folder.write("x.csv", b"1,2\n-inf,-inf\n");
    refused(&folder, &eval(&["-t", "1"]), &["x.csv: row 1: "]);
    folder.write("x.csv", b"1,2\n");
    refused(&folder, &eval(&["-t", "1"]), &["x.csv has 1 row of logits, and y.csv has 2 labels"]);
}

/// Mukhoti et al., NeurIPS 2020, ResNet-50 with FLSD-53 on CIFAR-10: error 4.98, ECE 1.55, and 0.95 at T = 1.1.
#[test]
fn a_published_table_is_reproduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/logits/cifar10-resnet50-focal-test");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let file = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let (logits, labels) = (file("logits.npy"), file("labels.npy"));
    let figures = json(&Folder::new(), &[&logits, "--labels", &labels, "-t", "1,1.1"]);
    let [before, after] = [0, 1].map(|i| &figures["temperatures"][i]);
    let hundredths = |x: f64| format!("{:.2}", 100.0 * x);
    let of = |figures: &Value, field: &str| figures[field].as_f64().expect("a number");
    assert_eq!(hundredths(1.0 - of(before, "accuracy")), "4.98");
    assert_eq!(hundredths(of(before, "ece")), "1.55");
    assert_eq!(hundredths(of(after, "ece")), "0.95");
}
