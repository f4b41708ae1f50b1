//! How a circuit is made (ovl1 section 6): one CREATE, sealed for each hop in turn, and one CREATED, sealed to a key
//! of the circuit alone.
//!
//! ```text
//! client: build -> PendingCircuit -- CREATED --> ReadyCircuit
//! hop:    KemKeys::open -> Opened::Relay (forward, with or without a layer)
//!                       |  Opened::Exit -- answer --> CREATED, ExitCircuit
//! ```
//! Every step consumes what it used up; secrets are overwritten as they go. Not here: the records that follow
//! (`record`), whom a relay may forward to, budgets and time-outs (`overlay`), choice of the path (`path`).

use shoalway_types::wallet::Address;
use std::time::Duration;

use crate::circuit::terms::CircuitTerms;
use crate::codec::{Malformed, Reader};
use crate::kdf::Secret;
use crate::link::terms::Code;
use crate::record::{RecordKeys, Suite};
use crate::xwing::{ENCAPSULATION, PUBLIC, XWing, XWingPublic};

pub mod client;
pub mod hop;
pub mod keys;

pub use client::{Broken, PendingCircuit, ReadyCircuit, build};
pub use hop::{ExitCircuit, ExitRequest, Opened, RelayRequest, Standing};
pub use keys::{CreateKey, KemKeys};

/// Bytes of a CREATE at the exit, whatever the path.
pub const CREATE_EXIT: usize = KEY_ID + ENCAPSULATION + EXIT_PLAIN + 16;
/// Bytes of a CREATE that has one relay before the exit.
pub const CREATE_TWO: usize = CREATE_EXIT + RELAY_HEAD + KEY_ID + ENCAPSULATION + 16;
/// Bytes of a CREATE that has two relays before the exit.
pub const CREATE_THREE: usize = CREATE_TWO + RELAY_HEAD + KEY_ID + ENCAPSULATION + 16;
/// Bytes of a CREATED.
pub const CREATED: usize = ENCAPSULATION + CREATED_PLAIN + 16;
/// The longest token for an exit.
pub const MAX_TOKEN: usize = 354;
/// The largest window of a stream that an exit may state.
pub const MAX_STREAM_WINDOW: u32 = 4 << 20;
/// The largest window of a circuit that an exit may state.
pub const MAX_CIRCUIT_WINDOW: u32 = 8 << 20;

const KEY_ID: usize = 4;
const EXIT_PLAIN: usize = 1600;
const RELAY_HEAD: usize = 32;
const CREATED_PLAIN: usize = 64;
const CREATED_VERSION: u8 = 1;
const PSK_ID: &[u8] = b"ovl1 created";

const _: () = assert!(CREATE_EXIT == 2740 && CREATE_TWO == 3912 && CREATE_THREE == 5084 && CREATED == 1200);

/// One hop of a path, with the key that the client chose from its descriptor (section 2.2).
#[derive(Debug, Clone)]
pub struct HopKey {
    /// The node.
    pub node: Address,
    /// The key's name.
    pub id: [u8; 4],
    /// The key.
    pub kem: XWingPublic,
}

/// What a client offers an exit.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The suites that it takes.
    pub suites: Suites,
    /// A token, where an exit wants one: at most [`MAX_TOKEN`] bytes, empty for none.
    pub token: &'a [u8],
}

/// A set of record suites, not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suites(u8);

impl Suites {
    /// Both, which everybody has.
    pub const BOTH: Self = Self(3);

    /// One alone.
    #[must_use]
    pub const fn only(suite: Suite) -> Self {
        Self(suite.number())
    }

    /// Whether it is offered.
    #[must_use]
    pub const fn contains(self, suite: Suite) -> bool {
        self.0 & suite.number() != 0
    }

    fn read(bits: u8) -> Result<Self, Malformed> {
        if (1..=3).contains(&bits) { Ok(Self(bits)) } else { Err(Malformed("suites")) }
    }
}

/// What CREATED tells the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatedTerms {
    /// The suite of both directions.
    pub suite: Suite,
    /// Streams, windows, times.
    pub circuit: CircuitTerms,
    /// The exit's snapshot: number and hash (section 3.2, forks).
    pub directory: (u64, [u8; 32]),
}

/// Why a path cannot be built; no byte was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Paths have 2 or 3 hops.
    #[error("a path of {0} hops")]
    Hops(usize),
    /// The token is longer than [`MAX_TOKEN`].
    #[error("a token of {0} bytes")]
    Token(usize),
    /// A key in a descriptor is none: the node of this number in the path (0 is the entry) is not usable.
    #[error("the key of hop {0} is not usable")]
    Key(usize),
    /// No key for the answer could be made.
    #[error("no key could be made")]
    NoMemory,
}

/// Why a hop takes no CREATE. What the neighbour is told is the code alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateFault {
    /// Not a length that a CREATE has, or one that does not fit its kind or layer.
    #[error("a CREATE of {0} bytes")]
    Length(usize),
    /// The key is not held here, or not any more.
    #[error("an unknown key")]
    UnknownKey,
    /// It was opened before.
    #[error("a replay")]
    Replay,
    /// It was not sealed for this node and key.
    #[error("does not open")]
    Sealed,
    /// It opened, and breaks the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The node does not do this, or not for this neighbour.
    #[error("not for this node or neighbour")]
    Refused,
}

impl CreateFault {
    /// What DESTROY says.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Length(_) | Self::Sealed | Self::Malformed(_) => Code::Protocol,
            Self::UnknownKey => Code::UnknownKey,
            Self::Replay => Code::Replay,
            Self::Refused => Code::Refused,
        }
    }
}

fn create_info(network: &[u8; 32], node: Address, id: [u8; KEY_ID]) -> Vec<u8> {
    [b"ovl1 create\0", &network[..], &node.0[..], &id[..]].concat()
}

fn created_info(network: &[u8; 32], node: Address, create_hash: &[u8; 32]) -> Vec<u8> {
    [b"ovl1 created\0", &network[..], &node.0[..], &create_hash[..]].concat()
}

/// `Sc` and `Sx` of a CREATED context, as keys of the two directions.
fn record_keys(context: &impl crate::kdf::exporter::Exporter, suite: Suite) -> (RecordKeys, RecordKeys) {
    let keys = |label| RecordKeys { suite, secret: context.exported(label) };
    (keys("ovl1 c2x"), keys("ovl1 x2c"))
}

fn psk(secret: &Secret) -> hpke::PskBundle<'_> {
    #[expect(clippy::expect_used, reason = "key and name are both there, which is all that is checked")]
    hpke::PskBundle::new(secret.bytes(), PSK_ID).expect("a key and its name")
}

impl CreatedTerms {
    fn encode(&self) -> Vec<u8> {
        let seconds = |time: Duration| u16::try_from(time.as_secs()).unwrap_or(u16::MAX).to_be_bytes();
        let circuit = &self.circuit;
        let mut plain = vec![self.suite.number(), CREATED_VERSION];
        plain.extend(circuit.max_streams.to_be_bytes());
        plain.extend(circuit.stream_window.to_be_bytes());
        plain.extend(circuit.circuit_window.to_be_bytes());
        plain.extend(seconds(circuit.idle));
        plain.extend(seconds(circuit.life));
        plain.extend(self.directory.0.to_be_bytes());
        plain.extend(self.directory.1);
        plain.resize(CREATED_PLAIN, 0);
        plain
    }

    fn decode(plain: &[u8], offered: Suites) -> Result<Self, Malformed> {
        let mut reader = Reader::new(plain);
        let suite = Suite::numbered(reader.u8("suite")?)?;
        if !offered.contains(suite) || reader.u8("version")? != CREATED_VERSION {
            return Err(Malformed("suite or version"));
        }
        let max_streams = within(reader.u16("streams")?, 256, "streams")?;
        let stream_window = within(reader.u32("stream window")?, MAX_STREAM_WINDOW, "stream window")?;
        let circuit_window = within(reader.u32("circuit window")?, MAX_CIRCUIT_WINDOW, "circuit window")?;
        let idle = Duration::from_secs(within(reader.u16("idle")?, u16::MAX, "idle")?.into());
        let life = Duration::from_secs(within(reader.u16("life")?, u16::MAX, "life")?.into());
        let directory = (reader.u64("number")?, reader.array("directory")?);
        reader.zeros(8, "reserved")?;
        reader.finish()?;
        let circuit = CircuitTerms { max_streams, stream_window, circuit_window, idle, life };
        Ok(Self { suite, circuit, directory })
    }
}

/// A number from 1 to a limit.
fn within<N: Copy + PartialOrd + From<u8>>(number: N, most: N, field: &'static str) -> Result<N, Malformed> {
    if number >= N::from(1) && number <= most { Ok(number) } else { Err(Malformed(field)) }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
