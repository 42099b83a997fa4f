//! `softargmax apply` on files that are as they should be.

use std::io::Read;
use std::process::{Output, Stdio};

use crate::files::{Folder, command, f32_npy, f64_npy, npy, softargmax};
use half::f16;

/// Header and numbers of a .npy file that the program wrote.
struct Array {
    header: String,
    data: Vec<u8>,
}

impl Array {
    fn parse(bytes: &[u8]) -> Self {
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!(end % 64, 0, "NumPy aligns its numbers");
        let header = String::from_utf8(bytes[10..end].to_vec()).expect("ASCII");
        Self { header: header.trim_end().to_owned(), data: bytes[end..].to_vec() }
    }

    fn f64s(&self) -> Vec<f64> {
        assert!(self.header.contains("'<f8'"), "{}", self.header);
        self.data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
    }

    fn f32s(&self) -> Vec<f32> {
        assert!(self.header.contains("'<f4'"), "{}", self.header);
        self.data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    fn f16s(&self) -> Vec<f16> {
        assert!(self.header.contains("'<f2'"), "{}", self.header);
        self.data.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect()
    }
}

#[track_caller]
fn stderr_of(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[track_caller]
fn apply(folder: &Folder, args: &[&str]) -> Array {
    let args = [&["apply"], args, &["-o", "out.npy"]].concat();
    let output = softargmax(folder, &args, b"");
    assert_eq!(stderr_of(&output), "");
    Array::parse(&folder.read("out.npy"))
}

#[track_caller]
fn apply_to(bytes: &[u8], args: &[&str]) -> Array {
    let folder = Folder::with("in.npy", bytes);
    let array = apply(&folder, &[&["in.npy"], args].concat());
    assert_eq!(folder.names(), ["in.npy", "out.npy"]);
    array
}

/// The textbook formula, good enough to tell a right answer from a wrong one.
fn softmax(logits: &[f64], tau: f64) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = logits.iter().map(|x| ((x - max) / tau).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

#[track_caller]
fn assert_close(got: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= relative * b.abs(), "number {i}: {a:e}, not {b:e}");
    }
}

/// Numbers without a pattern that a wrong order could hide in.
fn logits(count: usize) -> Vec<f64> {
    (0..count as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 * 1e-6).collect()
}

fn f32_logits(count: usize) -> Vec<f32> {
    logits(count).iter().map(|&x| x as f32).collect()
}

#[test]
fn an_array_comes_out_in_its_own_type_and_shape() {
    let numbers = [1.0, 5.0, 7.0, 10.0, 0.0, 0.0, f64::NEG_INFINITY, 1.0];
    let expected = [softmax(&numbers[..4], 1.8), softmax(&numbers[4..], 1.8)].concat();

    let array = apply_to(&f64_npy("(2, 4)", &numbers), &["-t", "1.8"]);
    assert_eq!(array.header, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }");
    assert_close(&array.f64s(), &expected, 1e-14);

    let array = apply_to(&f32_npy("(2, 4)", &numbers.map(|x| x as f32)), &["-t", "1.8"]);
    assert_eq!(array.header, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }");
    let got: Vec<f64> = array.f32s().iter().map(|&p| p.into()).collect();
    assert_close(&got, &expected, 1e-6);

    let halves: Vec<u8> = numbers.iter().flat_map(|&x| f16::from_f64(x).to_le_bytes()).collect();
    let array = apply_to(&npy("'<f2'", false, "(2, 4)", &halves), &["-t", "1.8"]);
    let got: Vec<f64> = array.f16s().iter().map(|&p| p.to_f64()).collect();
    assert_close(&got, &expected, 1e-3);

    let array = apply_to(&f64_npy("(4,)", &numbers[..4]), &["-t", "1.8"]);
    assert_eq!(array.header, "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }");
    assert_close(&array.f64s(), &expected[..4], 1e-14);

    let array = apply_to(&f64_npy("(0, 4)", &[]), &["-t", "1.8"]);
    assert_eq!(array.header, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4), }");
    assert!(array.data.is_empty());
}

#[test]
fn every_order_and_integer_of_the_same_numbers_gives_the_same_bits() {
    let numbers = [[3.0, 1.0, 2.0], [0.0, 7.0, 5.0]];
    let flat = numbers.concat();
    let columns: Vec<f64> = (0..6).map(|i| numbers[i % 2][i / 2]).collect();
    let expected = apply_to(&f64_npy("(2, 3)", &flat), &["-t", "2"]).f64s();
    let bytes = |encode: &dyn Fn(f64) -> Vec<u8>| flat.iter().flat_map(|&x| encode(x)).collect();
    let fortran: Vec<u8> = columns.iter().flat_map(|x| x.to_be_bytes()).collect();
    let cases: [(&str, bool, Vec<u8>); 8] = [
        ("'>f8'", false, bytes(&|x| x.to_be_bytes().to_vec())),
        ("'>f8'", true, fortran),
        ("'|u1'", false, bytes(&|x| vec![x as u8])),
        ("'<i2'", false, bytes(&|x| (x as i16).to_le_bytes().to_vec())),
        ("'>u4'", false, bytes(&|x| (x as u32).to_be_bytes().to_vec())),
        ("'<i4'", false, bytes(&|x| (x as i32).to_le_bytes().to_vec())),
        ("'>i8'", false, bytes(&|x| (x as i64).to_be_bytes().to_vec())),
        ("'<u8'", false, bytes(&|x| (x as u64).to_le_bytes().to_vec())),
    ];
    for (descr, is_fortran, data) in cases {
        let array = apply_to(&npy(descr, is_fortran, "(2, 3)", &data), &["-t", "2"]);
        assert_eq!(array.header, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }");
        assert_eq!(array.f64s(), expected, "{descr}");
    }
    let wide = apply_to(
        &npy("'>f4'", false, "(2, 3)", &bytes(&|x| (x as f32).to_be_bytes().to_vec())),
        &["-t", "2"],
    );
    assert_close(&wide.f32s().iter().map(|&p| p.into()).collect::<Vec<_>>(), &expected, 1e-6);
}

#[test]
fn any_axis_can_be_the_one_that_is_normalised() {
    let shape = [3, 50, 4];
    let numbers = logits(600);
    let bytes = f64_npy("(3, 50, 4)", &numbers);
    for (axis, text) in [(0, "0"), (1, "-2"), (2, "2")] {
        let array = apply_to(&bytes, &["-t", "3", "--axis", text]);
        assert!(array.header.contains("'shape': (3, 50, 4)"), "{}", array.header);
        let got = array.f64s();
        let stride: usize = shape[axis + 1..].iter().product();
        for start in (0..600).filter(|i| (i / stride).is_multiple_of(shape[axis])) {
            let lane = |from: &[f64]| -> Vec<f64> {
                (0..shape[axis]).map(|a| from[start + a * stride]).collect()
            };
            assert_close(&lane(&got), &softmax(&lane(&numbers), 3.0), 1e-13);
        }
    }
    // As CSV, too: columns that sum to 1.
    let folder = Folder::with("in.npy", &f64_npy("(2, 3)", &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]));
    let args = ["apply", "in.npy", "-t", "1", "--axis", "0", "-o", "out.csv"];
    assert_eq!(stderr_of(&softargmax(&folder, &args, b"")), "");
    assert_eq!(folder.read("out.csv"), b"0.5,0.5,0.5\n0.5,0.5,0.5\n");
}

#[test]
fn csv_keeps_its_header_and_reads_back_to_the_same_bits() {
    let folder =
        Folder::with("in.csv", b"\xef\xbb\xbfcat,\"dog, wet\"\r\n0,1e-3\r\n\r\n-inf,5\r\n");
    let output = softargmax(&folder, &["apply", "in.csv", "-t", "0.1", "-o", "out.tsv"], b"");
    assert!(stderr_of(&output).starts_with("note: in.csv: line 1 has no number in it"));
    let text = String::from_utf8(folder.read("out.tsv")).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2], lines.len()), ("cat\tdog, wet", "0\t1", 3));

    let folder = Folder::with("in.csv", b"0,1e-3\n-inf,5\n");
    let array = apply(&folder, &["in.csv", "-t", "0.1"]);
    assert!(array.header.contains("'shape': (2, 2)"), "{}", array.header);
    let from_text: Vec<f64> = lines[1].split('\t').map(|x| x.parse().expect("a number")).collect();
    assert_eq!(from_text, array.f64s()[..2]);
}

#[test]
fn streams_carry_what_files_do() {
    let bytes = f32_npy("(2, 3)", &f32_logits(6));
    let folder = Folder::with("in.npy", &bytes);
    apply(&folder, &["in.npy", "-t", "1"]);
    let output = softargmax(&folder, &["apply", "-", "-t", "1", "-o", "-"], &bytes);
    stderr_of(&output);
    assert_eq!(output.stdout, folder.read("out.npy"));

    let args = ["apply", "-", "-t", "1", "-o", "-", "--delimiter", ";", "--format", "csv"];
    let output = softargmax(&folder, &args, b"1;1\n2;2\n");
    stderr_of(&output);
    assert_eq!(output.stdout, b"0.5;0.5\n0.5;0.5\n");

    // How many rows CSV has is known at its end, and stands at the beginning of .npy.
    let output = softargmax(&folder, &["apply", "-", "-t", "1", "-o", "-"], b"1,1\n2,2\n3,3\n");
    stderr_of(&output);
    let array = Array::parse(&output.stdout);
    assert!(array.header.contains("'shape': (3, 2)"), "{}", array.header);
    assert_eq!(array.f64s(), [0.5; 6]);
    assert_eq!(folder.names(), ["in.npy", "out.npy"]);
}

#[test]
fn blocks_and_threads_leave_no_trace() {
    // Three blocks and a bit, the last row of each block at its very end or not.
    for classes in [1000, 1024] {
        let rows = 3_300_000 / classes;
        let numbers = f32_logits(rows * classes);
        let whole = f32_npy(&format!("({rows}, {classes})"), &numbers);
        let one = apply_to(&whole, &["-t", "0.7", "--threads", "1"]);
        let two = apply_to(&whole, &["-t", "0.7", "--threads", "2"]);
        assert!(one.data == two.data, "threads");
        let pieces = numbers.chunks(700 * classes).flat_map(|piece| {
            let shape = format!("({}, {classes})", piece.len() / classes);
            apply_to(&f32_npy(&shape, piece), &["-t", "0.7"]).data
        });
        assert!(one.data == pieces.collect::<Vec<u8>>(), "blocks");
    }
}

#[test]
fn log_probabilities_keep_what_probabilities_lose() {
    let array = apply_to(&f64_npy("(2,)", &[0.0, 21.64]), &["-t", "1", "--log"]);
    let tiny = -(-21.64f64).exp().ln_1p();
    assert_close(&array.f64s(), &[-21.64 + tiny, tiny], 1e-14);
}

#[test]
fn another_type_is_rounded_to_once() {
    let numbers = f32_logits(600);
    let widened: Vec<f64> = numbers.iter().map(|&x| x.into()).collect();
    let in_f64 = apply_to(&f64_npy("(6, 100)", &widened), &["-t", "1"]).f64s();

    let in_f32: Vec<f32> = in_f64.iter().map(|&p| p as f32).collect();
    let from_f64 = apply_to(&f64_npy("(6, 100)", &widened), &["-t", "1", "--dtype", "f32"]);
    assert_eq!(from_f64.f32s(), in_f32);

    let bytes = f32_npy("(6, 100)", &numbers);
    assert_eq!(apply_to(&bytes, &["-t", "1", "--dtype", "f64"]).f64s(), in_f64);
    let narrow = apply_to(&bytes, &["-t", "1", "--dtype", "f16"]).f16s();
    for (p, exact) in narrow.iter().zip(&in_f64) {
        let ulp = if p.to_f64() < 6.2e-5 { 2f64.powi(-24) } else { p.to_f64() * 2f64.powi(-10) };
        assert!((p.to_f64() - exact).abs() <= ulp / 2.0, "{p} {exact}");
    }
}

#[test]
fn rows_with_a_nan_stay_nan_and_are_counted() {
    let numbers = [1.0, 2.0, f64::NAN, 3.0, 4.0, 5.0, 6.0, f64::NAN];
    let folder = Folder::with("in.npy", &f64_npy("(4, 2)", &numbers));
    let args = ["apply", "in.npy", "-t", "1", "-o", "out.npy", "--json"];
    let output = softargmax(&folder, &args, b"");
    let warning = "warning: in.npy: 2 rows have a nan and came out as nan; the first is row 1\n";
    assert_eq!(stderr_of(&output), warning);
    let got = Array::parse(&folder.read("out.npy")).f64s();
    let is_nan: Vec<bool> = got.iter().map(|p| p.is_nan()).collect();
    assert_eq!(is_nan, [false, false, true, true, false, false, true, true]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = serde_json::json!({
        "schema": "softargmax.apply/1", "rows": 4, "classes": 2, "dtype": "f64",
        "temperature": 1.0, "output": "out.npy", "log": false, "nan_rows": 2,
    });
    assert_eq!(document, expected);
}

#[test]
fn an_output_may_replace_its_input() {
    let folder = Folder::with("x.npy", &f64_npy("(2,)", &[3.0, 3.0]));
    let output = softargmax(&folder, &["apply", "x.npy", "-t", "1", "-o", "x.npy"], b"");
    assert_eq!(stderr_of(&output), "");
    assert_eq!(Array::parse(&folder.read("x.npy")).f64s(), [0.5, 0.5]);
    assert_eq!(folder.names(), ["x.npy"]);
}

#[cfg(unix)]
#[test]
fn permissions_are_those_of_any_file_and_links_stay_links() {
    use std::fs::{Permissions, metadata, set_permissions, symlink_metadata};
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::with("in.csv", b"1,2\n");
    let mode = |name| metadata(folder.path(name)).expect("there").permissions().mode() & 0o777;
    let apply =
        |to| stderr_of(&softargmax(&folder, &["apply", "in.csv", "-t", "1", "-o", to], b""));
    apply("new.csv");
    assert_eq!(mode("new.csv"), mode("in.csv"), "the umask decides");

    set_permissions(folder.path("new.csv"), Permissions::from_mode(0o640)).expect("set");
    symlink("new.csv", folder.path("link.csv")).expect("linked");
    folder.write("new.csv", b"old");
    apply("link.csv");
    assert!(symlink_metadata(folder.path("link.csv")).expect("there").is_symlink());
    assert_ne!(folder.read("new.csv"), b"old");
    assert_eq!(mode("new.csv"), 0o640, "a file that was there keeps its own");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::with("in.npy", &f32_npy("(1000, 1000)", &f32_logits(1_000_000)));
    for format in ["npy", "csv"] {
        let args = ["apply", "in.npy", "-t", "1", "-o", "-", "--format", format];
        let mut command = command(&folder, &args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("starts");
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut [0; 100]).expect("some output");
        drop(stdout);
        assert_eq!(stderr_of(&child.wait_with_output().expect("ends")), "");
    }
}

/// What the program promises for files of any size: it stays under 256 MiB.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded() {
    use std::fs::{File, read_to_string};

    let cases = [
        ("'<f4'", "(80, 1000000)", 80_000_000 * 4, "-1"), // larger than what is allowed
        ("'<f8'", "(1, 16777216)", 16_777_216 * 8, "-1"), // the longest row
        ("'<f8'", "(4096, 4096)", 16_777_216 * 8, "0"),   // the largest panel
    ];
    for (descr, shape, size, axis) in cases {
        let header = npy(descr, false, shape, &[]);
        let folder = Folder::with("in.npy", &header);
        // A hole in the file: zeros that take no room on the disk.
        let file = File::options().write(true).open(folder.path("in.npy")).expect("opens");
        file.set_len(header.len() as u64 + size).expect("grows");

        let args =
            ["apply", "in.npy", "-t", "1", "-o", "/dev/null", "--format", "npy", "--axis", axis];
        let mut child = command(&folder, &args).spawn().expect("starts");
        let mut peak_kib = 0;
        while child.try_wait().expect("waits").is_none() {
            // The high-water mark of the process so far; gone when it has ended.
            let status = read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let mark = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            peak_kib = peak_kib.max(mark.unwrap_or(0));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(child.wait().expect("ended").success());
        assert!((1..256 * 1024).contains(&peak_kib), "{shape}: {peak_kib} KiB");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing() {
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        let folder = Folder::with("out.npy", b"what was there");
        let mut command = command(&folder, &["apply", "-", "-t", "1", "-o", "out.npy"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("starts");
        // A stream that does not end: the program waits for the rest of it.
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(&f64_npy("(2, 2)", &[1.0])).expect("written");
        while folder.names().len() < 2 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let pid = child.id().to_string();
        let killed = Command::new("kill").args(["-s", signal, &pid]).status().expect("runs");
        assert!(killed.success());
        assert_eq!(child.wait().expect("ends").signal(), Some(number));
        assert_eq!(folder.names(), ["out.npy"]);
        assert_eq!(folder.read("out.npy"), b"what was there");
    }
}
