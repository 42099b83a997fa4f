//! Functions of many rows: the bits of the library, whatever the files, partitions and batches.

use crate::rows::{CLASSES, Data, Layout, context, number, query};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{Float64Type, UInt64Type};
use softargmax::{Labels, Resampling, Rows, Scan, Tally, Temperature, TemperatureFit, scores};

fn assert_same(answer: &ArrayRef, row: usize, want: &TemperatureFit, what: &str) {
    let fit = answer.as_struct();
    let column = |name: &str| fit.column_by_name(name).unwrap();
    assert_eq!(column("outcome").as_string::<i32>().value(row), want.outcome.name(), "{what}");
    assert_eq!(column("rows").as_primitive::<UInt64Type>().value(row), want.rows, "{what}");
    let found = want.estimate.unwrap();
    for (name, want) in [
        ("temperature", found.temperature.tau()),
        ("std_error", found.std_error),
        ("robust_std_error", found.robust_std_error),
        ("p_value_tau_is_one", found.p_value),
        ("tolerance", found.tolerance),
        ("nll_before", want.nll_before),
        ("nll_after", found.nll),
        ("accuracy", want.accuracy),
    ] {
        let got = number(answer, name, row);
        assert_eq!(got.to_bits(), want.to_bits(), "{what}: {name} is {got}, not {want}");
    }
    let ends = column("interval").as_list::<i32>().value(row);
    assert_eq!(ends.as_primitive::<Float64Type>().values()[..], found.interval, "{what}");
}

#[tokio::test]
async fn a_fit_has_the_bits_of_the_library_however_the_rows_are_split() {
    let data = Data::new(5000, 1);
    let want = data.fit();
    assert!((1.2..4.0).contains(&want.estimate.unwrap().temperature.tau()), "{want:?}");
    for (files, threads, batch, layout) in [
        (1, 1, 8192, Layout::FixedSizeList),
        (3, 2, 512, Layout::List),
        (7, 4, 100, Layout::LargeList),
        (2, 3, 1, Layout::List),
    ] {
        let folder = tempfile::tempdir().unwrap();
        data.write(folder.path(), files, layout);
        let sql = format!(
            "select temperature_fit(logits, label), temperature_scan(logits, label) from '{}/*.parquet'",
            folder.path().display()
        );
        let answer = query(&context(threads, batch), &sql).await.unwrap();
        let what = format!("{files} files, {threads} threads, batches of {batch}, {layout:?}");
        assert_same(answer.column(0), 0, &want, &what);
        // The text is what `softargmax scan` writes.
        let text = answer.column(1).as_string::<i32>().value(0);
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(document["schema"], "softargmax.scan/1");
        let scan: Scan = serde_json::from_value(document["scan"].clone()).unwrap();
        assert!(scan == data.scan(), "{what}");
    }
}

#[tokio::test]
async fn a_group_is_fitted_as_if_it_were_alone() {
    let data = Data::new(4000, 2);
    let folder = tempfile::tempdir().unwrap();
    data.write(folder.path(), 5, Layout::FixedSizeList);
    let sql = format!(
        "select model, temperature_fit(logits, label) as fit, calibration(logits, label, '1.8') as at \
         from '{}/*.parquet' group by model order by model",
        folder.path().display()
    );
    let answer = query(&context(3, 300), &sql).await.unwrap();
    let models = answer.column(0).as_string_view_or_not();
    assert_eq!(models, ["first", "second"]);
    for (row, model) in models.iter().enumerate() {
        let alone = data.of_model(model);
        assert!(alone.rows() > 1000);
        assert_same(answer.column(1), row, &alone.fit(), model);
        assert_calibrated(answer.column(2), row, &alone, None, "1.8".parse().unwrap());
    }
}

/// Strings of either layout.
trait Strings {
    fn as_string_view_or_not(&self) -> Vec<String>;
}

impl Strings for ArrayRef {
    fn as_string_view_or_not(&self) -> Vec<String> {
        let text =
            datafusion::arrow::compute::cast(self, &datafusion::arrow::datatypes::DataType::Utf8);
        text.unwrap().as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    }
}

fn assert_calibrated(
    answer: &ArrayRef,
    row: usize,
    data: &Data,
    weights: Option<&[f64]>,
    tau: Temperature,
) {
    let logits = Rows::new(&data.logits, CLASSES).unwrap();
    let labels = Labels::new(&data.labels, CLASSES).unwrap();
    let mut tally = Tally::default();
    tally.add(&scores(logits, labels, weights, tau).unwrap());
    let (summary, error) = (tally.summary(), tally.calibration_error(&Resampling::default()));
    for (name, want) in [
        ("temperature", tau.tau()),
        ("nll", summary.nll.value),
        ("nll_std_error", summary.nll.std_error),
        ("brier", summary.brier.value),
        ("brier_std_error", summary.brier.std_error),
        ("accuracy", summary.accuracy.value),
        ("accuracy_std_error", summary.accuracy.std_error),
        ("confidence", summary.confidence.value),
        ("overconfidence", summary.overconfidence.value),
        ("ece", error.ece),
        ("ece_null_mean", error.null.mean),
        ("ece_p_value", error.null.p_value),
    ] {
        let got = number(answer, name, row);
        assert_eq!(got.to_bits(), want.to_bits(), "{name} is {got}, not {want}");
    }
    let rows = answer.as_struct().column_by_name("rows").unwrap().as_primitive::<UInt64Type>();
    assert_eq!(rows.value(row), summary.rows);
    assert_eq!(summary.rows == data.rows() as u64, weights.is_none());
}

#[tokio::test]
async fn calibration_is_that_of_the_library() {
    let data = Data::new(3000, 3);
    let context = context(2, 256);
    context.register_batch("logs", data.batch(Layout::List)).unwrap();
    let sql = "select calibration(logits, label, 2.5), calibration(logits, label) from logs";
    let answer = query(&context, sql).await.unwrap();
    assert_calibrated(answer.column(0), 0, &data, None, Temperature::new(2.5).unwrap());
    assert_calibrated(answer.column(1), 0, &data, None, Temperature::ONE);
    let several = "select calibration(logits, label, label + 1) from logs";
    let error = query(&context, several).await.unwrap_err().to_string();
    assert!(error.contains("tau changes from"), "{error}");
    let grouped =
        "select label + 1 as tau, calibration(logits, label, label + 1) from logs group by label";
    assert_eq!(query(&context, grouped).await.unwrap().num_rows(), CLASSES);
}

#[tokio::test]
async fn many_small_groups_are_each_their_own() {
    let data = Data::new(600, 4);
    let context = context(2, 64);
    context.register_batch("logs", data.batch(Layout::FixedSizeList)).unwrap();
    let sql = "select label, temperature_fit(logits, label) as fit from logs group by label order by label";
    let answer = query(&context, sql).await.unwrap();
    assert_eq!(answer.num_rows(), CLASSES);
    for row in 0..CLASSES {
        let mut of = Data { logits: Vec::new(), labels: Vec::new(), models: Vec::new() };
        for at in (0..data.rows()).filter(|&at| data.labels[at] == row as i64) {
            of.logits.extend(&data.logits[at * CLASSES..(at + 1) * CLASSES]);
            of.labels.push(row as i64);
        }
        assert_same(answer.column(1), row, &of.fit(), &format!("label {row}"));
    }
}

#[tokio::test]
async fn what_has_no_temperature_says_so() {
    let context = context(2, 64);
    let data = Data::new(100, 5);
    context.register_batch("logs", data.batch(Layout::List)).unwrap();
    for (sql, outcome) in [
        ("select temperature_fit(logits, label) as f from logs where label > 100", "no_rows"),
        ("select temperature_fit([1.0, 1.0], 1) as f", "constant_logits"),
        ("select temperature_fit([1.0, 2.0], 1) as f", "separable"),
        ("select temperature_fit([1.0, 2.0], 0) as f", "no_signal"),
        ("select temperature_fit([1.0, arrow_cast('-inf', 'Float64')], 1) as f", "infinite_nll"),
    ] {
        let answer = query(&context, sql).await.unwrap();
        let fit = answer.column(0).as_struct();
        let got = fit.column_by_name("outcome").unwrap().as_string::<i32>().value(0).to_owned();
        assert_eq!(got, outcome, "{sql}");
        assert!(fit.column_by_name("temperature").unwrap().is_null(0), "{sql}");
    }
    let nothing = "select calibration(logits, label) as c from logs where label > 100";
    let answer = query(&context, nothing).await.unwrap();
    let rows = answer.column(0).as_struct().column_by_name("rows").unwrap().clone();
    assert_eq!(rows.as_primitive::<UInt64Type>().value(0), 0);
    assert!(number(answer.column(0), "nll", 0).is_nan());
}

#[tokio::test]
async fn weights_weigh() {
    let data = Data::new(3000, 6);
    let folder = tempfile::tempdir().unwrap();
    data.write(folder.path(), 4, Layout::List);
    let context = context(3, 256);
    let weight = "(label % 3) / 2.0";
    let sql = format!(
        "select model, temperature_fit(logits, label, {weight}), temperature_scan(logits, label, {weight}), \
         calibration(logits, label, '1.8', {weight}), \
         temperature_fit(logits, label, 1), temperature_fit(logits, label), \
         calibration(logits, label, 1, 1.0), calibration(logits, label), \
         temperature_fit(logits, label, 0) from '{}/*.parquet' group by model order by model",
        folder.path().display()
    );
    let answer = query(&context, &sql).await.unwrap();
    assert_eq!(answer.num_rows(), 2);
    for (row, model) in ["first", "second"].into_iter().enumerate() {
        let alone = data.of_model(model);
        let weights: Vec<f64> = alone.labels.iter().map(|label| (label % 3) as f64 / 2.0).collect();
        let logits = Rows::new(&alone.logits, CLASSES).unwrap();
        let labels = Labels::new(&alone.labels, CLASSES).unwrap();
        let mut scan = Scan::over_octaves(CLASSES, -8, 8);
        scan.add(logits, labels, Some(&weights)).unwrap();
        let want = TemperatureFit::from_scan(&scan, None);
        assert!(want.rows < alone.rows() as u64, "rows that weigh nothing count for nothing");
        assert!(want.estimate != alone.fit().estimate);
        assert_same(answer.column(1), row, &want, model);
        let text = answer.column(2).as_string::<i32>().value(row);
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        assert!(serde_json::from_value::<Scan>(document["scan"].clone()).unwrap() == scan);
        assert_calibrated(answer.column(3), row, &alone, Some(&weights), "1.8".parse().unwrap());
        assert_same(answer.column(4), row, &alone.fit(), "all weigh one");
        let outcome = answer.column(8).as_struct().column_by_name("outcome").unwrap();
        assert_eq!(outcome.as_string::<i32>().value(row), "no_rows");
    }
    assert_eq!(answer.column(4), answer.column(5));
    assert_eq!(answer.column(6), answer.column(7));

    for (weight, reason) in [
        ("label - 5", "weight -"),
        ("case when label = 3 then null else 1 end", "the weight is NULL in the row of logits ["),
        ("arrow_cast('inf', 'Float64')", "weight inf is not from 0 up"),
        ("arrow_cast('nan', 'Float64')", "weight NaN is not from 0 up"),
        ("'heavy'", "weight is of the type Utf8"),
    ] {
        for call in [
            format!("temperature_fit(logits, label, {weight})"),
            format!("temperature_scan(logits, label, {weight})"),
            format!("calibration(logits, label, 1, {weight})"),
        ] {
            let sql = format!("select {call} from '{}/*.parquet'", folder.path().display());
            let error = query(&context, &sql).await.unwrap_err();
            assert!(error.to_string().contains(reason), "{call}: {error}");
        }
    }
}
