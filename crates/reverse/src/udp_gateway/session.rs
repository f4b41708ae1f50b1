//! One client's datagrams: a connected socket to an endpoint, until there is silence.
//!
//! An endpoint that nobody listens on answers by ICMP, which a connected socket tells as a refusal: it counts as the
//! endpoint's failure, and while nothing has been answered the session goes to another one, with its first datagram again.
//! Silence proves nothing: many protocols never answer. Not here: the table of sessions (`udp_gateway.rs`).

use super::plan::{DatagramLimits, DatagramPlan};
use super::{Place, ROW, UdpGateway, receive};
use crate::balance::{Exclude, PickKey};
use crate::breaker::Bound;
use crate::stream_plan::Facts;
use crate::upstream::{Address, FailureKind, Outcome, Picked};
use bytes::Bytes;
use shoalway_net::buffers::Class;
use shoalway_net::deadline::{Deadline, Expiry, Wait};
use shoalway_net::shard::Shard;
use shoalway_net::udp;
use shoalway_types::{Failure as _, Host};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A session, as its task and the table see it.
pub(super) struct Session {
    client: SocketAddr,
    limits: DatagramLimits,
    deadline: Deadline,
    /// The endpoint's socket, once what waited has gone out.
    out: RefCell<Option<Rc<UdpSocket>>>,
    waiting: RefCell<VecDeque<Bytes>>,
    waiting_bytes: Cell<usize>,
    /// The first datagram, until something is answered.
    first: RefCell<Option<Bytes>>,
    answered: Cell<bool>,
    broken: Cell<Option<io::ErrorKind>>,
    waker: RefCell<Option<Waker>>,
    up: Cell<u64>,
    down: Cell<u64>,
}

impl Session {
    pub(super) fn new(shard: &Shard, client: SocketAddr, limits: DatagramLimits) -> Rc<Self> {
        Rc::new(Self {
            client,
            limits,
            deadline: shard.deadline(),
            out: RefCell::default(),
            waiting: RefCell::default(),
            waiting_bytes: Cell::new(0),
            first: RefCell::default(),
            answered: Cell::new(false),
            broken: Cell::new(None),
            waker: RefCell::default(),
            up: Cell::new(0),
            down: Cell::new(0),
        })
    }

    /// Takes a datagram of the client; false when it had to be dropped.
    pub(super) fn pass(&self, datagram: &[u8]) -> bool {
        self.is_active();
        let Some(out) = self.out.borrow().as_ref().map(Rc::clone) else { return self.queue(datagram) };
        match out.try_send(datagram) {
            Ok(_) => self.up.set(self.up.get() + datagram.len() as u64),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // The error is that of an earlier datagram; this one did not leave.
            Err(error) => {
                self.out.borrow_mut().take();
                self.broken.set(Some(error.kind()));
                if let Some(waker) = self.waker.borrow_mut().take() {
                    waker.wake();
                }
                return self.queue(datagram);
            }
        }
        true
    }

    fn queue(&self, datagram: &[u8]) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let bytes = self.waiting_bytes.get() + datagram.len();
        if !waiting.is_empty() && (bytes > WAITING_BYTES || waiting.len() >= self.limits.waiting) {
            return false;
        }
        let datagram = Bytes::copy_from_slice(datagram);
        if !self.answered.get() && datagram.len() <= MOST_KEPT {
            self.first.borrow_mut().get_or_insert_with(|| datagram.clone());
        }
        waiting.push_back(datagram);
        self.waiting_bytes.set(bytes);
        true
    }

    /// Something moved: silence begins anew.
    fn is_active(&self) {
        let limit = if self.answered.get() { self.limits.idle } else { self.limits.unanswered };
        self.deadline.after(limit, Wait::Busy);
    }

    /// The first datagram once more, in front, for another endpoint.
    fn begin_again(&self) {
        self.out.borrow_mut().take();
        self.broken.take();
        let mut waiting = self.waiting.borrow_mut();
        if let Some(first) = self.first.borrow().as_ref()
            && waiting.front() != Some(first)
        {
            waiting.push_front(first.clone());
            self.waiting_bytes.set(self.waiting_bytes.get() + first.len());
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>, socket: &Rc<UdpSocket>) -> Poll<io::Result<()>> {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(datagram) = waiting.front() {
            std::task::ready!(socket.poll_send(cx, datagram))?;
            self.up.set(self.up.get() + datagram.len() as u64);
            self.waiting_bytes.set(self.waiting_bytes.get().saturating_sub(datagram.len()));
            waiting.pop_front();
        }
        self.out.borrow_mut().get_or_insert_with(|| Rc::clone(socket));
        Poll::Ready(Ok(()))
    }
}

/// How an endpoint's part in a session ended.
enum End {
    Idle,
    Ended,
    Broke(io::ErrorKind),
}

impl End {
    const fn word(&self) -> &'static str {
        match self {
            Self::Idle => "ok",
            Self::Ended => "ended",
            Self::Broke(io::ErrorKind::ConnectionRefused) => "connection_refused",
            Self::Broke(_) => "upstream_unreachable",
        }
    }
}

/// A session from its first datagram to its end.
pub(super) async fn run(session: Rc<Session>, place: Place, plan: Arc<DatagramPlan>, mut facts: Facts) {
    facts.outcome = serve(&session, &place.gateway, &plan, &mut facts).await;
    facts.up = session.up.get();
    facts.down = session.down.get();
}

async fn serve(
    session: &Rc<Session>,
    gateway: &Rc<UdpGateway>,
    plan: &DatagramPlan,
    facts: &mut Facts,
) -> &'static str {
    let upstream = &plan.upstream;
    let _permit = match upstream.enter(Bound::Connections) {
        Ok(permit) => permit,
        Err(open) => return open.0.word(),
    };
    upstream.first_try();
    let key = pick_key(gateway, session.client.ip());
    let mut exclude = Exclude::nobody();
    let mut outcome = "no_endpoint";
    for tried in 1..=plan.limits.tries {
        let Some(mut picked) = upstream.pick(&key, &exclude, plan.now()) else { break };
        let end = match open(plan, &picked, session.client).await {
            Ok((socket, addr)) => {
                facts.connected(picked.set().name(), Some(addr));
                talk(session, gateway, &Rc::new(socket), &mut picked, plan).await
            }
            Err(word) => {
                outcome = word;
                picked.finish(Outcome::Neutral, plan.now());
                break;
            }
        };
        outcome = end.word();
        let again = matches!(end, End::Broke(_)) && !session.answered.get() && exclude.add(&picked);
        picked.finish(judge(&end, session.answered.get()), plan.now());
        if !again || tried == plan.limits.tries {
            break;
        }
        let Some(token) = upstream.retry_token(plan.now()) else { break };
        token.spend();
        gateway.count(|counters| counters.retries.add(1));
        session.begin_again();
    }
    outcome
}

fn pick_key(gateway: &UdpGateway, client: IpAddr) -> PickKey {
    match client.to_canonical() {
        IpAddr::V4(ip) => PickKey::by_octets(&gateway.dice, &ip.octets()),
        IpAddr::V6(ip) => PickKey::by_octets(&gateway.dice, &ip.octets()),
    }
}

/// What silence, an end from outside or a refusal say about the endpoint.
const fn judge(end: &End, answered: bool) -> Outcome {
    match end {
        End::Broke(_) => Outcome::Failure(FailureKind::Connect),
        End::Idle | End::Ended if answered => Outcome::Success,
        End::Idle | End::Ended => Outcome::Neutral,
    }
}

/// A socket to the endpoint, or the word of what was in the way. Of several addresses of a name, the first of the
/// client's family: who comes that way proves that this machine has it.
async fn open(
    plan: &DatagramPlan,
    picked: &Picked,
    client: SocketAddr,
) -> Result<(UdpSocket, SocketAddr), &'static str> {
    let Address::Net(target) = &picked.endpoint().key().address else { return Err("no_datagrams_over_unix") };
    let ip = match &target.host {
        Host::Ip(ip) => *ip,
        Host::Name(name) => {
            let answer = plan.dialer.resolver().look_up(name).await.map_err(|error| error.word())?;
            let own = answer.iter().find(|ip| ip.is_ipv4() == client.is_ipv4());
            own.or_else(|| answer.iter().next()).ok_or("dns_error")?
        }
    };
    let addr = SocketAddr::new(ip, target.port);
    match udp::connected(None, addr) {
        Ok(socket) => Ok((socket, addr)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "destination_ip_unroutable",
            _ => "no_descriptors",
        }),
    }
}

async fn talk(
    session: &Session,
    gateway: &UdpGateway,
    socket: &Rc<UdpSocket>,
    picked: &mut Picked,
    plan: &DatagramPlan,
) -> End {
    // An error without a datagram wakes neither reader nor writer.
    let mut failing = pin!(socket.async_io(Interest::ERROR, || failure(socket)));
    poll_fn(|cx| {
        *session.waker.borrow_mut() = Some(cx.waker().clone());
        if let Some(kind) = session.broken.take() {
            return Poll::Ready(End::Broke(kind));
        }
        if let Poll::Ready(Err(error)) = session.poll_flush(cx, socket) {
            return Poll::Ready(End::Broke(error.kind()));
        }
        if let Poll::Ready(error) = poll_answers(cx, session, gateway, socket, picked, plan) {
            return Poll::Ready(End::Broke(error.kind()));
        }
        if let Poll::Ready(Err(error)) = failing.as_mut().poll(cx) {
            return Poll::Ready(End::Broke(error.kind()));
        }
        session.deadline.poll(cx).map(|expiry| match expiry {
            Expiry::Time => End::Idle,
            Expiry::Ended => End::Ended,
        })
    })
    .await
}

/// What the kernel has to tell of datagrams that went out; `WouldBlock` when there is nothing.
fn failure(socket: &UdpSocket) -> io::Result<()> {
    Err(socket.take_error()?.unwrap_or_else(|| io::ErrorKind::WouldBlock.into()))
}

/// Passes answers on for as long as there are some. Ready with an error of the endpoint's socket.
fn poll_answers(
    cx: &mut Context<'_>,
    session: &Session,
    gateway: &UdpGateway,
    socket: &UdpSocket,
    picked: &mut Picked,
    plan: &DatagramPlan,
) -> Poll<io::Error> {
    for _ in 0..ROW {
        let mut buffer = gateway.shard.buffers().take(Class::Large);
        if let Err(error) = std::task::ready!(receive(&mut buffer, |buf| socket.poll_recv(cx, buf))) {
            return Poll::Ready(error);
        }
        if !session.answered.replace(true) {
            session.first.borrow_mut().take();
            picked.answered(plan.now());
        }
        session.is_active();
        give(cx, session, gateway, buffer.filled());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// To the client. A full socket drops, as the network would.
fn give(cx: &mut Context<'_>, session: &Session, gateway: &UdpGateway, datagram: &[u8]) {
    if datagram.len() > session.limits.size {
        return gateway.count(|counters| counters.oversized.add(1));
    }
    match gateway.socket.poll_send_to(cx, datagram, session.client) {
        Poll::Ready(Ok(n)) => session.down.set(session.down.get() + n as u64),
        Poll::Ready(_) | Poll::Pending => gateway.count(|counters| counters.dropped.add(1)),
    }
}

/// Bytes of one session that wait for its socket, beside a single datagram.
const WAITING_BYTES: usize = 16 << 10;
/// A first datagram above this is not kept for a second endpoint.
const MOST_KEPT: usize = 2 << 10;
