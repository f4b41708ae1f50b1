//! What others hold of a link: its machine, and who owns which circuit of it.
//!
//! Every call goes straight into the machine and wakes the driver, which transmits. Owners are told nothing from within
//! a call: what happens is an event, told by the driver when nothing is borrowed. Not here: bytes of the stream
//! (`driver`).

use crate::time;
use bytes::Bytes;
use rand_core::CryptoRng;
use shoalway_overlay_proto::link::Link;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::link::session::Session;
use shoalway_overlay_proto::link::terms::{CircId, Code, LinkConfig, LinkEvent, NotTaken};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// Whose a circuit of a link is: a relay's side, or an end.
pub trait CircuitOwner {
    /// An own CREATE was answered.
    fn created(&self, body: Bytes);
    /// A record came. [`LinkHandle::released`] says when it is dealt with.
    fn data(&self, record: Bytes);
    /// So many bytes of records have left.
    fn sent(&self, bytes: usize);
    /// There is room again.
    fn writable(&self);
    /// The circuit is gone from the link; nothing more is told.
    fn destroyed(&self, code: Code);
}

/// Whose a link is: a client, or a node.
pub trait LinkOwner {
    /// The neighbour wants a circuit: [`LinkHandle::own`] and [`LinkHandle::created`], or [`LinkHandle::destroy`].
    fn create(&self, link: &Rc<LinkHandle>, circ: CircId, body: Bytes);
    /// The dialer of a trunk says who it is: [`LinkHandle::admit`], or [`LinkHandle::end`].
    fn node_auth(&self, link: &Rc<LinkHandle>, body: Bytes);
    /// The neighbour asks for a part of the directory: [`LinkHandle::dir_answer`].
    fn dir_get(&self, link: &Rc<LinkHandle>, kind: DirKind, number: u64);
    /// An answer to [`LinkHandle::dir_get`]; empty when there is none.
    fn dir_data(&self, link: &Rc<LinkHandle>, kind: DirKind, body: Bytes);
    /// The neighbour takes no more circuits and ends the link in so many seconds.
    fn go_away(&self, link: &Rc<LinkHandle>, code: Code, seconds: u16);
    /// The stream is gone. Whether the circuits outlive it is for the owner to say.
    fn parted(&self, link: &Rc<LinkHandle>, why: Parting) -> Afterwards;
}

/// Why a link has no stream any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// Both sides agreed.
    Finished,
    /// One of them broke the protocol.
    Fault,
    /// The connection broke, or the neighbour fell silent.
    Lost,
}

/// What becomes of a link's circuits when its stream is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// They end now.
    End,
    /// They wait for another stream: [`LinkHandle::take_session`].
    Wait,
}

/// One end of a link, as everybody on its shard shares it.
pub struct LinkHandle {
    link: RefCell<Link>,
    circuits: RefCell<HashMap<CircId, Rc<dyn CircuitOwner>>>,
    driver: Cell<Option<Waker>>,
    ended: Cell<bool>,
    end_asked: Cell<bool>,
    stream: Cell<u32>,
    standing: Cell<bool>,
    /// GOAWAY went in one direction.
    leaving: Cell<bool>,
    /// Nothing is read any more: another stream is about to go on from what was received.
    frozen: Cell<bool>,
}

impl LinkHandle {
    /// Around a machine.
    #[must_use]
    pub fn new(link: Link) -> Rc<Self> {
        Rc::new(Self {
            link: RefCell::new(link),
            circuits: RefCell::default(),
            driver: Cell::new(None),
            ended: Cell::new(false),
            end_asked: Cell::new(false),
            stream: Cell::new(0),
            standing: Cell::new(true),
            leaving: Cell::new(false),
            frozen: Cell::new(false),
        })
    }

    /// Asks for a circuit, which belongs to `owner`. `group` is whose it is where several clients share the link.
    ///
    /// # Errors
    /// [`NotTaken`]; the owner is then told nothing.
    pub fn create(
        &self,
        body: Bytes,
        group: u32,
        owner: Rc<dyn CircuitOwner>,
        rng: &mut dyn CryptoRng,
    ) -> Result<CircId, NotTaken> {
        let circ = self.machine().create(body, group, time::moment(), rng)?;
        self.own(circ, owner);
        Ok(circ)
    }

    /// Says whose a circuit is that the neighbour asked for.
    pub fn own(&self, circ: CircId, owner: Rc<dyn CircuitOwner>) {
        self.circuits.borrow_mut().insert(circ, owner);
    }

    /// Answers the neighbour's CREATE.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub fn created(&self, circ: CircId, body: Bytes) -> Result<(), NotTaken> {
        self.machine().created(circ, body)
    }

    /// Puts a record in line.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub fn data(&self, circ: CircId, record: Bytes) -> Result<(), NotTaken> {
        self.machine().data(circ, record)
    }

    /// Ends a circuit; its owner is told nothing more.
    pub fn destroy(&self, circ: CircId, code: Code) {
        self.circuits.borrow_mut().remove(&circ);
        self.machine().destroy(circ, code, time::moment());
    }

    /// Records of so many bytes were dealt with.
    pub fn released(&self, circ: CircId, bytes: usize) {
        self.machine().released(circ, bytes, time::moment());
    }

    /// How many bytes of records an end may put in line now.
    #[must_use]
    pub fn writable(&self, circ: CircId) -> usize {
        self.link.borrow_mut().writable(circ)
    }

    /// Takes a trunk's dialer for whom it says it is. What came behind is told now.
    pub fn admit(&self) {
        if self.machine().admit(time::moment()).is_err() {
            self.end();
        }
    }

    /// Asks the neighbour for a part of the directory.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub fn dir_get(&self, kind: DirKind, number: u64) -> Result<(), NotTaken> {
        self.machine().dir_get(kind, number, time::moment())
    }

    /// Answers the neighbour; empty: it is not had.
    pub fn dir_answer(&self, body: Bytes) {
        self.machine().dir_answer(body);
    }

    /// Says that the link will end.
    pub fn go_away(&self, code: Code, seconds: u16) {
        self.leaving.set(true);
        self.machine().go_away(code, seconds, time::moment());
    }

    /// Ends the stream now, and with it all circuits.
    pub fn end(&self) {
        self.end_asked.set(true);
        self.wake();
    }

    /// Whether a stream carries the link now.
    #[must_use]
    pub const fn is_standing(&self) -> bool {
        self.standing.get() && !self.ended.get()
    }

    /// Whether either side has said that the link will end: it takes no circuits any more.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Reads nothing more of the stream, so that [`LinkHandle::received`] holds until another stream goes on from there
    /// ([`LinkHandle::put`]), or until [`LinkHandle::thaw`].
    pub fn freeze(&self) {
        self.frozen.set(true);
    }

    /// Reads on.
    pub fn thaw(&self) {
        self.frozen.set(false);
        self.wake();
    }

    pub(super) const fn is_frozen(&self) -> bool {
        self.frozen.get()
    }

    /// Sequenced bytes received: what is said when the session goes on.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.link.borrow().received()
    }

    pub(super) fn fell(&self) {
        self.standing.set(false);
    }

    /// Whether the link has ended for good.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Circuits that stand or are being made.
    #[must_use]
    pub fn circuits(&self) -> usize {
        self.link.borrow().circuits()
    }

    /// Bytes that wait in the link.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.link.borrow().buffered()
    }

    /// Ends the circuit in which most waits. Returns the bytes that became free.
    pub fn shed(&self) -> usize {
        self.machine().shed()
    }

    /// How long a PING took, the latest one.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.borrow().round_trip()
    }

    /// What the link was made with.
    #[must_use]
    pub fn config(&self) -> LinkConfig {
        self.link.borrow().config().clone()
    }

    /// Takes the session out, to go on over another stream; `spare` stands in until [`LinkHandle::put`]. The driver of
    /// the old stream ends without telling anybody.
    pub fn take_session(&self, spare: Link) -> Session {
        self.stream.set(self.stream.get() + 1);
        self.wake();
        self.link.replace(spare).detach()
    }

    /// Goes on with this machine. The driver of its stream is the caller's to spawn.
    pub fn put(&self, link: Link) {
        self.link.replace(link);
        self.end_asked.set(false);
        self.leaving.set(false);
        self.frozen.set(false);
        self.standing.set(true);
    }

    /// Which stream the link is at: a driver of an earlier one has nothing to do any more.
    pub(super) const fn stream(&self) -> u32 {
        self.stream.get()
    }

    /// The machine, for a change that the driver has to transmit.
    pub(crate) fn machine(&self) -> RefMut<'_, Link> {
        self.wake();
        self.link.borrow_mut()
    }

    /// The machine, as the driver uses it.
    pub(super) fn quiet(&self) -> RefMut<'_, Link> {
        self.link.borrow_mut()
    }

    pub(super) const fn asked_to_end(&self) -> bool {
        self.end_asked.get()
    }

    pub(super) fn drive_with(&self, waker: &Waker) {
        self.driver.set(Some(waker.clone()));
    }

    fn wake(&self) {
        if let Some(waker) = self.driver.take() {
            waker.wake();
        }
    }

    fn owner_of(&self, circ: CircId) -> Option<Rc<dyn CircuitOwner>> {
        self.circuits.borrow().get(&circ).map(Rc::clone)
    }

    /// Tells whom it concerns. Nothing is borrowed meanwhile.
    pub(super) fn tell(self: &Rc<Self>, event: LinkEvent, owner: &dyn LinkOwner) {
        match event {
            LinkEvent::Create { circ, body } => owner.create(self, circ, body),
            LinkEvent::NodeAuth(body) => owner.node_auth(self, body),
            LinkEvent::DirGet { kind, number } => owner.dir_get(self, kind, number),
            LinkEvent::DirData { kind, body } => owner.dir_data(self, kind, body),
            LinkEvent::GoAway { code, seconds } => {
                self.leaving.set(true);
                owner.go_away(self, code, seconds);
            }
            LinkEvent::Created { circ, body } => {
                if let Some(owner) = self.owner_of(circ) {
                    owner.created(body);
                }
            }
            LinkEvent::Data { circ, record } => match self.owner_of(circ) {
                Some(owner) => owner.data(record),
                None => self.released(circ, record.len()),
            },
            LinkEvent::Sent { circ, bytes } => {
                if let Some(owner) = self.owner_of(circ) {
                    owner.sent(bytes);
                }
            }
            LinkEvent::Writable(circ) => {
                if let Some(owner) = self.owner_of(circ) {
                    owner.writable();
                }
            }
            LinkEvent::Destroyed { circ, code } => {
                let owner = self.circuits.borrow_mut().remove(&circ);
                if let Some(owner) = owner {
                    owner.destroyed(code);
                }
            }
            // ACCEPT is the dialer's own business before there is a driver; the ends of a link are the driver's.
            LinkEvent::Accept(_) | LinkEvent::Dead | LinkEvent::Finished => {}
        }
    }

    /// All circuits are gone.
    pub(crate) fn forsake(&self, code: Code) {
        self.ended.set(true);
        let owners = std::mem::take(&mut *self.circuits.borrow_mut());
        for owner in owners.into_values() {
            owner.destroyed(code);
        }
    }
}
