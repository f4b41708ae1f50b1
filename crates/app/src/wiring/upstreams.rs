//! Upstreams of a configuration: made, or taken over from the one before with everything they have learnt.
//!
//! Endpoints keep their states over reloads in the registry; an upstream whose settings did not change is used again as it
//! is, with what an operator added and removed. Not here: what sends to them (`streams`, `sites`), checks and discovery
//! as tasks (`run/watchers`).

use super::streams::proxy_out;
use super::{WiringError, read};
use crate::config::settings::{Check, UpstreamSettings, UpstreamTls};
use crate::run::watchers::Watch;
use shoalway_net::clock;
use shoalway_net::dialer::Dialer;
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::{Identity, TlsClient, TlsClientConfig};
use shoalway_reverse::balance::{BalanceConfig, Panic, StickySecret};
use shoalway_reverse::health::checks::ChecksConfig;
use shoalway_reverse::health::probe::Prober;
use shoalway_reverse::site_plan::{Backend, Protocol};
use shoalway_reverse::upstream::{Registry, Upstream, UpstreamConfig};
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

/// What upstreams need over the life of the program.
#[derive(Clone)]
pub(super) struct Keeper {
    registry: Arc<Registry>,
    /// What sticky cookies are made with; they hold as long as the program runs.
    secret: StickySecret,
    standing: HashMap<Arc<str>, Arc<Upstream>>,
}

impl Keeper {
    /// Knows nobody yet.
    ///
    /// # Errors
    /// [`WiringError::Read`] when the system gives no secret.
    pub(super) fn new() -> Result<Self, WiringError> {
        let path = std::path::PathBuf::from("/dev/urandom");
        let mut octets = [0; 32];
        std::fs::File::open(&path)
            .and_then(|mut file| file.read_exact(&mut octets))
            .map_err(|source| WiringError::Read { path, source })?;
        Ok(Self {
            registry: Arc::new(Registry::new(clock::now())),
            secret: StickySecret::new(octets),
            standing: HashMap::new(),
        })
    }

    /// The registry, for its epoch.
    pub(super) const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
}

/// Makes the upstreams of one configuration.
pub(super) struct Maker<'a> {
    before: &'a Keeper,
    dialer: &'a Dialer,
    made: HashMap<Arc<str>, Arc<Upstream>>,
    backends: HashMap<String, Arc<Backend>>,
    clients: Vec<(UpstreamTls, TlsClient)>,
    watches: Vec<Watch>,
}

/// What came of it.
pub(super) struct Made {
    /// For the next configuration.
    pub(super) keeper: Keeper,
    /// What is to be checked and found.
    pub(super) watches: Vec<Watch>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(before: &'a Keeper, dialer: &'a Dialer) -> Self {
        let (made, backends) = (HashMap::new(), HashMap::new());
        Self { before, dialer, made, backends, clients: Vec::new(), watches: Vec::new() }
    }

    /// What opens connections to upstreams.
    pub(super) const fn dialer(&self) -> &'a Dialer {
        self.dialer
    }

    /// The backend that was made for these upstreams already: a site may have several addresses.
    pub(super) fn backend(&self, name: &str) -> Option<Arc<Backend>> {
        self.backends.get(name).map(Arc::clone)
    }

    /// Keeps a backend for the next address of its site.
    pub(super) fn keep_backend(&mut self, name: &str, backend: Backend) -> Arc<Backend> {
        let backend = Arc::new(backend);
        self.backends.insert(name.to_owned(), Arc::clone(&backend));
        backend
    }

    /// The upstream of these settings.
    ///
    /// # Errors
    /// [`WiringError`] when a certificate cannot be used.
    pub(super) fn upstream(&mut self, settings: &UpstreamSettings) -> Result<Arc<Upstream>, WiringError> {
        if let Some(made) = self.made.get(settings.name.as_str()) {
            return Ok(Arc::clone(made));
        }
        let config = config(settings, &self.before.secret);
        let upstream = match self.before.standing.get(&config.name) {
            Some(old) if *old.config() == config => Arc::clone(old),
            Some(_) | None => {
                let now = self.before.registry.epoch().moment(clock::now());
                Arc::new(Upstream::new(&self.before.registry, config, now))
            }
        };
        let prober = Prober {
            dialer: self.dialer.clone(),
            tls: self.client(settings, Protocol::H1)?,
            tls_h2: self.client(settings, Protocol::H2)?,
            sni: settings.tls.sni.clone(),
            header: proxy_out(settings.header),
        };
        let checks = settings.checks.clone().map(|Check { probe, health }| ChecksConfig { probe, health });
        self.watches.push(Watch { upstream: Arc::clone(&upstream), checks, prober });
        self.made.insert(Arc::clone(&upstream.config().name), Arc::clone(&upstream));
        Ok(upstream)
    }

    /// TLS towards these upstreams that offers this much; none when nothing is `https`.
    ///
    /// # Errors
    /// [`WiringError`] when a certificate cannot be used.
    pub(super) fn client(
        &mut self,
        settings: &UpstreamSettings,
        protocol: Protocol,
    ) -> Result<Option<TlsClient>, WiringError> {
        if !settings.has_https() {
            return Ok(None);
        }
        let tls = UpstreamTls { protocol, ..settings.tls.clone() };
        if let Some((_, client)) = self.clients.iter().find(|(known, _)| *known == tls) {
            return Ok(Some(client.clone()));
        }
        let client = client(&tls)?;
        self.clients.push((tls, client.clone()));
        Ok(Some(client))
    }

    pub(super) fn made(self) -> Made {
        let Keeper { registry, secret, standing: _ } = self.before.clone();
        Made { keeper: Keeper { registry, secret, standing: self.made }, watches: self.watches }
    }
}

fn config(settings: &UpstreamSettings, secret: &StickySecret) -> UpstreamConfig {
    let UpstreamSettings { balance, bounds, .. } = settings;
    let mut config = UpstreamConfig::new(settings.name.as_str(), settings.endpoints.clone());
    config.finders.clone_from(&settings.finders);
    config.balance = BalanceConfig {
        algorithm: balance.algorithm,
        sticky: balance.sticky.is_some().then(|| secret.clone()),
        slow_start: balance.slow_start,
        panic: Panic { below: bounds.panic_below, ..BalanceConfig::default().panic },
        ..BalanceConfig::default()
    };
    config.breaker = bounds.breaker;
    config.retries = bounds.budget;
    if let Some((_, budget)) = bounds.hedge {
        config.hedges = budget;
    }
    config.outlier = bounds.outlier;
    config
}

fn client(tls: &UpstreamTls) -> Result<TlsClient, WiringError> {
    let roots = match &tls.ca {
        Some(path) => Roots::Pem(read(path)?),
        None => TlsClientConfig::default().roots,
    };
    let identity = match &tls.identity {
        Some((cert, key)) => Some(Identity { cert_chain: read(cert)?, key: read(key)? }),
        None => None,
    };
    // A server that sees no offer speaks HTTP/1.1.
    let alpn: &[&[u8]] = match tls.protocol {
        Protocol::H1 => &[],
        Protocol::H2 => &[b"h2"],
        Protocol::Either => &[b"h2", b"http/1.1"],
    };
    let alpn = alpn.iter().map(|name| name.to_vec()).collect();
    let config = TlsClientConfig { roots, identity, alpn };
    TlsClient::new(&config).map_err(WiringError::UpstreamTls)
}

impl UpstreamSettings {
    /// Whether an endpoint is, or may turn out to be, spoken to by TLS.
    fn has_https(&self) -> bool {
        use shoalway_reverse::discovery::Finder;
        use shoalway_reverse::upstream::Scheme;
        let found = |finder: &Finder| match finder {
            Finder::Name { scheme, .. } | Finder::Service { scheme, .. } => *scheme == Scheme::Https,
            // Lines of a file may name any scheme.
            Finder::File { scheme, .. } => *scheme != Scheme::Tcp && *scheme != Scheme::Udp,
        };
        self.endpoints.iter().any(|spec| spec.key.scheme == Scheme::Https) || self.finders.iter().any(found)
    }
}
