//! The least value of a smooth convex function of many variables, by Newton's method without its matrix.
//!
//! ```text
//! repeat   g = ∇f(x)
//!          d ≈ −H⁻¹ g by conjugate gradients, preconditioned with the diagonal of H; the system is solved
//!              only as far as pays: until its residual is √(|g| / first |g|) of g, between 1/2 and 1/100
//!          stop where −g·d, twice what a full step promises, is below the tolerance
//!          x + t d for t = 1, ½, ¼ … until f falls by 1e-4 of what the slope promises
//! ```
//!
//! Close to the end a fall of f drowns in the rounding of f while its gradient is still sharp. So a step also
//! counts where f rises by rounding at most and the slope along d has halved (the approximate condition of Hager &
//! Zhang, SIAM J. Optim. 16(1), 2005, eq. 4.1). Everything is added up in one order: the same bits on every run.
//!
//! Source: Nocedal & Wright 2006, algorithm 7.1 (line search Newton–CG).

/// A function with two derivatives.
pub(super) trait Convex {
    /// The value at `x`; its gradient goes to `gradient`.
    fn gradient(&self, x: &[f64], gradient: &mut [f64]) -> f64;
    /// The diagonal of the Hessian at `x`, all of it above 0.
    fn diagonal(&self, x: &[f64], diagonal: &mut [f64]);
    /// The Hessian at `x` times `direction`.
    fn curve(&self, x: &[f64], direction: &[f64], product: &mut [f64]);
}

/// Where a search ended.
#[derive(Clone, Debug)]
pub(super) struct Minimum {
    pub(super) x: Vec<f64>,
    /// About what the value lies above the least: half of −g·d.
    pub(super) gap: f64,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A step promises less than the tolerance.
    Converged,
    /// It promises more, but there were as many steps as are allowed, or no step kept the promise.
    Iterations,
}

const MAX_STEPS: u32 = 200;
const MAX_HALVINGS: u32 = 60;

/// From `start` to within about `tolerance` of the least value.
pub(super) fn minimise(f: &impl Convex, start: Vec<f64>, tolerance: f64) -> Minimum {
    let len = start.len();
    let (mut x, mut next) = (start, vec![0.0; len]);
    let (mut gradient, mut gradient_next) = (vec![0.0; len], vec![0.0; len]);
    let mut diagonal = vec![0.0; len];
    let mut value = f.gradient(&x, &mut gradient);
    let mut first = None;
    for step in 0..=MAX_STEPS {
        f.diagonal(&x, &mut diagonal);
        let size = weighed(&gradient, &diagonal);
        let first = *first.get_or_insert(size);
        let accuracy = (size / first).sqrt().sqrt().clamp(0.01, 0.5);
        let Solution { x: direction, reached } = solve(f, &x, &diagonal, &gradient, accuracy);
        // The solution of H d = g points uphill.
        let slope = dot(&gradient, &direction);
        let minimum = |x: &[f64], end| Minimum { x: x.to_vec(), gap: slope / 2.0, end };
        if slope / 2.0 <= tolerance && reached {
            return minimum(&x, End::Converged);
        }
        if step == MAX_STEPS || !slope.is_finite() {
            return minimum(&x, End::Iterations);
        }
        let mut length = 1.0;
        for halving in 0..=MAX_HALVINGS {
            if halving == MAX_HALVINGS {
                return minimum(&x, End::Iterations);
            }
            for ((next, x), d) in next.iter_mut().zip(&x).zip(&direction) {
                *next = x - length * d;
            }
            let value_next = f.gradient(&next, &mut gradient_next);
            let falls = value_next <= value - 1e-4 * length * slope;
            let rounding = 1e-12 * value.abs();
            let halves = dot(&gradient_next, &direction).abs() <= 0.5 * slope;
            if falls || (value_next <= value + rounding && halves) {
                std::mem::swap(&mut x, &mut next);
                std::mem::swap(&mut gradient, &mut gradient_next);
                value = value_next;
                break;
            }
            length /= 2.0;
        }
    }
    unreachable!("the last step returns")
}

/// Of a linear system.
pub(super) struct Solution {
    pub(super) x: Vec<f64>,
    /// Whether it is as accurate as was asked.
    pub(super) reached: bool,
}

/// d with H d = `right` to a residual of `accuracy` times `right`, both measured by the diagonal; less far where
/// the function turns out to be flat in a direction.
pub(super) fn solve(
    f: &impl Convex,
    x: &[f64],
    diagonal: &[f64],
    right: &[f64],
    accuracy: f64,
) -> Solution {
    let len = right.len();
    let (mut solution, mut residual) = (vec![0.0; len], right.to_vec());
    let mut size = weighed(&residual, diagonal);
    let enough = accuracy * accuracy * size;
    let scaled = |residual: &[f64]| residual.iter().zip(diagonal).map(|(r, d)| r / d).collect();
    let mut direction: Vec<f64> = scaled(&residual);
    let mut product = vec![0.0; len];
    // In exact arithmetic `len` steps are all there are; rounding may ask for some more.
    for _ in 0..2 * len + 10 {
        if !(size > enough) {
            break;
        }
        f.curve(x, &direction, &mut product);
        let curvature = dot(&direction, &product);
        if !(curvature > 0.0) {
            // Flat: at the first step downhill is all that is known, later what was found is enough.
            let found = solution.iter().any(|s| *s != 0.0);
            return Solution { x: if found { solution } else { direction }, reached: false };
        }
        let length = size / curvature;
        for i in 0..len {
            solution[i] += length * direction[i];
            residual[i] -= length * product[i];
        }
        let before = size;
        size = weighed(&residual, diagonal);
        let keep = size / before;
        for ((d, r), h) in direction.iter_mut().zip(&residual).zip(diagonal) {
            *d = r / h + keep * *d;
        }
    }
    Solution { x: solution, reached: size <= enough }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The squared size of a gradient in the metric of the diagonal.
fn weighed(gradient: &[f64], diagonal: &[f64]) -> f64 {
    gradient.iter().zip(diagonal).map(|(g, d)| g * g / d).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ c_i (x_i − i)² / 2 + (Σ x_i − 3)⁴: badly scaled, and no diagonal Hessian.
    struct Bowl(Vec<f64>);

    impl Convex for Bowl {
        fn gradient(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
            let excess = x.iter().sum::<f64>() - 3.0;
            let mut value = excess.powi(4);
            for (i, (x, c)) in x.iter().zip(&self.0).enumerate() {
                let distance = x - i as f64;
                value += c * distance * distance / 2.0;
                gradient[i] = c * distance + 4.0 * excess.powi(3);
            }
            value
        }

        fn diagonal(&self, x: &[f64], diagonal: &mut [f64]) {
            let excess = x.iter().sum::<f64>() - 3.0;
            for (d, c) in diagonal.iter_mut().zip(&self.0) {
                *d = c + 12.0 * excess * excess;
            }
        }

        fn curve(&self, x: &[f64], direction: &[f64], product: &mut [f64]) {
            let excess = x.iter().sum::<f64>() - 3.0;
            let along: f64 = direction.iter().sum();
            for ((p, c), d) in product.iter_mut().zip(&self.0).zip(direction) {
                *p = c * d + 12.0 * excess * excess * along;
            }
        }
    }

    #[test]
    fn the_least_value_has_no_gradient() {
        let bowl = Bowl(vec![1e-3, 1.0, 30.0, 1e4, 5.0]);
        let found = minimise(&bowl, vec![1e3; 5], 1e-20);
        assert_eq!(found.end, End::Converged);
        let mut gradient = [0.0; 5];
        bowl.gradient(&found.x, &mut gradient);
        assert!(gradient.iter().all(|g| g.abs() < 1e-9), "{gradient:?}");
        assert!(found.gap <= 1e-20);
    }

    #[test]
    fn a_system_is_solved() {
        let bowl = Bowl(vec![2.0, 1.0, 30.0]);
        let x = [0.5, -1.0, 2.0];
        let (mut diagonal, right, mut product) = ([0.0; 3], [1.0, -2.0, 0.25], [0.0; 3]);
        bowl.diagonal(&x, &mut diagonal);
        let solution = solve(&bowl, &x, &diagonal, &right, 1e-12);
        assert!(solution.reached);
        bowl.curve(&x, &solution.x, &mut product);
        for (p, r) in product.iter().zip(right) {
            assert!((p - r).abs() < 1e-12, "{product:?}");
        }
    }

    /// ln(1 + e^−x) has no least value: the search must still come to an end.
    struct Slide;

    impl Convex for Slide {
        fn gradient(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
            let e = (-x[0]).exp();
            gradient[0] = -e / (1.0 + e);
            e.ln_1p()
        }

        fn diagonal(&self, x: &[f64], diagonal: &mut [f64]) {
            let e = (-x[0]).exp();
            diagonal[0] = e / ((1.0 + e) * (1.0 + e));
        }

        fn curve(&self, x: &[f64], direction: &[f64], product: &mut [f64]) {
            self.diagonal(x, product);
            product[0] *= direction[0];
        }
    }

    #[test]
    fn without_a_least_value_it_ends_at_the_tolerance() {
        let found = minimise(&Slide, vec![0.0], 1e-9);
        assert!(found.x[0] > 20.0 && found.gap <= 1e-9, "{found:?}");
        assert_eq!(found.end, End::Converged);
        // Nor does a tolerance that no step can reach keep it for ever.
        assert_eq!(minimise(&Slide, vec![0.0], -1.0).end, End::Iterations);
    }
}
