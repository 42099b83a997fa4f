//! A teacher of which only the likeliest classes are kept, with what makes the rest of it right at other temperatures.
//!
//! ```text
//! head: the k largest logits v_i of a row, with their classes; v the largest of them
//! tail: the others, n of them.  A(β) = ln mean_tail exp(β (v_j − v)),  β = 1/T       at T = ∞ it is 0
//!       A' = the mean of v_j − v over the tail at T,  A'' its variance: A is convex
//! kept: n; A and A' at the temperatures of a grid, A' at T = ∞
//! at T: between two of those, the cubic with the values and the slopes of both; A' is its derivative
//! error: A lies below the chord and above both tangents
//! log Z = v/T + ln(Σ_head exp((v_i − v)/T) + n e^A)
//! ```
//!
//! Not log Z is kept but the tail's part of it: where the head has nearly all the mass, log Z has lost the tail, and with
//! head logits that were rounded the two would not make a distribution.

use super::distribution::{Distribution, Inverse, sums};
use super::divergence::times;
use super::refused;
use super::tail::{Kept, KeptRow, Knots};
use crate::double::Double;
use crate::element::Element;
use crate::error::Error;
use crate::exp::ln_sum;
use crate::parallel::Job;
use crate::rows::Rows;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::Tempering;
use crate::temperature::{Temperature, Temperatures};

/// What is kept of a teacher's logits: see [`TruncatedTeacher`], which is made of it once it was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct TruncatedParts {
    /// How many classes the teacher has.
    pub classes: usize,
    /// How many of them are kept.
    pub k: usize,
    /// The grid, ascending; positive and finite.
    pub temperatures: Vec<Temperature>,
    /// `[rows, k]`: the classes that are kept, ascending in every row.
    pub ids: Vec<u32>,
    /// `[rows, k]`: their logits. −∞ is a mask.
    pub logits: Vec<f64>,
    /// `[rows]`: how many of the other classes are not masked.
    pub tail_counts: Vec<u32>,
    /// `[rows, temperatures]`: the logarithm of the mean of exp((v_j − v)/T) over those, v the largest logit that is kept.
    pub tail_log_weights: Vec<f64>,
    /// `[rows, temperatures + 1]`: the mean of v_j − v over those, under softmax at each temperature and at last evenly.
    pub tail_means: Vec<f64>,
}

/// The k largest logits of each row of a teacher, with the rest of each row as one tail whose mass is known at every
/// temperature from the smallest of a grid up: exactly at those of the grid and at ∞, between them within a bound.
///
/// # Example
/// ```
/// use softargmax::{Rows, Temperature, TruncatedTeacher};
///
/// let logits = [2.0, 8.0, 6.0, 3.0, 2.5, 1.0];
/// let grid = [Temperature::ONE, Temperature::new(4.0)?];
/// let teacher = TruncatedTeacher::from_logits(Rows::one(&logits)?, 2, &grid)?;
/// assert_eq!(teacher.parts().ids, [1, 2]);
///
/// let p = softargmax::softmax(&logits, Temperature::new(4.0)?)?;
/// let at = teacher.statistics(Temperature::new(4.0)?)?[0];
/// assert!((at.tail - (p[0] + p[3] + p[4] + p[5])).abs() < 1e-15);
/// // Renormalised, the two would have all of the mass; the others have 0.37 of it at T = 4, and 0.01 at T = 1.
/// assert!(at.tail > 0.36 && teacher.statistics(Temperature::ONE)?[0].tail < 0.013);
/// # Ok::<(), softargmax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TruncatedTeacher(TruncatedParts);

/// A row of a truncated teacher at a temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TruncatedStatistics {
    /// ln Σ exp(v_i/T) over all classes.
    pub log_z: f64,
    /// What `log_z` is within, beside roundings; 0 at a temperature of the grid and at ∞.
    pub log_z_error: f64,
    /// The probability of all classes that are not kept.
    pub tail: f64,
    /// The entropy over all classes, in nats.
    pub entropy: f64,
    /// The largest probability.
    pub max_probability: f64,
}

impl TruncatedTeacher {
    /// Keeps the `k` largest logits of each row (of equal ones those of the lower classes) and sums up the others
    /// at `temperatures`, which ascend.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a `k` that is 0 or more than there are classes, or for temperatures that are none, do not
    /// ascend, are 0 or ∞; [`Error::Row`] for a row with a NaN, an entry of +∞ or nothing but −∞, or whose tail is further
    /// than f64 goes below its largest at the smallest temperature.
    pub fn from_logits<T: Element>(
        teacher: Rows<'_, T>,
        k: usize,
        temperatures: &[Temperature],
    ) -> Result<Self, Error> {
        let (rows, classes) = (teacher.rows(), teacher.classes());
        check_grid(classes, k, temperatures)?;
        let grid = temperatures.len();
        let mut parts = TruncatedParts {
            classes,
            k,
            temperatures: temperatures.to_vec(),
            ids: vec![0; rows * k],
            logits: vec![0.0; rows * k],
            tail_counts: vec![0; rows],
            tail_log_weights: vec![0.0; rows * grid],
            tail_means: vec![0.0; rows * (grid + 1)],
        };
        let out = Out {
            ids: &mut parts.ids,
            logits: &mut parts.logits,
            counts: &mut parts.tail_counts,
            log_weights: &mut parts.tail_log_weights,
            means: &mut parts.tail_means,
        };
        T::run(Keep { teacher, k, temperatures, out });
        if let Some(row) = parts.logits.chunks_exact(k).position(|row| row[0].is_nan()) {
            let too_cold = "its tail is too far below its largest at the smallest temperature";
            return Err(Error::Row { row, reason: refused(teacher, row).unwrap_or(too_cold) });
        }
        Ok(TruncatedTeacher(parts))
    }

    /// What was kept earlier, checked.
    ///
    /// # Errors
    /// As [`from_logits`](Self::from_logits); also [`Error::Shape`] for lengths that do not belong together, and
    /// [`Error::Row`] for a row whose classes do not ascend or do not exist, or whose sums are not those of any tail.
    pub fn from_parts(parts: TruncatedParts) -> Result<Self, Error> {
        let TruncatedParts { classes, k, temperatures, tail_counts, .. } = &parts;
        check_grid(*classes, *k, temperatures)?;
        let (rows, grid) = (tail_counts.len(), temperatures.len());
        let same = |what, expected, got| {
            if got == expected { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
        };
        same("ids", rows * k, parts.ids.len())?;
        same("logits", rows * k, parts.logits.len())?;
        same("tail log weights", rows * grid, parts.tail_log_weights.len())?;
        same("tail means", rows * (grid + 1), parts.tail_means.len())?;
        let knots = Knots::new(temperatures);
        let kept = Kept::of(&parts);
        match (0..rows).find_map(|row| wrong(kept.row(row), *classes, &knots).map(|why| (row, why)))
        {
            Some((row, reason)) => Err(Error::Row { row, reason }),
            None => Ok(TruncatedTeacher(parts)),
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.0.tail_counts.len()
    }

    /// How many classes the teacher has.
    pub fn classes(&self) -> usize {
        self.0.classes
    }

    /// All that is kept.
    pub fn parts(&self) -> &TruncatedParts {
        &self.0
    }

    /// log Z, the tail's probability, the entropy and the largest probability of every row at a temperature:
    /// `log Z = v/T + ln(Σ_head exp((v_i − v)/T) + n e^A)`, n the classes of the tail and A
    /// the logarithm of their mean weight.
    ///
    /// # Shapes
    /// One for every row; `tau` is one [`Temperature`], or a slice of one per row.
    ///
    /// # Accuracy
    /// At the temperatures of the grid and at ∞ within 1e-14 of the full teacher's (log Z: of its largest term). Between two
    /// of them A is a cubic; it is within h⁴/384 of the largest fourth derivative, h the gap in 1/T, and log Z certainly
    /// within `log_z_error`.
    ///
    /// # Special values
    /// At T = ∞ everything is even over the classes that are not masked.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a temperature below the smallest of the grid, [`Error::Shape`] for temperatures that are
    /// not one per row, [`Error::Row`] for logits that are more than 1e307·T apart.
    ///
    /// # Example
    /// ```
    /// use softargmax::{Rows, Temperature, TruncatedTeacher};
    ///
    /// let logits = [2.0, 8.0, 6.0, 3.0, 2.5, 1.0];
    /// let grid = ["1", "2", "4"].map(|text| text.parse().unwrap());
    /// let teacher = TruncatedTeacher::from_logits(Rows::one(&logits)?, 2, &grid)?;
    /// let tau = Temperature::new(2.8)?; // between two of the grid
    /// let got = teacher.statistics(tau)?[0];
    /// let want = softargmax::log_sum_exp(&logits, tau)?;
    /// assert!((got.log_z - want).abs() < 1e-5 && (got.log_z - want).abs() <= got.log_z_error);
    /// # Ok::<(), softargmax::Error>(())
    /// ```
    ///
    /// # Source
    /// Fritsch & Carlson 1980, eq. 1, for the cubic (here with the slopes themselves).
    pub fn statistics<'a>(
        &self,
        tau: impl Into<Temperatures<'a>>,
    ) -> Result<Vec<TruncatedStatistics>, Error> {
        let taus = tau.into().checked(self.rows())?;
        self.check_temperatures(taus, |_| true)?;
        let (kept, knots) = (Kept::of(&self.0), Knots::new(&self.0.temperatures));
        let of_row = |row: usize| {
            statistics(kept.row(row), &knots, taus.of_row(row))
                .ok_or(Error::Row { row, reason: FAR })
        };
        (0..self.rows()).map(of_row).collect()
    }

    /// Below the grid nothing bounds the tail.
    pub(super) fn check_temperatures(
        &self,
        taus: Temperatures<'_>,
        counts: impl Fn(usize) -> bool,
    ) -> Result<(), Error> {
        let least = self.0.temperatures[0].tau();
        let allowed = "at least the smallest of those that the teacher was truncated for";
        match (0..self.rows()).find(|&row| counts(row) && !(taus.of_row(row).tau() >= least)) {
            Some(row) => {
                let got = taus.of_row(row).tau();
                Err(Error::Parameter { what: "temperature", got, allowed })
            }
            None => Ok(()),
        }
    }
}

pub(super) const FAR: &str = "the temperature is too small for its logits";

fn check_grid(classes: usize, k: usize, temperatures: &[Temperature]) -> Result<(), Error> {
    let parameter = |what, got, allowed| Err(Error::Parameter { what, got, allowed });
    if classes == 0 {
        return Err(Error::NoClasses);
    }
    if u32::try_from(classes).is_err() {
        return parameter("number of classes", classes as f64, "below 2^32");
    }
    if k == 0 || k > classes {
        return parameter("k", k as f64, "from 1 to the number of classes");
    }
    let allowed = "positive, finite and above the one before";
    let mut before = 0.0;
    for tau in temperatures.iter().map(|tau| tau.tau()) {
        if !(tau > before && tau < f64::INFINITY) {
            return parameter("temperature of the grid", tau, allowed);
        }
        before = tau;
    }
    if temperatures.is_empty() {
        return Err(Error::Shape { what: "the grid of temperatures", expected: 1, got: 0 });
    }
    Ok(())
}

/// Why a row cannot be what was kept of one, if it cannot.
fn wrong(row: KeptRow<'_>, classes: usize, knots: &Knots) -> Option<&'static str> {
    let KeptRow { ids, logits, count, log_weights, means } = row;
    if !ids.is_sorted_by(|a, b| a < b) || ids.last().is_some_and(|&id| id as usize >= classes) {
        return Some("its classes do not ascend, or one of them does not exist");
    }
    if logits.iter().any(|v| v.is_nan() || *v == f64::INFINITY) || !(row.top() > f64::NEG_INFINITY)
    {
        return Some("a logit is NaN or +inf, or every one is -inf");
    }
    if count as usize > classes - ids.len() {
        return Some("its tail has more classes than are left");
    }
    let finite = |numbers: &[f64]| numbers.iter().all(|x| x.is_finite());
    if !(finite(log_weights) && finite(means)) {
        return Some("a sum of its tail is not finite");
    }
    if count == 0 {
        return None;
    }
    // Convex: between two knots the chord is as steep as one slope at least and as the other at most.
    let value = |i: usize| log_weights.get(i).copied().unwrap_or(0.0);
    let is_convex = (0..log_weights.len()).all(|i| {
        let (h, rise) = (knots.betas[i] - knots.betas[i + 1], value(i) - value(i + 1));
        let slack = 1e-9 * (1.0 + value(i).abs() + value(i + 1).abs());
        means[i + 1] * h <= rise + slack && rise <= means[i] * h + slack
    });
    (!is_convex).then_some("the sums of its tail are not those of any logits")
}

/// `None` where a logit lies too far below the largest.
fn statistics(row: KeptRow<'_>, knots: &Knots, tau: Temperature) -> Option<TruncatedStatistics> {
    let (top, inverse) = (row.top(), Inverse::new(&Tempering::new(tau)));
    let tail = row.tail(knots, tau);
    let mass = tail.map_or(0.0, |tail| tail.count * crate::exp::exp(tail.excess));
    let (mut largest, mut rest, mut gaps) = (0.0, 0.0, 0.0);
    for &v in row.logits.iter().filter(|v| **v > f64::NEG_INFINITY) {
        let gap = inverse.gap(top, v)?;
        let weight = crate::exp::exp(-gap);
        if gap == 0.0 {
            largest += 1.0;
        } else {
            rest += weight;
        }
        gaps += weight * gap;
    }
    if let Some(tail) = tail {
        gaps += mass * tail.drift;
    }
    let z = largest + rest + mass;
    let log_z = ln_sum(largest, Double::from(rest).plus(Double::from(mass))).hi;
    let share = mass / z;
    Some(TruncatedStatistics {
        log_z: inverse.times(top) + log_z,
        log_z_error: libm::log1p(share * libm::expm1(tail.map_or(0.0, |tail| tail.error))),
        tail: share,
        entropy: log_z + gaps / z,
        max_probability: 1.0 / z,
    })
}

struct Out<'a> {
    ids: &'a mut [u32],
    logits: &'a mut [f64],
    counts: &'a mut [u32],
    log_weights: &'a mut [f64],
    means: &'a mut [f64],
}

/// Truncates rows; the first logit of one that cannot be is NaN.
pub(crate) struct Keep<'a, T> {
    teacher: Rows<'a, T>,
    k: usize,
    temperatures: &'a [Temperature],
    out: Out<'a>,
}

impl<T: Element> Kernel for Keep<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Keep { teacher, k, temperatures, out } = self;
        let grid = temperatures.len();
        let temperings: Vec<Tempering<f64>> = temperatures
            .iter()
            .chain([&Temperature::INFINITE])
            .map(|&t| Tempering::new(t))
            .collect();
        let mut tail = Distribution::default();
        let (mut order, mut row) = (Vec::<u32>::new(), Vec::<f64>::new());
        for (i, logits) in teacher.iter().enumerate() {
            row.clear();
            row.extend(logits.iter().map(|x| x.to_f64()));
            let (out_ids, out_logits) = (&mut out.ids[i * k..], &mut out.logits[i * k..]);
            out_logits[0] = f64::NAN;
            let is_right = row.iter().all(|x| *x < f64::INFINITY);
            if !is_right || row.iter().all(|x| *x == f64::NEG_INFINITY) {
                continue;
            }
            order.clear();
            order.extend(0..row.len() as u32);
            if k < row.len() {
                let x = |id: u32| row[id as usize];
                order.select_nth_unstable_by(k - 1, |&a, &b| {
                    // There is no NaN; 0 and −0 are equal.
                    x(b).partial_cmp(&x(a)).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b))
                });
            }
            let head = &mut order[..k];
            head.sort_unstable();
            let mut top = f64::NEG_INFINITY;
            let mut first = 0.0;
            for (at, &id) in head.iter().enumerate() {
                // What is left of the row is its tail.
                let v = std::mem::replace(&mut row[id as usize], f64::NEG_INFINITY);
                out_ids[at] = id;
                (top, first) = (if v > top { v } else { top }, if at == 0 { v } else { first });
                if at > 0 {
                    out_logits[at] = v;
                }
            }
            let count = row.iter().filter(|x| **x > f64::NEG_INFINITY).count() as u32;
            out.counts[i] = count;
            let mut is_finite = true;
            if count > 0 {
                let max =
                    row.iter().fold(f64::NEG_INFINITY, |max, &x| if x > max { x } else { max });
                for (at, tempering) in temperings.iter().enumerate() {
                    let filled = tail.fill(simd, &row, tempering) && !tail.is_beyond;
                    let gap = Inverse::new(tempering).gap(top, max).unwrap_or(f64::NAN);
                    let [mean] = sums!(p in &tail.p, x in &row => [times(p, x - top)]);
                    let log_weight = tail.log_mean_weight(f64::from(count)) - gap;
                    is_finite &= filled && mean.is_finite() && log_weight.is_finite();
                    out.means[i * (grid + 1) + at] = mean;
                    if at < grid {
                        out.log_weights[i * grid + at] = log_weight;
                    }
                }
            }
            if is_finite {
                out_logits[0] = first;
            }
        }
    }
}

impl<T: Element> Job for Keep<'_, T> {
    fn rows(&self) -> usize {
        self.teacher.rows()
    }

    fn row_len(&self) -> usize {
        self.teacher.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let Keep { teacher, k, temperatures, out } = self;
        let grid = temperatures.len();
        let (teacher, teacher_right) = teacher.split_at(row);
        let (ids, ids_right) = out.ids.split_at_mut(row * k);
        let (logits, logits_right) = out.logits.split_at_mut(row * k);
        let (counts, counts_right) = out.counts.split_at_mut(row);
        let (log_weights, log_weights_right) = out.log_weights.split_at_mut(row * grid);
        let (means, means_right) = out.means.split_at_mut(row * (grid + 1));
        let right = Out {
            ids: ids_right,
            logits: logits_right,
            counts: counts_right,
            log_weights: log_weights_right,
            means: means_right,
        };
        let out = Out { ids, logits, counts, log_weights, means };
        (
            Keep { teacher, k, temperatures, out },
            Keep { teacher: teacher_right, k, temperatures, out: right },
        )
    }
}
