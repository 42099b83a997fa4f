//! How the rows that are normalised lie in an array.
//!
//! A row is what lies along one axis; its entries are the classes. Rows are counted in the row-major
//! order of the other axes. In row-major storage, entry `a` of row (`o`, `i`) is number
//!
//! ```text
//! (o · classes + a) · inner + i      inner = the product of the axes behind, 1 for the last axis
//! ```
//!
//! so that `inner` rows are interleaved. They make up a *panel*, the least that can be read without
//! seeking. In a Fortran file (first axis fastest) everything is one panel.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{InputError, MAX_NUMBERS};

/// The shape of an array, and the axis along which it is normalised.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    shape: Vec<usize>,
    axis: usize,
    rows: u64,
    inner: usize,
    /// The files that the rows are in, where there are several.
    parts: Option<Parts>,
}

/// Files that are read as one: the number of the first row of each, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts(Arc<Mutex<Vec<(u64, String)>>>);

impl Parts {
    /// Notes where a file begins.
    pub(super) fn begin(&self, first: u64, file: &Path) {
        // A panic elsewhere leaves the list as it was.
        let mut parts = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let name = file.display().to_string();
        if !parts.iter().any(|(_, known)| *known == name) {
            parts.push((first, name));
        }
    }

    /// Which row of which file a row is.
    fn place(&self, row: u64) -> Option<String> {
        let parts = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let (first, name) = parts.iter().rev().find(|(first, _)| *first <= row)?;
        Some(format!("row {} of {name}", row - first))
    }
}

impl Layout {
    /// Fails where the axis does not exist, or no row can be held in memory.
    pub(crate) fn new(shape: Vec<usize>, axis: isize) -> Result<Self, InputError> {
        let ndim = shape.len();
        if ndim == 0 {
            return Err(InputError::new("holds a single number without axes")
                .hint("save an array of shape [rows, classes] or [classes]"));
        }
        let from_front = if axis < 0 { axis.checked_add_unsigned(ndim) } else { Some(axis) };
        let Some(axis) = from_front.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < ndim)
        else {
            return Err(InputError::new(format!(
                "axis {axis} does not exist: the shape is {shape:?}"
            ))
            .hint(format!("--axis goes from -{ndim} to {}", ndim - 1)));
        };
        let too_large =
            || InputError::new(format!("an array of shape {shape:?} is larger than any file"));
        let product = |axes: &[usize]| {
            axes.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis)).ok_or_else(too_large)
        };
        let (outer, inner) = (product(&shape[..axis])?, product(&shape[axis + 1..])?);
        let rows = outer.checked_mul(inner).ok_or_else(too_large)? as u64;
        let classes = shape[axis];
        if classes == 0 {
            return Err(InputError::new(format!(
                "rows of 0 classes have no distribution: the shape is {shape:?}"
            )));
        }
        // 8 bytes each in memory, and no index computed below overflows.
        rows.checked_mul(classes as u64).and_then(|n| n.checked_mul(8)).ok_or_else(too_large)?;
        if classes > MAX_NUMBERS {
            return Err(InputError::new(format!(
                "rows of {classes} classes are too long: at most {MAX_NUMBERS}"
            )));
        }
        Ok(Self { shape, axis, rows, inner, parts: None })
    }

    /// The same rows, which are in several files.
    pub(super) fn with_parts(self, parts: Parts) -> Self {
        Self { parts: Some(parts), ..self }
    }

    /// The same rows with another number of classes, which lie along the last axis.
    pub(super) fn of_classes(&self, classes: usize) -> Result<Self, InputError> {
        let mut shape = self.shape.clone();
        shape[self.axis] = classes;
        Ok(Self { parts: self.parts.clone(), ..Self::new(shape, -1)? })
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many entries a row has; at least 1.
    pub(crate) fn classes(&self) -> usize {
        self.shape[self.axis]
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn axis(&self) -> usize {
        self.axis
    }

    /// How many rows are interleaved.
    pub(crate) fn inner(&self) -> usize {
        self.inner
    }

    /// The name of a row: `row 17`, where rows are not all there is, `row 17 [3, :, 2]`, and of several files
    /// `row 3 of part-1.npy`.
    pub(crate) fn place(&self, row: u64) -> String {
        if let Some(place) = self.parts.as_ref().and_then(|parts| parts.place(row)) {
            return place;
        }
        if self.shape.len() < 3 {
            return format!("row {row}");
        }
        let mut left = row;
        let mut index: Vec<String> = Vec::with_capacity(self.shape.len());
        for (axis, &len) in self.shape.iter().enumerate().rev() {
            if axis == self.axis {
                index.push(":".to_owned());
            } else {
                let len = (len as u64).max(1);
                index.push((left % len).to_string());
                left /= len;
            }
        }
        index.reverse();
        format!("row {row} [{}]", index.join(", "))
    }

    /// The way from storage order to whole rows, and how many rows a panel has.
    pub(super) fn panel(&self, fortran: bool) -> Result<Panel, InputError> {
        let classes = self.classes();
        let rows = if fortran { self.rows } else { self.inner as u64 };
        if rows == 1 || self.rows == 0 {
            return Ok(Panel { rows: 1, steps: None });
        }
        let fits = |rows: &usize| rows.checked_mul(classes).is_some_and(|n| n <= MAX_NUMBERS);
        let Some(rows) = usize::try_from(rows).ok().filter(fits) else {
            let (what, remedy) = if fortran {
                ("the file is in Fortran order", "np.ascontiguousarray(x)".to_owned())
            } else {
                let remedy = format!("np.ascontiguousarray(np.moveaxis(x, {}, -1))", self.axis);
                ("the axis is not the last one", remedy)
            };
            return Err(InputError::new(format!(
                "{what}, and {rows} rows of {classes} classes are too many to transpose in memory \
                 (at most {MAX_NUMBERS} numbers)"
            ))
            .hint(format!("np.save(path, {remedy})")));
        };
        let steps = if !fortran {
            vec![Step::new(self.inner, classes), Step::new(classes, 1)]
        } else {
            // Strides as if the normalised axis were moved to the end, row-major.
            let mut stride = classes;
            let mut steps: Vec<Step> = Vec::with_capacity(self.shape.len());
            for (axis, &len) in self.shape.iter().enumerate().rev() {
                if axis == self.axis {
                    steps.push(Step::new(len, 1));
                } else {
                    steps.push(Step::new(len, stride));
                    stride *= len;
                }
            }
            steps.reverse();
            steps
        };
        Ok(Panel { rows, steps: Some(Scatter { steps, offset: 0 }) })
    }
}

/// Rows that are read together.
pub(super) struct Panel {
    pub(super) rows: usize,
    /// `None` where storage order is row order.
    pub(super) steps: Option<Scatter>,
}

/// A walk over a panel in storage order, which says where in row order each number goes. After a
/// whole panel it stands at the beginning again.
pub(super) struct Scatter {
    /// Fastest first.
    steps: Vec<Step>,
    offset: usize,
}

struct Step {
    len: usize,
    stride: usize,
    at: usize,
}

impl Step {
    fn new(len: usize, stride: usize) -> Self {
        Self { len, stride, at: 0 }
    }
}

impl Scatter {
    /// Puts the next `values` of the storage where they belong in `panel`.
    pub(super) fn place<T: Copy>(&mut self, values: &[T], panel: &mut [T]) {
        for &value in values {
            panel[self.offset] = value;
            for step in &mut self.steps {
                step.at += 1;
                self.offset += step.stride;
                if step.at < step.len {
                    break;
                }
                self.offset -= step.len * step.stride;
                step.at = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(shape: &[usize], axis: isize, fortran: bool, storage: &[u32]) -> Vec<u32> {
        let layout = Layout::new(shape.to_vec(), axis).expect("layout");
        let panel = layout.panel(fortran).expect("panel");
        let mut out = vec![0; storage.len()];
        match panel.steps {
            None => out.copy_from_slice(storage),
            Some(mut scatter) => {
                let numbers = panel.rows * layout.classes();
                for (from, to) in storage.chunks(numbers).zip(out.chunks_mut(numbers)) {
                    scatter.place(from, to);
                }
            }
        }
        out
    }

    #[test]
    fn rows_are_gathered_from_any_axis_and_order() {
        // x[i][j][k] = 100 i + 10 j + k of shape [2, 3, 2].
        let of = |i: u32, j: u32, k: u32| 100 * i + 10 * j + k;
        let row_major: Vec<u32> = (0..12).map(|n| of(n / 6, n / 2 % 3, n % 2)).collect();
        let fortran: Vec<u32> = (0..12).map(|n| of(n % 2, n / 2 % 3, n / 6)).collect();
        let along_0 = [0, 100, 1, 101, 10, 110, 11, 111, 20, 120, 21, 121];
        let along_1 = [0, 10, 20, 1, 11, 21, 100, 110, 120, 101, 111, 121];
        for (axis, expected) in [(0, &along_0[..]), (-2, &along_1), (2, &row_major)] {
            assert_eq!(scattered(&[2, 3, 2], axis, false, &row_major), expected, "axis {axis}");
            assert_eq!(scattered(&[2, 3, 2], axis, true, &fortran), expected, "axis {axis}, F");
        }
    }

    #[test]
    fn a_row_is_named_by_its_index_too() {
        let layout = Layout::new(vec![4, 7, 3], 1).expect("layout");
        assert_eq!(layout.place(11), "row 11 [3, :, 2]");
        assert_eq!(Layout::new(vec![4, 7], 1).expect("layout").place(3), "row 3");
    }

    #[test]
    fn shapes_without_rows_to_normalise_are_refused() {
        let refused = |shape: &[usize], axis| Layout::new(shape.to_vec(), axis).is_err();
        assert!(refused(&[], -1));
        assert!(refused(&[3, 0], -1));
        assert!(refused(&[3, 4], 2));
        assert!(refused(&[3, 4], -3));
        assert!(refused(&[3, 4], isize::MIN));
        assert!(refused(&[1, MAX_NUMBERS + 1], -1));
        assert!(refused(&[usize::MAX, 2], -1));
        assert!(refused(&[usize::MAX / 4, 2], -1));
        assert!(!refused(&[0, 4], -1));
    }

    #[test]
    fn a_panel_that_does_not_fit_is_refused() {
        let layout = Layout::new(vec![1000, MAX_NUMBERS / 2], 0).expect("layout");
        assert!(layout.panel(false).is_err());
        let layout = Layout::new(vec![1000, MAX_NUMBERS / 2], 1).expect("layout");
        assert!(layout.panel(false).is_ok());
        assert!(layout.panel(true).is_err());
    }
}
