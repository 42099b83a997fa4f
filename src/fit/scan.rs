//! Sums over rows from which a temperature can be worked out, exact and therefore mergeable.
//!
//! ```text
//! once:                  Σ w,  Σ w (mean x − x_y),  Σ w (max x − x_y),  rows won, constant, infinite
//! at each temperature:   Σ w loss,  Σ w slope,  Σ w variance,  Σ w third,  Σ (w slope)²        (row.rs)
//! where it is asked for: Σ w fourth,  Σ w fifth,  Σ w sixth,  Σ w² slope variance,  Σ w² (variance² + slope third)
//! ```
//!
//! Each term is a number of one row; [`ExactSum`] adds them without rounding. So no split over threads,
//! blocks, files or machines, and no order, can be seen in the sums.

use crate::element::Element;
use crate::error::Error;
use crate::exact_sum::ExactSum;
use crate::fit::block::Block;
use crate::fit::row::{Depth, Gap};
use crate::interrupt::heed;
use crate::rows::{Rows, Truth};
use crate::temperature::Temperature;

/// How many rows of infinite loss are named.
pub(super) const NAMED_ROWS: usize = 16;

/// Sums over labelled rows at some temperatures: what is needed to choose one between them.
///
/// Rows are added in blocks, scans of other blocks are merged, in any order: the sums are exact, and the
/// same to the last bit. [`TemperatureFit::from_scan`](crate::TemperatureFit::from_scan) works out τ, with
/// no further look at the rows. Its size does not depend on how many rows or classes there were.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, Scan};
///
/// let logits = [4.0, 1.0, 0.0, 2.0, 3.0, 3.5, 0.5, 5.0, 1.0, 2.0, 2.5, 0.0f32];
/// let labels = [0, 1, 1, 1];
/// let mut whole = Scan::over_octaves(3, -6, 6);
/// whole.add(Rows::new(&logits, 3)?, Labels::new(&labels, 3)?, None)?;
///
/// let mut first = Scan::over_octaves(3, -6, 6);
/// first.add(Rows::new(&logits[..3], 3)?, Labels::new(&labels[..1], 3)?, None)?;
/// let mut rest = Scan::over_octaves(3, -6, 6);
/// rest.add(Rows::new(&logits[3..], 3)?, Labels::new(&labels[1..], 3)?, None)?;
/// rest.merge(&first)?;
/// assert_eq!(rest, whole);
/// # Ok::<(), softargmax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scan {
    pub(super) classes: usize,
    pub(super) rows: u64,
    pub(super) ignored: u64,
    pub(super) weight: ExactSum,
    pub(super) weight_squared: ExactSum,
    /// Rows whose label has the largest logit, by weight.
    pub(super) won: ExactSum,
    pub(super) survey: Survey,
    /// Rows with a label whose logit is −∞: their loss is infinite at every temperature.
    pub(super) infinite: u64,
    pub(super) infinite_rows: Vec<u64>,
    pub(super) sums: Vec<AtTemperature>,
    #[cfg_attr(feature = "serde", serde(skip))]
    plan: Plan,
}

/// Which of the sums are wanted: all, where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq)]
struct Plan {
    no_survey: bool,
    /// For the first temperatures; what is not listed is full.
    depths: Vec<Depth>,
}

/// What decides whether there is a best temperature, in quarters of the logits' units.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Survey {
    /// Σ w (mean x − x_y): the slope of the loss at β = 0.
    pub(super) below_mean: ExactSum,
    /// Σ w (max x − x_y): its slope at β = ∞.
    pub(super) below_max: ExactSum,
    /// Σ w (max x − mean x).
    pub(super) spread: ExactSum,
    pub(super) constant_rows: u64,
}

/// The sums at one temperature; derivatives are in ln β.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct AtTemperature {
    pub(super) tau: Temperature,
    pub(super) loss: ExactSum,
    pub(super) slope: ExactSum,
    pub(super) variance: ExactSum,
    pub(super) third: ExactSum,
    /// Of drafts and deep sums; the files of others have nothing of it, nor of the others that may be left out.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "ExactSum::is_zero"))]
    pub(super) fourth: ExactSum,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "ExactSum::is_zero"))]
    pub(super) fifth: ExactSum,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "ExactSum::is_zero"))]
    pub(super) sixth: ExactSum,
    pub(super) slope_squared: ExactSum,
    /// Σ w² slope variance and Σ w² (variance² + slope third): half of how that rises, and how the rise does.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "ExactSum::is_zero"))]
    pub(super) slope_variance: ExactSum,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "ExactSum::is_zero"))]
    pub(super) slope_third: ExactSum,
}

impl AtTemperature {
    fn new(tau: Temperature) -> Self {
        let zero = || ExactSum::ZERO;
        AtTemperature {
            tau,
            loss: zero(),
            slope: zero(),
            variance: zero(),
            third: zero(),
            fourth: zero(),
            fifth: zero(),
            sixth: zero(),
            slope_squared: zero(),
            slope_variance: zero(),
            slope_third: zero(),
        }
    }
}

impl Scan {
    /// No rows yet, of so many classes, at these temperatures. The limits 0 and ∞ are left out.
    pub fn new(classes: usize, temperatures: &[Temperature]) -> Self {
        Scan::with(classes, true, temperatures.iter().map(|&tau| (tau, Depth::Full)))
    }

    /// No rows yet, at temperatures 2^(k/2) from 2^`low` to 2^`high`: from these any temperature between them
    /// can be worked out to about seven digits.
    pub fn over_octaves(classes: usize, low: i32, high: i32) -> Self {
        let half_octaves = 2 * low.max(-500)..=2 * high.min(500);
        let tau = |k: i32| {
            let odd = if k.rem_euclid(2) == 1 { std::f64::consts::SQRT_2 } else { 1.0 };
            Temperature::new(crate::double::power_of_two(k.div_euclid(2)) * odd)
        };
        let nodes = half_octaves.filter_map(|k| tau(k).ok());
        Scan::with(classes, true, nodes.map(|tau| (tau, Depth::Full)))
    }

    /// No rows yet, at five temperatures closely around one: from these a temperature within a fifth of it can
    /// be worked out to some twelve digits.
    pub fn around(classes: usize, tau: Temperature) -> Self {
        let near = |factor: f64| Temperature::new(tau.tau() * factor).ok();
        let nodes = [0.78, 0.88, 1.0, 1.13, 1.27].into_iter().filter_map(near);
        Scan::with(classes, true, nodes.map(|tau| (tau, Depth::Full)))
    }

    pub(super) fn with(
        classes: usize,
        survey: bool,
        nodes: impl Iterator<Item = (Temperature, Depth)>,
    ) -> Self {
        let nodes = nodes.filter(|(tau, _)| !tau.is_zero() && !tau.is_infinite());
        let (taus, mut depths): (Vec<_>, Vec<_>) = nodes.unzip();
        if depths.iter().all(|&depth| depth == Depth::Full) {
            depths.clear(); // what a scan that was read from a file has
        }
        Scan {
            classes,
            rows: 0,
            ignored: 0,
            weight: ExactSum::ZERO,
            weight_squared: ExactSum::ZERO,
            won: ExactSum::ZERO,
            survey: Survey::default(),
            infinite: 0,
            infinite_rows: Vec::new(),
            sums: taus.into_iter().map(AtTemperature::new).collect(),
            plan: Plan { no_survey: !survey, depths },
        }
    }

    /// Takes in a block of rows with their labels, and with a weight for each where they are given.
    ///
    /// # Shapes
    /// `logits` is `[rows, classes]`, `truth` a label or a distribution for each row, `weights` `[rows]`.
    ///
    /// # Special values
    /// Ignored rows and rows of weight 0 are passed over. −∞ is a mask; as the true logit it makes the loss
    /// infinite, which is counted.
    ///
    /// # Errors
    /// [`Error::Shape`] where sizes do not belong together, [`Error::Row`] for a row with a NaN or +∞, of
    /// nothing but −∞, or with a label that is no distribution, [`Error::Weight`] for a negative one. Rows
    /// are counted from 0 in this block. What was added before stays, nothing of this block does.
    pub fn add<'a, T: Element>(
        &mut self,
        logits: Rows<'a, T>,
        truth: impl Into<Truth<'a, T>>,
        weights: Option<&'a [f64]>,
    ) -> Result<(), Error> {
        let truth = truth.into();
        let same = |what, expected, got| {
            if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
        };
        same("a row of logits", self.classes, logits.classes())?;
        same("a label's set of classes", self.classes, truth.classes())?;
        same("labels", logits.rows(), truth.rows())?;
        if let Some(weights) = weights {
            same("weights", logits.rows(), weights.len())?;
        }
        heed();
        let block = Block { scan: &*self, logits, truth, weights, first: 0 };
        let mut block = T::run(block)?;
        block.infinite_rows.iter_mut().for_each(|row| *row += self.rows);
        self.absorb(&block);
        Ok(())
    }

    /// Takes in what another scan has seen.
    ///
    /// # Errors
    /// [`Error::Merge`] when the two are not at the same temperatures, or of as many classes.
    pub fn merge(&mut self, other: &Scan) -> Result<(), Error> {
        if self.classes != other.classes {
            return Err(Error::Merge { what: "number of classes" });
        }
        let taus = |scan: &Scan| scan.sums.iter().map(|at| at.tau).collect::<Vec<_>>();
        if taus(self) != taus(other) {
            return Err(Error::Merge { what: "temperatures" });
        }
        self.absorb(other);
        Ok(())
    }

    pub(super) fn absorb(&mut self, other: &Scan) {
        self.rows = self.rows.saturating_add(other.rows);
        self.ignored = self.ignored.saturating_add(other.ignored);
        self.infinite = self.infinite.saturating_add(other.infinite);
        self.infinite_rows.extend(&other.infinite_rows);
        self.infinite_rows.sort_unstable();
        self.infinite_rows.truncate(NAMED_ROWS);
        let constant_rows = &mut self.survey.constant_rows;
        *constant_rows = constant_rows.saturating_add(other.survey.constant_rows);
        let (mine, others) = (&mut self.survey, &other.survey);
        for (sum, more) in [
            (&mut self.weight, &other.weight),
            (&mut self.weight_squared, &other.weight_squared),
            (&mut self.won, &other.won),
            (&mut mine.below_mean, &others.below_mean),
            (&mut mine.below_max, &others.below_max),
            (&mut mine.spread, &others.spread),
        ] {
            sum.merge(more);
        }
        for (at, more) in self.sums.iter_mut().zip(&other.sums) {
            at.loss.merge(&more.loss);
            at.slope.merge(&more.slope);
            at.variance.merge(&more.variance);
            at.third.merge(&more.third);
            at.fourth.merge(&more.fourth);
            at.fifth.merge(&more.fifth);
            at.sixth.merge(&more.sixth);
            at.slope_squared.merge(&more.slope_squared);
            at.slope_variance.merge(&more.slope_variance);
            at.slope_third.merge(&more.slope_third);
        }
    }

    /// How many rows were added, without those that are ignored or weigh nothing.
    pub fn rows(&self) -> u64 {
        // Of a file, these may be any numbers.
        self.rows.saturating_sub(self.ignored)
    }

    /// How many rows were passed over: ignored, or of weight 0.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// How many classes a row has.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The weight of all rows that were added: how many they are, where they have no weights.
    pub fn weight(&self) -> f64 {
        self.weight.value()
    }

    /// The temperatures it is at.
    pub fn temperatures(&self) -> impl Iterator<Item = Temperature> {
        self.sums.iter().map(|at| at.tau)
    }

    /// The mean negative log-likelihood at each of the temperatures, in nats.
    pub fn nll(&self) -> impl Iterator<Item = f64> {
        let weight = self.weight.value();
        let infinite = self.infinite > 0;
        self.sums.iter().map(
            move |at| {
                if infinite { f64::INFINITY } else { at.loss.value() / weight }
            },
        )
    }

    /// The share of rows whose label has the largest logit (ties counted as won), by weight.
    pub fn accuracy(&self) -> f64 {
        self.won.value() / self.weight.value()
    }

    pub(super) fn empty_like(&self) -> Self {
        let nodes = self.sums.iter().map(|at| at.tau).zip(self.depths());
        Scan::with(self.classes, !self.plan.no_survey, nodes)
    }

    pub(super) fn wants_survey(&self) -> bool {
        !self.plan.no_survey
    }

    /// What is asked at each temperature.
    pub(super) fn depths(&self) -> impl Iterator<Item = Depth> {
        let depths = self.plan.depths.iter().copied().chain(std::iter::repeat(Depth::Full));
        depths.take(self.sums.len())
    }
}

impl Survey {
    pub(super) fn add(&mut self, weight: f64, below_max: Gap, depth: Gap) {
        let (below_max, depth) = (weight * below_max.quarter(), weight * depth.quarter());
        self.below_max.add(below_max);
        self.below_mean.add(below_max);
        self.below_mean.add(-depth);
        self.spread.add(depth);
        self.constant_rows += u64::from(depth == 0.0);
    }
}
