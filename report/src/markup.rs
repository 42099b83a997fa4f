//! What pages of HTML are written with.

use std::fmt::{self, Write};

/// How a page looks, beside [`INK`](crate::picture::INK).
pub const STYLE: &str = include_str!("page.css");

/// A sentence whose short formulas and units are not broken between lines.
pub fn unbroken(sentence: &str) -> String {
    let pieces = [" = ", " %", "noise ", "± "];
    pieces
        .iter()
        .fold(sentence.to_owned(), |text, piece| text.replace(piece, &piece.replace(' ', "\u{a0}")))
        .replace(", p ", ", p\u{a0}")
        .replace("(p ", "(p\u{a0}")
        .replace(" to −", " to\u{a0}−")
        .replace(" to +", " to\u{a0}+")
}

/// Text as it stands in XML, also within quotes.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // XML has no way to write these at all.
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => {
                f.write_char('\u{fffd}')
            }
            letter => f.write_char(letter),
        })
    }
}
