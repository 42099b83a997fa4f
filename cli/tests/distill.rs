//! `softargmax distill` as its users meet it.

#![expect(clippy::excessive_precision, reason = "as mpmath gives them")]

use crate::files::{self, Folder, f64_npy};
use crate::labelled::{close, digits, json, refused, run};
use serde_json::Value;

/// The student and the teacher of the library's table, with the label of its decoupled parts.
fn four() -> Folder {
    let folder = Folder::with("student.csv", b"1,5,7,10\n");
    folder.write("teacher.csv", b"2,8,6,3\n");
    folder.write("labels.csv", b"3\n");
    folder
}

const FILES: [&str; 3] = ["distill", "student.csv", "teacher.csv"];

/// The digits, and a student that is half as sure of everything but of one class.
fn digits_and_student() -> Folder {
    let folder = digits();
    let bytes = folder.read("logits.npy");
    let data =
        bytes[bytes.len() - 897 * 40..].as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x));
    let student =
        |(i, x): (usize, f32)| f64::from(x) * 0.5 + f64::from((i * 7919 % 97) as u32) / 40.0;
    let student: Vec<f64> = data.enumerate().map(student).collect();
    folder.write("student.npy", &f64_npy("(897, 10)", &student));
    folder
}

#[test]
fn the_table() {
    let folder = four();
    // T²·KL both ways and Jensen–Shannon, by mpmath.
    let table = [
        ("1", [4.3839155498631857399, 4.7325022562256937908, 0.606718056321236782]),
        ("4", [7.1272690063754385263, 7.9902391802009391157, 1.7735872343558469635]),
        ("20", [7.1348140261466213901, 7.4118867878409158581, 1.8131992132409623357]),
        ("inf", [7.0, 7.0, 1.75]),
    ];
    for (tau, [forward, reverse, middle]) in table {
        let got = json(&folder, &[&FILES[..], &["-T", tau]].concat(), 0);
        assert_eq!(got["schema"], "softargmax.distill/1");
        close(&got["losses"]["teacher_to_student"], forward, 1e-13);
        close(&got["losses"]["student_to_teacher"], reverse, 1e-13);
        close(&got["losses"]["jensen_shannon"], middle, 1e-13);
        assert!(got["losses"]["cross_entropy"].is_null() && got["losses"]["decoupled"].is_null());
    }
    let labels = ["--labels", "labels.csv", "-T", "4", "--alpha", "0.25"];
    let losses = json(&folder, &[&FILES[..], &labels].concat(), 0)["losses"].clone();
    close(&losses["cross_entropy"], 0.0551020358269917687, 1e-13);
    close(&losses["mixture"], 0.25 * 0.0551020358269917687 + 0.75 * 7.1272690063754385263, 1e-13);
    close(&losses["decoupled_target"], 5.63978867996506818, 1e-13);
    close(&losses["decoupled_rest"], 1.72040341473670506, 1e-13);
    close(&losses["decoupled"], 19.4030159978587087, 1e-13);
}

/// Of one row everything can be worked out by hand: the gradient is T(q − p).
#[test]
fn where_the_gradient_goes() {
    let folder = four();
    let softmax = |x: [f64; 4], tau: f64| {
        let e = x.map(|x| (x / tau).exp());
        let sum: f64 = e.iter().sum();
        e.map(|e| e / sum)
    };
    for (labels, target, second) in [(&["--labels", "labels.csv"][..], 3, 1), (&[], 1, 2)] {
        let got = [&FILES[..], &["-T", "4", "--temperatures", "1,4"], labels].concat();
        let got = json(&folder, &got, 0);
        for (at, tau) in got["at"].as_array().expect("two").iter().zip([1.0, 4.0]) {
            let (p, q) = (softmax([2.0, 8.0, 6.0, 3.0], tau), softmax([1.0, 5.0, 7.0, 10.0], tau));
            let gradient: Vec<f64> = (0..4).map(|i| tau * (q[i] - p[i]).abs()).collect();
            let sum: f64 = gradient.iter().sum();
            let entropy: f64 = p.iter().map(|p| -p * p.ln()).sum();
            assert_eq!(at["temperature"], tau);
            close(&at["entropy"], entropy, 1e-13);
            close(&at["effective_classes"], entropy.exp(), 1e-13);
            close(&at["max_probability"], p[1], 1e-13);
            close(&at["gradient"], sum, 1e-13);
            close(&at["gradient_without_t_squared"], sum / (tau * tau), 1e-13);
            close(&at["target_share"], gradient[target] / sum, 1e-12);
            close(&at["second_share"], gradient[second] / sum, 1e-12);
            let rest = 1.0 - (gradient[target] + gradient[second]) / sum;
            close(&at["rest_share"], rest, 1e-11);
        }
    }
    // T is among the temperatures of the table.
    let got = json(&folder, &[&FILES[..], &["-T", "5"]].concat(), 0);
    let taus: Vec<f64> = got["at"]
        .as_array()
        .expect("all")
        .iter()
        .filter_map(|at| at["temperature"].as_f64())
        .collect();
    assert_eq!(taus, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0]);
    // A student that is its teacher has no gradient to share.
    let same = json(&folder, &["distill", "teacher.csv", "teacher.csv", "-T", "4"], 0);
    assert_eq!(same["at"][0]["gradient"], 0.0);
    assert!(same["at"][0]["target_share"].is_null());
    let (words, _) = run(&folder, &["distill", "teacher.csv", "teacher.csv", "-T", "4"], 0);
    assert!(words.contains("none"), "{words}");
}

#[test]
fn a_packed_teacher_says_no_more_than_its_logits() {
    let folder = digits_and_student();
    let of = |teacher: &str| {
        json(&folder, &["distill", "student.npy", teacher, "--labels", "labels.npy", "-T", "4"], 0)
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    let full = of("logits.npy");
    assert!(full["top_k"].is_null() && full["rows"] == 897);
    let pack = |k: &str, name: &str| {
        let args = ["teacher", "pack", "logits.npy", "-o", name, "--top-k", k, "--dtype", "f32"];
        run(&folder, &[&args[..], &["--temperatures", "1,2,4,8,16"]].concat(), 0);
    };
    pack("10", "all.sat");
    pack("3", "some.sat");
    let (all, some) = (of("all.sat"), of("some.sat"));
    assert_eq!((&all["top_k"], &some["top_k"]), (&10.into(), &3.into()));
    for name in ["teacher_to_student", "student_to_teacher", "jensen_shannon", "mixture"] {
        close(&all["losses"][name], number(&full["losses"][name]), 1e-13);
        assert!(number(&some["losses"][name]) <= number(&full["losses"][name]), "{name}");
    }
    assert_eq!(some["losses"]["cross_entropy"], full["losses"]["cross_entropy"]);
    assert!(some["losses"]["decoupled"].is_null() && !full["losses"]["decoupled"].is_null());
    let pairs =
        full["at"].as_array().expect("rows").iter().zip(some["at"].as_array().expect("rows"));
    for (full, some) in pairs {
        // Of the grid to the last digits, beside it nearly.
        let tau = number(&full["temperature"]);
        let near = if [1.0, 2.0, 4.0, 8.0, 16.0].contains(&tau) { 1e-11 } else { 1e-2 };
        for name in ["entropy", "max_probability"] {
            close(&some[name], number(&full[name]), near);
        }
        assert!(number(&some["loss"]) <= number(&full["loss"]) * (1.0 + near));
        assert!(number(&some["gradient"]) <= number(&full["gradient"]) * (1.0 + near));
    }
    let (words, _) = run(&folder, &["distill", "student.npy", "some.sat", "-T", "4"], 0);
    assert!(words.contains("packed: 3 classes of each row, the others as one"), "{words}");
    assert!(words.contains("likeliest") && !words.contains("TCKD"), "{words}");
}

/// Files longer than a block give what their parts give, for any number of threads and in any order of storage.
#[test]
fn neither_blocks_nor_threads_can_be_seen() {
    let folder = Folder::new();
    let (rows, classes) = (9000, 70);
    let number = |i: usize, step: usize| (i * step % 1009) as f64 / 100.0 - 5.0;
    let numbers = |step: usize| (0..rows * classes).map(|i| number(i, step)).collect::<Vec<f64>>();
    let shape = format!("({rows}, {classes})");
    folder.write("s.npy", &f64_npy(&shape, &numbers(7919)));
    let teacher = numbers(6007);
    folder.write("t.npy", &f64_npy(&shape, &teacher));
    let line = |row: &[f64]| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",") + "\n";
    let text: String = teacher.chunks(classes).map(line).collect();
    folder.write("t.csv", text.as_bytes());
    let turned: Vec<f64> = (0..classes)
        .flat_map(|class| teacher.iter().skip(class).step_by(classes).copied())
        .collect();
    let data: Vec<u8> = turned.iter().flat_map(|x| x.to_le_bytes()).collect();
    folder.write("turned.npy", &files::npy("'<f8'", true, &shape, &data));
    let labels: String = (0..rows).map(|row| format!("{}\n", row % 71 - row % 71 / 70)).collect();
    folder.write("y.csv", labels.as_bytes());
    let of = |teacher: &str, threads: &str| {
        let args = ["distill", "s.npy", teacher, "--labels", "y.csv", "-T", "4"];
        let more = ["--ignore-label", "3", "--temperatures", "1,4", "--threads", threads];
        let mut got = json(&folder, &[&args[..], &more].concat(), 0);
        got["teacher"] = Value::Null;
        got.to_string()
    };
    let first = of("t.npy", "1");
    assert!(first.contains("\"ignored\":127"), "{first}");
    for (teacher, threads) in [("t.npy", "3"), ("t.csv", "2"), ("turned.npy", "2")] {
        assert_eq!(of(teacher, threads), first, "{teacher} {threads}");
    }
}

#[test]
fn files_that_do_not_belong_together() {
    let folder = digits_and_student();
    let with = |args: &[&str], parts: &[&str]| {
        refused(&folder, &[&["distill"], args, &["-T", "4"]].concat(), parts);
    };
    folder.write("t.csv", b"1,2,3\n");
    with(&["student.npy", "t.csv"], &["student.npy has 10 classes, and t.csv has 3", "\nhint: "]);
    folder.write("t.csv", b"1,2,3,4,5,6,7,8,9,0\n");
    with(
        &["student.npy", "t.csv"],
        &["t.csv has 1 rows, and student.npy has more", "the same rows"],
    );
    folder.write("t.npy", &f64_npy("(1, 10)", &[0.0; 10]));
    with(&["student.npy", "t.npy"], &["student.npy has 897 rows, and t.npy has 1"]);
    folder.write("s.csv", b"1,2,3,4,5,6,7,8,9,0\n");
    with(&["s.csv", "logits.npy"], &["s.csv has 1 rows, and logits.npy has more"]);
    run(&folder, &["teacher", "pack", "t.npy", "-o", "t.sat", "--top-k", "3"], 0);
    with(&["student.npy", "t.sat"], &["student.npy has 897 rows, and t.sat has 1"]);
    with(&["student.npy", "none.npy"], &["none.npy: cannot be read"]);

    folder.write("y.csv", b"1\n2\n");
    with(
        &["student.npy", "logits.npy", "--labels", "y.csv"],
        &["has 897 rows, and y.csv has 2 labels"],
    );
    with(&["s.csv", "t.csv", "--labels", "y.csv"], &["s.csv has 1 row, and y.csv has 2 labels"]);
    folder.write("two.csv", b"1,2,3,4,5,6,7,8,9,0\n1,2,3,4,5,6,7,8,9,0\n");
    folder.write("y.csv", b"1\n");
    with(
        &["two.csv", "two.csv", "--labels", "y.csv"],
        &["y.csv has 1 labels, and two.csv has more rows"],
    );
    folder.write("y.csv", b"1\n10\n");
    with(
        &["two.csv", "two.csv", "--labels", "y.csv"],
        &["y.csv: row 1", "label 10 is not a class"],
    );
    folder.write("y.csv", b"-100\n-100\n");
    with(
        &["two.csv", "two.csv", "--labels", "y.csv", "--ignore-label", "-100"],
        &["two.csv: no row counts"],
    );
    with(&["-", "-"], &["standard input can be read once"]);
}

#[test]
fn rows_and_temperatures_that_have_no_loss() {
    let folder = four();
    let with =
        |args: &[&str], parts: &[&str]| refused(&folder, &[&["distill"], args].concat(), parts);
    folder.write("s2.csv", b"1,2,3\n1,nan,3\n");
    folder.write("t2.csv", b"1,2,3\n1,2,3\n");
    with(&["s2.csv", "t2.csv", "-T", "4"], &["s2.csv: row 1: it holds a NaN", "\nhint: "]);
    with(&["t2.csv", "s2.csv", "-T", "4"], &["s2.csv: row 1: the teacher's logits hold a NaN"]);
    folder.write("m.csv", b"1,2,3\n1,-inf,3\n");
    with(
        &["m.csv", "t2.csv", "-T", "4"],
        &["m.csv: row 1: one of teacher and student masks a class"],
    );
    // A mask of the teacher alone is p = 0; only the other way is infinite.
    let got = json(&folder, &["distill", "t2.csv", "m.csv", "-T", "4"], 0);
    assert_eq!(got["losses"]["student_to_teacher"], "inf");
    assert!(got["losses"]["teacher_to_student"].is_number());
    let files = ["student.csv", "teacher.csv"];
    with(&[files[0], files[1], "-T", "0"], &["-T 0: there the loss has no gradient"]);
    with(&[files[0], files[1], "-T", "4", "--temperatures", "0,1"], &["--temperatures 0: there"]);
    with(&[files[0], files[1], "-T", "-1"], &["--temperature"]);
    with(&[files[0], files[1]], &["--temperature"]);
    for alpha in ["-0.1", "1.1", "nan"] {
        with(
            &[files[0], files[1], "-T", "4", "--alpha", alpha],
            &["--alpha", "not between 0 and 1"],
        );
    }
    with(&[files[0], files[1], "-T", "4", "--ignore-label", "1"], &["--labels"]);
    with(
        &[files[0], files[1], "-T", "4", "--plot", "no/such/d.svg"],
        &["no/such/d.svg: the folder no/such does not exist"],
    );
    run(
        &folder,
        &["teacher", "pack", "teacher.csv", "-o", "t.sat", "--top-k", "2", "--temperatures", "2,4"],
        0,
    );
    with(
        &["student.csv", "t.sat", "-T", "1.5"],
        &["-T 1.5: t.sat is for temperatures from 2 up", "pack"],
    );
    with(
        &["student.csv", "t.sat", "-T", "4", "--temperatures", "1,4"],
        &["--temperatures 1: t.sat is for"],
    );
    // Without a wish the table begins where the teacher does.
    let got = json(&folder, &["distill", "student.csv", "t.sat", "-T", "4"], 0);
    assert_eq!(got["at"][0]["temperature"], 2.0);
    let limit = json(&folder, &["distill", "student.csv", "t.sat", "-T", "inf"], 0);
    close(&limit["losses"]["teacher_to_student"], 3.0, 1e-3);
}

#[test]
fn the_picture() {
    let folder = digits_and_student();
    run(&folder, &["teacher", "pack", "logits.npy", "-o", "t.sat", "--top-k", "3"], 0);
    for (teacher, target) in [("logits.npy", "label"), ("t.sat", "likeliest")] {
        let labels = if target == "label" { &["--labels", "labels.npy"][..] } else { &[] };
        let args = ["distill", "student.npy", teacher, "-T", "4", "--plot", "d.svg"];
        run(&folder, &[&args[..], labels].concat(), 0);
        let text = String::from_utf8(folder.read("d.svg")).expect("UTF-8");
        let picture = roxmltree::Document::parse(&text).expect("XML");
        let words: Vec<&str> =
            picture.descendants().filter_map(|node| node.text().map(str::trim)).collect();
        let names = ["entropy / ln 10", "max probability", "gradient: runner-up", "gradient: rest"];
        for name in names.iter().copied().chain([format!("gradient: {target}").as_str()]) {
            assert!(words.contains(&name), "{name}: {words:?}");
        }
    }
}
