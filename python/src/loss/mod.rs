//! Losses of numpy arrays: the value and the gradients at once, as the library has them.
//!
//! ```text
//! arrays [rows, columns] → Matrix → Rows → the library, without Python's lock → a result with named fields
//! ```
//!
//! Options that are an enum in Rust are a text here.

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

use softargmax::{Denominator, Deviation, Divergence, Factor, Reduction, Vectors};

use crate::arguments::{Classes, Matrix, Numbers, choice, holds_integers};

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
