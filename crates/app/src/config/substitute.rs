//! Replaces `${NAME}`, `${NAME:-value}` and `${file:PATH}` inside strings, after the TOML was read: what comes in
//! can never change the structure of the file. `$${` stands for `${`.
//!
//! Keeps which part of a result came from where, so that a mistake in the result is shown at its origin.

use super::at::Place;
use super::catalogue::Code;
use super::report::Problem;
use super::source::Sources;
use super::surroundings::Surroundings;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Which part of a string after substitution came from which part before.
#[derive(Default)]
pub struct Origins {
    by_start: BTreeMap<usize, Vec<Piece>>,
}

struct Piece {
    after: Range<usize>,
    before: usize,
    verbatim: bool,
}

impl Origins {
    /// Whether the byte at this offset of the result came from a substitution, not from the file.
    #[must_use]
    pub(super) fn substituted(&self, place: &Place, after: usize) -> bool {
        let Some(pieces) = self.by_start.get(&place.start) else { return false };
        pieces.iter().any(|piece| !piece.verbatim && piece.after.contains(&after))
    }

    /// The offset before substitution, for an offset after it in the string at `place`.
    #[must_use]
    pub(super) fn before(&self, place: &Place, after: usize) -> usize {
        let Some(pieces) = self.by_start.get(&place.start) else { return after };
        match pieces.iter().find(|piece| after < piece.after.end).or(pieces.last()) {
            Some(piece) if piece.verbatim => piece.before + after.saturating_sub(piece.after.start),
            Some(piece) => piece.before,
            None => after,
        }
    }
}

/// Substitutes in every string of the table. A string with a mistake keeps its text as written.
pub(super) fn substitute(
    table: &mut DeTable<'_>,
    sources: &Sources,
    surroundings: &Surroundings,
    problems: &mut Vec<Problem>,
) -> Origins {
    let mut walk = Walk { sources, surroundings, problems, origins: Origins::default() };
    walk.table(table);
    walk.origins
}

struct Walk<'a> {
    sources: &'a Sources,
    surroundings: &'a Surroundings,
    problems: &'a mut Vec<Problem>,
    origins: Origins,
}

impl Walk<'_> {
    fn table(&mut self, table: &mut DeTable<'_>) {
        for (_, value) in table.iter_mut() {
            let place = value.span();
            self.value(value.get_mut(), &place);
        }
    }

    fn value(&mut self, value: &mut DeValue<'_>, place: &Place) {
        match value {
            DeValue::String(text) if text.contains("${") => {
                if let Some(result) = self.string(text, place) {
                    *text = Cow::Owned(result);
                }
            }
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    let place = item.span();
                    self.value(item.get_mut(), &place);
                }
            }
            DeValue::Table(inner) => self.table(inner),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    fn string(&mut self, text: &str, place: &Place) -> Option<String> {
        let mut result = String::new();
        let mut pieces = Vec::new();
        let mut whole = true;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let start = result.len();
            let (taken, verbatim) = match part(rest) {
                Part::Plain(plain) => {
                    result.push_str(plain);
                    (plain.len(), true)
                }
                Part::Dollar => {
                    result.push_str("${");
                    (3, false)
                }
                Part::Open => {
                    self.not_closed(place, at..text.len());
                    return None;
                }
                Part::Inner(inner) => {
                    let here = super::literal::inside(self.sources, place, at..at + inner.len() + 3);
                    match self.resolve(inner, here, place) {
                        Ok(value) => result.push_str(&value),
                        Err(problem) => {
                            self.problems.push(problem);
                            whole = false;
                        }
                    }
                    (inner.len() + 3, false)
                }
            };
            pieces.push(Piece { after: start..result.len(), before: at, verbatim });
            at += taken;
        }
        self.origins.by_start.insert(place.start, pieces);
        whole.then_some(result)
    }

    fn not_closed(&mut self, place: &Place, part: Range<usize>) {
        let inner = super::literal::inside(self.sources, place, part);
        let problem = Problem::new(Code::Substitution, inner, "a substitution is not closed");
        self.problems.push(problem.label("`}` is missing"));
    }

    fn resolve(&self, inner: &str, here: Place, place: &Place) -> Result<String, Problem> {
        if let Some(path) = inner.strip_prefix("file:") {
            let dir = self.sources.of(place).map(|source| source.dir().to_owned()).unwrap_or_default();
            let text = self.surroundings.read_text(&dir.join(path)).map_err(|error| {
                Problem::new(Code::Substitution, here, format!("cannot read the file `{path}`"))
                    .label(error.to_string())
            })?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(text.strip_suffix('\r').unwrap_or(text).to_owned());
        }
        let (name, missing) = match inner.split_once(":-") {
            Some((name, value)) => (name, Some(value)),
            None => (inner, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain) {
            let problem =
                Problem::new(Code::Substitution, here, format!("`${{{inner}}}` is no known substitution"));
            return Err(problem
                .label("known: ${NAME}, ${NAME:-value}, ${file:PATH}")
                .fix("write `$${` for a plain `${`"));
        }
        match (self.surroundings.variable(name), missing) {
            (Some(value), None) => Ok(value.to_owned()),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value.to_owned()),
            (_, Some(missing)) => Ok(missing.to_owned()),
            (None, None) => {
                let problem =
                    Problem::new(Code::NoVariable, here, format!("the variable `{name}` is not set"));
                Err(problem.fix(format!("set it, or write `${{{name}:-value}}`")))
            }
        }
    }
}

enum Part<'a> {
    Plain(&'a str),
    Dollar,
    Inner(&'a str),
    Open,
}

/// The first part of a text that is not empty.
fn part(text: &str) -> Part<'_> {
    if text.starts_with("$${") {
        return Part::Dollar;
    }
    if let Some(rest) = text.strip_prefix("${") {
        return match rest.split_once('}') {
            Some((inner, _)) => Part::Inner(inner),
            None => Part::Open,
        };
    }
    let end = [text.find("$${"), text.find("${")].into_iter().flatten().min().unwrap_or(text.len());
    Part::Plain(text.get(..end).unwrap_or(text))
}
