//! Whole networks on loopback: real TCP, TLS and HTTP/2, all nodes and the client on one shard.

#![allow(clippy::disallowed_methods, reason = "tests open their own sockets and tasks")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod faults;
mod flows;
mod hops;
mod openers;
mod origins;
mod raw;
mod shards;
mod spread;
mod stock;
mod street;
mod town;
