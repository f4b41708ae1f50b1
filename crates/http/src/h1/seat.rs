//! Where a connection's service waits between requests: in one of a shard's few hundred seats.
//!
//! ```text
//! a head begins ──> the service in its own seat, or a fresh one ──> exchange ──> back to the seat
//!                                    a seat that another connection wants is cleared
//! ```
//! A connection that asks again soon finds what it has learned; thousands that keep silent own next to nothing. Not
//! here: what services learn, streams of HTTP/2, which are over after one request.

use crate::service::Service;
use shoalway_net::shard::Shard;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Services that wait on a shard at the most.
const SEATS: usize = 256;

/// Makes a service that has learned nothing.
pub type MakeService = Box<dyn Fn() -> Box<dyn Service>>;

/// The services that wait on a shard, each with its connection's number.
struct Seats<S = Box<dyn Service>> {
    seats: RefCell<Vec<Option<Waiting<S>>>>,
    /// The seat that the next newcomer gets.
    next: Cell<usize>,
    /// The next connection's number.
    number: Cell<u64>,
}

struct Waiting<S> {
    number: u64,
    service: S,
}

impl<S> Default for Seats<S> {
    fn default() -> Self {
        Self { seats: RefCell::default(), next: Cell::new(0), number: Cell::new(0) }
    }
}

impl<S> Seats<S> {
    /// What waits in this seat, when it is this connection's.
    fn take(&self, seat: usize, number: u64) -> Option<S> {
        let mut seats = self.seats.borrow_mut();
        let taken = seats.get_mut(seat)?.take_if(|waiting| waiting.number == number);
        taken.map(|waiting| waiting.service)
    }

    /// Seats a service, where its connection sat before if nobody else does; where that is.
    fn put(&self, seat: usize, number: u64, service: S) -> usize {
        let waiting = Waiting { number, service };
        let mut seats = self.seats.borrow_mut();
        if let Some(empty @ None) = seats.get_mut(seat) {
            *empty = Some(waiting);
            return seat;
        }
        let seat = self.next.get();
        self.next.set((seat + 1) % SEATS);
        let before = match seats.get_mut(seat) {
            Some(other) => other.replace(waiting),
            None => {
                seats.push(Some(waiting));
                None
            }
        };
        drop(seats);
        // Whatever a service does when it goes, it finds the seats free.
        drop(before);
        seat
    }
}

/// A connection's place among the seats of its shard. Dropping it clears the seat.
pub(super) struct Seat {
    make: MakeService,
    seats: Rc<Seats>,
    number: u64,
    seat: usize,
}

impl Seat {
    pub(super) fn new(shard: &Shard, make: MakeService) -> Self {
        let seats: Rc<Seats> = shard.local(Seats::default);
        let number = seats.number.get();
        seats.number.set(number + 1);
        Self { make, seats, number, seat: SEATS }
    }

    /// The service as it was left, or a fresh one.
    pub(super) fn take(&self) -> Box<dyn Service> {
        self.seats.take(self.seat, self.number).unwrap_or_else(|| (self.make)())
    }

    /// Leaves it here.
    pub(super) fn put(&mut self, service: Box<dyn Service>) {
        self.seat = self.seats.put(self.seat, self.number, service);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.seats.take(self.seat, self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_finds_its_own_seat() {
        let seats = Seats::default();
        let seat = seats.put(SEATS, 1, "one");
        assert_eq!(seats.take(seat, 2), None, "another connection's");
        assert_eq!(seats.take(seat, 1), Some("one"));
        assert_eq!(seats.take(seat, 1), None, "it was taken");
        assert_eq!(seats.put(seat, 1, "again"), seat);
    }

    #[test]
    fn there_are_a_few_hundred_seats_and_the_oldest_is_cleared() {
        let seats = Seats::default();
        let service = Rc::new(());
        let first = seats.put(SEATS, 0, Rc::clone(&service));
        for number in 1..=SEATS as u64 {
            seats.put(SEATS, number, Rc::clone(&service));
        }
        assert_eq!(Rc::strong_count(&service), 1 + SEATS);
        assert!(seats.take(first, 0).is_none(), "another connection has its seat");
        assert!(seats.take(first, SEATS as u64).is_some());
    }
}
