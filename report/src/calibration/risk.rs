//! Risk against coverage: how often the model is wrong when it answers only where it is most sure.

use softargmax::RiskCoverage;
use svg::node::element::Group;

use super::curves::round_values;
use super::view::{Calibration, Moment};
use crate::pen::{curve, quiet, rule, text};
use crate::picture::{LEFT, Picture, RIGHT, TOP};
use crate::text::{percent, tau};

const BOTTOM: f64 = TOP + 190.0;
const HEIGHT: f64 = BOTTOM + 40.0;

pub(super) fn draw(calibration: &Calibration) -> Picture {
    let curves: Vec<(Moment, &RiskCoverage, String)> = calibration
        .panels()
        .map(|(moment, panel)| (moment, &panel.risk, tau(panel.temperature.tau())))
        .collect();
    let highest = curves.iter().flat_map(|(_, risk, _)| &risk.points).map(|point| point.risk);
    let highest = highest.fold(0.0, f64::max);
    // A model that is never wrong still gets an axis.
    let high = if highest > 0.0 { (highest * 1.15).min(1.0) } else { 0.01 };
    let x = |coverage: f64| LEFT + coverage * (RIGHT - LEFT);
    let y = |risk: f64| BOTTOM - risk / high * (BOTTOM - TOP);

    let mut drawing = Group::new();
    for value in round_values(0.0, high) {
        drawing = drawing
            .add(rule((LEFT, y(value)), (RIGHT, y(value))).set("class", "grid"))
            .add(quiet(LEFT - 6.0, y(value) + 4.0, "end", &whole_percent(value)));
    }
    for fifth in 0..=5 {
        let coverage = f64::from(fifth) / 5.0;
        drawing = drawing
            .add(rule((x(coverage), BOTTOM), (x(coverage), BOTTOM + 4.0)).set("class", "edge"))
            .add(quiet(x(coverage), BOTTOM + 18.0, "middle", &whole_percent(coverage)));
    }
    drawing = drawing
        .add(rule((LEFT, BOTTOM), (RIGHT, BOTTOM)).set("class", "edge"))
        .add(quiet(
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 35.0,
            "middle",
            "coverage, the share of rows that get an answer",
        ))
        .add(quiet(0.0, TOP - 10.0, "start", "wrong among them"));
    let mut told =
        String::from("Share of wrong answers against the share of rows answered, most sure first.");
    for (i, (moment, risk, tau)) in curves.iter().enumerate() {
        let points = risk.points.iter().map(|point| (x(point.coverage), y(point.risk)));
        let label = format!("τ = {tau}: area {}", percent(risk.aurc));
        let place = TOP + 16.0 + 17.0 * i as f64;
        let mut line = curve(points).set("stroke-width", 2.0);
        if *moment == Moment::Before && curves.len() > 1 {
            // Where the two coincide both can be seen.
            line = line.set("stroke-dasharray", "6 3");
        }
        drawing = drawing.add(
            Group::new().set("class", moment.name()).add(line).add(
                text(LEFT + 12.0, place, "start", &label)
                    .set("class", "own halo")
                    .set("font-weight", 600),
            ),
        );
        told += &format!(" Area under the curve at τ = {tau}: {}.", percent(risk.aurc));
    }
    Picture {
        name: "risk-coverage".to_owned(),
        height: HEIGHT,
        title: "Answering only where it is sure".to_owned(),
        subtitle: format!(
            "all rows answered: {} wrong",
            percent(calibration.before.risk.full_risk)
        ),
        told,
        drawing,
    }
}

fn whole_percent(share: f64) -> String {
    let rounded: f64 = format!("{:.6e}", share * 100.0).parse().unwrap_or(share * 100.0);
    format!("{rounded}%")
}
