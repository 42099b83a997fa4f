//! InfoNCE: one positive for each query, and negatives that are given, come from a queue, or are the other keys.
//!
//! ```text
//! sweep with means:  Σ_j w_j k_j of each query        dq = (1 − p₊)/τ · (Σ_j w_j k_j/Σw − k₊)
//!                                                     dk₊ = −(1 − p₊)/τ · q
//! pull:              negatives against queries        dk_j = Σ_i (1 − p₊ᵢ)/τ · w_ij/Σw · q_i
//! ```

use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::loss::contrastive::queue::Queue;
use crate::loss::contrastive::sweep::{Sweep, Terms, Without};
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
/// rounding of the similarities decides: 2^-22·max(1, 2/τ) of the loss. The same bits for any number of threads;
/// other instruction sets give other last bits, since the product of matrices does. Beside inputs and gradients
/// 64·(512 + 3·width) numbers per thread are held, some ten per row, and a copy of the vectors where they are
/// normalised or of 16 bits: never rows·K.
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
    let (mut loss, rows) = batch.loss(&negatives, &|_| [None; 2], options);
    loss.negatives = vec![T::of_f64(0.0); negatives.data.len()];
    let sweep = Sweep {
        rows: &negatives,
        columns: &batch.queries,
        factor: &batch.factor,
        without: &|_| [None; 2],
    };
    sweep.pull(None, &rows.terms, &mut loss.negatives, &|row, sum, out| {
        negatives.write_gradient(row, sum, out);
    });
    Ok(loss)
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
    let (loss, _) = batch.loss(&Prepared::kept(queue.rows()), &|_| [None; 2], options);
    Ok(loss)
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
    Ok(batch.loss(&negatives, &|_| [None; 2], options).0)
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
    let (mut loss, rows) = batch.loss(&batch.positives, &itself, options);
    let Batch { queries, positives: keys, factor, .. } = &batch;
    let sweep = Sweep { rows: keys, columns: queries, factor, without: &itself };
    sweep.pull(None, &rows.terms, &mut loss.keys, &|row, sum, out| {
        let query = queries.row(row);
        sum.iter_mut().zip(query).for_each(|(sum, q)| *sum -= rows.pushes[row] * q.to_f64());
        keys.write_gradient(row, sum, out);
    });
    Ok(loss)
}

/// Queries and their positives, ready.
struct Batch<'a, R: Real> {
    queries: Prepared<'a, R>,
    positives: Prepared<'a, R>,
    factor: Factor<R>,
    whole: f64,
}

/// What the gradients of the negatives take of each query.
struct Forward<R> {
    terms: Terms<R>,
    /// −dL/ds₊.
    pushes: Vec<f64>,
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

    /// The loss, with the gradients of the queries, and of the positives as positives.
    fn loss<T: Element<Real = R>>(
        &self,
        negatives: &Prepared<'_, R>,
        without: &(dyn Fn(usize) -> Without + Sync),
        options: &ContrastiveOptions,
    ) -> (ContrastiveLoss<T>, Forward<R>) {
        let Batch { queries, positives, factor, whole } = self;
        let scale = factor.scale;
        let of_row = |row: usize, sum: &LogSum| {
            let positive = queries.dot(row, positives, row);
            Row::new(sum, positive, factor, options.denominator, *whole)
        };
        let mut of_queries = vec![T::of_f64(0.0); queries.data.len()];
        let sweep = Sweep { rows: queries, columns: negatives, factor, without };
        let sums = sweep.sums_and_means(&mut of_queries, &|row, sum, mean, out| {
            let Row { pull, push, .. } = of_row(row, &sum);
            for (mean, k) in mean.iter_mut().zip(positives.row(row)) {
                *mean = scale * (pull * *mean - push * k.to_f64());
            }
            queries.write_gradient(row, mean, out);
        });
        let rows: Vec<Row> = sums.iter().enumerate().map(|(row, sum)| of_row(row, sum)).collect();
        let pushes: Vec<f64> = rows.iter().map(|row| scale * row.push).collect();
        let mut of_keys = vec![T::of_f64(0.0); queries.data.len()];
        let mut gradient = vec![0.0; queries.width];
        for (row, out) in of_keys.chunks_exact_mut(queries.width).enumerate() {
            for (g, q) in gradient.iter_mut().zip(queries.row(row)) {
                *g = -pushes[row] * q.to_f64();
            }
            positives.write_gradient(row, &gradient, out);
        }
        let loss = ContrastiveLoss {
            values: reduced(rows.iter().map(|row| row.loss).collect(), options.reduction),
            tau: rows.iter().map(|row| row.tau).collect(),
            queries: of_queries,
            keys: of_keys,
            negatives: Vec::new(),
        };
        let terms = Terms::new(&sums, rows.iter().map(|row| scale * row.pull));
        (loss, Forward { terms, pushes })
    }
}
