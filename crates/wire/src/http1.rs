//! HTTP/1.0 and HTTP/1.1 messages without I/O: heads, bodies, refusals. RFC 9112, RFC 9110.
//!
//! Bytes stay where the caller keeps them. A head is an index over them ([`request`], [`response`]), a body a
//! small counter that says what the next bytes are ([`body`]), and a message leaves as the bytes it came as, less
//! what [`hop_by_hop`] dropped and plus what was added ([`compose`]). What can be read in two ways is refused with
//! a named reason ([`refusal`]) and never mended: a peer that reads it the other way would see another message.
//!
//! Not here: sockets, deadlines, pools (`http/h1`), what a name resolves to, who may go where.

pub mod limits;
pub mod refusal;

pub mod known;
pub mod method;
pub mod target;

pub mod fields;
pub mod framing;
pub mod request;
pub mod response;

pub mod body;
pub mod trailers;

pub mod compose;
pub mod hop_by_hop;

mod diagnose;
mod scan;
mod tokens;

#[cfg(test)]
mod tests;
