//! What every picture is drawn with: text, rules, curves, and coordinates short enough to read.

use svg::node::element::path::Data;
use svg::node::element::{Line, Path, Text};

/// Words at a place; `anchor` says which end of them is there.
pub fn text(x: f64, y: f64, anchor: &str, content: &str) -> Text {
    Text::new(content).set("x", tenth(x)).set("y", tenth(y)).set("text-anchor", anchor)
}

/// The same, less loud.
pub fn quiet(x: f64, y: f64, anchor: &str, content: &str) -> Text {
    text(x, y, anchor, content).set("class", "quiet")
}

/// A straight line.
pub fn rule(from: (f64, f64), to: (f64, f64)) -> Line {
    Line::new()
        .set("x1", tenth(from.0))
        .set("y1", tenth(from.1))
        .set("x2", tenth(to.0))
        .set("y2", tenth(to.1))
}

/// A line through the points, in the current colour.
pub fn curve(points: impl IntoIterator<Item = (f64, f64)>) -> Path {
    Path::new()
        .set("d", through(points))
        .set("fill", "none")
        .set("stroke", "currentColor")
        .set("stroke-linejoin", "round")
}

/// From point to point, straight.
pub fn through(points: impl IntoIterator<Item = (f64, f64)>) -> Data {
    points.into_iter().enumerate().fold(Data::new(), |data, (i, (x, y))| {
        let point = (tenth(x), tenth(y));
        if i == 0 { data.move_to(point) } else { data.line_to(point) }
    })
}

/// A tenth of a unit is finer than the eye and keeps the file small.
pub fn tenth(x: f64) -> f32 {
    ((x * 10.0).round() / 10.0) as f32
}
