//! A small epoll loop: sockets under a number, level-triggered. No timers beyond the wait's own limit.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// One epoll instance and the room for its events.
pub struct Reactor {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Reactor {
    /// Opens one.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(256) })
    }

    /// Watches `source` for `interest` under `token`.
    ///
    /// # Errors
    /// As `epoll_ctl`.
    pub fn add(&self, source: impl AsFd, token: u64, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), interest)?)
    }

    /// Watches `source` for another `interest`.
    ///
    /// # Errors
    /// As `epoll_ctl`.
    pub fn modify(&self, source: impl AsFd, token: u64, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token), interest)?)
    }

    /// As [`Reactor::wait`], but on time to the microsecond: `epoll_wait` knows milliseconds only.
    ///
    /// # Errors
    /// As `ppoll` and `epoll_wait`, a signal excepted.
    pub fn wait_precisely(&mut self, deadline: Instant, ready: &mut Vec<u64>) -> io::Result<()> {
        let now = Instant::now();
        // Under load something is ready almost always: one call then, not two.
        self.wait(now, ready)?;
        let left = deadline.saturating_duration_since(now);
        if !ready.is_empty() || left.is_zero() {
            return Ok(());
        }
        let limit = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.wait(now, ready)
    }

    /// Waits until something is ready or `deadline` is there; the tokens that became ready go to `ready`.
    ///
    /// # Errors
    /// As `epoll_wait`, a signal excepted.
    pub fn wait(&mut self, deadline: Instant, ready: &mut Vec<u64>) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(3600));
        let limit = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        ready.clear();
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| event.data.u64()));
        Ok(())
    }
}
