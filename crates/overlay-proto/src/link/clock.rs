//! What time does to a link: proofs that do not come, PING, questions without answer, its end (sections 4, 5, 12).

use super::dir::DirKind;
use super::frame::FrameType;
use super::outgoing::Control;
use super::terms::{LinkEvent, Role};
use super::{Link, Phase};
use crate::Moment;
use bytes::Bytes;
use std::time::Duration;

impl Link {
    /// When [`tick`](Self::tick) is due, if nothing comes before. Never a moment that `tick` has seen.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Unanswered | Phase::AwaitAccept | Phase::Checking | Phase::AwaitNodeAuth => {
                Some(self.proof_by)
            }
            Phase::Open => [
                Some(self.liveness()),
                self.session.sequence.deadline().filter(|_| self.acknowledges()),
                self.session.circuits.deadline(),
                self.question_by,
                self.end_at,
            ]
            .into_iter()
            .flatten()
            .min(),
            Phase::Ended => None,
        }
    }

    /// Does what time asks for; then there may be events, and something to transmit.
    pub fn tick(&mut self, now: Moment) {
        match self.phase {
            Phase::Unanswered | Phase::AwaitAccept | Phase::Checking | Phase::AwaitNodeAuth => {
                if self.proof_by <= now {
                    self.die();
                }
            }
            Phase::Open => self.tick_open(now),
            Phase::Ended => {}
        }
    }

    fn tick_open(&mut self, now: Moment) {
        if self.liveness() <= now {
            match (self.config.role, self.ping) {
                (Role::Dialer, None) => self.send_ping(now),
                (Role::Dialer, Some(_)) | (Role::Acceptor, _) => return self.die(),
            }
        }
        let acked = if self.acknowledges() { self.session.sequence.acked() } else { u64::MAX };
        self.session.sequence.tick(now);
        self.session.circuits.tick(now, acked, &mut self.events);
        if self.question_by.is_some_and(|by| by <= now) {
            self.give_up_question();
        }
        self.check_end(now);
    }

    /// When the dialer asks for a sign of life or has waited for it too long; when the acceptor has heard nothing for
    /// longer than that.
    fn liveness(&self) -> Moment {
        match (self.config.role, self.ping) {
            (Role::Dialer, None) => self.next_ping,
            (Role::Dialer, Some((sent, _))) => sent + PING_WAIT,
            (Role::Acceptor, _) => self.heard + SILENCE,
        }
    }

    fn send_ping(&mut self, now: Moment) {
        let number = self.pings;
        self.pings += 1;
        self.ping = Some((now, number));
        self.next_ping = now + PING_EVERY;
        self.control
            .push_back(Control::Frame(FrameType::Ping, Bytes::copy_from_slice(&number.to_be_bytes())));
    }

    fn die(&mut self) {
        self.phase = Phase::Ended;
        self.control.clear();
        self.pong = None;
        self.events.push_back(LinkEvent::Dead);
    }

    fn give_up_question(&mut self) {
        self.question_by = None;
        if let Some(question) = self.question.as_mut().filter(|question| !question.given_up) {
            question.given_up = true;
            let kind: DirKind = question.kind;
            self.events.push_back(LinkEvent::DirData { kind, body: Bytes::new() });
        }
    }

    /// GOAWAY went in one direction: the link ends after this time, or earlier.
    pub(super) fn end_after(&mut self, seconds: u16, now: Moment) {
        let at = now + Duration::from_secs(u64::from(seconds));
        self.end_at = Some(self.end_at.map_or(at, |end| end.min(at)));
    }

    /// Says that the link is at its end, once.
    pub(super) fn check_end(&mut self, now: Moment) {
        let Some(at) = self.end_at.filter(|_| self.phase == Phase::Open) else { return };
        let empty = self.session.circuits.len() == 0
            && !self.session.circuits.waits()
            && self.control.is_empty()
            && self.answer.is_none()
            && !self.session.sequence.sends_again();
        if empty || at <= now {
            self.phase = Phase::Ended;
            self.events.push_back(LinkEvent::Finished);
        }
    }
}

/// The dialer asks for a sign of life this often.
const PING_EVERY: Duration = Duration::from_secs(30);
/// And waits so long for it.
const PING_WAIT: Duration = Duration::from_secs(20);
/// The acceptor hears something from every living dialer within this time: a PING, its wait, and 10 s.
const SILENCE: Duration = Duration::from_secs(60);
/// How long each part of a directory's answer may take.
pub(super) const QUESTION: Duration = Duration::from_secs(60);
/// How long ACCEPT may take after the answer 200, and its check.
pub(super) const ACCEPT_WAIT: Duration = Duration::from_secs(10);
/// How long NODE_AUTH may take (section 4).
pub(super) const NODE_AUTH_WAIT: Duration = Duration::from_secs(5);
pub(super) const FIRST_PING: Duration = PING_EVERY;
