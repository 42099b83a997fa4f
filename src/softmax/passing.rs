//! Passing over blocks that add nothing to a reduction: at a small τ, most of a long row.
//!
//! Where the maximum of a block is at the floor, all its entries are left out of the rest (`rest.rs`), which adds 0 for each. So no bit
//! changes, and a block costs the sweep that finds its maximum.

use crate::element::Real;
use crate::simd::Simd;
use crate::softmax::plan::{BLOCK, Plan};
use crate::softmax::row::{Peak, find_peak};

/// The first wait and the longest one. Each wait behind a block that adds something is twice as long: where all do, looking is
/// hardly felt.
const FIRST: usize = 3;
const MOST: usize = 63;

pub(super) struct Passing<R> {
    floor: R,
    /// How many blocks go by before one is looked at, and how many did before the last one.
    wait: usize,
    waited: usize,
}

impl<R: Real> Passing<R> {
    /// Of a row of so many numbers; in a short one nothing is looked at, nor where blocks are staged.
    #[inline(always)]
    pub(super) fn new(plan: &Plan<R>, len: usize) -> Self {
        let looks = len >= 8 * BLOCK && !plan.is_staged() && plan.shift.floor < plan.max;
        let wait = if looks { FIRST } else { usize::MAX };
        Passing { floor: plan.shift.floor, wait, waited: FIRST }
    }

    /// Whether the next block adds nothing.
    #[inline(always)]
    pub(super) fn over<S: Simd>(&mut self, simd: S, block: &[R]) -> bool {
        if self.wait > 0 {
            self.wait -= 1;
            return false;
        }
        let adds_nothing = match find_peak(simd, block) {
            Peak::Finite(max) => max <= self.floor,
            Peak::None { nan } => !nan,
            Peak::Infinite => false,
        };
        self.waited = if adds_nothing { 0 } else { MOST.min(2 * self.waited + 1) };
        self.wait = self.waited;
        adds_nothing
    }
}
