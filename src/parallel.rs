//! Rows over several threads.
//!
//! A job is halved at a row boundary until a half has fewer than 2 · 64k elements. Rows are
//! independent, so how a job was split cannot be seen in the result. (The parts of a long row are such
//! rows: `softmax/long.rs`.) Below 128k elements (some 30 µs)
//! waking a second thread costs more than it brings. On one thread a job is split, too, into parts between which
//! an interrupt is heard.

use crate::interrupt::{self, heed};
use crate::simd::{Kernel, dispatch};

/// What two halves give together. Where it is not nothing, the halves' order must not show in it either.
pub(crate) trait Join {
    fn join(self, right: Self) -> Self;
}

impl Join for () {
    fn join(self, (): ()) {}
}

/// A kernel over rows that can be split between two of them.
pub(crate) trait Job: Kernel<Output: Join + Send> + Send {
    fn rows(&self) -> usize;
    /// The elements of one row, as a measure of its work.
    fn row_len(&self) -> usize;
    fn elements(&self) -> usize {
        self.rows().saturating_mul(self.row_len())
    }
    fn split_at(self, row: usize) -> (Self, Self)
    where
        Self: Sized;
}

pub(crate) const SERIAL_BELOW: usize = 128 * 1024;

/// Elements between two looks at the interrupt, on one thread: some milliseconds.
const UNHEARD_BELOW: usize = 4 * 1024 * 1024;

pub(crate) fn run<J: Job>(job: J) -> J::Output {
    let elements = job.elements();
    if elements < SERIAL_BELOW {
        return dispatch(job);
    }
    heed();
    let threads = if job.rows() > 1 { threads() } else { 0 };
    let split = |job: J| {
        let middle = job.rows() / 2;
        job.split_at(middle)
    };
    if threads > 1 {
        let (left, right) = split(job);
        let (left, right) = join(|| run(left), || run(right));
        left.join(right)
    } else if threads == 1 && elements >= UNHEARD_BELOW {
        let (left, right) = split(job);
        run(left).join(run(right))
    } else {
        dispatch(job)
    }
}

/// How many threads there are to work on.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "rayon"))]
    1
}

/// Both, on two threads if another is free, and heeding the interrupt of this one.
pub(crate) fn join<A: Send, B: Send>(
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    heed();
    let current = interrupt::current();
    let (of_a, of_b) = (current.clone(), current);
    let a = || interrupt::under(of_a, a);
    let b = || interrupt::under(of_b, b);
    #[cfg(feature = "rayon")]
    return interrupt::under(None, || rayon::join(a, b));
    #[cfg(not(feature = "rayon"))]
    (a(), b())
}
