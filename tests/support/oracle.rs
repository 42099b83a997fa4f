//! Exact expected values for rows too long to be written down: about 28 digits, under a microsecond an entry.
//!
//! ```text
//! t_i = (x_i − m)/τ          m the maximum
//! L   = ln k + ln1p(S/k)     k maxima; S = Σ exp(t_i) over the others
//! p_i = exp(t_i)/(k + S)     ln p_i = t_i − L        log_sum_exp = m/τ + L
//! ```
//!
//! Everything is a [`Real`], so no step overflows or flushes, and nothing that is subtracted is close to what it is
//! subtracted from, with two exceptions, where the digits are relative to what went in: `log_sum_exp` when m/τ ≈ −L, and
//! `third_moment` of a nearly symmetrical row.

use super::real::Real;

/// Everything that follows from a row of logits and a temperature; the words are those of fixtures/generate.py.
#[derive(Clone, Debug)]
pub struct Row {
    pub softmax: Vec<Real>,
    pub log_softmax: Vec<Real>,
    pub stats: Stats,
}

/// The numbers that describe a whole row.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
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

/// The whole row for logits widened to f64 and τ as decimal text, in [0, inf].
pub fn row(logits: &[f64], tau: &str) -> Row {
    row_at(logits, Real::parse(tau).unwrap_or_else(|| panic!("{tau} is no temperature")))
}

/// The whole row for logits widened to f64 and a τ that is a double.
pub fn row_f64(logits: &[f64], tau: f64) -> Row {
    row_at(logits, Real::from(tau))
}

/// The whole row.
pub fn row_at(logits: &[f64], tau: Real) -> Row {
    assert!(!tau.is_nan() && tau.hi >= 0.0, "no temperature: {tau:?}");
    let mut top = f64::NEG_INFINITY;
    for &x in logits {
        if x.is_nan() {
            return undefined(logits.len(), Real::NAN);
        }
        top = top.max(x);
    }
    if top == f64::NEG_INFINITY {
        return undefined(logits.len(), Real::NEG_INFINITY);
    }
    let arg_max = logits.iter().position(|&x| x == top);

    // t, −∞ where there is no mass.
    let exponents: Vec<Real> = if !tau.is_finite() {
        let uniform =
            |&x: &f64| if x == f64::NEG_INFINITY { Real::NEG_INFINITY } else { Real::ZERO };
        logits.iter().map(uniform).collect()
    } else if tau.is_zero() || top == f64::INFINITY {
        logits.iter().map(|&x| if x == top { Real::ZERO } else { Real::NEG_INFINITY }).collect()
    } else {
        let (scale, top) = (Real::ONE / tau, Real::from(top));
        logits.iter().map(|&x| (Real::from(x) - top) * scale).collect()
    };
    let offset = match (tau.is_finite(), top == 0.0) {
        (false, _) | (true, true) => Real::ZERO,
        (true, false) => Real::from(top) / tau,
    };

    let mut softmax: Vec<Real> = exponents.iter().map(|t| t.exp()).collect();
    let ties = exponents.iter().filter(|t| t.is_zero()).count() as f64;
    let rest: Real =
        exponents.iter().zip(&softmax).filter(|(t, _)| !t.is_zero()).map(|(_, &e)| e).sum();
    let ties = Real::from(ties);
    let log_sum = ties.ln() + (rest / ties).ln_1p();
    let max_probability = Real::ONE / (ties + rest);
    softmax.iter_mut().for_each(|e| *e = *e * max_probability);
    let log_softmax = exponents.iter().map(|&t| t - log_sum).collect();

    let (mut lost, mut shift, mut expected_index) = (Real::ZERO, Real::ZERO, Real::ZERO);
    let present = || softmax.iter().enumerate().filter(|(_, p)| !p.is_zero());
    for (i, &p) in present() {
        lost = lost + p * exponents[i];
        expected_index = expected_index + p * Real::from(i as f64);
        shift = shift + p * (Real::from(logits[i]) - Real::from(top));
    }
    let entropy = log_sum - lost;
    let (mut variance, mut third_moment) = (Real::ZERO, Real::ZERO);
    for (i, &p) in present() {
        // From the maximum, not from the mean: in a confident row the two agree in every digit.
        let deviation = (Real::from(logits[i]) - Real::from(top)) - shift;
        let square = p * deviation * deviation;
        variance = variance + square;
        third_moment = third_moment + square * deviation;
    }
    let infinite = present().any(|(i, _)| logits[i] == f64::INFINITY);
    let stats = Stats {
        log_sum_exp: offset + log_sum,
        entropy,
        perplexity: entropy.exp(),
        max_probability,
        mean: if infinite { Real::INFINITY } else { Real::from(top) + shift },
        variance: if infinite { Real::NAN } else { variance },
        third_moment: if infinite { Real::NAN } else { third_moment },
        arg_max,
        expected_index,
    };
    Row { softmax, log_softmax, stats }
}

/// A row without a distribution.
fn undefined(classes: usize, log_sum_exp: Real) -> Row {
    let nan = Real::NAN;
    Row {
        softmax: vec![nan; classes],
        log_softmax: vec![nan; classes],
        stats: Stats {
            log_sum_exp,
            entropy: nan,
            perplexity: nan,
            max_probability: nan,
            mean: nan,
            variance: nan,
            third_moment: nan,
            arg_max: None,
            expected_index: nan,
        },
    }
}
