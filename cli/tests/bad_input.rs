//! What is refused: with exit code 2, a message that names file, row and reason, and no output left.

use crate::files::{Folder, command, f32_npy, f64_npy, npy, softargmax};

/// Applies to a file of these bytes and checks the refusal: every one of `parts` is in the message.
#[track_caller]
fn refused(name: &str, bytes: &[u8], parts: &[&str]) {
    refused_with(name, bytes, &[], parts);
}

#[track_caller]
fn refused_with(name: &str, bytes: &[u8], args: &[&str], parts: &[&str]) {
    let folder = Folder::with(name, bytes);
    let args = [&["apply", name, "-t", "1", "-o", "out.npy"], args].concat();
    let message = refusal(&folder, &args);
    assert!(message.starts_with(&format!("error: {name}: ")), "{message}");
    for part in parts {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
    assert_eq!(folder.names(), [name], "something was left behind");

    // The same bytes as a stream, whose size is not known beforehand.
    if !bytes.is_empty() && args.len() == 6 && !parts.contains(&"not a .npy file") {
        let args = ["apply", "-", "-t", "1", "-o", "out.npy"];
        let output = softargmax(&folder, &args, bytes);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.starts_with("error: standard input: "), "{message}");
        assert_eq!(folder.names(), [name], "something was left behind");
    }
}

/// The message of a run that must end with exit code 2.
#[track_caller]
fn refusal(folder: &Folder, args: &[&str]) -> String {
    let output = softargmax(folder, args, b"");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(output.stdout.is_empty(), "something was printed");
    message
}

#[test]
fn numbers_that_are_objects_or_no_numbers() {
    for (descr, reason, remedy) in [
        ("'|O'", "Python objects", "x.astype(np.float64)"),
        ("'<c8'", "complex numbers", "x.real"),
        ("'<U3'", "text", "x.astype(np.float64)"),
        ("'<V2'", "bfloat16", "x.astype(np.float32)"),
        ("[('a', '<f4')]", "structured", "np.stack"),
    ] {
        refused("x.npy", &npy(descr, false, "(1, 2)", &[0; 16]), &[reason, "\nhint: ", remedy]);
    }
}

#[test]
fn fortran_order_is_read_right_where_it_fits_in_memory() {
    let numbers = [[1.0, 2.0, 9.0], [3.0, 1.0, 0.0]];
    let columns = [1.0, 3.0, 2.0, 1.0, 9.0, 0.0];
    let bytes = |numbers: &[f64]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    let folder = Folder::with("c.npy", &npy("'<f8'", false, "(2, 3)", &bytes(&numbers.concat())));
    folder.write("f.npy", &npy("'<f8'", true, "(2, 3)", &bytes(&columns)));
    for name in ["c", "f"] {
        let (from, to) = (format!("{name}.npy"), format!("{name}-out.npy"));
        let output = softargmax(&folder, &["apply", &from, "-t", "1", "-o", &to], b"");
        assert!(output.status.success());
    }
    assert_eq!(folder.read("c-out.npy"), folder.read("f-out.npy"));

    // A stream, so that nobody needs 128 MiB on the disk to see it refused.
    let large = npy("'<f8'", true, "(16777217, 2)", &[]);
    let output = softargmax(&folder, &["apply", "-", "-t", "1", "-o", "out.npy"], &large);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    for part in ["standard input: ", "Fortran order", "np.ascontiguousarray(x)"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!folder.path("out.npy").exists());
}

#[test]
fn three_axes_are_rows_along_the_last_one() {
    let numbers: Vec<f64> = (0..24).map(f64::from).collect();
    let folder = Folder::with("3.npy", &f64_npy("(2, 3, 4)", &numbers));
    folder.write("2.npy", &f64_npy("(6, 4)", &numbers));
    for name in ["3", "2"] {
        let (from, to) = (format!("{name}.npy"), format!("{name}-out.npy"));
        let output = softargmax(&folder, &["apply", &from, "-t", "1", "-o", &to], b"");
        assert!(output.status.success());
    }
    let (three, two) = (folder.read("3-out.npy"), folder.read("2-out.npy"));
    assert_eq!(three[128..], two[128..]);
    // But CSV has two axes.
    let message = refusal(&folder, &["apply", "3.npy", "-t", "1", "-o", "out.csv"]);
    assert!(message.contains("out.csv: cannot be written: CSV has 2 axes, not 3"), "{message}");
    assert!(!folder.path("out.csv").exists());
}

#[test]
fn axes_and_shapes_without_rows() {
    let x = f64_npy("(1, 2)", &[1.0, 2.0]);
    refused_with("x.npy", &x, &["--axis", "2"], &["axis 2 does not exist", "from -2 to 1"]);
    refused_with("x.csv", b"1,2\n", &["--axis", "0"], &["axis 0 of CSV"]);
    refused("x.npy", &f64_npy("(3, 0)", &[]), &["rows of 0 classes"]);
    refused("x.npy", &f64_npy("()", &[1.0]), &["without axes"]);
    refused("x.npy", &f64_npy("(1, 99999999999)", &[]), &["too long"]);
    refused("x.npy", &f64_npy("(99999999999, 99999999999)", &[]), &["larger than any file"]);
}

#[test]
fn files_that_are_too_short_or_too_long() {
    let whole = f32_npy("(3, 2)", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    refused(
        "x.npy",
        &whole[..whole.len() - 5],
        &["cut short: shape [3, 2] needs 24 bytes", "there are 19"],
    );
    let longer = [&whole[..], &[0]].concat();
    refused("x.npy", &longer, &["too long: shape [3, 2] needs 24 bytes", "there are 25"]);
    refused("x.npy", &whole[..20], &["ends in its header"]);
    refused("x.npy", &whole[..9], &["ends in its header"]);

    let folder = Folder::new();
    let args = ["apply", "-", "-t", "1", "-o", "out.npy"];
    let output = softargmax(&folder, &args, &whole[..whole.len() - 5]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("standard input: row 2: is cut short"), "{message}");
}

#[test]
fn broken_headers_and_other_files() {
    let x = f64_npy("(1, 2)", &[1.0, 2.0]);
    let mut other_version = x.clone();
    other_version[6] = 9;
    refused("x.npy", &other_version, &["version 9.0"]);
    let mut broken = x.clone();
    broken[12] = b'?';
    refused("x.npy", &broken, &["broken header", "np.save"]);
    refused("x.npy", b"1,2\n", &["not a .npy file"]);
    refused("x.npz", b"PK\x03\x04 and so on", &["zip archive", "np.save"]);
}

#[test]
fn integers_that_no_float_has() {
    let data = [1, 2, 3, (1i64 << 53) + 1].map(i64::to_le_bytes).concat();
    refused("x.npy", &npy("'<i8'", false, "(2, 2)", &data), &["row 1: 9007199254740993"]);
}

#[test]
fn csv_that_is_ragged_or_has_text() {
    refused("x.csv", b"1,2\n3,4\n5\n", &["row 2 (line 3): 1 column, where the first row has 2"]);
    refused("x.csv", b"a,b\n1,2,3\n", &["row 0 (line 2): 3 columns, where the header has 2"]);
    refused("x.csv", b"a,b\n1,2\n3,x\n", &["row 1 (line 3), column 1: 'x' is not a number"]);
    refused("x.csv", b"id7,1,2\n", &["row 0 (line 1), column 0: 'id7' is not a number"]);
    refused("x.csv", b"1,2\n,4\n", &["row 1 (line 2), column 0: nothing between", "write nan"]);
    refused("x.csv", b"1;2\n", &["no number in its only line", "delimiter"]);
    refused("x.csv", b"1;2\n3;4\n", &["row 0 (line 2), column 0: '3;4' is not", "delimiter"]);
    refused("x.csv", b"1,\xff\xfe\x00\n", &["row 0 (line 1), column 1"]);
    refused("x.csv", b"1,\"2\n", &["row 0 (line 1), column 1"]);
}

#[test]
fn nothing_to_read() {
    refused("x.npy", b"", &["is empty"]);
    refused("x.csv", b"", &["is empty"]);
    refused("x.csv", b"\n \r\n", &["every line is blank"]);
    let folder = Folder::new();
    let message = refusal(&folder, &["apply", "none.npy", "-t", "1", "-o", "out.npy"]);
    assert!(message.contains("none.npy: cannot be read: No such file"), "{message}");
    let message = refusal(&folder, &["apply", ".", "-t", "1", "-o", "out.npy"]);
    assert!(message.contains(".: is a folder without files"), "{message}");
    assert!(folder.names().is_empty());
}

#[test]
fn temperatures_that_are_none() {
    let folder = Folder::with("x.csv", b"1,2\n");
    for tau in ["nan", "NaN", "-1", "-inf", "hot", ""] {
        let message = refusal(&folder, &["apply", "x.csv", "-t", tau, "-o", "out.csv"]);
        assert!(message.contains("--temperature"), "{message}");
    }
    assert_eq!(folder.names(), ["x.csv"]);
}

#[test]
fn rows_without_a_distribution() {
    let inf = f64::NEG_INFINITY;
    let x = f64_npy("(3, 2)", &[1.0, 2.0, inf, inf, 1.0, 2.0]);
    refused("x.npy", &x, &["row 1: every entry is -inf", "no distribution", "\nhint: "]);
    let x = f64_npy("(2, 2, 2)", &[1.0, inf, 2.0, 3.0, inf, 0.0, inf, 0.0]);
    refused_with("x.npy", &x, &["--axis", "1"], &["row 2 [1, :, 0]: every entry is -inf"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::with("x.csv", b"1,2\n");
    let refusal =
        |args: &[&str]| refusal(&folder, &[&["apply", "x.csv", "-t", "1"], args].concat());
    let message = refusal(&["-o", "no/such/out.npy"]);
    assert!(message.contains("no/such/out.npy: the folder no/such does not exist"), "{message}");
    assert!(message.contains("hint: mkdir -p no/such"), "{message}");
    let message = refusal(&["-o", "x.csv/out.npy"]);
    assert!(message.contains("x.csv/out.npy: cannot be written: not a directory"), "{message}");
    let message = refusal(&["-o", "out.txt"]);
    assert!(message.contains("out.txt: the name does not say which format"), "{message}");
    let message = refusal(&["-o", ".", "--format", "csv"]);
    assert!(message.contains("cannot be written: Is a directory"), "{message}");
    let message = refusal(&["-o", "-", "--json"]);
    assert!(message.contains("standard output cannot take both"), "{message}");
    let message = refusal(&["-o", "out.csv", "--delimiter", "5"]);
    assert!(message.contains("'5' cannot separate numbers"), "{message}");
    assert_eq!(folder.names(), ["x.csv"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let folder = Folder::with("x.npy", &f64_npy("(1, 2)", &[1.0, 2.0]));
    for format in ["npy", "csv"] {
        let args = ["apply", "x.npy", "-t", "1", "-o", "/dev/full", "--format", format];
        let message = refusal(&folder, &args);
        assert!(message.contains("/dev/full: cannot be written: No space left"), "{message}");
        assert!(message.contains("\nhint: make room"), "{message}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").expect("opens");
    let mut to_stdout = command(&folder, &["apply", "x.npy", "-t", "1", "-o", "-"]);
    let output = to_stdout.stdout(full).output().expect("runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("standard output: No space left"), "{message}");
}

/// The disk fills up half way, which a limit on the size of files stands in for.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_grow_is_taken_away_again() {
    let folder = Folder::with("x.npy", &f32_npy("(1000, 1000)", &vec![0.0; 1_000_000]));
    folder.write("out.npy", b"what was there");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" apply x.npy -t 1 -o out.npy";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_softargmax")])
        .current_dir(folder.path(""))
        .output()
        .expect("runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("error: out.npy: cannot be written: File too large"), "{message}");
    assert_eq!(folder.names(), ["out.npy", "x.npy"]);
    assert_eq!(folder.read("out.npy"), b"what was there");
}

#[test]
fn big_endian_is_read_right() {
    let numbers = [1.0f64, 5.0, 7.0, 10.0];
    let big = numbers.map(f64::to_be_bytes).concat();
    let folder = Folder::with("big.npy", &npy("'>f8'", false, "(4,)", &big));
    folder.write("little.npy", &f64_npy("(4,)", &numbers));
    let [big, little] = ["big.npy", "little.npy"].map(|name| {
        let output = softargmax(&folder, &["apply", name, "-t", "0.1", "-o", "-"], b"");
        assert!(output.status.success());
        output.stdout
    });
    assert_eq!(big, little);
}
