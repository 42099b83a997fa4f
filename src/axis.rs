//! Any axis of an n-dimensional array of any strides (feature `ndarray`).
//!
//! ```text
//! the lanes along the axis lie one after the other      they are rows: straight to the row functions
//! softmax of lanes side by side                         panels of up to 128 lanes, one in each lane of a vector
//!                                                       (`columns.rs`)
//! anything else                                         panels: up to 128 lanes at a time copied into rows,
//!                                                       computed, copied back
//! ```
//!
//! In any case a lane has the bits of a row. The lanes of a panel are neighbours in memory, and are copied side by side where
//! the axis itself strides: a line of the cache fetched for one serves all (`transpose.rs`).

mod columns;
mod transpose;

use ndarray::{
    Array, ArrayRef, ArrayView2, ArrayViewD, ArrayViewMut2, ArrayViewMutD, Axis, Dimension, Ix2,
    RemoveAxis, s,
};

use crate::element::Element;
use crate::error::Error;
use crate::interrupt::heed;
use crate::parallel::{self, SERIAL_BELOW};
use crate::rows::{Rows, RowsMut};
use crate::softmax::parked::Size;
use crate::softmax::row::LONG;
use crate::softmax::{
    log_softmax_in_place, log_softmax_into, log_sum_exp_rows, softmax_in_place, softmax_into,
};
use crate::temperature::Temperature;
use columns::{CACHE_LINE, aligned_alike, softmax_of_lines};
use transpose::{gather, scatter};

pub(crate) use columns::Columns;
pub(crate) use transpose::{ToLanes, ToRows};

/// [`softmax`](crate::softmax) along an axis, `p_i = exp(x_i/τ) / Σ_j exp(x_j/τ)` for every lane of it, into a new array.
///
/// # Shapes
/// Any number of dimensions and any strides; the result has the same shape, in standard layout.
///
/// # Accuracy, special values
/// As [`softmax`](crate::softmax), and the same bits for every lane.
///
/// # Errors
/// [`Error::Axis`] when the array has no such axis, [`Error::NoClasses`] when its length is 0. Other lengths may be 0.
///
/// # Example
/// ```
/// use ndarray::{Axis, array};
/// use softargmax::{Temperature, softmax_axis};
///
/// let logits = array![[0.0, 2.0], [0.0, 2.0]];
/// assert_eq!(softmax_axis(&logits, Axis(0), Temperature::ONE)?, array![[0.5, 0.5], [0.5, 0.5]]);
/// assert_eq!(softmax_axis(&logits, Axis(1), Temperature::ZERO)?, array![[0.0, 1.0], [0.0, 1.0]]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn softmax_axis<T: Element, D: Dimension>(
    logits: &ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
) -> Result<Array<T, D>, Error> {
    same_shape(Function::Softmax, logits, axis, tau)
}

/// [`softmax`](crate::softmax) along an axis, into a given array.
///
/// # Shapes
/// `out` has the shape of the logits; both may have any strides, not the same.
///
/// # Accuracy, special values
/// As [`softmax_axis`], and the same bits.
///
/// # Errors
/// As [`softmax_axis`]; [`Error::Shape`] when `out` has another shape.
///
/// # Example
/// ```
/// use ndarray::{Array2, Axis, array};
/// use softargmax::{Temperature, softmax_axis_into};
///
/// let mut p = Array2::zeros((2, 2));
/// let logits = array![[0.0f32, 2.0], [0.0, 2.0]];
/// softmax_axis_into(&logits.t(), Axis(1), Temperature::ONE, &mut p)?;
/// assert_eq!(p, array![[0.5, 0.5], [0.5, 0.5]]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn softmax_axis_into<T: Element, D: Dimension>(
    logits: &ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
    out: &mut ArrayRef<T, D>,
) -> Result<(), Error> {
    into(Function::Softmax, logits, axis, tau, out)
}

/// [`softmax`](crate::softmax) along an axis, in place.
///
/// # Shapes, accuracy, special values, errors
/// As [`softmax_axis`].
///
/// # Example
/// ```
/// use ndarray::{Axis, array, s};
/// use softargmax::{Temperature, softmax_axis_in_place};
///
/// let mut logits = array![[0.0f32, 9.0, 0.0], [0.0, 9.0, 0.0]];
/// softmax_axis_in_place(&mut logits.slice_mut(s![.., ..;-2]), Axis(1), Temperature::ONE)?;
/// assert_eq!(logits, array![[0.5, 9.0, 0.5], [0.5, 9.0, 0.5]]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn softmax_axis_in_place<T: Element, D: Dimension>(
    logits: &mut ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
) -> Result<(), Error> {
    in_place(Function::Softmax, logits, axis, tau)
}

/// [`log_softmax`](crate::log_softmax) along an axis, `x_i/τ − ln Σ_j exp(x_j/τ)` for every lane of it, into a new array.
///
/// # Shapes, errors
/// As [`softmax_axis`].
///
/// # Accuracy, special values
/// As [`log_softmax`](crate::log_softmax), and the same bits for every lane.
///
/// # Example
/// ```
/// use ndarray::{Axis, array};
/// use softargmax::{Temperature, log_softmax_axis};
///
/// let log_p = log_softmax_axis(&array![[3.0, 1.0], [3.0, 1.0]], Axis(0), Temperature::ONE)?;
/// assert_eq!(log_p, array![[1.0, 1.0], [1.0, 1.0]] * -std::f64::consts::LN_2);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_softmax_axis<T: Element, D: Dimension>(
    logits: &ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
) -> Result<Array<T, D>, Error> {
    same_shape(Function::LogSoftmax, logits, axis, tau)
}

/// [`log_softmax`](crate::log_softmax) along an axis, into a given array.
///
/// # Shapes
/// `out` has the shape of the logits; both may have any strides, not the same.
///
/// # Accuracy, special values
/// As [`log_softmax_axis`], and the same bits.
///
/// # Errors
/// As [`log_softmax_axis`]; [`Error::Shape`] when `out` has another shape.
///
/// # Example
/// ```
/// use ndarray::{Axis, arr1};
/// use softargmax::{Temperature, log_softmax_axis_into};
///
/// let mut log_p = arr1(&[0.0; 2]);
/// log_softmax_axis_into(&arr1(&[7.0; 2]), Axis(0), Temperature::ONE, &mut log_p)?;
/// assert_eq!(log_p, arr1(&[-std::f64::consts::LN_2; 2]));
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_softmax_axis_into<T: Element, D: Dimension>(
    logits: &ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
    out: &mut ArrayRef<T, D>,
) -> Result<(), Error> {
    into(Function::LogSoftmax, logits, axis, tau, out)
}

/// [`log_softmax`](crate::log_softmax) along an axis, in place.
///
/// # Shapes, accuracy, special values, errors
/// As [`log_softmax_axis`].
///
/// # Example
/// ```
/// use ndarray::{Axis, array};
/// use softargmax::{Temperature, log_softmax_axis_in_place};
///
/// let mut row = array![5.0, f64::NEG_INFINITY];
/// log_softmax_axis_in_place(&mut row, Axis(0), Temperature::ONE)?;
/// assert_eq!(row, array![0.0, f64::NEG_INFINITY]);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_softmax_axis_in_place<T: Element, D: Dimension>(
    logits: &mut ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
) -> Result<(), Error> {
    in_place(Function::LogSoftmax, logits, axis, tau)
}

/// [`log_sum_exp`](crate::log_sum_exp) along an axis, `ln Σ_i exp(x_i/τ)` for every lane of it.
///
/// # Shapes
/// Any strides; the result is without the axis.
///
/// # Accuracy, special values
/// As [`log_sum_exp`](crate::log_sum_exp), and the same bits for every lane.
///
/// # Errors
/// As [`softmax_axis`].
///
/// # Example
/// ```
/// use ndarray::{Axis, array};
/// use softargmax::{Temperature, log_sum_exp_axis};
///
/// let log_z = log_sum_exp_axis(&array![[0.0, 4.0], [0.0, 4.0]], Axis(0), Temperature::ONE)?;
/// assert_eq!(log_z, array![0.0, 4.0] + std::f64::consts::LN_2);
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn log_sum_exp_axis<T: Element, D: RemoveAxis>(
    logits: &ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
) -> Result<Array<T, D::Smaller>, Error> {
    check(logits, axis)?;
    let mut out = Array::from_elem(logits.raw_dim().remove_axis(axis), T::of_f64(0.0));
    // With the axis put back, of length 1, it strides like the logits.
    let target = out.view_mut().into_dyn().insert_axis(axis);
    run(Function::LogSumExp, Some(logits.view().into_dyn()), target, axis, tau)?;
    Ok(out)
}

#[derive(Clone, Copy)]
enum Function {
    Softmax,
    LogSoftmax,
    LogSumExp,
}

fn check<T, D: Dimension>(array: &ArrayRef<T, D>, axis: Axis) -> Result<(), Error> {
    if axis.index() >= array.ndim() {
        return Err(Error::Axis { axis: axis.index(), ndim: array.ndim() });
    }
    if array.len_of(axis) == 0 { Err(Error::NoClasses) } else { Ok(()) }
}

fn same_shape<T: Element, D: Dimension>(
    function: Function,
    logits: &ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
) -> Result<Array<T, D>, Error> {
    check(logits, axis)?;
    let mut out = Array::from_elem(logits.raw_dim(), T::of_f64(0.0));
    run(function, Some(logits.view().into_dyn()), out.view_mut().into_dyn(), axis, tau)?;
    Ok(out)
}

fn into<T: Element, D: Dimension>(
    function: Function,
    logits: &ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
    out: &mut ArrayRef<T, D>,
) -> Result<(), Error> {
    check(logits, axis)?;
    if logits.ndim() != out.ndim() {
        return Err(Error::Shape {
            what: "shape of out",
            expected: logits.ndim(),
            got: out.ndim(),
        });
    }
    for (i, (&expected, &got)) in logits.shape().iter().zip(out.shape()).enumerate() {
        if expected != got {
            let what =
                if i == axis.index() { "out along the axis" } else { "out along another axis" };
            return Err(Error::Shape { what, expected, got });
        }
    }
    run(function, Some(logits.view().into_dyn()), out.view_mut().into_dyn(), axis, tau)
}

fn in_place<T: Element, D: Dimension>(
    function: Function,
    logits: &mut ArrayRef<T, D>,
    axis: Axis,
    tau: Temperature,
) -> Result<(), Error> {
    check(logits, axis)?;
    run(function, None, logits.view_mut().into_dyn(), axis, tau)
}

/// Brings both arrays to the order [far, …, near, axis] of their strides, and runs them as rows or as panels.
/// Without `from`, in place.
fn run<T: Element>(
    function: Function,
    from: Option<ArrayViewD<'_, T>>,
    mut to: ArrayViewMutD<'_, T>,
    axis: Axis,
    tau: Temperature,
) -> Result<(), Error> {
    if to.is_empty() {
        return Ok(());
    }
    let strides = from.as_ref().map_or(to.strides(), |from| from.strides());
    let mut order: Vec<usize> = (0..to.ndim()).collect();
    order.sort_by_key(|&i| (i == axis.index(), std::cmp::Reverse(strides[i].unsigned_abs())));
    let from = from.map(|from| from.permuted_axes(&order[..]));
    to = to.permuted_axes(&order[..]);
    let classes = from.as_ref().map_or(to.shape(), |from| from.shape())[order.len() - 1];

    match (from.as_ref().map(|from| from.as_slice()), to.as_slice_mut()) {
        (Some(Some(from)), Some(to)) => {
            let rows = Rows::new(from, classes)?;
            match function {
                Function::Softmax => softmax_into(rows, tau, to),
                Function::LogSoftmax => log_softmax_into(rows, tau, to),
                Function::LogSumExp => {
                    to.copy_from_slice(&log_sum_exp_rows(rows, tau)?);
                    Ok(())
                }
            }
        }
        (None, Some(to)) => in_rows(function, to, classes, tau),
        _ => {
            // Panels run over the last axis but one; a single lane has none.
            let (from, to) = if order.len() == 1 {
                (from.map(|from| from.insert_axis(Axis(0))), to.insert_axis(Axis(0)))
            } else {
                (from, to)
            };
            // In place the lines are near when they are written.
            let streams = from.is_some() && Size::of::<T>(to.len()) > Size::Small;
            split(Work { function, tau, classes, streams }, from, to)
        }
    }
}

fn in_rows<T: Element>(
    function: Function,
    rows: &mut [T],
    classes: usize,
    tau: Temperature,
) -> Result<(), Error> {
    let rows = RowsMut::new(rows, classes)?;
    match function {
        Function::Softmax => softmax_in_place(rows, tau),
        Function::LogSoftmax => log_softmax_in_place(rows, tau),
        Function::LogSumExp => unreachable!("its result has another shape"),
    }
}

/// What is to be done with every lane.
#[derive(Clone, Copy)]
struct Work {
    function: Function,
    tau: Temperature,
    classes: usize,
    /// Whether the result is to go past the cache, where that can be.
    streams: bool,
}

/// Halves the arrays along their longest axis, but for the last, until a half is small; the result does not
/// show where.
fn split<T: Element>(
    work: Work,
    from: Option<ArrayViewD<'_, T>>,
    to: ArrayViewMutD<'_, T>,
) -> Result<(), Error> {
    let outer = to.ndim() - 1;
    let lanes: usize = to.shape()[..outer].iter().product();
    let longest = (0..outer).max_by_key(|&i| (to.shape()[i], i)).unwrap_or(0);
    let length = to.shape()[longest];
    // Not through the middle of a panel.
    let middle =
        if length >= 4 * LANES { (length / 2).next_multiple_of(LANES) } else { length / 2 };
    if lanes.saturating_mul(work.classes) >= SERIAL_BELOW && middle > 0 && parallel::threads() > 1 {
        let (left, right) = to.split_at(Axis(longest), middle);
        let (from_left, from_right) = from.map(|from| from.split_at(Axis(longest), middle)).unzip();
        let (left, right) =
            parallel::join(|| split(work, from_left, left), || split(work, from_right, right));
        return left.and(right);
    }
    visit(work, from, to, &mut Scratch { rows: Vec::new(), columns: columns::Scratch::new() })
}

/// A panel on its way: in rows, or in strips of sixteen lanes.
struct Scratch<T: Element> {
    rows: Vec<T>,
    columns: columns::Scratch<T::Real>,
}

/// The panels of an array, one two-dimensional part after the other.
fn visit<T: Element>(
    work: Work,
    from: Option<ArrayViewD<'_, T>>,
    mut to: ArrayViewMutD<'_, T>,
    scratch: &mut Scratch<T>,
) -> Result<(), Error> {
    if to.ndim() > 2 {
        for (i, to) in to.outer_iter_mut().enumerate() {
            let from = from.as_ref().map(|from| from.index_axis(Axis(0), i));
            visit(work, from, to, scratch)?;
        }
        return Ok(());
    }
    let two = "two axes are left";
    let from = from.map(|from| from.into_dimensionality::<Ix2>().expect(two));
    let mut to = to.into_dimensionality::<Ix2>().expect(two);
    let (all, lanes) = (to.nrows(), lanes_of(work));
    // Panels that begin with a line of the cache: vectors that straddle two of them take longer.
    let lead =
        if all > lanes && aligned_alike(&to) { to.as_ptr().align_offset(CACHE_LINE) } else { 0 };
    let mut start = 0;
    while start < all {
        let end = all.min(if start < lead { lead } else { start + lanes });
        let from = from.as_ref().map(|from| from.slice(s![start..end, ..]));
        heed();
        panel(work, from, to.slice_mut(s![start..end, ..]), scratch)?;
        start = end;
    }
    Ok(())
}

/// Lanes of a panel: eight lines of the cache of f32 out of each page; for what needs no turning around, all of it.
const LANES: usize = 128;
const LANES_OF_LINES: usize = 1024;
/// Numbers of a panel that stay in the second-level cache, as far as they make whole lines; it has more where they make none.
const NEAR: usize = 1 << 17;
/// Lanes that share a line of the cache in f32.
const LINE: usize = 16;
/// A panel of long lanes has fewer of them, so that it takes no more than this many numbers.
const PANEL: usize = 1 << 20;
// Of eight lanes or more `columns.rs` makes each sum in one piece, and so do rows of as many classes.
const _: () = assert!(PANEL / 8 <= LONG);

fn lanes_of(Work { function, classes, .. }: Work) -> usize {
    let most = if let Function::Softmax = function { LANES_OF_LINES } else { LANES };
    (NEAR / classes / LINE * LINE).clamp(LINE, most).min(PANEL / classes).max(1)
}

fn panel<T: Element>(
    work: Work,
    from: Option<ArrayView2<'_, T>>,
    mut to: ArrayViewMut2<'_, T>,
    scratch: &mut Scratch<T>,
) -> Result<(), Error> {
    let Work { function, tau, classes, streams } = work;
    let lanes = to.nrows();
    if let Function::Softmax = function
        && softmax_of_lines(from, &mut to, tau, streams, &mut scratch.columns)
    {
        return Ok(());
    }
    scratch.rows.resize(lanes_of(work) * classes, T::of_f64(0.0));
    let rows = &mut scratch.rows[..lanes * classes];
    gather(from.unwrap_or(to.view()), rows);
    if let Function::LogSumExp = function {
        for (mut to, log_z) in
            to.rows_mut().into_iter().zip(log_sum_exp_rows(Rows::new(rows, classes)?, tau)?)
        {
            to[0] = log_z;
        }
        return Ok(());
    }
    in_rows(function, rows, classes, tau)?;
    scatter(rows, to);
    Ok(())
}
