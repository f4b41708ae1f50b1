//! A link between two neighbours (sections 5, 8, 9).
//!
//! One [`Link`] for one tunnel stream, the same for client, entry, middle and exit. Bytes go in by
//! [`Link::receive`], pieces come out by [`Link::transmit`], what happened by [`Link::next_event`], time by
//! [`Link::tick`]. What survives a cut of the stream is a [`session::Session`].

pub mod dir;
pub mod session;
pub mod terms;

use bytes::Bytes;
use dir::DirKind;
use rand_core::CryptoRng;
use session::Session;
use terms::{CircId, Code, LinkConfig, LinkEvent, LinkFault, LinkTerms, NotTaken, ResumeFault};
use std::time::Duration;

use crate::Moment;

/// One end of a link.
///
/// The driver: `receive` each chunk, then `next_event` until nothing is left, then `transmit` as far as the stream
/// takes bytes; `tick` at `deadline`. After a [`LinkFault`] it transmits once more and resets the stream.
pub struct Link {
    config: LinkConfig,
    session: Session,
}

impl Link {
    /// A link whose tunnel stream has just been opened or is about to be: a dialer waits for ACCEPT, an acceptor for
    /// [`accept`](Self::accept).
    #[must_use]
    pub fn new(config: LinkConfig, now: Moment, rng: &mut dyn CryptoRng) -> Self {
        let _ = (now, rng);
        Self { config, session: Session {} }
    }

    /// Acceptor: sends ACCEPT with this body (50 bytes). A client link is then open; a trunk waits 5 s for NODE_AUTH.
    pub fn accept(&mut self, body: Bytes, terms: LinkTerms, now: Moment) {
        let _ = (body, terms, now);
    }

    /// Dialer: the mac of ACCEPT is right. A trunk says who it is with `node_auth` (207 bytes). What came behind
    /// ACCEPT is read now.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn open(&mut self, terms: LinkTerms, node_auth: Option<Bytes>, now: Moment) -> Result<(), LinkFault> {
        let _ = (terms, node_auth, now);
        Ok(())
    }

    /// Acceptor of a trunk: NODE_AUTH is right, the trunk is open. What came behind it is read now.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn admit(&mut self, now: Moment) -> Result<(), LinkFault> {
        let _ = now;
        Ok(())
    }

    /// Takes the session out of a link that broke or is replaced. The link is of no use afterwards.
    #[must_use]
    pub fn detach(self) -> Session {
        self.session
    }

    /// Puts a session into a new link, before [`open`](Self::open) or right after [`accept`](Self::accept). What the
    /// neighbour did not receive is sent again.
    ///
    /// # Errors
    /// A count that cannot be: the session is lost, all its circuits with it.
    pub fn attach(&mut self, session: Session, peer_received: u64) -> Result<(), ResumeFault> {
        let _ = peer_received;
        self.session = session;
        Ok(())
    }

    /// Reads bytes of the stream. A DATA body that lies in one chunk is not copied.
    ///
    /// # Errors
    /// The neighbour broke the protocol of the link.
    pub fn receive(&mut self, chunk: Bytes, now: Moment) -> Result<(), LinkFault> {
        let _ = (chunk, now);
        Ok(())
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<LinkEvent> {
        None
    }

    /// Hands out what is to be written, in pieces of 1 to 16,375 bytes, until `budget` bytes are reached (the last
    /// piece may pass it). Returns how many bytes that were.
    pub fn transmit(&mut self, now: Moment, budget: usize, out: &mut impl FnMut(Bytes)) -> usize {
        let _ = (now, budget, out);
        0
    }

    /// Whether [`transmit`](Self::transmit) has something to hand out.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        false
    }

    /// When [`tick`](Self::tick) is due, if no event comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// Does what time asks for.
    pub fn tick(&mut self, now: Moment) {
        let _ = now;
    }

    /// Asks the neighbour for a circuit. `group` is whose it is: the round robin is over groups first.
    ///
    /// # Errors
    /// No place, a closing link, or a body that is no CREATE.
    pub fn create(
        &mut self,
        body: Bytes,
        group: u32,
        now: Moment,
        rng: &mut dyn CryptoRng,
    ) -> Result<CircId, NotTaken> {
        let _ = (body, group, now, rng);
        Err(NotTaken::Full)
    }

    /// Answers a CREATE of the neighbour: the circuit is open.
    ///
    /// # Errors
    /// No such circuit waits for an answer, or the body is not of 1200 bytes.
    pub fn created(&mut self, circ: CircId, body: Bytes) -> Result<(), NotTaken> {
        let _ = (circ, body);
        Err(NotTaken::Unknown)
    }

    /// Puts a record in line. A relay may do so without asking, since what it received is bounded by its own window;
    /// an end asks [`writable`](Self::writable) first.
    ///
    /// # Errors
    /// No such circuit is open, over 1 MiB waits in it, or the length is wrong.
    pub fn data(&mut self, circ: CircId, record: Bytes) -> Result<(), NotTaken> {
        let _ = (circ, record);
        Err(NotTaken::Unknown)
    }

    /// Ends a circuit. With [`Code::Done`] what waits in it is sent before (for at most 10 s), else it is dropped.
    pub fn destroy(&mut self, circ: CircId, code: Code, now: Moment) {
        let _ = (circ, code, now);
    }

    /// So many bytes of records of this circuit have left for the next hop, or were opened by its end.
    pub fn released(&mut self, circ: CircId, bytes: usize, now: Moment) {
        let _ = (circ, bytes, now);
    }

    /// Bytes of records an end may put in line now: the hop window that is left, at most 64 KiB in line.
    pub fn writable(&mut self, circ: CircId) -> usize {
        let _ = circ;
        0
    }

    /// Says that the link will end: when empty, or after `seconds`.
    pub fn go_away(&mut self, code: Code, seconds: u16, now: Moment) {
        let _ = (code, seconds, now);
    }

    /// Asks for a part of the directory; the answer comes as [`LinkEvent::DirData`].
    ///
    /// # Errors
    /// One is under way, 60 were asked for in the last hour, or the link is not open.
    pub fn dir_get(&mut self, kind: DirKind, number: u64, now: Moment) -> Result<(), NotTaken> {
        let _ = (kind, number, now);
        Err(NotTaken::Full)
    }

    /// Answers [`LinkEvent::DirGet`]; empty says that it is not had.
    pub fn dir_answer(&mut self, body: Bytes) {
        let _ = body;
    }

    /// Puts a PAD with a body of so many zeros in line (at most 16,352), unless 16 are in line already.
    pub fn pad(&mut self, length: u16) {
        let _ = length;
    }

    /// Bytes that wait here, with what the bookkeeping of each frame costs: the node adds up its links.
    #[must_use]
    pub fn buffered(&self) -> usize {
        0
    }

    /// Ends the circuit in which most waits, with [`Code::Busy`]: the node's memory is short. Returns the bytes that
    /// became free.
    pub fn shed(&mut self, now: Moment) -> usize {
        let _ = now;
        0
    }

    /// Circuits that stand or are being made.
    #[must_use]
    pub fn circuits(&self) -> usize {
        0
    }

    /// The time PING and PONG took, the latest one, at a dialer.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// What the link was made with.
    #[must_use]
    pub const fn config(&self) -> &LinkConfig {
        &self.config
    }
}
