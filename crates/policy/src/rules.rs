//! Rules: one line each, first match wins, the last one (`direct all`) is implied.
//!
//! `VERB MATCH... OPTION...`: a space means and, a comma means or, `!` in front of a match means not.
//!
//! | verb | |
//! |---|---|
//! | `block` | refuse |
//! | `direct` | connect from here |
//! | `allow` | take the default exit |
//! | `via:NAME` | take the exit of that name |
//! | `overlay` | take the overlay, where one is configured |
//! | `overlay:exit=0x...,...` | the same, through one of these exits |
//! | `overlay:country=CH,IS` | the same, through an exit in one of these countries |
//!
//! | match | takes |
//! |---|---|
//! | `all` | everything |
//! | `private` | addresses of LANs, loopback, link-local, unique local, shared (CGNAT), "this host", and NAT64 prefixes that lead to them; names `localhost`, of one label, and below `.localhost`, `.internal`, `.local`, `.home.arpa` |
//! | `10.0.0.0/8`, `ip:NET,...` | destinations in a network |
//! | `domain:a.example,*.b.example` | destinations by name, see [`DomainPattern`](crate::DomainPattern) |
//! | `list:NAME,...` | destinations in a list of names |
//! | `port:80,8000-8999` | destinations by port |
//! | `method:GET,CONNECT` | HTTP methods, written in any case |
//! | `client:NET,...` | clients by address |
//! | `user:NAME,...` | clients by log-in; a client without one is no user |
//!
//! The option `say:'text'` of a `block` rule goes on the page that a blocked person sees; `''` is a quote in it.
//!
//! Rules by address see `host` when it is an address, and the resolved address when the query has one. A rule by
//! name never resolves: a name not yet resolved lies in no network, so `10.0.0.0/8` does not match it and
//! `!10.0.0.0/8` does. Who resolves a name later asks again, when [`RuleSet::by_address`] says that it matters.
//!
//! Reading is in `rules/parse.rs`, matching in `rules/matcher.rs`, mistakes across rules in `rules/lint.rs`.
//! Not here: what the verbs do, and where rules and lists come from.

mod lint;
mod matcher;
mod parse;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::decision::{Decision, ExitId, Match, OverlayId, OverlayWish, Query, Verb};
use crate::domain_set::DomainSet;
use matcher::Matcher;

/// The last rule, which nobody wrote.
pub const IMPLIED_RULE: &str = "direct all";

/// What rules may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Names of the exits; [`ExitId`] is an index into them. At most 65536 can be referred to.
    pub exits: &'a [&'a str],
    /// The lists of names.
    pub lists: &'a BTreeMap<String, Arc<DomainSet>>,
    /// Whether there is an overlay.
    pub overlay: bool,
}

/// Rules that were read without a mistake. The default has the implied rule only.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: Box<[Rule]>,
    exits: Box<[Box<str>]>,
    /// From number 1 on; number 0 asks for nothing.
    wishes: Box<[OverlayWish]>,
    by_address: bool,
}

/// One rule, read and checked.
#[derive(Debug, Clone)]
struct Rule {
    verb: Verb,
    matchers: Box<[Matcher]>,
    say: Option<Box<str>>,
    line: Box<str>,
}

impl RuleSet {
    /// Reads rules, one a line.
    ///
    /// # Errors
    /// All mistakes at once, in the order of rules and of places in them.
    pub fn parse<S: AsRef<str>>(lines: &[S], names: &Names<'_>) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let mut wishes = Vec::new();
        let rules: Vec<Option<Rule>> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| parse::rule(index, line.as_ref(), names, &mut wishes, &mut errors))
            .collect();
        lint::unreachable(&rules, &mut errors);
        if !errors.is_empty() {
            errors.sort_by_key(|error| (error.rule, error.span.start, error.span.end));
            return Err(errors);
        }
        let rules: Box<[Rule]> = rules.into_iter().flatten().collect();
        let by_address = rules.iter().flat_map(|rule| &rule.matchers).any(Matcher::by_address);
        let exits = names.exits.iter().map(|name| Box::from(*name)).collect();
        Ok(Self { rules, exits, wishes: wishes.into(), by_address })
    }

    /// What is to be done with a request: what the first rule that matches says. Allocates nothing.
    #[must_use]
    pub fn decide(&self, q: &Query<'_>) -> Decision<'_> {
        match (1..).zip(&self.rules).find(|(_, rule)| rule.matches(q)) {
            Some((number, rule)) => Decision { verb: rule.verb, rule: number, say: rule.say.as_deref() },
            None => Decision { verb: Verb::Direct, rule: 0, say: None },
        }
    }

    /// All rules that match, in order; the first is the one that [`RuleSet::decide`] goes by. The implied rule is
    /// the last of them, unless a rule above takes everything.
    #[must_use]
    pub fn explain(&self, q: &Query<'_>) -> Vec<Match> {
        let written = (1..).zip(&self.rules).filter(|(_, rule)| rule.matches(q));
        let mut matches: Vec<Match> = written
            .map(|(number, rule)| Match {
                rule: number,
                verb: rule.verb,
                line: rule.line.as_ref().to_owned(),
            })
            .collect();
        if !self.rules.iter().any(Rule::takes_everything) {
            matches.push(Match { rule: 0, verb: Verb::Direct, line: IMPLIED_RULE.to_owned() });
        }
        matches
    }

    /// The text of a rule, 1-based; 0 is the implied one.
    #[must_use]
    pub fn line(&self, rule: u32) -> Option<&str> {
        match usize::try_from(rule).ok()?.checked_sub(1) {
            None => Some(IMPLIED_RULE),
            Some(index) => self.rules.get(index).map(|rule| &*rule.line),
        }
    }

    /// Whether some rule looks at the destination's address: a name must then be asked about again once it is
    /// resolved.
    #[must_use]
    pub const fn by_address(&self) -> bool {
        self.by_address
    }

    /// The name of an exit; empty for an id that another set of rules gave out.
    #[must_use]
    pub fn exit_name(&self, id: ExitId) -> &str {
        self.exits.get(usize::from(id.0)).map_or("", |name| name)
    }

    /// The exits of the overlay that rules ask for, by [`OverlayId`]: number 0 asks for nothing in particular.
    #[must_use]
    pub fn overlay_wishes(&self) -> Vec<OverlayWish> {
        std::iter::once(OverlayWish::default()).chain(self.wishes.iter().cloned()).collect()
    }

    /// What a rule asks of the overlay; nothing in particular for an id that another set of rules gave out.
    #[must_use]
    pub fn overlay_wish(&self, id: OverlayId) -> Option<&OverlayWish> {
        self.wishes.get(usize::from(id.0).checked_sub(1)?)
    }

    /// How many rules were written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is only the implied rule.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Rule {
    fn matches(&self, q: &Query<'_>) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(q))
    }

    fn takes_everything(&self) -> bool {
        self.matchers.iter().all(Matcher::is_all)
    }
}

/// A mistake in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Which rule: 0-based.
    pub rule: usize,
    /// Where in the line, in bytes; on borders of characters.
    pub span: Range<usize>,
    /// What kind of mistake, for catalogues.
    pub kind: RuleErrorKind,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule + 1, self.message)
    }
}

impl std::error::Error for RuleError {}

/// Kinds of mistakes in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleErrorKind {
    /// The line is empty.
    Empty,
    /// The first word is no verb.
    UnknownVerb,
    /// `via:` names no exit there is.
    UnknownExit,
    /// `overlay` without one configured.
    OverlayNotConfigured,
    /// There is a verb and no match.
    NoMatch,
    /// A word is neither match nor option.
    UnknownMatch,
    /// `list:` names no list there is.
    UnknownList,
    /// A value is missing after a colon or between commas.
    MissingValue,
    /// A value is not of the kind that belongs there.
    BadValue,
    /// A quote is not closed.
    UnclosedQuote,
    /// An option is negated, given twice, or stands with a verb that has no use for it.
    MisplacedOption,
    /// The rule matches nothing (`!all`).
    NeverMatches,
    /// An earlier rule takes everything.
    Unreachable,
}

#[cfg(test)]
mod tests;
