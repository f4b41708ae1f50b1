//! Maps a range inside a string's value back to the characters of its TOML literal, through escapes.
//!
//! Follows the string forms of TOML 1.1: basic, literal, and both multi-line forms. A text without quotes (a bare
//! word of `-o`) maps one to one.

use super::at::Place;
use super::source::Sources;
use std::ops::Range;

/// The place of a byte range of the value of the string written at `place`.
#[must_use]
pub(super) fn inside(sources: &Sources, place: &Place, range: Range<usize>) -> Place {
    let literal = sources.text(place);
    let start = place.start + offset(literal, range.start);
    // The end is the end of the last character, so that an escape is marked whole.
    let end = place.start + offset(literal, range.end);
    start..end.max(start)
}

/// Offset in the literal of the value's byte at `wanted`.
fn offset(literal: &str, wanted: usize) -> usize {
    let (open, basic) = match literal {
        text if text.starts_with("\"\"\"") => (3, true),
        text if text.starts_with("'''") => (3, false),
        text if text.starts_with('"') => (1, true),
        text if text.starts_with('\'') => (1, false),
        _ => return wanted.min(literal.len()),
    };
    let mut at = open;
    if open == 3 {
        // A newline right after the opening is not part of the value.
        let rest = literal.get(at..).unwrap_or_default();
        at += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let last = literal.len().saturating_sub(open).max(at);
    let mut value = 0;
    while value < wanted && at < last {
        let rest = literal.get(at..last).unwrap_or_default();
        let Some(first) = rest.chars().next() else { break };
        let (raw, decoded) =
            if basic && first == '\\' { escape(rest) } else { (first.len_utf8(), first.len_utf8()) };
        at += raw;
        value += decoded;
    }
    at.min(last)
}

/// Length of an escape in the literal and of what it stands for.
fn escape(text: &str) -> (usize, usize) {
    let digits = match text.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        Some(b' ' | b'\t' | b'\r' | b'\n') => {
            let rest = text.get(1..).unwrap_or_default();
            return (1 + rest.len() - rest.trim_start().len(), 0);
        }
        Some(_) => return (2.min(text.len()), 1),
        None => return (1, 1),
    };
    let code = text.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lead_through_quotes_and_escapes() {
        for (literal, value, at) in [
            ("\"abc\"", 0, 1),
            ("\"abc\"", 2, 3),
            ("'abc'", 3, 4),
            ("\"a\\tb\"", 2, 4),
            ("\"\\u00e9b\"", 2, 7),
            ("\"\\xe9b\"", 2, 5),
            ("\"\"\"\nabc\"\"\"", 1, 5),
            ("\"\"\"a\\\n   b\"\"\"", 1, 4),
            ("bare", 2, 2),
            ("\"ab\"", 9, 3),
        ] {
            assert_eq!(offset(literal, value), at, "{literal} at {value}");
        }
    }
}
