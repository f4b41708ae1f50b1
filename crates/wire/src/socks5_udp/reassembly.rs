//! Joins the fragments of a SOCKS5 UDP association, RFC 1928 section 7.
//!
//! One queue, as the RFC has it. A fragment counts only in its turn: a gap can never be closed, because a fragment
//! below the highest one seen starts the queue anew. No clock is read: the driver says what time it is.
//! Not here: making fragments, which no client needs and the RFC advises against.
//!
//! ```text
//! Empty --1--> Queue --next position--> Queue --last position--> Empty (Whole)
//! Queue --timer, lower position, stand-alone datagram, gap, other target, too much--> Empty
//! ```

use super::Datagram;
use crate::socks5::address::Address;
use std::borrow::Cow;
use std::time::Duration;

/// How long a queue lives after its first fragment; section 7 asks for 5 seconds at least.
pub const TIMER: Duration = Duration::from_secs(5);

/// Most octets of payload one association holds back: the longest payload a UDP datagram can carry (65,535 less its
/// own header of 8), as nothing longer could be sent on.
pub const MAX_PAYLOAD: usize = 65_527;

/// What became of a datagram.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A whole payload: of a datagram that stands alone (borrowed), or of all fragments (owned).
    Whole {
        /// Where it goes.
        target: Address,
        /// All of it.
        payload: Cow<'a, [u8]>,
    },
    /// Kept until the rest is there.
    Held,
    /// Gone, and with it what was held for the same sequence unless the reason says otherwise.
    Dropped(DropReason),
}

/// Why a fragment is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The position before it is missing.
    Gap,
    /// The same position again; what is held stays.
    Repeated,
    /// Another target than the fragments before it.
    OtherTarget,
    /// More than [`MAX_PAYLOAD`] together.
    TooLong,
    /// The mark of the last fragment without a position.
    NoPosition,
}

impl DropReason {
    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gap => "socks5_udp_fragment_gap",
            Self::Repeated => "socks5_udp_fragment_repeated",
            Self::OtherTarget => "socks5_udp_fragment_other_target",
            Self::TooLong => "socks5_udp_fragment_too_long",
            Self::NoPosition => "socks5_udp_fragment_no_position",
        }
    }
}

/// The fragments of one association. Holds [`MAX_PAYLOAD`] at most, and nothing for those who send none.
#[derive(Default)]
pub struct Reassembly {
    queue: Option<Queue>,
}

struct Queue {
    target: Address,
    highest: u8,
    expires: Duration,
    payload: Vec<u8>,
}

impl Reassembly {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: None }
    }

    /// Takes the next datagram of the association. `now` is the time since any fixed moment.
    pub fn accept<'a>(&mut self, datagram: Datagram<'a>, now: Duration) -> Outcome<'a> {
        self.expire(now);
        let Datagram { frag, target, payload } = datagram;
        let position = frag & !LAST;
        if frag == 0 {
            // Lower than any position, so it ends what was held.
            self.queue = None;
            return Outcome::Whole { target, payload: Cow::Borrowed(payload) };
        }
        let held = match (position, self.queue.take()) {
            (0, _) => return Outcome::Dropped(DropReason::NoPosition),
            (1, _) => Queue { target, highest: 0, expires: now.saturating_add(TIMER), payload: Vec::new() },
            (_, None) => return Outcome::Dropped(DropReason::Gap),
            (_, Some(queue)) if position == queue.highest => {
                self.queue = Some(queue);
                return Outcome::Dropped(DropReason::Repeated);
            }
            (_, Some(queue)) if position != queue.highest + 1 => return Outcome::Dropped(DropReason::Gap),
            (_, Some(queue)) if target != queue.target => return Outcome::Dropped(DropReason::OtherTarget),
            (_, Some(queue)) => queue,
        };
        self.append(held, frag, payload)
    }

    fn append<'a>(&mut self, mut queue: Queue, frag: u8, payload: &[u8]) -> Outcome<'a> {
        if queue.payload.len() + payload.len() > MAX_PAYLOAD {
            return Outcome::Dropped(DropReason::TooLong);
        }
        queue.payload.extend_from_slice(payload);
        if frag & LAST != 0 {
            return Outcome::Whole { target: queue.target, payload: Cow::Owned(queue.payload) };
        }
        queue.highest = frag;
        self.queue = Some(queue);
        Outcome::Held
    }

    /// Forgets what was held too long. [`Self::accept`] does so itself; an idle association calls this to give its
    /// memory back.
    pub fn expire(&mut self, now: Duration) {
        if self.expires().is_some_and(|end| now >= end) {
            self.queue = None;
        }
    }

    /// When the timer ends, if anything is held.
    #[must_use]
    pub fn expires(&self) -> Option<Duration> {
        self.queue.as_ref().map(|queue| queue.expires)
    }
}

/// The high-order bit marks the last fragment.
const LAST: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    const ONE: &str = "192.0.2.1:53";

    fn send(queue: &mut Reassembly, now: u64, frag: u8, to: &str, payload: &[u8]) -> String {
        let target = Address::from(to.parse::<SocketAddr>().unwrap());
        match queue.accept(Datagram { frag, target, payload }, Duration::from_millis(now)) {
            Outcome::Whole { target, payload } => format!("{target} {}", payload.escape_ascii()),
            Outcome::Held => "held".to_owned(),
            Outcome::Dropped(reason) => format!("{reason:?}"),
        }
    }

    /// Sends fragments, all to the same target at the same time unless said, and compares what becomes of each.
    fn check(fragments: &[(u8, &str)], outcomes: &[&str]) {
        let mut queue = Reassembly::new();
        let seen: Vec<String> = fragments
            .iter()
            .map(|(frag, payload)| send(&mut queue, 0, *frag, ONE, payload.as_bytes()))
            .collect();
        assert_eq!(seen, outcomes, "{fragments:?}");
    }

    #[test]
    fn fragments_in_turn_become_one_datagram() {
        check(&[(0, "alone")], &["192.0.2.1:53 alone"]);
        check(&[(1, "a"), (2, "b"), (0x83, "c")], &["held", "held", "192.0.2.1:53 abc"]);
        check(&[(0x81, "only")], &["192.0.2.1:53 only"]);
        check(
            &[(1, "a"), (0x82, ""), (1, "x"), (0x82, "y")],
            &["held", "192.0.2.1:53 a", "held", "192.0.2.1:53 xy"],
        );
    }

    #[test]
    fn a_lower_position_starts_anew() {
        check(&[(1, "old"), (2, "old"), (1, "a"), (0x82, "b")], &["held", "held", "held", "192.0.2.1:53 ab"]);
        check(&[(1, "old"), (0, "alone"), (0x82, "b")], &["held", "192.0.2.1:53 alone", "Gap"]);
        check(
            &[(1, "a"), (2, "b"), (3, "c"), (2, "b"), (0x84, "d")],
            &["held", "held", "held", "Gap", "Gap"],
        );
    }

    #[test]
    fn what_is_missing_or_odd_is_never_made_up() {
        check(&[(2, "b"), (0x83, "c")], &["Gap", "Gap"]);
        check(&[(1, "a"), (3, "c"), (0x84, "d")], &["held", "Gap", "Gap"]);
        check(
            &[(1, "a"), (2, "b"), (2, "b"), (0x83, "c")],
            &["held", "held", "Repeated", "192.0.2.1:53 abc"],
        );
        check(&[(1, "a"), (0x80, "b"), (0x82, "c")], &["held", "NoPosition", "Gap"]);
    }

    #[test]
    fn all_127_positions_can_be_used() {
        let mut queue = Reassembly::new();
        for position in 1..127 {
            assert_eq!(send(&mut queue, 0, position, ONE, b"x"), "held");
        }
        assert_eq!(send(&mut queue, 0, 127 | LAST, ONE, b"!"), format!("{ONE} {}!", "x".repeat(126)));
    }

    #[test]
    fn fragments_to_two_targets_are_not_mixed() {
        let mut queue = Reassembly::new();
        assert_eq!(send(&mut queue, 0, 1, ONE, b"a"), "held");
        assert_eq!(send(&mut queue, 0, 0x82, "192.0.2.2:53", b"b"), "OtherTarget");
        assert_eq!(send(&mut queue, 0, 0x82, ONE, b"b"), "Gap");
    }

    #[test]
    fn the_timer_runs_from_the_first_fragment() {
        let mut queue = Reassembly::new();
        send(&mut queue, 1_000, 1, ONE, b"a");
        assert_eq!(queue.expires(), Some(Duration::from_secs(6)));
        assert_eq!(send(&mut queue, 5_999, 2, ONE, b"b"), "held");
        assert_eq!(queue.expires(), Some(Duration::from_secs(6)));
        assert_eq!(send(&mut queue, 6_000, 0x83, ONE, b"c"), "Gap");

        send(&mut queue, 7_000, 1, ONE, b"a");
        queue.expire(Duration::from_millis(11_999));
        assert!(queue.expires().is_some());
        queue.expire(Duration::from_millis(12_000));
        assert_eq!(queue.expires(), None, "the memory is given back");
    }

    #[test]
    fn no_more_is_held_than_a_datagram_can_carry() {
        let part = vec![b'x'; 60_000];
        let mut queue = Reassembly::new();
        assert_eq!(send(&mut queue, 0, 1, ONE, &part), "held");
        assert_eq!(send(&mut queue, 0, 2, ONE, &part[..5_527]), "held");
        assert_eq!(send(&mut queue, 0, 0x83, ONE, b"y"), "TooLong");
        assert_eq!(queue.expires(), None);
    }
}
