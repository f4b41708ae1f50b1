//! The entries: three of those one was invited to, one preferred, kept for 60 to 120 days (section 11).
//!
//! Whoever takes new entries all the time meets every bad one in the end; so the choice is written down, an entry that
//! fails is tried again and not replaced for a day, and more than six in thirty days are refused (O105). Not here: the
//! file, the links.

use super::below;
use crate::moment::UnixTime;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use shoalway_types::wallet::Address;

/// Entries in use at once.
pub const WANTED: usize = 3;
/// Different entries in thirty days.
pub const MOST_IN_A_MONTH: usize = 6;
const DAY: u64 = 86_400;
const MONTH: u64 = 30 * DAY;
const LEAST_KEPT: u64 = 60 * DAY;
const MOST_KEPT: u64 = 120 * DAY;

/// One entry of the list. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The node, 40 hexadecimal digits after `0x`.
    #[serde(with = "address_text")]
    pub node: Address,
    /// Since when it is used.
    pub since: u64,
    /// Until when it is kept.
    pub until: u64,
    /// Since when it fails without a break; absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<u64>,
    /// Since when it is used no more; it still counts for a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
}

/// The list as it is written down. The first one in use is the preferred one.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    #[serde(default, rename = "entry")]
    all: Vec<Entry>,
}

/// Why there is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntriesError {
    /// Nobody was invited.
    #[error("there is no invitation to any entry that can be used")]
    None,
    /// Somebody may be making entries fail so that one ends at theirs.
    #[error(
        "O105: six different entries were used within 30 days and none works; another one is not tried, since whoever \
         blocks entries may wait for you at the next"
    )]
    TooMany,
}

impl Entries {
    /// Reads the list as it was written down.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_text(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The list, to be written down.
    #[must_use]
    pub fn to_text(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The entries in use, the preferred one first.
    pub fn in_use(&self) -> impl Iterator<Item = &Entry> {
        self.all.iter().filter(|entry| entry.left.is_none())
    }

    /// Brings the list up to date: entries whose time is over, or that failed for a day, or that nobody is invited to
    /// any more, leave; free places are drawn among the invited. Returns whether it must be written down.
    ///
    /// # Errors
    /// [`EntriesError`] when there is no entry at all.
    pub fn refresh(
        &mut self,
        invited: &[Address],
        now: UnixTime,
        rng: &mut dyn Rng,
    ) -> Result<bool, EntriesError> {
        let before = self.all.clone();
        self.all.retain(|entry| entry.left.is_none_or(|left| now.0.saturating_sub(left) < MONTH));
        for entry in &mut self.all {
            let over = now.0 >= entry.until
                || entry.failing.is_some_and(|since| now.0.saturating_sub(since) >= DAY)
                || !invited.contains(&entry.node);
            if over && entry.left.is_none() {
                entry.left = Some(now.0);
            }
        }
        let mut barred = false;
        while self.in_use().count() < WANTED {
            let mut free: Vec<Address> = invited
                .iter()
                .copied()
                .filter(|node| !self.in_use().any(|entry| entry.node == *node))
                .collect();
            let known: Vec<Address> = self.all.iter().map(|entry| entry.node).collect();
            if known.len() >= MOST_IN_A_MONTH {
                let all = free.len();
                // One that failed for a day may be tried again: it is not a seventh.
                free.retain(|node| known.contains(node));
                barred |= free.len() < all;
            } else if free.iter().any(|node| !known.contains(node)) {
                free.retain(|node| !known.contains(node));
            }
            let Some(node) = super::any(&free, rng).copied() else { break };
            let kept = LEAST_KEPT + below(MOST_KEPT - LEAST_KEPT, rng);
            self.all.retain(|entry| entry.node != node);
            let until = now.0.saturating_add(kept);
            self.all.push(Entry { node, since: now.0, until, failing: None, left: None });
        }
        if self.in_use().next().is_none() {
            return Err(if barred { EntriesError::TooMany } else { EntriesError::None });
        }
        Ok(self.all != before)
    }

    /// An entry works. Returns whether it must be written down.
    pub fn works(&mut self, node: Address) -> bool {
        self.change(node, |entry| entry.failing.take().is_some())
    }

    /// An entry fails. Returns whether it must be written down.
    pub fn fails(&mut self, node: Address, now: UnixTime) -> bool {
        self.change(node, |entry| {
            let first = entry.failing.is_none();
            entry.failing.get_or_insert(now.0);
            first
        })
    }

    fn change(&mut self, node: Address, change: impl FnOnce(&mut Entry) -> bool) -> bool {
        self.all.iter_mut().find(|entry| entry.node == node).is_some_and(change)
    }
}

mod address_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use shoalway_types::wallet::Address;

    pub(super) fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::tests::Counting;

    const START: UnixTime = UnixTime(1_800_000_000);

    fn invited(count: u8) -> Vec<Address> {
        (1..=count).map(|n| Address([n; 20])).collect()
    }

    fn fresh(count: u8) -> Entries {
        let mut entries = Entries::default();
        assert_eq!(entries.refresh(&invited(count), START, &mut Counting(5)), Ok(true));
        entries
    }

    fn nodes(entries: &Entries) -> Vec<u8> {
        entries.in_use().map(|entry| entry.node.0[0]).collect()
    }

    #[test]
    fn three_entries_are_taken_and_kept_for_two_to_four_months() {
        let mut entries = fresh(9);
        assert_eq!(nodes(&entries).len(), 3);
        let before = nodes(&entries);
        assert_eq!(entries.refresh(&invited(9), START.plus(59 * DAY), &mut Counting(6)), Ok(false));
        assert_eq!(nodes(&entries), before);
        entries.refresh(&invited(9), START.plus(120 * DAY), &mut Counting(7)).unwrap();
        assert!(nodes(&entries).iter().all(|node| !before.contains(node)));
    }

    #[test]
    fn an_entry_that_fails_is_replaced_after_a_day_and_not_before() {
        let mut entries = fresh(9);
        let first = nodes(&entries)[0];
        assert!(entries.fails(Address([first; 20]), START));
        assert!(!entries.fails(Address([first; 20]), START.plus(60)), "nothing new to write down");
        entries.refresh(&invited(9), START.plus(DAY - 1), &mut Counting(1)).unwrap();
        assert!(nodes(&entries).contains(&first));
        entries.refresh(&invited(9), START.plus(DAY), &mut Counting(1)).unwrap();
        assert!(!nodes(&entries).contains(&first));
        assert_eq!(nodes(&entries).len(), 3);
    }

    #[test]
    fn an_entry_that_works_again_starts_its_day_anew() {
        let mut entries = fresh(9);
        let first = Address([nodes(&entries)[0]; 20]);
        entries.fails(first, START);
        assert!(entries.works(first));
        entries.fails(first, START.plus(DAY));
        entries.refresh(&invited(9), START.plus(DAY + 60), &mut Counting(1)).unwrap();
        assert!(nodes(&entries).contains(&first.0[0]));
    }

    #[test]
    fn a_seventh_entry_within_a_month_is_refused() {
        let mut entries = fresh(40);
        let mut seen: Vec<u8> = nodes(&entries);
        for day in 1..=20 {
            for node in nodes(&entries) {
                entries.fails(Address([node; 20]), START.plus((day - 1) * DAY));
            }
            entries.refresh(&invited(40), START.plus(day * DAY), &mut Counting(day)).unwrap();
            seen.extend(nodes(&entries));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), MOST_IN_A_MONTH);
        let others: Vec<Address> = (50..60).map(|n| Address([n; 20])).collect();
        assert_eq!(
            entries.refresh(&others, START.plus(21 * DAY), &mut Counting(1)),
            Err(EntriesError::TooMany)
        );
        assert_eq!(entries.refresh(&others, START.plus(60 * DAY), &mut Counting(1)), Ok(true));
    }

    #[test]
    fn without_an_invitation_there_is_no_entry() {
        let mut entries = Entries::default();
        assert_eq!(entries.refresh(&[], START, &mut Counting(1)), Err(EntriesError::None));
        assert_eq!(entries.refresh(&invited(1), START, &mut Counting(1)), Ok(true));
        assert_eq!(nodes(&entries), [1], "one is better than none");
    }

    #[test]
    fn the_list_is_written_down_and_read_back() {
        let mut entries = fresh(5);
        entries.fails(Address([nodes(&entries)[1]; 20]), START.plus(9));
        let text = entries.to_text();
        assert!(Entries::from_text(&text) == Ok(entries));
        assert!(Entries::from_text(&text.replace("since", "sins")).is_err());
    }
}
