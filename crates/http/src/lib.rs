//! All that understands HTTP, for every product that carries it.
//!
//! What is where:
//!
//! - [`service`]: the seam: what stands behind a connection decides about each request;
//! - [`filter`]: what changes the content of an answer on its way;
//! - [`h1`]: HTTP/1 connections: the server's loop, and the exchange between a client and an upstream;
//! - [`h2`]: HTTP/2 connections, each stream of which speaks through the HTTP/1 engine;
//! - [`pool`]: idle upstream connections, per shard, with take-over between shards;
//! - [`answer`]: answers made here: refusals, errors, small pages, with `Proxy-Status`;
//! - [`level`]: what a request tells about the proxy and its client; [`loops`]: Via, Max-Forwards;
//! - [`auth`]: credentials in `Proxy-Authorization`.
//!
//! Not here: bytes of the protocol (`wire/http1`), which way a request goes (`forward`), sockets (`net`).

pub mod answer;
pub mod auth;
pub mod filter;
pub mod h1;
pub mod h2;
pub mod level;
pub mod loops;
pub mod pool;
pub mod service;
