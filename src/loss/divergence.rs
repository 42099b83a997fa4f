//! How far two distributions of one row are apart, with the derivatives in the second one's logits and in τ.
//!
//! ```text
//! p the teacher, q the student; b, a their gaps (m − x)/τ
//! d_i = ln p_i − ln q_i = (a_i − b_i) + c          c = ln Z_q − ln Z_p, made exact by Σ p (e^(−d) − 1) = 0
//! KL(p ‖ q) = Σ p d = Σ p (e^(−d) − 1 + d)         terms from 0 up: nothing cancels where p and q are near
//! JS        = ½ KL(p ‖ m) + ½ KL(q ‖ m),  m = ½(p + q)
//!
//!                  KL(p ‖ q)                            KL(q ‖ p)                              JS
//! τ dL/dz_i        q_i − p_i                            −q_i (d_i + KL)                        ½ q_i (l_i − E_q l),  l = ln q/m
//! τ dL/dτ          Σ(q − p)a + cov_p(b, d)              Σ(p − q)b − cov_q(a, d)                ½ cov_q(a, ln q/m) + ½ cov_p(b, ln p/m)
//! τ → ∞  τ²L       Σ(z_i − v_i)²/2n, both centred       the same                               a quarter of it
//! ```

use super::distribution::{Distribution, sums};
use crate::double::Double;
use crate::exp::ln_sum;

/// Which way two distributions are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Divergence {
    /// KL(teacher ‖ student) = Σ p ln(p/q), "forward": the student must cover what the teacher does. Hinton's.
    #[default]
    TeacherToStudent,
    /// KL(student ‖ teacher) = Σ q ln(q/p), "reverse": the student must stay within what the teacher does. MiniLLM's.
    StudentToTeacher,
    /// ½ KL(teacher ‖ m) + ½ KL(student ‖ m) with m halfway between them; at most ln 2.
    JensenShannon,
}

/// Up to here, differences are worked out from the logarithm of the ratio.
const NEAR: f64 = 0.5;

/// The logarithms of the ratios of two distributions.
#[derive(Default)]
pub(super) struct Ratios {
    /// ln p − ln q; −∞ or ∞ where one of them is masked, 0 where both are.
    pub(super) d: Vec<f64>,
    /// ln Z_q − ln Z_p.
    pub(super) normalisers: f64,
}

impl Ratios {
    #[inline(always)]
    pub(super) fn fill(&mut self, p: &Distribution, q: &Distribution) {
        let normalisers = q.log_normaliser - p.log_normaliser;
        self.d.clear();
        self.d.extend(q.gaps.iter().zip(&p.gaps).map(|(&a, &b)| {
            if a == b && a == f64::INFINITY { 0.0 } else { (a - b) + normalisers }
        }));
        self.normalisers = normalisers;
        // What the two logarithms have rounded away shows where the ratios are near 1, and only there.
        if self.d.iter().all(|d| d.abs() <= NEAR) {
            let [lost] = sums(self.d.len(), |i| [p.p[i] * libm::expm1(-self.d[i])]);
            let lost = libm::log1p(lost);
            self.normalisers += lost;
            for (i, d) in self.d.iter_mut().enumerate() {
                *d = if p.is_masked(i) { 0.0 } else { *d + lost };
            }
        }
    }
}

/// e^−d − 1 + d, from 0 up.
#[inline(always)]
fn excess(d: f64) -> f64 {
    // Σ (−d)^k/k! from k = 2: at |d| ≤ ½ the first term left out, the 17th, is 2^-61 of the sum.
    let mut series = 0.0;
    for k in (3..=16).rev() {
        series = (1.0 + series) * (-d / f64::from(k));
    }
    0.5 * d * d * (1.0 + series)
}

/// p·ln(p/q) − p + q where d = ln(p/q): a term of a KL divergence.
#[inline(always)]
pub(super) fn term(p: f64, d: f64, q: f64) -> f64 {
    if d.abs() <= NEAR {
        p * excess(d)
    } else if p == 0.0 {
        q
    } else {
        p * d + (q - p)
    }
}

/// q − p where d = ln(p/q).
#[inline(always)]
pub(super) fn difference(p: f64, d: f64, q: f64) -> f64 {
    if d.abs() <= NEAR { p * libm::expm1(-d) } else { q - p }
}

/// ln(p/m) and ln(q/m) for m = ½(p + q), where d = ln(p/q).
#[inline(always)]
fn to_the_middle(d: f64) -> (f64, f64) {
    if d.abs() <= NEAR {
        let half = |d: f64| -libm::log1p(0.5 * libm::expm1(d));
        return (half(-d), half(d));
    }
    let small = crate::exp::exp(-d.abs());
    let larger = Double::LN_2.hi - ln_sum(1.0, Double::from(small)).hi;
    let smaller = larger - d.abs();
    if d > 0.0 { (larger, smaller) } else { (smaller, larger) }
}

/// x·y, where nothing times ∞ is nothing.
#[inline(always)]
fn times(x: f64, y: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x * y }
}

/// Σ w (x − Σ w x) y.
#[inline(always)]
fn covariance(w: &[f64], x: &[f64], y: impl Fn(usize) -> f64) -> f64 {
    let [mean] = sums(w.len(), |i| [times(w[i], x[i])]);
    sums(w.len(), |i| [if w[i] == 0.0 { 0.0 } else { w[i] * (x[i] - mean) * y(i) }])[0]
}

/// The divergence, and τ times its derivative in τ; `errors` gets τ times those in the student's logits.
///
/// NaN where it is infinite: one has a mask that the other would have to have.
#[inline(always)]
pub(super) fn of_distributions(
    divergence: Divergence,
    p: &Distribution,
    q: &Distribution,
    ratios: &Ratios,
    errors: &mut Vec<f64>,
) -> (f64, f64) {
    let (n, d) = (p.p.len(), &ratios.d);
    errors.clear();
    match divergence {
        Divergence::TeacherToStudent => {
            if (0..n).any(|i| q.is_masked(i) && !p.is_masked(i)) {
                return (f64::NAN, f64::NAN);
            }
            errors.extend((0..n).map(|i| difference(p.p[i], d[i], q.p[i])));
            let [loss, slope] =
                sums(n, |i| [term(p.p[i], d[i], q.p[i]), times(errors[i], q.gaps[i])]);
            (loss, slope + covariance(&p.p, &p.gaps, |i| d[i]))
        }
        Divergence::StudentToTeacher => {
            if (0..n).any(|i| p.is_masked(i) && !q.is_masked(i)) {
                return (f64::NAN, f64::NAN);
            }
            let [loss, slope] = sums(n, |i| {
                let back = difference(q.p[i], -d[i], p.p[i]);
                [term(q.p[i], -d[i], p.p[i]), times(back, p.gaps[i])]
            });
            errors.extend((0..n).map(|i| times(q.p[i], -d[i] - loss)));
            (loss, slope - covariance(&q.p, &q.gaps, |i| d[i]))
        }
        Divergence::JensenShannon => {
            let middle = |i: usize| 0.5 * (p.p[i] + q.p[i]);
            let [of_p, of_q] = sums(n, |i| {
                let (l_p, l_q) = to_the_middle(d[i]);
                [term(p.p[i], l_p, middle(i)), term(q.p[i], l_q, middle(i))]
            });
            let of_student = |i: usize| to_the_middle(d[i]).1;
            errors.extend((0..n).map(|i| 0.5 * times(q.p[i], of_student(i) - of_q)));
            let slope = covariance(&q.p, &q.gaps, of_student)
                + covariance(&p.p, &p.gaps, |i| to_the_middle(d[i]).0);
            (0.5 * (of_p + of_q), 0.5 * slope)
        }
    }
}

/// Whether τ is so far above the logits that only the limit is left of both.
#[inline(always)]
pub(super) fn is_at_the_limit(p: &Distribution, q: &Distribution) -> bool {
    let none = |gap: &f64| *gap < 1e-17 || *gap == f64::INFINITY;
    p.gaps.iter().all(none) && q.gaps.iter().all(none)
}

/// The limit of τ²·divergence for τ → ∞, of the logits themselves; NaN where the masks differ.
///
/// `errors` gets the gradient in the student's logits.
#[inline(always)]
pub(super) fn of_limit(
    divergence: Divergence,
    teacher: &[f64],
    student: &[f64],
    errors: &mut Vec<f64>,
) -> f64 {
    let masked = |x: f64| x == f64::NEG_INFINITY;
    if teacher.iter().zip(student).any(|(&v, &z)| masked(v) != masked(z)) {
        return f64::NAN;
    }
    let there = |i: usize, x: f64| if masked(student[i]) { 0.0 } else { x };
    let difference = |i: usize| there(i, student[i] - teacher[i]);
    let [sum, count] = sums(student.len(), |i| [difference(i), there(i, 1.0)]);
    let mean = sum / count;
    let part = if divergence == Divergence::JensenShannon { 0.25 } else { 1.0 };
    errors.clear();
    errors.extend((0..student.len()).map(|i| there(i, part * (difference(i) - mean) / count)));
    let [squares] =
        sums(student.len(), |i| [there(i, (difference(i) - mean) * (difference(i) - mean))]);
    part * squares / (2.0 * count)
}
