//! Watches the frames that a peer sends by their headers alone: floods, and lengths that no frame of its type has.
//!
//! The `h2` crate bounds what a peer can make it keep; it does not bound how often a peer makes it work for nothing.
//! Each kind of cheap frame has an allowance that grows with time, and for those that belong to traffic with the
//! traffic. No I/O and no clock: bytes and times come in. Bounded by the crate and not here: CONTINUATION frames of one
//! header block, small DATA frames, streams reset before they were accepted.

use h2::Reason;
use std::time::Duration;

/// Octets of a frame's header, RFC 9113 section 4.1.
const HEADER: usize = 9;

/// How often a peer may send one kind of frame.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: u32,
    most: u32,
    per_second: u32,
    /// When the allowance grew last.
    grown: Duration,
}

impl Allowance {
    const fn new(most: u32, per_second: u32) -> Self {
        Self { left: most, most, per_second, grown: Duration::ZERO }
    }

    /// Takes one; false when there is none left.
    fn take(&mut self, now: Duration) -> bool {
        if self.left == 0 {
            let seconds = now.saturating_sub(self.grown).as_secs();
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            if seconds > 0 {
                self.grown = now;
                self.earn(seconds.saturating_mul(self.per_second));
            }
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }

    fn earn(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }
}

/// Reads the headers of frames as they pass.
#[derive(Debug)]
pub(super) struct Scanner {
    header: [u8; HEADER],
    /// Octets of the header that are here.
    have: usize,
    /// Octets of the frame's payload that are still to come.
    payload: usize,
    first: bool,
    /// A second frame has begun.
    later: bool,
    resets: Allowance,
    pings: Allowance,
    settings: Allowance,
    empty: Allowance,
    idle_talk: Allowance,
    /// Octets sent to the peer that have not yet earned it anything.
    sent: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            payload: 0,
            first: true,
            later: false,
            resets: Allowance::new(256, 32),
            pings: Allowance::new(128, 16),
            settings: Allowance::new(32, 1),
            empty: Allowance::new(64, 16),
            idle_talk: Allowance::new(1_024, 128),
            sent: 0,
        }
    }
}

impl Scanner {
    /// Looks at the next bytes and says how many of them may go on, and why not more.
    pub(super) fn look(&mut self, mut bytes: &[u8], now: Duration) -> (usize, Option<Reason>) {
        let whole = bytes.len();
        while !bytes.is_empty() {
            let passing = self.payload.min(bytes.len());
            self.payload -= passing;
            bytes = bytes.get(passing..).unwrap_or_default();
            let begins = whole - bytes.len();
            let have = self.have;
            let some = (HEADER - have).min(bytes.len());
            let (part, rest) = bytes.split_at_checked(some).unwrap_or_default();
            if let Some(to) = self.header.get_mut(have..have + some) {
                to.copy_from_slice(part);
            }
            self.have += some;
            bytes = rest;
            if self.have == HEADER {
                self.have = 0;
                if let Err(reason) = self.judge(now) {
                    // What came of the header in an earlier piece has gone on: alone it means nothing.
                    return (begins, Some(reason));
                }
            }
        }
        (whole, None)
    }

    /// Whether the first frame was seen whole.
    pub(super) const fn has_first(&self) -> bool {
        !self.first && (self.payload == 0 || self.later)
    }

    /// So many octets were sent to the peer: who is served may ask how long the way is.
    pub(super) fn sent(&mut self, octets: usize) {
        self.sent += octets;
        self.pings.earn(u32::try_from(self.sent / 1_024).unwrap_or(u32::MAX));
        self.sent %= 1_024;
    }

    /// Judges the frame whose header is complete.
    fn judge(&mut self, now: Duration) -> Result<(), Reason> {
        let [a, b, c, kind, flags, ..] = self.header;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.payload = length;
        let first = std::mem::take(&mut self.first);
        self.later = !first;
        if first && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if !has_its_length(kind, flags, length) {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        let good = match kind {
            DATA if length == 0 && flags & END_STREAM == 0 => self.empty.take(now),
            HEADERS | DATA => {
                self.pings.earn(1);
                self.idle_talk.earn(2);
                true
            }
            RST_STREAM => self.resets.take(now),
            PING if flags & ACK == 0 => self.pings.take(now),
            SETTINGS if flags & ACK == 0 => self.settings.take(now),
            WINDOW_UPDATE | PUSH_PROMISE | GOAWAY | CONTINUATION => true,
            // PRIORITY, acknowledgements, and types that nobody here knows.
            _ => self.idle_talk.take(now),
        };
        if good { Ok(()) } else { Err(Reason::ENHANCE_YOUR_CALM) }
    }
}

/// Whether a frame of a type with a fixed length has it: RFC 9113 sections 6.3 to 6.9.
const fn has_its_length(kind: u8, flags: u8, length: usize) -> bool {
    match kind {
        PRIORITY => length == 5,
        RST_STREAM | WINDOW_UPDATE => length == 4,
        SETTINGS if flags & ACK != 0 => length == 0,
        SETTINGS => length.is_multiple_of(6),
        PING => length == 8,
        GOAWAY => length >= 8,
        _ => true,
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, 1];
        bytes.extend_from_slice(payload);
        bytes
    }

    /// How many copies of a frame pass behind the first SETTINGS, all at one moment, and what is said of the next.
    fn passes(kind: u8, flags: u8, payload: &[u8], most: usize) -> (usize, Option<Reason>) {
        let mut scanner = Scanner::default();
        assert_eq!(scanner.look(&frame(SETTINGS, 0, &[]), Duration::ZERO), (9, None));
        let bytes = frame(kind, flags, payload);
        for n in 0..most {
            let (octets, fault) = scanner.look(&bytes, Duration::ZERO);
            if fault.is_some() {
                assert_eq!(octets, 0);
                return (n, fault);
            }
            assert_eq!(octets, bytes.len());
        }
        (most, None)
    }

    #[test]
    fn each_cheap_frame_has_an_allowance() {
        let calm = Some(Reason::ENHANCE_YOUR_CALM);
        for (kind, flags, payload, expected) in [
            (RST_STREAM, 0, &[0; 4][..], (256, calm)),
            (PING, 0, &[0; 8], (128, calm)),
            (PING, ACK, &[0; 8], (1_024, calm)),
            (SETTINGS, 0, &[], (31, calm)),
            (DATA, 0, &[], (64, calm)),
            (DATA, END_STREAM, &[], (5_000, None)),
            (DATA, 0, b"x", (5_000, None)),
            (PRIORITY, 0, &[0; 5], (1_024, calm)),
            (0xbe, 0, b"x", (1_024, calm)),
            (WINDOW_UPDATE, 0, &[0, 0, 0, 1], (5_000, None)),
        ] {
            assert_eq!(passes(kind, flags, payload, 5_000), expected, "type {kind}");
        }
    }

    #[test]
    fn frames_of_a_fixed_length_have_it() {
        let size = Some(Reason::FRAME_SIZE_ERROR);
        for (kind, flags, length, expected) in [
            (PRIORITY, 0, 4, size),
            (PRIORITY, 0, 5, None),
            (RST_STREAM, 0, 3, size),
            (SETTINGS, 0, 5, size),
            (SETTINGS, 0, 12, None),
            (SETTINGS, ACK, 6, size),
            (PING, 0, 7, size),
            (PING, ACK, 9, size),
            (GOAWAY, 0, 7, size),
            (GOAWAY, 0, 9, None),
            (WINDOW_UPDATE, 0, 5, size),
            (CONTINUATION, 0, 5, None),
        ] {
            assert_eq!(passes(kind, flags, &vec![0; length], 1).1, expected, "type {kind}, {length} octets");
        }
    }

    #[test]
    fn the_first_frame_is_settings() {
        for (kind, flags) in [(PING, 0), (SETTINGS, ACK), (HEADERS, 0)] {
            let mut scanner = Scanner::default();
            let said = scanner.look(&frame(kind, flags, &[0; 8]), Duration::ZERO);
            assert_eq!(said, (0, Some(Reason::PROTOCOL_ERROR)));
        }
    }

    #[test]
    fn time_and_traffic_earn_new_allowances() {
        let mut scanner = Scanner::default();
        let take = |scanner: &mut Scanner, now| scanner.pings.take(Duration::from_secs(now));
        assert!((0..128).all(|_| take(&mut scanner, 0)) && !take(&mut scanner, 0));
        assert!((0..16).all(|_| take(&mut scanner, 1)) && !take(&mut scanner, 1));
        scanner.sent(1_000);
        assert!(!take(&mut scanner, 1));
        scanner.sent(24);
        assert!(take(&mut scanner, 1) && !take(&mut scanner, 1));
    }

    #[test]
    fn what_is_said_does_not_depend_on_the_cut() {
        let mut bytes = frame(SETTINGS, 0, &[0; 6]);
        bytes.extend(frame(DATA, 0, b"some content"));
        bytes.extend(frame(PING, 0, &[0; 8]));
        let good = bytes.len();
        bytes.extend(frame(PING, 0, &[0; 7]));
        for cut in 0..=bytes.len() {
            let mut scanner = Scanner::default();
            let (first, second) = bytes.split_at(cut);
            let (before, fault) = scanner.look(first, Duration::ZERO);
            let (after, fault) = match fault {
                Some(fault) => (0, Some(fault)),
                None => scanner.look(second, Duration::ZERO),
            };
            assert_eq!(fault, Some(Reason::FRAME_SIZE_ERROR), "cut at {cut}");
            assert!((good..good + HEADER).contains(&(before + after)), "cut at {cut}: {before} and {after}");
        }
    }
}
