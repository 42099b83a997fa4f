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

use super::distribution::{Distribution, Terms, eight, sums, sums_by_eight};
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
        self.d.resize(p.gaps.len(), 0.0);
        for (d, (&a, &b)) in self.d.iter_mut().zip(q.gaps.iter().zip(&p.gaps)) {
            let apart = (a - b) + normalisers;
            *d = if (a == b) & (a == f64::INFINITY) { 0.0 } else { apart };
        }
        self.normalisers = normalisers;
        // What the two logarithms have rounded away shows where the ratios are near 1, and only there.
        let mut are_near = true;
        for d in &self.d {
            are_near &= d.abs() <= NEAR;
        }
        if are_near {
            let [lost] = sums_by_eight(self.d.len(), Lost { p: &p.p, d: &self.d });
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

/// Terms of Σ p (e^(−d) − 1).
struct Lost<'a> {
    p: &'a [f64],
    d: &'a [f64],
}

impl Terms<1> for Lost<'_> {
    #[inline(always)]
    fn eight(&mut self, at: usize, end: usize) -> [[f64; 8]; 1] {
        let (p, d) = (eight(self.p, at, end), eight(self.d, at, end));
        let mut terms = [0.0; 8];
        for i in 0..8 {
            terms[i] = p[i] * decay(d[i]);
        }
        [terms]
    }
}

/// e^−d − 1 + d for |d| ≤ ½, from 0 up. Of a larger d it is a number, which nobody uses.
#[inline(always)]
fn excess(d: f64) -> f64 {
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

/// Terms of KL(p ‖ q), of its slope and of the mean of b under p, with the errors: no mask stands alone.
struct Forward<'a> {
    p: &'a Distribution,
    q: &'a Distribution,
    d: &'a [f64],
    errors: &'a mut [f64],
}

impl Terms<3> for Forward<'_> {
    #[inline(always)]
    fn eight(&mut self, at: usize, end: usize) -> [[f64; 8]; 3] {
        let Forward { p: teacher, q: student, d, errors } = self;
        let (p, b) = (eight(&teacher.p, at, end), eight(&teacher.gaps, at, end));
        let (q, a) = (eight(&student.p, at, end), eight(&student.gaps, at, end));
        let d = eight(d, at, end);
        let (mut here, mut terms) = ([0.0; 8], [[0.0; 8]; 3]);
        for i in 0..8 {
            here[i] = difference(p[i], d[i], q[i]);
            terms[0][i] = term(p[i], d[i], q[i]);
            terms[1][i] = times(here[i], a[i]);
            terms[2][i] = times(p[i], b[i]);
        }
        let errors = &mut errors[at..end];
        let len = errors.len().min(8);
        errors[..len].copy_from_slice(&here[..len]);
        terms
    }
}

/// The terms of cov_p(b, d).
struct Covariance<'a> {
    p: &'a Distribution,
    mean: f64,
    d: &'a [f64],
}

impl Terms<1> for Covariance<'_> {
    #[inline(always)]
    fn eight(&mut self, at: usize, end: usize) -> [[f64; 8]; 1] {
        let (p, b) = (eight(&self.p.p, at, end), eight(&self.p.gaps, at, end));
        let d = eight(self.d, at, end);
        let mut terms = [0.0; 8];
        for i in 0..8 {
            let product = p[i] * (b[i] - self.mean) * d[i];
            terms[i] = if p[i] == 0.0 { 0.0 } else { product };
        }
        [terms]
    }
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
            let mut alone = false;
            for (&a, &b) in q.gaps.iter().zip(&p.gaps) {
                alone |= (a == f64::INFINITY) & (b != f64::INFINITY);
            }
            if alone {
                return (f64::NAN, f64::NAN);
            }
            errors.resize(n, 0.0);
            let [loss, slope, mean] = sums_by_eight(n, Forward { p, q, d, errors });
            let [covariance] = sums_by_eight(n, Covariance { p, mean, d });
            (loss, slope + covariance)
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
