//! Tests of links: frames written by hand, and two ends joined by a pipe that loses nothing and cuts anywhere.

mod flow;
mod hostile;
mod model;
mod rules;
mod sessions;

use super::Link;
use super::frame::FrameType;
use super::terms::{CircId, Kind, LinkConfig, LinkEvent, LinkFault, LinkTerms, Role};
use crate::Moment;
use bytes::{BufMut, Bytes, BytesMut};
use rand_core::{Rng, TryCryptoRng, TryRng};
use std::convert::Infallible;
use std::time::Duration;

/// A frame by hand, right or wrong.
pub(super) fn frame(kind: u8, circ: u32, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(kind);
    out.put_u32(circ);
    out.put_u16(u16::try_from(body.len()).unwrap());
    out.extend_from_slice(body);
    out.freeze()
}

/// All that a link has to say now, as frames: type, circuit, body.
pub(super) fn said(link: &mut Link, now: Moment) -> Vec<(u8, u32, Bytes)> {
    let mut stream = BytesMut::new();
    link.transmit(now, usize::MAX, &mut |piece: Bytes| {
        assert!(!piece.is_empty() && piece.len() <= super::frame::MAX_PIECE, "{}", piece.len());
        stream.extend_from_slice(&piece);
    });
    frames(stream.freeze())
}

pub(super) fn frames(mut stream: Bytes) -> Vec<(u8, u32, Bytes)> {
    let mut all = Vec::new();
    while let [kind, a, b, c, d, high, low, ..] = stream[..] {
        let head = stream.split_to(7);
        assert_eq!(head.len(), 7);
        let body = stream.split_to(usize::from(u16::from_be_bytes([high, low])));
        all.push((kind, u32::from_be_bytes([a, b, c, d]), body));
    }
    assert!(stream.is_empty());
    all
}

pub(super) fn events(link: &mut Link) -> Vec<LinkEvent> {
    std::iter::from_fn(|| link.next_event()).collect()
}

pub(super) const fn after(now: Moment, seconds: u64) -> Moment {
    Moment(now.0 + seconds * 1_000_000)
}

/// A link that is open, with nothing in line; the neighbour is the test.
pub(super) fn open_link(role: Role, kind: Kind) -> Link {
    open_with(LinkConfig::new(role, kind), LinkTerms { max_circuits: 256, hop_window: 256 * 1024 })
}

pub(super) fn open_with(config: LinkConfig, terms: LinkTerms) -> Link {
    let (role, kind) = (config.role, config.kind);
    let mut link = Link::new(config, START, &mut rng(1));
    match role {
        Role::Dialer => {
            link.receive(frame(1, 0, &[1; 50]), START).unwrap();
            assert_eq!(events(&mut link), [LinkEvent::Accept(Bytes::from(vec![1; 50]))]);
            link.open(terms, (kind == Kind::Trunk).then(|| Bytes::from(vec![2; 207])), START).unwrap();
        }
        Role::Acceptor => {
            link.accept(Bytes::from(vec![1; 50]), terms, START);
            if kind == Kind::Trunk {
                link.receive(frame(2, 0, &[2; 207]), START).unwrap();
                assert_eq!(events(&mut link), [LinkEvent::NodeAuth(Bytes::from(vec![2; 207]))]);
                link.admit(START).unwrap();
            }
        }
    }
    let proof: Vec<u8> = said(&mut link, START).iter().map(|(kind, ..)| *kind).collect();
    match (role, kind) {
        (Role::Dialer, Kind::Client) => assert!(proof.is_empty()),
        (Role::Dialer, Kind::Trunk) => assert_eq!(proof, [2]),
        (Role::Acceptor, _) => assert_eq!(proof, [1]),
    }
    assert!(link.is_open() && !link.wants_transmit());
    link
}

pub(super) const START: Moment = Moment(1_000_000);

/// Two ends and what is on its way between them.
pub(super) struct Pair {
    pub(super) dialer: Link,
    pub(super) acceptor: Link,
    pub(super) now: Moment,
    pub(super) rng: TestRng,
    /// Longest chunk the stream is cut into; 0: each piece is one.
    pub(super) cut: u64,
}

impl Pair {
    pub(super) fn new(kind: Kind, seed: u64) -> Self {
        Self {
            dialer: open_link(Role::Dialer, kind),
            acceptor: open_link(Role::Acceptor, kind),
            now: START,
            rng: rng(seed),
            cut: 0,
        }
    }

    /// Carries what one end says to the other, up to `budget` bytes.
    pub(super) fn carry(&mut self, to_acceptor: bool, budget: usize) -> usize {
        let (from, to) = if to_acceptor {
            (&mut self.dialer, &mut self.acceptor)
        } else {
            (&mut self.acceptor, &mut self.dialer)
        };
        let mut pieces = Vec::new();
        let written = from.transmit(self.now, budget, &mut |piece| pieces.push(piece));
        assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), written);
        for mut piece in pieces {
            while !piece.is_empty() {
                let length =
                    if self.cut == 0 { piece.len() } else { 1 + (self.rng.next_u64() % self.cut) as usize };
                to.receive(piece.split_to(length.min(piece.len())), self.now).unwrap();
            }
        }
        written
    }

    /// Carries until both are silent.
    pub(super) fn settle(&mut self) {
        while self.carry(true, usize::MAX) + self.carry(false, usize::MAX) > 0 {}
    }

    /// A circuit from the dialer to the acceptor that is open.
    pub(super) fn circuit(&mut self, group: u32) -> CircId {
        let circ = self.dialer.create(Bytes::from(vec![7; 3912]), group, self.now, &mut self.rng).unwrap();
        self.settle();
        let created = events(&mut self.acceptor);
        assert_eq!(created, [LinkEvent::Create { circ, body: Bytes::from(vec![7; 3912]) }]);
        self.acceptor.created(circ, Bytes::from(vec![8; 1200])).unwrap();
        self.settle();
        assert_eq!(events(&mut self.dialer), [LinkEvent::Created { circ, body: Bytes::from(vec![8; 1200]) }]);
        circ
    }
}

/// A generator for tests: SplitMix64, the same for the same seed.
pub(crate) struct TestRng(u64);

pub(crate) const fn rng(seed: u64) -> TestRng {
    TestRng(seed)
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = self.try_next_u64()?.to_be_bytes();
        Ok(u32::from_be_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            [*byte, ..] = self.try_next_u64()?.to_be_bytes();
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}
