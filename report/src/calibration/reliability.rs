//! The reliability diagram: how often the rows of each confidence are right, on square axes from 0
//! to 1, and below, on the same axis, how many rows there are.
//!
//! The line is the isotonic regression of right on confidence; between its steps it is straight.
//! The band is where such lines lie when the probabilities are true, so that only what leaves it
//! asks for an explanation.

use softargmax::Step;
use svg::node::element::{Circle, Group, Path, Rectangle};

use super::view::{Moment, Panel};
use crate::pen::{curve, quiet, rule, tenth, text, through};
use crate::picture::{LEFT, Picture, RIGHT, TOP};
use crate::text::{percent, tau};

const BOTTOM: f64 = TOP + RIGHT - LEFT;
/// The histogram's bars stand on its floor, below the diagram.
const CEILING: f64 = BOTTOM + 22.0;
const FLOOR: f64 = CEILING + 56.0;
const HEIGHT: f64 = FLOOR + 40.0;

fn x(confidence: f64) -> f64 {
    LEFT + confidence * (RIGHT - LEFT)
}

fn y(share: f64) -> f64 {
    BOTTOM - share * (BOTTOM - TOP)
}

pub(super) fn draw(moment: Moment, panel: &Panel) -> Picture {
    let (sure, right) = (panel.summary.confidence.value, panel.summary.accuracy.value);
    let tau = tau(panel.temperature.tau());
    let (ece, floor) = (percent(panel.ece.ece), percent(panel.ece.null.quantile_95));
    let title = match moment {
        Moment::Before => format!("As it is, τ = {tau}"),
        Moment::After => format!("At τ = {tau}"),
    };
    let subtitle = format!(
        "{} sure, {} right · ECE {ece}, noise below {floor}",
        percent(sure),
        percent(right)
    );
    let drawing = Group::new()
        .add(scales())
        .add(band(panel))
        .add(
            rule((x(0.0), y(0.0)), (x(1.0), y(1.0)))
                .set("class", "edge")
                .set("stroke-dasharray", "1 3")
                .set("stroke-linecap", "round"),
        )
        .add(notes(&panel.steps))
        .add(line(&panel.steps).set("class", moment.name()))
        .add(histogram(&panel.histogram).set("class", moment.name()));
    Picture {
        name: format!("reliability-{}", moment.name()),
        height: HEIGHT,
        told: told(panel),
        title,
        subtitle,
        drawing,
    }
}

/// The diagram in a sentence: where the line stands at a few confidences.
fn told(panel: &Panel) -> String {
    let mut told = String::from(
        "Share of rows that are right against confidence, by isotonic regression, with the band \
         in which 95 % of such lines lie if the model is calibrated.",
    );
    let (Some(first), Some(last)) = (panel.steps.first(), panel.steps.last()) else {
        return told;
    };
    for step in [first, last] {
        let range = match (percent(step.lower), percent(step.upper)) {
            (lower, upper) if lower == upper => lower,
            (lower, upper) => format!("{lower} to {upper}"),
        };
        told += &format!(" At confidence {range}: {} right.", percent(step.accuracy));
    }
    told
}

/// The grid and what is written along both axes.
fn scales() -> Group {
    let mut group = Group::new();
    for fifth in 0..=5 {
        let value = f64::from(fifth) / 5.0;
        let class = |is_edge: bool| if is_edge { "edge" } else { "grid" };
        group = group
            .add(rule((x(0.0), y(value)), (x(1.0), y(value))).set("class", class(fifth == 0)))
            .add(rule((x(value), y(0.0)), (x(value), y(1.0))).set("class", class(fifth == 0)))
            .add(rule((x(value), CEILING), (x(value), FLOOR)).set("class", "grid"))
            .add(quiet(LEFT - 8.0, y(value) + 4.0, "end", &format!("{value}")))
            .add(quiet(x(value), FLOOR + 17.0, "middle", &format!("{value}")));
    }
    group
        .add(rule((x(0.0), FLOOR), (x(1.0), FLOOR)).set("class", "edge"))
        .add(quiet(0.0, TOP - 10.0, "start", "share right"))
        .add(quiet(LEFT - 8.0, FLOOR - 2.0, "end", "rows"))
        .add(quiet(x(0.5), FLOOR + 34.0, "middle", "confidence, the largest probability"))
}

/// Where lines of calibrated models lie.
fn band(panel: &Panel) -> Path {
    let band = &panel.band;
    let along = |edge: &[f64]| {
        // Beyond the confidences there are, the band has no place.
        let places = band.at.iter().zip(edge).filter(|(_, share)| share.is_finite());
        places.map(|(&at, &share)| (x(at), y(share))).collect::<Vec<_>>()
    };
    let (upper, lower) = (along(&band.upper), along(&band.lower));
    Path::new()
        .set("d", through(upper.into_iter().chain(lower.into_iter().rev())).close())
        .set("class", "band")
}

/// What it means to be on either side, where the line leaves room for it.
fn notes(steps: &[Step]) -> Group {
    let is_free = |from: f64, to: f64, share: f64| {
        // Within steps the line is level; between them it passes all that lies between.
        let levels = steps
            .windows(2)
            .map(|pair| (pair[0].upper, pair[1].lower, pair[0].accuracy, pair[1].accuracy));
        let of_steps =
            steps.iter().map(|step| (step.lower, step.upper, step.accuracy, step.accuracy));
        let reach = 0.045;
        !levels.chain(of_steps).any(|(first, last, low, high)| {
            first <= to && last >= from && low <= share + reach && high >= share - reach
        })
    };
    let note = |from: f64, to: f64, shares: [f64; 3], at: f64, anchor, words| {
        let share = shares.into_iter().find(|&share| is_free(from, to, share))?;
        Some(quiet(x(at), y(share) + 4.0, anchor, words).set("class", "quiet halo"))
    };
    let above = note(0.0, 0.38, [0.965, 0.86, 0.76], 0.02, "start", "↑ underconfident");
    let below = note(0.62, 1.0, [0.03, 0.13, 0.23], 0.985, "end", "↓ overconfident");
    above.into_iter().chain(below).fold(Group::new(), Group::add)
}

/// From step to step; one that is a single confidence is a point of the line.
fn line(steps: &[Step]) -> Group {
    let ends = |step: &Step| [(x(step.lower), y(step.accuracy)), (x(step.upper), y(step.accuracy))];
    let group = Group::new().add(
        curve(steps.iter().flat_map(ends)).set("stroke-width", 2.4).set("stroke-linecap", "round"),
    );
    match steps {
        // A line of no length would not be seen.
        [only] if only.lower == only.upper => {
            let [(cx, cy), _] = ends(only);
            group.add(
                Circle::new()
                    .set("class", "own")
                    .set("cx", tenth(cx))
                    .set("cy", tenth(cy))
                    .set("r", 4),
            )
        }
        _ => group,
    }
}

/// One bar per bin; the highest is labelled with its share.
fn histogram(shares: &[f64]) -> Group {
    let full = shares.iter().copied().fold(0.0, f64::max);
    let (mut group, width) = (Group::new(), 1.0 / shares.len() as f64);
    for (i, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        // One row among a million is still a row.
        let height = (share / full * (FLOOR - CEILING)).max(1.0);
        let from = i as f64 * width;
        let bar = Rectangle::new()
            .set("class", "own")
            .set("x", tenth(x(from) + 0.5))
            .set("y", tenth(FLOOR - height))
            .set("width", tenth(x(from + width) - x(from) - 1.0))
            .set("height", tenth(height));
        group = group.add(bar);
    }
    if let Some(highest) = shares.iter().position(|&share| share == full && full > 0.0) {
        let middle = x((highest as f64 + 0.5) * width).clamp(LEFT + 20.0, RIGHT - 20.0);
        group = group
            .add(text(middle, CEILING - 5.0, "middle", &percent(full)).set("class", "own halo"));
    }
    group
}
