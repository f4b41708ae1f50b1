//! HTTP/1 connections: the server's loop, the exchange with an upstream, the flow of a body.
//!
//! One task a connection, written as state machines that are polled: an idle connection is a few hundred bytes and
//! owns no buffer, both directions of an exchange run at once, and a request costs no allocation after warm-up.
//!
//! ```text
//! server: Head ── decided ──> Exchange ── kept ──> Head
//!           └── bad head ──> (answer) ──────────> Leaving ──> closed
//! exchange: Deciding ─> Connecting ─> Flowing ─> kept | close | reset | tunnel
//!              └──────────┴──── answered here ─> Replying ──┘
//! ```

mod body;
mod exchange;
mod seat;
mod server;

pub use seat::MakeService;
pub use server::{ServerConfig, ServerConnection};

#[cfg(test)]
mod tests;
