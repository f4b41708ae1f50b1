//! Lists of names as they are published: hosts files, plain names, and the host rules of ad-block lists.
//!
//! - `0.0.0.0 ads.example tracker.example`: hosts(5); each name for itself. A line without a name to block, and
//!   the names every hosts file has for the machine itself, are passed over.
//! - `ads.example`, `*.ads.example`, `.ads.example`: as a [`DomainPattern`].
//! - `||ads.example^`: the name and all below it, the basic host rule of ad-block syntax.
//! - `# ...`, `! ...`, `[Adblock Plus 2.0]`: remarks; in the first two forms also after a blank on the same line.
//!
//! Not understood, and counted: exceptions (`@@`), rules with options (`$`), paths, element hiding (`##`). A list
//! comes from outside and has mistakes, so a bad line spoils nothing but itself.

use std::net::IpAddr;

use shoalway_types::Host;

#[cfg(doc)]
use super::DomainPattern;
use super::pattern::split_reach;
use super::{DomainSet, DomainSetBuilder, Reach};

/// What became of the lines of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSummary {
    /// Names taken over, the same one several times included.
    pub names: usize,
    /// Lines or names not understood.
    pub skipped: usize,
    /// The first line with something not understood, 1-based; 0 when there is none.
    pub first_skipped: usize,
}

impl DomainSet {
    /// Builds a set from the text of a list.
    #[must_use]
    pub fn from_list(text: &str) -> (Self, ListSummary) {
        let mut builder = DomainSetBuilder::default();
        let summary = builder.insert_list(text);
        (builder.build(), summary)
    }
}

impl DomainSetBuilder {
    /// Adds the names of a list.
    pub fn insert_list(&mut self, text: &str) -> ListSummary {
        let mut summary = ListSummary::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let before = summary.skipped;
            self.insert_line(line, &mut summary);
            if before == 0 && summary.skipped > 0 {
                summary.first_skipped = index + 1;
            }
        }
        summary
    }

    fn insert_line(&mut self, line: &str, summary: &mut ListSummary) {
        let line = without_remark(line.trim());
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { return };
        if let Some(rule) = first.strip_prefix("||") {
            let name = rule.strip_suffix('^').map(split_reach);
            let alone = words.next().is_none();
            match name {
                Some((name, Reach::Exact | Reach::Tree)) if alone => self.take(name, Reach::Tree, summary),
                Some((name, Reach::Below)) if alone => self.take(name, Reach::Below, summary),
                _ => summary.skipped += 1,
            }
        } else if let Some(ip) = address(first) {
            for name in words.filter(|name| !is_own_name(name) && name.parse() != Ok(ip)) {
                self.take(name, Reach::Exact, summary);
            }
        } else if words.next().is_some() {
            summary.skipped += 1;
        } else {
            let (name, reach) = split_reach(first);
            self.take(name, reach, summary);
        }
    }

    fn take(&mut self, name: &str, reach: Reach, summary: &mut ListSummary) {
        let taken = match Host::parse(name) {
            Ok(Host::Name(name)) => self.add(name.as_str(), reach),
            Ok(Host::Ip(_)) | Err(_) => false,
        };
        if taken {
            summary.names += 1;
        } else {
            summary.skipped += 1;
        }
    }
}

/// The line up to its remark. A `#` or `!` begins one at the start or after a blank.
fn without_remark(line: &str) -> &str {
    if line.starts_with('[') && line.ends_with(']') {
        return "";
    }
    let mut blank = true;
    for (at, c) in line.char_indices() {
        if blank && matches!(c, '#' | '!') {
            return line.get(..at).unwrap_or_default();
        }
        blank = c.is_ascii_whitespace();
    }
    line
}

/// The address in front of a hosts line; a zone (`fe80::1%lo0`) does not matter here.
fn address(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

/// Names a hosts file has for the machine itself and its network; nobody means to block them.
fn is_own_name(name: &str) -> bool {
    const OWN: [&str; 6] =
        ["localhost", "localhost.localdomain", "localhost4", "localhost6", "local", "broadcasthost"];
    OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
        || name.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("ip6-"))
}
