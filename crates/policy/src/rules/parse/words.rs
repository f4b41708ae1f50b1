//! Cuts a rule into words, and words into values, and remembers where each stood.
//!
//! Words end at blanks. A single quote right after a colon opens a text in which blanks count and `''` is a quote.

use std::ops::Range;

use crate::cidr_set::{Cidr, CidrError};

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the line, in bytes.
    pub(super) at: usize,
}

/// Cuts a line into words; the error is the span of a text that is not closed.
pub(super) fn split(line: &str) -> Result<Vec<Word<'_>>, Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut last = ' ';
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next_is_quote = chars.peek().is_some_and(|(_, next)| *next == '\'');
        match (quote, c) {
            (Some(_), '\'') if next_is_quote => drop(chars.next()),
            (Some(_), '\'') => quote = None,
            (Some(_), _) => {}
            (None, c) if c.is_whitespace() => {
                words.extend(start.take().and_then(|start| word(line, start..at)))
            }
            (None, c) => {
                start.get_or_insert(at);
                if c == '\'' && last == ':' {
                    quote = Some(at);
                }
            }
        }
        last = c;
    }
    words.extend(start.and_then(|start| word(line, start..line.len())));
    match quote {
        Some(at) => Err(at..line.trim_end().len()),
        None => Ok(words),
    }
}

fn word(line: &str, span: Range<usize>) -> Option<Word<'_>> {
    Some(Word { at: span.start, text: line.get(span)? })
}

impl<'a> Word<'a> {
    pub(super) const fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    /// The span with the character in front of it, which is a `!`.
    pub(super) const fn span_with_front(self) -> Range<usize> {
        self.at.saturating_sub(1)..self.at + self.text.len()
    }

    /// The span, or that of `whole` when there is nothing to point at.
    pub(super) const fn span_or(self, whole: Self) -> Range<usize> {
        if self.text.is_empty() { whole.span() } else { self.span() }
    }

    pub(super) fn strip_prefix(self, front: &str) -> Option<Self> {
        let text = self.text.strip_prefix(front)?;
        Some(Self { text, at: self.at + front.len() })
    }

    /// What is in front of the first colon.
    pub(super) fn stem(self) -> &'a str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// The parts around the first colon.
    pub(super) fn split_key(self) -> Option<(Self, Self)> {
        let (key, value) = self.text.split_once(':')?;
        Some((Self { text: key, at: self.at }, Self { text: value, at: self.at + key.len() + 1 }))
    }

    /// The parts between commas, empty ones too.
    pub(super) fn values(self) -> impl Iterator<Item = Self> {
        let mut at = self.at;
        self.text.split(',').map(move |text| {
            let value = Word { text, at };
            at += text.len() + 1;
            value
        })
    }

    /// Whether an address or a network is meant, well written or not: `10.0.0/8`, `fe80::/200`, `[::1]`.
    pub(super) fn looks_like_address(self) -> bool {
        let first = self.text.split(',').next().unwrap_or_default();
        match Cidr::parse(first) {
            Ok(_) | Err(CidrError::Prefix { .. } | CidrError::HostBits { .. }) => true,
            Err(CidrError::Address) => {
                let part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/' | '[' | ']');
                let dotted = first.contains('.') && first.chars().all(|c| c.is_ascii_digit() || c == '.');
                let signs = first.contains(['/', '[']) || first.contains("::");
                dotted || (signs && first.chars().all(part))
            }
        }
    }
}
