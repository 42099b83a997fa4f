//! What the sums over a row are made of: units, sums with their corrections, and the two sweeps of a block.

use crate::double::{Double, frexp, ldexp, power_of_two, two_sum};
use crate::exp::weight;
use crate::simd::{Kernel, Simd};
use crate::softmax::plan::{Base2, Plan};
use crate::softmax::row::{LANES, sum_of_lanes};

/// The exponent of the largest finite entry, up to the sign, among those from `from` on; one whose power of
/// two has an inverse.
#[inline(always)]
fn exponent_of_largest<S: Simd>(simd: S, row: &[f64], from: f64) -> i32 {
    let largest = simd.call(Largest { row, from });
    if largest > 0.0 { frexp(largest).1.clamp(-1000, 1022) } else { 0 }
}

struct Largest<'a> {
    row: &'a [f64],
    from: f64,
}

impl Kernel for Largest<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Largest { row, from } = self;
        let (blocks, last) = chunks(row, 0.0);
        let mut largest = [0.0; LANES];
        for block in blocks.iter().chain(std::iter::once(&last)) {
            simd.one_by_one();
            let mut larger = largest;
            for i in 0..LANES {
                let (x, size) = (block[i], block[i].abs());
                let size = if (x >= from) & (size < f64::INFINITY) { size } else { 0.0 };
                larger[i] = if size > largest[i] { size } else { largest[i] };
            }
            largest = larger;
        }
        largest.into_iter().fold(0.0, |a, b| if b > a { b } else { a })
    }
}

/// The units of the distances from the maximum: 2^exponent, near τ or near the largest logit that has a weight,
/// whichever is smaller. Distances are below 2^12 of the one and 2 of the other: in these
/// units no cube overflows, and none is lost where the result is a normal number.
pub(super) struct Units {
    pub(super) exponent: i32,
    pub(super) max: f64,
    pub(super) scale: f64,
    /// Factor on the row itself, where it is not the staged row that is measured.
    pub(super) unstaged: Option<f64>,
}

impl Units {
    #[inline(always)]
    pub(super) fn new<S: Simd>(
        simd: S,
        row: &[f64],
        max: f64,
        plan: &Plan<f64>,
        base: &Base2<f64>,
    ) -> Units {
        let of_tau = -base.inverse_exponent;
        if of_tau <= 150 {
            let scale = if base.exponent() == 0 { power_of_two(-of_tau) } else { 1.0 };
            return Units { exponent: of_tau, max: plan.max, scale, unstaged: None };
        }
        // e^-1100 is no weight.
        let from = max - ldexp(1100.0 / base.inverse.hi, of_tau);
        let exponent = of_tau.min(exponent_of_largest(simd, row, from));
        Units::of(exponent, max)
    }

    /// Those of the largest logit.
    #[inline(always)]
    pub(super) fn of_largest<S: Simd>(simd: S, row: &[f64], max: f64) -> Units {
        Units::of(exponent_of_largest(simd, row, f64::NEG_INFINITY), max)
    }

    #[inline(always)]
    fn of(exponent: i32, max: f64) -> Units {
        let factor = power_of_two(-exponent);
        Units { exponent, max: max * factor, scale: 1.0, unstaged: Some(factor) }
    }

    /// The value that lies this far from the maximum.
    #[inline(always)]
    pub(super) fn value_at(&self, max: f64, distance: f64) -> f64 {
        match self.unstaged {
            None => max + ldexp(distance, self.exponent),
            // Put together in these units: the distance alone may be beyond f64.
            Some(_) => ldexp(self.max + distance, self.exponent),
        }
    }

    /// What distances are taken of: the staged block, or the block itself in these units.
    #[inline(always)]
    pub(super) fn values<'a>(
        &self,
        block: &[f64],
        staged: &'a [f64],
        scaled: &'a mut Vec<f64>,
    ) -> &'a [f64] {
        match self.unstaged {
            None => staged,
            Some(factor) => {
                scaled.clear();
                scaled.extend(block.iter().map(|x| x * factor));
                scaled
            }
        }
    }
}

/// A sum over the virtual lanes with its correction.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    high: [f64; LANES],
    low: [f64; LANES],
}

impl Sum {
    pub(super) const ZERO: Sum = Sum { high: [0.0; LANES], low: [0.0; LANES] };

    #[inline(always)]
    fn plus(self, terms: [f64; LANES]) -> Sum {
        let Sum { mut high, mut low } = self;
        for i in 0..LANES {
            let (sum, lost) = two_sum(self.high[i], terms[i]);
            high[i] = sum;
            low[i] = self.low[i] + lost;
        }
        Sum { high, low }
    }

    #[inline(always)]
    pub(super) fn sum(&self) -> Double {
        // Halved each time: sixteen sums, one after the other, would wait for each other for longer than all the rest of a
        // short row takes.
        let Sum { mut high, mut low } = *self;
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                let other = Double { hi: high[i + width], lo: low[i + width] };
                let sum = Double { hi: high[i], lo: low[i] }.plus(other);
                (high[i], low[i]) = (sum.hi, sum.lo);
            }
        }
        Double { hi: high[0], lo: low[0] }
    }
}

/// The chunks of a block, the last one filled up.
#[inline(always)]
fn chunks(block: &[f64], fill: f64) -> (&[[f64; LANES]], [f64; LANES]) {
    let (chunks, tail) = block.as_chunks::<LANES>();
    let mut last = [fill; LANES];
    last[..tail.len()].copy_from_slice(tail);
    (chunks, last)
}

/// The weights of a block. Here and below, each sweep is for one thing: where a comparison serves two, or sums are many, the
/// compiler takes vectors apart.
pub(super) struct Weigh<'a> {
    pub(super) block: &'a [f64],
    pub(super) weights: &'a mut [f64],
    pub(super) plan: &'a Plan<f64>,
}

impl Kernel for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Weigh { block, weights, plan } = self;
        let shift = plan.shift;
        let (blocks, last) = chunks(block, f64::NEG_INFINITY);
        // The filled-up chunk has a place in the weights only if it holds anything.
        let outs = weights.as_chunks_mut().0;
        for (block, out) in blocks.iter().chain(std::iter::once(&last)).zip(outs) {
            simd.one_by_one();
            let mut weights = [0.0; LANES];
            for i in 0..LANES {
                let w = weight(block[i], &shift);
                weights[i] = if block[i] > shift.floor { w } else { 0.0 };
            }
            *out = weights;
        }
    }
}

/// Weights of 1 for the entries of a block from `from` on, but for −∞, and of 0 for all others; how many weigh.
pub(super) struct Share<'a> {
    pub(super) block: &'a [f64],
    pub(super) from: f64,
    pub(super) weights: &'a mut [f64],
}

impl Kernel for Share<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Share { block, from, weights } = self;
        let (blocks, last) = chunks(block, f64::NEG_INFINITY);
        let outs = weights.as_chunks_mut().0;
        let mut count = [0.0; LANES];
        for (block, out) in blocks.iter().chain(std::iter::once(&last)).zip(outs) {
            simd.one_by_one();
            let mut shares = [0.0; LANES];
            for i in 0..LANES {
                let has = (block[i] >= from) & (block[i] > f64::NEG_INFINITY);
                shares[i] = if has { 1.0 } else { 0.0 };
            }
            let mut counted = count;
            for i in 0..LANES {
                counted[i] = count[i] + shares[i];
            }
            (*out, count) = (shares, counted);
        }
        sum_of_lanes(count)
    }
}

/// How many entries of a block are the maximum.
pub(super) struct Count<'a> {
    pub(super) block: &'a [f64],
    pub(super) max: f64,
}

impl Kernel for Count<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Count { block, max } = self;
        let (blocks, last) = chunks(block, f64::NEG_INFINITY);
        let mut count = [0.0; LANES];
        for block in blocks.iter().chain(std::iter::once(&last)) {
            simd.one_by_one();
            let mut counted = count;
            for i in 0..LANES {
                counted[i] = count[i] + if block[i] < max { 0.0 } else { 1.0 };
            }
            count = counted;
        }
        sum_of_lanes(count)
    }
}

/// The sum of the weights of a block but for those of the maximum.
pub(super) struct AddUpRest<'a> {
    pub(super) block: &'a [f64],
    pub(super) weights: &'a [f64],
    pub(super) max: f64,
}

impl Kernel for AddUpRest<'_> {
    type Output = Sum;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Sum {
        let AddUpRest { block, weights, max } = self;
        let (blocks, last) = chunks(block, f64::NEG_INFINITY);
        let weights = weights.as_chunks::<LANES>().0;
        let mut rest = Sum::ZERO;
        for (block, weights) in blocks.iter().chain(std::iter::once(&last)).zip(weights) {
            simd.one_by_one();
            let mut others = [0.0; LANES];
            for i in 0..LANES {
                // Read in any case, or there is a branch for each.
                let (x, w) = (block[i], weights[i]);
                others[i] = if x < max { w } else { 0.0 };
            }
            rest = rest.plus(others);
        }
        rest
    }
}

/// The sums of the weights of a block by distance from the maximum, and by index in the block.
pub(super) struct AddUpBy<'a> {
    pub(super) values: &'a [f64],
    pub(super) weights: &'a [f64],
    pub(super) units: &'a Units,
}

impl Kernel for AddUpBy<'_> {
    type Output = [Sum; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [Sum; 2] {
        let AddUpBy { values, weights, units } = self;
        let Units { max: origin, scale, .. } = *units;
        let (values, last) = chunks(values, origin);
        let (weights, _) = weights.as_chunks::<LANES>();
        let mut index = [0.0; LANES];
        for (i, index) in index.iter_mut().enumerate() {
            *index = i as f64;
        }
        let [mut distances, mut indices] = [Sum::ZERO; 2];
        for (values, weights) in values.iter().chain(std::iter::once(&last)).zip(weights) {
            simd.one_by_one();
            let (mut by_distance, mut by_index) = ([0.0; LANES], [0.0; LANES]);
            let mut next = index;
            for i in 0..LANES {
                // Where there is no weight the distance may be infinite.
                let distance = (values[i] - origin) * scale;
                by_distance[i] = weights[i] * if weights[i] > 0.0 { distance } else { 0.0 };
                by_index[i] = weights[i] * index[i];
                next[i] = index[i] + LANES as f64;
            }
            index = next;
            (distances, indices) = (distances.plus(by_distance), indices.plus(by_index));
        }
        [distances, indices]
    }
}

/// Second and third moments of a block about its mean.
pub(super) struct Centre<'a> {
    pub(super) values: &'a [f64],
    pub(super) weights: &'a [f64],
    pub(super) units: &'a Units,
    pub(super) mean: f64,
}

impl Kernel for Centre<'_> {
    type Output = [Sum; 2];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [Sum; 2] {
        let Centre { values, weights, units, mean } = self;
        let Units { max: origin, scale, .. } = *units;
        let (values, last) = chunks(values, origin);
        let (weights, _) = weights.as_chunks::<LANES>();
        let [mut second, mut third] = [Sum::ZERO; 2];
        for (values, weights) in values.iter().chain(std::iter::once(&last)).zip(weights) {
            let (mut squares, mut cubes) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..LANES {
                let distance = (values[i] - origin) * scale;
                let centred = if weights[i] > 0.0 { distance } else { 0.0 } - mean;
                squares[i] = weights[i] * centred * centred;
                cubes[i] = squares[i] * centred;
            }
            second = second.plus(squares);
            third = third.plus(cubes);
        }
        [second, third]
    }
}
