//! What is usually done wrong, or otherwise, by samplers: each a distribution that the draws may be from instead.
//!
//! They are those that reports of faults in samplers speak of: a parameter that does not arrive, a temperature that
//! is applied twice or in the wrong direction, filters in another order, filters by default.

use softargmax::{Order, SamplingParams, Temperature};

use crate::sample::settings::Settings;

/// Another distribution.
pub(super) struct Alternative {
    /// How a sentence goes on that begins with "it looks as if", or a temperature.
    pub(super) what: String,
    pub(super) settings: Settings,
}

/// Temperatures that people use.
const TEMPERATURES: [&str; 12] =
    ["0.1", "0.2", "0.3", "0.5", "0.6", "0.7", "0.8", "0.9", "1", "1.2", "1.5", "2"];
const TOP_K: [usize; 6] = [1, 10, 20, 40, 50, 100];
const TOP_P: [f64; 6] = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99];
const MIN_P: [f64; 4] = [0.01, 0.02, 0.05, 0.1];

/// Those that differ from what is claimed.
pub(super) fn of(claimed: &Settings, classes: usize) -> Vec<Alternative> {
    let mut all: Vec<Alternative> = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut Settings)| {
        let mut settings = claimed.clone();
        change(&mut settings);
        if settings.distribution_differs(claimed)
            && all.iter().all(|one| settings.distribution_differs(&one.settings))
        {
            all.push(Alternative { what, settings });
        }
    };
    let tau = claimed.temperature().tau();
    let at = |what: String, tau: f64| (what, Temperature::new(tau).ok());
    // The first that gives a distribution is the one it is called by.
    for (what, temperature) in [
        at("the temperature had been left out".to_owned(), 1.0),
        at("the temperature had been applied twice".to_owned(), tau * tau),
        at("the logits had been multiplied by the temperature".to_owned(), 1.0 / tau),
        at("the largest logit had always been taken".to_owned(), 0.0),
        at("all classes that are kept had been drawn equally".to_owned(), f64::INFINITY),
    ]
    .into_iter()
    .chain(TEMPERATURES.map(|tau| (format!("temperature {tau}"), tau.parse().ok())))
    {
        if let Some(temperature) = temperature {
            add(what, &|settings| settings.params.temperature = temperature);
        }
    }
    let off = SamplingParams::default;
    add("top-k had been left out".to_owned(), &|s| s.params.top_k = off().top_k);
    add("top-p had been left out".to_owned(), &|s| s.params.top_p = off().top_p);
    add("min-p had been left out".to_owned(), &|s| s.params.min_p = off().min_p);
    add("typical had been left out".to_owned(), &|s| s.params.typical_p = off().typical_p);
    add("top-nσ had been left out".to_owned(), &|s| s.params.top_n_sigma = off().top_n_sigma);
    add("no filter had been applied".to_owned(), &Settings::drop_filters);
    for k in TOP_K.into_iter().filter(|&k| k < classes) {
        add(format!("top-k {k} had been applied"), &|s| s.params.top_k = k);
    }
    for p in TOP_P {
        add(format!("top-p {p} had been applied"), &|s| s.params.top_p = p);
    }
    for p in MIN_P {
        add(format!("min-p {p} had been applied"), &|s| s.params.min_p = p);
    }
    for (order, what) in [
        (Order::TemperatureFirst, "the temperature had been applied before the filters"),
        (Order::TemperatureLast, "the temperature had been applied after the filters"),
        (Order::MinPFirst, "min-p had been applied before the other filters"),
    ] {
        add(what.to_owned(), &|s| s.params.order = order);
    }
    add("the bias had been left out".to_owned(), &|s| s.params.logit_bias.clear());
    add("the mask had been left out".to_owned(), &|s| s.mask = None);
    add("the penalties had been left out".to_owned(), &|s| s.history.clear());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(claimed: &Settings) -> Vec<String> {
        of(claimed, 64).into_iter().map(|one| one.what).collect()
    }

    #[test]
    fn only_what_differs_is_tried_and_once() {
        let mut claimed = Settings::default();
        let all = names(&claimed);
        let says = |all: &[String], what: &str| all.iter().any(|name| name.contains(what));
        // τ = 1: left out, twice and multiplied are all the same.
        for what in ["had been left out", "twice", "multiplied", "after the filters", "no filter"] {
            assert!(!says(&all, what), "{what}: {all:?}");
        }
        assert!(!says(&all, "top-k 100"), "all of 64 classes: {all:?}");
        for what in ["temperature 0.9", "top-k 40", "always been taken", "drawn equally"] {
            assert!(says(&all, what), "{what}: {all:?}");
        }
        claimed.params.temperature = "0.5".parse().expect("τ");
        claimed.params.top_p = 0.9;
        claimed.params.logit_bias = vec![(0, 1.0)];
        let all = names(&claimed);
        for what in [
            "temperature had been left out",
            "twice",
            "multiplied",
            "top-p had been left out",
            "bias",
        ] {
            assert!(says(&all, what), "{what}: {all:?}");
        }
        assert!(!all.iter().any(|name| name == "temperature 1"), "{all:?}");
        assert!(!says(&all, "no filter"), "{all:?}");
    }
}
