//! Turns names into addresses, once for all shards: hosts file, cache, one question in flight per name.
//!
//! ```text
//! look_up -> localhost, hosts file -> cache: fresh --------------------------> answer
//!                                      |     stale -> answer, one refresh
//!                                      +---- nothing -> join or start a question -> wait
//! ```
//! Questions run on the control runtime; a look-up from any shard waits for them or is answered from the cache.
//! RFC 1034 and 1035 (the protocol is `hickory`'s work), RFC 2308 (negative answers), RFC 6761 (localhost),
//! RFC 8767 (stale answers), RFC 9520 (failures are remembered too). Not here: which answer may be used
//! (`egress_guard.rs`) and in which order (`happy_eyeballs.rs`); DNSSEC.

mod answer;
mod cache;
mod error;
mod flight;
mod hosts;
mod source;
mod srv;
mod upstream;

pub use answer::Answer;
pub use error::ResolveError;
pub use srv::{Service, Services};
pub use upstream::{Upstream, Upstreams};

use crate::tls::{Roots, TlsConfigError};
use flight::{Begin, Flight};
use hosts::Hosts;
use shoalway_types::DomainName;
use source::Source;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How names are resolved.
#[derive(Debug, Clone)]
pub struct ResolverConfig {
    /// Whom to ask. Default: the system's name servers and hosts file.
    pub upstreams: Upstreams,
    /// Whom to believe where an upstream speaks TLS or HTTPS. Default: the system's certificates.
    pub roots: Roots,
    /// Longest wait for one attempt. Default 2 s.
    pub timeout: Duration,
    /// Attempts for one question, 1 and more. Default 2.
    pub attempts: usize,
    /// Names remembered. 0 turns the cache off; default 10,000, about 4 MiB when full.
    pub cache_entries: usize,
    /// Shortest time an answer is fresh, whatever its TTL says. Default 1 s.
    pub min_ttl: Duration,
    /// Longest time an answer is fresh, whatever its TTL says. Default 1 h.
    pub max_ttl: Duration,
    /// Longest time a "no such name" is remembered, whatever its SOA says. Default 60 s.
    pub negative_ttl: Duration,
    /// How long after its freshness an answer is still given while it is refreshed. 0: never; default 1 h.
    pub stale_for: Duration,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            upstreams: Upstreams::default(),
            roots: Roots::default(),
            timeout: Duration::from_secs(2),
            attempts: 2,
            cache_entries: 10_000,
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_hours(1),
            negative_ttl: Duration::from_mins(1),
            stale_for: Duration::from_hours(1),
        }
    }
}

/// The resolver. Cheap to clone; all clones share cache and questions.
#[derive(Clone)]
pub struct Resolver {
    hosts: Arc<Hosts>,
    flight: Flight,
}

impl Resolver {
    /// A resolver whose questions run on `control`. Reads the hosts file, `resolv.conf` and, for upstreams with
    /// TLS, certificates.
    ///
    /// # Errors
    /// [`TlsConfigError`] when an upstream speaks TLS and `roots` cannot be used.
    pub fn new(config: ResolverConfig, control: tokio::runtime::Handle) -> Result<Self, TlsConfigError> {
        let hosts = if config.upstreams.is_system() { Hosts::system() } else { Hosts::default() };
        let source = upstream::Dns::new(&config, &control)?;
        Ok(Self::with_source(config, hosts, Arc::new(source), control))
    }

    /// A resolver that knows these names and `localhost`, and asks nobody: every other name does not exist.
    #[must_use]
    pub fn of_table(table: &[(DomainName, IpAddr)], control: tokio::runtime::Handle) -> Self {
        let config = ResolverConfig { cache_entries: 0, ..ResolverConfig::default() };
        Self::with_source(config, Hosts::of(table), Arc::new(source::Nobody), control)
    }

    fn with_source(
        config: ResolverConfig,
        hosts: Hosts,
        source: Arc<dyn Source>,
        control: tokio::runtime::Handle,
    ) -> Self {
        Self { hosts: Arc::new(hosts), flight: Flight::new(config, source, control) }
    }

    /// The addresses of `name`, at least one.
    ///
    /// Waits at most `timeout` times `attempts` and a little. The answer of one family may come alone when the
    /// other is late (RFC 8305 section 3); the next look-up then has both.
    ///
    /// # Errors
    /// [`ResolveError`] when there is no address, or none could be found out.
    ///
    /// # Cancel safety
    /// The question goes on and its answer is remembered.
    pub async fn look_up(&self, name: &DomainName) -> Result<Answer, ResolveError> {
        if let Some(answer) = self.hosts.answer(name) {
            return Ok(answer);
        }
        match self.flight.begin(name, Instant::now()) {
            Begin::Known(outcome) => outcome,
            Begin::Asked(mut question) => match question.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or(Err(ResolveError::Closed)),
                Err(_question_dropped) => Err(ResolveError::Closed),
            },
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
