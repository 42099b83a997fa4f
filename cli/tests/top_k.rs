//! Rows of which the likeliest classes alone are stored: what the rows of all classes give that they stand for.

use crate::files::{Folder, f32_npy, f64_npy, npy};
use crate::labelled::{self, json, refused, run};
use serde_json::Value;

const CLASSES: usize = 7;
const K: usize = 3;
const MASK: [&str; 6] = ["--ids", ":ids", "--vocabulary", "7", "--rest", "mask"];
const EVEN: [&str; 6] = ["--ids", ":ids", "--vocabulary", "7", "--rest", "even"];

/// The K largest of every row, with their classes in no order.
struct TopK {
    ids: Vec<i64>,
    numbers: Vec<f32>,
    labels: Vec<i64>,
}

impl TopK {
    /// Of rows in which the labels are often among them; `log` for log-probabilities.
    fn new(rows: usize, log: bool) -> Self {
        let labels: Vec<i64> = (0..rows).map(|row| (row * 7919 % 1009 % CLASSES) as i64).collect();
        let (mut ids, mut numbers) = (Vec::new(), Vec::new());
        for (row, &label) in labels.iter().enumerate() {
            let logit = |class: usize| {
                let noise = ((row * CLASSES + class).wrapping_mul(2_654_435_761) >> 7) % 4001;
                let bonus = if class as i64 == label && row % 4 > 0 { 2.5 } else { 0.0 };
                noise as f32 / 777.7 + bonus
            };
            let logits: Vec<f32> = (0..CLASSES).map(logit).collect();
            let normaliser =
                if log { logits.iter().map(|x| x.exp()).sum::<f32>().ln() } else { 0.0 };
            let mut order: Vec<usize> = (0..CLASSES).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            order[..K].rotate_left(row % K);
            for &class in &order[..K] {
                ids.push(class as i64);
                numbers.push(logits[class] - normaliser);
            }
        }
        Self { ids, numbers, labels }
    }

    fn rows(&self) -> usize {
        self.labels.len()
    }

    /// All classes, the others with what `rest` makes of those that are stored.
    fn dense(&self, rest: impl Fn(&[f32]) -> f64) -> Vec<f64> {
        let stored = self.numbers.chunks(K).zip(self.ids.chunks(K));
        let row = |(numbers, ids): (&[f32], &[i64])| {
            let mut row = [rest(numbers); CLASSES];
            ids.iter().zip(numbers).for_each(|(&id, &x)| row[id as usize] = x.into());
            row
        };
        stored.flat_map(row).collect()
    }

    /// Without the rows whose label is not among the K.
    fn without_others(mut self) -> Self {
        for (label, ids) in self.labels.iter_mut().zip(self.ids.chunks(K)) {
            *label = if ids.contains(label) { *label } else { -100 };
        }
        self
    }

    fn jsonl(&self) -> String {
        let rows = self.ids.chunks(K).zip(self.numbers.chunks(K)).zip(&self.labels);
        let line = |((ids, numbers), label): ((&[i64], &[f32]), &i64)| {
            let numbers: Vec<f64> = numbers.iter().map(|&x| x.into()).collect();
            format!("{{\"ids\": {ids:?}, \"top\": {numbers:?}, \"label\": {label}}}\n")
        };
        rows.map(line).collect()
    }

    /// In several formats, each with its file of numbers, its ids and its labels.
    fn write(&self, folder: &Folder) -> Vec<[&'static str; 3]> {
        let bytes = |numbers: &[i64]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        let shape = format!("({}, {K})", self.rows());
        folder.write("top.npy", &f32_npy(&shape, &self.numbers));
        folder.write("ids.npy", &npy("'<i8'", false, &shape, &bytes(&self.ids)));
        let shape = format!("({},)", self.rows());
        folder.write("labels.npy", &npy("'<i8'", false, &shape, &bytes(&self.labels)));
        let jsonl = self.jsonl();
        folder.write("x.jsonl", jsonl.as_bytes());
        // Shards, which end elsewhere than those of the ids.
        let lines: Vec<&str> = jsonl.split_inclusive('\n').collect();
        folder.write("part-1.jsonl", lines[..41].concat().as_bytes());
        folder.write("part-2.jsonl", lines[41..].concat().as_bytes());
        let names = vec![
            ["top.npy", "ids.npy", "labels.npy"],
            ["x.jsonl:top", ":ids", ":label"],
            ["part-*.jsonl:top", "ids.npy", ":label"],
        ];
        #[cfg(feature = "arrow")]
        let names = {
            let table = crate::tables::top_k_parquet(&self.ids, &self.numbers, K, &self.labels);
            folder.write("x.parquet", &table);
            [names, vec![["x.parquet:top", ":ids", ":label"]]].concat()
        };
        names
    }
}

fn ln_even(numbers: &[f32]) -> f64 {
    let sum: f64 = numbers.iter().map(|&x| libm::exp(x.into())).sum();
    libm::log((1.0 - sum) / (CLASSES - K) as f64)
}

/// What a run says, less the names of files.
fn answer(folder: &Folder, args: &[&str]) -> Value {
    let mut document = json(folder, args, 0);
    for name in ["logits", "labels", "output"] {
        document.as_object_mut().expect("an object").remove(name);
    }
    document
}

#[test]
fn they_give_the_bits_of_the_rows_of_all_classes() {
    for (rest, log) in [("mask", false), ("mask", true), ("even", true)] {
        let top_k = TopK::new(300, log);
        let top_k = if rest == "mask" { top_k.without_others() } else { top_k };
        let folder = Folder::new();
        let shape = format!("(300, {CLASSES})");
        match rest {
            "even" => folder.write("dense.npy", &f64_npy(&shape, &top_k.dense(ln_even))),
            _ => {
                let dense = top_k.dense(|_| f64::NEG_INFINITY);
                let dense: Vec<f32> = dense.into_iter().map(|x| x as f32).collect();
                folder.write("dense.npy", &f32_npy(&shape, &dense));
            }
        }
        let all = top_k.write(&folder);
        for verb in [
            &["fit", "--holdout", "0", "--ignore-label", "-100"][..],
            &["eval", "-t", "0.5,1.7", "--replicates", "20", "--ignore-label", "-100"],
        ] {
            let (verb, more) = verb.split_first().expect("a verb");
            let dense = [&[*verb, "dense.npy", "--labels", "labels.npy"], more].concat();
            let expected = answer(&folder, &dense);
            for [numbers, ids, labels] in &all {
                let args = [verb, numbers, "--labels", labels, "--ids", ids];
                let args = [&args, &["--vocabulary", "7", "--rest", rest][..], more].concat();
                assert_eq!(answer(&folder, &args), expected, "{args:?}");
            }
        }
        let to = ["-t", "1.5", "--dtype", "f64", "-o"];
        run(&folder, &[&["apply", "dense.npy"], &to[..], &["dense.out.npy"]].concat(), 0);
        for [numbers, ids, _] in &all {
            let args = ["apply", numbers, "--ids", ids, "--vocabulary", "7", "--rest", rest];
            run(&folder, &[&args, &to[..], &["out.npy"]].concat(), 0);
            // Texts have no type, and are worked in as f64.
            let is_same = folder.read("out.npy") == folder.read("dense.out.npy");
            assert!(is_same, "{rest} {numbers}");
        }
    }
}

#[test]
fn a_label_among_the_others_is_an_infinite_loss_or_a_small_probability() {
    let (folder, top_k) = (Folder::new(), TopK::new(300, true));
    let outside = |row: &usize| !top_k.ids[row * K..][..K].contains(&top_k.labels[*row]);
    let outside: Vec<usize> = (0..300).filter(outside).collect();
    assert!(!outside.is_empty());
    folder.write("x.jsonl", top_k.jsonl().as_bytes());
    let fit = ["fit", "x.jsonl:top", "--labels", ":label"];
    let masked = json(&folder, &[&fit, &MASK[..]].concat(), 3);
    assert_eq!(masked["outcome"], "infinite_nll");
    assert_eq!(masked["infinite"], outside.len());
    assert_eq!(masked["infinite_rows"][0], outside[0]);
    let even = json(&folder, &[&fit, &EVEN[..]].concat(), 0);
    assert_eq!((&even["outcome"], &even["infinite"]), (&"converged".into(), &0.into()));
    // What it says to do can be done.
    let (said, _) = run(&folder, &[&fit, &EVEN[..]].concat(), 0);
    let advice = "softargmax apply 'x.jsonl:top' --ids ':ids' --vocabulary 7 --rest even -t ";
    assert!(said.contains(advice), "{said}");
    let scan = ["scan", "x.jsonl:top", "--labels", ":label", "-o", "scan.json"];
    run(&folder, &[&scan, &EVEN[..]].concat(), 0);
    let merged = json(&folder, &["merge", "scan.json"], 0);
    labelled::close(&merged["temperature"], even["temperature"].as_f64().expect("a number"), 1e-6);
}

#[test]
fn an_id_of_minus_one_is_no_class() {
    let folder = Folder::new();
    folder.write("x.jsonl", b"{\"x\": [-1, NaN, -2], \"ids\": [4, -1, 0]}\n");
    let args = ["apply", "x.jsonl:x", "--ids", ":ids", "--vocabulary", "5", "-t", "1"];
    let out = ["--format", "csv", "-o", "-"];
    let row = |rest: &str| -> Vec<f64> {
        let (text, _) = run(&folder, &[&args, &["--rest", rest][..], &out].concat(), 0);
        text.lines().last().expect("a row").split(',').map(|p| p.parse().expect("p")).collect()
    };
    let masked = row("mask");
    assert_eq!(masked[1..4], [0.0; 3]);
    assert!((masked[4] - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-15);
    let even = row("even");
    let p = [(-2f64).exp(), (-1f64).exp()];
    let each = (1.0 - p[0] - p[1]) / 3.0;
    let expected = [p[0], each, each, each, p[1]];
    assert!(even.iter().zip(expected).all(|(p, q)| (p - q).abs() < 1e-15), "{even:?}");
}

#[test]
fn what_is_no_top_k_is_named() {
    let folder = Folder::new();
    let mut lines = ["{\"x\": [-0.5, -1.5], \"ids\": [0, 3], \"label\": 0}\n"; 3];
    let apply = ["apply", "x.jsonl:x", "-t", "1", "-o", "out.npy", "--ids", ":ids"];
    let mask = [&apply, &["--vocabulary", "4", "--rest", "mask"][..]].concat();
    let even = [&apply, &["--vocabulary", "4", "--rest", "even"][..]].concat();
    folder.write("x.jsonl", lines.concat().as_bytes());
    run(&folder, &even, 0);
    std::fs::remove_file(folder.path("out.npy")).expect("removed");
    for (line, reason) in [
        ("{\"x\": [-0.5, -1.5], \"ids\": [0, 4]}\n", "id 4 is not of a vocabulary of 4"),
        ("{\"x\": [-0.5, -1.5], \"ids\": [0, -2]}\n", "id -2 is not of"),
        ("{\"x\": [-0.5, -1.5], \"ids\": [0, 0.5]}\n", "id 0.5 is not of"),
        ("{\"x\": [-0.5, -1.5], \"ids\": [0, NaN]}\n", "id NaN is not of"),
        ("{\"x\": [-0.5, -1.5], \"ids\": [3, 3]}\n", "id 3 twice"),
        ("{\"x\": [-0.5, -1.5], \"ids\": [3]}\n", "1 numbers, where the first row has 2"),
        ("{\"x\": [-0.5, -1.5], \"ids\": [3, null]}\n", "null is not a number"),
    ] {
        lines[1] = line;
        folder.write("x.jsonl", lines.concat().as_bytes());
        refused(&folder, &mask, &["error: x.jsonl:ids: row 1", reason]);
    }
    lines[1] = "{\"x\": [-0.5, -0.4], \"ids\": [0, 3]}\n";
    folder.write("x.jsonl", lines.concat().as_bytes());
    let sum = ["error: x.jsonl:x: row 1: ", "exp sums to 1.276851, beyond 1", "--rest mask"];
    refused(&folder, &even, &sum);
    let fit = ["fit", "x.jsonl:x", "--labels", ":label", "--ids", ":ids", "--vocabulary", "4"];
    folder.write("labels.csv", b"0\n0\n0\n");
    let fit = |more: &[&'static str]| [&fit[..3], &["labels.csv"], &fit[4..], more].concat();
    let mask_logarithms = fit(&["--rest", "mask", "--input", "log-probabilities"]);
    refused(&folder, &mask_logarithms, &sum[..2]);
    let probabilities = fit(&["--rest", "mask", "--input", "probabilities"]);
    refused(&folder, &probabilities, &["--ids is not for --input probabilities"]);
    // None of the two is guessed.
    refused(&folder, &fit(&[]), &["--rest"]);

    // Ids in a file of their own.
    let with = |ids: &'static str| [&mask[..7], &[ids], &mask[8..]].concat();
    folder.write("ids.csv", b"a,b\n0,1\n0,1\n");
    let short = "ids.csv: 2 rows of ids, and x.jsonl:x has more";
    refused(&folder, &with("ids.csv"), &[short]);
    folder.write("ids.csv", b"a,b\n0,1\n0,1\n0,1\n0,1\n");
    refused(&folder, &with("ids.csv"), &["ids.csv: more rows of ids than the 3 of x.jsonl:x"]);
    folder.write("ids.csv", b"a,b,c\n0,1,2\n");
    let wide = "ids.csv: rows of 3 ids, and x.jsonl:x has rows of 2 numbers";
    refused(&folder, &with("ids.csv"), &[wide]);
    refused(&folder, &with(":id"), &["x.jsonl:id: row 0 (line 1): has no column 'id'", "ids list"]);
    refused(&folder, &with("-"), &["ids cannot come from standard input"]);
    folder.write("ids.npy", &f64_npy("(2, 2)", &[0.0, 1.0, 0.0, 1.0]));
    folder.write("x.npy", &f64_npy("(3, 2)", &[0.0; 6]));
    let args = [&["apply", "x.npy"], &with("ids.npy")[2..]].concat();
    refused(&folder, &args, &["ids.npy: 2 rows of ids, and x.npy has 3 rows"]);
}
