//! Cross-entropy with a label, and nothing else in the target: in the type of the row, with sums in f64.
//!
//! `row.rs` does one row, `few.rs` sixteen short ones, `alone.rs` one of those. What is not ordinary (a limit of τ, an infinity, a row
//! that has nothing but its maximum in reach of the type) is left to `cross_entropy.rs`, which goes entry by entry in f64.

mod alone;
mod few;
mod row;

use super::LossMut;
use crate::element::{Element, Real};
use crate::rows::{Labels, Rows};
use crate::scratch::Scratch;
use crate::simd::Simd;
use crate::softmax::alone::ALONE;
use crate::softmax::batch::{fetch_ahead, in_real};
use crate::softmax::few::FEW;
use crate::softmax::plan::{Tempering, Temperings};
use crate::softmax::row::LANES;
use few::Group;
use row::How;

/// What becomes of a row.
#[derive(Clone, Copy)]
struct OfRow {
    loss: f64,
    /// τ times the derivative of the loss in τ.
    slope: f64,
}

/// How many rows are done together, in groups of sixteen.
pub(super) const ROWS: usize = 2 * LANES;

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
    row: Scratch<R>,
    out: Scratch<R>,
    staged: Vec<R>,
    groups: Vec<Group<R>>,
}

impl<R: Real> Space<R> {
    pub(super) fn new() -> Self {
        Space { row: Scratch::new(), out: Scratch::new(), staged: Vec::new(), groups: Vec::new() }
    }
}

impl<T: Element> Labelled<'_, T> {
    /// Up to [`ROWS`] rows from `start` on; which of them are done, where these are not all.
    #[inline(always)]
    pub(super) fn rows<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        losses: &mut [f64; ROWS],
        out: &mut LossMut<'_, T>,
    ) -> Option<[bool; ROWS]> {
        // In f64 the bits are the same either way, and lanes that stand empty cost what others do.
        let too_few = if T::Real::IN_DOUBLE {
            8 * (end - start) < 3 * self.logits.classes()
        } else {
            end - start <= ALONE
        };
        if self.logits.classes() > FEW || too_few {
            return Some(self.one_by_one(simd, start, end, [false; ROWS], losses, out));
        }
        // Groups that go together wait for themselves, and not for each other; few of them pay for one more. In f64 they wait less,
        // and would take the room of a cache from each other.
        let one = T::Real::IN_DOUBLE || self.logits.rows() < 2 * ROWS;
        let step = if one { LANES } else { ROWS };
        let (mut done, mut all) = ([false; ROWS], end - start == ROWS);
        for (i, from) in (start..end).step_by(step).enumerate() {
            let (to, place) = (end.min(from + step), i * step..);
            let (losses, done) = (&mut losses[place.clone()], &mut done[place]);
            all &= self.together(simd, from, to, losses, done, out);
        }
        if all {
            return None;
        }
        // In f64, staged rows, which lanes cannot do, have all their digits there.
        let left = T::Real::IN_DOUBLE && done[..end - start].contains(&false);
        Some(if left { self.one_by_one(simd, start, end, done, losses, out) } else { done })
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
            let how = How { tempering, factor, ahead };
            let span = i * classes..(i + 1) * classes;
            let row = in_real(&self.logits.as_slice()[span.clone()], &mut self.space.row);
            let (gradient, staged) = (&mut out.logits[span], &mut self.space.staged);
            let answer = match T::as_real_mut(gradient) {
                Some(gradient) => of_row(simd, row, label, how, gradient, staged),
                None => {
                    let wide = self.space.out.of(classes);
                    let answer = of_row(simd, row, label, how, wide, staged);
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

    /// As many rows as there are groups for, and whether all were done.
    #[inline(always)]
    fn together<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        end: usize,
        losses: &mut [f64],
        done: &mut [bool],
        out: &mut LossMut<'_, T>,
    ) -> bool {
        let classes = self.logits.classes();
        let Space { row, out: wide, groups, .. } = &mut self.space;
        let count = (end - start).div_ceil(LANES);
        while groups.len() < count {
            groups.push(Group::new(&self.temperings, classes));
        }
        let groups = &mut groups[..count];
        let parts = || (start..end).step_by(LANES).map(|start| (start, end.min(start + LANES)));
        for (group, (start, end)) in groups.iter_mut().zip(parts()) {
            let labels = self.labels.of_rows(start);
            let mut weights = [1.0; LANES];
            if let Some(of_rows) = self.row_weights {
                weights[..end - start].copy_from_slice(&of_rows[start..end]);
            }
            if let Some(of_classes) = self.class_weights {
                for (weight, &label) in weights.iter_mut().zip(&labels) {
                    *weight *= if label < 0 { 0.0 } else { of_classes[label as usize] };
                }
            }
            let mut factors = [1.0 / self.divisor; LANES];
            if self.row_weights.is_some() || self.class_weights.is_some() {
                for i in 0..LANES {
                    factors[i] = weights[i] / self.divisor;
                }
            }
            group.count(&labels, &weights, &factors);
            group.temper(&self.temperings, start, end);
        }
        let span = start * classes..end * classes;
        let rows = in_real(&self.logits.as_slice()[span.clone()], row);
        let gradient = &mut out.logits[span];
        match T::as_real_mut(gradient) {
            Some(gradient) => few::of_rows(simd, groups, rows, gradient),
            None => {
                let wide = wide.of(rows.len());
                few::of_rows(simd, groups, rows, wide);
                T::write(wide, gradient);
            }
        }
        let mut all = true;
        for (k, (group, (start, end))) in groups.iter().zip(parts()).enumerate() {
            let place = k * LANES..(k + 1) * LANES;
            losses[place.clone()].copy_from_slice(&*group.losses);
            done[place].copy_from_slice(&group.ordinary);
            // Not of what was just put there, which would be waited for.
            all &= group.ordinary.iter().fold(true, |all, &row| all & row);
            let taus = &mut out.tau[start..end];
            match taus.first_chunk_mut() {
                Some(taus) => *taus = *group.taus,
                None => taus.copy_from_slice(&group.taus[..end - start]),
            }
        }
        all
    }
}

/// One row, whichever way it goes.
#[inline(always)]
fn of_row<S: Simd, R: Real>(
    simd: S,
    row: &[R],
    label: usize,
    how: How<'_, R>,
    out: &mut [R],
    staged: &mut Vec<R>,
) -> Option<OfRow> {
    if row.len() <= FEW && !R::IN_DOUBLE {
        simd.call(alone::Row { row, label, how, out })
    } else {
        row::of_row(simd, row, label, how, out, staged)
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
