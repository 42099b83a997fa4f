//! NLL and ECE against τ on a log axis, with the temperature found, its interval, and τ = 1.
//!
//! Far from the optimum the NLL grows out of all proportion, so its axis ends not far above what it
//! costs to be at τ = 1, and the curve leaves the picture there; its labels stand where a convex
//! curve is not. ECE is bounded but may have any shape: all of it is shown, with the labels above.

use svg::node::element::{Circle, Group, Rectangle};

use super::view::{Calibration, Moment, Point};
use crate::pen::{curve, quiet, rule, tenth, text};
use crate::picture::{LEFT, Picture, RIGHT, TOP};
use crate::text::{loss, percent, significant, tau};

/// Where the drawing of a curve ends.
pub const BOTTOM: f64 = TOP + 190.0;
const HEIGHT: f64 = BOTTOM + 40.0;
/// Labels above the curve have a line each.
const LINE_HEIGHT: f64 = 17.0;
/// The width of a character of a label, generously.
const CHARACTER: f64 = 7.0;

pub(super) fn draw(calibration: &Calibration) -> Vec<Picture> {
    let quantities = [
        Quantity {
            name: "nll",
            title: "NLL against temperature",
            of: |p| p.nll,
            floor: None,
            write: loss,
        },
        Quantity {
            name: "ece",
            title: "ECE against temperature",
            of: |p| p.ece,
            floor: Some(|p| p.floor),
            write: percent,
        },
    ];
    quantities.into_iter().filter_map(|quantity| quantity.draw(calibration)).collect()
}

/// What is drawn against τ, and how it is written.
struct Quantity {
    name: &'static str,
    title: &'static str,
    of: fn(&Point) -> f64,
    floor: Option<fn(&Point) -> f64>,
    write: fn(f64) -> String,
}

/// Where values are.
pub struct Frame {
    /// The temperature at the left.
    pub first: f64,
    /// The temperature at the right.
    pub last: f64,
    /// The value at the bottom.
    pub low: f64,
    /// The value at the top.
    pub high: f64,
    /// Whether the curve is lower at its end than at its beginning.
    pub falls: bool,
}

impl Frame {
    /// Of a temperature.
    pub fn x(&self, tau: f64) -> f64 {
        let share = (tau / self.first).log10() / (self.last / self.first).log10();
        LEFT + share * (RIGHT - LEFT)
    }

    /// Of a value.
    pub fn y(&self, value: f64) -> f64 {
        BOTTOM - (value - self.low) / (self.high - self.low) * (BOTTOM - TOP)
    }
}

impl Quantity {
    /// Nothing where there is no curve: without a finite value, or with one temperature only.
    fn draw(&self, calibration: &Calibration) -> Option<Picture> {
        let profile: Vec<Point> =
            calibration.profile.iter().copied().filter(|p| (self.of)(p).is_finite()).collect();
        let [first, .., last] = profile.as_slice() else { return None };
        let marks = marks(calibration, self.of);
        let (low, high) = self.range(&profile, &marks);
        let falls = (self.of)(last) < (self.of)(first);
        let frame = Frame { first: first.tau, last: last.tau, low, high, falls };
        let mut drawing = Group::new();
        if let Some(estimate) = &calibration.estimate {
            let [from, to] =
                estimate.interval.map(|tau| frame.x(tau.clamp(frame.first, frame.last)));
            let zone = Rectangle::new()
                .set("class", "zone")
                .set("x", tenth(from))
                .set("y", tenth(TOP))
                .set("width", tenth((to - from).max(1.0)))
                .set("height", tenth(BOTTOM - TOP));
            drawing = drawing.add(zone);
        }
        drawing = drawing.add(self.scales(&frame));
        if let Some(floor) = self.floor {
            drawing = drawing.add(noise(&frame, &profile, floor));
        }
        for part in inside(&frame, profile.iter().map(|point| (point.tau, (self.of)(point)))) {
            drawing = drawing.add(curve(part).set("stroke-width", 2.2).set("class", "line"));
        }
        drawing = drawing.add(self.marked(&frame, &marks));
        Some(Picture {
            name: format!("{}-by-temperature", self.name),
            height: HEIGHT,
            title: self.title.to_owned(),
            subtitle: subtitle(calibration),
            told: self.told(&marks),
            drawing,
        })
    }

    /// The values at the bottom and the top.
    fn range(&self, profile: &[Point], marks: &[Mark]) -> (f64, f64) {
        let values = || profile.iter().map(self.of).chain(marks.iter().map(|mark| mark.value));
        let lowest = values().fold(f64::INFINITY, f64::min);
        let highest = values().fold(f64::NEG_INFINITY, f64::max);
        if let Some(floor) = self.floor {
            let highest =
                profile.iter().map(floor).filter(|x| x.is_finite()).fold(highest, f64::max);
            let labels = LINE_HEIGHT * marks.len() as f64 + 8.0;
            return (0.0, highest.max(1e-9) / (1.0 - labels / (BOTTOM - TOP)));
        }
        let marked = marks.iter().map(|mark| mark.value).fold(lowest, f64::max);
        // Where the marks are next to the lowest, the curve itself is what is to be seen.
        let span = ((marked - lowest) * 1.8).max((highest - lowest) / 8.0).min(highest - lowest);
        if span > 0.0 {
            // Room for a label below the lowest point.
            (lowest - span * 0.2, lowest + span)
        } else {
            (lowest - 0.5, lowest + 0.5)
        }
    }

    fn scales(&self, frame: &Frame) -> Group {
        let mut group = Group::new();
        for value in round_values(frame.low, frame.high) {
            group = group
                .add(rule((LEFT, frame.y(value)), (RIGHT, frame.y(value))).set("class", "grid"))
                .add(quiet(LEFT - 6.0, frame.y(value) + 4.0, "end", &self.tick(value)));
        }
        for (tau, label) in temperatures(frame.first, frame.last) {
            let x = frame.x(tau);
            group = group
                .add(rule((x, BOTTOM), (x, BOTTOM + 4.0)).set("class", "edge"))
                .add(quiet(x, BOTTOM + 18.0, "middle", &label));
        }
        group.add(rule((LEFT, BOTTOM), (RIGHT, BOTTOM)).set("class", "edge")).add(quiet(
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 35.0,
            "middle",
            "temperature τ, log scale",
        ))
    }

    fn tick(&self, value: f64) -> String {
        match self.floor {
            Some(_) => format!("{}%", short(value * 100.0)),
            None => short(value),
        }
    }

    /// A dot with its value at τ = 1 and at the optimum.
    fn marked(&self, frame: &Frame, marks: &[Mark]) -> Group {
        let shown: Vec<&Mark> = marks.iter().filter(|mark| mark.value <= frame.high).collect();
        let labels: Vec<String> = shown
            .iter()
            .map(|mark| format!("τ = {}: {}", tau(mark.tau), (self.write)(mark.value)))
            .collect();
        let places = match self.floor {
            Some(_) => above_all(frame, &shown, &labels),
            None => beside_bowl(frame, &shown, &labels),
        };
        let mut group = Group::new();
        for ((mark, label), place) in shown.into_iter().zip(&labels).zip(places) {
            let (cx, cy) = (frame.x(mark.tau), frame.y(mark.value));
            let mut of_mark = Group::new().set("class", mark.moment.name());
            if self.floor.is_some() {
                let leader = rule((cx, place.y + 5.0), (cx, cy));
                of_mark =
                    of_mark.add(leader.set("stroke", "currentColor").set("stroke-width", 1.2));
            }
            let dot = Circle::new()
                .set("class", "own dot")
                .set("cx", tenth(cx))
                .set("cy", tenth(cy))
                .set("r", 4.5)
                .set("stroke-width", 1.4);
            let label = text(place.x, place.y, place.anchor, label)
                .set("class", "own halo")
                .set("font-weight", 600);
            group = group.add(of_mark.add(label).add(dot));
        }
        group
    }

    fn told(&self, marks: &[Mark]) -> String {
        let at = |mark: &Mark| format!("{} at τ = {}", (self.write)(mark.value), tau(mark.tau));
        let values: Vec<String> = marks.iter().map(at).collect();
        format!("Measured on the held-out rows: {}.", values.join(", "))
    }
}

/// Where a label stands.
struct Place {
    x: f64,
    y: f64,
    anchor: &'static str,
}

fn width(label: &str) -> f64 {
    CHARACTER * label.chars().count() as f64
}

/// The nearest to `x` that keeps a label centred there within the picture.
fn centred(x: f64, label: &str) -> f64 {
    x.clamp(LEFT + width(label) / 2.0, RIGHT - width(label) / 2.0)
}

/// Labels at the top, to be joined to their dots: the one on the left is lower and ends at its own
/// line, so that no line crosses a label.
fn above_all(frame: &Frame, marks: &[&Mark], labels: &[String]) -> Vec<Place> {
    let is_left = |mark: &Mark| marks.len() > 1 && marks.iter().all(|other| mark.tau <= other.tau);
    let place = |(mark, label): (&&Mark, &String)| {
        let x = frame.x(mark.tau);
        if is_left(mark) {
            let x = x.max(LEFT + width(label)) + 3.0;
            Place { x, y: TOP + 9.0 + LINE_HEIGHT, anchor: "end" }
        } else {
            Place { x: centred(x, label), y: TOP + 9.0, anchor: "middle" }
        }
    };
    marks.iter().zip(labels).map(place).collect()
}

/// Labels of a convex curve, where it is not: below its lowest point and outside of its branches.
/// Two that would overlap there both go outside.
fn beside_bowl(frame: &Frame, marks: &[&Mark], labels: &[String]) -> Vec<Place> {
    let at = |mark: &Mark| (frame.x(mark.tau), frame.y(mark.value));
    let below = |mark: &Mark, label: &str| {
        let (x, y) = at(mark);
        Place { x: centred(x, label), y: y + 21.0, anchor: "middle" }
    };
    let beside = |mark: &Mark, on_left: bool| {
        let (x, y) = at(mark);
        let (x, anchor) = if on_left { (x - 8.0, "end") } else { (x + 8.0, "start") };
        Place { x, y: y + 13.0, anchor }
    };
    let above = |mark: &Mark, on_left: bool| {
        let (x, y) = at(mark);
        let (x, anchor) = if on_left { (x + 8.0, "start") } else { (x - 8.0, "end") };
        Place { x, y: y - 7.0, anchor }
    };
    let has_room = |place: &Place, label: &str| {
        let room = if place.anchor == "end" { place.x - LEFT } else { RIGHT - place.x };
        room >= width(label) && place.y < BOTTOM - 4.0
    };
    let outside = |mark: &Mark, label: &str, on_left: bool| {
        let place = beside(mark, on_left);
        if has_room(&place, label) { place } else { above(mark, on_left) }
    };
    match (marks, labels) {
        ([before, after], [of_before, of_after]) => {
            let on_left = before.tau < after.tau;
            let first = outside(before, of_before, on_left);
            let second = below(after, of_after);
            let is_clear = (first.x - second.x).abs() > width(of_after) / 2.0
                || (first.y - second.y).abs() > LINE_HEIGHT;
            let second = if is_clear { second } else { outside(after, of_after, !on_left) };
            vec![first, second]
        }
        // Where there is no minimum, the values at the ends of the axis tell which branch this is.
        _ => marks
            .iter()
            .zip(labels)
            .map(|(mark, label)| outside(mark, label, frame.falls))
            .collect(),
    }
}

/// A temperature that is written on the picture.
struct Mark {
    moment: Moment,
    tau: f64,
    value: f64,
}

fn marks(calibration: &Calibration, of: fn(&Point) -> f64) -> Vec<Mark> {
    let mark = |(moment, panel): (Moment, &super::view::Panel)| {
        let tau = panel.temperature.tau();
        let point =
            Point { tau, nll: panel.summary.nll.value, ece: panel.ece.ece, floor: f64::NAN };
        Mark { moment, tau, value: of(&point) }
    };
    let on_axis = |mark: &Mark| mark.value.is_finite() && mark.tau > 0.0 && mark.tau.is_finite();
    calibration.panels().map(mark).filter(on_axis).collect()
}

fn subtitle(calibration: &Calibration) -> String {
    match &calibration.estimate {
        Some(estimate) => {
            let [low, high] = estimate.interval.map(|tau| significant(tau, 3));
            format!("shaded: the 95 % interval of τ, {low} to {high}")
        }
        None => "no temperature was found".to_owned(),
    }
}

/// What calibrated models of this size stay below; its label stands beside it, at the end and on the side
/// where it is furthest from the curve.
fn noise(frame: &Frame, profile: &[Point], floor: fn(&Point) -> f64) -> Group {
    let points = profile.iter().map(|point| (point.tau, floor(point)));
    let mut group = Group::new().set("class", "noise");
    for part in inside(frame, points.filter(|(_, value)| value.is_finite())) {
        group = group.add(curve(part).set("stroke-dasharray", "3 3").set("stroke-width", 1.3));
    }
    let words = "noise floor, 95 %";
    let wide = CHARACTER * words.chars().count() as f64;
    // At either end, above its own line or below it; of these, where the curve is furthest away.
    let places = [LEFT, RIGHT - wide].into_iter().flat_map(|from| {
        let beside =
            || profile.iter().filter(move |p| (from..=from + wide).contains(&frame.x(p.tau)));
        let floors = || beside().map(|point| frame.y(floor(point)));
        let sides = [floors().fold(BOTTOM, f64::min) - 10.0, floors().fold(TOP, f64::max) + 11.0];
        sides.map(|y| {
            let distances = beside().map(|point| (frame.y(point.ece) - y).abs());
            (from, y, distances.fold(f64::INFINITY, f64::min))
        })
    });
    let places = places.filter(|&(_, y, _)| y > TOP && y < BOTTOM - 6.0);
    let Some((x, y, _)) = places.max_by(|a, b| a.2.total_cmp(&b.2)) else { return group };
    let (x, anchor) = if x == LEFT { (x + 4.0, "start") } else { (RIGHT, "end") };
    group.add(quiet(x, y + 4.0, anchor, words).set("class", "quiet halo"))
}

/// The parts of a line that lie below the top, cut where they cross it.
pub fn inside(frame: &Frame, points: impl Iterator<Item = (f64, f64)>) -> Vec<Vec<(f64, f64)>> {
    let (mut parts, mut last): (Vec<Vec<_>>, Option<(f64, f64)>) = (vec![Vec::new()], None);
    for (tau, value) in points {
        let point = (frame.x(tau), frame.y(value));
        if let Some(before) = last
            && (before.1 < TOP) != (point.1 < TOP)
        {
            let share = (TOP - before.1) / (point.1 - before.1);
            let crossing = (before.0 + share * (point.0 - before.0), TOP);
            if point.1 < TOP {
                parts.last_mut().into_iter().for_each(|part| part.push(crossing));
                parts.push(Vec::new());
            } else {
                parts.push(vec![crossing]);
            }
        }
        if point.1 >= TOP {
            parts.last_mut().into_iter().for_each(|part| part.push(point));
        }
        last = Some(point);
    }
    parts.retain(|part| part.len() > 1);
    parts
}

/// Three to six round values of an axis.
pub fn round_values(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (low / step).ceil();
    (0..8)
        .map(|i| (first + f64::from(i)) * step)
        .take_while(|value| *value <= high + step * 1e-9)
        .collect()
}

/// A round value without the digits that its arithmetic left.
pub fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.6e}").parse().unwrap_or(value);
    format!("{}", rounded + 0.0)
}

/// Temperatures to write on a log axis: 1, 2 and 5 times powers of ten, or powers alone where those
/// would be too many.
pub fn temperatures(first: f64, last: f64) -> Vec<(f64, String)> {
    let decades = (last / first).log10();
    let digits: &[f64] = if decades < 2.4 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let stride = (decades / 8.0).ceil().max(1.0) as i32;
    let powers = (first.log10().floor() as i32)..=(last.log10().ceil() as i32);
    let powers = powers.filter(|power| power.rem_euclid(stride) == 0);
    let taus = powers.flat_map(|power| digits.iter().map(move |digit| format!("{digit}e{power}")));
    let taus = taus.filter_map(|text| text.parse::<f64>().ok());
    let shown = taus.filter(|tau| (first * 0.999..=last * 1.001).contains(tau));
    shown
        .map(|tau| {
            (tau, if (1e-4..1e5).contains(&tau) { format!("{tau}") } else { format!("{tau:e}") })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_values() {
        assert_eq!(round_values(0.0, 1.0), [0.0, 0.5, 1.0]);
        assert_eq!(
            round_values(0.08, 0.15).iter().map(|&x| short(x)).collect::<Vec<_>>(),
            ["0.08", "0.1", "0.12", "0.14"]
        );
        let texts = |first, last| -> Vec<String> {
            temperatures(first, last).into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(texts(1.0 / 3.0, 6.0), ["0.5", "1", "2", "5"]);
        assert_eq!(texts(1e-3, 1e3), ["0.001", "0.01", "0.1", "1", "10", "100", "1000"]);
        assert!(texts(1e-300, 3.0).len() < 12);
    }

    #[test]
    fn a_line_is_cut_where_it_leaves_the_picture() {
        let frame = Frame { first: 0.1, last: 10.0, low: 0.0, high: 1.0, falls: false };
        let parts = inside(&frame, [(0.1, 2.0), (1.0, 0.0), (10.0, 2.0)].into_iter());
        let middle = (LEFT + RIGHT) / 2.0;
        let [part] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(part[0], ((LEFT + middle) / 2.0, TOP));
        assert_eq!(part[1], (middle, BOTTOM));
        assert_eq!(part[2], ((middle + RIGHT) / 2.0, TOP));
        assert!(inside(&frame, [(0.1, 2.0), (10.0, 3.0)].into_iter()).is_empty());
    }
}
