//! What `solve` shows.

use super::table::{Table, print};
use super::text::{figure, rounded};
use crate::error::CliError;
use crate::solve::answer::{Answer, Goal, Outcome};

/// The answer for the mean of the rows, or for the one row there is.
pub(crate) fn print_mean(subject: &str, goal: Goal, answer: &Answer) -> Result<(), CliError> {
    let Goal { quantity, value } = goal;
    let [lowest, highest] = answer.attainable.map(rounded);
    let side = match (answer.outcome, answer.temperature) {
        (Outcome::Found, Some(temperature)) => {
            return print(|out| {
                writeln!(out, "temperature {temperature} gives {quantity} {value} {subject}")
            });
        }
        (Outcome::Any | Outcome::Found, _) => {
            return print(|out| {
                writeln!(out, "any temperature gives {quantity} {value} {subject}")
            });
        }
        (Outcome::BelowReach, _) => "below",
        (Outcome::AboveReach, _) => "above",
    };
    print(|out| {
        writeln!(out, "no temperature gives {quantity} {value} {subject}")?;
        writeln!(out, "it is {side} what can be reached, {lowest} to {highest}")
    })
}

/// One answer per row.
pub(crate) fn print_rows(goal: Goal, answers: &[Answer]) -> Result<(), CliError> {
    let quantity = goal.quantity.to_string();
    let mut table = Table::new(["row", "temperature", &quantity]);
    for (row, answer) in answers.iter().enumerate() {
        let [lowest, highest] = answer.attainable.map(rounded);
        let (temperature, reached) = match (answer.outcome, answer.temperature) {
            (Outcome::Found, Some(temperature)) => {
                (temperature.to_string(), figure(answer.attained.unwrap_or(goal.value)))
            }
            (Outcome::Any | Outcome::Found, _) => ("any".to_owned(), lowest),
            (Outcome::BelowReach, _) => ("none".to_owned(), format!("at least {lowest}")),
            (Outcome::AboveReach, _) => ("none".to_owned(), format!("at most {highest}")),
        };
        table.row([row.to_string(), temperature, reached]);
    }
    table.print()
}
