//! What clients speak: one file a protocol, and the first bytes that tell them apart.

pub(crate) mod mixed;

mod http;

mod bind;
mod socks;
mod socks4;
mod socks5;
mod socks5_udp;

mod connect;
mod leave;

#[cfg(test)]
mod tests;

use crate::forward::Forward;
use shoalway_net::admission::Admitted;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::net::SocketAddr;
use std::rc::Rc;

/// A client's connection on its way from one phase to the next.
pub(crate) struct Client {
    pub(crate) shard: Rc<Shard>,
    pub(crate) forward: Rc<Forward>,
    /// Its bytes; what was read to find out the protocol stands in front.
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) admitted: Admitted,
}
