//! Labels drawn anew from the model's own confidences, at a cost that does not grow with the rows.
//!
//! ```text
//! rows, ranked → groups of neighbours       one confidence each below 2048 rows, and always at the two ends
//! a group draws Σ w (c − p), c ~ Bernoulli(p): exactly, or as a normal number where there is too much to draw
//! ```
//!
//! A curve over 10^6 rows is made of blocks of some n^(2/3) = 10^4 of them (isotonic regression) or of sums over all
//! (Kolmogorov–Smirnov), so what happens inside a group of n/2048 does not show. At the ends, where a block can be one
//! row, a group is: it holds at most 1/16 of the rows beyond it. Nor does a group stretch over more than `span`.
//!
//! Exact draws cost as much as there are surprises, Σ min(p, 1 − p) of them. Where that is more than 8192, a group is
//! normal if Lyapunov's ratio Σ w³ E|c − p|³ / (Σ w² Var c)^1.5 is at most 1/3, which by the theorem of Berry and
//! Esseen bounds what that does to one group. Curves add up many, and the ratio falls with the root of their number; a
//! confidence that most rows share is a large group, with a ratio near 1/90.

use crate::metrics::null::Chance;
use crate::metrics::ranked::{ranked, ties, weight};
use crate::metrics::score::Score;
use crate::random::Random;

/// Groups where the rows are dense.
const PARTS: usize = 2048;
/// A group has at most one row for so many between it and the nearer end.
const END: usize = 16;
/// How many surprises are drawn one by one.
const SURPRISES: f64 = 8192.0;
/// Lyapunov's ratio up to which a group is normal, if there are more.
const LYAPUNOV: f64 = 1.0 / 3.0;

/// Ranked rows in groups.
pub(super) struct Redraw {
    pub(super) rows: Vec<Score>,
    pub(super) groups: Vec<Group>,
}

/// Rows whose labels are drawn together.
pub(super) struct Group {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) weight: f64,
    /// Σ w p.
    pub(super) expected: f64,
    chance: Chance,
}

impl Redraw {
    /// `None` as [`ranked`].
    pub(super) fn new(scores: &[Score], span: f64) -> Option<Redraw> {
        let rows = ranked(scores)?;
        let surprises: f64 = rows.iter().map(|row| row.confidence.min(row.doubt)).sum();
        let lyapunov = if surprises > SURPRISES { LYAPUNOV } else { 0.0 };
        let mut groups = Vec::new();
        let (mut first, mut end) = (0, 0);
        for tie in ties(&rows) {
            let room = (first.min(rows.len() - first) / END).clamp(1, rows.len() / PARTS + 1);
            let wide = tie[0].confidence - rows[first].confidence > span;
            if end > first && (end - first + tie.len() > room || wide) {
                groups.push(Group::of(&rows[first..end], lyapunov));
                first = end;
            }
            end += tie.len();
        }
        groups.push(Group::of(&rows[first..], lyapunov));
        Some(Redraw { rows, groups })
    }
}

impl Group {
    /// `lyapunov`: the ratio up to which it is normal.
    fn of(rows: &[Score], lyapunov: f64) -> Group {
        let heaviest = rows.iter().fold(0.0, |most: f64, row| most.max(row.weight));
        // In units of the heaviest weight: cubes stay in range.
        let (mut variance, mut third) = (0.0, 0.0);
        for row in rows {
            let (p, q, w) = (row.confidence, row.doubt, row.weight / heaviest);
            variance += w * w * p * q;
            third += w * w * w * p * q * (p * p + q * q);
        }
        let deviation = variance.sqrt();
        let chance = if third > 0.0 && third <= lyapunov * variance * deviation {
            Chance::Normal { deviation: deviation * heaviest }
        } else {
            Chance::exact(rows)
        };
        Group {
            lower: rows[0].confidence,
            upper: rows[rows.len() - 1].confidence,
            weight: weight(rows),
            expected: rows.iter().map(|row| row.weight * row.confidence).sum(),
            chance,
        }
    }

    /// Σ w (c − p) over the rows, each c drawn from its p.
    pub(super) fn residual(&self, random: &mut Random) -> f64 {
        -self.chance.draw(random)
    }
}
