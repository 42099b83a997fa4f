//! The allowed error, as data: what the tests assert and docs/accuracy.md quotes.
//!
//! In units of the last place of the result's type. Where a result can come out of a cancellation, the unit is that of
//! the size it is relative to ([`Function::relative_to`]) instead of its own.

use crate::support::fixtures::Dtype;

/// A numeric function with a bound of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Softmax,
    LogSoftmax,
    LogSumExp,
    /// The fields of `Statistics`, from here on.
    StatisticsLogSumExp,
    Mean,
    Variance,
    ThirdMoment,
    Entropy,
    Perplexity,
    MaxProbability,
    ExpectedIndex,
}

impl Function {
    pub const ALL: [Function; 11] = [
        Function::Softmax,
        Function::LogSoftmax,
        Function::LogSumExp,
        Function::StatisticsLogSumExp,
        Function::Mean,
        Function::Variance,
        Function::ThirdMoment,
        Function::Entropy,
        Function::Perplexity,
        Function::MaxProbability,
        Function::ExpectedIndex,
    ];

    /// As it is called in the library.
    pub fn name(self) -> &'static str {
        match self {
            Function::Softmax => "softmax",
            Function::LogSoftmax => "log_softmax",
            Function::LogSumExp => "log_sum_exp",
            Function::StatisticsLogSumExp => "statistics: log_sum_exp",
            Function::Mean => "statistics: mean",
            Function::Variance => "statistics: variance",
            Function::ThirdMoment => "statistics: third_moment",
            Function::Entropy => "statistics: entropy",
            Function::Perplexity => "statistics: perplexity",
            Function::MaxProbability => "statistics: max_probability",
            Function::ExpectedIndex => "statistics: expected_index",
        }
    }

    /// What the unit of the last place is that of; `None` for the exact result itself.
    pub fn relative_to(self) -> Option<&'static str> {
        match self {
            Function::LogSumExp | Function::StatisticsLogSumExp => {
                Some("the larger of \\|m/τ\\| and log Z − m/τ")
            }
            Function::Mean => Some("the larger of \\|m\\| and \\|E[x]\\|"),
            Function::ThirdMoment => Some("Σ p_i \\|x_i − E[x]\\|³"),
            _ => None,
        }
    }
}

/// The most that a result may be off, in ULP: for each function in f32, f64, f16, bf16.
///
/// Statistics are f64 whatever the logits are, and measured as such.
const BOUNDS: [(Function, [f64; 4]); 11] = [
    (Function::Softmax, [2.5, 2.5, ROUNDED, ROUNDED]),
    (Function::LogSoftmax, [4.0, 4.0, ROUNDED, ROUNDED]),
    (Function::LogSumExp, [4.0, 4.0, ROUNDED, ROUNDED]),
    (Function::StatisticsLogSumExp, [4.0; 4]),
    (Function::Mean, [4.0; 4]),
    (Function::Variance, [8.0; 4]),
    (Function::ThirdMoment, [24.0; 4]),
    (Function::Entropy, [8.0; 4]),
    (Function::Perplexity, [16.0; 4]),
    (Function::MaxProbability, [4.0; 4]),
    (Function::ExpectedIndex, [8.0; 4]),
];

/// Computed in f32 and rounded once to 11 or 8 bits: half a unit, and what f32 was off.
const ROUNDED: f64 = 0.501;

/// The most that a result may be off, in ULP.
pub fn bound(function: Function, dtype: Dtype) -> f64 {
    let (_, bounds) = BOUNDS.into_iter().find(|(f, _)| *f == function).expect("all are listed");
    match dtype {
        Dtype::F32 => bounds[0],
        Dtype::F64 => bounds[1],
        Dtype::F16 => bounds[2],
        Dtype::Bf16 => bounds[3],
    }
}
