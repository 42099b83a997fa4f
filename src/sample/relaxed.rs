//! Gumbel-softmax: a sample one can differentiate.
//!
//! ```text
//! z_i = x_i + g_i,  g_i = −ln E_i             Gumbel noise, both tails sound (`gumbel.rs`)
//! y   = softmax(z/τ)                          hard: arg max z, which is drawn from softmax(x)
//! ```

use crate::element::Element;
use crate::error::Error;
use crate::gradient::{Gradient, softmax_vjp};
use crate::random::{Purpose, Random};
use crate::rows::Rows;
use crate::sample::gumbel::exponential;
use crate::sample::position_in_range;
use crate::softmax::softmax;
use crate::temperature::Temperature;

/// A relaxed sample of one row; made by [`gumbel_softmax`].
#[derive(Clone, Debug, PartialEq)]
pub struct Relaxed<T> {
    /// y = softmax(z/τ), between a corner and the middle of the simplex.
    pub relaxed: Vec<T>,
    /// arg max z: a draw from softmax(x), whatever τ.
    pub token: u32,
    /// z = x + g, the logits with their noise.
    pub noisy: Vec<T>,
    tau: Temperature,
}

/// `y = softmax((x + g)/τ)` with g independent Gumbel noise: a sample of the Concrete distribution.
///
/// # Shapes
/// `logits` is one row; y and z are as long.
///
/// # Accuracy
/// Noise in f64, z rounded once to the type of the logits, y as [`softmax`](crate::softmax()). The noise of a class is a
/// function of seed, stream, position and class.
///
/// # Special values
/// −∞ is never the token and its y is 0. At τ = 0 y is the one-hot vector of the token, unless two z are equal after
/// rounding.
///
/// # Errors
/// [`Error::NoClasses`] for an empty row, [`Error::LogitNan`], [`Error::AllMasked`], [`Error::Parameter`] for a logit of +∞ or a
/// position of 2^56 or more.
///
/// # Example
/// ```
/// use softargmax::{Temperature, gumbel_softmax};
///
/// let sample = gumbel_softmax(&[0.0, 1.0, 2.0], "0.5".parse()?, 1, 0, 0)?;
/// assert!((sample.relaxed.iter().sum::<f64>() - 1.0).abs() < 1e-15);
/// // Forward the hard token, backward through the relaxed one.
/// let forward = sample.straight_through();
/// let gradient = sample.vjp(&[1.0, 0.0, 0.0])?;
/// assert_eq!((forward.iter().sum::<f64>(), gradient.logits.len()), (1.0, 3));
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Jang, Gu & Poole 2017 (arXiv:1611.01144), eq. 2; Maddison, Mnih & Teh 2017 (arXiv:1611.00712).
pub fn gumbel_softmax<T: Element>(
    logits: &[T],
    tau: Temperature,
    seed: u64,
    stream: u64,
    position: u64,
) -> Result<Relaxed<T>, Error> {
    Rows::one(logits)?;
    position_in_range(position)?;
    let place = Random::at(seed, Purpose::Relaxed, stream, position);
    let (mut noisy, mut best, mut token) = (Vec::with_capacity(logits.len()), f64::NEG_INFINITY, 0);
    for (i, x) in logits.iter().map(|x| x.to_f64()).enumerate() {
        if x.is_nan() {
            return Err(Error::LogitNan { row: 0, class: i });
        }
        if x == f64::INFINITY {
            return Err(Error::Parameter { what: "logit", got: x, allowed: "below inf" });
        }
        let z = x - libm::log(exponential(place.nth(i as u64)));
        if z > best {
            (best, token) = (z, i as u32);
        }
        noisy.push(T::of_f64(z));
    }
    if best == f64::NEG_INFINITY {
        return Err(Error::AllMasked { row: 0 });
    }
    Ok(Relaxed { relaxed: softmax(&noisy, tau)?, token, noisy, tau })
}

impl<T: Element> Relaxed<T> {
    /// The one-hot vector of the token: what to go on with where a hard choice is needed, with the gradient of
    /// [`vjp`](Relaxed::vjp) as if it were y (the straight-through estimator).
    pub fn straight_through(&self) -> Vec<T> {
        let mut hard = vec![T::of_f64(0.0); self.relaxed.len()];
        hard[self.token as usize] = T::of_f64(1.0);
        hard
    }

    /// The gradients in the logits, in τ and in 1/τ, given that in y; as [`softmax_vjp`](crate::softmax_vjp()) at z.
    ///
    /// # Errors
    /// [`Error::Shape`] when `cotangents` has another length.
    pub fn vjp(&self, cotangents: &[T]) -> Result<Gradient<T>, Error> {
        let expected = self.noisy.len();
        if cotangents.len() != expected {
            return Err(Error::Shape { what: "cotangents", expected, got: cotangents.len() });
        }
        softmax_vjp(Rows::one(&self.noisy)?, Rows::one(cotangents)?, self.tau)
    }
}
