//! Calibration of every class's probability, not only of the largest.
//!
//! ```text
//! per class k and bin b, over the rows with p_k in it:   gap_kb = Σ w (p_k − 1[k = label])
//! ECE of a class = Σ_b |gap_kb| / W              classwise ECE = the mean over classes
//! ```
//!
//! The null draws a whole label for every row, from all its probabilities. A replicate starts as if every row had the
//! label it expects most; only the rows that have another one change it, and the next such replicate of a row is a
//! geometric skip away. Replicates are all worked on at once, row by row, so that rows need not be kept; their
//! number is bounded by memory (a table no larger than the logits, or 64 MiB) and by work (10 million labels in all,
//! but at least 99 replicates).

use crate::double::Double;
use crate::element::Element;
use crate::error::Error;
use crate::interrupt::heed;
use crate::metrics::calibration::{SMALLEST_SQUARE, place_by_width};
use crate::metrics::null::{Null, Resampling};
use crate::metrics::score::{Counting, without_distribution};
use crate::random::{Purpose, Random};
use crate::rows::{Labels, Rows, RowsMut};
use crate::softmax::softmax_in_place;
use crate::temperature::Temperatures;

/// The answer of [`classwise_calibration_error`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClasswiseError {
    /// The mean over the classes.
    pub ece: f64,
    /// What `ece` of a perfectly calibrated model would be.
    pub null: Null,
    /// That of every class.
    pub per_class: Vec<f64>,
}

/// The largest number of bins of a class.
const MOST_BINS: usize = 4096;

/// The table of the replicates in numbers, unless the logits are more.
const TABLE: usize = 1 << 23;

/// Rows times replicates: 1000 for 10000 rows.
const DRAWS: usize = 10_000_000;
const LEAST_REPLICATES: usize = 99;

/// The logits that are made into probabilities at a time.
const BLOCK: usize = 1 << 20;

/// The classwise calibration error `1/K Σ_k Σ_b |Σ w (p_k − 1[k = label])| / W`: bins of one width on the
/// probability of each class, beside what chance alone would show.
///
/// # Shapes
/// `[rows, classes]` and `[rows]` labels to one answer; `tau` and `weights` as in [`scores`](crate::scores). Bins are
/// closed on the right, the first has 0 too.
///
/// # Accuracy
/// Probabilities and sums are f64; the null draws labels of whole rows, exactly. The replicates are those asked for,
/// or fewer where rows or classes are many: see [`Null::replicates`]. The same bits everywhere.
///
/// # Special values
/// No rows: everything is NaN. Weights so small or large (beyond 1e±140) that f64 does not hold their squares give a
/// `null` of NaN.
///
/// # Errors
/// As [`scores`](crate::scores), and [`Error::Bins`] for no bins, or more than 4096.
///
/// # Example
/// ```
/// use softargmax::{Labels, Resampling, Rows, Temperature, classwise_calibration_error};
///
/// // p = (1/2, 1/2) for labels that are always the first.
/// let (logits, labels) = ([0.0; 60], [0; 30]);
/// let (logits, labels) = (Rows::new(&logits, 2)?, Labels::new(&labels, 2)?);
/// let chance = Resampling::default();
/// let error = classwise_calibration_error(logits, labels, None, Temperature::ONE, 15, &chance)?;
/// assert_eq!(error.per_class, [0.5, 0.5]);
/// assert!(error.null.quantile_95 < 0.2 && error.null.p_value < 0.01);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Kull et al. 2019, section 2, eq. 4; the null as in Vaicenavicius et al. 2019, section 5.
pub fn classwise_calibration_error<'a, T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
    tau: impl Into<Temperatures<'a>>,
    bins: usize,
    options: &Resampling,
) -> Result<ClasswiseError, Error> {
    let (rows, classes) = (logits.rows(), logits.classes());
    let mut taus = tau.into().checked(rows)?;
    let counts = Counting::new(rows, classes, labels, weights)?;
    if bins == 0 || bins > MOST_BINS {
        return Err(Error::Bins { got: bins, most: MOST_BINS });
    }
    let mut table = Table::new(rows, classes, bins, options);
    let at_a_time = (BLOCK / classes).max(1);
    let (mut rest, mut first, mut p) = (logits, 0, Vec::new());
    while first < rows {
        heed();
        let count = at_a_time.min(rows - first);
        let (block, later) = rest.split_at(count);
        let (of_block, taus_later) = taus.split_at(count);
        p.clear();
        p.extend(block.as_slice().iter().map(|x| x.to_f64()));
        softmax_in_place(RowsMut::new(&mut p, classes)?, of_block)?;
        for (i, p) in p.chunks_exact(classes).enumerate() {
            let row = first + i;
            if let (Some(weight), Some(label)) = (counts.weight(row), labels.of_row(row)) {
                if p[0].is_nan() {
                    return Err(without_distribution(logits, row));
                }
                table.add(p, label, weight, row);
            }
        }
        (rest, taus, first) = (later, taus_later, first + count);
    }
    Ok(table.error())
}

/// The gaps of all classes and bins, class after class: as observed, and in every replicate.
struct Table {
    classes: usize,
    bins: usize,
    seed: u64,
    weight: Double,
    weight_squared: f64,
    observed: Vec<f64>,
    /// Were every label the one expected most.
    expected: Vec<f64>,
    /// How far a replicate is below that, one replicate after the other.
    below: Vec<f64>,
    /// Of the row at hand: the cells of its classes, and the sums of p without the class expected most.
    places: Vec<usize>,
    sums: Vec<f64>,
}

impl Table {
    fn new(rows: usize, classes: usize, bins: usize, options: &Resampling) -> Table {
        let cells = classes * bins;
        let for_memory = TABLE.max(rows * classes) / cells;
        let for_work = LEAST_REPLICATES.max(DRAWS / rows.max(1));
        let replicates = (options.replicates as usize).min(for_memory).min(for_work);
        Table {
            classes,
            bins,
            seed: options.seed,
            weight: Double::ZERO,
            weight_squared: 0.0,
            observed: vec![0.0; cells],
            expected: vec![0.0; cells],
            below: vec![0.0; cells * replicates],
            places: vec![0; classes],
            sums: Vec::with_capacity(classes),
        }
    }

    fn add(&mut self, p: &[f64], label: usize, weight: f64, row: usize) {
        self.weight = self.weight.plus(Double::from(weight));
        self.weight_squared += weight * weight;
        let mut top = 0;
        for (k, &p_k) in p.iter().enumerate() {
            let place = k * self.bins + place_by_width(p_k, self.bins);
            self.places[k] = place;
            self.observed[place] += weight * p_k;
            self.expected[place] += weight * p_k;
            if p_k > p[top] {
                top = k;
            }
        }
        self.observed[self.places[label]] -= weight;
        self.expected[self.places[top]] -= weight;
        self.draw(p, top, weight, row);
    }

    /// The labels of one row in all replicates.
    fn draw(&mut self, p: &[f64], top: usize, weight: f64, row: usize) {
        let mut surprise = 0.0;
        self.sums.clear();
        self.sums.extend(p.iter().enumerate().map(|(k, p)| {
            surprise += if k == top { 0.0 } else { *p };
            surprise
        }));
        if surprise == 0.0 {
            return;
        }
        let cells = self.observed.len();
        let mut random = Random::new(self.seed, Purpose::ClasswiseNull, row as u64);
        let log_expected = libm::log1p(-surprise);
        let mut replicates = self.below.chunks_exact_mut(cells);
        loop {
            // 1 − unit is in (0, 1]; the conversion saturates.
            let skip = libm::log(1.0 - random.unit()) / log_expected;
            let Some(below) = replicates.nth(skip as usize) else { return };
            // The first whose sum goes beyond what was drawn: never one without probability.
            let drawn = random.unit() * surprise;
            let mut k = self.sums.partition_point(|sum| *sum <= drawn);
            if k == p.len() {
                k = self.sums.partition_point(|sum| *sum < surprise); // the product was rounded up
            }
            below[self.places[k]] += weight;
            below[self.places[top]] -= weight;
        }
    }

    fn error(self) -> ClasswiseError {
        let (total, classes) = (self.weight.hi, self.classes as f64);
        let per_class: Vec<f64> = self
            .observed
            .chunks_exact(self.bins)
            .map(|gaps| gaps.iter().map(|gap| gap.abs()).sum::<f64>() / total)
            .collect();
        let ece = per_class.iter().sum::<f64>() / classes;
        if !(self.weight_squared > SMALLEST_SQUARE && self.weight_squared < f64::INFINITY) {
            return ClasswiseError { ece, null: Null::NONE, per_class };
        }
        let mut replicates: Vec<f64> = self
            .below
            .chunks_exact(self.observed.len())
            .map(|below| {
                let gaps =
                    self.expected.iter().zip(below).map(|(expected, b)| (expected - b).abs());
                gaps.sum::<f64>() / total / classes
            })
            .collect();
        ClasswiseError { ece, null: Null::of(ece, &mut replicates), per_class }
    }
}
