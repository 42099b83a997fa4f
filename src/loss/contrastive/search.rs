//! Temperatures read off a curve.
//!
//! ```text
//! lowest loss    dL/d(1/τ) = 0          known with its slope, d²L/d(1/τ)², at every point of the curve
//! entropy        H(τ) = what is wanted  known with its slope, Var_r(s)/τ²
//! ```
//!
//! Both go one way along ln τ. Between the two points where the sign changes, the cubic that has their values and slopes
//! is followed to its zero by bisection: with 49 points from 0.01 to 1 that is right to about 1e-6.

use crate::loss::contrastive::curve::CurvePoint;
use crate::temperature::Temperature;

/// The temperature of the lowest loss on a curve, or nothing where that is at an end of it: where the loss still falls
/// towards lower temperatures (every positive is nearer than every negative), or towards higher ones.
///
/// The loss is convex in 1/τ, so there is one at most.
///
/// # Accuracy
/// That of cubic interpolation of the derivative in ln τ: with points a factor of 1.1 apart about 1e-6.
///
/// # Special values
/// Points at τ = ∞ are left out; points may be in any order.
///
/// # Example
/// ```
/// use softargmax::{ContrastCurve, Rows, Temperature, Vectors, curve_optimum};
///
/// // One query is right by 0.5, one is wrong by 0.3: ln(1 + e^(−0.5/τ)) + ln(1 + e^(0.3/τ)) is lowest at τ = 0.83.
/// let queries = Rows::new(&[0.5, 0.0, 0.3, 0.0], 2)?;
/// let keys = Rows::new(&[1.0, 0.0, 0.0, 1.0], 2)?;
/// let taus: Vec<_> = (0..49).map(|i| Temperature::new(0.1 * 1.1f64.powi(i))).collect::<Result<_, _>>()?;
/// let mut curve = ContrastCurve::new(queries, keys, &taus, Vectors::AsGiven)?;
/// curve.add_batch(keys, 0)?;
/// let tau = curve_optimum(&curve.points(|_| true)?).unwrap().tau();
/// let slope = -0.5 / (1.0 + (0.5 / tau).exp()) + 0.3 / (1.0 + (-0.3 / tau).exp());
/// assert!(slope.abs() < 1e-5);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Guo et al. 2017, "On calibration of modern neural networks", section 4.2, of the distribution over keys.
pub fn curve_optimum(points: &[CurvePoint]) -> Option<Temperature> {
    // In ln τ the slope of dL/d(1/τ) is −d²L/d(1/τ)²/τ. It falls from below 0 upward in 1/τ, so rises in −ln τ.
    crossing(points, |p| (-p.slope, p.curvature * p.tau.scale()))
}

/// The temperature at which exp of the mean entropy of r, the [`perplexity`](CurvePoint::perplexity), is `negatives`, or
/// nothing where that is not on the curve.
///
/// # Accuracy, special values
/// As [`curve_optimum`].
///
/// # Example
/// ```
/// use softargmax::{ContrastCurve, Rows, Temperature, Vectors, curve_at_perplexity};
///
/// let query = Rows::new(&[1.0, 0.0], 2)?;
/// let negatives = Rows::new(&[0.6, 0.8, 0.0, 1.0], 2)?;
/// let taus: Vec<_> = (0..49).map(|i| Temperature::new(0.01 * 1.1f64.powi(i))).collect::<Result<_, _>>()?;
/// let mut curve = ContrastCurve::new(query, query, &taus, Vectors::Unit)?;
/// curve.add(negatives, None)?;
/// let tau = curve_at_perplexity(&curve.points(|_| true)?, 1.5).unwrap();
/// let mut there = ContrastCurve::new(query, query, &[tau], Vectors::Unit)?;
/// there.add(negatives, None)?;
/// assert!((there.points(|_| true)?[0].perplexity() - 1.5).abs() < 1e-5);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wang & Liu 2021, "Understanding the behaviour of contrastive loss", section 3.2.
pub fn curve_at_perplexity(points: &[CurvePoint], negatives: f64) -> Option<Temperature> {
    let wanted = libm::log(negatives);
    crossing(points, |p| (p.entropy - wanted, p.entropy_slope))
}

/// Where a quantity that rises with ln τ is 0; `of` gives it and its slope in ln τ.
fn crossing(points: &[CurvePoint], of: impl Fn(&CurvePoint) -> (f64, f64)) -> Option<Temperature> {
    let mut points: Vec<&CurvePoint> = points.iter().filter(|p| !p.tau.is_infinite()).collect();
    points.sort_by(|a, b| a.tau.tau().total_cmp(&b.tau.tau()));
    let pair = points.windows(2).find(|pair| of(pair[0]).0 < 0.0 && of(pair[1]).0 >= 0.0)?;
    let ((left, left_slope), (right, right_slope)) = (of(pair[0]), of(pair[1]));
    let from = libm::log(pair[0].tau.tau());
    let step = libm::log(pair[1].tau.tau()) - from;
    // Hermite's cubic of t from 0 to 1.
    let at = |t: f64| {
        let (u, both) = (1.0 - t, t * (1.0 - t));
        left * u * u * (1.0 + 2.0 * t)
            + right * t * t * (3.0 - 2.0 * t)
            + step * both * (left_slope * u - right_slope * t)
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if at(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Temperature::new(libm::exp(from + step * high)).ok()
}
