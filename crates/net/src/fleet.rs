//! All shards of the process: how they are started, how they reach each other, what they share.
//!
//! Messages never wait: a full mailbox gives them back and the sender does the work itself. Not here: what a shard
//! does with a message (`shard.rs`), which listeners there are (`app`).

use crate::admission::ClientCaps;
use crate::blocking::Blocking;
use crate::clock;
use crate::counters::ShardCounters;
use crate::journal::WriterHandle;
use crate::limits::Limits;
use crate::shard::{Handoff, Shard};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// Seconds between two warnings about the same lack.
const WARN_EVERY_S: u64 = 60;
/// Messages a mailbox holds.
const MAILBOX: usize = 1_024;

/// What the shards are started with.
#[derive(Clone)]
pub struct FleetConfig {
    /// Number of shards, at least one.
    pub shards: usize,
    /// Bytes that I/O buffers of all shards may take together.
    pub memory: u64,
    /// Process-wide limits: `connections` and `per_client` are read from here.
    pub limits: Limits,
    /// The access log's writer, if there is one.
    pub writer: Option<WriterHandle>,
    /// Threads for slow work.
    pub blocking: Blocking,
}

/// Work for a shard.
pub type Work = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// A message to a shard.
pub enum Message {
    /// Run this on the shard: a snapshot to take, a listener to open or close, a question to answer.
    Apply(Work),
    /// Serve this fresh connection.
    Move(Handoff),
    /// End the shard; what is still running on it is dropped.
    Stop,
}

pub(crate) struct Link {
    pub(crate) mailbox: mpsc::Sender<Message>,
    pub(crate) counters: Arc<ShardCounters>,
}

/// What all shards share.
pub struct Fleet {
    links: Vec<Link>,
    caps: Arc<ClientCaps>,
    memory: u64,
    limits: Limits,
    blocking: Blocking,
    started: Instant,
    /// When the last warning about descriptors was given, in seconds since the start; 0 is never.
    warned: AtomicU64,
}

/// How full the memory budget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Under 80 %.
    None,
    /// From 80 %: no new heads are read, idle clients are closed.
    High,
    /// From 95 %: new connections are refused.
    Critical,
}

impl Fleet {
    /// Starts the shards, each on a thread of its own. They run until told to stop.
    ///
    /// # Errors
    /// When the system gives no thread or runtime.
    pub fn start(config: &FleetConfig) -> io::Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let (fleet, mailboxes) = Self::new(config);
        let mut threads = Vec::new();
        for (id, mailbox) in mailboxes.into_iter().enumerate() {
            let (fleet, writer) = (Arc::clone(&fleet), config.writer.clone());
            let thread = std::thread::Builder::new()
                .name(format!("shard-{id}"))
                .spawn(move || run_shard(id, &fleet, writer, mailbox))?;
            threads.push(thread);
        }
        Ok((fleet, threads))
    }

    pub(crate) fn new(config: &FleetConfig) -> (Arc<Self>, Vec<mpsc::Receiver<Message>>) {
        let (links, mailboxes) = (0..config.shards.max(1))
            .map(|_| {
                let (mailbox, receiver) = mpsc::channel(MAILBOX);
                (Link { mailbox, counters: Arc::default() }, receiver)
            })
            .unzip();
        let fleet = Self {
            links,
            caps: Arc::default(),
            memory: config.memory,
            limits: config.limits,
            blocking: config.blocking.clone(),
            started: Instant::now(),
            warned: AtomicU64::new(0),
        };
        (Arc::new(fleet), mailboxes)
    }

    /// Number of shards.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.links.len()
    }

    /// Never true: a fleet has at least one shard.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Counters of every shard.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<ShardCounters>> {
        self.links.iter().map(|link| &link.counters)
    }

    /// Puts a message into a shard's mailbox.
    ///
    /// # Errors
    /// Gives the message back when the mailbox is full or the shard is gone.
    pub fn send(&self, shard: usize, message: Message) -> Result<(), Message> {
        match self.links.get(shard) {
            Some(link) => link.mailbox.try_send(message).map_err(mpsc::error::TrySendError::into_inner),
            None => Err(message),
        }
    }

    /// Runs something on a shard and waits for its value; for the control thread. None when the shard is gone.
    pub async fn ask<T: Send + 'static>(
        &self,
        shard: usize,
        question: impl FnOnce(&Rc<Shard>) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, wait) = tokio::sync::oneshot::channel();
        let message = Message::Apply(Box::new(move |shard| drop(answer.send(question(shard)))));
        self.links.get(shard)?.mailbox.send(message).await.ok()?;
        wait.await.ok()
    }

    /// Connections open now, on all shards.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counters().map(|counters| counters.connections.get()).sum()
    }

    /// The memory budget, in bytes.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        self.memory
    }

    /// How full the memory budget is.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let used: u64 = self.counters().map(|counters| counters.buffer_bytes.get()).sum();
        if used >= self.memory / 100 * 95 {
            Pressure::Critical
        } else if used >= self.memory / 100 * 80 {
            Pressure::High
        } else {
            Pressure::None
        }
    }

    /// Process-wide limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Threads for slow work.
    #[must_use]
    pub const fn blocking(&self) -> &Blocking {
        &self.blocking
    }

    /// Whether the lack of descriptors is to be told: once a minute, by whichever shard notices it first.
    pub(crate) fn may_warn_of_descriptors(&self) -> bool {
        let now = self.started.elapsed().as_secs() + 1;
        let due = |last: u64| (last == 0 || now >= last + WARN_EVERY_S).then_some(now);
        self.warned.fetch_update(Relaxed, Relaxed, due).is_ok()
    }

    pub(crate) const fn caps(&self) -> &Arc<ClientCaps> {
        &self.caps
    }

    pub(crate) fn link(&self, shard: usize) -> Option<&Link> {
        self.links.get(shard)
    }
}

fn run_shard(id: usize, fleet: &Arc<Fleet>, writer: Option<WriterHandle>, mailbox: mpsc::Receiver<Message>) {
    let _ends_the_process = EndsWithPanic;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(clock::new_turn)
        .build_local(Default::default());
    match runtime {
        Ok(runtime) => runtime.block_on(Shard::run(id, Arc::clone(fleet), writer, mailbox)),
        Err(error) => {
            tracing::error!(%error, "a shard could not start");
            std::process::exit(1);
        }
    }
}

/// Half a proxy is worse than none: a shard that dies takes the process with it, and the supervisor starts it anew.
struct EndsWithPanic;

impl Drop for EndsWithPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a shard died; the process ends");
            std::process::exit(1);
        }
    }
}
