//! The overlay's protocol `ovl1` without I/O: what is said, and the machines that say it.
//!
//! Pure: no tokio, no clock, no socket; time comes in as [`Moment`] or [`UnixTime`], chance as a generator. The text
//! is docs/protocol/ovl1.md. What is where:
//!
//! - [`codec`], [`moment`], [`kdf`], [`xwing`]: what the rest is written with;
//! - [`identity`], [`descriptor`], [`network`], [`snapshot`], [`chain`], [`invite`]: who is who, and who says so;
//! - [`opener`]: how a link is opened; [`link`]: the frames of a link, and its state on either side;
//! - [`create`], [`layer`], [`replay`]: how a circuit comes to be;
//! - [`record`], [`circuit`]: what travels in it end to end;
//! - [`spread`], [`path`]: which exit serves what, and through whom; [`padding`]: the seam for padding machines.
//!
//! Not here: sockets, TLS, HTTP/2 (`net`, `http`), files, tasks (`overlay`).

pub mod codec;
pub mod kdf;
pub mod moment;
pub mod xwing;

pub mod chain;
pub mod descriptor;
pub mod identity;
pub mod invite;
pub mod network;
pub mod snapshot;

pub mod link;
pub mod opener;

pub mod create;
pub mod layer;
pub mod replay;

pub mod circuit;
pub mod record;

pub mod padding;
pub mod path;
pub mod spread;

#[cfg(test)]
mod vectors;

pub use codec::Malformed;
pub use moment::{Moment, UnixTime};
