//! `softargmax solve` as its users meet it.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use softargmax::{Rows, Statistics, Temperature};

/// No temperature gives what was asked for.
const OUT_OF_REACH: i32 = 3;

const LOGITS: [f64; 4] = [1.0, 5.0, 7.0, 10.0];

fn solve(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softargmax"));
    command.arg("solve").args(args).output().expect("the program starts")
}

#[track_caller]
fn json(args: &[&str], code: i32) -> Value {
    let output = solve(&[args, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The statistics of rows of four at the temperature of an answer, which is used as printed.
fn statistics(logits: &[f64], answer: &Value) -> Vec<Statistics> {
    let temperature: Temperature = answer["temperature"].to_string().parse().expect("τ");
    let rows = Rows::new(logits, 4).expect("rows");
    softargmax::statistics(rows, temperature).expect("statistics")
}

#[track_caller]
fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-12 * expected.abs(), "{got}, not {expected}");
}

#[test]
fn the_temperature_found_gives_what_was_asked_for() {
    let of = |flag: &str, value: &str| json(&["1", "5", "7", "10", flag, value], 0);

    let answer = of("--perplexity", "2");
    assert_eq!(answer["schema"], "softargmax.solve/1");
    assert_eq!(answer["target"]["quantity"], "perplexity");
    assert_eq!(answer["target"]["value"], 2.0);
    assert_eq!(answer["outcome"], "found");
    close(answer["attained"].as_f64().expect("a value"), 2.0);
    close(statistics(&LOGITS, &answer)[0].perplexity, 2.0);

    let answer = of("--entropy", "0.5");
    close(statistics(&LOGITS, &answer)[0].entropy, 0.5);

    let answer = of("--max-probability", "0.9");
    assert_eq!(answer["target"]["quantity"], "max_probability");
    close(statistics(&LOGITS, &answer)[0].max_probability, 0.9);
}

#[test]
fn out_of_reach_is_said_with_what_can_be_reached() {
    let answer = json(&["1", "5", "7", "10", "--perplexity", "4.5"], OUT_OF_REACH);
    assert_eq!(answer["outcome"], "above_reach");
    assert!(answer["temperature"].is_null() && answer["attained"].is_null());
    assert_eq!(answer["attainable"][0], 1.0);
    close(answer["attainable"][1].as_f64().expect("a value"), 4.0);

    // Ties keep the max probability at a half at most.
    let answer = json(&["3", "3", "1", "--max-probability", "0.8"], OUT_OF_REACH);
    assert_eq!(answer["outcome"], "above_reach");
    let answer = json(&["3", "3", "1", "--max-probability", "0.2"], OUT_OF_REACH);
    assert_eq!(answer["outcome"], "below_reach");

    let output = solve(&["1", "5", "7", "10", "--perplexity", "4.5"]);
    assert_eq!(output.status.code(), Some(OUT_OF_REACH));
    let words = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(words.contains("no temperature") && words.contains("1 to 4"), "{words}");
}

#[test]
fn equal_logits_meet_a_target_at_any_temperature() {
    let answer = json(&["2", "2", "--max-probability", "0.5"], 0);
    assert_eq!(answer["outcome"], "any");
    assert!(answer["temperature"].is_null());
    assert_eq!(answer["attained"], 0.5);
}

#[test]
fn a_file_is_solved_for_its_mean_or_row_by_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("logits.csv");
    fs::write(&path, "1,5,7,10\n0.5,0,-1,2\n3,3,3,3\n").expect("a file");
    let path = path.to_str().expect("UTF-8");
    let logits = [1.0, 5.0, 7.0, 10.0, 0.5, 0.0, -1.0, 2.0, 3.0, 3.0, 3.0, 3.0];

    let answer = json(&[path, "--perplexity", "3"], 0);
    assert_eq!((&answer["count"], &answer["classes"]), (&3.into(), &4.into()));
    let rows = statistics(&logits, &answer);
    close((rows.iter().map(|row| row.entropy).sum::<f64>() / 3.0).exp(), 3.0);

    // The third row has perplexity 4 at every temperature.
    let answers = json(&[path, "--perplexity", "3", "--per-row"], OUT_OF_REACH);
    for i in 0..2 {
        let answer = &answers["rows"][i];
        close(statistics(&logits[4 * i..4 * i + 4], answer)[0].perplexity, 3.0);
    }
    assert_eq!(answers["rows"][2]["outcome"], "below_reach");

    let output = solve(&[path, "--perplexity", "3", "--per-row"]);
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(table.lines().count() == 4 && table.contains("none"), "{table}");
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.csv");
    fs::write(&path, "1,2\nnan,4\n").expect("a file");
    let path = path.to_str().expect("UTF-8");
    let cases: [(&[&str], &[&str]); 6] = [
        (&["1", "2"], &["--entropy", "--perplexity", "--max-probability"]),
        (&["1", "2", "--entropy", "1", "--perplexity", "2"], &["--perplexity"]),
        (&["1", "2", "--entropy", "nan"], &["entropy"]),
        (&["1", "nan", "--entropy", "0.1"], &["no distribution"]),
        (&[path, "--entropy", "0.1"], &["bad.csv", "row 1"]),
        (&["missing.npy", "--entropy", "0.1"], &["missing.npy"]),
    ];
    for (args, parts) in cases {
        let output = solve(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        for part in parts {
            assert!(message.contains(part), "{args:?}: {message}");
        }
    }
}
