//! One scheduler and two executors as processes of this machine: the bits of the library, also when one of them is killed.

#[path = "../../sql/tests/sql/rows.rs"]
#[allow(dead_code)] // of the rows of another test
mod rows;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Float32Type;
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
    assert_same(&json(&answer)["rows"][0]["fit"], &data.exact_fit(None));
    let by_model = ["fit", &files, "--by", "model", "--tasks", "3", "--format", "json"];
    let answer = json(&cluster.ask(&by_model).output().unwrap());
    let once = json(&cluster.ask(&[&by_model[..], &["--once"]].concat()).output().unwrap());
    for (row, model) in ["first", "second"].into_iter().enumerate() {
        assert_eq!(answer["rows"][row]["model"], model);
        let of_model = data.of_model(model);
        assert_same(&answer["rows"][row]["fit"], &of_model.exact_fit(None));
        assert_same(&once["rows"][row]["fit"], &of_model.fit());
    }
    // Rows of class 0 weigh nothing, those of class 9 most.
    let weights: Vec<f64> = data.labels.iter().map(|&label| label as f64).collect();
    let answer = cluster.ask(&["fit", &files, "--weight", "label", "--format", "json"]);
    let answer = json(&{ answer }.output().unwrap());
    assert_same(&answer["rows"][0]["fit"], &data.exact_fit(Some(&weights)));
    the_bits_of_all_engines(&cluster);
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
    the_page_is_right(&cluster, &data);
}

/// Of the rows of fixtures/same_bits.json, to which files, SQL and Python's engines are held too.
fn the_bits_of_all_engines(cluster: &Cluster) {
    let (data, pinned) = (Data::digits(), Data::pinned());
    let folder = tempfile::tempdir().unwrap();
    data.write(folder.path(), 3, Layout::List);
    let fit = ["fit", &glob(folder.path()), "--format", "json"];
    for (arguments, want) in
        [(&fit[..], &pinned["fit"]), (&[&fit[..], &["--once"]].concat(), &pinned["scan"])]
    {
        let answer = json(&cluster.ask(arguments).output().unwrap());
        for (name, want) in want.as_object().unwrap() {
            assert_eq!(answer["rows"][0]["fit"][name], *want, "{name} of {arguments:?}");
        }
    }
}

/// The commands of docs/scale.md, asked of this cluster. Those that would go on for ever are parsed alone.
fn the_page_is_right(cluster: &Cluster, data: &Data) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scale.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, block) = page.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    data.write(&folder.path().join("logs"), 3, Layout::List);
    let commands = block.lines().filter(|line| !line.is_empty());
    for command in commands.clone() {
        let command = command
            .replace("10.0.0.1:50050", &cluster.address)
            .replace("/data/", &format!("{}/", folder.path().display()));
        let words: Vec<&str> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
        assert_eq!(words[0], "softargmax-cluster");
        let goes_on = ["scheduler", "executor"].contains(&words[1]);
        let mut run = program(&words[1..]);
        run.args(goes_on.then_some("--help"));
        let done = run.output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(commands.count(), 5);
    assert_eq!(fs::read_dir(folder.path().join("probabilities")).unwrap().count(), 3);
}

/// Shards of one folder, in lists of any length.
fn shards(data: &Data) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    data.write(folder.path(), 3, Layout::List);
    folder
}

#[test]
fn what_is_wrong_is_named_by_file_and_row_and_nothing_is_left_of_it() {
    let cluster = Cluster::start();
    let data = Data::new(300, 13);
    let refused = |folder: &Path, arguments: &[&str], parts: &[&str]| {
        let out = folder.join("out");
        let files = glob(folder);
        let mut command = cluster.ask(&[&arguments[..1], &[&files], &arguments[1..]].concat());
        if arguments[0] == "apply" {
            command.arg("-o").arg(&out);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: {said}\ndoes not say: {part}");
        }
        for file in fs::read_dir(&out).into_iter().flatten() {
            let name = file.unwrap().file_name();
            assert!(name == "part0.parquet" || name == "part2.parquet", "{name:?} is left: {said}");
        }
        let _ = fs::remove_dir_all(out);
    };
    let apply = ["apply", "--tau", "2"];

    // A shard with a row that is not like the others.
    let row = || Some(vec![Some(0.5f32); CLASSES]);
    let of = |at: usize, odd: Option<Vec<Option<f32>>>| {
        let rows = (0..40).map(|row_at| if row_at == at { odd.clone() } else { row() });
        let logits = ListArray::from_iter_primitive::<Float32Type, _, _>(rows);
        let labels = Int64Array::from(vec![1; 40]);
        let models = StringArray::from(vec!["first"; 40]);
        RecordBatch::try_from_iter([
            ("model", Arc::new(models) as ArrayRef),
            ("logits", Arc::new(logits) as ArrayRef),
            ("label", Arc::new(labels) as ArrayRef),
        ])
        .unwrap()
    };
    let mut nan = row();
    nan.as_mut().unwrap()[3] = Some(f32::NAN);
    let mut null = row();
    null.as_mut().unwrap()[4] = None;
    let shorter = Some(vec![Some(0.5); CLASSES - 1]);
    let folder = shards(&data);
    for (at, odd, reason, is_for_apply) in [
        (17, nan, "logit 3 is NaN in the row of logits [0.5,", true),
        (21, null, "logit 4 is NULL in the row of logits [0.5,", true),
        (5, shorter, "9 logits among rows of 10 in the row [0.5,", false),
        (9, None, "logits are NULL in the row of label 1", false),
    ] {
        rows::write(&folder.path().join("part1.parquet"), &of(at, odd));
        let place = format!("part1.parquet: row {at}: {reason}");
        refused(folder.path(), &["fit"], &[&place, "\nhint: where "]);
        if is_for_apply {
            refused(folder.path(), &apply, &[&place, "\nhint: where "]);
        }
    }

    // Labels that are names get a mapping.
    let folder = shards(&data);
    let by_name = ["fit", "--label", "model"];
    let names = folder.path().join("names.txt");
    refused(folder.path(), &by_name, &["label is of the type", "\nhint: --classes FILE"]);
    fs::write(&names, "first\nthird\n").unwrap();
    let by_name = [&by_name[..], &["--classes", names.to_str().unwrap()]].concat();
    // Every shard has one; whose task comes to it first is chance.
    refused(folder.path(), &by_name, &["/part", ".parquet: row ", "the label is NULL"]);
    fs::write(&names, "first\nsecond\n").unwrap();
    let files = glob(folder.path());
    let arguments = [&["fit", &files], &by_name[1..], &["--format", "json"]].concat();
    let answer = json(&cluster.ask(&arguments).output().unwrap());
    let labels = data.models.iter().map(|&model| i64::from(model == "second")).collect();
    let of_models = Data { labels, logits: data.logits.clone(), models: data.models.clone() };
    assert_eq!(
        answer["rows"][0]["fit"]["temperature"].as_f64(),
        of_models.exact_fit(None).estimate.map(|found| found.temperature.tau())
    );

    // Columns, paths and temperatures that are not there.
    let there = "hint: there are: model, logits, label";
    refused(folder.path(), &["fit", "--logits", "scores"], &["no column scores", there]);
    refused(folder.path(), &["apply", "--tau", "1", "--logits", "scores"], &[there]);
    refused(folder.path(), &["apply", "--tau", "-1"], &["temperature -1 is not allowed"]);
    let nowhere = folder.path().join("nowhere");
    refused(
        &nowhere,
        &["fit"],
        &["nowhere/*.parquet': there is no such file", "\nhint: name a file"],
    );
    refused(&nowhere, &apply, &["nowhere/*.parquet': there is no such file"]);
    assert!(!nowhere.exists());
    let own = cluster.ask(&["apply", &files, "--tau", "1", "-o"]).arg(folder.path()).output();
    let said = String::from_utf8(own.unwrap().stderr).unwrap();
    assert!(said.contains("part0.parquet lies in the folder for the new files"), "{said}");

    // Files that cannot be read: one that is empty, one with bytes overwritten.
    let folder = shards(&data);
    let broken = folder.path().join("part1.parquet");
    let whole = fs::read(&broken).unwrap();
    let overwritten = [&whole[..8], &[0xff; 400], &whole[408..]].concat();
    let overwritten = (overwritten, "row 0: row group 0, to row 99, cannot be read");
    for (bytes, reason) in [(Vec::new(), "is empty"), overwritten] {
        fs::write(&broken, bytes).unwrap();
        for arguments in [&["fit"][..], &apply] {
            let reason = format!("part1.parquet: {reason}");
            refused(folder.path(), arguments, &[&reason, "\nhint: is it whole?"]);
        }
    }
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
    assert_same(&json(&answer)["rows"][0]["fit"], &data.exact_fit(None));
    eprintln!("killed with {lost:?} in flight, answered {:?} later", started.elapsed());
}
