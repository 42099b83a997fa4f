//! What does not need a hypothesis: counts beside what was expected, cell by cell and in the tails.
//!
//! ```text
//! sort the row's classes by probability, the largest first
//! χ²     = Σ over cells (drawn − expected)² / expected, a cell being a class, or classes next to each other in
//!          that order, of which at least 5 draws are expected
//! tail   = the classes at the end of that order whose mass is at most 1/10, 1/100, …, as long as 10 are expected
//! beyond = what was expected behind the last class that was drawn at all
//! ```
//!
//! χ² adds up over rows, with its degrees of freedom, and so do the tails.

use libm::{exp, log1p};
use serde::Serialize;

use super::chance::{chi_square_at_least, poisson_at_least, poisson_at_most};

/// Cells of fewer expected draws are pooled: the usual rule of five (Cochran, Biometrics 10(4), 1954).
const EXPECTED_IN_CELL: f64 = 5.0;
/// Of fewer, a tail says nothing.
const EXPECTED_IN_TAIL: f64 = 10.0;
/// The masses of the tails: 10^-1 to 10^-9.
const TAILS: usize = 9;

/// A class with its probability, and how often it was drawn.
#[derive(Clone, Copy, Default)]
struct Cell {
    class: usize,
    p: f64,
    drawn: u64,
}

/// A row in the order of its probabilities.
pub(super) struct Ranked {
    /// The classes that can be drawn.
    cells: Vec<Cell>,
    draws: u64,
    /// behind[r] is the mass of ranks r and above; one more than there are cells.
    behind: Vec<f64>,
}

impl Ranked {
    /// `probabilities` of every class, `counts` of those that were drawn. Draws of the impossible are left out.
    pub(super) fn new(probabilities: &[f64], counts: &[(usize, u64)]) -> Self {
        let mut drawn = vec![0; probabilities.len()];
        counts.iter().for_each(|&(class, count)| drawn[class] += count);
        let cells = probabilities.iter().zip(drawn).enumerate();
        let mut cells: Vec<Cell> =
            cells.map(|(class, (&p, drawn))| Cell { class, p, drawn }).collect();
        cells.retain(|cell| cell.p > 0.0);
        // Stable: of equal probabilities, the lower class first.
        cells.sort_by(|a, b| b.p.total_cmp(&a.p));
        let mut behind = vec![0.0; cells.len() + 1];
        for rank in (0..cells.len()).rev() {
            behind[rank] = behind[rank + 1] + cells[rank].p;
        }
        let draws = cells.iter().map(|cell| cell.drawn).sum();
        Self { cells, draws, behind }
    }
}

/// Pearson's test.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ChiSquare {
    pub(crate) statistic: f64,
    pub(crate) degrees: u64,
    pub(crate) p_value: f64,
}

/// The class whose count is furthest from what was expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlier {
    pub(crate) row: usize,
    pub(crate) class: usize,
    pub(crate) drawn: u64,
    pub(crate) expected: f64,
    /// Drawn − expected, in about as many standard deviations.
    pub(crate) z: f64,
}

/// How often the least probable classes were drawn.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Tail {
    /// The most mass that it has in any row.
    pub(crate) mass: f64,
    /// Where it begins: how many classes are more probable. Of one row only.
    pub(crate) from_rank: Option<usize>,
    pub(crate) drawn: u64,
    pub(crate) expected: f64,
    /// Drawn − expected, in standard deviations.
    pub(crate) z: f64,
    /// Two-sided, of a Poisson variable, which the sum of rare draws is next to.
    pub(crate) p_value: f64,
}

/// What was never drawn: of one row, all that is less probable than everything that was.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Beyond {
    /// How many classes are at least as probable as the rarest that was drawn.
    pub(crate) ranks: usize,
    pub(crate) mass: f64,
    pub(crate) expected: f64,
    /// How probable it is that none is drawn from there on.
    pub(crate) p_value: f64,
}

/// What rows add up to.
#[derive(Default)]
pub(super) struct Sums {
    rows: usize,
    chi_square: ChiSquare,
    outlier: Option<Outlier>,
    tails: [TailSum; TAILS],
    beyond: Option<Beyond>,
}

#[derive(Clone, Copy, Default)]
struct TailSum {
    from_rank: usize,
    drawn: u64,
    expected: f64,
    variance: f64,
}

impl Sums {
    pub(super) fn add(&mut self, row: &Ranked) {
        self.add_cells(row);
        for (power, sum) in (1..).zip(&mut self.tails) {
            let mass = mass(power);
            sum.from_rank = row.behind.partition_point(|&behind| behind > mass);
            let share = row.behind[sum.from_rank];
            sum.drawn += row.cells[sum.from_rank..].iter().map(|cell| cell.drawn).sum::<u64>();
            sum.expected += row.draws as f64 * share;
            sum.variance += row.draws as f64 * share * (1.0 - share);
        }
        let last = row.cells.iter().rposition(|cell| cell.drawn > 0);
        self.beyond = last.map(|last| {
            let (ranks, mass) = (last + 1, row.behind[last + 1]);
            let expected = mass * row.draws as f64;
            Beyond { ranks, mass, expected, p_value: exp(row.draws as f64 * log1p(-mass)) }
        });
        self.rows += 1;
    }

    fn add_cells(&mut self, row: &Ranked) {
        let draws = row.draws as f64;
        let mut pooled: Vec<(f64, f64)> = Vec::new();
        let mut pool = (0.0, 0.0);
        for &Cell { class, p, drawn } in &row.cells {
            let expected = p * draws;
            let is_rare = expected < EXPECTED_IN_CELL;
            if p < 1.0 && !(is_rare && drawn as f64 <= expected) {
                let z = match is_rare {
                    // The square root of a Poisson variable deviates by about a half; that of so rare a one, less.
                    true => 2.0 * ((drawn as f64).sqrt() - expected.sqrt()),
                    false => (drawn as f64 - expected) / (expected * (1.0 - p)).sqrt(),
                };
                if self.outlier.is_none_or(|most| z.abs() > most.z.abs()) {
                    self.outlier = Some(Outlier { row: self.rows, class, drawn, expected, z });
                }
            }
            pool.0 += expected;
            pool.1 += drawn as f64;
            if pool.0 >= EXPECTED_IN_CELL {
                pooled.push(std::mem::take(&mut pool));
            }
        }
        if let Some(last) = pooled.last_mut() {
            last.0 += pool.0;
            last.1 += pool.1;
            let term = |&(expected, drawn): &(f64, f64)| (drawn - expected).powi(2) / expected;
            self.chi_square.degrees += pooled.len() as u64 - 1;
            self.chi_square.statistic += pooled.iter().map(term).sum::<f64>();
        }
    }

    /// Pearson's test, and the class whose count is furthest from what was expected.
    pub(super) fn chi_square(&self) -> (ChiSquare, Option<Outlier>) {
        let ChiSquare { statistic, degrees, .. } = self.chi_square;
        let p_value = chi_square_at_least(statistic, degrees);
        (ChiSquare { statistic, degrees, p_value }, self.outlier)
    }

    /// From the largest to the smallest, those of which enough was expected.
    pub(super) fn tails(&self) -> Vec<Tail> {
        let mut tails: Vec<Tail> = Vec::new();
        for (power, &TailSum { from_rank, drawn, expected, variance }) in (1..).zip(&self.tails) {
            // A class of much mass may stand before two tails.
            let is_new = tails.last().is_none_or(|last| last.expected != expected);
            if expected >= EXPECTED_IN_TAIL && is_new {
                let sides = [poisson_at_most(drawn, expected), poisson_at_least(drawn, expected)];
                tails.push(Tail {
                    mass: mass(power),
                    from_rank: (self.rows == 1).then_some(from_rank),
                    drawn,
                    expected,
                    z: (drawn as f64 - expected) / variance.sqrt(),
                    p_value: (2.0 * sides[0].min(sides[1])).min(1.0),
                });
            }
        }
        tails
    }

    /// Of one row only.
    pub(super) fn beyond(&self) -> Option<Beyond> {
        self.beyond.filter(|_| self.rows == 1)
    }
}

/// The most mass of a tail.
fn mass(power: i32) -> f64 {
    10f64.powi(-power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(rows: &[Ranked]) -> Sums {
        let mut sums = Sums::default();
        rows.iter().for_each(|row| sums.add(row));
        sums
    }

    #[test]
    fn cells_are_pooled_until_five_are_expected() {
        // 100 draws: expected 60, 30, then 4 + 3, then 2 + 1 left over, which joins the cell before.
        let p = [0.03, 0.6, 0.02, 0.3, 0.04, 0.01];
        let counts = [(0, 4), (1, 50), (2, 2), (3, 40), (4, 3), (5, 1)];
        let (test, outlier) = sums(&[Ranked::new(&p, &counts)]).chi_square();
        assert_eq!(test.degrees, 2);
        let expected = 100.0 / 60.0 + 100.0 / 30.0;
        assert!((test.statistic - expected).abs() < 1e-12, "{test:?}");
        assert!((test.p_value - (-expected / 2.0f64).exp()).abs() < 1e-14, "{test:?}");
        let outlier = outlier.expect("a class");
        assert_eq!((outlier.class, outlier.drawn, outlier.expected), (3, 40, 30.0));
        // One that hardly ever comes, and came.
        let often = [(0, 4), (1, 60), (2, 2), (3, 26), (4, 3), (5, 14)];
        let (_, outlier) = sums(&[Ranked::new(&p, &often)]).chi_square();
        let outlier = outlier.expect("a class");
        assert_eq!((outlier.class, outlier.drawn), (5, 14));
        // Rows add up; one with too few draws for two cells adds nothing.
        let few = Ranked::new(&p, &[(1, 5)]);
        assert_eq!(sums(&[Ranked::new(&p, &counts), few]).chi_square().0.degrees, 2);
        let (both, _) = sums(&[Ranked::new(&p, &counts), Ranked::new(&p, &counts)]).chi_square();
        assert_eq!(both.degrees, 4);
        assert!((both.statistic - 2.0 * test.statistic).abs() < 1e-12);
    }

    #[test]
    fn a_tail_holds_what_its_mass_allows() {
        // Ranks: 0.9, 0.06, 0.04: the tail of a tenth is the last two, that of a hundredth is empty.
        let tails =
            sums(&[Ranked::new(&[0.06, 0.9, 0.04], &[(0, 30), (1, 1800), (2, 170)])]).tails();
        assert_eq!(tails.len(), 1);
        let Tail { from_rank, drawn, expected, z, .. } = tails[0];
        assert_eq!((from_rank, drawn), (Some(1), 200));
        assert!((expected - 200.0).abs() < 1e-9 && z.abs() < 1e-9, "{tails:?}");
    }

    #[test]
    fn what_was_never_drawn_is_as_probable_as_a_miss_of_every_draw() {
        let row = Ranked::new(&[0.5, 0.25, 0.25], &[(0, 10)]);
        let beyond = sums(&[row]).beyond().expect("a row");
        assert_eq!((beyond.ranks, beyond.mass, beyond.expected), (1, 0.5, 5.0));
        assert!((beyond.p_value - 0.5f64.powi(10)).abs() < 1e-15);
        assert!(sums(&[Ranked::new(&[1.0], &[])]).beyond().is_none());
    }
}
