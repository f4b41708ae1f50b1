//! One connection to an upstream: the task that moves its frames, and what its streams share.
//!
//! A connection that the upstream tells to go, that refuses a stream or that breaks, takes no more streams; those that it
//! has not seen say so, and are tried again elsewhere. Not here: what a stream carries (`stream.rs`).

use crate::h2::flush::{LazyFlush, Wire};
use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use shoalway_net::deadline::{Deadline, Wait};
use shoalway_net::shard::Shard;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;

/// Streams that are opened at once on one connection, whatever the upstream would allow.
const STREAMS: usize = 1_024;

/// A connection, as its streams see it.
pub(super) struct Link {
    sender: RefCell<Option<SendRequest<Bytes>>>,
    open: Cell<usize>,
    pub(super) addr: SocketAddr,
    pub(super) local: SocketAddr,
    freed: Rc<Notify>,
    served: Cell<bool>,
    /// The upstream has said what it allows.
    settled: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
    /// The task, to be woken when the first stream opens or the last one is gone.
    driver: RefCell<Option<Waker>>,
}

impl Link {
    pub(super) fn new(
        sender: SendRequest<Bytes>,
        addr: SocketAddr,
        local: SocketAddr,
        freed: &Rc<Notify>,
    ) -> Rc<Self> {
        Rc::new(Self {
            sender: RefCell::new(Some(sender)),
            open: Cell::new(0),
            addr,
            local,
            freed: Rc::clone(freed),
            served: Cell::new(false),
            settled: Cell::new(false),
            waiting: RefCell::default(),
            driver: RefCell::default(),
        })
    }

    /// Waits for the upstream's SETTINGS: how many streams it allows, and whether RFC 8441 is among what it speaks.
    /// False when the connection has ended before.
    pub(super) async fn settled(&self) -> bool {
        poll_fn(|cx| {
            if self.settled.get() || self.sender.borrow().is_none() {
                return Poll::Ready(self.settled.get());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn settle(&self, settled: bool) {
        self.settled.set(settled);
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether it takes no more streams.
    pub(super) fn is_closed(&self) -> bool {
        let mut sender = self.sender.borrow_mut();
        let mut cx = Context::from_waker(Waker::noop());
        let broken =
            sender.as_mut().is_none_or(|sender| matches!(sender.poll_ready(&mut cx), Poll::Ready(Err(_))));
        if broken {
            *sender = None;
        }
        broken
    }

    /// Streams that may still be opened.
    pub(super) fn room(&self) -> usize {
        let most = self.sender.borrow().as_ref().map_or(0, SendRequest::current_max_send_streams);
        most.min(STREAMS).saturating_sub(self.open.get())
    }

    /// What opens streams; none once the connection is closed.
    pub(super) fn sender(&self) -> Option<SendRequest<Bytes>> {
        self.sender.borrow().clone()
    }

    /// A stream is being opened.
    pub(super) fn enter(&self) {
        self.open.set(self.open.get() + 1);
        self.changed(1);
    }

    /// The upstream takes no streams on it for now: others are opened elsewhere, those that are open go on.
    pub(super) fn retire(&self) {
        self.sender.take();
    }

    /// A stream was answered on it.
    pub(super) fn has_served(&self) -> bool {
        self.served.get()
    }

    /// A stream is answered.
    pub(super) fn serve(&self) {
        self.served.set(true);
    }

    /// Whether the upstream takes WebSockets as streams: RFC 8441 section 3.
    pub(super) fn takes_websocket(&self) -> bool {
        self.sender.borrow().as_ref().is_some_and(SendRequest::is_extended_connect_protocol_enabled)
    }

    /// A stream is gone.
    pub(super) fn leave(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        self.freed.notify_one();
        self.changed(0);
    }

    fn changed(&self, edge: usize) {
        if self.open.get() == edge
            && let Some(driver) = self.driver.borrow_mut().take()
        {
            driver.wake();
        }
    }
}

/// The task of a connection.
pub(super) struct Driver {
    shard: Rc<Shard>,
    wire: Rc<Wire>,
    connection: Box<Connection<LazyFlush, Bytes>>,
    link: Rc<Link>,
    deadline: Deadline,
    limit: Duration,
    idle: bool,
}

impl Driver {
    pub(super) fn new(
        shard: &Rc<Shard>,
        wire: Rc<Wire>,
        connection: Connection<LazyFlush, Bytes>,
        link: Rc<Link>,
        limit: Duration,
    ) -> Self {
        let deadline = shard.deadline();
        deadline.after(limit, Wait::Idle);
        let connection = Box::new(connection);
        Self { shard: Rc::clone(shard), wire, connection, link, deadline, limit, idle: true }
    }

    fn watch_idle(&mut self, cx: &Context<'_>) {
        let idle = self.link.open.get() == 0;
        if idle != self.idle {
            self.idle = idle;
            if idle {
                self.deadline.after(self.limit, Wait::Idle);
            } else {
                self.deadline.clear();
            }
        }
        if idle && self.shard.is_draining() {
            self.link.sender.take();
        }
        *self.link.driver.borrow_mut() = Some(cx.waker().clone());
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            this.watch_idle(cx);
            if Pin::new(this.connection.as_mut()).poll(cx).is_ready() || this.wire.fault().is_some() {
                // What the crate said last, such as GOAWAY, leaves if there is room for it.
                drop(this.wire.poll_end(cx));
                return Poll::Ready(());
            }
            if !this.link.settled.get() && this.wire.has_settings() {
                this.link.settle(true);
            }
            match this.wire.poll_flush(cx) {
                Poll::Ready(Ok(true)) => continue,
                Poll::Ready(Ok(false)) | Poll::Pending => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
            }
            if !this.idle || this.deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            // Without this handle the crate closes the connection in good order.
            this.deadline.clear();
            this.link.sender.take();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.link.sender.take();
        self.link.settle(self.link.settled.get());
        self.link.freed.notify_waiters();
    }
}
