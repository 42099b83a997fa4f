//! Cross-entropy with a label, and nothing else in the target: in the type of the row, with sums in f64.
//!
//! `row.rs` does one row, `few.rs` sixteen short ones. What is not ordinary (a limit of τ, an infinity, a row that has
//! nothing but its maximum in reach of the type) is left to `cross_entropy.rs`, which goes entry by entry in f64.

mod few;
mod row;

use super::LossMut;
use crate::element::{Element, Real};
use crate::rows::{Labels, Rows};
use crate::simd::Simd;
use crate::softmax::batch::{fetch_ahead, in_real};
use crate::softmax::few::FEW;
use crate::softmax::plan::{Tempering, Temperings};
use crate::softmax::row::LANES;
use few::Group;

/// What becomes of a row.
#[derive(Clone, Copy)]
struct OfRow {
    loss: f64,
    /// τ times the derivative of the loss in τ.
    slope: f64,
}

/// How many rows are done together.
pub(super) const ROWS: usize = LANES;

/// Rows with labels, and the buffers that serve one after the other.
pub(super) struct Labelled<'a, T: Element> {
    pub(super) logits: Rows<'a, T>,
    pub(super) labels: Labels<'a>,
    pub(super) temperings: Temperings<'a, T::Real>,
    pub(super) row_weights: Option<&'a [f64]>,
    pub(super) class_weights: Option<&'a [f64]>,
    pub(super) divisor: f64,
    pub(super) space: Space<T::Real>,
}

pub(super) struct Space<R: Real> {
    row: Vec<R>,
    out: Vec<R>,
    staged: Vec<R>,
    group: Option<Box<Group<R>>>,
}

impl<R: Real> Space<R> {
    pub(super) fn new() -> Self {
        Space { row: Vec::new(), out: Vec::new(), staged: Vec::new(), group: None }
    }
}

impl<T: Element> Labelled<'_, T> {
    /// Up to [`ROWS`] rows from `start` on; which of them are done.
    #[inline(always)]
    pub(super) fn rows<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        losses: &mut [f64; ROWS],
        out: &mut LossMut<'_, T>,
    ) -> [bool; ROWS] {
        // In f64 the bits are the same either way, and lanes that stand empty cost what others do.
        let too_few = T::Real::IN_DOUBLE && 8 * (end - start) < 3 * self.logits.classes();
        if self.logits.classes() > FEW || too_few {
            return self.one_by_one(simd, start, end, [false; ROWS], losses, out);
        }
        let done = self.together(simd, start, end, losses, out);
        if T::Real::IN_DOUBLE && done[..end - start].contains(&false) {
            // Staged rows, which lanes cannot do, have all their digits there.
            return self.one_by_one(simd, start, end, done, losses, out);
        }
        done
    }

    /// A row's label and how much its loss counts; `None` where the row does not count.
    #[inline(always)]
    fn label(&self, i: usize) -> Option<(usize, f64)> {
        let label = self.labels.of_row(i)?;
        let weight = self.row_weights.map_or(1.0, |weights| weights[i]);
        let weight = self.class_weights.map_or(weight, |weights| weight * weights[label]);
        if weight > 0.0 { Some((label, weight)) } else { None }
    }

    /// Those that are not done.
    #[inline(always)]
    fn one_by_one<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        mut done: [bool; ROWS],
        losses: &mut [f64; ROWS],
        out: &mut LossMut<'_, T>,
    ) -> [bool; ROWS] {
        let (rows, classes) = (self.logits.rows(), self.logits.classes());
        for i in start..end {
            if done[i - start] {
                continue;
            }
            let Some((label, weight)) = self.label(i) else { continue };
            let factor = weight / self.divisor;
            let ahead = if i + 1 < rows { fetch_ahead::<T>(classes) } else { 0 };
            let tempering = &self.temperings.of_row(i);
            let how = row::How { tempering, factor, ahead };
            let span = i * classes..(i + 1) * classes;
            let row = in_real(&self.logits.as_slice()[span.clone()], &mut self.space.row);
            let (gradient, staged) = (&mut out.logits[span], &mut self.space.staged);
            let answer = match T::as_real_mut(gradient) {
                Some(gradient) => row::of_row(simd, row, label, how, gradient, staged),
                None => {
                    self.space.out.resize(classes, T::Real::ZERO);
                    let wide = &mut self.space.out;
                    let answer = row::of_row(simd, row, label, how, wide, staged);
                    T::write(wide, gradient);
                    answer
                }
            };
            if let Some(OfRow { loss, slope }) = answer {
                losses[i - start] = weight * loss;
                out.tau[i] = slope * factor * inverse(tempering);
                done[i - start] = true;
            }
        }
        done
    }

    #[inline(always)]
    fn together<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        losses: &mut [f64; ROWS],
        out: &mut LossMut<'_, T>,
    ) -> [bool; ROWS] {
        let classes = self.logits.classes();
        let mut group =
            self.space.group.take().unwrap_or_else(|| Group::new(&self.temperings, classes));
        let labels = self.labels.of_rows(start);
        let mut weights = [1.0; ROWS];
        if let Some(of_rows) = self.row_weights {
            weights[..end - start].copy_from_slice(&of_rows[start..end]);
        }
        if let Some(of_classes) = self.class_weights {
            for (weight, &label) in weights.iter_mut().zip(&labels) {
                *weight *= if label < 0 { 0.0 } else { of_classes[label as usize] };
            }
        }
        let mut factors = [1.0 / self.divisor; ROWS];
        if self.row_weights.is_some() || self.class_weights.is_some() {
            for i in 0..ROWS {
                factors[i] = weights[i] / self.divisor;
            }
        }
        group.count(&labels, &weights, &factors);
        group.temper(&self.temperings, start, end);
        let Space { row, out: wide, .. } = &mut self.space;
        let span = start * classes..end * classes;
        let rows = in_real(&self.logits.as_slice()[span.clone()], row);
        let gradient = &mut out.logits[span];
        match T::as_real_mut(gradient) {
            Some(gradient) => group.of_rows(simd, rows, gradient),
            None => {
                wide.resize(rows.len(), T::Real::ZERO);
                group.of_rows(simd, rows, wide);
                T::write(wide, gradient);
            }
        }
        *losses = *group.losses;
        let taus = &mut out.tau[start..end];
        match taus.first_chunk_mut() {
            Some(taus) => *taus = *group.taus,
            None => taus.copy_from_slice(&group.taus[..end - start]),
        }
        let done = group.ordinary;
        self.space.group = Some(group);
        done
    }
}

/// 1/τ where a row is ordinary.
#[inline(always)]
fn inverse<R: Real>(tempering: &Tempering<R>) -> f64 {
    match tempering {
        Tempering::Finite(base) => base.nearest_inverse(),
        _ => 0.0,
    }
}
