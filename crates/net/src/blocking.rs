//! Slow work off the shards: a few threads and one bounded queue.
//!
//! For password hashes, list compilation, reads that may wait for a disk. A full queue is an answer (`503`), never
//! an unbounded wait. Not here: anything that waits for a peer.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait (default 256).
const QUEUE: usize = 256;

/// The pool; clones share it. Its threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Blocking {
    queue: SyncSender<Job>,
}

/// The queue was full, or the job died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much slow work at once")]
pub struct Busy;

impl Blocking {
    /// Starts `threads` threads (at least one).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for n in 0..threads.max(1) {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new().name(format!("blocking-{n}")).spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs `job` on the pool and waits for its value.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full or the job panicked.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let (done, wait) = oneshot::channel();
        let job: Job = Box::new(move || drop(done.send(job())));
        match self.queue.try_send(job) {
            Ok(()) => wait.await.map_err(|_gone| Busy),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic is told by the panic hook; the waiter sees its channel close.
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Shard;

    #[test]
    fn a_job_runs_elsewhere_and_its_value_comes_back() {
        Shard::test(async |_shard| {
            let pool = Blocking::start(1).unwrap();
            let here = std::thread::current().id();
            assert!(pool.run(move || std::thread::current().id() != here).await.unwrap());
        });
    }

    #[test]
    fn a_job_that_panics_is_an_error_and_the_pool_goes_on() {
        Shard::test(async |_shard| {
            let pool = Blocking::start(1).unwrap();
            assert_eq!(pool.run(|| panic!("on purpose")).await, Err::<(), _>(Busy));
            assert_eq!(pool.run(|| 7).await, Ok(7));
        });
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        Shard::test(async |_shard| {
            let pool = Blocking::start(1).unwrap();
            let gate = Arc::new((Mutex::new(false), std::sync::Condvar::new()));
            let mut waiting = Vec::new();
            let mut refused = 0;
            for _ in 0..QUEUE + 2 {
                let gate = Arc::clone(&gate);
                let wait = move || drop(gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open));
                let mut job = Box::pin(pool.run(wait));
                match std::future::poll_fn(|cx| std::task::Poll::Ready(job.as_mut().poll(cx))).await {
                    std::task::Poll::Ready(Err(Busy)) => refused += 1,
                    _ => waiting.push(job),
                }
            }
            assert!(refused >= 1);
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
            for job in waiting {
                assert_eq!(job.await, Ok(()));
            }
        });
    }
}
