//! `softargmax eval`: how good probabilities are, at one temperature, at several, or by a fit.
//!
//! Every row is scored in one pass for each temperature; all measures but one work on the scores. The classwise
//! ECE needs the probabilities of all classes and so the rows in memory.

pub(crate) mod figures;

use std::path::Path;

use serde::Serialize;
use softargmax::{
    BinFree, Binning, BrierParts, Calibrator, Null, Resampling, Score, Temperature, brier_parts,
    calibration_error, kolmogorov_smirnov, risk_coverage, smooth_calibration_error,
};

use crate::args::{Content, EvalArgs};
use crate::error::CliError;
use crate::fit::model::Model;
use crate::fit::saved::Saved;
use crate::input::Labels;
use crate::labelled::{Labelled, Reading};
use crate::report::eval as report;
use crate::{apply, json};
use figures::Figures;

/// The most rows that are scored: their scores take 48 bytes each.
const MAX_ROWS: usize = 1 << 23;

pub(crate) fn run(args: &EvalArgs) -> Result<(), CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| eval(args)),
        None => eval(args),
    }
}

fn eval(args: &EvalArgs) -> Result<(), CliError> {
    let saved = args.fit.as_deref().map(|path| Saved::read(path).map(|saved| (path, saved)));
    let saved = saved.transpose()?;
    let mut labelled = Labelled::open(&args.data, args.groups.as_deref(), false)?;
    let models = match (&args.temperatures, saved) {
        (Some(list), _) => list.expand(None)?.into_iter().map(Model::temperature_of).collect(),
        (None, Some((path, saved))) => vec![model_of(&labelled, path, saved)?],
        (None, None) => return Err(CliError::internal("neither a temperature nor a fit")),
    };
    if matches!(labelled.labels, Labels::Shares(_)) {
        let labels = args.data.labels.display();
        return Err(CliError::refused(format!(
            "{labels}: shares of classes, where one label is needed"
        ))
        .hint("a prediction is right or wrong only of one label for every row"));
    }
    let rows = (0..labelled.rows()).filter(|&row| labelled.counts(row)).count();
    if rows == 0 {
        let labels = args.data.labels.display();
        return Err(CliError::refused(format!("{labels}: no row has a label and a weight")));
    }
    if rows > MAX_ROWS {
        let name = labelled.name();
        return Err(CliError::refused(format!("{name}: more than the {MAX_ROWS} rows allowed"))
            .hint("take some of the rows: the figures will hardly differ"));
    }
    let resampling = Resampling { replicates: args.replicates, seed: args.seed };
    let mut measures = Vec::with_capacity(models.len());
    for model in &models {
        measures.push(Measures::of(&mut labelled, model, args.bins as usize, &resampling)?);
    }
    if args.json {
        json::print(&Document {
            schema: "softargmax.eval/1",
            logits: labelled.name(),
            rows: rows as u64,
            ignored: (labelled.rows() - rows) as u64,
            classes: labelled.classes(),
            bins: args.bins,
            replicates: args.replicates,
            seed: args.seed,
            result: match measures.as_slice() {
                [one] => Answers::One(one),
                temperatures => Answers::Several { temperatures },
            },
        })?;
    } else {
        report::print(&labelled, args.bins, &measures)?;
    }
    labelled.note_looks();
    Ok(())
}

/// The model of a saved fit, for these rows.
fn model_of(labelled: &Labelled, path: &Path, saved: Saved) -> Result<Model, CliError> {
    saved.check(path, labelled.name(), labelled.classes())?;
    let Reading { content, epsilon, .. } = labelled.reading();
    let are_probabilities = |content| content == Content::Probabilities;
    let is_other = are_probabilities(content) != are_probabilities(saved.input)
        || are_probabilities(content) && epsilon != saved.epsilon;
    if is_other {
        let options = match saved.input {
            Content::Probabilities if saved.epsilon > 0.0 => {
                format!("--input probabilities --epsilon {}", saved.epsilon)
            }
            Content::Probabilities => "--input probabilities".to_owned(),
            _ => "--input logits".to_owned(),
        };
        let path = path.display();
        return Err(CliError::refused(format!("{path} was fitted with {options}"))
            .hint("give the same here, and a file of the same kind"));
    }
    saved.model.for_rows(path, labelled.groups.as_ref())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    logits: &'a str,
    /// How many rows have a label and a weight, and how many have not.
    rows: u64,
    ignored: u64,
    classes: usize,
    bins: u32,
    replicates: u32,
    seed: u64,
    #[serde(flatten)]
    result: Answers<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answers<'a> {
    One(&'a Measures),
    Several { temperatures: &'a [Measures] },
}

/// Everything that is measured by one model.
#[derive(Serialize)]
pub(crate) struct Measures {
    pub(crate) model: &'static str,
    #[serde(serialize_with = "json::optional_temperature")]
    pub(crate) temperature: Option<Temperature>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// Over as many bins of equal mass.
    pub(crate) ece_equal_mass: WithNull,
    /// Of one temperature, and where the rows are held in memory.
    pub(crate) classwise_ece: Option<WithNull>,
    /// Without bins.
    pub(crate) kolmogorov_smirnov: WithNull,
    pub(crate) smooth_ece: WithNull,
    /// Of the Brier score of the top label.
    #[serde(serialize_with = "json::real")]
    pub(crate) miscalibration: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) discrimination: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) uncertainty: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) aurc: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) excess_aurc: f64,
}

/// A measure with what chance alone would show.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct WithNull {
    #[serde(serialize_with = "json::real")]
    pub(crate) value: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) null_mean: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) null_quantile_95: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) p_value: f64,
}

impl From<BinFree> for WithNull {
    fn from(BinFree { value, null, .. }: BinFree) -> Self {
        Self::new(value, null)
    }
}

impl WithNull {
    fn new(value: f64, null: Null) -> Self {
        let Null { mean: null_mean, quantile_95: null_quantile_95, p_value, .. } = null;
        Self { value, null_mean, null_quantile_95, p_value }
    }
}

impl Measures {
    fn of(
        labelled: &mut Labelled,
        model: &Model,
        bins: usize,
        resampling: &Resampling,
    ) -> Result<Self, CliError> {
        let mut scores: Vec<Score> = Vec::new();
        labelled.pass(|block| {
            scores.extend(model.scores(&block, &|_| true)?);
            Ok(())
        })?;
        let BrierParts { miscalibration, discrimination, uncertainty, .. } = brier_parts(&scores);
        let risk = risk_coverage(&scores);
        let mass = calibration_error(&scores, Binning::EqualMass(bins), resampling);
        let classwise = match (labelled.all(), model) {
            (Some(block), Model::Plain(Calibrator::Temperature(tau))) => {
                let error = block.classwise(*tau, bins, resampling);
                Some(error.map_err(|error| labelled.refuse(0, error))?)
            }
            _ => None,
        };
        Ok(Self {
            model: model.name(),
            temperature: model.temperature(),
            figures: Figures::of(&scores, bins, resampling),
            ece_equal_mass: WithNull::new(mass.ece, mass.null),
            classwise_ece: classwise.map(|error| WithNull::new(error.ece, error.null)),
            kolmogorov_smirnov: kolmogorov_smirnov(&scores, resampling).into(),
            smooth_ece: smooth_calibration_error(&scores, resampling).into(),
            miscalibration,
            discrimination,
            uncertainty,
            aurc: risk.aurc,
            excess_aurc: risk.excess_aurc,
        })
    }
}
