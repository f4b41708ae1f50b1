//! What the ends of a circuit are told and what they tell: terms, destinations, events, reset codes (sections 6.2,
//! 7.2, 7.3).
//!
//! Not here: how an end behaves (`circuit.rs` and what stands beside this file).

use crate::link::dir::DirGet;
use crate::link::terms::Code;
use bytes::Bytes;
use shoalway_types::Target;
use std::time::Duration;

/// A stream of a circuit: odd, ascending, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// Which end of a circuit this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It opens streams.
    Client,
    /// It connects them.
    Exit,
}

/// What CREATED says about a circuit; both ends are made with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitTerms {
    /// Streams at one time: 1 to 256, default 256.
    pub max_streams: u16,
    /// The start of a stream's window in bytes of DATA: at most 4 MiB, default 256 KiB.
    pub stream_window: u32,
    /// The start of the circuit's window in either direction, in bytes of DATA: at most 8 MiB, default 1 MiB.
    pub circuit_window: u32,
    /// The exit closes a circuit without streams after this time, in whole seconds.
    pub idle: Duration,
    /// The exit takes no new stream after this time, in whole seconds: 30 to 60 min at random.
    pub life: Duration,
}

impl Default for CircuitTerms {
    fn default() -> Self {
        Self {
            max_streams: 256,
            stream_window: 256 * 1024,
            circuit_window: 1024 * 1024,
            idle: Duration::from_secs(13 * 60),
            life: Duration::from_secs(45 * 60),
        }
    }
}

/// Where a stream goes. `Debug` does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A name (letters, digits, hyphens) or an address, and a port.
    Target(Target),
    /// The directory of the exit itself (atyp 5).
    Directory,
}

/// Why a stream was reset (section 7.3). What an application sees of it is told by the methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResetCode {
    /// Nothing is wanted any more.
    Cancelled = 0,
    /// The circuit or its link broke.
    CircuitLost = 1,
    /// The name does not exist.
    NameNotFound = 2,
    /// The name was not resolved in time, or not at all.
    DnsFailed = 3,
    /// The destination refused the connection.
    Refused = 4,
    /// There is no way to the destination.
    Unreachable = 5,
    /// The destination did not answer.
    TimedOut = 6,
    /// The exit's policy does not permit it.
    Policy = 7,
    /// Over a limit.
    Limit = 8,
    /// ovl1 at this exit cannot do it.
    NotSupported = 9,
    /// The destination reset the connection.
    DestinationReset = 10,
}

impl ResetCode {
    /// All codes, each at the index of its number.
    pub const ALL: [Self; 11] = [
        Self::Cancelled,
        Self::CircuitLost,
        Self::NameNotFound,
        Self::DnsFailed,
        Self::Refused,
        Self::Unreachable,
        Self::TimedOut,
        Self::Policy,
        Self::Limit,
        Self::NotSupported,
        Self::DestinationReset,
    ];

    /// The code of this number, if there is one.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The stable word of the code in logs and counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::CircuitLost => "circuit_lost",
            Self::NameNotFound => "name_not_found",
            Self::DnsFailed => "dns_failed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Policy => "policy",
            Self::Limit => "limit",
            Self::NotSupported => "not_supported",
            Self::DestinationReset => "destination_reset",
        }
    }

    /// What a user reads.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cancelled => "the stream was cancelled",
            Self::CircuitLost => "the path to the exit was lost",
            Self::NameNotFound => "the exit found no such name",
            Self::DnsFailed => "the exit could not resolve the name",
            Self::Refused => "the destination refused the connection",
            Self::Unreachable => "the exit cannot reach the destination",
            Self::TimedOut => "the destination did not answer the exit",
            Self::Policy => "the exit's policy does not permit this destination",
            Self::Limit => "over a limit",
            Self::NotSupported => "not supported",
            Self::DestinationReset => "the destination reset the connection",
        }
    }

    /// The SOCKS5 reply (RFC 1928 section 6), where one is due. An unreachable network and host are not told apart
    /// by the code: 4 (host) is the reply.
    #[must_use]
    pub const fn socks5(self) -> Option<u8> {
        match self {
            Self::Cancelled | Self::DestinationReset => None,
            Self::CircuitLost | Self::Limit => Some(1),
            Self::NameNotFound | Self::DnsFailed | Self::Unreachable => Some(4),
            Self::Refused => Some(5),
            Self::TimedOut => Some(6),
            Self::Policy => Some(2),
            Self::NotSupported => Some(7),
        }
    }

    /// The HTTP status and the error of Proxy-Status (RFC 9209 section 2.3), where an answer is due.
    #[must_use]
    pub const fn http(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Cancelled => None,
            Self::CircuitLost | Self::DestinationReset => Some((502, "connection_terminated")),
            Self::NameNotFound => Some((502, "dns_error")),
            Self::DnsFailed => Some((504, "dns_timeout")),
            Self::Refused => Some((502, "connection_refused")),
            Self::Unreachable => Some((502, "destination_ip_unroutable")),
            Self::TimedOut => Some((504, "connection_timeout")),
            Self::Policy => Some((403, "destination_ip_prohibited")),
            Self::Limit => Some((503, "connection_limit_reached")),
            Self::NotSupported => Some((501, "proxy_internal_response")),
        }
    }
}

/// Why no stream was opened; the circuit goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenRefused {
    /// An exit opens nothing.
    #[error("an exit opens no streams")]
    NotClient,
    /// As many streams as the circuit may have.
    #[error("too many streams")]
    Streams,
    /// 64 are connecting.
    #[error("too many streams are connecting")]
    Connecting,
    /// 20 a second after the first 64.
    #[error("streams are opened too fast")]
    Rate,
    /// The circuit drains, is closed, or has no ids left.
    #[error("the circuit takes no new streams")]
    Draining,
    /// A name that is not letters, digits and hyphens.
    #[error("the name cannot be sent")]
    Name,
}

/// The other end broke the rules of the circuit, or a record does not open: DESTROY 1, all streams reset with code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CircuitFault {
    /// The record does not open, or comes at the wrong time of a key's life.
    #[error("the record does not open")]
    Record,
    /// Bytes that are no frames; the word names the field.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A frame that this end does not take, or not now; the word says which.
    #[error("not permitted: {0}")]
    Order(&'static str),
    /// A stream id that cannot be.
    #[error("stream id")]
    Stream,
    /// More bytes than were granted.
    #[error("over the window of the {0}")]
    Window(&'static str),
    /// Grants over 2^31 bytes.
    #[error("the credit of the {0} is over 2^31")]
    Credit(&'static str),
    /// More frames of a kind than the limits permit.
    #[error("too many: {0}")]
    Rate(&'static str),
    /// A record after the end.
    #[error("the circuit is closed")]
    Closed,
}

/// What happened in a circuit, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CircuitEvent {
    /// Exit: the client wants a connection. Answered by [`opened`](super::CircuitEnd::opened) or
    /// [`reset`](super::CircuitEnd::reset). A stream to [`Destination::Directory`] is answered already; what is asked
    /// comes as [`CircuitEvent::DirGet`].
    Open {
        /// Which stream.
        stream: StreamId,
        /// Where to.
        dest: Destination,
    },
    /// Client: the connection to the destination stands.
    Opened(StreamId),
    /// Bytes of a stream. They are in its window until [`consumed`](super::CircuitEnd::consumed).
    Data {
        /// Which stream.
        stream: StreamId,
        /// 1 to 16,313 bytes.
        bytes: Bytes,
    },
    /// No more bytes come in this direction.
    Fin(StreamId),
    /// The stream is gone in both directions.
    Reset {
        /// Which stream.
        stream: StreamId,
        /// Why.
        code: ResetCode,
    },
    /// [`room`](super::CircuitEnd::room) was too small and is not any more.
    Writable(StreamId),
    /// Exit: a part of the directory is asked for; answered by [`dir_answer`](super::CircuitEnd::dir_answer).
    DirGet {
        /// By which stream.
        stream: StreamId,
        /// Which part.
        get: DirGet,
    },
    /// Client: an answer on a stream to [`Destination::Directory`], whole; empty when the exit has none.
    DirData {
        /// On which stream.
        stream: StreamId,
        /// The parts joined.
        body: Bytes,
    },
    /// Client: the answer to [`ping`](super::CircuitEnd::ping) took this long.
    Pong(Duration),
    /// The circuit takes no new streams; it ends when the last one has.
    Draining,
    /// The circuit is over and all its streams have had their events. The keys are gone.
    Closed {
        /// Why, as CLOSE or the rules have it.
        reason: Code,
        /// What the link's circuit is to be destroyed with, unless it is gone.
        destroy: Code,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_application_sees_of_each_code_is_as_the_table_has_it() {
        type Row = (u8, Option<u8>, Option<(u16, &'static str)>);
        let table: [Row; 11] = [
            (0, None, None),
            (1, Some(1), Some((502, "connection_terminated"))),
            (2, Some(4), Some((502, "dns_error"))),
            (3, Some(4), Some((504, "dns_timeout"))),
            (4, Some(5), Some((502, "connection_refused"))),
            (5, Some(4), Some((502, "destination_ip_unroutable"))),
            (6, Some(6), Some((504, "connection_timeout"))),
            (7, Some(2), Some((403, "destination_ip_prohibited"))),
            (8, Some(1), Some((503, "connection_limit_reached"))),
            (9, Some(7), Some((501, "proxy_internal_response"))),
            (10, None, Some((502, "connection_terminated"))),
        ];
        for (number, socks5, http) in table {
            let code = ResetCode::from_u8(number).unwrap();
            assert_eq!((code as u8, code.socks5(), code.http()), (number, socks5, http), "{}", code.word());
            assert!(!code.text().is_empty());
        }
        assert_eq!(ResetCode::from_u8(11), None);
        for (number, code) in (0_u8..).zip(Code::ALL) {
            assert_eq!((Code::from_u8(number), code as u8), (Some(code), number), "{}", code.word());
        }
        assert_eq!(Code::from_u8(12), None);
    }
}
