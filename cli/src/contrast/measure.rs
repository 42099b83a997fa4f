//! From vectors to what is shown of them.

use softargmax::{
    ContrastCurve, CurvePoint, Error, Temperature, Vectors, adacos_fixed_scale, alignment,
    curve_at_perplexity, curve_optimum, normface_lower_bound, normface_scale_for_loss,
    sphere_floor, sphere_scale_for_floor, sphere_uniformity, sphere_unrelated_level, tolerance,
    uniformity,
};
use softargmax_report::split::Split;

use super::vectors::{Classes, Held, Negatives, expect, measure as measure_file};
use super::view::{Contrast, HeldOut, Level, Rule, Suggestion};
use crate::args::ContrastArgs;
use crate::error::CliError;
use crate::input::Beside;
use crate::progress::Progress;

/// Temperatures of a range.
const STEPS: u32 = 49;
/// Keys gone through between two steps of the progress bar: a multiple of 512.
const KEYS: usize = 4096;
/// The most sums of queries at temperatures that are held, of 40 bytes: 1 GiB.
const MOST_SUMS: usize = (1 << 30) / 40;
/// Which share of the negatives shall count unless it is said.
const EFFECTIVE: f64 = 0.1;

/// Goes through the vectors twice: at the temperatures of the curve, and at those it suggests.
pub(super) fn measure(args: &ContrastArgs) -> Result<Contrast, CliError> {
    let temperatures = temperatures(args)?;
    let how = if args.normalise { Vectors::Normalise } else { Vectors::Unit };
    let queries = Held::read(&args.queries, how)?;
    let keys = Held::read(&args.keys, how)?;
    same_shape(&queries, &keys)?;
    let pairs = queries.count();
    let sums = pairs.saturating_mul(temperatures.len() + 1);
    if sums > MOST_SUMS {
        let (taus, name) = (temperatures.len() + 1, &queries.name);
        return Err(CliError::refused(format!(
            "{name}: {pairs} queries at {taus} temperatures are more than the {MOST_SUMS} sums that are held"
        ))
        .hint("fewer --steps, or some of the pairs: the figures will hardly differ"));
    }
    let labels = args.labels.as_deref().map(|path| queries.labels(path)).transpose()?;
    let negatives = negatives(args, &queries, labels.as_ref())?;
    let count = negatives.as_ref().map_or(pairs - 1, |negatives| negatives.count);
    if count == 0 {
        let refused = match &negatives {
            Some(negatives) => format!("{}: no rows, so no negatives", negatives.path.display()),
            None => format!("{}: one pair has no negatives: its loss is 0", queries.name),
        };
        return Err(CliError::refused(refused).hint("more pairs, or --negatives with some vectors"));
    }
    let sample = Sample { queries, keys, labels, negatives, count, how };
    // What is asked for is looked at before any work is done.
    let of_floor = sample.floor(args.floor)?;
    let effective = sample.effective(args.effective)?;

    let mut all = temperatures.clone();
    all.push(args.temperature);
    let curve = sample.pass(&all)?;
    let of_all = curve.points(|_| true).map_err(CliError::internal)?;
    let halves = Split::holding_out(0.5, args.seed, pairs, |_| true);
    let half = |part| curve.points(|row| halves.part(row) == part).ok();
    let nearest = curve.nearest();
    let (chosen, judged) = (half(0), half(1));

    let mut rules = vec![sample.held_out(chosen.as_deref(), &all)];
    rules.push((Rule::AdaCos, sample.ada_cos()));
    let off_curve = || "no temperature of the curve has so many".to_owned();
    let of_effective = curve_at_perplexity(&of_all, effective).ok_or_else(off_curve);
    rules.push((Rule::Effective(effective), of_effective));
    rules.push((Rule::Floor(args.floor), of_floor));
    let found: Vec<Temperature> = rules.iter().filter_map(|(_, tau)| tau.clone().ok()).collect();
    drop(curve);
    let again = sample.pass(&found)?;
    let points = again.points(|_| true).map_err(CliError::internal)?;
    let mut levels = points.into_iter().map(|point| sample.level(point));
    let mut suggestions = Vec::new();
    for (rule, tau) in rules {
        let outcome = match tau {
            Ok(_) => {
                Ok(levels.next().ok_or_else(|| CliError::internal("a temperature is lost"))??)
            }
            Err(why) => Err(why),
        };
        suggestions.push(Suggestion { rule, outcome });
    }
    if let [Suggestion { rule: Rule::HeldOut(held_out), outcome: Ok(_) }, ..] =
        suggestions.as_mut_slice()
        && let (Ok(there), Some(judged)) = (again.points(|row| halves.part(row) == 1), judged)
    {
        let measured_on = (0..pairs).filter(|&row| halves.part(row) == 1).count();
        let here = judged.last().ok_or_else(|| CliError::internal("no temperature"))?;
        *held_out = Some(HeldOut {
            chosen_on: pairs - measured_on,
            measured_on,
            loss: there[0].loss,
            loss_here: here.loss,
        });
    }
    drop(again);

    let levels: Result<Vec<Level>, CliError> =
        of_all.into_iter().map(|point| sample.level(point)).collect();
    let mut curve = levels?;
    let here = curve.pop().ok_or_else(|| CliError::internal("no temperature"))?;
    let Sample { queries, keys, labels, negatives, .. } = &sample;
    let (of_queries, of_keys) = (queries.rows()?, keys.rows()?);
    let uniformity = match pairs {
        1 => None,
        _ => Some([
            uniformity(of_queries).map_err(CliError::internal)?,
            uniformity(of_keys).map_err(CliError::internal)?,
        ]),
    };
    let of_classes = |labels: &Classes| tolerance(of_queries, &labels.of_rows);
    let tolerance = labels.as_ref().map(of_classes).transpose().map_err(CliError::internal)?;
    Ok(Contrast {
        queries: queries.name.clone(),
        keys: keys.name.clone(),
        negatives_file: negatives.as_ref().map(|negatives| negatives.path.display().to_string()),
        labels: args.labels.as_ref().map(|path| path.display().to_string()),
        pairs,
        negatives: count,
        dimensions: queries.width,
        here,
        nearest,
        alignment: alignment(of_queries, of_keys).map_err(CliError::internal)?,
        uniformity,
        uniformity_limit: sphere_uniformity(queries.width).map_err(CliError::internal)?,
        tolerance: tolerance.flatten(),
        curve,
        suggestions,
        seed: args.seed,
    })
}

/// Those of the curve; none of them 0, where a loss is 0 or ∞.
fn temperatures(args: &ContrastArgs) -> Result<Vec<Temperature>, CliError> {
    let has_range = args.temperatures.has_range();
    let steps = args.steps.or(has_range.then_some(STEPS));
    let temperatures = args.temperatures.expand(steps)?;
    if let Some(tau) = temperatures.iter().chain([&args.temperature]).find(|tau| tau.tau() < 1e-300)
    {
        return Err(CliError::refused(format!(
            "at temperature {tau} the loss of a query is 0 or inf, and nothing between"
        ))
        .hint("take one above 0: 0.01 is low; accuracy@1 is what is left at 0"));
    }
    let finite = || temperatures.iter().map(|tau| tau.tau()).filter(|tau| tau.is_finite());
    if args.plot.is_some() && finite().all(|tau| Some(tau) == finite().next()) {
        return Err(CliError::refused("one temperature is no curve to --plot")
            .hint("give --temperatures two or more, or leave it out"));
    }
    Ok(temperatures)
}

fn same_shape(queries: &Held, keys: &Held) -> Result<(), CliError> {
    let (q, k) = (&queries.name, &keys.name);
    if queries.width != keys.width {
        let (a, b) = (queries.width, keys.width);
        return Err(CliError::refused(format!(
            "{k} has vectors of {b} dimensions, and {q} of {a}"
        ))
        .hint("both must come from the same space"));
    }
    if queries.count() != keys.count() {
        let (a, b) = (queries.count(), keys.count());
        return Err(CliError::refused(format!("{k} has {b} rows, and {q} has {a}"))
            .hint("row i of the keys is the positive of query i; others go into --negatives"));
    }
    Ok(())
}

/// The file of negatives and its labels, looked at but not read.
fn negatives<'a>(
    args: &'a ContrastArgs,
    queries: &Held,
    labels: Option<&Classes>,
) -> Result<Option<Negatives<'a>>, CliError> {
    let Some(path) = args.negatives.as_deref() else { return Ok(None) };
    let (count, layout) = measure_file(path)?;
    let name = path.display().to_string();
    if layout.classes() != queries.width {
        let (a, b) = (queries.width, layout.classes());
        let refused = format!("{name} has vectors of {b} dimensions, and {} of {a}", queries.name);
        return Err(CliError::refused(refused).hint("both must come from the same space"));
    }
    let beside = Beside { logits: path, shape: &[count, queries.width], classes: queries.width };
    let labels = match (args.negative_labels.as_deref(), labels) {
        (Some(of_negatives), Some(labels)) => {
            let classes = Classes::read(of_negatives, count, &beside)?;
            expect(of_negatives, classes.of_rows.len(), &name, count)?;
            Some(classes.numbered_as(labels))
        }
        _ => None,
    };
    Ok(Some(Negatives { path, count, labels }))
}

/// A rule's temperature, or why it has none.
type Found = Result<Temperature, String>;

/// Vectors, ready.
struct Sample<'a> {
    queries: Held,
    keys: Held,
    labels: Option<Classes>,
    negatives: Option<Negatives<'a>>,
    /// Negatives of a query.
    count: usize,
    how: Vectors,
}

impl Sample<'_> {
    /// All similarities at these temperatures.
    fn pass(&self, taus: &[Temperature]) -> Result<ContrastCurve<'_, f64>, CliError> {
        let refused = |error: Error| CliError::refused(error);
        let curve = ContrastCurve::new(self.queries.rows()?, self.keys.rows()?, taus, self.how);
        let mut curve = curve.map_err(refused)?;
        if let Some(labels) = &self.labels {
            curve = curve.with_labels(&labels.of_rows).map_err(refused)?;
        }
        if taus.is_empty() {
            return Ok(curve);
        }
        let width = self.queries.width;
        match &self.negatives {
            None => {
                let mut progress = Progress::new(Some(self.keys.count() as u64));
                for (i, block) in self.keys.numbers.chunks(KEYS * width).enumerate() {
                    let keys = softargmax::Rows::new(block, width).map_err(refused)?;
                    curve.add_batch(keys, i * KEYS).map_err(refused)?;
                    progress.advance(keys.rows() as u64);
                }
            }
            Some(negatives) => {
                let mut progress = Progress::new(Some(negatives.count as u64));
                negatives.pass(width, |block, first| {
                    let labels = negatives.labels.as_deref();
                    let labels = labels.map(|labels| &labels[first..first + block.rows()]);
                    curve.add(block, labels)?;
                    progress.advance(block.rows() as u64);
                    Ok(())
                })?;
            }
        }
        Ok(curve)
    }

    /// What a point of the curve is to be compared with.
    fn level(&self, point: CurvePoint) -> Result<Level, CliError> {
        let (count, width, tau) = (self.count, self.queries.width, point.tau);
        let simplex = normface_lower_bound(count + 1, tau.scale()).map_err(CliError::internal)?;
        let sphere = sphere_floor(count, width, tau).map_err(CliError::internal)?;
        let unrelated = sphere_unrelated_level(count, width, tau).map_err(CliError::internal)?;
        Ok(Level { point, simplex, sphere, unrelated })
    }

    /// The lowest loss of one half of the queries.
    fn held_out(&self, chosen: Option<&[CurvePoint]>, taus: &[Temperature]) -> (Rule, Found) {
        let rule = Rule::HeldOut(None);
        let Some(points) = chosen.filter(|_| self.queries.count() > 1) else {
            return (rule, Err("one query cannot be dealt into halves".to_owned()));
        };
        let found = curve_optimum(points).ok_or_else(|| {
            let finite = || taus.iter().filter(|tau| !tau.is_infinite());
            let lowest = finite().map(|tau| tau.tau()).fold(f64::INFINITY, f64::min);
            let highest = finite().map(|tau| tau.tau()).fold(0.0, f64::max);
            let at_lowest = points.iter().find(|point| point.tau.tau() == lowest);
            match at_lowest {
                Some(point) if point.slope <= 0.0 => format!(
                    "the loss falls all the way down to {lowest}: almost every query is nearest to its own key"
                ),
                _ => format!(
                    "the loss falls all the way up to {highest}: queries are hardly nearer to their own keys"
                ),
            }
        });
        (rule, found)
    }

    fn ada_cos(&self) -> Found {
        if self.count < 2 {
            return Err("one negative gives it no scale".to_owned());
        }
        let scale = adacos_fixed_scale(self.count + 1).map_err(|error| error.to_string())?;
        Temperature::from_scale(scale).map_err(|error| error.to_string())
    }

    /// How many negatives shall count.
    fn effective(&self, wanted: Option<f64>) -> Result<f64, CliError> {
        let count = self.count as f64;
        match wanted {
            None => Ok((EFFECTIVE * count).max(1.0)),
            Some(wanted) if (1.0..=count).contains(&wanted) => Ok(wanted),
            Some(wanted) => {
                Err(CliError::refused(format!("{wanted} of {count} negatives cannot count"))
                    .hint(format!("--effective is 1 to {count}")))
            }
        }
    }

    fn floor(&self, floor: f64) -> Result<Found, CliError> {
        if !(floor > 0.0 && floor.is_finite()) {
            return Err(CliError::refused(format!("a loss cannot have the floor {floor}"))
                .hint("--floor is a number of nats above 0, such as 0.01"));
        }
        let (count, width) = (self.count, self.queries.width);
        let most = (count as f64).ln_1p();
        if floor >= most {
            return Ok(Err(format!("at every temperature it is below ln(1 + K) = {most:.4}")));
        }
        let scale = if count <= width {
            normface_scale_for_loss(count + 1, floor)
        } else {
            sphere_scale_for_floor(count, width, floor)
        };
        let tau = scale.and_then(Temperature::from_scale);
        Ok(tau.map_err(|error| error.to_string()).and_then(|tau| match tau.tau() {
            tau if tau < 1e-300 => Err("no temperature that is a number has it".to_owned()),
            _ => Ok(tau),
        }))
    }
}
