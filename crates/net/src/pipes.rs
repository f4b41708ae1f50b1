//! Kernel pipes for splice: 1 MiB each, a few a shard, borrowed per burst.
//!
//! Without privilege a user has 16,384 pipe pages in all (64 pipes of 1 MiB, `pipe-user-pages-soft`), so a shard
//! keeps at most [`LARGE`]. None free, or the kernel refuses the size: the relay copies. A pipe that may still hold
//! bytes is closed, never returned.

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Pipes a shard has at the most, in use and free.
pub const LARGE: usize = 16;
/// Bytes a pipe holds.
pub const SIZE: usize = 1 << 20;

/// The pipes of one shard.
#[derive(Default)]
pub struct Pipes {
    free: RefCell<Vec<(OwnedFd, OwnedFd)>>,
    open: Cell<usize>,
    refused: Cell<bool>,
}

impl Pipes {
    /// No pipes yet.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// A pipe, empty; none when all are in use or the kernel gives no more.
    #[must_use]
    pub fn take(self: &Rc<Self>) -> Option<Pipe> {
        if let Some((output, input)) = self.free.borrow_mut().pop() {
            return Some(Pipe { ends: Some((output, input)), held: 0, pool: Rc::clone(self) });
        }
        if self.open.get() >= LARGE || self.refused.get() {
            return None;
        }
        let (output, input) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        if fcntl_setpipe_size(&input, SIZE).is_err() {
            // The user's share of pipe pages is spent: asking again for each burst would only cost calls.
            self.refused.set(true);
            return None;
        }
        self.open.set(self.open.get() + 1);
        Some(Pipe { ends: Some((output, input)), held: 0, pool: Rc::clone(self) })
    }
}

/// A borrowed pipe; goes back when dropped empty.
pub struct Pipe {
    ends: Option<(OwnedFd, OwnedFd)>,
    held: usize,
    pool: Rc<Pipes>,
}

impl Pipe {
    /// Reading end and writing end.
    #[must_use]
    pub const fn ends(&self) -> Option<&(OwnedFd, OwnedFd)> {
        self.ends.as_ref()
    }

    /// Bytes in the pipe.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// `n` bytes went in.
    pub const fn filled(&mut self, n: usize) {
        self.held = self.held.saturating_add(n);
    }

    /// `n` bytes came out.
    pub const fn drained(&mut self, n: usize) {
        self.held = self.held.saturating_sub(n);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        match self.ends.take() {
            Some(ends) if self.held == 0 => self.pool.free.borrow_mut().push(ends),
            _ => self.pool.open.set(self.pool.open.get().saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_a_bounded_number_of_pipes() {
        let pool = Pipes::new();
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).take(LARGE + 5).collect();
        assert!(taken.len() <= LARGE);
        let open = taken.len();
        drop(taken);
        assert_eq!(pool.free.borrow().len(), open);
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_not_used_again() {
        let pool = Pipes::new();
        let Some(mut pipe) = pool.take() else { return };
        pipe.filled(1);
        drop(pipe);
        assert!(pool.free.borrow().is_empty());
        assert_eq!(pool.open.get(), 0);
    }
}
