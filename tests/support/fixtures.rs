//! fixtures/cases.json, the one table of cases. What its numbers mean stands in fixtures/generate.py.

use super::real::Real;
use serde_json::Value;

/// The type of a case's logits; expected results are real numbers and have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    F32,
    F64,
    F16,
    Bf16,
}

/// One row of logits at one temperature, with everything that follows from them.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub dtype: Dtype,
    /// As written; means exactly this decimal number.
    pub tau_text: String,
    /// `tau_text` to 31 digits.
    pub tau: Real,
    /// Exact in `dtype`.
    pub logits: Vec<f64>,
    pub softmax: Vec<Real>,
    pub log_softmax: Vec<Real>,
    pub log_sum_exp: Real,
    pub entropy: Real,
    pub perplexity: Real,
    pub max_probability: Real,
    pub mean: Real,
    pub variance: Real,
    pub third_moment: Real,
    pub arg_max: Option<usize>,
    pub expected_index: Real,
}

impl Case {
    /// τ as the double nearest to it.
    pub fn tau_f64(&self) -> f64 {
        self.tau_text.parse().expect("tau is a number")
    }

    /// Is τ a double to 30 digits? Otherwise (0.1 meant as one tenth) a program that keeps τ as a double is asked for
    /// digits it was not given: harmless for f32 and narrower, and for f64 the reason to skip the case.
    pub fn tau_is_double(&self) -> bool {
        let tau = self.tau_f64();
        if !tau.is_finite() || tau == 0.0 {
            return true;
        }
        ((self.tau - Real::from(tau)) / self.tau).abs().to_f64() < 1e-30
    }

    /// The logits as f32; exact unless the case is f64.
    pub fn logits_f32(&self) -> Vec<f32> {
        self.logits.iter().map(|&x| x as f32).collect()
    }
}

/// Every case in the table.
pub fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cases.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let table: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    assert_eq!(table["format"], "softargmax.cases/1");
    table["cases"].as_array().expect("cases is a list").iter().map(case).collect()
}

/// The cases of one dtype.
pub fn cases_of(dtype: Dtype) -> Vec<Case> {
    cases().into_iter().filter(|c| c.dtype == dtype).collect()
}

/// One entry of the table.
fn case(value: &Value) -> Case {
    let text = |key: &str| {
        value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}")).to_owned()
    };
    let list =
        |key: &str| value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"));
    let scalar = |key: &str| real(&value[key]);
    let row = |key: &str| list(key).iter().map(real).collect::<Vec<_>>();
    let case = Case {
        name: text("name"),
        dtype: match value["dtype"].as_str() {
            Some("f32") => Dtype::F32,
            Some("f64") => Dtype::F64,
            Some("f16") => Dtype::F16,
            Some("bf16") => Dtype::Bf16,
            other => panic!("dtype {other:?}"),
        },
        tau_text: text("tau"),
        tau: scalar("tau"),
        logits: list("logits").iter().map(logit).collect(),
        softmax: row("softmax"),
        log_softmax: row("log_softmax"),
        log_sum_exp: scalar("log_sum_exp"),
        entropy: scalar("entropy"),
        perplexity: scalar("perplexity"),
        max_probability: scalar("max_probability"),
        mean: scalar("mean"),
        variance: scalar("variance"),
        third_moment: scalar("third_moment"),
        arg_max: value["arg_max"].as_u64().map(|i| i as usize),
        expected_index: scalar("expected_index"),
    };
    assert_eq!(case.logits.len(), case.softmax.len(), "{}", case.name);
    assert_eq!(case.logits.len(), case.log_softmax.len(), "{}", case.name);
    case
}

/// Decimal text as a real number.
fn real(value: &Value) -> Real {
    value.as_str().and_then(Real::parse).unwrap_or_else(|| panic!("{value} is no decimal text"))
}

/// A logit: a JSON number, or one of the three texts for what is none.
fn logit(value: &Value) -> f64 {
    let number = || value.as_str().and_then(|s| s.parse().ok());
    value.as_f64().or_else(number).unwrap_or_else(|| panic!("{value} is no logit"))
}
