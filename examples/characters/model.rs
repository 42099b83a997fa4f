//! A language model of characters that is nothing but counts: which character followed these ones, how often.
//!
//! ```text
//! p_k(c) = (n_k(c) + t_k · p_{k−1}(c)) / (n_k + t_k)        k = 0 … ORDER, p_{−1} = 1/classes
//! ```
//!
//! n_k(c) counts c behind the last k characters, n_k is their sum, and t_k how many different ones there were: the
//! more ways a context has gone on, the more is left to the shorter one (Witten & Bell, IEEE Trans. Information
//! Theory 37(4), 1991). So every character is possible after every other, if barely.

use std::collections::HashMap;

/// The longest context. Longer, and the model says its text by heart at every temperature.
const ORDER: usize = 4;

/// A trained model.
pub(crate) struct Model {
    /// Every character of the text, in order: a class is an index into them.
    characters: Vec<char>,
    /// Of every context of up to [`ORDER`] classes, how often each class followed.
    counts: HashMap<Vec<usize>, Vec<u32>>,
}

impl Model {
    /// Counts a text once.
    pub(crate) fn train(text: &str) -> Model {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let mut model = Model { characters, counts: HashMap::new() };
        let text = model.encode(text);
        let classes = model.characters.len();
        for (at, &class) in text.iter().enumerate() {
            for length in 0..=ORDER.min(at) {
                let context = text[at - length..at].to_vec();
                model.counts.entry(context).or_insert_with(|| vec![0; classes])[class] += 1;
            }
        }
        model
    }

    /// How many characters there are.
    pub(crate) fn classes(&self) -> usize {
        self.characters.len()
    }

    /// The classes of a text. A character that the training text lacks is left out.
    pub(crate) fn encode(&self, text: &str) -> Vec<usize> {
        text.chars().filter_map(|c| self.characters.binary_search(&c).ok()).collect()
    }

    /// The character of a class.
    pub(crate) fn character(&self, class: usize) -> char {
        self.characters[class]
    }

    /// What may come next: `logits` becomes ln p of every class, from the shortest context to the longest.
    pub(crate) fn predict(&self, before: &[usize], logits: &mut [f64]) {
        logits.fill(1.0 / logits.len() as f64);
        for length in 0..=ORDER.min(before.len()) {
            let Some(counts) = self.counts.get(&before[before.len() - length..]) else { break };
            let all = f64::from(counts.iter().sum::<u32>());
            let different = counts.iter().filter(|&&n| n > 0).count() as f64;
            for (p, &n) in logits.iter_mut().zip(counts) {
                *p = (f64::from(n) + different * *p) / (all + different);
            }
        }
        // The crate's, so that the text is the same on every machine.
        logits.iter_mut().for_each(|p| *p = libm::log(*p));
    }
}
