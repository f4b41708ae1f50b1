//! Reads all texts of a configuration - the file, what it includes, the overrides - and lays them over each other.
//!
//! First every text is read ([`Texts`]), then all are merged into one table whose keys and values know their
//! places. Tables are merged key by key; `rules` of included files are appended; an override replaces. Not here:
//! what the keys mean ([`super::structure`]).

use super::at::{NOWHERE, Place};
use super::catalogue::Code;
use super::report::Problem;
use super::source::Sources;
use super::surroundings::Surroundings;
use super::syntax;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Everything that was read, before any of it is understood.
#[derive(Default)]
pub(super) struct Texts {
    /// The texts as written.
    pub(super) sources: Sources,
    /// What went wrong so far.
    pub(super) problems: Vec<Problem>,
    /// Keys in lines that could not be read.
    pub(super) lost: BTreeSet<String>,
    layers: Vec<Layer>,
}

struct Layer {
    base: usize,
    readable: String,
    kind: LayerKind,
}

enum LayerKind {
    File,
    Included,
    /// With the bare word that is its value, where that is no TOML.
    Override(Option<(Place, String)>),
}

impl Texts {
    /// Reads the file, its includes and the overrides.
    #[must_use]
    pub(super) fn read(file: Option<&Path>, overrides: &[String], surroundings: &Surroundings) -> Self {
        let mut texts = Self::default();
        if let Some(path) = file {
            texts.read_file(path, surroundings);
        }
        for (index, text) in overrides.iter().enumerate() {
            texts.add_override(&format!("-o {}", index + 1), text);
        }
        texts
    }

    fn read_file(&mut self, path: &Path, surroundings: &Surroundings) {
        match surroundings.read_text(path) {
            Ok(text) => self.add_file(path, text, LayerKind::File),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                let problem = Problem::new(Code::Unreadable, NOWHERE, message);
                self.problems
                    .push(problem.fix("give a file with -c FILE, or print one with: shoalway config init"));
                return;
            }
        }
        let wanted =
            self.layers.last().map(|layer| wanted_includes(layer.base, &layer.readable)).unwrap_or_default();
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        for (pattern, place) in wanted {
            match find(&dir, &pattern, surroundings) {
                Ok(paths) => paths.iter().for_each(|path| self.read_included(path, &place, surroundings)),
                Err(message) => self.problems.push(Problem::new(Code::Include, place, message)),
            }
        }
    }

    fn read_included(&mut self, path: &Path, place: &Place, surroundings: &Surroundings) {
        match surroundings.read_text(path) {
            Ok(text) => self.add_file(path, text, LayerKind::Included),
            Err(error) => {
                let message = format!("cannot read the included file `{}`", path.display());
                self.problems
                    .push(Problem::new(Code::Include, place.clone(), message).label(error.to_string()));
            }
        }
    }

    fn add_file(&mut self, path: &Path, text: String, kind: LayerKind) {
        let readable = syntax::readable(&text);
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let index = self.sources.add(path.display().to_string(), text, dir);
        let base = self.sources.get(index).map_or(0, super::source::Source::base);
        self.lost.extend(readable.lost);
        for mut problem in readable.problems {
            problem.place = problem.place.start + base..problem.place.end + base;
            self.problems.push(problem);
        }
        self.layers.push(Layer { base, readable: readable.text, kind });
    }

    fn add_override(&mut self, name: &str, text: &str) {
        let index = self.sources.add(name.to_owned(), text.to_owned(), PathBuf::new());
        let base = self.sources.get(index).map_or(0, super::source::Source::base);
        let whole = base..base + text.len();
        if let Ok(table) = DeTable::parse(text)
            && table.get_ref().len() == 1
            && !text.contains('\n')
        {
            self.layers.push(Layer { base, readable: text.to_owned(), kind: LayerKind::Override(None) });
            return;
        }
        let Some((key, value)) = text.split_once('=') else {
            let problem = Problem::new(Code::Override, whole, format!("`{text}` has no equals sign"));
            self.problems.push(problem.fix("write key=value, such as -o proxy.listen=127.0.0.1:3138"));
            return;
        };
        let readable = format!("{key}=0");
        match DeTable::parse(&readable) {
            Ok(table) if table.get_ref().len() == 1 && !key.contains('\n') => {
                let place = base + key.len() + 1..base + text.len();
                let kind = LayerKind::Override(Some((place, value.to_owned())));
                self.layers.push(Layer { base, readable, kind });
            }
            Ok(_) | Err(_) => {
                let problem = Problem::new(Code::Override, whole, format!("`{key}` is not a dotted key"));
                self.problems.push(problem.fix("write key=value, such as -o proxy.listen=127.0.0.1:3138"));
            }
        }
    }

    /// All layers as one table, and what is wrong with their meeting.
    #[must_use]
    pub(super) fn merged(&self) -> (DeTable<'_>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut whole = DeTable::new();
        for layer in &self.layers {
            let Ok(parsed) = DeTable::parse(&layer.readable) else { continue };
            let mut table = shift_table(parsed.into_inner(), layer.base);
            match &layer.kind {
                LayerKind::File => {
                    version(&mut table, Some(layer.base), &mut problems);
                    if self.lost.contains("version") {
                        problems.retain(|problem| problem.code != Code::NoVersion);
                    }
                    merge(&mut whole, table, Meeting::Join, &mut problems);
                }
                LayerKind::Included => {
                    version(&mut table, None, &mut problems);
                    table.remove("version");
                    if let Some((key, _)) = table.remove_entry("include") {
                        let problem =
                            Problem::new(Code::Include, key.span(), "an included file includes no others");
                        problems.push(problem.fix("list the files in the main file"));
                    }
                    merge(&mut whole, table, Meeting::Join, &mut problems);
                }
                LayerKind::Override(bare) => {
                    if let Some((place, word)) = bare {
                        set_leaf(&mut table, place, word);
                    }
                    merge(&mut whole, table, Meeting::Replace, &mut problems);
                }
            }
        }
        (whole, problems)
    }
}

/// The patterns of `include` with their places; what is not a string is found later.
fn wanted_includes(base: usize, readable: &str) -> Vec<(String, Place)> {
    let Ok(table) = DeTable::parse(readable) else { return Vec::new() };
    let at = |value: &Spanned<DeValue<'_>>| {
        let place = value.span().start + base..value.span().end + base;
        value.get_ref().as_str().map(|text| (text.to_owned(), place))
    };
    match table.get_ref().get("include") {
        Some(list) if list.get_ref().is_array() => {
            list.get_ref().as_array().into_iter().flatten().filter_map(at).collect()
        }
        Some(one) => at(one).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The files a pattern names, by name.
fn find(dir: &Path, pattern: &str, surroundings: &Surroundings) -> Result<Vec<PathBuf>, String> {
    let path = dir.join(pattern);
    if !pattern.contains(['*', '?']) {
        return Ok(vec![path]);
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if parent.to_string_lossy().contains(['*', '?']) {
        return Err("`*` and `?` may stand in the last part of the path only".to_owned());
    }
    let names = surroundings
        .names_in(parent)
        .map_err(|error| format!("cannot list `{}`: {error}", parent.display()))?;
    let pattern: Vec<char> = name.chars().collect();
    let matches = |name: &String| glob(&pattern, &name.chars().collect::<Vec<_>>()) && !name.starts_with('.');
    Ok(names.iter().filter(|name| matches(name)).map(|name| parent.join(name)).collect())
}

/// Whether a name matches a pattern: `*` any run, `?` any one character. Linear but for one step back a star.
fn glob(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(c) = name.get(seen) {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, seen));
                at += 1;
            }
            Some(p) if *p == '?' || p == c => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    at = star + 1;
                    seen = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|p| *p == '*')
}

/// Checks `version`; a wrong one is taken out. `base` is given for the file that must have one.
fn version(table: &mut DeTable<'_>, base: Option<usize>, problems: &mut Vec<Problem>) {
    let Some(value) = table.get("version") else {
        if let Some(base) = base {
            let problem = Problem::new(Code::NoVersion, base..base, "the file does not say its version");
            problems.push(problem.label("here").fix("write `version = 1` as the first line"));
        }
        return;
    };
    let Some(number) = value.get_ref().as_integer() else { return };
    if number.as_str() != "1" || number.radix() != 10 {
        let place = value.span();
        let problem = Problem::new(Code::Version, place, format!("version {} is not known", number.as_str()));
        problems.push(problem.label("this program reads version 1"));
        table.remove("version");
    }
}

fn shift_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let moved = |place: Place| place.start + by..place.end + by;
    table
        .into_iter()
        .map(|(key, value)| {
            let place = moved(key.span());
            (Spanned::new(place, key.into_inner()), shift_value(value, by))
        })
        .collect()
}

fn shift_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let place = value.span().start + by..value.span().end + by;
    let inner = match value.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shift_value(item, by)).collect())
        }
        DeValue::Table(table) => DeValue::Table(shift_table(table, by)),
        plain @ (DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)) => plain,
    };
    Spanned::new(place, inner)
}

/// Replaces the one value of an override's table by a bare word.
fn set_leaf(table: &mut DeTable<'_>, place: &Place, word: &str) {
    for (_, value) in table.iter_mut() {
        match value.get_mut() {
            DeValue::Table(inner) => set_leaf(inner, place, word),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                *value = Spanned::new(place.clone(), DeValue::String(Cow::Owned(word.trim().to_owned())));
            }
        }
    }
}

/// What happens when a key is there already.
#[derive(Clone, Copy)]
enum Meeting {
    /// Lists of rules are joined, everything else is a mistake.
    Join,
    /// The later one holds.
    Replace,
}

fn merge<'a>(whole: &mut DeTable<'a>, table: DeTable<'a>, meeting: Meeting, problems: &mut Vec<Problem>) {
    for (key, value) in table {
        let Some(there) = whole.get_mut(key.get_ref().as_ref()) else {
            whole.insert(key, value);
            continue;
        };
        let (first, second) = (there.span(), value.span());
        match (there.get_mut(), value.into_inner(), meeting) {
            (DeValue::Table(inner), DeValue::Table(more), _) => merge(inner, more, meeting, problems),
            (DeValue::Array(rules), DeValue::Array(more), Meeting::Join) if key.get_ref() == "rules" => {
                more.into_iter().for_each(|rule| rules.push(rule));
            }
            (_, value, Meeting::Replace) => {
                // Taken out first: a map keeps the key it has, and with it the old place.
                whole.remove(key.get_ref().as_ref());
                whole.insert(key, Spanned::new(second, value));
            }
            (_, _, Meeting::Join) => {
                let problem =
                    Problem::new(Code::Twice, key.span(), format!("`{}` is set twice", key.get_ref()));
                problems.push(problem.label("the second one").also(first, "the first one"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, matches) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.tom", false),
            ("a?c*", "abc", true),
            ("*a*b", "xaxbxb", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(glob(&chars(pattern), &chars(name)), matches, "{pattern} {name}");
        }
    }
}
