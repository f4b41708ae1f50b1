//! Other people's protocols as values: bytes in, messages and steps out.
//!
//! Pure: no tokio, no clock, no I/O. Each protocol is a set of messages and a state machine for either role; drivers
//! live in the crates above. What is where:
//!
//! - [`http1`]: HTTP/1.0 and 1.1 messages, both roles;
//! - [`first_bytes`]: which protocol a client speaks, by its first bytes;
//! - [`proxy_protocol`]: what a proxy in front tells of a connection, both versions, both roles;
//! - [`client_hello`]: what a TLS client asks for, and its fingerprint;
//! - [`socks4`]: SOCKS4 and SOCKS4a, server and client;
//! - [`socks5`]: SOCKS5 with its log-in, server and client;
//! - [`socks5_udp`]: the datagrams of a SOCKS5 association, and joining their fragments.

pub mod client_hello;
pub mod first_bytes;
pub mod http1;
pub mod proxy_protocol;
pub mod socks4;
pub mod socks5;
pub mod socks5_udp;

#[cfg(test)]
mod cut;
