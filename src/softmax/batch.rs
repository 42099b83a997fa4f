//! Batches of rows: which row function runs on which row, at which temperature.

use crate::element::{Element, Real, private};
use crate::parallel::Job;
use crate::rows::Rows;
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::parked::Size;
use crate::softmax::plan::{Tempering, Temperings};
use crate::softmax::row::{self, AHEAD, Space};
use crate::softmax::{alone, converted, few, few_log, log, parked};
use crate::temperature::Temperatures;

/// Rows up to this long have a later one fetched from memory while they are computed: a row's first
/// sweep would wait for it otherwise. Longer ones are streams that the machine fetches by itself.
const FETCHED: usize = 256 * 1024;

/// How many numbers on the row lies that is fetched: the next one, or the first that is far enough; 0 for none.
pub(crate) fn fetch_ahead<T>(classes: usize) -> usize {
    if classes > FETCHED { 0 } else { (AHEAD / size_of::<T>()).next_multiple_of(classes) }
}

/// So many rows are not worth memory of their own.
const FEW_ROWS: usize = 3;

#[derive(Clone, Copy)]
pub(super) enum Function {
    Softmax,
    LogSoftmax,
}

/// Rows to rows; without `logits`, in place.
pub(crate) struct Map<'a, T> {
    pub(super) function: Function,
    pub(super) logits: Option<Rows<'a, T>>,
    pub(super) taus: Temperatures<'a>,
    pub(super) out: &'a mut [T],
    pub(super) classes: usize,
    /// How large the whole result is, of which this may be a part.
    pub(super) size: Size,
}

impl<T: Element> Kernel for Map<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Map { function, logits, taus, out, classes, size } = self;
        let temperings = Temperings::new(taus);
        let mut space = Space::new();
        if classes <= few::FEW {
            let logits = logits.map(|logits| logits.as_slice());
            return in_batches(logits, out, classes, |rows, out, first| {
                few_real(simd, function, rows, out, classes, &temperings, first, &mut space);
            });
        }
        let (rows, ahead) = (out.len() / classes, fetch_ahead::<T>(classes));
        if matches!(function, Function::Softmax) && few::are_some(rows, classes) {
            let logits = logits.map(|logits| logits.as_slice());
            return in_batches(logits, out, classes, |rows, out, first| {
                few::softmax(simd, rows, out, classes, &temperings, first, &mut space);
            });
        }
        if matches!(function, Function::Softmax)
            && rows > FEW_ROWS
            && parked::are_parked(classes, size)
            && let Some(out) = T::as_real_mut(out)
        {
            let rows = logits.and_then(|logits| T::as_real(logits.as_slice()));
            return parked::softmax(simd, rows, out, classes, &temperings, &mut space, ahead, size);
        }
        let (mut wide, mut wide_out) = (Scratch::new(), Scratch::new());
        for (i, out) in out.chunks_exact_mut(classes).enumerate() {
            let row = logits.map(|logits| &logits.as_slice()[i * classes..(i + 1) * classes]);
            let tempering = temperings.of_row(i);
            let ahead = if i + 1 < rows { ahead } else { 0 };
            if let Some(out) = T::as_real_mut(out) {
                let row = row.and_then(T::as_real);
                map(simd, function, row, out, &tempering, &mut space, ahead);
            } else {
                // f16, bf16: the row in f32, and back.
                let wide_out = wide_out.of(classes);
                if matches!(function, Function::Softmax) {
                    let wide = [wide.of(classes), wide_out];
                    converted::softmax(simd, row, out, wide, &tempering, &mut space, ahead);
                    continue;
                }
                let row = Some(in_real(row.unwrap_or(out), &mut wide));
                map(simd, function, row, wide_out, &tempering, &mut space, 0);
                T::write(wide_out, out);
            }
        }
    }
}

/// Rows as they are, or those of f16 and bf16 by way of f32, many at a time; what does them is told the number of the first.
#[inline(always)]
fn in_batches<T: Element>(
    rows: Option<&[T]>,
    out: &mut [T],
    classes: usize,
    mut each: impl FnMut(Option<&[T::Real]>, &mut [T::Real], usize),
) {
    if let Some(out) = T::as_real_mut(out) {
        return each(rows.and_then(T::as_real), out, 0);
    }
    let mut wide = Scratch::new();
    let batch = classes * few::BATCH;
    for (i, out) in out.chunks_mut(batch).enumerate() {
        let wide = wide.of(out.len());
        T::read(rows.map_or(&*out, |rows| &rows[i * batch..i * batch + out.len()]), wide);
        each(None, wide, i * few::BATCH);
        T::write(wide, out);
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "handed on as they came")]
fn few_real<S: Simd, R: Real>(
    simd: S,
    function: Function,
    rows: Option<&[R]>,
    out: &mut [R],
    classes: usize,
    temperings: &Temperings<R>,
    first: usize,
    space: &mut Space<R>,
) {
    let together = alone::together(out.len() / classes);
    let (out, others) = out.split_at_mut(together * classes);
    let (rows, other_rows) = rows.map(|rows| rows.split_at(together * classes)).unzip();
    if !out.is_empty() {
        match function {
            Function::Softmax => few::softmax(simd, rows, out, classes, temperings, first, space),
            Function::LogSoftmax => {
                few_log::log_softmax(simd, rows, out, classes, temperings, first, space)
            }
        }
    }
    for (i, out) in others.chunks_exact_mut(classes).enumerate() {
        let row = other_rows.map(|rows| &rows[i * classes..(i + 1) * classes]);
        let tempering = &temperings.of_row(first + together + i);
        let done = match function {
            Function::Softmax => simd.call(alone::Map::<_, false> { row, out, tempering }),
            Function::LogSoftmax => simd.call(alone::Map::<_, true> { row, out, tempering }),
        };
        if !done {
            map(simd, function, row, out, tempering, space, 0);
        }
    }
}

#[inline(always)]
fn map<S: Simd, R: Real>(
    simd: S,
    function: Function,
    row: Option<&[R]>,
    out: &mut [R],
    tempering: &Tempering<R>,
    space: &mut Space<R>,
    ahead: usize,
) {
    match function {
        Function::Softmax => row::softmax(simd, row, out, tempering, space, ahead),
        Function::LogSoftmax => log::log_softmax(simd, row, out, tempering, space, ahead),
    }
}

/// A row in the type it is computed in, by way of `scratch` where that is another one.
#[inline(always)]
pub(crate) fn in_real<'a, T: private::Element>(
    row: &'a [T],
    scratch: &'a mut Scratch<T::Real>,
) -> &'a [T::Real] {
    match T::as_real(row) {
        Some(row) => row,
        None => {
            let wide = scratch.of(row.len());
            T::read(row, wide);
            wide
        }
    }
}

impl<T: Element> Job for Map<'_, T> {
    fn rows(&self) -> usize {
        self.out.len() / self.classes
    }

    fn row_len(&self) -> usize {
        self.classes
    }

    // Without a division, which is felt in a call for one short row.
    fn elements(&self) -> usize {
        self.out.len()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let Map { function, logits, taus, out, classes, size } = self;
        let logits = logits.map(|logits| logits.split_at(row));
        let (taus, taus_right) = taus.split_at(row);
        let (out, out_right) = out.split_at_mut(row * classes);
        (
            Map { function, logits: logits.map(|l| l.0), taus, out, classes, size },
            Map {
                function,
                logits: logits.map(|l| l.1),
                taus: taus_right,
                out: out_right,
                classes,
                size,
            },
        )
    }
}

pub(crate) struct LogSumExp<'a, T> {
    pub(super) logits: Rows<'a, T>,
    pub(super) taus: Temperatures<'a>,
    pub(super) out: &'a mut [T],
}

impl<T: Element> Kernel for LogSumExp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let LogSumExp { logits, taus, out } = self;
        let temperings = Temperings::new(taus);
        let (mut scratch, mut space) = (Scratch::new(), Space::new());
        let classes = logits.classes();
        if classes <= few::FEW {
            let batch = classes * few::BATCH;
            // Of one row, there is no group.
            let (mut group, new_group) = (None, || few_log::Group::new(&temperings));
            let batches = logits.as_slice().chunks(batch).zip(out.chunks_mut(few::BATCH));
            for (i, (rows, out)) in batches.enumerate() {
                let (rows, first) = (in_real(rows, &mut scratch), i * few::BATCH);
                let together = alone::together(out.len());
                let (rows, other_rows) = rows.split_at(together * classes);
                let (out, others) = out.split_at_mut(together);
                if !out.is_empty() {
                    let logs = &mut [0.0; few::BATCH][..together];
                    let (group, space) = (group.get_or_insert_with(new_group), &mut space);
                    few_log::log_sum_exp(simd, group, rows, &temperings, first, space, logs);
                    for (out, &log) in out.iter_mut().zip(&*logs) {
                        *out = T::of_f64(log);
                    }
                }
                for (i, (row, out)) in other_rows.chunks_exact(classes).zip(others).enumerate() {
                    let tempering = &temperings.of_row(first + together + i);
                    let log = simd.call(alone::LogSumExp { row, tempering });
                    *out = T::of_f64(match log {
                        Some(log) => log,
                        None => log::log_sum_exp(simd, row, tempering, &mut space, 0),
                    });
                }
            }
            return;
        }
        let (rows, ahead) = (logits.rows(), fetch_ahead::<T>(classes));
        for (i, (row, out)) in logits.iter().zip(out).enumerate() {
            let ahead = if i + 1 < rows { ahead } else { 0 };
            let (row, tempering) = (in_real(row, &mut scratch), &temperings.of_row(i));
            *out = T::of_f64(log::log_sum_exp(simd, row, tempering, &mut space, ahead));
        }
    }
}

impl<T: Element> Job for LogSumExp<'_, T> {
    fn rows(&self) -> usize {
        self.out.len()
    }

    fn row_len(&self) -> usize {
        self.logits.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (logits, logits_right) = self.logits.split_at(row);
        let (taus, taus_right) = self.taus.split_at(row);
        let (out, out_right) = self.out.split_at_mut(row);
        (
            LogSumExp { logits, taus, out },
            LogSumExp { logits: logits_right, taus: taus_right, out: out_right },
        )
    }
}
