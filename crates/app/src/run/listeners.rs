//! The proxy's listeners over the life of the program: opened all or none, kept over reloads by their name.
//!
//! The sockets themselves live on the shards once they are handed over; what stays here is who they are. Not here:
//! accepting (`net/listener`), what stands behind a listener (`wiring`).

use super::board::Counted;
use super::failure::StartError;
use crate::config::settings::ListenerSettings;
use shoalway_net::listener::{self, ListenerId};
use std::net::{SocketAddr, TcpListener};

/// A listener that stands.
#[derive(Clone)]
pub struct Listening {
    /// Its number within the process.
    pub id: ListenerId,
    /// As it is configured now.
    pub settings: ListenerSettings,
    /// Where it really listens.
    pub address: SocketAddr,
    /// What it counts.
    pub counted: Counted,
}

/// What a new list of listeners means for those that stand.
pub struct Change {
    /// All that are wanted, in the order of the configuration.
    pub wanted: Vec<Wanted>,
    /// Those that go.
    pub gone: Vec<ListenerId>,
}

/// One listener of the new list.
pub struct Wanted {
    /// The listener.
    pub listening: Listening,
    /// Fresh sockets, one for each shard; empty when the old ones stay.
    pub sockets: Vec<TcpListener>,
}

/// Opens what is new in `wanted`. Nothing is closed and nothing is kept open when one of them fails.
///
/// # Errors
/// [`StartError`] for the first address that cannot be had.
pub fn change(
    standing: &[Listening],
    known: &[Counted],
    wanted: &[ListenerSettings],
    shards: usize,
) -> Result<Change, StartError> {
    let mut left: Vec<&Listening> = standing.iter().collect();
    let mut ids = free_ids(standing);
    let mut result = Vec::new();
    for settings in wanted {
        if let Some(index) = left.iter().position(|old| old.settings.name == settings.name) {
            let old = left.remove(index);
            let listening = Listening { settings: settings.clone(), ..old.clone() };
            result.push(Wanted { listening, sockets: Vec::new() });
            continue;
        }
        let sockets = listener::bind(settings.addr, shards)
            .map_err(|source| StartError::listen(settings.addr, "proxy.listen", source))?;
        let address = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(settings.addr);
        let counted = known.iter().find(|counted| *counted.name == *settings.name).cloned();
        let counted = counted.unwrap_or_else(|| Counted::new(&settings.name, shards));
        let id = ids.next().unwrap_or(ListenerId(u16::MAX));
        let listening = Listening { id, settings: settings.clone(), address, counted };
        result.push(Wanted { listening, sockets });
    }
    Ok(Change { wanted: result, gone: left.iter().map(|old| old.id).collect() })
}

/// Numbers that no standing listener has.
fn free_ids(standing: &[Listening]) -> impl Iterator<Item = ListenerId> + use<> {
    let taken: Vec<ListenerId> = standing.iter().map(|listening| listening.id).collect();
    (0..u16::MAX).map(ListenerId).filter(move |id| !taken.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(addr: SocketAddr) -> ListenerSettings {
        ListenerSettings { name: addr.to_string(), addr, tls: None, auth: false }
    }

    fn free() -> SocketAddr {
        listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap()[0].local_addr().unwrap()
    }

    #[test]
    fn what_stays_keeps_its_sockets_and_counters_and_what_goes_is_named() {
        let (a, b, c) = (settings(free()), settings(free()), settings(free()));
        let first = change(&[], &[], &[a.clone(), b.clone()], 2).unwrap();
        assert!(first.wanted.iter().all(|wanted| wanted.sockets.len() == 2) && first.gone.is_empty());
        let standing: Vec<_> = first.wanted.iter().map(|wanted| wanted.listening.clone()).collect();
        let known: Vec<_> = standing.iter().map(|listening| listening.counted.clone()).collect();
        known[1].shards[0].accepted.add(7);
        let second = change(&standing, &known, &[b, c], 2).unwrap();
        let opened: Vec<usize> = second.wanted.iter().map(|wanted| wanted.sockets.len()).collect();
        assert_eq!((opened, &second.gone), (vec![0, 2], &vec![standing[0].id]));
        assert_eq!(second.wanted[0].listening.counted.sum(|counters| counters.accepted.get()), 7);
        assert!(standing.iter().all(|old| old.id != second.wanted[1].listening.id));
    }

    #[test]
    fn when_one_address_is_taken_none_is_kept() {
        let (first, taken) = (free(), listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap());
        let wanted = [settings(first), settings(taken[0].local_addr().unwrap())];
        let error = change(&[], &[], &wanted, 2).err().unwrap();
        assert_eq!(error.code(), "N003");
        assert!(listener::bind(first, 1).is_ok());
    }
}
