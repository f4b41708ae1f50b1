//! An end of a circuit on its link: what the client and the exit have in common.
//!
//! A [`Port`] joins the machine of `overlay-proto` to its link and gives each stream to a task as
//! [`stream::StreamPort`], which reads and writes like any byte stream. Records are made when the link can take them and
//! not before, so that a late small write is not behind a heap of early big ones. Not here: relays (`relay`), who opens
//! streams (`client`) and connects them (`exit`).

pub mod stream;

use crate::link::{CircuitOwner, LinkHandle};
use crate::time;
use bytes::{Bytes, BytesMut};
use shoalway_net::deadline::{Deadline, Wait};
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::Moment;
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::terms::{CircuitEvent, Destination, OpenRefused, ResetCode, StreamId};
use shoalway_overlay_proto::layer::ClientLayers;
use shoalway_overlay_proto::link::dir::DirGet;
use shoalway_overlay_proto::link::terms::{CircId, Code};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use stream::{StreamPort, StreamState};

/// What whoever made a port wants to know of it.
pub trait PortOwner {
    /// Exit: a stream is wanted. [`Port::accept`] or [`Port::refuse`].
    fn open(&self, port: &Rc<Port>, stream: StreamId, dest: Destination);
    /// Exit: a part of the directory is asked for. [`Port::dir_answer`].
    fn dir_get(&self, port: &Rc<Port>, stream: StreamId, get: DirGet);
    /// The circuit takes no new streams.
    fn draining(&self, port: &Rc<Port>);
    /// The circuit is over.
    fn closed(&self, port: &Rc<Port>, code: Code);
}

/// An end of a circuit at work.
pub struct Port {
    end: RefCell<CircuitEnd>,
    /// Empty but at a client with paths of three hops.
    layers: RefCell<ClientLayers>,
    link: Rc<LinkHandle>,
    circ: CircId,
    owner: RefCell<Option<Rc<dyn PortOwner>>>,
    streams: RefCell<HashMap<StreamId, StreamState>>,
    over: Cell<Option<Code>>,
    retired: Cell<bool>,
    /// When the timer wakes by itself, and how it is woken before.
    armed: Cell<Option<Moment>>,
    timer: Cell<Option<Waker>>,
    pumping: Cell<bool>,
    me: Weak<Self>,
}

impl Port {
    /// A port for a circuit that stands. Its deadlines are a task of the shard's.
    pub fn new(
        shard: &Rc<Shard>,
        link: &Rc<LinkHandle>,
        circ: CircId,
        end: CircuitEnd,
        layers: ClientLayers,
        owner: Rc<dyn PortOwner>,
    ) -> Rc<Self> {
        let port = Rc::new_cyclic(|me| Self {
            end: RefCell::new(end),
            layers: RefCell::new(layers),
            link: Rc::clone(link),
            circ,
            owner: RefCell::new(Some(owner)),
            streams: RefCell::default(),
            over: Cell::new(None),
            retired: Cell::new(false),
            armed: Cell::new(None),
            timer: Cell::new(None),
            pumping: Cell::new(false),
            me: Weak::clone(me),
        });
        link.own(circ, Rc::new(Side(Rc::clone(&port))));
        shard.tasks().spawn(keep_time(Rc::downgrade(&port), shard.deadline()));
        port.pump();
        port
    }

    /// Client: opens a stream; ready when the destination is connected. Cancel safety: dropping it resets the stream.
    ///
    /// # Errors
    /// [`NotOpened`]
    pub async fn open(self: &Rc<Self>, dest: Destination) -> Result<StreamPort, NotOpened> {
        let opening = self.begin(dest)?;
        self.pump();
        opening.opened().await.map_err(NotOpened::Reset)?;
        Ok(opening)
    }

    /// Client: opens a stream that takes bytes before the exit has answered. Whether the destination is connected shows
    /// when it is read.
    ///
    /// # Errors
    /// [`NotOpened`], but never that the exit said no.
    pub fn open_optimistic(self: &Rc<Self>, dest: Destination) -> Result<StreamPort, NotOpened> {
        let opening = self.begin(dest)?;
        self.end.borrow_mut().optimistic(opening.id());
        self.pump();
        Ok(opening)
    }

    fn begin(self: &Rc<Self>, dest: Destination) -> Result<StreamPort, NotOpened> {
        if let Some(code) = self.over.get() {
            return Err(NotOpened::Circuit(code));
        }
        let stream = self.end.borrow_mut().open(dest, time::moment()).map_err(NotOpened::Refused)?;
        self.streams.borrow_mut().insert(stream, StreamState::default());
        Ok(StreamPort::new(self, stream))
    }

    /// Exit: the destination is connected.
    #[must_use]
    pub fn accept(self: &Rc<Self>, stream: StreamId) -> StreamPort {
        self.end.borrow_mut().opened(stream);
        self.streams.borrow_mut().entry(stream).or_default().open = true;
        self.pump();
        StreamPort::new(self, stream)
    }

    /// Exit: there is no connection to the destination.
    pub fn refuse(&self, stream: StreamId, code: ResetCode) {
        self.streams.borrow_mut().remove(&stream);
        self.end.borrow_mut().reset(stream, code);
        self.pump();
    }

    /// Exit: ready when a stream that waits to be connected is wanted no more.
    pub async fn abandoned(&self, stream: StreamId) {
        poll_fn(|cx| match self.streams.borrow_mut().get_mut(&stream) {
            Some(state) => state.poll_gone(cx),
            None => Poll::Ready(()),
        })
        .await;
    }

    /// Exit: nothing more is done about a stream that is wanted no more.
    pub fn forget(&self, stream: StreamId) {
        self.streams.borrow_mut().remove(&stream);
    }

    /// Exit: answers a question for the directory.
    pub fn dir_answer(&self, stream: StreamId, body: Bytes) {
        self.end.borrow_mut().dir_answer(stream, body);
        self.pump();
    }

    /// Ends the circuit.
    pub fn close(&self, code: Code) {
        self.end.borrow_mut().close(code, time::moment());
        self.pump();
    }

    /// Client: takes no new streams any more, although the machine would.
    pub fn retire(&self) {
        self.retired.set(true);
    }

    /// Streams that are connecting or stand.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.end.borrow().streams()
    }

    /// Whether it takes new streams.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.over.get().is_none() && !self.retired.get() && self.end.borrow().is_open()
    }

    /// Why it is over, if it is.
    #[must_use]
    pub const fn over(&self) -> Option<Code> {
        self.over.get()
    }

    /// Works on the machine, then does what follows.
    fn with<T>(&self, work: impl FnOnce(&mut CircuitEnd) -> T) -> T {
        let value = work(&mut self.end.borrow_mut());
        self.pump();
        value
    }

    /// Makes records while the link takes them, and tells what happened.
    fn pump(&self) {
        // An event may lead back here: the outermost call does the work.
        if self.pumping.replace(true) {
            return;
        }
        while self.over.get().is_none() {
            let sent = self.send_record();
            let told = self.tell();
            if !sent && !told {
                break;
            }
        }
        self.pumping.set(false);
        self.rearm();
    }

    /// Wakes the timer when the machine wants to be woken before it would be.
    fn rearm(&self) {
        let earlier = match (self.end.borrow().deadline(), self.armed.get()) {
            (Some(due), Some(armed)) => due < armed,
            (due, None) => due.is_some(),
            (None, Some(_)) => false,
        };
        if (earlier || self.over.get().is_some())
            && let Some(waker) = self.timer.take()
        {
            waker.wake();
        }
    }

    fn send_record(&self) -> bool {
        let credit = self.link.writable(self.circ);
        if credit == 0 {
            return false;
        }
        let Some(record) = self.end.borrow_mut().transmit(credit, time::moment()) else { return false };
        let record = self.layered(record, ClientLayers::add);
        self.link.data(self.circ, record).is_ok()
    }

    fn layered(&self, record: Bytes, work: impl FnOnce(&mut ClientLayers, &mut [u8])) -> Bytes {
        let mut layers = self.layers.borrow_mut();
        if layers.is_empty() {
            return record;
        }
        let mut record = BytesMut::from(record);
        work(&mut layers, &mut record);
        record.freeze()
    }

    fn tell(&self) -> bool {
        let Some(event) = self.end.borrow_mut().next_event() else { return false };
        match event {
            CircuitEvent::Open { stream, dest } => {
                self.streams.borrow_mut().insert(stream, StreamState::default());
                self.ask(|owner, port| owner.open(port, stream, dest));
            }
            CircuitEvent::DirGet { stream, get } => self.ask(|owner, port| owner.dir_get(port, stream, get)),
            CircuitEvent::Draining => self.ask(|owner, port| owner.draining(port)),
            CircuitEvent::Closed { reason, destroy } => self.finish(reason, destroy),
            CircuitEvent::Pong(_) => {}
            CircuitEvent::Opened(stream) => self.change(stream, StreamState::opened),
            CircuitEvent::Writable(stream) => self.change(stream, StreamState::writable),
            CircuitEvent::Fin(stream) => self.change(stream, StreamState::fin),
            CircuitEvent::Reset { stream, code } => self.change(stream, |state| state.reset(code)),
            CircuitEvent::Data { stream, bytes } | CircuitEvent::DirData { stream, body: bytes } => {
                self.received(stream, bytes);
            }
        }
        true
    }

    fn received(&self, stream: StreamId, bytes: Bytes) {
        let length = bytes.len();
        match self.streams.borrow_mut().get_mut(&stream) {
            Some(state) => state.data(bytes),
            // Nobody reads it any more: it must not hold the circuit's window.
            None => self.end.borrow_mut().consumed(stream, length, time::moment()),
        }
    }

    fn change(&self, stream: StreamId, change: impl FnOnce(&mut StreamState)) {
        if let Some(state) = self.streams.borrow_mut().get_mut(&stream) {
            change(state);
        }
    }

    fn ask(&self, ask: impl FnOnce(&dyn PortOwner, &Rc<Self>)) {
        let owner = self.owner.borrow().as_ref().map(Rc::clone);
        if let (Some(owner), Some(port)) = (owner, self.me.upgrade()) {
            ask(&*owner, &port);
        }
    }

    fn finish(&self, code: Code, destroy: Code) {
        self.over.set(Some(code));
        self.link.destroy(self.circ, destroy);
        for state in self.streams.borrow_mut().values_mut() {
            state.reset(ResetCode::CircuitLost);
        }
        self.ask(|owner, port| owner.closed(port, code));
        self.owner.borrow_mut().take();
    }
}

/// Why a stream was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The circuit takes no more.
    #[error(transparent)]
    Refused(OpenRefused),
    /// The exit said no.
    #[error("{}", .0.text())]
    Reset(ResetCode),
    /// The circuit is over.
    #[error("the circuit is over ({})", .0.word())]
    Circuit(Code),
}

/// The port as its link knows it.
struct Side(Rc<Port>);

impl CircuitOwner for Side {
    fn created(&self, _body: Bytes) {}

    fn data(&self, record: Bytes) {
        let Self(port) = self;
        let length = record.len();
        let record = port.layered(record, ClientLayers::remove);
        // A fault is told as an event too.
        let _closed = port.end.borrow_mut().receive(&record, time::moment());
        port.link.released(port.circ, length);
        port.pump();
    }

    fn sent(&self, _bytes: usize) {
        self.0.pump();
    }

    fn writable(&self) {
        self.0.pump();
    }

    fn destroyed(&self, code: Code) {
        self.0.end.borrow_mut().lost(code);
        self.0.pump();
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(waker) = self.timer.take() {
            waker.wake();
        }
    }
}

/// Calls the machine at its deadlines, as long as the port is there.
async fn keep_time(port: Weak<Port>, deadline: Deadline) {
    poll_fn(move |cx| match port.upgrade() {
        Some(port) => port.on_time(&deadline, cx),
        None => Poll::Ready(()),
    })
    .await;
}

impl Port {
    fn on_time(&self, deadline: &Deadline, cx: &Context<'_>) -> Poll<()> {
        loop {
            if self.over.get().is_some() {
                return Poll::Ready(());
            }
            let due = self.end.borrow().deadline();
            self.armed.set(due);
            let wait = due.map(time::until);
            match wait {
                None => deadline.clear(),
                Some(Duration::ZERO) => {
                    self.with(|end| end.tick(time::moment()));
                    continue;
                }
                Some(wait) => deadline.after(wait, Wait::Busy),
            }
            if deadline.poll(cx).is_pending() {
                self.timer.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
        }
    }
}
