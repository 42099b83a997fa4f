//! `softargmax contrast` as its users meet it.

use std::path::Path;
use std::process::Output;

use crate::files::{Folder, command, f32_npy, f64_npy, npy, softargmax};
use serde_json::Value;

/// The digits' vectors and labels in a folder of their own.
fn digits() -> Folder {
    let folder = Folder::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits");
    for name in ["queries.npy", "keys.npy", "labels.npy"] {
        folder.write(name, &std::fs::read(from.join(name)).expect("the digits"));
    }
    folder
}

const DIGITS: [&str; 5] = ["contrast", "queries.npy", "keys.npy", "-t", "0.07"];

fn run(folder: &Folder, args: &[&str]) -> String {
    let output = softargmax(folder, args, b"");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(folder: &Folder, args: &[&str]) -> Value {
    serde_json::from_str(&run(folder, &[args, &["--json"]].concat())).expect("JSON")
}

/// What a run that must be refused says; it leaves nothing behind.
#[track_caller]
fn refused(folder: &Folder, args: &[&str], words: &[&str]) {
    let before = folder.names();
    let Output { status, stdout, stderr } = softargmax(folder, args, b"");
    let errors = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(2), "{args:?}: {errors}");
    assert!(stdout.is_empty(), "{args:?} printed a result");
    words.iter().for_each(|word| assert!(errors.contains(word), "{args:?}: {errors}"));
    assert_eq!(folder.names(), before, "{args:?}");
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value}"))
}

#[track_caller]
fn close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs().max(1e-300), "{got:e}, not {want:e}");
}

type Rows = Vec<[f64; 3]>;

/// Unit vectors of three dimensions that are in no order, as rows.
fn vectors(seed: usize, count: usize) -> Vec<[f64; 3]> {
    let number = |i: usize| ((seed + i) * 7919 % 1009) as f64 / 500.0 - 1.01;
    let row = |i: usize| {
        let row = [number(3 * i), number(3 * i + 1), number(3 * i + 2)];
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.map(|x| x / length)
    };
    (0..count).map(row).collect()
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn csv(vectors: &[[f64; 3]]) -> String {
    vectors.iter().map(|[x, y, z]| format!("{x},{y},{z}\n")).collect()
}

/// Forty pairs that are near, thirty negatives, and classes of both.
fn small() -> (Folder, Rows, Rows, Rows) {
    let queries = vectors(1, 40);
    let near = |(q, n): (&[f64; 3], &[f64; 3])| {
        let row = [q[0] + 0.4 * n[0], q[1] + 0.4 * n[1], q[2] + 0.4 * n[2]];
        let length = dot(&row, &row).sqrt();
        row.map(|x| x / length)
    };
    let keys: Vec<[f64; 3]> = queries.iter().zip(&vectors(500, 40)).map(near).collect();
    let negatives = vectors(900, 30);
    let folder = Folder::new();
    folder.write("q.csv", csv(&queries).as_bytes());
    folder.write("q.npy", &f64_npy("(40, 3)", queries.as_flattened()));
    folder.write("k.npy", &f64_npy("(40, 3)", keys.as_flattened()));
    folder.write("n.csv", csv(&negatives).as_bytes());
    let labels: String = (0..40).map(|i| ["a\n", "b\n", "c\n"][i % 3]).collect();
    folder.write("labels.csv", labels.as_bytes());
    let labels: String = (0..30).map(|i| ["x\n", "c\n", "b\n", "b\n"][i % 4]).collect();
    folder.write("negative_labels.csv", labels.as_bytes());
    (folder, queries, keys, negatives)
}

/// Loss, entropy of r, Σ r², the largest r and the share of those that `same` names, of one query.
fn naive(s: &[f64], positive: f64, tau: f64, same: impl Fn(usize) -> bool) -> [f64; 5] {
    let w: Vec<f64> = s.iter().map(|s| (s / tau).exp()).collect();
    let sum: f64 = w.iter().sum();
    let r: Vec<f64> = w.iter().map(|w| w / sum).collect();
    [
        (sum + (positive / tau).exp()).ln() - positive / tau,
        -r.iter().map(|r| r * r.ln()).sum::<f64>(),
        r.iter().map(|r| r * r).sum(),
        r.iter().fold(0.0, |a, &b| a.max(b)),
        (0..r.len()).filter(|&j| same(j)).map(|j| r[j]).sum(),
    ]
}

fn means(of: &[[f64; 5]]) -> [f64; 5] {
    std::array::from_fn(|k| of.iter().map(|row| row[k]).sum::<f64>() / of.len() as f64)
}

fn assert_is(document: &Value, [loss, entropy, square, hardest, same]: [f64; 5]) {
    close(number(document, "loss"), loss, 1e-12);
    close(number(document, "entropy"), entropy, 1e-12);
    close(number(document, "effective_negatives"), entropy.exp(), 1e-12);
    close(number(document, "effective_negatives_by_square"), 1.0 / square, 1e-12);
    close(number(document, "nearest_share"), hardest, 1e-12);
    close(number(document, "same_label_share"), same, 1e-12);
}

#[test]
fn the_figures_of_a_batch_are_those_of_their_formulas() {
    let (folder, queries, keys, _) = small();
    let args = ["contrast", "q.csv", "k.npy", "--labels", "labels.csv", "-t", "0.2"];
    let document = json(&folder, &args);
    assert_eq!(document["schema"], "softargmax.contrast/1");
    let count = [40, 39, 3];
    for (key, want) in ["pairs", "negatives", "dimensions"].into_iter().zip(count) {
        assert_eq!(document[key], want);
    }
    let rows = |tau: f64| -> Vec<[f64; 5]> {
        let row = |i: usize| {
            let others = || (0..40).filter(|&j| j != i);
            let s: Vec<f64> = others().map(|j| dot(&queries[i], &keys[j])).collect();
            let at: Vec<usize> = others().collect();
            naive(&s, dot(&queries[i], &keys[i]), tau, |j| at[j] % 3 == i % 3)
        };
        (0..40).map(row).collect()
    };
    assert_is(&document, means(&rows(0.2)));
    let curve = document["curve"].as_array().expect("a curve");
    assert_eq!(curve.len(), 49);
    assert_eq!((number(&curve[0], "temperature"), number(&curve[48], "temperature")), (0.01, 1.0));
    for point in [&curve[10], &curve[24], &curve[48]] {
        assert_is(point, means(&rows(number(point, "temperature"))));
    }
    let right = (0..40).filter(|&i| {
        (0..40).all(|j| j == i || dot(&queries[i], &keys[i]) > dot(&queries[i], &keys[j]))
    });
    assert_eq!(number(&document, "accuracy_at_1"), right.count() as f64 / 40.0);
    let pairs = || queries.iter().zip(&keys);
    let alignment = pairs().map(|(q, k)| 2.0 - 2.0 * dot(q, k)).sum::<f64>() / 40.0;
    close(number(&document, "alignment"), alignment, 1e-12);
    let (mut same, mut cosines, mut near) = (0.0, 0.0, 0.0);
    for i in 0..40 {
        for j in (0..40).filter(|&j| j != i) {
            near += (4.0 * dot(&queries[i], &queries[j]) - 4.0).exp();
            if i % 3 == j % 3 {
                (same, cosines) = (same + 1.0, cosines + dot(&queries[i], &queries[j]));
            }
        }
    }
    close(number(&document, "tolerance"), cosines / same, 1e-11);
    close(number(&document, "uniformity_queries"), (near / (40.0 * 39.0)).ln(), 1e-12);
    // ln(sinh 4/4) − 4, in three dimensions.
    close(number(&document, "uniformity_limit"), (4f64.sinh() / 4.0).ln() - 4.0, 1e-13);
    // Floors of 40 vectors in three dimensions at τ = 0.2.
    let scale = 5f64;
    let mean = scale.sinh() / scale;
    close(number(&document, "floor_sphere"), (39.0 * (-scale).exp() * mean).ln_1p(), 1e-13);
    close(number(&document, "unrelated"), (39.0 * mean).ln_1p(), 1e-13);
    let simplex = (39.0 * (-scale * 40.0 / 39.0).exp()).ln_1p();
    close(number(&document, "floor_simplex"), simplex, 1e-13);
}

#[test]
fn the_figures_of_given_negatives_are_those_of_their_formulas() {
    let (folder, queries, keys, negatives) = small();
    let labels = ["--labels", "labels.csv", "--negative-labels", "negative_labels.csv"];
    let args =
        [&["contrast", "q.npy", "k.npy", "--negatives", "n.csv"][..], &labels, &["-t", "0.1"]];
    let document = json(&folder, &args.concat());
    assert_eq!(document["negatives"], 30);
    let classes = ["x", "c", "b", "b"];
    let row = |i: usize| {
        let s: Vec<f64> = negatives.iter().map(|n| dot(&queries[i], n)).collect();
        let own = ["a", "b", "c"][i % 3];
        naive(&s, dot(&queries[i], &keys[i]), 0.1, |j| classes[j % 4] == own)
    };
    assert_is(&document, means(&(0..40).map(row).collect::<Vec<_>>()));
    // Without labels of the negatives nothing is said of them.
    let args = [args[0], &labels[..2], args[2]];
    assert!(json(&folder, &args.concat())["same_label_share"].is_null());
}

#[test]
fn suggestions_are_what_their_rules_say() {
    let folder = digits();
    let document = json(&folder, &DIGITS);
    let suggestions = document["suggestions"].as_array().expect("suggestions");
    let names: Vec<&str> = suggestions.iter().filter_map(|s| s["rule"].as_str()).collect();
    assert_eq!(names, ["held-out", "adacos", "effective-negatives", "floor"]);
    let tau = |i: usize| number(&suggestions[i], "temperature");
    close(tau(1), 1.0 / (2f64.sqrt() * 896f64.ln()), 1e-14);
    close(number(&suggestions[2], "effective_negatives"), 89.6, 1e-5);
    close(number(&suggestions[3], "floor_sphere"), 0.01, 1e-10);
    // The lowest loss of one half: the other has its lowest not far from there.
    let held_out = &suggestions[0]["held_out"];
    assert_eq!((&held_out["chosen_on"], &held_out["measured_on"]), (&449.into(), &448.into()));
    assert!(number(held_out, "loss") < number(held_out, "loss_at_given"));
    let lowest = document["curve"].as_array().expect("a curve").iter();
    let lowest = lowest.min_by(|a, b| number(a, "loss").total_cmp(&number(b, "loss")));
    close(tau(0), number(lowest.expect("a point"), "temperature"), 0.15);
    assert!(number(&suggestions[0], "gradient_in_scale").abs() < 0.01);
    assert!(document["warning"].as_str().expect("a warning").contains("heuristics"));

    let others = ["--effective", "20", "--floor", "0.5", "--seed", "1"];
    let document = json(&folder, &[&DIGITS[..], &others].concat());
    close(number(&document["suggestions"][2], "effective_negatives"), 20.0, 1e-5);
    close(number(&document["suggestions"][3], "floor_sphere"), 0.5, 1e-10);
    assert_ne!(number(&document["suggestions"][0], "temperature"), tau(0));
}

#[test]
fn the_text_has_every_figure_and_the_curve() {
    let folder = digits();
    let mut program = command(&folder, &[&DIGITS[..], &["--labels", "labels.npy"]].concat());
    program.env_remove("LC_ALL").env_remove("LC_CTYPE").env("LANG", "C.UTF-8");
    let output = program.output().expect("the program starts");
    assert!(output.status.success() && output.stderr.is_empty());
    insta::assert_snapshot!(String::from_utf8(output.stdout).expect("UTF-8"));
}

#[test]
fn a_plain_locale_gets_a_plain_curve() {
    let (folder, ..) = small();
    let mut program = command(&folder, &["contrast", "q.npy", "k.npy", "-t", "0.1"]);
    let output = program.env("LC_ALL", "C").output().expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let chart = text.lines().filter(|line| line.contains(" | ")).collect::<Vec<_>>();
    assert_eq!(chart.len(), 12, "{text}");
    assert!(chart.iter().all(|line| line.is_ascii()) && chart.iter().any(|l| l.contains('o')));
}

#[test]
fn the_page_and_the_picture_are_sound() {
    let folder = digits();
    let args = ["--labels", "labels.npy", "-o", "c.html", "--plot", "c.svg"];
    let headline = run(&folder, &[&DIGITS[..], &args].concat());
    assert!(headline.starts_with("Loss 2.0498 at τ = 0.07") && headline.lines().count() == 1);
    let page = String::from_utf8(folder.read("c.html")).expect("UTF-8");
    let picture = String::from_utf8(folder.read("c.svg")).expect("UTF-8");
    for text in [&page, &picture] {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(text, options).expect("XML");
        let paths = document.descendants().filter(|n| n.tag_name().name() == "path").count();
        assert_eq!(paths, 8, "four lines, and four in the legend");
        let dots = document.descendants().filter(|n| n.tag_name().name() == "circle").count();
        assert_eq!(dots, 5, "τ as given and four suggestions");
        assert!(!text.contains("NaN") && !text.contains("inf\"") && !text.contains("<script"));
        assert_eq!(text.matches("http").count(), text.matches("xmlns=\"http").count());
        assert!(text.contains("prefers-color-scheme:dark"));
    }
    assert!(page.contains("heuristics") && page.contains("85.3"));
    assert_eq!(folder.names(), ["c.html", "c.svg", "keys.npy", "labels.npy", "queries.npy"]);
    // To standard output it stays alone there.
    let page = run(&folder, &[&DIGITS[..], &["-o", "-"]].concat());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
}

#[test]
fn threads_and_formats_do_not_show() {
    let (folder, queries, ..) = small();
    let of =
        |args: &[&str]| run(&folder, &[&["contrast"], args, &["-t", "0.1", "--json"]].concat());
    let whole = of(&["q.npy", "k.npy"]);
    assert_eq!(whole.replace("q.npy", "q.csv"), of(&["q.csv", "k.npy"]));
    assert_eq!(whole, of(&["q.npy", "k.npy", "--threads", "3"]));
    let digits = digits();
    let of = |threads| run(&digits, &[&DIGITS[..], &["--json", "--threads", threads]].concat());
    assert_eq!(of("1"), of("3"));
    // f16 and f32 numbers are what they are.
    let (mut half, mut single) = (Vec::new(), Vec::new());
    for &x in queries.as_flattened() {
        let x = half::f16::from_f64(x);
        half.extend(x.to_le_bytes());
        single.push(x.to_f32());
    }
    folder.write("half.npy", &npy("'<f2'", false, "(40, 3)", &half));
    folder.write("single.npy", &f32_npy("(40, 3)", &single));
    let run = |name| run(&folder, &["contrast", name, "k.npy", "-t", "0.1", "--json"]);
    assert_eq!(run("half.npy").replace("half", "single"), run("single.npy"));
}

#[test]
fn lengths_are_checked_or_divided_away() {
    let (folder, queries, ..) = small();
    let long: Vec<[f64; 3]> = queries.iter().map(|row| row.map(|x| 3.0 * x)).collect();
    folder.write("long.csv", csv(&long).as_bytes());
    let args = ["contrast", "long.csv", "k.npy", "-t", "0.1"];
    let words = ["long.csv", "row 0: its length is not 1", "--normalise"];
    refused(&folder, &args, &words);
    let long = json(&folder, &[&args[..], &["--normalise"]].concat());
    let unit = json(&folder, &["contrast", "q.npy", "k.npy", "-t", "0.1"]);
    close(number(&long, "loss"), number(&unit, "loss"), 1e-13);
    folder.write("zero.csv", format!("{}0,0,0\n", csv(&queries[..39])).as_bytes());
    let args = ["contrast", "zero.csv", "k.npy", "-t", "0.1", "--normalise"];
    refused(&folder, &args, &["zero.csv: row 39: ", "no direction"]);
}

#[test]
fn bad_vectors_are_refused_by_file_and_row() {
    let (folder, queries, ..) = small();
    folder.write("nan.csv", format!("{}1,nan,0\n", csv(&queries[..39])).as_bytes());
    folder.write("inf.csv", format!("{}1,inf,0\n", csv(&queries[..29])).as_bytes());
    folder.write("wide.csv", "1,0,0,0\n".repeat(40).as_bytes());
    folder.write("few.csv", csv(&queries[..39]).as_bytes());
    folder.write("one.csv", csv(&queries[..1]).as_bytes());
    folder.write("none.npy", &f64_npy("(0, 3)", &[]));
    folder.write("39.csv", "a\n".repeat(38).as_bytes());
    let with = |args: &[&'static str]| [&["contrast"], args, &["-t", "0.1"]].concat();
    let cases: [(&[&str], &[&str]); 12] = [
        (&["nan.csv", "k.npy"], &["nan.csv: row 39: it holds a NaN"]),
        (&["q.npy", "nan.csv"], &["nan.csv: row 39: it holds a NaN"]),
        (&["q.npy", "k.npy", "--negatives", "inf.csv"], &["inf.csv: row 29: ", "infinity"]),
        (&["q.npy", "wide.csv"], &["wide.csv has vectors of 4 dimensions, and q.npy of 3"]),
        (&["q.npy", "k.npy", "--negatives", "wide.csv"], &["wide.csv has vectors of 4 dim"]),
        (&["q.npy", "few.csv"], &["few.csv has 39 rows, and q.npy has 40", "--negatives"]),
        (&["one.csv", "one.csv"], &["one pair has no negatives", "--negatives"]),
        (&["q.npy", "k.npy", "--negatives", "none.npy"], &["none.npy: no rows"]),
        (&["none.npy", "none.npy"], &["none.npy: no rows"]),
        (
            &["q.npy", "k.npy", "--labels", "39.csv"],
            &["39.csv has 38 labels, and q.npy has 40 rows"],
        ),
        (&["q.npy", "k.npy", "--negatives", "-"], &["twice", "save them"]),
        (&["q.npy", "k.npy", "--plot", "no/c.svg"], &["no/c.svg", "mkdir"]),
    ];
    for (args, words) in cases {
        refused(&folder, &with(args), words);
    }
    let labels = ["--labels", "labels.csv", "--negative-labels", "labels.csv"];
    let args = [&["q.npy", "k.npy", "--negatives", "n.csv"], &labels[..]].concat();
    refused(&folder, &with(&args), &["labels.csv has 40 labels, and n.csv has 30 rows"]);
}

#[test]
fn bad_numbers_are_refused_with_what_is_allowed() {
    let (folder, ..) = small();
    let files = ["contrast", "q.npy", "k.npy"];
    for (args, words) in [
        (&["-t", "0"][..], &["temperature 0", "0 or inf"][..]),
        (&["-t", "-1"], &["temperature"]),
        (&["-t", "0.1", "--temperatures", "0,0.1"], &["temperature 0"]),
        (&["-t", "0.1", "--temperatures", "0.1", "--steps", "9"], &["no range"]),
        (&["-t", "0.1", "--temperatures", "0.1,inf", "--plot", "c.svg"], &["no curve"]),
        (&["-t", "0.1", "--effective", "40"], &["40 of 39 negatives", "1 to 39"]),
        (&["-t", "0.1", "--effective", "nan"], &["NaN of 39 negatives"]),
        (&["-t", "0.1", "--floor", "0"], &["floor 0", "above 0"]),
        (&["-t", "0.1", "--floor", "-1"], &["floor -1"]),
        (&["-t", "0.1", "--json", "-o", "c.html"], &["cannot be used"]),
        (&["-t", "0.1", "--negative-labels", "labels.csv"], &["--negatives"]),
        (&[], &["--temperature"]),
    ] {
        refused(&folder, &[&files, args].concat(), words);
    }
}

#[test]
fn limits_are_limits() {
    let (folder, queries, keys, _) = small();
    let document = json(&folder, &["contrast", "q.npy", "k.npy", "-t", "inf"]);
    for key in ["loss", "floor_simplex", "floor_sphere", "unrelated"] {
        close(number(&document, key), 40f64.ln(), 1e-14);
    }
    close(number(&document, "effective_negatives"), 39.0, 1e-13);
    assert_eq!(document["temperature"], "inf");
    run(&folder, &["contrast", "q.npy", "k.npy", "-t", "inf"]);
    let args = ["--temperatures", "inf,0.5,0.1,0.1", "-o", "c.html", "--plot", "c.svg"];
    run(&folder, &[&["contrast", "q.npy", "k.npy", "-t", "inf"], &args[..]].concat());

    // One query: no halves, and no pairs of queries.
    folder.write("q1.csv", csv(&queries[..1]).as_bytes());
    folder.write("k1.csv", csv(&keys[..1]).as_bytes());
    let args = ["contrast", "q1.csv", "k1.csv", "--negatives", "n.csv", "-t", "0.1"];
    let document = json(&folder, &args);
    assert!(document["uniformity_queries"].is_null());
    assert!(document["suggestions"][0]["none"].as_str().expect("why").contains("halves"));
    assert!(run(&folder, &args).contains("1 pair of 3 dimensions"));

    // Two pairs: one negative each, and no rule that needs more.
    folder.write("q2.csv", csv(&queries[..2]).as_bytes());
    folder.write("k2.csv", csv(&keys[..2]).as_bytes());
    let document = json(&folder, &["contrast", "q2.csv", "k2.csv", "-t", "0.1"]);
    assert!(document["suggestions"][1]["none"].as_str().expect("why").contains("one negative"));
    assert!(number(&document["suggestions"][3], "temperature") > 0.0);

    // The same vector twice is no answer.
    let twice = [queries[0], queries[0], queries[1]];
    folder.write("twice.csv", csv(&twice).as_bytes());
    let document = json(&folder, &["contrast", "twice.csv", "twice.csv", "-t", "0.01"]);
    assert_eq!((&document["ties"], number(&document, "accuracy_at_1")), (&2.into(), 1.0 / 3.0));
    close(number(&document, "loss"), 2.0 / 3.0 * 2f64.ln(), 1e-3);
    let text = run(&folder, &["contrast", "twice.csv", "twice.csv", "-t", "0.01"]);
    assert!(text.contains("2 queries tie"), "{text}");

    // Aligned pairs have their lowest loss at the lowest temperature.
    let document = json(&folder, &["contrast", "q.npy", "q.npy", "-t", "0.1"]);
    assert!(document["suggestions"][0]["none"].as_str().expect("why").contains("down to 0.01"));
}
