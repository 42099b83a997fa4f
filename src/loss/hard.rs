//! The part of a loss with a teacher that is a row's cross-entropy with its label.

use super::cross_entropy;
use super::distribution::Distribution;
use crate::scratch::Scratch;
use crate::simd::Simd;
use crate::softmax::plan::Tempering;
use crate::temperature::Temperature;

/// The part of a row with its label; its buffers serve row after row.
#[derive(Default)]
pub(super) struct Hard {
    student: Distribution,
    target: Scratch<f64>,
    errors: Scratch<f64>,
}

impl Hard {
    /// What it adds to a row's `soft` loss; its gradient is added to the errors. A row that cannot be taken in is NaN
    /// already, and stays as it is.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &mut self,
        simd: S,
        student: &[f64],
        (label, weight): (usize, f64),
        soft: f64,
        errors: &mut [f64],
    ) -> f64 {
        if !self.student.fill(simd, student, &Tempering::new(Temperature::ONE)) || soft.is_nan() {
            return 0.0;
        }
        self.target.clear();
        self.target.resize(student.len(), 0.0);
        self.target[label] = 1.0;
        let (loss, _) = cross_entropy::of_row(&self.student, &self.target, &mut self.errors);
        for (sum, error) in errors.iter_mut().zip(&self.errors) {
            *sum += weight * error;
        }
        if weight > 0.0 { weight * loss } else { 0.0 }
    }
}
