//! Which keys of a node are due, by their ages alone (ovl1 sections 2.2, 4).
//!
//! A key for circuits is offered for 24 h and taken for 60 h; a key for links is used for 60 days and taken for 90. What is
//! over is erased. Not here: making and erasing (`store`), when this is asked (`life`).

use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::descriptor::{KEM_ACCEPTED_SECONDS, KEM_OFFERED_SECONDS};

/// The next key for circuits is made this long before the one in use is no longer offered.
pub const KEM_AHEAD_SECONDS: u64 = 3_600;
/// A key for links stands in descriptors and invitations for 60 days.
pub const LINK_USED_SECONDS: u64 = 60 * 86_400;
/// A key for links lives for 90 days.
pub const LINK_TAKEN_SECONDS: u64 = 90 * 86_400;
/// A key that was made later than this from now was made by another clock.
pub const FUTURE_SECONDS: u64 = 600;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// A new key for circuits.
    pub kem: bool,
    /// A new key for links.
    pub link: bool,
    /// Keys for circuits to be erased, by when they were made.
    pub old_kems: Vec<UnixTime>,
    /// Keys for links to be erased, by when they were made.
    pub old_links: Vec<UnixTime>,
}

/// What is due of keys that were made at these times.
#[must_use]
pub fn due(kems: &[UnixTime], links: &[UnixTime], now: UnixTime) -> Due {
    let over = |made: &[UnixTime], life| {
        made.iter().copied().filter(|made| made.plus(life) < now).collect::<Vec<_>>()
    };
    let fresh = |made: &[UnixTime], use_for| made.iter().any(|made| now < made.plus(use_for));
    Due {
        kem: !fresh(kems, KEM_OFFERED_SECONDS - KEM_AHEAD_SECONDS),
        link: !fresh(links, LINK_USED_SECONDS),
        old_kems: over(kems, KEM_ACCEPTED_SECONDS),
        old_links: over(links, LINK_TAKEN_SECONDS),
    }
}

/// Whether any was made by a clock that is ahead.
#[must_use]
pub fn is_from_future(made: &[UnixTime], now: UnixTime) -> bool {
    made.iter().any(|made| *made > now.plus(FUTURE_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime(1_800_000_000);
    const HOUR: u64 = 3_600;
    const DAY: u64 = 86_400;

    #[test]
    fn keys_for_circuits_are_due_a_while_before_they_are_over() {
        let ago = |hours: u64| NOON.minus(hours * HOUR);
        for (made, wanted, old, why) in [
            (vec![], true, vec![], "there is none"),
            (vec![ago(0)], false, vec![], "it is new"),
            (vec![ago(22)], false, vec![], "it is offered for two more hours"),
            (vec![ago(23)], true, vec![], "it is offered for one more hour"),
            (vec![ago(23), ago(0)], false, vec![], "the next one is there"),
            (vec![ago(60), ago(1)], false, vec![], "its last second"),
            (vec![ago(61), ago(37), ago(13)], false, vec![ago(61)], "one is over"),
            (vec![ago(200)], true, vec![ago(200)], "the node was off for a week"),
        ] {
            let due = due(&made, &[NOON], NOON);
            assert_eq!((due.kem, due.old_kems, due.link), (wanted, old, false), "{why}");
        }
    }

    #[test]
    fn keys_for_links_overlap_by_thirty_days() {
        let ago = |days: u64| NOON.minus(days * DAY);
        for (made, wanted, old, why) in [
            (vec![], true, vec![], "there is none"),
            (vec![ago(59)], false, vec![], "it is in use"),
            (vec![ago(60)], true, vec![], "another is used from now on"),
            (vec![ago(61), ago(1)], false, vec![], "the old one is still taken"),
            (vec![ago(90), ago(30)], false, vec![], "its last second"),
            (vec![ago(91), ago(31)], false, vec![ago(91)], "the old one is over"),
        ] {
            let due = due(&[NOON], &made, NOON);
            assert_eq!((due.link, due.old_links, due.kem), (wanted, old, false), "{why}");
        }
    }

    #[test]
    fn a_key_of_tomorrow_is_noticed() {
        assert!(!is_from_future(&[NOON.plus(600)], NOON));
        assert!(is_from_future(&[NOON, NOON.plus(601)], NOON));
    }
}
