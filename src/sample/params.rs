//! What a user asks of a sampler: a temperature, filters, penalties, a seed; and the order they come in.

use crate::error::Error;
use crate::temperature::Temperature;

/// When the temperature is applied: before the filters or after them.
///
/// It decides what `top_p`, `min_p` and `typical_p` keep, which look at probabilities; `top_k` and `top_n_sigma` keep the
/// same tokens either way. Within each order the filters run as listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Order {
    /// Temperature, top-nσ, top-k, typical, top-p, min-p (Hugging Face transformers).
    #[default]
    TemperatureFirst,
    /// Temperature, min-p, top-nσ, top-k, typical, top-p (vLLM): what top-p counts is what min-p left.
    MinPFirst,
    /// Top-nσ, top-k, typical, top-p, min-p at τ = 1, then the temperature (llama.cpp).
    TemperatureLast,
}

/// How a token is found once the weights are there. Both draw from the same distribution, with other tokens for the same
/// seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Method {
    /// One random integer below the sum of the weights, and the token in whose share it lies.
    #[default]
    Inverse,
    /// A random number for every token, and the token that wins: the noise of a token depends on its id alone, so that
    /// filters, and small changes of the logits, leave most draws as they were. Slower by the length of the row.
    Gumbel,
}

/// How to sample: temperature, filters, penalties, seed. Names and meanings as in the engines people know.
///
/// | field | off | keeps |
/// | --- | --- | --- |
/// | `temperature` | 1 | draws from `softmax(x/τ)`; 0: the maximal logits in equal shares; ∞: all in equal shares |
/// | `top_k` | 0 | the k largest logits; ties at the edge by the smaller id, so exactly k; k > V: all |
/// | `top_p` | 1 | the fewest largest tokens whose mass among those left is p or more; 0: the one largest |
/// | `min_p` | 0 | tokens with `p_i ≥ min_p · p_max`; 1: those tied with the largest |
/// | `typical_p` | 1 | the fewest tokens whose surprise is nearest to the entropy, with mass p or more; 0: the one nearest |
/// | `top_n_sigma` | 0 | logits no more than n standard deviations (of the finite ones) below the largest |
/// | `repetition_penalty` | 1 | logits of tokens in the history: divided by it if positive, else multiplied |
/// | `presence_penalty` | 0 | subtracted from the logit of a token in the history |
/// | `frequency_penalty` | 0 | subtracted as many times as the token is in the history |
/// | `logit_bias` | none | added to the logits of these tokens; −∞ forbids one |
///
/// Bias comes first, then repetition, presence and frequency, then the mask of the [`Context`](crate::Context), then the
/// filters in the given [`Order`]. Wherever tokens are ranked, the larger logit comes first and of equal logits the smaller id.
///
/// # Example
///
/// ```
/// use softargmax::{Context, Sampler, SamplingParams};
///
/// let params = SamplingParams { temperature: "0.8".parse()?, top_p: 0.95, seed: 1, ..Default::default() };
/// let mut sampler = Sampler::new(params)?;
/// let draw = sampler.sample(&[1.0f32, 5.0, 7.0, 10.0], &Context::default())?;
/// assert_eq!((draw.token, draw.kept), (3, 1)); // token 3 has 97 % of the mass
/// # Ok::<(), softargmax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SamplingParams {
    /// The temperature τ, in logit units. In JSON a number, or `"inf"`; a number is taken as it is written.
    #[cfg_attr(feature = "serde", serde(with = "serial::temperature"))]
    pub temperature: Temperature,
    /// How many tokens to keep; 0 keeps all.
    pub top_k: usize,
    /// The mass to keep, in [0, 1].
    pub top_p: f64,
    /// The least probability to keep, as a part of the largest, in [0, 1].
    pub min_p: f64,
    /// The mass to keep of what is nearest to the entropy, in [0, 1].
    pub typical_p: f64,
    /// How many standard deviations below the largest logit to keep; 0 keeps all.
    pub top_n_sigma: f64,
    /// The factor on logits of tokens that were there, above 0.
    pub repetition_penalty: f64,
    /// What is subtracted for being in the history, in logits.
    pub presence_penalty: f64,
    /// What is subtracted for each time in the history, in logits.
    pub frequency_penalty: f64,
    /// What is added to the logits of single tokens. In JSON an object, `{"50256": -100}`.
    #[cfg_attr(feature = "serde", serde(with = "serial::bias"))]
    pub logit_bias: Vec<(u32, f64)>,
    /// The seed of all draws.
    pub seed: u64,
    /// Whether the filters see the temperature.
    pub order: Order,
    /// How the token is found.
    pub method: Method,
}

impl Default for SamplingParams {
    /// Draws from softmax(x): τ = 1, everything off, seed 0.
    fn default() -> Self {
        SamplingParams {
            temperature: Temperature::ONE,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            top_n_sigma: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            order: Order::TemperatureFirst,
            method: Method::Inverse,
        }
    }
}

impl SamplingParams {
    /// The largest logit; of equal ones the smallest id.
    pub fn greedy() -> Self {
        SamplingParams { temperature: Temperature::ZERO, top_k: 1, ..Default::default() }
    }

    /// What Hugging Face's `generate(do_sample=True)` does unless told otherwise: top-k 50 at τ = 1, temperature first.
    pub fn hf() -> Self {
        SamplingParams { top_k: 50, ..Default::default() }
    }

    /// What llama.cpp's programs do unless told otherwise: τ = 0.8, top-k 40, top-p 0.95, min-p 0.05, temperature last.
    pub fn llama_cpp() -> Self {
        SamplingParams {
            temperature: "0.8".parse().expect("a temperature"),
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            order: Order::TemperatureLast,
            ..Default::default()
        }
    }

    /// What vLLM's `SamplingParams()` do: τ = 1 and no filter, temperature first and min-p before the others.
    pub fn vllm() -> Self {
        SamplingParams { order: Order::MinPFirst, ..Default::default() }
    }

    /// Whether every number is one that it may be; [`Sampler::new`](crate::Sampler::new) asks the same.
    ///
    /// # Errors
    /// [`Error::Parameter`], with name and value, for the first that is not.
    pub fn validate(&self) -> Result<(), Error> {
        let within = |what, got: f64, allowed, is_allowed: bool| match is_allowed {
            true => Ok(()),
            false => Err(Error::Parameter { what, got, allowed }),
        };
        let share = |what, got: f64| within(what, got, "from 0 to 1", (0.0..=1.0).contains(&got));
        share("top_p", self.top_p)?;
        share("min_p", self.min_p)?;
        share("typical_p", self.typical_p)?;
        let (n, factor) = (self.top_n_sigma, self.repetition_penalty);
        let finite = 0.0..f64::INFINITY;
        within("top_n_sigma", n, "0 or positive, and finite", finite.contains(&n))?;
        let above_0 = factor > 0.0 && factor < f64::INFINITY;
        within("repetition_penalty", factor, "positive and finite", above_0)?;
        for (what, got) in [
            ("presence_penalty", self.presence_penalty),
            ("frequency_penalty", self.frequency_penalty),
        ] {
            within(what, got, "finite", got.is_finite())?;
        }
        for &(_, bias) in &self.logit_bias {
            within("logit_bias", bias, "a number below inf", bias < f64::INFINITY)?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod serial {
    /// A number as it is written, `"inf"`, or what [`Temperature`](super::Temperature) writes itself.
    pub(super) mod temperature {
        use crate::temperature::Temperature;
        use serde::de::Error;
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
            Itself(Temperature),
        }

        pub(in super::super) fn serialize<S: Serializer>(
            tau: &Temperature,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            let text = tau.to_string();
            match text.parse::<Temperature>() {
                Ok(same) if same == *tau && !tau.is_infinite() => tau.tau().serialize(to),
                Ok(same) if same == *tau => text.serialize(to),
                _ => tau.serialize(to),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Temperature, D::Error> {
            match Written::deserialize(from)? {
                // The shortest text of a number is how it was written.
                Written::Number(tau) => tau.to_string().parse(),
                Written::Text(text) => text.parse(),
                Written::Itself(tau) => Ok(tau),
            }
            .map_err(D::Error::custom)
        }
    }

    /// An object from token to bias, in the order given.
    pub(super) mod bias {
        use serde::de::{MapAccess, Visitor};
        use serde::{Deserializer, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            bias: &[(u32, f64)],
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_map(bias.iter().copied())
        }

        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(u32, f64)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object from token to bias")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Vec<(u32, f64)>, D::Error> {
            from.deserialize_map(Pairs)
        }
    }
}
