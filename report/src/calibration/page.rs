//! The page: everything in one file that asks nothing of a network, and is also well-formed XML.

use std::fmt::{self, Write};

use super::table::{Cell, lines};
use super::view::Calibration;
use super::words::{Words, words};
use super::{curves, reliability, risk};
use crate::markup::{Escaped, STYLE, unbroken};
use crate::picture::{INK, Picture};
use crate::text::{loss, percent, points, signed, significant, tau};

/// The whole page.
pub fn page(calibration: &Calibration) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, calibration);
    page
}

fn write(out: &mut String, calibration: &Calibration) -> fmt::Result {
    let words = words(calibration);
    let name = Escaped(&calibration.name);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>Calibration of \
         {name}</title>\n<style>\n{INK}{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    opening(out, calibration, &words)?;
    diagrams(out, calibration)?;
    by_temperature(out, calibration)?;
    selective(out, calibration)?;
    figures(out, calibration)?;
    closing(out, calibration, &words)?;
    out.write_str("</main>\n</body>\n</html>\n")
}

/// The finding, the numbers that bear it, and what to do.
fn opening(out: &mut String, calibration: &Calibration, words: &Words) -> fmt::Result {
    let split = &calibration.split;
    let rows = split.fitted + split.held_out;
    write!(
        out,
        "<header>\n<p class=\"eyebrow\">Calibration report</p>\n<h1>{}</h1>\n\
         <p class=\"source\">{}: {rows} rows, {} classes. τ is fitted on {} rows drawn \
         at random; every figure here is measured on the other {}.</p>\n</header>\n<dl \
         class=\"tiles\">\n",
        Escaped(&unbroken(&words.headline)),
        Escaped(&calibration.source),
        calibration.classes,
        split.fitted,
        split.held_out,
    )?;
    for tile in tiles(calibration) {
        let Tile { name, value, below } = tile;
        writeln!(
            out,
            "<div><dt>{name}</dt><dd><b>{}</b><span>{}</span></dd></div>",
            Escaped(&value),
            Escaped(&below)
        )?;
    }
    out.write_str("</dl>\n")?;
    for finding in &words.findings {
        writeln!(out, "<p>{}</p>", Escaped(&unbroken(finding)))?;
    }
    if let Some(command) = &words.command {
        writeln!(out, "<pre><code>{}</code></pre>", Escaped(command))?;
    }
    Ok(())
}

/// A number that matters most.
struct Tile {
    name: &'static str,
    value: String,
    below: String,
}

fn tiles(calibration: &Calibration) -> Vec<Tile> {
    let before = &calibration.before;
    let mut tiles = Vec::new();
    if let Some(estimate) = &calibration.estimate {
        let [low, high] = estimate.interval.map(|tau| significant(tau, 3));
        tiles.push(Tile {
            name: "temperature τ",
            value: tau(estimate.temperature.tau()),
            below: format!("95 % interval {low} to {high}"),
        });
    }
    let (nll, ece, gap) = (
        loss(before.summary.nll.value),
        percent(before.ece.ece),
        before.summary.overconfidence.value,
    );
    let noise = |limit: f64| format!("noise alone: up to {}", percent(limit));
    match &calibration.after {
        Some(after) => {
            let (panel, change) = (&after.panel, &after.differences);
            tiles.push(Tile {
                name: "NLL",
                value: format!("{nll} → {}", loss(panel.summary.nll.value)),
                below: format!(
                    "change {} to {}",
                    signed(change.nll.low, loss),
                    signed(change.nll.high, loss)
                ),
            });
            tiles.push(Tile {
                name: "ECE",
                value: format!("{} → {}", points(before.ece.ece), percent(panel.ece.ece)),
                below: noise(panel.ece.null.quantile_95),
            });
            let gap_after = panel.summary.overconfidence.value;
            tiles.push(Tile {
                name: "overconfidence, points",
                value: format!("{} → {}", signed(gap, points), signed(gap_after, points)),
                below: format!("{} of answers are right", percent(panel.summary.accuracy.value)),
            });
        }
        None => {
            tiles.push(Tile {
                name: "NLL",
                value: nll,
                below: "mean −ln p of the label, in nats".to_owned(),
            });
            tiles.push(Tile { name: "ECE", value: ece, below: noise(before.ece.null.quantile_95) });
            tiles.push(Tile {
                name: "overconfidence, points",
                value: signed(gap, points),
                below: format!("{} of answers are right", percent(before.summary.accuracy.value)),
            });
        }
    }
    tiles
}

fn diagrams(out: &mut String, calibration: &Calibration) -> fmt::Result {
    out.write_str(
        "<section>\n<h2>Is it as often right as it says?</h2>\n<p class=\"quiet\">Where the line \
         leaves the grey band, confidence and truth differ by more than chance: at each confidence, \
         the line of a perfectly calibrated model lies inside 19 times of 20. Below, how many rows \
         there are of each confidence.</p>\n<div class=\"pair\">\n",
    )?;
    for (moment, panel) in calibration.panels() {
        picture(out, &reliability::draw(moment, panel))?;
    }
    out.write_str("</div>\n</section>\n")
}

fn by_temperature(out: &mut String, calibration: &Calibration) -> fmt::Result {
    let pictures = curves::draw(calibration);
    if pictures.is_empty() {
        return Ok(());
    }
    out.write_str(
        "<section>\n<h2>Which temperature?</h2>\n<p class=\"quiet\">The curves are of the \
         held-out rows, the dot marked with τ of the fitting rows: it need not be at the very \
         lowest point. NLL decides; ECE is noisy, and can be low by luck.</p>\n\
         <div class=\"pair\">\n",
    )?;
    for of_one in &pictures {
        picture(out, of_one)?;
    }
    out.write_str("</div>\n</section>\n")
}

fn selective(out: &mut String, calibration: &Calibration) -> fmt::Result {
    out.write_str(
        "<section>\n<h2>When it may decline to answer</h2>\n<p class=\"quiet\">Rows are answered \
         from the most confident down. A temperature hardly moves this curve: it changes how sure \
         the model is, and only a little who it is surer of.</p>\n<div class=\"pair\">\n",
    )?;
    picture(out, &risk::draw(calibration))?;
    out.write_str("<div>\n")?;
    coverages(out, calibration)?;
    out.write_str("</div>\n</div>\n</section>\n")
}

/// The curve as numbers: what is wrong among the most confident rows.
fn coverages(out: &mut String, calibration: &Calibration) -> fmt::Result {
    let Some((_, panel)) = calibration.panels().last() else { return Ok(()) };
    write!(
        out,
        "<table>\n<thead><tr><th scope=\"col\">answered</th><th scope=\"col\">wrong</th><th \
         scope=\"col\">confidence at τ = {}</th></tr></thead>\n<tbody>\n",
        tau(panel.temperature.tau()),
    )?;
    for coverage in [0.5, 0.7, 0.8, 0.9, 0.95, 1.0] {
        // Points are many and even, so the next one is as good as the one between.
        let point = panel.risk.points.iter().find(|point| point.coverage >= coverage - 1e-9);
        let Some(point) = point else { continue };
        let (coverage, risk, threshold) =
            (percent(coverage), percent(point.risk), percent(point.threshold));
        writeln!(
            out,
            "<tr><th scope=\"row\">{coverage}</th><td>{risk}</td><td>at least {threshold}</td></tr>"
        )?;
    }
    out.write_str("</tbody>\n</table>\n")
}

fn figures(out: &mut String, calibration: &Calibration) -> fmt::Result {
    out.write_str(
        "<section>\n<h2>Every figure</h2>\n<p class=\"quiet\">On the held-out rows. ± is one \
         standard error; changes have 95 % intervals of a paired bootstrap; noise is what a \
         perfectly calibrated model shows on average, and p how often it shows as much.</p>\n\
         <div class=\"wide\">\n<table>\n<thead><tr><th scope=\"col\">figure</th>",
    )?;
    for (_, panel) in calibration.panels() {
        write!(out, "<th scope=\"col\">τ = {}</th>", tau(panel.temperature.tau()))?;
    }
    if calibration.after.is_some() {
        out.write_str("<th scope=\"col\">change</th>")?;
    }
    out.write_str("</tr></thead>\n<tbody>\n")?;
    for line in lines(calibration) {
        write!(out, "<tr><th scope=\"row\">{}<small>{}</small></th>", line.name, line.meaning)?;
        cell(out, &line.before)?;
        if let Some(after) = &line.after {
            cell(out, after)?;
            cell(out, &line.change.unwrap_or_default())?;
        }
        out.write_str("</tr>\n")?;
    }
    out.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

fn cell(out: &mut String, cell: &Cell) -> fmt::Result {
    write!(out, "<td>{}", Escaped(&cell.value))?;
    if !cell.trust.is_empty() {
        write!(out, "<small>{}</small>", Escaped(&unbroken(&cell.trust)))?;
    }
    out.write_str("</td>")
}

fn closing(out: &mut String, calibration: &Calibration, words: &Words) -> fmt::Result {
    out.write_str("<section>\n<h2>What to bear in mind</h2>\n<ul>\n")?;
    for caveat in &words.caveats {
        writeln!(out, "<li>{}</li>", Escaped(&unbroken(caveat)))?;
    }
    write!(
        out,
        "</ul>\n</section>\n<footer>Made by softargmax {}, rows split with seed {}. ECE: 15 \
         right-closed bins of equal width (Guo et al. 2017). Lines: isotonic regression with \
         consistency bands (Dimitriadis, Gneiting and Jordan 2021).</footer>\n",
        env!("CARGO_PKG_VERSION"),
        calibration.split.seed,
    )
}

fn picture(out: &mut String, picture: &Picture) -> fmt::Result {
    writeln!(out, "<figure>{}</figure>", picture.svg())
}
