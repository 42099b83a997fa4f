//! The answer from sums at several temperatures, without another look at the rows.
//!
//! ```text
//! t = ln β;  at each node  f'(t), f''(t), f'''(t)  from the sums
//! the two nodes between which f' changes sign, and one more on either side
//! f' as the polynomial through all of that (Hermite, degree 11); its root is ln β*
//! f(t*) = f(node) + ∫ f'
//! ```
//!
//! How far the root moves when the farthest node is left out is told as the tolerance.

use libm::{exp, log};

use crate::fit::estimate::{AtEnd, Outcome, Prior, TemperatureFit};
use crate::fit::row::Depth;
use crate::fit::scan::Scan;
use crate::fit::solver::Slopes;

/// Derivatives that are known at a node: f', f'', f'''.
const ORDERS: usize = 3;

/// Nodes that a polynomial goes through.
const NODES: usize = 4;

/// One temperature of a scan.
#[derive(Clone, Copy)]
struct Node {
    t: f64,
    loss: f64,
    slope_squared: f64,
    /// f', f'', f''' of the loss alone.
    own: [f64; ORDERS],
    /// The same with the prior.
    whole: [f64; ORDERS],
}

impl TemperatureFit {
    /// The best temperature from a scan alone: what [`fit_temperature`](crate::fit_temperature) finds by going
    /// through the rows again, to the tolerance that the answer tells; the robust standard error to one percent.
    ///
    /// # Special values
    /// [`Outcome::OutOfRange`] where the best temperature is not between those of the scan; all other outcomes
    /// as in a fit. Without a node at or around τ = 1 the loss there and the p-value are NaN.
    ///
    /// # Example
    /// ```
    /// use softargmax::{FitOptions, Labels, Rows, Scan, TemperatureFit, fit_temperature};
    ///
    /// let logits = [4.0, 1.0, 0.0, 2.0, 3.0, 3.5, 0.5, 5.0, 1.0, 2.0, 2.5, 0.0f32];
    /// let (rows, labels) = (Rows::new(&logits, 3)?, Labels::new(&[0, 1, 1, 1], 3)?);
    /// let mut scan = Scan::over_octaves(3, -8, 8);
    /// scan.add(rows, labels, None)?;
    /// let merged = TemperatureFit::from_scan(&scan, None);
    /// let fitted = fit_temperature(rows, labels, &FitOptions::default())?;
    /// let tau = |fit: TemperatureFit| fit.estimate.unwrap().temperature.tau();
    /// assert!((tau(merged) / tau(fitted) - 1.0).abs() < 1e-7);
    /// # Ok::<(), softargmax::Error>(())
    /// ```
    pub fn from_scan(scan: &Scan, prior: Option<Prior>) -> TemperatureFit {
        let mut nodes = nodes(scan, prior);
        nodes.sort_by(|a, b| a.t.total_cmp(&b.t));
        nodes.dedup_by(|a, b| a.t == b.t);
        let mut fit = TemperatureFit::of(scan, Outcome::OutOfRange, 1);
        let at_one = loss_at(&nodes, 0.0);
        fit.nll_before = at_one / scan.weight.value();
        if let Some(outcome) = TemperatureFit::named(scan, prior) {
            fit.outcome = outcome;
            if scan.infinite > 0 {
                fit.nll_before = f64::INFINITY;
            }
            return fit;
        }
        if let Some(end) = end(&nodes, prior) {
            fit.converge(scan, &end, at_one);
        }
        fit
    }
}

fn nodes(scan: &Scan, prior: Option<Prior>) -> Vec<Node> {
    let node = |at| {
        // In ln β: f' = g, f'' = g + v, f''' = g + 3v + k.
        let in_t = |[g, v, k]: [f64; 3]| [g, g + v, g + 3.0 * v + k];
        let at: &crate::fit::scan::AtTemperature = at;
        let beta = at.tau.scale();
        let alone = [at.slope.value(), at.variance.value(), at.third.value()];
        let whole = Slopes::new(at, Depth::Full, beta, prior);
        Node {
            t: log(beta),
            loss: at.loss.value(),
            slope_squared: at.slope_squared.value(),
            own: in_t(alone),
            whole: in_t([whole.first, whole.second, whole.third]),
        }
    };
    let nodes = scan.sums.iter().map(node);
    // Below the range of f64 or above it, a node says nothing.
    nodes.filter(|node| node.t.is_finite() && node.whole.iter().all(|x| x.is_finite())).collect()
}

fn end(nodes: &[Node], prior: Option<Prior>) -> Option<AtEnd> {
    let right = nodes.iter().position(|node| node.whole[0] >= 0.0)?;
    if nodes[right].whole[0] == 0.0 {
        return Some(at(nodes, nodes[right].t, 1e-15, prior));
    }
    let left = right.checked_sub(1)?;
    let (from, to) = (nodes[left].t, nodes[right].t);
    let near = around(nodes, left);
    let root = |nodes: &[Node]| Hermite::new(nodes, |node| &node.whole).root(from, to);
    let t = root(near);
    // Without the node that is farthest from the root.
    let first_is_farther = t - near[0].t > near[near.len() - 1].t - t;
    let fewer = if near.len() == 2 {
        near // nothing can be left out: the width of the bracket says it
    } else if first_is_farther {
        &near[1..]
    } else {
        &near[..near.len() - 1]
    };
    let tolerance = if near.len() == 2 { to - from } else { (root(fewer) - t).abs() };
    Some(at(nodes, t, tolerance.max(1e-15), prior))
}

/// The sums at t.
fn at(nodes: &[Node], t: f64, tolerance: f64, prior: Option<Prior>) -> AtEnd {
    let left = nodes.iter().rposition(|node| node.t <= t).unwrap_or(0);
    let near = around(nodes, left);
    let own = Hermite::new(near, |node| &node.own);
    let (slope, curvature) = own.at(t);
    let stiffness = prior.map_or(0.0, |prior| 1.0 / (prior.sigma * prior.sigma));
    AtEnd {
        beta: exp(t),
        loss: loss_at(nodes, t),
        variance: curvature - slope,
        // Its logarithm is nearer to a polynomial.
        slope_squared: exp(lagrange(near, t, |node| log(node.slope_squared))),
        // At the end the prior's slope is the loss's, turned around.
        prior_curvature: if prior.is_some() { stiffness + slope } else { 0.0 },
        tolerance,
    }
}

/// The nodes on both sides of the stretch that begins with `left`.
fn around(nodes: &[Node], left: usize) -> &[Node] {
    let first = left.saturating_sub(NODES / 2 - 1).min(nodes.len().saturating_sub(NODES));
    &nodes[first..nodes.len().min(first + NODES)]
}

/// f(t), from the nearest node by the integral of f'; NaN where t is not between nodes.
fn loss_at(nodes: &[Node], t: f64) -> f64 {
    let Some(nearest) = nodes.iter().min_by(|a, b| (a.t - t).abs().total_cmp(&(b.t - t).abs()))
    else {
        return f64::NAN;
    };
    if nearest.t == t {
        return nearest.loss;
    }
    if t < nodes[0].t || t > nodes[nodes.len() - 1].t {
        return f64::NAN;
    }
    let left = nodes.iter().rposition(|node| node.t <= t).unwrap_or(0);
    let slope = Hermite::new(around(nodes, left), |node| &node.own);
    // Gauss–Legendre with six points: exact for the polynomial, which has degree 11.
    const POINTS: [(f64, f64); 3] = [
        (0.2386191860831969, 0.46791393457269104),
        (0.6612093864662645, 0.3607615730481386),
        (0.932469514203152, 0.17132449237917036),
    ];
    let half = 0.5 * (t - nearest.t);
    let middle = 0.5 * (t + nearest.t);
    let both = |(x, weight): (f64, f64)| {
        weight * (slope.at(middle - half * x).0 + slope.at(middle + half * x).0)
    };
    nearest.loss + half * POINTS.into_iter().map(both).sum::<f64>()
}

/// The value at t of the polynomial through one number of each node.
fn lagrange(nodes: &[Node], t: f64, number: impl Fn(&Node) -> f64) -> f64 {
    let term = |(i, node): (usize, &Node)| {
        let others = nodes.iter().enumerate().filter(|&(j, _)| j != i);
        others.fold(number(node), |p, (_, other)| p * (t - other.t) / (node.t - other.t))
    };
    nodes.iter().enumerate().map(term).sum()
}

/// f' between nodes: a polynomial in Newton's form.
struct Hermite {
    places: Vec<f64>,
    coefficients: Vec<f64>,
}

impl Hermite {
    /// Through f', f'' and f''' at each of the nodes.
    fn new(nodes: &[Node], slopes: impl Fn(&Node) -> &[f64; ORDERS]) -> Self {
        let places: Vec<f64> = nodes.iter().flat_map(|node| [node.t; ORDERS]).collect();
        let node_of = |i: usize| &nodes[i / ORDERS];
        let mut column: Vec<f64> = (0..places.len()).map(|i| slopes(node_of(i))[0]).collect();
        let mut coefficients = vec![column[0]];
        let factorial = [1.0, 1.0, 2.0];
        for order in 1..places.len() {
            column = (0..places.len() - order)
                .map(|i| {
                    let width = places[i + order] - places[i];
                    if width == 0.0 {
                        slopes(node_of(i))[order] / factorial[order]
                    } else {
                        (column[i + 1] - column[i]) / width
                    }
                })
                .collect();
            coefficients.push(column[0]);
        }
        Hermite { places, coefficients }
    }

    /// f' and f'' at t.
    fn at(&self, t: f64) -> (f64, f64) {
        let terms = self.coefficients.iter().zip(&self.places).rev();
        let (mut value, mut slope) = (0.0, 0.0);
        for (coefficient, place) in terms {
            slope = slope * (t - place) + value;
            value = value * (t - place) + coefficient;
        }
        (value, slope)
    }

    /// Where f' is 0, between `from`, where it is negative, and `to`: Newton's method in a bracket.
    fn root(&self, mut from: f64, mut to: f64) -> f64 {
        let mut t = 0.5 * (from + to);
        for _ in 0..200 {
            let (value, slope) = self.at(t);
            if value < 0.0 {
                from = t;
            } else {
                to = t;
            }
            let newton = t - value / slope;
            if (newton - t).abs() <= 2e-16 * t.abs().max(1.0) || value == 0.0 {
                return t;
            }
            t = if newton > from && newton < to { newton } else { 0.5 * (from + to) };
        }
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_comes_back() {
        // f' = t^11 − 3t² + 1 is what eleven degrees can hold.
        let node = |t: f64| {
            let own = [
                t.powi(11) - 3.0 * t * t + 1.0,
                11.0 * t.powi(10) - 6.0 * t,
                110.0 * t.powi(9) - 6.0,
            ];
            Node { t, loss: t.powi(12) / 12.0 - t.powi(3) + t, slope_squared: t, own, whole: own }
        };
        let nodes = [-1.0, -0.3, 0.5, 1.0].map(node);
        let hermite = Hermite::new(&nodes, |node| &node.own);
        for t in [-0.9, -0.1, 0.0, 0.3, 0.77] {
            let (value, slope) = hermite.at(t);
            assert!((value - node(t).own[0]).abs() < 1e-13, "{t}: {value}");
            assert!((slope - node(t).own[1]).abs() < 1e-12, "{t}: {slope}");
            assert!((loss_at(&nodes, t) - node(t).loss).abs() < 1e-13, "{t}");
            assert!((lagrange(&nodes, t, |node| node.slope_squared) - t).abs() < 1e-14);
        }
        assert!(loss_at(&nodes, 1.5).is_nan());
    }
}
