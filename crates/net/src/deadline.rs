//! Lazy deadlines: setting one is a store, and a wheel looks at it only when its slot comes.
//!
//! A connection has one [`Deadline`]. Before it waits for a peer it stores when the wait must end; the wheel (one a
//! shard, 100 ms slots) finds the entry at the slot where it was last put, sees whether the time has moved, and puts
//! it on or wakes the task. So a deadline is late by at most a slot, and never early. The wheel sleeps until its
//! next occupied slot: an idle process makes no wake-ups. Also the register of all that waits: a drain ends idle
//! connections by walking it. Not here: timers that need better than 100 ms (tokio's are used for those).

use crate::clock;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Width of a slot; a deadline fires at most this late.
pub const SLOT: Duration = Duration::from_millis(100);
const SLOT_MS: u64 = 100;
/// Slots of the wheel: one round is 51.2 s, later deadlines stay for several rounds.
const SLOTS: usize = 512;
const NEVER: u64 = u64::MAX;
const UNSLOTTED: u32 = u32::MAX;

/// What a connection is doing while its deadline runs, for those who walk the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Work is under way; a drain leaves it alone until its limit.
    Busy,
    /// A kept-alive connection between requests; a drain or memory pressure may end it.
    Idle,
}

/// Why a deadline came true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Its time passed.
    Time,
    /// Somebody ended the wait: drain, memory pressure, or a rule changed by a reload.
    Ended,
}

struct Entry {
    at_ms: Cell<u64>,
    slot: Cell<u32>,
    position: Cell<u32>,
    wait: Cell<Wait>,
    ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The wheel of one shard.
pub struct Wheel {
    epoch: Instant,
    slots: RefCell<Vec<Vec<Rc<Entry>>>>,
    occupied: RefCell<[u64; SLOTS / 64]>,
    /// The tick up to which slots have been visited.
    visited: Cell<u64>,
    /// The tick that the driver sleeps for.
    armed: Cell<u64>,
    driver: RefCell<Option<Waker>>,
}

impl Wheel {
    /// An empty wheel; [`Wheel::drive`] must run for it to turn.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            epoch: Instant::now(),
            slots: RefCell::new((0..SLOTS).map(|_| Vec::new()).collect()),
            occupied: RefCell::new([0; SLOTS / 64]),
            visited: Cell::new(0),
            armed: Cell::new(NEVER),
            driver: RefCell::new(None),
        })
    }

    /// A deadline on this wheel, not yet set.
    #[must_use]
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        let entry = Entry {
            at_ms: Cell::new(NEVER),
            slot: Cell::new(UNSLOTTED),
            position: Cell::new(0),
            wait: Cell::new(Wait::Busy),
            ended: Cell::new(false),
            waker: RefCell::new(None),
        };
        Deadline { entry: Rc::new(entry), wheel: Rc::clone(self) }
    }

    /// Turns the wheel for ever. Cancel safety: may be dropped and called again.
    pub async fn drive(self: Rc<Self>) {
        loop {
            let tick = self.next_occupied();
            self.armed.set(tick);
            self.sleep_until_tick(tick).await;
            clock::new_turn();
            self.visit(self.now_ms() / SLOT_MS);
        }
    }

    /// Ends up to `most` idle waits (oldest deadline first within a slot), each after `delay()`.
    pub fn end_idle(&self, most: usize, mut delay: impl FnMut() -> Duration) -> usize {
        let idle: Vec<Rc<Entry>> = self
            .slots
            .borrow()
            .iter()
            .flatten()
            .filter(|entry| entry.wait.get() == Wait::Idle && !entry.ended.get())
            .take(most)
            .map(Rc::clone)
            .collect();
        for entry in &idle {
            entry.ended.set(true);
            let at = self.now_ms() + u64::try_from(delay().as_millis()).unwrap_or(0);
            self.move_to(entry, at.min(entry.at_ms.get()));
        }
        idle.len()
    }

    /// Deadlines that are set now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.borrow().iter().map(Vec::len).sum()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn now_ms(&self) -> u64 {
        self.ms(clock::now())
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(NEVER)
    }

    async fn sleep_until_tick(&self, tick: u64) {
        let far = Duration::from_secs(86_400);
        let wake = if tick == NEVER {
            clock::now() + far
        } else {
            self.epoch + Duration::from_millis(tick.saturating_mul(SLOT_MS))
        };
        let sleep = sleep_until(wake);
        tokio::pin!(sleep);
        poll_fn(|cx| {
            if sleep.as_mut().poll(cx).is_ready() || self.armed.get() < tick {
                return Poll::Ready(());
            }
            *self.driver.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Visits every occupied slot after the last visited tick, up to and including `tick`.
    fn visit(&self, tick: u64) {
        let from = self.visited.get();
        self.visited.set(tick.max(from));
        let span = tick.saturating_sub(from).min(SLOTS as u64);
        for step in 0..span {
            self.visit_slot(index_of(tick - step));
        }
    }

    fn visit_slot(&self, index: usize) {
        let entries = match self.slots.borrow_mut().get_mut(index) {
            Some(slot) if !slot.is_empty() => std::mem::take(slot),
            _ => return,
        };
        self.mark(index, false);
        let now = self.now_ms();
        for entry in entries {
            entry.slot.set(UNSLOTTED);
            if entry.at_ms.get() <= now {
                if let Some(waker) = entry.waker.borrow_mut().take() {
                    waker.wake();
                }
            } else if entry.at_ms.get() != NEVER {
                self.insert(&entry);
            }
        }
    }

    fn insert(&self, entry: &Rc<Entry>) {
        let tick = (entry.at_ms.get() / SLOT_MS + 1).max(self.visited.get() + 1);
        let index = index_of(tick);
        if let Some(slot) = self.slots.borrow_mut().get_mut(index) {
            entry.slot.set(u32::try_from(index).unwrap_or(0));
            entry.position.set(u32::try_from(slot.len()).unwrap_or(UNSLOTTED));
            slot.push(Rc::clone(entry));
        }
        self.mark(index, true);
        let due = tick.min(self.visited.get() + SLOTS as u64);
        if due < self.armed.get() {
            self.armed.set(due);
            if let Some(waker) = self.driver.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    fn remove(&self, entry: &Entry) {
        if entry.slot.get() == UNSLOTTED {
            return;
        }
        let (index, position) = (entry.slot.get() as usize, entry.position.get() as usize);
        entry.slot.set(UNSLOTTED);
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(index) else { return };
        if position < slot.len() {
            slot.swap_remove(position);
        }
        if let Some(moved) = slot.get(position) {
            moved.position.set(entry.position.get());
        }
        if slot.is_empty() {
            slot.shrink_to(16);
            drop(slots);
            self.mark(index, false);
        }
    }

    fn move_to(&self, entry: &Rc<Entry>, at_ms: u64) {
        entry.at_ms.set(at_ms);
        self.remove(entry);
        self.insert(entry);
    }

    fn mark(&self, index: usize, set: bool) {
        if let Some(word) = self.occupied.borrow_mut().get_mut(index / 64) {
            let bit = 1u64 << (index % 64);
            *word = if set { *word | bit } else { *word & !bit };
        }
    }

    /// The next tick whose slot holds an entry, within one round.
    fn next_occupied(&self) -> u64 {
        let occupied = self.occupied.borrow();
        let first = self.visited.get() + 1;
        (first..first + SLOTS as u64)
            .find(|tick| {
                let index = index_of(*tick);
                occupied.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
            })
            .unwrap_or(NEVER)
    }
}

const fn index_of(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

/// One connection's deadline. Dropping it takes it off the wheel.
pub struct Deadline {
    entry: Rc<Entry>,
    wheel: Rc<Wheel>,
}

impl Deadline {
    /// The wait must end `limit` from now. Costs a store, unless the deadline comes nearer than it was.
    pub fn after(&self, limit: Duration, wait: Wait) {
        if self.entry.ended.get() && self.entry.at_ms.get() == 0 {
            // Ended from outside: a connection that is busy must not put its end off.
            return;
        }
        let at = self.wheel.now_ms().saturating_add(u64::try_from(limit.as_millis()).unwrap_or(NEVER / 2));
        self.entry.wait.set(wait);
        let before = self.entry.at_ms.replace(at);
        if self.entry.slot.get() == UNSLOTTED {
            self.wheel.insert(&self.entry);
        } else if at < before {
            self.wheel.move_to(&self.entry, at);
        }
    }

    /// No limit for now: the next wait sets its own.
    pub fn clear(&self) {
        self.entry.at_ms.set(NEVER);
        self.entry.wait.set(Wait::Busy);
    }

    /// Ends the wait now, from outside the task that waits.
    pub fn end(&self) {
        self.entry.ended.set(true);
        self.entry.at_ms.set(0);
        if let Some(waker) = self.entry.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// A handle with which others end this wait; it does not keep the connection alive.
    #[must_use]
    pub fn ender(&self) -> Ender {
        Ender { entry: Rc::downgrade(&self.entry) }
    }

    /// Ready when the time has passed; otherwise the task is woken then.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<Expiry> {
        if let Some(expiry) = self.expired() {
            return Poll::Ready(expiry);
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether the time has passed, without waiting.
    #[must_use]
    pub fn expired(&self) -> Option<Expiry> {
        let at = self.entry.at_ms.get();
        if at == NEVER || at > self.wheel.now_ms() {
            return None;
        }
        Some(if self.entry.ended.get() { Expiry::Ended } else { Expiry::Time })
    }

    /// Waits for `work`, but no longer than the deadline.
    ///
    /// # Errors
    /// [`Expiry`] when the deadline came first; `work` is then dropped.
    pub async fn guard<F: Future>(&self, work: F) -> Result<F::Output, Expiry> {
        tokio::pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.wheel.remove(&self.entry);
    }
}

/// Ends a wait from outside; see [`Deadline::ender`].
#[derive(Clone)]
pub struct Ender {
    entry: std::rc::Weak<Entry>,
}

impl Ender {
    /// Ends the wait now. False when the connection is already gone.
    #[must_use]
    pub fn end(&self) -> bool {
        let Some(entry) = self.entry.upgrade() else { return false };
        entry.ended.set(true);
        entry.at_ms.set(0);
        if let Some(waker) = entry.waker.borrow_mut().take() {
            waker.wake();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Shard;

    #[test]
    fn a_deadline_fires_after_its_time_and_within_a_slot() {
        Shard::test(async |shard| {
            let start = Instant::now();
            let deadline = shard.deadline();
            deadline.after(Duration::from_millis(250), Wait::Busy);
            assert_eq!(deadline.guard(std::future::pending::<()>()).await, Err(Expiry::Time));
            let late = start.elapsed();
            assert!(late >= Duration::from_millis(250) && late <= Duration::from_millis(360), "{late:?}");
        });
    }

    #[test]
    fn a_deadline_moved_later_does_not_fire_early() {
        Shard::test(async |shard| {
            let start = Instant::now();
            let deadline = shard.deadline();
            deadline.after(Duration::from_secs(1), Wait::Busy);
            deadline.after(Duration::from_secs(70), Wait::Busy);
            assert_eq!(deadline.guard(std::future::pending::<()>()).await, Err(Expiry::Time));
            assert!(start.elapsed() >= Duration::from_secs(70));
        });
    }

    #[test]
    fn a_deadline_moved_nearer_fires_at_the_nearer_time() {
        Shard::test(async |shard| {
            let start = Instant::now();
            let deadline = shard.deadline();
            deadline.after(Duration::from_secs(600), Wait::Busy);
            deadline.after(Duration::from_secs(1), Wait::Busy);
            assert_eq!(deadline.guard(std::future::pending::<()>()).await, Err(Expiry::Time));
            assert!(start.elapsed() < Duration::from_secs(2));
        });
    }

    #[test]
    fn work_that_ends_in_time_wins() {
        Shard::test(async |shard| {
            let deadline = shard.deadline();
            deadline.after(Duration::from_secs(1), Wait::Busy);
            assert_eq!(deadline.guard(async { 7 }).await, Ok(7));
        });
    }

    #[test]
    fn dropped_deadlines_leave_the_wheel() {
        Shard::test(async |shard| {
            let deadlines: Vec<_> = (0..100).map(|_| shard.deadline()).collect();
            for (n, deadline) in deadlines.iter().enumerate() {
                deadline.after(Duration::from_millis(n as u64 * 37), Wait::Busy);
            }
            assert_eq!(shard.wheel().len(), 100);
            drop(deadlines);
            assert!(shard.wheel().is_empty());
        });
    }

    #[test]
    fn idle_waits_are_ended_and_busy_ones_left() {
        Shard::test(async |shard| {
            let (idle, busy) = (shard.deadline(), shard.deadline());
            idle.after(Duration::from_secs(60), Wait::Idle);
            busy.after(Duration::from_secs(60), Wait::Busy);
            assert_eq!(shard.wheel().end_idle(10, || Duration::ZERO), 1);
            assert_eq!(idle.guard(std::future::pending::<()>()).await, Err(Expiry::Ended));
            assert_eq!(busy.expired(), None);
        });
    }
}
