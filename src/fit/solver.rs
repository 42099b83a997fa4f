//! The search for τ*: asks for sums at a temperature, is told, asks again.
//!
//! ```text
//! f(β) = Σ w (ln Σ_j exp(β x_j) − β x_y)           convex; g = β f', v = β² f'', k = β³ f''', q, r, s from the sums
//! named end?                                       from two sums of the first pass
//! n = −g/v                                         Newton's step, relative
//! u = n (1 + n k/2v) / (1 + n k/v + n² q/6v)       Householder's; error of β(1 + u): some u⁴
//! 0 = g + v u + k u²/2 + … + s u⁵/120              of deep sums; error: some u⁶
//! every g narrows a bracket; a step that leaves it is replaced by a wider or a halving one
//! the last β is the one of ten bits nearest to β*, |u| < 2⁻⁹: the sums at β(1 + u) by Taylor's series
//! ```
//!
//! Which β is the last is up to the rows alone, and so are the bits of the answer, wherever the search began.
//!
//! The solver never sees a row. Whoever has the rows, in memory, in a file or on other machines, makes the
//! sums; see [`TemperatureSolver`].

use crate::double::power_of_two;
use crate::fit::estimate::{AtEnd, Outcome, Prior, TemperatureFit};
use crate::fit::row::Depth;
use crate::fit::scan::{AtTemperature, Scan};
use crate::temperature::Temperature;

/// A relative step that leaves its sixth power, by deep sums.
const LAST_STEP: f64 = 8e-3;
/// A step below this is good enough to be followed by the last pass.
const LAST_BUT_ONE: f64 = 0.08;

/// Bits of the β that the last sums are at, beside the leading one.
const BITS: u32 = 9;
/// How far beyond the stretch around such a β the best may lie, relatively: of two neighbours each may place it with the other.
const EDGE: f64 = 1e-12;
/// Last passes before one is made wherever the last one led, whatever its bits.
const LAST_PASSES: u32 = 3;

/// Scales beyond 2^±1000 are not looked for.
const LIMITS: [f64; 2] = [power_of_two(-1000), power_of_two(1000)];

/// The search for the best temperature, for rows that are not in memory at once.
///
/// It asks for a [`Scan`] over all rows, looks at it, and asks again, two to five times.
/// [`fit_temperature`](crate::fit_temperature) is this loop over rows in memory, from a start found on a sample.
///
/// # Example
/// ```
/// use softargmax::{Labels, Outcome, Rows, TemperatureSolver};
///
/// let blocks = [([3.0f32, 0.0, 1.0, 2.0], [0, 0]), ([0.5, 0.0, -1.0, 4.0], [0, 1])];
/// let mut solver = TemperatureSolver::new(2, None);
/// while let Some(mut scan) = solver.next_scan() {
///     for (logits, labels) in &blocks {
///         scan.add(Rows::new(logits, 2)?, Labels::new(labels, 2)?, None)?;
///     }
///     solver.take(&scan);
/// }
/// let fit = solver.fit();
/// assert_eq!((fit.outcome, fit.rows), (Outcome::Converged, 4));
/// # Ok::<(), softargmax::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TemperatureSolver {
    classes: usize,
    prior: Option<Prior>,
    /// Where the slope is negative, and where it is not: β* lies between.
    below: f64,
    above: f64,
    /// What is asked next.
    beta: f64,
    depth: Depth,
    stride: f64,
    /// Ends early, and by sums in the type of the rows.
    rough: bool,
    surveyed: bool,
    /// Has been told a temperature near the answer.
    near: bool,
    deep_passes: u32,
    /// Asks for the loss at τ = 1 beside a draft already.
    one_first: bool,
    loss_at_one: Option<f64>,
    passes: u32,
    fit: Option<TemperatureFit>,
}

impl TemperatureSolver {
    /// How near, relatively, [`starting_near`](TemperatureSolver::starting_near) has to be to save a pass.
    pub const NEAR: f64 = 7e-3;

    /// A search that starts at τ = 1, over rows of so many classes.
    pub fn new(classes: usize, prior: Option<Prior>) -> Self {
        TemperatureSolver {
            classes,
            prior,
            below: 0.0,
            above: f64::INFINITY,
            beta: 1.0,
            depth: Depth::Deep,
            stride: 2.0,
            rough: false,
            surveyed: false,
            near: false,
            deep_passes: 0,
            one_first: false,
            loss_at_one: None,
            passes: 0,
            fit: None,
        }
    }

    /// The same search from a temperature near the answer, as a sample of the rows gives it: that saves a pass or
    /// two. The limits 0 and ∞ are no start.
    pub fn starting_at(mut self, tau: Temperature) -> Self {
        self.start(tau, Depth::Draft);
        self
    }

    /// The same search from a temperature within [`NEAR`](TemperatureSolver::NEAR) of the answer, as a good part of
    /// very many rows gives it: its first pass is the last. Of a start that is further away it takes another pass. The
    /// limits 0 and ∞ are no start.
    ///
    /// Of a start that is within a millionth, as [`Scan::over_octaves`] gives it, the answer has the same bits as
    /// without one, but for one in a thousand; of one further away, as many of them as its tolerance says.
    ///
    /// # Example
    /// ```
    /// use softargmax::{Labels, Rows, TemperatureSolver};
    ///
    /// let logits = [4.0f32, 0.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0];
    /// let (logits, labels) = (Rows::new(&logits, 2)?, Labels::new(&[0, 0, 1, 0], 2)?);
    /// // exp(4/τ) must be 3 : 1.
    /// let tau = 4.0 / 3f64.ln();
    /// let mut solver = TemperatureSolver::new(2, None).starting_near("3.64".parse()?);
    /// while let Some(mut scan) = solver.next_scan() {
    ///     scan.add(logits, labels, None)?;
    ///     solver.take(&scan);
    /// }
    /// let fit = solver.fit();
    /// assert_eq!(fit.passes, 1);
    /// assert!((fit.estimate.unwrap().temperature.tau() / tau - 1.0).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn starting_near(mut self, tau: Temperature) -> Self {
        self.start(tau, Depth::Deep);
        self.near = !tau.is_zero() && !tau.is_infinite();
        self
    }

    fn start(&mut self, tau: Temperature, depth: Depth) {
        if !tau.is_zero() && !tau.is_infinite() {
            let beta = tau.scale().clamp(LIMITS[0], LIMITS[1]);
            self.beta = if depth == Depth::Deep { of_few_bits(beta) } else { beta };
            self.depth = depth;
        }
    }

    /// The same search, which asks for the loss at τ = 1 in its first pass and not in its last: for rows that come
    /// from a disk, for which the first pass waits. The answer has the same bits. No effect without
    /// [`starting_at`](TemperatureSolver::starting_at), since then the first pass is at τ = 1.
    ///
    /// # Example
    /// ```
    /// use softargmax::{Temperature, TemperatureSolver};
    ///
    /// let solver = TemperatureSolver::new(10, None).starting_at("1.7".parse()?).loss_at_one_first();
    /// let asked: Vec<_> = solver.next_scan().unwrap().temperatures().collect();
    /// assert_eq!((asked.len(), asked[1]), (2, Temperature::ONE));
    /// # Ok::<(), softargmax::Error>(())
    /// ```
    pub fn loss_at_one_first(mut self) -> Self {
        self.one_first = true;
        self
    }

    /// Ends at a relative accuracy of 1e-6 or so: for a sample.
    pub(super) fn roughly(mut self) -> Self {
        self.rough = true;
        self.depth = Depth::Draft;
        self
    }

    /// The sums that are wanted next, still without rows; `None` when the answer is there.
    pub fn next_scan(&self) -> Option<Scan> {
        if self.fit.is_some() {
            return None;
        }
        let at = Temperature::from_scale(self.beta).ok()?;
        let one = self.wants_loss_at_one() && self.beta != 1.0;
        let one = one.then_some((Temperature::ONE, Depth::Loss));
        let nodes = [(at, self.depth)].into_iter().chain(one);
        // Near a temperature that somebody has found, there is one.
        let survey = !self.surveyed && !self.near;
        Some(Scan::with(self.classes, survey, nodes))
    }

    /// Whether the scan that is asked for next has it: for a draft at τ = 1 it would be that temperature twice.
    fn wants_loss_at_one(&self) -> bool {
        let is_time = self.depth != Depth::Draft || self.one_first && self.beta != 1.0;
        is_time && self.loss_at_one.is_none()
    }

    /// Learns from the scan it asked for, which has gone through all rows.
    ///
    /// A scan that it did not ask for, or of no rows, ends the search with [`Outcome::NoRows`].
    pub fn take(&mut self, scan: &Scan) {
        let asked = self.next_scan().filter(|asked| asked.temperatures().eq(scan.temperatures()));
        let Some(mut asked) = asked else {
            self.fit.get_or_insert(TemperatureFit::of(scan, Outcome::NoRows, self.passes));
            return;
        };
        // What is not in it was not asked for, which a scan that was read from a file does not say.
        asked.absorb(scan);
        let scan = &asked;
        self.passes += 1;
        if !self.surveyed
            && let Some(outcome) = TemperatureFit::named(scan, self.prior)
        {
            return self.end_without(scan, outcome);
        }
        let at = &scan.sums[0];
        if self.wants_loss_at_one() {
            self.loss_at_one = scan.sums.last().map(|one| one.loss.value());
        }
        let slopes = Slopes::new(at, self.depth, self.beta, self.prior);
        if slopes.first < 0.0 {
            self.below = self.beta;
        } else {
            self.above = self.beta; // also where it is NaN: an overflow, so β is too large
        }
        let step = slopes.step();
        let beta = self.beta * (1.0 + step);
        self.deep_passes += u32::from(self.depth == Depth::Deep);
        // A step that is lost in β has arrived, though it does not leave the end of the bracket, which may be a draft's.
        let fits = beta > self.below && beta < self.above
            || step.abs() < f64::EPSILON
            || self.depth == Depth::Deep && self.is_for(beta);
        let narrow = self.above / self.below - 1.0 < 1e-14;
        let is_near = || {
            let is_any_near = self.near || self.deep_passes > LAST_PASSES;
            self.is_for(beta) || is_any_near && step.abs() < LAST_STEP
        };
        // Without a curve there is no best temperature: the survey says which end it is.
        let is_last = match self.depth {
            Depth::Deep => slopes.second > 0.0 && (fits && is_near() || narrow),
            _ => self.rough && (fits && step.abs() < LAST_BUT_ONE || narrow),
        };
        if is_last {
            return self.end(scan, &slopes, if fits { step } else { 0.0 });
        }
        let far = self.far_from_the_data(scan);
        self.surveyed |= scan.wants_survey();
        self.near = false;
        self.beta = match far {
            Some(beta) => beta,
            None if fits => beta,
            None => self.beyond_or_between(),
        };
        let is_draft = self.rough || !(step.abs() < LAST_BUT_ONE);
        self.depth = if is_draft { Depth::Draft } else { Depth::Deep };
        if !is_draft && self.deep_passes < LAST_PASSES {
            self.beta = of_few_bits(self.beta);
        }
        if !(LIMITS[0]..=LIMITS[1]).contains(&self.beta) || self.passes > 500 {
            self.end_without(scan, Outcome::OutOfRange);
        }
    }

    /// Whether the last sums of a search that ends at this β are those that were asked for.
    fn is_for(&self, beta: f64) -> bool {
        let is_its_own = |edge: f64| of_few_bits(beta * (1.0 + edge)) == self.beta;
        [-EDGE, 0.0, EDGE].into_iter().any(is_its_own)
    }

    /// The answer; [`Outcome::NoRows`] where the search was left before its end.
    pub fn fit(self) -> TemperatureFit {
        self.fit.unwrap_or_else(|| {
            TemperatureFit::of(&Scan::new(self.classes, &[]), Outcome::NoRows, self.passes)
        })
    }

    /// After the first pass, a β of the data's own scale, where the one asked about is off by far.
    fn far_from_the_data(&self, scan: &Scan) -> Option<f64> {
        let spread = scan.survey.spread.value() / scan.weight.value(); // a quarter of it
        let beta = 1.0 / spread;
        let is_far = !(0.01..100.0).contains(&(self.beta * spread));
        let is_first = !self.surveyed && scan.wants_survey();
        (is_first && is_far && beta > self.below && beta < self.above).then_some(beta)
    }

    fn beyond_or_between(&mut self) -> f64 {
        self.stride *= self.stride;
        if self.below == 0.0 {
            self.beta / self.stride
        } else if self.above == f64::INFINITY {
            self.beta * self.stride
        } else {
            self.below.sqrt() * self.above.sqrt()
        }
    }

    fn end_without(&mut self, scan: &Scan, outcome: Outcome) {
        let mut fit = TemperatureFit::of(scan, outcome, self.passes);
        let loss = if scan.infinite > 0 { Some(f64::INFINITY) } else { self.loss_at_one };
        let asked_at_one = || {
            let one =
                scan.sums.iter().zip(scan.depths()).find(|(at, _)| at.tau == Temperature::ONE);
            one.filter(|(_, depth)| *depth != Depth::Draft).map(|(at, _)| at.loss.value())
        };
        if let Some(loss) = loss.or_else(asked_at_one) {
            fit.nll_before = loss / scan.weight.value();
        }
        self.fit = Some(fit);
    }

    fn end(&mut self, scan: &Scan, slopes: &Slopes, step: f64) {
        let at = &scan.sums[0];
        let (slope, variance, third) = (at.slope.value(), at.variance.value(), at.third.value());
        // The last three are of deep sums; without them they are 0, as in a sample.
        let (fourth, fifth, sixth) = (at.fourth.value(), at.fifth.value(), at.sixth.value());
        let derivatives = [0.0, slope, variance, third, fourth, fifth, sixth];
        let rise = at.slope_variance.value() + 0.5 * step * at.slope_third.value();
        let growth = (1.0 + step) * (1.0 + step);
        let left = step.powi(if self.depth == Depth::Deep { 6 } else { 4 }).abs();
        let end = AtEnd {
            beta: self.beta * (1.0 + step),
            loss: at.loss.value() + taylor(step, derivatives),
            variance: growth * taylor(step, [variance, third, fourth, fifth, sixth]),
            slope_squared: growth * (at.slope_squared.value() + 2.0 * step * rise),
            prior_curvature: slopes.prior_curvature - slopes.prior_stiffness * libm::log1p(step),
            tolerance: left.max(1e-15),
        };
        let mut fit = TemperatureFit::of(scan, Outcome::OutOfRange, self.passes);
        fit.converge(scan, &end, self.loss_at_one.unwrap_or(f64::NAN));
        self.fit = Some(fit);
    }
}

/// The nearest β of the bits that the last sums are at; equally near, the larger one.
fn of_few_bits(beta: f64) -> f64 {
    let unit = 1u64 << (f64::MANTISSA_DIGITS - 1 - BITS);
    f64::from_bits((beta.to_bits() + unit / 2) & !(unit - 1))
}

/// A function and its derivatives, at a step from where they were taken.
fn taylor<const N: usize>(step: f64, derivatives: [f64; N]) -> f64 {
    let next = |sum, (k, of): (usize, &f64)| of + step / (k + 1) as f64 * sum;
    derivatives.iter().enumerate().rev().fold(0.0, next)
}

/// β f' to β⁶ f'''''' of the whole, the prior included.
pub(super) struct Slopes {
    pub(super) first: f64,
    pub(super) second: f64,
    pub(super) third: f64,
    fourth: f64,
    /// The fifth and the sixth, where they were asked for.
    more: Option<[f64; 2]>,
    prior_curvature: f64,
    /// By how much that falls where ln β rises by 1.
    prior_stiffness: f64,
}

impl Slopes {
    pub(super) fn new(at: &AtTemperature, depth: Depth, beta: f64, prior: Option<Prior>) -> Self {
        let (pull, stiffness) = prior.map_or((0.0, 0.0), |prior| {
            let stiffness = 1.0 / (prior.sigma * prior.sigma);
            ((libm::log(beta) - prior.center) * stiffness, stiffness)
        });
        Slopes {
            first: at.slope.value() + pull,
            second: at.variance.value() + (stiffness - pull),
            third: at.third.value() + (2.0 * pull - 3.0 * stiffness),
            fourth: at.fourth.value() + (11.0 * stiffness - 6.0 * pull),
            more: (depth == Depth::Deep).then(|| {
                [
                    at.fifth.value() + (24.0 * pull - 50.0 * stiffness),
                    at.sixth.value() + (274.0 * stiffness - 120.0 * pull),
                ]
            }),
            prior_curvature: stiffness - pull,
            prior_stiffness: stiffness,
        }
    }

    /// The step relative to β, Newton's where the higher derivatives spoil it. NaN where there is none.
    fn step(&self) -> f64 {
        let Slopes { first, second, third, fourth, more, .. } = *self;
        if first == 0.0 {
            return 0.0;
        }
        let newton = -first / second;
        // Ratios, since squares may overflow.
        let bend = 0.5 * newton * (third / second);
        let twist = newton * newton * (fourth / second) / 6.0;
        let step = newton * (1.0 + bend) / (1.0 + 2.0 * bend + twist);
        if second > 0.0 && step.is_finite() && step * newton > 0.0 {
            match more {
                Some([fifth, sixth]) if step.abs() < LAST_STEP => {
                    // Where the series itself is 0, by Newton, from where it nearly is.
                    let newton = |step: f64, _| {
                        let slope = taylor(step, [first, second, third, fourth, fifth, sixth]);
                        step - slope / taylor(step, [second, third, fourth, fifth, sixth])
                    };
                    (0..2).fold(step, newton)
                }
                _ => step,
            }
        } else if second > 0.0 {
            newton
        } else {
            f64::NAN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Labels, Rows};

    /// From 6 % off to within 1e-5; with no fourth moment, or a wrong one, a draft stays further away.
    #[test]
    fn a_draft_leaves_the_fourth_power_of_its_step() {
        let (rows, classes) = (600, 4);
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        let mut logits: Vec<f32> = (0..rows * classes).map(|_| 8.0 * uniform()).collect();
        let labels: Vec<i64> = (0..rows).map(|i| (i % classes) as i64).collect();
        for (row, &label) in logits.chunks_exact_mut(classes).zip(&labels) {
            row[label as usize] += 2.0;
        }
        let logits = Rows::new(&logits, classes).unwrap();
        let labels = Labels::new(&labels, classes).unwrap();
        let search = |mut solver: TemperatureSolver, passes: usize| {
            for _ in 0..passes {
                let Some(mut scan) = solver.next_scan() else { break };
                scan.add(logits, labels, None).unwrap();
                solver.take(&scan);
            }
            solver
        };
        let fit = search(TemperatureSolver::new(classes, None), 9).fit();
        let best = fit.estimate.unwrap().temperature.tau();
        for off in [1.06, 0.94] {
            let start = Temperature::new(best * off).unwrap();
            let new = || TemperatureSolver::new(classes, None).starting_at(start);
            let draft = search(new().roughly(), 1).fit().estimate.unwrap().temperature.tau();
            assert!((draft / best - 1.0).abs() < 1e-5, "{off}: {:e}", draft / best - 1.0);
            assert_eq!(search(new(), 9).fit().passes, 2);
        }
    }

    #[test]
    fn a_scale_of_few_bits_is_near_and_its_own() {
        for beta in [1e-300, 0.3, 1.0, 1.0009, 1.0011, 1.9999, 7e100] {
            let rounded = of_few_bits(beta);
            assert!((rounded / beta - 1.0).abs() <= 1.0 / 1024.0, "{beta} {rounded}");
            assert_eq!(of_few_bits(rounded), rounded);
            assert_eq!(of_few_bits(4.0 * beta), 4.0 * rounded);
        }
    }

    /// Of two neighbours, each of which may place it with the other, one is taken.
    #[test]
    fn in_the_middle_between_two_scales_a_search_ends() {
        let middle = 1.0 + 1.0 / 1024.0;
        for nudge in [1.0 - 1e-15, 1.0, 1.0 + 1e-15] {
            // Right three times of four: exp(β gap) = 3.
            let gap = libm::log(3.0) / middle * nudge;
            let logits = [gap, 0.0, gap, 0.0, gap, 0.0, gap, 0.0];
            for start in [0.95, 0.999, 1.001, 1.05] {
                let start = Temperature::from_scale(middle * start).unwrap();
                let mut solver = TemperatureSolver::new(2, None).starting_at(start);
                while let Some(mut scan) = solver.next_scan() {
                    let labels = Labels::new(&[0, 0, 1, 0], 2).unwrap();
                    scan.add(Rows::new(&logits, 2).unwrap(), labels, None).unwrap();
                    solver.take(&scan);
                }
                let fit = solver.fit();
                let tau = fit.estimate.unwrap().temperature.tau();
                assert!((tau * middle / nudge - 1.0).abs() < 1e-14, "{start}: {tau}");
                assert!(fit.passes <= 3, "{start}: {} passes", fit.passes);
            }
        }
    }
}
