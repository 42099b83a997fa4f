//! A temperature for each group of rows, each drawn towards that of all.
//!
//! ```text
//! ln τ_g ~ N(μ, σ²),   μ = ln τ of all rows together
//! u_g     the best ln τ of group g under that prior; h_g = Σ w v, the rows' information about it
//! y_g   = u_g + (u_g − μ)/(σ² h_g),  s_g² = 1/h_g      what the rows alone say, seen from u_g
//! σ²      so that Σ (y_g − μ)²/(σ² + s_g²) = G − 1     groups differ as much as expected
//! ```
//!
//! The last two steps are repeated until σ stays. Seen from u_g, a group whose rows have no best temperature of their
//! own (all right, or one row) still says something: how steeply its loss falls. At the best ln τ under the prior,
//! the slope of the rows' loss is what the prior pulls with, so y_g needs no further look at the rows.

use std::collections::BTreeMap;

use crate::element::Element;
use crate::error::Error;
use crate::fit::estimate::{Prior, TemperatureFit};
use crate::fit::temperature::{FitOptions, fit_temperature};
use crate::rows::{Labels, Rows};
use crate::temperature::Temperature;

/// Where the search for σ starts; and below what it looks at the groups as if it were this.
const FIRST_SIGMA: f64 = 0.5;
const LEAST_SIGMA: f64 = 0.01;

/// σ is a rough figure: it stays when it moves by less than this, relatively.
const SIGMA_TOLERANCE: f64 = 1e-3;
const MAX_ROUNDS: u32 = 30;

/// Groups further apart than e^±10 are told apart by no prior.
const MAX_SIGMA: f64 = 10.0;

/// The temperature of one group.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The number of the group.
    pub id: usize,
    /// The temperature, drawn towards that of all rows.
    pub temperature: Temperature,
    /// The standard deviation of ln τ given the rows, the uncertainty of the common temperature included.
    pub log_deviation: f64,
    /// What the rows of the group say alone.
    pub alone: TemperatureFit,
}

/// The answer of [`fit_groups`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GroupsFit {
    /// The temperature of all rows together. Where it did not converge, there are no groups.
    pub pool: TemperatureFit,
    /// σ, the standard deviation of ln τ between groups: 0 where they differ no more than chance would have it.
    pub deviation: f64,
    /// The groups that occur, by their numbers.
    pub groups: Vec<Group>,
}

impl GroupsFit {
    /// The temperature for rows of group `id`: of a group that was not there, the common one. `None` where the
    /// fit did not converge.
    pub fn temperature(&self, id: usize) -> Option<Temperature> {
        let pool = self.pool.estimate.as_ref()?.temperature;
        let found = self.groups.binary_search_by_key(&id, |group| group.id);
        Some(found.map_or(pool, |at| self.groups[at].temperature))
    }
}

/// A temperature for each group of rows with partial pooling: the most likely ln τ_g under `ln τ_g ~ N(μ, σ²)`, where μ
/// is that of all rows together, and σ what the groups' differences show.
///
/// A group of many rows keeps its own temperature; one of few, or one whose rows alone have none (all right, a
/// single row), gets nearly that of all. A group that is ignored throughout gets that of all.
///
/// # Shapes
/// `logits` is `[rows, classes]`; `labels`, `weights` and `groups` `[rows]`. Groups are any numbers.
///
/// # Accuracy
/// Each τ as in [`fit_temperature`], given σ; σ to 1e-3 of itself, by the method of Paule and Mandel on a normal
/// approximation of each group's likelihood. The same bits for any number of threads.
///
/// # Special values
/// Where all rows together have no best temperature, its [`Outcome`](crate::Outcome) says why, and there are no groups.
///
/// # Errors
/// As [`Scan::add`](crate::Scan::add), and [`Error::Shape`] where there is not one group for each row.
///
/// # Example
/// ```
/// use softargmax::{Labels, Rows, fit_groups};
///
/// let logits = [4.0f32, 0.0].repeat(41);
/// let mut labels = vec![0i64; 41];
/// labels[..12].fill(1);
/// // Twenty rows with twelve mistakes less, twenty without any, and one.
/// let groups: Vec<usize> = (0..41).map(|row| row / 20).collect();
/// let labels = [&labels[8..20], &labels[..8], &labels[20..]].concat();
/// let fit = fit_groups(Rows::new(&logits, 2)?, Labels::new(&labels, 2)?, None, &groups)?;
/// let tau = |id| fit.temperature(id).unwrap().tau();
/// assert!(tau(1) < tau(2) && tau(2) < tau(0));
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Gelman et al., "Bayesian data analysis", 3rd ed. 2013, section 5.4, for the model; Paule & Mandel, J. Res. Natl.
/// Bur. Stand. 87(5), 1982, for σ.
pub fn fit_groups<T: Element>(
    logits: Rows<'_, T>,
    labels: Labels<'_>,
    weights: Option<&[f64]>,
    groups: &[usize],
) -> Result<GroupsFit, Error> {
    let pool = fit_temperature(logits, labels, &FitOptions { weights, ..FitOptions::default() })?;
    if groups.len() != logits.rows() {
        let (expected, got) = (logits.rows(), groups.len());
        return Err(Error::Shape { what: "groups", expected, got });
    }
    let Some(common) = pool.estimate else {
        return Ok(GroupsFit { pool, deviation: f64::NAN, groups: Vec::new() });
    };
    let mut parts = BTreeMap::new();
    for (row, &id) in groups.iter().enumerate() {
        let part = parts.entry(id).or_insert_with(|| Part::new(id, logits.classes()));
        part.push(logits, labels, weights, row);
    }
    let parts: Vec<Part<T>> = parts.into_values().collect();
    let mut sigma = FIRST_SIGMA;
    for _ in 0..MAX_ROUNDS {
        let seen_from = sigma.max(LEAST_SIGMA);
        let mut said = Vec::with_capacity(parts.len());
        for part in &parts {
            said.extend(part.says(common.temperature, seen_from)?);
        }
        let next = between(&said);
        let moved = (next - sigma).abs();
        sigma = next;
        if moved <= SIGMA_TOLERANCE * sigma || (next <= LEAST_SIGMA && seen_from == LEAST_SIGMA) {
            break;
        }
    }
    let common_deviation = common.std_error / common.temperature.tau();
    let groups = parts
        .iter()
        .map(|part| {
            let alone = part.fit(None)?;
            let (temperature, own, share) = part.drawn(common.temperature, sigma)?;
            let log_deviation = (own + share * share * common_deviation * common_deviation).sqrt();
            Ok(Group { id: part.id, temperature, log_deviation, alone })
        })
        .collect::<Result<_, Error>>()?;
    Ok(GroupsFit { pool, deviation: sigma, groups })
}

/// The rows of one group.
struct Part<T> {
    id: usize,
    classes: usize,
    logits: Vec<T>,
    /// −1 for a row that is ignored.
    labels: Vec<i64>,
    weights: Option<Vec<f64>>,
}

/// A group's distance from μ and its variance, by its rows alone.
struct Said {
    distance: f64,
    variance: f64,
}

impl<T: Element> Part<T> {
    fn new(id: usize, classes: usize) -> Self {
        Part { id, classes, logits: Vec::new(), labels: Vec::new(), weights: None }
    }

    fn push(
        &mut self,
        logits: Rows<'_, T>,
        labels: Labels<'_>,
        weights: Option<&[f64]>,
        row: usize,
    ) {
        let span = row * self.classes..(row + 1) * self.classes;
        self.logits.extend_from_slice(&logits.as_slice()[span]);
        self.labels.push(labels.of_row(row).map_or(-1, |class| class as i64));
        if let Some(weights) = weights {
            self.weights.get_or_insert_default().push(weights[row]);
        }
    }

    fn fit(&self, prior: Option<Prior>) -> Result<TemperatureFit, Error> {
        let logits = Rows::new(&self.logits, self.classes)?;
        let labels = Labels::with_ignored(&self.labels, self.classes, -1)?;
        fit_temperature(logits, labels, &FitOptions { weights: self.weights.as_deref(), prior })
    }

    /// Its best ln τ − μ under the prior, and the rows' information there; `None` without rows.
    fn under_prior(
        &self,
        common: Temperature,
        sigma: f64,
    ) -> Result<Option<(Temperature, f64, f64)>, Error> {
        let fit = self.fit(Some(Prior::new(common, sigma)?))?;
        Ok(fit.estimate.map(|estimate| {
            let tau = estimate.temperature.tau();
            let relative = estimate.std_error / tau;
            let information = (1.0 / (relative * relative) - 1.0 / (sigma * sigma)).max(0.0);
            (estimate.temperature, libm::log(tau / common.tau()), information)
        }))
    }

    /// What the rows say; `None` where they say nothing.
    fn says(&self, common: Temperature, sigma: f64) -> Result<Option<Said>, Error> {
        // It comes as a difference to the prior's: less than this is the rounding of that.
        let least = 1e-9 / (sigma * sigma);
        let seen = self.under_prior(common, sigma)?.filter(|(.., known)| *known > least);
        Ok(seen.map(|(_, distance, information)| Said {
            distance: distance + distance / (sigma * sigma * information),
            variance: 1.0 / information,
        }))
    }

    /// Its temperature under the prior, the variance of its logarithm, and the share that μ has in it.
    fn drawn(&self, common: Temperature, sigma: f64) -> Result<(Temperature, f64, f64), Error> {
        if sigma == 0.0 {
            return Ok((common, 0.0, 1.0));
        }
        let precision = 1.0 / (sigma * sigma);
        Ok(match self.under_prior(common, sigma)? {
            Some((temperature, _, information)) => {
                let total = information + precision;
                (temperature, 1.0 / total, precision / total)
            }
            None => (common, sigma * sigma, 1.0),
        })
    }
}

/// σ with Σ (y − μ)²/(σ² + s²) = G − 1, or 0 where the sum is less even there.
fn between(said: &[Said]) -> f64 {
    let excess = |square: f64| {
        let terms = said.iter().map(|s| s.distance * s.distance / (square + s.variance));
        terms.sum::<f64>() - (said.len() as f64 - 1.0)
    };
    if said.len() < 2 || !(excess(0.0) > 0.0) {
        return 0.0;
    }
    // The sum falls as σ grows; 60 halvings are all the digits there are.
    let (mut low, mut high) = (0.0, MAX_SIGMA);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if excess(middle * middle) > 0.0 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_differ_as_chance_has_it_have_no_deviation() {
        let said = |distances: &[f64], variance: f64| -> Vec<Said> {
            distances.iter().map(|&distance| Said { distance, variance }).collect()
        };
        assert_eq!(between(&said(&[0.09, -0.09, 0.03], 0.01)), 0.0);
        assert_eq!(between(&[]), 0.0);
        assert_eq!(between(&said(&[5.0], 0.01)), 0.0);
        // Without errors of their own, σ² is the sum of squares over G − 1.
        let sigma = between(&said(&[0.3, -0.3, 0.0, 0.4], 1e-30));
        assert!((sigma - (0.34f64 / 3.0).sqrt()).abs() < 1e-12, "{sigma}");
        let sigma = between(&said(&[0.3, -0.3, 0.0, 0.4], 0.02));
        assert!((sigma - (0.34f64 / 3.0 - 0.02).sqrt()).abs() < 1e-12, "{sigma}");
    }
}
