//! All listeners over the life of the program: opened all or none, kept over reloads by their name.
//!
//! The sockets themselves live on the shards once they are handed over; what stays here is who they are. A listener that
//! becomes another kind of listener on the same address keeps its socket. Not here: accepting (`net/listener`), what
//! stands behind a listener (`wiring`).

use super::board::Counted;
use super::failure::StartError;
use crate::config::Settings;
use crate::config::settings::{ListenerSettings, Transport};
use shoalway_net::listener::{self, ListenerId};
use shoalway_net::udp;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// A listener as it is configured.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    /// For logs and metrics: the address as text; where the system chooses the port, with what it is for.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Connections or datagrams.
    pub transport: Transport,
    /// What it is for.
    pub role: Role,
}

/// What a listener is for.
#[derive(Clone, PartialEq, Eq)]
pub enum Role {
    /// The forward proxy.
    Forward(ListenerSettings),
    /// All sites with this address.
    Sites {
        /// Whether it speaks TLS.
        tls: bool,
    },
    /// The stream of this name.
    Stream(String),
}

impl Binding {
    /// All listeners of a configuration: those of the forward proxy, then sites, then streams.
    #[must_use]
    pub fn all(settings: &Settings) -> Vec<Self> {
        let forward = settings.listeners.iter().map(|listener| Self {
            name: listener.name.clone(),
            addr: listener.addr,
            transport: Transport::Tcp,
            role: Role::Forward(listener.clone()),
        });
        let mut all: Vec<Self> = forward.collect();
        for site in &settings.sites {
            for addr in &site.listen {
                let role = Role::Sites { tls: site.tls.is_some() };
                let binding = Self::named("sites", *addr, Transport::Tcp, role);
                if !all.contains(&binding) {
                    all.push(binding);
                }
            }
        }
        for stream in &settings.streams {
            let role = || Role::Stream(stream.name.clone());
            all.extend(stream.listen.iter().map(|a| Self::named(&stream.name, *a, stream.transport, role())));
        }
        all
    }

    fn named(what: &str, addr: SocketAddr, transport: Transport, role: Role) -> Self {
        let name = match (transport, addr.port()) {
            (Transport::Tcp, 0) => format!("{what}@{addr}"),
            (Transport::Udp, 0) => format!("{what}@udp://{addr}"),
            (Transport::Tcp, _) => addr.to_string(),
            (Transport::Udp, _) => format!("udp://{addr}"),
        };
        Self { name, addr, transport, role }
    }

    fn open(&self, shards: usize, own: &[SocketAddr]) -> Result<Sockets, StartError> {
        let key = match self.role {
            Role::Forward(_) => "proxy.listen",
            Role::Sites { .. } | Role::Stream(_) => "",
        };
        let opened = match self.transport {
            Transport::Tcp => listener::bind_beside(self.addr, shards, own).map(Sockets::Tcp),
            Transport::Udp => udp::bind_shared_beside(self.addr, shards, own).map(Sockets::Udp),
        };
        opened.map_err(|source| StartError::listen(self.addr, key, source))
    }
}

/// A listener that stands.
#[derive(Clone)]
pub struct Listening {
    /// Its number within the process.
    pub id: ListenerId,
    /// As it is configured now.
    pub binding: Binding,
    /// Where it really listens.
    pub address: SocketAddr,
    /// What it counts.
    pub counted: Counted,
}

impl Listening {
    /// As a listener of the forward proxy, if it is one.
    #[must_use]
    pub const fn forward(&self) -> Option<&ListenerSettings> {
        match &self.binding.role {
            Role::Forward(settings) => Some(settings),
            Role::Sites { .. } | Role::Stream(_) => None,
        }
    }
}

/// Sockets of one listener, one for each shard; none when the old ones stay.
pub enum Sockets {
    /// Those that stand.
    Kept,
    /// For connections.
    Tcp(Vec<TcpListener>),
    /// For datagrams.
    Udp(Vec<UdpSocket>),
}

impl Sockets {
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Kept => None,
            Self::Tcp(sockets) => sockets.first()?.local_addr().ok(),
            Self::Udp(sockets) => sockets.first()?.local_addr().ok(),
        }
    }
}

/// What a new list of listeners means for those that stand.
pub struct Change {
    /// All that are wanted, in the order of the configuration.
    pub wanted: Vec<Wanted>,
    /// Those that go, as they were.
    pub gone: Vec<Listening>,
    /// Those of the forward proxy that go or become something else.
    pub left_by_forward: Vec<Listening>,
}

/// One listener of the new list.
pub struct Wanted {
    /// The listener.
    pub listening: Listening,
    /// Fresh sockets, if it has any.
    pub sockets: Sockets,
}

/// Opens what is new in `wanted`, beside what stands and the sockets of ours in `also_own`. Nothing is closed and nothing
/// is kept open when one of them fails.
///
/// # Errors
/// [`StartError`] for the first address that cannot be had.
pub fn change(
    standing: &[Listening],
    known: &[Counted],
    wanted: &[Binding],
    also_own: &[SocketAddr],
    shards: usize,
) -> Result<Change, StartError> {
    let mut left: Vec<Listening> = standing.to_vec();
    let own: Vec<SocketAddr> =
        standing.iter().map(|old| old.address).chain(also_own.iter().copied()).collect();
    let mut ids = free_ids(standing);
    let mut result = Vec::new();
    let mut left_by_forward = Vec::new();
    for binding in wanted {
        let same =
            |old: &Listening| old.binding.name == binding.name && old.binding.transport == binding.transport;
        if let Some(index) = left.iter().position(same) {
            let old = left.remove(index);
            let listening = Listening { binding: binding.clone(), ..old.clone() };
            if old.forward().is_some() && listening.forward().is_none() {
                left_by_forward.push(old);
            }
            result.push(Wanted { listening, sockets: Sockets::Kept });
            continue;
        }
        let sockets = binding.open(shards, &own)?;
        let address = sockets.address().unwrap_or(binding.addr);
        let counted = known.iter().find(|counted| *counted.name == *binding.name).cloned();
        let counted = counted.unwrap_or_else(|| Counted::new(&binding.name, shards));
        let id = ids.next().unwrap_or(ListenerId(u16::MAX));
        let listening = Listening { id, binding: binding.clone(), address, counted };
        result.push(Wanted { listening, sockets });
    }
    left_by_forward.extend(left.iter().filter(|old| old.forward().is_some()).cloned());
    Ok(Change { wanted: result, gone: left, left_by_forward })
}

/// Numbers that no standing listener has.
fn free_ids(standing: &[Listening]) -> impl Iterator<Item = ListenerId> + use<> {
    let taken: Vec<ListenerId> = standing.iter().map(|listening| listening.id).collect();
    (0..u16::MAX).map(ListenerId).filter(move |id| !taken.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(addr: SocketAddr) -> Binding {
        let settings = ListenerSettings { name: addr.to_string(), addr, tls: None, auth: false };
        let role = Role::Forward(settings);
        Binding { name: addr.to_string(), addr, transport: Transport::Tcp, role }
    }

    fn free() -> SocketAddr {
        listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap()[0].local_addr().unwrap()
    }

    fn opened(sockets: &Sockets) -> usize {
        match sockets {
            Sockets::Kept => 0,
            Sockets::Tcp(sockets) => sockets.len(),
            Sockets::Udp(sockets) => sockets.len(),
        }
    }

    fn standing(change: &Change) -> Vec<Listening> {
        change.wanted.iter().map(|wanted| wanted.listening.clone()).collect()
    }

    #[test]
    fn what_stays_keeps_its_sockets_and_counters_and_what_goes_is_named() {
        let (a, b, c) = (binding(free()), binding(free()), binding(free()));
        let first = change(&[], &[], &[a, b.clone()], &[], 2).unwrap();
        assert!(first.wanted.iter().all(|wanted| opened(&wanted.sockets) == 2) && first.gone.is_empty());
        let standing = standing(&first);
        let known: Vec<_> = standing.iter().map(|listening| listening.counted.clone()).collect();
        known[1].shards[0].accepted.add(7);
        let second = change(&standing, &known, &[b, c], &[], 2).unwrap();
        let sockets: Vec<usize> = second.wanted.iter().map(|wanted| opened(&wanted.sockets)).collect();
        let gone: Vec<ListenerId> = second.gone.iter().map(|old| old.id).collect();
        assert_eq!((sockets, gone), (vec![0, 2], vec![standing[0].id]));
        assert_eq!(second.wanted[0].listening.counted.sum(|counters| counters.accepted.get()), 7);
        assert!(standing.iter().all(|old| old.id != second.wanted[1].listening.id));
    }

    #[test]
    fn when_one_address_is_taken_none_is_kept() {
        let (first, taken) = (free(), listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap());
        let wanted = [binding(first), binding(taken[0].local_addr().unwrap())];
        let error = change(&[], &[], &wanted, &[], 2).err().unwrap();
        assert_eq!(error.code(), "N003");
        assert!(listener::bind(first, 1).is_ok());
    }

    #[test]
    fn a_listener_that_becomes_a_site_keeps_its_socket_and_is_left_by_the_forward_proxy() {
        let forward = binding(free());
        let site = Binding { role: Role::Sites { tls: false }, ..forward.clone() };
        let first = change(&[], &[], &[forward], &[], 1).unwrap();
        let second = change(&standing(&first), &[], &[site], &[], 1).unwrap();
        assert_eq!(opened(&second.wanted[0].sockets), 0);
        assert_eq!((second.gone.len(), second.left_by_forward.len()), (0, 1));
    }

    #[test]
    fn a_listener_moves_to_all_addresses_of_its_port() {
        let near = binding(free());
        let wide = binding(SocketAddr::new("0.0.0.0".parse().unwrap(), near.addr.port()));
        let first = change(&[], &[], &[near], &[], 2).unwrap();
        let second = change(&standing(&first), &[], &[wide], &[], 2).unwrap();
        assert_eq!((opened(&second.wanted[0].sockets), second.gone.len()), (2, 1));
    }
}
