//! Every figure in a line: its name, its value, and what it is to be compared with.

use super::super::text::{figure, loss, percent, significant, tau};
use crate::contrast::view::{Contrast, Level, Rule, Suggestion};

/// A figure.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) meaning: String,
}

pub(super) fn lines(contrast: &Contrast) -> Vec<Line> {
    let Contrast { here, nearest, pairs, negatives, dimensions, .. } = contrast;
    let point = &here.point;
    let mut lines = Vec::new();
    let mut line = |name, value: String, meaning: String| lines.push(Line { name, value, meaning });
    line("loss", loss(point.loss), "nats, the mean of −ln p of a query's own key".to_owned());
    line(
        "floor, even sphere",
        loss(here.sphere),
        "right pairs whose negatives are spread evenly".to_owned(),
    );
    let vectors = negatives + 1;
    let reach = if contrast.is_simplex() {
        format!("nothing is below; {vectors} vectors can reach it in {dimensions} dimensions")
    } else {
        format!("nothing is below; to reach it, {vectors} vectors take {negatives} dimensions")
    };
    line("floor, simplex", loss(here.simplex), reach);
    let chance = loss((*negatives as f64).ln_1p());
    line(
        "unrelated pairs",
        loss(here.unrelated),
        format!("vectors spread evenly, all of them; ln(1 + K) is {chance}"),
    );
    let right = nearest.positive as f64 / *pairs as f64;
    let ties = match nearest.ties {
        0 => String::new(),
        1 => "; 1 query ties, and does not count".to_owned(),
        ties => format!("; {ties} queries tie, and do not count"),
    };
    line("accuracy@1", percent(right), format!("queries nearest to their own key{ties}"));
    line(
        "alignment",
        loss(contrast.alignment),
        "mean ‖q − k‖² of pairs: 0 is the same, 2 at right angles".to_owned(),
    );
    if let Some([queries, keys]) = contrast.uniformity {
        let limit = format!(
            "ln mean exp(−2‖x − y‖²); spread evenly it is {}",
            minus(contrast.uniformity_limit)
        );
        line("uniformity, queries", minus(queries), limit);
        line("uniformity, keys", minus(keys), String::new());
    }
    if contrast.labels.is_some() {
        let value = contrast.tolerance.map_or_else(|| "none".to_owned(), minus);
        line("tolerance", value, "mean cosine of two queries of one label".to_owned());
    }
    line(
        "effective negatives",
        count(point.perplexity()),
        format!("of {negatives}: exp of the entropy of the gradient's shares"),
    );
    line("", count(point.inverse_concentration()), "counted by 1/Σ share²".to_owned());
    line("nearest negative", percent(point.hardest), "of the gradient, on average".to_owned());
    if !point.same_label.is_nan() {
        line(
            "same label",
            percent(point.same_label),
            "of the gradient falls on negatives of the query's own label".to_owned(),
        );
    }
    lines
}

/// A number of negatives that need not be whole.
pub(super) fn count(number: f64) -> String {
    if number >= 1000.0 { format!("{number:.0}") } else { significant(number, 3) }
}

/// With the sign of typesetters.
fn minus(x: f64) -> String {
    if x < 0.0 { format!("−{}", loss(-x)) } else { loss(x) }
}

/// A temperature that is marked: by a letter, in the curve and in the table.
pub(super) struct Mark<'a> {
    pub(super) letter: char,
    pub(super) name: String,
    pub(super) level: &'a Level,
}

/// The temperature given, and those that rules give.
pub(super) fn marks(contrast: &Contrast) -> Vec<Mark<'_>> {
    let found = contrast.suggestions.iter().filter_map(|suggestion| {
        suggestion.outcome.as_ref().ok().map(|level| (rule(suggestion.rule), level))
    });
    let all = std::iter::once(("as given".to_owned(), &contrast.here)).chain(found);
    let marks = ('a'..).zip(all);
    marks.map(|(letter, (name, level))| Mark { letter, name, level }).collect()
}

/// A rule in a few words.
pub(super) fn rule(rule: Rule) -> String {
    match rule {
        Rule::HeldOut(_) => "lowest loss, held out".to_owned(),
        Rule::AdaCos => "AdaCos, 1/(√2 ln K)".to_owned(),
        Rule::Effective(number) => format!("{} effective negatives", count(number)),
        Rule::Floor(floor) => format!("floor of {}", figure_of(floor)),
    }
}

fn figure_of(x: f64) -> String {
    let plain = format!("{x}");
    if plain.len() < 8 { plain } else { figure(x) }
}

/// The cells of a marked temperature: τ, loss, floor, effective negatives, and with labels the share of its own.
pub(super) fn cells(contrast: &Contrast, level: &Level) -> Vec<String> {
    let point = &level.point;
    let mut cells = vec![
        tau(point.tau.tau()),
        loss(point.loss),
        loss(contrast.floor(level)),
        loss(level.unrelated),
        count(point.perplexity()),
    ];
    if !contrast.here.point.same_label.is_nan() {
        cells.push(percent(point.same_label));
    }
    cells
}

/// What they are called.
pub(super) fn headings(contrast: &Contrast) -> Vec<&'static str> {
    let mut headings = vec!["τ", "loss", "floor", "unrelated", "effective negatives"];
    if !contrast.here.point.same_label.is_nan() {
        headings.push("same label");
    }
    headings
}

/// What is to be said of a suggestion below the table.
pub(super) fn note(contrast: &Contrast, suggestion: &Suggestion) -> Option<String> {
    match (&suggestion.outcome, suggestion.rule) {
        (Err(why), of) => Some(format!("{}: none, {why}", rule(of))),
        (Ok(_), Rule::HeldOut(Some(judged))) => Some(format!(
            "{}: chosen on {} queries drawn at random; the other {} have a loss of {} there, and of {} at τ = {}",
            rule(suggestion.rule),
            judged.chosen_on,
            judged.measured_on,
            loss(judged.loss),
            loss(judged.loss_here),
            tau(contrast.here.tau().tau()),
        )),
        _ => None,
    }
}
