//! The same prompt at three temperatures: a small language model, and this crate's sampler.
//!
//! ```text
//! train on text.txt → logits of the next character → a draw at τ → append it → again
//! ```
//!
//! `cargo run --release --example characters` prints what the README beside this file shows.

mod model;

use std::fmt::Write as _;

use model::Model;
use softargmax::{Context, Error, Rows, Sampler, SamplingParams, Temperature, statistics};

const TEXT: &str = include_str!("text.txt");
const PROMPT: &str = "At night ";
const TEMPERATURES: [&str; 3] = ["0.3", "1", "1.8"];
/// Characters to draw.
const LENGTH: u64 = 240;
const WIDTH: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", show()?);
    Ok(())
}

/// Everything that is printed.
fn show() -> Result<String, Error> {
    // Line breaks within a paragraph belong to the file, not to the text.
    let text = TEXT.replace("\n\n", "\u{b6}").replace('\n', " ").replace('\u{b6}', "\n");
    let model = Model::train(&text);
    let mut page = String::new();
    for tau in TEMPERATURES {
        let temperature: Temperature = tau.parse()?;
        let sample = Sample::draw(&model, temperature)?;
        let words: Vec<&str> = sample.text.split_whitespace().collect();
        // The first goes on from the prompt, and the last is cut off.
        let words = &words[1..words.len() - 1];
        let known =
            words.iter().filter(|word| text.split_whitespace().any(|known| known == **word));
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "temperature {tau}: a choice of {:.2} characters, {} of {} words known",
            libm::exp(sample.mean_entropy),
            known.count(),
            words.len()
        );
        let _ = writeln!(page, "{}\n", wrapped(&format!("{PROMPT}{}", sample.text)));
    }
    page.truncate(page.len() - 1);
    Ok(page)
}

/// Characters that the model went on with.
struct Sample {
    text: String,
    /// Of the distributions that they were drawn from, in nats.
    mean_entropy: f64,
}

impl Sample {
    fn draw(model: &Model, temperature: Temperature) -> Result<Sample, Error> {
        let mut sampler =
            Sampler::new(SamplingParams { temperature, seed: 1, ..Default::default() })?;
        let mut written = model.encode(PROMPT);
        let mut logits = vec![0.0; model.classes()];
        let mut sample = Sample { text: String::new(), mean_entropy: 0.0 };
        for position in 0..LENGTH {
            model.predict(&written, &mut logits);
            let of_row = statistics(Rows::one(&logits)?, temperature)?;
            sample.mean_entropy += of_row[0].entropy / LENGTH as f64;
            // A draw depends on its position and on nothing that was drawn before.
            let class =
                sampler.token(&logits, &Context { position, ..Default::default() })? as usize;
            written.push(class);
            sample.text.push(model.character(class));
        }
        Ok(sample)
    }
}

/// The text in lines of at most [`WIDTH`] characters.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for (paragraph, text) in text.split('\n').enumerate() {
        if paragraph > 0 {
            lines.push(String::new());
        }
        for word in text.split_whitespace() {
            let last = lines.last_mut().expect("a line");
            if last.is_empty() {
                last.push_str(word);
            } else if last.len() + 1 + word.len() > WIDTH {
                lines.push(word.to_owned());
            } else {
                *last = format!("{last} {word}");
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_what_is_printed() {
        let readme = include_str!("README.md");
        let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
        assert_eq!(shown, Some(show().expect("text").as_str()));
    }

    /// Higher temperatures choose among more, and every distribution is one.
    #[test]
    fn the_model_has_a_probability_for_every_character() {
        let model = Model::train(TEXT);
        let mut logits = vec![0.0; model.classes()];
        for before in ["", "A", "At night t", "zqx", "the wind is from the "] {
            model.predict(&model.encode(before), &mut logits);
            let sum: f64 = logits.iter().map(|&x| libm::exp(x)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "'{before}': {sum}");
            assert!(logits.iter().all(|x| x.is_finite()), "'{before}'");
        }
        model.predict(&model.encode("the harb"), &mut logits);
        let likeliest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        assert_eq!(likeliest.map(|class| model.character(class)), Some('o'));
    }
}
