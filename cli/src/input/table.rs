//! Which columns of a table hold what is wanted; which array of several does.
//!
//! ```text
//! named             the column of that name, or those that fit a pattern or a list: one for each class
//! logits, unnamed   a list called logits · the only list of numbers · logit_0, logit_1, … · all columns, if all
//!                   are floats
//! else, unnamed     what it is called (labels), or one of it (label) · the only column
//! ```
//!
//! More than that is not guessed: the error lists what there is.

use super::InputError;
use super::wanted::Wanted;

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Float,
    Whole,
    List,
    Text,
    Other,
}

/// A column as its table describes it.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// For messages: `list<float>`.
    pub(super) dtype: String,
}

/// The columns, by number: one list, one text, or numbers.
pub(super) fn choose(columns: &[Described], wanted: &Wanted) -> Result<Vec<usize>, InputError> {
    let chosen = match &wanted.column {
        Some(pattern) => named(columns, pattern),
        None if wanted.is_rows() => rows_by_default(columns, &wanted.what),
        None => cells_by_default(columns, &wanted.what),
    };
    let there = || {
        list(
            columns
                .iter()
                .map(|column| format!("{} {}", column.name, column.dtype).trim_end().to_owned()),
        )
    };
    if chosen.is_empty() {
        return Err(match &wanted.column {
            Some(name) => InputError::new(format!("has no column '{name}'")).hint(there()),
            None => InputError::new(format!("does not say which column the {} are", wanted.what))
                .hint(format!("name it, as in FILE:COLUMN or FILE:logit_*; {}", there())),
        });
    }
    let is_allowed = |kind: Kind| match kind {
        Kind::Float | Kind::Whole => true,
        Kind::List => chosen.len() == 1,
        Kind::Text => chosen.len() == 1 && !wanted.is_rows(),
        Kind::Other => false,
    };
    if let Some(&wrong) = chosen.iter().find(|&&at| !is_allowed(columns[at].kind)) {
        let Described { name, dtype, .. } = &columns[wrong];
        let expected =
            if wanted.is_rows() { "numbers or a list of them" } else { "numbers or texts" };
        return Err(InputError::new(format!(
            "column '{name}' is {dtype}: {expected} belong there"
        ))
        .hint(there()));
    }
    Ok(chosen)
}

/// The array of that name, or the one that is meant if none is named.
pub(super) fn choose_array<'a>(names: &[&'a str], wanted: &Wanted) -> Result<&'a str, InputError> {
    let there = || list(names.iter().map(|name| (*name).to_owned()));
    if let Some(name) = &wanted.column {
        let found = names.iter().find(|there| *there == name);
        return found
            .copied()
            .ok_or_else(|| InputError::new(format!("has no array '{name}'")).hint(there()));
    }
    let by_name = usual_names(&wanted.what).find_map(|name| names.iter().find(|n| **n == name));
    match (by_name, names) {
        (Some(name), _) | (None, [name]) => Ok(name),
        _ => Err(InputError::new(format!("does not say which array the {} are", wanted.what))
            .hint(format!("name it, as in FILE:NAME; {}", there()))),
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(40);
    names.truncate(40);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    match names.len() {
        0 => "there is none".to_owned(),
        _ => format!("there are {}{more}", names.join(", ")),
    }
}

fn named(columns: &[Described], pattern: &str) -> Vec<usize> {
    if let Some(at) = columns.iter().position(|column| column.name == pattern) {
        return vec![at];
    }
    let mut chosen = Vec::new();
    for part in pattern.split(',') {
        let fits = |(at, column): (usize, &Described)| {
            let middle = match part.split_once('*') {
                Some((start, end)) => column.name.strip_prefix(start)?.strip_suffix(end)?,
                None if column.name == part => "",
                None => return None,
            };
            Some((middle.parse::<u64>().ok(), at))
        };
        let mut fitting: Vec<_> = columns.iter().enumerate().filter_map(fits).collect();
        // logit_10 comes behind logit_9.
        if fitting.iter().all(|(number, _)| number.is_some()) {
            fitting.sort();
        }
        if fitting.is_empty() {
            return Vec::new();
        }
        chosen.extend(fitting.into_iter().map(|(_, at)| at));
    }
    chosen
}

fn rows_by_default(columns: &[Described], what: &str) -> Vec<usize> {
    let lists: Vec<usize> = of_kind(columns, |kind| kind == Kind::List).collect();
    if let Some(&at) = lists.iter().find(|&&at| columns[at].name == what) {
        return vec![at];
    }
    if !lists.is_empty() {
        return if lists.len() == 1 { lists } else { Vec::new() };
    }
    for name in usual_names(what) {
        let numbered = named(columns, &format!("{name}_*"));
        if !numbered.is_empty() {
            return numbered;
        }
    }
    let floats: Vec<usize> = of_kind(columns, |kind| kind == Kind::Float).collect();
    if floats.len() == columns.len() { floats } else { Vec::new() }
}

fn cells_by_default(columns: &[Described], what: &str) -> Vec<usize> {
    let position = |name: String| columns.iter().position(|column| column.name == name);
    match usual_names(what).find_map(position) {
        Some(at) => vec![at],
        None if columns.len() == 1 => vec![0],
        None => Vec::new(),
    }
}

fn of_kind(columns: &[Described], is: impl Fn(Kind) -> bool) -> impl Iterator<Item = usize> {
    columns.iter().enumerate().filter(move |(_, column)| is(column.kind)).map(|(at, _)| at)
}

/// `labels`, then `label`.
fn usual_names(what: &str) -> impl Iterator<Item = String> {
    let name = what.split(' ').next().unwrap_or(what);
    let singular = name.strip_suffix('s').unwrap_or(name);
    [name.to_owned(), singular.to_owned()].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::column::Width;

    fn columns(text: &str) -> Vec<Described> {
        let column = |word: &str| {
            let (name, dtype) = word.split_once(':').expect("name:kind");
            let kind = match dtype {
                "float" => Kind::Float,
                "int" => Kind::Whole,
                "list" => Kind::List,
                "text" => Kind::Text,
                _ => Kind::Other,
            };
            Described { name: name.to_owned(), kind, dtype: dtype.to_owned() }
        };
        text.split(' ').map(column).collect()
    }

    #[test]
    fn what_is_meant_is_clear_or_asked_for() {
        let (logits, labels) =
            (Wanted::rows(-1, None), Wanted::cells("labels", Width::Any(Vec::new())));
        for (table, wanted, name, expected) in [
            ("id:int logits:list other:list", &logits, None, Ok("logits")),
            ("id:int scores:list", &logits, None, Ok("scores")),
            ("a:list b:list", &logits, None, Err("does not say which column the logits are")),
            ("a:list b:list", &logits, Some("b"), Ok("b")),
            ("a:list b:list", &logits, Some("a,b"), Err("column 'a' is list")),
            (
                "l:int logit_1:float logit_10:float logit_0:float",
                &logits,
                None,
                Ok("logit_0 logit_1 logit_10"),
            ),
            ("cat:float dog:float", &logits, None, Ok("cat dog")),
            ("cat:float dog:float l:int", &logits, None, Err("does not say")),
            ("cat:float dog:float l:int", &logits, Some("dog,cat"), Ok("dog cat")),
            ("cat:float l:int", &logits, Some("cow"), Err("has no column 'cow'")),
            ("cat:float l:int", &logits, Some("cat,cow"), Err("has no column 'cat,cow'")),
            ("l:text", &logits, Some("l"), Err("column 'l' is text: numbers or a list")),
            ("a:float label:int", &labels, None, Ok("label")),
            ("y:text", &labels, None, Ok("y")),
            ("a:float y:int", &labels, None, Err("does not say which column the labels are")),
            ("a:float y:date", &labels, Some("y"), Err("column 'y' is date: numbers or texts")),
        ] {
            let mut wanted = wanted.clone();
            wanted.column = name.map(str::to_owned);
            let columns = columns(table);
            let chosen = choose(&columns, &wanted);
            match (chosen, expected) {
                (Ok(chosen), Ok(expected)) => {
                    let names: Vec<&str> =
                        chosen.iter().map(|&at| columns[at].name.as_str()).collect();
                    assert_eq!(names.join(" "), expected, "{table}");
                }
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{error}");
                    let hint = error.hint_line().expect("a hint");
                    assert!(columns.iter().all(|column| hint.contains(&column.name)), "{hint}");
                }
                (chosen, expected) => panic!("{table}: {chosen:?}, {expected:?}"),
            }
        }
    }
}
