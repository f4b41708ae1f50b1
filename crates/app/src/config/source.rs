//! All texts a configuration is made of, laid end to end, so that one number names a place in any of them.
//!
//! Offset 0 belongs to no text: it is the place of defaults. Not here: reading files ([`super::layers`]).

use super::at::{NOWHERE, Place};
use std::path::{Path, PathBuf};

/// One text: a file, or one `-o` on the command line.
pub struct Source {
    name: String,
    text: String,
    base: usize,
    dir: PathBuf,
    /// Where each line begins, so that a place is found by halves.
    lines: Vec<usize>,
}

impl Source {
    /// As messages show it: the path as given, or `-o 1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Offset of its first byte among all sources.
    #[must_use]
    pub fn base(&self) -> usize {
        self.base
    }

    /// The directory that relative paths in it start from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// File, line and column, as people count.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Location {
    /// Name of the source.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One line of a source with a range in it, as a report shows it.
pub struct Excerpt<'a> {
    /// Line, from 1.
    pub line: usize,
    /// The line without its end.
    pub text: &'a str,
    /// Byte range inside `text`; never past its end.
    pub range: Place,
}

/// The sources in the order they were read.
#[derive(Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its index.
    pub fn add(&mut self, name: String, text: String, dir: PathBuf) -> usize {
        let base = self.list.last().map_or(1, |last| last.base + last.text.len() + 1);
        let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(newlines).collect();
        self.list.push(Source { name, text, base, dir, lines });
        self.list.len() - 1
    }

    /// The source with this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Source> {
        self.list.get(index)
    }

    /// The source a place lies in; none for a default.
    #[must_use]
    pub fn of(&self, place: &Place) -> Option<&Source> {
        if *place == NOWHERE {
            return None;
        }
        let after = self.list.partition_point(|source| source.base <= place.start);
        self.list.get(after.checked_sub(1)?)
    }

    /// The text at a place, empty when there is none.
    #[must_use]
    pub fn text(&self, place: &Place) -> &str {
        let Some(source) = self.of(place) else { return "" };
        let start = place.start.saturating_sub(source.base);
        let end = place.end.saturating_sub(source.base).min(source.text.len());
        source.text.get(start..end).unwrap_or_default()
    }

    /// File, line and column of a place's first character.
    #[must_use]
    pub fn locate(&self, place: &Place) -> Option<Location> {
        let source = self.of(place)?;
        let excerpt = self.excerpt(place)?;
        let before = excerpt.text.get(..excerpt.range.start).unwrap_or_default();
        Some(Location { file: source.name.clone(), line: excerpt.line, column: before.chars().count() + 1 })
    }

    /// The line a place begins in.
    #[must_use]
    pub fn excerpt(&self, place: &Place) -> Option<Excerpt<'_>> {
        let source = self.of(place)?;
        let text = source.text.as_str();
        let mut at = place.start.saturating_sub(source.base).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let number = source.lines.partition_point(|start| *start <= at);
        let line_start = *source.lines.get(number.checked_sub(1)?)?;
        let after = text.get(at..)?;
        let line_end = at + after.find('\n').unwrap_or(after.len());
        let line = text.get(line_start..line_end)?.trim_end_matches('\r');
        let start = (at - line_start).min(line.len());
        let length = place.end.saturating_sub(place.start);
        let mut end = (start + length).min(line.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        Some(Excerpt { line: number, text: line, range: start..end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_leads_to_file_line_and_column() {
        let mut sources = Sources::default();
        sources.add("a.toml".into(), "x = 1\n\u{e9}y = 2\n".into(), PathBuf::new());
        sources.add("-o 1".into(), "k=v".into(), PathBuf::new());
        let base = sources.get(1).unwrap().base();
        for (place, shown) in [(1..2, "a.toml:1:1"), (9..10, "a.toml:2:2"), (base + 2..base + 3, "-o 1:1:3")]
        {
            let at = sources.locate(&place).unwrap();
            assert_eq!(format!("{}:{}:{}", at.file, at.line, at.column), shown);
        }
        assert_eq!(sources.locate(&NOWHERE), None);
        assert_eq!(sources.text(&(9..10)), "y");
    }
}
