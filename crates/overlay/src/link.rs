//! A link at work: the machine of `overlay-proto` over one HTTP/2 tunnel stream, on one shard.
//!
//! [`handle::LinkHandle`] is what circuits and nodes hold; [`driver`] is the task that moves bytes and tells owners
//! what happened. Not here: how a stream comes to be a link (`dial`, `accept`).

pub mod accept;
pub mod budget;
pub mod dial;
pub mod driver;
pub mod handle;

pub use handle::{CircuitOwner, LinkHandle, LinkOwner, Parting};
