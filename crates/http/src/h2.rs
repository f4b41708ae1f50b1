//! HTTP/2 at the border of a byte stream: each stream of a connection speaks through the HTTP/1 engine. RFC 9113.
//!
//! The engine of [`crate::h1`] stays the one place where exchanges happen. A request that comes over HTTP/2 is written
//! out as the HTTP/1.1 message it means and handed to an ordinary [`crate::h1::ServerConnection`]; what the engine
//! answers is read back and leaves as HEADERS, DATA and trailers. Towards upstreams it is the mirror image.
//!
//! ```text
//! client ── frames ──> Connection (h2 crate) ──> Incoming ── HTTP/1.1 bytes ──> engine
//!        <── frames ──      over LazyFlush    <── Outgoing <── HTTP/1.1 bytes ──
//! ```
//! Two ways lead past the engine, for bytes that are not HTTP: a site's [`claim`] takes a stream over, and a visitor opens
//! one (`tunnel_client`); both have it as a [`duplex`].
//!
//! What could be read in two ways is refused before it becomes HTTP/1.1 ([`request`]). Frames and HPACK are the `h2`
//! crate's; only this folder names it. Not here: TLS and ALPN (`net`), which protocol a connection speaks (products).

pub mod claim;
pub mod duplex;
pub mod fields;
pub mod request;
pub mod response;

mod client;
mod flood;
mod flush;
mod incoming;
mod outgoing;
mod server;
mod settings;
mod tunnel_client;

pub use crate::h1::MakeService;
pub use client::{ForUpgrades, H2Upstream, UpstreamScheme};
pub use request::Form;
pub use server::ServerH2;
pub use tunnel_client::{Fields, Page, Refusal, Tunnel, TunnelError, TunnelRequest, Visit, open_tunnel};

#[cfg(test)]
mod tests;
