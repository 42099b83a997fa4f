//! Losses of numpy arrays: the value and the gradients at once, as the library has them.
//!
//! ```text
//! arrays [rows, columns] → Matrix → Rows → the library, without Python's lock → a result with named fields
//! ```
//!
//! Options that are an enum in Rust are a text here (choice.rs).

mod contrastive;
mod cosines;
mod logits;
mod pairs;
mod queue;
mod result;
mod schedule;

pub(crate) use contrastive::{clip, info_nce, info_nce_fixed, info_nce_in_batch, moco, nt_xent};
pub(crate) use cosines::{
    adacos_dynamic_scale, adacos_fixed_scale, normalised_softmax, normface_lower_bound,
    normface_scale_for_loss, normface_scale_for_probability,
};
pub(crate) use logits::{cross_entropy, decoupled_distillation, distillation};
pub(crate) use pairs::{sig_lip, sup_con};
pub(crate) use queue::{PyQueue, momentum_update};
pub(crate) use result::{PyContrastiveLoss, PyDecoupledLoss, PyLoss, PySigLipLoss, PyVectorsLoss};
pub(crate) use schedule::{
    cosine_temperature, cyclic_temperature, exponential_temperature, gumbel_softmax_temperature,
    linear_temperature,
};

use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use softargmax::{Denominator, Deviation, Divergence, Factor, Labels, Reduction, Rows, Vectors};

use crate::array::{Number, in_c_order, labels, of_type, read};
use crate::choice::choice;
use crate::error::{refused, wrong};

choice!(Reduced(Reduction) "reduction":
    "mean" => Reduction::Mean,
    "sum" => Reduction::Sum,
    "weighted_mean" => Reduction::WeightedMean,
    "per_row" => Reduction::PerRow
);
choice!(Compared(Divergence) "divergence":
    "teacher_to_student" => Divergence::TeacherToStudent,
    "student_to_teacher" => Divergence::StudentToTeacher,
    "jensen_shannon" => Divergence::JensenShannon
);
choice!(Multiplied(Factor) "factor":
    "tau_squared" => Factor::TauSquared,
    "one" => Factor::One
);
choice!(Standardised(Deviation) "standardise":
    "population" => Deviation::Population,
    "sample" => Deviation::Sample
);
choice!(Taken(Vectors) "vectors":
    "normalise" => Vectors::Normalise,
    "unit" => Vectors::Unit,
    "as_given" => Vectors::AsGiven
);
choice!(Summed(Denominator) "denominator":
    "with_positive" => Denominator::WithPositive,
    "negatives_only" => Denominator::NegativesOnly
);

/// An array `[rows, columns]`, in C order.
struct Matrix<'py, T: Number> {
    array: PyReadonlyArrayDyn<'py, T>,
    rows: usize,
    columns: usize,
}

impl<'py, T: Number> Matrix<'py, T> {
    fn of(array: &Bound<'py, PyArrayDyn<T>>, name: &str) -> PyResult<Self> {
        let &[rows, columns] = array.shape() else {
            let shape = array.shape();
            return Err(wrong(format!("{name} has shape {shape:?}: it must have two axes")));
        };
        Ok(Matrix { array: read(&in_c_order(array)?, name)?, rows, columns })
    }

    /// Of an array that must have this type.
    fn from(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        Matrix::of(&of_type(object, name)?, name)
    }

    fn rows(&self) -> PyResult<Rows<'_, T>> {
        Rows::new(self.array.as_slice()?, self.columns).map_err(refused)
    }
}

/// Integers, one for each row, and which of them says that a row has no class.
struct Classes<'py> {
    array: PyReadonlyArrayDyn<'py, i64>,
    ignored: Option<i64>,
}

impl<'py> Classes<'py> {
    fn of(
        object: &Bound<'py, PyAny>,
        name: &str,
        rows: usize,
        ignored: Option<i64>,
    ) -> PyResult<Self> {
        Ok(Classes { array: read(&labels(object, name, rows)?, name)?, ignored })
    }

    fn labels(&self, classes: usize) -> PyResult<Labels<'_>> {
        let labels = self.array.as_slice()?;
        match self.ignored {
            None => Labels::new(labels, classes),
            Some(ignored) => Labels::with_ignored(labels, classes, ignored),
        }
        .map_err(refused)
    }
}

/// Numbers in a row, of f64; whoever takes them looks at how many they are.
struct Numbers<'py>(Option<PyReadonlyArrayDyn<'py, f64>>);

impl<'py> Numbers<'py> {
    fn of(object: Option<&Bound<'py, PyAny>>, name: &str) -> PyResult<Self> {
        let Some(object) = object else { return Ok(Numbers(None)) };
        let array = of_type::<f64>(object, name)?;
        if array.ndim() != 1 {
            let shape = array.shape();
            return Err(wrong(format!("{name} has shape {shape:?}: it must have one axis")));
        }
        Ok(Numbers(Some(read(&in_c_order(&array)?, name)?)))
    }

    fn slice(&self) -> PyResult<Option<&[f64]>> {
        Ok(self.0.as_ref().map(|array| array.as_slice()).transpose()?)
    }
}

/// Whether an array holds integers: labels, and not distributions.
fn holds_integers(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    let array = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (object,))?;
    let kind: String =
        array.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "kind"))?.extract()?;
    Ok(kind == "i" || kind == "u")
}
