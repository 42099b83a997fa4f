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
use crate::double::{Double, power_of_two};
use crate::element::Real;
use crate::exp::{atanh_series, power_for_sums, rounded_for_sums};
use crate::scratch::Scratch;

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
pub(super) const NEAR: f64 = 0.5;

/// The logarithms of the ratios of two distributions.
#[derive(Default)]
pub(super) struct Ratios {
    /// ln p − ln q; −∞ or ∞ where one of them is masked, 0 where both are.
    pub(super) d: Scratch<f64>,
    /// ln Z_q − ln Z_p.
    pub(super) normalisers: f64,
    /// Whether p, and whether q, has a mask that the other has not.
    alone: [bool; 2],
}

impl Ratios {
    #[inline(always)]
    pub(super) fn fill(&mut self, p: &Distribution, q: &Distribution) {
        let normalisers = q.log_normaliser - p.log_normaliser;
        self.d.resize(p.gaps.len(), 0.0);
        // What the two logarithms have rounded away shows where the ratios are near 1, and only there.
        let (mut are_near, mut in_p, mut in_q) = (true, false, false);
        for (d, (&a, &b)) in self.d.iter_mut().zip(q.gaps.iter().zip(&p.gaps)) {
            let apart = (a - b) + normalisers;
            let apart = if (a == b) & (a == f64::INFINITY) { 0.0 } else { apart };
            are_near &= apart.abs() <= NEAR;
            in_p |= apart == f64::NEG_INFINITY;
            in_q |= apart == f64::INFINITY;
            *d = apart;
        }
        (self.normalisers, self.alone) = (normalisers, [in_p, in_q]);
        if are_near {
            // Σ p (e^(−d) − 1)
            let [lost] = sums!(p in &p.p, d in &self.d => [p * decay(d)]);
            let lost = libm::log1p(lost);
            self.normalisers += lost;
            for (d, &gap) in self.d.iter_mut().zip(&p.gaps) {
                *d = if gap == f64::INFINITY { 0.0 } else { *d + lost };
            }
        }
    }
}

/// 1/k! for k = 2, 4, … 16, and for k = 3, 5, … 15: at |d| ≤ ½ the first term left out is 2^-61 of the sum.
const EVEN: [f64; 8] = inverse_factorials(2);
const ODD: [f64; 7] = inverse_factorials(3);

const fn inverse_factorials<const N: usize>(first: usize) -> [f64; N] {
    let mut all = [0.0; N];
    let (mut product, mut k) = (1.0, 1);
    while k < first + 2 * N {
        product *= k as f64;
        if k >= first && (k - first).is_multiple_of(2) {
            all[(k - first) / 2] = 1.0 / product;
        }
        k += 1;
    }
    all
}

/// e^−d − 1 + d for |d| ≤ ½, from 0 up. Of a larger d it is a number, which nobody uses.
#[inline(always)]
pub(super) fn excess(d: f64) -> f64 {
    let square = d * d;
    let (mut even, mut odd) = (EVEN[7], 0.0);
    for k in (0..7).rev() {
        even = f64::mul_add(even, square, EVEN[k]);
        odd = f64::mul_add(odd, square, ODD[k]);
    }
    square * f64::mul_add(-d, odd, even)
}

/// e^−d − 1 for |d| ≤ ½.
#[inline(always)]
fn decay(d: f64) -> f64 {
    excess(d) - d
}

/// p·ln(p/q) − p + q where d = ln(p/q): a term of a KL divergence.
#[inline(always)]
pub(super) fn term(p: f64, d: f64, q: f64) -> f64 {
    let near = p * excess(d);
    let far = if p == 0.0 { q } else { p * d + (q - p) };
    if d.abs() <= NEAR { near } else { far }
}

/// q − p where d = ln(p/q).
#[inline(always)]
pub(super) fn difference(p: f64, d: f64, q: f64) -> f64 {
    let near = p * decay(d);
    if d.abs() <= NEAR { near } else { q - p }
}

/// The larger one of ln(p/m) and ln(q/m) for m = ½(p + q), where d = ln(p/q): −ln ½(1 + e^−|d|), from 0 to ln 2.
#[inline(always)]
fn lead(d: f64) -> f64 {
    let d = d.abs();
    let floor = -1000.0;
    let z = -d * Double::LOG2_E.hi;
    let (rounded, r) = rounded_for_sums(if z > floor { z } else { floor });
    let far = power_for_sums(rounded, r) * power_of_two(-<f64 as Real>::BIAS);
    // −ln(1 + ½(e^−d − 1)) where d is small, ln 2 − ln(1 + e^−d) elsewhere.
    let (y, of_one) = if d <= NEAR { (0.5 * decay(d), 0.0) } else { (far, Double::LN_2.hi) };
    of_one - ln_of_one_and(y)
}

/// ln(1 + y) for y from −0.2 to 0.61, by 2 atanh(y/(2 + y)), whose argument is below 0.24.
#[inline(always)]
fn ln_of_one_and(y: f64) -> f64 {
    let s = y / (2.0 + y);
    let square = s * s;
    f64::mul_add(2.0 * s * square, atanh_series(square), 2.0 * s)
}

/// ln(p/m) and ln(q/m) from d = ln(p/q) and the larger of the two, which are d apart.
#[inline(always)]
fn to_the_middle(d: f64, lead: f64) -> (f64, f64) {
    let smaller = lead - d.abs();
    if d > 0.0 { (lead, smaller) } else { (smaller, lead) }
}

/// x·y, where nothing times ∞ is nothing.
#[inline(always)]
pub(super) fn times(x: f64, y: f64) -> f64 {
    let product = x * y;
    if x == 0.0 { 0.0 } else { product }
}

/// A term of Σ w (x − Σ w x) y.
#[inline(always)]
fn covariance(w: f64, (x, mean): (f64, f64), y: f64) -> f64 {
    let product = w * (x - mean) * y;
    if w == 0.0 { 0.0 } else { product }
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
    let d = &ratios.d;
    let (Distribution { p, gaps: b, .. }, Distribution { p: q, gaps: a, .. }) = (p, q);
    let [in_p, in_q] = ratios.alone;
    errors.resize(d.len(), 0.0);
    match divergence {
        Divergence::TeacherToStudent => {
            if in_q {
                return (f64::NAN, f64::NAN);
            }
            for (((e, &p), &d), &q) in errors.iter_mut().zip(p).zip(d).zip(q) {
                *e = difference(p, d, q);
            }
            let [loss, slope, mean] = sums!(p in p, b in b, q in q, a in a, d in d, e in errors => {
                [term(p, d, q), times(e, a), times(p, b)]
            });
            let [of_teacher] = sums!(p in p, b in b, d in d => [covariance(p, (b, mean), d)]);
            (loss, slope + of_teacher)
        }
        Divergence::StudentToTeacher => {
            if in_p {
                return (f64::NAN, f64::NAN);
            }
            let [loss, slope, mean] = sums!(p in p, b in b, q in q, a in a, d in d => {
                [term(q, -d, p), times(difference(q, -d, p), b), times(q, a)]
            });
            for ((e, &q), &d) in errors.iter_mut().zip(q).zip(d) {
                *e = times(q, -d - loss);
            }
            let [of_student] = sums!(q in q, a in a, d in d => [covariance(q, (a, mean), d)]);
            (loss, slope - of_student)
        }
        Divergence::JensenShannon => {
            for (e, &d) in errors.iter_mut().zip(d) {
                *e = lead(d);
            }
            let [of_p, of_q, mean_p, mean_q] = sums!(p in p, b in b, q in q, a in a, d in d, lead in errors => {
                let ((l_p, l_q), middle) = (to_the_middle(d, lead), 0.5 * (p + q));
                [term(p, l_p, middle), term(q, l_q, middle), times(p, b), times(q, a)]
            });
            let [of_student, of_teacher] = sums!(p in p, b in b, q in q, a in a, d in d, lead in errors => {
                let (l_p, l_q) = to_the_middle(d, lead);
                [covariance(q, (a, mean_q), l_q), covariance(p, (b, mean_p), l_p)]
            });
            for ((e, &q), &d) in errors.iter_mut().zip(q).zip(d) {
                *e = 0.5 * times(q, to_the_middle(d, *e).1 - of_q);
            }
            (0.5 * (of_p + of_q), 0.5 * (of_student + of_teacher))
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
    errors.resize(student.len(), 0.0);
    let masked = |x: f64| x == f64::NEG_INFINITY;
    if teacher.iter().zip(student).any(|(&v, &z)| masked(v) != masked(z)) {
        return f64::NAN;
    }
    let [sum, count] = sums!(v in teacher, z in student => {
        let difference = z - v;
        if z == f64::NEG_INFINITY { [0.0, 0.0] } else { [difference, 1.0] }
    });
    let mean = sum / count;
    let part = if divergence == Divergence::JensenShannon { 0.25 } else { 1.0 };
    for ((e, &v), &z) in errors.iter_mut().zip(teacher).zip(student) {
        let error = part * ((z - v) - mean) / count;
        *e = if z == f64::NEG_INFINITY { 0.0 } else { error };
    }
    let [squares] = sums!(v in teacher, z in student => {
        let centred = (z - v) - mean;
        [if z == f64::NEG_INFINITY { 0.0 } else { centred * centred }]
    });
    part * squares / (2.0 * count)
}
