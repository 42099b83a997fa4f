//! A temperature and a row's maximum, made into what the kernels take: factor, shift, floor.
//!
//! ```text
//! c = log2(e)/τ = (c_hi + c_lo) · 2^q          q = 0 unless c would leave the range of the type
//! n = rint(m·c)                                the row's shift; 0 where |m·c| ≥ 2^16
//! stage: x → (x − m)·2^q or x·2^q              only in the cases of `row.rs`, departures 1 and 2
//! ```

use crate::double::{Double, ldexp, power_of_two};
use crate::element::Real;
use crate::exp::{Shift, exp2_reduced, ln_sum, ln_sum_in_f64};
use crate::temperature::{Temperature, Temperatures};

/// How many numbers are staged at a time: 4 or 8 KiB, a small part of the first-level cache.
pub(crate) const BLOCK: usize = 1024;
/// A temperature in the form the kernels of a type take it; made once per call.
#[derive(Clone, Copy)]
pub(crate) enum Tempering<R> {
    /// τ = 0.
    ArgMax,
    /// τ = ∞.
    Uniform,
    /// Anything between.
    Finite(Base2<R>),
}

/// log2(e)/τ = (c.hi + c.lo) · 2^`exponent`.
#[derive(Clone, Copy)]
pub(crate) struct Base2<R> {
    c: Double,
    exponent: i32,
    factor: R,
    factor_low: R,
    /// How far below the maximum an entry weighs nothing: a division for a temperature, and none for a row.
    pub(crate) depth: R,
    /// 1/τ = inverse · 2^`inverse_exponent`.
    pub(crate) inverse: Double,
    pub(crate) inverse_exponent: i32,
}

impl<R: Real> Tempering<R> {
    #[inline(always)]
    pub(crate) fn new(tau: Temperature) -> Self {
        if tau.is_zero() {
            return Tempering::ArgMax;
        }
        if tau.is_infinite() {
            return Tempering::Uniform;
        }
        let (inverse, inverse_exponent) = tau.inverse();
        let c = Double::LOG2_E.times(inverse);
        let (c, exponent) = if inverse_exponent.abs() <= R::REACH {
            let power = power_of_two(inverse_exponent);
            (Double { hi: c.hi * power, lo: c.lo * power }, 0)
        } else {
            (c, inverse_exponent)
        };
        let factor = R::of_f64(c.hi);
        let factor_low = R::of_f64((c.hi - factor.to_f64()) + c.lo);
        let depth = R::of_f64(R::DEPTH / c.hi);
        Tempering::Finite(Base2 {
            c,
            exponent,
            factor,
            factor_low,
            depth,
            inverse,
            inverse_exponent,
        })
    }
}

impl<R> Base2<R> {
    /// 1/τ, where q is 0.
    #[inline(always)]
    pub(crate) fn whole_inverse(&self) -> Double {
        if self.exponent == 0 { self.inverse.ldexp(self.inverse_exponent) } else { Double::ZERO }
    }

    /// The same, to the nearest f64.
    #[inline(always)]
    pub(crate) fn nearest_inverse(&self) -> f64 {
        self.whole_inverse().hi
    }

    /// q: rows are staged as x · 2^q at this temperature.
    pub(crate) fn exponent(&self) -> i32 {
        self.exponent
    }
}

impl<R: Copy> Base2<R> {
    /// log2(e)/τ · 2^-q as f64, and in two parts of the type.
    #[inline(always)]
    pub(crate) fn factors(&self) -> (f64, R, R) {
        (self.c.hi, self.factor, self.factor_low)
    }
}

/// The temperature of each row, made ready; once for all rows where it is one.
pub(crate) struct Temperings<'a, R> {
    taus: Temperatures<'a>,
    one: Option<Tempering<R>>,
}

impl<'a, R: Real> Temperings<'a, R> {
    #[inline(always)]
    pub(crate) fn new(taus: Temperatures<'a>) -> Self {
        let one = match taus {
            Temperatures::One(tau) => Some(Tempering::new(tau)),
            Temperatures::PerRow(_) => None,
        };
        Temperings { taus, one }
    }

    /// That of all rows, where it is one.
    pub(crate) fn one(&self) -> Option<&Tempering<R>> {
        self.one.as_ref()
    }

    #[inline(always)]
    pub(crate) fn of_row(&self, row: usize) -> Tempering<R> {
        self.one.unwrap_or_else(|| Tempering::new(self.taus.of_row(row)))
    }
}

/// 1.5 · 2^52: what is added to it rounds to an integer, ties to even.
pub(crate) const ROUND: f64 = 6755399441055744.0;

/// A kernel's `round`, of a shift that was added to [`ROUND`]: no step rounds.
#[inline(always)]
pub(crate) fn round<R: Real>(rounded: f64) -> R {
    R::of_f64(R::ROUND + f64::from(R::BIAS) + ROUND - rounded)
}

/// How a row of finite maximum is computed at a temperature.
#[derive(Clone, Copy)]
pub(crate) struct Plan<R> {
    pub(crate) shift: Shift<R>,
    /// The largest entry, as staged.
    pub(crate) max: R,
    /// The exponent of its weight, m·c − n.
    max_exponent: f64,
    stage: Option<Stage<R>>,
}

/// x → (x − origin) · 2^a · 2^b, a row's way into the range of the kernel.
#[derive(Clone, Copy)]
struct Stage<R> {
    origin: R,
    scale: [f64; 2],
}

impl<R: Real> Stage<R> {
    #[inline(always)]
    fn of(&self, x: R) -> R {
        R::of_f64((x - self.origin).to_f64() * self.scale[0] * self.scale[1])
    }
}

impl<R: Real> Plan<R> {
    #[inline(always)]
    pub(crate) fn new(max: R, base: &Base2<R>) -> Self {
        // Scaled before it is multiplied: the largest f64 times c overflows.
        let scaled = match base.exponent {
            0 => max.to_f64(),
            exponent => ldexp(max.to_f64(), exponent),
        };
        let product = scaled * base.c.hi;
        let near = product.abs() < 65536.0;
        let rounded = if near { product + ROUND } else { ROUND };
        let n = rounded - ROUND;
        let stage = if near && base.exponent == 0 {
            None
        } else {
            let half = base.exponent / 2;
            let scale = [power_of_two(half), power_of_two(base.exponent - half)];
            Some(Stage { origin: if near { R::ZERO } else { max }, scale })
        };
        let max = stage.map_or(max, |stage| stage.of(max));
        let r = max.to_f64().mul_add(base.c.hi, -n);
        let r = max.to_f64().mul_add(base.c.lo, r);
        Plan {
            shift: Shift {
                factor: base.factor,
                factor_low: base.factor_low,
                round: round::<R>(rounded),
                floor: max - base.depth,
            },
            max,
            max_exponent: r,
            stage,
        }
    }

    /// Whether the kernel is given other numbers than the row's.
    #[inline(always)]
    pub(crate) fn is_staged(&self) -> bool {
        self.stage.is_some()
    }

    /// A block as the kernel wants it: itself, or staged in `space`.
    #[inline(always)]
    pub(crate) fn staged<'a>(&self, block: &'a [R], space: &'a mut Vec<R>) -> &'a [R] {
        if self.stage.is_none() { block } else { self.copied(block, space) }
    }

    /// The same, but always in `space`: for a row that is about to be overwritten.
    #[inline(always)]
    pub(crate) fn copied<'a>(&self, block: &[R], space: &'a mut Vec<R>) -> &'a [R] {
        space.resize(BLOCK, R::ZERO);
        let space = &mut space[..block.len()];
        match &self.stage {
            None => space.copy_from_slice(block),
            Some(stage) => {
                for (to, &from) in space.iter_mut().zip(block) {
                    *to = stage.of(from);
                }
            }
        }
        space
    }

    /// The largest weight, 2^(m·c − n), without the bias.
    #[inline(always)]
    pub(crate) fn max_weight(&self) -> f64 {
        exp2_reduced(self.max_exponent)
    }

    /// ln of the normaliser Σ exp((x_i − m)/τ), from the count of maxima and the sum of the rest.
    #[inline(always)]
    pub(crate) fn log_normaliser(&self, maxima: f64, rest: Double) -> Double {
        // The bias goes last: the quotient of a small rest is not subnormal before.
        let ratio = rest.over(Double::from(self.max_weight()));
        let bias = power_of_two(-R::BIAS);
        ln_sum(maxima, Double { hi: ratio.hi * bias, lo: ratio.lo * bias })
    }

    /// The same within a few units of f64, of which no f32 sees anything.
    #[inline(always)]
    pub(crate) fn log_normaliser_in_f64(&self, maxima: f64, rest: f64) -> f64 {
        ln_sum_in_f64(maxima, rest / self.max_weight() * power_of_two(-R::BIAS))
    }
}
