//! The README's Rust blocks and its measured numbers: what it shows is what this file runs, and what it
//! quotes is in the file it names. (Its console blocks are run by `cli/tests/readme.rs`.)

use serde_json::Value;

const README: &str = include_str!("../README.md");
const THIS_FILE: &str = include_str!("readme.rs");

#[test]
fn first_block() -> Result<(), softargmax::Error> {
    // block 1
    use softargmax::{Temperature, log_softmax, softmax};

    let p = softmax(&[1.0, 5.0, 7.0, 10.0], "0.1".parse()?)?;
    assert_eq!(p[..2], [8.194012623989748e-40, 1.928749847963737e-22]);
    let log_p = log_softmax(&[21.64f32, 0.0], Temperature::ONE)?;
    assert_eq!(log_p, [-3.998229e-10, -21.64]); // the plain formula gives 0 for the first
    // end
    Ok(())
}

#[test]
fn second_block() -> Result<(), softargmax::Error> {
    // block 2
    use softargmax::{Rows, Solution, Target, Temperature, softmax_rows, statistics};

    let logits = [1.0f32, 5.0, 7.0, 10.0, /* next row */ 3e38, -3e38, 0.0, f32::NEG_INFINITY];
    let rows = Rows::new(&logits, 4)?;

    let p = softmax_rows(rows, &[Temperature::ONE, Temperature::new(1e38)?][..])?;
    assert_eq!(p[4..], [0.9503302, 0.002355633, 0.047314156, 0.0]); // nothing overflows; −∞ is a mask

    let s = statistics(rows, Temperature::ZERO)?;
    assert_eq!((s[0].arg_max, s[0].perplexity), (Some(3), 1.0));

    let row = Rows::one(&logits[..4])?;
    let solution = softargmax::solve_temperature(row, Target::Perplexity(2.0))?;
    let Solution::Found { temperature, .. } = solution else { panic!("{solution:?}") };
    assert_eq!(temperature.tau() as f32, 1.9215828);
    // end
    Ok(())
}

#[test]
fn third_block() -> Result<(), softargmax::Error> {
    // block 3
    use softargmax::{FitOptions, Labels, Outcome, Rows, fit_temperature};

    // Right three times of four, but as sure as 4.0 each time: exp(4/τ) must be 3 to 1.
    let logits = Rows::new(&[4.0f32, 0.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0], 2)?;
    let fit = fit_temperature(logits, Labels::new(&[0, 0, 1, 0], 2)?, &FitOptions::default())?;
    let found = fit.estimate.ok_or(fit.outcome).unwrap();
    assert_eq!(found.temperature.tau() as f32, 3.6409569);
    assert!(found.interval[0] < 3.7 && found.nll < fit.nll_before);

    // Where there is no answer, there is no number.
    let fit = fit_temperature(logits, Labels::new(&[0, 0, 0, 0], 2)?, &FitOptions::default())?;
    assert_eq!((fit.outcome, fit.estimate), (Outcome::Separable, None));
    // end
    Ok(())
}

#[test]
fn the_blocks_are_those_of_the_readme() {
    let shown = README.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // Put together, so that these two lines are no markers themselves.
    let [start, end] = ["block ", "end"].map(|name| format!("    // {name}"));
    let run = THIS_FILE.split(&start).skip(1).map(|rest| {
        let lines = rest.split(&end).next().unwrap().lines().skip(1);
        lines
            .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)))
            .collect::<String>()
    });
    let (shown, run): (Vec<_>, Vec<_>) = (shown.collect(), run.collect());
    assert_eq!(shown, run);
}

#[test]
fn the_accuracy_is_that_of_the_file() {
    let path = format!("{}/docs/accuracy.md", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    for (name, dtype) in [("softmax", "f32"), ("softmax", "f64"), ("log_softmax", "f32")] {
        let start = format!("| {name} | {dtype} | ");
        let (_, row) = file.split_once(&start).expect("a row of the table");
        let largest = row.split(' ').next().unwrap();
        readme_says(&format!("| largest error of `{name}`, {dtype} | {largest} ULP |"));
    }
}

fn results(file: &str) -> Value {
    let path = format!("{}/benches/results/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[track_caller]
fn readme_says(what: &str) {
    assert!(README.contains(what), "the README does not quote its file: {what}");
}

#[test]
fn the_speed_is_that_of_the_file() {
    let file = results("speed.json");
    let is_it = |r: &&Value| {
        r["function"] == "softmax"
            && r["dtype"] == "f32"
            && r["rows"] == 4096
            && r["classes"] == 1000
    };
    let result = file["results"].as_array().unwrap().iter().find(is_it).unwrap();
    let ratio = result["ratio_to_copy"]["median"].as_f64().unwrap();
    readme_says(&format!("| {ratio:.2} times the time of a copy |"));
}

#[test]
fn the_peers_are_those_of_the_file() {
    let file = results("peers.json");
    let is_it = |r: &&Value| r["rows"] == 4096 && r["classes"] == 1000;
    let shape = file["shapes"].as_array().unwrap().iter().find(is_it).unwrap();
    let ratio = |name: &str| {
        let contestants = shape["contestants"].as_array().unwrap();
        contestants.iter().find(|c| c["name"] == name).unwrap()["ratio_to_ours"]["median"]
            .as_f64()
            .unwrap()
    };
    let (rten, candle) = (ratio("rten-vecmath"), ratio("candle-nn"));
    readme_says(&format!("| rten-vecmath {rten:.2} times as long, candle-nn {candle:.2} times |"));
}

#[test]
fn the_fit_is_that_of_the_file() {
    let file = results("fit.json");
    let shape = file["shapes"].as_array().unwrap().iter().find(|s| s["shape"][1] == 1000).unwrap();
    let of = |name: &str| &shape["contestants"][name];
    let seconds = of("softargmax")["seconds"].as_f64().unwrap();
    let times = |name: &str| of(name)["ratio"].as_f64().unwrap();
    let error = |name: &str| of(name)["relative_error"].as_f64().unwrap();
    assert!(error("softargmax") < 1e-12);
    readme_says(&format!(
        "| fit of τ, [50000, 1000] f32, one thread | {seconds:.2} s; scikit-learn {:.0} times as long, probmetrics {:.0} |",
        times("scikit-learn"),
        times("probmetrics bisection")
    ));
}

#[test]
fn the_contrastive_loss_is_that_of_the_file() {
    let file = results("contrastive.json");
    let loss = file["losses"].as_array().unwrap().iter().find(|l| l["loss"] == "moco").unwrap();
    let of = |name: &str| &loss["contestants"][name];
    let times = |name: &str| of(name)["ratio"].as_f64().unwrap();
    readme_says(&format!(
        "| {:.2} s, its bare products {:.2} of that; torch {:.1} times as long, jax {:.1} |",
        of("softargmax")["seconds"].as_f64().unwrap(),
        times("bare"),
        times("torch"),
        times("jax")
    ));
}
