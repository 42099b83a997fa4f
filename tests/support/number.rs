//! The four types of logits under one trait, and the instruction sets one after the other.

use super::fixtures::Dtype;
use super::ulp::Float;
use softargmax::{Element, Isa};
use std::sync::{Mutex, PoisonError};

/// A type of logits, as tests need it.
pub trait Number: Element + Float + PartialOrd + Default {
    const DTYPE: Dtype;
    /// The largest finite number.
    const MAX: f64;
    /// Probabilities of e^−DEPTH are below half the smallest subnormal.
    const DEPTH: f64;
    /// Nearest.
    fn of(value: f64) -> Self;
    fn bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

macro_rules! number {
    ($type:ty, $bits:ty, $dtype:expr, $max:expr, $depth:expr, $of:expr) => {
        impl Number for $type {
            const DTYPE: Dtype = $dtype;
            const MAX: f64 = $max;
            const DEPTH: f64 = $depth;
            fn of(value: f64) -> Self {
                $of(value)
            }
            fn bits(self) -> u64 {
                u64::from(self.to_bits())
            }
            fn from_bits(bits: u64) -> Self {
                <$type>::from_bits(bits as $bits)
            }
        }
    };
}

number!(f32, u32, Dtype::F32, f32::MAX as f64, 108.0, |x| x as f32);
number!(f64, u64, Dtype::F64, f64::MAX, 755.0, |x| x);
#[cfg(feature = "half")]
number!(half::f16, u16, Dtype::F16, 65504.0, 20.0, half::f16::from_f64);
#[cfg(feature = "half")]
number!(half::bf16, u16, Dtype::Bf16, 3.3895313892515355e38, 96.0, half::bf16::from_f64);

/// Runs a check with every instruction set of this machine.
///
/// The choice is the process's, so checks wait for each other: otherwise each might see another's.
pub fn on_every_isa(mut check: impl FnMut(Isa)) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for isa in Isa::available() {
        isa.select();
        check(isa);
    }
    Isa::available()[0].select();
}
