//! Long rows, part by part: on several threads, where there are some.
//!
//! ```text
//! the maximum of each part · the weights of each part and their sum · the sums, in their order · the quotients
//! ```
//!
//! The parts are those of `row.rs`, so a row has the same bits on any number of threads. Rows of f16 and bf16 are converted a block
//! at a time, in each sweep anew, and weighed twice: a copy in f32 would be memory whose pages the system has to find in each
//! call. What is not ordinary goes the way of all rows.

use crate::aligned::aligned;
use crate::compiled::Runs;
use crate::double::Double;
use crate::element::{Element, Real};
use crate::parallel::{self, Job};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::{Function, LogSumExp, Map, in_real};
use crate::softmax::log::{LogPlan, MapLog, log_z};
use crate::softmax::plan::{BLOCK, Base2, Plan, Tempering};
use crate::softmax::product::Multiplier;
use crate::softmax::rest::rest_of_part;
use crate::softmax::row::{
    AddUp, LONG, Lanes, PART, Peak, Space, find_peak, joined, normalise, weigh_block, weigh_part,
};
use crate::temperature::Temperature;

/// A job whose rows may be long.
pub(super) trait Long: Job<Output = ()> {
    /// The first row, on all threads; false, and nothing is done, where it is not ordinary.
    fn first_row(&mut self) -> bool;
}

/// All rows: one after the other where they are long, and must be converted or leave threads without one.
#[inline]
pub(super) fn run<T: Element + Runs<J>, J: Long>(mut job: J) {
    let is_real = T::as_real(&[]).is_some();
    if job.row_len() <= LONG || (is_real && job.rows() >= parallel::threads()) {
        return T::run(job);
    }
    while job.rows() > 0 {
        let (mut row, others) = job.split_at(1);
        if !row.first_row() {
            T::run(row);
        }
        job = others;
    }
}

impl<T: Element> Long for Map<'_, T> {
    fn first_row(&mut self) -> bool {
        let Map { function, logits, taus, out, .. } = self;
        let row = logits.map(|logits| logits.as_slice());
        let mut parts = Parts::of(out.len());
        let Some((max, base)) = parts.ordinary(row, out, taus.of_row(0)) else { return false };
        let plan = &Plan::new(max, &base);
        match function {
            Function::Softmax => {
                parts.sweep(row, out, Step::Weigh(plan));
                let (_, sum) = parts.sum();
                parts.sweep(row, out, Step::Divide(plan, Multiplier::inverse(sum)));
            }
            Function::LogSoftmax => {
                parts.sweep(row, out, Step::AddUpRest(plan));
                let logs = &LogPlan::new(max, &base, plan, parts.sum());
                parts.sweep(row, out, Step::TakeLogs(logs));
            }
        }
        true
    }
}

impl<T: Element> Long for LogSumExp<'_, T> {
    fn first_row(&mut self) -> bool {
        let row = self.logits.as_slice();
        let mut parts = Parts::of(row.len());
        let ordinary = parts.ordinary(Some(row), &mut [], self.taus.of_row(0));
        let Some((max, base)) = ordinary else { return false };
        let plan = &Plan::new(max, &base);
        parts.sweep(Some(row), &mut [], Step::AddUpRest(plan));
        self.out[0] = T::of_f64(log_z(max, &base, plan, parts.sum()));
        true
    }
}

/// What is known of each part of a row.
struct Parts<T: Element> {
    found: Vec<Found<T::Real>>,
}

#[derive(Clone, Copy)]
struct Found<R> {
    peak: Peak<R>,
    /// As of a row.
    maxima: f64,
    sum: Double,
}

impl<T: Element> Parts<T> {
    fn of(len: usize) -> Self {
        let found = Found { peak: Peak::None { nan: false }, maxima: 0.0, sum: Double::ZERO };
        Parts { found: vec![found; len.div_ceil(PART)] }
    }

    fn sweep(&mut self, row: Option<&[T]>, out: &mut [T], step: Step<'_, T::Real>) {
        T::run(Sweep { row, out, found: &mut self.found, step });
    }

    /// The maximum and the temperature, where both are finite and the temperature is not 0.
    fn ordinary(
        &mut self,
        row: Option<&[T]>,
        out: &mut [T],
        tau: Temperature,
    ) -> Option<(T::Real, Base2<T::Real>)> {
        let Tempering::Finite(base) = Tempering::new(tau) else { return None };
        self.sweep(row, out, Step::FindPeak);
        match self.found.iter().map(|found| found.peak).reduce(Peak::higher) {
            Some(Peak::Finite(max)) => Some((max, base)),
            _ => None,
        }
    }

    fn sum(&self) -> (f64, Double) {
        self.found.iter().fold((0.0, Double::ZERO), |(maxima, sum), part| {
            (maxima + part.maxima, joined::<T::Real>(sum, part.sum))
        })
    }
}

/// What is done with every part.
#[derive(Clone, Copy)]
enum Step<'a, R: Real> {
    FindPeak,
    /// The weights, and their sum.
    Weigh(&'a Plan<R>),
    /// The sum alone, without the maxima.
    AddUpRest(&'a Plan<R>),
    /// The weights by their sum.
    Divide(&'a Plan<R>, Multiplier<R>),
    TakeLogs(&'a LogPlan),
}

/// A step of some parts; `out` holds the row itself where `row` is `None`, and nothing where nothing is written.
pub(crate) struct Sweep<'a, T: Element> {
    row: Option<&'a [T]>,
    out: &'a mut [T],
    found: &'a mut [Found<T::Real>],
    step: Step<'a, T::Real>,
}

impl<T: Element> Kernel for Sweep<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Sweep { row, out, found, step } = self;
        let (mut space, mut wide) = (Space::new(), Scratch::new());
        for (i, found) in found.iter_mut().enumerate() {
            let of_part = |len: usize| len.min(i * PART)..len.min((i + 1) * PART);
            let row = row.map(|row| &row[of_part(row.len())]);
            let of_part = of_part(out.len());
            let out = &mut out[of_part];
            match step {
                Step::FindPeak => {
                    let blocks = row.unwrap_or(out).chunks(BLOCK);
                    let peaks = blocks.map(|block| find_peak(simd, in_real(block, &mut wide)));
                    found.peak = peaks.fold(found.peak, Peak::higher);
                }
                Step::AddUpRest(plan) => {
                    let row = row.unwrap_or(out);
                    (found.maxima, found.sum) =
                        rest_of_part(simd, row, plan, &mut space, &mut wide, 0);
                }
                Step::Weigh(plan) => match T::as_real_mut(out) {
                    Some(out) => {
                        let row = row.and_then(T::as_real);
                        found.sum = weigh_part(simd, row, out, plan, &mut space, 0, 0);
                    }
                    None => {
                        let mut lanes = Lanes::ZERO;
                        for block in row.unwrap_or(out).chunks(BLOCK) {
                            let block = in_real(block, &mut wide);
                            let weights = weigh_block(simd, block, plan, &mut space);
                            simd.call(AddUp { weights, lanes: &mut lanes });
                        }
                        found.sum = lanes.sum::<T::Real>();
                    }
                },
                Step::Divide(plan, by) => match T::as_real_mut(out) {
                    Some(out) => normalise(simd, out, by),
                    None => each_block(row, out, &mut wide, |block, out| {
                        let weights = weigh_block(simd, block, plan, &mut space);
                        normalise(simd, weights, by);
                        T::write(weights, out);
                    }),
                },
                Step::TakeLogs(plan) => match T::as_real_mut(out) {
                    Some(out) => {
                        let row = row.and_then(T::as_real);
                        simd.call(MapLog { row, out, plan, ahead: 0 });
                    }
                    None => each_block(row, out, &mut wide, |block, out| {
                        let logs = aligned(&mut space.weights, BLOCK, block.len());
                        simd.call(MapLog { row: Some(block), out: logs, plan, ahead: 0 });
                        T::write(logs, out);
                    }),
                },
            }
        }
    }
}

/// Blocks of 16 bits, converted, and where they go.
#[inline(always)]
fn each_block<T: Element>(
    row: Option<&[T]>,
    out: &mut [T],
    wide: &mut Scratch<T::Real>,
    mut each: impl FnMut(&[T::Real], &mut [T]),
) {
    for (i, out) in out.chunks_mut(BLOCK).enumerate() {
        let block = wide.of(out.len());
        T::read(row.map_or(&*out, |row| &row[i * BLOCK..][..out.len()]), block);
        each(block, out);
    }
}

impl<T: Element> Job for Sweep<'_, T> {
    fn rows(&self) -> usize {
        self.found.len()
    }

    fn row_len(&self) -> usize {
        PART
    }

    fn split_at(self, part: usize) -> (Self, Self) {
        let Sweep { row, out, found, step } = self;
        let at = part * PART;
        let (row, row_right) = row.map(|row| row.split_at(at)).unzip();
        let (out, out_right) = out.split_at_mut(at.min(out.len()));
        let (found, found_right) = found.split_at_mut(part);
        (
            Sweep { row, out, found, step },
            Sweep { row: row_right, out: out_right, found: found_right, step },
        )
    }
}
