//! Questions over the network: the `hickory` resolver, without its cache and its hosts file.
//!
//! The system's name servers are re-read when `resolv.conf` has changed, at most every 5 s, so that a laptop may
//! change its network. Not here: caching, merging of families (`flight.rs`).

use super::ResolverConfig;
use super::error::ResolveError;
use super::source::{Asking, AskingServices, Family, Reply, Source};
use super::srv::{Service, Services};
use crate::tls::TlsConfigError;
use crate::tls_client::{TlsClientConfig, client_config};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig as HickoryConfig,
    ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use rustls::ClientConfig;
use shoalway_types::{DomainName, Host, Target};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout};

/// Whom to ask.
#[derive(Debug, Clone, Default)]
pub enum Upstreams {
    /// The name servers of `/etc/resolv.conf`, and the hosts file before them.
    #[default]
    System,
    /// These, and no others: no hosts file, no search domains. The two that answer fastest are asked.
    Servers(Vec<Upstream>),
}

/// One name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// Plain DNS over UDP; answers that were cut short are asked for again over TCP (RFC 7766).
    Udp(SocketAddr),
    /// Plain DNS over TCP, RFC 7766.
    Tcp(SocketAddr),
    /// DNS over TLS, RFC 7858.
    Tls {
        /// Where the server listens; usually port 853.
        addr: SocketAddr,
        /// The name its certificate must have.
        name: DomainName,
    },
    /// DNS over HTTPS, RFC 8484, over HTTP/2.
    Https {
        /// Where the server listens; usually port 443.
        addr: SocketAddr,
        /// The name or address its certificate must have.
        name: Host,
        /// The path, such as `/dns-query`.
        path: String,
    },
}

impl Upstreams {
    pub(super) const fn is_system(&self) -> bool {
        matches!(self, Self::System)
    }

    fn needs_tls(&self) -> bool {
        let Self::Servers(servers) = self else { return false };
        servers.iter().any(|server| matches!(server, Upstream::Tls { .. } | Upstream::Https { .. }))
    }
}

impl Upstream {
    fn server(&self) -> NameServerConfig {
        let (addr, protocols) = match self {
            Self::Udp(addr) => (addr, vec![ProtocolConfig::Udp, ProtocolConfig::Tcp]),
            Self::Tcp(addr) => (addr, vec![ProtocolConfig::Tcp]),
            Self::Tls { addr, name } => {
                (addr, vec![ProtocolConfig::Tls { server_name: name.as_str().into() }])
            }
            Self::Https { addr, name, path } => {
                let server_name = match name {
                    Host::Ip(ip) => ip.to_string().into(),
                    Host::Name(name) => name.as_str().into(),
                };
                let path = path.as_str().into();
                (addr, vec![ProtocolConfig::Https { server_name, path }])
            }
        };
        let connections = protocols.into_iter().map(|protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = addr.port();
            connection
        });
        NameServerConfig::new(addr.ip(), true, connections.collect())
    }
}

/// The name servers.
pub(super) struct Dns {
    servers: Servers,
    options: ResolverOpts,
    tls: ClientConfig,
    longest: Duration,
}

enum Servers {
    Fixed(TokioResolver),
    System(Mutex<System>),
}

struct System {
    resolver: TokioResolver,
    stamp: Option<SystemTime>,
    look_at: Instant,
}

impl Dns {
    /// Sets the name servers up; asks nothing yet.
    pub(super) fn new(
        config: &ResolverConfig,
        control: &tokio::runtime::Handle,
    ) -> Result<Self, TlsConfigError> {
        let _inside = control.enter();
        let attempts = config.attempts.max(1);
        let tls = tls(config)?;
        let options = options(config.timeout, attempts);
        let servers = match &config.upstreams {
            Upstreams::Servers(list) => {
                let list = list.iter().map(Upstream::server).collect();
                Servers::Fixed(build(HickoryConfig::from_name_servers(list), &options, &tls)?)
            }
            Upstreams::System => Servers::System(Mutex::new(System {
                resolver: build(system_servers(), &options, &tls)?,
                stamp: stamp(),
                look_at: Instant::now() + RELOAD_PAUSE,
            })),
        };
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok(Self { servers, options, tls, longest: config.timeout.saturating_mul(attempts) })
    }

    fn resolver(&self) -> TokioResolver {
        let system = match &self.servers {
            Servers::Fixed(resolver) => return resolver.clone(),
            Servers::System(system) => system,
        };
        let mut system = system.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now >= system.look_at {
            system.look_at = now + RELOAD_PAUSE;
            let stamp = stamp();
            if stamp != system.stamp
                && let Ok(resolver) = build(system_servers(), &self.options, &self.tls)
            {
                system.stamp = stamp;
                system.resolver = resolver;
            }
        }
        system.resolver.clone()
    }

    /// Names without a dot go through the search domains of `resolv.conf`; all others are whole as they are, so
    /// that a name that does not exist is not carried to strangers' zones.
    fn question(&self, name: &DomainName) -> Result<Name, NetError> {
        let mut question = Name::from_ascii(name.as_str())?;
        let search = matches!(self.servers, Servers::System(_)) && !name.as_str().contains('.');
        question.set_fqdn(!search);
        Ok(question)
    }

    async fn lookup(&self, name: &DomainName, records: RecordType) -> Result<Lookup, NetError> {
        self.resolver().lookup(self.question(name)?, records).await
    }
}

impl Source for Dns {
    fn ask<'a>(&'a self, name: &'a DomainName, family: Family) -> Asking<'a> {
        let records = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        Box::pin(async move {
            match timeout(self.longest + SLACK, self.lookup(name, records)).await {
                Ok(Ok(lookup)) => positive(&lookup),
                Ok(Err(error)) => self.negative(error),
                Err(_elapsed) => {
                    Reply { addresses: Err(ResolveError::Timeout { after: self.longest }), ttl: None }
                }
            }
        })
    }

    fn ask_services<'a>(&'a self, name: &'a DomainName) -> AskingServices<'a> {
        Box::pin(async move {
            match timeout(self.longest + SLACK, self.lookup(name, RecordType::SRV)).await {
                Ok(Ok(lookup)) => services(&lookup),
                Ok(Err(error)) => Err(self.fault(error).0),
                Err(_elapsed) => Err(ResolveError::Timeout { after: self.longest }),
            }
        })
    }
}

impl Dns {
    fn negative(&self, error: NetError) -> Reply {
        let (error, ttl) = self.fault(error);
        Reply { addresses: Err(error), ttl: ttl.map(|seconds| Duration::from_secs(seconds.into())) }
    }

    /// What went wrong, and for how many seconds that holds.
    fn fault(&self, error: NetError) -> (ResolveError, Option<u32>) {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => {
                let error = match none.response_code {
                    ResponseCode::NXDomain => ResolveError::NotFound,
                    _ => ResolveError::NoAddress,
                };
                (error, none.negative_ttl)
            }
            NetError::Dns(DnsError::ResponseCode(code)) => {
                (ResolveError::ServerFailure { code: u16::from(code) }, None)
            }
            NetError::Timeout => (ResolveError::Timeout { after: self.longest }, None),
            // Its text would tell the name.
            NetError::ForeignClassRecord { .. } => {
                (ResolveError::Unreachable(Arc::new(NetError::Message("a record of a foreign class"))), None)
            }
            other => (ResolveError::Unreachable(Arc::new(other)), None),
        }
    }
}

/// The addresses of an answer. Its aliases count for the TTL: the shortest of the chain holds.
fn positive(lookup: &Lookup) -> Reply {
    let mut addresses = Vec::new();
    let mut ttl = u32::MAX;
    for record in lookup.answers() {
        match &record.data {
            RData::A(a) => addresses.push(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => addresses.push(IpAddr::V6(aaaa.0)),
            RData::CNAME(_) => {}
            _ => continue,
        }
        ttl = ttl.min(record.ttl);
    }
    if addresses.is_empty() {
        return Reply { addresses: Err(ResolveError::NoAddress), ttl: None };
    }
    Reply { addresses: Ok(addresses), ttl: Some(Duration::from_secs(ttl.into())) }
}

/// The places of an answer. A target of `.` says that there is no such service, RFC 2782.
fn services(lookup: &Lookup) -> Result<Services, ResolveError> {
    let mut list = Vec::new();
    let mut ttl = u32::MAX;
    for record in lookup.answers() {
        match &record.data {
            RData::SRV(srv) => {
                let Ok(name) = DomainName::parse(&srv.target.to_ascii()) else { continue };
                if srv.port == 0 {
                    continue;
                }
                let target = Target::new(Host::Name(name), srv.port);
                list.push(Service { priority: srv.priority, weight: srv.weight, target });
            }
            RData::CNAME(_) => {}
            _ => continue,
        }
        ttl = ttl.min(record.ttl);
    }
    if list.is_empty() {
        return Err(ResolveError::NoAddress);
    }
    Ok(Services { list, ttl: Duration::from_secs(ttl.into()) })
}

fn build(
    config: HickoryConfig,
    options: &ResolverOpts,
    tls: &ClientConfig,
) -> Result<TokioResolver, TlsConfigError> {
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options.clone())
        .with_tls_config(tls.clone())
        .build()
        .map_err(|error| TlsConfigError::Rejected(rustls::Error::General(error.to_string())))
}

fn options(timeout: Duration, attempts: usize) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.attempts = attempts - 1; // there: how often to try again
    options.cache_size = 0; // ours knows stale answers
    options.use_hosts_file = ResolveHosts::Never; // ours answers both families
    options.max_active_requests = MAX_PIPELINED;
    options
}

/// The TLS side of the upstreams. Certificates are only read where an upstream needs them.
fn tls(config: &ResolverConfig) -> Result<ClientConfig, TlsConfigError> {
    if config.upstreams.needs_tls() {
        return client_config(&TlsClientConfig { roots: config.roots.clone(), ..TlsClientConfig::default() });
    }
    let nobody = rustls::RootCertStore::empty();
    let builder = ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsConfigError::Rejected)?;
    Ok(builder.with_root_certificates(nobody).with_no_client_auth())
}

/// The system's name servers and search domains. Without a usable file it is this machine's, as resolv.conf(5)
/// has it.
fn system_servers() -> HickoryConfig {
    hickory_resolver::system_conf::read_system_conf().map_or_else(
        |_unreadable| {
            let local = Upstream::Udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
            HickoryConfig::from_name_servers(vec![local.server()])
        },
        |(config, _options)| config,
    )
}

fn stamp() -> Option<SystemTime> {
    std::fs::metadata("/etc/resolv.conf").and_then(|file| file.modified()).ok()
}

/// How often `resolv.conf` is looked at, at most.
const RELOAD_PAUSE: Duration = Duration::from_secs(5);
/// What the last attempt may take longer than its timeout, to give its own, better error.
const SLACK: Duration = Duration::from_millis(500);
/// Questions under way on one TCP, TLS or HTTPS connection: as many as can be under way at all, twice.
const MAX_PIPELINED: usize = 2_048;
