//! Where a service is: SRV records, RFC 2782.
//!
//! Asked on the control runtime, not remembered: who discovers by SRV asks again when the TTL has passed, and nobody else
//! asks. Not here: the addresses of the targets ([`Resolver::look_up`]), the choice among them.

use super::error::ResolveError;
use super::{Resolver, ResolverConfig};
use shoalway_types::{DomainName, Target};
use std::time::Duration;

/// One place of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Lower is used first.
    pub priority: u16,
    /// The share among those of one priority; 0 is a very small one.
    pub weight: u16,
    /// Name and port.
    pub target: Target,
}

/// All places of a service, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// At most 64, in the order the name server gave them.
    pub list: Vec<Service>,
    /// How long this holds, within the resolver's bounds.
    pub ttl: Duration,
}

impl Resolver {
    /// The places of the service `name`, such as `_http._tcp.app.example`.
    ///
    /// # Errors
    /// [`ResolveError`] when there is none (a lone `.` means that, too), or none could be found out.
    ///
    /// # Cancel safety
    /// The question goes on to its end and its answer is dropped.
    pub async fn look_up_srv(&self, name: &DomainName) -> Result<Services, ResolveError> {
        let mut services = self.flight.ask_services(name).await?;
        services.list.truncate(MAX_SERVICES);
        Ok(services)
    }
}

/// Keeps a TTL within the bounds of the configuration.
pub(super) fn bounded(ttl: Duration, config: &ResolverConfig) -> Duration {
    ttl.max(config.min_ttl).min(config.max_ttl.max(config.min_ttl))
}

/// Bounds what one answer can cost.
const MAX_SERVICES: usize = 64;
