//! Cross-entropy with a label, and nothing else in the target: in the type of the row, with sums in f64.
//!
//! `row.rs` does one row, `few.rs` sixteen short ones. What is not ordinary (a limit of τ, an infinity, a row that has
//! nothing but its maximum in reach of the type) is left to `cross_entropy.rs`, which goes entry by entry in f64.

mod few;
mod row;

use super::cross_entropy::Out;
use crate::element::{Element, Real};
use crate::rows::{Labels, Rows};
use crate::simd::Simd;
use crate::softmax::batch::{FETCH_AHEAD, in_real};
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
    /// Up to [`ROWS`] rows from `start` on, with their weights; which of them are done.
    #[inline(always)]
    pub(super) fn rows<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        weights: &[f64; ROWS],
        out: &mut Out<'_, T>,
    ) -> [bool; ROWS] {
        if T::Real::IN_DOUBLE || self.logits.classes() > FEW {
            self.one_by_one(simd, start, end, weights, out)
        } else {
            self.together(simd, start, end, weights, out)
        }
    }

    /// A row's label and how much its loss counts; `None` where the row does not count.
    #[inline(always)]
    fn label(&self, i: usize, weight: f64) -> Option<(usize, f64)> {
        let label = self.labels.of_row(i)?;
        let weight = self.class_weights.map_or(weight, |weights| weight * weights[label]);
        if weight > 0.0 { Some((label, weight)) } else { None }
    }

    #[inline(always)]
    fn one_by_one<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        weights: &[f64; ROWS],
        out: &mut Out<'_, T>,
    ) -> [bool; ROWS] {
        let (rows, classes) = (self.logits.rows(), self.logits.classes());
        let mut done = [false; ROWS];
        for i in start..end {
            let Some((label, weight)) = self.label(i, weights[i - start]) else { continue };
            let factor = weight / self.divisor;
            let ahead = if i + 1 < rows && classes <= FETCH_AHEAD { classes } else { 0 };
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
                out.losses[i] = weight * loss;
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
        weights: &[f64; ROWS],
        out: &mut Out<'_, T>,
    ) -> [bool; ROWS] {
        let classes = self.logits.classes();
        let mut group =
            self.space.group.take().unwrap_or_else(|| Group::new(&self.temperings, classes));
        let mut weights = *weights;
        for (i, lane) in (start..end).zip(0..ROWS) {
            // What does not count goes along, with a factor of 0.
            (group.labels[lane], weights[lane]) = self.label(i, weights[lane]).unwrap_or((0, 0.0));
        }
        for (factor, weight) in group.factor.iter_mut().zip(weights) {
            *factor = weight / self.divisor;
        }
        group.temper(&self.temperings, start, end);
        let Space { row, out: wide, .. } = &mut self.space;
        let span = start * classes..end * classes;
        let rows = in_real(&self.logits.as_slice()[span.clone()], row);
        let gradient = &mut out.logits[span];
        match T::as_real_mut(gradient) {
            Some(gradient) => group.of_rows(simd, rows, classes, gradient),
            None => {
                wide.resize(rows.len(), T::Real::ZERO);
                group.of_rows(simd, rows, classes, wide);
                T::write(wide, gradient);
            }
        }
        let (mut losses, mut taus) = ([0.0; ROWS], [0.0; ROWS]);
        for i in 0..ROWS {
            let OfRow { loss, slope } = group.answer(i);
            losses[i] = weights[i] * loss;
            taus[i] = slope * group.factor[i] * group.inverse[i];
        }
        out.losses[start..end].copy_from_slice(&losses[..end - start]);
        out.tau[start..end].copy_from_slice(&taus[..end - start]);
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
