//! CLIP's loss: queries choose among keys and keys among queries, and the scale is learnt.
//!
//! ```text
//! loss = ½ (InfoNCE of queries in keys + InfoNCE of keys in queries)
//! G = (P_rows + P_columns − 2·1)/2τ        dX = G·Y, dY = Gᵀ·X        four products: X·Yᵀ twice, and these two
//! ```

use crate::compiled::Runs;
use crate::element::{Element, private::Element as _};
use crate::error::Error;
use crate::loss::contrastive::both::Side;
use crate::loss::contrastive::sweep::{Sweep, Terms};
use crate::loss::contrastive::vectors::{Prepared, same_rows, same_width};
use crate::loss::contrastive::{
    ContrastiveLoss, ContrastiveOptions, Row, denominator_of, reduced, whole,
};
use crate::loss::weigh::{Factor, LANES, LogSum, Pull, above_zero};
use crate::rows::Rows;
use crate::temperature::Temperature;

/// CLIP's symmetric loss: the mean of [`info_nce_in_batch`](crate::info_nce_in_batch) and the same with queries and
/// keys exchanged.
///
/// # Shapes
/// `queries` (images) and `keys` (texts) are `[rows, width]`; row i of one belongs to row i of the other. A row's
/// value is half of its loss as a query and half of its loss as a key.
///
/// # Accuracy, special values
/// As [`info_nce`](crate::info_nce), with K = rows − 1. Exchanging queries and keys exchanges their gradients.
///
/// # Errors
/// As [`info_nce`](crate::info_nce).
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, LogScale, Rows, clip};
///
/// let (images, texts) = ([1.0, 0.0, 0.0, 1.0], [0.8, 0.6, 0.6, 0.8]);
/// let (images, texts) = (Rows::new(&images, 2)?, Rows::new(&texts, 2)?);
/// let mut scale = LogScale::CLIP;
/// let loss = clip(images, texts, scale.temperature(), &ContrastiveOptions::default())?;
/// // Every positive is ahead by 0.2, so a larger scale would make it smaller.
/// let gradient = scale.gradient(loss.tau_sum());
/// assert!(gradient < 0.0);
/// scale.add(-0.1 * gradient);
/// assert!(scale.temperature().scale() > 1.0 / 0.07);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Radford et al. 2021, "Learning transferable visual models from natural language supervision", figure 3.
pub fn clip<T: Element>(
    queries: Rows<'_, T>,
    keys: Rows<'_, T>,
    tau: Temperature,
    options: &ContrastiveOptions,
) -> Result<ContrastiveLoss<T>, Error> {
    above_zero::<T::Real>(tau)?;
    same_width("a key", queries, keys)?;
    same_rows("keys", queries, keys)?;
    denominator_of(keys.rows().saturating_sub(1), options.denominator)?;
    let half = whole(options.reduction, queries.rows())? / 2.0;
    let queries = Prepared::new(queries, options.vectors)?;
    let keys = Prepared::new(keys, options.vectors)?;
    let factor = Factor::<T::Real>::new(tau);
    let scale = factor.scale;
    let itself = |row| [Some(row), None];
    let sweep = Sweep { rows: &queries, columns: &keys, factor: &factor, without: &itself };
    let (of_rows, of_columns) = sweep.sums_of_both();
    let side = |sums: &[LogSum]| -> (Vec<Row>, Terms<T::Real>) {
        let of_row = |(row, sum): (usize, &LogSum)| {
            Row::new(sum, queries.dot(row, &keys, row), &factor, options.denominator, half)
        };
        let rows: Vec<Row> = sums.iter().enumerate().map(of_row).collect();
        let terms = Terms::new(sums, rows.iter().map(|row| scale * row.pull));
        (rows, terms)
    };
    let ((rows, row_terms), (columns, column_terms)) = (side(&of_rows), side(&of_columns));
    let both = || rows.iter().zip(&columns);
    let pushes: Vec<f64> = both().map(|(a, b)| scale * (a.push + b.push)).collect();
    let each = |row, at, tile: &mut [[T::Real; LANES]], (): &mut ()| {
        let own = row_terms.of_row(row);
        let columns = Some(column_terms.of_columns(at, tile.len()));
        T::Real::run(Pull { row: tile, own, columns, factor: &factor });
    };
    let finish = |of: &Prepared<'_, T::Real>,
                  others: &Prepared<'_, T::Real>,
                  row: usize,
                  sum: &mut [f64],
                  out: &mut [T]| {
        let positive = others.row(row);
        sum.iter_mut().zip(positive).for_each(|(sum, y)| *sum -= pushes[row] * y.to_f64());
        of.write_gradient(row, sum, out);
    };
    let mut of_queries = vec![T::of_f64(0.0); queries.data.len()];
    let mut of_keys = vec![T::of_f64(0.0); keys.data.len()];
    sweep.fold(
        &each,
        |(), ()| {},
        Side {
            out: &mut of_queries,
            finish: |row, sum: &mut [f64], out: &mut [T]| finish(&queries, &keys, row, sum, out),
        },
        Side {
            out: &mut of_keys,
            finish: |row, sum: &mut [f64], out: &mut [T]| finish(&keys, &queries, row, sum, out),
        },
    );
    Ok(ContrastiveLoss {
        values: reduced(both().map(|(a, b)| a.loss + b.loss).collect(), options.reduction),
        tau: both().map(|(a, b)| a.tau + b.tau).collect(),
        queries: of_queries,
        keys: of_keys,
        negatives: Vec::new(),
    })
}

/// A scale s = 1/τ that is learnt, as its logarithm, and never leaves its bounds.
///
/// # Source
/// Radford et al. 2021, section 2.5: begun at 1/0.07 and kept from exceeding 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogScale {
    value: f64,
    least: f64,
    most: f64,
}

impl LogScale {
    /// CLIP's: ln(1/0.07) at first, from 0 (τ = 1) to ln 100 (τ = 0.01).
    pub const CLIP: LogScale =
        LogScale { value: 2.6592600369327783, least: 0.0, most: std::f64::consts::LN_10 * 2.0 };

    /// A log-scale that stays from `least` to `most`; `value` is brought into that range.
    ///
    /// # Errors
    /// [`Error::LogScale`] when one of them is NaN, [`Error::Parameter`] when `least` is above `most`.
    pub fn new(value: f64, least: f64, most: f64) -> Result<Self, Error> {
        if value.is_nan() || least.is_nan() || most.is_nan() {
            return Err(Error::LogScale);
        }
        if least > most {
            let allowed = "at most the largest log scale";
            return Err(Error::Parameter { what: "least log scale", got: least, allowed });
        }
        Ok(LogScale { value: value.clamp(least, most), least, most })
    }

    /// ln(1/τ).
    pub fn value(self) -> f64 {
        self.value
    }

    /// The temperature it stands for.
    pub fn temperature(self) -> Temperature {
        Temperature::from_log_scale(self.value).expect("a log scale is never NaN")
    }

    /// The gradient in the log-scale of one in τ: −τ times it.
    pub fn gradient(self, of_tau: f64) -> f64 {
        -self.temperature().tau() * of_tau
    }

    /// Adds `step`, and stays within the bounds. A NaN changes nothing.
    pub fn add(&mut self, step: f64) {
        if !step.is_nan() {
            self.value = (self.value + step).clamp(self.least, self.most);
        }
    }
}
