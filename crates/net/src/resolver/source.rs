//! The seam between questions and the network: who answers for one name and one family.
//!
//! Tests put a scripted source here; the product has `upstream.rs`.

use super::error::ResolveError;
use super::srv::Services;
use shoalway_types::DomainName;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

/// What a name server said about one family.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// The addresses, at least one, or why there is none.
    pub(super) addresses: Result<Vec<IpAddr>, ResolveError>,
    /// How long this holds; `None` when the answer does not say.
    pub(super) ttl: Option<Duration>,
}

/// Knows no name at all.
pub(super) struct Nobody;

impl Source for Nobody {
    fn ask<'a>(&'a self, _name: &'a DomainName, _family: Family) -> Asking<'a> {
        let reply = Reply { addresses: Err(ResolveError::NotFound), ttl: None };
        Box::pin(std::future::ready(reply))
    }
}

/// A reply to come.
pub(super) type Asking<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// The places of a service, to come.
pub(super) type AskingServices<'a> =
    Pin<Box<dyn Future<Output = Result<Services, ResolveError>> + Send + 'a>>;

/// Somebody who answers. The wait must be bounded by the source.
pub(super) trait Source: Send + Sync + 'static {
    /// Asks for the addresses of one family.
    fn ask<'a>(&'a self, name: &'a DomainName, family: Family) -> Asking<'a>;

    /// Asks for the places of a service. A source that knows of none says so.
    fn ask_services<'a>(&'a self, _name: &'a DomainName) -> AskingServices<'a> {
        Box::pin(std::future::ready(Err(ResolveError::NotFound)))
    }
}
