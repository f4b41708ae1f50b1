//! The seam for padding machines (section 10).
//!
//! A machine may send PAD and hold DATA back; never CREDIT, ACK or GOAWAY. Its chance comes from a seed that both
//! sides of a link share. This release has the profile `off` alone: no padding but the one after a CREATE, which the
//! link sends itself. Not here: the frames ([`crate::link`]).

use crate::moment::Moment;

/// How links are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Nothing is padded or delayed.
    #[default]
    Off,
}

/// What happened on a link, as a machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// DATA of so many bytes left.
    Sent(usize),
    /// DATA of so many bytes came.
    Received(usize),
}

/// What a machine asks of its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A PAD frame with a body of so many bytes.
    Pad(u16),
    /// DATA waits until then.
    Hold(Moment),
}

/// A padding machine on one side of a link.
pub trait Machine {
    /// Tells what happened.
    fn seen(&mut self, what: Seen, now: Moment);
    /// What it wants now, if anything.
    fn next(&mut self, now: Moment) -> Option<Asked>;
    /// When it wants to be asked again, if at all.
    fn deadline(&self) -> Option<Moment>;
}

/// The machine of [`Profile::Off`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Still;

impl Machine for Still {
    fn seen(&mut self, _what: Seen, _now: Moment) {}

    fn next(&mut self, _now: Moment) -> Option<Asked> {
        None
    }

    fn deadline(&self) -> Option<Moment> {
        None
    }
}

impl Profile {
    /// The machine of the profile, from the link's seed ("ovl1 pad").
    #[must_use]
    pub fn machine(self, _seed: &[u8; 32]) -> Box<dyn Machine> {
        match self {
            Self::Off => Box::new(Still),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_off_asks_for_nothing_whatever_happens() {
        let mut machine = Profile::Off.machine(&[0; 32]);
        machine.seen(Seen::Sent(100), Moment(0));
        machine.seen(Seen::Received(100), Moment(1));
        assert_eq!(machine.next(Moment(2)), None);
        assert_eq!(machine.deadline(), None);
    }
}
