//! What `contrast` shows, all of it worked out: tables, page and picture only draw it.

use softargmax::{CurvePoint, Nearest, Temperature};

/// Vectors seen at temperatures.
pub(crate) struct Contrast {
    /// The files, as they were named.
    pub(crate) queries: String,
    pub(crate) keys: String,
    pub(crate) negatives_file: Option<String>,
    pub(crate) labels: Option<String>,
    pub(crate) pairs: usize,
    /// Of each query.
    pub(crate) negatives: usize,
    pub(crate) dimensions: usize,
    /// At the temperature given.
    pub(crate) here: Level,
    pub(crate) nearest: Nearest,
    pub(crate) alignment: f64,
    /// Of the queries and of the keys, where there are two of them.
    pub(crate) uniformity: Option<[f64; 2]>,
    pub(crate) uniformity_limit: f64,
    pub(crate) tolerance: Option<f64>,
    /// At the temperatures of the curve, in the order given.
    pub(crate) curve: Vec<Level>,
    pub(crate) suggestions: Vec<Suggestion>,
    pub(crate) seed: u64,
}

/// The loss at a temperature, and what it is to be compared with.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    pub(crate) point: CurvePoint,
    /// What nothing is below.
    pub(crate) simplex: f64,
    /// What vectors reach that are spread evenly over the sphere.
    pub(crate) sphere: f64,
    /// What vectors give that have nothing to do with each other.
    pub(crate) unrelated: f64,
}

impl Level {
    pub(crate) fn tau(&self) -> Temperature {
        self.point.tau
    }
}

impl Contrast {
    /// Whether there are so few vectors that they can be the corners of a simplex.
    pub(crate) fn is_simplex(&self) -> bool {
        self.negatives <= self.dimensions
    }

    /// The least the loss can be expected to reach: the simplex's where there can be one, else the sphere's.
    pub(crate) fn floor(&self, level: &Level) -> f64 {
        if self.is_simplex() { level.simplex } else { level.sphere }
    }
}

/// A temperature that a rule gives, or why it gives none.
pub(crate) struct Suggestion {
    pub(crate) rule: Rule,
    pub(crate) outcome: Result<Level, String>,
}

/// How a temperature is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// The lowest loss of one half of the queries.
    HeldOut(Option<HeldOut>),
    /// 1/(√2 ln K).
    AdaCos,
    /// So many negatives count.
    Effective(f64),
    /// The loss can get down to this.
    Floor(f64),
}

/// What the other half of the queries says of a temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HeldOut {
    pub(crate) chosen_on: usize,
    pub(crate) measured_on: usize,
    /// Their loss there, and at the temperature given.
    pub(crate) loss: f64,
    pub(crate) loss_here: f64,
}

impl Rule {
    /// Its name in JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Rule::HeldOut(_) => "held-out",
            Rule::AdaCos => "adacos",
            Rule::Effective(_) => "effective-negatives",
            Rule::Floor(_) => "floor",
        }
    }
}

/// Said wherever a temperature is suggested.
pub(crate) const WARNING: &str = "Suggested temperatures are heuristics: each is what its rule gives for these \
    vectors as they are. None says at which temperature a model learns best; only training, and what the vectors are \
    for, can.";
