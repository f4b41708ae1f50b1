//! Tests of circuits: a client's and an exit's end, and ends whose other end is the test.

mod hostile;
mod life;
mod model;
mod rules;
mod streams;

use super::CircuitEnd;
use super::frame::{Frame, Frames};
use super::terms::{CircuitEvent, CircuitFault, CircuitTerms, Destination, End, StreamId};
use crate::Moment;
use crate::kdf::Secret;
use crate::record::{Last, Opener, RecordKeys, Sealer, Suite};
use bytes::{Bytes, BytesMut};
use shoalway_types::Target;

pub(super) const START: Moment = Moment(5_000_000);

pub(super) const fn millis(now: Moment, millis: u64) -> Moment {
    Moment(now.0 + millis * 1000)
}

pub(super) fn keys(fill: u8) -> RecordKeys {
    RecordKeys { suite: Suite::Aes256Gcm, secret: Secret::take(&mut [fill; 32]) }
}

pub(super) fn dest(text: &str) -> Destination {
    Destination::Target(Target::parse(text, None).unwrap())
}

pub(super) fn end(end: End, terms: CircuitTerms) -> CircuitEnd {
    let (tx, rx) = match end {
        End::Client => (keys(1), keys(2)),
        End::Exit => (keys(2), keys(1)),
    };
    CircuitEnd::new(end, terms, &tx, &rx, START)
}

pub(super) fn events(end: &mut CircuitEnd) -> Vec<CircuitEvent> {
    std::iter::from_fn(|| end.next_event()).collect()
}

/// The other end by hand: it sends any frames and sees those that come.
pub(super) struct Hand {
    sealer: Sealer,
    opener: Opener,
}

impl Hand {
    /// The test is the other end of this one.
    pub(super) fn across(end: End) -> Self {
        let (tx, rx) = match end {
            End::Client => (keys(2), keys(1)),
            End::Exit => (keys(1), keys(2)),
        };
        Self { sealer: Sealer::new(&tx, START), opener: Opener::new(&rx, START) }
    }

    pub(super) fn record(&mut self, frames: &[u8], now: Moment) -> Bytes {
        let mut out = BytesMut::from(frames);
        let last = if frames.ends_with(&crate::record::KEYUP_FRAME) { Last::Keyup } else { Last::Frame };
        self.sealer.seal(&mut out, 0, last, now).unwrap();
        out.freeze()
    }

    pub(super) fn say(
        &mut self,
        to: &mut CircuitEnd,
        frames: &[u8],
        now: Moment,
    ) -> Result<(), CircuitFault> {
        let record = self.record(frames, now);
        to.receive(&record, now)
    }

    /// All records the end has now: their length in plaintext and their frames.
    pub(super) fn hear(&mut self, from: &mut CircuitEnd, now: Moment) -> Vec<(usize, Vec<Frame>)> {
        let mut all = Vec::new();
        while let Some(record) = from.transmit(1 << 20, now) {
            let mut plain = BytesMut::new();
            self.opener.open(&record, &mut plain).unwrap();
            let length = plain.len();
            let frames: Vec<Frame> = Frames::new(plain.freeze()).map(Result::unwrap).collect();
            if frames.last() == Some(&Frame::KeyUp) {
                self.opener.keyup(now).unwrap();
            }
            all.push((length, frames));
        }
        all
    }
}

/// A frame by hand.
pub(super) fn raw(kind: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    super::frame::put(&mut out, kind, stream, body);
    out.to_vec()
}

pub(super) fn padded(mut frames: Vec<u8>) -> Vec<u8> {
    let mut out = BytesMut::from(&frames[..]);
    super::frame::pad_to(&mut out, super::frame::PADDED);
    frames = out.to_vec();
    frames
}

pub(super) fn open_frame(stream: u32, window: u32) -> Vec<u8> {
    let mut out = BytesMut::new();
    super::frame::put_open(&mut out, StreamId(stream), &dest("example.org:443"), window);
    padded(out.to_vec())
}

/// Both ends and the way between them, which holds nothing back.
pub(super) struct Pair {
    pub(super) client: CircuitEnd,
    pub(super) exit: CircuitEnd,
    pub(super) now: Moment,
}

impl Pair {
    pub(super) fn new(terms: CircuitTerms) -> Self {
        Self { client: end(End::Client, terms), exit: end(End::Exit, terms), now: START }
    }

    pub(super) fn carry(&mut self, to_exit: bool, credit: usize) -> usize {
        let (from, to) =
            if to_exit { (&mut self.client, &mut self.exit) } else { (&mut self.exit, &mut self.client) };
        let Some(record) = from.transmit(credit, self.now) else { return 0 };
        assert!(record.len() <= credit.min(16_336));
        to.receive(&record, self.now).unwrap();
        record.len()
    }

    pub(super) fn settle(&mut self) {
        while self.carry(true, 1 << 20) + self.carry(false, 1 << 20) > 0 {}
    }

    /// A stream that stands.
    pub(super) fn stream(&mut self) -> StreamId {
        let stream = self.client.open(dest("example.org:443"), self.now).unwrap();
        self.settle();
        assert_eq!(events(&mut self.exit), [CircuitEvent::Open { stream, dest: dest("example.org:443") }]);
        self.exit.opened(stream);
        self.settle();
        assert_eq!(events(&mut self.client), [CircuitEvent::Opened(stream)]);
        stream
    }
}

/// The bytes of a stream among events, joined.
pub(super) fn bytes_of(stream: StreamId, events: &[CircuitEvent]) -> Vec<u8> {
    let parts = events.iter().filter_map(|event| match event {
        CircuitEvent::Data { stream: of, bytes } if *of == stream => Some(bytes.to_vec()),
        _ => None,
    });
    parts.flatten().collect()
}
