//! Softmax of lanes that are neighbours in memory: sixteen at a time, one in each lane of a vector, as `softmax/few.rs` does
//! rows.
//!
//! ```text
//! lines: a class of all lanes      strips of sixteen lanes, class after class      peaks, shifts and weights as in few.rs
//! sums in the order of row.rs      weights times 1/S      strips to lines
//! ```
//!
//! Nothing is turned around, and the lines are read once and written once. They are copied into strips for the caches' sake:
//! lines whose distance is a power of two fall on the same few sets.

use crate::element::Real;
use crate::simd::{Kernel, Simd};
use crate::softmax::few::{AddUp, Column, FEW, Invert, Multiply, Peaks, PerRow, Plans, Weigh};
use crate::softmax::plan::{Tempering, Temperings};
use crate::softmax::row::{self, LANES, Lanes, Space};
use crate::temperature::{Temperature, Temperatures};

/// Softmax of all lanes of some lines, read from `from` or in place.
pub(crate) struct Columns<'a, R: Real> {
    /// A class each, of one length.
    pub(super) from: Option<&'a [&'a [R]]>,
    pub(super) to: &'a mut [&'a mut [R]],
    pub(super) tau: Temperature,
    pub(super) scratch: &'a mut Vec<Column<R>>,
}

impl<R: Real> Kernel for Columns<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Columns { from, to, tau, scratch } = self;
        let (classes, lanes) = (to.len(), to[0].len());
        scratch.resize(lanes.div_ceil(LANES) * classes, [R::ZERO; LANES]);
        match from {
            Some(lines) => simd.call(Read { lines, scratch }),
            None => simd.call(Read { lines: to, scratch }),
        }
        let temperings = Temperings::new(Temperatures::One(tau));
        let mut lanes = PerRow::new(&temperings);
        for (strip, columns) in scratch.chunks_exact_mut(classes).enumerate() {
            simd.call(Peaks { columns, lanes: &mut lanes });
            simd.call(Plans { lanes: &mut lanes });
            let ordinary = lanes.ordinary.map(|bits| bits != R::NO_BITS);
            let first = strip * LANES;
            let others: Vec<_> = (0..LANES)
                .filter(|&i| !ordinary[i] && first + i < to[0].len())
                .map(|i| (i, alone(simd, columns, i, &temperings.of_row(0))))
                .collect();
            if classes <= FEW {
                simd.call(Weigh { columns, lanes: &lanes });
                simd.call(AddUp { columns, lanes: &mut lanes });
            } else {
                weigh_as_rows(simd, columns, &mut lanes);
            }
            simd.call(Invert { lanes: &mut lanes });
            simd.call(Multiply { columns, by: &lanes.inverse });
            for (i, row) in others {
                columns.iter_mut().zip(row).for_each(|(column, p)| column[i] = p);
            }
        }
        simd.call(Write { scratch, lines: to });
    }
}

/// A lane that is not ordinary.
#[inline(always)]
fn alone<S: Simd, R: Real>(
    simd: S,
    columns: &[Column<R>],
    lane: usize,
    tempering: &Tempering<R>,
) -> Vec<R> {
    let mut row: Vec<R> = columns.iter().map(|column| column[lane]).collect();
    row::softmax(simd, None, &mut row, tempering, &mut Space::new(), 0);
    row
}

/// The weights of sixteen lanes, and their sums as `row.rs` has them: class j to the virtual lane j mod 16.
#[inline(always)]
fn weigh_as_rows<S: Simd, R: Real>(simd: S, columns: &mut [Column<R>], lanes: &mut PerRow<R>) {
    let mut sums = [Lanes::ZERO; LANES];
    for columns in columns.chunks_mut(2 * LANES) {
        simd.call(Weigh { columns, lanes });
        simd.call(AddUpAsRows { columns, sums: &mut sums });
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        let (left, right) = sums.split_at_mut(width);
        for (left, right) in left.iter_mut().zip(right) {
            simd.one_by_one();
            for i in 0..LANES {
                let (a, b) = (left.total[i], right.total[i]);
                let (a, b) = ((a, left.correction[i]), (b, right.correction[i]));
                (left.total[i], left.correction[i]) = R::join(a, b);
            }
        }
    }
    (lanes.total, lanes.correction) = (sums[0].total, sums[0].correction);
}

/// Up to thirty-two classes to the virtual lanes, in pairs where there are pairs of whole chunks.
struct AddUpAsRows<'a, R> {
    columns: &'a [Column<R>],
    sums: &'a mut [Lanes; LANES],
}

impl<R: Real> Kernel for AddUpAsRows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddUpAsRows { columns, sums } = self;
        let (chunks, _) = columns.as_chunks::<LANES>();
        if let [first, second] = chunks {
            for ((first, second), sum) in first.iter().zip(second).zip(sums) {
                simd.one_by_one();
                R::accumulate(&[*first, *second], &mut sum.total, &mut sum.correction);
            }
            return;
        }
        for (k, column) in columns.iter().enumerate() {
            simd.one_by_one();
            let sum = &mut sums[k % LANES];
            R::accumulate(std::slice::from_ref(column), &mut sum.total, &mut sum.correction);
        }
    }
}

/// How many lines ahead memory is asked for: each lies in a page of its own, where no machine foresees it.
const AHEAD: usize = 4;

/// Lines to strips.
struct Read<'a, L, R> {
    lines: &'a [L],
    scratch: &'a mut [Column<R>],
}

impl<L: AsRef<[R]>, R: Real> Kernel for Read<'_, L, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Read { lines, scratch } = self;
        for (class, line) in lines.iter().enumerate() {
            let (chunks, tail) = line.as_ref().as_chunks::<LANES>();
            let ahead = lines[(class + AHEAD).min(lines.len() - 1)].as_ref().as_ptr();
            for (strip, chunk) in chunks.iter().enumerate() {
                simd.prefetch_read(ahead.wrapping_add(strip * LANES));
                scratch[strip * lines.len() + class] = *chunk;
            }
            if !tail.is_empty() {
                scratch[chunks.len() * lines.len() + class][..tail.len()].copy_from_slice(tail);
            }
        }
    }
}

/// Strips to lines.
struct Write<'a, 'b, R> {
    scratch: &'a [Column<R>],
    lines: &'a mut [&'b mut [R]],
}

impl<R: Real> Kernel for Write<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Write { scratch, lines } = self;
        let classes = lines.len();
        for class in 0..classes {
            let ahead = lines[(class + AHEAD).min(classes - 1)].as_ptr();
            let (chunks, tail) = lines[class].as_chunks_mut::<LANES>();
            let strips = chunks.len();
            for (strip, chunk) in chunks.iter_mut().enumerate() {
                simd.prefetch_write(ahead.wrapping_add(strip * LANES));
                *chunk = scratch[strip * classes + class];
            }
            if !tail.is_empty() {
                tail.copy_from_slice(&scratch[strips * classes + class][..tail.len()]);
            }
        }
    }
}
