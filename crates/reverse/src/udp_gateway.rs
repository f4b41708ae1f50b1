//! Datagrams on one shard: a shared listening socket, and for every client a session with a socket of its own.
//!
//! ```text
//! client -> listening socket -> session by client address -> its connected socket -> endpoint
//! client <- listening socket <------------ session task <---------------------------- endpoint
//! ```
//! A listener has one `SO_REUSEPORT` socket a shard; the kernel keeps a client's datagrams on one of them. What is sent
//! while a socket is full is dropped, as the network would. A listener bound to an address for all (`0.0.0.0`) answers from
//! whichever address the system chooses: on a machine with several, bind each. Not here: one session (`session.rs`), how
//! endpoints fare (`upstream.rs`).

mod networks;
mod plan;
mod session;

pub use networks::Networks;
pub use plan::{DatagramCounters, DatagramLimits, DatagramPlan};

use crate::dice::Dice;
use crate::stream_plan::{Facts, keeps_rate};
use networks::Full;
use session::Session;
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::counters::ListenerCounters;
use shoalway_net::shard::Shard;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// A listener for datagrams on one shard.
pub struct UdpGateway {
    plan: RefCell<Arc<DatagramPlan>>,
    shard: Rc<Shard>,
    socket: UdpSocket,
    counters: Arc<ListenerCounters>,
    dice: Dice,
    sessions: RefCell<HashMap<SocketAddr, Rc<Session>>>,
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl UdpGateway {
    pub(crate) fn start(
        plan: Arc<DatagramPlan>,
        shard: &Rc<Shard>,
        socket: std::net::UdpSocket,
        counters: Arc<ListenerCounters>,
    ) -> io::Result<Rc<Self>> {
        let gateway = Rc::new(Self {
            plan: RefCell::new(plan),
            shard: Rc::clone(shard),
            socket: UdpSocket::from_std(socket)?,
            counters,
            dice: Dice::from_system(),
            sessions: RefCell::default(),
            stopped: Cell::new(false),
            waker: RefCell::default(),
        });
        let own = Rc::clone(&gateway);
        shard.tasks().spawn(async move { poll_fn(|cx| own.poll(cx)).await });
        Ok(gateway)
    }

    /// Another plan for the sessions that begin from now on; those that are open keep what was decided for them.
    pub fn set_plan(&self, plan: Arc<DatagramPlan>) {
        *self.plan.borrow_mut() = plan;
    }

    /// Begins no more sessions. The socket is closed when the last one has ended.
    pub fn stop(&self) {
        self.stopped.set(true);
        self.wake();
    }

    /// Sessions that are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.borrow().len()
    }

    /// Ready when it was stopped and the last session is over.
    fn poll(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROW {
            if self.stopped.get() && self.sessions.borrow().is_empty() {
                return Poll::Ready(());
            }
            let mut buffer = self.shard.buffers().take(Class::Large);
            match receive(&mut buffer, |buf| self.socket.poll_recv_from(cx, buf)) {
                Poll::Ready(Ok(from)) => self.take(buffer.filled(), from),
                // The kernel tells of a datagram that went astray: nobody of ours is concerned.
                Poll::Ready(Err(_)) => {}
                Poll::Pending => {
                    *self.waker.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take(self: &Rc<Self>, datagram: &[u8], from: SocketAddr) {
        if datagram.len() > self.plan.borrow().limits.size {
            return self.count(|counters| counters.oversized.add(1));
        }
        let session = self.sessions.borrow().get(&from).map(Rc::clone);
        match session.or_else(|| self.begin(from)) {
            Some(session) if session.pass(datagram) => {}
            Some(_full) => self.count(|counters| counters.dropped.add(1)),
            None => {}
        }
    }

    /// A session for a new client, unless a limit forbids it.
    fn begin(self: &Rc<Self>, client: SocketAddr) -> Option<Rc<Session>> {
        if self.stopped.get() || self.shard.is_draining() {
            return None;
        }
        let plan = Arc::clone(&self.plan.borrow());
        if !keeps_rate(plan.rate.as_deref(), client.ip(), plan.now()) {
            self.counters.refused.add(1);
            self.count(|counters| counters.rate_limited.add(1));
            return None;
        }
        let seat = match plan.networks.enter(client.ip(), &plan.limits) {
            Ok(seat) => seat,
            Err(full) => {
                self.counters.refused.add(1);
                self.count(|counters| match full {
                    Full::Network => counters.network_full.add(1),
                    Full::Listener => counters.full.add(1),
                });
                return None;
            }
        };
        let session = Session::new(&self.shard, client, plan.limits);
        self.sessions.borrow_mut().insert(client, Rc::clone(&session));
        let facts = Facts::datagrams(&self.shard, &plan.listener, client, &self.counters);
        let place = Place { gateway: Rc::clone(self), client };
        let work = session::run(Rc::clone(&session), place, plan, facts);
        self.shard.tasks().spawn(async move {
            work.await;
            drop(seat);
        });
        Some(session)
    }

    fn count(&self, count: impl FnOnce(&DatagramCounters)) {
        if let Some(counters) = self.plan.borrow().counters.get(self.shard.id()) {
            count(counters);
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// A session's place in the table; left when dropped.
struct Place {
    gateway: Rc<UdpGateway>,
    client: SocketAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gateway.sessions.borrow_mut().remove(&self.client);
        if self.gateway.stopped.get() {
            self.gateway.wake();
        }
    }
}

/// One datagram into an empty buffer.
fn receive<T>(
    buffer: &mut Buffer,
    poll: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    let mut buf = ReadBuf::new(buffer.space());
    let polled = poll(&mut buf);
    let length = buf.filled().len();
    buffer.commit(length);
    polled
}

/// Datagrams of one socket in a row before others have their turn.
const ROW: usize = 64;

#[cfg(test)]
mod tests;
