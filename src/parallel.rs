//! Rows over several threads.
//!
//! A job is halved at a row boundary until a half has fewer than 2 · 64k elements. Rows are
//! independent, so how a job was split cannot be seen in the result. Below 128k elements (some 30 µs)
//! waking a second thread costs more than it brings.

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
    fn split_at(self, row: usize) -> (Self, Self)
    where
        Self: Sized;
}

#[cfg(feature = "rayon")]
const SERIAL_BELOW: usize = 128 * 1024;

pub(crate) fn run<J: Job>(job: J) -> J::Output {
    #[cfg(feature = "rayon")]
    if job.rows() > 1
        && job.rows().saturating_mul(job.row_len()) >= SERIAL_BELOW
        && rayon::current_num_threads() > 1
    {
        let middle = job.rows() / 2;
        let (left, right) = job.split_at(middle);
        let (left, right) = rayon::join(|| run(left), || run(right));
        return left.join(right);
    }
    dispatch(job)
}
