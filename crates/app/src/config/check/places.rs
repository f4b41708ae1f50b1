//! Who listens where: two listeners on one address are a mistake, unless they are sites that agree.
//!
//! Not here: whether a text is an address (`listeners::address`).

use super::Check;
use super::listeners::overlap;
use crate::config::at::{At, Place};
use crate::config::catalogue::Code;
use crate::config::report::Problem;
use crate::config::settings::Transport;
use shoalway_policy::Cidr;
use shoalway_reverse::tcp_gateway::gate::GateMode;
use std::net::SocketAddr;
use std::path::PathBuf;

/// All addresses that were written so far.
#[derive(Default)]
pub(super) struct Places {
    taken: Vec<Taken>,
}

struct Taken {
    addr: SocketAddr,
    transport: Transport,
    by: By,
    place: Place,
}

/// Who listens.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum By {
    /// The forward proxy.
    Proxy,
    /// A site; others that agree may share its address.
    Site(Manner),
    /// A stream.
    Stream,
}

/// How a listener of sites takes connections, before it is known whose they are.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) tls: bool,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) proxy_protocol: bool,
    pub(super) trusted: Option<Vec<Cidr>>,
    pub(super) gate: GateMode,
}

impl Places {
    /// Takes an address, or notes why it cannot be had.
    pub(super) fn take(
        &mut self,
        addr: SocketAddr,
        transport: Transport,
        by: By,
        at: &At<String>,
        check: &mut Check<'_>,
    ) {
        let meets = |other: &&Taken| {
            other.transport == transport && (other.addr == addr || overlap(other.addr, addr))
        };
        let Some(first) = self.taken.iter().find(meets) else {
            self.taken.push(Taken { addr, transport, by, place: at.place() });
            return;
        };
        match (&first.by, &by) {
            (By::Site(one), By::Site(two)) if first.addr == addr && one == two => {}
            (By::Site(one), By::Site(two)) if first.addr == addr => {
                let message = format!("sites on {addr} do not agree: {}", difference(one, two));
                let problem = Problem::new(Code::Disagree, at.place(), message);
                let problem = problem.label("this one").also(first.place.clone(), "another one");
                check.add(problem.fix("give one of them another address"));
            }
            // With port 0 each gets a port of its own.
            _ if addr.port() == 0 && first.by != by => {
                self.taken.push(Taken { addr, transport, by, place: at.place() });
            }
            _ if addr.port() == 0 => {}
            _ => {
                let problem =
                    Problem::new(Code::SameAddress, at.place(), format!("{addr} is listened on twice"));
                check.add(problem.label("the second one").also(first.place.clone(), "the first one"));
            }
        }
    }

    /// Where a TCP listener was written that meets this address.
    pub(super) fn meets(&self, addr: SocketAddr) -> Option<Place> {
        let tcp = self.taken.iter().filter(|taken| taken.transport == Transport::Tcp);
        tcp.clone().find(|taken| overlap(taken.addr, addr)).map(|taken| taken.place.clone())
    }
}

fn difference(one: &Manner, two: &Manner) -> &'static str {
    if one.tls != two.tls {
        "one speaks TLS, another does not"
    } else if one.client_ca != two.client_ca {
        "`client_ca` differs"
    } else if one.proxy_protocol != two.proxy_protocol {
        "one has `proxy_protocol`, another has not"
    } else if one.gate != two.gate {
        "`gate` differs"
    } else {
        "`trusted` differs"
    }
}

/// Whether a connection to `addr` from this machine surely ends at a listener on `own`.
pub(super) fn leads_to(own: SocketAddr, addr: SocketAddr) -> bool {
    // Whether another address than loopback is one of this computer's is not known here.
    overlap(own, addr) && (own.ip() == addr.ip() || addr.ip().is_loopback())
}
