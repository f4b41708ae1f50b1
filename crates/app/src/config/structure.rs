//! Compares a document with the known keys: every unknown key and every value of a wrong type is noted and taken
//! out, so that what remains always deserialises into [`super::file::File`].
//!
//! A string where a list of strings may stand becomes a list of one, `true` where a table with a switch may stand becomes
//! that table, a list where a table with a list of codings may stand as well. Keys of later versions are told apart from
//! misspelled ones. Not here: whether a value makes sense ([`super::check`]).

use super::at::Place;
use super::catalogue::Code;
use super::report::{Problem, nearest};
use super::shape::{Kind, Shape};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Keys whose names are settled for later versions; a part `NAME` stands for any name.
const LATER: &[&str] = &[
    "auth",
    "cache",
    "quotas",
    "admin.oidc",
    "admin.token",
    "limits.total_timeout",
    "lists.NAME.refresh",
    "lists.NAME.url",
    "log.keep",
    "log.notice",
    "proxy.inspect",
    "proxy.pac",
    "runtime.on_reload",
    "sites.NAME.accept",
    "sites.NAME.cache",
];

/// A table with this key for true or false may be written as `true` or `false`.
const SWITCH: &str = "on";

/// A table with this key may be written as the list that stands under it.
const LISTED: &str = "codings";

/// Names that people bring along from elsewhere, and where the same stands here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("timeouts", "times stand in [limits]"),
    ("upstream", "another proxy is [exits.NAME]; DNS servers are [dns] upstream"),
    ("resolver", "DNS servers are [dns] upstream"),
    ("blocklists", "lists of names are [lists.NAME]"),
];

/// Whether a table with these keys may be written as `true` or `false`.
pub(super) fn has_switch(keys: &BTreeMap<String, Shape>) -> bool {
    keys.get(SWITCH).is_some_and(|key| key.kind == Kind::Boolean)
}

/// Whether a table with these keys may be written as a list of strings.
pub(super) fn is_listed(keys: &BTreeMap<String, Shape>) -> bool {
    keys.get(LISTED).is_some_and(|key| key.kind == Kind::Texts)
}

/// Notes and takes out what does not fit. `lost` gains the last part of each key that is taken out.
pub(super) fn fit(
    table: &mut DeTable<'_>,
    shape: &Shape,
    problems: &mut Vec<Problem>,
    lost: &mut BTreeSet<String>,
) {
    let sections = shape.paths().into_iter().map(|(path, _)| path).collect();
    let mut walk = Walk { sections, problems, lost };
    walk.table(table, shape, &[]);
}

struct Walk<'a> {
    /// Every known key as a dotted path.
    sections: Vec<String>,
    problems: &'a mut Vec<Problem>,
    lost: &'a mut BTreeSet<String>,
}

impl Walk<'_> {
    fn table(&mut self, table: &mut DeTable<'_>, shape: &Shape, path: &[String]) {
        let mut out = Vec::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().to_string();
            let inner: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
            let fits = match &shape.kind {
                Kind::Table(keys) => match keys.get(&name) {
                    Some(known) => self.value(value, known, &inner),
                    None => {
                        self.unknown(&name, key.span(), keys, path);
                        false
                    }
                },
                Kind::Named(known) => self.value(value, known, &inner),
                Kind::Text { .. } | Kind::Texts | Kind::Choice(_) | Kind::Integer { .. } | Kind::Boolean => {
                    true
                }
            };
            if !fits {
                out.push(name);
            }
        }
        for name in out {
            table.remove(name.as_str());
            self.lost.insert(name);
        }
    }

    fn unknown(&mut self, name: &str, place: Place, keys: &BTreeMap<String, Shape>, path: &[String]) {
        let within =
            if path.is_empty() { "at the top".to_owned() } else { format!("in [{}]", path.join(".")) };
        if is_later(path, name) {
            let problem =
                Problem::new(Code::Later, place, format!("`{name}` {within} is not in this version"));
            self.problems.push(problem.label("leave it out"));
            return;
        }
        let problem = Problem::new(Code::UnknownKey, place, format!("unknown key `{name}` {within}"));
        let problem = if let Some(near) = nearest(name, keys.keys().map(String::as_str)) {
            self.lost.insert(near.to_owned());
            problem.label(format!("did you mean `{near}`?"))
        } else if let Some((_, hint)) = ELSEWHERE.iter().find(|(known, _)| *known == name) {
            problem.label(*hint)
        } else if let Some(section) = self.section_of(name) {
            problem.label(format!("`{name}` stands in {section}"))
        } else {
            let known: Vec<&str> = keys.keys().map(String::as_str).collect();
            problem.label(format!("known: {}", known.join(", ")))
        };
        self.problems.push(problem);
    }

    /// The section that has a key of this name.
    fn section_of(&self, name: &str) -> Option<String> {
        let path = self.sections.iter().find(|path| path.rsplit('.').next() == Some(name))?;
        match path.rsplit_once('.') {
            Some((section, _)) => Some(format!("[{section}]")),
            None => Some("the file's top, before any [section]".to_owned()),
        }
    }

    /// Whether the value may stay.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, shape: &Shape, path: &[String]) -> bool {
        let place = value.span();
        let key = path.last().map(String::as_str).unwrap_or_default();
        match (&shape.kind, value.get_mut()) {
            (Kind::Table(_) | Kind::Named(_), DeValue::Table(inner)) => {
                self.table(inner, shape, path);
                true
            }
            (Kind::Text { .. }, DeValue::String(_)) | (Kind::Boolean, DeValue::Boolean(_)) => true,
            (Kind::Texts, DeValue::Array(items)) => {
                self.texts(items, key);
                true
            }
            (Kind::Table(keys), one @ DeValue::Boolean(_)) if has_switch(keys) => {
                let key = Spanned::new(place.clone(), SWITCH.into());
                *one = DeValue::Table([(key, Spanned::new(place, one.clone()))].into_iter().collect());
                true
            }
            (Kind::Table(keys), list @ DeValue::Array(_)) if is_listed(keys) => {
                let key = Spanned::new(place.clone(), LISTED.into());
                let mut inner: DeTable<'_> = [(key, Spanned::new(place, list.clone()))].into_iter().collect();
                self.table(&mut inner, shape, path);
                *list = DeValue::Table(inner);
                true
            }
            (Kind::Texts, one @ DeValue::String(_)) => {
                let item = Spanned::new(place, one.clone());
                *one = DeValue::Array([item].into_iter().collect());
                true
            }
            (Kind::Choice(words), DeValue::String(text)) => self.choice(words, text, place, key),
            (Kind::Integer { min, max }, DeValue::Integer(number)) => {
                let digits: String = number.as_str().chars().filter(|c| *c != '_').collect();
                let value = i64::from_str_radix(&digits, number.radix()).ok();
                if value.is_some_and(|value| (*min..=*max).contains(&value)) {
                    return true;
                }
                let message = format!("`{key}` is out of range: `{}`", number.as_str());
                let problem = Problem::new(Code::Range, place, message);
                self.problems.push(problem.label(format!("from {min} to {max}")));
                false
            }
            (kind, found) => {
                self.problems.push(mismatch(kind, found, place, key));
                false
            }
        }
    }

    fn texts(&mut self, items: &mut DeArray<'_>, key: &str) {
        let mut kept = DeArray::new();
        for item in std::mem::replace(items, DeArray::new()) {
            if item.get_ref().is_str() {
                kept.push(item);
                continue;
            }
            let message = format!("`{key}` is a list of strings, this item is {}", article(item.get_ref()));
            self.problems.push(Problem::new(Code::WrongType, item.span(), message).label("put it in quotes"));
            self.lost.insert(key.to_owned());
        }
        *items = kept;
    }

    fn choice(&mut self, words: &[(String, String)], text: &str, place: Place, key: &str) -> bool {
        if words.iter().any(|(word, _)| word == text) {
            return true;
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        let label = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        self.problems
            .push(Problem::new(Code::UnknownWord, place, format!("`{text}` is no `{key}`")).label(label));
        false
    }
}

fn mismatch(kind: &Kind, found: &DeValue<'_>, place: Place, key: &str) -> Problem {
    let number = match found {
        DeValue::Integer(number) => Some(number.as_str()),
        DeValue::Float(number) => Some(number.as_str()),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    if let (Kind::Text { format }, Some(number)) = (kind, number)
        && !format.is_empty()
    {
        let unit = match format.as_str() {
            "time" | "time or off" => "s",
            "rate" => " B/s",
            "memory" | "share" => "%",
            _ => " KiB",
        };
        let problem = Problem::new(Code::NoUnit, place, format!("`{key}` needs a unit: `{number}`"));
        return problem.label(format!("did you mean \"{number}{unit}\"?"));
    }
    let message = format!("`{key}` must be {}, not {}", kind.words(), article(found));
    let problem = Problem::new(Code::WrongType, place, message);
    match (kind, found) {
        (Kind::Table(_) | Kind::Named(_), DeValue::Array(_)) => {
            problem.fix(format!("write a table: [{key}], with single brackets"))
        }
        (Kind::Integer { .. }, DeValue::String(_)) => problem.label("without quotes"),
        (Kind::Text { .. }, DeValue::Array(items)) if items.len() == 1 => problem.label("without brackets"),
        (Kind::Text { .. } | Kind::Texts | Kind::Choice(_), _) if number.is_some() => {
            problem.label("put it in quotes")
        }
        _ => problem,
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn is_later(path: &[String], name: &str) -> bool {
    let whole: Vec<&str> = path.iter().map(String::as_str).chain([name]).collect();
    LATER.iter().any(|later| {
        let later: Vec<&str> = later.split('.').collect();
        later.len() == whole.len()
            && later.iter().zip(&whole).all(|(part, word)| *part == "NAME" || part == word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_a_later_version_is_a_key_of_this_one() {
        let shape = Shape::of_file();
        for later in LATER {
            let path: Vec<String> = later.split('.').map(str::to_owned).collect();
            assert_eq!(shape.at(&path), None, "{later}");
        }
    }
}
