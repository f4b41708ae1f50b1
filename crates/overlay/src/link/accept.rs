//! The door of a node: finds openers among the requests of its site, and answers those that are meant (section 4).
//!
//! Every request of the site with a cookie of the right name and length costs the same 16 MACs; a wrong, stale or
//! replayed opener is no claim, so the site answers, by the same code as always. Not here: what a link is used for
//! (`node`), budgets (`budget`), the site (`reverse`).

use super::budget::Budget;
use crate::keys::SharedKeys;
use crate::time;
use shoalway_http::h2::claim::{Accepted, Claim, ClaimHead, TlsExporter};
use shoalway_http::h2::duplex::{Carrier, Duplex};
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::opener::{Asked, Binding, EXPORTER_LABEL, GateKeeper, LinkKind, LinkSecrets};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A link that somebody opened, before ACCEPT.
pub struct Arrival {
    /// What its opener asks for.
    pub asked: Asked,
    /// What both sides know.
    pub secrets: LinkSecrets,
    /// Its stream.
    pub duplex: Duplex,
    /// Tells when its connection leaves.
    pub carrier: Carrier,
    /// Where it came from: for bounds alone, never kept.
    pub client: SocketAddr,
}

/// What stands behind the door. One for all shards.
pub trait Welcome: Send + Sync {
    /// Whether a link of this kind is taken; asked before anything is answered, and `asked` is not used up by it.
    fn takes(&self, asked: &Asked) -> bool;
    /// Takes a link on the shard of its connection.
    fn arrive(self: Arc<Self>, shard: &Rc<Shard>, arrival: Arrival);
}

/// The door of a node's site.
pub struct Door {
    keys: SharedKeys,
    path: String,
    cookie: Vec<u8>,
    budget: Budget,
    behind: Arc<dyn Welcome>,
}

impl Door {
    /// A door at this path, for openers in a cookie of this name.
    #[must_use]
    pub fn new(keys: SharedKeys, path: &str, cookie: &str, behind: Arc<dyn Welcome>) -> Self {
        let cookie = format!("{cookie}=").into_bytes();
        Self { keys, path: path.to_owned(), cookie, budget: Budget::default(), behind }
    }

    /// The value of our cookie, wherever it stands among the others (RFC 6265 section 4.2).
    fn value<'a>(&self, head: &ClaimHead<'a>) -> Option<&'a [u8]> {
        head.cookies
            .values()
            .flat_map(|line| line.split(|byte| *byte == b';'))
            .find_map(|pair| pair.trim_ascii().strip_prefix(&self.cookie[..]))
    }

    fn is_door(&self, head: &ClaimHead<'_>) -> bool {
        head.method == "CONNECT" && head.protocol == Some("websocket") && head.path == self.path
    }
}

impl Claim for Door {
    fn claim(&self, head: &ClaimHead<'_>, exporter: &dyn TlsExporter) -> Option<Box<dyn Accepted>> {
        let value = self.value(head)?;
        if !head.is_tls13_h2 {
            return None;
        }
        let exported = exporter.export(EXPORTER_LABEL.as_bytes())?;
        let keys = self.keys.load();
        let gated = keys.gates.admit(value, &Binding::Exporter(exported));
        let gated = gated.filter(|_| self.is_door(head))?;
        let now = Duration::from_micros(time::moment().0);
        if !self.budget.take(head.client.ip(), head.spent, now) {
            return None;
        }
        let open = |link| gated.open(link, &keys.network, keys.node).ok();
        let (asked, secrets) = open(&keys.link).or_else(|| open(keys.former_link.as_ref()?))?;
        let through_descriptor = gated.slot() == GateKeeper::LINK_GATE;
        let fits = match asked.kind() {
            // A client that came by what everybody knows would show its address to an exit.
            LinkKind::New | LinkKind::Resume => keys.roles.contains(Roles::ENTRY) && !through_descriptor,
            LinkKind::Node => through_descriptor,
        };
        if !fits || !self.behind.takes(&asked) {
            return None;
        }
        Some(Box::new(Claimed { asked, secrets, behind: Arc::clone(&self.behind) }))
    }
}

struct Claimed {
    asked: Asked,
    secrets: LinkSecrets,
    behind: Arc<dyn Welcome>,
}

impl Accepted for Claimed {
    fn run(self: Box<Self>, shard: &Rc<Shard>, duplex: Duplex, client: SocketAddr, carrier: Carrier) {
        let Self { asked, secrets, behind } = *self;
        behind.arrive(shard, Arrival { asked, secrets, duplex, carrier, client });
    }
}
