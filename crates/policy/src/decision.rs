//! What a rule set is asked, and what it answers.
//!
//! Not here: how rules are read and matched (`rules`), what a verb then does (the products).

use std::fmt;
use std::net::IpAddr;

use shoalway_types::Host;
use shoalway_types::wallet::Address;

/// One request, tunnel or datagram flow, as the rules see it. `Debug` hides it.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// Where it wants to go: a name as the client wrote it, or an address.
    pub host: &'a Host,
    /// The port it wants to go to.
    pub port: u16,
    /// The HTTP method; empty where there is none (SOCKS).
    pub method: &'a str,
    /// The address of the client.
    pub client: IpAddr,
    /// The user who logged in, when one did.
    pub user: Option<&'a str>,
    /// The address `host` resolved to, when it is a name and that is known already.
    pub resolved: Option<IpAddr>,
}

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query([hidden])")
    }
}

/// What the first matching rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// What is to be done.
    pub verb: Verb,
    /// The rule that said so: 1-based, 0 is the implied last rule.
    pub rule: u32,
    /// Text of the rule for the page a blocked person sees; only with [`Verb::Block`].
    pub say: Option<&'a str>,
}

/// What is to be done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Refuse it.
    Block,
    /// Connect from here, whatever the default exit is.
    Direct,
    /// Take the default exit.
    Allow,
    /// Take the named exit.
    Via(ExitId),
    /// Take the overlay, through exits of this wish; never fall back to another way.
    Overlay(OverlayId),
}

/// An exit: the index into [`Names::exits`](crate::Names::exits) the rules were read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExitId(pub u16);

/// Which exits of the overlay a rule asks for: the index into [`RuleSet::overlay_wishes`](crate::RuleSet::overlay_wishes).
/// 0 asks for nothing in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct OverlayId(pub u16);

/// Exits of the overlay that a rule asks for. Empty lists: any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct OverlayWish {
    /// Only these nodes.
    pub exits: Vec<Address>,
    /// Only these countries, two capital letters each.
    pub countries: Vec<[u8; 2]>,
}

/// A rule that matches a query, as [`RuleSet::explain`](crate::RuleSet::explain) lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The rule: 1-based, 0 is the implied last rule.
    pub rule: u32,
    /// What it asks for; of several matches only the first counts.
    pub verb: Verb,
    /// The rule as it was written.
    pub line: String,
}

impl Match {
    /// Whether this is the last rule that nobody wrote.
    #[must_use]
    pub const fn is_implied(&self) -> bool {
        self.rule == 0
    }
}
