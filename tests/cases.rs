//! Every case of fixtures/cases.json through every function, on every instruction set of this machine.

use crate::support::fixtures::{Case, cases_of};
use crate::support::measure::{against, assert_within};
use crate::support::number::{Number, on_every_isa};
use crate::support::oracle::{Row, Stats};
use softargmax::{
    Isa, Rows, RowsMut, Temperature, log_softmax, log_softmax_in_place, log_softmax_into,
    log_softmax_rows, log_sum_exp, log_sum_exp_rows, softmax, softmax_in_place, softmax_into,
    softmax_rows,
};

/// The table's word on a case, as the oracle would give it.
fn row_of(case: &Case) -> Row {
    Row {
        softmax: case.softmax.clone(),
        log_softmax: case.log_softmax.clone(),
        stats: Stats {
            log_sum_exp: case.log_sum_exp,
            entropy: case.entropy,
            perplexity: case.perplexity,
            max_probability: case.max_probability,
            mean: case.mean,
            variance: case.variance,
            third_moment: case.third_moment,
            arg_max: case.arg_max,
            expected_index: case.expected_index,
        },
    }
}

fn hold<T: Number>() {
    let cases = cases_of(T::DTYPE);
    assert!(!cases.is_empty());
    on_every_isa(|isa| {
        for case in &cases {
            let logits: Vec<T> = case.logits.iter().map(|&x| T::of(x)).collect();
            let errors = against(&logits, &case.tau_text, &row_of(case));
            assert_within(&errors, T::DTYPE, &format!("case {} on {isa:?}", case.name));
            every_way_gives_the_same(&logits, case, isa);
        }
    });
}

/// The functions that take a buffer, work in place or take rows, against the one-line calls.
fn every_way_gives_the_same<T: Number>(logits: &[T], case: &Case, isa: Isa) {
    let tau: Temperature = case.tau_text.parse().expect("a temperature");
    let rows = || Rows::one(logits).expect("a row");
    let bits = |row: &[T]| row.iter().map(|x| x.bits()).collect::<Vec<_>>();
    let (mut out, mut log_out) = (logits.to_vec(), logits.to_vec());
    let (mut place, mut log_place) = (logits.to_vec(), logits.to_vec());
    softmax_into(rows(), tau, &mut out).expect("one size");
    log_softmax_into(rows(), tau, &mut log_out).expect("one size");
    softmax_in_place(RowsMut::one(&mut place).expect("a row"), tau).expect("one tau");
    log_softmax_in_place(RowsMut::one(&mut log_place).expect("a row"), tau).expect("one tau");
    let (p, log_p) =
        (softmax(logits, tau).expect("a row"), log_softmax(logits, tau).expect("a row"));
    let log_z = log_sum_exp(logits, tau).expect("a row");
    for (way, got, want) in [
        ("softmax_rows", &softmax_rows(rows(), tau).expect("one tau"), &p),
        ("softmax_into", &out, &p),
        ("softmax_in_place", &place, &p),
        ("log_softmax_rows", &log_softmax_rows(rows(), tau).expect("one tau"), &log_p),
        ("log_softmax_into", &log_out, &log_p),
        ("log_softmax_in_place", &log_place, &log_p),
        ("log_sum_exp_rows", &log_sum_exp_rows(rows(), tau).expect("one tau"), &vec![log_z]),
    ] {
        assert_eq!(bits(got), bits(want), "{way}: case {} on {isa:?}", case.name);
    }
}

#[test]
fn f32_cases() {
    hold::<f32>();
}

#[test]
fn f64_cases() {
    hold::<f64>();
}

#[cfg(feature = "half")]
#[test]
fn f16_cases() {
    hold::<half::f16>();
}

#[cfg(feature = "half")]
#[test]
fn bf16_cases() {
    hold::<half::bf16>();
}
