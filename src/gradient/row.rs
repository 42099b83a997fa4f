//! The gradient of one row.
//!
//! p is kept as weights w and their sum S, so that it is not rounded. The sweeps of a row, each a kernel:
//!
//! ```text
//! m = max x, at k  ·  w into the output  ·  sums over w, g and y = x − m, k left out  ·  w to dx, in place
//! ```
//!
//! Departures, and why:
//!
//! 1. The maximum is left out of the sums and added afterwards. In a confident row, where p_k > 1/2, its dx is then
//!    made of what the others leave over: softmax takes E[g] − g_k = Σ' w·(g − g_k) / S, log_softmax
//!    g_k·(1 − p_k) − p_k·Σ'g with 1 − p_k = Σ' w / S. Nothing cancels.
//! 2. E[g] is c + Σ w·(g − c) / S with c = g_k. An error in a weight then counts with g − E[g] and not with g, since S is
//!    the sum of the same weights, and cotangents that are all the same give exactly 0. In f64, where products
//!    round no better than weights do, g_k may be far from the others; unless p_k > 1/2 it takes another sweep,
//!    with c near E[g].
//! 3. x is taken relative to the row's maximum, so that an offset of 1e8 costs nothing, and divided by a power of
//!    two where products of y would leave the range of f64. Exponents of s are applied last, by themselves: 1/τ² at
//!    τ = 1e-300 times 0 is 0.
//! 4. Products and sums are f64 for every type, in 8 virtual lanes, block by block with a correction.

use super::Function;
use super::sums::{
    Distance, Entries, LANES, OfCotangents, OfDifferences, OfProducts, OfWeights, Sums, counting,
    depth, filled, sum_others,
};
use crate::double::{frexp, ldexp, power_of_two};
use crate::element::Real;
use crate::exp::{Shift, weight};
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{BLOCK, Plan, Tempering};
use crate::softmax::row::{Peak, find_peak};
use crate::temperature::Temperature;

/// The derivative with respect to the scale: `mantissa · 2^exponent`.
pub(super) struct Slope {
    mantissa: f64,
    exponent: i32,
}

impl Slope {
    const ZERO: Slope = Slope { mantissa: 0.0, exponent: 0 };
    const NAN: Slope = Slope { mantissa: f64::NAN, exponent: 0 };

    pub(super) fn scale(&self) -> f64 {
        ldexp(self.mantissa, self.exponent)
    }

    /// −s²·ds.
    pub(super) fn tau(&self, tau: Temperature) -> f64 {
        if self.mantissa.is_nan() {
            return f64::NAN;
        }
        // The product itself could leave the range before s² brings it back; 0 · ∞ must be 0.
        if tau.is_zero() || tau.is_infinite() || self.mantissa == 0.0 {
            return 0.0;
        }
        if self.mantissa.is_infinite() {
            return -self.mantissa;
        }
        let (inverse, inverse_exponent) = tau.inverse();
        let (mantissa, exponent) = frexp(self.mantissa);
        let product = -mantissa * inverse.hi * inverse.hi;
        ldexp(product, exponent + self.exponent + 2 * inverse_exponent)
    }
}

/// Weights are kept as 2^BIAS times themselves: with all of its bits any probability that is not rounded to 0.
const BIAS: i32 = 64;
/// A weight below 2^-DEPTH of the largest counts for nothing (in f32, already one below 2^-187).
const DEPTH: f64 = 1080.0;

/// The shift of a row for weights of this bias and depth.
fn shallow<R: Real>(shift: &Shift<R>) -> Shift<R> {
    let n = R::ROUND + f64::from(R::BIAS) - shift.round.to_f64();
    let floor = R::of_f64((n - DEPTH) / shift.factor.to_f64());
    Shift {
        round: R::of_f64(R::ROUND + f64::from(BIAS) - n),
        floor: if floor > shift.floor { floor } else { shift.floor },
        ..*shift
    }
}

/// Where the first entry of this value is.
struct Find<'a, R> {
    row: &'a [R],
    value: R,
}

impl<R: Real> Kernel for Find<'_, R> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        const WIDE: usize = 64;
        let (chunks, _) = self.row.as_chunks::<WIDE>();
        let mut start = 0;
        for chunk in chunks {
            let mut hits = [R::ZERO; WIDE];
            for i in 0..WIDE {
                hits[i] = if chunk[i] == self.value { R::ONE } else { R::ZERO };
            }
            let mut width = WIDE;
            while width > 1 {
                width /= 2;
                for i in 0..width {
                    hits[i] = hits[i] + hits[i + width];
                }
            }
            if hits[0] > R::ZERO {
                break;
            }
            start += WIDE;
        }
        let rest = self.row[start..].iter();
        start + rest.take_while(|&&x| x != self.value).count()
    }
}

/// Writes the weights of a staged block; exactly 0 where there is none.
struct Weigh<'a, R> {
    block: &'a [R],
    out: &'a mut [R],
    shift: &'a Shift<R>,
}

impl<R: Real> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let shift = *self.shift;
        for (&x, out) in self.block.iter().zip(self.out) {
            let w = weight(x, &shift);
            *out = counting(x > shift.floor, w);
        }
    }
}

/// s·p as w · `factor` · `power`, where w·factor has all its bits wherever p is not 0.
///
/// w·factor is p · inverse · 2^`exponent`.
#[derive(Clone, Copy)]
struct Share {
    factor: f64,
    power: f64,
    exponent: i32,
}

impl Share {
    fn new(inverse: f64, inverse_exponent: i32, sum: f64) -> Self {
        let exponent = inverse_exponent - BIAS;
        // A large s comes first: p·(g − G) may be subnormal where s times it is not. A small one comes last.
        let first = if exponent > 0 { exponent.min(950) } else { (exponent + 1022).clamp(-500, 0) };
        let last = (exponent - first).clamp(-1022, 1022);
        Share {
            factor: inverse / (sum * power_of_two(-BIAS)) * power_of_two(first),
            power: power_of_two(last),
            exponent: BIAS + first,
        }
    }
}

/// The last sweep of softmax: w to s·w/S·((g − center) − shift); adds up w·(…)·(y − E[y]), times the factor.
struct ToSoftmax<'a, R> {
    x: &'a [R],
    g: &'a [R],
    out: &'a mut [R],
    plan: &'a SoftmaxPlan<R>,
    sums: &'a mut Sums<1>,
}

#[derive(Clone, Copy)]
struct SoftmaxPlan<R> {
    share: Share,
    center: f64,
    shift: f64,
    distance: Distance<R>,
    mean: f64,
}

impl<R: Real> SoftmaxPlan<R> {
    #[inline(always)]
    fn apply(&self, x: &[R; LANES], g: &[R; LANES], out: &mut [R; LANES], sum: &mut [f64; LANES]) {
        let mut products = [0.0; LANES];
        for i in 0..LANES {
            let g = counting(out[i] > R::ZERO, g[i]).to_f64();
            let difference = (g - self.center) - self.shift;
            let share = out[i].to_f64() * self.share.factor;
            let y = self.distance.of(x[i]) - self.mean;
            products[i] = share * difference;
            // The share of a large s times the difference may overflow in f64; the share times y does not.
            sum[i] += if R::IN_DOUBLE { (share * y) * difference } else { products[i] * y };
        }
        for i in 0..LANES {
            out[i] = R::of_f64(products[i] * self.share.power) + R::ZERO; // no −0
        }
    }
}

impl<R: Real> Kernel for ToSoftmax<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let ToSoftmax { x, g, out, plan, sums } = self;
        let plan = *plan;
        let (x, x_tail) = x.as_chunks::<LANES>();
        let (g, g_tail) = g.as_chunks::<LANES>();
        let (out, out_tail) = out.as_chunks_mut::<LANES>();
        let depth = depth::<R>();
        let mut sum = [0.0; LANES];
        for ((x, g), out) in x.chunks(depth).zip(g.chunks(depth)).zip(out.chunks_mut(depth)) {
            let mut group = [0.0; LANES];
            for ((x, g), out) in x.iter().zip(g).zip(out) {
                plan.apply(x, g, out, &mut group);
            }
            if R::IN_DOUBLE {
                sums.add(&[group]);
            } else {
                sum = group;
            }
        }
        if !x_tail.is_empty() {
            let mut last = filled(out_tail, R::ZERO);
            let x = filled(x_tail, R::NEG_INFINITY);
            plan.apply(&x, &filled(g_tail, R::ZERO), &mut last, &mut sum);
            out_tail.copy_from_slice(&last[..x_tail.len()]);
        }
        sums.add(&[sum]);
    }
}

/// The last sweep of log_softmax: w to s·(g − w·(Σg)/S).
struct ToLogSoftmax<'a, R> {
    x: &'a [R],
    g: &'a [R],
    out: &'a mut [R],
    /// 2^BIAS/S, and Σg·2^-BIAS.
    factor: f64,
    total: f64,
    scale: [f64; 2],
}

impl<R: Real> Kernel for ToLogSoftmax<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let ToLogSoftmax { x, g, out, factor, total, scale } = self;
        for ((&x, &g), out) in x.iter().zip(g).zip(out) {
            let others = (out.to_f64() * factor) * total;
            let d = R::of_f64((g.to_f64() - others) * scale[0] * scale[1]);
            *out = counting(x > R::NEG_INFINITY, d);
        }
    }
}

/// The last sweep of log_sum_exp: w to s·w/S·g.
struct ToLogSumExp<'a, R> {
    out: &'a mut [R],
    share: Share,
    g: f64,
}

impl<R: Real> Kernel for ToLogSumExp<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let ToLogSumExp { out, share, g } = self;
        for w in out {
            let d = R::of_f64((w.to_f64() * share.factor) * g * share.power);
            *w = counting(*w > R::ZERO, d);
        }
    }
}

/// One row: writes dx to `out` and returns ds.
#[inline(always)]
pub(super) fn vjp<S: Simd, R: Real>(
    simd: S,
    function: Function,
    row: &[R],
    g: &[R],
    tempering: &Tempering<R>,
    out: &mut [R],
    space: &mut Vec<R>,
) -> Slope {
    let max = match (find_peak(simd, row), tempering) {
        (Peak::None { .. }, _) => {
            out.fill(R::NAN);
            return Slope::NAN;
        }
        (Peak::Infinite, _) | (_, Tempering::ArgMax) => {
            out.fill(R::ZERO);
            return Slope::ZERO;
        }
        (Peak::Finite(max), _) => max,
    };
    let finite = match tempering {
        Tempering::Finite(base) => Some(base),
        _ => None,
    };
    // The weights, into the output.
    if let Some(base) = finite {
        let plan = Plan::new(max, base);
        let shift = shallow(&plan.shift);
        for (block, out) in row.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
            simd.call(Weigh { block: plan.staged(block, space), out, shift: &shift });
        }
    } else {
        for (out, &x) in out.iter_mut().zip(row) {
            *out = if x == R::NEG_INFINITY { R::ZERO } else { R::ONE };
        }
    }
    let (inverse, inverse_exponent) = match finite {
        Some(base) => (base.inverse.hi, base.inverse_exponent),
        None => (0.0, -1100), // entries of any size count
    };
    let distance = Distance::near(max, inverse_exponent);
    let top = simd.call(Find { row, value: max });
    let w_top = out[top].to_f64();
    let share = |sum: f64| match finite {
        Some(_) => Share::new(inverse, inverse_exponent, sum),
        None => Share { factor: 1.0 / sum, power: 0.0, exponent: 0 }, // dx is 0, but not ds
    };

    let slope = match function {
        Function::Softmax => {
            let entries = Entries { x: row, w: out, g };
            let mut center = g[top].to_f64();
            let terms = OfProducts { distance, center };
            let [others, y, differences] = sum_others(simd, entries, top, terms);
            let sum = others + w_top;
            let mut shift = differences / sum;
            if R::IN_DOUBLE && w_top <= 0.5 * sum {
                let from = center + shift;
                let [differences] = sum_others(simd, entries, top, OfDifferences(from));
                shift = (differences + w_top * (center - from)) / sum;
                center = from;
            }
            let share = share(sum);
            let far = Distance::far(max, inverse_exponent);
            let mean = ldexp(y / sum, far.exponent - distance.exponent);
            let plan = SoftmaxPlan { share, center, shift, distance: far, mean };
            let mut sums = Sums::ZERO;
            for ((x, g), out) in row.chunks(BLOCK).zip(g.chunks(BLOCK)).zip(out.chunks_mut(BLOCK)) {
                simd.call(ToSoftmax { x, g, out, plan: &plan, sums: &mut sums });
            }
            let [covariance] = sums.totals();
            let covariance = if finite.is_some() { covariance / inverse } else { covariance };
            Slope { mantissa: covariance, exponent: -far.exponent - share.exponent }
        }
        Function::LogSoftmax => {
            let entries = Entries { x: row, w: out, g };
            let [others, y] = sum_others(simd, entries, top, OfWeights(distance));
            let far = Distance::far(max, inverse_exponent);
            let [g_others, products] = sum_others(simd, entries, top, OfCotangents(far));
            let (sum, g_top) = (others + w_top, g[top].to_f64());
            let total = g_others + g_top;
            let exponent = inverse_exponent.clamp(-2000, 2000);
            let half = exponent / 2;
            let scale = [inverse * power_of_two(half), power_of_two(exponent - half)];
            simd.call(ToLogSoftmax {
                x: row,
                g,
                out,
                factor: 1.0 / (sum * power_of_two(-BIAS)),
                total: total * power_of_two(-BIAS),
                scale,
            });
            if w_top > 0.5 * sum {
                let difference = g_top * (others / sum) - (w_top / sum) * g_others;
                out[top] = R::of_f64(difference * scale[0] * scale[1]);
            }
            let means = total * (y / sum);
            // Σ g·y − Σg·E[y], the two in units of their own.
            let lift = distance.exponent - far.exponent;
            let lifted = ldexp(products, lift);
            if lifted.is_finite() {
                Slope { mantissa: lifted - means, exponent: -distance.exponent }
            } else {
                Slope { mantissa: products - ldexp(means, -lift), exponent: -far.exponent }
            }
        }
        Function::LogSumExp => {
            let entries = Entries { x: row, w: out, g: out };
            let [others, y] = sum_others(simd, entries, top, OfWeights(distance));
            let (sum, g) = (others + w_top, g[0].to_f64());
            simd.call(ToLogSumExp { out, share: share(sum), g });
            Slope { mantissa: g * (distance.origin + y / sum), exponent: -distance.exponent }
        }
    };
    if finite.is_none() {
        out.fill(R::ZERO);
    }
    slope
}
