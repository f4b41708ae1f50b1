//! The resolver of a configuration, and the addresses of DNS servers that are given by name.
//!
//! A DNS-over-HTTPS server given by name is looked up once by the system's servers before it is used. Not here: the
//! resolver (`net/resolver`).

use super::WiringError;
use crate::config::settings::DnsServer;
use shoalway_net::resolver::{Resolver, ResolverConfig, Upstream, Upstreams};
use shoalway_types::{DomainName, Host};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use tokio::runtime::Handle;

/// Addresses of servers that are given by name.
pub type Addresses = HashMap<DomainName, IpAddr>;

/// Looks up the DNS servers that are given by name; asks nobody when there are none.
///
/// # Errors
/// [`WiringError::DnsServer`] for the first that has no address.
pub async fn addresses_of_servers(servers: &[DnsServer], control: &Handle) -> Result<Addresses, WiringError> {
    let mut addresses = Addresses::new();
    let named = servers.iter().enumerate().filter_map(|(n, server)| match server {
        DnsServer::Https { host: Host::Name(name), .. } => Some((n + 1, name)),
        DnsServer::Https { host: Host::Ip(_), .. }
        | DnsServer::System
        | DnsServer::Udp(_)
        | DnsServer::Tcp(_)
        | DnsServer::Tls { .. } => None,
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        return Ok(addresses);
    }
    let system = Resolver::new(ResolverConfig::default(), control.clone()).map_err(WiringError::DnsTls)?;
    for (number, name) in named {
        let bad = |reason: String| WiringError::DnsServer { number, reason };
        let answer = system.look_up(name).await.map_err(|error| bad(error.to_string()))?;
        let first = answer.iter().next().ok_or_else(|| bad("it has no address".to_owned()))?;
        addresses.insert(name.clone(), first);
    }
    Ok(addresses)
}

/// The resolver for these servers. With `system` among others, the system's are asked for everything: a name is
/// either private to the system's servers or not.
pub(super) fn resolver(
    servers: &[DnsServer],
    addresses: &Addresses,
    control: &Handle,
) -> Result<Resolver, WiringError> {
    let config = ResolverConfig { upstreams: upstreams(servers, addresses)?, ..ResolverConfig::default() };
    Resolver::new(config, control.clone()).map_err(WiringError::DnsTls)
}

/// One that asks the same servers and remembers no answer.
pub(super) fn resolver_without_memory(
    servers: &[DnsServer],
    addresses: &Addresses,
    control: &Handle,
) -> Result<Resolver, WiringError> {
    let upstreams = upstreams(servers, addresses)?;
    let config = ResolverConfig { upstreams, cache_entries: 0, ..ResolverConfig::default() };
    Resolver::new(config, control.clone()).map_err(WiringError::DnsTls)
}

fn upstreams(servers: &[DnsServer], addresses: &Addresses) -> Result<Upstreams, WiringError> {
    Ok(if servers.contains(&DnsServer::System) {
        Upstreams::System
    } else {
        let list = servers
            .iter()
            .enumerate()
            .filter_map(|(n, server)| upstream(n + 1, server, addresses).transpose());
        Upstreams::Servers(list.collect::<Result<_, _>>()?)
    })
}

fn upstream(
    number: usize,
    server: &DnsServer,
    addresses: &Addresses,
) -> Result<Option<Upstream>, WiringError> {
    let bad = |reason: &str| WiringError::DnsServer { number, reason: reason.to_owned() };
    let certified =
        |name: &str| DomainName::parse(name).map_err(|_no_name| bad("its certificate cannot be checked"));
    Ok(Some(match server {
        DnsServer::System => return Ok(None),
        DnsServer::Udp(addr) => Upstream::Udp(*addr),
        DnsServer::Tcp(addr) => Upstream::Tcp(*addr),
        DnsServer::Tls { addr, name } => Upstream::Tls { addr: *addr, name: certified(name)? },
        DnsServer::Https { host, port, path } => {
            let ip = match host {
                Host::Ip(ip) => *ip,
                Host::Name(name) => *addresses.get(name).ok_or_else(|| bad("it has no address"))?,
            };
            Upstream::Https { addr: SocketAddr::new(ip, *port), name: host.clone(), path: path.clone() }
        }
    }))
}
