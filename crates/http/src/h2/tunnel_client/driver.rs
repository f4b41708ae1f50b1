//! Moves the frames of a visitor's connection, and tells its tunnels when the server ends it.
//!
//! The connection lasts as long as its visit or a tunnel. Not here: what is asked on it (`tunnel_client.rs`).

use crate::h2::duplex::Tie;
use crate::h2::flush::{LazyFlush, Wire};
use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a visit and its driver share.
pub(super) struct Shared {
    /// Keeps the connection open, and knows when the server takes no more streams.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    ties: RefCell<Vec<Arc<Tie>>>,
    settled: Cell<Settled>,
    /// Nobody asks anything any more.
    forsaken: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
    driver: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    NotYet,
    Yes,
    /// The connection has ended before.
    Never,
}

impl Shared {
    pub(super) fn new(sender: SendRequest<Bytes>) -> Rc<Self> {
        Rc::new(Self {
            sender: RefCell::new(Some(sender)),
            ties: RefCell::default(),
            settled: Cell::new(Settled::NotYet),
            forsaken: Cell::new(false),
            waiting: RefCell::default(),
            driver: RefCell::default(),
        })
    }

    /// Waits for the server's SETTINGS. False: the connection has ended before.
    pub(super) async fn settled(&self) -> bool {
        poll_fn(|cx| {
            if self.settled.get() == Settled::NotYet {
                *self.waiting.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(self.settled.get() == Settled::Yes)
        })
        .await
    }

    fn settle(&self, settled: Settled) {
        if self.settled.get() == Settled::NotYet {
            self.settled.set(settled);
            if let Some(waker) = self.waiting.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// A tunnel was opened.
    pub(super) fn tie(&self, tie: &Arc<Tie>) {
        match &*self.driver.borrow() {
            Some(driver) => {
                tie.watch(driver);
                self.ties.borrow_mut().push(Arc::clone(tie));
                // The server may have ended the connection with its answer.
                driver.wake_by_ref();
            }
            None => tie.leave(),
        }
    }

    /// The visit is over.
    pub(super) fn forsake(&self) {
        self.forsaken.set(true);
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// Tells tunnels, forgets those that have ended, and lets go of a connection that nobody uses. True: just now.
    fn look_after(&self) -> bool {
        let mut ties = self.ties.borrow_mut();
        if ties.is_empty() && !self.forsaken.get() {
            return false;
        }
        let mut sender = self.sender.borrow_mut();
        let mut cx = Context::from_waker(Waker::noop());
        let leaves =
            sender.as_mut().is_some_and(|sender| matches!(sender.poll_ready(&mut cx), Poll::Ready(Err(_))));
        if leaves {
            ties.iter().for_each(|tie| tie.leave());
        }
        ties.retain(|tie| !tie.has_ended());
        self.forsaken.get() && ties.is_empty() && sender.take().is_some()
    }
}

/// The task of a connection.
pub(super) struct Driver {
    wire: Rc<Wire>,
    connection: Box<Connection<LazyFlush, Bytes>>,
    shared: Rc<Shared>,
}

impl Driver {
    pub(super) fn new(wire: Rc<Wire>, connection: Connection<LazyFlush, Bytes>, shared: &Rc<Shared>) -> Self {
        Self { wire, connection: Box::new(connection), shared: Rc::clone(shared) }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.shared.driver.borrow().is_none() {
            *this.shared.driver.borrow_mut() = Some(cx.waker().clone());
        }
        loop {
            if Pin::new(this.connection.as_mut()).poll(cx).is_ready() || this.wire.fault().is_some() {
                // What the crate said last, such as GOAWAY, leaves if there is room for it.
                drop(this.wire.poll_end(cx));
                return Poll::Ready(());
            }
            if this.wire.has_settings() {
                this.shared.settle(Settled::Yes);
            }
            if this.shared.look_after() {
                // Without this handle the crate closes the connection in good order.
                continue;
            }
            match this.wire.poll_flush(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) | Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.settle(Settled::Never);
        self.shared.sender.take();
        self.shared.driver.take();
        self.shared.ties.borrow_mut().drain(..).for_each(|tie| tie.leave());
    }
}
