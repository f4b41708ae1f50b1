//! The decision: who wants to go where, and which way that is. Read first.
//!
//! The rules are asked before anything is resolved, with the target as the client wrote it; `shoalway why` asks the
//! same function. A name that goes straight out is resolved then, and the rules are asked once more for each address:
//! an address counts only when the answer is still to connect from here. A way that cannot be taken is never
//! replaced by another one. Not here: the rules (`policy`), the ways ([`crate::outbound`]), the egress guard, which
//! has the last word on each address (`net`).

use crate::forward::{Forward, Worker};
use shoalway_net::connect::Permit;
use shoalway_net::counters::VerbLabel;
use shoalway_policy::{Decision, ExitId, Query, RuleSet, Verb};
use shoalway_types::{Host, Target};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// Who wants to go where.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The user who logged in, if one did.
    pub user: Option<&'a str>,
    /// Where to, as the client wrote it.
    pub host: &'a Host,
    /// Which port; 0 where a BIND or a datagram socket leaves it open.
    pub port: u16,
    /// The HTTP method; empty with SOCKS.
    pub method: &'a str,
}

impl Asked<'_> {
    const fn query(&self, resolved: Option<IpAddr>) -> Query<'_> {
        Query {
            host: self.host,
            port: self.port,
            method: self.method,
            client: self.client,
            user: self.user,
            resolved,
        }
    }
}

/// What was decided.
pub struct Dispatched {
    /// What the rule says.
    pub verb: Verb,
    /// The rule that said so, 1-based; 0 is the implied one.
    pub rule: u32,
    /// The way to take; none when the rule says no, or asks for a way there is none of.
    pub way: Option<Rc<Worker>>,
}

/// Asks the rules.
#[must_use]
pub fn decide<'r>(rules: &'r RuleSet, asked: &Asked<'_>) -> Decision<'r> {
    rules.decide(&asked.query(None))
}

impl Forward {
    /// Decides which way a session goes.
    #[must_use]
    pub fn dispatch(&self, asked: &Asked<'_>) -> Dispatched {
        let Decision { verb, rule, .. } = decide(&self.plan().rules, asked);
        let way = match verb {
            Verb::Block => None,
            Verb::Overlay(wish) => self.overlay(wish).map(Rc::clone),
            Verb::Direct => Some(Rc::clone(self.direct())),
            Verb::Allow => self.default_way(),
            Verb::Via(exit) => self.exit(exit).map(Rc::clone),
        };
        Dispatched { verb, rule, way }
    }
}

/// Asks the rules again for an address that a name resolved to, and that would be connected to from here.
///
/// # Errors
/// The number of the rule that refuses the address.
pub fn recheck(
    rules: &RuleSet,
    default_exit: Option<ExitId>,
    asked: &Asked<'_>,
    addr: IpAddr,
) -> Result<(), u32> {
    if !rules.by_address() || asked.host.ip().is_some() {
        return Ok(());
    }
    let Decision { verb, rule, .. } = rules.decide(&asked.query(Some(addr)));
    match verb {
        Verb::Direct => Ok(()),
        Verb::Allow if default_exit.is_none() => Ok(()),
        Verb::Allow | Verb::Block | Verb::Via(_) | Verb::Overlay(_) => Err(rule),
    }
}

/// What a way out asks for each address of a name, and which rule has refused one.
pub struct AddressRules {
    rules: Arc<RuleSet>,
    default_exit: Option<ExitId>,
    client: IpAddr,
    user: Option<Rc<str>>,
    target: Rc<Target>,
    method: Box<str>,
    refused: Cell<Option<u32>>,
}

impl AddressRules {
    /// None when no rule looks at addresses, or the client wrote an address itself.
    #[must_use]
    pub fn of(
        forward: &Forward,
        client: IpAddr,
        user: Option<&Rc<str>>,
        target: &Rc<Target>,
        method: &str,
    ) -> Option<Rc<Self>> {
        let plan = forward.plan();
        if !plan.rules.by_address() || target.host.ip().is_some() {
            return None;
        }
        Some(Rc::new(Self {
            rules: Arc::clone(&plan.rules),
            default_exit: plan.default_exit,
            client,
            user: user.map(Rc::clone),
            target: Rc::clone(target),
            method: method.into(),
            refused: Cell::new(None),
        }))
    }

    /// Whether the address may be connected to.
    ///
    /// # Errors
    /// The number of the rule that refuses it.
    pub fn check(&self, addr: SocketAddr) -> Result<(), u32> {
        let asked = Asked {
            client: self.client,
            user: self.user.as_deref(),
            host: &self.target.host,
            port: self.target.port,
            method: &self.method,
        };
        let verdict = recheck(&self.rules, self.default_exit, &asked, addr.ip());
        if let Err(rule) = verdict {
            self.refused.set(Some(rule));
        }
        verdict
    }

    /// The same for a way out, which knows no rules.
    #[must_use]
    pub fn permit(self: &Rc<Self>) -> Permit {
        self.refused.set(None);
        let rules = Rc::clone(self);
        Rc::new(move |addr| rules.check(addr).map_err(|rule| format!("rule:{rule}")))
    }

    /// The rule that refused an address since [`AddressRules::permit`].
    #[must_use]
    pub const fn refused(&self) -> Option<u32> {
        self.refused.get()
    }
}

/// The verb as a label of metrics.
#[must_use]
pub const fn label(verb: Verb) -> VerbLabel {
    match verb {
        Verb::Block => VerbLabel::Block,
        Verb::Direct | Verb::Allow => VerbLabel::Direct,
        Verb::Via(_) => VerbLabel::Via,
        Verb::Overlay(_) => VerbLabel::Overlay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_policy::rules::Names;
    use std::collections::BTreeMap;

    fn rules(lines: &[&str]) -> RuleSet {
        RuleSet::parse(lines, &Names { exits: &["vps"], lists: &BTreeMap::new(), overlay: false }).unwrap()
    }

    fn asked(host: &Host) -> Asked<'_> {
        Asked { client: IpAddr::from([127, 0, 0, 1]), user: None, host, port: 80, method: "GET" }
    }

    #[test]
    fn an_address_counts_only_while_the_answer_is_to_connect_from_here() {
        let name = Host::parse("a.example").unwrap();
        for (lines, addr, default_exit, answer) in [
            (&["block 10.0.0.0/8"][..], "10.0.0.1", None, Err(1)),
            (&["block 10.0.0.0/8"], "192.0.2.1", None, Ok(())),
            (&["block !10.0.0.0/8"], "10.0.0.1", None, Ok(())),
            (&["via:vps 10.0.0.0/8"], "10.0.0.1", None, Err(1)),
            (&["direct 10.0.0.0/8", "block all"], "192.0.2.1", None, Err(2)),
            (&["direct port:1", "allow 10.0.0.0/8"], "10.0.0.1", None, Ok(())),
            (&["direct port:1", "allow 10.0.0.0/8"], "10.0.0.1", Some(ExitId(0)), Err(2)),
            (&["block domain:other.example"], "10.0.0.1", None, Ok(())),
        ] {
            let verdict = recheck(&rules(lines), default_exit, &asked(&name), addr.parse().unwrap());
            assert_eq!(verdict, answer, "{lines:?} {addr}");
        }
    }

    #[test]
    fn an_address_that_the_client_wrote_itself_is_asked_about_once() {
        let host = Host::parse("10.0.0.1").unwrap();
        let rules = rules(&["direct method:GET", "block 10.0.0.0/8"]);
        assert_eq!(decide(&rules, &asked(&host)).rule, 1);
        assert_eq!(recheck(&rules, None, &asked(&host), IpAddr::from([10, 0, 0, 1])), Ok(()));
    }
}
