//! The overlay at run time: the client's part and a node's roles, over `net` and `http`.
//!
//! What is where:
//!
//! - [`link`]: a tunnel stream at work: [`link::driver`] moves its bytes, [`link::handle`] is what others hold of it;
//! - [`circuit`]: an end of a circuit on its link, and its streams as byte streams;
//! - [`client`]: a person's own part; [`node`]: a node's, with [`exit`]; [`directory`]: what both know of the network;
//! - [`keys`]: what a node is; [`chance`]: randomness;
//! - [`time`]: a shard's clock as the protocol's machines take it.
//!
//! A link, its circuits and their streams live on one shard and share no lock with others. Not here: what the bytes
//! mean (`overlay-proto`), HTTP/2 (`http`), sockets and TLS (`net`), files and command line (`app`).

pub mod chance;
pub mod circuit;
pub mod client;
pub mod directory;
pub mod exit;
pub mod keys;
pub mod link;
pub mod node;
pub mod time;
