//! From checked settings to what each crate wants to know: resolver, ways out, one plan for each listener.
//!
//! Everything is built before anything is swapped, and what did not change is used again: users with their verdicts,
//! rules, certificates with their tickets, the resolver with its cache, trust anchors. Nothing here asks a server,
//! except for the address of a DNS-over-HTTPS server that is given by name. Not here: sockets (`run/listeners`),
//! when it happens (`run`, `reload`).

mod certificates;
mod forward;
mod names;
mod overlay;
mod own_addresses;
mod rates;
mod sites;
mod streams;
mod upstreams;

use crate::cert::{CertError, CertKeeper};
use crate::config::Settings;
use crate::config::settings::{Fingerprints, LimitSettings, Reach as ReachSetting};
use crate::node::Overlaid;
use crate::run::listeners::{Listening, Role};
use crate::run::watchers::Watch;
use shoalway_forward::ForwardPlan;
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::limits::Limits;
use shoalway_net::resolver::Resolver;
use shoalway_net::tls::TlsConfigError;
use shoalway_net::tls_client::TlsClient;
use shoalway_net::tls_server::TlsServer;
use shoalway_policy::CidrError;
use shoalway_reverse::site_plan::{PlanError, SitePlan};
use shoalway_reverse::stream_plan::StreamPlan;
use shoalway_reverse::udp_gateway::DatagramPlan;
use shoalway_reverse::upstream::Upstream;
use shoalway_wire::http1;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use certificates::SiteCertificates;
use forward::{Forward, tls_client, tls_server};
pub use names::{Addresses, addresses_of_servers};
pub use overlay::directory_key;
use rates::RateKeeper;
use streams::StreamKeeper;
use upstreams::{Keeper, Maker};

/// What "no limit" is where a time is needed.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 10);

/// Why a configuration without mistakes still cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// A file was readable when it was checked and is not now.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Certificate and key of the listeners cannot be used.
    #[error("the certificate of the listeners cannot be used: {0}")]
    Certificate(#[source] TlsConfigError),
    /// TLS towards exits cannot be set up.
    #[error("TLS towards exits: {0}")]
    ExitTls(#[source] TlsConfigError),
    /// TLS towards upstreams cannot be set up.
    #[error("TLS towards upstreams: {0}")]
    UpstreamTls(#[source] TlsConfigError),
    /// Certificate and key of a site cannot be used.
    #[error("the certificate of a site cannot be used: {0}")]
    SiteCertificate(#[source] TlsConfigError),
    /// There is no place to keep certificates.
    #[error("certificates cannot be kept: {0}")]
    Keeping(#[source] CertError),
    /// Sites do not go together.
    #[error("sites: {0}")]
    Sites(#[source] PlanError),
    /// The resolver cannot be set up.
    #[error("TLS towards DNS servers: {0}")]
    DnsTls(#[source] TlsConfigError),
    /// A DNS server is given by a name that has no address.
    #[error("the DNS server number {number} is given by its name, and that cannot be resolved: {reason}")]
    DnsServer {
        /// Its place in the list, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// The local part of the overlay cannot be made.
    #[error("the overlay: {0}")]
    Overlay(String),
    /// The remote part of the overlay cannot be made.
    #[error("the node: {0}")]
    Node(String),
    /// A listener without anything behind it.
    #[error("nothing stands behind the listener {listener}")]
    NoPlan {
        /// Its name.
        listener: String,
    },
    /// A network of clients is none.
    #[error("a network of clients: {0}")]
    Clients(#[from] CidrError),
    /// User or password of an exit do not fit SOCKS5.
    #[error("the log-in of the exit `{name}` does not fit SOCKS5: 1 to 255 bytes each")]
    Login {
        /// The exit.
        name: String,
    },
}

/// Parts that outlive a reload which does not concern them.
#[derive(Clone)]
pub struct Parts {
    fingerprints: Fingerprints,
    resolver: Resolver,
    tls_listeners: Option<TlsServer>,
    tls_exits: Option<TlsClient>,
    upstreams: Keeper,
    streams: StreamKeeper,
    certificates: SiteCertificates,
    rates: RateKeeper,
    overlaid: Overlaid,
}

impl Parts {
    /// Changes what outlives the configuration before; to be called when this one takes force.
    pub fn take_force(&mut self) {
        self.certificates.take_force();
    }

    /// Who keeps certificates, if any are to be kept.
    #[must_use]
    pub fn keeper(&self) -> Option<Arc<CertKeeper>> {
        self.certificates.keeper().map(Arc::clone)
    }

    /// Resolves names.
    #[must_use]
    pub const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The overlay's parts.
    #[must_use]
    pub const fn overlaid(&self) -> &Overlaid {
        &self.overlaid
    }

    /// Reads certificates of sites again whose files have changed. Looks at files, so not on a shard.
    pub fn look_again_at_certificates(&mut self) {
        self.certificates.look_again(SystemTime::now());
    }
}

/// What stands behind a listener.
#[derive(Clone)]
pub enum Plan {
    /// The forward proxy.
    Forward(Arc<ForwardPlan>),
    /// All sites of an address.
    Sites(Arc<SitePlan>),
    /// A stream of connections.
    Stream(Arc<StreamPlan>),
    /// A stream of datagrams.
    Datagrams(Arc<DatagramPlan>),
}

/// What is built for one configuration.
pub struct Built {
    /// Kept for the next reload.
    pub parts: Parts,
    /// One for each listener, in the order of `listening`.
    pub plans: Vec<Plan>,
    /// For listeners that the forward proxy has left: what their open tunnels are asked by.
    pub left: Vec<Arc<ForwardPlan>>,
    /// All upstreams, to be checked and found.
    pub watches: Vec<Watch>,
}

impl Built {
    /// All upstreams.
    #[must_use]
    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.watches.iter().map(|watch| Arc::clone(&watch.upstream)).collect()
    }
}

/// What a configuration is built from, besides itself.
pub struct Surrounded<'a> {
    /// All listeners.
    pub listening: &'a [Listening],
    /// Listeners that the forward proxy leaves.
    pub left: &'a [Listening],
    /// Further sockets of ours that nobody may reach through the proxy.
    pub also_own: &'a [SocketAddr],
    /// See [`addresses_of_servers`].
    pub addresses: &'a Addresses,
    /// Where the resolver's questions run.
    pub control: &'a tokio::runtime::Handle,
    /// What the process may hold; see [`limits`].
    pub connections: usize,
}

/// Takes over from the settings in force what the new ones did not change.
pub fn keep_unchanged(new: &mut Settings, old: &Settings) {
    if new.fingerprints.access == old.fingerprints.access {
        new.users.clone_from(&old.users);
    }
    if new.fingerprints.rules == old.fingerprints.rules {
        new.rules = Arc::clone(&old.rules);
    }
}

/// Builds everything. Reads the files of certificates, so not on a shard.
///
/// # Errors
/// [`WiringError`]; nothing is in use yet.
pub fn build(
    settings: &Settings,
    before: Option<&Parts>,
    from: &Surrounded<'_>,
) -> Result<Built, WiringError> {
    let resolver = match before.filter(|old| old.fingerprints.dns == settings.fingerprints.dns) {
        Some(old) => old.resolver.clone(),
        None => names::resolver(&settings.dns, from.addresses, from.control)?,
    };
    let tls_listeners =
        match before.filter(|old| old.fingerprints.listeners == settings.fingerprints.listeners) {
            Some(old) => old.tls_listeners.clone(),
            None => tls_server(&settings.listeners)?,
        };
    let tls_exits = match before.filter(|old| old.fingerprints.exits == settings.fingerprints.exits) {
        Some(old) => old.tls_exits.clone(),
        None => tls_client(&settings.exits)?,
    };
    let config = DialConfig::default();
    let dialer = Dialer::new(resolver.clone(), Arc::new(guard(settings, from)), config);
    let (upstreams, streams, certificates) = match before {
        Some(old) => (old.upstreams.clone(), old.streams.clone(), old.certificates.clone()),
        None => (Keeper::new()?, StreamKeeper::default(), SiteCertificates::new()),
    };
    let overlaid = overlay::overlaid(settings, before, &resolver, from)?;
    let mut parts = Parts {
        fingerprints: settings.fingerprints,
        resolver,
        tls_listeners,
        tls_exits,
        upstreams,
        streams,
        certificates,
        rates: before.map(|old| old.rates.clone()).unwrap_or_default(),
        overlaid,
    };
    let same_resolver = before.is_some_and(|old| old.fingerprints.dns == settings.fingerprints.dns);
    parts.certificates.keep(settings, &parts.resolver, same_resolver)?;
    let forward = Forward::new(settings, &parts, &dialer, from)?;
    let left =
        from.left.iter().map(|listening| forward.plan(&as_if_it_stayed(listening, settings))).collect();
    let (plans, watches) = plans(settings, &mut parts, &forward, &dialer, from)?;
    Ok(Built { parts, plans, left, watches })
}

/// A listener that goes, as it would be now: whoever is on it is asked what is asked elsewhere.
fn as_if_it_stayed(listening: &Listening, settings: &Settings) -> Listening {
    let mut listening = listening.clone();
    if let Role::Forward(listener) = &mut listening.binding.role {
        listener.auth = settings.users.is_some();
    }
    listening
}

fn plans(
    settings: &Settings,
    parts: &mut Parts,
    forward: &Forward<'_>,
    dialer: &Dialer,
    from: &Surrounded<'_>,
) -> Result<(Vec<Plan>, Vec<Watch>), WiringError> {
    let keeper = parts.upstreams.clone();
    let mut maker = Maker::new(&keeper, dialer);
    let ground = streams::Ground {
        settings,
        dialer,
        epoch: keeper.registry().epoch(),
        connections: from.connections,
        node: parts.overlaid.node.clone(),
    };
    let mut plans = Vec::new();
    for listening in from.listening {
        plans.push(match &listening.binding.role {
            Role::Forward(_) => Plan::Forward(forward.plan(listening)),
            Role::Stream(name) => {
                let Parts { streams, certificates, rates, .. } = &mut *parts;
                streams::plan(name, listening, &ground, &mut maker, streams, certificates, rates)?
                    .ok_or_else(|| WiringError::NoPlan { listener: listening.binding.name.clone() })?
            }
            Role::Sites { .. } => {
                sites::plan(listening, &ground, &mut maker, &mut parts.certificates, &mut parts.rates)?
            }
        });
    }
    let names: Vec<Arc<str>> = from.listening.iter().map(|one| Arc::clone(&one.counted.name)).collect();
    parts.certificates.retain(&names);
    let streams: Vec<String> = settings.streams.iter().map(|one| format!("streams:{}", one.name)).collect();
    let sites = settings.sites.iter().map(|site| site.name.as_str());
    parts.rates.retain(&sites.chain(streams.iter().map(String::as_str)).collect::<Vec<_>>());
    let made = maker.made();
    parts.upstreams = made.keeper;
    Ok((plans, made.watches))
}

fn http_limits(settings: &Settings) -> http1::limits::Limits {
    http1::limits::Limits {
        head: settings.limits.head_size.as_usize().min(http1::limits::MAX_HEAD),
        ..http1::limits::Limits::default()
    }
}

/// Deadlines and bounds of the settings. `connections` is what the limit of open files allows.
#[must_use]
pub fn limits(settings: &LimitSettings, connections: usize) -> Limits {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Limits {
        head: settings.head_timeout,
        idle: settings.idle_timeout,
        first_byte: settings.first_byte,
        connect: settings.connect_timeout,
        tunnel_idle: settings.tunnel_idle.unwrap_or(FOR_EVER),
        drain: settings.drain,
        min_rate: settings.min_rate.0,
        connections: settings.connections.map_or(connections, count).min(connections),
        per_client: settings.connections_per_client.map_or(0, count),
        ..Limits::default()
    }
}

fn guard(settings: &Settings, from: &Surrounded<'_>) -> EgressGuard {
    let reach = match settings.reach {
        ReachSetting::Default => Reach::Default,
        ReachSetting::Only(set) => {
            Reach::Only { public: set.public, private: set.private, loopback: set.loopback }
        }
    };
    let forward = from.listening.iter().filter(|listening| listening.forward().is_some());
    let listening = forward.map(|listening| listening.address);
    let own: Vec<SocketAddr> = listening.chain(from.also_own.iter().copied()).collect();
    let everywhere = own.iter().any(|address| address.ip().is_unspecified());
    let local = if everywhere { own_addresses::of_this_machine() } else { Vec::new() };
    EgressGuard::new(reach, own, local)
}

fn read(path: &PathBuf) -> Result<Vec<u8>, WiringError> {
    std::fs::read(path).map_err(|source| WiringError::Read { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Request, Surroundings, load};

    fn settings(overrides: &[&str]) -> Settings {
        let overrides = overrides.iter().map(ToString::to_string).collect();
        let request = Request { file: None, overrides, surroundings: Surroundings::default() };
        load(&request).unwrap().settings
    }

    #[test]
    fn every_limit_of_the_file_reaches_the_engine() {
        let settings = settings(&[
            "limits.head_timeout=1s",
            "limits.idle_timeout=2s",
            "limits.tunnel_idle=off",
            "limits.connect_timeout=3s",
            "limits.first_byte=4s",
            "limits.min_rate='5 B/s'",
            "limits.connections=6",
            "limits.connections_per_client=7",
            "limits.drain=8s",
        ]);
        let limits = limits(&settings.limits, 100);
        let seconds = [limits.head, limits.idle, limits.connect, limits.first_byte, limits.drain];
        assert_eq!(seconds.map(|time| time.as_secs()), [1, 2, 3, 4, 8]);
        assert_eq!((limits.min_rate, limits.connections, limits.per_client), (5, 6, 7));
        assert_eq!(limits.tunnel_idle, FOR_EVER);
    }

    #[test]
    fn open_files_bound_connections_whatever_the_file_says() {
        assert_eq!(limits(&settings(&["limits.connections=1000"]).limits, 100).connections, 100);
        assert_eq!(limits(&settings(&[]).limits, 100).connections, 100);
    }
}
