//! Curves against temperature as an SVG for light and dark pages.
//!
//! Every line has its label beside its right end. The limits 0 and ∞, where given, stand beyond the
//! ends of the log axis, with dashes across the gap.

use svg::Document;
use svg::node::element::{Circle, Group, Line, Rectangle, Style, Title};

use softargmax::Temperature;

pub(crate) use super::axis::Axis;
use super::axis::Place;
use super::pen::{quiet, rule, tenth, text};
use super::{labels, palette, pen};
use crate::error::CliError;
use crate::output::Target;

/// Points of a curve through a few logits: one for every few pixels.
pub(crate) const SAMPLES: usize = 161;
/// Points of a curve for which a whole file is gone through once more each.
pub(crate) const SAMPLES_OF_FILE: usize = 49;

/// What is drawn.
pub(crate) struct Chart {
    pub(super) title: String,
    /// What the labels are.
    pub(super) labelled: &'static str,
    pub(super) axis: Axis,
    /// From top to bottom as their labels shall stand.
    pub(super) series: Vec<Series>,
}

/// One line.
pub(super) struct Series {
    /// Lines that coincide share the label of the first.
    pub(super) label: Option<String>,
    pub(super) curve: Vec<(Temperature, f64)>,
    /// The values at the temperatures asked for.
    pub(super) marks: Vec<(Temperature, f64)>,
}

// The picture in its own units, which are pixels when it is shown at its natural size.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 390.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 334.0;
const LEFT: f64 = 56.0;
const FONT_SIZE: f64 = 15.0;
/// From one end of the log axis to the place of the limit beyond it.
const LIMIT: f64 = 40.0;
const LINE_HEIGHT: f64 = 18.0;
/// From the end of the lines to the labels.
const LEADER: f64 = 26.0;
/// The width of a character of a label, generously.
const CHARACTER: f64 = 8.8;
/// With more lines than this they are thin, and only some have labels.
const FEW: usize = 12;
/// How many labels there are when there are not enough for all.
const SOME: usize = 8;

/// The horizontal places that depend on what is drawn.
struct Frame {
    first: f64,
    last: f64,
    /// Where lines end and leaders to the labels begin.
    end: f64,
}

impl Frame {
    fn of(chart: &Chart) -> Self {
        let labels = chart.series.iter().filter_map(|series| series.label.as_deref());
        let longest = labels.chain([chart.labelled]).map(|label| label.chars().count()).max();
        let end = WIDTH - 14.0 - LEADER - CHARACTER * longest.unwrap_or(0) as f64;
        let beyond = |shown: bool| if shown { LIMIT } else { 0.0 };
        Self { first: LEFT + beyond(chart.axis.zero), last: end - beyond(chart.axis.infinite), end }
    }

    fn x(&self, place: Place) -> f64 {
        match place {
            Place::Zero => LEFT,
            Place::Along(share) => self.first + share * (self.last - self.first),
            Place::Infinite => self.end,
        }
    }
}

/// Values run from 0 at the bottom to 1 at the top.
fn y(value: f64) -> f64 {
    BOTTOM - value * (BOTTOM - TOP)
}

impl Chart {
    pub(crate) fn write(&self, mut target: Target) -> Result<(), CliError> {
        let mut text = Vec::new();
        svg::write(&mut text, &self.document()).map_err(CliError::internal)?;
        target.write(&text)?;
        target.finish()
    }

    fn document(&self) -> Document {
        let frame = Frame::of(self);
        let mut document = Document::new()
            .set("viewBox", (0, 0, WIDTH, HEIGHT))
            .set("role", "img")
            .set("font-size", FONT_SIZE)
            .add(Title::new(&*self.title))
            .add(Style::new(palette::style(self.series.len())))
            .add(Rectangle::new().set("class", "page").set("width", WIDTH).set("height", HEIGHT))
            .add(text(14.0, 27.0, "start", &self.title).set("font-weight", 600))
            .add(self.scales(&frame));
        for (i, series) in self.series.iter().enumerate() {
            document = document.add(self.line(series, &frame).set("class", format!("s{i}")));
        }
        document.add(self.labels(&frame))
    }

    /// The grid and what is written along both axes.
    fn scales(&self, frame: &Frame) -> Group {
        let mut group = Group::new();
        for quarter in 0..=4 {
            let value = f64::from(quarter) / 4.0;
            let class = if quarter == 0 { "edge" } else { "grid" };
            group = group
                .add(rule((LEFT, y(value)), (frame.end, y(value))).set("class", class))
                .add(quiet(LEFT - 10.0, y(value) + 5.0, "end", &format!("{value}")));
        }
        for (place, label) in self.axis.ticks() {
            let x = frame.x(place);
            group = group
                .add(rule((x, BOTTOM), (x, BOTTOM + 5.0)).set("class", "edge"))
                .add(quiet(x, BOTTOM + 21.0, "middle", &label));
        }
        let middle = (frame.first + frame.last) / 2.0;
        group.add(quiet(middle, HEIGHT - 10.0, "middle", "temperature τ, log scale"))
    }

    /// One curve, its dashes to the limits, and dots at the temperatures asked for.
    fn line(&self, series: &Series, frame: &Frame) -> Group {
        let at = |&(temperature, value): &(Temperature, f64)| {
            (frame.x(self.axis.place(temperature)), y(value))
        };
        let (stroke, dot, ring) = if self.is_crowded() { (1.3, 2.2, 0.0) } else { (2.2, 4.0, 1.2) };
        let curve = pen::curve(series.curve.iter().map(at)).set("stroke-width", stroke);
        let mut group = Group::new().add(curve);
        for mark in &series.marks {
            let neighbour = match self.axis.place(mark.0) {
                Place::Zero => series.curve.first(),
                Place::Along(_) => None,
                Place::Infinite => series.curve.last(),
            };
            if let Some(neighbour) = neighbour {
                let dashes = coloured(at(neighbour), at(mark)).set("stroke-dasharray", "2 4");
                group = group.add(dashes);
            }
        }
        // On top of everything else that belongs to the line.
        for (x, y) in series.marks.iter().map(at) {
            let circle = Circle::new()
                .set("class", "dot")
                .set("cx", tenth(x))
                .set("cy", tenth(y))
                .set("r", dot)
                .set("fill", "currentColor")
                .set("stroke-width", ring);
            group = group.add(circle);
        }
        group
    }

    fn is_crowded(&self) -> bool {
        self.series.len() > FEW
    }

    /// The labels, all or some, each joined to the end of its line; above them, what they are.
    fn labels(&self, frame: &Frame) -> Group {
        let ends: Vec<_> = self.series.iter().enumerate().filter_map(label_and_end).collect();
        let room = if self.is_crowded() { SOME } else { FEW };
        let picked: Vec<_> = labels::pick(ends.len(), room).into_iter().map(|i| ends[i]).collect();
        let wanted: Vec<f64> = picked.iter().map(|&(_, _, value)| y(value)).collect();
        let places = labels::spread(&wanted, LINE_HEIGHT, TOP, BOTTOM);

        let x = frame.end + LEADER;
        let top = places.first().map_or(TOP, |place| place - LINE_HEIGHT);
        let mut group = Group::new().add(quiet(x, top + 5.0, "start", self.labelled));
        for ((i, label, value), place) in picked.into_iter().zip(places) {
            let label = Group::new()
                .set("class", format!("s{i}"))
                .add(coloured((frame.end + 6.0, y(value)), (x - 5.0, place)))
                .add(text(x, place + 5.0, "start", label));
            group = group.add(label);
        }
        group
    }
}

/// A line's place in the order, its label if it has one, and the value at its right end.
fn label_and_end((i, series): (usize, &Series)) -> Option<(usize, &str, f64)> {
    let limit = series.marks.iter().find(|(temperature, _)| *temperature == Temperature::INFINITE);
    let &(_, value) = limit.or(series.curve.last())?;
    Some((i, series.label.as_deref()?, value))
}

/// A thin line in the colour of the series it belongs to.
fn coloured(from: (f64, f64), to: (f64, f64)) -> Line {
    rule(from, to).set("stroke", "currentColor").set("stroke-width", 1.2)
}
