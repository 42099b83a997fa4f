//! The program from outside: what it prints and writes, and how it refuses.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::rows::{CLASSES, Data, Layout, write};
use datafusion::arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Float32Type;
use datafusion::arrow::ipc::writer::FileWriter;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_softargmax-sql"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    assert_eq!(said, "");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says on exit code 2; nothing is left in the folder that was not there.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let files = || std::fs::read_dir(folder).unwrap().count();
    let before = files();
    let output = run(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(files(), before, "{said}");
    said
}

fn logs(rows: usize, files: usize) -> (tempfile::TempDir, Data) {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::new(rows, 7);
    data.write(folder.path(), files, Layout::FixedSizeList);
    (folder, data)
}

#[test]
fn a_fit_of_every_group_from_files() {
    let (folder, data) = logs(3000, 3);
    let sql = "select model, temperature_fit(logits, label) as fit from '*.parquet' group by model order by model";
    let text = done(folder.path(), &[sql, "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "softargmax.sql/1");
    for (row, model) in ["first", "second"].into_iter().enumerate() {
        let want = data.of_model(model).fit();
        let got = &document["rows"][row];
        assert_eq!(got["model"], model);
        let tau = want.estimate.unwrap().temperature.tau();
        assert_eq!(got["fit"]["temperature"].as_f64().unwrap().to_bits(), tau.to_bits());
        let interval = want.estimate.unwrap().interval;
        assert_eq!(got["fit"]["interval"], serde_json::json!(interval));
        assert_eq!(got["fit"]["rows"], want.rows);
    }
    // For the eye: columns where they fit, else rows one below the other; the names of the struct alone.
    let table = done(
        folder.path(),
        &["select model, count(*) as n from '*.parquet' group by model order by 1"],
    );
    assert_eq!(
        table,
        format!(
            "model   n\nfirst   {}\nsecond  {}\n",
            data.of_model("first").rows(),
            data.of_model("second").rows()
        )
    );
    let table =
        done(folder.path(), &["select temperature_fit(logits, label) from './part0.parquet'"]);
    assert!(table.starts_with("outcome             converged\ntemperature         "), "{table}");
    // A value by itself is what it is.
    let classes = "select temperature_fit(logits, label)['classes'] from '*.parquet'";
    assert_eq!(done(folder.path(), &[classes, "--format", "values"]), "10\n");
    let scan = "select temperature_scan(logits, label), count(*) from '*.parquet'";
    let text = done(folder.path(), &[scan, "--format", "values"]);
    let (document, rows) = text.split_once('\t').unwrap();
    assert!(document.starts_with("{\"schema\":\"softargmax.scan/1\""), "{document}");
    assert_eq!(rows, "3000\n");
    // CSV has a column for each field; any number of threads gives the same.
    let csv = |threads: &str| done(folder.path(), &[sql, "--format", "csv", "--threads", threads]);
    assert!(
        csv("1").starts_with("model,fit.outcome,fit.temperature,fit.std_error,"),
        "{}",
        csv("1")
    );
    assert_eq!(csv("1"), csv("3"));
}

#[test]
fn rows_go_to_a_file_that_reads_back() {
    let (folder, data) = logs(500, 2);
    let sql = "select softmax(logits, '2.5') as p, label from '*.parquet'";
    let at = folder.path().join("out");
    std::fs::create_dir(&at).unwrap();
    assert_eq!(done(folder.path(), &[sql, "-o", "out/p.parquet"]), "");
    let back = "select count(*) as n, count(distinct label) as labels from 'out/p.parquet' where array_length(p) = 10";
    assert_eq!(
        done(folder.path(), &[back, "--format", "csv"]),
        format!("n,labels\n{},{CLASSES}\n", data.rows())
    );
    done(
        folder.path(),
        &["select label, is_valid(logits) as ok from 'part0.parquet' limit 1", "-o", "out/x.jsonl"],
    );
    let line = std::fs::read_to_string(at.join("x.jsonl")).unwrap();
    assert_eq!(line, format!("{{\"label\":{},\"ok\":true}}\n", data.labels[0]));
}

#[test]
fn csv_and_json_lines_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "x0,x1,label\n1,2,1\n3.5,1,1\n0,4,1\n").unwrap();
    std::fs::write(folder.path().join("b.jsonl"), "{\"logits\":[1,2.0],\"label\":1}\n{\"logits\":[3.5,1],\"label\":1}\n{\"logits\":[0,4],\"label\":1}\n").unwrap();
    let csv = done(
        folder.path(),
        &["select temperature_fit([x0, x1], label) from 'a.csv'", "--format", "csv"],
    );
    let json = done(
        folder.path(),
        &["select temperature_fit(logits, label) from 'b.jsonl'", "--format", "csv"],
    );
    assert!(csv.contains("converged"), "{csv}");
    assert_eq!(csv, json);
}

#[test]
fn every_format_gives_the_same_bits() {
    let (folder, data) = logs(1500, 3);
    let batch = data.batch(Layout::FixedSizeList);
    let file = File::create(folder.path().join("rows.arrow")).unwrap();
    let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let (mut jsonl, mut csv) = (String::new(), String::new());
    csv.extend((0..CLASSES).map(|class| format!("x{class},")).chain(["label\n".to_owned()]));
    for (row, label) in data.logits.chunks(CLASSES).zip(&data.labels) {
        // All digits: a text of fewer would be another number.
        let numbers: Vec<String> = row.iter().map(|&x| f64::from(x).to_string()).collect();
        let numbers = numbers.join(",");
        jsonl += &format!("{{\"logits\":[{numbers}],\"label\":{label}}}\n");
        csv += &format!("{numbers},{label}\n");
    }
    std::fs::write(folder.path().join("rows.jsonl"), jsonl).unwrap();
    std::fs::write(folder.path().join("rows.csv"), csv).unwrap();
    let classes: Vec<String> = (0..CLASSES).map(|class| format!("x{class}")).collect();
    let columns = format!("[{}]", classes.join(", "));
    let found = data.fit().estimate.unwrap();
    for (logits, files) in [
        ("logits", "*.parquet"),
        ("logits", "rows.arrow"),
        ("logits", "rows.jsonl"),
        (&columns[..], "rows.csv"),
    ] {
        let sql = format!("select temperature_fit({logits}, label) as fit from '{files}'");
        let text = done(folder.path(), &[&sql, "--format", "json"]);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fit = &document["rows"][0]["fit"];
        assert_eq!(fit["rows"], 1500, "{files}");
        for (name, want) in [
            ("temperature", found.temperature.tau()),
            ("std_error", found.std_error),
            ("robust_std_error", found.robust_std_error),
            ("nll_after", found.nll),
        ] {
            let got = fit[name].as_f64().unwrap();
            assert_eq!(got.to_bits(), want.to_bits(), "{files}: {name} is {got}, not {want}");
        }
    }
}

/// The first shards of a set, and one more that is wrong.
fn with_bad(column: &str, bad: ArrayRef) -> tempfile::TempDir {
    let (folder, data) = logs(300, 3);
    let logits = Layout::List.lists(&data.logits[..bad.len() * CLASSES], CLASSES);
    let labels = Arc::new(Int64Array::from(data.labels[..bad.len()].to_vec())) as ArrayRef;
    let models = Arc::new(StringArray::from(vec!["first"; bad.len()])) as ArrayRef;
    let mut columns = vec![("model", models), ("logits", logits), ("label", labels)];
    columns.iter_mut().filter(|(name, _)| *name == column).for_each(|(_, old)| *old = bad.clone());
    // All of one layout, so that the shards go together.
    data.write(folder.path(), 3, Layout::List);
    write(&folder.path().join("part9.parquet"), &RecordBatch::try_from_iter(columns).unwrap());
    folder
}

const FIT: &str = "select model, temperature_fit(logits, label) from '*.parquet' group by model";

#[test]
fn bad_rows_are_named_by_file_and_row() {
    let mut numbers = vec![0.5f32; 40 * CLASSES];
    numbers[17 * CLASSES + 3] = f32::NAN;
    let folder = with_bad("logits", Layout::List.lists(&numbers, CLASSES));
    for threads in ["1", "3"] {
        let said = refused(folder.path(), &[FIT, "--threads", threads, "-o", "fit.json"]);
        assert!(
            said.contains(
                "part9.parquet: row 17: logit 3 is NaN in the row of logits [0.5, 0.5, 0.5, NaN,"
            ),
            "{said}"
        );
        assert!(
            said.contains("\nhint: where is_valid(logits, label) leaves such rows out"),
            "{said}"
        );
    }
    let said =
        refused(folder.path(), &["select softmax(logits, 2) from '*.parquet'", "-o", "p.parquet"]);
    assert!(said.contains("part9.parquet: row 17: logit 3 is NaN"), "{said}");
    // The remedy works.
    let valid = "select temperature_fit(logits, label) as fit from '*.parquet' where is_valid(logits, label)";
    assert!(done(folder.path(), &[valid, "--format", "json"]).contains("\"rows\":339"));

    let mut labels: Vec<Option<i64>> = vec![Some(1); 40];
    labels[5] = Some(10);
    let folder = with_bad("label", Arc::new(Int64Array::from(labels.clone())));
    let said = refused(folder.path(), &[FIT]);
    assert!(
        said.contains(
            "part9.parquet: row 5: label 10 is not a class: there are 10, counted from 0"
        ),
        "{said}"
    );
    labels[5] = None;
    let folder = with_bad("label", Arc::new(Int64Array::from(labels)));
    let said = refused(folder.path(), &[FIT]);
    assert!(said.contains("part9.parquet: row 5: the label is NULL"), "{said}");

    let models = |row| if row == 11 { "none" } else { "first" };
    let models: Vec<&str> = (0..40).map(models).collect();
    let folder = with_bad("model", Arc::new(StringArray::from(models)));
    let weighted = "select temperature_fit(logits, label, case model when 'none' then -1 else 1 end) from '*.parquet'";
    let said = refused(folder.path(), &[weighted]);
    assert!(said.contains("part9.parquet: row 11: weight -1 is not from 0 up in"), "{said}");
}

#[test]
fn lists_that_are_not_like_the_others_are_named_by_file_and_row() {
    let full = || Some(vec![Some(0.5f32); CLASSES]);
    let null_within = || Some((0..CLASSES).map(|class| (class != 4).then_some(0.5)).collect());
    let masked = || Some(vec![Some(f32::NEG_INFINITY); CLASSES]);
    type Odd<'a> = &'a dyn Fn() -> Option<Vec<Option<f32>>>;
    let cases: [(Odd, &str); 5] = [
        (&|| None, "logits are NULL in the row of label "),
        (&null_within, "logit 4 is NULL in the row of logits [0.5, 0.5, 0.5, 0.5, NULL,"),
        (&|| Some(vec![Some(0.5); CLASSES - 1]), "9 logits among rows of 10 in the row [0.5,"),
        (&|| Some(Vec::new()), "0 logits among rows of 10 in the row []"),
        (&masked, "every logit is -inf"),
    ];
    for (odd, reason) in cases {
        let rows = (0..40).map(|row| if row == 23 { odd() } else { full() });
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(rows);
        let folder = with_bad("logits", Arc::new(lists));
        let said = refused(folder.path(), &[FIT, "-o", "fit.json"]);
        assert!(said.contains(&format!("part9.parquet: row 23: {reason}")), "{said}");
        assert!(said.contains("\nhint: where "), "{said}");
    }
}

#[test]
fn a_temperature_that_is_none_is_refused_and_no_row_is_blamed() {
    let (folder, _) = logs(300, 2);
    for (call, reason) in [
        ("softmax(logits, -1)", "error: softmax: temperature -1 is not allowed"),
        ("nll(logits, label, 'warm')", "error: nll: 'warm' is not a temperature"),
        ("calibration(logits, label, -1)", "error: calibration: temperature -1 is not allowed"),
        // A column of them has rows.
        (
            "softmax(logits, case when label < 99 then -3 else 1 end)",
            "part0.parquet: row 0: temperature -3 is not allowed",
        ),
    ] {
        let sql = format!("select {call} from '*.parquet'");
        let said = refused(folder.path(), &[&sql, "-o", "p.parquet"]);
        assert!(said.contains(reason), "{call}: {said}");
        assert!(said.contains("\nhint: tau is 0 for arg max"), "{said}");
    }
    let sql =
        "select label, calibration(logits, label, label - 1) as c from '*.parquet' group by label";
    let said = refused(folder.path(), &[sql]);
    assert!(said.contains(".parquet: row ") && said.contains("temperature -1 is not"), "{said}");
    // At 0 all of it is at the largest.
    let sql = "select distinct array_max(softmax(logits, 0)) as p from '*.parquet'";
    assert_eq!(done(folder.path(), &[sql]), "p\n1.0\n");
}

#[test]
fn a_shard_without_a_column_is_named() {
    let (folder, data) = logs(300, 3);
    let batch = data.batch(Layout::FixedSizeList).project(&[0, 1]).unwrap();
    write(&folder.path().join("part1.parquet"), &batch);
    for call in ["temperature_fit(logits, label)", "calibration(logits, label)"] {
        let said = refused(folder.path(), &[&format!("select {call} from '*.parquet'")]);
        let reason = "part1.parquet: there is no column label; there are: model, logits\nhint: ";
        assert!(said.contains(reason), "{said}");
    }
    // Where it is not asked for, nothing is wrong.
    let rows = "select count(softmax(logits, 2)) as rows from '*.parquet'";
    assert!(
        done(folder.path(), &[rows, "--format", "values"]).trim().parse::<usize>().unwrap() > 300
    );
}

#[test]
fn a_shard_of_another_width_is_named() {
    let folder = with_bad("logits", Layout::List.lists(&[0.5; 20 * 9], 9));
    let said = refused(
        folder.path(),
        &["select temperature_fit(logits, label) from '*.parquet'", "--threads", "1"],
    );
    assert!(said.contains("part9.parquet: row 0: 9 logits among rows of 10"), "{said}");
    // In the type of the column, where it says the width.
    let (folder, data) = logs(300, 3);
    let other = Layout::FixedSizeList.lists(&data.logits[..90], 9);
    let labels = Arc::new(Int64Array::from(vec![1; 10])) as ArrayRef;
    write(
        &folder.path().join("part9.parquet"),
        &RecordBatch::try_from_iter([("logits", other), ("label", labels)]).unwrap(),
    );
    let said = refused(folder.path(), &["select temperature_fit(logits, label) from '*.parquet'"]);
    assert!(
        said.contains("part9.parquet: logits is of the type") && said.contains("part0.parquet"),
        "{said}"
    );
}

#[test]
fn labels_that_are_names_get_a_mapping() {
    let names = Arc::new(StringArray::from(vec!["cat"; 30])) as ArrayRef;
    let (folder, data) = logs(30, 1);
    let batch = data.batch(Layout::List);
    let batch = RecordBatch::try_from_iter([("logits", batch.column(1).clone()), ("label", names)])
        .unwrap();
    write(&folder.path().join("part0.parquet"), &batch);
    let said =
        refused(folder.path(), &["select temperature_fit(logits, label) from 'part0.parquet'"]);
    assert!(said.contains("label is of the type Utf8"), "{said}");
    assert!(
        said.contains("hint: say which class each name is: case label when 'cat' then 0"),
        "{said}"
    );
    let mapped = "select temperature_fit(logits, case label when 'cat' then 0 when 'dog' then 1 end) as f from 'part0.parquet'";
    assert!(done(folder.path(), &[mapped, "--format", "json"]).contains("\"rows\":30"));
}

#[test]
fn what_is_not_there_is_told() {
    let (folder, _) = logs(30, 1);
    for (sql, reason) in [
        (
            "select temperature_fit(logit, label) from 'part0.parquet'",
            "error: there is no column logit\nhint: there are: model, logits, label",
        ),
        ("select 1 from 'missing.parquet'", "'missing.parquet': "),
        ("select 1 from 'none/*.parquet'", "'none/*.parquet': "),
        (
            "select 1 from logs",
            "error: there is no table logs\nhint: tables are files: from 'logs/*.parquet'",
        ),
        ("select", "error: "),
        ("selct 1", "error: "),
        ("", "error: there is no query"),
        ("select nope(1)", "error: Invalid function 'nope'"),
        ("create table t as select 1", "hint: ask with select; -o FILE writes what it gives"),
        ("copy (select 1) to 'x.csv'", "hint: ask with select; -o FILE writes what it gives"),
    ] {
        let said = refused(folder.path(), &[sql]);
        assert!(said.contains(reason) && said.starts_with("error: "), "{sql}: {said}");
    }
    std::fs::write(folder.path().join("notes.txt"), "no table").unwrap();
    assert!(
        refused(folder.path(), &["select 1 from 'notes.txt'"])
            .contains("its format does not show in its name")
    );
    std::fs::remove_file(folder.path().join("notes.txt")).unwrap();
    std::fs::write(folder.path().join("a.csv"), "x\n1\n").unwrap();
    assert!(refused(folder.path(), &["select 1 from '*'"]).contains("are not of one format"));
    assert!(refused(folder.path(), &["select 1", "-o", "x.unknown"]).contains("--format"));
    assert!(refused(folder.path(), &["select 1", "-o", "no/x.csv"]).contains("hint: mkdir -p"));
    assert!(
        refused(folder.path(), &["select 1", "--format", "parquet"]).contains("-o FILE.parquet")
    );
}

#[test]
fn a_corrupt_file_is_named() {
    let (folder, _) = logs(3000, 3);
    let path = folder.path().join("part1.parquet");
    let whole = std::fs::read(&path).unwrap();
    // Its end is gone, and with it the footer.
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let said = refused(folder.path(), &[FIT, "-o", "fit.json"]);
    assert!(said.contains("part1.parquet: cannot be read"), "{said}");
    // A row group is overwritten, the footer is whole.
    let mut bytes = whole.clone();
    let half = whole.len() / 2;
    bytes[half - 4000..half].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let said = refused(folder.path(), &[FIT, "-o", "fit.json"]);
    assert!(said.contains("part1.parquet: row 0: row group 0, to row 699, cannot be "), "{said}");
}

#[test]
fn a_file_that_is_empty_or_has_a_broken_row_is_named() {
    let (folder, _) = logs(300, 3);
    // The engine would leave it out without a word.
    std::fs::write(folder.path().join("part1.parquet"), "").unwrap();
    let said = refused(folder.path(), &[FIT, "-o", "fit.json"]);
    assert!(said.contains("part1.parquet: is empty\nhint: is it whole?"), "{said}");
    let rows = |seventh: &str| {
        let row = |at| if at == 7 { seventh } else { "{\"x\":[1,2.5],\"label\":1}" };
        (0..9).map(|at| row(at).to_owned() + "\n").collect::<String>()
    };
    for (name, text, logits, reason) in [
        (
            "a.jsonl",
            rows("{\"x\":[1,NaN],\"label\":1}"),
            "x",
            "row 7: line 8 is no JSON: expected value",
        ),
        ("b.jsonl", rows("{\"x\":[1,2"), "x", "row 7: line 8 is no JSON: EOF while parsing a list"),
        (
            "f.jsonl",
            rows("{\"x\":[1,\"a\"],\"label\":1}"),
            "x",
            "row 7: line 8 is not like the others: ",
        ),
        ("g.jsonl", rows("{\"x\":[1,\"NaN\"],\"label\":1}"), "x", "row 7: logit 1 is NaN"),
        ("h.jsonl", rows("{\"x\":5,\"label\":1}"), "x", "row 7: line 8 is not like the others: "),
        (
            "i.jsonl",
            rows("{\"x\":[[1],[2]],\"label\":1}"),
            "x",
            "row 7: line 8 is not like the others: ",
        ),
        ("c.csv", "a,b,label\n1,2,0\n3\n".to_owned(), "[a, b]", "c.csv: row 1: "),
        (
            "d.csv",
            "a,b,label\n1,2,0\n3,x,1\n".to_owned(),
            "[a, b]",
            "row 1: Cast error: Cannot cast string 'x'",
        ),
        ("e.csv", String::new(), "[a, b]", "e.csv: is empty"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
        let sql = format!("select temperature_fit({logits}, label) from '{name}'");
        let said = refused(folder.path(), &[&sql, "-o", "fit.json"]);
        assert!(said.contains(name) && said.contains(reason), "{name}: {said}");
        assert!(said.contains("\nhint: ") && said.lines().count() == 2, "{said}");
    }
    // Behind the rows that the engine looks at to tell the types.
    let mut text = rows("{\"x\":[2,1],\"label\":0}").repeat(120);
    text.push_str("{\"x\":[\"a\",2],\"label\":0}\n");
    std::fs::write(folder.path().join("late.jsonl"), text).unwrap();
    let said = refused(folder.path(), &["select temperature_fit(x, label) from 'late.jsonl'"]);
    assert!(said.contains("late.jsonl: row 1080: line 1081 is not like the others"), "{said}");
    // Lists of texts are left as they are.
    std::fs::write(folder.path().join("words.jsonl"), "{\"w\":[\"a\",\"b\"]}\n").unwrap();
    let words = "select w[2] as second from 'words.jsonl'";
    assert_eq!(done(folder.path(), &[words, "--format", "values"]), "b\n");
    // A header is no row, and none are no error.
    std::fs::write(folder.path().join("none.csv"), "a,b,label\n").unwrap();
    let none = "select temperature_fit([a, b], label)['outcome'] from 'none.csv'";
    assert_eq!(done(folder.path(), &[none, "--format", "values"]), "no_rows\n");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let (folder, _) = logs(3000, 1);
    let mut child = Command::new(env!("CARGO_BIN_EXE_softargmax-sql"))
        .current_dir(folder.path())
        .args([
            "select a.logits, a.label from 'part0.parquet' as a, 'part0.parquet' as b limit 500000",
            "--format",
            "csv",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
