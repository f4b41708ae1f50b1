//! Connections that begin with a PROXY header towards the upstream, and so belong to one connection of a client.
//!
//! PROXY protocol, section 2: the header is the first thing on a connection, before TLS, and speaks for all that follows. Each
//! client's connection therefore has upstream connections of its own, kept between its requests and closed with it. Named
//! is who is connected, by its own PROXY header where there was one; whom trusted proxies speak for is told in fields.
//! Not here: connections that are anybody's (`backends.rs`), HTTP/2, whose connections all clients share.

use super::backends::{BackendOnShard, Way};
use super::endpoint::EndpointConnect;
use crate::stream_plan::ProxyOut;
use crate::upstream::Picked;
use shoalway_http::pool::Pool;
use shoalway_net::shard::Shard;
use shoalway_wire::proxy_protocol::{Checksum, Endpoints, Transport, encode_v1, encode_v2};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// One connection of a client, as upstreams are told of it. No `Debug`: addresses are sensitive.
pub struct Told {
    shard: Rc<Shard>,
    client: SocketAddr,
    /// Where it is connected; none: nobody asked when it came.
    local: Option<SocketAddr>,
    ways: RefCell<Vec<Own>>,
}

/// The way of this client to one endpoint.
struct Own {
    backend: Rc<BackendOnShard>,
    endpoint: u64,
    way: Way,
}

impl Told {
    /// A client that is connected to `local`; where that is not known, upstreams hear that it is not.
    pub(super) fn new(shard: &Rc<Shard>, client: SocketAddr, local: Option<SocketAddr>) -> Rc<Self> {
        Rc::new(Self { shard: Rc::clone(shard), client, local, ways: RefCell::default() })
    }

    /// The way to an endpoint that was picked, for this client alone; none where the backend is not told.
    pub(crate) fn way(&self, backend: &Rc<BackendOnShard>, picked: &Picked) -> Option<Way> {
        let plan = backend.plan();
        if plan.proxy_out == ProxyOut::Off {
            return None;
        }
        let id = picked.endpoint().state().id();
        let same = |own: &&Own| own.endpoint == id && Rc::ptr_eq(&own.backend, backend);
        if let Some(own) = self.ways.borrow().iter().find(same) {
            return Some(own.way.clone());
        }
        let key = picked.endpoint().key();
        let upstream = Pool::apart(&self.shard, backend.key(key));
        let connect = EndpointConnect::told(plan, key, backend.limit(), self.header(plan.proxy_out));
        let way = Way { upstream, connect };
        let mut ways = self.ways.borrow_mut();
        if ways.len() >= MOST {
            self.clear(&mut ways);
        }
        ways.push(Own { backend: Rc::clone(backend), endpoint: id, way: way.clone() });
        Some(way)
    }

    fn header(&self, out: ProxyOut) -> Box<[u8]> {
        let between = |local| Endpoints::between(Transport::Stream, self.client, local);
        let endpoints = self.local.map_or(Endpoints::Unknown, between);
        let mut header = Vec::new();
        match out {
            ProxyOut::Off => {}
            ProxyOut::V1 => encode_v1(&endpoints, &mut header),
            ProxyOut::V2(additions) => {
                let checksum = if additions.checksum { Checksum::Crc32c } else { Checksum::Without };
                if let Err(error) = encode_v2(&endpoints, &[], checksum, &mut header) {
                    tracing::debug!(%error, "a PROXY header could not be written");
                }
            }
        }
        header.into()
    }

    fn clear(&self, ways: &mut Vec<Own>) {
        ways.drain(..).for_each(|own| own.way.upstream.clear(&self.shard));
    }
}

impl Drop for Told {
    /// The client is gone, and nobody else may have its connections.
    fn drop(&mut self) {
        let mut ways = std::mem::take(&mut *self.ways.borrow_mut());
        self.clear(&mut ways);
    }
}

/// A client keeps connections to so many endpoints; for one more those of all are closed.
const MOST: usize = 16;
