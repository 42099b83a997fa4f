//! A calibration report: the program's page, shown in a notebook.
//!
//! ```text
//! rows → two halves, at random → τ fitted on the first → everything shown is measured on the second
//! ```

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use softargmax::{Error, FitOptions, Labels, Rows, Score, Temperature, TemperatureFit};
use softargmax_report::calibration::{
    Calibration, Caller, FEWEST_ROWS, LabelledRows, Panel, Question, measure, page, pictures, words,
};
use softargmax_report::markup::Escaped;

use crate::array::{Array, Number, for_each_type};
use crate::error::wrong;
use crate::labelled::Labelled;
use crate::metrics::{BinFree, BrierParts, CalibrationError, Differences, RiskCoverage, Summary};
use crate::temperature::PyTemperature;
use crate::work;

/// The rows of one half at one temperature.
///
/// Attributes
/// ----------
/// temperature : Temperature
///     The temperature of all that follows.
/// summary : softargmax.metrics.Summary
///     NLL, Brier score, accuracy and confidence, with standard errors.
/// ece, ece_equal_mass : softargmax.metrics.CalibrationError
///     In 15 bins of equal width, and of equal mass.
/// smooth_ece, kolmogorov_smirnov : softargmax.metrics.BinFree
///     Without bins.
/// brier_parts : softargmax.metrics.BrierParts
///     The Brier score of the top label, taken apart.
/// risk_coverage : softargmax.metrics.RiskCoverage
///     What it would bring to answer only where the model is confident.
#[pyclass(frozen, get_all, module = "softargmax")]
pub(crate) struct CalibrationPanel {
    temperature: PyTemperature,
    summary: Py<Summary>,
    ece: Py<CalibrationError>,
    ece_equal_mass: Py<CalibrationError>,
    smooth_ece: BinFree,
    kolmogorov_smirnov: BinFree,
    brier_parts: Py<BrierParts>,
    risk_coverage: Py<RiskCoverage>,
}

impl CalibrationPanel {
    fn new(py: Python<'_>, panel: &Panel) -> PyResult<Py<Self>> {
        let of = CalibrationPanel {
            temperature: PyTemperature(panel.temperature),
            summary: Py::new(py, Summary::from(panel.summary))?,
            ece: Py::new(py, CalibrationError::from(panel.ece.clone()))?,
            ece_equal_mass: Py::new(py, CalibrationError::from(panel.equal_mass.clone()))?,
            smooth_ece: panel.smooth.into(),
            kolmogorov_smirnov: panel.kolmogorov_smirnov.into(),
            brier_parts: Py::new(py, BrierParts::from(panel.brier))?,
            risk_coverage: Py::new(py, RiskCoverage::from(panel.risk.clone()))?,
        };
        Py::new(py, of)
    }
}

#[pymethods]
impl CalibrationPanel {
    fn __repr__(&self) -> String {
        format!("CalibrationPanel(temperature={}, ...)", self.temperature.0)
    }
}

/// A model's calibration before and after one temperature; a notebook shows it as a page.
///
/// Half of the rows, drawn at random, choose τ; every other figure is measured on the other half.
///
/// Attributes
/// ----------
/// headline : str
///     The finding.
/// findings, caveats : list of str
///     What bears it, and what to bear in mind.
/// outcome : str
///     How the fit on the one half ended, as `TemperatureFit` has it.
/// temperature : Temperature or None
///     What it found.
/// tau : float
///     The same as a number; NaN if there is none.
/// interval : tuple of float
///     95 %.
/// fitted, held_out, ignored, classes : int
///     How many rows chose τ, how many were measured, how many did not count, and the classes of a row.
/// before : CalibrationPanel
///     At τ = 1.
/// after : CalibrationPanel or None
///     At the temperature found.
/// difference : softargmax.metrics.Differences or None
///     After minus before, with 95 % intervals.
/// html : str
///     The page: one file that asks nothing of a network.
/// pictures : dict of str
///     Every picture on it, as SVG.
#[pyclass(frozen, get_all, module = "softargmax")]
pub(crate) struct CalibrationReport {
    headline: String,
    findings: Vec<String>,
    caveats: Vec<String>,
    outcome: &'static str,
    temperature: Option<PyTemperature>,
    tau: f64,
    interval: (f64, f64),
    fitted: usize,
    held_out: usize,
    ignored: usize,
    classes: usize,
    before: Py<CalibrationPanel>,
    after: Option<Py<CalibrationPanel>>,
    difference: Option<Py<Differences>>,
    html: String,
    pictures: Py<PyDict>,
}

impl CalibrationReport {
    fn new(py: Python<'_>, calibration: &Calibration) -> PyResult<Self> {
        let words = words(calibration);
        let drawn = PyDict::new(py);
        for picture in pictures(calibration) {
            drawn.set_item(&picture.name, picture.file())?;
        }
        let estimate = calibration.estimate.as_ref();
        let end = |i: usize| estimate.map_or(f64::NAN, |estimate| estimate.interval[i]);
        let after = calibration.after.as_ref();
        let difference = |after: &softargmax_report::calibration::After| {
            Py::new(py, Differences::from(after.differences))
        };
        Ok(CalibrationReport {
            headline: words.headline,
            findings: words.findings,
            caveats: words.caveats,
            outcome: calibration.outcome.name(),
            temperature: estimate.map(|estimate| PyTemperature(estimate.temperature)),
            tau: estimate.map_or(f64::NAN, |estimate| estimate.temperature.tau()),
            interval: (end(0), end(1)),
            fitted: calibration.split.fitted,
            held_out: calibration.split.held_out,
            ignored: calibration.split.ignored,
            classes: calibration.classes,
            before: CalibrationPanel::new(py, &calibration.before)?,
            after: after.map(|after| CalibrationPanel::new(py, &after.panel)).transpose()?,
            difference: after.map(difference).transpose()?,
            html: page(calibration),
            pictures: drawn.unbind(),
        })
    }
}

#[pymethods]
impl CalibrationReport {
    /// Writes the page to a file, or leaves what is there as it was.
    ///
    /// Parameters
    /// ----------
    /// path : str or os.PathLike
    fn save(&self, path: PathBuf) -> PyResult<()> {
        write(&path, self.html.as_bytes())?;
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("CalibrationReport({:?})", self.headline)
    }

    /// In a frame of its own, so that its styles stay there.
    fn _repr_html_(&self) -> String {
        format!(
            "<iframe srcdoc=\"{}\" title=\"Calibration report\" \
             style=\"width:100%;height:48rem;border:0\"></iframe>",
            Escaped(&self.html)
        )
    }
}

/// Beside the target, then renamed into its place.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let done = std::fs::write(&beside, content).and_then(|()| std::fs::rename(&beside, path));
    if done.is_err() {
        // What was refused is what the caller is told of, not this.
        let _ = std::fs::remove_file(&beside);
    }
    done
}

/// Rows whose labels are integers.
struct InMemory<'a, T> {
    logits: Rows<'a, T>,
    /// −1 where the row does not count.
    labels: Vec<i64>,
    weights: Option<&'a [f64]>,
}

const NONE: i64 = -1;

/// How often all rows are scored, about; what is drawn anew takes no less for few rows.
const SCORINGS: usize = 1000;

impl<T: Number> InMemory<'_, T> {
    /// Calls `job` with the labels of the rows to be kept.
    fn kept<R>(
        &self,
        keep: &dyn Fn(usize) -> bool,
        job: impl FnOnce(Labels<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let label = |(row, &label): (usize, &i64)| if keep(row) { label } else { NONE };
        let labels: Vec<i64> = self.labels.iter().enumerate().map(label).collect();
        job(Labels::with_ignored(&labels, self.logits.classes(), NONE)?)
    }
}

impl<T: Number> LabelledRows for InMemory<'_, T> {
    type Refusal = Error;

    fn rows(&self) -> usize {
        self.logits.rows()
    }

    fn classes(&self) -> usize {
        self.logits.classes()
    }

    fn counts(&self, row: usize) -> bool {
        self.labels[row] != NONE
    }

    fn class(&self, row: usize) -> Option<usize> {
        usize::try_from(self.labels[row]).ok()
    }

    fn fit(&self, keep: &dyn Fn(usize) -> bool) -> Result<TemperatureFit, Error> {
        let options = FitOptions { weights: self.weights, prior: None };
        self.kept(keep, |labels| softargmax::fit_temperature(self.logits, labels, &options))
    }

    fn scores(&self, keep: &dyn Fn(usize) -> bool, tau: Temperature) -> Result<Vec<Score>, Error> {
        self.kept(keep, |labels| softargmax::scores(self.logits, labels, self.weights, tau))
    }

    fn refuse(&self, error: Error) -> Error {
        error
    }
}

/// A model's calibration before and after the temperature that fits best, as a page with the reliability diagram: τ minimises
/// the NLL of one half of the rows, and everything is measured on the other.
///
/// Parameters
/// ----------
/// logits : array_like
///     ``[rows, classes]``. Of probabilities, their logarithms are logits.
/// labels : array_like of int
///     One for each row.
/// weights : array_like, optional
///     ``[rows]``: how much each row counts, from 0 up.
/// ignored : int, optional
///     The label of rows that are left out (-100 in PyTorch).
/// where : array_like of bool, optional
///     Entries that take part, broadcast to the logits; the others are masked.
/// name : str
///     What the page calls the logits.
/// seed : int
///     Of the split, and of what is drawn anew.
///
/// Returns
/// -------
/// CalibrationReport
///
/// Raises
/// ------
/// SoftargmaxError
///     As `fit_temperature`, and for fewer than four rows that count.
///
/// Notes
/// -----
/// The page is that of ``softargmax report``, with the same figures for the same seed.
///
/// References
/// ----------
/// Dimitriadis, Gneiting & Jordan 2021, PNAS 118(8), for the diagram and its band.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> report = softargmax.calibration_report([[4.0, 0.0]] * 400, [0, 0, 0, 1] * 100)
/// >>> report.headline
/// 'Overconfident by 23.2 points: dividing the logits by 3.641 helps'
/// >>> report.fitted, report.held_out, report.before.summary.accuracy.value
/// (200, 200, 0.75)
#[pyfunction]
#[pyo3(signature = (logits, labels, *, weights=None, ignored=None, r#where=None, name="logits".to_owned(), seed=0))]
#[pyo3(
    text_signature = "(logits, labels, *, weights=None, ignored=None, where=None, name='logits', seed=0)"
)]
pub(crate) fn calibration_report(
    logits: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    weights: Option<&Bound<'_, PyAny>>,
    ignored: Option<i64>,
    r#where: Option<&Bound<'_, PyAny>>,
    name: String,
    seed: u64,
) -> PyResult<CalibrationReport> {
    let py = logits.py();
    let labelled = Labelled { labels, weights, ignored, mask: r#where };
    let calibration = for_each_type!(&Array::of(logits, "logits")?, x => {
        labelled.with_labels(x, |logits, labels, weights| {
            let is_weighty = |row: usize| weights.is_none_or(|weights| weights[row] != 0.0);
            let of_row = |(row, class): (usize, Option<usize>)| {
                class.filter(|_| is_weighty(row)).map_or(NONE, |class| class as i64)
            };
            let labels: Vec<i64> = labels.iter().enumerate().map(of_row).collect();
            let counted = labels.iter().filter(|&&label| label != NONE).count();
            if counted < FEWEST_ROWS {
                return Err(wrong(format!(
                    "{counted} rows with a label and a weight are too few: a report needs two to fit \
                     on and two to measure"
                )));
            }
            let question =
                Question { source: name.clone(), name, caller: Caller::Python, seed };
            let rows = InMemory { logits, labels, weights };
            let numbers = rows.logits.as_slice().len().saturating_mul(SCORINGS);
            work::run(py, numbers, || measure(&rows, question))
        })?
    });
    CalibrationReport::new(py, &calibration)
}
