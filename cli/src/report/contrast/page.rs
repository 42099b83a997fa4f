//! The page: everything in one file that asks nothing of a network, and is also well-formed XML.

use std::fmt::{self, Write};

use softargmax_report::markup::{Escaped, STYLE, unbroken};
use softargmax_report::picture::INK;

use super::super::text::{loss, percent, tau};
use super::curve;
use super::lines::{cells, count, headings, lines, marks, note};
use super::words::words;
use crate::contrast::view::{Contrast, WARNING};

/// The whole page.
pub(crate) fn page(contrast: &Contrast) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, contrast);
    page
}

fn write(out: &mut String, contrast: &Contrast) -> fmt::Result {
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>Contrast of {}</title>\n<style>\n{INK}{STYLE}</style>\n</head>\n<body>\n<main>\n",
        Escaped(&contrast.queries)
    )?;
    opening(out, contrast)?;
    out.write_str(
        "<section>\n<h2>Which temperature?</h2>\n<p class=\"quiet\">The loss of these vectors as they \
         are, at other temperatures, between what can be reached there and what vectors give that \
         have nothing to do with each other. Each τ has its own floor, so losses at two of them are \
         not to be compared.</p>\n<div class=\"pair\">\n",
    )?;
    if let Some(picture) = curve::draw(contrast) {
        writeln!(out, "<figure>{}</figure>", picture.svg())?;
    }
    out.write_str("<div>\n")?;
    for note in contrast.suggestions.iter().filter_map(|of| note(contrast, of)) {
        writeln!(out, "<p>{}</p>", Escaped(&unbroken(&capital(&note))))?;
    }
    write!(out, "<p>{}</p>\n</div>\n</div>\n", Escaped(WARNING))?;
    suggestions(out, contrast)?;
    figures(out, contrast)?;
    write!(
        out,
        "<footer>Made by softargmax {}, queries split with seed {}. Floors: Wang et al. 2017 \
         (simplex), Wang and Isola 2020 (sphere). Shares of the gradient: Wang and Liu \
         2021.</footer>\n</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        contrast.seed,
    )
}

/// The finding and the numbers that bear it.
fn opening(out: &mut String, contrast: &Contrast) -> fmt::Result {
    let words = words(contrast);
    write!(
        out,
        "<header>\n<p class=\"eyebrow\">Contrastive report</p>\n<h1>{}</h1>\n<p \
         class=\"source\">{}.</p>\n</header>\n<dl class=\"tiles\">\n",
        Escaped(&unbroken(&words.headline)),
        Escaped(&words.source),
    )?;
    let here = &contrast.here;
    let right = contrast.nearest.positive as f64 / contrast.pairs as f64;
    let tiles = [
        ("loss", loss(here.point.loss), format!("nats, at τ = {}", tau(here.tau().tau()))),
        (
            "floor",
            loss(contrast.floor(here)),
            format!("unrelated vectors: {}", loss(here.unrelated)),
        ),
        ("accuracy@1", percent(right), "nearest to their own key".to_owned()),
        (
            "effective negatives",
            count(here.point.perplexity()),
            format!("of {}", contrast.negatives),
        ),
    ];
    for (name, value, below) in tiles {
        writeln!(
            out,
            "<div><dt>{name}</dt><dd><b>{}</b><span>{}</span></dd></div>",
            Escaped(&value),
            Escaped(&unbroken(&below))
        )?;
    }
    out.write_str("</dl>\n")?;
    for finding in &words.findings {
        writeln!(out, "<p>{}</p>", Escaped(&unbroken(finding)))?;
    }
    Ok(())
}

fn suggestions(out: &mut String, contrast: &Contrast) -> fmt::Result {
    out.write_str("<div class=\"wide\">\n<table>\n<thead><tr><th scope=\"col\">suggested by</th>")?;
    for heading in headings(contrast) {
        write!(out, "<th scope=\"col\">{heading}</th>")?;
    }
    out.write_str("</tr></thead>\n<tbody>\n")?;
    for mark in marks(contrast) {
        let name = format!("{}  {}", mark.letter, mark.name);
        write!(out, "<tr><th scope=\"row\">{}</th>", Escaped(&name))?;
        for cell in cells(contrast, mark.level) {
            write!(out, "<td>{}</td>", Escaped(&cell))?;
        }
        out.write_str("</tr>\n")?;
    }
    out.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

fn figures(out: &mut String, contrast: &Contrast) -> fmt::Result {
    write!(
        out,
        "<section>\n<h2>Every figure at τ = {}</h2>\n<div class=\"wide\">\n<table>\n<thead><tr><th \
         scope=\"col\">figure</th><th scope=\"col\">value</th></tr></thead>\n<tbody>\n",
        tau(contrast.here.tau().tau()),
    )?;
    for line in lines(contrast) {
        let name = if line.name.is_empty() { "effective negatives, fewer" } else { line.name };
        writeln!(
            out,
            "<tr><th scope=\"row\">{name}<small>{}</small></th><td>{}</td></tr>",
            Escaped(&line.meaning),
            Escaped(&line.value)
        )?;
    }
    out.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
