//! Whose fault an error is, and whether trying again is safe.
//!
//! Each error type of the suite answers both, so that one table a protocol turns errors into replies, and
//! one place decides about retries.

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client broke the protocol, was too slow, or left.
    Client,
    /// The far side, or the way to it.
    Upstream,
    /// A rule, a limit or the egress guard said no.
    Policy,
    /// This machine: no descriptors, no memory, a fault of ours.
    Local,
}

/// Whether the same request may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would end the same way.
    Never,
    /// Nothing was sent: any request may be tried again.
    Safe,
    /// Something was sent: only an idempotent request may be tried again.
    IfIdempotent,
}

/// An error that knows its blame.
pub trait Failure: std::error::Error {
    /// Whose fault it is.
    fn side(&self) -> Side;
    /// Whether a retry is safe.
    fn retry(&self) -> Retry;
    /// A stable word for logs and metrics, such as `connect_timeout`: lower case, no spaces, never a destination.
    fn word(&self) -> &'static str;
}
