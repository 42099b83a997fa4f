//! One temperature for rows in memory: a start from a sample, then two passes over everything.

use crate::element::Element;
use crate::error::Error;
use crate::fit::estimate::{Prior, TemperatureFit};
use crate::fit::scan::Scan;
use crate::fit::solver::TemperatureSolver;
use crate::rows::{Labels, Rows, Truth};
use crate::temperature::Temperature;

/// What a fit may be told beside the rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct FitOptions<'a> {
    /// A weight for each row, from 0 up. Without them every row weighs 1.
    pub weights: Option<&'a [f64]>,
    /// What is thought of τ before; without it the rows alone decide.
    pub prior: Option<Prior>,
}

/// The temperature under which the labels are most likely, with its uncertainty: τ* minimises
/// `Σ_i w_i (ln Σ_j exp(x_ij/τ) − x_iy/τ)`.
///
/// Dividing a classifier's logits by τ* changes no decision, and makes its probabilities honest in the mean.
/// Fit it on rows that the classifier was not trained on.
///
/// # Shapes
/// `logits` is `[rows, classes]`; `truth` [`Labels`] or a distribution `[rows, classes]`; weights `[rows]`.
///
/// # Accuracy
/// τ* to 1e-12 of itself for logits that are exact in their type; sums in f64 by exact accumulators, so that the
/// result has the same bits for any number of threads, and wherever the search began. Some 4000 rows are gone through first where there
/// are many more; then two to five passes, counted in the answer.
///
/// # Special values
/// −∞ is a mask. Where no temperature is best, or all are, the [`Outcome`](crate::Outcome) says so, and there is
/// no estimate: nothing is clamped. Ignored rows and rows of weight 0 do not count.
///
/// # Errors
/// As [`Scan::add`].
///
/// # Example
/// ```
/// use softargmax::{FitOptions, Labels, Outcome, Rows, fit_temperature};
///
/// // Right three times of four, but as sure as 4.0 each time.
/// let logits = [4.0f32, 0.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0];
/// let labels = [0, 0, 1, 0];
/// let logits = Rows::new(&logits, 2)?;
/// let fit = fit_temperature(logits, Labels::new(&labels, 2)?, &FitOptions::default())?;
/// let estimate = fit.estimate.unwrap();
/// // exp(4/τ) must be 3 : 1.
/// assert!((estimate.temperature.tau() - 4.0 / 3f64.ln()).abs() < 1e-12);
/// assert!(estimate.nll < fit.nll_before);
///
/// let all_right = Labels::new(&[0, 0, 0, 0], 2)?;
/// let fit = fit_temperature(logits, all_right, &FitOptions::default())?;
/// assert_eq!((fit.outcome, fit.estimate), (Outcome::Separable, None));
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2. The search:
/// Householder, "The numerical treatment of a single nonlinear equation", McGraw-Hill 1970, section 4.4. The robust
/// standard error: White, Econometrica 50(1), 1982.
pub fn fit_temperature<'a, T: Element>(
    logits: Rows<'a, T>,
    truth: impl Into<Truth<'a, T>>,
    options: &FitOptions<'a>,
) -> Result<TemperatureFit, Error> {
    let truth = truth.into();
    let mut solver = TemperatureSolver::for_rows(logits, truth, options);
    search(&mut solver, |scan| scan.add(logits, truth, options.weights))?;
    Ok(solver.fit())
}

impl TemperatureSolver {
    /// The search of [`fit_temperature`], for whoever does something between its passes or the blocks of one: of
    /// many rows it starts at the temperature of a sample.
    ///
    /// What is wrong with the rows is said by [`Scan::add`], not here.
    ///
    /// # Example
    /// ```
    /// use softargmax::{FitOptions, Labels, Rows, TemperatureSolver, fit_temperature};
    ///
    /// let (logits, labels) = ([4.0f32, 0.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0], [0, 0, 1, 0]);
    /// let (logits, labels) = (Rows::new(&logits, 2)?, Labels::new(&labels, 2)?);
    /// let mut solver = TemperatureSolver::for_rows(logits, labels, &FitOptions::default());
    /// while let Some(mut scan) = solver.next_scan() {
    ///     for row in 0..4 {
    ///         let one = Rows::new(&logits.as_slice()[2 * row..2 * row + 2], 2)?;
    ///         scan.add(one, Labels::new(&[[0], [0], [1], [0]][row], 2)?, None)?;
    ///     }
    ///     solver.take(&scan);
    /// }
    /// assert_eq!(solver.fit(), fit_temperature(logits, labels, &FitOptions::default())?);
    /// # Ok::<(), softargmax::Error>(())
    /// ```
    pub fn for_rows<'a, T: Element>(
        logits: Rows<'a, T>,
        truth: impl Into<Truth<'a, T>>,
        options: &FitOptions<'a>,
    ) -> Self {
        let solver = TemperatureSolver::new(logits.classes(), options.prior);
        match start(logits, truth.into(), options) {
            Some(tau) => solver.starting_at(tau),
            None => solver,
        }
    }
}

fn search(
    solver: &mut TemperatureSolver,
    mut pass: impl FnMut(&mut Scan) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some(mut scan) = solver.next_scan() {
        pass(&mut scan)?;
        solver.take(&scan);
    }
    Ok(())
}

/// Rows of the sample: their temperature is within some 2 % of that of all.
const SAMPLE: usize = 4096;

/// Numbers below which all rows are gone through as fast as a sample.
const SMALL: usize = 1 << 15;

/// A temperature near the answer, from a row out of each of many stretches of rows: they may be sorted by label.
fn start<T: Element>(
    logits: Rows<'_, T>,
    truth: Truth<'_, T>,
    options: &FitOptions<'_>,
) -> Option<Temperature> {
    let (rows, classes) = (logits.rows(), logits.classes());
    let stretches = SAMPLE.min(rows / 8);
    let is_labelled = (truth.rows(), truth.classes()) == (rows, classes);
    if rows.saturating_mul(classes) < SMALL || stretches < SAMPLE / 16 || !is_labelled {
        return None;
    }
    let stretch = rows / stretches;
    let sample: Vec<usize> = (0..stretches)
        .map(|i| i * stretch + (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize % stretch)
        .collect();
    let taken = |from: Rows<'_, T>| -> Vec<T> {
        let mut rows = Vec::with_capacity(sample.len() * classes);
        for &i in &sample {
            rows.extend_from_slice(&from.as_slice()[i * classes..(i + 1) * classes]);
        }
        rows
    };
    let some_logits = taken(logits);
    let some_logits = Rows::new(&some_logits, classes).ok()?;
    let (labels, shares);
    let truth = match truth {
        Truth::Labels(all) => {
            // No label is −1, and an ignored one may be.
            let label = |&i: &usize| all.of_row(i).map_or(-1, |class| class as i64);
            labels = sample.iter().map(label).collect::<Vec<_>>();
            Truth::Labels(Labels::with_ignored(&labels, classes, -1).ok()?)
        }
        Truth::Distributions(all) => {
            shares = taken(all);
            Truth::Distributions(Rows::new(&shares, classes).ok()?)
        }
    };
    let weights = options.weights.filter(|weights| weights.len() == rows);
    let weights = weights.map(|weights| sample.iter().map(|&i| weights[i]).collect::<Vec<_>>());
    let mut solver = TemperatureSolver::new(classes, options.prior).roughly();
    // What is wrong with a row is said by the pass over all of them, with its place.
    search(&mut solver, |scan| scan.add(some_logits, truth, weights.as_deref())).ok()?;
    solver.fit().estimate.map(|estimate| estimate.temperature)
}
