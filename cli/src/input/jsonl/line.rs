//! What is wanted of one line of JSON, without a tree of the rest.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::input::InputError;

/// Why a line was refused.
pub(super) struct Broken(String);

impl Broken {
    pub(super) fn refused(self) -> InputError {
        InputError::new(self.0)
            .hint("every line is JSON with the same keys, and numbers where numbers belong")
    }
}

impl From<serde_json::Error> for Broken {
    fn from(error: serde_json::Error) -> Self {
        // Every line is line 1 to the parser.
        let (text, column) = (error.to_string(), error.column());
        let bare = text.split(" at line 1 column").next().unwrap_or(&text);
        Broken(if column > 0 { format!("{bare} (byte {column})") } else { bare.to_owned() })
    }
}

/// What Python writes where JSON has no word, also as a string.
pub(super) fn infinite(text: &str) -> Option<f64> {
    match text {
        "NaN" | "nan" => Some(f64::NAN),
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Does `read`, and does it again with the words that JSON lacks as strings if that failed.
fn lenient<T>(
    text: &mut Vec<u8>,
    mut read: impl FnMut(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<T, Broken> {
    let error = match read(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    match quoted(text) {
        Some(changed) => {
            *text = changed;
            Ok(read(text)?)
        }
        None => Err(error.into()),
    }
}

/// The text with NaN, Infinity and -Infinity in quotes; `None` where there is none outside of strings.
fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut result = Vec::with_capacity(text.len() + 16);
    let (mut at, mut in_string, mut is_changed) = (0, false, false);
    while at < text.len() {
        let word = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter();
        let word = word.filter(|_| !in_string).find(|word| text[at..].starts_with(word));
        if let Some(word) = word {
            result.push(b'"');
            result.extend(word);
            result.push(b'"');
            (at, is_changed) = (at + word.len(), true);
            continue;
        }
        if in_string && text[at] == b'\\' {
            result.push(text[at]);
            at += 1;
        } else if text[at] == b'"' {
            in_string = !in_string;
        }
        result.extend(text.get(at));
        at += 1;
    }
    is_changed.then_some(result)
}

/// The whole line.
pub(super) fn value(text: &mut Vec<u8>) -> Result<Value, Broken> {
    lenient(text, |text| serde_json::from_slice(text))
}

/// A string or a number under a key, as a text.
pub(super) fn scalar(text: &mut Vec<u8>, key: &[String]) -> Result<String, Broken> {
    let cell = lenient(text, |text| match under(text, key)?[0] {
        Some(raw) => serde_json::from_str(raw.get()).map(Some),
        None => Ok(None),
    })?;
    let key = &key[0];
    match cell {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(is)) => Ok(u8::from(is).to_string()),
        Some(Value::Null) => Err(Broken(format!("null under '{key}'"))),
        Some(_) => Err(Broken(format!("neither a number nor a text under '{key}'"))),
        None => Err(Broken(format!("nothing under '{key}'"))),
    }
}

/// The numbers of a row, taken from line after line.
pub(super) struct Picked {
    keys: Vec<String>,
    is_list: bool,
    pub(super) numbers: Vec<f64>,
}

impl Picked {
    /// A list under the only key, or of the whole line if there is none; or a number under each.
    pub(super) fn new(keys: Vec<String>, is_list: bool) -> Self {
        Self { keys, is_list, numbers: Vec::new() }
    }

    pub(super) fn read(&mut self, text: &mut Vec<u8>) -> Result<(), Broken> {
        let missing = lenient(text, |text| {
            self.numbers.clear();
            if self.keys.is_empty() {
                read_list(text, &mut self.numbers)?;
            }
            for (raw, key) in under(text, &self.keys)?.into_iter().zip(&self.keys) {
                match (raw, self.is_list) {
                    (None, _) => return Ok(Some(key)),
                    (Some(raw), true) => read_list(raw.get().as_bytes(), &mut self.numbers)?,
                    (Some(raw), false) => {
                        let mut one = serde_json::Deserializer::from_str(raw.get());
                        self.numbers.push(Single.deserialize(&mut one)?);
                    }
                }
            }
            Ok(None)
        })?;
        missing.map_or(Ok(()), |key| Err(Broken(format!("nothing under '{key}'"))))
    }
}

fn read_list(text: &[u8], numbers: &mut Vec<f64>) -> Result<(), serde_json::Error> {
    let mut list = serde_json::Deserializer::from_slice(text);
    List(numbers).deserialize(&mut list)?;
    list.end()
}

/// What stands under each of the keys; nothing is looked at if there are none.
fn under<'a>(
    text: &'a [u8],
    keys: &[String],
) -> Result<Vec<Option<&'a RawValue>>, serde_json::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut object = serde_json::Deserializer::from_slice(text);
    let found = Under(keys).deserialize(&mut object)?;
    object.end().map(|()| found)
}

struct Under<'k>(&'k [String]);

impl<'de> DeserializeSeed<'de> for Under<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Under<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object, as in the first line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let Under(keys) = self;
        let mut found = vec![None; keys.len()];
        // Most writers keep their order, so that the next key is the one behind the last.
        let mut next = 0;
        while let Some(Key(key)) = object.next_key()? {
            let at = match keys.get(next) {
                Some(expected) if *expected == *key => Some(next),
                _ => keys.iter().position(|expected| *expected == *key),
            };
            match at {
                Some(at) => {
                    found[at] = Some(object.next_value()?);
                    next = at + 1;
                }
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A number, or a string that says one that JSON has no word for.
struct Single;

impl<'de> DeserializeSeed<'de> for Single {
    type Value = f64;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<f64, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Single {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        let wide = number as f64;
        if wide as i128 == i128::from(number) { Ok(wide) } else { Err(inexact(&number)) }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        let wide = number as f64;
        if wide as u128 == u128::from(number) { Ok(wide) } else { Err(inexact(&number)) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        let shown = || text.chars().take(40).collect::<String>();
        infinite(text).ok_or_else(|| E::custom(format!("\"{}\" is not a number", shown())))
    }

    fn visit_unit<E: Error>(self) -> Result<f64, E> {
        Err(E::custom("null is not a number"))
    }
}

fn inexact<E: Error>(number: &dyn fmt::Display) -> E {
    E::custom(format!("{number} has no exact f64"))
}

struct List<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(number) = items.next_element_seed(Single)? {
            self.0.push(number);
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(E::custom("null is not a list of numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(text: &str, keys: &[&str], is_list: bool) -> Result<Vec<f64>, String> {
        let keys = keys.iter().map(|key| key.to_string()).collect();
        let mut picked = Picked::new(keys, is_list);
        let read = picked.read(&mut text.as_bytes().to_vec());
        read.map(|()| picked.numbers).map_err(|Broken(reason)| reason)
    }

    #[test]
    fn lists_and_numbers_under_keys() {
        let expected = Ok(vec![1.5, -2.0, f64::NEG_INFINITY]);
        assert_eq!(pick("[1.5, -2, -Infinity]\n", &[], true), expected);
        assert_eq!(pick(r#"{"a": "NaN", "x": [1.5, -2, "-inf"]}"#, &["x"], true), expected);
        assert_eq!(pick(r#"{"\"": NaN, "x": [1.5, -2, -Infinity]}"#, &["x"], true), expected);
        let keys = ["x", "y", "z"];
        assert_eq!(pick(r#"{"z":-Infinity,"y":-2,"x":1.5,"w":{}}"#, &keys, false), expected);
        let numbers = pick("[NaN, 1e400]", &[], true);
        assert!(numbers.is_err_and(|e| e.contains("out of range")));
        assert!(pick("[NaN]", &[], true).is_ok_and(|numbers| numbers[0].is_nan()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, keys, expected) in [
            ("[1, null]", &[][..], "null is not a number"),
            ("[1, \"a\"]", &[], "\"a\" is not a number"),
            ("[1, [2]]", &[], "a number"),
            ("[1, 2", &[], "EOF"),
            ("[1] [2]", &[], "trailing"),
            ("[9007199254740993]", &[], "9007199254740993 has no exact f64"),
            ("{\"x\": [1]}", &["y"], "nothing under 'y'"),
            ("{\"y\": null}", &["y"], "null is not a list of numbers"),
            ("[1]", &["y"], "an object, as in the first line"),
        ] {
            let error = pick(text, keys, true).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_label_is_a_text_or_a_number() {
        let label = |text: &str| scalar(&mut text.as_bytes().to_vec(), &["y".to_owned()]);
        let label = |text| label(text).map_err(|Broken(reason)| reason);
        assert_eq!(label(r#"{"y": "NaN"}"#).as_deref(), Ok("NaN"));
        assert_eq!(label(r#"{"x": NaN, "y": 3}"#).as_deref(), Ok("3"));
        assert!(label(r#"{"y": null}"#).is_err() && label(r#"{"x": 1}"#).is_err());
    }
}
