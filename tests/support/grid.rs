//! The grid that the promised accuracy is held against: temperature × distribution × size × offset × row length.
//!
//! ```text
//! x_i = offset + spread · z_i          z from a distribution; spread and offset absolute, or in units of τ
//! ```
//!
//! In units of τ every temperature gets rows with a spread of probabilities; absolute ones say what happens to ordinary
//! logits at an extraordinary temperature.

use super::number::Number;
use super::random::Random;

/// Decimal texts, meant exactly: the limits, numbers next to them, and those of papers in between.
///
/// (Statics, not constants: an optimiser that knows them unrolls everything below, for minutes.)
static TEMPERATURES: [&str; 24] = [
    "0", "5e-324", "1e-300", "1e-100", "1e-30", "1e-10", "1e-4", "0.01", "0.07", "0.1", "0.5", "1",
    "1.8", "4", "10", "1e3", "1e10", "1e20", "1e30", "1e38", "1e100", "1e300", "1e308", "inf",
];

/// Row lengths, up to the vocabularies of Llama 3 and Qwen 2.5.
static SHORT: [usize; 8] = [1, 2, 15, 16, 17, 31, 32, 33];
static MIDDLE: [usize; 8] = [127, 128, 129, 1000, 1023, 1024, 1025, 2065];
static LONG: [usize; 2] = [128_256, 152_064];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    Normal,
    Uniform,
    /// Normal, with one entry above all others by up to 300.
    Confident,
    /// Few different values, several maxima.
    Tied,
    /// Normal, one entry in three −∞.
    Masked,
    /// Evenly down to where the probability is 0, through all subnormal ones.
    Ladder,
}

static DISTRIBUTIONS: [Distribution; 6] = [
    Distribution::Normal,
    Distribution::Uniform,
    Distribution::Confident,
    Distribution::Tied,
    Distribution::Masked,
    Distribution::Ladder,
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    OfTau {
        spread: f64,
        offset: f64,
    },
    Absolute {
        spread: f64,
        offset: f64,
    },
    /// From end to end of the type.
    WholeRange,
}

static SIZES: [Size; 18] = [
    Size::OfTau { spread: 1.0, offset: 0.0 },
    Size::OfTau { spread: 8.0, offset: 0.0 },
    Size::OfTau { spread: 60.0, offset: 0.0 },
    Size::OfTau { spread: 1.0, offset: 100.0 },
    Size::OfTau { spread: 8.0, offset: -100.0 },
    Size::OfTau { spread: 1.0, offset: -4e4 },
    Size::OfTau { spread: 8.0, offset: 4.5e4 },
    Size::OfTau { spread: 60.0, offset: 5e4 },
    Size::OfTau { spread: 8.0, offset: 1e6 },
    Size::OfTau { spread: 60.0, offset: -1e8 },
    Size::Absolute { spread: 1.0, offset: 0.0 },
    Size::Absolute { spread: 8.0, offset: 0.0 },
    Size::Absolute { spread: 1.0, offset: 100.0 },
    Size::Absolute { spread: 8.0, offset: -1e4 },
    Size::Absolute { spread: 60.0, offset: 1e8 },
    Size::Absolute { spread: 1e6, offset: 0.0 },
    Size::Absolute { spread: 1e-6, offset: 1.0 },
    Size::WholeRange,
];

/// One row of the grid.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub tau: &'static str,
    pub distribution: Distribution,
    pub size: Size,
    pub classes: usize,
    seed: u64,
}

/// One row in so many is taken, by length.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub short: u64,
    pub middle: u64,
    pub long: u64,
}

/// The rows of the grid, the same ones on every run.
pub fn points(share: Share) -> Vec<Point> {
    let mut points = Vec::new();
    let lengths = [(&SHORT[..], share.short), (&MIDDLE, share.middle), (&LONG, share.long)];
    for (lengths, one_in) in lengths {
        for &classes in lengths {
            for distribution in DISTRIBUTIONS {
                for size in SIZES {
                    for (i, tau) in TEMPERATURES.into_iter().enumerate() {
                        let place = [classes as u64, distribution as u64, size.number(), i as u64];
                        let seed = place.iter().fold(7, |seed, n| Random::new(seed ^ n).bits());
                        if seed.is_multiple_of(one_in) {
                            points.push(Point { tau, distribution, size, classes, seed });
                        }
                    }
                }
            }
        }
    }
    points
}

impl Size {
    fn number(self) -> u64 {
        SIZES.iter().position(|&size| size == self).expect("it is one of them") as u64
    }
}

impl Point {
    /// The logits; `None` where they would leave the range of the type.
    pub fn logits<T: Number>(&self) -> Option<Vec<T>> {
        let tau: f64 = self.tau.parse().expect("a number");
        let (spread, offset, unit) = match self.size {
            Size::OfTau { spread, offset } => (spread, offset, tau),
            Size::Absolute { spread, offset } => (spread, offset, 1.0),
            Size::WholeRange => (1.0, 0.0, T::MAX),
        };
        let mut random = Random::new(self.seed);
        let classes = self.classes;
        let gap = [0.5, 3.0, 21.64, 60.0, 300.0][random.below(5)];
        let (top, clear) = (random.below(classes), random.below(classes));
        let mut logits = Vec::with_capacity(classes);
        for i in 0..classes {
            let z = match self.distribution {
                Distribution::Uniform => random.symmetric(),
                Distribution::Ladder => -(i as f64) / classes as f64,
                Distribution::Tied => random.normal().floor(),
                _ => random.normal(),
            };
            let x = match (self.size, self.distribution) {
                (Size::WholeRange, Distribution::Uniform | Distribution::Ladder) => z,
                (Size::WholeRange, _) => z / 6.0,
                (Size::OfTau { .. }, Distribution::Ladder) => z * T::DEPTH + offset,
                (_, Distribution::Confident) if i == top => (6.0 * spread + gap) + offset,
                _ => z * spread + offset,
            };
            let masked = self.distribution == Distribution::Masked && random.below(3) == 0;
            let masked = masked && i != clear;
            let x = T::of(if masked { f64::NEG_INFINITY } else { x * unit });
            if !masked && !(x.widen().abs() <= T::MAX) {
                return None;
            }
            logits.push(x);
        }
        Some(logits)
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = format!("{:?}", self.distribution).to_lowercase();
        write!(f, "τ = {}, {name} ", self.tau)?;
        match self.size {
            Size::OfTau { spread, offset } => write!(f, "({}) τ", linear(spread, offset))?,
            Size::Absolute { spread, offset } => write!(f, "{}", linear(spread, offset))?,
            Size::WholeRange => write!(f, "over the whole range")?,
        }
        write!(f, ", {} classes", self.classes)
    }
}

/// The grid in words, for the document.
pub fn description() -> String {
    let (mut of_tau, mut absolute) = (Vec::new(), Vec::new());
    for size in &SIZES {
        match size {
            Size::OfTau { spread, offset } => of_tau.push(linear(*spread, *offset)),
            Size::Absolute { spread, offset } => absolute.push(linear(*spread, *offset)),
            Size::WholeRange => {}
        }
    }
    let lengths: Vec<String> =
        [&SHORT[..], &MIDDLE, &LONG].concat().iter().map(usize::to_string).collect();
    format!(
        "- temperatures, meant exactly: {}\n\
         - distributions of z: normal; uniform in [−1, 1); confident (normal, and one entry above all by 0.5, 3, 21.64, 60\n  \
           or 300); tied (few different values); masked (normal, one entry in three −∞); ladder (evenly down to where the\n  \
           probability rounds to 0, through all the subnormal ones)\n\
         - logits in units of τ: {}\n\
         - logits whatever τ is: {}; and from end to end of the type\n\
         - row lengths: {}\n",
        TEMPERATURES.join(", "),
        of_tau.join(", "),
        absolute.join(", "),
        lengths.join(", "),
    )
}

fn linear(spread: f64, offset: f64) -> String {
    let sign = if offset < 0.0 { "−" } else { "+" };
    match (spread == 1.0, offset == 0.0) {
        (true, true) => "z".to_owned(),
        (false, true) => format!("{spread} z"),
        (true, false) => format!("z {sign} {}", offset.abs()),
        (false, false) => format!("{spread} z {sign} {}", offset.abs()),
    }
}
