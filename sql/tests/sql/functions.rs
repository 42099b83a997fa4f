//! Functions of a row: the bits of the library, in every type and layout; NULL in, NULL out.

use std::sync::Arc;

use crate::rows::{CLASSES, Data, Layout, context, query};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch};
use datafusion::arrow::datatypes::{Float16Type, Float32Type, Float64Type, Int32Type, Int64Type};
use softargmax::{
    Context, Labels, Rows, Sampler, SamplingParams, Temperature, log_softmax_rows,
    log_sum_exp_rows, scores, softmax_rows, statistics,
};

fn numbers(lists: &ArrayRef) -> Vec<f32> {
    let flat = match lists.data_type() {
        datafusion::arrow::datatypes::DataType::FixedSizeList(..) => {
            lists.as_fixed_size_list().values().clone()
        }
        datafusion::arrow::datatypes::DataType::LargeList(_) => {
            lists.as_list::<i64>().values().clone()
        }
        _ => lists.as_list::<i32>().values().clone(),
    };
    flat.as_primitive::<Float32Type>().values().to_vec()
}

#[tokio::test]
async fn every_function_has_the_bits_of_the_library() {
    let data = Data::new(500, 6);
    let tau: Temperature = "0.7".parse().unwrap();
    let logits = Rows::new(&data.logits, CLASSES).unwrap();
    let labels = Labels::new(&data.labels, CLASSES).unwrap();
    for layout in [Layout::List, Layout::LargeList, Layout::FixedSizeList] {
        let context = context(1, 77);
        context.register_batch("logs", data.batch(layout)).unwrap();
        let sql = "select softmax(logits, '0.7'), log_softmax(logits, '0.7'), log_sum_exp(logits, '0.7'), \
                   entropy(logits, '0.7'), nll(logits, label, '0.7'), \
                   sample(logits, '0.7', 7, row_number() over () - 1), logits, label from logs";
        let got = query(&context, sql).await.unwrap();
        // A window may have put them in another order; the row itself says which.
        let order: Vec<f32> = numbers(got.column(6));
        assert_eq!(order, data.logits);
        assert_eq!(got.column(0).data_type(), got.column(6).data_type());
        assert_eq!(numbers(got.column(0)), softmax_rows(logits, tau).unwrap());
        assert_eq!(numbers(got.column(1)), log_softmax_rows(logits, tau).unwrap());
        let sums = got.column(2).as_primitive::<Float32Type>();
        assert_eq!(sums.values()[..], log_sum_exp_rows(logits, tau).unwrap());
        let entropies: Vec<f64> =
            statistics(logits, tau).unwrap().iter().map(|s| s.entropy).collect();
        assert_eq!(got.column(3).as_primitive::<Float64Type>().values()[..], entropies);
        let losses = scores(logits, labels, None, tau).unwrap();
        let losses: Vec<f64> = losses.iter().map(|score| score.nll).collect();
        assert_eq!(got.column(4).as_primitive::<Float64Type>().values()[..], losses);
        let params = SamplingParams { temperature: tau, seed: 7, ..SamplingParams::default() };
        let mut sampler = Sampler::<f64>::new(params).unwrap();
        let drawn: Vec<i64> = (0..)
            .zip(logits.iter())
            .map(|(position, row)| {
                let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                i64::from(sampler.token(&row, &Context { position, ..Context::default() }).unwrap())
            })
            .collect();
        assert_eq!(got.column(5).as_primitive::<Int64Type>().values()[..], drawn);
    }
}

async fn one(sql: &str) -> ArrayRef {
    query(&context(1, 100), sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")).column(0).clone()
}

#[tokio::test]
async fn temperatures_are_numbers_texts_or_columns() {
    // From the README: exp(10/0.1) overflows nothing; a text is one tenth exactly.
    let p = one("select softmax([1, 5, 7, 10], '0.1')").await;
    let p = p.as_list::<i32>().value(0);
    let want = softmax_rows(
        Rows::one(&[1.0, 5.0, 7.0, 10.0]).unwrap(),
        "0.1".parse::<Temperature>().unwrap(),
    );
    assert_eq!(p.as_primitive::<Float64Type>().values()[..], want.unwrap());
    // The double nearest to one tenth is another number.
    let near = one("select softmax([1, 5, 7, 10], 0.1)").await;
    assert_ne!(
        near.as_list::<i32>().value(0).as_primitive::<Float64Type>().values()[..],
        p.as_primitive::<Float64Type>().values()[..]
    );
    let plain = one("select softmax([1.0, 2.0]) = softmax([1.0, 2.0], 1)").await;
    assert!(plain.as_boolean().value(0));
    let third = one("select entropy([1.0, 2.0], '1/3') = entropy([3.0, 6.0], 1)").await;
    assert!(third.as_boolean().value(0));
    // A column of them, and the limits.
    let sql = "select entropy(x, tau) from (values ([0.0, 1.0], 0.0), ([0.0, 1.0], 2.0), ([0.0, 1.0], arrow_cast('inf', 'Float64'))) as t(x, tau)";
    let limits = one(sql).await;
    let limits = limits.as_primitive::<Float64Type>();
    assert_eq!((limits.value(0), limits.value(2)), (0.0, std::f64::consts::LN_2));
    assert!(limits.value(1) > 0.6 && limits.value(1) < std::f64::consts::LN_2);
}

#[tokio::test]
async fn half_precision_is_computed_in_single_and_rounded_once() {
    let p = one("select softmax(arrow_cast([1.0, 2.0, 4.0], 'List(Float16)'), 2)").await;
    let p = p.as_list::<i32>().value(0);
    let logits = [1.0, 2.0, 4.0].map(half::f16::from_f64);
    let want = softmax_rows(Rows::one(&logits).unwrap(), Temperature::new(2.0).unwrap()).unwrap();
    assert_eq!(p.as_primitive::<Float16Type>().values()[..], want);
}

#[tokio::test]
async fn a_null_gives_a_null_and_lists_may_differ_in_length() {
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
        Some(vec![Some(0.0), Some(0.0)]),
        None,
        Some(vec![Some(1.0)]),
        Some(vec![Some(0.0); 4]),
    ]);
    let labels = datafusion::arrow::array::Int32Array::from(vec![Some(0), Some(1), None, Some(3)]);
    let batch = RecordBatch::try_from_iter([
        ("x", Arc::new(lists) as ArrayRef),
        ("label", Arc::new(labels) as ArrayRef),
    ]);
    let context = context(1, 100);
    context.register_batch("t", batch.unwrap()).unwrap();
    let sql = "select softmax(x, 3), nll(x, label), sample(x, 1, 7, 0), is_valid(x), is_valid(x, label) from t";
    let got = query(&context, sql).await.unwrap();
    let p = got.column(0).as_list::<i32>();
    assert!(p.is_null(1));
    assert_eq!(p.value(3).as_primitive::<Float64Type>().values()[..], [0.25; 4]);
    assert_eq!(p.value(2).len(), 1);
    let losses = got.column(1).as_primitive::<Float64Type>();
    assert_eq!((losses.value(0), losses.value(3)), (2f64.ln(), 4f64.ln()));
    assert!(losses.is_null(1) && losses.is_null(2));
    assert!(got.column(2).is_null(1) && !got.column(2).is_null(2));
    let valid = |column: usize| got.column(column).as_boolean().values().iter().collect::<Vec<_>>();
    assert_eq!(valid(3), [true, false, true, true]);
    assert_eq!(valid(4), [true, false, false, true]);
    let nothing = query(&context, "select softmax(x, cast(null as double)) from t").await.unwrap();
    assert_eq!(nothing.column(0).null_count(), 4);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    for (sql, reason) in [
        (
            "select softmax([1.0, arrow_cast('NaN', 'Float64')])",
            "logit 1 is NaN in the row of logits [1, NaN]",
        ),
        ("select softmax([1.0, null])", "logit 1 is NULL"),
        ("select softmax(arrow_cast(['-inf'], 'List(Float64)'))", "every logit is -inf"),
        ("select nll([1.0, 2.0], 2)", "label 2 is not a class: there are 2, counted from 0"),
        ("select nll([1.0, 2.0], -1)", "label -1 is not a class"),
        ("select nll([1.0, 2.0], 'cat')", "label is of the type Utf8"),
        ("select nll([1.0, 2.0], 'cat')", "hint: say which class each name is: case label"),
        ("select nll([1.0, 2.0], 1.0)", "label is of the type Float64"),
        ("select softmax([1.0, 2.0], -1)", "temperature -1 is not allowed"),
        ("select softmax([1.0, 2.0], 'warm')", "'warm' is not a temperature"),
        ("select softmax([1.0, 2.0], true)", "tau is of the type Boolean"),
        ("select softmax(1.0, 2.0)", "logits are of the type Float64"),
        ("select softmax(['a'], 2.0)", "logits are of the type List"),
        ("select softmax([1.0], 2.0, 3)", "call it as softmax(logits [, tau])"),
        ("select sample([1.0], 1)", "call it as sample(logits, tau, seed, position [, stream])"),
        ("select sample([1.0], 1, 7, 72057594037927936)", "position"),
        (
            "select temperature_fit([1.0, 2.0])",
            "call it as temperature_fit(logits, label [, weight])",
        ),
        (
            "select temperature_fit(x, 0) from (values ([1.0, 2.0]), ([1.0, 2.0, 3.0])) as t(x)",
            "logits among rows of",
        ),
        (
            "select temperature_fit(x, 0) from (values ([1.0, 2.0]), (null)) as t(x)",
            "logits are NULL in the row of label 0",
        ),
        (
            "select temperature_fit([1.0, 2.0], y) from (values (1), (null)) as t(y)",
            "the label is NULL",
        ),
        ("select temperature_fit([1.0, arrow_cast('inf', 'Float64')], 1)", "logit 1 is inf"),
        ("select temperature_fit([1.0, 2.0], 2)", "label 2 is not a class"),
        ("select temperature_fit(distinct [1.0, 2.0], 1)", "distinct has no meaning here"),
        ("select calibration([1.0, 2.0], 1, cast(null as double))", "tau is NULL"),
    ] {
        let error = query(&context(1, 100), sql).await.expect_err(sql).to_string();
        assert!(error.contains(reason), "{sql}\n{error}\ndoes not say: {reason}");
    }
    // −∞ as a mask and a label of another integer type are fine.
    let loss =
        one("select nll([0.0, 0.0, arrow_cast('-inf', 'Float64')], arrow_cast(1, 'UInt8'))").await;
    assert_eq!(loss.as_primitive::<Float64Type>().value(0), 2f64.ln());
    assert_eq!(
        one("select arrow_cast(sample([0.0, 0.0], 0, 1, 0), 'Int32')")
            .await
            .as_primitive::<Int32Type>()
            .len(),
        1
    );
}
