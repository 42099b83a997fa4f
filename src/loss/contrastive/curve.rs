//! A contrastive loss at many temperatures from one pass over the similarities, and which negatives it looks at.
//!
//! ```text
//! per tile:   S = Q·Nᵀ                                           once for all temperatures
//! per row:    m = max s so far
//! per τ:      w_j = exp((s_j − m)/τ), d_j = s_j − m:     Σ w, Σ w d, Σ w d², Σ w², Σ w of its own label
//! then:       loss = softplus(m/τ + ln Σw − s₊/τ)                p₊ = 1/(1 + Σw·exp((m − s₊)/τ))
//!             dL/d(1/τ) = E_p[s] − s₊,  d²L/d(1/τ)² = Var_p(s)   from the mean and variance under w
//!             r_j = w_j/Σw: entropy ln Σw − E_r[d]/τ,  Σ r² = Σw²/(Σw)²,  max r = 1/Σw
//! ```
//!
//! Where m rises, the sums so far move with it, by their moments. A row's sums are 40 bytes for each temperature; the
//! similarities are never more than 64 × 512. Negatives may come in blocks, so that all of them need not be in memory.

use crate::element::{Element, Real};
use crate::error::Error;
use crate::exp::exp;
use crate::interrupt::heed;
use crate::loss::contrastive::vectors::{Prepared, Vectors, same_rows, same_width};
use crate::loss::exact_sum;
use crate::loss::weigh::{Factor, LANES, LogSum, above_zero};
use crate::parallel;
use crate::rows::Rows;
use crate::simd::gemm::{Matrix, multiply};
use crate::simd::{Kernel, Simd};
use crate::temperature::Temperature;

/// Rows and columns of a tile, and chunks that are added up in the type of the vectors before they go into an f64.
const ROWS: usize = 64;
const COLUMNS: usize = 512;
const CHUNKS: usize = 8;

/// InfoNCE at many temperatures at once, with the distribution of its gradient over the negatives.
///
/// Made of queries and their positives, then given negatives, in as many blocks as one likes; [`points`] is then the
/// curve. The products of the vectors are computed once for all temperatures.
///
/// The gradient of the loss of a query pushes its negatives away in proportion to `r_j = exp(s_j/τ)/Σ_k exp(s_k/τ)`. Its
/// entropy says how many of them matter; it rises with τ, always.
///
/// # Shapes
/// Queries and positives are `[rows, width]`, negatives `[K, width]`.
///
/// # Accuracy
/// The losses are those of [`info_nce`](crate::info_nce): in f64 within 1e-12, however small; in f32 the rounding of the
/// similarities decides, 2^-22·max(1, 2/τ). The same bits for any number of threads and blocks of a multiple of 512
/// negatives. Held are a copy of the vectors where they are normalised or of 16 bits, 40 bytes per query and
/// temperature, and a tile per thread: never rows·K.
///
/// # Special values
/// Without negatives every loss is 0. At τ = ∞ it is ln(1 + K), and all negatives count the same.
///
/// # Example
/// ```
/// use softargmax::{ContrastCurve, Rows, Temperature, Vectors};
///
/// let (query, negatives) = ([1.0, 0.0], [[-1.0, 0.0]; 1023]);
/// let (query, negatives) = (Rows::one(&query)?, Rows::new(negatives.as_flattened(), 2)?);
/// let taus = [Temperature::ONE, "0.07".parse()?];
/// let mut curve = ContrastCurve::new(query, query, &taus, Vectors::Unit)?;
/// curve.add(negatives, None)?;
/// let points = curve.points(|_| true)?;
/// assert!((points[0].loss / 4.9376917342716852 - 1.0).abs() < 1e-14);
/// assert!((points[1].loss / 3.9944948443973564e-10 - 1.0).abs() < 1e-13);
/// assert!((points[1].perplexity() - 1023.0).abs() < 1e-9); // all of them are as near
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// van den Oord, Li & Vinyals 2018, eq. 4; Wang & Liu 2021, "Understanding the behaviour of contrastive loss", eq. 5 (r).
///
/// [`points`]: ContrastCurve::points
pub struct ContrastCurve<'a, T: Element> {
    queries: Prepared<'a, T::Real>,
    how: Vectors,
    taus: Vec<Temperature>,
    factors: Vec<Factor<T::Real>>,
    /// The similarity of each query with its positive.
    positives: Vec<f64>,
    labels: Option<&'a [i64]>,
    /// The nearest negative of each query so far.
    maxima: Vec<f64>,
    /// `[rows, taus]`.
    moments: Vec<Moments>,
    is_labelled: bool,
}

/// A contrastive loss at one temperature, the mean over queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// The temperature.
    pub tau: Temperature,
    /// In nats.
    pub loss: f64,
    /// `dL/d(1/τ) = E_p[s] − s₊`: negative where a lower temperature gives a lower loss.
    pub slope: f64,
    /// `d²L/d(1/τ)² = Var_p(s)`, from 0 up: the loss is convex in 1/τ.
    pub curvature: f64,
    /// The entropy of r, in nats.
    pub entropy: f64,
    /// d(entropy)/d(ln τ) = Var_r(s)/τ², from 0 up.
    pub entropy_slope: f64,
    /// Σ r²: 1/K where all negatives count the same, 1 where one alone does.
    pub concentration: f64,
    /// The largest r: the share of the nearest negative.
    pub hardest: f64,
    /// What negatives with the query's own label have of r; NaN where labels were not given.
    pub same_label: f64,
}

impl CurvePoint {
    /// How many negatives matter: exp of the entropy.
    pub fn perplexity(&self) -> f64 {
        exp(self.entropy)
    }

    /// How many negatives matter, counted by 1/Σr²; fewer than by [`perplexity`](CurvePoint::perplexity).
    pub fn inverse_concentration(&self) -> f64 {
        1.0 / self.concentration
    }
}

/// How many queries have their positive nearer than every negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nearest {
    /// Nearer than every negative, by more than the rounding of the products.
    pub positive: usize,
    /// As near as some negative: the same vector, perhaps.
    pub ties: usize,
    /// Some negative is nearer.
    pub negative: usize,
}

/// Sums over the negatives of a query, w = exp((s − max)/τ) and d = s − max.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moments {
    sum: f64,
    first: f64,
    second: f64,
    square: f64,
    same: f64,
}

impl Moments {
    /// Measured from a maximum that is higher by −`shift`.
    fn move_by(&mut self, shift: f64, scale: f64) {
        let factor = exp(shift * scale);
        let Moments { sum, first, second, .. } = *self;
        self.sum = factor * sum;
        self.first = factor * (first + shift * sum);
        self.second = factor * (second + shift * (2.0 * first + shift * sum));
        self.square *= factor * factor;
        self.same *= factor;
    }

    fn add(&mut self, more: Moments) {
        self.sum += more.sum;
        self.first += more.first;
        self.second += more.second;
        self.square += more.square;
        self.same += more.same;
    }
}

impl<'a, T: Element> ContrastCurve<'a, T> {
    /// Before any negatives.
    ///
    /// # Errors
    /// [`Error::Shape`] when queries and positives are not as many or as wide; [`Error::Row`] for a vector that is not
    /// what `how` says, or not finite; [`Error::Parameter`] for a temperature of 0 and up to 1e-300 (f32: 1e-36).
    pub fn new(
        queries: Rows<'a, T>,
        positives: Rows<'_, T>,
        taus: &[Temperature],
        how: Vectors,
    ) -> Result<Self, Error> {
        same_width("a positive", queries, positives)?;
        same_rows("positives", queries, positives)?;
        taus.iter().try_for_each(|&tau| above_zero::<T::Real>(tau))?;
        let queries = Prepared::new(queries, how)?;
        let keys = Prepared::new(positives, how)?;
        let positives = (0..queries.rows).map(|row| queries.dot(row, &keys, row)).collect();
        let moments = vec![Moments::default(); queries.rows * taus.len()];
        let maxima = vec![f64::NEG_INFINITY; queries.rows];
        let factors = taus.iter().map(|&tau| Factor::new(tau)).collect();
        let (taus, labels, is_labelled) = (taus.to_vec(), None, false);
        Ok(Self { queries, how, taus, factors, positives, labels, maxima, moments, is_labelled })
    }

    /// With the classes of the queries, any numbers, so that negatives of the same class are told apart. To be called
    /// before negatives are added.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one label per query.
    pub fn with_labels(mut self, labels: &'a [i64]) -> Result<Self, Error> {
        if labels.len() != self.queries.rows {
            let (expected, got) = (self.queries.rows, labels.len());
            return Err(Error::Shape { what: "labels", expected, got });
        }
        (self.labels, self.is_labelled) = (Some(labels), true);
        Ok(self)
    }

    /// Adds negatives of all queries, with their labels if there are any.
    ///
    /// # Errors
    /// [`Error::Shape`] for another width, or not one label per negative; [`Error::Row`] as [`new`](ContrastCurve::new),
    /// counted within this block. Nothing is added then.
    pub fn add(&mut self, negatives: Rows<'_, T>, labels: Option<&[i64]>) -> Result<(), Error> {
        self.add_block(negatives, labels, None)
    }

    /// Adds keys of a batch, each the positive of one query and a negative of all others: the first of them is that of
    /// query `first`, the second of the next, and so on. They have the labels of their queries.
    ///
    /// # Errors
    /// As [`add`](ContrastCurve::add); [`Error::Shape`] also for more keys than there are queries from `first` on.
    pub fn add_batch(&mut self, keys: Rows<'_, T>, first: usize) -> Result<(), Error> {
        let expected = self.queries.rows.saturating_sub(first);
        if keys.rows() > expected {
            return Err(Error::Shape { what: "keys", expected, got: keys.rows() });
        }
        let labels = self.labels.map(|labels| &labels[first..first + keys.rows()]);
        self.add_block(keys, labels, Some(first))
    }

    fn add_block(
        &mut self,
        negatives: Rows<'_, T>,
        labels: Option<&[i64]>,
        pairs_from: Option<usize>,
    ) -> Result<(), Error> {
        let (expected, got) = (self.queries.width, negatives.classes());
        if got != expected {
            return Err(Error::Shape { what: "a negative", expected, got });
        }
        if let Some(labels) = labels
            && labels.len() != negatives.rows()
        {
            let (expected, got) = (negatives.rows(), labels.len());
            return Err(Error::Shape { what: "labels of negatives", expected, got });
        }
        let columns = Prepared::new(negatives, self.how)?;
        if columns.rows > 0 {
            self.is_labelled &= labels.is_some();
        }
        let pass = Pass {
            rows: &self.queries,
            columns: &columns,
            factors: &self.factors,
            labels: self.labels.zip(labels),
            pairs_from,
        };
        pass.split(0, &mut self.maxima, &mut self.moments);
        Ok(())
    }

    /// The mean over the queries that `counts`, at every temperature, in the order they were given in.
    ///
    /// # Errors
    /// [`Error::NoRows`] where none counts.
    pub fn points(&self, counts: impl Fn(usize) -> bool) -> Result<Vec<CurvePoint>, Error> {
        let rows: Vec<usize> = (0..self.queries.rows).filter(|&row| counts(row)).collect();
        if rows.is_empty() {
            return Err(Error::NoRows);
        }
        let mean_at = |at: usize| {
            let points: Vec<CurvePoint> = rows.iter().map(|&row| self.point(row, at)).collect();
            let mean = |of: fn(&CurvePoint) -> f64| {
                exact_sum(&points.iter().map(of).collect::<Vec<_>>()) / rows.len() as f64
            };
            CurvePoint {
                tau: self.taus[at],
                loss: mean(|p| p.loss),
                slope: mean(|p| p.slope),
                curvature: mean(|p| p.curvature),
                entropy: mean(|p| p.entropy),
                entropy_slope: mean(|p| p.entropy_slope),
                concentration: mean(|p| p.concentration),
                hardest: mean(|p| p.hardest),
                // NaN has no place in an exact sum.
                same_label: if self.is_labelled { mean(|p| p.same_label) } else { f64::NAN },
            }
        };
        Ok((0..self.taus.len()).map(mean_at).collect())
    }

    /// One query at the temperature of that place in the list.
    ///
    /// # Panics
    /// Where there is no such query or no such place.
    pub fn point(&self, query: usize, place: usize) -> CurvePoint {
        let Moments { sum, first, second, square, same } =
            self.moments[query * self.taus.len() + place];
        let factor = &self.factors[place];
        let tau = self.taus[place];
        let max = self.maxima[query];
        let positive = self.positives[query];
        let same_label = |share: f64| if self.is_labelled { share } else { f64::NAN };
        if max == f64::NEG_INFINITY {
            let (loss, slope, curvature, entropy, entropy_slope) = Default::default();
            let (concentration, hardest) = (0.0, 0.0);
            let same_label = same_label(0.0);
            return CurvePoint {
                tau,
                loss,
                slope,
                curvature,
                entropy,
                entropy_slope,
                concentration,
                hardest,
                same_label,
            };
        }
        let whole = LogSum { max, sum, first };
        let share = whole.share(positive, factor);
        let gap = whole.mean_from(positive);
        let mean = first / sum;
        let variance = (second / sum - mean * mean).max(0.0);
        let ln_sum = libm::log(sum);
        CurvePoint {
            tau,
            loss: share.loss,
            slope: share.rest * gap,
            // Of the positive and the negatives, each about its own mean, and of the two about theirs.
            curvature: share.rest * (variance + (1.0 - share.rest) * gap * gap),
            entropy: (ln_sum - factor.scale * mean).max(0.0),
            entropy_slope: factor.scale * (factor.scale * variance),
            concentration: square / (sum * sum),
            hardest: 1.0 / sum,
            same_label: same_label(same / sum),
        }
    }

    /// How many queries have their positive nearer than every negative: the accuracy at 1 is the first over all.
    pub fn nearest(&self) -> Nearest {
        let epsilon = if T::Real::IN_DOUBLE { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let rounding = 4.0 * epsilon * (self.queries.width as f64).sqrt();
        let mut nearest = Nearest::default();
        for (&positive, &max) in self.positives.iter().zip(&self.maxima) {
            let room = rounding * positive.abs().max(1.0);
            if positive > max + room {
                nearest.positive += 1;
            } else if positive >= max - room {
                nearest.ties += 1;
            } else {
                nearest.negative += 1;
            }
        }
        nearest
    }
}

/// All queries against a block of negatives.
struct Pass<'a, R: Real> {
    rows: &'a Prepared<'a, R>,
    columns: &'a Prepared<'a, R>,
    factors: &'a [Factor<R>],
    labels: Option<(&'a [i64], &'a [i64])>,
    pairs_from: Option<usize>,
}

impl<R: Real> Pass<'_, R> {
    fn split(&self, first: usize, maxima: &mut [f64], moments: &mut [Moments]) {
        if maxima.is_empty() {
            return;
        }
        let taus = self.factors.len();
        if maxima.len() > ROWS && parallel::threads() > 1 {
            // On the boundary of a block, so that a block is the same whoever computes it.
            let middle = maxima.len().div_ceil(ROWS) / 2 * ROWS;
            let (maxima, maxima_right) = maxima.split_at_mut(middle);
            let (moments, moments_right) = moments.split_at_mut(middle * taus);
            parallel::join(
                || self.split(first, maxima, moments),
                || self.split(first + middle, maxima_right, moments_right),
            );
            return;
        }
        let mut tile = vec![R::NEG_INFINITY; ROWS.min(maxima.len()) * COLUMNS];
        let mut same = vec![R::ZERO; COLUMNS];
        for from in (0..maxima.len()).step_by(ROWS) {
            let to = maxima.len().min(from + ROWS);
            let (maxima, moments) = (&mut maxima[from..to], &mut moments[from * taus..to * taus]);
            self.block(first + from, maxima, moments, &mut tile, &mut same);
        }
    }

    fn block(
        &self,
        first: usize,
        maxima: &mut [f64],
        moments: &mut [Moments],
        tile: &mut [R],
        same: &mut [R],
    ) {
        let width = self.rows.width;
        let taus = self.factors.len();
        let block = Matrix::new(&self.rows.data[first * width..], maxima.len(), width, width);
        for at in (0..self.columns.rows).step_by(COLUMNS) {
            heed();
            let columns = COLUMNS.min(self.columns.rows - at);
            let others = Matrix::new(&self.columns.data[at * width..], columns, width, width);
            multiply(block, others.transposed(), tile, COLUMNS);
            for (i, (row, max)) in tile.chunks_exact_mut(COLUMNS).zip(&mut *maxima).enumerate() {
                row[columns..].fill(R::NEG_INFINITY);
                let own = self.pairs_from.and_then(|from| (first + i).checked_sub(from + at));
                if let Some(own) = own.filter(|&own| own < columns) {
                    row[own] = R::NEG_INFINITY;
                }
                let (row, _) = row[..columns.next_multiple_of(LANES)].as_chunks::<LANES>();
                let moments = &mut moments[i * taus..(i + 1) * taus];
                self.rise(max, R::run(Largest { row }), moments);
                if *max == f64::NEG_INFINITY {
                    continue;
                }
                let own_max = R::of_f64(*max);
                let sums = moments.iter_mut().zip(self.factors);
                match self.labels {
                    Some((of_rows, of_columns)) => {
                        let of_columns = &of_columns[at..at + columns];
                        for (same, &label) in same.iter_mut().zip(of_columns) {
                            *same = if label == of_rows[first + i] { R::ONE } else { R::ZERO };
                        }
                        let (same, _) = same.as_chunks::<LANES>();
                        for (to, factor) in sums {
                            to.add(R::run(Sum::<R, true> { row, same, max: own_max, factor }));
                        }
                    }
                    None => {
                        for (to, factor) in sums {
                            let same = &[];
                            to.add(R::run(Sum::<R, false> { row, same, max: own_max, factor }));
                        }
                    }
                }
            }
        }
    }

    /// A row has come upon a similarity of `next`.
    fn rise(&self, max: &mut f64, next: R, moments: &mut [Moments]) {
        let next = next.to_f64();
        if next > *max {
            if *max > f64::NEG_INFINITY {
                let moved = moments.iter_mut().zip(self.factors);
                moved.for_each(|(moments, factor)| moments.move_by(*max - next, factor.scale));
            }
            *max = next;
        }
    }
}

/// The largest entry of a row.
pub(crate) struct Largest<'a, R> {
    row: &'a [[R; LANES]],
}

impl<R: Real> Kernel for Largest<'_, R> {
    type Output = R;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> R {
        let mut maxima = [R::NEG_INFINITY; LANES];
        for chunk in self.row {
            let mut next = maxima;
            for i in 0..LANES {
                next[i] = if chunk[i] > maxima[i] { chunk[i] } else { maxima[i] };
            }
            maxima = next;
        }
        maxima.iter().fold(R::NEG_INFINITY, |a, &b| if b > a { b } else { a })
    }
}

/// The moments of a row at one temperature, none of whose entries is above `max`; `same` is 1 or 0 for each.
pub(crate) struct Sum<'a, R, const SAME: bool> {
    row: &'a [[R; LANES]],
    same: &'a [[R; LANES]],
    max: R,
    factor: &'a Factor<R>,
}

impl<R: Real, const SAME: bool> Kernel for Sum<'_, R, SAME> {
    type Output = Moments;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Moments {
        let Sum { row, same, max, factor } = self;
        let mut totals = [[0.0; LANES]; 5];
        for (block, chunks) in row.chunks(CHUNKS).enumerate() {
            let mut sums = [[R::ZERO; LANES]; 5];
            for (k, chunk) in chunks.iter().enumerate() {
                let mut next = sums;
                for i in 0..LANES {
                    let d = chunk[i] - max;
                    let w = factor.weight(d);
                    // What is not there, or as good as not, has weight 0, and −∞·0 is no number.
                    let d = if w > R::ZERO { d } else { R::ZERO };
                    let wd = w * d;
                    next[0][i] = sums[0][i] + w;
                    next[1][i] = sums[1][i] + wd;
                    next[2][i] = wd.mul_add(d, sums[2][i]);
                    next[3][i] = w.mul_add(w, sums[3][i]);
                    if SAME {
                        next[4][i] = w.mul_add(same[block * CHUNKS + k][i], sums[4][i]);
                    }
                }
                sums = next;
            }
            for (total, sum) in totals.iter_mut().zip(&sums) {
                for i in 0..LANES {
                    total[i] += sum[i].to_f64();
                }
            }
        }
        let [sum, first, second, square, same] = totals.map(|lanes| lanes.iter().sum());
        Moments { sum, first, second, square, same }
    }
}
