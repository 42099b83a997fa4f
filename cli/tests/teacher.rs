//! `softargmax teacher` as its users meet it.

use crate::files::{Folder, f32_npy, f64_npy, npy, softargmax};
use crate::labelled::{close, digits, json, refused, run};
use serde_json::Value;

/// Packs the digits into teacher.sat.
#[track_caller]
fn packed(more: &[&str]) -> (Folder, Value) {
    let folder = digits();
    let args = ["teacher", "pack", "logits.npy", "-o", "teacher.sat", "--top-k", "3"];
    let document = json(&folder, &[&args[..], more].concat(), 0);
    (folder, document)
}

/// Bytes before the rows of a grid of so many temperatures.
const fn header(grid: usize) -> usize {
    44 + 8 * grid
}

#[test]
fn what_is_packed_is_small_sound_and_near_its_logits() {
    for (dtype, size, logit, log_z) in
        [("f16", 2, 0.032, 2e-4), ("bf16", 2, 0.26, 2e-3), ("f32", 4, 0.0, 1e-14)]
    {
        let (folder, pack) = packed(&["--dtype", dtype]);
        let record = 8 + 4 + 3 * (2 + size) + 8 * 4 + 8 * 5;
        assert_eq!(pack["schema"], "softargmax.teacher.pack/1");
        assert_eq!((&pack["rows"], &pack["top_k"]), (&897.into(), &3.into()));
        assert_eq!(pack["bytes_per_row"], record);
        let bytes = folder.read("teacher.sat").len();
        assert_eq!(bytes, header(4) + 897 * record + 4);
        assert_eq!(pack["bytes"], bytes);
        assert_eq!(pack["temperatures"], serde_json::json!([1.0, 2.0, 4.0, 8.0]));

        let verify = ["teacher", "verify", "teacher.sat", "--against", "logits.npy"];
        let verify = json(&folder, &verify, 0);
        assert_eq!(verify["schema"], "softargmax.teacher.verify/1");
        // Of what was stored, and of what came.
        assert!(verify["tail"] == pack["tail"] || dtype != "f32", "{verify} {pack}");
        let against = &verify["against"];
        let number = |value: &Value| value.as_f64().expect("a number");
        assert!(number(&against["logit_error"]) <= logit, "{against}");
        let at = against["at"].as_array().expect("temperatures");
        assert_eq!(at.len(), 9);
        for at in at {
            let (error, bound) = (number(&at["log_z_error"]), number(&at["log_z_bound"]));
            assert_eq!(at["on_grid"].as_bool(), Some(bound == 0.0), "{at}");
            assert!(error <= bound + log_z, "{at}");
            assert!(number(&at["probability_error"]) <= bound + log_z, "{at}");
        }
        // The mass of the others was stored in full.
        let four = at.iter().find(|at| at["temperature"] == 4.0).expect("4");
        assert!(number(&four["tail_error"]) <= log_z, "{four}");
    }
}

#[test]
fn rows_come_back_whatever_the_blocks_are_and_by_a_pipe() {
    // 3000 classes and 7000 rows, in several blocks of either file.
    let (rows, classes) = (7000, 300);
    let number = |i: usize| (i * 7919 % 1009) as f32 / 100.0 - 5.0;
    let numbers: Vec<f32> = (0..rows * classes).map(number).collect();
    let folder = Folder::with("x.npy", &f32_npy(&format!("({rows}, {classes})"), &numbers));
    let args = ["teacher", "pack", "x.npy", "-o"];
    let more = ["--top-k", "40", "--temperatures", "4,1", "--dtype", "f32"];
    let document = json(&folder, &[&args[..], &["a.sat"], &more].concat(), 0);
    let blocks = json(&folder, &["teacher", "verify", "a.sat", "--against", "x.npy"], 0);
    assert!(blocks["blocks"].as_u64().expect("blocks") > 1, "{blocks}");
    assert_eq!(blocks["against"]["logit_error"], 0.0);
    assert_eq!(document["rows"], rows);
    for threads in ["1", "3"] {
        run(&folder, &[&args[..], &["b.sat"], &more, &["--threads", threads]].concat(), 0);
        assert!(folder.read("a.sat") == folder.read("b.sat"));
    }
    // To a pipe and from one.
    let output = softargmax(&folder, &[&args[..], &["-"], &more].concat(), b"");
    assert!(output.stdout == folder.read("a.sat"));
    let verified = softargmax(&folder, &["teacher", "verify", "-"], &output.stdout);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn the_rows_of_a_text_are_counted_as_they_come() {
    let folder = Folder::with("x.csv", b"1,2,4\n0.5,0,-1\n3,3,3\n");
    folder.write("x.npy", &f64_npy("(3, 3)", &[1.0, 2.0, 4.0, 0.5, 0.0, -1.0, 3.0, 3.0, 3.0]));
    for (input, output) in [("x.csv", "a.sat"), ("x.npy", "b.sat")] {
        let (words, _) = run(&folder, &["teacher", "pack", input, "-o", output, "--top-k", "2"], 0);
        assert!(words.starts_with(&format!("{output}: 3 rows of 3 classes, the 2 likeliest")));
    }
    assert!(folder.read("a.sat") == folder.read("b.sat"));
    let piped = softargmax(
        &folder,
        &["teacher", "pack", "-", "-o", "-", "--top-k", "2"],
        b"1,2,4\n0.5,0,-1\n3,3,3\n",
    );
    assert!(piped.stdout == folder.read("a.sat"));
}

/// Every byte counts: one that is changed is found, whichever it is, and so is every byte that is missing.
#[test]
fn a_changed_byte_and_a_missing_end_are_found() {
    let folder = Folder::with("x.csv", b"1,2,4\n0.5,0,-1\n3,3,3\n");
    run(&folder, &["teacher", "pack", "x.csv", "-o", "t.sat", "--top-k", "2"], 0);
    let whole = folder.read("t.sat");
    let verify = ["teacher", "verify", "t.sat"];
    // Some of each part: magic, version, header, its checksum, rows, their checksum.
    for at in [
        0,
        7,
        8,
        10,
        13,
        17,
        25,
        33,
        41,
        60,
        header(4) - 1,
        header(4),
        100,
        180,
        250,
        whole.len() - 1,
    ] {
        for bit in [0, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            folder.write("t.sat", &bytes);
            refused(&folder, &verify, &["t.sat: is", "\nhint: "]);
        }
    }
    for len in (0..whole.len()).step_by(13) {
        folder.write("t.sat", &whole[..len]);
        let word = if len == 0 { "is empty" } else { "is cut short" };
        refused(&folder, &verify, &[&format!("t.sat: {word}"), "\nhint: "]);
        let piped = softargmax(&folder, &["teacher", "verify", "-"], &whole[..len]);
        assert_eq!(piped.status.code(), Some(2));
    }
    let longer = [&whole[..], b"x"].concat();
    folder.write("t.sat", &longer);
    refused(&folder, &verify, &["is too long", "\nhint: "]);
    let piped = softargmax(&folder, &["teacher", "verify", "-"], &longer);
    assert_eq!(piped.status.code(), Some(2));
    // Where it is, and what to do.
    let mut bytes = whole.clone();
    bytes[header(4) + 20] ^= 1;
    folder.write("t.sat", &bytes);
    let parts =
        ["damaged: the checksum of block 0, rows 0 to 2 (byte 76 on), is wrong", "copy it again"];
    refused(&folder, &verify, &parts);
    bytes = whole;
    bytes[8] = 2;
    folder.write("t.sat", &bytes);
    refused(&folder, &verify, &["is version 2 of the format: this program knows version 1"]);
}

/// What no checksum finds: a writer that was wrong. Offsets as docs/teacher-format.md has them.
#[test]
fn rows_that_no_teacher_has_are_refused_where_they_are() {
    let folder = Folder::with("x.csv", b"1,2,4,8\n0.5,0,-1,2\n3,3,3,3\n");
    let args = ["--top-k", "2", "--temperatures", "1", "--dtype", "f32"];
    run(&folder, &[&["teacher", "pack", "x.csv", "-o", "t.sat"], &args[..]].concat(), 0);
    let whole = folder.read("t.sat");
    // origin 8 · count 4 · ids 2·2 · logits 2·4 · log weight 8 · means 2·8
    let (start, record) = (header(1), 48);
    assert_eq!(whole.len(), start + 3 * record + 4);
    let row = start + record;
    let changes: [(usize, &[u8], &str); 7] = [
        (12, &[3, 0], "its classes do not ascend"),
        (14, &[4, 0], "one of them does not exist"),
        (14, &[0, 0], "its classes do not ascend"),
        (16, &f32::NAN.to_le_bytes(), "a logit is NaN"),
        (8, &[3, 0, 0, 0], "its tail has more classes than are left"),
        (24, &f64::INFINITY.to_le_bytes(), "a sum of its tail is not finite"),
        (24, &5f64.to_le_bytes(), "not those of any logits"),
    ];
    for (at, change, says) in changes {
        let mut bytes = whole.clone();
        bytes[row + at..row + at + change.len()].copy_from_slice(change);
        reseal(&mut bytes, start);
        folder.write("t.sat", &bytes);
        let place = format!("t.sat: row 1 (byte {row}): ");
        refused(&folder, &["teacher", "verify", "t.sat"], &[&place, says, "\nhint: "]);
        refused(&folder, &["distill", "x.csv", "t.sat", "-T", "2"], &[&place, says]);
    }
    // And headers that no teacher has: k above the classes, no rows to a block, temperatures that descend.
    let changes: [(usize, &[u8], &str); 4] = [
        (28, &[5, 0], "it keeps 5 of 4 classes"),
        (32, &[0; 4], "blocks of 0 rows"),
        (40, &(-1f64).to_le_bytes(), "header has no meaning"),
        (16, &[255; 8], "more than any file"),
    ];
    for (at, change, says) in changes {
        let mut bytes = whole.clone();
        bytes[at..at + change.len()].copy_from_slice(change);
        reseal(&mut bytes, start);
        folder.write("t.sat", &bytes);
        refused(&folder, &["teacher", "verify", "t.sat"], &["t.sat: is damaged: ", says]);
    }
}

/// Makes the checksums right: CRC-32 as in zip, bit by bit.
fn reseal(bytes: &mut [u8], start: usize) {
    let crc = |parts: &[&[u8]]| {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
            })
        };
        !parts.iter().flat_map(|part| part.iter()).fold(!0, step)
    };
    let header = crc(&[&bytes[..start - 4]]).to_le_bytes();
    bytes[start - 4..start].copy_from_slice(&header);
    let end = bytes.len() - 4;
    let block = crc(&[&0u64.to_le_bytes(), &bytes[start..end]]).to_le_bytes();
    bytes[end..].copy_from_slice(&block);
}

#[test]
fn logits_that_cannot_be_packed_leave_nothing() {
    let pack = ["teacher", "pack", "x.csv", "-o", "t.sat", "--top-k", "2"];
    for (text, parts) in [
        ("1,2,3\n1,nan,3\n", &["x.csv: row 1: it holds a NaN", "\nhint: "][..]),
        ("1,2,3\n1,inf,3\n", &["x.csv: row 1: an entry is +inf"]),
        ("1,2,3\n-inf,-inf,-inf\n", &["x.csv: row 1: every entry is -inf"]),
        (
            "1,2,3\n1,-70000,-80000\n",
            &["x.csv: row 1: ", "beyond the range of f16", "--dtype bf16"],
        ),
    ] {
        let folder = Folder::with("x.csv", text.as_bytes());
        refused(&folder, &pack, parts);
    }
    let folder = Folder::with("x.csv", b"1,2,3\n");
    let with = |more: &[&str], parts: &[&str]| {
        refused(&folder, &[&["teacher", "pack", "x.csv", "-o", "t.sat"], more].concat(), parts);
    };
    with(&["--top-k", "4"], &["--top-k 4: x.csv has 3 classes", "--top-k 3 keeps them all"]);
    with(&["--top-k", "0"], &["--top-k"]);
    with(&["--top-k", "2", "--temperatures", "0,1"], &["--temperatures: 0 is not in a grid"]);
    with(&["--top-k", "2", "--temperatures", "1,inf"], &["inf is not in a grid", "always known"]);
    with(&["--top-k", "2", "--temperatures", "1,nan"], &["temperature"]);
    let args = ["teacher", "pack", "x.csv", "-o", "-", "--top-k", "2", "--json"];
    refused(&folder, &args, &["standard output cannot take both"]);
    refused(&folder, &["teacher", "verify", "x.csv"], &["x.csv: is not a packed teacher"]);
    refused(&folder, &["teacher", "verify", "none.sat"], &["none.sat: cannot be read"]);
}

/// The disk fills up half way, which a limit on the size of files stands in for.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_what_was_there() {
    let folder = Folder::with("x.npy", &f32_npy("(5000, 20)", &vec![0.0; 100_000]));
    folder.write("t.sat", b"what was there");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" teacher pack x.npy -o t.sat --top-k 5";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_softargmax")])
        .current_dir(folder.path(""))
        .output()
        .expect("runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("error: t.sat: cannot be written: File too large"), "{message}");
    assert_eq!(folder.names(), ["t.sat", "x.npy"]);
    assert_eq!(folder.read("t.sat"), b"what was there");
    let args = ["teacher", "pack", "x.npy", "-o", "/dev/full", "--top-k", "5"];
    refused(&folder, &args, &["/dev/full: cannot be written: No space left", "\nhint: make room"]);
}

#[test]
fn other_logits_are_told_from_those_that_were_packed() {
    let (folder, _) = packed(&[]);
    let verify = ["teacher", "verify", "teacher.sat", "--against"];
    let with =
        |name: &str, parts: &[&str]| refused(&folder, &[&verify[..], &[name]].concat(), parts);
    let bytes = folder.read("logits.npy");
    let data = &bytes[bytes.len() - 897 * 40..];
    folder.write("short.npy", &npy("'<f4'", false, "(896, 10)", &data[40..]));
    with("short.npy", &["short.npy has 896 rows, and teacher.sat has 897", "not the logits"]);
    folder.write("narrow.npy", &npy("'<f4'", false, "(1794, 5)", data));
    with("narrow.npy", &["narrow.npy has 5 classes, and teacher.sat has 10"]);
    // One row moved by one class; one logit by 1.
    let mut other = data.to_vec();
    other[40 * 17..40 * 18].rotate_left(4);
    folder.write("moved.npy", &npy("'<f4'", false, "(897, 10)", &other));
    with("moved.npy", &["teacher.sat: row 17: it keeps class", "is likelier", "not the logits"]);
    let mut other = data.to_vec();
    // The largest of row 0 stands at class 3.
    other[12..16].copy_from_slice(&28.5f32.to_le_bytes());
    folder.write("raised.npy", &npy("'<f4'", false, "(897, 10)", &other));
    with("raised.npy", &["teacher.sat: row 0: class", "has logit", "not the logits"]);
    let text: String = (0..900).map(|_| "0,1,2,3,4,5,6,7,8,9\n").collect();
    folder.write("long.csv", text.as_bytes());
    with("long.csv", &["teacher.sat: row 0: "]);
}

#[test]
fn an_audit_has_every_convention_beside_the_truth() {
    let (folder, _) = packed(&["--dtype", "f32", "--temperatures", "1,4"]);
    let full = json(&folder, &["teacher", "audit", "logits.npy", "-T", "4", "--top-k", "3"], 0);
    assert_eq!(full["schema"], "softargmax.teacher.audit/1");
    let of = |document: &Value, name: &str| {
        let lines = document["conventions"].as_array().expect("lines").iter();
        lines.clone().find(|line| line["convention"] == name).expect(name).clone()
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    let truth = number(&full["loss"]);
    // T²·KL against a student that knows nothing is T²(ln 10 − entropy).
    let sweep = json(&folder, &["sweep", "logits.npy", "-t", "4"], 0);
    let entropy = number(&sweep["rows"][0]["mean_entropy"]);
    assert!((truth - 16.0 * (10f64.ln() - entropy)).abs() < 1e-10, "{truth} {entropy}");
    assert_eq!(full["student"], Value::Null);
    for line in full["conventions"].as_array().expect("lines") {
        close(&line["difference"], number(&line["loss"]) - truth, 1e-9);
    }
    let (bucket, sum) = (of(&full, "bucket"), of(&full, "truncated-sum"));
    assert!(number(&bucket["difference"]) <= 0.0);
    close(&bucket["tail"], number(&full["tail"]), 1e-12);
    close(&of(&full, "no-t-squared")["relative_gradient_error"], 1.0 - 1.0 / 16.0, 1e-12);
    assert_eq!(sum["tail"], 0.0);

    // Of the packed teacher the others are one class, and the rest is as it is.
    let packed = json(&folder, &["teacher", "audit", "teacher.sat", "-T", "4"], 0);
    close(&packed["loss"], number(&bucket["loss"]), 1e-12);
    close(&packed["tail"], number(&full["tail"]), 1e-12);
    for name in
        ["bucket", "renormalised", "renormalised-both", "truncated-sum", "probabilities-of-one"]
    {
        let (packed, full) = (of(&packed, name), of(&full, name));
        close(&packed["loss"], number(&full["loss"]), 1e-11);
        close(&packed["tail"], number(&full["tail"]), 1e-9);
    }
    // By a real student, and in words.
    let student = ["teacher", "audit", "logits.npy", "-T", "2", "--student", "logits.npy"];
    let same = json(&folder, &student, 0);
    assert!(number(&same["loss"]).abs() < 1e-13 && same["top_k"] == 10, "{same}");
    let (words, _) = run(&folder, &["teacher", "audit", "teacher.sat", "-T", "4"], 0);
    assert!(words.contains("T² forgotten") && words.contains("the others as one class"), "{words}");
    // A teacher from T = 2 up does not know T = 1.
    run(
        &folder,
        &["teacher", "pack", "logits.npy", "-o", "two.sat", "--top-k", "3", "--temperatures", "2"],
        0,
    );
    let two = json(&folder, &["teacher", "audit", "two.sat", "-T", "3"], 0);
    assert!(of(&two, "tail-of-one")["loss"].is_null() && !of(&two, "bucket")["loss"].is_null());
    let (words, _) = run(&folder, &["teacher", "audit", "two.sat", "-T", "3"], 0);
    assert!(words.contains("unknown"), "{words}");
}

#[test]
fn an_audit_refuses_what_has_no_answer() {
    let (folder, _) = packed(&["--temperatures", "2,4"]);
    let audit = |args: &[&str], parts: &[&str]| {
        refused(&folder, &[&["teacher", "audit"], args].concat(), parts);
    };
    audit(&["teacher.sat", "-T", "1"], &["-T 1: teacher.sat is for temperatures from 2 up"]);
    audit(&["teacher.sat", "-T", "4", "--top-k", "5"], &["--top-k 5: teacher.sat keeps 3 classes"]);
    audit(&["logits.npy", "-T", "4", "--top-k", "11"], &["--top-k 11: logits.npy has 10 classes"]);
    for tau in ["0", "inf"] {
        audit(&["logits.npy", "-T", tau], &["-T", "between 0 and inf"]);
    }
    audit(&["logits.npy", "-T", "nan"], &["--temperature"]);
    folder.write("s.csv", b"1,2,3\n");
    audit(
        &["logits.npy", "-T", "4", "--student", "s.csv"],
        &["s.csv has 3 classes, and logits.npy has 10"],
    );
    folder.write("s.csv", b"1,2,3,4,5,6,7,8,9,0\n");
    audit(
        &["logits.npy", "-T", "4", "--student", "s.csv"],
        &["logits.npy has more rows than s.csv, which ends after row 0"],
    );
    folder.write("s.csv", b"1,2,3,4,nan,6,7,8,9,0\n");
    audit(&["logits.npy", "-T", "4", "--student", "s.csv"], &["s.csv: row 0: "]);
    folder.write("t.csv", b"1,2\nnan,3\n");
    audit(&["t.csv", "-T", "4", "--top-k", "1"], &["t.csv: row 1: it holds a NaN"]);
}
