//! What a failed check says in words.

use super::{FittedTemperature, Impossible, Rare, Verdict};
use crate::report::text::{significant, tau as short_tau};

/// Classes that are named one by one.
const NAMED: usize = 5;
/// How far two likelihoods must be apart for one to be the better story, in nats: a factor of 20.
const CLEARLY: f64 = 3.0;
/// And how near, for them to be of the same distribution.
const SAME: f64 = 1e-9;

/// A sentence for everything that is wrong, the most telling first. `tests` is the number of tests.
pub(super) fn of(verdict: &Verdict, tau: f64, tests: f64, words: Option<&[String]>) -> Vec<String> {
    let mut found = Vec::new();
    let is_significant = |p: f64| p * tests < verdict.level;
    let several_rows = verdict.beyond.is_none();
    for Impossible { row, token, drawn, reason } in verdict.impossible.iter().take(NAMED) {
        let row = if several_rows { format!("row {row}: ") } else { String::new() };
        let class = class(*token, words);
        found.push(format!("{row}{class} was drawn {}, but {reason}", times(*drawn)));
    }
    if let Some(rest) = verdict.impossible.get(NAMED..).filter(|rest| !rest.is_empty()) {
        let draws: u64 = rest.iter().map(|one| one.drawn).sum();
        found.push(format!("so were {} other classes, {} in all", rest.len(), times(draws)));
    }
    if let Some(Rare { row, token, probability, .. }) =
        verdict.rarest.filter(|one| is_significant(one.p_value))
    {
        let row = if several_rows { format!("row {row}: ") } else { String::new() };
        let class = class(token, words);
        found.push(format!(
            "{row}{class} was drawn, and its probability is {}",
            significant(probability, 3)
        ));
    }
    let beyond = verdict.beyond.filter(|beyond| is_significant(beyond.p_value));
    if let Some(beyond) = beyond {
        found.push(format!(
            "nothing beyond rank {} was drawn, where {} draws were expected",
            beyond.ranks,
            significant(beyond.expected, 3)
        ));
    }
    let worst = verdict.tails.iter().filter(|tail| is_significant(tail.p_value));
    // A tail of which there is nothing has been told of.
    if let Some(tail) = worst.min_by(|a, b| a.p_value.total_cmp(&b.p_value))
        && (beyond.is_none() || tail.drawn > 0)
    {
        let place = match tail.from_rank {
            Some(rank) => format!("the tail beyond rank {rank}"),
            None => format!("the tail of {} of the mass", tail.mass),
        };
        found.push(format!(
            "{place} was drawn {} where {} were expected: {} sigma too {}",
            times(tail.drawn),
            significant(tail.expected, 3),
            significant(tail.z.abs(), 2),
            if tail.z < 0.0 { "rarely" } else { "often" }
        ));
    }
    if is_significant(verdict.chi_square.p_value)
        && let Some(most) = verdict.outlier
    {
        let row = if several_rows { format!(" of row {}", most.row) } else { String::new() };
        found.push(format!(
            "the counts differ by more than chance, most of all {}{row}: drawn {} where {} were expected",
            class(most.class, words),
            times(most.drawn),
            significant(most.expected, 3)
        ));
    }
    found.extend(explanation(verdict, tau));
    found
}

/// What would have given such draws, if something usual would. That something is wrong is known by now, so that it need
/// only be clearly likelier than what was claimed.
fn explanation(verdict: &Verdict, tau: f64) -> Option<String> {
    let named = verdict.alternatives.iter().find(|gain| !gain.is_grid);
    let named = named.filter(|gain| gain.nats > CLEARLY);
    let least = named.map_or(CLEARLY, |gain| gain.nats + CLEARLY);
    match verdict.temperature {
        // A story of no free number is the better one where both are about as likely.
        Some(FittedTemperature { fitted, interval: [low, high], gain }) if gain > least => {
            let [fitted, low, high, tau] = [fitted, low, high, tau].map(short_tau);
            Some(format!("it looks like temperature {fitted} ({low} to {high}) rather than {tau}"))
        }
        _ => named.map(|gain| match gain.what.starts_with("temperature ") {
            true => format!("it looks like {} rather than {}", gain.what, short_tau(tau)),
            false => {
                // Several may keep the same classes, and then nothing tells them apart.
                let same = verdict.alternatives.iter().filter(|other| {
                    !other.is_grid && (other.log_likelihood - gain.log_likelihood).abs() < SAME
                });
                let whats: Vec<&str> = same.take(NAMED).map(|gain| gain.what.as_str()).collect();
                format!("it looks as if {}", whats.join(", or "))
            }
        }),
    }
}

fn class(token: usize, words: Option<&[String]>) -> String {
    match words {
        Some(words) => format!("class {token} ('{}')", words[token].escape_debug()),
        None => format!("class {token}"),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}
