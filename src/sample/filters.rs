//! Which tokens are kept.
//!
//! ```text
//! top-k, top-p, min-p and top-nσ keep a beginning of the order (logit falling, id rising): a cut in it
//! few enough, or typical:           a list of candidates, and the rest of the filters on the list
//! else:                             the cut, and the filters that follow on the row
//! ```
//!
//! No filter sorts a row. Top-k takes the k-th largest of the blocks' maxima as a bound that at least k logits reach, and
//! looks only into blocks that reach it; min-p and top-nσ are comparisons; top-p guesses from a sample where it
//! will end (`nucleus.rs`), sums what is above, and looks one by one only at what lies between the guess and the end.

use std::cmp::Ordering;

use crate::element::Real;
use crate::sample::nucleus::{self, Guide};
use crate::sample::params::{Order, SamplingParams};
use crate::sample::search::smallest;
use crate::sample::weights::{BLOCK, Cut, Peaks, Scale, Split, Weigh};
use crate::simd::{Kernel, Simd};
use crate::softmax::row::LANES;
use crate::temperature::Temperature;

/// Up to so many tokens are listed; above, a sweep over the row costs less than their order.
const LISTED: usize = 4096;

/// A token that may be drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<R> {
    pub(super) x: R,
    pub(super) id: u32,
    /// Its weight, and at the end the sum of all weights up to it.
    pub(super) weight: u64,
}

/// Larger logits first, then smaller ids.
pub(super) fn by_rank<R: Real>(a: &Candidate<R>, b: &Candidate<R>) -> Ordering {
    b.x.partial_cmp(&a.x).expect("no NaN is a candidate").then(a.id.cmp(&b.id))
}

/// What a sampler works in; nothing is given back between draws.
#[derive(Debug)]
pub(super) struct Work<R> {
    pub(super) maxima: Vec<R>,
    /// The sum of the weights up to the end of each block.
    pub(super) sums: Vec<u64>,
    pub(super) list: Vec<Candidate<R>>,
    bounds: Vec<R>,
    guide: Guide,
    /// What the sums are of, where they are already there: a cut, and the factor of the weights.
    summed: Option<(Cut<R>, f64)>,
}

/// What the filters left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept<R> {
    /// What comes before a cut.
    Row(Cut<R>),
    /// The candidates in the list.
    List,
}

impl<R: Real> Work<R> {
    pub(super) fn new() -> Self {
        Work {
            maxima: Vec::new(),
            sums: Vec::new(),
            list: Vec::new(),
            bounds: Vec::new(),
            guide: Guide::default(),
            summed: None,
        }
    }

    /// The largest logit; `Err` with whether there is a NaN, or else nothing but −∞.
    pub(super) fn peaks(&mut self, row: &[R]) -> Result<R, bool> {
        let blocks = row.len().div_ceil(BLOCK);
        self.maxima.resize(blocks, R::ZERO);
        if R::run(Peaks { row, maxima: &mut self.maxima }) {
            return Err(true);
        }
        let max = self.maxima.iter().fold(R::NEG_INFINITY, |m, &x| if x > m { x } else { m });
        if max == R::NEG_INFINITY { Err(false) } else { Ok(max) }
    }

    /// Filters a row whose maxima are known and readies it for draws: the sums of the row, or those of the list. Gives the
    /// scale of the weights as well: of a list, the largest of the list has the full weight, since typical may have left the
    /// largest of the row out.
    pub(super) fn settle(
        &mut self,
        row: &[R],
        params: &SamplingParams,
        scale: Scale<R>,
        staged: i32,
    ) -> (Kept<R>, Scale<R>) {
        let tau = params.temperature;
        let filter_scale = match params.order {
            Order::TemperatureLast => Scale::new(R::of_f64(scale.max), Temperature::ONE, staged),
            _ => scale,
        };
        self.summed = None;
        let mut kept = Kept::Row(Cut::NONE);
        if params.order != Order::TemperatureLast && tau.is_zero() {
            kept = Kept::Row(Cut::at_least(scale.least));
        }
        if params.order == Order::MinPFirst {
            self.min_p(&mut kept, params.min_p, filter_scale);
        }
        self.top_n_sigma(&mut kept, row, params.top_n_sigma, scale.max);
        self.top_k(&mut kept, row, params.top_k);
        self.typical(&mut kept, row, params.typical_p, filter_scale);
        self.top_p(&mut kept, row, params.top_p, filter_scale);
        if params.order != Order::MinPFirst {
            self.min_p(&mut kept, params.min_p, filter_scale);
        }
        match &mut kept {
            Kept::Row(cut) => {
                *cut = cut.and(Cut::at_least(scale.least));
                if self.summed != Some((*cut, scale.factor)) {
                    self.weigh(row, scale, *cut);
                }
                (kept, scale)
            }
            Kept::List => {
                let scale = scale.of_max(self.largest());
                self.list.retain(|c| c.x >= scale.least);
                self.list.sort_unstable_by_key(|c| c.id);
                self.add_up(scale);
                (kept, scale)
            }
        }
    }

    /// The largest logit of the list.
    fn largest(&self) -> R {
        self.list.iter().fold(R::NEG_INFINITY, |m, c| if c.x > m { c.x } else { m })
    }

    /// Keeps what has at least this exponent, and the largest in any case; readies it for draws again.
    pub(super) fn narrow(&mut self, row: &[R], kept: &mut Kept<R>, scale: Scale<R>, least: f64) {
        match kept {
            Kept::Row(cut) => {
                let (max, least) = (R::of_f64(scale.max), least.min(0.0));
                if scale.factor == 0.0 {
                    return; // all that are kept weigh the same
                }
                let guess = scale.max + least / scale.factor;
                let least = smallest(max, guess, |x| scale.exponent(x) >= least);
                *cut = cut.and(Cut::at_least(least));
                self.weigh(row, scale, *cut);
            }
            Kept::List => {
                let max = self.largest();
                self.list.retain(|c| scale.exponent(c.x) >= least || c.x == max);
                self.add_up(scale);
            }
        }
    }

    /// The list, in the order of its ids, with the sum of the weights up to each.
    fn add_up(&mut self, scale: Scale<R>) {
        self.weigh_list(scale);
        let mut sum = 0;
        for c in &mut self.list {
            sum += c.weight;
            c.weight = sum;
        }
    }

    fn weigh(&mut self, row: &[R], scale: Scale<R>, cut: Cut<R>) {
        self.sums.resize(self.maxima.len(), 0);
        R::run(Weigh { row, maxima: &self.maxima, scale, cut, sums: &mut self.sums });
    }

    /// What a cut keeps, as a list; of that, what lies below a number where one is given.
    fn list_of(&mut self, row: &[R], cut: Cut<R>, below: Option<R>) {
        self.list.clear();
        let below = below.unwrap_or(-R::NEG_INFINITY);
        let from = cut.value;
        let mut masks = [0; BLOCK / LANES];
        for (b, (block, &max)) in row.chunks(BLOCK).zip(&self.maxima).enumerate() {
            if max < from {
                continue;
            }
            let masks = &mut masks[..block.len().div_ceil(LANES)];
            R::run(Find { block, from, below, masks });
            for (c, &mask) in masks.iter().enumerate() {
                let mut left = mask;
                while left != 0 {
                    let i = c * LANES + left.trailing_zeros() as usize;
                    let (x, id) = (block[i], b * BLOCK + i);
                    // The mask knows nothing of ids.
                    if cut.keeps(x, id) {
                        self.list.push(Candidate { x, id: id as u32, weight: 0 });
                    }
                    left &= left - 1;
                }
            }
        }
    }

    fn top_k(&mut self, kept: &mut Kept<R>, row: &[R], k: usize) {
        let Kept::Row(cut) = *kept else { return };
        if k == 0 || k >= row.len() {
            return;
        }
        let mut bound = R::LOWEST;
        if k <= self.maxima.len() {
            self.bounds.clear();
            self.bounds.extend_from_slice(&self.maxima);
            let falling = |a: &R, b: &R| b.partial_cmp(a).expect("no NaN is a maximum");
            let (_, kth, _) = self.bounds.select_nth_unstable_by(k - 1, falling);
            // −∞ where fewer blocks than k have anything.
            bound = if *kth > bound { *kth } else { bound };
        }
        self.list_of(row, cut.and(Cut::at_least(bound)), None);
        if self.list.len() > k {
            self.list.select_nth_unstable_by(k - 1, by_rank);
            self.list.truncate(k);
        } else if bound == R::LOWEST && self.list.len() > LISTED {
            return; // no more than k there are
        }
        *kept = if self.list.len() <= LISTED {
            Kept::List
        } else {
            let last = self.list.iter().max_by(|a, b| by_rank(a, b)).expect("more than none");
            Kept::Row(Cut { value: last.x, last: last.id as usize })
        };
    }

    fn top_n_sigma(&mut self, kept: &mut Kept<R>, row: &[R], n: f64, max: f64) {
        let Kept::Row(cut) = kept else { return };
        if n == 0.0 {
            return;
        }
        let least = -n * nucleus::deviation(row, max);
        let least = smallest(R::of_f64(max), max + least, |x| x.to_f64() - max >= least);
        *cut = cut.and(Cut::at_least(least));
    }

    fn min_p(&mut self, kept: &mut Kept<R>, min_p: f64, scale: Scale<R>) {
        if min_p == 0.0 || scale.factor == 0.0 {
            return;
        }
        let least = libm::log2(min_p);
        match kept {
            Kept::Row(cut) => {
                let max = R::of_f64(scale.max);
                let guess = scale.max + least / scale.factor;
                let least = smallest(max, guess, |x| scale.exponent(x) >= least);
                *cut = cut.and(Cut::at_least(least));
            }
            // Of what is left, the largest: typical may have taken the largest of all.
            Kept::List => {
                let max = self.largest();
                let scale = scale.of_max(max);
                self.list.retain(|c| scale.exponent(c.x) >= least);
            }
        }
    }

    fn top_p(&mut self, kept: &mut Kept<R>, row: &[R], top_p: f64, scale: Scale<R>) {
        if top_p == 1.0 {
            return;
        }
        match kept {
            Kept::Row(cut) => *cut = self.top_p_of_row(row, *cut, top_p, scale),
            Kept::List => {
                let target = share(top_p, self.weigh_list(scale));
                let count = lightest(&mut self.list, target, by_rank);
                self.list.truncate(count);
            }
        }
    }

    /// A pivot near to where the mass is reached, and the sums above it; then what lies between, one by one.
    fn top_p_of_row(&mut self, row: &[R], cut: Cut<R>, top_p: f64, scale: Scale<R>) -> Cut<R> {
        let cut = cut.and(Cut::at_least(scale.least));
        self.guide.look(row, &self.maxima, scale, cut);
        let place = self.guide.reaching(top_p);
        let pivot = self.guide.end(place, cut);
        self.sums.resize(self.maxima.len(), 0);
        let (maxima, sums) = (&self.maxima, &mut self.sums);
        let total = R::run(Split { row, maxima, scale, cut, pivot, sums });
        let target = share(top_p, total);
        let above: u64 = self.sums.iter().sum();
        let is_short = above < target;
        let distance = above.abs_diff(target) as f64 / total as f64;
        let mut slack = 1.0;
        let missing = loop {
            let (share, guide) = ((distance + 5e-4) * slack, &self.guide);
            let (from, below) = if is_short {
                (guide.end(guide.below(place + 1, share), cut), Some(pivot))
            } else {
                (pivot, guide.above(place, share).map(|bucket| guide.end(bucket, cut)))
            };
            self.list_of(row, cut.and(Cut::at_least(from)), below);
            let listed = self.weigh_list(scale);
            let known = if is_short { above } else { above - listed };
            if known < target && target - known <= listed {
                break target - known;
            }
            // The widest look lists all there is, and its weights are those that were summed.
            assert!(slack < 1e12, "a weight differs from itself");
            slack *= 4.0;
        };
        let count = lightest(&mut self.list, missing, by_rank);
        let (kept, left) = self.list.split_at(count);
        if is_short {
            kept.iter().for_each(|c| self.sums[c.id as usize / BLOCK] += c.weight);
        } else {
            left.iter().for_each(|c| self.sums[c.id as usize / BLOCK] -= c.weight);
        }
        let mut sum = 0;
        for of_block in &mut self.sums {
            sum += *of_block;
            *of_block = sum;
        }
        let last = kept.iter().max_by(|a, b| by_rank(a, b)).expect("at least one");
        let cut = cut.and(Cut { value: last.x, last: last.id as usize });
        self.summed = Some((cut, scale.factor));
        cut
    }

    /// Weighs the list; the sum.
    fn weigh_list(&mut self, scale: Scale<R>) -> u64 {
        R::run(WeighList { list: &mut self.list, scale })
    }

    fn typical(&mut self, kept: &mut Kept<R>, row: &[R], typical_p: f64, scale: Scale<R>) {
        if typical_p == 1.0 {
            return;
        }
        match *kept {
            Kept::Row(cut) => self.list_of(row, cut.and(Cut::at_least(scale.least)), None),
            Kept::List => self.list.retain(|c| c.x >= scale.least),
        }
        *kept = Kept::List;
        // The order of a sum shows in its last bits, and in what is nearest to it.
        self.list.sort_unstable_by_key(|c| c.id);
        let total = self.weigh_list(scale);
        let mut moment = 0.0;
        for c in &self.list {
            moment += c.weight as f64 * scale.exponent(c.x);
        }
        // The entropy is log2 Z − E[t], and the surprise log2 Z − t.
        let mean = moment / total as f64;
        let from_mean = |c: &Candidate<R>| (scale.exponent(c.x) - mean).abs();
        let count = lightest(&mut self.list, share(typical_p, total), |a, b| {
            from_mean(a).total_cmp(&from_mean(b)).then(by_rank(a, b))
        });
        self.list.truncate(count);
    }
}

/// The weights of a list; their sum.
pub(crate) struct WeighList<'a, R> {
    list: &'a mut [Candidate<R>],
    scale: Scale<R>,
}

impl<R: Real> Kernel for WeighList<'_, R> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> u64 {
        let mut total = 0;
        for c in self.list {
            c.weight = self.scale.weight(c.x);
            total += c.weight;
        }
        total
    }
}

/// Which logits of each sixteen of a block lie from a number up to another: a bit for each.
pub(crate) struct Find<'a, R> {
    block: &'a [R],
    from: R,
    below: R,
    masks: &'a mut [u32],
}

impl<R: Real> Kernel for Find<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Find { block, from, below, masks } = self;
        let (chunks, tail) = block.as_chunks::<LANES>();
        for (mask, chunk) in masks.iter_mut().zip(chunks) {
            *mask = found(simd, chunk, from, below);
        }
        if !tail.is_empty() {
            let mut last = [R::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            masks[chunks.len()] = found(simd, &last, from, below);
        }
    }
}

#[inline(always)]
fn found<S: Simd, R: Real>(simd: S, chunk: &[R; LANES], from: R, below: R) -> u32 {
    R::at_least(simd, chunk, from) & !R::at_least(simd, chunk, below)
}

/// The smallest integer that is p·total or more, and 1 at least.
pub(super) fn share(p: f64, total: u64) -> u64 {
    // p = digits · 2^-shift, exactly.
    let bits = p.to_bits();
    let exponent = (bits >> 52) as u32;
    if exponent < 1023 - 64 {
        return 1; // below 2^-64 of any total
    }
    let digits = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let shift = 1023 + 52 - exponent;
    let product = digits * u128::from(total);
    ((product >> shift) as u64 + u64::from(product << (128 - shift) != 0)).max(1)
}

/// How many candidates, in an order, it takes to reach a weight; they are the first afterwards. All, if that is too much.
pub(super) fn lightest<R: Real>(
    list: &mut [Candidate<R>],
    mut target: u64,
    order: impl Fn(&Candidate<R>, &Candidate<R>) -> Ordering,
) -> usize {
    let (mut from, mut to) = (0, list.len());
    while to - from > 32 {
        let middle = from + (to - from) / 2;
        list[from..to].select_nth_unstable_by(middle - from, &order);
        let sum: u64 = list[from..=middle].iter().map(|c| c.weight).sum();
        if sum >= target {
            to = middle + 1;
        } else {
            target -= sum;
            from = middle + 1;
        }
    }
    list[from..to].sort_unstable_by(&order);
    for (i, c) in list[from..to].iter().enumerate() {
        if c.weight >= target {
            return from + i + 1;
        }
        target -= c.weight;
    }
    to
}
