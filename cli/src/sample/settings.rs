//! The distribution that was asked for: the library's parameters, with the mask and the history that go with them.

use std::fmt;
use std::path::Path;

use softargmax::{Method, Order, SamplingParams, Temperature};

use crate::args::{self, ChanceArgs, ParameterArgs, Preset};
use crate::error::CliError;
use crate::input::{read_mask, read_tokens};

/// What decides about a distribution, beside its logits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) params: SamplingParams,
    /// A bit for every class, set where it may be drawn.
    pub(crate) mask: Option<Vec<u64>>,
    /// The classes before, for the penalties.
    pub(crate) history: Vec<u32>,
}

impl Settings {
    /// What was typed, for rows of this many classes.
    pub(super) fn from_args(
        args: &ParameterArgs,
        chance: &ChanceArgs,
        classes: usize,
    ) -> Result<Self, CliError> {
        let mut params = match args.preset {
            None => SamplingParams::default(),
            Some(Preset::Hf) => SamplingParams::hf(),
            Some(Preset::LlamaCpp) => SamplingParams::llama_cpp(),
            Some(Preset::Vllm) => SamplingParams::vllm(),
            Some(Preset::Greedy) => SamplingParams::greedy(),
        };
        fn set<T: Copy>(to: &mut T, typed: Option<T>) {
            typed.inspect(|&value| *to = value);
        }
        set(&mut params.temperature, args.temperature);
        set(&mut params.top_k, args.top_k);
        set(&mut params.top_p, args.top_p);
        set(&mut params.min_p, args.min_p);
        set(&mut params.typical_p, args.typical);
        set(&mut params.top_n_sigma, args.top_n_sigma);
        set(&mut params.repetition_penalty, args.repetition_penalty);
        set(&mut params.presence_penalty, args.presence_penalty);
        set(&mut params.frequency_penalty, args.frequency_penalty);
        set(&mut params.order, args.order.map(Order::from));
        params.seed = chance.seed;
        params.method = match chance.method {
            args::Method::Inverse => Method::Inverse,
            args::Method::Gumbel => Method::Gumbel,
        };
        for &(class, bias) in &args.bias {
            params.logit_bias.push((checked(class, classes, "--bias")?, bias));
        }
        params.validate().map_err(CliError::refused)?;
        let mask = args.mask.as_deref().map(|path| read_mask(path, classes)).transpose()?;
        let history = match &args.history {
            Some(words) => history(words.as_ref(), classes)?,
            None => Vec::new(),
        };
        Ok(Self { params, mask, history })
    }

    pub(crate) fn temperature(&self) -> Temperature {
        self.params.temperature
    }

    /// Whether the mask or the bias leaves a class out.
    pub(crate) fn is_ruled_out(&self, class: usize) -> bool {
        let is_masked =
            self.mask.as_ref().is_some_and(|bits| bits[class / 64] >> (class % 64) & 1 == 0);
        let bias = self.params.logit_bias.iter().filter(|&&(id, _)| id as usize == class);
        is_masked || bias.map(|&(_, bias)| bias).any(|bias| bias == f64::NEG_INFINITY)
    }

    pub(crate) fn drop_filters(&mut self) {
        let off = SamplingParams::default();
        let SamplingParams { top_k, top_p, min_p, typical_p, top_n_sigma, order, .. } = off;
        self.params = SamplingParams {
            top_k,
            top_p,
            min_p,
            typical_p,
            top_n_sigma,
            order,
            ..self.params.clone()
        };
    }

    /// The filters that are on, each with what keeps it on when all others are dropped.
    pub(crate) fn filters(&self) -> Vec<(&'static str, Settings)> {
        let SamplingParams { top_k, top_p, min_p, typical_p, top_n_sigma, order, .. } = self.params;
        let off = SamplingParams::default();
        let alone = |change: &dyn Fn(&mut SamplingParams)| {
            let mut one = self.clone();
            one.drop_filters();
            one.params.order = order;
            change(&mut one.params);
            one
        };
        let mut on = Vec::new();
        if top_n_sigma != off.top_n_sigma {
            on.push(("top-nσ leaves it out", alone(&|params| params.top_n_sigma = top_n_sigma)));
        }
        if top_k != off.top_k {
            on.push(("top-k leaves it out", alone(&|params| params.top_k = top_k)));
        }
        if typical_p != off.typical_p {
            on.push(("typical leaves it out", alone(&|params| params.typical_p = typical_p)));
        }
        if top_p != off.top_p {
            on.push(("top-p leaves it out", alone(&|params| params.top_p = top_p)));
        }
        if min_p != off.min_p {
            on.push(("min-p leaves it out", alone(&|params| params.min_p = min_p)));
        }
        on
    }

    /// Whether another distribution may be meant: what cannot matter is left aside.
    pub(crate) fn distribution_differs(&self, other: &Settings) -> bool {
        self.essentials() != other.essentials()
    }

    fn essentials(&self) -> Settings {
        let mut rest = self.clone();
        let off = SamplingParams::default();
        let params = &mut rest.params;
        (params.seed, params.method) = (off.seed, off.method);
        if (params.top_p, params.min_p, params.typical_p) == (off.top_p, off.min_p, off.typical_p) {
            params.order = off.order;
        }
        if rest.history.is_empty() {
            params.repetition_penalty = off.repetition_penalty;
            params.presence_penalty = off.presence_penalty;
            params.frequency_penalty = off.frequency_penalty;
        }
        rest
    }
}

/// As a sentence names it: temperature 0.8, top-p 0.95.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (params, off) = (&self.params, SamplingParams::default());
        write!(f, "temperature {}", params.temperature)?;
        match params.order {
            Order::TemperatureFirst => {}
            Order::TemperatureLast => f.write_str(" after the filters")?,
            Order::MinPFirst => f.write_str(" before the filters, min-p first")?,
        }
        if params.top_n_sigma != off.top_n_sigma {
            write!(f, ", top-nσ {}", params.top_n_sigma)?;
        }
        if params.top_k != off.top_k {
            write!(f, ", top-k {}", params.top_k)?;
        }
        for (name, value, off) in [
            ("typical", params.typical_p, off.typical_p),
            ("top-p", params.top_p, off.top_p),
            ("min-p", params.min_p, off.min_p),
            ("repetition penalty", params.repetition_penalty, off.repetition_penalty),
            ("presence penalty", params.presence_penalty, off.presence_penalty),
            ("frequency penalty", params.frequency_penalty, off.frequency_penalty),
        ] {
            if value != off {
                write!(f, ", {name} {value}")?;
            }
        }
        if !params.logit_bias.is_empty() {
            f.write_str(", with a bias")?;
        }
        if self.mask.is_some() {
            f.write_str(", with a mask")?;
        }
        Ok(())
    }
}

impl From<args::TemperatureOrder> for Order {
    fn from(order: args::TemperatureOrder) -> Self {
        match order {
            args::TemperatureOrder::TemperatureFirst => Order::TemperatureFirst,
            args::TemperatureOrder::MinPFirst => Order::MinPFirst,
            args::TemperatureOrder::TemperatureLast => Order::TemperatureLast,
        }
    }
}

/// A list of classes, or a file of them.
fn history(typed: &Path, classes: usize) -> Result<Vec<u32>, CliError> {
    let list: Option<Vec<usize>> =
        typed.to_str().and_then(|text| text.split(',').map(|id| id.trim().parse().ok()).collect());
    if let Some(list) = list {
        return list.into_iter().map(|class| checked(class, classes, "--history")).collect();
    }
    let mut ids = Vec::new();
    read_tokens(typed, "classes", &[], classes, |_, class| ids.push(class as u32))?;
    Ok(ids)
}

fn checked(class: usize, classes: usize, flag: &str) -> Result<u32, CliError> {
    match u32::try_from(class) {
        Ok(id) if class < classes => Ok(id),
        _ => {
            let counted = if classes == 1 { "there is 1" } else { &format!("there are {classes}") };
            Err(CliError::refused(format!(
                "{flag}: {class} is not a class: {counted}, counted from 0"
            )))
        }
    }
}
