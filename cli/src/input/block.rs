//! A buffer of whichever type the caller works in: what a [`Reader`](super::Reader) fills.

use half::f16;

/// A vector that the next rows go into.
pub(crate) enum Block<'a> {
    F16(&'a mut Vec<f16>),
    F32(&'a mut Vec<f32>),
    F64(&'a mut Vec<f64>),
}

impl Block<'_> {
    /// The same buffer, to be lent once more.
    pub(super) fn reborrow(&mut self) -> Block<'_> {
        match self {
            Block::F16(numbers) => Block::F16(numbers),
            Block::F32(numbers) => Block::F32(numbers),
            Block::F64(numbers) => Block::F64(numbers),
        }
    }
}

/// Does the same with a buffer of any type: `numbers` is bound to it.
macro_rules! with_block {
    ($block:expr, $numbers:ident => $do:expr) => {
        match $block {
            Block::F16($numbers) => $do,
            Block::F32($numbers) => $do,
            Block::F64($numbers) => $do,
        }
    };
}
pub(super) use with_block;
