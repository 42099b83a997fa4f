//! One scheduler and two executors as processes of this machine: the bits of the library, also when one of them is killed.

#[path = "../../sql/tests/sql/rows.rs"]
#[allow(dead_code)] // of the rows of another test
mod rows;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rows::{CLASSES, Data, Layout};
use softargmax::{Rows, TemperatureFit, softmax_rows};

/// What is waited for at most.
const PATIENCE: Duration = Duration::from_secs(300);

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where it is dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softargmax-cluster"));
    command.args(arguments).stdin(Stdio::null());
    command
}

struct Cluster {
    address: String,
    _scheduler: Process,
    executors: Vec<Process>,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = |name: &str| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let mut scheduler = program(&["scheduler", "--port", "0", "--executor-timeout", "5", "-v"])
            .stdout(Stdio::piped())
            .stderr(log("scheduler.log"))
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(scheduler.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let scheduler = Process(scheduler);
        let address = line.trim().strip_prefix("scheduler at ").unwrap().to_owned();
        let executor = |at: usize| {
            let work_dir = folder.path().join(format!("work{at}"));
            let child = program(&[
                "executor",
                "--scheduler",
                &address,
                "--cores",
                "1",
                "--heartbeat",
                "1",
                "-v",
            ])
            .arg("--work-dir")
            .arg(work_dir)
            .stdout(Stdio::null())
            .stderr(log(&format!("executor{at}.log")))
            .spawn();
            Process(child.unwrap())
        };
        let executors = (0..2).map(executor).collect();
        let cluster = Cluster { address, _scheduler: scheduler, executors, folder };
        cluster.wait("both executors to register", || {
            (0..2).all(|at| cluster.log(at).contains("registration succeed"))
        });
        cluster
    }

    fn log(&self, executor: usize) -> String {
        fs::read_to_string(self.folder.path().join(format!("executor{executor}.log"))).unwrap()
    }

    /// Tasks that an executor has begun, and not ended.
    fn in_flight(&self, executor: usize) -> Vec<String> {
        let log = self.log(executor);
        let tasks = |what: &str| -> Vec<String> {
            let after = log.lines().filter_map(|line| line.split_once(what).map(|(_, rest)| rest));
            after
                .filter_map(|rest| Some(rest.split_once('[')?.1.split_once(']')?.0.to_owned()))
                .collect()
        };
        let finished = tasks("Finished task");
        tasks("Execute task").into_iter().filter(|task| !finished.contains(task)).collect()
    }

    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(
                start.elapsed() < PATIENCE,
                "waited for {what}:\n{}\n{}",
                self.log(0),
                self.log(1)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, arguments: &[&str]) -> Command {
        let mut command = program(&arguments[..1]);
        command.args(["--scheduler", &self.address]).args(&arguments[1..]);
        command
    }
}

fn json(output: &Output) -> serde_json::Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_same(got: &serde_json::Value, want: &TemperatureFit) {
    let found = want.estimate.unwrap();
    for (name, want) in [
        ("temperature", found.temperature.tau()),
        ("std_error", found.std_error),
        ("robust_std_error", found.robust_std_error),
        ("nll_before", want.nll_before),
        ("nll_after", found.nll),
        ("accuracy", want.accuracy),
        ("tolerance", found.tolerance),
    ] {
        assert_eq!(got[name].as_f64().unwrap().to_bits(), want.to_bits(), "{name}");
    }
    assert_eq!(got["interval"], serde_json::json!(found.interval));
    assert_eq!(got["rows"], want.rows);
    assert_eq!(got["outcome"], "converged");
}

fn glob(folder: &Path) -> String {
    format!("{}/*.parquet", folder.display())
}

#[test]
fn a_fit_and_what_is_applied_have_the_bits_of_the_library() {
    let cluster = Cluster::start();
    let data = Data::new(6000, 11);
    let folder = tempfile::tempdir().unwrap();
    data.write(folder.path(), 5, Layout::FixedSizeList);
    let files = glob(folder.path());
    let answer = cluster.ask(&["fit", &files, "--format", "json"]).output().unwrap();
    assert_same(&json(&answer)["rows"][0]["fit"], &data.fit());
    let answer = cluster.ask(&["fit", &files, "--by", "model", "--tasks", "3", "--format", "json"]);
    let answer = json(&{ answer }.output().unwrap());
    for (row, model) in ["first", "second"].into_iter().enumerate() {
        assert_eq!(answer["rows"][row]["model"], model);
        assert_same(&answer["rows"][row]["fit"], &data.of_model(model).fit());
    }
    // Both have worked.
    assert!((0..2).all(|at| cluster.log(at).contains("Finished task")));

    // Shard by shard, in the order of the rows.
    let out = folder.path().join("out");
    let apply = || {
        let mut command = cluster.ask(&["apply", &files, "--tau", "2.5", "-o"]);
        let done = command.arg(&out).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    assert!(apply().starts_with("5 files at temperature 2.5"));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 5, "nothing but the shards");
    let want = softmax_rows(
        Rows::new(&data.logits, CLASSES).unwrap(),
        "2.5".parse::<softargmax::Temperature>().unwrap(),
    );
    assert_eq!(probabilities(&out, 5), want.unwrap());
    assert!(apply().contains("5 of them were there"));

    // What is wrong is named by file and row, and nothing is left of it.
    let mut numbers = data.logits[..100 * CLASSES].to_vec();
    numbers[42 * CLASSES] = f32::NAN;
    let bad = tempfile::tempdir().unwrap();
    Data {
        logits: numbers,
        labels: data.labels[..100].to_vec(),
        models: data.models[..100].to_vec(),
    }
    .write(bad.path(), 1, Layout::FixedSizeList);
    let files = glob(bad.path());
    for mut command in [
        cluster.ask(&["fit", &files]),
        cluster.ask(&[
            "apply",
            &files,
            "--tau",
            "2",
            "-o",
            bad.path().join("out").to_str().unwrap(),
        ]),
    ] {
        let refused = command.output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("part0.parquet: row 42: logit 0 is NaN"), "{said}");
        assert!(said.contains("\nhint: where is_valid(logits, label)"), "{said}");
    }
    assert_eq!(fs::read_dir(bad.path().join("out")).unwrap().count(), 0);
    let missing = cluster.ask(&["fit", &files, "--logits", "scores"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("hint: there are: model, logits, label")
    );
}

/// The numbers of all shards, in their order.
fn probabilities(folder: &Path, shards: usize) -> Vec<f32> {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::Float32Type;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let mut all = Vec::new();
    for shard in 0..shards {
        let file = File::open(folder.join(format!("part{shard}.parquet"))).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let column = batch.column_by_name("probabilities").unwrap();
            let values = column.as_fixed_size_list().values();
            all.extend(values.as_primitive::<Float32Type>().values());
        }
    }
    all
}

#[test]
fn an_executor_killed_with_a_task_in_flight_costs_nothing_but_time() {
    let mut cluster = Cluster::start();
    let data = Data::new(400_000, 12);
    let folder = tempfile::tempdir().unwrap();
    data.write(folder.path(), 4, Layout::FixedSizeList);
    let files = glob(folder.path());
    let asked = cluster
        .ask(&["fit", &files, "--tasks", "4", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut asked = asked.unwrap();
    cluster.wait("a task to begin", || !cluster.in_flight(0).is_empty());
    std::thread::sleep(Duration::from_millis(100));
    let begun = cluster.in_flight(0);
    let started = Instant::now();
    cluster.executors[0].0.kill().unwrap(); // SIGKILL
    cluster.executors[0].0.wait().unwrap();
    // It was still at it: what it had begun, it has never ended.
    let lost = cluster.in_flight(0);
    assert!(!lost.is_empty() && lost == begun, "{begun:?} {lost:?}");
    assert!(asked.try_wait().unwrap().is_none(), "the fit was over before");
    let answer = asked.wait_with_output().unwrap();
    assert_same(&json(&answer)["rows"][0]["fit"], &data.fit());
    eprintln!("killed with {lost:?} in flight, answered {:?} later", started.elapsed());
}
