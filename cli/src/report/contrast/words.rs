//! What the figures mean, in sentences.

use super::super::text::{loss, percent, tau};
use super::lines::count;
use crate::contrast::view::{Contrast, Rule, Suggestion};

/// The vectors in words, from the most important to the least.
pub(super) struct Words {
    pub(super) source: String,
    pub(super) headline: String,
    pub(super) findings: Vec<String>,
}

pub(super) fn words(contrast: &Contrast) -> Words {
    let findings = [place(contrast), Some(attention(contrast)), direction(contrast)];
    Words {
        source: source(contrast),
        headline: format!(
            "Loss {} at τ = {}: the floor is {}, unrelated vectors give {}",
            loss(contrast.here.point.loss),
            tau(contrast.here.tau().tau()),
            loss(contrast.floor(&contrast.here)),
            loss(contrast.here.unrelated),
        ),
        findings: findings.into_iter().flatten().collect(),
    }
}

fn source(contrast: &Contrast) -> String {
    let Contrast { queries, keys, pairs, negatives, dimensions, .. } = contrast;
    let s = if *pairs == 1 { "" } else { "s" };
    let from = match &contrast.negatives_file {
        Some(file) => format!("the {negatives} rows of {file}"),
        None => format!("the other {negatives} keys"),
    };
    format!(
        "{queries}, {keys}: {pairs} pair{s} of {dimensions} dimensions; a query's negatives are {from}"
    )
}

/// Where the loss lies between the floor and chance.
fn place(contrast: &Contrast) -> Option<String> {
    let (here, floor) = (&contrast.here, contrast.floor(&contrast.here));
    let (value, unrelated) = (here.point.loss, here.unrelated);
    // Where the two coincide there is no way between them: at very high temperatures.
    if !(unrelated - floor > 1e-3 * unrelated) || unrelated.is_infinite() {
        return Some(format!(
            "At this τ vectors hardly matter: the loss of any is about {}.",
            loss(unrelated)
        ));
    }
    let way = (unrelated - value) / (unrelated - floor);
    Some(if way < 0.0 {
        "The loss is above that of unrelated vectors: check that row i of the keys belongs to query i."
            .to_owned()
    } else if value < floor {
        "The loss is below that of evenly spread vectors: these are arranged better than by chance, as a few can be, or their negatives are all far away."
            .to_owned()
    } else {
        format!(
            "From unrelated vectors to right ones spread evenly, the loss has gone {} of the way. About {} of it would stay if every pair were right, as long as τ, the dimensions and the number of negatives are these.",
            percent(way),
            loss(floor),
        )
    })
}

/// What the gradient looks at.
fn attention(contrast: &Contrast) -> String {
    let point = &contrast.here.point;
    let mut text = format!(
        "A query's gradient is spread over about {} of its {} negatives, and the nearest alone has {} of it.",
        count(point.perplexity()),
        contrast.negatives,
        percent(point.hardest),
    );
    if !point.same_label.is_nan() {
        text += &format!(
            " {} of it pushes away negatives of the query's own label.",
            percent(point.same_label)
        );
    }
    text
}

/// Which way the loss falls, of these vectors as they are.
fn direction(contrast: &Contrast) -> Option<String> {
    let here = &contrast.here;
    let way = match here.point.slope {
        slope if slope < 0.0 => "lower",
        slope if slope > 0.0 => "higher",
        _ => return None,
    };
    let lowest = contrast.suggestions.iter().find_map(|suggestion| match suggestion {
        Suggestion { rule: Rule::HeldOut(_), outcome: Ok(level) } => Some(level.tau().tau()),
        _ => None,
    });
    let lowest = lowest
        .map_or_else(String::new, |lowest| format!(", and is lowest at about τ = {}", tau(lowest)));
    Some(format!(
        "Of these vectors as they are, the loss falls towards a {way} τ{lowest}. That is where the probabilities of the keys are best calibrated, and nothing more."
    ))
}
