//! The same rows in every format: the same bits out of `fit`, `eval` and `apply`; and what is refused.
#![cfg(feature = "arrow")]

use std::fs;

use crate::files::{Folder, f32_npy, f64_npy, npy, softargmax};
use crate::labelled::{json, refused, run};
use crate::tables::{self, List, Rows, ipc, jsonl, npz, parquet, safetensors};
use serde_json::Value;

/// What a run says, less the name of the file.
fn answer(folder: &Folder, verb: &[&str], logits: &str, labels: &str) -> Value {
    let (verb, rest) = verb.split_first().expect("a verb");
    let args = [&[*verb, logits, "--labels", labels], rest].concat();
    let mut document = json(folder, &args, 0);
    for name in ["logits", "labels"] {
        document.as_object_mut().expect("an object").remove(name);
    }
    document
}

/// The rows in every format that has them as f32, and how each is named.
fn every_format(folder: &Folder, rows: &Rows) -> Vec<(String, String)> {
    let mut named = Vec::new();
    let mut put = |name: &str, bytes: &[u8], logits: &str, labels: &str| {
        folder.write(name, bytes);
        named.push((format!("{name}{logits}"), labels.to_owned()));
    };
    let shape = format!("({}, {})", rows.labels.len(), rows.classes);
    let logits = f32_npy(&shape, &rows.logits);
    let bytes: Vec<u8> = rows.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    let labels = npy("'<i8'", false, &format!("({},)", rows.labels.len()), &bytes);
    put("labels.npy", &labels, "", "labels.npy");
    put("x.npy", &logits, "", "labels.npy");
    for (name, deflate) in [("stored.npz", false), ("deflated.npz", true)] {
        let members = [("logits.npy", &logits[..]), ("labels.npy", &labels)];
        put(name, &npz(&members, deflate), "", ":labels");
    }
    put("x.safetensors", &safetensors(rows), "", "x.safetensors");
    put("x.jsonl", &jsonl(rows, false), "", ":label");
    put("wide.jsonl", &jsonl(rows, true), "", ":label");
    put("x.csv", &tables::csv(rows), ":logit_*", ":label");
    for list in [List::Fixed, List::Any, List::Large, List::Columns] {
        let name = format!("{list:?}").to_lowercase();
        put(&format!("{name}.parquet"), &parquet(rows, list, 64), "", ":label");
        put(&format!("{name}.arrow"), &ipc(rows, list, true, None), ":logi*", ":label");
        put(&format!("{name}.arrows"), &ipc(rows, list, false, None), "", ":label");
    }
    for codec in ["lz4", "zstd"] {
        put(&format!("{codec}.arrow"), &ipc(rows, List::Any, true, Some(codec)), "", ":label");
    }
    named.remove(0);
    named
}

#[test]
fn the_same_rows_give_the_same_bits_in_every_format() {
    let (folder, rows) = (Folder::new(), Rows::new(300, 5));
    let named = every_format(&folder, &rows);
    for verb in [
        &["fit", "--holdout", "0"][..],
        &["eval", "-t", "0.5,1.7", "--replicates", "20"],
        &["scan", "-o", "-"],
    ] {
        let mut expected = None;
        for (logits, labels) in &named {
            let answer = match verb {
                ["scan", ..] => {
                    let args = [&["scan", logits, "--labels", labels], &verb[1..]].concat();
                    Value::String(run(&folder, &args, 0).0)
                }
                _ => answer(&folder, verb, logits, labels),
            };
            assert_eq!(
                *expected.get_or_insert_with(|| answer.clone()),
                answer,
                "{verb:?} {logits}"
            );
        }
    }
    let mut expected = None;
    // The numbers of a text are f64, and rounded at the end: nearer than f32 throughout.
    for (logits, _) in
        named.iter().filter(|(logits, _)| !logits.contains("json") && !logits.contains("csv"))
    {
        run(&folder, &["apply", logits, "-t", "1.7", "--dtype", "f32", "-o", "out.npy"], 0);
        let out = folder.read("out.npy");
        assert!(*expected.get_or_insert_with(|| out.clone()) == out, "{logits}");
    }
}

#[test]
#[ignore = "a gigabyte of files: cargo test --release -- --ignored not_held"]
fn a_file_that_is_not_held_gives_the_same_bits_too() {
    // More than the 256 MiB that are held, as f32.
    let (folder, rows) = (Folder::new(), Rows::new((1 << 16) + 9000, 1000));
    folder.write("x.npy", &f32_npy(&format!("({}, 1000)", rows.labels.len()), &rows.logits));
    folder.write("x.parquet", &parquet(&rows, List::Fixed, 9000));
    folder.write("x.arrows", &ipc(&rows, List::Any, false, None));
    let of = |name: &str| answer(&folder, &["fit", "--holdout", "0"], name, "x.parquet:label");
    let expected = of("x.npy");
    assert_eq!(expected["outcome"], "converged");
    assert_eq!((of("x.parquet"), of("x.arrows")), (expected.clone(), expected));
}

#[test]
fn every_type_of_number() {
    let folder = Folder::new();
    let rows = Rows::new(20, 4);
    let wide: Vec<f64> = rows.logits.iter().map(|&x| (x * 4.0 + 20.0).round().into()).collect();
    folder.write("x.npy", &f64_npy("(20, 4)", &wide));
    run(&folder, &["apply", "x.npy", "-t", "1", "-o", "x.csv"], 0);
    let expected = folder.read("x.csv");
    for dtype in ["F16", "BF16", "F32", "F64", "I8", "I16", "I32", "I64"] {
        folder.write("y.safetensors", &tables::tensor("x", dtype, &[20, 4], &wide));
        run(&folder, &["apply", "y.safetensors", "-t", "1", "--dtype", "f64", "-o", "y.csv"], 0);
        assert!(folder.read("y.csv") == expected, "{dtype}");
    }
    for dtype in ["f16", "f32", "f64", "i8", "i64", "u64"] {
        let bytes = tables::typed_parquet(&wide, 4, dtype);
        folder.write("y.parquet", &bytes);
        run(&folder, &["apply", "y.parquet", "-t", "1", "--dtype", "f64", "-o", "y.csv"], 0);
        assert!(folder.read("y.csv") == expected, "{dtype}");
    }
}

#[test]
fn shards_are_read_in_name_order_as_one() {
    let (folder, rows) = (Folder::new(), Rows::new(90, 3));
    folder.write("whole.parquet", &parquet(&rows, List::Fixed, 90));
    folder.write("names.txt", b"0\n1\n2\n");
    let expected = answer(&folder, &["fit"], "whole.parquet", ":label");
    let expected_eval = answer(&folder, &["eval", "-t", "2"], "whole.parquet", ":label");
    let parts = [rows.slice(0..40), rows.slice(40..41), rows.slice(41..90)];
    type Write<'a> = &'a dyn Fn(&Rows) -> Vec<u8>;
    let formats: [(&str, Write); 4] = [
        ("parquet", &|rows| parquet(rows, List::Any, 7)),
        ("jsonl", &|rows| jsonl(rows, false)),
        ("arrow", &|rows| ipc(rows, List::Large, true, None)),
        ("safetensors", &safetensors),
    ];
    for (extension, write) in formats {
        fs::create_dir(folder.path(extension)).expect("a folder");
        folder.write(&format!("{extension}/_SUCCESS"), b"");
        for (part, name) in parts.iter().zip(["a", "b", "c"]) {
            folder.write(&format!("{extension}/{name}.{extension}"), &write(part));
        }
        let label = if extension == "safetensors" { "labels" } else { "label" };
        for logits in [extension.to_owned(), format!("{extension}/*.{extension}")] {
            let labels = format!(":{label}");
            assert_eq!(answer(&folder, &["fit"], &logits, &labels), expected, "{logits}");
            let eval = answer(&folder, &["eval", "-t", "2"], &logits, &labels);
            assert_eq!(eval, expected_eval, "{logits}");
        }
    }
    // Text labels, over all shards.
    for (part, name) in parts.iter().zip(["a", "b", "c"]) {
        folder.write(&format!("parquet/{name}.parquet"), &tables::with_texts(part, None));
    }
    let args = ["fit", "--classes", "names.txt"];
    assert_eq!(answer(&folder, &args, "parquet", ":label"), expected);

    folder.write("parquet/b.parquet", &parquet(&Rows::new(5, 4), List::Fixed, 5));
    for labels in [":label", "whole.parquet"] {
        let parts = ["parquet/b.parquet: rows of 4, where parquet/a.parquet has rows of 3"];
        refused(&folder, &["fit", "parquet", "--labels", labels, "--classes", "names.txt"], &parts);
    }
    // Columns in another order: the same width, but other classes.
    folder.write("c1.csv", b"cat,dog\n1,2\n");
    folder.write("c2.csv", b"dog,cat\n3,4\n");
    let args = ["apply", "c?.csv", "-t", "1", "-o", "out.csv"];
    refused(&folder, &args, &["c2.csv: class 0 is 'dog', where in c1.csv it is 'cat'", "cat,dog"]);
    let named = ["apply", "c?.csv:cat,dog", "-t", "0", "-o", "out.csv"];
    run(&folder, &named, 0);
    assert_eq!(folder.read("out.csv"), b"cat,dog\n0,1\n1,0\n");
    fs::remove_file(folder.path("out.csv")).expect("removed");
    let mut masked = rows.slice(0..5);
    masked.logits[6..9].fill(f32::NEG_INFINITY);
    folder.write("parquet/b.parquet", &parquet(&masked, List::Fixed, 5));
    let args = ["apply", "parquet", "-t", "1", "-o", "out.parquet"];
    refused(&folder, &args, &["row 2 of parquet/b.parquet: every entry is -inf"]);
}

#[test]
fn labels_that_are_texts_weights_and_groups_are_columns() {
    let (folder, rows) = (Folder::new(), Rows::new(120, 3));
    folder.write("x.parquet", &tables::with_texts(&rows, None));
    folder.write("x.jsonl", &tables::jsonl_with_texts(&rows));
    folder.write("names.txt", b"0\n1\n2\n");
    let names = ["cat", "dog", "emu"];
    folder.write("animals.txt", names.map(|name| format!("{name}\n")).concat().as_bytes());
    let lines =
        |of: &dyn Fn(usize) -> String| -> String { (0..120).map(|row| of(row) + "\n").collect() };
    folder.write("labels.csv", lines(&|row| rows.labels[row].to_string()).as_bytes());
    folder.write("weights.csv", lines(&|row| (row % 3).to_string()).as_bytes());
    folder.write("groups.csv", lines(&|row| ["a", "b"][row % 2].to_owned()).as_bytes());
    let fit = |args: &[&str]| {
        let (logits, labels) = (args[0], args[1]);
        answer(&folder, &[&["fit"], &args[2..]].concat(), logits, labels)
    };
    let files = ["--weights", "weights.csv", "--groups", "groups.csv"];
    let expected = fit(&[&["x.parquet", "labels.csv"], &files[..]].concat());
    let columns = ["--weights", ":weight", "--groups", ":group", "--classes", "names.txt"];
    for file in ["x.parquet", "x.jsonl"] {
        assert_eq!(fit(&[&[file, ":label"], &columns[..]].concat()), expected, "{file}");
        let animals = [&[file, ":animal"], &columns[..4], &["--classes", "animals.txt"]].concat();
        assert_eq!(fit(&animals), expected, "{file}");
        refused(
            &folder,
            &["fit", file, "--labels", ":animal"],
            &["row 0", "is a name", "--classes"],
        );
        let other = ["fit", file, "--labels", ":animal", "--classes", "names.txt"];
        refused(&folder, &other, &["row 0", "is not the name of a class\nhint: they are 0, 1, 2;"]);
        let args = ["fit", file, "--labels", ":animl"];
        refused(&folder, &args, &["has no column 'animl'", "animal", "weight", "group"]);
    }
    run(
        &folder,
        &["fit", "x.parquet", "--labels", ":label", "--groups", ":group", "--save", "fit.json"],
        0,
    );
    run(
        &folder,
        &["apply", "x.parquet", "--fit", "fit.json", "--groups", ":group", "-o", "a.npy"],
        0,
    );
    run(
        &folder,
        &["apply", "x.parquet", "--fit", "fit.json", "--groups", "groups.csv", "-o", "b.npy"],
        0,
    );
    assert!(folder.read("a.npy") == folder.read("b.npy"));
}

#[test]
fn what_apply_writes_reads_back_to_the_same_bits() {
    let (folder, rows) = (Folder::new(), Rows::new(1000, 7));
    folder.write("x.npy", &f32_npy("(1000, 7)", &rows.logits));
    folder.write("x.jsonl", &jsonl(&rows, false));
    for dtype in ["f16", "f32", "f64"] {
        let apply = |from: &str, to: &str| {
            run(&folder, &["apply", from, "-t", "1.5", "--log", "--dtype", dtype, "-o", to], 0);
        };
        let plain = |from: &str| {
            run(&folder, &["apply", from, "-t", "1", "--dtype", "f64", "-o", "plain.npy"], 0);
            folder.read("plain.npy")
        };
        for extension in ["csv", "jsonl", "safetensors", "parquet", "arrow", "arrows", "npy"] {
            let out = format!("out.{extension}");
            // A text of few digits is another f64.
            let is_exact = dtype == "f64" || !["csv", "jsonl"].contains(&extension);
            // Of JSON lines it is not known beforehand how many rows there are.
            for from in ["x.npy", "x.jsonl"] {
                apply(from, "expected.npy");
                let expected = plain("expected.npy");
                apply(from, &out);
                assert!((plain(&out) == expected) == is_exact, "{dtype} {extension} {from}");
            }
        }
    }
    let text = String::from_utf8(folder.read("out.jsonl")).expect("UTF-8");
    assert!(text.starts_with("{\"log_probabilities\": [-"), "{text}");
    let bytes = softargmax(
        &folder,
        &[
            "apply",
            "x.npy",
            "-t",
            "1.5",
            "--log",
            "--dtype",
            "f64",
            "--format",
            "arrow-stream",
            "-o",
            "-",
        ],
        b"",
    )
    .stdout;
    assert!(bytes == folder.read("out.arrows"));
    let piped = ["apply", "-", "-t", "1", "-o", "piped.npy"];
    assert!(softargmax(&folder, &piped, &bytes).status.success());
    run(&folder, &["apply", "out.npy", "-t", "1", "-o", "expected.npy"], 0);
    assert!(folder.read("piped.npy") == folder.read("expected.npy"));
}

#[test]
fn lists_that_are_no_rows_are_named() {
    let folder = Folder::new();
    let rows = Rows::new(100, 3);
    let apply = ["apply", "x.parquet", "-t", "1", "-o", "out.parquet"];
    let fit = ["fit", "x.parquet", "--labels", ":label"];
    let name = "error: x.parquet: ";
    for (change, reason) in [
        (tables::Wrong::Short, "row 70: 2 numbers, where the first row has 3"),
        (tables::Wrong::NullList, "row 70: null, where a list of numbers belongs"),
        (tables::Wrong::NullNumber, "row 70: null, where a number belongs"),
    ] {
        folder.write("x.parquet", &tables::wrong(&rows, change, 64));
        refused(&folder, &apply, &[name, reason]);
        refused(&folder, &fit, &[name, reason]);
        folder.write("x.arrow", &tables::wrong_ipc(&rows, change));
        refused(&folder, &["apply", "x.arrow", "-t", "1", "-o", "out.npy"], &["x.arrow: ", reason]);
    }
    let mut nan = Rows::new(100, 3);
    nan.logits[211] = f32::NAN;
    folder.write("x.parquet", &parquet(&nan, List::Fixed, 64));
    refused(&folder, &fit, &[name, "row 70", "NaN"]);

    let long =
        [("logits.npy", f32_npy("(2, 2)", &[0.0; 4])), ("y.npy", f64_npy("(3,)", &[0.0; 3]))];
    folder.write("x.npz", &npz(&long.each_ref().map(|(name, bytes)| (*name, &bytes[..])), false));
    let reason = "x.npz has 2 rows of logits, and x.npz:y has 3 labels";
    refused(&folder, &["fit", "x.npz", "--labels", ":y"], &[reason]);
    folder.write("x.parquet", &tables::with_texts(&rows, Some(70)));
    folder.write("names.txt", b"cat\ndog\nemu\n");
    let args = ["fit", "x.parquet", "--labels", ":animal", "--classes", "names.txt"];
    refused(&folder, &args, &["error: x.parquet:animal: row 70: null, where a text"]);
    for (column, reason) in [
        (":nothing", "has no column 'nothing'\nhint: there are logits FixedSizeList"),
        (":animal", "column 'animal' is Utf8: numbers or a list of them belong there"),
        (":weight,logits", "column 'logits' is FixedSizeList"),
    ] {
        let file = format!("x.parquet{column}");
        refused(&folder, &["apply", &file, "-t", "1", "-o", "out.npy"], &[reason]);
    }
    folder.write("x.parquet", &parquet(&Rows::new(0, 3), List::Any, 5));
    refused(&folder, &apply, &[name, "has no rows"]);
}

#[test]
fn lines_that_are_no_rows_are_named() {
    let folder = Folder::new();
    for (text, reason) in [
        ("[1, 2]\n[1]\n", "row 1 (line 2): 1 numbers, where the first row has 2"),
        ("[1, 2]\n\n[1, null]\n", "row 1 (line 3): null is not a number"),
        ("[1, 2]\n[1, 2\n", "row 1 (line 2): EOF while parsing"),
        ("{\"logits\": [1]}\n{\"logit\": [1]}\n", "row 1 (line 2): nothing under 'logits'"),
        ("{\"logits\": [1]}\n[1]\n", "row 1 (line 2): invalid type: sequence, expected an object"),
        ("[[1, 2], [3, 4]]\n", "row 0 (line 1): "),
        ("{\"logits\": [1, \"a\"]}\n", "row 0 (line 1): \"a\" is not a number"),
        ("{\"logits\": [1, 2]}\n{\"logits\": [\"a\", 2]}\n", "row 1 (line 2): \"a\" is not a"),
        ("{\"logits\": [null]}\n", "row 0 (line 1): does not say which column the logits are"),
        ("{\"a\": [1], \"b\": [2]}\n", "does not say which column the logits are"),
        ("{\"logits\": 1", "row 0 (line 1): EOF"),
        ("[]\n", "rows of 0 classes"),
    ] {
        folder.write("x.jsonl", text.as_bytes());
        refused(&folder, &["apply", "x.jsonl", "-t", "1", "-o", "out.npy"], &["x.jsonl: ", reason]);
    }
}

#[test]
fn damaged_files_are_refused_and_leave_nothing() {
    let (folder, rows) = (Folder::new(), Rows::new(200, 4));
    let whole = parquet(&rows, List::Any, 50);
    let apply = |name: &str| {
        let args = ["apply", name, "-t", "1", "-o", "out.npy"];
        let output = softargmax(&folder, &args, b"");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2)), "{code:?} {message}");
        assert!(!message.contains("panicked"), "{message}");
        let is_done = folder.names().contains(&"out.npy".to_owned());
        assert_eq!(code == Some(0), is_done, "{message}");
        if is_done {
            fs::remove_file(folder.path("out.npy")).expect("removed");
        } else {
            assert!(message.contains(name), "{message}");
        }
        (code == Some(0), message)
    };
    // The head of a page of the third row group.
    let mut corrupt = whole.clone();
    let place = tables::page_of_group(&whole, 2);
    corrupt[place..place + 12].fill(0xff);
    folder.write("x.parquet", &corrupt);
    let (_, message) = apply("x.parquet");
    assert!(message.contains("x.parquet: row 100 (row group 2): is damaged"), "{message}");

    let files = [
        ("x.parquet", whole),
        ("x.arrow", ipc(&rows, List::Any, true, None)),
        ("x.arrows", ipc(&rows, List::Fixed, false, None)),
        ("x.safetensors", safetensors(&rows)),
        ("x.npz", npz(&[("logits.npy", &f32_npy("(200, 4)", &rows.logits))], true)),
    ];
    for (name, bytes) in files {
        folder.write(name, &bytes);
        assert!(apply(name).0, "{name}");
        // Cut short anywhere, and a byte changed here and there.
        for at in (0..bytes.len()).step_by(bytes.len() / 23) {
            folder.write(name, &bytes[..at]);
            // A stream of Arrow may end between two batches.
            assert!(!apply(name).0 || name == "x.arrows", "{name} is cut at {at}");
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 61) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            folder.write(name, &changed);
            apply(name);
        }
    }
}

#[test]
fn claims_of_headers_are_compared_with_the_file() {
    let folder = Folder::new();
    let numbers = [0u8; 24];
    let tensors = |header: &str| {
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &numbers].concat()
    };
    let (f32, shape) = ("\"dtype\":\"F32\"", "\"shape\":[3,2]");
    for (header, reason) in [
        (format!("{{\"x\":{{{f32},{shape},\"data_offsets\":[0,25]}}}}"), "has 25 bytes"),
        (format!("{{\"x\":{{{f32},{shape},\"data_offsets\":[8,32]}}}}"), "is cut short"),
        (format!("{{\"x\":{{{f32},{shape},\"data_offsets\":[24,0]}}}}"), "has no place"),
        (
            format!(
                "{{\"x\":{{{f32},\"shape\":[4294967296,4294967296],\"data_offsets\":[0,24]}}}}"
            ),
            "has 24 bytes",
        ),
        (
            format!(
                "{{\"x\":{{{f32},\"shape\":[4611686018427387904,4],\"data_offsets\":[0,24]}}}}"
            ),
            "has 24 bytes",
        ),
        (
            format!("{{\"x\":{{\"dtype\":\"F8_E4M3\",{shape},\"data_offsets\":[0,6]}}}}"),
            "is F8_E4M3, which is not read",
        ),
        (format!("{{\"x\":{{{f32},{shape}}}}}"), "broken header"),
        ("{}".to_owned(), "does not say which array the logits are"),
        ("{\"x\"".to_owned(), "broken header"),
    ] {
        folder.write("x.safetensors", &tensors(&header));
        refused(
            &folder,
            &["apply", "x.safetensors", "-t", "1", "-o", "out.npy"],
            &["x.safetensors: ", reason],
        );
    }
    let good = format!("{{\"x\":{{{f32},{shape},\"data_offsets\":[0,24]}}}}");
    let mut long = tensors(&good);
    long[..8].copy_from_slice(&99_999_999u64.to_le_bytes());
    folder.write("x.safetensors", &long);
    refused(&folder, &["apply", "x.safetensors", "-t", "1", "-o", "out.npy"], &["is cut short"]);
    // From a pipe, whose size nobody knows: no rows that would begin behind the end.
    let behind = format!("{{\"x\":{{{f32},\"shape\":[0,2],\"data_offsets\":[25,25]}}}}");
    let output =
        softargmax(&folder, &["apply", "-", "-t", "1", "-o", "out.npy"], &tensors(&behind));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("standard input: is cut short"), "{said}");
    folder.write("x.safetensors", &tensors(&good));
    refused(
        &folder,
        &["apply", "x.safetensors:y", "-t", "1", "-o", "out.npy"],
        &["has no array 'y'", "there are x"],
    );
    run(&folder, &["apply", "x.safetensors:x", "-t", "1", "-o", "out.npy"], 0);
    fs::remove_file(folder.path("out.npy")).expect("removed");

    // A bomb: 64 MiB of zeros in some 64 KiB, of which the header of the array wants six numbers.
    let member = [f32_npy("(3, 2)", &[0.0; 6]), vec![0; 64 << 20]].concat();
    folder.write("x.npz", &npz(&[("logits.npy", &member)], true));
    refused(
        &folder,
        &["apply", "x.npz", "-t", "1", "-o", "out.npy"],
        &["is too long: shape [3, 2] needs 24 bytes"],
    );
    // And one whose directory lies about it.
    let lying = npz(&[("logits.npy", &f32_npy("(3, 2)", &[0.0; 6]))], true);
    folder.write("x.npz", &tables::with_another_checksum(lying));
    refused(
        &folder,
        &["apply", "x.npz", "-t", "1", "-o", "out.npy"],
        &["its size or checksum is another"],
    );
}

#[test]
fn what_can_only_be_read_by_python_says_how() {
    let folder = Folder::new();
    let torch =
        npz(&[("archive/data.pkl", b"\x80\x02}q\x00."), ("archive/data/0", &[0; 8])], false);
    let objects = npz(&[("logits.npy", &npy("'|O'", false, "(2,)", b"\x80\x04."))], false);
    for (name, bytes, parts) in [
        ("x.pkl", &b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00"[..], ["pickle", "torch.load"]),
        ("x.pt", &torch, ["torch.save", "weights_only=True"]),
        ("x.npz", &objects, ["Python objects", "np.save(path, x.astype(np.float64))"]),
        ("x.h5", b"\x89HDF\r\n\x1a\n\x00\x00\x00\x00\x00\x00\x00\x00", ["HDF5", "h5py"]),
        ("x.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ["compressed", "zcat"]),
        ("x.parquet", b"1,2\n", ["not a .parquet file", "PAR1"]),
    ] {
        folder.write(name, bytes);
        refused(
            &folder,
            &["apply", name, "-t", "1", "-o", "out.npy"],
            &[&[name], &parts[..]].concat(),
        );
    }
}
