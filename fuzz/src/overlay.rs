//! Links and circuits of the overlay, as a neighbour or the other end meets them: frames, and the machines behind them.
//!
//! Promises: no panic; the same result however bytes are cut; a fault is the end and stays it; what a machine keeps is
//! bounded; what a link says can be read by a link. For the machines the input is a script: what is received, and
//! what the driver does.

use bytes::{Bytes, BytesMut};
use rand_core::{TryCryptoRng, TryRng};
use shoalway_overlay_proto::Moment;
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::frame::{Frame, Frames, can_be_sent};
use shoalway_overlay_proto::circuit::terms::{
    CircuitEvent, CircuitTerms, Destination, End, ResetCode, StreamId,
};
use shoalway_overlay_proto::codec::Reader;
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::link::Link;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::link::frame::{Decoder, FrameType, MAX_PIECE, put_head};
use shoalway_overlay_proto::link::terms::{
    CircId, Code, Kind, LinkConfig, LinkEvent, LinkFault, LinkTerms, Role,
};
use shoalway_overlay_proto::record::{Last, RecordKeys, Sealer, Suite};
use std::convert::Infallible;

/// Frames of a link in a stream: the same wherever it is cut.
///
/// # Panics
/// When a promise is broken.
pub fn link_frames(data: &[u8]) {
    let stream = Bytes::copy_from_slice(data);
    let whole = decode(&stream, data.len().max(1));
    for length in [1, 2, 7, 8, 4_096] {
        assert!(decode(&stream, length) == whole, "not the same in chunks of {length}");
    }
    // What was read is written back as it was, but for the bodies of PAD, which are dropped.
    let mut written = BytesMut::new();
    for (kind, circ, body) in &whole.0 {
        if *kind == FrameType::Pad {
            return;
        }
        put_head(&mut written, *kind, *circ, body.len());
        written.extend_from_slice(body);
    }
    assert!(data.starts_with(&written), "not written back as it was read");
}

type Decoded = (Vec<(FrameType, CircId, Bytes)>, Option<LinkFault>);

fn decode(stream: &Bytes, length: usize) -> Decoded {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for part in stream.chunks(length) {
        let mut chunk = stream.slice_ref(part);
        loop {
            match decoder.next(&mut chunk) {
                Ok(Some(frame)) => frames.push((frame.kind, frame.circ, frame.body)),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
        assert!(chunk.is_empty(), "the decoder takes all there is");
    }
    (frames, None)
}

/// Frames of a record: each takes its part of the bytes, and nothing is read behind a fault.
///
/// # Panics
/// When a promise is broken.
pub fn record_frames(data: &[u8]) {
    let mut frames = Frames::new(Bytes::copy_from_slice(data));
    let mut taken = 0;
    while let Some(frame) = frames.next() {
        match frame {
            Ok(Frame::Data { bytes, .. }) => taken += 7 + bytes.len(),
            Ok(Frame::Open { dest, .. }) => {
                assert!(can_be_sent(&dest), "a destination that could not be sent");
                taken += 7;
            }
            Ok(_) => taken += 7,
            Err(_) => assert!(frames.next().is_none(), "something behind a fault"),
        }
    }
    assert!(taken <= data.len(), "more than there was");
}

/// A link of any role whose neighbour and driver do what the input says.
///
/// # Panics
/// When a promise is broken.
pub fn link_state(data: &[u8]) {
    let mut script = Reader::new(data);
    let Ok(form) = script.u8("form") else { return };
    let role = if form & 1 == 0 { Role::Acceptor } else { Role::Dialer };
    let kind = if form & 2 == 0 { Kind::Client } else { Kind::Trunk };
    let mut chance = Chance(u64::from(form));
    let terms = LinkTerms { max_circuits: 8, hop_window: 64 * 1024 };
    let config = LinkConfig { group_limit: 100_000, ..LinkConfig::new(role, kind) };
    let mut link = Link::new(config, Moment(0), &mut chance);
    if role == Role::Acceptor {
        link.accept(Bytes::from_static(&[1; 50]), terms, Moment(0));
    }
    let mut world = LinkWorld { link, terms, chance, now: Moment(0), circs: vec![CircId(1)], ended: false };
    for _ in 0..400 {
        let (Ok(act), Ok(which)) = (script.u8("act"), script.u8("which")) else { break };
        if act & 1 == 0 {
            world.hear(&mut script, act >> 1, which);
        } else {
            world.drive(act >> 1, which);
        }
        world.look();
    }
}

struct LinkWorld {
    link: Link,
    terms: LinkTerms,
    chance: Chance,
    now: Moment,
    circs: Vec<CircId>,
    ended: bool,
}

impl LinkWorld {
    fn circ(&self, which: u8) -> CircId {
        self.circs.get(usize::from(which) % self.circs.len()).copied().unwrap_or(CircId(1))
    }

    /// A frame of right form, or a few bytes of the script as they are.
    fn hear(&mut self, script: &mut Reader<'_>, form: u8, which: u8) {
        let mut chunk = BytesMut::new();
        match FrameType::ALL.get(usize::from(form) % 16) {
            Some(kind) => {
                let lengths = [0, 17, 300, 5_000, 50, 207, 3, 8, 9, 2_740, 3_912, 1_200, 4, 1];
                let fits = |length: &&u16| kind.permits(**length);
                let length = lengths.iter().cycle().skip(usize::from(which)).take(14).find(fits).copied();
                let circ = if kind.of_circuit() { self.circ(which) } else { CircId(0) };
                let length = usize::from(length.unwrap_or_default());
                put_head(&mut chunk, *kind, circ, length);
                let body = script.take(length.min(8).min(script.rest().len()), "body").unwrap_or_default();
                chunk.extend_from_slice(body);
                chunk.resize(7 + length, 0);
            }
            None => {
                let length = usize::from(which).min(script.rest().len());
                chunk.extend_from_slice(script.take(length, "bytes").unwrap_or_default());
            }
        }
        let taken = self.link.receive(chunk.freeze(), self.now);
        assert!(!self.ended || taken.is_err(), "a fault stays");
        self.ended |= taken.is_err();
    }

    fn drive(&mut self, act: u8, which: u8) {
        let (circ, now) = (self.circ(which), self.now);
        match act % 14 {
            0 => {
                let size = if which & 1 == 0 { 3_912 } else { 2_740 };
                let body = Bytes::from(vec![1; size]);
                self.circs.extend(self.link.create(body, u32::from(which % 3), now, &mut self.chance));
            }
            1 => drop(self.link.created(circ, Bytes::from(vec![1; 1_200]))),
            2 | 3 => drop(self.link.data(circ, Bytes::from(vec![1; 64 * usize::from(which)]))),
            4 => self.link.destroy(circ, Code::from_u8(which % 12).unwrap_or(Code::Done), now),
            5 => self.link.released(circ, 64 * usize::from(which), now),
            6 => drop(self.link.writable(circ)),
            7 => self.link.go_away(Code::Done, u16::from(which), now),
            8 => drop(self.link.dir_get(DirKind::Newest, 0, now)),
            9 => self.link.dir_answer(Bytes::from(vec![1; 200 * usize::from(which)])),
            10 => self.link.pad(u16::from(which)),
            11 => drop(self.link.shed()),
            12 => {
                self.now = Moment(now.0 + 100_000 * u64::from(which));
                self.link.tick(self.now);
                let seen = self.link.deadline().is_none_or(|at| at > self.now);
                assert!(seen, "a deadline that has been seen");
            }
            _ => self.transmit(64 * usize::from(which)),
        }
    }

    fn transmit(&mut self, budget: usize) {
        let mut stream = BytesMut::new();
        let written = self.link.transmit(self.now, budget, &mut |piece: Bytes| {
            assert!(!piece.is_empty() && piece.len() <= MAX_PIECE, "a piece of {} bytes", piece.len());
            stream.extend_from_slice(&piece);
        });
        assert!(written == stream.len() && written <= budget.saturating_add(MAX_PIECE), "{written} bytes");
        // The decoder finds whole frames in it, and no fault.
        let (frames, fault) = decode(&stream.freeze(), usize::MAX);
        assert!(fault.is_none() && (written == 0) == frames.is_empty(), "{fault:?}");
    }

    fn look(&mut self) {
        while let Some(event) = self.link.next_event() {
            match event {
                LinkEvent::Accept(_) => {
                    let proof =
                        (self.link.config().kind == Kind::Trunk).then(|| Bytes::from_static(&[2; 207]));
                    self.ended |= self.link.open(self.terms, proof, self.now).is_err();
                }
                LinkEvent::NodeAuth(_) => self.ended |= self.link.admit(self.now).is_err(),
                LinkEvent::Create { circ, .. } => self.circs.push(circ),
                LinkEvent::Sent { bytes, .. } => assert!(bytes > 0, "nothing was sent"),
                LinkEvent::Created { .. }
                | LinkEvent::Data { .. }
                | LinkEvent::Writable(_)
                | LinkEvent::Destroyed { .. }
                | LinkEvent::GoAway { .. }
                | LinkEvent::DirGet { .. }
                | LinkEvent::DirData { .. }
                | LinkEvent::Dead
                | LinkEvent::Finished => {}
            }
        }
        assert!(self.link.circuits() <= 8, "{} circuits", self.link.circuits());
        // Three groups' lines, and what a session keeps.
        assert!(self.link.buffered() <= 300_000 + (2 << 20), "{} bytes", self.link.buffered());
    }
}

/// An end of a circuit whose other end and driver do what the input says.
///
/// # Panics
/// When a promise is broken.
pub fn circuit_state(data: &[u8]) {
    let mut script = Reader::new(data);
    let Ok(form) = script.u8("form") else { return };
    let of = if form & 1 == 0 { End::Exit } else { End::Client };
    let keys = |fill| RecordKeys { suite: Suite::ChaCha20Poly1305, secret: Secret::take(&mut [fill; 32]) };
    let (mut now, start) = (Moment(0), Moment(0));
    let mut end = CircuitEnd::new(of, CircuitTerms::default(), &keys(1), &keys(2), start);
    let mut sealer = Sealer::new(&keys(2), start);
    let mut over = false;
    for _ in 0..200 {
        let (Ok(act), Ok(which)) = (script.u8("act"), script.u8("which")) else { break };
        if act & 1 == 0 {
            let mut record = plain(&mut script, act >> 1, which);
            let last = if record.ends_with(&[7, 0, 0, 0, 0, 0, 0]) { Last::Keyup } else { Last::Frame };
            if sealer.seal(&mut record, 0, last, now).is_err() {
                break;
            }
            let taken = end.receive(&record, now);
            assert!(!over || taken.is_err(), "a fault stays");
        } else {
            now = drive_circuit(&mut end, act >> 1, which, now);
        }
        while let Some(event) = end.next_event() {
            assert!(!over, "an event after the last");
            over = matches!(event, CircuitEvent::Closed { .. });
        }
        assert!(end.streams() <= 256 && (!over || end.streams() == 0), "{} streams", end.streams());
        assert!(!over || end.transmit(1 << 20, now).is_none(), "a record after the end");
    }
}

/// The frames of a record: one or more of right form, or bytes of the script.
fn plain(script: &mut Reader<'_>, form: u8, which: u8) -> BytesMut {
    let length = usize::from(which % 32).min(script.rest().len());
    let body = script.take(length, "body").unwrap_or_default();
    let mut record = BytesMut::new();
    let kind = form % 16;
    if kind < 13 {
        record.extend_from_slice(&[kind]);
        let of_circuit = matches!(kind, 0 | 7..=10);
        record.extend_from_slice(&u32::from(if of_circuit { 0 } else { which / 32 }).to_be_bytes());
        record.extend_from_slice(&u16::try_from(body.len()).unwrap_or_default().to_be_bytes());
    }
    record.extend_from_slice(body);
    // OPEN and OPENED stand in records of 384 bytes.
    let rest = 384_usize.saturating_sub(record.len());
    if (kind == 1 || kind == 2) && rest >= 7 {
        record.extend_from_slice(&[0; 5]);
        record.extend_from_slice(&u16::try_from(rest - 7).unwrap_or_default().to_be_bytes());
        record.resize(384, 0);
    }
    if record.is_empty() {
        record.extend_from_slice(&[0; 7]);
    }
    record
}

fn drive_circuit(end: &mut CircuitEnd, act: u8, which: u8, now: Moment) -> Moment {
    let stream = StreamId(u32::from(which % 16));
    match act % 14 {
        0 => drop(end.open(Destination::Directory, now)),
        1 => end.opened(stream),
        2 | 3 => drop(end.send(stream, &mut Bytes::from(vec![1; 300 * usize::from(which)]))),
        4 => end.fin(stream),
        5 => end.reset(stream, ResetCode::from_u8(which % 11).unwrap_or(ResetCode::Limit)),
        6 => end.consumed(stream, 64 * usize::from(which), now),
        7 => end.dir_answer(stream, Bytes::from(vec![1; 300 * usize::from(which)])),
        8 => drop(end.ping(now)),
        9 => end.optimistic(stream),
        10 if which == 255 => end.close(Code::Done, now),
        11 if which == 255 => end.lost(Code::LinkLost),
        10..=12 => {
            let later = Moment(now.0 + 100_000 * u64::from(which));
            end.tick(later);
            assert!(end.deadline().is_none_or(|at| at > later), "a deadline that has been seen");
            return later;
        }
        _ => {
            let credit = 80 * usize::from(which);
            if let Some(record) = end.transmit(credit, now) {
                assert!(record.len() <= credit.min(16_336), "a record of {} bytes", record.len());
            }
        }
    }
    now
}

/// A generator that gives the same in every run: SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|drawn| u32::try_from(drawn >> 32).unwrap_or_default())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            [*byte, ..] = self.try_next_u64()?.to_be_bytes();
        }
        Ok(())
    }
}

impl TryCryptoRng for Chance {}
