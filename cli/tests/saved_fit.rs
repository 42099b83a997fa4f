//! What `softargmax fit --save` writes, and `apply` and `eval` by it.

use crate::files::{Folder, f64_npy};
use crate::labelled::{self, close, digits, refused, run};
use serde_json::Value;

/// The document of a fit.
#[track_caller]
fn json(folder: &Folder, args: &[&str], code: i32) -> Value {
    labelled::json(folder, &[&["fit"], args].concat(), code)
}

/// Every model, saved and applied: the probabilities are those whose figures `eval` prints by the fit.
#[test]
fn what_is_saved_is_what_is_applied() {
    let folder = digits();
    folder.write("groups.csv", ("g\n".to_owned() + &"a\nb\nc\n".repeat(299)).as_bytes());
    let data = ["logits.npy", "--labels", "labels.npy"];
    for model in ["temperature", "bcts", "vector", "ets", "auto", "groups"] {
        let how: &[&str] = match model {
            "groups" => &["--groups", "groups.csv"],
            model => &["--model", model],
        };
        let fit =
            json(&folder, &[&data[..], how, &["--save", "fit.json", "--holdout", "0"]].concat(), 0);
        let saved: Value = serde_json::from_slice(&folder.read("fit.json")).expect("JSON");
        assert_eq!(fit, saved, "{model}: --save and --json differ");
        let groups: &[&str] = if model == "groups" { how } else { &[] };
        let apply = ["apply", "logits.npy", "--fit", "fit.json", "--dtype", "f64", "-o", "p.npy"];
        run(&folder, &[&apply[..], groups].concat(), 0);
        let eval = |args: &[&str]| -> Value {
            let (out, _) =
                run(&folder, &[&["eval"], args, &["--labels", "labels.npy", "--json"]].concat(), 0);
            serde_json::from_str(&out).expect("JSON")
        };
        let applied = eval(&["p.npy", "--input", "probabilities", "-t", "1"]);
        let by_fit = eval(&[&["logits.npy", "--fit", "fit.json"], groups].concat());
        let expected = fit["nll_after"].as_f64().expect("nll");
        close(&applied["nll"], expected, 1e-9);
        close(&by_fit["nll"], expected, 1e-9);
        assert_eq!(applied["accuracy"], by_fit["accuracy"], "{model}");
    }
    // A temperature that is all there is to a fit is applied as -t is, to the bit.
    json(&folder, &[&data[..], &["--save", "fit.json", "--holdout", "0"]].concat(), 0);
    let saved: Value = serde_json::from_slice(&folder.read("fit.json")).expect("JSON");
    run(&folder, &["apply", "logits.npy", "--fit", "fit.json", "-o", "by-fit.npy"], 0);
    let tau = saved["temperature"].to_string();
    run(&folder, &["apply", "logits.npy", "-t", &tau, "-o", "by-tau.npy"], 0);
    assert!(folder.read("by-fit.npy") == folder.read("by-tau.npy"));
}

#[test]
fn a_fit_of_probabilities_is_applied_to_probabilities() {
    let folder = Folder::with("p.csv", b"0.9,0.1\n0.8,0.2\n0.7,0.3\n1,0\n");
    folder.write("y.csv", b"0\n0\n1\n0\n");
    let data = ["p.csv", "--labels", "y.csv", "--input", "probabilities", "--epsilon", "0.001"];
    let fit = json(&folder, &[&data[..], &["--save", "fit.json"]].concat(), 0);
    run(&folder, &["apply", "p.csv", "--fit", "fit.json", "-o", "q.csv"], 0);
    let tau = fit["temperature"].as_f64().expect("τ");
    let text = String::from_utf8(folder.read("q.csv")).expect("UTF-8");
    let first: f64 = text.split(',').next().expect("a field").parse().expect("a number");
    let odds = 9f64.powf(1.0 / tau);
    assert!((first - odds / (odds + 1.0)).abs() < 1e-12, "{text}");
    let eval = ["eval", "p.csv", "--labels", "y.csv", "--fit", "fit.json"];
    refused(&folder, &eval, &["fit.json was fitted with --input probabilities --epsilon 0.001"]);
    folder.write("logits.csv", b"3,1\n");
    let args = ["apply", "logits.csv", "--fit", "fit.json", "-o", "q.npy"];
    refused(
        &folder,
        &args,
        &["logits.csv: row 0: these are no probabilities", "the fit is of probab"],
    );
}

#[test]
fn a_saved_fit_that_does_not_fit_is_refused() {
    let folder = Folder::with("x.npy", &f64_npy("(40, 2)", &[4.0, 0.0].repeat(40)));
    folder.write("y.csv", ("0\n".repeat(30) + &"1\n".repeat(10)).as_bytes());
    folder.write("g.csv", "a\nb\n".repeat(20).as_bytes());
    json(&folder, &["x.npy", "--labels", "y.csv", "--groups", "g.csv", "--save", "g.json"], 0);
    let apply = |more: &[&'static str]| [&["apply", "x.npy", "-o", "p.npy"], more].concat();
    refused(
        &folder,
        &apply(&["--fit", "g.json"]),
        &["g.json has a temperature for every group", "--groups FILE"],
    );
    refused(&folder, &apply(&["--fit", "none.json"]), &["none.json: cannot be read"]);
    refused(&folder, &apply(&["--fit", "y.csv"]), &["y.csv: is not a saved fit", "--save"]);
    refused(&folder, &apply(&["--fit", "g.json", "-t", "1"]), &["--fit"]);
    refused(&folder, &apply(&["-t", "1", "--groups", "g.csv"]), &["--groups"]);
    refused(&folder, &apply(&[]), &["--temperature"]);
    folder.write("short.csv", b"a\nb\n");
    let args = apply(&["--fit", "g.json", "--groups", "short.csv"]);
    refused(&folder, &args, &["x.npy has 40 rows of logits, and short.csv has 2 groups"]);
    folder.write("three.npy", &f64_npy("(1, 3)", &[1.0, 2.0, 3.0]));
    let args = ["apply", "three.npy", "--fit", "g.json", "--groups", "g.csv", "-o", "p.npy"];
    refused(&folder, &args, &["three.npy has rows of 3 classes, and g.json is a fit of 2"]);
    let text = String::from_utf8(folder.read("g.json")).expect("UTF-8");
    folder.write("other.json", text.replace("softargmax.fit/1", "softargmax.fit/9").as_bytes());
    refused(&folder, &apply(&["--fit", "other.json"]), &["softargmax.fit/9"]);

    // A group that was not there gets the common temperature, and that is said.
    folder.write("new.csv", "a\nz\n".repeat(20).as_bytes());
    let args = apply(&["--fit", "g.json", "--groups", "new.csv"]);
    let (_, notes) = run(&folder, &args, 0);
    assert!(
        notes.contains("warning: g.json: 1 group is not in it") && notes.contains("'z'"),
        "{notes}"
    );
}

#[test]
fn groups_are_drawn_together_by_their_size() {
    // Group a: 300 rows, 3 : 1. Group b: 300 rows, 9 : 1. Group c: one row, right.
    let (mut logits, mut labels, mut groups) = (Vec::new(), String::new(), String::new());
    for row in 0..601 {
        logits.extend([4.0, 0.0]);
        let (group, is_wrong) = match row {
            0..300 => ("a", row % 4 == 0),
            300..600 => ("b", row % 10 == 0),
            _ => ("c", false),
        };
        labels += if is_wrong { "1\n" } else { "0\n" };
        groups += &format!("{group}\n");
    }
    let folder = Folder::with("x.npy", &f64_npy("(601, 2)", &logits));
    folder.write("y.csv", labels.as_bytes());
    folder.write("g.csv", groups.as_bytes());
    let fit = json(&folder, &["x.npy", "--labels", "y.csv", "--groups", "g.csv"], 0);
    let group = |i: usize| {
        let group = &fit["groups"][i];
        (group["temperature"].as_f64().expect("τ"), group["alone"].as_f64())
    };
    let ((a, a_alone), (b, b_alone), (c, c_alone)) = (group(0), group(1), group(2));
    let (a_alone, b_alone) = (a_alone.expect("τ"), b_alone.expect("τ"));
    assert!((a_alone - 4.0 / 3f64.ln()).abs() < 1e-9 && (b_alone - 4.0 / 9f64.ln()).abs() < 1e-9);
    assert!(b_alone < b && b < c && c < a && a < a_alone, "{b_alone} {b} {c} {a} {a_alone}");
    assert_eq!((c_alone, &fit["groups"][2]["rows"]), (None, &1.into()));
}
