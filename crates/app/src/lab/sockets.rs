//! The lab's sockets: found free before anything is made, and put onto the shards with what stands behind each.
//!
//! All of them are on loopback. Not here: what stands behind them (`node`, `origin`, the forward proxy).

use super::LabError;
use super::origin::Origin;
use super::places::{ORIGIN, Part};
use crate::run::board::Counted;
use crate::run::failure::StartError;
use shoalway_forward::ForwardPlan;
use shoalway_http::pool::{Pool, PoolRegistry};
use shoalway_net::counters::ListenerCounters;
use shoalway_net::fleet::Fleet;
use shoalway_net::limits::Limits;
use shoalway_net::listener::{self, Inbound, ListenerId};
use shoalway_net::shard::Shard;
use shoalway_overlay::client::home::Home;
use shoalway_overlay::client::plan::Shared;
use shoalway_reverse::site_plan::SitePlan;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

/// Port of the nodes, unless it is taken.
const NODES: u16 = 8_443;
/// Port of the demo page, unless it is taken.
const DEMO: u16 = 8_042;
/// Ports that are tried one after another.
const TRIES: u16 = 50;

/// Where the proxy listens.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// Somebody said so. With port 0 everything of the lab is on ports that the system chooses.
    Here(SocketAddr),
    /// Here, or on the next port that is free.
    Near(SocketAddr),
}

/// One address, with a socket for each shard.
pub struct Place {
    /// Where it is.
    pub address: SocketAddr,
    sockets: Vec<TcpListener>,
}

/// All sockets of the lab.
pub struct Places {
    /// The proxy's.
    pub proxy: Place,
    /// The demo page's.
    pub origin: Place,
    /// The nodes'.
    pub nodes: Vec<(Part, Place)>,
}

impl Places {
    /// Opens all or none.
    ///
    /// # Errors
    /// [`LabError::Start`]
    pub fn open(wanted: Wanted, parts: &[Part], shards: usize) -> Result<Self, LabError> {
        let (proxy, any) = match wanted {
            Wanted::Here(addr) => {
                (Place::open(addr, shards).map_err(|e| refused(addr, e))?, addr.port() == 0)
            }
            Wanted::Near(addr) => (one(near(&[addr.ip()], addr.port(), shards)?)?, false),
        };
        let port = |usual| if any { 0 } else { usual };
        let origin = one(near(&[ORIGIN], port(DEMO), shards)?)?;
        let addresses: Vec<IpAddr> = parts.iter().map(|part| part.address()).collect();
        let nodes = near(&addresses, port(NODES), shards)?;
        Ok(Self { proxy, origin, nodes: parts.iter().copied().zip(nodes).collect() })
    }
}

fn one(places: Vec<Place>) -> Result<Place, LabError> {
    let none = || LabError::Made { what: "socket", why: "there is none".to_owned() };
    places.into_iter().next().ok_or_else(none)
}

/// All addresses on one port: this one, or the next that is free on all of them. With 0 each on any.
fn near(addresses: &[IpAddr], port: u16, shards: usize) -> Result<Vec<Place>, LabError> {
    let mut tried = 0;
    loop {
        let at = |ip: &IpAddr| SocketAddr::new(*ip, port.saturating_add(tried));
        let opened = addresses.iter().map(|ip| Place::open(at(ip), shards).map_err(|error| (at(ip), error)));
        match opened.collect::<Result<Vec<Place>, _>>() {
            Ok(places) => return Ok(places),
            Err((_, error)) if error.kind() == io::ErrorKind::AddrInUse && tried < TRIES => tried += 1,
            Err((addr, error)) => return Err(refused(addr, error)),
        }
    }
}

fn refused(addr: SocketAddr, error: io::Error) -> LabError {
    LabError::Start(StartError::listen(addr, "", error))
}

impl Place {
    fn open(addr: SocketAddr, shards: usize) -> io::Result<Self> {
        let sockets = listener::bind(addr, shards)?;
        let address = sockets.first().map_or(Ok(addr), TcpListener::local_addr)?;
        Ok(Self { address, sockets })
    }
}

/// What stands behind an address.
#[derive(Clone)]
pub enum Behind {
    /// A node's site.
    Site(Arc<SitePlan>),
    /// The proxy.
    Proxy(Arc<ForwardPlan>),
    /// The demo page, on this port.
    Origin(u16),
}

impl Behind {
    fn on(&self, shard: &Rc<Shard>) -> Rc<dyn Inbound> {
        match self {
            Self::Site(plan) => plan.on(shard),
            Self::Proxy(plan) => plan.on(shard),
            Self::Origin(port) => Origin::new(*port),
        }
    }
}

/// What one shard gets for one address.
struct Stand {
    id: ListenerId,
    socket: TcpListener,
    counters: Arc<ListenerCounters>,
    behind: Behind,
}

/// Puts everything onto every shard, and the client's home onto its own.
///
/// # Errors
/// When a shard does not take a socket, or is gone.
pub async fn put(
    fleet: &Arc<Fleet>,
    places: Vec<(Place, Behind)>,
    limits: Limits,
    client: &Arc<Shared>,
) -> io::Result<()> {
    let registry = Arc::<PoolRegistry>::default();
    let mut shares: Vec<Vec<Stand>> = (0..fleet.len()).map(|_| Vec::new()).collect();
    for (id, (place, behind)) in (0u16..).zip(places) {
        let counted = Counted::new(&place.address.to_string(), fleet.len());
        let each = place.sockets.into_iter().zip(counted.shards.iter());
        for (share, (socket, counters)) in shares.iter_mut().zip(each) {
            let (id, counters) = (ListenerId(id), Arc::clone(counters));
            share.push(Stand { id, socket, counters, behind: behind.clone() });
        }
    }
    for (shard, share) in shares.into_iter().enumerate() {
        let (registry, client) = (Arc::clone(&registry), Arc::clone(client));
        let taken = fleet.ask(shard, move |shard| {
            Pool::start(shard, registry, limits);
            for Stand { id, socket, counters, behind } in share {
                shard.listen(id, socket, counters, behind.on(shard))?;
            }
            if shard.id() == client.plan.home {
                Home::start(shard, &client);
            }
            Ok(())
        });
        taken.await.unwrap_or_else(|| Err(io::Error::other("a shard is gone")))?;
    }
    Ok(())
}
