//! Looks for the end of a head, and remembers how far it looked.
//!
//! Each octet is looked at once, however the bytes arrive, so that a head sent one octet at a time costs no more than
//! one sent whole. On the way it refuses what needs no tokenizer: bare line feeds (RFC 9112 section 2.2), lengths,
//! versions, and a first line that can no longer become one. What it says depends on the bytes alone, never on how
//! they were cut.

use super::diagnose;
use super::limits::Limits;
use super::method::MAX_METHOD;
use super::refusal::Refusal;
use super::tokens::{find_from, is_token_byte};

/// Which first line is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
}

/// How far one head has been looked through.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Scan {
    /// Octets searched for line feeds.
    seen: usize,
    /// Where the line being searched begins.
    line: usize,
    /// Octets of an empty line before the first line: 0 or 2.
    lead: usize,
    /// Where the CR of the first line stands; 0 until it is known.
    first_end: usize,
}

/// Where the parts of a whole head stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Where the first line begins.
    pub(super) lead: usize,
    /// Where the CR of the first line stands.
    pub(super) first_end: usize,
    /// Behind the empty line.
    pub(super) end: usize,
}

impl Scan {
    /// Whether nothing was looked at yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// Goes on from where it stopped. `None`: the end is not there yet.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        kind: Kind,
    ) -> Result<Option<Found>, Refusal> {
        let window = bytes.get(..limits.head_octets()).unwrap_or(bytes);
        let before = self.seen;
        while let Some(at) = find_from(b'\n', window, self.seen) {
            self.seen = at + 1;
            if let Some(found) = self.line_feed(window, at, limits, kind)? {
                *self = Self::default();
                return Ok(Some(found));
            }
        }
        self.seen = window.len();
        if self.first_end == 0 {
            self.check_unfinished(window, before, limits, kind)?;
        }
        if window.len() >= limits.head_octets() { Err(Refusal::HeadTooLarge) } else { Ok(None) }
    }

    fn line_feed(
        &mut self,
        window: &[u8],
        at: usize,
        limits: &Limits,
        kind: Kind,
    ) -> Result<Option<Found>, Refusal> {
        let line = window.get(self.line..at).unwrap_or_default();
        let is_first = self.first_end == 0;
        if is_first {
            check_start(line, kind)?;
            check_length(line.len().saturating_sub(1), limits, kind)?;
        }
        match line {
            [b'\r'] if !is_first => {
                return Ok(Some(Found { lead: self.lead, first_end: self.first_end, end: at + 1 }));
            }
            [b'\r'] if at == 1 && kind == Kind::Request => self.lead = 2,
            [b'\r'] => return Err(Refusal::EmptyLines),
            [first @ .., b'\r'] if is_first => {
                diagnose::version(first, kind)?;
                self.first_end = at - 1;
            }
            [.., b'\r'] => {}
            _ => return Err(Refusal::BareLf),
        }
        self.line = at + 1;
        Ok(None)
    }

    /// The first line has no end yet: can it still become one?
    fn check_unfinished(
        &self,
        window: &[u8],
        before: usize,
        limits: &Limits,
        kind: Kind,
    ) -> Result<(), Refusal> {
        let line = window.get(self.line..).unwrap_or_default();
        if before <= self.line + START {
            check_start(line, kind)?;
        }
        // With its CRLF the line will be at least one octet longer than what is here.
        check_length(line.len().saturating_sub(1), limits, kind)
    }
}

/// Within so many octets [`check_start`] comes to its verdict.
const START: usize = MAX_METHOD + 1;

/// Refuses what no first line begins with. A CR or LF ends the look without a verdict: what is wrong then is said
/// by the checks of the whole line.
fn check_start(line: &[u8], kind: Kind) -> Result<(), Refusal> {
    match kind {
        Kind::Request => check_method(line),
        Kind::Response => check_version(line),
    }
}

fn check_method(line: &[u8]) -> Result<(), Refusal> {
    for (at, byte) in line.iter().take(START).enumerate() {
        match byte {
            b'\r' | b'\n' => return Ok(()),
            b' ' if at > 0 => return Ok(()),
            byte if is_token_byte(*byte) && at < MAX_METHOD => {}
            _ => return Err(Refusal::MethodToken),
        }
    }
    Ok(())
}

fn check_version(line: &[u8]) -> Result<(), Refusal> {
    for (expected, byte) in b"HTTP/".iter().zip(line) {
        match byte {
            b'\r' | b'\n' => return Ok(()),
            byte if byte == expected => {}
            _ => return Err(Refusal::StatusLine),
        }
    }
    Ok(())
}

/// Refuses a first line of `octets` without CRLF that only a target over its limit can make so long.
fn check_length(octets: usize, limits: &Limits, kind: Kind) -> Result<(), Refusal> {
    let version = " HTTP/1.1".len();
    if kind == Kind::Request && octets > MAX_METHOD + 1 + limits.target + version {
        return Err(Refusal::TargetTooLong);
    }
    Ok(())
}
