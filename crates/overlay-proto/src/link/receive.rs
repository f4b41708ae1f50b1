//! What a link makes of the frames that come: their order, their fields, the limits (sections 5, 12).
//!
//! Not here: how frames are found in the stream (`frame.rs`), what they do to a circuit (`circuits.rs`).

use super::clock::QUESTION;
use super::dir::{DirGet, DirKind};
use super::frame::{Frame, FrameType, HEAD};
use super::hop::Setup;
use super::outgoing::Answer;
use super::table::Known;
use super::terms::{CircId, Code, Kind, LinkEvent, LinkFault, Role};
use super::{Link, Phase};
use crate::Moment;
use bytes::{Buf, Bytes};

impl Link {
    /// Reads bytes of the stream. A record of at least 4 KiB that lies in one chunk is a part of it, not a copy.
    ///
    /// # Errors
    /// The neighbour broke the protocol of the link: GOAWAY 1 is in line, nothing else is done any more.
    pub fn receive(&mut self, chunk: Bytes, now: Moment) -> Result<(), LinkFault> {
        self.heard = now;
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.phase == Phase::Checking {
            self.held_bytes += chunk.len();
            self.held.push_back(chunk);
            if self.held_bytes > MAX_HELD {
                return self.fail(LinkFault::Order("much more before the proof was checked"));
            }
            return Ok(());
        }
        self.read(chunk, now).or_else(|fault| self.fail(fault))
    }

    /// Reads what came while a proof was checked.
    pub(super) fn read_held(&mut self, now: Moment) -> Result<(), LinkFault> {
        while self.phase == Phase::Open
            && let Some(chunk) = self.held.pop_front()
        {
            self.read(chunk, now).or_else(|fault| self.fail(fault))?;
        }
        self.held_bytes = 0;
        Ok(())
    }

    fn read(&mut self, mut chunk: Bytes, now: Moment) -> Result<(), LinkFault> {
        while let Some(frame) = self.decoder.next(&mut chunk)? {
            self.on_frame(frame, now)?;
            if self.phase == Phase::Checking {
                self.held_bytes = chunk.len();
                self.held.push_back(chunk);
                break;
            }
        }
        Ok(())
    }

    fn fail(&mut self, fault: LinkFault) -> Result<(), LinkFault> {
        self.phase = Phase::Ended;
        self.fault = Some(fault);
        self.control.clear();
        self.pong = None;
        self.say_go_away(Code::Protocol, 0);
        Err(fault)
    }

    fn on_frame(&mut self, frame: Frame, now: Moment) -> Result<(), LinkFault> {
        match self.phase {
            Phase::AwaitAccept if frame.kind == FrameType::Accept => {
                self.phase = Phase::Checking;
                self.events.push_back(LinkEvent::Accept(frame.body));
                Ok(())
            }
            Phase::AwaitNodeAuth if frame.kind == FrameType::NodeAuth => {
                self.phase = Phase::Checking;
                self.events.push_back(LinkEvent::NodeAuth(frame.body));
                Ok(())
            }
            Phase::Open => self.on_open_frame(frame, now),
            Phase::AwaitAccept | Phase::AwaitNodeAuth => Err(LinkFault::Order("a frame before the proof")),
            Phase::Unanswered | Phase::Checking => Err(LinkFault::Order("a frame before ACCEPT")),
            // It crossed our end.
            Phase::Ended => Ok(()),
        }
    }

    fn on_open_frame(&mut self, frame: Frame, now: Moment) -> Result<(), LinkFault> {
        let Frame { kind, circ, mut body } = frame;
        if kind.of_circuit() && self.acknowledges() {
            self.session.sequence.count(HEAD + body.len(), now)?;
        }
        let circuits = &mut self.session.circuits;
        match kind {
            FrameType::Pad => Ok(()),
            FrameType::Accept | FrameType::NodeAuth => Err(LinkFault::Order("a second proof")),
            FrameType::GoAway => self.on_go_away(&mut body, now),
            FrameType::Ping => self.on_ping(&body, now),
            FrameType::Pong => self.on_pong(&body, now),
            FrameType::Ack => self.on_ack(&mut body),
            FrameType::DirGet => self.on_dir_get(&body, now),
            FrameType::DirData => self.on_dir_data(&body, now),
            FrameType::Create => self.on_create(circ, body, now),
            FrameType::Created => circuits.on_created(circ, body, &mut self.events),
            FrameType::Data => circuits.on_data(circ, body, &mut self.events),
            FrameType::Credit => {
                let bytes = body.try_get_u32().map_err(|_short| LinkFault::Field("CREDIT"))?;
                circuits.on_credit(circ, bytes, &mut self.events)
            }
            FrameType::Destroy => {
                let code = body.first().copied().and_then(Code::from_u8);
                circuits.on_destroy(circ, code, now, &mut self.events)
            }
        }
    }

    fn on_create(&mut self, circ: CircId, body: Bytes, now: Moment) -> Result<(), LinkFault> {
        let theirs = match (self.config.kind, self.config.role) {
            (Kind::Client, Role::Dialer) => return Err(LinkFault::Order("CREATE to a client")),
            (Kind::Client, Role::Acceptor) => true,
            (Kind::Trunk, Role::Acceptor) => circ.0 & TOP_BIT == 0,
            (Kind::Trunk, Role::Dialer) => circ.0 & TOP_BIT != 0,
        };
        let circuits = &mut self.session.circuits;
        if !theirs || circuits.known(circ) != Known::Free {
            return Err(LinkFault::Id("CREATE with an id that is not free"));
        }
        if self.heard_go_away {
            return Err(LinkFault::Order("CREATE after GOAWAY"));
        }
        if circuits.urgent.len() > MAX_UNREAD + usize::from(self.terms.max_circuits) {
            return Err(LinkFault::Rate("CREATE without reading the answers"));
        }
        let full = circuits.len() >= usize::from(self.terms.max_circuits);
        if self.said_go_away {
            circuits.refuse(circ, Code::ShuttingDown);
        } else if full || !self.asked_rate.take(now) {
            circuits.refuse(circ, Code::Busy);
        } else {
            circuits.asked(circ, &Setup { config: &self.config, terms: self.terms, now });
            self.events.push_back(LinkEvent::Create { circ, body });
        }
        Ok(())
    }

    fn on_ack(&mut self, body: &mut Bytes) -> Result<(), LinkFault> {
        if !self.acknowledges() {
            return Err(LinkFault::Order("ACK on a trunk"));
        }
        let count = body.try_get_u64().map_err(|_short| LinkFault::Field("ACK"))?;
        self.session.sequence.on_ack(count)
    }

    fn on_go_away(&mut self, body: &mut Bytes, now: Moment) -> Result<(), LinkFault> {
        let code = body.try_get_u8().ok().and_then(Code::from_u8).ok_or(LinkFault::Field("GOAWAY"))?;
        let seconds = body.try_get_u16().map_err(|_short| LinkFault::Field("GOAWAY"))?;
        self.heard_go_away = true;
        self.end_after(seconds, now);
        self.events.push_back(LinkEvent::GoAway { code, seconds });
        Ok(())
    }

    fn on_ping(&mut self, body: &[u8], now: Moment) -> Result<(), LinkFault> {
        if self.config.role == Role::Dialer {
            return Err(LinkFault::Order("PING to a dialer"));
        }
        if !self.pinged_rate.take(now) {
            return Err(LinkFault::Rate("PING"));
        }
        self.pong = body.first_chunk().copied();
        Ok(())
    }

    fn on_pong(&mut self, body: &[u8], now: Moment) -> Result<(), LinkFault> {
        match self.ping.take() {
            Some((sent, number)) if number.to_be_bytes() == *body => {
                self.round_trip = Some(now.since(sent));
                Ok(())
            }
            Some(_) | None => Err(LinkFault::Order("PONG without PING")),
        }
    }

    fn on_dir_get(&mut self, body: &[u8], now: Moment) -> Result<(), LinkFault> {
        let DirGet { kind, number } = DirGet::decode(body).map_err(|_field| LinkFault::Field("DIR_GET"))?;
        if self.answer.is_some() {
            return Err(LinkFault::Order("DIR_GET during another"));
        }
        self.answer = Some(Answer { kind, rest: None });
        if self.dir_asked_rate.take(now) {
            self.events.push_back(LinkEvent::DirGet { kind, number });
        } else {
            self.dir_answer(Bytes::new());
        }
        Ok(())
    }

    fn on_dir_data(&mut self, body: &[u8], now: Moment) -> Result<(), LinkFault> {
        let [kind, last, part @ ..] = body else { return Err(LinkFault::Field("DIR_DATA")) };
        let Some(question) = &mut self.question else {
            return Err(LinkFault::Order("DIR_DATA without DIR_GET"));
        };
        if DirKind::from_u8(*kind) != Some(question.kind) {
            return Err(LinkFault::Field("kind of DIR_DATA"));
        }
        self.question_by = Some(now + QUESTION);
        let last = question.take(*last, part).map_err(|error| LinkFault::Field(error.0))?;
        if last && let Some(question) = self.question.take() {
            self.question_by = None;
            self.events.extend(question.answered());
        }
        Ok(())
    }
}

/// The bit that tells the ids of the two ends of a trunk apart.
pub(super) const TOP_BIT: u32 = 1 << 31;
/// Bytes behind ACCEPT or NODE_AUTH that wait for the check.
const MAX_HELD: usize = 1024 * 1024;
/// Frames that wait for a neighbour that does not read.
const MAX_UNREAD: usize = 4096;
