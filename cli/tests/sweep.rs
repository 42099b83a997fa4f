//! `softargmax sweep` as its users meet it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::str::FromStr;

use serde_json::Value;
use softargmax::{Rows, Temperature};

fn sweep(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softargmax"));
    // Whoever runs the tests has a locale of their own, which decides about the bars.
    command.env_remove("LC_ALL").env_remove("LC_CTYPE").env("LANG", "C.UTF-8");
    command.arg("sweep").args(args).output().expect("the program starts")
}

fn text(args: &[&str]) -> String {
    let output = sweep(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&text(&[args, &["--json"]].concat())).expect("JSON")
}

/// What is on standard error of a run that must be refused.
fn refusal(args: &[&str]) -> String {
    let output = sweep(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert!(output.stdout.is_empty(), "{args:?} printed a result");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn numbers(row: &Value, key: &str) -> Vec<f64> {
    let values = row[key].as_array().expect("an array");
    values.iter().map(|value| value.as_f64().expect("a number")).collect()
}

#[track_caller]
fn within_ulp(got: f64, exact: f64, allowed: u64) {
    let distance = got.to_bits().abs_diff(exact.to_bits());
    assert!(distance <= allowed, "{got:e} is {distance} ULP from {exact:e}");
}

/// The table of the article that this program began with, which the naive formula made; the exact
/// values are within 1.6 ULP of it.
const ARTICLE: [(&str, [f64; 4]); 5] = [
    (
        "0.1",
        [8.194012623989748e-40, 1.928749847963737e-22, 9.357622968839298e-14, 0.9999999999999064],
    ),
    ("1", [0.00011679362893736733, 0.006376716075637758, 0.0471179128098403, 0.9463885774855847]),
    ("10", [0.14763314666550595, 0.2202427743860977, 0.26900513210002774, 0.3631189468483686]),
    ("100", [0.23827555570657363, 0.24799976560608047, 0.25300969319764466, 0.2607149854897012]),
    ("10000", [0.2498812648459304, 0.2499812373450356, 0.2500312385924627, 0.2501062592165714]),
];

#[test]
fn the_article_is_met_within_2_ulp() {
    let document = json(&["1", "5", "7", "10", "--temperatures", "0.1,1,10,100,10000"]);
    assert_eq!(document["schema"], "softargmax.sweep/1");
    let rows = document["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), ARTICLE.len());
    for (row, (tau, expected)) in rows.iter().zip(ARTICLE) {
        assert_eq!(row["temperature"].as_f64(), tau.parse().ok());
        for (got, expected) in numbers(row, "probabilities").into_iter().zip(expected) {
            within_ulp(got, expected, 2);
        }
        assert_eq!(row["max_probability"], row["probabilities"][3]);
        let perplexity = row["entropy"].as_f64().map(f64::exp).expect("an entropy");
        within_ulp(row["perplexity"].as_f64().expect("a perplexity"), perplexity, 4);
    }
}

/// From mpmath at 50 digits.
#[test]
fn distances_are_exact_where_they_are_tiny() {
    let document = json(&["1", "5", "7", "10", "-t", "0.1,1e12"]);
    let distance = |row: usize, key: &str| document["rows"][row][key].as_f64().expect("a distance");
    within_ulp(distance(0, "distance_to_argmax"), 9.357622988126797e-14, 4);
    within_ulp(distance(1, "distance_to_uniform"), 1.3749999999997813e-12, 4);
}

#[test]
fn very_low_temperatures_and_both_limits_are_right() {
    let document = json(&["1", "5", "7", "10", "-t", "0.01,1e-300,0,inf"]);
    let row = |i: usize| numbers(&document["rows"][i], "probabilities");
    let low = row(0);
    within_ulp(low[1], 7.124576406741286e-218, 2);
    within_ulp(low[2], 5.148200222412013e-131, 2);
    assert_eq!((low[0], low[3]), (0.0, 1.0));
    assert_eq!(row(1), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(row(2), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(row(3), [0.25; 4]);
    assert_eq!(document["rows"][2]["distance_to_argmax"], 0.0);
    assert_eq!(document["rows"][3]["distance_to_uniform"], 0.0);
    assert_eq!(document["rows"][3]["temperature"], "inf");
}

#[test]
fn json_reads_back_to_the_bits_of_the_library() {
    let logits = [-3.25, 0.1, 1e-3, 2.0 / 3.0, 1e5 / 7e4];
    let words = logits.map(|x| x.to_string());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let document = json(&[words.as_slice(), &["-t", "0.01..100", "--steps", "25"]].concat());
    let rows = document["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 25);
    for row in rows {
        // The text of the temperature is what was used, so it can be used again.
        let temperature = Temperature::from_str(&row["temperature"].to_string()).expect("τ");
        let expected = softargmax::softmax(&logits, temperature).expect("probabilities");
        let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&numbers(row, "probabilities")), bits(&expected));
    }
}

#[test]
fn a_logit_may_be_negative_or_infinite_or_nan() {
    let document = json(&["-1", "-inf", "-2.5e0", "--temperatures", "1"]);
    let p = numbers(&document["rows"][0], "probabilities");
    assert_eq!(p[1], 0.0);
    assert!(p[0] > p[2] && p[2] > 0.0);

    let document = json(&["inf", "1e5", "inf", "-t", "1"]);
    assert_eq!(numbers(&document["rows"][0], "probabilities"), [0.5, 0.0, 0.5]);

    let document = json(&["nan", "1", "-t", "1"]);
    assert_eq!(document["rows"][0]["probabilities"][1], "nan");
    assert_eq!(document["rows"][0]["distance_to_argmax"], "nan");
}

#[test]
fn what_is_not_a_temperature_is_refused_with_what_is_allowed() {
    for list in ["nan", "-1", "-inf", "1,-0.5", "cold", ""] {
        let message = refusal(&["1", "2", "--temperatures", list]);
        assert!(message.contains("temperature"), "{list}: {message}");
        assert!(message.contains("inf"), "{list}: {message}");
    }
    assert!(refusal(&["1", "2", "-t", "0..1"]).contains("range"));
    assert!(refusal(&["1", "2", "-t", "1", "--steps", "3"]).contains("range"));
}

#[test]
fn what_is_not_a_logit_is_refused() {
    assert!(refusal(&["1", "two"]).contains("'two'"));
    assert!(refusal(&["1", "1e999"]).contains("1e999"));
    assert!(refusal(&["-inf", "-inf"]).contains("no distribution"));
    assert!(refusal(&["no-such-file.npy"]).contains("no-such-file.npy"));
}

#[test]
fn the_table_of_the_article() {
    insta::assert_snapshot!(text(&["1", "5", "7", "10", "-t", "0.1,1,10,100,10000"]));
}

#[test]
fn the_table_of_many_logits_shows_the_largest() {
    let words: Vec<String> = (1..=12).map(|i| i.to_string()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    insta::assert_snapshot!(text(&[words.as_slice(), &["-t", "0,2,inf"]].concat()));
}

#[test]
fn a_pipe_gets_no_colour_and_a_plain_locale_no_blocks() {
    assert!(!text(&["1", "2"]).contains('\x1b'));
    let mut command = Command::new(env!("CARGO_BIN_EXE_softargmax"));
    command.env("LC_ALL", "C").args(["sweep", "1", "2"]);
    assert!(command.output().expect("the program starts").stdout.is_ascii());
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softargmax"));
    command.args(["sweep", "1", "2", "-t", "1..2", "--steps", "10000", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_plot_is_xml_with_a_line_per_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sweep.svg");
    let plot = path.to_str().expect("UTF-8");
    text(&["1", "5", "5", "-inf", "10", "-t", "0,0.1..100,inf", "--plot", plot]);
    let picture = fs::read_to_string(&path).expect("a picture");
    let document = roxmltree::Document::parse(&picture).expect("well-formed XML");
    let count = |name: &str| document.descendants().filter(|n| n.has_tag_name(name)).count();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    assert_eq!(count("path"), 5);
    assert_eq!(count("circle"), 5 * 11);
    // Equal logits share a line, and so a label.
    assert_eq!(picture.matches("5 ×2").count(), 1);
    assert!(picture.contains("prefers-color-scheme:dark"));
    assert_eq!(names(folder.path()), ["sweep.svg"]);
}

#[test]
fn a_refused_plot_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    refusal(&["1", "nan", "--plot", &path("nan.svg")]);
    let message = refusal(&["1", "2", "--plot", &path("missing/sweep.svg")]);
    assert!(message.contains("missing"), "{message}");
    fs::create_dir(path("taken.svg")).expect("a folder");
    refusal(&["1", "2", "--plot", &path("taken.svg")]);
    assert_eq!(names(folder.path()), ["taken.svg"]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().display().to_string()).collect()
}

#[test]
fn a_file_gives_means_over_its_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("logits & labels.csv");
    let logits = [3.0, 1.0, 0.5, 0.0, 0.0, 9.5, -1.0, -2.0, -1.5];
    let lines = logits.chunks(3).map(|row| format!("{},{},{}\n", row[0], row[1], row[2]));
    fs::write(&path, lines.collect::<String>()).expect("a file");
    let (name, plot) = (path.to_str().expect("UTF-8"), folder.path().join("file.svg"));

    let document = json(&[name, "-t", "1,0,inf", "--plot", plot.to_str().expect("UTF-8")]);
    assert_eq!(document["file"], name);
    assert_eq!((&document["count"], &document["classes"]), (&3.into(), &3.into()));
    let rows = Rows::new(&logits, 3).expect("rows");
    let statistics = softargmax::statistics(rows, Temperature::ONE).expect("statistics");
    let mean_entropy = statistics.iter().map(|row| row.entropy).sum::<f64>() / 3.0;
    let row = &document["rows"][0];
    assert_eq!(row["mean_entropy"], mean_entropy);
    assert_eq!(row["perplexity"], mean_entropy.exp());
    let above = ["rows_above_0_5", "rows_above_0_9", "rows_above_0_99"].map(|key| &row[key]);
    assert_eq!(above, [&3.into(), &1.into(), &1.into()] as [&Value; 3]);
    assert_eq!(document["rows"][1]["mean_max_probability"], 1.0);
    assert_eq!(document["rows"][2]["rows_above_0_5"], 0);

    let picture = fs::read_to_string(plot).expect("a picture");
    let picture = roxmltree::Document::parse(&picture).expect("well-formed XML");
    assert!(picture.descendants().any(|n| n.text().is_some_and(|t| t.contains("logits & labels"))));
}

#[test]
fn a_row_without_a_distribution_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for (row, reason) in [("nan,1", "nan"), ("-inf,-inf", "-inf")] {
        let path = folder.path().join("bad.csv");
        fs::write(&path, format!("1,2\n3,4\n{row}\n")).expect("a file");
        let message = refusal(&[path.to_str().expect("UTF-8")]);
        for part in ["bad.csv", "row 2", reason] {
            assert!(message.contains(part), "{message}");
        }
    }
}
