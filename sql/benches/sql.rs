//! A fit of 10⁷ rows of 10 classes in Parquet beside a bare scan of the same columns, and beside a fit of half the rows.
//!
//! ```text
//! the set         sql/examples/logs.rs, seeded; into a folder of target/, which is taken away at the end
//! a round         scan of all · fit of all · fit of half      each a run of the program from its start
//! a ratio         taken within a round, so that a machine that slows down slows all
//! memory          the high-water mark of the process, as Linux tells it
//! ```
//!
//! It fails where an answer is wrong, or memory goes beyond 512 MiB.
//!
//!     cargo bench -p softargmax-sql -- --json FILE [--rows N] [--rounds N]

#[path = "../examples/logs.rs"]
#[allow(dead_code)] // its main
mod logs;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Bytes that a fit may take.
const ALLOWED: u64 = 512 << 20;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option =
        |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let Some(target) = option("--json") else {
        eprintln!("nothing to measure: `make bench-sql` does");
        return Ok(()); // `cargo bench` runs every benchmark, without arguments
    };
    let rows: u64 = option("--rows").map_or(Ok(10_000_000), |rows| rows.parse())?;
    let rounds: usize = option("--rounds").map_or(Ok(5), |rounds| rounds.parse())?;
    let folder =
        tempfile::Builder::new().prefix("bench-sql-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (all, half) = (folder.path().join("all"), folder.path().join("half"));
    let start = Instant::now();
    logs::write(rows, &all)?;
    logs::write(rows / 2, &half)?;
    eprintln!("written in {:.0} s", start.elapsed().as_secs_f64());

    let scan = |set: &Path| query(set, "count(logits) as n, sum(label) as s", "where label >= 0");
    let fit = |set: &Path| query(set, "temperature_fit(logits, label) as fit", "");
    let mut measured: Vec<[Run; 3]> = Vec::new();
    for round in 0..rounds {
        let runs = [run(&scan(&all))?, run(&fit(&all))?, run(&fit(&half))?];
        if runs[0].answer["rows"][0]["n"] != json!(rows) {
            return Err(format!("the scan saw other rows: {}", runs[0].answer).into());
        }
        for (run, rows) in runs[1..].iter().zip([rows, rows / 2]) {
            check(&run.answer["rows"][0]["fit"], rows)?;
            if run.peak > ALLOWED {
                return Err(format!("a fit took {} bytes, {ALLOWED} are allowed", run.peak).into());
            }
        }
        let [scan, fit, half] = runs.each_ref().map(|run| run.seconds);
        eprintln!("round {round}: scan {scan:.2} s, fit {fit:.2} s, half {half:.2} s");
        measured.push(runs);
    }
    let column = |at: usize| measured.iter().map(|runs| runs[at].seconds).collect::<Vec<_>>();
    let ratio = |a: usize, b: usize| {
        measured.iter().map(|runs| runs[a].seconds / runs[b].seconds).collect::<Vec<_>>()
    };
    let peak = |at: usize| measured.iter().map(|runs| runs[at].peak).max().unwrap_or(0);
    let bytes = |set: &Path| -> Result<u64, Failure> {
        Ok(std::fs::read_dir(set)?.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum())
    };
    let document = json!({
        "schema": "softargmax.bench-sql/1",
        "command": "make bench-sql",
        "rows": rows, "classes": 10, "bytes": bytes(&all)?,
        "machine": { "cpu": cpu(), "cores": std::thread::available_parallelism()?.get() },
        "compiler": said("rustc", &["--version"]), "commit": said("git", &["rev-parse", "--short=12", "HEAD"]),
        "profile": if cfg!(debug_assertions) { "unoptimised" } else { "bench: release without link-time optimisation, planning unoptimised" },
        "rounds": rounds,
        "seconds": { "scan": spread(column(0)), "fit": spread(column(1)), "fit_of_half": spread(column(2)) },
        "fit_to_scan": spread(ratio(1, 0)),
        "fit_to_fit_of_half": spread(ratio(1, 2)),
        "peak_bytes": { "scan": peak(0), "fit": peak(1), "fit_of_half": peak(2), "allowed": ALLOWED },
        "temperature": measured[0][1].answer["rows"][0]["fit"]["temperature"],
        "std_error": measured[0][1].answer["rows"][0]["fit"]["std_error"],
    });
    std::fs::write(target, serde_json::to_string_pretty(&document)? + "\n")?;
    println!("{document:#}");
    Ok(())
}

fn query(set: &Path, what: &str, condition: &str) -> String {
    format!("select {what} from '{}/*.parquet' {condition}", set.display())
}

/// The labels were drawn at 2.5.
fn check(fit: &Value, rows: u64) -> Result<(), Failure> {
    let number = |name: &str| fit[name].as_f64().unwrap_or(f64::NAN);
    let off = (number("temperature") - 2.5).abs();
    if fit["rows"] != json!(rows) || !(off < 5.0 * number("std_error")) {
        return Err(format!("a wrong answer: {fit}").into());
    }
    Ok(())
}

struct Run {
    seconds: f64,
    peak: u64,
    answer: Value,
}

/// One run of the program, watched.
fn run(query: &str) -> Result<Run, Failure> {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_softargmax-sql"))
        .args([query, "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        // Gone, or without this line, while the process ends.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(5));
    }
    let seconds = start.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("the program failed".into());
    }
    Ok(Run { seconds, peak, answer: serde_json::from_slice(&output.stdout)? })
}

/// The median, the least and the most.
fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    json!({ "median": values[values.len() / 2], "least": values[0], "most": values[values.len() - 1] })
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |o| String::from_utf8_lossy(&o.stdout).trim().to_owned(),
    )
}

fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}
