//! A world: who is in it, what joins them, and how time passes.
//!
//! Nothing happens between two moments at which something arrives, is due or is written. At each of them everybody does
//! what there is to do until nothing is left. Not here: what a link (`links`), a hop (`circuits`) and an end of a circuit
//! (`ports`) do.

use super::chance::Chance;
use super::check;
use super::flow::{self, Course, Flow, Server};
use super::node::Node;
use super::pipe::Pipe;
use super::ports::Port;
use bytes::{Bytes, BytesMut};
use shoalway_overlay_proto::Moment;
use shoalway_overlay_proto::circuit::terms::{CircuitTerms, StreamId};
use shoalway_overlay_proto::create::hop::HopRoles;
use shoalway_overlay_proto::layer::RelayLayer;
use shoalway_overlay_proto::link::Link;
use shoalway_overlay_proto::link::terms::{CircId, Code, Kind, LinkFault, LinkTerms};
use shoalway_overlay_proto::opener::{LinkSecrets, ResumeKey, SessionId};
use std::collections::HashMap;
use std::time::Duration;

/// One end of a line: 0 dialled, 1 was dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spot {
    pub line: usize,
    pub side: usize,
}

impl Spot {
    pub const fn far(self) -> Self {
        Self { line: self.line, side: 1 - self.side }
    }
}

/// Who stands at an end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Client,
    Node(usize),
}

/// What speaks at an end of a line.
pub enum Speaker {
    Link(Box<Link>),
    /// Bytes that the test writes; and what it heard.
    Puppet(BytesMut),
}

/// One end of a line.
pub struct Side {
    pub who: Who,
    pub speaker: Speaker,
    /// What this end writes.
    pub out: Pipe,
    pub secrets: Option<LinkSecrets>,
}

/// A tunnel stream, and after a cut the one that follows it.
pub struct Line {
    pub kind: Kind,
    pub sides: [Side; 2],
    pub state: LineState,
    pub session: SessionId,
    /// The client's, from the latest ACCEPT it has checked.
    pub resume: Option<ResumeKey>,
    /// The entry's: of the latest opener, and the one that this was proven by.
    pub accepted: Vec<ResumeKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineState {
    Up,
    /// Lost; a client's session may go on.
    Cut,
    Over,
}

/// Whose a circuit of a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The relay's side towards the client, and the one towards the exit.
    Front(usize),
    Back(usize),
    Port(usize),
}

/// A circuit at a relay.
pub struct Relay {
    pub front: (Spot, CircId),
    pub back: Option<(Spot, CircId)>,
    pub layer: Option<RelayLayer>,
}

/// What a relay does to records on their way to the exit.
pub type Tamper = Box<dyn FnMut(Bytes) -> Vec<Bytes>>;

/// The world.
pub struct World {
    pub now: Moment,
    pub chance: Chance,
    pub nodes: Vec<Node>,
    pub lines: Vec<Line>,
    pub owners: HashMap<(Spot, CircId), Owner>,
    pub relays: Vec<Relay>,
    pub ports: Vec<Port>,
    pub flows: Vec<Flow>,
    pub table: Bytes,
    /// What links and exits offer.
    pub link_terms: LinkTerms,
    pub terms: CircuitTerms,
    /// What neighbours did wrong.
    pub faults: Vec<(Spot, LinkFault)>,
    /// All CREATEs that arrived, and where.
    pub creates: Vec<(Spot, Bytes)>,
    /// Circuits that were ended by a neighbour, or refused, as the driver at this end was told.
    pub ended: Vec<(Spot, CircId, Code)>,
    pub tamper: Option<Tamper>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Moment(1_000_000),
            chance: Chance(seed),
            nodes: Vec::new(),
            lines: Vec::new(),
            owners: HashMap::new(),
            relays: Vec::new(),
            ports: Vec::new(),
            flows: Vec::new(),
            table: flow::table(),
            link_terms: LinkTerms::CLIENT,
            terms: CircuitTerms::default(),
            faults: Vec::new(),
            creates: Vec::new(),
            ended: Vec::new(),
            tamper: None,
        }
    }

    /// A node that does all there is.
    pub fn node(&mut self) -> usize {
        self.node_of(HopRoles { entry: true, middle: true, exit: true })
    }

    pub fn node_of(&mut self, roles: HopRoles) -> usize {
        self.nodes.push(Node::new(&mut self.chance, roles));
        self.nodes.len() - 1
    }

    /// A flow over a circuit of a client that stands.
    pub fn flow(&mut self, client: usize, up: u64, down: u64) -> usize {
        self.flow_to(client, up, down, Server::Accepts)
    }

    pub fn flow_to(&mut self, client: usize, up: u64, down: u64, server: Server) -> usize {
        let number = self.flows.len();
        let (up, down) = (Course::new(up, number as u64 * 977), Course::new(down, number as u64 * 977 + 401));
        let stream = self.open_stream(client, number).unwrap_or(StreamId(0));
        let reset = [None; 2];
        self.flows.push(Flow { client, exit: None, stream, server, opened: false, up, down, reset });
        number
    }

    pub fn link(&mut self, spot: Spot) -> Option<&mut Link> {
        match &mut self.lines[spot.line].sides[spot.side].speaker {
            Speaker::Link(link) => Some(link),
            Speaker::Puppet(_) => None,
        }
    }

    pub fn spots(&self) -> impl Iterator<Item = Spot> + use<> {
        (0..self.lines.len()).flat_map(|line| (0..2).map(move |side| Spot { line, side }))
    }

    /// Everybody does what there is to do at this moment.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for spot in self.spots() {
                busy |= self.hear(spot);
            }
            for port in 0..self.ports.len() {
                busy |= self.serve(port);
            }
            for flow in 0..self.flows.len() {
                busy |= self.drive(flow);
            }
            for spot in self.spots() {
                busy |= self.speak(spot);
            }
            if !busy {
                check::bounds(self);
                return;
            }
        }
        panic!("the world does not come to rest at {:?}", self.now);
    }

    /// When something happens next.
    fn next(&self) -> Option<Moment> {
        let lines = self.lines.iter().filter(|line| line.state == LineState::Up);
        let of_lines = lines.flat_map(|line| &line.sides).flat_map(|side| {
            let link = match &side.speaker {
                Speaker::Link(link) => Some(link),
                Speaker::Puppet(_) => None,
            };
            let drains = link.filter(|link| link.wants_transmit()).and_then(|_| side.out.drains(self.now));
            [side.out.arrives(), drains, link.and_then(|link| link.deadline())]
        });
        let of_ports = self.ports.iter().map(Port::deadline);
        let of_flows = self.flows.iter().filter(|flow| !flow.is_over() && flow.exit.is_some());
        let of_flows = of_flows.flat_map(|flow| [flow.up.next_at(), flow.down.next_at()]);
        of_lines.chain(of_ports).chain(of_flows).flatten().min()
    }

    /// Time passes until it is so, at most for so long. Whether it became so.
    pub fn until(&mut self, most: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + most;
        self.settle();
        while !done(self) {
            let next = self.next().map_or(end, |next| next.max(self.now + GRAIN));
            if next >= end {
                self.now = end;
                self.settle();
                return done(self);
            }
            self.now = next;
            self.settle();
        }
        true
    }

    pub fn pass(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    /// Time passes until all flows have ended, one way or another.
    #[track_caller]
    pub fn finish(&mut self, most: Duration) {
        let done = self.until(most, |world| world.flows.iter().all(Flow::is_over));
        assert!(done, "{}", check::unfinished(self));
    }
}

/// The shortest time that passes: what happens within it happens together.
const GRAIN: Duration = Duration::from_micros(100);

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
