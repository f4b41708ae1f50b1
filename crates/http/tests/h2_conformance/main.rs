//! HTTP/2 conformance of the server: frames sent by hand, and what has to come back. RFC 9113, RFC 7541, RFC 8441.
//!
//! Each case is a row: what is sent, and what is expected. The cases of h2spec have their counterpart here under the
//! section it files them by (RFC 7540's numbers); what we ask beyond them stands in `own.rs`. Where the RFC names one
//! error code and the `h2` crate another, the row says so by a constant of [`table`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod frames;
mod origin;
mod peer;
mod table;

mod clients;
mod flow;
mod framing;
mod generic;
mod hpack;
mod messages;
mod own;
mod states;
mod types;
