//! The client's part: what a person's own proxy does to send traffic through the overlay.
//!
//! [`Overlay`] is one for the process; to the forward proxy it is a way out ([`way`]). All links and circuits live on one
//! shard, the home; flows of other shards reach it through a pipe. What is where:
//!
//! - [`plan`]: what it is configured to do;
//! - [`home`]: the part on the home shard: a flow from its unit to its stream;
//! - [`links`]: the entries one keeps, and the links to them; [`circuits`]: made, in stock, bound to a unit;
//! - [`fetch`]: the directory, through an entry; [`status`]: what a person is told.
//!
//! Not here: choices without I/O (`overlay-proto`'s `spread` and `path`), rules (`policy`).

pub mod circuits;
pub mod fetch;
pub mod home;
pub mod links;
pub mod plan;
pub mod status;
pub mod way;

pub use plan::{Overlay, OverlayPlan};
