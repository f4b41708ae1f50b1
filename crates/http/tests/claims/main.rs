//! Claimed streams and the tunnels that are opened to them, with both ends of every connection ours: in memory with
//! paused time, and over TLS on loopback.

#![allow(clippy::disallowed_methods, reason = "tests start their own threads and sockets")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test every failure is a panic")]
#![allow(clippy::expect_used, clippy::panic, reason = "in a test every failure is a panic")]

mod kit;

mod lives;
mod looks;
mod moves;
mod opens;
mod secret;
