//! InfoNCE: one positive for each query, and negatives that are given, come from a queue, or are the other keys.
//!
//! ```text
//! dq = (1 − p₊)/τ · (Σ_j w_j k_j/Σw − k₊)      dk₊ = −(1 − p₊)/τ · q      dk_j = Σ_i (1 − p₊ᵢ)/τ · w_ij/Σw · q_i
//!
//! negatives without a gradient: two products, in one pass     sums_and_means
//! negatives with one:           three                         sums_and_pull
//! ```

use std::cell::Cell;

use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::loss::contrastive::both::Side;
use crate::loss::contrastive::queue::Queue;
use crate::loss::contrastive::sweep::{Sweep, Without};
use crate::loss::contrastive::vectors::{Prepared, Vectors, same_rows, same_width};
use crate::loss::contrastive::{
    ContrastiveLoss, ContrastiveOptions, Row, denominator_of, reduced, whole,
};
use crate::loss::weigh::{Factor, LogSum, above_zero};
use crate::rows::Rows;
use crate::temperature::Temperature;

/// InfoNCE with negatives that are the same for all queries: the mean over the rows of
/// `−ln( exp(q·k₊/τ) / (exp(q·k₊/τ) + Σ_j exp(q·k_j/τ)) )`, with the gradients in queries, positives, negatives and τ.
///
/// # Shapes
/// `queries` and `positives` are `[rows, width]`, `negatives` `[K, width]`.
///
/// # Accuracy
/// A loss of 1e-84 is 1e-84, and its gradients are as small. In f64 the loss is within 1e-14 of itself; in f32 the
/// rounding of the similarities decides: 2^-22·max(1, 2/τ) of the loss. The same bits for any number of threads, and for
/// AVX2 and AVX-512; a machine without fused multiply-add has other last bits in its products of matrices.
///
/// Never are rows·K similarities held, but a tile of 1024 × 1024 for each thread and at most 64 MiB of them for a block of
/// rows; beside those, a copy of the vectors where they are normalised or of 16 bits, one of the gradients that columns
/// get, and 8·1024·width f64.
///
/// # Special values
/// No negatives give a loss of 0. At τ = ∞ it is ln(1 + K), and all gradients are 0.
///
/// # Errors
/// [`Error::Shape`] when widths or numbers of rows differ. [`Error::Row`] for a vector that holds a NaN or an
/// infinity, is 0 where it is to be normalised, or is not of length 1 where that was promised; the row is counted in
/// its own argument. [`Error::Parameter`] at τ = 0 and up to 1e-300 (f32: 1e-36), whose gradients would overflow, and
/// for no negatives with the positive left out. [`Error::NoRows`] for the mean of no rows.
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Rows, info_nce};
///
/// let (query, negatives) = ([1.0, 0.0], [[-1.0, 0.0]; 1023]);
/// let (query, negatives) = (Rows::one(&query)?, Rows::new(negatives.as_flattened(), 2)?);
/// let loss = info_nce(query, query, negatives, "0.07".parse()?, &ContrastiveOptions::default())?;
/// // The seventh digit is as right as the first; computed as ln of a probability in f32 this is 0.
/// assert!((loss.value() / 3.9944948443973564e-10 - 1.0).abs() < 1e-14);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// van den Oord, Li & Vinyals 2018, eq. 4; He et al. 2020, eq. 1.
pub fn info_nce<T: Element>(
    queries: Rows<'_, T>,
    positives: Rows<'_, T>,
    negatives: Rows<'_, T>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> Result<ContrastiveLoss<T>, Error> {
    same_width("a negative", queries, negatives)?;
    let batch = Batch::new(queries, positives, tau, options)?;
    let negatives = Prepared::new(negatives, options.vectors)?;
    denominator_of(negatives.rows, options.denominator)?;
    let mut of_negatives = vec![T::of_f64(0.0); negatives.data.len()];
    let finish = |row, _, sum: &mut [f64], out: &mut [T]| negatives.write_gradient(row, sum, out);
    let loss = batch.loss_and_pull(&negatives, &|_| [None; 2], &mut of_negatives, finish, options);
    Ok(ContrastiveLoss { negatives: of_negatives, ..loss })
}

/// MoCo's loss: [`info_nce`] whose negatives are those of a [`Queue`], which gets no gradient.
///
/// Two products of matrices, in one pass over the queue.
///
/// # Shapes
/// `queries` and `keys` are `[rows, width]`; the queue has keys of that width. It is not changed: push the keys
/// afterwards.
///
/// # Accuracy, special values
/// As [`info_nce`]. An empty queue gives a loss of 0.
///
/// # Errors
/// As [`info_nce`]. The queue's keys were checked when they came; what they were taken as, may differ from `options`.
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Queue, Rows, Vectors, moco};
///
/// let mut queue = Queue::new(65536, 2, Vectors::Normalise)?;
/// let (queries, keys) = (Rows::new(&[3.0, 4.0], 2)?, Rows::new(&[4.0, 3.0], 2)?);
/// let loss = moco(queries, keys, &queue, "0.07".parse()?, &ContrastiveOptions::default())?;
/// assert_eq!(loss.value(), 0.0);
/// queue.push(keys)?;
/// let loss = moco(queries, keys, &queue, "0.07".parse()?, &ContrastiveOptions::default())?;
/// assert!((loss.value() - 2f64.ln()).abs() < 1e-15); // the negative is the positive again
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// He et al. 2020, algorithm 1 (τ = 0.07, K = 65536), which pushes after the loss, as here.
pub fn moco<T: Element>(
    queries: Rows<'_, T>,
    keys: Rows<'_, T>,
    queue: &Queue<T>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> Result<ContrastiveLoss<T>, Error> {
    same_width("a key of the queue", queries, queue.rows())?;
    let batch = Batch::new(queries, keys, tau, options)?;
    denominator_of(queue.len(), options.denominator)?;
    Ok(batch.loss(&Prepared::kept(queue.rows()), &|_| [None; 2], options))
}

/// MoCo's loss where the queue is somebody else's memory: [`info_nce`] whose negatives are fixed and get no gradient.
///
/// # Shapes
/// `queries` and `positives` are `[rows, width]`, `negatives` `[K, width]`.
///
/// # Accuracy, special values
/// As [`info_nce`], with its bits or nearly: the two add up in different order. Negatives of f32 and f64 are not copied.
///
/// # Errors
/// As [`info_nce`]; and [`Error::Row`] for a negative that is not of length 1, unless vectors are taken
/// [as given](Vectors::AsGiven): fixed ones are normalised once, when they are stored, not at every loss.
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Rows, info_nce_fixed};
///
/// let (query, queue) = (Rows::new(&[3.0, 4.0], 2)?, Rows::new(&[0.6, 0.8, 0.8, 0.6], 2)?);
/// let options = ContrastiveOptions::default();
/// let loss = info_nce_fixed(query, query, queue, "0.07".parse()?, &options)?;
/// assert!(loss.value() > 2f64.ln() && loss.negatives.is_empty());
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// He et al. 2020, eq. 1 and algorithm 1.
pub fn info_nce_fixed<T: Element>(
    queries: Rows<'_, T>,
    positives: Rows<'_, T>,
    negatives: Rows<'_, T>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> Result<ContrastiveLoss<T>, Error> {
    same_width("a negative", queries, negatives)?;
    let batch = Batch::new(queries, positives, tau, options)?;
    let how = match options.vectors {
        Vectors::AsGiven => Vectors::AsGiven,
        Vectors::Normalise | Vectors::Unit => Vectors::Unit,
    };
    let negatives = Prepared::new(negatives, how)?;
    denominator_of(negatives.rows, options.denominator)?;
    Ok(batch.loss(&negatives, &|_| [None; 2], options))
}

/// InfoNCE within a batch: a query's negatives are the keys of the other queries. (Multiple negatives ranking, the
/// N-pair loss, and one half of CLIP's.)
///
/// # Shapes
/// `queries` and `keys` are `[rows, width]`; key i is the positive of query i.
///
/// # Accuracy, special values
/// As [`info_nce`], with K = rows − 1. Memory grows with rows·width only.
///
/// # Errors
/// As [`info_nce`].
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Rows, info_nce_in_batch, normface_lower_bound};
///
/// // Four corners of a simplex: no four pairs can do better.
/// let corners = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, 1.0];
/// let corners = Rows::new(&corners, 3)?;
/// let tau = "0.5".parse()?;
/// let loss = info_nce_in_batch(corners, corners, tau, &ContrastiveOptions::default())?;
/// assert!((loss.value() / normface_lower_bound(4, 2.0)? - 1.0).abs() < 1e-14);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Sohn 2016, eq. 7; van den Oord, Li & Vinyals 2018, eq. 4.
pub fn info_nce_in_batch<T: Element>(
    queries: Rows<'_, T>,
    keys: Rows<'_, T>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> Result<ContrastiveLoss<T>, Error> {
    let batch = Batch::new(queries, keys, tau, options)?;
    denominator_of(keys.rows().saturating_sub(1), options.denominator)?;
    let itself = |row| [Some(row), None];
    let Batch { queries, positives, .. } = &batch;
    let mut of_keys = vec![T::of_f64(0.0); positives.data.len()];
    let finish = |row, push: f64, sum: &mut [f64], out: &mut [T]| {
        sum.iter_mut().zip(queries.row(row)).for_each(|(sum, q)| *sum -= push * q.to_f64());
        positives.write_gradient(row, sum, out);
    };
    let loss = batch.loss_and_pull(positives, &itself, &mut of_keys, finish, options);
    Ok(ContrastiveLoss { keys: of_keys, ..loss })
}

/// Queries and their positives, ready.
struct Batch<'a, R: Real> {
    queries: Prepared<'a, R>,
    positives: Prepared<'a, R>,
    factor: Factor<R>,
    whole: f64,
}

impl<'a, R: Real> Batch<'a, R> {
    fn new<T: Element<Real = R>>(
        queries: Rows<'a, T>,
        positives: Rows<'a, T>,
        tau: Temperature,
        options: &ContrastiveOptions,
    ) -> Result<Self, Error> {
        above_zero::<R>(tau)?;
        same_width("a positive", queries, positives)?;
        same_rows("positives", queries, positives)?;
        Ok(Batch {
            queries: Prepared::new(queries, options.vectors)?,
            positives: Prepared::new(positives, options.vectors)?,
            factor: Factor::new(tau),
            whole: whole(options.reduction, queries.rows())?,
        })
    }

    fn row(&self, row: usize, sum: &LogSum, options: &ContrastiveOptions) -> Row {
        let positive = self.queries.dot(row, &self.positives, row);
        Row::new(sum, positive, &self.factor, options.denominator, self.whole)
    }

    /// The loss, where the negatives get no gradient.
    fn loss<T: Element<Real = R>>(
        &self,
        negatives: &Prepared<'_, R>,
        without: &(dyn Fn(usize) -> Without + Sync),
        options: &ContrastiveOptions,
    ) -> ContrastiveLoss<T> {
        let Batch { queries, positives, factor, .. } = self;
        let mut of_queries = vec![T::of_f64(0.0); queries.data.len()];
        let sweep = Sweep { rows: queries, columns: negatives, factor, without };
        let sums = sweep.sums_and_means(&mut of_queries, &|row, sum, mean, out| {
            let Row { pull, push, .. } = self.row(row, &sum, options);
            for (mean, k) in mean.iter_mut().zip(positives.row(row)) {
                *mean = factor.scale * (pull * *mean - push * k.to_f64());
            }
            queries.write_gradient(row, mean, out);
        });
        let rows: Vec<Row> =
            sums.iter().enumerate().map(|(row, sum)| self.row(row, sum, options)).collect();
        self.put_together(&rows, of_queries, options)
    }

    /// The same where they get one: `finish(row, −dL/ds₊ where it is a query's positive, the pull, its part of out)`.
    fn loss_and_pull<T: Element<Real = R>>(
        &self,
        negatives: &Prepared<'_, R>,
        without: &(dyn Fn(usize) -> Without + Sync),
        of_negatives: &mut [T],
        finish: impl Fn(usize, f64, &mut [f64], &mut [T]),
        options: &ContrastiveOptions,
    ) -> ContrastiveLoss<T> {
        let Batch { queries, positives, factor, .. } = self;
        let scale = factor.scale;
        let mut of_queries = vec![T::of_f64(0.0); queries.data.len()];
        let rows: Vec<Cell<Row>> = vec![Cell::new(Row::NOTHING); queries.rows];
        let push = |row: usize| rows.get(row).map_or(0.0, |row| scale * row.get().push);
        let sweep = Sweep { rows: queries, columns: negatives, factor, without };
        sweep.sums_and_pull(
            &|row, sum| {
                rows[row].set(self.row(row, sum, options));
                scale * rows[row].get().pull
            },
            Side {
                out: &mut of_queries,
                finish: |row, sum: &mut [f64], out: &mut [T]| {
                    let positive = positives.row(row);
                    let push = push(row);
                    sum.iter_mut().zip(positive).for_each(|(sum, k)| *sum -= push * k.to_f64());
                    queries.write_gradient(row, sum, out);
                },
            },
            Side {
                out: of_negatives,
                finish: |row, sum: &mut [f64], out: &mut [T]| finish(row, push(row), sum, out),
            },
        );
        let rows: Vec<Row> = rows.iter().map(Cell::get).collect();
        self.put_together(&rows, of_queries, options)
    }

    /// The loss from its rows, with the gradients of the positives as positives.
    fn put_together<T: Element<Real = R>>(
        &self,
        rows: &[Row],
        of_queries: Vec<T>,
        options: &ContrastiveOptions,
    ) -> ContrastiveLoss<T> {
        let Batch { queries, positives, factor, .. } = self;
        let mut of_keys = vec![T::of_f64(0.0); queries.data.len()];
        let mut gradient = vec![0.0; queries.width];
        for (row, out) in of_keys.chunks_exact_mut(queries.width).enumerate() {
            let push = factor.scale * rows[row].push;
            for (g, q) in gradient.iter_mut().zip(queries.row(row)) {
                *g = -push * q.to_f64();
            }
            positives.write_gradient(row, &gradient, out);
        }
        ContrastiveLoss {
            values: reduced(rows.iter().map(|row| row.loss).collect(), options.reduction),
            tau: rows.iter().map(|row| row.tau).collect(),
            queries: of_queries,
            keys: of_keys,
            negatives: Vec::new(),
        }
    }
}
