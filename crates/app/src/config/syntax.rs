//! Makes a text readable TOML: notes each line that breaks the grammar and blanks it, so that the rest can still
//! be checked. Offsets stay what they were.
//!
//! TOML 1.1 as `toml` reads it. A statement over several lines (a list that is never closed) is blanked up to the
//! next line that plainly begins something new; a table's header that cannot be read takes its keys along, or
//! they would be looked for in the wrong table. Not here: what the keys mean.

use super::at::Place;
use super::catalogue::Code;
use super::report::Problem;
use std::collections::BTreeSet;
use toml::de::DeTable;

/// Most grammar mistakes shown of one text; after these the rest of it is left out.
const MOST: usize = 20;

/// A text made readable.
pub(super) struct Readable {
    /// The text with unreadable lines blanked; always TOML.
    pub(super) text: String,
    /// What was wrong, with places relative to the text.
    pub(super) problems: Vec<Problem>,
    /// Last parts of the keys and parts of the headers in blanked lines, so that nobody calls them missing.
    pub(super) lost: BTreeSet<String>,
}

/// Notes and blanks what is not TOML.
#[must_use]
pub(super) fn readable(text: &str) -> Readable {
    let mut result = Readable { text: text.to_owned(), problems: Vec::new(), lost: BTreeSet::new() };
    while let Err(error) = DeTable::parse(&result.text) {
        let at = error.span().unwrap_or(0..0);
        let whole = result.problems.len() >= MOST;
        let lines =
            if whole { 0..result.text.len() } else { statement(&result.text, at.start, error.message()) };
        let blanked = blank(&result.text, lines.clone());
        if blanked == result.text {
            // Nothing left to take away here: give up on the text, keep what was found.
            result.text = blank(&result.text, 0..result.text.len());
            if result.problems.is_empty() {
                result.problems.push(problem(at, error.message()));
            }
            continue;
        }
        result.lost.extend(words(result.text.get(lines).unwrap_or_default()));
        result.text = blanked;
        result.problems.push(problem(at, error.message()));
    }
    result
}

fn problem(at: Place, message: &str) -> Problem {
    let message = message.lines().next().unwrap_or_default();
    if message.contains("duplicate key") {
        return Problem::new(Code::Twice, at, "this key is set twice in one table").label("the second one");
    }
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let label = if expected.is_empty() { String::new() } else { format!("expected {expected}") };
    let problem = Problem::new(Code::Syntax, at, format!("this is not TOML: {what}")).label(label);
    if what.contains("string values must be quoted") {
        problem.fix("put the value in quotes")
    } else {
        problem
    }
}

/// The lines to blank for a mistake at an offset.
fn statement(text: &str, at: usize, message: &str) -> Place {
    let spans_lines = ["array", "inline table", "multi-line"].iter().any(|word| message.contains(word));
    let lines = line_ranges(text);
    let line = |range: &Place| text.get(range.clone()).unwrap_or_default();
    let here = lines.iter().rposition(|range| range.start <= at.min(text.len())).unwrap_or(0);
    let opener = (0..=here).rev().find(|index| lines.get(*index).is_some_and(|range| opens(line(range))));
    let first = if spans_lines { opener.unwrap_or(here) } else { here };
    let is_header = lines.get(first).is_some_and(|range| is_header(line(range)));
    let ends = |candidate: &&Place| match (is_header, spans_lines) {
        (true, _) => is_header_at(line(candidate)),
        (false, true) => is_header_at(line(candidate)) || is_assignment(line(candidate)),
        (false, false) => true,
    };
    let end = lines.iter().skip(first + 1).find(ends).map_or(text.len(), |range| range.start);
    lines.get(first).map_or(0, |range| range.start)..end
}

fn line_ranges(text: &str) -> Vec<Place> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        ranges.push(start..start + line.len());
        start += line.len();
    }
    ranges
}

/// Whether a line begins a value that may go on in the next line.
fn opens(line: &str) -> bool {
    let Some((_, value)) = line.split_once('=') else { return false };
    let value = value.trim_start();
    ["[", "{", "\"\"\"", "'''"].iter().any(|opening| value.starts_with(opening))
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

/// A header at the line's very start: inside a list people indent.
fn is_header_at(line: &str) -> bool {
    line.strip_prefix('[').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '['))
}

fn is_assignment(line: &str) -> bool {
    let key = line.split_once('=').map(|(key, _)| key.trim_end()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !key.is_empty() && key.chars().all(plain)
}

fn blank(text: &str, range: Place) -> String {
    let (before, rest) = text.split_at_checked(range.start).unwrap_or((text, ""));
    let (lines, after) = rest.split_at_checked(range.end - range.start).unwrap_or((rest, ""));
    let mut result = String::with_capacity(text.len());
    result.push_str(before);
    result.extend(lines.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
    result.push_str(after);
    result
}

fn words(lines: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines.lines() {
        let line = line.trim();
        let keys = if line.starts_with('[') { line } else { line.split('=').next().unwrap_or_default() };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        found.extend(keys.split(|c| !plain(c)).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_line_is_found_and_the_rest_stays() {
        let text = "a = 1\nb = x y\nc = \"open\nd = 4\ne == 5\n";
        let result = readable(text);
        let mut lines: Vec<_> = result
            .problems
            .iter()
            .map(|problem| text.get(..problem.place.start).unwrap().matches('\n').count() + 1)
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, [2, 3, 5]);
        assert_eq!(result.text.len(), text.len());
        let table = DeTable::parse(&result.text).unwrap();
        let keys: Vec<_> = table.get_ref().keys().map(|key| key.get_ref().to_string()).collect();
        assert_eq!(keys, ["a", "d"]);
        assert!(result.lost.contains("c"), "{:?}", result.lost);
    }

    #[test]
    fn an_unclosed_list_costs_one_message_and_one_statement() {
        let result = readable("a = [\"x\",\n  \"y\",\nb = 2\n[t]\nc = 3\n");
        assert_eq!(result.problems.len(), 1, "{}", result.text);
        assert!(result.text.contains("b = 2") && result.text.contains("c = 3"), "{}", result.text);
    }

    #[test]
    fn a_broken_header_takes_its_keys_along() {
        let result = readable("[one\nk = 1\nk2 = 2\n[two]\nk = 3\n");
        assert_eq!(result.problems.len(), 1);
        assert_eq!(result.text.trim(), "[two]\nk = 3");
    }

    #[test]
    fn a_key_set_twice_has_its_own_code() {
        let result = readable("a = 1\na = 2\n");
        let found: Vec<_> =
            result.problems.iter().map(|problem| (problem.code.id(), problem.place.start)).collect();
        assert_eq!(found, [("C004", 6)]);
    }
}
