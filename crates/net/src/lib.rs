//! Sockets, tasks, time: the machine room. The only crate that opens connections, listens, looks names up, spawns.
//!
//! What is where:
//!
//! - [`fleet`], [`shard`]: one thread and runtime a core, and what its connections share;
//! - [`listener`], [`admission`], [`hold`]: how connections come in;
//! - [`deadline`], [`clock`], [`limits`]: how long anything may take;
//! - [`buffers`], [`pipes`], [`stream`], [`relay`]: how bytes move; [`pipe`]: from one shard to another;
//! - [`connect`]: the seam for ways out; [`dialer`], [`resolver`], [`happy_eyeballs`], [`egress_guard`]: the way
//!   straight out, and [`control_dial`] for the control thread;
//! - [`tls_client`], [`tls_server`], [`certificates`], [`acme_challenges`], [`udp`]: other transports;
//! - [`tasks`], [`blocking`]: who owns work; [`journal`], [`counters`]: what is told about it.
//!
//! Not here: HTTP (`http`), SOCKS (`forward`), rules (`policy`), files and command line (`app`).

pub mod acme_challenges;
pub mod admission;
pub mod blocking;
pub mod buffers;
pub mod certificates;
pub mod clock;
pub mod connect;
pub mod control_dial;
pub mod counters;
pub mod deadline;
pub mod dialer;
pub mod egress_guard;
pub mod fleet;
pub mod happy_eyeballs;
pub mod hold;
pub mod journal;
pub mod limits;
pub mod listener;
pub mod pipe;
pub mod pipes;
pub mod relay;
pub mod resolver;
pub mod shard;
pub mod stream;
pub mod tasks;
pub mod tls;
pub mod tls_client;
pub mod tls_server;
pub mod udp;
