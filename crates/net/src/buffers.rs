//! I/O buffers: size classes 4, 16, 64 and 256 KiB, free lists a shard, never zeroed when reused.
//!
//! An idle connection owns none. What outlives a read is copied into its own store: a slice of an I/O buffer is
//! never kept. Every buffer alive is counted; the sum over the shards is what the memory budget looks at.

use crate::counters::ShardCounters;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of each class.
pub const CLASSES: [usize; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// Free buffers a shard keeps at the most, in bytes (default 16 MiB).
const KEPT: usize = 16 << 20;

/// A size class of buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 4 KiB: a client's head.
    Small,
    /// 16 KiB: an upstream's answer.
    Medium,
    /// 64 KiB: a flowing body.
    Large,
    /// 256 KiB: bulk that cannot be spliced.
    Huge,
}

impl Class {
    /// Bytes a buffer of this class holds.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Small => 4 << 10,
            Self::Medium => 16 << 10,
            Self::Large => 64 << 10,
            Self::Huge => 256 << 10,
        }
    }

    /// The next larger class, or itself.
    #[must_use]
    pub const fn larger(self) -> Self {
        match self {
            Self::Small => Self::Medium,
            Self::Medium => Self::Large,
            Self::Large | Self::Huge => Self::Huge,
        }
    }

    /// The next smaller class, or itself.
    #[must_use]
    pub const fn smaller(self) -> Self {
        match self {
            Self::Small | Self::Medium => Self::Small,
            Self::Large => Self::Medium,
            Self::Huge => Self::Large,
        }
    }

    /// The smallest class that holds `bytes`, if any does.
    #[must_use]
    pub fn holding(bytes: usize) -> Option<Self> {
        [Self::Small, Self::Medium, Self::Large, Self::Huge].into_iter().find(|class| class.bytes() >= bytes)
    }
}

/// The pools of one shard.
#[derive(Default)]
pub struct Buffers {
    free: [RefCell<Vec<Box<[u8]>>>; 4],
    kept: Cell<usize>,
    counters: Arc<ShardCounters>,
}

impl Buffers {
    /// Empty pools that publish what is in use as `buffer_bytes`.
    #[must_use]
    pub fn new(counters: Arc<ShardCounters>) -> Rc<Self> {
        Rc::new(Self { counters, ..Self::default() })
    }

    /// A buffer of the class, reused when one is free. Its bytes are whatever they were.
    #[must_use]
    pub fn take(self: &Rc<Self>, class: Class) -> Buffer {
        self.counters.buffer_bytes.add(class.bytes() as u64);
        let data = match self.list(class).borrow_mut().pop() {
            Some(data) => {
                self.kept.set(self.kept.get() - data.len());
                data
            }
            None => vec![0; class.bytes()].into_boxed_slice(),
        };
        Buffer { data, class, start: 0, end: 0, pool: Rc::clone(self) }
    }

    /// Bytes in buffers that are in use.
    #[must_use]
    pub fn alive(&self) -> u64 {
        self.counters.buffer_bytes.get()
    }

    const fn list(&self, class: Class) -> &RefCell<Vec<Box<[u8]>>> {
        let [small, medium, large, huge] = &self.free;
        match class {
            Class::Small => small,
            Class::Medium => medium,
            Class::Large => large,
            Class::Huge => huge,
        }
    }

    fn give_back(&self, class: Class, data: Box<[u8]>) {
        self.counters.buffer_bytes.sub(data.len() as u64);
        if self.kept.get() + data.len() <= KEPT {
            self.kept.set(self.kept.get() + data.len());
            self.list(class).borrow_mut().push(data);
        }
    }
}

/// A pooled buffer: bytes received and not yet consumed stand between `start` and `end`.
pub struct Buffer {
    data: Box<[u8]>,
    class: Class,
    start: usize,
    end: usize,
    pool: Rc<Buffers>,
}

impl Buffer {
    /// Bytes received and not yet consumed.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.data.get(self.start..self.end).unwrap_or_default()
    }

    /// Room behind them.
    pub fn space(&mut self) -> &mut [u8] {
        self.data.get_mut(self.end..).unwrap_or_default()
    }

    /// `n` bytes of the room were written.
    pub fn commit(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
    }

    /// The first `n` bytes are done with.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Keeps the first `n` bytes only.
    pub fn truncate(&mut self, n: usize) {
        self.end = (self.start + n).min(self.end);
    }

    /// Number of bytes received and not yet consumed.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The size class.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Moves the bytes to the front when they begin behind it.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Makes room: moves the bytes to the front, or into the next larger class when they fill this one.
    /// False when the largest class is full.
    pub fn make_room(&mut self) -> bool {
        if self.end < self.data.len() {
            return true;
        }
        if self.start > 0 {
            self.compact();
            return true;
        }
        let class = self.class.larger();
        if class == self.class {
            return false;
        }
        let mut next = self.pool.take(class);
        next.append(self.filled());
        *self = next;
        true
    }

    /// Copies as much of `bytes` as there is room for; returns how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let room = self.space();
        let n = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.commit(n);
        n
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(self.class, std::mem::take(&mut self.data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_used_again() {
        let pool = Buffers::new(Arc::default());
        let first = pool.take(Class::Small);
        let place = first.data.as_ptr();
        assert_eq!(pool.alive(), 4096);
        drop(first);
        assert_eq!(pool.alive(), 0);
        assert_eq!(pool.take(Class::Small).data.as_ptr(), place);
    }

    #[test]
    fn bytes_are_kept_while_a_buffer_grows() {
        let pool = Buffers::new(Arc::default());
        let mut buffer = pool.take(Class::Small);
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let mut done = 0;
        while done < bytes.len() {
            assert!(buffer.make_room());
            done += buffer.append(&bytes[done..]);
        }
        assert_eq!(buffer.filled(), &bytes[..]);
        assert_eq!(buffer.class(), Class::Medium);
        buffer.consume(4990);
        assert_eq!(buffer.filled(), &bytes[4990..]);
        buffer.compact();
        assert_eq!(buffer.filled(), &bytes[4990..]);
    }

    #[test]
    fn the_largest_class_says_when_it_is_full() {
        let pool = Buffers::new(Arc::default());
        let mut buffer = pool.take(Class::Huge);
        let n = buffer.space().len();
        buffer.commit(n);
        assert!(!buffer.make_room());
    }

    #[test]
    fn free_lists_have_a_cap() {
        let pool = Buffers::new(Arc::default());
        let many: Vec<_> = (0..100).map(|_| pool.take(Class::Huge)).collect();
        drop(many);
        assert!(pool.kept.get() <= KEPT);
    }
}
