//! A draw for every row of a batch, over threads.

use crate::element::Element;
use crate::error::Error;
use crate::parallel::{Job, Join};
use crate::rows::Rows;
use crate::sample::draw::Draw;
use crate::sample::params::SamplingParams;
use crate::sample::{Context, Space, distribution};
use crate::simd::{Kernel, Simd};

/// Draws a token for every row: what a [`Sampler`](crate::Sampler) of the row's parameters gives for it alone, on any number
/// of threads.
///
/// # Shapes
/// `[rows, classes]` to `[rows]`; `params` are one for all rows or one for each, `contexts` one for each.
///
/// # Errors
/// [`Error::Shape`] when there are as many parameters or contexts as neither; the first row's error otherwise, with the row.
///
/// # Example
/// ```
/// use softargmax::{Context, Rows, SamplingParams, sample_rows};
///
/// let logits = [0.0f32, 9.0, 9.0, 0.0];
/// let contexts = [0, 1].map(|stream| Context { stream, ..Default::default() });
/// let draws = sample_rows(Rows::new(&logits, 2)?, &[SamplingParams::greedy()], &contexts)?;
/// assert_eq!((draws[0].token, draws[1].token), (1, 0));
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn sample_rows<T: Element>(
    logits: Rows<'_, T>,
    params: &[SamplingParams],
    contexts: &[Context<'_>],
) -> Result<Vec<Draw>, Error> {
    let rows = logits.rows();
    if params.len() != 1 && params.len() != rows {
        return Err(Error::Shape { what: "params", expected: rows, got: params.len() });
    }
    if contexts.len() != rows {
        return Err(Error::Shape { what: "contexts", expected: rows, got: contexts.len() });
    }
    params.iter().try_for_each(SamplingParams::validate)?;
    let mut out = vec![Draw::default(); rows];
    let first = T::run(Batch { logits, params, contexts, first: 0, out: &mut out });
    match first.0 {
        Some(error) => Err(error),
        None => Ok(out),
    }
}

pub(crate) struct Batch<'a, T> {
    logits: Rows<'a, T>,
    params: &'a [SamplingParams],
    contexts: &'a [Context<'a>],
    /// The number of the first row, for errors.
    first: usize,
    out: &'a mut [Draw],
}

/// The error of the first row that has one.
pub(crate) struct First(Option<Error>);

impl Join for First {
    fn join(self, right: Self) -> Self {
        First(self.0.or(right.0))
    }
}

impl<T: Element> Kernel for Batch<'_, T> {
    type Output = First;

    // The hot loops choose their instruction set themselves.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> First {
        First(draw_all(self).err())
    }
}

fn draw_all<T: Element>(batch: Batch<'_, T>) -> Result<(), Error> {
    let Batch { logits, params, contexts, first, out } = batch;
    let mut space = Space::new();
    for (i, (row, out)) in logits.iter().zip(out).enumerate() {
        let params = if params.len() == 1 { &params[0] } else { &params[i] };
        let context = &contexts[i];
        let distribution = distribution(params, &mut space, row, context)
            .map_err(|error| error.in_row(first + i))?;
        let Context { stream, position, .. } = *context;
        *out =
            distribution.describe(distribution.draw(params.method, params.seed, stream, position));
    }
    Ok(())
}

impl<T: Element> Job for Batch<'_, T> {
    fn rows(&self) -> usize {
        self.out.len()
    }

    fn row_len(&self) -> usize {
        self.logits.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let Batch { logits, params, contexts, first, out } = self;
        let (left, right) = logits.split_at(row);
        let (params, params_right) =
            if params.len() == 1 { (params, params) } else { params.split_at(row) };
        let (contexts, contexts_right) = contexts.split_at(row);
        let (out, out_right) = out.split_at_mut(row);
        (
            Batch { logits: left, params, contexts, first, out },
            Batch {
                logits: right,
                params: params_right,
                contexts: contexts_right,
                first: first + row,
                out: out_right,
            },
        )
    }
}
