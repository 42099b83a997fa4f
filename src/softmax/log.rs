//! Logarithms of a row: log-probabilities and log Z.
//!
//! ```text
//! L        = ln Σ exp((x_j − m)/τ)            from the count of maxima and the sum of the rest
//! log p_i  = (x_i − m)/τ − L                  two numbers of the same sign: nothing cancels
//! log Z    = m/τ + L                          may cancel; L and m/τ are kept to 31 digits for it
//! ```
//!
//! f32 rows take their logarithms in f64, f64 rows in double-double; one rounding ends both.

use crate::double::{Double, frexp, ldexp, power_of_two, two_sum};
use crate::element::Real;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{Base2, Plan, Tempering};
use crate::softmax::rest::rest;
use crate::softmax::row::{LANES, Peak, Space, find_peak, share};

/// (x − m)/τ − L for the entries of one row.
#[derive(Clone, Copy)]
pub(super) struct LogPlan {
    /// Brings a row that reaches beyond 2^900 down, so that x − m does not overflow.
    down: f64,
    max: f64,
    /// 1/τ · 2^−k / down, and 2^k.
    inverse: Double,
    power: f64,
    log_normaliser: Double,
}

impl LogPlan {
    /// From the count of maxima and the sum of the rest.
    #[inline(always)]
    pub(super) fn new<R: Real>(
        max: R,
        base: &Base2<R>,
        plan: &Plan<R>,
        (maxima, rest): (f64, Double),
    ) -> Self {
        let log_normaliser = if R::IN_DOUBLE {
            plan.log_normaliser(maxima, rest)
        } else {
            Double::from(plan.log_normaliser_in_f64(maxima, rest.hi))
        };
        let max = max.to_f64();
        let down = if max.abs() >= power_of_two(900) { 0.25 } else { 1.0 };
        let half = base.inverse_exponent / 2 - 2;
        LogPlan {
            down,
            max: max * down,
            // Two bits of room, so that the largest distance times this does not overflow.
            inverse: base.inverse.ldexp(half),
            power: ldexp(1.0 / down, base.inverse_exponent - half),
            log_normaliser,
        }
    }

    #[inline(always)]
    fn of<R: Real>(&self, x: R) -> R {
        let x = x.to_f64();
        R::of_f64(if R::IN_DOUBLE { self.in_double(x) } else { self.in_f64(x) })
    }

    #[inline(always)]
    fn in_f64(&self, x: f64) -> f64 {
        (x - self.max) * self.inverse.hi * self.power - self.log_normaliser.hi
    }

    #[inline(always)]
    fn in_double(&self, x: f64) -> f64 {
        let x = x * self.down;
        let distance = x - self.max;
        let distance_low = (x - distance) - self.max;
        let scaled = distance * self.inverse.hi;
        let scaled_low = distance.mul_add(self.inverse.hi, -scaled)
            + distance_low.mul_add(self.inverse.hi, distance * self.inverse.lo);
        let (log, lost) = two_sum(scaled * self.power, -self.log_normaliser.hi);
        let low = lost + (scaled_low * self.power - self.log_normaliser.lo);
        // An entry of −∞, or a result beyond f64: the low parts are NaN and the high part is right.
        // Adding 0 makes a zero positive, whatever the rounding was.
        if log.is_finite() { log + low + 0.0 } else { log }
    }
}

/// The last sweep: logits to log-probabilities.
pub(super) struct MapLog<'a, R> {
    pub(super) row: Option<&'a [R]>,
    pub(super) out: &'a mut [R],
    pub(super) plan: &'a LogPlan,
    /// Where the next row's place is, in which it will be written.
    pub(super) ahead: usize,
}

impl<R: Real> Kernel for MapLog<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let plan = *self.plan;
        match self.row {
            Some(row) => {
                let ((rows, row_tail), (outs, out_tail)) =
                    (row.as_chunks(), self.out.as_chunks_mut());
                for (out, x) in outs.iter_mut().zip(rows) {
                    simd.prefetch_write(out.as_ptr().wrapping_add(self.ahead));
                    let mut log: [R; LANES] = *x;
                    for i in 0..LANES {
                        log[i] = plan.of(x[i]);
                    }
                    *out = log;
                }
                for (out, &x) in out_tail.iter_mut().zip(row_tail) {
                    *out = plan.of(x);
                }
            }
            None => {
                for x in self.out {
                    *x = plan.of(*x);
                }
            }
        }
    }
}

/// Log-softmax of a row into `out`, which holds the row itself where `row` is `None`.
#[inline(always)]
pub(crate) fn log_softmax<S: Simd, R: Real>(
    simd: S,
    row: Option<&[R]>,
    out: &mut [R],
    tempering: &Tempering<R>,
    space: &mut Space<R>,
    ahead: usize,
) {
    let peak = find_peak(simd, row.unwrap_or(out));
    match (peak, tempering) {
        (Peak::None { .. }, _) => out.fill(R::NAN),
        (Peak::Finite(max), Tempering::Finite(base)) => {
            let plan = Plan::new(max, base);
            let rest = rest(simd, row.unwrap_or(out), &plan, space, ahead);
            let plan = LogPlan::new(max, base, &plan, rest);
            simd.call(MapLog { row, out, plan: &plan, ahead });
        }
        _ => {
            if let Some(row) = row {
                out.copy_from_slice(row);
            }
            let shared = share(out, matches!(tempering, Tempering::Uniform));
            let log = R::of_f64(0.0 - crate::exp::ln_sum(shared.count, Double::ZERO).hi);
            out.iter_mut().for_each(|x| *x = if shared.has(*x) { log } else { R::NEG_INFINITY });
        }
    }
}

/// A log Z this far below L has lost digits that f64 has not to spare.
const CANCELLED: f64 = power_of_two(-20);

/// Whether f64 has the digits for a log Z: where the two cancel, m/τ is as large as L.
#[inline(always)]
pub(super) fn has_digits<R: Real>(log_z: f64, log_normaliser: f64) -> bool {
    R::IN_DOUBLE || log_z.abs() >= log_normaliser * CANCELLED
}

/// log Z = ln Σ exp(x_i/τ) of a row.
#[inline(always)]
pub(crate) fn log_sum_exp<S: Simd, R: Real>(
    simd: S,
    row: &[R],
    tempering: &Tempering<R>,
    space: &mut Space<R>,
    ahead: usize,
) -> f64 {
    match (find_peak(simd, row), tempering) {
        (Peak::None { nan: true }, _) => f64::NAN,
        (Peak::None { nan: false }, _) => f64::NEG_INFINITY,
        (Peak::Infinite, Tempering::ArgMax | Tempering::Finite(_)) => f64::INFINITY,
        (Peak::Finite(max), Tempering::Finite(base)) => {
            let plan = Plan::new(max, base);
            log_z(max, base, &plan, rest(simd, row, &plan, space, ahead))
        }
        (Peak::Finite(max), Tempering::ArgMax) if max != R::ZERO => max.to_f64() * f64::INFINITY,
        (_, tempering) => {
            let count = share(row, matches!(tempering, Tempering::Uniform)).count;
            crate::exp::ln_sum(count, Double::ZERO).hi
        }
    }
}

/// The same from the count of maxima and the sum of the rest.
#[inline(always)]
pub(super) fn log_z<R: Real>(
    max: R,
    base: &Base2<R>,
    plan: &Plan<R>,
    (maxima, rest): (f64, Double),
) -> f64 {
    let max = max.to_f64();
    if !R::IN_DOUBLE {
        let log_normaliser = plan.log_normaliser_in_f64(maxima, rest.hi);
        let log_z = log_partition(max, base, Double::from(log_normaliser));
        if has_digits::<R>(log_z, log_normaliser) {
            return log_z;
        }
    }
    log_partition(max, base, plan.log_normaliser(maxima, rest))
}

/// m/τ + L.
#[inline(always)]
pub(crate) fn log_partition<R: Real>(max: f64, base: &Base2<R>, log_normaliser: Double) -> f64 {
    if max == 0.0 {
        return log_normaliser.hi;
    }
    let (mantissa, exponent) = frexp(max);
    let tempered =
        base.inverse.times(Double::from(mantissa)).ldexp(exponent + base.inverse_exponent);
    if tempered.hi.is_finite() { tempered.plus(log_normaliser).hi } else { tempered.hi }
}
