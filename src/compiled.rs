//! The hot code by name: what is compiled here, once for each type, and nowhere else.
//!
//! A generic function is compiled anew by every crate that calls it, and a kernel for each instruction set. So what is
//! generic about this crate ends here: a caller asks the type, `T::run(job)`, and comes to a function without type
//! parameters, which the linker finds. An entry is a job or kernel with the lifetime `'a` and the type `T`; a type that is to
//! be a row's or a kernel's has all of them, so that no bound but [`Element`](crate::Element) and `Real` need ever be written.
//!
//! Kernels that other kernels call need no entry, nor do those without a type parameter: `dispatch` runs these.

#[cfg(feature = "ndarray")]
use crate::axis::{Columns, ToLanes, ToRows};
use crate::fit::block::Block;
use crate::gradient::Vjp;
use crate::loss::contrastive::{curve, sig_lip};
use crate::loss::{cross_entropy, decoupled, distillation, teacher, truncated, weigh};
use crate::metrics::score;
use crate::parallel;
use crate::sample::batch::Batch;
use crate::sample::{filters, log_prob, nucleus, weights};
use crate::simd::{Kernel, dispatch};
use crate::softmax::alone;
use crate::softmax::batch::{LogSumExp, Map};
use crate::softmax::long;
use crate::statistics;

/// A type whose instance of `J` is compiled.
#[expect(private_bounds, private_interfaces, reason = "sealed: nobody else calls it")]
pub trait Runs<J> {
    /// The one way to it.
    fn run(job: J) -> J::Output
    where
        J: Kernel;
}

macro_rules! compiled {
    ($(#[$doc:meta])* $table:ident, by $run:path, for $($(#[$if:meta])? $type:ty),+; $entries:tt) => {
        compiled!(@table $(#[$doc])* $table $entries);
        $($(#[$if])? const _: () = {
            type T = $type;
            impl $table<T> for T {}
            compiled!(@entries $run, $entries);
        };)+
    };
    (@table $(#[$doc:meta])* $table:ident [$($entry:ty),+ $(,)?]) => {
        $(#[$doc])*
        #[expect(private_bounds, reason = "sealed: nobody else can name these")]
        pub trait $table<T>: $(for<'a> Runs<$entry> +)+ {}
    };
    (@entries $run:path, [$($entry:ty),+ $(,)?]) => {
        $(impl<'a> Runs<$entry> for T {
            #[inline(never)]
            fn run(job: $entry) -> <$entry as Kernel>::Output {
                $run(job)
            }
        })+
    };
}

compiled! {
    /// Jobs over rows of `T`, with their halves on several threads.
    Jobs, by parallel::run, for f32, f64, #[cfg(feature = "half")] half::f16, #[cfg(feature = "half")] half::bf16;
    [
        Map<'a, T>,
        LogSumExp<'a, T>,
        statistics::EachRow<'a, T>,
        Vjp<'a, T>,
        Block<'a, 'a, T>,
        score::EachRow<'a, T>,
        cross_entropy::EachRow<'a, T>,
        distillation::EachRow<'a, T>,
        decoupled::EachRow<'a, T>,
        truncated::EachRow<'a, T>,
        teacher::Keep<'a, T>,
        Batch<'a, T>,
        long::Sweep<'a, T>,
    ]
}

compiled! {
    /// Kernels over numbers of `T`, called from loops that know no instruction set.
    Kernels, by dispatch, for f32, f64;
    [
        alone::OneRow<'a, T, false>,
        alone::OneRow<'a, T, true>,
        weigh::Weigh<'a, T, false>,
        weigh::Weigh<'a, T, true>,
        weigh::WeighColumns<'a, T>,
        weigh::Pull<'a, T>,
        weigh::Times<'a, T>,
        weigh::AddInTwo<'a, T>,
        sig_lip::Sigmoids<'a, T>,
        curve::Largest<'a, T>,
        curve::Sum<'a, T, false>,
        curve::Sum<'a, T, true>,
        weights::Peaks<'a, T>,
        weights::Weigh<'a, T>,
        weights::Split<'a, T>,
        weights::Expand<'a, T>,
        weights::Count<'a, T>,
        filters::WeighList<'a, T>,
        filters::Find<'a, T>,
        nucleus::Measure<'a, T>,
        nucleus::Moments<'a, T>,
        log_prob::Rest<'a, T>,
    ]
}

#[cfg(feature = "ndarray")]
compiled! {
    /// Kernels of arrays along any axis.
    AxisKernels, by dispatch, for f32, f64;
    [ToRows<'a, T>, ToLanes<'a, T>, Columns<'a, T>]
}

/// Without arrays there are none.
#[cfg(not(feature = "ndarray"))]
pub trait AxisKernels<T> {}
#[cfg(not(feature = "ndarray"))]
impl<T> AxisKernels<T> for T {}
