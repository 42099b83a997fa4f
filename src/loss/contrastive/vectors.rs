//! Vectors on their way into similarities, and gradients on their way back.
//!
//! ```text
//! v = u/|u|           dL/du = (g − v·(v·g))/|u|,  g = dL/dv
//! ```

use std::borrow::Cow;

use crate::element::{Element, Real};
use crate::error::Error;
use crate::rows::Rows;

/// What the rows given to a contrastive loss are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vectors {
    /// Anything: the loss divides them by their lengths, and the gradients go through that.
    #[default]
    Normalise,
    /// Of length 1, which is checked: to 2^-10, or in f16 and bf16, which round more coarsely, to 2^-6. Gradients are
    /// in the vectors as they are, and may point away from the sphere.
    Unit,
    /// Anything, and similarities are their dot products, as of unnormalised two-tower models.
    AsGiven,
}

/// Vectors as the products take them.
pub(super) struct Prepared<'a, R: Clone> {
    pub(super) data: Cow<'a, [R]>,
    pub(super) rows: usize,
    /// Numbers in a vector.
    pub(super) width: usize,
    /// The lengths they were divided by.
    lengths: Option<Vec<f64>>,
}

impl<'a, R: Real> Prepared<'a, R> {
    pub(super) fn new<T: Element<Real = R>>(
        rows: Rows<'a, T>,
        how: Vectors,
    ) -> Result<Self, Error> {
        let width = rows.classes();
        // Products of two vectors, and all parts of them, are no more than the product of their lengths.
        let most = if R::IN_DOUBLE { 1e150 } else { 1e18 };
        // 16-bit types have 8 or 11 bits.
        let tolerance = if size_of::<T>() == 2 { 1.0 / 64.0 } else { 1.0 / 1024.0 };
        let mut lengths =
            Vec::with_capacity(if how == Vectors::Normalise { rows.rows() } else { 0 });
        for (row, entries) in rows.iter().enumerate() {
            let refused = |reason| Err(Error::Row { row, reason });
            if entries.iter().any(|x| x.to_f64().is_nan()) {
                return refused("it holds a NaN");
            }
            if entries.iter().any(|x| x.to_f64().is_infinite()) {
                return refused("it holds an infinity");
            }
            let length = length(entries);
            if length == f64::INFINITY {
                return refused("its length is no f64");
            }
            match how {
                Vectors::Normalise if length == 0.0 => {
                    return refused("it is 0 throughout, and has no direction");
                }
                Vectors::Normalise => lengths.push(length),
                Vectors::Unit if !((length - 1.0).abs() <= tolerance) => {
                    return refused("its length is not 1");
                }
                Vectors::AsGiven if !(length <= most) => {
                    return refused("it is so long that similarities may overflow");
                }
                _ => {}
            }
        }
        let data = match (T::as_real(rows.as_slice()), how) {
            (Some(real), Vectors::Unit | Vectors::AsGiven) => Cow::Borrowed(real),
            _ => {
                let mut real = vec![R::ZERO; rows.as_slice().len()];
                T::read(rows.as_slice(), &mut real);
                for (row, length) in real.chunks_exact_mut(width).zip(&lengths) {
                    row.iter_mut().for_each(|x| *x = R::of_f64(x.to_f64() / length));
                }
                Cow::Owned(real)
            }
        };
        let lengths = (how == Vectors::Normalise).then_some(lengths);
        Ok(Prepared { data, rows: rows.rows(), width, lengths })
    }

    /// Vectors that were prepared before, and kept.
    pub(super) fn kept<T: Element<Real = R>>(rows: Rows<'a, T>) -> Self {
        let data = match T::as_real(rows.as_slice()) {
            Some(real) => Cow::Borrowed(real),
            None => {
                let mut real = vec![R::ZERO; rows.as_slice().len()];
                T::read(rows.as_slice(), &mut real);
                Cow::Owned(real)
            }
        };
        Prepared { data, rows: rows.rows(), width: rows.classes(), lengths: None }
    }

    pub(super) fn row(&self, row: usize) -> &[R] {
        &self.data[row * self.width..(row + 1) * self.width]
    }

    /// The similarity of two rows, in f64.
    pub(super) fn dot(&self, row: usize, other: &Self, other_row: usize) -> f64 {
        dot(self.row(row).iter().zip(other.row(other_row)).map(|(a, b)| (a.to_f64(), b.to_f64())))
    }

    /// The gradient in a row as it was given, of that in the row as prepared.
    pub(super) fn write_gradient<T: Element<Real = R>>(
        &self,
        row: usize,
        of: &[f64],
        to: &mut [T],
    ) {
        let Some(lengths) = &self.lengths else {
            to.iter_mut().zip(of).for_each(|(to, &g)| *to = T::of_f64(g));
            return;
        };
        let direction = self.row(row);
        let along = dot(of.iter().zip(direction).map(|(&g, v)| (g, v.to_f64())));
        for ((to, g), v) in to.iter_mut().zip(of).zip(direction) {
            *to = T::of_f64((g - v.to_f64() * along) / lengths[row]);
        }
    }
}

fn length<T: Element>(row: &[T]) -> f64 {
    let square = dot(row.iter().map(|x| (x.to_f64(), x.to_f64())));
    if (1e-280..1e280).contains(&square) {
        return square.sqrt();
    }
    // Scaled, so that no square overflows or is lost.
    let most = row.iter().fold(0.0, |most: f64, x| most.max(x.to_f64().abs()));
    if most == 0.0 {
        return 0.0;
    }
    most * dot(row.iter().map(|x| (x.to_f64() / most, x.to_f64() / most))).sqrt()
}

/// Eight chains of products, which wait for each other less than one.
fn dot(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut sums = [0.0; 8];
    for (i, (a, b)) in pairs.enumerate() {
        sums[i % 8] += a * b;
    }
    sums.iter().sum()
}

/// Both must have vectors of the same number of dimensions.
pub(super) fn same_width<T>(
    what: &'static str,
    a: Rows<'_, T>,
    b: Rows<'_, T>,
) -> Result<(), Error> {
    let (expected, got) = (a.classes(), b.classes());
    if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}

/// Both must have as many vectors.
pub(super) fn same_rows<T>(
    what: &'static str,
    a: Rows<'_, T>,
    b: Rows<'_, T>,
) -> Result<(), Error> {
    let (expected, got) = (a.rows(), b.rows());
    if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}
