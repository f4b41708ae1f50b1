//! What a link is told and what it tells: its role, its terms, its events, the reasons of its end (sections 4, 5).
//!
//! Not here: how a link behaves (`link.rs` and what stands beside this file).

use super::dir::DirKind;
use bytes::Bytes;
use std::time::Duration;

/// The name of a circuit on one link: never zero, no meaning on any other link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CircId(pub u32);

/// Who opened the tunnel stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sent the opener; it alone sends PING.
    Dialer,
    /// It answers with ACCEPT.
    Acceptor,
}

/// Between whom a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client (always the dialer) and its entry. Its frames are numbered, acknowledged and survive a cut.
    Client,
    /// Two nodes. Nothing is acknowledged; a cut ends all circuits.
    Trunk,
}

/// What a link is made with. [`LinkConfig::new`] sets every number to the protocol's default.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// Who opened it.
    pub role: Role,
    /// Between whom it is.
    pub kind: Kind,
    /// How long an own CREATE waits for CREATED: 10 s at a client, 12 s at a relay.
    pub create_timeout: Duration,
    /// The largest hop window granted to a circuit, in bytes: its start to 1 MiB, default 1 MiB.
    pub hop_window_max: u32,
    /// Bytes that wait here for one group (one client), default 8 MiB; over it the group's largest circuit ends.
    pub group_limit: usize,
}

impl LinkConfig {
    /// The defaults of section 12 for a link of this role and kind.
    #[must_use]
    pub const fn new(role: Role, kind: Kind) -> Self {
        let seconds = match (role, kind) {
            (Role::Dialer, Kind::Client) => 10,
            (Role::Dialer | Role::Acceptor, Kind::Trunk) | (Role::Acceptor, Kind::Client) => 12,
        };
        Self {
            role,
            kind,
            create_timeout: Duration::from_secs(seconds),
            hop_window_max: MAX_HOP_WINDOW,
            group_limit: GROUP_LIMIT,
        }
    }
}

/// What ACCEPT says about both directions of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTerms {
    /// Circuits at one time, both ends' together: at most 256 on a client link, 16,384 on a trunk.
    pub max_circuits: u16,
    /// Bytes of DATA bodies a circuit may have under way in one direction at its start: 32 KiB to 1 MiB, default
    /// 256 KiB. Outside of that it is taken as the nearer end.
    pub hop_window: u32,
}

impl LinkTerms {
    /// 256 circuits of 256 KiB: a client link as section 12 has it.
    pub const CLIENT: Self = Self { max_circuits: 256, hop_window: HOP_WINDOW };
    /// 16,384 circuits of 256 KiB: a trunk as section 12 has it.
    pub const TRUNK: Self = Self { max_circuits: 16_384, hop_window: HOP_WINDOW };
}

/// Why a circuit or a link ends, as DESTROY, GOAWAY and CLOSE say it (section 5). Relays see it: no code speaks of
/// a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// Nothing is left to do.
    Done = 0,
    /// The protocol was broken.
    Protocol = 1,
    /// The KEM key of a CREATE is not known here.
    UnknownKey = 2,
    /// The next node is not in the directory.
    UnknownNext = 3,
    /// The next node does not answer.
    NextUnreachable = 4,
    /// Over a limit or a budget.
    Busy = 5,
    /// A token or a role does not permit it.
    Refused = 6,
    /// Nothing happened for too long.
    Idle = 7,
    /// Its life is over.
    TooOld = 8,
    /// The node ends.
    ShuttingDown = 9,
    /// A link of the path broke.
    LinkLost = 10,
    /// The CREATE was seen before.
    Replay = 11,
}

impl Code {
    /// All codes, each at the index of its number.
    pub const ALL: [Self; 12] = [
        Self::Done,
        Self::Protocol,
        Self::UnknownKey,
        Self::UnknownNext,
        Self::NextUnreachable,
        Self::Busy,
        Self::Refused,
        Self::Idle,
        Self::TooOld,
        Self::ShuttingDown,
        Self::LinkLost,
        Self::Replay,
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
            Self::Done => "done",
            Self::Protocol => "protocol",
            Self::UnknownKey => "unknown_key",
            Self::UnknownNext => "unknown_next",
            Self::NextUnreachable => "next_unreachable",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Idle => "idle",
            Self::TooOld => "too_old",
            Self::ShuttingDown => "shutting_down",
            Self::LinkLost => "link_lost",
            Self::Replay => "replay",
        }
    }
}

/// The neighbour broke the protocol of the link: GOAWAY 1 is in line, then the tunnel stream is reset without error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// A frame of a type that ovl1 does not have.
    #[error("frame of unknown type {0:#04x}")]
    Type(u8),
    /// A length that the type does not permit.
    #[error("frame of type {kind:#04x} with a body of {length} bytes")]
    Length {
        /// The type.
        kind: u8,
        /// What was announced.
        length: u16,
    },
    /// A circuit that is not there, or one where none belongs; the word says which.
    #[error("circuit id: {0}")]
    Id(&'static str),
    /// A frame that may not stand here; the word says which.
    #[error("out of order: {0}")]
    Order(&'static str),
    /// A field of a value that is not permitted.
    #[error("field: {0}")]
    Field(&'static str),
    /// More unacknowledged bytes than a session may have.
    #[error("over the session's window")]
    Window,
    /// More frames of a kind than the limits permit.
    #[error("too many: {0}")]
    Rate(&'static str),
}

/// Why a session cannot go on here: all its circuits are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the neighbour's count {received} is not within {from}..={to}")]
pub struct ResumeFault {
    /// What the neighbour says it received.
    pub received: u64,
    /// The first byte that is still kept.
    pub from: u64,
    /// All that was sent.
    pub to: u64,
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The circuit is not there, or not open (any more).
    #[error("no such circuit")]
    Unknown,
    /// The circuit, the link or the neighbour has no place for more.
    #[error("full")]
    Full,
    /// The link takes nothing new: it is not open yet, or GOAWAY went in one direction.
    #[error("the link takes nothing new")]
    Closing,
    /// A body of a length the frame does not permit.
    #[error("length")]
    Length,
}

/// What happened on a link, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// Dialer: the body of ACCEPT. Nothing more is read until [`open`](super::Link::open).
    Accept(Bytes),
    /// Acceptor of a trunk: the body of NODE_AUTH. Nothing more is read until [`admit`](super::Link::admit).
    NodeAuth(Bytes),
    /// The neighbour wants a circuit; it counts against the limits until it is destroyed.
    Create {
        /// Its name here.
        circ: CircId,
        /// What the CREATE holds: 2740, 3912 or 5084 bytes.
        body: Bytes,
    },
    /// An own circuit stands.
    Created {
        /// Its name here.
        circ: CircId,
        /// 1200 bytes.
        body: Bytes,
    },
    /// One record. It is in the hop window until [`released`](super::Link::released).
    Data {
        /// Its circuit.
        circ: CircId,
        /// 17 to 16,352 bytes.
        record: Bytes,
    },
    /// So many bytes of records have left this link since the last event of the circuit: the link they came by gets
    /// them as [`released`](super::Link::released), an end of a circuit looks at [`writable`](super::Link::writable).
    Sent {
        /// Their circuit.
        circ: CircId,
        /// Bytes of DATA bodies.
        bytes: usize,
    },
    /// An end of a circuit that found [`writable`](super::Link::writable) too small may look again.
    Writable(CircId),
    /// The circuit is gone here: the neighbour ended it, broke its rules, did not answer, or a bound was reached.
    /// DESTROY has been sent where one is due.
    Destroyed {
        /// Which.
        circ: CircId,
        /// Why.
        code: Code,
    },
    /// The neighbour takes no more CREATE and will end the link.
    GoAway {
        /// Why.
        code: Code,
        /// When it will, at the latest.
        seconds: u16,
    },
    /// The neighbour asks for a part of the directory; answered by [`dir_answer`](super::Link::dir_answer).
    DirGet {
        /// Which part.
        kind: DirKind,
        /// From where, for the kinds that count.
        number: u64,
    },
    /// The answer to [`dir_get`](super::Link::dir_get), whole; empty when the neighbour has none or did not answer.
    DirData {
        /// What was asked for.
        kind: DirKind,
        /// The parts joined.
        body: Bytes,
    },
    /// The neighbour is silent: the link is dead.
    Dead,
    /// The link ended in good order, or its time to drain is over: the stream can be closed.
    Finished,
}

/// The start of a hop window.
pub const HOP_WINDOW: u32 = 256 * 1024;
/// The smallest start of a hop window: a whole record must pass while a quarter of it is not granted again yet.
pub const MIN_HOP_WINDOW: u32 = 32 * 1024;
/// The largest hop window.
pub const MAX_HOP_WINDOW: u32 = 1024 * 1024;
/// Bytes that may wait for one client.
pub const GROUP_LIMIT: usize = 8 * 1024 * 1024;
