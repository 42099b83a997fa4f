//! `softargmax report` as its users meet it.

use std::path::Path;
use std::process::Output;

use crate::files::{self, Folder, f32_npy, f64_npy, softargmax};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;

/// The digits' logits and labels in a folder of their own.
fn digits() -> Folder {
    let folder = Folder::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits");
    for name in ["logits.npy", "labels.npy"] {
        folder.write(name, &std::fs::read(from.join(name)).expect("the digits"));
    }
    folder
}

const DIGITS: [&str; 4] = ["report", "logits.npy", "--labels", "labels.npy"];

fn run(folder: &Folder, args: &[&str]) -> String {
    let output = softargmax(folder, args, b"");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a run that must be refused says.
fn refusal(folder: &Folder, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = softargmax(folder, args, b"");
    assert_eq!(status.code(), Some(2), "{args:?}");
    assert!(stdout.is_empty(), "{args:?} printed a result");
    String::from_utf8(stderr).expect("UTF-8")
}

fn page(folder: &Folder, name: &str) -> String {
    String::from_utf8(folder.read(name)).expect("UTF-8")
}

fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).expect("well-formed XML")
}

/// All text below a node, without what is below its `<small>`.
fn text(node: Node) -> String {
    let is_small = |node: &Node| node.ancestors().any(|above| above.has_tag_name("small"));
    let texts = node.descendants().filter(|node| node.is_text() && !is_small(node));
    texts.filter_map(|node| node.text()).collect::<String>().trim().to_owned()
}

/// The cells of the line of the page's tables that begins with `name`.
fn cells(document: &Document, name: &str) -> Vec<String> {
    let is_element = |node: &Node, name: &str| node.tag_name().name() == name;
    let row = document.descendants().find(|node| {
        is_element(node, "tr")
            && node.children().any(|cell| is_element(&cell, "th") && text(cell) == name)
    });
    let row = row.unwrap_or_else(|| panic!("no line {name}"));
    row.children().filter(|cell| is_element(cell, "td")).map(text).collect()
}

/// Nothing that a browser would fetch or run, and no number that is none.
fn assert_sound(page: &str) {
    let document = parsed(page);
    for node in document.descendants().filter(Node::is_element) {
        assert!(!["script", "link", "img", "iframe"].contains(&node.tag_name().name()));
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(!["href", "src"].contains(&name) && !name.starts_with("on"), "{name}");
            assert!(!value.contains("NaN") && !value.contains("inf"), "{name}={value}");
        }
    }
    let namespaces = page.matches("xmlns=\"http").count();
    assert_eq!(page.matches("http").count(), namespaces, "a link");
    assert!(!page.contains("url(") && !page.contains("@import"));
    let words: Vec<&str> = page.split(|c: char| !c.is_alphanumeric()).collect();
    assert!(!words.contains(&"nan") && !words.contains(&"NaN"), "a nan on the page");
    assert!(page.len() < 300_000, "{} bytes", page.len());
}

#[test]
fn the_page_is_one_whole_file() {
    let folder = digits();
    let said = run(&folder, &[&DIGITS[..], &["-o", "report.html"]].concat());
    assert_eq!(said, "Overconfident by 2.1 points: dividing the logits by 2.239 helps\n");
    let page = page(&folder, "report.html");
    assert_sound(&page);
    let document = parsed(&page);
    assert_eq!(document.root_element().attribute("lang"), Some("en"));
    let all = |name: &str| {
        let name = name.to_owned();
        document.descendants().filter(move |n| n.tag_name().name() == name).collect::<Vec<_>>()
    };
    assert_eq!(all("svg").len(), 5);
    for svg in all("svg") {
        let child = |name| svg.children().find(|n| n.tag_name().name() == name).map(text);
        assert!(child("title").is_some_and(|title| !title.is_empty()));
        assert!(child("desc").is_some_and(|told| told.len() > 30));
    }
    assert!(all("th").iter().all(|th| th.attribute("scope").is_some()));
    assert!(page.contains("fitted on 449 rows drawn at random"), "which rows were used");
    assert!(page.contains("measured on the other 448"));
    assert_eq!(folder.names(), ["labels.npy", "logits.npy", "report.html"]);
}

/// `fit` holds the same half out, so its figures must be those of the page.
#[test]
fn the_figures_are_those_of_rows_that_were_held_out() {
    let folder = digits();
    run(&folder, &[&DIGITS[..], &["-o", "report.html", "--seed", "3"]].concat());
    let page = page(&folder, "report.html");
    let document = parsed(&page);
    let fit = ["fit", "logits.npy", "--labels", "labels.npy", "--holdout", "0.5", "--seed", "3"];
    let fit = run(&folder, &[&fit[..], &["--json"]].concat());
    let fit: Value = serde_json::from_str(&fit).expect("JSON");
    let heldout = |when: &str, what: &str| fit["heldout"][when][what].as_f64().expect("a number");

    let four = |x: f64| format!("{x:.4}");
    let percent = |x: f64| match x * 100.0 {
        x if x < 1.0 => format!("{x:.2}\u{202f}%"),
        x => format!("{x:.1}\u{202f}%"),
    };
    let written = |key: &str| match key {
        "nll" | "brier" => ["before", "after"].map(|when| four(heldout(when, key))),
        _ => ["before", "after"].map(|when| percent(heldout(when, key))),
    };
    let lines = [
        ("NLL", "nll"),
        ("Brier score", "brier"),
        ("Accuracy", "accuracy"),
        ("Mean confidence", "confidence"),
        ("ECE", "ece"),
    ];
    for (name, key) in lines {
        assert_eq!(cells(&document, name)[..2], written(key), "{name}");
    }
    let noise = percent(heldout("after", "ece_null_mean"));
    assert!(page.contains(&format!("noise\u{a0}{noise}")), "{noise}");
    let tau = fit["heldout"]["temperatures"][0].as_f64().expect("a temperature");
    assert!(page.contains(&format!("At τ = {tau:.3}")), "{tau}");
}

#[test]
fn the_pictures_stand_alone() {
    let folder = digits();
    std::fs::create_dir(folder.path("pictures")).expect("a folder");
    run(&folder, &[&DIGITS[..], &["-o", "report.html", "--svg", "pictures"]].concat());
    let mut names: Vec<String> = std::fs::read_dir(folder.path("pictures"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().display().to_string())
        .collect();
    names.sort();
    let expected = [
        "ece-by-temperature.svg",
        "nll-by-temperature.svg",
        "reliability-after.svg",
        "reliability-before.svg",
        "risk-coverage.svg",
    ];
    assert_eq!(names, expected);
    for name in names {
        let picture = page(&folder, &format!("pictures/{name}"));
        let document = Document::parse(&picture).expect("well-formed XML");
        assert_eq!(document.root_element().tag_name().name(), "svg", "{name}");
        assert!(picture.contains("prefers-color-scheme:dark"), "{name}");
        assert!(!picture.contains("NaN") && !picture.contains("inf "), "{name}");
        // What is drawn lies within the picture, but for the width of letters.
        for node in document.descendants().filter(|node| node.has_tag_name("line")) {
            for (name, limit) in [("x1", 360.0), ("x2", 360.0), ("y1", 500.0), ("y2", 500.0)] {
                let at: f64 = node.attribute(name).expect("an end").parse().expect("a number");
                assert!((0.0..=limit).contains(&at), "{name} = {at}");
            }
        }
    }
}

#[test]
fn the_text_has_both_diagrams_and_every_figure() {
    let folder = digits();
    let mut command = files::command(&folder, &DIGITS);
    command.env_remove("LC_ALL").env_remove("LC_CTYPE").env("LANG", "C.UTF-8");
    let output = command.output().expect("the program starts");
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).expect("UTF-8"));

    let output = files::command(&folder, &DIGITS).env("LC_ALL", "C").output().expect("starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!text.contains(['░', '●', '┤', '█']), "blocks in a plain locale");
}

#[test]
fn threads_do_not_change_a_byte() {
    let folder = digits();
    for threads in ["1", "2"] {
        let name = format!("{threads}.html");
        run(&folder, &[&DIGITS[..], &["-o", &name, "--threads", threads]].concat());
    }
    assert!(folder.read("1.html") == folder.read("2.html"));
    run(&folder, &[&DIGITS[..], &["-o", "other.html", "--seed", "1"]].concat());
    assert!(folder.read("1.html") != folder.read("other.html"), "the seed does nothing");
}

#[test]
fn streams_carry_the_page_and_nothing_else() {
    let folder = digits();
    let args = ["report", "-", "--labels", "labels.npy", "-o", "-"];
    let output = softargmax(&folder, &args, &folder.read("logits.npy"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("softargmax apply - -t 2.239"));
}

/// Uniform numbers from 0 to 1: splitmix64.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / 2f64.powi(53)
    }
}

/// Rows of three logits, and which of them has the largest.
fn rows(count: usize) -> (Vec<f64>, Vec<i64>) {
    let mut uniform = Uniform(1);
    let logits: Vec<f64> = (0..3 * count).map(|_| uniform.next() * 6.0 - 3.0).collect();
    let first = |row: &[f64]| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter().position(|&x| x == largest).expect("a largest") as i64
    };
    let labels = logits.chunks(3).map(first).collect();
    (logits, labels)
}

fn with_rows(logits: &[f64], labels: &[i64]) -> Folder {
    let shape = format!("({}, {})", labels.len(), logits.len() / labels.len().max(1));
    let folder = Folder::with("logits.npy", &f64_npy(&shape, logits));
    let labels: String = labels.iter().map(|label| format!("{label}\n")).collect();
    folder.write("labels.csv", labels.as_bytes());
    folder
}

#[test]
fn where_there_is_no_temperature_the_page_says_why() {
    let (logits, right) = rows(200);
    let wrong: Vec<i64> = right.iter().map(|label| (label + 1) % 3).collect();
    let worst: Vec<f64> = logits.iter().map(|x| -x).collect();
    let mut masked = logits.clone();
    // The label of every third row is impossible.
    for (row, &label) in wrong.iter().enumerate().step_by(3) {
        masked[3 * row + label as usize] = f64::NEG_INFINITY;
    }
    let cases = [
        (&logits, &right, "falls all the way to τ\u{a0}=\u{a0}0"),
        (&worst, &right, "falls all the way to τ\u{a0}=\u{a0}∞"),
        (&vec![0.5; 600], &right, "every row has equal logits"),
        (&masked, &wrong, "The NLL is infinite at every temperature"),
    ];
    for (logits, labels, why) in cases {
        let folder = with_rows(logits, labels);
        let said =
            run(&folder, &["report", "logits.npy", "--labels", "labels.csv", "-o", "r.html"]);
        assert!(said.contains("no temperature can be told"), "{why}: {said}");
        let page = page(&folder, "r.html");
        assert!(page.contains(why), "{why}");
        assert!(!page.contains("softargmax apply"), "{why}: advice without reason");
        assert_sound(&page);
        run(&folder, &["report", "logits.npy", "--labels", "labels.csv", "--svg", "."]);
        assert!(!folder.path("reliability-after.svg").exists(), "{why}");
    }
}

/// Labels drawn from the probabilities themselves: nothing to mend, and nothing is claimed.
#[test]
fn a_calibrated_model_is_left_alone() {
    let (logits, _) = rows(600);
    let mut uniform = Uniform(2);
    let labels: Vec<i64> = logits
        .chunks(3)
        .map(|row| {
            let mut left = uniform.next();
            let p = softargmax::softmax(row, softargmax::Temperature::ONE).expect("p");
            let drawn = p.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            drawn.unwrap_or(2) as i64
        })
        .collect();
    let folder = with_rows(&logits, &labels);
    let said = run(&folder, &["report", "logits.npy", "--labels", "labels.csv", "-o", "r.html"]);
    assert_eq!(
        said,
        "Confidence and accuracy agree within noise: no temperature is clearly better than 1\n"
    );
    let page = page(&folder, "r.html");
    assert!(page.contains("is not ruled out") && page.contains("is within noise"));
    assert!(!page.contains("softargmax apply"), "advice without reason");
}

#[test]
fn names_are_text_and_never_markup() {
    let (logits, mut labels) = rows(60);
    labels.iter_mut().step_by(4).for_each(|label| *label = (*label + 1) % 3);
    let logits: Vec<f32> = logits.into_iter().map(|x| x as f32).collect();
    let folder = Folder::with("<i>'a' & \"b\".npy", &f32_npy("(60, 3)", &logits));
    let labels: String = labels.iter().map(|label| format!("{label}\n")).collect();
    folder.write("y&<b>.csv", labels.as_bytes());
    run(&folder, &["report", "<i>'a' & \"b\".npy", "--labels", "y&<b>.csv", "-o", "r.html"]);
    let page = page(&folder, "r.html");
    let document = parsed(&page);
    assert!(document.descendants().all(|node| !node.has_tag_name("i")));
    let source = document.descendants().find(|node| node.attribute("class") == Some("source"));
    let source = text(source.expect("the source"));
    assert!(source.starts_with("<i>'a' & \"b\".npy, labels y&<b>.csv: 60 rows"), "{source}");
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let (logits, labels) = rows(40);
    let folder = with_rows(&logits, &labels);
    folder.write("old.html", b"old");
    folder.write("far.csv", labels.iter().map(|_| "3\n").collect::<String>().as_bytes());
    folder.write("short.csv", b"0\n1\n");
    let before = folder.names();
    let report = |more: &[&str]| refusal(&folder, &[&["report", "logits.npy"], more].concat());

    for output in ["new.html", "old.html"] {
        let message = report(&["--labels", "none.csv", "-o", output, "--svg", "."]);
        assert!(message.contains("none.csv"), "{message}");
        let message = report(&["--labels", "far.csv", "-o", output]);
        assert!(message.contains("far.csv: row 0"), "{message}");
        let message = report(&["--labels", "short.csv", "-o", output]);
        assert!(message.contains("40") && message.contains("2 labels"), "{message}");
    }
    let message = report(&["--labels", "labels.csv", "-o", "missing/r.html"]);
    assert!(message.contains("missing"), "{message}");
    let message = report(&["--labels", "labels.csv", "-o", "new.html", "--svg", "missing"]);
    assert!(message.contains("missing"), "{message}");
    assert_eq!(folder.names(), before);
    assert_eq!(folder.read("old.html"), b"old");
}

#[test]
fn too_few_rows_are_refused_and_few_are_said_to_be() {
    let (logits, labels) = rows(60);
    let folder = with_rows(&logits[..9], &labels[..3]);
    let message = refusal(&folder, &["report", "logits.npy", "--labels", "labels.csv"]);
    assert!(message.contains("logits.npy: 3 rows"), "{message}");

    let folder = with_rows(&logits, &labels);
    let text = run(&folder, &["report", "logits.npy", "--labels", "labels.csv"]);
    assert!(text.contains("30 rows to fit and 30 to measure are few"), "{text}");
}
