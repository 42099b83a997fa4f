//! The list of temperatures that a user types: `0,0.01..100,inf`.

use std::str::FromStr;

use softargmax::Temperature;

use crate::error::CliError;

/// How many temperatures a range has unless `--steps` says otherwise: over the four decades of
/// `0.01..100` these fall on 0.01, 0.0316, 0.1, 0.316 and so on.
const DEFAULT_STEPS: u32 = 9;

/// Temperatures and ranges in the order typed. A range waits for `--steps` to become temperatures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TemperatureList(Vec<Item>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    One(Temperature),
    Range { first: Temperature, last: Temperature },
}

impl FromStr for TemperatureList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|item| Item::parse(item.trim())).collect::<Result<_, _>>().map(Self)
    }
}

impl Item {
    fn parse(text: &str) -> Result<Self, String> {
        let temperature = |text: &str| Temperature::from_str(text).map_err(|e| e.to_string());
        let Some((first, last)) = text.split_once("..") else {
            return temperature(text).map(Item::One);
        };
        let (first, last) = (temperature(first)?, temperature(last)?);
        for end in [first, last] {
            if end.tau() == 0.0 || end.tau().is_infinite() {
                return Err(format!(
                    "a range on a log axis cannot reach {end}: name it on its own, as in \
                     0,0.01..100,inf"
                ));
            }
        }
        if first == last {
            return Err(format!("the range {text} has equal ends: write {first}"));
        }
        Ok(Item::Range { first, last })
    }
}

impl TemperatureList {
    /// Whether `--steps` has something to be about.
    pub(crate) fn has_range(&self) -> bool {
        self.0.iter().any(|item| matches!(item, Item::Range { .. }))
    }

    /// Every temperature, in the order typed.
    pub(crate) fn expand(&self, steps: Option<u32>) -> Result<Vec<Temperature>, CliError> {
        if steps.is_some() && !self.has_range() {
            return Err(CliError::refused("--steps is given, but --temperatures has no range")
                .hint("a range is written 0.01..100"));
        }
        let mut temperatures = Vec::new();
        for &item in &self.0 {
            match item {
                Item::One(temperature) => temperatures.push(temperature),
                Item::Range { first, last } => {
                    let steps = steps.unwrap_or(DEFAULT_STEPS);
                    temperatures.push(first);
                    for text in between(first.tau(), last.tau(), steps) {
                        temperatures.push(text.parse().map_err(CliError::internal)?);
                    }
                    temperatures.push(last);
                }
            }
        }
        Ok(temperatures)
    }
}

/// The inner points of a range, evenly spaced on a log axis, as decimal texts.
///
/// They have three digits, or as many as keep the rounding below a twentieth of the spacing.
fn between(first: f64, last: f64, steps: u32) -> impl Iterator<Item = String> {
    let intervals = f64::from(steps - 1);
    // Two logarithms: the ratio of the ends may overflow.
    let span = last.ln() - first.ln();
    let spacing = (span / intervals).abs();
    let digits = (1.0 + (10.0 / spacing).log10().ceil()).clamp(3.0, 17.0) as usize;
    (1..steps - 1).map(move |i| {
        let point = (first.ln() + span * (f64::from(i) / intervals)).exp();
        format!("{point:.*e}", digits - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &str, steps: Option<u32>) -> Vec<String> {
        let list = TemperatureList::from_str(list).expect("a list");
        list.expand(steps).expect("temperatures").iter().map(Temperature::to_string).collect()
    }

    #[test]
    fn order_is_kept_and_limits_are_allowed() {
        assert_eq!(texts("10,0, 0.1,inf", None), ["10", "0", "0.1", "inf"]);
    }

    #[test]
    fn a_range_is_even_on_a_log_axis_in_short_decimals_and_may_go_down() {
        let up = ["0.01", "0.0316", "0.1", "0.316", "1", "3.16", "10", "31.6", "100"];
        assert_eq!(texts("0.01..100", None), up);
        assert_eq!(texts("0,1..0.01,2", Some(3)), ["0", "1", "0.1", "0.01", "2"]);
        assert_eq!(texts("1e-300..1e300", Some(3)), ["1e-300", "1", "1e300"]);
    }

    #[test]
    fn ends_are_used_as_typed_and_close_points_get_more_digits() {
        assert_eq!(texts("0.123456789..0.2", Some(2)), ["0.123456789", "0.2"]);
        let close = texts("1..1.001", Some(101));
        assert_eq!(close[1], "1.00001");
        let distinct: std::collections::BTreeSet<_> = close.iter().collect();
        assert_eq!(distinct.len(), 101);
    }

    #[test]
    fn what_is_no_temperature_or_range_is_refused() {
        for list in ["", "1,", "nan", "-1", "x", "0..1", "1..inf", "1..1", "1..", "1..2..3"] {
            assert!(TemperatureList::from_str(list).is_err(), "{list}");
        }
        let list = TemperatureList::from_str("1,2").expect("a list");
        assert!(list.expand(Some(3)).is_err(), "steps without a range");
    }
}
