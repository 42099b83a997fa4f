//! One picture: a title, what it shows in words, and the drawing.

use svg::node::element::{Description, Group, Rectangle, SVG, Style, Title};

use crate::pen::{quiet, text};

/// Colours and letters of all pictures, on light pages and on dark ones.
pub const INK: &str = include_str!("ink.css");

/// How wide a picture is, in its own units.
const WIDTH: f64 = 360.0;
/// Around one that stands alone.
const MARGIN: f64 = 14.0;
/// Where the drawing begins and ends.
pub const LEFT: f64 = 42.0;
/// As [`LEFT`].
pub const RIGHT: f64 = 352.0;
/// As [`LEFT`].
pub const TOP: f64 = 68.0;
const FONT_SIZE: f64 = 12.0;

/// A picture, of 360 units of width.
pub struct Picture {
    /// What its file is called, less the `.svg`.
    pub name: String,
    /// In units.
    pub height: f64,
    /// What it is of.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// What it shows, told to those who cannot see it.
    pub told: String,
    /// All below the two lines.
    pub drawing: Group,
}

impl Picture {
    /// As a part of a page that has [`INK`].
    pub fn svg(&self) -> SVG {
        self.within(0.0, Group::new())
    }

    /// As a file of its own.
    pub fn file(&self) -> String {
        let page = Rectangle::new()
            .set("class", "page")
            .set("x", -MARGIN)
            .set("y", -MARGIN)
            .set("width", WIDTH + 2.0 * MARGIN)
            .set("height", self.height + 2.0 * MARGIN);
        self.within(MARGIN, Group::new().add(Style::new(INK)).add(page)).to_string()
    }

    /// With so much space around it, and something below everything else.
    fn within(&self, margin: f64, ground: Group) -> SVG {
        let (width, height) = (WIDTH + 2.0 * margin, self.height + 2.0 * margin);
        let title = text(0.0, 15.0, "start", &self.title);
        SVG::new()
            .set("xmlns", "http://www.w3.org/2000/svg")
            .set("viewBox", (-margin, -margin, width, height))
            .set("role", "img")
            .set("font-size", FONT_SIZE)
            .add(Title::new(&*self.title))
            .add(Description::new().add(svg::node::Text::new(&*self.told)))
            .add(ground)
            .add(title.set("font-weight", 600).set("font-size", 14.5))
            .add(quiet(0.0, 33.0, "start", &self.subtitle))
            .add(self.drawing.clone())
    }
}
