//! `softargmax eval`: how good probabilities are, at one temperature, at several, or by a fit.
//!
//! Every row is scored in one pass for each temperature; all measures but one work on the scores. The classwise
//! ECE needs the probabilities of all classes and so the rows in memory. Of more rows than scores are held of, the
//! scores are added up as they come: means and ECE are the same to the bit, what needs all scores is left out.

pub(crate) mod figures;

use std::path::Path;

use serde::Serialize;
use softargmax::{
    BinFree, Binning, BrierParts, Calibrator, Null, Resampling, Score, Tally, Temperature,
    brier_parts, calibration_error, kolmogorov_smirnov, risk_coverage, smooth_calibration_error,
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

/// The most rows whose scores are held: they take 48 bytes each.
pub(crate) const HELD_SCORES: usize = 1 << 23;
/// Bins of a tally.
const TALLY_BINS: u32 = 15;

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
    let is_tallied = rows > HELD_SCORES;
    if is_tallied && args.bins != TALLY_BINS {
        let (name, bins) = (labelled.name(), args.bins);
        return Err(CliError::refused(format!(
            "{name}: --bins {bins}, where more than {HELD_SCORES} rows are always put into {TALLY_BINS}"
        ))
        .hint("leave out --bins, or take some of the rows: the figures will hardly differ"));
    }
    let resampling = Resampling { replicates: args.replicates, seed: args.seed };
    let mut measures = Vec::with_capacity(models.len());
    for model in &models {
        measures.push(match is_tallied {
            true => Measures::tallied(&mut labelled, model, &resampling)?,
            false => Measures::of(&mut labelled, model, args.bins as usize, &resampling)?,
        });
    }
    if args.json {
        json::print(&Document {
            schema: "softargmax.eval/1",
            logits: labelled.name(),
            rows: (measures.len() != 1).then_some(rows as u64),
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
    /// How many rows have a label and a weight, where the figures do not stand beside it and say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// How many have not.
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
    /// Of one temperature, and where the rows are held in memory.
    pub(crate) classwise_ece: Option<WithNull>,
    /// All null where the scores were not held.
    #[serde(flatten)]
    pub(crate) of_scores: OfScores,
}

/// What needs all scores at once, each null where they were not held.
#[derive(Default, Serialize)]
pub(crate) struct OfScores {
    /// Over as many bins of equal mass.
    pub(crate) ece_equal_mass: Option<WithNull>,
    /// Without bins.
    pub(crate) kolmogorov_smirnov: Option<WithNull>,
    pub(crate) smooth_ece: Option<WithNull>,
    /// Of the Brier score of the top label.
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) miscalibration: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) discrimination: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) uncertainty: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) aurc: Option<f64>,
    #[serde(serialize_with = "json::optional_real")]
    pub(crate) excess_aurc: Option<f64>,
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
        let figures = Figures::of(&scores, bins, resampling);
        let of_scores = OfScores::new(&scores, bins, resampling);
        Self::new(labelled, model, bins, resampling, (figures, of_scores))
    }

    /// The same without holding the scores.
    fn tallied(
        labelled: &mut Labelled,
        model: &Model,
        resampling: &Resampling,
    ) -> Result<Self, CliError> {
        let mut tally = Tally::default();
        labelled.pass(|block| {
            tally.add(&model.scores(&block, &|_| true)?);
            Ok(())
        })?;
        let figures = Figures::new(tally.summary(), tally.calibration_error(resampling));
        let all = (figures, OfScores::default());
        Self::new(labelled, model, TALLY_BINS as usize, resampling, all)
    }

    fn new(
        labelled: &Labelled,
        model: &Model,
        bins: usize,
        resampling: &Resampling,
        (figures, of_scores): (Figures, OfScores),
    ) -> Result<Self, CliError> {
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
            figures,
            classwise_ece: classwise.map(|error| WithNull::new(error.ece, error.null)),
            of_scores,
        })
    }
}

impl OfScores {
    fn new(scores: &[Score], bins: usize, resampling: &Resampling) -> Self {
        let BrierParts { miscalibration, discrimination, uncertainty, .. } = brier_parts(scores);
        let risk = risk_coverage(scores);
        let mass = calibration_error(scores, Binning::EqualMass(bins), resampling);
        Self {
            ece_equal_mass: Some(WithNull::new(mass.ece, mass.null)),
            kolmogorov_smirnov: Some(kolmogorov_smirnov(scores, resampling).into()),
            smooth_ece: Some(smooth_calibration_error(scores, resampling).into()),
            miscalibration: Some(miscalibration),
            discrimination: Some(discrimination),
            uncertainty: Some(uncertainty),
            aurc: Some(risk.aurc),
            excess_aurc: Some(risk.excess_aurc),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LabelledArgs;

    /// What is the same to the bit, and that the rest is not made up.
    #[test]
    fn a_tally_has_the_figures_of_the_scores() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let number = |i: usize| (i * 7919 % 1009) as f64 / 100.0 - 5.0;
        let line = |row: usize| format!("{},{}\n", number(2 * row), number(2 * row + 1));
        let args = LabelledArgs {
            logits: write("logits.csv", (0..3000).map(line).collect()),
            labels: write("labels.csv", (0..3000).map(|row| format!("{}\n", row % 2)).collect()),
            input: Content::Logits,
            epsilon: None,
            weights: None,
            ignore_label: None,
            classes: None,
            top_k: Default::default(),
        };
        let mut labelled = Labelled::open(&args, None, false).expect("opens");
        let model = Model::temperature_of(Temperature::new(1.7).expect("a temperature"));
        let resampling = Resampling::default();
        let exact = Measures::of(&mut labelled, &model, 15, &resampling).expect("measures");
        let tallied = Measures::tallied(&mut labelled, &model, &resampling).expect("measures");
        let bits = |Measures { figures: f, classwise_ece, .. }: &Measures| {
            let means = [f.nll, f.nll_std_error, f.brier, f.brier_std_error];
            let shares = [f.accuracy, f.accuracy_std_error, f.confidence, f.overconfidence];
            let gaps = [f.overconfidence_std_error, f.ece, f.ece_debiased, f.mce];
            let classwise = [classwise_ece.expect("held").value, f.rows as f64];
            [&means[..], &shares, &gaps, &classwise].concat().into_iter().map(f64::to_bits)
        };
        assert!(bits(&exact).eq(bits(&tallied)));
        // Its null is drawn in another way.
        let null = |measures: &Measures| measures.figures.ece_null_mean;
        assert!((null(&tallied) / null(&exact) - 1.0).abs() < 0.1);
        assert!(exact.of_scores.aurc.is_some() && tallied.of_scores.aurc.is_none());
        let OfScores { ece_equal_mass, smooth_ece, kolmogorov_smirnov, .. } = tallied.of_scores;
        assert!([ece_equal_mass, smooth_ece, kolmogorov_smirnov].iter().all(Option::is_none));
    }
}
