//! What one request of a connection teaches for the next ones, and how streams of HTTP/2 hand it on.
//!
//! An HTTP/1 connection has one service and keeps it while it can; a stream of HTTP/2 has its own, and lends what the streams before it
//! have learned. Not here: finding it out (`choose.rs`).

use super::choose::{Choice, Place};
use super::{Arrival, Gateway};
use shoalway_net::shard::Shard;
use shoalway_wire::http1::compose::Lines;
use shoalway_wire::http1::framing::Version;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// What was learned under one plan.
pub(super) struct Learned {
    pub(super) gateway: Rc<Gateway>,
    /// The host of the last request.
    pub(super) place: Option<Place>,
    /// What the last target was, and what was made of it.
    pub(super) choice: Choice,
    /// What upstreams are told, and for which version that holds; none: to be written anew.
    pub(super) told: Lines,
    pub(super) told_for: Option<Version>,
}

impl Learned {
    pub(super) fn new(gateway: Rc<Gateway>) -> Self {
        Self { gateway, place: None, choice: Choice::default(), told: Lines::new(), told_for: None }
    }
}

/// What was learned, until it goes back to the connection.
pub(super) struct Lent {
    learned: Learned,
    arrival: Rc<Arrival>,
}

impl Lent {
    /// What an earlier stream has learned under this plan, or nothing yet.
    pub(super) fn new(gateway: Rc<Gateway>, arrival: Rc<Arrival>) -> Self {
        let spare = arrival.spare.borrow_mut().as_mut().and_then(Spare::pop);
        let same = spare.filter(|learned| Rc::ptr_eq(&learned.gateway, &gateway));
        Self { learned: same.unwrap_or_else(|| Learned::new(gateway)), arrival }
    }
}

impl Deref for Lent {
    type Target = Learned;

    fn deref(&self) -> &Learned {
        &self.learned
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Learned {
        &mut self.learned
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(spare) = &mut *self.arrival.spare.borrow_mut()
            && spare.has_room()
        {
            let nothing = Learned::new(Rc::clone(&self.learned.gateway));
            spare.push(std::mem::replace(&mut self.learned, nothing));
        }
    }
}

/// A connection keeps what so many streams have learned at once, whatever others keep.
const KEPT: usize = 8;
/// And all connections of a shard together so much more: what is busy now has many streams at once.
const MORE: usize = 512;

/// What streams of a connection that have ended have learned.
pub(super) struct Spare<T = Learned> {
    learned: Vec<T>,
    /// What the connections of the shard keep beyond [`KEPT`] each.
    more: Rc<More>,
}

#[derive(Default)]
struct More(Cell<usize>);

impl<T> Spare<T> {
    pub(super) fn new(shard: &Shard) -> Self {
        Self { learned: Vec::new(), more: shard.local(More::default) }
    }

    fn has_room(&self) -> bool {
        self.learned.len() < KEPT || self.more.0.get() < MORE
    }

    fn push(&mut self, learned: T) {
        if self.learned.len() >= KEPT {
            self.more.0.set(self.more.0.get() + 1);
        }
        self.learned.push(learned);
    }

    fn pop(&mut self) -> Option<T> {
        if self.learned.len() > KEPT {
            self.more.0.set(self.more.0.get().saturating_sub(1));
        }
        self.learned.pop()
    }
}

impl<T> Drop for Spare<T> {
    fn drop(&mut self) {
        let more = self.learned.len().saturating_sub(KEPT);
        self.more.0.set(self.more.0.get().saturating_sub(more));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_connection_keeps_more_until_it_goes() {
        Shard::test(async |shard| {
            let (mut busy, mut other) = (Spare::new(&shard), Spare::new(&shard));
            while busy.has_room() {
                busy.push(1);
            }
            assert_eq!(busy.learned.len(), KEPT + MORE);
            for _ in 0..KEPT {
                assert!(other.has_room(), "its own");
                other.push(2);
            }
            assert!(!other.has_room());
            assert!(busy.pop().is_some() && other.has_room());
            drop(busy);
            assert_eq!(other.more.0.get(), 0);
        });
    }
}
