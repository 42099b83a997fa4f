//! **softargmax** is softmax with temperature, done properly:
//! `p_i = exp(x_i/τ) / Σ_j exp(x_j/τ)`.
//!
//! τ → 0 gives arg max (a *soft arg max*, hence the name), τ → ∞ the uniform distribution, and both are
//! values of [`Temperature`]. What is between is right to a couple of units in the last place, at every
//! temperature and offset, with the same bits on every machine, number of threads and batch.
//!
//! ```
//! use softargmax::{Temperature, log_softmax, softmax};
//!
//! let logits = [1.0, 5.0, 7.0, 10.0];
//! let p = softmax(&logits, "0.1".parse()?)?;
//! assert_eq!(p, [8.194012623989748e-40, 1.928749847963737e-22, 9.357622968839298e-14, 0.9999999999999064]);
//!
//! // exp(10/0.01) overflows; softmax does not.
//! assert_eq!(softmax(&logits, "0.01".parse()?)?[3], 1.0);
//! // The loss of a confident row is what is left over, not 0.
//! assert_eq!(log_softmax(&logits, "0.1".parse()?)?[3], -9.357622988127235e-14);
//! # Ok::<(), softargmax::Error>(())
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! | --- | --- |
//! | one row, one line | [`softmax`], [`log_softmax`], [`log_sum_exp`], [`expected_index`] |
//! | many rows, `[rows, classes]` | [`softmax_rows`], [`softmax_into`], [`softmax_in_place`] and their logarithms |
//! | entropy, perplexity, moments, arg max | [`statistics`] |
//! | the temperature that gives a perplexity | [`solve_temperature`] |
//! | the temperature under which labels are most likely | [`fit_temperature`]; of files and machines [`TemperatureSolver`], [`Scan`] |
//! | models above one temperature | [`fit_bcts`], [`fit_vector`], [`fit_ets`], [`fit_groups`], [`select`] |
//! | NLL, Brier, accuracy, with standard errors | [`scores`], [`summarise`] |
//! | ECE and its kin, with their noise floors | [`calibration_error`], [`classwise_calibration_error`], [`smooth_calibration_error`], [`kolmogorov_smirnov`] |
//! | reliability, risk–coverage, before and after | [`isotonic`], [`consistency_band`], [`risk_coverage`], [`paired_bootstrap`] |
//! | gradients, in logits and in τ | [`softmax_vjp`], [`log_softmax_vjp`], [`log_sum_exp_vjp`] |
//! | losses of logits, with gradients in both | [`cross_entropy`], [`distillation`], [`decoupled_distillation`] |
//! | a teacher stored as its likeliest classes | [`TruncatedTeacher`], [`truncated_distillation`] |
//! | temperature schedules | [`linear_temperature`], [`cosine_temperature`], [`exponential_temperature`], [`gumbel_softmax_temperature`] |
//! | contrastive losses, with gradients in vectors and τ | [`info_nce`], [`moco`], [`clip`], [`nt_xent`], [`sup_con`], [`sig_lip`], [`MemoryBank`] |
//! | which temperature a contrastive loss wants | [`ContrastCurve`], [`curve_optimum`], [`sphere_floor`], [`uniformity`], [`tolerance`] |
//! | normalised softmax: margins, floors, scales | [`normalised_softmax`], [`normalised_linear_softmax`], [`normface_lower_bound`], [`adacos_fixed_scale`] |
//! | drawing a token, exactly: filters, seeds, log-probabilities | [`Sampler`], [`SamplingParams`], [`Distribution`] |
//! | drawing tokens of a batch, verifying a draft, relaxed samples | [`sample_rows`], [`Verifier`], [`gumbel_softmax`] |
//! | stopping a long call from another thread | [`Interrupt`] |
//! | any axis of an array (feature `ndarray`) | `softmax_axis` and its kin |
//!
//! Logits are f32, f64, or with the feature `half` (on by default) f16 and bf16. Large batches run on
//! several threads with the feature `rayon` (on by default), on those of the pool that calls. Each thread keeps up to 4 MiB of f32
//! and of f64 from call to call, for rows on their way.
//!
//! # What a value means
//!
//! | input | softmax | log_softmax |
//! | --- | --- | --- |
//! | τ = 0 | mass shared equally by the maximal entries | −ln(ties), −∞ elsewhere |
//! | τ = ∞ | uniform over the entries that are not −∞ | −ln(count), −∞ where masked |
//! | −∞ entry | exactly 0: a mask | −∞ |
//! | +∞ entries, τ < ∞ | mass shared equally by them | as τ = 0 |
//! | a NaN | that row is NaN, no other | NaN |
//! | every entry −∞ | NaN row: no distribution exists | NaN; log_sum_exp is −∞ |
//! | no classes | an error; zero rows are fine | |
//! | finite, any size | never overflows | |
//!
//! Temperatures are in units of the logits, entropies and losses in nats.

// Without threads nothing is ever split.
#![cfg_attr(not(feature = "rayon"), allow(dead_code))]

mod aligned;
#[cfg(feature = "ndarray")]
mod axis;
mod compiled;
mod double;
mod element;
mod error;
mod exact_sum;
mod exp;
mod fit;
mod gradient;
mod interrupt;
mod loss;
mod metrics;
mod parallel;
mod random;
mod rows;
mod sample;
mod scratch;
mod simd;
mod softmax;
mod solve;
mod statistics;
mod temperature;

#[cfg(feature = "ndarray")]
pub use axis::{
    log_softmax_axis, log_softmax_axis_in_place, log_softmax_axis_into, log_sum_exp_axis,
    softmax_axis, softmax_axis_in_place, softmax_axis_into,
};
pub use element::Element;
pub use error::Error;
pub use fit::{
    Affine, AffineFit, Calibrator, Candidate, Ensemble, EnsembleFit, Estimate, FitOptions, Group,
    GroupsFit, Model, Outcome, Prior, Scan, Selection, TemperatureFit, TemperatureSolver, fit_bcts,
    fit_ets, fit_groups, fit_temperature, fit_vector, select,
};
pub use gradient::{
    Gradient, GradientMut, log_softmax_vjp, log_softmax_vjp_into, log_sum_exp_vjp,
    log_sum_exp_vjp_into, softmax_vjp, softmax_vjp_into,
};
pub use interrupt::Interrupt;
pub use loss::{
    ContrastCurve, CurvePoint, Nearest, alignment, curve_at_perplexity, curve_optimum,
    sphere_floor, sphere_log_mean_exp, sphere_scale_for_floor, sphere_uniformity,
    sphere_unrelated_level, tolerance, uniformity,
};
pub use loss::{
    ContrastiveLoss, ContrastiveOptions, Denominator, LogScale, Margin, MemoryBank, NormalisedLoss,
    Queue, SigLipLoss, Vectors, VectorsLoss, adacos_dynamic_scale, adacos_fixed_scale, clip,
    info_nce, info_nce_fixed, info_nce_in_batch, moco, momentum_update, normalised_linear_softmax,
    normalised_softmax, normface_lower_bound, normface_scale_for_loss,
    normface_scale_for_probability, nt_xent, sig_lip, sup_con,
};
pub use loss::{
    CrossEntropyOptions, DecoupledLoss, DecoupledOptions, Deviation, DistillationOptions,
    Divergence, Factor, HardLabels, Loss, LossMut, Reduction, TruncatedParts, TruncatedStatistics,
    TruncatedTeacher, cosine_temperature, cross_entropy, cross_entropy_into, cyclic_temperature,
    decoupled_distillation, distillation, distillation_into, exponential_temperature,
    gumbel_softmax_temperature, linear_temperature, truncated_distillation,
};
pub use metrics::{
    Band, Bin, BinFree, Binning, BrierParts, CalibrationError, ClasswiseError, Differences,
    Interval, Mean, Null, Resampling, RiskCoverage, RiskPoint, Score, Step, Summary, Tally,
    brier_parts, calibration_error, classwise_calibration_error, consistency_band,
    coverage_at_risk, isotonic, kolmogorov_smirnov, paired_bootstrap, risk_coverage, scores,
    smooth_calibration_error, summarise,
};
pub use rows::{Labels, Rows, RowsMut, Truth};
pub use sample::{
    Context, Distribution, Draw, Method, Mirostat, Order, Relaxed, Sampler, SamplingParams,
    Verdict, Verifier, gumbel_softmax, sample_rows,
};
pub use simd::Isa;
pub use softmax::{
    log_softmax, log_softmax_in_place, log_softmax_into, log_softmax_rows, log_sum_exp,
    log_sum_exp_rows, softmax, softmax_in_place, softmax_into, softmax_rows,
};
pub use solve::{Solution, Target, solve_temperature, solve_temperature_per_row};
pub use statistics::{Statistics, expected_index, statistics};
pub use temperature::{Temperature, Temperatures};
