//! The seam for those who know their own requests among a site's: a claimed one becomes a stream of raw bytes.
//!
//! A site may have one [`Claim`]. It is asked for every request that comes over HTTP/2 to the site, whatever its method
//! and path, before anything else looks at it. What it does not claim goes on as if it had not been asked: the same code
//! gives the same answer. What it claims is answered with 200 and is its own from then on: no deadline of the site's
//! counts for it. Who claims by a secret must take as long to say no as to say no to anything else; the call is the same
//! for all. Not here: what a claim is about.

use super::duplex::{Carrier, Duplex};
use http::header::{COOKIE, HOST};
use http::request::Parts;
use shoalway_net::shard::Shard;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Knows some requests as its own. One for all shards.
pub trait Claim: Send + Sync {
    /// Looks at a request. `None`: it is the site's. Called on the hot path, and must not wait. `exporter` is of the
    /// connection that the request came on.
    fn claim(&self, head: &ClaimHead<'_>, exporter: &dyn TlsExporter) -> Option<Box<dyn Accepted>>;
}

/// A request that was claimed, and answered with 200.
pub trait Accepted {
    /// Takes the stream over. Called once, and must not wait: what takes time is a task of the shard's. `client` is
    /// where the connection came from; `carrier` tells when the connection leaves. The stream's end ends only the stream.
    fn run(self: Box<Self>, shard: &Rc<Shard>, duplex: Duplex, client: SocketAddr, carrier: Carrier);
}

/// Derives bytes from the TLS connection that something came on.
pub trait TlsExporter {
    /// 32 bytes that only both ends of the connection know, for an empty context: RFC 8446 section 7.5. `None` where the
    /// connection is no TLS 1.3.
    fn export(&self, label: &[u8]) -> Option<[u8; 32]>;
}

/// What a claim may see of a request.
pub struct ClaimHead<'a> {
    /// `:method`.
    pub method: &'a str,
    /// `:protocol` of an extended CONNECT, RFC 8441 section 4.
    pub protocol: Option<&'a str>,
    /// `:path`, with the query; empty when there is none.
    pub path: &'a str,
    /// `:authority`, or Host where it is missing; empty when there is neither.
    pub authority: &'a str,
    /// Every value of a field named Cookie.
    pub cookies: Cookies<'a>,
    /// Where the connection came from.
    pub client: SocketAddr,
    /// Whether it came over TLS 1.3 with HTTP/2 agreed upon by ALPN.
    pub is_tls13_h2: bool,
    /// A number that belongs to the connection, 0 at first and the claim's to use: how much it has spent on it.
    pub spent: &'a Cell<u32>,
}

/// The values of a request's Cookie fields, in order. A browser sends one field or one for each cookie.
#[derive(Clone, Copy)]
pub struct Cookies<'a>(From<'a>);

#[derive(Clone, Copy)]
enum From<'a> {
    Fields(&'a http::HeaderMap),
    Values(&'a [&'a [u8]]),
}

impl<'a> Cookies<'a> {
    /// Of these values.
    #[must_use]
    pub const fn new(values: &'a [&'a [u8]]) -> Self {
        Self(From::Values(values))
    }

    /// The values.
    pub fn values(self) -> impl Iterator<Item = &'a [u8]> {
        let (fields, values) = match self.0 {
            From::Fields(map) => (Some(map.get_all(COOKIE).iter()), None),
            From::Values(values) => (None, Some(values.iter().copied())),
        };
        fields.into_iter().flatten().map(http::HeaderValue::as_bytes).chain(values.into_iter().flatten())
    }
}

/// Finds the claim of an authority's site, if that has one.
pub type ClaimOf = Box<dyn Fn(&str) -> Option<Arc<dyn Claim>>>;

/// The claims that count for one connection.
pub(super) struct Claims {
    pub(super) of: ClaimOf,
    pub(super) client: SocketAddr,
    pub(super) is_tls13_h2: bool,
    pub(super) spent: Cell<u32>,
}

impl Claims {
    /// Asks the claim of the site that a request is for.
    pub(super) fn ask(&self, parts: &Parts, exporter: &dyn TlsExporter) -> Option<Box<dyn Accepted>> {
        let authority = authority(parts);
        let claim = (self.of)(authority)?;
        let head = ClaimHead {
            method: parts.method.as_str(),
            protocol: parts.extensions.get::<h2::ext::Protocol>().map(h2::ext::Protocol::as_str),
            path: parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str),
            authority,
            cookies: Cookies(From::Fields(&parts.headers)),
            client: self.client,
            is_tls13_h2: self.is_tls13_h2,
            spent: &self.spent,
        };
        claim.claim(&head, exporter)
    }
}

/// The host that is asked, as [`super::request`] has it for requests that are whole.
fn authority(parts: &Parts) -> &str {
    let host = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(http::uri::Authority::as_str).or_else(host).unwrap_or_default()
}
