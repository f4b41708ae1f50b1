//! Where requests of one kind go: made when a client names a host for the first time, used again while it repeats it.
//!
//! Not here: the rules (`dispatch`), what then happens to the request (`http/h1`).

use crate::dispatch::{AddressRules, Asked, Dispatched, decide, label};
use crate::forward::{Forward, Worker};
use shoalway_http::pool::{Pool, Upstream, UpstreamKey};
use shoalway_net::connect::{Connect, Isolation, PlainHttp};
use shoalway_net::counters::VerbLabel;
use shoalway_net::egress_guard::EgressGuard;
use shoalway_net::shard::Shard;
use shoalway_policy::Verb;
use shoalway_types::{Host, Target, TargetError};
use shoalway_wire::http1::compose::RequestLine;
use shoalway_wire::http1::request::RequestView;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// Answers with a page about the client and its proxy, whatever the rules say. `.internal` is reserved for private
/// use, so no site is shadowed.
const STATUS_HOST: &str = "shoalway.internal";

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An answer to it.
    Plain,
    /// To change the protocol: it goes to the target itself, also by way of a proxy.
    Upgrade,
    /// CONNECT.
    Tunnel,
}

/// Where it goes.
pub(super) enum To {
    Upstream {
        upstream: Rc<Upstream>,
        connect: Rc<dyn Connect>,
        line: RequestLine,
        /// Value of `Proxy-Authorization` for an upstream proxy.
        authorization: Option<Box<str>>,
        is_direct: bool,
    },
    Tunnel {
        connect: Rc<dyn Connect>,
    },
    /// A rule says no.
    Blocked {
        say: Option<Box<str>>,
    },
    /// A rule asks for a way there is none of.
    Missing,
    /// The page about the client.
    Status,
}

/// A decision with all that follows from it.
pub(super) struct Route {
    kind: Kind,
    authority: Box<str>,
    user: Option<Rc<str>>,
    pub(super) method: Box<str>,
    pub(super) target: Rc<Target>,
    pub(super) to: To,
    pub(super) rule: u32,
    pub(super) verb: Arc<str>,
    pub(super) label: VerbLabel,
    /// Rules about addresses, when they count for this target.
    pub(super) addresses: Option<Rc<AddressRules>>,
    /// What its flows are kept apart by.
    pub(super) isolation: Isolation,
    /// Each request has a connection of its own, so that nothing of this is used again.
    once: bool,
    /// The address that was permitted last.
    permitted: Cell<Option<SocketAddr>>,
}

impl Route {
    /// Whether this is the decision for such a request, under the plan it was made with.
    pub(super) fn is_for(
        &self,
        request: RequestView<'_>,
        kind: Kind,
        authority: &str,
        user: Option<&Rc<str>>,
    ) -> bool {
        !self.once
            && *self.authority == *authority
            && self.kind == kind
            && *self.method == *request.method_str()
            && self.user.as_ref() == user
    }

    /// Asks the rules, and looks up what the way needs.
    ///
    /// # Errors
    /// When the authority is no target.
    pub(super) fn find(
        forward: &Forward,
        shard: &Rc<Shard>,
        client: IpAddr,
        user: Option<&Rc<str>>,
        request: RequestView<'_>,
        kind: Kind,
        authority: &str,
    ) -> Result<Self, TargetError> {
        let target = Rc::new(Target::parse(authority, (kind != Kind::Tunnel).then_some(80))?);
        let method = request.method_str();
        let asked =
            Asked { client, user: user.map(|user| &**user), host: &target.host, port: target.port, method };
        let Dispatched { verb, rule, way } = forward.dispatch(&asked);
        let isolation = isolation(forward, user);
        let once = way.as_ref().is_some_and(|way| way.connect.shares(&isolation).is_none());
        let to = match (&way, verb) {
            _ if kind == Kind::Plain && target.host.name() == Some(STATUS_HOST) => To::Status,
            (Some(way), _) if kind == Kind::Tunnel => To::Tunnel { connect: Rc::clone(&way.connect) },
            (Some(way), _) => upstream(forward, shard, way, &target, kind, &isolation),
            (None, Verb::Block) => {
                To::Blocked { say: decide(&forward.plan().rules, &asked).say.map(Box::from) }
            }
            (None, Verb::Direct | Verb::Allow | Verb::Via(_) | Verb::Overlay(_)) => To::Missing,
        };
        let is_direct = way.is_some_and(|way| way.is_direct);
        let addresses =
            if is_direct { AddressRules::of(forward, client, user, &target, method) } else { None };
        Ok(Self {
            kind,
            authority: authority.into(),
            user: user.map(Rc::clone),
            method: method.into(),
            to,
            rule,
            verb: forward.word(verb),
            label: label(verb),
            addresses,
            isolation,
            once,
            target,
            permitted: Cell::new(None),
        })
    }

    /// Whether the client may use a kept connection to this address.
    pub(super) fn permits(&self, guard: &EgressGuard, client: IpAddr, addr: SocketAddr) -> bool {
        match &self.to {
            // To an upstream proxy that the operator named.
            To::Upstream { is_direct: false, .. } => true,
            To::Upstream { is_direct: true, .. } if self.permitted.get() == Some(addr) => true,
            To::Upstream { is_direct: true, .. } => {
                let may = guard.check(client, addr).is_ok()
                    && self.addresses.as_ref().is_none_or(|rules| rules.check(addr).is_ok());
                if may {
                    self.permitted.set(Some(addr));
                }
                may
            }
            To::Tunnel { .. } | To::Blocked { .. } | To::Missing | To::Status => false,
        }
    }
}

/// What the flows of a request are kept apart by.
fn isolation(forward: &Forward, user: Option<&Rc<str>>) -> Isolation {
    Isolation {
        listener: Some(Arc::clone(&forward.plan().listener)),
        user: user.map(|user| Rc::from(user.as_bytes())),
        password: None,
    }
}

fn upstream(
    forward: &Forward,
    shard: &Rc<Shard>,
    way: &Rc<Worker>,
    target: &Rc<Target>,
    kind: Kind,
    isolation: &Isolation,
) -> To {
    let find = |target: &Target| match way.connect.shares(isolation) {
        Some(share) => {
            let key = UpstreamKey { way: way.identity ^ share, target: target.clone() };
            forward.pool().upstream(shard, &key)
        }
        None => Pool::once(shard, UpstreamKey { way: way.identity, target: target.clone() }),
    };
    match way.connect.plain_http() {
        PlainHttp::ToProxy { proxy, authorization, connect } if kind == Kind::Plain => To::Upstream {
            upstream: find(proxy),
            connect: Rc::clone(connect),
            line: RequestLine::Absolute,
            authorization: authorization.map(Box::from),
            is_direct: false,
        },
        PlainHttp::ToProxy { .. } | PlainHttp::ByTarget => To::Upstream {
            upstream: find(target),
            connect: Rc::clone(&way.connect),
            line: RequestLine::Origin,
            authorization: None,
            is_direct: way.is_direct,
        },
    }
}

/// A target that no guard lets anybody reach, for a session nobody asked for.
pub(super) fn nowhere() -> Rc<Target> {
    Rc::new(Target::new(Host::Ip(Ipv4Addr::UNSPECIFIED.into()), 1))
}
