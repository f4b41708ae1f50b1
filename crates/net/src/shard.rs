//! One shard: a thread with its own runtime, and all that its connections share.
//!
//! Passed as `&Rc<Shard>` to whatever runs on it. A connection lives on its shard; only fresh sockets and idle
//! upstream connections move. What a product keeps per shard (pools, workers) hangs on [`Shard::local`].

use crate::admission::Admitted;
use crate::blocking::Blocking;
use crate::buffers::Buffers;
use crate::clock;
use crate::counters::{ListenerCounters, ShardCounters};
use crate::deadline::{Deadline, Wheel};
use crate::fleet::{Fleet, FleetConfig, Message, Pressure};
use crate::journal::{Journal, WriterHandle};
use crate::limits::Limits;
use crate::listener::{Active, Inbound, ListenerId};
use crate::pipes::Pipes;
use crate::tasks::TaskGroup;
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Idle connections are closed within this time after a drain begins.
const DRAIN_SPREAD_MS: u64 = 5_000;
/// Idle clients closed at once when memory runs short.
const PRESSURE_BATCH: usize = 256;

/// A fresh connection on its way to another shard.
pub struct Handoff {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The socket, off the runtime it was on.
    pub socket: std::net::TcpStream,
    /// The client's address.
    pub peer: SocketAddr,
}

struct Listening {
    active: Rc<Active>,
    counters: Arc<ListenerCounters>,
}

/// One shard.
pub struct Shard {
    id: usize,
    fleet: Arc<Fleet>,
    counters: Arc<ShardCounters>,
    wheel: Rc<Wheel>,
    buffers: Rc<Buffers>,
    pipes: Rc<Pipes>,
    journal: Rc<Journal>,
    tasks: TaskGroup,
    listening: RefCell<HashMap<ListenerId, Listening>>,
    locals: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
    draining: Cell<bool>,
}

impl Shard {
    fn new(id: usize, fleet: Arc<Fleet>, writer: Option<WriterHandle>) -> Rc<Self> {
        let counters = fleet.link(id).map(|link| Arc::clone(&link.counters)).unwrap_or_default();
        Rc::new(Self {
            id,
            wheel: Wheel::new(),
            buffers: Buffers::new(Arc::clone(&counters)),
            pipes: Pipes::new(),
            journal: Rc::new(Journal::new(writer, Arc::clone(&counters))),
            tasks: TaskGroup::new("shard"),
            listening: RefCell::default(),
            locals: RefCell::default(),
            draining: Cell::new(false),
            counters,
            fleet,
        })
    }

    pub(crate) async fn run(
        id: usize,
        fleet: Arc<Fleet>,
        writer: Option<WriterHandle>,
        mut mailbox: mpsc::Receiver<Message>,
    ) {
        let shard = Self::new(id, fleet, writer);
        shard.start_machinery();
        while let Some(message) = mailbox.recv().await {
            match message {
                Message::Apply(work) => work(&shard),
                Message::Move(handoff) => shard.take_over(handoff),
                Message::Stop => break,
            }
        }
        shard.journal.flush();
    }

    fn start_machinery(self: &Rc<Self>) {
        let machinery = TaskGroup::new("machinery");
        machinery.spawn(Rc::clone(&self.wheel).drive());
        let journal = Rc::clone(&self.journal);
        machinery.spawn(async move { journal.drive().await });
    }

    /// This shard's number, from 0.
    #[must_use]
    pub const fn id(&self) -> usize {
        self.id
    }

    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Instant {
        clock::now()
    }

    /// A deadline on this shard's wheel.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.wheel.deadline()
    }

    /// The wheel, to count or end what waits.
    #[must_use]
    pub const fn wheel(&self) -> &Rc<Wheel> {
        &self.wheel
    }

    /// I/O buffers.
    #[must_use]
    pub const fn buffers(&self) -> &Rc<Buffers> {
        &self.buffers
    }

    /// Pipes for splice.
    #[must_use]
    pub const fn pipes(&self) -> &Rc<Pipes> {
        &self.pipes
    }

    /// The access log.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Connections and what belongs to them.
    #[must_use]
    pub const fn tasks(&self) -> &TaskGroup {
        &self.tasks
    }

    /// What this shard counts.
    #[must_use]
    pub const fn counters(&self) -> &Arc<ShardCounters> {
        &self.counters
    }

    /// All shards.
    #[must_use]
    pub const fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Threads for slow work.
    #[must_use]
    pub fn blocking(&self) -> &Blocking {
        self.fleet.blocking()
    }

    /// Whether no further request should be taken on kept connections.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The shard's one value of a type, made when first asked for: a pool, a product's workers.
    pub fn local<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let key = TypeId::of::<T>();
        let found = self.locals.borrow().get(&key).map(Rc::clone);
        if let Some(found) = found.and_then(|found| found.downcast::<T>().ok()) {
            return found;
        }
        let value = Rc::new(make());
        self.locals.borrow_mut().insert(key, Rc::clone(&value) as Rc<dyn Any>);
        value
    }

    /// Begins to accept on a socket that the control thread opened.
    ///
    /// # Errors
    /// When the runtime does not take the socket.
    pub fn listen(
        self: &Rc<Self>,
        id: ListenerId,
        socket: std::net::TcpListener,
        counters: Arc<ListenerCounters>,
        inbound: Rc<dyn Inbound>,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(socket)?;
        let active = Active::new(inbound);
        self.listening.borrow_mut().insert(id, Listening { active: Rc::clone(&active), counters });
        self.tasks.spawn(active.run(id, Rc::clone(self), listener));
        Ok(())
    }

    /// Puts something else behind a listener; connections that are open keep what they began with.
    pub fn set_inbound(&self, id: ListenerId, inbound: Rc<dyn Inbound>) {
        if let Some(listening) = self.listening.borrow().get(&id) {
            listening.active.set_inbound(inbound);
        }
    }

    /// Accepts what is queued, then closes the socket.
    pub fn unlisten(&self, id: ListenerId) {
        if let Some(listening) = self.listening.borrow().get(&id) {
            listening.active.stop();
        }
    }

    /// The listener's socket is closed; another one may have taken its name by now.
    pub(crate) fn forget_listener(&self, id: ListenerId, closed: &Rc<Active>) {
        let mut listening = self.listening.borrow_mut();
        if listening.get(&id).is_some_and(|listening| Rc::ptr_eq(&listening.active, closed)) {
            listening.remove(&id);
        }
    }

    /// No new connections; idle ones end within five seconds, at random moments; requests get `Connection: close`.
    pub fn drain(&self) {
        self.draining.set(true);
        let ids: Vec<ListenerId> = self.listening.borrow().keys().copied().collect();
        for id in ids {
            self.unlisten(id);
        }
        let random = RandomState::new();
        let mut n = 0u64;
        self.wheel.end_idle(usize::MAX, || {
            n += 1;
            Duration::from_millis(random.hash_one(n) % DRAIN_SPREAD_MS)
        });
    }

    /// Lets a connection in, or counts it as refused.
    pub(crate) fn admit(&self, id: ListenerId, client: IpAddr) -> Option<Admitted> {
        let listening = self.listening.borrow();
        let listener = &listening.get(&id)?.counters;
        let limits = self.fleet.limits();
        let full = usize::try_from(self.fleet.connections()).unwrap_or(usize::MAX) >= limits.connections;
        match self.fleet.pressure() {
            Pressure::Critical => {
                listener.refused.add(1);
                return None;
            }
            Pressure::High => {
                self.wheel.end_idle(PRESSURE_BATCH, || Duration::ZERO);
            }
            Pressure::None => {}
        }
        if full {
            listener.refused.add(1);
            self.wheel.end_idle(1, || Duration::ZERO);
            return None;
        }
        Admitted::enter(&self.counters, listener, self.fleet.caps(), client, limits.per_client)
    }

    /// The least loaded shard, when this one has over a quarter and four connections more.
    pub(crate) fn less_loaded(&self) -> Option<usize> {
        if self.fleet.len() == 1 {
            return None;
        }
        let own = self.counters.connections.get();
        let (least, load) = self
            .fleet
            .counters()
            .map(|counters| counters.connections.get())
            .enumerate()
            .min_by_key(|(_, load)| *load)?;
        (own > load + load / 4 + 4 && least != self.id).then_some(least)
    }

    pub(crate) fn hand_over(&self, to: usize, handoff: Handoff) -> Result<(), Handoff> {
        match self.fleet.send(to, Message::Move(handoff)) {
            Err(Message::Move(handoff)) => Err(handoff),
            Ok(()) | Err(Message::Apply(_) | Message::Stop) => Ok(()),
        }
    }

    fn take_over(self: &Rc<Self>, handoff: Handoff) {
        let active =
            self.listening.borrow().get(&handoff.listener).map(|listening| Rc::clone(&listening.active));
        if let Some(active) = active
            && let Ok(stream) = TcpStream::from_std(handoff.socket)
        {
            active.serve(handoff.listener, self, stream, handoff.peer);
        }
    }

    /// Runs a test on a shard of its own with paused time.
    pub fn test<F: Future<Output = ()>>(body: impl FnOnce(Rc<Self>) -> F) {
        Self::run_test(true, body);
    }

    /// Runs a test on a shard of its own in real time, for real sockets.
    pub fn test_in_real_time<F: Future<Output = ()>>(body: impl FnOnce(Rc<Self>) -> F) {
        Self::run_test(false, body);
    }

    /// Lets time pass in a test with paused time: what is due by then happens, and no clock is waited for.
    #[cfg(any(test, feature = "test-time"))]
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    #[expect(clippy::expect_used, reason = "a test that cannot start must fail loudly")]
    fn run_test<F: Future<Output = ()>>(paused: bool, body: impl FnOnce(Rc<Self>) -> F) {
        let blocking = Blocking::start(1).expect("a thread");
        let config =
            FleetConfig { shards: 1, memory: 1 << 30, limits: Limits::default(), writer: None, blocking };
        let (fleet, _mailboxes) = Fleet::new(&config);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().on_thread_unpark(clock::new_turn);
        let runtime = builder.build_local(tokio::runtime::LocalOptions::default()).expect("a runtime");
        runtime.block_on(async {
            if paused {
                pause();
            }
            let shard = Self::new(0, fleet, None);
            shard.start_machinery();
            body(shard).await;
        });
    }
}

#[cfg(any(test, feature = "test-time"))]
fn pause() {
    tokio::time::pause();
}

#[cfg(not(any(test, feature = "test-time")))]
const fn pause() {}
