//! The loss against τ on a log axis, between what can be reached and what unrelated vectors give, with the temperatures
//! that were given and suggested.
//!
//! The curves leave the picture at low temperatures, where every loss grows as 1/τ. A temperature has a letter above the
//! plot, and a line below it says which one it is.

use svg::node::element::{Circle, Group, Path};

use super::super::labels::spread;
use super::super::pen::{curve, quiet, rule, tenth, text};
use super::super::text::{loss, tau};
use super::lines::{Mark, marks};
use super::{drawn, top};
use crate::contrast::view::{Contrast, Level};
use softargmax_report::calibration::curves::{
    BOTTOM, Frame, inside, round_values, short, temperatures,
};
use softargmax_report::picture::{LEFT, Picture, RIGHT, TOP};

/// From line to line of the legend.
const LINE_HEIGHT: f64 = 18.0;
/// Letters are no nearer to each other.
const GAP: f64 = 13.0;
/// Above the plot, for letters.
const LETTERS: f64 = TOP - 6.0;
/// How far a sample of a line in the legend goes.
const SAMPLE: f64 = 24.0;

/// A line of the picture: its name, class, dashes and width.
struct Line {
    name: &'static str,
    class: &'static str,
    dashes: &'static str,
    width: f64,
    of: fn(&Level) -> f64,
}

const LINES: [Line; 4] = [
    Line { name: "loss", class: "after", dashes: "", width: 2.4, of: |level| level.point.loss },
    Line {
        name: "unrelated pairs",
        class: "before",
        dashes: "7 4",
        width: 1.6,
        of: |level| level.unrelated,
    },
    Line {
        name: "floor, even sphere",
        class: "edge",
        dashes: "3 3",
        width: 1.6,
        of: |level| level.sphere,
    },
    Line {
        name: "floor, simplex",
        class: "edge",
        dashes: "1 3",
        width: 1.6,
        of: |level| level.simplex,
    },
];

/// Nothing where there is no curve.
pub(super) fn draw(contrast: &Contrast) -> Option<Picture> {
    let levels = drawn(contrast);
    let (first, last) = (levels.first()?.tau().tau(), levels.last()?.tau().tau());
    let frame = Frame { first, last, low: 0.0, high: top(contrast), falls: false };
    let marks: Vec<Mark> = marks(contrast)
        .into_iter()
        .filter(|mark| (first..=last).contains(&mark.level.tau().tau()))
        .collect();
    let mut drawing = scales(&frame);
    for line in LINES.iter().rev() {
        let points = levels.iter().map(|level| (level.tau().tau(), (line.of)(level)));
        for part in inside(&frame, points.filter(|(_, value)| value.is_finite())) {
            drawing = drawing.add(styled(curve(part), line));
        }
    }
    let drawing = drawing.add(lettered(&frame, &marks)).add(legend(&marks));
    let name = format!("{} negatives, {} dimensions", contrast.negatives, contrast.dimensions);
    let told = format!(
        "The loss is {}, its floor {} and unrelated pairs {} at τ = {}.",
        loss(contrast.here.point.loss),
        loss(contrast.floor(&contrast.here)),
        loss(contrast.here.unrelated),
        tau(contrast.here.tau().tau()),
    );
    Some(Picture {
        name: "contrast".to_owned(),
        height: BOTTOM + 52.0 + LINE_HEIGHT * (2.0 + marks.len() as f64),
        title: "Contrastive loss against temperature".to_owned(),
        subtitle: name,
        told,
        drawing,
    })
}

fn styled(path: Path, line: &Line) -> Path {
    let path = path.set("class", line.class).set("stroke-width", line.width);
    if line.dashes.is_empty() { path } else { path.set("stroke-dasharray", line.dashes) }
}

fn scales(frame: &Frame) -> Group {
    let mut group = Group::new();
    for value in round_values(frame.low, frame.high) {
        group = group
            .add(rule((LEFT, frame.y(value)), (RIGHT, frame.y(value))).set("class", "grid"))
            .add(quiet(LEFT - 6.0, frame.y(value) + 4.0, "end", &short(value)));
    }
    for (tau, label) in temperatures(frame.first, frame.last) {
        let x = frame.x(tau);
        group = group.add(rule((x, BOTTOM), (x, BOTTOM + 4.0)).set("class", "edge")).add(quiet(
            x,
            BOTTOM + 18.0,
            "middle",
            &label,
        ));
    }
    group.add(rule((LEFT, BOTTOM), (RIGHT, BOTTOM)).set("class", "edge")).add(quiet(
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 35.0,
        "middle",
        "temperature τ, log scale",
    ))
}

/// A letter above every marked temperature, joined to its dot on the curve.
fn lettered(frame: &Frame, marks: &[Mark]) -> Group {
    let mut ordered: Vec<&Mark> = marks.iter().collect();
    ordered.sort_by(|a, b| a.level.tau().tau().total_cmp(&b.level.tau().tau()));
    let wanted: Vec<f64> = ordered.iter().map(|mark| frame.x(mark.level.tau().tau())).collect();
    let places = spread(&wanted, GAP, LEFT, RIGHT);
    let mut group = Group::new();
    for ((mark, x), place) in ordered.into_iter().zip(wanted).zip(places) {
        let y = frame.y(mark.level.point.loss).max(TOP);
        group = group
            .add(rule((place, LETTERS + 3.0), (x, TOP + 6.0)).set("class", "edge"))
            .add(rule((x, TOP + 6.0), (x, y)).set("class", "edge"))
            .add(text(place, LETTERS, "middle", &mark.letter.to_string()).set("font-weight", 600));
        if mark.level.point.loss <= frame.high {
            let dot = Circle::new()
                .set("class", "own dot")
                .set("cx", tenth(x))
                .set("cy", tenth(y))
                .set("r", 4.5)
                .set("stroke-width", 1.4);
            group = group.add(Group::new().set("class", "after").add(dot));
        }
    }
    group
}

/// What the lines are, two beside each other, and what the letters.
fn legend(marks: &[Mark]) -> Group {
    let top = BOTTOM + 60.0;
    let mut group = Group::new();
    for (i, line) in LINES.iter().enumerate() {
        let x = if i % 2 == 0 { 0.0 } else { (LEFT + RIGHT) / 2.0 - 18.0 };
        let y = top + LINE_HEIGHT * (i / 2) as f64;
        let sample = curve([(x, y - 4.0), (x + SAMPLE, y - 4.0)]);
        group = group.add(styled(sample, line)).add(text(x + SAMPLE + 7.0, y, "start", line.name));
    }
    for (i, mark) in marks.iter().enumerate() {
        let y = top + LINE_HEIGHT * (2.0 + i as f64);
        let letter = mark.letter.to_string();
        let what = format!("τ = {}, {}", tau(mark.level.tau().tau()), mark.name);
        group = group
            .add(text(SAMPLE / 2.0, y, "middle", &letter).set("font-weight", 600))
            .add(quiet(SAMPLE + 7.0, y, "start", &what))
            .add(text(RIGHT, y, "end", &loss(mark.level.point.loss)));
    }
    group
}
