//! What is said of vectors on the sphere without a temperature: alignment, uniformity, tolerance.
//!
//! ```text
//! alignment    mean ‖q_i − k_i‖²
//! uniformity   ln mean_{i≠j} e^(−2‖x_i − x_j‖²) = −4 + ln mean_{i≠j} e^(4 x_i·x_j)     a sweep at τ = 1/4
//! tolerance    mean x_i·x_j, i ≠ j of one class = Σ_c (‖Σ_c x‖² − Σ_c ‖x‖²) / Σ_c n_c(n_c − 1)
//! ```

use std::collections::HashMap;

use crate::element::{Element, private::Element as _};
use crate::error::Error;
use crate::loss::contrastive::sweep::Sweep;
use crate::loss::contrastive::vectors::{Prepared, Vectors, same_rows, same_width};
use crate::loss::exact_sum;
use crate::loss::weigh::{Factor, LogSum};
use crate::rows::Rows;
use crate::temperature::Temperature;

/// The mean squared distance of queries and their positives, `mean ‖q − k‖²`, of their directions: from 0, where they
/// coincide, to 4; 2 is at right angles.
///
/// # Shapes
/// `queries` and `keys` are `[rows, width]`; key i is the positive of query i. Both are divided by their lengths.
///
/// # Accuracy
/// The sums are f64: within 1e-14 (f64); in f32 within 2^-22, the rounding of the directions.
///
/// # Errors
/// [`Error::Shape`] when they are not as many or not as wide; [`Error::Row`] for a vector that holds a NaN or an
/// infinity, or is 0 throughout; [`Error::NoRows`] for the mean of no pairs.
///
/// # Example
/// ```
/// use softargmax::{Rows, alignment};
///
/// let (queries, keys) = (Rows::new(&[3.0, 0.0], 2)?, Rows::new(&[0.0, 5.0], 2)?);
/// assert_eq!(alignment(queries, keys)?, 2.0);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang & Isola 2020, section 4.1.1, with α = 2.
pub fn alignment<T: Element>(queries: Rows<'_, T>, keys: Rows<'_, T>) -> Result<f64, Error> {
    same_width("a key", queries, keys)?;
    same_rows("keys", queries, keys)?;
    if queries.rows() == 0 {
        return Err(Error::NoRows);
    }
    let queries = Prepared::new(queries, Vectors::Normalise)?;
    let keys = Prepared::new(keys, Vectors::Normalise)?;
    let distance = |row: usize| -> f64 {
        let pairs = queries.row(row).iter().zip(keys.row(row));
        pairs.map(|(a, b)| (a.to_f64() - b.to_f64()) * (a.to_f64() - b.to_f64())).sum()
    };
    let distances: Vec<f64> = (0..queries.rows).map(distance).collect();
    Ok(exact_sum(&distances) / queries.rows as f64)
}

/// How evenly directions cover the sphere: `ln mean e^(−2‖x − y‖²)` over all pairs of different vectors, from 0, where all
/// coincide, down to about [`sphere_uniformity`](crate::sphere_uniformity).
///
/// # Shapes
/// `vectors` is `[rows, width]`, divided by their lengths.
///
/// # Accuracy
/// Within 1e-14 (f64), 1e-6 (f32). One product of matrices, in tiles, never rows².
///
/// # Special values
/// A few vectors may be spread better than at random, and be below the limit.
///
/// # Errors
/// [`Error::Row`] as [`alignment`]; [`Error::NoRows`] for fewer than two vectors, which are no pair.
///
/// # Example
/// ```
/// use softargmax::{Rows, uniformity};
///
/// // Two pairs at right angles, at a distance of √2, and one straight opposite, at 2.
/// let vectors = Rows::new(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0], 2)?;
/// let mean = (2.0 * (-4f64).exp() + (-8f64).exp()) / 3.0;
/// assert!((uniformity(vectors)? - mean.ln()).abs() < 1e-14);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang & Isola 2020, section 4.1.2, with t = 2, over distinct pairs as in the authors' code.
pub fn uniformity<T: Element>(vectors: Rows<'_, T>) -> Result<f64, Error> {
    let vectors = Prepared::new(vectors, Vectors::Normalise)?;
    if vectors.rows < 2 {
        return Err(Error::NoRows);
    }
    let tau = Temperature::new(0.25)?;
    let factor = Factor::new(tau);
    let without = |row: usize| [Some(row), None];
    let sweep = Sweep { rows: &vectors, columns: &vectors, factor: &factor, without: &without };
    let mut whole = LogSum::EMPTY;
    for sum in sweep.sums() {
        whole.add(sum, factor.scale);
    }
    let pairs = vectors.rows as f64 * (vectors.rows - 1) as f64;
    Ok(factor.scale * (whole.max - 1.0) + libm::log(whole.sum / pairs))
}

/// The mean cosine of vectors of one class: `mean x·y` over all pairs of different vectors with the same label, or
/// nothing where there is no such pair.
///
/// High means that a class is kept together, which a low temperature tears apart.
///
/// # Shapes
/// `vectors` is `[rows, width]`, divided by their lengths; a label each, any number.
///
/// # Accuracy
/// Within 1e-13 (f64), 1e-6 (f32). It takes rows·width steps, not rows².
///
/// # Errors
/// [`Error::Shape`] when there is not one label per vector; [`Error::Row`] as [`alignment`].
///
/// # Example
/// ```
/// use softargmax::{Rows, tolerance};
///
/// let vectors = Rows::new(&[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 2)?;
/// let cosine = tolerance(vectors, &[7, 9, 7])?.unwrap();
/// assert!((cosine - 0.6).abs() < 1e-15);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang & Liu 2021, "Understanding the behaviour of contrastive loss", section 3.4, over distinct pairs.
pub fn tolerance<T: Element>(vectors: Rows<'_, T>, labels: &[i64]) -> Result<Option<f64>, Error> {
    if labels.len() != vectors.rows() {
        let (expected, got) = (vectors.rows(), labels.len());
        return Err(Error::Shape { what: "labels", expected, got });
    }
    let vectors = Prepared::new(vectors, Vectors::Normalise)?;
    // Classes in the order they come in, so that sums are added in an order of their own.
    let mut places: HashMap<i64, usize> = HashMap::new();
    let mut classes: Vec<(usize, f64)> = Vec::new();
    let mut sums: Vec<f64> = Vec::new();
    for (row, &label) in labels.iter().enumerate() {
        let class = *places.entry(label).or_insert_with(|| {
            classes.push((0, 0.0));
            sums.resize(sums.len() + vectors.width, 0.0);
            classes.len() - 1
        });
        classes[class].0 += 1;
        classes[class].1 += vectors.dot(row, &vectors, row);
        let sum = &mut sums[class * vectors.width..(class + 1) * vectors.width];
        sum.iter_mut().zip(vectors.row(row)).for_each(|(sum, x)| *sum += x.to_f64());
    }
    let pairs: f64 = classes.iter().map(|&(n, _)| n as f64 * (n - 1) as f64).sum();
    if pairs == 0.0 {
        return Ok(None);
    }
    let of_class = |(&(count, squares), sum): (&(usize, f64), &[f64])| {
        let square: f64 = sum.iter().map(|x| x * x).sum();
        if count > 1 { square - squares } else { 0.0 }
    };
    let of_classes = classes.iter().zip(sums.chunks_exact(vectors.width)).map(of_class);
    Ok(Some(of_classes.sum::<f64>() / pairs))
}
