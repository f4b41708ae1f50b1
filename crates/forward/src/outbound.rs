//! Ways out: straight, through an HTTP proxy, through a SOCKS proxy.
//!
//! Each is a plan (`Outbound`, shared by all shards) and a worker (`Connect`, one a shard). `block` is a verb and no
//! way. A name that goes through a proxy is resolved at its far end, never here.

pub mod direct;
pub mod via_http;
pub mod via_socks;

mod hop;

pub use direct::Direct;
pub use via_http::ViaHttp;
pub use via_socks::ViaSocks;
