//! What a measurement of proxies needs beside the proxies: an origin and a load generator.
//!
//! Both are single-threaded epoll loops, so that together they cost less than any proxy between them
//! and the proxy's core is the one that is full. Both check what they receive; both end by themselves.
//!
//! Not here: starting peers, pinning, CPU accounting and tables (`xtask/src/bench.rs`).
#![allow(
    clippy::disallowed_methods,
    reason = "a measuring tool, never linked into the proxy: it opens sockets itself"
)]

pub mod command_line;
pub mod delay;
pub mod load;
pub mod origin;
pub mod outcome;
pub mod reactor;
pub mod wire;
