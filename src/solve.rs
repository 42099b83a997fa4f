//! The inverse question: which temperature gives this entropy, perplexity or maximum?
//!
//! ```text
//! H falls and max p rises as β = 1/τ grows, both monotonically, between their limits at τ = ∞ and τ = 0.
//! u = ln β;   dH/du = −β² Var[x],   d(max p)/du = β max p (m − E[x])
//! Newton on ln |value − nearer limit|, in u or in β, inside a bracket that is halved where Newton leaves it
//! ```
//!
//! The logarithm is what makes Newton fast. Towards τ = ∞ the distance to the limit is proportional to β²:
//! its logarithm is a straight line in u. Towards τ = 0 it falls like e^(−β·gap): a straight line in β.

use crate::double::Double;
use crate::element::Element;
use crate::error::Error;
use crate::exp::{exp, ln_sum};
use crate::interrupt::heed;
use crate::rows::Rows;
use crate::statistics::{Statistics, statistics};
use crate::temperature::Temperature;

/// What the distribution is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// An entropy, in nats.
    Entropy(f64),
    /// A perplexity exp(H); over several rows that of their mean entropy.
    Perplexity(f64),
    /// A largest probability; over several rows the mean of their largest.
    MaxProbability(f64),
}

/// The answer to [`solve_temperature`]. Out of reach is a name, never a clipped number.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Solution {
    /// This temperature gives it.
    Found {
        /// The temperature; [`Temperature::ZERO`] or [`Temperature::INFINITE`] where only a limit does.
        temperature: Temperature,
        /// What the rows have at that temperature, in the quantity asked for.
        attained: f64,
        /// How often the statistics of the rows were taken after the two limits.
        iterations: u32,
    },
    /// The target is below what the rows have at any temperature.
    BelowReach {
        /// The least they have: at τ = 0 for an entropy, at τ = ∞ for a largest probability.
        lowest: f64,
    },
    /// The target is above what the rows have at any temperature.
    AboveReach {
        /// The most they have: at τ = ∞ for an entropy, at τ = 0 for a largest probability.
        highest: f64,
    },
    /// Every temperature gives it: in each row all logits that are not −∞ are equal.
    Any {
        /// What the rows have.
        value: f64,
    },
}

/// The temperature at which the rows have, in the mean, a given entropy, perplexity or largest
/// probability: `mean_r H(softmax(x_r/τ)) = target`, solved for τ.
///
/// # Shapes
/// `[rows, classes]` to one answer; of no rows there is none, which is an error.
///
/// # Accuracy
/// The quantity, taken at the returned temperature, differs from the target by no more than a few
/// roundings of f64 of the quantity or, where the temperature is the worse conditioned, by what one
/// rounding of τ makes.
///
/// # Special values
/// A target that only a limit has gives [`Temperature::ZERO`] or [`Temperature::INFINITE`]; one beyond the
/// limits is [`Solution::BelowReach`] or [`Solution::AboveReach`]; rows that look the same at every
/// temperature give [`Solution::Any`] or one of those.
///
/// # Errors
/// [`Error::Row`] for a row with a NaN, an entry of +∞, or nothing but −∞; [`Error::Target`] for a
/// target that no distribution has: NaN, an entropy below 0, a perplexity below 1, a probability outside
/// (0, 1]; [`Error::NoRows`] for no rows.
///
/// # Example
/// ```
/// use softargmax::{Rows, Solution, Target, solve_temperature, statistics};
///
/// let rows = Rows::one(&[1.0, 5.0, 7.0, 10.0])?;
/// let Solution::Found { temperature, .. } = solve_temperature(rows, Target::Perplexity(2.0))? else {
///     panic!("a perplexity of 2 is between 1 and 4");
/// };
/// assert!((statistics(rows, temperature)?[0].perplexity - 2.0).abs() < 1e-14);
///
/// let above = solve_temperature(rows, Target::Perplexity(5.0))?;
/// assert!(matches!(above, Solution::AboveReach { highest: 4.0 }));
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// The per-row search for a perplexity is that of van der Maaten & Hinton 2008, section 2, there by
/// bisection.
pub fn solve_temperature<T: Element>(
    logits: Rows<'_, T>,
    target: Target,
) -> Result<Solution, Error> {
    let target = target.checked()?;
    if logits.rows() == 0 {
        return Err(Error::NoRows);
    }
    solve(logits, 0, target)
}

/// [`solve_temperature`] for each row by itself.
///
/// # Shapes
/// `[rows, classes]` to `[rows]`.
///
/// # Errors
/// As [`solve_temperature`]; no rows are fine and give no answers.
///
/// # Example
/// ```
/// use softargmax::{Rows, Solution, Target, solve_temperature_per_row};
///
/// let rows = Rows::new(&[0.0f32, 1.0, 0.0, 2.0], 2)?;
/// let answers = solve_temperature_per_row(rows, Target::MaxProbability(0.75))?;
/// let taus: Vec<f64> = answers
///     .iter()
///     .map(|answer| match answer {
///         Solution::Found { temperature, .. } => temperature.tau(),
///         _ => f64::NAN,
///     })
///     .collect();
/// assert_eq!(taus[1], 2.0 * taus[0]); // twice the gap, twice the temperature
/// # Ok::<(), softargmax::Error>(())
/// ```
pub fn solve_temperature_per_row<T: Element>(
    logits: Rows<'_, T>,
    target: Target,
) -> Result<Vec<Solution>, Error> {
    let target = target.checked()?;
    logits.iter().enumerate().map(|(i, row)| solve(Rows::one(row)?, i, target)).collect()
}

impl Target {
    fn checked(self) -> Result<Target, Error> {
        let (what, got, possible) = match self {
            Target::Entropy(entropy) => ("entropy", entropy, entropy >= 0.0),
            Target::Perplexity(perplexity) => ("perplexity", perplexity, perplexity >= 1.0),
            Target::MaxProbability(p) => ("max probability", p, p > 0.0 && p <= 1.0),
        };
        if possible { Ok(self) } else { Err(Error::Target { what, got }) }
    }

    /// The value to reach in the quantity that is averaged.
    fn value(self) -> f64 {
        match self {
            Target::Entropy(entropy) => entropy,
            // By the function that gives the limits too, so that 3 classes reach 3 exactly.
            Target::Perplexity(perplexity) => ln_sum(1.0, Double::from(perplexity - 1.0)).hi,
            Target::MaxProbability(p) => p,
        }
    }

    /// From what is averaged to what was asked for.
    fn shown(self, value: f64) -> f64 {
        match self {
            Target::Perplexity(perplexity) if value == self.value() => perplexity,
            Target::Perplexity(_) => {
                // ln of a whole number reads back as that number.
                let (shown, whole) = (exp(value), exp(value).round());
                if ln_sum(1.0, Double::from(whole - 1.0)).hi == value { whole } else { shown }
            }
            _ => value,
        }
    }

    /// What one row contributes, and its derivative with respect to ln β.
    fn of(self, row: &Statistics, max: f64, beta: f64) -> (f64, f64) {
        match self {
            Target::Entropy(_) | Target::Perplexity(_) => {
                (row.entropy, -beta * beta * row.variance)
            }
            Target::MaxProbability(_) => {
                (row.max_probability, beta * row.max_probability * (max - row.mean))
            }
        }
    }
}

/// The rows with what the search needs of them.
struct Problem<'a, T> {
    logits: Rows<'a, T>,
    maxima: Vec<f64>,
    target: Target,
    evaluations: u32,
}

impl<T: Element> Problem<'_, T> {
    /// The rows' mean of the quantity, and its derivative with respect to ln β.
    fn at(&mut self, tau: Temperature) -> Result<(f64, f64), Error> {
        heed();
        self.evaluations += 1;
        Ok(self.mean(&statistics(self.logits, tau)?, tau))
    }

    fn mean(&self, rows: &[Statistics], tau: Temperature) -> (f64, f64) {
        let (mut value, mut slope) = (0.0, 0.0);
        for (row, max) in rows.iter().zip(&self.maxima) {
            let (of_row, slope_of_row) = self.target.of(row, *max, tau.scale());
            value += of_row;
            slope += slope_of_row;
        }
        let rows = self.maxima.len() as f64;
        (value / rows, slope / rows)
    }
}

fn solve<T: Element>(logits: Rows<'_, T>, first: usize, target: Target) -> Result<Solution, Error> {
    let at_zero = statistics(logits, Temperature::ZERO)?;
    for (i, row) in at_zero.iter().enumerate() {
        let reason = match row.mean {
            _ if row.arg_max.is_none() && row.log_sum_exp == f64::NEG_INFINITY => {
                "every entry is -inf: it has no distribution"
            }
            _ if row.arg_max.is_none() => "it holds a NaN",
            mean if mean == f64::INFINITY => "it holds inf: no temperature changes it",
            _ => continue,
        };
        return Err(Error::Row { row: first + i, reason });
    }
    // At τ = 0 the mean of a row is its maximum.
    let maxima = at_zero.iter().map(|row| row.mean).collect();
    let mut problem = Problem { logits, maxima, target, evaluations: 0 };
    let at_infinity = statistics(logits, Temperature::INFINITE)?;
    let (cold, _) = problem.mean(&at_zero, Temperature::ZERO);
    let (hot, _) = problem.mean(&at_infinity, Temperature::INFINITE);
    let (value, low, high) = (target.value(), cold.min(hot), cold.max(hot));
    if value < low {
        return Ok(Solution::BelowReach { lowest: target.shown(low) });
    }
    if value > high {
        return Ok(Solution::AboveReach { highest: target.shown(high) });
    }
    if low == high {
        return Ok(Solution::Any { value: target.shown(value) });
    }
    for (limit, temperature) in [(cold, Temperature::ZERO), (hot, Temperature::INFINITE)] {
        if value == limit {
            let attained = target.shown(value);
            return Ok(Solution::Found { temperature, attained, iterations: 0 });
        }
    }
    let (temperature, attained) = search(&mut problem, value, [cold, hot], spread(&at_infinity))?;
    let attained = target.shown(attained);
    Ok(Solution::Found { temperature, attained, iterations: problem.evaluations })
}

/// τ between the limits, and the value there. `value` lies strictly between `cold` and `hot`.
fn search<T: Element>(
    problem: &mut Problem<'_, T>,
    value: f64,
    [cold, hot]: [f64; 2],
    from: f64,
) -> Result<(Temperature, f64), Error> {
    // Distances from the limit that is nearer: there they have the most digits.
    let limit = if (value - cold).abs() < (value - hot).abs() { cold } else { hot };
    let wanted = (value - limit).abs();
    // τ, not ln β, is what is searched, for its relative accuracy; both ends are exclusive.
    let (mut below, mut above) = (0.0, f64::INFINITY);
    let mut tau = from;
    let mut best = (f64::INFINITY, tau, f64::NAN);
    let mut stride = 2.0;
    for _ in 0..200 {
        let (got, slope) = problem.at(Temperature::new(tau)?)?;
        let error = (got - value).abs();
        if error < best.0 {
            best = (error, tau, got);
        }
        if error == 0.0 {
            break;
        }
        // The colder side of the root, in either quantity.
        if (got > value) == (cold > hot) {
            below = tau;
        } else {
            above = tau;
        }
        let gap = (got - limit).abs();
        // d ln|got − limit| / d ln β; where the gap is lost to rounding it is no number, nor is Newton.
        let change = (wanted / gap).ln() / (slope / (got - limit));
        if change.abs() <= f64::EPSILON {
            break; // what is left is below the rounding of τ
        }
        let newton = if limit == cold { tau / (1.0 + change) } else { tau * (-change).exp() };
        let next = if newton > below && newton < above && newton.is_finite() {
            newton
        } else if below == 0.0 {
            stride *= stride;
            (tau / stride).max(tau * 1e-3).max(f64::from_bits(1))
        } else if above == f64::INFINITY {
            stride *= stride;
            (tau * stride).min(tau * 1e3).min(f64::MAX)
        } else {
            below.sqrt() * above.sqrt()
        };
        if next == tau || next <= below || next >= above {
            break;
        }
        tau = next;
    }
    Ok((Temperature::new(best.1)?, best.2))
}

/// The spread of the logits: at that temperature their differences are of the order of 1.
fn spread(uniform: &[Statistics]) -> f64 {
    let variance = uniform.iter().map(|row| row.variance).sum::<f64>() / uniform.len() as f64;
    let spread = variance.sqrt();
    if spread > 0.0 && spread.is_finite() { spread } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(logits: &[f64], target: Target) -> (f64, f64, u32) {
        match solve_temperature(Rows::one(logits).unwrap(), target).unwrap() {
            Solution::Found { temperature, attained, iterations } => {
                (temperature.tau(), attained, iterations)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn known_temperatures_are_found_again() {
        let logits = [1.0, 5.0, 7.0, 10.0, -3.0, 2.5];
        for tau in [0.05, 0.1, 0.3, 1.0, 2.0, 7.0, 100.0, 1e4, 1e6] {
            let at =
                statistics(Rows::one(&logits).unwrap(), Temperature::new(tau).unwrap()).unwrap()[0];
            for (target, wanted) in [
                (Target::Entropy(at.entropy), at.entropy),
                (Target::Perplexity(at.perplexity), at.perplexity),
                (Target::MaxProbability(at.max_probability), at.max_probability),
            ] {
                let (got, attained, iterations) = found(&logits, target);
                assert!((attained - wanted).abs() <= 1e-14 * wanted, "{target:?}: {attained}");
                assert!(iterations <= 12, "{target:?}: {iterations}");
                // Near a limit the quantity says little about τ; elsewhere it is sharp.
                if (0.3..100.0).contains(&tau) {
                    assert!((got / tau - 1.0).abs() < 1e-12, "{target:?}: {got} for {tau}");
                }
            }
        }
    }

    #[test]
    fn small_entropies_keep_their_digits() {
        for wanted in [1e-300, 1e-30, 1e-6] {
            let (_, attained, iterations) = found(&[0.0, 3.0], Target::Entropy(wanted));
            assert!((attained / wanted - 1.0).abs() < 1e-10, "{wanted:e}: {attained:e}");
            assert!(iterations <= 12, "{iterations}");
        }
    }

    #[test]
    fn extreme_logits() {
        for scale in [1e-300, 1e-30, 1e30, 1e300] {
            let logits = [scale, 2.0 * scale, 4.0 * scale];
            let (tau, attained, _) = found(&logits, Target::Perplexity(2.0));
            let (unit, _, _) = found(&[1.0, 2.0, 4.0], Target::Perplexity(2.0));
            assert!((attained - 2.0).abs() < 1e-13, "{attained}");
            assert!((tau / scale / unit - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn limits_are_limits_and_out_of_reach_is_named() {
        let rows = |logits: &'static [f64]| Rows::one(logits).unwrap();
        let solve = |logits, target| solve_temperature(rows(logits), target).unwrap();
        let is = |solution, expected: Temperature| matches!(solution, Solution::Found { temperature, .. } if temperature == expected);
        assert!(is(solve(&[1.0, 2.0, 3.0], Target::Perplexity(3.0)), Temperature::INFINITE));
        assert!(is(solve(&[1.0, 2.0, 3.0], Target::Entropy(0.0)), Temperature::ZERO));
        assert!(is(solve(&[1.0, 3.0, 3.0], Target::MaxProbability(0.5)), Temperature::ZERO));
        assert_eq!(
            solve(&[1.0, 3.0, 3.0], Target::MaxProbability(0.6)),
            Solution::AboveReach { highest: 0.5 }
        );
        assert_eq!(
            solve(&[1.0, 3.0, 3.0], Target::Perplexity(1.5)),
            Solution::BelowReach { lowest: 2.0 }
        );
        assert_eq!(solve(&[3.0, 3.0, 3.0], Target::Perplexity(3.0)), Solution::Any { value: 3.0 });
        assert_eq!(
            solve(&[2.0, 2.0, f64::NEG_INFINITY], Target::MaxProbability(0.5)),
            Solution::Any { value: 0.5 }
        );
        assert_eq!(
            solve(&[3.0, 3.0], Target::MaxProbability(0.4)),
            Solution::BelowReach { lowest: 0.5 }
        );
    }

    #[test]
    fn refusals_name_the_row() {
        let logits = [1.0, 2.0, f64::NAN, 0.0];
        let rows = Rows::new(&logits, 2).unwrap();
        for answer in [
            solve_temperature(rows, Target::Entropy(0.1)).map(|_| ()),
            solve_temperature_per_row(rows, Target::Entropy(0.1)).map(|_| ()),
        ] {
            assert!(matches!(answer, Err(Error::Row { row: 1, .. })), "{answer:?}");
        }
        for bad in [
            Target::Entropy(-0.1),
            Target::Entropy(f64::NAN),
            Target::Perplexity(0.9),
            Target::MaxProbability(0.0),
            Target::MaxProbability(1.1),
        ] {
            assert!(matches!(solve_temperature(rows, bad), Err(Error::Target { .. })));
        }
        let none: &[f64] = &[];
        let none = Rows::new(none, 3).unwrap();
        assert_eq!(solve_temperature(none, Target::Entropy(0.5)), Err(Error::NoRows));
        assert_eq!(solve_temperature_per_row(none, Target::Entropy(0.5)), Ok(vec![]));
    }

    #[test]
    fn many_rows_meet_the_target_in_the_mean() {
        let logits: Vec<f32> = (0..400).map(|i| ((i * 37) % 101) as f32 * 0.1).collect();
        let rows = Rows::new(&logits, 10).unwrap();
        let Solution::Found { temperature, .. } =
            solve_temperature(rows, Target::MaxProbability(0.6)).unwrap()
        else {
            panic!()
        };
        let mean =
            statistics(rows, temperature).unwrap().iter().map(|s| s.max_probability).sum::<f64>();
        assert!((mean / 40.0 - 0.6).abs() < 1e-14);
    }
}
