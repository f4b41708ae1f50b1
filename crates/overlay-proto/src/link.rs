//! A link between two neighbours (sections 5, 8, 9).
//!
//! One [`Link`] for one tunnel stream, the same for client, entry, middle and exit. Bytes go in by
//! [`Link::receive`], pieces come out by [`Link::transmit`], what happened by [`Link::next_event`], time by
//! [`Link::tick`]. What survives a cut of the stream is a [`session::Session`].
//!
//! ```text
//! dialer:               AwaitAccept --ACCEPT--> Checking --open()--> Open --> Ended
//! acceptor of a client: Unanswered --accept()--> Open --> Ended
//! acceptor of a trunk:  Unanswered --accept()--> AwaitNodeAuth --NODE_AUTH--> Checking --admit()--> Open --> Ended
//! ```
//! Not here: what stands in an opener, ACCEPT and NODE_AUTH (`opener.rs`), in CREATE and CREATED (`create.rs`), in
//! records (`circuit.rs`); HTTP/2, time to close a link.

pub mod dir;
pub mod frame;
pub mod session;
pub mod terms;

mod circuits;
mod clock;
mod fair;
mod hop;
mod outgoing;
pub(crate) mod rate;
mod receive;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use crate::Moment;
use bytes::Bytes;
use circuits::{Circuits, Events};
use dir::{DirGet, DirKind, Question};
use frame::{CREATED, Decoder, FrameType, MAX_BODY, is_create};
use hop::Setup;
use outgoing::{Answer, Control, Packer};
use rand_core::CryptoRng;
use rate::Bucket;
use receive::TOP_BIT;
use session::{Sequence, Session};
use std::collections::VecDeque;
use std::time::Duration;
use table::Known;
use terms::{
    CircId, Code, Kind, LinkConfig, LinkEvent, LinkFault, LinkTerms, MAX_HOP_WINDOW, MIN_HOP_WINDOW,
    NotTaken, ResumeFault, Role,
};

/// One end of a link.
///
/// The driver: `receive` each chunk, then `next_event` until nothing is left, then `transmit` as far as the stream
/// takes bytes; `tick` at `deadline`. After a [`LinkFault`] it transmits once more and resets the stream.
pub struct Link {
    config: LinkConfig,
    terms: LinkTerms,
    phase: Phase,
    /// What the neighbour did wrong: the link does nothing any more.
    fault: Option<LinkFault>,
    session: Session,
    decoder: Decoder,
    packer: Packer,
    /// Chunks that came while a proof is checked.
    held: VecDeque<Bytes>,
    held_bytes: usize,
    control: VecDeque<Control>,
    pong: Option<[u8; 8]>,
    events: Events,
    /// When the proof that is waited for has to be here.
    proof_by: Moment,
    heard: Moment,
    next_ping: Moment,
    /// The PING under way: when, and its number.
    ping: Option<(Moment, u64)>,
    pings: u64,
    round_trip: Option<Duration>,
    said_go_away: bool,
    heard_go_away: bool,
    end_at: Option<Moment>,
    question: Option<Question>,
    question_by: Option<Moment>,
    answer: Option<Answer>,
    /// Own CREATEs and the neighbour's.
    create_rate: Bucket,
    asked_rate: Bucket,
    dir_rate: Bucket,
    dir_asked_rate: Bucket,
    pinged_rate: Bucket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unanswered,
    AwaitAccept,
    AwaitNodeAuth,
    Checking,
    Open,
    Ended,
}

impl Link {
    /// A link whose tunnel stream has just been opened: a dialer waits 10 s for ACCEPT, an acceptor for
    /// [`accept`](Self::accept).
    #[must_use]
    pub fn new(config: LinkConfig, now: Moment, rng: &mut dyn CryptoRng) -> Self {
        let (create_rate, terms) = match config.kind {
            Kind::Client => (Bucket::new(128, 4, 1, now), LinkTerms::CLIENT),
            Kind::Trunk => (Bucket::new(1000, 1000, 1, now), LinkTerms::TRUNK),
        };
        let dir_rate = Bucket::new(60, 60, 3600, now);
        Self {
            phase: match config.role {
                Role::Dialer => Phase::AwaitAccept,
                Role::Acceptor => Phase::Unanswered,
            },
            config,
            terms,
            fault: None,
            session: Session { circuits: Circuits::new(rng), sequence: Sequence::default() },
            decoder: Decoder::default(),
            packer: Packer::default(),
            held: VecDeque::new(),
            held_bytes: 0,
            control: VecDeque::new(),
            pong: None,
            events: Events::new(),
            proof_by: now + clock::ACCEPT_WAIT,
            heard: now,
            next_ping: now + clock::FIRST_PING,
            ping: None,
            pings: 0,
            round_trip: None,
            said_go_away: false,
            heard_go_away: false,
            end_at: None,
            question: None,
            question_by: None,
            answer: None,
            asked_rate: create_rate.clone(),
            create_rate,
            dir_asked_rate: dir_rate.clone(),
            dir_rate,
            // One a second, but several that were held up may come together.
            pinged_rate: Bucket::new(8, 1, 1, now),
        }
    }

    /// Acceptor: sends ACCEPT with this body (50 bytes). A client link is then open; a trunk waits 5 s for NODE_AUTH.
    pub fn accept(&mut self, body: Bytes, terms: LinkTerms, now: Moment) {
        if self.phase != Phase::Unanswered {
            return;
        }
        self.control.push_back(Control::Frame(FrameType::Accept, body));
        self.agree(terms, now);
        self.phase = match self.config.kind {
            Kind::Client => Phase::Open,
            Kind::Trunk => Phase::AwaitNodeAuth,
        };
        self.proof_by = now + clock::NODE_AUTH_WAIT;
    }

    /// Dialer: the mac of ACCEPT is right. A trunk says who it is with `node_auth` (207 bytes). What came behind
    /// ACCEPT is read now.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn open(&mut self, terms: LinkTerms, node_auth: Option<Bytes>, now: Moment) -> Result<(), LinkFault> {
        if self.phase != Phase::Checking || self.config.role != Role::Dialer {
            return Ok(());
        }
        self.control.extend(node_auth.map(|body| Control::Frame(FrameType::NodeAuth, body)));
        self.agree(terms, now);
        self.phase = Phase::Open;
        self.read_held(now)
    }

    /// Acceptor of a trunk: NODE_AUTH is right, the trunk is open. What came behind it is read now.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn admit(&mut self, now: Moment) -> Result<(), LinkFault> {
        if self.phase != Phase::Checking || self.config.role != Role::Acceptor {
            return Ok(());
        }
        self.phase = Phase::Open;
        self.read_held(now)
    }

    fn agree(&mut self, terms: LinkTerms, now: Moment) {
        let hop_window = terms.hop_window.clamp(MIN_HOP_WINDOW, MAX_HOP_WINDOW);
        self.terms = LinkTerms { hop_window, ..terms };
        self.next_ping = now + clock::FIRST_PING;
        self.heard = now;
    }

    /// Takes the session out of a link that broke or is replaced. The link is of no use afterwards: what it had to
    /// tell is taken by [`next_event`](Self::next_event) before, since it counts as received. A
    /// question to the directory is not part of a session.
    #[must_use]
    pub fn detach(self) -> Session {
        let mut session = self.session;
        session.circuits.fair.directory_leaves();
        session
    }

    /// Puts a session into a new client link, before [`open`](Self::open) or right after [`accept`](Self::accept).
    /// What the neighbour did not receive is sent again.
    ///
    /// # Errors
    /// A count that cannot be: the session is lost, all its circuits with it.
    pub fn attach(&mut self, mut session: Session, peer_received: u64) -> Result<(), ResumeFault> {
        session.sequence.resume(peer_received)?;
        self.session = session;
        Ok(())
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front().or_else(|| self.session.circuits.next_report())
    }

    /// Asks the neighbour for a circuit. `group` is whose it is: the round robin is over groups first. Circuits the
    /// neighbour asked for are of group 0.
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
        if !is_create(body.len()) {
            return Err(NotTaken::Length);
        }
        if self.phase != Phase::Open || self.said_go_away || self.heard_go_away {
            return Err(NotTaken::Closing);
        }
        if self.config.kind == Kind::Client && self.config.role == Role::Acceptor {
            return Err(NotTaken::Closing);
        }
        if self.session.circuits.len() >= usize::from(self.terms.max_circuits) {
            return Err(NotTaken::Full);
        }
        let id = self.free_id(rng).ok_or(NotTaken::Full)?;
        if !self.create_rate.take(now) {
            return Err(NotTaken::Full);
        }
        let setup = Setup { config: &self.config, terms: self.terms, now };
        self.session.circuits.create(id, body, group, &setup);
        Ok(id)
    }

    /// A random id of this end that is not in use. With at most 2^17 known ones of 2^31, eight draws are enough.
    fn free_id(&self, rng: &mut dyn CryptoRng) -> Option<CircId> {
        (0..8).map(|_draw| rng.next_u32()).find_map(|drawn| {
            let id = match (self.config.kind, self.config.role) {
                (Kind::Client, _) => drawn,
                (Kind::Trunk, Role::Dialer) => drawn & !TOP_BIT,
                (Kind::Trunk, Role::Acceptor) => drawn | TOP_BIT,
            };
            let id = CircId(id);
            (id.0 != 0 && self.session.circuits.known(id) == Known::Free).then_some(id)
        })
    }

    /// Answers a CREATE of the neighbour: the circuit is open.
    ///
    /// # Errors
    /// No such circuit waits for an answer, or the body is not of 1200 bytes.
    pub fn created(&mut self, circ: CircId, body: Bytes) -> Result<(), NotTaken> {
        if body.len() != CREATED {
            return Err(NotTaken::Length);
        }
        self.session.circuits.created(circ, body)
    }

    /// Puts a record in line. A relay may do so without asking, since what it received is bounded by its own window;
    /// an end asks [`writable`](Self::writable) first. Over the bound of its client, the client's largest circuit ends
    /// (not for circuits a neighbour asked for on a trunk: whose they are is not known, [`shed`](Self::shed) is for them).
    ///
    /// # Errors
    /// No such circuit is open, over 1 MiB waits in it, or the length is wrong.
    pub fn data(&mut self, circ: CircId, record: Bytes) -> Result<(), NotTaken> {
        self.session.circuits.push(circ, record, self.config.group_limit, &mut self.events)
    }

    /// Ends a circuit; no event follows. With [`Code::Done`] what waits in it is sent before (for at most 10 s), else
    /// it is dropped.
    pub fn destroy(&mut self, circ: CircId, code: Code, now: Moment) {
        self.session.circuits.destroy(circ, code, now);
    }

    /// So many bytes of records of this circuit have left for the next hop, or were opened by its end.
    pub fn released(&mut self, circ: CircId, bytes: usize, now: Moment) {
        self.session.circuits.released(circ, bytes, now);
    }

    /// Bytes of records an end may put in line now: the hop window that is left, at most 64 KiB in line. When that is
    /// less than a record, [`LinkEvent::Writable`] follows.
    pub fn writable(&mut self, circ: CircId) -> usize {
        self.session.circuits.writable(circ)
    }

    /// Says that the link will end: when empty, or after `seconds`.
    pub fn go_away(&mut self, code: Code, seconds: u16, now: Moment) {
        if self.phase == Phase::Open && !self.said_go_away {
            self.say_go_away(code, seconds);
            self.end_after(seconds, now);
        }
    }

    /// Asks for a part of the directory; the answer comes as [`LinkEvent::DirData`], empty after 60 s of silence.
    ///
    /// # Errors
    /// One is under way, 60 were asked for in the last hour, or the link is not open.
    pub fn dir_get(&mut self, kind: DirKind, number: u64, now: Moment) -> Result<(), NotTaken> {
        if self.phase != Phase::Open {
            return Err(NotTaken::Closing);
        }
        if self.question.is_some() || !self.dir_rate.take(now) {
            return Err(NotTaken::Full);
        }
        let body = Bytes::copy_from_slice(&DirGet { kind, number }.encode());
        self.control.push_back(Control::Frame(FrameType::DirGet, body));
        self.question = Some(Question::new(kind));
        self.question_by = Some(now + clock::QUESTION);
        Ok(())
    }

    /// Answers [`LinkEvent::DirGet`]; empty says that it is not had.
    pub fn dir_answer(&mut self, body: Bytes) {
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.rest.is_none()) {
            answer.rest = Some(body);
            self.session.circuits.fair.directory_waits();
        }
    }

    /// Puts a PAD with a body of so many zeros in line (at most 16,352), unless 16 frames of the link are in line.
    pub fn pad(&mut self, length: u16) {
        if self.phase == Phase::Open && self.control.len() < MAX_PADS {
            self.control.push_back(Control::Pad(usize::from(length).min(MAX_BODY)));
        }
    }

    /// Bytes that wait here, with what the bookkeeping of each frame costs: the node adds up its links.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.session.buffered()
    }

    /// Ends the circuit in which most waits, with [`Code::Busy`]: the node's memory is short. Returns the bytes that
    /// became free; 0 when none waits.
    pub fn shed(&mut self) -> usize {
        self.session.circuits.shed(None, &mut self.events)
    }

    /// Circuits that stand or are being made.
    #[must_use]
    pub const fn circuits(&self) -> usize {
        self.session.circuits.len()
    }

    /// Sequenced bytes received in whole frames: what an opener or ACCEPT says when the session goes on.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.session.received()
    }

    /// The time PING and PONG took, the latest one, at a dialer.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whether frames of circuits go in both directions.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// What the link was made with.
    #[must_use]
    pub const fn config(&self) -> &LinkConfig {
        &self.config
    }

    fn acknowledges(&self) -> bool {
        self.config.kind == Kind::Client
    }
}

/// PADs in line.
const MAX_PADS: usize = 16;
