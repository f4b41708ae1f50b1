//! Idle upstream connections: per shard and upstream, last in first out, with take-over between shards.
//!
//! The check before reuse costs no call: a socket on which nothing happened says "would block" from a flag. A shard
//! without an idle connection asks the shard that has most, and opens its own at the same time; whoever comes first
//! is used, the other goes to the pool. Not here: who may use a connection (`service`), HTTP/2 connections.

use shoalway_net::fleet::Message;
use shoalway_net::limits::Limits;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_net::tasks::TaskGroup;
use shoalway_types::Target;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// What makes two connections interchangeable.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UpstreamKey {
    /// Identity of the way out (its configuration's hash), so that a changed exit shares nothing with its past.
    pub way: u64,
    /// Where the connection ends: the target, or an upstream proxy.
    pub target: Target,
}

/// Idle counts by upstream and shard, one a process. Shared by all pools.
#[derive(Default)]
pub struct PoolRegistry {
    published: Mutex<HashMap<UpstreamKey, Weak<Published>>>,
}

struct Published {
    idle: Vec<AtomicU32>,
}

impl PoolRegistry {
    fn publish(&self, key: &UpstreamKey, shards: usize) -> Arc<Published> {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = published.get(key).and_then(Weak::upgrade) {
            return found;
        }
        if published.len() > 1_024 {
            published.retain(|_, entry| entry.strong_count() > 0);
        }
        let fresh = Arc::new(Published { idle: (0..shards).map(|_| AtomicU32::new(0)).collect() });
        published.insert(key.clone(), Arc::downgrade(&fresh));
        fresh
    }
}

/// Why a stream of a shared connection has ended before its answer, as the source of its read error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The upstream has said that it did nothing with the request: RFC 9113 section 8.7. Any may be sent again.
    #[error("the upstream has not looked at the request")]
    Unseen,
    /// The connection had served others and ended: perhaps before this request.
    #[error("the connection has ended")]
    Stale,
}

impl Lost {
    /// What an error of a stream says, if it says anything of the kind.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Lost> for io::Error {
    fn from(lost: Lost) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, lost)
    }
}

/// A connection to an upstream, between exchanges or in one.
pub struct UpstreamConnection {
    /// Bytes to and from the upstream.
    pub stream: Stream,
    /// Its address.
    pub addr: SocketAddr,
    /// Whether it has served a request before: it may turn out to be dead.
    pub reused: bool,
}

impl UpstreamConnection {
    /// Whether nothing happened on it while it was idle: no byte, no end, no error.
    fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.stream.early().is_empty() && matches!(self.stream.poll_fill(&mut cx, &mut [0]), Poll::Pending)
    }
}

struct Idle {
    connection: UpstreamConnection,
    since: Instant,
}

/// One upstream as one shard sees it.
pub struct Upstream {
    key: UpstreamKey,
    shard: usize,
    keeps: bool,
    idle: RefCell<Vec<Idle>>,
    published: Arc<Published>,
}

impl Upstream {
    /// Where its connections end.
    #[must_use]
    pub const fn key(&self) -> &UpstreamKey {
        &self.key
    }

    /// The connection used last that is still quiet and that `permits` accepts.
    pub fn take(&self, shard: &Shard, permits: impl Fn(SocketAddr) -> bool) -> Option<UpstreamConnection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(index) = idle.iter().rposition(|idle| permits(idle.connection.addr)) {
            let mut connection = idle.remove(index).connection;
            self.publish(&idle);
            shard.counters().upstream_idle.sub(1);
            if connection.is_quiet() {
                connection.reused = true;
                shard.counters().upstream_reused.add(1);
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub fn put(&self, shard: &Shard, pool: &Pool, connection: UpstreamConnection) {
        if !self.keeps {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let total = shard.counters().upstream_idle.get();
        if idle.len() >= pool.limits.get().idle_per_upstream
            || usize::try_from(total).unwrap_or(usize::MAX) >= pool.limits.get().idle_upstreams
        {
            return;
        }
        idle.push(Idle { connection, since: shard.now() });
        self.publish(&idle);
        shard.counters().upstream_idle.add(1);
        if total == 0 {
            pool.filled.notify_one();
        }
    }

    /// Closes all idle connections.
    pub fn clear(&self, shard: &Shard) {
        let mut idle = self.idle.borrow_mut();
        shard.counters().upstream_idle.sub(idle.len() as u64);
        idle.clear();
        self.publish(&idle);
    }

    fn publish(&self, idle: &[Idle]) {
        if let Some(count) = self.published.idle.get(self.shard) {
            count.store(u32::try_from(idle.len()).unwrap_or(u32::MAX), Relaxed);
        }
    }

    /// The other shard with most idle connections, when one has more than one.
    fn richest_other(&self) -> Option<usize> {
        let counts = self.published.idle.iter().map(|count| count.load(Relaxed)).enumerate();
        let (shard, count) =
            counts.filter(|(shard, _)| *shard != self.shard).max_by_key(|(_, count)| *count)?;
        (count > 1).then_some(shard)
    }

    /// Asks another shard for one of its idle connections. `None` at once when none has one to spare.
    pub fn ask_others(&self, shard: &Shard) -> Option<oneshot::Receiver<(std::net::TcpStream, SocketAddr)>> {
        let owner = self.richest_other()?;
        let (give, receive) = oneshot::channel();
        let key = self.key.clone();
        let question = move |shard: &Rc<Shard>| {
            let pool = shard.local(Pool::default);
            let upstream = pool.upstreams.borrow().get(&key).map(Rc::clone);
            let Some(upstream) = upstream else { return };
            let Some(connection) = upstream.take(shard, |_| true) else { return };
            if connection.stream.plain_tcp().is_none() {
                // What TLS keeps beside the socket does not move: the connection stays where it is.
                return upstream.put(shard, &pool, connection);
            }
            let (io, _early) = connection.stream.into_parts();
            if let shoalway_net::stream::Io::Tcp(tcp) = io
                && let Ok(socket) = tcp.into_std()
            {
                // The asker may have its own connection by now: then this one closes.
                drop(give.send((socket, connection.addr)));
            }
        };
        shard.fleet().send(owner, Message::Apply(Box::new(question))).ok()?;
        Some(receive)
    }

    fn sweep(&self, shard: &Shard, limit: Duration) {
        let now = shard.now();
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|idle| {
            now.saturating_duration_since(idle.since) < limit && idle.connection.is_quiet()
        });
        shard.counters().upstream_idle.sub((before - idle.len()) as u64);
        self.publish(&idle);
    }
}

/// All upstreams of one shard; found through [`Shard::local`].
pub struct Pool {
    upstreams: RefCell<HashMap<UpstreamKey, Rc<Upstream>>>,
    registry: RefCell<Arc<PoolRegistry>>,
    limits: Cell<Limits>,
    filled: Rc<Notify>,
    tasks: TaskGroup,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            upstreams: RefCell::default(),
            registry: RefCell::default(),
            limits: Cell::new(Limits::default()),
            filled: Rc::new(Notify::new()),
            tasks: TaskGroup::new("pool"),
        }
    }
}

impl Pool {
    /// Begins to look after idle connections, with the registry that all shards share. Once a shard.
    pub fn start(shard: &Rc<Shard>, registry: Arc<PoolRegistry>, limits: Limits) -> Rc<Self> {
        let pool = shard.local(Self::default);
        *pool.registry.borrow_mut() = registry;
        pool.limits.set(limits);
        if pool.tasks.alive() == 0 {
            pool.tasks.spawn(sweep(Rc::clone(&pool), Rc::clone(shard)));
        }
        pool
    }

    /// The shard's view of an upstream.
    pub fn upstream(&self, shard: &Shard, key: &UpstreamKey) -> Rc<Upstream> {
        if let Some(found) = self.upstreams.borrow().get(key) {
            return Rc::clone(found);
        }
        let published = self.registry.borrow().publish(key, shard.fleet().len());
        let fresh = Rc::new(Upstream {
            key: key.clone(),
            shard: shard.id(),
            keeps: true,
            idle: RefCell::default(),
            published,
        });
        self.upstreams.borrow_mut().insert(key.clone(), Rc::clone(&fresh));
        fresh
    }

    /// An upstream for one client alone, which nobody else finds: its idle connections stay until they are used, or cleared
    /// by [`Upstream::clear`].
    #[must_use]
    pub fn apart(shard: &Shard, key: UpstreamKey) -> Rc<Upstream> {
        let published = Arc::new(Published { idle: Vec::new() });
        Rc::new(Upstream { key, shard: shard.id(), keeps: true, idle: RefCell::default(), published })
    }

    /// An upstream for one exchange alone, whose connection is never kept.
    #[must_use]
    pub fn once(shard: &Shard, key: UpstreamKey) -> Rc<Upstream> {
        let published = Arc::new(Published { idle: Vec::new() });
        Rc::new(Upstream { key, shard: shard.id(), keeps: false, idle: RefCell::default(), published })
    }
}

/// Closes connections that were idle for too long or that the far side has closed; forgets unused upstreams.
async fn sweep(pool: Rc<Pool>, shard: Rc<Shard>) {
    loop {
        if shard.counters().upstream_idle.get() == 0 {
            pool.filled.notified().await;
        }
        tokio::time::sleep(SWEEP).await;
        let limit = pool.limits.get().upstream_idle;
        for upstream in pool.upstreams.borrow().values() {
            upstream.sweep(&shard, limit);
        }
        pool.upstreams
            .borrow_mut()
            .retain(|_, upstream| Rc::strong_count(upstream) > 1 || !upstream.idle.borrow().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_types::Host;
    use tokio::io::AsyncWriteExt;

    fn key() -> UpstreamKey {
        UpstreamKey { way: 0, target: Target::new(Host::parse("a.example").unwrap(), 80) }
    }

    fn connection() -> (UpstreamConnection, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        let addr = "192.0.2.1:80".parse().unwrap();
        (UpstreamConnection { stream: Stream::other(ours), addr, reused: false }, theirs)
    }

    #[test]
    fn the_connection_used_last_is_taken_first() {
        Shard::test(async |shard| {
            let pool = Pool::start(&shard, Arc::default(), Limits::default());
            let upstream = pool.upstream(&shard, &key());
            let ((first, _one), (second, _two)) = (connection(), connection());
            let second_addr = "192.0.2.2:80".parse().unwrap();
            upstream.put(&shard, &pool, first);
            upstream.put(&shard, &pool, UpstreamConnection { addr: second_addr, ..second });
            let taken = upstream.take(&shard, |_| true).unwrap();
            assert_eq!((taken.addr, taken.reused), (second_addr, true));
            assert_eq!(shard.counters().upstream_idle.get(), 1);
        });
    }

    #[test]
    fn a_connection_on_which_something_happened_is_not_used_again() {
        Shard::test(async |shard| {
            let pool = Pool::start(&shard, Arc::default(), Limits::default());
            let upstream = pool.upstream(&shard, &key());
            let ((closed, theirs), (chatty, mut talks)) = (connection(), connection());
            upstream.put(&shard, &pool, closed);
            upstream.put(&shard, &pool, chatty);
            talks.write_all(b"HTTP/1.1 408 \r\n").await.unwrap();
            drop(theirs);
            assert!(upstream.take(&shard, |_| true).is_none());
        });
    }

    #[test]
    fn a_client_that_may_not_use_an_address_does_not_get_its_connection() {
        Shard::test(async |shard| {
            let pool = Pool::start(&shard, Arc::default(), Limits::default());
            let upstream = pool.upstream(&shard, &key());
            let (kept, _theirs) = connection();
            upstream.put(&shard, &pool, kept);
            assert!(upstream.take(&shard, |_| false).is_none());
            assert!(upstream.take(&shard, |_| true).is_some());
        });
    }

    #[test]
    fn idle_connections_are_closed_in_time_and_unused_upstreams_forgotten() {
        Shard::test(async |shard| {
            let pool = Pool::start(&shard, Arc::default(), Limits::default());
            let (kept, mut theirs) = connection();
            pool.upstream(&shard, &key()).put(&shard, &pool, kept);
            let mut rest = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut rest).await.unwrap();
            tokio::task::yield_now().await;
            assert_eq!((shard.counters().upstream_idle.get(), pool.upstreams.borrow().len()), (0, 0));
        });
    }
}
